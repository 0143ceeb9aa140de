//! Dispatch: fetches the program, hands each command to its engine's queue, executes the control commands, and starts and ends the run.
//!
//! ```text
//! idle --start--> run <--> barrier, patch, jump
//!                  |  \--> end ------> idle (done)
//!                  \-----> stop -----> idle (done, error)
//! ```
//! Fetch asks for one command (64 bytes) at a time, up to four ahead of dispatch, and always has room for what it asked for. A command's first beat holds its
//! opcode, which picks the queue; the following beats go the same way. The opcode is decoded on the way into the *head*, the first register of a skid
//! buffer behind the queue of fetched beats, so that what follows depends on registers only.
//!
//! Scalars: `set` and `branch` read theirs while their beats pass, and write or jump with their last one. An `adjust` passes two words (a patch) a cycle;
//! the amounts come out of a pipeline behind. In `patch`, the next command goes to its queue by way of a register that holds a beat until all patches of
//! its words are added: one is chosen each cycle, and added in the next. So a command with n patches, which lie in b beats, takes n + b + 1 cycles more
//! than another, and up to two if its `adjust` has just passed.
//! `jump` takes one cycle: what was fetched is forgotten, and what was asked for is dropped when it comes.
//! On an error nothing is dispatched or started any more (`halt`); the run ends when every engine has finished what it runs.

use crate::emit::describe;
use crate::leaves::{inputs, outputs, Fifo, PackBytes, PackFlags, PatchAmount, PatchWord, SkidBuffer};
use frugal_isa::command::Patch;
use rust_hdl_core::prelude::*;
use rust_hdl_widgets::prelude::*;

#[derive(Copy, Clone, Debug, PartialEq, LogicState)]
pub enum DispatchState {
    Idle,
    Run,
    Barrier,
    End,
    Stop,
    /// The next command is patched on its way.
    Patch,
    /// A branch is taken.
    Jump,
}

/// Commands that fetch may be ahead of dispatch.
const FETCH_AHEAD: usize = 4;
/// The same where engines have no queues.
const SHORT_FETCH_AHEAD: usize = 2;

