//! Pass *order*: puts commands into the order in which they could start.
//!
//! The passes before it write a program that is right when executed one command at a time. Each engine keeps that order;
//! between engines only conflicting accesses do. A simulation with endless queues gives every command its earliest start, and
//! the program lists commands by that, so dispatch never waits behind a command that starts later than one it holds back.

use crate::build::Planned;
use crate::estimate::{simulate, CostModel, Dispatch};
use crate::tokens;
use frugal_isa::{Command, Config};

/// Sorts the commands by their earliest start.
pub fn by_earliest_start(planned: Vec<Planned>, config: &Config) -> Vec<Planned> {
    let commands: Vec<&Command> = planned.iter().map(|p| &p.command).collect();
    let dependencies = tokens::dependencies(commands.iter().copied(), config);
    let estimate = simulate(&commands, &dependencies, config, &CostModel::default(), Dispatch::Immediate);
    let mut keyed: Vec<(f64, Planned)> = estimate.starts.into_iter().zip(planned).collect();
    keyed.sort_by(|a, b| a.0.total_cmp(&b.0));
    keyed.into_iter().map(|(_, planned)| planned).collect()
}
