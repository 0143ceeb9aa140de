//! Pass *tile*: cuts a layer into pieces that fit the memories.
//!
//! A piece is a box of output pixels, a block of column tiles and a block of the reduction. Operands that do not stay on the
//! chip are staged: loaded into, or stored from, buffers that live as long as the layer. All cuts that fit are compared with
//! a simple model of cycles.

mod copy;
mod depthwise;
mod packed;
mod product;
mod vector;

use crate::build::group_quantum;
use crate::error::ChipMemory;
use crate::layer::{vector_quantum, Operation, Packed, Placement, Product};
use crate::taps::{self, Direction};
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
    Depthwise(DepthwiseCut),
    /// Column tiles of a block.
    Packed {
        tiles: usize,
    },
    /// Rows of the output at a time.
    Copy,
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

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DepthwiseCut {
    /// Vectors of channels of a block.
    pub chunks: usize,
    pub direction: Direction,
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
    /// Images as the layer sees them.
    pub inputs: Vec<Placement>,
    pub output: Placement,
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
        Operation::Product(product) => product::plan_product(problem, product),
        Operation::Depthwise(product) => depthwise::plan_depthwise(problem, product),
        Operation::Packed(packed) => packed::plan_packed(problem, packed),
        Operation::Binary(binary) => vector::plan_binary(problem, binary),
        Operation::Pool(pool) => vector::plan_vector(problem, Some(&pool.window)),
        Operation::Map(map) => vector::plan_map(problem, map),
        Operation::Copy(copy) => copy::plan_copy(problem, copy),
    }
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
