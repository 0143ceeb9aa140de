//! Boards: the facts of each in one table, from which its top and its constraint file are made.
//!
//! ```text
//! BoardFacts + Config --> BoardTop (pins, PLL) --> Verilog  --+
//!        |                    Board (frugal-hdl)              +--> flow
//!        +--------------> constraints/NAME.lpf ... -----------+
//! ```

mod pll;
mod top;

pub use pll::{EcpPll, PllError};
pub use top::BoardTop;

use crate::flow::device::Device;
use crate::flow::Design;
use frugal_hdl::board::{self, BoardError, BoardOptions};
use frugal_hdl::emit::emit;
use frugal_hdl::VerilogError;
use frugal_isa::link::BAUD;
use frugal_isa::Config;

/// A pin, and what has to be said about it in the constraint file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pin {
    /// Port of the top.
    pub port: &'static str,
    pub location: &'static str,
    /// In the words of the constraint file.
    pub attributes: &'static str,
}

/// All that is to be known of a board.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BoardFacts {
    /// As on the command line.
    pub name: &'static str,
    /// As its makers call it.
    pub title: &'static str,
    pub device: &'static str,
    /// Of the oscillator.
    pub oscillator_khz: u32,
    /// That the accelerator runs at.
    pub clock_khz: u32,
    pub pins: &'static [Pin],
    pub leds: usize,
    pub leds_inverted: bool,
    pub reset_inverted: bool,
    /// Bytes of on-chip memory that are left beside the default configuration.
    pub ram_bytes: usize,
    /// The preset that it is meant for.
    pub config: &'static str,
}

const ULX3S_PINS: &[Pin] = &[
    Pin { port: "oscillator", location: "G2", attributes: "IO_TYPE=LVCMOS33" },
    // The button called FIRE 1.
    Pin { port: "reset_button", location: "R1", attributes: "IO_TYPE=LVCMOS33 PULLMODE=DOWN" },
    Pin { port: "receive", location: "M1", attributes: "IO_TYPE=LVCMOS33 PULLMODE=UP" },
    Pin { port: "transmit", location: "L4", attributes: "IO_TYPE=LVCMOS33 DRIVE=4" },
    Pin { port: "led_0", location: "B2", attributes: "IO_TYPE=LVCMOS33 DRIVE=4" },
    Pin { port: "led_1", location: "C2", attributes: "IO_TYPE=LVCMOS33 DRIVE=4" },
    Pin { port: "led_2", location: "C1", attributes: "IO_TYPE=LVCMOS33 DRIVE=4" },
    Pin { port: "led_3", location: "D2", attributes: "IO_TYPE=LVCMOS33 DRIVE=4" },
    Pin { port: "led_4", location: "D1", attributes: "IO_TYPE=LVCMOS33 DRIVE=4" },
    Pin { port: "led_5", location: "E2", attributes: "IO_TYPE=LVCMOS33 DRIVE=4" },
    Pin { port: "led_6", location: "E1", attributes: "IO_TYPE=LVCMOS33 DRIVE=4" },
    Pin { port: "led_7", location: "H3", attributes: "IO_TYPE=LVCMOS33 DRIVE=4" },
];

