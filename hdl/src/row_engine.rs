//! Row engine: row commands, one term of a value each cycle.
//!
//! ```text
//!                 the loops' term -> queue of terms
//! cycle  t        the first of the queue is issued: an operand, if there is one (then everything else is a cycle later), or the source; its row's
//!                 scalar is read
//!        t+1      accumulator memory read; multiplier, shift and addend, which may come from the scalar -> registers
//!        t+2      scaled in the output stage's lanes; what belongs to the term goes into a delay of as many cycles
//!        t+12     function, in the row lanes
//!        t+20     value written; into the reduction
//!        ...      the row's scalar written
//! ```
//! A term is issued when no matrix result wants the lanes in the next cycle, and the last term of a value when no matrix result will be
//! written together with it. So nothing stalls after issue. That is known late in the cycle; the queue keeps it away from the loops.
//!
//! Commands finish in order: one without a reduction has the shorter way, and begins only when it cannot overtake the one before.

use crate::emit::describe;
use crate::fields;
use crate::lanes::LanePlace;
use crate::leaves::{
    inputs, outputs, DelayBit, DelayLine, DelayRows, Fifo, PackBytes, PackFlags, PackHalves, Requantise,
};
use crate::row_lanes::RowLanes;
use crate::row_reduce::{RowReduce, ScaleUnit};
use rust_hdl_core::prelude::*;
use rust_hdl_widgets::prelude::*;

/// Words that travel with a term besides its operands: route, kind, bounds, base.
const TERM_WORDS: usize = 4;

