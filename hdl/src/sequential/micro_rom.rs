//! The memory of the microprogram.

use crate::emit::describe;
use rust_hdl_core::prelude::*;

/// Instructions of 16 bits: the one at `address` appears a cycle after `read_enable`, and stays until the next read.
#[derive(LogicBlock)]
pub struct MicroRom {
    pub clock: Signal<In, Clock>,
    pub read_enable: Signal<In, Bit>,
    pub address: Signal<In, Bits<11>>,
    pub instruction: Signal<Out, Bits<16>>,
    _words: Vec<u16>,
}

impl MicroRom {
    pub fn new(words: Vec<u16>) -> Self {
        Self {
            clock: Signal::default(),
            read_enable: Signal::default(),
            address: Signal::default(),
            instruction: Signal::default(),
            _words: words,
        }
    }
}

impl Logic for MicroRom {
    fn update(&mut self) {
        if self.clock.pos_edge() && self.read_enable.val() {
            let word = self._words.get(self.address.val().index()).copied().unwrap_or(0);
            self.instruction.next = u64::from(word).into();
        }
    }
    fn connect(&mut self) {
        self.instruction.connect();
    }
    fn hdl(&self) -> Verilog {
        // Behind the last one there is what block RAM of any size holds: zeros.
        let depth = self._words.len().next_power_of_two().max(2);
        let mut text = format!(
            "reg [15:0] words [0:{last}];\nreg [15:0] word;\nassign instruction = word;\ninteger each;\ninitial begin\n\
             \x20   for (each = {used}; each < {depth}; each = each + 1) words[each] = 16'd0;\n",
            last = depth - 1,
            used = self._words.len(),
        );
        for (row, words) in self._words.chunks(8).enumerate() {
            let each = words
                .iter()
                .enumerate()
                .map(|(at, word)| format!("words[{}] = 16'h{word:04x};", 8 * row + at));
            text += &format!("    {}\n", each.collect::<Vec<_>>().join(" "));
        }
        text += &format!(
            "end\nalways @(posedge clock) if (read_enable) word <= words[address[{}:0]];",
            depth.ilog2() - 1
        );
        Verilog::Custom(text)
    }
    fn timing(&self) -> Vec<TimingInfo> {
        describe("micro_rom", "The microprogram; its source is hdl/src/sequential/microprogram.txt.")
    }
}
