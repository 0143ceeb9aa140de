//! Logic in groups of cells that belong together, so that annealing has thousands of things to move and not a hundred thousand.

use super::graph::Graph;
use super::Kind;
use std::collections::{BTreeMap, HashMap};

/// The most LUTs of a group.
const LARGEST: f64 = 40.0;
/// Nets with more cells do not say what belongs together, and nets with more groups pull nowhere.
const MOST_CELLS: usize = 24;
const MOST_GROUPS: usize = 150;

pub(super) struct Grouping {
    pub(super) groups: Vec<Group>,
    /// Nets between groups; those between the same groups are one.
    pub(super) bundles: Vec<Bundle>,
    /// Of each cell.
    pub(super) group_of: Vec<usize>,
}

/// A hard block, or some logic.
#[derive(Clone)]
pub(super) struct Group {
    pub(super) kind: Option<Kind>,
    pub(super) luts: f64,
}

pub(super) struct Bundle {
    pub(super) groups: Vec<usize>,
    pub(super) weight: f64,
    /// Wires that its nets need: those with many groups branch, and need more than half the way around.
    pub(super) wires: f64,
}

/// Pairs of neighbours become one group, again and again, while there are pairs small enough.
pub(super) fn group(graph: &Graph) -> Grouping {
    let mut group_of: Vec<usize> = (0..graph.cells.len()).collect();
    let mut groups: Vec<Group> =
        graph.cells.iter().map(|cell| Group { kind: cell.kind, luts: cell.luts }).collect();
    loop {
        let mates = pair(&groups, &neighbours(graph, &group_of, groups.len()));
        let mut numbers = vec![None; groups.len()];
        let mut merged = Vec::new();
        for (old, mate) in mates.iter().enumerate() {
            if numbers[old].is_some() {
                continue;
            }
            numbers[old] = Some(merged.len());
            let mut group = groups[old].clone();
            if let Some(mate) = *mate {
                numbers[mate] = Some(merged.len());
                group.luts += groups[mate].luts;
            }
            merged.push(group);
        }
        for group in &mut group_of {
            *group = numbers[*group].expect("every group has a new number");
        }
        let pairs = groups.len() - merged.len();
        let is_last = pairs * 50 < groups.len();
        groups = merged;
        if is_last {
            break;
        }
    }
    let mut bundles: BTreeMap<Vec<usize>, (f64, f64)> = BTreeMap::new();
    for net in &graph.nets {
        let touched = touched(&net.cells, &group_of);
        if (2..=MOST_GROUPS).contains(&touched.len()) {
            // A path with twice the levels has half the time for each wire, and bends around as many more corners.
            let levels = net.levels / 3.0;
            let wires = (0.4 * (touched.len() as f64).sqrt()).max(1.0);
            let bundle = bundles.entry(touched).or_default();
            bundle.0 += 1.0 + (levels * levels).min(6.0);
            bundle.1 += wires;
        }
    }
    let bundles =
        bundles.into_iter().map(|(groups, (weight, wires))| Bundle { groups, weight, wires }).collect();
    Grouping { groups, bundles, group_of }
}

/// The groups of some cells, in ascending order.
fn touched(cells: &[usize], group_of: &[usize]) -> Vec<usize> {
    let mut groups: Vec<usize> = cells.iter().map(|cell| group_of[*cell]).collect();
    groups.sort_unstable();
    groups.dedup();
    groups
}

/// For each group, how much it has to do with others.
fn neighbours(graph: &Graph, group_of: &[usize], groups: usize) -> Vec<HashMap<usize, f64>> {
    let mut neighbours = vec![HashMap::new(); groups];
    for net in &graph.nets {
        let touched = touched(&net.cells, group_of);
        if !(2..=MOST_CELLS).contains(&touched.len()) {
            continue;
        }
        let weight = (1.0 + 0.2 * net.levels) / (touched.len() - 1) as f64;
        for a in &touched {
            for b in touched.iter().filter(|b| *b != a) {
                *neighbours[*a].entry(*b).or_insert(0.0) += weight;
            }
        }
    }
    neighbours
}

/// Each group of logic's mate, the small ones choosing first. Hard blocks have none.
fn pair(groups: &[Group], neighbours: &[HashMap<usize, f64>]) -> Vec<Option<usize>> {
    let mut order: Vec<usize> = (0..groups.len()).filter(|group| groups[*group].kind.is_none()).collect();
    order.sort_by(|a, b| groups[*a].luts.total_cmp(&groups[*b].luts).then(a.cmp(b)));
    let mut mates: Vec<Option<usize>> = vec![None; groups.len()];
    for group in order {
        if mates[group].is_some() {
            continue;
        }
        let luts = |other: usize| groups[group].luts + groups[other].luts;
        let best = neighbours[group]
            .iter()
            .filter(|(other, _)| {
                groups[**other].kind.is_none() && mates[**other].is_none() && luts(**other) <= LARGEST
            })
            .map(|(other, weight)| (weight / (luts(*other) + 1.0).sqrt(), *other))
            // Of equals the first one, whatever the map's order.
            .max_by(|a, b| a.0.total_cmp(&b.0).then(b.1.cmp(&a.1)));
        if let Some((_, other)) = best {
            (mates[group], mates[other]) = (Some(other), Some(group));
        }
    }
    mates
}
