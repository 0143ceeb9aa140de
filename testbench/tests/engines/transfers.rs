//! The load and the store engine.

use super::*;

/// Small machines: on one a bus beat holds several vectors and groups, on the other a vector takes several beats.
fn transfer_configs() -> [Config; 2] {
    let config = |rows, cols, lanes, bus_bits| Config {
        name: format!("{rows} rows"),
        rows,
        cols,
        lanes,
        activation_depth: 64,
        weight_depth: 64,
        parameter_depth: 64,
        accumulator_depth: 64,
        tables: TABLES,
        four_bit: true,
        row_engine: true,
        counters: true,
        base_registers: 8,
        depthwise_taps: cols.min(4),
        sequential: false,
        queue_depth: 2,
        bus_bits,
    };
    [config(8, 4, 2, 128), config(32, 8, 4, 64)]
}

/// The bursts of a transfer, as the memory sees them.
#[derive(Default)]
struct Bursts {
    /// Addresses of the beats that the command needs, in order.
    expected: VecDeque<u64>,
    /// Beats asked for: address, and whether it is the last of its burst.
    beats: VecDeque<(u64, bool)>,
}

impl Bursts {
    fn expect(&mut self, base: u32, offset: u32, rows: u32, row_bytes: u32, stride: u32, bus_bytes: u64) {
        assert!(self.expected.is_empty(), "the transfer before has not asked for all of its beats");
        for row in 0..rows {
            let first = base.wrapping_add(offset).wrapping_add(row.wrapping_mul(stride));
            for beat in (0..u64::from(row_bytes)).step_by(bus_bytes as usize) {
                self.expected.push_back((u64::from(first) + beat) & 0xffff_ffff);
            }
        }
    }

    fn take(&mut self, address: u64, beats: u64, bus_bytes: u64, context: &str) {
        assert!(
            beats <= 64 && address % 4096 + beats * bus_bytes <= 4096,
            "{context}: {beats} at {address:#x}"
        );
        for beat in 0..beats {
            let address = address + beat * bus_bytes;
            assert_eq!(self.expected.pop_front(), Some(address), "{context}");
            self.beats.push_back((address, beat + 1 == beats));
        }
    }
}

fn memory_byte(address: u64) -> u8 {
    contents("memory", address & 0xffff_ffff, 0) as u8
}

/// Bytes on chip: (space, address, byte in the row).
type OnChip = BTreeMap<(u32, u16, usize), u8>;

fn random_load(random: &mut Random, config: &Config) -> Load {
    let space = random.below(4) as u32;
    let layout = if space == space::WEIGHT { random.below(4) as u32 } else { layout::LINEAR };
    let long = if random.one_in(8) { 40 } else { 6 };
    Load {
        tokens: tokens(random),
        space,
        layout,
        base_register: field(random, 3),
        memory_offset: field(random, 32) & !15,
        rows: 1 + random.below(6) as u32,
        first_row: match layout {
            layout::COLUMN => random.below(config.cols as u64) as u32,
            layout::ROW => random.below(config.rows as u64) as u32,
            _ => field(random, 16),
        },
        row_bytes: 16 * (1 + random.below(long) as u32),
        memory_stride: field(random, 32) & !15,
        address: field(random, 16),
        stride: field(random, 16),
    }
}

/// Where docs/architecture.md puts the bytes of a load.
fn loaded(load: &Load, base: u32, config: &Config, memory: &mut OnChip) {
    let (rows, cols) = (config.rows, config.cols);
    let width = match load.space {
        space::ACTIVATION => rows,
        space::WEIGHT if load.layout == layout::SCALES => 2 * cols,
        space::WEIGHT => rows * cols,
        space::PARAMETER => 12 * config.lanes,
        _ => 4 * config.lanes,
    };
    for i in 0..load.rows {
        let from = base.wrapping_add(load.memory_offset).wrapping_add(i.wrapping_mul(load.memory_stride));
        let row = (load.first_row + i) as usize;
        for n in 0..load.row_bytes as usize {
            let (address, byte) = match load.layout {
                layout::LINEAR | layout::SCALES => (i as usize * load.stride as usize + n / width, n % width),
                layout::COLUMN => {
                    (row / cols * load.stride as usize + n / rows, row % cols * rows + n % rows)
                }
                _ => (n / cols * load.stride as usize + row / rows, n % cols * rows + row % rows),
            };
            let address = (load.address as usize + address) as u16;
            memory.insert((load.space, address, byte), memory_byte(u64::from(from) + n as u64));
        }
    }
}

