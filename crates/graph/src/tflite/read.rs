//! From a verified flatbuffer to a checked [`Graph`].

use flatbuffers::{ForwardsUOffset, Vector};
use frugal_quant::multiplier::MAX_AVERAGE_COUNT;
use frugal_quant::softmax::{MAX_ROW_LENGTH, OUTPUT_SCALE, OUTPUT_ZERO_POINT};
use frugal_quant::{Activation, AddParameters, Multiplier, SoftmaxParameters};

use super::schema::{
    self, builtin, tensor_type, AddOptions, BuiltinOptions, Conv2dOptions, DepthwiseConv2dOptions,
    FullyConnectedOptions, Pool2dOptions, SoftmaxOptions,
};
use crate::error::{GraphError, LayerProblem, Shape, TensorProblem};
use crate::graph::{
    Add, Constant, Conv2d, DataType, DepthwiseConv2d, FullyConnected, Graph, Operator, OperatorKind,
    OutputStage, Pool2d, Quantisation, Softmax, Tensor, TensorId,
};
use crate::window::{place, Padding, PaddingScheme, Window};

/// The operators a graph may hold, by their names in the TensorFlow Lite schema.
pub const SUPPORTED_OPERATORS: &[&str] = &[
    "CONV_2D",
    "DEPTHWISE_CONV_2D",
    "FULLY_CONNECTED",
    "ADD",
    "AVERAGE_POOL_2D",
    "MAX_POOL_2D",
    "RESHAPE",
    "SOFTMAX",
];

/// The largest tensor the reader accepts; products of a few sizes then stay far from overflow.
pub const MAX_TENSOR_ELEMENTS: usize = 1 << 28;

const SCHEMA_VERSION: u32 = 3;
const IDENTIFIER: &[u8] = b"TFL3";

/// Reads an int8 TensorFlow Lite model from the bytes of its file.
///
/// # Errors
/// For bytes that are no such file, and for every model that [`crate`] does not promise to hold; see [`GraphError`].
pub fn read(bytes: &[u8]) -> Result<Graph, GraphError> {
    if bytes.get(4..8) != Some(IDENTIFIER) {
        return Err(GraphError::NotTflite);
    }
    let model = schema::root(bytes).map_err(|error| GraphError::Damaged(Box::new(error)))?;
    if model.version() != SCHEMA_VERSION {
        return Err(GraphError::SchemaVersion(model.version()));
    }
    let subgraphs = model.subgraphs().ok_or(GraphError::Empty("subgraph"))?;
    if subgraphs.len() != 1 {
        return Err(GraphError::SubgraphCount(subgraphs.len()));
    }
    let subgraph = subgraphs.get(0);
    let tensors = vector(subgraph.tensors())
        .enumerate()
        .map(|(index, tensor)| read_tensor(&model, index, &tensor))
        .collect::<Result<Vec<_>, _>>()?;
    let graph_tensors = |role: &'static str, ids: Option<Vector<'_, i32>>| {
        let ids = ids
            .iter()
            .flat_map(|ids| ids.iter())
            .map(|id| tensor_id(i64::from(id), tensors.len(), "the graph", role))
            .collect::<Result<Vec<_>, _>>()?;
        if ids.is_empty() {
            return Err(GraphError::Empty(role));
        }
        Ok(ids)
    };
    let inputs = graph_tensors("input", subgraph.inputs())?;
    let outputs = graph_tensors("output", subgraph.outputs())?;
    for (role, ids) in [("input", &inputs), ("output", &outputs)] {
        for id in ids {
            let data_type = tensors[id.0].data_type;
            if data_type != DataType::I8 {
                return Err(tensor_error(&tensors, *id, TensorProblem::GraphDataType { role, data_type }));
            }
        }
    }
    let mut written: Vec<bool> = tensors.iter().map(|tensor| tensor.data.is_some()).collect();
    for id in &inputs {
        written[id.0] = true;
    }
    let mut operators = Vec::new();
    for (index, operator) in vector(subgraph.operators()).enumerate() {
        operators.push(read_operator(&model, &tensors, &mut written, index, &operator)?);
    }
    if operators.is_empty() {
        return Err(GraphError::Empty("layer"));
    }
    if let Some(id) = outputs.iter().find(|id| !written[id.0]) {
        return Err(tensor_error(&tensors, *id, TensorProblem::NeverWritten));
    }
    let name = subgraph.name().filter(|name| !name.is_empty()).unwrap_or("main").to_string();
    Ok(Graph { name, tensors, operators, inputs, outputs })
}

