//! SDRAM controller: a single-data-rate chip behind the accelerator's memory port.
//!
//! ```text
//! AR --> queue --> SegmentCutter --\                              /--> command, bank, address
//!                                   >--> pending --> active --> pins
//! AW --> queue --> SegmentCutter --/     opens its     one beat   \--> data, data mask <-- FIFO of beats <-- W
//!                                        row           a slot      \-> FIFO of answers --> B
//!
//! data pins --> sample --> beat of 64 bits --> FIFO of beats --> R
//! ```
//! A *beat* is 64 bits, a *word* is what the chip takes in one cycle. The chip's burst length is one beat (4 words of 16 bits or 2 of 32), so
//! a read or write is due only every 4th or 2nd cycle and the cycles between are free to open the next row. A *segment* is a run of at most 16
//! beats in one row; it is begun only when its write data have come or its read data have room, so nothing stalls once it is `active`.
//! While one segment is active, the next one is `pending` and has its row opened, if that is in another bank. Rows stay open until a segment
//! needs another row of the bank, or a refresh comes.
//!
//! Bytes of the chip: `{row, bank, column, byte of a word}` from the top, so that a long transfer goes from bank to bank. Beyond the
//! chip there is no command, and the answer is SLVERR, one for each beat of a read.
//!
//! Reads and writes each keep their order. Between the two, a direction keeps the chip for two segments when the other waits. A write is answered
//! when its last command is given, and what is asked for after that comes after it.
//!
//! A refresh comes due every `refresh_interval` cycles and waits for no more than the segment under way.
//!
//! All pins come from registers, and `data_in` goes into one. A word is expected on `data_in` `cas_latency + pin_cycles` cycles after the cycle in
//! which its read command is on the pins. The board's top has the tri-state buffers and the clock's phase.

mod bank;
mod chip;
mod cutter;
mod wait;

pub use bank::SdramBank;
pub use chip::{SdramChip, SdramError, SdramTiming};
pub use cutter::{CutterState, SegmentCutter};
pub use wait::Wait;

use crate::emit::describe;
use crate::leaves::{DelayLine, Fifo, Pack64, PackFlags};
use rust_hdl_core::prelude::*;
use rust_hdl_widgets::prelude::*;

/// Where the chip stands: what the sequencer waits for.
#[derive(Copy, Clone, Debug, PartialEq, LogicState)]
pub enum ChipState {
    Start,
    PoweringUp,
    FirstPrecharge,
    FirstRefreshes,
    SettingMode,
    Running,
    /// A refresh is due: the active segment ends, then the banks may close.
    Draining,
    Precharging,
    Refreshing,
}

/// How far the pending segment's row is.
#[derive(Copy, Clone, Debug, PartialEq, LogicState)]
pub enum PageState {
    Empty,
    /// Compares with the bank's open row.
    Lookup,
    /// Another row of the bank is open.
    Conflict,
    Closed,
    Opening,
    Ready,
}

/// Bursts of a direction that wait for their cutter.
const QUEUED_BURSTS: usize = 4;
/// Beats that wait for the chip, and for the bus: two segments.
const BUFFERED_BEATS: usize = 32;
/// Write bursts between the cutter and their answer's being taken.
const UNANSWERED_BURSTS: usize = 8;
/// Refreshes of the power-up sequence.
const FIRST_REFRESHES: u32 = 2;

