//! Every block above the leaves: native and Verilated agree, and both do what the block's header promises.
//!
//! The native block and its Verilog get the same inputs. Where a test also knows what must come out, it checks the native
//! block in the same run; the comparison carries the check over to the Verilog.
use frugal_hdl::accelerator::PackNibbles;
use frugal_hdl::activation_scratchpad::ActivationScratchpad;
use frugal_hdl::burst_generator::{BurstGenerator, MAX_BURST_BEATS};
use frugal_hdl::byte_mover::ByteMover;
use frugal_hdl::command_buffer::CommandBuffer;
use frugal_hdl::fields;
use frugal_hdl::lanes::*;
use frugal_hdl::loop_nest::LoopNest;
use frugal_hdl::mac_array::{MacArray, MacColumn, PipelinedMultiplier};
use frugal_hdl::memories::{AccumulatorMemory, LoadedMemory};
use frugal_hdl::packed_column::{
    ActivationSum, HalvesSum, NibbleSum, PackedColumn, PackedMultiplier, PackedSums, SplitSums,
};
use frugal_hdl::read_port::ReadPort;
use frugal_hdl::registers::Registers;
use frugal_hdl::table_lookup::TableLookup;
use frugal_hdl::token_counters::TokenCounters;
use frugal_isa::command::{Command, Engine, FieldSpec, HEADER};
use frugal_isa::{register, COMMAND_WORDS};
use frugal_testbench::compare::{
    compare_native_and_description, compare_native_and_verilated, settle, CompareError, Description,
};
use frugal_testbench::netlist;
use frugal_testbench::random::Random;
use rust_hdl_core::prelude::*;
use std::collections::{BTreeMap, VecDeque};

const CYCLES: u64 = 1_000;
const SEED: u64 = 0xb10c;

/// The clock of the blocks that have one.
macro_rules! clock {
    () => {
        |block, level| block.clock.next = Clock { clk: level }
    };
}

fn no_clock<B>(_: &mut B, _: bool) {}

/// Random values on all of these ports, extremes among them.
fn randomise<const N: usize>(ports: &mut [Signal<In, Bits<N>>], random: &mut Random) {
    ports.iter_mut().for_each(|port| port.next = random.bits(N as u32).into());
}

fn randomise_bits(ports: &mut [Signal<In, Bit>], random: &mut Random) {
    ports.iter_mut().for_each(|port| port.next = random.one_in(2));
}

#[test]
fn split_bytes() -> Result<(), CompareError> {
    compare_native_and_verilated(
        || SplitBytes::new(16),
        |block, random, _| randomise(&mut block.words, random),
        no_clock,
        CYCLES,
        SEED,
    )?;
    Ok(())
}

#[test]
fn lane_select() -> Result<(), CompareError> {
    for (rows, lanes) in [(16, 4), (8, 8)] {
        compare_native_and_verilated(
            || LaneSelect::new(rows, lanes),
            |block, random, _| {
                randomise(&mut block.words, random);
                block.lane.next = (random.below((rows / lanes) as u64) * lanes as u64).into();
            },
            no_clock,
            CYCLES,
            SEED,
        )?;
    }
    Ok(())
}

#[test]
fn lane_place() -> Result<(), CompareError> {
    for (rows, lanes) in [(16, 4), (8, 8)] {
        compare_native_and_verilated(
            || LanePlace::new(rows, lanes),
            |block, random, _| {
                randomise(&mut block.bytes, random);
                block.valid.next = !random.one_in(4);
                block.lane.next = (random.below((rows / lanes) as u64) * lanes as u64).into();
            },
            no_clock,
            CYCLES,
            SEED,
        )?;
    }
    Ok(())
}

#[test]
fn word_place() -> Result<(), CompareError> {
    for (words, unit_words, bus_words) in [(12, 4, 4), (2, 2, 4)] {
        compare_native_and_verilated(
            || WordPlace::new(words, unit_words, bus_words),
            |block, random, _| {
                randomise(&mut block.unit, random);
                block.valid.next = !random.one_in(4);
                block.position.next = random.below((words / unit_words) as u64 + 1).into();
            },
            no_clock,
            CYCLES,
            SEED,
        )?;
    }
    Ok(())
}

#[test]
fn weight_place() -> Result<(), CompareError> {
    for (rows, cols, bus_words) in [(16, 8, 2), (8, 4, 4)] {
        compare_native_and_verilated(
            || WeightPlace::new(rows, cols, bus_words),
            |block, random, _| {
                randomise(&mut block.unit, random);
                block.valid.next = !random.one_in(8);
                block.layout.next = random.below(3).into();
                block.position.next = random.below((rows * cols / 4 / bus_words) as u64).into();
                block.column.next = random.below(cols as u64).into();
                block.row.next = random.below(rows as u64).into();
            },
            no_clock,
            CYCLES,
            SEED,
        )?;
    }
    Ok(())
}

