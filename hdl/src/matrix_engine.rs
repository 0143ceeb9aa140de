//! Matrix engine: issues one step of a matrix command each cycle.
//!
//! ```text
//! cycle  t      step issued: activation address and weight address to the scratchpads
//!        t+1    activation data, padding; the weight scratchpad has a register of its own behind the memory
//!        t+2    activation register and weight data at the multipliers' input
//!        ...    MAC array
//!        t+2+MacArray::latency        total valid -> output stage
//! ```
//! With a result's last step its *descriptor* (where it goes, which parameters, clamps, tokens) goes into a queue that the output stage
//! reads when the total arrives. A result occupies the output stage for `cols / lanes` cycles (twice that with four-bit weights), so last
//! steps are issued at least that far apart, and `slot_reserved` tells the vector engine which future cycles of the stage are taken.
//!
//! The group scales of four-bit weights are read [`MacArray::scale_cycles`] later than the weights, just when the array wants them: what
//! waits is an address.
//!
//! Depthwise, every step also gets the vectors that the same step read for the results before. They come from the history memory:
//!
//! ```text
//! cycle  t      history row of the step is read
//!        t+1    the step's vector joins the row in front, the last one drops out; the row is written
//! ```
//! The same step of the next result is issued at least two cycles later, because last steps are at least two cycles apart.

use crate::emit::describe;
use crate::fields;
use crate::leaves::{ecp5, inputs, outputs, DelayBit, DelayLine, PackBytes, SimpleRam};
use crate::loop_nest::LoopNest;
use crate::mac_array::MacArray;
use frugal_isa::Config;
use rust_hdl_core::prelude::*;
use rust_hdl_widgets::prelude::*;

/// Words of a result descriptor.
pub const DESCRIPTOR_WORDS: usize = 3;

