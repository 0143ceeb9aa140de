//! Pass *order*: puts commands into the order in which they could start.
//!
//! The passes before it write a program that is right when executed one command at a time. Conflicting accesses keep that
//! order; everything else may move. A simulation with endless queues, in which an engine takes the first of its next commands
//! that can start, gives every command a start, and the program lists commands by that. So an engine does not idle behind a
//! command that waits while a later one could go, and dispatch does not wait behind a full queue for long.

use crate::access::Access;
use crate::build::Planned;
use crate::estimate::{simulate, CostModel, Dispatch, Estimate, Needs};
use frugal_isa::{Command, Config, Engine};

/// Cycles by which a load is listed before it has to start.
const LOAD_SLACK: f64 = 1500.0;

/// How far an engine looks ahead for a command that can start.
const WINDOW: usize = 32;

#[derive(Clone, Default)]
struct Cell {
    writer: Option<u32>,
    /// Readers since.
    readers: Vec<u32>,
}

/// What each command waits for, so that every read sees what it sees in the order given.
fn needs(commands: &[&Command], accesses: &[Access]) -> Vec<Needs> {
    let mut memories: [Vec<Cell>; crate::access::Memory::COUNT] = Default::default();
    let mut all = Vec::with_capacity(commands.len());
    for (index, (command, access)) in commands.iter().zip(accesses).enumerate() {
        let engine = command.engine();
        let pipelined = matches!(engine, Engine::Matrix | Engine::Vector);
        let mut needed = Needs::default();
        let mut need = |earlier: u32, reads_result: bool| {
            if earlier == index as u32 {
                return;
            }
            let same_engine = commands[earlier as usize].engine() == engine;
            let list = match same_engine && !(reads_result && pipelined) {
                true => &mut needed.started,
                false => &mut needed.finished,
            };
            if list.last() != Some(&earlier) {
                list.push(earlier);
            }
        };
        for span in access.reads.iter().chain(&access.writes) {
            let cells = &mut memories[span.memory as usize];
            if cells.len() < span.addresses.end as usize {
                cells.resize(span.addresses.end as usize, Cell::default());
            }
        }
        for span in &access.reads {
            let range = span.addresses.start as usize..span.addresses.end as usize;
            for cell in &mut memories[span.memory as usize][range] {
                if let Some(writer) = cell.writer {
                    need(writer, true);
                }
                if cell.readers.last() != Some(&(index as u32)) {
                    cell.readers.push(index as u32);
                }
            }
        }
        for span in &access.writes {
            let range = span.addresses.start as usize..span.addresses.end as usize;
            for cell in &mut memories[span.memory as usize][range] {
                if let Some(writer) = cell.writer {
                    need(writer, false);
                }
                for reader in cell.readers.drain(..) {
                    need(reader, false);
                }
                cell.writer = Some(index as u32);
            }
        }
        for list in [&mut needed.finished, &mut needed.started] {
            list.sort_unstable();
            list.dedup();
        }
        all.push(needed);
    }
    all
}

/// Sorts the commands by the start that the simulation finds.
pub fn by_earliest_start(planned: Vec<Planned>, config: &Config) -> Vec<Planned> {
    let commands: Vec<&Command> = planned.iter().map(|p| &p.command).collect();
    let accesses: Vec<Access> = planned.iter().map(|p| p.access(config)).collect();
    let keys = keys(&commands, &accesses, config);
    let mut keyed: Vec<(f64, Planned)> = keys.into_iter().zip(planned).collect();
    keyed.sort_by(|a, b| a.0.total_cmp(&b.0));
    keyed.into_iter().map(|(_, planned)| planned).collect()
}

/// What to sort the commands by.
pub fn keys(commands: &[&Command], accesses: &[Access], config: &Config) -> Vec<f64> {
    let needs = needs(commands, accesses);
    let dispatch = Dispatch::Immediate { window: WINDOW };
    let estimate = simulate(commands, &needs, config, &CostModel::default(), dispatch, &[]);
    places(commands, &needs, &estimate)
}

/// Where each command belongs: at its start; but a load that nobody waits for yet only somewhat before it has to start. Loads that
/// are listed much earlier would fill their queue, and dispatch would wait with everything behind them.
fn places(commands: &[&Command], needs: &[Needs], estimate: &Estimate) -> Vec<f64> {
    let mut due = vec![f64::INFINITY; commands.len()];
    for (index, needs) in needs.iter().enumerate() {
        for earlier in needs.finished.iter().chain(&needs.started) {
            let due = &mut due[*earlier as usize];
            *due = due.min(estimate.starts[index]);
        }
    }
    let mut keys = estimate.starts.clone();
    let mut loads: Vec<usize> =
        (0..commands.len()).filter(|index| commands[*index].engine() == Engine::Load).collect();
    loads.sort_by(|a, b| keys[*a].total_cmp(&keys[*b]));
    let mut next_start = f64::INFINITY;
    for index in loads.into_iter().rev() {
        let duration = estimate.ends[index] - estimate.starts[index];
        next_start = due[index].min(next_start) - duration;
        if next_start.is_finite() {
            keys[index] = keys[index].max(next_start - LOAD_SLACK);
        }
    }
    keys
}