impl BoardFacts {
    pub const ALL: &'static [BoardFacts] = &[BoardFacts {
        name: "ulx3s-85f",
        title: "Radiona ULX3S with LFE5U-85F",
        device: "ecp5-85f",
        oscillator_khz: 25_000,
        clock_khz: 80_000,
        pins: ULX3S_PINS,
        leds: 8,
        leds_inverted: false,
        reset_inverted: false,
        ram_bytes: 256 << 10,
        config: "nano",
    }];

    /// The board with this name.
    pub fn from_name(name: &str) -> Option<&'static BoardFacts> {
        BoardFacts::ALL.iter().find(|board| board.name == name)
    }

    /// Its chip.
    ///
    /// # Panics
    /// Never: the table names devices of the other table, which a test checks.
    pub fn device(&self) -> Device {
        Device::from_name(self.device).expect("a device of the table")
    }

    /// Cycles of a bit on the host link.
    pub fn bit_cycles(&self) -> usize {
        (1000.0 * f64::from(self.clock_khz) / f64::from(BAUD)).round() as usize
    }

    /// What its board is made of, for an accelerator of `config`.
    pub fn options(&self, config: &Config) -> BoardOptions {
        BoardOptions {
            config: config.clone(),
            clock_khz: self.clock_khz,
            bit_cycles: self.bit_cycles(),
            ram_bytes: self.ram_bytes,
        }
    }

    /// File name of its constraints in `constraints/`.
    pub fn constraint_file(&self) -> String {
        format!("{}.lpf", self.name)
    }

    /// The constraint file's text.
    pub fn constraints(&self) -> String {
        let mut lines = vec![
            format!("# {}. Made from the table of boards in synth/src/boards.", self.title),
            format!("FREQUENCY PORT \"oscillator\" {} MHZ;", f64::from(self.oscillator_khz) / 1000.0),
        ];
        for pin in self.pins {
            lines.push(format!("LOCATE COMP \"{}\" SITE \"{}\";", pin.port, pin.location));
            lines.push(format!("IOBUF PORT \"{}\" {};", pin.port, pin.attributes));
        }
        lines.join("\n") + "\n"
    }

    /// The whole board as a design for the flow, and the build that it calls itself.
    ///
    /// # Errors
    /// If `config` cannot stand on a board.
    pub fn design(&self, config: &Config) -> Result<(Design, u32), BoardError> {
        let options = self.options(config);
        // The core's number: pins and PLL are the board's, and its name is in the design's.
        let build = board::verilog(&options)?.build;
        let header = format!(
            "Frugal on {}: configuration '{}', {} kHz, {} baud, build {build:08x}.",
            self.title, config.name, self.clock_khz, BAUD
        );
        let top = BoardTop::new(self, &options, build);
        let file = emit(&top, "frugal_board", &header).map_err(VerilogError::from)?;
        let design = Design {
            name: format!("{}-{}", self.name, config.name),
            top: "frugal_board".into(),
            verilog: file.text,
            device: self.device(),
            constraints: Some(self.constraints()),
            target_mhz: f64::from(self.clock_khz) / 1000.0,
        };
        Ok((design, build))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_whole() {
        for board in BoardFacts::ALL {
            assert!(Device::from_name(board.device).is_some(), "{}", board.name);
            let config = Config::preset(board.config).expect("a preset");
            board.design(&config).expect("a design");
            // Half a per cent of the baud rate, of the two that a line may be off.
            let baud = 1000.0 * f64::from(board.clock_khz) / board.bit_cycles() as f64;
            assert!((baud / f64::from(BAUD) - 1.0).abs() < 0.005, "{}: {baud} baud", board.name);
            let mut ports: Vec<&str> = board.pins.iter().map(|pin| pin.port).collect();
            ports.sort_unstable();
            ports.dedup();
            assert_eq!(ports.len(), 4 + board.leds, "{}", board.name);
        }
    }

    /// With `FRUGAL_WRITE_CONSTRAINTS` the files are written instead.
    #[test]
    fn constraint_files_are_current() {
        let folder = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../constraints"));
        for board in BoardFacts::ALL {
            let path = folder.join(board.constraint_file());
            if std::env::var_os("FRUGAL_WRITE_CONSTRAINTS").is_some() {
                std::fs::write(&path, board.constraints()).expect("the folder is there");
            }
            let found = std::fs::read_to_string(&path).unwrap_or_default();
            assert!(
                found == board.constraints(),
                "{} is not what the table says; run the test with FRUGAL_WRITE_CONSTRAINTS=1",
                path.display()
            );
        }
    }
}
