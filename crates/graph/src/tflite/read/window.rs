//! Layers with weights, and pools.

use frugal_quant::multiplier::MAX_AVERAGE_COUNT;
use frugal_quant::{Activation, Multiplier};

use crate::error::{LayerProblem, Shape};
use crate::graph::{DataType, Quantisation, Tensor};
use crate::operator::{Conv2d, DepthwiseConv2d, FullyConnected, OperatorKind, OutputStage, Pool2d};
use crate::tflite::schema::{Conv2dOptions, DepthwiseConv2dOptions, FullyConnectedOptions, Pool2dOptions};
use crate::window::{place, Padding, PaddingScheme, Window};

use super::layer::{activation, int8, per_tensor, same_quantisation, shape_is, sizes, Layer};

/// Batch, height, width and channels of an activation.
#[derive(Clone, Copy)]
struct Image {
    batch: usize,
    height: usize,
    width: usize,
    channels: usize,
}

/// What a convolution's and a pool's options say about the window.
struct WindowOptions {
    padding: i8,
    kernel: (usize, usize),
    stride: (i32, i32),
}

impl<'l> Layer<'l, '_> {
    pub(super) fn conv_2d(&self) -> Result<OperatorKind, LayerProblem> {
        self.operand_counts(2, 3, "2 or 3")?;
        let options = self.builtin_options::<Conv2dOptions>()?;
        self.undilated(options.dilation_h_factor(), options.dilation_w_factor())?;
        let (input, output) = (self.activation(0, "input")?, self.output()?);
        let image = image(input, "input")?;
        let weights = self.weights()?;
        let [out_channels, kernel_height, kernel_width, in_channels] = sizes(weights, "weights")?;
        if in_channels != image.channels {
            return Err(LayerProblem::GroupedConvolution { input: image.channels, weights: in_channels });
        }
        let (window, output_height, output_width) = window(
            image,
            &WindowOptions {
                padding: options.padding(),
                kernel: (kernel_height, kernel_width),
                stride: (options.stride_h(), options.stride_w()),
            },
        )?;
        shape_is(output, "output", &[image.batch, output_height, output_width, out_channels])?;
        self.bias(out_channels)?;
        let activation = activation(options.fused_activation_function())?;
        let output_stage = output_stage(input, weights, output, (0, out_channels), activation)?;
        Ok(OperatorKind::Conv2d(Conv2d { window, output_stage }))
    }

    pub(super) fn depthwise_conv_2d(&self) -> Result<OperatorKind, LayerProblem> {
        self.operand_counts(2, 3, "2 or 3")?;
        let options = self.builtin_options::<DepthwiseConv2dOptions>()?;
        self.undilated(options.dilation_h_factor(), options.dilation_w_factor())?;
        let (input, output) = (self.activation(0, "input")?, self.output()?);
        let image = image(input, "input")?;
        let weights = self.weights()?;
        let [_, kernel_height, kernel_width, out_channels] = sizes(weights, "weights")?;
        shape_is(weights, "weights", &[1, kernel_height, kernel_width, out_channels])?;
        if out_channels % image.channels != 0 {
            return Err(LayerProblem::DepthMultiplier { input: image.channels, output: out_channels });
        }
        let (window, output_height, output_width) = window(
            image,
            &WindowOptions {
                padding: options.padding(),
                kernel: (kernel_height, kernel_width),
                stride: (options.stride_h(), options.stride_w()),
            },
        )?;
        shape_is(output, "output", &[image.batch, output_height, output_width, out_channels])?;
        self.bias(out_channels)?;
        let activation = activation(options.fused_activation_function())?;
        let output_stage = output_stage(input, weights, output, (3, out_channels), activation)?;
        // The options hold a multiplier too; TensorFlow Lite computes with the quotient of the channels.
        let depth_multiplier = out_channels / image.channels;
        Ok(OperatorKind::DepthwiseConv2d(DepthwiseConv2d { window, depth_multiplier, output_stage }))
    }

    pub(super) fn fully_connected(&self) -> Result<OperatorKind, LayerProblem> {
        self.operand_counts(2, 3, "2 or 3")?;
        let options = self.builtin_options::<FullyConnectedOptions>()?;
        if options.weights_format() != 0 {
            return Err(LayerProblem::WeightsFormat(options.weights_format()));
        }
        let (input, output) = (self.activation(0, "input")?, self.output()?);
        let weights = self.weights()?;
        let [output_depth, input_depth] = sizes(weights, "weights")?;
        let elements = input.element_count();
        if elements % input_depth != 0 {
            return Err(LayerProblem::InputDepth { elements, depth: input_depth });
        }
        let batches = elements / input_depth;
        if options.keep_num_dims() {
            let mut expected = input.shape.clone();
            // The weights' depth is the innermost size then, not a divisor of the whole.
            match expected.last_mut() {
                Some(last) if *last == input_depth => *last = output_depth,
                _ => return Err(LayerProblem::InputDepth { elements, depth: input_depth }),
            }
            shape_is(output, "output", &expected)?;
        } else {
            shape_is(output, "output", &[batches, output_depth])?;
        }
        self.bias(output_depth)?;
        let activation = activation(options.fused_activation_function())?;
        let output_stage = output_stage(input, weights, output, (0, output_depth), activation)?;
        Ok(OperatorKind::FullyConnected(FullyConnected { batches, input_depth, output_depth, output_stage }))
    }

    pub(super) fn average_pool_2d(&self) -> Result<OperatorKind, LayerProblem> {
        let pool = self.pool_2d()?;
        // The largest count; padding only makes it smaller.
        let (height, width) = (pool.window.kernel_height, pool.window.kernel_width);
        if height.saturating_mul(width) > MAX_AVERAGE_COUNT as usize {
            return Err(LayerProblem::MeanTooLarge { height, width });
        }
        Ok(OperatorKind::AveragePool2d(pool))
    }

    pub(super) fn max_pool_2d(&self) -> Result<OperatorKind, LayerProblem> {
        Ok(OperatorKind::MaxPool2d(self.pool_2d()?))
    }

    fn pool_2d(&self) -> Result<Pool2d, LayerProblem> {
        self.operand_counts(1, 1, "1")?;
        let options = self.builtin_options::<Pool2dOptions>()?;
        let (input, output) = (self.activation(0, "input")?, self.output()?);
        let image = image(input, "input")?;
        let (height, width) = (options.filter_height(), options.filter_width());
        if height < 1 || width < 1 {
            return Err(LayerProblem::WindowSize { what: "pool size", height, width });
        }
        let (window, output_height, output_width) = window(
            image,
            &WindowOptions {
                padding: options.padding(),
                kernel: (height as usize, width as usize),
                stride: (options.stride_h(), options.stride_w()),
            },
        )?;
        shape_is(output, "output", &[image.batch, output_height, output_width, image.channels])?;
        let (scale, zero_point) = same_quantisation(input, output)?;
        let activation = activation(options.fused_activation_function())?;
        Ok(Pool2d { window, activation, range: activation.range(scale, zero_point)? })
    }

    fn undilated(&self, height: i32, width: i32) -> Result<(), LayerProblem> {
        if (height, width) == (1, 1) {
            Ok(())
        } else {
            Err(LayerProblem::Dilation { height, width })
        }
    }

    /// The constant int8 weights, operand 1.
    fn weights(&self) -> Result<&'l Tensor, LayerProblem> {
        let weights = self.operand(1, "weights")?;
        int8(weights, "weights")?;
        if weights.as_i8().is_none() {
            return Err(LayerProblem::NotConstant { role: "weights" });
        }
        Ok(weights)
    }

    /// Checks operand 2: absent, or a constant int32 for each output channel.
    fn bias(&self, channels: usize) -> Result<(), LayerProblem> {
        let Some(id) = self.inputs.get(2).copied().flatten() else { return Ok(()) };
        let bias = &self.tensors[id.0];
        if bias.data_type != DataType::I32 {
            return Err(LayerProblem::OperandType {
                role: "bias",
                found: bias.data_type,
                needed: DataType::I32,
            });
        }
        if bias.as_i32().is_none() {
            return Err(LayerProblem::NotConstant { role: "bias" });
        }
        shape_is(bias, "bias", &[channels])
    }
}

