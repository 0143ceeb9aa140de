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
mod demand;
mod graph;
mod groups;
mod sites;

pub(crate) use sites::Chip;

use graph::Graph;
use serde_json::Value;

/// Raised when the same netlist and seed give other sites: results in the cache are of one version.
pub(crate) const VERSION: u32 = 2;

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

/// A netlist whose hard blocks nextpnr would not find good sites for.
pub(crate) struct Layout<'a> {
    netlist: &'a [u8],
    chip: &'a Chip,
    graph: Graph,
}

/// What came out.
pub(crate) struct LaidOut {
    /// The netlist with a site for every hard block.
    pub(crate) netlist: Vec<u8>,
    /// What was done, for people.
    pub(crate) log: String,
}

impl<'a> Layout<'a> {
    /// The layout of a netlist that has at least three quarters of a kind of hard blocks that the chip has. With fewer there is none: nextpnr finds good sites
    /// itself.
    ///
    /// # Errors
    /// If the netlist is none of Yosys', or has more hard blocks than the chip.
    pub(crate) fn of(netlist: &'a [u8], chip: &'a Chip) -> Result<Option<Self>, LayoutError> {
        let layout = Layout { netlist, chip, graph: Graph::parse(netlist)? };
        let mut is_crowded = false;
        for kind in Kind::ALL {
            let (used, available) = (layout.used(kind), chip.sites(kind).len());
            if used > available {
                return Err(LayoutError::TooMany { used, available });
            }
            is_crowded |= 4 * used >= 3 * available;
        }
        Ok(is_crowded.then_some(layout))
    }

    fn used(&self, kind: Kind) -> usize {
        self.graph.cells.iter().filter(|cell| cell.kind == Some(kind)).count()
    }

    /// Finds the sites. The same seed finds the same ones.
    ///
    /// # Errors
    /// If the netlist is none of Yosys'.
    pub(crate) fn lay_out(&self, seed: u64) -> Result<LaidOut, LayoutError> {
        let grouping = groups::group(&self.graph);
        let annealed = anneal::anneal(&grouping, self.chip, seed);
        let mut document: Value = serde_json::from_slice(self.netlist)?;
        let cells =
            document["modules"][&self.graph.top]["cells"].as_object_mut().ok_or(LayoutError::NoTop)?;
        for (cell, about) in self.graph.cells.iter().enumerate() {
            let (Some(kind), Some(site)) = (about.kind, annealed.sites[grouping.group_of[cell]]) else {
                continue;
            };
            cells[&about.name]["attributes"]["BEL"] = self.chip.sites(kind)[site].bel.as_str().into();
        }
        let log = format!(
            "{} multipliers and {} block RAMs laid out, seed {seed}.\n\
             {} cells in {} groups, {} bundles of nets between them.\n\
             Half the way around each bundle, by its weight: {:.0} tiles at random, {:.0} after {} temperatures.\n",
            self.used(Kind::Multiplier),
            self.used(Kind::BlockRam),
            self.graph.cells.len(),
            grouping.groups.len(),
            grouping.bundles.len(),
            annealed.length_before,
            annealed.length_after,
            annealed.temperatures,
        );
        Ok(LaidOut { netlist: serde_json::to_vec(&document)?, log })
    }
}

#[cfg(test)]
mod tests;