#[test]
fn window_reduce() -> Result<(), CompareError> {
    let mut expected = 0i32;
    compare_native_and_verilated(
        WindowReduce::default,
        |block, random, cycle| {
            let reduced = block.reduced.val().to_u32() as i32;
            assert_eq!(reduced, expected, "cycle {cycle}, seed {SEED}");
            let element = random.bits(32) as u32 as i32;
            let (enable, first, operation) = (!random.one_in(3), random.one_in(6), random.below(3));
            expected = match (enable, first, operation) {
                (false, ..) => expected,
                (_, true, _) => element,
                (_, _, 0) => expected.wrapping_add(element),
                (_, _, 1) => expected.max(element),
                _ => expected.min(element),
            };
            block.enable.next = enable;
            block.first.next = first;
            block.operation.next = operation.into();
            block.element.next = u64::from(element as u32).into();
        },
        clock!(),
        CYCLES,
        SEED,
    )?;
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
fn pack_counters() -> Result<(), CompareError> {
    compare_native_and_verilated(
        PackCounters::default,
        |block, random, _| {
            randomise(&mut block.counter, random);
            randomise_bits(&mut block.some, random);
            randomise_bits(&mut block.many, random);
        },
        no_clock,
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
        no_clock,
        CYCLES,
        SEED,
    )?;
    compare_native_and_verilated(
        PackNibbles::default,
        |block, random, _| {
            block.low.next = random.bits(4).into();
            block.high.next = random.bits(4).into();
        },
        no_clock,
        CYCLES,
        SEED,
    )?;
    Ok(())
}

#[test]
fn unit_select() -> Result<(), CompareError> {
    for bus_bytes in [8, 16] {
        compare_native_and_verilated(
            || UnitSelect::new(bus_bytes),
            |block, random, _| {
                randomise(&mut block.beat, random);
                // Units of at least two bytes: the fewest columns.
                let parts = 1u64 << random.below(u64::from(bus_bytes.ilog2()));
                block.last_split.next = (parts - 1).into();
                block.split.next = random.below(parts).into();
            },
            no_clock,
            CYCLES,
            SEED,
        )?;
    }
    Ok(())
}

#[test]
fn vector_part() -> Result<(), CompareError> {
    for (words, bus_words) in [(8, 2), (2, 4)] {
        compare_native_and_verilated(
            || VectorPart::new(words, bus_words),
            |block, random, _| {
                randomise(&mut block.vector, random);
                block.position.next = random.below(words.div_ceil(bus_words) as u64).into();
            },
            no_clock,
            CYCLES,
            SEED,
        )?;
    }
    Ok(())
}

#[test]
fn pipelined_multiplier() -> Result<(), CompareError> {
    let mut products = vec![0; PipelinedMultiplier::LATENCY_CYCLES];
    compare_native_and_verilated(
        PipelinedMultiplier::default,
        |block, random, cycle| {
            if cycle >= PipelinedMultiplier::LATENCY_CYCLES as u64 {
                let expected = products[cycle as usize - PipelinedMultiplier::LATENCY_CYCLES];
                assert_eq!(block.product.val().to_u16() as i16, expected, "cycle {cycle}, seed {SEED}");
            }
            let (activation, weight) = (random.bits(8) as u8, random.bits(8) as u8);
            products.truncate(cycle as usize);
            products.push(i16::from(activation as i8) * i16::from(weight as i8));
            block.activation.next = u64::from(activation).into();
            block.weight.next = u64::from(weight).into();
        },
        clock!(),
        CYCLES,
        SEED,
    )?;
    Ok(())
}

/// The weight in the low or the high half of a byte.
fn nibble(byte: u8, half: usize) -> i32 {
    i32::from((byte << (4 * (1 - half))) as i8 >> 4)
}

/// The value that a word of halves stands for.
fn half_of(word: u32) -> i32 {
    (word as i32 + 1) >> 1
}

/// Every activation with every weight byte, of eight bits and of two times four.
#[test]
fn packed_multiplier() -> Result<(), CompareError> {
    let latency = PackedMultiplier::LATENCY_CYCLES as u64;
    let operands = |cycle: u64| (cycle as u8 as i8, (cycle >> 8) as u8, cycle >> 16 & 1 == 1);
    compare_native_and_verilated(
        PackedMultiplier::default,
        |block, _, cycle| {
            if let Some(cycle) = cycle.checked_sub(latency) {
                let (activation, weight, four_bit) = operands(cycle);
                let low_weight = if four_bit { nibble(weight, 0) + 8 } else { i32::from(weight & 15) };
                let (low, high) =
                    (i32::from(activation) * low_weight, i32::from(activation) * nibble(weight, 1));
                assert_eq!(
                    block.product.val().to_u32() as i32,
                    (high << 14) + low,
                    "{activation} * {weight:#x}, four bits: {four_bit}"
                );
            }
            let (activation, weight, four_bit) = operands(cycle);
            block.activation.next = u64::from(activation as u8).into();
            block.weight.next = u64::from(weight).into();
            block.four_bit.next = four_bit;
        },
        clock!(),
        (1 << 17) + latency,
        SEED,
    )?;
    Ok(())
}

/// Low sums of four rows go from 4 * -128 * 15 to 4 * 127 * 15.
#[test]
fn split_sums() -> Result<(), CompareError> {
    let mut sums = None;
    compare_native_and_verilated(
        SplitSums::default,
        |block, random, _| {
            if let Some((low, high)) = sums {
                assert_eq!(block.low.val().to_u32() as i32, low, "seed {SEED}");
                assert_eq!(half_of(block.high.val().to_u32()), high, "seed {SEED}");
            }
            let low = match random.below(4) {
                0 => -7680,
                1 => 7620,
                _ => random.below(15_301) as i32 - 7680,
            };
            let high = signed(random, 13);
            block.packed.next = u64::from(((high << 14) + low) as u32).into();
            sums = Some((low, high));
        },
        |_, _| (),
        CYCLES,
        SEED,
    )?;
    Ok(())
}

#[test]
fn halves_sum() -> Result<(), CompareError> {
    for width in [2, 13, 18] {
        let mut expected = 0;
        compare_native_and_verilated(
            || HalvesSum::new(width),
            |block, random, _| {
                assert_eq!(half_of(block.sum.val().to_u32()), expected);
                let words = [0; 2].map(|_| random.bits(32) as u32);
                block.a.next = u64::from(words[0]).into();
                block.b.next = u64::from(words[1]).into();
                let unused = 32 - width as u32;
                expected = words.map(|word| half_of(((word << unused) as i32 >> unused) as u32)).iter().sum();
            },
            clock!(),
            CYCLES,
            SEED,
        )?;
    }
    Ok(())
}

/// A signed value of so many bits, extremes among them.
fn signed(random: &mut Random, bits: usize) -> i32 {
    let extreme = 1 << (bits - 1);
    match random.below(4) {
        0 => -extreme,
        1 => extreme - 1,
        _ => random.below(2 * extreme as u64) as i32 - extreme,
    }
}

#[test]
fn nibble_sum() -> Result<(), CompareError> {
    let mut expected = 0;
    compare_native_and_verilated(
        || NibbleSum::new(20),
        |block, random, _| {
            assert_eq!(block.sum.val().to_u32() as i32, expected);
            let (low, high, carry) = (signed(random, 16), signed(random, 15), random.bits(1) as i32);
            block.low.next = u64::from(low as u32).into();
            block.high.next = u64::from((2 * high - carry) as u32).into();
            expected = low + 16 * high;
        },
        clock!(),
        CYCLES,
        SEED,
    )?;
    Ok(())
}

#[test]
fn packed_sums() -> Result<(), CompareError> {
    for rows in [8usize, 64] {
        // Low and high sums of 12 bits a product.
        let bits = 12 + rows.ilog2() as usize;
        let mut expected = vec![(0, 0, 0); PackedSums::LATENCY_CYCLES];
        compare_native_and_verilated(
            || PackedSums::new(rows),
            |block, random, cycle| {
                let sums = [&block.plain_sum, &block.low_sum, &block.high_sum]
                    .map(|port| port.val().to_u32() as i32);
                assert_eq!(sums, <[i32; 3]>::from(expected[cycle as usize]), "cycle {cycle}, seed {SEED}");
                let four_bit = random.one_in(2);
                // What the roots add; both high words may bring a carry.
                let value = signed(random, bits);
                let correction = if four_bit { 8 * signed(random, bits - 4) } else { 0 };
                let low_a = signed(random, bits - 1);
                let (high_a, high_b) = (signed(random, bits - 2), signed(random, bits - 2));
                let (carries, high) = ([0; 2].map(|_| random.bits(1) as i32), high_a + high_b);
                let scales = [0; 2].map(|_| if random.one_in(3) { 255 } else { random.bits(8) });
                block.low_a.next = u64::from(low_a as u32).into();
                block.low_b.next = u64::from((value - low_a - correction) as u32).into();
                block.high_a.next = u64::from((2 * high_a - carries[0]) as u32).into();
                block.high_b.next = u64::from((2 * high_b - carries[1]) as u32).into();
                block.correction.next = u64::from(correction as u32).into();
                block.four_bit.next = four_bit;
                block.low_scale.next = scales[0].into();
                block.high_scale.next = scales[1].into();
                expected.push(match four_bit {
                    true => (0, value * scales[0] as i32, high * scales[1] as i32),
                    false => (value + 16 * high, 0, 0),
                });
            },
            clock!(),
            CYCLES,
            SEED,
        )?;
    }
    Ok(())
}

#[test]
fn activation_sum() -> Result<(), CompareError> {
    for rows in [8, 16, 64] {
        let mut expected = vec![0; ActivationSum::latency_cycles(rows)];
        compare_native_and_verilated(
            || ActivationSum::new(rows),
            |block, random, cycle| {
                assert_eq!(block.correction.val().to_u32() as i32, expected[cycle as usize], "seed {SEED}");
                let bytes: Vec<u8> = (0..rows / 4).flat_map(|_| int8_word(random).to_le_bytes()).collect();
                for (port, byte) in block.activation.iter_mut().zip(&bytes) {
                    port.next = u64::from(*byte).into();
                }
                let four_bit = !random.one_in(4);
                block.four_bit.next = four_bit;
                let sum: i32 = bytes.iter().map(|byte| i32::from(*byte as i8)).sum();
                expected.push(if four_bit { -8 * sum } else { 0 });
            },
            clock!(),
            CYCLES / 2,
            SEED,
        )?;
    }
    Ok(())
}

/// Words of a command with a random value in every field, and those values as the field holds them.
fn random_command(random: &mut Random, mnemonic: &str) -> ([u32; COMMAND_WORDS], Vec<(&'static str, u64)>) {
    let spec = Command::ALL.iter().find(|spec| spec.mnemonic == mnemonic).expect("a command of the table");
    let mut words = [0; COMMAND_WORDS];
    HEADER[0].write(&mut words, i64::from(spec.opcode)).expect("an opcode of the table");
    let mut raw = Vec::new();
    for field in HEADER[1..].iter().chain(spec.fields) {
        let bits = random.bits(field.width as u32);
        field.write(&mut words, value_of(field, bits)).expect("a value in the field's range");
        raw.push((field.name, bits));
    }
    (words, raw)
}

/// The value that a field's bits stand for.
fn value_of(field: &FieldSpec, bits: u64) -> i64 {
    let low = field.range().0;
    if low < 0 && bits >> (field.width - 1) == 1 {
        bits as i64 - (1 << field.width)
    } else {
        bits as i64 + low.max(0)
    }
}

/// A decoder's outputs, by name.
macro_rules! field_decoder {
    ($name:ident, $mnemonic:literal) => {
        compare_native_and_verilated(
            fields::$name::default,
            {
                let mut expected: Vec<(&str, u64)> = Vec::new();
                move |block: &mut fields::$name, random: &mut Random, cycle| {
                    let values = frugal_testbench::compare::values(block);
                    for (name, bits) in expected.drain(..) {
                        // The masks are the command buffer's.
                        if name != "wait" && name != "signal" {
                            assert_eq!(
                                u64::from(values[name][0]),
                                bits,
                                "{name}, cycle {cycle}, seed {SEED}"
                            );
                        }
                    }
                    let words;
                    (words, expected) = random_command(random, $mnemonic);
                    for (port, word) in block.words.iter_mut().zip(words) {
                        port.next = u64::from(word).into();
                    }
                    if let Ok(command) = Command::decode(&words) {
                        assert_eq!(command.encode().as_ref(), Ok(&words));
                        assert_ne!(command.engine(), Engine::Control);
                    }
                }
            },
            no_clock,
            CYCLES,
            SEED,
        )?
    };
}

#[test]
fn field_decoders() -> Result<(), CompareError> {
    field_decoder!(Load, "load");
    field_decoder!(Matrix, "matrix");
    field_decoder!(Vector, "vector");
    field_decoder!(Store, "store");
    field_decoder!(Move, "move_bytes");
    Ok(())
}

/// Lets the inputs reach the combinational outputs, as they are before the clock rises.
macro_rules! settle_before_edge {
    ($block:expr) => {
        $block.clock.next = Clock { clk: false };
        settle($block).expect("no combinational loop");
    };
}

/// A word of int8 values: extremes in all four bytes, or anything.
fn int8_word(random: &mut Random) -> u32 {
    match random.below(6) {
        0 => 0x8080_8080,
        1 => 0x7f7f_7f7f,
        2 => 0x807f_0180,
        _ => random.next_u64() as u32,
    }
}

/// The total of a column after one more step.
fn accumulate(total: i32, enable: bool, first: bool, addend: i32) -> i32 {
    match (enable, first) {
        (false, _) => total,
        (true, true) => addend,
        (true, false) => total.wrapping_add(addend),
    }
}

/// The sum over all rows of a column, and over each part: with `taps`, pixel k of part s takes the place of activation s * part + k.
fn column_sums(activation: &[u32], taps: Option<&[u8]>, weight: &[u32], parts: usize) -> (i32, Vec<i32>) {
    let bytes = |words: &[u32]| -> Vec<u8> { words.iter().flat_map(|w| w.to_le_bytes()).collect() };
    let mut operands = bytes(activation);
    let part = operands.len() / parts;
    if let Some(taps) = taps {
        for (s, taps) in taps.chunks(taps.len() / parts).enumerate() {
            operands[s * part..][..taps.len()].copy_from_slice(taps);
        }
    }
    let products = operands.iter().zip(bytes(weight)).map(|(a, w)| i32::from(*a as i8) * i32::from(w as i8));
    let products: Vec<i32> = products.collect();
    (products.iter().sum(), products.chunks(part).map(|part| part.iter().sum()).collect())
}

#[test]
fn mac_column() -> Result<(), CompareError> {
    for (rows, cols, taps) in [(8usize, 8, 4), (16, 4, 2)] {
        let parts = rows / cols;
        // Multiplier and tree; enable and first come with their output.
        let delay = PipelinedMultiplier::LATENCY_CYCLES + rows.ilog2() as usize;
        let mut sums = vec![(0, vec![0; parts]); delay];
        let (mut total, mut part_totals, mut by_part) = (0, vec![0; parts], false);
        compare_native_and_verilated(
            || MacColumn::new(rows, cols, taps),
            |block, random, cycle| {
                // The port by_part was driven in the cycle before.
                for (s, part_total) in part_totals.iter().enumerate() {
                    let expected = if by_part && parts > 1 { *part_total } else { total };
                    let native = block.total[s].val().to_u32() as i32;
                    assert_eq!(native, expected, "cycle {cycle}, seed {SEED}, part {s} of {parts}");
                }
                let mut words = || (0..rows / 4).map(|_| int8_word(random)).collect::<Vec<_>>();
                let (activation, weight) = (words(), words());
                for (port, byte) in
                    block.activation.iter_mut().zip(activation.iter().flat_map(|w| w.to_le_bytes()))
                {
                    port.next = u64::from(byte).into();
                }
                let pixels: Vec<u8> = (0..parts * taps).map(|_| random.bits(8) as u8).collect();
                for (port, byte) in block.tap.iter_mut().zip(&pixels) {
                    port.next = u64::from(*byte).into();
                }
                for (port, word) in block.weight.iter_mut().zip(&weight) {
                    port.next = u64::from(*word).into();
                }
                let depthwise = random.one_in(2);
                block.depthwise.next = depthwise;
                sums.push(column_sums(&activation, depthwise.then_some(&pixels), &weight, parts));
                let (enable, first) = (!random.one_in(4), random.one_in(20));
                block.enable.next = enable;
                block.first.next = first;
                by_part = random.one_in(2);
                block.by_part.next = by_part;
                let (all, each) = &sums[cycle as usize];
                total = accumulate(total, enable, first, *all);
                for (part_total, sum) in part_totals.iter_mut().zip(each) {
                    *part_total = accumulate(*part_total, enable, first, *sum);
                }
            },
            clock!(),
            CYCLES,
            SEED,
        )?;
    }
    Ok(())
}

/// What a packed column's trees sum up in one step.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Mode {
    EightBit,
    FourBit,
    Depthwise,
}

impl Mode {
    fn random(random: &mut Random) -> Self {
        [Mode::EightBit, Mode::FourBit, Mode::Depthwise][random.below(3) as usize]
    }
}

/// What the accumulators of a packed column are given: `None` where it means nothing.
fn packed_addends(
    mode: Mode,
    activation: &[u32],
    taps: &[u8],
    weight: &[u32],
    parts: usize,
    scales: [u8; 2],
) -> Vec<Option<i32>> {
    let mut addends = vec![None; parts.max(2)];
    match mode {
        Mode::EightBit => addends[0] = Some(column_sums(activation, None, weight, parts).0),
        Mode::Depthwise => {
            let (_, each) = column_sums(activation, Some(taps), weight, parts);
            addends.iter_mut().zip(each).for_each(|(addend, sum)| *addend = Some(sum));
        }
        Mode::FourBit => {
            let bytes = |words: &[u32]| words.iter().flat_map(|w| w.to_le_bytes()).collect::<Vec<u8>>();
            for (half, scale) in scales.into_iter().enumerate() {
                let products = bytes(activation).into_iter().zip(bytes(weight));
                let sum: i32 = products.map(|(a, w)| i32::from(a as i8) * nibble(w, half)).sum();
                addends[half] = Some(sum * i32::from(scale));
            }
        }
    }
    addends
}

fn accumulate_known(total: &mut Option<i32>, enable: bool, first: bool, addend: Option<i32>) {
    if enable {
        *total = match (first, *total, addend) {
            (true, _, addend) => addend,
            (false, Some(total), Some(addend)) => Some(total.wrapping_add(addend)),
            _ => None,
        };
    }
}

fn random_scale(random: &mut Random) -> u8 {
    if random.one_in(3) {
        255
    } else {
        random.bits(8) as u8
    }
}

#[test]
fn packed_column() -> Result<(), CompareError> {
    for (rows, cols, taps) in [(8usize, 8, 4), (16, 4, 2), (16, 8, 4)] {
        let parts = rows / cols;
        let before_sums = PackedColumn::scale_cycles(rows) as u64;
        let before_accumulators = PackedColumn::latency_cycles(rows) as u64 - 1;
        let mut steps: Vec<(Mode, [u8; 2], Vec<Option<i32>>)> = Vec::new();
        let mut totals = vec![Some(0); parts.max(2)];
        let mut corrections: Vec<Vec<u32>> = Vec::new();
        let mut known = 0;
        compare_native_and_verilated(
            || PackedColumn::new(rows, cols, taps),
            |block, random, cycle| {
                for (port, total) in block.total.iter().zip(&totals) {
                    if let Some(total) = total {
                        known += 1;
                        assert_eq!(port.val().to_u32() as i32, *total, "cycle {cycle}, seed {SEED}");
                    }
                }
                let mut words = || (0..rows / 4).map(|_| int8_word(random)).collect::<Vec<_>>();
                let (activation, weight) = (words(), words());
                let pixels: Vec<u8> = (0..parts * taps).map(|_| random.bits(8) as u8).collect();
                let bytes = activation.iter().flat_map(|w| w.to_le_bytes());
                block.activation.iter_mut().zip(bytes).for_each(|(p, byte)| p.next = u64::from(byte).into());
                block.tap.iter_mut().zip(&pixels).for_each(|(p, byte)| p.next = u64::from(*byte).into());
                block.weight.iter_mut().zip(&weight).for_each(|(p, word)| p.next = u64::from(*word).into());
                // Modes come in runs, as they do in commands.
                let mode = match steps.last() {
                    Some((mode, ..)) if !random.one_in(5) => *mode,
                    _ => Mode::random(random),
                };
                let scales = [0; 2].map(|_| random_scale(random));
                block.depthwise.next = mode == Mode::Depthwise;
                block.four_bit.next = mode == Mode::FourBit;
                let addends = packed_addends(mode, &activation, &pixels, &weight, parts, scales);
                steps.push((mode, scales, addends));
                // With the sums.
                let at_sums = cycle.checked_sub(before_sums).map(|step| &steps[step as usize]);
                block.four_bit_sums.next = at_sums.is_some_and(|(mode, ..)| *mode == Mode::FourBit);
                let [low, high] = at_sums.map_or([0; 2], |(_, scales, _)| *scales);
                block.low_scale.next = u64::from(low).into();
                block.high_scale.next = u64::from(high).into();
                // With the accumulators.
                let (enable, first) = (!random.one_in(4), random.one_in(6));
                block.enable.next = enable;
                block.first.next = first;
                let at_accumulators =
                    cycle.checked_sub(before_accumulators).map(|step| &steps[step as usize]);
                block.by_part.next = at_accumulators.is_some_and(|(mode, ..)| *mode == Mode::Depthwise);
                for (k, total) in totals.iter_mut().enumerate() {
                    let addend = at_accumulators.map_or(Some(0), |(.., addends)| addends[k]);
                    accumulate_known(total, enable, first, addend);
                }
                // The correction is the array's; this column's activations as they were.
                let corrected = cycle.checked_sub(before_sums);
                corrections.push(if mode == Mode::FourBit { activation } else { vec![0; rows / 4] });
                let sum = corrected.map_or(0, |step| {
                    let bytes = corrections[step as usize].iter().flat_map(|w| w.to_le_bytes());
                    bytes.map(|byte| i32::from(byte as i8)).sum::<i32>()
                });
                block.correction.next = u64::from((-8 * sum) as u32).into();
            },
            clock!(),
            CYCLES,
            SEED,
        )?;
        assert!(known > CYCLES / 2, "{known} totals that mean something");
    }
    Ok(())
}

#[test]
fn packed_mac_array() -> Result<(), CompareError> {
    packed_mac_arrays(Description::Emitted, &[(8, 4, 4), (16, 8, 2), (32, 2, 2), (8, 8, 4)])
}

/// The array of `nano`.
#[test]
fn packed_mac_array_after_synthesis() -> Result<(), CompareError> {
    if !netlist::available() {
        return Ok(());
    }
    packed_mac_arrays(Description::Netlist, &[(8, 8, 4)])
}

fn packed_mac_arrays(description: Description, shapes: &[(usize, usize, usize)]) -> Result<(), CompareError> {
    for &(rows, cols, taps) in shapes {
        let (latency, parts) = (MacArray::latency_cycles(rows, true), rows / cols);
        let scale_cycles = MacArray::scale_cycles(rows) as u64;
        // Totals after each cycle's step, and whether that was a last one.
        let mut history = vec![(vec![Some(0); parts.max(2) * cols], false); latency];
        let mut steps: Vec<(Mode, Vec<u8>)> = Vec::new();
        let mut known = 0;
        compare_native_and_description(
            description,
            || MacArray::new(rows, cols, taps, true),
            |block, random, cycle| {
                let context = format!("cycle {cycle}, seed {SEED}, {rows} rows, {cols} columns");
                let (totals, valid) = &history[cycle as usize];
                assert_eq!(block.total_valid.val(), *valid, "{context}");
                assert_eq!(block.total.len(), totals.len());
                for (channel, total) in totals.iter().enumerate() {
                    if let Some(total) = total {
                        known += 1;
                        let native = block.total[channel].val().to_u32() as i32;
                        assert_eq!(native, *total, "{context}, channel {channel}");
                    }
                }
                let mut words = |count: usize| (0..count).map(|_| int8_word(random)).collect::<Vec<_>>();
                let (activation, earlier) = (words(rows / 4), words((taps - 1) * rows / 4));
                let weight = words(rows / 4 * cols);
                let (enable, first, last) = (!random.one_in(4), random.one_in(6), random.one_in(6));
                let mode = match steps.last() {
                    Some((mode, _)) if !random.one_in(5) => *mode,
                    _ => Mode::random(random),
                };
                let scales: Vec<u8> = (0..2 * cols).map(|_| random_scale(random)).collect();
                let pixels: Vec<u8> =
                    activation.iter().chain(&earlier).flat_map(|word| word.to_le_bytes()).collect();
                let mut totals = history[history.len() - 1].0.clone();
                for (j, column) in weight.chunks(rows / 4).enumerate() {
                    let pixel = |i: usize| pixels[i % taps * rows + i / taps * cols + j];
                    let taps: Vec<u8> = (0..parts * taps).map(pixel).collect();
                    let scales = [scales[j], scales[cols + j]];
                    let addends = packed_addends(mode, &activation, &taps, column, parts, scales);
                    for (k, addend) in addends.into_iter().enumerate() {
                        accumulate_known(&mut totals[k * cols + j], enable, first, addend);
                    }
                }
                history.push((totals, enable && last));
                steps.push((mode, scales));
                drive_words(&mut block.activation, activation.into_iter().map(u64::from));
                drive_words(&mut block.earlier, earlier.into_iter().map(u64::from));
                drive_words(&mut block.weight, weight.into_iter().map(u64::from));
                block.depthwise.next = mode == Mode::Depthwise;
                block.four_bit.next = mode == Mode::FourBit;
                block.enable.next = enable;
                block.first.next = first;
                block.last.next = last;
                let scales = cycle.checked_sub(scale_cycles).map(|step| &steps[step as usize].1);
                let words = scales.into_iter().flat_map(|scales| scales.chunks(4));
                let words =
                    words.map(|word| word.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)));
                drive_words(&mut block.scale, words);
            },
            clock!(),
            CYCLES / 2,
            SEED,
        )?;
        assert!(known > CYCLES / 2, "{known} totals that mean something");
    }
    Ok(())
}

