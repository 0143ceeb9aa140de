//! Instruction set of the Frugal accelerator.
//!
//! Every command, field, register and the program container is written here once. The table in
//! [`table`] expands into the Rust structs, the encoder and decoder, the disassembler, the page
//! `docs/isa.md` and, through [`command_table!`], the field decoders of the RTL. The compiler and the
//! hardware know of each other only through this crate.

pub mod command;
pub mod config;
pub mod doc;
pub mod link;
pub mod program;
pub mod register;
pub mod table;

pub use command::{Command, DecodeError, Engine, FieldKind, FieldSpec};
pub use config::{Config, ConfigError};
pub use program::{ContainerError, Program, TensorLayout};

/// Bytes of one encoded command.
pub const COMMAND_BYTES: usize = 64;

/// 32-bit words of one encoded command.
pub const COMMAND_WORDS: usize = COMMAND_BYTES / 4;

/// Every memory address, row length and row stride of a load or store is a multiple of this.
///
/// It is the widest supported bus beat, so one program runs on a 64-bit and on a 128-bit bus.
pub const MEMORY_QUANTUM: u32 = 16;

/// Version of the instruction set, readable in the `VERSION` register and stored in containers.
pub const ISA_VERSION: u32 = 1;
