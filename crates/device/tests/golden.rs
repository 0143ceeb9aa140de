//! Placement and the functional simulator behind the `Device` trait.

use frugal_device::{Device, DeviceError, GoldenDevice, MemoryImage, Progress, RunOptions};
use frugal_isa::command::{End, Load, Store, Tokens};
use frugal_isa::program::Layer;
use frugal_isa::{Config, Engine, Program, TensorLayout};
use std::cell::RefCell;

/// A program that copies its input of 2 x 3 elements, 16 bytes apart, and 16 bytes of constants.
fn copy() -> Program {
    let tensor = |name: &str, offset| TensorLayout {
        name: name.into(),
        shape: vec![2, 3],
        strides: vec![16, 1],
        offset,
        element_bytes: 1,
    };
    let load =
        Load { base_register: 1, rows: 2, row_bytes: 16, memory_stride: 16, stride: 2, ..Load::default() };
    let constants = Load {
        tokens: Tokens { wait: 0, signal: Engine::Store.mask() },
        row_bytes: 16,
        address: 4,
        ..Load::default()
    };
    let store = Store {
        tokens: Tokens { wait: Engine::Load.mask(), signal: 0 },
        base_register: 1,
        memory_offset: 64,
        rows: 3,
        row_bytes: 16,
        memory_stride: 16,
        stride: 2,
        ..Store::default()
    };
    Program {
        name: "copy".into(),
        config: Config::preset("nano").unwrap(),
        commands: vec![load.into(), constants.into(), store.into(), End::default().into()],
        command_layers: vec![0; 4],
        layers: vec![Layer { name: "copy".into(), macs: 0 }],
        constants: (100..116).collect(),
        workspace_bytes: 5000,
        inputs: vec![tensor("in", 0)],
        outputs: vec![tensor("out", 64)],
    }
}

#[test]
fn regions_are_on_pages_and_the_workspace_is_first() {
    let image = MemoryImage::place(&copy(), 1).unwrap();
    assert_eq!(image.workspace, 4096..9096);
    assert_eq!(image.constants, 12288..12304);
    assert_eq!(image.commands, 16384..16640);
    assert_eq!(image.end(), 20480);
    assert_eq!(image.bases()[..3], [12288, 4096, 4096]);
    let mut program = copy();
    program.workspace_bytes = 1 << 31;
    let error = MemoryImage::place(&program, 1 << 31).unwrap_err();
    assert!(error.to_string().contains("addresses have 32 bits"), "{error}");
}

#[test]
fn the_functional_simulator_runs_programs() {
    let program = copy();
    let mut device = GoldenDevice::new(&program.config).unwrap();
    let calls = RefCell::new(Vec::new());
    let progress = |p: Progress| calls.borrow_mut().push(p.commands);
    let options = RunOptions { keep_workspace: true, progress: Some(&progress), ..RunOptions::default() };
    let result = device.run(&program, &[vec![1, 2, 3, 4, 5, 6]], &options).unwrap();
    assert_eq!(result.outputs, [[1, 2, 3, 4, 5, 6]]);
    let workspace = result.workspace.unwrap();
    assert_eq!(workspace[96..112], program.constants[..]);
    assert_eq!(result.statistics.commands, 4);
    assert_eq!(result.statistics.bytes_read, Some(48 + 4 * 64));
    assert_eq!(result.statistics.bytes_written, Some(48));
    assert_eq!(calls.borrow().last(), Some(&4));
    // A second run needs no new device.
    let result = device.run(&program, &[vec![9; 6]], &RunOptions::default()).unwrap();
    assert_eq!((result.outputs, result.workspace), (vec![vec![9; 6]], None));
}

#[test]
fn what_does_not_fit_is_named() {
    let program = copy();
    let mut device = GoldenDevice::new(&program.config).unwrap();
    let mut run = |program: &Program, inputs: &[Vec<u8>]| {
        device.run(program, inputs, &RunOptions::default()).unwrap_err()
    };
    assert_eq!(run(&program, &[]).to_string(), "program 'copy' takes 1 inputs (in), 0 were given");
    assert_eq!(
        run(&program, &[vec![0; 5]]).to_string(),
        "input 'in' of shape [2, 3] takes 6 bytes, 5 were given"
    );
    let mut deeper = program.clone();
    deeper.config.name = "mine".into();
    deeper.config.weight_depth *= 2;
    assert_eq!(
        run(&deeper, &[vec![0; 6]]).to_string(),
        "program 'copy' was compiled for 'mine', where weight_depth is 1024; this device has 512. Compile the model for \
         'nano'"
    );
    // Another bus is no difference.
    let mut bus = program.clone();
    bus.config.bus_bits = 128;
    assert!(device.run(&bus, &[vec![0; 6]], &RunOptions::default()).is_ok());
}

#[test]
fn a_race_is_an_error_of_the_run() {
    let mut program = copy();
    *program.commands[1].tokens_mut() = Tokens::default();
    *program.commands[2].tokens_mut() = Tokens::default();
    let mut device = GoldenDevice::new(&program.config).unwrap();
    let error = device.run(&program, &[vec![0; 6]], &RunOptions::default()).unwrap_err();
    assert!(matches!(error, DeviceError::Run(_)));
    assert!(error.to_string().contains("no tokens order them"), "{error}");
}
