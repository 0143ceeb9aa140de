//! What the reader says about models it cannot take: one small valid model of each operator, broken in one place at a time.

use flatbuffers::{FlatBufferBuilder, TableFinishedWIPOffset, VOffsetT, WIPOffset};
use frugal_graph::{tflite, OperatorKind};

/// A field's value in an operator's options.
#[derive(Clone, Copy)]
enum Value {
    I8(i8),
    I32(i32),
    F32(f32),
    Bool(bool),
}

#[derive(Clone)]
struct TensorSpec {
    name: &'static str,
    shape: Vec<i32>,
    signature: Vec<i32>,
    data_type: i8,
    buffer: Option<u32>,
    variable: bool,
    sparse: bool,
    scales: Vec<f32>,
    zero_points: Vec<i64>,
    axis: i32,
    data: Vec<u8>,
}

#[derive(Clone)]
struct ModelSpec {
    version: u32,
    subgraphs: usize,
    tensors: Vec<TensorSpec>,
    code: i32,
    custom: Option<&'static str>,
    code_index: u32,
    operators: usize,
    inputs: Vec<i32>,
    outputs: Vec<i32>,
    options_type: u8,
    options: Vec<(u16, Value)>,
    graph_inputs: Vec<i32>,
    graph_outputs: Vec<i32>,
}

const INT8: i8 = 9;
const INT32: i8 = 2;
const FLOAT32: i8 = 0;
const UINT8: i8 = 3;
const INT16: i8 = 7;

fn slot(field: u16) -> VOffsetT {
    4 + 2 * field
}

/// Writes a table; `fill` pushes its fields.
fn table<'f>(
    builder: &mut FlatBufferBuilder<'f>,
    fill: impl FnOnce(&mut FlatBufferBuilder<'f>),
) -> WIPOffset<TableFinishedWIPOffset> {
    let start = builder.start_table();
    fill(builder);
    builder.end_table(start)
}

impl TensorSpec {
    fn activation(name: &'static str, shape: &[i32], scale: f32, zero_point: i64) -> TensorSpec {
        TensorSpec {
            name,
            shape: shape.to_vec(),
            signature: vec![],
            data_type: INT8,
            buffer: None,
            variable: false,
            sparse: false,
            scales: vec![scale],
            zero_points: vec![zero_point],
            axis: 0,
            data: vec![],
        }
    }

    /// Weights of ones, with a scale for each index along `axis`.
    fn weights(shape: &[i32], axis: i32) -> TensorSpec {
        let channels = shape[axis as usize] as usize;
        TensorSpec {
            scales: vec![0.01; channels],
            zero_points: vec![0; channels],
            axis,
            data: vec![1; shape.iter().product::<i32>() as usize],
            ..TensorSpec::activation("weights", shape, 0.0, 0)
        }
    }

    fn words(name: &'static str, words: &[i32]) -> TensorSpec {
        TensorSpec {
            data_type: INT32,
            scales: vec![],
            zero_points: vec![],
            data: words.iter().flat_map(|word| word.to_le_bytes()).collect(),
            ..TensorSpec::activation(name, &[words.len() as i32], 0.0, 0)
        }
    }
}

impl ModelSpec {
    fn new(code: i32, options_type: u8, options: &[(u16, Value)], tensors: Vec<TensorSpec>) -> ModelSpec {
        let last = tensors.len() as i32 - 1;
        ModelSpec {
            version: 3,
            subgraphs: 1,
            tensors,
            code,
            custom: None,
            code_index: 0,
            operators: 1,
            inputs: (0..last).collect(),
            outputs: vec![last],
            options_type,
            options: options.to_vec(),
            graph_inputs: vec![0],
            graph_outputs: vec![last],
        }
    }

    fn set(&mut self, field: u16, value: Value) {
        self.options.retain(|(other, _)| *other != field);
        self.options.push((field, value));
    }

