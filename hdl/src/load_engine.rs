//! Load engine: reads rows from memory and writes them into the on-chip memories.
//!
//! ```text
//! bursts:  BurstGenerator --> read address channel
//! data:    read data beat --> beat register --> unit of the beat --> two unit registers --> memory row position
//! ```
//! A *unit* is what one write takes: a whole beat where the destination is wide enough, a part of it otherwise (then a beat takes several cycles).
//! Tables and scalars are filled a word at a time.
//!
//! Where a unit lands is (address, position): the position counts units within one address. The three layouts of weights differ only in what
//! advances after a unit, after a vector or row of columns, and after a memory row.
//!
//! The two sides work on different commands: when all bursts of a command are asked for, the next command is taken, and what its data need to
//! know waits in a queue of descriptors until they come. `finished` comes a cycle after the write of a command's last unit; its tokens come with the write,
//! because they are a cycle on their way.

use crate::burst_generator::BurstGenerator;
use crate::emit::describe;
use crate::fields;
use crate::lanes::OneHot;
use crate::leaves::{inputs, outputs, Fifo, PackBytes, PackFlags, SkidBuffer};
use frugal_isa::{register, Config};
use rust_hdl_core::prelude::*;
use rust_hdl_widgets::prelude::*;

/// Bits of `write_target`: the memory that a unit goes to. One of them is set.
pub mod target {
    pub const ACTIVATION: u32 = 0;
    pub const WEIGHT: u32 = 1;
    pub const SCALE: u32 = 2;
    pub const PARAMETER: u32 = 3;
    pub const TABLE: u32 = 4;
    pub const SCALAR: u32 = 5;
    pub const ACCUMULATOR: u32 = 6;
}

#[derive(LogicBlock)]
pub struct LoadEngine {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    // Command buffer.
    pub start: Signal<In, Bit>,
    pub command: Vec<Signal<In, Bits<32>>>,
    pub take: Signal<Out, Bit>,
    /// Value of the base register that the command names.
    pub base_register: Signal<Out, Bits<3>>,
    pub base: Signal<In, Bits<32>>,
    // Read address channel.
    pub burst_valid: Signal<Out, Bit>,
    pub burst_ready: Signal<In, Bit>,
    pub burst_address: Signal<Out, Bits<32>>,
    pub burst_length: Signal<Out, Bits<8>>,
    // Read data.
    pub beat_valid: Signal<In, Bit>,
    pub beat_ready: Signal<Out, Bit>,
    pub beat: Vec<Signal<In, Bits<32>>>,
    pub beat_error: Signal<In, Bit>,
    // Memory writes.
    pub write_valid: Signal<Out, Bit>,
    pub write_ready: Signal<In, Bit>,
    /// Where the unit goes, a bit each: [`target`].
    pub write_target: Signal<Out, Bits<8>>,
    pub write_layout: Signal<Out, Bits<2>>,
    pub write_address: Signal<Out, Bits<16>>,
    pub write_position: Signal<Out, Bits<8>>,
    /// The position, a bit each, where there are at most 32.
    pub write_places: Signal<Out, Bits<32>>,
    pub write_column: Signal<Out, Bits<8>>,
    pub write_row: Signal<Out, Bits<8>>,
    pub write_unit: Vec<Signal<Out, Bits<32>>>,
    // Status.
    /// The last write was in the cycle before.
    pub finished: Signal<Out, Bit>,
    /// Tokens of the command whose last write is in this cycle.
    pub signal: Signal<Out, Bits<4>>,
    pub busy: Signal<Out, Bit>,
    pub illegal: Signal<Out, Bit>,
    pub read_error: Signal<Out, Bit>,
    /// 0 idle, 1 set up, 2 transferring.
    pub state: Signal<Out, Bits<4>>,
    fields: fields::Load,
    bursts: BurstGenerator,
    setup: DFF<Bit>,
    // Data side.
    descriptors: Fifo,
    active: DFF<Bit>,
    // What the command under way needs of its descriptor.
    flags: DFF<Bits<8>>,
    stride: DFF<Bits<16>>,
    data_row_beats: DFF<Bits<24>>,
    last_split: DFF<Bits<8>>,
    last_position: DFF<Bits<8>>,
    transposed: DFF<Bit>,
    by_column: DFF<Bit>,
    beat_words: Vec<DFF<Bits<32>>>,
    beat_full: DFF<Bit>,
    split: DFF<Bits<8>>,
    /// The beat's last unit.
    splits_done: DFF<Bit>,

