//! Cuts of vector layers.

use super::*;

/// An operand of one pixel stays whole beside the boxes.
pub(super) fn plan_binary(problem: &Problem<'_>, binary: &crate::layer::Binary) -> Result<Plan, Lack> {
    let Some(position) = binary.one_pixel.iter().position(|one| *one) else {
        return plan_vector(problem, None);
    };
    // The other operand is planned with the output; the pixel takes what is left of a gap.
    let pixel = problem.inputs[position].vectors();
    let other = 1 - position;
    let mut gaps = problem.gaps.clone();
    let mut place = problem.resident_inputs[position];
    if place.is_none() {
        let quantum = vector_quantum(problem.config);
        let gap = gaps
            .iter_mut()
            .find(|gap| gap.start.next_multiple_of(quantum) + pixel <= gap.end)
            .ok_or(Lack { memory: ChipMemory::Activation, needs: pixel })?;
        let start = gap.start.next_multiple_of(quantum);
        gap.start = start + pixel;
        place = Some(start);
    }
    let rest = Problem {
        inputs: vec![problem.inputs[other]],
        resident_inputs: vec![problem.resident_inputs[other]],
        gaps,
        ..*problem
    };
    let mut plan = plan_vector(&rest, None)?;
    let operand = match problem.resident_inputs[position] {
        Some(base) => Operand::Resident(base),
        None => Operand::Staged(place.into_iter().collect()),
    };
    plan.inputs.insert(position, operand);
    Ok(plan)
}

/// A map with a margin reads the image shifted.
pub(super) fn plan_map(problem: &Problem<'_>, map: &crate::layer::Map) -> Result<Plan, Lack> {
    let padding = frugal_graph::Padding { top: map.top, left: map.left, ..Default::default() };
    let window = Window { kernel_height: 1, kernel_width: 1, stride_height: 1, stride_width: 1, padding };
    plan_vector(problem, Some(&window))
}

pub(super) fn plan_vector(problem: &Problem<'_>, window: Option<&Window>) -> Result<Plan, Lack> {
    let config = problem.config;
    let quantum = vector_quantum(config);
    let output = &problem.output;
    let input = &problem.inputs[0];
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
            search.consider(
                &vec![input_size; problem.resident_inputs.len()],
                output_size,
                cost,
                |inputs, output| Plan { rows, columns, inputs, output, cut: Cut::Vector { chunks } },
            );
        }
    }
    search.finish()
}
