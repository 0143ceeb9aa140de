//! The Verilated accelerator: the pins of [`AcceleratorModel`] on a [`VerilatedModel`].
//!
//! Every output of the accelerator comes from registers, so what it drives in a cycle is what was read after the clock edge before:
//! one evaluation a cycle is enough.

use crate::axi::{LiteSlavePins, MasterPins};
use crate::device::{
    AcceleratorModel, AcceleratorPins, InputPins, SimulatedDevice, SimulationError, SimulationOptions,
};
use crate::verilated::{BuildOptions, PortHandle, Trace, VerilateError, VerilatedModel};
use frugal_hdl::VerilogError;
use frugal_isa::Config;
use std::path::Path;

/// Why there is no simulated accelerator.
#[derive(Debug, thiserror::Error)]
pub enum AcceleratorError {
    #[error(transparent)]
    Verilog(#[from] VerilogError),
    #[error(transparent)]
    Verilate(#[from] VerilateError),
    #[error(transparent)]
    Simulation(#[from] SimulationError),
}

/// An accelerator simulated cycle by cycle.
pub type VerilatedDevice = SimulatedDevice<VerilatedAccelerator>;

/// Builds (or takes from the cache) the accelerator of `config`, resets it, and puts memory around it.
///
/// With `trace`, a waveform is written to that path; its extension, `.vcd` or `.fst`, is its format.
pub fn verilated_device(
    config: &Config,
    options: &SimulationOptions,
    trace: Option<&Path>,
) -> Result<VerilatedDevice, AcceleratorError> {
    let model = VerilatedAccelerator::new(config, trace)?;
    Ok(SimulatedDevice::new(config, model, options)?)
}

macro_rules! define_ports {
    ($($name:ident),*) => {
        struct Ports { $($name: PortHandle),* }
        impl Ports {
            fn of(model: &VerilatedModel) -> Ports {
                Ports { $($name: model.port(stringify!($name))),* }
            }
        }
    };
}

define_ports!(
    reset,
    irq,
    observe,
    lite_aw_valid,
    lite_aw_ready,
    lite_aw_address,
    lite_w_valid,
    lite_w_ready,
    lite_w_data,
    lite_b_valid,
    lite_b_ready,
    lite_b_response,
    lite_ar_valid,
    lite_ar_ready,
    lite_ar_address,
    lite_r_valid,
    lite_r_ready,
    lite_r_data,
    lite_r_response,
    ar_valid,
    ar_ready,
    ar_address,
    ar_length,
    ar_id,
    r_valid,
    r_ready,
    r_data,
    r_response,
    r_last,
    r_id,
    aw_valid,
    aw_ready,
    aw_address,
    aw_length,
    w_valid,
    w_ready,
    w_data,
    w_strobe,
    w_last,
    b_valid,
    b_ready,
    b_response
);

/// The accelerator's pins on a Verilated model.
pub struct VerilatedAccelerator {
    model: VerilatedModel,
    ports: Ports,
    bus_words: usize,
}

impl VerilatedAccelerator {
    pub fn new(config: &Config, trace: Option<&Path>) -> Result<VerilatedAccelerator, AcceleratorError> {
        let options = BuildOptions {
            trace: trace.map_or(Ok(Trace::default()), Trace::for_path)?,
            ..BuildOptions::default()
        };
        let mut model = VerilatedModel::new(&frugal_hdl::verilog(config)?, &options)?;
        if let Some(path) = trace {
            model.trace_to(path)?;
        }
        let ports = Ports::of(&model);
        Ok(VerilatedAccelerator { model, ports, bus_words: config.bus_bits / 32 })
    }

    /// Assertions in the Verilog that failed so far; each has been printed.
    pub fn errors(&self) -> u64 {
        self.model.errors()
    }
}

impl AcceleratorModel for VerilatedAccelerator {
    #[inline]
    fn cycle(&mut self, inputs: &InputPins, outputs: &mut AcceleratorPins) {
        let Self { model, ports, bus_words } = self;
        let get = |port| model.get(port);
        let flag = |port| model.get(port) != 0;
        let wide = |port| {
            let words = model.get_wide(port);
            (0..*bus_words).fold(0u128, |data, w| data | u128::from(words[w]) << (32 * w))
        };
        let w_valid = flag(ports.w_valid);
        *outputs = AcceleratorPins {
            memory: MasterPins {
                ar_valid: flag(ports.ar_valid),
                ar_address: get(ports.ar_address) as u32,
                ar_length: get(ports.ar_length) as u8,
                ar_id: get(ports.ar_id) as u8,
                r_ready: flag(ports.r_ready),
                aw_valid: flag(ports.aw_valid),
                aw_address: get(ports.aw_address) as u32,
                aw_length: get(ports.aw_length) as u8,
                w_valid,
                w_data: if w_valid { wide(ports.w_data) } else { 0 },
                w_strobe: get(ports.w_strobe) as u16,
                w_last: flag(ports.w_last),
                b_ready: flag(ports.b_ready),
            },
            lite: LiteSlavePins {
                aw_ready: flag(ports.lite_aw_ready),
                w_ready: flag(ports.lite_w_ready),
                b_valid: flag(ports.lite_b_valid),
                b_response: get(ports.lite_b_response) as u8,
                ar_ready: flag(ports.lite_ar_ready),
                r_valid: flag(ports.lite_r_valid),
                r_data: get(ports.lite_r_data) as u32,
                r_response: get(ports.lite_r_response) as u8,
            },
            interrupt: flag(ports.irq),
            observe: get(ports.observe) as u32,
        };
        let memory = &inputs.memory;
        model.set(ports.reset, inputs.reset.into());
        model.set(ports.ar_ready, memory.ar_ready.into());
        model.set(ports.r_valid, memory.r_valid.into());
        if memory.r_valid {
            let data: [u32; 4] = std::array::from_fn(|w| (memory.r_data >> (32 * w)) as u32);
            model.set_wide(ports.r_data, &data[..*bus_words]);
            model.set(ports.r_response, memory.r_response as u64);
            model.set(ports.r_last, memory.r_last.into());
            model.set(ports.r_id, memory.r_id.into());
        }
        model.set(ports.aw_ready, memory.aw_ready.into());
        model.set(ports.w_ready, memory.w_ready.into());
        model.set(ports.b_valid, memory.b_valid.into());
        model.set(ports.b_response, memory.b_response as u64);
        let lite = &inputs.lite;
        model.set(ports.lite_aw_valid, lite.aw_valid.into());
        model.set(ports.lite_aw_address, lite.aw_address.into());
        model.set(ports.lite_w_valid, lite.w_valid.into());
        model.set(ports.lite_w_data, lite.w_data.into());
        model.set(ports.lite_b_ready, lite.b_ready.into());
        model.set(ports.lite_ar_valid, lite.ar_valid.into());
        model.set(ports.lite_ar_address, lite.ar_address.into());
        model.set(ports.lite_r_ready, lite.r_ready.into());
        model.cycle();
    }
}
