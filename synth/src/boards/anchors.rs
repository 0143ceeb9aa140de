//! Where the MAC array's multipliers and the block RAMs of its weights lie on a chip that they nearly fill.
//!
//! nextpnr's placer puts cells where their wires are short on average and then looks for the next free site. Where all sites of a kind are taken,
//! that scatters the array: a column's 16 multipliers end up all over the chip, and its adders in between. So for the board that `base` fills, the columns
//! are laid out by hand, side by side along the rows of multipliers, each with its weights in the nearest row of block RAMs.

use crate::flow::Anchor;
use frugal_isa::Config;

/// First column of each group of four multipliers, which is that of a group of four block RAMs, too, on an LFE5U-85F.
const GROUPS: [usize; 13] = [4, 13, 22, 31, 40, 49, 58, 69, 78, 87, 96, 105, 114];
/// Columns of a group's sites, and their names.
const MULTIPLIERS: [(usize, &str); 4] = [(0, "MULT18_0"), (1, "MULT18_1"), (4, "MULT18_4"), (5, "MULT18_5")];
const BLOCK_RAMS: [(usize, &str); 4] = [(0, "EBR0"), (2, "EBR1"), (4, "EBR2"), (6, "EBR3")];
/// Rows of multipliers, and of the block RAMs beside them.
const ROWS: [(usize, usize); 3] = [(10, 22), (34, 46), (58, 70)];
/// Sites of a kind in a row.
const SITES: usize = 4 * GROUPS.len();

/// The array's anchors in the accelerator with this name; none where the array leaves room.
pub(super) fn array(config: &Config, device: &str, accelerator: &str) -> Vec<Anchor> {
    // Weights that are that deep have a block RAM for every multiplier.
    let is_full = (config.rows, config.cols, config.weight_depth) == (16, 8, 2048);
    if device != "ecp5-85f" || !is_full {
        return Vec::new();
    }
    let per_row = SITES / config.rows;
    let mut anchors = Vec::new();
    // Column 0 comes last: some of its products are made of LUTs, and what else multiplies takes their place.
    for (number, column) in (1..config.cols).chain([0]).enumerate() {
        let (multipliers_y, block_rams_y) = ROWS[number / per_row];
        // Full rows are in the middle; the last one begins at the edge, and what is free in it is in one piece.
        let margin = if number / per_row + 1 < ROWS.len() { (SITES - per_row * config.rows) / 2 } else { 0 };
        for row in 0..config.rows {
            let site = margin + number % per_row * config.rows + row;
            let mut anchor = |cell: String, (offset, name): (usize, &str), y: usize| {
                let bel = format!("X{}/Y{y}/{name}", GROUPS[site / 4] + offset);
                anchors.push(Anchor { cell: format!("{accelerator}.{cell}"), bel });
            };
            anchor(
                format!("matrix.array.packed_{column}.multiplier_{row}.multiplier"),
                MULTIPLIERS[site % 4],
                multipliers_y,
            );
            anchor(
                format!("weights.ram.bytes_{}", column * config.rows + row),
                BLOCK_RAMS[site % 4],
                block_rams_y,
            );
        }
    }
    anchors
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_anchor_is_a_site_of_its_own() {
        let base = Config::preset("base").unwrap();
        let anchors = array(&base, "ecp5-85f", "top");
        assert_eq!(anchors.len(), 2 * 128);
        assert_eq!(anchors.iter().map(|anchor| &anchor.bel).collect::<BTreeSet<_>>().len(), anchors.len());
        assert_eq!(anchors.iter().map(|anchor| &anchor.cell).collect::<BTreeSet<_>>().len(), anchors.len());
        let find =
            |cell: &str| anchors.iter().find(|anchor| anchor.cell == cell).map(|anchor| anchor.bel.as_str());
        assert_eq!(find("top.matrix.array.packed_1.multiplier_0.multiplier"), Some("X8/Y10/MULT18_4"));
        assert_eq!(find("top.weights.ram.bytes_16"), Some("X8/Y22/EBR2"));
        assert_eq!(find("top.weights.ram.bytes_15"), Some("X75/Y70/EBR3"));
        for (preset, device) in [("nano", "ecp5-85f"), ("base", "ecp5-45f"), ("large", "ecp5-85f")] {
            assert!(array(&Config::preset(preset).unwrap(), device, "top").is_empty());
        }
    }
}
