//! The `frugal` command line.
//!
//! | module | what it holds |
//! |---|---|
//! | `arguments` | commands, options and their help |
//! | `commands` | one file a command |
//! | `config`, `model`, `input`, `files` | what comes in and goes out, with errors that name it |
//! | `language` | a language model: checkpoint, tokenizer, calibration, quantised weights |
//! | `device` | the device to run on, with progress |
//! | `recording` | what happened in a run, command by command |
//! | `text` | numbers and results for people |
//!
//! Exit codes: 0 done, 1 failed, 2 wrong usage.

mod arguments;
mod commands;
mod config;
mod device;
mod files;
mod input;
mod language;
mod model;
mod recording;
mod text;

use clap::Parser;
use std::io::{self, Write};
use std::process::ExitCode;

/// Arguments that are each right but do not go together.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct UsageError(pub String);

fn main() -> ExitCode {
    let arguments = arguments::Arguments::parse();
    let Err(error) = commands::run(arguments) else { return ExitCode::SUCCESS };
    // `frugal disasm program.bin | head` is no failure.
    let closed = |cause: &(dyn std::error::Error + 'static)| {
        cause.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
    };
    if error.chain().any(closed) {
        return ExitCode::SUCCESS;
    }
    let _ = writeln!(io::stderr(), "error: {}", describe(&error));
    ExitCode::from(if error.is::<UsageError>() { 2 } else { 1 })
}

/// The chain of causes on one line; a cause that the message before it has repeated is left out.
fn describe(error: &anyhow::Error) -> String {
    let mut parts: Vec<String> = Vec::new();
    for cause in error.chain().map(ToString::to_string) {
        if !parts.last().is_some_and(|last| last.contains(&cause)) {
            parts.push(cause);
        }
    }
    parts.join(": ")
}
