//! The matrix engine.

use super::*;

/// One step of a matrix command.
#[derive(Clone, Copy, Debug)]
struct MatrixStep {
    /// None in the padding.
    activation: Option<u64>,
    weight: u64,
    scale: Option<u64>,
    /// The step that completes a result.
    result: Option<usize>,
    /// After the last step of a result, kept or dropped: cycles until the next one's last step.
    pace: Option<u64>,
}

fn random_matrix(random: &mut Random, config: &Config) -> Matrix {
    let (rows, cols) = (config.rows as u64, config.cols as u64);
    let (depthwise, outputs_x) = (random.one_in(3), 1 + random.below(4) as u32);
    let four_bit = config.four_bit && !depthwise && random.one_in(2);
    let (accumulate, to_accumulator) = (random.one_in(2), four_bit || random.one_in(2));
    let row_results = to_accumulator && random.one_in(2);
    let rescale = to_accumulator && random.one_in(2);
    let channels = if four_bit { (2 * cols).min(rows) } else { cols };
    Matrix {
        tokens: tokens(random),
        accumulate,
        to_accumulator,
        four_bit,
        row_results,
        rescale,
        add_row: rescale && row_results && !accumulate && random.one_in(2),
        weight_stride_tile: if random.one_in(2) { field(random, 16) } else { 0 },
        single_rounding: random.one_in(2),
        activation_address: field(random, 16),
        weight_address: field(random, 16),
        parameter_address: field(random, 16),
        accumulator_address: field(random, 16),
        output_address: field(random, 16),
        output_lane: if depthwise { 0 } else { (random.below(rows / channels) * channels) as u32 },
        pad_value: signed_field(random, 8),
        channels: 1 + random.below(3) as u32,
        kernel_x: 1 + random.below(3) as u32,
        kernel_y: 1 + random.below(2) as u32,
        outputs_x,
        outputs_y: 1 + random.below(2) as u32,
        tiles: 1 + random.below(4) as u32,
        output_zero_point: signed_field(random, 8),
        stride_kernel_x: field(random, 16),
        stride_kernel_y: field(random, 16),
        stride_x: field(random, 16),
        stride_y: field(random, 16),
        output_stride_x: field(random, 16),
        output_stride_y: field(random, 16),
        output_stride_tile: field(random, 16),
        stride_channel: field(random, 16),
        input_width: random.below(6) as u32,
        input_height: random.below(6) as u32,
        start_x: random.below(5) as i32 - 2,
        start_y: random.below(5) as i32 - 2,
        step_x: random.below(4) as u32,
        step_y: random.below(4) as u32,
        kernel_step_x: random.below(4) as u32,
        kernel_step_y: random.below(4) as u32,
        minimum: signed_field(random, 8),
        maximum: signed_field(random, 8),
        depthwise,
        skip: random.below(u64::from(outputs_x)) as u32,
    }
}

/// Channels of a result.
fn channels_of(m: &Matrix, config: &Config) -> usize {
    match (m.depthwise, m.four_bit) {
        (true, _) => config.rows,
        (_, true) => 2 * config.cols,
        _ => config.cols,
    }
}

