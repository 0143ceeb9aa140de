//! Vector engine: reduces windows and requantises, one source read each cycle.
//!
//! ```text
//! cycle  t     step issued: source address to the activation scratchpad
//!        t+1   data, lanes selected or padded -> element register
//!        t+2   reduced (sum, maximum, minimum); accumulator memory read for source or operand
//!        t+3   value in the output stage's lanes, or at the multiplier
//!        t+5   product in the output stage's lanes
//! ```
//! A step is issued when the scratchpad grants the read and, for the last step of a window, when the output stage's slot three cycles ahead
//! (and for a product the one five cycles ahead) is not reserved by the matrix engine.
//!
//! Move commands walk the same loop nest and go through the [`ByteMover`] instead. Its pipeline is shorter than the output stage's, so a
//! move begins when all commands before it have finished.

use crate::byte_mover::ByteMover;
use crate::emit::describe;
use crate::fields;
use crate::lanes::{LaneSelect, WindowReduce};
use crate::leaves::{ecp5, inputs, outputs, DelayBit, DelayLine, PackBytes, PackFlags, SignedProduct};
use crate::loop_nest::LoopNest;
use crate::row_lanes::RowLanes;
use rust_hdl_core::prelude::*;
use rust_hdl_widgets::prelude::*;

#[derive(LogicBlock)]
pub struct VectorEngine {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    // Command buffer.
    pub start: Signal<In, Bit>,
    pub command: Vec<Signal<In, Bits<32>>>,
    pub take: Signal<Out, Bit>,
    /// Row commands are running: others wait for them.
    pub hold: Signal<In, Bit>,
    // Activation scratchpad.
    pub source_enable: Signal<Out, Bit>,
    /// It reads as soon as its result has a slot: known earlier.
    pub source_may_read: Signal<Out, Bit>,
    pub source_address: Signal<Out, Bits<16>>,
    pub source_ready: Signal<In, Bit>,
    pub source_data: Vec<Signal<In, Bits<32>>>,
    // Accumulator memory.
    pub accumulator_enable: Signal<Out, Bit>,
    /// Known earlier.
    pub accumulator_may_read: Signal<Out, Bit>,
    pub accumulator_address: Signal<Out, Bits<16>>,
    pub accumulator_data: Vec<Signal<In, Bits<32>>>,
    // Output stage.
    pub slot_reserved: Signal<In, Bit>,
    pub late_slot_reserved: Signal<In, Bit>,
    // The row lanes' multipliers, if this engine has none: products come [`SignedProduct::LATENCY_CYCLES`] after their factors.
    pub multiplies: Signal<Out, Bit>,
    pub factor_a: Vec<Signal<Out, Bits<16>>>,
    pub factor_b: Vec<Signal<Out, Bits<16>>>,
    pub lent_product: Vec<Signal<In, Bits<32>>>,
    pub value_valid: Signal<Out, Bit>,
    pub value: Vec<Signal<Out, Bits<32>>>,
    pub pre_add: Signal<Out, Bits<32>>,
    pub multiplier: Signal<Out, Bits<32>>,
    pub left: Signal<Out, Bits<5>>,
    pub right: Signal<Out, Bits<5>>,
    pub single_rounding: Signal<Out, Bit>,
    pub add_operand: Signal<Out, Bit>,
    pub subtract_operand: Signal<Out, Bit>,
    pub post_add: Signal<Out, Bits<32>>,
    pub minimum: Signal<Out, Bits<8>>,
    pub maximum: Signal<Out, Bits<8>>,
    pub route: Signal<Out, Bits<32>>,
    pub lookup: Signal<Out, Bit>,
    pub table: Signal<Out, Bits<3>>,
    // Moves: writes of the activation scratchpad, see the byte mover.
    pub result_soon: Signal<In, Bit>,
    pub result_odd: Signal<In, Bit>,
    /// A write, by its bank.
    pub move_even: Signal<Out, Bit>,
    pub move_odd: Signal<Out, Bit>,
    pub move_address: Signal<Out, Bits<16>>,
    pub move_enable: Vec<Signal<Out, Bits<4>>>,
    pub move_data: Vec<Signal<Out, Bits<32>>>,
    pub move_finished: Signal<Out, Bit>,
    /// Tokens that the finished move sends.
    pub move_signal: Signal<Out, Bits<4>>,
    /// A command's last result has been written.
    pub finished: Signal<In, Bit>,
    pub busy: Signal<Out, Bit>,
    /// The active command's fields contradict each other.
    pub illegal: Signal<Out, Bit>,
    /// 0 idle, 1 loading the loop nest, 2 running, 3 draining.
    pub state: Signal<Out, Bits<4>>,
    fields: fields::Vector,
    move_fields: fields::Move,
    mover: ByteMover,
    product: Vec<SignedProduct>,
    product_route: DelayLine<32>,
    product_last: DelayBit,
    nest: LoopNest,
    loading: DFF<Bit>,
    running: DFF<Bit>,
    /// A vector command runs.
    computing: DFF<Bit>,
    /// The command is a move: until the next one, because the mover reads on when the last segment is asked for.
    moving: DFF<Bit>,
    /// The command reads activations.
    reads_source: DFF<Bit>,
    borrows: DFF<Bit>,
    draining: DFF<Bits<4>>,
    /// `in_flight` is not 0; it is 1.
    occupied: DFF<Bit>,
    alone: DFF<Bit>,
    in_flight: DFF<Bits<8>>,
    accumulator: DFF<Bits<16>>,
    operand: DFF<Bits<16>>,
    destination: DFF<Bits<16>>,
    // Step pipeline.
    step_1: DFF<Bit>,
    inside_1: DFF<Bit>,
    lane_1: DFF<Bits<8>>,
    step_2: DFF<Bit>,
    first_delay: DelayBit,
    last_delay_2: DelayBit,
    last_delay_3: DelayBit,
    accumulator_delay: DelayLine<16>,
    route_delay: DelayLine<32>,
    select: LaneSelect,
    element: Vec<DFF<Bits<32>>>,
    reduce: Vec<WindowReduce>,
    route_pack: PackBytes,
    flag_bits: PackFlags,
    pad: crate::leaves::SignExtend8,
    from_accumulator: Signal<Local, Bit>,
    to_accumulator: Signal<Local, Bit>,
    use_operand: Signal<Local, Bit>,
    multiply: Signal<Local, Bit>,
    is_move: Signal<Local, Bit>,
    may_load: Signal<Local, Bit>,
    load_now: Signal<Local, Bit>,
    computes: Signal<Local, Bit>,
    advance: Signal<Local, Bit>,
    operand_steps: Signal<Local, Bit>,
    reads: Signal<Local, Bit>,
    slot_ok: Signal<Local, Bit>,
    request: Signal<Local, Bit>,
    issue: Signal<Local, Bit>,
    issue_last: Signal<Local, Bit>,
    finishing: Signal<Local, Bit>,
    drained: Signal<Local, Bit>,
    bad_reduce: Signal<Local, Bit>,
    bad_operand: Signal<Local, Bit>,
    two_operands: Signal<Local, Bit>,
    sum: Vec<Signal<Local, Bits<32>>>,
    result_address: Signal<Local, Bits<16>>,
    lanes: Constant<Bits<8>>,
    rows_mask: Constant<Bits<8>>,
    _lanes: usize,
    _words: usize,
    _own: usize,
    _borrowed: usize,
}

