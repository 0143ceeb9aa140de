//! Where the modules of a placed design are: a picture of the chip, a square a tile, in the colour of the module that has most of it.

use serde::de::{Deserializer, MapAccess, Visitor};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

/// What nextpnr writes, and what is kept of it.
pub(super) const ROUTED: &str = "routed.json";
pub(super) const PLACES: &str = "places.tsv";

/// Modules that have colours of their own; what is smaller is drawn as `others`.
const COLOURS: [&str; 11] = [
    "#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd", "#8c564b", "#e377c2", "#bcbd22", "#17becf",
    "#3f51b5", "#222222",
];
const OTHERS: &str = "#9e9e9e";

/// A cell on the chip.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) x: u32,
    pub(super) y: u32,
    /// Hierarchical name, without what the tools have added to it.
    pub(super) name: String,
}

/// Leaves [`PLACES`] in a folder instead of [`ROUTED`], which is a thousand times larger.
pub(super) fn keep_places(folder: &Path) -> std::io::Result<()> {
    extract_places(folder)?;
    std::fs::remove_file(folder.join(ROUTED))
}

/// Leaves [`PLACES`] in a folder, and [`ROUTED`] as the placed design that a packer takes.
pub(super) fn keep_places_and_design(folder: &Path) -> std::io::Result<()> {
    extract_places(folder)?;
    std::fs::rename(folder.join(ROUTED), folder.join(super::PLACED))
}

fn extract_places(folder: &Path) -> std::io::Result<()> {
    let design: Routed = serde_json::from_slice(&std::fs::read(folder.join(ROUTED))?)?;
    let mut lines = String::new();
    for place in design.modules.0 {
        let _ = writeln!(lines, "{}\t{}\t{}", place.x, place.y, place.name);
    }
    std::fs::write(folder.join(PLACES), lines)
}

/// Reads what [`keep_places`] wrote.
pub(super) fn places(text: &str) -> Vec<Place> {
    let place = |line: &str| {
        let mut fields = line.splitn(3, '\t');
        let mut number = || fields.next()?.parse().ok();
        let (x, y) = (number()?, number()?);
        Some(Place { x, y, name: fields.next()?.to_owned() })
    };
    text.lines().filter_map(place).collect()
}

/// The picture, as SVG.
pub(super) fn svg(title: &str, places: &[Place]) -> String {
    const TILE: u32 = 6;
    const LEGEND: u32 = 250;
    const HEAD: u32 = 34;
    let groups = Groups::of(places);
    let mut tiles: BTreeMap<(u32, u32), BTreeMap<usize, u32>> = BTreeMap::new();
    for place in places {
        *tiles.entry((place.x, place.y)).or_default().entry(groups.number(&place.name)).or_default() += 1;
    }
    let columns = places.iter().map(|place| place.x).max().unwrap_or(0) + 1;
    let rows = places.iter().map(|place| place.y).max().unwrap_or(0) + 1;
    let fullest = tiles.values().map(|cells| cells.values().sum::<u32>()).max().unwrap_or(1).max(1);
    let legend_height = 20 * (groups.modules.len() as u32 + 1);
    let (width, height) = (TILE * columns + LEGEND + 30, HEAD + (TILE * rows).max(legend_height) + 14);
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" \
         font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n<text x=\"10\" y=\"20\" font-size=\"14\">{title}</text>\n\
         <rect x=\"10\" y=\"{HEAD}\" width=\"{}\" height=\"{}\" fill=\"#f3f3f3\"/>\n",
        TILE * columns,
        TILE * rows
    );
    // One path for all tiles of a colour and a fullness.
    const LEVELS: u32 = 4;
    let mut paths: BTreeMap<(usize, u32), String> = BTreeMap::new();
    for ((x, y), cells) in &tiles {
        let all: u32 = cells.values().sum();
        let (most, _) = cells.iter().max_by_key(|(_, count)| **count).unwrap_or((&0, &0));
        let side = TILE - 1;
        let path = paths.entry((*most, (LEVELS * all).div_ceil(fullest))).or_default();
        let _ = write!(path, "M{} {}h{side}v{side}h-{side}z", 10 + TILE * x, HEAD + TILE * y);
    }
    for ((group, level), path) in paths {
        let opacity = 0.35 + 0.65 * f64::from(level) / f64::from(LEVELS);
        let _ = writeln!(
            text,
            "<path fill=\"{}\" fill-opacity=\"{opacity:.2}\" d=\"{path}\"/>",
            groups.colour(group)
        );
    }
    let left = 10 + TILE * columns + 14;
    for (number, ((_, name), cells)) in groups.modules.iter().zip(&groups.cells).enumerate() {
        let top = HEAD + 20 * number as u32;
        let _ = writeln!(
            text,
            "<rect x=\"{left}\" y=\"{top}\" width=\"12\" height=\"12\" fill=\"{}\"/><text x=\"{}\" y=\"{}\">{name} ({cells} cells)</text>",
            groups.colour(number),
            left + 18,
            top + 11
        );
    }
    text + "</svg>\n"
}

