//! Sizes of one accelerator: rows, columns and depths, chosen at run time.

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Sizes of one accelerator. Every number is a power of two.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Config {
    /// Name of the preset, or a name of the user's own.
    pub name: String,
    /// Reduction lanes: int8 activations of one vector.
    pub rows: usize,
    /// Output channels of one pass.
    pub cols: usize,
    /// Lanes of the output stage and of the vector unit.
    pub lanes: usize,
    /// Vectors of the activation scratchpad, over all its banks.
    pub activation_depth: usize,
    /// Tiles (`rows * cols` bytes) of the weight scratchpad.
    pub weight_depth: usize,
    /// Groups (`lanes` channels) of the parameter memory.
    pub parameter_depth: usize,
    /// Rows (`lanes` 32-bit values) of the accumulator memory.
    pub accumulator_depth: usize,
    /// Pixels that a depthwise step takes the taps of a channel from; at most `cols`.
    #[serde(default = "default_depthwise_taps")]
    pub depthwise_taps: usize,
    /// Tables of 256 int8 values of the vector unit: 1 to 8.
    #[serde(default = "default_tables")]
    pub tables: usize,
    /// Whether a multiplier also takes two 4-bit weights at a time, with a memory of group scales.
    #[serde(default = "default_four_bit")]
    pub four_bit: bool,
    /// Whether there is a row engine, with the scalar memory and the commands that use it: `row`, `set`, `branch` and `adjust`. Language models need them,
    /// convolutional networks do not.
    #[serde(default = "default_row_engine")]
    pub row_engine: bool,
    /// Whether there are performance counters, beside those of cycles, commands and steps of the MAC array, and debug registers; without, they read as 0.
    #[serde(default = "default_counters")]
    pub counters: bool,
    /// Base registers that loads and stores choose from: 2, which is what networks need, to 8.
    #[serde(default = "default_base_registers")]
    pub base_registers: usize,
    /// Whether one small core carries out the commands one after another, instead of engines side by side: for the smallest chips. Its sizes but for the
    /// depths are fixed.
    #[serde(default)]
    pub sequential: bool,
    /// Commands that each engine's queue holds; with 1 there is none, and dispatch waits until an engine can take its next command.
    pub queue_depth: usize,
    /// Data bits of the memory bus: 64 or 128.
    pub bus_bits: usize,
}

/// A configuration that cannot be built.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ConfigError {
    #[error("configuration '{config}': {field} is {value}; it must be a power of two from {low} to {high}")]
    OutOfRange { config: String, field: &'static str, value: usize, low: usize, high: usize },
    #[error("no preset '{0}'; presets are nano, base, large and huge, of small boards atto, femto, pico and micro, or name a .json file with the fields of a Config")]
    UnknownPreset(String),
    #[error(
        "configuration '{config}': its memories have {bytes} bytes; a sequential core has room for {room}"
    )]
    Scratch { config: String, bytes: usize, room: usize },
    #[error("configuration '{config}': {field} is {value}; a sequential core has {only}")]
    Sequential { config: String, field: &'static str, value: usize, only: usize },
}

fn default_depthwise_taps() -> usize {
    4
}

fn default_tables() -> usize {
    4
}

fn default_four_bit() -> bool {
    true
}

fn default_row_engine() -> bool {
    true
}

fn default_base_registers() -> usize {
    crate::register::BASE_REGISTERS
}

fn default_counters() -> bool {
    true
}

