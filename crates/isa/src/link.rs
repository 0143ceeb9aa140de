//! The host link: what goes over the wire between a host and a board, see docs/link.md.
//!
//! ```text
//! packet:  sequence (1) | operation (1) | payload bytes (2) | address (4) | payload | CRC-32 (4)      all little endian
//! wire:    END, the packet's bytes with END and ESCAPE replaced by two bytes each, END
//! ```
//! The host asks, the board answers, one packet at a time. An answer has the request's sequence and operation, with [`ANSWER`] added, and in place
//! of the address a [`Status`] (byte 0) and the session (byte 1) that the last `identify` began: 0 after a reset. Whatever is no whole packet with the
//! right checksum is dropped, and END begins the next one, so that the board finds its way back from any bytes on the line.
//!
//! A request that is sent again, because its answer got lost, has the same sequence: the board does not start or write a register twice.

/// Version of the protocol.
pub const VERSION: u32 = 1;

/// Bits a second on the lines of all boards.
pub const BAUD: u32 = 2_000_000;

/// Begins and ends a packet.
pub const END: u8 = 0xc0;
/// Stands before the two below.
pub const ESCAPE: u8 = 0xdb;
/// Behind ESCAPE: the byte END.
pub const ESCAPED_END: u8 = 0xdc;
/// Behind ESCAPE: the byte ESCAPE.
pub const ESCAPED_ESCAPE: u8 = 0xdd;

/// Bytes in front of the payload.
pub const HEADER_BYTES: usize = 8;
/// Bytes of the checksum behind it.
pub const CHECKSUM_BYTES: usize = 4;
/// Most bytes of a payload.
pub const MAX_PAYLOAD_BYTES: usize = 1024;
/// Memory is read and written in multiples of this many bytes, at such addresses.
pub const MEMORY_QUANTUM: usize = 8;

/// Added to the operation of an answer.
pub const ANSWER: u8 = 0x80;

/// What the host asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Operation {
    /// Begins a session, whose number (1..=255) is the address. Answer: words of [`IDENTITY_WORDS`].
    Identify = 1,
    /// Answer: the register at this address, a word.
    ReadRegister = 2,
    /// Payload: a word.
    WriteRegister = 3,
    /// Payload: a word, how many bytes. Answer: the bytes.
    ReadMemory = 4,
    /// Payload: the bytes.
    WriteMemory = 5,
    /// Payload: a word, cycles to wait at most. Answer, as soon as the machine has ended or after so many cycles: a word, whether it has ended.
    Wait = 6,
    /// Starts the program.
    Start = 7,
}

impl Operation {
    pub const ALL: [Operation; 7] = [
        Operation::Identify,
        Operation::ReadRegister,
        Operation::WriteRegister,
        Operation::ReadMemory,
        Operation::WriteMemory,
        Operation::Wait,
        Operation::Start,
    ];
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Status {
    Ok = 0,
    /// No such operation.
    Operation = 1,
    /// A payload that the operation does not take, or a number of bytes that is 0, too large or no multiple of [`MEMORY_QUANTUM`].
    Length = 2,
    /// An address that is no multiple of [`MEMORY_QUANTUM`].
    Address = 3,
    /// The memory answered with an error: nothing is there.
    Bus = 4,
}

impl Status {
    pub const ALL: [Status; 5] =
        [Status::Ok, Status::Operation, Status::Length, Status::Address, Status::Bus];

    /// The status with this value, if there is one.
    pub fn from_value(value: u8) -> Option<Status> {
        Status::ALL.get(usize::from(value)).copied()
    }

    /// One line for a person.
    pub fn describe(self) -> &'static str {
        match self {
            Status::Ok => "no error",
            Status::Operation => "the board does not know the operation",
            Status::Length => "the board does not take a payload of this length",
            Status::Address => "the address is no multiple of 8",
            Status::Bus => "nothing is at that address of the memory",
        }
    }
}

/// Words of the answer to `identify`, in order.
pub const IDENTITY_WORDS: [&str; 4] = ["protocol version", "build", "clock in kHz", "bytes of memory"];

/// The CRC-32 register after a packet and its checksum, before the last inversion.
pub const CRC_RESIDUE: u32 = 0xdebb_20e3;
/// Polynomial of the CRC-32 of Ethernet and zip, least significant bit first.
pub const CRC_POLYNOMIAL: u32 = 0xedb8_8320;