    rows_left: DFF<Bits<16>>,
    row_beats_left: DFF<Bits<24>>,
    // The row under way is the last one; the beat under way is the last one of its row.
    last_row: DFF<Bit>,
    last_beat: DFF<Bit>,
    // Destination.
    address: DFF<Bits<16>>,
    base_address: DFF<Bits<16>>,
    position: DFF<Bits<8>>,
    column: DFF<Bits<8>>,
    row: DFF<Bits<8>>,
    // The unit that is written, and the one behind it: whether memory takes a unit is known late in the cycle.
    units: SkidBuffer,
    unit_place: PackBytes,
    unit_places: OneHot,
    unit_shape: PackBytes,
    space: Signal<Local, Bits<2>>,
    layout: Signal<Local, Bits<2>>,
    target_bits: PackFlags,
    ended: DFF<Bit>,
    unit_flags: Signal<Local, Bits<8>>,
    unit_last: Signal<Local, Bit>,
    places: PackBytes,
    steps: PackBytes,
    /// How the destination divides beats into units.
    division: PackBytes,
    division_bits: PackFlags,
    shape: PackBytes,
    flag_bits: PackFlags,
    head_place: Signal<Local, Bits<32>>,
    head_step: Signal<Local, Bits<32>>,
    head_shape: Signal<Local, Bits<32>>,
    head_flags: Signal<Local, Bits<8>>,
    begins: Signal<Local, Bit>,
    ends: Signal<Local, Bit>,
    weight_command: Signal<Local, Bit>,
    table_command: Signal<Local, Bit>,
    scalar_command: Signal<Local, Bit>,
    row_beats: Signal<Local, Bits<24>>,
    next_split: Signal<Local, Bits<8>>,
    next_last_split: Signal<Local, Bits<8>>,
    next_last_position: Signal<Local, Bits<8>>,
    head_division: Signal<Local, Bits<32>>,
    head_by_column: Signal<Local, Bit>,
    sets_column: Signal<Local, Bit>,
    sets_row: Signal<Local, Bit>,
    head_transposed: Signal<Local, Bit>,
    head_row_beats: Signal<Local, Bits<24>>,
    to_activation: Signal<Local, Bit>,
    to_parameter: Signal<Local, Bit>,
    to_scale: Signal<Local, Bit>,
    unit_moves: Signal<Local, Bit>,
    unit_free: Signal<Local, Bit>,
    beat_moves: Signal<Local, Bit>,
    beat_taken: Signal<Local, Bit>,
    position_wraps: Signal<Local, Bit>,
    row_ends: Signal<Local, Bit>,
    column_wraps: Signal<Local, Bit>,
    lane_wraps: Signal<Local, Bit>,
    address_step: Signal<Local, Bits<16>>,
    base_next: Signal<Local, Bits<16>>,
    finishing: Signal<Local, Bit>,
    low_offset: Signal<Local, Bits<4>>,
    low_stride: Signal<Local, Bits<4>>,
    low_bytes: Signal<Local, Bits<4>>,
    empty_row: Signal<Local, Bit>,
    bad_alignment: Signal<Local, Bit>,
    bad_base: Signal<Local, Bit>,
    /// Bits of a base register's number that are 1 for none of those there are.
    no_base: Constant<Bits<3>>,
    bad_layout: Signal<Local, Bit>,
    not_weight: Signal<Local, Bit>,
    beat_shift: Constant<Bits<5>>,
    activation_last_split: Constant<Bits<8>>,
    column_last_split: Constant<Bits<8>>,
    row_last_split: Constant<Bits<8>>,
    group_last_split: Constant<Bits<8>>,
    activation_last_position: Constant<Bits<8>>,
    tile_last_position: Constant<Bits<8>>,
    column_last_position: Constant<Bits<8>>,
    row_last_position: Constant<Bits<8>>,
    parameter_last_position: Constant<Bits<8>>,
    scale_last_split: Constant<Bits<8>>,
    scale_last_position: Constant<Bits<8>>,
    no_scales: Constant<Bit>,
    no_scalars: Constant<Bit>,
    table_last_split: Constant<Bits<8>>,
    table_last_position: Constant<Bits<8>>,
    scalar_last_position: Constant<Bits<8>>,
    accumulator_last_position: Constant<Bits<8>>,
    last_column: Constant<Bits<8>>,
    last_lane: Constant<Bits<8>>,
    select: crate::lanes::UnitSelect,
    _bus_words: usize,
}

