//! Output stage: lanes of bias, requantise and clamp, shared by the matrix and the vector engine.
//!
//! ```text
//! totals --+-------> select group of lanes --> lane register --+
//!          +-> hold --^     parameter / partial-sum read ------+--> Requantise --> TableLookup --> activation or accumulator write
//!                                  vector values --------------+
//! ```
//! Matrix results come with a queued descriptor and take `cols / lanes` slots each, depthwise ones `rows / lanes`, those of four-bit weights
//! `2 * cols / lanes`; the matrix engine spaces them so that they never meet. Group 0 goes to the lanes as it comes, the others are held.
//! A result for accumulator memory is the raw sum, or requantised (`rescale`), with the old row added if wanted (`add_row`).
//! The vector engine presents a value only in slots that it has seen to be free. Nothing in here stalls.

use crate::byte_mover::ByteMover;
use crate::emit::describe;
use crate::lanes::LanePlace;
use crate::leaves::{ecp5, inputs, outputs, DelayLine, Fifo, PackBytes, PackFlags, Requantise};
use crate::matrix_engine::DESCRIPTOR_WORDS;
use crate::table_lookup::TableLookup;
use frugal_isa::Config;
use rust_hdl_core::prelude::*;
use rust_hdl_widgets::prelude::*;

#[derive(LogicBlock)]
pub struct OutputStage {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    // Matrix results.
    pub total: Vec<Signal<In, Bits<32>>>,
    pub total_valid: Signal<In, Bit>,
    pub descriptor: Vec<Signal<In, Bits<32>>>,
    pub descriptor_valid: Signal<In, Bit>,
    // Parameters and partial sums: read here, data in the next cycle.
    pub parameter_enable: Signal<Out, Bit>,
    pub parameter_address: Signal<Out, Bits<16>>,
    /// Biases, multipliers, shift words: `lanes` of each.
    pub parameter: Vec<Signal<In, Bits<32>>>,
    pub partial_enable: Signal<Out, Bit>,
    pub partial_address: Signal<Out, Bits<16>>,
    pub accumulator: Vec<Signal<In, Bits<32>>>,
    // Vector values, in a free slot; accumulator data of the same cycle are the operand.
    pub vector_valid: Signal<In, Bit>,
    pub vector_value: Vec<Signal<In, Bits<32>>>,
    pub vector_pre_add: Signal<In, Bits<32>>,
    pub vector_multiplier: Signal<In, Bits<32>>,
    pub vector_left: Signal<In, Bits<5>>,
    pub vector_right: Signal<In, Bits<5>>,
    pub vector_single_rounding: Signal<In, Bit>,
    pub vector_add_operand: Signal<In, Bit>,
    /// The operand is subtracted instead.
    pub vector_subtract_operand: Signal<In, Bit>,
    pub vector_post_add: Signal<In, Bits<32>>,
    pub vector_minimum: Signal<In, Bits<8>>,
    pub vector_maximum: Signal<In, Bits<8>>,
    /// Destination address, lane and flags, as in a descriptor's first word.
    pub vector_route: Signal<In, Bits<32>>,
    pub vector_lookup: Signal<In, Bit>,
    pub vector_table: Signal<In, Bits<3>>,
    /// What the lanes made of the values of [`OutputStage::SCALED_CYCLES`] ago, for the row engine.
    pub scaled: Vec<Signal<Out, Bits<32>>>,
    // Tables: four entries a word.
    pub table_write_valid: Signal<In, Bit>,
    pub table_write_ready: Signal<Out, Bit>,
    pub table_write_address: Signal<In, Bits<16>>,
    pub table_write_data: Signal<In, Bits<32>>,
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
    pub accumulator_data: Vec<Signal<Out, Bits<32>>>,
    /// The activation scratchpad, which takes a cycle more, writes a result when a byte mover's segment that is issued now would be written; and whether
    /// to an odd address.
    pub result_soon: Signal<Out, Bit>,
    pub result_odd: Signal<Out, Bit>,
    // The last result of a command is being written.
    pub matrix_finished: Signal<Out, Bit>,
    pub vector_finished: Signal<Out, Bit>,
    /// Tokens of the command that ends with the next result.
    pub matrix_signal: Signal<Out, Bits<4>>,
    pub vector_signal: Signal<Out, Bits<4>>,
    descriptors: Fifo,
    lane: Vec<Requantise>,
    /// Totals beyond the first group: number `lanes` and on.
    hold: Vec<DFF<Bits<32>>>,
    value: Vec<DFF<Bits<32>>>,
    holding: DFF<Bit>,
    group: DFF<Bits<8>>,
    /// Whether it is the last one: of all columns, of a depthwise result, of one with 4-bit weights.
    is_final: Vec<DFF<Bit>>,
    lane_offset: DFF<Bits<8>>,
    // The group in the lane register.
    post_base: DFF<Bits<32>>,
    post_row: Vec<DFF<Bits<32>>>,
    matrix_valid: DFF<Bit>,
    raw: DFF<Bit>,
    /// The matrix value in the lane register is added to a partial sum.
    accumulates: DFF<Bit>,
    add_row: DFF<Bit>,
    single_rounding: DFF<Bit>,
    clamp: DFF<Bits<32>>,
    route_register: DFF<Bits<32>>,
    out_accumulator: DFF<Bit>,
    out_even: DFF<Bit>,
    out_odd: DFF<Bit>,
    matrix_ends: DFF<Bit>,
    vector_ends: DFF<Bit>,
    // The group in the requantise pipeline.
    route_early: DelayLine<32>,
    route_middle: DelayLine<32>,
    route_late: DelayLine<32>,
    kind_early: DelayLine<8>,
    kind_middle: DelayLine<8>,
    lookup: TableLookup,
    result32: Vec<DFF<Bits<32>>>,
    place: LanePlace,
    route: PackBytes,
    kind: PackFlags,
    kind_soon: Signal<Local, Bits<8>>,
    route_soon: Signal<Local, Bits<32>>,
    soon: Signal<Local, Bit>,
    soon_register: DFF<Bit>,
    soon_odd: DFF<Bit>,
    route_in: Signal<Local, Bits<32>>,
    route_out: Signal<Local, Bits<32>>,
    head: Signal<Local, Bits<32>>,
    rows: Signal<Local, Bits<32>>,
    last_group: Signal<Local, Bit>,
    single: Signal<Local, Bit>,
    group_wide: Signal<Local, Bits<16>>,
    parameter_base: Signal<Local, Bits<16>>,
    accumulator_base: Signal<Local, Bits<16>>,
    accumulator_row: Signal<Local, Bits<16>>,
    activation_route: Signal<Local, Bits<16>>,
    destination: Signal<Local, Bits<16>>,
    lane_sum: Signal<Local, Bits<8>>,
    flags: Signal<Local, Bits<8>>,
    final_flags: Signal<Local, Bits<8>>,
    zero_point: crate::leaves::SignExtend8,
    // What is written in the next cycle.
    kind_coming: Signal<Local, Bits<8>>,
    route_coming: Signal<Local, Bits<32>>,
    comes: Signal<Local, Bit>,
    to_activation: Signal<Local, Bit>,
    ends_matrix: Signal<Local, Bit>,
    ends_vector: Signal<Local, Bit>,
    end_mask: Constant<Bits<8>>,
    mode: Signal<Local, Bits<8>>,
    handing_out: Signal<Local, Bit>,
    this_group: Signal<Local, Bits<8>>,
    this_lane: Signal<Local, Bits<8>>,
    lanes: Constant<Bits<8>>,
    single_group: Constant<Bit>,
    single_depthwise_group: Constant<Bit>,
    single_four_bit_group: Constant<Bit>,
    before_final_group: Constant<Bits<8>>,
    before_final_depthwise_group: Constant<Bits<8>>,
    before_final_four_bit_group: Constant<Bits<8>>,
    identity: Constant<Bits<32>>,
    _lanes: usize,
    _groups: usize,
    _held: usize,
    _row_words: usize,
}

