//! Leaves that rearrange lanes: bytes out of words, groups of lanes in and out of vectors.

use crate::emit::describe;
use crate::leaves::{inputs, outputs};
use rust_hdl_core::prelude::*;

fn concatenation(name: &str, count: usize) -> String {
    let parts: Vec<String> = (0..count).rev().map(|i| format!("{name}${i}")).collect();
    format!("{{{}}}", parts.join(", "))
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

/// Aligns a segment of two neighbouring vectors to the lanes of its destination.
///
/// Lane j takes byte j + `rotation` of the pair, modulo the vector's length: from `earlier` where that byte is at or after
/// `offset` and `both` vectors take part, else from `latest`. Lanes outside `from..to` take `pad`; `first_lane..=last_lane` are enabled.
#[derive(LogicBlock)]
pub struct ByteFunnel {
    pub earlier: Vec<Signal<In, Bits<32>>>,
    pub latest: Vec<Signal<In, Bits<32>>>,
    pub both: Signal<In, Bit>,
    pub offset: Signal<In, Bits<8>>,
    pub rotation: Signal<In, Bits<8>>,
    pub first_lane: Signal<In, Bits<8>>,
    pub last_lane: Signal<In, Bits<8>>,
    pub from: Signal<In, Bits<8>>,
    pub to: Signal<In, Bits<8>>,
    pub pad: Signal<In, Bits<8>>,
    pub words: Vec<Signal<Out, Bits<32>>>,
    pub enable: Vec<Signal<Out, Bits<4>>>,
}

impl ByteFunnel {
    pub fn new(rows: usize) -> Self {
        Self {
            earlier: inputs(rows / 4),
            latest: inputs(rows / 4),
            both: Signal::default(),
            offset: Signal::default(),
            rotation: Signal::default(),
            first_lane: Signal::default(),
            last_lane: Signal::default(),
            from: Signal::default(),
            to: Signal::default(),
            pad: Signal::default(),
            words: outputs(rows / 4),
            enable: outputs(rows / 4),
        }
    }
}

impl Logic for ByteFunnel {
    fn update(&mut self) {
        let rows = 4 * self.words.len();
        let byte = |words: &[Signal<In, Bits<32>>], i: usize| {
            u64::from(words[i / 4].val().to_u32().to_le_bytes()[i % 4])
        };
        let (offset, rotation) = (self.offset.val().index(), self.rotation.val().index());
        for w in 0..self.words.len() {
            let (mut word, mut enable) = (0u64, 0u64);
            for b in 0..4 {
                let lane = 4 * w + b;
                let source = (lane + rotation) % rows;
                let first = self.both.val() && source >= offset;
                let inside = lane >= self.from.val().index() && lane < self.to.val().index();
                let value = match (inside, first) {
                    (false, _) => self.pad.val().to_u64(),
                    (true, true) => byte(&self.earlier, source),
                    (true, false) => byte(&self.latest, source),
                };
                word |= value << (8 * b);
                let enabled = lane >= self.first_lane.val().index() && lane <= self.last_lane.val().index();
                enable |= u64::from(enabled) << b;
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
        let words = self.words.len();
        let rows = 4 * words;
        Verilog::Custom(format!(
            "wire [{top}:0] earlier_bytes = {earlier};\n\
             wire [{top}:0] latest_bytes = {latest};\n\
             reg [{top}:0] merged;\n\
             reg [{top}:0] placed;\n\
             reg [{lane_top}:0] enables;\n\
             wire [{double_top}:0] doubled = {{merged, merged}};\n\
             wire [{top}:0] rotated = doubled[{{1'b0, rotation[{index_top}:0], 3'd0}} +: {bits}];\n\
             integer i;\n\
             always @(*) begin\n\
             \x20   i = 0;\n\
             \x20   merged = latest_bytes;\n\
             \x20   for (i = 0; i < {rows}; i = i + 1)\n\
             \x20       if (both && i >= {{24'd0, offset}}) merged[8*i +: 8] = earlier_bytes[8*i +: 8];\n\
             end\n\
             integer j;\n\
             always @(*) begin\n\
             \x20   j = 0;\n\
             \x20   placed = rotated;\n\
             \x20   enables = 0;\n\
             \x20   for (j = 0; j < {rows}; j = j + 1) begin\n\
             \x20       if (j < {{24'd0, from}} || j >= {{24'd0, to}}) placed[8*j +: 8] = pad;\n\
             \x20       enables[j] = j >= {{24'd0, first_lane}} && j <= {{24'd0, last_lane}};\n\
             \x20   end\n\
             end\n\
             assign {word_ports} = placed;\n\
             assign {enable_ports} = enables;",
            top = 8 * rows - 1,
            double_top = 16 * rows - 1,
            lane_top = rows - 1,
            index_top = rows.ilog2() - 1,
            bits = 8 * rows,
            earlier = concatenation("earlier", words),
            latest = concatenation("latest", words),
            word_ports = concatenation("words", words),
            enable_ports = concatenation("enable", words),
        ))
    }
    fn timing(&self) -> Vec<TimingInfo> {
        describe(
            "byte_funnel",
            "A segment of two neighbouring vectors, aligned to the lanes of its destination.",
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

/// Reduces the elements of a window: sum, maximum or minimum, one element each cycle.
#[derive(LogicBlock, Default)]
pub struct WindowReduce {
    pub clock: Signal<In, Clock>,
    pub enable: Signal<In, Bit>,
    /// The element begins a new window.
    pub first: Signal<In, Bit>,
    /// 0 sum, 1 maximum, 2 minimum.
    pub operation: Signal<In, Bits<2>>,
    /// Signed.
    pub element: Signal<In, Bits<32>>,
    /// Signed.
    pub reduced: Signal<Out, Bits<32>>,
}

impl WindowReduce {
    pub const LATENCY_CYCLES: usize = 1;
}

impl Logic for WindowReduce {
    fn update(&mut self) {
        if self.clock.pos_edge() && self.enable.val() {
            let element = self.element.val().to_u32() as i32;
            let reduced = self.reduced.val().to_u32() as i32;
            let next = match (self.first.val(), self.operation.val().to_u8()) {
                (true, _) => element,
                (false, 1) => element.max(reduced),
                (false, 2) => element.min(reduced),
                (false, _) => element.wrapping_add(reduced),
            };
            self.reduced.next = u64::from(next as u32).into();
        }
    }
    fn connect(&mut self) {
        self.reduced.connect();
    }
    fn hdl(&self) -> Verilog {
        Verilog::Custom(
            "wire less = $signed(element) < $signed(reduced);\n\
             always @(posedge clock) if (enable) begin\n\
             \x20   if (first) reduced <= element;\n\
             \x20   else if (operation == 2'd1) reduced <= less ? reduced : element;\n\
             \x20   else if (operation == 2'd2) reduced <= less ? element : reduced;\n\
             \x20   else reduced <= reduced + element;\n\
             end"
            .into(),
        )
    }
    fn timing(&self) -> Vec<TimingInfo> {
        describe("window_reduce", "Running sum, maximum or minimum of a window's elements.")
    }
}

/// One bit, some cycles later.
#[derive(LogicBlock)]
pub struct DelayBit {
    pub clock: Signal<In, Clock>,
    pub value: Signal<In, Bit>,
    pub delayed: Signal<Out, Bit>,
    _stages: std::collections::VecDeque<bool>,
}

impl DelayBit {
    /// A delay of `cycles`, at least one.
    pub fn new(cycles: usize) -> Self {
        assert!(cycles > 0, "a delay of at least one cycle");
        Self {
            clock: Signal::default(),
            value: Signal::default(),
            delayed: Signal::default(),
            _stages: vec![false; cycles].into(),
        }
    }
}

impl Logic for DelayBit {
    fn update(&mut self) {
        if self.clock.pos_edge() {
            self._stages.push_back(self.value.val());
            self._stages.pop_front();
            self.delayed.next = self._stages[0];
        }
    }
    fn connect(&mut self) {
        self.delayed.connect();
    }
    fn hdl(&self) -> Verilog {
        let cycles = self._stages.len();
        Verilog::Custom(match cycles {
            1 => "initial delayed = 1'b0;\nalways @(posedge clock) delayed <= value;".into(),
            _ => format!(
                "reg [{}:0] stages;\ninitial stages = 0;\nassign delayed = stages[{}];\n\
                 always @(posedge clock) stages <= {{stages[{}:0], value}};",
                cycles - 1,
                cycles - 1,
                cycles - 2
            ),
        })
    }
    fn timing(&self) -> Vec<TimingInfo> {
        let cycles = self._stages.len();
        describe(&format!("delay_bit_{cycles}"), &format!("One bit, {cycles} cycles later."))
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
