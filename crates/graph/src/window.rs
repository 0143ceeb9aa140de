//! The sliding window of convolutions and pools, with explicit padding.

/// Rows and columns added around an image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Padding {
    pub top: usize,
    pub left: usize,
    pub bottom: usize,
    pub right: usize,
}

/// How a TensorFlow Lite file says where the window may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PaddingScheme {
    /// Enough padding for `ceil(input / stride)` outputs; the odd row goes to the bottom and right.
    Same,
    /// No padding: the window stays inside the image.
    Valid,
}

/// A kernel and its steps; output `(y, x)` reads rows from `y * stride_height - padding.top` and columns from
/// `x * stride_width - padding.left`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Window {
    pub kernel_height: usize,
    pub kernel_width: usize,
    pub stride_height: usize,
    pub stride_width: usize,
    pub padding: Padding,
}

/// One dimension of a window: `(output size, padding before, padding after)`, or `None` when a kernel without padding
/// exceeds the input. Kernel, stride and input are at least one.
pub(crate) fn place(
    scheme: PaddingScheme,
    input: usize,
    kernel: usize,
    stride: usize,
) -> Option<(usize, usize, usize)> {
    match scheme {
        PaddingScheme::Valid => Some((input.checked_sub(kernel)? / stride + 1, 0, 0)),
        PaddingScheme::Same => {
            let output = input.div_ceil(stride);
            let total = ((output - 1) * stride + kernel).saturating_sub(input);
            Some((output, total / 2, total - total / 2))
        }
    }
}

impl Window {
    /// The rows of an image of `height` that output row `y` reads.
    #[must_use]
    pub fn rows(&self, y: usize, height: usize) -> std::ops::Range<usize> {
        clipped(y * self.stride_height, self.padding.top, self.kernel_height, height)
    }

    /// The columns of an image of `width` that output column `x` reads.
    #[must_use]
    pub fn columns(&self, x: usize, width: usize) -> std::ops::Range<usize> {
        clipped(x * self.stride_width, self.padding.left, self.kernel_width, width)
    }
}

/// `start - padding .. start - padding + kernel`, without what lies outside `0..size`.
fn clipped(start: usize, padding: usize, kernel: usize, size: usize) -> std::ops::Range<usize> {
    let end = (start + kernel).saturating_sub(padding).min(size);
    start.saturating_sub(padding).min(end)..end
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_padding_puts_the_odd_row_last() {
        let place = |input, kernel, stride| place(PaddingScheme::Same, input, kernel, stride);
        assert_eq!(place(32, 3, 1), Some((32, 1, 1)));
        assert_eq!(place(32, 3, 2), Some((16, 0, 1)));
        assert_eq!(place(49, 10, 2), Some((25, 4, 5)));
        assert_eq!(place(10, 4, 2), Some((5, 1, 1)));
        // The stride skips pixels: no padding, and no underflow.
        assert_eq!(place(32, 1, 2), Some((16, 0, 0)));
        assert_eq!(place(1, 5, 3), Some((1, 2, 2)));
    }

    #[test]
    fn valid_padding_needs_room_for_the_kernel() {
        let place = |input, kernel, stride| place(PaddingScheme::Valid, input, kernel, stride);
        assert_eq!(place(30, 3, 1), Some((28, 0, 0)));
        assert_eq!(place(5, 2, 2), Some((2, 0, 0)));
        assert_eq!(place(3, 3, 9), Some((1, 0, 0)));
        assert_eq!(place(2, 3, 1), None);
    }

    #[test]
    fn windows_are_clipped_to_the_image() {
        let padding = Padding { top: 1, left: 2, bottom: 1, right: 2 };
        let window = Window { kernel_height: 3, kernel_width: 5, stride_height: 1, stride_width: 2, padding };
        assert_eq!((0..4).map(|y| window.rows(y, 4)).collect::<Vec<_>>(), [0..2, 0..3, 1..4, 2..4]);
        assert_eq!((0..3).map(|x| window.columns(x, 5)).collect::<Vec<_>>(), [0..3, 0..5, 2..5]);
    }
}
