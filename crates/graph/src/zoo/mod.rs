//! Networks of real, published shapes with random weights.
//!
//! How long a layer takes depends on its shape and not on its weights, so these networks show what the real ones would cost,
//! with nothing to download. Scales, zero points and biases are chosen layer by layer from what a random image gives, as a
//! converter calibrates a trained network: activations fill the range of int8 and neither vanish nor all saturate. What such a
//! network answers means nothing.
//!
//! A network is a pure function of its shape and its seed.

mod builder;
mod sums;

use frugal_quant::Activation::{None as Linear, Relu, Relu6};

use crate::graph::{DataType, Graph, TensorId};
use crate::npy::Elements;
use crate::random::{random_input, Random};
use builder::{Builder, Shape};

/// A network of the zoo.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    pub name: &'static str,
    /// The input and where the shape comes from, in a line.
    pub description: &'static str,
    /// The network of a seed.
    pub build: fn(u64) -> Graph,
}

/// The networks that have names.
pub const NETWORKS: &[Entry] = &[
    Entry {
        name: "mobilenet_v1_025_96",
        description: "96x96x3, 2 classes: MobileNetV1 x 0.25, the visual wake words of MLPerf Tiny",
        build: |seed| mobilenet_v1(25, 96, 2, seed),
    },
    Entry {
        name: "mobilenet_v1_100_224",
        description: "224x224x3, 1000 classes: MobileNetV1",
        build: |seed| mobilenet_v1(100, 224, 1000, seed),
    },
    Entry {
        name: "mobilenet_v2_035_96",
        description: "96x96x3, 2 classes: MobileNetV2 x 0.35",
        build: |seed| mobilenet_v2(35, 96, 2, seed),
    },
    Entry {
        name: "mobilenet_v2_100_224",
        description: "224x224x3, 1000 classes: MobileNetV2",
        build: |seed| mobilenet_v2(100, 224, 1000, seed),
    },
    Entry {
        name: "resnet8",
        description: "32x32x3, 10 classes: the image classification of MLPerf Tiny",
        build: resnet8,
    },
    Entry {
        name: "ds_cnn",
        description: "49x10x1, 12 classes: the keyword spotting of MLPerf Tiny",
        build: ds_cnn,
    },
    Entry {
        name: "wakeword",
        description: "30x1x40, 3 classes: the streaming wake word of MLPerf Tiny",
        build: wakeword,
    },
    Entry {
        name: "anomaly",
        description: "640: the autoencoder of MLPerf Tiny's anomaly detection, ten layers",
        build: anomaly,
    },
    Entry { name: "autoencoder", description: "640-128-8-128-640: a short one", build: autoencoder },
    Entry { name: "lenet5", description: "28x28x1, 10 classes: LeNet-5 with ReLU", build: lenet5 },
];

/// The network of a name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Entry> {
    NETWORKS.iter().find(|entry| entry.name == name)
}

/// Random elements for each input of a network, of the input's own type.
#[must_use]
pub fn random_inputs(graph: &Graph, seed: u64) -> Vec<Elements> {
    // Another sequence than the one that the network of the same seed is made of.
    let mut random = Random::new(seed ^ 0x0069_6d61_6765);
    let input = |id: &TensorId| match graph[*id].data_type {
        DataType::U8 | DataType::F32 => random_input(graph, *id, &mut random),
        _ => Elements::I8(builder::random_elements(&mut random, graph[*id].element_count())),
    };
    graph.inputs.iter().map(input).collect()
}

