//! The Frugal accelerator as Rust HDL blocks, and the Verilog emitter.
pub mod accelerator;
pub mod activation_scratchpad;
pub mod axi_ram;
pub mod axi_single_port_ram;
pub mod board;
pub mod burst_generator;
pub mod byte_mover;
pub mod command_buffer;
pub mod dispatch;
pub mod emit;
pub mod fields;
pub mod lanes;
pub mod leaves;
pub mod link;
pub mod load_engine;
pub mod load_register;
pub mod loop_nest;
pub mod mac_array;
pub mod matrix_engine;
pub mod memories;
pub mod memory_switch;
pub mod output_stage;
pub mod packed_column;
pub mod read_port;
pub mod registers;
pub mod row_engine;
pub mod row_lanes;
pub mod row_reduce;
pub mod scalar_memory;
pub mod sdram;
pub mod sequential;
pub mod store_engine;
pub mod table_lookup;
pub mod token_counters;
pub mod vector_engine;

use accelerator::Accelerator;
use frugal_isa::{Config, ConfigError};
use sequential::SequentialAccelerator;

/// Why no Verilog came out.
#[derive(Debug, thiserror::Error)]
pub enum VerilogError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Emit(#[from] emit::EmitError),
}

/// The Verilog of the accelerator that `config` describes; the top module is `accelerator`.
pub fn verilog(config: &Config) -> Result<emit::VerilogFile, VerilogError> {
    config.validate()?;
    let header = format!(
        "Frugal accelerator, configuration '{}': {} x {} multipliers, {} output lanes, {}-bit memory bus.\n\
         Scratchpads: {} activation vectors, {} weight tiles, {} parameter groups, {} accumulator rows.\n\
         The instruction set and the registers are described in docs/isa.md.",
        config.name,
        config.rows,
        config.cols,
        config.lanes,
        config.bus_bits,
        config.activation_depth,
        config.weight_depth,
        config.parameter_depth,
        config.accumulator_depth
    );
    let file = if config.sequential {
        emit::emit(&SequentialAccelerator::new(config), "accelerator", &header)?
    } else if config.bus_bits == 128 {
        emit::emit(&Accelerator::<128, 16>::new(config), "accelerator", &header)?
    } else {
        emit::emit(&Accelerator::<64, 8>::new(config), "accelerator", &header)?
    };
    Ok(file)
}
