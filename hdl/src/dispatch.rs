//! Dispatch: fetches the program, hands each command to its engine's queue, and starts and ends the run.
//!
//! ```text
//! idle --start--> run <--> barrier
//!                  |  \--> end ------> idle (done)
//!                  \-----> stop -----> idle (done, error)
//! ```
//! Fetch asks for one command (64 bytes) at a time, up to four ahead of dispatch, and always has room for what it asked for. A command's first beat holds its
//! opcode, which picks the queue; the following beats go the same way.
//! On an error nothing is dispatched or started any more (`halt`); the run ends when every engine has finished what it runs.

use crate::emit::describe;
use crate::leaves::{inputs, outputs, Fifo};
use rust_hdl_core::prelude::*;
use rust_hdl_widgets::prelude::*;

#[derive(Copy, Clone, Debug, PartialEq, LogicState)]
pub enum DispatchState {
    Idle,
    Run,
    Barrier,
    End,
    Stop,
}

/// Commands that fetch may be ahead of dispatch.
const FETCH_AHEAD: usize = 4;

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
    pub command_index: Signal<Out, Bits<32>>,
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
    // Engines.
    /// Every queue is empty and every engine idle.
    pub all_idle: Signal<In, Bit>,
    /// Every engine is idle, whatever its queue holds.
    pub engines_idle: Signal<In, Bit>,
    pub illegal: Vec<Signal<In, Bit>>,
    pub read_error: Signal<In, Bit>,
    pub write_error: Signal<In, Bit>,
    pub halt: Signal<Out, Bit>,
    commands: Fifo,
    state: DFF<DispatchState>,
    address: DFF<Bits<32>>,
    to_fetch: DFF<Bits<32>>,
    to_dispatch: DFF<Bits<32>>,
    ahead: DFF<Bits<8>>,
    unanswered: DFF<Bits<8>>,
    part: DFF<Bits<8>>,
    target: DFF<Bits<8>>,
    index: DFF<Bits<32>>,
    finished: DFF<Bit>,
    code: DFF<Bits<8>>,
    engine: DFF<Bits<4>>,
    opcode: Signal<Local, Bits<8>>,
    first_part: Signal<Local, Bit>,
    last_part: Signal<Local, Bit>,
    goes_to: Signal<Local, Bits<8>>,
    ready: Signal<Local, Bit>,
    moves: Signal<Local, Bit>,
    command_moves: Signal<Local, Bit>,
    fetch_more: Signal<Local, Bit>,
    room: Signal<Local, Bit>,
    fetch_taken: Signal<Local, Bit>,
    answered: Signal<Local, Bit>,
    fetch_idle: Signal<Local, Bit>,
    none_left: Signal<Local, Bit>,
    erring: Signal<Local, Bit>,
    stopping: Signal<Local, Bit>,
    flush: Signal<Local, Bit>,
    number: Signal<Local, Bits<4>>,
    final_part: Constant<Bits<8>>,
    command_beats: Constant<Bits<8>>,
    command_length: Constant<Bits<8>>,
    _bus_words: usize,
}

impl Dispatch {
    pub fn new(bus_words: usize) -> Self {
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
            all_idle: Signal::default(),
            engines_idle: Signal::default(),
            illegal: (0..4).map(|_| Signal::default()).collect(),
            read_error: Signal::default(),
            write_error: Signal::default(),
            halt: Signal::default(),
            commands: Fifo::new(FETCH_AHEAD * parts, bus_words),
            state: DFF::default(),
            address: DFF::default(),
            to_fetch: DFF::default(),
            to_dispatch: DFF::default(),
            ahead: DFF::default(),
            unanswered: DFF::default(),
            part: DFF::default(),
            target: DFF::default(),
            index: DFF::default(),
            finished: DFF::default(),
            code: DFF::default(),
            engine: DFF::default(),
            opcode: Signal::default(),
            first_part: Signal::default(),
            last_part: Signal::default(),
            goes_to: Signal::default(),
            ready: Signal::default(),
            moves: Signal::default(),
            command_moves: Signal::default(),
            fetch_more: Signal::default(),
            room: Signal::default(),
            fetch_taken: Signal::default(),
            answered: Signal::default(),
            fetch_idle: Signal::default(),
            none_left: Signal::default(),
            erring: Signal::default(),
            stopping: Signal::default(),
            flush: Signal::default(),
            number: Signal::default(),
            command_beats: Constant::new((parts as u64).into()),
            final_part: Constant::new((parts as u64 - 1).into()),
            command_length: Constant::new((parts as u64 - 1).into()),
            _bus_words: bus_words,
        }
    }
}

