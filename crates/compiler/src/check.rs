//! Pass *check*: proves that the finished program computes what the passes before it planned.
//!
//! It looks at the finished commands and their tokens alone and trusts neither the order nor the token masks:
//! 1. every command encodes, obeys the rules of the instruction set, and stays inside the memories;
//! 2. the n-th token taken is sent by a command before the taker, so dispatch in program order cannot deadlock, and so few
//!    tokens are under way that no counter overflows, whatever the timing;
//! 3. every two conflicting accesses are ordered by chains of tokens;
//! 4. every address that a command reads was last written with the value that the command is meant to read: each planned
//!    command names the values (a tensor, a block of weights, a partial sum) that it reads and writes.

use crate::access::Memory;
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
    cells: [Vec<Cell>; Memory::COUNT],
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
            let idle = match command {
                Command::Barrier(barrier) if barrier.engines != 0 => barrier.engines as usize,
                Command::Barrier(_) | Command::End(_) => 15,
                _ => 0,
            };
            // What these engines know is true, and they have finished all that they were given.
            for from in (0..4).filter(|from| idle >> from & 1 == 1) {
                let mut clock = known[from];
                clock[from] = counts[from];
                for known in &mut known {
                    for (mine, theirs) in known.iter_mut().zip(clock) {
                        *mine = (*mine).max(theirs);
                    }
                }
            }
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
    let access = planned.access(config);
    let depth = |memory: Memory| match memory {
        Memory::Activation => config.activation_depth,
        Memory::Weight => config.weight_depth,
        Memory::Parameter => config.parameter_depth,
        Memory::Accumulator => config.accumulator_depth,
        Memory::Table => config.tables,
        Memory::Scalar => Config::SCALARS,
        Memory::Scale => config.scale_depth(),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::{Access, Span};
    use frugal_isa::command::{Barrier, End, Load, Matrix, Store, Vector};

    const INPUT: Value = Value(0);
    const WEIGHTS: Value = Value(1);
    const OUTPUT: Value = Value(2);

    fn planned(command: impl Into<Command>, reads: &[Value], writes: Value) -> Planned {
        Planned {
            command: command.into(),
            layer: 0,
            reads: reads.to_vec(),
            writes: Some(writes),
            padded: false,
            access: None,
        }
    }

    fn config() -> Config {
        Config::preset("base").expect("a preset")
    }

    /// Products in two buffers that take turns: load, compute, copy with the vector engine, store.
    fn program() -> Vec<Planned> {
        let mut all = vec![
            planned(Load { space: 1, row_bytes: 128, ..Load::default() }, &[], WEIGHTS),
            planned(Load { space: 2, row_bytes: 96, ..Load::default() }, &[], WEIGHTS),
        ];
        for round in 0..6 {
            let turn = round % 2;
            let (input, product, copy) = (Value(10 + round), Value(20 + round), Value(30 + round));
            let memory_offset = 16 * round;
            let load =
                Load { base_register: 1, memory_offset, row_bytes: 16, address: turn, ..Load::default() };
            all.push(planned(load, &[INPUT], input));
            let matrix = Matrix {
                activation_address: turn,
                output_address: 2 + turn,
                input_width: 1,
                input_height: 1,
                ..Matrix::default()
            };
            all.push(planned(matrix, &[input, WEIGHTS], product));
            let vector = Vector {
                source_address: 2 + turn,
                destination_address: 4 + turn,
                input_width: 1,
                input_height: 1,
                ..Vector::default()
            };
            all.push(planned(vector, &[product], copy));
            let memory_offset = 1024 + 16 * round;
            let store = Store {
                base_register: 1,
                memory_offset,
                row_bytes: 16,
                address: 4 + turn,
                ..Store::default()
            };
            all.push(planned(store, &[copy], OUTPUT));
        }
        let mut commands: Vec<Command> = all.iter().map(|p| p.command.clone()).collect();
        crate::tokens::insert(&mut commands, &[], &config());
        for (p, command) in all.iter_mut().zip(commands) {
            p.command = command;
        }
        all.push(Planned {
            command: End::default().into(),
            layer: 0,
            reads: vec![],
            writes: None,
            padded: false,
            access: None,
        });
        all
    }

    fn run(program: &[Planned]) -> Result<(), CheckError> {
        check(program, &config(), &[(Memory::Workspace, 0..64, INPUT)])
    }

    #[test]
    fn every_single_token_is_needed() {
        let program = program();
        run(&program).expect("the program is right");
        let commands: Vec<Command> = program.iter().map(|p| p.command.clone()).collect();
        let needs = crate::estimate::token_needs(&commands).expect("tokens match");
        let mut removed = 0;
        for (taker, needs) in needs.iter().enumerate() {
            for sender in &needs.finished {
                let mut damaged = program.clone();
                let (from, to) = (commands[*sender as usize].engine(), commands[taker].engine());
                damaged[*sender as usize].command.tokens_mut().signal &= !to.mask();
                damaged[taker].command.tokens_mut().wait &= !from.mask();
                let error = run(&damaged).expect_err("a token is missing");
                assert!(matches!(error, CheckError::Unordered { .. }), "{error}");
                removed += 1;
            }
        }
        assert!(removed > 20, "{removed}");
    }

    #[test]
    fn a_token_that_nobody_sends_is_found() {
        let mut program = program();
        program[0].command.tokens_mut().wait = Engine::Store.mask();
        assert!(matches!(run(&program), Err(CheckError::MissingToken { index: 0, .. })));
    }

    #[test]
    fn a_wrong_address_is_found_by_its_value() {
        let mut program = program();
        let Command::Matrix(matrix) = &mut program[7].command else { panic!("a product") };
        matrix.activation_address = 0;
        let error = run(&program).expect_err("it reads the other buffer");
        assert!(matches!(error, CheckError::WrongValue { index: 7, .. }), "{error}");
    }

    #[test]
    fn addresses_beyond_a_memory_and_values_beyond_a_field_are_found() {
        let mut program = program();
        let Command::Load(load) = &mut program[0].command else { panic!("a load") };
        load.address = config().weight_depth as u32;
        assert!(matches!(run(&program), Err(CheckError::Bounds { index: 0, memory: Memory::Weight, .. })));
        let Command::Load(load) = &mut program[0].command else { panic!("a load") };
        load.address = 1 << 16;
        assert!(matches!(run(&program), Err(CheckError::Encode { index: 0, .. })));
    }

    #[test]
    fn a_barrier_orders_the_engines_that_it_waits_for() {
        let load = planned(Load { base_register: 1, row_bytes: 16, ..Load::default() }, &[INPUT], INPUT);
        let store = planned(Store { base_register: 1, row_bytes: 16, ..Store::default() }, &[INPUT], OUTPUT);
        let barrier = |engines| Planned {
            command: Barrier { engines, ..Barrier::default() }.into(),
            ..planned(End::default(), &[], INPUT)
        };
        let with = |engines| run(&[load.clone(), barrier(engines), store.clone()]);
        for engines in [0, 1, 9, 15] {
            with(engines).expect("the load has finished");
        }
        for engines in [2, 4, 8, 14] {
            assert!(matches!(with(engines), Err(CheckError::Unordered { .. })), "{engines}");
        }
    }

    #[test]
    fn given_accesses_take_the_place_of_the_command_s_own() {
        let mut load = planned(Load { base_register: 1, row_bytes: 16, ..Load::default() }, &[INPUT], INPUT);
        let addresses = 0..config().activation_depth as u32 + 1;
        let all = Span { memory: Memory::Activation, addresses };
        load.access = Some(Access { reads: vec![], writes: vec![all] });
        let error = run(&[load]).expect_err("beyond the scratchpad");
        assert!(matches!(error, CheckError::Bounds { memory: Memory::Activation, .. }), "{error}");
    }

    #[test]
    fn counters_that_could_fill_up_are_found() {
        let mut program = Vec::new();
        for address in 0..300 {
            let mut load = Load { base_register: 1, row_bytes: 16, address, ..Load::default() };
            load.tokens.signal = Engine::Matrix.mask();
            program.push(planned(load, &[INPUT], INPUT));
        }
        assert!(matches!(run(&program), Err(CheckError::TooManyTokens { .. })));
    }
}