// Bank, memory and tokens of a write are made from what the lanes give, a cycle before it.
const _: () = assert!(TableLookup::LATENCY_CYCLES == 1);

impl OutputStage {
    /// The stage of a machine that `config` describes.
    pub fn new(config: &Config) -> Self {
        let Config { rows, cols, lanes, tables, .. } = *config;
        let channels = config.result_channels();
        let held = channels - lanes;
        let single = |channels: usize| Constant::new(channels == lanes);
        let before_final =
            |channels: usize| Constant::new(((channels / lanes) as u64).saturating_sub(2).into());
        // Results are written one cycle after the table lookup; `result_soon` looks ahead.
        let requantise = Requantise::LATENCY_CYCLES as usize;
        let written = requantise + TableLookup::LATENCY_CYCLES as usize;
        let early = written - ByteMover::LATENCY_CYCLES;
        Self {
            clock: Signal::default(),
            reset: Signal::default(),
            total: inputs(channels),
            total_valid: Signal::default(),
            descriptor: inputs(DESCRIPTOR_WORDS),
            descriptor_valid: Signal::default(),
            parameter_enable: Signal::default(),
            parameter_address: Signal::default(),
            parameter: inputs(3 * lanes),
            partial_enable: Signal::default(),
            partial_address: Signal::default(),
            accumulator: inputs(lanes),
            vector_valid: Signal::default(),
            vector_value: inputs(lanes),
            vector_pre_add: Signal::default(),
            vector_multiplier: Signal::default(),
            vector_left: Signal::default(),
            vector_right: Signal::default(),
            vector_single_rounding: Signal::default(),
            vector_add_operand: Signal::default(),
            vector_subtract_operand: Signal::default(),
            vector_post_add: Signal::default(),
            vector_minimum: Signal::default(),
            vector_maximum: Signal::default(),
            vector_route: Signal::default(),
            vector_lookup: Signal::default(),
            vector_table: Signal::default(),
            scaled: outputs(lanes),
            table_write_valid: Signal::default(),
            table_write_ready: Signal::default(),
            table_write_address: Signal::default(),
            table_write_data: Signal::default(),
            activation_even: Signal::default(),
            activation_odd: Signal::default(),
            accumulator_valid: Signal::default(),
            accumulator_soon: Signal::default(),
            result_address: Signal::default(),
            activation_enable: outputs(rows / 4),
            activation_data: outputs(rows / 4),
            accumulator_data: outputs(lanes),
            result_soon: Signal::default(),
            result_odd: Signal::default(),
            matrix_finished: Signal::default(),
            vector_finished: Signal::default(),
            matrix_signal: Signal::default(),
            vector_signal: Signal::default(),
            descriptors: Fifo::new(16, DESCRIPTOR_WORDS),
            lane: (0..lanes).map(|_| Requantise::default()).collect(),
            hold: (0..held).map(|_| DFF::default()).collect(),
            value: (0..lanes).map(|_| DFF::default()).collect(),
            holding: DFF::default(),
            group: DFF::default(),
            is_final: (0..3).map(|_| DFF::default()).collect(),
            lane_offset: DFF::default(),
            post_base: DFF::default(),
            post_row: (0..lanes).map(|_| DFF::default()).collect(),
            matrix_valid: DFF::default(),
            raw: DFF::default(),
            accumulates: DFF::default(),
            add_row: DFF::default(),
            single_rounding: DFF::default(),
            clamp: DFF::default(),
            route_register: DFF::default(),
            out_accumulator: DFF::default(),
            out_even: DFF::default(),
            out_odd: DFF::default(),
            matrix_ends: DFF::default(),
            vector_ends: DFF::default(),
            route_early: DelayLine::new(early),
            route_middle: DelayLine::new(requantise - early),
            route_late: DelayLine::new(written - requantise),
            kind_early: DelayLine::new(early),
            kind_middle: DelayLine::new(requantise - early),
            lookup: TableLookup::new(tables, lanes, ecp5::lookups_in_luts(config)),
            result32: (0..lanes).map(|_| DFF::default()).collect(),
            place: LanePlace::new(rows, lanes),
            route: PackBytes::default(),
            kind: Default::default(),
            kind_soon: Signal::default(),
            route_soon: Signal::default(),
            soon: Signal::default(),
            soon_register: DFF::default(),
            soon_odd: DFF::default(),
            route_in: Signal::default(),
            route_out: Signal::default(),
            head: Signal::default(),
            rows: Signal::default(),
            last_group: Signal::default(),
            single: Signal::default(),
            group_wide: Signal::default(),
            parameter_base: Signal::default(),
            accumulator_base: Signal::default(),
            accumulator_row: Signal::default(),
            activation_route: Signal::default(),
            destination: Signal::default(),
            lane_sum: Signal::default(),
            flags: Signal::default(),
            final_flags: Signal::default(),
            zero_point: Default::default(),
            kind_coming: Signal::default(),
            route_coming: Signal::default(),
            comes: Signal::default(),
            to_activation: Signal::default(),
            ends_matrix: Signal::default(),
            ends_vector: Signal::default(),
            end_mask: Constant::new(0b0000_0111u64.into()),
            mode: Signal::default(),
            handing_out: Signal::default(),
            this_group: Signal::default(),
            this_lane: Signal::default(),
            lanes: Constant::new((lanes as u64).into()),
            single_group: single(cols),
            single_depthwise_group: single(rows),
            single_four_bit_group: single(2 * cols),
            before_final_group: before_final(cols),
            before_final_depthwise_group: before_final(rows),
            before_final_four_bit_group: before_final(2 * cols),
            identity: Constant::new(0x8000_0000u64.into()),
            _lanes: lanes,
            _groups: channels / lanes,
            _held: held,
            _row_words: rows / 4,
        }
    }

