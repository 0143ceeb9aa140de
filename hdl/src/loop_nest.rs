//! Loop nest: walks six nested loops, one step each cycle, and gives each step's addresses.
//!
//! ```text
//! tile > y > x > kernel_y > kernel_x > channel        (innermost last)
//! `---- results ----'   `---- reduction ----'
//! ```
//! Every loop level keeps the source address at which its current iteration began. A step ends the loops that are at their last
//! iteration and advances the first that is not (registers say which): one adder adds that level's stride to that level's address, and the sum goes
//! to the level and to all levels inside it. Input coordinates and the result's address advance the same way.
//!
//! Handshake: with `start`, which comes when no step is left, the nest begins at the shape inputs (`initial_...`). The nest walks ahead of its reader by up to two steps, which wait in a
//! [`SkidBuffer`]: so the loops turn whenever that has room, which is a register, and the reader's decisions end in front of it. While `valid`, which
//! comes two cycles after `start` at the earliest, the outputs, registers all of them, describe the current step, and `advance` moves to the next one. The
//! shape inputs stay stable while the nest runs.

use crate::emit::describe;
use crate::leaves::{inputs, PackBytes, PackFlags, PackHalves, SkidBuffer};
use rust_hdl_core::prelude::*;
use rust_hdl_widgets::prelude::*;

