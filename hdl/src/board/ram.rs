//! The on-chip memory of a board: whichever kind its chip has much of.

use crate::axi_ram::AxiRam;
use crate::axi_single_port_ram::AxiSinglePortRam;
use crate::emit::describe;
use rust_hdl_core::prelude::*;

/// The ports of [`AxiRam`], and behind them that or an [`AxiSinglePortRam`].
#[derive(LogicBlock)]
pub struct BoardRam {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub ar_valid: Signal<In, Bit>,
    pub ar_ready: Signal<Out, Bit>,
    pub ar_address: Signal<In, Bits<32>>,
    pub ar_length: Signal<In, Bits<8>>,
    pub ar_id: Signal<In, Bit>,
    pub r_valid: Signal<Out, Bit>,
    pub r_ready: Signal<In, Bit>,
    pub r_data: Signal<Out, Bits<64>>,
    pub r_response: Signal<Out, Bits<2>>,
    pub r_last: Signal<Out, Bit>,
    pub r_id: Signal<Out, Bit>,
    pub aw_valid: Signal<In, Bit>,
    pub aw_ready: Signal<Out, Bit>,
    pub aw_address: Signal<In, Bits<32>>,
    pub aw_length: Signal<In, Bits<8>>,
    pub w_valid: Signal<In, Bit>,
    pub w_ready: Signal<Out, Bit>,
    pub w_data: Signal<In, Bits<64>>,
    pub w_strobe: Signal<In, Bits<8>>,
    pub w_last: Signal<In, Bit>,
    pub b_valid: Signal<Out, Bit>,
    pub b_ready: Signal<In, Bit>,
    pub b_response: Signal<Out, Bits<2>>,
    /// One of these two is there.
    dual: Vec<AxiRam>,
    single: Vec<AxiSinglePortRam>,
    _dual: usize,
    _single: usize,
}

impl BoardRam {
    /// A memory of `rows` times 8 bytes; `single_port` beside a small core, which asks for a word at a time.
    pub fn new(rows: usize, single_port: bool) -> Self {
        let single = usize::from(single_port);
        Self {
            clock: Signal::default(),
            reset: Signal::default(),
            ar_valid: Signal::default(),
            ar_ready: Signal::default(),
            ar_address: Signal::default(),
            ar_length: Signal::default(),
            ar_id: Signal::default(),
            r_valid: Signal::default(),
            r_ready: Signal::default(),
            r_data: Signal::default(),
            r_response: Signal::default(),
            r_last: Signal::default(),
            r_id: Signal::default(),
            aw_valid: Signal::default(),
            aw_ready: Signal::default(),
            aw_address: Signal::default(),
            aw_length: Signal::default(),
            w_valid: Signal::default(),
            w_ready: Signal::default(),
            w_data: Signal::default(),
            w_strobe: Signal::default(),
            w_last: Signal::default(),
            b_valid: Signal::default(),
            b_ready: Signal::default(),
            b_response: Signal::default(),
            dual: (single..1).map(|_| AxiRam::new(rows)).collect(),
            single: (0..single).map(|_| AxiSinglePortRam::new(rows)).collect(),
            _dual: 1 - single,
            _single: single,
        }
    }
}

impl Logic for BoardRam {
    #[hdl_gen]
    fn update(&mut self) {
        for i in 0..self._dual {
            self.dual[i].clock.next = self.clock.val();
            self.dual[i].reset.next = self.reset.val();
            self.dual[i].ar_valid.next = self.ar_valid.val();
            self.dual[i].ar_address.next = self.ar_address.val();
            self.dual[i].ar_length.next = self.ar_length.val();
            self.dual[i].ar_id.next = self.ar_id.val();
            self.dual[i].r_ready.next = self.r_ready.val();
            self.dual[i].aw_valid.next = self.aw_valid.val();
            self.dual[i].aw_address.next = self.aw_address.val();
            self.dual[i].aw_length.next = self.aw_length.val();
            self.dual[i].w_valid.next = self.w_valid.val();
            self.dual[i].w_data.next = self.w_data.val();
            self.dual[i].w_strobe.next = self.w_strobe.val();
            self.dual[i].w_last.next = self.w_last.val();
            self.dual[i].b_ready.next = self.b_ready.val();
            self.ar_ready.next = self.dual[i].ar_ready.val();
            self.r_valid.next = self.dual[i].r_valid.val();
            self.r_data.next = self.dual[i].r_data.val();
            self.r_response.next = self.dual[i].r_response.val();
            self.r_last.next = self.dual[i].r_last.val();
            self.r_id.next = self.dual[i].r_id.val();
            self.aw_ready.next = self.dual[i].aw_ready.val();
            self.w_ready.next = self.dual[i].w_ready.val();
            self.b_valid.next = self.dual[i].b_valid.val();
            self.b_response.next = self.dual[i].b_response.val();
        }
        for i in 0..self._single {
            self.single[i].clock.next = self.clock.val();
            self.single[i].reset.next = self.reset.val();
            self.single[i].ar_valid.next = self.ar_valid.val();
            self.single[i].ar_address.next = self.ar_address.val();
            self.single[i].ar_length.next = self.ar_length.val();
            self.single[i].ar_id.next = self.ar_id.val();
            self.single[i].r_ready.next = self.r_ready.val();
            self.single[i].aw_valid.next = self.aw_valid.val();
            self.single[i].aw_address.next = self.aw_address.val();
            self.single[i].aw_length.next = self.aw_length.val();
            self.single[i].w_valid.next = self.w_valid.val();
            self.single[i].w_data.next = self.w_data.val();
            self.single[i].w_strobe.next = self.w_strobe.val();
            self.single[i].w_last.next = self.w_last.val();
            self.single[i].b_ready.next = self.b_ready.val();
            self.ar_ready.next = self.single[i].ar_ready.val();
            self.r_valid.next = self.single[i].r_valid.val();
            self.r_data.next = self.single[i].r_data.val();
            self.r_response.next = self.single[i].r_response.val();
            self.r_last.next = self.single[i].r_last.val();
            self.r_id.next = self.single[i].r_id.val();
            self.aw_ready.next = self.single[i].aw_ready.val();
            self.w_ready.next = self.single[i].w_ready.val();
            self.b_valid.next = self.single[i].b_valid.val();
            self.b_response.next = self.single[i].b_response.val();
        }
    }
    fn timing(&self) -> Vec<TimingInfo> {
        describe("board_ram", "The on-chip memory of a board.")
    }
}
