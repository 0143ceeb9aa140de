//! Prints when each command of a decode round was at work on the Verilated accelerator, and who waited for whom:
//! `generation_timeline CONFIG BATCH PROMPT_TOKENS [w4a8]`.
//!
//! The model is models/tiny-qwen3. One round is run, so that every command is executed once and the n-th start of an engine is that of
//! its n-th command.

use frugal_compiler::language::generate;
use frugal_compiler::{estimate_cycles, CostModel};
use frugal_device::{Device, RunOptions};
use frugal_isa::{Config, Engine};
use frugal_language::quantise::{quantise, Calibration};
use frugal_language::{Checkpoint, Precision, Reference};
use frugal_testbench::accelerator::verilated_device;
use frugal_testbench::device::SimulationOptions;
use std::collections::BTreeMap;
use std::path::Path;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (config, batch, prompt) = match &arguments[..] {
        [config, batch, prompt, ..] => (config, batch.parse::<usize>()?, prompt.parse::<usize>()?),
        _ => return Err("usage: generation_timeline CONFIG BATCH PROMPT_TOKENS [w4a8]".into()),
    };
    let precision = if arguments.len() > 3 { Precision::W4A8 } else { Precision::W8A8 };
    let config = match config.strip_suffix(".json") {
        Some(_) => serde_json::from_slice(&std::fs::read(config)?)?,
        None => Config::preset(config)?,
    };
    let checkpoint = Checkpoint::open(Path::new("models/tiny-qwen3"))?;
    let ids: Vec<u32> = (0..128).map(|i| i * 37 % 512).collect();
    let calibration = Calibration::run(&Reference::new(&checkpoint)?, &[&ids]);
    let model = quantise(&checkpoint, &calibration, precision)?;
    let program = generate(&model, &config, &vec![prompt; batch], 32, 2)?;
    let input: Vec<u8> = (0..batch * prompt).flat_map(|i| (i as u32 * 91 % 512).to_le_bytes()).collect();
    let mut device = verilated_device(&config, &SimulationOptions::default(), None)?;
    device.record(true);
    let result = device.run(&program, &[input], &RunOptions::default())?;
    let recording = device.take_recording().ok_or("no recording")?;

    // The round is what follows the last barrier but two.
    let is_barrier = |index: &usize| program.commands[*index].engine() == Engine::Control;
    let branch = program.commands.len() - 2;
    let first = (0..branch - 3)
        .rev()
        .filter(is_barrier)
        .find(|i| matches!(program.commands[*i], frugal_isa::Command::Barrier(_)));
    let first = first.ok_or("no round")? + 1;
    let mut places = [0; 4];
    let mut last = [0; 4];
    let mut busy: BTreeMap<(usize, String), [u64; 3]> = BTreeMap::new();
    let mut waits = [[0; 4]; 4];
    let mut begin = None;
    let mut end = 0;
    for (index, command) in program.commands.iter().enumerate() {
        let engine = command.engine();
        if engine == Engine::Control {
            if index >= first {
                println!("{index:5} {:>35} {command}", "control");
            }
            continue;
        }
        let e = engine as usize;
        let place = places[e];
        places[e] += 1;
        if index < first {
            continue;
        }
        let recorded = &recording.engines[e];
        let (start, finish, waited) =
            (recorded.starts[place], recorded.finishes[place], recorded.waits[place]);
        let begin = *begin.get_or_insert(start);
        let idle = start.saturating_sub(if last[e] == 0 { begin } else { last[e] });
        println!(
            "{index:5} {:7} {:7} {:6} idle {idle:5} waits {waited:?} {command}",
            start - begin.min(start),
            finish - begin,
            finish - start
        );
        last[e] = finish;
        end = end.max(finish);
        let name = command.to_string().split_whitespace().next().unwrap_or_default().to_owned();
        let sum = busy.entry((e, name)).or_default();
        *sum = [sum[0] + 1, sum[1] + finish - start, sum[2] + idle];
        for (sum, wait) in waits[e].iter_mut().zip(waited) {
            *sum += wait;
        }
    }
    let statistics = &result.statistics;
    println!(
        "whole program {:?} cycles, by the cycle model {}",
        statistics.cycles,
        estimate_cycles(&program, &CostModel::default())
    );
    println!("{} cycles, {} commands", end - begin.unwrap_or(0), program.commands.len() - first);
    for ((_, name), [count, cycles, idle]) in busy {
        println!("{name:8} {count:5} commands, {cycles:7} cycles from start to finish, {idle:7} idle before");
    }
    for (engine, waits) in Engine::QUEUED.iter().zip(waits) {
        println!("{:7} waits for load, matrix, vector, store {waits:?}", engine.name());
    }
    Ok(())
}
