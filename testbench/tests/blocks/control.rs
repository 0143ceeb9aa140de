//! Fields of commands, tokens, queues and registers.

use super::*;

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
    field_decoder!(Move, "move_bytes");
    Ok(())
}

#[test]
fn token_counters() -> Result<(), CompareError> {
    // What counts, and what was sent and taken in the cycle before.
    let mut counters = [0u64; 16];
    let mut coming = [(0u64, 0u64); 16];
    let mut most = 0;
    compare_native_and_verilated(
        TokenCounters::default,
        |block, random, cycle| {
            // Phases that fill, empty and balance the counters.
            let (send_chance, take_chance) = [(1, 9), (9, 1), (2, 2)][(cycle / 400 % 3) as usize];
            let reset = random.one_in(700);
            let (mut sends, mut takes, mut available, mut blocked) =
                ([0u64; 4], [0u64; 4], [0u64; 4], [0u64; 4]);
            let mut counts = [0u64; 4];
            for (pair, (counter, coming)) in counters.iter_mut().zip(&mut coming).enumerate() {
                let (from, to) = (pair / 4, pair % 4);
                counts[to] |= *counter << (8 * from);
                blocked[from] |= u64::from(*counter >= 240 || *counter == 239 && coming.0 == 1) << to;
                // No token is sent to a full counter, none is taken that is not there.
                *counter = *counter + coming.0 - coming.1;
                most = most.max(*counter);
                let is_there = *counter > 0;
                let takes_one = random.one_in(take_chance) && is_there;
                let sends_one = random.one_in(send_chance) && *counter < 255;
                available[to] |= u64::from(is_there) << from;
                sends[from] |= u64::from(sends_one) << to;
                takes[to] |= u64::from(takes_one) << from;
                *coming = (u64::from(sends_one), u64::from(takes_one));
                if reset {
                    (*counter, *coming) = (0, (0, 0));
                }
            }
            block.reset.next = reset;
            drive_words(&mut block.send, sends);
            drive_words(&mut block.take, takes);
            settle_before_edge!(block);
            for engine in 0..4 {
                let native = [
                    block.available[engine].val().to_u64(),
                    block.blocked[engine].val().to_u64(),
                    block.counts[engine].val().to_u64(),
                ];
                let expected = [available[engine], blocked[engine], counts[engine]];
                assert_eq!(native, expected, "engine {engine}, cycle {cycle}, seed {SEED}");
            }
        },
        clocked!(),
        3 * CYCLES,
        SEED,
    )?;
    assert_eq!(most, 255, "no counter was ever full");
    Ok(())
}

