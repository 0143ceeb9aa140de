//! On-chip memory behind a 64-bit AXI4 port, for boards without a memory chip.
//!
//! ```text
//! ar --> burst counter --> block RAM (2 cycles) --> FIFO of beats --> r
//! aw, w ----------------> block RAM;  after the last beat --> b
//! ```
//! A beat a cycle in each direction, one burst at a time. A read is only issued when the FIFO has room for it, so r may wait for as long as it likes.
//! Behind the end of the memory both answer SLVERR, with as many beats as were asked for.

use crate::emit::describe;
use crate::leaves::{Fifo, Pack64, SimpleRam, Unpack64};
use rust_hdl_core::prelude::*;
use rust_hdl_widgets::prelude::*;

#[derive(LogicBlock)]
pub struct AxiRam {
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
    ram: SimpleRam,
    beats: Fifo,
    // Reads: the burst, and the beats on their way through the RAM.
    reading: DFF<Bit>,
    read_row: DFF<Bits<32>>,
    read_left: DFF<Bits<8>>,
    read_id: DFF<Bit>,
    issued: DFF<Bit>,
    issued_flags: DFF<Bits<32>>,
    fetched: DFF<Bit>,
    fetched_flags: DFF<Bits<32>>,
    issue: Signal<Local, Bit>,
    read_outside: Signal<Local, Bit>,
    flags: Signal<Local, Bits<32>>,
    room: Signal<Local, Bit>,
    // Writes.
    writing: DFF<Bit>,
    write_row: DFF<Bits<32>>,
    write_error: DFF<Bit>,
    answering: DFF<Bit>,
    write_outside: Signal<Local, Bit>,
    takes: Signal<Local, Bit>,
    to_words: Unpack64,
    from_words: Pack64,
    depth: Constant<Bits<32>>,
}

impl AxiRam {
    /// Beats that may be on their way.
    const BEATS: usize = 8;

    /// A memory of `rows` times 8 bytes from address 0 on.
    ///
    /// # Panics
    /// If there are no rows or more than 65536.
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
            // What is read while it is written is what the host or the program did not order: it may be anything.
            ram: SimpleRam::new(rows, 2).with_output_register().allowing_collisions(),
            beats: Fifo::new(Self::BEATS, 3),
            reading: DFF::default(),
            read_row: DFF::default(),
            read_left: DFF::default(),
            read_id: DFF::default(),
            issued: DFF::default(),
            issued_flags: DFF::default(),
            fetched: DFF::default(),
            fetched_flags: DFF::default(),
            issue: Signal::default(),
            read_outside: Signal::default(),
            flags: Signal::default(),
            room: Signal::default(),
            writing: DFF::default(),
            write_row: DFF::default(),
            write_error: DFF::default(),
            answering: DFF::default(),
            write_outside: Signal::default(),
            takes: Signal::default(),
            to_words: Unpack64::default(),
            from_words: Pack64::default(),
            depth: Constant::new((rows as u64).into()),
        }
    }
}

