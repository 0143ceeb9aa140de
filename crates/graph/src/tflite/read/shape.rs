//! Layers that change shapes: reshapes, paddings, concatenations, means.

use frugal_quant::multiplier::MAX_AVERAGE_COUNT;
use frugal_quant::MeanParameters;

use crate::error::{LayerProblem, Shape};
use crate::operator::{Concatenation, Mean, OperatorKind, Pad, Reshape};
use crate::shape::axis;
use crate::tflite::schema::{ConcatenationOptions, ReducerOptions};

use super::layer::{per_tensor, same_quantisation, shape_is, Layer};

impl Layer<'_, '_> {
    pub(super) fn reshape(&self) -> Result<OperatorKind, LayerProblem> {
        self.operand_counts(1, 2, "1 or 2")?;
        let (input, output) = (self.activation(0, "input")?, self.output()?);
        if input.element_count() != output.element_count() {
            return Err(LayerProblem::ShapeMismatch {
                role: "output",
                found: (&output.shape).into(),
                needed: Shape(vec![input.element_count()]),
            });
        }
        same_quantisation(input, output)?;
        if self.inputs.get(1).copied().flatten().is_some() {
            let requested = self.numbers(1, "shape")?;
            let fits = requested.len() == output.shape.len()
                && requested
                    .iter()
                    .zip(&output.shape)
                    .all(|(&size, &found)| size == -1 || i64::from(size) == found as i64);
            if !fits {
                let needed = requested.iter().map(|&size| usize::try_from(size).unwrap_or(0)).collect();
                let found = (&output.shape).into();
                return Err(LayerProblem::ShapeMismatch { role: "output", found, needed: Shape(needed) });
            }
        }
        Ok(OperatorKind::Reshape(Reshape::Reshape))
    }

    pub(super) fn expand_dims(&self) -> Result<OperatorKind, LayerProblem> {
        self.operand_counts(2, 2, "2")?;
        let (input, output) = (self.activation(0, "input")?, self.output()?);
        let rank = input.shape.len() + 1;
        let &[number] = self.numbers(1, "axis")? else {
            let found = (&self.operand(1, "axis")?.shape).into();
            return Err(LayerProblem::ShapeMismatch { role: "axis", found, needed: Shape(vec![1]) });
        };
        let axis = axis(number, rank).ok_or(LayerProblem::Axis { what: "axis", found: number, rank })?;
        let mut shape = input.shape.clone();
        shape.insert(axis, 1);
        shape_is(output, "output", &shape)?;
        same_quantisation(input, output)?;
        Ok(OperatorKind::Reshape(Reshape::ExpandDims))
    }

    pub(super) fn squeeze(&self) -> Result<OperatorKind, LayerProblem> {
        self.operand_counts(1, 1, "1")?;
        let (input, output) = (self.activation(0, "input")?, self.output()?);
        // Which of the ones are gone does not matter to the elements: the output's shape says it.
        let larger = |shape: &[usize]| shape.iter().copied().filter(|&size| size != 1).collect::<Vec<_>>();
        if larger(&input.shape) != larger(&output.shape) || output.shape.len() > input.shape.len() {
            let (found, needed) = ((&output.shape).into(), Shape(larger(&input.shape)));
            return Err(LayerProblem::ShapeMismatch { role: "output", found, needed });
        }
        same_quantisation(input, output)?;
        Ok(OperatorKind::Reshape(Reshape::Squeeze))
    }

