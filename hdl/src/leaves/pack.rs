//! Concatenation and its inverse, which `#[hdl_gen]` cannot say. Part 0 is always the least significant one.
use super::prelude::*;
use super::{inputs, outputs};

/// The Verilog concatenation of `name$0` .. `name$(count-1)`, part 0 least significant.
fn concatenation(name: &str, count: usize) -> String {
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
