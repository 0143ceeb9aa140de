//! When each command of a program was at work.

use frugal_compiler::estimate::{estimate, Estimate};
use frugal_compiler::CostModel;
use frugal_isa::{Command, Engine, Program};
use frugal_testbench::device::Recording;
use std::collections::VecDeque;

/// One command, in cycles from the start of the program. Zero for barriers and ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Time {
    pub start: u64,
    /// First cycle in which the last result is visible.
    pub finish: u64,
    /// Matrix: steps given to the array.
    pub issued: u64,
    /// Cycles at the head of the queue without a token of load, matrix, vector, store.
    pub waited_for: [u64; 4],
}

/// Why the times of the commands are not known.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum TimeError {
    #[error(
        "the {engine} engine was seen to start {starts} commands and to finish {finishes}, the program has \
         {commands} for it: please report this"
    )]
    Commands { engine: &'static str, starts: usize, finishes: usize, commands: usize },
    #[error("the program has branches: its commands run more or less than once, which profiles do not show")]
    Branches,
    #[error("the cycle model finds no end of the program: please report this")]
    Stuck,
}

/// The times that were recorded. Engines take their commands in program order, so the n-th start and the n-th finish of an
/// engine are those of its n-th command.
pub fn measured(program: &Program, recording: &Recording) -> Result<Vec<Time>, TimeError> {
    if program.commands.iter().any(|command| matches!(command, Command::Branch(_))) {
        return Err(TimeError::Branches);
    }
    let mut times = vec![Time::default(); program.commands.len()];
    for (engine, recorded) in Engine::QUEUED.into_iter().zip(&recording.engines) {
        let commands: Vec<usize> =
            (0..times.len()).filter(|index| program.commands[*index].engine() == engine).collect();
        let (starts, finishes) = (recorded.starts.len(), recorded.finishes.len());
        if starts != commands.len() || finishes != commands.len() || recorded.waits.len() != starts {
            return Err(TimeError::Commands {
                engine: engine.name(),
                starts,
                finishes,
                commands: commands.len(),
            });
        }
        for (place, index) in commands.into_iter().enumerate() {
            times[index] = Time {
                start: recorded.starts[place],
                finish: recorded.finishes[place],
                issued: recorded.steps.get(place).copied().unwrap_or(0),
                waited_for: recorded.waits[place],
            };
        }
    }
    Ok(times)
}

/// The times that the cycle model computes, and the cycles of the whole run.
pub fn estimated(program: &Program, model: &CostModel) -> Result<(Vec<Time>, u64), TimeError> {
    let estimate = estimate(program, model);
    let known = estimate.starts.iter().chain(&estimate.ends).all(|time| time.is_finite());
    if estimate.stuck || !known || estimate.starts.len() != program.commands.len() {
        return Err(TimeError::Stuck);
    }
    let waits = waits(program, &estimate);
    let cycles = estimate.ends.iter().fold(estimate.cycles, |last, end| last.max(end.ceil() as u64));
    let times = program.commands.iter().enumerate().map(|(index, command)| {
        let (start, finish) = (estimate.starts[index].ceil() as u64, estimate.ends[index].ceil() as u64);
        let issued = if matches!(command, Command::Matrix(_)) { super::steps(command) } else { 0 };
        Time { start, finish, issued: issued.min(finish - start), waited_for: waits[index] }
    });
    Ok((times.collect(), cycles))
}

/// For each command the cycles that it waits for tokens at the head of its queue. The n-th token taken from a counter is the
/// n-th sent.
fn waits(program: &Program, estimate: &Estimate) -> Vec<[u64; 4]> {
    let mut sent: [[VecDeque<f64>; 4]; 4] = Default::default();
    for (command, end) in program.commands.iter().zip(&estimate.ends) {
        let Some(own) = sent.get_mut(command.engine() as usize) else { continue };
        for (to, tokens) in own.iter_mut().enumerate() {
            if command.tokens().signal >> to & 1 != 0 {
                tokens.push_back(*end);
            }
        }
    }
    let mut heads = [0.0; 4];
    let mut waits = vec![[0; 4]; program.commands.len()];
    for (index, command) in program.commands.iter().enumerate() {
        let own = command.engine() as usize;
        let Some(head) = heads.get_mut(own) else { continue };
        let start = estimate.starts[index];
        for (from, wait) in waits[index].iter_mut().enumerate() {
            if command.tokens().wait >> from & 1 != 0 {
                let token = sent[from][own].pop_front().unwrap_or(0.0);
                *wait = (token.min(start) - *head).max(0.0) as u64;
            }
        }
        *head = start;
    }
    waits
}

#[cfg(test)]
mod tests {
    use super::*;
    use frugal_compiler::{compile, CompileOptions};
    use frugal_isa::Config;
    use frugal_testbench::device::EngineRecording;

    fn digits() -> Program {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/digits/digits.tflite");
        let graph = frugal_graph::tflite::read(&std::fs::read(path).unwrap()).unwrap();
        let config = Config::preset("nano").unwrap();
        compile(&graph, &config, &CompileOptions::default()).unwrap().program
    }

    #[test]
    fn the_nth_start_is_the_nth_command_of_the_engine() {
        let program = digits();
        let mut recording = Recording::default();
        for (time, command) in program.commands.iter().enumerate() {
            let time = time as u64;
            let Some(engine) = recording.engines.get_mut(command.engine() as usize) else { continue };
            engine.starts.push(10 * time);
            engine.finishes.push(10 * time + 7);
            engine.waits.push([time; 4]);
            engine.steps.push(3);
        }
        for (index, time) in measured(&program, &recording).unwrap().iter().enumerate() {
            let now = index as u64;
            match program.commands[index].engine() {
                Engine::Control => assert_eq!(*time, Time::default()),
                _ => {
                    assert_eq!((time.start, time.finish, time.waited_for), (10 * now, 10 * now + 7, [now; 4]))
                }
            }
        }
        recording.engines[2] = EngineRecording::default();
        let error = measured(&program, &recording).unwrap_err();
        assert!(matches!(error, TimeError::Commands { engine: "vector", starts: 0, .. }), "{error}");
    }

    #[test]
    fn estimated_times_are_in_order() {
        let program = digits();
        let (times, cycles) = estimated(&program, &CostModel::default()).unwrap();
        assert_eq!(times.len(), program.commands.len());
        assert!(times
            .iter()
            .all(|t| t.start <= t.finish && t.finish <= cycles && t.issued <= t.finish - t.start));
        assert!(times.iter().any(|t| t.waited_for != [0; 4]));
    }
}
