//! Command buffer: an engine's queue, the command that waits at its head, and the one that runs.
//!
//! ```text
//! dispatch --> FIFO of bus beats --> pending (16 words) --tokens--> active (16 words) --> field decoder of the engine
//! ```
//! The head command starts (`start` for one cycle) when the engine can `take` one, a token from each engine it waits for is `available`, no counter that
//! it will signal is `blocked`, and the machine is not halted. From the next cycle on `active` holds it, until the engine can take another: then the one
//! at the head is there before it starts, so that hundreds of registers do not wait for its tokens.
//!
//! A buffer of depth 1 has neither queue nor copy: the pending command is the active one, and the next one comes when the engine can take it. That saves
//! two thirds of the buffer, and an engine waits for its commands.

use crate::emit::describe;
use crate::leaves::{inputs, outputs, Fifo};
use frugal_isa::command::FieldSpec;
use rust_hdl_core::prelude::*;
use rust_hdl_widgets::prelude::*;

#[derive(LogicBlock)]
pub struct CommandBuffer {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    // From dispatch: a command is 512 bits of consecutive beats.
    pub beat: Vec<Signal<In, Bits<32>>>,
    pub beat_valid: Signal<In, Bit>,
    pub beat_ready: Signal<Out, Bit>,
    // Tokens.
    pub available: Signal<In, Bits<4>>,
    pub blocked: Signal<In, Bits<4>>,
    pub halt: Signal<In, Bit>,
    /// Tokens taken by the command that starts in this cycle.
    pub taken: Signal<Out, Bits<4>>,
    // To the engine.
    pub take: Signal<In, Bit>,
    pub start: Signal<Out, Bit>,
    pub active: Vec<Signal<Out, Bits<32>>>,
    /// The command that will be active, from the cycle of its start on.
    pub coming: Vec<Signal<Out, Bits<32>>>,
    /// Opcode of the command that starts.
    pub opcode: Signal<Out, Bits<8>>,
    /// A command waits at the head of the queue, and the engines whose tokens it lacks.
    pub waits: Signal<Out, Bit>,
    pub lacks: Signal<Out, Bits<4>>,
    /// No command is queued or pending.
    pub empty: Signal<Out, Bit>,
    /// Commands that wait, the pending one counted.
    pub level: Signal<Out, Bits<8>>,
    /// None at depth 1.
    queue: Vec<Fifo>,
    pending: Vec<DFF<Bits<32>>>,
    /// None at depth 1.
    active_words: Vec<DFF<Bits<32>>>,
    part: DFF<Bits<8>>,
    usable: DFF<Bit>,
    complete: DFF<Bit>,
    wait: Signal<Local, Bits<4>>,
    signal: Signal<Local, Bits<4>>,
    missing: Signal<Local, Bits<4>>,
    unsafe_signals: Signal<Local, Bits<4>>,
    present: Signal<Local, Bit>,
    clear: Signal<Local, Bit>,
    starting: Signal<Local, Bit>,
    /// The active command becomes the one at the head.
    follows: Signal<Local, Bit>,
    moving: Signal<Local, Bit>,
    drained: Signal<Local, Bit>,
    beats: Signal<Local, Bits<16>>,
    queued: Signal<Local, Bits<8>>,
    head: Vec<Signal<Local, Bits<32>>>,
    head_valid: Signal<Local, Bit>,
    accepts: Signal<Local, Bit>,
    goes_on: Signal<Local, Bit>,
    is_single: Constant<Bit>,
    usable_part: Constant<Bits<8>>,
    last_part: Constant<Bits<8>>,
    _active: usize,
    _queues: usize,
    _bus_words: usize,
    _parts: usize,
    _beat_shift: usize,
}

impl CommandBuffer {
    /// A queue of `depth` commands that arrive in beats of `bus_words` words. A command may start as soon as its first
    /// words, up to the last one that any of `fields` lies in, are there. `in_luts` where block RAMs have other work.
    pub fn new(depth: usize, bus_words: usize, fields: &[FieldSpec], in_luts: bool) -> Self {
        let used_words = fields.iter().map(|field| field.word + 1).max().unwrap_or(1);
        let parts = frugal_isa::COMMAND_WORDS / bus_words;
        let queues = usize::from(depth > 1);
        Self {
            clock: Signal::default(),
            reset: Signal::default(),
            beat: inputs(bus_words),
            beat_valid: Signal::default(),
            beat_ready: Signal::default(),
            available: Signal::default(),
            blocked: Signal::default(),
            halt: Signal::default(),
            taken: Signal::default(),
            take: Signal::default(),
            start: Signal::default(),
            active: outputs(frugal_isa::COMMAND_WORDS),
            coming: outputs(frugal_isa::COMMAND_WORDS),
            opcode: Signal::default(),
            waits: Signal::default(),
            lacks: Signal::default(),
            empty: Signal::default(),
            level: Signal::default(),
            queue: (0..queues).map(|_| Fifo::new(depth * parts, bus_words).in_luts(in_luts)).collect(),
            pending: (0..frugal_isa::COMMAND_WORDS).map(|_| DFF::default()).collect(),
            active_words: (0..queues * frugal_isa::COMMAND_WORDS).map(|_| DFF::default()).collect(),
            part: DFF::default(),
            usable: DFF::default(),
            complete: DFF::default(),
            wait: Signal::default(),
            signal: Signal::default(),
            missing: Signal::default(),
            unsafe_signals: Signal::default(),
            present: Signal::default(),
            clear: Signal::default(),
            starting: Signal::default(),
            follows: Signal::default(),
            moving: Signal::default(),
            drained: Signal::default(),
            beats: Signal::default(),
            queued: Signal::default(),
            usable_part: Constant::new((used_words.div_ceil(bus_words) as u64 - 1).into()),
            last_part: Constant::new((parts as u64 - 1).into()),
            head: (0..bus_words).map(|_| Signal::default()).collect(),
            head_valid: Signal::default(),
            accepts: Signal::default(),
            goes_on: Signal::default(),
            is_single: Constant::new(depth == 1),
            _active: queues * frugal_isa::COMMAND_WORDS,
            _queues: queues,
            _bus_words: bus_words,
            _parts: parts,
            _beat_shift: parts.ilog2() as usize,
        }
    }
}

