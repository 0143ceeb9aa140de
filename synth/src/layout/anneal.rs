//! Simulated annealing: groups of logic move between bins of tiles, hard blocks between sites, and the temperature falls.

use super::demand::{Demand, Span, BIN};
use super::groups::{Bundle, Grouping};
use super::{Chip, Kind};
use fastrand::Rng;

/// Room for logic is counted in regions of so many bins, across and down: a bin alone holds three groups, and there would be nowhere to go.
const REGION: usize = 2;
/// The share of a region's LUTs that costs nothing to fill; more costs its square.
const FILLED: f64 = 0.92;
/// Wires that are long cost more than their length: one of so many tiles costs twice as much. It is the longest that make a design slow.
const LONG: f64 = 16.0;
/// Wires over bins that are wanted twice as much as the mean cost one and so many times as much.
const CROWDED: f64 = 3.0;
/// Moves at each temperature: this times the number of groups to the power of 5/4.
const EFFORT: f64 = 16.0;
/// The widest move in the end, in tiles.
const NARROW: f64 = 6.0;
/// It is cold when the temperature is so small a part of a bundle's cost.
const COLD: f64 = 0.005;
const MOST_STEPS: usize = 200;

/// What annealing found.
pub(super) struct Annealed {
    /// The number of each hard block's site, by its group; None of logic.
    pub(super) sites: Vec<Option<usize>>,
    /// Half the way around all bundles, by their weights, in tiles: where everything began at random, and in the end.
    pub(super) length_before: f64,
    pub(super) length_after: f64,
    pub(super) temperatures: usize,
}

pub(super) fn anneal(grouping: &Grouping, chip: &Chip, seed: u64) -> Annealed {
    let mut state = State::random(grouping, chip, Rng::with_seed(seed));
    let length_before = state.length();
    let moves = (EFFORT * (grouping.groups.len() as f64).powf(1.25)) as usize;
    let mut window = chip.columns.max(chip.rows) as f64;
    let widest = window;
    let mut temperature = state.typical_change(moves.min(10_000), window);
    let mut temperatures = 0;
    for _ in 0..MOST_STEPS {
        temperatures += 1;
        state.measure_demand();
        let made = (0..moves).filter(|_| state.step(window, temperature)).count();
        let rate = made as f64 / moves as f64;
        if temperature < COLD * state.mean_cost() {
            break;
        }
        // Slowly while about half of the moves are made: that is where order arises.
        temperature *= match rate {
            rate if rate > 0.9 => 0.6,
            rate if rate > 0.7 => 0.85,
            rate if rate > 0.15 => 0.95,
            _ => 0.85,
        };
        window = (window * (0.56 + rate)).clamp(NARROW, widest);
    }
    let site = |(group, place): (usize, &usize)| grouping.groups[group].kind.map(|_| *place);
    Annealed {
        sites: state.places.iter().enumerate().map(site).collect(),
        length_before,
        length_after: state.length(),
        temperatures,
    }
}

/// The number of a bin's region.
fn region(bin: usize, bins_across: usize) -> usize {
    bin / bins_across / REGION * bins_across.div_ceil(REGION) + bin % bins_across / REGION
}

/// A group goes from one place to another, and who was there goes the other way.
struct Move {
    group: usize,
    from: usize,
    to: usize,
    other: Option<usize>,
}

struct State<'a> {
    grouping: &'a Grouping,
    chip: &'a Chip,
    random: Rng,
    /// The bundles of each group.
    bundles_of: Vec<Vec<usize>>,
    hard_blocks: Vec<usize>,
    /// A group's bin, or the number of its site.
    places: Vec<usize>,
    positions: Vec<(f64, f64)>,
    /// Who is on each site, by kind.
    occupants: [Vec<Option<usize>>; 2],
    /// Rows of sites, by kind: where they are.
    rows: [Vec<f64>; 2],
    /// LUTs in each region, and how many may be there.
    filled: Vec<f64>,
    bins_across: usize,
    bins_down: usize,
    region_luts: f64,
    demand: Demand,
    costs: Vec<f64>,
    // What the move under way changes.
    stamps: Vec<u64>,
    move_number: u64,
    changed: Vec<(usize, f64)>,
}