    fn build(&self) -> Vec<u8> {
        let mut builder = FlatBufferBuilder::new();
        let b = &mut builder;
        let mut buffers = vec![table(b, |_| {})];
        let mut tensors = vec![];
        for tensor in &self.tensors {
            let mut buffer = 0;
            if !tensor.data.is_empty() {
                let data = b.create_vector(&tensor.data);
                buffer = buffers.len() as u32;
                buffers.push(table(b, |b| b.push_slot_always(slot(0), data)));
            }
            let (name, shape) = (b.create_string(tensor.name), b.create_vector(&tensor.shape));
            let signature = b.create_vector(&tensor.signature);
            let (scales, zero_points) =
                (b.create_vector(&tensor.scales), b.create_vector(&tensor.zero_points));
            let quantisation = table(b, |b| {
                b.push_slot_always(slot(2), scales);
                b.push_slot_always(slot(3), zero_points);
                b.push_slot(slot(6), tensor.axis, 0);
            });
            let sparsity = tensor.sparse.then(|| table(b, |_| {}));
            tensors.push(table(b, |b| {
                b.push_slot_always(slot(0), shape);
                b.push_slot(slot(1), tensor.data_type, 0);
                b.push_slot(slot(2), tensor.buffer.unwrap_or(buffer), 0);
                b.push_slot_always(slot(3), name);
                b.push_slot_always(slot(4), quantisation);
                b.push_slot(slot(5), tensor.variable, false);
                if let Some(sparsity) = sparsity {
                    b.push_slot_always(slot(6), sparsity);
                }
                if !tensor.signature.is_empty() {
                    b.push_slot_always(slot(7), signature);
                }
            }));
        }
        let options = table(b, |b| {
            for &(field, value) in &self.options {
                match value {
                    Value::I8(x) => b.push_slot_always(slot(field), x),
                    Value::I32(x) => b.push_slot_always(slot(field), x),
                    Value::F32(x) => b.push_slot_always(slot(field), x),
                    Value::Bool(x) => b.push_slot_always(slot(field), x),
                }
            }
        });
        let (inputs, outputs) = (b.create_vector(&self.inputs), b.create_vector(&self.outputs));
        let operator = table(b, |b| {
            b.push_slot(slot(0), self.code_index, 0);
            b.push_slot_always(slot(1), inputs);
            b.push_slot_always(slot(2), outputs);
            b.push_slot(slot(3), self.options_type, 0);
            if self.options_type != 0 {
                b.push_slot_always(slot(4), options);
            }
        });
        let custom = self.custom.map(|name| b.create_string(name));
        let code = table(b, |b| {
            b.push_slot(slot(0), self.code.min(127) as i8, 0);
            if let Some(custom) = custom {
                b.push_slot_always(slot(1), custom);
            }
            b.push_slot(slot(3), self.code, 0);
        });
        let (graph_inputs, graph_outputs) =
            (b.create_vector(&self.graph_inputs), b.create_vector(&self.graph_outputs));
        let (tensors, operators) =
            (b.create_vector(&tensors), b.create_vector(&vec![operator; self.operators]));
        let subgraph = table(b, |b| {
            b.push_slot_always(slot(0), tensors);
            b.push_slot_always(slot(1), graph_inputs);
            b.push_slot_always(slot(2), graph_outputs);
            b.push_slot_always(slot(3), operators);
        });
        let (codes, buffers) = (b.create_vector(&[code]), b.create_vector(&buffers));
        let subgraphs = b.create_vector(&vec![subgraph; self.subgraphs]);
        let model = table(b, |b| {
            b.push_slot(slot(0), self.version, 0);
            b.push_slot_always(slot(1), codes);
            b.push_slot_always(slot(2), subgraphs);
            b.push_slot_always(slot(4), buffers);
        });
        b.finish(model, Some("TFL3"));
        b.finished_data().to_vec()
    }
}

fn conv() -> ModelSpec {
    let options = [(1, Value::I32(2)), (2, Value::I32(1))];
    let tensors = vec![
        TensorSpec::activation("image", &[1, 5, 6, 2], 0.5, 3),
        TensorSpec::weights(&[4, 3, 3, 2], 0),
        TensorSpec::words("bias", &[1, 2, 3, 4]),
        TensorSpec::activation("features", &[1, 5, 3, 4], 0.25, -4),
    ];
    ModelSpec::new(3, 1, &options, tensors)
}

fn depthwise() -> ModelSpec {
    let options = [(1, Value::I32(1)), (2, Value::I32(1)), (3, Value::I32(2))];
    let tensors = vec![
        TensorSpec::activation("image", &[1, 5, 6, 2], 0.5, 3),
        TensorSpec::weights(&[1, 3, 3, 4], 3),
        TensorSpec::activation("features", &[1, 5, 6, 4], 0.25, -4),
    ];
    ModelSpec::new(4, 2, &options, tensors)
}

fn fully_connected() -> ModelSpec {
    let tensors = vec![
        TensorSpec::activation("features", &[1, 6], 0.5, 3),
        TensorSpec::weights(&[4, 6], 0),
        TensorSpec::words("bias", &[1, 2, 3, 4]),
        TensorSpec::activation("scores", &[1, 4], 0.25, -4),
    ];
    ModelSpec::new(9, 8, &[], tensors)
}

