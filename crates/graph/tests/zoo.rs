//! The networks of the zoo have the published shapes, are what the reader makes of their files, and compute what TensorFlow
//! Lite Micro computes, in numbers that are neither all zero nor all saturated.

mod tflm;

use frugal_graph::{reference, tflite, zoo, Graph, OperatorKind};
use tflm::Interpreter;

fn macs(graph: &Graph) -> u64 {
    graph.operators.iter().map(|operator| graph.multiply_accumulates(operator)).sum()
}

/// Whether a test in this profile should run it.
fn is_small(graph: &Graph) -> bool {
    macs(graph) < 30_000_000
}

#[test]
fn multiply_accumulates_are_the_published_ones() {
    // The first is 7.5 million, in "MLPerf Tiny Benchmark"; 569 and 300 million are in the papers of MobileNetV1 and V2.
    for (name, input, output, expected) in [
        ("mobilenet_v1_025_96", &[1, 96, 96, 3][..], &[1, 2][..], 7_489_664),
        ("mobilenet_v1_100_224", &[1, 224, 224, 3], &[1, 1000], 568_740_352),
        ("mobilenet_v2_100_224", &[1, 224, 224, 3], &[1, 1000], 300_774_272),
        ("resnet8", &[1, 32, 32, 3], &[1, 10], 12_501_632),
        ("ds_cnn", &[1, 49, 10, 1], &[1, 12], 2_656_768),
        ("wakeword", &[1, 30, 1, 40], &[1, 3], 826_368),
        ("anomaly", &[1, 640], &[1, 640], 264_192),
        ("autoencoder", &[1, 640], &[1, 640], 165_888),
        ("lenet5", &[1, 28, 28, 1], &[1, 10], 416_520),
    ] {
        let graph = (zoo::find(name).expect("a network of the zoo").build)(1);
        assert_eq!(graph[graph.inputs[0]].shape, input, "{name}");
        assert_eq!(graph[graph.outputs[0]].shape, output, "{name}");
        assert_eq!(macs(&graph), expected, "{name}");
    }
}

#[test]
fn layers_are_those_of_the_papers() {
    let count = |graph: &Graph, name: &str| graph.operators.iter().filter(|o| o.kind.name() == name).count();
    let v1 = zoo::mobilenet_v1(25, 96, 2, 1);
    assert_eq!((count(&v1, "CONV_2D"), count(&v1, "DEPTHWISE_CONV_2D")), (14, 13));
    assert_eq!(v1.output(&v1.operators[26]).shape, [1, 3, 3, 256]);
    let v2 = zoo::mobilenet_v2(100, 32, 10, 1);
    assert_eq!(
        (count(&v2, "CONV_2D"), count(&v2, "DEPTHWISE_CONV_2D"), count(&v2, "ADD")),
        (1 + 33 + 1, 17, 10)
    );
    // Channels in multiples of eight, as Keras has them for 0.35.
    let narrow = zoo::mobilenet_v2(35, 32, 10, 1);
    let bottlenecks: Vec<usize> = narrow
        .operators
        .iter()
        .filter(|operator| match &operator.kind {
            OperatorKind::Conv2d(conv) => conv.output_stage.activation == frugal_quant::Activation::None,
            _ => false,
        })
        .map(|operator| narrow.output(operator).shape[3])
        .collect();
    assert_eq!(bottlenecks, [8, 8, 8, 16, 16, 16, 24, 24, 24, 24, 32, 32, 32, 56, 56, 56, 112]);
}

#[test]
fn what_is_written_is_read_as_the_same_graph() {
    for entry in zoo::NETWORKS {
        let graph = (entry.build)(3);
        let file = tflite::write(&graph).unwrap_or_else(|error| panic!("{}: {error}", entry.name));
        let read = tflite::read(&file).unwrap_or_else(|error| panic!("{}: {error}", entry.name));
        assert!(read == graph, "{}", entry.name);
    }
}

#[test]
fn a_network_is_its_seed() {
    assert_eq!(zoo::resnet8(5), zoo::resnet8(5));
    assert_ne!(zoo::resnet8(5), zoo::resnet8(6));
    let graph = zoo::resnet8(5);
    assert_eq!(zoo::random_inputs(&graph, 5), zoo::random_inputs(&graph, 5));
    assert_ne!(zoo::random_inputs(&graph, 5), zoo::random_inputs(&graph, 6));
}

#[test]
fn any_shape_is_a_network() {
    for (alpha, side, classes) in [(1, 1, 1), (10, 7, 3), (140, 33, 5)] {
        for graph in [zoo::mobilenet_v1(alpha, side, classes, 1), zoo::mobilenet_v2(alpha, side, classes, 1)]
        {
            let read = tflite::read(&tflite::write(&graph).expect("small")).expect("valid");
            assert!(read == graph, "{} {alpha} {side} {classes}", graph.name);
        }
    }
}

/// On another image than the one of the calibration.
#[test]
fn activations_neither_vanish_nor_all_saturate() {
    for entry in zoo::NETWORKS {
        let graph = (entry.build)(2);
        if !is_small(&graph) {
            continue;
        }
        let outputs = reference::run_all(&graph, &zoo::random_inputs(&graph, 9)).expect("the image fits");
        for (operator, output) in graph.operators.iter().zip(&outputs) {
            let output = output.as_i8().expect("int8 layers");
            let count = |wanted: fn(i8) -> bool| output.iter().filter(|x| wanted(**x)).count() as f64;
            let share = |wanted| count(wanted) / output.len() as f64;
            let label = format!("{} {}", entry.name, operator.name);
            if matches!(operator.kind, OperatorKind::Softmax(_)) {
                continue;
            }
            assert!(share(|x| x == 127) < 0.2, "{label}: {} at the top", share(|x| x == 127));
            assert!(share(|x| x == -128) < 0.7, "{label}: {} at the bottom", share(|x| x == -128));
            let mut values = output.to_vec();
            values.sort_unstable();
            values.dedup();
            let wanted = (output.len() / 3).clamp(2, 60);
            assert!(values.len() >= wanted, "{label}: {} different values", values.len());
        }
    }
}

#[test]
fn small_networks_equal_tensorflow_lite_micro() {
    let mut interpreter = Interpreter::start();
    let mut compared = 0;
    for entry in zoo::NETWORKS {
        for seed in 1..=2 {
            let graph = (entry.build)(seed);
            if !is_small(&graph) {
                println!("not compared here: {}", entry.name);
                break;
            }
            let inputs = zoo::random_inputs(&graph, seed);
            compared += interpreter
                .compare(&graph, &inputs)
                .unwrap_or_else(|error| panic!("{} of seed {seed}: {error}", entry.name));
        }
    }
    println!("{compared} elements, 0 differences");
}
