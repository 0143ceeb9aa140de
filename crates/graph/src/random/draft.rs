//! A network while it is made: tensors and operators, without the numbers that follow from them.

use frugal_quant::{
    Activation, ActivationRange, AddParameters, Affine, MeanParameters, MulParameters, Multiplier,
    SoftmaxParameters, Table,
};

use super::{Options, Random};
use crate::graph::{Constant, DataType, Graph, Operator, Quantisation, Tensor, TensorId};
use crate::operator::{OperatorKind, OutputStage, Quantize, Reshape};

pub(super) struct Draft<'o> {
    pub graph: Graph,
    pub random: Random,
    pub options: &'o Options,
    /// The int8 activations so far.
    pub values: Vec<TensorId>,
    /// Layers chosen so far, those that did not fit included.
    pub layer_count: usize,
}

/// What stands in for the numbers that the reader computes.
pub(super) mod blank {
    use super::*;

    pub const RANGE: ActivationRange = ActivationRange::FULL;
    pub const TABLE: Table = Table([0; 256]);
    pub const MEAN: MeanParameters =
        MeanParameters { count: 1, input_zero_point: 0, output_zero_point: 0, multiplier: Multiplier::ZERO };
    pub const ADD: AddParameters = AddParameters {
        zero_point_a: 0,
        zero_point_b: 0,
        zero_point_output: 0,
        multiplier_a: Multiplier::ZERO,
        multiplier_b: Multiplier::ZERO,
        multiplier_output: Multiplier::ZERO,
        range: RANGE,
    };
    pub const MUL: MulParameters = MulParameters {
        zero_point_a: 0,
        zero_point_b: 0,
        zero_point_output: 0,
        multiplier: Multiplier::ZERO,
        range: RANGE,
    };
    pub const SOFTMAX: SoftmaxParameters =
        SoftmaxParameters { input_multiplier: Multiplier::ZERO, difference_min: 0 };

    pub fn output_stage(activation: Activation) -> OutputStage {
        OutputStage {
            multipliers: vec![],
            input_zero_point: 0,
            output_zero_point: 0,
            activation,
            range: RANGE,
        }
    }
}

