//! `frugal perplexity`: what quantisation costs a language model.

use crate::arguments::Perplexity;
use crate::device::Spinner;
use crate::language::{self, Integers};
use crate::{files, text, UsageError};
use anyhow::{bail, Context};
use frugal_language::measure::{divergence, nll};
use frugal_language::{Checkpoint, Reference};
use rayon::prelude::*;
use serde_json::json;
use std::io::Write;

const WINDOW: usize = 256;

pub fn run(arguments: &Perplexity) -> anyhow::Result<()> {
    let options = &arguments.quantisation;
    let config = language::config(&arguments.model)?;
    let length = arguments.window.map_or(WINDOW.min(config.max_positions), |window| window as usize);
    if length > config.max_positions {
        let context = config.max_positions;
        return Err(UsageError(format!("--window {length}; the model's context has {context}")).into());
    }
    let language = language::open(&arguments.model, options.precision, options.calibration.as_deref())?;
    let (ids, source) = match (&arguments.ids, &arguments.text) {
        (Some(path), _) => (language::read_ids(path, config.vocab_size)?, path),
        (None, Some(path)) => {
            let text = String::from_utf8(files::read(path)?)
                .with_context(|| format!("{}: not UTF-8", files::show(path)))?;
            (language.tokenizer.encode(&text)?, path)
        }
        (None, None) => bail!("--ids or --text is needed"),
    };
    // Each token predicts the one behind it.
    let all = ids.windows(length + 1).step_by(length);
    let windows: Vec<&[u32]> = all.take(arguments.windows.map_or(usize::MAX, |n| n as usize)).collect();
    if windows.is_empty() {
        bail!("{}: {} tokens; a window takes {} and the next one", files::show(source), ids.len(), length);
    }

    let (model, vocabulary) = (&language.model, config.vocab_size);
    // A quantised file has no float32 weights.
    let reference = match arguments.model.is_file() {
        true => None,
        false => Some(Reference::new(&Checkpoint::open(&arguments.model)?)?),
    };
    let spinner = Spinner::start(&format!("{} windows of {length} tokens", windows.len()));
    // Sums over the tokens of a window: likelihoods of both, and the divergence.
    let score = |window: &[u32], integer: &[f32]| -> [f64; 3] {
        let Some(reference) = &reference else {
            let rows = integer.chunks(vocabulary).zip(&window[1..]);
            return [0.0, rows.map(|(integer, id)| nll(integer, *id)).sum(), 0.0];
        };
        let float = reference.logits(&window[..length]);
        let rows = float.chunks(vocabulary).zip(integer.chunks(vocabulary)).zip(&window[1..]);
        rows.fold([0.0; 3], |sum, ((float, integer), id)| {
            [sum[0] + nll(float, *id), sum[1] + nll(integer, *id), sum[2] + divergence(float, integer)]
        })
    };
    let sums: Vec<[f64; 3]> = match Integers::open(options)? {
        Integers::Loops => {
            windows.par_iter().map(|w| score(w, &language::in_loops(model, &w[..length]))).collect()
        }
        mut device => {
            drop(spinner);
            let each = windows.iter().map(|w| Ok(score(w, &device.logits(model, &w[..length])?)));
            each.collect::<anyhow::Result<_>>()?
        }
    };
    let tokens = (windows.len() * length) as f64;
    let mean = |i: usize| sums.iter().map(|s| s[i]).sum::<f64>() / tokens;
    let (float, integer, divergence) = (mean(0), mean(1), mean(2));
    let mut out = std::io::stdout();
    let device = options.device.map_or("integer model", |device| device.name());
    let has_float = reference.is_some();
    if arguments.json {
        let perplexity = |nll: f64| json!({ "nll": nll, "perplexity": nll.exp() });
        let value = json!({
            "model": arguments.model,
            "device": device,
            "precision": model.precision,
            "windows": windows.len(),
            "tokens": windows.len() * length,
            "float": has_float.then(|| perplexity(float)),
            "integer": perplexity(integer),
            "nll_difference": has_float.then_some(integer - float),
            "divergence": has_float.then_some(divergence),
        });
        writeln!(out, "{value:#}")?;
        return Ok(());
    }
    let show = |nll: f64| format!("{:.4} ({nll:.5} nats a token)", nll.exp());
    let mut rows = vec![
        ("text", format!("{} windows of {length} tokens of {}", windows.len(), files::show(source))),
        ("integer perplexity", format!("{}, {:?} on {device}", show(integer), model.precision)),
    ];
    match has_float {
        true => rows.extend([
            ("float32 perplexity", show(float)),
            ("difference", format!("{:+.5} nats a token", integer - float)),
            ("divergence", format!("{divergence:.5} nats a token")),
        ]),
        false => rows.push(("float32 perplexity", "not known: the file has integers only".into())),
    }
    write!(out, "{}", text::table(&rows))?;
    Ok(())
}