impl Logic for Dispatch {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(
            self,
            clock,
            state,
            address,
            to_fetch,
            to_dispatch,
            ahead,
            unanswered,
            part,
            target,
            index,
            finished,
            code,
            engine
        );
        self.commands.clock.next = self.clock.val();
        self.commands.reset.next = self.reset.val();
        for w in 0..self._bus_words {
            self.commands.write_data[w].next = self.beat[w].val();
            self.queue_beat[w].next = self.commands.read_data[w].val();
        }
        self.commands.write_valid.next = self.beat_valid.val();
        self.stopping.next = self.state.q.val() == DispatchState::Stop;
        self.halt.next = self.stopping.val();

        // Fetch.
        self.room.next = self.ahead.q.val() < 4;
        self.fetch_more.next = (self.state.q.val() == DispatchState::Run) & self.to_fetch.q.val().any();
        self.fetch_valid.next = self.fetch_more.val() & self.room.val();
        self.fetch_address.next = self.address.q.val();
        self.fetch_length.next = self.command_length.val();
        self.fetch_taken.next = self.fetch_more.val() & self.room.val() & self.fetch_ready.val();
        if self.fetch_taken.val() {
            self.address.d.next = self.address.q.val() + 64;
            self.to_fetch.d.next = self.to_fetch.q.val() - 1;
        }
        self.answered.next = self.beat_valid.val();
        self.fetch_idle.next = !self.unanswered.q.val().any();

        // Dispatch: the first beat of a command names its queue (0..4), or the control FSM (4), or nobody (5).
        self.opcode.next = self.commands.read_data[0].val().get_bits::<8>(0);
        self.first_part.next = self.part.q.val() == 0;
        self.last_part.next = self.part.q.val() == self.final_part.val();
        self.goes_to.next = self.target.q.val();
        if self.first_part.val() {
            match self.opcode.val().index() {
                1 => self.goes_to.next = 0.into(),
                2 => self.goes_to.next = 1.into(),
                3 => self.goes_to.next = 2.into(),
                4 => self.goes_to.next = 3.into(),
                5 => self.goes_to.next = 4.into(),
                6 => self.goes_to.next = 5.into(),
                7 => self.goes_to.next = 2.into(),
                8 => self.goes_to.next = 2.into(),
                _ => self.goes_to.next = 6.into(),
            }
        }
        self.ready.next = true;
        for e in 0..4 {
            if self.goes_to.val().index() == e {
                self.ready.next = self.queue_ready[e].val();
            }
        }
        self.moves.next =
            (self.state.q.val() == DispatchState::Run) & self.commands.read_valid.val() & self.ready.val();
        // What was fetched beyond the end of the program is thrown away.
        self.flush.next =
            (self.state.q.val() != DispatchState::Run) & (self.state.q.val() != DispatchState::Barrier);
        self.commands.read_ready.next = self.moves.val() | self.flush.val();
        for e in 0..4 {
            self.queue_valid[e].next = false;
            if self.goes_to.val().index() == e {
                self.queue_valid[e].next =
                    (self.state.q.val() == DispatchState::Run) & self.commands.read_valid.val();
            }
        }
        self.command_moves.next = self.moves.val() & self.last_part.val();
        self.none_left.next = self.to_dispatch.q.val() == 1;
        if self.moves.val() {
            self.part.d.next = self.part.q.val() + 1;
            self.target.d.next = self.goes_to.val();
        }
        if self.command_moves.val() {
            self.part.d.next = 0.into();
            self.index.d.next = self.index.q.val() + 1;
            self.to_dispatch.d.next = self.to_dispatch.q.val() - 1;
        }
        if self.fetch_taken.val() & !self.command_moves.val() {
            self.ahead.d.next = self.ahead.q.val() + 1;
        } else if self.command_moves.val() & !self.fetch_taken.val() {
            self.ahead.d.next = self.ahead.q.val() - 1;
        }
        // Beats asked for and not yet here.
        if self.fetch_taken.val() & !self.answered.val() {
            self.unanswered.d.next = self.unanswered.q.val() + self.command_beats.val();
        } else if self.fetch_taken.val() {
            self.unanswered.d.next = self.unanswered.q.val() + self.final_part.val();
        } else if self.answered.val() {
            self.unanswered.d.next = self.unanswered.q.val() - 1;
        }

