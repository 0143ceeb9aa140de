//! A language model: checkpoint, tokenizer, calibration, quantised weights.

pub mod cost;
mod sampling;

use crate::arguments::{PrecisionKind, QuantisationArguments};
use crate::device::{self, Runner, Spinner};
use crate::{files, UsageError};
use anyhow::{bail, Context};
use frugal_compiler::language::{forward, LanguageCompileError};
use frugal_graph::npy;
use frugal_isa::Config;
use frugal_language::integer::Cache;
use frugal_language::quantise::{quantise, Calibration};
use frugal_language::{file, Checkpoint, ModelConfig, Precision, QuantisedModel, Reference, Tokenizer};
use std::path::Path;

/// What calibration reads when there is nothing better. A text like those that the model is for gives better ranges.
const PARAGRAPH: &str = "\
In the year of the great storm the harbour was rebuilt in stone, and every ship that came from the north paid for it with a tenth \
of its timber. \"Who keeps the count?\" asked the captain. The clerk held up a book of 300 pages: names, dates, weights, prices. \
Nobody had ever read it to the end. Later, when the mills began to turn, people said that the book had paid for them twice over; \
others said that 2 + 2 is 4 whatever a clerk may write, and went home to their supper of bread, onions and small beer.\n\
What should we learn from this? First: measure. Second: write it down. Third: let somebody else read it. A function that returns \
its argument is no function for a proud man, yet `fn same(x: i32) -> i32 { x }` has never failed anyone.\n";

/// Windows and tokens of a window that calibration runs.
const WINDOWS: usize = 16;
const WINDOW: usize = 256;

/// A quantised model with its tokenizer.
pub struct Language {
    pub tokenizer: Tokenizer,
    pub model: QuantisedModel,
}

/// Opens a quantised model's file, or reads and quantises the model of a directory.
pub fn open(
    path: &Path,
    precision: Option<PrecisionKind>,
    calibration: Option<&Path>,
) -> anyhow::Result<Language> {
    if path.is_file() {
        return open_file(path, precision, calibration);
    }
    let precision = match precision.unwrap_or(PrecisionKind::W8a8) {
        PrecisionKind::W8a8 => Precision::W8A8,
        PrecisionKind::W4a8 => Precision::W4A8,
    };
    let checkpoint = Checkpoint::open(path)?;
    let tokenizer = Tokenizer::open(path, checkpoint.config().vocab_size)?;
    let model = calibrate_and_quantise(&checkpoint, &tokenizer, precision, calibration)?;
    Ok(Language { tokenizer, model })
}

/// The sizes of the model in a directory or a file.
pub fn config(path: &Path) -> anyhow::Result<ModelConfig> {
    match path.is_file() {
        true => Ok(file::read(path, &files::read(path)?)?.0.config),
        false => Ok(Checkpoint::open(path)?.config().clone()),
    }
}

fn open_file(
    path: &Path,
    precision: Option<PrecisionKind>,
    calibration: Option<&Path>,
) -> anyhow::Result<Language> {
    if calibration.is_some() {
        let message =
            format!("{}: it is quantised already; --calibration goes with a directory", files::show(path));
        return Err(UsageError(message).into());
    }
    let (model, tokenizer) = file::read(path, &files::read(path)?)?;
    let found = match model.precision {
        Precision::W8A8 => PrecisionKind::W8a8,
        Precision::W4A8 => PrecisionKind::W4a8,
    };
    if precision.is_some_and(|wanted| wanted != found) {
        let message =
            format!("{}: its weights are {}; leave --precision out", files::show(path), found.name());
        return Err(UsageError(message).into());
    }
    let bytes = tokenizer.with_context(|| format!("{}: there is no tokenizer in it", files::show(path)))?;
    let tokenizer = Tokenizer::from_bytes(path, &bytes, model.config.vocab_size)?;
    Ok(Language { tokenizer, model })
}