#[derive(LogicBlock)]
pub struct LoopNest {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub start: Signal<In, Bit>,
    pub advance: Signal<In, Bit>,
    // The shape with which the nest begins, read with `start` only: the same as the one below, which may come a cycle later.
    pub initial_last: Vec<Signal<In, Bits<16>>>,
    pub initial_source: Signal<In, Bits<16>>,
    pub initial_start_x: Signal<In, Bits<16>>,
    pub initial_start_y: Signal<In, Bits<16>>,
    pub initial_output: Signal<In, Bits<16>>,
    pub initial_lane: Signal<In, Bits<8>>,
    // Iterations of each loop, minus one.
    pub last_channel: Signal<In, Bits<16>>,
    pub last_kernel_x: Signal<In, Bits<16>>,
    pub last_kernel_y: Signal<In, Bits<16>>,
    pub last_x: Signal<In, Bits<16>>,
    pub last_y: Signal<In, Bits<16>>,
    pub last_tile: Signal<In, Bits<16>>,
    // The distance of source addresses from one iteration of each loop to the next.
    pub stride_channel: Signal<In, Bits<16>>,
    pub stride_kernel_x: Signal<In, Bits<16>>,
    pub stride_kernel_y: Signal<In, Bits<16>>,
    pub stride_x: Signal<In, Bits<16>>,
    pub stride_y: Signal<In, Bits<16>>,
    /// Added when the result's lane wraps into the next vector.
    pub stride_chunk: Signal<In, Bits<16>>,
    // Input coordinates, for padding.
    pub input_width: Signal<In, Bits<16>>,
    pub input_height: Signal<In, Bits<16>>,
    pub start_x: Signal<In, Bits<16>>,
    pub start_y: Signal<In, Bits<16>>,
    pub kernel_step_x: Signal<In, Bits<16>>,
    pub kernel_step_y: Signal<In, Bits<16>>,
    pub step_x: Signal<In, Bits<16>>,
    pub step_y: Signal<In, Bits<16>>,
    // Where results go.
    pub output_stride_x: Signal<In, Bits<16>>,
    pub output_stride_y: Signal<In, Bits<16>>,
    pub output_stride_chunk: Signal<In, Bits<16>>,
    /// Lanes of one tile; divides the lanes of a vector.
    pub lane_step: Signal<In, Bits<8>>,
    /// Lanes of a vector, minus one.
    pub lane_mask: Signal<In, Bits<8>>,
    /// Results of a row that are left out, from the first one on.
    pub skip: Signal<In, Bits<16>>,
    // The current step.
    pub valid: Signal<Out, Bit>,
    pub address: Signal<Out, Bits<16>>,
    /// The input position lies inside the image.
    pub in_bounds: Signal<Out, Bit>,
    /// It does, and the address is even, odd: which bank is to be read.
    pub reads_even: Signal<Out, Bit>,
    pub reads_odd: Signal<Out, Bit>,
    /// First and last step of a reduction.
    pub first: Signal<Out, Bit>,
    pub last: Signal<Out, Bit>,
    /// Last step of the last result of a tile.
    pub last_of_tile: Signal<Out, Bit>,
    /// Last step of all.
    pub last_of_all: Signal<Out, Bit>,
    pub result_address: Signal<Out, Bits<16>>,
    pub result_lane: Signal<Out, Bits<8>>,
    /// Input column of the current tap, and whether its row lies inside the image.
    pub position_x: Signal<Out, Bits<16>>,
    pub row_inside: Signal<Out, Bit>,
    /// Last step of a row of results.
    pub last_of_row: Signal<Out, Bit>,
    /// The result is not left out.
    pub kept: Signal<Out, Bit>,
    walking: DFF<Bit>,
    walked: SkidBuffer,
    places: PackHalves,
    input_place: PackHalves,
    route: PackBytes,
    flag_bits: PackFlags,
    bank_bits: PackFlags,
    flags: Signal<Local, Bits<8>>,
    turn: Signal<Local, Bit>,
    // Iterations of each loop that are still to come after this one, and whether there are none: comparing them when they are needed would be
    // the longest path of the chip.
    channel_left: DFF<Bits<16>>,
    kernel_x_left: DFF<Bits<16>>,
    kernel_y_left: DFF<Bits<16>>,
    x_left: DFF<Bits<16>>,
    y_left: DFF<Bits<16>>,
    tile_left: DFF<Bits<16>>,
    end_kernel_x: DFF<Bit>,
    end_kernel_y: DFF<Bit>,
    end_x: DFF<Bit>,
    end_y: DFF<Bit>,
    end_tile: DFF<Bit>,
    // Which loops end, or advance, with this step: all inside them are at their last iteration. Known a step ahead too, because everything waits for it.
    step_kernel_x: DFF<Bit>,
    step_kernel_y: DFF<Bit>,
    step_output_x: DFF<Bit>,
    step_output_y: DFF<Bit>,
    step_tile: DFF<Bit>,
    step_all: DFF<Bit>,
    x: DFF<Bits<16>>,
    first_step: DFF<Bit>,
    // Source address at which each loop's current iteration began.
    address_channel: DFF<Bits<16>>,
    address_kernel_x: DFF<Bits<16>>,
    address_kernel_y: DFF<Bits<16>>,
    address_x: DFF<Bits<16>>,
    address_y: DFF<Bits<16>>,
    address_tile: DFF<Bits<16>>,
    // Input coordinates of the window's origin and of the current tap.
    window_x: DFF<Bits<16>>,
    window_y: DFF<Bits<16>>,
    tap_x: DFF<Bits<16>>,
    tap_y: DFF<Bits<16>>,
    // Result address at which each loop's current iteration began.
    result_x: DFF<Bits<16>>,
    result_y: DFF<Bits<16>>,
    result_tile: DFF<Bits<16>>,
    lane: DFF<Bits<8>>,
    // Whether each loop will be at its last iteration.
    next_end_channel: Signal<Local, Bit>,
    next_end_kernel_x: Signal<Local, Bit>,
    next_end_kernel_y: Signal<Local, Bit>,
    next_end_x: Signal<Local, Bit>,
    next_end_y: Signal<Local, Bit>,
    next_end_tile: Signal<Local, Bit>,
    one_channel: Signal<Local, Bit>,
    one_kernel_x: Signal<Local, Bit>,
    one_kernel_y: Signal<Local, Bit>,
    one_x: Signal<Local, Bit>,
    one_y: Signal<Local, Bit>,
    one_tile: Signal<Local, Bit>,
    start_value: Signal<Local, Bit>,
    first_channel: Signal<Local, Bit>,
    first_kernel_x: Signal<Local, Bit>,
    first_kernel_y: Signal<Local, Bit>,
    first_x: Signal<Local, Bit>,
    first_y: Signal<Local, Bit>,
    first_tile: Signal<Local, Bit>,
    lane_sum: Signal<Local, Bits<8>>,
    lane_next: Signal<Local, Bits<8>>,
    lane_wraps: Signal<Local, Bit>,
    // The one address adder.
    from: Signal<Local, Bits<16>>,
    by: Signal<Local, Bits<16>>,
    next_address: Signal<Local, Bits<16>>,
    result_from: Signal<Local, Bits<16>>,
    result_by: Signal<Local, Bits<16>>,
    next_result: Signal<Local, Bits<16>>,
    next_tap_x: Signal<Local, Bits<16>>,
    next_tap_y: Signal<Local, Bits<16>>,
    next_window_x: Signal<Local, Bits<16>>,
    next_window_y: Signal<Local, Bits<16>>,
    inside_x: Signal<Local, Bit>,
    inside_y: Signal<Local, Bit>,
}