impl LoadEngine {
    pub fn new(config: &Config) -> Self {
        let bus_bytes = config.bus_bytes();
        let (rows, cols) = (config.rows, config.cols);
        let group_bytes = 4 * config.lanes;
        // Units of a destination row that is `bytes` wide: how many parts a beat has, and how many units fill the row.
        let last_split = |bytes: usize| Constant::new(((bus_bytes / bus_bytes.min(bytes)) as u64 - 1).into());
        let last_position =
            |bytes: usize, unit: usize| Constant::new(((bytes / bus_bytes.min(unit)) as u64 - 1).into());
        Self {
            clock: Signal::default(),
            reset: Signal::default(),
            start: Signal::default(),
            command: inputs(frugal_isa::COMMAND_WORDS),
            take: Signal::default(),
            base_register: Signal::default(),
            base: Signal::default(),
            burst_valid: Signal::default(),
            burst_ready: Signal::default(),
            burst_address: Signal::default(),
            burst_length: Signal::default(),
            beat_valid: Signal::default(),
            beat_ready: Signal::default(),
            beat: inputs(bus_bytes / 4),
            beat_error: Signal::default(),
            write_valid: Signal::default(),
            write_ready: Signal::default(),
            write_target: Signal::default(),
            write_layout: Signal::default(),
            write_address: Signal::default(),
            write_position: Signal::default(),
            write_places: Signal::default(),
            write_column: Signal::default(),
            write_row: Signal::default(),
            write_unit: outputs(bus_bytes / 4),
            finished: Signal::default(),
            signal: Signal::default(),
            busy: Signal::default(),
            illegal: Signal::default(),
            read_error: Signal::default(),
            state: Signal::default(),
            fields: Default::default(),
            bursts: BurstGenerator::new(bus_bytes),
            setup: DFF::default(),
            descriptors: Fifo::new(4, 4),
            active: DFF::default(),
            flags: DFF::default(),
            stride: DFF::default(),
            data_row_beats: DFF::default(),
            last_split: DFF::default(),
            last_position: DFF::default(),
            transposed: DFF::default(),
            by_column: DFF::default(),
            beat_words: (0..bus_bytes / 4).map(|_| DFF::default()).collect(),
            beat_full: DFF::default(),
            split: DFF::default(),
            splits_done: DFF::default(),
            rows_left: DFF::default(),
            row_beats_left: DFF::default(),
            last_row: DFF::default(),
            last_beat: DFF::default(),
            address: DFF::default(),
            base_address: DFF::default(),
            position: DFF::default(),
            column: DFF::default(),
            row: DFF::default(),
            units: SkidBuffer::new(bus_bytes / 4 + 3),
            unit_place: PackBytes::default(),
            unit_places: OneHot::default(),
            unit_shape: PackBytes::default(),
            space: Signal::default(),
            layout: Signal::default(),
            target_bits: PackFlags::default(),
            ended: DFF::default(),
            unit_flags: Signal::default(),
            unit_last: Signal::default(),
            places: PackBytes::default(),
            steps: PackBytes::default(),
            division: PackBytes::default(),
            division_bits: PackFlags::default(),
            shape: PackBytes::default(),
            flag_bits: PackFlags::default(),
            head_place: Signal::default(),
            head_step: Signal::default(),
            head_shape: Signal::default(),
            head_flags: Signal::default(),
            begins: Signal::default(),
            ends: Signal::default(),
            weight_command: Signal::default(),
            table_command: Signal::default(),
            scalar_command: Signal::default(),
            row_beats: Signal::default(),
            next_split: Signal::default(),
            next_last_split: Signal::default(),
            next_last_position: Signal::default(),
            head_division: Signal::default(),
            head_by_column: Signal::default(),
            sets_column: Signal::default(),
            sets_row: Signal::default(),
            head_transposed: Signal::default(),
            head_row_beats: Signal::default(),
            to_activation: Signal::default(),
            to_parameter: Signal::default(),
            to_scale: Signal::default(),
            unit_moves: Signal::default(),
            unit_free: Signal::default(),
            beat_moves: Signal::default(),
            beat_taken: Signal::default(),
            position_wraps: Signal::default(),
            row_ends: Signal::default(),
            column_wraps: Signal::default(),
            lane_wraps: Signal::default(),
            address_step: Signal::default(),
            base_next: Signal::default(),
            finishing: Signal::default(),
            low_offset: Signal::default(),
            low_stride: Signal::default(),
            low_bytes: Signal::default(),
            empty_row: Signal::default(),
            bad_alignment: Signal::default(),
            bad_base: Signal::default(),
            no_base: Constant::new(((register::BASE_REGISTERS - config.base_registers) as u64).into()),
            bad_layout: Signal::default(),
            not_weight: Signal::default(),
            beat_shift: Constant::new(u64::from(bus_bytes.ilog2()).into()),
            activation_last_split: last_split(rows),
            column_last_split: last_split(rows),
            row_last_split: last_split(cols),
            group_last_split: last_split(group_bytes),
            activation_last_position: last_position(rows, rows),
            tile_last_position: last_position(rows * cols, rows * cols),
            column_last_position: last_position(rows, rows),
            row_last_position: last_position(cols, cols),
            parameter_last_position: last_position(3 * group_bytes, group_bytes),
            scale_last_split: last_split(2 * cols),
            scale_last_position: last_position(2 * cols, 2 * cols),
            no_scales: Constant::new(!config.four_bit),
            no_scalars: Constant::new(!config.row_engine),
            table_last_split: last_split(4),
            table_last_position: last_position(Config::TABLE_BYTES, 4),
            scalar_last_position: last_position(16, 4),
            accumulator_last_position: last_position(group_bytes, group_bytes),
            last_column: Constant::new((cols as u64 - 1).into()),
            last_lane: Constant::new((rows as u64 - 1).into()),
            select: crate::lanes::UnitSelect::new(bus_bytes),
            _bus_words: bus_bytes / 4,
        }
    }
}

