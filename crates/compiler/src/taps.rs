//! How a depthwise kernel becomes steps of the matrix engine.
//!
//! In depthwise mode a step reads one vector of pixels and remembers those that it read for the results before, so that it has
//! several pixels of a line at once. The engine *walks* along one side of the image (the inner loop of results); the other side is
//! the *cross* side. With walking stride s, the pixels that a step has are s apart: kernel index n, n - s, n - 2s, ...
//!
//! * Stride 1: a step takes as many kernel indices as there are taps, the next step the block after them.
//! * Stride s, and the kernel has no more than s times taps indices: one step for each remainder modulo s.
//! * Otherwise one part for each block of s times taps indices; parts add up in the accumulators.

use frugal_graph::Window;
use frugal_isa::Config;
use std::ops::Range;

/// A side of the image as the kernel sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Results go down a column of the image, then to the next column.
    Vertical,
    /// Results go along a row, then to the next row.
    Horizontal,
}

/// Kernel indices that one matrix command covers: steps of the walking side times those of the cross side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TapPart {
    /// Newest kernel index of the first step along the walking side.
    pub first: usize,
    /// Steps along the walking side, and the distance of their newest kernel indices.
    pub count: usize,
    pub step: usize,
    /// Kernel indices of the cross side.
    pub cross: Range<usize>,
    /// Results before the first complete one.
    pub skip: usize,
}

impl TapPart {
    pub fn steps(&self) -> usize {
        self.count * self.cross.len()
    }

    /// Kernel index along the walking side that pixel `back` of step `index` meets.
    pub fn kernel_index(&self, index: usize, back: usize, stride: usize) -> Option<usize> {
        (back <= self.skip).then_some(())?;
        (self.first + index * self.step).checked_sub(back * stride)
    }

    /// Pixels that the results before the first complete one read in front of its window.
    pub fn overread(&self, stride: usize) -> usize {
        (self.skip * stride).saturating_sub(self.first)
    }
}

impl Direction {
    /// Kernel and stride along the walking side, and the kernel of the cross side.
    pub fn sides(self, window: &Window) -> (usize, usize, usize) {
        match self {
            Direction::Vertical => (window.kernel_height, window.stride_height, window.kernel_width),
            Direction::Horizontal => (window.kernel_width, window.stride_width, window.kernel_height),
        }
    }
}

/// The parts of a kernel. They cover each kernel index once.
pub fn parts(window: &Window, direction: Direction, config: &Config) -> Vec<TapPart> {
    let (kernel, stride, cross) = direction.sides(window);
    let taps = config.depthwise_taps;
    // (first, count, step, skip) along the walking side.
    let mut walks: Vec<(usize, usize, usize, usize)> = Vec::new();
    if stride == 1 {
        let count = kernel.div_ceil(taps);
        walks.push((kernel - 1 - (count - 1) * taps, count, taps, taps.min(kernel) - 1));
    } else {
        let block = stride * taps;
        let mut end = kernel;
        while end > 0 {
            let count = stride.min(end);
            walks.push((end - count, count, 1, taps.min(end.div_ceil(stride)) - 1));
            end = end.saturating_sub(block);
        }
    }
    let mut parts = Vec::new();
    for (first, count, step, skip) in walks {
        // Each step of a command needs a row of the history memory of its own.
        let most = Config::DEPTHWISE_STEPS;
        for start in (0..count).step_by(most) {
            let count = (count - start).min(most);
            for cross_start in (0..cross).step_by(most / count) {
                let cross = cross_start..(cross_start + most / count).min(cross);
                parts.push(TapPart { first: first + start * step, count, step, cross, skip });
            }
        }
    }
    parts
}

/// Steps of one result, over all parts.
pub fn steps(parts: &[TapPart]) -> usize {
    parts.iter().map(TapPart::steps).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(kernel_height: usize, stride_height: usize) -> Window {
        Window { kernel_height, kernel_width: 3, stride_height, stride_width: 1, padding: Default::default() }
    }

    #[test]
    fn every_kernel_index_is_covered_once() {
        for taps in [2, 4, 8] {
            let config = Config { depthwise_taps: taps, ..Config::preset("base").unwrap() };
            for kernel in (1..40).chain([255, 256]) {
                for stride in [1, 2, 3, 5, 70, 255] {
                    let mut covered = vec![0; kernel];
                    for part in parts(&window(kernel, stride), Direction::Vertical, &config) {
                        assert!(part.steps() <= Config::DEPTHWISE_STEPS && part.skip < taps, "{part:?}");
                        for index in 0..part.count {
                            for back in 0..taps {
                                if let Some(at) = part.kernel_index(index, back, stride) {
                                    covered[at] += part.cross.len();
                                }
                            }
                        }
                    }
                    assert!(covered.iter().all(|n| *n == 3), "{kernel} in steps of {stride}: {covered:?}");
                }
            }
        }
    }

    #[test]
    fn small_kernels_take_a_step_for_each_column() {
        let config = Config::preset("base").unwrap();
        let part = |first, count, step, skip| TapPart { first, count, step, cross: 0..3, skip };
        assert_eq!(parts(&window(3, 1), Direction::Vertical, &config), [part(2, 1, 4, 2)]);
        assert_eq!(parts(&window(3, 2), Direction::Vertical, &config), [part(1, 2, 1, 1)]);
        assert_eq!(parts(&window(10, 1), Direction::Vertical, &config), [part(1, 3, 4, 3)]);
    }
}
