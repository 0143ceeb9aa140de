//! The SDRAM controller between an AXI master and the chip's model, which reports every broken rule.
use frugal_hdl::emit::{emit, VerilogFile};
use frugal_hdl::sdram::{SdramChip, SdramController, SdramError};
use frugal_testbench::axi::{MasterPins, ProtocolChecker, Response, SlavePins};
use frugal_testbench::random::Random;
use frugal_testbench::sdram::{Rule, SdramModel, SdramPins};
use frugal_testbench::verilated::{lint_only, BuildOptions, PortHandle, VerilatedModel};
use std::collections::{HashMap, VecDeque};
use std::error::Error;
use std::ops::Range;

const CLOCK_KHZ: u32 = 100_000;
const SEED: u64 = 0x5d7a;
const BEAT_BYTES: u64 = 8;

/// The same chip with a short power-up wait, where that is not what is tested.
fn quick(chip: SdramChip) -> SdramChip {
    SdramChip { power_up_ns: 1_000, ..chip }
}

fn chips() -> [(&'static str, SdramChip); 2] {
    [("16 bits, 32 MiB", quick(SdramChip::ULX3S_32_MIB)), ("32 bits, 8 MiB", quick(SdramChip::TANG_NANO_20K))]
}

fn verilog(chip: &SdramChip, clock_khz: u32, pin_cycles: u32) -> Result<VerilogFile, Box<dyn Error>> {
    Ok(emit(&SdramController::new(chip, clock_khz, pin_cycles)?, "sdram", "")?)
}

/// The ports, looked up once.
struct Ports {
    inputs: HashMap<&'static str, PortHandle>,
    outputs: HashMap<&'static str, PortHandle>,
}

const INPUTS: [&str; 15] = [
    "reset",
    "ar_valid",
    "ar_address",
    "ar_length",
    "ar_id",
    "r_ready",
    "aw_valid",
    "aw_address",
    "aw_length",
    "w_valid",
    "w_data",
    "w_strobe",
    "w_last",
    "b_ready",
    "data_in",
];
const OUTPUTS: [&str; 21] = [
    "ar_ready",
    "r_valid",
    "r_data",
    "r_response",
    "r_last",
    "r_id",
    "aw_ready",
    "w_ready",
    "b_valid",
    "b_response",
    "clock_enable",
    "cs_n",
    "ras_n",
    "cas_n",
    "we_n",
    "address",
    "bank",
    "data_mask",
    "data_out",
    "data_out_enable",
    "initialised",
];

/// Controller and chip, with the registers of the pins between them.
struct Bench {
    model: VerilatedModel,
    ports: Ports,
    chip: SdramModel,
    to_chip: VecDeque<SdramPins>,
    from_chip: VecDeque<u32>,
    cycle: u64,
}

impl Bench {
    fn new(chip: &SdramChip) -> Result<Bench, Box<dyn Error>> {
        Bench::with(chip, chip, CLOCK_KHZ, (0, 0))
    }

    /// A controller made for one chip in front of another, with registers of the outputs and of the inputs.
    fn with(
        made_for: &SdramChip,
        chip: &SdramChip,
        clock_khz: u32,
        (out_cycles, in_cycles): (usize, usize),
    ) -> Result<Bench, Box<dyn Error>> {
        let file = verilog(made_for, clock_khz, (out_cycles + in_cycles) as u32)?;
        let model = VerilatedModel::new(&file, &BuildOptions::default())?;
        let ports = Ports {
            inputs: INPUTS.iter().map(|name| (*name, model.port(name))).collect(),
            outputs: OUTPUTS.iter().map(|name| (*name, model.port(name))).collect(),
        };
        let mut bench = Bench {
            model,
            ports,
            chip: SdramModel::new(chip, clock_khz),
            to_chip: vec![SdramPins { clock_enable: false, ..SdramPins::IDLE }; out_cycles].into(),
            from_chip: vec![0; in_cycles].into(),
            cycle: 0,
        };
        bench.reset();
        Ok(bench)
    }

    fn reset(&mut self) {
        self.model.set(self.ports.inputs["reset"], 1);
        self.cycle(&MasterPins::default());
        self.model.set(self.ports.inputs["reset"], 0);
    }

    fn get(&self, name: &str) -> u64 {
        self.model.get(self.ports.outputs[name])
    }

    fn flag(&self, name: &str) -> bool {
        self.get(name) != 0
    }

    fn slave(&self) -> SlavePins {
        let response = |name| match self.get(name) {
            0 => Response::Okay,
            2 => Response::SlaveError,
            other => panic!("cycle {}: {name} is {other}", self.cycle),
        };
        SlavePins {
            ar_ready: self.flag("ar_ready"),
            r_valid: self.flag("r_valid"),
            r_data: self.get("r_data").into(),
            r_response: response("r_response"),
            r_last: self.flag("r_last"),
            r_id: self.get("r_id") as u8,
            aw_ready: self.flag("aw_ready"),
            w_ready: self.flag("w_ready"),
            b_valid: self.flag("b_valid"),
            b_response: response("b_response"),
        }
    }

    fn chip_pins(&self) -> SdramPins {
        SdramPins {
            clock_enable: self.flag("clock_enable"),
            cs_n: self.flag("cs_n"),
            ras_n: self.flag("ras_n"),
            cas_n: self.flag("cas_n"),
            we_n: self.flag("we_n"),
            address: self.get("address") as u16,
            bank: self.get("bank") as u8,
            data_mask: self.get("data_mask") as u8,
            data_out: self.get("data_out") as u32,
            data_out_enable: self.flag("data_out_enable"),
        }
    }

    fn cycle(&mut self, master: &MasterPins) {
        let set = |model: &mut VerilatedModel, ports: &Ports, name: &str, value: u64| {
            model.set(ports.inputs[name], value);
        };
        for (name, value) in [
            ("ar_valid", master.ar_valid.into()),
            ("ar_address", master.ar_address.into()),
            ("ar_length", master.ar_length.into()),
            ("ar_id", master.ar_id.into()),
            ("r_ready", master.r_ready.into()),
            ("aw_valid", master.aw_valid.into()),
            ("aw_address", master.aw_address.into()),
            ("aw_length", master.aw_length.into()),
            ("w_valid", master.w_valid.into()),
            ("w_data", master.w_data as u64),
            ("w_strobe", master.w_strobe.into()),
            ("w_last", master.w_last.into()),
            ("b_ready", master.b_ready.into()),
        ] {
            set(&mut self.model, &self.ports, name, value);
        }
        // The chip's pins of this cycle, and what it drives in it.
        self.to_chip.push_back(self.chip_pins());
        let pins = self.to_chip.pop_front().expect("just pushed");
        self.from_chip.push_back(self.chip.data());
        self.chip.cycle(&pins);
        let data = self.from_chip.pop_front().expect("just pushed");
        set(&mut self.model, &self.ports, "data_in", data.into());
        self.model.cycle();
        self.cycle += 1;
    }

    fn check(&self) {
        let violations = self.chip.violations();
        let text: Vec<String> = violations.iter().take(10).map(ToString::to_string).collect();
        assert!(violations.is_empty(), "{} broken rules:\n{}", violations.len(), text.join("\n"));
        assert_eq!(self.model.errors(), 0);
    }
}

/// A read that was begun.
struct Read {
    bytes: Range<u64>,
    beats: VecDeque<u64>,
    id: u8,
    response: Response,
}

/// A write without an answer.
struct Write {
    bytes: Range<u64>,
    response: Response,
}

/// How eager the master is: one in so many cycles, for each of its channels.
#[derive(Clone, Copy)]
struct Pace {
    reads: u64,
    writes: u64,
    data: u64,
    read_ready: u64,
    answer_ready: u64,
}

/// An AXI master with random bursts and a copy of the memory.
struct Master {
    random: Random,
    pins: MasterPins,
    memory: HashMap<u64, u8>,
    chip_bytes: u64,
    reads: VecDeque<Read>,
    writes: VecDeque<Write>,
    /// Beats of writes, in order: data, strobe, last.
    data: VecDeque<(u64, u8, bool)>,
    longest: u64,
    finished: u64,
    errors: u64,
}

impl Master {
    fn new(seed: u64, chip: &SdramChip) -> Master {
        Master {
            random: Random::new(seed),
            pins: MasterPins::default(),
            memory: HashMap::new(),
            chip_bytes: chip.bytes(),
            reads: VecDeque::new(),
            writes: VecDeque::new(),
            data: VecDeque::new(),
            longest: 64,
            finished: 0,
            errors: 0,
        }
    }

    /// A burst: rows near each other in few banks, so that rows are hit, missed, and met again; sometimes anywhere, or beyond the chip.
    fn burst(&mut self) -> (u64, u64) {
        let random = &mut self.random;
        let start = match random.below(20) {
            0 => self.chip_bytes + random.below((1 << 32) - self.chip_bytes),
            1 => random.below(self.chip_bytes),
            2 => self.chip_bytes - 1 - random.below(256),
            _ => random.below(3) * 16 * 1024 + random.below(4 * 1024),
        } & !(BEAT_BYTES - 1);
        let most = (4096 - start % 4096) / BEAT_BYTES;
        let wanted = match random.below(4) {
            0 => 1 + random.below(3),
            1 => 16,
            _ => 1 + random.below(self.longest),
        };
        (start, wanted.min(most))
    }

    fn is_free(&self, bytes: &Range<u64>, of_reads: bool) -> bool {
        let overlaps = |other: &Range<u64>| other.start < bytes.end && bytes.start < other.end;
        let written = self.writes.iter().any(|write| overlaps(&write.bytes));
        let read = of_reads && self.reads.iter().any(|read| overlaps(&read.bytes));
        !written && !read
    }

    fn begin_read(&mut self) {
        let (start, beats) = self.burst();
        let bytes = start..start + beats * BEAT_BYTES;
        if !self.is_free(&bytes, false) {
            return;
        }
        let inside = start < self.chip_bytes;
        let values = (0..beats).map(|beat| {
            (0..BEAT_BYTES).rev().fold(0, |value, byte| {
                value << 8 | u64::from(*self.memory.get(&(start + beat * BEAT_BYTES + byte)).unwrap_or(&0))
            })
        });
        let beats_expected = values.collect();
        let id = self.random.below(2) as u8;
        let response = if inside { Response::Okay } else { Response::SlaveError };
        self.reads.push_back(Read { bytes, beats: beats_expected, id, response });
        self.pins.ar_valid = true;
        self.pins.ar_address = start as u32;
        self.pins.ar_length = (beats - 1) as u8;
        self.pins.ar_id = id;
    }

    fn begin_write(&mut self) {
        let (start, beats) = self.burst();
        let bytes = start..start + beats * BEAT_BYTES;
        if !self.is_free(&bytes, true) {
            return;
        }
        let inside = start < self.chip_bytes;
        for beat in 0..beats {
            let data = self.random.next_u64();
            let strobe = match self.random.below(3) {
                0 => self.random.bits(8) as u8,
                _ => 0xff,
            };
            for byte in 0..BEAT_BYTES {
                if inside && strobe >> byte & 1 == 1 {
                    self.memory.insert(start + beat * BEAT_BYTES + byte, (data >> (8 * byte)) as u8);
                }
            }
            self.data.push_back((data, strobe, beat + 1 == beats));
        }
        let response = if inside { Response::Okay } else { Response::SlaveError };
        self.writes.push_back(Write { bytes, response });
        self.pins.aw_valid = true;
        self.pins.aw_address = start as u32;
        self.pins.aw_length = (beats - 1) as u8;
    }

    /// The handshakes of a cycle, and the pins of the next one.
    fn cycle(&mut self, slave: &SlavePins, pace: Option<Pace>, context: &str) {
        if slave.r_valid && self.pins.r_ready {
            let read =
                self.reads.front_mut().unwrap_or_else(|| panic!("{context}: a beat that nobody asked for"));
            let expected = read.beats.pop_front().expect("a read has beats left");
            let last = read.beats.is_empty();
            assert_eq!(
                (slave.r_id, slave.r_last, slave.r_response),
                (read.id, last, read.response),
                "{context}"
            );
            if read.response == Response::Okay {
                assert_eq!(
                    slave.r_data as u64,
                    expected,
                    "{context}: {:x?}, {} beats left",
                    read.bytes,
                    read.beats.len()
                );
            } else {
                self.errors += 1;
            }
            if last {
                self.reads.pop_front();
                self.finished += 1;
            }
        }
        if slave.b_valid && self.pins.b_ready {
            let write = self.writes.pop_front().unwrap_or_else(|| panic!("{context}: an answer too many"));
            assert_eq!(slave.b_response, write.response, "{context}");
            self.errors += u64::from(write.response != Response::Okay);
            self.finished += 1;
        }
        if slave.ar_ready {
            self.pins.ar_valid = false;
        }
        if slave.aw_ready {
            self.pins.aw_valid = false;
        }
        if self.pins.w_valid && slave.w_ready {
            self.data.pop_front();
            self.pins.w_valid = false;
        }
        let quiet = Pace { reads: 0, writes: 0, data: 1, read_ready: 1, answer_ready: 1 };
        let begins = pace.is_some();
        let pace = pace.unwrap_or(quiet);
        if begins && !self.pins.ar_valid && self.reads.len() < 8 && self.random.one_in(pace.reads) {
            self.begin_read();
        }
        if begins && !self.pins.aw_valid && self.writes.len() < 12 && self.random.one_in(pace.writes) {
            self.begin_write();
        }
        if !self.pins.w_valid && self.random.one_in(pace.data) {
            if let Some((data, strobe, last)) = self.data.front() {
                self.pins.w_valid = true;
                self.pins.w_data = u128::from(*data);
                self.pins.w_strobe = u16::from(*strobe);
                self.pins.w_last = *last;
            }
        }
        self.pins.r_ready = self.random.one_in(pace.read_ready);
        self.pins.b_ready = self.random.one_in(pace.answer_ready);
    }

    fn is_idle(&self) -> bool {
        self.reads.is_empty() && self.writes.is_empty()
    }
}

#[test]
fn verilog_passes_lint() -> Result<(), Box<dyn Error>> {
    let two_banks = SdramChip { bank_bits: 1, cas_latency: 2, ..SdramChip::ULX3S_64_MIB };
    for chip in [SdramChip::ULX3S_32_MIB, SdramChip::TANG_NANO_20K, two_banks] {
        lint_only(&verilog(&chip, 80_000, 1)?)?;
    }
    Ok(())
}

#[test]
fn impossible_controllers_are_refused() {
    let error = |chip: &SdramChip, khz, pin_cycles| SdramController::new(chip, khz, pin_cycles).err();
    let chip = SdramChip::ULX3S_32_MIB;
    assert_eq!(error(&chip, CLOCK_KHZ, 8), None);
    assert_eq!(error(&chip, CLOCK_KHZ, 9), Some(SdramError::PinCycles(9)));
    assert!(error(&chip, 5_000, 0).is_some());
}

#[test]
fn power_up_keeps_its_wait() -> Result<(), Box<dyn Error>> {
    let mut bench = Bench::new(&SdramChip::ULX3S_32_MIB)?;
    while !bench.flag("initialised") {
        assert!(bench.cycle < 21_000, "no end of the power-up sequence");
        bench.cycle(&MasterPins::default());
    }
    assert!(bench.cycle > 20_000);
    for _ in 0..10_000 {
        bench.cycle(&MasterPins::default());
    }
    bench.check();
    assert_eq!(bench.chip.statistics().refreshes, 10_000 / 780);
    Ok(())
}

const ALWAYS: u64 = 1;
/// From always busy to hardly ever, and from a patient bus to a deaf one.
const PACES: [Pace; 6] = [
    Pace { reads: 1, writes: 1, data: ALWAYS, read_ready: ALWAYS, answer_ready: ALWAYS },
    Pace { reads: 60, writes: 1, data: 3, read_ready: 2, answer_ready: 5 },
    Pace { reads: 1, writes: 80, data: ALWAYS, read_ready: 9, answer_ready: 400 },
    Pace { reads: 5, writes: 5, data: 12, read_ready: 3, answer_ready: 2 },
    Pace { reads: 400, writes: 500, data: ALWAYS, read_ready: ALWAYS, answer_ready: ALWAYS },
    Pace { reads: 1, writes: 1, data: 40, read_ready: 40, answer_ready: 90 },
];

/// Random traffic in phases of different pace; returns how many bursts there were.
fn random_traffic(
    name: &str,
    chip: &SdramChip,
    clock_khz: u32,
    pins: (usize, usize),
    cycles: u64,
) -> Result<u64, Box<dyn Error>> {
    let seed = SEED ^ u64::from(chip.data_bits) << 16 ^ u64::from(clock_khz) << 24;
    let mut bench = Bench::with(chip, chip, clock_khz, pins)?;
    let mut master = Master::new(seed, chip);
    let mut pace = PACES[0];
    let mut idle_since = 0;
    let mut checker = ProtocolChecker::new(8);
    loop {
        let begins = bench.cycle < cycles;
        if bench.cycle % 3_000 == 0 {
            pace = PACES[master.random.below(PACES.len() as u64) as usize];
            master.longest = [4, 16, 64, 64][master.random.below(4) as usize];
        }
        let slave = bench.slave();
        let pins = master.pins;
        checker.cycle(&MasterPins { w_strobe: if pins.w_valid { 0xff } else { 0 }, ..pins }, &slave);
        bench.cycle(&pins);
        let context = format!("{name}, seed {seed:#x}, cycle {}", bench.cycle);
        master.cycle(&slave, begins.then_some(pace), &context);
        if !begins && master.is_idle() {
            break;
        }
        idle_since = if slave.r_valid || slave.b_valid { bench.cycle } else { idle_since };
        let waits = !master.is_idle() && bench.cycle - idle_since > 10_000;
        assert!(!waits, "{context}: nothing comes any more");
    }
    // An answer comes with the command; the last words are still under way.
    for _ in 0..16 {
        bench.cycle(&MasterPins::default());
    }
    bench.check();
    let order = checker.finish();
    assert_eq!(order, [], "{name}, seed {seed:#x}");
    for (address, value) in &master.memory {
        assert_eq!(bench.chip.byte(*address), *value, "{name}, seed {seed:#x}: {address:#x}");
    }
    assert!(master.errors > 100, "{} answers from beyond the chip", master.errors);
    println!(
        "{name}, seed {seed:#x}: {} bursts in {} cycles, {:?}",
        master.finished,
        bench.cycle,
        bench.chip.statistics()
    );
    Ok(master.finished)
}

#[test]
fn random_traffic_arrives() -> Result<(), Box<dyn Error>> {
    for (name, chip) in chips() {
        let bursts = random_traffic(name, &chip, CLOCK_KHZ, (0, 0), 400_000)?;
        assert!(bursts > 4_000, "{bursts}");
    }
    Ok(())
}

#[test]
fn other_latencies_and_sizes() -> Result<(), Box<dyn Error>> {
    let [(_, narrow), (_, wide)] = chips();
    let long_rows = SdramChip { column_bits: 10, cas_latency: 2, ..narrow };
    random_traffic(
        "16 bits, 64 MiB, latency 2, 80 MHz, registered pins",
        &long_rows,
        80_000,
        (1, 1),
        100_000,
    )?;
    let two_banks = SdramChip { bank_bits: 1, row_cycle_ns: 90, ..wide };
    random_traffic("32 bits, two banks, slow rows", &two_banks, CLOCK_KHZ, (1, 0), 100_000)?;
    // Waits of one cycle, and long ones.
    random_traffic("16 bits, 27 MHz", &narrow, 27_000, (0, 1), 100_000)?;
    random_traffic("32 bits, 27 MHz", &wide, 27_000, (0, 0), 100_000)?;
    random_traffic("32 bits, 166 MHz", &wide, 166_000, (1, 1), 100_000)?;
    Ok(())
}

/// What a master that always has something to do asks for.
#[derive(Clone, Copy, PartialEq)]
enum Stream {
    Reads,
    Writes,
    /// Both at once, in places of their own.
    Both,
}

struct Measured {
    /// Beats of the chip's peak.
    share: f64,
    cycles: u64,
    bench: Bench,
}

/// The share of the chip's peak rate, from the first beat to the last.
fn measure(
    chip: &SdramChip,
    stream: Stream,
    beats: u64,
    next_address: &mut dyn FnMut(u64, bool) -> u64,
    cycles: u64,
) -> Result<Measured, Box<dyn Error>> {
    let mut bench = Bench::new(chip)?;
    let mut pins = MasterPins { r_ready: true, b_ready: true, w_strobe: 0xff, ..MasterPins::default() };
    let (mut reads, mut writes, mut data_left) = (0, 0, 0);
    let mut moved = 0;
    let mut first = None;
    while first.is_none_or(|first| bench.cycle < first + cycles) {
        assert!(bench.cycle < 2 * cycles + 10_000, "nothing moves");
        let slave = bench.slave();
        if stream != Stream::Writes && (slave.ar_ready || !pins.ar_valid) {
            pins.ar_valid = true;
            pins.ar_address = next_address(reads, false) as u32;
            pins.ar_length = (beats - 1) as u8;
            reads += 1;
        }
        if stream != Stream::Reads {
            if slave.aw_ready || !pins.aw_valid {
                pins.aw_valid = true;
                pins.aw_address = next_address(writes, true) as u32;
                pins.aw_length = (beats - 1) as u8;
                writes += 1;
                data_left += beats;
            }
            pins.w_valid = data_left > 0;
        }
        bench.cycle(&pins);
        if first.is_some() {
            moved += u64::from(slave.r_valid) + if slave.b_valid { beats } else { 0 };
        }
        // Counts begin behind the first answer.
        if slave.r_valid || slave.b_valid {
            first.get_or_insert(bench.cycle);
        }
        data_left -= u64::from(pins.w_valid && slave.w_ready);
    }
    bench.check();
    let share = (moved * u64::from(chip.beat_words())) as f64 / cycles as f64;
    Ok(Measured { share, cycles: bench.cycle, bench })
}

#[test]
fn sequential_bursts_come_near_the_chips_rate() -> Result<(), Box<dyn Error>> {
    const CYCLES: u64 = 40_000;
    for (name, chip) in chips() {
        let bytes = chip.bytes();
        for beats in [8, 16, 64] {
            let burst_bytes = beats * BEAT_BYTES;
            let mut sequential = |number, _| number * burst_bytes % bytes;
            for (stream, direction) in [(Stream::Reads, "reads"), (Stream::Writes, "writes")] {
                let measured = measure(&chip, stream, beats, &mut sequential, CYCLES)?;
                let statistics = measured.bench.chip.statistics();
                println!("{name}, {direction} of {beats} beats: {:.1} %", 100.0 * measured.share);
                assert!(measured.share >= 0.85, "{name}, {direction} of {beats} beats: {}", measured.share);
                // The refreshes that came due, and no more.
                let interval = u64::from(chip.timing(CLOCK_KHZ)?.refresh_interval);
                let due = measured.cycles / interval;
                assert!((due - 1..=due).contains(&statistics.refreshes), "{due}: {statistics:?}");
            }
            let mut apart = |number, write| (number * burst_bytes + u64::from(write) * bytes / 2) % bytes;
            let measured = measure(&chip, Stream::Both, beats, &mut apart, CYCLES)?;
            println!("{name}, reads and writes of {beats} beats at once: {:.1} %", 100.0 * measured.share);
            assert!(measured.share >= 0.6, "{name}, {beats} beats: {}", measured.share);
            let mut random = Random::new(SEED);
            let mut scattered = |_, _| random.below(bytes / 4096) * 4096;
            let measured = measure(&chip, Stream::Reads, beats, &mut scattered, CYCLES)?;
            println!("{name}, reads of {beats} beats from random rows: {:.1} %", 100.0 * measured.share);
        }
    }
    Ok(())
}

#[test]
fn long_bursts_and_rows_off_the_beat() -> Result<(), Box<dyn Error>> {
    // 256 beats, the most that AXI has, and bursts that begin anywhere.
    for (name, chip) in chips() {
        let mut odd = |number: u64, _| (number * 4096 + 2040) % chip.bytes();
        let measured = measure(&chip, Stream::Reads, 256, &mut odd, 50_000)?;
        println!("{name}, reads of 256 beats off the row: {:.1} %", 100.0 * measured.share);
        assert!(measured.share >= 0.85);
    }
    Ok(())
}

#[test]
fn addresses_beyond_the_chip_are_answered() -> Result<(), Box<dyn Error>> {
    for (name, chip) in chips() {
        let mut bench = Bench::new(&chip)?;
        for address in [chip.bytes() as u32, 0x8000_0000, 0xffff_f000] {
            let (mut beats, mut answers, mut data) = (0, 0, 0);
            let (mut asks_read, mut asks_write) = (true, true);
            let begin = bench.cycle;
            while beats < 64 || answers < 1 {
                assert!(bench.cycle < begin + 2_000, "{name}: {beats} beats, {answers} answers");
                let pins = MasterPins {
                    ar_valid: asks_read,
                    ar_address: address,
                    ar_length: 63,
                    ar_id: 1,
                    r_ready: true,
                    aw_valid: asks_write,
                    aw_address: address,
                    aw_length: 63,
                    w_valid: data < 64,
                    w_data: 0x1234,
                    w_strobe: 0xff,
                    w_last: data == 63,
                    b_ready: true,
                };
                let slave = bench.slave();
                bench.cycle(&pins);
                asks_read &= !slave.ar_ready;
                asks_write &= !slave.aw_ready;
                data += u64::from(pins.w_valid && slave.w_ready);
                if slave.r_valid {
                    beats += 1;
                    assert_eq!((slave.r_response, slave.r_id), (Response::SlaveError, 1), "{name}");
                    assert_eq!(slave.r_last, beats == 64);
                }
                if slave.b_valid {
                    answers += 1;
                    assert_eq!(slave.b_response, Response::SlaveError, "{name}");
                }
            }
            assert_eq!((beats, answers), (64, 1));
        }
        bench.check();
        let statistics = bench.chip.statistics();
        assert_eq!((statistics.activates, statistics.reads, statistics.writes), (0, 0, 0), "{name}");
    }
    Ok(())
}

#[test]
fn a_controller_for_a_faster_chip_is_caught() -> Result<(), Box<dyn Error>> {
    // The chip's own wait is longer than what the controller was told, one wait at a time. Short waits would hide behind the controller's own
    // ways.
    let chip = SdramChip {
        row_to_column_ns: 40,
        row_to_row_ns: 120,
        row_active_ns: 80,
        row_cycle_ns: 140,
        mode_cycles: 6,
        ..quick(SdramChip::TANG_NANO_20K)
    };
    for (made_for, rule) in [
        (SdramChip { row_to_column_ns: 30, ..chip }, Rule::RowToColumn),
        (SdramChip { precharge_ns: 10, ..chip }, Rule::Precharge),
        (SdramChip { row_cycle_ns: 90, row_active_ns: 60, ..chip }, Rule::RowActive),
        (SdramChip { row_cycle_ns: 100, ..chip }, Rule::RowCycle),
        (SdramChip { row_to_row_ns: 10, ..chip }, Rule::RowToRow),
        (SdramChip { refresh_cycle_ns: 50, ..chip }, Rule::RefreshCycle),
        (SdramChip { write_recovery_cycles: 1, write_recovery_ns: 10, ..chip }, Rule::WriteRecovery),
        (SdramChip { refresh_interval_ns: 20_000, ..chip }, Rule::RefreshInterval),
        (SdramChip { power_up_ns: 900, ..chip }, Rule::PowerUp),
        (SdramChip { mode_cycles: 1, ..chip }, Rule::ModeCycles),
        (SdramChip { cas_latency: 2, ..chip }, Rule::Mode),
    ] {
        let mut bench = Bench::with(&made_for, &chip, CLOCK_KHZ, (0, 0))?;
        let mut pins = MasterPins { r_ready: true, b_ready: true, w_strobe: 0xff, ..MasterPins::default() };
        let mut random = Random::new(SEED);
        while bench.cycle < 50_000 && bench.chip.violations().is_empty() {
            let slave = bench.slave();
            if slave.ar_ready || !pins.ar_valid {
                pins.ar_valid = true;
                pins.ar_address = random.below(chip.bytes() / 64) as u32 * 64;
            }
            if slave.aw_ready || !pins.aw_valid {
                pins.aw_valid = true;
                pins.aw_address = random.below(chip.bytes() / 64) as u32 * 64;
                pins.aw_length = random.below(8) as u8;
            }
            pins.w_valid = true;
            bench.cycle(&pins);
        }
        let found: Vec<Rule> = bench.chip.violations().iter().map(|violation| violation.rule).collect();
        assert!(found.contains(&rule), "{rule:?}: {found:?}");
    }
    Ok(())
}

#[test]
fn a_reset_forgets_what_was_under_way() -> Result<(), Box<dyn Error>> {
    for (name, chip) in chips() {
        let mut bench = Bench::new(&chip)?;
        let mut random = Random::new(SEED);
        for round in 0..20 {
            // Reads, each with its own data, until a reset somewhere among them.
            let address = round * 4096;
            for byte in 0..64 * BEAT_BYTES {
                bench.chip.set_byte(address + byte, (round + byte / BEAT_BYTES) as u8);
            }
            let read = MasterPins {
                ar_valid: true,
                ar_address: address as u32,
                ar_length: 63,
                r_ready: true,
                b_ready: true,
                ..MasterPins::default()
            };
            let (mut beats, mut pins) = (0, read);
            while beats < 64 {
                let slave = bench.slave();
                bench.cycle(&pins);
                pins.ar_valid &= !slave.ar_ready;
                if slave.r_valid {
                    let value = slave.r_data as u64 & 0xff;
                    assert_eq!(value, (round + beats) & 0xff, "{name}, round {round}, beat {beats}");
                    beats += 1;
                }
            }
            for _ in 0..random.below(100) {
                bench.cycle(&read);
            }
            bench.reset();
        }
        bench.check();
    }
    Ok(())
}
