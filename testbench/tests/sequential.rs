//! The machine that does one thing at a time: its blocks, what it loads, and what it does with bad commands and bad memory. Random programs are in
//! `machine.rs`, networks in `networks.rs`.

use frugal_device::{Device, DeviceError, GoldenDevice, RunOptions};
use frugal_hdl::sequential::microcode::operation;
use frugal_hdl::sequential::MicroAlu;
use frugal_isa::command::{
    layout, space, Adjust, Barrier, Branch, End, Load, Matrix, Move, Row, Set, Store, Vector,
};
use frugal_isa::program::Layer;
use frugal_isa::register::{self, StatusCode};
use frugal_isa::{Command, Config, Engine, Program, TensorLayout};
use frugal_testbench::accelerator::{verilated_device, VerilatedDevice};
use frugal_testbench::axi::{Access, ErrorRange, Response, Stalls};
use frugal_testbench::compare::{compare_native_and_verilated, CompareError};
use frugal_testbench::device::{SimulationError, SimulationOptions};
use frugal_testbench::random::Random;

const SEED: u64 = 0xf3370;

fn config() -> Config {
    Config {
        name: "test_sequential".into(),
        activation_depth: 1024,
        weight_depth: 64,
        parameter_depth: 128,
        accumulator_depth: 64,
        ..Config::preset("femto").expect("a preset")
    }
}

#[test]
fn micro_alu() -> Result<(), CompareError> {
    compare_native_and_verilated(
        MicroAlu::default,
        |block, random, _| {
            let mut word = || match random.below(6) {
                0 => 0,
                1 => 1 << 31,
                2 => 0x7fff_ffff,
                3 => 0xffff_ffff,
                _ => random.bits(32),
            };
            block.accumulator.next = word().into();
            block.value.next = word().into();
            block.factor.next = word().into();
            block.got.next = word().into();
            block.memory.next = word().into();
            block.bus.next = word().into();
            // Half of them are those that the adder has work with.
            let adds =
                [operation::ADD, operation::SUBTRACT, operation::HIGH, operation::ROUND, operation::MULTIPLY];
            let number = match random.one_in(2) {
                true => u64::from(adds[random.below(5) as usize]),
                false => random.bits(5),
            };
            block.operation.next = number.into();
            block.operand.next = random.bits(11).into();
            block.memory_byte.next = random.bits(2).into();
            block.guard.next = random.one_in(2);
            block.sticky.next = random.one_in(2);
            block.single.next = random.one_in(2);
        },
        |_, _| {},
        20_000,
        SEED,
    )?;
    Ok(())
}

fn program(commands: Vec<Command>) -> Program {
    Program {
        name: "sequential".into(),
        config: config(),
        command_layers: vec![0; commands.len()],
        commands,
        layers: vec![Layer { name: "layer".into(), macs: 0 }],
        constants: vec![0; 4096],
        workspace_bytes: 8192,
        inputs: vec![],
        outputs: vec![],
    }
}

fn load() -> Load {
    Load { row_bytes: 64, ..Load::default() }
}

fn store() -> Store {
    Store { base_register: 1, row_bytes: 64, ..Store::default() }
}

fn device(options: &SimulationOptions) -> VerilatedDevice {
    verilated_device(&config(), options, None).expect("a device")
}

fn good() -> Program {
    program(vec![load().into(), Barrier::default().into(), store().into(), End::default().into()])
}

