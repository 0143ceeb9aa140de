//! The MAC array and its parts.

use super::*;

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
        clocked!(),
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

/// Sums of four rows, extremes included.
#[test]
fn packed_products() -> Result<(), CompareError> {
    let latency = PackedProducts::LATENCY_CYCLES as u64;
    for rows in [4, 8] {
        let mut expected: Vec<Vec<i32>> = Vec::new();
        compare_native_and_verilated(
            || PackedProducts::new(rows),
            |block, random, cycle| {
                if let Some(step) = cycle.checked_sub(latency) {
                    let sums: Vec<i32> = block.sum.iter().map(|sum| sum.val().to_u32() as i32).collect();
                    assert_eq!(sums, expected[step as usize], "cycle {cycle}, seed {SEED}");
                }
                let four_bit = random.one_in(2);
                block.four_bit.next = four_bit;
                let mut products = Vec::new();
                let is_extreme = random.one_in(3);
                for (activations, weights) in block.activation.iter_mut().zip(&mut block.weight) {
                    let (activation, weight) = match is_extreme {
                        true => (-128, if four_bit { 0x87 } else { 0x8f }),
                        false => (random.bits(8) as i8, random.bits(8) as u8),
                    };
                    activations.next = u64::from(activation as u8).into();
                    weights.next = u64::from(weight).into();
                    let low_weight = if four_bit { nibble(weight, 0) + 8 } else { i32::from(weight & 15) };
                    products.push(i32::from(activation) * ((nibble(weight, 1) << 14) + low_weight));
                }
                expected.push(products.chunks(4).map(|rows| rows.iter().sum()).collect());
            },
            clocked!(),
            CYCLES,
            SEED,
        )?;
    }
    Ok(())
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
        clocked!(),
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
    for (width, is_settled) in [2, 13, 18].into_iter().flat_map(|width| [(width, false), (width, true)]) {
        let mut expected = 0;
        compare_native_and_verilated(
            || HalvesSum::new(width).settled(is_settled),
            |block, random, _| {
                let sum = block.sum.val().to_u32();
                assert_eq!(half_of(sum), expected);
                assert!(!is_settled || sum & 1 == 0, "{sum}");
                let words = [0; 2].map(|_| random.bits(32) as u32);
                block.a.next = u64::from(words[0]).into();
                block.b.next = u64::from(words[1]).into();
                let unused = 32 - width as u32;
                expected = words.map(|word| half_of(((word << unused) as i32 >> unused) as u32)).iter().sum();
            },
            clocked!(),
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
fn low_sum() -> Result<(), CompareError> {
    let mut expected = 0;
    compare_native_and_verilated(
        || LowSum::new(16),
        |block, random, _| {
            assert_eq!(block.sum.val().to_u32() as i32, expected);
            let (sum, low, excess) = (signed(random, 16), signed(random, 15), 8 * signed(random, 12));
            block.low_a.next = u64::from(low as u32).into();
            block.low_b.next = u64::from((sum - low + excess) as u32).into();
            block.excess.next = u64::from(excess as u32).into();
            expected = sum;
        },
        clocked!(),
        CYCLES,
        SEED,
    )?;
    Ok(())
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
        clocked!(),
        CYCLES,
        SEED,
    )?;
    Ok(())
}

#[test]
fn packed_sums() -> Result<(), CompareError> {
    for (rows, is_settled) in [(8usize, false), (16, true), (64, true)] {
        // Low and high sums of 12 bits a product.
        let bits = 12 + rows.ilog2() as usize;
        let mut expected = vec![(0, 0, 0); PackedSums::LATENCY_CYCLES];
        compare_native_and_verilated(
            || PackedSums::new(rows, is_settled),
            |block, random, cycle| {
                let sums = [&block.plain_sum, &block.low_sum, &block.high_sum]
                    .map(|port| port.val().to_u32() as i32);
                assert_eq!(sums, <[i32; 3]>::from(expected[cycle as usize]), "cycle {cycle}, seed {SEED}");
                let four_bit = random.one_in(2);
                // What the roots add; both high words may bring a carry, but a settled one.
                let value = signed(random, bits);
                let excess = if four_bit && !is_settled { 8 * signed(random, bits - 4) } else { 0 };
                let low_a = signed(random, bits - 1);
                let (high_a, high_b) = (signed(random, bits - 2), signed(random, bits - 2));
                let mut carries = [0; 2].map(|_| random.bits(1) as i32);
                if is_settled {
                    carries[1] = 0;
                }
                let high = high_a + high_b;
                let scales = [0; 2].map(|_| if random.one_in(3) { 255 } else { random.bits(8) });
                block.low_a.next = u64::from(low_a as u32).into();
                block.low_b.next = u64::from((value - low_a + excess) as u32).into();
                block.high_a.next = u64::from((2 * high_a - carries[0]) as u32).into();
                block.high_b.next = u64::from((2 * high_b - carries[1]) as u32).into();
                block.excess.next = u64::from(excess as u32).into();
                block.four_bit.next = four_bit;
                block.low_scale.next = scales[0].into();
                block.high_scale.next = scales[1].into();
                expected.push(match four_bit {
                    true => (0, value * scales[0] as i32, high * scales[1] as i32),
                    false => (value + 16 * high, 0, 0),
                });
            },
            clocked!(),
            CYCLES,
            SEED,
        )?;
    }
    Ok(())
}

#[test]
fn activation_sum() -> Result<(), CompareError> {
    for (rows, cycles) in [(8, 3), (8, 4), (8, 6), (16, 4), (64, 6), (64, 7)] {
        let mut expected = vec![0; cycles];
        compare_native_and_verilated(
            || ActivationSum::new(rows, cycles),
            |block, random, cycle| {
                assert_eq!(block.excess.val().to_u32() as i32, expected[cycle as usize], "seed {SEED}");
                let bytes: Vec<u8> = (0..rows / 4).flat_map(|_| int8_word(random).to_le_bytes()).collect();
                for (port, byte) in block.activation.iter_mut().zip(&bytes) {
                    port.next = u64::from(*byte).into();
                }
                let four_bit = !random.one_in(4);
                block.four_bit.next = four_bit;
                let sum: i32 = bytes.iter().map(|byte| i32::from(*byte as i8)).sum();
                expected.push(if four_bit { 8 * sum } else { 0 });
            },
            clocked!(),
            CYCLES / 2,
            SEED,
        )?;
    }
    Ok(())
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
            clocked!(),
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
    for (rows, cols, taps) in [(8usize, 8, 4), (8, 4, 4), (8, 2, 2), (16, 4, 2), (16, 8, 4), (32, 8, 2)] {
        let parts = rows / cols;
        let before_excess = PackedColumn::excess_cycles(rows, cols) as u64;
        let before_sums = PackedColumn::scale_cycles(rows, cols) as u64;
        let before_accumulators = PackedColumn::latency_cycles(rows, cols) as u64 - 1;
        let mut steps: Vec<(Mode, [u8; 2], Vec<Option<i32>>)> = Vec::new();
        let mut totals = vec![Some(0); parts.max(2)];
        let mut excesses: Vec<Vec<u32>> = Vec::new();
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
                // The excess is the array's; this column's activations as they were.
                let exceeds = cycle.checked_sub(before_excess);
                excesses.push(if mode == Mode::FourBit { activation } else { vec![0; rows / 4] });
                let sum = exceeds.map_or(0, |step| {
                    let bytes = excesses[step as usize].iter().flat_map(|w| w.to_le_bytes());
                    bytes.map(|byte| i32::from(byte as i8)).sum::<i32>()
                });
                block.excess.next = u64::from((8 * sum) as u32).into();
            },
            clocked!(),
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
        let (latency, parts) = (MacArray::latency_cycles(rows, cols, true), rows / cols);
        let scale_cycles = MacArray::scale_cycles(rows, cols) as u64;
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
            clocked!(),
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
        let (latency, parts) = (MacArray::latency_cycles(rows, cols, false), rows / cols);
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
            clocked!(),
            CYCLES / 2,
            SEED,
        )?;
    }
    Ok(())
}
