//! What becomes of a window of elements.

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
