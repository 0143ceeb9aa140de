//! Random networks survive being written and read, and run.

use frugal_graph::random::{network, Options};
use frugal_graph::{reference, tflite};

#[test]
fn what_is_written_is_read_as_the_same_graph() {
    let options = Options::default();
    let mut layers = 0;
    for seed in 0..2_000 {
        let network = network(seed, &options);
        let file = tflite::write(&network.graph).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        let read = tflite::read(&file).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        assert!(read == network.graph, "seed {seed}: {read:?} instead of {:?}", network.graph);
        layers += read.operators.len();
    }
    println!("{layers} layers of 2000 networks");
}

#[test]
fn a_network_is_its_seed() {
    let options = Options::default();
    let (first, second) = (network(7, &options), network(7, &options));
    assert_eq!((first.graph, first.inputs), (second.graph, second.inputs));
}

#[test]
fn every_network_runs_and_stays_in_its_budget() {
    let options = Options { max_elements: 500, max_channels: 9, max_macs: 20_000, ..Options::default() };
    for seed in 0..1_000 {
        let network = network(seed, &options);
        let outputs = reference::run_all(&network.graph, &network.inputs)
            .unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        for (operator, output) in network.graph.operators.iter().zip(&outputs) {
            let tensor = network.graph.output(operator);
            assert_eq!(output.len(), tensor.element_count(), "seed {seed}: {}", operator.name);
            assert!(output.len() <= options.max_elements, "seed {seed}: {}", operator.name);
            let macs = network.graph.multiply_accumulates(operator);
            assert!(macs <= options.max_macs as u64, "seed {seed}: {} has {macs}", operator.name);
        }
    }
}
