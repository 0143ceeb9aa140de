//! What becomes of a window of elements, and bits on their way beside it.

use crate::emit::describe;
use rust_hdl_core::prelude::*;

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
