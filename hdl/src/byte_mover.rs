//! Byte mover: the data path of move commands, one segment each cycle.
//!
//! ```text
//! cycle  t     a segment is issued: its last vector is read, unless it is held
//!        t+1   vector -> latest register, what that held -> earlier register; which bytes lie in the row
//!        t+2   bytes of earlier and latest aligned to the destination's lanes -> result register
//!        t+3   written
//! ```
//! Segments of a row go from left to right, so a segment lies in the vector read last, the one before, or both. Only the first
//! segment of a row, or one a vector or more behind the segment before, may need a read of its own for its first vector (*prime*).
//!
//! Nothing stalls after issue: a segment is issued only when the output stage will not write to the destination's bank three
//! cycles later (`result_soon`), and loads give way.

use crate::emit::describe;
use crate::lanes::{ByteFunnel, DelayBit};
use crate::leaves::{inputs, outputs, DelayLine};
use rust_hdl_core::prelude::*;
use rust_hdl_widgets::prelude::*;

#[derive(LogicBlock)]
pub struct ByteMover {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    /// A move command is running; the nest describes its current segment.
    pub active: Signal<In, Bit>,
    // From the loop nest.
    /// Byte of the source row where the segment begins, two's complement.
    pub position: Signal<In, Bits<16>>,
    pub row_inside: Signal<In, Bit>,
    pub row_ends: Signal<In, Bit>,
    pub is_last: Signal<In, Bit>,
    pub destination: Signal<In, Bits<16>>,
    // Fields of the command.
    pub first_lane: Signal<In, Bits<8>>,
    /// Bytes of a segment, minus one.
    pub last_byte: Signal<In, Bits<8>>,
    pub row_bytes: Signal<In, Bits<16>>,
    pub pad_value: Signal<In, Bits<8>>,
    /// The segment is issued: the nest advances.
    pub advance: Signal<Out, Bit>,
    // Activation scratchpad: read, relative to the row's first vector.
    pub read_enable: Signal<Out, Bit>,
    pub read_index: Signal<Out, Bits<16>>,
    pub read_ready: Signal<In, Bit>,
    pub read_data: Vec<Signal<In, Bits<32>>>,
    /// The output stage writes a vector three cycles from now, and whether that is an odd one.
    pub result_soon: Signal<In, Bit>,
    pub result_odd: Signal<In, Bit>,
    pub write_valid: Signal<Out, Bit>,
    pub write_address: Signal<Out, Bits<16>>,
    pub write_enable: Vec<Signal<Out, Bits<4>>>,
    pub write_data: Vec<Signal<Out, Bits<32>>>,
    /// With the write of the last segment.
    pub finished: Signal<Out, Bit>,
    // The vector read last in this row.
    holding: DFF<Bit>,
    held: DFF<Bits<16>>,
    // Pipeline.
    read_1: DFF<Bit>,
    segment_1: DFF<Bit>,
    both_1: DFF<Bit>,
    position_1: DFF<Bits<16>>,
    source_1: DFF<Bit>,
    earlier: Vec<DFF<Bits<32>>>,
    latest: Vec<DFF<Bits<32>>>,
    both_2: DFF<Bit>,
    segment_2: DFF<Bit>,
    offset_2: DFF<Bits<8>>,
    rotation_2: DFF<Bits<8>>,
    from_2: DFF<Bits<8>>,
    to_2: DFF<Bits<8>>,
    segment_3: DFF<Bit>,
    enable_3: Vec<DFF<Bits<4>>>,
    data_3: Vec<DFF<Bits<32>>>,
    address_delay: DelayLine<16>,
    last_delay: DelayBit,
    funnel: ByteFunnel,
    wide_last: Signal<Local, Bits<16>>,
    end: Signal<Local, Bits<16>>,
    first_vector: Signal<Local, Bits<16>>,
    last_vector: Signal<Local, Bits<16>>,
    last_vector_start: Signal<Local, Bits<16>>,
    negative: Signal<Local, Bit>,
    ends_before: Signal<Local, Bit>,
    visible_start: Signal<Local, Bits<16>>,
    visible: Signal<Local, Bit>,
    straddles: Signal<Local, Bit>,
    needs_first: Signal<Local, Bit>,
    needs_last: Signal<Local, Bit>,
    wanted: Signal<Local, Bits<16>>,
    needs_wanted: Signal<Local, Bit>,
    wanted_held: Signal<Local, Bit>,
    first_held: Signal<Local, Bit>,
    prime: Signal<Local, Bit>,
    blocked: Signal<Local, Bit>,
    may_go: Signal<Local, Bit>,
    reads: Signal<Local, Bit>,
    fire: Signal<Local, Bit>,
    issue: Signal<Local, Bit>,
    remaining: Signal<Local, Bits<16>>,
    missing: Signal<Local, Bits<16>>,
    end_lane: Signal<Local, Bits<8>>,
    low_position: Signal<Local, Bits<8>>,
    lane_distance: Signal<Local, Bits<8>>,
    lane_mask: Constant<Bits<8>>,
    vector_mask: Constant<Bits<16>>,
    sign_fill: Constant<Bits<16>>,
    vector_shift: Constant<Bits<5>>,
    _words: usize,
}

