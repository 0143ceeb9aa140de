//! What a command wrote, for comparison with another implementation.

use crate::MemoryKind;

/// How much of each command's writes is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TraceLevel {
    #[default]
    None,
    /// A digest of all writes of a command.
    Digest,
    /// The digest and the writes themselves.
    Full,
}

/// One write, in the order of execution.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    pub memory: MemoryKind,
    /// Vector, tile, group, row or (bus memory) byte.
    pub address: u32,
    /// First byte written within the vector, tile, group or row.
    pub first_byte: u32,
    /// The bytes; words of parameters and accumulators are little endian.
    pub bytes: Vec<u8>,
}

/// The writes of one command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandTrace {
    /// Index of the command in the program.
    pub command: usize,
    /// Number of the command among all that were dispatched: in a loop, a command of the program has many.
    pub sequence: usize,
    /// FNV-1a over memory, address, first byte, length and bytes of every write.
    pub digest: u64,
    /// Empty unless the level is [`TraceLevel::Full`].
    pub writes: Vec<Write>,
}

const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0000_0100_0000_01b3;

/// Collects the traces of a run.
#[derive(Debug)]
pub(crate) struct Recorder {
    level: TraceLevel,
    commands: Vec<CommandTrace>,
}

impl Recorder {
    pub fn new(level: TraceLevel) -> Recorder {
        Recorder { level, commands: Vec::new() }
    }

    pub fn begin(&mut self, command: usize, sequence: usize) {
        if self.level != TraceLevel::None {
            self.commands.push(CommandTrace { command, sequence, digest: FNV_OFFSET, writes: Vec::new() });
        }
    }

    pub fn enabled(&self) -> bool {
        self.level != TraceLevel::None
    }

    pub fn write(&mut self, memory: MemoryKind, address: u32, first_byte: usize, bytes: &[u8]) {
        if self.level == TraceLevel::None {
            return;
        }
        let trace = self.commands.last_mut().expect("a command has begun");
        let first_byte = first_byte as u32;
        let words = [memory as u32, address, first_byte, bytes.len() as u32];
        for byte in words.iter().flat_map(|w| w.to_le_bytes()).chain(bytes.iter().copied()) {
            trace.digest = (trace.digest ^ u64::from(byte)).wrapping_mul(FNV_PRIME);
        }
        if self.level == TraceLevel::Full {
            trace.writes.push(Write { memory, address, first_byte, bytes: bytes.to_vec() });
        }
    }

    /// The traces in the order of dispatch.
    pub fn finish(mut self) -> Vec<CommandTrace> {
        self.commands.sort_by_key(|trace| trace.sequence);
        self.commands
    }
}
