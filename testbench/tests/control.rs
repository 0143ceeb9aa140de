//! Scalars and control commands: the leaves, the scalar memory, dispatch by itself, and random programs with loops on the whole machine.

use frugal_device::{Device, DeviceError, GoldenDevice, RunOptions};
use frugal_hdl::dispatch::Dispatch;
use frugal_hdl::leaves::{PatchAmount, PatchWord};
use frugal_hdl::scalar_memory::ScalarMemory;
use frugal_isa::command::{
    layout, space, Adjust, Barrier, Branch, End, Load, Matrix, Patch, Set, Store, Tokens, Vector,
};
use frugal_isa::program::Layer;
use frugal_isa::register::StatusCode;
use frugal_isa::{Command, Config, Engine, Program, TensorLayout, COMMAND_BYTES, COMMAND_WORDS};
use frugal_testbench::accelerator::{verilated_device, VerilatedDevice};
use frugal_testbench::axi::Stalls;
use frugal_testbench::compare::{compare_native_and_verilated, settle, CompareError};
use frugal_testbench::device::{SimulationError, SimulationOptions};
use frugal_testbench::random::Random;
use rust_hdl_core::prelude::*;
use std::collections::{BTreeMap, VecDeque};

const SEED: u64 = 0xc0e7;

macro_rules! clock {
    () => {
        |block, level| block.clock.next = Clock { clk: level }
    };
}

macro_rules! settle_before_edge {
    ($block:expr) => {
        $block.clock.next = Clock { clk: false };
        settle($block).expect("no combinational loop");
    };
}

fn random_patch(random: &mut Random, scalars: u64) -> Patch {
    Patch {
        scalar: random.below(scalars) as u8,
        add: random.bits(16) as i16,
        shift: random.below(32) as u8,
        keep: random.below(32) as u8,
        multiplier: random.bits(16) as u16,
        word: 1 + random.below(15) as u8,
        part: random.below(4) as u8,
    }
}

#[test]
fn patch_amount_is_that_of_the_instruction_set() -> Result<(), CompareError> {
    let mut given: Vec<Patch> = Vec::new();
    let mut scalars: Vec<u32> = Vec::new();
    compare_native_and_verilated(
        PatchAmount::default,
        |block, random, cycle| {
            if let Some(first) = (cycle as usize).checked_sub(PatchAmount::LATENCY_CYCLES as usize) {
                // The scalar came one cycle after the patch.
                let wanted = given[first].amount(scalars[first + 1]);
                assert_eq!(
                    block.amount.val().to_u32(),
                    wanted,
                    "cycle {cycle}, seed {SEED}: {:?}",
                    given[first]
                );
            }
            let patch = random_patch(random, 256);
            let scalar = random.bits(32) as u32;
            block.add.next = u64::from(patch.add as u16).into();
            block.multiplier.next = u64::from(patch.multiplier).into();
            block.shift.next = u64::from(patch.shift).into();
            block.keep.next = u64::from(patch.keep).into();
            block.scalar.next = u64::from(scalar).into();
            given.push(patch);
            scalars.push(scalar);
        },
        clock!(),
        4_000,
        SEED,
    )?;
    Ok(())
}

#[test]
fn patch_word_is_that_of_the_instruction_set() -> Result<(), CompareError> {
    compare_native_and_verilated(
        PatchWord::default,
        |block, random, _| {
            let (word, amount, part) =
                (random.bits(32) as u32, random.bits(32) as u32, random.below(4) as u8);
            block.word.next = u64::from(word).into();
            block.amount.next = u64::from(amount).into();
            block.part.next = u64::from(part).into();
            settle(block).expect("no combinational loop");
            // A number below 2^16 keeps all of itself.
            let mut words = [word; COMMAND_WORDS];
            let patch = Patch { multiplier: 1, keep: 16, word: 1, part, ..Patch::default() };
            patch.apply(amount & 0xffff, &mut words);
            if amount < 1 << 16 || part != 3 {
                assert_eq!(block.patched.val().to_u32(), words[1], "seed {SEED}");
            }
        },
        |_, _| {},
        4_000,
        SEED,
    )?;
    Ok(())
}

/// What was offered or reported before a reset is forgotten with it.
#[test]
fn a_reset_withdraws_a_fetch_and_an_error() -> Result<(), CompareError> {
    // (cycle of the reset, counted from the start)
    for after in 1..8 {
        compare_native_and_verilated(
            || Dispatch::new(2, true, true),
            |block, _, cycle| {
                let start = 2;
                let resets = cycle == start + after;
                block.program_address.next = 4096u64.into();
                block.program_commands.next = 4u64.into();
                block.start.next = cycle == start;
                block.reset.next = resets;
                // Nobody takes the request; memory fails in the cycle of the reset.
                block.fetch_ready.next = false;
                block.read_error.next = resets;
                settle_before_edge!(block);
                let runs = (start + 1..=start + after).contains(&cycle);
                assert_eq!(block.busy.val(), runs, "cycle {cycle}, reset {after} after the start");
                assert_eq!(block.fetch_valid.val(), runs, "cycle {cycle}, reset {after} after the start");
                assert_eq!(
                    block.status_code.val().to_u64(),
                    0,
                    "cycle {cycle}, reset {after} after the start"
                );
            },
            clock!(),
            20,
            SEED,
        )?;
    }
    Ok(())
}

