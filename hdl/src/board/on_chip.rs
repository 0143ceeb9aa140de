//! A board with memory on the chip only.

use super::ram::BoardRam;
use super::BoardCore;
use crate::emit::describe;
use rust_hdl_core::prelude::*;

#[derive(LogicBlock)]
pub struct OnChipBoard {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub receive: Signal<In, Bit>,
    pub transmit: Signal<Out, Bit>,
    pub leds: Signal<Out, Bits<8>>,
    core: BoardCore,
    memory: BoardRam,
}

impl OnChipBoard {
    pub fn new(core: BoardCore, memory: BoardRam) -> Self {
        Self {
            clock: Signal::default(),
            reset: Signal::default(),
            receive: Signal::default(),
            transmit: Signal::default(),
            leds: Signal::default(),
            core,
            memory,
        }
    }
}

impl Logic for OnChipBoard {
    #[hdl_gen]
    fn update(&mut self) {
        self.core.clock.next = self.clock.val();
        self.core.reset.next = self.reset.val();
        self.core.receive.next = self.receive.val();
        self.transmit.next = self.core.transmit.val();
        self.leds.next = self.core.leds.val();
        self.memory.clock.next = self.clock.val();
        self.memory.reset.next = self.core.memory_reset.val();
        self.memory.ar_valid.next = self.core.ar_valid.val();
        self.memory.ar_address.next = self.core.ar_address.val();
        self.memory.ar_length.next = self.core.ar_length.val();
        self.memory.ar_id.next = self.core.ar_id.val();
        self.memory.r_ready.next = self.core.r_ready.val();
        self.memory.aw_valid.next = self.core.aw_valid.val();
        self.memory.aw_address.next = self.core.aw_address.val();
        self.memory.aw_length.next = self.core.aw_length.val();
        self.memory.w_valid.next = self.core.w_valid.val();
        self.memory.w_data.next = self.core.w_data.val();
        self.memory.w_strobe.next = self.core.w_strobe.val();
        self.memory.w_last.next = self.core.w_last.val();
        self.memory.b_ready.next = self.core.b_ready.val();
        self.core.ar_ready.next = self.memory.ar_ready.val();
        self.core.r_valid.next = self.memory.r_valid.val();
        self.core.r_data.next = self.memory.r_data.val();
        self.core.r_response.next = self.memory.r_response.val();
        self.core.r_last.next = self.memory.r_last.val();
        self.core.r_id.next = self.memory.r_id.val();
        self.core.aw_ready.next = self.memory.aw_ready.val();
        self.core.w_ready.next = self.memory.w_ready.val();
        self.core.b_valid.next = self.memory.b_valid.val();
        self.core.b_response.next = self.memory.b_response.val();
        self.core.memory_ready.next = true;
    }
    fn timing(&self) -> Vec<TimingInfo> {
        describe("board", "The accelerator, the host link, and memory for both.")
    }
}