#[derive(LogicBlock)]
pub struct SdramController {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    // Memory reads, AXI4.
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
    // Memory writes, AXI4. Beats are counted, so `w_last` says nothing new.
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
    // The chip. A chip of 16 bits has the low halves of data and mask; upper address bits that it lacks are 0.
    pub clock_enable: Signal<Out, Bit>,
    pub cs_n: Signal<Out, Bit>,
    pub ras_n: Signal<Out, Bit>,
    pub cas_n: Signal<Out, Bit>,
    pub we_n: Signal<Out, Bit>,
    pub address: Signal<Out, Bits<13>>,
    pub bank: Signal<Out, Bits<2>>,
    /// A bit of 1 keeps a byte from being written.
    pub data_mask: Signal<Out, Bits<4>>,
    pub data_out: Signal<Out, Bits<32>>,
    pub data_out_enable: Signal<Out, Bit>,
    pub data_in: Signal<In, Bits<32>>,
    /// The power-up sequence is over.
    pub initialised: Signal<Out, Bit>,
    // Queues of both directions.
    read_bursts: Fifo,
    write_bursts: Fifo,
    read_beats: Fifo,
    write_beats: Fifo,
    answers: Fifo,
    read_cutter: SegmentCutter,
    write_cutter: SegmentCutter,
    banks: Vec<SdramBank>,
    /// Beats of the read FIFO that nobody has been promised, and beats that have come and belong to no segment yet.
    read_room: DFF<Bits<8>>,
    write_room: DFF<Bits<8>>,
    /// Beats of the segment that was taken a cycle ago.
    read_reserved: DFF<Bits<8>>,
    write_reserved: DFF<Bits<8>>,
    unanswered: DFF<Bits<4>>,
    // Choice between directions.
    writing: DFF<Bit>,
    repeated: DFF<Bit>,
    // The pending segment.
    page: DFF<PageState>,
    pending_write: DFF<Bit>,
    pending_outside: DFF<Bit>,
    pending_bank: DFF<Bits<2>>,
    pending_row: DFF<Bits<13>>,
    pending_column: DFF<Bits<13>>,
    pending_beats: DFF<Bits<5>>,
    pending_id: DFF<Bit>,
    pending_ends: DFF<Bit>,
    // The active segment.
    active: DFF<Bit>,
    active_write: DFF<Bit>,
    active_outside: DFF<Bit>,
    active_bank: DFF<Bits<2>>,
    active_column: DFF<Bits<13>>,
    active_beats: DFF<Bits<5>>,
    active_id: DFF<Bit>,
    active_ends: DFF<Bit>,
    // Waits that no bank has of its own.
    slot_wait: Wait<8>,
    turn_wait: Wait<8>,
    open_wait: Wait<8>,
    row_to_row_wait: Wait<8>,
    // The sequencer.
    chip: DFF<ChipState>,
    sequence_wait: Wait<24>,
    refreshes: DFF<Bits<2>>,
    ready_chip: DFF<Bit>,
    interval: DFF<Bits<16>>,
    refresh_due: DFF<Bit>,
    /// Draining, and all banks may close.
    quiet: DFF<Bit>,
    // Pins.
    pin_enable: DFF<Bit>,
    pin_cs_n: DFF<Bit>,
    pin_ras_n: DFF<Bit>,
    pin_cas_n: DFF<Bit>,
    pin_we_n: DFF<Bit>,
    pin_address: DFF<Bits<13>>,
    pin_bank: DFF<Bits<2>>,
    /// Words still to be put out, the present one lowest; with their masks and whether to drive.
    data: DFF<Bits<64>>,
    mask: DFF<Bits<8>>,
    drive: DFF<Bits<4>>,
    // Data from the chip.
    sample: DFF<Bits<32>>,
    beat: DFF<Bits<64>>,
    tag: PackFlags,
    tag_delay: DelayLine<8>,
    read_word: Pack64,
    write_word: Pack64,
    // Signals.
    read_taken: Signal<Local, Bit>,
    write_taken: Signal<Local, Bit>,
    beat_left: Signal<Local, Bit>,
    beat_came: Signal<Local, Bit>,
    room_after: Signal<Local, Bits<8>>,
    places_after: Signal<Local, Bits<8>>,
    burst_room: Signal<Local, Bit>,
    burst_begins: Signal<Local, Bit>,
    answer_taken: Signal<Local, Bit>,
    answer_given: Signal<Local, Bit>,
    wants_write: Signal<Local, Bit>,
    wants_read: Signal<Local, Bit>,
    write_turn: Signal<Local, Bit>,
    picks_write: Signal<Local, Bit>,
    picks_read: Signal<Local, Bit>,
    page_free: Signal<Local, Bit>,
    running: Signal<Local, Bit>,
    bank_open: Signal<Local, Bit>,
    bank_row: Signal<Local, Bits<13>>,
    bank_may_activate: Signal<Local, Bit>,
    bank_may_precharge: Signal<Local, Bit>,
    same_row: Signal<Local, Bit>,
    bank_in_use: Signal<Local, Bit>,
    all_may_precharge: Signal<Local, Bit>,
    column_now: Signal<Local, Bit>,
    last_beat: Signal<Local, Bit>,
    read_now: Signal<Local, Bit>,
    write_now: Signal<Local, Bit>,
    precharge_now: Signal<Local, Bit>,
    activate_now: Signal<Local, Bit>,
    close_all: Signal<Local, Bit>,
    refresh_now: Signal<Local, Bit>,
    mode_now: Signal<Local, Bit>,
    row_closed: Signal<Local, Bit>,
    interval_ends: Signal<Local, Bit>,
    sampled: Signal<Local, Bits<64>>,
    placed: Signal<Local, Bits<64>>,
    shifted: Signal<Local, Bits<64>>,
    tag_flags: Signal<Local, Bits<8>>,
    read_flags: Signal<Local, Bits<8>>,
    write_flags: Signal<Local, Bits<8>>,
    error: Constant<Bits<2>>,
    okay: Constant<Bits<2>>,
    beats_buffered: Constant<Bits<8>>,
    bursts_unanswered: Constant<Bits<4>>,
    first_refreshes: Constant<Bits<2>>,
    mode: Constant<Bits<13>>,
    /// A10 means all banks to a precharge.
    every_bank: Constant<Bits<13>>,
    words: Constant<Bits<13>>,
    all_words: Constant<Bits<4>>,
    word_shift: Constant<Bits<7>>,
    mask_shift: Constant<Bits<4>>,
    place_shift: Constant<Bits<7>>,
    slot_more: Constant<Bits<8>>,
    turn_more: Constant<Bits<8>>,
    open_more: Constant<Bits<8>>,
    row_to_row_more: Constant<Bits<8>>,
    power_up_more: Constant<Bits<24>>,
    precharge_more: Constant<Bits<24>>,
    refresh_more: Constant<Bits<24>>,
    mode_more: Constant<Bits<24>>,
    interval_more: Constant<Bits<16>>,
    _banks: usize,
}