/// The modules of the picture, the largest first; the last one stands for all others.
struct Groups {
    /// Instances from the top, and the picture's name for them.
    modules: Vec<(String, String)>,
    cells: Vec<usize>,
    of_path: BTreeMap<String, usize>,
}

impl Groups {
    /// Takes the largest module apart, again and again, until there is a colour for each.
    fn of(places: &[Place]) -> Groups {
        let mut paths: BTreeMap<String, usize> = BTreeMap::new();
        for place in places {
            *paths.entry(path(&place.name)).or_default() += 1;
        }
        // Of each group, the paths and their cells.
        let mut groups: BTreeMap<String, Vec<(&str, usize)>> = BTreeMap::new();
        groups.insert(String::new(), paths.iter().map(|(path, cells)| (path.as_str(), *cells)).collect());
        let size = |members: &Vec<(&str, usize)>| members.iter().map(|(_, cells)| cells).sum::<usize>();
        loop {
            let divisible =
                groups.iter().filter(|(name, members)| members.iter().any(|(path, _)| *path != **name));
            let Some(name) = divisible.max_by_key(|(_, members)| size(members)).map(|(name, _)| name.clone())
            else {
                break;
            };
            let mut parts: BTreeMap<String, Vec<(&str, usize)>> = BTreeMap::new();
            for member in &groups[&name] {
                let below =
                    member.0[name.len()..].trim_start_matches('.').split('.').next().unwrap_or_default();
                let separator = if name.is_empty() || below.is_empty() { "" } else { "." };
                parts.entry(format!("{name}{separator}{below}")).or_default().push(*member);
            }
            // What is small is drawn as others: it needs no colour.
            let large = |members: &Vec<(&str, usize)>| 100 * size(members) >= places.len();
            let more = parts.values().filter(|members| large(members)).count();
            let now = groups.values().filter(|members| large(members)).count();
            // A module that is nearly everything says nothing: it is taken apart in any case.
            let is_most = 5 * size(&groups[&name]) > 2 * places.len();
            if now + more > COLOURS.len() + 1 && !is_most {
                break;
            }
            groups.remove(&name);
            groups.extend(parts);
        }
        let mut sorted: Vec<_> = groups.into_iter().collect();
        sorted.sort_by(|a, b| size(&b.1).cmp(&size(&a.1)).then_with(|| a.0.cmp(&b.0)));
        let rest: Vec<_> =
            sorted.drain(sorted.len().min(COLOURS.len())..).flat_map(|(_, members)| members).collect();
        let (mut modules, mut cells, mut of_path) = (Vec::new(), Vec::new(), BTreeMap::new());
        let mut add = |name: String, members: Vec<(&str, usize)>| {
            let shown = name.rsplitn(3, '.').take(2).collect::<Vec<_>>();
            let shown = shown.into_iter().rev().collect::<Vec<_>>().join(".");
            of_path.extend(members.iter().map(|(path, _)| ((*path).to_owned(), modules.len())));
            cells.push(size(&members));
            modules.push((name, if shown.is_empty() { "top".into() } else { shown }));
        };
        sorted.into_iter().for_each(|(name, members)| add(name, members));
        if !rest.is_empty() {
            add("others".into(), rest);
        }
        Groups { modules, cells, of_path }
    }

    fn number(&self, name: &str) -> usize {
        self.of_path.get(&path(name)).copied().unwrap_or_default()
    }

    fn colour(&self, number: usize) -> &'static str {
        COLOURS.get(number).copied().unwrap_or(OTHERS)
    }
}

/// The instances of a hierarchical name; its last part is a signal's. Numbered siblings go together: `lane_3` is `lane`, and what is only a number, as of a
/// memory's parts, is nothing.
fn path(name: &str) -> String {
    let Some((modules, _)) = name.rsplit_once('.') else { return String::new() };
    let unnumbered =
        |part: &str| part.trim_end_matches(|c: char| c.is_ascii_digit()).trim_end_matches('_').to_owned();
    modules.split('.').map(unnumbered).filter(|part| !part.is_empty()).collect::<Vec<_>>().join(".")
}

#[derive(Deserialize)]
struct Routed {
    modules: Cells,
}