#[derive(LogicBlock)]
pub struct MatrixEngine {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    // Command buffer.
    pub start: Signal<In, Bit>,
    pub command: Vec<Signal<In, Bits<32>>>,
    /// The command that will be `command` in the next cycle, with its `start`.
    pub coming: Vec<Signal<In, Bits<32>>>,
    pub take: Signal<Out, Bit>,
    // Activation scratchpad.
    pub activation_enable: Signal<Out, Bit>,
    /// The bank that is read.
    pub activation_step: Signal<Out, Bit>,
    pub activation_even: Signal<Out, Bit>,
    pub activation_odd: Signal<Out, Bit>,
    pub activation_address: Signal<Out, Bits<16>>,
    pub activation_data: Vec<Signal<In, Bits<32>>>,
    // Weight scratchpad.
    pub weight_enable: Signal<Out, Bit>,
    pub weight_address: Signal<Out, Bits<16>>,
    pub weight_data: Vec<Signal<In, Bits<32>>>,
    // Group scales, if the array has them.
    pub scale_enable: Signal<Out, Bit>,
    pub scale_address: Signal<Out, Bits<16>>,
    pub scale_data: Vec<Signal<In, Bits<32>>>,
    // Output stage.
    pub total: Vec<Signal<Out, Bits<32>>>,
    pub total_valid: Signal<Out, Bit>,
    pub descriptor: Vec<Signal<Out, Bits<32>>>,
    pub descriptor_valid: Signal<Out, Bit>,
    /// The cycle of the output stage that a vector result issued now would need is taken.
    pub slot_reserved: Signal<Out, Bit>,
    /// The output stage may read partial sums in this cycle.
    pub partial_slot_reserved: Signal<Out, Bit>,
    /// The same for a vector result that is multiplied first.
    pub late_slot_reserved: Signal<Out, Bit>,
    /// The output stage's lanes are taken in the next cycle.
    pub row_slot_reserved: Signal<Out, Bit>,
    /// A result will be written in the cycle in which a row engine's value issued now would be.
    pub row_write_reserved: Signal<Out, Bit>,
    /// The active command would give no results, its flags contradict each other, or the array does not have what it needs.
    pub illegal: Signal<Out, Bit>,
    /// A command's last result has been written.
    pub finished: Signal<In, Bit>,
    /// A command is running or in the pipeline.
    pub busy: Signal<Out, Bit>,
    /// A step is issued in this cycle.
    pub step: Signal<Out, Bit>,
    /// A command runs; without `step` it holds a step back.
    pub runs: Signal<Out, Bit>,
    /// 0 idle, 1 loading the loop nest, 2 running.
    pub state: Signal<Out, Bits<4>>,
    fields: fields::Matrix,
    coming_fields: fields::Matrix,
    nest: LoopNest,
    array: MacArray,
    loading: DFF<Bit>,
    running: DFF<Bit>,
    refused: DFF<Bit>,
    /// `pace` is not 0.
    pacing: DFF<Bit>,
    pace: DFF<Bits<8>>,
    weight: DFF<Bits<16>>,
    weight_base: DFF<Bits<16>>,
    parameter: DFF<Bits<16>>,
    accumulator: DFF<Bits<16>>,
    reserved: DFF<Bits<64>>,
    in_flight: DFF<Bits<8>>,
    // Step pipeline.
    weight_address_1: DFF<Bits<16>>,
    step_1: DFF<Bit>,
    inside_1: DFF<Bit>,
    pad_1: DFF<Bits<8>>,
    step_2: DFF<Bit>,
    described: Vec<DFF<Bits<32>>>,
    delivered: DFF<Bit>,
    first_delay: DelayBit,
    last_delay: DelayBit,
    activation: Vec<DFF<Bits<32>>>,
    // Depthwise: vectors of the results before.
    history: SimpleRam,
    history_step: DFF<Bits<16>>,
    history_step_1: DFF<Bits<16>>,
    depthwise_1: DFF<Bit>,
    depthwise_2: DFF<Bit>,
    four_bit_1: DFF<Bit>,
    four_bit_2: DFF<Bit>,
    scale_delay: DelayBit,
    scale_address_delay: DelayLine<16>,
    earlier: Vec<DFF<Bits<32>>>,
    pad_word: PackBytes,
    route: PackBytes,
    rows: PackBytes,
    clamp: PackBytes,
    last_groups: Signal<Local, Bits<8>>,
    issue: Signal<Local, Bit>,
    issue_last: Signal<Local, Bit>,
    finishing: Signal<Local, Bit>,
    begins: Signal<Local, Bit>,
    depthwise: Signal<Local, Bit>,
    four_bit: Signal<Local, Bit>,
    to_accumulator: Signal<Local, Bit>,
    row_results: Signal<Local, Bit>,
    rescale: Signal<Local, Bit>,
    add_row: Signal<Local, Bit>,
    no_results: Signal<Local, Bit>,
    contradiction: Signal<Local, Bit>,
    group_in_vector: Signal<Local, Bits<8>>,
    row: Signal<Local, Bits<16>>,
    kept: Signal<Local, Bit>,
    deliver: Signal<Local, Bit>,
    ready: Signal<Local, Bit>,
    flags: Signal<Local, Bits<8>>,
    flag_bits: crate::leaves::PackFlags,
    mode_bits: crate::leaves::PackFlags,
    weight_next: Signal<Local, Bits<16>>,
    weight_next_tile: Signal<Local, Bits<16>>,
    shifted: Signal<Local, Bits<64>>,
    cols: Constant<Bits<8>>,
    rows_mask: Constant<Bits<8>>,
    rows_count: Constant<Bits<8>>,
    four_bit_cols: Constant<Bits<8>>,
    no_four_bit: Constant<Bit>,
    /// A tile of four-bit weights has results for two vectors.
    two_vectors: Constant<Bit>,
    scale_shift: Constant<Bits<4>>,
    lane_shift: Constant<Bits<4>>,
    groups: Constant<Bits<16>>,
    depthwise_groups: Constant<Bits<16>>,
    four_bit_groups: Constant<Bits<16>>,
    last_group: Constant<Bits<8>>,
    last_depthwise_group: Constant<Bits<8>>,
    last_four_bit_group: Constant<Bits<8>>,
    history_mask: Constant<Bits<16>>,
    reservation: Constant<Bits<64>>,
    depthwise_reservation: Constant<Bits<64>>,
    four_bit_reservation: Constant<Bits<64>>,
    result_reservation: Signal<Local, Bits<64>>,
    result_groups: Signal<Local, Bits<16>>,
    _words: usize,
    _totals: usize,
    _tile_words: usize,
    _earlier_words: usize,
    _scale_words: usize,
}

