//! Runs the built `frugal` in a folder of its own.
#![allow(dead_code)] // Each test binary uses a part of it.

pub mod browser;
pub mod models;

use frugal_graph::npy::{self, Array, Elements};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A file of the checkout.
pub fn checkout(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

pub fn digits(file: &str) -> String {
    checkout("models/digits").join(file).to_string_lossy().into_owned()
}

/// What a command did.
pub struct Done {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// An empty folder to run commands in.
pub struct Sandbox {
    folder: tempfile::TempDir,
}

impl Sandbox {
    pub fn new() -> Sandbox {
        Sandbox { folder: tempfile::tempdir().expect("a temporary folder") }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> String {
        let path = self.path(name);
        std::fs::write(&path, bytes).expect("writable");
        path.to_string_lossy().into_owned()
    }

    pub fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    pub fn write_array(&self, name: &str, shape: &[usize], data: Elements) -> String {
        self.write(name, npy::write(&Array { shape: shape.to_vec(), data }))
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_frugal"));
        command.args(arguments).current_dir(self.folder.path());
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Done {
        self.finish(&mut self.command(arguments))
    }

    pub fn finish(&self, command: &mut Command) -> Done {
        let Output { status, stdout, stderr } = command.output().expect("frugal starts");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
        Done { code: status.code(), stdout: text(stdout), stderr: text(stderr) }
    }

    /// Everything that was printed; fails unless the command did well.
    pub fn succeed(&self, arguments: &[&str]) -> String {
        let done = self.run(arguments);
        assert_eq!(done.code, Some(0), "frugal {}: {}", arguments.join(" "), done.stderr);
        done.stdout
    }

    pub fn succeed_with_json(&self, arguments: &[&str]) -> serde_json::Value {
        serde_json::from_str(&self.succeed(arguments)).expect("one JSON object")
    }

    /// The message of a command that fails with `code`, prints no result, and leaves no file but those that were there.
    pub fn fail(&self, code: i32, arguments: &[&str]) -> String {
        self.fail_command(code, &mut self.command(arguments))
    }

    pub fn fail_command(&self, code: i32, command: &mut Command) -> String {
        let before = self.files();
        let done = self.finish(command);
        assert_eq!(done.code, Some(code), "{command:?}: {}{}", done.stdout, done.stderr);
        assert_eq!(done.stdout, "", "{command:?}");
        assert_eq!(self.files(), before, "{command:?} leaves files behind");
        assert!(!done.stderr.contains("panicked"), "{command:?}: {}", done.stderr);
        done.stderr
    }

    fn files(&self) -> Vec<PathBuf> {
        fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
            for entry in std::fs::read_dir(folder).expect("readable").flatten() {
                found.push(entry.path());
                if entry.path().is_dir() {
                    walk(&entry.path(), found);
                }
            }
        }
        let mut found = Vec::new();
        walk(self.folder.path(), &mut found);
        found.sort();
        found
    }
}

/// Fails unless every part is in the message.
pub fn assert_says(message: &str, parts: &[&str]) {
    for part in parts {
        assert!(message.contains(part), "no {part:?} in: {message}");
    }
}
