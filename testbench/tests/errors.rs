//! What the machine does with bad commands and bad memory: it stops with a status code, never hangs, and runs again after a reset.

use frugal_device::{Device, DeviceError, RunOptions};
use frugal_isa::command::{Adjust, Barrier, Branch, End, Load, Matrix, Row, Set, Store, Tokens, Vector};
use frugal_isa::program::Layer;
use frugal_isa::register::{self, StatusCode};
use frugal_isa::{Command, Config, Engine, Program};
use frugal_testbench::accelerator::{verilated_device, VerilatedDevice};
use frugal_testbench::axi::{Access, ErrorRange, Response};
use frugal_testbench::device::{SimulationError, SimulationOptions};

fn config() -> Config {
    Config::preset("nano").expect("a preset")
}

fn program(commands: Vec<Command>) -> Program {
    Program {
        name: "errors".into(),
        config: config(),
        command_layers: vec![0; commands.len()],
        commands,
        layers: vec![Layer { name: "layer".into(), macs: 0 }],
        constants: vec![0; 4096],
        workspace_bytes: 4096,
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

/// Runs a program that must not end well.
fn error_of(device: &mut VerilatedDevice, program: &Program, options: &RunOptions) -> SimulationError {
    match device.run(program, &[], options) {
        Err(DeviceError::Run(error)) => {
            *error.downcast::<SimulationError>().expect("an error of the simulation")
        }
        other => panic!("expected an error of the run, got {other:?}"),
    }
}

fn assert_stops(error: &SimulationError, wanted: StatusCode, wanted_engine: Option<Engine>) {
    match error {
        SimulationError::Stopped { code, engine, .. } => {
            assert_eq!(StatusCode::from_value(*code), Some(wanted), "{error}");
            if wanted_engine.is_some() {
                assert_eq!(*engine, wanted_engine, "{error}");
            }
        }
        other => panic!("expected {wanted:?}, got {other}"),
    }
}

fn good() -> Program {
    program(vec![load().into(), Barrier::default().into(), store().into(), End::default().into()])
}

/// The status with which raw command words end.
fn run_raw(device: &mut VerilatedDevice, words: &[[u32; 16]], commands: u32) -> u32 {
    let system = device.system_mut();
    system.start_raw(0x2000, words, commands).expect("answers");
    assert!(system.run_until_interrupt(20_000), "the machine hangs");
    system.read_register(register::STATUS).expect("answers")
}

fn reset(device: &mut VerilatedDevice) {
    device.system_mut().write_register(register::CONTROL, register::CONTROL_RESET).expect("answers");
}

fn code(status: u32) -> Option<StatusCode> {
    StatusCode::from_value((status >> 8) as u8)
}

#[test]
fn illegal_opcodes_stop_the_machine_and_a_reset_revives_it() {
    let mut device = device(&SimulationOptions::default());
    device.run(&good(), &[], &RunOptions::default()).expect("a good program");
    for opcode in [0u32, 12, 0x80, 0xff] {
        let status = run_raw(&mut device, &[[opcode; 16]], 1);
        assert_eq!(code(status), Some(StatusCode::IllegalOpcode), "opcode {opcode}: status {status:#x}");
        assert_eq!(status & 7, register::STATUS_DONE | register::STATUS_ERROR);
        reset(&mut device);
        device.run(&good(), &[], &RunOptions::default()).expect("runs again");
    }
}

#[test]
fn contradicting_fields_stop_the_machine() {
    let bad: Vec<(Command, Engine)> = vec![
        (Load { row_bytes: 24, ..load() }.into(), Engine::Load),
        (Load { row_bytes: 0, ..load() }.into(), Engine::Load),
        (Load { memory_offset: 8, ..load() }.into(), Engine::Load),
        (Load { memory_stride: 4, ..load() }.into(), Engine::Load),
        (Load { layout: 1, ..load() }.into(), Engine::Load),
        (Load { layout: 3, space: 2, ..load() }.into(), Engine::Load),
        (Store { row_bytes: 8, ..store() }.into(), Engine::Store),
        (Store { space: 1, ..store() }.into(), Engine::Store),
        (Store { memory_offset: 4, ..store() }.into(), Engine::Store),
        (Matrix { skip: 1, ..Matrix::default() }.into(), Engine::Matrix),
        (Matrix { four_bit: true, ..Matrix::default() }.into(), Engine::Matrix),
        (Matrix { row_results: true, ..Matrix::default() }.into(), Engine::Matrix),
        (Matrix { rescale: true, ..Matrix::default() }.into(), Engine::Matrix),
        (
            Matrix { add_row: true, to_accumulator: true, rescale: true, ..Matrix::default() }.into(),
            Engine::Matrix,
        ),
        (Vector { reduce: 3, ..Vector::default() }.into(), Engine::Vector),
        (Vector { source: 1, add_operand: true, ..Vector::default() }.into(), Engine::Vector),
    ];
    let mut device = device(&SimulationOptions::default());
    let end = Command::from(End::default()).encode().expect("encodes");
    for (command, engine) in bad {
        assert!(command.check_fields().is_err(), "the decoder accepts {command}");
        let words = command.encode().expect("encodes");
        let status = run_raw(&mut device, &[words, end], 2);
        assert_eq!(code(status), Some(StatusCode::IllegalField), "{command}: status {status:#x}");
        assert_eq!(status >> 16 & 15, engine as u32, "{command}");
        reset(&mut device);
        device.run(&good(), &[], &RunOptions::default()).expect("runs again");
    }
}

/// Four-bit weights and group scales on a machine without them.
#[test]
fn four_bit_weights_that_are_not_there_stop_the_machine() {
    let config = Config { name: "plain".into(), four_bit: false, ..config() };
    let mut device = verilated_device(&config, &SimulationOptions::default(), None).expect("a device");
    let matrix = Matrix { four_bit: true, to_accumulator: true, channels: 4, ..Matrix::default() };
    for (command, engine) in [
        (Command::from(matrix), Engine::Matrix),
        (Load { layout: 3, space: 1, ..load() }.into(), Engine::Load),
    ] {
        let good = Program { config: config.clone(), ..good() };
        let bad = Program {
            config: config.clone(),
            ..program(vec![command.clone(), Barrier::default().into(), End::default().into()])
        };
        let error = error_of(&mut device, &bad, &RunOptions::default());
        assert_stops(&error, StatusCode::IllegalField, Some(engine));
        reset(&mut device);
        device.run(&good, &[], &RunOptions::default()).expect("runs again");
    }
}

/// Row commands and scalars on a machine without a row engine.
#[test]
fn a_row_engine_that_is_not_there_stops_the_machine() {
    let config =
        Config { name: "rowless".into(), row_engine: false, counters: false, base_registers: 2, ..config() };
    let mut device = verilated_device(&config, &SimulationOptions::default(), None).expect("a device");
    let adjust = Adjust { part_0: 1, word_0: 1, ..Adjust::default() };
    for (command, code, engine) in [
        (Command::from(Row::default()), StatusCode::IllegalOpcode, Engine::Control),
        (Set::default().into(), StatusCode::IllegalOpcode, Engine::Control),
        (Branch { limit: 1, ..Branch::default() }.into(), StatusCode::IllegalOpcode, Engine::Control),
        (adjust.into(), StatusCode::IllegalOpcode, Engine::Control),
        (Load { layout: 2, space: 2, ..load() }.into(), StatusCode::IllegalField, Engine::Load),
        (Load { base_register: 2, ..load() }.into(), StatusCode::IllegalField, Engine::Load),
        (Store { base_register: 4, ..store() }.into(), StatusCode::IllegalField, Engine::Store),
    ] {
        let good = Program { config: config.clone(), ..good() };
        let bad = Program {
            config: config.clone(),
            ..program(vec![command.clone(), load().into(), Barrier::default().into(), End::default().into()])
        };
        let error = error_of(&mut device, &bad, &RunOptions::default());
        assert_stops(&error, code, Some(engine));
        reset(&mut device);
        device.run(&good, &[], &RunOptions::default()).expect("runs again");
    }
}

#[test]
fn a_program_without_end_stops() {
    let mut device = device(&SimulationOptions::default());
    let error = error_of(&mut device, &program(vec![load().into()]), &RunOptions::default());
    assert_stops(&error, StatusCode::MissingEnd, None);
    reset(&mut device);
    let status = run_raw(&mut device, &[], 0);
    assert_eq!(code(status), Some(StatusCode::MissingEnd));
    reset(&mut device);
    device.run(&good(), &[], &RunOptions::default()).expect("runs again");
}

#[test]
fn errors_of_memory_stop_the_machine() {
    let cases = [
        // Constants, workspace and commands are placed one after another; whole ranges are refused by access.
        (Access::Read, StatusCode::FetchError),
        (Access::Write, StatusCode::WriteError),
    ];
    for (access, wanted) in cases {
        for response in [Response::SlaveError, Response::DecodeError] {
            let errors = vec![ErrorRange { bytes: 0..u64::MAX, access, response }];
            let mut device = device(&SimulationOptions { errors, ..SimulationOptions::default() });
            let error = error_of(&mut device, &good(), &RunOptions::default());
            assert_stops(&error, wanted, None);
        }
    }
    // A load from where nothing is.
    let mut device = device(&SimulationOptions::default());
    let far = Load { memory_offset: 0x4000_0000, ..load() };
    let error =
        error_of(&mut device, &program(vec![far.into(), End::default().into()]), &RunOptions::default());
    assert_stops(&error, StatusCode::ReadError, Some(Engine::Load));
    reset(&mut device);
    let far = Store { memory_offset: 0x4000_0000, ..store() };
    let error =
        error_of(&mut device, &program(vec![far.into(), End::default().into()]), &RunOptions::default());
    assert_stops(&error, StatusCode::WriteError, Some(Engine::Store));
    reset(&mut device);
    device.run(&good(), &[], &RunOptions::default()).expect("runs again");
}

#[test]
fn a_hung_run_ends_with_the_state_of_every_queue() {
    let waiting = Matrix { tokens: Tokens { wait: Engine::Store.mask(), signal: 0 }, ..Matrix::default() };
    let hung = program(vec![waiting.into(), End::default().into()]);
    let mut device = device(&SimulationOptions { quiet_cycles: 2_000, ..SimulationOptions::default() });
    let text = error_of(&mut device, &hung, &RunOptions::default()).to_string();
    for part in ["nothing has moved for", "dispatch end", "matrix 1", "queues", "tokens"] {
        assert!(text.contains(part), "{part} is missing in:\n{text}");
    }
    let mut device = verilated_device(&config(), &SimulationOptions::default(), None).expect("a device");
    let options = RunOptions { max_cycles: Some(500), ..RunOptions::default() };
    let error = error_of(&mut device, &hung, &options);
    assert!(matches!(error, SimulationError::Timeout { .. }), "{error}");
}