/// The steps and the results of a matrix command, as the loops in docs/architecture.md run.
fn matrix_command(
    m: &Matrix,
    config: &Config,
    history: &mut [VecDeque<Vec<i32>>],
) -> (Vec<MatrixStep>, Vec<EngineResult>) {
    let [rows, cols, lanes, taps] =
        [config.rows, config.cols, config.lanes, config.depthwise_taps].map(|n| n as u64);
    let (mut steps, mut results) = (Vec::new(), Vec::new());
    let pad = vec![m.pad_value; rows as usize];
    let channels = channels_of(m, config) as u64;
    let groups = channels / lanes;
    let steps_of_result = m.kernel_y * m.kernel_x * m.channels;
    for t in 0..u64::from(m.tiles) {
        for y in 0..m.outputs_y {
            for x in 0..m.outputs_x {
                let mut sums = vec![0i32; channels as usize];
                let kept = x >= m.skip;
                for tap in 0..steps_of_result {
                    let c = tap % m.channels;
                    let (ky, kx) = (tap / m.channels / m.kernel_x, tap / m.channels % m.kernel_x);
                    let iy = i64::from(m.start_y) + i64::from(y * m.step_y + ky * m.kernel_step_y);
                    let ix = i64::from(m.start_x) + i64::from(x * m.step_x + kx * m.kernel_step_x);
                    let address = u64::from(m.activation_address)
                        + u64::from(y) * u64::from(m.stride_y)
                        + u64::from(x) * u64::from(m.stride_x)
                        + u64::from(ky) * u64::from(m.stride_kernel_y)
                        + u64::from(kx) * u64::from(m.stride_kernel_x)
                        + (u64::from(c) + if m.depthwise { t } else { 0 }) * u64::from(m.stride_channel);
                    let is_inside = inside(iy, m.input_height) && inside(ix, m.input_width);
                    let activation = is_inside.then_some(address & 0xffff);
                    let tile_stride = match m.weight_stride_tile {
                        0 => steps_of_result,
                        stride => stride,
                    };
                    let weight =
                        (u64::from(m.weight_address) + t * u64::from(tile_stride) + u64::from(tap)) & 0xffff;
                    let scale = m.four_bit.then_some(weight / config.scale_tiles() as u64);
                    let vector = activation.map_or(pad.clone(), |address| {
                        let bytes = bytes_of(&row("activation", address, rows as usize / 4));
                        bytes.into_iter().map(i32::from).collect()
                    });
                    let tile = bytes_of(&row("weight", weight, (rows * cols / 4) as usize));
                    if m.depthwise {
                        // The vectors that this step has read, the latest in front.
                        let seen = &mut history[tap as usize];
                        seen.push_front(vector.clone());
                        for (channel, sum) in sums.iter_mut().enumerate() {
                            let (column, part) = (channel as u64 % cols, channel as u64 / cols * cols);
                            for k in 0..cols {
                                let operand = match k < taps {
                                    true => seen.get(k as usize).map_or(0, |vector| vector[channel]),
                                    false => vector[(part + k) as usize],
                                };
                                let weight = i32::from(tile[(column * rows + part + k) as usize]);
                                *sum = sum.wrapping_add(operand * weight);
                            }
                        }
                    } else if let Some(scale) = scale {
                        let scales = bytes_of(&row("scale", scale, config.scale_row_bytes() / 4));
                        for (channel, sum) in sums.iter_mut().enumerate() {
                            let column = &tile[channel % cols as usize * rows as usize..][..rows as usize];
                            let shift = if channel < cols as usize { 4 } else { 0 };
                            let weights = column.iter().map(|byte| i32::from(byte << shift >> 4));
                            let dot: i32 = vector.iter().zip(weights).map(|(a, w)| a * w).sum();
                            *sum = sum.wrapping_add(dot * i32::from(scales[channel] as u8));
                        }
                    } else {
                        for (sum, column) in sums.iter_mut().zip(tile.chunks(rows as usize)) {
                            let products = vector.iter().zip(column).map(|(a, w)| a * i32::from(*w));
                            *sum = sum.wrapping_add(products.sum::<i32>());
                        }
                    }
                    let is_last = tap == steps_of_result - 1;
                    let result = (is_last && kept).then_some(results.len());
                    let pace = match (m.depthwise, kept) {
                        (false, _) => groups,
                        (true, true) => groups.max(2),
                        (true, false) => 2,
                    };
                    steps.push(MatrixStep {
                        activation,
                        weight,
                        scale,
                        result,
                        pace: is_last.then_some(pace),
                    });
                }
                if !kept {
                    continue;
                }
                let number = results.len() as u64;
                let lane = u64::from(m.output_lane) + t * channels;
                let address = u64::from(m.output_address)
                    + u64::from(y) * u64::from(m.output_stride_y)
                    + u64::from(x) * u64::from(m.output_stride_x)
                    + lane / rows * u64::from(m.output_stride_tile);
                let is_last = t + 1 == u64::from(m.tiles) && (y + 1, x + 1) == (m.outputs_y, m.outputs_x);
                let flags = u32::from(m.to_accumulator)
                    | u32::from(m.accumulate) << 1
                    | u32::from(m.single_rounding) << 2
                    | u32::from(is_last) << 3
                    | u32::from(m.tokens.signal) << 4;
                let parameter = (u64::from(m.parameter_address) + t * groups) & 0xffff;
                let accumulator = match m.row_results {
                    true => address + lane % rows / lanes,
                    false => u64::from(m.accumulator_address) + number * groups,
                } & 0xffff;
                let [zero_point, minimum, maximum] =
                    [m.output_zero_point, m.minimum, m.maximum].map(|byte| byte as u32 & 0xff);
                results.push(EngineResult {
                    values: sums,
                    words: vec![
                        route(address, lane % rows, flags),
                        (parameter | accumulator << 16) as u32,
                        zero_point
                            | minimum << 8
                            | maximum << 16
                            | u32::from(m.depthwise) << 24
                            | u32::from(m.four_bit) << 25
                            | u32::from(m.rescale) << 26
                            | u32::from(m.add_row) << 27,
                    ],
                    accumulator: None,
                });
            }
        }
    }
    (steps, results)
}

