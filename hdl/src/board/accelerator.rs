//! The accelerator of a board: whichever machine the configuration asks for.

use crate::accelerator::Accelerator;
use crate::emit::describe;
use crate::leaves::{Pack, SkidBuffer, Unpack};
use crate::sequential::SequentialAccelerator;
use frugal_isa::Config;
use rust_hdl_core::prelude::*;

/// The ports of [`Accelerator`], and behind them that or a [`SequentialAccelerator`].
#[derive(LogicBlock)]
pub struct BoardAccelerator {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub irq: Signal<Out, Bit>,
    pub lite_aw_valid: Signal<In, Bit>,
    pub lite_aw_ready: Signal<Out, Bit>,
    pub lite_aw_address: Signal<In, Bits<12>>,
    pub lite_w_valid: Signal<In, Bit>,
    pub lite_w_ready: Signal<Out, Bit>,
    pub lite_w_data: Signal<In, Bits<32>>,
    pub lite_b_valid: Signal<Out, Bit>,
    pub lite_b_ready: Signal<In, Bit>,
    pub lite_b_response: Signal<Out, Bits<2>>,
    pub lite_ar_valid: Signal<In, Bit>,
    pub lite_ar_ready: Signal<Out, Bit>,
    pub lite_ar_address: Signal<In, Bits<12>>,
    pub lite_r_valid: Signal<Out, Bit>,
    pub lite_r_ready: Signal<In, Bit>,
    pub lite_r_data: Signal<Out, Bits<32>>,
    pub lite_r_response: Signal<Out, Bits<2>>,
    pub ar_valid: Signal<Out, Bit>,
    pub ar_ready: Signal<In, Bit>,
    pub ar_address: Signal<Out, Bits<32>>,
    pub ar_length: Signal<Out, Bits<8>>,
    pub ar_id: Signal<Out, Bit>,
    pub r_valid: Signal<In, Bit>,
    pub r_ready: Signal<Out, Bit>,
    pub r_data: Signal<In, Bits<64>>,
    pub r_response: Signal<In, Bits<2>>,
    pub r_last: Signal<In, Bit>,
    pub r_id: Signal<In, Bit>,
    pub aw_valid: Signal<Out, Bit>,
    pub aw_ready: Signal<In, Bit>,
    pub aw_address: Signal<Out, Bits<32>>,
    pub aw_length: Signal<Out, Bits<8>>,
    pub w_valid: Signal<Out, Bit>,
    pub w_ready: Signal<In, Bit>,
    pub w_data: Signal<Out, Bits<64>>,
    pub w_strobe: Signal<Out, Bits<8>>,
    pub w_last: Signal<Out, Bit>,
    pub b_valid: Signal<In, Bit>,
    pub b_ready: Signal<Out, Bit>,
    pub b_response: Signal<In, Bits<2>>,
    /// One of these two is there.
    parallel: Vec<Accelerator<64, 8>>,
    /// Of the parallel one's write data: memory is at the edge of the chip, and the store engine anywhere.
    write_buffer: Vec<SkidBuffer>,
    write_words: Vec<Unpack<64>>,
    write_beat: Vec<Pack<64>>,
    write_strobe: Signal<Local, Bits<8>>,
    write_last: Signal<Local, Bit>,
    write_strobe_and_last: Signal<Local, Bits<32>>,
    write_flags: Signal<Local, Bits<32>>,
    sequential: Vec<SequentialAccelerator>,
    _parallel: usize,
    _sequential: usize,
}