#[derive(LogicBlock)]
pub struct RowEngine {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    // Command buffer.
    pub start: Signal<In, Bit>,
    pub command: Vec<Signal<In, Bits<32>>>,
    pub take: Signal<Out, Bit>,
    /// Other vector commands are running: a row command waits for them.
    pub hold: Signal<In, Bit>,
    // Accumulator memory.
    pub accumulator_enable: Signal<Out, Bit>,
    pub accumulator_address: Signal<Out, Bits<16>>,
    pub accumulator_data: Vec<Signal<In, Bits<32>>>,
    // Scalar memory.
    pub scalar_read_address: Signal<Out, Bits<8>>,
    pub scalar_read_data: Signal<In, Bits<32>>,
    /// High whenever `scalar_write_valid` is, and early in the cycle.
    pub scalar_may_write: Signal<Out, Bit>,
    pub scalar_write_valid: Signal<Out, Bit>,
    pub scalar_write_address: Signal<Out, Bits<8>>,
    pub scalar_write_data: Signal<Out, Bits<32>>,
    // Output stage.
    /// A matrix result takes the lanes in the next cycle.
    pub slot_reserved: Signal<In, Bit>,
    /// A matrix result is written in the cycle in which a value issued now would be.
    pub write_reserved: Signal<In, Bit>,
    /// A term is in the lanes; with it the scaling.
    pub scaling: Signal<Out, Bit>,
    pub value: Vec<Signal<Out, Bits<32>>>,
    pub pre_add: Signal<Out, Bits<32>>,
    pub multiplier: Signal<Out, Bits<32>>,
    pub left: Signal<Out, Bits<5>>,
    pub right: Signal<Out, Bits<5>>,
    pub post_add: Signal<Out, Bits<32>>,
    /// What comes out of the lanes.
    pub scaled: Vec<Signal<In, Bits<32>>>,
    // The lanes' multipliers, for the vector engine.
    pub lent: Signal<In, Bit>,
    pub factor_a: Vec<Signal<In, Bits<16>>>,
    pub factor_b: Vec<Signal<In, Bits<16>>>,
    pub product: Vec<Signal<Out, Bits<32>>>,
    // Results.
    /// A result for the activation scratchpad, by its bank.
    pub activation_even: Signal<Out, Bit>,
    pub activation_odd: Signal<Out, Bit>,
    pub accumulator_valid: Signal<Out, Bit>,
    /// It will be valid in the next cycle.
    pub accumulator_soon: Signal<Out, Bit>,
    pub result_address: Signal<Out, Bits<16>>,
    pub activation_enable: Vec<Signal<Out, Bits<4>>>,
    pub activation_data: Vec<Signal<Out, Bits<32>>>,
    pub result_data: Vec<Signal<Out, Bits<32>>>,
    /// A command's last result or scalar has been written, and the tokens it sends.
    pub finished: Signal<Out, Bit>,
    pub signal: Signal<Out, Bits<4>>,
    pub busy: Signal<Out, Bit>,
    pub illegal: Signal<Out, Bit>,
    /// 0 idle, 1 waiting to begin, 2 running.
    pub state: Signal<Out, Bits<4>>,
    fields: fields::Row,
    loading: DFF<Bit>,
    /// The loops have terms to come; terms are to be issued.
    walking: DFF<Bit>,
    running: DFF<Bit>,
    draining: DFF<Bit>,
    in_flight: DFF<Bits<8>>,
    /// `in_flight` is not 0.
    occupied: DFF<Bit>,
    /// Cycles in which a command with the shorter way would overtake the last one.
    cooldown: DFF<Bits<8>>,
    /// `cooldown` is not 0.
    cooling: DFF<Bit>,
    searched: DFF<Bit>,
    // Loops.
    with_source: DFF<Bit>,
    second_tap: DFF<Bit>,
    // What is still to come of a row, of the rows of a y, of the ys; and whether that is nothing, known early.
    group_left: DFF<Bits<16>>,
    first_group: DFF<Bit>,
    last_group: DFF<Bit>,
    x_left: DFF<Bits<16>>,
    last_x: DFF<Bit>,
    y_left: DFF<Bits<16>>,
    last_y: DFF<Bit>,
    // Whether the term is the last of its value, row, y, of all: known a step ahead, because all that moves waits for it.
    step_value: DFF<Bit>,
    step_row: DFF<Bit>,
    step_y: DFF<Bit>,
    step_all: DFF<Bit>,
    pad: DFF<Bit>,
    source: DFF<Bits<16>>,
    source_x: DFF<Bits<16>>,
    source_y: DFF<Bits<16>>,
    operand: DFF<Bits<16>>,
    operand_x: DFF<Bits<16>>,
    operand_y: DFF<Bits<16>>,
    destination: DFF<Bits<16>>,
    destination_x: DFF<Bits<16>>,
    destination_y: DFF<Bits<16>>,
    lane: DFF<Bits<8>>,
    remaining: DFF<Bits<32>>,
    limit: DFF<Bits<32>>,
    base: DFF<Bits<32>>,
    scalar: DFF<Bits<8>>,
    result: DFF<Bits<8>>,
    terms: Fifo,
    term_places: PackHalves,
    term_numbers: PackBytes,
    term_kind: PackFlags,
    // The term that is read.
    read_1: DFF<Bit>,
    address_1: DFF<Bits<16>>,
    operand_1: DFF<Bit>,
    term_1: DFF<Bit>,
    first_tap_1: DFF<Bit>,
    last_tap_1: DFF<Bit>,
    first_group_1: DFF<Bit>,
    last_group_1: DFF<Bit>,
    last_1: DFF<Bit>,
    destination_1: DFF<Bits<16>>,
    lane_1: DFF<Bits<8>>,
    count_1: DFF<Bits<8>>,
    base_1: DFF<Bits<32>>,
    result_1: DFF<Bits<8>>,
    // The term in the lanes.
    operand_2: DFF<Bit>,
    term_2: DFF<Bit>,
    pre_add_2: DFF<Bits<32>>,
    multiplier_2: DFF<Bits<32>>,
    left_2: DFF<Bits<5>>,
    right_2: DFF<Bits<16>>,
    factors: Vec<DFF<Bits<16>>>,
    pairs: Vec<PackHalves>,
    term_delay: DelayRows,
    operand_delay: DelayRows,
    row_lanes: RowLanes,
    words_delay: DelayRows,
    // What belongs to the value that leaves the row lanes.
    out_words: Vec<DFF<Bits<32>>>,
    out_valid: DFF<Bit>,
    out_even: DFF<Bit>,
    out_odd: DFF<Bit>,
    out_accumulator: DFF<Bit>,
    plain_end: DFF<Bit>,
    place: LanePlace,
    reduction: RowReduce,
    scale: ScaleUnit,
    kind_reduced: DelayLine<32>,
    kind_scaled: DelayLine<32>,
    kind_written: DelayLine<32>,
    kind_decided: DelayLine<32>,
    index_delay: DelayLine<32>,
    done_scaled: DelayBit,
    done_written: DelayBit,
    // The scalar is compared; in the next cycle it is written, if it is better.
    decided: DFF<Bit>,
    better_high: DFF<Bit>,
    same_high: DFF<Bit>,
    better_low: DFF<Bit>,
    decided_word: DFF<Bits<32>>,
    end_written: DelayBit,
    // The scalar's write, and the index behind it.
    index_word: DFF<Bits<32>>,
    index_address: DFF<Bits<8>>,
    index_write: DFF<Bit>,
    may_write: DFF<Bit>,
    end_next: DFF<Bit>,
    end_signal: DFF<Bits<4>>,
    may_load: Signal<Local, Bit>,
    overtakes: Signal<Local, Bit>,
    load_now: Signal<Local, Bit>,
    multiplies: Signal<Local, Bit>,
    bad_function: Signal<Local, Bit>,
    bad_destination: Signal<Local, Bit>,
    bad_operand: Signal<Local, Bit>,
    bad_continue: Signal<Local, Bit>,
    continues: Signal<Local, Bit>,
    uses_operand: Signal<Local, Bit>,
    two_taps: Signal<Local, Bit>,
    reduces: Signal<Local, Bit>,
    searches: Signal<Local, Bit>,
    reads_source: Signal<Local, Bit>,
    last_tap: Signal<Local, Bit>,
    next_with_source: Signal<Local, Bit>,
    next_second_tap: Signal<Local, Bit>,
    next_completes: Signal<Local, Bit>,
    next_last_group: Signal<Local, Bit>,
    next_last_x: Signal<Local, Bit>,
    next_last_y: Signal<Local, Bit>,
    one_group: Signal<Local, Bit>,
    one_x: Signal<Local, Bit>,
    one_y: Signal<Local, Bit>,
    one_term: Signal<Local, Bit>,
    row_turns: Signal<Local, Bit>,
    y_turns: Signal<Local, Bit>,
    turn: Signal<Local, Bit>,
    walked: Signal<Local, Bit>,
    go: Signal<Local, Bit>,
    issue: Signal<Local, Bit>,
    issued: Signal<Local, Bits<8>>,
    issued_numbers: Signal<Local, Bits<32>>,
    finishing: Signal<Local, Bit>,
    tap_source: Signal<Local, Bits<16>>,
    tap_operand: Signal<Local, Bits<16>>,
    next_source_x: Signal<Local, Bits<16>>,
    next_source_y: Signal<Local, Bits<16>>,
    next_operand_x: Signal<Local, Bits<16>>,
    next_operand_y: Signal<Local, Bits<16>>,
    next_destination_x: Signal<Local, Bits<16>>,
    next_destination_y: Signal<Local, Bits<16>>,
    lane_sum: Signal<Local, Bits<8>>,
    next_lane: Signal<Local, Bits<8>>,
    to_activation: Signal<Local, Bit>,
    to_accumulator: Signal<Local, Bit>,
    steps_destination: Signal<Local, Bit>,
    length_step: Signal<Local, Bits<32>>,
    length: Signal<Local, Bits<32>>,
    next_limit: Signal<Local, Bits<32>>,
    few_remain: Signal<Local, Bit>,
    next_remaining: Signal<Local, Bits<32>>,
    count: Signal<Local, Bits<8>>,
    result_step: Signal<Local, Bits<8>>,
    use_scale: Signal<Local, Bit>,
    exponent: Signal<Local, Bits<16>>,
    total_right: Signal<Local, Bits<16>>,
    far: Signal<Local, Bit>,
    term_bits: PackFlags,
    ends: PackFlags,
    modes: PackFlags,
    route: PackBytes,
    kind: PackBytes,
    bounds: PackBytes,
    term_flags: Signal<Local, Bits<8>>,
    out_flags: Signal<Local, Bits<8>>,
    leaving_flags: Signal<Local, Bits<8>>,
    leaves: Signal<Local, Bit>,
    leaves_for_activation: Signal<Local, Bit>,
    out_reduces: Signal<Local, Bit>,
    compare_now: Signal<Local, Bit>,
    decided_searches: Signal<Local, Bit>,
    decided_continues: Signal<Local, Bit>,
    best: Signal<Local, Bits<32>>,
    best_before: Signal<Local, Bits<32>>,
    better: Signal<Local, Bit>,
    write_now: Signal<Local, Bit>,
    sign: Constant<Bits<32>>,
    lanes: Constant<Bits<8>>,
    wide_lanes: Constant<Bits<32>>,
    lane_mask: Constant<Bits<8>>,
    overtaking: Constant<Bits<8>>,
    searching: Constant<Bits<8>>,
    _lanes: usize,
    _row_words: usize,
    _pairs: usize,
}

