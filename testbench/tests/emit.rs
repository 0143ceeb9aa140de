//! What rust-hdl code means and what the emitted Verilog means are the same: every construct the emitter allows, native
//! against Verilated, on random inputs.
use frugal_testbench::compare::{compare_native_and_verilated, CompareError};
use rust_hdl_core::prelude::*;
use rust_hdl_widgets::prelude::*;

#[derive(Copy, Clone, Debug, PartialEq, LogicState)]
enum Phase {
    Idle,
    Fill,
    Drain,
}

#[derive(LogicStruct, Copy, Clone, Default, Debug, PartialEq)]
struct Packet {
    valid: Bit,
    kind: Bits<3>,
    payload: Bits<12>,
}

/// A channel as its sender sees it.
#[derive(LogicInterface, Clone, Debug, Default)]
struct Channel {
    data: Signal<Out, Bits<8>>,
    ready: Signal<In, Bit>,
}

#[derive(LogicBlock, Default)]
struct Sender {
    clock: Signal<In, Clock>,
    value: Signal<In, Bits<8>>,
    channel: Channel,
    sent: DFF<Bits<8>>,
}

impl Logic for Sender {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, sent);
        if self.channel.ready.val() {
            self.sent.d.next = self.value.val();
        }
        self.channel.data.next = self.sent.q.val();
    }
}

#[derive(LogicBlock)]
struct Everything {
    clock: Signal<In, Clock>,
    a: Signal<In, Bits<8>>,
    b: Signal<In, Bits<8>>,
    wide: Signal<In, Bits<16>>,
    very_wide: Signal<In, Bits<100>>,
    position: Signal<In, Bits<3>>,
    p: Signal<In, Bit>,
    q: Signal<In, Bit>,
    s: Signal<In, Signed<8>>,
    t: Signal<In, Signed<8>>,
    array: Vec<Signal<In, Bits<8>>>,
    packet: Signal<In, Packet>,
    // One output for each construct.
    sum: Signal<Out, Bits<8>>,
    difference: Signal<Out, Bits<8>>,
    carry: Signal<Out, Bits<8>>,
    product: Signal<Out, Bits<32>>,
    bitwise: Signal<Out, Bits<8>>,
    logical: Signal<Out, Bit>,
    less: Signal<Out, Bit>,
    shifted_left: Signal<Out, Bits<8>>,
    shifted_right: Signal<Out, Bits<8>>,
    joined: Signal<Out, Bits<24>>,
    low: Signal<Out, Bits<4>>,
    part: Signal<Out, Bits<8>>,
    one_bit: Signal<Out, Bit>,
    reduced: Signal<Out, Bit>,
    replaced: Signal<Out, Bits<8>>,
    long_shift: Signal<Out, Bits<100>>,
    long_part: Signal<Out, Bits<40>>,
    signed_sum: Signal<Out, Signed<8>>,
    signed_less: Signal<Out, Bit>,
    negative: Signal<Out, Signed<8>>,
    selected: Signal<Out, Bits<8>>,
    folded: Signal<Out, Bits<8>>,
    matched: Signal<Out, Bits<8>>,
    made: Signal<Out, Packet>,
    kind: Signal<Out, Bits<3>>,
    phase_out: Signal<Out, Phase>,
    count_out: Signal<Out, Bits<8>>,
    received: Signal<Out, Bits<8>>,
    late: Signal<Out, Bits<8>>,
    // Inside.
    step: Constant<Bits<8>>,
    next_count: Signal<Local, Bits<8>>,
    full: Signal<Local, Bit>,
    phase: DFF<Phase>,
    count: DFF<Bits<8>>,
    flag: DFF<Bit>,
    sender: Sender,
    _size: usize,
}

impl Default for Everything {
    fn default() -> Self {
        Self {
            clock: Default::default(),
            a: Default::default(),
            b: Default::default(),
            wide: Default::default(),
            very_wide: Default::default(),
            position: Default::default(),
            p: Default::default(),
            q: Default::default(),
            s: Default::default(),
            t: Default::default(),
            array: (0..6).map(|_| Signal::default()).collect(),
            packet: Default::default(),
            sum: Default::default(),
            difference: Default::default(),
            carry: Default::default(),
            product: Default::default(),
            bitwise: Default::default(),
            logical: Default::default(),
            less: Default::default(),
            shifted_left: Default::default(),
            shifted_right: Default::default(),
            joined: Default::default(),
            low: Default::default(),
            part: Default::default(),
            one_bit: Default::default(),
            reduced: Default::default(),
            replaced: Default::default(),
            long_shift: Default::default(),
            long_part: Default::default(),
            signed_sum: Default::default(),
            signed_less: Default::default(),
            negative: Default::default(),
            selected: Default::default(),
            folded: Default::default(),
            matched: Default::default(),
            made: Default::default(),
            kind: Default::default(),
            phase_out: Default::default(),
            count_out: Default::default(),
            received: Default::default(),
            late: Default::default(),
            step: Constant::new(3u64.into()),
            next_count: Default::default(),
            full: Default::default(),
            phase: Default::default(),
            count: Default::default(),
            flag: Default::default(),
            sender: Default::default(),
            _size: 6,
        }
    }
}

