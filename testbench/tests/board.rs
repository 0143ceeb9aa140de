//! A whole board, simulated: the driver's bytes go over its serial line bit by bit.

use frugal_compiler::gemm::{self, GemmOptions};
use frugal_compiler::language;
use frugal_device::link::{BoardDevice, BoardError, Link, LinkError, LinkOptions, Transport};
use frugal_device::{Device, GoldenDevice, MemoryImage, RunOptions};
use frugal_hdl::board::{BoardMemory, BoardOptions};
use frugal_hdl::sdram::SdramChip;
use frugal_isa::link::{Operation, Status};
use frugal_isa::{register, Config, Program};
use frugal_language::quantise::{quantise, Calibration};
use frugal_language::{Checkpoint, Precision, Reference};
use frugal_testbench::board::SimulatedBoard;
use frugal_testbench::compare::Family;
use frugal_testbench::netlist;
use frugal_testbench::random::Random;
use std::io;
use std::path::Path;
use std::time::Duration;

const SEED: u64 = 0xb0a2d;
const RAM_BYTES: usize = 64 << 10;

fn options() -> BoardOptions {
    with_memory(BoardMemory::OnChip(RAM_BYTES))
}

fn with_memory(memory: BoardMemory) -> BoardOptions {
    let config = Config::preset("nano").unwrap();
    BoardOptions { config, clock_khz: 80_000, bit_cycles: 4, memory }
}

/// A board with memory of its own, and one for each way an SDRAM chip is connected.
fn all_options() -> [BoardOptions; 3] {
    [
        options(),
        with_memory(BoardMemory::Sdram(SdramChip::ULX3S_32_MIB)),
        with_memory(BoardMemory::Sdram(SdramChip::TANG_NANO_20K)),
    ]
}

fn link_options() -> LinkOptions {
    LinkOptions { wait_cycles: 100_000, ..LinkOptions::default() }
}

/// A board with a sequential core, and with memory that has one port.
fn sequential() -> BoardOptions {
    let config = Config::preset("femto").unwrap();
    BoardOptions { config, clock_khz: 12_000, bit_cycles: 6, memory: BoardMemory::OnChip(RAM_BYTES) }
}

fn open() -> Link<SimulatedBoard> {
    open_board(&options())
}

fn open_board(options: &BoardOptions) -> Link<SimulatedBoard> {
    Link::open(SimulatedBoard::new(options).unwrap(), link_options()).unwrap()
}

/// A product that runs for so many repetitions.
fn product(repeat: usize) -> (Program, Vec<Vec<u8>>) {
    product_of(&GemmOptions { m: 24, k: 32, n: 16, repeat, resident: false })
}

/// A product, and random operands.
fn product_of(options: &GemmOptions) -> (Program, Vec<Vec<u8>>) {
    product_on(options, &Config::preset("nano").unwrap())
}

fn product_on(options: &GemmOptions, config: &Config) -> (Program, Vec<Vec<u8>>) {
    let program = gemm::build(options, config).unwrap().program;
    let mut random = Random::new(SEED);
    let inputs = program
        .inputs
        .iter()
        .map(|i| (0..i.elements() * i.element_bytes).map(|_| random.bits(8) as u8).collect());
    let inputs = inputs.collect();
    (program, inputs)
}

fn golden(program: &Program, inputs: &[Vec<u8>]) -> Vec<Vec<u8>> {
    GoldenDevice::new(&program.config).unwrap().run(program, inputs, &RunOptions::default()).unwrap().outputs
}

#[test]
fn a_session_tells_what_the_board_is() {
    let mut link = open();
    let identity = link.identity();
    assert_eq!(identity.clock_khz, 80_000);
    assert_eq!(identity.memory_bytes as usize, RAM_BYTES);
    assert_eq!(identity.build, link.transport_mut().build());
    assert_eq!(link.read_register(register::IDENTITY).unwrap(), register::IDENTITY_VALUE);
    link.write_register(register::BASE_3, 0xdbc0_c0db).unwrap();
    assert_eq!(link.read_register(register::BASE_3).unwrap(), 0xdbc0_c0db);
    assert_eq!(link.transport_mut().leds() & 0xfe, 2);
}

#[test]
fn memory_holds_what_is_written() {
    for options in [options(), sequential()] {
        memory_holds(&options);
    }
}

