//! `frugal generate`: a prompt goes in, text comes out.

use crate::arguments::{DeviceKind, Generate, PrecisionKind};
use crate::{config, device, language, text, UsageError};
use anyhow::bail;
use frugal_compiler::language::{generate, LanguageCompileError};
use frugal_device::{RunResult, Statistics};
use frugal_isa::{Config, Program};
use frugal_language::{ModelConfig, QuantisedModel};
use serde_json::json;
use std::cell::RefCell;
use std::io::{self, Write};

pub fn run(arguments: &Generate) -> anyhow::Result<()> {
    let config = config::load(&arguments.config)?;
    let count = arguments.batch.map_or(arguments.prompt.len(), |batch| batch as usize);
    if count < arguments.prompt.len() {
        let given = arguments.prompt.len();
        return Err(UsageError(format!("--batch {count} is fewer than the {given} prompts")).into());
    }
    if arguments.stream && count > 1 {
        return Err(UsageError(format!("--stream shows one sequence; these are {count}")).into());
    }
    let language = language::open(&arguments.model, arguments.precision, arguments.calibration.as_deref())?;
    let (model, tokenizer) = (&language.model, &language.tokenizer);
    let context = model.config.max_positions;
    let mut prompts = Vec::with_capacity(count);
    for (number, prompt) in arguments.prompt.iter().cycle().take(count).enumerate() {
        let ids = tokenizer.encode(prompt)?;
        if ids.is_empty() {
            bail!("prompt {number} is empty: there is nothing to go on from");
        }
        if ids.len() > context {
            bail!("prompt {number} has {} tokens; the model's context has {context}", ids.len());
        }
        prompts.push(ids);
    }
    // The last token is not fed back.
    let longest = prompts.iter().map(Vec::len).max().unwrap_or(1);
    let wanted = arguments.tokens as usize;
    let tokens = wanted.min(context - longest + 1);
    if tokens < wanted {
        let _ = writeln!(
            io::stderr(),
            "note: generation stops after {tokens} tokens, at the end of the model's context of {context}"
        );
    }

    let lengths: Vec<usize> = prompts.iter().map(Vec::len).collect();
    let (program, at_once) = compile(model, &config, &lengths, tokens)?;
    let input: Vec<u8> = prompts.iter().flatten().flat_map(|id| id.to_le_bytes()).collect();
    let mut runner = device::open(arguments.device, &config, &arguments.simulation, None)?;
    let mut out = io::stdout();
    let inputs = std::slice::from_ref(&input);
    let result = if arguments.stream {
        out.write_all(arguments.prompt[0].as_bytes())?;
        out.flush()?;
        let printer = RefCell::new(Printer::new(tokenizer.stream(), &model.config));
        let layout = &program.outputs[0];
        let watch = |workspace: &[u8]| {
            let row = |r: usize| layout.offset + r * layout.strides[0];
            printer.borrow_mut().show((0..tokens).map_while(|r| id_of_row(workspace, row(r))));
        };
        let result = runner.run_watched(&program, inputs, &watch)?;
        let mut printer = printer.into_inner();
        printer.show(ids(&result).into_iter());
        printer.finish();
        result
    } else {
        runner.run(&program, inputs, "generating")?
    };

    // What the prompts alone take, so that the rest can be told from it.
    let prefill = match (arguments.device, tokens) {
        (DeviceKind::Verilator, 2..) => {
            let program = generate(model, &config, &lengths, at_once, 1)?;
            runner.run(&program, inputs, "measuring the prompt alone")?.statistics
        }
        _ => result.statistics.clone(),
    };
    let ids = ids(&result);
    let sequences: Vec<Vec<u32>> =
        (0..count).map(|b| ids.iter().skip(b).step_by(count).copied().collect()).collect();
    let report =
        Report::new(&model.config, &config, arguments, &lengths, tokens, &prefill, &result.statistics);
    if arguments.json {
        let all: Vec<_> = sequences
            .iter()
            .zip(&prompts)
            .zip(arguments.prompt.iter().cycle())
            .map(|((ids, prompt), given)| {
                let text = tokenizer.decode(until_end(ids, &model.config));
                json!({ "prompt": given, "prompt_ids": prompt, "ids": ids, "text": text })
            })
            .collect();
        let value = json!({
            "model": arguments.model,
            "device": arguments.device.name(),
            "config": config,
            "precision": model.precision,
            "prompt_tokens_at_once": at_once,
            "sequences": all,
            "prefill": report.prefill.as_ref().map(Phase::json),
            "decode": report.decode.as_ref().map(Phase::json),
            "clock_mhz": arguments.clock_mhz,
        });
        writeln!(out, "{value:#}")?;
        return Ok(());
    }
    if !arguments.stream {
        for (ids, prompt) in sequences.iter().zip(arguments.prompt.iter().cycle()) {
            writeln!(out, "{prompt}{}\n", tokenizer.decode(until_end(ids, &model.config)))?;
        }
    } else {
        write!(out, "\n\n")?;
    }
    write!(out, "{}", report.text(arguments, &config, model, &lengths, tokens))?;
    Ok(())
}

