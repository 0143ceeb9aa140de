//! What nextpnr says of a design: its report as JSON, and the lines of its log that come before a failure.

use super::device::{Family, Resource};
use serde::Deserialize;
use std::collections::BTreeMap;

/// What is used of a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct Use {
    pub used: u64,
    pub available: u64,
}

/// One step of the critical path.
#[derive(Clone, Debug, PartialEq)]
pub struct Hop {
    /// `clk-to-q`, `logic`, `routing` or `setup`.
    pub kind: String,
    pub nanoseconds: f64,
    /// The register or the signal it ends at, from the top, without what the tools have added to the name.
    pub at: String,
}

/// Figures of a placed and routed design.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// The slowest clock's.
    pub fmax_mhz: f64,
    pub uses: Vec<(Resource, Use)>,
    pub critical_path: Vec<Hop>,
}

impl Report {
    pub fn of(&self, resource: Resource) -> Use {
        let found = self.uses.iter().find(|(each, _)| *each == resource);
        found.map_or(Use { used: 0, available: 0 }, |(_, count)| *count)
    }

    /// Reads `nextpnr --report`, and from the log what that does not say.
    pub(super) fn parse(family: Family, json: &[u8], log: &str) -> Result<Report, String> {
        let raw: Raw = serde_json::from_slice(json).map_err(|error| error.to_string())?;
        let slowest = raw.fmax.values().min_by(|a, b| a.achieved.total_cmp(&b.achieved));
        let fmax_mhz = slowest.ok_or("no clock is constrained by a register")?.achieved;
        let clocked = |path: &&RawPath| path.from.starts_with("posedge") && path.from == path.to;
        let path = raw.critical_paths.iter().filter(clocked).max_by(|a, b| a.total().total_cmp(&b.total()));
        let hops = path.map(|path| path.path.iter().map(Hop::from).collect()).unwrap_or_default();
        let mut uses = uses(family, &raw.utilization);
        if family == Family::Ice40 {
            let used = ice40_flip_flops(log).ok_or("the log does not say how many flip-flops there are")?;
            let count = uses.iter_mut().find(|(resource, _)| *resource == Resource::FlipFlop);
            count.into_iter().for_each(|(_, count)| count.used = used);
        }
        Ok(Report { fmax_mhz, uses, critical_path: hops })
    }
}

/// The report counts cells, whether they hold a LUT, a flip-flop or both; while it packs them, nextpnr says which:
/// `Info:      142 LCs used as DFF only`.
fn ice40_flip_flops(log: &str) -> Option<u64> {
    let counts = log.lines().filter_map(|line| {
        let (count, kind) = line.trim_start_matches("Info:").trim().split_once(" LCs used as ")?;
        kind.contains("DFF").then(|| count.parse::<u64>().ok())?
    });
    counts.reduce(|sum, count| sum + count)
}

fn uses(family: Family, cells: &BTreeMap<String, Use>) -> Vec<(Resource, Use)> {
    let count = |resource| {
        let found = family.cells(resource).iter().filter_map(|name| cells.get(*name));
        found.fold(Use { used: 0, available: 0 }, |sum, cell| Use {
            used: sum.used + cell.used,
            available: sum.available.max(cell.available),
        })
    };
    let there = |resource: &Resource| !family.cells(*resource).is_empty();
    Resource::ALL.into_iter().filter(there).map(|resource| (resource, count(resource))).collect()
}

/// What a log says was wanted of a resource that there is too little of.
pub(super) fn shortage(family: Family, log: &str) -> Option<(Resource, Use)> {
    let mut cells = BTreeMap::new();
    for line in log.lines() {
        // Info:              MULT18X18D:     176/    156   112%
        let Some((name, counts)) = line.trim_start_matches("Info:").trim().split_once(':') else { continue };
        let Some((used, rest)) = counts.split_once('/') else { continue };
        let available = rest.split_whitespace().next().unwrap_or_default();
        if let (Ok(used), Ok(available)) = (used.trim().parse(), available.parse()) {
            cells.insert(name.to_owned(), Use { used, available });
        }
    }
    uses(family, &cells).into_iter().find(|(_, count)| count.used > count.available)
}

#[derive(Deserialize)]
struct Raw {
    fmax: BTreeMap<String, RawClock>,
    utilization: BTreeMap<String, Use>,
    critical_paths: Vec<RawPath>,
}