impl Default for LoopNest {
    fn default() -> Self {
        Self {
            clock: Signal::default(),
            reset: Signal::default(),
            start: Signal::default(),
            advance: Signal::default(),
            initial_last: inputs(6),
            initial_source: Signal::default(),
            initial_start_x: Signal::default(),
            initial_start_y: Signal::default(),
            initial_output: Signal::default(),
            initial_lane: Signal::default(),
            last_channel: Signal::default(),
            last_kernel_x: Signal::default(),
            last_kernel_y: Signal::default(),
            last_x: Signal::default(),
            last_y: Signal::default(),
            last_tile: Signal::default(),
            stride_channel: Signal::default(),
            stride_kernel_x: Signal::default(),
            stride_kernel_y: Signal::default(),
            stride_x: Signal::default(),
            stride_y: Signal::default(),
            stride_chunk: Signal::default(),
            input_width: Signal::default(),
            input_height: Signal::default(),
            start_x: Signal::default(),
            start_y: Signal::default(),
            kernel_step_x: Signal::default(),
            kernel_step_y: Signal::default(),
            step_x: Signal::default(),
            step_y: Signal::default(),
            output_stride_x: Signal::default(),
            output_stride_y: Signal::default(),
            output_stride_chunk: Signal::default(),
            lane_step: Signal::default(),
            lane_mask: Signal::default(),
            skip: Signal::default(),
            valid: Signal::default(),
            address: Signal::default(),
            in_bounds: Signal::default(),
            reads_even: Signal::default(),
            reads_odd: Signal::default(),
            first: Signal::default(),
            last: Signal::default(),
            last_of_tile: Signal::default(),
            last_of_all: Signal::default(),
            result_address: Signal::default(),
            result_lane: Signal::default(),
            position_x: Signal::default(),
            row_inside: Signal::default(),
            last_of_row: Signal::default(),
            kept: Signal::default(),
            walking: DFF::default(),
            walked: SkidBuffer::new(3),
            places: Default::default(),
            input_place: Default::default(),
            route: Default::default(),
            flag_bits: Default::default(),
            bank_bits: Default::default(),
            flags: Signal::default(),
            turn: Signal::default(),
            channel_left: DFF::default(),
            kernel_x_left: DFF::default(),
            kernel_y_left: DFF::default(),
            x_left: DFF::default(),
            y_left: DFF::default(),
            tile_left: DFF::default(),
            end_kernel_x: DFF::default(),
            end_kernel_y: DFF::default(),
            end_x: DFF::default(),
            end_y: DFF::default(),
            end_tile: DFF::default(),
            step_kernel_x: DFF::default(),
            step_kernel_y: DFF::default(),
            step_output_x: DFF::default(),
            step_output_y: DFF::default(),
            step_tile: DFF::default(),
            step_all: DFF::default(),
            x: DFF::default(),
            first_step: DFF::default(),
            address_channel: DFF::default(),
            address_kernel_x: DFF::default(),
            address_kernel_y: DFF::default(),
            address_x: DFF::default(),
            address_y: DFF::default(),
            address_tile: DFF::default(),
            window_x: DFF::default(),
            window_y: DFF::default(),
            tap_x: DFF::default(),
            tap_y: DFF::default(),
            result_x: DFF::default(),
            result_y: DFF::default(),
            result_tile: DFF::default(),
            lane: DFF::default(),
            next_end_channel: Signal::default(),
            next_end_kernel_x: Signal::default(),
            next_end_kernel_y: Signal::default(),
            next_end_x: Signal::default(),
            next_end_y: Signal::default(),
            next_end_tile: Signal::default(),
            one_channel: Signal::default(),
            one_kernel_x: Signal::default(),
            one_kernel_y: Signal::default(),
            one_x: Signal::default(),
            one_y: Signal::default(),
            one_tile: Signal::default(),
            start_value: Signal::default(),
            first_channel: Signal::default(),
            first_kernel_x: Signal::default(),
            first_kernel_y: Signal::default(),
            first_x: Signal::default(),
            first_y: Signal::default(),
            first_tile: Signal::default(),
            lane_sum: Signal::default(),
            lane_next: Signal::default(),
            lane_wraps: Signal::default(),
            from: Signal::default(),
            by: Signal::default(),
            next_address: Signal::default(),
            result_from: Signal::default(),
            result_by: Signal::default(),
            next_result: Signal::default(),
            next_tap_x: Signal::default(),
            next_tap_y: Signal::default(),
            next_window_x: Signal::default(),
            next_window_y: Signal::default(),
            inside_x: Signal::default(),
            inside_y: Signal::default(),
        }
    }
}

