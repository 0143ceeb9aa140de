//! Read port: shares the memory's read channels between command fetch and loads.
//!
//! Addresses: load goes before fetch, until loads have asked for four times the beats of a command since the last fetch; so commands get a fifth
//! of a bus that loads could fill, and the first operands do not wait for commands that are needed later. Chosen requests wait in a queue of two,
//! so that whoever asks depends on registers only. Fetches carry ID 0, loads ID 1.
//! Data: every beat enters a short FIFO, so that `r_ready` depends on registers only; its ID says whom it belongs to.
//! Command fetch always takes its beats (it asks only for what it has room for), so it never stands in the way of a load.

use crate::emit::describe;
use crate::leaves::{inputs, outputs, Fifo, PackBytes, PackFlags};
use rust_hdl_core::prelude::*;
use rust_hdl_widgets::prelude::*;

/// Beats of loads that may go before a fetch, in commands.
const LOAD_QUOTA: u64 = 4;

#[derive(LogicBlock)]
pub struct ReadPort {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    // Requests.
    pub fetch_valid: Signal<In, Bit>,
    pub fetch_ready: Signal<Out, Bit>,
    pub fetch_address: Signal<In, Bits<32>>,
    pub fetch_length: Signal<In, Bits<8>>,
    pub load_valid: Signal<In, Bit>,
    pub load_ready: Signal<Out, Bit>,
    pub load_address: Signal<In, Bits<32>>,
    pub load_length: Signal<In, Bits<8>>,
    // Memory.
    pub ar_valid: Signal<Out, Bit>,
    pub ar_ready: Signal<In, Bit>,
    pub ar_address: Signal<Out, Bits<32>>,
    pub ar_length: Signal<Out, Bits<8>>,
    pub ar_id: Signal<Out, Bit>,
    pub r_valid: Signal<In, Bit>,
    pub r_ready: Signal<Out, Bit>,
    pub r_data: Vec<Signal<In, Bits<32>>>,
    pub r_error: Signal<In, Bit>,
    pub r_id: Signal<In, Bit>,
    // Data.
    pub beat: Vec<Signal<Out, Bits<32>>>,
    pub beat_error: Signal<Out, Bit>,
    pub fetch_beat_valid: Signal<Out, Bit>,
    pub load_beat_valid: Signal<Out, Bit>,
    pub load_beat_ready: Signal<In, Bit>,
    requests: Fifo,
    kind: PackFlags,
    sizes: PackBytes,
    /// Beats that loads have asked for since the last fetch, up to the quota.
    since_fetch: DFF<Bits<9>>,
    /// So many that the next request is a fetch.
    fetch_turn: DFF<Bit>,
    data: Fifo,
    tag: PackFlags,
    free: Signal<Local, Bit>,
    since_next: Signal<Local, Bits<9>>,
    picks_fetch: Signal<Local, Bit>,
    load_beats: Signal<Local, Bits<9>>,
    is_load: Signal<Local, Bit>,
    quota: Constant<Bits<9>>,
    _bus_words: usize,
}

impl ReadPort {
    pub fn new(bus_words: usize) -> Self {
        Self {
            clock: Signal::default(),
            reset: Signal::default(),
            fetch_valid: Signal::default(),
            fetch_ready: Signal::default(),
            fetch_address: Signal::default(),
            fetch_length: Signal::default(),
            load_valid: Signal::default(),
            load_ready: Signal::default(),
            load_address: Signal::default(),
            load_length: Signal::default(),
            ar_valid: Signal::default(),
            ar_ready: Signal::default(),
            ar_address: Signal::default(),
            ar_length: Signal::default(),
            ar_id: Signal::default(),
            r_valid: Signal::default(),
            r_ready: Signal::default(),
            r_data: inputs(bus_words),
            r_error: Signal::default(),
            r_id: Signal::default(),
            beat: outputs(bus_words),
            beat_error: Signal::default(),
            fetch_beat_valid: Signal::default(),
            load_beat_valid: Signal::default(),
            load_beat_ready: Signal::default(),
            requests: Fifo::new(2, 2),
            kind: PackFlags::default(),
            sizes: PackBytes::default(),
            since_fetch: DFF::default(),
            fetch_turn: DFF::default(),
            data: Fifo::new(4, bus_words + 1),
            tag: PackFlags::default(),
            free: Signal::default(),
            since_next: Signal::default(),
            picks_fetch: Signal::default(),
            load_beats: Signal::default(),
            is_load: Signal::default(),
            quota: Constant::new((LOAD_QUOTA * frugal_isa::COMMAND_WORDS as u64 / bus_words as u64).into()),
            _bus_words: bus_words,
        }
    }
}

