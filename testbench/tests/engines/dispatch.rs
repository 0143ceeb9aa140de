//! Dispatch.

use super::*;

/// What goes wrong in a run of [`dispatch`].
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    None,
    NoEnd,
    NoCommands,
    Opcode,
    Illegal(usize),
    Read,
    Write,
    Fetch,
}

impl Fault {
    /// Status code and engine, as in the register table.
    fn status(self) -> (u64, u64) {
        match self {
            Fault::None => (0, 0),
            Fault::Opcode => (1, 4),
            Fault::Illegal(engine) => (2, engine as u64),
            Fault::Fetch => (3, 4),
            Fault::Read => (4, 0),
            Fault::Write => (5, 3),
            Fault::NoEnd | Fault::NoCommands => (6, 4),
        }
    }
}

/// A program in memory and how far its run is.
#[derive(Debug)]
struct Run {
    address: u64,
    /// Opcode of each command; the other words are a function of the address.
    opcodes: Vec<u32>,
    fault: Fault,
    /// Commands delivered to their queues or executed by dispatch itself.
    next: usize,
    /// Words of the command that is being delivered.
    words: Vec<u32>,
    /// The bus error or the illegal command has happened.
    has_happened: bool,
}

impl Run {
    fn random(random: &mut Random) -> Self {
        let fault = match random.below(12) {
            0 => Fault::NoEnd,
            1 => Fault::NoCommands,
            2 => Fault::Opcode,
            3 => Fault::Illegal(random.below(4) as usize),
            4 => Fault::Read,
            5 => Fault::Write,
            6 => Fault::Fetch,
            _ => Fault::None,
        };
        let count = random.below(30);
        let mut opcodes: Vec<u32> = (0..count).map(|_| 1 + random.below(9).min(4) as u32).collect();
        match fault {
            Fault::NoEnd => opcodes.push(1),
            Fault::NoCommands => opcodes.clear(),
            Fault::Opcode => opcodes.extend([[0, 12, 255, 128][random.below(4) as usize], 1, 6]),
            // The engines are still at work when the fault happens.
            Fault::Illegal(_) | Fault::Read | Fault::Write => opcodes.extend([1, 1, 1, 6]),
            _ => opcodes.push(6),
        }
        if fault == Fault::None && random.one_in(3) {
            // Beyond the end of the program nothing counts.
            opcodes.extend([9, 1, 2]);
        }
        let address = random.bits(32) & !63;
        Self { address, opcodes, fault, next: 0, words: Vec::new(), has_happened: false }
    }

    fn word(&self, address: u64) -> u32 {
        let offset = address.wrapping_sub(self.address) & 0xffff_ffff;
        let word = contents("program", address & 0xffff_ffff, 1);
        if offset % COMMAND_BYTES as u64 == 0 {
            let opcode = self.opcodes.get(offset as usize / COMMAND_BYTES);
            return word & !0xff | opcode.expect("a command of the program");
        }
        word
    }

    /// The commands that dispatch keeps: they have no queue.
    fn skip_control(&mut self) {
        while self.opcodes.get(self.next) == Some(&5) {
            self.next += 1;
        }
    }
}

