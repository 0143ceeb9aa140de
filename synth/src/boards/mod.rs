//! Boards: the facts of each in one table, from which its top and its constraint file are made.
//!
//! ```text
//! BoardFacts + Config --> top (pins, PLL) ------> Verilog  --+
//!        |                    board (frugal-hdl)            +--> flow
//!        +--------------> constraints/NAME.* ---------------+
//! ```

mod clock;
mod ecp5_pll;
mod gowin_pll;
mod ice40_pll;
mod pins;
mod sdram_top;
mod top;

pub use clock::{BoardClock, PllError};
pub use ecp5_pll::EcpPll;
pub use gowin_pll::GowinPll;
pub use ice40_pll::IcePll;
pub use sdram_top::{SdramPads, SdramTop};
pub use top::BoardTop;

use crate::flow::device::{Device, Family};
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
    /// Presets whose whole board has been placed and routed here, smallest first.
    pub fits: &'static [&'static str],
}

impl BoardFacts {
    pub const ALL: &'static [BoardFacts] = &[
        BoardFacts {
            name: "ulx3s-85f",
            title: "Radiona ULX3S with LFE5U-85F",
            device: "ecp5-85f",
            oscillator_khz: 25_000,
            clocks: &[("nano", 80_000), ("base", 75_000)],
            pins: pins::ULX3S,
            leds: 8,
            leds_inverted: false,
            reset_inverted: false,
            memory: BoardMemory::Sdram(SdramChip::ULX3S_32_MIB),
            config: "nano",
            fits: &["nano", "base"],
        },
        BoardFacts {
            name: "colorlight-i9",
            title: "Colorlight i9 with LFE5U-45F",
            device: "ecp5-45f",
            oscillator_khz: 25_000,
            clocks: &[("micro", 75_000)],
            pins: pins::COLORLIGHT_I9,
            leds: 1,
            leds_inverted: true,
            reset_inverted: true,
            memory: BoardMemory::Sdram(SdramChip::COLORLIGHT_I9),
            config: "micro",
            fits: &["micro"],
        },
        BoardFacts {
            name: "tang-nano-20k",
            title: "Sipeed Tang Nano 20K with GW2AR-18",
            device: "gw2ar-18",
            oscillator_khz: 27_000,
            clocks: &[("femto", 72_000)],
            pins: pins::TANG_NANO_20K,
            leds: 6,
            leds_inverted: true,
            reset_inverted: false,
            memory: BoardMemory::Sdram(SdramChip::TANG_NANO_20K),
            config: "femto",
            fits: &["atto", "femto"],
        },
        BoardFacts {
            name: "icebreaker",
            title: "1BitSquared iCEBreaker with iCE40UP5K",
            device: "ice40-up5k",
            oscillator_khz: 12_000,
            clocks: &[("femto", 18_000)],
            pins: pins::ICEBREAKER,
            leds: 2,
            leds_inverted: true,
            reset_inverted: true,
            // Two of the four single-port RAMs; the core has the others.
            memory: BoardMemory::OnChip(64 << 10),
            config: "femto",
            fits: &["atto", "femto"],
        },
        BoardFacts {
            name: "tang-nano-9k",
            title: "Sipeed Tang Nano 9K with GW1NR-9",
            device: "gw1nr-9",
            oscillator_khz: 27_000,
            clocks: &[("atto", 36_000)],
            pins: pins::TANG_NANO_9K,
            leds: 6,
            leds_inverted: true,
            reset_inverted: true,
            memory: BoardMemory::OnChip(24 << 10),
            config: "atto",
            fits: &["atto"],
        },
    ];

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
        let suffix = self.device().family.constraint_suffix();
        format!("{}.{suffix}", self.name)
    }

    /// The pins of its top: a memory chip that is not used has none.
    fn used_pins(&self) -> impl Iterator<Item = &Pin> {
        let has_chip = matches!(self.memory, BoardMemory::Sdram(_));
        self.pins.iter().filter(move |pin| has_chip || !pin.port.starts_with("sdram_"))
    }

    /// The constraint file's text.
    pub fn constraints(&self) -> String {
        let family = self.device().family;
        let comment = if family == Family::Gowin { "//" } else { "#" };
        let mut lines =
            vec![format!("{comment} {}. Made from the table of boards in synth/src/boards.", self.title)];
        let mhz = f64::from(self.oscillator_khz) / 1000.0;
        match family {
            Family::Ecp5 => lines.push(format!("FREQUENCY PORT \"oscillator\" {mhz} MHZ;")),
            Family::Ice40 => lines.push(format!("set_frequency oscillator {mhz}")),
            // nextpnr is told on its command line.
            Family::Gowin => {}
        }
        for Pin { port, location, attributes } in self.used_pins() {
            match family {
                Family::Ecp5 => lines.extend([
                    format!("LOCATE COMP \"{port}\" SITE \"{location}\";"),
                    format!("IOBUF PORT \"{port}\" {attributes};"),
                ]),
                Family::Ice40 => {
                    let space = if attributes.is_empty() { "" } else { " " };
                    lines.push(format!("set_io{space}{attributes} {port} {location}"));
                }
                Family::Gowin => lines.extend([
                    format!("IO_LOC \"{port}\" {location};"),
                    format!("IO_PORT \"{port}\" {attributes};"),
                ]),
            }
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
            Board::Sdram(board) => match self.memory {
                BoardMemory::Sdram(SdramChip { data_bits: 32, .. }) => {
                    let top = SdramTop::<11, 4, 32>::new(self, options.clock_khz, *board);
                    emit(&top, "frugal_board", &header)
                }
                _ => {
                    let top = SdramTop::<13, 2, 16>::new(self, options.clock_khz, *board);
                    emit(&top, "frugal_board", &header)
                }
            },
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
            let (design, _) = board.design(&config).expect("a design");
            // Every port of the top has a pin.
            let top = design.verilog.split("module frugal_board").nth(1).expect("the top");
            let header = top.split(");").next().expect("its ports");
            for port in header.split(',').filter_map(|port| port.split_whitespace().last()) {
                let port = port.trim_matches(['(', ')']);
                let constrained = |pin: &Pin| pin.port.split('[').next() == Some(port);
                assert!(board.pins.iter().any(constrained), "{}: no pin for {port}", board.name);
            }
            for preset in board.fits {
                assert!(Config::preset(preset).is_ok());
            }
            for (name, khz) in board.clocks {
                let config = Config::preset(name).expect("a preset");
                assert_eq!(board.clock_khz(&config), *khz);
                // A receiver that looks at the middle of the bits may be 5 % off at the tenth one; the other side has its share of that.
                let baud = 1000.0 * f64::from(*khz) / bit_cycles(*khz) as f64;
                assert!((baud / f64::from(BAUD) - 1.0).abs() < 0.015, "{}: {baud} baud", board.name);
            }
            let mut ports: Vec<&str> = board.used_pins().map(|pin| pin.port).collect();
            ports.sort_unstable();
            ports.dedup();
            let sdram = match board.memory {
                BoardMemory::Sdram(SdramChip { data_bits: 32, .. }) if board.name == "colorlight-i9" => {
                    4 + 11 + 2 + 32
                }
                BoardMemory::Sdram(SdramChip { data_bits: 32, .. }) => 6 + 11 + 2 + 4 + 32,
                BoardMemory::Sdram(_) => 6 + 13 + 2 + 2 + 16,
                BoardMemory::OnChip(_) => 0,
            };
            assert_eq!(ports.len(), 4 + board.leds + sdram, "{}", board.name);
            // A pin of the top that is constrained twice, or at a place that another has.
            let mut places: Vec<&str> = board.pins.iter().map(|pin| pin.location).collect();
            places.sort_unstable();
            places.dedup();
            assert_eq!(places.len(), board.pins.len(), "{}", board.name);
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
