//! A plain executor: one loop nest for each operator, nothing clever, bit-exact to TensorFlow Lite Micro.

mod elementwise;
mod window;

use thiserror::Error;

use crate::error::Shape;
use crate::graph::{DataType, Graph, Operator, TensorId};
use crate::host;
use crate::npy::Elements;
use crate::operator::OperatorKind;

/// Why a graph cannot be run on an input.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RunError {
    #[error("the model has {needed} inputs, {given} were given")]
    InputCount { given: usize, needed: usize },
    #[error("the input has {found} elements; shape {shape} needs {needed}")]
    InputLength { found: usize, needed: usize, shape: Shape<usize> },
    #[error("input {index} of the model takes {needed}, not {found}")]
    InputType { index: usize, found: &'static str, needed: DataType },
    #[error("layer {layer} writes {data_type}; only int8 is expected")]
    OutputType { layer: String, data_type: DataType },
}

/// Runs a graph with one int8 input and int8 layers; the output of each operator, in order. The model's own output is
/// usually the last.
///
/// # Errors
/// When the graph has another number of inputs or other types, or `input` has not its number of elements.
pub fn run(graph: &Graph, input: &[i8]) -> Result<Vec<Vec<i8>>, RunError> {
    let outputs = run_all(graph, &[Elements::I8(input.to_vec())])?;
    let int8 = |(output, operator): (Elements, &Operator)| match output {
        Elements::I8(elements) => Ok(elements),
        _ => Err(RunError::OutputType {
            layer: operator.name.clone(),
            data_type: graph.output(operator).data_type,
        }),
    };
    outputs.into_iter().zip(&graph.operators).map(int8).collect()
}

/// Runs a graph on one array for each of its inputs, of its element type; the output of each operator, in order.
///
/// # Errors
/// When the number of inputs, their element types or their numbers of elements are not those of the graph.
pub fn run_all(graph: &Graph, inputs: &[Elements]) -> Result<Vec<Elements>, RunError> {
    check_inputs(graph, inputs)?;
    // The operator that writes each tensor.
    let mut writers = vec![None; graph.tensors.len()];
    let mut outputs: Vec<Elements> = Vec::with_capacity(graph.operators.len());
    for operator in &graph.operators {
        // What is known of a tensor when the layer runs, unless it is a constant.
        let activation = |id: TensorId| match graph.inputs.iter().position(|input| *input == id) {
            Some(position) => Some(&inputs[position]),
            None => writers[id.0].map(|writer: usize| &outputs[writer]),
        };
        let output = match &operator.kind {
            OperatorKind::Quantize(quantize) => {
                let id = operator.inputs[0].expect("the reader checked the operands");
                match activation(id) {
                    Some(input) => host::quantize(quantize, input),
                    // Only int8 constants reach an operator.
                    None => {
                        let constant = graph[id].as_i8().unwrap_or_default().to_vec();
                        host::quantize(quantize, &Elements::I8(constant))
                    }
                }
            }
            kind => {
                let operands: Vec<&[i8]> = operator
                    .inputs
                    .iter()
                    .map(|id| match *id {
                        None => &[][..],
                        Some(id) => match activation(id) {
                            Some(elements) => elements.as_i8().unwrap_or_default(),
                            None => graph[id].as_i8().unwrap_or_default(),
                        },
                    })
                    .collect();
                match kind {
                    OperatorKind::Dequantize(affine) => Elements::F32(host::dequantize(*affine, operands[0])),
                    _ => Elements::I8(run_operator(graph, operator, &operands)),
                }
            }
        };
        writers[operator.outputs[0].0] = Some(outputs.len());
        outputs.push(output);
    }
    Ok(outputs)
}

fn check_inputs(graph: &Graph, inputs: &[Elements]) -> Result<(), RunError> {
    let (given, needed) = (inputs.len(), graph.inputs.len());
    if given != needed {
        return Err(RunError::InputCount { given, needed });
    }
    for (index, (input, id)) in inputs.iter().zip(&graph.inputs).enumerate() {
        let tensor = &graph[*id];
        let fits = match input {
            Elements::I8(_) => tensor.data_type == DataType::I8,
            Elements::U8(_) => tensor.data_type == DataType::U8,
            Elements::F32(_) => tensor.data_type == DataType::F32,
            Elements::I32(_) => false,
        };
        if !fits {
            return Err(RunError::InputType { index, found: input.type_name(), needed: tensor.data_type });
        }
        let (found, needed) = (input.len(), tensor.element_count());
        if found != needed {
            return Err(RunError::InputLength { found, needed, shape: (&tensor.shape).into() });
        }
    }
    Ok(())
}

/// Runs one operator from int8 to int8, on its activations and its constant operands, in the order of
/// [`Operator::inputs`]. Weights, bias, axes and the like come from the graph; what stands in their places is ignored.
///
/// # Panics
/// When an operand has not the number of elements of its tensor, and for the borders of a model, which are not from int8
/// to int8: [`host::quantize`], [`host::dequantize`].
#[must_use]
pub fn run_operator(graph: &Graph, operator: &Operator, operands: &[&[i8]]) -> Vec<i8> {
    let input = operands[0];
    for (position, operand) in operands.iter().enumerate().take(activation_count(operator)) {
        let elements = graph.input(operator, position).map_or(0, |tensor| tensor.element_count());
        assert_eq!(operand.len(), elements, "{}: elements of operand {position}", operator.name);
    }
    match &operator.kind {
        OperatorKind::Conv2d(conv) => window::conv_2d(graph, operator, conv, input),
        OperatorKind::DepthwiseConv2d(conv) => window::depthwise_conv_2d(graph, operator, conv, input),
        OperatorKind::FullyConnected(layer) => window::fully_connected(graph, operator, layer, input),
        OperatorKind::Add(add) => {
            elementwise::binary(graph, operator, operands, |a, b| add.parameters.apply(a, b))
        }
        OperatorKind::Sub(sub) => {
            elementwise::binary(graph, operator, operands, |a, b| sub.parameters.apply_difference(a, b))
        }
        OperatorKind::Mul(mul) => {
            elementwise::binary(graph, operator, operands, |a, b| mul.parameters.apply(a, b))
        }
        OperatorKind::AveragePool2d(pool) => window::pool_2d(graph, operator, pool, input, window::mean),
        OperatorKind::MaxPool2d(pool) => window::pool_2d(graph, operator, pool, input, window::maximum),
        OperatorKind::Mean(mean) => elementwise::mean(graph, operator, mean, input),
        OperatorKind::Pad(pad) => elementwise::pad(graph, operator, pad, input),
        OperatorKind::Concatenation(concatenation) => {
            elementwise::concatenation(graph, operator, concatenation.axis, operands)
        }
        OperatorKind::Unary(unary) => input.iter().map(|&x| unary.table.apply(x)).collect(),
        OperatorKind::Reshape(_) => host::reshape(input),
        OperatorKind::Softmax(softmax) => {
            let row_length = graph.output(operator).shape.last().copied().unwrap_or(1);
            host::softmax(&softmax.parameters, row_length, input)
        }
        OperatorKind::Quantize(_) | OperatorKind::Dequantize(_) => {
            panic!("{}: a border of the model is not from int8 to int8", operator.name)
        }
    }
}

/// How many of an operator's first inputs are activations, or constants in their place.
fn activation_count(operator: &Operator) -> usize {
    match operator.kind {
        OperatorKind::Add(_) | OperatorKind::Sub(_) | OperatorKind::Mul(_) => 2,
        OperatorKind::Concatenation(_) => operator.inputs.len(),
        _ => 1,
    }
}