/// MobileNetV1 (Howard and others, 2017): a convolution and 13 depthwise separable ones, `alpha_percent` / 100 times the
/// channels, on an image of `image_side` x `image_side` x 3.
///
/// Its last layer is fully connected, as in MLPerf Tiny; Keras' application has a 1x1 convolution of the same cost.
///
/// # Panics
/// When a number is zero, or `classes` is more than 4095, the longest softmax.
#[must_use]
pub fn mobilenet_v1(alpha_percent: usize, image_side: usize, classes: usize, seed: u64) -> Graph {
    check(alpha_percent, image_side, classes);
    let channels = |count: usize| (count * alpha_percent / 100).max(1);
    let (mut b, input) = Builder::new("mobilenet_v1", seed, &[1, image_side, image_side, 3]);
    let mut x = b.conv(input, channels(32), Shape::same((3, 3), 2), Relu6);
    let blocks = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2)].into_iter().chain([(512, 1); 5]);
    for (count, stride) in blocks.chain([(1024, 2), (1024, 1)]) {
        x = b.depthwise(x, Shape::same((3, 3), stride), Relu6);
        x = b.conv(x, channels(count), Shape::same((1, 1), 1), Relu6);
    }
    classify(b, x, classes)
}

/// MobileNetV2 (Sandler and others, 2018): inverted residuals with linear bottlenecks, `alpha_percent` / 100 times the channels
/// in multiples of eight, on an image of `image_side` x `image_side` x 3.
///
/// # Panics
/// When a number is zero, or `classes` is more than 4095, the longest softmax.
#[must_use]
pub fn mobilenet_v2(alpha_percent: usize, image_side: usize, classes: usize, seed: u64) -> Graph {
    check(alpha_percent, image_side, classes);
    let channels = |count: usize| of_eight(count * alpha_percent);
    let (mut b, input) = Builder::new("mobilenet_v2", seed, &[1, image_side, image_side, 3]);
    let mut x = b.conv(input, channels(32), Shape::same((3, 3), 2), Relu6);
    // Expansion, channels, repetitions, stride of the first.
    let stages = [
        (1, 16, 1, 1),
        (6, 24, 2, 2),
        (6, 32, 3, 2),
        (6, 64, 4, 2),
        (6, 96, 3, 1),
        (6, 160, 3, 2),
        (6, 320, 1, 1),
    ];
    for (expansion, count, repetitions, first_stride) in stages {
        for repetition in 0..repetitions {
            let stride = if repetition == 0 { first_stride } else { 1 };
            x = inverted_residual(&mut b, x, expansion, channels(count), stride);
        }
    }
    // The last layer does not become narrower than the original's.
    let last = if alpha_percent > 100 { channels(1280) } else { 1280 };
    x = b.conv(x, last, Shape::same((1, 1), 1), Relu6);
    classify(b, x, classes)
}

fn inverted_residual(
    b: &mut Builder,
    x: TensorId,
    expansion: usize,
    channels: usize,
    stride: usize,
) -> TensorId {
    let [_, _, input_channels] = b.image_size(x);
    let mut y = x;
    if expansion > 1 {
        y = b.conv(y, input_channels * expansion, Shape::same((1, 1), 1), Relu6);
    }
    y = b.depthwise(y, Shape::same((3, 3), stride), Relu6);
    y = b.conv(y, channels, Shape::same((1, 1), 1), Linear);
    if stride == 1 && channels == input_channels {
        y = b.add(x, y, Linear);
    }
    y
}

/// A hundredth of the channels as a multiple of eight, not less than nine tenths of it.
fn of_eight(hundredfold: usize) -> usize {
    let rounded = ((hundredfold + 400) / 800 * 8).max(8);
    if rounded * 1000 < hundredfold * 9 {
        rounded + 8
    } else {
        rounded
    }
}

fn check(alpha_percent: usize, image_side: usize, classes: usize) {
    assert!(alpha_percent > 0, "a network without channels");
    assert!(image_side > 0, "an image without pixels");
    let most = frugal_quant::softmax::MAX_ROW_LENGTH;
    assert!((1..=most).contains(&classes), "{classes} classes; from 1 to {most} are possible");
}

/// Mean, fully connected layer and softmax.
fn classify(mut b: Builder, x: TensorId, classes: usize) -> Graph {
    let x = b.global_average_pool(x);
    let x = b.flatten(x);
    let x = b.fully_connected(x, classes, Linear);
    let x = b.softmax(x);
    b.finish(x)
}