impl RowEngine {
    pub fn new(rows: usize, lanes: usize) -> Self {
        let scaling = Requantise::LATENCY_CYCLES as usize;
        let reduction = RowReduce::latency_cycles(lanes);
        Self {
            clock: Signal::default(),
            reset: Signal::default(),
            start: Signal::default(),
            command: inputs(frugal_isa::COMMAND_WORDS),
            take: Signal::default(),
            hold: Signal::default(),
            accumulator_enable: Signal::default(),
            accumulator_address: Signal::default(),
            accumulator_data: inputs(lanes),
            scalar_read_address: Signal::default(),
            scalar_read_data: Signal::default(),
            scalar_may_write: Signal::default(),
            scalar_write_valid: Signal::default(),
            scalar_write_address: Signal::default(),
            scalar_write_data: Signal::default(),
            slot_reserved: Signal::default(),
            write_reserved: Signal::default(),
            scaling: Signal::default(),
            value: outputs(lanes),
            pre_add: Signal::default(),
            multiplier: Signal::default(),
            left: Signal::default(),
            right: Signal::default(),
            post_add: Signal::default(),
            scaled: inputs(lanes),
            lent: Signal::default(),
            factor_a: inputs(lanes),
            factor_b: inputs(lanes),
            product: outputs(lanes),
            activation_even: Signal::default(),
            activation_odd: Signal::default(),
            accumulator_valid: Signal::default(),
            accumulator_soon: Signal::default(),
            result_address: Signal::default(),
            activation_enable: outputs(rows / 4),
            activation_data: outputs(rows / 4),
            result_data: outputs(lanes),
            finished: Signal::default(),
            signal: Signal::default(),
            busy: Signal::default(),
            illegal: Signal::default(),
            state: Signal::default(),
            fields: Default::default(),
            loading: DFF::default(),
            walking: DFF::default(),
            running: DFF::default(),
            draining: DFF::default(),
            in_flight: DFF::default(),
            occupied: DFF::default(),
            cooldown: DFF::default(),
            cooling: DFF::default(),
            searched: DFF::default(),
            with_source: DFF::default(),
            second_tap: DFF::default(),
            group_left: DFF::default(),
            first_group: DFF::default(),
            last_group: DFF::default(),
            x_left: DFF::default(),
            last_x: DFF::default(),
            y_left: DFF::default(),
            last_y: DFF::default(),
            step_value: DFF::default(),
            step_row: DFF::default(),
            step_y: DFF::default(),
            step_all: DFF::default(),
            pad: DFF::default(),
            source: DFF::default(),
            source_x: DFF::default(),
            source_y: DFF::default(),
            operand: DFF::default(),
            operand_x: DFF::default(),
            operand_y: DFF::default(),
            destination: DFF::default(),
            destination_x: DFF::default(),
            destination_y: DFF::default(),
            lane: DFF::default(),
            remaining: DFF::default(),
            limit: DFF::default(),
            base: DFF::default(),
            scalar: DFF::default(),
            result: DFF::default(),
            terms: Fifo::new(4, 4),
            term_places: Default::default(),
            term_numbers: Default::default(),
            term_kind: PackFlags::default(),
            read_1: DFF::default(),
            address_1: DFF::default(),
            operand_1: DFF::default(),
            term_1: DFF::default(),
            first_tap_1: DFF::default(),
            last_tap_1: DFF::default(),
            first_group_1: DFF::default(),
            last_group_1: DFF::default(),
            last_1: DFF::default(),
            destination_1: DFF::default(),
            lane_1: DFF::default(),
            count_1: DFF::default(),
            base_1: DFF::default(),
            result_1: DFF::default(),
            operand_2: DFF::default(),
            term_2: DFF::default(),
            pre_add_2: DFF::default(),
            multiplier_2: DFF::default(),
            left_2: DFF::default(),
            right_2: DFF::default(),
            factors: (0..lanes).map(|_| DFF::default()).collect(),
            pairs: (0..lanes / 2).map(|_| PackHalves::default()).collect(),
            term_delay: DelayRows::new(TERM_WORDS, scaling + 1),
            operand_delay: DelayRows::new(lanes / 2, scaling),
            row_lanes: RowLanes::new(lanes),
            words_delay: DelayRows::new(TERM_WORDS, RowLanes::LATENCY_CYCLES - 1),
            out_words: (0..TERM_WORDS).map(|_| DFF::default()).collect(),
            out_valid: DFF::default(),
            out_even: DFF::default(),
            out_odd: DFF::default(),
            out_accumulator: DFF::default(),
            plain_end: DFF::default(),
            place: LanePlace::new(rows, lanes),
            reduction: RowReduce::new(lanes),
            scale: Default::default(),
            kind_reduced: DelayLine::new(reduction),
            kind_scaled: DelayLine::new(ScaleUnit::LATENCY_CYCLES - 1),
            kind_written: DelayLine::new(1),
            kind_decided: DelayLine::new(1),
            index_delay: DelayLine::new(ScaleUnit::LATENCY_CYCLES + 1),
            done_scaled: DelayBit::new(ScaleUnit::LATENCY_CYCLES - 1),
            done_written: DelayBit::new(1),
            decided: DFF::default(),
            better_high: DFF::default(),
            same_high: DFF::default(),
            better_low: DFF::default(),
            decided_word: DFF::default(),
            end_written: DelayBit::new(reduction + ScaleUnit::LATENCY_CYCLES + 1),
            index_word: DFF::default(),
            index_address: DFF::default(),
            index_write: DFF::default(),
            may_write: DFF::default(),
            end_next: DFF::default(),
            end_signal: DFF::default(),
            may_load: Signal::default(),
            overtakes: Signal::default(),
            load_now: Signal::default(),
            multiplies: Signal::default(),
            bad_function: Signal::default(),
            bad_destination: Signal::default(),
            bad_operand: Signal::default(),
            bad_continue: Signal::default(),
            continues: Signal::default(),
            uses_operand: Signal::default(),
            two_taps: Signal::default(),
            reduces: Signal::default(),
            searches: Signal::default(),
            reads_source: Signal::default(),
            last_tap: Signal::default(),
            next_with_source: Signal::default(),
            next_second_tap: Signal::default(),
            next_completes: Signal::default(),
            next_last_group: Signal::default(),
            next_last_x: Signal::default(),
            next_last_y: Signal::default(),
            one_group: Signal::default(),
            one_x: Signal::default(),
            one_y: Signal::default(),
            one_term: Signal::default(),
            row_turns: Signal::default(),
            y_turns: Signal::default(),
            turn: Signal::default(),
            walked: Signal::default(),
            go: Signal::default(),
            issue: Signal::default(),
            issued: Signal::default(),
            issued_numbers: Signal::default(),
            finishing: Signal::default(),
            tap_source: Signal::default(),
            tap_operand: Signal::default(),
            next_source_x: Signal::default(),
            next_source_y: Signal::default(),
            next_operand_x: Signal::default(),
            next_operand_y: Signal::default(),
            next_destination_x: Signal::default(),
            next_destination_y: Signal::default(),
            lane_sum: Signal::default(),
            next_lane: Signal::default(),
            to_activation: Signal::default(),
            to_accumulator: Signal::default(),
            steps_destination: Signal::default(),
            length_step: Signal::default(),
            length: Signal::default(),
            next_limit: Signal::default(),
            few_remain: Signal::default(),
            next_remaining: Signal::default(),
            count: Signal::default(),
            result_step: Signal::default(),
            use_scale: Signal::default(),
            exponent: Signal::default(),
            total_right: Signal::default(),
            far: Signal::default(),
            term_bits: Default::default(),
            ends: Default::default(),
            modes: Default::default(),
            route: Default::default(),
            kind: Default::default(),
            bounds: Default::default(),
            term_flags: Signal::default(),
            out_flags: Signal::default(),
            leaving_flags: Signal::default(),
            leaves: Signal::default(),
            leaves_for_activation: Signal::default(),
            out_reduces: Signal::default(),
            compare_now: Signal::default(),
            decided_searches: Signal::default(),
            decided_continues: Signal::default(),
            best: Signal::default(),
            best_before: Signal::default(),
            better: Signal::default(),
            write_now: Signal::default(),
            sign: Constant::new((1u64 << 31).into()),
            lanes: Constant::new((lanes as u64).into()),
            wide_lanes: Constant::new((lanes as u64).into()),
            lane_mask: Constant::new((rows as u64 - 1).into()),
            overtaking: Constant::new((reduction as u64 + 9).into()),
            searching: Constant::new((reduction as u64 + 28).into()),
            _lanes: lanes,
            _row_words: rows / 4,
            _pairs: lanes / 2,
        }
    }

