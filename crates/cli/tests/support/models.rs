//! Models for the tests: small ones that can be run, and ones that cannot.

use flatbuffers::{FlatBufferBuilder, TableFinishedWIPOffset, VOffsetT, WIPOffset};
use frugal_graph::npy::Elements;
use frugal_graph::random::{self, Choice, Network, Options};
use frugal_graph::{reference, Graph, OperatorKind, TensorId};

/// Small random networks that may have two inputs, and inputs and outputs of float32 and uint8. Without softmax, which may
/// stand in the middle of a random network but not of one that can be compiled.
pub fn bordered() -> impl Iterator<Item = Network> {
    let choices = Choice::ALL.into_iter().filter(|choice| *choice != Choice::Softmax).collect();
    let options = Options { choices, max_batch: 1, max_layers: 4, ..Options::default() };
    (0..200).map(move |seed| random::network(seed, &options))
}

/// The elements in the opposite order.
pub fn reversed(elements: &Elements) -> Elements {
    match elements {
        Elements::I8(elements) => Elements::I8(elements.iter().rev().copied().collect()),
        Elements::U8(elements) => Elements::U8(elements.iter().rev().copied().collect()),
        Elements::I32(elements) => Elements::I32(elements.iter().rev().copied().collect()),
        Elements::F32(elements) => Elements::F32(elements.iter().rev().copied().collect()),
    }
}

/// The outputs of a graph by the reference executor.
pub fn expected(graph: &Graph, inputs: &[Elements]) -> Vec<Elements> {
    let layers = reference::run_all(graph, inputs).expect("inputs of the graph");
    let output = |id: &TensorId| {
        let writer = graph.operators.iter().position(|operator| operator.outputs.contains(id));
        layers[writer.expect("a layer writes it")].clone()
    };
    graph.outputs.iter().map(output).collect()
}

/// A random network in which a function of single elements reads a softmax.
pub fn with_softmax_in_the_middle() -> Graph {
    let choices = vec![Choice::Softmax, Choice::Unary];
    let options = Options { choices, max_batch: 1, borders: false, ..Options::default() };
    let graphs = (0..100).map(|seed| random::network(seed, &options).graph);
    let is_read = |graph: &Graph, id: TensorId| {
        let mut operators = graph.operators.iter();
        operators
            .any(|reader| matches!(reader.kind, OperatorKind::Unary(_)) && reader.inputs.contains(&Some(id)))
    };
    let mut wanted = graphs.filter(|graph| {
        let mut operators = graph.operators.iter();
        operators.any(|operator| {
            matches!(operator.kind, OperatorKind::Softmax(_)) && is_read(graph, operator.outputs[0])
        })
    });
    wanted.next().expect("there is one")
}

/// Numbers of the TensorFlow Lite schema.
pub const CONV_2D: i32 = 3;
pub const TRANSPOSE: i32 = 39;
pub const INT8: i8 = 9;
pub const FLOAT32: i8 = 0;

/// A 3x3 convolution without padding of `[1, 8, 8, 4]` to `[1, 6, 6, 4]`, to be broken in one place. The writer of
/// `frugal_graph` only writes what the reader takes.
pub struct OneLayer {
    pub operator: i32,
    pub image: Vec<i32>,
    pub image_type: i8,
    /// Input channels of the weights.
    pub weight_depth: i32,
    pub dilation: i32,
}

impl Default for OneLayer {
    fn default() -> OneLayer {
        OneLayer {
            operator: CONV_2D,
            image: vec![1, 8, 8, 4],
            image_type: INT8,
            weight_depth: 4,
            dilation: 1,
        }
    }
}

type Table = WIPOffset<TableFinishedWIPOffset>;
type Builder<'f> = FlatBufferBuilder<'f>;

fn slot(field: u16) -> VOffsetT {
    4 + 2 * field
}

fn table(b: &mut Builder<'_>, fill: impl FnOnce(&mut Builder<'_>)) -> Table {
    let start = b.start_table();
    fill(b);
    b.end_table(start)
}

fn tensor(b: &mut Builder<'_>, name: &str, shape: &[i32], data_type: i8, buffer: u32) -> Table {
    let (scale, zero_point) = (b.create_vector(&[0.5f32]), b.create_vector(&[0i64]));
    let quantisation = table(b, |b| {
        b.push_slot_always(slot(2), scale);
        b.push_slot_always(slot(3), zero_point);
    });
    let (name, shape) = (b.create_string(name), b.create_vector(shape));
    table(b, |b| {
        b.push_slot_always(slot(0), shape);
        b.push_slot_always(slot(1), data_type);
        b.push_slot_always(slot(2), buffer);
        b.push_slot_always(slot(3), name);
        b.push_slot_always(slot(4), quantisation);
    })
}

impl OneLayer {
    /// The bytes of its file.
    pub fn build(&self) -> Vec<u8> {
        let mut builder = FlatBufferBuilder::new();
        let b = &mut builder;
        let weight_shape = [4, 3, 3, self.weight_depth];
        let weights = b.create_vector(&vec![1u8; weight_shape.iter().product::<i32>() as usize]);
        let buffers = [table(b, |_| {}), table(b, |b| b.push_slot_always(slot(0), weights))];
        let tensors = [
            tensor(b, "image", &self.image, self.image_type, 0),
            tensor(b, "weights", &weight_shape, INT8, 1),
            tensor(b, "result", &[1, 6, 6, 4], INT8, 0),
        ];
        let code = table(b, |b| {
            b.push_slot_always(slot(0), self.operator as i8);
            b.push_slot_always(slot(3), self.operator);
        });
        // Padding VALID, strides, dilation.
        let options = table(b, |b| {
            b.push_slot_always(slot(0), 1i8);
            b.push_slot_always(slot(1), 1i32);
            b.push_slot_always(slot(2), 1i32);
            b.push_slot_always(slot(4), self.dilation);
            b.push_slot_always(slot(5), self.dilation);
        });
        let (inputs, outputs) = (b.create_vector(&[0i32, 1]), b.create_vector(&[2i32]));
        let operator = table(b, |b| {
            b.push_slot_always(slot(0), 0u32);
            b.push_slot_always(slot(1), inputs);
            b.push_slot_always(slot(2), outputs);
            b.push_slot_always(slot(3), 1u8);
            b.push_slot_always(slot(4), options);
        });
        let (tensors, operators) = (b.create_vector(&tensors), b.create_vector(&[operator]));
        let (inputs, outputs) = (b.create_vector(&[0i32]), b.create_vector(&[2i32]));
        let subgraph = table(b, |b| {
            b.push_slot_always(slot(0), tensors);
            b.push_slot_always(slot(1), inputs);
            b.push_slot_always(slot(2), outputs);
            b.push_slot_always(slot(3), operators);
        });
        let (codes, buffers) = (b.create_vector(&[code]), b.create_vector(&buffers));
        let subgraphs = b.create_vector(&[subgraph]);
        let model = table(b, |b| {
            b.push_slot_always(slot(0), 3u32);
            b.push_slot_always(slot(1), codes);
            b.push_slot_always(slot(2), subgraphs);
            b.push_slot_always(slot(4), buffers);
        });
        b.finish(model, Some("TFL3"));
        builder.finished_data().to_vec()
    }
}
