//! Finds Verilator and calls it and the C++ compiler.
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use super::VerilateError;

/// A Verilator installation.
#[derive(Clone, Debug)]
pub(super) struct Verilator {
    pub(super) binary: PathBuf,
    /// Holds `include/verilated.h`.
    pub(super) root: PathBuf,
    pub(super) version: String,
}

impl Verilator {
    /// In this order: `FRUGAL_VERILATOR_ROOT`, the checkout's `.venv` (from this crate's folder, then from the current
    /// folder upwards), the system's package.
    pub(super) fn find() -> Result<Self, VerilateError> {
        let mut tried = Vec::new();
        if let Some(root) = std::env::var_os("FRUGAL_VERILATOR_ROOT") {
            tried.push(PathBuf::from(root));
        } else {
            let current = std::env::current_dir().unwrap_or_default();
            let checkout = super::build::checkout();
            for folder in std::iter::once(checkout.as_path()).chain(current.ancestors()) {
                tried.extend(packages_in(&folder.join(".venv")));
            }
        }
        for root in tried {
            let binary = root.join("bin/verilator_bin");
            if binary.is_file() && root.join("include/verilated.h").is_file() {
                return Self::at(binary, root);
            }
        }
        if std::env::var_os("FRUGAL_VERILATOR_ROOT").is_none() {
            let system = Path::new("/usr/share/verilator");
            if let (true, Some(binary)) =
                (system.join("include/verilated.h").is_file(), on_path("verilator_bin"))
            {
                return Self::at(binary, system.into());
            }
        }
        Err(VerilateError::VerilatorMissing)
    }

    fn at(binary: PathBuf, root: PathBuf) -> Result<Self, VerilateError> {
        let mut command = Command::new(&binary);
        command.arg("--version").env("VERILATOR_ROOT", &root);
        let version = run("Verilator", &mut command)?;
        Ok(Self { binary, root, version: version.trim().to_owned() })
    }

    pub(super) fn command(&self) -> Command {
        let mut command = Command::new(&self.binary);
        command.env("VERILATOR_ROOT", &self.root);
        command
    }

    pub(super) fn include(&self) -> PathBuf {
        self.root.join("include")
    }
}

/// `lib/python3*/site-packages/verilator` of a virtual environment.
fn packages_in(environment: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(environment.join("lib")) else {
        return Vec::new();
    };
    let mut found: Vec<PathBuf> = entries
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with("python3"))
        .map(|entry| entry.path().join("site-packages/verilator"))
        .collect();
    found.sort();
    found
}

fn on_path(program: &str) -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?)
        .map(|folder| folder.join(program))
        .find(|path| path.is_file())
}

/// A file to compile.
pub(super) struct Unit {
    pub(super) path: PathBuf,
    /// How much to optimise.
    pub(super) flag: &'static str,
}

/// The C++ compiler with the flags all files share.
#[derive(Clone)]
pub(super) struct Compiler {
    tool: cc::Tool,
    /// Part of the cache's key.
    pub(super) identity: String,
}

impl Compiler {
    /// Asks the compiler what it can do, once for each process. `scratch` is for `cc`'s trial files.
    pub(super) fn find(scratch: &Path) -> Result<Self, VerilateError> {
        static FOUND: Mutex<Option<Compiler>> = Mutex::new(None);
        let mut found = FOUND.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(compiler) = &*found {
            return Ok(compiler.clone());
        }
        let target = target_triple();
        let mut build = cc::Build::new();
        build
            .cpp(true)
            .std("c++17")
            .target(&target)
            .host(&target)
            .opt_level(3)
            .debug(false)
            .pic(true)
            .warnings(false)
            .extra_warnings(false)
            .cargo_metadata(false)
            .cargo_output(false)
            .out_dir(scratch);
        for flag in ["-march=native", "-fno-gnu-unique", "-fvisibility=hidden", "-fvisibility-inlines-hidden"]
        {
            build.flag_if_supported(flag);
        }
        for name in ["VL_TIME_CONTEXT", "VL_USER_STOP", "VL_USER_FINISH", "VL_USER_FATAL"] {
            build.define(name, None);
        }
        let tool =
            build.try_get_compiler().map_err(|error| VerilateError::CompilerMissing(error.to_string()))?;
        let version = run("the C++ compiler", tool.to_command().arg("--version"))?;
        let arguments: Vec<String> =
            tool.args().iter().map(|flag| flag.to_string_lossy().into_owned()).collect();
        // `-march=native` means another machine code on another processor.
        let identity = format!("{version}\n{}\n{}", arguments.join(" "), processor());
        let compiler = Self { tool, identity };
        *found = Some(compiler.clone());
        Ok(compiler)
    }

    /// Compiles every source into an object of the same name in `folder`, some at a time.
    pub(super) fn objects(
        &self,
        units: &[Unit],
        includes: &[PathBuf],
        folder: &Path,
    ) -> Result<Vec<PathBuf>, VerilateError> {
        let jobs = std::thread::available_parallelism().map_or(1, usize::from).min(units.len()).max(1);
        let objects: Vec<PathBuf> = units
            .iter()
            .map(|unit| folder.join(unit.path.file_name().unwrap_or_default()).with_extension("o"))
            .collect();
        let next = std::sync::atomic::AtomicUsize::new(0);
        std::thread::scope(|scope| {
            let workers: Vec<_> = (0..jobs)
                .map(|_| {
                    scope.spawn(|| loop {
                        let number = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                        let Some((unit, object)) = units.get(number).zip(objects.get(number)) else {
                            return Ok(());
                        };
                        let mut command = self.tool.to_command();
                        command.args(includes.iter().map(|folder| format!("-I{}", folder.display())));
                        run(
                            "the C++ compiler",
                            command.arg(unit.flag).arg("-c").arg(&unit.path).arg("-o").arg(object),
                        )?;
                    })
                })
                .collect();
            workers
                .into_iter()
                .try_for_each(|worker| worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
        })?;
        Ok(objects)
    }

    pub(super) fn link(&self, objects: &[PathBuf], library: &Path) -> Result<(), VerilateError> {
        let mut command = self.tool.to_command();
        command.arg("-shared").arg("-o").arg(library).args(objects).arg("-lpthread");
        run("the linker", &mut command).map(|_| ())
    }
}

fn target_triple() -> String {
    let architecture = std::env::consts::ARCH;
    match std::env::consts::OS {
        "macos" => format!("{architecture}-apple-darwin"),
        system => format!("{architecture}-unknown-{system}-gnu"),
    }
}

/// What the processor can do, as far as the system says.
fn processor() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    text.lines()
        .find(|line| line.starts_with("flags") || line.starts_with("Features"))
        .unwrap_or_default()
        .to_owned()
}

/// Standard output; an error holds everything the program said.
pub(super) fn run(tool: &'static str, command: &mut Command) -> Result<String, VerilateError> {
    let output = command.output().map_err(|source| VerilateError::CannotRun {
        tool,
        program: command.get_program().into(),
        source,
    })?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(text);
    }
    let log = format!("{text}{}", String::from_utf8_lossy(&output.stderr));
    Err(VerilateError::ToolFailed { tool, log })
}