#[test]
fn scalar_memory() -> Result<(), CompareError> {
    let mut words = [0u32; 256];
    // What was read in the last cycle, unless it was written then.
    let (mut row, mut control): (Option<u32>, Option<u32>) = (None, None);
    let (mut clears, mut left, mut waits) = (0, 0, 0);
    compare_native_and_verilated(
        ScalarMemory::default,
        |block, random, cycle| {
            let context = format!("cycle {cycle}, seed {SEED}");
            assert!(row.is_none_or(|word| block.row_read_data.val().to_u32() == word), "{context}");
            assert!(control.is_none_or(|word| block.control_read_data.val().to_u32() == word), "{context}");
            let clear = random.one_in(1_500);
            let clearing = block.clearing.val();
            assert_eq!(clearing, left > 0, "{context}");
            let mut address = || random.below(if cycle % 2_000 < 1_000 { 8 } else { 256 });
            let addresses: [u64; 5] = [address(), address(), address(), address(), address()];
            let data = [random.bits(32) as u32, random.bits(32) as u32, random.bits(32) as u32];
            let row_writes = !clearing && random.one_in(3);
            let row_may = row_writes || !clearing && random.one_in(4);
            let [load, set] = [random.one_in(2), random.one_in(2)];
            block.clear.next = clear;
            block.row_read_address.next = addresses[0].into();
            block.control_read_address.next = addresses[1].into();
            block.row_may_write.next = row_may;
            block.row_write_valid.next = row_writes;
            block.row_write_address.next = addresses[2].into();
            block.row_write_data.next = u64::from(data[0]).into();
            block.load_valid.next = load;
            block.load_address.next = addresses[3].into();
            block.load_data.next = u64::from(data[1]).into();
            block.control_write_valid.next = set;
            block.control_write_address.next = addresses[4].into();
            block.control_write_data.next = u64::from(data[2]).into();
            settle_before_edge!(block);
            let sets = set && block.control_write_ready.val();
            assert_eq!(block.load_ready.val(), !clearing && !row_may, "{context}");
            assert_eq!(block.control_write_ready.val(), !clearing && !row_may && !load, "{context}");
            waits += u32::from(set && !sets);
            // Who waits only because the row engine may write has written already, and writes the same again.
            let written = match (row_writes, load && !clearing, set && !clearing) {
                (true, ..) => Some((addresses[2], data[0])),
                (_, true, _) => Some((addresses[3], data[1])),
                (.., true) => Some((addresses[4], data[2])),
                _ => None,
            };
            let read = |at: u64| {
                let is_written = clearing || written.is_some_and(|(to, _)| to == at);
                (!is_written).then(|| words[at as usize])
            };
            (row, control) = (read(addresses[0]), read(addresses[1]));
            if let Some((to, word)) = written {
                words[to as usize] = word;
            }
            left -= i32::from(left > 0);
            if clear {
                (words, left) = ([0; 256], 256);
                clears += 1;
            }
        },
        clock!(),
        12_000,
        SEED,
    )?;
    assert!(clears > 4 && waits > 1_000, "{clears} clears, {waits} waits");
    Ok(())
}

// Dispatch.

/// How a run ends: status code, engine, program index, commands dispatched.
type Ending = (u64, u64, u64, u64);

/// A program for dispatch alone.
#[derive(Debug)]
struct Run {
    address: u64,
    words: Vec<[u32; COMMAND_WORDS]>,
    /// What must come out: for each command of an engine, the engine, its words, and the engines that must be idle before it.
    expected: VecDeque<(usize, [u32; COMMAND_WORDS], u8)>,
    ending: Ending,
    jumps: u32,
}

/// An engine's command of arbitrary words.
fn any_command(random: &mut Random) -> [u32; COMMAND_WORDS] {
    let mut words = [0; COMMAND_WORDS].map(|_| random.bits(32) as u32);
    words[0] = words[0] & !0xff | [1, 2, 3, 4, 7, 8][random.below(6) as usize];
    words
}

fn encoded(command: impl Into<Command>) -> [u32; COMMAND_WORDS] {
    command.into().encode().expect("encodes")
}

const SCALARS: u64 = 12;

/// A few commands, of which those after an adjust are an engine's.
fn block(random: &mut Random, words: &mut Vec<[u32; COMMAND_WORDS]>) {
    for _ in 0..random.below(5) {
        match random.below(6) {
            0 => {
                let engines = if random.one_in(3) { 0 } else { random.below(16) as u32 };
                words.push(encoded(Barrier { engines, ..Barrier::default() }));
            }
            1 => {
                let set = Set {
                    scalar: random.below(SCALARS) as u32,
                    source: random.below(SCALARS) as u32,
                    add: random.one_in(2),
                    value: random.bits(32) as i32,
                    ..Set::default()
                };
                words.push(encoded(set));
            }
            2 | 3 => {
                let mut patches: Vec<Patch> = (0..7).map(|_| random_patch(random, SCALARS)).collect();
                patches.truncate(random.below(7) as usize);
                if random.one_in(3) {
                    // All on the same word.
                    let word = patches.first().map_or(1, |patch| patch.word);
                    patches.iter_mut().for_each(|patch| patch.word = word);
                }
                words.push(encoded(Adjust::of(&patches)));
                words.push(any_command(random));
            }
            _ => words.push(any_command(random)),
        }
    }
}