#[test]
fn mac_array() -> Result<(), CompareError> {
    for (rows, cols, taps) in [(8, 4, 4), (16, 8, 2), (32, 2, 2), (8, 8, 4)] {
        let (latency, parts) = (MacArray::latency_cycles(rows, false), rows / cols);
        // What the totals are after each cycle's step: of columns and of parts; whether that was a last one; depthwise.
        type Totals = (Vec<i32>, Vec<Vec<i32>>, bool, bool);
        let idle: Totals = (vec![0; cols], vec![vec![0; parts]; cols], false, false);
        let mut history = vec![idle; latency];
        compare_native_and_verilated(
            || MacArray::new(rows, cols, taps, false),
            |block, random, cycle| {
                let context = format!("cycle {cycle}, seed {SEED}, {rows} rows, {cols} columns");
                let (totals, part_totals, valid, by_part) = &history[cycle as usize];
                assert_eq!(block.total_valid.val(), *valid, "{context}");
                for (column, (total, part_totals)) in totals.iter().zip(part_totals).enumerate() {
                    let expected = if *by_part { &part_totals[..] } else { std::slice::from_ref(total) };
                    for (part, expected) in expected.iter().enumerate() {
                        let native = block.total[part * cols + column].val().to_u32() as i32;
                        assert_eq!(native, *expected, "{context}, column {column}, part {part}");
                    }
                }
                let mut words = |count: usize| (0..count).map(|_| int8_word(random)).collect::<Vec<_>>();
                let (activation, earlier) = (words(rows / 4), words((taps - 1) * rows / 4));
                let weight = words(rows / 4 * cols);
                let (enable, first, last) = (!random.one_in(4), random.one_in(6), random.one_in(6));
                let depthwise = random.one_in(2);
                let pixels: Vec<u8> =
                    activation.iter().chain(&earlier).flat_map(|word| word.to_le_bytes()).collect();
                let (mut after, mut parts_after) = (Vec::new(), Vec::new());
                let (before, parts_before, ..) = &history[history.len() - 1];
                for (j, column) in weight.chunks(rows / 4).enumerate() {
                    // Part s of column j takes the pixels of channel s * cols + j.
                    let pixel = |i: usize| pixels[i % taps * rows + i / taps * cols + j];
                    let taps: Vec<u8> = (0..parts * taps).map(pixel).collect();
                    let (all, each) = column_sums(&activation, depthwise.then_some(&taps), column, parts);
                    after.push(accumulate(before[j], enable, first, all));
                    let each = each.iter().zip(&parts_before[j]);
                    parts_after
                        .push(each.map(|(sum, total)| accumulate(*total, enable, first, *sum)).collect());
                }
                history.push((after, parts_after, enable && last, depthwise));
                let drive = |ports: &mut [Signal<In, Bits<32>>], words: &[u32]| {
                    for (port, word) in ports.iter_mut().zip(words) {
                        port.next = u64::from(*word).into();
                    }
                };
                drive(&mut block.activation, &activation);
                drive(&mut block.earlier, &earlier);
                drive(&mut block.weight, &weight);
                block.depthwise.next = depthwise;
                block.enable.next = enable;
                block.first.next = first;
                block.last.next = last;
            },
            clock!(),
            CYCLES / 2,
            SEED,
        )?;
    }
    Ok(())
}