    /// Cycles from issuing a value's last term to its write.
    pub const WRITE_CYCLES: usize = 2 + Requantise::LATENCY_CYCLES as usize + RowLanes::LATENCY_CYCLES;
}

impl Logic for RowEngine {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(
            self,
            clock,
            loading,
            walking,
            running,
            draining,
            in_flight,
            cooldown,
            cooling,
            searched,
            with_source,
            second_tap,
            group_left,
            first_group,
            last_group,
            x_left,
            last_x,
            y_left,
            last_y,
            step_value,
            step_row,
            step_y,
            step_all,
            pad,
            source,
            source_x,
            source_y,
            operand,
            operand_x,
            operand_y,
            destination,
            destination_x,
            destination_y,
            lane,
            remaining,
            limit,
            base,
            scalar,
            result,
            read_1,
            address_1,
            operand_1,
            term_1,
            first_tap_1,
            last_tap_1,
            first_group_1,
            last_group_1,
            last_1,
            destination_1,
            lane_1,
            count_1,
            base_1,
            result_1,
            operand_2,
            term_2,
            pre_add_2,
            multiplier_2,
            left_2,
            right_2,
            decided,
            better_high,
            same_high,
            better_low,
            decided_word,
            index_word,
            index_address,
            index_write,
            may_write,
            end_next,
            end_signal,
            out_valid,
            out_even,
            out_odd,
            out_accumulator,
            plain_end,
            occupied
        );
        for i in 0..16 {
            self.fields.words[i].next = self.command[i].val();
        }
        self.uses_operand.next = self.fields.operand.val().get_bit(0);
        self.two_taps.next = self.fields.taps.val().get_bit(0);
        self.reduces.next = self.fields.reduce.val().any();
        self.searches.next = self.fields.reduce.val() == 3;
        self.continues.next = self.fields.scalar_use.val() == 3;
        self.use_scale.next = self.fields.scalar_use.val() == 2;
        self.to_activation.next = self.fields.destination.val() == 1;
        self.to_accumulator.next = self.fields.destination.val() == 2;
        self.multiplies.next = self.fields.function.val() == 1;
        self.bad_function.next = self.fields.function.val() > 4;
        self.bad_destination.next = self.fields.destination.val() == 3;
        self.bad_operand.next = (self.uses_operand.val() | self.two_taps.val()) & !self.multiplies.val();
        self.bad_continue.next = self.continues.val() & !self.searches.val();
        self.illegal.next = self.load_now.val()
            & (self.bad_function.val()
                | self.bad_destination.val()
                | self.bad_operand.val()
                | self.bad_continue.val());

        // Begin.
        self.overtakes.next = self.cooling.q.val() & (!self.reduces.val() | self.searched.q.val());
        self.may_load.next = !self.hold.val() & !self.overtakes.val();
        self.load_now.next = self.loading.q.val() & self.may_load.val();
        self.take.next = !self.running.q.val() & !self.loading.q.val() & !self.draining.q.val();
        self.loading.d.next = self.start.val() | (self.loading.q.val() & !self.may_load.val());
        if self.cooling.q.val() {
            self.cooldown.d.next = self.cooldown.q.val() - 1;
            self.cooling.d.next = self.cooldown.q.val() != 1;
        }