impl Run {
    /// A program that ends: not all do, for a branch may go around the count of its loop.
    fn random(random: &mut Random) -> Run {
        loop {
            let mut run = Run::any(random);
            if run.interpret() {
                return run;
            }
        }
    }

    fn any(random: &mut Random) -> Run {
        let mut words = Vec::new();
        for level in 0..1 + random.below(4) as u32 {
            block(random, &mut words);
            let counter = 200 + level;
            words.push(encoded(Set { scalar: counter, ..Set::default() }));
            let start = words.len() as u32;
            block(random, &mut words);
            if random.one_in(3) {
                // Out of the loop's body and on, if some scalar happens to be small.
                let branch = Branch {
                    scalar: random.below(SCALARS) as u32,
                    limit: random.bits(32) as u32,
                    target: words.len() as u32 + 1 + random.below(8) as u32,
                    ..Branch::default()
                };
                words.push(encoded(branch));
            }
            block(random, &mut words);
            words.push(encoded(Set {
                scalar: counter,
                source: counter,
                add: true,
                value: 1,
                ..Set::default()
            }));
            let limit = random.below(6) as u32;
            words.push(encoded(Branch { scalar: counter, limit, target: start, ..Branch::default() }));
        }
        let control = [
            encoded(Barrier::default()),
            encoded(End::default()),
            encoded(Adjust::default()),
            encoded(Set::default()),
            encoded(Branch::default()),
        ];
        let far = Branch { scalar: 255, limit: 1, target: u32::MAX, ..Branch::default() };
        match random.below(16) {
            0 => words.extend([encoded(Adjust::default()), control[random.below(5) as usize]]),
            1 => words
                .push(encoded(Adjust::of(&[Patch { part: 1 + random.below(3) as u8, ..Patch::default() }]))),
            2 => words.push(encoded(far)),
            3 => words.extend([encoded(Adjust::default()), [0xff; COMMAND_WORDS]]),
            4 => words.push(encoded(Adjust::default())),
            5 => words.extend([encoded(Adjust::default()), any_command(random)]),
            6 => words.push([12; COMMAND_WORDS]),
            7 => words.push(encoded(Branch { target: words.len() as u32 + 3, ..far })),
            _ => {}
        }
        words.extend((0..1 + random.below(3)).map(|_| encoded(End::default())));
        if random.one_in(10) {
            words.retain(|words| words[0] & 0xff != 6);
            words.push(any_command(random));
        }
        let address = random.bits(32) & !63;
        Run { address, words, expected: VecDeque::new(), ending: (0, 0, 0, 0), jumps: 0 }
    }

    /// What docs/architecture.md says that the program does; false if it dispatches too many commands.
    fn interpret(&mut self) -> bool {
        let mut scalars = [0u32; 256];
        let (mut next, mut dispatched, mut idle) = (0usize, 0, 0u8);
        let mut patches: Option<Vec<(Patch, u32)>> = None;
        self.ending = loop {
            if dispatched == 400 {
                return false;
            }
            let Some(words) = self.words.get(next) else { break (6, 4, next as u64, dispatched) };
            let opcode = words[0] & 0xff;
            let engine = match opcode {
                1 => Some(0),
                2 => Some(1),
                3 | 7 | 8 => Some(2),
                4 => Some(3),
                5 | 6 | 9..=11 => None,
                _ => break (1, 4, next as u64, dispatched),
            };
            let mut words = *words;
            if let Some(patches) = patches.take() {
                if engine.is_none() {
                    break (2, 4, next as u64, dispatched);
                }
                for (patch, scalar) in patches {
                    patch.apply(scalar, &mut words);
                }
            }
            if let Some(engine) = engine {
                self.expected.push_back((engine, words, std::mem::take(&mut idle)));
                (next, dispatched) = (next + 1, dispatched + 1);
                continue;
            }
            let scalar = |at: u32| (words[1] >> at & 0xff) as usize;
            dispatched += 1;
            next += 1;
            match opcode {
                5 => idle |= if words[0] >> 16 & 15 == 0 { 15 } else { (words[0] >> 16 & 15) as u8 },
                6 => break (0, 0, next as u64, dispatched),
                9 => {
                    let Ok(Command::Adjust(adjust)) = Command::decode(&words) else {
                        break (2, 4, next as u64 - 1, dispatched - 1);
                    };
                    let with_scalar = |patch: Patch| (patch, scalars[usize::from(patch.scalar)]);
                    patches = Some(adjust.patches().map(with_scalar).to_vec());
                }
                10 => {
                    let source = if words[1] >> 16 & 1 == 1 { scalars[scalar(8)] } else { 0 };
                    scalars[scalar(0)] = words[2].wrapping_add(source);
                }
                _ if scalars[scalar(0)] < words[2] => {
                    next = words[3] as usize;
                    self.jumps += 1;
                }
                _ => {}
            }
        };
        true
    }
}

