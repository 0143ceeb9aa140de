//! Every leaf: its native model and its Verilog agree on random vectors and on the extremes.
use frugal_hdl::leaves::*;
use frugal_testbench::compare::{
    compare_native_and, compare_native_and_verilated, settle, CompareError, Family,
};
use frugal_testbench::random::Random;
use rust_hdl_core::prelude::*;
use std::collections::VecDeque;

const CYCLES: u64 = 2_000;
const SEED: u64 = 0x5eed;

/// Shorthand for the clock of the blocks that have one.
macro_rules! clock {
    () => {
        |block, level| block.clock.next = Clock { clk: level }
    };
}

/// Random values on all of these ports.
fn randomise<const N: usize>(ports: &mut [Signal<In, Bits<N>>], random: &mut Random) {
    ports.iter_mut().for_each(|port| port.next = random.bits(N as u32).into());
}

fn randomise_bits(ports: &mut [Signal<In, Bit>], random: &mut Random) {
    ports.iter_mut().for_each(|port| port.next = random.one_in(2));
}

#[test]
fn signed_product() -> Result<(), CompareError> {
    compare_native_and_verilated(
        || SignedProduct::new(false),
        |block, random, _| {
            block.a.next = random.bits(16).into();
            block.b.next = random.bits(16).into();
        },
        clock!(),
        CYCLES,
        SEED,
    )?;
    Ok(())
}

#[test]
fn pair_sum() -> Result<(), CompareError> {
    for width in [1, 16, 17, 30, 31, 32] {
        compare_native_and_verilated(
            || PairSum::new(width),
            |block, random, _| {
                block.a.next = random.bits(32).into();
                block.b.next = random.bits(32).into();
            },
            clock!(),
            CYCLES,
            SEED,
        )?;
    }
    Ok(())
}

#[test]
fn accumulate() -> Result<(), CompareError> {
    compare_native_and_verilated(
        Accumulate::default,
        |block, random, _| {
            block.enable.next = random.one_in(2);
            block.first.next = random.one_in(5);
            block.addend.next = random.bits(32).into();
        },
        clock!(),
        CYCLES,
        SEED,
    )?;
    Ok(())
}

#[test]
fn sign_extension() -> Result<(), CompareError> {
    compare_native_and_verilated(
        SignExtend8::default,
        |block, random, _| block.value.next = random.bits(8).into(),
        |_, _| {},
        CYCLES,
        SEED,
    )?;
    compare_native_and_verilated(
        SignExtend16to32::default,
        |block, random, _| block.value.next = random.bits(16).into(),
        |_, _| {},
        CYCLES,
        SEED,
    )?;
    Ok(())
}

#[test]
fn simple_ram() -> Result<(), CompareError> {
    for (depth, words) in [(16, 1), (24, 4), (1, 2), (64, 16)] {
        compare_native_and_verilated(
            || SimpleRam::new(depth, words),
            |block, random, _| {
                let read = random.below(depth as u64);
                let write = random.below(depth as u64);
                block.read_enable.next = random.one_in(2);
                block.read_address.next = read.into();
                block.write_address.next = write.into();
                block.write_valid.next = read != write && random.one_in(2);
                for word in 0..words {
                    block.write_enable[word].next = random.bits(4).into();
                    block.write_data[word].next = random.bits(32).into();
                }
            },
            clock!(),
            CYCLES,
            SEED,
        )?;
    }
    Ok(())
}

/// As every chip has it, and as block RAMs of an ECP5: two bytes in each, one, and depths that are no power of two.
#[test]
fn simple_ram_with_registers() -> Result<(), CompareError> {
    let portable = [(16, 1), (24, 4), (64, 16), (2048, 2)].map(|shape| (shape, false));
    let ecp5 = [(513, 1), (1024, 2), (1500, 1), (2048, 2)].map(|shape| (shape, true));
    for ((depth, words), for_ecp5) in portable.into_iter().chain(ecp5) {
        let mut written = None;
        compare_native_and(
            |file| if for_ecp5 { Family::Ecp5.of(file) } else { file },
            || SimpleRam::new(depth, words).with_write_register().with_output_register(),
            |block, random, _| {
                // Few rows, all over the memory, so that what is written is read. What was at the write port in the cycle before is written in this one.
                let [read, write] = [0; 2].map(|_| random.below(16) * (depth as u64 - 1) / 15);
                block.read_enable.next = written != Some(read) && random.one_in(2);
                block.read_address.next = read.into();
                let valid = random.one_in(2);
                written = valid.then_some(write);
                block.write_address.next = write.into();
                block.write_valid.next = valid;
                for word in 0..words {
                    block.write_enable[word].next = random.bits(4).into();
                    block.write_data[word].next = random.bits(32).into();
                }
            },
            clock!(),
            CYCLES,
            SEED,
        )?;
    }
    Ok(())
}