/// The shape of a loop nest: iterations from the outermost loop in, then everything else.
#[derive(Clone, Debug, Default)]
struct NestShape {
    iterations: [u64; 6],
    source: u16,
    /// Chunk, y, x, kernel y, kernel x, channel.
    strides: [u16; 6],
    /// Width and height of the input; first tap; from kernel tap to tap; from output to output. Each x, y.
    input: [u16; 2],
    start: [u16; 2],
    kernel_step: [u16; 2],
    step: [u16; 2],
    output: u16,
    /// Chunk, y, x.
    output_strides: [u16; 3],
    lane: u64,
    lane_step: u64,
    lanes: u64,
}

/// One step: address, in bounds, first, last, last of tile, last of all, result address, result lane.
type NestStep = (u16, bool, bool, bool, bool, bool, u16, u64);

impl NestShape {
    fn random(random: &mut Random) -> Self {
        let lanes = 8 << random.below(3);
        let lane_step = 2 << random.below(3);
        let mut word = || random.bits(16) as u16;
        let mut shape = Self {
            source: word(),
            strides: [0; 6].map(|_| word()),
            output: word(),
            output_strides: [0; 3].map(|_| word()),
            ..Self::default()
        };
        // Mostly images that the taps can reach, from a little before them on.
        let mut small = |limit: u64| random.below(limit) as u16;
        shape.input = [small(9), small(9)];
        shape.start = [small(9).wrapping_sub(4), small(9).wrapping_sub(4)];
        shape.kernel_step = [small(4), small(4)];
        shape.step = [small(4), small(4)];
        if random.one_in(6) {
            shape.input = [0x7fff, random.below(0x8000) as u16];
            shape.start = [0; 2].map(|_| random.bits(16) as u16);
            shape.step = [0; 2].map(|_| random.bits(8) as u16);
        }
        shape.iterations = [0; 6].map(|_| 1 + random.below(4));
        if random.one_in(8) {
            shape.iterations = [1; 6];
            shape.iterations[random.below(6) as usize] = 1 + random.below(300);
        }
        shape.lane = random.below(lanes / lane_step) * lane_step;
        Self { lane_step, lanes, ..shape }
    }

