//! Random networks: valid for this crate and for TensorFlow Lite Micro, each made from a seed.
//!
//! Chains, branches, residuals, gates, concatenations, windows of every kind, batches, and quantisation as TensorFlow Lite
//! wants it for each operator. A network is a pure function of its seed and its [`Options`], so a test that fails prints the
//! seed.

mod draft;
mod generator;
mod layers;

use crate::graph::{DataType, Graph, TensorId};
use crate::npy::Elements;
use crate::operator::{OperatorKind, Quantize};
use draft::Draft;
pub use generator::Random;

/// What a random network may hold.
#[derive(Clone, Debug)]
pub struct Options {
    /// Elements of the largest activation.
    pub max_elements: usize,
    /// Channels of the widest activation that a convolution writes.
    pub max_channels: usize,
    /// Layers that are chosen at random; some choices take a few operators.
    pub max_layers: usize,
    /// The largest leading dimension of an input.
    pub max_batch: usize,
    /// Multiply-accumulates of the largest layer.
    pub max_macs: usize,
    /// What the layers are chosen from; more than once is more often.
    pub choices: Vec<Choice>,
    /// Whether inputs and outputs of the network may be float32 or uint8.
    pub borders: bool,
    /// Whether the network may have two inputs.
    pub second_input: bool,
}

impl Default for Options {
    /// Everything, in sizes that a test runs in a few milliseconds.
    fn default() -> Options {
        Options {
            max_elements: 2_500,
            max_channels: 40,
            max_layers: 9,
            max_batch: 3,
            max_macs: 400_000,
            choices: Choice::ALL.to_vec(),
            borders: true,
            second_input: true,
        }
    }
}

/// A kind of layer, or of a few that belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    Conv,
    Depthwise,
    FullyConnected,
    /// ADD of two activations of the same shape.
    Add,
    Sub,
    Mul,
    /// ADD, SUB or MUL with broadcast operands or constants.
    Broadcast,
    /// Squeeze and excitation: a mean, two convolutions, LOGISTIC, and MUL with what it came from.
    Gate,
    AveragePool,
    MaxPool,
    Mean,
    Pad,
    Concatenation,
    /// LOGISTIC, TANH, RELU, RELU6, LEAKY_RELU, HARD_SWISH.
    Unary,
    /// QUANTIZE from int8 to int8.
    Requantise,
    /// RESHAPE, EXPAND_DIMS, SQUEEZE.
    Reshape,
    Softmax,
}

impl Choice {
    /// All of them.
    pub const ALL: [Choice; 17] = [
        Choice::Conv,
        Choice::Depthwise,
        Choice::FullyConnected,
        Choice::Add,
        Choice::Sub,
        Choice::Mul,
        Choice::Broadcast,
        Choice::Gate,
        Choice::AveragePool,
        Choice::MaxPool,
        Choice::Mean,
        Choice::Pad,
        Choice::Concatenation,
        Choice::Unary,
        Choice::Requantise,
        Choice::Reshape,
        Choice::Softmax,
    ];
}

/// A random network and something to run it on.
#[derive(Clone, Debug)]
pub struct Network {
    pub seed: u64,
    pub graph: Graph,
    /// One array for each input of the graph.
    pub inputs: Vec<Elements>,
}

/// The network of a seed.
///
/// # Panics
/// When [`crate::tflite::read`] refuses it, which is a fault of this module.
#[must_use]
pub fn network(seed: u64, options: &Options) -> Network {
    let mut draft = Draft::new(Random::new(seed), options);
    draft.begin();
    let layers = draft.random.within(1, options.max_layers);
    while draft.layer_count < layers {
        let choice = *draft.random.pick(&options.choices);
        draft.layer(choice);
    }
    let (graph, mut random) = draft.end();
    // The draft lacks every number that follows from its tensors: the reader computes them.
    let file = crate::tflite::write(&graph).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    let graph = crate::tflite::read(&file).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    let inputs = graph.inputs.iter().map(|id| random_input(&graph, *id, &mut random)).collect();
    Network { seed, graph, inputs }
}

/// Random elements for an input of a graph; of float32, with the ties of its QUANTIZE.
pub(crate) fn random_input(graph: &Graph, id: TensorId, random: &mut Random) -> Elements {
    let count = graph[id].element_count();
    match graph[id].data_type {
        DataType::F32 => {
            let reader = graph.operators.iter().find(|operator| operator.inputs.contains(&Some(id)));
            let scale = match reader.map(|operator| &operator.kind) {
                Some(OperatorKind::Quantize(Quantize::FromF32(affine))) => affine.scale,
                _ => 1.0,
            };
            // A little more than the range that int8 holds; ties, and the numbers next to them.
            let mut element = || match random.within(0, 1) {
                0 => {
                    let tie = (random.integer(-300, 300) as f32 + 0.5) * scale;
                    f32::from_bits(tie.to_bits() - 1 + random.within(0, 2) as u32)
                }
                _ => random.real(-300.0, 300.0) as f32 * scale,
            };
            Elements::F32((0..count).map(|_| element()).collect())
        }
        DataType::U8 => Elements::U8(random.bytes(count).into_iter().map(|x| x as u8).collect()),
        _ => Elements::I8(random.bytes(count)),
    }
}
