//! Pass *check*: proves that the finished program computes what the passes before it planned.
//!
//! It looks at the finished commands and their tokens alone and trusts neither the order nor the token masks:
//! 1. every command encodes, obeys the rules of the instruction set, and stays inside the memories;
//! 2. the n-th token taken is sent by a command before the taker, so dispatch in program order cannot deadlock, and so few
//!    tokens are under way that no counter overflows, whatever the timing;
//! 3. every two conflicting accesses are ordered by chains of tokens;
//! 4. every address that a command reads was last written with the value that the command is meant to read: each planned
//!    command names the values (a tensor, a block of weights, a partial sum) that it reads and writes.

use crate::access::{Access, Memory};
use crate::build::{Planned, Value};
use frugal_isa::command::EncodeError;
use frugal_isa::{Command, Config, DecodeError, Engine};
use std::collections::VecDeque;
use std::ops::Range;
use thiserror::Error;

/// With so many tokens in a counter, a command that sends another one does not start.
const MAX_TOKENS: usize = 240;

/// What is wrong with a program.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum CheckError {
    #[error("command {index}: {source}")]
    Encode { index: usize, source: EncodeError },
    #[error("command {index}: {source}")]
    Illegal { index: usize, source: DecodeError },
    #[error("command {index} reaches address {address} of {memory:?}, which has {depth}")]
    Bounds { index: usize, memory: Memory, address: u32, depth: usize },
    #[error("command {index} ({engine}) takes a token from {from} that no earlier command sends")]
    MissingToken { index: usize, engine: &'static str, from: &'static str },
    #[error("after command {index}, {count} tokens from {from} to {to} may be under way")]
    TooManyTokens { index: usize, count: usize, from: &'static str, to: &'static str },
    #[error("no tokens order the accesses of commands {first} and {second} to {memory:?} {address}")]
    Unordered { first: usize, second: usize, memory: Memory, address: u32 },
    #[error("command {index} reads {found:?} from {memory:?} {address}, meant are {expected:?}")]
    WrongValue { index: usize, memory: Memory, address: u32, found: Option<Value>, expected: Vec<Value> },
}

/// Addresses that hold a value before the program.
pub type Initial = (Memory, Range<u32>, Value);

#[derive(Clone, Default)]
struct Cell {
    /// Last writer, by command.
    writer: Option<usize>,
    value: Option<Value>,
    /// Readers since, the last of each engine.
    readers: [Option<usize>; 4],
}

/// Everything known while walking through the program.
struct State<'a> {
    commands: Vec<&'a Command>,
    /// For each command: its number on its engine.
    numbers: Vec<usize>,
    /// For each command: commands of each engine that are finished when it starts.
    finished: Vec<[usize; 4]>,
    cells: [Vec<Cell>; 5],
}

impl State<'_> {
    /// Whether `earlier` is finished when `later` starts.
    fn ordered(&self, earlier: usize, later: usize) -> bool {
        self.finished[later][self.commands[earlier].engine() as usize] > self.numbers[earlier]
    }
}

/// Checks a program; `initial` are the values that memories hold before it.
pub fn check(planned: &[Planned], config: &Config, initial: &[Initial]) -> Result<(), CheckError> {
    for (index, p) in planned.iter().enumerate() {
        p.command.encode().map_err(|source| CheckError::Encode { index, source })?;
        p.command.check_fields().map_err(|source| CheckError::Illegal { index, source })?;
    }
    let mut state = State {
        commands: planned.iter().map(|p| &p.command).collect(),
        numbers: Vec::new(),
        finished: Vec::new(),
        cells: Default::default(),
    };
    walk_tokens(&mut state, config)?;
    for (memory, range, value) in initial {
        let cells = &mut state.cells[*memory as usize];
        grow(cells, range.end);
        for cell in &mut cells[range.start as usize..range.end as usize] {
            cell.value = Some(*value);
        }
    }
    for (index, p) in planned.iter().enumerate() {
        check_accesses(&mut state, index, p, config)?;
    }
    Ok(())
}

fn grow(cells: &mut Vec<Cell>, end: u32) {
    if cells.len() < end as usize {
        cells.resize(end as usize, Cell::default());
    }
}