impl SdramController {
    /// For this chip at `clock_khz`, with `pin_cycles` registers between this block's pins and the chip's, those of the outputs and those of the
    /// inputs added up. All outputs must have the same number.
    pub fn new(chip: &SdramChip, clock_khz: u32, pin_cycles: u32) -> Result<Self, SdramError> {
        let timing = chip.timing(clock_khz)?;
        if pin_cycles > 8 {
            return Err(SdramError::PinCycles(pin_cycles));
        }
        let words = chip.beat_words();
        let banks = 1 << chip.bank_bits;
        fn constant<const N: usize>(value: u32) -> Constant<Bits<N>> {
            Constant::new(u64::from(value).into())
        }
        // From a read command: the last word, one cycle into `sample`, one into `beat`, and one until the command is on the pins.
        let tag_cycles = chip.cas_latency + pin_cycles + words + 2;
        Ok(Self {
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
            clock_enable: Signal::default(),
            cs_n: Signal::default(),
            ras_n: Signal::default(),
            cas_n: Signal::default(),
            we_n: Signal::default(),
            address: Signal::default(),
            bank: Signal::default(),
            data_mask: Signal::default(),
            data_out: Signal::default(),
            data_out_enable: Signal::default(),
            data_in: Signal::default(),
            initialised: Signal::default(),
            read_bursts: Fifo::new(QUEUED_BURSTS, 3),
            write_bursts: Fifo::new(QUEUED_BURSTS, 2),
            read_beats: Fifo::new(BUFFERED_BEATS, 3),
            write_beats: Fifo::new(BUFFERED_BEATS, 3),
            answers: Fifo::new(UNANSWERED_BURSTS, 1),
            read_cutter: SegmentCutter::new(chip),
            write_cutter: SegmentCutter::new(chip),
            banks: (0..banks).map(|_| SdramBank::new(&timing, words)).collect(),
            read_room: DFF::default(),
            write_room: DFF::default(),
            read_reserved: DFF::default(),
            write_reserved: DFF::default(),
            unanswered: DFF::default(),
            writing: DFF::default(),
            repeated: DFF::default(),
            page: DFF::default(),
            pending_write: DFF::default(),
            pending_outside: DFF::default(),
            pending_bank: DFF::default(),
            pending_row: DFF::default(),
            pending_column: DFF::default(),
            pending_beats: DFF::default(),
            pending_id: DFF::default(),
            pending_ends: DFF::default(),
            active: DFF::default(),
            active_write: DFF::default(),
            active_outside: DFF::default(),
            active_bank: DFF::default(),
            active_column: DFF::default(),
            active_beats: DFF::default(),
            active_id: DFF::default(),
            active_ends: DFF::default(),
            slot_wait: Wait::default(),
            turn_wait: Wait::default(),
            open_wait: Wait::default(),
            row_to_row_wait: Wait::default(),
            chip: DFF::default(),
            sequence_wait: Wait::default(),
            refreshes: DFF::default(),
            ready_chip: DFF::default(),
            interval: DFF::default(),
            refresh_due: DFF::default(),
            quiet: DFF::default(),
            pin_enable: DFF::default(),
            pin_cs_n: DFF::default(),
            pin_ras_n: DFF::default(),
            pin_cas_n: DFF::default(),
            pin_we_n: DFF::default(),
            pin_address: DFF::default(),
            pin_bank: DFF::default(),
            data: DFF::default(),
            mask: DFF::default(),
            drive: DFF::default(),
            sample: DFF::default(),
            beat: DFF::default(),
            tag: PackFlags::default(),
            tag_delay: DelayLine::new(tag_cycles as usize),
            read_word: Pack64::default(),
            write_word: Pack64::default(),
            read_taken: Signal::default(),
            write_taken: Signal::default(),
            beat_left: Signal::default(),
            beat_came: Signal::default(),
            room_after: Signal::default(),
            places_after: Signal::default(),
            burst_room: Signal::default(),
            burst_begins: Signal::default(),
            answer_taken: Signal::default(),
            answer_given: Signal::default(),
            wants_write: Signal::default(),
            wants_read: Signal::default(),
            write_turn: Signal::default(),
            picks_write: Signal::default(),
            picks_read: Signal::default(),
            page_free: Signal::default(),
            running: Signal::default(),
            bank_open: Signal::default(),
            bank_row: Signal::default(),
            bank_may_activate: Signal::default(),
            bank_may_precharge: Signal::default(),
            same_row: Signal::default(),
            bank_in_use: Signal::default(),
            all_may_precharge: Signal::default(),
            column_now: Signal::default(),
            last_beat: Signal::default(),
            read_now: Signal::default(),
            write_now: Signal::default(),
            precharge_now: Signal::default(),
            activate_now: Signal::default(),
            close_all: Signal::default(),
            refresh_now: Signal::default(),
            mode_now: Signal::default(),
            row_closed: Signal::default(),
            interval_ends: Signal::default(),
            sampled: Signal::default(),
            placed: Signal::default(),
            shifted: Signal::default(),
            tag_flags: Signal::default(),
            read_flags: Signal::default(),
            write_flags: Signal::default(),
            error: constant(2),
            okay: constant(0),
            beats_buffered: constant(BUFFERED_BEATS as u32),
            bursts_unanswered: constant(UNANSWERED_BURSTS as u32),
            first_refreshes: constant(FIRST_REFRESHES),
            mode: constant(chip.mode()),
            every_bank: constant(1 << 10),
            words: constant(words),
            all_words: constant((1 << words) - 1),
            word_shift: constant(chip.data_bits),
            mask_shift: constant(chip.data_bits / 8),
            place_shift: constant(64 - chip.data_bits),
            slot_more: constant(words - 1),
            // The chip lets go of the data pins within the cycle after its last word, so that one stays empty.
            turn_more: constant(words + chip.cas_latency),
            // A row that is open is active a cycle later, and its first command may be given in the next.
            open_more: constant(timing.row_to_column.saturating_sub(3)),
            row_to_row_more: constant(timing.row_to_row - 1),
            power_up_more: constant(timing.power_up - 1),
            precharge_more: constant(timing.precharge - 1),
            refresh_more: constant(timing.refresh_cycle - 1),
            mode_more: constant(timing.mode - 1),
            interval_more: constant(timing.refresh_interval - 1),
            _banks: banks,
        })
    }
}

