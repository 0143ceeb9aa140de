//! Wires from the ALUs of ECP5's DSP slices, of which nextpnr knows no times: it does not count paths that begin or end there.
//!
//! Leaves put nothing but a wire between an ALU and the next register, so a path's time is that of the wire, which nextpnr writes to its file of delays,
//! between two constants. The wire is left beside the report.

use super::report::{readable, Hop, Report};
use std::collections::HashSet;
use std::fmt::Write as _;
use std::path::Path;

/// Where nextpnr writes all delays, and what is kept of them: the longest wire, its picoseconds, from where and to where.
pub(super) const DELAYS: &str = "delays.sdf";
pub(super) const WIRE: &str = "alu-wire.tsv";

/// From the clock to the output of an ALU's register: Lattice's figure for the output register of the multiplier beside it, speed grade 6.
const OUTPUT_PICOSECONDS: f64 = 735.0;
/// What the register at the end wants: a flip-flop behind a LUT of its slice, which is the most that any register here does.
const SETUP_PICOSECONDS: f64 = 303.0;

/// Whether a netlist of Yosys' has ALUs: cells, for as an empty module every one has it.
pub(super) fn are_in(netlist: &[u8]) -> bool {
    String::from_utf8_lossy(netlist).contains("\"type\": \"ALU54B\"")
}

/// Leaves [`WIRE`] in a folder instead of [`DELAYS`].
pub(super) fn keep_longest(folder: &Path) -> std::io::Result<()> {
    let delays = std::fs::read_to_string(folder.join(DELAYS))?;
    let mut line = String::new();
    if let Some((picoseconds, from, to)) = longest(&delays) {
        let _ = writeln!(line, "{picoseconds}\t{from}\t{to}");
    }
    std::fs::write(folder.join(WIRE), line)?;
    std::fs::remove_file(folder.join(DELAYS))
}

/// The longest wire from an ALU, by its slowest delay.
fn longest(delays: &str) -> Option<(f64, String, String)> {
    let mut alus = HashSet::new();
    let mut is_alu = false;
    for line in delays.lines().map(str::trim) {
        if let Some(kind) = line.strip_prefix("(CELLTYPE ") {
            is_alu = kind == "\"ALU54B\")";
        } else if let (true, Some(name)) = (is_alu, line.strip_prefix("(INSTANCE ")) {
            alus.insert(name.trim_end_matches(')'));
        }
    }
    let wire = |line: &str| {
        // (INTERCONNECT a.alu/R3 b/DI (1:2:3) (1:2:3))
        let mut words = line.trim().strip_prefix("(INTERCONNECT ")?.split(' ');
        let (from, to, delay) = (words.next()?, words.next()?, words.next()?);
        let (cell, _) = from.rsplit_once('/')?;
        let (reader, _) = to.rsplit_once('/')?;
        let slowest = delay.trim_matches(['(', ')']).rsplit(':').next()?.parse().ok()?;
        alus.contains(cell).then(|| (slowest, plain(cell), plain(reader)))
    };
    delays.lines().filter_map(wire).max_by(|a: &(f64, String, String), b| a.0.total_cmp(&b.0))
}

/// A name without the file format's escapes.
fn plain(name: &str) -> String {
    name.replace('\\', "")
}

/// The report with the longest wire from an ALU, as [`keep_longest`] wrote it, for its critical path if no other is longer.
pub(super) fn counted(report: Report, line: &str) -> Report {
    let mut fields = line.trim_end().split('\t');
    let mut next = || fields.next();
    let (Some(Ok(picoseconds)), Some(from), Some(to)) = (next().map(str::parse::<f64>), next(), next())
    else {
        return report;
    };
    let fmax_mhz = 1e6 / (OUTPUT_PICOSECONDS + picoseconds + SETUP_PICOSECONDS);
    if report.fmax_mhz <= fmax_mhz {
        return report;
    }
    let hop = |kind: &str, picoseconds: f64, at: &str| Hop {
        kind: kind.into(),
        nanoseconds: picoseconds / 1000.0,
        at: readable(at),
    };
    let critical_path = vec![
        hop("clk-to-q", OUTPUT_PICOSECONDS, from),
        hop("routing", picoseconds, to),
        hop("setup", SETUP_PICOSECONDS, to),
    ];
    Report { fmax_mhz, critical_path, ..report }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SDF: &str = r#"
      (CELLTYPE "top")
        (INTERCONNECT a.early_alu/R3 a.late_alu/C3 (100:200:4000) (100:200:4000))
        (INTERCONNECT a.late_alu/R3 a.\$total_TRELLIS_FF_Q/M (100:200:5000.5) (1:2:3))
        (INTERCONNECT a.register/Q a.early_alu/OP3 (100:200:9000) (100:200:9000))
    (CELLTYPE "ALU54B")
    (INSTANCE a.early_alu)
    (CELLTYPE "TRELLIS_FF")
    (INSTANCE a.register)
    (CELLTYPE "ALU54B")
    (INSTANCE a.late_alu)
"#;

    fn report(fmax_mhz: f64) -> Report {
        Report { fmax_mhz, uses: Vec::new(), critical_path: Vec::new() }
    }

    #[test]
    fn the_longest_wire_from_an_alu_is_a_path() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join(DELAYS), SDF).expect("delays");
        keep_longest(folder.path()).expect("a wire");
        assert!(!folder.path().join(DELAYS).exists());
        let line = std::fs::read_to_string(folder.path().join(WIRE)).expect("a wire");
        assert_eq!(line, "5000.5\ta.late_alu\ta.$total_TRELLIS_FF_Q\n");
        let slow = counted(report(200.0), &line);
        assert!((slow.fmax_mhz - 1e6 / 6038.5).abs() < 1e-6, "{}", slow.fmax_mhz);
        assert_eq!(slow.critical_path[1].nanoseconds, 5.0005);
        assert_eq!(counted(report(150.0), &line), report(150.0));
    }

    #[test]
    fn without_alus_there_is_no_wire() {
        assert_eq!(longest(&SDF.replace("ALU54B", "MULT18X18D")), None);
        assert_eq!(counted(report(200.0), ""), report(200.0));
        assert!(are_in(br#"{"cells": {"x": {"type": "ALU54B"}}}"#));
        assert!(!are_in(br#"{"modules": {"ALU54B": {}}, "cells": {"ALU54B": {"type": "LUT4"}}}"#));
    }
}
