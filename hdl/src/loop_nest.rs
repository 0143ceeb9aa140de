//! Loop nest: walks six nested loops, one step each cycle, and gives each step's addresses.
//!
//! ```text
//! tile > y > x > kernel_y > kernel_x > channel        (innermost last)
//! `---- results ----'   `---- reduction ----'
//! ```
//! Every loop level keeps the source address at which its current iteration began. A step ends the loops that are at their last
//! iteration and advances the first that is not: one adder adds that level's stride to that level's address, and the sum goes
//! to the level and to all levels inside it. Input coordinates and the result's address advance the same way.
//!
//! Handshake: `start` loads every register from the shape inputs; from the next cycle on the outputs describe the current step, and
//! `advance` moves to the next one. The shape inputs stay stable while the nest runs.

use crate::emit::describe;
use rust_hdl_core::prelude::*;
use rust_hdl_widgets::prelude::*;

#[derive(LogicBlock, Default)]
pub struct LoopNest {
    pub clock: Signal<In, Clock>,
    pub start: Signal<In, Bit>,
    pub advance: Signal<In, Bit>,
    // Iterations of each loop, minus one.
    pub last_channel: Signal<In, Bits<16>>,
    pub last_kernel_x: Signal<In, Bits<16>>,
    pub last_kernel_y: Signal<In, Bits<16>>,
    pub last_x: Signal<In, Bits<16>>,
    pub last_y: Signal<In, Bits<16>>,
    pub last_tile: Signal<In, Bits<16>>,
    // Source address of the first step, and the distance from one iteration of each loop to the next.
    pub source_address: Signal<In, Bits<16>>,
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
    pub output_address: Signal<In, Bits<16>>,
    pub output_lane: Signal<In, Bits<8>>,
    pub output_stride_x: Signal<In, Bits<16>>,
    pub output_stride_y: Signal<In, Bits<16>>,
    pub output_stride_chunk: Signal<In, Bits<16>>,
    /// Lanes of one tile; divides the lanes of a vector.
    pub lane_step: Signal<In, Bits<8>>,
    /// Lanes of a vector, minus one.
    pub lane_mask: Signal<In, Bits<8>>,
    // The current step.
    pub address: Signal<Out, Bits<16>>,
    /// The input position lies inside the image.
    pub in_bounds: Signal<Out, Bit>,
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
    /// Iteration of the loop over x.
    pub x_index: Signal<Out, Bits<16>>,
    // Iterations of each loop that are still to come after this one, and whether there are none: comparing them when they are needed would be
    // the longest path of the chip.
    channel_left: DFF<Bits<16>>,
    kernel_x_left: DFF<Bits<16>>,
    kernel_y_left: DFF<Bits<16>>,
    x_left: DFF<Bits<16>>,
    y_left: DFF<Bits<16>>,
    tile_left: DFF<Bits<16>>,
    end_channel: DFF<Bit>,
    end_kernel_x: DFF<Bit>,
    end_kernel_y: DFF<Bit>,
    end_x: DFF<Bit>,
    end_y: DFF<Bit>,
    end_tile: DFF<Bit>,
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
    // Which loops advance, or end: all inside them are at their last iteration.
    step_kernel_x: Signal<Local, Bit>,
    step_kernel_y: Signal<Local, Bit>,
    step_output_x: Signal<Local, Bit>,
    step_output_y: Signal<Local, Bit>,
    step_tile: Signal<Local, Bit>,
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

impl Logic for LoopNest {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(
            self,
            clock,
            channel_left,
            kernel_x_left,
            kernel_y_left,
            x_left,
            y_left,
            tile_left,
            end_channel,
            end_kernel_x,
            end_kernel_y,
            end_x,
            end_y,
            end_tile,
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
        // Which loops end with this step.
        self.step_kernel_x.next = self.end_channel.q.val();
        self.step_kernel_y.next = self.step_kernel_x.val() & self.end_kernel_x.q.val();
        self.step_output_x.next = self.step_kernel_y.val() & self.end_kernel_y.q.val();
        self.step_output_y.next = self.step_output_x.val() & self.end_x.q.val();
        self.step_tile.next = self.step_output_y.val() & self.end_y.q.val();
        self.lane_sum.next = self.lane.q.val() + self.lane_step.val();
        self.lane_next.next = self.lane_sum.val() & self.lane_mask.val();
        self.lane_wraps.next = self.lane_next.val() == 0;

        // The source address of the next step.
        self.from.next = self.address_channel.q.val();
        self.by.next = self.stride_channel.val();
        self.result_from.next = self.result_x.q.val();
        self.result_by.next = self.output_stride_x.val();
        if self.step_tile.val() {
            self.from.next = self.address_tile.q.val();
            self.by.next = 0.into();
            self.result_from.next = self.result_tile.q.val();
            self.result_by.next = 0.into();
            if self.lane_wraps.val() {
                self.by.next = self.stride_chunk.val();
                self.result_by.next = self.output_stride_chunk.val();
            }
        } else if self.step_output_y.val() {
            self.from.next = self.address_y.q.val();
            self.by.next = self.stride_y.val();
            self.result_from.next = self.result_y.q.val();
            self.result_by.next = self.output_stride_y.val();
        } else if self.step_output_x.val() {
            self.from.next = self.address_x.q.val();
            self.by.next = self.stride_x.val();
        } else if self.step_kernel_y.val() {
            self.from.next = self.address_kernel_y.q.val();
            self.by.next = self.stride_kernel_y.val();
        } else if self.step_kernel_x.val() {
            self.from.next = self.address_kernel_x.q.val();
            self.by.next = self.stride_kernel_x.val();
        }
        self.next_address.next = self.from.val() + self.by.val();
        self.next_result.next = self.result_from.val() + self.result_by.val();
        self.next_tap_x.next = self.tap_x.q.val() + self.kernel_step_x.val();
        self.next_tap_y.next = self.tap_y.q.val() + self.kernel_step_y.val();
        self.next_window_x.next = self.window_x.q.val() + self.step_x.val();
        self.next_window_y.next = self.window_y.q.val() + self.step_y.val();

        if self.advance.val() {
            self.first_step.d.next = self.step_output_x.val();
            self.address_channel.d.next = self.next_address.val();
            self.channel_left.d.next = self.channel_left.q.val() - 1;
            self.end_channel.d.next = self.channel_left.q.val() == 1;
            if self.step_kernel_x.val() {
                self.channel_left.d.next = self.last_channel.val();
                self.end_channel.d.next = self.last_channel.val() == 0;
                self.address_kernel_x.d.next = self.next_address.val();
                self.kernel_x_left.d.next = self.kernel_x_left.q.val() - 1;
                self.end_kernel_x.d.next = self.kernel_x_left.q.val() == 1;
                self.tap_x.d.next = self.next_tap_x.val();
            }
            if self.step_kernel_y.val() {
                self.kernel_x_left.d.next = self.last_kernel_x.val();
                self.end_kernel_x.d.next = self.last_kernel_x.val() == 0;
                self.address_kernel_y.d.next = self.next_address.val();
                self.kernel_y_left.d.next = self.kernel_y_left.q.val() - 1;
                self.end_kernel_y.d.next = self.kernel_y_left.q.val() == 1;
                self.tap_x.d.next = self.window_x.q.val();
                self.tap_y.d.next = self.next_tap_y.val();
            }
            if self.step_output_x.val() {
                self.kernel_y_left.d.next = self.last_kernel_y.val();
                self.end_kernel_y.d.next = self.last_kernel_y.val() == 0;
                self.address_x.d.next = self.next_address.val();
                self.x.d.next = self.x.q.val() + 1;
                self.x_left.d.next = self.x_left.q.val() - 1;
                self.end_x.d.next = self.x_left.q.val() == 1;
                self.window_x.d.next = self.next_window_x.val();
                self.tap_x.d.next = self.next_window_x.val();
                self.tap_y.d.next = self.window_y.q.val();
                self.result_x.d.next = self.next_result.val();
            }
            if self.step_output_y.val() {
                self.x.d.next = 0.into();
                self.x_left.d.next = self.last_x.val();
                self.end_x.d.next = self.last_x.val() == 0;
                self.address_y.d.next = self.next_address.val();
                self.y_left.d.next = self.y_left.q.val() - 1;
                self.end_y.d.next = self.y_left.q.val() == 1;
                self.window_x.d.next = self.start_x.val();
                self.tap_x.d.next = self.start_x.val();
                self.window_y.d.next = self.next_window_y.val();
                self.tap_y.d.next = self.next_window_y.val();
                self.result_y.d.next = self.next_result.val();
            }
            if self.step_tile.val() {
                self.y_left.d.next = self.last_y.val();
                self.end_y.d.next = self.last_y.val() == 0;
                self.address_tile.d.next = self.next_address.val();
                self.tile_left.d.next = self.tile_left.q.val() - 1;
                self.end_tile.d.next = self.tile_left.q.val() == 1;
                self.window_y.d.next = self.start_y.val();
                self.tap_y.d.next = self.start_y.val();
                self.result_tile.d.next = self.next_result.val();
                self.lane.d.next = self.lane_next.val();
            }
        }
        if self.start.val() {
            self.first_step.d.next = true;
            self.channel_left.d.next = self.last_channel.val();
            self.end_channel.d.next = self.last_channel.val() == 0;
            self.kernel_x_left.d.next = self.last_kernel_x.val();
            self.end_kernel_x.d.next = self.last_kernel_x.val() == 0;
            self.kernel_y_left.d.next = self.last_kernel_y.val();
            self.end_kernel_y.d.next = self.last_kernel_y.val() == 0;
            self.x.d.next = 0.into();
            self.x_left.d.next = self.last_x.val();
            self.end_x.d.next = self.last_x.val() == 0;
            self.y_left.d.next = self.last_y.val();
            self.end_y.d.next = self.last_y.val() == 0;
            self.tile_left.d.next = self.last_tile.val();
            self.end_tile.d.next = self.last_tile.val() == 0;
            self.address_channel.d.next = self.source_address.val();
            self.address_kernel_x.d.next = self.source_address.val();
            self.address_kernel_y.d.next = self.source_address.val();
            self.address_x.d.next = self.source_address.val();
            self.address_y.d.next = self.source_address.val();
            self.address_tile.d.next = self.source_address.val();
            self.window_x.d.next = self.start_x.val();
            self.window_y.d.next = self.start_y.val();
            self.tap_x.d.next = self.start_x.val();
            self.tap_y.d.next = self.start_y.val();
            self.result_x.d.next = self.output_address.val();
            self.result_y.d.next = self.output_address.val();
            self.result_tile.d.next = self.output_address.val();
            self.lane.d.next = self.output_lane.val();
        }

        // A negative coordinate is a large unsigned one, so one comparison covers both edges.
        self.inside_x.next = self.tap_x.q.val() < self.input_width.val();
        self.inside_y.next = self.tap_y.q.val() < self.input_height.val();
        self.in_bounds.next = self.inside_x.val() & self.inside_y.val();
        self.address.next = self.address_channel.q.val();
        self.first.next = self.first_step.q.val();
        self.last.next = self.step_output_x.val();
        self.last_of_tile.next = self.step_tile.val();
        self.last_of_all.next = self.step_tile.val() & self.end_tile.q.val();
        self.result_address.next = self.result_x.q.val();
        self.result_lane.next = self.lane.q.val();
        self.position_x.next = self.tap_x.q.val();
        self.row_inside.next = self.inside_y.val();
        self.last_of_row.next = self.step_output_y.val();
        self.x_index.next = self.x.q.val();
    }
    fn timing(&self) -> Vec<TimingInfo> {
        describe(
            "loop_nest",
            "Six nested loops, one step each cycle: tile > y > x > kernel_y > kernel_x > channel.\n\
             A step advances the first loop that is not at its last iteration; one adder serves all levels.",
        )
    }
}
