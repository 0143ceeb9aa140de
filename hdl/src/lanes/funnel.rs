//! Bytes of two vectors aligned to the lanes of a third.

use crate::emit::describe;
use crate::leaves::{concatenation, inputs, outputs};
use rust_hdl_core::prelude::*;

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
