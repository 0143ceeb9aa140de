//! Gives every cycle of a run to exactly one layer and one reason.
//!
//! The MAC array is what everything else serves, so a cycle is seen from there:
//!
//! 1. **A matrix command is at work.** The cycle belongs to its layer. As many of the command's cycles as it issued steps
//!    are [`compute`](Reason::Compute), the others [`fill`](Reason::Fill): the pipeline fills or drains, or the output stage paces the array.
//!    Where the drain of one matrix command overlaps with the next command, the cycle belongs to the later one, unless the
//!    earlier one has not had as many cycles yet as it issued steps.
//! 2. **None is.** Let N be the next command to start, among matrix commands and the vector commands of layers that have no matrix
//!    commands: what the array, or the layer in its place, is waiting for. Of load, vector and store those engines may be what it waits
//!    for that run a command ahead of N in the program. If N recorded waits for tokens, and an engine that it
//!    waited for is among them, only such engines count. The first that is left in the order load, vector, store is the reason:
//!    [`memory`](Reason::Memory), [`vector`](Reason::Vector) or [`store`](Reason::Store). If none is left it is `fill`: commands are fetched,
//!    dispatched or handed over.
//!    - Where it is known when N was dispatched, and that is still to come, N waits for no token: it is not in its queue yet. Then
//!      only those engines count that hold dispatch back, because more of their commands ahead of N have not started than their
//!      queue takes. If there is none it is `fill`: the command is still being fetched.
//!    - With the reason `vector`, and a layer without matrix commands on the vector engine, the cycle is that layer's.
//!    - Otherwise it is the layer of N. After the last such command it is the layer of the command that finishes last.
//!
//! A load behind N in the program cannot be what N waits for: it only uses the time to fetch ahead.
//!
//! On a sequential core nothing waits for anything else: a command's cycles, from the end of the one before it, are its layer's. Those before its start are `fill`,
//! the others what its engine says, and of a matrix command those are `compute` in which it issued steps.

use crate::run::{CommandSpan, Engine, Run, RunError};
use serde::Serialize;
use std::collections::BTreeSet;

/// Why a cycle passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The MAC array was given a step.
    Compute = 0,
    /// Waiting for a load.
    Memory = 1,
    /// Waiting for the vector unit, or a layer that is its work alone.
    Vector = 2,
    /// Waiting for a store.
    Store = 3,
    /// Pipelines filling and draining, commands on their way, output stage pacing the array.
    Fill = 4,
}

impl Reason {
    pub const ALL: [Reason; 5] =
        [Reason::Compute, Reason::Memory, Reason::Vector, Reason::Store, Reason::Fill];

    /// In a legend.
    pub fn name(self) -> &'static str {
        match self {
            Reason::Compute => "computing",
            Reason::Memory => "waiting for memory",
            Reason::Vector => "vector unit",
            Reason::Store => "storing",
            Reason::Fill => "fill and overhead",
        }
    }
}

/// Cycles by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Breakdown {
    pub compute: u64,
    pub memory: u64,
    pub vector: u64,
    pub store: u64,
    pub fill: u64,
}

impl Breakdown {
    pub fn get(&self, reason: Reason) -> u64 {
        match reason {
            Reason::Compute => self.compute,
            Reason::Memory => self.memory,
            Reason::Vector => self.vector,
            Reason::Store => self.store,
            Reason::Fill => self.fill,
        }
    }

    fn add(&mut self, reason: Reason, cycles: u64) {
        *match reason {
            Reason::Compute => &mut self.compute,
            Reason::Memory => &mut self.memory,
            Reason::Vector => &mut self.vector,
            Reason::Store => &mut self.store,
            Reason::Fill => &mut self.fill,
        } += cycles;
    }

    /// Cycles of all reasons.
    pub fn total(&self) -> u64 {
        Reason::ALL.iter().map(|reason| self.get(*reason)).sum()
    }
}

/// Consecutive cycles of one layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Segment {
    pub layer: usize,
    pub from: u64,
    pub to: u64,
}

/// Where the cycles of a run went. `outside` and the layers' totals add up to the run's cycles.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Attribution {
    /// For each layer of the run.
    pub layers: Vec<Breakdown>,
    /// For each layer, as many of its [`fill`](Reason::Fill) cycles as passed with no matrix command at work: commands were fetched or begun.
    pub between: Vec<u64>,
    /// Cycles of a run without commands, which have no layer.
    pub outside: u64,
    /// The layers that the cycles were given to, in order of time, without gaps.
    pub segments: Vec<Segment>,
}

