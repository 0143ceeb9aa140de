//! `frugal quantise`: a language model as one file of integers.

use crate::arguments::Quantise;
use crate::{files, language, text, UsageError};
use frugal_language::file;
use serde_json::json;
use std::io::{self, Write};

pub fn run(arguments: &Quantise) -> anyhow::Result<()> {
    if arguments.model.is_file() {
        let message = format!("{}: a folder is quantised, and this is a file", files::show(&arguments.model));
        return Err(UsageError(message).into());
    }
    files::check_writable(&arguments.out)?;
    let calibration = arguments.calibration.as_deref();
    let opened = language::open(&arguments.model, Some(arguments.precision), calibration)?;
    let tokenizer = files::read(&arguments.model.join("tokenizer.json"))?;
    let bytes = file::write(&opened.model, Some(&tokenizer));
    files::write(&arguments.out, &bytes)?;
    let config = &opened.model.config;
    let parameters: usize = config.tensors().iter().map(|t| t.shape.iter().product::<usize>()).sum();
    let mut out = io::stdout();
    if arguments.json {
        let value = json!({
            "model": arguments.model,
            "file": arguments.out,
            "precision": opened.model.precision,
            "parameters": parameters,
            "bytes": bytes.len(),
        });
        writeln!(out, "{value:#}")?;
        return Ok(());
    }
    let rows = [
        (
            "model",
            format!(
                "{}, {} layers, hidden {}, vocabulary {}, {} parameters",
                config.family.name(),
                config.layers,
                config.hidden_size,
                config.vocab_size,
                text::thousands(parameters as u64)
            ),
        ),
        ("written", format!("{}, {:?}", arguments.out.display(), opened.model.precision)),
        (
            "bytes",
            format!(
                "{}, {:.2} a parameter",
                text::thousands(bytes.len() as u64),
                bytes.len() as f64 / parameters as f64
            ),
        ),
    ];
    write!(out, "{}", text::table(&rows))?;
    Ok(())
}