#[derive(LogicBlock)]
pub struct Dispatch {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    // Host.
    pub start: Signal<In, Bit>,
    pub program_address: Signal<In, Bits<32>>,
    pub program_commands: Signal<In, Bits<32>>,
    pub busy: Signal<Out, Bit>,
    pub done: Signal<Out, Bit>,
    pub status_code: Signal<Out, Bits<8>>,
    pub status_engine: Signal<Out, Bits<4>>,
    /// Program index of the next command, or of an illegal one.
    pub command_index: Signal<Out, Bits<32>>,
    /// Commands dispatched since the start.
    pub dispatched: Signal<Out, Bits<32>>,
    pub state_number: Signal<Out, Bits<4>>,
    // Fetch.
    pub fetch_valid: Signal<Out, Bit>,
    pub fetch_ready: Signal<In, Bit>,
    pub fetch_address: Signal<Out, Bits<32>>,
    pub fetch_length: Signal<Out, Bits<8>>,
    pub beat_valid: Signal<In, Bit>,
    pub beat: Vec<Signal<In, Bits<32>>>,
    pub beat_error: Signal<In, Bit>,
    // Queues: load, matrix, vector, store.
    pub queue_beat: Vec<Signal<Out, Bits<32>>>,
    pub queue_valid: Vec<Signal<Out, Bit>>,
    pub queue_ready: Vec<Signal<In, Bit>>,
    // Scalar memory: data one cycle after the address.
    pub scalars_clearing: Signal<In, Bit>,
    pub scalar_read_address: Signal<Out, Bits<8>>,
    pub scalar_read_data: Signal<In, Bits<32>>,
    pub scalar_write_valid: Signal<Out, Bit>,
    pub scalar_write_ready: Signal<In, Bit>,
    pub scalar_write_address: Signal<Out, Bits<8>>,
    pub scalar_write_data: Signal<Out, Bits<32>>,
    // Engines.
    /// For each engine: its queue is empty and it is idle.
    pub idle: Vec<Signal<In, Bit>>,
    /// Every engine is idle, whatever its queue holds.
    pub engines_idle: Signal<In, Bit>,
    pub illegal: Vec<Signal<In, Bit>>,
    pub read_error: Signal<In, Bit>,
    pub write_error: Signal<In, Bit>,
    pub halt: Signal<Out, Bit>,
    commands: Fifo,
    // The beat at the head, and where it goes.
    heads: SkidBuffer,
    kind_bits: PackFlags,
    queue_bits: PackFlags,
    head_pack: PackBytes,
    /// Part of the command, and the kind of its first beat, of the beat that will be the next head.
    coming_part: DFF<Bits<4>>,
    coming_first: DFF<Bit>,
    coming_kind: DFF<Bits<4>>,
    state: DFF<DispatchState>,
    // What the state is, known without a decoder: everything that moves waits for one of these.
    started: DFF<Bit>,
    running: DFF<Bit>,
    patching: DFF<Bit>,
    /// What is patched is offered to the queues, not what is at the head.
    offers_work: DFF<Bit>,
    jumping: DFF<Bit>,
    stopping: DFF<Bit>,
    /// What was fetched beyond the end of the program is thrown away.
    flush: DFF<Bit>,
    address: DFF<Bits<32>>,
    to_fetch: DFF<Bits<32>>,
    none_to_fetch: DFF<Bit>,
    /// A request is offered.
    asking: DFF<Bit>,
    to_dispatch: DFF<Bits<32>>,
    ahead: DFF<Bits<4>>,
    unanswered: DFF<Bits<8>>,
    part: DFF<Bits<4>>,
    first_part: DFF<Bit>,
    last_part: DFF<Bit>,
    /// The queue that the beats before went to, or a set.
    target_queue: Vec<DFF<Bit>>,
    target_sets: DFF<Bit>,
    index: DFF<Bits<32>>,
    finished: DFF<Bit>,
    code: DFF<Bits<8>>,
    engine: DFF<Bits<4>>,
    count: DFF<Bits<32>>,
    /// Where the program is, whatever the host writes meanwhile.
    origin: DFF<Bits<32>>,
    total: DFF<Bits<32>>,
    /// Beats asked for that a jump has made useless.
    dropping: DFF<Bits<8>>,
    // Control commands.
    waited: DFF<Bits<4>>,
    operands: DFF<Bits<32>>,
    number_word: DFF<Bits<32>>,
    target_word: DFF<Bits<32>>,
    sum: DFF<Bits<32>>,
    below: DFF<Bit>,
    /// A cycle late: commands take several.
    none_left: DFF<Bit>,
    in_program: DFF<Bit>,
    /// A command has passed in the cycle before.
    moved: DFF<Bit>,
    // Patches: taken in a pair of words a cycle.
    pair: DFF<Bits<3>>,
    patch_word: Vec<DFF<Bits<4>>>,
    patch_part: Vec<DFF<Bits<2>>>,
    patch_amount: Vec<DFF<Bits<32>>>,
    patch_pending: Vec<DFF<Bit>>,
    /// Patches of the beat that is patched, not chosen yet.
    due: Vec<DFF<Bit>>,
    /// Number of the patch at each stage of the amount's pipeline, counted from 1.
    arriving: Vec<DFF<Bits<3>>>,
    amounts: PatchAmount,
    // The beat that is patched.
    work: Vec<DFF<Bits<32>>>,
    work_full: DFF<Bit>,
    work_complete: DFF<Bit>,
    // The patch that is added to it.
    adding: DFF<Bit>,
    /// No patch of it is due.
    clean: DFF<Bit>,
    /// Beats may be loaded to be patched: there are more, and the amounts will be known when they are chosen.
    may_load: DFF<Bit>,
    read_failed: DFF<Bit>,
    added_amount: DFF<Bits<32>>,
    added_part: DFF<Bits<2>>,
    added_lane: DFF<Bits<4>>,
    patcher: PatchWord,
    opcode: Signal<Local, Bits<8>>,
    of_row_engine: Signal<Local, Bit>,
    next_state: Signal<Local, DispatchState>,
    kind: Signal<Local, Bits<4>>,
    passes: Signal<Local, Bit>,
    comes_now: Signal<Local, Bit>,
    next_beat: Vec<Signal<Local, Bits<32>>>,
    head_leaves: Signal<Local, Bit>,
    head_loads: Signal<Local, Bit>,
    // The beat at the head, and what its kind means: its queue; an adjust; a set.
    head: Vec<Signal<Local, Bits<32>>>,
    head_full: Signal<Local, Bit>,
    head_flags: Signal<Local, Bits<32>>,
    head_queue: Vec<Signal<Local, Bit>>,
    head_adjusts: Signal<Local, Bit>,
    head_sets: Signal<Local, Bit>,
    head_uses_scalars: Signal<Local, Bit>,
    head_is_barrier: Signal<Local, Bit>,
    head_ends: Signal<Local, Bit>,
    head_is_unknown: Signal<Local, Bit>,
    head_branches: Signal<Local, Bit>,
    ready: Signal<Local, Bit>,
    moves: Signal<Local, Bit>,
    command_moves: Signal<Local, Bit>,
    may_fetch: Signal<Local, Bit>,
    ask: Signal<Local, Bit>,
    room: Signal<Local, Bit>,
    fetch_taken: Signal<Local, Bit>,
    answered: Signal<Local, Bit>,
    next_unanswered: Signal<Local, Bits<8>>,
    fetch_idle: Signal<Local, Bit>,
    no_beats: Signal<Local, Bit>,
    erring: Signal<Local, Bit>,
    all_idle: Signal<Local, Bit>,
    unfinished: Vec<Signal<Local, Bit>>,
    barrier_done: Signal<Local, Bit>,
    engines_field: Signal<Local, Bits<4>>,
    uses_scalars: Signal<Local, Bit>,
    held: Signal<Local, Bit>,
    offered: Signal<Local, Bit>,
    is_control: Signal<Local, Bit>,
    addend: Signal<Local, Bits<32>>,
    jump_offset: Signal<Local, Bits<32>>,
    drops: Signal<Local, Bit>,
    half: Signal<Local, Bits<3>>,
    last_half: Signal<Local, Bit>,
    pair_low: Signal<Local, Bits<32>>,
    pair_high: Signal<Local, Bits<32>>,
    pair_field: Signal<Local, Bits<4>>,
    pair_part: Signal<Local, Bits<2>>,
    is_patch: Signal<Local, Bit>,
    pair_moves: Signal<Local, Bit>,
    bad_patch: Signal<Local, Bit>,
    patch_beat: Vec<Signal<Local, Bits<4>>>,
    earlier: Vec<Signal<Local, Bit>>,
    chosen_amount: Signal<Local, Bits<32>>,
    chosen_part: Signal<Local, Bits<2>>,
    chosen_lane: Signal<Local, Bits<4>>,
    arrives_clean: Signal<Local, Bit>,
    comes: Vec<Signal<Local, Bit>>,
    adjust_moves: Signal<Local, Bit>,
    work_completes: Signal<Local, Bit>,
    work_free: Signal<Local, Bit>,
    work_ready: Signal<Local, Bit>,
    work_leaves: Signal<Local, Bit>,
    work_loads: Signal<Local, Bit>,
    done_patching: Signal<Local, Bit>,
    number: Signal<Local, Bits<4>>,
    row_engine: Constant<Bit>,
    fetch_ahead: Constant<Bits<4>>,
    final_part: Constant<Bits<4>>,
    part_before_final: Constant<Bits<4>>,
    command_beats: Constant<Bits<8>>,
    command_length: Constant<Bits<8>>,
    half_mask: Constant<Bits<3>>,
    lane_mask: Constant<Bits<4>>,
    lane_bits: Constant<Bits<3>>,
    _bus_words: usize,
    _halves: usize,
    /// Beat and place of word 2.
    _second_part: usize,
    _second_word: usize,
}

/// Patches of a command, and stages of the pipeline of their amounts.
const PATCHES: usize = Patch::COUNT;
const STAGES: usize = PatchAmount::LATENCY_CYCLES as usize;

