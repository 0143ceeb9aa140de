//! Where the hard blocks of a design lie on a chip that it nearly fills with them.
//!
//! nextpnr's placer solves where cells would best lie, and then moves each hard block to the next free site. Where nearly all sites of a kind are taken, that
//! is anywhere: the multipliers of one column of the array end up all over the chip, and its adders in between. So the multipliers and block RAMs of such a
//! design get their sites before nextpnr begins, by simulated annealing, and nextpnr places the rest around them.
//!
//! ```text
//! netlist --graph--> cells, nets, levels of logic --groups--> a few thousand groups and the hard blocks --anneal--> sites --> BEL attributes
//! ```

mod anneal;
mod graph;
mod groups;
mod sites;

pub(crate) use sites::Chip;

use graph::Graph;
use serde_json::Value;
use std::collections::BTreeMap;

/// Raised when the same netlist and seed give other sites: results in the cache are of one version.
pub(crate) const VERSION: u32 = 1;

/// Why hard blocks have no sites.
#[derive(Debug, thiserror::Error)]
pub enum LayoutError {
    #[error("the netlist cannot be understood: {0}")]
    Json(#[from] serde_json::Error),
    #[error("the netlist has no top module")]
    NoTop,
    #[error("there are {used} hard blocks of a kind that the chip has {available} of")]
    TooMany { used: usize, available: usize },
}

/// Kinds of hard blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Kind {
    Multiplier,
    BlockRam,
}

impl Kind {
    pub(crate) const ALL: [Kind; 2] = [Kind::Multiplier, Kind::BlockRam];
}

/// Whether a netlist has at least three quarters of a kind of hard blocks that the chip has. With fewer, nextpnr finds good sites itself.
///
/// # Errors
/// If the netlist is none of Yosys', or has more hard blocks than the chip.
pub(crate) fn is_needed(netlist: &[u8], chip: &Chip) -> Result<bool, LayoutError> {
    is_crowded(&Graph::parse(netlist)?, chip)
}

fn is_crowded(graph: &Graph, chip: &Chip) -> Result<bool, LayoutError> {
    let mut is_crowded = false;
    for kind in Kind::ALL {
        let used = graph.cells.iter().filter(|cell| cell.kind == Some(kind)).count();
        let available = chip.sites(kind).len();
        if used > available {
            return Err(LayoutError::TooMany { used, available });
        }
        is_crowded |= 4 * used >= 3 * available;
    }
    Ok(is_crowded)
}

/// The netlist with a site for every hard block.
///
/// # Errors
/// As [`is_needed`].
pub(crate) fn lay_out(netlist: &[u8], chip: &Chip, seed: u64) -> Result<Vec<u8>, LayoutError> {
    let graph = Graph::parse(netlist)?;
    is_crowded(&graph, chip)?;
    let grouping = groups::group(&graph);
    let places = anneal::anneal(&grouping, chip, seed);
    let bels: BTreeMap<&str, &str> = graph
        .cells
        .iter()
        .enumerate()
        .filter_map(|(cell, about)| {
            let site = places[grouping.group_of[cell]]?;
            Some((about.name.as_str(), chip.sites(about.kind?)[site].bel.as_str()))
        })
        .collect();
    let mut document: Value = serde_json::from_slice(netlist)?;
    let cells = document["modules"][&graph.top]["cells"].as_object_mut().ok_or(LayoutError::NoTop)?;
    for (name, bel) in bels {
        cells[name]["attributes"]["BEL"] = bel.into();
    }
    Ok(serde_json::to_vec(&document)?)
}

/// Random numbers, the same on every machine: SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }
    /// Less than `limit`.
    fn below(&mut self, limit: usize) -> usize {
        ((u128::from(self.next()) * limit as u128) >> 64) as usize
    }
    /// From 0 to 1.
    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests;
