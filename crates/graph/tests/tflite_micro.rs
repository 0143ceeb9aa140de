//! Every layer against TensorFlow Lite Micro: of the models in files against its recorded outputs, of random networks
//! against the interpreter itself.

mod tflm;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use frugal_graph::random::{network, Options};
use frugal_graph::{npz, reference, tflite, Graph};
use tflm::{number_from_environment, Interpreter};

/// The models of this repository, and those that come with the workspace it was developed in.
fn model_folders() -> Vec<PathBuf> {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    [manifest.join("../../models"), manifest.join("../../../shared/models")]
        .into_iter()
        .flat_map(|root| match std::fs::read_dir(&root) {
            Ok(entries) => {
                let mut folders: Vec<_> =
                    entries.map(|entry| entry.expect("readable folder").path()).collect();
                folders.sort();
                folders
            }
            Err(_) => {
                println!("skipped: no models in {}", root.display());
                vec![]
            }
        })
        .filter(|path| path.is_dir())
        .collect()
}

fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .expect("readable folder")
        .map(|entry| entry.expect("readable folder").path())
        .filter(|path| path.to_string_lossy().ends_with(ending))
        .collect();
    files.sort();
    files
}

/// Compares one expected run; the number of elements compared.
fn compare(graph: &Graph, archive: &Path) -> usize {
    let label = archive.display();
    let bytes = std::fs::read(archive).expect("readable archive");
    let arrays = npz::read(&bytes).unwrap_or_else(|error| panic!("{label}: {error}"));
    let elements = |key: &str| {
        let array = arrays.get(key).unwrap_or_else(|| panic!("{label}: no array {key}"));
        array.data.as_i8().unwrap_or_else(|| panic!("{label}: {key} is not int8"))
    };
    assert_eq!(arrays.len(), graph.operators.len() + 2, "{label}: input, output and one array per layer");
    let outputs = reference::run(graph, elements("input")).unwrap_or_else(|error| panic!("{label}: {error}"));
    let mut compared = 0;
    for (operator, output) in graph.operators.iter().zip(&outputs) {
        let expected = elements(&operator.name);
        assert_eq!(arrays[&operator.name].shape, graph.output(operator).shape, "{label}: {}", operator.name);
        let difference = output.iter().zip(expected).position(|(a, b)| a != b);
        assert_eq!(difference, None, "{label}: {}: first difference", operator.name);
        assert_eq!(output.len(), expected.len(), "{label}: {}", operator.name);
        compared += output.len();
    }
    let writer = graph.operators.iter().position(|operator| operator.outputs[0] == graph.outputs[0]);
    assert_eq!(outputs[writer.expect("a layer writes the output")], elements("output"), "{label}: output");
    compared
}

#[test]
fn every_layer_equals_tensorflow_lite_micro() {
    let (mut archives, mut compared) = (0, 0);
    for folder in model_folders() {
        for model in files(&folder, ".tflite") {
            let bytes = std::fs::read(&model).expect("readable model");
            let graph = tflite::read(&bytes).unwrap_or_else(|error| panic!("{}: {error}", model.display()));
            for archive in files(&folder, ".tflm.npz") {
                compared += compare(&graph, &archive);
                archives += 1;
            }
        }
    }
    println!("{compared} elements of {archives} runs, 0 differences");
    assert!(archives > 0, "no expected outputs found: models/digits is part of the repository");
}

/// Random networks that are compared, and the first seed; more and others with the environment variables
/// `FRUGAL_RANDOM_NETWORKS` and `FRUGAL_RANDOM_SEED`.
const NETWORKS: u64 = 300;
const FIRST_SEED: u64 = 1;

#[test]
fn random_networks_equal_tensorflow_lite_micro() {
    let networks = number_from_environment("FRUGAL_RANDOM_NETWORKS", NETWORKS);
    let first_seed = number_from_environment("FRUGAL_RANDOM_SEED", FIRST_SEED);
    let options = Options::default();
    let mut interpreter = Interpreter::start();
    let (mut layers, mut compared) = (BTreeMap::<&str, usize>::new(), 0);
    let mut failures = vec![];
    for seed in first_seed..first_seed + networks {
        let network = network(seed, &options);
        match interpreter.compare(&network.graph, &network.inputs) {
            Ok(elements) => compared += elements,
            Err(error) => {
                failures.push(format!("seed {seed}: {error}"));
                interpreter = Interpreter::start();
            }
        }
        for operator in &network.graph.operators {
            *layers.entry(operator.kind.name()).or_default() += 1;
        }
    }
    println!("{compared} elements of {networks} random networks from seed {first_seed}: {layers:?}");
    assert!(
        failures.is_empty(),
        "{} of {networks} networks differ (FRUGAL_RANDOM_SEED=.. FRUGAL_RANDOM_NETWORKS=1 for one of them):\n{}",
        failures.len(),
        failures[..failures.len().min(5)].join("\n")
    );
}