impl Dispatch {
    /// Without a row engine there are no scalars: its commands, and those that use scalars, are unknown.
    pub fn new(bus_words: usize, row_engine: bool, has_queues: bool) -> Self {
        let fetch_ahead = if has_queues { FETCH_AHEAD } else { SHORT_FETCH_AHEAD };
        let parts = frugal_isa::COMMAND_WORDS / bus_words;
        Self {
            clock: Signal::default(),
            reset: Signal::default(),
            start: Signal::default(),
            program_address: Signal::default(),
            program_commands: Signal::default(),
            busy: Signal::default(),
            done: Signal::default(),
            status_code: Signal::default(),
            status_engine: Signal::default(),
            command_index: Signal::default(),
            dispatched: Signal::default(),
            state_number: Signal::default(),
            fetch_valid: Signal::default(),
            fetch_ready: Signal::default(),
            fetch_address: Signal::default(),
            fetch_length: Signal::default(),
            beat_valid: Signal::default(),
            beat: inputs(bus_words),
            beat_error: Signal::default(),
            queue_beat: outputs(bus_words),
            queue_valid: (0..4).map(|_| Signal::default()).collect(),
            queue_ready: (0..4).map(|_| Signal::default()).collect(),
            scalars_clearing: Signal::default(),
            scalar_read_address: Signal::default(),
            scalar_read_data: Signal::default(),
            scalar_write_valid: Signal::default(),
            scalar_write_ready: Signal::default(),
            scalar_write_address: Signal::default(),
            scalar_write_data: Signal::default(),
            idle: (0..4).map(|_| Signal::default()).collect(),
            engines_idle: Signal::default(),
            illegal: (0..4).map(|_| Signal::default()).collect(),
            read_error: Signal::default(),
            write_error: Signal::default(),
            halt: Signal::default(),
            commands: Fifo::new(fetch_ahead * parts, bus_words),
            heads: SkidBuffer::new(bus_words + 1),
            kind_bits: PackFlags::default(),
            queue_bits: PackFlags::default(),
            head_pack: PackBytes::default(),
            coming_part: DFF::default(),
            coming_first: DFF::default(),
            coming_kind: DFF::default(),
            state: DFF::default(),
            started: DFF::default(),
            running: DFF::default(),
            patching: DFF::default(),
            offers_work: DFF::default(),
            jumping: DFF::default(),
            stopping: DFF::default(),
            flush: DFF::default(),
            address: DFF::default(),
            to_fetch: DFF::default(),
            none_to_fetch: DFF::default(),
            asking: DFF::default(),
            to_dispatch: DFF::default(),
            ahead: DFF::default(),
            unanswered: DFF::default(),
            part: DFF::default(),
            first_part: DFF::default(),
            last_part: DFF::default(),
            target_queue: (0..4).map(|_| DFF::default()).collect(),
            target_sets: DFF::default(),
            index: DFF::default(),
            finished: DFF::default(),
            code: DFF::default(),
            engine: DFF::default(),
            count: DFF::default(),
            origin: DFF::default(),
            total: DFF::default(),
            dropping: DFF::default(),
            waited: DFF::default(),
            operands: DFF::default(),
            number_word: DFF::default(),
            target_word: DFF::default(),
            sum: DFF::default(),
            below: DFF::default(),
            none_left: DFF::default(),
            in_program: DFF::default(),
            moved: DFF::default(),
            pair: DFF::default(),
            patch_word: (0..PATCHES).map(|_| DFF::default()).collect(),
            patch_part: (0..PATCHES).map(|_| DFF::default()).collect(),
            patch_amount: (0..PATCHES).map(|_| DFF::default()).collect(),
            patch_pending: (0..PATCHES).map(|_| DFF::default()).collect(),
            due: (0..PATCHES).map(|_| DFF::default()).collect(),
            arriving: (0..STAGES).map(|_| DFF::default()).collect(),
            amounts: PatchAmount::default(),
            work: (0..bus_words).map(|_| DFF::default()).collect(),
            work_full: DFF::default(),
            work_complete: DFF::default(),
            adding: DFF::default(),
            clean: DFF::default(),
            may_load: DFF::default(),
            read_failed: DFF::default(),
            added_amount: DFF::default(),
            added_part: DFF::default(),
            added_lane: DFF::default(),
            patcher: PatchWord::default(),
            opcode: Signal::default(),
            of_row_engine: Signal::default(),
            next_state: Signal::default(),
            kind: Signal::default(),
            passes: Signal::default(),
            comes_now: Signal::default(),
            next_beat: (0..bus_words).map(|_| Signal::default()).collect(),
            head_leaves: Signal::default(),
            head_loads: Signal::default(),
            head: (0..bus_words).map(|_| Signal::default()).collect(),
            head_full: Signal::default(),
            head_flags: Signal::default(),
            head_queue: (0..4).map(|_| Signal::default()).collect(),
            head_adjusts: Signal::default(),
            head_sets: Signal::default(),
            head_uses_scalars: Signal::default(),
            head_is_barrier: Signal::default(),
            head_ends: Signal::default(),
            head_is_unknown: Signal::default(),
            head_branches: Signal::default(),
            ready: Signal::default(),
            moves: Signal::default(),
            command_moves: Signal::default(),
            may_fetch: Signal::default(),
            ask: Signal::default(),
            room: Signal::default(),
            fetch_taken: Signal::default(),
            answered: Signal::default(),
            next_unanswered: Signal::default(),
            fetch_idle: Signal::default(),
            no_beats: Signal::default(),
            erring: Signal::default(),
            all_idle: Signal::default(),
            unfinished: (0..4).map(|_| Signal::default()).collect(),
            barrier_done: Signal::default(),
            engines_field: Signal::default(),
            uses_scalars: Signal::default(),
            held: Signal::default(),
            offered: Signal::default(),
            is_control: Signal::default(),
            addend: Signal::default(),
            jump_offset: Signal::default(),
            drops: Signal::default(),
            half: Signal::default(),
            last_half: Signal::default(),
            pair_low: Signal::default(),
            pair_high: Signal::default(),
            pair_field: Signal::default(),
            pair_part: Signal::default(),
            is_patch: Signal::default(),
            pair_moves: Signal::default(),
            bad_patch: Signal::default(),
            patch_beat: (0..PATCHES).map(|_| Signal::default()).collect(),
            earlier: (0..PATCHES + 1).map(|_| Signal::default()).collect(),
            chosen_amount: Signal::default(),
            chosen_part: Signal::default(),
            chosen_lane: Signal::default(),
            arrives_clean: Signal::default(),
            comes: (0..PATCHES).map(|_| Signal::default()).collect(),
            adjust_moves: Signal::default(),
            work_completes: Signal::default(),
            work_free: Signal::default(),
            work_ready: Signal::default(),
            work_leaves: Signal::default(),
            work_loads: Signal::default(),
            done_patching: Signal::default(),
            number: Signal::default(),
            row_engine: Constant::new(row_engine),
            fetch_ahead: Constant::new((fetch_ahead as u64).into()),
            command_beats: Constant::new((parts as u64).into()),
            final_part: Constant::new((parts as u64 - 1).into()),
            part_before_final: Constant::new((parts as u64 - 2).into()),
            command_length: Constant::new((parts as u64 - 1).into()),
            half_mask: Constant::new((bus_words as u64 / 2 - 1).into()),
            lane_bits: Constant::new(u64::from(bus_words.ilog2()).into()),
            lane_mask: Constant::new((bus_words as u64 - 1).into()),
            _bus_words: bus_words,
            _halves: bus_words / 2,
            _second_part: 2 / bus_words,
            _second_word: 2 % bus_words,
        }
    }
}

