//! Control and status registers of the AXI4-Lite port, and the status codes.

use std::fmt;

/// Who may do what with a register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    ReadOnly,
    ReadWrite,
    WriteOnly,
}

/// One row of the register table.
#[derive(Clone, Copy, Debug)]
pub struct Register {
    pub name: &'static str,
    /// Byte offset from the start of the register window.
    pub offset: u32,
    pub access: Access,
    pub description: &'static str,
}

macro_rules! access {
    (read_only) => {
        Access::ReadOnly
    };
    (read_write) => {
        Access::ReadWrite
    };
    (write_only) => {
        Access::WriteOnly
    };
}

macro_rules! define_registers {
    ($($name:ident = $offset:literal, $access:ident, $description:literal;)*) => {
        $(#[doc = $description] pub const $name: u32 = $offset;)*
        /// Every register, in address order.
        pub const REGISTERS: &[Register] = &[$(Register {
            name: stringify!($name), offset: $offset, access: access!($access), description: $description,
        }),*];
    };
}
crate::register_table!(define_registers);

/// The performance counters: what a program did with its cycles.
pub fn counters() -> impl Iterator<Item = &'static Register> {
    REGISTERS.iter().filter(|register| (MATRIX_BUSY..=BUS_WAITS).contains(&register.offset))
}

/// Number of performance counters.
pub const COUNTERS: usize = ((BUS_WAITS - MATRIX_BUSY) / 4 + 1) as usize;

/// Value of the `IDENTITY` register.
pub const IDENTITY_VALUE: u32 = 0x4652_5547;
/// Bit of `CONTROL` that starts the program.
pub const CONTROL_START: u32 = 1;
/// Bit of `CONTROL` that resets the machine.
pub const CONTROL_RESET: u32 = 2;
/// Bit of `STATUS`: a program is running.
pub const STATUS_BUSY: u32 = 1;
/// Bit of `STATUS`: the program has ended, well or not.
pub const STATUS_DONE: u32 = 2;
/// Bit of `STATUS`: the program was stopped by an error.
pub const STATUS_ERROR: u32 = 4;
/// Number of base registers.
pub const BASE_REGISTERS: usize = 8;

/// Why the machine stopped: bits 8..16 of `STATUS`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum StatusCode {
    /// No error.
    Ok = 0,
    /// A command with an unknown opcode.
    IllegalOpcode = 1,
    /// A command whose fields contradict each other: unknown space or layout, a length or address that is not a
    /// multiple of 16, an empty row.
    IllegalField = 2,
    /// The memory answered a command fetch with an error.
    FetchError = 3,
    /// The memory answered a read of the load engine with an error.
    ReadError = 4,
    /// The memory answered a write of the store engine with an error.
    WriteError = 5,
    /// The last command was fetched and it was not END.
    MissingEnd = 6,
}

impl StatusCode {
    /// Every code, in order of value.
    pub const ALL: [StatusCode; 7] = [
        StatusCode::Ok,
        StatusCode::IllegalOpcode,
        StatusCode::IllegalField,
        StatusCode::FetchError,
        StatusCode::ReadError,
        StatusCode::WriteError,
        StatusCode::MissingEnd,
    ];

    /// The code with this value, if there is one.
    pub fn from_value(value: u8) -> Option<StatusCode> {
        StatusCode::ALL.get(value as usize).copied()
    }

    /// One line for a person.
    pub fn describe(self) -> &'static str {
        match self {
            StatusCode::Ok => "no error",
            StatusCode::IllegalOpcode => "illegal command: unknown opcode",
            StatusCode::IllegalField => "illegal command: contradicting or misaligned fields",
            StatusCode::FetchError => "the memory answered a command fetch with an error",
            StatusCode::ReadError => "the memory answered a load with an error",
            StatusCode::WriteError => "the memory answered a store with an error",
            StatusCode::MissingEnd => "the program does not end with END",
        }
    }
}

impl fmt::Display for StatusCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.describe())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_are_distinct_and_word_aligned() {
        let mut offsets: Vec<u32> = REGISTERS.iter().map(|r| r.offset).collect();
        offsets.sort_unstable();
        offsets.dedup();
        assert_eq!(offsets.len(), REGISTERS.len());
        assert!(offsets.iter().all(|o| o % 4 == 0 && *o < 0xc0));
    }

    #[test]
    fn status_codes_round_trip() {
        for code in StatusCode::ALL {
            assert_eq!(StatusCode::from_value(code as u8), Some(code));
        }
        assert_eq!(StatusCode::from_value(7), None);
    }
}
