//! Pass *tokens*: orders accesses of different engines to the same address.
//!
//! Every pair of conflicting accesses becomes a dependency of the later command on the earlier one, in program order. A
//! vector clock for each engine tells which dependencies already follow from tokens taken before; the others cost a token.
//!
//! Control commands have no accesses and get no tokens. The pass takes commands to be executed once, in the order given: whoever emits
//! loops calls it for each straight piece, with a barrier in between. A command that an `adjust` changes does not say itself what it
//! reads and writes: [`insert`] takes that from the planner.

use crate::access::{Access, Memory};
use frugal_isa::{Command, Config, Engine};

/// A token is sent at most so many commands before it is taken, so that counters never fill up: a later command of the
/// sender says as much as an earlier one, and at this distance it is finished all the same.
pub const MAX_DISTANCE: usize = 128;

/// Nobody yet.
const NONE: u32 = u32::MAX;

/// For each engine, the last command that must be finished before this one starts.
pub type Dependencies = [Option<u32>; 4];

#[derive(Clone, Copy)]
struct Cell {
    writer: u32,
    readers: [u32; 4],
}

/// Last writers and readers of every address.
struct Tracker {
    memories: [Vec<Cell>; Memory::COUNT],
}

impl Tracker {
    fn cells(&mut self, memory: Memory, addresses: std::ops::Range<u32>) -> &mut [Cell] {
        let cells = &mut self.memories[memory as usize];
        if cells.len() < addresses.end as usize {
            cells.resize(addresses.end as usize, Cell { writer: NONE, readers: [NONE; 4] });
        }
        &mut cells[addresses.start as usize..addresses.end as usize]
    }
}

/// For each command, what its accesses wait for. Commands of one engine start in order, which is not repeated here.
fn dependencies<'a>(
    commands: impl Iterator<Item = &'a Command> + Clone,
    accesses: &[Option<Access>],
    config: &Config,
) -> Vec<Dependencies> {
    let engines: Vec<Engine> = commands.clone().map(Command::engine).collect();
    let mut tracker = Tracker { memories: Default::default() };
    let mut all = Vec::with_capacity(engines.len());
    for (index, command) in commands.enumerate() {
        let mut needed: Dependencies = [None; 4];
        let engine = engines[index];
        let own = engine as usize;
        let given = accesses.get(index).cloned().flatten();
        let access = given.unwrap_or_else(|| Access::of(command, config));
        let mut need = |earlier: u32, same_engine_too: bool| {
            if earlier != NONE && earlier != index as u32 {
                let from = engines[earlier as usize];
                if from != engine || same_engine_too {
                    let slot = &mut needed[from as usize];
                    *slot = (*slot).max(Some(earlier));
                }
            }
        };
        let pipelined = matches!(engine, Engine::Matrix | Engine::Vector);
        for span in &access.reads {
            for cell in tracker.cells(span.memory, span.addresses.clone()) {
                need(cell.writer, pipelined);
                cell.readers[own] = index as u32;
            }
        }
        for span in &access.writes {
            for cell in tracker.cells(span.memory, span.addresses.clone()) {
                need(cell.writer, false);
                for reader in cell.readers {
                    need(reader, false);
                }
                *cell = Cell { writer: index as u32, readers: [NONE; 4] };
            }
        }
        all.push(needed);
    }
    all
}

/// Sets the wait and signal masks of all commands.
///
/// `accesses` are those that commands do not say themselves, by index: `None`, or nothing at all, for the others.
pub fn insert(commands: &mut [Command], accesses: &[Option<Access>], config: &Config) {
    let dependencies = dependencies(commands.iter(), accesses, config);
    // Commands of each engine known to be finished when the last command of an engine started.
    let mut clocks = [[0u32; 4]; 4];
    let mut counts = [0u32; 4];
    // For each command: its number on its engine, and what a token of it says.
    let mut numbers = Vec::with_capacity(commands.len());
    let mut carried: Vec<[u32; 4]> = Vec::with_capacity(commands.len());
    for index in 0..commands.len() {
        let engine = commands[index].engine();
        *commands[index].tokens_mut() = Default::default();
        if engine == Engine::Control {
            numbers.push(0);
            carried.push([0; 4]);
            continue;
        }
        let own = engine as usize;
        let mut needed: Vec<u32> = dependencies[index].into_iter().flatten().collect();
        // The latest first: its token may say what the others would.
        needed.sort_unstable_by(|a, b| b.cmp(a));
        for earlier in needed {
            let from = commands[earlier as usize].engine();
            if clocks[own][from as usize] > numbers[earlier as usize] {
                continue;
            }
            let nearest = index.saturating_sub(MAX_DISTANCE);
            let sender = (earlier as usize..nearest.max(earlier as usize + 1))
                .rev()
                .find(|i| commands[*i].engine() == from)
                .expect("the range begins with such a command");
            commands[sender].tokens_mut().signal |= engine.mask();
            commands[index].tokens_mut().wait |= from.mask();
            for (known, more) in clocks[own].iter_mut().zip(carried[sender]) {
                *known = (*known).max(more);
            }
        }
        let mut said = clocks[own];
        said[own] = counts[own] + 1;
        carried.push(said);
        numbers.push(counts[own]);
        counts[own] += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use frugal_isa::command::{Load, Matrix};

    /// Loads run two thousand commands ahead of the products that read what they load; no counter may fill up.
    #[test]
    fn tokens_are_sent_near_to_where_they_are_taken() {
        let config = Config::preset("large").expect("a preset");
        let load = |address| Command::from(Load { row_bytes: 16, address, ..Load::default() });
        let product = |address| {
            let output_address = address + 4000;
            let matrix = Matrix {
                activation_address: address,
                output_address,
                input_width: 1,
                input_height: 1,
                ..Matrix::default()
            };
            Command::from(matrix)
        };
        let mut commands: Vec<Command> = (0..2000).map(load).chain((0..2000).map(product)).collect();
        insert(&mut commands, &[], &config);
        let mut under_way = 0usize;
        for command in &commands {
            under_way -= usize::from(command.tokens().wait != 0);
            under_way += usize::from(command.tokens().signal != 0);
            assert!(under_way <= MAX_DISTANCE + 1);
        }
        assert_eq!(under_way, 0);
        let waiting: usize = commands[2000..].iter().filter(|c| c.tokens().wait != 0).count();
        assert!(waiting < 200, "{waiting} waits");
    }
}