impl Logic for Dispatch {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(
            self,
            clock,
            coming_part,
            coming_first,
            coming_kind,
            state,
            started,
            running,
            patching,
            offers_work,
            jumping,
            stopping,
            flush,
            address,
            to_fetch,
            none_to_fetch,
            asking,
            to_dispatch,
            ahead,
            unanswered,
            part,
            first_part,
            last_part,
            target_sets,
            index,
            finished,
            code,
            engine,
            count,
            origin,
            total,
            dropping,
            waited,
            operands,
            number_word,
            target_word,
            sum,
            below,
            none_left,
            in_program,
            moved,
            pair,
            work_full,
            work_complete,
            adding,
            clean,
            may_load,
            read_failed,
            added_amount,
            added_part,
            added_lane
        );
        for i in 0..6 {
            self.patch_word[i].clock.next = self.clock.val();
            self.patch_word[i].d.next = self.patch_word[i].q.val();
            self.patch_part[i].clock.next = self.clock.val();
            self.patch_part[i].d.next = self.patch_part[i].q.val();
            self.patch_amount[i].clock.next = self.clock.val();
            self.patch_amount[i].d.next = self.patch_amount[i].q.val();
            self.patch_pending[i].clock.next = self.clock.val();
            self.patch_pending[i].d.next = self.patch_pending[i].q.val();
            self.due[i].clock.next = self.clock.val();
            self.due[i].d.next = self.due[i].q.val();
        }
        for s in 0..4 {
            self.arriving[s].clock.next = self.clock.val();
        }
        self.amounts.clock.next = self.clock.val();
        self.commands.clock.next = self.clock.val();
        for e in 0..4 {
            self.target_queue[e].clock.next = self.clock.val();
            self.target_queue[e].d.next = self.target_queue[e].q.val();
        }
        self.next_state.next = self.state.q.val();
        self.commands.reset.next = self.reset.val() | self.jumping.q.val();
        for w in 0..self._bus_words {
            self.work[w].clock.next = self.clock.val();
            self.work[w].d.next = self.work[w].q.val();
            self.commands.write_data[w].next = self.beat[w].val();
            self.queue_beat[w].next = self.head[w].val();
            if self.offers_work.q.val() {
                self.queue_beat[w].next = self.work[w].q.val();
            }
        }
        self.drops.next = self.dropping.q.val().any();
        // A beat goes past the queue when that is empty and there is room behind it.
        self.passes.next = !self.commands.read_valid.val() & self.heads.write_ready.val();
        self.commands.write_valid.next = self.beat_valid.val() & !self.drops.val() & !self.passes.val();
        self.comes_now.next = self.commands.read_valid.val() | (self.beat_valid.val() & !self.drops.val());
        for w in 0..self._bus_words {
            self.next_beat[w].next = self.beat[w].val();
            if self.commands.read_valid.val() {
                self.next_beat[w].next = self.commands.read_data[w].val();
            }
        }
        self.halt.next = self.stopping.q.val();

        // Fetch: a command is asked for in one cycle, and the request offered from the next on.
        self.room.next = self.ahead.q.val() < self.fetch_ahead.val();
        self.may_fetch.next = self.running.q.val() | self.patching.q.val();
        self.ask.next =
            self.may_fetch.val() & !self.asking.q.val() & !self.none_to_fetch.q.val() & self.room.val();
        self.fetch_valid.next = self.asking.q.val();
        self.fetch_address.next = self.address.q.val();
        self.fetch_length.next = self.command_length.val();
        self.fetch_taken.next = self.asking.q.val() & self.fetch_ready.val();
        self.none_to_fetch.d.next = self.to_fetch.q.val() == 0;
        if self.ask.val() {
            self.asking.d.next = true;
            self.to_fetch.d.next = self.to_fetch.q.val() - 1;
            self.none_to_fetch.d.next = self.to_fetch.q.val() == 1;
        }
        if self.fetch_taken.val() {
            self.asking.d.next = false;
            self.address.d.next = self.address.q.val() + 64;
        }
        self.answered.next = self.beat_valid.val();
        self.fetch_idle.next = !self.unanswered.q.val().any() & !self.asking.q.val();
        self.no_beats.next = !self.commands.read_valid.val() & !self.head_full.val();