#[test]
fn command_buffer() -> Result<(), CompareError> {
    // With a queue, and without.
    for (depth, bus_words, last_field_word) in [(2, 2, 5), (2, 4, 15), (1, 2, 5), (1, 4, 15)] {
        let parts = COMMAND_WORDS / bus_words;
        let field = FieldSpec { word: last_field_word, ..HEADER[0] };
        // A command may start before its unused words are there.
        let used_words = (last_field_word + 1).div_ceil(bus_words) * bus_words;
        let mut beats: VecDeque<Vec<u32>> = VecDeque::new();
        // Commands of which a beat has arrived.
        let mut waiting: VecDeque<[u32; COMMAND_WORDS]> = VecDeque::new();
        let mut active: Option<[u32; COMMAND_WORDS]> = None;
        let (mut queued_beats, mut pushed, mut started) = (0, 0, 0);
        compare_native_and_verilated(
            || CommandBuffer::new(depth, bus_words, &[field], false),
            |block, random, cycle| {
                let context = format!("cycle {cycle}, seed {SEED}, {bus_words} words, depth {depth}");
                if let Some(command) = active {
                    assert_eq!(words_of(&block.active)[..used_words], command[..used_words], "{context}");
                }
                if !waiting.is_empty() {
                    assert!(!block.empty.val(), "{context}: a command waits");
                }
                // A command counts when all of it is queued or its used words are pending.
                let level = block.level.val().to_u64() as usize;
                assert!(level <= waiting.len() && level + 2 >= waiting.len(), "{context}: level {level}");
                if beats.is_empty() {
                    let command = [0; COMMAND_WORDS].map(|_| random.bits(32) as u32);
                    beats.extend(command.chunks(bus_words).map(<[u32]>::to_vec));
                }
                // Phases that fill and empty the queue; in the last one nothing new comes.
                let quiet = cycle >= 1_800;
                let phase = (cycle / 200 % 2) as usize;
                let valid = !quiet && random.one_in([1, 4][phase]);
                let take = random.one_in([30, 2][phase]) || quiet;
                let [available, blocked] =
                    [random.bits(4) | random.bits(4), random.bits(4) & random.bits(4) & random.bits(4)];
                let (available, blocked) = if quiet { (15, 0) } else { (available, blocked) };
                let halt = !quiet && random.one_in(5);
                block.beat_valid.next = valid;
                drive_words(&mut block.beat, beats[0].iter().map(|word| u64::from(*word)));
                block.take.next = take;
                block.available.next = available.into();
                block.blocked.next = blocked.into();
                block.halt.next = halt;
                settle_before_edge!(block);
                let taken = block.taken.val().to_u64();
                if take && block.waits.val() {
                    // The engine does not need the active command any more: it becomes the one at the head, started or not.
                    active = waiting.front().copied();
                }
                if block.start.val() {
                    let command = waiting.pop_front();
                    let command = command.unwrap_or_else(|| panic!("{context}: nothing to start"));
                    let (wait, signal) = (u64::from(command[0] >> 8 & 15), u64::from(command[0] >> 12 & 15));
                    assert!(take && !halt, "{context}");
                    assert_eq!((wait & !available, signal & blocked, taken), (0, 0, wait), "{context}");
                    active = Some(command);
                    started += 1;
                } else {
                    assert_eq!(taken, 0, "{context}");
                }
                if valid && block.beat_ready.val() {
                    if queued_beats % parts == 0 {
                        let whole: Vec<u32> = beats.iter().flatten().copied().collect();
                        waiting.push_back(whole.try_into().expect("the beats of one command"));
                        pushed += 1;
                        if depth == 1 {
                            // It takes the place of the one before, which the engine does not need any more.
                            assert!(take, "{context}");
                            active = None;
                        }
                    }
                    beats.pop_front();
                    queued_beats += 1;
                }
                if cycle == 1_999 && queued_beats % parts == 0 {
                    assert!(block.empty.val() && waiting.is_empty(), "{context}: a command is left");
                }
            },
            clocked!(),
            2_000,
            SEED,
        )?;
        assert!(started >= 30 && pushed - started <= 1, "{started} of {pushed} commands started");
    }
    Ok(())
}

/// What the host and the machine see of the registers.
#[derive(Default)]
struct RegisterModel {
    words: BTreeMap<u32, u32>,
    start: bool,
    /// Asked for in the cycle before, and in effect in this one.
    asks_reset: bool,
    machine_reset: bool,
}

impl RegisterModel {
    fn is_writable(offset: u32) -> bool {
        register::REGISTERS.iter().any(|r| r.offset == offset && r.access == register::Access::ReadWrite)
    }
}