    /// The loops as the header of the block and docs/architecture.md have them.
    fn steps(&self) -> Vec<NestStep> {
        let mut steps = Vec::new();
        let [tiles, outputs_y, outputs_x, kernel_y, kernel_x, channels] = self.iterations;
        let distance = |indices: &[u64], strides: &[u16]| -> u64 {
            indices.iter().zip(strides).map(|(index, stride)| index * u64::from(*stride)).sum()
        };
        let inside =
            |position: u64, size: u16| (0..i64::from(size)).contains(&i64::from(position as u16 as i16));
        for tile in 0..tiles {
            let chunk = (self.lane + tile * self.lane_step) / self.lanes;
            for y in 0..outputs_y {
                for x in 0..outputs_x {
                    let result = distance(&[chunk, y, x], &self.output_strides);
                    for ky in 0..kernel_y {
                        for kx in 0..kernel_x {
                            for channel in 0..channels {
                                let offset = distance(&[chunk, y, x, ky, kx, channel], &self.strides);
                                let tap = |axis: usize, output: u64, kernel: u64| {
                                    u64::from(self.start[axis])
                                        + output * u64::from(self.step[axis])
                                        + kernel * u64::from(self.kernel_step[axis])
                                };
                                let in_bounds = inside(tap(0, x, kx), self.input[0])
                                    && inside(tap(1, y, ky), self.input[1]);
                                let first = (ky, kx, channel) == (0, 0, 0);
                                let last = (ky, kx, channel) == (kernel_y - 1, kernel_x - 1, channels - 1);
                                let last_of_tile = last && (y, x) == (outputs_y - 1, outputs_x - 1);
                                steps.push((
                                    (u64::from(self.source) + offset) as u16,
                                    in_bounds,
                                    first,
                                    last,
                                    last_of_tile,
                                    last_of_tile && tile == tiles - 1,
                                    (u64::from(self.output) + result) as u16,
                                    (self.lane + tile * self.lane_step) % self.lanes,
                                ));
                            }
                        }
                    }
                }
            }
        }
        steps
    }

    fn drive(&self, block: &mut LoopNest) {
        let word = |value: u16| Bits::<16>::from(u64::from(value));
        let [tile, y, x, kernel_y, kernel_x, channel] = self.iterations.map(|n| word((n - 1) as u16));
        block.last_tile.next = tile;
        block.last_y.next = y;
        block.last_x.next = x;
        block.last_kernel_y.next = kernel_y;
        block.last_kernel_x.next = kernel_x;
        block.last_channel.next = channel;
        for (port, last) in block.initial_last.iter_mut().zip([channel, kernel_x, kernel_y, x, y, tile]) {
            port.next = last;
        }
        block.initial_source.next = word(self.source);
        let [chunk, y, x, kernel_y, kernel_x, channel] = self.strides.map(word);
        block.stride_chunk.next = chunk;
        block.stride_y.next = y;
        block.stride_x.next = x;
        block.stride_kernel_y.next = kernel_y;
        block.stride_kernel_x.next = kernel_x;
        block.stride_channel.next = channel;
        [block.input_width.next, block.input_height.next] = self.input.map(word);
        [block.start_x.next, block.start_y.next] = self.start.map(word);
        [block.initial_start_x.next, block.initial_start_y.next] = self.start.map(word);
        [block.kernel_step_x.next, block.kernel_step_y.next] = self.kernel_step.map(word);
        [block.step_x.next, block.step_y.next] = self.step.map(word);
        block.initial_output.next = word(self.output);
        [block.output_stride_chunk.next, block.output_stride_y.next, block.output_stride_x.next] =
            self.output_strides.map(word);
        block.initial_lane.next = self.lane.into();
        block.lane_step.next = self.lane_step.into();
        block.lane_mask.next = (self.lanes - 1).into();
    }
}

#[test]
fn loop_nest_walks_the_nested_loops() -> Result<(), CompareError> {
    let mut shape = NestShape::default();
    let (mut steps, mut position) = (Vec::new(), 0);
    let mut whole_walks = 0;
    compare_native_and_verilated(
        LoopNest::default,
        |block, random, cycle| {
            let valid = block.valid.val();
            assert!(
                !valid || position < steps.len(),
                "a step too many, cycle {cycle}, seed {SEED}, {shape:?}"
            );
            if valid {
                let step: NestStep = (
                    block.address.val().to_u16(),
                    block.in_bounds.val(),
                    block.first.val(),
                    block.last.val(),
                    block.last_of_tile.val(),
                    block.last_of_all.val(),
                    block.result_address.val().to_u16(),
                    block.result_lane.val().to_u64(),
                );
                assert_eq!(step, steps[position], "step {position}, cycle {cycle}, seed {SEED}, {shape:?}");
            }
            let advance = !random.one_in(4);
            // A new nest when the old one is walked; now and then a reset, which ends it in its middle.
            let reset = random.one_in(400);
            let start = position == steps.len() && !reset;
            if reset {
                (steps, position) = (Vec::new(), 0);
            } else if start {
                whole_walks += u64::from(!steps.is_empty());
                shape = NestShape::random(random);
                shape.drive(block);
                (steps, position) = (shape.steps(), 0);
            } else {
                position += usize::from(valid && advance);
            }
            block.reset.next = reset;
            block.start.next = start;
            block.advance.next = advance;
        },
        clock!(),
        6_000,
        SEED,
    )?;
    assert!(whole_walks > 15, "only {whole_walks} nests were walked to the end");
    Ok(())
}

/// The bytes of `new` whose enable bit is set, else those of `old`.
fn merge(old: u32, new: u32, enable: u64) -> u32 {
    let mask = (0..4).filter(|b| enable >> b & 1 == 1).fold(0, |mask, b| mask | 0xff << (8 * b));
    old & !mask | new & mask
}

/// A memory's contents and the accesses to it.
struct Rows {
    words: Vec<Vec<u32>>,
}

impl Rows {
    fn new(depth: usize, words: usize) -> Self {
        Self { words: vec![vec![0; words]; depth] }
    }

    fn row(&self, address: u64) -> &Vec<u32> {
        &self.words[address as usize % self.words.len()]
    }

    fn write(&mut self, address: u64, enables: &[u64], data: &[u32]) {
        let depth = self.words.len();
        let row = &mut self.words[address as usize % depth];
        for ((word, enable), data) in row.iter_mut().zip(enables).zip(data) {
            *word = merge(*word, *data, *enable);
        }
    }

    /// A random address, also beyond the depth, that is none of `taken`.
    fn address_apart_from(&self, random: &mut Random, taken: &[u64]) -> u64 {
        let depth = self.words.len() as u64;
        loop {
            let address = random.bits(16);
            if taken.iter().all(|other| other % depth != address % depth) {
                return address;
            }
        }
    }
}

fn words_of(ports: &[Signal<Out, Bits<32>>]) -> Vec<u32> {
    ports.iter().map(|port| port.val().to_u32()).collect()
}

fn drive_words<const N: usize>(ports: &mut [Signal<In, Bits<N>>], values: impl IntoIterator<Item = u64>) {
    for (port, value) in ports.iter_mut().zip(values) {
        port.next = value.into();
    }
}

/// Random words and byte enables of one row.
fn random_row(random: &mut Random, words: usize) -> (Vec<u64>, Vec<u32>) {
    (0..words).map(|_| (random.bits(4), random.bits(32) as u32)).unzip()
}

#[test]
fn activation_scratchpad() -> Result<(), CompareError> {
    const WORDS: usize = 2;
    let mut memory = Rows::new(16, WORDS);
    // What each reader must see now: matrix, vector, store.
    let mut expected: [Option<Vec<u32>>; 3] = [None, None, None];
    compare_native_and_verilated(
        || ActivationScratchpad::new(4 * WORDS, 16),
        |block, random, cycle| {
            let seen = [&block.matrix_data, &block.vector_data, &block.store_data].map(|data| words_of(data));
            for (reader, (seen, expected)) in seen.iter().zip(&mut expected).enumerate() {
                if let Some(row) = expected.take() {
                    assert_eq!(*seen, row, "reader {reader}, cycle {cycle}, seed {SEED}");
                }
            }
            let [result, load] = [0; 2].map(|_| random.bits(16));
            let reads = [0; 3].map(|_| memory.address_apart_from(random, &[result, load]));
            let [matrix, vector, store, result_valid, load_valid] = [2, 2, 2, 2, 2].map(|n| random.one_in(n));
            let ((result_enable, result_data), (load_enable, load_data)) =
                (random_row(random, WORDS), random_row(random, WORDS));
            block.matrix_step.next = matrix;
            block.matrix_even.next = reads[0] % 2 == 0;
            block.matrix_odd.next = reads[0] % 2 == 1;
            // Sometimes the vector engine might have read, and does not.
            let vector_may_read = vector || random.one_in(4);
            block.vector_may_read.next = vector_may_read;
            [block.vector_enable.next, block.store_enable.next] = [vector, store];
            [block.matrix_address.next, block.vector_address.next, block.store_address.next] =
                reads.map(Bits::from);
            block.result_even.next = result_valid && result % 2 == 0;
            block.result_odd.next = result_valid && result % 2 == 1;
            block.result_address.next = result.into();
            drive_words(&mut block.result_enable, result_enable.clone());
            drive_words(&mut block.result_data, result_data.iter().map(|word| u64::from(*word)));
            block.load_valid.next = load_valid;
            block.load_address.next = load.into();
            drive_words(&mut block.load_enable, load_enable.clone());
            drive_words(&mut block.load_data, load_data.iter().map(|word| u64::from(*word)));
            settle_before_edge!(block);

            let same_bank = |a: u64, b: u64| a % 2 == b % 2;
            let vector_ready = !(matrix && same_bank(reads[0], reads[1]));
            let store_ready = !(matrix && same_bank(reads[0], reads[2])
                || vector_may_read && same_bank(reads[1], reads[2]));
            let load_ready = !(result_valid && same_bank(result, load));
            assert_eq!(
                [block.vector_ready.val(), block.store_ready.val(), block.load_ready.val()],
                [vector_ready, store_ready, load_ready],
                "cycle {cycle}, seed {SEED}"
            );
            for (reader, granted) in [matrix, vector && vector_ready, store && store_ready].iter().enumerate()
            {
                expected[reader] = granted.then(|| memory.row(reads[reader]).clone());
            }
            if load_valid && load_ready {
                memory.write(load, &load_enable, &load_data);
            }
            if result_valid {
                memory.write(result, &result_enable, &result_data);
            }
        },
        clock!(),
        2 * CYCLES,
        SEED,
    )?;
    Ok(())
}

