//! `frugal generate`: a prompt goes in, text comes out.

use super::synthetic;
use crate::arguments::{DeviceKind, Generate};
use crate::device::Runner;
use crate::language::cost::{Cost, Generation};
use crate::{config, device, language, text, UsageError};
use anyhow::bail;
use frugal_device::Statistics;
use frugal_language::sample::Sampler;
use frugal_language::ModelConfig;
use serde_json::json;
use std::cell::RefCell;
use std::io::{self, Write};

pub fn run(arguments: &Generate) -> anyhow::Result<()> {
    let path = match (&arguments.synthetic, &arguments.model) {
        (Some(name), _) => return synthetic::run(name, arguments),
        (None, Some(path)) => path,
        (None, None) => return Err(UsageError("a model is needed, or --synthetic".into()).into()),
    };
    let config = config::load(&arguments.config)?;
    let count = arguments.batch.map_or(arguments.prompt.len(), |batch| batch as usize);
    if count < arguments.prompt.len() {
        let given = arguments.prompt.len();
        return Err(UsageError(format!("--batch {count} is fewer than the {given} prompts")).into());
    }
    if arguments.stream && count > 1 {
        return Err(UsageError(format!("--stream shows one sequence; these are {count}")).into());
    }
    let language = language::open(path, arguments.precision, arguments.calibration.as_deref())?;
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

    let lengths = prompts.iter().map(Vec::len).collect();
    let generation = Generation { model, config: &config, lengths, tokens };
    let mut runner = device::open(arguments.device, &config, &arguments.simulation, None)?;
    let mut out = io::stdout();
    let mut printer = None;
    if arguments.stream {
        out.write_all(arguments.prompt[0].as_bytes())?;
        out.flush()?;
        printer = Some(Printer::new(tokenizer.stream(), &model.config));
    }
    let is_sampled = arguments.temperature.is_some() || arguments.top_k.is_some();
    let Generated { sequences, all, prefill } = match is_sampled {
        true => sampled(arguments, &generation, &mut runner, &prompts, &mut printer)?,
        false => greedy(arguments, &generation, &mut runner, &prompts, &mut printer)?,
    };
    if let Some(printer) = printer {
        printer.finish();
    }
    // A drawn generation ends when all of its texts do.
    let tokens = sequences.iter().map(Vec::len).max().unwrap_or(tokens);
    let generation = Generation { tokens, ..generation };
    let cost = generation.cost(&all, &prefill);
    if arguments.json {
        let clock_mhz = arguments.stated_mhz(&config);
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
            "model": path,
            "device": arguments.device.name(),
            "config": config,
            "precision": model.precision,
            "sampling": is_sampled.then(|| json!({
                "temperature": arguments.temperature.unwrap_or(1.0),
                "top_k": arguments.top_k,
                "seed": arguments.seed,
            })),
            "sequences": all,
            "prefill": cost.prefill.as_ref().map(|phase| phase.json(clock_mhz)),
            "decode": cost.decode.as_ref().map(|phase| phase.json(clock_mhz)),
            "clock_mhz": clock_mhz,
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
    write!(out, "{}", table(arguments, &generation, &cost))?;
    Ok(())
}

/// Ids of each sequence, and what everything and the prompts alone cost.
struct Generated {
    sequences: Vec<Vec<u32>>,
    all: Statistics,
    prefill: Statistics,
}

/// The accelerator chooses the tokens: one program, started once.
fn greedy(
    arguments: &Generate,
    generation: &Generation<'_>,
    runner: &mut Runner,
    prompts: &[Vec<u32>],
    printer: &mut Option<Printer<'_>>,
) -> anyhow::Result<Generated> {
    let (program, at_once) = generation.compile()?;
    let input: Vec<u8> = prompts.iter().flatten().flat_map(|id| id.to_le_bytes()).collect();
    let inputs = std::slice::from_ref(&input);
    let result = match printer {
        Some(printer) => {
            let layout = &program.outputs[0];
            let shown = RefCell::new(&mut *printer);
            let watch = |workspace: &[u8]| {
                let row = |r: usize| layout.offset + r * layout.strides[0];
                let ids = (0..generation.tokens).map_while(|r| id_of_row(workspace, row(r)));
                shown.borrow_mut().show(ids);
            };
            let result = runner.run_watched(&program, inputs, &watch)?;
            printer.show(generation.ids(&result).remove(0).into_iter());
            result
        }
        None => runner.run(&program, inputs, "generating")?,
    };
    // What the prompts alone take, so that the rest can be told from it.
    let prefill = match (arguments.device, generation.tokens) {
        (kind, 2..) if kind != DeviceKind::Golden => {
            let alone = generation.prompts_alone(at_once)?;
            runner.run(&alone, inputs, "measuring the prompt alone")?.statistics
        }
        _ => result.statistics.clone(),
    };
    Ok(Generated { sequences: generation.ids(&result), all: result.statistics, prefill })
}

/// The host draws the tokens from the logits.
fn sampled(
    arguments: &Generate,
    generation: &Generation<'_>,
    runner: &mut Runner,
    prompts: &[Vec<u32>],
    printer: &mut Option<Printer<'_>>,
) -> anyhow::Result<Generated> {
    let temperature = arguments.temperature.unwrap_or(1.0);
    let top_k = arguments.top_k.map(|k| k as usize);
    let sampler = |sequence: usize| Sampler::new(temperature, top_k, arguments.seed, sequence as u64);
    let mut samplers: Vec<Sampler> = (0..prompts.len()).map(sampler).collect();
    let mut shown = Vec::new();
    let mut show = |newest: &[u32]| {
        shown.push(newest[0]);
        if let Some(printer) = printer {
            printer.show(shown.iter().copied());
        }
    };
    let ends = &generation.model.config.eos;
    let sampled = generation.sample(runner, prompts, &mut samplers, ends, &mut show)?;
    Ok(Generated { sequences: sampled.ids, all: sampled.all, prefill: sampled.prompts })
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

/// What it cost, for people.
fn table(arguments: &Generate, generation: &Generation<'_>, cost: &Cost) -> String {
    let model = generation.model;
    let clock_mhz = arguments.stated_mhz(generation.config);
    let (m, lengths) = (&model.config, &generation.lengths);
    let prompts = if lengths.len() == 1 { "a prompt".into() } else { format!("{} prompts", lengths.len()) };
    let mut rows = vec![
        ("device", format!("{}, {}", arguments.device.name(), text::config(generation.config))),
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
                "{} in {prompts}, {} generated for each",
                lengths.iter().sum::<usize>(),
                generation.tokens
            ),
        ),
    ];
    match &cost.prefill {
        Some(phase) => rows.push(("prompt", phase.text(clock_mhz))),
        None => rows.push(("cycles", "none on the functional simulator".into())),
    }
    if let Some(phase) = &cost.decode {
        rows.push(("generation", phase.text(clock_mhz)));
    }
    if arguments.temperature.is_some() || arguments.top_k.is_some() {
        let top_k = arguments.top_k.map_or(String::new(), |k| format!(", the {k} likeliest"));
        let temperature = arguments.temperature.unwrap_or(1.0);
        rows.push(("drawn", format!("temperature {temperature}{top_k}, seed {}", arguments.seed)));
    }
    if cost.prefill.is_some() {
        rows.push(("stated clock", format!("{clock_mhz} MHz")));
    }
    text::table(&rows)
}