/// The program, with as many tokens of a prompt at once as there is memory for.
fn compile(
    model: &QuantisedModel,
    config: &Config,
    lengths: &[usize],
    tokens: usize,
) -> Result<(Program, usize), LanguageCompileError> {
    let mut last = None;
    for at_once in [32, 16, 8, 4, 2, 1] {
        match generate(model, config, lengths, at_once, tokens) {
            Ok(program) => return Ok((program, at_once)),
            Err(error @ LanguageCompileError::Memory { .. }) => last = Some(error),
            Err(error) => return Err(error),
        }
    }
    Err(last.expect("six attempts"))
}

/// The id in a row of the output, when it has been written: the second word is one more.
fn id_of_row(workspace: &[u8], at: usize) -> Option<u32> {
    let word = |at: usize| {
        let bytes = workspace.get(at..at + 4)?;
        Some(u32::from_le_bytes(bytes.try_into().ok()?))
    };
    let (id, next) = (word(at)?, word(at + 4)?);
    (next == id.wrapping_add(1)).then_some(id)
}

fn ids(result: &RunResult) -> Vec<u32> {
    let words = result.outputs[0].chunks_exact(4);
    words.map(|w| u32::from_le_bytes([w[0], w[1], w[2], w[3]])).collect()
}

/// The ids before one that ends the text.
fn until_end<'a>(ids: &'a [u32], config: &ModelConfig) -> &'a [u32] {
    let end = ids.iter().position(|id| config.eos.contains(id)).unwrap_or(ids.len());
    &ids[..end]
}

/// Prints tokens that have not been printed, up to one that ends the text.
struct Printer<'a> {
    stream: frugal_language::tokenizer::Stream<'a>,
    config: &'a ModelConfig,
    shown: usize,
    is_over: bool,
}

impl<'a> Printer<'a> {
    fn new(stream: frugal_language::tokenizer::Stream<'a>, config: &'a ModelConfig) -> Printer<'a> {
        Printer { stream, config, shown: 0, is_over: false }
    }

    fn show(&mut self, ids: impl Iterator<Item = u32>) {
        for id in ids.skip(self.shown) {
            self.shown += 1;
            self.is_over |= self.config.eos.contains(&id);
            if !self.is_over {
                Self::print(&self.stream.push(id));
            }
        }
    }

    fn finish(self) {
        if !self.is_over {
            Self::print(&self.stream.finish());
        }
    }

    /// A closed pipe is seen when the rest is written.
    fn print(text: &str) {
        let mut out = io::stdout();
        let _ = out.write_all(text.as_bytes());
        let _ = out.flush();
    }
}

/// Cost of the prompts, or of the tokens behind them.
struct Phase {
    tokens: u64,
    cycles: u64,
    bytes: u64,
    utilisation: f64,
    bandwidth: f64,
    tokens_per_second: f64,
}

