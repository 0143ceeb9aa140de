//! Builds models, and keeps them in the cache.
use frugal_hdl::emit::{ModuleInfo, VerilogFile};
use sha2::{Digest, Sha256};
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use super::toolchain::{run, Compiler, Unit, Verilator};
use super::{shim, BuildOptions, Destroy, Eval, Loaded, New, Speed, Trace, TraceTo, VerilateError};

/// Warnings that Rust's own checks cover (widths) or that are no defect (unread bits; one file for all modules).
const WAIVED: &[&str] = &["-Wno-WIDTH", "-Wno-WIDTHEXPAND", "-Wno-WIDTHTRUNC", "-Wno-UNUSEDSIGNAL"];

/// Verilator's lint with every warning an error, latches and combinational loops included; only widths and unread signals
/// are waived.
pub fn lint_only(file: &VerilogFile) -> Result<(), VerilateError> {
    let verilator = Verilator::find()?;
    let top = file.top();
    let folder = Scratch::new("lint")?;
    let source = folder.write(&format!("{}.v", top.name), &file.text)?;
    let mut command = verilator.command();
    command.arg("--lint-only").arg("-Wall").args(WAIVED).arg("--top-module").arg(&top.name).arg(source);
    run("Verilator", &mut command).map(|_| ())
}

/// The checkout this crate was built from.
pub(super) fn checkout() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_owned()
}

fn cache_dir() -> PathBuf {
    match std::env::var_os("FRUGAL_CACHE_DIR") {
        Some(folder) => PathBuf::from(folder),
        None => checkout().join("target/verilated"),
    }
}

fn cache_error(path: &Path) -> impl FnOnce(std::io::Error) -> VerilateError + '_ {
    move |source| VerilateError::Cache { path: path.into(), source }
}

/// A folder next to the cache's entries, so that a finished one can be renamed into place; gone when dropped.
struct Scratch {
    path: PathBuf,
}