impl Logic for SdramController {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(
            self,
            clock,
            read_room,
            write_room,
            read_reserved,
            write_reserved,
            unanswered,
            writing,
            repeated,
            page,
            pending_write,
            pending_outside,
            pending_bank,
            pending_row,
            pending_column,
            pending_beats,
            pending_id,
            pending_ends,
            active,
            active_write,
            active_outside,
            active_bank,
            active_column,
            active_beats,
            active_id,
            active_ends,
            chip,
            refreshes,
            ready_chip,
            interval,
            refresh_due,
            quiet,
            pin_enable,
            pin_cs_n,
            pin_ras_n,
            pin_cas_n,
            pin_we_n,
            pin_address,
            pin_bank,
            data,
            mask,
            drive,
            sample,
            beat
        );

        // Bursts wait in queues.
        self.read_bursts.clock.next = self.clock.val();
        self.read_bursts.reset.next = self.reset.val();
        self.read_bursts.write_valid.next = self.ar_valid.val();
        self.ar_ready.next = self.read_bursts.write_ready.val();
        self.read_bursts.write_data[0].next = self.ar_address.val();
        self.read_bursts.write_data[1].next = bit_cast::<32, 8>(self.ar_length.val());
        self.read_bursts.write_data[2].next = 0.into();
        if self.ar_id.val() {
            self.read_bursts.write_data[2].next = 1.into();
        }
        self.write_bursts.clock.next = self.clock.val();
        self.write_bursts.reset.next = self.reset.val();
        self.write_bursts.write_valid.next = self.aw_valid.val();
        self.aw_ready.next = self.write_bursts.write_ready.val();
        self.write_bursts.write_data[0].next = self.aw_address.val();
        self.write_bursts.write_data[1].next = bit_cast::<32, 8>(self.aw_length.val());

        // Cutters.
        self.read_cutter.clock.next = self.clock.val();
        self.read_cutter.reset.next = self.reset.val();
        self.read_cutter.burst_valid.next = self.read_bursts.read_valid.val();
        self.read_bursts.read_ready.next = self.read_cutter.burst_ready.val();
        self.read_cutter.burst_address.next = self.read_bursts.read_data[0].val();
        self.read_cutter.burst_length.next = self.read_bursts.read_data[1].val().get_bits::<8>(0);
        self.read_cutter.burst_id.next = self.read_bursts.read_data[2].val().get_bit(0);
        self.read_cutter.available.next = self.read_room.q.val();
        self.write_cutter.clock.next = self.clock.val();
        self.write_cutter.reset.next = self.reset.val();
        self.burst_room.next = self.unanswered.q.val() != self.bursts_unanswered.val();
        self.write_cutter.burst_valid.next = self.write_bursts.read_valid.val() & self.burst_room.val();
        self.write_bursts.read_ready.next = self.write_cutter.burst_ready.val() & self.burst_room.val();
        self.write_cutter.burst_address.next = self.write_bursts.read_data[0].val();
        self.write_cutter.burst_length.next = self.write_bursts.read_data[1].val().get_bits::<8>(0);
        self.write_cutter.burst_id.next = false;
        self.write_cutter.available.next = self.write_room.q.val();

