//! Layers that work on elements: sums and products, functions of one element, softmax, and the borders of the model.

use frugal_quant::sigmoid::{self, LOGISTIC_OUTPUT, TANH_OUTPUT};
use frugal_quant::softmax::{MAX_ROW_LENGTH, OUTPUT_SCALE, OUTPUT_ZERO_POINT};
use frugal_quant::{
    hard_swish, table, Activation, ActivationRange, AddParameters, Affine, MulParameters, QuantError,
    SoftmaxParameters, Table,
};

use crate::error::LayerProblem;
use crate::graph::DataType;
use crate::operator::{Add, Mul, OperatorKind, Quantize, Softmax, Sub, Unary, UnaryFunction};
use crate::shape::broadcast;
use crate::tflite::schema::{AddOptions, LeakyReluOptions, MulOptions, SoftmaxOptions, SubOptions};

use super::layer::{activation, affine, per_tensor, shape_is, Layer};

/// What an elementwise operator of two operands knows of its tensors.
struct Binary {
    a: Affine,
    b: Affine,
    output: Affine,
    activation: Activation,
    range: ActivationRange,
}

impl Layer<'_, '_> {
    pub(super) fn add(&self) -> Result<OperatorKind, LayerProblem> {
        // Without options there is no activation; so for the other two.
        let code = self.options.builtin_options::<AddOptions>().map_or(0, |o| o.fused_activation_function());
        let Binary { a, b, output, activation, range } = self.binary(code)?;
        let parameters = AddParameters::new(
            a.scale,
            a.zero_point,
            b.scale,
            b.zero_point,
            output.scale,
            output.zero_point,
            range,
        )?;
        Ok(OperatorKind::Add(Add { parameters, activation }))
    }

    pub(super) fn sub(&self) -> Result<OperatorKind, LayerProblem> {
        let code = self.options.builtin_options::<SubOptions>().map_or(0, |o| o.fused_activation_function());
        let Binary { a, b, output, activation, range } = self.binary(code)?;
        let parameters = AddParameters::new(
            a.scale,
            a.zero_point,
            b.scale,
            b.zero_point,
            output.scale,
            output.zero_point,
            range,
        )?;
        Ok(OperatorKind::Sub(Sub { parameters, activation }))
    }

    pub(super) fn mul(&self) -> Result<OperatorKind, LayerProblem> {
        let code = self.options.builtin_options::<MulOptions>().map_or(0, |o| o.fused_activation_function());
        let Binary { a, b, output, activation, range } = self.binary(code)?;
        let parameters = MulParameters::new(
            a.scale,
            a.zero_point,
            b.scale,
            b.zero_point,
            output.scale,
            output.zero_point,
            range,
        )?;
        Ok(OperatorKind::Mul(Mul { parameters, activation }))
    }

    fn binary(&self, activation_code: i8) -> Result<Binary, LayerProblem> {
        self.operand_counts(2, 2, "2")?;
        let (a, b, output) =
            (self.activation(0, "first operand")?, self.activation(1, "second operand")?, self.output()?);
        let shape = broadcast(&a.shape, &b.shape)
            .ok_or_else(|| LayerProblem::Broadcast { a: (&a.shape).into(), b: (&b.shape).into() })?;
        shape_is(output, "output", &shape)?;
        let activation = activation(activation_code)?;
        let (a, b) = (affine(a, "first operand")?, affine(b, "second operand")?);
        let output = affine(output, "output")?;
        let range = activation.range(output.scale, output.zero_point)?;
        Ok(Binary { a, b, output, activation, range })
    }

    pub(super) fn logistic(&self) -> Result<OperatorKind, LayerProblem> {
        self.fixed_output(LOGISTIC_OUTPUT)?;
        self.unary(UnaryFunction::Logistic, |input, _| sigmoid::logistic(input))
    }

    pub(super) fn tanh(&self) -> Result<OperatorKind, LayerProblem> {
        self.fixed_output(TANH_OUTPUT)?;
        self.unary(UnaryFunction::Tanh, |input, _| sigmoid::tanh(input))
    }

    pub(super) fn relu(&self) -> Result<OperatorKind, LayerProblem> {
        self.unary(UnaryFunction::Relu, table::relu)
    }

    pub(super) fn relu6(&self) -> Result<OperatorKind, LayerProblem> {
        self.operand_counts(1, 1, "1")?;
        let (input, output) = (self.activation(0, "input")?, self.output()?);
        let (input, output) = (per_tensor(input, "input")?, per_tensor(output, "output")?);
        if input != output {
            return Err(LayerProblem::Relu6Quantisation { input, output });
        }
        self.unary(UnaryFunction::Relu6, |input, _| table::relu6(input))
    }

