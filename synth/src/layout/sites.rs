//! The sites of hard blocks, and how much logic lies between them.

use super::Kind;
use crate::flow::device::Device;

/// A site: its tile and its name.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Site {
    pub(crate) x: f64,
    pub(crate) y: f64,
    pub(crate) bel: String,
}

/// A chip's sites, row by row, and its size in tiles.
pub(crate) struct Chip {
    multipliers: Vec<Site>,
    block_rams: Vec<Site>,
    pub(super) columns: usize,
    pub(super) rows: usize,
    pub(super) luts: usize,
}

/// First column of each group of four multipliers, which is that of a group of four block RAMs, too, on an LFE5U-85F.
const GROUPS: [usize; 13] = [4, 13, 22, 31, 40, 49, 58, 69, 78, 87, 96, 105, 114];
/// Columns of a group's sites, and their names.
const MULTIPLIERS: [(usize, &str); 4] = [(0, "MULT18_0"), (1, "MULT18_1"), (4, "MULT18_4"), (5, "MULT18_5")];
const BLOCK_RAMS: [(usize, &str); 4] = [(0, "EBR0"), (2, "EBR1"), (4, "EBR2"), (6, "EBR3")];
const MULTIPLIER_ROWS: [usize; 3] = [10, 34, 58];
const BLOCK_RAM_ROWS: [usize; 4] = [22, 46, 70, 82];

impl Chip {
    /// The chip of a device; None where nobody has written down where its hard blocks are.
    pub(crate) fn of(device: &Device) -> Option<Chip> {
        (device.name == "ecp5-85f").then(Chip::ecp5_85f)
    }

    pub(super) fn ecp5_85f() -> Chip {
        let sites = |rows: &[usize], names: &[(usize, &str); 4]| -> Vec<Site> {
            let site = |y: usize, x: usize, name: &str| Site {
                x: x as f64,
                y: y as f64,
                bel: format!("X{x}/Y{y}/{name}"),
            };
            let in_row = |y: usize| {
                GROUPS
                    .iter()
                    .flat_map(move |group| names.iter().map(move |(x, name)| site(y, group + x, name)))
            };
            rows.iter().flat_map(|y| in_row(*y)).collect()
        };
        Chip {
            multipliers: sites(&MULTIPLIER_ROWS, &MULTIPLIERS),
            block_rams: sites(&BLOCK_RAM_ROWS, &BLOCK_RAMS),
            columns: 128,
            rows: 96,
            luts: 83_640,
        }
    }

    pub(crate) fn sites(&self, kind: Kind) -> &[Site] {
        match kind {
            Kind::Multiplier => &self.multipliers,
            Kind::BlockRam => &self.block_rams,
        }
    }

    /// Sites of a kind in one row.
    pub(super) fn in_row(&self, kind: Kind) -> usize {
        let sites = self.sites(kind);
        sites.iter().take_while(|site| site.y == sites[0].y).count()
    }
}