#[test]
fn dispatch_executes_control_commands() -> Result<(), CompareError> {
    for bus_words in [2usize, 4] {
        let bus_bytes = 4 * bus_words as u64;
        let mut run: Option<Run> = None;
        let mut fetched: VecDeque<u64> = VecDeque::new();
        let mut delivered: Vec<u32> = Vec::new();
        let mut busy_until = [0u64; 4];
        let mut scalars = [0u32; 256];
        let mut read: Option<u8> = None;
        let mut clearing_until = 0;
        let mut must_reset = false;
        let mut endings: BTreeMap<(u64, u64), u32> = BTreeMap::new();
        // Commands that passed a barrier while another engine was busy; jumps; runs.
        let (mut passed, mut jumps, mut runs) = (0, 0, 0);
        compare_native_and_verilated(
            || Dispatch::new(bus_words, true, true),
            |block, random, cycle| {
                let context = format!("cycle {cycle}, seed {SEED}, {bus_words} words, {run:x?}");
                let resets = run.is_none() && must_reset;
                let starts = run.is_none() && !must_reset && random.one_in(3);
                // A calm phase has no pauses at all.
                let calm = cycle / 5_000 % 2 == 1;
                let pauses = |random: &mut Random, times: u64| !calm && random.one_in(times);
                must_reset &= !resets;
                if starts {
                    let next = Run::random(random);
                    block.program_address.next = next.address.into();
                    block.program_commands.next = (next.words.len() as u64).into();
                    scalars = [0; 256];
                    clearing_until = cycle + 1 + random.below(40);
                    jumps += next.jumps;
                    run = Some(next);
                } else if run.is_some() {
                    // The host may write what it likes for the next run.
                    block.program_address.next = random.bits(32).into();
                    block.program_commands.next = random.bits(32).into();
                }
                let beat_valid = !fetched.is_empty() && !pauses(random, 3);
                for (w, port) in block.beat.iter_mut().enumerate() {
                    let known = run.as_ref().filter(|_| beat_valid).map(|run| {
                        let offset = fetched[0].wrapping_sub(run.address) & 0xffff_ffff;
                        run.words[offset as usize / COMMAND_BYTES][offset as usize % COMMAND_BYTES / 4 + w]
                    });
                    port.next = u64::from(known.unwrap_or_else(|| random.bits(32) as u32)).into();
                }
                let fetch_ready = !pauses(random, 2);
                let queue_ready = [0; 4].map(|_| !pauses(random, 3));
                let idle = busy_until.map(|until| cycle >= until);
                let write_ready = !pauses(random, 2);
                block.start.next = starts;
                block.reset.next = resets;
                block.fetch_ready.next = fetch_ready;
                block.beat_valid.next = beat_valid;
                for engine in 0..4 {
                    block.queue_ready[engine].next = queue_ready[engine];
                    block.idle[engine].next = idle[engine];
                }
                block.engines_idle.next = idle == [true; 4];
                let clearing = cycle < clearing_until;
                block.scalars_clearing.next = clearing;
                block.scalar_write_ready.next = write_ready && !clearing;
                let word = read.map_or_else(|| random.bits(32) as u32, |at| scalars[usize::from(at)]);
                block.scalar_read_data.next = u64::from(word).into();
                settle_before_edge!(block);

                read = Some(block.scalar_read_address.val().to_u8());
                if block.scalar_write_valid.val() && write_ready {
                    assert!(!clearing, "{context}");
                    // Read in this cycle, a word has its old value or its new one.
                    let at = block.scalar_write_address.val().to_u8();
                    read = read.filter(|read| *read != at);
                    scalars[usize::from(at)] = block.scalar_write_data.val().to_u32();
                }
                if beat_valid {
                    fetched.pop_front();
                }
                let Some(this) = run.as_mut().filter(|_| !starts) else {
                    assert!(!block.busy.val() && !block.fetch_valid.val(), "{context}");
                    return;
                };
                if block.fetch_valid.val() && fetch_ready {
                    let address = block.fetch_address.val().to_u64();
                    let offset = address.wrapping_sub(this.address) & 0xffff_ffff;
                    let end = (this.words.len() * COMMAND_BYTES) as u64;
                    assert!(offset % COMMAND_BYTES as u64 == 0 && offset < end, "{context}");
                    fetched
                        .extend((0..COMMAND_BYTES as u64).step_by(bus_bytes as usize).map(|n| address + n));
                    assert!(fetched.len() * bus_words <= 8 * COMMAND_WORDS, "{context}: too much is fetched");
                }
                let delivers: Vec<usize> = (0..4).filter(|engine| block.queue_valid[*engine].val()).collect();
                if let [engine] = delivers[..] {
                    let (wanted, words, waits) = this.expected.front().expect("a command is expected");
                    assert_eq!(engine, *wanted, "{context}");
                    let busy = (0..4).fold(0, |mask, e| mask | u8::from(!idle[e]) << e);
                    assert!(
                        !delivered.is_empty() || busy & waits == 0,
                        "{context}: nothing passes a barrier"
                    );
                    if queue_ready[engine] {
                        if delivered.is_empty() && *waits != 0 && busy != 0 {
                            passed += 1;
                        }
                        delivered.extend(block.queue_beat.iter().map(|port| port.val().to_u32()));
                        busy_until[engine] = busy_until[engine].max(cycle + 1 + random.below(60));
                        if delivered.len() == COMMAND_WORDS {
                            assert_eq!(delivered, words, "{context}");
                            delivered.clear();
                            this.expected.pop_front();
                        }
                    }
                }
                assert!(delivers.len() < 2, "{context}");
                if !block.busy.val() {
                    let status = (block.status_code.val().to_u64(), block.status_engine.val().to_u64());
                    let index = block.command_index.val().to_u64();
                    let dispatched = block.dispatched.val().to_u64();
                    let target = this.ending.2 & 0xffff_ffff;
                    assert_eq!(
                        (status.0, status.1, index, dispatched),
                        (this.ending.0, this.ending.1, target, this.ending.3),
                        "{context}"
                    );
                    assert!(this.expected.is_empty() && delivered.is_empty(), "{context}");
                    assert!(block.done.val() && idle == [true; 4] && fetched.is_empty(), "{context}");
                    *endings.entry(status).or_default() += 1;
                    must_reset = status.0 != 0;
                    runs += 1;
                    run = None;
                }
            },
            clock!(),
            60_000,
            SEED,
        )?;
        println!("{bus_words} words: {runs} runs, {jumps} jumps, {passed} passed, endings {endings:?}");
        assert!(
            endings.len() == 4 && passed > 5 && jumps > 50 && runs > 30,
            "{endings:?} {passed} {jumps} {runs}"
        );
    }
    Ok(())
}

