//! Byte mover: the data path of move commands, one segment each cycle.
//!
//! ```text
//!              the nest's segment: which vectors of the row it lies in -> queue of segments
//! cycle  t     the first of the queue is issued: its last vector is read, unless it is held
//!        t+1   vector -> latest register, what that held -> earlier register; which bytes lie in the row
//!        t+2   bytes of earlier and latest aligned to the destination's lanes -> result register
//!        t+3   written
//! ```
//! Segments of a row go from left to right, so a segment lies in the vector read last, the one before, or both. Only the first
//! segment of a row, or one a vector or more behind the segment before, may need a read of its own for its first vector (*prime*).
//!
//! Nothing stalls after issue: a segment is issued only when no result of the output stage is written to the destination's bank three
//! cycles later (`result_soon`), and loads give way. Whether a segment can go depends on who else reads; the queue keeps that away from the nest.

use crate::emit::describe;
use crate::lanes::ByteFunnel;
use crate::leaves::{inputs, outputs, DelayBit, DelayLine, PackFlags, PackHalves, SkidBuffer};
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
    /// First vector of the source row.
    pub source: Signal<In, Bits<16>>,
    pub destination: Signal<In, Bits<16>>,
    // Fields of the command.
    pub first_lane: Signal<In, Bits<8>>,
    /// Bytes of a segment, minus one.
    pub last_byte: Signal<In, Bits<8>>,
    pub row_bytes: Signal<In, Bits<16>>,
    pub pad_value: Signal<In, Bits<8>>,
    /// The segment enters the queue: the nest advances.
    pub advance: Signal<Out, Bit>,
    /// Segments are in the queue or in the pipeline: the fields must stay.
    pub busy: Signal<Out, Bit>,
    // Activation scratchpad.
    pub read_enable: Signal<Out, Bit>,
    /// Known earlier.
    pub may_read: Signal<Out, Bit>,
    pub read_address: Signal<Out, Bits<16>>,
    pub read_ready: Signal<In, Bit>,
    pub read_data: Vec<Signal<In, Bits<32>>>,
    /// A result of the output stage is written three cycles from now, and whether to an odd address.
    pub result_soon: Signal<In, Bit>,
    pub result_odd: Signal<In, Bit>,
    /// A write, by its bank.
    pub write_even: Signal<Out, Bit>,
    pub write_odd: Signal<Out, Bit>,
    pub write_address: Signal<Out, Bits<16>>,
    pub write_enable: Vec<Signal<Out, Bits<4>>>,
    pub write_data: Vec<Signal<Out, Bits<32>>>,
    /// With the write of the last segment.
    pub finished: Signal<Out, Bit>,
    segments: SkidBuffer,
    places: PackHalves,
    sources: PackHalves,
    flag_bits: PackFlags,
    // The vector that the segment queued last needs last, in this row.
    holding: DFF<Bit>,
    held: DFF<Bits<16>>,
    /// The first vector of the segment at the head has been read.
    primed: DFF<Bit>,
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
    odd_delay: DelayBit,
    even_3: DFF<Bit>,
    odd_3: DFF<Bit>,
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
    last_needed: Signal<Local, Bit>,
    source_of_first: Signal<Local, Bits<16>>,
    source_of_last: Signal<Local, Bits<16>>,
    // The segment at the head of the queue.
    present: Signal<Local, Bit>,
    head_position: Signal<Local, Bits<16>>,
    head_destination: Signal<Local, Bits<16>>,
    head_flags: Signal<Local, Bits<8>>,
    first_held: Signal<Local, Bit>,
    last_held: Signal<Local, Bit>,
    enters: Signal<Local, Bit>,
    head_reads: Signal<Local, Bit>,
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
            source: Signal::default(),
            destination: Signal::default(),
            first_lane: Signal::default(),
            last_byte: Signal::default(),
            row_bytes: Signal::default(),
            pad_value: Signal::default(),
            advance: Signal::default(),
            busy: Signal::default(),
            read_enable: Signal::default(),
            may_read: Signal::default(),
            read_address: Signal::default(),
            read_ready: Signal::default(),
            read_data: inputs(words),
            result_soon: Signal::default(),
            result_odd: Signal::default(),
            write_even: Signal::default(),
            write_odd: Signal::default(),
            write_address: Signal::default(),
            write_enable: outputs(words),
            write_data: outputs(words),
            finished: Signal::default(),
            segments: SkidBuffer::new(3),
            places: Default::default(),
            sources: Default::default(),
            flag_bits: PackFlags::default(),
            holding: DFF::default(),
            held: DFF::default(),
            primed: DFF::default(),
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
            odd_delay: DelayBit::new(Self::LATENCY_CYCLES - 1),
            even_3: DFF::default(),
            odd_3: DFF::default(),
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
            last_needed: Signal::default(),
            source_of_first: Signal::default(),
            source_of_last: Signal::default(),
            present: Signal::default(),
            head_position: Signal::default(),
            head_destination: Signal::default(),
            head_flags: Signal::default(),
            first_held: Signal::default(),
            last_held: Signal::default(),
            enters: Signal::default(),
            head_reads: Signal::default(),
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
            self, clock, holding, held, primed, read_1, segment_1, both_1, position_1, source_1, both_2,
            segment_2, offset_2, rotation_2, from_2, to_2, segment_3, even_3, odd_3
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
        self.last_needed.next =
            self.visible.val() & self.straddles.val() & (self.last_vector_start.val() < self.row_bytes.val());
        self.source_of_first.next = self.source.val() + self.first_vector.val();
        self.source_of_last.next = self.source.val() + self.last_vector.val();
        // What will be held when its turn comes is what the segments before it need last.
        self.first_held.next = self.holding.q.val() & (self.held.q.val() == self.first_vector.val());
        self.last_held.next = self.holding.q.val() & (self.held.q.val() == self.last_vector.val());
        self.needs_first.next = self.visible.val() & !self.negative.val();
        self.reads.next = self.needs_first.val() & !self.first_held.val();
        if self.last_needed.val() {
            self.reads.next = !self.last_held.val();
        }
        self.enters.next = self.active.val() & self.segments.write_ready.val();
        if self.enters.val() {
            if self.last_needed.val() {
                self.holding.d.next = true;
                self.held.d.next = self.last_vector.val();
            } else if self.needs_first.val() {
                self.holding.d.next = true;
                self.held.d.next = self.first_vector.val();
            }
            if self.row_ends.val() {
                self.holding.d.next = false;
            }
        }
        self.flag_bits.bits[0].next = self.visible.val();
        self.flag_bits.bits[1].next = self.needs_first.val() & self.last_needed.val();
        self.flag_bits.bits[2].next = self.reads.val();
        self.flag_bits.bits[3].next =
            self.needs_first.val() & self.last_needed.val() & !self.last_held.val() & !self.first_held.val();
        self.flag_bits.bits[4].next = self.is_last.val();
        for b in 5..8 {
            self.flag_bits.bits[b].next = false;
        }
        self.places.low.next = self.position.val();
        self.places.high.next = self.destination.val();
        self.sources.low.next = self.source_of_first.val();
        self.sources.high.next = self.source_of_first.val();
        if self.last_needed.val() {
            self.sources.high.next = self.source_of_last.val();
        }
        self.segments.clock.next = self.clock.val();
        self.segments.reset.next = self.reset.val();
        self.segments.write_data[0].next = self.places.both.val();
        self.segments.write_data[1].next = self.sources.both.val();
        self.segments.write_data[2].next = bit_cast::<32, 8>(self.flag_bits.flags.val());
        self.segments.write_valid.next = self.active.val();
        self.advance.next = self.enters.val();

        // The last vector that the segment needs is read, unless it is held; before it the first one, if that is missing.
        self.present.next = self.segments.read_valid.val();
        self.head_position.next = self.segments.read_data[0].val().get_bits::<16>(0);
        self.head_destination.next = self.segments.read_data[0].val().get_bits::<16>(16);
        self.head_flags.next = self.segments.read_data[2].val().get_bits::<8>(0);
        self.prime.next = self.head_flags.val().get_bit(3) & !self.primed.q.val();
        self.read_address.next = self.segments.read_data[1].val().get_bits::<16>(16);
        if self.prime.val() {
            self.read_address.next = self.segments.read_data[1].val().get_bits::<16>(0);
        }
        self.blocked.next =
            self.result_soon.val() & (self.result_odd.val() == self.head_destination.val().get_bit(0));
        self.may_go.next = self.present.val() & (self.prime.val() | !self.blocked.val());
        self.head_reads.next = self.head_flags.val().get_bit(2);
        self.read_enable.next = self.may_go.val() & self.head_reads.val();
        self.may_read.next = self.present.val() & self.head_reads.val();
        self.fire.next = self.may_go.val() & (self.read_ready.val() | !self.head_reads.val());
        self.issue.next = self.fire.val() & !self.prime.val();
        self.segments.read_ready.next = self.issue.val();
        if self.fire.val() {
            self.primed.d.next = self.prime.val();
        }

        // The vector, and which of its bytes lie in the row.
        self.read_1.d.next = self.fire.val() & self.head_reads.val();
        self.segment_1.d.next = self.issue.val();
        self.both_1.d.next = self.head_flags.val().get_bit(1);
        self.position_1.d.next = self.head_position.val();
        self.source_1.d.next = self.head_flags.val().get_bit(0);
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
        self.odd_delay.clock.next = self.clock.val();
        self.odd_delay.value.next = self.head_destination.val().get_bit(0);
        self.even_3.d.next = self.segment_2.q.val() & !self.odd_delay.delayed.val();
        self.odd_3.d.next = self.segment_2.q.val() & self.odd_delay.delayed.val();
        self.write_even.next = self.even_3.q.val();
        self.write_odd.next = self.odd_3.q.val();
        self.address_delay.clock.next = self.clock.val();
        self.address_delay.value.next = self.head_destination.val();
        self.write_address.next = self.address_delay.delayed.val();
        self.last_delay.clock.next = self.clock.val();
        self.last_delay.value.next = self.issue.val() & self.head_flags.val().get_bit(4);
        self.finished.next = self.last_delay.delayed.val();
        self.busy.next =
            self.present.val() | self.segment_1.q.val() | self.segment_2.q.val() | self.segment_3.q.val();
        if self.reset.val() {
            self.holding.d.next = false;
            self.primed.d.next = false;
            self.segment_1.d.next = false;
            self.segment_2.d.next = false;
            self.segment_3.d.next = false;
            self.even_3.d.next = false;
            self.odd_3.d.next = false;
        }
    }
    fn timing(&self) -> Vec<TimingInfo> {
        describe(
            "byte_mover",
            "Data path of move commands: bytes of one or two neighbouring vectors, aligned to the destination's lanes.",
        )
    }
}