impl Logic for LoadEngine {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(
            self,
            clock,
            setup,
            active,
            flags,
            stride,
            data_row_beats,
            last_split,
            last_position,
            transposed,
            by_column,
            beat_full,
            split,
            splits_done,
            rows_left,
            row_beats_left,
            last_row,
            last_beat,
            address,
            base_address,
            position,
            column,
            row,
            ended
        );
        for i in 0..16 {
            self.fields.words[i].next = self.command[i].val();
        }
        self.base_register.next = self.fields.base_register.val();
        self.row_beats.next = self.fields.row_bytes.val() >> self.beat_shift.val();
        // Rules between fields.
        self.low_offset.next = self.fields.memory_offset.val().get_bits::<4>(0);
        self.low_stride.next = self.fields.memory_stride.val().get_bits::<4>(0);
        self.low_bytes.next = self.fields.row_bytes.val().get_bits::<4>(0);
        self.empty_row.next = self.fields.row_bytes.val() == 0;
        self.bad_base.next = (self.fields.base_register.val() & self.no_base.val()).any();
        self.bad_alignment.next = self.low_offset.val().any()
            | self.low_stride.val().any()
            | self.low_bytes.val().any()
            | self.bad_base.val();
        self.weight_command.next = self.fields.space.val() == 1;
        self.table_command.next = (self.fields.space.val() == 2) & (self.fields.layout.val() == 1);
        self.scalar_command.next = (self.fields.space.val() == 2) & (self.fields.layout.val() == 2);
        self.not_weight.next = self.fields.layout.val().any()
            & !self.weight_command.val()
            & !self.table_command.val()
            & !self.scalar_command.val();
        self.bad_layout.next = self.not_weight.val();
        if self.no_scales.val() & self.weight_command.val() & (self.fields.layout.val() == 3) {
            self.bad_layout.next = true;
        }
        if self.no_scalars.val() & self.scalar_command.val() {
            self.bad_layout.next = true;
        }
        self.illegal.next =
            self.setup.q.val() & (self.bad_alignment.val() | self.bad_layout.val() | self.empty_row.val());