// The whole machine.

/// A configuration small enough to store its memories after every program.
fn small(rows: usize, cols: usize, lanes: usize, bus_bits: usize) -> Config {
    Config {
        name: format!("test_{rows}x{cols}"),
        rows,
        cols,
        lanes,
        activation_depth: 128,
        weight_depth: 64,
        parameter_depth: 32,
        accumulator_depth: 64,
        tables: 2,
        depthwise_taps: cols.min(4),
        four_bit: true,
        row_engine: true,
        counters: true,
        base_registers: 8,
        sequential: false,
        queue_depth: 4,
        bus_bits,
    }
}

fn program(config: &Config, commands: Vec<Command>, constants: Vec<u8>) -> Program {
    let bytes = config.activation_bytes() + config.accumulator_depth * 4 * config.lanes + 1024;
    Program {
        name: "control".into(),
        config: config.clone(),
        command_layers: vec![0; commands.len()],
        commands,
        layers: vec![Layer { name: "all".into(), macs: 0 }],
        constants,
        workspace_bytes: bytes,
        inputs: vec![],
        outputs: vec![TensorLayout {
            name: "everything".into(),
            shape: vec![bytes],
            strides: vec![1],
            offset: 0,
            element_bytes: 1,
        }],
    }
}

/// Adds a number below four, of scalar `scalar`, times `multiplier` to a field.
fn patch_of(command: &Command, field: &str, scalar: u8, multiplier: u16) -> Patch {
    let field = command.spec().fields.iter().find(|f| f.name == field).expect("a field");
    let part = match (field.lsb, field.width) {
        (0, 16) => 1,
        (16, 16) => 2,
        (0, 24 | 32) => 3,
        other => panic!("{} at {other:?}", field.name),
    };
    Patch { scalar, keep: 2, multiplier, word: field.word as u8, part, ..Patch::default() }
}

fn set(scalar: u32, value: i32) -> Command {
    Set { scalar, value, ..Set::default() }.into()
}

fn count(scalar: u32) -> Command {
    Set { scalar, source: scalar, add: true, value: 1, ..Set::default() }.into()
}

fn branch(scalar: u32, limit: u32, target: usize) -> Command {
    Branch { scalar, limit, target: target as u32, ..Branch::default() }.into()
}

fn barrier(engines: &[Engine]) -> Command {
    Barrier { engines: engines.iter().map(|e| u32::from(e.mask())).sum(), ..Barrier::default() }.into()
}

fn tokens(wait: &[Engine], signal: &[Engine]) -> Tokens {
    let mask = |engines: &[Engine]| engines.iter().map(|e| e.mask()).sum();
    Tokens { wait: mask(wait), signal: mask(signal) }
}