#[test]
fn matrix_engine() -> Result<(), CompareError> {
    for (rows, cols, lanes, taps, four_bit) in
        [(8, 4, 2, 2, true), (16, 4, 4, 4, false), (8, 8, 4, 4, true), (32, 16, 16, 2, true)]
    {
        let config = small(rows, cols, lanes, taps, four_bit);
        let mut history = vec![VecDeque::new(); frugal_isa::Config::DEPTHWISE_STEPS];
        let (mut pace, mut groups) = (0, 0);
        let latency = MacArray::latency_cycles(rows, cols, four_bit) as u64;
        let slot_cycles = MatrixEngine::slot_cycles(&config) as u64;
        let mut scales_expected: VecDeque<(u64, u64)> = VecDeque::new();
        let mut scale_asked = None;
        let mut described: Option<Vec<u32>> = None;
        let mut next_command: Option<Matrix> = None;
        let mut steps: VecDeque<MatrixStep> = VecDeque::new();
        let mut results: Vec<EngineResult> = Vec::new();
        let mut earliest_step = 0;
        let (mut last_issued, mut issued) = (None, Vec::new());
        let mut totals: VecDeque<(u64, Vec<i32>, bool)> = VecDeque::new();
        let (mut activation_asked, mut weight_asked, mut weight_read) = (None, None, None);
        let mut finish_cycles: VecDeque<u64> = VecDeque::new();
        let mut in_flight = 0;
        let mut finished_commands = 0;
        compare_native_and_verilated(
            || MatrixEngine::new(&config),
            |block, random, cycle| {
                let context = format!("cycle {cycle}, seed {SEED}, {rows} rows");
                // The command started in the cycle before is now the active one.
                if let Some(command) = next_command.take() {
                    let (all_steps, all_results) = matrix_command(&command, &config, &mut history);
                    groups = (channels_of(&command, &config) / lanes) as u64;
                    (steps, results) = (all_steps.into(), all_results);
                    drive(&mut block.command, &encode(command));
                    earliest_step = cycle + 1;
                }
                answer(&mut block.activation_data, "activation", &mut activation_asked, random);
                // Weights come two cycles after the request.
                answer(&mut block.weight_data, "weight", &mut weight_read, random);
                weight_read = weight_asked.take();
                answer(&mut block.scale_data, "scale", &mut scale_asked, random);
                let finishes = finish_cycles.front().is_some_and(|at| *at <= cycle);
                if finishes {
                    finish_cycles.pop_front();
                    finished_commands += 1;
                }
                block.finished.next = finishes;
                block.start.next = false;
                settle_before_edge!(block);

                // Steps: one each cycle, but results no closer together than the output stage takes them.
                let step = steps.front().copied().filter(|step| {
                    let paced = last_issued.is_none_or(|last| cycle >= last + pace);
                    cycle >= earliest_step && (step.pace.is_none() || paced)
                });
                assert_eq!(block.step.val(), step.is_some(), "{context}");
                let asks = block.activation_enable.val().then(|| block.activation_address.val().to_u64());
                assert_eq!(asks, step.and_then(|step| step.activation), "{context}");
                activation_asked = asks;
                let asks = block.weight_enable.val().then(|| block.weight_address.val().to_u64());
                // The next step's tile is read in every cycle before the step, too.
                let next = steps.front().map(|step| step.weight);
                assert!(asks == next || asks.is_none() && step.is_none(), "{context}: {asks:?}, {next:?}");
                weight_asked = asks;
                // Scales are read when the array wants them.
                let asks = block.scale_enable.val().then(|| block.scale_address.val().to_u64());
                let due = scales_expected.front().is_some_and(|(due, _)| *due == cycle);
                assert_eq!(asks, due.then(|| scales_expected.pop_front().expect("just seen").1), "{context}");
                scale_asked = asks;
                if let Some(scale) = step.and_then(|step| step.scale) {
                    scales_expected.push_back((cycle + 1 + MacArray::scale_cycles(rows, cols) as u64, scale));
                }
                let result = step.and_then(|step| step.result);
                // The descriptor comes a cycle later.
                assert_eq!(block.descriptor_valid.val(), described.is_some(), "{context}");
                if let Some(words) = described.take() {
                    assert_eq!(words_of(&block.descriptor), words, "{context}");
                }
                if let Some(number) = result {
                    let result = &results[number];
                    described = Some(result.words.clone());
                    let ends = number + 1 == results.len();
                    totals.push_back((cycle + 2 + latency, result.values.clone(), ends));
                    issued.push((cycle, groups));
                }
                if let Some(cycles) = step.and_then(|step| step.pace) {
                    (last_issued, pace) = (Some(cycle), cycles);
                }
                if step.is_some() {
                    steps.pop_front();
                }
                // Totals.
                let due = totals.front().is_some_and(|(due, ..)| *due == cycle);
                assert_eq!(block.total_valid.val(), due, "{context}");
                if due {
                    let (_, values, ends) = totals.pop_front().expect("just seen");
                    let native: Vec<i32> = words_of(&block.total).iter().map(|word| *word as i32).collect();
                    assert_eq!(native[..values.len()], values[..], "{context}");
                    if ends {
                        finish_cycles.push_back(cycle + 1 + random.below(20));
                    }
                }
                // A vector result issued now would meet these results in the output stage.
                let slot = cycle + VECTOR_SLOT_CYCLES as u64;
                let mut before = issued.iter().filter(|(at, _)| *at < cycle);
                let reserved =
                    before.any(|(at, groups)| (at + slot_cycles..at + slot_cycles + groups).contains(&slot));
                assert_eq!(block.slot_reserved.val(), reserved, "{context}");
                assert_eq!(block.busy.val(), in_flight > 0, "{context}");
                let takes = steps.is_empty() && cycle >= earliest_step;
                assert_eq!(block.take.val(), takes, "{context}");
                let starts = takes && in_flight < 20 && !random.one_in(4);
                if starts {
                    let command = random_matrix(random, &config);
                    drive(&mut block.coming, &encode(command.clone()));
                    next_command = Some(command);
                    // Until it is loaded, no further one is taken.
                    earliest_step = cycle + 2;
                }
                block.start.next = starts;
                in_flight = in_flight + u64::from(starts) - u64::from(finishes);
            },
            clocked!(),
            2_500,
            SEED,
        )?;
        assert!(finished_commands > 10, "only {finished_commands} commands");
    }
    Ok(())
}

