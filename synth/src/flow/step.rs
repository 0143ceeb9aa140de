//! One program run on some files, or its results from an earlier run with the same input.
//!
//! A step works in a folder of its own and is renamed into the cache when it has ended well, so whatever is in the cache is whole. The folder's
//! name is the SHA-256 of everything the results depend on: program, arguments, input files.

use super::tools::{checkout, Tool};
use super::FlowError;
use sha2::{Digest, Sha256};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What to run.
pub(crate) struct Step<'a> {
    pub(crate) name: &'static str,
    pub(crate) tool: Tool,
    pub(crate) arguments: Vec<String>,
    /// File name and contents.
    pub(crate) inputs: Vec<(&'static str, &'a [u8])>,
    /// Files that must be there when the program has ended.
    pub(crate) outputs: Vec<&'static str>,
    /// Makes something small of large files in the folder before the results are kept.
    pub(crate) digest: Option<fn(&Path) -> std::io::Result<()>>,
}

/// Where the results are.
pub(crate) struct Finished {
    pub(crate) folder: PathBuf,
    pub(crate) reused: bool,
}

impl Finished {
    pub(crate) fn read(&self, name: &str) -> Result<Vec<u8>, FlowError> {
        let path = self.folder.join(name);
        fs::read(&path).map_err(|source| FlowError::File { path, source })
    }
}

/// The name of the log in a step's folder.
pub(crate) const LOG: &str = "log.txt";

impl Step<'_> {
    fn key(&self) -> String {
        let identity = self.tool.identity();
        let tool = [self.tool.name.as_bytes(), identity.as_bytes()].into_iter();
        let arguments = self.arguments.iter().map(|argument| argument.as_bytes());
        let inputs = self.inputs.iter().flat_map(|(name, contents)| [name.as_bytes(), contents]);
        key_of(tool.chain(arguments).chain(inputs))
    }

    /// Runs the step unless it has been run. What the program says goes to `log` while it runs.
    pub(crate) fn run(&self, log: &Path) -> Result<Finished, FlowError> {
        let cache = cache_dir();
        let entry = cache.join(self.key());
        if entry.is_dir() {
            copy(&entry.join(LOG), log)?;
            return Ok(Finished { folder: entry, reused: true });
        }
        let work = work_folder(&cache)?;
        for (name, contents) in &self.inputs {
            let path = work.path().join(name);
            fs::write(&path, contents).map_err(|source| FlowError::File { path, source })?;
        }
        let file = fs::File::create(log).map_err(|source| FlowError::File { path: log.into(), source })?;
        let again = file.try_clone().map_err(|source| FlowError::File { path: log.into(), source })?;
        let status = self
            .tool
            .command(work.path())
            .args(&self.arguments)
            .stdin(std::process::Stdio::null())
            .stdout(file)
            .stderr(again)
            .status()
            .map_err(|source| FlowError::CannotRun {
                tool: self.tool.name,
                path: self.tool.path.clone(),
                source,
            })?;
        let text =
            fs::read(log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
        if text.contains("No space left on device") {
            let source = std::io::ErrorKind::StorageFull.into();
            return Err(FlowError::File { path: cache, source });
        }
        let missing = self.outputs.iter().any(|name| !work.path().join(name).is_file());
        if !status.success() || missing {
            return Err(FlowError::Failed {
                step: self.name,
                tool: self.tool.name,
                message: first_error(&text),
                log: log.into(),
                text,
            });
        }
        if let Some(digest) = self.digest {
            digest(work.path()).map_err(|source| FlowError::File { path: work.path().into(), source })?;
        }
        copy(log, &work.path().join(LOG))?;
        enter(work, &entry)?;
        Ok(Finished { folder: entry, reused: false })
    }
}