fn add() -> ModelSpec {
    let tensors = vec![
        TensorSpec::activation("a", &[1, 2, 2, 3], 0.5, 3),
        TensorSpec::activation("b", &[1, 2, 2, 3], 0.25, -4),
        TensorSpec::activation("sum", &[1, 2, 2, 3], 1.0, 0),
    ];
    ModelSpec { graph_inputs: vec![0, 1], ..ModelSpec::new(0, 11, &[], tensors) }
}

fn average_pool() -> ModelSpec {
    let options =
        [(0, Value::I8(1)), (1, Value::I32(2)), (2, Value::I32(2)), (3, Value::I32(2)), (4, Value::I32(2))];
    let tensors = vec![
        TensorSpec::activation("image", &[1, 4, 6, 3], 0.5, 3),
        TensorSpec::activation("means", &[1, 2, 3, 3], 0.5, 3),
    ];
    ModelSpec::new(1, 5, &options, tensors)
}

fn reshape() -> ModelSpec {
    let tensors = vec![
        TensorSpec::activation("image", &[1, 2, 3, 4], 0.5, 3),
        TensorSpec::words("shape", &[-1, 24]),
        TensorSpec::activation("flat", &[1, 24], 0.5, 3),
    ];
    ModelSpec::new(22, 17, &[], tensors)
}

fn softmax() -> ModelSpec {
    let tensors = vec![
        TensorSpec::activation("scores", &[1, 10], 0.1, 3),
        TensorSpec::activation("probabilities", &[1, 10], 1.0 / 256.0, -128),
    ];
    ModelSpec::new(25, 9, &[(0, Value::F32(1.0))], tensors)
}

fn binary(code: i32, options_type: u8) -> ModelSpec {
    ModelSpec { code, options_type, ..add() }
}

/// An operator of one operand, without options.
fn unary(code: i32, output: (f32, i64)) -> ModelSpec {
    let tensors = vec![
        TensorSpec::activation("x", &[1, 2, 3], 0.1, 3),
        TensorSpec::activation("y", &[1, 2, 3], output.0, output.1),
    ];
    ModelSpec::new(code, 0, &[], tensors)
}

fn mean() -> ModelSpec {
    let tensors = vec![
        TensorSpec::activation("image", &[1, 4, 6, 3], 0.5, 3),
        TensorSpec::words("axes", &[1, -2]),
        TensorSpec::activation("means", &[1, 3], 0.25, 7),
    ];
    ModelSpec::new(40, 27, &[], tensors)
}

fn pad() -> ModelSpec {
    let paddings = TensorSpec { shape: vec![3, 2], ..TensorSpec::words("paddings", &[0, 0, 1, 2, 0, 3]) };
    let tensors = vec![
        TensorSpec::activation("x", &[1, 2, 3], 0.5, 3),
        paddings,
        TensorSpec::activation("y", &[1, 5, 6], 0.5, 3),
    ];
    ModelSpec::new(34, 0, &[], tensors)
}

fn pad_with_value() -> ModelSpec {
    let mut model = pad();
    let value = TensorSpec { data: vec![9], ..TensorSpec::activation("value", &[1], 0.5, 3) };
    model.tensors.insert(2, value);
    ModelSpec { code: 60, inputs: vec![0, 1, 2], outputs: vec![3], graph_outputs: vec![3], ..model }
}

fn concatenation() -> ModelSpec {
    let tensors = vec![
        TensorSpec::activation("a", &[1, 2, 3], 0.5, 3),
        TensorSpec::activation("b", &[1, 2, 4], 0.5, 3),
        TensorSpec::activation("both", &[1, 2, 7], 0.5, 3),
    ];
    let model = ModelSpec::new(2, 10, &[(0, Value::I32(-1))], tensors);
    ModelSpec { graph_inputs: vec![0, 1], ..model }
}

/// QUANTIZE or DEQUANTIZE between two element types.
fn border(code: i32, from: i8, to: i8) -> ModelSpec {
    let mut model = unary(code, (0.1, 3));
    (model.tensors[0].data_type, model.tensors[1].data_type) = (from, to);
    model
}