/// The elements of a vector of tables that may be absent.
fn vector<'a, T>(tables: Option<Vector<'a, ForwardsUOffset<T>>>) -> impl Iterator<Item = T::Inner> + 'a
where
    T: flatbuffers::Follow<'a> + 'a,
{
    tables.into_iter().flat_map(|tables| tables.iter())
}

/// Checks an index of a tensor.
fn tensor_id(index: i64, count: usize, holder: &str, field: &'static str) -> Result<TensorId, GraphError> {
    match usize::try_from(index) {
        Ok(id) if id < count => Ok(TensorId(id)),
        _ => Err(GraphError::DanglingIndex { holder: holder.to_string(), field, index, count }),
    }
}

/// How a message names a tensor.
fn tensor_label(name: &str, index: usize) -> String {
    if name.is_empty() {
        format!("{index}")
    } else {
        format!("{index} \"{name}\"")
    }
}

fn tensor_error(tensors: &[Tensor], id: TensorId, problem: TensorProblem) -> GraphError {
    GraphError::Tensor { tensor: tensor_label(&tensors[id.0].name, id.0), problem }
}

/// Reads a tensor; checks what can be checked without knowing its use.
fn read_tensor(
    model: &schema::Model<'_>,
    index: usize,
    tensor: &schema::Tensor<'_>,
) -> Result<Tensor, GraphError> {
    let name = tensor.name().unwrap_or_default();
    let fail = |problem| GraphError::Tensor { tensor: tensor_label(name, index), problem };
    if tensor.is_variable() {
        return Err(fail(TensorProblem::Variable));
    }
    if tensor.sparsity().is_some() {
        return Err(fail(TensorProblem::Sparse));
    }
    let shape = read_shape(tensor).map_err(fail)?;
    let data_type = match tensor.tensor_type() {
        tensor_type::INT8 => DataType::I8,
        tensor_type::INT32 => DataType::I32,
        other => DataType::Other(other),
    };
    let quantisation = match tensor.quantization() {
        Some(parameters) => read_quantisation(&parameters, data_type, &shape).map_err(fail)?,
        None => None,
    };
    let buffers = model.buffers();
    let buffer_count = buffers.map_or(0, |buffers| buffers.len());
    let buffer = match buffers {
        Some(buffers) if (tensor.buffer() as usize) < buffer_count => buffers.get(tensor.buffer() as usize),
        _ => {
            return Err(GraphError::DanglingIndex {
                holder: format!("tensor {}", tensor_label(name, index)),
                field: "buffer",
                index: i64::from(tensor.buffer()),
                count: buffer_count,
            })
        }
    };
    // Offset 1 is what the converter writes for "inside the flatbuffer" in a large file.
    if tensor.external_buffer() != 0 || buffer.offset() > 1 {
        return Err(fail(TensorProblem::ExternalData));
    }
    let bytes = buffer.data().map(|data| data.bytes()).filter(|bytes| !bytes.is_empty());
    let data =
        bytes.map(|bytes| read_constant(bytes, data_type, &shape)).transpose().map_err(fail)?.flatten();
    Ok(Tensor { name: name.to_string(), shape, data_type, quantisation, data })
}

/// The sizes of a tensor, each at least one.
fn read_shape(tensor: &schema::Tensor<'_>) -> Result<Vec<usize>, TensorProblem> {
    let sizes: Vec<i32> = tensor.shape().iter().flat_map(|shape| shape.iter()).collect();
    let signature: Vec<i32> = tensor.shape_signature().iter().flat_map(|shape| shape.iter()).collect();
    // The converter leaves the batch open by default and writes the size it was converted with into the shape; TensorFlow
    // Lite Micro takes the shape. Another open dimension is dynamic in earnest.
    if signature.iter().skip(1).any(|&size| size < 1) {
        return Err(TensorProblem::DynamicShape(Shape(signature)));
    }
    if sizes.iter().any(|&size| size < 1) {
        return Err(TensorProblem::DynamicShape(Shape(sizes)));
    }
    let shape: Vec<usize> = sizes.iter().map(|&size| size as usize).collect();
    let elements = shape.iter().try_fold(1usize, |product, &size| product.checked_mul(size));
    match elements {
        Some(elements) if elements <= MAX_TENSOR_ELEMENTS => Ok(shape),
        _ => Err(TensorProblem::TooLarge(Shape(sizes))),
    }
}

