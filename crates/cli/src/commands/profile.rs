//! `frugal profile`: where the cycles of a run went.

use super::run::{outputs_json, show_result};
use crate::arguments::{DeviceKind, Profile};
use crate::{config, device, files, input, model, recording, text};
use anyhow::{bail, Context};
use frugal_compiler::Compiled;
use frugal_graph::npy::Elements;
use frugal_graph::Graph;
use frugal_profile::report::{self, Options};
use frugal_profile::{
    attribute, losses, trace, Attribution, Engine, LayerBytes, Level, Loss, OnChip, Run, Source, GENERATOR,
};
use serde_json::{json, Value};
use std::io::{self, Write};

/// So many losses are told in the text; all of them are in the JSON.
const LOSSES: usize = 3;

/// Columns of the text.
const WIDTH: usize = 110;

const REPORT: &str = "report.html";
const TRACE: &str = "trace.json";
const NUMBERS: &str = "profile.json";

/// Everything that is told.
struct Told<'a> {
    arguments: &'a Profile,
    graph: &'a Graph,
    compiled: &'a Compiled,
    run: &'a Run,
    attribution: Attribution,
    bytes: Vec<LayerBytes>,
    losses: Vec<Loss>,
    /// Images in the input files.
    images: usize,
    /// Cycles that the cycle model expects of the whole run.
    estimated_cycles: u64,
    /// Of the model, if it ran.
    outputs: Option<Vec<Elements>>,
}

pub fn run(arguments: &Profile) -> anyhow::Result<()> {
    // Everything that can be wrong with what was given comes before anything that takes long.
    let config = config::load(&arguments.config)?;
    let graph = model::read(&arguments.model)?;
    let batch = match arguments.input.is_empty() {
        true => Vec::new(),
        false => input::read_batch(&arguments.input, &graph)?,
    };
    // In quotes it is in the page's head and in both JSON files.
    let mark = format!("\"{GENERATOR}\"");
    let folder = files::Folder::check(&arguments.out, &[REPORT, TRACE, NUMBERS], &mark)?;
    let compiled = model::compile(&arguments.model, &graph, &config)?;
    let latency = arguments.simulation.options().latency_cycles;
    let estimated = recording::estimated(&compiled.program, &graph, latency)?;
    let estimated_cycles = estimated.cycles;
    let (run, outputs) = match batch.first() {
        _ if arguments.estimate => {
            let unused = ["--stall-seed", "--max-cycles"];
            arguments.simulation.note_unused(&unused, "with --estimate, which simulates nothing");
            (estimated, None)
        }
        Some(inputs) => {
            let (run, outputs) = measure(arguments, &graph, &compiled, inputs, &estimated)?;
            (run, Some(outputs))
        }
        None => bail!("there is no image in the input"),
    };
    let told = Told {
        arguments,
        graph: &graph,
        compiled: &compiled,
        run: &run,
        attribution: attribute(&run)?,
        bytes: LayerBytes::of(&run),
        losses: losses(&run)?,
        images: batch.len(),
        estimated_cycles,
        outputs,
    };
    let numbers = format!("{:#}\n", told.json());
    let options = Options { clock_megahertz: arguments.clock_mhz };
    folder.write(&[
        (REPORT, report::html(&run, &options)?.as_bytes()),
        (TRACE, trace::json(&run)?.as_bytes()),
        (NUMBERS, numbers.as_bytes()),
    ])?;
    let printed = if arguments.json { numbers } else { told.text() };
    io::stdout().write_all(printed.as_bytes())?;
    Ok(())
}

/// Runs the program on the Verilated accelerator, and on the functional simulator to be sure of the outputs.
fn measure(
    arguments: &Profile,
    graph: &Graph,
    compiled: &Compiled,
    inputs: &[Elements],
    estimated: &Run,
) -> anyhow::Result<(Run, Vec<Elements>)> {
    let program = &compiled.program;
    let inputs = &compiled.prepare(inputs)?;
    let simulation = &arguments.simulation;
    let mut runner = device::open(DeviceKind::Verilator, &program.config, simulation, None)?;
    let (result, recording) = runner.run_recorded(program, inputs, "recording")?;
    let recording = recording.context("the simulator recorded nothing, please report this")?;
    let latency = simulation.options().latency_cycles;
    let run = recording::measured(program, graph, &recording, &result.statistics, latency, estimated)?;
    let mut golden = device::open_golden(&program.config)?;
    let wanted = golden.run(program, inputs, "checking the outputs")?.outputs;
    if wanted != result.outputs {
        bail!(
            "the outputs are not those of the functional simulator, please report this: nothing is written"
        );
    }
    Ok((run, compiled.finish(&result.outputs)?))
}

