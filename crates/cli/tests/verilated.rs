//! The command line on the Verilated accelerator. Needs Verilator: `scripts/setup`.

mod support;

use frugal_graph::npy::{self, Elements};
use frugal_graph::random::Network;
use frugal_graph::{tflite, DataType, Graph, TensorId};
use support::{assert_says, digits, models, Sandbox};

/// One image of the digits.
fn one_image(sandbox: &Sandbox) -> String {
    let array = npy::read(&std::fs::read(digits("images.npy")).unwrap()).unwrap();
    sandbox.write_array("one.npy", &[1, 16, 16, 1], Elements::I8(array.data.as_i8().unwrap()[..256].to_vec()))
}

#[test]
fn run_gives_the_same_bits_and_more_cycles_with_a_worse_memory() {
    let sandbox = Sandbox::new();
    let (model, image) = (digits("digits.tflite"), one_image(&sandbox));
    let run = |more: &[&str]| {
        let all =
            [&["run", &model, "--input", &image, "--config", "nano", "--json", "--output", "y.npy"], more]
                .concat();
        (sandbox.succeed_with_json(&all), sandbox.read("y.npy"))
    };
    let (golden, wanted) = run(&["--device", "golden"]);
    let (plain, bits) = run(&[]);
    assert!(bits == wanted);
    for key in ["macs", "bytes_written"] {
        assert_eq!(plain[key], golden[key], "{key}");
    }
    let cycles = plain["cycles"].as_u64().expect("cycles");
    let utilisation = plain["utilisation"].as_f64().expect("a number");
    assert!((utilisation - 1_327_424.0 / (cycles as f64 * 64.0)).abs() < 1e-9);
    assert!(plain["bytes_read"].as_u64() >= golden["bytes_read"].as_u64());
    for more in [&["--memory-latency", "400"][..], &["--stall-seed", "3"]] {
        let (slow, bits) = run(more);
        assert!(bits == wanted, "{more:?}");
        assert!(slow["cycles"].as_u64() > Some(cycles), "{more:?}");
    }
    // The same seed, the same cycles.
    assert_eq!(run(&["--stall-seed", "3"]).0["cycles"], run(&["--stall-seed", "3"]).0["cycles"]);
    let counter = |name: &str| plain["counters"][name].as_u64().unwrap_or_else(|| panic!("{name}: {plain}"));
    assert!(counter("MATRIX_BUSY") > cycles / 2 && counter("MATRIX_BUSY") < cycles);
    assert_eq!(plain["bytes_read"], 8 * counter("READ_BEATS"));
    assert_eq!(plain["counters"], plain["images"][0]["counters"]);
    let text = sandbox.succeed(&["run", &model, "--input", &image, "--config", "nano"]);
    assert_says(&text, &["performance counters", "matrix busy", "bus waits", "matrix waits load"]);
    assert_says(
        &text,
        &["class 8", "verilator, nano (8 x 8, 64-bit bus)", "= MACs / (cycles x 8 x 8)", "kHz"],
    );
}

#[test]
fn waveforms() {
    let sandbox = Sandbox::new();
    let (model, image) = (digits("digits.tflite"), one_image(&sandbox));
    for (name, begins) in [("wave.vcd", &b"$version"[..]), ("wave.fst", &[0])] {
        sandbox.succeed(&["run", &model, "--input", &image, "--config", "nano", "--trace", name]);
        let wave = sandbox.read(name);
        assert!(wave.len() > 10_000 && wave.starts_with(begins), "{name}: {} bytes", wave.len());
    }
}

#[test]
fn a_run_that_takes_too_long_says_where_it_stands() {
    let sandbox = Sandbox::new();
    let (model, image) = (digits("digits.tflite"), one_image(&sandbox));
    let message = sandbox.fail(
        1,
        &["run", &model, "--input", &image, "--config", "nano", "--output", "y.npy", "--max-cycles", "1000"],
    );
    assert_says(&message, &["digits on 'nano'", "no end after 1000 cycles", "dispatched", "layer '"]);
}

#[test]
fn bench_gemm_records_a_row() {
    let sandbox = Sandbox::new();
    std::fs::create_dir(sandbox.path("docs")).unwrap();
    sandbox.write("docs/benchmarks.tsv", "");
    for _ in 0..2 {
        let text = sandbox.succeed(&[
            "bench",
            "gemm",
            "--m",
            "16",
            "--k",
            "64",
            "--n",
            "32",
            "--config",
            "nano",
            "--memory-latency",
            "50",
            "--record",
        ]);
        assert_says(&text, &["every byte is right", "array utilisation"]);
    }
    let table = String::from_utf8(sandbox.read("docs/benchmarks.tsv")).unwrap();
    let rows: Vec<Vec<&str>> = table.lines().map(|line| line.split('\t').collect()).collect();
    assert_eq!(rows.len(), 3);
    assert!(rows.iter().all(|row| row.len() == rows[0].len()));
    assert_eq!(rows[0][..6], ["date", "commit", "command", "config", "cycles", "macs"]);
    assert_eq!(rows[1][2], "frugal bench gemm --m 16 --k 64 --n 32 --config nano --memory-latency 50");
    assert_eq!(rows[1][3..6], rows[2][3..6], "the same run takes the same cycles");
    assert_eq!(rows[1][5], "32768");
}