/// Cycles from issuing a vector result's last step to its slot in the output stage.
pub const VECTOR_SLOT_CYCLES: usize = 3;
/// The same when it is multiplied by an operand first.
pub const PRODUCT_SLOT_CYCLES: usize =
    VECTOR_SLOT_CYCLES + crate::leaves::SignedProduct::LATENCY_CYCLES as usize;
// The bits of `reserved` that are looked at below.
const _: () = assert!(VECTOR_SLOT_CYCLES == 3 && PRODUCT_SLOT_CYCLES == 6);

impl MatrixEngine {
    /// The engine of a machine that `config` describes.
    pub fn new(config: &Config) -> Self {
        let Config { rows, cols, lanes, four_bit, depthwise_taps: taps, .. } = *config;
        let words = rows / 4;
        let (groups, depthwise_groups) = (cols / lanes, rows / lanes);
        let four_bit_groups = if four_bit { 2 * groups } else { groups };
        let reservation = |groups: usize| ((1u64 << groups) - 1) << (Self::slot_cycles(config) - 1);
        let scale_words = if four_bit { config.scale_row_bytes() / 4 } else { 0 };
        let earlier_words = (taps - 1) * words;
        Self {
            clock: Signal::default(),
            reset: Signal::default(),
            start: Signal::default(),
            command: inputs(frugal_isa::COMMAND_WORDS),
            coming: inputs(frugal_isa::COMMAND_WORDS),
            take: Signal::default(),
            activation_enable: Signal::default(),
            activation_step: Signal::default(),
            activation_even: Signal::default(),
            activation_odd: Signal::default(),
            activation_address: Signal::default(),
            activation_data: inputs(words),
            weight_enable: Signal::default(),
            weight_address: Signal::default(),
            weight_data: inputs(words * cols),
            scale_enable: Signal::default(),
            scale_address: Signal::default(),
            scale_data: inputs(scale_words),
            total: outputs(config.result_channels()),
            total_valid: Signal::default(),
            descriptor: outputs(DESCRIPTOR_WORDS),
            descriptor_valid: Signal::default(),
            partial_slot_reserved: Signal::default(),
            slot_reserved: Signal::default(),
            late_slot_reserved: Signal::default(),
            row_slot_reserved: Signal::default(),
            row_write_reserved: Signal::default(),
            illegal: Signal::default(),
            finished: Signal::default(),
            busy: Signal::default(),
            step: Signal::default(),
            runs: Signal::default(),
            state: Signal::default(),
            fields: Default::default(),
            coming_fields: Default::default(),
            nest: Default::default(),
            array: MacArray::new(rows, cols, taps, four_bit)
                .with_products_in_logic(ecp5::products_in_logic(config)),
            loading: DFF::default(),
            running: DFF::default(),
            refused: DFF::default(),
            pacing: DFF::default(),
            pace: DFF::default(),
            weight: DFF::default(),
            weight_base: DFF::default(),
            parameter: DFF::default(),
            accumulator: DFF::default(),
            reserved: DFF::default(),
            in_flight: DFF::default(),
            weight_address_1: DFF::default(),
            step_1: DFF::default(),
            inside_1: DFF::default(),
            pad_1: DFF::default(),
            step_2: DFF::default(),
            described: (0..3).map(|_| DFF::default()).collect(),
            delivered: DFF::default(),
            first_delay: DelayBit::new(2),
            last_delay: DelayBit::new(2),
            activation: (0..words).map(|_| DFF::default()).collect(),
            history: SimpleRam::new(Config::DEPTHWISE_STEPS, earlier_words)
                .in_luts(ecp5::is_crowded(config.lanes))
                // A row of a single step is read again when the step comes.
                .allowing_collisions(),
            history_step: DFF::default(),
            history_step_1: DFF::default(),
            depthwise_1: DFF::default(),
            depthwise_2: DFF::default(),
            four_bit_1: DFF::default(),
            four_bit_2: DFF::default(),
            scale_delay: DelayBit::new(MacArray::scale_cycles(rows, cols)),
            scale_address_delay: DelayLine::new(MacArray::scale_cycles(rows, cols)),
            earlier: (0..earlier_words).map(|_| DFF::default()).collect(),
            pad_word: PackBytes::default(),
            route: PackBytes::default(),
            rows: PackBytes::default(),
            clamp: PackBytes::default(),
            last_groups: Signal::default(),
            issue: Signal::default(),
            issue_last: Signal::default(),
            finishing: Signal::default(),
            begins: Signal::default(),
            depthwise: Signal::default(),
            four_bit: Signal::default(),
            to_accumulator: Signal::default(),
            row_results: Signal::default(),
            rescale: Signal::default(),
            add_row: Signal::default(),
            no_results: Signal::default(),
            contradiction: Signal::default(),
            group_in_vector: Signal::default(),
            row: Signal::default(),
            kept: Signal::default(),
            deliver: Signal::default(),
            ready: Signal::default(),
            flags: Signal::default(),
            flag_bits: Default::default(),
            mode_bits: Default::default(),
            weight_next: Signal::default(),
            weight_next_tile: Signal::default(),
            shifted: Signal::default(),
            cols: Constant::new((cols as u64).into()),
            rows_mask: Constant::new((rows as u64 - 1).into()),
            rows_count: Constant::new((rows as u64).into()),
            four_bit_cols: Constant::new((2 * cols as u64).into()),
            no_four_bit: Constant::new(!four_bit),
            two_vectors: Constant::new(2 * cols > rows),
            scale_shift: Constant::new(u64::from(config.scale_tiles().ilog2()).into()),
            lane_shift: Constant::new(u64::from(lanes.ilog2()).into()),
            groups: Constant::new((groups as u64).into()),
            depthwise_groups: Constant::new((depthwise_groups as u64).into()),
            four_bit_groups: Constant::new((four_bit_groups as u64).into()),
            last_group: Constant::new((groups as u64 - 1).into()),
            last_depthwise_group: Constant::new((depthwise_groups as u64 - 1).max(1).into()),
            last_four_bit_group: Constant::new((four_bit_groups as u64 - 1).into()),
            history_mask: Constant::new((Config::DEPTHWISE_STEPS as u64 - 1).into()),
            reservation: Constant::new(reservation(groups).into()),
            depthwise_reservation: Constant::new(reservation(depthwise_groups).into()),
            four_bit_reservation: Constant::new(reservation(four_bit_groups).into()),
            result_reservation: Signal::default(),
            result_groups: Signal::default(),
            _words: words,
            _totals: config.result_channels(),
            _tile_words: words * cols,
            _earlier_words: earlier_words,
            _scale_words: scale_words,
        }
    }