impl ByteMover {
    /// Cycles from the issue of a segment to its write.
    pub const LATENCY_CYCLES: usize = 3;

    pub fn new(rows: usize) -> Self {
        let (words, shift) = (rows / 4, rows.ilog2());
        Self {
            clock: Signal::default(),
            reset: Signal::default(),
            active: Signal::default(),
            position: Signal::default(),
            row_inside: Signal::default(),
            row_ends: Signal::default(),
            is_last: Signal::default(),
            destination: Signal::default(),
            first_lane: Signal::default(),
            last_byte: Signal::default(),
            row_bytes: Signal::default(),
            pad_value: Signal::default(),
            advance: Signal::default(),
            read_enable: Signal::default(),
            read_index: Signal::default(),
            read_ready: Signal::default(),
            read_data: inputs(words),
            result_soon: Signal::default(),
            result_odd: Signal::default(),
            write_valid: Signal::default(),
            write_address: Signal::default(),
            write_enable: outputs(words),
            write_data: outputs(words),
            finished: Signal::default(),
            holding: DFF::default(),
            held: DFF::default(),
            read_1: DFF::default(),
            segment_1: DFF::default(),
            both_1: DFF::default(),
            position_1: DFF::default(),
            source_1: DFF::default(),
            earlier: (0..words).map(|_| DFF::default()).collect(),
            latest: (0..words).map(|_| DFF::default()).collect(),
            both_2: DFF::default(),
            segment_2: DFF::default(),
            offset_2: DFF::default(),
            rotation_2: DFF::default(),
            from_2: DFF::default(),
            to_2: DFF::default(),
            segment_3: DFF::default(),
            enable_3: (0..words).map(|_| DFF::default()).collect(),
            data_3: (0..words).map(|_| DFF::default()).collect(),
            address_delay: DelayLine::new(Self::LATENCY_CYCLES),
            last_delay: DelayBit::new(Self::LATENCY_CYCLES),
            funnel: ByteFunnel::new(rows),
            wide_last: Signal::default(),
            end: Signal::default(),
            first_vector: Signal::default(),
            last_vector: Signal::default(),
            last_vector_start: Signal::default(),
            negative: Signal::default(),
            ends_before: Signal::default(),
            visible_start: Signal::default(),
            visible: Signal::default(),
            straddles: Signal::default(),
            needs_first: Signal::default(),
            needs_last: Signal::default(),
            wanted: Signal::default(),
            needs_wanted: Signal::default(),
            wanted_held: Signal::default(),
            first_held: Signal::default(),
            prime: Signal::default(),
            blocked: Signal::default(),
            may_go: Signal::default(),
            reads: Signal::default(),
            fire: Signal::default(),
            issue: Signal::default(),
            remaining: Signal::default(),
            missing: Signal::default(),
            end_lane: Signal::default(),
            low_position: Signal::default(),
            lane_distance: Signal::default(),
            lane_mask: Constant::new((rows as u64 - 1).into()),
            vector_mask: Constant::new((0xffff - (rows as u64 - 1)).into()),
            sign_fill: Constant::new((0xffffu64 << (16 - shift) & 0xffff).into()),
            vector_shift: Constant::new(u64::from(shift).into()),
            _words: words,
        }
    }
}

