//! The leaves' texts for families of chips, with models of their cells: the same as the native models in every cycle.
use frugal_hdl::leaves::{
    Accumulate, AccumulateEither, DelayLine, DotProduct, SignedProduct, SinglePortRam, WideMultiply,
};
use frugal_hdl::mac_array::PipelinedMultiplier;
use frugal_hdl::packed_column::{PackedMultiplier, PackedProducts, PackedSums};
use frugal_testbench::compare::{compare_native_and_ecp5, compare_native_and_family, CompareError, Family};
use frugal_testbench::netlist;
use rust_hdl_core::prelude::*;

const CYCLES: u64 = 5_000;
const SEED: u64 = 0x5eed;
/// Families whose multipliers the products stand for.
const WITH_MULTIPLIERS: [Family; 2] = [Family::Ecp5, Family::Gowin];

macro_rules! clock {
    () => {
        |block, level| block.clock.next = Clock { clk: level }
    };
}

#[test]
fn packed_multiplier() -> Result<(), CompareError> {
    for factory in [PackedMultiplier::default, PackedMultiplier::in_logic] {
        compare_native_and_ecp5(
            factory,
            |block, _, cycle| {
                block.activation.next = (cycle & 255).into();
                block.weight.next = (cycle >> 8 & 255).into();
                block.four_bit.next = cycle >> 16 & 1 == 1;
            },
            clock!(),
            (1 << 17) + 2,
            SEED,
        )?;
    }
    Ok(())
}

/// With the sums' extremes, which random bytes do not come near.
#[test]
fn packed_products() -> Result<(), CompareError> {
    for rows in [4, 8] {
        compare_native_and_ecp5(
            || PackedProducts::new(rows),
            |block, random, cycle| {
                let extremes = (cycle / 16) % 2 == 0;
                let [activation, weight] = [0; 2].map(|_| random.bits(8));
                for (activations, weights) in block.activation.iter_mut().zip(&mut block.weight) {
                    let same = extremes && !random.one_in(8);
                    activations.next =
                        if same { [0x7f, 0x80][(activation & 1) as usize] } else { random.bits(8) }.into();
                    weights.next =
                        if same { [0x7f, 0x80, 0xf8, 0x0f][(weight & 3) as usize] } else { random.bits(8) }
                            .into();
                }
                block.four_bit.next = random.one_in(2);
            },
            clock!(),
            CYCLES,
            SEED,
        )?;
    }
    Ok(())
}

#[test]
fn pipelined_multiplier() -> Result<(), CompareError> {
    for family in WITH_MULTIPLIERS {
        compare_native_and_family(
            family,
            PipelinedMultiplier::default,
            |block, _, cycle| {
                block.activation.next = (cycle & 255).into();
                block.weight.next = (cycle >> 8 & 255).into();
            },
            clock!(),
            (1 << 16) + 2,
            SEED,
        )?;
    }
    Ok(())
}

#[test]
fn packed_sums() -> Result<(), CompareError> {
    // With multipliers for the scales, and with LUTs.
    for (rows, is_settled) in [(8usize, false), (16, true), (16, false), (64, true)] {
        let bits = 12 + rows.ilog2();
        compare_native_and_ecp5(
            || PackedSums::new(rows, is_settled),
            |block, random, _| {
                let mut word =
                    |bits: u32| (((random.bits(bits) as u32) << (32 - bits)) as i32 >> (32 - bits)) as u32;
                block.low_a.next = u64::from(word(bits - 2)).into();
                block.low_b.next = u64::from(word(bits - 2)).into();
                block.excess.next = u64::from(word(bits - 2)).into();
                block.high_a.next = u64::from(word(bits - 2)).into();
                block.high_b.next = u64::from(word(bits - 2) & if is_settled { !1 } else { !0 }).into();
                block.four_bit.next = random.one_in(2);
                block.low_scale.next = random.bits(8).into();
                block.high_scale.next = random.bits(8).into();
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
    compare_native_and_ecp5(
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
fn accumulate_either() -> Result<(), CompareError> {
    compare_native_and_ecp5(
        AccumulateEither::default,
        |block, random, _| {
            block.enable.next = random.one_in(2);
            block.first.next = random.one_in(5);
            let addend = random.bits(32);
            let is_other = random.one_in(2);
            block.addend.next = if is_other { 0 } else { addend }.into();
            block.other.next = if is_other { addend } else { 0 }.into();
        },
        clock!(),
        CYCLES,
        SEED,
    )?;
    Ok(())
}

#[test]
fn signed_product() -> Result<(), CompareError> {
    for (family, in_logic) in
        WITH_MULTIPLIERS.into_iter().flat_map(|family| [(family, false), (family, true)])
    {
        compare_native_and_family(
            family,
            || SignedProduct::new(in_logic),
            |block, random, _| {
                // Extremes come often.
                let mut operand = || match random.below(8) {
                    0 => 0x8000,
                    1 => 0x7fff,
                    2 => 0xffff,
                    _ => random.bits(16),
                };
                block.a.next = operand().into();
                block.b.next = operand().into();
            },
            clock!(),
            4 * CYCLES,
            SEED,
        )?;
    }
    Ok(())
}

#[test]
fn wide_multiply() -> Result<(), CompareError> {
    for family in WITH_MULTIPLIERS {
        compare_native_and_family(
            family,
            WideMultiply::default,
            |block, random, _| {
                block.value.next = random.bits(32).into();
                block.multiplier.next = random.bits(32).min(1 << 31).into();
            },
            clock!(),
            CYCLES,
            SEED,
        )?;
    }
    Ok(())
}

/// A ring in place of a chain of registers, where it is shorter than its memory and where it is as long.
#[test]
fn delay_line() -> Result<(), CompareError> {
    for cycles in [4, 5, 8, 11, 17, 18] {
        compare_native_and_family(
            Family::Gowin,
            || DelayLine::<32>::new(cycles),
            |block, random, _| block.value.next = random.bits(32).into(),
            clock!(),
            200,
            SEED,
        )?;
    }
    Ok(())
}

/// Every pair of bytes, first alone and then among random ones.
#[test]
fn dot_product() -> Result<(), CompareError> {
    if !netlist::available() {
        return Ok(());
    }
    compare_native_and_family(
        Family::Ice40,
        DotProduct::default,
        |block, random, cycle| {
            let (a, b, pass) = (cycle & 255, cycle >> 8 & 255, cycle >> 16);
            let shift = 8 * ((a ^ b >> 2 ^ pass) & 3);
            let others = if pass == 0 { 0 } else { !(0xff << shift) & 0xffff_ffff };
            block.a.next = (a << shift | random.bits(32) & others).into();
            block.b.next = (b << shift | random.bits(32) & others).into();
        },
        |_, _| {},
        1 << 17,
        SEED,
    )?;
    Ok(())
}

/// As many rows as the chip's cells have, a few of which are used often.
#[test]
fn single_port_ram() -> Result<(), CompareError> {
    if !netlist::available() {
        return Ok(());
    }
    compare_native_and_family(
        Family::Ice40,
        || SinglePortRam::new(SinglePortRam::MAXIMUM_DEPTH),
        |block, random, _| {
            block.enable.next = !random.one_in(4);
            block.write.next = if random.one_in(2) { random.bits(4) } else { 0 }.into();
            let row = if random.one_in(4) { random.bits(14) } else { random.bits(3) << 11 | random.bits(1) };
            block.address.next = row.into();
            block.write_data.next = random.bits(32).into();
        },
        clock!(),
        4 * CYCLES,
        SEED,
    )?;
    Ok(())
}