    /// Cycles from issuing a result's last step to its first slot in the output stage: activation read and register,
    /// MAC array, lane register.
    pub fn slot_cycles(config: &Config) -> usize {
        2 + MacArray::latency_cycles(config.rows, config.cols, config.four_bit) + 1
    }
}

impl Logic for MatrixEngine {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(
            self,
            clock,
            loading,
            running,
            refused,
            pacing,
            pace,
            weight,
            weight_base,
            parameter,
            accumulator,
            reserved,
            in_flight,
            weight_address_1,
            step_1,
            inside_1,
            pad_1,
            step_2,
            history_step,
            history_step_1,
            depthwise_1,
            depthwise_2,
            four_bit_1,
            four_bit_2,
            delivered
        );
        for i in 0..16 {
            self.fields.words[i].next = self.command[i].val();
            self.coming_fields.words[i].next = self.coming[i].val();
        }
        self.depthwise.next = self.fields.depthwise.val().get_bit(0);
        self.four_bit.next = self.fields.four_bit.val().get_bit(0);
        self.to_accumulator.next = self.fields.to_accumulator.val().get_bit(0);
        self.row_results.next = self.fields.row_results.val().get_bit(0);
        self.rescale.next = self.fields.rescale.val().get_bit(0);
        self.add_row.next = self.fields.add_row.val().get_bit(0);
        // Rules between fields.
        self.no_results.next = bit_cast::<16, 8>(self.fields.skip.val()) > self.fields.outputs_x.val();
        self.contradiction.next = self.four_bit.val() & (self.no_four_bit.val() | self.depthwise.val());
        if !self.to_accumulator.val() & (self.four_bit.val() | self.rescale.val() | self.row_results.val()) {
            self.contradiction.next = true;
        }
        if self.add_row.val() & (!self.rescale.val() | !self.row_results.val()) {
            self.contradiction.next = true;
        }
        if self.add_row.val() & self.fields.accumulate.val().get_bit(0) {
            self.contradiction.next = true;
        }
        self.illegal.next = self.loading.q.val() & (self.no_results.val() | self.contradiction.val());
        // The loop nest of the active command.
        self.nest.clock.next = self.clock.val();
        self.nest.skip.next = bit_cast::<16, 8>(self.fields.skip.val());
        self.nest.last_channel.next = self.fields.channels.val();
        self.nest.last_kernel_x.next = bit_cast::<16, 8>(self.fields.kernel_x.val());
        self.nest.last_kernel_y.next = bit_cast::<16, 8>(self.fields.kernel_y.val());
        self.nest.last_x.next = self.fields.outputs_x.val();
        self.nest.last_y.next = self.fields.outputs_y.val();
        self.nest.last_tile.next = self.fields.tiles.val();
        self.nest.initial_source.next = self.coming_fields.activation_address.val();
        self.nest.stride_channel.next = self.fields.stride_channel.val();
        self.nest.stride_kernel_x.next = self.fields.stride_kernel_x.val();
        self.nest.stride_kernel_y.next = self.fields.stride_kernel_y.val();
        self.nest.stride_x.next = self.fields.stride_x.val();
        self.nest.stride_y.next = self.fields.stride_y.val();
        self.nest.stride_chunk.next = 0.into();
        self.nest.input_width.next = bit_cast::<16, 15>(self.fields.input_width.val());
        self.nest.input_height.next = bit_cast::<16, 15>(self.fields.input_height.val());
        self.nest.start_x.next = self.fields.start_x.val();
        self.nest.start_y.next = self.fields.start_y.val();
        self.nest.kernel_step_x.next = bit_cast::<16, 8>(self.fields.kernel_step_x.val());
        self.nest.kernel_step_y.next = bit_cast::<16, 8>(self.fields.kernel_step_y.val());
        self.nest.step_x.next = bit_cast::<16, 8>(self.fields.step_x.val());
        self.nest.step_y.next = bit_cast::<16, 8>(self.fields.step_y.val());
        // It begins with the command's start, a cycle before the command is active.
        self.nest.initial_last[0].next = self.coming_fields.channels.val();
        self.nest.initial_last[1].next = bit_cast::<16, 8>(self.coming_fields.kernel_x.val());
        self.nest.initial_last[2].next = bit_cast::<16, 8>(self.coming_fields.kernel_y.val());
        self.nest.initial_last[3].next = self.coming_fields.outputs_x.val();
        self.nest.initial_last[4].next = self.coming_fields.outputs_y.val();
        self.nest.initial_last[5].next = self.coming_fields.tiles.val();
        self.nest.initial_start_x.next = self.coming_fields.start_x.val();
        self.nest.initial_start_y.next = self.coming_fields.start_y.val();
        self.nest.initial_output.next = self.coming_fields.output_address.val();
        self.nest.initial_lane.next = self.coming_fields.output_lane.val();
        self.nest.output_stride_x.next = self.fields.output_stride_x.val();
        self.nest.output_stride_y.next = self.fields.output_stride_y.val();
        self.nest.output_stride_chunk.next = self.fields.output_stride_tile.val();
        self.nest.lane_step.next = self.cols.val();
        self.result_groups.next = self.groups.val();
        self.result_reservation.next = self.reservation.val();
        if self.four_bit.val() {
            self.nest.lane_step.next = self.four_bit_cols.val();
            self.result_groups.next = self.four_bit_groups.val();
            self.result_reservation.next = self.four_bit_reservation.val();
            if self.two_vectors.val() {
                self.nest.output_stride_chunk.next = self.fields.output_stride_tile.val() << 1;
            }
        }
        if self.depthwise.val() {
            self.nest.stride_chunk.next = self.fields.stride_channel.val();
            self.nest.lane_step.next = self.rows_count.val();
            self.result_groups.next = self.depthwise_groups.val();
            self.result_reservation.next = self.depthwise_reservation.val();
        }
        self.nest.lane_mask.next = self.rows_mask.val();

