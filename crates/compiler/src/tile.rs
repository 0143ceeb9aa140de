//! Pass *tile*: cuts a layer into pieces that fit the memories.
//!
//! A piece is a box of output pixels, a block of column tiles and a block of the reduction. Operands that do not stay on the
//! chip are staged: loaded into, or stored from, buffers that live as long as the layer. All cuts that fit are compared with
//! a simple model of cycles.

use crate::build::group_quantum;
use crate::error::ChipMemory;
use crate::layer::{vector_quantum, Operation, Placement, Product, Tensor};
use frugal_graph::Window;
use frugal_isa::Config;
use std::ops::Range;

/// Where a layer finds an operand, or leaves its result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operand {
    /// The whole tensor, from this address on.
    Resident(usize),
    /// Parts of it, in turns in buffers at these addresses.
    Staged(Vec<usize>),
}

/// How a layer is cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Output rows and columns of a box.
    pub rows: usize,
    pub columns: usize,
    pub inputs: Vec<Operand>,
    pub output: Operand,
    pub cut: Cut,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cut {
    Product(ProductCut),
    /// Vectors of a pixel that a vector layer works on at a time.
    Vector {
        chunks: usize,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProductCut {
    /// Column tiles of a block.
    pub tiles: usize,
    /// Kernel rows, kernel columns and vectors of channels of a block of the reduction.
    pub kernel_height: usize,
    pub kernel_width: usize,
    pub chunks: usize,
    /// All boxes of a block of column tiles, then the next block; otherwise all blocks of a box, then the next box.
    pub tiles_outside: bool,
    /// A staged output holds all channels of its pixels and is stored after the last block.
    pub whole_pixels: bool,
}

/// The memory that no cut fits, and the least that one needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lack {
    pub memory: ChipMemory,
    pub needs: usize,
}

/// A layer to be cut, with the operands that stay on the chip.
pub struct Problem<'a> {
    pub config: &'a Config,
    pub operation: &'a Operation,
    pub inputs: Vec<&'a Tensor>,
    pub output: &'a Tensor,
    /// Addresses of operands on the chip.
    pub resident_inputs: Vec<Option<usize>>,
    pub resident_output: Option<usize>,
    /// The output is stored, too.
    pub stored: bool,
    /// Free addresses of the activation scratchpad.
    pub gaps: Vec<Range<usize>>,
}

/// Cycles that a command costs beyond its work.
const COMMAND_COST: f64 = 20.0;
/// Cycles of a transfer beyond its bytes.
const TRANSFER_COST: f64 = 25.0;

/// Sizes of parts when `whole` is cut into equal parts that are multiples of `step`: largest first.
pub fn parts(whole: usize, step: usize) -> Vec<usize> {
    let mut sizes: Vec<usize> = Vec::new();
    let mut count = 1;
    while count <= whole {
        let size = whole.div_ceil(count).next_multiple_of(step).min(whole);
        if sizes.last() != Some(&size) {
            sizes.push(size);
        }
        if size <= step {
            break;
        }
        // The next count that gives a smaller part.
        count = (whole.div_ceil(size - 1)).max(count + 1);
    }
    sizes
}

/// Ranges of at most `size` that make up `0..whole`.
pub fn ranges(whole: usize, size: usize) -> impl Iterator<Item = Range<usize>> {
    (0..whole).step_by(size).map(move |start| start..(start + size).min(whole))
}

/// Vectors that a staged box of an image takes.
fn box_vectors(rows: usize, columns: usize, chunks: usize, quantum: usize) -> usize {
    rows * (columns * chunks).next_multiple_of(quantum)
}

/// Addresses for buffers of these sizes in the gaps: the largest first, each in the first gap that has room.
fn fit(gaps: &[Range<usize>], sizes: &[usize], quantum: usize) -> Option<Vec<usize>> {
    let mut gaps: Vec<Range<usize>> = gaps.to_vec();
    let mut order: Vec<usize> = (0..sizes.len()).collect();
    order.sort_by_key(|i| std::cmp::Reverse(sizes[*i]));
    let mut addresses = vec![0; sizes.len()];
    for index in order {
        let gap =
            gaps.iter_mut().find(|gap| gap.start.next_multiple_of(quantum) + sizes[index] <= gap.end)?;
        addresses[index] = gap.start.next_multiple_of(quantum);
        gap.start = addresses[index] + sizes[index];
    }
    Some(addresses)
}

/// Vectors of channels that the column tiles of a range read.
pub fn chunks_of_tiles(product: &Product, tiles: Range<usize>, config: &Config) -> Range<usize> {
    let outputs = tiles.start * config.cols..(tiles.end * config.cols).min(product.bias.len());
    let inputs = product.weights.inputs_of(outputs);
    inputs.start / config.rows..inputs.end.div_ceil(config.rows)
}

