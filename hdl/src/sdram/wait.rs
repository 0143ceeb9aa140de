//! A wait of a number of cycles.
use crate::emit::describe;
use rust_hdl_core::prelude::*;
use rust_hdl_widgets::prelude::*;

/// After `start` in cycle t, `over` is low until cycle t + `more` + 1, in which what waits may happen. A start during a wait
/// begins anew.
#[derive(LogicBlock, Default)]
pub struct Wait<const N: usize> {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub start: Signal<In, Bit>,
    /// Cycles to wait, minus one.
    pub more: Signal<In, Bits<N>>,
    pub over: Signal<Out, Bit>,
    count: DFF<Bits<N>>,
    waiting: DFF<Bit>,
    ends: Signal<Local, Bit>,
}

impl<const N: usize> Logic for Wait<N> {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, count, waiting);
        self.ends.next = self.count.q.val() == 1;
        if self.waiting.q.val() {
            self.count.d.next = self.count.q.val() - 1;
            if self.ends.val() {
                self.waiting.d.next = false;
            }
        }
        if self.start.val() {
            self.count.d.next = self.more.val();
            self.waiting.d.next = self.more.val().any();
        }
        self.over.next = !self.waiting.q.val();
        if self.reset.val() {
            self.waiting.d.next = false;
        }
    }
    fn timing(&self) -> Vec<TimingInfo> {
        describe(&format!("wait_{N}"), &format!("A wait of up to 2^{N} cycles."))
    }
}
