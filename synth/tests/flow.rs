//! The flow with stand-ins for the tools: what is reused, what each failure says, and what is left behind.
#![cfg(unix)]

use frugal_synth::flow::device::{Device, Resource};
use frugal_synth::flow::{build, Design, FlowError, Outcome, Progress};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

const REPORT: &str = r#"{"fmax": {"clock": {"achieved": 90, "constraint": 80}}, "critical_paths": [],
    "utilization": {"TRELLIS_COMB": {"used": 7, "available": 100}}}"#;

/// What nextpnr writes of a design with one cell.
const ROUTED: &str = r#"{"modules": {"part": {"cells": {"array.sum_TRELLIS_FF_Q_3": {"attributes": {"NEXTPNR_BEL": "X3/Y4/SLICEA.FF0"}}}}}}"#;

fn tool(folder: &Path, name: &str, script: &str) {
    let path = folder.join("bin").join(name);
    fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
}

fn run(out: &Path, design: &Design, seed: u32) -> (Result<Outcome, FlowError>, Vec<bool>) {
    let mut reused = Vec::new();
    let result = build(design, seed, out, &mut |progress| {
        if let Progress::Ended { reused: again, .. } = progress {
            reused.push(again);
        }
    });
    (result, reused)
}

/// Yosys' netlist of so many multipliers, each one's product the next one's factor.
fn multipliers_in_a_row(count: usize) -> String {
    let cells: Vec<String> = (0..count)
        .map(|cell| {
            format!(
                r#""cell_{cell}": {{"type": "MULT18X18D", "parameters": {{}}, "attributes": {{}},
                "port_directions": {{"A0": "input", "P0": "output"}},
                "connections": {{"A0": [{cell}], "P0": [{}]}}}}"#,
                cell + 1
            )
        })
        .collect();
    format!(
        r#"{{"modules": {{"part": {{"attributes": {{"top": "1"}}, "cells": {{{}}}}}}}}}"#,
        cells.join(", ")
    )
}

