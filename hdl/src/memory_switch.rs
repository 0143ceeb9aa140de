//! One memory port for the accelerator and the host link.
//!
//! The accelerator has the port. When the link wants it, no new burst of the accelerator is let through, and when the last one of it has ended the
//! link's burst goes; then the port is the accelerator's again. Reads and writes switch each for themselves. The link is slow and asks seldom, so
//! nothing is gained by letting both go at once.

use crate::emit::describe;
use rust_hdl_core::prelude::*;
use rust_hdl_widgets::prelude::*;

#[derive(LogicBlock, Default)]
pub struct MemorySwitch {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    // The accelerator: handshakes and what ends a burst; its data go past this block.
    pub a_ar_valid: Signal<In, Bit>,
    pub a_ar_ready: Signal<Out, Bit>,
    pub a_r_valid: Signal<Out, Bit>,
    pub a_r_ready: Signal<In, Bit>,
    pub a_aw_valid: Signal<In, Bit>,
    pub a_aw_ready: Signal<Out, Bit>,
    pub a_w_valid: Signal<In, Bit>,
    pub a_w_ready: Signal<Out, Bit>,
    pub a_w_last: Signal<In, Bit>,
    pub a_b_valid: Signal<Out, Bit>,
    pub a_b_ready: Signal<In, Bit>,
    // The link.
    pub l_ar_valid: Signal<In, Bit>,
    pub l_ar_ready: Signal<Out, Bit>,
    pub l_r_valid: Signal<Out, Bit>,
    pub l_r_ready: Signal<In, Bit>,
    pub l_aw_valid: Signal<In, Bit>,
    pub l_aw_ready: Signal<Out, Bit>,
    pub l_w_valid: Signal<In, Bit>,
    pub l_w_ready: Signal<Out, Bit>,
    pub l_b_valid: Signal<Out, Bit>,
    pub l_b_ready: Signal<In, Bit>,
    // The memory.
    pub ar_valid: Signal<Out, Bit>,
    pub ar_ready: Signal<In, Bit>,
    pub r_valid: Signal<In, Bit>,
    pub r_ready: Signal<Out, Bit>,
    pub r_last: Signal<In, Bit>,
    pub aw_valid: Signal<Out, Bit>,
    pub aw_ready: Signal<In, Bit>,
    pub w_valid: Signal<Out, Bit>,
    pub w_ready: Signal<In, Bit>,
    pub b_valid: Signal<In, Bit>,
    pub b_ready: Signal<Out, Bit>,
    /// The read channels are the link's; the write channels are.
    pub link_reads: Signal<Out, Bit>,
    pub link_writes: Signal<Out, Bit>,
    reading: DFF<Bit>,
    read_sent: DFF<Bit>,
    reads: DFF<Bits<8>>,
    read_offered: DFF<Bit>,
    writing: DFF<Bit>,
    write_sent: DFF<Bit>,
    /// Bursts without an answer, and bursts whose data are not all through.
    writes: DFF<Bits<8>>,
    data: DFF<Bits<8>>,
    write_offered: DFF<Bit>,
    reads_full: Signal<Local, Bit>,
    writes_full: Signal<Local, Bit>,
    a_ar_may: Signal<Local, Bit>,
    a_aw_may: Signal<Local, Bit>,
    a_w_may: Signal<Local, Bit>,
    l_ar_may: Signal<Local, Bit>,
    l_aw_may: Signal<Local, Bit>,
    read_begins: Signal<Local, Bit>,
    read_ends: Signal<Local, Bit>,
    write_begins: Signal<Local, Bit>,
    write_ends: Signal<Local, Bit>,
    data_ends: Signal<Local, Bit>,
}