    /// Cycles that a value spends in the lanes.
    pub const SCALED_CYCLES: usize = Requantise::LATENCY_CYCLES as usize;
    /// Cycles from a slot in the lanes to the write.
    pub const WRITE_CYCLES: usize = Self::SCALED_CYCLES + TableLookup::LATENCY_CYCLES as usize;
}

impl Logic for OutputStage {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(
            self,
            clock,
            holding,
            group,
            lane_offset,
            post_base,
            matrix_valid,
            raw,
            accumulates,
            add_row,
            single_rounding,
            clamp,
            route_register,
            out_accumulator,
            soon_register,
            soon_odd,
            out_even,
            out_odd,
            matrix_ends,
            vector_ends
        );
        self.descriptors.clock.next = self.clock.val();
        self.descriptors.reset.next = self.reset.val();
        self.descriptors.write_valid.next = self.descriptor_valid.val();
        for w in 0..3 {
            self.descriptors.write_data[w].next = self.descriptor[w].val();
        }
        self.head.next = self.descriptors.read_data[0].val();
        self.rows.next = self.descriptors.read_data[1].val();

        // Hand the totals out group by group: the first one as they come, the others from where they are held.
        for c in 0..self._held {
            self.hold[c].clock.next = self.clock.val();
            self.hold[c].d.next = self.hold[c].q.val();
        }
        self.handing_out.next = self.total_valid.val() | self.holding.q.val();
        self.this_group.next = self.group.q.val();
        self.this_lane.next = self.lane_offset.q.val();
        if self.total_valid.val() {
            self.this_group.next = 0.into();
            self.this_lane.next = 0.into();
        }
        self.mode.next = self.descriptors.read_data[2].val().get_bits::<8>(24);
        // Whether the next group is the last one is found out a cycle before.
        self.last_group.next = self.is_final[0].q.val();
        self.single.next = self.single_group.val();
        if self.mode.val().get_bit(0) {
            self.last_group.next = self.is_final[1].q.val();
            self.single.next = self.single_depthwise_group.val();
        }
        if self.mode.val().get_bit(1) {
            self.last_group.next = self.is_final[2].q.val();
            self.single.next = self.single_four_bit_group.val();
        }
        if self.total_valid.val() {
            self.last_group.next = self.single.val();
        }
        for m in 0..3 {
            self.is_final[m].clock.next = self.clock.val();
            self.is_final[m].d.next = self.is_final[m].q.val();
        }
        self.lane_sum.next = self.this_lane.val() + self.lanes.val();
        self.descriptors.read_ready.next = self.handing_out.val() & self.last_group.val();
        if self.handing_out.val() {
            self.group.d.next = self.this_group.val() + 1;
            self.is_final[0].d.next = self.this_group.val() == self.before_final_group.val();
            self.is_final[1].d.next = self.this_group.val() == self.before_final_depthwise_group.val();
            self.is_final[2].d.next = self.this_group.val() == self.before_final_four_bit_group.val();
            self.lane_offset.d.next = self.lane_sum.val();
            self.holding.d.next = !self.last_group.val();
        }
        if self.total_valid.val() {
            for lanes in self._lanes..(self._lanes + 1) {
                for c in 0..self._held {
                    self.hold[c].d.next = self.total[lanes + c].val();
                }
            }
        }
        // Which group is held ready is known early, whether totals come late.
        for l in 0..self._lanes {
            self.value[l].clock.next = self.clock.val();
            self.value[l].d.next = 0.into();
        }
        for lanes in self._lanes..(self._lanes + 1) {
            for g in 1..self._groups {
                if self.group.q.val().index() == g {
                    for l in 0..self._lanes {
                        self.value[l].d.next = self.hold[g * lanes + l - lanes].q.val();
                    }
                }
            }
        }
        if self.total_valid.val() {
            for l in 0..self._lanes {
                self.value[l].d.next = self.total[l].val();
            }
        }