/// The residual network of MLPerf Tiny's image classification: 32x32x3, ten classes.
#[must_use]
pub fn resnet8(seed: u64) -> Graph {
    let (mut b, input) = Builder::new("resnet8", seed, &[1, 32, 32, 3]);
    let mut x = b.conv(input, 16, Shape::same((3, 3), 1), Relu);
    for (channels, stride) in [(16, 1), (32, 2), (64, 2)] {
        let y = b.conv(x, channels, Shape::same((3, 3), stride), Relu);
        let y = b.conv(y, channels, Shape::same((3, 3), 1), Linear);
        if stride > 1 {
            x = b.conv(x, channels, Shape::same((1, 1), stride), Linear);
        }
        x = b.add(x, y, Relu);
    }
    classify(b, x, 10)
}

/// The depthwise separable network of MLPerf Tiny's keyword spotting: 49 frames of 10 coefficients, twelve words.
#[must_use]
pub fn ds_cnn(seed: u64) -> Graph {
    let (mut b, input) = Builder::new("ds_cnn", seed, &[1, 49, 10, 1]);
    let mut x = b.conv(input, 64, Shape::same((10, 4), 2), Relu);
    for _ in 0..4 {
        x = b.depthwise(x, Shape::same((3, 3), 1), Relu);
        x = b.conv(x, 64, Shape::same((1, 1), 1), Relu);
    }
    classify(b, x, 12)
}

/// The separable one-dimensional network of MLPerf Tiny's streaming wake word: 30 frames of 40 coefficients, three classes.
#[must_use]
pub fn wakeword(seed: u64) -> Graph {
    let (mut b, mut x) = Builder::new("wakeword", seed, &[1, 30, 1, 40]);
    for (frames, channels) in [(3, 128), (5, 128), (10, 128), (15, 32)] {
        x = b.depthwise(x, Shape::valid((frames, 1), 1), Linear);
        x = b.conv(x, channels, Shape::valid((1, 1), 1), Relu);
    }
    let x = b.flatten(x);
    let x = b.fully_connected(x, 3, Linear);
    let x = b.softmax(x);
    b.finish(x)
}

/// A short autoencoder: fully connected, 640-128-8-128-640.
#[must_use]
pub fn autoencoder(seed: u64) -> Graph {
    chain("autoencoder", &[640, 128, 8, 128, 640], seed)
}

/// The autoencoder of MLPerf Tiny's anomaly detection: fully connected, 640 to 8 and back in ten layers.
#[must_use]
pub fn anomaly(seed: u64) -> Graph {
    chain("anomaly", &[640, 128, 128, 128, 128, 8, 128, 128, 128, 128, 640], seed)
}

/// Fully connected layers of these widths, the first of them the input's, with ReLU between them.
fn chain(name: &str, widths: &[usize], seed: u64) -> Graph {
    let (mut b, mut x) = Builder::new(name, seed, &[1, widths[0]]);
    for (index, width) in widths.iter().enumerate().skip(1) {
        x = b.fully_connected(x, *width, if index + 1 < widths.len() { Relu } else { Linear });
    }
    b.finish(x)
}

/// LeNet-5 (LeCun and others, 1998) with ReLU and maximum pools: 28x28x1, ten digits.
#[must_use]
pub fn lenet5(seed: u64) -> Graph {
    let (mut b, input) = Builder::new("lenet5", seed, &[1, 28, 28, 1]);
    let mut x = b.conv(input, 6, Shape::same((5, 5), 1), Relu);
    x = b.max_pool(x, Shape::valid((2, 2), 2));
    x = b.conv(x, 16, Shape::valid((5, 5), 1), Relu);
    x = b.max_pool(x, Shape::valid((2, 2), 2));
    x = b.flatten(x);
    for width in [120, 84] {
        x = b.fully_connected(x, width, Relu);
    }
    x = b.fully_connected(x, 10, Linear);
    let x = b.softmax(x);
    b.finish(x)
}