impl Logic for ReadPort {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, since_fetch, fetch_turn);
        self.free.next = self.requests.write_ready.val();
        self.load_beats.next = bit_cast::<9, 8>(self.load_length.val()) + 1;
        self.since_next.next = self.since_fetch.q.val() + self.load_beats.val();
        self.picks_fetch.next = self.fetch_valid.val() & (self.fetch_turn.q.val() | !self.load_valid.val());
        self.fetch_ready.next = self.free.val() & self.picks_fetch.val();
        // Whether there is a load does not matter to it.
        self.load_ready.next = self.free.val() & !(self.fetch_valid.val() & self.fetch_turn.q.val());
        for i in 0..8 {
            self.kind.bits[i].next = false;
        }
        self.kind.bits[0].next = !self.picks_fetch.val();
        self.sizes.bytes[0].next = self.load_length.val();
        self.sizes.bytes[1].next = self.kind.flags.val();
        self.sizes.bytes[2].next = 0.into();
        self.sizes.bytes[3].next = 0.into();
        self.requests.clock.next = self.clock.val();
        self.requests.reset.next = self.reset.val();
        self.requests.write_valid.next = self.fetch_valid.val() | self.load_valid.val();
        self.requests.write_data[0].next = self.load_address.val();
        self.requests.write_data[1].next = self.sizes.word.val();
        if self.picks_fetch.val() {
            self.requests.write_data[0].next = self.fetch_address.val();
            self.sizes.bytes[0].next = self.fetch_length.val();
        }
        if self.free.val() {
            if self.picks_fetch.val() {
                self.since_fetch.d.next = 0.into();
                self.fetch_turn.d.next = false;
            } else if self.load_valid.val() & !self.fetch_turn.q.val() {
                self.since_fetch.d.next = self.since_next.val();
                self.fetch_turn.d.next = self.since_next.val() >= self.quota.val();
            }
        }
        self.ar_valid.next = self.requests.read_valid.val();
        self.requests.read_ready.next = self.ar_ready.val();
        self.ar_address.next = self.requests.read_data[0].val();
        self.ar_length.next = self.requests.read_data[1].val().get_bits::<8>(0);
        self.ar_id.next = self.requests.read_data[1].val().get_bit(8);

        self.data.clock.next = self.clock.val();
        self.data.reset.next = self.reset.val();
        self.data.write_valid.next = self.r_valid.val();
        self.r_ready.next = self.data.write_ready.val();
        for i in 0..8 {
            self.tag.bits[i].next = false;
        }
        self.tag.bits[0].next = self.r_id.val();
        self.tag.bits[1].next = self.r_error.val();
        for words in self._bus_words..(self._bus_words + 1) {
            for w in 0..self._bus_words {
                self.data.write_data[w].next = self.r_data[w].val();
                self.beat[w].next = self.data.read_data[w].val();
            }
            self.data.write_data[words].next = bit_cast::<32, 8>(self.tag.flags.val());
            self.is_load.next = self.data.read_data[words].val().get_bit(0);
            self.beat_error.next = self.data.read_data[words].val().get_bit(1);
        }
        self.fetch_beat_valid.next = self.data.read_valid.val() & !self.is_load.val();
        self.load_beat_valid.next = self.data.read_valid.val() & self.is_load.val();
        self.data.read_ready.next = self.load_beat_ready.val() | !self.is_load.val();
        if self.reset.val() {
            self.since_fetch.d.next = 0.into();
            self.fetch_turn.d.next = false;
        }
    }
    fn timing(&self) -> Vec<TimingInfo> {
        describe("read_port", "The memory's read channels, shared by command fetch (ID 0) and loads (ID 1).")
    }
}
