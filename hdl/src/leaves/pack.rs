//! Concatenation and its inverse, which `#[hdl_gen]` cannot say. Part 0 is always the least significant one.
use super::prelude::*;
use super::{inputs, outputs};

/// The Verilog concatenation of `name$0` .. `name$(count-1)`, part 0 least significant.
pub(crate) fn concatenation(name: &str, count: usize) -> String {
    let parts: Vec<String> = (0..count).rev().map(|part| format!("{name}${part}")).collect();
    format!("{{{}}}", parts.join(", "))
}

/// One assignment for each part of `width` bits.
fn slices(source: &str, target: &str, width: usize, count: usize) -> String {
    let lines: Vec<String> = (0..count)
        .map(|part| {
            format!("assign {target}${part} = {source}[{}:{}];", width * (part + 1) - 1, width * part)
        })
        .collect();
    lines.join("\n")
}

/// `N / 32` words side by side.
#[derive(LogicBlock)]
pub struct Pack<const N: usize> {
    pub words: Vec<Signal<In, Bits<32>>>,
    pub packed: Signal<Out, Bits<N>>,
}

/// Two words side by side.
pub type Pack64 = Pack<64>;
/// Four words side by side.
pub type Pack128 = Pack<128>;

impl<const N: usize> Default for Pack<N> {
    fn default() -> Self {
        assert!(N % 32 == 0, "{N} bits are not whole words");
        Self { words: inputs(N / 32), packed: Signal::default() }
    }
}

impl<const N: usize> Logic for Pack<N> {
    fn update(&mut self) {
        let mut packed = Bits::<N>::default();
        for (part, word) in self.words.iter().enumerate() {
            packed = packed | (Bits::<N>::from(word.val().to_u64()) << (32 * part as u64));
        }
        self.packed.next = packed;
    }
    fn connect(&mut self) {
        self.packed.connect();
    }
    fn hdl(&self) -> Verilog {
        Verilog::Custom(format!("assign packed = {};", concatenation("words", N / 32)))
    }
    fn timing(&self) -> Vec<TimingInfo> {
        describe(&format!("pack_{N}"), &format!("{} words side by side.", N / 32))
    }
}

/// The `N / 32` words of a wide value.
#[derive(LogicBlock)]
pub struct Unpack<const N: usize> {
    pub packed: Signal<In, Bits<N>>,
    pub words: Vec<Signal<Out, Bits<32>>>,
}

/// The two words of a 64-bit value.
pub type Unpack64 = Unpack<64>;
/// The four words of a 128-bit value.
pub type Unpack128 = Unpack<128>;

impl<const N: usize> Default for Unpack<N> {
    fn default() -> Self {
        assert!(N % 32 == 0, "{N} bits are not whole words");
        Self { packed: Signal::default(), words: outputs(N / 32) }
    }
}

impl<const N: usize> Logic for Unpack<N> {
    fn update(&mut self) {
        let packed = self.packed.val();
        for (part, word) in self.words.iter_mut().enumerate() {
            word.next = packed.get_bits::<32>(32 * part);
        }
    }
    fn connect(&mut self) {
        self.words.iter_mut().for_each(|word| word.connect());
    }
    fn hdl(&self) -> Verilog {
        Verilog::Custom(slices("packed", "words", 32, N / 32))
    }
    fn timing(&self) -> Vec<TimingInfo> {
        describe(&format!("unpack_{N}"), &format!("The {} words of a wide value.", N / 32))
    }
}

/// Four bytes as one word.
#[derive(LogicBlock)]
pub struct PackBytes {
    pub bytes: Vec<Signal<In, Bits<8>>>,
    pub word: Signal<Out, Bits<32>>,
}

impl Default for PackBytes {
    fn default() -> Self {
        Self { bytes: inputs(4), word: Signal::default() }
    }
}

impl Logic for PackBytes {
    fn update(&mut self) {
        let word = self.bytes.iter().rev().fold(0, |word, byte| word << 8 | byte.val().to_u64());
        self.word.next = word.into();
    }
    fn connect(&mut self) {
        self.word.connect();
    }
    fn hdl(&self) -> Verilog {
        Verilog::Custom(format!("assign word = {};", concatenation("bytes", 4)))
    }
    fn timing(&self) -> Vec<TimingInfo> {
        describe("pack_bytes", "Four bytes as one word.")
    }
}

/// Two 16-bit values as a word, the first one low.
#[derive(LogicBlock, Default)]
pub struct PackHalves {
    pub low: Signal<In, Bits<16>>,
    pub high: Signal<In, Bits<16>>,
    pub both: Signal<Out, Bits<32>>,
}

impl Logic for PackHalves {
    fn update(&mut self) {
        self.both.next = (self.low.val().to_u64() | self.high.val().to_u64() << 16).into();
    }
    fn connect(&mut self) {
        self.both.connect();
    }
    fn hdl(&self) -> Verilog {
        Verilog::Custom("assign both = {high, low};".into())
    }
    fn timing(&self) -> Vec<TimingInfo> {
        describe("pack_halves", "Two 16-bit values as a word.")
    }
}

/// Eight flags as a byte, flag 0 least significant.
#[derive(LogicBlock)]
pub struct PackFlags {
    pub bits: Vec<Signal<In, Bit>>,
    pub flags: Signal<Out, Bits<8>>,
}

