//! Rows of words some cycles later, kept in distributed RAM.
use super::prelude::*;
use super::{inputs, outputs};
use std::collections::VecDeque;

/// `delayed` is what `value` was `cycles` clock edges ago, as with [`super::DelayLine`], but for wide rows and many cycles: a small RAM that is
/// written all around costs less than shift registers.
#[derive(LogicBlock)]
pub struct DelayRows {
    pub clock: Signal<In, Clock>,
    pub value: Vec<Signal<In, Bits<32>>>,
    pub delayed: Vec<Signal<Out, Bits<32>>>,
    _cycles: usize,
    /// What is under way, the oldest row first.
    _rows: VecDeque<Vec<u32>>,
}

impl DelayRows {
    /// # Panics
    /// If `cycles` is below 3, where registers do it.
    pub fn new(words: usize, cycles: usize) -> Self {
        assert!(cycles >= 3, "{cycles} cycles");
        Self {
            clock: Signal::default(),
            value: inputs(words),
            delayed: outputs(words),
            _cycles: cycles,
            _rows: vec![vec![0; words]; cycles].into(),
        }
    }
}

impl Logic for DelayRows {
    fn update(&mut self) {
        if self.clock.pos_edge() {
            self._rows.push_back(self.value.iter().map(|w| w.val().to_u32()).collect());
            self._rows.pop_front();
            for (port, word) in self.delayed.iter_mut().zip(&self._rows[0]) {
                port.next = u64::from(*word).into();
            }
        }
    }
    fn connect(&mut self) {
        self.delayed.iter_mut().for_each(|w| w.connect());
    }
    fn hdl(&self) -> Verilog {
        let (words, last) = (self.value.len(), self._cycles - 2);
        let index_top = self._cycles.ilog2();
        let join = |name: &str| -> String {
            let parts: Vec<String> = (0..words).rev().map(|w| format!("{name}${w}")).collect();
            format!("{{{}}}", parts.join(", "))
        };
        Verilog::Custom(format!(
            "reg [{top}:0] rows [0:{last}];\n\
             reg [{top}:0] oldest;\n\
             reg [{index_top}:0] index;\n\
             assign {delayed} = oldest;\n\
             integer row;\n\
             initial begin\n\
             \x20   index = 0;\n\
             \x20   for (row = 0; row <= {last}; row = row + 1) rows[row] = 0;\n\
             end\n\
             always @(posedge clock) begin\n\
             \x20   oldest <= rows[index];\n\
             \x20   rows[index] <= {value};\n\
             \x20   index <= index == {last} ? 0 : index + 1;\n\
             end",
            top = 32 * words - 1,
            delayed = join("delayed"),
            value = join("value"),
        ))
    }
    fn timing(&self) -> Vec<TimingInfo> {
        describe(
            &format!("delay_rows_{}_by_{}", self.value.len(), self._cycles),
            &format!("{} words, {} cycles later; distributed RAM.", self.value.len(), self._cycles),
        )
    }
}