impl Config {
    /// Names of the presets for convolutional networks and language models, smallest first.
    pub const PRESETS: [&'static str; 4] = ["nano", "base", "large", "huge"];

    /// Names of the presets of small boards, smallest first: what they leave out, programs must do without.
    pub const SMALL_PRESETS: [&'static str; 4] = ["atto", "femto", "pico", "micro"];

    /// The preset with this name.
    pub fn preset(name: &str) -> Result<Config, ConfigError> {
        if name == "femto" {
            return Ok(Config {
                name: name.to_owned(),
                activation_depth: 4096,
                weight_depth: 512,
                parameter_depth: 256,
                accumulator_depth: 512,
                sequential: true,
                ..Config::preset("pico")?
            });
        }
        // The same core with the memories of `pico`.
        if name == "atto" {
            return Ok(Config { name: name.to_owned(), sequential: true, ..Config::preset("pico")? });
        }
        if name == "pico" {
            return Ok(Config {
                name: name.to_owned(),
                cols: 4,
                lanes: 2,
                activation_depth: 1024,
                weight_depth: 128,
                parameter_depth: 64,
                accumulator_depth: 256,
                depthwise_taps: 2,
                tables: 1,
                four_bit: false,
                row_engine: false,
                counters: false,
                base_registers: 2,
                queue_depth: 1,
                ..Config::preset("nano")?
            });
        }
        let (rows, cols, lanes, activation_depth, weight_depth) = match name {
            "micro" => (8, 4, 4, 4096, 1024),
            "nano" => (8, 8, 4, 4096, 512),
            "base" => (16, 8, 8, 4096, 2048),
            "large" => (16, 16, 8, 8192, 1024),
            "huge" => (32, 32, 16, 8192, 1024),
            _ => return Err(ConfigError::UnknownPreset(name.to_owned())),
        };
        Ok(Config {
            name: name.to_owned(),
            rows,
            cols,
            lanes,
            activation_depth,
            weight_depth,
            parameter_depth: 256,
            accumulator_depth: 1024,
            depthwise_taps: default_depthwise_taps(),
            tables: default_tables(),
            four_bit: default_four_bit(),
            row_engine: default_row_engine(),
            counters: default_counters(),
            base_registers: default_base_registers(),
            sequential: false,
            queue_depth: 8,
            bus_bits: 64,
        })
    }

    /// The same accelerator on another memory bus.
    pub fn with_bus_bits(mut self, bus_bits: usize) -> Config {
        self.bus_bits = bus_bits;
        self
    }

    /// Checks every size.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let check = |field, value: usize, low, high| {
            if value.is_power_of_two() && value >= low && value <= high {
                Ok(())
            } else {
                Err(ConfigError::OutOfRange { config: self.name.clone(), field, value, low, high })
            }
        };
        check("bus_bits", self.bus_bits, 64, 128)?;
        check("rows", self.rows, 8, 64)?;
        check("cols", self.cols, 2, self.rows)?;
        // The output stage hands out a result in at most 32 groups, one of 4-bit weights being twice as many columns.
        let fewest_lanes = if self.four_bit { (self.cols / 16).max(2) } else { 2 };
        check("lanes", self.lanes, fewest_lanes, self.cols)?;
        check("activation_depth", self.activation_depth, 16, 65536)?;
        check("weight_depth", self.weight_depth, 4, 65536)?;
        // A depthwise tile takes the parameters of a whole vector of channels, and transfers move vectors in pairs.
        check("parameter_depth", self.parameter_depth, 2 * self.rows / self.lanes, 65536)?;
        check("accumulator_depth", self.accumulator_depth, 4, 65536)?;
        check("depthwise_taps", self.depthwise_taps, 2, self.cols)?;
        check("tables", self.tables, 1, 8)?;
        check("base_registers", self.base_registers, 2, crate::register::BASE_REGISTERS)?;
        check("queue_depth", self.queue_depth, 1, 64)?;
        if self.sequential {
            return self.validate_sequential();
        }
        Ok(())
    }

    /// What the microprogram of a sequential core is written for.
    fn validate_sequential(&self) -> Result<(), ConfigError> {
        for (field, value, only) in [
            ("rows", self.rows, 8),
            ("cols", self.cols, 4),
            ("lanes", self.lanes, 2),
            ("depthwise_taps", self.depthwise_taps, 2),
            ("tables", self.tables, 1),
            ("base_registers", self.base_registers, 2),
            ("queue_depth", self.queue_depth, 1),
            ("bus_bits", self.bus_bits, 64),
            ("four_bit", self.four_bit.into(), 0),
            ("row_engine", self.row_engine.into(), 0),
            ("counters", self.counters.into(), 0),
        ] {
            if value != only {
                return Err(ConfigError::Sequential { config: self.name.clone(), field, value, only });
            }
        }
        let bytes = self.activation_bytes()
            + self.weight_bytes()
            + self.parameter_depth * self.parameter_group_bytes()
            + self.accumulator_depth * 4 * self.lanes;
        if bytes > Self::SEQUENTIAL_BYTES {
            return Err(ConfigError::Scratch {
                config: self.name.clone(),
                bytes,
                room: Self::SEQUENTIAL_BYTES,
            });
        }
        Ok(())
    }

    /// Bytes of the memories of a sequential core, of which tables, history and what the core needs for itself are not counted.
    pub const SEQUENTIAL_BYTES: usize = (64 << 10) - 1024;

    /// Value of the `FEATURES` register.
    pub fn features(&self) -> u32 {
        u32::from(self.four_bit)
            | u32::from(self.row_engine) << 1
            | u32::from(self.counters) << 2
            | u32::from(self.sequential) << 3
            | (self.tables as u32) << 8
            | (self.depthwise_taps as u32) << 16
            | (self.base_registers as u32) << 24
    }