impl Logic for MemorySwitch {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(
            self,
            clock,
            reading,
            read_sent,
            reads,
            read_offered,
            writing,
            write_sent,
            writes,
            data,
            write_offered
        );
        // Reads.
        self.reads_full.next = self.reads.q.val() == 255;
        // What the memory was offered stays.
        self.a_ar_may.next = !self.reading.q.val()
            & (!self.l_ar_valid.val() | self.read_offered.q.val())
            & !self.reads_full.val();
        self.read_offered.d.next = self.a_ar_valid.val() & self.a_ar_may.val() & !self.ar_ready.val();
        self.l_ar_may.next = self.reading.q.val() & !self.read_sent.q.val();
        self.ar_valid.next =
            (self.a_ar_valid.val() & self.a_ar_may.val()) | (self.l_ar_valid.val() & self.l_ar_may.val());
        self.a_ar_ready.next = self.ar_ready.val() & self.a_ar_may.val();
        self.l_ar_ready.next = self.ar_ready.val() & self.l_ar_may.val();
        self.a_r_valid.next = self.r_valid.val() & !self.reading.q.val();
        self.l_r_valid.next = self.r_valid.val() & self.reading.q.val();
        self.r_ready.next = self.a_r_ready.val();
        if self.reading.q.val() {
            self.r_ready.next = self.l_r_ready.val();
        }
        self.read_begins.next = self.a_ar_valid.val() & self.a_ar_may.val() & self.ar_ready.val();
        self.read_ends.next = self.r_valid.val() & self.r_ready.val() & self.r_last.val();
        if self.reading.q.val() {
            if self.l_ar_valid.val() & self.ar_ready.val() {
                self.read_sent.d.next = true;
            }
            if self.read_ends.val() {
                self.reading.d.next = false;
                self.read_sent.d.next = false;
            }
        } else {
            if self.read_begins.val() & !self.read_ends.val() {
                self.reads.d.next = self.reads.q.val() + 1;
            }
            if !self.read_begins.val() & self.read_ends.val() {
                self.reads.d.next = self.reads.q.val() - 1;
            }
            if self.l_ar_valid.val() & (self.reads.q.val() == 0) & !self.read_offered.q.val() {
                self.reading.d.next = true;
            }
        }

        // Writes. Data wait for their address, so that none of them come before a burst that is held back.
        self.writes_full.next = self.writes.q.val() == 255;
        self.a_aw_may.next = !self.writing.q.val()
            & (!self.l_aw_valid.val() | self.write_offered.q.val())
            & !self.writes_full.val();
        self.write_offered.d.next = self.a_aw_valid.val() & self.a_aw_may.val() & !self.aw_ready.val();
        self.l_aw_may.next = self.writing.q.val() & !self.write_sent.q.val();
        self.aw_valid.next =
            (self.a_aw_valid.val() & self.a_aw_may.val()) | (self.l_aw_valid.val() & self.l_aw_may.val());
        self.a_aw_ready.next = self.aw_ready.val() & self.a_aw_may.val();
        self.l_aw_ready.next = self.aw_ready.val() & self.l_aw_may.val();
        self.a_w_may.next = self.data.q.val().any();
        self.a_w_ready.next = self.w_ready.val() & self.a_w_may.val();
        self.l_w_ready.next = self.w_ready.val() & self.write_sent.q.val();
        self.w_valid.next =
            (self.a_w_valid.val() & self.a_w_may.val()) | (self.l_w_valid.val() & self.write_sent.q.val());
        self.a_b_valid.next = self.b_valid.val() & !self.writing.q.val();
        self.l_b_valid.next = self.b_valid.val() & self.writing.q.val();
        self.b_ready.next = self.a_b_ready.val();
        if self.writing.q.val() {
            self.b_ready.next = self.l_b_ready.val();
        }
        self.write_begins.next = self.a_aw_valid.val() & self.a_aw_may.val() & self.aw_ready.val();
        self.write_ends.next = self.b_valid.val() & self.b_ready.val();
        self.data_ends.next =
            self.a_w_valid.val() & self.a_w_may.val() & self.w_ready.val() & self.a_w_last.val();
        if self.write_begins.val() & !self.data_ends.val() {
            self.data.d.next = self.data.q.val() + 1;
        }
        if !self.write_begins.val() & self.data_ends.val() {
            self.data.d.next = self.data.q.val() - 1;
        }
        if self.writing.q.val() {
            if self.l_aw_valid.val() & self.aw_ready.val() {
                self.write_sent.d.next = true;
            }
            if self.write_ends.val() {
                self.writing.d.next = false;
                self.write_sent.d.next = false;
            }
        } else {
            if self.write_begins.val() & !self.write_ends.val() {
                self.writes.d.next = self.writes.q.val() + 1;
            }
            if !self.write_begins.val() & self.write_ends.val() {
                self.writes.d.next = self.writes.q.val() - 1;
            }
            if self.l_aw_valid.val() & (self.writes.q.val() == 0) & !self.write_offered.q.val() {
                self.writing.d.next = true;
            }
        }
        self.link_reads.next = self.reading.q.val();
        self.link_writes.next = self.writing.q.val();
        if self.reset.val() {
            self.reading.d.next = false;
            self.read_sent.d.next = false;
            self.reads.d.next = 0.into();
            self.read_offered.d.next = false;
            self.write_offered.d.next = false;
            self.writing.d.next = false;
            self.write_sent.d.next = false;
            self.writes.d.next = 0.into();
            self.data.d.next = 0.into();
        }
    }
    fn timing(&self) -> Vec<TimingInfo> {
        describe(
            "memory_switch",
            "One memory port for the accelerator and the host link, a burst of which goes alone.",
        )
    }
}
