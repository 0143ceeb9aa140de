//! Row commands: the row unit's blocks against their own models and against `frugal_quant`.

use frugal_hdl::row_lanes::RowLanes;
use frugal_hdl::row_reduce::{RowReduce, ScaleUnit};
use frugal_isa::command::{finish, function};
use frugal_quant::piecewise::{inverse_square_root, power_of_two, reciprocal, silu};
use frugal_testbench::compare::{compare_native_and_verilated, CompareError};
use frugal_testbench::random::Random;
use rust_hdl_core::prelude::*;
use std::collections::VecDeque;

const SEED: u64 = 0x5eed;

macro_rules! clock {
    () => {
        |block, level| block.clock.next = Clock { clk: level }
    };
}

/// Values of all magnitudes, and the extremes.
fn word(random: &mut Random) -> u32 {
    match random.below(8) {
        0 => {
            [0, 1, u32::MAX, 0x7fff, 0x8000, 0xffff_8000, 0x8000_0000, 0x7fff_ffff][random.below(8) as usize]
        }
        _ => (random.bits(32) as i32 >> random.below(32)) as u32,
    }
}

#[test]
fn row_lanes() -> Result<(), CompareError> {
    for lanes in [2, 8] {
        // While the multipliers are lent there are no terms.
        let mut lent_for = 0;
        let mut expected: VecDeque<Option<i32>> = vec![None; RowLanes::PRODUCT_CYCLES].into();
        let mut products = 0;
        compare_native_and_verilated(
            || RowLanes::new(lanes),
            |block, random, cycle| {
                if let Some(Some(product)) = expected.pop_front() {
                    let found = block.product[lanes - 1].val().to_u32() as i32;
                    assert_eq!(found, product, "cycle {cycle}, seed {SEED}");
                    products += 1;
                }
                lent_for =
                    if lent_for == 0 && random.one_in(40) { 20 } else { lent_for - i32::from(lent_for > 0) };
                // A term is at the multipliers two cycles after it has come.
                let lent = (1..16).contains(&lent_for);
                block.lent.next = lent;
                for l in 0..lanes {
                    let [a, b] = [0; 2].map(|_| word(random) as u16);
                    block.factor_a[l].next = u64::from(a).into();
                    block.factor_b[l].next = u64::from(b).into();
                    if l == lanes - 1 {
                        expected.push_back(lent.then_some(i32::from(a as i16) * i32::from(b as i16)));
                    }
                }
                block.valid.next = lent_for == 0 && random.one_in(2);
                block.first.next = random.one_in(2);
                block.operation.next = random.below(5).into();
                block.shift.next = if random.one_in(2) { random.below(32) } else { 0 }.into();
                block.count.next = random.below(lanes as u64 + 2).into();
                block.clamped.next = random.one_in(3);
                block.minimum.next = random.bits(8).into();
                block.maximum.next = random.bits(8).into();
                for l in 0..lanes {
                    block.result[l].next = u64::from(word(random)).into();
                    block.operand[l].next = u64::from(word(random) & 0xffff).into();
                }
            },
            clock!(),
            20_000,
            SEED,
        )?;
        assert!(products > 1000, "{products} products");
    }
    Ok(())
}

/// Every input of the two functions, through the Verilated lanes.
#[test]
fn functions_are_bit_exact_at_every_input() -> Result<(), CompareError> {
    const SHIFT: u32 = 8;
    for operation in [function::EXPONENTIAL, function::SILU] {
        let lanes = 64;
        let mut expected: VecDeque<Option<i32>> = vec![None; RowLanes::LATENCY_CYCLES].into();
        compare_native_and_verilated(
            || RowLanes::new(lanes),
            |block, _, cycle| {
                if let Some(Some(first)) = expected.pop_front() {
                    for (l, value) in block.value.iter().enumerate() {
                        let z = (first + l as i32) as i16;
                        let wanted = match operation {
                            function::SILU => silu(z),
                            _ => power_of_two(z, SHIFT),
                        };
                        assert_eq!(value.val().to_u32() as i32, wanted, "function {operation} of {z}");
                    }
                }
                let first = (cycle as i32 * lanes as i32) - 32768;
                expected.push_back(Some(first));
                block.valid.next = true;
                block.first.next = true;
                block.operation.next = u64::from(operation).into();
                block.shift.next = u64::from(SHIFT).into();
                block.count.next = 64.into();
                for l in 0..lanes {
                    let z = first.wrapping_add(l as i32) as i16;
                    block.result[l].next = u64::from(i32::from(z) as u32).into();
                }
            },
            clock!(),
            1024 + RowLanes::LATENCY_CYCLES as u64,
            SEED,
        )?;
    }
    Ok(())
}

#[test]
fn row_reduce() -> Result<(), CompareError> {
    for lanes in [2, 8, 16] {
        compare_native_and_verilated(
            || RowReduce::new(lanes),
            |block, random, _| {
                block.valid.next = random.one_in(2);
                block.first.next = random.one_in(4);
                block.last.next = random.one_in(4);
                block.reduce.next = (1 + random.below(3)).into();
                block.count.next = random.below(lanes as u64 + 2).into();
                block.base.next = u64::from(word(random)).into();
                for value in &mut block.value {
                    // Few values, so that lanes tie.
                    let value_word = if random.one_in(2) { random.below(3) as u32 } else { word(random) };
                    value.next = u64::from(value_word).into();
                }
            },
            clock!(),
            20_000,
            SEED,
        )?;
    }
    Ok(())
}

#[test]
fn scale_unit() -> Result<(), CompareError> {
    let mut expected: VecDeque<Option<u32>> = vec![None; ScaleUnit::LATENCY_CYCLES].into();
    compare_native_and_verilated(
        ScaleUnit::default,
        |block, random, _| {
            if let Some(Some(wanted)) = expected.pop_front() {
                assert_eq!(block.word.val().to_u32(), wanted);
            }
            let total = match random.below(4) {
                0 => random.below(70) as i64 - 4,
                _ => (random.next_u64() as i64) >> (16 + random.below(48)),
            };
            let finish = random.below(4) as u32;
            expected.push_back(Some(match finish {
                finish::NONE => total as u32,
                finish::NEGATE => (total as u32).wrapping_neg(),
                finish::RECIPROCAL => reciprocal(total).word(),
                _ => inverse_square_root(total).word(),
            }));
            block.total.next = (total as u64 & 0xffff_ffff_ffff).into();
            block.finish.next = u64::from(finish).into();
        },
        clock!(),
        50_000,
        SEED,
    )?;
    Ok(())
}