// The row lanes' multipliers take as long as its own.
const _: () = assert!(RowLanes::PRODUCT_CYCLES == SignedProduct::LATENCY_CYCLES as usize);

impl VectorEngine {
    /// `borrows` the row lanes' multipliers, where there are such, or has its own.
    pub fn new(rows: usize, lanes: usize, borrows: bool) -> Self {
        let words = rows / 4;
        let (own, borrowed) = if borrows { (0, lanes) } else { (lanes, 0) };
        let in_logic = ecp5::is_crowded(lanes);
        Self {
            clock: Signal::default(),
            reset: Signal::default(),
            start: Signal::default(),
            command: inputs(frugal_isa::COMMAND_WORDS),
            take: Signal::default(),
            hold: Signal::default(),
            source_enable: Signal::default(),
            source_may_read: Signal::default(),
            source_address: Signal::default(),
            source_ready: Signal::default(),
            source_data: inputs(words),
            accumulator_enable: Signal::default(),
            accumulator_may_read: Signal::default(),
            accumulator_address: Signal::default(),
            accumulator_data: inputs(lanes),
            slot_reserved: Signal::default(),
            late_slot_reserved: Signal::default(),
            multiplies: Signal::default(),
            factor_a: outputs(borrowed),
            factor_b: outputs(borrowed),
            lent_product: inputs(borrowed),
            value_valid: Signal::default(),
            value: outputs(lanes),
            pre_add: Signal::default(),
            multiplier: Signal::default(),
            left: Signal::default(),
            right: Signal::default(),
            single_rounding: Signal::default(),
            add_operand: Signal::default(),
            subtract_operand: Signal::default(),
            post_add: Signal::default(),
            minimum: Signal::default(),
            maximum: Signal::default(),
            route: Signal::default(),
            lookup: Signal::default(),
            table: Signal::default(),
            result_soon: Signal::default(),
            result_odd: Signal::default(),
            move_even: Signal::default(),
            move_odd: Signal::default(),
            move_address: Signal::default(),
            move_enable: outputs(words),
            move_data: outputs(words),
            move_finished: Signal::default(),
            move_signal: Signal::default(),
            finished: Signal::default(),
            busy: Signal::default(),
            illegal: Signal::default(),
            state: Signal::default(),
            fields: Default::default(),
            move_fields: Default::default(),
            mover: ByteMover::new(rows),
            product: (0..own).map(|_| SignedProduct::new(in_logic)).collect(),
            product_route: DelayLine::new(SignedProduct::LATENCY_CYCLES as usize),
            product_last: DelayBit::new(SignedProduct::LATENCY_CYCLES as usize),
            nest: Default::default(),
            loading: DFF::default(),
            running: DFF::default(),
            computing: DFF::default(),
            moving: DFF::default(),
            reads_source: DFF::default(),
            borrows: DFF::default(),
            draining: DFF::default(),
            occupied: DFF::default(),
            alone: DFF::default(),
            in_flight: DFF::default(),
            accumulator: DFF::default(),
            operand: DFF::default(),
            destination: DFF::default(),
            step_1: DFF::default(),
            inside_1: DFF::default(),
            lane_1: DFF::default(),
            step_2: DFF::default(),
            first_delay: DelayBit::new(2),
            last_delay_2: DelayBit::new(2),
            last_delay_3: DelayBit::new(1),
            accumulator_delay: DelayLine::new(2),
            route_delay: DelayLine::new(3),
            select: LaneSelect::new(rows, lanes),
            element: (0..lanes).map(|_| DFF::default()).collect(),
            reduce: (0..lanes).map(|_| WindowReduce::default()).collect(),
            route_pack: PackBytes::default(),
            flag_bits: PackFlags::default(),
            pad: Default::default(),
            from_accumulator: Signal::default(),
            to_accumulator: Signal::default(),
            use_operand: Signal::default(),
            multiply: Signal::default(),
            is_move: Signal::default(),
            may_load: Signal::default(),
            load_now: Signal::default(),
            computes: Signal::default(),
            advance: Signal::default(),
            operand_steps: Signal::default(),
            reads: Signal::default(),
            slot_ok: Signal::default(),
            request: Signal::default(),
            issue: Signal::default(),
            issue_last: Signal::default(),
            finishing: Signal::default(),
            drained: Signal::default(),
            bad_reduce: Signal::default(),
            bad_operand: Signal::default(),
            two_operands: Signal::default(),
            sum: (0..lanes).map(|_| Signal::default()).collect(),
            result_address: Signal::default(),
            lanes: Constant::new((lanes as u64).into()),
            rows_mask: Constant::new((rows as u64 - 1).into()),
            _lanes: lanes,
            _words: words,
            _own: own,
            _borrowed: borrowed,
        }
    }
}