impl Default for PackFlags {
    fn default() -> Self {
        Self { bits: (0..8).map(|_| Signal::default()).collect(), flags: Signal::default() }
    }
}

impl Logic for PackFlags {
    fn update(&mut self) {
        let flags = self.bits.iter().rev().fold(0u64, |byte, bit| byte << 1 | u64::from(bit.val()));
        self.flags.next = flags.into();
    }
    fn connect(&mut self) {
        self.flags.connect();
    }
    fn hdl(&self) -> Verilog {
        Verilog::Custom(format!("assign flags = {};", concatenation("bits", 8)))
    }
    fn timing(&self) -> Vec<TimingInfo> {
        describe("pack_flags", "Eight flags as a byte.")
    }
}

/// Gathers the token counters' bits for each engine.
#[derive(LogicBlock)]
pub struct PackCounters {
    /// Index `from * 4 + to`.
    pub counter: Vec<Signal<In, Bits<8>>>,
    pub some: Vec<Signal<In, Bit>>,
    pub many: Vec<Signal<In, Bit>>,
    /// For engine `to`: bit `from`.
    pub available: Vec<Signal<Out, Bits<4>>>,
    /// For engine `from`: bit `to`.
    pub blocked: Vec<Signal<Out, Bits<4>>>,
    /// For engine `to`: byte `from`.
    pub counts: Vec<Signal<Out, Bits<32>>>,
}

impl Default for PackCounters {
    fn default() -> Self {
        Self {
            counter: inputs(16),
            some: (0..16).map(|_| Signal::default()).collect(),
            many: (0..16).map(|_| Signal::default()).collect(),
            available: outputs(4),
            blocked: outputs(4),
            counts: outputs(4),
        }
    }
}

impl Logic for PackCounters {
    fn update(&mut self) {
        for engine in 0..4 {
            let (mut available, mut blocked, mut counts) = (0u64, 0u64, 0u64);
            for other in 0..4 {
                available |= u64::from(self.some[other * 4 + engine].val()) << other;
                blocked |= u64::from(self.many[engine * 4 + other].val()) << other;
                counts |= self.counter[other * 4 + engine].val().to_u64() << (8 * other);
            }
            self.available[engine].next = available.into();
            self.blocked[engine].next = blocked.into();
            self.counts[engine].next = counts.into();
        }
    }
    fn connect(&mut self) {
        self.available.iter_mut().for_each(|p| p.connect());
        self.blocked.iter_mut().for_each(|p| p.connect());
        self.counts.iter_mut().for_each(|p| p.connect());
    }
    fn hdl(&self) -> Verilog {
        let mut text = String::new();
        for e in 0..4 {
            text += &format!(
                "assign available${e} = {{some${}, some${}, some${}, some${}}};\n",
                12 + e,
                8 + e,
                4 + e,
                e
            );
            let from = 4 * e;
            text += &format!(
                "assign blocked${e} = {{many${}, many${}, many${}, many${from}}};\n",
                from + 3,
                from + 2,
                from + 1
            );
            text += &format!(
                "assign counts${e} = {{counter${}, counter${}, counter${}, counter${e}}};\n",
                12 + e,
                8 + e,
                4 + e
            );
        }
        Verilog::Custom(text)
    }
    fn timing(&self) -> Vec<TimingInfo> {
        describe("pack_counters", "The token counters' bits, gathered for each engine.")
    }
}

/// The bytes of a vector of words, byte 0 least significant.
#[derive(LogicBlock)]
pub struct SplitBytes {
    pub words: Vec<Signal<In, Bits<32>>>,
    pub bytes: Vec<Signal<Out, Bits<8>>>,
}

impl SplitBytes {
    /// `count` bytes, a multiple of four.
    pub fn new(count: usize) -> Self {
        Self { words: inputs(count / 4), bytes: outputs(count) }
    }
}

impl Logic for SplitBytes {
    fn update(&mut self) {
        for (i, byte) in self.bytes.iter_mut().enumerate() {
            byte.next = u64::from(self.words[i / 4].val().to_u32() >> (8 * (i % 4)) & 0xff).into();
        }
    }
    fn connect(&mut self) {
        self.bytes.iter_mut().for_each(|b| b.connect());
    }
    fn hdl(&self) -> Verilog {
        let (bytes, words) = (self.bytes.len(), self.words.len());
        Verilog::Custom(format!(
            "assign {} = {};",
            concatenation("bytes", bytes),
            concatenation("words", words)
        ))
    }
    fn timing(&self) -> Vec<TimingInfo> {
        describe(&format!("split_bytes_{}", self.bytes.len()), "The bytes of a vector of words.")
    }
}

/// Two four-bit states as a byte, the first one low.
#[derive(LogicBlock, Default)]
pub struct PackNibbles {
    pub low: Signal<In, Bits<4>>,
    pub high: Signal<In, Bits<4>>,
    pub both: Signal<Out, Bits<8>>,
}

impl Logic for PackNibbles {
    fn update(&mut self) {
        self.both.next = (self.low.val().to_u64() | self.high.val().to_u64() << 4).into();
    }
    fn connect(&mut self) {
        self.both.connect();
    }
    fn hdl(&self) -> Verilog {
        Verilog::Custom("assign both = {high, low};".into())
    }
    fn timing(&self) -> Vec<TimingInfo> {
        describe("pack_nibbles", "Two four-bit values as a byte.")
    }
}
