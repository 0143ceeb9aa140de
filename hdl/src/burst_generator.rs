//! Burst generator: cuts the rows of a transfer into bursts.
//!
//! A burst lies in one row, does not cross a 4 KiB boundary and holds at most 64 beats. After `start` the generator computes one burst in one
//! cycle and offers it in the next until `burst_ready`; `done` rises after the last has been taken.

use crate::emit::describe;
use rust_hdl_core::prelude::*;
use rust_hdl_widgets::prelude::*;

/// Most beats of a burst.
pub const MAX_BURST_BEATS: u64 = 64;

#[derive(LogicBlock)]
pub struct BurstGenerator {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub start: Signal<In, Bit>,
    /// With `start`: the transfer is not to be. It may come late in the cycle; no burst is offered then.
    pub refuse: Signal<In, Bit>,
    // The transfer; sampled with `start`. Its address is the sum, which takes a cycle of its own.
    pub base: Signal<In, Bits<32>>,
    pub offset: Signal<In, Bits<32>>,
    /// Rows, minus one.
    pub last_row: Signal<In, Bits<16>>,
    /// Beats of a row.
    pub row_beats: Signal<In, Bits<24>>,
    // Stable while the transfer runs.
    pub row_stride: Signal<In, Bits<32>>,
    // Bursts.
    pub burst_valid: Signal<Out, Bit>,
    pub burst_ready: Signal<In, Bit>,
    pub burst_address: Signal<Out, Bits<32>>,
    /// Beats, minus one.
    pub burst_length: Signal<Out, Bits<8>>,
    pub done: Signal<Out, Bit>,
    running: DFF<Bit>,
    /// The transfer began in the cycle before; it was refused then; its address.
    fresh: DFF<Bit>,
    refused: DFF<Bit>,
    address: DFF<Bits<32>>,
    offering: DFF<Bit>,
    row_address: DFF<Bits<32>>,
    next_address: DFF<Bits<32>>,
    rows_left: DFF<Bits<16>>,
    beats_left: DFF<Bits<24>>,
    beats: DFF<Bits<24>>,
    /// The burst offered is the last one of its row.
    row_ends: DFF<Bit>,
    last_row_left: DFF<Bit>,
    current: Signal<Local, Bits<32>>,
    page_beats: Signal<Local, Bits<24>>,
    page_offset: Signal<Local, Bits<24>>,
    limited: Signal<Local, Bits<24>>,
    few_left: Signal<Local, Bit>,
    wanted: Signal<Local, Bits<8>>,
    wide_wanted: Signal<Local, Bits<12>>,
    in_page: Signal<Local, Bit>,
    length: Signal<Local, Bits<8>>,
    remaining: Signal<Local, Bits<24>>,
    row_sum: Signal<Local, Bits<32>>,
    burst_bytes: Signal<Local, Bits<32>>,
    wide_beats: Signal<Local, Bits<32>>,
    last_of_row: Signal<Local, Bit>,
    beats_in_page: Constant<Bits<24>>,
    max_beats: Constant<Bits<24>>,
    beat_shift: Constant<Bits<5>>,
}

impl BurstGenerator {
    /// For a bus of `bus_bytes` bytes.
    pub fn new(bus_bytes: usize) -> Self {
        Self {
            clock: Signal::default(),
            reset: Signal::default(),
            start: Signal::default(),
            refuse: Signal::default(),
            base: Signal::default(),
            offset: Signal::default(),
            last_row: Signal::default(),
            row_beats: Signal::default(),
            row_stride: Signal::default(),
            burst_valid: Signal::default(),
            burst_ready: Signal::default(),
            burst_address: Signal::default(),
            burst_length: Signal::default(),
            done: Signal::default(),
            running: DFF::default(),
            fresh: DFF::default(),
            refused: DFF::default(),
            address: DFF::default(),
            offering: DFF::default(),
            row_address: DFF::default(),
            next_address: DFF::default(),
            rows_left: DFF::default(),
            beats_left: DFF::default(),
            beats: DFF::default(),
            row_ends: DFF::default(),
            last_row_left: DFF::default(),
            current: Signal::default(),
            page_beats: Signal::default(),
            page_offset: Signal::default(),
            limited: Signal::default(),
            few_left: Signal::default(),
            wanted: Signal::default(),
            wide_wanted: Signal::default(),
            in_page: Signal::default(),
            length: Signal::default(),
            remaining: Signal::default(),
            row_sum: Signal::default(),
            burst_bytes: Signal::default(),
            wide_beats: Signal::default(),
            last_of_row: Signal::default(),
            beats_in_page: Constant::new((4096 / bus_bytes as u64).into()),
            max_beats: Constant::new(MAX_BURST_BEATS.into()),
            beat_shift: Constant::new(u64::from(bus_bytes.ilog2()).into()),
        }
    }
}

