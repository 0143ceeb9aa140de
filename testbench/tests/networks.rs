//! Whole networks on the Verilated accelerator and on the functional simulator: every layer's output against what TensorFlow
//! Lite Micro computed.

use frugal_compiler::{compile, estimate_cycles, CompileOptions, CostModel};
use frugal_device::{Device, GoldenDevice, RunOptions};
use frugal_isa::Config;
use frugal_testbench::accelerator::verilated_device;
use frugal_testbench::axi::Stalls;
use frugal_testbench::device::SimulationOptions;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The project's own models, always there.
fn own(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../models").join(name)
}

/// Models beside the checkout, where they exist.
fn shared(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/models").join(name);
    if path.is_dir() {
        return Some(path);
    }
    eprintln!("SKIPPED {name}: no folder {}", path.display());
    None
}

fn expected(folder: &Path) -> Vec<(String, BTreeMap<String, Vec<i8>>)> {
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .expect("a folder")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.to_string_lossy().ends_with(".tflm.npz"))
        .collect();
    files.sort();
    assert!(!files.is_empty(), "{} has expected outputs", folder.display());
    files
        .into_iter()
        .map(|path| {
            let arrays = frugal_graph::npz::read(&std::fs::read(&path).expect("readable")).expect("arrays");
            let arrays =
                arrays.iter().map(|(name, a)| (name.clone(), a.data.as_i8().expect("int8").to_vec()));
            (path.file_name().expect("a name").to_string_lossy().into_owned(), arrays.collect())
        })
        .collect()
}

fn bytes(elements: &[i8]) -> Vec<u8> {
    elements.iter().map(|x| *x as u8).collect()
}

/// Runs every stored input of a model with all layers stored, and returns the cycles of a plain run.
fn check(folder: &Path, config: &Config, stall_seed: Option<u64>) -> u64 {
    let name = folder.file_name().expect("a name").to_string_lossy().into_owned();
    let model = std::fs::read(folder.join(format!("{name}.tflite"))).expect("the model is there");
    let graph = frugal_graph::tflite::read(&model).expect("the model is valid");
    let options = SimulationOptions { stalls: stall_seed.map(Stalls::new), ..SimulationOptions::default() };
    let mut cycles = 0;
    for dump_layers in [true, false] {
        let compiled = compile(&graph, config, &CompileOptions { dump_layers }).expect("compiles");
        let program = &compiled.program;
        let mut device = verilated_device(config, &options, None).expect("a device");
        for (file, arrays) in expected(folder) {
            let result = device
                .run(program, &[bytes(&arrays["input"])], &RunOptions::default())
                .unwrap_or_else(|error| panic!("{name} {file} on {}: {error}", config.name));
            let golden = GoldenDevice::new(config)
                .expect("a valid configuration")
                .run(program, &[bytes(&arrays["input"])], &RunOptions::default())
                .unwrap_or_else(|error| panic!("{name} {file} on golden {}: {error}", config.name));
            assert!(golden.outputs == result.outputs, "{name} {file}: golden and Verilog differ");
            let mut compared = 0;
            for (layout, output) in program.outputs.iter().zip(&result.outputs) {
                if let Some(wanted) = arrays.get(&layout.name) {
                    assert!(
                        bytes(wanted) == *output,
                        "{name} {file} on {}: {} differs",
                        config.name,
                        layout.name
                    );
                    compared += 1;
                }
            }
            if dump_layers {
                assert_eq!(compared + compiled.host.len(), graph.operators.len(), "every layer was compared");
            }
            let results = compiled.finish(&result.outputs).expect("the outputs fit");
            assert!(
                results == [frugal_graph::npy::Elements::I8(arrays["output"].clone())],
                "{name} {file} on {}: the output differs",
                config.name
            );
            assert_eq!(device.system_mut().model_mut().errors(), 0, "assertions in the Verilog failed");
            cycles = result.statistics.cycles.expect("cycles");
        }
        if !dump_layers {
            let utilisation = program.macs() as f64 / (cycles as f64 * config.peak() as f64);
            eprintln!(
                "{name} on {} ({} bits, stalls {stall_seed:?}): {cycles} cycles, utilisation {:.1} %",
                config.name,
                config.bus_bits,
                100.0 * utilisation
            );
        }
    }
    cycles
}

fn preset(name: &str) -> Config {
    Config::preset(name).expect("a preset")
}

#[test]
fn digits_on_every_preset() {
    for name in ["nano", "base", "large"] {
        check(&own("digits"), &preset(name), None);
    }
}

#[test]
fn digits_on_a_sequential_core() {
    let config = preset("femto");
    let cycles = check(&own("digits"), &config, None) as f64;
    // The cycle model is of what the microprogram does.
    let model = std::fs::read(own("digits").join("digits.tflite")).expect("the model is there");
    let graph = frugal_graph::tflite::read(&model).expect("the model is valid");
    let program = compile(&graph, &config, &CompileOptions::default()).expect("compiles").program;
    let estimate = estimate_cycles(&program, &CostModel::default()) as f64;
    assert!((estimate / cycles - 1.0).abs() < 0.05, "{estimate} cycles are estimated, {cycles} were taken");
}

#[test]
fn digits_with_random_stalls() {
    check(&own("digits"), &preset("base"), Some(1));
    check(&own("digits"), &preset("large").with_bus_bits(128), Some(2));
}

#[test]
fn resnet8_on_every_preset() {
    let Some(folder) = shared("resnet8") else { return };
    for name in ["nano", "base", "large"] {
        let cycles = check(&folder, &preset(name), None);
        if name == "base" {
            // 12,501,632 multiply-accumulates on 128 multipliers: at least 65 % utilisation.
            assert!(cycles * 128 * 65 / 100 <= 12_501_632, "{cycles} cycles");
        }
    }
}

#[test]
fn resnet8_with_random_stalls() {
    let Some(folder) = shared("resnet8") else { return };
    check(&folder, &preset("base"), Some(3));
}