        // The loops' term.
        self.reads_source.next = !self.uses_operand.val() | self.with_source.q.val();
        self.last_tap.next = !self.two_taps.val() | self.second_tap.q.val();
        self.turn.next = self.walking.q.val() & self.terms.write_ready.val();
        self.walked.next = self.turn.val() & self.step_all.q.val();
        self.one_group.next = self.fields.groups.val() == 0;
        self.one_x.next = self.fields.rows_x.val() == 0;
        self.one_y.next = self.fields.rows_y.val() == 0;
        self.next_with_source.next = self.uses_operand.val() & !self.with_source.q.val();
        self.next_second_tap.next = self.second_tap.q.val();
        if self.reads_source.val() {
            self.next_second_tap.next = !self.last_tap.val();
        }
        self.next_last_group.next = self.last_group.q.val();
        self.next_last_x.next = self.last_x.q.val();
        self.next_last_y.next = self.last_y.q.val();
        if self.step_value.q.val() {
            self.next_last_group.next = self.group_left.q.val() == 1;
        }
        if self.step_row.q.val() {
            self.next_last_group.next = self.one_group.val();
            self.next_last_x.next = self.x_left.q.val() == 1;
        }
        if self.step_y.q.val() {
            self.next_last_x.next = self.one_x.val();
            self.next_last_y.next = self.y_left.q.val() == 1;
        }
        self.next_completes.next = (!self.uses_operand.val() | self.next_with_source.val())
            & (!self.two_taps.val() | self.next_second_tap.val());
        self.row_turns.next = self.next_completes.val() & self.next_last_group.val();
        self.y_turns.next = self.row_turns.val() & self.next_last_x.val();
        if self.turn.val() {
            self.with_source.d.next = self.next_with_source.val();
            self.second_tap.d.next = self.next_second_tap.val();
            self.last_group.d.next = self.next_last_group.val();
            self.last_x.d.next = self.next_last_x.val();
            self.last_y.d.next = self.next_last_y.val();
            self.step_value.d.next = self.next_completes.val();
            self.step_row.d.next = self.row_turns.val();
            self.step_y.d.next = self.y_turns.val();
            self.step_all.d.next = self.y_turns.val() & self.next_last_y.val();
        }
        // Loops that do not walk hold the beginning of the active command: whether it begins is known late.
        self.one_term.next = !self.uses_operand.val() & !self.two_taps.val();
        if !self.walking.q.val() {
            self.with_source.d.next = false;
            self.second_tap.d.next = false;
            self.last_group.d.next = self.one_group.val();
            self.last_x.d.next = self.one_x.val();
            self.last_y.d.next = self.one_y.val();
            self.step_value.d.next = self.one_term.val();
            self.step_row.d.next = self.one_term.val() & self.one_group.val();
            self.step_y.d.next = self.one_term.val() & self.one_group.val() & self.one_x.val();
            self.step_all.d.next =
                self.one_term.val() & self.one_group.val() & self.one_x.val() & self.one_y.val();
        }
        self.tap_source.next = self.source.q.val();
        self.tap_operand.next = self.operand.q.val();
        if self.second_tap.q.val() {
            self.tap_source.next = self.source.q.val() + self.fields.source_stride_tap.val();
            self.tap_operand.next = self.operand.q.val() + self.fields.operand_stride_tap.val();
        }
        self.term_places.low.next = self.tap_operand.val();
        if self.reads_source.val() {
            self.term_places.low.next = self.tap_source.val();
        }
        self.term_places.high.next = self.destination.q.val();
        self.term_numbers.bytes[0].next = self.lane.q.val();
        self.term_numbers.bytes[1].next = self.count.val();
        self.term_numbers.bytes[2].next = self.result.q.val();
        self.term_numbers.bytes[3].next = self.scalar.q.val();
        self.term_kind.bits[0].next = self.reads_source.val();
        self.term_kind.bits[1].next = !self.second_tap.q.val();
        self.term_kind.bits[2].next = self.last_tap.val();
        self.term_kind.bits[3].next = self.first_group.q.val();
        self.term_kind.bits[4].next = self.last_group.q.val();
        self.term_kind.bits[5].next = self.step_value.q.val();
        self.term_kind.bits[6].next = self.step_row.q.val();
        self.term_kind.bits[7].next = self.step_all.q.val();
        self.terms.clock.next = self.clock.val();
        self.terms.reset.next = self.reset.val();
        self.terms.write_valid.next = self.walking.q.val();
        self.terms.write_data[0].next = self.term_places.both.val();
        self.terms.write_data[1].next = self.base.q.val();
        self.terms.write_data[2].next = self.term_numbers.word.val();
        self.terms.write_data[3].next = bit_cast::<32, 8>(self.term_kind.flags.val());

        // Issue. A search writes two scalars a row.
        self.issued.next = self.terms.read_data[3].val().get_bits::<8>(0);
        self.issued_numbers.next = self.terms.read_data[2].val();
        self.go.next = self.running.q.val()
            & self.terms.read_valid.val()
            & !self.pad.q.val()
            & !self.slot_reserved.val();
        self.issue.next = self.go.val() & (!self.issued.val().get_bit(5) | !self.write_reserved.val());
        self.terms.read_ready.next = self.issue.val();
        self.finishing.next = self.issue.val() & self.issued.val().get_bit(7);
        self.pad.d.next = self.issue.val() & self.issued.val().get_bit(6) & self.searches.val();