impl Logic for VectorEngine {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(
            self,
            clock,
            loading,
            running,
            computing,
            moving,
            reads_source,
            borrows,
            draining,
            occupied,
            alone,
            in_flight,
            accumulator,
            operand,
            destination,
            step_1,
            inside_1,
            lane_1,
            step_2
        );
        for i in 0..16 {
            self.fields.words[i].next = self.command[i].val();
            self.move_fields.words[i].next = self.command[i].val();
        }
        // Bit 2 tells the opcode of a move from that of a vector command.
        self.is_move.next = self.command[0].val().get_bit(2);
        self.from_accumulator.next = self.fields.source.val().get_bit(0);
        self.to_accumulator.next = self.fields.destination.val().get_bit(0);
        self.use_operand.next = self.fields.add_operand.val().get_bit(0);
        self.bad_reduce.next = self.fields.reduce.val() == 3;
        self.multiply.next = self.fields.multiply_operand.val().get_bit(0);
        self.bad_operand.next = self.from_accumulator.val() & (self.use_operand.val() | self.multiply.val());
        self.two_operands.next = self.use_operand.val() & self.multiply.val();
        self.illegal.next = self.load_now.val()
            & !self.is_move.val()
            & (self.bad_reduce.val() | self.bad_operand.val() | self.two_operands.val());
        self.may_load.next = !self.hold.val() & (!self.is_move.val() | self.alone.q.val());
        self.load_now.next = self.loading.q.val() & self.may_load.val();