impl Phase {
    fn json(&self) -> serde_json::Value {
        json!({
            "tokens": self.tokens,
            "cycles": self.cycles,
            "cycles_per_token": self.cycles as f64 / self.tokens as f64,
            "utilisation": self.utilisation,
            "bytes_per_token": self.bytes as f64 / self.tokens as f64,
            "bandwidth_share": self.bandwidth,
            "tokens_per_second": self.tokens_per_second,
        })
    }

    fn text(&self) -> String {
        format!(
            "{} cycles a token, array {}, {} bytes a token, bus {} of its limit, {:.1} tokens/s",
            text::thousands(self.cycles / self.tokens),
            text::percent(self.utilisation),
            text::thousands(self.bytes / self.tokens),
            text::percent(self.bandwidth),
            self.tokens_per_second
        )
    }
}

struct Report {
    prefill: Option<Phase>,
    decode: Option<Phase>,
}

impl Report {
    fn new(
        model: &ModelConfig,
        config: &Config,
        arguments: &Generate,
        lengths: &[usize],
        tokens: usize,
        prefill: &Statistics,
        all: &Statistics,
    ) -> Report {
        let rate = if arguments.precision == PrecisionKind::W4a8 { 2.0 } else { 1.0 };
        // Cycles that the array needs at its peak; only the decoder layers' weights may have four bits.
        let needed = |positions: std::ops::Range<usize>, heads: usize| -> f64 {
            let linear = positions.len() as f64 * model.linear_macs() as f64 / rate;
            let attention: u64 = positions.map(|p| model.attention_macs(p)).sum();
            (linear + attention as f64 + (heads as u64 * model.head_macs()) as f64) / config.peak() as f64
        };
        let bytes = |s: &Statistics| s.bytes_read.unwrap_or(0) + s.bytes_written.unwrap_or(0);
        let phase = |tokens: usize, cycles: u64, bytes: u64, needed: f64| {
            let seconds = cycles as f64 / (arguments.clock_mhz * 1e6);
            (tokens > 0 && cycles > 0).then(|| Phase {
                tokens: tokens as u64,
                cycles,
                bytes,
                utilisation: needed / cycles as f64,
                bandwidth: bytes as f64 / (cycles as f64 * config.bus_bytes() as f64),
                tokens_per_second: tokens as f64 / seconds,
            })
        };
        let (Some(cycles), Some(first)) = (all.cycles, prefill.cycles) else {
            return Report { prefill: None, decode: None };
        };
        let prompt = lengths.iter().map(|l| needed(0..*l, 1)).sum();
        let later = lengths.iter().map(|l| needed(*l..*l + tokens - 1, tokens - 1)).sum();
        let generated = (tokens - 1) * lengths.len();
        Report {
            prefill: phase(lengths.iter().sum(), first, bytes(prefill), prompt),
            decode: phase(
                generated,
                cycles.saturating_sub(first),
                bytes(all).saturating_sub(bytes(prefill)),
                later,
            ),
        }
    }

    fn text(
        &self,
        arguments: &Generate,
        config: &Config,
        model: &QuantisedModel,
        lengths: &[usize],
        tokens: usize,
    ) -> String {
        let m = &model.config;
        let mut rows = vec![
            ("device", format!("{}, {}", arguments.device.name(), text::config(config))),
            (
                "model",
                format!(
                    "{}, {} layers, hidden {}, vocabulary {}, {:?}",
                    m.family.name(),
                    m.layers,
                    m.hidden_size,
                    m.vocab_size,
                    model.precision
                ),
            ),
            (
                "tokens",
                format!(
                    "{} in {}, {tokens} generated for each",
                    lengths.iter().sum::<usize>(),
                    if lengths.len() == 1 { "a prompt".into() } else { format!("{} prompts", lengths.len()) }
                ),
            ),
        ];
        match &self.prefill {
            Some(phase) => rows.push(("prompt", phase.text())),
            None => rows.push(("cycles", "none on the functional simulator".into())),
        }
        if let Some(phase) = &self.decode {
            rows.push(("generation", phase.text()));
        }
        if self.prefill.is_some() {
            rows.push(("stated clock", format!("{} MHz", arguments.clock_mhz)));
        }
        text::table(&rows)
    }
}