        // Bursts.
        self.bursts.clock.next = self.clock.val();
        self.bursts.reset.next = self.reset.val();
        self.bursts.start.next = self.setup.q.val();
        self.bursts.refuse.next = self.illegal.val();
        self.bursts.base.next = self.base.val();
        self.bursts.offset.next = self.fields.memory_offset.val();
        self.bursts.last_row.next = self.fields.rows.val();
        self.bursts.row_beats.next = self.row_beats.val();
        self.bursts.row_stride.next = self.fields.memory_stride.val();
        self.burst_valid.next = self.bursts.burst_valid.val();
        self.bursts.burst_ready.next = self.burst_ready.val();
        self.burst_address.next = self.bursts.burst_address.val();
        self.burst_length.next = self.bursts.burst_length.val();

        // How the destination divides beats into units.
        self.to_activation.next = self.fields.space.val() == 0;
        self.to_parameter.next = self.fields.space.val() == 2;
        self.sets_column.next = self.weight_command.val() & (self.fields.layout.val() == 1);
        self.sets_row.next = self.weight_command.val() & (self.fields.layout.val() == 2);
        self.to_scale.next = self.weight_command.val() & (self.fields.layout.val() == 3);
        self.next_last_split.next = self.group_last_split.val();
        self.next_last_position.next = self.accumulator_last_position.val();
        if self.to_activation.val() {
            self.next_last_split.next = self.activation_last_split.val();
            self.next_last_position.next = self.activation_last_position.val();
        }
        if self.to_parameter.val() {
            self.next_last_position.next = self.parameter_last_position.val();
        }
        if self.table_command.val() {
            self.next_last_split.next = self.table_last_split.val();
            self.next_last_position.next = self.table_last_position.val();
        }
        if self.scalar_command.val() {
            self.next_last_split.next = self.table_last_split.val();
            self.next_last_position.next = self.scalar_last_position.val();
        }
        if self.weight_command.val() {
            self.next_last_split.next = 0.into();
            self.next_last_position.next = self.tile_last_position.val();
            if self.sets_column.val() {
                self.next_last_split.next = self.column_last_split.val();
                self.next_last_position.next = self.column_last_position.val();
            }
            if self.sets_row.val() {
                self.next_last_split.next = self.row_last_split.val();
                self.next_last_position.next = self.row_last_position.val();
            }
            if self.to_scale.val() {
                self.next_last_split.next = self.scale_last_split.val();
                self.next_last_position.next = self.scale_last_position.val();
            }
        }