        // Read the group's parameters or partial sums; they arrive with the lane register.
        self.group_wide.next = bit_cast::<16, 8>(self.this_group.val());
        self.parameter_base.next = self.rows.val().get_bits::<16>(0);
        self.accumulator_base.next = self.rows.val().get_bits::<16>(16);
        self.parameter_enable.next = self.handing_out.val();
        self.parameter_address.next = self.parameter_base.val() + self.group_wide.val();
        self.accumulator_row.next = self.accumulator_base.val() + self.group_wide.val();
        self.partial_address.next = self.accumulator_row.val();
        self.flags.next = self.head.val().get_bits::<8>(24);
        self.partial_enable.next =
            self.handing_out.val() & (self.flags.val().get_bit(1) | self.mode.val().get_bit(3));
        self.matrix_valid.d.next = self.handing_out.val();
        self.raw.d.next = self.flags.val().get_bit(0) & !self.mode.val().get_bit(2);
        self.add_row.d.next = self.mode.val().get_bit(3);
        self.accumulates.d.next = self.handing_out.val() & self.flags.val().get_bit(1);
        self.single_rounding.d.next = self.flags.val().get_bit(2);
        self.clamp.d.next = self.descriptors.read_data[2].val();
        // Flags that leave with the result: only the last group of a command's last result ends it.
        self.final_flags.next = self.flags.val() & self.end_mask.val();
        if self.last_group.val() {
            self.final_flags.next = self.flags.val();
        }
        self.activation_route.next = self.head.val().get_bits::<16>(0);
        self.destination.next = self.activation_route.val();
        if self.flags.val().get_bit(0) {
            self.destination.next = self.accumulator_row.val();
        }
        self.route.bytes[0].next = self.destination.val().get_bits::<8>(0);
        self.route.bytes[1].next = self.destination.val().get_bits::<8>(8);
        self.route.bytes[2].next = self.head.val().get_bits::<8>(16) + self.this_lane.val();
        self.route.bytes[3].next = self.final_flags.val();
        self.route_register.d.next = self.route.word.val();

