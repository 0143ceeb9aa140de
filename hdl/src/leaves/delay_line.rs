//! A signal some cycles later.
use super::prelude::*;
use super::{ecp5, gowin};
use std::collections::VecDeque;

/// From so many bits and cycles on, a line on Gowin chips is a ring in distributed memory: a block of 16 rows of 4 bits takes the place of 8 flip-flops.
const RING_BITS: usize = 16;
const RING_CYCLES: usize = 5;

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

    fn registers(&self) -> String {
        let (top, last) = (N - 1, self._cycles - 2);
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

    /// The oldest value goes out, the new one takes its place.
    fn ring(&self) -> String {
        let (top, last) = (N - 1, self._cycles - 2);
        format!(
            "(* ram_style = \"distributed\" *) reg [{top}:0] stage [0:{last}];\n\
             reg [3:0] place;\n\
             initial place = 4'd0;\n\
             integer stage_number;\n\
             initial for (stage_number = 0; stage_number <= {last}; stage_number = stage_number + 1) stage[stage_number] = 0;\n\
             always @(posedge clock) begin\n\
             \x20   delayed <= stage[place];\n\
             \x20   stage[place] <= value;\n\
             \x20   place <= place == 4'd{last} ? 4'd0 : place + 4'd1;\n\
             end"
        )
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
        Verilog::Custom(match self._cycles {
            0 => "assign delayed = value;".into(),
            1 => "always @(posedge clock) delayed <= value;".into(),
            cycles if N >= RING_BITS && (RING_CYCLES..=17).contains(&cycles) => {
                ecp5::choose_family(&[(gowin::MACRO, &self.ring())], &self.registers())
            }
            _ => self.registers(),
        })
    }
    fn timing(&self) -> Vec<TimingInfo> {
        describe(
            &format!("delay_line_{N}_by_{}", self._cycles),
            &format!("{N} bits, {} cycles later.", self._cycles),
        )
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
