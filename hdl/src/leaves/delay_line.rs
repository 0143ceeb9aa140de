//! A signal some cycles later.
use super::prelude::*;
use std::collections::VecDeque;

/// `delayed` is what `value` was `cycles` clock edges ago; with 0 cycles it is a wire.
#[derive(LogicBlock)]
pub struct DelayLine<const N: usize> {
    pub clock: Signal<In, Clock>,
    pub value: Signal<In, Bits<N>>,
    pub delayed: Signal<Out, Bits<N>>,
    _cycles: usize,
    /// What is under way, the oldest value first.
    _stages: VecDeque<Bits<N>>,
}

impl<const N: usize> DelayLine<N> {
    pub fn new(cycles: usize) -> Self {
        Self {
            clock: Signal::default(),
            value: Signal::default(),
            delayed: Signal::default(),
            _cycles: cycles,
            _stages: vec![Bits::default(); cycles].into(),
        }
    }
}

impl<const N: usize> Logic for DelayLine<N> {
    fn update(&mut self) {
        if self._cycles == 0 {
            self.delayed.next = self.value.val();
        } else if self.clock.pos_edge() {
            self._stages.push_back(self.value.val());
            self._stages.pop_front();
            self.delayed.next = self._stages[0];
        }
    }
    fn connect(&mut self) {
        self.delayed.connect();
    }
    fn hdl(&self) -> Verilog {
        let top = N - 1;
        Verilog::Custom(match self._cycles {
            0 => "assign delayed = value;".into(),
            1 => "always @(posedge clock) delayed <= value;".into(),
            cycles => {
                let last = cycles - 2;
                let mut body = format!(
                    "reg [{top}:0] stage [0:{last}];\n\
                     always @(posedge clock) begin\n\
                     \x20   stage[0] <= value;\n"
                );
                for stage in 1..=last {
                    body += &format!("    stage[{stage}] <= stage[{}];\n", stage - 1);
                }
                body + &format!("    delayed <= stage[{last}];\nend")
            }
        })
    }
    fn timing(&self) -> Vec<TimingInfo> {
        describe(
            &format!("delay_line_{N}_by_{}", self._cycles),
            &format!("{N} bits, {} cycles later.", self._cycles),
        )
    }
}
