//! Reading and writing files: errors name the file, and nothing is left half written.

use anyhow::Context;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

/// The path as the user wrote it.
pub fn show(path: &Path) -> String {
    path.display().to_string()
}

/// The bytes of a file.
pub fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("{} cannot be read", path.display()))
}

/// Something that is no file to be replaced: `/dev/stdout`, a pipe.
fn is_special(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|data| !data.is_file() && !data.is_dir())
}

/// The file behind links, and its folder.
fn place(path: &Path) -> (PathBuf, PathBuf) {
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        _ => PathBuf::from("."),
    };
    (path, folder)
}

/// Finds out before the work whether [`write()`] could write the file, and leaves no trace.
pub fn check_writable(path: &Path) -> anyhow::Result<()> {
    if is_special(path) {
        return Ok(());
    }
    let context = || format!("{} cannot be written", path.display());
    if path.is_dir() {
        return Err(anyhow::anyhow!("it is a folder; name a file").context(context()));
    }
    tempfile::tempfile_in(place(path).1).map(drop).with_context(context)
}

/// Writes a file whole or not at all: under another name first, then renamed.
pub fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let context = || format!("{} cannot be written", path.display());
    if is_special(path) {
        let mut file = fs::OpenOptions::new().write(true).open(path).with_context(context)?;
        return file.write_all(bytes).with_context(context);
    }
    let (target, folder) = place(path);
    let file = temporary(&folder, bytes).with_context(context)?;
    file.persist(target).map_err(|error| error.error).with_context(context)?;
    Ok(())
}

/// A file without its final name; gone when dropped.
fn temporary(folder: &Path, bytes: &[u8]) -> std::io::Result<tempfile::NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".frugal-");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // Less the umask, as for any other new file.
        builder.permissions(fs::Permissions::from_mode(0o666));
    }
    let mut file = builder.tempfile_in(folder)?;
    file.write_all(bytes)?;
    Ok(file)
}

/// Files that belong together, in one folder.
pub struct Folder<'a> {
    path: &'a Path,
    /// The folders that have to be made, the outermost first.
    missing: Vec<PathBuf>,
}

impl Folder<'_> {
    /// Finds out before the work whether these files could be written, and leaves no trace. A file of such a name that is there already
    /// may be replaced only if it holds `mark`: then it was written by the same command.
    pub fn check<'a>(path: &'a Path, names: &[&str], mark: &str) -> anyhow::Result<Folder<'a>> {
        let mut missing = Vec::new();
        let mut there = path;
        while let Err(error) = fs::symlink_metadata(there) {
            match (error.kind(), there.parent()) {
                (std::io::ErrorKind::NotFound, Some(parent)) => {
                    missing.insert(0, there.to_owned());
                    there = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
                }
                _ => {
                    return Err(error)
                        .with_context(|| format!("the folder {} cannot be made", path.display()))
                }
            }
        }
        if !there.is_dir() {
            let problem = anyhow::anyhow!("{} is a file; name a folder", there.display());
            return Err(problem.context(format!("{} cannot be written to", path.display())));
        }
        tempfile::tempfile_in(there).with_context(|| format!("{} cannot be written to", path.display()))?;
        for name in names {
            let file = path.join(name);
            let Ok(data) = fs::symlink_metadata(&file) else { continue };
            // Through a link something else would be replaced, somewhere else.
            let is_own = data.is_file() && contains(&fs::read(&file).unwrap_or_default(), mark.as_bytes());
            if !is_own {
                anyhow::bail!(
                    "{} is there already and was not written by this command: it is left alone. Move it away, or name another folder",
                    file.display()
                );
            }
        }
        Ok(Folder { path, missing })
    }

    /// Writes all of the files or none of them: under other names first, then renamed.
    pub fn write(&self, files: &[(&str, &[u8])]) -> anyhow::Result<()> {
        let written = fs::create_dir_all(self.path)
            .with_context(|| format!("the folder {} cannot be made", self.path.display()))
            .and_then(|()| self.write_files(files));
        if written.is_err() {
            // Only what is empty can be removed in this way.
            for folder in self.missing.iter().rev() {
                let _ = fs::remove_dir(folder);
            }
        }
        written
    }

    fn write_files(&self, files: &[(&str, &[u8])]) -> anyhow::Result<()> {
        let mut ready = Vec::with_capacity(files.len());
        for (name, bytes) in files {
            let target = self.path.join(name);
            let file = temporary(self.path, bytes)
                .with_context(|| format!("{} cannot be written", target.display()))?;
            ready.push((file, target));
        }
        for (file, target) in ready {
            let context = || format!("{} cannot be written", target.display());
            file.persist(&target).map_err(|error| error.error).with_context(context)?;
        }
        Ok(())
    }
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len().max(1)).any(|window| window == part)
}

/// The first folder, from `start` upwards, in which `name` exists.
pub fn find_upwards(start: &Path, name: &str) -> Option<PathBuf> {
    start.ancestors().map(|folder| folder.join(name)).find(|path| path.exists())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.bin");
        fs::write(&path, "before").unwrap();
        check_writable(&path).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"before");
        write(&path, b"after").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"after");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_cannot_be_written_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("no/such/out.bin");
        for result in [check_writable(&missing), write(&missing, b""), check_writable(folder.path())] {
            assert!(result.unwrap_err().to_string().ends_with(" cannot be written"));
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_folder_gets_all_files_or_none() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("deep/er");
        let count = || fs::read_dir(root.path()).unwrap().count();
        let folder = Folder::check(&path, &["a", "b"], "mark").unwrap();
        assert_eq!(count(), 0);
        folder.write(&[("a", b"a mark"), ("b/c", b"")]).unwrap_err();
        assert_eq!(fs::read_dir(&path).map_or(0, Iterator::count), 1, "no temporary file is left");
        folder.write(&[("a", b"a mark"), ("b", b"b")]).unwrap();
        // Its own file may be replaced, another one may not.
        Folder::check(&path, &["a"], "mark").unwrap();
        let error = Folder::check(&path, &["a", "b"], "mark").err().unwrap().to_string();
        assert!(error.contains("er/b is there already"), "{error}");
        let error = Folder::check(&path.join("a/in"), &["a"], "mark").err().unwrap();
        assert!(format!("{error:#}").contains("cannot be"), "{error:#}");
    }

    #[test]
    fn folders_that_were_made_for_nothing_are_removed() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("deep/er");
        let folder = Folder::check(&path, &["a"], "mark").unwrap();
        folder.write(&[("no/such/a", b"")]).unwrap_err();
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
    }

    #[cfg(unix)]
    #[test]
    fn links_stay_links_and_devices_devices() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        fs::write(&file, "before").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        write(&link, b"after").unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read(&file).unwrap(), b"after");
        write(Path::new("/dev/null"), b"gone").unwrap();
        assert!(is_special(Path::new("/dev/null")));
    }
}