        // Issue.
        // The nest of a command that is refused is stopped when its first step is there.
        self.refused.d.next = self.illegal.val();
        self.nest.reset.next = self.reset.val() | self.refused.q.val();
        self.issue.next =
            self.nest.valid.val() & !self.refused.q.val() & (!self.pacing.q.val() | !self.nest.last.val());
        self.issue_last.next = self.issue.val() & self.nest.last.val();
        self.kept.next = self.nest.kept.val();
        self.deliver.next = self.issue_last.val() & self.kept.val();
        self.finishing.next = self.issue.val() & self.nest.last_of_all.val();
        self.nest.advance.next = self.issue.val();
        self.nest.start.next = self.start.val();
        self.ready.next = !self.running.q.val() | self.finishing.val();
        self.take.next = self.ready.val() & !self.loading.q.val();
        self.loading.d.next = self.start.val();
        if self.finishing.val() {
            self.running.d.next = false;
        }
        if self.loading.q.val() {
            self.running.d.next = !self.illegal.val();
        }
        self.last_groups.next = self.last_group.val();
        if self.four_bit.val() {
            self.last_groups.next = self.last_four_bit_group.val();
        }
        if self.depthwise.val() {
            self.last_groups.next = 1.into();
            if self.kept.val() {
                self.last_groups.next = self.last_depthwise_group.val();
            }
        }
        if self.pacing.q.val() {
            self.pace.d.next = self.pace.q.val() - 1;
            self.pacing.d.next = self.pace.q.val() != 1;
        }
        if self.issue_last.val() {
            self.pace.d.next = self.last_groups.val();
            self.pacing.d.next = self.last_groups.val().any();
        }
        self.shifted.next = self.reserved.q.val() >> 1;
        self.reserved.d.next = self.shifted.val();
        if self.deliver.val() {
            self.reserved.d.next = self.shifted.val() | self.result_reservation.val();
        }
        self.partial_slot_reserved.next = self.reserved.q.val().get_bit(1);
        self.slot_reserved.next = self.reserved.q.val().get_bit(3);
        self.late_slot_reserved.next = self.reserved.q.val().get_bit(6);
        self.row_slot_reserved.next = self.reserved.q.val().get_bit(2);
        self.row_write_reserved.next = self.reserved.q.val().get_bit(9);