        // What the data side needs to know.
        self.places.bytes[0].next = self.fields.address.val().get_bits::<8>(0);
        self.places.bytes[1].next = self.fields.address.val().get_bits::<8>(8);
        self.places.bytes[2].next = self.fields.rows.val().get_bits::<8>(0);
        self.places.bytes[3].next = self.fields.rows.val().get_bits::<8>(8);
        self.steps.bytes[0].next = self.fields.stride.val().get_bits::<8>(0);
        self.steps.bytes[1].next = self.fields.stride.val().get_bits::<8>(8);
        self.steps.bytes[2].next = self.fields.first_row.val().get_bits::<8>(0);
        self.steps.bytes[3].next = 0.into();
        self.division_bits.bits[0].next = self.sets_column.val();
        self.division_bits.bits[1].next = self.sets_row.val();
        self.division_bits.bits[2].next = self.next_last_split.val() == 0;
        for b in 3..8 {
            self.division_bits.bits[b].next = false;
        }
        self.division.bytes[0].next = self.next_last_split.val();
        self.division.bytes[1].next = self.next_last_position.val();
        self.division.bytes[2].next = self.division_bits.flags.val();
        self.division.bytes[3].next = 0.into();
        self.shape.bytes[0].next = self.row_beats.val().get_bits::<8>(0);
        self.shape.bytes[1].next = self.row_beats.val().get_bits::<8>(8);
        self.shape.bytes[2].next = self.row_beats.val().get_bits::<8>(16);
        for b in 0..2 {
            self.flag_bits.bits[b].next = self.fields.space.val().get_bit(b);
            self.flag_bits.bits[b + 2].next = self.fields.layout.val().get_bit(b);
        }
        for b in 0..4 {
            self.flag_bits.bits[b + 4].next = self.command[0].val().get_bit(b + 12);
        }
        self.shape.bytes[3].next = self.flag_bits.flags.val();
        self.descriptors.clock.next = self.clock.val();
        self.descriptors.reset.next = self.reset.val();
        self.descriptors.write_valid.next = self.setup.q.val() & !self.illegal.val();
        self.descriptors.write_data[0].next = self.places.word.val();
        self.descriptors.write_data[1].next = self.steps.word.val();
        self.descriptors.write_data[2].next = self.shape.word.val();
        self.descriptors.write_data[3].next = self.division.word.val();
        self.head_division.next = self.descriptors.read_data[3].val();
        self.head_by_column.next = self.head_division.val().get_bit(16);
        self.head_transposed.next = self.head_division.val().get_bit(17);
        self.head_place.next = self.descriptors.read_data[0].val();
        self.head_step.next = self.descriptors.read_data[1].val();
        self.head_shape.next = self.descriptors.read_data[2].val();
        self.head_flags.next = self.head_shape.val().get_bits::<8>(24);
        self.head_row_beats.next = self.head_shape.val().get_bits::<24>(0);

        // Beat register.
        self.unit_moves.next = self.units.read_valid.val() & self.write_ready.val();
        self.unit_free.next = self.units.write_ready.val();
        self.beat_moves.next = self.beat_full.q.val() & self.unit_free.val() & self.active.q.val();
        self.beat_taken.next = self.beat_moves.val() & self.splits_done.q.val();
        self.beat_ready.next = !self.beat_full.q.val() | self.beat_taken.val();
        for w in 0..self._bus_words {
            self.beat_words[w].clock.next = self.clock.val();
            self.beat_words[w].d.next = self.beat_words[w].q.val();
            self.select.beat[w].next = self.beat_words[w].q.val();
        }
        self.select.split.next = self.split.q.val();
        self.select.last_split.next = self.last_split.q.val();
        if self.beat_taken.val() {
            self.beat_full.d.next = false;
        }
        if self.beat_valid.val() & self.beat_ready.val() {
            self.beat_full.d.next = true;
            for w in 0..self._bus_words {
                self.beat_words[w].d.next = self.beat[w].val();
            }
        }
        self.read_error.next = self.beat_valid.val() & self.beat_ready.val() & self.beat_error.val();

