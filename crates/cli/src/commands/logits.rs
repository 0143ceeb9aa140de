//! `frugal logits`: a language model's logits, as an array.

use crate::arguments::Logits;
use crate::language::{self, Integers};
use crate::{files, text};
use anyhow::bail;
use frugal_graph::npy::{self, Array, Elements};
use frugal_language::{Checkpoint, Reference};
use std::io::Write;

pub fn run(arguments: &Logits) -> anyhow::Result<()> {
    files::check_writable(&arguments.output)?;
    let config = language::config(&arguments.model)?;
    let ids = language::read_ids(&arguments.ids, config.vocab_size)?;
    if ids.is_empty() || ids.len() > config.max_positions {
        bail!(
            "{}: {} ids; the model's context takes 1 to {}",
            files::show(&arguments.ids),
            ids.len(),
            config.max_positions
        );
    }
    let (logits, what) = if arguments.float {
        (Reference::new(&Checkpoint::open(&arguments.model)?)?.logits(&ids), "float32".to_owned())
    } else {
        let options = &arguments.quantisation;
        let language = language::open(&arguments.model, options.precision, options.calibration.as_deref())?;
        let logits = Integers::open(options)?.logits(&language.model, &ids)?;
        let device = options.device.map_or("the integer model", |device| device.name());
        (logits, format!("{:?} on {device}", language.model.precision))
    };
    let array = Array { shape: vec![ids.len(), config.vocab_size], data: Elements::F32(logits) };
    files::write(&arguments.output, &npy::write(&array))?;
    let rows = [
        ("logits", format!("{} positions x {}, {what}", ids.len(), config.vocab_size)),
        ("written", arguments.output.display().to_string()),
    ];
    write!(std::io::stdout(), "{}", text::table(&rows))?;
    Ok(())
}
