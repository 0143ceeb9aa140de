//! Vector layers: functions of two elements, maps and pools.

use super::{field, window_columns, window_rows, Buffers, Emitter, Region, View};
use crate::build::Value;
use crate::layer::{Binary, BinaryFunction, Map, Placement, Pool, PoolKind};
use crate::tile::{ranges, Operand, Plan};
use frugal_isa::command::{reduce, Vector};
use frugal_quant::{average_multiplier, ActivationRange, Multiplier};
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
    pub(super) fn lane_groups(&self, place: &Placement, c: &Range<usize>) -> Range<usize> {
        let end = (c.end * self.config.rows).min(place.channels);
        c.start * self.config.rows / self.config.lanes..end.div_ceil(self.config.lanes)
    }

    /// A function of two tensors: operands go through the accumulators. Three parts of the work are under way at a time, so that none waits
    /// for the pipeline.
    pub(super) fn binary(&mut self, binary: &Binary, plan: &Plan, chunks: usize) {
        let place = self.place(self.output());
        let mut buffers: Vec<Buffers> = plan.inputs.iter().map(Buffers::of).collect();
        let mut output_buffers = Buffers::of(&plan.output);
        // The operand that was computed first comes first; only the second may be subtracted, and a pixel waits in the accumulators.
        let exchanged = match binary.function {
            BinaryFunction::Subtract(_) => true,
            _ if binary.one_pixel[0] => false,
            _ => binary.one_pixel[1] || self.input(0) > self.input(1),
        };
        let order: [usize; 2] = if exchanged { [1, 0] } else { [0, 1] };
        let pixel = binary.one_pixel[order[0]].then(|| {
            let place = self.place(self.input(order[0]));
            let region = Region { y: 0..place.height, x: 0..place.width, c: 0..place.pixel };
            self.stage(order[0], &plan.inputs[order[0]], &mut buffers[order[0]], region)
        });
        for region in self.vector_regions(plan, chunks) {
            let views: Vec<View> = (0..2)
                .map(|p| match pixel {
                    Some(view) if p == order[0] => view,
                    _ => self.stage(p, &plan.inputs[p], &mut buffers[p], region.clone()),
                })
                .collect();
            let output = self.output_view(&plan.output, &mut output_buffers, &region);
            let parts = self.binary_parts(&place, &region, pixel.is_some());
            let mut slots: Vec<Slots> = Vec::new();
            for step in 0..parts.len() + 2 {
                // The first operand of this part, the second of the part before, the result of the one before that.
                if let Some(part) = parts.get(step) {
                    let sum = (self.accumulators(part.results()), self.value());
                    let operand = match pixel {
                        Some(_) => (self.accumulators(part.groups.len()), self.value()),
                        None => sum,
                    };
                    self.first_operand(binary, order[0], part, &views, operand);
                    slots.push(Slots { operand, sum });
                }
                if let Some(part) = step.checked_sub(1).and_then(|step| parts.get(step)) {
                    self.second_operand(binary, order, part, (&views, &output), &slots[step - 1]);
                }
                if let Some(part) = step.checked_sub(2).and_then(|step| parts.get(step)) {
                    self.finish_sum(binary, part, &output, slots[step - 2].sum);
                }
            }
            if self.stored() {
                self.store_region(self.output(), &region, &output);
            }
        }
    }

    /// Cuts a region into parts: three are under way at a time, and four fit the accumulators. The last part is
    /// cut once more, for what follows waits for it.
    /// With a pixel that waits, its rows are beside those of the part.
    fn binary_parts(&self, place: &Placement, region: &Region, pixel: bool) -> Vec<Part> {
        let share = if pixel { 8 } else { 4 };
        let room = (self.config.accumulator_depth / share).clamp(1, MAX_PART);
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

    /// Counts that the commands of a part share, and its address.
    fn binary_command(&self, part: &Part, view: &View) -> (Vector, u32) {
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

    /// Scale of an operand: minus its zero point, multiplier, shifts.
    fn operand_scale(&self, function: BinaryFunction, position: usize) -> Vector {
        let identity = Vector { multiplier: Multiplier::IDENTITY.multiplier, ..Vector::default() };
        match function {
            BinaryFunction::Add(parameters) | BinaryFunction::Subtract(parameters) => {
                let (zero_point, multiplier) = match position {
                    0 => (parameters.zero_point_a, parameters.multiplier_a),
                    _ => (parameters.zero_point_b, parameters.multiplier_b),
                };
                Vector {
                    pre_add: -zero_point,
                    multiplier: multiplier.multiplier,
                    left_shift: frugal_quant::add::ADD_LEFT_SHIFT + u32::from(multiplier.left_shift),
                    right_shift: u32::from(multiplier.right_shift),
                    ..identity
                }
            }
            BinaryFunction::Multiply(parameters) => {
                let zero_point =
                    if position == 0 { parameters.zero_point_a } else { parameters.zero_point_b };
                Vector { pre_add: -zero_point, ..identity }
            }
        }
    }

    /// Values that reading an operand may find. In place, other lanes of the same vectors may hold results already.
    fn operand_values(&self, position: usize) -> Vec<Value> {
        let mut reads = vec![self.tensor_value(self.input(position))];
        let plan = &self.allocation.plans[self.layer];
        if plan.inputs[position] == plan.output && matches!(plan.output, Operand::Resident(_)) {
            reads.push(self.tensor_value(self.output()));
        }
        reads
    }

    /// The operand that waits in the accumulators: the whole part, or one pixel for all.
    fn first_operand(
        &mut self,
        binary: &Binary,
        position: usize,
        part: &Part,
        views: &[View],
        (slot, value): (usize, Value),
    ) {
        let view = &views[position];
        let pixel = Part { y: 0..1, x: 0..1, groups: part.groups.clone() };
        let part = if binary.one_pixel[position] { &pixel } else { part };
        let (shape, address) = self.binary_command(part, view);
        let vector = Vector {
            destination: 1,
            source_address: address,
            destination_address: slot as u32,
            stride_x: field(view.pixel as i64),
            stride_y: field(view.row as i64),
            stride_group: 1,
            ..merged(shape, self.operand_scale(binary.function, position))
        };
        let reads = self.operand_values(position);
        self.push(vector, reads, Some(value));
    }

    /// The other operand: added to the first one's rows, or multiplied with them into the result.
    fn second_operand(
        &mut self,
        binary: &Binary,
        order: [usize; 2],
        part: &Part,
        (views, output): (&[View], &View),
        slots: &Slots,
    ) {
        let view = &views[order[1]];
        let (shape, address) = self.binary_command(part, view);
        let vector = Vector {
            source_address: address,
            operand_address: slots.operand.0 as u32,
            operand_per_group: binary.one_pixel[order[0]],
            stride_x: field(view.pixel as i64),
            stride_y: field(view.row as i64),
            stride_group: 1,
            ..merged(shape, self.operand_scale(binary.function, order[1]))
        };
        let mut reads = self.operand_values(order[1]);
        reads.push(slots.operand.1);
        let BinaryFunction::Multiply(parameters) = binary.function else {
            let sum = Vector {
                destination: 1,
                destination_address: slots.sum.0 as u32,
                add_operand: true,
                subtract_operand: matches!(binary.function, BinaryFunction::Subtract(_)),
                ..vector
            };
            self.push(sum, reads, Some(slots.sum.1));
            return;
        };
        let product = Vector {
            multiply_operand: true,
            multiplier: parameters.multiplier.multiplier,
            left_shift: u32::from(parameters.multiplier.left_shift),
            right_shift: u32::from(parameters.multiplier.right_shift),
            post_add: parameters.zero_point_output,
            minimum: i32::from(parameters.range.min),
            maximum: i32::from(parameters.range.max),
            ..self.to_output(part, output, vector)
        };
        let writes = self.tensor_value(self.output());
        self.push(product, reads, Some(writes));
    }

    /// The same command with results in the output.
    fn to_output(&self, part: &Part, output: &View, vector: Vector) -> Vector {
        let (_, address) = self.binary_command(part, output);
        Vector {
            destination_address: address,
            output_stride_x: field(output.pixel as i64),
            output_stride_y: field(output.row as i64),
            output_stride_group: 1,
            ..vector
        }
    }

    /// Scales a sum into the output.
    fn finish_sum(&mut self, binary: &Binary, part: &Part, view: &View, (slot, value): (usize, Value)) {
        let (BinaryFunction::Add(parameters) | BinaryFunction::Subtract(parameters)) = binary.function else {
            return;
        };
        let (shape, _) = self.binary_command(part, view);
        let multiplier = parameters.multiplier_output;
        let vector = Vector {
            source: 1,
            source_address: slot as u32,
            multiplier: multiplier.multiplier,
            left_shift: u32::from(multiplier.left_shift),
            right_shift: u32::from(multiplier.right_shift),
            post_add: parameters.zero_point_output,
            minimum: i32::from(parameters.range.min),
            maximum: i32::from(parameters.range.max),
            ..self.to_output(part, view, shape)
        };
        let output = self.tensor_value(self.output());
        self.push(vector, vec![value], Some(output));
    }

    pub(super) fn map(&mut self, map: &Map, plan: &Plan, chunks: usize) {
        let input = self.place(self.input(0));
        let mut buffers = Buffers::of(&plan.inputs[0]);
        let mut output_buffers = Buffers::of(&plan.output);
        for region in self.vector_regions(plan, chunks) {
            let inside = |range: &Range<usize>, margin: usize, size: usize| {
                let start = range.start.saturating_sub(margin).min(size);
                start..range.end.saturating_sub(margin).min(size).max(start)
            };
            let wanted = Region {
                y: inside(&region.y, map.top, input.height),
                x: inside(&region.x, map.left, input.width),
                c: region.c.clone(),
            };
            let empty = wanted.y.is_empty() || wanted.x.is_empty();
            let view = self.output_view(&plan.output, &mut output_buffers, &region);
            // A box that lies in the margin altogether reads nothing.
            let source = match empty {
                true => View { y: 0, x: 0, ..view },
                false => self.stage(0, &plan.inputs[0], &mut buffers, wanted),
            };
            let groups = self.lane_groups(&self.place(self.output()), &region.c);
            let lane = groups.start * self.config.lanes;
            let chunk = lane / self.config.rows;
            let start = (region.y.start as i64 - map.top as i64, region.x.start as i64 - map.left as i64);
            let table = map.table.as_ref().map(|table| self.table(table));
            let vector = Vector {
                lookup: table.is_some(),
                table: table.map_or(0, |(number, _)| number),
                source_address: source.address(start.0, start.1, chunk),
                destination_address: view.address(region.y.start as i64, region.x.start as i64, chunk),
                first_lane: (lane % self.config.rows) as u32,
                groups: groups.len() as u32,
                outputs_x: region.x.len() as u32,
                outputs_y: region.y.len() as u32,
                stride_x: field(source.pixel as i64),
                stride_y: field(source.row as i64),
                stride_group: 1,
                output_stride_group: 1,
                output_stride_x: field(view.pixel as i64),
                output_stride_y: field(view.row as i64),
                multiplier: Multiplier::IDENTITY.multiplier,
                minimum: -128,
                maximum: 127,
                input_width: input.width as u32,
                input_height: input.height as u32,
                start_x: start.1 as i32,
                start_y: start.0 as i32,
                step_x: 1,
                step_y: 1,
                pad_value: i32::from(map.margin),
                ..Vector::default()
            };
            let mut reads = vec![self.tensor_value(self.input(0))];
            reads.extend(table.map(|(_, value)| value));
            let writes = self.tensor_value(self.output());
            self.push(vector, reads, Some(writes));
            if self.stored() {
                self.store_region(self.output(), &region, &view);
            }
        }
    }

    pub(super) fn pool(&mut self, pool: &Pool, plan: &Plan, chunks: usize) {
        let (input, output) = (self.place(self.input(0)), self.place(self.output()));
        let window = pool.window;
        let mut buffers = Buffers::of(&plan.inputs[0]);
        let mut output_buffers = Buffers::of(&plan.output);
        for region in self.vector_regions(plan, chunks) {
            let wanted = Region {
                y: window_rows(&window, &region.y, input.height),
                x: window_columns(&window, &region.x, input.width),
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

/// Accumulator rows of a part, and the values that they hold: of the operand that waits, and of the sum, which takes its place.
struct Slots {
    operand: (usize, Value),
    sum: (usize, Value),
}

/// Counts of one command, scale of another.
fn merged(shape: Vector, scale: Vector) -> Vector {
    Vector {
        pre_add: scale.pre_add,
        multiplier: scale.multiplier,
        left_shift: scale.left_shift,
        right_shift: scale.right_shift,
        ..shape
    }
}

/// A part of a layer whose results fit the accumulators.
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
