//! Tensors: what can be checked without knowing their use.

use crate::error::{GraphError, Shape, TensorProblem};
use crate::graph::{Constant, DataType, Quantisation, Tensor};
use crate::tflite::schema::{self, tensor_type};

use super::tensor_label;

/// The largest tensor the reader accepts; products of a few sizes then stay far from overflow.
pub const MAX_TENSOR_ELEMENTS: usize = 1 << 28;

/// Reads a tensor; checks what can be checked without knowing its use.
pub(super) fn read_tensor(
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
        tensor_type::UINT8 => DataType::U8,
        tensor_type::INT32 => DataType::I32,
        tensor_type::FLOAT32 => DataType::F32,
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
        DataType::U8 => (0..=255, "0 to 255"),
        DataType::I32 => (0..=0, "0"),
        // Not used by any layer; what counts is that it can be held.
        DataType::F32 | DataType::Other(_) => (i64::from(i32::MIN)..=i64::from(i32::MAX), "32 bits"),
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
        DataType::U8 | DataType::F32 | DataType::Other(_) => return Ok(None),
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