impl Attribution {
    /// Cycles by reason over all layers.
    pub fn sum(&self) -> Breakdown {
        let mut sum = Breakdown { fill: self.outside, ..Breakdown::default() };
        for layer in &self.layers {
            for reason in Reason::ALL {
                sum.add(reason, layer.get(reason));
            }
        }
        sum
    }

    /// Cycles of each layer.
    pub fn layer_cycles(&self) -> Vec<u64> {
        self.layers.iter().map(Breakdown::total).collect()
    }

    fn segment(&mut self, layer: usize, from: u64, to: u64) {
        match self.segments.last_mut() {
            Some(last) if last.layer == layer && last.to == from => last.to = to,
            _ => self.segments.push(Segment { layer, from, to }),
        }
    }
}

/// Cycles that a matrix command owns.
struct Owned {
    command: usize,
    from: u64,
    to: u64,
}

/// Gives every cycle to a layer and a reason.
pub fn attribute(run: &Run) -> Result<Attribution, RunError> {
    run.validate()?;
    Ok(attribute_valid(run))
}

pub(crate) fn attribute_valid(run: &Run) -> Attribution {
    let count = run.layers.len();
    let mut result = Attribution {
        layers: vec![Breakdown::default(); count],
        between: vec![0; count],
        ..Attribution::default()
    };
    if run.commands.is_empty() {
        result.outside = run.cycles;
        return result;
    }
    if run.config.sequential {
        in_sequence(run, &mut result);
        return result;
    }
    let mut gaps = Gaps::new(run);
    let mut now = 0;
    for owned in owned(run) {
        gaps.charge(now, owned.from, &mut result);
        let command = &run.commands[owned.command];
        let length = owned.to - owned.from;
        let compute = command.issued.min(length);
        result.layers[command.layer].add(Reason::Compute, compute);
        result.layers[command.layer].add(Reason::Fill, length - compute);
        if length > 0 {
            result.segment(command.layer, owned.from, owned.to);
        }
        now = owned.to;
    }
    gaps.charge(now, run.cycles, &mut result);
    result
}

/// One command after the other.
fn in_sequence(run: &Run, result: &mut Attribution) {
    let mut commands: Vec<&CommandSpan> = run.commands.iter().collect();
    commands.sort_by_key(|command| command.start);
    let mut now = 0;
    let mut last = 0;
    for command in commands {
        let layer = &mut result.layers[command.layer];
        let (start, finish) = (command.start.max(now), command.finish.max(now));
        layer.add(Reason::Fill, start - now);
        result.between[command.layer] += start - now;
        let length = finish - start;
        match command.engine {
            Engine::Load => layer.add(Reason::Memory, length),
            Engine::Vector => layer.add(Reason::Vector, length),
            Engine::Store => layer.add(Reason::Store, length),
            Engine::Matrix => {
                let compute = command.issued.min(length);
                layer.add(Reason::Compute, compute);
                layer.add(Reason::Fill, length - compute);
            }
        }
        if finish > now {
            result.segment(command.layer, now, finish);
        }
        (now, last) = (finish, command.layer);
    }
    // The end of the program.
    let rest = run.cycles.saturating_sub(now);
    result.layers[last].add(Reason::Fill, rest);
    result.between[last] += rest;
    if rest > 0 {
        result.segment(last, now, run.cycles);
    }
}

/// The cycles that each matrix command owns, in order and without overlap.
fn owned(run: &Run) -> Vec<Owned> {
    let matrix: Vec<usize> =
        (0..run.commands.len()).filter(|c| run.commands[*c].engine == Engine::Matrix).collect();
    let mut now = 0;
    let mut intervals = Vec::with_capacity(matrix.len());
    for (place, command) in matrix.iter().enumerate() {
        let span = &run.commands[*command];
        let from = span.start.max(now);
        let next = matrix.get(place + 1).map_or(u64::MAX, |next| run.commands[*next].start);
        let to = span.finish.min(next.max(from.saturating_add(span.issued))).max(from);
        intervals.push(Owned { command: *command, from, to });
        now = to;
    }
    intervals
}

/// The cycles between matrix commands.
struct Gaps<'a> {
    run: &'a Run,
    /// Whether a layer has no matrix command.
    vector_only: Vec<bool>,
    /// When commands were dispatched, started and finished, each cycle once, in order.
    events: Vec<u64>,
    /// Places of the loads, vector commands and stores, by start, and how many have been made active.
    others: Vec<usize>,
    started: usize,
    active: BTreeSet<usize>,
    /// For each engine the places of its commands in program order, which is the order in which they start, and how many have started.
    queued: [Vec<usize>; 4],
    left: [usize; 4],
    /// Places of the commands that can be N, by start, and how many have started.
    work: Vec<usize>,
    worked: usize,
    /// Layer of the command that finishes last.
    last_layer: usize,
}

