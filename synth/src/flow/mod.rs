//! From Verilog to a bitstream and timing figures, with Yosys, nextpnr and the family's packer.
//!
//! ```text
//! Design --> Yosys --> netlist --> layout of hard blocks --> nextpnr --> report, placed design --> packer --> bitstream
//! ```
//! The layout is ours (`crate::layout`) and comes where a board's chip is nearly full of hard blocks.
//! Every step has a log in the output folder; results of a step are taken from the cache while its input stays the same (`step`). Files appear in the
//! output folder when they are whole, and a bitstream only when timing is met.

mod alu_wires;
pub mod block;
pub mod device;
mod floorplan;
pub mod report;
pub(crate) mod step;
pub mod tools;

use crate::layout;
use device::{Device, Family, Resource};
use report::{shortage, Report, Use};
use std::path::{Path, PathBuf};
use step::{Finished, Step};
use tools::Tool;

/// The placed design, as the family's packer takes it.
const PLACED: &str = "placed";

/// What the layout did, by what its name ends in.
const LAYOUT_LOG: &str = ".layout.log";
/// The longest wire from an ALU, likewise.
const ALU_WIRE: &str = ".alu-wire.tsv";

/// The netlist with sites for its hard blocks.
const LAID_OUT: &str = "laid-out.json";

/// What is to be built.
#[derive(Clone, Debug)]
pub struct Design {
    /// Of the output files.
    pub name: String,
    /// The top module.
    pub top: String,
    pub verilog: String,
    pub device: Device,
    /// Pins: the text of a .lpf, .pcf or .cst file. Without it the design is placed out of context, and there is no bitstream.
    pub constraints: Option<String>,
    /// The clock it has to reach.
    pub target_mhz: f64,
}

/// What came out.
#[derive(Clone, Debug)]
pub struct Outcome {
    pub report: Report,
    pub target_mhz: f64,
    /// None out of context, and where timing is not met.
    pub bitstream: Option<PathBuf>,
}

