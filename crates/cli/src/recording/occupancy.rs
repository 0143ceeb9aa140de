//! How long what a command writes on the chip stays needed.

use super::Time;
use frugal_compiler::access::{Access, Memory};
use frugal_isa::Program;
use frugal_profile::{OccupancyInterval, OnChip};

/// The memories of a program's addresses have 16-bit addresses.
const ADDRESSES: usize = 1 << 16;

/// `None` for what is not shown: the memory behind the bus, tables, group scales and scalars.
fn on_chip(memory: Memory) -> Option<OnChip> {
    match memory {
        Memory::Activation => Some(OnChip::Activation),
        Memory::Weight => Some(OnChip::Weight),
        Memory::Parameter => Some(OnChip::Parameter),
        Memory::Accumulator => Some(OnChip::Accumulator),
        Memory::Table | Memory::Scale | Memory::Scalar | Memory::Workspace => None,
    }
}

/// What each command writes, from its start until it was last read before it was written again.
pub fn intervals(program: &Program, times: &[Time], cycles: u64) -> Vec<OccupancyInterval> {
    let mut order: Vec<usize> = (0..program.commands.len()).collect();
    order.sort_by_key(|index| times[*index].start);
    let mut intervals: Vec<OccupancyInterval> = Vec::new();
    // For each memory and address the interval that it belongs to.
    let mut owners = vec![vec![None::<usize>; ADDRESSES]; OnChip::ALL.len()];
    for index in order {
        let access = Access::of(&program.commands[index], &program.config);
        let Time { start, finish, .. } = times[index];
        for span in &access.reads {
            let Some(memory) = on_chip(span.memory) else { continue };
            for address in span.addresses.clone() {
                if let Some(owner) = owners[memory as usize][address as usize] {
                    intervals[owner].to = intervals[owner].to.max(finish.min(cycles));
                }
            }
        }
        for span in &access.writes {
            let Some(memory) = on_chip(span.memory) else { continue };
            // An address beyond the memory is an error of the program, which the run has found already.
            let depth = memory.depth(&program.config) as u32;
            let addresses = span.addresses.start.min(depth)..span.addresses.end.min(depth);
            for address in addresses.clone() {
                owners[memory as usize][address as usize] = Some(intervals.len());
            }
            intervals.push(OccupancyInterval {
                name: program.layers[program.command_layers[index] as usize].name.clone(),
                memory,
                addresses,
                from: start.min(cycles),
                to: finish.min(cycles),
            });
        }
    }
    intervals
}