impl Logic for Everything {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, phase, count, flag);
        self.sender.clock.next = self.clock.val();
        // Read before it is driven: the final value counts.
        self.late.next = self.next_count.val();

        self.sum.next = self.a.val() + self.b.val();
        self.difference.next = self.a.val() - 7;
        self.carry.next = self.a.val() + self.p.val();
        self.product.next = self.wide.val() * bit_cast::<16, 8>(self.b.val());
        self.bitwise.next = self.a.val() & !self.b.val() | (self.a.val() ^ 0x35);
        self.logical.next =
            self.p.val() & !self.q.val() | (self.a.val() == self.b.val()) ^ self.a.val().any();
        self.less.next = (self.a.val() & 0x3f) < self.b.val() && self.q.val() || self.a.val() >= 0xf0;
        self.shifted_left.next = self.a.val() << self.position.val();
        self.shifted_right.next = self.a.val() >> 3;
        self.joined.next = bit_cast::<24, 8>(self.a.val()) << 16 | bit_cast::<24, 16>(self.wide.val());
        self.low.next = bit_cast::<4, 8>(self.a.val());
        self.part.next = self.wide.val().get_bits::<8>(self.position.val().index());
        self.one_bit.next = self.a.val().get_bit(self.position.val().index());
        self.reduced.next = self.a.val().all() | self.b.val().xor();
        self.replaced.next = self.a.val().replace_bit(self.position.val().index(), self.q.val());
        self.long_shift.next = self.very_wide.val() << 37;
        self.long_part.next = self.very_wide.val().get_bits::<40>(60);
        self.signed_sum.next = self.s.val() + self.t.val();
        self.signed_less.next = self.s.val() < self.t.val();
        self.negative.next = -self.s.val();

        self.selected.next = 0.into();
        self.folded.next = self.array[0].val();
        for i in 0..self._size {
            if self.position.val().index() == i {
                self.selected.next = self.array[i].val();
            }
            if i > 0 {
                self.folded.next = self.folded.val() ^ self.array[i].val();
            }
        }

        match self.position.val().index() {
            0 => {
                self.matched.next = self.a.val();
            }
            5 => {
                self.matched.next = self.b.val();
            }
            _ => {
                self.matched.next = 9.into();
            }
        }

        self.made.next.valid = self.p.val();
        self.made.next.kind = self.packet.val().kind;
        self.made.next.payload = bit_cast::<12, 8>(self.a.val());
        self.kind.next = self.packet.val().kind;

        self.next_count.next = self.count.q.val() + self.step.val();
        self.full.next = self.next_count.val() > 100;
        self.flag.d.next = self.full.val();
        match self.phase.q.val() {
            Phase::Idle => {
                if self.p.val() {
                    self.phase.d.next = Phase::Fill;
                }
            }
            Phase::Fill => {
                self.count.d.next = self.next_count.val();
                if self.full.val() {
                    self.phase.d.next = Phase::Drain;
                }
            }
            Phase::Drain => {
                if self.q.val() {
                    self.count.d.next = 0.into();
                    self.phase.d.next = Phase::Idle;
                } else if self.flag.q.val() {
                    self.count.d.next = self.count.q.val() - 1;
                }
            }
        }
        self.phase_out.next = self.phase.q.val();
        self.count_out.next = self.count.q.val();

        self.sender.value.next = self.a.val();
        self.sender.channel.ready.next = self.q.val();
        self.received.next = self.sender.channel.data.val();
    }
}

#[test]
fn every_construct_means_the_same_in_verilog() -> Result<(), CompareError> {
    let file = compare_native_and_verilated(
        Everything::default,
        |block, random, _| {
            block.a.next = random.bits(8).into();
            block.b.next = random.bits(8).into();
            block.wide.next = random.bits(16).into();
            let halves = [random.bits(64), random.bits(36)].map(|half| bit_cast::<100, 64>(half.into()));
            block.very_wide.next = halves[0] | (halves[1] << 64u64);
            block.position.next = random.bits(3).into();
            block.p.next = random.one_in(2);
            block.q.next = random.one_in(3);
            // rust-hdl cannot negate the least value.
            block.s.next = (random.below(255) as i64 - 127).into();
            block.t.next = (random.below(255) as i64 - 127).into();
            for signal in &mut block.array {
                signal.next = random.bits(8).into();
            }
            block.packet.next.valid = random.one_in(2);
            block.packet.next.kind = random.bits(3).into();
            block.packet.next.payload = random.bits(12).into();
        },
        |block, level| block.clock.next = Clock { clk: level },
        5_000,
        1,
    )?;
    // The emitter gives every number its width and every driven signal its own statement.
    assert!(!file.text.contains("register_"), "{}", file.text);
    Ok(())
}
