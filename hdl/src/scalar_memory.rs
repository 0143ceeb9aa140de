//! Scalar memory: 256 words that row commands, loads and dispatch share.
//!
//! Two copies of the words, written together: one is read by the row engine, the other by dispatch. Both reads are there in the next cycle.
//! Writes: the row engine goes first and never waits, then loads, then dispatch, which knows late that it writes. Whether the row engine writes is known late, so the others wait when
//! it may. When a program starts, a walk over all words clears them
//! (`clearing`, some 256 cycles); until it is done nothing else may be written or read, and loads and dispatch wait.

use crate::emit::describe;
use crate::leaves::SimpleRam;
use frugal_isa::Config;
use rust_hdl_core::prelude::*;
use rust_hdl_widgets::prelude::*;

#[derive(LogicBlock)]
pub struct ScalarMemory {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    /// A program starts.
    pub clear: Signal<In, Bit>,
    pub clearing: Signal<Out, Bit>,
    // Row engine.
    pub row_read_address: Signal<In, Bits<8>>,
    pub row_read_data: Signal<Out, Bits<32>>,
    /// High whenever `row_write_valid` is, and early in the cycle.
    pub row_may_write: Signal<In, Bit>,
    pub row_write_valid: Signal<In, Bit>,
    pub row_write_address: Signal<In, Bits<8>>,
    pub row_write_data: Signal<In, Bits<32>>,
    // Loads.
    pub load_valid: Signal<In, Bit>,
    pub load_ready: Signal<Out, Bit>,
    pub load_address: Signal<In, Bits<8>>,
    pub load_data: Signal<In, Bits<32>>,
    // Dispatch.
    pub control_read_address: Signal<In, Bits<8>>,
    pub control_read_data: Signal<Out, Bits<32>>,
    pub control_write_valid: Signal<In, Bit>,
    pub control_write_ready: Signal<Out, Bit>,
    pub control_write_address: Signal<In, Bits<8>>,
    pub control_write_data: Signal<In, Bits<32>>,
    row_copy: SimpleRam,
    control_copy: SimpleRam,
    walking: DFF<Bit>,
    position: DFF<Bits<8>>,
    write_address: Signal<Local, Bits<8>>,
    write_data: Signal<Local, Bits<32>>,
    writes: Signal<Local, Bit>,
}

impl ScalarMemory {
    pub const LATENCY_CYCLES: u32 = 1;
}

impl Default for ScalarMemory {
    fn default() -> Self {
        // A port that nobody uses reads some address in every cycle, whatever is written.
        // Of LUTs, because much follows what is read in the same cycle, and a block RAM is slow to its outputs.
        let copy = || SimpleRam::new(Config::SCALARS, 1).allowing_collisions().in_luts(true);
        Self {
            clock: Signal::default(),
            reset: Signal::default(),
            clear: Signal::default(),
            clearing: Signal::default(),
            row_read_address: Signal::default(),
            row_read_data: Signal::default(),
            row_may_write: Signal::default(),
            row_write_valid: Signal::default(),
            row_write_address: Signal::default(),
            row_write_data: Signal::default(),
            load_valid: Signal::default(),
            load_ready: Signal::default(),
            load_address: Signal::default(),
            load_data: Signal::default(),
            control_read_address: Signal::default(),
            control_read_data: Signal::default(),
            control_write_valid: Signal::default(),
            control_write_ready: Signal::default(),
            control_write_address: Signal::default(),
            control_write_data: Signal::default(),
            row_copy: copy(),
            control_copy: copy(),
            walking: DFF::default(),
            position: DFF::default(),
            write_address: Signal::default(),
            write_data: Signal::default(),
            writes: Signal::default(),
        }
    }
}

impl Logic for ScalarMemory {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, walking, position);
        // Writes, the most urgent last.
        self.write_address.next = self.position.q.val();
        self.write_data.next = 0.into();
        if !self.walking.q.val() {
            self.write_address.next = self.control_write_address.val();
            self.write_data.next = self.control_write_data.val();
            if self.load_valid.val() {
                self.write_address.next = self.load_address.val();
                self.write_data.next = self.load_data.val();
            }
        }
        if self.row_write_valid.val() {
            self.write_address.next = self.row_write_address.val();
            self.write_data.next = self.row_write_data.val();
        }
        // What does not write now writes the same again later.
        self.writes.next = self.walking.q.val()
            | self.row_write_valid.val()
            | self.load_valid.val()
            | self.control_write_valid.val();
        self.control_write_ready.next =
            !self.walking.q.val() & !self.row_may_write.val() & !self.load_valid.val();
        self.load_ready.next = !self.walking.q.val() & !self.row_may_write.val();
        // The walk.
        self.clearing.next = self.walking.q.val();
        if self.walking.q.val() & !self.row_may_write.val() {
            self.position.d.next = self.position.q.val() + 1;
            if self.position.q.val() == 255 {
                self.walking.d.next = false;
            }
        }
        if self.clear.val() {
            self.walking.d.next = true;
            self.position.d.next = 0.into();
        }
        // Both copies.
        self.row_copy.clock.next = self.clock.val();
        self.row_copy.read_enable.next = true;
        self.row_copy.read_address.next = bit_cast::<16, 8>(self.row_read_address.val());
        self.row_read_data.next = self.row_copy.read_data[0].val();
        self.row_copy.write_valid.next = self.writes.val();
        self.row_copy.write_address.next = bit_cast::<16, 8>(self.write_address.val());
        self.row_copy.write_enable[0].next = 15.into();
        self.row_copy.write_data[0].next = self.write_data.val();
        self.control_copy.clock.next = self.clock.val();
        self.control_copy.read_enable.next = true;
        self.control_copy.read_address.next = bit_cast::<16, 8>(self.control_read_address.val());
        self.control_read_data.next = self.control_copy.read_data[0].val();
        self.control_copy.write_valid.next = self.writes.val();
        self.control_copy.write_address.next = bit_cast::<16, 8>(self.write_address.val());
        self.control_copy.write_enable[0].next = 15.into();
        self.control_copy.write_data[0].next = self.write_data.val();
        if self.reset.val() {
            self.walking.d.next = false;
        }
    }
    fn timing(&self) -> Vec<TimingInfo> {
        describe(
            "scalar_memory",
            "256 words, in two copies: one read by the row engine, one by dispatch. Writes: row engine, then loads, then dispatch.",
        )
    }
}
