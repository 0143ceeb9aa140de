//! The memory behind the bus, and names for all memories.

use std::fmt;

/// A memory of the machine, or the one behind the bus.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MemoryKind {
    /// Addresses are vectors.
    Activation,
    /// Addresses are tiles.
    Weight,
    /// Addresses are groups.
    Parameter,
    /// Addresses are rows.
    Accumulator,
    /// Addresses are tables of 256 entries.
    Table,
    /// Addresses are words.
    Scalar,
    /// Addresses are rows of group scales.
    Scale,
    /// Behind the memory bus; addresses are bytes.
    Bus,
}

impl fmt::Display for MemoryKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            MemoryKind::Activation => "activation scratchpad",
            MemoryKind::Weight => "weight scratchpad",
            MemoryKind::Parameter => "parameter memory",
            MemoryKind::Accumulator => "accumulator memory",
            MemoryKind::Table => "table memory",
            MemoryKind::Scalar => "scalar memory",
            MemoryKind::Scale => "memory of group scales",
            MemoryKind::Bus => "bus memory",
        })
    }
}

/// The memory behind the bus: bytes from address zero on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    bytes: Vec<u8>,
}

impl Memory {
    /// A memory of zeros.
    pub fn new(size_bytes: usize) -> Memory {
        Memory { bytes: vec![0; size_bytes] }
    }

    /// Bytes of the memory.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub fn as_slice(&self) -> &[u8] {
        &self.bytes
    }

    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        &mut self.bytes
    }

    /// Makes the memory at least `size_bytes` long; new bytes are zero, old ones stay.
    pub fn grow(&mut self, size_bytes: usize) {
        if self.bytes.len() < size_bytes {
            self.bytes.resize(size_bytes, 0);
        }
    }

    /// The bytes from `address` on, or `None` when they are not all there.
    pub fn get(&self, address: u32, length: usize) -> Option<&[u8]> {
        let start = address as usize;
        self.bytes.get(start..start.checked_add(length)?)
    }

    pub(crate) fn get_mut(&mut self, address: u32, length: usize) -> Option<&mut [u8]> {
        let start = address as usize;
        self.bytes.get_mut(start..start.checked_add(length)?)
    }
}

impl From<Vec<u8>> for Memory {
    fn from(bytes: Vec<u8>) -> Memory {
        Memory { bytes }
    }
}

impl From<Memory> for Vec<u8> {
    fn from(memory: Memory) -> Vec<u8> {
        memory.bytes
    }
}
