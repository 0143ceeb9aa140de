//! Token counters: one for each pair of engines, counting tokens sent and not yet taken.
//!
//! Index `from * 4 + to`, engines in the order load, matrix, vector, store. `send` and `take` are masks, valid for one cycle; any number of pairs
//! may move at once. A token is `available` from the cycle after the one in which it is sent: engines and queues lie far apart, so that what they say has a
//! register here. `blocked` warns well before a counter is full: a command that would signal it is not started, so that no token is ever lost.

use crate::emit::describe;
use crate::leaves::{inputs, outputs};
use rust_hdl_core::prelude::*;
use rust_hdl_widgets::prelude::*;

#[derive(LogicBlock)]
pub struct TokenCounters {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    /// Tokens that engine `from` sends: bit `to`.
    pub send: Vec<Signal<In, Bits<4>>>,
    /// Tokens that engine `to` takes, of those that are available: bit `from`.
    pub take: Vec<Signal<In, Bits<4>>>,
    /// For engine `to`: bit `from` is set when a token is there.
    pub available: Vec<Signal<Out, Bits<4>>>,
    /// For engine `from`: bit `to` is set when the counter is nearly full.
    pub blocked: Vec<Signal<Out, Bits<4>>>,
    /// Counters towards engine `to`, eight bits each.
    pub counts: Vec<Signal<Out, Bits<32>>>,
    counter: Vec<DFF<Bits<8>>>,
    // The counter is not zero; it is one; it is 239; it is 240 or more.
    filled: Vec<DFF<Bit>>,
    single: Vec<DFF<Bit>>,
    brimming: Vec<DFF<Bit>>,
    full: Vec<DFF<Bit>>,
    next: Vec<Signal<Local, Bits<8>>>,
    // In the cycle before.
    sent: Vec<DFF<Bit>>,
    taken: Vec<DFF<Bit>>,
    /// A token is there, what has been sent and taken in the cycle before counted.
    some: Vec<Signal<Local, Bit>>,
    many: Vec<Signal<Local, Bit>>,
    pack: crate::leaves::PackCounters,
}

impl Default for TokenCounters {
    fn default() -> Self {
        Self {
            clock: Signal::default(),
            reset: Signal::default(),
            send: inputs(4),
            take: inputs(4),
            available: outputs(4),
            blocked: outputs(4),
            counts: outputs(4),
            counter: (0..16).map(|_| DFF::default()).collect(),
            filled: (0..16).map(|_| DFF::default()).collect(),
            single: (0..16).map(|_| DFF::default()).collect(),
            brimming: (0..16).map(|_| DFF::default()).collect(),
            full: (0..16).map(|_| DFF::default()).collect(),
            next: (0..16).map(|_| Signal::default()).collect(),
            sent: (0..16).map(|_| DFF::default()).collect(),
            taken: (0..16).map(|_| DFF::default()).collect(),
            some: (0..16).map(|_| Signal::default()).collect(),
            many: (0..16).map(|_| Signal::default()).collect(),
            pack: Default::default(),
        }
    }
}

impl Logic for TokenCounters {
    #[hdl_gen]
    fn update(&mut self) {
        for from in 0..4 {
            for to in 0..4 {
                self.sent[from * 4 + to].d.next = self.send[from].val().get_bit(to);
                self.taken[from * 4 + to].d.next = self.take[to].val().get_bit(from);
            }
        }
        for pair in 0..16 {
            self.sent[pair].clock.next = self.clock.val();
            self.taken[pair].clock.next = self.clock.val();
            self.counter[pair].clock.next = self.clock.val();
            self.filled[pair].clock.next = self.clock.val();
            self.single[pair].clock.next = self.clock.val();
            self.brimming[pair].clock.next = self.clock.val();
            self.full[pair].clock.next = self.clock.val();
            self.next[pair].next = self.counter[pair].q.val();
            self.some[pair].next = self.filled[pair].q.val();
            if self.sent[pair].q.val() & !self.taken[pair].q.val() {
                self.next[pair].next = self.counter[pair].q.val() + 1;
                self.some[pair].next = true;
            } else if self.taken[pair].q.val() & !self.sent[pair].q.val() {
                self.next[pair].next = self.counter[pair].q.val() - 1;
                self.some[pair].next = self.filled[pair].q.val() & !self.single[pair].q.val();
            }
            // What many wait for follows from registers of its own.
            self.counter[pair].d.next = self.next[pair].val();
            self.filled[pair].d.next = self.some[pair].val();
            self.single[pair].d.next = self.next[pair].val() == 1;
            self.brimming[pair].d.next = self.next[pair].val() == 239;
            self.full[pair].d.next = self.next[pair].val().get_bits::<4>(4) == 15;
            self.many[pair].next =
                self.full[pair].q.val() | (self.brimming[pair].q.val() & self.sent[pair].q.val());
            if self.reset.val() {
                self.sent[pair].d.next = false;
                self.taken[pair].d.next = false;
                self.counter[pair].d.next = 0.into();
                self.filled[pair].d.next = false;
                self.single[pair].d.next = false;
                self.brimming[pair].d.next = false;
                self.full[pair].d.next = false;
            }
            self.pack.counter[pair].next = self.counter[pair].q.val();
            self.pack.some[pair].next = self.some[pair].val();
            self.pack.many[pair].next = self.many[pair].val();
        }
        for engine in 0..4 {
            self.available[engine].next = self.pack.available[engine].val();
            self.blocked[engine].next = self.pack.blocked[engine].val();
            self.counts[engine].next = self.pack.counts[engine].val();
        }
    }
    fn timing(&self) -> Vec<TimingInfo> {
        describe("token_counters", "Tokens sent and not yet taken, for each pair of engines (from * 4 + to).")
    }
}