fn new_models() -> Vec<ModelSpec> {
    let reshapes =
        [(70, [1, 1, 2, 3].as_slice(), Some(0)), (43, &[2, 3], None)].map(|(code, shape, axis)| {
            let mut model = unary(code, (0.1, 3));
            model.tensors[1].shape = shape.to_vec();
            if let Some(axis) = axis {
                model.tensors.push(TensorSpec::words("axis", &[axis]));
                model.inputs.push(2);
            }
            model
        });
    let leaky = ModelSpec { options_type: 75, options: vec![(0, Value::F32(0.2))], ..unary(98, (0.2, 0)) };
    let mut models = vec![
        binary(18, 21),
        binary(41, 28),
        binary(18, 0),
        unary(14, (1.0 / 256.0, -128)),
        unary(28, (1.0 / 128.0, 0)),
        unary(19, (0.2, -128)),
        unary(21, (0.1, 3)),
        unary(117, (0.2, 0)),
        unary(114, (0.2, 0)),
        leaky,
        mean(),
        pad(),
        pad_with_value(),
        concatenation(),
        border(114, FLOAT32, INT8),
        border(114, UINT8, INT8),
        border(114, INT8, UINT8),
        border(6, INT8, FLOAT32),
    ];
    models.extend(reshapes);
    models
}

/// Breaks a valid model; checks what the reader says.
fn expect(mut model: ModelSpec, change: impl FnOnce(&mut ModelSpec), message: &str) {
    change(&mut model);
    match tflite::read(&model.build()) {
        Ok(graph) => panic!("accepted {:?}; expected {message}", graph.operators),
        Err(error) => assert_eq!(error.to_string(), message),
    }
}

#[test]
fn the_unbroken_models_are_read() {
    for model in [conv(), depthwise(), fully_connected(), add(), average_pool(), reshape(), softmax()] {
        tflite::read(&model.build()).unwrap_or_else(|error| panic!("{error}"));
    }
    for model in new_models() {
        let graph = tflite::read(&model.build()).unwrap_or_else(|error| panic!("{error}"));
        let written = tflite::write(&graph).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(tflite::read(&written), Ok(graph));
    }
}

#[test]
fn elementwise_layers() {
    expect(
        binary(18, 21),
        |m| m.tensors[1].shape[2] = 4,
        "layer op00_MUL: operands of shapes [1, 2, 2, 3] and [1, 2, 4, 3]; sizes must be equal, or one of them 1",
    );
    expect(
        binary(41, 28),
        |m| m.set(0, Value::I8(5)),
        "layer op00_SUB: fused activation SIGN_BIT. Supported: NONE, RELU, RELU_N1_TO_1, RELU6",
    );
    expect(
        unary(14, (1.0 / 256.0, -128)),
        |m| m.tensors[1].scales[0] = 0.5,
        "layer op00_LOGISTIC: the output has scale and zero point (0.5, -128); (0.00390625, -128) is needed. Convert the model \
         again with a current converter",
    );
    expect(
        unary(28, (1.0 / 128.0, 0)),
        |m| m.tensors[0].scales[0] = 16.0,
        "layer op00_TANH: the input scale is 16; this operator needs one from 2^-27 to 16. Calibrate the model again",
    );
    expect(
        unary(21, (0.1, 3)),
        |m| m.tensors[1].zero_points[0] = 4,
        "layer op00_RELU6: input and output quantisation differ ((0.1, 3) and (0.1, 4)), which TensorFlow Lite Micro's RELU6 \
         ignores: its numbers would be wrong. Fuse the activation into the layer before",
    );
    expect(
        unary(19, (0.1, 3)),
        |m| m.tensors[1].shape = vec![6],
        "layer op00_RELU: output of shape [6], and the other operands make it [1, 2, 3]. The file is inconsistent",
    );
}

