//! The device around a scripted accelerator: registers, and a program that copies one beat.

use super::*;
use crate::axi::{ErrorRange, LiteSlavePins, Response, Stalls};
use frugal_isa::command::End;
use frugal_isa::program::Layer;
use frugal_isa::TensorLayout;
use std::cell::Cell;

/// What the scripted accelerator does when it is started.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Script {
    /// Reads a beat at BASE_1 and writes it 16 bytes further.
    Copy,
    /// Stops with a status code of the load engine.
    Stop(StatusCode),
    /// Never ends.
    Hang,
    /// Never ends, but counts matrix steps.
    Compute,
    /// Reads a burst that crosses 4 KiB, and ends well.
    Cross,
    /// Does not answer register accesses.
    Deaf,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Step {
    Idle,
    Address,
    Data,
    Write { address: bool, data: bool },
    Answer,
}

/// Registered outputs, like the real one.
struct Scripted {
    script: Script,
    registers: [u32; 48],
    step: Step,
    outputs: AcceleratorPins,
    write_address: Option<u32>,
    write_data: Option<u32>,
}

impl Scripted {
    fn new(script: Script) -> Scripted {
        let mut registers = [0; 48];
        let c = Config::preset("nano").unwrap();
        registers[0] = register::IDENTITY_VALUE;
        registers[1] = 1;
        registers[2] = 0x0804_0808;
        registers[3] = c.activation_depth as u32;
        registers[4] = c.weight_depth as u32;
        registers[5] = c.parameter_depth as u32;
        registers[6] = c.accumulator_depth as u32;
        Scripted {
            script,
            registers,
            step: Step::Idle,
            outputs: AcceleratorPins::default(),
            write_address: None,
            write_data: None,
        }
    }

    fn register(&mut self, offset: u32) -> &mut u32 {
        &mut self.registers[offset as usize / 4]
    }

    fn done(&mut self, status: u32) {
        *self.register(register::STATUS) = status;
        *self.register(register::COMMAND_INDEX) = 1;
        *self.register(register::COMMANDS) = 1;
        self.outputs.interrupt = true;
        self.step = Step::Idle;
    }

    fn write(&mut self, address: u32, value: u32) {
        if address != register::CONTROL {
            *self.register(address) = value;
            return;
        }
        assert_eq!(value, register::CONTROL_START);
        *self.register(register::STATUS) = register::STATUS_BUSY;
        *self.register(register::CYCLES_LOW) = 0;
        *self.register(register::MATRIX_STEPS) = 0;
        self.outputs.interrupt = false;
        let source = *self.register(register::BASE_1);
        match self.script {
            Script::Copy | Script::Cross => {
                self.step = Step::Address;
                self.outputs.memory.ar_valid = true;
                self.outputs.memory.ar_id = 1;
                self.outputs.memory.ar_address = source;
                self.outputs.memory.ar_length = 0;
                if self.script == Script::Cross {
                    self.outputs.memory.ar_address = source + 4088;
                    self.outputs.memory.ar_length = 1;
                }
            }
            Script::Stop(code) => {
                self.done(register::STATUS_DONE | register::STATUS_ERROR | (code as u32) << 8)
            }
            Script::Hang | Script::Compute | Script::Deaf => {
                *self.register(register::DEBUG_STATES) = 0x3_0201;
                *self.register(register::DEBUG_QUEUES) = 0x0000_0200;
                *self.register(register::DEBUG_TOKENS_MATRIX) = 0x0001_0000;
            }
        }
    }

    fn lite(&mut self, inputs: &InputPins) {
        let (out, lite) = (self.outputs.lite, &inputs.lite);
        let mut next = LiteSlavePins { aw_ready: true, w_ready: true, ar_ready: true, ..out };
        if lite.aw_valid && out.aw_ready {
            self.write_address = Some(lite.aw_address);
        }
        if lite.w_valid && out.w_ready {
            self.write_data = Some(lite.w_data);
        }
        next.b_valid &= !lite.b_ready;
        next.r_valid &= !lite.r_ready;
        if let (Some(address), Some(data)) = (self.write_address, self.write_data) {
            (self.write_address, self.write_data) = (None, None);
            next.b_valid = true;
            self.write(address, data);
        }
        if lite.ar_valid && out.ar_ready {
            next.r_valid = true;
            next.r_data = *self.register(lite.ar_address);
        }
        self.outputs.lite = next;
    }

    fn memory(&mut self, inputs: &InputPins) {
        let slave = &inputs.memory;
        let source = *self.register(register::BASE_1);
        let out = &mut self.outputs.memory;
        out.r_ready = true;
        out.b_ready = true;
        match self.step {
            Step::Idle => {}
            Step::Address if slave.ar_ready => {
                out.ar_valid = false;
                self.step = Step::Data;
            }
            Step::Data if slave.r_valid && slave.r_last => {
                if slave.r_response != Response::Okay {
                    let code = StatusCode::ReadError as u32;
                    self.done(register::STATUS_DONE | register::STATUS_ERROR | code << 8);
                    return;
                }
                if self.script == Script::Cross {
                    self.done(register::STATUS_DONE);
                    return;
                }
                out.aw_valid = true;
                out.aw_address = source + 16;
                out.aw_length = 0;
                out.w_valid = true;
                out.w_data = slave.r_data;
                out.w_strobe = 0xff;
                out.w_last = true;
                self.step = Step::Write { address: true, data: true };
            }
            Step::Write { address, data } => {
                let (address, data) = (address && !slave.aw_ready, data && !slave.w_ready);
                (out.aw_valid, out.w_valid) = (address, data);
                self.step = if address || data { Step::Write { address, data } } else { Step::Answer };
            }
            Step::Answer if slave.b_valid => self.done(register::STATUS_DONE),
            _ => {}
        }
    }
}