fn calibrate_and_quantise(
    checkpoint: &Checkpoint,
    tokenizer: &Tokenizer,
    precision: Precision,
    calibration: Option<&Path>,
) -> anyhow::Result<QuantisedModel> {
    let (text, source) = calibration_text(checkpoint.directory(), calibration)?;
    let ids = tokenizer.encode(&text)?;
    if ids.is_empty() {
        bail!("{source}: there is no text in it; calibration takes a few thousand words");
    }
    let window = WINDOW.min(checkpoint.config().max_positions);
    let windows: Vec<&[u32]> = ids.chunks(window).take(WINDOWS).collect();
    let _spinner = Spinner::start("calibrating and quantising");
    let reference = Reference::new(checkpoint)?;
    let calibration = Calibration::run(&reference, &windows);
    drop(reference);
    Ok(quantise(checkpoint, &calibration, precision)?)
}

/// Token ids of a file, all of them in the vocabulary.
pub fn read_ids(path: &Path, vocabulary: usize) -> anyhow::Result<Vec<u32>> {
    let ids = npy::read_ids(&files::read(path)?).with_context(|| files::show(path))?;
    match ids.iter().position(|id| *id as usize >= vocabulary) {
        Some(at) => bail!(
            "{}: id {} at element {at}; the model's vocabulary has {vocabulary}. Take ids of the same tokenizer",
            files::show(path),
            ids[at]
        ),
        None => Ok(ids),
    }
}

/// Whatever computes logits.
pub enum Integers {
    Loops,
    Device(Box<Runner>, Box<Config>),
}

impl Integers {
    pub fn open(arguments: &QuantisationArguments) -> anyhow::Result<Integers> {
        let Some(kind) = arguments.device else { return Ok(Integers::Loops) };
        let config = crate::config::load(&arguments.config)?;
        let runner = device::open(kind, &config, &arguments.simulation, None)?;
        Ok(Integers::Device(Box::new(runner), Box::new(config)))
    }

    /// Logits of every position of a window, in real numbers.
    pub fn logits(&mut self, model: &QuantisedModel, window: &[u32]) -> anyhow::Result<Vec<f32>> {
        let real = |logit: i32| (f64::from(logit) * model.logit_scale) as f32;
        let Integers::Device(runner, config) = self else { return Ok(in_loops(model, window)) };
        let mut logits = Vec::with_capacity(window.len() * model.config.vocab_size);
        let mut at_once = 32;
        let mut start = 0;
        while start < window.len() {
            let count = window.len().min(start + at_once) - start;
            let program = match forward(model, config, start, count, window.len()) {
                // Fewer at once need less memory.
                Err(LanguageCompileError::Memory { .. }) if at_once > 1 => {
                    at_once /= 2;
                    continue;
                }
                other => other?,
            };
            let input: Vec<u8> =
                window[start..start + count].iter().flat_map(|id| id.to_le_bytes()).collect();
            let label = format!("positions {start} to {}", start + count);
            let result = runner.run(&program, &[input], &label)?;
            let words = result.outputs[0].chunks_exact(4);
            logits.extend(words.map(|w| real(i32::from_le_bytes([w[0], w[1], w[2], w[3]]))));
            start += count;
        }
        Ok(logits)
    }
}

/// Logits of every position, from the integer model in plain loops.
pub fn in_loops(model: &QuantisedModel, window: &[u32]) -> Vec<f32> {
    let mut cache = Cache::default();
    let steps = window.iter().flat_map(|id| model.step(&mut cache, *id, &mut |_, _, _| {}));
    steps.map(|logit| (f64::from(logit) * model.logit_scale) as f32).collect()
}

/// The text, and what to call it.
fn calibration_text(directory: &Path, given: Option<&Path>) -> anyhow::Result<(String, String)> {
    let own = directory.join("corpus.txt");
    let path = match given {
        Some(path) => path,
        None if own.is_file() => &own,
        None => return Ok((PARAGRAPH.to_owned(), "the built-in paragraph".to_owned())),
    };
    let bytes = files::read(path)?;
    let text = String::from_utf8(bytes).with_context(|| format!("{}: not UTF-8", files::show(path)))?;
    Ok((text, files::show(path)))
}
