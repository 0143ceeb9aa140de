//! Operators that work on elements whatever their dimensions mean: sums, products, means, and those that move data.

use crate::graph::{Graph, Operator};
use crate::operator::{Mean, Pad};
use crate::shape::{broadcast_elements, elements, strides};

/// The shape of an operand that the reader knows to be there.
fn shape<'g>(graph: &'g Graph, operator: &Operator, position: usize) -> &'g [usize] {
    &graph.input(operator, position).expect("the reader checked the operands").shape
}

/// A function of two elements, operands broadcast.
pub(super) fn binary(
    graph: &Graph,
    operator: &Operator,
    operands: &[&[i8]],
    function: impl Fn(i8, i8) -> i8,
) -> Vec<i8> {
    let output = &graph.output(operator).shape;
    let a = broadcast_elements(shape(graph, operator, 0), output);
    let b = broadcast_elements(shape(graph, operator, 1), output);
    a.zip(b).map(|(a, b)| function(operands[0][a], operands[1][b])).collect()
}

pub(super) fn mean(graph: &Graph, operator: &Operator, mean: &Mean, input: &[i8]) -> Vec<i8> {
    let shape = shape(graph, operator, 0);
    // The input with the averaged dimensions kept, where each input element adds to one output element.
    let kept: Vec<usize> = (0..shape.len())
        .map(|dimension| if mean.axes.contains(&dimension) { 1 } else { shape[dimension] })
        .collect();
    let mut sums = vec![0i32; kept.iter().product()];
    for (element, &x) in broadcast_elements(&kept, shape).zip(input) {
        sums[element] += i32::from(x);
    }
    sums.into_iter().map(|sum| mean.parameters.apply(sum)).collect()
}

pub(super) fn pad(graph: &Graph, operator: &Operator, pad: &Pad, input: &[i8]) -> Vec<i8> {
    let output_shape = &graph.output(operator).shape;
    let steps = strides(output_shape);
    let start: usize = pad.paddings.iter().zip(&steps).map(|((before, _), step)| before * step).sum();
    let mut output = vec![pad.value; output_shape.iter().product()];
    for (element, &x) in elements(shape(graph, operator, 0), steps).zip(input) {
        output[start + element] = x;
    }
    output
}

pub(super) fn concatenation(graph: &Graph, operator: &Operator, axis: usize, operands: &[&[i8]]) -> Vec<i8> {
    let output_shape = &graph.output(operator).shape;
    let rows: usize = output_shape[..axis].iter().product();
    let mut output = Vec::with_capacity(output_shape.iter().product());
    for row in 0..rows {
        for operand in operands {
            let length = operand.len() / rows;
            output.extend_from_slice(&operand[row * length..(row + 1) * length]);
        }
    }
    output
}