        // States.
        match self.state.q.val() {
            DispatchState::Idle => {
                // After an error the host resets first: the queues still hold commands.
                if self.start.val() & (self.code.q.val() == 0) {
                    self.state.d.next = DispatchState::Run;
                    self.address.d.next = self.program_address.val();
                    self.to_fetch.d.next = self.program_commands.val();
                    self.to_dispatch.d.next = self.program_commands.val();
                    self.index.d.next = 0.into();
                    self.part.d.next = 0.into();
                    self.ahead.d.next = 0.into();
                    self.finished.d.next = false;
                    self.code.d.next = 0.into();
                    self.engine.d.next = 0.into();
                    if self.program_commands.val() == 0 {
                        self.state.d.next = DispatchState::Stop;
                        self.code.d.next = 6.into();
                        self.engine.d.next = 4.into();
                    }
                }
            }
            DispatchState::Run => {
                if self.moves.val() & self.first_part.val() & (self.goes_to.val() == 6) {
                    self.state.d.next = DispatchState::Stop;
                    self.code.d.next = 1.into();
                    self.engine.d.next = 4.into();
                }
                if self.command_moves.val() {
                    if self.goes_to.val() == 4 {
                        self.state.d.next = DispatchState::Barrier;
                    }
                    if self.goes_to.val() == 5 {
                        self.state.d.next = DispatchState::End;
                    } else if self.none_left.val() {
                        self.state.d.next = DispatchState::Stop;
                        self.code.d.next = 6.into();
                        self.engine.d.next = 4.into();
                    }
                }
            }
            DispatchState::Barrier => {
                if self.all_idle.val() {
                    self.state.d.next = DispatchState::Run;
                }
            }
            DispatchState::End => {
                if self.all_idle.val() & self.fetch_idle.val() & !self.commands.read_valid.val() {
                    self.state.d.next = DispatchState::Idle;
                    self.finished.d.next = true;
                }
            }
            DispatchState::Stop => {
                if self.engines_idle.val() & self.fetch_idle.val() & !self.commands.read_valid.val() {
                    self.state.d.next = DispatchState::Idle;
                    self.finished.d.next = true;
                }
            }
            _ => {}
        }

        // Errors of the engines and of memory stop the run; the first one is kept.
        self.erring.next = self.illegal[0].val()
            | self.illegal[1].val()
            | self.illegal[2].val()
            | self.illegal[3].val()
            | self.read_error.val()
            | self.write_error.val()
            | (self.beat_valid.val() & self.beat_error.val());
        if self.erring.val() & (self.code.q.val() == 0) {
            self.state.d.next = DispatchState::Stop;
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
            } else if self.read_error.val() {
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
            _ => self.number.next = 0.into(),
        }
        self.state_number.next = self.number.val();
        self.busy.next = self.number.val().any();
        self.done.next = self.finished.q.val();
        self.status_code.next = self.code.q.val();
        self.status_engine.next = self.engine.q.val();
        self.command_index.next = self.index.q.val();
        if self.reset.val() {
            self.state.d.next = DispatchState::Idle;
            self.part.d.next = 0.into();
            self.ahead.d.next = 0.into();
            self.unanswered.d.next = 0.into();
            self.finished.d.next = false;
            self.code.d.next = 0.into();
            self.engine.d.next = 0.into();
        }
    }
    fn timing(&self) -> Vec<TimingInfo> {
        describe(
            "dispatch",
            "Fetches the program and hands each command to its engine's queue; starts and ends the run.",
        )
    }
}
