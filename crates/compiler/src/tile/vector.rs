//! Cuts of vector layers.

use super::*;

pub(super) fn plan_vector(problem: &Problem<'_>, window: Option<&Window>) -> Result<Plan, Lack> {
    let config = problem.config;
    let quantum = vector_quantum(config);
    let output = &problem.output.place;
    let input = &problem.inputs[0].place;
    let bus_vectors = config.rows as f64 / config.rows.min(config.bus_bytes()) as f64;
    let mut search = Search { problem, best: None, least: usize::MAX };
    let staged = problem.resident_output.is_none() || problem.resident_inputs.contains(&None);
    let step = if output.pixel == 1 { 1 } else { quantum };
    let chunk_parts = if staged { parts(output.pixel, step) } else { vec![output.pixel] };
    for chunks in chunk_parts {
        let mut boxes: Vec<(usize, usize)> =
            parts(output.height, 1).into_iter().map(|rows| (rows, output.width)).collect();
        boxes.extend(parts(output.width, quantum).into_iter().skip(1).map(|columns| (1, columns)));
        for (rows, columns) in boxes {
            let (mut input_rows, mut input_columns, mut taps) = (rows, columns, 3.0);
            if let Some(window) = window {
                input_rows = extent(rows, window.stride_height, window.kernel_height, input.height);
                input_columns = extent(columns, window.stride_width, window.kernel_width, input.width);
                if input_columns < input.width && input.pixel % quantum != 0 {
                    input_columns = (input_columns + quantum).min(input.width);
                }
                taps = (window.kernel_height * window.kernel_width) as f64;
            }
            let input_size = box_vectors(input_rows, input_columns, chunks, quantum);
            let output_size = box_vectors(rows, columns, chunks, quantum);
            let pieces = (output.height.div_ceil(rows)
                * output.width.div_ceil(columns)
                * output.pixel.div_ceil(chunks)) as f64;
            let lines = if chunks == output.pixel { 1.0 } else { rows as f64 };
            let compute = taps * output.elements() as f64 / config.lanes as f64 + 3.0 * COMMAND_COST * pieces;
            let staged_inputs = problem.resident_inputs.iter().filter(|r| r.is_none()).count() as f64;
            let loads = staged_inputs * pieces * (input_size as f64 * bus_vectors + lines * TRANSFER_COST);
            let stored = problem.stored || problem.resident_output.is_none();
            let stores = if stored {
                pieces * (output_size as f64 * bus_vectors + lines * TRANSFER_COST)
            } else {
                0.0
            };
            let cost = move |double: bool| {
                let overlapped = if double {
                    compute.max(loads).max(stores) + (loads + stores) / pieces
                } else {
                    compute + loads + stores
                };
                overlapped + if staged || stored { 0.25 * compute / pieces } else { 0.0 }
            };
            search.consider(&vec![input_size; problem.inputs.len()], output_size, cost, |inputs, output| {
                Plan { rows, columns, inputs, output, cut: Cut::Vector { chunks } }
            });
        }
    }
    search.finish()
}