impl Logic for CommandBuffer {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, part, usable, complete);
        for i in 0..16 {
            self.pending[i].clock.next = self.clock.val();
            self.pending[i].d.next = self.pending[i].q.val();
            self.active[i].next = self.pending[i].q.val();
            self.coming[i].next = self.pending[i].q.val();
        }
        for i in 0..self._active {
            self.active_words[i].clock.next = self.clock.val();
            self.active_words[i].d.next = self.active_words[i].q.val();
            self.active[i].next = self.active_words[i].q.val();
        }
        // The head of the queue, or what dispatch has. Without a queue, a command begins to arrive when nobody needs the words of the one before.
        self.goes_on.next = self.part.q.val().any();
        self.accepts.next =
            !self.complete.q.val() & (!self.is_single.val() | self.goes_on.val() | self.take.val());
        self.beat_ready.next = self.accepts.val();
        self.head_valid.next = self.beat_valid.val();
        self.beats.next = 0.into();
        for w in 0..self._bus_words {
            self.head[w].next = self.beat[w].val();
        }
        for q in 0..self._queues {
            self.queue[q].clock.next = self.clock.val();
            self.queue[q].reset.next = self.reset.val();
            self.queue[q].write_valid.next = self.beat_valid.val();
            self.queue[q].read_ready.next = self.accepts.val();
            self.beat_ready.next = self.queue[q].write_ready.val();
            self.head_valid.next = self.queue[q].read_valid.val();
            self.beats.next = self.queue[q].level.val();
            for w in 0..self._bus_words {
                self.queue[q].write_data[w].next = self.beat[w].val();
                self.head[w].next = self.queue[q].read_data[w].val();
            }
        }

        // The head command's tokens.
        self.opcode.next = self.pending[0].q.val().get_bits::<8>(0);
        self.wait.next = self.pending[0].q.val().get_bits::<4>(8);
        self.signal.next = self.pending[0].q.val().get_bits::<4>(12);
        self.missing.next = self.wait.val() & !self.available.val();
        self.unsafe_signals.next = self.signal.val() & self.blocked.val();
        self.present.next = self.missing.val() == 0;
        self.clear.next = self.unsafe_signals.val() == 0;
        self.starting.next =
            self.usable.q.val() & self.take.val() & self.present.val() & self.clear.val() & !self.halt.val();
        self.start.next = self.starting.val();
        self.waits.next = self.usable.q.val();
        self.lacks.next = 0.into();
        if self.usable.q.val() {
            self.lacks.next = self.missing.val();
        }
        self.taken.next = 0.into();
        if self.starting.val() {
            self.taken.next = self.wait.val();
            self.usable.d.next = false;
        }
        self.follows.next = self.usable.q.val() & self.take.val();
        if self.follows.val() {
            for i in 0..self._active {
                self.active_words[i].d.next = self.pending[i].q.val();
            }
        }

        // Fill the pending command part by part; the next one when this one is complete and has started.
        if self.complete.q.val() & (self.starting.val() | !self.usable.q.val()) {
            self.complete.d.next = false;
        }
        self.moving.next = self.head_valid.val() & self.accepts.val();
        if self.moving.val() {
            self.part.d.next = self.part.q.val() + 1;
            if self.part.q.val() == self.usable_part.val() {
                self.usable.d.next = true;
            }
            if self.part.q.val() == self.last_part.val() {
                self.part.d.next = 0.into();
                self.complete.d.next = true;
            }
        }
        for words in self._bus_words..(self._bus_words + 1) {
            for p in 0..self._parts {
                if self.moving.val() & (self.part.q.val().index() == p) {
                    for w in 0..self._bus_words {
                        self.pending[p * words + w].d.next = self.head[w].val();
                    }
                }
            }
        }
        for shift in self._beat_shift..(self._beat_shift + 1) {
            self.queued.next = self.beats.val().get_bits::<8>(shift);
        }
        self.level.next = self.queued.val();
        if self.usable.q.val() {
            self.level.next = self.queued.val() + 1;
        }
        self.drained.next = self.part.q.val() == 0;
        self.empty.next =
            (!self.head_valid.val() | self.is_single.val()) & !self.usable.q.val() & self.drained.val();
        if self.reset.val() {
            self.part.d.next = 0.into();
            self.usable.d.next = false;
            self.complete.d.next = false;
        }
    }
    fn timing(&self) -> Vec<TimingInfo> {
        describe(
            "command_buffer",
            "An engine's queue of commands, the pending command at its head and the active one. The pending command\n\
             becomes active when the engine takes one and its tokens are there.",
        )
    }
}