impl Logic for LoopNest {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(
            self,
            clock,
            walking,
            channel_left,
            kernel_x_left,
            kernel_y_left,
            x_left,
            y_left,
            tile_left,
            end_kernel_x,
            end_kernel_y,
            end_x,
            end_y,
            end_tile,
            step_kernel_x,
            step_kernel_y,
            step_output_x,
            step_output_y,
            step_tile,
            step_all,
            x,
            first_step,
            address_channel,
            address_kernel_x,
            address_kernel_y,
            address_x,
            address_y,
            address_tile,
            window_x,
            window_y,
            tap_x,
            tap_y,
            result_x,
            result_y,
            result_tile,
            lane
        );
        // Which loops are at their last iteration in the next step.
        self.one_channel.next = self.last_channel.val() == 0;
        self.one_kernel_x.next = self.last_kernel_x.val() == 0;
        self.one_kernel_y.next = self.last_kernel_y.val() == 0;
        self.one_x.next = self.last_x.val() == 0;
        self.one_y.next = self.last_y.val() == 0;
        self.one_tile.next = self.last_tile.val() == 0;
        self.next_end_channel.next = self.channel_left.q.val() == 1;
        self.next_end_kernel_x.next = self.end_kernel_x.q.val();
        self.next_end_kernel_y.next = self.end_kernel_y.q.val();
        self.next_end_x.next = self.end_x.q.val();
        self.next_end_y.next = self.end_y.q.val();
        self.next_end_tile.next = self.end_tile.q.val();
        if self.step_kernel_x.q.val() {
            self.next_end_channel.next = self.one_channel.val();
            self.next_end_kernel_x.next = self.kernel_x_left.q.val() == 1;
        }
        if self.step_kernel_y.q.val() {
            self.next_end_kernel_x.next = self.one_kernel_x.val();
            self.next_end_kernel_y.next = self.kernel_y_left.q.val() == 1;
        }
        if self.step_output_x.q.val() {
            self.next_end_kernel_y.next = self.one_kernel_y.val();
            self.next_end_x.next = self.x_left.q.val() == 1;
        }
        if self.step_output_y.q.val() {
            self.next_end_x.next = self.one_x.val();
            self.next_end_y.next = self.y_left.q.val() == 1;
        }
        if self.step_tile.q.val() {
            self.next_end_y.next = self.one_y.val();
            self.next_end_tile.next = self.tile_left.q.val() == 1;
        }
        self.turn.next = self.walking.q.val() & self.walked.write_ready.val();
        if self.turn.val() {
            self.end_kernel_x.d.next = self.next_end_kernel_x.val();
            self.end_kernel_y.d.next = self.next_end_kernel_y.val();
            self.end_x.d.next = self.next_end_x.val();
            self.end_y.d.next = self.next_end_y.val();
            self.end_tile.d.next = self.next_end_tile.val();
            self.step_kernel_x.d.next = self.next_end_channel.val();
            self.step_kernel_y.d.next = self.next_end_channel.val() & self.next_end_kernel_x.val();
            self.step_output_x.d.next =
                self.next_end_channel.val() & self.next_end_kernel_x.val() & self.next_end_kernel_y.val();
            self.step_output_y.d.next = self.next_end_channel.val()
                & self.next_end_kernel_x.val()
                & self.next_end_kernel_y.val()
                & self.next_end_x.val();
            self.step_tile.d.next = self.next_end_channel.val()
                & self.next_end_kernel_x.val()
                & self.next_end_kernel_y.val()
                & self.next_end_x.val()
                & self.next_end_y.val();
            self.step_all.d.next = self.next_end_channel.val()
                & self.next_end_kernel_x.val()
                & self.next_end_kernel_y.val()
                & self.next_end_x.val()
                & self.next_end_y.val()
                & self.next_end_tile.val();
        }
        // A nest that does not walk holds the beginning of what comes: the start, which is known late, has only to set it walking.
        self.first_channel.next = self.initial_last[0].val() == 0;
        self.first_kernel_x.next = self.initial_last[1].val() == 0;
        self.first_kernel_y.next = self.initial_last[2].val() == 0;
        self.first_x.next = self.initial_last[3].val() == 0;
        self.first_y.next = self.initial_last[4].val() == 0;
        self.first_tile.next = self.initial_last[5].val() == 0;
        self.start_value.next =
            self.first_channel.val() & self.first_kernel_x.val() & self.first_kernel_y.val();
        if !self.walking.q.val() {
            self.end_kernel_x.d.next = self.first_kernel_x.val();
            self.end_kernel_y.d.next = self.first_kernel_y.val();
            self.end_x.d.next = self.first_x.val();
            self.end_y.d.next = self.first_y.val();
            self.end_tile.d.next = self.first_tile.val();
            self.step_kernel_x.d.next = self.first_channel.val();
            self.step_kernel_y.d.next = self.first_channel.val() & self.first_kernel_x.val();
            self.step_output_x.d.next = self.start_value.val();
            self.step_output_y.d.next = self.start_value.val() & self.first_x.val();
            self.step_tile.d.next = self.start_value.val() & self.first_x.val() & self.first_y.val();
            self.step_all.d.next =
                self.start_value.val() & self.first_x.val() & self.first_y.val() & self.first_tile.val();
        }
        self.lane_sum.next = self.lane.q.val() + self.lane_step.val();
        self.lane_next.next = self.lane_sum.val() & self.lane_mask.val();
        self.lane_wraps.next = self.lane_next.val() == 0;