        // Next term, value, row.
        self.next_source_x.next = self.source_x.q.val() + self.fields.source_stride_x.val();
        self.next_source_y.next = self.source_y.q.val() + self.fields.source_stride_y.val();
        self.next_operand_x.next = self.operand_x.q.val() + self.fields.operand_stride_x.val();
        self.next_operand_y.next = self.operand_y.q.val() + self.fields.operand_stride_y.val();
        self.next_destination_x.next = self.destination_x.q.val() + self.fields.destination_stride_x.val();
        self.next_destination_y.next = self.destination_y.q.val() + self.fields.destination_stride_y.val();
        self.lane_sum.next = self.lane.q.val() + self.lanes.val();
        self.next_lane.next = self.lane_sum.val() & self.lane_mask.val();
        self.steps_destination.next = !self.to_activation.val();
        if self.next_lane.val() == 0 {
            self.steps_destination.next = true;
        }
        self.length_step.next = bit_cast::<32, 8>(self.fields.length_step.val());
        self.length.next = bit_cast::<32, 16>(self.fields.length.val());
        self.next_limit.next = self.limit.q.val() + self.length_step.val();
        self.few_remain.next = self.remaining.q.val() < self.wide_lanes.val();
        self.next_remaining.next = self.remaining.q.val() - self.wide_lanes.val();
        self.count.next = self.lanes.val();
        if self.few_remain.val() {
            self.next_remaining.next = 0.into();
            self.count.next = self.remaining.q.val().get_bits::<8>(0);
        }
        self.result_step.next = 1.into();
        if self.searches.val() {
            self.result_step.next = 2.into();
        }
        if self.turn.val() {
            if self.step_value.q.val() {
                self.group_left.d.next = self.group_left.q.val() - 1;
                self.first_group.d.next = false;
                self.source.d.next = self.source.q.val() + 1;
                self.operand.d.next = self.operand.q.val() + 1;
                self.lane.d.next = self.next_lane.val();
                if self.steps_destination.val() {
                    self.destination.d.next = self.destination.q.val() + 1;
                }
                self.remaining.d.next = self.next_remaining.val();
                self.base.d.next = self.base.q.val() + self.wide_lanes.val();
            }
            if self.step_row.q.val() {
                self.group_left.d.next = self.fields.groups.val();
                self.first_group.d.next = true;
                self.x_left.d.next = self.x_left.q.val() - 1;
                self.source.d.next = self.next_source_x.val();
                self.source_x.d.next = self.next_source_x.val();
                self.operand.d.next = self.next_operand_x.val();
                self.operand_x.d.next = self.next_operand_x.val();
                self.destination.d.next = self.next_destination_x.val();
                self.destination_x.d.next = self.next_destination_x.val();
                self.lane.d.next = self.fields.first_lane.val();
                self.limit.d.next = self.next_limit.val();
                self.remaining.d.next = self.next_limit.val();
                self.base.d.next = self.fields.initial.val();
                self.scalar.d.next = self.scalar.q.val() + 1;
                self.result.d.next = self.result.q.val() + self.result_step.val();
            }
            if self.step_y.q.val() {
                self.x_left.d.next = self.fields.rows_x.val();
                self.y_left.d.next = self.y_left.q.val() - 1;
                self.source.d.next = self.next_source_y.val();
                self.source_x.d.next = self.next_source_y.val();
                self.source_y.d.next = self.next_source_y.val();
                self.operand.d.next = self.next_operand_y.val();
                self.operand_x.d.next = self.next_operand_y.val();
                self.operand_y.d.next = self.next_operand_y.val();
                self.destination.d.next = self.next_destination_y.val();
                self.destination_x.d.next = self.next_destination_y.val();
                self.destination_y.d.next = self.next_destination_y.val();
                self.limit.d.next = self.length.val();
                self.remaining.d.next = self.length.val();
            }
        }
        if self.walked.val() {
            self.walking.d.next = false;
        }
        self.draining.d.next = false;
        if self.finishing.val() {
            self.running.d.next = false;
            // The fields are used until the last term is in the lanes.
            self.draining.d.next = true;
            self.searched.d.next = self.searches.val();
            self.cooldown.d.next = 0.into();
            self.cooling.d.next = self.reduces.val();
            if self.searches.val() {
                self.cooldown.d.next = self.searching.val();
            } else if self.reduces.val() {
                self.cooldown.d.next = self.overtaking.val();
            }
        }
        if self.load_now.val() {
            self.walking.d.next = true;
            self.running.d.next = true;
        }
        if !self.walking.q.val() {
            self.group_left.d.next = self.fields.groups.val();
            self.first_group.d.next = true;
            self.x_left.d.next = self.fields.rows_x.val();
            self.y_left.d.next = self.fields.rows_y.val();
            self.source.d.next = self.fields.source_address.val();
            self.source_x.d.next = self.fields.source_address.val();
            self.source_y.d.next = self.fields.source_address.val();
            self.operand.d.next = self.fields.operand_address.val();
            self.operand_x.d.next = self.fields.operand_address.val();
            self.operand_y.d.next = self.fields.operand_address.val();
            self.destination.d.next = self.fields.destination_address.val();
            self.destination_x.d.next = self.fields.destination_address.val();
            self.destination_y.d.next = self.fields.destination_address.val();
            self.lane.d.next = self.fields.first_lane.val();
            self.limit.d.next = self.length.val();
            self.remaining.d.next = self.length.val();
            self.base.d.next = self.fields.initial.val();
            self.scalar.d.next = self.fields.scalar_address.val();
            self.result.d.next = self.fields.result_address.val();
        }

        // The term that is read.
        self.read_1.d.next = self.issue.val();
        self.address_1.d.next = self.terms.read_data[0].val().get_bits::<16>(0);
        self.operand_1.d.next = self.issue.val() & !self.issued.val().get_bit(0);
        self.term_1.d.next = self.issue.val() & self.issued.val().get_bit(0);
        self.first_tap_1.d.next = self.issued.val().get_bit(1);
        self.last_tap_1.d.next = self.issued.val().get_bit(2);
        self.first_group_1.d.next = self.issued.val().get_bit(3);
        self.last_group_1.d.next = self.issued.val().get_bit(4);
        self.last_1.d.next = self.finishing.val();
        self.destination_1.d.next = self.terms.read_data[0].val().get_bits::<16>(16);
        self.lane_1.d.next = self.issued_numbers.val().get_bits::<8>(0);
        self.count_1.d.next = self.issued_numbers.val().get_bits::<8>(8);
        self.base_1.d.next = self.terms.read_data[1].val();
        self.result_1.d.next = self.issued_numbers.val().get_bits::<8>(16);
        self.accumulator_enable.next = self.read_1.q.val();
        self.accumulator_address.next = self.address_1.q.val();