    /// Multiply-accumulates of one cycle.
    pub fn peak(&self) -> usize {
        self.rows * self.cols
    }

    /// Steps of a depthwise reduction that each remember the vectors of the results before.
    pub const DEPTHWISE_STEPS: usize = 64;

    /// Bytes of a table: one for each value of an int8.
    pub const TABLE_BYTES: usize = 256;

    /// Words of the scalar memory.
    pub const SCALARS: usize = 256;

    /// Channels of the widest result of the MAC array: depthwise `rows`, with 4-bit weights two a column.
    pub fn result_channels(&self) -> usize {
        if self.four_bit {
            self.rows.max(2 * self.cols)
        } else {
            self.rows
        }
    }

    /// Rows of a reduction that share a group scale of 4-bit weights.
    pub fn scale_group(&self) -> usize {
        self.rows.max(32)
    }

    /// Weight tiles that share a row of group scales.
    pub fn scale_tiles(&self) -> usize {
        self.scale_group() / self.rows
    }

    /// Rows of group scales: one for each group of weight tiles.
    pub fn scale_depth(&self) -> usize {
        self.weight_depth / self.scale_tiles()
    }

    /// Bytes of one row of group scales: one for each of the two weights of every column.
    pub fn scale_row_bytes(&self) -> usize {
        2 * self.cols
    }

    /// Bytes of one bus beat.
    pub fn bus_bytes(&self) -> usize {
        self.bus_bits / 8
    }

    /// Bytes of one weight tile.
    pub fn tile_bytes(&self) -> usize {
        self.rows * self.cols
    }

    /// Bytes of one parameter group: bias, multiplier and shift words of `lanes` channels.
    pub fn parameter_group_bytes(&self) -> usize {
        3 * 4 * self.lanes
    }

    /// Bytes of the activation scratchpad.
    pub fn activation_bytes(&self) -> usize {
        self.activation_depth * self.rows
    }

    /// Bytes of the weight scratchpad.
    pub fn weight_bytes(&self) -> usize {
        self.weight_depth * self.tile_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presets_are_valid_on_both_buses() {
        for name in Config::PRESETS.into_iter().chain(Config::SMALL_PRESETS) {
            for bus in [64, 128] {
                let config = Config::preset(name).unwrap().with_bus_bits(bus);
                // A sequential core has 64 bits.
                assert!(config.validate().is_ok() != (config.sequential && bus == 128), "{name}");
            }
        }
    }

    #[test]
    fn a_file_need_not_name_what_has_a_default() {
        let base = Config::preset("base").unwrap();
        let mut fields = serde_json::to_value(&base).unwrap();
        for name in ["depthwise_taps", "tables", "four_bit", "row_engine", "counters", "base_registers"] {
            fields.as_object_mut().unwrap().remove(name).unwrap();
        }
        assert_eq!(serde_json::from_value::<Config>(fields).unwrap(), base);
        let plain = Config { four_bit: false, ..base };
        let text = serde_json::to_string(&plain).unwrap();
        assert_eq!(serde_json::from_str::<Config>(&text).unwrap(), plain);
    }

    #[test]
    fn results_of_four_bit_weights_leave_in_at_most_32_groups() {
        let mut config = Config { rows: 64, cols: 64, lanes: 2, ..Config::preset("huge").unwrap() };
        let text = config.validate().unwrap_err().to_string();
        assert_eq!(text, "configuration 'huge': lanes is 2; it must be a power of two from 4 to 64");
        config.four_bit = false;
        config.validate().unwrap();
    }

    #[test]
    fn what_a_sequential_core_cannot_have_is_named() {
        let femto = Config::preset("femto").unwrap();
        let error = |config: Config| config.validate().unwrap_err().to_string();
        let wanted = "configuration 'femto': cols is 8; a sequential core has 4";
        assert_eq!(error(Config { cols: 8, ..femto.clone() }), wanted);
        let wanted =
            "configuration 'femto': its memories have 75776 bytes; a sequential core has room for 64512";
        assert_eq!(error(Config { weight_depth: 1024, ..femto }), wanted);
    }

    #[test]
    fn impossible_sizes_are_named() {
        let mut config = Config::preset("base").unwrap();
        config.cols = 32;
        let text = config.validate().unwrap_err().to_string();
        assert_eq!(text, "configuration 'base': cols is 32; it must be a power of two from 2 to 16");
        config.cols = 6;
        assert!(config.validate().unwrap_err().to_string().contains("cols is 6"));
        assert!(Config::preset("tiny").unwrap_err().to_string().contains("nano, base"));
    }
}