fn memory_holds(options: &BoardOptions) {
    let mut link = open_board(options);
    let mut random = Random::new(SEED);
    let mut expected = vec![0; RAM_BYTES];
    for _ in 0..120 {
        let length = 8 * (1 + random.below(200)) as usize;
        let address = 8 * random.below(((RAM_BYTES - length) / 8) as u64 + 1) as usize;
        if random.one_in(2) {
            let bytes: Vec<u8> = (0..length)
                .map(|_| {
                    if random.one_in(4) {
                        [0xc0, 0xdb][random.below(2) as usize]
                    } else {
                        random.bits(8) as u8
                    }
                })
                .collect();
            link.write_memory(address as u32, &bytes).unwrap();
            expected[address..address + length].copy_from_slice(&bytes);
        } else {
            let mut bytes = vec![0; length];
            link.read_memory(address as u32, &mut bytes).unwrap();
            assert!(bytes == expected[address..address + length], "seed {SEED:#x}");
        }
    }
    assert_eq!(link.statistics().repeated, 0);
    assert_eq!(link.transport_mut().errors(), 0);
}

#[test]
fn what_the_board_cannot_do_is_refused() {
    let mut link = open();
    let refused = |result: Result<(), LinkError>, wanted: Status| match result {
        Err(LinkError::Refused { status, .. }) => assert_eq!(status, wanted),
        other => panic!("{other:?}"),
    };
    refused(link.read_memory(RAM_BYTES as u32, &mut [0; 64]), Status::Bus);
    refused(link.write_memory(RAM_BYTES as u32 - 8, &[0; 64]), Status::Bus);
    refused(link.read_memory(4, &mut [0; 8]), Status::Address);
    refused(link.read_memory(0, &mut [0; 12]), Status::Length);
    // And it goes on.
    link.write_memory(RAM_BYTES as u32 - 8, &[7; 8]).unwrap();
    let mut bytes = [0; 8];
    link.read_memory(RAM_BYTES as u32 - 8, &mut bytes).unwrap();
    assert_eq!(bytes, [7; 8]);
}

#[test]
fn programs_give_the_bits_of_the_functional_simulator() {
    all_options().iter().for_each(runs_a_product);
}

fn runs_a_product(options: &BoardOptions) {
    let (program, inputs) = product(3);
    let link = open_board(options);
    assert_eq!(u64::from(link.identity().memory_bytes), options.memory.bytes());
    let build = Some(link.identity().build);
    let mut board = BoardDevice::new(link, &program.config, build).unwrap();
    let wanted = golden(&program, &inputs);
    let first = board.run(&program, &inputs, &RunOptions::default()).unwrap();
    assert!(first.outputs == wanted);
    let sent = board.link_mut().statistics().bytes_sent;
    let again =
        board.run(&program, &inputs, &RunOptions { keep_workspace: true, ..RunOptions::default() }).unwrap();
    assert!(again.outputs == wanted);
    assert_eq!(again.workspace.unwrap().len(), program.workspace_bytes);
    // Constants and commands are there already.
    assert!(board.link_mut().statistics().bytes_sent - sent < sent);
    let (first_cycles, again_cycles) = (first.statistics.cycles.unwrap(), again.statistics.cycles.unwrap());
    match options.memory {
        BoardMemory::OnChip(_) => assert_eq!(first_cycles, again_cycles),
        // Refreshes come where they come.
        BoardMemory::Sdram(_) => assert!(first_cycles.abs_diff(again_cycles) < first_cycles / 10),
    }
    assert_eq!(first.statistics.commands as usize, program.commands.len());
    assert_eq!(board.link_mut().transport_mut().errors(), 0);
}

/// The board of the Tang Nano 20K: the smallest preset, with models of its chip's cells.
#[test]
fn a_board_of_gowin_cells_gives_the_same_bits() {
    let options = BoardOptions {
        config: Config::preset("pico").unwrap(),
        clock_khz: 36_000,
        bit_cycles: 4,
        memory: BoardMemory::Sdram(SdramChip::TANG_NANO_20K),
    };
    let program =
        gemm::build(&GemmOptions { m: 24, k: 32, n: 16, repeat: 2, resident: false }, &options.config)
            .unwrap()
            .program;
    let mut random = Random::new(SEED);
    let inputs: Vec<Vec<u8>> =
        program.inputs.iter().map(|i| (0..i.elements()).map(|_| random.bits(8) as u8).collect()).collect();
    let board = SimulatedBoard::of_family(&options, Some(Family::Gowin)).unwrap();
    let mut device =
        BoardDevice::new(Link::open(board, link_options()).unwrap(), &options.config, None).unwrap();
    let found = device.run(&program, &inputs, &RunOptions::default()).unwrap();
    assert!(found.outputs == golden(&program, &inputs));
    // What it has not is told apart from what it has.
    let with_rows = Config { row_engine: true, ..options.config.clone() };
    let link = Link::open(device.into_link().into_transport(), link_options()).unwrap();
    match BoardDevice::new(link, &with_rows, None).err() {
        Some(BoardError::Config { name: "FEATURES", .. }) => {}
        other => panic!("{other:?}"),
    }
}