/// Vectors of channels that a block of column tiles writes.
pub fn output_chunks(tiles: &Range<usize>, config: &Config) -> Range<usize> {
    tiles.start * config.cols / config.rows..(tiles.end * config.cols).div_ceil(config.rows)
}

/// A range of vectors of a pixel that can be transferred: the range, widened to whole 16 bytes.
pub fn transferable(chunks: Range<usize>, place: &Placement, config: &Config) -> Range<usize> {
    let quantum = vector_quantum(config);
    if chunks.start == 0 && chunks.end >= place.chunks {
        return 0..place.pixel;
    }
    chunks.start / quantum * quantum..chunks.end.next_multiple_of(quantum).min(place.pixel)
}

/// The output window's extent on an image, in pixels.
fn extent(outputs: usize, step: usize, kernel: usize, size: usize) -> usize {
    ((outputs - 1) * step + kernel).min(size)
}

struct Search<'a, 'b> {
    problem: &'b Problem<'a>,
    best: Option<(f64, Plan)>,
    /// The least activation vectors that any cut would need.
    least: usize,
}

impl Search<'_, '_> {
    /// Tries single and double buffers of these sizes; `cost` takes (buffers of inputs, buffers of the output).
    fn consider(
        &mut self,
        input_sizes: &[usize],
        output_size: usize,
        cost: impl Fn(bool) -> f64,
        plan: impl Fn(Vec<Operand>, Operand) -> Plan,
    ) {
        let problem = self.problem;
        let quantum = vector_quantum(problem.config);
        let staged: Vec<bool> = problem.resident_inputs.iter().map(Option::is_none).collect();
        let nothing_staged = !staged.contains(&true) && problem.resident_output.is_some();
        for (inputs, outputs) in [(2, 2), (2, 1), (1, 1)] {
            let double = (inputs, outputs) == (2, 2) || nothing_staged;
            let cycles = cost(double) * if inputs == 2 && outputs == 1 { 0.95 } else { 1.0 };
            if self.best.as_ref().is_some_and(|best| best.0 <= cycles) {
                continue;
            }
            let mut sizes = Vec::new();
            for (size, staged) in input_sizes.iter().zip(&staged) {
                if *staged {
                    sizes.extend(std::iter::repeat_n(*size, inputs));
                }
            }
            if problem.resident_output.is_none() {
                sizes.extend(std::iter::repeat_n(output_size, outputs));
            }
            let total: usize = sizes.iter().sum();
            self.least = self.least.min(total);
            let Some(addresses) = fit(&problem.gaps, &sizes, quantum) else { continue };
            let mut addresses = addresses.into_iter();
            let operands = problem
                .resident_inputs
                .iter()
                .map(|resident| match resident {
                    Some(base) => Operand::Resident(*base),
                    None => Operand::Staged(addresses.by_ref().take(inputs).collect()),
                })
                .collect();
            let output = match problem.resident_output {
                Some(base) => Operand::Resident(base),
                None => Operand::Staged(addresses.by_ref().take(outputs).collect()),
            };
            self.best = Some((cycles, plan(operands, output)));
        }
    }

    fn finish(self) -> Result<Plan, Lack> {
        match self.best {
            Some((_, plan)) => Ok(plan),
            None => Err(Lack { memory: ChipMemory::Activation, needs: self.least }),
        }
    }
}

/// Chooses how to cut the layer.
pub fn plan(problem: &Problem<'_>) -> Result<Plan, Lack> {
    match problem.operation {
        Operation::Product(product) => plan_product(problem, product),
        Operation::Add(_) => plan_vector(problem, None),
        Operation::Pool(pool) => plan_vector(problem, Some(&pool.window)),
    }
}

/// Blocks of the reduction, largest first: fewer channels, then fewer kernel columns, then fewer kernel rows.
fn reduction_blocks(window: &Window, chunks: usize, step: usize) -> Vec<(usize, usize, usize)> {
    let (height, width) = (window.kernel_height, window.kernel_width);
    let mut blocks: Vec<_> = parts(chunks, step).into_iter().map(|c| (height, width, c)).collect();
    let least = blocks.last().map_or(1, |block| block.2);
    blocks.extend(parts(width, 1).into_iter().skip(1).map(|x| (height, x, least)));
    blocks.extend(parts(height, 1).into_iter().skip(1).map(|y| (y, 1, least)));
    blocks
}