// One test: the tools are found through the environment, which is the whole process's.
#[test]
fn results_failures_and_what_they_leave() {
    let folder = tempfile::tempdir().unwrap();
    let (tools, cache, out) =
        (folder.path().join("tools"), folder.path().join("cache"), folder.path().join("out"));
    fs::create_dir_all(tools.join("bin")).unwrap();
    fs::create_dir_all(&out).unwrap();
    std::env::set_var("FRUGAL_TOOLS", &tools);
    std::env::set_var("FRUGAL_SYNTH_CACHE_DIR", &cache);
    let place = format!(
        "cat > report.json <<'E'\n{REPORT}\nE\ncat > routed.json <<'E'\n{ROUTED}\nE\necho placed > placed"
    );
    let mut design = Design {
        name: "part".into(),
        top: "part".into(),
        verilog: "module part; endmodule".into(),
        device: Device::from_name("ecp5-85f").unwrap(),
        constraints: None,
        target_mhz: 80.0,
    };

    // Tools are looked for before anything runs. PATH may have Yosys, but hardly a packer of this name.
    std::env::set_var("PATH", "/bin:/usr/bin");
    design.constraints = Some("LOCATE".into());
    tool(&tools, "yosys", "echo '{\"modules\": {}}' > netlist.json; echo said");
    tool(&tools, "nextpnr-ecp5", &place);
    let (result, steps) = run(&out, &design, 1);
    let text = result.unwrap_err().to_string();
    assert_eq!(
        (text.as_str(), steps.len()),
        ("ecppack was not found; run scripts/setup synth, or put it on the PATH", 0)
    );

    // Everything once, then from the cache; another seed is another placement only.
    tool(&tools, "ecppack", "cat placed > bitstream");
    let (result, steps) = run(&out, &design, 1);
    let outcome = result.unwrap();
    assert_eq!(outcome.report.fmax_mhz, 90.0);
    assert_eq!(outcome.report.of(Resource::Lut).used, 7);
    assert_eq!(fs::read(outcome.bitstream.unwrap()).unwrap(), b"placed\n");
    assert_eq!(steps, [false, false, false]);
    assert_eq!(run(&out, &design, 1).1, [true, true, true]);
    assert_eq!(run(&out, &design, 2).1, [true, false, true]);
    assert!(fs::read_to_string(out.join("part.synthesis.log")).unwrap().contains("said"));
    assert!(fs::read_to_string(out.join("part.floorplan.svg")).unwrap().contains("array (1 cells)"));

    // Timing that is not met: figures, and the bitstream of before is gone.
    design.target_mhz = 100.0;
    let outcome = run(&out, &design, 1).0.unwrap();
    assert_eq!((outcome.report.fmax_mhz, outcome.bitstream), (90.0, None));
    assert!(!out.join("part.bit").exists());

    // Too large: what is short, and by how much.
    tool(&tools, "nextpnr-ecp5", "echo 'Info:   MULT18X18D:  176/  156   112%'; echo 'ERROR: no place'; echo half > report.json; exit 1");
    let (result, _) = run(&out, &design, 3);
    let text = result.unwrap_err().to_string();
    assert_eq!(text, "'part' does not fit on ecp5-85f: it needs 176 DSP, 20 more than the 156 there are");

    // Another failure names the log; a step that died leaves nothing that a later run would take for a result.
    tool(&tools, "nextpnr-ecp5", &format!("{place}\necho 'ERROR: bad luck'; kill -9 $$"));
    let (result, _) = run(&out, &design, 3);
    let text = result.unwrap_err().to_string();
    assert!(text.contains("bad luck") && text.contains("part.placement.log"), "{text}");
    tool(&tools, "nextpnr-ecp5", &place);
    assert_eq!(run(&out, &design, 3).1, [true, false]);
    let left: Vec<_> = fs::read_dir(&cache).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| name.len() == 64), "{left:?}");

    // A chip nearly full of multipliers: each has a site of its own before nextpnr begins. With a few less, nextpnr finds them.
    let netlist = folder.path().join("netlist.json");
    tool(&tools, "yosys", &format!("cp {} netlist.json", netlist.display()));
    tool(
        &tools,
        "nextpnr-ecp5",
        &format!("{place}\ngrep -o 'X[0-9]*/Y[0-9]*/MULT18_[0-9]' netlist.json | sort -u | wc -l; echo $* | grep -c timingweight || true"),
    );
    design.target_mhz = 80.0;
    for (multipliers, sites, with_layout) in [(117, "117\n1", true), (116, "0\n0", false)] {
        fs::write(&netlist, multipliers_in_a_row(multipliers)).unwrap();
        design.verilog.push(' ');
        let mut steps = vec![false; if with_layout { 4 } else { 3 }];
        // What is packed is the same as before.
        *steps.last_mut().unwrap() = true;
        let (result, ran) = run(&out, &design, 1);
        assert!(result.is_ok(), "{result:?}");
        assert_eq!(ran, steps);
        assert_eq!(fs::read_to_string(out.join("part.placement.log")).unwrap().trim(), sites);
        assert!(run(&out, &design, 1).1.iter().all(|reused| *reused));
        let log = fs::read_to_string(out.join("part.layout.log"));
        assert_eq!(log.is_ok(), with_layout, "the log of an earlier run's layout is no log of this one");
        let log = log.unwrap_or_default();
        assert!(
            !with_layout || log.starts_with("117 multipliers and 0 block RAMs laid out, seed 1.\n"),
            "{log}"
        );
    }
    assert_eq!(
        run(&out, &design, 2).1,
        [true, false, true],
        "another seed is another placement, and no layout where there was none"
    );

    // An ALU's wires, which nextpnr does not count: 735 + 19,000 + 303 ps are 49.9 MHz, and then there is no bitstream.
    let delays = |picoseconds| {
        format!(
            "{place}\ncat > delays.sdf <<'E'\n(CELLTYPE \"part\")\n(INTERCONNECT alu/R0 sum/M ({picoseconds}) (1))\n(CELLTYPE \"ALU54B\")\n(INSTANCE alu)\nE"
        )
    };
    fs::write(&netlist, multipliers_in_a_row(1).replace("MULT18X18D", "ALU54B")).unwrap();
    for (picoseconds, fmax_mhz, is_met) in [(19_000, 1e6 / 20_038.0, false), (1_000, 90.0, true)] {
        tool(&tools, "nextpnr-ecp5", &delays(picoseconds));
        design.verilog.push(' ');
        let outcome = run(&out, &design, picoseconds).0.unwrap();
        assert!((outcome.report.fmax_mhz - fmax_mhz).abs() < 1e-6, "{}", outcome.report.fmax_mhz);
        assert_eq!(outcome.bitstream.is_some(), is_met);
        let wire = fs::read_to_string(out.join("part.alu-wire.tsv")).unwrap();
        assert_eq!(wire, format!("{picoseconds}\talu\tsum\n"));
    }

    // A full disk is said as such.
    tool(&tools, "yosys", "echo 'ERROR: write: No space left on device'; exit 1");
    design.verilog.push(' ');
    let (result, _) = run(&out, &design, 3);
    assert!(matches!(result, Err(FlowError::File { .. })), "{result:?}");
}
