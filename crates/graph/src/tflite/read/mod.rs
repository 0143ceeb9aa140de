//! From a verified flatbuffer to a checked [`Graph`].

mod elementwise;
mod layer;
mod shape;
mod tensor;
mod window;

use flatbuffers::{ForwardsUOffset, Vector};

use super::schema::{self, builtin};
use crate::error::{GraphError, LayerProblem, TensorProblem};
use crate::graph::{DataType, Graph, Operator, Tensor, TensorId};
use layer::Layer;
pub use tensor::MAX_TENSOR_ELEMENTS;

/// The operators a graph may hold, by their names in the TensorFlow Lite schema.
pub const SUPPORTED_OPERATORS: &[&str] = &[
    "CONV_2D",
    "DEPTHWISE_CONV_2D",
    "FULLY_CONNECTED",
    "ADD",
    "SUB",
    "MUL",
    "AVERAGE_POOL_2D",
    "MAX_POOL_2D",
    "MEAN",
    "PAD",
    "PADV2",
    "CONCATENATION",
    "LOGISTIC",
    "TANH",
    "RELU",
    "RELU6",
    "LEAKY_RELU",
    "HARD_SWISH",
    "QUANTIZE",
    "DEQUANTIZE",
    "RESHAPE",
    "EXPAND_DIMS",
    "SQUEEZE",
    "SOFTMAX",
];

pub(super) const SCHEMA_VERSION: u32 = 3;
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
    // People know their layers better than their tensors.
    let with_layer = |error: GraphError, index: usize| match error {
        GraphError::Tensor { tensor, problem } => {
            let user = first_use(&model, &subgraph, index).map_or(String::new(), |user| format!(", {user}"));
            GraphError::Tensor { tensor: format!("{tensor}{user}"), problem }
        }
        error => error,
    };
    let tensors = vector(subgraph.tensors())
        .enumerate()
        .map(|(index, tensor)| {
            tensor::read_tensor(&model, index, &tensor).map_err(|error| with_layer(error, index))
        })
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
            if !matches!(data_type, DataType::I8 | DataType::U8 | DataType::F32) {
                let error = tensor_error(&tensors, *id, TensorProblem::GraphDataType { role, data_type });
                return Err(with_layer(error, id.0));
            }
        }
    }
    let mut written: Vec<bool> = tensors.iter().map(|tensor| tensor.data.is_some()).collect();
    for id in &inputs {
        written[id.0] = true;
    }
    let mut operators = Vec::new();
    for (index, operator) in vector(subgraph.operators()).enumerate() {
        let borders = (&inputs[..], &outputs[..]);
        operators.push(read_operator(&model, &tensors, &mut written, borders, index, &operator)?);
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

/// What the first layer that uses a tensor does with it.
fn first_use(model: &schema::Model<'_>, subgraph: &schema::SubGraph<'_>, tensor: usize) -> Option<String> {
    let has = |ids: Option<Vector<'_, i32>>| {
        ids.iter().flat_map(|ids| ids.iter()).any(|id| usize::try_from(id) == Ok(tensor))
    };
    vector(subgraph.operators()).enumerate().find_map(|(index, operator)| {
        let verb = match (has(operator.outputs()), has(operator.inputs())) {
            (true, _) => "writes",
            (_, true) => "reads",
            _ => return None,
        };
        let kind = operator_kind(model, &operator).map_or(String::new(), |(_, kind)| format!("_{kind}"));
        Some(format!("which layer op{index:02}{kind} {verb}"))
    })
}

/// Number and name of what an operator computes, unless the file does not say.
fn operator_kind(model: &schema::Model<'_>, operator: &schema::Operator<'_>) -> Option<(i32, String)> {
    let codes = model.operator_codes()?;
    let index = operator.opcode_index() as usize;
    let code = (index < codes.len()).then(|| codes.get(index))?;
    // Numbers above 127 do not fit the old field, which then holds a placeholder of 127.
    let number = code.builtin_code().max(i32::from(code.deprecated_builtin_code()));
    let name = match (number, code.custom_code()) {
        (builtin::CUSTOM, Some(custom)) => format!("CUSTOM {custom}"),
        _ => schema::builtin_name(number).map_or_else(|| format!("BUILTIN_{number}"), str::to_string),
    };
    Some((number, name))
}

/// Reads one operator and marks its outputs as written; `borders` are the graph's inputs and outputs.
fn read_operator(
    model: &schema::Model<'_>,
    tensors: &[Tensor],
    written: &mut [bool],
    (graph_inputs, graph_outputs): (&[TensorId], &[TensorId]),
    index: usize,
    operator: &schema::Operator<'_>,
) -> Result<Operator, GraphError> {
    let unnamed = format!("op{index:02}");
    let Some((number, kind_name)) = operator_kind(model, operator) else {
        return Err(GraphError::DanglingIndex {
            holder: format!("layer {unnamed}"),
            field: "opcode_index",
            index: i64::from(operator.opcode_index()),
            count: model.operator_codes().map_or(0, |codes| codes.len()),
        });
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
    let layer = Layer {
        tensors,
        written,
        graph_inputs,
        graph_outputs,
        options: operator,
        inputs: &inputs,
        outputs: &outputs,
    };
    let kind = match number {
        builtin::CONV_2D => layer.conv_2d(),
        builtin::DEPTHWISE_CONV_2D => layer.depthwise_conv_2d(),
        builtin::FULLY_CONNECTED => layer.fully_connected(),
        builtin::ADD => layer.add(),
        builtin::AVERAGE_POOL_2D => layer.average_pool_2d(),
        builtin::MAX_POOL_2D => layer.max_pool_2d(),
        builtin::SUB => layer.sub(),
        builtin::MUL => layer.mul(),
        builtin::MEAN => layer.mean(),
        builtin::PAD => layer.pad(false),
        builtin::PADV2 => layer.pad(true),
        builtin::CONCATENATION => layer.concatenation(),
        builtin::LOGISTIC => layer.logistic(),
        builtin::TANH => layer.tanh(),
        builtin::RELU => layer.relu(),
        builtin::RELU6 => layer.relu6(),
        builtin::LEAKY_RELU => layer.leaky_relu(),
        builtin::HARD_SWISH => layer.hard_swish(),
        builtin::QUANTIZE => layer.quantize(),
        builtin::DEQUANTIZE => layer.dequantize(),
        builtin::RESHAPE => layer.reshape(),
        builtin::EXPAND_DIMS => layer.expand_dims(),
        builtin::SQUEEZE => layer.squeeze(),
        builtin::SOFTMAX => layer.softmax(),
        _ => Err(LayerProblem::UnsupportedOperator { operator: kind_name }),
    }
    .map_err(|problem| GraphError::Layer { layer: name.clone(), problem })?;
    for id in &outputs {
        written[id.0] = true;
    }
    Ok(Operator { index, name, kind, inputs, outputs })
}