/// The host reads and writes memory while the accelerator does: each gets its own bytes.
#[test]
fn the_host_shares_the_memory_with_a_program_that_runs() {
    all_options().iter().for_each(shares_the_memory);
}

fn shares_the_memory(board: &BoardOptions) {
    // Long enough for several requests.
    let options = GemmOptions { m: 64, k: 128, n: 64, repeat: 12, resident: false };
    let (program, inputs) = product_of(&options);
    let mut device = BoardDevice::new(open_board(board), &program.config, None).unwrap();
    let wanted = golden(&program, &inputs);
    let first =
        device.run(&program, &inputs, &RunOptions { keep_workspace: true, ..RunOptions::default() }).unwrap();
    assert!(first.outputs == wanted);
    let image = MemoryImage::place(&program, 0).unwrap();
    assert!(image.end() + 4096 <= RAM_BYTES);
    // The program is there still; what it writes, it writes again.
    let output = &program.outputs[0];
    let workspace = first.workspace.unwrap();
    let link = device.link_mut();
    link.write_memory((image.workspace.start + output.offset / 8 * 8) as u32, &[0; 64]).unwrap();
    let mut random = Random::new(SEED);
    let (mut rounds, mut running) = (0, true);
    link.start().unwrap();
    while running {
        let length = 8 * (1 + random.below(10)) as usize;
        let bytes: Vec<u8> = (0..length).map(|_| random.bits(8) as u8).collect();
        link.write_memory(RAM_BYTES as u32 - 4096, &bytes).unwrap();
        let mut found = vec![0; length];
        link.read_memory(RAM_BYTES as u32 - 4096, &mut found).unwrap();
        assert_eq!(found, bytes, "seed {SEED:#x}");
        let mut constants = vec![0; 64];
        link.read_memory(image.constants.start as u32, &mut constants).unwrap();
        assert_eq!(constants, program.constants[..64]);
        running = link.read_register(register::STATUS).unwrap() & register::STATUS_BUSY != 0;
        rounds += 1;
    }
    assert!(rounds > 3, "the program ended after {rounds} rounds");
    let mut after = vec![0; workspace.len().next_multiple_of(8)];
    link.read_memory(image.workspace.start as u32, &mut after).unwrap();
    assert!(after[..workspace.len()] == workspace, "seed {SEED:#x}");
    assert_eq!(link.transport_mut().errors(), 0);
}

/// A language model whose weights are in the SDRAM chip.
#[test]
fn a_language_model_generates() {
    let options = with_memory(BoardMemory::Sdram(SdramChip::ULX3S_32_MIB));
    let directory = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../models/tiny-qwen3"));
    let checkpoint = Checkpoint::open(directory).unwrap();
    let ids: Vec<u32> = (0..128).map(|i| i * 37 % 512).collect();
    let calibration = Calibration::run(&Reference::new(&checkpoint).unwrap(), &[&ids]);
    let model = quantise(&checkpoint, &calibration, Precision::W4A8).unwrap();
    let program = language::generate(&model, &options.config, &[4], 4, 3).unwrap();
    assert!(program.workspace_bytes + program.constants.len() > 256 << 10);
    let inputs = vec![[7u32, 98, 189, 280].iter().flat_map(|id| id.to_le_bytes()).collect()];
    let mut device = BoardDevice::new(open_board(&options), &options.config, None).unwrap();
    let found = device.run(&program, &inputs, &RunOptions::default()).unwrap();
    assert!(found.outputs == golden(&program, &inputs));
    assert_eq!(device.link_mut().transport_mut().errors(), 0);
    println!("{:?} cycles, {:?}", found.statistics.cycles, device.link_mut().statistics());
}