        // The term in the lanes.
        self.operand_2.d.next = self.operand_1.q.val();
        self.term_2.d.next = self.term_1.q.val();
        for l in 0..self._lanes {
            self.factors[l].clock.next = self.clock.val();
            self.factors[l].d.next = self.factors[l].q.val();
            if self.operand_2.q.val() {
                self.factors[l].d.next = self.accumulator_data[l].val().get_bits::<16>(0);
            }
            self.value[l].next = self.accumulator_data[l].val();
        }
        self.pre_add_2.d.next = 0.into();
        if self.fields.scalar_use.val() == 1 {
            self.pre_add_2.d.next = self.scalar_read_data.val();
        }
        self.exponent.next = bit_cast::<16, 8>(self.scalar_read_data.val().get_bits::<8>(24));
        self.total_right.next = bit_cast::<16, 5>(self.fields.right_shift.val()) + self.exponent.val();
        self.multiplier_2.d.next = self.fields.multiplier.val();
        self.left_2.d.next = self.fields.left_shift.val();
        self.right_2.d.next = bit_cast::<16, 5>(self.fields.right_shift.val());
        if self.use_scale.val() {
            self.multiplier_2.d.next = self.scalar_read_data.val() << 15;
            self.right_2.d.next = self.total_right.val();
        }
        self.scaling.next = self.term_2.q.val();
        self.pre_add.next = self.pre_add_2.q.val();
        self.multiplier.next = self.multiplier_2.q.val();
        self.left.next = self.left_2.q.val();
        // The scalar comes late out of its memory, so that the distance is limited a cycle later.
        self.far.next = self.right_2.q.val() > 31;
        self.right.next = self.right_2.q.val().get_bits::<5>(0);
        if self.far.val() {
            self.right.next = 31.into();
        }
        self.post_add.next = self.fields.post_add.val();
        self.term_bits.bits[0].next = self.to_accumulator.val();
        self.term_bits.bits[1].next = self.to_activation.val();
        self.term_bits.bits[2].next = self.first_tap_1.q.val();
        self.term_bits.bits[3].next = self.last_tap_1.q.val();
        self.term_bits.bits[4].next = self.first_group_1.q.val();
        self.term_bits.bits[5].next = self.last_group_1.q.val();
        self.term_bits.bits[6].next = self.last_1.q.val();
        self.term_bits.bits[7].next = self.term_1.q.val();
        self.route.bytes[0].next = self.destination_1.q.val().get_bits::<8>(0);
        self.route.bytes[1].next = self.destination_1.q.val().get_bits::<8>(8);
        self.route.bytes[2].next = self.lane_1.q.val();
        self.route.bytes[3].next = self.term_bits.flags.val();
        for b in 0..4 {
            self.ends.bits[b].next = self.command[0].val().get_bit(b + 12);
        }
        self.ends.bits[4].next = self.fields.reduce.val().get_bit(0);
        self.ends.bits[5].next = self.fields.reduce.val().get_bit(1);
        self.ends.bits[6].next = self.fields.finish.val().get_bit(0);
        self.ends.bits[7].next = self.fields.finish.val().get_bit(1);
        for b in 0..3 {
            self.modes.bits[b].next = self.fields.function.val().get_bit(b);
            self.modes.bits[b + 4].next = false;
        }
        self.modes.bits[3].next = self.continues.val();
        self.modes.bits[7].next = false;
        self.kind.bytes[0].next = self.ends.flags.val();
        self.kind.bytes[1].next = self.modes.flags.val();
        self.kind.bytes[2].next = bit_cast::<8, 5>(self.fields.shift.val());
        self.kind.bytes[3].next = self.result_1.q.val();
        self.bounds.bytes[0].next = self.count_1.q.val();
        self.bounds.bytes[1].next = self.fields.minimum.val();
        self.bounds.bytes[2].next = self.fields.maximum.val();
        self.bounds.bytes[3].next = 0.into();
        self.term_delay.clock.next = self.clock.val();
        self.term_delay.value[0].next = self.route.word.val();
        self.term_delay.value[1].next = self.kind.word.val();
        self.term_delay.value[2].next = self.bounds.word.val();
        self.term_delay.value[3].next = self.base_1.q.val();
        self.operand_delay.clock.next = self.clock.val();
        for p in 0..self._pairs {
            self.pairs[p].low.next = self.fields.factor.val();
            self.pairs[p].high.next = self.fields.factor.val();
            if self.uses_operand.val() {
                self.pairs[p].low.next = self.factors[p * 2].q.val();
                self.pairs[p].high.next = self.factors[p * 2 + 1].q.val();
            }
            self.operand_delay.value[p].next = self.pairs[p].both.val();
        }

        // The function.
        self.term_flags.next = self.term_delay.delayed[0].val().get_bits::<8>(24);
        self.row_lanes.clock.next = self.clock.val();
        self.row_lanes.valid.next = self.term_flags.val().get_bit(7);
        self.row_lanes.first.next = self.term_flags.val().get_bit(2);
        self.row_lanes.clamped.next = self.term_flags.val().get_bit(1);
        self.row_lanes.operation.next = self.term_delay.delayed[1].val().get_bits::<3>(8);
        self.row_lanes.shift.next = self.term_delay.delayed[1].val().get_bits::<5>(16);
        self.row_lanes.count.next = self.term_delay.delayed[2].val().get_bits::<8>(0);
        self.row_lanes.minimum.next = self.term_delay.delayed[2].val().get_bits::<8>(8);
        self.row_lanes.maximum.next = self.term_delay.delayed[2].val().get_bits::<8>(16);
        self.row_lanes.lent.next = self.lent.val();
        for l in 0..self._lanes {
            self.row_lanes.result[l].next = self.scaled[l].val();
            self.row_lanes.factor_a[l].next = self.factor_a[l].val();
            self.row_lanes.factor_b[l].next = self.factor_b[l].val();
            self.product[l].next = self.row_lanes.product[l].val();
        }
        for p in 0..self._pairs {
            self.row_lanes.operand[p * 2].next = self.operand_delay.delayed[p].val().get_bits::<16>(0);
            self.row_lanes.operand[p * 2 + 1].next = self.operand_delay.delayed[p].val().get_bits::<16>(16);
        }
        self.words_delay.clock.next = self.clock.val();
        for w in 0..4 {
            self.words_delay.value[w].next = self.term_delay.delayed[w].val();
            self.out_words[w].clock.next = self.clock.val();
            self.out_words[w].d.next = self.words_delay.delayed[w].val();
        }
        self.leaving_flags.next = self.words_delay.delayed[0].val().get_bits::<8>(24);
        self.leaves.next = self.leaving_flags.val().get_bit(7) & self.leaving_flags.val().get_bit(3);
        self.out_valid.d.next = self.leaves.val();
        self.accumulator_soon.next = self.leaves.val() & self.leaving_flags.val().get_bit(0);
        self.out_accumulator.d.next = self.accumulator_soon.val();
        self.leaves_for_activation.next = self.leaves.val() & self.leaving_flags.val().get_bit(1);
        self.out_even.d.next =
            self.leaves_for_activation.val() & !self.words_delay.delayed[0].val().get_bit(0);
        self.out_odd.d.next = self.leaves_for_activation.val() & self.words_delay.delayed[0].val().get_bit(0);
        self.plain_end.d.next = self.leaves.val()
            & self.leaving_flags.val().get_bit(6)
            & !self.words_delay.delayed[1].val().get_bits::<2>(4).any();