        self.nest.clock.next = self.clock.val();
        self.nest.reset.next = self.reset.val();
        self.nest.start.next = self.load_now.val();
        self.nest.skip.next = 0.into();
        self.nest.last_channel.next = 0.into();
        self.nest.last_kernel_x.next = bit_cast::<16, 8>(self.fields.kernel_x.val());
        self.nest.last_kernel_y.next = bit_cast::<16, 8>(self.fields.kernel_y.val());
        self.nest.last_x.next = self.fields.outputs_x.val();
        self.nest.last_y.next = self.fields.outputs_y.val();
        self.nest.last_tile.next = self.fields.groups.val();
        self.nest.initial_source.next = self.fields.source_address.val();
        self.nest.stride_channel.next = 0.into();
        self.nest.stride_kernel_x.next = self.fields.stride_kernel_x.val();
        self.nest.stride_kernel_y.next = self.fields.stride_kernel_y.val();
        self.nest.stride_x.next = self.fields.stride_x.val();
        self.nest.stride_y.next = self.fields.stride_y.val();
        self.nest.stride_chunk.next = self.fields.stride_group.val();
        self.nest.input_width.next = bit_cast::<16, 15>(self.fields.input_width.val());
        self.nest.input_height.next = bit_cast::<16, 15>(self.fields.input_height.val());
        self.nest.start_x.next = self.fields.start_x.val();
        self.nest.start_y.next = self.fields.start_y.val();
        self.nest.kernel_step_x.next = 1.into();
        self.nest.kernel_step_y.next = 1.into();
        self.nest.step_x.next = bit_cast::<16, 8>(self.fields.step_x.val());
        self.nest.step_y.next = bit_cast::<16, 8>(self.fields.step_y.val());
        self.nest.initial_last[0].next = 0.into();
        self.nest.initial_last[1].next = bit_cast::<16, 8>(self.fields.kernel_x.val());
        self.nest.initial_last[2].next = bit_cast::<16, 8>(self.fields.kernel_y.val());
        self.nest.initial_last[3].next = self.fields.outputs_x.val();
        self.nest.initial_last[4].next = self.fields.outputs_y.val();
        self.nest.initial_last[5].next = self.fields.groups.val();
        self.nest.initial_start_x.next = self.fields.start_x.val();
        self.nest.initial_start_y.next = self.fields.start_y.val();
        self.nest.initial_output.next = self.fields.destination_address.val();
        self.nest.initial_lane.next = self.fields.first_lane.val();
        self.nest.output_stride_x.next = self.fields.output_stride_x.val();
        self.nest.output_stride_y.next = self.fields.output_stride_y.val();
        self.nest.output_stride_chunk.next = self.fields.output_stride_group.val();
        self.nest.lane_step.next = self.lanes.val();
        self.nest.lane_mask.next = self.rows_mask.val();