#[test]
fn bench_network_measures_and_records() {
    let sandbox = Sandbox::new();
    std::fs::create_dir(sandbox.path("docs")).unwrap();
    // A table from before the last columns.
    sandbox.write("docs/benchmarks.tsv", "date\tcommit\tcommand\n2020-01-01\t-\tfrugal bench old\n");
    let text = sandbox.succeed(&["bench", "network", "autoencoder", "--config", "nano", "--record"]);
    assert_says(&text, &["every output is right", "array utilisation", "of the bus limit", "cycle model"]);
    let json = sandbox.succeed_with_json(&["bench", "network", "autoencoder", "--config", "nano", "--json"]);
    let cycles = json["cycles"].as_u64().expect("cycles");
    let share = json["least_bytes"].as_f64().unwrap() / (cycles as f64 * 8.0);
    assert!((json["bus_share"].as_f64().unwrap() - share).abs() < 1e-9);
    assert!(share > 0.5 && share <= 1.0, "{share}");
    let table = String::from_utf8(sandbox.read("docs/benchmarks.tsv")).unwrap();
    let rows: Vec<Vec<&str>> = table.lines().map(|line| line.split('\t').collect()).collect();
    assert_eq!(rows.len(), 3);
    assert!(rows.iter().all(|row| row.len() == rows[0].len()), "{table}");
    assert_eq!(rows[0][11..], ["predicted_cycles", "bus_share"]);
    assert_eq!(rows[1][2..5], ["frugal bench old", "-", "-"]);
    assert_eq!(rows[2][2], "frugal bench network autoencoder --config nano");
    assert_eq!(rows[2][4], cycles.to_string());
    assert_eq!(rows[2][12], format!("{share:.4}"));
}

#[test]
fn bench_simulation_compares_with_the_array_alone() {
    let sandbox = Sandbox::new();
    let json =
        sandbox.succeed_with_json(&["bench", "simulation", "--config", "nano", "--size", "64", "--json"]);
    let number = |key: &str| json[key].as_f64().unwrap_or_else(|| panic!("{key}: {json}"));
    assert!(number("accelerator_khz") > 0.0 && number("array_khz") > number("accelerator_khz"));
    assert!((number("ratio") - number("accelerator_khz") / number("array_khz")).abs() < 1e-9);
}

#[test]
fn demo_classifies_on_the_simulated_accelerator() {
    let sandbox = Sandbox::new();
    let text = sandbox.succeed(&["demo", "--config", "nano", "--images", "4"]);
    assert_says(
        &text,
        &[
            "verilator, nano",
            "right                       4 of 4",
            "same bits as the reference  4 of 4",
            "cycles an image",
        ],
    );
}

/// What the README shows of the demo is what the demo prints.
#[test]
fn demo_costs_what_the_readme_says() {
    let sandbox = Sandbox::new();
    let readme = include_str!("../../../README.md");
    for (config, shown) in [("nano", false), ("base", true)] {
        let text = sandbox.succeed(&["demo", "--config", config, "--images", "1"]);
        let cost = text.lines().find(|line| line.contains("cycles, array utilisation")).expect("a cost");
        // Beside the picture.
        let cost = cost.trim_start_matches(|c: char| !c.is_ascii_digit());
        let (cycles, utilisation) = cost.split_once(" cycles, array utilisation ").expect("two numbers");
        let row = format!("| `{config}` | {cycles} | {utilisation} | `demo");
        assert!(readme.contains(&row), "README.md has no '{row}'");
        assert!(!shown || readme.contains(cost), "README.md does not show '{cost}'");
    }
}

/// The host's steps before and after the program, on the Verilated accelerator.
#[test]
fn real_numbers_in_and_out_of_run_and_profile() {
    let sandbox = Sandbox::new();
    let is_float = |id: &TensorId, graph: &Graph| graph[*id].data_type == DataType::F32;
    let network = models::bordered()
        .find(|Network { graph, .. }| {
            graph.inputs.len() == 1
                && graph.inputs.iter().all(|id| is_float(id, graph))
                && graph.outputs.iter().any(|id| is_float(id, graph))
        })
        .expect("there is one");
    sandbox.write("m.tflite", tflite::write(&network.graph).unwrap());
    let shape = &network.graph[network.graph.inputs[0]].shape;
    let input = sandbox.write_array("x.npy", shape, network.inputs[0].clone());
    let wanted = models::expected(&network.graph, &network.inputs);
    let ran = ["m.tflite", "--input", &input, "--config", "nano", "--json"];
    for command in [&["run"][..], &["profile", "--out", "profile"]] {
        let json = sandbox.succeed_with_json(&[command, &ran].concat());
        let outputs = if command[0] == "run" { &json["images"][0]["outputs"] } else { &json["outputs"] };
        for (output, wanted) in outputs.as_array().expect("outputs").iter().zip(&wanted) {
            // The parser of the JSON may be off by a bit of a float64; each of these numbers is a float32.
            let values = output["values"].as_array().expect("numbers");
            let values: Vec<f32> = values.iter().map(|value| value.as_f64().unwrap() as f32).collect();
            let wanted: Vec<f32> = wanted.to_f64().iter().map(|value| *value as f32).collect();
            assert!(values == wanted, "seed {}: {command:?}", network.seed);
        }
        let host = json["host_steps"].as_array().expect("names");
        let has = |kind: &str| host.iter().any(|name| name.as_str().unwrap().ends_with(kind));
        assert!(has("_QUANTIZE") && has("_DEQUANTIZE"), "{host:?}");
    }
}