        // A cutter's segment becomes the pending one.
        self.page_free.next = self.page.q.val() == PageState::Empty;
        self.wants_read.next = self.read_cutter.segment_valid.val();
        self.wants_write.next = self.write_cutter.segment_valid.val();
        self.write_turn.next = self.writing.q.val() ^ self.repeated.q.val();
        self.picks_write.next = self.wants_write.val() & (self.write_turn.val() | !self.wants_read.val());
        self.picks_read.next = self.wants_read.val() & !self.picks_write.val();
        self.write_taken.next = self.page_free.val() & self.picks_write.val();
        self.read_taken.next = self.page_free.val() & self.picks_read.val();
        self.write_cutter.segment_ready.next = self.write_taken.val();
        self.read_cutter.segment_ready.next = self.read_taken.val();
        if self.write_taken.val() | self.read_taken.val() {
            self.writing.d.next = self.picks_write.val();
            self.repeated.d.next = self.writing.q.val() == self.picks_write.val();
        }
        if self.page_free.val() {
            self.pending_write.d.next = self.picks_write.val();
            self.pending_outside.d.next = self.read_cutter.outside.val();
            self.pending_bank.d.next = self.read_cutter.bank.val();
            self.pending_row.d.next = self.read_cutter.row.val();
            self.pending_column.d.next = self.read_cutter.column.val();
            self.pending_beats.d.next = self.read_cutter.beats.val();
            self.pending_id.d.next = self.read_cutter.id.val();
            self.pending_ends.d.next = self.read_cutter.ends.val();
            if self.picks_write.val() {
                self.pending_outside.d.next = self.write_cutter.outside.val();
                self.pending_bank.d.next = self.write_cutter.bank.val();
                self.pending_row.d.next = self.write_cutter.row.val();
                self.pending_column.d.next = self.write_cutter.column.val();
                self.pending_beats.d.next = self.write_cutter.beats.val();
                self.pending_id.d.next = self.write_cutter.id.val();
                self.pending_ends.d.next = self.write_cutter.ends.val();
            }
        }

        // The pending segment's bank.
        self.bank_open.next = false;
        self.bank_row.next = 0.into();
        self.bank_may_activate.next = false;
        self.bank_may_precharge.next = false;
        self.all_may_precharge.next = true;
        for b in 0..self._banks {
            if self.pending_bank.q.val().index() == b {
                self.bank_open.next = self.banks[b].is_open.val();
                self.bank_row.next = self.banks[b].row.val();
                self.bank_may_activate.next = self.banks[b].may_activate.val();
                self.bank_may_precharge.next = self.banks[b].may_precharge.val();
            }
            if !self.banks[b].may_precharge.val() {
                self.all_may_precharge.next = false;
            }
        }
        self.same_row.next = self.bank_row.val() == self.pending_row.q.val();
        self.bank_in_use.next = self.active.q.val() & (self.active_bank.q.val() == self.pending_bank.q.val());

        // Which command there is in this cycle: at most one.
        self.running.next = self.chip.q.val() == ChipState::Running;
        self.column_now.next = self.active.q.val()
            & self.slot_wait.over.val()
            & (self.turn_wait.over.val() | !self.active_write.q.val());
        self.last_beat.next = self.active_beats.q.val() == 1;
        self.read_now.next =
            self.column_now.val() & !self.active_write.q.val() & !self.active_outside.q.val();
        self.write_now.next =
            self.column_now.val() & self.active_write.q.val() & !self.active_outside.q.val();
        self.precharge_now.next = self.running.val()
            & (self.page.q.val() == PageState::Conflict)
            & !self.bank_in_use.val()
            & self.bank_may_precharge.val()
            & !self.column_now.val();
        self.activate_now.next = self.running.val()
            & (self.page.q.val() == PageState::Closed)
            & self.bank_may_activate.val()
            & self.row_to_row_wait.over.val()
            & !self.column_now.val();

        // The pending segment's row.
        match self.page.q.val() {
            PageState::Empty => {
                if self.wants_read.val() | self.wants_write.val() {
                    self.page.d.next = PageState::Lookup;
                }
            }
            PageState::Lookup => {
                self.page.d.next = PageState::Conflict;
                if !self.bank_open.val() {
                    self.page.d.next = PageState::Closed;
                }
                if (self.bank_open.val() & self.same_row.val()) | self.pending_outside.q.val() {
                    self.page.d.next = PageState::Ready;
                }
            }
            PageState::Conflict => {
                if self.precharge_now.val() {
                    self.page.d.next = PageState::Closed;
                }
            }
            PageState::Closed => {
                if self.activate_now.val() {
                    self.page.d.next = PageState::Opening;
                }
            }
            PageState::Opening => {
                if self.open_wait.over.val() {
                    self.page.d.next = PageState::Ready;
                }
            }
            PageState::Ready => {
                if self.running.val() & !self.active.q.val() {
                    self.page.d.next = PageState::Empty;
                }
            }
            _ => {
                self.page.d.next = PageState::Empty;
            }
        }