impl Logic for AxiRam {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(
            self,
            clock,
            reading,
            read_row,
            read_left,
            read_id,
            issued,
            issued_flags,
            fetched,
            fetched_flags,
            writing,
            write_row,
            write_error,
            answering
        );
        // Two beats may be on their way when the level is read.
        self.room.next = self.beats.level.val() < 6;
        self.issue.next = self.reading.q.val() & self.room.val();
        self.read_outside.next = self.read_row.q.val() >= self.depth.val();
        self.ram.clock.next = self.clock.val();
        self.ram.read_enable.next = self.issue.val() & !self.read_outside.val();
        self.ram.read_address.next = self.read_row.q.val().get_bits::<16>(0);
        // Bit 0 the ID, bit 1 the last beat, bit 2 an error.
        self.flags.next = 0.into();
        if self.read_id.q.val() {
            self.flags.next = 1.into();
        }
        if self.read_left.q.val() == 0 {
            self.flags.next = 2.into();
            if self.read_id.q.val() {
                self.flags.next = 3.into();
            }
        }
        self.issued.d.next = self.issue.val();
        self.issued_flags.d.next = self.flags.val();
        if self.read_outside.val() {
            self.issued_flags.d.next = self.flags.val() | 4;
        }
        self.fetched.d.next = self.issued.q.val();
        self.fetched_flags.d.next = self.issued_flags.q.val();
        self.ar_ready.next = !self.reading.q.val();
        if self.issue.val() {
            self.read_row.d.next = self.read_row.q.val() + 1;
            self.read_left.d.next = self.read_left.q.val() - 1;
            if self.read_left.q.val() == 0 {
                self.reading.d.next = false;
            }
        }
        if !self.reading.q.val() {
            self.reading.d.next = self.ar_valid.val();
            self.read_row.d.next = self.ar_address.val() >> 3;
            self.read_left.d.next = self.ar_length.val();
            self.read_id.d.next = self.ar_id.val();
        }
        self.beats.clock.next = self.clock.val();
        self.beats.reset.next = self.reset.val();
        self.beats.write_valid.next = self.fetched.q.val();
        self.beats.write_data[0].next = self.ram.read_data[0].val();
        self.beats.write_data[1].next = self.ram.read_data[1].val();
        self.beats.write_data[2].next = self.fetched_flags.q.val();
        self.beats.read_ready.next = self.r_ready.val();
        self.r_valid.next = self.beats.read_valid.val();
        self.from_words.words[0].next = self.beats.read_data[0].val();
        self.from_words.words[1].next = self.beats.read_data[1].val();
        self.r_data.next = self.from_words.packed.val();
        self.r_id.next = self.beats.read_data[2].val().get_bit(0);
        self.r_last.next = self.beats.read_data[2].val().get_bit(1);
        self.r_response.next = 0.into();
        if self.beats.read_data[2].val().get_bit(2) {
            self.r_response.next = 2.into();
        }

        self.write_outside.next = self.write_row.q.val() >= self.depth.val();
        self.aw_ready.next = !self.writing.q.val() & !self.answering.q.val();
        self.w_ready.next = self.writing.q.val();
        self.takes.next = self.writing.q.val() & self.w_valid.val();
        self.to_words.packed.next = self.w_data.val();
        self.ram.write_valid.next = self.takes.val() & !self.write_outside.val();
        self.ram.write_address.next = self.write_row.q.val().get_bits::<16>(0);
        self.ram.write_enable[0].next = self.w_strobe.val().get_bits::<4>(0);
        self.ram.write_enable[1].next = self.w_strobe.val().get_bits::<4>(4);
        self.ram.write_data[0].next = self.to_words.words[0].val();
        self.ram.write_data[1].next = self.to_words.words[1].val();
        if !self.writing.q.val() & !self.answering.q.val() {
            self.writing.d.next = self.aw_valid.val();
            self.write_row.d.next = self.aw_address.val() >> 3;
            self.write_error.d.next = false;
        }
        if self.takes.val() {
            self.write_row.d.next = self.write_row.q.val() + 1;
            if self.write_outside.val() {
                self.write_error.d.next = true;
            }
            if self.w_last.val() {
                self.writing.d.next = false;
                self.answering.d.next = true;
            }
        }
        if self.b_ready.val() & self.answering.q.val() {
            self.answering.d.next = false;
        }
        self.b_valid.next = self.answering.q.val();
        self.b_response.next = 0.into();
        if self.write_error.q.val() {
            self.b_response.next = 2.into();
        }
        if self.reset.val() {
            self.reading.d.next = false;
            self.issued.d.next = false;
            self.fetched.d.next = false;
            self.writing.d.next = false;
            self.answering.d.next = false;
        }
    }
    fn timing(&self) -> Vec<TimingInfo> {
        describe("axi_ram", "On-chip memory behind a 64-bit AXI4 port; beyond its end it answers SLVERR.")
    }
}