/// A step begins or has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    Begun(&'static str),
    Ended { step: &'static str, reused: bool },
}

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
pub enum FlowError {
    #[error("{tool} was not found; run scripts/setup synth, or put it on the PATH")]
    ToolMissing { tool: &'static str },
    #[error("{tool} ({}) cannot be started", path.display())]
    CannotRun { tool: &'static str, path: PathBuf, source: std::io::Error },
    #[error("{} cannot be read or written", path.display())]
    File { path: PathBuf, source: std::io::Error },
    #[error("{step} failed: {tool} says '{message}'; all it said is in {}", log.display())]
    Failed { step: &'static str, tool: &'static str, message: String, log: PathBuf, text: String },
    #[error(
        "'{design}' does not fit on {device}: it needs {} {}, {} more than the {} there are",
        count.used, resource.name(), count.used - count.available, count.available
    )]
    DoesNotFit { design: String, device: &'static str, resource: Resource, count: Use },
    #[error("hard blocks cannot be laid out")]
    Layout(#[from] layout::LayoutError),
    #[error("{tool}'s report cannot be understood: {reason}")]
    Report { tool: &'static str, reason: String },
}

/// Builds `design` into the folder `out`, which exists; what it leaves there begins with the design's name.
///
/// Where timing is not met, the figures say it and there is no bitstream.
pub fn build(
    design: &Design,
    seed: u32,
    out: &Path,
    progress: &mut dyn FnMut(Progress),
) -> Result<Outcome, FlowError> {
    let family = design.device.family;
    let tools = [Some("yosys"), Some(family.nextpnr()), design.constraints.as_ref().map(|_| family.packer())];
    // A missing tool is said before minutes have passed.
    let tools = tools.into_iter().flatten().map(Tool::find).collect::<Result<Vec<_>, _>>()?;
    let path = |suffix: &str| out.join(format!("{}{suffix}", design.name));
    let bitstream = path(&format!(".{}", family.bitstream_suffix()));
    // What an earlier run left is not the result of this one, which may have no layout and no bitstream.
    for left in [&bitstream, &path(LAYOUT_LOG), &path(ALU_WIRE)] {
        match std::fs::remove_file(left) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                return Err(FlowError::File { path: left.clone(), source })
            }
            _ => {}
        }
    }
    step::write(&path(".v"), design.verilog.as_bytes())?;
    let run = |step: Step, progress: &mut dyn FnMut(Progress)| -> Result<Finished, FlowError> {
        progress(Progress::Begun(step.name));
        let finished = step.run(&path(&format!(".{}.log", step.name)))?;
        progress(Progress::Ended { step: step.name, reused: finished.reused });
        Ok(finished)
    };

    let defines: String = family.defines().iter().map(|name| format!(" -D {name}")).collect();
    let synthesis = family.synthesis(&design.top, "netlist.json", design.target_mhz);
    let synthesis = Step {
        name: "synthesis",
        tool: tools[0].clone(),
        arguments: vec!["-p".into(), format!("read_verilog -D SYNTHESIS{defines} design.v; {synthesis}")],
        inputs: vec![("design.v", design.verilog.as_bytes())],
        outputs: vec!["netlist.json"],
        digest: None,
    };
    let netlist = run(synthesis, progress)?.read("netlist.json")?;
    let has_alus = alu_wires::are_in(&netlist);
    let laid_out = match layout::Chip::of(&design.device) {
        Some(chip) if design.constraints.is_some() => {
            lay_out(&netlist, &chip, seed, &path(LAYOUT_LOG), progress)?
        }
        _ => None,
    };
    let (is_laid_out, netlist) = (laid_out.is_some(), laid_out.unwrap_or(netlist));
    let placement =
        run(placement(design, seed, &netlist, (is_laid_out, has_alus), tools[1].clone()), progress).map_err(
            |error| match error {
                FlowError::Failed { ref text, .. } => match shortage(family, text) {
                    Some((resource, count)) => FlowError::DoesNotFit {
                        design: design.name.clone(),
                        device: design.device.name,
                        resource,
                        count,
                    },
                    None => error,
                },
                error => error,
            },
        )?;
    let log = placement.read(step::LOG)?;
    let report = Report::parse(family, &placement.read("report.json")?, &String::from_utf8_lossy(&log))
        .map_err(|reason| FlowError::Report { tool: family.nextpnr(), reason })?;
    let report = if has_alus {
        let wire = placement.read(alu_wires::WIRE)?;
        step::write(&path(ALU_WIRE), &wire)?;
        alu_wires::counted(report, &String::from_utf8_lossy(&wire))
    } else {
        report
    };
    step::write(&path(".report.json"), &placement.read("report.json")?)?;
    let places = floorplan::places(&String::from_utf8_lossy(&placement.read(floorplan::PLACES)?));
    let title = format!("{} on {}", design.name, design.device.name);
    step::write(&path(".floorplan.svg"), floorplan::svg(&title, &places).as_bytes())?;
    let mut outcome = Outcome { report, target_mhz: design.target_mhz, bitstream: None };
    if design.constraints.is_none() || outcome.report.fmax_mhz < design.target_mhz {
        return Ok(outcome);
    }
    let placed = placement.read(PLACED)?;
    let mut arguments: Vec<String> = design.device.packer.iter().map(|word| (*word).to_owned()).collect();
    arguments.extend(
        match family {
            Family::Ecp5 => vec!["--compress", PLACED, "bitstream"],
            Family::Ice40 => vec![PLACED, "bitstream"],
            Family::Gowin => vec!["-o", "bitstream", PLACED],
        }
        .into_iter()
        .map(str::to_owned),
    );
    let packing = Step {
        name: "packing",
        tool: tools[2].clone(),
        arguments,
        inputs: vec![(PLACED, &placed)],
        outputs: vec!["bitstream"],
        digest: None,
    };
    let packed = run(packing, progress)?;
    step::write(&bitstream, &packed.read("bitstream")?)?;
    outcome.bitstream = Some(bitstream);
    Ok(outcome)
}

/// The netlist with sites for its hard blocks, where those are scarce.
fn lay_out(
    netlist: &[u8],
    chip: &layout::Chip,
    seed: u32,
    log: &Path,
    progress: &mut dyn FnMut(Progress),
) -> Result<Option<Vec<u8>>, FlowError> {
    // What does not fit, or is no netlist, is for nextpnr to say.
    let Ok(Some(layout)) = layout::Layout::of(netlist, chip) else { return Ok(None) };
    progress(Progress::Begun("layout"));
    let version = format!("{} seed {seed}", layout::VERSION);
    let finished = step::run_own(LAID_OUT, &version, netlist, log, || {
        let laid_out = layout.lay_out(seed.into())?;
        Ok((laid_out.netlist, laid_out.log))
    })?;
    progress(Progress::Ended { step: "layout", reused: finished.reused });
    finished.read(LAID_OUT).map(Some)
}

/// Place and route. Around hard blocks that have their sites, the placer has more to choose, and looks more at timing.
fn placement<'a>(
    design: &'a Design,
    seed: u32,
    netlist: &'a [u8],
    (is_laid_out, has_alus): (bool, bool),
    tool: Tool,
) -> Step<'a> {
    let mut arguments: Vec<String> = design.device.nextpnr.iter().map(|word| (*word).to_owned()).collect();
    let mut add = |words: &[&str]| arguments.extend(words.iter().map(|word| (*word).to_owned()));
    add(&["--json", "netlist.json", "--report", "report.json", "--timing-allow-fail"]);
    add(&["--write", floorplan::ROUTED]);
    add(&["--freq", &design.target_mhz.to_string(), "--seed", &seed.to_string()]);
    if is_laid_out {
        add(&["--placer-heap-timingweight", "30"]);
    }
    let mut inputs = vec![("netlist.json", netlist)];
    let mut outputs = vec!["report.json", floorplan::ROUTED];
    let mut digest: fn(&Path) -> std::io::Result<()> = floorplan::keep_places;
    if has_alus {
        add(&["--sdf", alu_wires::DELAYS]);
        outputs.push(alu_wires::DELAYS);
        digest = |folder| floorplan::keep_places(folder).and_then(|()| alu_wires::keep_longest(folder));
    }
    match &design.constraints {
        None => add(&["--out-of-context"]),
        Some(text) => {
            inputs.push(("pins", text.as_bytes()));
            match design.device.family {
                Family::Ecp5 => add(&["--lpf", "pins", "--textcfg", PLACED]),
                Family::Ice40 => add(&["--pcf", "pins", "--asc", PLACED]),
                // Its packer takes what nextpnr writes for everybody.
                Family::Gowin => {
                    add(&["--vopt", "cst=pins"]);
                    digest = floorplan::keep_places_and_design;
                }
            }
            if design.device.family != Family::Gowin {
                outputs.push(PLACED);
            }
        }
    }
    Step { name: "placement", tool, arguments, inputs, outputs, digest: Some(digest) }
}