#[derive(Deserialize)]
struct RawClock {
    achieved: f64,
}

#[derive(Deserialize)]
struct RawPath {
    from: String,
    to: String,
    path: Vec<RawHop>,
}

impl RawPath {
    fn total(&self) -> f64 {
        self.path.iter().map(|hop| hop.delay).sum()
    }
}

#[derive(Deserialize)]
struct RawHop {
    #[serde(rename = "type")]
    kind: String,
    delay: f64,
    to: RawPin,
}

#[derive(Deserialize)]
struct RawPin {
    cell: String,
}

impl From<&RawHop> for Hop {
    fn from(hop: &RawHop) -> Hop {
        Hop { kind: hop.kind.clone(), nanoseconds: hop.delay, at: readable(&hop.to.cell) }
    }
}

/// `array.packed_0.sums.high_TRELLIS_FF_Q_12` is `array.packed_0.sums.high`.
pub(super) fn readable(cell: &str) -> String {
    const ADDED: [&str; 9] =
        ["_TRELLIS_", "_CCU2C_", "_LUT4_", "_PFUMX_", "_L6MUX21_", "_MULT18X18D_", "_SB_", "_DFF", "_ALU_"];
    let end = ADDED.iter().filter_map(|mark| cell.find(mark)).min().unwrap_or(cell.len());
    cell[..end].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPORT: &str = r#"{"fmax": {"clock": {"achieved": 103.5, "constraint": 130}, "slow": {"achieved": 200, "constraint": 25}},
        "utilization": {"TRELLIS_COMB": {"used": 4384, "available": 83640}, "MULT18X18D": {"used": 80, "available": 156}},
        "critical_paths": [
          {"from": "<async>", "to": "posedge clock", "path": [{"type": "routing", "delay": 20, "from": {"cell": "a"}, "to": {"cell": "b"}}]},
          {"from": "posedge clock", "to": "posedge clock", "path": [
            {"type": "clk-to-q", "delay": 0.5, "to": {"cell": "array.packed_0.sums.high_TRELLIS_FF_Q_12"}},
            {"type": "setup", "delay": 0, "to": {"cell": "array.packed_0.accumulator_1.slice_3"}}]}]}"#;

    #[test]
    fn figures_and_path_of_a_report() {
        let report = Report::parse(Family::Ecp5, REPORT.as_bytes(), "").unwrap();
        assert_eq!(report.fmax_mhz, 103.5);
        assert_eq!(report.of(Resource::Lut), Use { used: 4384, available: 83640 });
        assert_eq!(report.of(Resource::Dsp), Use { used: 80, available: 156 });
        let places: Vec<&str> = report.critical_path.iter().map(|hop| hop.at.as_str()).collect();
        assert_eq!(places, ["array.packed_0.sums.high", "array.packed_0.accumulator_1.slice_3"]);
        assert!(Report::parse(Family::Ecp5, b"{}", "").is_err());
        assert!(Report::parse(Family::Ecp5, br#"{"fmax": {}, "utilization": {}, "critical_paths": []}"#, "")
            .is_err());
    }

    #[test]
    fn flip_flops_of_ice40_cells() {
        let json = br#"{"fmax": {"clock": {"achieved": 25, "constraint": 18}}, "critical_paths": [],
            "utilization": {"ICESTORM_LC": {"used": 30, "available": 5280}}}"#;
        let log = "Info: Packing LUT-FFs..\nInfo:       11 LCs used as LUT4 only\nInfo:       12 LCs used as LUT4 and DFF\nInfo: Packing non-LUT FFs..\n\
            Info:        7 LCs used as DFF only\n";
        let report = Report::parse(Family::Ice40, json, log).unwrap();
        assert_eq!(report.of(Resource::Lut), Use { used: 30, available: 5280 });
        assert_eq!(report.of(Resource::FlipFlop), Use { used: 19, available: 5280 });
        assert!(Report::parse(Family::Ice40, json, "").is_err());
    }

    #[test]
    fn the_resource_that_is_short() {
        let log = "Info:     TRELLIS_COMB:  4384/ 83640     5%\nInfo:     MULT18X18D:  176/  156   112%\nERROR: Unable to place";
        assert_eq!(shortage(Family::Ecp5, log), Some((Resource::Dsp, Use { used: 176, available: 156 })));
        assert_eq!(shortage(Family::Ecp5, "ERROR: something else 3/2"), None);
    }
}
