//! Sums of products as the accelerator's accumulators hold them, before bias and requantisation.
//!
//! The reference executor gives outputs only; scales are chosen from what comes before them.

use crate::window::Window;

/// An activation NHWC with a batch of one.
#[derive(Clone, Copy)]
pub(super) struct Image<'v> {
    pub height: usize,
    pub width: usize,
    pub channels: usize,
    pub elements: &'v [i8],
    pub zero_point: i32,
}

/// `sum((input - zero point) * weight)` for weights `[out, kernel_height, kernel_width, in]`, pixel after pixel.
pub(super) fn conv_2d(image: Image<'_>, window: &Window, output: (usize, usize), weights: &[i8]) -> Vec<i32> {
    let taps = window.kernel_height * window.kernel_width * image.channels;
    let mut sums = Vec::with_capacity(output.0 * output.1 * weights.len() / taps);
    let mut patch = vec![0i16; taps];
    for y in 0..output.0 {
        for x in 0..output.1 {
            gather(image, window, y, x, &mut patch);
            sums.extend(weights.chunks_exact(taps).map(|weights| dot(&patch, weights)));
        }
    }
    sums
}

/// The same for weights `[1, kernel_height, kernel_width, channels]`, one channel to one.
pub(super) fn depthwise(
    image: Image<'_>,
    window: &Window,
    output: (usize, usize),
    weights: &[i8],
) -> Vec<i32> {
    let channels = image.channels;
    let mut sums = vec![0; output.0 * output.1 * channels];
    let mut patch = vec![0i16; weights.len()];
    for (pixel, sums) in sums.chunks_exact_mut(channels).enumerate() {
        gather(image, window, pixel / output.1, pixel % output.1, &mut patch);
        for (patch, weights) in patch.chunks_exact(channels).zip(weights.chunks_exact(channels)) {
            for ((sum, &x), &w) in sums.iter_mut().zip(patch).zip(weights) {
                *sum += i32::from(x) * i32::from(w);
            }
        }
    }
    sums
}

/// What the window sees at an output, less the zero point; nothing outside the image.
fn gather(image: Image<'_>, window: &Window, y: usize, x: usize, patch: &mut [i16]) {
    patch.fill(0);
    let columns = window.columns(x, image.width);
    let first = columns.start + window.padding.left - x * window.stride_width;
    let length = columns.len() * image.channels;
    for row in window.rows(y, image.height) {
        let tap = row + window.padding.top - y * window.stride_height;
        let to = (tap * window.kernel_width + first) * image.channels;
        let from = (row * image.width + columns.start) * image.channels;
        let pairs = patch[to..to + length].iter_mut().zip(&image.elements[from..from + length]);
        for (difference, &element) in pairs {
            *difference = i16::from(element) - image.zero_point as i16;
        }
    }
}

fn dot(patch: &[i16], weights: &[i8]) -> i32 {
    patch.iter().zip(weights).fold(0i32, |sum, (&x, &w)| sum.wrapping_add(i32::from(x) * i32::from(w)))
}
