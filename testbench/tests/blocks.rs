//! Every block above the leaves: native and Verilated agree, and both do what the block's header promises.
//!
//! The native block and its Verilog get the same inputs. Where a test also knows what must come out, it checks the native
//! block in the same run; the comparison carries the check over to the Verilog.
use frugal_hdl::accelerator::PackNibbles;
use frugal_hdl::fields;
use frugal_hdl::lanes::*;
use frugal_hdl::mac_array::{ExtendProduct, PipelinedMultiplier};
use frugal_isa::command::{Command, Engine, FieldSpec, HEADER};
use frugal_isa::COMMAND_WORDS;
use frugal_testbench::compare::{compare_native_and_verilated, CompareError};
use frugal_testbench::random::Random;
use rust_hdl_core::prelude::*;

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

#[test]
fn extend_product() -> Result<(), CompareError> {
    compare_native_and_verilated(
        ExtendProduct::default,
        |block, random, _| block.product.next = random.bits(16).into(),
        no_clock,
        CYCLES,
        SEED,
    )?;
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
    Ok(())
}