fn read_quantisation(
    parameters: &schema::QuantizationParameters<'_>,
    data_type: DataType,
    shape: &[usize],
) -> Result<Option<Quantisation>, TensorProblem> {
    if parameters.details_type() != 0 {
        return Err(TensorProblem::CustomQuantisation);
    }
    let scales: Vec<f32> = parameters.scale().iter().flat_map(|scales| scales.iter()).collect();
    let zero_points: Vec<i64> = parameters.zero_point().iter().flat_map(|points| points.iter()).collect();
    if scales.is_empty() {
        return Ok(None);
    }
    if scales.len() != zero_points.len() {
        return Err(TensorProblem::QuantisationCounts {
            scales: scales.len(),
            zero_points: zero_points.len(),
        });
    }
    if let Some((channel, &scale)) = scales.iter().enumerate().find(|(_, s)| !(s.is_finite() && **s > 0.0)) {
        return Err(TensorProblem::Scale { channel, scale });
    }
    let (allowed, text) = match data_type {
        DataType::I8 => (-128..=127, "-128 to 127"),
        DataType::I32 => (0..=0, "0"),
        // Not used by any layer; what counts is that it can be held.
        DataType::Other(_) => (i64::from(i32::MIN)..=i64::from(i32::MAX), "32 bits"),
    };
    if let Some((channel, &zero_point)) = zero_points.iter().enumerate().find(|(_, z)| !allowed.contains(z)) {
        return Err(TensorProblem::ZeroPoint { channel, zero_point, data_type, allowed: text });
    }
    let zero_points: Vec<i32> = zero_points.iter().map(|&zero_point| zero_point as i32).collect();
    if scales.len() == 1 {
        return Ok(Some(Quantisation::PerTensor { scale: scales[0], zero_point: zero_points[0] }));
    }
    let axis = parameters.quantized_dimension();
    match usize::try_from(axis) {
        Ok(axis) if shape.get(axis) == Some(&scales.len()) => {
            Ok(Some(Quantisation::PerChannel { scales, zero_points, axis }))
        }
        _ => Err(TensorProblem::ChannelCount { axis, scales: scales.len(), shape: shape.into() }),
    }
}

/// The elements of a constant; `None` for a type that no supported layer reads.
fn read_constant(
    bytes: &[u8],
    data_type: DataType,
    shape: &[usize],
) -> Result<Option<Constant>, TensorProblem> {
    let element_bytes = match data_type {
        DataType::I8 => 1,
        DataType::I32 => 4,
        DataType::Other(_) => return Ok(None),
    };
    let needed = shape.iter().product::<usize>() * element_bytes;
    if bytes.len() != needed {
        return Err(TensorProblem::DataSize { shape: shape.into(), data_type, needed, found: bytes.len() });
    }
    Ok(Some(match data_type {
        DataType::I8 => Constant::I8(bytes.iter().map(|&byte| byte as i8).collect()),
        _ => {
            let words = bytes.chunks_exact(4);
            Constant::I32(
                words.map(|word| i32::from_le_bytes([word[0], word[1], word[2], word[3]])).collect(),
            )
        }
    }))
}