        // Issue.
        self.computes.next = self.computing.q.val() & self.nest.valid.val();
        self.slot_ok.next = !self.nest.last.val()
            | !(self.slot_reserved.val() | (self.multiply.val() & self.late_slot_reserved.val()));
        self.reads.next = self.reads_source.q.val() & self.nest.in_bounds.val();
        self.request.next = self.computes.val() & self.slot_ok.val();
        self.source_may_read.next = (self.computes.val() & self.reads.val()) | self.mover.may_read.val();
        self.source_enable.next = (self.request.val() & self.reads.val()) | self.mover.read_enable.val();
        self.source_address.next = self.nest.address.val();
        if self.moving.q.val() {
            self.source_address.next = self.mover.read_address.val();
        }
        self.issue.next = self.request.val() & (self.source_ready.val() | !self.reads.val());
        self.issue_last.next = self.issue.val() & self.nest.last.val();
        self.advance.next = self.issue.val() | self.mover.advance.val();
        self.finishing.next = self.advance.val() & self.nest.last_of_all.val();
        self.nest.advance.next = self.advance.val();
        self.drained.next = (self.draining.q.val() == 0) & !self.mover.busy.val();
        self.take.next = !self.running.q.val() & !self.loading.q.val() & self.drained.val();
        self.loading.d.next = self.start.val() | (self.loading.q.val() & !self.may_load.val());
        if self.draining.q.val().any() {
            self.draining.d.next = self.draining.q.val() - 1;
        }
        if self.finishing.val() {
            self.running.d.next = false;
            self.computing.d.next = false;
            // The command's fields are used until its last value is in the output stage; the mover tells for itself.
            self.draining.d.next = 2.into();
            if self.multiply.val() {
                self.draining.d.next = 5.into();
            }
        }
        // The command's words are read all over the chip; what decides about reads are registers of its own.
        if self.load_now.val() {
            self.running.d.next = true;
            self.computing.d.next = !self.is_move.val();
            self.moving.d.next = self.is_move.val();
            self.reads_source.d.next = !self.from_accumulator.val();
        }
        if self.issue_last.val() {
            self.accumulator.d.next = self.accumulator.q.val() + 1;
            self.destination.d.next = self.destination.q.val() + 1;
        }
        self.operand_steps.next = self.issue_last.val()
            & (self.nest.last_of_tile.val() | !self.fields.operand_per_group.val().get_bit(0));
        if self.operand_steps.val() {
            self.operand.d.next = self.operand.q.val() + 1;
        }
        if self.load_now.val() {
            self.accumulator.d.next = self.fields.source_address.val();
            self.operand.d.next = self.fields.operand_address.val();
            self.destination.d.next = self.fields.destination_address.val();
        }

