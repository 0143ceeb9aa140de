//! Cuts of depthwise convolutions: boxes of outputs and blocks of vectors of channels.

use super::*;

pub(super) fn plan_depthwise(problem: &Problem<'_>, product: &Product) -> Result<Plan, Lack> {
    let config = problem.config;
    let quantum = vector_quantum(config);
    let (input, output) = (&problem.inputs[0], &problem.output);
    let window = &product.window;
    let groups = config.rows / config.lanes;
    if groups.next_multiple_of(group_quantum(config)) > config.parameter_depth {
        return Err(Lack { memory: ChipMemory::Parameter, needs: groups });
    }
    let staged = problem.resident_output.is_none() || problem.resident_inputs[0].is_none();
    let step = if output.pixel == 1 || !staged { 1 } else { quantum };
    let vector_cycles = config.rows as f64 / config.rows.min(config.bus_bytes()) as f64;
    let tile_cycles = config.tile_bytes() as f64 / config.bus_bytes() as f64;
    let mut search = Search { problem, best: None, least: usize::MAX };
    let (mut least_weights, mut least_accumulators) = (usize::MAX, usize::MAX);
    for direction in [Direction::Vertical, Direction::Horizontal] {
        let parts = taps::parts(window, direction, config);
        let steps = taps::steps(&parts);
        let overread = parts.iter().map(|part| part.overread(direction.sides(window).1)).max().unwrap_or(0);
        for chunks in super::parts(output.chunks, step) {
            let most_steps = parts.iter().map(|part| part.steps()).max().unwrap_or(1);
            if chunks * most_steps > config.weight_depth {
                least_weights = least_weights.min(chunks * most_steps);
                continue;
            }
            if (chunks * groups).next_multiple_of(group_quantum(config)) > config.parameter_depth {
                continue;
            }
            let moved = chunks.next_multiple_of(step).min(output.pixel);
            let mut boxes: Vec<(usize, usize)> =
                super::parts(output.height, 1).into_iter().map(|rows| (rows, output.width)).collect();
            boxes.extend(
                super::parts(output.width, quantum).into_iter().map(|columns| (output.height, columns)),
            );
            boxes.extend(super::parts(output.width, quantum).into_iter().skip(1).map(|columns| (1, columns)));
            for (rows, columns) in boxes {
                let accumulators = rows * columns * chunks * groups;
                if parts.len() > 1 && accumulators > config.accumulator_depth {
                    least_accumulators = least_accumulators.min(accumulators);
                    continue;
                }
                let mut input_rows = extent(rows, window.stride_height, window.kernel_height, input.height);
                let mut input_columns =
                    extent(columns, window.stride_width, window.kernel_width, input.width);
                match direction {
                    Direction::Vertical => input_rows = (input_rows + overread).min(input.height),
                    Direction::Horizontal => input_columns = (input_columns + overread).min(input.width),
                }
                if input_columns < input.width && input.pixel % quantum != 0 {
                    input_columns = (input_columns + quantum).min(input.width);
                }
                let input_size = box_vectors(input_rows, input_columns, moved, quantum);
                let output_size = box_vectors(rows, columns, moved, quantum);
                let box_count = output.height.div_ceil(rows) * output.width.div_ceil(columns);
                let pieces = (box_count * output.chunks.div_ceil(chunks)) as f64;
                let (walk, strips) = match direction {
                    Direction::Vertical => (rows, columns),
                    Direction::Horizontal => (columns, rows),
                };
                // Results before the first complete one cost steps, too, but no place in the output stage.
                let strip: usize = parts
                    .iter()
                    .map(|part| walk * part.steps().max(groups) + part.skip * part.steps().max(2))
                    .sum();
                let compute = (strip * strips * box_count * output.chunks) as f64
                    + COMMAND_COST * pieces * parts.len() as f64;
                let drain = if parts.len() > 1 { COMMAND_COST * pieces * parts.len() as f64 } else { 0.0 };
                let weights = (output.chunks * steps) as f64 * tile_cycles + TRANSFER_COST;
                let lines = if chunks == output.chunks { 1.0 } else { input_rows as f64 };
                let input_loads = match problem.resident_inputs[0] {
                    None => pieces * (input_size as f64 * vector_cycles + lines * TRANSFER_COST),
                    Some(_) => 0.0,
                };
                let stores = match problem.stored {
                    true => pieces * (output_size as f64 * vector_cycles + lines * TRANSFER_COST),
                    false => 0.0,
                };
                let hand_over = 0.25 * compute / box_count as f64;
                let cost = move |double: bool| {
                    let overlapped = match double {
                        true => {
                            compute.max(weights + input_loads).max(stores) + (input_loads + stores) / pieces
                        }
                        false => compute + weights + input_loads + stores,
                    };
                    overlapped + drain + hand_over
                };
                let cut = DepthwiseCut { chunks, direction };
                search.consider(&[input_size], output_size, cost, |inputs, output| Plan {
                    rows,
                    columns,
                    inputs,
                    output,
                    cut: Cut::Depthwise(cut),
                });
            }
        }
    }
    if search.best.is_none() && search.least == usize::MAX {
        if least_accumulators < usize::MAX {
            return Err(Lack { memory: ChipMemory::Accumulator, needs: least_accumulators });
        }
        if least_weights < usize::MAX {
            return Err(Lack { memory: ChipMemory::Weight, needs: least_weights });
        }
        return Err(Lack { memory: ChipMemory::Parameter, needs: groups });
    }
    search.finish()
}