/// As every chip has it, as a block RAM of an ECP5, and of LUTs.
#[test]
fn table_ram() -> Result<(), CompareError> {
    for (tables, in_luts, for_ecp5) in [1, 2, 8]
        .into_iter()
        .flat_map(|tables| [(tables, false, false), (tables, false, true), (tables, true, true)])
    {
        compare_native_and(
            |file| if for_ecp5 { Family::Ecp5.of(file) } else { file },
            || TableRam::new(tables, in_luts),
            |block, random, cycle| {
                // All entries are written before any is read.
                let fills = cycle < 64 * tables as u64;
                let writes = fills || random.one_in(3);
                block.write_valid.next = writes;
                let word = if fills { cycle } else { random.below(64 * tables as u64) };
                block.write_address.next = word.into();
                block.write_data.next = random.bits(32).into();
                block.read_enable.next = !writes && random.one_in(2);
                block.table.next = random.below(tables as u64).into();
                for value in &mut block.value {
                    value.next = random.bits(8).into();
                }
            },
            clock!(),
            CYCLES,
            SEED,
        )?;
    }
    Ok(())
}

/// What is written is what is read: every entry, by both readers.
#[test]
fn table_ram_gives_what_was_written() -> Result<(), CompareError> {
    let entries: Vec<u8> = (0..512_usize).map(|at| (at * 37 % 251) as u8).collect();
    let mut expected = None;
    let mut looked_up = 0;
    compare_native_and(
        |file| Family::Ecp5.of(file),
        || TableRam::new(2, false),
        |block, _, cycle| {
            if let Some(expected) = expected.take() {
                let found = [0, 1].map(|reader| block.entry[reader].val().to_u8());
                assert_eq!(found, expected, "cycle {cycle}");
                looked_up += 1;
            }
            let fills = cycle < 128;
            block.write_valid.next = fills;
            block.read_enable.next = !fills;
            if fills {
                let first = 4 * cycle as usize;
                let word = u32::from_le_bytes(entries[first..first + 4].try_into().unwrap());
                block.write_address.next = cycle.into();
                block.write_data.next = u64::from(word).into();
            } else {
                let (table, value) = (cycle as usize & 1, (cycle as usize / 2) % 256);
                let values = [value, 255 - value];
                block.table.next = (table as u64).into();
                for (port, value) in block.value.iter_mut().zip(values) {
                    port.next = (value as u64).into();
                }
                expected = Some(values.map(|value| entries[256 * table + value]));
            }
        },
        clock!(),
        128 + 2 * 256 + 1,
        SEED,
    )?;
    assert_eq!(looked_up, 512);
    Ok(())
}

#[test]
fn table_ram_reports_a_read_while_it_is_written() {
    let result = compare_native_and_verilated(
        || TableRam::new(1, false),
        |block, _, _| {
            block.write_valid.next = true;
            block.read_enable.next = true;
        },
        clock!(),
        4,
        SEED,
    );
    assert!(matches!(result, Err(CompareError::Reported { cycle: 0, .. })), "{result:?}");
}

#[test]
fn simple_ram_reports_a_collision() {
    let collide = |block: &mut SimpleRam| {
        block.read_enable.next = true;
        block.read_address.next = 3u64.into();
        block.write_address.next = 3u64.into();
        block.write_valid.next = true;
        block.write_enable[0].next = 1u64.into();
    };
    let result = compare_native_and_verilated(
        || SimpleRam::new(8, 2),
        |block, _, _| collide(block),
        clock!(),
        4,
        SEED,
    );
    assert!(matches!(result, Err(CompareError::Reported { cycle: 0, .. })), "{result:?}");
}