impl Logic for BurstGenerator {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(
            self,
            clock,
            running,
            fresh,
            refused,
            address,
            offering,
            row_address,
            next_address,
            rows_left,
            beats_left,
            beats,
            row_ends,
            last_row_left
        );
        // The next burst: what is left of the row, of the 4 KiB page, and of the longest burst.
        self.current.next = self.next_address.q.val();
        if self.fresh.q.val() {
            self.current.next = self.address.q.val();
        }
        self.page_offset.next = bit_cast::<24, 12>(self.current.val().get_bits::<12>(0));
        self.page_beats.next = self.page_offset.val() >> self.beat_shift.val();
        self.limited.next = self.beats_in_page.val() - self.page_beats.val();
        // What is left of the row and the longest burst do not wait for the address.
        self.few_left.next = self.beats_left.q.val() <= self.max_beats.val();
        self.wanted.next = self.max_beats.val().get_bits::<8>(0);
        if self.few_left.val() {
            self.wanted.next = self.beats_left.q.val().get_bits::<8>(0);
        }
        self.wide_wanted.next = bit_cast::<12, 8>(self.wanted.val());
        self.in_page.next = self.wide_wanted.val() <= self.limited.val().get_bits::<12>(0);
        self.last_of_row.next = self.in_page.val() & self.few_left.val();
        self.length.next = self.limited.val().get_bits::<8>(0);
        if self.in_page.val() {
            self.length.next = self.wanted.val();
        }
        self.remaining.next = self.beats_left.q.val() - self.beats.q.val();
        self.wide_beats.next = bit_cast::<32, 24>(self.beats.q.val());
        self.burst_bytes.next = self.wide_beats.val() << self.beat_shift.val();
        self.row_sum.next = self.row_address.q.val() + self.row_stride.val();
        self.address.d.next = self.base.val() + self.offset.val();
        self.fresh.d.next = self.start.val();
        self.refused.d.next = self.start.val() & self.refuse.val();
        if self.fresh.q.val() {
            self.next_address.d.next = self.address.q.val();
            self.row_address.d.next = self.address.q.val();
        }
        if self.running.q.val() & !self.offering.q.val() {
            self.beats.d.next = bit_cast::<24, 8>(self.length.val());
            self.row_ends.d.next = self.last_of_row.val();
            self.offering.d.next = true;
        }
        if self.offering.q.val() & self.burst_ready.val() {
            self.offering.d.next = false;
            self.next_address.d.next = self.next_address.q.val() + self.burst_bytes.val();
            self.beats_left.d.next = self.remaining.val();
            if self.row_ends.q.val() {
                self.row_address.d.next = self.row_sum.val();
                self.next_address.d.next = self.row_sum.val();
                self.beats_left.d.next = self.row_beats.val();
                self.rows_left.d.next = self.rows_left.q.val() - 1;
                self.last_row_left.d.next = self.rows_left.q.val() == 1;
                if self.last_row_left.q.val() {
                    self.running.d.next = false;
                }
            }
        }
        if self.refused.q.val() {
            self.running.d.next = false;
            self.offering.d.next = false;
        }
        if self.start.val() {
            self.running.d.next = true;
            self.offering.d.next = false;
            self.rows_left.d.next = self.last_row.val();
            self.last_row_left.d.next = self.last_row.val() == 0;
            self.beats_left.d.next = self.row_beats.val();
        }
        self.burst_valid.next = self.offering.q.val();
        self.burst_address.next = self.next_address.q.val();
        self.burst_length.next = self.beats.q.val().get_bits::<8>(0) - 1;
        self.done.next = !self.running.q.val();
        if self.reset.val() {
            self.running.d.next = false;
            self.offering.d.next = false;
            self.fresh.d.next = false;
            self.refused.d.next = false;
        }
    }
    fn timing(&self) -> Vec<TimingInfo> {
        describe(
            "burst_generator",
            "Cuts the rows of a transfer into bursts of at most 64 beats that do not cross 4 KiB.",
        )
    }
}
