//! The operators that the accelerator leaves to the host.

use frugal_quant::{real, Affine, SoftmaxParameters};

use crate::npy::Elements;
use crate::operator::Quantize;

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

/// QUANTIZE at a border of the model.
///
/// # Panics
/// When the input has not the element type that `quantize` is for; a graph that was read has.
#[must_use]
pub fn quantize(quantize: &Quantize, input: &Elements) -> Elements {
    match (quantize, input) {
        (Quantize::FromF32(quantisation), Elements::F32(input)) => {
            Elements::I8(input.iter().map(|&x| real::quantise(x, *quantisation)).collect())
        }
        (Quantize::FromU8(table), Elements::U8(input)) => {
            Elements::I8(input.iter().map(|&x| table.0[usize::from(x)]).collect())
        }
        (Quantize::ToU8(table), Elements::I8(input)) => {
            Elements::U8(input.iter().map(|&x| table.apply(x) as u8).collect())
        }
        _ => panic!("{quantize:?} of {}", input.type_name()),
    }
}

/// DEQUANTIZE to a float32 output of the model.
#[must_use]
pub fn dequantize(quantisation: Affine, input: &[i8]) -> Vec<f32> {
    input.iter().map(|&x| real::dequantise(x, quantisation)).collect()
}