/// Reads one operator and marks its outputs as written.
fn read_operator(
    model: &schema::Model<'_>,
    tensors: &[Tensor],
    written: &mut [bool],
    index: usize,
    operator: &schema::Operator<'_>,
) -> Result<Operator, GraphError> {
    let unnamed = format!("op{index:02}");
    let codes = model.operator_codes();
    let code_count = codes.map_or(0, |codes| codes.len());
    let code = match codes {
        Some(codes) if (operator.opcode_index() as usize) < code_count => {
            codes.get(operator.opcode_index() as usize)
        }
        _ => {
            return Err(GraphError::DanglingIndex {
                holder: format!("layer {unnamed}"),
                field: "opcode_index",
                index: i64::from(operator.opcode_index()),
                count: code_count,
            })
        }
    };
    // Numbers above 127 do not fit the old field, which then holds a placeholder of 127.
    let number = code.builtin_code().max(i32::from(code.deprecated_builtin_code()));
    let kind_name = match (number, code.custom_code()) {
        (builtin::CUSTOM, Some(custom)) => format!("CUSTOM {custom}"),
        _ => schema::builtin_name(number).map_or_else(|| format!("BUILTIN_{number}"), str::to_string),
    };
    let name = format!("{unnamed}_{kind_name}");
    let ids = |field: &'static str, optional: bool, indices: Option<Vector<'_, i32>>| {
        indices
            .iter()
            .flat_map(|indices| indices.iter())
            .map(|id| {
                if id == -1 && optional {
                    return Ok(None);
                }
                tensor_id(i64::from(id), tensors.len(), &format!("layer {name}"), field).map(Some)
            })
            .collect::<Result<Vec<_>, _>>()
    };
    let inputs = ids("inputs", true, operator.inputs())?;
    let outputs: Vec<TensorId> = ids("outputs", false, operator.outputs())?.into_iter().flatten().collect();
    let layer = Layer { tensors, written, options: operator, inputs: &inputs, outputs: &outputs };
    let kind = match number {
        builtin::CONV_2D => layer.conv_2d(),
        builtin::DEPTHWISE_CONV_2D => layer.depthwise_conv_2d(),
        builtin::FULLY_CONNECTED => layer.fully_connected(),
        builtin::ADD => layer.add(),
        builtin::AVERAGE_POOL_2D => layer.average_pool_2d(),
        builtin::MAX_POOL_2D => layer.max_pool_2d(),
        builtin::RESHAPE => layer.reshape(),
        builtin::SOFTMAX => layer.softmax(),
        _ => Err(LayerProblem::UnsupportedOperator { operator: kind_name }),
    }
    .map_err(|problem| GraphError::Layer { layer: name.clone(), problem })?;
    for id in &outputs {
        written[id.0] = true;
    }
    Ok(Operator { index, name, kind, inputs, outputs })
}

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

/// One operator of the file, with what is known so far.
struct Layer<'l, 'a> {
    tensors: &'l [Tensor],
    /// Which tensors are constants, graph inputs, or written by an earlier layer.
    written: &'l [bool],
    options: &'l schema::Operator<'a>,
    inputs: &'l [Option<TensorId>],
    outputs: &'l [TensorId],
}