impl Logic for ByteMover {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(
            self, clock, holding, held, read_1, segment_1, both_1, position_1, source_1, both_2, segment_2,
            offset_2, rotation_2, from_2, to_2, segment_3
        );
        // Which vectors of the row the segment lies in. Shifts are logical, so the sign is filled in.
        self.negative.next = self.position.val().get_bit(15);
        self.wide_last.next = bit_cast::<16, 8>(self.last_byte.val());
        self.end.next = self.position.val() + self.wide_last.val();
        self.ends_before.next = self.end.val().get_bit(15);
        self.first_vector.next = self.position.val() >> self.vector_shift.val();
        if self.negative.val() {
            self.first_vector.next = (self.position.val() >> self.vector_shift.val()) | self.sign_fill.val();
        }
        self.last_vector.next = self.end.val() >> self.vector_shift.val();
        if self.ends_before.val() {
            self.last_vector.next = (self.end.val() >> self.vector_shift.val()) | self.sign_fill.val();
        }
        self.last_vector_start.next = self.end.val() & self.vector_mask.val();
        self.visible_start.next = self.position.val();
        if self.negative.val() {
            self.visible_start.next = 0.into();
        }
        self.visible.next = self.row_inside.val()
            & !(self.negative.val() & self.ends_before.val())
            & (self.visible_start.val() < self.row_bytes.val());
        self.straddles.next = self.first_vector.val() != self.last_vector.val();
        self.needs_first.next = self.visible.val() & !self.negative.val();
        self.needs_last.next =
            self.visible.val() & self.straddles.val() & (self.last_vector_start.val() < self.row_bytes.val());

        // The last vector that the segment needs is read, unless it is held; before it the first one, if that is missing.
        self.wanted.next = self.first_vector.val();
        if self.needs_last.val() {
            self.wanted.next = self.last_vector.val();
        }
        self.needs_wanted.next = self.needs_first.val() | self.needs_last.val();
        self.wanted_held.next = self.holding.q.val() & (self.held.q.val() == self.wanted.val());
        self.first_held.next = self.holding.q.val() & (self.held.q.val() == self.first_vector.val());
        self.prime.next =
            self.needs_first.val() & self.needs_last.val() & !self.wanted_held.val() & !self.first_held.val();
        self.read_index.next = self.wanted.val();
        if self.prime.val() {
            self.read_index.next = self.first_vector.val();
        }
        self.blocked.next =
            self.result_soon.val() & (self.result_odd.val() == self.destination.val().get_bit(0));
        self.may_go.next = self.active.val() & (self.prime.val() | !self.blocked.val());
        self.reads.next = self.needs_wanted.val() & !self.wanted_held.val();
        self.read_enable.next = self.may_go.val() & self.reads.val();
        self.fire.next = self.may_go.val() & (self.read_ready.val() | !self.reads.val());
        self.issue.next = self.fire.val() & !self.prime.val();
        self.advance.next = self.issue.val();
        if self.fire.val() & self.reads.val() {
            self.holding.d.next = true;
            self.held.d.next = self.read_index.val();
        }
        if self.issue.val() & self.row_ends.val() {
            self.holding.d.next = false;
        }