        // The lanes: matrix values when there are any, else vector values.
        self.zero_point.value.next = self.clamp.q.val().get_bits::<8>(0);
        // What is added after requantising, in two parts that are summed a cycle later: the zero point, and a row of the accumulator memory, or
        // its negative as 1 + inverted row.
        self.post_base.d.next = self.vector_post_add.val();
        if self.vector_add_operand.val() {
            self.post_base.d.next = 0.into();
            if self.vector_subtract_operand.val() {
                self.post_base.d.next = 1.into();
            }
        }
        if self.matrix_valid.q.val() {
            self.post_base.d.next = self.zero_point.extended.val();
            if self.raw.q.val() {
                self.post_base.d.next = 0.into();
            }
        }
        for l in 0..self._lanes {
            self.post_row[l].clock.next = self.clock.val();
            self.post_row[l].d.next = 0.into();
            if self.vector_add_operand.val() {
                self.post_row[l].d.next = self.accumulator[l].val();
                if self.vector_subtract_operand.val() {
                    self.post_row[l].d.next = !self.accumulator[l].val();
                }
            }
            if self.matrix_valid.q.val() {
                self.post_row[l].d.next = 0.into();
                if self.add_row.q.val() {
                    self.post_row[l].d.next = self.accumulator[l].val();
                }
            }
            self.lane[l].post_add.next = self.post_base.q.val() + self.post_row[l].q.val();
        }
        for lanes in self._lanes..(self._lanes + 1) {
            for l in 0..self._lanes {
                self.lane[l].clock.next = self.clock.val();
                self.lane[l].value.next = self.vector_value[l].val();
                self.lane[l].pre_add.next = self.vector_pre_add.val();
                self.lane[l].left.next = self.vector_left.val();
                self.lane[l].multiplier.next = self.vector_multiplier.val();
                self.lane[l].right.next = self.vector_right.val();
                self.lane[l].single_rounding.next = self.vector_single_rounding.val();
                self.lane[l].min.next = self.vector_minimum.val();
                self.lane[l].max.next = self.vector_maximum.val();
                if self.matrix_valid.q.val() {
                    self.lane[l].value.next = self.value[l].q.val();
                    self.lane[l].pre_add.next = self.parameter[l].val();
                    self.lane[l].multiplier.next = self.parameter[lanes + l].val();
                    self.lane[l].right.next = self.parameter[lanes * 2 + l].val().get_bits::<5>(0);
                    self.lane[l].left.next = self.parameter[lanes * 2 + l].val().get_bits::<5>(8);
                    self.lane[l].single_rounding.next = self.single_rounding.q.val();
                    self.lane[l].min.next = self.clamp.q.val().get_bits::<8>(8);
                    self.lane[l].max.next = self.clamp.q.val().get_bits::<8>(16);
                    if self.raw.q.val() {
                        self.lane[l].multiplier.next = self.identity.val();
                        self.lane[l].left.next = 0.into();
                        self.lane[l].right.next = 0.into();
                    }
                }
                // Partial sums are there last, out of a memory that others read, too.
                if self.accumulates.q.val() {
                    self.lane[l].pre_add.next = self.accumulator[l].val();
                }
            }
        }
        self.kind.bits[0].next = self.matrix_valid.q.val();
        self.kind.bits[1].next = self.vector_valid.val() & !self.matrix_valid.q.val();
        self.kind.bits[2].next =
            self.vector_valid.val() & self.vector_lookup.val() & !self.matrix_valid.q.val();
        for b in 0..3 {
            self.kind.bits[b + 3].next = self.vector_table.val().get_bit(b);
        }
        self.kind.bits[6].next = false;
        self.kind.bits[7].next = false;
        self.route_in.next = self.vector_route.val();
        if self.matrix_valid.q.val() {
            self.route_in.next = self.route_register.q.val();
        }

