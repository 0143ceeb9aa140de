//! What is taken out of words and vectors.

use crate::emit::describe;
use crate::leaves::{concatenation, inputs, outputs};
use rust_hdl_core::prelude::*;

/// Picks `lanes` bytes of a vector, from byte `lane` on, and sign-extends them.
#[derive(LogicBlock)]
pub struct LaneSelect {
    pub words: Vec<Signal<In, Bits<32>>>,
    /// A multiple of `lanes`.
    pub lane: Signal<In, Bits<8>>,
    pub values: Vec<Signal<Out, Bits<32>>>,
}

impl LaneSelect {
    pub fn new(rows: usize, lanes: usize) -> Self {
        Self { words: inputs(rows / 4), lane: Signal::default(), values: outputs(lanes) }
    }
}

impl Logic for LaneSelect {
    fn update(&mut self) {
        let lanes = self.values.len();
        let first = self.lane.val().index() / lanes * lanes;
        for (l, value) in self.values.iter_mut().enumerate() {
            let byte = (first + l) % (4 * self.words.len());
            let byte = self.words[byte / 4].val().to_u32().to_le_bytes()[byte % 4];
            value.next = u64::from(byte as i8 as i32 as u32).into();
        }
    }
    fn connect(&mut self) {
        self.values.iter_mut().for_each(|v| v.connect());
    }
    fn hdl(&self) -> Verilog {
        let (words, lanes) = (self.words.len(), self.values.len());
        let mut text = format!("wire [{}:0] vector = {};\n", 32 * words - 1, concatenation("words", words));
        // Only whole groups are chosen: of a lane's number, the bits that count groups of the vector.
        let (low, high) = (lanes.ilog2(), (4 * words).ilog2());
        text += &if high > low {
            format!(
                "wire [{}:0] group = vector[{{lane[{}:{low}], {}'d0}} +: {}];\n",
                8 * lanes - 1,
                high - 1,
                low + 3,
                8 * lanes
            )
        } else {
            format!("wire [{}:0] group = vector;\n", 8 * lanes - 1)
        };
        for l in 0..lanes {
            text += &format!(
                "assign values${l} = {{{{24{{group[{}]}}}}, group[{}:{}]}};\n",
                8 * l + 7,
                8 * l + 7,
                8 * l
            );
        }
        Verilog::Custom(text)
    }
    fn timing(&self) -> Vec<TimingInfo> {
        describe("lane_select", "A group of lanes of a vector, sign-extended.")
    }
}

/// Part `split` of a beat, repeated over the whole width: a beat of which `last_split + 1` parts (a power of two) are written one by one.
#[derive(LogicBlock)]
pub struct UnitSelect {
    pub beat: Vec<Signal<In, Bits<32>>>,
    pub split: Signal<In, Bits<8>>,
    /// Parts, minus one.
    pub last_split: Signal<In, Bits<8>>,
    pub unit: Vec<Signal<Out, Bits<32>>>,
}

impl UnitSelect {
    pub fn new(bus_bytes: usize) -> Self {
        Self {
            beat: inputs(bus_bytes / 4),
            split: Signal::default(),
            last_split: Signal::default(),
            unit: outputs(bus_bytes / 4),
        }
    }
}

impl Logic for UnitSelect {
    fn update(&mut self) {
        let bytes: Vec<u8> = self.beat.iter().flat_map(|w| w.val().to_u32().to_le_bytes()).collect();
        let unit_bytes = (bytes.len() / (self.last_split.val().index() + 1)).max(1);
        let first = self.split.val().index() * unit_bytes;
        for (w, unit) in self.unit.iter_mut().enumerate() {
            let byte =
                |b: usize| u64::from(bytes[(first + (4 * w + b) % unit_bytes) % bytes.len()]) << (8 * b);
            unit.next = (0..4).map(byte).sum::<u64>().into();
        }
    }
    fn connect(&mut self) {
        self.unit.iter_mut().for_each(|u| u.connect());
    }
    fn hdl(&self) -> Verilog {
        let bytes = 4 * self.beat.len();
        let top = 8 * bytes - 1;
        let mut text = format!(
            "wire [{top}:0] whole = {};\nreg [{top}:0] chosen;\nalways @(*) begin\n    case (last_split)\n",
            concatenation("beat", self.beat.len())
        );
        let mut parts = 2;
        while bytes / parts >= 2 {
            let bits = 8 * bytes / parts;
            text += &format!(
                "        8'd{}: chosen = {{{parts}{{whole[{bits} * split[{}:0] +: {bits}]}}}};\n",
                parts - 1,
                parts.ilog2() - 1
            );
            parts *= 2;
        }
        text += "        default: chosen = whole;\n    endcase\nend\n";
        text += &format!("assign {} = chosen;", concatenation("unit", self.unit.len()));
        Verilog::Custom(text)
    }
    fn timing(&self) -> Vec<TimingInfo> {
        describe("unit_select", "One part of a beat, repeated over the whole width.")
    }
}