impl Gaps<'_> {
    fn new(run: &Run) -> Gaps<'_> {
        let mut vector_only = vec![true; run.layers.len()];
        for command in run.commands.iter().filter(|c| c.engine == Engine::Matrix) {
            vector_only[command.layer] = false;
        }
        let by_start = |keep: &dyn Fn(&CommandSpan) -> bool| -> Vec<usize> {
            let mut places: Vec<usize> =
                (0..run.commands.len()).filter(|place| keep(&run.commands[*place])).collect();
            places.sort_by_key(|place| run.commands[*place].start);
            places
        };
        let others = by_start(&|c| c.engine != Engine::Matrix);
        let work =
            by_start(&|c| c.engine == Engine::Matrix || (c.engine == Engine::Vector && vector_only[c.layer]));
        let mut events: Vec<u64> =
            run.commands.iter().flat_map(|c| [c.start, c.finish].into_iter().chain(c.dispatched)).collect();
        events.sort_unstable();
        events.dedup();
        let queued = Engine::ALL.map(|engine| {
            (0..run.commands.len()).filter(|place| run.commands[*place].engine == engine).collect()
        });
        let last_layer = run.commands.iter().max_by_key(|c| c.finish).map_or(0, |c| c.layer);
        Gaps {
            run,
            vector_only,
            events,
            others,
            started: 0,
            active: BTreeSet::new(),
            queued,
            left: [0; 4],
            work,
            worked: 0,
            last_layer,
        }
    }

    /// Charges the cycles `from..to`, in which no matrix command is at work. Calls come in order of time.
    fn charge(&mut self, from: u64, to: u64, result: &mut Attribution) {
        let mut now = from;
        while now < to {
            // Nothing changes between two events.
            let next = self.events.partition_point(|event| *event <= now);
            let end = self.events.get(next).copied().unwrap_or(to).min(to);
            let (layer, reason) = self.charged(now);
            result.layers[layer].add(reason, end - now);
            if reason == Reason::Fill {
                result.between[layer] += end - now;
            }
            result.segment(layer, now, end);
            now = end;
        }
    }

    /// The layer and the reason of a cycle.
    fn charged(&mut self, now: u64) -> (usize, Reason) {
        let commands = &self.run.commands;
        while let Some(place) = self.others.get(self.started).filter(|p| commands[**p].start <= now) {
            self.active.insert(*place);
            self.started += 1;
        }
        self.active.retain(|place| commands[*place].finish > now);
        while self.work.get(self.worked).is_some_and(|place| commands[*place].start <= now) {
            self.worked += 1;
        }
        let next = self.work.get(self.worked).map(|place| &commands[*place]);
        // Of each engine the first in the program: what the others behind it wait for, too.
        let mut running: [Option<&CommandSpan>; 4] = [None; 4];
        for place in &self.active {
            let command = &commands[*place];
            if next.is_none_or(|next| command.index < next.index) {
                running[command.engine as usize].get_or_insert(command);
            }
        }
        let mut waited = [true; 4];
        if let Some(next) = next.filter(|next| next.dispatched.is_some_and(|dispatched| now < dispatched)) {
            for (engine, waited) in waited.iter_mut().enumerate() {
                let (queued, left) = (&self.queued[engine], &mut self.left[engine]);
                while queued.get(*left).is_some_and(|place| commands[*place].start <= now) {
                    *left += 1;
                }
                let ahead = queued.partition_point(|place| commands[*place].index < next.index);
                *waited = ahead.saturating_sub(*left) > self.run.config.queue_depth;
            }
        } else if let Some(next) = next {
            let mut waits = next.waited_for.map(|cycles| cycles > 0);
            if next.engine == Engine::Vector && running[Engine::Vector as usize].is_some() {
                waits = Engine::ALL.map(|engine| engine == Engine::Vector);
            }
            if Engine::ALL.iter().any(|e| waits[*e as usize] && running[*e as usize].is_some()) {
                waited = waits;
            }
        }
        let layer = next.map_or(self.last_layer, |next| next.layer);
        let reasons = [
            (Engine::Load, Reason::Memory),
            (Engine::Vector, Reason::Vector),
            (Engine::Store, Reason::Store),
        ];
        for (engine, reason) in reasons {
            if let Some(command) = running[engine as usize].filter(|_| waited[engine as usize]) {
                let own = engine == Engine::Vector && self.vector_only[command.layer];
                return (if own { command.layer } else { layer }, reason);
            }
        }
        (layer, Reason::Fill)
    }
}