        // The source address of the next step.
        self.from.next = self.address_channel.q.val();
        self.by.next = self.stride_channel.val();
        self.result_from.next = self.result_x.q.val();
        self.result_by.next = self.output_stride_x.val();
        if self.step_tile.q.val() {
            self.from.next = self.address_tile.q.val();
            self.by.next = 0.into();
            self.result_from.next = self.result_tile.q.val();
            self.result_by.next = 0.into();
            if self.lane_wraps.val() {
                self.by.next = self.stride_chunk.val();
                self.result_by.next = self.output_stride_chunk.val();
            }
        } else if self.step_output_y.q.val() {
            self.from.next = self.address_y.q.val();
            self.by.next = self.stride_y.val();
            self.result_from.next = self.result_y.q.val();
            self.result_by.next = self.output_stride_y.val();
        } else if self.step_output_x.q.val() {
            self.from.next = self.address_x.q.val();
            self.by.next = self.stride_x.val();
        } else if self.step_kernel_y.q.val() {
            self.from.next = self.address_kernel_y.q.val();
            self.by.next = self.stride_kernel_y.val();
        } else if self.step_kernel_x.q.val() {
            self.from.next = self.address_kernel_x.q.val();
            self.by.next = self.stride_kernel_x.val();
        }
        self.next_address.next = self.from.val() + self.by.val();
        self.next_result.next = self.result_from.val() + self.result_by.val();
        self.next_tap_x.next = self.tap_x.q.val() + self.kernel_step_x.val();
        self.next_tap_y.next = self.tap_y.q.val() + self.kernel_step_y.val();
        self.next_window_x.next = self.window_x.q.val() + self.step_x.val();
        self.next_window_y.next = self.window_y.q.val() + self.step_y.val();