    /// PAD, or PADV2 with a value of its own.
    pub(super) fn pad(&self, value_given: bool) -> Result<OperatorKind, LayerProblem> {
        match value_given {
            false => self.operand_counts(2, 2, "2")?,
            true => self.operand_counts(3, 3, "3")?,
        }
        let (input, output) = (self.activation(0, "input")?, self.output()?);
        let (rank, numbers) = (input.shape.len(), self.numbers(1, "paddings")?);
        let wrong = || LayerProblem::Paddings { found: numbers.into(), rank };
        if numbers.len() != 2 * rank {
            return Err(wrong());
        }
        let paddings = numbers
            .chunks_exact(2)
            .map(|pair| Some((usize::try_from(pair[0]).ok()?, usize::try_from(pair[1]).ok()?)))
            .collect::<Option<Vec<_>>>()
            .ok_or_else(wrong)?;
        let shape: Vec<usize> = input
            .shape
            .iter()
            .zip(&paddings)
            .map(|(size, (before, after))| size.saturating_add(*before).saturating_add(*after))
            .collect();
        shape_is(output, "output", &shape)?;
        let (_, zero_point) = same_quantisation(input, output)?;
        let value = if value_given {
            let tensor = self.activation(2, "padding value")?;
            same_quantisation(input, tensor)?;
            shape_of_one(tensor.element_count(), &tensor.shape)?;
            tensor.as_i8().ok_or(LayerProblem::NotConstant { role: "padding value" })?[0]
        } else {
            zero_point as i8
        };
        Ok(OperatorKind::Pad(Pad { paddings, value, value_given }))
    }

    pub(super) fn concatenation(&self) -> Result<OperatorKind, LayerProblem> {
        self.operand_counts(1, usize::MAX, "at least 1")?;
        let options = self.builtin_options::<ConcatenationOptions>()?;
        if options.fused_activation_function() != 0 {
            return Err(LayerProblem::ConcatenationActivation);
        }
        let output = self.output()?;
        let rank = output.shape.len();
        let number = options.axis();
        let axis = axis(number, rank).ok_or(LayerProblem::Axis { what: "axis", found: number, rank })?;
        let mut shape = output.shape.clone();
        shape[axis] = 0;
        for position in 0..self.inputs.len() {
            let input = self.activation(position, "input")?;
            same_quantisation(input, output)?;
            // The output's sizes, but for the axis.
            let mut needed = output.shape.clone();
            if let (Some(needed), Some(&size)) = (needed.get_mut(axis), input.shape.get(axis)) {
                *needed = size;
            }
            shape_is(input, "input", &needed)?;
            shape[axis] += input.shape[axis];
        }
        shape_is(output, "output", &shape)?;
        Ok(OperatorKind::Concatenation(Concatenation { axis }))
    }

    pub(super) fn mean(&self) -> Result<OperatorKind, LayerProblem> {
        self.operand_counts(2, 2, "2")?;
        let keep_dims = self.builtin_options::<ReducerOptions>()?.keep_dims();
        let (input, output) = (self.activation(0, "input")?, self.output()?);
        let rank = input.shape.len();
        let mut axes = self
            .numbers(1, "axes")?
            .iter()
            .map(|&number| axis(number, rank).ok_or(LayerProblem::Axis { what: "axes", found: number, rank }))
            .collect::<Result<Vec<_>, _>>()?;
        axes.sort_unstable();
        axes.dedup();
        let shape: Vec<usize> = (0..rank)
            .filter(|dimension| keep_dims || !axes.contains(dimension))
            .map(|dimension| if axes.contains(&dimension) { 1 } else { input.shape[dimension] })
            .collect();
        shape_is(output, "output", &shape)?;
        // The reader has checked that the product of all sizes does not overflow.
        let count: usize = axes.iter().map(|&axis| input.shape[axis]).product();
        if count > MAX_AVERAGE_COUNT as usize {
            return Err(LayerProblem::MeanCount { count });
        }
        let (input_scale, input_zero_point) = per_tensor(input, "input")?;
        let (output_scale, output_zero_point) = per_tensor(output, "output")?;
        let parameters = MeanParameters::new(
            count as u32,
            input_scale,
            input_zero_point,
            output_scale,
            output_zero_point,
        )?;
        Ok(OperatorKind::Mean(Mean { axes, keep_dims, parameters }))
    }
}

fn shape_of_one(elements: usize, shape: &[usize]) -> Result<(), LayerProblem> {
    if elements == 1 {
        Ok(())
    } else {
        let (role, found, needed) = ("padding value", shape.into(), Shape(vec![1]));
        Err(LayerProblem::ShapeMismatch { role, found, needed })
    }
}
