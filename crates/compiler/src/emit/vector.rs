//! Vector layers: additions and pools.

use super::{field, Buffers, Emitter, Region, View};
use crate::build::Value;
use crate::layer::{Placement, Pool, PoolKind};
use crate::tile::{ranges, Operand, Plan};
use frugal_isa::command::{reduce, Vector};
use frugal_quant::{average_multiplier, ActivationRange, AddParameters, Multiplier};
use std::ops::Range;

/// Most results of one part of an addition: more would only make what follows wait.
const MAX_PART: usize = 256;

/// Steps of the vector unit that are worth a command of their own.
const WORTHWHILE_STEPS: usize = 96;

impl Emitter<'_> {
    /// Boxes of a vector layer.
    fn vector_regions(&self, plan: &Plan, chunks: usize) -> Vec<Region> {
        let place = self.place(self.output());
        let mut regions = Vec::new();
        for y in ranges(place.height, plan.rows) {
            for x in ranges(place.width, plan.columns) {
                for c in ranges(place.pixel, chunks) {
                    if c.start < place.chunks {
                        regions.push(Region { y: y.clone(), x: x.clone(), c });
                    }
                }
            }
        }
        regions
    }

    /// Groups of lanes that hold channels in a range of vectors.
    fn lane_groups(&self, place: &Placement, c: &Range<usize>) -> Range<usize> {
        let end = (c.end * self.config.rows).min(place.channels);
        c.start * self.config.rows / self.config.lanes..end.div_ceil(self.config.lanes)
    }

    /// A sum of two tensors: each operand is scaled into accumulators, then the sum into the output. Three parts of the work are
    /// under way at a time, so that none waits for the pipeline.
    pub(super) fn add(&mut self, parameters: &AddParameters, plan: &Plan, chunks: usize) {
        let place = self.place(self.output());
        let mut buffers: Vec<Buffers> = plan.inputs.iter().map(Buffers::of).collect();
        let mut output_buffers = Buffers::of(&plan.output);
        // The operand that was computed first comes first.
        let order: [usize; 2] = if self.input(0) <= self.input(1) { [0, 1] } else { [1, 0] };
        for region in self.vector_regions(plan, chunks) {
            let views: Vec<View> =
                (0..2).map(|p| self.stage(p, &plan.inputs[p], &mut buffers[p], region.clone())).collect();
            let output = self.output_view(&plan.output, &mut output_buffers, &region);
            let parts = self.add_parts(&place, &region);
            let mut slots: Vec<(usize, Value)> = Vec::new();
            for step in 0..parts.len() + 2 {
                // The first operand of this part, the second of the part before, the sum of the one before that.
                if let Some(part) = parts.get(step) {
                    let slot = (self.accumulators(part.results()), self.value());
                    slots.push(slot);
                    self.add_operand(parameters, order[0], part, &views, slot, false);
                }
                if let Some(part) = step.checked_sub(1).and_then(|step| parts.get(step)) {
                    self.add_operand(parameters, order[1], part, &views, slots[step - 1], true);
                }
                if let Some(part) = step.checked_sub(2).and_then(|step| parts.get(step)) {
                    self.add_sum(parameters, part, &output, slots[step - 2]);
                }
            }
            if self.stored() {
                self.store_region(self.output(), &region, &output);
            }
        }
    }

    /// Cuts a region of an addition into parts: three are under way at a time, and four fit the accumulators. The last part is
    /// cut once more, for what follows waits for it.
    fn add_parts(&self, place: &Placement, region: &Region) -> Vec<Part> {
        let room = (self.config.accumulator_depth / 4).clamp(1, MAX_PART);
        let groups = self.lane_groups(place, &region.c);
        let group_count = groups.len().min(room);
        let columns = region.x.len().min(room / group_count);
        let rows =
            if columns == region.x.len() { region.y.len().min(room / group_count / columns) } else { 1 };
        let mut parts = Vec::new();
        for y in ranges(region.y.len(), rows) {
            for x in ranges(region.x.len(), columns) {
                for g in ranges(groups.len(), group_count) {
                    parts.push(Part {
                        y: region.y.start + y.start..region.y.start + y.end,
                        x: region.x.start + x.start..region.x.start + x.end,
                        groups: groups.start + g.start..groups.start + g.end,
                    });
                }
            }
        }
        if let Some(last) = parts.pop() {
            let middle = last.y.start + last.y.len().div_ceil(2);
            let halves = [last.y.start..middle, middle..last.y.end];
            let halves = halves.into_iter().filter(|y| !y.is_empty());
            parts.extend(halves.map(|y| Part { y, x: last.x.clone(), groups: last.groups.clone() }));
        }
        parts
    }

    /// Strides and counts that the three commands of an addition share.
    fn add_command(&self, part: &Part, view: &View) -> (Vector, u32) {
        let lane = part.groups.start * self.config.lanes;
        let address = view.address(part.y.start as i64, part.x.start as i64, lane / self.config.rows);
        let vector = Vector {
            first_lane: (lane % self.config.rows) as u32,
            groups: part.groups.len() as u32,
            outputs_x: part.x.len() as u32,
            outputs_y: part.y.len() as u32,
            input_width: 1,
            input_height: 1,
            ..Vector::default()
        };
        (vector, address)
    }

    fn add_operand(
        &mut self,
        parameters: &AddParameters,
        position: usize,
        part: &Part,
        views: &[View],
        (slot, value): (usize, Value),
        accumulate: bool,
    ) {
        let view = &views[position];
        let (zero_point, multiplier) = match position {
            0 => (parameters.zero_point_a, parameters.multiplier_a),
            _ => (parameters.zero_point_b, parameters.multiplier_b),
        };
        let (vector, address) = self.add_command(part, view);
        let vector = Vector {
            destination: 1,
            add_operand: accumulate,
            source_address: address,
            destination_address: slot as u32,
            operand_address: slot as u32,
            stride_x: field(view.pixel as i64),
            stride_y: field(view.row as i64),
            stride_group: 1,
            pre_add: -zero_point,
            multiplier: multiplier.multiplier,
            left_shift: frugal_quant::add::ADD_LEFT_SHIFT + u32::from(multiplier.left_shift),
            right_shift: u32::from(multiplier.right_shift),
            ..vector
        };
        let mut reads = vec![self.tensor_value(self.input(position))];
        // In place, other lanes of the same vectors may hold sums already.
        let plan = &self.allocation.plans[self.layer];
        if plan.inputs[position] == plan.output && matches!(plan.output, Operand::Resident(_)) {
            reads.push(self.tensor_value(self.output()));
        }
        if accumulate {
            reads.push(value);
        }
        self.push(vector, reads, Some(value));
    }

    fn add_sum(
        &mut self,
        parameters: &AddParameters,
        part: &Part,
        view: &View,
        (slot, value): (usize, Value),
    ) {
        let (vector, address) = self.add_command(part, view);
        let multiplier = parameters.multiplier_output;
        let vector = Vector {
            source: 1,
            source_address: slot as u32,
            destination_address: address,
            output_stride_x: field(view.pixel as i64),
            output_stride_y: field(view.row as i64),
            output_stride_group: 1,
            multiplier: multiplier.multiplier,
            left_shift: u32::from(multiplier.left_shift),
            right_shift: u32::from(multiplier.right_shift),
            post_add: parameters.zero_point_output,
            minimum: i32::from(parameters.range.min),
            maximum: i32::from(parameters.range.max),
            ..vector
        };
        let output = self.tensor_value(self.output());
        self.push(vector, vec![value], Some(output));
    }

    pub(super) fn pool(&mut self, pool: &Pool, plan: &Plan, chunks: usize) {
        let (input, output) = (self.place(self.input(0)), self.place(self.output()));
        let window = pool.window;
        let mut buffers = Buffers::of(&plan.inputs[0]);
        let mut output_buffers = Buffers::of(&plan.output);
        for region in self.vector_regions(plan, chunks) {
            let wanted = Region {
                y: window.rows(region.y.start, input.height).start
                    ..window.rows(region.y.end - 1, input.height).end,
                x: window.columns(region.x.start, input.width).start
                    ..window.columns(region.x.end - 1, input.width).end,
                c: region.c.clone(),
            };
            let source = self.stage(0, &plan.inputs[0], &mut buffers, wanted);
            let view = self.output_view(&plan.output, &mut output_buffers, &region);
            // Outputs that average over equally many pixels share a command.
            let average = pool.kind == PoolKind::Average;
            let rows =
                equal_runs(&region.y, |y| if average { window.rows(y, input.height).len() } else { 0 });
            let columns =
                equal_runs(&region.x, |x| if average { window.columns(x, input.width).len() } else { 0 });
            for (y, height) in &rows {
                for (x, width) in &columns {
                    let multiplier = if average {
                        average_multiplier((height * width) as u32).expect("kernels are at most 256 x 256")
                    } else {
                        Multiplier::IDENTITY
                    };
                    let groups = self.lane_groups(&output, &region.c);
                    let place = (y, x, &groups);
                    if !(average && self.pool_in_parts(pool, &input, place, (&source, &view), multiplier)) {
                        self.pool_command(pool, &input, place, (&source, &view), multiplier);
                    }
                }
            }
            if self.stored() {
                self.store_region(self.output(), &region, &view);
            }
        }
    }

    /// An average over a whole image, as sums of a few rows each: it can begin while the image's last rows are computed.
    fn pool_in_parts(
        &mut self,
        pool: &Pool,
        input: &Placement,
        (y, x, groups): (&Range<usize>, &Range<usize>, &Range<usize>),
        (source, view): (&View, &View),
        multiplier: Multiplier,
    ) -> bool {
        let window = pool.window;
        let row_steps = window.kernel_width * groups.len();
        let rows = WORTHWHILE_STEPS.div_ceil(row_steps);
        let inside = window.padding == Default::default() && window.kernel_height <= input.height;
        if y.len() * x.len() != 1
            || !inside
            || 2 * rows > window.kernel_height
            || groups.len() > self.config.accumulator_depth
        {
            return false;
        }
        let value = self.value();
        let slot = self.accumulators(groups.len());
        for part in ranges(window.kernel_height, rows) {
            let first = part.start == 0;
            let vector = Vector {
                destination: 1,
                destination_address: slot as u32,
                add_operand: !first,
                operand_address: slot as u32,
                source_address: source.address(
                    (y.start * window.stride_height + part.start) as i64,
                    (x.start * window.stride_width) as i64,
                    groups.start * self.config.lanes / self.config.rows,
                ),
                kernel_y: part.len() as u32,
                start_y: (y.start * window.stride_height + part.start) as i32,
                multiplier: Multiplier::IDENTITY.multiplier,
                left_shift: 0,
                right_shift: 0,
                ..self.pool_vector(pool, input, (y, x, groups), (source, view), multiplier)
            };
            let mut reads = vec![self.tensor_value(self.input(0))];
            if !first {
                reads.push(value);
            }
            self.push(vector, reads, Some(value));
        }
        let vector = Vector {
            source: 1,
            source_address: slot as u32,
            kernel_x: 1,
            kernel_y: 1,
            ..self.pool_vector(pool, input, (y, x, groups), (source, view), multiplier)
        };
        let writes = self.tensor_value(self.output());
        self.push(vector, vec![value], Some(writes));
        true
    }

    fn pool_command(
        &mut self,
        pool: &Pool,
        input: &Placement,
        place: (&Range<usize>, &Range<usize>, &Range<usize>),
        views: (&View, &View),
        multiplier: Multiplier,
    ) {
        let vector = self.pool_vector(pool, input, place, views, multiplier);
        let reads = vec![self.tensor_value(self.input(0))];
        let writes = self.tensor_value(self.output());
        self.push(vector, reads, Some(writes));
    }

    fn pool_vector(
        &self,
        pool: &Pool,
        input: &Placement,
        (y, x, groups): (&Range<usize>, &Range<usize>, &Range<usize>),
        (source, view): (&View, &View),
        multiplier: Multiplier,
    ) -> Vector {
        let window = pool.window;
        let start_y = (y.start * window.stride_height) as i64 - window.padding.top as i64;
        let start_x = (x.start * window.stride_width) as i64 - window.padding.left as i64;
        let lane = groups.start * self.config.lanes;
        let chunk = lane / self.config.rows;
        let ActivationRange { min, max } = pool.range;
        Vector {
            single_rounding: true,
            reduce: if pool.kind == PoolKind::Average { reduce::SUM } else { reduce::MAXIMUM },
            source_address: source.address(start_y, start_x, chunk),
            destination_address: view.address(y.start as i64, x.start as i64, chunk),
            first_lane: (lane % self.config.rows) as u32,
            kernel_x: window.kernel_width as u32,
            kernel_y: window.kernel_height as u32,
            groups: groups.len() as u32,
            outputs_x: x.len() as u32,
            outputs_y: y.len() as u32,
            stride_kernel_x: field(source.pixel as i64),
            stride_kernel_y: field(source.row as i64),
            stride_x: field((window.stride_width * source.pixel) as i64),
            stride_y: field((window.stride_height * source.row) as i64),
            stride_group: 1,
            output_stride_group: 1,
            output_stride_x: field(view.pixel as i64),
            output_stride_y: field(view.row as i64),
            multiplier: multiplier.multiplier,
            left_shift: u32::from(multiplier.left_shift),
            right_shift: u32::from(multiplier.right_shift),
            minimum: i32::from(min),
            maximum: i32::from(max),
            input_width: input.width as u32,
            input_height: input.height as u32,
            start_x: start_x as i32,
            start_y: start_y as i32,
            step_x: window.stride_width as u32,
            step_y: window.stride_height as u32,
            pad_value: if pool.kind == PoolKind::Average { 0 } else { -128 },
            ..Vector::default()
        }
    }
}

/// A part of an addition whose results fit the accumulators.
struct Part {
    y: Range<usize>,
    x: Range<usize>,
    groups: Range<usize>,
}

impl Part {
    fn results(&self) -> usize {
        self.y.len() * self.x.len() * self.groups.len()
    }
}

/// Runs of positions with the same property.
fn equal_runs(positions: &Range<usize>, property: impl Fn(usize) -> usize) -> Vec<(Range<usize>, usize)> {
    let mut runs: Vec<(Range<usize>, usize)> = Vec::new();
    for position in positions.clone() {
        let value = property(position);
        match runs.last_mut() {
            Some((run, same)) if *same == value => run.end += 1,
            _ => runs.push((position..position + 1, value)),
        }
    }
    runs
}
