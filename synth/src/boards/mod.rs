//! Boards: the facts of each in one table, from which its top and its constraint file are made.
//!
//! ```text
//! BoardFacts + Config --> top (pins, PLL) ------> Verilog  --+
//!        |                    board (frugal-hdl)            +--> flow
//!        +--------------> constraints/NAME.lpf ... ---------+
//! ```

mod ecp5_sdram;
mod pll;
mod top;

pub use ecp5_sdram::{EcpSdramPads, EcpSdramTop};
pub use pll::{EcpPll, PllError};
pub use top::BoardTop;

use crate::flow::device::Device;
use crate::flow::Design;
use frugal_hdl::board::{self, Board, BoardError, BoardMemory, BoardOptions};
use frugal_hdl::emit::emit;
use frugal_hdl::sdram::SdramChip;
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
    /// What the accelerator runs at: kHz for the named configuration, and for all that are not named the last one.
    pub clocks: &'static [(&'static str, u32)],
    pub pins: &'static [Pin],
    pub leds: usize,
    pub leds_inverted: bool,
    pub reset_inverted: bool,
    /// On-chip: what is left beside the default configuration.
    pub memory: BoardMemory,
    /// The preset that it is meant for.
    pub config: &'static str,
}

const OUTPUT: &str = "IO_TYPE=LVCMOS33 DRIVE=4";
const SDRAM: &str = "IO_TYPE=LVCMOS33 PULLMODE=NONE DRIVE=4 SLEWRATE=FAST";

const ULX3S_PINS: &[Pin] = &[
    Pin { port: "oscillator", location: "G2", attributes: "IO_TYPE=LVCMOS33" },
    // The button called FIRE 1.
    Pin { port: "reset_button", location: "R1", attributes: "IO_TYPE=LVCMOS33 PULLMODE=DOWN" },
    Pin { port: "receive", location: "M1", attributes: "IO_TYPE=LVCMOS33 PULLMODE=UP" },
    Pin { port: "transmit", location: "L4", attributes: OUTPUT },
    Pin { port: "led_0", location: "B2", attributes: OUTPUT },
    Pin { port: "led_1", location: "C2", attributes: OUTPUT },
    Pin { port: "led_2", location: "C1", attributes: OUTPUT },
    Pin { port: "led_3", location: "D2", attributes: OUTPUT },
    Pin { port: "led_4", location: "D1", attributes: OUTPUT },
    Pin { port: "led_5", location: "E2", attributes: OUTPUT },
    Pin { port: "led_6", location: "E1", attributes: OUTPUT },
    Pin { port: "led_7", location: "H3", attributes: OUTPUT },
    Pin { port: "sdram_clock", location: "F19", attributes: SDRAM },
    Pin { port: "sdram_clock_enable", location: "F20", attributes: SDRAM },
    Pin { port: "sdram_cs_n", location: "P20", attributes: SDRAM },
    Pin { port: "sdram_ras_n", location: "R20", attributes: SDRAM },
    Pin { port: "sdram_cas_n", location: "T19", attributes: SDRAM },
    Pin { port: "sdram_we_n", location: "T20", attributes: SDRAM },
    Pin { port: "sdram_address[0]", location: "M20", attributes: SDRAM },
    Pin { port: "sdram_address[1]", location: "M19", attributes: SDRAM },
    Pin { port: "sdram_address[2]", location: "L20", attributes: SDRAM },
    Pin { port: "sdram_address[3]", location: "L19", attributes: SDRAM },
    Pin { port: "sdram_address[4]", location: "K20", attributes: SDRAM },
    Pin { port: "sdram_address[5]", location: "K19", attributes: SDRAM },
    Pin { port: "sdram_address[6]", location: "K18", attributes: SDRAM },
    Pin { port: "sdram_address[7]", location: "J20", attributes: SDRAM },
    Pin { port: "sdram_address[8]", location: "J19", attributes: SDRAM },
    Pin { port: "sdram_address[9]", location: "H20", attributes: SDRAM },
    Pin { port: "sdram_address[10]", location: "N19", attributes: SDRAM },
    Pin { port: "sdram_address[11]", location: "G20", attributes: SDRAM },
    Pin { port: "sdram_address[12]", location: "G19", attributes: SDRAM },
    Pin { port: "sdram_bank[0]", location: "P19", attributes: SDRAM },
    Pin { port: "sdram_bank[1]", location: "N20", attributes: SDRAM },
    Pin { port: "sdram_data_mask[0]", location: "U19", attributes: SDRAM },
    Pin { port: "sdram_data_mask[1]", location: "E20", attributes: SDRAM },
    Pin { port: "sdram_data[0]", location: "J16", attributes: SDRAM },
    Pin { port: "sdram_data[1]", location: "L18", attributes: SDRAM },
    Pin { port: "sdram_data[2]", location: "M18", attributes: SDRAM },
    Pin { port: "sdram_data[3]", location: "N18", attributes: SDRAM },
    Pin { port: "sdram_data[4]", location: "P18", attributes: SDRAM },
    Pin { port: "sdram_data[5]", location: "T18", attributes: SDRAM },
    Pin { port: "sdram_data[6]", location: "T17", attributes: SDRAM },
    Pin { port: "sdram_data[7]", location: "U20", attributes: SDRAM },
    Pin { port: "sdram_data[8]", location: "E19", attributes: SDRAM },
    Pin { port: "sdram_data[9]", location: "D20", attributes: SDRAM },
    Pin { port: "sdram_data[10]", location: "D19", attributes: SDRAM },
    Pin { port: "sdram_data[11]", location: "C20", attributes: SDRAM },
    Pin { port: "sdram_data[12]", location: "E18", attributes: SDRAM },
    Pin { port: "sdram_data[13]", location: "F18", attributes: SDRAM },
    Pin { port: "sdram_data[14]", location: "J18", attributes: SDRAM },
    Pin { port: "sdram_data[15]", location: "J17", attributes: SDRAM },
];