impl BoardAccelerator {
    pub fn new(config: &Config) -> Self {
        let sequential = usize::from(config.sequential);
        Self {
            clock: Signal::default(),
            reset: Signal::default(),
            irq: Signal::default(),
            lite_aw_valid: Signal::default(),
            lite_aw_ready: Signal::default(),
            lite_aw_address: Signal::default(),
            lite_w_valid: Signal::default(),
            lite_w_ready: Signal::default(),
            lite_w_data: Signal::default(),
            lite_b_valid: Signal::default(),
            lite_b_ready: Signal::default(),
            lite_b_response: Signal::default(),
            lite_ar_valid: Signal::default(),
            lite_ar_ready: Signal::default(),
            lite_ar_address: Signal::default(),
            lite_r_valid: Signal::default(),
            lite_r_ready: Signal::default(),
            lite_r_data: Signal::default(),
            lite_r_response: Signal::default(),
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
            parallel: (sequential..1).map(|_| Accelerator::new(config)).collect(),
            write_buffer: (sequential..1).map(|_| SkidBuffer::new(3)).collect(),
            write_words: (sequential..1).map(|_| Unpack::default()).collect(),
            write_beat: (sequential..1).map(|_| Pack::default()).collect(),
            write_strobe: Signal::default(),
            write_last: Signal::default(),
            write_strobe_and_last: Signal::default(),
            write_flags: Signal::default(),
            sequential: (0..sequential).map(|_| SequentialAccelerator::new(config)).collect(),
            _parallel: 1 - sequential,
            _sequential: sequential,
        }
    }
}