/// What a random load of weights by columns, by rows or in order leaves there: products with unit vectors bring all weights into the open.
#[test]
fn loads_leave_weights_where_they_belong() {
    let config = config();
    let (tiles, tile_bytes) = (config.weight_depth as u32, config.tile_bytes());
    let mut simulated =
        device(&SimulationOptions { stalls: Some(Stalls::new(SEED)), ..SimulationOptions::default() });
    for seed in SEED..SEED + 24 {
        let mut random = Random::new(seed);
        let mut constants: Vec<u8> = (0..config.weight_bytes()).map(|_| random.bits(8) as u8).collect();
        let loaded = constants.len() as u32;
        constants.extend((0..2048).map(|_| random.bits(8) as u8));
        let unit = constants.len() as u32;
        constants.extend((0..64).map(|at| u8::from(at / 8 == at % 8)));
        let parameters = constants.len() as u32;
        for _ in 0..config.parameter_depth {
            for word in [0u32, 0, 1 << 31, 1 << 31, 0, 0] {
                constants.extend(word.to_le_bytes());
            }
        }
        let parameter_bytes = (config.parameter_depth * config.parameter_group_bytes()) as u32;
        let whole =
            |space, memory_offset, row_bytes| Load { space, memory_offset, row_bytes, ..Load::default() };
        let kind = [layout::LINEAR, layout::COLUMN, layout::ROW][seed as usize % 3];
        let below = |random: &mut Random, limit: u64| random.below(limit) as u32;
        let random_load = Load {
            space: space::WEIGHT,
            layout: kind,
            memory_offset: loaded + 16 * below(&mut random, 8),
            rows: 1 + below(&mut random, 11),
            first_row: match kind {
                layout::COLUMN => below(&mut random, 4),
                layout::ROW => below(&mut random, 8),
                _ => 0,
            },
            row_bytes: 16 * (1 + below(&mut random, 3)),
            memory_stride: 16 * below(&mut random, 10),
            address: below(&mut random, 8),
            stride: below(&mut random, 4),
            ..Load::default()
        };
        let output_bytes = 8 * tiles * 4;
        let commands: Vec<Command> = vec![
            whole(space::ACTIVATION, unit, 64).into(),
            whole(space::WEIGHT, 0, tiles * tile_bytes as u32).into(),
            whole(space::PARAMETER, parameters, parameter_bytes).into(),
            random_load.clone().into(),
            Matrix {
                outputs_x: 8,
                stride_x: 1,
                input_width: 8,
                input_height: 1,
                step_x: 1,
                tiles,
                output_address: 64,
                output_stride_x: tiles / 2,
                output_stride_tile: 1,
                minimum: -128,
                maximum: 127,
                ..Matrix::default()
            }
            .into(),
            Store { address: 64, base_register: 1, row_bytes: output_bytes, ..Store::default() }.into(),
            End::default().into(),
        ];
        // One command at a time also where they might overlap.
        let commands =
            commands.into_iter().flat_map(|command| [Barrier::default().into(), command]).collect();
        let output = TensorLayout {
            name: "weights".into(),
            shape: vec![output_bytes as usize],
            strides: vec![1],
            offset: 0,
            element_bytes: 1,
        };
        let program = Program { constants, outputs: vec![output], ..program(commands) };
        let wanted = GoldenDevice::new(&config).expect("a device").run(&program, &[], &RunOptions::default());
        let found = simulated.run(&program, &[], &RunOptions::default()).expect("runs");
        assert!(found.outputs == wanted.expect("runs").outputs, "seed {seed:#x}: {random_load:?}");
        assert_eq!(simulated.system_mut().model_mut().errors(), 0, "seed {seed:#x}");
    }
}

/// The status with which raw command words end, and the index of the command that is next.
fn run_raw(device: &mut VerilatedDevice, words: &[[u32; 16]], commands: u32) -> (u32, u32) {
    let system = device.system_mut();
    system.start_raw(0x4000, words, commands).expect("answers");
    assert!(system.run_until_interrupt(50_000), "the machine hangs");
    let index = system.read_register(register::COMMAND_INDEX).expect("answers");
    (system.read_register(register::STATUS).expect("answers"), index)
}

fn reset(device: &mut VerilatedDevice) {
    device.system_mut().write_register(register::CONTROL, register::CONTROL_RESET).expect("answers");
}

fn code(status: u32) -> Option<StatusCode> {
    StatusCode::from_value((status >> 8) as u8)
}