        // Unit register, and where the next unit goes.
        self.position_wraps.next = self.position.q.val() == self.last_position.q.val();
        self.row_ends.next = self.beat_taken.val() & self.last_beat.q.val();
        self.ends.next = self.row_ends.val() & self.last_row.q.val();
        self.column_wraps.next = self.column.q.val() == self.last_column.val();
        self.lane_wraps.next = self.row.q.val() == self.last_lane.val();
        self.address_step.next = 1.into();
        if self.transposed.q.val() {
            self.address_step.next = self.stride.q.val();
        }
        self.base_next.next = self.base_address.q.val() + self.stride.q.val();
        if self.by_column.q.val() & !self.column_wraps.val() {
            self.base_next.next = self.base_address.q.val();
        }
        if self.transposed.q.val() {
            self.base_next.next = self.base_address.q.val();
            if self.lane_wraps.val() {
                self.base_next.next = self.base_address.q.val() + 1;
            }
        }
        self.unit_place.bytes[0].next = self.address.q.val().get_bits::<8>(0);
        self.unit_place.bytes[1].next = self.address.q.val().get_bits::<8>(8);
        self.unit_place.bytes[2].next = self.position.q.val();
        self.unit_place.bytes[3].next = self.column.q.val();
        self.unit_shape.bytes[0].next = self.row.q.val();
        self.unit_shape.bytes[1].next = self.flags.q.val();
        self.unit_shape.bytes[2].next = 0.into();
        if self.ends.val() {
            self.unit_shape.bytes[2].next = 1.into();
        }
        // Where a unit goes is decoded before its register: whether it can go depends on that, and it has a long way to go.
        self.unit_places.number.next = self.position.q.val();
        self.space.next = self.flags.q.val().get_bits::<2>(0);
        self.layout.next = self.flags.q.val().get_bits::<2>(2);
        self.target_bits.bits[0].next = self.space.val() == 0;
        self.target_bits.bits[1].next = (self.space.val() == 1) & (self.layout.val() != 3);
        self.target_bits.bits[2].next = (self.space.val() == 1) & (self.layout.val() == 3);
        self.target_bits.bits[3].next = (self.space.val() == 2) & (self.layout.val() == 0);
        self.target_bits.bits[4].next = (self.space.val() == 2) & (self.layout.val() == 1);
        self.target_bits.bits[5].next = (self.space.val() == 2) & (self.layout.val() == 2);
        self.target_bits.bits[6].next = self.space.val() == 3;
        self.target_bits.bits[7].next = false;
        self.unit_shape.bytes[3].next = self.target_bits.flags.val();
        self.units.clock.next = self.clock.val();
        self.units.reset.next = self.reset.val();
        self.units.write_valid.next = self.beat_full.q.val() & self.active.q.val();
        self.units.read_ready.next = self.write_ready.val();
        for words in self._bus_words..(self._bus_words + 1) {
            for w in 0..self._bus_words {
                self.units.write_data[w].next = self.select.unit[w].val();
                self.write_unit[w].next = self.units.read_data[w].val();
            }
            self.units.write_data[words].next = self.unit_place.word.val();
            self.units.write_data[words + 1].next = self.unit_shape.word.val();
            self.units.write_data[words + 2].next = self.unit_places.bits.val();
            self.write_places.next = self.units.read_data[words + 2].val();
            self.write_address.next = self.units.read_data[words].val().get_bits::<16>(0);
            self.write_position.next = self.units.read_data[words].val().get_bits::<8>(16);
            self.write_column.next = self.units.read_data[words].val().get_bits::<8>(24);
            self.write_row.next = self.units.read_data[words + 1].val().get_bits::<8>(0);
            self.unit_flags.next = self.units.read_data[words + 1].val().get_bits::<8>(8);
            self.unit_last.next = self.units.read_data[words + 1].val().get_bit(16);
            self.write_target.next = self.units.read_data[words + 1].val().get_bits::<8>(24);
        }
        self.next_split.next = self.split.q.val() + 1;
        if self.beat_moves.val() {
            self.split.d.next = self.next_split.val();
            self.splits_done.d.next = self.next_split.val() == self.last_split.q.val();
            self.position.d.next = self.position.q.val() + 1;
            if self.position_wraps.val() {
                self.position.d.next = 0.into();
                self.address.d.next = self.address.q.val() + self.address_step.val();
            }
            // What is chosen depends on registers; the move, which is known late, only enables.
            if self.splits_done.q.val() {
                self.split.d.next = 0.into();
                self.splits_done.d.next = self.last_split.q.val() == 0;
                self.row_beats_left.d.next = self.row_beats_left.q.val() - 1;
                self.last_beat.d.next = self.row_beats_left.q.val() == 2;
                if self.last_beat.q.val() {
                    self.row_beats_left.d.next = self.data_row_beats.q.val();
                    self.last_beat.d.next = self.data_row_beats.q.val() == 1;
                    self.rows_left.d.next = self.rows_left.q.val() - 1;
                    self.last_row.d.next = self.rows_left.q.val() == 1;
                    self.position.d.next = 0.into();
                    self.address.d.next = self.base_next.val();
                    self.base_address.d.next = self.base_next.val();
                    if self.by_column.q.val() {
                        self.column.d.next = self.column.q.val() + 1;
                        if self.column_wraps.val() {
                            self.column.d.next = 0.into();
                        }
                    }
                    if self.transposed.q.val() {
                        self.row.d.next = self.row.q.val() + 1;
                        if self.lane_wraps.val() {
                            self.row.d.next = 0.into();
                        }
                    }
                }
            }
        }

