//! Where words and bytes land in a row of memory.

use crate::emit::describe;
use crate::leaves::{concatenation, inputs, outputs};
use rust_hdl_core::prelude::*;

/// Places `lanes` result bytes in a vector: the bytes on every group, a write enable on the one group that begins at `lane`.
#[derive(LogicBlock)]
pub struct LanePlace {
    pub bytes: Vec<Signal<In, Bits<8>>>,
    pub valid: Signal<In, Bit>,
    /// A multiple of the lanes.
    pub lane: Signal<In, Bits<8>>,
    pub words: Vec<Signal<Out, Bits<32>>>,
    pub enable: Vec<Signal<Out, Bits<4>>>,
}

impl LanePlace {
    pub fn new(rows: usize, lanes: usize) -> Self {
        Self {
            bytes: inputs(lanes),
            valid: Signal::default(),
            lane: Signal::default(),
            words: outputs(rows / 4),
            enable: outputs(rows / 4),
        }
    }
}

impl Logic for LanePlace {
    fn update(&mut self) {
        let lanes = self.bytes.len();
        let group = self.lane.val().index() / lanes;
        for w in 0..self.words.len() {
            let (mut word, mut enable) = (0u64, 0u64);
            for b in 0..4 {
                let byte = 4 * w + b;
                word |= self.bytes[byte % lanes].val().to_u64() << (8 * b);
                enable |= u64::from(self.valid.val() && byte / lanes == group) << b;
            }
            self.words[w].next = word.into();
            self.enable[w].next = enable.into();
        }
    }
    fn connect(&mut self) {
        self.words.iter_mut().for_each(|w| w.connect());
        self.enable.iter_mut().for_each(|e| e.connect());
    }
    fn hdl(&self) -> Verilog {
        let (lanes, words) = (self.bytes.len(), self.words.len());
        let rows = 4 * words;
        Verilog::Custom(format!(
            "wire [{group_top}:0] group = {group};\n\
             wire [{byte_top}:0] enables = valid ? {{{{{idle}{{1'b0}}}}, {{{lanes}{{1'b1}}}}}} << lane : {rows}'d0;\n\
             assign {words} = {{{copies}{{group}}}};\n\
             assign {enable} = enables;",
            group_top = 8 * lanes - 1,
            group = concatenation("bytes", lanes),
            byte_top = rows - 1,
            idle = rows - lanes,
            words = concatenation("words", words),
            copies = rows / lanes,
            enable = concatenation("enable", words),
        ))
    }
    fn timing(&self) -> Vec<TimingInfo> {
        describe("lane_place", "Result bytes on every group of lanes, a write enable on one group.")
    }
}

/// A bit for each of 32 numbers: that of `number` is one, and none of a larger one.
#[derive(LogicBlock, Default)]
pub struct OneHot {
    pub number: Signal<In, Bits<8>>,
    pub bits: Signal<Out, Bits<32>>,
}

impl Logic for OneHot {
    fn update(&mut self) {
        let number = self.number.val().to_u64();
        self.bits.next = if number < 32 { 1u64 << number } else { 0 }.into();
    }
    fn connect(&mut self) {
        self.bits.connect();
    }
    fn hdl(&self) -> Verilog {
        Verilog::Custom("assign bits = 32'd1 << number;".into())
    }
    fn timing(&self) -> Vec<TimingInfo> {
        describe("one_hot", "A bit for each of 32 numbers.")
    }
}

/// Spreads one unit of loaded words over a memory row: the words on every position, a write enable where `places` has a one.
#[derive(LogicBlock)]
pub struct WordPlace {
    pub unit: Vec<Signal<In, Bits<32>>>,
    pub valid: Signal<In, Bit>,
    /// A bit for each position: see [`OneHot`].
    pub places: Signal<In, Bits<32>>,
    pub words: Vec<Signal<Out, Bits<32>>>,
    pub enable: Vec<Signal<Out, Bits<4>>>,
    _unit_words: usize,
}

impl WordPlace {
    /// A row of `words` words, written `unit_words` at a time from a bus of `bus_words`.
    pub fn new(words: usize, unit_words: usize, bus_words: usize) -> Self {
        assert!(words <= 32 * unit_words, "{words} words have more places than 32");
        Self {
            unit: inputs(bus_words),
            valid: Signal::default(),
            places: Signal::default(),
            words: outputs(words),
            enable: outputs(words),
            _unit_words: unit_words,
        }
    }
}

impl Logic for WordPlace {
    fn update(&mut self) {
        for w in 0..self.words.len() {
            self.words[w].next = self.unit[w % self._unit_words].val();
            let here = self.valid.val() && self.places.val().get_bit(w / self._unit_words);
            self.enable[w].next = if here { 15u64 } else { 0 }.into();
        }
    }
    fn connect(&mut self) {
        self.words.iter_mut().for_each(|w| w.connect());
        self.enable.iter_mut().for_each(|e| e.connect());
    }
    fn hdl(&self) -> Verilog {
        let mut text = String::new();
        for w in 0..self.words.len() {
            let (from, position) = (w % self._unit_words, w / self._unit_words);
            text += &format!(
                "assign words${w} = unit${from};\n\
                 assign enable${w} = {{4{{valid && places[{position}]}}}};\n"
            );
        }
        Verilog::Custom(text)
    }
    fn timing(&self) -> Vec<TimingInfo> {
        describe(
            &format!("word_place_{}_by_{}", self.words.len(), self._unit_words),
            "Loaded words on every position of a memory row, a write enable on one position.",
        )
    }
}