        // Weights and parameters in order; every result of a tile reads the same ones.
        self.weight_next.next = self.weight.q.val() + 1;
        self.weight_next_tile.next = self.weight_next.val();
        if self.fields.weight_stride_tile.val().any() {
            self.weight_next_tile.next = self.weight_base.q.val() + self.fields.weight_stride_tile.val();
        }
        if self.issue.val() {
            self.weight.d.next = self.weight_next.val();
        }
        if self.deliver.val() {
            self.accumulator.d.next = self.accumulator.q.val() + self.result_groups.val();
        }
        if self.issue_last.val() {
            if self.nest.last_of_tile.val() {
                self.weight.d.next = self.weight_next_tile.val();
                self.weight_base.d.next = self.weight_next_tile.val();
                self.parameter.d.next = self.parameter.q.val() + self.result_groups.val();
            } else {
                self.weight.d.next = self.weight_base.q.val();
            }
        }
        if self.loading.q.val() {
            self.weight.d.next = self.fields.weight_address.val();
            self.weight_base.d.next = self.fields.weight_address.val();
            self.parameter.d.next = self.fields.parameter_address.val();
            self.accumulator.d.next = self.fields.accumulator_address.val();
        }

        // Reads.
        self.activation_enable.next = self.issue.val() & self.nest.in_bounds.val();
        // Reading for a command that is refused harms nobody.
        self.activation_step.next = self.nest.valid.val() & (!self.pacing.q.val() | !self.nest.last.val());
        self.activation_even.next = self.nest.reads_even.val();
        self.activation_odd.next = self.nest.reads_odd.val();
        self.activation_address.next = self.nest.address.val();
        self.weight_address_1.d.next = self.weight.q.val();
        self.step_1.d.next = self.issue.val();
        // The next step's tile, whether it comes or not: that is known late.
        self.weight_enable.next = self.running.q.val();
        self.weight_address.next = self.weight.q.val();
        self.four_bit_1.d.next = self.four_bit.val();
        self.four_bit_2.d.next = self.four_bit_1.q.val();
        self.scale_delay.clock.next = self.clock.val();
        self.scale_delay.value.next = self.step_1.q.val() & self.four_bit_1.q.val();
        self.scale_enable.next = self.scale_delay.delayed.val();
        self.scale_address_delay.clock.next = self.clock.val();
        self.scale_address_delay.value.next = self.weight_address_1.q.val() >> self.scale_shift.val();
        self.scale_address.next = self.scale_address_delay.delayed.val();
        self.inside_1.d.next = self.nest.in_bounds.val();
        self.pad_1.d.next = self.fields.pad_value.val();
        for b in 0..4 {
            self.pad_word.bytes[b].next = self.pad_1.q.val();
        }
        for w in 0..self._words {
            self.activation[w].clock.next = self.clock.val();
            self.activation[w].d.next = self.pad_word.word.val();
        }
        if self.inside_1.q.val() {
            for w in 0..self._words {
                self.activation[w].d.next = self.activation_data[w].val();
            }
        }
        // Depthwise: the vector joins its step's row of the history.
        if self.issue.val() {
            self.history_step.d.next = self.history_step.q.val() + 1;
        }
        if self.issue_last.val() | self.loading.q.val() {
            self.history_step.d.next = 0.into();
        }
        self.history.clock.next = self.clock.val();
        // The next step's row, as of weights; once more when the step comes.
        self.history.read_enable.next = self.running.q.val() & self.depthwise.val();
        self.history.read_address.next = self.history_step.q.val() & self.history_mask.val();
        self.history_step_1.d.next = self.history_step.q.val() & self.history_mask.val();
        self.depthwise_1.d.next = self.depthwise.val();
        self.depthwise_2.d.next = self.depthwise_1.q.val();
        self.history.write_valid.next = self.step_1.q.val() & self.depthwise_1.q.val();
        self.history.write_address.next = self.history_step_1.q.val();
        for w in 0..self._earlier_words {
            self.history.write_enable[w].next = 15.into();
            self.earlier[w].clock.next = self.clock.val();
            self.earlier[w].d.next = self.history.read_data[w].val();
        }
        for w in 0..self._words {
            self.history.write_data[w].next = self.pad_word.word.val();
        }
        if self.inside_1.q.val() {
            for w in 0..self._words {
                self.history.write_data[w].next = self.activation_data[w].val();
            }
        }
        for words in self._words..(self._words + 1) {
            for w in self._words..self._earlier_words {
                self.history.write_data[w].next = self.history.read_data[w - words].val();
            }
        }
        self.step_2.d.next = self.step_1.q.val();
        self.first_delay.clock.next = self.clock.val();
        self.first_delay.value.next = self.nest.first.val();
        self.last_delay.clock.next = self.clock.val();
        self.last_delay.value.next = self.deliver.val();