/// Matches tokens, and with them what each command knows to be finished.
fn walk_tokens(state: &mut State<'_>, config: &Config) -> Result<(), CheckError> {
    let mut under_way: [[VecDeque<[usize; 4]>; 4]; 4] = Default::default();
    let mut known = [[0usize; 4]; 4];
    let mut counts = [0usize; 4];
    for (index, command) in state.commands.iter().enumerate() {
        let engine = command.engine();
        if engine == Engine::Control {
            known.fill(counts);
            state.numbers.push(0);
            state.finished.push(counts);
            continue;
        }
        let own = engine as usize;
        for from in Engine::QUEUED.into_iter().filter(|e| command.tokens().wait & e.mask() != 0) {
            let Some(clock) = under_way[from as usize][own].pop_front() else {
                return Err(CheckError::MissingToken { index, engine: engine.name(), from: from.name() });
            };
            for (mine, theirs) in known[own].iter_mut().zip(clock) {
                *mine = (*mine).max(theirs);
            }
        }
        state.finished.push(known[own]);
        state.numbers.push(counts[own]);
        counts[own] += 1;
        for to in Engine::QUEUED.into_iter().filter(|e| command.tokens().signal & e.mask() != 0) {
            let mut clock = known[own];
            clock[own] = clock[own].max(counts[own]);
            under_way[own][to as usize].push_back(clock);
            // Takers that are dispatched but not started have not taken theirs yet.
            let count = under_way[own][to as usize].len() + config.queue_depth + 1;
            if count > MAX_TOKENS {
                return Err(CheckError::TooManyTokens { index, count, from: engine.name(), to: to.name() });
            }
        }
    }
    Ok(())
}

fn check_accesses(
    state: &mut State<'_>,
    index: usize,
    planned: &Planned,
    config: &Config,
) -> Result<(), CheckError> {
    let engine = planned.command.engine();
    let own = engine as usize;
    let access = Access::of(&planned.command, config);
    let depth = |memory: Memory| match memory {
        Memory::Activation => config.activation_depth,
        Memory::Weight => config.weight_depth,
        Memory::Parameter => config.parameter_depth,
        Memory::Accumulator => config.accumulator_depth,
        Memory::Workspace => usize::MAX,
    };
    for span in access.reads.iter().chain(&access.writes) {
        let depth = depth(span.memory);
        if span.addresses.end as usize > depth {
            let address = span.addresses.start.max(depth as u32);
            return Err(CheckError::Bounds { index, memory: span.memory, address, depth });
        }
        grow(&mut state.cells[span.memory as usize], span.addresses.end);
    }
    for span in &access.reads {
        for address in span.addresses.clone() {
            let cells = &state.cells[span.memory as usize];
            let cell = &cells[address as usize];
            let meant = |cell: &Cell| cell.value.is_some_and(|value| planned.reads.contains(&value));
            let beside = || cells.get(address as usize ^ 1).is_some_and(meant);
            let as_planned = meant(cell) || (planned.padded && beside());
            if !as_planned {
                return Err(CheckError::WrongValue {
                    index,
                    memory: span.memory,
                    address,
                    found: cell.value,
                    expected: planned.reads.clone(),
                });
            }
            if let Some(first) = cell.writer.filter(|first| !state.ordered(*first, index)) {
                return Err(CheckError::Unordered { first, second: index, memory: span.memory, address });
            }
            state.cells[span.memory as usize][address as usize].readers[own] = Some(index);
        }
    }
    for span in &access.writes {
        for address in span.addresses.clone() {
            let cell = &state.cells[span.memory as usize][address as usize];
            for first in cell.writer.iter().chain(cell.readers.iter().flatten()).copied() {
                let in_order = state.commands[first].engine() == engine;
                if !in_order && !state.ordered(first, index) {
                    return Err(CheckError::Unordered { first, second: index, memory: span.memory, address });
                }
            }
            state.cells[span.memory as usize][address as usize] =
                Cell { writer: Some(index), value: planned.writes, readers: [None; 4] };
        }
    }
    Ok(())
}