/// A line that damages, loses and adds bytes.
struct Noisy {
    board: SimulatedBoard,
    random: Random,
    /// One byte in so many.
    rate: u64,
    /// Answers that are lost as a whole.
    lost_answers: u32,
}

impl Noisy {
    fn disturb(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        for byte in bytes {
            if !self.random.one_in(self.rate) {
                out.push(*byte);
                continue;
            }
            match self.random.below(3) {
                0 => out.push(*byte ^ (1 << self.random.below(8))),
                1 => {}
                _ => out.extend([self.random.bits(8) as u8, *byte]),
            }
        }
        out
    }
}

impl Transport for Noisy {
    fn name(&self) -> String {
        "noisy line".into()
    }
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let bytes = self.disturb(bytes);
        self.board.write(&bytes)
    }
    fn read(&mut self, buffer: &mut [u8], timeout: Duration) -> io::Result<usize> {
        let mut bytes = vec![0; buffer.len() / 2];
        loop {
            let count = self.board.read(&mut bytes, timeout)?;
            if count == 0 {
                return Ok(0);
            }
            if self.lost_answers > 0 {
                // Until the answer is over.
                while self.board.read(&mut bytes, timeout)? > 0 {}
                self.lost_answers -= 1;
                return Ok(0);
            }
            let bytes = self.disturb(&bytes[..count]);
            if !bytes.is_empty() {
                buffer[..bytes.len()].copy_from_slice(&bytes);
                return Ok(bytes.len());
            }
        }
    }
}

#[test]
fn noise_costs_time_and_nothing_else() {
    let (program, inputs) = product(2);
    let mut board = SimulatedBoard::new(&options()).unwrap();
    board.quiet_cycles = 120_000;
    let noisy = Noisy { board, random: Random::new(SEED), rate: 600, lost_answers: 0 };
    // Shorter blocks come through more often.
    let options = LinkOptions { attempts: 30, block_bytes: 128, ..link_options() };
    let mut device = BoardDevice::new(Link::open(noisy, options).unwrap(), &program.config, None).unwrap();
    let wanted = golden(&program, &inputs);
    for _ in 0..2 {
        assert!(
            device.run(&program, &inputs, &RunOptions::default()).unwrap().outputs == wanted,
            "seed {SEED:#x}"
        );
    }
    let statistics = device.link_mut().statistics();
    assert!(statistics.repeated > 5, "{statistics:?}");
    println!("{statistics:?}");
}

/// The answer to `start` gets lost, and to every register write: nothing happens twice.
#[test]
fn what_is_asked_again_is_done_once() {
    let noisy = Noisy {
        board: SimulatedBoard::new(&options()).unwrap(),
        random: Random::new(SEED),
        rate: u64::MAX,
        lost_answers: 0,
    };
    let mut link = Link::open(noisy, link_options()).unwrap();
    // A program of nothing but its end, which counts a command each time it runs.
    let end = frugal_isa::Command::from(frugal_isa::command::End::default()).encode_bytes().unwrap();
    link.write_memory(0, &end).unwrap();
    link.write_register(register::PROGRAM_ADDRESS, 0).unwrap();
    link.write_register(register::PROGRAM_COMMANDS, 1).unwrap();
    link.start().unwrap();
    assert!(link.wait().unwrap());
    // Without memory behind the program's address a second start would be an error.
    link.transport_mut().lost_answers = 2;
    link.start().unwrap();
    assert_eq!(link.statistics().repeated, 2);
    assert!(link.wait().unwrap());
    link.write_register(register::PROGRAM_ADDRESS, 0x4000_0000).unwrap();
    assert_eq!(link.read_register(register::STATUS).unwrap() & 7, register::STATUS_DONE);
    // All sequences around once: the same one as that of the last write is a new request.
    for value in 0..300 {
        link.write_register(register::BASE_5, value).unwrap();
        assert_eq!(link.read_register(register::BASE_5).unwrap(), value);
    }
    for _ in 0..253 {
        link.read_register(register::BASE_5).unwrap();
    }
    link.write_register(register::BASE_5, 77).unwrap();
    assert_eq!(link.read_register(register::BASE_5).unwrap(), 77);
}

#[test]
fn a_reset_in_the_middle_is_noticed() {
    all_options().iter().for_each(is_reset);
}