        // The array.
        self.array.clock.next = self.clock.val();
        self.array.enable.next = self.step_2.q.val();
        self.array.first.next = self.first_delay.delayed.val();
        self.array.last.next = self.last_delay.delayed.val();
        self.array.depthwise.next = self.depthwise_2.q.val();
        self.array.four_bit.next = self.four_bit_2.q.val();
        for w in 0..self._scale_words {
            self.array.scale[w].next = self.scale_data[w].val();
        }
        for w in 0..self._words {
            self.array.activation[w].next = self.activation[w].q.val();
        }
        for w in 0..self._earlier_words {
            self.array.earlier[w].next = self.earlier[w].q.val();
        }
        for w in 0..self._tile_words {
            self.array.weight[w].next = self.weight_data[w].val();
        }
        for c in 0..self._totals {
            self.total[c].next = self.array.total[c].val();
        }
        self.total_valid.next = self.array.total_valid.val();

        // The descriptor of the result whose last step is issued.
        self.flag_bits.bits[0].next = self.fields.to_accumulator.val().get_bit(0);
        self.flag_bits.bits[1].next = self.fields.accumulate.val().get_bit(0);
        self.flag_bits.bits[2].next = self.fields.single_rounding.val().get_bit(0);
        self.flag_bits.bits[3].next = self.nest.last_of_all.val();
        self.flag_bits.bits[4].next = self.command[0].val().get_bit(12);
        self.flag_bits.bits[5].next = self.command[0].val().get_bit(13);
        self.flag_bits.bits[6].next = self.command[0].val().get_bit(14);
        self.flag_bits.bits[7].next = self.command[0].val().get_bit(15);
        self.flags.next = self.flag_bits.flags.val();
        self.route.bytes[0].next = self.nest.result_address.val().get_bits::<8>(0);
        self.route.bytes[1].next = self.nest.result_address.val().get_bits::<8>(8);
        self.route.bytes[2].next = self.nest.result_lane.val();
        self.route.bytes[3].next = self.flags.val();
        self.rows.bytes[0].next = self.parameter.q.val().get_bits::<8>(0);
        self.rows.bytes[1].next = self.parameter.q.val().get_bits::<8>(8);
        self.group_in_vector.next = self.nest.result_lane.val() >> self.lane_shift.val();
        self.row.next = self.accumulator.q.val();
        if self.row_results.val() {
            self.row.next = self.nest.result_address.val() + bit_cast::<16, 8>(self.group_in_vector.val());
        }
        self.rows.bytes[2].next = self.row.val().get_bits::<8>(0);
        self.rows.bytes[3].next = self.row.val().get_bits::<8>(8);
        self.clamp.bytes[0].next = self.fields.output_zero_point.val();
        self.clamp.bytes[1].next = self.fields.minimum.val();
        self.clamp.bytes[2].next = self.fields.maximum.val();
        for b in 4..8 {
            self.mode_bits.bits[b].next = false;
        }
        self.mode_bits.bits[0].next = self.depthwise.val();
        self.mode_bits.bits[1].next = self.four_bit.val();
        self.mode_bits.bits[2].next = self.rescale.val();
        self.mode_bits.bits[3].next = self.add_row.val();
        self.clamp.bytes[3].next = self.mode_bits.flags.val();
        // The result is far behind: its descriptor has a cycle of its own.
        self.described[0].d.next = self.route.word.val();
        self.described[1].d.next = self.rows.word.val();
        self.described[2].d.next = self.clamp.word.val();
        for w in 0..3 {
            self.described[w].clock.next = self.clock.val();
            self.descriptor[w].next = self.described[w].q.val();
        }
        self.delivered.d.next = self.deliver.val();
        self.descriptor_valid.next = self.delivered.q.val();

        // Commands begun and not yet finished; one that is refused gives no results to wait for.
        self.begins.next = self.loading.q.val() & !self.illegal.val();
        if self.begins.val() & !self.finished.val() {
            self.in_flight.d.next = self.in_flight.q.val() + 1;
        } else if self.finished.val() & !self.begins.val() {
            self.in_flight.d.next = self.in_flight.q.val() - 1;
        }
        self.busy.next = self.in_flight.q.val().any() | self.loading.q.val();
        self.step.next = self.issue.val();
        self.runs.next = self.running.q.val();
        self.state.next = 0.into();
        if self.loading.q.val() {
            self.state.next = 1.into();
        } else if self.running.q.val() {
            self.state.next = 2.into();
        }
        if self.reset.val() {
            self.loading.d.next = false;
            self.running.d.next = false;
            self.delivered.d.next = false;
            self.in_flight.d.next = 0.into();
        }
    }
    fn timing(&self) -> Vec<TimingInfo> {
        describe(
            "matrix_engine",
            "Issues one step of a matrix command each cycle: reads a vector and a tile, feeds the MAC array, and\n\
             queues a descriptor for every result.",
        )
    }
}
