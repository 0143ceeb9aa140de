//! The parts of the page that are read: title, key numbers, losses and glossary.

use super::{bars, Context, Options};
use crate::losses::losses_valid;
use crate::run::Source;
use crate::text::{bytes, count, escape, percent, share, short, thousands};
use std::fmt::Write;

/// So many losses are told.
const LOSSES: usize = 3;

pub fn head(context: &Context<'_>, options: &Options) -> String {
    let run = context.run;
    let config = &run.config;
    let mut out = format!(
        "<header><h1>{} <span>on</span> {}</h1>\n<p class=\"sub\">{} x {} multipliers, so at most {} multiply-accumulates (MACs) a cycle; \
         a memory bus of {} bytes a cycle. ",
        escape(&run.model),
        escape(&config.name),
        config.rows,
        config.cols,
        thousands(config.peak() as u64),
        config.bus_bytes()
    );
    out += match run.source {
        Source::Measured => "<b class=\"badge\">Measured</b> cycle by cycle on the simulated hardware (Verilated RTL).",
        Source::Estimated => {
            "<b class=\"badge estimated\">Estimated</b> by the compiler's cycle model; not measured on hardware."
        }
    };
    out += "</p></header>\n<div class=\"tiles\">\n";
    let utilisation = percent(run.utilisation());
    let mut tile = |value: &str, name: &str, detail: &str| {
        let _ = writeln!(out, "<div><strong>{value}</strong><b>{name}</b><small>{detail}</small></div>");
    };
    tile(&thousands(run.cycles), "cycles", "from start to done");
    tile(
        &utilisation,
        "utilisation",
        &format!("{} MACs / (cycles x {})", thousands(run.macs()), config.peak()),
    );
    let (per_second, milliseconds) = speed(run.cycles, options.clock_megahertz);
    let detail = format!("{milliseconds} ms each, at {} MHz", plain(options.clock_megahertz));
    tile(&per_second, "inferences a second", &detail);
    let moved = run.bus.bytes_read.saturating_add(run.bus.bytes_written);
    let detail =
        format!("{} read, {} written", thousands(run.bus.bytes_read), thousands(run.bus.bytes_written));
    tile(&thousands(moved), "bytes over the bus", &detail);
    tile(&thousands(run.commands.len() as u64), "commands", &count(run.layers.len() as u64, "layer"));
    out + "</div>\n"
}

/// Runs a second and milliseconds a run, as text.
fn speed(cycles: u64, megahertz: f64) -> (String, String) {
    if cycles == 0 || !megahertz.is_finite() || megahertz <= 0.0 {
        return ("-".to_owned(), "-".to_owned());
    }
    let seconds = cycles as f64 / (megahertz * 1e6);
    (short(1.0 / seconds), short(seconds * 1e3))
}

/// `75`, `66.7`.
fn plain(number: f64) -> String {
    match number.is_finite() {
        true => format!("{}", (number * 1e3).round() / 1e3),
        false => "-".to_owned(),
    }
}

pub fn overview(context: &Context<'_>) -> String {
    let run = context.run;
    let mut out = String::from("<section id=\"overview\"><h2>Where the cycles went</h2>\n");
    out += &format!(
        "<p class=\"how\">The whole run as one bar. The dark blue part is the utilisation: at the peak of {} MACs a cycle, the network would take \
         only that long.</p>\n",
        thousands(run.config.peak() as u64)
    );
    out += &bars::whole_run(context);
    let losses = losses_valid(run, context.attribution);
    out += "<h2>The biggest losses</h2>\n";
    if losses.is_empty() {
        out += "<p class=\"note\">None: every cycle was spent computing with the whole array.</p>\n";
    } else {
        out += "<ol class=\"losses\">\n";
    }
    for loss in losses.iter().take(LOSSES) {
        let _ = writeln!(
            out,
            "<li><div class=\"amount\"><strong>{}</strong><small>{} cycles</small></div><div><p>{}</p><p class=\"remedy\"><b>What could be done:</b> {}</p></div></li>",
            percent(share(loss.cycles, run.cycles)),
            thousands(loss.cycles),
            escape(&loss.what),
            escape(&loss.remedy)
        );
    }
    if !losses.is_empty() {
        out += "</ol>\n";
    }
    out + "</section>\n"
}

pub fn glossary(context: &Context<'_>) -> String {
    let config = &context.run.config;
    let entries = [
        ("MAC", "A multiplication and an addition: the work that a neural network is counted in.".to_owned()),
        ("layer", "An operator of the model. The number in names such as op03_ADD is its place in the model, from 0; numbers that are missing move no data, or run on the host.".to_owned()),
        ("MAC array", format!("The {} x {} multipliers, fed by the matrix engine. Once a cycle it takes a vector of {} input channels and computes with it for {} output channels.", config.rows, config.cols, config.rows, config.cols)),
        ("utilisation", "MACs that the network needs, as a share of what the array could do in the cycles of the run.".to_owned()),
        ("engine", "One of four machines that work at the same time: load reads memory, matrix multiplies, vector adds, pools and gathers the pixels of windows, store writes memory.".to_owned()),
        ("command", "What an engine does in one go, such as the convolution of some rows of an image. A command waits until those that it depends on are finished.".to_owned()),
        ("fill and overhead", "A result leaves the array some cycles after its last multiplication; a command takes some cycles to be fetched, more when loads fill the bus, and to be begun; and the output stage holds the array back when sums are short.".to_owned()),
        ("scratchpad", format!("Memory on the chip that the program manages itself: {} for activations, {} for weights.", plain_bytes(config.activation_bytes()), plain_bytes(config.weight_bytes()))),
        ("weights", "The constants of the network. Biases and scales, which the parameter memory holds, are counted with them.".to_owned()),
        ("memory latency", format!("Cycles from a request to its first data: {} as the memory was set in this run.", context.run.bus.latency_cycles)),
    ];
    let mut out = String::from("<section id=\"words\"><h2>Words</h2>\n<dl>\n");
    for (word, meaning) in entries {
        if word == "memory latency" && context.run.source == Source::Estimated {
            continue;
        }
        let _ = writeln!(out, "<dt>{word}</dt><dd>{meaning}</dd>");
    }
    out + "</dl>\n</section>\n"
}

fn plain_bytes(number: usize) -> String {
    bytes(number as u64)
}
