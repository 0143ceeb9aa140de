//! The output stage.

use super::*;

/// What the output stage must show in one cycle.
#[derive(Clone, Debug, Default, PartialEq)]
struct StageResult {
    to_accumulator: bool,
    address: u16,
    lane: usize,
    values: Vec<i32>,
    clamped: Vec<i8>,
    matrix_signal: Option<u64>,
    vector_signal: Option<u64>,
}

/// A matrix result on its way: descriptor, and the cycle in which its totals come.
#[derive(Clone, Debug)]
struct PlannedResult {
    total_cycle: u64,
    flags: u32,
    rescale: bool,
    add_row: bool,
    address: u32,
    lane: u32,
    parameter: u32,
    accumulator: u32,
    clamp: [i8; 3],
    totals: Vec<u32>,
    groups: u64,
}

/// A row of the parameter memory: biases, multipliers of at most 2^31, shift words.
fn parameter_row(address: u64, lanes: usize) -> Vec<u32> {
    let words = row("parameter", address, 3 * lanes).into_iter().enumerate();
    words
        .map(|(index, word)| match index / lanes {
            0 => word,
            1 if word >> 31 == 1 => 1 << 31,
            1 => word,
            _ => word & 0x1f1f & if word >> 30 == 0 { 0x1f1f } else { 0x001f },
        })
        .collect()
}

#[test]
fn output_stage() -> Result<(), CompareError> {
    output_stages(Description::Emitted, &[(16, 8, 2, true), (8, 4, 4, false), (8, 8, 2, true)])
}

/// The stage of `nano`.
#[test]
fn output_stage_after_synthesis() -> Result<(), CompareError> {
    if !netlist::available() {
        return Ok(());
    }
    output_stages(Description::Netlist, &[(8, 8, 4, true)])
}