/// Every rule between fields, and every command that this machine does without.
#[test]
fn illegal_commands_stop_the_machine_and_a_reset_revives_it() {
    let adjust = Adjust { part_0: 1, word_0: 1, ..Adjust::default() };
    let fields = |command: Command, engine| (command, StatusCode::IllegalField, engine);
    let bad = [
        (Command::from(Row::default()), StatusCode::IllegalOpcode, Engine::Control),
        (Set::default().into(), StatusCode::IllegalOpcode, Engine::Control),
        (Branch { limit: 1, ..Branch::default() }.into(), StatusCode::IllegalOpcode, Engine::Control),
        (adjust.into(), StatusCode::IllegalOpcode, Engine::Control),
        fields(Load { row_bytes: 24, ..load() }.into(), Engine::Load),
        fields(Load { row_bytes: 0, ..load() }.into(), Engine::Load),
        fields(Load { memory_offset: 8, ..load() }.into(), Engine::Load),
        fields(Load { memory_stride: 4, ..load() }.into(), Engine::Load),
        fields(Load { layout: 1, ..load() }.into(), Engine::Load),
        fields(Load { layout: 2, space: 3, ..load() }.into(), Engine::Load),
        fields(Load { layout: 3, space: 2, ..load() }.into(), Engine::Load),
        fields(Load { layout: 2, space: 2, ..load() }.into(), Engine::Load),
        fields(Load { layout: 3, space: 1, ..load() }.into(), Engine::Load),
        fields(Load { base_register: 2, ..load() }.into(), Engine::Load),
        fields(Store { row_bytes: 8, ..store() }.into(), Engine::Store),
        fields(Store { row_bytes: 0, ..store() }.into(), Engine::Store),
        fields(Store { space: 1, ..store() }.into(), Engine::Store),
        fields(Store { space: 2, ..store() }.into(), Engine::Store),
        fields(Store { memory_offset: 4, ..store() }.into(), Engine::Store),
        fields(Store { memory_stride: 8, ..store() }.into(), Engine::Store),
        fields(Store { base_register: 4, ..store() }.into(), Engine::Store),
        fields(Matrix { skip: 1, ..Matrix::default() }.into(), Engine::Matrix),
        fields(Matrix { skip: 200, outputs_x: 200, ..Matrix::default() }.into(), Engine::Matrix),
        fields(Matrix { four_bit: true, to_accumulator: true, ..Matrix::default() }.into(), Engine::Matrix),
        fields(Matrix { row_results: true, ..Matrix::default() }.into(), Engine::Matrix),
        fields(Matrix { rescale: true, ..Matrix::default() }.into(), Engine::Matrix),
        fields(Matrix { add_row: true, ..Matrix::default() }.into(), Engine::Matrix),
        fields(
            Matrix { add_row: true, to_accumulator: true, rescale: true, ..Matrix::default() }.into(),
            Engine::Matrix,
        ),
        fields(
            Matrix { add_row: true, to_accumulator: true, row_results: true, ..Matrix::default() }.into(),
            Engine::Matrix,
        ),
        fields(
            Matrix {
                add_row: true,
                to_accumulator: true,
                row_results: true,
                rescale: true,
                accumulate: true,
                ..Matrix::default()
            }
            .into(),
            Engine::Matrix,
        ),
        fields(Vector { reduce: 3, ..Vector::default() }.into(), Engine::Vector),
        fields(Vector { source: 1, add_operand: true, ..Vector::default() }.into(), Engine::Vector),
        fields(Vector { source: 1, multiply_operand: true, ..Vector::default() }.into(), Engine::Vector),
        fields(
            Vector { add_operand: true, multiply_operand: true, ..Vector::default() }.into(),
            Engine::Vector,
        ),
    ];
    let mut device = device(&SimulationOptions::default());
    let barrier = Command::from(Barrier::default()).encode().expect("encodes");
    let end = Command::from(End::default()).encode().expect("encodes");
    for (command, wanted, engine) in bad {
        let words = command.encode().expect("encodes");
        let (status, index) = run_raw(&mut device, &[barrier, words, end], 3);
        assert_eq!(code(status), Some(wanted), "{command}: status {status:#x}");
        assert_eq!(status & 7, register::STATUS_DONE | register::STATUS_ERROR, "{command}");
        assert_eq!(status >> 16 & 15, engine as u32, "{command}");
        assert_eq!(index, 1, "{command}");
        // A start without a reset does nothing.
        device.system_mut().write_register(register::CONTROL, register::CONTROL_START).expect("answers");
        assert_eq!(device.system_mut().read_register(register::STATUS).expect("answers"), status);
        reset(&mut device);
        device.run(&good(), &[], &RunOptions::default()).expect("runs again");
    }
    for opcode in [0u32, 12, 0x80, 0xff] {
        let (status, index) = run_raw(&mut device, &[[opcode; 16]], 1);
        assert_eq!(code(status), Some(StatusCode::IllegalOpcode), "opcode {opcode}: status {status:#x}");
        assert_eq!(index, 0);
        reset(&mut device);
    }
    // And commands that are as legal as they can be.
    let matrix = Matrix { skip: 199, outputs_x: 200, input_width: 0, ..Matrix::default() };
    let legal: [Command; 3] =
        [matrix.into(), Vector::default().into(), Move { input_width: 1, ..Move::default() }.into()];
    for command in legal {
        let words = command.encode().expect("encodes");
        let (status, index) = run_raw(&mut device, &[words, end], 2);
        assert_eq!((status, index), (register::STATUS_DONE, 2), "{command}");
    }
}