        // Head: the first beat of a command names its queue (0..4), or a command of control (4 barrier, 5 end, 7 adjust, 8 set, 9 branch), or nobody (6).
        self.opcode.next = self.next_beat[0].val().get_bits::<8>(0);
        self.kind.next = self.coming_kind.q.val();
        self.uses_scalars.next = false;
        if self.coming_first.q.val() {
            match self.opcode.val().index() {
                1 => self.kind.next = 0.into(),
                2 => self.kind.next = 1.into(),
                3 => self.kind.next = 2.into(),
                4 => self.kind.next = 3.into(),
                5 => self.kind.next = 4.into(),
                6 => self.kind.next = 5.into(),
                7 => self.kind.next = 2.into(),
                8 => self.kind.next = 2.into(),
                9 => self.kind.next = 7.into(),
                10 => self.kind.next = 8.into(),
                11 => self.kind.next = 9.into(),
                _ => self.kind.next = 6.into(),
            }
            match self.opcode.val().index() {
                8 => self.uses_scalars.next = true,
                9 => self.uses_scalars.next = true,
                10 => self.uses_scalars.next = true,
                11 => self.uses_scalars.next = true,
                _ => self.uses_scalars.next = false,
            }
        }
        self.of_row_engine.next = self.opcode.val().get_bit(3);
        if self.coming_first.q.val() & self.of_row_engine.val() & !self.row_engine.val() {
            self.kind.next = 6.into();
        }
        for e in 0..4 {
            self.queue_bits.bits[e].next = self.kind.val().index() == e;
            self.queue_bits.bits[e + 4].next = false;
        }
        self.kind_bits.bits[0].next = self.kind.val() == 4;
        self.kind_bits.bits[1].next = self.kind.val() == 5;
        self.kind_bits.bits[2].next = self.kind.val() == 6;
        self.kind_bits.bits[3].next = self.kind.val() == 7;
        self.kind_bits.bits[4].next = self.kind.val() == 8;
        self.kind_bits.bits[5].next = self.kind.val() == 9;
        self.kind_bits.bits[6].next = self.uses_scalars.val();
        self.kind_bits.bits[7].next = self.kind.val() >= 4;
        self.head_pack.bytes[0].next = self.kind_bits.flags.val();
        self.head_pack.bytes[1].next = self.queue_bits.flags.val();
        self.head_pack.bytes[2].next = 0.into();
        self.head_pack.bytes[3].next = 0.into();
        self.heads.clock.next = self.clock.val();
        self.heads.reset.next = self.reset.val() | self.jumping.q.val();
        self.heads.write_valid.next = self.comes_now.val();
        self.commands.read_ready.next = self.heads.write_ready.val();
        self.head_loads.next = self.comes_now.val() & self.heads.write_ready.val();
        if self.head_loads.val() {
            self.coming_kind.d.next = self.kind.val();
            self.coming_part.d.next = self.coming_part.q.val() + 1;
            self.coming_first.d.next = false;
            if self.coming_part.q.val() == self.final_part.val() {
                self.coming_part.d.next = 0.into();
                self.coming_first.d.next = true;
            }
        }
        if self.jumping.q.val() {
            self.coming_part.d.next = 0.into();
            self.coming_first.d.next = true;
        }
        for words in self._bus_words..(self._bus_words + 1) {
            for w in 0..self._bus_words {
                self.heads.write_data[w].next = self.next_beat[w].val();
                self.head[w].next = self.heads.read_data[w].val();
            }
            self.heads.write_data[words].next = self.head_pack.word.val();
            self.head_flags.next = self.heads.read_data[words].val();
        }
        self.head_full.next = self.heads.read_valid.val();
        self.head_is_barrier.next = self.head_flags.val().get_bit(0);
        self.head_ends.next = self.head_flags.val().get_bit(1);
        self.head_is_unknown.next = self.head_flags.val().get_bit(2);
        self.head_adjusts.next = self.head_flags.val().get_bit(3);
        self.head_sets.next = self.head_flags.val().get_bit(4);
        self.head_branches.next = self.head_flags.val().get_bit(5);
        self.head_uses_scalars.next = self.head_flags.val().get_bit(6);
        // Every kind from 4 on stays here.
        self.is_control.next = self.head_flags.val().get_bit(7);
        for e in 0..4 {
            self.head_queue[e].next = self.head_flags.val().get_bit(e + 8);
        }
        self.heads.read_ready.next = self.head_leaves.val();

        // Dispatch.
        self.ready.next = true;
        for e in 0..4 {
            if self.head_queue[e].val() & !self.queue_ready[e].val() {
                self.ready.next = false;
            }
        }
        if self.head_adjusts.val() & !self.last_half.val() {
            self.ready.next = false;
        }
        if self.head_sets.val() & self.last_part.q.val() & !self.scalar_write_ready.val() {
            self.ready.next = false;
        }
        self.held.next = self.head_uses_scalars.val() & self.scalars_clearing.val();
        self.offered.next = self.running.q.val() & self.head_full.val() & !self.held.val();
        self.moves.next = self.offered.val() & self.ready.val();
        if self.flush.q.val() {
            self.asking.d.next = false;
        }
        self.head_leaves.next = self.moves.val() | self.work_loads.val() | self.flush.q.val();
        for e in 0..4 {
            self.queue_valid[e].next = false;
            if self.patching.q.val() {
                self.queue_valid[e].next =
                    self.target_queue[e].q.val() & self.work_full.q.val() & self.clean.q.val();
            } else if self.head_queue[e].val() {
                self.queue_valid[e].next = self.offered.val();
            }
        }
        self.done_patching.next = self.work_leaves.val() & self.work_complete.q.val();
        self.command_moves.next = (self.moves.val() & self.last_part.q.val()) | self.done_patching.val();
        self.none_left.d.next = self.to_dispatch.q.val() == 1;
        if self.moves.val() | self.work_loads.val() {
            self.part.d.next = self.part.q.val() + 1;
            self.first_part.d.next = self.last_part.q.val();
            self.last_part.d.next = self.part.q.val() == self.part_before_final.val();
            self.target_sets.d.next = self.head_sets.val();
            for e in 0..4 {
                self.target_queue[e].d.next = self.head_queue[e].val();
            }
            if self.last_part.q.val() {
                self.part.d.next = 0.into();
            }
        }
        // Counted a cycle later; a command takes several.
        self.moved.d.next = self.command_moves.val();
        if self.moved.q.val() {
            self.count.d.next = self.count.q.val() + 1;
            self.index.d.next = self.index.q.val() + 1;
            self.to_dispatch.d.next = self.to_dispatch.q.val() - 1;
        }
        if self.ask.val() & !self.command_moves.val() {
            self.ahead.d.next = self.ahead.q.val() + 1;
        } else if self.command_moves.val() & !self.ask.val() {
            self.ahead.d.next = self.ahead.q.val() - 1;
        }

