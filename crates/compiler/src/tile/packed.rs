//! Cuts of packed products: boxes of outputs, whose windows are gathered, and blocks of column tiles.

use super::*;

pub(super) fn plan_packed(problem: &Problem<'_>, packed: &Packed) -> Result<Plan, Lack> {
    let config = problem.config;
    let quantum = vector_quantum(config);
    let (input, output) = (&problem.inputs[0], &problem.output);
    let window = &packed.product.window;
    let groups = config.cols / config.lanes;
    let all_tiles = packed.product.bias.len().div_ceil(config.cols);
    let bus = config.bus_bytes() as f64;
    let vector_cycles = config.rows as f64 / config.rows.min(config.bus_bytes()) as f64;
    // The gathered windows are buffers that nothing loads.
    let mut resident_inputs = problem.resident_inputs.clone();
    resident_inputs.push(None);
    let problem =
        Problem { resident_inputs, inputs: problem.inputs.clone(), gaps: problem.gaps.clone(), ..*problem };
    let mut search = Search { problem: &problem, best: None, least: usize::MAX };
    if packed.vectors > config.weight_depth {
        return Err(Lack { memory: ChipMemory::Weight, needs: packed.vectors });
    }
    for tiles in parts(all_tiles, 1) {
        if tiles * packed.vectors > config.weight_depth
            || (tiles * groups).next_multiple_of(group_quantum(config)) > config.parameter_depth
        {
            continue;
        }
        let mut boxes: Vec<(usize, usize)> =
            parts(output.height, 1).into_iter().map(|rows| (rows, output.width)).collect();
        boxes.extend(parts(output.width, quantum).into_iter().skip(1).map(|columns| (1, columns)));
        for (rows, columns) in boxes {
            let input_rows = extent(rows, window.stride_height, window.kernel_height, input.height);
            let input_size = input_rows * input.row;
            let window_size = (rows * columns * packed.vectors).next_multiple_of(quantum);
            let output_size = box_vectors(rows, columns, output.pixel, quantum);
            let box_count = (output.height.div_ceil(rows) * output.width.div_ceil(columns)) as f64;
            let pixels = (output.height * output.width) as f64;
            let blocks = all_tiles.div_ceil(tiles) as f64;
            let compute =
                pixels * (all_tiles * packed.vectors.max(groups)) as f64 + COMMAND_COST * box_count * blocks;
            let gather =
                packed.segments.len() as f64 * (pixels + box_count * (COMMAND_COST / 2.0 + rows as f64));
            let weight_passes = if blocks > 1.0 { box_count } else { 1.0 };
            let weights = weight_passes * (all_tiles * packed.vectors * config.tile_bytes()) as f64 / bus
                + TRANSFER_COST;
            let loads = match problem.resident_inputs[0] {
                None => box_count * (input_size as f64 * vector_cycles + TRANSFER_COST),
                Some(_) => 0.0,
            };
            let stores = match problem.stored {
                true => output.vectors() as f64 * vector_cycles + TRANSFER_COST * box_count,
                false => 0.0,
            };
            let cost = move |double: bool| {
                let first = (gather + loads + stores) / box_count;
                match double {
                    true => compute.max(gather).max(loads + weights).max(stores) + first,
                    false => compute + gather + loads + weights + stores,
                }
            };
            search.consider(&[input_size, window_size], output_size, cost, |inputs, output| Plan {
                rows,
                columns,
                inputs,
                output,
                cut: Cut::Packed { tiles },
            });
        }
    }
    if search.best.is_none() && search.least == usize::MAX {
        return Err(Lack { memory: ChipMemory::Parameter, needs: groups });
    }
    search.finish()
}