/// A step that is a function of ours: of one file it makes the file `output` and a log. `version` tells whatever else its results depend on.
pub(crate) fn run_own(
    output: &'static str,
    version: &str,
    input: &[u8],
    log: &Path,
    make: impl FnOnce() -> Result<(Vec<u8>, String), FlowError>,
) -> Result<Finished, FlowError> {
    let cache = cache_dir();
    let entry = cache.join(key_of([output.as_bytes(), version.as_bytes(), input].into_iter()));
    let reused = entry.is_dir();
    if !reused {
        let (result, text) = make()?;
        let work = work_folder(&cache)?;
        write(&work.path().join(output), &result)?;
        write(&work.path().join(LOG), text.as_bytes())?;
        enter(work, &entry)?;
    }
    copy(&entry.join(LOG), log)?;
    Ok(Finished { folder: entry, reused })
}

/// The name in the cache of what depends on these parts.
fn key_of<'a>(parts: impl Iterator<Item = &'a [u8]>) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What work folders are called.
const WORK: &str = ".step-";
/// No step takes so long.
const FORGOTTEN: Duration = Duration::from_secs(2 * 24 * 60 * 60);

/// Takes work folders away whose program was killed long ago. Those of programs that run are younger.
fn sweep(cache: &Path) {
    for folder in fs::read_dir(cache).into_iter().flatten().flatten() {
        let is_work = folder.file_name().to_string_lossy().starts_with(WORK);
        let age =
            folder.metadata().and_then(|about| about.modified()).ok().and_then(|time| time.elapsed().ok());
        if is_work && age.is_some_and(|age| age > FORGOTTEN) {
            // Another run may be faster.
            let _ = fs::remove_dir_all(folder.path());
        }
    }
}

/// Where a step's results are made before the cache has them.
fn work_folder(cache: &Path) -> Result<tempfile::TempDir, FlowError> {
    let error = |source| FlowError::File { path: cache.to_owned(), source };
    fs::create_dir_all(cache).map_err(error)?;
    sweep(cache);
    tempfile::Builder::new().prefix(WORK).tempdir_in(cache).map_err(error)
}

/// Puts whole results into the cache.
fn enter(work: tempfile::TempDir, entry: &Path) -> Result<(), FlowError> {
    match fs::rename(work.path(), entry) {
        // Another run was faster.
        Err(_) if entry.is_dir() => Ok(()),
        result => result.map_err(|source| FlowError::File { path: entry.to_owned(), source }),
    }
}

/// The first line that says what is wrong, or the last line.
fn first_error(log: &str) -> String {
    let line = log
        .lines()
        .find(|line| line.contains("ERROR"))
        .or(log.lines().rev().find(|line| !line.trim().is_empty()));
    line.unwrap_or("it said nothing").trim().to_owned()
}

/// Copies a file whole or not at all.
pub(crate) fn copy(from: &Path, to: &Path) -> Result<(), FlowError> {
    let bytes = fs::read(from).map_err(|source| FlowError::File { path: from.into(), source })?;
    write(to, &bytes)
}

/// Writes a file whole or not at all.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<(), FlowError> {
    use std::io::Write;
    let error = |source| FlowError::File { path: path.into(), source };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new().prefix(".frugal-").tempfile_in(folder).map_err(error)?;
    file.write_all(bytes).map_err(error)?;
    file.persist(path).map_err(|failed| error(failed.error))?;
    Ok(())
}

fn cache_dir() -> PathBuf {
    match std::env::var_os("FRUGAL_SYNTH_CACHE_DIR") {
        Some(folder) => folder.into(),
        None => checkout().join("target/synth"),
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::time::SystemTime;

    #[test]
    fn forgotten_work_is_swept_and_nothing_else() {
        let cache = tempfile::tempdir().unwrap();
        let folder = |name: &str, age: Duration| {
            let path = cache.path().join(name);
            fs::create_dir(&path).unwrap();
            fs::write(path.join("netlist.json"), "{}").unwrap();
            fs::File::open(&path).unwrap().set_modified(SystemTime::now() - age).unwrap();
            path
        };
        let old = FORGOTTEN + Duration::from_secs(60);
        let forgotten = folder(".step-forgotten", old);
        let kept = [folder(".step-running", FORGOTTEN / 2), folder("results", old)];
        let work = work_folder(cache.path()).unwrap();
        assert!(!forgotten.exists());
        assert!(kept.iter().all(|path| path.join("netlist.json").exists()));
        assert!(work.path().is_dir());
    }
}