fn plan_product(problem: &Problem<'_>, product: &Product) -> Result<Plan, Lack> {
    let config = problem.config;
    let quantum = vector_quantum(config);
    let (input, output) = (&problem.inputs[0].place, &problem.output.place);
    let window = &product.window;
    let groups_per_tile = config.cols / config.lanes;
    if groups_per_tile.next_multiple_of(group_quantum(config)) > config.parameter_depth {
        return Err(Lack { memory: ChipMemory::Parameter, needs: groups_per_tile });
    }
    let all_tiles = product.bias.len().div_ceil(config.cols);
    let staged_input = problem.resident_inputs[0].is_none();
    let staged_output = problem.resident_output.is_none();
    let dense = matches!(product.weights, crate::layer::Weights::Dense { .. });
    let all_chunks =
        (0..all_tiles).map(|t| chunks_of_tiles(product, t..t + 1, config).len()).max().unwrap_or(1);
    let chunk_step = if staged_input { quantum } else { 1 };
    let blocks = reduction_blocks(window, all_chunks, if all_chunks > 1 { chunk_step } else { 1 });
    let bus = config.bus_bytes() as f64;
    let tile_cycles = config.tile_bytes() as f64 / bus;
    let vector_cycles = config.rows as f64 / config.rows.min(config.bus_bytes()) as f64;
    let mut search = Search { problem, best: None, least: usize::MAX };
    // The least of each memory that stood in the way.
    let mut least_weights = usize::MAX;
    let mut least_accumulators = usize::MAX;
    let mut feasible_levels = 0;
    for (kernel_height, kernel_width, chunks) in blocks {
        if !dense && chunks < all_chunks {
            continue;
        }
        let kernel_blocks =
            window.kernel_height.div_ceil(kernel_height) * window.kernel_width.div_ceil(kernel_width);
        let reduction_blocks = kernel_blocks * all_chunks.div_ceil(chunks);
        let steps = kernel_height * kernel_width * chunks;
        let all_steps = window.kernel_height * window.kernel_width * all_chunks;
        if steps > config.weight_depth {
            least_weights = least_weights.min(steps);
            continue;
        }
        // Partial blocks of column tiles of a staged output must be whole vectors that can be stored.
        let vector_tiles = (config.rows / config.cols) * quantum;
        let mut tile_blocks: Vec<(usize, bool)> = Vec::new();
        for tiles in parts(all_tiles, 1) {
            let partial = tiles < all_tiles;
            if !partial || !staged_output || tiles % vector_tiles == 0 {
                tile_blocks.push((tiles, !partial));
            }
            if partial && staged_output {
                tile_blocks.push((tiles, true));
            }
        }
        if staged_output && all_tiles > vector_tiles {
            tile_blocks
                .extend(parts(all_tiles, vector_tiles).into_iter().skip(1).map(|tiles| (tiles, false)));
        }
        let before = search.best.is_some();
        for (tiles, whole_pixels) in tile_blocks {
            let block_tiles = tiles * steps;
            if block_tiles > config.weight_depth
                || (tiles * groups_per_tile).next_multiple_of(group_quantum(config)) > config.parameter_depth
            {
                continue;
            }
            let tile_count = all_tiles.div_ceil(tiles);
            let staged_chunks = if !staged_input {
                0
            } else if dense {
                if chunks == all_chunks {
                    input.pixel
                } else {
                    chunks.next_multiple_of(quantum)
                }
            } else {
                let most = ranges(all_tiles, tiles)
                    .map(|t| transferable(chunks_of_tiles(product, t, config), input, config).len());
                most.max().unwrap_or(1)
            };
            let block_chunks = ranges(all_tiles, tiles)
                .map(|block| transferable(output_chunks(&block, config), output, config).len())
                .max()
                .unwrap_or(1);
            let mut boxes: Vec<(usize, usize)> =
                parts(output.height, 1).into_iter().map(|rows| (rows, output.width)).collect();
            boxes.extend(parts(output.width, quantum).into_iter().skip(1).map(|columns| (1, columns)));
            for (rows, columns) in boxes {
                let accumulators = rows * columns * tiles * groups_per_tile;
                if reduction_blocks > 1 && accumulators > config.accumulator_depth {
                    least_accumulators = least_accumulators.min(accumulators);
                    continue;
                }
                let input_rows = extent(rows, window.stride_height, window.kernel_height, input.height);
                let mut input_columns =
                    extent(columns, window.stride_width, window.kernel_width, input.width);
                if input_columns < input.width && input.pixel % quantum != 0 {
                    input_columns = (input_columns + quantum).min(input.width);
                }
                let input_size = box_vectors(input_rows, input_columns, staged_chunks, quantum);
                let output_chunks = if whole_pixels { output.pixel } else { block_chunks };
                let output_size = box_vectors(rows, columns, output_chunks, quantum);
                let box_count = output.height.div_ceil(rows) * output.width.div_ceil(columns);
                for tiles_outside in [false, true] {
                    if tiles_outside && (tile_count == 1 || (staged_output && whole_pixels)) {
                        continue;
                    }
                    let blocks_in_turn = if tiles_outside { 1 } else { tile_count };
                    let weights_stay = blocks_in_turn * reduction_blocks * block_tiles <= config.weight_depth;
                    let passes = if weights_stay { 1 } else { box_count };
                    let commands = (box_count * tile_count * reduction_blocks) as f64;
                    let results = (output.height * output.width * all_tiles) as f64;
                    let per_result = reduction_blocks * steps.max(groups_per_tile);
                    let compute = results * (per_result.max(all_steps)) as f64 + COMMAND_COST * commands;
                    let weight_loads = (passes * tile_count * reduction_blocks) as f64;
                    let weight_cycles =
                        (passes * all_tiles * all_steps) as f64 * tile_cycles + TRANSFER_COST * weight_loads;
                    let block_cycles = block_tiles as f64 * tile_cycles;
                    let input_visits = match (dense && chunks == all_chunks, tiles_outside) {
                        (true, false) => 1,
                        (true, true) => tile_count,
                        (false, _) if dense => tile_count * reduction_blocks,
                        (false, _) => tile_count,
                    };
                    let input_loads = if staged_input { (box_count * input_visits) as f64 } else { 0.0 };
                    let input_cycles = input_loads * (input_size as f64 * vector_cycles + TRANSFER_COST);
                    let stores = if problem.stored { box_count as f64 } else { 0.0 };
                    let store_cycles = if problem.stored {
                        output.vectors() as f64 * vector_cycles
                            + TRANSFER_COST
                                * stores
                                * if whole_pixels { 1.0 } else { (tile_count * rows) as f64 }
                    } else {
                        0.0
                    };
                    let loads = weight_cycles + input_cycles;
                    // Blocks that leave no room for the next wait for one another.
                    let crowded = if 2 * block_tiles > config.weight_depth && weight_loads > 1.0 {
                        weight_loads * block_cycles
                    } else {
                        block_cycles * block_tiles as f64 / config.weight_depth as f64
                    };
                    let drain = if reduction_blocks > 1 { COMMAND_COST * commands } else { 0.0 };
                    // What follows can begin after the first box of the last block.
                    let hand_over = 0.25 * compute / (box_count as f64)
                        + if tiles_outside { 0.1 * compute * (1.0 - 1.0 / tile_count as f64) } else { 0.0 };
                    let cost = move |double: bool| {
                        let overlapped = if double {
                            compute.max(loads).max(store_cycles)
                                + input_cycles / input_loads.max(1.0)
                                + store_cycles / stores.max(1.0)
                        } else {
                            compute + loads + store_cycles
                        };
                        overlapped + crowded + drain + hand_over
                    };
                    let cut = ProductCut {
                        tiles,
                        kernel_height,
                        kernel_width,
                        chunks,
                        tiles_outside,
                        whole_pixels,
                    };
                    search.consider(&[input_size], output_size, cost, |inputs, output| Plan {
                        rows,
                        columns,
                        inputs,
                        output,
                        cut: Cut::Product(cut),
                    });
                }
            }
        }
        if search.best.is_some() {
            feasible_levels += 1;
        }
        // A smaller block than one that fits helps only when the scratchpad is crowded.
        if before || feasible_levels >= 2 || (search.best.is_some() && 2 * steps <= config.weight_depth) {
            break;
        }
    }
    if search.best.is_none() && search.least == usize::MAX {
        if least_accumulators < usize::MAX {
            return Err(Lack { memory: ChipMemory::Accumulator, needs: least_accumulators });
        }
        if least_weights < usize::MAX {
            return Err(Lack { memory: ChipMemory::Weight, needs: least_weights });
        }
        return Err(Lack { memory: ChipMemory::Parameter, needs: groups_per_tile });
    }
    search.finish()
}

fn plan_vector(problem: &Problem<'_>, window: Option<&Window>) -> Result<Plan, Lack> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_multiples_and_shrink() {
        assert_eq!(parts(1, 1), [1]);
        assert_eq!(parts(8, 1), [8, 4, 3, 2, 1]);
        assert_eq!(parts(7, 2), [7, 4, 2]);
        assert_eq!(parts(2, 4), [2]);
        for whole in 1..200 {
            for step in [1, 2, 4] {
                let sizes = parts(whole, step);
                assert!(sizes.windows(2).all(|pair| pair[0] > pair[1]), "{whole} {step}: {sizes:?}");
                assert_eq!(*sizes.last().unwrap(), step.min(whole));
            }
        }
    }

    #[test]
    fn buffers_go_to_gaps() {
        assert_eq!(fit(&[0..4, 8..16], &[3, 8], 1), Some(vec![0, 8]));
        assert_eq!(fit(&[0..4, 8..16], &[5, 5], 1), None);
        assert_eq!(fit(&[1..8, 9..9], &[2, 2], 2), Some(vec![2, 4]));
    }
}
