//! `frugal synth`: resources and speed of a block on a chip.

use crate::arguments::{ConfigOptions, Synth};
use crate::{config, text};
use anyhow::Context;
use frugal_synth::boards::BoardFacts;
use frugal_synth::flow::block::Block;
use frugal_synth::flow::device::{Device, Resource};
use frugal_synth::flow::report::Report;
use frugal_synth::flow::{build, Design, FlowError, Outcome, Progress};
use serde_json::json;
use std::io::{self, Write};

/// The clock that blocks are to reach.
const DEFAULT_MHZ: f64 = 75.0;

pub fn run(arguments: &Synth) -> anyhow::Result<()> {
    let facts = match &arguments.board {
        Some(name) => Some(BoardFacts::from_name(name).context("--board")?),
        None => None,
    };
    let own = facts.map_or("base", |facts| facts.config);
    let config = config::load(&ConfigOptions {
        config: arguments.config.clone().unwrap_or_else(|| own.to_owned()),
        bus_bits: arguments.bus_bits.clone(),
    })?;
    let (design, title, macs) = match facts {
        Some(facts) => {
            let (mut design, build) = facts.design(&config)?;
            let clock = design.target_mhz;
            design.target_mhz = arguments.target_mhz.unwrap_or(clock);
            // A bitstream that is right for a slower clock than the board's would not be right.
            anyhow::ensure!(
                design.target_mhz >= clock,
                "--target-mhz {} is below the {clock} MHz that {} runs at with this configuration; leave it out, or ask for more",
                design.target_mhz,
                facts.name
            );
            (design, format!("{}, build {build:08x}, {}", facts.title, text::config(&config)), None)
        }
        None => {
            let block = arguments.block.as_deref().and_then(Block::from_name).context("--block")?;
            let device = Device::from_name(&arguments.device).context("--device")?;
            let design = Design {
                name: block.name().to_owned(),
                top: block.name().replace('-', "_"),
                verilog: block.verilog(&config)?.text,
                device,
                constraints: None,
                target_mhz: arguments.target_mhz.unwrap_or(DEFAULT_MHZ),
            };
            let title =
                format!("{} of {} on {}, out of context", block.name(), text::config(&config), device.name);
            (design, title, block.macs(&config))
        }
    };
    std::fs::create_dir_all(&arguments.out)
        .with_context(|| format!("the folder {} cannot be made", arguments.out.display()))?;
    let result = build(&design, arguments.seed, &arguments.out, &mut |progress| {
        let _ = match progress {
            Progress::Begun(step) => write!(io::stderr(), "{step} ..."),
            Progress::Ended { reused: true, .. } => writeln!(io::stderr(), " as before"),
            Progress::Ended { .. } => writeln!(io::stderr(), " done"),
        };
    });
    let outcome = match (result, facts) {
        (Err(error @ FlowError::DoesNotFit { .. }), Some(facts)) => {
            let _ = writeln!(io::stderr());
            let advice = match facts.fits.last() {
                Some(preset) => format!("The largest preset that fits on {} is '{preset}'", facts.name),
                None => format!("No preset is known to fit on {}", facts.name),
            };
            anyhow::bail!("{error}. {advice}");
        }
        (result, _) => result?,
    };
    if arguments.json {
        writeln!(io::stdout(), "{}", to_json(&outcome, arguments.seed))?;
    } else {
        print(&title, &outcome, macs)?;
    }
    let (fmax, target) = (outcome.report.fmax_mhz, outcome.target_mhz);
    anyhow::ensure!(
        fmax >= target,
        "timing is not met: {fmax:.2} MHz of {target} MHz with seed {}{}",
        arguments.seed,
        if facts.is_some() { "; no bitstream is written. Another --seed may do" } else { "" }
    );
    Ok(())
}

fn to_json(outcome: &Outcome, seed: u32) -> serde_json::Value {
    let used = |resource| outcome.report.of(resource).used;
    json!({
        "fmax_mhz": outcome.report.fmax_mhz,
        "target_mhz": outcome.target_mhz,
        "lut": used(Resource::Lut),
        "ff": used(Resource::FlipFlop),
        "dsp": used(Resource::Dsp),
        "bram": used(Resource::BlockRam),
        "spram": used(Resource::SinglePortRam),
        "seed": seed,
        "bitstream": outcome.bitstream,
    })
}

fn print(title: &str, outcome: &Outcome, macs: Option<usize>) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    let report = &outcome.report;
    writeln!(out, "{title}")?;
    for (resource, count) in &report.uses {
        let share = 100.0 * count.used as f64 / count.available.max(1) as f64;
        let (used, available) = (text::thousands(count.used), text::thousands(count.available));
        writeln!(out, "{:<10} {used:>9} of {available:>9} {share:6.1} %", resource.name())?;
    }
    if let Some(macs) = macs {
        let each = report.of(Resource::Lut).used as f64 / macs as f64;
        writeln!(out, "{:<10} {each:>9.1} a multiply-accumulate unit, of which there are {macs}", "LUT")?;
    }
    writeln!(out, "{:<10} {:>9.2} MHz, wanted {} MHz", "Fmax", report.fmax_mhz, outcome.target_mhz)?;
    print_path(&mut out, report)?;
    if let Some(path) = &outcome.bitstream {
        writeln!(out, "bitstream  {}", path.display())?;
    }
    Ok(())
}

fn print_path(out: &mut impl Write, report: &Report) -> io::Result<()> {
    writeln!(out, "critical path")?;
    let mut at = 0.0;
    for hop in &report.critical_path {
        at += hop.nanoseconds;
        writeln!(out, "  {:<8} {:5.2} ns, at {at:5.2}: {}", hop.kind, hop.nanoseconds, hop.at)?;
    }
    Ok(())
}