    pub(super) fn leaky_relu(&self) -> Result<OperatorKind, LayerProblem> {
        let alpha = self.builtin_options::<LeakyReluOptions>()?.alpha();
        self.unary(UnaryFunction::LeakyRelu { alpha }, |input, output| {
            table::leaky_relu(input, output, alpha)
        })
    }

    pub(super) fn hard_swish(&self) -> Result<OperatorKind, LayerProblem> {
        self.unary(UnaryFunction::HardSwish, hard_swish)
    }

    fn unary(
        &self,
        function: UnaryFunction,
        table: impl Fn(Affine, Affine) -> Result<Table, QuantError>,
    ) -> Result<OperatorKind, LayerProblem> {
        self.operand_counts(1, 1, "1")?;
        let (input, output) = (self.activation(0, "input")?, self.output()?);
        shape_is(output, "output", &input.shape)?;
        let table = table(affine(input, "input")?, affine(output, "output")?)?;
        Ok(OperatorKind::Unary(Unary { function, table }))
    }

    /// Checks the quantisation of an output that the operator does not choose.
    fn fixed_output(&self, needed: Affine) -> Result<(), LayerProblem> {
        self.operand_counts(1, 1, "1")?;
        let (found, needed) = (per_tensor(self.output()?, "output")?, (needed.scale, needed.zero_point));
        if found == needed {
            Ok(())
        } else {
            Err(LayerProblem::FixedOutput { found, needed })
        }
    }

    pub(super) fn quantize(&self) -> Result<OperatorKind, LayerProblem> {
        self.operand_counts(1, 1, "1")?;
        let (input, output) = (self.operand(0, "input")?, self.output_of_any_type()?);
        let (from, to) = (input.data_type, output.data_type);
        if (from, to) == (DataType::I8, DataType::I8) {
            return self.unary(UnaryFunction::Quantize, table::requantisation);
        }
        shape_is(output, "output", &input.shape)?;
        let kind = match (from, to) {
            (DataType::F32, DataType::I8) => {
                self.at_input(from)?;
                Quantize::FromF32(affine(output, "output")?)
            }
            (DataType::U8, DataType::I8) => {
                self.at_input(from)?;
                let (input, output) = (affine(input, "input")?, affine(output, "output")?);
                Quantize::FromU8(table::requantisation_from_u8(input, output)?)
            }
            (DataType::I8, DataType::U8) => {
                let input = self.activation(0, "input")?;
                self.at_output(to)?;
                let (input, output) = (affine(input, "input")?, affine(output, "output")?);
                Quantize::ToU8(table::requantisation_to_u8(input, output)?)
            }
            _ => return Err(LayerProblem::Conversion { from, to }),
        };
        Ok(OperatorKind::Quantize(kind))
    }

    pub(super) fn dequantize(&self) -> Result<OperatorKind, LayerProblem> {
        self.operand_counts(1, 1, "1")?;
        let (input, output) = (self.operand(0, "input")?, self.output_of_any_type()?);
        let (from, to) = (input.data_type, output.data_type);
        if (from, to) != (DataType::I8, DataType::F32) {
            return Err(LayerProblem::Conversion { from, to });
        }
        let input = self.activation(0, "input")?;
        shape_is(output, "output", &input.shape)?;
        self.at_output(to)?;
        Ok(OperatorKind::Dequantize(affine(input, "input")?))
    }

    /// Checks that the input, of another type than int8, is one of the model.
    fn at_input(&self, data_type: DataType) -> Result<(), LayerProblem> {
        match self.inputs[0] {
            Some(id) if self.graph_inputs.contains(&id) => Ok(()),
            _ => Err(LayerProblem::NotAtBorder { role: "input", data_type }),
        }
    }

    /// Checks that the output, of another type than int8, is one of the model.
    fn at_output(&self, data_type: DataType) -> Result<(), LayerProblem> {
        if self.graph_outputs.contains(&self.outputs[0]) {
            Ok(())
        } else {
            Err(LayerProblem::NotAtBorder { role: "output", data_type })
        }
    }

    pub(super) fn softmax(&self) -> Result<OperatorKind, LayerProblem> {
        let options = self.builtin_options::<SoftmaxOptions>()?;
        self.fixed_output(Affine { scale: OUTPUT_SCALE, zero_point: OUTPUT_ZERO_POINT })?;
        let (input, output) = (self.activation(0, "input")?, self.output()?);
        shape_is(output, "output", &input.shape)?;
        let found = input.shape.last().copied().ok_or(LayerProblem::Rank {
            role: "input",
            found: (&input.shape).into(),
            needed: 1,
        })?;
        if found > MAX_ROW_LENGTH {
            return Err(LayerProblem::SoftmaxLength { found });
        }
        let (scale, _) = per_tensor(input, "input")?;
        let parameters = SoftmaxParameters::new(scale, options.beta())?;
        Ok(OperatorKind::Softmax(Softmax { beta: options.beta(), parameters }))
    }
}