#[test]
fn loaded_memory() -> Result<(), CompareError> {
    const WORDS: usize = 8;
    let mut memory = Rows::new(8, WORDS);
    // What was read last, and what is behind the register.
    let (mut row, mut expected) = (vec![0; WORDS], vec![0; WORDS]);
    compare_native_and_verilated(
        || LoadedMemory::weights(8, 8, 4),
        |block, random, cycle| {
            assert_eq!(words_of(&block.read_data), expected, "cycle {cycle}, seed {SEED}");
            let write = random.bits(16);
            let read = memory.address_apart_from(random, &[write]);
            let (enable, data) = random_row(random, WORDS);
            let [reads, writes] = [0; 2].map(|_| random.one_in(2));
            block.read_enable.next = reads;
            block.read_address.next = read.into();
            block.write_valid.next = writes;
            block.write_address.next = write.into();
            drive_words(&mut block.write_enable, enable.clone());
            drive_words(&mut block.write_data, data.iter().map(|word| u64::from(*word)));
            expected.clone_from(&row);
            if reads {
                row.clone_from(memory.row(read));
            }
            if writes {
                memory.write(write, &enable, &data);
            }
        },
        clock!(),
        CYCLES,
        SEED,
    )?;
    Ok(())
}

#[test]
fn accumulator_memory() -> Result<(), CompareError> {
    const LANES: usize = 4;
    let mut memory = Rows::new(8, LANES);
    let mut expected = vec![0; LANES];
    compare_native_and_verilated(
        || AccumulatorMemory::new(8, LANES),
        |block, random, cycle| {
            assert_eq!(words_of(&block.read_data), expected, "cycle {cycle}, seed {SEED}");
            let [result, load] = [0; 2].map(|_| random.bits(16));
            let [partial, vector, store] = [0; 3].map(|_| memory.address_apart_from(random, &[result, load]));
            // Partial sums and the vector engine never want the same cycle.
            let partial_enable = random.one_in(4);
            let vector_enable = !partial_enable && random.one_in(4);
            let [store_enable, result_valid, load_valid] = [0; 3].map(|_| random.one_in(2));
            let ((_, result_data), (load_enable, load_data)) =
                (random_row(random, LANES), random_row(random, LANES));
            block.partial_enable.next = partial_enable;
            block.partial_address.next = partial.into();
            // Sometimes they might have read, and do not.
            let may_read = partial_enable || vector_enable || random.one_in(4);
            block.others_may_read.next = may_read;
            block.vector_enable.next = vector_enable;
            block.vector_address.next = vector.into();
            block.store_enable.next = store_enable;
            block.store_address.next = store.into();
            block.result_valid.next = result_valid;
            block.result_address.next = result.into();
            drive_words(&mut block.result_data, result_data.iter().map(|word| u64::from(*word)));
            block.load_valid.next = load_valid;
            block.load_address.next = load.into();
            drive_words(&mut block.load_enable, load_enable.clone());
            drive_words(&mut block.load_data, load_data.iter().map(|word| u64::from(*word)));
            settle_before_edge!(block);
            assert_eq!(block.store_ready.val(), !may_read, "cycle {cycle}, seed {SEED}");
            assert_eq!(block.load_ready.val(), !result_valid, "cycle {cycle}, seed {SEED}");
            let readers = [(partial_enable, partial), (vector_enable, vector), (store_enable, store)];
            if let Some((_, address)) = readers.iter().find(|(enable, _)| *enable) {
                expected.clone_from(memory.row(*address));
            }
            if result_valid {
                memory.write(result, &[15; LANES], &result_data);
            } else if load_valid {
                memory.write(load, &load_enable, &load_data);
            }
        },
        clock!(),
        CYCLES,
        SEED,
    )?;
    Ok(())
}

#[test]
fn token_counters() -> Result<(), CompareError> {
    let mut counters = [0u64; 16];
    let mut most = 0;
    compare_native_and_verilated(
        TokenCounters::default,
        |block, random, cycle| {
            // Phases that fill, empty and balance the counters.
            let (send_chance, take_chance) = [(1, 9), (9, 1), (2, 2)][(cycle / 400 % 3) as usize];
            let reset = random.one_in(700);
            let (mut sends, mut takes, mut available, mut blocked) =
                ([0u64; 4], [0u64; 4], [0u64; 4], [0u64; 4]);
            let mut counts = [0u64; 4];
            for (pair, counter) in counters.iter_mut().enumerate() {
                let (from, to) = (pair / 4, pair % 4);
                counts[to] |= *counter << (8 * from);
                blocked[from] |= u64::from(*counter >= 240) << to;
                // No token is sent to a full counter, none is taken that is not there.
                let takes_one = random.one_in(take_chance);
                let sends_one = random.one_in(send_chance) && *counter < 255;
                let is_there = *counter > 0 || sends_one;
                available[to] |= u64::from(is_there) << from;
                sends[from] |= u64::from(sends_one) << to;
                takes[to] |= u64::from(takes_one && is_there) << from;
                *counter = *counter + u64::from(sends_one) - u64::from(takes_one && is_there);
                most = most.max(*counter);
                if reset {
                    *counter = 0;
                }
            }
            block.reset.next = reset;
            drive_words(&mut block.send, sends);
            drive_words(&mut block.take, takes);
            settle_before_edge!(block);
            for engine in 0..4 {
                let native = [
                    block.available[engine].val().to_u64(),
                    block.blocked[engine].val().to_u64(),
                    block.counts[engine].val().to_u64(),
                ];
                let expected = [available[engine], blocked[engine], counts[engine]];
                assert_eq!(native, expected, "engine {engine}, cycle {cycle}, seed {SEED}");
            }
        },
        clock!(),
        3 * CYCLES,
        SEED,
    )?;
    assert_eq!(most, 255, "no counter was ever full");
    Ok(())
}

#[test]
fn command_buffer() -> Result<(), CompareError> {
    // With a queue, and without.
    for (depth, bus_words, last_field_word) in [(2, 2, 5), (2, 4, 15), (1, 2, 5), (1, 4, 15)] {
        let parts = COMMAND_WORDS / bus_words;
        let field = FieldSpec { word: last_field_word, ..HEADER[0] };
        // A command may start before its unused words are there.
        let used_words = (last_field_word + 1).div_ceil(bus_words) * bus_words;
        let mut beats: VecDeque<Vec<u32>> = VecDeque::new();
        // Commands of which a beat has arrived.
        let mut waiting: VecDeque<[u32; COMMAND_WORDS]> = VecDeque::new();
        let mut active: Option<[u32; COMMAND_WORDS]> = None;
        let (mut queued_beats, mut pushed, mut started) = (0, 0, 0);
        compare_native_and_verilated(
            || CommandBuffer::new(depth, bus_words, &[field]),
            |block, random, cycle| {
                let context = format!("cycle {cycle}, seed {SEED}, {bus_words} words, depth {depth}");
                if let Some(command) = active {
                    assert_eq!(words_of(&block.active)[..used_words], command[..used_words], "{context}");
                }
                if !waiting.is_empty() {
                    assert!(!block.empty.val(), "{context}: a command waits");
                }
                // A command counts when all of it is queued or its used words are pending.
                let level = block.level.val().to_u64() as usize;
                assert!(level <= waiting.len() && level + 2 >= waiting.len(), "{context}: level {level}");
                if beats.is_empty() {
                    let command = [0; COMMAND_WORDS].map(|_| random.bits(32) as u32);
                    beats.extend(command.chunks(bus_words).map(<[u32]>::to_vec));
                }
                // Phases that fill and empty the queue; in the last one nothing new comes.
                let quiet = cycle >= 1_800;
                let phase = (cycle / 200 % 2) as usize;
                let valid = !quiet && random.one_in([1, 4][phase]);
                let take = random.one_in([30, 2][phase]) || quiet;
                let [available, blocked] =
                    [random.bits(4) | random.bits(4), random.bits(4) & random.bits(4) & random.bits(4)];
                let (available, blocked) = if quiet { (15, 0) } else { (available, blocked) };
                let halt = !quiet && random.one_in(5);
                block.beat_valid.next = valid;
                drive_words(&mut block.beat, beats[0].iter().map(|word| u64::from(*word)));
                block.take.next = take;
                block.available.next = available.into();
                block.blocked.next = blocked.into();
                block.halt.next = halt;
                settle_before_edge!(block);
                let taken = block.taken.val().to_u64();
                if block.start.val() {
                    let command = waiting.pop_front();
                    let command = command.unwrap_or_else(|| panic!("{context}: nothing to start"));
                    let (wait, signal) = (u64::from(command[0] >> 8 & 15), u64::from(command[0] >> 12 & 15));
                    assert!(take && !halt, "{context}");
                    assert_eq!((wait & !available, signal & blocked, taken), (0, 0, wait), "{context}");
                    active = Some(command);
                    started += 1;
                } else {
                    assert_eq!(taken, 0, "{context}");
                }
                if valid && block.beat_ready.val() {
                    if queued_beats % parts == 0 {
                        let whole: Vec<u32> = beats.iter().flatten().copied().collect();
                        waiting.push_back(whole.try_into().expect("the beats of one command"));
                        pushed += 1;
                        if depth == 1 {
                            // It takes the place of the one before, which the engine does not need any more.
                            assert!(take, "{context}");
                            active = None;
                        }
                    }
                    beats.pop_front();
                    queued_beats += 1;
                }
                if cycle == 1_999 && queued_beats % parts == 0 {
                    assert!(block.empty.val() && waiting.is_empty(), "{context}: a command is left");
                }
            },
            clock!(),
            2_000,
            SEED,
        )?;
        assert!(started >= 30 && pushed - started <= 1, "{started} of {pushed} commands started");
    }
    Ok(())
}