        // What comes out.
        self.route_early.clock.next = self.clock.val();
        self.route_middle.clock.next = self.clock.val();
        self.route_late.clock.next = self.clock.val();
        self.kind_early.clock.next = self.clock.val();
        self.kind_middle.clock.next = self.clock.val();
        self.route_early.value.next = self.route_in.val();
        self.route_middle.value.next = self.route_early.delayed.val();
        self.route_late.value.next = self.route_middle.delayed.val();
        self.kind_early.value.next = self.kind.flags.val();
        self.kind_middle.value.next = self.kind_early.delayed.val();
        self.kind_soon.next = self.kind_early.delayed.val();
        self.route_soon.next = self.route_early.delayed.val();
        self.soon.next = self.kind_soon.val().get_bit(0) | self.kind_soon.val().get_bit(1);
        self.soon_register.d.next = self.soon.val() & !self.route_soon.val().get_bit(24);
        self.soon_odd.d.next = self.route_soon.val().get_bit(0);
        self.result_soon.next = self.soon_register.q.val();
        self.result_odd.next = self.soon_odd.q.val();
        for l in 0..self._lanes {
            self.lookup.value[l].next = self.lane[l].result8.val();
            self.result32[l].clock.next = self.clock.val();
            self.result32[l].d.next = self.lane[l].result32.val();
            self.scaled[l].next = self.lane[l].result32.val();
        }
        self.lookup.clock.next = self.clock.val();
        self.lookup.enable.next = self.kind_middle.delayed.val().get_bit(2);
        self.lookup.table.next = self.kind_middle.delayed.val().get_bits::<3>(3);
        self.lookup.write_valid.next = self.table_write_valid.val();
        self.lookup.write_address.next = self.table_write_address.val();
        self.lookup.write_data.next = self.table_write_data.val();
        self.table_write_ready.next = self.lookup.write_ready.val();
        self.route_out.next = self.route_late.delayed.val();
        // Which memory and bank is written is known a cycle before.
        self.kind_coming.next = self.kind_middle.delayed.val();
        self.route_coming.next = self.route_middle.delayed.val();
        self.comes.next = self.kind_coming.val().get_bit(0) | self.kind_coming.val().get_bit(1);
        self.accumulator_soon.next = self.comes.val() & self.route_coming.val().get_bit(24);
        self.out_accumulator.d.next = self.accumulator_soon.val();
        self.to_activation.next = self.comes.val() & !self.route_coming.val().get_bit(24);
        self.out_even.d.next = self.to_activation.val() & !self.route_coming.val().get_bit(0);
        self.out_odd.d.next = self.to_activation.val() & self.route_coming.val().get_bit(0);
        self.activation_even.next = self.out_even.q.val();
        self.activation_odd.next = self.out_odd.q.val();
        self.accumulator_valid.next = self.out_accumulator.q.val();
        self.result_address.next = self.route_out.val().get_bits::<16>(0);
        self.place.valid.next = self.out_even.q.val() | self.out_odd.q.val();
        self.place.lane.next = self.route_out.val().get_bits::<8>(16);
        for l in 0..self._lanes {
            self.place.bytes[l].next = self.lookup.result[l].val();
            self.accumulator_data[l].next = self.result32[l].q.val();
        }
        for w in 0..self._row_words {
            self.activation_enable[w].next = self.place.enable[w].val();
            self.activation_data[w].next = self.place.words[w].val();
        }
        // The end is known a cycle before the write, and tokens are sent then: engines that wait for one start in the cycle of the write.
        self.ends_matrix.next = self.kind_coming.val().get_bit(0) & self.route_coming.val().get_bit(27);
        self.ends_vector.next = self.kind_coming.val().get_bit(1) & self.route_coming.val().get_bit(27);
        self.matrix_ends.d.next = self.ends_matrix.val();
        self.vector_ends.d.next = self.ends_vector.val();
        self.matrix_signal.next = 0.into();
        self.vector_signal.next = 0.into();
        if self.ends_matrix.val() {
            self.matrix_signal.next = self.route_coming.val().get_bits::<4>(28);
        }
        if self.ends_vector.val() {
            self.vector_signal.next = self.route_coming.val().get_bits::<4>(28);
        }
        self.matrix_finished.next = self.matrix_ends.q.val();
        self.vector_finished.next = self.vector_ends.q.val();
        if self.reset.val() {
            self.holding.d.next = false;
        }
    }
    fn timing(&self) -> Vec<TimingInfo> {
        describe(
            "output_stage",
            "Lanes of bias, requantise and clamp. Matrix totals leave group by group; the vector engine uses the slots\n\
             in between.",
        )
    }
}