impl Scratch {
    fn new(purpose: &str) -> Result<Self, VerilateError> {
        static NUMBER: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let path = cache_dir().join(format!(".{purpose}-{}-{number}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).map_err(cache_error(&path))?;
        Ok(Self { path })
    }

    fn write(&self, name: &str, text: &str) -> Result<PathBuf, VerilateError> {
        let path = self.path.join(name);
        std::fs::write(&path, text).map_err(cache_error(&path))?;
        Ok(path)
    }

    /// Makes this folder the cache's entry, unless another process was faster.
    fn publish(self, entry: &Path) -> Result<(), VerilateError> {
        match std::fs::rename(&self.path, entry) {
            Err(_) if entry.is_dir() => Ok(()),
            result => result.map_err(cache_error(entry)),
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

/// One build at a time in a process; each uses all cores.
static BUILD: Mutex<()> = Mutex::new(());

const LIBRARY: &str = "model.so";
/// The library's own hash: a damaged library must not reach the loader.
const CHECKSUM: &str = "model.sha256";

pub(super) fn load_or_build(
    text: &str,
    top: &ModuleInfo,
    options: &BuildOptions,
) -> Result<Loaded, VerilateError> {
    let verilator = Verilator::find()?;
    let scratch = Scratch::new("build")?;
    let compiler = Compiler::find(&scratch.path)?;
    let shim = shim::source(top, options.trace);
    let flags = verilator_flags(options.trace);
    let key = hash(&[
        text,
        &top.name,
        &shim,
        &flags.join(" "),
        optimisation(options.speed),
        &verilator.version,
        &compiler.identity,
    ]);
    let entry = cache_dir().join(key);
    let _guard = BUILD.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    if let Some(loaded) = intact(&entry).and_then(|library| load(&library).ok()) {
        return Ok(loaded);
    }
    let _ = std::fs::remove_dir_all(&entry);
    build(&verilator, &compiler, &scratch, text, top, &shim, options)?;
    for (name, _) in scratch_entries(&scratch.path) {
        if name != LIBRARY && name != CHECKSUM {
            let path = scratch.path.join(name);
            let _ = std::fs::remove_file(&path).or_else(|_| std::fs::remove_dir_all(&path));
        }
    }
    scratch.publish(&entry)?;
    load(&entry.join(LIBRARY))
}

fn scratch_entries(folder: &Path) -> Vec<(String, PathBuf)> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut found: Vec<_> = entries
        .flatten()
        .map(|entry| (entry.file_name().to_string_lossy().into_owned(), entry.path()))
        .collect();
    found.sort();
    found
}

/// The library of a cache entry, if it is there and undamaged.
fn intact(entry: &Path) -> Option<PathBuf> {
    let library = entry.join(LIBRARY);
    let expected = std::fs::read_to_string(entry.join(CHECKSUM)).ok()?;
    let actual = hex(&Sha256::digest(std::fs::read(&library).ok()?));
    (actual == expected.trim()).then_some(library)
}

/// The C++ compiler's flag for what runs every cycle.
fn optimisation(speed: Speed) -> &'static str {
    match speed {
        Speed::Run => "-O2",
        Speed::Build => "-O0",
    }
}

fn verilator_flags(trace: Trace) -> Vec<&'static str> {
    let mut flags = vec![
        "--cc",
        "-O3",
        "--x-assign",
        "fast",
        "--x-initial",
        "fast",
        "--no-timing",
        // In waveforms a cycle takes 10 ns.
        "--timescale",
        "1ns/1ns",
        "--assert",
        "--output-split",
        "20000",
        "--prefix",
        shim::PREFIX,
        "-Wall",
    ];
    flags.extend(WAIVED);
    match trace {
        Trace::Off => {}
        Trace::Vcd => flags.push("--trace"),
        Trace::Fst => flags.push("--trace-fst"),
    }
    flags
}

fn build(
    verilator: &Verilator,
    compiler: &Compiler,
    scratch: &Scratch,
    text: &str,
    top: &ModuleInfo,
    shim: &str,
    options: &BuildOptions,
) -> Result<(), VerilateError> {
    let trace = options.trace;
    if trace == Trace::Fst {
        if !verilator.include().join("fstcpp").is_dir() {
            return Err(VerilateError::FstUnavailable);
        }
        scratch.write("lz4.h", shim::LZ4_HEADER)?;
        scratch.write("zlib.h", shim::ZLIB_HEADER)?;
    }
    let source = scratch.write(&format!("{}.v", top.name), text)?;
    let shim = scratch.write("shim.cpp", shim)?;
    let mut command = verilator.command();
    command.args(verilator_flags(trace)).arg("--Mdir").arg(&scratch.path);
    run("Verilator", command.arg("--top-module").arg(&top.name).arg(source))?;
    let includes = includes(verilator, scratch);
    let units = units(scratch, &shim, optimisation(options.speed))?;
    let mut objects = compiler.objects(&units, &includes, &scratch.path)?;
    objects.extend(runtime(verilator, compiler, trace, scratch)?);
    let library = scratch.path.join(LIBRARY);
    compiler.link(&objects, &library)?;
    let bytes = std::fs::read(&library).map_err(cache_error(&library))?;
    scratch.write(CHECKSUM, &hex(&Sha256::digest(bytes)))?;
    Ok(())
}

/// Verilator writes many small files, each of which would parse the same headers again: a few files that include them
/// compile several times faster. What runs once (`__Slow`) is not optimised.
fn units(scratch: &Scratch, shim: &Path, optimisation: &'static str) -> Result<Vec<Unit>, VerilateError> {
    const LEAST_UNIT_BYTES: u64 = 400_000;
    let size = |path: &Path| std::fs::metadata(path).map_or(0, |data| data.len());
    let generated = scratch_entries(&scratch.path).into_iter().filter(|(name, _)| {
        name.starts_with(shim::PREFIX) && name.ends_with(".cpp") && !name.ends_with("__main.cpp")
    });
    let (slow, mut fast): (Vec<PathBuf>, Vec<PathBuf>) =
        generated.map(|(_, path)| path).partition(|path| path.to_string_lossy().contains("__Slow"));
    fast.insert(0, shim.to_owned());
    let mut units = Vec::new();
    for (sources, kind, flag) in [(fast, "fast", optimisation), (slow, "slow", "-O0")] {
        let total: u64 = sources.iter().map(|path| size(path)).sum();
        let unit_bytes = LEAST_UNIT_BYTES.max(total / 4);
        let mut text = String::new();
        let mut bytes = 0;
        for (number, source) in sources.iter().enumerate() {
            let _ = writeln!(text, "#include \"{}\"", source.display());
            bytes += size(source);
            if bytes >= unit_bytes || number + 1 == sources.len() {
                let path = scratch.write(&format!("{kind}_{number}.cpp"), &text)?;
                units.push(Unit { path, flag });
                (text, bytes) = (String::new(), 0);
            }
        }
    }
    Ok(units)
}

/// Where C++ headers are: generated ones and our stand-ins first.
fn includes(verilator: &Verilator, scratch: &Scratch) -> [PathBuf; 3] {
    [scratch.path.clone(), verilator.include(), verilator.include().join("vltstd")]
}

/// Verilator's own run-time files, compiled once for all models.
fn runtime(
    verilator: &Verilator,
    compiler: &Compiler,
    trace: Trace,
    scratch: &Scratch,
) -> Result<Vec<PathBuf>, VerilateError> {
    let mut names = vec!["verilated", "verilated_threads"];
    match trace {
        Trace::Off => {}
        Trace::Vcd => names.push("verilated_vcd_c"),
        Trace::Fst => names.push("verilated_fst_c"),
    }
    let key = hash(&[
        &verilator.version,
        &compiler.identity,
        &names.join(" "),
        shim::LZ4_HEADER,
        shim::ZLIB_HEADER,
    ]);
    let entry = cache_dir().join(format!("runtime-{}", &key[..16]));
    let objects =
        |folder: &Path| names.iter().map(|name| folder.join(name).with_extension("o")).collect::<Vec<_>>();
    if objects(&entry).iter().all(|object| object.is_file()) {
        return Ok(objects(&entry));
    }
    let _ = std::fs::remove_dir_all(&entry);
    let fresh = Scratch::new("runtime")?;
    let unit = |name: &&str| Unit { path: verilator.include().join(name).with_extension("cpp"), flag: "-O2" };
    let units: Vec<Unit> = names.iter().map(unit).collect();
    compiler.objects(&units, &includes(verilator, scratch), &fresh.path)?;
    fresh.publish(&entry)?;
    Ok(objects(&entry))
}

fn load(path: &Path) -> Result<Loaded, VerilateError> {
    let error = |source| VerilateError::Load { path: path.into(), source };
    // SAFETY: the library was built from our shim (its checksum was just compared or written); loading it runs only the
    // C++ runtime's own initialisers.
    let library = unsafe { libloading::Library::new(path) }.map_err(error)?;
    // SAFETY: the four symbols have these types in the shim, which is part of the library's cache key; the pointers stay
    // valid because the library is kept next to them.
    unsafe {
        let new = *library.get::<New>(b"model_new\0").map_err(error)?;
        let eval = *library.get::<Eval>(b"model_eval\0").map_err(error)?;
        let trace = *library.get::<TraceTo>(b"model_trace\0").map_err(error)?;
        let destroy = *library.get::<Destroy>(b"model_destroy\0").map_err(error)?;
        Ok(Loaded { new, eval, trace, destroy, _library: library })
    }
}

/// SHA-256 over the parts and their lengths.
fn hash(parts: &[&str]) -> String {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    hex(&hasher.finalize())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