        // Operands of control commands, as their beats pass.
        self.engines_field.next = self.head[0].val().get_bits::<4>(16);
        if self.moves.val() & self.first_part.q.val() {
            if self.row_engine.val() {
                self.operands.d.next = self.head[1].val();
            }
            self.waited.d.next = self.engines_field.val();
            if self.engines_field.val() == 0 {
                self.waited.d.next = 15.into();
            }
        }
        for p in self._second_part..(self._second_part + 1) {
            for w in self._second_word..(self._second_word + 1) {
                if self.moves.val() & (self.part.q.val().index() == p) & self.row_engine.val() {
                    self.number_word.d.next = self.head[w].val();
                    self.target_word.d.next = self.head[w + 1].val();
                }
            }
        }
        // The scalar is there two cycles after the first beat, its sum and comparison three: with the last beat at the earliest.
        self.addend.next = 0.into();
        if self.operands.q.val().get_bit(16) {
            self.addend.next = self.scalar_read_data.val();
        }
        self.sum.d.next = self.number_word.q.val() + self.addend.val();
        self.below.d.next = self.scalar_read_data.val() < self.number_word.q.val();
        self.scalar_read_address.next = self.operands.q.val().get_bits::<8>(0);
        if self.target_sets.q.val() {
            self.scalar_read_address.next = self.operands.q.val().get_bits::<8>(8);
        }
        if self.head_adjusts.val() {
            self.scalar_read_address.next = self.pair_high.val().get_bits::<8>(0);
        }
        self.scalar_write_valid.next = self.offered.val() & self.last_part.q.val() & self.head_sets.val();
        self.scalar_write_address.next = self.operands.q.val().get_bits::<8>(0);
        self.scalar_write_data.next = self.sum.q.val();

        // Patches, as an adjust passes: words 2 and 3 are the first, words 12 and 13 the last.
        self.half.next = self.pair.q.val() & self.half_mask.val();
        self.last_half.next = self.half.val() == self.half_mask.val();
        self.pair_low.next = self.head[0].val();
        self.pair_high.next = self.head[1].val();
        for h in 1..self._halves {
            if self.half.val().index() == h {
                self.pair_low.next = self.head[h * 2].val();
                self.pair_high.next = self.head[h * 2 + 1].val();
            }
        }
        self.pair_moves.next = self.offered.val() & self.head_adjusts.val() & self.row_engine.val();
        if self.pair_moves.val() {
            self.pair.d.next = self.pair.q.val() + 1;
        }
        self.pair_field.next = self.pair_high.val().get_bits::<4>(18);
        self.pair_part.next = self.pair_high.val().get_bits::<2>(22);
        self.is_patch.next = self.pair_moves.val()
            & self.pair_part.val().any()
            & self.pair.q.val().any()
            & (self.pair.q.val() != 7);
        self.bad_patch.next = self.is_patch.val() & (self.pair_field.val() == 0);
        self.amounts.add.next = self.pair_low.val().get_bits::<16>(0);
        self.amounts.multiplier.next = self.pair_low.val().get_bits::<16>(16);
        self.amounts.shift.next = self.pair_high.val().get_bits::<5>(8);
        self.amounts.keep.next = self.pair_high.val().get_bits::<5>(13);
        self.amounts.scalar.next = self.scalar_read_data.val();
        self.arriving[0].d.next = 0.into();
        if self.is_patch.val() {
            self.arriving[0].d.next = self.pair.q.val();
        }
        for s in 1..4 {
            self.arriving[s].d.next = self.arriving[s - 1].q.val();
        }
        self.adjust_moves.next =
            self.moves.val() & self.last_part.q.val() & self.head_adjusts.val() & self.row_engine.val();
        self.work_completes.next =
            self.work_complete.q.val() | (self.work_loads.val() & self.last_part.q.val());
        self.may_load.d.next = (self.patching.q.val() | self.adjust_moves.val())
            & !self.work_completes.val()
            & !self.is_patch.val()
            & !self.arriving[0].q.val().any()
            & !self.arriving[1].q.val().any();
        for i in 0..6 {
            if self.is_patch.val() & (self.pair.q.val().index() == i + 1) {
                self.patch_word[i].d.next = self.pair_field.val();
                self.patch_part[i].d.next = self.pair_part.val();
                self.patch_pending[i].d.next = true;
            }
            if self.arriving[3].q.val().index() == i + 1 {
                self.patch_amount[i].d.next = self.amounts.amount.val();
            }
        }

        // The beat that is patched: the first pending patch of its words is chosen, if there is one, and added a cycle later; then on to the queue.
        self.earlier[0].next = false;
        self.chosen_amount.next = 0.into();
        self.chosen_part.next = 0.into();
        self.chosen_lane.next = 0.into();
        for i in 0..6 {
            self.patch_beat[i].next = self.patch_word[i].q.val() >> self.lane_bits.val();
            self.comes[i].next =
                self.patch_pending[i].q.val() & (self.patch_beat[i].val() == self.part.q.val());
            self.earlier[i + 1].next = self.earlier[i].val() | self.due[i].q.val();
            if self.due[i].q.val() & !self.earlier[i].val() {
                self.chosen_amount.next = self.patch_amount[i].q.val();
                self.chosen_part.next = self.patch_part[i].q.val();
                self.chosen_lane.next = self.patch_word[i].q.val() & self.lane_mask.val();
                if self.patching.q.val() & self.work_full.q.val() {
                    self.patch_pending[i].d.next = false;
                    self.due[i].d.next = false;
                }
            }
        }
        self.clean.d.next = !self.earlier[6].val();
        self.arrives_clean.next = !self.comes[0].val()
            & !self.comes[1].val()
            & !self.comes[2].val()
            & !self.comes[3].val()
            & !self.comes[4].val()
            & !self.comes[5].val();
        self.adding.d.next = self.earlier[6].val() & self.patching.q.val() & self.work_full.q.val();
        self.added_amount.d.next = self.chosen_amount.val();
        self.added_part.d.next = self.chosen_part.val();
        self.added_lane.d.next = self.chosen_lane.val();
        self.patcher.word.next = self.work[0].q.val();
        for w in 1..self._bus_words {
            if self.added_lane.q.val().index() == w {
                self.patcher.word.next = self.work[w].q.val();
            }
        }
        self.patcher.amount.next = self.added_amount.q.val();
        self.patcher.part.next = self.added_part.q.val();
        self.work_ready.next = false;
        for e in 0..4 {
            if self.target_queue[e].q.val() & self.queue_ready[e].val() {
                self.work_ready.next = true;
            }
        }
        self.work_leaves.next =
            self.patching.q.val() & self.work_full.q.val() & self.clean.q.val() & self.work_ready.val();
        self.work_free.next = !self.work_full.q.val() | (self.clean.q.val() & self.work_ready.val());
        self.work_loads.next = self.may_load.q.val() & self.head_full.val() & self.work_free.val();
        if self.adding.q.val() {
            for w in 0..self._bus_words {
                if self.added_lane.q.val().index() == w {
                    self.work[w].d.next = self.patcher.patched.val();
                }
            }
        }
        if self.work_leaves.val() {
            self.work_full.d.next = false;
        }
        if self.work_loads.val() {
            self.work_full.d.next = true;
            self.work_complete.d.next = self.last_part.q.val();
        }
        // Whatever is at the head, for nobody looks at it unless it is loaded.
        if self.work_free.val() {
            self.clean.d.next = self.arrives_clean.val();
            for i in 0..6 {
                self.due[i].d.next = self.comes[i].val();
            }
            for w in 0..self._bus_words {
                self.work[w].d.next = self.head[w].val();
            }
        }