        // Select or pad the element, then reduce.
        self.step_1.d.next = self.issue.val();
        self.inside_1.d.next = self.nest.in_bounds.val();
        self.lane_1.d.next = self.nest.result_lane.val();
        self.step_2.d.next = self.step_1.q.val();
        self.select.lane.next = self.lane_1.q.val();
        for w in 0..self._words {
            self.select.words[w].next = self.source_data[w].val();
        }
        self.pad.value.next = self.fields.pad_value.val();
        self.first_delay.clock.next = self.clock.val();
        self.first_delay.value.next = self.nest.first.val();
        self.last_delay_2.clock.next = self.clock.val();
        self.last_delay_2.value.next = self.issue_last.val();
        self.last_delay_3.clock.next = self.clock.val();
        self.last_delay_3.value.next = self.last_delay_2.delayed.val();
        for l in 0..self._lanes {
            self.element[l].clock.next = self.clock.val();
            self.element[l].d.next = self.pad.extended.val();
            if self.inside_1.q.val() {
                self.element[l].d.next = self.select.values[l].val();
            }
            self.reduce[l].clock.next = self.clock.val();
            self.reduce[l].enable.next = self.step_2.q.val();
            self.reduce[l].first.next = self.first_delay.delayed.val();
            self.reduce[l].operation.next = self.fields.reduce.val();
            self.reduce[l].element.next = self.element[l].q.val();
        }
        self.accumulator_delay.clock.next = self.clock.val();
        self.accumulator_delay.value.next = self.operand.q.val();
        if self.from_accumulator.val() {
            self.accumulator_delay.value.next = self.accumulator.q.val();
        }
        self.accumulator_may_read.next = self.last_delay_2.delayed.val();
        self.accumulator_enable.next = self.last_delay_2.delayed.val()
            & (self.from_accumulator.val() | self.use_operand.val() | self.multiply.val());
        self.accumulator_address.next = self.accumulator_delay.delayed.val();

        // To the output stage.
        self.product_last.clock.next = self.clock.val();
        self.product_last.value.next = self.last_delay_3.delayed.val() & self.multiply.val();
        self.value_valid.next =
            (self.last_delay_3.delayed.val() & !self.multiply.val()) | self.product_last.delayed.val();
        for l in 0..self._lanes {
            self.value[l].next = self.reduce[l].reduced.val();
            if self.from_accumulator.val() {
                self.value[l].next = self.accumulator_data[l].val();
            }
            self.sum[l].next = self.reduce[l].reduced.val() + self.fields.pre_add.val();
        }
        for l in 0..self._own {
            self.product[l].clock.next = self.clock.val();
            self.product[l].a.next = self.sum[l].val().get_bits::<16>(0);
            self.product[l].b.next = self.accumulator_data[l].val().get_bits::<16>(0);
            if self.multiply.val() {
                self.value[l].next = self.product[l].product.val();
            }
        }
        // Three cycles pass from a command's start to its first factors, and its last ones come before it has drained.
        self.borrows.d.next = self.multiply.val() & (self.running.q.val() | self.draining.q.val().any());
        self.multiplies.next = self.borrows.q.val();
        for l in 0..self._borrowed {
            self.factor_a[l].next = self.sum[l].val().get_bits::<16>(0);
            self.factor_b[l].next = self.accumulator_data[l].val().get_bits::<16>(0);
            if self.multiply.val() {
                self.value[l].next = self.lent_product[l].val();
            }
        }
        self.pre_add.next = self.fields.pre_add.val();
        if self.multiply.val() {
            self.pre_add.next = 0.into();
        }
        self.lookup.next = self.fields.lookup.val().get_bit(0);
        self.table.next = self.fields.table.val();
        self.multiplier.next = self.fields.multiplier.val();
        self.left.next = self.fields.left_shift.val();
        self.right.next = self.fields.right_shift.val();
        self.single_rounding.next = self.fields.single_rounding.val().get_bit(0);
        self.add_operand.next = self.use_operand.val();
        self.subtract_operand.next = self.fields.subtract_operand.val().get_bit(0);
        self.post_add.next = self.fields.post_add.val();
        self.minimum.next = self.fields.minimum.val();
        self.maximum.next = self.fields.maximum.val();
        self.result_address.next = self.nest.result_address.val();
        if self.to_accumulator.val() {
            self.result_address.next = self.destination.q.val();
        }
        self.flag_bits.bits[0].next = self.to_accumulator.val();
        self.flag_bits.bits[1].next = false;
        self.flag_bits.bits[2].next = false;
        self.flag_bits.bits[3].next = self.nest.last_of_all.val();
        self.flag_bits.bits[4].next = self.command[0].val().get_bit(12);
        self.flag_bits.bits[5].next = self.command[0].val().get_bit(13);
        self.flag_bits.bits[6].next = self.command[0].val().get_bit(14);
        self.flag_bits.bits[7].next = self.command[0].val().get_bit(15);
        self.route_pack.bytes[0].next = self.result_address.val().get_bits::<8>(0);
        self.route_pack.bytes[1].next = self.result_address.val().get_bits::<8>(8);
        self.route_pack.bytes[2].next = self.nest.result_lane.val();
        self.route_pack.bytes[3].next = self.flag_bits.flags.val();
        self.route_delay.clock.next = self.clock.val();
        self.route_delay.value.next = self.route_pack.word.val();
        self.product_route.clock.next = self.clock.val();
        self.product_route.value.next = self.route_delay.delayed.val();
        self.route.next = self.route_delay.delayed.val();
        if self.multiply.val() {
            self.route.next = self.product_route.delayed.val();
        }