        // The active segment.
        if self.column_now.val() {
            self.active_column.d.next = self.active_column.q.val() + self.words.val();
            self.active_beats.d.next = self.active_beats.q.val() - 1;
            if self.last_beat.val() {
                self.active.d.next = false;
            }
        }
        if !self.active.q.val() {
            self.active.d.next = self.running.val() & (self.page.q.val() == PageState::Ready);
            self.active_write.d.next = self.pending_write.q.val();
            self.active_outside.d.next = self.pending_outside.q.val();
            self.active_bank.d.next = self.pending_bank.q.val();
            self.active_column.d.next = self.pending_column.q.val();
            self.active_beats.d.next = self.pending_beats.q.val();
            self.active_id.d.next = self.pending_id.q.val();
            self.active_ends.d.next = self.pending_ends.q.val();
        }
        self.slot_wait.clock.next = self.clock.val();
        self.slot_wait.reset.next = self.reset.val();
        self.slot_wait.start.next = self.column_now.val();
        self.slot_wait.more.next = self.slot_more.val();
        self.turn_wait.clock.next = self.clock.val();
        self.turn_wait.reset.next = self.reset.val();
        self.turn_wait.start.next = self.column_now.val() & !self.active_write.q.val();
        self.turn_wait.more.next = self.turn_more.val();
        self.open_wait.clock.next = self.clock.val();
        self.open_wait.reset.next = self.reset.val();
        self.open_wait.start.next = self.activate_now.val();
        self.open_wait.more.next = self.open_more.val();
        self.row_to_row_wait.clock.next = self.clock.val();
        self.row_to_row_wait.reset.next = self.reset.val();
        self.row_to_row_wait.start.next = self.activate_now.val();
        self.row_to_row_wait.more.next = self.row_to_row_more.val();

        // Power-up and refresh.
        self.close_all.next = false;
        self.refresh_now.next = false;
        self.mode_now.next = false;
        self.sequence_wait.clock.next = self.clock.val();
        self.sequence_wait.reset.next = self.reset.val();
        self.sequence_wait.start.next = false;
        self.sequence_wait.more.next = self.precharge_more.val();
        self.interval.d.next = self.interval.q.val() - 1;
        self.interval_ends.next = self.interval.q.val() == 0;
        if self.interval_ends.val() {
            self.interval.d.next = self.interval_more.val();
            self.refresh_due.d.next = true;
        }
        match self.chip.q.val() {
            ChipState::Start => {
                self.sequence_wait.start.next = true;
                self.sequence_wait.more.next = self.power_up_more.val();
                self.refreshes.d.next = 0.into();
                self.chip.d.next = ChipState::PoweringUp;
            }
            ChipState::PoweringUp => {
                if self.sequence_wait.over.val() {
                    self.close_all.next = true;
                    self.sequence_wait.start.next = true;
                    self.chip.d.next = ChipState::FirstPrecharge;
                }
            }
            ChipState::FirstPrecharge => {
                if self.sequence_wait.over.val() {
                    self.refresh_now.next = true;
                    self.chip.d.next = ChipState::FirstRefreshes;
                }
            }
            ChipState::FirstRefreshes => {
                if self.sequence_wait.over.val() {
                    if self.refreshes.q.val() == self.first_refreshes.val() {
                        self.mode_now.next = true;
                        self.sequence_wait.start.next = true;
                        self.sequence_wait.more.next = self.mode_more.val();
                        self.chip.d.next = ChipState::SettingMode;
                    } else {
                        self.refresh_now.next = true;
                    }
                }
            }
            ChipState::SettingMode => {
                self.interval.d.next = self.interval_more.val();
                self.refresh_due.d.next = false;
                if self.sequence_wait.over.val() {
                    self.ready_chip.d.next = true;
                    self.chip.d.next = ChipState::Running;
                }
            }
            ChipState::Running => {
                if self.refresh_due.q.val() {
                    self.chip.d.next = ChipState::Draining;
                }
            }
            ChipState::Draining => {
                // Nothing begins in this state, so what was true a cycle ago still is.
                self.quiet.d.next = !self.active.q.val() & self.all_may_precharge.val();
                if self.quiet.q.val() {
                    self.quiet.d.next = false;
                    self.close_all.next = true;
                    self.refresh_due.d.next = false;
                    self.sequence_wait.start.next = true;
                    self.chip.d.next = ChipState::Precharging;
                }
            }
            ChipState::Precharging => {
                if self.sequence_wait.over.val() {
                    self.refresh_now.next = true;
                    self.chip.d.next = ChipState::Refreshing;
                }
            }
            ChipState::Refreshing => {
                if self.sequence_wait.over.val() {
                    self.chip.d.next = ChipState::Running;
                }
            }
            _ => {
                self.chip.d.next = ChipState::Start;
            }
        }
        if self.refresh_now.val() {
            self.refreshes.d.next = self.refreshes.q.val() + 1;
            self.sequence_wait.start.next = true;
            self.sequence_wait.more.next = self.refresh_more.val();
        }
        // All rows close: the pending one, if any, is to be opened again.
        self.row_closed.next = self.close_all.val() & !self.page_free.val() & !self.pending_outside.q.val();
        if self.row_closed.val() {
            self.page.d.next = PageState::Closed;
        }