/// Word `index` of many, or 0 beyond the last.
#[derive(LogicBlock)]
pub struct WordSelect {
    pub words: Vec<Signal<In, Bits<32>>>,
    pub index: Signal<In, Bits<10>>,
    pub word: Signal<Out, Bits<32>>,
}

impl WordSelect {
    pub fn new(words: usize) -> Self {
        Self { words: inputs(words), index: Signal::default(), word: Signal::default() }
    }
}

impl Logic for WordSelect {
    fn update(&mut self) {
        let word = self.words.get(self.index.val().index()).map_or(0, |word| word.val().to_u32());
        self.word.next = u64::from(word).into();
    }
    fn connect(&mut self) {
        self.word.connect();
    }
    fn hdl(&self) -> Verilog {
        // A power of two of words makes a tree of two-way choices, without comparisons.
        let (count, places) = (self.words.len(), self.words.len().next_power_of_two());
        let zeros = if places > count { format!("{}'d0, ", 32 * (places - count)) } else { String::new() };
        let bits = places.ilog2();
        Verilog::Custom(format!(
            "wire [{}:0] whole = {{{zeros}{}}};\nassign word = index[9:{bits}] == {}'d0 ? whole[32 * index[{}:0] +: 32] : 32'd0;",
            32 * places - 1,
            concatenation("words", count)[1..].trim_end_matches('}'),
            10 - bits,
            bits - 1
        ))
    }
    fn timing(&self) -> Vec<TimingInfo> {
        describe("word_select", "A word of many, chosen by its position.")
    }
}

/// The bus beat at `position` of a vector; a vector narrower than the bus fills the low words.
#[derive(LogicBlock)]
pub struct VectorPart {
    pub vector: Vec<Signal<In, Bits<32>>>,
    pub position: Signal<In, Bits<8>>,
    pub beat: Vec<Signal<Out, Bits<32>>>,
}

impl VectorPart {
    pub fn new(words: usize, bus_words: usize) -> Self {
        Self { vector: inputs(words), position: Signal::default(), beat: outputs(bus_words) }
    }
}

impl Logic for VectorPart {
    fn update(&mut self) {
        let first = self.position.val().index() * self.beat.len();
        for (w, beat) in self.beat.iter_mut().enumerate() {
            beat.next = self.vector.get(first + w).map_or(0u64, |word| word.val().to_u64()).into();
        }
    }
    fn connect(&mut self) {
        self.beat.iter_mut().for_each(|b| b.connect());
    }
    fn hdl(&self) -> Verilog {
        let (words, bus_words) = (self.vector.len(), self.beat.len());
        let target = concatenation("beat", bus_words);
        let mut text = format!(
            "wire [{}:0] whole = {};\nreg [{}:0] chosen;\nalways @(*) begin\n    case (position)\n",
            32 * words - 1,
            concatenation("vector", words),
            32 * bus_words - 1
        );
        for position in 1..words / bus_words {
            text += &format!(
                "        8'd{position}: chosen = whole[{}:{}];\n",
                32 * bus_words * (position + 1) - 1,
                32 * bus_words * position
            );
        }
        let low = 32 * words.min(bus_words) - 1;
        text += &format!(
            "        default: chosen = whole[{low}:0];\n    endcase\nend\nassign {target} = chosen;"
        );
        Verilog::Custom(text)
    }
    fn timing(&self) -> Vec<TimingInfo> {
        describe("vector_part", "One bus beat of a vector.")
    }
}
