//! `frugal bringup`: whether a board works, step by step.

use super::demo;
use crate::arguments::Bringup;
use crate::device::{Board, Spinner};
use crate::{config, model, text};
use anyhow::{ensure, Context};
use frugal_compiler::gemm::{self, GemmOptions};
use frugal_device::link::{Link, Transport};
use frugal_device::{Device, GoldenDevice, RunOptions};
use frugal_graph::npy::Elements;
use frugal_isa::command::{function, layout, row_destination, space, Barrier, End, Load, Row, Store, Vector};
use frugal_isa::program::Layer;
use frugal_isa::{Command, Config, Program, TensorLayout};
use frugal_testbench::random::Random;
use serde_json::{json, Map, Value};
use std::io::{self, Write};
use std::time::Instant;

/// Steps as they pass.
struct Steps {
    results: Vec<(&'static str, Map<String, Value>)>,
    is_json: bool,
}

impl Steps {
    /// Runs a step; `look` is what to look at when it fails.
    fn step(
        &mut self,
        name: &'static str,
        look: &str,
        run: impl FnOnce() -> anyhow::Result<(String, Value)>,
    ) -> anyhow::Result<()> {
        let spinner = Spinner::start(name);
        let result = run();
        drop(spinner);
        let (said, mut measured) = result.with_context(|| format!("{name} failed. {look}"))?;
        if !self.is_json {
            writeln!(io::stdout(), "{name:<18} passed   {said}")?;
        }
        self.results.push((name, std::mem::take(measured.as_object_mut().context("measurements")?)));
        Ok(())
    }
}

pub fn run(arguments: &Bringup) -> anyhow::Result<()> {
    let config = config::load(&arguments.config)?;
    let mut steps = Steps { results: Vec::new(), is_json: arguments.json };
    let mut opened = None;
    steps.step(
        "identify",
        "Without an answer: cable, power, the right port, a bitstream that is loaded. With another configuration or build: load \
         the bitstream that frugal synth wrote last.",
        || {
            let mut board = Board::open(arguments.device, &config)?;
            let (identity, port) = (board.device.link_mut().identity(), board.device.link_mut().port());
            opened = Some(board);
            let said = format!(
                "{}, build {:08x}, {} MHz, {} bytes of memory, on {port}",
                text::config(&config),
                identity.build,
                f64::from(identity.clock_khz) / 1000.0,
                text::thousands(u64::from(identity.memory_bytes)),
            );
            Ok((said, json!({ "build": identity.build, "clock_khz": identity.clock_khz, "memory_bytes": identity.memory_bytes, "port": port })))
        },
    )?;
    let mut board = opened.context("a board")?;
    let look = "A bit that is always wrong is a pin or a solder joint; errors here and there are timing: a slower clock, another seed. \
                A wrong address shows as another address's bytes.";
    steps.step("memory", look, || memory(&mut board, arguments))?;
    let clock_khz = board.device.link_mut().identity().clock_khz;
    for (name, program, inputs) in engines(&config, arguments.seed)? {
        let look = "The engine, or its memory on the chip, does not do what the functional simulator does: a bitstream that misses its \
                    timing, or a fault in the design.";
        steps.step(name, look, || engine(&mut board, &program, &inputs, clock_khz))?;
    }
    let look = "Each engine works alone; what differs is how they work together. The memory that the network needs may be larger than what was tested.";
    steps.step("network", look, || network(&mut board, &config, clock_khz))?;
    let link = board.device.link_mut().statistics();
    if arguments.json {
        let steps: Map<String, Value> =
            steps.results.into_iter().map(|(name, measured)| (name.to_owned(), measured.into())).collect();
        let link = json!({ "requests": link.requests, "repeated": link.repeated });
        writeln!(io::stdout(), "{}", json!({ "passed": true, "steps": steps, "link": link }))?;
    } else {
        writeln!(
            io::stdout(),
            "\nThe board works. {} requests went over the link, {} of them again.",
            text::thousands(link.requests),
            link.repeated
        )?;
    }
    Ok(())
}

/// A bit that walks, addresses in themselves, random bytes.
fn memory(board: &mut Board, arguments: &Bringup) -> anyhow::Result<(String, Value)> {
    let link = board.device.link_mut();
    let available = link.identity().memory_bytes as usize / 8 * 8;
    let length = (arguments.memory_bytes as usize / 16 * 8).min(available / 2);
    // Both ends: what lies beyond an address bit that is stuck shows at the other one.
    let windows = [0, available - length];
    let mut walking: Vec<u8> = (0..64).flat_map(|bit| (1u64 << bit).to_le_bytes()).collect();
    let ones: Vec<u8> = walking.iter().map(|byte| !byte).collect();
    walking.extend(ones);
    walking.truncate(length);
    let addresses = |window: usize| -> Vec<u8> {
        (window..window + length).step_by(4).flat_map(|at| (at as u32).to_le_bytes()).collect()
    };
    let mut random = Random::new(arguments.seed);
    let mut noise = || -> Vec<u8> { (0..length).map(|_| random.bits(8) as u8).collect() };
    let patterns = [
        ("a walking bit", [walking.clone(), walking]),
        ("addresses in themselves", windows.map(addresses)),
        ("random bytes", [noise(), noise()]),
    ];
    address_lines(link, available)?;
    let (mut written, mut write_seconds, mut read_seconds) = (0, 0.0, 0.0);
    for (pattern, contents) in &patterns {
        let start = Instant::now();
        for (window, bytes) in windows.iter().zip(contents) {
            link.write_memory(*window as u32, bytes)?;
            written += bytes.len();
        }
        write_seconds += start.elapsed().as_secs_f64();
        let start = Instant::now();
        for (window, bytes) in windows.iter().zip(contents) {
            let mut found = vec![0; bytes.len()];
            link.read_memory(*window as u32, &mut found)?;
            if let Some(at) = (0..found.len()).find(|at| found[*at] != bytes[*at]) {
                let wrong = (0..found.len()).filter(|at| found[*at] != bytes[*at]).count();
                anyhow::bail!(
                    "{pattern}, seed {}: 0x{:02x} instead of 0x{:02x} at address 0x{:x}; {wrong} of {} bytes are wrong",
                    arguments.seed,
                    found[at],
                    bytes[at],
                    window + at,
                    found.len()
                );
            }
        }
        read_seconds += start.elapsed().as_secs_f64();
    }
    let rate = |seconds: f64| written as f64 / seconds / 1000.0;
    let (write_rate, read_rate) = (rate(write_seconds), rate(read_seconds));
    let said = format!(
        "every address line; {} bytes, half at each end, three patterns; {write_rate:.0} KB/s there, {read_rate:.0} KB/s back",
        text::thousands(2 * length as u64)
    );
    Ok((
        said,
        json!({ "bytes": 2 * length, "write_kilobytes_per_second": write_rate, "read_kilobytes_per_second": read_rate }),
    ))
}

/// A word at 0 and one at every power of two: a line that is stuck, or two that are one, put two of them in the same place.
fn address_lines<T: Transport>(link: &mut Link<T>, available: usize) -> anyhow::Result<()> {
    let places: Vec<usize> = std::iter::once(0)
        .chain((3..32).map(|line| 1 << line))
        .take_while(|at| at + 8 <= available)
        .collect();
    let word = |at: usize| (at as u64 ^ 0x5a5a_5a5a_0000_0000).to_le_bytes();
    for at in &places {
        link.write_memory(*at as u32, &word(*at))?;
    }
    for at in &places {
        let mut found = [0; 8];
        link.read_memory(*at as u32, &mut found)?;
        if found == word(*at) {
            continue;
        }
        let (found, expected) = (u64::from_le_bytes(found), u64::from_le_bytes(word(*at)));
        let other = places.iter().find(|other| u64::from_le_bytes(word(**other)) == found);
        let shows = other.map_or(String::new(), |other| format!(", which was written to 0x{other:x}"));
        anyhow::bail!("address lines: 0x{found:x} instead of 0x{expected:x} at address 0x{at:x}{shows}");
    }
    Ok(())
}

/// A program that loads `count` rows, does something with them, and stores as many.
fn program(
    name: &str,
    config: &Config,
    (from, from_bytes): (u32, usize),
    (to, to_bytes): (u32, usize),
    count: usize,
    command: Option<Command>,
) -> Program {
    let (input, output) = (count * from_bytes, count * to_bytes);
    let load = Load {
        space: from,
        layout: layout::LINEAR,
        base_register: 1,
        row_bytes: input as u32,
        ..Load::default()
    };
    let store = Store {
        space: to,
        base_register: 1,
        memory_offset: input as u32,
        row_bytes: output as u32,
        address: if command.is_some() { count as u32 } else { 0 },
        ..Store::default()
    };
    let mut commands = vec![Command::from(load), Barrier::default().into()];
    commands.extend(command.into_iter().flat_map(|command| [command, Barrier::default().into()]));
    commands.extend([store.into(), End::default().into()]);
    let bytes = |name: &str, offset: usize, length: usize| TensorLayout {
        name: name.to_owned(),
        shape: vec![length],
        strides: vec![1],
        offset,
        element_bytes: 1,
    };
    Program {
        name: name.to_owned(),
        config: config.clone(),
        command_layers: vec![0; commands.len()],
        commands,
        layers: vec![Layer { name: name.to_owned(), macs: 0 }],
        constants: Vec::new(),
        workspace_bytes: input + output,
        inputs: vec![bytes("input", 0, input)],
        outputs: vec![bytes("output", input, output)],
    }
}

type EngineProgram = (&'static str, Program, Vec<Vec<u8>>);

/// What gives each engine something to do.
fn engines(config: &Config, seed: u64) -> anyhow::Result<Vec<EngineProgram>> {
    let (vector, row) = (config.rows, 4 * config.lanes);
    let count = 64.min(config.accumulator_depth / 4);
    let copies = Vector {
        destination: 1,
        single_rounding: true,
        destination_address: count as u32,
        groups: count as u32,
        stride_group: 1,
        input_width: 1,
        input_height: 1,
        multiplier: 1 << 31,
        left_shift: 5,
        ..Vector::default()
    };
    let silu = Row {
        function: function::SILU,
        multiplier: 1 << 31,
        source_stride_x: 1,
        rows_x: count as u32,
        groups: 1,
        length: config.lanes as u32,
        destination: row_destination::ACCUMULATOR,
        destination_address: count as u32,
        destination_stride_x: 1,
        ..Row::default()
    };
    let options = GemmOptions { m: 32, k: 64, n: 32, repeat: 1, resident: false };
    let mut programs = vec![
        (
            "load and store",
            program(
                "load and store",
                config,
                (space::ACTIVATION, vector),
                (space::ACTIVATION, vector),
                128,
                None,
            ),
        ),
        ("matrix engine", gemm::build(&options, config)?.program),
        (
            "vector engine",
            program(
                "vector engine",
                config,
                (space::ACTIVATION, vector),
                (space::ACCUMULATOR, row),
                count,
                Some(copies.into()),
            ),
        ),
    ];
    if config.row_engine {
        programs.push((
            "row engine",
            program(
                "row engine",
                config,
                (space::ACCUMULATOR, row),
                (space::ACCUMULATOR, row),
                count,
                Some(silu.into()),
            ),
        ));
    }
    let mut random = Random::new(seed);
    Ok(programs
        .into_iter()
        .map(|(name, program)| {
            let bytes = |input: &TensorLayout| input.elements() * input.element_bytes;
            let inputs = program
                .inputs
                .iter()
                .map(|i| (0..bytes(i)).map(|_| random.bits(8) as u8).collect())
                .collect();
            (name, program, inputs)
        })
        .collect())
}

/// A program on the board and on the functional simulator.
fn engine(
    board: &mut Board,
    program: &Program,
    inputs: &[Vec<u8>],
    clock_khz: u32,
) -> anyhow::Result<(String, Value)> {
    let wanted = GoldenDevice::new(&program.config)?.run(program, inputs, &RunOptions::default())?;
    let found = board.device.run(program, inputs, &RunOptions::default())?;
    for (wanted, found) in wanted.outputs.iter().zip(&found.outputs) {
        let wrong = wanted.iter().zip(found).filter(|(w, f)| w != f).count();
        ensure!(wrong == 0, "{wrong} of {} bytes differ from the functional simulator's", wanted.len());
    }
    let cycles = found.statistics.cycles.unwrap_or(0);
    let moved = found.statistics.bytes_read.unwrap_or(0) + found.statistics.bytes_written.unwrap_or(0);
    let bandwidth = moved as f64 / cycles.max(1) as f64 * f64::from(clock_khz) / 1000.0;
    // Without performance counters nobody knows what was moved.
    let said = if program.config.counters {
        format!(
            "{} cycles, {} bytes to and from memory: {bandwidth:.0} MB/s",
            text::thousands(cycles),
            text::thousands(moved)
        )
    } else {
        format!("{} cycles", text::thousands(cycles))
    };
    Ok((said, json!({ "cycles": cycles, "bytes": moved, "megabytes_per_second": bandwidth })))
}

/// A digit, if the board's memory holds the network.
fn network(board: &mut Board, config: &Config, clock_khz: u32) -> anyhow::Result<(String, Value)> {
    let folder = demo::find_folder(None)?;
    let path = folder.join("digits.tflite");
    let graph = model::read(&path)?;
    let compiled = model::compile(&path, &graph, config)?;
    let images = frugal_graph::npy::read(&crate::files::read(&folder.join("images.npy"))?)?;
    let image: Elements = crate::input::images(&images, &graph[graph.inputs[0]])?.remove(0);
    let prepared = compiled.prepare(std::slice::from_ref(&image))?;
    let result = board.device.run(&compiled.program, &prepared, &RunOptions::default())?;
    let outputs = compiled.finish(&result.outputs)?;
    ensure!(outputs[0] == demo::expected(&graph, &image)?, "the outputs differ from the reference's");
    let cycles = result.statistics.cycles.unwrap_or(0);
    let milliseconds = cycles as f64 / f64::from(clock_khz);
    let (answer, _) = text::top(&outputs[0], 1)[0];
    let said = format!(
        "digits: a {answer}, with the reference's bits; {} cycles, {milliseconds:.2} ms, array utilisation {}",
        text::thousands(cycles),
        text::percent(text::utilisation(compiled.program.macs(), cycles, config))
    );
    Ok((said, json!({ "answer": answer, "cycles": cycles, "milliseconds": milliseconds })))
}
