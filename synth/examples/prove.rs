//! Runs proofs and says how each run ended, a line of JSON a run. `scripts/prove` makes the tables of it.
//!
//! `prove [--only NAME] OUT`: proofs whose name contains NAME; logs go to the folder OUT.

use frugal_synth::formal::{Outcome, Run, Verdict, PROOFS};
use std::error::Error;
use std::path::PathBuf;

fn main() -> Result<(), Box<dyn Error>> {
    let mut only = String::new();
    let mut out = PathBuf::from("target/formal");
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--only" => only = arguments.next().ok_or("--only takes a name")?,
            _ => out = argument.into(),
        }
    }
    std::fs::create_dir_all(&out)?;
    for proof in PROOFS.iter().filter(|proof| proof.name.contains(&only)) {
        for run in proof.runs() {
            let Outcome { verdict, seconds, .. } = proof.run(run, &out)?;
            let kind = match run {
                Run::Promises => "promises".into(),
                Run::Covers => "covers".into(),
                Run::Fault(number) => format!("fault {}", number + 1),
            };
            let (result, what) = match &verdict {
                Verdict::Holds => ("holds", String::new()),
                Verdict::Open => ("open", String::new()),
                Verdict::Fails { what, .. } => ("fails", what.clone()),
            };
            let line = serde_json::json!({
                "proof": proof.name, "property": proof.property, "reach": proof.reach.describe(), "solver": proof.solver.name(),
                "harness": proof.harness.0, "run": kind, "result": result, "where": what, "seconds": seconds,
            });
            println!("{line}");
            if let Verdict::Fails { trace: Some(trace), .. } = verdict {
                eprintln!("{} {kind}: {what}, waveform {}", proof.name, trace.display());
            }
        }
    }
    Ok(())
}
