//! What the readers of all operators share: access to options and operands, with checks.

use frugal_quant::{Activation, Affine};

use crate::error::LayerProblem;
use crate::graph::{DataType, Quantisation, Tensor, TensorId};
use crate::tflite::schema::{self, BuiltinOptions};

/// One operator of the file, with what is known so far.
pub(super) struct Layer<'l, 'a> {
    pub tensors: &'l [Tensor],
    /// Which tensors are constants, graph inputs, or written by an earlier layer.
    pub written: &'l [bool],
    pub graph_inputs: &'l [TensorId],
    pub graph_outputs: &'l [TensorId],
    pub options: &'l schema::Operator<'a>,
    pub inputs: &'l [Option<TensorId>],
    pub outputs: &'l [TensorId],
}

impl<'l, 'a> Layer<'l, 'a> {
    /// Checks the number of inputs, and that there is one output.
    pub(super) fn operand_counts(
        &self,
        least: usize,
        most: usize,
        needed: &'static str,
    ) -> Result<(), LayerProblem> {
        if !(least..=most).contains(&self.inputs.len()) {
            return Err(LayerProblem::OperandCount { what: "inputs", found: self.inputs.len(), needed });
        }
        if self.outputs.len() != 1 {
            return Err(LayerProblem::OperandCount {
                what: "outputs",
                found: self.outputs.len(),
                needed: "1",
            });
        }
        Ok(())
    }

    pub(super) fn builtin_options<T: BuiltinOptions<'a> + 'a>(&self) -> Result<T::Inner, LayerProblem> {
        self.options.builtin_options::<T>().ok_or(LayerProblem::OptionsMissing)
    }

    pub(super) fn operand(&self, position: usize, role: &'static str) -> Result<&'l Tensor, LayerProblem> {
        let id = self.inputs.get(position).copied().flatten().ok_or(LayerProblem::OperandMissing { role })?;
        Ok(&self.tensors[id.0])
    }

    /// An int8 operand that is known when the layer runs.
    pub(super) fn activation(&self, position: usize, role: &'static str) -> Result<&'l Tensor, LayerProblem> {
        let tensor = self.operand(position, role)?;
        int8(tensor, role)?;
        let written = self.inputs[position].is_some_and(|id| self.written[id.0]);
        if written {
            Ok(tensor)
        } else {
            Err(LayerProblem::ReadBeforeWrite { role })
        }
    }

    /// A constant int32 operand: a shape, axes, paddings.
    pub(super) fn numbers(&self, position: usize, role: &'static str) -> Result<&'l [i32], LayerProblem> {
        let tensor = self.operand(position, role)?;
        if tensor.data_type != DataType::I32 {
            let (found, needed) = (tensor.data_type, DataType::I32);
            return Err(LayerProblem::OperandType { role, found, needed });
        }
        tensor.as_i32().ok_or(LayerProblem::NotConstant { role })
    }

    pub(super) fn output(&self) -> Result<&'l Tensor, LayerProblem> {
        let tensor = self.output_of_any_type()?;
        int8(tensor, "output")?;
        Ok(tensor)
    }

    pub(super) fn output_of_any_type(&self) -> Result<&'l Tensor, LayerProblem> {
        let id = self.outputs[0];
        let tensor = &self.tensors[id.0];
        if self.written[id.0] {
            return Err(LayerProblem::WrittenTwice);
        }
        Ok(tensor)
    }
}

pub(super) fn int8(tensor: &Tensor, role: &'static str) -> Result<(), LayerProblem> {
    if tensor.data_type == DataType::I8 {
        Ok(())
    } else {
        Err(LayerProblem::OperandType { role, found: tensor.data_type, needed: DataType::I8 })
    }
}

/// The sizes of a tensor of `N` dimensions.
pub(super) fn sizes<const N: usize>(tensor: &Tensor, role: &'static str) -> Result<[usize; N], LayerProblem> {
    let found = || (&tensor.shape).into();
    tensor.shape.as_slice().try_into().map_err(|_| LayerProblem::Rank { role, found: found(), needed: N })
}

pub(super) fn shape_is(tensor: &Tensor, role: &'static str, needed: &[usize]) -> Result<(), LayerProblem> {
    if tensor.shape == needed {
        Ok(())
    } else {
        Err(LayerProblem::ShapeMismatch { role, found: (&tensor.shape).into(), needed: needed.into() })
    }
}

pub(super) fn per_tensor(tensor: &Tensor, role: &'static str) -> Result<(f32, i32), LayerProblem> {
    match tensor.quantisation {
        Some(Quantisation::PerTensor { scale, zero_point }) => Ok((scale, zero_point)),
        Some(Quantisation::PerChannel { .. }) => Err(LayerProblem::PerChannelActivation { role }),
        None => Err(LayerProblem::NotQuantised { role }),
    }
}

/// Scale and zero point of an activation.
pub(super) fn affine(tensor: &Tensor, role: &'static str) -> Result<Affine, LayerProblem> {
    let (scale, zero_point) = per_tensor(tensor, role)?;
    Ok(Affine { scale, zero_point })
}

/// The quantisation that input and output share.
pub(super) fn same_quantisation(input: &Tensor, output: &Tensor) -> Result<(f32, i32), LayerProblem> {
    let (input, output) = (per_tensor(input, "input")?, per_tensor(output, "output")?);
    if input == output {
        Ok(input)
    } else {
        Err(LayerProblem::QuantisationDiffers { input, output })
    }
}

pub(super) fn activation(code: i8) -> Result<Activation, LayerProblem> {
    match code {
        0 => Ok(Activation::None),
        1 => Ok(Activation::Relu),
        2 => Ok(Activation::ReluN1To1),
        3 => Ok(Activation::Relu6),
        other => Err(LayerProblem::Activation(other)),
    }
}
