//! On-chip memory with one port behind a 64-bit AXI4 port, for boards whose large memories have one port of 32 bits.
//!
//! One burst at a time, reads before writes, and two accesses a beat: three cycles for a beat that is read, two for one that is written. Behind the end of the
//! memory it answers SLVERR, with as many beats as were asked for.

use crate::emit::describe;
use crate::leaves::{Pack64, SinglePortRam, Unpack64};
use rust_hdl_core::prelude::*;
use rust_hdl_widgets::prelude::*;

#[derive(Copy, Clone, PartialEq, Debug, LogicState)]
enum RamState {
    Idle,
    ReadLow,
    ReadHigh,
    Offer,
    WriteLow,
    WriteHigh,
    Answer,
}

#[derive(LogicBlock)]
pub struct AxiSinglePortRam {
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
    ram: SinglePortRam,
    state: DFF<RamState>,
    /// Of 32-bit words; the last bit is the half of a beat.
    beat: DFF<Bits<16>>,
    /// The burst begins or has run behind the end.
    outside: DFF<Bit>,
    left: DFF<Bits<8>>,
    id: DFF<Bit>,
    low: DFF<Bits<32>>,
    error: DFF<Bit>,
    next_beat: Signal<Local, Bits<16>>,
    is_outside: Signal<Local, Bit>,
    high_half: Signal<Local, Bit>,
    advances: Signal<Local, Bit>,
    to_words: Unpack64,
    from_words: Pack64,
    depth: Constant<Bits<16>>,
}

impl AxiSinglePortRam {
    /// A memory of `rows` times 8 bytes from address 0 on.
    ///
    /// # Panics
    /// If there are no rows, or more than half as many as a [`SinglePortRam`] has.
    pub fn new(rows: usize) -> Self {
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
            ram: SinglePortRam::new(2 * rows),
            state: DFF::default(),
            beat: DFF::default(),
            outside: DFF::default(),
            left: DFF::default(),
            id: DFF::default(),
            low: DFF::default(),
            error: DFF::default(),
            next_beat: Signal::default(),
            is_outside: Signal::default(),
            high_half: Signal::default(),
            advances: Signal::default(),
            to_words: Unpack64::default(),
            from_words: Pack64::default(),
            depth: Constant::new((rows as u64).into()),
        }
    }
}

impl Logic for AxiSinglePortRam {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, state, beat, outside, left, id, low, error);
        self.is_outside.next = self.outside.q.val() | (self.beat.q.val() >= self.depth.val());
        self.high_half.next =
            (self.state.q.val() == RamState::ReadHigh) | (self.state.q.val() == RamState::WriteHigh);
        self.to_words.packed.next = self.w_data.val();
        self.ram.clock.next = self.clock.val();
        self.ram.enable.next = false;
        self.ram.write.next = 0.into();
        self.ram.address.next = self.beat.q.val() << 1;
        self.ram.write_data.next = self.to_words.words[0].val();
        if self.high_half.val() {
            self.ram.address.next = (self.beat.q.val() << 1) | 1;
            self.ram.write_data.next = self.to_words.words[1].val();
        }
        self.next_beat.next = self.beat.q.val() + 1;
        self.advances.next = false;
        self.ar_ready.next = self.state.q.val() == RamState::Idle;
        // A read that comes at the same time goes first.
        self.aw_ready.next = (self.state.q.val() == RamState::Idle) & !self.ar_valid.val();
        self.w_ready.next = self.state.q.val() == RamState::WriteHigh;
        self.r_valid.next = self.state.q.val() == RamState::Offer;
        self.b_valid.next = self.state.q.val() == RamState::Answer;
        match self.state.q.val() {
            RamState::Idle => {
                self.error.d.next = false;
                self.left.d.next = self.ar_length.val();
                self.id.d.next = self.ar_id.val();
                self.beat.d.next = self.aw_address.val().get_bits::<16>(3);
                self.outside.d.next = self.aw_address.val().get_bits::<13>(19).any();
                if self.aw_valid.val() {
                    self.state.d.next = RamState::WriteLow;
                }
                if self.ar_valid.val() {
                    self.state.d.next = RamState::ReadLow;
                    self.beat.d.next = self.ar_address.val().get_bits::<16>(3);
                    self.outside.d.next = self.ar_address.val().get_bits::<13>(19).any();
                }
            }
            RamState::ReadLow => {
                self.ram.enable.next = !self.is_outside.val();
                self.state.d.next = RamState::ReadHigh;
            }
            RamState::ReadHigh => {
                self.ram.enable.next = !self.is_outside.val();
                self.low.d.next = self.ram.read_data.val();
                self.error.d.next = self.is_outside.val();
                self.state.d.next = RamState::Offer;
            }
            RamState::Offer => {
                if self.r_ready.val() {
                    self.advances.next = true;
                    self.left.d.next = self.left.q.val() - 1;
                    self.state.d.next = RamState::ReadLow;
                    if !self.left.q.val().any() {
                        self.state.d.next = RamState::Idle;
                    }
                }
            }
            RamState::WriteLow => {
                if self.w_valid.val() {
                    self.ram.enable.next =
                        !self.is_outside.val() & self.w_strobe.val().get_bits::<4>(0).any();
                    self.ram.write.next = self.w_strobe.val().get_bits::<4>(0);
                    self.state.d.next = RamState::WriteHigh;
                }
            }
            RamState::WriteHigh => {
                self.ram.enable.next = !self.is_outside.val() & self.w_strobe.val().get_bits::<4>(4).any();
                self.ram.write.next = self.w_strobe.val().get_bits::<4>(4);
                self.error.d.next = self.error.q.val() | self.is_outside.val();
                self.advances.next = true;
                self.state.d.next = RamState::WriteLow;
                if self.w_last.val() {
                    self.state.d.next = RamState::Answer;
                }
            }
            RamState::Answer => {
                if self.b_ready.val() {
                    self.state.d.next = RamState::Idle;
                }
            }
            _ => {
                self.state.d.next = RamState::Idle;
            }
        }
        if self.advances.val() {
            self.beat.d.next = self.next_beat.val();
            self.outside.d.next = self.is_outside.val();
        }
        self.from_words.words[0].next = self.low.q.val();
        self.from_words.words[1].next = self.ram.read_data.val();
        self.r_data.next = self.from_words.packed.val();
        self.r_last.next = !self.left.q.val().any();
        self.r_id.next = self.id.q.val();
        self.r_response.next = 0.into();
        self.b_response.next = 0.into();
        if self.error.q.val() {
            self.r_response.next = 2.into();
            self.b_response.next = 2.into();
        }
        if self.reset.val() {
            self.state.d.next = RamState::Idle;
        }
    }
    fn timing(&self) -> Vec<TimingInfo> {
        describe(
            "axi_single_port_ram",
            "On-chip memory with one port behind a 64-bit AXI4 port; beyond its end it answers SLVERR.",
        )
    }
}
