//! A board with an SDRAM chip.

use super::BoardCore;
use crate::emit::describe;
use crate::sdram::SdramController;
use rust_hdl_core::prelude::*;

#[derive(LogicBlock)]
pub struct SdramBoard {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub receive: Signal<In, Bit>,
    pub transmit: Signal<Out, Bit>,
    pub leds: Signal<Out, Bits<8>>,
    // The chip, as SdramController has it.
    pub sdram_clock_enable: Signal<Out, Bit>,
    pub sdram_cs_n: Signal<Out, Bit>,
    pub sdram_ras_n: Signal<Out, Bit>,
    pub sdram_cas_n: Signal<Out, Bit>,
    pub sdram_we_n: Signal<Out, Bit>,
    pub sdram_address: Signal<Out, Bits<13>>,
    pub sdram_bank: Signal<Out, Bits<2>>,
    pub sdram_data_mask: Signal<Out, Bits<4>>,
    pub sdram_data_out: Signal<Out, Bits<32>>,
    pub sdram_data_out_enable: Signal<Out, Bit>,
    pub sdram_data_in: Signal<In, Bits<32>>,
    core: BoardCore,
    memory: SdramController,
}

impl SdramBoard {
    pub fn new(core: BoardCore, memory: SdramController) -> Self {
        Self {
            clock: Signal::default(),
            reset: Signal::default(),
            receive: Signal::default(),
            transmit: Signal::default(),
            leds: Signal::default(),
            sdram_clock_enable: Signal::default(),
            sdram_cs_n: Signal::default(),
            sdram_ras_n: Signal::default(),
            sdram_cas_n: Signal::default(),
            sdram_we_n: Signal::default(),
            sdram_address: Signal::default(),
            sdram_bank: Signal::default(),
            sdram_data_mask: Signal::default(),
            sdram_data_out: Signal::default(),
            sdram_data_out_enable: Signal::default(),
            sdram_data_in: Signal::default(),
            core,
            memory,
        }
    }
}

impl Logic for SdramBoard {
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
        self.core.memory_ready.next = self.memory.initialised.val();
        self.sdram_clock_enable.next = self.memory.clock_enable.val();
        self.sdram_cs_n.next = self.memory.cs_n.val();
        self.sdram_ras_n.next = self.memory.ras_n.val();
        self.sdram_cas_n.next = self.memory.cas_n.val();
        self.sdram_we_n.next = self.memory.we_n.val();
        self.sdram_address.next = self.memory.address.val();
        self.sdram_bank.next = self.memory.bank.val();
        self.sdram_data_mask.next = self.memory.data_mask.val();
        self.sdram_data_out.next = self.memory.data_out.val();
        self.sdram_data_out_enable.next = self.memory.data_out_enable.val();
        self.memory.data_in.next = self.sdram_data_in.val();
    }
    fn timing(&self) -> Vec<TimingInfo> {
        describe("board", "The accelerator, the host link, and an SDRAM chip for both.")
    }
}