        // Beats asked for and not yet here.
        self.next_unanswered.next = self.unanswered.q.val();
        if self.fetch_taken.val() & !self.answered.val() {
            self.next_unanswered.next = self.unanswered.q.val() + self.command_beats.val();
        } else if self.fetch_taken.val() {
            self.next_unanswered.next = self.unanswered.q.val() + self.command_length.val();
        } else if self.answered.val() {
            self.next_unanswered.next = self.unanswered.q.val() - 1;
        }
        self.unanswered.d.next = self.next_unanswered.val();
        if self.drops.val() & self.answered.val() {
            self.dropping.d.next = self.dropping.q.val() - 1;
        }

        // Barriers.
        for e in 0..4 {
            self.unfinished[e].next = self.waited.q.val().get_bit(e) & !self.idle[e].val();
        }
        self.barrier_done.next = !self.unfinished[0].val()
            & !self.unfinished[1].val()
            & !self.unfinished[2].val()
            & !self.unfinished[3].val();
        self.all_idle.next =
            self.idle[0].val() & self.idle[1].val() & self.idle[2].val() & self.idle[3].val();

        // Jumps.
        self.jump_offset.next = self.target_word.q.val() << 6;
        self.in_program.d.next = self.target_word.q.val() < self.total.q.val();

        // Before a program everything stands as its start needs it, so that the start has little to do. The first command is asked for at once.
        if !self.started.q.val() {
            self.address.d.next = self.program_address.val();
            self.to_fetch.d.next = self.program_commands.val() - 1;
            self.none_to_fetch.d.next = self.program_commands.val() == 1;
            self.to_dispatch.d.next = self.program_commands.val();
            if self.row_engine.val() {
                self.origin.d.next = self.program_address.val();
                self.total.d.next = self.program_commands.val();
            }
            self.dropping.d.next = 0.into();
            self.pair.d.next = 0.into();
            self.work_full.d.next = false;
            self.work_complete.d.next = false;
            for i in 0..6 {
                self.due[i].d.next = false;
                self.patch_pending[i].d.next = false;
            }
            self.part.d.next = 0.into();
            self.first_part.d.next = true;
            self.last_part.d.next = false;
            self.coming_part.d.next = 0.into();
            self.coming_first.d.next = true;
            self.ahead.d.next = 1.into();
        }
        if self.jumping.q.val() {
            self.address.d.next = self.origin.q.val() + self.jump_offset.val();
            self.to_fetch.d.next = self.total.q.val() - self.target_word.q.val();
            self.none_to_fetch.d.next = false;
            self.asking.d.next = false;
            self.to_dispatch.d.next = self.total.q.val() - self.target_word.q.val();
            self.index.d.next = self.target_word.q.val();
            self.ahead.d.next = 0.into();
            self.dropping.d.next = self.next_unanswered.val();
        }

        // States.
        match self.state.q.val() {
            DispatchState::Idle => {
                // After an error the host resets first: the queues still hold commands.
                if self.start.val() & (self.code.q.val() == 0) {
                    self.next_state.next = DispatchState::Run;
                    self.asking.d.next = true;
                    self.count.d.next = 0.into();
                    self.index.d.next = 0.into();
                    self.finished.d.next = false;
                    self.code.d.next = 0.into();
                    self.engine.d.next = 0.into();
                    if self.program_commands.val() == 0 {
                        self.asking.d.next = false;
                        self.next_state.next = DispatchState::Stop;
                        self.code.d.next = 6.into();
                        self.engine.d.next = 4.into();
                    }
                }
            }
            DispatchState::Run => {
                if self.moves.val() & self.first_part.q.val() & self.head_is_unknown.val() {
                    self.next_state.next = DispatchState::Stop;
                    self.code.d.next = 1.into();
                    self.engine.d.next = 4.into();
                }
                if self.bad_patch.val() {
                    self.next_state.next = DispatchState::Stop;
                    self.code.d.next = 2.into();
                    self.engine.d.next = 4.into();
                }
                if self.command_moves.val() {
                    if self.head_is_barrier.val() {
                        self.next_state.next = DispatchState::Barrier;
                    }
                    if self.head_adjusts.val() & self.row_engine.val() {
                        self.next_state.next = DispatchState::Patch;
                    }
                    if self.head_ends.val() {
                        self.next_state.next = DispatchState::End;
                    } else if self.head_branches.val() & self.below.q.val() & self.row_engine.val() {
                        self.next_state.next = DispatchState::Jump;
                    } else if self.none_left.q.val() {
                        self.next_state.next = DispatchState::Stop;
                        self.code.d.next = 6.into();
                        self.engine.d.next = 4.into();
                    }
                }
            }
            DispatchState::Barrier => {
                if self.barrier_done.val() {
                    self.next_state.next = DispatchState::Run;
                }
            }
            DispatchState::Patch => {
                if self.work_loads.val() & self.first_part.q.val() & self.head_is_unknown.val() {
                    self.next_state.next = DispatchState::Stop;
                    self.code.d.next = 1.into();
                    self.engine.d.next = 4.into();
                } else if self.work_loads.val() & self.first_part.q.val() & self.is_control.val() {
                    self.next_state.next = DispatchState::Stop;
                    self.code.d.next = 2.into();
                    self.engine.d.next = 4.into();
                }
                if self.done_patching.val() {
                    self.work_complete.d.next = false;
                    self.next_state.next = DispatchState::Run;
                    if self.none_left.q.val() {
                        self.next_state.next = DispatchState::Stop;
                        self.code.d.next = 6.into();
                        self.engine.d.next = 4.into();
                    }
                }
            }
            DispatchState::Jump => {
                self.next_state.next = DispatchState::Run;
                if !self.in_program.q.val() {
                    self.next_state.next = DispatchState::Stop;
                    self.code.d.next = 6.into();
                    self.engine.d.next = 4.into();
                }
            }
            DispatchState::End => {
                if self.all_idle.val() & self.fetch_idle.val() & self.no_beats.val() {
                    self.next_state.next = DispatchState::Idle;
                    self.finished.d.next = true;
                }
            }
            DispatchState::Stop => {
                if self.engines_idle.val() & self.fetch_idle.val() & self.no_beats.val() {
                    self.next_state.next = DispatchState::Idle;
                    self.finished.d.next = true;
                }
            }
            _ => {}
        }