#[test]
fn load_engine() -> Result<(), CompareError> {
    for config in transfer_configs() {
        let bus_bytes = config.bus_bytes();
        let bases: Vec<u32> = (0..8).map(|base| contents("base", base, 0) & !15).collect();
        let mut next_command: Option<Load> = None;
        // Commands started and not yet finished, and what they load.
        let mut under_way: VecDeque<(Load, OnChip)> = VecDeque::new();
        let mut most_under_way = 0;
        let mut bursts = Bursts::default();
        let mut on_chip = OnChip::new();
        let mut offered = None;
        let mut finished_commands = 0;
        let mut signalled = 0;
        compare_native_and_verilated(
            || LoadEngine::new(&config),
            |block, random, cycle| {
                let context = format!("cycle {cycle}, seed {SEED}, {}", config.name);
                if let Some(next) = next_command.take() {
                    drive(&mut block.command, &encode(next.clone()));
                    let command = next;
                    let base = bases[command.base_register as usize];
                    bursts.expect(
                        base,
                        command.memory_offset,
                        command.rows,
                        command.row_bytes,
                        command.memory_stride,
                        bus_bytes as u64,
                    );
                    let mut expected = OnChip::new();
                    loaded(&command, base, &config, &mut expected);
                    under_way.push_back((command, expected));
                    most_under_way = most_under_way.max(under_way.len());
                }
                if offered.is_none() && !random.one_in(4) {
                    offered = bursts.beats.pop_front().map(|(address, _)| (address, random.one_in(10)));
                }
                // Phases of a fast and a slow memory.
                let slow = cycle / 500 % 2 == 0;
                let burst_ready = !random.one_in(if slow { 2 } else { 9 });
                let write_ready = !random.one_in(if slow { 3 } else { 30 });
                block.burst_ready.next = burst_ready;
                block.write_ready.next = write_ready;
                block.beat_valid.next = offered.is_some();
                let (address, error) = offered.unwrap_or((random.bits(32), random.one_in(2)));
                let bytes: Vec<u8> = (0..bus_bytes as u64).map(|byte| memory_byte(address + byte)).collect();
                let words: Vec<u32> = bytes
                    .chunks(4)
                    .map(|word| word.iter().rev().fold(0, |word, byte| word << 8 | u32::from(*byte)))
                    .collect();
                drive(&mut block.beat, &words);
                block.beat_error.next = error;
                block.start.next = false;
                settle_before_edge!(block);
                block.base.next = u64::from(bases[block.base_register.val().index()]).into();
                settle_before_edge!(block);

                assert!(!block.illegal.val(), "{context}");
                if block.burst_valid.val() && burst_ready {
                    let beats = block.burst_length.val().to_u64() + 1;
                    bursts.take(block.burst_address.val().to_u64(), beats, bus_bytes as u64, &context);
                }
                let taken = offered.is_some() && block.beat_ready.val();
                assert_eq!(block.read_error.val(), taken && error, "{context}");
                if taken {
                    offered = None;
                }
                assert_eq!(block.busy.val(), !under_way.is_empty(), "{context}");
                // A cycle after its last write, with which its tokens come.
                let signal = std::mem::replace(&mut signalled, block.signal.val().to_u8());
                if block.finished.val() {
                    let (command, expected) = under_way.pop_front().expect("a command is under way");
                    assert_eq!(signal, command.tokens.signal, "{context}");
                    assert_eq!(on_chip, expected, "{context}: {command:?}");
                    on_chip.clear();
                    finished_commands += 1;
                } else {
                    assert_eq!(signal, 0, "{context}");
                }
                if block.write_valid.val() && write_ready {
                    let command = &under_way[0].0;
                    let target = match (command.space, command.layout) {
                        (space::ACTIVATION, _) => target::ACTIVATION,
                        (space::WEIGHT, layout::SCALES) => target::SCALE,
                        (space::WEIGHT, _) => target::WEIGHT,
                        (space::PARAMETER, layout::TABLE) => target::TABLE,
                        (space::PARAMETER, layout::SCALARS) => target::SCALAR,
                        (space::PARAMETER, _) => target::PARAMETER,
                        _ => target::ACCUMULATOR,
                    };
                    assert_eq!(block.write_target.val().to_u32(), 1 << target, "{context}");
                    assert_eq!(block.write_layout.val().to_u32(), command.layout, "{context}");
                    let address = block.write_address.val().to_u16();
                    let [position, column, row] =
                        [&block.write_position, &block.write_column, &block.write_row]
                            .map(|p| p.val().index());
                    let place = u32::try_from(position).ok().and_then(|place| 1u32.checked_shl(place));
                    assert_eq!(block.write_places.val().to_u32(), place.unwrap_or(0), "{context}");
                    let unit = bytes_of(&words_of(&block.write_unit));
                    // The bytes of the beat that fill the row, and where they land: as lanes::WordPlace and
                    // lanes::WeightPlace have it.
                    let width = match (command.space, command.layout) {
                        (space::ACTIVATION, _) | (space::WEIGHT, layout::COLUMN) => config.rows,
                        (space::WEIGHT, layout::ROW) => config.cols,
                        (space::WEIGHT, layout::SCALES) => 2 * config.cols,
                        (space::WEIGHT, _) => bus_bytes,
                        _ => 4 * config.lanes,
                    };
                    let width = width.min(bus_bytes);
                    for (byte, value) in unit.iter().take(width).enumerate() {
                        let place = position * width + byte;
                        let place = match command.layout {
                            layout::COLUMN => column * config.rows + place,
                            layout::ROW => place * config.rows + row,
                            _ => place,
                        };
                        on_chip.insert((command.space, address, place), *value as u8);
                    }
                }
                let starts = block.take.val() && random.one_in(2);
                if starts {
                    assert!(bursts.expected.is_empty(), "{context}");
                    next_command = Some(random_load(random, &config));
                }
                block.start.next = starts;
            },
            clocked!(),
            5_000,
            SEED,
        )?;
        assert!(finished_commands > 30, "only {finished_commands} commands");
        assert!(most_under_way > 2, "at most {most_under_way} commands at a time");
    }
    Ok(())
}