#[test]
fn matrix_engine_reports_illegal_fields() -> Result<(), CompareError> {
    for four_bit in [false, true] {
        let config = small(8, 4, 2, 2, four_bit);
        let mut counts = [0; 3];
        compare_native_and_verilated(
            || MatrixEngine::new(&config),
            |block, random, cycle| {
                let context = format!("cycle {cycle}, seed {SEED}");
                // Start, look, reset.
                block.start.next = cycle % 3 == 0;
                block.reset.next = cycle % 3 == 2;
                let mut legal = true;
                if cycle % 3 == 1 {
                    let mut words = encode(random_matrix(random, &config));
                    match random.below(4) {
                        0 => words[0] = words[0] & 0xffff | field(random, 8) << 16,
                        1 => words[0] ^= 1 << (16 + random.below(8)),
                        2 => words[14] ^= 1 << (16 + random.below(3)),
                        _ => {}
                    }
                    drive(&mut block.command, &words);
                    let command = Command::decode(&words);
                    let lacking = matches!(&command, Ok(Command::Matrix(m)) if m.four_bit && !four_bit);
                    legal = command.is_ok() && !lacking;
                    counts[if lacking { 2 } else { usize::from(legal) }] += 1;
                }
                settle_before_edge!(block);
                assert_eq!(block.illegal.val(), !legal, "{context}");
            },
            clocked!(),
            1_200,
            SEED,
        )?;
        assert!(counts[..2].iter().all(|count| *count > 20), "illegal, legal: {counts:?}");
        assert_eq!(counts[2] > 0, !four_bit, "4-bit weights that are not there: {counts:?}");
    }
    Ok(())
}