#[test]
fn layers_that_change_shapes() {
    expect(
        mean(),
        |m| m.tensors[1] = TensorSpec::words("axes", &[1, 4]),
        "layer op00_MEAN: axes 4; the tensor has 4 dimensions. The file is inconsistent: convert the model again",
    );
    expect(
        mean(),
        |m| m.tensors[1].data.clear(),
        "layer op00_MEAN: axes computed by the model; only constants are supported",
    );
    expect(
        mean(),
        |m| m.tensors[0].shape = vec![1, 400, 600, 3],
        "layer op00_MEAN: a mean of 240000 elements; at most 65536 are supported. Use two smaller means",
    );
    let paddings =
        |numbers: &[i32]| TensorSpec { shape: vec![3, 2], ..TensorSpec::words("paddings", numbers) };
    expect(
        pad(),
        |m| m.tensors[1] = paddings(&[0, 0, -1, 4, 0, 3]),
        "layer op00_PAD: paddings [0, 0, -1, 4, 0, 3] for 3 dimensions; two numbers, at least 0, are needed for each",
    );
    expect(
        pad(),
        |m| m.tensors[2].scales[0] = 0.25,
        "layer op00_PAD: input and output quantisation differ ((0.5, 3) and (0.25, 3)); this operator needs them equal",
    );
    expect(
        pad_with_value(),
        |m| m.tensors[2].data.clear(),
        "layer op00_PADV2: the padding value reads a tensor that no earlier layer has written. The file is inconsistent",
    );
    expect(
        concatenation(),
        |m| m.set(1, Value::I8(1)),
        "layer op00_CONCATENATION: a fused activation on a concatenation; it must be a layer of its own",
    );
    expect(
        concatenation(),
        |m| m.set(0, Value::I32(3)),
        "layer op00_CONCATENATION: axis 3; the tensor has 3 dimensions. The file is inconsistent: convert the model again",
    );
    expect(
        concatenation(),
        |m| m.tensors[1].zero_points[0] = 4,
        "layer op00_CONCATENATION: input and output quantisation differ ((0.5, 4) and (0.5, 3)); this operator needs them equal",
    );
    expect(
        concatenation(),
        |m| m.tensors[2].shape[2] = 8,
        "layer op00_CONCATENATION: output of shape [1, 2, 8], and the other operands make it [1, 2, 7]. The file is inconsistent",
    );
}

#[test]
fn borders() {
    expect(
        border(114, FLOAT32, UINT8),
        |_| (),
        "layer op00_QUANTIZE: from float32 to uint8; supported are float32, uint8 and int8 to int8, int8 to uint8, and int8 to \
         float32",
    );
    expect(
        border(6, UINT8, FLOAT32),
        |_| (),
        "layer op00_DEQUANTIZE: from uint8 to float32; supported are float32, uint8 and int8 to int8, int8 to uint8, and int8 \
         to float32",
    );
    // Another tensor is the model's output.
    let elsewhere = |m: &mut ModelSpec| {
        m.tensors.push(TensorSpec::activation("z", &[1], 1.0, 0));
        m.tensors[2].data = vec![0];
        m.graph_outputs = vec![2];
    };
    expect(
        border(6, INT8, FLOAT32),
        elsewhere,
        "layer op00_DEQUANTIZE: output of type float32 in the middle of the model, where everything must be int8. Convert the \
         model with full-integer int8 quantisation",
    );
    expect(
        border(114, UINT8, INT8),
        |m| m.tensors[0].zero_points[0] = -1,
        "tensor 0 \"x\", which layer op00_QUANTIZE reads: zero point -1 of channel 0; uint8 allows 0 to 255",
    );
}

#[test]
fn padding_is_explicit() {
    let graph = tflite::read(&conv().build()).expect("valid");
    let OperatorKind::Conv2d(conv) = &graph.operators[0].kind else { panic!("a convolution") };
    let padding = conv.window.padding;
    assert_eq!((padding.top, padding.bottom, padding.left, padding.right), (1, 1, 0, 1));
    assert_eq!((conv.window.stride_height, conv.window.stride_width), (1, 2));
    assert_eq!(graph.operators[0].name, "op00_CONV_2D");
    assert_eq!(graph.multiply_accumulates(&graph.operators[0]), 5 * 3 * 4 * 18);
}

#[test]
fn an_open_batch_takes_the_size_in_the_shape() {
    let mut model = conv();
    model.tensors[0].signature = vec![-1, 5, 6, 2];
    let graph = tflite::read(&model.build()).expect("valid");
    assert_eq!(graph.tensors[0].shape, [1, 5, 6, 2]);
}

#[test]
fn files() {
    expect(
        conv(),
        |m| m.version = 2,
        "schema version 2; version 3 is the one in use. Convert the model again with a current converter",
    );
    expect(
        conv(),
        |m| m.subgraphs = 2,
        "2 subgraphs; one is supported. Convert the model without control flow or extra signatures",
    );
    expect(
        conv(),
        |m| m.subgraphs = 0,
        "0 subgraphs; one is supported. Convert the model without control flow or extra signatures",
    );
    expect(conv(), |m| m.graph_inputs.clear(), "the model has no input; at least one is needed");
    expect(
        add(),
        |m| (m.operators, m.graph_outputs) = (0, vec![0]),
        "the model has no layer; at least one is needed",
    );
    expect(
        conv(),
        |m| m.code_index = 1,
        "layer op00: opcode_index names 1, and there are 1. The file is inconsistent: convert the model again",
    );
    expect(
        conv(),
        |m| m.inputs[1] = 9,
        "layer op00_CONV_2D: inputs names 9, and there are 4. The file is inconsistent: convert the model again",
    );
    expect(
        conv(),
        |m| m.outputs[0] = -1,
        "layer op00_CONV_2D: outputs names -1, and there are 4. The file is inconsistent: convert the model again",
    );
    expect(
        conv(),
        |m| m.graph_outputs[0] = 4,
        "the graph: output names 4, and there are 4. The file is inconsistent: convert the model again",
    );
    expect(
        conv(),
        |m| m.tensors[1].buffer = Some(77),
        "tensor 1 \"weights\": buffer names 77, and there are 3. The file is inconsistent: convert the model again",
    );
}