impl<'o> Draft<'o> {
    pub fn new(random: Random, options: &'o Options) -> Draft<'o> {
        let graph = Graph {
            name: "random".into(),
            tensors: vec![],
            operators: vec![],
            inputs: vec![],
            outputs: vec![],
        };
        Draft { graph, random, options, values: vec![], layer_count: 0 }
    }

    /// Adds a tensor.
    pub fn tensor(
        &mut self,
        shape: Vec<usize>,
        data_type: DataType,
        quantisation: Option<Quantisation>,
        data: Option<Constant>,
    ) -> TensorId {
        let name = format!("t{}", self.graph.tensors.len());
        self.graph.tensors.push(Tensor { name, shape, data_type, quantisation, data });
        TensorId(self.graph.tensors.len() - 1)
    }

    pub fn activation(&mut self, shape: Vec<usize>, affine: Affine) -> TensorId {
        self.tensor(shape, DataType::I8, Some(per_tensor(affine)), None)
    }

    /// A random int8 constant.
    pub fn constant(&mut self, shape: Vec<usize>, affine: Affine) -> TensorId {
        let elements = self.random.bytes(shape.iter().product());
        self.tensor(shape, DataType::I8, Some(per_tensor(affine)), Some(Constant::I8(elements)))
    }

    /// A constant of numbers that are no activations: a shape, axes.
    pub fn numbers(&mut self, shape: Vec<usize>, numbers: Vec<i32>) -> TensorId {
        self.tensor(shape, DataType::I32, None, Some(Constant::I32(numbers)))
    }

    /// Adds an operator that writes an int8 activation.
    pub fn operator(
        &mut self,
        kind: OperatorKind,
        inputs: Vec<Option<TensorId>>,
        shape: Vec<usize>,
        affine: Affine,
    ) -> TensorId {
        let output = self.activation(shape, affine);
        self.operator_to(kind, inputs, output);
        self.values.push(output);
        output
    }

    fn operator_to(&mut self, kind: OperatorKind, inputs: Vec<Option<TensorId>>, output: TensorId) {
        let index = self.graph.operators.len();
        let name = format!("op{index:02}_{}", kind.name());
        self.graph.operators.push(Operator { index, name, kind, inputs, outputs: vec![output] });
    }

    pub fn shape(&self, id: TensorId) -> Vec<usize> {
        self.graph[id].shape.clone()
    }

    pub fn affine(&self, id: TensorId) -> Affine {
        let (scale, zero_point) = self.graph[id].per_tensor().expect("activations have one scale");
        Affine { scale, zero_point }
    }

    /// Makes the inputs.
    pub fn begin(&mut self) {
        let inputs = if self.options.second_input && self.random.once_in(6) { 2 } else { 1 };
        for _ in 0..inputs {
            let shape = self.image_shape();
            let affine = self.random.affine();
            let border = if self.options.borders { self.random.within(0, 5) } else { 5 };
            match border {
                0 => {
                    let input = self.tensor(shape.clone(), DataType::F32, None, None);
                    self.graph.inputs.push(input);
                    let kind = OperatorKind::Quantize(Quantize::FromF32(affine));
                    self.operator(kind, vec![Some(input)], shape, affine);
                }
                1 => {
                    let quantisation = per_tensor(self.unsigned(affine));
                    let input = self.tensor(shape.clone(), DataType::U8, Some(quantisation), None);
                    self.graph.inputs.push(input);
                    let kind = OperatorKind::Quantize(Quantize::FromU8(blank::TABLE));
                    self.operator(kind, vec![Some(input)], shape, affine);
                }
                _ => {
                    let input = self.activation(shape, affine);
                    self.graph.inputs.push(input);
                    self.values.push(input);
                }
            }
        }
    }

    /// The uint8 quantisation next to an int8 one: mostly the same numbers moved by 128.
    fn unsigned(&mut self, affine: Affine) -> Affine {
        let same = Affine { zero_point: affine.zero_point + 128, ..affine };
        match self.random.within(0, 3) {
            0 => Affine {
                scale: affine.scale * self.random.real(0.5, 2.0) as f32,
                zero_point: self.random.integer(0, 255),
            },
            1 => Affine { zero_point: self.random.integer(0, 255), ..same },
            _ => same,
        }
    }

    /// Every value that nothing reads becomes an output, some through a border.
    pub fn end(mut self) -> (Graph, Random) {
        let unread = |graph: &Graph, id: TensorId| {
            !graph.operators.iter().any(|operator| operator.inputs.contains(&Some(id)))
        };
        let outputs: Vec<TensorId> =
            self.values.iter().copied().filter(|id| unread(&self.graph, *id)).collect();
        for id in outputs {
            let (shape, affine) = (self.shape(id), self.affine(id));
            let border = if self.options.borders { self.random.within(0, 5) } else { 5 };
            let output = match border {
                0 => {
                    let output = self.tensor(shape, DataType::F32, None, None);
                    self.operator_to(OperatorKind::Dequantize(affine), vec![Some(id)], output);
                    output
                }
                1 => {
                    let quantisation = per_tensor(self.unsigned(affine));
                    let output = self.tensor(shape, DataType::U8, Some(quantisation), None);
                    let kind = OperatorKind::Quantize(Quantize::ToU8(blank::TABLE));
                    self.operator_to(kind, vec![Some(id)], output);
                    output
                }
                // An input of the network is not an output too.
                _ if self.graph.inputs.contains(&id) => {
                    let kind = OperatorKind::Reshape(Reshape::Reshape);
                    self.operator(kind, vec![Some(id)], shape, affine)
                }
                _ => id,
            };
            self.graph.outputs.push(output);
        }
        (self.graph, self.random)
    }
}

pub(super) fn per_tensor(affine: Affine) -> Quantisation {
    Quantisation::PerTensor { scale: affine.scale, zero_point: affine.zero_point }
}