fn is_reset(options: &BoardOptions) {
    let (program, inputs) = product(40);
    let mut device = BoardDevice::new(open_board(options), &program.config, None).unwrap();
    let wanted = golden(&program, &inputs);
    assert!(device.run(&program, &inputs, &RunOptions::default()).unwrap().outputs == wanted);
    device.link_mut().start().unwrap();
    device.link_mut().transport_mut().press_reset();
    match device.link_mut().wait() {
        Err(LinkError::Reset { .. }) => {}
        other => panic!("{other:?}"),
    }
    let error = device.run(&program, &inputs, &RunOptions::default()).unwrap_err();
    assert!(error.to_string().contains("the board was reset"), "{error}");
    // A new session finds a board that works.
    device.link_mut().identify().unwrap();
    assert!(device.run(&program, &inputs, &RunOptions::default()).unwrap().outputs == wanted);
}

/// A host that goes away in the middle of a packet, or of an answer, is followed by one that finds the board as if nothing had been.
#[test]
fn hosts_may_go_away() {
    let mut random = Random::new(SEED);
    let mut board = SimulatedBoard::new(&options()).unwrap();
    for turn in 0..12 {
        let noise: Vec<u8> = (0..random.below(60)).map(|_| random.bits(8) as u8).collect();
        board.write(&noise).unwrap();
        board.run(random.below(4_000));
        board.unplug();
        board.run(random.below(200));
        let mut link = Link::open(board, link_options()).unwrap();
        link.write_memory(64 * turn, &[turn as u8; 16]).unwrap();
        let mut bytes = [0; 16];
        link.read_memory(64 * turn, &mut bytes).unwrap();
        assert_eq!(bytes, [turn as u8; 16], "seed {SEED:#x}");
        board = link.into_transport();
        // In the middle of a request for much.
        let request = frugal_device::link::packet::Packet {
            sequence: 200,
            operation: Operation::ReadMemory as u8,
            address: 0,
            payload: 1024u32.to_le_bytes().to_vec(),
        };
        board.write(&request.encode()).unwrap();
        board.run(random.below(20_000));
    }
    assert_eq!(board.errors(), 0);
}

#[test]
fn another_board_is_not_taken_for_the_right_one() {
    let base = Config::preset("base").unwrap();
    match BoardDevice::new(open(), &base, None).err() {
        Some(BoardError::Config { name: "SHAPE", .. }) => {}
        other => panic!("{other:?}"),
    }
    match BoardDevice::new(open(), &options().config, Some(1)).err() {
        Some(BoardError::Build { expected: 1, .. }) => {}
        other => panic!("{other:?}"),
    }
    // More than its memory.
    let options = GemmOptions { m: 256, k: 256, n: 256, repeat: 1, resident: false };
    let program = gemm::build(&options, &Config::preset("nano").unwrap()).unwrap().program;
    let inputs: Vec<Vec<u8>> = program.inputs.iter().map(|i| vec![0; i.elements()]).collect();
    let mut device = BoardDevice::new(open(), &program.config, None).unwrap();
    let error = device.run(&program, &inputs, &RunOptions::default()).unwrap_err();
    assert!(error.to_string().contains("the board has 65536"), "{error}");
}

/// Two products on the machine that does one thing at a time, with its memory's end seen by the host: as it is, and with Yosys' models of the cells of an
/// iCE40 UltraPlus.
#[test]
fn a_sequential_board_computes_what_the_functional_simulator_does() {
    let options = sequential();
    let product = GemmOptions { m: 12, k: 32, n: 8, repeat: 1, resident: false };
    let (program, inputs) = product_on(&product, &options.config);
    let wanted = golden(&program, &inputs);
    let cells = netlist::available().then_some(Some(Family::Ice40));
    for family in [None].into_iter().chain(cells) {
        let board = SimulatedBoard::of_family(&options, family).unwrap();
        let mut link = Link::open(board, link_options()).unwrap();
        let mut beyond = [0; 16];
        assert!(link.read_memory(RAM_BYTES as u32 - 8, &mut beyond).is_err());
        assert!(link.write_memory(RAM_BYTES as u32 - 8, &beyond).is_err());
        assert!(link.write_memory(1 << 20, &beyond).is_err());
        let mut device = BoardDevice::new(link, &options.config, None).unwrap();
        for _ in 0..2 {
            let found = device.run(&program, &inputs, &RunOptions::default()).unwrap().outputs;
            assert_eq!(found, wanted, "{family:?}");
        }
    }
}