impl<'l, 'a> Layer<'l, 'a> {
    fn conv_2d(&self) -> Result<OperatorKind, LayerProblem> {
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

    fn depthwise_conv_2d(&self) -> Result<OperatorKind, LayerProblem> {
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

    fn fully_connected(&self) -> Result<OperatorKind, LayerProblem> {
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

    fn add(&self) -> Result<OperatorKind, LayerProblem> {
        self.operand_counts(2, 2, "2")?;
        // Without options there is no activation.
        let code = self.options.builtin_options::<AddOptions>().map_or(0, |o| o.fused_activation_function());
        let (a, b, output) =
            (self.activation(0, "first operand")?, self.activation(1, "second operand")?, self.output()?);
        if a.shape != b.shape {
            return Err(LayerProblem::Broadcast { a: (&a.shape).into(), b: (&b.shape).into() });
        }
        shape_is(output, "output", &a.shape)?;
        let activation = activation(code)?;
        let (scale_a, zero_point_a) = per_tensor(a, "first operand")?;
        let (scale_b, zero_point_b) = per_tensor(b, "second operand")?;
        let (scale, zero_point) = per_tensor(output, "output")?;
        let range = activation.range(scale, zero_point)?;
        let parameters =
            AddParameters::new(scale_a, zero_point_a, scale_b, zero_point_b, scale, zero_point, range)?;
        Ok(OperatorKind::Add(Add { parameters, activation }))
    }

    fn average_pool_2d(&self) -> Result<OperatorKind, LayerProblem> {
        let pool = self.pool_2d()?;
        // The largest count; padding only makes it smaller.
        let (height, width) = (pool.window.kernel_height, pool.window.kernel_width);
        if height.saturating_mul(width) > MAX_AVERAGE_COUNT as usize {
            return Err(LayerProblem::MeanTooLarge { height, width });
        }
        Ok(OperatorKind::AveragePool2d(pool))
    }

    fn max_pool_2d(&self) -> Result<OperatorKind, LayerProblem> {
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

    fn reshape(&self) -> Result<OperatorKind, LayerProblem> {
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
        if let Some(shape) = self.inputs.get(1).copied().flatten() {
            let shape = &self.tensors[shape.0];
            if shape.data_type != DataType::I32 {
                return Err(LayerProblem::OperandType {
                    role: "shape",
                    found: shape.data_type,
                    needed: DataType::I32,
                });
            }
            let requested = shape.as_i32().ok_or(LayerProblem::NotConstant { role: "shape" })?;
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
        Ok(OperatorKind::Reshape)
    }

    fn softmax(&self) -> Result<OperatorKind, LayerProblem> {
        self.operand_counts(1, 1, "1")?;
        let options = self.builtin_options::<SoftmaxOptions>()?;
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
        let quantisation = per_tensor(output, "output")?;
        if quantisation != (OUTPUT_SCALE, OUTPUT_ZERO_POINT) {
            return Err(LayerProblem::SoftmaxOutput { found: quantisation });
        }
        let (scale, _) = per_tensor(input, "input")?;
        let parameters = SoftmaxParameters::new(scale, options.beta())?;
        Ok(OperatorKind::Softmax(Softmax { beta: options.beta(), parameters }))
    }

    /// Checks the number of inputs, and that there is one output.
    fn operand_counts(&self, least: usize, most: usize, needed: &'static str) -> Result<(), LayerProblem> {
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

    fn builtin_options<T: BuiltinOptions<'a> + 'a>(&self) -> Result<T::Inner, LayerProblem> {
        self.options.builtin_options::<T>().ok_or(LayerProblem::OptionsMissing)
    }

    fn undilated(&self, height: i32, width: i32) -> Result<(), LayerProblem> {
        if (height, width) == (1, 1) {
            Ok(())
        } else {
            Err(LayerProblem::Dilation { height, width })
        }
    }

    fn operand(&self, position: usize, role: &'static str) -> Result<&'l Tensor, LayerProblem> {
        let id = self.inputs.get(position).copied().flatten().ok_or(LayerProblem::OperandMissing { role })?;
        Ok(&self.tensors[id.0])
    }

    /// An int8 operand that is known when the layer runs.
    fn activation(&self, position: usize, role: &'static str) -> Result<&'l Tensor, LayerProblem> {
        let tensor = self.operand(position, role)?;
        int8(tensor, role)?;
        let written = self.inputs[position].is_some_and(|id| self.written[id.0]);
        if written {
            Ok(tensor)
        } else {
            Err(LayerProblem::ReadBeforeWrite { role })
        }
    }

    fn output(&self) -> Result<&'l Tensor, LayerProblem> {
        let id = self.outputs[0];
        let tensor = &self.tensors[id.0];
        int8(tensor, "output")?;
        if self.written[id.0] {
            return Err(LayerProblem::WrittenTwice);
        }
        Ok(tensor)
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

fn int8(tensor: &Tensor, role: &'static str) -> Result<(), LayerProblem> {
    if tensor.data_type == DataType::I8 {
        Ok(())
    } else {
        Err(LayerProblem::OperandType { role, found: tensor.data_type, needed: DataType::I8 })
    }
}

/// The sizes of a tensor of `N` dimensions.
fn sizes<const N: usize>(tensor: &Tensor, role: &'static str) -> Result<[usize; N], LayerProblem> {
    let found = || (&tensor.shape).into();
    tensor.shape.as_slice().try_into().map_err(|_| LayerProblem::Rank { role, found: found(), needed: N })
}

fn image(tensor: &Tensor, role: &'static str) -> Result<Image, LayerProblem> {
    let [batch, height, width, channels] = sizes(tensor, role)?;
    Ok(Image { batch, height, width, channels })
}

fn shape_is(tensor: &Tensor, role: &'static str, needed: &[usize]) -> Result<(), LayerProblem> {
    if tensor.shape == needed {
        Ok(())
    } else {
        Err(LayerProblem::ShapeMismatch { role, found: (&tensor.shape).into(), needed: needed.into() })
    }
}

fn per_tensor(tensor: &Tensor, role: &'static str) -> Result<(f32, i32), LayerProblem> {
    match tensor.quantisation {
        Some(Quantisation::PerTensor { scale, zero_point }) => Ok((scale, zero_point)),
        Some(Quantisation::PerChannel { .. }) => Err(LayerProblem::PerChannelActivation { role }),
        None => Err(LayerProblem::NotQuantised { role }),
    }
}

/// The quantisation that input and output share.
fn same_quantisation(input: &Tensor, output: &Tensor) -> Result<(f32, i32), LayerProblem> {
    let (input, output) = (per_tensor(input, "input")?, per_tensor(output, "output")?);
    if input == output {
        Ok(input)
    } else {
        Err(LayerProblem::QuantisationDiffers { input, output })
    }
}

fn activation(code: i8) -> Result<Activation, LayerProblem> {
    match code {
        0 => Ok(Activation::None),
        1 => Ok(Activation::Relu),
        2 => Ok(Activation::ReluN1To1),
        3 => Ok(Activation::Relu6),
        other => Err(LayerProblem::Activation(other)),
    }
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
