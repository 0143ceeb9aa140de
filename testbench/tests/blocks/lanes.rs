//! Lanes, places and tables.

use super::*;

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
                // No place, one, or a place that the row does not have.
                block.places.next = (random.bits(1) << random.below((words / unit_words) as u64 + 1)).into();
            },
            no_clock,
            CYCLES,
            SEED,
        )?;
    }
    Ok(())
}

#[test]
fn one_hot() -> Result<(), CompareError> {
    compare_native_and_verilated(
        OneHot::default,
        |block, _, cycle| block.number.next = (cycle % 256).into(),
        no_clock,
        256,
        SEED,
    )?;
    Ok(())
}

/// What comes in a cycle is there in the next.
#[test]
fn load_register() -> Result<(), CompareError> {
    const WORDS: usize = 2;
    // The unit, and valid, layout, address, position, column and row.
    let mut expected = (vec![0; WORDS], [0u64; 6]);
    compare_native_and_verilated(
        || LoadRegister::new(WORDS),
        |block, random, cycle| {
            let place = [
                u64::from(block.write_valid.val()),
                block.write_layout.val().to_u64(),
                block.write_address.val().to_u64(),
                block.write_position.val().to_u64(),
                block.write_column.val().to_u64(),
                block.write_row.val().to_u64(),
            ];
            assert_eq!((words_of(&block.write_unit), place), expected, "cycle {cycle}, seed {SEED}");
            let unit: Vec<u32> = (0..WORDS).map(|_| random.bits(32) as u32).collect();
            let place = [1, 2, 16, 8, 8, 8].map(|bits| random.bits(bits));
            drive_words(&mut block.unit, unit.iter().map(|word| u64::from(*word)));
            block.valid.next = place[0] == 1;
            block.layout.next = place[1].into();
            block.address.next = place[2].into();
            block.position.next = place[3].into();
            block.column.next = place[4].into();
            block.row.next = place[5].into();
            expected = (unit, place);
        },
        clocked!(),
        CYCLES,
        SEED,
    )?;
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
        clocked!(),
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
    const LANES: usize = 4;
    let mut table = vec![0u8; 512];
    let (mut written, mut expected) = (None, None);
    let mut waited = 0;
    compare_native_and_verilated(
        || TableLookup::new(2, LANES, 1),
        |block, random, cycle| {
            if let Some(expected) = expected.take() {
                let found: Vec<u8> = block.result.iter().map(|result| result.val().to_u8()).collect();
                assert_eq!(found, expected, "cycle {cycle}, seed {SEED}");
            }
            if let Some((row, word)) = written.take() {
                let word: u32 = word;
                table[4 * row..4 * row + 4].copy_from_slice(&word.to_le_bytes());
            }
            // Many words first, then now and then one, which waits while there are lookups.
            let (enable, writes) =
                if cycle < 128 { (false, true) } else { (random.one_in(2), random.one_in(4)) };
            let (row, word) = (random.below(128), random.bits(32) as u32);
            block.write_valid.next = writes;
            block.write_address.next = row.into();
            block.write_data.next = u64::from(word).into();
            if writes && !enable {
                written = Some((row as usize, word));
            }
            waited += u32::from(writes && enable);
            let number = random.below(2) as usize;
            let values: Vec<u8> = (0..LANES).map(|_| random.bits(8) as u8).collect();
            block.enable.next = enable;
            block.table.next = (number as u64).into();
            for (port, value) in block.value.iter_mut().zip(&values) {
                port.next = u64::from(*value).into();
            }
            let entry = |value: &u8| if enable { table[256 * number + *value as usize] } else { *value };
            expected = Some(values.iter().map(entry).collect::<Vec<u8>>());
        },
        clocked!(),
        CYCLES,
        SEED,
    )?;
    assert!(waited > 100, "{waited} words waited");
    Ok(())
}