/// Where collisions are allowed, the bytes that are not written are read as they are, and none that is written as it will be.
#[test]
fn simple_ram_spoils_only_the_bytes_of_a_collision() -> Result<(), CompareError> {
    let mut rows = [[0u8; 8]; 2];
    let mut expected: Option<([u8; 8], [Option<u8>; 8])> = None;
    let mut spoilt = 0;
    compare_native_and_verilated(
        || SimpleRam::new(2, 2).allowing_collisions(),
        |block, random, cycle| {
            if let Some((kept, written)) = expected.take() {
                let found: Vec<u8> =
                    block.read_data.iter().flat_map(|word| word.val().to_u32().to_le_bytes()).collect();
                for byte in 0..8 {
                    match written[byte] {
                        None => {
                            assert_eq!(found[byte], kept[byte], "byte {byte}, cycle {cycle}, seed {SEED}")
                        }
                        Some(new) => {
                            assert_ne!(found[byte], new, "byte {byte}, cycle {cycle}, seed {SEED}");
                            spoilt += 1;
                        }
                    }
                }
            }
            let (read, write) = (random.bits(1) as usize, random.bits(1) as usize);
            let (enable, data) = (random.bits(8), random.bits(64));
            block.read_enable.next = true;
            block.read_address.next = (read as u64).into();
            block.write_valid.next = true;
            block.write_address.next = (write as u64).into();
            for word in 0..2 {
                block.write_enable[word].next = (enable >> (4 * word) & 15).into();
                block.write_data[word].next = (data >> (32 * word) & 0xffff_ffff).into();
            }
            let new = data.to_le_bytes();
            let written =
                std::array::from_fn(|byte| (read == write && enable >> byte & 1 == 1).then_some(new[byte]));
            expected = Some((rows[read], written));
            for byte in (0..8).filter(|byte| enable >> byte & 1 == 1) {
                rows[write][byte] = new[byte];
            }
        },
        clock!(),
        CYCLES,
        SEED,
    )?;
    assert!(spoilt > CYCLES, "only {spoilt} bytes were read while they were written");
    Ok(())
}

#[test]
fn fifo() -> Result<(), CompareError> {
    // Deep ones are in block RAM, or not.
    for (depth, words, in_luts) in
        [(2, 1, false), (5, 3, false), (16, 2, false), (64, 2, true), (64, 2, false), (100, 1, false)]
    {
        compare_native_and_verilated(
            || Fifo::new(depth, words).in_luts(in_luts),
            |block, random, cycle| {
                // Phases that fill, empty and balance the queue.
                let phase = cycle / 300 % 3;
                block.reset.next = random.one_in(397);
                block.write_valid.next = random.one_in([2, 5, 1][phase as usize]);
                block.read_ready.next = random.one_in([5, 2, 1][phase as usize]);
                for word in 0..words {
                    block.write_data[word].next = random.bits(32).into();
                }
            },
            clock!(),
            CYCLES,
            SEED,
        )?;
    }
    Ok(())
}

#[test]
fn skid_buffer() -> Result<(), CompareError> {
    let mut rows: VecDeque<[u64; 2]> = VecDeque::new();
    let mut passed = 0;
    compare_native_and_verilated(
        || SkidBuffer::new(2),
        |block, random, cycle| {
            assert_eq!(block.read_valid.val(), !rows.is_empty(), "cycle {cycle}, seed {SEED}");
            assert_eq!(block.write_ready.val(), rows.len() < 2, "cycle {cycle}, seed {SEED}");
            if let Some(row) = rows.front() {
                let found = [0, 1].map(|word| block.read_data[word].val().to_u64());
                assert_eq!(found, *row, "cycle {cycle}, seed {SEED}");
            }
            let phase = cycle / 300 % 3;
            let reset = random.one_in(397);
            let writes = random.one_in([2, 5, 1][phase as usize]);
            let reads = random.one_in([5, 2, 1][phase as usize]);
            let row = [random.bits(32), random.bits(32)];
            block.reset.next = reset;
            block.write_valid.next = writes;
            block.read_ready.next = reads;
            for (port, word) in block.write_data.iter_mut().zip(row) {
                port.next = word.into();
            }
            let room = rows.len() < 2;
            if reads && rows.pop_front().is_some() {
                passed += 1;
            }
            if writes && room {
                rows.push_back(row);
            }
            if reset {
                rows.clear();
            }
        },
        clock!(),
        CYCLES,
        SEED,
    )?;
    assert!(passed > CYCLES / 4, "only {passed} rows passed");
    Ok(())
}

#[test]
fn delay_line() -> Result<(), CompareError> {
    for cycles in [0, 1, 2, 3, 8] {
        compare_native_and_verilated(
            || DelayLine::<33>::new(cycles),
            |block, random, _| block.value.next = random.bits(33).into(),
            clock!(),
            CYCLES / 4,
            SEED,
        )?;
    }
    Ok(())
}