impl AcceleratorModel for Scripted {
    fn cycle(&mut self, inputs: &InputPins, outputs: &mut AcceleratorPins) {
        *outputs = self.outputs;
        if inputs.reset {
            *self = Scripted::new(self.script);
            return;
        }
        if self.registers[register::STATUS as usize / 4] == register::STATUS_BUSY {
            self.registers[register::CYCLES_LOW as usize / 4] += 1;
            if self.script == Script::Compute {
                self.registers[register::MATRIX_STEPS as usize / 4] += 1;
            }
        }
        self.memory(inputs);
        if self.script != Script::Deaf {
            self.lite(inputs);
        }
    }
}

fn program() -> Program {
    let tensor = |name: &str, offset| TensorLayout {
        name: name.into(),
        shape: vec![8],
        strides: vec![1],
        offset,
        element_bytes: 1,
    };
    Program {
        name: "copy".into(),
        config: Config::preset("nano").unwrap(),
        commands: vec![End::default().into(), End::default().into()],
        command_layers: vec![0, 0],
        layers: vec![Layer { name: "copying".into(), macs: 0 }],
        constants: vec![],
        workspace_bytes: 8192,
        inputs: vec![tensor("in", 0)],
        outputs: vec![tensor("out", 16)],
    }
}

fn device(script: Script, options: &SimulationOptions) -> SimulatedDevice<Scripted> {
    SimulatedDevice::new(&Config::preset("nano").unwrap(), Scripted::new(script), options).unwrap()
}

fn error(script: Script, options: &RunOptions<'_>) -> String {
    let simulation = SimulationOptions { quiet_cycles: 40_000, ..SimulationOptions::default() };
    let mut device = device(script, &simulation);
    device.run(&program(), &[vec![0; 8]], options).unwrap_err().to_string()
}

#[test]
fn programs_run_one_after_another() {
    for stalls in [None, Some(Stalls { seed: 3, percent: 60 })] {
        let mut device = device(Script::Copy, &SimulationOptions { stalls, ..SimulationOptions::default() });
        let mut last = None;
        for value in 1..5 {
            let options = RunOptions { keep_workspace: true, ..RunOptions::default() };
            let result = device.run(&program(), &[vec![value; 8]], &options).unwrap();
            assert_eq!(result.outputs, [[value; 8]]);
            assert_eq!(result.workspace.unwrap()[16..24], [value; 8]);
            let statistics = result.statistics;
            assert_eq!((statistics.bytes_read, statistics.bytes_written), (Some(8), Some(8)));
            assert!(statistics.cycles.unwrap() > 40);
            if stalls.is_none() {
                assert_eq!(*last.get_or_insert(statistics.cycles), statistics.cycles);
            }
        }
    }
}

#[test]
fn a_stopped_machine_tells_why_and_starts_again() {
    let message = error(Script::Stop(StatusCode::ReadError), &RunOptions::default());
    assert!(
        message.starts_with(
            "the machine stopped: the memory answered a load with an error (load)\n  dispatched 1 of 2 commands; next 1 \
             (layer 'copying'): end"
        ),
        "{message}"
    );
    let errors =
        vec![ErrorRange { bytes: 0..8, access: crate::axi::Access::Read, response: Response::SlaveError }];
    let mut device = device(Script::Copy, &SimulationOptions { errors, ..SimulationOptions::default() });
    for _ in 0..2 {
        let error = device.run(&program(), &[vec![0; 8]], &RunOptions::default()).unwrap_err();
        assert!(error.to_string().contains("answered a load"), "{error}");
    }
}

#[test]
fn a_machine_without_progress_is_given_up() {
    let message = error(Script::Hang, &RunOptions::default());
    assert!(message.starts_with("nothing has moved for "), "{message}");
    assert!(
        message.contains(
            "states: dispatch run; load idle; matrix running; vector idle; store waiting for responses;"
        ),
        "{message}"
    );
    assert!(message.contains("queues: load 0 matrix 2 vector 0 store 0"), "{message}");
    assert!(message.contains("tokens: vector to matrix 1"), "{message}");
}

#[test]
fn a_machine_that_does_not_end_is_given_up() {
    let calls = Cell::new(0);
    let progress = |p: Progress| {
        assert_eq!(p.total_commands, 2);
        calls.set(calls.get() + 1);
    };
    let options =
        RunOptions { max_cycles: Some(100_000), progress: Some(&progress), ..RunOptions::default() };
    let message = error(Script::Compute, &options);
    assert!(message.starts_with("no end after 100"), "{message}");
    assert!(calls.get() >= 6);
}

#[test]
fn broken_rules_are_errors_of_the_run() {
    let message = error(Script::Cross, &RunOptions::default());
    assert!(message.contains("crosses a 4 KiB boundary"), "{message}");
}

#[test]
fn another_accelerator_is_noticed() {
    let base = Config::preset("base").unwrap();
    let error = SimulatedDevice::new(&base, Scripted::new(Script::Copy), &SimulationOptions::default()).err();
    assert_eq!(error.unwrap().to_string(), "register SHAPE reads 0x8040808; 'base' has 0x8080810");
    let nano = Config::preset("nano").unwrap();
    let error = SimulatedDevice::new(&nano, Scripted::new(Script::Deaf), &SimulationOptions::default()).err();
    assert_eq!(error.unwrap().to_string(), "register 0x00: no answer on AXI4-Lite within 10000 cycles");
}