        // Errors of the engines and of memory stop the run; the first one is kept.
        // That of a load is taken over a cycle later; the load engine is busy for longer.
        self.read_failed.d.next = self.read_error.val();
        self.erring.next = self.illegal[0].val()
            | self.illegal[1].val()
            | self.illegal[2].val()
            | self.illegal[3].val()
            | self.read_failed.q.val()
            | self.write_error.val()
            | (self.beat_valid.val() & self.beat_error.val());
        self.state.d.next = self.next_state.val();
        self.started.d.next = self.next_state.val() != DispatchState::Idle;
        self.running.d.next = self.next_state.val() == DispatchState::Run;
        self.patching.d.next = (self.next_state.val() == DispatchState::Patch) & self.row_engine.val();
        self.offers_work.d.next = (self.next_state.val() == DispatchState::Patch) & self.row_engine.val();
        self.jumping.d.next = (self.next_state.val() == DispatchState::Jump) & self.row_engine.val();
        self.stopping.d.next = self.next_state.val() == DispatchState::Stop;
        self.flush.d.next = (self.next_state.val() == DispatchState::Idle)
            | (self.next_state.val() == DispatchState::End)
            | (self.next_state.val() == DispatchState::Stop);
        if self.erring.val() & !self.stopping.q.val() & !self.finished.q.val() {
            self.state.d.next = DispatchState::Stop;
            self.started.d.next = true;
            self.running.d.next = false;
            self.patching.d.next = false;
            self.jumping.d.next = false;
            self.stopping.d.next = true;
            self.flush.d.next = true;
            if self.illegal[0].val() {
                self.code.d.next = 2.into();
                self.engine.d.next = 0.into();
            } else if self.illegal[1].val() {
                self.code.d.next = 2.into();
                self.engine.d.next = 1.into();
            } else if self.illegal[2].val() {
                self.code.d.next = 2.into();
                self.engine.d.next = 2.into();
            } else if self.illegal[3].val() {
                self.code.d.next = 2.into();
                self.engine.d.next = 3.into();
            } else if self.read_failed.q.val() {
                self.code.d.next = 4.into();
                self.engine.d.next = 0.into();
            } else if self.write_error.val() {
                self.code.d.next = 5.into();
                self.engine.d.next = 3.into();
            } else {
                self.code.d.next = 3.into();
                self.engine.d.next = 4.into();
            }
        }
        self.number.next = 0.into();
        match self.state.q.val() {
            DispatchState::Run => self.number.next = 1.into(),
            DispatchState::Barrier => self.number.next = 2.into(),
            DispatchState::End => self.number.next = 3.into(),
            DispatchState::Stop => self.number.next = 4.into(),
            DispatchState::Patch => self.number.next = 5.into(),
            DispatchState::Jump => self.number.next = 6.into(),
            _ => self.number.next = 0.into(),
        }
        self.state_number.next = self.number.val();
        self.busy.next = self.number.val().any();
        self.done.next = self.finished.q.val();
        self.status_code.next = self.code.q.val();
        self.status_engine.next = self.engine.q.val();
        self.command_index.next = self.index.q.val();
        self.dispatched.next = self.count.q.val();
        if self.reset.val() {
            self.state.d.next = DispatchState::Idle;
            self.started.d.next = false;
            self.running.d.next = false;
            self.patching.d.next = false;
            self.jumping.d.next = false;
            self.stopping.d.next = false;
            self.flush.d.next = true;
            self.asking.d.next = false;
            self.read_failed.d.next = false;
            self.moved.d.next = false;
            self.unanswered.d.next = 0.into();
            self.finished.d.next = false;
            self.code.d.next = 0.into();
            self.engine.d.next = 0.into();
        }
    }
    fn timing(&self) -> Vec<TimingInfo> {
        describe(
            "dispatch",
            "Fetches the program, hands each command to its engine's queue and executes the control commands; starts and ends the run.",
        )
    }
}

#[cfg(test)]
mod tests {
    use frugal_isa::command::{Adjust, Barrier, Branch, Set};

    /// The literal positions above are those of the command table.
    #[test]
    fn fields_lie_where_dispatch_looks_for_them() {
        let place = |fields: &[frugal_isa::command::FieldSpec], name: &str| {
            let field = fields.iter().find(|field| field.name == name).expect("a field");
            (field.word, field.lsb, field.width)
        };
        for patch in 0..super::PATCHES {
            let of = |name: &str| place(Adjust::FIELDS, &format!("{name}_{patch}"));
            let (low, high) = (2 + 2 * patch, 3 + 2 * patch);
            assert_eq!([of("add"), of("multiplier")], [(low, 0, 16), (low, 16, 16)]);
            assert_eq!([of("scalar"), of("shift"), of("keep")], [(high, 0, 8), (high, 8, 5), (high, 13, 5)]);
            assert_eq!([of("word"), of("part")], [(high, 18, 4), (high, 22, 2)]);
        }
        assert_eq!(place(Barrier::FIELDS, "engines"), (0, 16, 4));
        let set = |name: &str| place(Set::FIELDS, name);
        assert_eq!([set("scalar"), set("source"), set("add")], [(1, 0, 8), (1, 8, 8), (1, 16, 1)]);
        assert_eq!(set("value"), (2, 0, 32));
        let branch = |name: &str| place(Branch::FIELDS, name);
        assert_eq!(
            [branch("scalar"), branch("limit"), branch("target")],
            [(1, 0, 8), (2, 0, 32), (3, 0, 32)]
        );
    }
}
