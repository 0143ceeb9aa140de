//! Cuts bursts into segments: runs of beats in one row of the chip that, once begun, never wait for the bus.
//!
//! ```text
//! burst --> Cut: beats up to the next multiple of 16, or to the end --> Check: is there data, or room? --> Offer
//! ```
//! A segment is offered when all of its write data have come, or when all that it reads has a place. Three cycles for each segment.
use super::{chip::BEAT_BITS, SdramChip};
use crate::emit::describe;
use rust_hdl_core::prelude::*;
use rust_hdl_widgets::prelude::*;

#[derive(Copy, Clone, Debug, PartialEq, LogicState)]
pub enum CutterState {
    Idle,
    Cut,
    Check,
    Offer,
}

#[derive(LogicBlock)]
pub struct SegmentCutter {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    // Bursts.
    pub burst_valid: Signal<In, Bit>,
    pub burst_ready: Signal<Out, Bit>,
    pub burst_address: Signal<In, Bits<32>>,
    /// Beats, minus one.
    pub burst_length: Signal<In, Bits<8>>,
    pub burst_id: Signal<In, Bit>,
    /// Beats that have data, or room; what is taken must be subtracted two cycles later.
    pub available: Signal<In, Bits<8>>,
    // Segments.
    pub segment_valid: Signal<Out, Bit>,
    pub segment_ready: Signal<In, Bit>,
    pub bank: Signal<Out, Bits<2>>,
    pub row: Signal<Out, Bits<13>>,
    /// The first word's column.
    pub column: Signal<Out, Bits<13>>,
    /// 1 to 16.
    pub beats: Signal<Out, Bits<5>>,
    /// Beyond the chip.
    pub outside: Signal<Out, Bit>,
    pub id: Signal<Out, Bit>,
    /// The burst ends with this segment.
    pub ends: Signal<Out, Bit>,
    state: DFF<CutterState>,
    address: DFF<Bits<32>>,
    left: DFF<Bits<9>>,
    chosen: DFF<Bits<5>>,
    is_last: DFF<Bit>,
    is_outside: DFF<Bit>,
    read_id: DFF<Bit>,
    low_beat: Signal<Local, Bits<5>>,
    to_boundary: Signal<Local, Bits<5>>,
    fits: Signal<Local, Bit>,
    above: Signal<Local, Bits<32>>,
    wide_beats: Signal<Local, Bits<32>>,
    segment_bytes: Signal<Local, Bits<32>>,
    word_address: Signal<Local, Bits<32>>,
    bank_address: Signal<Local, Bits<32>>,
    row_address: Signal<Local, Bits<32>>,
    column_mask: Constant<Bits<13>>,
    bank_mask: Constant<Bits<2>>,
    row_mask: Constant<Bits<13>>,
    size_shift: Constant<Bits<5>>,
    column_shift: Constant<Bits<5>>,
    row_shift: Constant<Bits<5>>,
    word_shift: Constant<Bits<5>>,
}

impl SegmentCutter {
    pub fn new(chip: &SdramChip) -> Self {
        let shift = |bits: u32| Constant::new(u64::from(bits).into());
        let word_bits = (chip.data_bits / 8).ilog2();
        let bank_place = word_bits + chip.column_bits;
        let row_place = bank_place + chip.bank_bits;
        // The low bits of a beat's address are ignored: a beat begins with its first word.
        let column_mask = (1 << chip.column_bits) - u64::from(BEAT_BITS / chip.data_bits);
        Self {
            clock: Signal::default(),
            reset: Signal::default(),
            burst_valid: Signal::default(),
            burst_ready: Signal::default(),
            burst_address: Signal::default(),
            burst_length: Signal::default(),
            burst_id: Signal::default(),
            available: Signal::default(),
            segment_valid: Signal::default(),
            segment_ready: Signal::default(),
            bank: Signal::default(),
            row: Signal::default(),
            column: Signal::default(),
            beats: Signal::default(),
            outside: Signal::default(),
            id: Signal::default(),
            ends: Signal::default(),
            state: DFF::default(),
            address: DFF::default(),
            left: DFF::default(),
            chosen: DFF::default(),
            is_last: DFF::default(),
            is_outside: DFF::default(),
            read_id: DFF::default(),
            low_beat: Signal::default(),
            to_boundary: Signal::default(),
            fits: Signal::default(),
            above: Signal::default(),
            wide_beats: Signal::default(),
            segment_bytes: Signal::default(),
            word_address: Signal::default(),
            bank_address: Signal::default(),
            row_address: Signal::default(),
            column_mask: Constant::new(column_mask.into()),
            bank_mask: Constant::new(((1u64 << chip.bank_bits) - 1).into()),
            row_mask: Constant::new(((1u64 << chip.row_bits) - 1).into()),
            size_shift: shift(row_place + chip.row_bits),
            column_shift: shift(bank_place),
            row_shift: shift(row_place),
            word_shift: shift(word_bits),
        }
    }
}

