//! Cuts of copies: rows of the output, and the rows of each input that they come from.

use super::*;
use crate::copies::input_rows;
use crate::layer::Copy;

pub(super) fn plan_copy(problem: &Problem<'_>, copy: &Copy) -> Result<Plan, Lack> {
    let config = problem.config;
    let output = &problem.output;
    let vector_cycles = config.rows as f64 / config.rows.min(config.bus_bytes()) as f64;
    let mut search = Search { problem, best: None, least: usize::MAX };
    let staged = problem.resident_output.is_none() || problem.resident_inputs.contains(&None);
    let sizes = if staged { parts(output.height, 1) } else { vec![output.height] };
    for rows in sizes {
        let boxes: Vec<Range<usize>> = ranges(output.height, rows).collect();
        let input_sizes: Vec<usize> = problem
            .inputs
            .iter()
            .enumerate()
            .map(|(input, place)| {
                let most =
                    boxes.iter().map(|y| input_rows(copy, input, y, &problem.inputs, output).len()).max();
                most.unwrap_or(0) * place.row
            })
            .collect();
        let output_size = rows * output.row;
        let moved: usize = input_sizes.iter().sum::<usize>() + output_size;
        let transfers = moved as f64 * vector_cycles * boxes.len() as f64;
        let overhead = TRANSFER_COST * boxes.len() as f64;
        let cost = move |double: bool| if double { overhead } else { transfers + overhead };
        search.consider(&input_sizes, output_size, cost, |inputs, target| Plan {
            rows,
            columns: output.width,
            inputs,
            output: target,
            cut: Cut::Copy,
        });
    }
    search.finish()
}
