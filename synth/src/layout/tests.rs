use super::*;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// A chain of blocks, each a multiplier, a block RAM beside it, and a register between one multiplier and the next.
fn chain(blocks: usize) -> String {
    let mut cells = String::new();
    let mut cell = |name: String, kind: &str, input: usize, output: usize| {
        let comma = if cells.is_empty() { "" } else { "," };
        let _ = write!(
            cells,
            r#"{comma}"{name}": {{"type": "{kind}", "parameters": {{}}, "attributes": {{}},
            "port_directions": {{"A": "input", "Q": "output", "Z": "input"}},
            "connections": {{"A": [{input}], "Q": [{output}], "Z": ["0"]}}}}"#
        );
    };
    for block in 0..blocks {
        // Names in another order than the chain's.
        let name = block * 7 % blocks;
        cell(format!("ram_{name}"), "DP16KD", 0, 1000 + block);
        cell(format!("multiplier_{name}"), "MULT18X18D", 1000 + block, 2000 + block);
        cell(format!("register_{name}"), "TRELLIS_FF", 2000 + block, 1001 + block);
    }
    format!(
        r#"{{"modules": {{"cell": {{"cells": {{}}}}, "design": {{"attributes": {{"top": "1"}}, "cells": {{{cells}}}}}}}}}"#
    )
}

/// Every cell's BEL, where it has one.
fn bels(netlist: &[u8]) -> BTreeMap<String, String> {
    let document: Value = serde_json::from_slice(netlist).unwrap();
    let cells = document["modules"]["design"]["cells"].as_object().unwrap();
    let bel = |cell: &Value| cell["attributes"]["BEL"].as_str().map(str::to_owned);
    cells.iter().filter_map(|(name, cell)| Some((name.clone(), bel(cell)?))).collect()
}

#[test]
fn hard_blocks_that_talk_are_neighbours() {
    const BLOCKS: usize = 120;
    let netlist = chain(BLOCKS);
    let chip = Chip::ecp5_85f();
    let layout = Layout::of(netlist.as_bytes(), &chip).unwrap().expect("nearly full");
    let laid_out = |seed| layout.lay_out(seed).unwrap().netlist;
    let first = bels(&laid_out(1));
    assert_eq!(first.len(), 2 * BLOCKS, "every hard block has a site, and nothing else");
    assert_eq!(first.values().collect::<BTreeSet<_>>().len(), 2 * BLOCKS, "each its own");
    let place = |name: String| {
        let bel = &first[&name];
        let kind = if name.starts_with("ram") { Kind::BlockRam } else { Kind::Multiplier };
        let site = chip.sites(kind).iter().find(|site| site.bel == *bel);
        let site = site.unwrap_or_else(|| panic!("{name} on {bel}"));
        (site.x, site.y)
    };
    // 240 sites at random are 60 tiles apart; the nearest row of the other kind is 12 away.
    let distance = |a: (f64, f64), b: (f64, f64)| (a.0 - b.0).abs() + (a.1 - b.1).abs();
    let total: f64 = (0..BLOCKS)
        .map(|name| distance(place(format!("ram_{name}")), place(format!("multiplier_{name}"))))
        .sum();
    let mean = total / BLOCKS as f64;
    assert!(mean < 20.0, "{mean} tiles between a block RAM and its multiplier");
    assert_eq!(bels(&laid_out(1)), first, "the same seed gives the same sites");
    assert_ne!(bels(&laid_out(2)), first, "another one gives others");
}

#[test]
fn a_design_with_room_is_left_alone_and_one_too_large_is_refused() {
    let chip = Chip::ecp5_85f();
    let of = |netlist: &str| Layout::of(netlist.as_bytes(), &chip).map(|layout| layout.is_some());
    // Three quarters of 156 multipliers are 117.
    assert!(matches!(of(&chain(116)), Ok(false)));
    assert!(matches!(of(&chain(117)), Ok(true)));
    assert!(matches!(of(&chain(157)), Err(LayoutError::TooMany { used: 157, available: 156 })));
    assert!(matches!(of("{"), Err(LayoutError::Json(_))));
    assert!(matches!(of(r#"{"modules": {}}"#), Err(LayoutError::NoTop)));
}

#[test]
fn sites_are_those_of_the_chip() {
    let chip = Chip::ecp5_85f();
    for (kind, count, first, last) in [
        (Kind::Multiplier, 156, "X4/Y10/MULT18_0", "X119/Y58/MULT18_5"),
        (Kind::BlockRam, 208, "X4/Y22/EBR0", "X120/Y82/EBR3"),
    ] {
        let sites = chip.sites(kind);
        assert_eq!((sites.len(), chip.in_row(kind)), (count, 52));
        assert_eq!((sites[0].bel.as_str(), sites[count - 1].bel.as_str()), (first, last));
        assert_eq!(sites.iter().map(|site| &site.bel).collect::<BTreeSet<_>>().len(), count);
    }
}

#[test]
fn crowds_are_where_nets_meet() {
    use super::demand::{Demand, Span, BIN};
    let tile = |bin: usize| (bin * BIN) as f64;
    let span = |columns: (usize, usize), rows: (usize, usize)| {
        Span::around([(tile(columns.0), tile(rows.0)), (tile(columns.1), tile(rows.1))].into_iter())
    };
    let row = span((0, 7), (2, 2));
    assert_eq!(row.way(), 28.0);
    assert_eq!(Demand::even(8, 4).beyond(&row), 0.0, "nothing is wanted yet");
    assert_eq!(Demand::of(8, 4, std::iter::empty()).beyond(&row), 0.0, "nothing is wanted");
    // A row of 8 bins and a column of 4, both with 28 tiles of wire: 3.5 in each bin of the row and 7 in each of the column, which share a bin.
    let column = span((5, 5), (0, 3));
    let demand = Demand::of(8, 4, [(row, 1.0), (column, 28.0 / column.way())].into_iter());
    let mean = 56.0 / 32.0;
    let close = |found: f64, wanted: f64| assert!((found - wanted).abs() < 1e-9, "{found}, not {wanted}");
    close(demand.beyond(&span((5, 5), (2, 2))), 10.5 / mean - 1.0);
    close(demand.beyond(&span((0, 0), (2, 2))), 3.5 / mean - 1.0);
    close(demand.beyond(&span((0, 4), (0, 1))), 0.0);
    close(demand.beyond(&column), (10.5 + 3.0 * 7.0) / mean / 4.0 - 1.0);
    // A net that ends on the chip's last tiles ends in its last bins.
    close(demand.beyond(&Span::around([(31.0, 15.0), (40.0, 99.0)].into_iter())), 0.0);
}

/// The sites of those would have to go with their ALU's.
#[test]
fn multipliers_with_alus_are_left_to_the_placer() {
    const BLOCKS: usize = 156;
    let netlist = chain(BLOCKS).replacen("TRELLIS_FF", "ALU54B", 1);
    let chip = Chip::ecp5_85f();
    let layout = Layout::of(netlist.as_bytes(), &chip).unwrap().expect("nearly full of block RAMs");
    let bels = bels(&layout.lay_out(1).unwrap().netlist);
    assert_eq!(bels.len(), BLOCKS);
    assert!(bels.keys().all(|name| name.starts_with("ram_")), "{bels:?}");
}