#[test]
fn delay_bit() -> Result<(), CompareError> {
    for cycles in [1, 5] {
        let mut sent = Vec::new();
        compare_native_and_verilated(
            || DelayBit::new(cycles),
            |block, random, cycle| {
                let expected = sent.len().checked_sub(cycles).is_some_and(|first| sent[first]);
                assert_eq!(block.delayed.val(), expected, "cycle {cycle}, seed {SEED}");
                sent.push(random.one_in(2));
                block.value.next = sent[sent.len() - 1];
            },
            clock!(),
            CYCLES / 4,
            SEED,
        )?;
    }
    Ok(())
}

#[test]
fn packing() -> Result<(), CompareError> {
    compare_native_and_verilated(
        Pack128::default,
        |block, random, _| randomise(&mut block.words, random),
        |_, _| {},
        CYCLES,
        SEED,
    )?;
    compare_native_and_verilated(
        Unpack128::default,
        |block, random, _| {
            let halves = [random.bits(64), random.bits(64)].map(|half| bit_cast::<128, 64>(half.into()));
            block.packed.next = halves[0] | (halves[1] << 64u64);
        },
        |_, _| {},
        CYCLES,
        SEED,
    )?;
    compare_native_and_verilated(
        PackBytes::default,
        |block, random, _| randomise(&mut block.bytes, random),
        |_, _| {},
        CYCLES,
        SEED,
    )?;
    Ok(())
}

#[test]
fn pack_flags_and_nibbles() -> Result<(), CompareError> {
    compare_native_and_verilated(
        PackFlags::default,
        |block, random, _| randomise_bits(&mut block.bits, random),
        |_, _| {},
        CYCLES,
        SEED,
    )?;
    compare_native_and_verilated(
        PackNibbles::default,
        |block, random, _| {
            block.low.next = random.bits(4).into();
            block.high.next = random.bits(4).into();
        },
        |_, _| {},
        CYCLES,
        SEED,
    )?;
    Ok(())
}

#[test]
fn pack_counters() -> Result<(), CompareError> {
    compare_native_and_verilated(
        PackCounters::default,
        |block, random, _| {
            randomise(&mut block.counter, random);
            randomise_bits(&mut block.some, random);
            randomise_bits(&mut block.many, random);
        },
        |_, _| {},
        CYCLES,
        SEED,
    )?;
    Ok(())
}

#[test]
fn split_bytes() -> Result<(), CompareError> {
    compare_native_and_verilated(
        || SplitBytes::new(16),
        |block, random, _| randomise(&mut block.words, random),
        |_, _| {},
        CYCLES,
        SEED,
    )?;
    Ok(())
}

/// Random requantisation parameters: any value, multiplier and shifts, usual ones more often.
struct Lane {
    value: u32,
    pre_add: u32,
    left: u32,
    multiplier: u32,
    right: u32,
    single: bool,
    post_add: u32,
    min: i8,
    max: i8,
}

impl Lane {
    fn random(random: &mut Random) -> Self {
        let bounds = [random.bits(8) as u8 as i8, random.bits(8) as u8 as i8];
        let small = random.one_in(2);
        Self {
            value: if small {
                (random.below(1 << 20) as u32).wrapping_sub(1 << 19)
            } else {
                random.bits(32) as u32
            },
            pre_add: if small { random.below(1 << 12) as u32 } else { random.bits(32) as u32 },
            left: if small { 0 } else { random.bits(5) as u32 },
            multiplier: random.below((1 << 31) + 1).max(u64::from(random.one_in(8)) << 31) as u32,
            right: if random.one_in(3) { 0 } else { random.below(32) as u32 },
            single: random.one_in(2),
            post_add: if small { (random.bits(8) as u8 as i8) as u32 } else { random.bits(32) as u32 },
            min: bounds[0].min(bounds[1]),
            max: bounds[0].max(bounds[1]),
        }
    }

    /// By the library that everything else in the project computes with.
    fn expected(&self) -> (u32, u8) {
        let multiplier = frugal_quant::Multiplier {
            multiplier: self.multiplier,
            left_shift: self.left as u8,
            right_shift: self.right as u8,
        };
        let rounding =
            if self.single { frugal_quant::Rounding::Single } else { frugal_quant::Rounding::Double };
        let value = self.value.wrapping_add(self.pre_add) as i32;
        let result = frugal_quant::requantise(value, multiplier, rounding).wrapping_add(self.post_add as i32);
        (result as u32, result.clamp(self.min.into(), self.max.into()) as u8)
    }
}

