//! Every leaf: its native model and its Verilog agree on random vectors and on the extremes.
use frugal_hdl::leaves::*;
use frugal_testbench::compare::{compare_native_and_verilated, CompareError};
use rust_hdl_core::prelude::*;

const CYCLES: u64 = 2_000;
const SEED: u64 = 0x5eed;

/// Shorthand for the clock of the blocks that have one.
macro_rules! clock {
    () => {
        |block, level| block.clock.next = Clock { clk: level }
    };
}

#[test]
fn multiplier() -> Result<(), CompareError> {
    compare_native_and_verilated(
        Multiplier::default,
        |block, random, _| {
            block.activation.next = random.bits(8).into();
            block.weight.next = random.bits(8).into();
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
                for word in 0..words {
                    let enable = if read == write { 0 } else { random.bits(4) };
                    block.write_enable[word].next = enable.into();
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
fn simple_ram_reports_a_collision() {
    let collide = |block: &mut SimpleRam| {
        block.read_enable.next = true;
        block.read_address.next = 3u64.into();
        block.write_address.next = 3u64.into();
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
    let allowed = compare_native_and_verilated(
        || SimpleRam::new(8, 2).allowing_collisions(),
        |block, _, _| collide(block),
        clock!(),
        4,
        SEED,
    );
    assert!(allowed.is_ok(), "{allowed:?}");
}

#[test]
fn fifo() -> Result<(), CompareError> {
    for (depth, words) in [(2, 1), (5, 3), (16, 2)] {
        compare_native_and_verilated(
            || Fifo::new(depth, words),
            |block, random, cycle| {
                // Phases that fill, empty and balance the queue.
                let phase = cycle / 100 % 3;
                block.reset.next = random.one_in(97);
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
fn packing() -> Result<(), CompareError> {
    compare_native_and_verilated(
        Pack128::default,
        |block, random, _| block.words.iter_mut().for_each(|word| word.next = random.bits(32).into()),
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
        |block, random, _| block.bytes.iter_mut().for_each(|byte| byte.next = random.bits(8).into()),
        |_, _| {},
        CYCLES,
        SEED,
    )?;
    compare_native_and_verilated(
        UnpackBytes::default,
        |block, random, _| block.word.next = random.bits(32).into(),
        |_, _| {},
        CYCLES,
        SEED,
    )?;
    Ok(())
}