#[test]
fn tensors() {
    let image = |problem: &str| format!("tensor 0 \"image\", which layer op00_CONV_2D reads: {problem}");
    let weights = |problem: &str| format!("tensor 1 \"weights\", which layer op00_CONV_2D reads: {problem}");
    expect(
        conv(),
        |m| m.tensors[0].shape[1] = -1,
        &image("dynamic shape [1, -1, 6, 2]. Convert the model with a fixed input shape"),
    );
    expect(
        conv(),
        |m| m.tensors[0].signature = vec![-1, 5, -1, 2],
        &image("dynamic shape [-1, 5, -1, 2]. Convert the model with a fixed input shape"),
    );
    expect(
        conv(),
        |m| m.tensors[0].shape = vec![1 << 20, 1 << 20, 1 << 20, 1 << 20],
        &image("shape [1048576, 1048576, 1048576, 1048576] has more than 268435456 elements"),
    );
    expect(
        conv(),
        |m| m.tensors[0].variable = true,
        &image("it is a variable, and stateful models are not supported"),
    );
    expect(
        conv(),
        |m| m.tensors[1].sparse = true,
        &weights("it is stored sparse. Convert the model without sparsity, or densify it"),
    );
    expect(
        conv(),
        |m| m.tensors[0].scales[0] = -0.5,
        &image("scale -0.5 of channel 0; a scale must be finite and above zero. Calibrate the model again"),
    );
    expect(
        conv(),
        |m| m.tensors[1].scales[2] = f32::NAN,
        &weights("scale NaN of channel 2; a scale must be finite and above zero. Calibrate the model again"),
    );
    expect(
        conv(),
        |m| m.tensors[0].zero_points[0] = 128,
        &image("zero point 128 of channel 0; int8 allows -128 to 127"),
    );
    expect(
        conv(),
        |m| m.tensors[0].zero_points.clear(),
        &image("1 scales and 0 zero points; there must be as many of one as of the other"),
    );
    expect(
        conv(),
        |m| m.tensors[1].axis = 1,
        &weights("quantised along dimension 1 with 4 scales, and the shape is [4, 3, 3, 2]"),
    );
    expect(
        conv(),
        |m| m.tensors[1].axis = -1,
        &weights("quantised along dimension -1 with 4 scales, and the shape is [4, 3, 3, 2]"),
    );
    expect(
        conv(),
        |m| m.tensors[1].data.truncate(70),
        &weights("shape [4, 3, 3, 2] of int8 needs 72 bytes, the buffer holds 70. The file is inconsistent"),
    );
    expect(
        conv(),
        |m| m.tensors[0].data_type = FLOAT32,
        "layer op00_CONV_2D: input of type float32; int8 is needed. Convert the model with full-integer int8 quantisation",
    );
    expect(
        conv(),
        |m| m.tensors[0].data_type = INT16,
        &image(
            "graph input of type int16; int8, uint8 and float32 are supported. Convert with inference_input_type = int8",
        ),
    );
    expect(
        add(),
        |m| {
            m.tensors.push(TensorSpec::activation("loose", &[1], 1.0, 0));
            m.graph_outputs = vec![3];
        },
        "tensor 3 \"loose\": it is a graph output, and no layer writes it",
    );
}