        // A step goes to the reader.
        if self.turn.val() {
            if self.step_all.q.val() {
                self.walking.d.next = false;
            }
            self.first_step.d.next = self.step_output_x.q.val();
            self.address_channel.d.next = self.next_address.val();
            self.channel_left.d.next = self.channel_left.q.val() - 1;
            if self.step_kernel_x.q.val() {
                self.channel_left.d.next = self.last_channel.val();
                self.address_kernel_x.d.next = self.next_address.val();
                self.kernel_x_left.d.next = self.kernel_x_left.q.val() - 1;
                self.tap_x.d.next = self.next_tap_x.val();
            }
            if self.step_kernel_y.q.val() {
                self.kernel_x_left.d.next = self.last_kernel_x.val();
                self.address_kernel_y.d.next = self.next_address.val();
                self.kernel_y_left.d.next = self.kernel_y_left.q.val() - 1;
                self.tap_x.d.next = self.window_x.q.val();
                self.tap_y.d.next = self.next_tap_y.val();
            }
            if self.step_output_x.q.val() {
                self.kernel_y_left.d.next = self.last_kernel_y.val();
                self.address_x.d.next = self.next_address.val();
                self.x.d.next = self.x.q.val() + 1;
                self.x_left.d.next = self.x_left.q.val() - 1;
                self.window_x.d.next = self.next_window_x.val();
                self.tap_x.d.next = self.next_window_x.val();
                self.tap_y.d.next = self.window_y.q.val();
                self.result_x.d.next = self.next_result.val();
            }
            if self.step_output_y.q.val() {
                self.x.d.next = 0.into();
                self.x_left.d.next = self.last_x.val();
                self.address_y.d.next = self.next_address.val();
                self.y_left.d.next = self.y_left.q.val() - 1;
                self.window_x.d.next = self.start_x.val();
                self.tap_x.d.next = self.start_x.val();
                self.window_y.d.next = self.next_window_y.val();
                self.tap_y.d.next = self.next_window_y.val();
                self.result_y.d.next = self.next_result.val();
            }
            if self.step_tile.q.val() {
                self.y_left.d.next = self.last_y.val();
                self.address_tile.d.next = self.next_address.val();
                self.tile_left.d.next = self.tile_left.q.val() - 1;
                self.window_y.d.next = self.start_y.val();
                self.tap_y.d.next = self.start_y.val();
                self.result_tile.d.next = self.next_result.val();
                self.lane.d.next = self.lane_next.val();
            }
        }
        if self.start.val() {
            self.walking.d.next = true;
        }
        if !self.walking.q.val() {
            self.first_step.d.next = true;
            self.channel_left.d.next = self.initial_last[0].val();
            self.kernel_x_left.d.next = self.initial_last[1].val();
            self.kernel_y_left.d.next = self.initial_last[2].val();
            self.x.d.next = 0.into();
            self.x_left.d.next = self.initial_last[3].val();
            self.y_left.d.next = self.initial_last[4].val();
            self.tile_left.d.next = self.initial_last[5].val();
            self.address_channel.d.next = self.initial_source.val();
            self.address_kernel_x.d.next = self.initial_source.val();
            self.address_kernel_y.d.next = self.initial_source.val();
            self.address_x.d.next = self.initial_source.val();
            self.address_y.d.next = self.initial_source.val();
            self.address_tile.d.next = self.initial_source.val();
            self.window_x.d.next = self.initial_start_x.val();
            self.window_y.d.next = self.initial_start_y.val();
            self.tap_x.d.next = self.initial_start_x.val();
            self.tap_y.d.next = self.initial_start_y.val();
            self.result_x.d.next = self.initial_output.val();
            self.result_y.d.next = self.initial_output.val();
            self.result_tile.d.next = self.initial_output.val();
            self.lane.d.next = self.initial_lane.val();
        }