        // Moves.
        self.mover.clock.next = self.clock.val();
        self.mover.reset.next = self.reset.val();
        self.mover.active.next = self.running.q.val() & self.nest.valid.val() & self.moving.q.val();
        self.mover.position.next = self.nest.position_x.val();
        self.mover.source.next = self.nest.address.val();
        self.mover.row_inside.next = self.nest.row_inside.val();
        self.mover.row_ends.next = self.nest.last_of_row.val();
        self.mover.is_last.next = self.nest.last_of_all.val();
        self.mover.destination.next = self.nest.result_address.val();
        self.mover.first_lane.next = self.move_fields.first_lane.val();
        self.mover.last_byte.next = self.move_fields.bytes.val();
        self.mover.row_bytes.next = bit_cast::<16, 15>(self.move_fields.input_width.val());
        self.mover.pad_value.next = self.move_fields.pad_value.val();
        self.mover.read_ready.next = self.source_ready.val();
        self.mover.result_soon.next = self.result_soon.val();
        self.mover.result_odd.next = self.result_odd.val();
        self.move_even.next = self.mover.write_even.val();
        self.move_odd.next = self.mover.write_odd.val();
        self.move_address.next = self.mover.write_address.val();
        for w in 0..self._words {
            self.mover.read_data[w].next = self.source_data[w].val();
            self.move_enable[w].next = self.mover.write_enable[w].val();
            self.move_data[w].next = self.mover.write_data[w].val();
        }
        self.move_finished.next = self.mover.finished.val();
        self.move_signal.next = 0.into();
        if self.mover.finished.val() {
            self.move_signal.next = self.command[0].val().get_bits::<4>(12);
        }

        // Commands started and not yet finished.
        if self.start.val() & !self.finished.val() {
            self.in_flight.d.next = self.in_flight.q.val() + 1;
            self.occupied.d.next = true;
            self.alone.d.next = self.in_flight.q.val() == 0;
        } else if self.finished.val() & !self.start.val() {
            self.in_flight.d.next = self.in_flight.q.val() - 1;
            self.occupied.d.next = self.in_flight.q.val() != 1;
            self.alone.d.next = self.in_flight.q.val() == 2;
        }
        self.busy.next = self.occupied.q.val();
        self.state.next = 0.into();
        if self.loading.q.val() {
            self.state.next = 1.into();
        } else if self.running.q.val() {
            self.state.next = 2.into();
        } else if !self.drained.val() {
            self.state.next = 3.into();
        }
        if self.reset.val() {
            self.loading.d.next = false;
            self.running.d.next = false;
            self.computing.d.next = false;
            self.draining.d.next = 0.into();
            self.in_flight.d.next = 0.into();
            self.occupied.d.next = false;
            self.alone.d.next = false;
        }
    }
    fn timing(&self) -> Vec<TimingInfo> {
        describe(
            "vector_engine",
            "Reduces windows of elements lane by lane and hands the values to the output stage in the slots that the\n\
             matrix engine leaves free.",
        )
    }
}