#[test]
fn operators() {
    let supported = "Supported: CONV_2D, DEPTHWISE_CONV_2D, FULLY_CONNECTED, ADD, SUB, MUL, AVERAGE_POOL_2D, MAX_POOL_2D, \
                     MEAN, PAD, PADV2, CONCATENATION, LOGISTIC, TANH, RELU, RELU6, LEAKY_RELU, HARD_SWISH, QUANTIZE, \
                     DEQUANTIZE, RESHAPE, EXPAND_DIMS, SQUEEZE, SOFTMAX";
    expect(
        conv(),
        |m| m.code = 39,
        &format!("layer op00_TRANSPOSE: operator TRANSPOSE is not supported. {supported}"),
    );
    expect(
        conv(),
        |m| m.code = 150,
        &format!("layer op00_GELU: operator GELU is not supported. {supported}"),
    );
    expect(
        conv(),
        |m| m.code = 5000,
        &format!("layer op00_BUILTIN_5000: operator BUILTIN_5000 is not supported. {supported}"),
    );
    expect(
        conv(),
        |m| (m.code, m.custom) = (32, Some("Mine")),
        &format!("layer op00_CUSTOM Mine: operator CUSTOM Mine is not supported. {supported}"),
    );
    let conv_2d = |problem: &str| format!("layer op00_CONV_2D: {problem}");
    for options_type in [0, 5] {
        expect(
            conv(),
            |m| m.options_type = options_type,
            &conv_2d("its options are missing or of another operator. The file is inconsistent: convert the model again"),
        );
    }
    expect(
        conv(),
        |m| m.inputs.truncate(1),
        &conv_2d("1 inputs, 2 or 3 needed. The file is inconsistent: convert the model again"),
    );
    expect(
        conv(),
        |m| m.outputs.clear(),
        &conv_2d("0 outputs, 1 needed. The file is inconsistent: convert the model again"),
    );
    expect(
        conv(),
        |m| m.inputs[1] = -1,
        &conv_2d("no weights. The file is inconsistent: convert the model again"),
    );
    expect(
        conv(),
        |m| m.operators = 2,
        "layer op01_CONV_2D: the output is already written by another layer, a graph input or a constant. The file is \
         inconsistent",
    );
    expect(
        add(),
        |m| m.graph_inputs = vec![0],
        "layer op00_ADD: the second operand reads a tensor that no earlier layer has written. The file is inconsistent",
    );
}

#[test]
fn convolutions() {
    let conv_2d = |problem: &str| format!("layer op00_CONV_2D: {problem}");
    let convert = "Convert the model with full-integer int8 quantisation";
    expect(
        conv(),
        |m| m.tensors[1].data_type = FLOAT32,
        &conv_2d(&format!("weights of type float32; int8 is needed. {convert}")),
    );
    expect(
        conv(),
        |m| m.tensors[1].data.clear(),
        &conv_2d("weights computed by the model; only constants are supported"),
    );
    expect(
        conv(),
        |m| (m.tensors[0].scales, m.tensors[0].zero_points) = (vec![], vec![]),
        &conv_2d(&format!("input without a scale. {convert}")),
    );
    expect(
        conv(),
        |m| {
            (m.tensors[0].scales, m.tensors[0].zero_points, m.tensors[0].axis) = (vec![1.0; 2], vec![0; 2], 3)
        },
        &conv_2d("the input has a scale per channel; an activation needs one common scale"),
    );
    expect(
        conv(),
        |m| {
            (m.tensors[1].scales, m.tensors[1].zero_points, m.tensors[1].axis) = (vec![1.0; 2], vec![0; 2], 3)
        },
        &conv_2d("the weights are quantised along dimension 3; this operator has its output channels in 0"),
    );
    expect(
        conv(),
        |m| m.tensors[1].zero_points[3] = 1,
        &conv_2d("weight zero point 1 of channel 3; weights must be symmetric (zero point 0)"),
    );
    expect(
        conv(),
        |m| m.set(4, Value::I32(2)),
        &conv_2d("dilation 1x2; only 1x1 is supported. Train the layer with dilation_rate=1"),
    );
    expect(conv(), |m| m.set(2, Value::I32(0)), &conv_2d("stride 0x2; both must be at least 1"));
    expect(conv(), |m| m.set(0, Value::I8(2)), &conv_2d("padding scheme 2; 0 (SAME) and 1 (VALID) exist"));
    expect(
        conv(),
        |m| m.set(3, Value::I8(4)),
        &conv_2d("fused activation TANH. Supported: NONE, RELU, RELU_N1_TO_1, RELU6"),
    );
    expect(
        conv(),
        |m| m.tensors[0].shape[3] = 4,
        &conv_2d(
            "grouped convolution: 4 input channels, and the weights take 2. Use groups=1 or DepthwiseConv2D",
        ),
    );
    expect(
        conv(),
        |m| {
            m.tensors[0].shape[1] = 2;
            m.set(0, Value::I8(1));
        },
        &conv_2d(
            "kernel [3, 3] without padding on an image of [2, 6]; it must fit inside. Use padding='same'",
        ),
    );
    let inconsistent = "and the other operands make it";
    expect(
        conv(),
        |m| m.tensors[3].shape[0] = 2,
        &conv_2d(&format!(
            "output of shape [2, 5, 3, 4], {inconsistent} [1, 5, 3, 4]. The file is inconsistent"
        )),
    );
    expect(
        conv(),
        |m| m.tensors[2] = TensorSpec::words("bias", &[1, 2, 3]),
        &conv_2d(&format!("bias of shape [3], {inconsistent} [4]. The file is inconsistent")),
    );
    expect(
        conv(),
        |m| m.tensors[0].shape = vec![5, 6, 2],
        &conv_2d("input of shape [5, 6, 2]; 4 dimensions are needed"),
    );
    expect(
        conv(),
        |m| (m.tensors[0].scales[0], m.tensors[3].scales[0]) = (1e30, 1e-30),
        &conv_2d(
            "the requantisation multiplier is 1.000e58; it must be below 2^31. Calibrate the model again",
        ),
    );
    let depthwise_conv = |problem: &str| format!("layer op00_DEPTHWISE_CONV_2D: {problem}");
    expect(
        depthwise(),
        |m| m.tensors[0].shape[3] = 3,
        &depthwise_conv("4 output channels for 3 input channels; a depthwise convolution needs a multiple"),
    );
    expect(
        depthwise(),
        |m| (m.tensors[1].shape, m.tensors[1].axis) = (vec![4, 3, 3, 1], 0),
        &depthwise_conv(&format!(
            "weights of shape [4, 3, 3, 1], {inconsistent} [1, 3, 3, 1]. The file is inconsistent"
        )),
    );
}