/// A transfer's bursts, address and beats, by the rules of the header.
fn bursts(address: u64, rows: u64, row_beats: u64, stride: u64, bus_bytes: u64) -> Vec<(u64, u64)> {
    const PAGE: u64 = 4096;
    let mut bursts = Vec::new();
    for row in 0..rows {
        let mut next = (address + row * stride) % (1 << 32);
        let mut left = row_beats;
        while left > 0 {
            let beats = left.min((PAGE - next % PAGE) / bus_bytes).min(MAX_BURST_BEATS);
            bursts.push((next, beats));
            next = (next + beats * bus_bytes) % (1 << 32);
            left -= beats;
        }
    }
    bursts
}

#[test]
fn burst_generator() -> Result<(), CompareError> {
    for bus_bytes in [8, 16] {
        let mut expected: VecDeque<(u64, u64)> = VecDeque::new();
        let (mut transfers, mut pages, mut wraps) = (0, 0, 0);
        // A transfer that is refused is over a cycle later.
        let (mut refused, mut just_refused) = (0, false);
        compare_native_and_verilated(
            || BurstGenerator::new(bus_bytes as usize),
            |block, random, cycle| {
                let context = format!("cycle {cycle}, seed {SEED}, {bus_bytes} bytes");
                let ready = !random.one_in(3);
                let (address, length) =
                    (block.burst_address.val().to_u64(), block.burst_length.val().to_u64() + 1);
                if block.burst_valid.val() {
                    assert_eq!(Some(&(address, length)), expected.front(), "{context}");
                    assert!(address % 4096 + length * bus_bytes <= 4096 && length <= 64, "{context}");
                    if ready {
                        expected.pop_front();
                        pages += u64::from((address + length * bus_bytes) % 4096 == 0);
                        wraps += u64::from(address + length * bus_bytes == 1 << 32);
                    }
                } else if !just_refused {
                    assert_eq!(block.done.val(), expected.is_empty(), "{context}");
                }
                just_refused = false;
                let start = block.done.val() && random.one_in(3);
                let refuse = random.one_in(8);
                block.refuse.next = refuse;
                if start {
                    assert!(expected.is_empty(), "{context}");
                    let units = 16 / bus_bytes;
                    let address = (random.bits(32) & !15) | random.below(256) << 4;
                    let rows = 1 + random.below(4);
                    let most = if random.one_in(4) { 300 } else { 40 };
                    let row_beats = units * (1 + random.below(most));
                    let stride = random.bits(32) & !15;
                    just_refused = refuse;
                    if refuse {
                        refused += 1;
                    } else {
                        expected = bursts(address, rows, row_beats, stride, bus_bytes).into();
                    }
                    let offset = random.bits(32);
                    block.base.next = (address.wrapping_sub(offset) & 0xffff_ffff).into();
                    block.offset.next = offset.into();
                    block.last_row.next = (rows - 1).into();
                    block.row_beats.next = row_beats.into();
                    block.row_stride.next = stride.into();
                    transfers += 1;
                }
                block.start.next = start;
                block.burst_ready.next = ready;
            },
            clock!(),
            4_000,
            SEED,
        )?;
        let counts = (transfers, refused, pages, wraps);
        assert!(
            transfers > 50 && refused > 5 && pages > 10 && wraps > 0,
            "transfers, refused, page ends, wraps: {counts:?}"
        );
    }
    Ok(())
}

#[test]
fn burst_generator_is_quiet_after_a_reset() -> Result<(), CompareError> {
    compare_native_and_verilated(
        || BurstGenerator::new(8),
        |block, random, cycle| {
            block.start.next = cycle % 10 == 0;
            block.reset.next = cycle % 10 == 5;
            block.base.next = 0x1000u64.into();
            block.last_row.next = 100u64.into();
            block.row_beats.next = 10u64.into();
            block.burst_ready.next = random.one_in(2);
            if cycle % 10 > 5 || (cycle > 0 && cycle % 10 == 0) {
                assert!(block.done.val() && !block.burst_valid.val(), "cycle {cycle}, seed {SEED}");
            }
        },
        clock!(),
        200,
        SEED,
    )?;
    Ok(())
}

/// A request: address, length, whether it is a load's.
type ReadRequest = (u64, u64, bool);

#[test]
fn read_port() -> Result<(), CompareError> {
    const WORDS: usize = 2;
    /// Beats of loads after which a fetch goes first: four commands of 64 bytes.
    const QUOTA: u64 = 4 * 16 / WORDS as u64;
    let (mut since_fetch, mut contested) = (0, 0);
    // The sources keep a request until it is taken.
    let (mut fetch, mut load): (Option<ReadRequest>, Option<ReadRequest>) = (None, None);
    let mut requests: VecDeque<ReadRequest> = VecDeque::new();
    // Beat: words, error, load.
    let mut offered: Option<(Vec<u32>, bool, bool)> = None;
    let mut queued: VecDeque<(Vec<u32>, bool, bool)> = VecDeque::new();
    let mut beats = 0;
    compare_native_and_verilated(
        || ReadPort::new(WORDS),
        |block, random, cycle| {
            let context = format!("cycle {cycle}, seed {SEED}");
            let reset = random.one_in(200);
            let mut renew = |source: &mut Option<ReadRequest>, chance, is_load| {
                if source.is_none() && random.one_in(chance) {
                    *source = Some((random.bits(32), random.bits(8), is_load));
                }
            };
            renew(&mut fetch, 4, false);
            renew(&mut load, 2, true);
            if offered.is_none() && !random.one_in(4) {
                let words = (0..WORDS).map(|_| random.bits(32) as u32).collect();
                offered = Some((words, random.one_in(10), random.one_in(2)));
            }
            let ar_ready = random.one_in(2);
            let load_takes = !random.one_in(3);
            block.reset.next = reset;
            block.fetch_valid.next = fetch.is_some();
            block.load_valid.next = load.is_some();
            let (address, length, _) = fetch.unwrap_or_default();
            block.fetch_address.next = address.into();
            block.fetch_length.next = length.into();
            let (address, length, _) = load.unwrap_or_default();
            block.load_address.next = address.into();
            block.load_length.next = length.into();
            block.ar_ready.next = ar_ready;
            block.r_valid.next = offered.is_some();
            if let Some((words, error, is_load)) = &offered {
                drive_words(&mut block.r_data, words.iter().map(|word| u64::from(*word)));
                block.r_error.next = *error;
                block.r_id.next = *is_load;
            }
            block.load_beat_ready.next = load_takes;
            settle_before_edge!(block);

            // Addresses.
            let native = block.ar_valid.val().then(|| {
                (block.ar_address.val().to_u64(), block.ar_length.val().to_u64(), block.ar_id.val())
            });
            assert_eq!(native, requests.front().copied(), "{context}");
            let free = requests.len() < 2;
            if ar_ready {
                requests.pop_front();
            }
            let picks_fetch = fetch.is_some() && (load.is_none() || since_fetch >= QUOTA);
            assert_eq!(block.fetch_ready.val(), free && picks_fetch, "{context}");
            assert_eq!(block.load_ready.val(), free && !picks_fetch, "{context}");
            if free {
                if picks_fetch {
                    since_fetch = 0;
                    requests.extend(fetch.take());
                } else {
                    let request = load.take();
                    if since_fetch < QUOTA {
                        since_fetch += request.map_or(0, |(_, length, _)| length + 1);
                    }
                    requests.extend(request);
                }
                contested += usize::from(picks_fetch && load.is_some());
            }
            // Data.
            assert_eq!(block.r_ready.val(), queued.len() < 4, "{context}");
            let head = queued.front().cloned();
            let is_load = head.as_ref().map(|(_, _, is_load)| *is_load);
            assert_eq!(block.fetch_beat_valid.val(), is_load == Some(false), "{context}");
            assert_eq!(block.load_beat_valid.val(), is_load == Some(true), "{context}");
            if let Some((words, error, is_load)) = head {
                assert_eq!((words_of(&block.beat), block.beat_error.val()), (words, error), "{context}");
                if !is_load || load_takes {
                    queued.pop_front();
                    beats += 1;
                }
            }
            if block.r_ready.val() {
                queued.extend(offered.take());
            }
            if reset {
                queued.clear();
                requests.clear();
                since_fetch = 0;
            }
        },
        clock!(),
        2 * CYCLES,
        SEED,
    )?;
    assert!(beats > 500, "only {beats} beats");
    assert!(contested > 20, "fetch went before a load only {contested} times");
    Ok(())
}

/// What the host and the machine see of the registers.
#[derive(Default)]
struct RegisterModel {
    words: BTreeMap<u32, u32>,
    start: bool,
    machine_reset: bool,
}

impl RegisterModel {
    fn is_writable(offset: u32) -> bool {
        register::REGISTERS.iter().any(|r| r.offset == offset && r.access == register::Access::ReadWrite)
    }
}