impl BoardFacts {
    pub const ALL: &'static [BoardFacts] = &[BoardFacts {
        name: "ulx3s-85f",
        title: "Radiona ULX3S with LFE5U-85F",
        device: "ecp5-85f",
        oscillator_khz: 25_000,
        clocks: &[("nano", 80_000), ("base", 75_000)],
        pins: ULX3S_PINS,
        leds: 8,
        leds_inverted: false,
        reset_inverted: false,
        memory: BoardMemory::Sdram(SdramChip::ULX3S_32_MIB),
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

    /// What an accelerator of `config` runs at.
    ///
    /// # Panics
    /// Never: every board has a clock, which a test checks.
    pub fn clock_khz(&self, config: &Config) -> u32 {
        let named = self.clocks.iter().find(|(name, _)| *name == config.name);
        named.or(self.clocks.last()).expect("a clock").1
    }

    /// What its board is made of, for an accelerator of `config`.
    pub fn options(&self, config: &Config) -> BoardOptions {
        let clock_khz = self.clock_khz(config);
        BoardOptions {
            config: config.clone(),
            clock_khz,
            bit_cycles: bit_cycles(clock_khz),
            memory: self.memory,
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
            self.title, config.name, options.clock_khz, BAUD
        );
        let file = match options.board(build)? {
            Board::OnChip(board) => {
                emit(&BoardTop::new(self, options.clock_khz, *board), "frugal_board", &header)
            }
            Board::Sdram(board) => {
                emit(&EcpSdramTop::new(self, options.clock_khz, *board), "frugal_board", &header)
            }
        };
        let file = file.map_err(VerilogError::from)?;
        let design = Design {
            name: format!("{}-{}", self.name, config.name),
            top: "frugal_board".into(),
            verilog: file.text,
            device: self.device(),
            constraints: Some(self.constraints()),
            target_mhz: f64::from(options.clock_khz) / 1000.0,
        };
        Ok((design, build))
    }
}

/// Cycles of a bit on the host link, at a clock of `clock_khz`.
fn bit_cycles(clock_khz: u32) -> usize {
    (1000.0 * f64::from(clock_khz) / f64::from(BAUD)).round() as usize
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
            for (name, khz) in board.clocks {
                let config = Config::preset(name).expect("a preset");
                assert_eq!(board.clock_khz(&config), *khz);
                // A receiver that looks at the middle of the bits may be 5 % off at the tenth one; the other side has its share of that.
                let baud = 1000.0 * f64::from(*khz) / bit_cycles(*khz) as f64;
                assert!((baud / f64::from(BAUD) - 1.0).abs() < 0.015, "{}: {baud} baud", board.name);
            }
            let mut ports: Vec<&str> = board.pins.iter().map(|pin| pin.port).collect();
            ports.sort_unstable();
            ports.dedup();
            let sdram = if matches!(board.memory, BoardMemory::Sdram(_)) { 6 + 13 + 2 + 2 + 16 } else { 0 };
            assert_eq!(ports.len(), 4 + board.leds + sdram, "{}", board.name);
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