impl<'a> State<'a> {
    fn random(grouping: &'a Grouping, chip: &'a Chip, mut random: Rng) -> Self {
        let count = grouping.groups.len();
        let mut bundles_of = vec![Vec::new(); count];
        for (number, bundle) in grouping.bundles.iter().enumerate() {
            bundle.groups.iter().for_each(|group| bundles_of[*group].push(number));
        }
        let (bins_across, bins_down) = (chip.columns / BIN, chip.rows / BIN);
        let bins = bins_across * bins_down;
        let mut occupants = Kind::ALL.map(|kind| vec![None; chip.sites(kind).len()]);
        let regions = bins_across.div_ceil(REGION) * bins_down.div_ceil(REGION);
        let mut filled = vec![0.0; regions];
        let places: Vec<usize> = grouping
            .groups
            .iter()
            .enumerate()
            .map(|(number, group)| match group.kind {
                None => {
                    let bin = random.usize(..bins);
                    filled[region(bin, bins_across)] += group.luts;
                    bin
                }
                Some(kind) => loop {
                    let sites = &mut occupants[kind as usize];
                    let site = random.usize(..sites.len());
                    if sites[site].is_none() {
                        sites[site] = Some(number);
                        break site;
                    }
                },
            })
            .collect();
        let rows = Kind::ALL.map(|kind| {
            chip.sites(kind).chunks(chip.in_row(kind).max(1)).map(|row| row[0].y).collect::<Vec<f64>>()
        });
        let mut state = State {
            grouping,
            chip,
            random,
            bundles_of,
            hard_blocks: (0..count).filter(|group| grouping.groups[*group].kind.is_some()).collect(),
            positions: vec![(0.0, 0.0); count],
            places,
            occupants,
            rows,
            filled,
            bins_across,
            bins_down,
            region_luts: FILLED * chip.luts as f64 / regions as f64,
            demand: Demand::even(bins_across, bins_down),
            costs: Vec::new(),
            stamps: vec![0; grouping.bundles.len()],
            move_number: 0,
            changed: Vec::new(),
        };
        for group in 0..count {
            state.positions[group] = state.position(group, state.places[group]);
        }
        state.costs = grouping.bundles.iter().map(|bundle| state.cost(bundle)).collect();
        state
    }

    /// Where a group is that has this place.
    fn position(&self, group: usize, place: usize) -> (f64, f64) {
        match self.grouping.groups[group].kind {
            None => {
                let middle = |bin: usize| (bin * BIN) as f64 + (BIN - 1) as f64 / 2.0;
                (middle(place % self.bins_across), middle(place / self.bins_across))
            }
            Some(kind) => {
                let site = &self.chip.sites(kind)[place];
                (site.x, site.y)
            }
        }
    }

    fn span(&self, bundle: &Bundle) -> Span {
        Span::around(bundle.groups.iter().map(|group| self.positions[*group]))
    }

    /// What a bundle costs: its way, long ones and those through crowds counted more.
    fn cost(&self, bundle: &Bundle) -> f64 {
        let span = self.span(bundle);
        let way = span.way();
        bundle.weight * (way + way * way / LONG) * (1.0 + CROWDED * self.demand.beyond(&span))
    }

    /// Sees where it is crowded now, and what all bundles cost then.
    fn measure_demand(&mut self) {
        let bundles = &self.grouping.bundles;
        let nets = bundles.iter().map(|bundle| (self.span(bundle), bundle.wires));
        self.demand = Demand::of(self.bins_across, self.bins_down, nets);
        self.costs = bundles.iter().map(|bundle| self.cost(bundle)).collect();
    }

    fn length(&self) -> f64 {
        self.grouping.bundles.iter().map(|bundle| bundle.weight * self.span(bundle).way()).sum()
    }

    fn mean_cost(&self) -> f64 {
        self.costs.iter().sum::<f64>() / self.costs.len().max(1) as f64
    }

    /// What it costs that a region holds so many LUTs.
    fn overfull(&self, luts: f64) -> f64 {
        let over = (luts - self.region_luts).max(0.0);
        over * over
    }

    /// Twice the mean change of cost by a move, whichever way: hot enough for most moves to be made.
    fn typical_change(&mut self, moves: usize, window: f64) -> f64 {
        let (mut sum, mut count) = (0.0, 0);
        for _ in 0..moves {
            if let Some(step) = self.propose(window) {
                sum += self.go(&step).abs();
                count += 1;
                self.go_back(&step);
            }
        }
        2.0 * sum / f64::from(count.max(1))
    }