/// The cells of the only module.
struct Cells(Vec<Place>);

#[derive(Deserialize)]
struct RawModule {
    #[serde(deserialize_with = "raw_cells")]
    cells: Vec<Place>,
}

#[derive(Deserialize)]
struct RawCell {
    attributes: RawAttributes,
}

#[derive(Deserialize)]
struct RawAttributes {
    #[serde(rename = "NEXTPNR_BEL")]
    bel: Option<String>,
}

impl<'de> Deserialize<'de> for Cells {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let modules = BTreeMap::<String, RawModule>::deserialize(deserializer)?;
        Ok(Cells(modules.into_values().flat_map(|module| module.cells).collect()))
    }
}

/// Cells one after another: a large design's attributes need not be in memory all at once.
fn raw_cells<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Place>, D::Error> {
    struct Each;
    impl<'de> Visitor<'de> for Each {
        type Value = Vec<Place>;

        fn expecting(&self, formatter: &mut std::fmt::Formatter) -> std::fmt::Result {
            formatter.write_str("cells by their names")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut cells: A) -> Result<Vec<Place>, A::Error> {
            let mut places = Vec::new();
            while let Some((name, cell)) = cells.next_entry::<String, RawCell>()? {
                let place = cell.attributes.bel.as_deref().and_then(position);
                places.extend(place.map(|(x, y)| Place { x, y, name: super::report::readable(&name) }));
            }
            Ok(places)
        }
    }
    deserializer.deserialize_map(Each)
}

/// `X12/Y34/SLICEA` of the lattice families, `X12Y34/LUT3` of Gowin.
fn position(bel: &str) -> Option<(u32, u32)> {
    let (x, rest) = bel.strip_prefix('X')?.split_once('Y')?;
    let y: String = rest.chars().take_while(char::is_ascii_digit).collect();
    Some((x.trim_end_matches('/').parse().ok()?, y.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_of_all_families() {
        assert_eq!(position("X12/Y34/SLICEA.LUT0"), Some((12, 34)));
        assert_eq!(position("X5Y106/LUT3"), Some((5, 106)));
        assert_eq!(position("PIO"), None);
    }

    #[test]
    fn places_of_a_routed_design_are_kept_and_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let cell = |bel: &str| {
            format!(
                r#"{{"hide_name": 0, "type": "TRELLIS_FF", "attributes": {{"NEXTPNR_BEL": "{bel}", "src": "a.v:1"}}}}"#
            )
        };
        let json = format!(
            r#"{{"creator": "nextpnr", "modules": {{"top": {{"ports": {{}}, "cells": {{
                "accelerator.queue_0.usable_TRELLIS_FF_Q": {}, "link.state_TRELLIS_FF_Q_1": {},
                "unplaced": {{"attributes": {{}}}}}}, "netnames": {{}}}}}}}}"#,
            cell("X2/Y3/SLICEB.FF0"),
            cell("X4/Y5/SLICEC.FF1"),
        );
        std::fs::write(folder.path().join(ROUTED), json).unwrap();
        keep_places(folder.path()).unwrap();
        assert!(!folder.path().join(ROUTED).exists());
        let found = places(&std::fs::read_to_string(folder.path().join(PLACES)).unwrap());
        let place = |x, y, name: &str| Place { x, y, name: name.into() };
        assert_eq!(found, [place(2, 3, "accelerator.queue_0.usable"), place(4, 5, "link.state")]);
    }

    #[test]
    fn the_largest_modules_have_colours() {
        let mut all: Vec<Place> =
            (0..30).map(|x| Place { x, y: 1, name: format!("machine.lane_{}.sum", x % 4) }).collect();
        all.extend((0..10).map(|x| Place { x, y: 2, name: "machine.link.state".into() }));
        all.push(Place { x: 0, y: 3, name: "led".into() });
        let picture = svg("chip", &all);
        for line in ["machine.lane (30 cells)", "machine.link (10 cells)", "top (1 cells)"] {
            assert!(picture.contains(line), "{line} in {picture}");
        }
        // A tile each; a square for each of three names, and two grounds.
        assert_eq!((picture.matches("h5v5h-5z").count(), picture.matches("<rect").count()), (41, 3 + 2));
    }

    /// A memory's parts are numbered and nothing else, at any depth.
    #[test]
    fn parts_that_are_only_numbers_are_their_module() {
        let all: Vec<Place> =
            (0..30).map(|x| Place { x, y: 1, name: format!("weights.rows.{x}.{}.data", x % 4) }).collect();
        let picture = svg("chip", &all);
        assert!(picture.contains("weights.rows (30 cells)"), "{picture}");
    }
}