        // The next descriptor.
        self.begins.next = !self.active.q.val() & self.descriptors.read_valid.val();
        self.descriptors.read_ready.next = !self.active.q.val();
        if self.ends.val() {
            self.active.d.next = false;
        }
        if self.begins.val() {
            self.active.d.next = true;
        }
        if !self.active.q.val() {
            self.last_split.d.next = self.head_division.val().get_bits::<8>(0);
            self.last_position.d.next = self.head_division.val().get_bits::<8>(8);
            self.splits_done.d.next = self.head_division.val().get_bit(18);
            self.flags.d.next = self.head_flags.val();
            self.stride.d.next = self.head_step.val().get_bits::<16>(0);
            self.data_row_beats.d.next = self.head_row_beats.val();
            self.by_column.d.next = self.head_by_column.val();
            self.transposed.d.next = self.head_transposed.val();
            self.split.d.next = 0.into();
            self.rows_left.d.next = self.head_place.val().get_bits::<16>(16);
            self.last_row.d.next = self.head_place.val().get_bits::<16>(16) == 0;
            self.last_beat.d.next = self.head_row_beats.val() == 1;
            self.row_beats_left.d.next = self.head_row_beats.val();
            self.address.d.next = self.head_place.val().get_bits::<16>(0);
            self.base_address.d.next = self.head_place.val().get_bits::<16>(0);
            self.position.d.next = 0.into();
            self.column.d.next = 0.into();
            self.row.d.next = 0.into();
            if self.head_by_column.val() {
                self.column.d.next = self.head_step.val().get_bits::<8>(16);
            }
            if self.head_transposed.val() {
                self.row.d.next = self.head_step.val().get_bits::<8>(16);
            }
        }

        // Start and finish.
        self.setup.d.next = self.start.val();
        self.take.next = !self.setup.q.val() & self.bursts.done.val() & self.descriptors.write_ready.val();
        self.finishing.next = self.unit_moves.val() & self.unit_last.val();
        self.ended.d.next = self.finishing.val();
        self.finished.next = self.ended.q.val();
        self.signal.next = 0.into();
        if self.finishing.val() {
            self.signal.next = self.unit_flags.val().get_bits::<4>(4);
        }
        self.busy.next = self.setup.q.val()
            | self.descriptors.read_valid.val()
            | self.active.q.val()
            | self.units.read_valid.val()
            | self.ended.q.val();

        // The write.
        self.write_valid.next = self.units.read_valid.val();
        self.write_layout.next = self.unit_flags.val().get_bits::<2>(2);
        self.state.next = 0.into();
        if self.setup.q.val() {
            self.state.next = 1.into();
        } else if self.busy.val() {
            self.state.next = 2.into();
        }
        if self.reset.val() {
            self.setup.d.next = false;
            self.active.d.next = false;
            self.beat_full.d.next = false;
            self.ended.d.next = false;
        }
    }
    fn timing(&self) -> Vec<TimingInfo> {
        describe(
            "load_engine",
            "Reads rows from memory and writes them into the on-chip memories, a unit a cycle.",
        )
    }
}
