//! The shared models on the functional simulator, layer by layer against what TensorFlow Lite Micro computed.

use frugal_compiler::{compile, CompileOptions, CostModel};
use frugal_device::{Device, GoldenDevice, RunOptions};
use frugal_golden::Policy;
use frugal_graph::Graph;
use frugal_isa::{Config, Program};
use std::collections::BTreeMap;
use std::path::PathBuf;

fn models() -> Option<PathBuf> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/models");
    if path.is_dir() {
        return Some(path);
    }
    eprintln!("SKIPPED: no models in {}", path.display());
    None
}

type Arrays = BTreeMap<String, Vec<i8>>;

/// The graph of a model, and the arrays of every file with expected outputs.
fn read(name: &str) -> Option<(Graph, Vec<(String, Arrays)>)> {
    let folder = models()?.join(name);
    let bytes = std::fs::read(folder.join(format!("{name}.tflite"))).expect("the model is there");
    let graph = frugal_graph::tflite::read(&bytes).expect("the model is valid");
    let mut expected = Vec::new();
    for entry in std::fs::read_dir(&folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.extension().is_some_and(|extension| extension == "npz") {
            let arrays = frugal_graph::npz::read(&std::fs::read(&path).expect("readable")).expect("arrays");
            let arrays =
                arrays.iter().map(|(name, a)| (name.clone(), a.data.as_i8().expect("int8").to_vec()));
            expected
                .push((path.file_name().expect("a name").to_string_lossy().into_owned(), arrays.collect()));
        }
    }
    assert!(!expected.is_empty(), "{name} has expected outputs");
    Some((graph, expected))
}

fn bytes(elements: &[i8]) -> Vec<u8> {
    elements.iter().map(|x| *x as u8).collect()
}

fn run(program: &Program, input: &[i8], policy: Policy) -> Vec<Vec<u8>> {
    let mut device = GoldenDevice::new(&program.config).expect("a valid configuration");
    device.policy = policy;
    let result = device.run(program, &[bytes(input)], &RunOptions::default());
    result.unwrap_or_else(|error| panic!("{} on {}: {error}", program.name, program.config.name)).outputs
}

/// Runs a model on a preset, plain and with all layers dumped.
fn check(name: &str, preset: &str) {
    let Some((graph, files)) = read(name) else { return };
    let config = Config::preset(preset).expect("a preset");
    for dump_layers in [false, true] {
        let compiled = compile(&graph, &config, &CompileOptions { dump_layers }).expect("compiles");
        let program = Program::from_bytes(&compiled.program.to_bytes().expect("encodes")).expect("decodes");
        for (index, (file, arrays)) in files.iter().enumerate() {
            let policy = if index == 0 { Policy::ProgramOrder } else { Policy::Random(index as u64) };
            let outputs = run(&program, &arrays["input"], policy);
            let mut compared = 0;
            for (layout, output) in program.outputs.iter().zip(&outputs) {
                if let Some(expected) = arrays.get(&layout.name) {
                    assert!(bytes(expected) == *output, "{name} {file} on {preset}: {} differs", layout.name);
                    compared += 1;
                }
            }
            if dump_layers {
                assert_eq!(compared + compiled.host.len(), graph.operators.len(), "every layer was compared");
            }
            let results = compiled.finish(&outputs).expect("the outputs fit");
            assert!(
                results == [frugal_graph::npy::Elements::I8(arrays["output"].clone())],
                "{name} {file} on {preset}: the output differs"
            );
        }
        if !dump_layers {
            let estimate = frugal_compiler::estimate::estimate(&program, &CostModel::default());
            assert!(!estimate.stuck);
            if (name, preset) == ("resnet8", "base") {
                assert!(estimate.utilisation(&program) > 0.80, "the schedule got worse");
            }
            eprintln!(
                "{name} on {preset}: {} commands, about {} cycles, utilisation {:.1} %, busy {:?}",
                program.commands.len(),
                estimate.cycles,
                100.0 * estimate.utilisation(&program),
                estimate.busy
            );
        }
    }
}

#[test]
fn resnet8_on_base() {
    check("resnet8", "base");
}

#[test]
fn resnet8_on_nano() {
    check("resnet8", "nano");
}

#[test]
fn resnet8_on_large_and_huge() {
    check("resnet8", "large");
    check("resnet8", "huge");
}

#[test]
fn kws_on_every_preset() {
    for preset in Config::PRESETS {
        check("kws", preset);
    }
}

#[test]
fn wakeword_on_every_preset() {
    for preset in Config::PRESETS {
        check("wakeword", preset);
    }
}