#[test]
fn registers() -> Result<(), CompareError> {
    let config = frugal_isa::Config::preset("large").expect("a preset").with_bus_bits(128);
    let shape = 16 | 16 << 8 | 8 << 16 | 16 << 24;
    let mut model = RegisterModel::default();
    model.words.extend([
        (register::IDENTITY, register::IDENTITY_VALUE),
        (register::VERSION, frugal_isa::ISA_VERSION),
        (register::SHAPE, shape),
        (register::ACTIVATION_DEPTH, config.activation_depth as u32),
        (register::WEIGHT_DEPTH, config.weight_depth as u32),
        (register::PARAMETER_DEPTH, config.parameter_depth as u32),
        (register::ACCUMULATOR_DEPTH, config.accumulator_depth as u32),
        (register::FEATURES, config.features()),
    ]);
    let (mut write_address, mut write_data, mut read_address) = (None, None, None);
    let mut unanswered: VecDeque<()> = VecDeque::new();
    let mut read_words: VecDeque<(u32, u32)> = VecDeque::new();
    let (mut cycles, mut steps) = (0u64, 0u32);
    let (mut writes, mut reads, mut starts, mut resets) = (0, 0, 0, 0);
    let mut busy = false;
    compare_native_and_verilated(
        || Registers::new(&config),
        |block, random, cycle| {
            let context = format!("cycle {cycle}, seed {SEED}");
            // Mostly addresses of the map, some beyond it.
            let mut address = || {
                if random.one_in(8) {
                    random.bits(12) as u32 & !3
                } else {
                    register::REGISTERS[random.below(register::REGISTERS.len() as u64) as usize].offset
                }
            };
            let fresh = [address(), address()];
            if write_address.is_none() && random.one_in(3) {
                write_address = Some(if random.one_in(3) { register::CONTROL } else { fresh[0] });
            }
            if write_data.is_none() && random.one_in(3) {
                write_data = Some(random.bits(32) as u32);
            }
            if read_address.is_none() && random.one_in(3) {
                read_address = Some(fresh[1]);
            }
            if random.one_in(20) {
                busy = !busy;
            }
            let matrix_step = random.one_in(2);
            let [status, index] = [0; 2].map(|_| random.bits(32) as u32);
            let debug: Vec<u32> = (0..7).map(|_| random.bits(32) as u32).collect();
            let (b_ready, r_ready) = (random.one_in(2), random.one_in(2));
            block.aw_valid.next = write_address.is_some();
            block.aw_address.next = u64::from(write_address.unwrap_or_default()).into();
            block.w_valid.next = write_data.is_some();
            block.w_data.next = u64::from(write_data.unwrap_or_default()).into();
            block.b_ready.next = b_ready;
            block.ar_valid.next = read_address.is_some();
            block.ar_address.next = u64::from(read_address.unwrap_or_default()).into();
            block.r_ready.next = r_ready;
            block.busy.next = busy;
            block.status.next = u64::from(status).into();
            block.command_index.next = u64::from(index).into();
            block.matrix_step.next = matrix_step;
            drive_words(&mut block.debug, debug.iter().map(|word| u64::from(*word)));
            settle_before_edge!(block);

            model.words.extend([
                (register::STATUS, status),
                (register::COMMAND_INDEX, index),
                (register::CYCLES_LOW, cycles as u32),
                (register::CYCLES_HIGH, (cycles >> 32) as u32),
                (register::MATRIX_STEPS, steps),
            ]);
            model.words.extend((register::DEBUG_STATES..).step_by(4).zip(debug));
            // To the machine.
            let start = model.start && !busy;
            assert_eq!(block.start.val(), start, "{context}");
            assert_eq!(block.machine_reset.val(), model.machine_reset, "{context}");
            let word = |offset: u32| model.words.get(&offset).copied().unwrap_or_default();
            let outputs =
                [block.program_address.val(), block.program_commands.val()].map(|port| port.to_u32());
            assert_eq!(
                outputs,
                [register::PROGRAM_ADDRESS, register::PROGRAM_COMMANDS].map(word),
                "{context}"
            );
            for (base, offset) in words_of(&block.base).into_iter().zip((register::BASE_0..).step_by(4)) {
                assert_eq!(base, word(offset), "{context}, base at {offset:#x}");
            }
            cycles += u64::from(busy);
            steps = steps.wrapping_add(u32::from(matrix_step));
            if start {
                (cycles, steps) = (0, 0);
                starts += 1;
            }
            (model.start, model.machine_reset, model.asks_reset) = (false, model.asks_reset, false);

            // Reads; the value is that of the cycle in which the address is taken.
            if block.r_valid.val() {
                let (offset, expected) = *read_words.front().unwrap_or_else(|| panic!("{context}: no read"));
                assert_eq!(block.r_data.val().to_u32(), expected, "{context}, register {offset:#x}");
                if r_ready {
                    read_words.pop_front();
                    reads += 1;
                }
            }
            if block.ar_ready.val() {
                let offset = read_address.take().unwrap_or_else(|| panic!("{context}: no address"));
                read_words.push_back((offset, word(offset)));
                assert_eq!(read_words.len(), 1, "{context}");
            }
            // Writes: address and data together.
            assert_eq!(block.aw_ready.val(), block.w_ready.val(), "{context}");
            assert_eq!(block.b_valid.val(), !unanswered.is_empty(), "{context}");
            if block.b_valid.val() && b_ready {
                unanswered.pop_front();
            }
            if block.aw_ready.val() {
                let (Some(offset), Some(data)) = (write_address.take(), write_data.take()) else {
                    panic!("{context}: nothing to write");
                };
                unanswered.push_back(());
                writes += 1;
                if RegisterModel::is_writable(offset) {
                    model.words.insert(offset, data);
                }
                if offset == register::CONTROL {
                    model.start = data & 1 == 1;
                    model.asks_reset = data & 2 == 2 && !busy;
                    resets += u64::from(model.asks_reset);
                }
            }
        },
        clocked!(),
        4 * CYCLES,
        SEED,
    )?;
    let counts = [writes, reads, starts, resets];
    assert!(counts.iter().all(|count| *count > 20), "writes, reads, starts, resets: {counts:?}");
    Ok(())
}
