//! Damaged files give errors: no bytes make the reader panic, and what it accepts, the reference executor can run.

use std::sync::OnceLock;

use frugal_graph::npy::Elements;
use frugal_graph::random::{network, Options};
use frugal_graph::{npz, reference, tflite, DataType, Graph, GraphError, Tensor};
use proptest::prelude::*;

/// Multiply-accumulates, and elements of the largest tensor, up to which an accepted mutation is also run.
const LARGEST_RUN: u64 = 4_000_000;

/// Files that are mutated.
const SEEDS_COUNT: usize = 20;

fn file(path: &str) -> Vec<u8> {
    let path = format!("{}/../../models/{path}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Two files of this repository, and random networks that reach the other operators.
fn seeds() -> &'static [Vec<u8>] {
    static SEEDS: OnceLock<Vec<Vec<u8>>> = OnceLock::new();
    SEEDS.get_or_init(|| {
        let options = Options { max_elements: 60, max_channels: 5, max_macs: 2_000, ..Options::default() };
        let random = (0..SEEDS_COUNT as u64 - 2)
            .map(|seed| tflite::write(&network(seed, &options).graph).expect("small enough"));
        [file("digits/digits.tflite"), file("operators/operators.tflite")].into_iter().chain(random).collect()
    })
}

/// Reads a mutated file; whatever still is a model must run.
fn exercise(bytes: &[u8]) {
    let Ok(graph) = tflite::read(bytes) else { return };
    let work: u64 = graph.operators.iter().map(|operator| graph.multiply_accumulates(operator)).sum();
    let largest = graph.tensors.iter().map(|tensor| tensor.element_count() as u64).max().unwrap_or(0);
    if work.max(largest) <= LARGEST_RUN {
        let inputs: Vec<Elements> = graph.inputs.iter().map(|id| input(&graph[*id])).collect();
        let outputs = reference::run_all(&graph, &inputs).expect("inputs of the right types and lengths");
        assert_eq!(outputs.len(), graph.operators.len());
    }
}

fn input(tensor: &Tensor) -> Elements {
    let count = tensor.element_count();
    match tensor.data_type {
        DataType::U8 => Elements::U8(vec![100; count]),
        DataType::F32 => Elements::F32(vec![1e10; count]),
        _ => Elements::I8(vec![100; count]),
    }
}

/// Overwrites a few places with a byte or with a word of interest.
fn mutated() -> impl Strategy<Value = Vec<u8>> {
    let word = prop_oneof![
        any::<i32>(),
        -4i32..300,
        Just(i32::MAX),
        Just(i32::MIN),
        Just(1 << 16),
        Just(1 << 28),
        any::<f32>().prop_map(|x| x.to_bits() as i32),
    ];
    let place = (any::<prop::sample::Index>(), prop_oneof![any::<u8>().prop_map(Err), word.prop_map(Ok)]);
    (0..SEEDS_COUNT, proptest::collection::vec(place, 1..6)).prop_map(|(seed, places)| {
        let mut bytes = seeds()[seed].clone();
        for (index, value) in places {
            // Structure sits at both ends of the file, constants between: aim at the structure three times out of four.
            let length = bytes.len();
            let raw = index.index(length * 4);
            let position = match raw / length {
                0 => raw % length,
                1 => raw % length.min(3000),
                _ => length - 1 - raw % length.min(5000),
            };
            match value {
                Err(byte) => bytes[position] = byte,
                Ok(word) => {
                    let start = position / 4 * 4;
                    let end = (start + 4).min(bytes.len());
                    bytes[start..end].copy_from_slice(&word.to_le_bytes()[..end - start]);
                }
            }
        }
        bytes
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn mutations_do_not_panic(bytes in mutated()) {
        exercise(&bytes);
    }

    #[test]
    fn truncations_do_not_panic(seed in 0..SEEDS_COUNT, cut: prop::sample::Index) {
        let bytes = &seeds()[seed];
        exercise(&bytes[..cut.index(bytes.len())]);
    }

    #[test]
    fn random_bytes_do_not_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..600), magic: bool) {
        if magic && bytes.len() >= 8 {
            bytes[4..8].copy_from_slice(b"TFL3");
        }
        exercise(&bytes);
    }
}

#[test]
fn every_single_byte_may_be_wrong() {
    // Each byte of the smaller file in turn is set to a few values.
    let bytes = &seeds()[1];
    for position in 0..bytes.len() {
        for value in [0, 1, 0x7f, 0x80, 0xff] {
            let mut bytes = bytes.clone();
            bytes[position] = value;
            let _ = tflite::read(&bytes);
        }
    }
}

#[test]
fn what_is_no_model_is_named_so() {
    assert_eq!(tflite::read(b""), Err(GraphError::NotTflite));
    assert_eq!(tflite::read(b"PK\x03\x04 an archive"), Err(GraphError::NotTflite));
    assert!(matches!(tflite::read(b"\x08\0\0\0TFL3"), Err(GraphError::Damaged(_))));
    assert!(npz::read(b"PK\x03\x04").is_err());
}

#[test]
fn an_input_of_the_wrong_length_is_an_error() {
    let graph: Graph = tflite::read(&seeds()[0]).expect("the model of this repository");
    let error = reference::run(&graph, &[0; 255]).expect_err("255 of 256 elements");
    assert_eq!(error.to_string(), "the input has 255 elements; shape [1, 16, 16, 1] needs 256");
}