        // Banks.
        for b in 0..self._banks {
            self.banks[b].clock.next = self.clock.val();
            self.banks[b].reset.next = self.reset.val();
            self.banks[b].activate.next = self.activate_now.val() & (self.pending_bank.q.val().index() == b);
            self.banks[b].new_row.next = self.pending_row.q.val();
            self.banks[b].precharge.next =
                self.close_all.val() | (self.precharge_now.val() & (self.pending_bank.q.val().index() == b));
            self.banks[b].read.next = self.read_now.val() & (self.active_bank.q.val().index() == b);
            self.banks[b].write.next = self.write_now.val() & (self.active_bank.q.val().index() == b);
        }

        // Command pins.
        self.pin_enable.d.next = true;
        self.pin_cs_n.d.next = true;
        self.pin_ras_n.d.next = true;
        self.pin_cas_n.d.next = true;
        self.pin_we_n.d.next = true;
        self.pin_bank.d.next = self.pending_bank.q.val();
        self.pin_address.d.next = self.pending_row.q.val();
        if self.activate_now.val() {
            self.pin_cs_n.d.next = false;
            self.pin_ras_n.d.next = false;
        }
        if self.precharge_now.val() {
            self.pin_cs_n.d.next = false;
            self.pin_ras_n.d.next = false;
            self.pin_we_n.d.next = false;
            self.pin_address.d.next = 0.into();
        }
        if self.column_now.val() {
            self.pin_cs_n.d.next = self.active_outside.q.val();
            self.pin_cas_n.d.next = false;
            self.pin_we_n.d.next = !self.active_write.q.val();
            self.pin_bank.d.next = self.active_bank.q.val();
            self.pin_address.d.next = self.active_column.q.val();
        }
        if self.close_all.val() {
            self.pin_cs_n.d.next = false;
            self.pin_ras_n.d.next = false;
            self.pin_we_n.d.next = false;
            self.pin_address.d.next = self.every_bank.val();
        }
        if self.refresh_now.val() {
            self.pin_cs_n.d.next = false;
            self.pin_ras_n.d.next = false;
            self.pin_cas_n.d.next = false;
        }
        if self.mode_now.val() {
            self.pin_cs_n.d.next = false;
            self.pin_ras_n.d.next = false;
            self.pin_cas_n.d.next = false;
            self.pin_we_n.d.next = false;
            self.pin_bank.d.next = 0.into();
            self.pin_address.d.next = self.mode.val();
        }
        self.clock_enable.next = self.pin_enable.q.val();
        self.cs_n.next = self.pin_cs_n.q.val();
        self.ras_n.next = self.pin_ras_n.q.val();
        self.cas_n.next = self.pin_cas_n.q.val();
        self.we_n.next = self.pin_we_n.q.val();
        self.address.next = self.pin_address.q.val();
        self.bank.next = self.pin_bank.q.val();
        self.initialised.next = self.ready_chip.q.val();

        // Write data: a beat leaves the FIFO with its command, the first word at once.
        self.write_beats.clock.next = self.clock.val();
        self.write_beats.reset.next = self.reset.val();
        self.write_beats.write_valid.next = self.w_valid.val();
        self.w_ready.next = self.write_beats.write_ready.val();
        self.write_beats.write_data[0].next = self.w_data.val().get_bits::<32>(0);
        self.write_beats.write_data[1].next = self.w_data.val().get_bits::<32>(32);
        self.write_beats.write_data[2].next = bit_cast::<32, 8>(self.w_strobe.val());
        self.write_beats.read_ready.next = self.column_now.val() & self.active_write.q.val();
        self.write_word.words[0].next = self.write_beats.read_data[0].val();
        self.write_word.words[1].next = self.write_beats.read_data[1].val();
        self.write_flags.next = self.write_beats.read_data[2].val().get_bits::<8>(0);
        self.data.d.next = self.data.q.val() >> self.word_shift.val();
        self.mask.d.next = self.mask.q.val() >> self.mask_shift.val();
        self.drive.d.next = self.drive.q.val() >> 1;
        if self.write_now.val() {
            self.data.d.next = self.write_word.packed.val();
            self.mask.d.next = !self.write_flags.val();
            self.drive.d.next = self.all_words.val();
        }
        self.data_out.next = self.data.q.val().get_bits::<32>(0);
        self.data_mask.next = self.mask.q.val().get_bits::<4>(0);
        self.data_out_enable.next = self.drive.q.val().get_bit(0);

        // Beats that have come, less those of segments.
        self.beat_came.next = self.w_valid.val() & self.write_beats.write_ready.val();
        self.write_reserved.d.next = 0.into();
        if self.write_taken.val() {
            self.write_reserved.d.next = bit_cast::<8, 5>(self.write_cutter.beats.val());
        }
        self.room_after.next = self.write_room.q.val() - self.write_reserved.q.val();
        self.write_room.d.next = self.room_after.val();
        if self.beat_came.val() {
            self.write_room.d.next = self.room_after.val() + 1;
        }