    /// Makes a random move, or does not.
    fn step(&mut self, window: f64, temperature: f64) -> bool {
        let Some(step) = self.propose(window) else { return false };
        let change = self.go(&step);
        let stays = change <= 0.0 || self.random.f64() < (-change / temperature).exp();
        if stays {
            self.stay(&step);
        } else {
            self.go_back(&step);
        }
        stays
    }

    /// A move to another place at most `window` tiles away. Every fourth is a hard block's: those are few, and what all this is for.
    fn propose(&mut self, window: f64) -> Option<Move> {
        let group = match self.random.usize(..4) {
            0 if !self.hard_blocks.is_empty() => {
                self.hard_blocks[self.random.usize(..self.hard_blocks.len())]
            }
            _ => self.random.usize(..self.places.len()),
        };
        let (x, y) = self.positions[group];
        let from = self.places[group];
        let (to, other) = match self.grouping.groups[group].kind {
            None => {
                let mut near =
                    |at: f64| ((at + (self.random.f64() * 2.0 - 1.0) * window) / BIN as f64).floor();
                let (column, row) = (near(x), near(y));
                if column < 0.0 || row < 0.0 {
                    return None;
                }
                let (column, row) = (column as usize, row as usize);
                if column >= self.bins_across || row >= self.bins_down {
                    return None;
                }
                (row * self.bins_across + column, None)
            }
            Some(kind) => {
                let in_row = self.chip.in_row(kind);
                let rows = &self.rows[kind as usize];
                let near: Vec<usize> =
                    (0..rows.len()).filter(|row| (rows[*row] - y).abs() <= window).collect();
                let row = near[self.random.usize(..near.len())];
                let span = (window * in_row as f64 / self.chip.columns as f64).ceil().max(2.0) as usize;
                let column = (from % in_row + self.random.usize(..2 * span + 1)).checked_sub(span)?;
                if column >= in_row {
                    return None;
                }
                let site = row * in_row + column;
                (site, self.occupants[kind as usize][site])
            }
        };
        (to != from).then_some(Move { group, from, to, other })
    }

    /// Makes a move, and tells what it costs.
    fn go(&mut self, step: &Move) -> f64 {
        self.put(step.group, step.to);
        if let Some(other) = step.other {
            self.put(other, step.from);
        }
        let mut change = 0.0;
        if self.grouping.groups[step.group].kind.is_none() {
            let luts = self.grouping.groups[step.group].luts;
            let [from, to] = [step.from, step.to].map(|bin| region(bin, self.bins_across));
            if from != to {
                let (from, to) = (self.filled[from], self.filled[to]);
                change += self.overfull(to + luts) - self.overfull(to);
                change += self.overfull(from - luts) - self.overfull(from);
            }
        }
        self.move_number += 1;
        self.changed.clear();
        for group in [Some(step.group), step.other].into_iter().flatten() {
            for number in &self.bundles_of[group] {
                if self.stamps[*number] == self.move_number {
                    continue;
                }
                self.stamps[*number] = self.move_number;
                let cost = self.cost(&self.grouping.bundles[*number]);
                change += cost - self.costs[*number];
                self.changed.push((*number, cost));
            }
        }
        change
    }

    fn put(&mut self, group: usize, place: usize) {
        self.places[group] = place;
        self.positions[group] = self.position(group, place);
    }

    /// After [`State::go`]: as it was.
    fn go_back(&mut self, step: &Move) {
        self.put(step.group, step.from);
        if let Some(other) = step.other {
            self.put(other, step.to);
        }
    }

    /// After [`State::go`]: for good.
    fn stay(&mut self, step: &Move) {
        for (number, cost) in &self.changed {
            self.costs[*number] = *cost;
        }
        match self.grouping.groups[step.group].kind {
            None => {
                let luts = self.grouping.groups[step.group].luts;
                let [from, to] = [step.from, step.to].map(|bin| region(bin, self.bins_across));
                self.filled[from] -= luts;
                self.filled[to] += luts;
            }
            Some(kind) => {
                let occupants = &mut self.occupants[kind as usize];
                occupants[step.from] = step.other;
                occupants[step.to] = Some(step.group);
            }
        }
    }
}
