//! Boards without their pins: the accelerator, the host link, and memory for both.
//!
//! ```text
//! line <--> HostLink --AXI4-Lite--> Accelerator
//!               |                       |
//!               +----> MemorySwitch <---+          BoardCore
//! --------------------------|-----------------------------------
//!                 AxiRam, or SdramController <--> chip
//! ```
//! Clock, pins and what differs from board to board are in the board's top (`frugal-synth`).

mod accelerator;
mod core;
mod on_chip;
mod ram;
mod sdram;

pub use self::core::BoardCore;
pub use on_chip::OnChipBoard;
pub use sdram::SdramBoard;

use self::ram::BoardRam;
use crate::emit::{emit, VerilogFile};
use crate::leaves::SinglePortRam;
use crate::sdram::{SdramChip, SdramController, SdramError};
use crate::VerilogError;
use frugal_isa::{link, Config};
use sha2::{Digest, Sha256};

/// What differs from board to board.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BoardOptions {
    pub config: Config,
    pub clock_khz: u32,
    /// Cycles of a bit on the host link.
    pub bit_cycles: usize,
    pub memory: BoardMemory,
}

/// What is behind the accelerator's memory port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BoardMemory {
    /// Block RAM: bytes, a multiple of 8.
    OnChip(usize),
    Sdram(SdramChip),
}

impl BoardMemory {
    pub fn bytes(&self) -> u64 {
        match self {
            BoardMemory::OnChip(bytes) => *bytes as u64,
            BoardMemory::Sdram(chip) => chip.bytes(),
        }
    }
}

/// Bytes of the largest memory beside a sequential core.
const SINGLE_PORT_BYTES: usize = 4 * SinglePortRam::MAXIMUM_DEPTH;

/// Why there is no board.
#[derive(Debug, thiserror::Error)]
pub enum BoardError {
    #[error(transparent)]
    Verilog(#[from] VerilogError),
    #[error(transparent)]
    Sdram(#[from] SdramError),
    #[error("boards have a memory bus of 64 bits; '{config}' has {bits}")]
    BusWidth { config: String, bits: usize },
    #[error("{bytes} bytes of on-chip memory are wanted; 4096 to 524288 are possible, in multiples of 8")]
    Memory { bytes: usize },
    #[error("{bytes} bytes of on-chip memory are wanted; beside a sequential core {SINGLE_PORT_BYTES} are possible")]
    SinglePortMemory { bytes: usize },
    #[error("a bit of the link is to take {cycles} cycles; 4 to 65535 are possible")]
    BitCycles { cycles: usize },
}

/// A board of either kind.
pub enum Board {
    OnChip(Box<OnChipBoard>),
    Sdram(Box<SdramBoard>),
}

impl BoardOptions {
    /// Checks what can be wrong with the options.
    fn check(&self) -> Result<(), BoardError> {
        self.config.validate().map_err(VerilogError::from)?;
        if self.config.bus_bits != 64 {
            let (config, bits) = (self.config.name.clone(), self.config.bus_bits);
            return Err(BoardError::BusWidth { config, bits });
        }
        match self.memory {
            BoardMemory::OnChip(bytes) if self.config.sequential && bytes > SINGLE_PORT_BYTES => {
                return Err(BoardError::SinglePortMemory { bytes });
            }
            BoardMemory::OnChip(bytes) if !(4096..=1 << 19).contains(&bytes) || bytes % 8 != 0 => {
                return Err(BoardError::Memory { bytes });
            }
            _ => {}
        }
        if !(4..1 << 16).contains(&self.bit_cycles) {
            return Err(BoardError::BitCycles { cycles: self.bit_cycles });
        }
        Ok(())
    }

    /// The board, which calls itself `build`.
    ///
    /// # Errors
    /// If the options contradict what a board can be.
    pub fn board(&self, build: u32) -> Result<Board, BoardError> {
        self.check()?;
        let identity = [link::VERSION, build, self.clock_khz, self.memory.bytes() as u32];
        let core = BoardCore::new(&self.config, self.bit_cycles, identity);
        Ok(match &self.memory {
            BoardMemory::OnChip(bytes) => {
                let memory = BoardRam::new(bytes / 8, self.config.sequential);
                Board::OnChip(Box::new(OnChipBoard::new(core, memory)))
            }
            BoardMemory::Sdram(chip) => {
                let controller = SdramController::new(chip, self.clock_khz, SDRAM_PIN_CYCLES)?;
                Board::Sdram(Box::new(SdramBoard::new(core, controller)))
            }
        })
    }
}

/// Registers between controller and chip: none, the board's top has only wires and buffers.
const SDRAM_PIN_CYCLES: u32 = 0;

/// A board's Verilog, and the number by which it knows itself: a hash of everything else in it.
#[derive(Clone, Debug)]
pub struct BoardVerilog {
    pub file: VerilogFile,
    pub build: u32,
}

/// The Verilog of the board that `options` describe; the top module is `board`.
///
/// # Errors
/// If the options contradict what a board can be.
pub fn verilog(options: &BoardOptions) -> Result<BoardVerilog, BoardError> {
    let memory = match options.memory {
        BoardMemory::OnChip(bytes) => format!("{bytes} bytes of on-chip memory"),
        BoardMemory::Sdram(chip) => format!("SDRAM of {} bytes, {} bits wide", chip.bytes(), chip.data_bits),
    };
    let header = format!(
        "Frugal board: configuration '{}', {} kHz, {memory}, {} cycles a bit on the host link.",
        options.config.name, options.clock_khz, options.bit_cycles
    );
    let file = |build| -> Result<VerilogFile, BoardError> {
        let file = match options.board(build)? {
            Board::OnChip(board) => emit(&*board, "board", &header),
            Board::Sdram(board) => emit(&*board, "board", &header),
        };
        Ok(file.map_err(VerilogError::from)?)
    };
    let hash = Sha256::digest(file(0)?.text.as_bytes());
    let build = u32::from_le_bytes([hash[0], hash[1], hash[2], hash[3]]);
    Ok(BoardVerilog { file: file(build)?, build })
}
