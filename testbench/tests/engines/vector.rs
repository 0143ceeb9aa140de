//! The vector engine.

use super::*;

fn random_vector(random: &mut Random, rows: u64, lanes: u64) -> Vector {
    let (from_accumulator, operand) = (random.one_in(3), random.below(3));
    let window = |random: &mut Random| if from_accumulator { 1 } else { 1 + random.below(3) as u32 };
    Vector {
        tokens: tokens(random),
        source: u32::from(from_accumulator),
        destination: random.below(2) as u32,
        single_rounding: random.one_in(2),
        add_operand: !from_accumulator && operand == 1,
        multiply_operand: !from_accumulator && operand == 2,
        operand_per_group: random.one_in(2),
        lookup: random.one_in(2),
        table: random.below(8) as u32,
        subtract_operand: random.one_in(2),
        reduce: random.below(3) as u32,
        source_address: field(random, 16),
        destination_address: field(random, 16),
        operand_address: field(random, 16),
        first_lane: (random.below(rows / lanes) * lanes) as u32,
        kernel_x: window(random),
        kernel_y: window(random),
        groups: 1 + random.below(4) as u32,
        outputs_x: 1 + random.below(4) as u32,
        outputs_y: 1 + random.below(3) as u32,
        stride_kernel_x: field(random, 16),
        stride_kernel_y: field(random, 16),
        stride_x: field(random, 16),
        stride_y: field(random, 16),
        stride_group: field(random, 16),
        output_stride_group: field(random, 16),
        output_stride_x: field(random, 16),
        output_stride_y: field(random, 16),
        pre_add: signed_field(random, 32),
        multiplier: random.below((1 << 31) + 1) as u32,
        left_shift: field(random, 5),
        right_shift: field(random, 5),
        minimum: signed_field(random, 8),
        maximum: signed_field(random, 8),
        post_add: signed_field(random, 32),
        input_width: random.below(6) as u32,
        input_height: random.below(6) as u32,
        start_x: random.below(5) as i32 - 2,
        start_y: random.below(5) as i32 - 2,
        step_x: random.below(4) as u32,
        step_y: random.below(4) as u32,
        pad_value: signed_field(random, 8),
    }
}

/// The results of a vector command up to requantisation, and the scratchpad reads, as the loops in docs/architecture.md
/// run.
fn vector_command(v: &Vector, rows: u64, lanes: u64) -> (Vec<u64>, Vec<EngineResult>) {
    let (mut reads, mut results) = (Vec::new(), Vec::<EngineResult>::new());
    for g in 0..u64::from(v.groups) {
        for y in 0..v.outputs_y {
            for x in 0..v.outputs_x {
                let number = results.len() as u64;
                let position = u64::from(v.first_lane) + g * lanes;
                let (lane, chunk) = (position % rows, position / rows);
                let mut values: Option<Vec<i32>> = None;
                for ky in 0..v.kernel_y {
                    for kx in 0..v.kernel_x {
                        let iy = i64::from(v.start_y) + i64::from(y * v.step_y + ky);
                        let ix = i64::from(v.start_x) + i64::from(x * v.step_x + kx);
                        let address = u64::from(v.source_address)
                            + chunk * u64::from(v.stride_group)
                            + u64::from(y) * u64::from(v.stride_y)
                            + u64::from(x) * u64::from(v.stride_x)
                            + u64::from(ky) * u64::from(v.stride_kernel_y)
                            + u64::from(kx) * u64::from(v.stride_kernel_x);
                        let elements =
                            if v.source == 0 && inside(iy, v.input_height) && inside(ix, v.input_width) {
                                reads.push(address & 0xffff);
                                let bytes = bytes_of(&row("activation", address & 0xffff, rows as usize / 4));
                                let group = &bytes[lane as usize..(lane + lanes) as usize];
                                group.iter().map(|byte| i32::from(*byte)).collect()
                            } else {
                                vec![v.pad_value; lanes as usize]
                            };
                        let reduced = |(a, b): (&i32, &i32)| match v.reduce {
                            reduce::SUM => a.wrapping_add(*b),
                            reduce::MAXIMUM => *a.max(b),
                            _ => *a.min(b),
                        };
                        values = Some(match values {
                            Some(values) => values.iter().zip(&elements).map(reduced).collect(),
                            None => elements,
                        });
                    }
                }
                let mut accumulator = None;
                if v.source == 1 {
                    let address = (u64::from(v.source_address) + number) & 0xffff;
                    accumulator = Some(address);
                    let words = row("accumulator", address, lanes as usize);
                    values = Some(words.iter().map(|word| *word as i32).collect());
                } else if v.add_operand || v.multiply_operand {
                    let row = if v.operand_per_group { g } else { number };
                    accumulator = Some((u64::from(v.operand_address) + row) & 0xffff);
                }
                if let (true, Some(address)) = (v.multiply_operand, accumulator) {
                    let operands = row("accumulator", address, lanes as usize);
                    let products = values.iter().flatten().zip(operands).map(|(value, operand)| {
                        i32::from(value.wrapping_add(v.pre_add) as i16) * i32::from(operand as i16)
                    });
                    values = Some(products.collect());
                }
                let address = if v.destination == 1 {
                    u64::from(v.destination_address) + number
                } else {
                    u64::from(v.destination_address)
                        + chunk * u64::from(v.output_stride_group)
                        + u64::from(y) * u64::from(v.output_stride_y)
                        + u64::from(x) * u64::from(v.output_stride_x)
                };
                let is_last = g + 1 == u64::from(v.groups) && (y + 1, x + 1) == (v.outputs_y, v.outputs_x);
                let flags = v.destination | u32::from(is_last) << 3 | u32::from(v.tokens.signal) << 4;
                let words = vec![route(address, lane, flags)];
                results.push(EngineResult { values: values.unwrap_or_default(), words, accumulator });
            }
        }
    }
    (reads, results)
}