        // The result.
        self.out_flags.next = self.out_words[0].q.val().get_bits::<8>(24);
        self.accumulator_valid.next = self.out_accumulator.q.val();
        self.activation_even.next = self.out_even.q.val();
        self.activation_odd.next = self.out_odd.q.val();
        self.result_address.next = self.out_words[0].q.val().get_bits::<16>(0);
        self.place.valid.next = self.out_even.q.val() | self.out_odd.q.val();
        self.place.lane.next = self.out_words[0].q.val().get_bits::<8>(16);
        for l in 0..self._lanes {
            self.place.bytes[l].next = self.row_lanes.value[l].val().get_bits::<8>(0);
            self.result_data[l].next = self.row_lanes.value[l].val();
            self.reduction.value[l].next = self.row_lanes.value[l].val();
        }
        for w in 0..self._row_words {
            self.activation_enable[w].next = self.place.enable[w].val();
            self.activation_data[w].next = self.place.words[w].val();
        }
        self.out_reduces.next = self.out_words[1].q.val().get_bits::<2>(4).any();

        // The row's scalar.
        self.reduction.clock.next = self.clock.val();
        self.reduction.valid.next = self.out_valid.q.val() & self.out_reduces.val();
        self.reduction.first.next = self.out_flags.val().get_bit(4);
        self.reduction.last.next = self.out_flags.val().get_bit(5);
        self.reduction.count.next = self.out_words[2].q.val().get_bits::<8>(0);
        self.reduction.reduce.next = self.out_words[1].q.val().get_bits::<2>(4);
        self.reduction.base.next = self.out_words[3].q.val();
        self.kind_reduced.clock.next = self.clock.val();
        self.kind_reduced.value.next = self.out_words[1].q.val();
        self.end_written.clock.next = self.clock.val();
        self.end_written.value.next =
            self.out_valid.q.val() & self.out_flags.val().get_bit(6) & self.out_reduces.val();
        self.scale.clock.next = self.clock.val();
        self.scale.total.next = self.reduction.total.val();
        self.scale.finish.next = self.kind_reduced.delayed.val().get_bits::<2>(6);
        if self.kind_reduced.delayed.val().get_bits::<2>(4) == 3 {
            self.scale.finish.next = 0.into();
        }
        self.kind_scaled.clock.next = self.clock.val();
        self.kind_scaled.value.next = self.kind_reduced.delayed.val();
        self.kind_written.clock.next = self.clock.val();
        self.kind_written.value.next = self.kind_scaled.delayed.val();
        self.index_delay.clock.next = self.clock.val();
        self.index_delay.value.next = self.reduction.index.val();
        self.done_scaled.clock.next = self.clock.val();
        self.done_scaled.value.next = self.reduction.done.val();
        self.done_written.clock.next = self.clock.val();
        self.done_written.value.next = self.done_scaled.delayed.val();
        // A search that continues reads the best value so far a cycle before its own is there.
        self.compare_now.next = self.done_scaled.delayed.val() & self.kind_scaled.delayed.val().get_bit(11);
        self.scalar_read_address.next = self.issued_numbers.val().get_bits::<8>(24);
        if self.compare_now.val() {
            self.scalar_read_address.next = self.kind_scaled.delayed.val().get_bits::<8>(24);
        }
        // With the sign inverted, an unsigned comparison orders signed numbers.
        self.best.next = self.scale.word.val() ^ self.sign.val();
        self.best_before.next = self.scalar_read_data.val() ^ self.sign.val();
        // Half by half; the halves meet after the registers.
        self.better_high.d.next =
            self.best.val().get_bits::<16>(16) > self.best_before.val().get_bits::<16>(16);
        self.same_high.d.next =
            self.best.val().get_bits::<16>(16) == self.best_before.val().get_bits::<16>(16);
        self.better_low.d.next = self.best.val().get_bits::<16>(0) > self.best_before.val().get_bits::<16>(0);
        self.better.next = self.better_high.q.val() | (self.same_high.q.val() & self.better_low.q.val());
        self.decided.d.next = self.done_written.delayed.val();
        self.decided_word.d.next = self.scale.word.val();
        self.kind_decided.clock.next = self.clock.val();
        self.kind_decided.value.next = self.kind_written.delayed.val();
        self.decided_continues.next = self.kind_decided.delayed.val().get_bit(11);
        self.write_now.next = self.decided.q.val() & (self.better.val() | !self.decided_continues.val());
        self.decided_searches.next = self.kind_decided.delayed.val().get_bits::<2>(4) == 3;
        // Whether it writes is known late, that it may is not.
        self.may_write.d.next =
            self.done_written.delayed.val() | (self.decided.q.val() & self.decided_searches.val());
        self.scalar_may_write.next = self.may_write.q.val();
        self.scalar_write_valid.next = self.write_now.val() | self.index_write.q.val();
        self.scalar_write_address.next = self.index_address.q.val();
        self.scalar_write_data.next = self.index_word.q.val();
        if self.write_now.val() {
            self.scalar_write_address.next = self.kind_decided.delayed.val().get_bits::<8>(24);
            self.scalar_write_data.next = self.decided_word.q.val();
        }
        self.index_write.d.next = self.write_now.val() & self.decided_searches.val();
        self.index_word.d.next = self.index_delay.delayed.val();
        self.index_address.d.next = self.kind_decided.delayed.val().get_bits::<8>(24) + 1;
        self.end_next.d.next = self.end_written.delayed.val();
        self.end_signal.d.next = self.kind_decided.delayed.val().get_bits::<4>(0);

        // Commands started and not yet finished.
        self.finished.next = self.plain_end.q.val() | self.end_next.q.val();
        self.signal.next = 0.into();
        if self.plain_end.q.val() {
            self.signal.next = self.out_words[1].q.val().get_bits::<4>(0);
        } else if self.end_next.q.val() {
            self.signal.next = self.end_signal.q.val();
        }
        if self.start.val() & !self.finished.val() {
            self.in_flight.d.next = self.in_flight.q.val() + 1;
            self.occupied.d.next = true;
        } else if self.finished.val() & !self.start.val() {
            self.in_flight.d.next = self.in_flight.q.val() - 1;
            self.occupied.d.next = self.in_flight.q.val() != 1;
        }
        self.busy.next = self.occupied.q.val();
        self.state.next = 0.into();
        if self.loading.q.val() {
            self.state.next = 1.into();
        } else if self.running.q.val() {
            self.state.next = 2.into();
        }
        if self.reset.val() {
            self.loading.d.next = false;
            self.walking.d.next = false;
            self.running.d.next = false;
            self.in_flight.d.next = 0.into();
            self.occupied.d.next = false;
            self.cooldown.d.next = 0.into();
            self.cooling.d.next = false;
        }
    }
    fn timing(&self) -> Vec<TimingInfo> {
        describe(
            "row_engine",
            "Works along rows of accumulator memory: scales, applies a function, writes, and reduces each row to a scalar.",
        )
    }
}