#[test]
fn other_layers() {
    let fc = |problem: &str| format!("layer op00_FULLY_CONNECTED: {problem}");
    expect(
        fully_connected(),
        |m| m.tensors[0].shape[1] = 7,
        &fc("7 input elements are not a multiple of the 6 that the weights take"),
    );
    expect(
        fully_connected(),
        |m| m.set(1, Value::I8(1)),
        &fc("weights in format 1 (shuffled); only the default is supported. Convert without the shuffled format"),
    );
    expect(
        fully_connected(),
        |m| {
            m.set(2, Value::Bool(true));
            m.tensors[0].shape = vec![1, 2, 3];
        },
        &fc("6 input elements are not a multiple of the 6 that the weights take"),
    );
    expect(
        add(),
        |m| (m.tensors[0].shape, m.tensors[1].shape) = (vec![1, 2, 2, 1], vec![4]),
        "layer op00_ADD: output of shape [1, 2, 2, 3], and the other operands make it [1, 2, 2, 4]. The file is inconsistent",
    );
    expect(
        add(),
        |m| m.tensors[2].scales[0] = 1e-7,
        "layer op00_ADD: the output scale 0.0000001 of the addition is too small for its input scales. Calibrate the model \
         again",
    );
    let pool = |problem: &str| format!("layer op00_AVERAGE_POOL_2D: {problem}");
    expect(average_pool(), |m| m.set(4, Value::I32(-1)), &pool("pool size -1x2; both must be at least 1"));
    expect(
        average_pool(),
        |m| m.tensors[1].zero_points[0] = 4,
        &pool("input and output quantisation differ ((0.5, 3) and (0.5, 4)); this operator needs them equal"),
    );
    expect(
        average_pool(),
        |m| {
            m.set(0, Value::I8(0));
            m.set(3, Value::I32(1 << 20));
        },
        &pool("a mean of 2x1048576 elements; at most 65536 are supported. Use two smaller pools"),
    );
    expect(
        reshape(),
        |m| m.tensors[1] = TensorSpec::words("shape", &[2, 12]),
        "layer op00_RESHAPE: output of shape [1, 24], and the other operands make it [2, 12]. The file is inconsistent",
    );
    let softmax_layer = |problem: &str| format!("layer op00_SOFTMAX: {problem}");
    expect(
        softmax(),
        |m| m.tensors[1].zero_points[0] = 0,
        &softmax_layer(
            "the output has scale and zero point (0.00390625, 0); (0.00390625, -128) is needed. Convert the model again with a \
             current converter",
        ),
    );
    expect(
        softmax(),
        |m| m.tensors.iter_mut().for_each(|t| t.shape[1] = 5000),
        &softmax_layer("softmax over 5000 elements; at most 4095 are supported"),
    );
    expect(
        softmax(),
        |m| m.set(0, Value::F32(0.0)),
        &softmax_layer(
            "softmax with beta 0 and input scale 0.1; their product must be finite and above 2^-26. Calibrate the model again",
        ),
    );
}
