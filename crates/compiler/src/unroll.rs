//! From a program with loops to the commands that dispatch hands out, one after the other.
//!
//! `set`, `branch` and `adjust` are executed here as dispatch does it. What commands of engines write to the scalar memory is not
//! known and counts as zero: ids of tokens, which decide where a row of the embedding is read but not how long that takes.

use frugal_isa::{Command, Config, Program, COMMAND_BYTES, COMMAND_WORDS};
use thiserror::Error;

/// Commands beyond which a program is taken for endless.
const MOST_COMMANDS: usize = 20_000_000;

/// A command of an engine, a barrier or the end.
#[derive(Clone, Debug)]
pub struct Dispatched {
    pub command: Command,
    /// Its place in the program.
    pub index: usize,
    /// Cycles that dispatch spends before it on control commands and patches, the command's own beats not counted.
    pub control_cycles: u32,
    /// A branch was taken before it: what had been fetched behind that is dropped.
    pub follows_branch: bool,
}

/// Why a program has no list of commands.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum UnrollError {
    #[error("the program does not end within {MOST_COMMANDS} commands")]
    Endless,
    #[error("command {index} is patched into an illegal one: {reason}")]
    Patched { index: usize, reason: String },
}

/// Cycles of an `adjust` on any bus.
const ADJUST_CYCLES: u32 = 8;

/// All commands in the order of their dispatch.
///
/// # Errors
/// For programs that do not end, and patches that make no command.
pub fn dispatched(program: &Program) -> Result<Vec<Dispatched>, UnrollError> {
    let beats = (COMMAND_BYTES / program.config.bus_bytes()) as u32;
    let mut scalars = [0u32; Config::SCALARS];
    let mut all = Vec::with_capacity(program.commands.len());
    let (mut next, mut executed) = (0, 0);
    let (mut cycles, mut follows_branch) = (0, false);
    let mut adjust = None;
    while let Some(command) = program.commands.get(next) {
        executed += 1;
        if executed > MOST_COMMANDS {
            return Err(UnrollError::Endless);
        }
        let index = next;
        next += 1;
        match command {
            Command::Set(set) => {
                let source = if set.add { scalars[set.source as usize % Config::SCALARS] } else { 0 };
                scalars[set.scalar as usize % Config::SCALARS] = (set.value as u32).wrapping_add(source);
                cycles += beats;
            }
            Command::Branch(branch) => {
                cycles += beats;
                if scalars[branch.scalar as usize % Config::SCALARS] < branch.limit {
                    next = branch.target as usize;
                    follows_branch = true;
                }
            }
            Command::Adjust(patches) => {
                adjust = Some(patches);
                cycles += ADJUST_CYCLES;
            }
            command => {
                let mut command = command.clone();
                if let Some(adjust) = adjust.take() {
                    let mut words: [u32; COMMAND_WORDS] = command
                        .encode()
                        .map_err(|e| UnrollError::Patched { index, reason: e.to_string() })?;
                    for patch in adjust.patches().iter().filter(|patch| patch.part != 0) {
                        patch.apply(scalars[usize::from(patch.scalar)], &mut words);
                        cycles += 1;
                    }
                    cycles += 1;
                    command = Command::decode(&words)
                        .map_err(|e| UnrollError::Patched { index, reason: e.to_string() })?;
                }
                let is_end = matches!(command, Command::End(_));
                all.push(Dispatched { command, index, control_cycles: cycles, follows_branch });
                (cycles, follows_branch) = (0, false);
                if is_end {
                    return Ok(all);
                }
            }
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use frugal_isa::command::{Adjust, Branch, End, Load, Patch, Set};

    fn program(commands: Vec<Command>) -> Program {
        Program {
            name: "loop".into(),
            config: Config::preset("base").expect("a preset"),
            command_layers: vec![0; commands.len()],
            commands,
            layers: vec![],
            constants: vec![],
            workspace_bytes: 0,
            inputs: vec![],
            outputs: vec![],
        }
    }

    #[test]
    fn loops_and_patches_are_carried_out() {
        let patch = Patch { scalar: 5, multiplier: 32, word: 1, part: 3, ..Patch::default() };
        let all = dispatched(&program(vec![
            Set { scalar: 5, value: 2, ..Set::default() }.into(),
            Adjust::of(&[patch]).into(),
            Load { memory_offset: 100 * 16, row_bytes: 16, ..Load::default() }.into(),
            Set { scalar: 5, source: 5, add: true, value: 1, ..Set::default() }.into(),
            Branch { scalar: 5, limit: 4, target: 1, ..Branch::default() }.into(),
            End::default().into(),
        ]))
        .expect("it ends");
        let loads: Vec<u32> = all
            .iter()
            .filter_map(|d| match &d.command {
                Command::Load(load) => Some(load.memory_offset),
                _ => None,
            })
            .collect();
        assert_eq!(loads, [1664, 1696]);
        assert_eq!(all.iter().map(|d| d.index).collect::<Vec<_>>(), [2, 2, 5]);
        // A set is eight beats of the 64-bit bus, an adjust eight cycles, a patched command two more than another.
        assert_eq!(all.iter().map(|d| d.control_cycles).collect::<Vec<_>>(), [18, 26, 16]);
        assert_eq!(all.iter().map(|d| d.follows_branch).collect::<Vec<_>>(), [false, true, false]);
    }

    #[test]
    fn programs_without_an_end_to_them_are_errors() {
        let forever = Branch { scalar: 0, limit: 1, target: 0, ..Branch::default() };
        assert_eq!(dispatched(&program(vec![forever.into()])).unwrap_err(), UnrollError::Endless);
        // An offset that is no multiple of 16.
        let patch = Patch { scalar: 5, add: 1, multiplier: 1, word: 1, part: 3, ..Patch::default() };
        let load = Load { row_bytes: 16, ..Load::default() };
        let patched = program(vec![Adjust::of(&[patch]).into(), load.into(), End::default().into()]);
        assert!(matches!(dispatched(&patched), Err(UnrollError::Patched { index: 1, .. })));
    }
}