impl Told<'_> {
    fn path(&self, name: &str) -> String {
        self.arguments.out.join(name).display().to_string()
    }

    fn is_measured(&self) -> bool {
        self.run.source == Source::Measured
    }

    /// How far the cycle model is off, as a share of the measured cycles.
    fn error(estimated: u64, measured: u64) -> Option<f64> {
        (measured > 0).then(|| text::error(estimated, measured))
    }

    fn share(&self, cycles: u64) -> f64 {
        cycles as f64 / self.run.cycles.max(1) as f64
    }

    fn milliseconds(&self) -> f64 {
        self.run.cycles as f64 / (self.arguments.clock_mhz * 1e3)
    }

    fn inferences(&self) -> f64 {
        1e3 / self.milliseconds().max(1e-12)
    }

    fn json(&self) -> Value {
        let run = self.run;
        let config = &run.config;
        let layers: Vec<Value> = run
            .layers
            .iter()
            .enumerate()
            .map(|(index, layer)| {
                let breakdown = self.attribution.layers[index];
                let cycles = breakdown.total();
                json!({
                    "name": layer.name,
                    "operator": layer.operator,
                    "macs": layer.macs,
                    "cycles": cycles,
                    "share": self.share(cycles),
                    "utilisation": text::utilisation(layer.macs, cycles, config),
                    "reasons": breakdown,
                    "bytes": self.bytes[index],
                    "estimated_cycles": layer.estimated_cycles,
                })
            })
            .collect();
        let engines: serde_json::Map<String, Value> = Engine::ALL
            .iter()
            .map(|engine| {
                let commands = run.commands.iter().filter(|c| c.engine == *engine).count();
                let busy = run.busy(*engine);
                let facts = json!({ "commands": commands, "busy_cycles": busy, "share": self.share(busy) });
                (engine.name().to_owned(), facts)
            })
            .collect();
        let memories: Vec<Value> = OnChip::ALL
            .iter()
            .map(|memory| {
                json!({
                    "name": memory.name(),
                    "unit": memory.unit(),
                    "depth": memory.depth(config),
                    "bytes": recording::memory_bytes(*memory, config),
                    "peak": Level::peak(&Level::of(run, *memory)),
                })
            })
            .collect();
        let counters: Vec<Value> = run
            .counters
            .iter()
            .map(|counter| {
                json!({
                    "name": counter.name,
                    "value": counter.value,
                    "share": self.share(counter.value),
                    "description": counter.meaning,
                })
            })
            .collect();
        let losses: Vec<Value> = self
            .losses
            .iter()
            .map(|loss| {
                json!({
                    "kind": loss.kind,
                    "layer": loss.layer.map(|layer| &run.layers[layer].name),
                    "cycles": loss.cycles,
                    "share": self.share(loss.cycles),
                    "what": loss.what,
                    "remedy": loss.remedy,
                })
            })
            .collect();
        let host: Vec<&str> = self.compiled.host_operators().collect();
        json!({
            "generator": GENERATOR,
            "model": self.arguments.model,
            "source": run.source,
            "config": config,
            "memory_latency": run.bus.latency_cycles,
            "images": self.images,
            "profiled_image": self.is_measured().then_some(0),
            "cycles": run.cycles,
            "macs": run.macs(),
            "utilisation": run.utilisation(),
            "clock_mhz": self.arguments.clock_mhz,
            "milliseconds": self.milliseconds(),
            "inferences_per_second": self.inferences(),
            "bytes_read": run.bus.bytes_read,
            "bytes_written": run.bus.bytes_written,
            "commands": self.compiled.program.commands.len(),
            "estimated_cycles": self.estimated_cycles,
            "estimate_error": self.is_measured().then(|| Told::error(self.estimated_cycles, run.cycles)),
            "reasons": self.attribution.sum(),
            "layers": layers,
            "losses": losses,
            "engines": engines,
            "memories": memories,
            "counters": counters,
            "host_steps": host,
            "outputs": self.outputs.as_ref().map(|outputs| outputs_json(self.graph, outputs)),
            "files": [self.path(REPORT), self.path(TRACE), self.path(NUMBERS)],
        })
    }

    fn text(&self) -> String {
        let run = self.run;
        let name = &run.model;
        let on = text::config(&run.config);
        let mut out = match run.source {
            Source::Measured => {
                format!("{name} on {on}, measured cycle by cycle on the Verilated accelerator\n")
            }
            Source::Estimated => {
                format!("{name} on {on}, ESTIMATED by the compiler's cycle model: nothing was simulated\n")
            }
        };
        if self.images > 1 && self.is_measured() {
            let path = self.arguments.input[0].display();
            out += &format!("{path} holds {} images: the first is profiled\n", self.images);
        }
        out += "\n";
        out += &self.table();
        out += &self.losses_text();
        out.push('\n');
        out += &text::table(&self.summary());
        out
    }

    /// A line for each layer.
    fn table(&self) -> String {
        let run = self.run;
        let mut rows = vec![[
            "layer",
            "cycles",
            "of run",
            "utilisation",
            "computing",
            "memory",
            "vector",
            "storing",
            "fill",
        ]
        .map(str::to_owned)
        .to_vec()];
        if self.is_measured() {
            rows[0].push("estimate".to_owned());
        }
        let mut row = |name: &str, reasons: frugal_profile::Breakdown, macs: u64, estimate: Option<u64>| {
            let cycles = reasons.total();
            let mut cells = vec![
                shorten(name, 28),
                text::thousands(cycles),
                text::percent(self.share(cycles)),
                text::percent(text::utilisation(macs, cycles, &run.config)),
            ];
            let frugal_profile::Breakdown { compute, memory, vector, store, fill } = reasons;
            cells.extend([compute, memory, vector, store, fill].map(text::thousands));
            if self.is_measured() {
                let error = estimate.and_then(|estimate| Told::error(estimate, cycles));
                cells.push(error.map_or("-".to_owned(), |error| format!("{:+.1} %", 100.0 * error)));
            }
            rows.push(cells);
        };
        for (layer, reasons) in run.layers.iter().zip(&self.attribution.layers) {
            row(&layer.name, *reasons, layer.macs, layer.estimated_cycles);
        }
        row("whole run", self.attribution.sum(), run.macs(), Some(self.estimated_cycles));
        text::columns(&rows)
    }

    fn losses_text(&self) -> String {
        if self.losses.is_empty() {
            return "\nEvery cycle was spent computing with the whole array.\n".to_owned();
        }
        let mut out = "\nThe biggest losses:\n".to_owned();
        for (place, loss) in self.losses.iter().take(LOSSES).enumerate() {
            let told = format!("{} {}", loss.what, loss.remedy);
            let wrapped = text::wrap(&told, WIDTH - 5).join("\n     ");
            out += &format!("  {}. {wrapped}\n", place + 1);
        }
        out
    }

    fn summary(&self) -> Vec<(&'static str, String)> {
        let run = self.run;
        let mut rows = Vec::new();
        for (id, values) in self.graph.outputs.iter().zip(self.outputs.iter().flatten()) {
            let tensor = &self.graph[*id];
            rows.push(("result", format!("{}: {}", tensor.name, show_result(tensor, values))));
        }
        if self.is_measured() {
            let error = Told::error(self.estimated_cycles, run.cycles).unwrap_or(0.0);
            let estimate = format!(
                "{} cycles by the compiler's cycle model: {:.1} % too {}",
                text::thousands(self.estimated_cycles),
                100.0 * error.abs(),
                if error < 0.0 { "few" } else { "many" }
            );
            rows.push(("estimate", estimate));
        }
        let (clock, each) = (self.arguments.clock_mhz, text::seconds(self.milliseconds() / 1e3));
        let often = frugal_profile::short(self.inferences());
        rows.push(("speed", format!("{often} inferences a second at {clock} MHz, {each} each")));
        let host: Vec<&str> = self.compiled.host_operators().collect();
        if !host.is_empty() {
            rows.push(("on the host", format!("{}, not counted", host.join(", "))));
        }
        rows.push(("page", self.path(REPORT)));
        rows.push(("trace", format!("{}, to open on https://ui.perfetto.dev", self.path(TRACE))));
        rows.push(("numbers", self.path(NUMBERS)));
        rows
    }
}

fn shorten(name: &str, characters: usize) -> String {
    match name.chars().count() > characters {
        true => name.chars().take(characters - 3).chain("...".chars()).collect(),
        false => name.to_owned(),
    }
}
