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
                assert_eq!(block.amount.val().to_u32(), wanted, "cycle {cycle}, seed {SEED}: {:?}", given[first]);
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
            let (word, amount, part) = (random.bits(32) as u32, random.bits(32) as u32, random.below(4) as u8);
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
            let [load, set] = [random.one_in(2), random.one_in(2)];
            block.clear.next = clear;
            block.row_read_address.next = addresses[0].into();
            block.control_read_address.next = addresses[1].into();
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
            let loads = load && block.load_ready.val();
            let sets = set && block.control_write_ready.val();
            assert_eq!(block.load_ready.val(), !clearing && !row_writes, "{context}");
            assert!(!sets || !(clearing || row_writes || load), "{context}");
            assert!(clearing || row_writes || load || block.control_write_ready.val(), "{context}");
            waits += u32::from(set && !sets);
            let written = match (row_writes, loads, sets) {
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
            words.push(encoded(Set { scalar: counter, source: counter, add: true, value: 1, ..Set::default() }));
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
            1 => words.push(encoded(Adjust::of(&[Patch { part: 1 + random.below(3) as u8, ..Patch::default() }]))),
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
            || Dispatch::new(bus_words),
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
                    fetched.extend((0..COMMAND_BYTES as u64).step_by(bus_bytes as usize).map(|n| address + n));
                    assert!(fetched.len() * bus_words <= 8 * COMMAND_WORDS, "{context}: too much is fetched");
                }
                let delivers: Vec<usize> = (0..4).filter(|engine| block.queue_valid[*engine].val()).collect();
                if let [engine] = delivers[..] {
                    let (wanted, words, waits) = this.expected.front().expect("a command is expected");
                    assert_eq!(engine, *wanted, "{context}");
                    let busy = (0..4).fold(0, |mask, e| mask | u8::from(!idle[e]) << e);
                    assert!(!delivered.is_empty() || busy & waits == 0, "{context}: nothing passes a barrier");
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
        assert!(endings.len() == 4 && passed > 5 && jumps > 50 && runs > 30, "{endings:?} {passed} {jumps} {runs}");
    }
    Ok(())
}