#[test]
fn dispatch() -> Result<(), CompareError> {
    for bus_words in [2, 4] {
        let bus_bytes = 4 * bus_words as u64;
        let mut run: Option<Run> = None;
        let mut fetched: VecDeque<u64> = VecDeque::new();
        let mut fetches = 0;
        // When the engines will have done what they were given; when they last were.
        let mut busy_until = 0;
        let mut must_reset = false;
        let mut ends: BTreeMap<(u64, u64), u32> = BTreeMap::new();
        compare_native_and_verilated(
            || Dispatch::new(bus_words, true, true),
            |block, random, cycle| {
                let context = format!("cycle {cycle}, seed {SEED}, {bus_words} words, {run:?}");
                let mut starts = false;
                // A start after an error does nothing until there was a reset.
                let resets = run.is_none() && must_reset && random.one_in(4);
                if run.is_none() && random.one_in(3) {
                    starts = true;
                    let next = Run::random(random);
                    block.program_address.next = next.address.into();
                    block.program_commands.next = (next.opcodes.len() as u64).into();
                    if !must_reset {
                        (run, fetches, busy_until) = (Some(next), 0, cycle);
                    }
                }
                must_reset &= !resets;
                let beat_valid = !fetched.is_empty() && !random.one_in(3);
                let address = if beat_valid { fetched[0] } else { 0 };
                let words: Vec<u32> = match (&run, beat_valid) {
                    (Some(run), true) => {
                        (0..bus_bytes / 4).map(|word| run.word(address + 4 * word)).collect()
                    }
                    _ => (0..bus_words).map(|_| field(random, 32)).collect(),
                };
                let fetch_ready = random.one_in(2);
                let queue_ready = [0; 4].map(|_| !random.one_in(3));
                let idle = cycle >= busy_until;
                // At most one fault a run, while there is something that it can happen to.
                let mut illegal = [false; 4];
                let [mut read_error, mut write_error] = [false; 2];
                let mut beat_error = !beat_valid && random.one_in(2);
                if let Some(run) = run.as_mut().filter(|run| !run.has_happened && !starts && random.one_in(6))
                {
                    match run.fault {
                        Fault::Illegal(engine) if !idle => illegal[engine] = true,
                        Fault::Read if !idle => read_error = true,
                        Fault::Write if !idle => write_error = true,
                        Fault::Fetch if beat_valid => beat_error = true,
                        _ => {}
                    }
                    let happens = illegal.contains(&true) || read_error || write_error;
                    run.has_happened = happens || beat_valid && beat_error;
                }
                block.start.next = starts;
                block.reset.next = resets;
                block.fetch_ready.next = fetch_ready;
                block.beat_valid.next = beat_valid;
                block.beat_error.next = beat_error;
                drive(&mut block.beat, &words);
                for (engine, port) in block.queue_ready.iter_mut().enumerate() {
                    port.next = queue_ready[engine];
                }
                for (port, illegal) in block.illegal.iter_mut().zip(illegal) {
                    port.next = illegal;
                }
                block.idle.iter_mut().for_each(|port| port.next = idle);
                block.engines_idle.next = idle;
                block.read_error.next = read_error;
                block.write_error.next = write_error;
                settle_before_edge!(block);

                if beat_valid {
                    fetched.pop_front();
                }
                let delivers: Vec<usize> = (0..4).filter(|engine| block.queue_valid[*engine].val()).collect();
                let Some(this) = run.as_mut().filter(|_| !starts) else {
                    assert!(
                        !block.busy.val() && delivers.is_empty() && !block.fetch_valid.val(),
                        "{context}"
                    );
                    return;
                };
                // Fetch: whole commands, in order, at most four ahead.
                if block.fetch_valid.val() && fetch_ready {
                    let address = (this.address + fetches * COMMAND_BYTES as u64) & 0xffff_ffff;
                    assert_eq!(block.fetch_address.val().to_u64(), address, "{context}");
                    assert_eq!(
                        (block.fetch_length.val().to_u64() + 1) * bus_bytes,
                        COMMAND_BYTES as u64,
                        "{context}"
                    );
                    fetched
                        .extend((0..COMMAND_BYTES as u64).step_by(bus_bytes as usize).map(|n| address + n));
                    fetches += 1;
                    let commands = this.opcodes.len() as u64;
                    let ahead = fetches - block.command_index.val().to_u64();
                    assert!(fetches <= commands && ahead <= 4, "{context}");
                }
                // Dispatch: commands in program order, each to its engine's queue.
                let was_stopped = block.halt.val();
                assert!(!was_stopped || delivers.is_empty(), "{context}");
                if let Some(engine) = delivers.first().copied() {
                    assert_eq!(delivers.len(), 1, "{context}");
                    if this.words.is_empty() {
                        let before = this.next;
                        this.skip_control();
                        assert!(
                            before == this.next || idle,
                            "{context}: nothing passes a barrier while engines run"
                        );
                    }
                    assert_eq!(this.opcodes.get(this.next), Some(&(engine as u32 + 1)), "{context}");
                    if queue_ready[engine] {
                        this.words.extend(words_of(&block.queue_beat));
                        if this.words.len() == COMMAND_WORDS {
                            let first = this.address + (this.next * COMMAND_BYTES) as u64;
                            let expected: Vec<u32> =
                                (0..COMMAND_WORDS as u64).map(|word| this.word(first + 4 * word)).collect();
                            assert_eq!(this.words, expected, "{context}");
                            this.words.clear();
                            this.next += 1;
                        }
                        busy_until = busy_until.max(cycle + 1 + random.below(40));
                    }
                }
                // The end.
                if !block.busy.val() {
                    let fault = match this.fault {
                        Fault::NoEnd | Fault::NoCommands | Fault::Opcode => this.fault,
                        fault if this.has_happened => fault,
                        _ => Fault::None,
                    };
                    let status = (block.status_code.val().to_u64(), block.status_engine.val().to_u64());
                    assert!(block.done.val() && fetched.is_empty() && idle, "{context}");
                    assert_eq!(status, fault.status(), "{context}");
                    this.skip_control();
                    let index = block.command_index.val().to_u64() as usize;
                    match fault {
                        Fault::None => {
                            assert_eq!(this.opcodes[this.next], 6, "{context}");
                            assert_eq!(index, this.next + 1, "{context}");
                        }
                        Fault::NoEnd => {
                            assert_eq!((index, this.next), (this.opcodes.len(), index), "{context}")
                        }
                        Fault::Opcode => {
                            assert!([0, 12, 128, 255].contains(&this.opcodes[index]), "{context}")
                        }
                        _ => assert!(index <= this.opcodes.len(), "{context}"),
                    }
                    *ends.entry(status).or_default() += 1;
                    must_reset = status.0 != 0;
                    run = None;
                }
            },
            clocked!(),
            20_000,
            SEED,
        )?;
        assert!(ends.len() >= 9, "ways to end: {ends:?}");
    }
    Ok(())
}