impl Logic for SegmentCutter {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, state, address, left, chosen, is_last, is_outside, read_id);
        self.low_beat.next = bit_cast::<5, 4>(self.address.q.val().get_bits::<4>(3));
        self.to_boundary.next = 16 - self.low_beat.val();
        self.fits.next = self.left.q.val() <= bit_cast::<9, 5>(self.to_boundary.val());
        self.above.next = self.burst_address.val() >> self.size_shift.val();
        self.wide_beats.next = bit_cast::<32, 5>(self.chosen.q.val());
        self.segment_bytes.next = self.wide_beats.val() << 3;
        self.burst_ready.next = false;
        self.segment_valid.next = false;
        match self.state.q.val() {
            CutterState::Idle => {
                self.burst_ready.next = true;
                self.address.d.next = self.burst_address.val();
                self.left.d.next = bit_cast::<9, 8>(self.burst_length.val()) + 1;
                self.is_outside.d.next = self.above.val().any();
                self.read_id.d.next = self.burst_id.val();
                if self.burst_valid.val() {
                    self.state.d.next = CutterState::Cut;
                }
            }
            CutterState::Cut => {
                self.chosen.d.next = self.to_boundary.val();
                self.is_last.d.next = self.fits.val();
                if self.fits.val() {
                    self.chosen.d.next = self.left.q.val().get_bits::<5>(0);
                }
                self.state.d.next = CutterState::Check;
            }
            CutterState::Check => {
                if self.available.val() >= bit_cast::<8, 5>(self.chosen.q.val()) {
                    self.state.d.next = CutterState::Offer;
                }
            }
            CutterState::Offer => {
                self.segment_valid.next = true;
                if self.segment_ready.val() {
                    self.address.d.next = self.address.q.val() + self.segment_bytes.val();
                    self.left.d.next = self.left.q.val() - bit_cast::<9, 5>(self.chosen.q.val());
                    self.state.d.next = CutterState::Cut;
                    if self.is_last.q.val() {
                        self.state.d.next = CutterState::Idle;
                    }
                }
            }
            _ => {
                self.state.d.next = CutterState::Idle;
            }
        }
        self.word_address.next = self.address.q.val() >> self.word_shift.val();
        self.bank_address.next = self.address.q.val() >> self.column_shift.val();
        self.row_address.next = self.address.q.val() >> self.row_shift.val();
        self.column.next = self.word_address.val().get_bits::<13>(0) & self.column_mask.val();
        self.bank.next = self.bank_address.val().get_bits::<2>(0) & self.bank_mask.val();
        self.row.next = self.row_address.val().get_bits::<13>(0) & self.row_mask.val();
        self.beats.next = self.chosen.q.val();
        self.outside.next = self.is_outside.q.val();
        self.id.next = self.read_id.q.val();
        self.ends.next = self.is_last.q.val();
        if self.reset.val() {
            self.state.d.next = CutterState::Idle;
        }
    }
    fn timing(&self) -> Vec<TimingInfo> {
        describe(
            "segment_cutter",
            "Cuts bursts into runs of at most 16 beats in one row, offered when their data or their room is there.",
        )
    }
}