#[test]
fn requantise() -> Result<(), CompareError> {
    let mut expected = VecDeque::new();
    let mut post_add = 0;
    compare_native_and_verilated(
        Requantise::default,
        |block, random, _| {
            // A cycle after the rest of its value.
            block.post_add.next = u64::from(post_add).into();
            if expected.len() == Requantise::LATENCY_CYCLES as usize {
                let result = (block.result32.val().to_u32(), block.result8.val().to_u8());
                assert_eq!(Some(result), expected.pop_front(), "seed {SEED}");
            }
            let lane = Lane::random(random);
            expected.push_back(lane.expected());
            block.value.next = u64::from(lane.value).into();
            block.pre_add.next = u64::from(lane.pre_add).into();
            block.left.next = u64::from(lane.left).into();
            block.multiplier.next = u64::from(lane.multiplier).into();
            block.right.next = u64::from(lane.right).into();
            block.single_rounding.next = lane.single;
            post_add = lane.post_add;
            block.min.next = u64::from(lane.min as u8).into();
            block.max.next = u64::from(lane.max as u8).into();
        },
        clock!(),
        20_000,
        SEED,
    )?;
    Ok(())
}

/// One value that differs, and the cycles until the result does.
#[test]
fn requantise_latency() -> Result<(), CompareError> {
    let mut block = Requantise::default();
    block.connect_all();
    block.multiplier.next = (1u64 << 31).into();
    block.min.next = 0x80u64.into();
    block.max.next = 0x7fu64.into();
    let mut measured = None;
    for cycle in 0..20 {
        block.value.next = if cycle == 0 { 42u64 } else { 0 }.into();
        block.multiplier.next = if cycle == 0 { 1u64 << 31 } else { 0 }.into();
        for level in [false, true] {
            block.clock.next = Clock { clk: level };
            settle(&mut block)?;
        }
        if block.result8.val().to_u8() == 42 {
            assert_eq!(measured.replace(cycle + 1), None);
        }
    }
    assert_eq!(measured, Some(Requantise::LATENCY_CYCLES));
    Ok(())
}

#[test]
fn requantise_parts() -> Result<(), CompareError> {
    compare_native_and_verilated(
        WideMultiply::default,
        |block, random, _| {
            block.value.next = random.bits(32).into();
            block.multiplier.next = random.bits(32).into();
        },
        clock!(),
        CYCLES,
        SEED,
    )?;
    compare_native_and_verilated(
        RoundingShift::default,
        |block, random, _| {
            block.product.next = random.bits(64).into();
            block.right.next = random.bits(5).into();
            block.single_rounding.next = random.one_in(2);
        },
        clock!(),
        CYCLES,
        SEED,
    )?;
    Ok(())
}

#[test]
fn delay_rows() -> Result<(), CompareError> {
    for (words, cycles) in [(1, 3), (4, 10), (3, 16)] {
        compare_native_and_verilated(
            || DelayRows::new(words, cycles),
            |block, random, _| {
                for word in &mut block.value {
                    word.next = random.bits(32).into();
                }
            },
            clock!(),
            CYCLES,
            SEED,
        )?;
    }
    Ok(())
}

#[test]
fn dot_product() -> Result<(), CompareError> {
    compare_native_and_verilated(
        DotProduct::default,
        |block, random, _| {
            // Extremes come often.
            let mut bytes = || {
                (0..4).fold(0, |word, _| {
                    let byte = match random.below(4) {
                        0 => 0x80,
                        1 => 0x7f,
                        _ => random.bits(8),
                    };
                    word << 8 | byte
                })
            };
            block.a.next = bytes().into();
            block.b.next = bytes().into();
        },
        |_, _| {},
        CYCLES,
        SEED,
    )?;
    Ok(())
}

#[test]
fn single_port_ram() -> Result<(), CompareError> {
    for depth in [1, 24, 1024] {
        compare_native_and_verilated(
            || SinglePortRam::new(depth),
            |block, random, _| {
                block.enable.next = !random.one_in(4);
                block.write.next = if random.one_in(2) { random.bits(4) } else { 0 }.into();
                block.address.next = random.below((depth as u64).min(24)).into();
                block.write_data.next = random.bits(32).into();
            },
            clock!(),
            CYCLES,
            SEED,
        )?;
    }
    Ok(())
}
