//! One bank: which row is open, and what the chip allows next.
use super::wait::Wait;
use super::SdramTiming;
use crate::emit::describe;
use rust_hdl_core::prelude::*;
use rust_hdl_widgets::prelude::*;

/// Commands and answers belong to the same cycle: a command is given only when the bank allows it.
#[derive(LogicBlock)]
pub struct SdramBank {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    // Commands to this bank.
    pub activate: Signal<In, Bit>,
    pub new_row: Signal<In, Bits<13>>,
    pub precharge: Signal<In, Bit>,
    pub read: Signal<In, Bit>,
    pub write: Signal<In, Bit>,
    // State.
    pub is_open: Signal<Out, Bit>,
    pub row: Signal<Out, Bits<13>>,
    pub may_activate: Signal<Out, Bit>,
    pub may_precharge: Signal<Out, Bit>,
    open_now: DFF<Bit>,
    open_row: DFF<Bits<13>>,
    active_wait: Wait<8>,
    column_wait: Wait<8>,
    precharge_wait: Wait<8>,
    active_more: Constant<Bits<8>>,
    read_more: Constant<Bits<8>>,
    write_more: Constant<Bits<8>>,
    precharge_more: Constant<Bits<8>>,
}

impl SdramBank {
    /// For bursts of `beat_words` words.
    pub fn new(timing: &SdramTiming, beat_words: u32) -> Self {
        let more = |cycles: u32| Constant::new(u64::from(cycles.max(1) - 1).into());
        Self {
            clock: Signal::default(),
            reset: Signal::default(),
            activate: Signal::default(),
            new_row: Signal::default(),
            precharge: Signal::default(),
            read: Signal::default(),
            write: Signal::default(),
            is_open: Signal::default(),
            row: Signal::default(),
            may_activate: Signal::default(),
            may_precharge: Signal::default(),
            open_now: DFF::default(),
            open_row: DFF::default(),
            active_wait: Wait::default(),
            column_wait: Wait::default(),
            precharge_wait: Wait::default(),
            active_more: more(timing.row_active),
            // A read may follow a write at once, and its wait replaces the write's: it must cover what is left of the recovery.
            read_more: more(beat_words.max(timing.write_recovery - 1)),
            write_more: more(beat_words - 1 + timing.write_recovery),
            precharge_more: more(timing.precharge),
        }
    }
}

impl Logic for SdramBank {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, open_now, open_row);
        self.active_wait.clock.next = self.clock.val();
        self.active_wait.reset.next = self.reset.val();
        self.active_wait.start.next = self.activate.val();
        self.active_wait.more.next = self.active_more.val();
        self.column_wait.clock.next = self.clock.val();
        self.column_wait.reset.next = self.reset.val();
        self.column_wait.start.next = self.read.val() | self.write.val();
        self.column_wait.more.next = self.read_more.val();
        if self.write.val() {
            self.column_wait.more.next = self.write_more.val();
        }
        self.precharge_wait.clock.next = self.clock.val();
        self.precharge_wait.reset.next = self.reset.val();
        self.precharge_wait.start.next = self.precharge.val();
        self.precharge_wait.more.next = self.precharge_more.val();
        if self.activate.val() {
            self.open_now.d.next = true;
            self.open_row.d.next = self.new_row.val();
        }
        if self.precharge.val() | self.reset.val() {
            self.open_now.d.next = false;
        }
        self.is_open.next = self.open_now.q.val();
        self.row.next = self.open_row.q.val();
        self.may_activate.next = self.precharge_wait.over.val();
        self.may_precharge.next = self.active_wait.over.val() & self.column_wait.over.val();
    }
    fn timing(&self) -> Vec<TimingInfo> {
        describe("sdram_bank", "One bank of the chip: its open row, and which commands it would take now.")
    }
}