        // A negative coordinate is a large unsigned one, so one comparison covers both edges.
        self.inside_x.next = self.tap_x.q.val() < self.input_width.val();
        self.inside_y.next = self.tap_y.q.val() < self.input_height.val();
        self.flag_bits.bits[0].next = self.inside_x.val() & self.inside_y.val();
        self.flag_bits.bits[1].next = self.first_step.q.val();
        self.flag_bits.bits[2].next = self.step_output_x.q.val();
        self.flag_bits.bits[3].next = self.step_tile.q.val();
        self.flag_bits.bits[4].next = self.step_all.q.val();
        self.flag_bits.bits[5].next = self.inside_y.val();
        self.flag_bits.bits[6].next = self.step_output_y.q.val();
        self.flag_bits.bits[7].next = self.x.q.val() >= self.skip.val();
        self.places.low.next = self.address_channel.q.val();
        self.places.high.next = self.result_x.q.val();
        self.input_place.low.next = self.tap_x.q.val();
        self.input_place.high.next = 0.into();
        self.route.bytes[0].next = self.lane.q.val();
        self.route.bytes[1].next = self.flag_bits.flags.val();
        self.bank_bits.bits[0].next =
            self.inside_x.val() & self.inside_y.val() & !self.address_channel.q.val().get_bit(0);
        self.bank_bits.bits[1].next =
            self.inside_x.val() & self.inside_y.val() & self.address_channel.q.val().get_bit(0);
        for b in 2..8 {
            self.bank_bits.bits[b].next = false;
        }
        self.route.bytes[2].next = self.bank_bits.flags.val();
        self.route.bytes[3].next = 0.into();
        self.walked.clock.next = self.clock.val();
        self.walked.reset.next = self.reset.val() | self.start.val();
        self.walked.write_valid.next = self.walking.q.val();
        self.walked.write_data[0].next = self.places.both.val();
        self.walked.write_data[1].next = self.input_place.both.val();
        self.walked.write_data[2].next = self.route.word.val();
        self.walked.read_ready.next = self.advance.val();
        self.valid.next = self.walked.read_valid.val();
        self.address.next = self.walked.read_data[0].val().get_bits::<16>(0);
        self.result_address.next = self.walked.read_data[0].val().get_bits::<16>(16);
        self.position_x.next = self.walked.read_data[1].val().get_bits::<16>(0);
        self.result_lane.next = self.walked.read_data[2].val().get_bits::<8>(0);
        self.flags.next = self.walked.read_data[2].val().get_bits::<8>(8);
        self.in_bounds.next = self.flags.val().get_bit(0);
        self.reads_even.next = self.walked.read_data[2].val().get_bit(16);
        self.reads_odd.next = self.walked.read_data[2].val().get_bit(17);
        self.first.next = self.flags.val().get_bit(1);
        self.last.next = self.flags.val().get_bit(2);
        self.last_of_tile.next = self.flags.val().get_bit(3);
        self.last_of_all.next = self.flags.val().get_bit(4);
        self.row_inside.next = self.flags.val().get_bit(5);
        self.last_of_row.next = self.flags.val().get_bit(6);
        self.kept.next = self.flags.val().get_bit(7);
        if self.reset.val() {
            self.walking.d.next = false;
        }
    }
    fn timing(&self) -> Vec<TimingInfo> {
        describe(
            "loop_nest",
            "Six nested loops, one step each cycle: tile > y > x > kernel_y > kernel_x > channel.\n\
             A step advances the first loop that is not at its last iteration; one adder serves all levels.",
        )
    }
}