fn image(tensor: &Tensor, role: &'static str) -> Result<Image, LayerProblem> {
    let [batch, height, width, channels] = sizes(tensor, role)?;
    Ok(Image { batch, height, width, channels })
}

/// The window with explicit padding, and the height and width of its output.
fn window(image: Image, options: &WindowOptions) -> Result<(Window, usize, usize), LayerProblem> {
    let (height, width) = options.stride;
    if height < 1 || width < 1 {
        return Err(LayerProblem::WindowSize { what: "stride", height, width });
    }
    let (stride_height, stride_width) = (height as usize, width as usize);
    let scheme = match options.padding {
        0 => PaddingScheme::Same,
        1 => PaddingScheme::Valid,
        other => return Err(LayerProblem::PaddingScheme(other)),
    };
    let (kernel_height, kernel_width) = options.kernel;
    let rows = place(scheme, image.height, kernel_height, stride_height);
    let columns = place(scheme, image.width, kernel_width, stride_width);
    let (Some((output_height, top, bottom)), Some((output_width, left, right))) = (rows, columns) else {
        return Err(LayerProblem::KernelExceedsImage {
            kernel: Shape(vec![kernel_height, kernel_width]),
            image: Shape(vec![image.height, image.width]),
        });
    };
    let padding = Padding { top, left, bottom, right };
    let window = Window { kernel_height, kernel_width, stride_height, stride_width, padding };
    Ok((window, output_height, output_width))
}

/// The requantisation of a layer with weights, whose output channels lie along `channels.0` and number `channels.1`.
fn output_stage(
    input: &Tensor,
    weights: &Tensor,
    output: &Tensor,
    channels: (usize, usize),
    activation: Activation,
) -> Result<OutputStage, LayerProblem> {
    let (channel_axis, channel_count) = channels;
    let (input_scale, input_zero_point) = per_tensor(input, "input")?;
    let (output_scale, output_zero_point) = per_tensor(output, "output")?;
    let (scales, zero_points) = match &weights.quantisation {
        None => return Err(LayerProblem::NotQuantised { role: "weights" }),
        Some(Quantisation::PerTensor { scale, zero_point }) => {
            (vec![*scale; channel_count], vec![*zero_point])
        }
        Some(Quantisation::PerChannel { scales, zero_points, axis }) => {
            // The reader has checked that there are as many scales as indices along this axis.
            if *axis != channel_axis {
                return Err(LayerProblem::WeightAxis { found: *axis, needed: channel_axis });
            }
            (scales.clone(), zero_points.clone())
        }
    };
    if let Some((channel, &zero_point)) =
        zero_points.iter().enumerate().find(|(_, zero_point)| **zero_point != 0)
    {
        return Err(LayerProblem::WeightZeroPoint { channel, zero_point });
    }
    let multipliers = scales
        .iter()
        .map(|&scale| Multiplier::from_scales(input_scale, scale, output_scale))
        .collect::<Result<Vec<_>, _>>()?;
    let range = activation.range(output_scale, output_zero_point)?;
    Ok(OutputStage { multipliers, input_zero_point, output_zero_point, activation, range })
}
