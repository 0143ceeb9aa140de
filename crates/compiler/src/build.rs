//! A program under construction: planned commands, constants, and who holds which addresses.

use crate::access::Access;
use frugal_isa::{Command, Config};
use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

/// What an address holds, as far as the checker is concerned: a tensor, a block of weights, a partial sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Value(pub u32);

/// A command with what it is meant to read and write.
#[derive(Clone, Debug, PartialEq)]
pub struct Planned {
    pub command: Command,
    /// Index of the layer it belongs to.
    pub layer: u32,
    /// Values that any address it reads may hold.
    pub reads: Vec<Value>,
    /// Value of every address it writes.
    pub writes: Option<Value>,
    /// It moves pairs of vectors of which one may be padding, so that 16 bytes are whole.
    pub padded: bool,
    /// What it reads and writes, where the command does not say it: one that an `adjust` changes gives everything that it may
    /// reach in any round of its loop.
    pub access: Option<Access>,
}

impl Planned {
    /// What it reads and writes.
    pub fn access(&self, config: &Config) -> Access {
        self.access.clone().unwrap_or_else(|| Access::of(&self.command, config))
    }
}

/// Hands out a memory in a ring: the next block follows the last and overwrites the oldest. What is still there is found.
pub struct Ring<K> {
    depth: usize,
    next: usize,
    blocks: VecDeque<(K, usize, usize, Value)>,
}

impl<K: Eq> Ring<K> {
    pub fn new(depth: usize) -> Ring<K> {
        Ring { depth, next: 0, blocks: VecDeque::new() }
    }

    /// Address and value of a block that is still there.
    pub fn find(&self, key: &K) -> Option<(usize, Value)> {
        self.blocks.iter().find(|block| block.0 == *key).map(|block| (block.1, block.3))
    }

    /// The first block, given its key and address, of which `take` makes something.
    pub fn find_map<T>(&self, take: impl Fn(&K, usize) -> Option<T>) -> Option<T> {
        self.blocks.iter().find_map(|block| take(&block.0, block.1))
    }

    /// Places a block of `length` addresses and forgets those that it overwrites.
    ///
    /// Panics if the block is larger than the memory.
    pub fn place(&mut self, key: K, length: usize, value: Value) -> usize {
        assert!(length <= self.depth, "a block of {length} in a memory of {}", self.depth);
        if self.next + length > self.depth {
            self.next = 0;
        }
        let start = self.next;
        self.blocks.retain(|block| block.1 + block.2 <= start || block.1 >= start + length);
        self.blocks.push_back((key, start, length, value));
        self.next = start + length;
        start
    }
}

/// Bytes at `BASE_0`. Equal keys are stored once.
pub struct Constants<K> {
    pub bytes: Vec<u8>,
    places: HashMap<K, usize>,
}

impl<K: Eq + Hash> Constants<K> {
    pub fn new() -> Constants<K> {
        Constants { bytes: Vec::new(), places: HashMap::new() }
    }

    /// Byte offset of the block, which `make` gives when it is not there yet.
    pub fn offset(&mut self, key: K, make: impl FnOnce() -> Vec<u8>) -> usize {
        if let Some(offset) = self.places.get(&key) {
            return *offset;
        }
        let offset = self.append(make());
        self.places.insert(key, offset);
        offset
    }

    /// Appends bytes, filled up to whole 16 bytes, and returns where.
    pub fn append(&mut self, block: Vec<u8>) -> usize {
        let offset = self.bytes.len();
        self.bytes.extend_from_slice(&block);
        self.bytes.resize(self.bytes.len().next_multiple_of(16), 0);
        offset
    }
}

/// Parameters of one output channel: bias, multiplier, right and left shift.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChannelParameters {
    pub bias: i32,
    pub multiplier: u32,
    pub right_shift: u8,
    pub left_shift: u8,
}

/// Bytes of parameter groups for the channels, whose number is a multiple of the lanes.
pub fn pack_parameters(channels: &[ChannelParameters], config: &Config) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(12 * channels.len());
    for group in channels.chunks(config.lanes) {
        bytes.extend(group.iter().flat_map(|c| c.bias.to_le_bytes()));
        bytes.extend(group.iter().flat_map(|c| c.multiplier.to_le_bytes()));
        let shifts = |c: &ChannelParameters| u32::from(c.right_shift) | u32::from(c.left_shift) << 8;
        bytes.extend(group.iter().flat_map(|c| shifts(c).to_le_bytes()));
    }
    bytes
}

/// Parameter groups come in such numbers that their bytes are a multiple of 16.
pub fn group_quantum(config: &Config) -> usize {
    if config.lanes == 2 {
        2
    } else {
        1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ring_forgets_what_it_overwrites() {
        let mut ring = Ring::new(10);
        assert_eq!(ring.place("a", 4, Value(0)), 0);
        assert_eq!(ring.place("b", 4, Value(1)), 4);
        // Only two addresses are left at the end: the block goes to the beginning.
        assert_eq!(ring.place("c", 3, Value(2)), 0);
        assert_eq!(ring.find(&"a"), None);
        assert_eq!(ring.find(&"b"), Some((4, Value(1))));
        assert_eq!(ring.place("d", 1, Value(3)), 3);
        assert_eq!(ring.place("e", 2, Value(4)), 4);
        assert_eq!(ring.find(&"b"), None);
    }

    #[test]
    fn equal_constants_are_stored_once_and_aligned() {
        let mut constants = Constants::new();
        assert_eq!(constants.offset(1, || vec![1; 5]), 0);
        assert_eq!(constants.offset(2, || vec![2; 16]), 16);
        assert_eq!(constants.offset(1, || unreachable!()), 0);
        assert_eq!(constants.bytes.len(), 32);
    }
}