        // The vector, and which of its bytes lie in the row.
        self.read_1.d.next = self.fire.val() & self.reads.val();
        self.segment_1.d.next = self.issue.val();
        self.both_1.d.next = self.needs_first.val() & self.needs_last.val();
        self.position_1.d.next = self.position.val();
        self.source_1.d.next = self.visible.val();
        for w in 0..self._words {
            self.earlier[w].clock.next = self.clock.val();
            self.latest[w].clock.next = self.clock.val();
            self.earlier[w].d.next = self.earlier[w].q.val();
            self.latest[w].d.next = self.latest[w].q.val();
        }
        if self.read_1.q.val() {
            for w in 0..self._words {
                self.earlier[w].d.next = self.latest[w].q.val();
                self.latest[w].d.next = self.read_data[w].val();
            }
        }
        self.segment_2.d.next = self.segment_1.q.val();
        self.both_2.d.next = self.both_1.q.val();
        self.low_position.next = self.position_1.q.val().get_bits::<8>(0);
        self.offset_2.d.next = self.low_position.val() & self.lane_mask.val();
        self.lane_distance.next = self.low_position.val() - self.first_lane.val();
        self.rotation_2.d.next = self.lane_distance.val() & self.lane_mask.val();
        self.end_lane.next = self.first_lane.val() + self.last_byte.val();
        self.missing.next = Bits::<16>::from(0) - self.position_1.q.val();
        self.remaining.next = self.row_bytes.val() - self.position_1.q.val();
        self.from_2.d.next = self.first_lane.val();
        if self.position_1.q.val().get_bit(15) {
            self.from_2.d.next = self.first_lane.val() + self.missing.val().get_bits::<8>(0);
        }
        self.to_2.d.next = self.end_lane.val() + 1;
        if self.remaining.val() <= self.wide_last.val() {
            self.to_2.d.next = self.first_lane.val() + self.remaining.val().get_bits::<8>(0);
        }
        if !self.source_1.q.val() {
            self.from_2.d.next = 0.into();
            self.to_2.d.next = 0.into();
        }

        // Align, pad, write.
        for w in 0..self._words {
            self.funnel.earlier[w].next = self.earlier[w].q.val();
            self.funnel.latest[w].next = self.latest[w].q.val();
            self.data_3[w].clock.next = self.clock.val();
            self.enable_3[w].clock.next = self.clock.val();
            self.data_3[w].d.next = self.funnel.words[w].val();
            self.enable_3[w].d.next = self.funnel.enable[w].val();
            self.write_data[w].next = self.data_3[w].q.val();
            self.write_enable[w].next = self.enable_3[w].q.val();
        }
        self.funnel.both.next = self.both_2.q.val();
        self.funnel.offset.next = self.offset_2.q.val();
        self.funnel.rotation.next = self.rotation_2.q.val();
        self.funnel.first_lane.next = self.first_lane.val();
        self.funnel.last_lane.next = self.end_lane.val();
        self.funnel.from.next = self.from_2.q.val();
        self.funnel.to.next = self.to_2.q.val();
        self.funnel.pad.next = self.pad_value.val();
        self.segment_3.d.next = self.segment_2.q.val();
        self.write_valid.next = self.segment_3.q.val();
        self.address_delay.clock.next = self.clock.val();
        self.address_delay.value.next = self.destination.val();
        self.write_address.next = self.address_delay.delayed.val();
        self.last_delay.clock.next = self.clock.val();
        self.last_delay.value.next = self.issue.val() & self.is_last.val();
        self.finished.next = self.last_delay.delayed.val();
        if self.reset.val() {
            self.holding.d.next = false;
            self.segment_1.d.next = false;
            self.segment_2.d.next = false;
            self.segment_3.d.next = false;
        }
    }
    fn timing(&self) -> Vec<TimingInfo> {
        describe(
            "byte_mover",
            "Data path of move commands: bytes of one or two neighbouring vectors, aligned to the destination's lanes.",
        )
    }
}
