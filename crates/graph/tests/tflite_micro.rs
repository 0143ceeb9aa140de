//! Every layer of every model against the outputs of TensorFlow Lite Micro.

use std::path::{Path, PathBuf};

use frugal_graph::{npz, reference, tflite, Graph};

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