        // Answers to writes.
        self.answers.clock.next = self.clock.val();
        self.answers.reset.next = self.reset.val();
        self.answer_given.next = self.column_now.val()
            & self.active_write.q.val()
            & self.last_beat.val()
            & self.active_ends.q.val();
        self.answers.write_valid.next = self.answer_given.val();
        self.answers.write_data[0].next = 0.into();
        if self.active_outside.q.val() {
            self.answers.write_data[0].next = 1.into();
        }
        self.b_valid.next = self.answers.read_valid.val();
        self.answers.read_ready.next = self.b_ready.val();
        self.b_response.next = self.okay.val();
        if self.answers.read_data[0].val().get_bit(0) {
            self.b_response.next = self.error.val();
        }
        self.answer_taken.next = self.answers.read_valid.val() & self.b_ready.val();
        self.burst_begins.next =
            self.write_bursts.read_valid.val() & self.write_cutter.burst_ready.val() & self.burst_room.val();
        if self.burst_begins.val() & !self.answer_taken.val() {
            self.unanswered.d.next = self.unanswered.q.val() + 1;
        }
        if self.answer_taken.val() & !self.burst_begins.val() {
            self.unanswered.d.next = self.unanswered.q.val() - 1;
        }

        // Read data: words come in at the top, and the tag comes with the beat.
        for i in 0..8 {
            self.tag.bits[i].next = false;
        }
        self.tag.bits[0].next = self.column_now.val() & !self.active_write.q.val();
        self.tag.bits[1].next = self.last_beat.val() & self.active_ends.q.val();
        self.tag.bits[2].next = self.active_id.q.val();
        self.tag.bits[3].next = self.active_outside.q.val();
        self.tag_delay.clock.next = self.clock.val();
        self.tag_delay.value.next = self.tag.flags.val();
        self.tag_flags.next = self.tag_delay.delayed.val();
        self.sample.d.next = self.data_in.val();
        self.sampled.next = bit_cast::<64, 32>(self.sample.q.val());
        self.placed.next = self.sampled.val() << self.place_shift.val();
        self.shifted.next = self.beat.q.val() >> self.word_shift.val();
        self.beat.d.next = self.placed.val() | self.shifted.val();
        self.read_beats.clock.next = self.clock.val();
        self.read_beats.reset.next = self.reset.val();
        // Tags have no reset; those from before it are gone when the chip is ready.
        self.read_beats.write_valid.next = self.tag_flags.val().get_bit(0) & self.ready_chip.q.val();
        self.read_beats.write_data[0].next = self.beat.q.val().get_bits::<32>(0);
        self.read_beats.write_data[1].next = self.beat.q.val().get_bits::<32>(32);
        self.read_beats.write_data[2].next = bit_cast::<32, 8>(self.tag_flags.val());
        self.r_valid.next = self.read_beats.read_valid.val();
        self.read_beats.read_ready.next = self.r_ready.val();
        self.read_word.words[0].next = self.read_beats.read_data[0].val();
        self.read_word.words[1].next = self.read_beats.read_data[1].val();
        self.r_data.next = self.read_word.packed.val();
        self.read_flags.next = self.read_beats.read_data[2].val().get_bits::<8>(0);
        self.r_last.next = self.read_flags.val().get_bit(1);
        self.r_id.next = self.read_flags.val().get_bit(2);
        self.r_response.next = self.okay.val();
        if self.read_flags.val().get_bit(3) {
            self.r_response.next = self.error.val();
        }

        // Places of the read FIFO: the cutter checks two cycles after a segment was taken, when this is up to date.
        self.beat_left.next = self.read_beats.read_valid.val() & self.r_ready.val();
        self.read_reserved.d.next = 0.into();
        if self.read_taken.val() {
            self.read_reserved.d.next = bit_cast::<8, 5>(self.read_cutter.beats.val());
        }
        self.places_after.next = self.read_room.q.val() - self.read_reserved.q.val();
        self.read_room.d.next = self.places_after.val();
        if self.beat_left.val() {
            self.read_room.d.next = self.places_after.val() + 1;
        }
        if self.chip.q.val() == ChipState::Start {
            self.read_room.d.next = self.beats_buffered.val();
        }

        if !self.ready_chip.q.val() {
            self.mask.d.next = 0xff.into();
        }
        if self.reset.val() {
            self.read_reserved.d.next = 0.into();
            self.write_reserved.d.next = 0.into();
            self.write_room.d.next = 0.into();
            self.unanswered.d.next = 0.into();
            self.page.d.next = PageState::Empty;
            self.active.d.next = false;
            self.chip.d.next = ChipState::Start;
            self.ready_chip.d.next = false;
            self.refresh_due.d.next = false;
            self.quiet.d.next = false;
            self.drive.d.next = 0.into();
            self.pin_cs_n.d.next = true;
        }
    }
    fn timing(&self) -> Vec<TimingInfo> {
        describe(
            "sdram_controller",
            "A single-data-rate SDRAM chip behind an AXI4 port: open rows, the next row opened early, refresh.",
        )
    }
}