fn random_store(random: &mut Random, _: &Config) -> Store {
    let long = if random.one_in(8) { 40 } else { 6 };
    // Rows that do not overlap, so that their order does not matter.
    let row_bytes = 16 * (1 + random.below(long) as u32);
    Store {
        tokens: tokens(random),
        space: if random.one_in(2) { space::ACTIVATION } else { space::ACCUMULATOR },
        base_register: field(random, 3),
        memory_offset: field(random, 32) & !15,
        rows: 1 + random.below(6) as u32,
        row_bytes,
        memory_stride: row_bytes + 16 * random.below(300) as u32,
        address: field(random, 16),
        stride: field(random, 16),
    }
}

#[test]
fn store_engine() -> Result<(), CompareError> {
    for config in transfer_configs() {
        let bus_bytes = config.bus_bytes() as u64;
        let bases: Vec<u32> = (0..8).map(|base| contents("base", base, 0) & !15).collect();
        let mut next_command: Option<Store> = None;
        // Commands started and not yet finished: bytes they must write, bursts asked for, answers, bytes written. Two may write the same ones.
        type UnderWay = (Store, BTreeMap<u32, u8>, u32, u32, BTreeMap<u32, u8>);
        let mut under_way: VecDeque<UnderWay> = VecDeque::new();
        let mut most_under_way = 0;
        let mut bursts = Bursts::default();
        let (mut activation_asked, mut accumulator_asked) = (None, None);
        // Cycles in which memory answers a burst.
        let mut answers: VecDeque<u64> = VecDeque::new();
        let mut finished_commands = 0;
        compare_native_and_verilated(
            || StoreEngine::new(&config),
            |block, random, cycle| {
                let context = format!("cycle {cycle}, seed {SEED}, {}", config.name);
                if let Some(command) = next_command.take() {
                    drive(&mut block.command, &encode(command.clone()));
                    let base = bases[command.base_register as usize];
                    bursts.expect(
                        base,
                        command.memory_offset,
                        command.rows,
                        command.row_bytes,
                        command.memory_stride,
                        bus_bytes,
                    );
                    let mut expected = BTreeMap::new();
                    let (name, width) = match command.space {
                        space::ACTIVATION => ("activation", config.rows),
                        _ => ("accumulator", 4 * config.lanes),
                    };
                    for i in 0..command.rows {
                        let to =
                            base.wrapping_add(command.memory_offset).wrapping_add(i * command.memory_stride);
                        for n in 0..command.row_bytes {
                            let vector = command.address + i * command.stride + n / width as u32;
                            let word = contents(name, u64::from(vector & 0xffff), n as usize % width / 4);
                            expected.insert(to.wrapping_add(n), word.to_le_bytes()[n as usize % 4]);
                        }
                    }
                    under_way.push_back((command, expected, 0, 0, BTreeMap::new()));
                    most_under_way = most_under_way.max(under_way.len());
                }
                answer(&mut block.activation_data, "activation", &mut activation_asked, random);
                answer(&mut block.accumulator_data, "accumulator", &mut accumulator_asked, random);
                let slow = cycle / 500 % 2 == 0;
                let mut ready = || !random.one_in(if slow { 3 } else { 20 });
                let [activation_ready, accumulator_ready, burst_ready, beat_ready] = [0; 4].map(|_| ready());
                block.activation_ready.next = activation_ready;
                block.accumulator_ready.next = accumulator_ready;
                block.burst_ready.next = burst_ready;
                block.beat_ready.next = beat_ready;
                let answers_now = answers.front().is_some_and(|at| *at <= cycle);
                let error = random.one_in(10);
                if answers_now {
                    answers.pop_front();
                    let waiting = under_way.iter_mut().find(|(_, _, asked, answered, _)| answered < asked);
                    waiting.expect("a burst without an answer").3 += 1;
                }
                block.response_valid.next = answers_now;
                block.response_error.next = error;
                block.start.next = false;
                settle_before_edge!(block);
                block.base.next = u64::from(bases[block.base_register.val().index()]).into();
                settle_before_edge!(block);

                assert!(!block.illegal.val() && block.response_ready.val(), "{context}");
                assert_eq!(block.write_error.val(), answers_now && error, "{context}");
                let address = block.read_address.val().to_u64();
                if block.activation_enable.val() && activation_ready {
                    activation_asked = Some(address);
                }
                if block.accumulator_enable.val() && accumulator_ready {
                    accumulator_asked = Some(address);
                }
                // Data never come before their address.
                if block.beat_valid.val() && beat_ready {
                    let (address, is_last) = bursts
                        .beats
                        .pop_front()
                        .unwrap_or_else(|| panic!("{context}: no burst for the beat"));
                    assert_eq!(block.beat_last.val(), is_last, "{context}");
                    // Beats come in the order of their commands.
                    let writes = under_way
                        .iter_mut()
                        .find(|(_, expected, .., written)| written.len() < expected.len());
                    let written = &mut writes.expect("a command has bytes to come").4;
                    for (byte, value) in bytes_of(&words_of(&block.beat)).into_iter().enumerate() {
                        written.insert((address + byte as u64) as u32, value as u8);
                    }
                    if is_last {
                        let after = answers.back().copied().unwrap_or_default();
                        answers.push_back(after.max(cycle + 1 + random.below(12)));
                    }
                }
                if block.burst_valid.val() && burst_ready {
                    let beats = block.burst_length.val().to_u64() + 1;
                    bursts.take(block.burst_address.val().to_u64(), beats, bus_bytes, &context);
                    under_way.back_mut().expect("a command is under way").2 += 1;
                }
                let busy = block.busy.val() || block.finished.val();
                assert_eq!(busy, !under_way.is_empty(), "{context}");
                let signal = block.signal.val().to_u8();
                if block.finished.val() {
                    let (command, expected, asked, answered, written) =
                        under_way.pop_front().expect("a command is under way");
                    assert_eq!(signal, command.tokens.signal, "{context}");
                    assert_eq!(asked, answered, "{context}");
                    assert_eq!(written, expected, "{context}: {command:?}");
                    if under_way.is_empty() {
                        assert!(bursts.expected.is_empty(), "{context}");
                    }
                    finished_commands += 1;
                } else {
                    assert_eq!(signal, 0, "{context}");
                }
                let starts = block.take.val() && random.one_in(2);
                if starts {
                    assert!(bursts.expected.is_empty(), "{context}");
                    next_command = Some(random_store(random, &config));
                }
                block.start.next = starts;
            },
            clocked!(),
            5_000,
            SEED,
        )?;
        assert!(finished_commands > 30, "only {finished_commands} commands");
        assert!(most_under_way > 1, "one command at a time");
    }
    Ok(())
}

#[test]
fn load_and_store_engines_report_illegal_fields() -> Result<(), CompareError> {
    illegal_fields!(LoadEngine, random_load, true);
    illegal_fields!(StoreEngine, random_store, false);
    Ok(())
}

#[test]
fn group_scales_are_illegal_without_four_bit_weights() -> Result<(), CompareError> {
    let config = small(8, 4, 2, 2, false);
    compare_native_and_verilated(
        || LoadEngine::new(&config),
        |block, random, cycle| {
            block.start.next = cycle % 3 == 0;
            block.reset.next = cycle % 3 == 2;
            let load = random_load(random, &config);
            let scales = load.layout == layout::SCALES;
            if cycle % 3 == 1 {
                drive(&mut block.command, &encode(load));
            }
            settle_before_edge!(block);
            assert_eq!(block.illegal.val(), cycle % 3 == 1 && scales, "cycle {cycle}, seed {SEED}");
        },
        clocked!(),
        600,
        SEED,
    )?;
    Ok(())
}
