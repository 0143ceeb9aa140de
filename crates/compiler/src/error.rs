//! Why a model does not become a program.

use crate::check::CheckError;
use frugal_isa::command::EncodeError;
use frugal_isa::{Config, ConfigError};
use frugal_quant::QuantError;
use std::fmt;
use thiserror::Error;

/// Why a model does not become a program.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum CompileError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error("layer {layer}: {problem}")]
    Unsupported { layer: String, problem: String },
    #[error(
        "layer {layer} reads {producer}, which runs on the host, and only the end of a model may run there. Leave {producer} \
         out, or cut the model after it and run the rest as a second model"
    )]
    HostInTheMiddle { layer: String, producer: String },
    #[error("layer {layer}: {source}")]
    Quantisation { layer: String, source: QuantError },
    #[error("layer {0}")]
    DoesNotFit(Box<Shortage>),
    #[error("layer {layer}: {source}: the layer is too large for one command")]
    Field { layer: String, source: EncodeError },
    #[error("the memory behind the bus would need {bytes} bytes; 2 GiB is the most")]
    Workspace { bytes: usize },
    #[error("matrix product {m} x {k} x {n}: {problem}")]
    Product { m: usize, k: usize, n: usize, problem: String },
    /// The checker refuses the program: a fault of the compiler itself.
    #[error("the compiler made a wrong program, please report this: {0}")]
    Check(#[from] CheckError),
}

/// A memory that is too small for a layer, whatever the tiling.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shortage {
    pub layer: String,
    pub memory: ChipMemory,
    /// The least that a tiling needs.
    pub needs: usize,
    pub has: usize,
    /// Bytes of each.
    pub unit_bytes: usize,
    /// Name of the configuration.
    pub config: String,
    /// The smallest preset for which the model compiles.
    pub preset: Option<&'static str>,
}

impl fmt::Display for Shortage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Shortage { layer, memory, needs, has, unit_bytes, config, preset } = self;
        let bytes = |count: usize| count.saturating_mul(*unit_bytes);
        let short = needs.saturating_sub(*has);
        write!(
            f,
            "{layer}: {memory} needs {needs} {} of {unit_bytes} bytes, '{config}' has {has}: {short} ({} bytes) are missing. ",
            memory.unit(),
            bytes(short)
        )?;
        let (field, depth) = (memory.field(), needs.checked_next_power_of_two().unwrap_or(*needs));
        match preset {
            Some(preset) => {
                write!(f, "Use --config {preset}, or a configuration with {field} {depth} at least")
            }
            None if depth <= MAX_DEPTH => write!(
                f,
                "No preset is large enough: make the layer smaller, or use a configuration with {field} {depth} at least"
            ),
            None => f.write_str("No configuration is large enough: make the layer smaller"),
        }
    }
}

/// The deepest memory of a configuration.
const MAX_DEPTH: usize = 1 << 16;

/// An on-chip memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ChipMemory {
    Activation,
    Weight,
    Parameter,
    Accumulator,
}

impl ChipMemory {
    /// What one address holds.
    pub fn unit(self) -> &'static str {
        match self {
            ChipMemory::Activation => "vectors",
            ChipMemory::Weight => "tiles",
            ChipMemory::Parameter => "groups",
            ChipMemory::Accumulator => "rows",
        }
    }

    /// Bytes of one address.
    pub fn unit_bytes(self, config: &Config) -> usize {
        match self {
            ChipMemory::Activation => config.rows,
            ChipMemory::Weight => config.tile_bytes(),
            ChipMemory::Parameter => config.parameter_group_bytes(),
            ChipMemory::Accumulator => 4 * config.lanes,
        }
    }

    /// The field of the configuration that says how many addresses there are.
    pub fn field(self) -> &'static str {
        match self {
            ChipMemory::Activation => "activation_depth",
            ChipMemory::Weight => "weight_depth",
            ChipMemory::Parameter => "parameter_depth",
            ChipMemory::Accumulator => "accumulator_depth",
        }
    }

    /// Addresses that the accelerator has.
    pub fn depth(self, config: &Config) -> usize {
        match self {
            ChipMemory::Activation => config.activation_depth,
            ChipMemory::Weight => config.weight_depth,
            ChipMemory::Parameter => config.parameter_depth,
            ChipMemory::Accumulator => config.accumulator_depth,
        }
    }
}

impl fmt::Display for ChipMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ChipMemory::Activation => "the activation scratchpad",
            ChipMemory::Weight => "the weight scratchpad",
            ChipMemory::Parameter => "the parameter memory",
            ChipMemory::Accumulator => "the accumulator memory",
        })
    }
}