#[test]
fn vector_engine() -> Result<(), CompareError> {
    for (rows, lanes, borrows) in [(16, 4, false), (8, 8, false), (16, 4, true)] {
        let mut next_command: Option<Vector> = None;
        let mut command = Vector::default();
        let mut reads: VecDeque<u64> = VecDeque::new();
        let mut results: VecDeque<EngineResult> = VecDeque::new();
        let (mut activation_asked, mut accumulator_asked) = (None, None);
        let (mut reserved, mut reserved_late): (Vec<bool>, Vec<bool>) = Default::default();
        let mut finish_cycles: VecDeque<u64> = VecDeque::new();
        let (mut in_flight, mut finished_commands) = (0, 0);
        let mut asked_for: VecDeque<u64> = VecDeque::new();
        // What multipliers elsewhere made of the factors of the cycles before.
        let mut products: VecDeque<Vec<u32>> = vec![vec![0; lanes as usize]; RowLanes::PRODUCT_CYCLES].into();
        let mut lent = 0;
        compare_native_and_verilated(
            || VectorEngine::new(rows as usize, lanes as usize, borrows),
            |block, random, cycle| {
                let context = format!("cycle {cycle}, seed {SEED}, {rows} rows");
                if let Some(next) = next_command.take() {
                    assert!(reads.is_empty() && results.is_empty(), "{context}: taken too early");
                    let (all_reads, all_results) = vector_command(&next, rows, lanes);
                    (reads, results) = (all_reads.into(), all_results.into());
                    drive(&mut block.command, &encode(next.clone()));
                    command = next;
                }
                answer(&mut block.source_data, "activation", &mut activation_asked, random);
                answer(&mut block.accumulator_data, "accumulator", &mut accumulator_asked, random);
                let finishes = finish_cycles.front().is_some_and(|at| *at <= cycle);
                if finishes {
                    finish_cycles.pop_front();
                    finished_commands += 1;
                }
                // Phases with a busy matrix engine, and phases without.
                let busy_phase = cycle / 300 % 2 == 0;
                let ready = !random.one_in(if busy_phase { 3 } else { 20 });
                reserved.push(busy_phase && random.one_in(2));
                block.source_ready.next = ready;
                reserved_late.push(busy_phase && random.one_in(2));
                block.slot_reserved.next = reserved[cycle as usize];
                block.late_slot_reserved.next = reserved_late[cycle as usize];
                block.finished.next = finishes;
                block.start.next = false;
                if let (true, Some(products)) = (borrows, products.pop_front()) {
                    drive(&mut block.lent_product, &products);
                }
                settle_before_edge!(block);

                let factor = |port: &Signal<Out, Bits<16>>| i32::from(port.val().to_u16() as i16);
                let factors = block.factor_a.iter().zip(&block.factor_b);
                let multiplies = block.multiplies.val();
                lent += u32::from(multiplies);
                products.push_back(
                    factors
                        .map(|(a, b)| if multiplies { factor(a) * factor(b) } else { 0x5ad } as u32)
                        .collect(),
                );
                assert!(!block.illegal.val(), "{context}");
                if block.source_enable.val() {
                    let address = block.source_address.val().to_u64();
                    assert_eq!(Some(&address), reads.front(), "{context}");
                    if ready {
                        activation_asked = reads.pop_front();
                    }
                }
                if block.value_valid.val() {
                    let result = results.pop_front().unwrap_or_else(|| panic!("{context}: no result left"));
                    let native: Vec<i32> = words_of(&block.value).iter().map(|word| *word as i32).collect();
                    assert_eq!(native, result.values, "{context}");
                    assert_eq!(vec![block.route.val().to_u32()], result.words, "{context}");
                    let c = &command;
                    let native = [
                        block.multiplier.val().to_u32(),
                        block.left.val().to_u32(),
                        block.right.val().to_u32(),
                        block.post_add.val().to_u32(),
                        block.minimum.val().to_u32(),
                        block.maximum.val().to_u32(),
                    ];
                    let fields = [c.multiplier, c.left_shift, c.right_shift, c.post_add as u32];
                    let pre_add = if c.multiply_operand { 0 } else { c.pre_add as u32 };
                    assert_eq!(block.pre_add.val().to_u32(), pre_add, "{context}");
                    assert_eq!(block.lookup.val(), c.lookup, "{context}");
                    assert_eq!(u32::from(block.table.val().to_u8()), c.table, "{context}");
                    let clamps = [c.minimum, c.maximum].map(|byte| byte as u32 & 0xff);
                    assert_eq!(native.to_vec(), [&fields[..], &clamps[..]].concat(), "{context}");
                    let native =
                        (block.single_rounding.val(), block.add_operand.val(), block.subtract_operand.val());
                    let fields = (c.single_rounding, c.add_operand, c.subtract_operand);
                    assert_eq!(native, fields, "{context}");
                    // Its accumulator row, if it needs one, was read before; its slot was not reserved.
                    if result.accumulator.is_some() {
                        assert_eq!(asked_for.pop_front(), result.accumulator, "{context}");
                    }
                    if c.multiply_operand {
                        let issued = cycle as usize - PRODUCT_SLOT_CYCLES;
                        assert!(!reserved_late[issued] && !reserved[issued], "{context}: a reserved slot");
                    } else {
                        assert!(asked_for.is_empty(), "{context}");
                        assert!(!reserved[cycle as usize - VECTOR_SLOT_CYCLES], "{context}: a reserved slot");
                    }
                    if results.is_empty() {
                        finish_cycles.push_back(cycle + 1 + random.below(20));
                    }
                }
                if block.accumulator_enable.val() {
                    let address = block.accumulator_address.val().to_u64();
                    accumulator_asked = Some(address);
                    asked_for.push_back(address);
                }
                assert_eq!(block.busy.val(), in_flight > 0, "{context}");
                let starts = block.take.val() && in_flight < 20 && !random.one_in(4);
                if starts {
                    next_command = Some(random_vector(random, rows, lanes));
                }
                block.start.next = starts;
                in_flight = in_flight + u64::from(starts) - u64::from(finishes);
            },
            clocked!(),
            3_000,
            SEED,
        )?;
        assert!(finished_commands > 20, "only {finished_commands} commands");
        assert!(lent > 100, "lent for {lent} cycles");
    }
    Ok(())
}

/// Fields that contradict each other are reported in the cycle after the start.
#[test]
fn vector_engine_reports_illegal_fields() -> Result<(), CompareError> {
    let mut counts = [0; 2];
    compare_native_and_verilated(
        || VectorEngine::new(16, 4, true),
        |block, random, cycle| {
            let context = format!("cycle {cycle}, seed {SEED}");
            // Start, look, reset.
            block.start.next = cycle % 3 == 0;
            block.reset.next = cycle % 3 == 2;
            if cycle % 3 == 1 {
                let mut words = encode(random_vector(random, 16, 4));
                let word = words[0] & 0xffff | (field(random, 13) << 16);
                words[0] = word;
                drive(&mut block.command, &words);
                settle_before_edge!(block);
                let legal = Command::decode(&words).is_ok();
                assert_eq!(block.illegal.val(), !legal, "{context}");
                counts[usize::from(legal)] += 1;
            } else {
                settle_before_edge!(block);
                assert!(!block.illegal.val(), "{context}");
            }
        },
        clocked!(),
        600,
        SEED,
    )?;
    assert!(counts.iter().all(|count| *count > 20), "illegal, legal: {counts:?}");
    Ok(())
}
