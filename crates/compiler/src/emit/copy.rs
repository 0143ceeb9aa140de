//! Copies: moves of bytes from one or several tensors to one.

use super::{field, Buffers, Emitter, Region, View};
use crate::copies::{input_rows, moves, Moves};
use crate::layer::{Copy, Placement};
use crate::tile::{ranges, Plan};
use frugal_isa::command::{Move, Vector};
use std::ops::Range;

impl Emitter<'_> {
    pub(super) fn copy(&mut self, copy: &Copy, plan: &Plan) {
        let output = self.place(self.output());
        let inputs: Vec<Placement> =
            (0..plan.inputs.len()).map(|position| self.place(self.input(position))).collect();
        let mut buffers: Vec<Buffers> = plan.inputs.iter().map(Buffers::of).collect();
        let mut output_buffers = Buffers::of(&plan.output);
        for y in ranges(output.height, plan.rows) {
            let region = Region { y: y.clone(), x: 0..output.width, c: 0..output.pixel };
            let view = self.output_view(&plan.output, &mut output_buffers, &region);
            if let Some(value) = copy.fill {
                self.fill(&region, &view, value);
            }
            let mut views: Vec<Option<View>> = vec![None; inputs.len()];
            for part in &copy.parts {
                let place = &inputs[part.input];
                let rows = input_rows(copy, part.input, &y, &inputs, &output);
                if rows.is_empty() {
                    continue;
                }
                let source = match views[part.input] {
                    Some(view) => view,
                    None => {
                        let wanted = Region { y: rows, x: 0..place.width, c: 0..place.pixel };
                        let position = part.input;
                        self.stage(position, &plan.inputs[position], &mut buffers[position], wanted)
                    }
                };
                views[part.input] = Some(source);
                for pattern in moves(part, &y, place, &output, self.config) {
                    self.move_pattern(part.input, &pattern, (&source, place), (&view, &output));
                }
            }
            if self.stored() {
                self.store_region(self.output(), &region, &view);
            }
        }
    }

    fn move_pattern(
        &mut self,
        input: usize,
        pattern: &Moves,
        (source, place): (&View, &Placement),
        (target, output): (&View, &Placement),
    ) {
        // Vectors count from the tensor's first; a view begins at one of its rows.
        let from = source.base as i64 + pattern.source.0 - (source.y * place.row) as i64;
        let to = target.base as i64 + pattern.target.0 - (target.y * output.row) as i64;
        let reach =
            (pattern.count as i64 - 1) * pattern.step.0 + pattern.source.1 as i64 + pattern.bytes as i64;
        let command = Move {
            source_address: field(from),
            destination_address: field(to),
            first_lane: pattern.target.1 as u32,
            bytes: pattern.bytes as u32,
            outputs_x: pattern.count as u32,
            outputs_y: pattern.lines as u32,
            stride_y: field(pattern.line_step.0),
            output_stride_x: field(pattern.step.1),
            output_stride_y: field(pattern.line_step.1),
            input_width: reach as u32,
            input_height: 1,
            start_x: pattern.source.1 as i32,
            step_x: pattern.step.0 as u32,
            ..Move::default()
        };
        let reads = vec![self.tensor_value(self.input(input))];
        let writes = self.tensor_value(self.output());
        self.push(command, reads, Some(writes));
    }

    /// Writes a value to all elements of whole rows.
    fn fill(&mut self, region: &Region, view: &View, value: i8) {
        let output = self.place(self.output());
        let groups: Range<usize> = self.lane_groups(&output, &region.c);
        let command = Vector {
            destination_address: view.address(region.y.start as i64, 0, 0),
            groups: groups.len() as u32,
            outputs_x: output.width as u32,
            outputs_y: region.y.len() as u32,
            output_stride_group: 1,
            output_stride_x: field(view.pixel as i64),
            output_stride_y: field(view.row as i64),
            multiplier: frugal_quant::Multiplier::IDENTITY.multiplier,
            minimum: -128,
            maximum: 127,
            // No row lies inside: every element reads as the padding.
            input_height: 0,
            pad_value: i32::from(value),
            ..Vector::default()
        };
        let writes = self.tensor_value(self.output());
        self.push(command, vec![], Some(writes));
    }
}