/// A command with fields that patches may change by a little, and these fields with their units.
fn any_step(random: &mut Random, config: &Config) -> (Command, Vec<(&'static str, u16)>) {
    let pixels = 1 + random.below(4) as u32;
    match random.below(5) {
        0 => {
            let load = Load {
                memory_offset: 64 * random.below(8) as u32,
                row_bytes: 32,
                rows: 1 + random.below(3) as u32,
                memory_stride: 64,
                stride: 8,
                address: 2 * random.below(20) as u32,
                ..Load::default()
            };
            (load.into(), vec![("memory_offset", 16), ("address", 2), ("stride", 2), ("row_bytes", 16)])
        }
        1 => {
            let matrix = Matrix {
                activation_address: random.below(8) as u32,
                weight_address: random.below(32) as u32,
                parameter_address: random.below(16) as u32,
                output_address: 64 + random.below(16) as u32,
                channels: 1 + random.below(4) as u32,
                outputs_x: pixels,
                outputs_y: 1 + random.below(3) as u32,
                stride_x: 1,
                stride_y: 2,
                stride_channel: 4,
                output_stride_x: 1,
                output_stride_y: 6,
                input_width: 64,
                input_height: 64,
                step_x: 1,
                step_y: 1,
                minimum: -128,
                maximum: 127,
                ..Matrix::default()
            };
            let fields =
                ["activation_address", "weight_address", "parameter_address", "output_address", "channels"];
            (matrix.into(), fields.map(|name| (name, 1 + random.below(2) as u16)).to_vec())
        }
        2 => {
            let vector = Vector {
                source_address: random.below(40) as u32,
                destination_address: 64 + random.below(16) as u32,
                outputs_x: pixels,
                stride_x: 1,
                output_stride_x: 1,
                input_width: 64,
                input_height: 64,
                step_x: 1,
                multiplier: 1 << 31,
                minimum: -100,
                maximum: 100,
                ..Vector::default()
            };
            (
                vector.into(),
                vec![("source_address", 3), ("destination_address", 5), ("post_add", 7), ("outputs_x", 2)],
            )
        }
        3 => {
            let store = Store {
                base_register: 1,
                memory_offset: (config.activation_bytes() + 64 * random.below(6) as usize) as u32,
                row_bytes: 32,
                rows: 2,
                memory_stride: 64,
                address: 2 * random.below(40) as u32,
                stride: 4,
                ..Store::default()
            };
            (store.into(), vec![("memory_offset", 32), ("address", 6), ("stride", 2)])
        }
        _ => {
            let load = Load {
                space: space::PARAMETER,
                layout: layout::SCALARS,
                memory_offset: 16 * random.below(32) as u32,
                row_bytes: 16 * (1 + random.below(2) as u32),
                address: random.below(3) as u32,
                ..Load::default()
            };
            (load.into(), vec![("memory_offset", 16), ("address", 1)])
        }
    }
}

/// Loops over commands that are adjusted by loop counters and by loaded scalars; everything is stored at the end.
fn random_program(config: &Config, random: &mut Random) -> Program {
    use Engine::{Load as L, Matrix as M, Store as S, Vector as V};
    let sizes = [
        config.activation_bytes(),
        config.weight_bytes(),
        config.parameter_depth * config.parameter_group_bytes(),
        config.accumulator_depth * 4 * config.lanes,
    ];
    let total: usize = sizes.iter().sum();
    let mut constants: Vec<u8> = (0..total).map(|_| random.bits(8) as u8).collect();
    let groups = &mut constants[sizes[0] + sizes[1]..][..sizes[2]];
    for (number, word) in groups.chunks_exact_mut(4).enumerate() {
        let value = match number / config.lanes % 3 {
            0 => random.below(4096) as u32,
            1 => 1 << 30,
            _ => 5 + random.below(4) as u32,
        };
        word.copy_from_slice(&value.to_le_bytes());
    }
    // Sixteen bytes of every value: a scalar's byte picks one.
    constants.extend((0..=255u8).flat_map(|byte| [byte; 16]));
    let mut all: Vec<Command> = Vec::new();
    let mut offset = 0;
    for (space, bytes) in sizes.into_iter().enumerate() {
        all.push(
            Load { space: space as u32, memory_offset: offset, row_bytes: bytes as u32, ..Load::default() }
                .into(),
        );
        offset += bytes as u32;
    }
    let scalars = Load { space: space::PARAMETER, layout: layout::SCALARS, row_bytes: 64, ..Load::default() };
    all.push(scalars.into());
    all.push(barrier(&[]));
    for level in 0..1 + random.below(3) as u32 {
        let (outer, inner) = (100 + 2 * level, 101 + 2 * level);
        all.push(set(outer, 0));
        let outer_start = all.len();
        all.push(set(inner, 0));
        let inner_start = all.len();
        for _ in 0..1 + random.below(4) {
            let (command, fields) = any_step(random, config);
            all.push(barrier(&[]));
            if !random.one_in(4) {
                let patches: Vec<Patch> = (0..random.below(7))
                    .map(|_| {
                        let scalar =
                            [outer as u8, inner as u8, random.below(16) as u8][random.below(3) as usize];
                        let (field, unit) = fields[random.below(fields.len() as u64) as usize];
                        let shift = random.below(8) as u8 * u8::from(scalar < 16);
                        Patch { shift, ..patch_of(&command, field, scalar, unit) }
                    })
                    .take(if matches!(command, Command::Load(_)) { 2 } else { 6 })
                    .collect();
                all.push(Adjust::of(&patches).into());
            }
            all.push(command);
        }
        all.push(count(inner));
        all.push(branch(inner, random.below(4) as u32, inner_start));
        if random.one_in(2) {
            // Load, matrix, vector and store in a chain; who waits for the store waits for all.
            all.push(barrier(&[L, M, V, S]));
            let load = Load { tokens: tokens(&[], &[M]), row_bytes: 128, address: 40, ..Load::default() };
            let matrix = Matrix {
                tokens: tokens(&[L], &[V]),
                activation_address: 40,
                output_address: 100,
                input_width: 1,
                input_height: 1,
                minimum: -128,
                maximum: 127,
                ..Matrix::default()
            };
            let vector = Vector {
                tokens: tokens(&[M], &[S]),
                source_address: 100,
                destination_address: 102,
                input_width: 1,
                input_height: 1,
                multiplier: 1 << 31,
                minimum: -128,
                maximum: 127,
                ..Vector::default()
            };
            let store = Store {
                tokens: tokens(&[V], &[]),
                base_register: 1,
                memory_offset: config.activation_bytes() as u32,
                row_bytes: 16,
                address: 102,
                ..Store::default()
            };
            let load: Command = load.into();
            all.push(Adjust::of(&[patch_of(&load, "memory_offset", outer as u8, 48)]).into());
            all.push(load);
            all.push(matrix.into());
            let vector: Command = vector.into();
            all.push(Adjust::of(&[patch_of(&vector, "post_add", outer as u8, 9)]).into());
            all.push(vector);
            let store: Command = store.into();
            let field = patch_of(&store, "memory_offset", outer as u8, 16);
            all.push(Adjust::of(&[field, Patch { scalar: inner as u8, ..field }]).into());
            all.push(store);
            all.push(barrier(&[S]));
        }
        all.push(count(outer));
        all.push(branch(outer, random.below(4) as u32, outer_start));
    }
    all.push(barrier(&[]));
    // Four scalars, byte by byte, as the last accumulator rows.
    for row in 0..16u32 {
        let scalar = [random.below(16), 100, 101, random.below(128)][row as usize / 4] as u8;
        let load: Command = Load {
            space: space::ACCUMULATOR,
            memory_offset: offset,
            row_bytes: 16,
            address: 48 + row,
            ..Load::default()
        }
        .into();
        let byte =
            Patch { shift: 8 * (row % 4) as u8, keep: 8, ..patch_of(&load, "memory_offset", scalar, 16) };
        all.push(Adjust::of(&[byte]).into());
        all.push(load);
    }
    all.push(barrier(&[L]));
    let store = |space, offset: usize, bytes: usize| -> Command {
        let (memory_offset, row_bytes) = (offset as u32, bytes as u32);
        Store { space, base_register: 1, memory_offset, row_bytes, ..Store::default() }.into()
    };
    all.push(store(space::ACTIVATION, 0, sizes[0]));
    all.push(store(space::ACCUMULATOR, sizes[0] + 1024, sizes[3]));
    all.push(End::default().into());
    program(config, all, constants)
}

fn device(config: &Config, options: &SimulationOptions) -> VerilatedDevice {
    verilated_device(config, options, None).expect("a device")
}

#[test]
fn random_loops_give_the_same_bytes() {
    for (number, config) in
        [small(8, 8, 4, 64), small(8, 8, 4, 128), small(16, 8, 4, 64), small(16, 16, 4, 128)]
            .iter()
            .enumerate()
    {
        let (mut rejected, mut commands, mut repeated) = (0, 0, 0);
        for case in 0..60u64 {
            let seed = SEED + 1_000 * number as u64 + case;
            let mut random = Random::new(seed);
            let program = random_program(config, &mut random);
            let mut golden = GoldenDevice::new(config).expect("a device");
            let wanted = match golden.run(&program, &[], &RunOptions::default()) {
                Ok(wanted) => wanted,
                Err(error) => {
                    assert!(error.to_string().contains("which is"), "seed {seed}: {error}");
                    rejected += 1;
                    continue;
                }
            };
            let stalls = (case % 2 == 1).then(|| Stalls::new(seed));
            let mut device = device(config, &SimulationOptions { stalls, ..SimulationOptions::default() });
            let found = device.run(&program, &[], &RunOptions::default());
            let found = found.unwrap_or_else(|error| panic!("seed {seed}, {}: {error}", config.name));
            assert_eq!(device.system_mut().model_mut().errors(), 0, "assertions in the Verilog failed");
            let difference = found.outputs[0].iter().zip(&wanted.outputs[0]).position(|(f, w)| f != w);
            assert_eq!(difference, None, "seed {seed}, {}: the first byte that differs", config.name);
            assert_eq!(found.statistics.commands, wanted.statistics.commands, "seed {seed}");
            assert_eq!(found.statistics.matrix_steps, wanted.statistics.matrix_steps, "seed {seed}");
            commands += wanted.statistics.commands;
            repeated += wanted.statistics.commands.saturating_sub(program.commands.len() as u64);
        }
        println!("{}: {commands} commands, {repeated} repeated, {rejected} programs rejected", config.name);
        assert!(rejected < 20 && repeated > 500, "{rejected} rejected, {repeated} repeated");
    }
}

#[test]
fn errors_are_those_of_the_functional_simulator() {
    let config = small(8, 8, 4, 64);
    let load = Load { row_bytes: 64, ..Load::default() };
    let end: Command = End::default().into();
    let by = |scalar: u8, word: u8, part: u8, multiplier: u16| -> Command {
        Adjust::of(&[Patch { scalar, add: 1, word, part, multiplier, ..Patch::default() }]).into()
    };
    let row_bytes = Load::FIELDS.iter().find(|f| f.name == "row_bytes").expect("a field").word as u8;
    let first = load.clone();
    let cases: Vec<(Vec<Command>, StatusCode, Engine, u32)> = vec![
        (vec![by(0, 1, 1, 1), end.clone()], StatusCode::IllegalField, Engine::Control, 1),
        (vec![by(0, 1, 1, 1), barrier(&[]), end.clone()], StatusCode::IllegalField, Engine::Control, 1),
        (vec![by(0, 1, 1, 1), by(0, 1, 1, 1), end.clone()], StatusCode::IllegalField, Engine::Control, 1),
        (
            vec![set(1, 1), by(0, 0, 2, 1), load.clone().into(), end.clone()],
            StatusCode::IllegalField,
            Engine::Control,
            1,
        ),
        (vec![by(0, row_bytes, 3, 8), first.into(), end.clone()], StatusCode::IllegalField, Engine::Load, 1),
        (vec![branch(0, 1, 2), end.clone()], StatusCode::MissingEnd, Engine::Control, 2),
        (vec![branch(0, 1, 0xffff_ffff), end.clone()], StatusCode::MissingEnd, Engine::Control, 0xffff_ffff),
        (vec![branch(0, 1, 2), end.clone(), set(0, 5)], StatusCode::MissingEnd, Engine::Control, 3),
        (vec![set(0, 5), by(0, 1, 1, 1)], StatusCode::MissingEnd, Engine::Control, 2),
        (vec![by(0, 1, 1, 0), load.into()], StatusCode::MissingEnd, Engine::Control, 2),
    ];
    let good = program(&config, vec![set(0, 1), branch(0, 1, 0), end.clone()], vec![0; 4096]);
    let mut device = device(&config, &SimulationOptions::default());
    for (commands, code, engine, index) in cases {
        let bad = program(&config, commands, vec![0; 4096]);
        let mut golden = GoldenDevice::new(&config).expect("a device");
        let wanted = match golden.run(&bad, &[], &RunOptions::default()) {
            Err(DeviceError::Run(error)) => *error.downcast::<frugal_golden::GoldenError>().expect("golden"),
            other => panic!("{:?}: {other:?}", bad.commands),
        };
        assert_eq!(wanted.status(), Some(code), "{wanted}");
        match device.run(&bad, &[], &RunOptions::default()) {
            Err(DeviceError::Run(error)) => match *error.downcast::<SimulationError>().expect("simulation") {
                SimulationError::Stopped { code: found, engine: by, state, .. } => {
                    assert_eq!((StatusCode::from_value(found), by), (Some(code), Some(engine)), "{wanted}");
                    if engine == Engine::Control {
                        assert_eq!(state.command_index, index, "{wanted}");
                    }
                }
                other => panic!("{other}"),
            },
            other => panic!("{wanted}: {other:?}"),
        }
        device.run(&good, &[], &RunOptions::default()).expect("runs again");
    }
}

#[test]
fn endless_loops_are_given_up() {
    let config = small(8, 8, 4, 64);
    let endless = program(&config, vec![branch(0, 1, 0), End::default().into()], vec![0; 64]);
    let mut golden = GoldenDevice::new(&config).expect("a device");
    golden.max_commands = Some(10_000);
    let error = golden.run(&endless, &[], &RunOptions::default()).expect_err("it does not end").to_string();
    assert!(
        error.starts_with("no end after 10000 commands were dispatched; the next is 0: branch"),
        "{error}"
    );
    let mut device = device(&config, &SimulationOptions::default());
    let options = RunOptions { max_cycles: Some(20_000), ..RunOptions::default() };
    let error = device.run(&endless, &[], &options).expect_err("it does not end").to_string();
    assert!(error.contains("no end after") && error.contains("commands, in a program of 2; next"), "{error}");
}

/// Cycles of a program, without those of one that ends at once.
fn cycles(device: &mut VerilatedDevice, commands: Vec<Command>) -> u64 {
    let config = device.system().memory().options().bus_bytes * 8;
    let config = small(8, 8, 4, config);
    let end = program(&config, vec![barrier(&[]), set(0, 0), End::default().into()], vec![0; 4096]);
    let mut all = vec![barrier(&[]), set(0, 0)];
    all.extend(commands);
    all.push(End::default().into());
    let whole = program(&config, all, vec![0; 4096]);
    let mut run = |program| {
        let result = device.run(program, &[], &RunOptions::default()).expect("a good program");
        result.statistics.cycles.expect("cycles")
    };
    let base = run(&end);
    run(&whole) - base
}

/// What control commands cost. Fetch has a share of it: a command is eight beats of 64 bits.
#[test]
fn control_commands_cost_little() {
    const TIMES: u64 = 64;
    for (bus_bits, latency) in [(64, 1), (128, 1), (64, 20)] {
        let config = small(8, 8, 4, bus_bits);
        let options = SimulationOptions { latency_cycles: latency, ..SimulationOptions::default() };
        let mut device = device(&config, &options);
        let matrix: Command =
            Matrix { output_address: 4, input_width: 1, input_height: 1, ..Matrix::default() }.into();
        let repeat =
            |commands: &[Command]| -> Vec<Command> { (0..TIMES).flat_map(|_| commands.to_vec()).collect() };
        let patch = patch_of(&matrix, "output_address", 0, 1);
        let adjusted = |patches: usize| [Adjust::of(&vec![patch; patches]).into(), matrix.clone()];
        let plain = cycles(&mut device, repeat(std::slice::from_ref(&matrix))) as f64 / TIMES as f64;
        let each = |cycles: u64| cycles as f64 / TIMES as f64;
        let set_cost = each(cycles(&mut device, repeat(&[set(1, 7)])));
        let barrier_cost = each(cycles(&mut device, repeat(&[barrier(&[])])));
        let not_taken = each(cycles(&mut device, repeat(&[branch(0, 0, 0)])));
        // The two commands before are a barrier and a set.
        let taken = each(cycles(&mut device, vec![count(2), branch(2, TIMES as u32, 2)])) - set_cost;
        let one = each(cycles(&mut device, repeat(&adjusted(1)))) - plain;
        let six = each(cycles(&mut device, repeat(&adjusted(6)))) - plain;
        println!(
            "{bus_bits} bits, latency {latency}: matrix {plain:.1}, set {set_cost:.1}, barrier {barrier_cost:.1}, branch {not_taken:.1}, \
             taken {taken:.1}, adjust of one {one:.1}, of six {six:.1}"
        );
        let command = plain.max(8.0);
        assert!(set_cost <= command + 2.0 && not_taken <= command + 2.0 && barrier_cost <= command + 4.0);
        assert!(one <= command + 8.0 && six <= command + 12.0);
        assert!(taken <= 40.0 + 2.0 * latency as f64);
    }
}