#[test]
fn a_program_without_end_stops() {
    let mut device = device(&SimulationOptions::default());
    for words in [&[][..], &[Command::from(Barrier::default()).encode().expect("encodes")]] {
        let (status, index) = run_raw(&mut device, words, words.len() as u32);
        assert_eq!(code(status), Some(StatusCode::MissingEnd));
        assert_eq!(index as usize, words.len());
        reset(&mut device);
        device.run(&good(), &[], &RunOptions::default()).expect("runs again");
    }
}

/// Runs a program that must not end well.
fn stop_of(device: &mut VerilatedDevice, program: &Program) -> (Option<StatusCode>, Option<Engine>) {
    match device.run(program, &[], &RunOptions::default()) {
        Err(DeviceError::Run(error)) => {
            match *error.downcast::<SimulationError>().expect("a simulation's error") {
                SimulationError::Stopped { code, engine, .. } => (StatusCode::from_value(code), engine),
                other => panic!("expected a stop, got {other}"),
            }
        }
        other => panic!("expected an error of the run, got {other:?}"),
    }
}

#[test]
fn errors_of_memory_stop_the_machine() {
    for (access, wanted) in [(Access::Read, StatusCode::FetchError), (Access::Write, StatusCode::WriteError)]
    {
        for response in [Response::SlaveError, Response::DecodeError] {
            let errors = vec![ErrorRange { bytes: 0..u64::MAX, access, response }];
            let mut device = device(&SimulationOptions { errors, ..SimulationOptions::default() });
            assert_eq!(stop_of(&mut device, &good()).0, Some(wanted));
        }
    }
    let mut device = device(&SimulationOptions::default());
    for layout in [layout::LINEAR, layout::COLUMN, layout::ROW] {
        let space = if layout == layout::LINEAR { space::ACTIVATION } else { space::WEIGHT };
        let far = Load { memory_offset: 0x4000_0000, layout, space, ..load() };
        let stop = stop_of(&mut device, &program(vec![far.into(), End::default().into()]));
        assert_eq!(stop, (Some(StatusCode::ReadError), Some(Engine::Load)));
        reset(&mut device);
    }
    let far = Store { memory_offset: 0x4000_0000, ..store() };
    let stop = stop_of(&mut device, &program(vec![far.into(), End::default().into()]));
    assert_eq!(stop, (Some(StatusCode::WriteError), Some(Engine::Store)));
    reset(&mut device);
    device.run(&good(), &[], &RunOptions::default()).expect("runs again");
}

/// A reset at any time, also in the middle of a transfer, leaves a machine that works.
#[test]
fn a_reset_in_the_middle_of_a_run_leaves_a_machine_that_works() {
    let mut device = device(&SimulationOptions::default());
    let matrix = Matrix { outputs_x: 4, channels: 4, input_width: 4, input_height: 1, ..Matrix::default() };
    let long = program(vec![load().into(), matrix.into(), store().into(), End::default().into()]);
    let mut random = Random::new(SEED);
    for round in 0..40 {
        let words: Vec<[u32; 16]> = long.commands.iter().map(|c| c.encode().expect("encodes")).collect();
        let system = device.system_mut();
        system.start_raw(0x4000, &words, words.len() as u32).expect("answers");
        for _ in 0..random.below(6000) {
            system.cycle();
        }
        system.reset();
        assert_eq!(
            system.read_register(register::STATUS).expect("answers"),
            0,
            "round {round}, seed {SEED:#x}"
        );
        device.run(&good(), &[], &RunOptions::default()).expect("runs again");
    }
}