/// How a unit of loaded bytes lands in a weight tile: the three layouts of the load command.
///
/// * linear (0): word i of the tile takes word i mod bus of the unit, enabled at position i / bus;
/// * column (1): the unit is part `position` of column `column`;
/// * row (2): byte n of the unit is column n of part `position`, in row `row` of the tile.
#[derive(LogicBlock)]
pub struct WeightPlace {
    pub unit: Vec<Signal<In, Bits<32>>>,
    pub valid: Signal<In, Bit>,
    pub layout: Signal<In, Bits<2>>,
    pub position: Signal<In, Bits<8>>,
    pub column: Signal<In, Bits<8>>,
    pub row: Signal<In, Bits<8>>,
    pub words: Vec<Signal<Out, Bits<32>>>,
    pub enable: Vec<Signal<Out, Bits<4>>>,
    _rows: usize,
    _cols: usize,
}

impl WeightPlace {
    pub fn new(rows: usize, cols: usize, bus_words: usize) -> Self {
        let words = rows * cols / 4;
        Self {
            unit: inputs(bus_words),
            valid: Signal::default(),
            layout: Signal::default(),
            position: Signal::default(),
            column: Signal::default(),
            row: Signal::default(),
            words: outputs(words),
            enable: outputs(words),
            _rows: rows,
            _cols: cols,
        }
    }
}

impl Logic for WeightPlace {
    fn update(&mut self) {
        let bus_words = self.unit.len();
        let column_words = self._rows / 4;
        let unit_words = bus_words.min(column_words);
        let unit_columns = (4 * bus_words).min(self._cols);
        let (position, row) = (self.position.val().index(), self.row.val().index());
        let layout = self.layout.val().index();
        for i in 0..self.words.len() {
            let (column, w) = (i / column_words, i % column_words);
            let (word, enable) = if layout == 2 {
                let n = column % unit_columns;
                let byte = u64::from(self.unit[n / 4].val().to_u32() >> (8 * (n % 4)) & 0xff);
                let here = position == column / unit_columns && row / 4 == w;
                (byte * 0x0101_0101, if here { 1 << (row % 4) } else { 0 })
            } else {
                let here = if layout == 1 {
                    self.column.val().index() == column && position == w / unit_words
                } else {
                    position == i / bus_words
                };
                (self.unit[i % bus_words].val().to_u64(), if here { 15 } else { 0 })
            };
            let valid = self.valid.val();
            self.words[i].next = if valid { word } else { 0u64 }.into();
            self.enable[i].next = if valid { enable } else { 0u64 }.into();
        }
    }
    fn connect(&mut self) {
        self.words.iter_mut().for_each(|w| w.connect());
        self.enable.iter_mut().for_each(|e| e.connect());
    }
    fn hdl(&self) -> Verilog {
        let bus_words = self.unit.len();
        let column_words = self._rows / 4;
        let words = self.words.len();
        Verilog::Custom(format!(
            "wire [{unit_top}:0] loaded = {unit};\n\
             reg [{data_top}:0] tile;\n\
             reg [{enable_top}:0] enables;\n\
             wire [7:0] row_word = row >> 2;\n\
             integer i;\n\
             always @(*) begin\n\
             \x20   i = 0;\n\
             \x20   tile = 0;\n\
             \x20   enables = 0;\n\
             \x20   if (valid) for (i = 0; i < {words}; i = i + 1) begin\n\
             \x20       if (layout == 2'd2) begin\n\
             \x20           tile[32*i +: 32] = {{4{{loaded[8*((i / {column_words}) % {unit_columns}) +: 8]}}}};\n\
             \x20           enables[4*i +: 4] = position == (i / {column_words}) / {unit_columns} && row_word == i % {column_words}\n\
             \x20               ? 4'd1 << row[1:0] : 4'd0;\n\
             \x20       end else begin\n\
             \x20           tile[32*i +: 32] = loaded[32*(i % {bus_words}) +: 32];\n\
             \x20           if (layout == 2'd1)\n\
             \x20               enables[4*i +: 4] = {{4{{column == i / {column_words} && position == (i % {column_words}) / {unit_words}}}}};\n\
             \x20           else\n\
             \x20               enables[4*i +: 4] = {{4{{position == i / {bus_words}}}}};\n\
             \x20       end\n\
             \x20   end\n\
             end\n\
             assign {word_ports} = tile;\n\
             assign {enable_ports} = enables;",
            unit_top = 32 * bus_words - 1,
            unit = concatenation("unit", bus_words),
            data_top = 32 * words - 1,
            enable_top = 4 * words - 1,
            unit_columns = (4 * bus_words).min(self._cols),
            unit_words = bus_words.min(column_words),
            word_ports = concatenation("words", words),
            enable_ports = concatenation("enable", words),
        ))
    }
    fn timing(&self) -> Vec<TimingInfo> {
        describe(
            "weight_place",
            "Loaded words placed in a weight tile: 0 in order, 1 as part of a column, 2 as bytes of a row (transposing).",
        )
    }
}