fn output_stages(
    description: Description,
    shapes: &[(usize, usize, usize, bool)],
) -> Result<(), CompareError> {
    const CYCLES: u64 = 1_500;
    for &(rows, cols, lanes, four_bit) in shapes {
        let config = small(rows, cols, lanes, 2, four_bit);
        let latency = u64::from(Requantise::LATENCY_CYCLES + TableLookup::LATENCY_CYCLES);
        let mut tables = vec![0u32; TABLES * frugal_isa::Config::TABLE_BYTES / 4];
        let mut table_write: Option<(usize, u32)> = None;
        // Activation writes to come: cycle, and whether the address is odd.
        let mut soon: Vec<(u64, bool)> = Vec::new();
        let mut expected: BTreeMap<u64, StageResult> = BTreeMap::new();
        let (mut signalled, mut accumulator_soon) = ([0; 2], false);
        let mut planned: VecDeque<PlannedResult> = VecDeque::new();
        // Results whose totals have come; the first may be in the lanes while the next one is held.
        let mut arrived: VecDeque<PlannedResult> = VecDeque::new();
        let mut next_total = 0;
        let (mut parameter_asked, mut partial_asked): (Option<u64>, Option<u64>) = (None, None);
        let mut kinds = [0; 5];
        compare_native_and_description(
            description,
            || OutputStage::new(&config),
            |block, random, cycle| {
                let context = format!("cycle {cycle}, seed {SEED}, {lanes} lanes");
                // A descriptor, long or shortly before its totals.
                let pushes = planned.len() < 12 && random.one_in([2, 20][(cycle / 300 % 2) as usize]);
                block.descriptor_valid.next = pushes;
                let garbage = [0; 3].map(|_| random.bits(32) as u32);
                drive(&mut block.descriptor, &garbage);
                if pushes {
                    let depthwise = random.one_in(2);
                    let wide = four_bit && !depthwise && random.one_in(2);
                    let channels = match (depthwise, wide) {
                        (true, _) => rows,
                        (_, true) => 2 * cols,
                        _ => cols,
                    };
                    let mut flags = field(random, 8);
                    if wide {
                        flags |= 1;
                    }
                    let rescale = flags & 1 == 1 && random.one_in(2);
                    let add_row = rescale && flags & 2 == 0 && !random.one_in(4);
                    let (low, high) = (random.bits(8) as i8, random.bits(8) as i8);
                    let result = PlannedResult {
                        total_cycle: (cycle + 1 + random.below(8)).max(next_total),
                        flags,
                        rescale,
                        add_row,
                        address: field(random, 16),
                        lane: (random.below((rows / channels).max(1) as u64) * channels as u64) as u32,
                        parameter: field(random, 16),
                        accumulator: field(random, 16),
                        clamp: [random.bits(8) as i8, low.min(high), low.max(high)],
                        totals: (0..config.result_channels()).map(|_| field(random, 32)).collect(),
                        groups: (channels / lanes) as u64,
                    };
                    next_total = result.total_cycle + result.groups;
                    let [zero_point, minimum, maximum] = result.clamp.map(|byte| u32::from(byte as u8));
                    let words = [
                        result.address | result.lane << 16 | result.flags << 24,
                        result.parameter | result.accumulator << 16,
                        zero_point
                            | minimum << 8
                            | maximum << 16
                            | u32::from(depthwise) << 24
                            | u32::from(wide) << 25
                            | u32::from(rescale) << 26
                            | u32::from(add_row) << 27,
                    ];
                    drive(&mut block.descriptor, &words);
                    planned.push_back(result);
                }
                // Totals of the result whose cycle has come.
                let arrives = planned.front().is_some_and(|result| result.total_cycle == cycle);
                block.total_valid.next = arrives;
                let garbage: Vec<u32> = (0..config.result_channels()).map(|_| field(random, 32)).collect();
                drive(&mut block.total, if arrives { &planned[0].totals } else { &garbage });

                // The group in the lanes: the first one behind the lane register, the others are held first.
                let group = arrived.front().and_then(|result| cycle.checked_sub(result.total_cycle + 1));
                let partial = partial_asked.take();
                let accumulators: Vec<u32> = match partial {
                    Some(address) => row("accumulator", address, lanes),
                    None => (0..lanes).map(|_| field(random, 32)).collect(),
                };
                drive(&mut block.accumulator, &accumulators);
                let parameters = match parameter_asked.take() {
                    Some(address) => parameter_row(address, lanes),
                    None => (0..3 * lanes).map(|_| field(random, 32)).collect(),
                };
                drive(&mut block.parameter, &parameters);

                // A word of a table; tables are not looked up while they change.
                if let Some((address, word)) = table_write.take() {
                    tables[address] = word;
                }
                let changes = cycle < 300;
                block.table_write_valid.next = changes;
                let (address, word) = (cycle as usize % tables.len(), field(random, 32));
                block.table_write_address.next = (address as u64).into();
                block.table_write_data.next = u64::from(word).into();
                if changes {
                    table_write = Some((address, word));
                }
                // Vector values in free slots.
                let vector_valid = group.is_none() && random.one_in(2);
                let values: Vec<u32> = (0..lanes).map(|_| field(random, 32)).collect();
                let (pre_add, post_add) = (field(random, 32), field(random, 32));
                let multiplier = if random.one_in(4) { 1 << 31 } else { field(random, 31) };
                let [left, right] = [0; 2].map(|_| if random.one_in(3) { 0 } else { field(random, 5) });
                let (single, operand) = (random.one_in(2), random.one_in(3));
                let (low, high) = (random.bits(8) as i8, random.bits(8) as i8);
                let (minimum, maximum) = (low.min(high), low.max(high));
                let lane = random.below((rows / lanes) as u64) as usize * lanes;
                // Only the flags that a vector result has.
                let (address, flags) = (field(random, 16), field(random, 8) & 0xf9);
                block.vector_valid.next = vector_valid;
                drive(&mut block.vector_value, &values);
                block.vector_pre_add.next = u64::from(pre_add).into();
                block.vector_multiplier.next = u64::from(multiplier).into();
                block.vector_left.next = u64::from(left).into();
                block.vector_right.next = u64::from(right).into();
                block.vector_single_rounding.next = single;
                block.vector_add_operand.next = operand;
                let subtract = random.one_in(2);
                block.vector_subtract_operand.next = subtract;
                block.vector_post_add.next = u64::from(post_add).into();
                block.vector_minimum.next = u64::from(minimum as u8).into();
                block.vector_maximum.next = u64::from(maximum as u8).into();
                let lookup = !changes && cycle > 320 && random.one_in(2);
                let table = random.below(TABLES as u64) as usize;
                block.vector_lookup.next = lookup;
                block.vector_table.next = (table as u64).into();
                block.vector_route.next = u64::from(address | (lane as u32) << 16 | flags << 24).into();
                if vector_valid {
                    let value = |l: usize| {
                        let value = (values[l] as i32).wrapping_add(pre_add as i32);
                        let added = match (operand, subtract) {
                            (false, _) => post_add,
                            (true, false) => accumulators[l],
                            (true, true) => accumulators[l].wrapping_neg(),
                        };
                        requantise(value, multiplier, left, right, single).wrapping_add(added as i32)
                    };
                    let values: Vec<i32> = (0..lanes).map(value).collect();
                    let clamped = values.iter().map(|v| {
                        let clamped = (*v).clamp(minimum.into(), maximum.into()) as u8;
                        let entry = table * 64 + clamped as usize / 4;
                        let looked_up = tables[entry].to_le_bytes()[clamped as usize % 4];
                        if lookup {
                            looked_up as i8
                        } else {
                            clamped as i8
                        }
                    });
                    if flags & 1 == 0 {
                        soon.push((cycle + latency, address & 1 == 1));
                    }
                    let result = StageResult {
                        to_accumulator: flags & 1 == 1,
                        address: address as u16,
                        lane,
                        clamped: clamped.collect(),
                        values,
                        matrix_signal: None,
                        vector_signal: (flags & 8 == 8).then_some(u64::from(flags >> 4)),
                    };
                    kinds[2] += 1;
                    expected.insert(cycle + latency, result);
                }
                if let (Some(group), Some(result)) = (group, arrived.front()) {
                    let (to_accumulator, accumulate, single) =
                        (result.flags & 1 == 1, result.flags & 2 == 2, result.flags & 4 == 4);
                    let raw = to_accumulator && !result.rescale;
                    let parameters = parameter_row((u64::from(result.parameter) + group) & 0xffff, lanes);
                    let accumulator_row = (u64::from(result.accumulator) + group) & 0xffff;
                    let partials = row("accumulator", accumulator_row, lanes);
                    let value = |l: usize| {
                        let total = result.totals[group as usize * lanes + l] as i32;
                        let added = if accumulate { partials[l] } else { parameters[l] };
                        let value = total.wrapping_add(added as i32);
                        if raw {
                            return value;
                        }
                        let shifts = parameters[2 * lanes + l];
                        requantise(value, parameters[lanes + l], shifts >> 8, shifts & 31, single)
                            .wrapping_add(result.clamp[0].into())
                            .wrapping_add(if result.add_row { partials[l] as i32 } else { 0 })
                    };
                    let values: Vec<i32> = (0..lanes).map(value).collect();
                    let clamp = |v: &i32| (*v).clamp(result.clamp[1].into(), result.clamp[2].into()) as i8;
                    let ends = result.flags & 8 == 8 && group == result.groups - 1;
                    if !to_accumulator {
                        soon.push((cycle + latency, result.address & 1 == 1));
                    }
                    kinds[match (to_accumulator, result.rescale, result.add_row) {
                        (false, ..) => 0,
                        (true, false, _) => 1,
                        (true, true, false) => 3,
                        (true, true, true) => 4,
                    }] += 1;
                    let result = StageResult {
                        to_accumulator,
                        address: if to_accumulator { accumulator_row as u16 } else { result.address as u16 },
                        lane: result.lane as usize + group as usize * lanes,
                        clamped: values.iter().map(clamp).collect(),
                        values,
                        matrix_signal: ends.then_some(u64::from(result.flags >> 4)),
                        vector_signal: None,
                    };
                    expected.insert(cycle + latency, result);
                }
                if arrived.front().is_some_and(|result| group == Some(result.groups - 1)) {
                    arrived.pop_front();
                }
                if arrives {
                    arrived.extend(planned.pop_front());
                }
                settle_before_edge!(block);
                parameter_asked =
                    block.parameter_enable.val().then(|| block.parameter_address.val().to_u64());
                partial_asked = block.partial_enable.val().then(|| block.partial_address.val().to_u64());

                // The scratchpad writes a cycle after the stage.
                let in_time = soon.iter().find(|(at, _)| at + 1 == cycle + ByteMover::LATENCY_CYCLES as u64);
                assert_eq!(block.result_soon.val(), in_time.is_some(), "{context}");
                if let Some((_, odd)) = in_time {
                    assert_eq!(block.result_odd.val(), *odd, "{context}");
                }

                // What comes out.
                let result = expected.remove(&cycle);
                let [to_activation, to_accumulator] = [false, true]
                    .map(|kind| result.as_ref().is_some_and(|result| result.to_accumulator == kind));
                let odd = result.as_ref().is_some_and(|result| result.address % 2 == 1);
                assert_eq!(block.activation_even.val(), to_activation && !odd, "{context}");
                assert_eq!(block.activation_odd.val(), to_activation && odd, "{context}");
                assert_eq!(block.accumulator_valid.val(), to_accumulator, "{context}");
                let soon = std::mem::replace(&mut accumulator_soon, block.accumulator_soon.val());
                assert_eq!(soon, to_accumulator, "{context}");
                let result = result.unwrap_or_default();
                assert_eq!(block.matrix_finished.val(), result.matrix_signal.is_some(), "{context}");
                assert_eq!(block.vector_finished.val(), result.vector_signal.is_some(), "{context}");
                // Tokens come a cycle before.
                let signals =
                    [block.matrix_signal.val(), block.vector_signal.val()].map(|port| port.to_u64());
                let signals = std::mem::replace(&mut signalled, signals);
                let expected_signals =
                    [result.matrix_signal, result.vector_signal].map(Option::unwrap_or_default);
                assert_eq!(signals, expected_signals, "{context}");
                if to_accumulator || to_activation {
                    assert_eq!(block.result_address.val().to_u16(), result.address, "{context}");
                }
                if to_accumulator {
                    let native: Vec<i32> =
                        words_of(&block.accumulator_data).iter().map(|w| *w as i32).collect();
                    assert_eq!(native, result.values, "{context}");
                }
                let data = bytes_of(&words_of(&block.activation_data));
                for (byte, data) in data.iter().enumerate() {
                    let enabled = block.activation_enable[byte / 4].val().get_bit(byte % 4);
                    let inside = (result.lane..result.lane + lanes).contains(&byte);
                    assert_eq!(enabled, to_activation && inside, "{context}, byte {byte}");
                    if enabled {
                        assert_eq!(*data, result.clamped[byte - result.lane], "{context}, byte {byte}");
                    }
                }
            },
            clocked!(),
            CYCLES,
            SEED,
        )?;
        assert!(
            kinds.iter().all(|count| *count > 40),
            "requantised, raw, vector, rescaled, added to a row: {kinds:?}"
        );
    }
    Ok(())
}