impl Logic for BoardAccelerator {
    #[hdl_gen]
    fn update(&mut self) {
        self.write_strobe.next = 0.into();
        self.write_last.next = false;
        self.write_flags.next = 0.into();
        self.write_strobe_and_last.next = 0.into();
        for i in 0..self._parallel {
            self.parallel[i].clock.next = self.clock.val();
            self.parallel[i].reset.next = self.reset.val();
            self.parallel[i].lite_aw_valid.next = self.lite_aw_valid.val();
            self.parallel[i].lite_aw_address.next = self.lite_aw_address.val();
            self.parallel[i].lite_w_valid.next = self.lite_w_valid.val();
            self.parallel[i].lite_w_data.next = self.lite_w_data.val();
            self.parallel[i].lite_b_ready.next = self.lite_b_ready.val();
            self.parallel[i].lite_ar_valid.next = self.lite_ar_valid.val();
            self.parallel[i].lite_ar_address.next = self.lite_ar_address.val();
            self.parallel[i].lite_r_ready.next = self.lite_r_ready.val();
            self.parallel[i].ar_ready.next = self.ar_ready.val();
            self.parallel[i].r_valid.next = self.r_valid.val();
            self.parallel[i].r_data.next = self.r_data.val();
            self.parallel[i].r_response.next = self.r_response.val();
            self.parallel[i].r_last.next = self.r_last.val();
            self.parallel[i].r_id.next = self.r_id.val();
            self.parallel[i].aw_ready.next = self.aw_ready.val();
            self.parallel[i].w_ready.next = self.write_buffer[i].write_ready.val();
            self.write_buffer[i].clock.next = self.clock.val();
            self.write_buffer[i].reset.next = self.reset.val();
            self.write_buffer[i].write_valid.next = self.parallel[i].w_valid.val();
            self.write_buffer[i].read_ready.next = self.w_ready.val();
            self.write_words[i].packed.next = self.parallel[i].w_data.val();
            for w in 0..2 {
                self.write_buffer[i].write_data[w].next = self.write_words[i].words[w].val();
                self.write_beat[i].words[w].next = self.write_buffer[i].read_data[w].val();
            }
            self.write_strobe.next = self.parallel[i].w_strobe.val();
            self.write_last.next = self.parallel[i].w_last.val();
            self.write_strobe_and_last.next = bit_cast::<32, 8>(self.write_strobe.val());
            if self.write_last.val() {
                self.write_strobe_and_last.next = bit_cast::<32, 8>(self.write_strobe.val()) | 0x100;
            }
            self.write_buffer[i].write_data[2].next = self.write_strobe_and_last.val();
            self.write_flags.next = self.write_buffer[i].read_data[2].val();
            self.parallel[i].b_valid.next = self.b_valid.val();
            self.parallel[i].b_response.next = self.b_response.val();
            self.irq.next = self.parallel[i].irq.val();
            self.lite_aw_ready.next = self.parallel[i].lite_aw_ready.val();
            self.lite_w_ready.next = self.parallel[i].lite_w_ready.val();
            self.lite_b_valid.next = self.parallel[i].lite_b_valid.val();
            self.lite_b_response.next = self.parallel[i].lite_b_response.val();
            self.lite_ar_ready.next = self.parallel[i].lite_ar_ready.val();
            self.lite_r_valid.next = self.parallel[i].lite_r_valid.val();
            self.lite_r_data.next = self.parallel[i].lite_r_data.val();
            self.lite_r_response.next = self.parallel[i].lite_r_response.val();
            self.ar_valid.next = self.parallel[i].ar_valid.val();
            self.ar_address.next = self.parallel[i].ar_address.val();
            self.ar_length.next = self.parallel[i].ar_length.val();
            self.ar_id.next = self.parallel[i].ar_id.val();
            self.r_ready.next = self.parallel[i].r_ready.val();
            self.aw_valid.next = self.parallel[i].aw_valid.val();
            self.aw_address.next = self.parallel[i].aw_address.val();
            self.aw_length.next = self.parallel[i].aw_length.val();
            self.w_valid.next = self.write_buffer[i].read_valid.val();
            self.w_data.next = self.write_beat[i].packed.val();
            self.w_strobe.next = self.write_flags.val().get_bits::<8>(0);
            self.w_last.next = self.write_flags.val().get_bit(8);
            self.b_ready.next = self.parallel[i].b_ready.val();
        }
        for i in 0..self._sequential {
            self.sequential[i].clock.next = self.clock.val();
            self.sequential[i].reset.next = self.reset.val();
            self.sequential[i].lite_aw_valid.next = self.lite_aw_valid.val();
            self.sequential[i].lite_aw_address.next = self.lite_aw_address.val();
            self.sequential[i].lite_w_valid.next = self.lite_w_valid.val();
            self.sequential[i].lite_w_data.next = self.lite_w_data.val();
            self.sequential[i].lite_b_ready.next = self.lite_b_ready.val();
            self.sequential[i].lite_ar_valid.next = self.lite_ar_valid.val();
            self.sequential[i].lite_ar_address.next = self.lite_ar_address.val();
            self.sequential[i].lite_r_ready.next = self.lite_r_ready.val();
            self.sequential[i].ar_ready.next = self.ar_ready.val();
            self.sequential[i].r_valid.next = self.r_valid.val();
            self.sequential[i].r_data.next = self.r_data.val();
            self.sequential[i].r_response.next = self.r_response.val();
            self.sequential[i].r_last.next = self.r_last.val();
            self.sequential[i].r_id.next = self.r_id.val();
            self.sequential[i].aw_ready.next = self.aw_ready.val();
            self.sequential[i].w_ready.next = self.w_ready.val();
            self.sequential[i].b_valid.next = self.b_valid.val();
            self.sequential[i].b_response.next = self.b_response.val();
            self.irq.next = self.sequential[i].irq.val();
            self.lite_aw_ready.next = self.sequential[i].lite_aw_ready.val();
            self.lite_w_ready.next = self.sequential[i].lite_w_ready.val();
            self.lite_b_valid.next = self.sequential[i].lite_b_valid.val();
            self.lite_b_response.next = self.sequential[i].lite_b_response.val();
            self.lite_ar_ready.next = self.sequential[i].lite_ar_ready.val();
            self.lite_r_valid.next = self.sequential[i].lite_r_valid.val();
            self.lite_r_data.next = self.sequential[i].lite_r_data.val();
            self.lite_r_response.next = self.sequential[i].lite_r_response.val();
            self.ar_valid.next = self.sequential[i].ar_valid.val();
            self.ar_address.next = self.sequential[i].ar_address.val();
            self.ar_length.next = self.sequential[i].ar_length.val();
            self.ar_id.next = self.sequential[i].ar_id.val();
            self.r_ready.next = self.sequential[i].r_ready.val();
            self.aw_valid.next = self.sequential[i].aw_valid.val();
            self.aw_address.next = self.sequential[i].aw_address.val();
            self.aw_length.next = self.sequential[i].aw_length.val();
            self.w_valid.next = self.sequential[i].w_valid.val();
            self.w_data.next = self.sequential[i].w_data.val();
            self.w_strobe.next = self.sequential[i].w_strobe.val();
            self.w_last.next = self.sequential[i].w_last.val();
            self.b_ready.next = self.sequential[i].b_ready.val();
        }
    }
    fn timing(&self) -> Vec<TimingInfo> {
        describe(
            "board_accelerator",
            "The accelerator of a board, of the kind that its configuration asks for.",
        )
    }
}
