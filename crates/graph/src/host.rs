//! The operators that the accelerator leaves to the host.

use frugal_quant::SoftmaxParameters;

/// Softmax over each row of `row_length` elements.
///
/// # Panics
/// When the input is not a whole number of rows, or a row is longer than
/// [`frugal_quant::softmax::MAX_ROW_LENGTH`]; a graph that was read holds neither.
#[must_use]
pub fn softmax(parameters: &SoftmaxParameters, row_length: usize, input: &[i8]) -> Vec<i8> {
    assert!(
        row_length > 0 && input.len() % row_length == 0,
        "{} elements in rows of {row_length}",
        input.len()
    );
    let mut output = vec![0; input.len()];
    for (row, result) in input.chunks_exact(row_length).zip(output.chunks_exact_mut(row_length)) {
        parameters.apply_row(row, result);
    }
    output
}

/// A reshape: the elements as they are.
#[must_use]
pub fn reshape(input: &[i8]) -> Vec<i8> {
    input.to_vec()
}