#[test]
fn registers() -> Result<(), CompareError> {
    let config = frugal_isa::Config::preset("large").expect("a preset").with_bus_bits(128);
    let shape = 16 | 16 << 8 | 8 << 16 | 16 << 24;
    let mut model = RegisterModel::default();
    model.words.extend([
        (register::IDENTITY, register::IDENTITY_VALUE),
        (register::VERSION, frugal_isa::ISA_VERSION),
        (register::SHAPE, shape),
        (register::ACTIVATION_DEPTH, config.activation_depth as u32),
        (register::WEIGHT_DEPTH, config.weight_depth as u32),
        (register::PARAMETER_DEPTH, config.parameter_depth as u32),
        (register::ACCUMULATOR_DEPTH, config.accumulator_depth as u32),
        (register::FEATURES, config.features()),
    ]);
    let (mut write_address, mut write_data, mut read_address) = (None, None, None);
    let mut unanswered: VecDeque<()> = VecDeque::new();
    let mut read_words: VecDeque<(u32, u32)> = VecDeque::new();
    let (mut cycles, mut steps) = (0u64, 0u32);
    let (mut writes, mut reads, mut starts, mut resets) = (0, 0, 0, 0);
    let mut busy = false;
    compare_native_and_verilated(
        || Registers::new(&config),
        |block, random, cycle| {
            let context = format!("cycle {cycle}, seed {SEED}");
            // Mostly addresses of the map, some beyond it.
            let mut address = || {
                if random.one_in(8) {
                    random.bits(12) as u32 & !3
                } else {
                    register::REGISTERS[random.below(register::REGISTERS.len() as u64) as usize].offset
                }
            };
            let fresh = [address(), address()];
            if write_address.is_none() && random.one_in(3) {
                write_address = Some(if random.one_in(3) { register::CONTROL } else { fresh[0] });
            }
            if write_data.is_none() && random.one_in(3) {
                write_data = Some(random.bits(32) as u32);
            }
            if read_address.is_none() && random.one_in(3) {
                read_address = Some(fresh[1]);
            }
            if random.one_in(20) {
                busy = !busy;
            }
            let matrix_step = random.one_in(2);
            let [status, index] = [0; 2].map(|_| random.bits(32) as u32);
            let debug: Vec<u32> = (0..7).map(|_| random.bits(32) as u32).collect();
            let (b_ready, r_ready) = (random.one_in(2), random.one_in(2));
            block.aw_valid.next = write_address.is_some();
            block.aw_address.next = u64::from(write_address.unwrap_or_default()).into();
            block.w_valid.next = write_data.is_some();
            block.w_data.next = u64::from(write_data.unwrap_or_default()).into();
            block.b_ready.next = b_ready;
            block.ar_valid.next = read_address.is_some();
            block.ar_address.next = u64::from(read_address.unwrap_or_default()).into();
            block.r_ready.next = r_ready;
            block.busy.next = busy;
            block.status.next = u64::from(status).into();
            block.command_index.next = u64::from(index).into();
            block.matrix_step.next = matrix_step;
            drive_words(&mut block.debug, debug.iter().map(|word| u64::from(*word)));
            settle_before_edge!(block);

            model.words.extend([
                (register::STATUS, status),
                (register::COMMAND_INDEX, index),
                (register::CYCLES_LOW, cycles as u32),
                (register::CYCLES_HIGH, (cycles >> 32) as u32),
                (register::MATRIX_STEPS, steps),
            ]);
            model.words.extend((register::DEBUG_STATES..).step_by(4).zip(debug));
            // To the machine.
            let start = model.start && !busy;
            assert_eq!(block.start.val(), start, "{context}");
            assert_eq!(block.machine_reset.val(), model.machine_reset, "{context}");
            let word = |offset: u32| model.words.get(&offset).copied().unwrap_or_default();
            let outputs =
                [block.program_address.val(), block.program_commands.val()].map(|port| port.to_u32());
            assert_eq!(
                outputs,
                [register::PROGRAM_ADDRESS, register::PROGRAM_COMMANDS].map(word),
                "{context}"
            );
            for (base, offset) in words_of(&block.base).into_iter().zip((register::BASE_0..).step_by(4)) {
                assert_eq!(base, word(offset), "{context}, base at {offset:#x}");
            }
            cycles += u64::from(busy);
            steps = steps.wrapping_add(u32::from(matrix_step));
            if start {
                (cycles, steps) = (0, 0);
                starts += 1;
            }
            (model.start, model.machine_reset) = (false, false);

            // Reads; the value is that of the cycle in which the address is taken.
            if block.r_valid.val() {
                let (offset, expected) = *read_words.front().unwrap_or_else(|| panic!("{context}: no read"));
                assert_eq!(block.r_data.val().to_u32(), expected, "{context}, register {offset:#x}");
                if r_ready {
                    read_words.pop_front();
                    reads += 1;
                }
            }
            if block.ar_ready.val() {
                let offset = read_address.take().unwrap_or_else(|| panic!("{context}: no address"));
                read_words.push_back((offset, word(offset)));
                assert_eq!(read_words.len(), 1, "{context}");
            }
            // Writes: address and data together.
            assert_eq!(block.aw_ready.val(), block.w_ready.val(), "{context}");
            assert_eq!(block.b_valid.val(), !unanswered.is_empty(), "{context}");
            if block.b_valid.val() && b_ready {
                unanswered.pop_front();
            }
            if block.aw_ready.val() {
                let (Some(offset), Some(data)) = (write_address.take(), write_data.take()) else {
                    panic!("{context}: nothing to write");
                };
                unanswered.push_back(());
                writes += 1;
                if RegisterModel::is_writable(offset) {
                    model.words.insert(offset, data);
                }
                if offset == register::CONTROL {
                    model.start = data & 1 == 1;
                    model.machine_reset = data & 2 == 2 && !busy;
                    resets += u64::from(model.machine_reset);
                }
            }
        },
        clock!(),
        4 * CYCLES,
        SEED,
    )?;
    let counts = [writes, reads, starts, resets];
    assert!(counts.iter().all(|count| *count > 20), "writes, reads, starts, resets: {counts:?}");
    Ok(())
}

#[test]
fn byte_funnel() -> Result<(), CompareError> {
    for rows in [8u64, 32] {
        compare_native_and_verilated(
            || ByteFunnel::new(rows as usize),
            |block, random, _| {
                for port in block.earlier.iter_mut().chain(&mut block.latest) {
                    port.next = random.bits(32).into();
                }
                block.both.next = random.one_in(2);
                block.offset.next = random.below(rows).into();
                block.rotation.next = random.below(rows).into();
                block.first_lane.next = random.below(rows).into();
                block.last_lane.next = random.below(rows).into();
                block.from.next = random.below(rows + 1).into();
                block.to.next = random.below(rows + 1).into();
                block.pad.next = random.bits(8).into();
            },
            no_clock,
            CYCLES,
            SEED,
        )?;
    }
    Ok(())
}

#[test]
fn table_lookup() -> Result<(), CompareError> {
    let mut table = vec![0u8; 512];
    let (mut written, mut expected) = (None, None);
    compare_native_and_verilated(
        || TableLookup::new(2),
        |block, random, cycle| {
            if let Some(expected) = expected {
                assert_eq!(block.result.val().to_u8(), expected, "cycle {cycle}, seed {SEED}");
            }
            if let Some((row, word)) = written.take() {
                let word: u32 = word;
                table[4 * row..4 * row + 4].copy_from_slice(&word.to_le_bytes());
            }
            // All entries first, then lookups only: a row is not read while it is written.
            let fills = cycle < 128;
            let word = random.bits(32) as u32;
            block.write_valid.next = fills;
            block.write_address.next = cycle.into();
            block.write_data.next = u64::from(word).into();
            if fills {
                written = Some((cycle as usize, word));
            }
            let enable = !fills && cycle > 128 && random.one_in(2);
            let (number, value) = (random.below(2) as usize, random.bits(8) as usize);
            block.enable.next = enable;
            block.table.next = (number as u64).into();
            block.value.next = (value as u64).into();
            expected = Some(if enable { table[256 * number + value] } else { value as u8 });
        },
        clock!(),
        CYCLES,
        SEED,
    )?;
    Ok(())
}

#[test]
fn byte_mover() -> Result<(), CompareError> {
    compare_native_and_verilated(
        || ByteMover::new(16),
        |block, random, cycle| {
            // The values of the nest and of the command change at random: both implementations must do the same.
            block.reset.next = cycle == 0;
            block.active.next = !random.one_in(5);
            block.source.next = random.bits(16).into();
            block.position.next = u64::from((random.below(80) as u16).wrapping_sub(20)).into();
            block.row_inside.next = !random.one_in(6);
            block.row_ends.next = random.one_in(6);
            block.is_last.next = random.one_in(20);
            block.destination.next = random.bits(16).into();
            block.read_ready.next = !random.one_in(3);
            block.result_soon.next = random.one_in(3);
            block.result_odd.next = random.one_in(2);
            for port in &mut block.read_data {
                port.next = random.bits(32).into();
            }
            if cycle % 50 == 0 {
                let first_lane = random.below(16);
                block.first_lane.next = first_lane.into();
                block.last_byte.next = random.below(16 - first_lane).into();
                block.row_bytes.next = (1 + random.below(60)).into();
                block.pad_value.next = random.bits(8).into();
            }
        },
        clock!(),
        CYCLES,
        SEED,
    )?;
    Ok(())
}
