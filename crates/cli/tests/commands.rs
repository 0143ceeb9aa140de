//! What every command does when all is well, without Verilator.

mod support;

use frugal_graph::npy::{self, Elements};
use frugal_graph::random::Network;
use frugal_graph::{tflite, OperatorKind};
use std::collections::BTreeSet;
use support::{assert_says, checkout, digits, models, Sandbox};

/// The int8 elements of an array file, and its shape.
fn int8(bytes: &[u8]) -> (Vec<usize>, Vec<i8>) {
    let array = npy::read(bytes).expect("an array");
    (array.shape.clone(), array.data.as_i8().expect("int8").to_vec())
}

fn images() -> Vec<i8> {
    int8(&std::fs::read(digits("images.npy")).expect("readable")).1
}

#[test]
fn verilog_is_one_file_and_the_same_every_time() {
    let sandbox = Sandbox::new();
    let printed = sandbox.succeed(&["verilog", "--config", "nano", "--out", "deep/er"]);
    let text = String::from_utf8(sandbox.read("deep/er/accelerator.v")).unwrap();
    assert_says(&text, &["module accelerator", "configuration 'nano'"]);
    let lines = format!("{},{:03} lines", text.lines().count() / 1000, text.lines().count() % 1000);
    assert_says(&printed, &["deep/er/accelerator.v", "nano (8 x 8, 64-bit bus)", "modules", &lines]);
    sandbox.succeed(&["verilog", "--config", "nano", "--out", "again"]);
    assert_eq!(sandbox.read("again/accelerator.v"), text.as_bytes());
    sandbox.succeed(&["verilog", "--config", "nano", "--bus-bits", "128", "--out", "again"]);
    assert_says(&String::from_utf8(sandbox.read("again/accelerator.v")).unwrap(), &["128-bit memory bus"]);
    assert_eq!(std::fs::read_dir(sandbox.path("again")).unwrap().count(), 1);
}

#[test]
fn a_configuration_file_is_as_good_as_a_preset() {
    let sandbox = Sandbox::new();
    let mut config = serde_json::to_value(frugal_isa::Config::preset("nano").unwrap()).unwrap();
    config["name"] = "mine".into();
    config["cols"] = 4.into();
    sandbox.write("mine.json", config.to_string());
    let printed =
        sandbox.succeed(&["compile", &digits("digits.tflite"), "--config", "mine.json", "--out", "p.bin"]);
    assert_says(&printed, &["mine (8 x 4, 64-bit bus)"]);
    let json = sandbox.succeed_with_json(&[
        "run",
        &digits("digits.tflite"),
        "--input",
        &digits("images.npy"),
        "--device",
        "golden",
        "--config",
        "./mine.json",
        "--bus-bits",
        "128",
        "--json",
    ]);
    assert_eq!((&json["config"]["name"], &json["config"]["bus_bits"]), (&"mine".into(), &128.into()));
}

#[test]
fn run_prints_the_result_and_the_cost() {
    let sandbox = Sandbox::new();
    let image = sandbox.write_array("one.npy", &[1, 16, 16, 1], Elements::I8(images()[..256].to_vec()));
    let text = sandbox.succeed(&[
        "run",
        &digits("digits.tflite"),
        "--input",
        &image,
        "--device",
        "golden",
        "--output",
        "y.npy",
    ]);
    assert_says(
        &text,
        &[
            "class 8",
            "shape (1, 10)",
            "MACs           1,327,424",
            "bytes read",
            "wall time",
            "op10_SOFTMAX",
            "y.npy",
        ],
    );
    assert!(!text.contains("counters"), "the functional simulator has none: {text}");
    let (shape, scores) = int8(&sandbox.read("y.npy"));
    assert_eq!(shape, [1, 10]);
    assert_eq!(scores.iter().max(), Some(&scores[8]));
}

#[test]
fn run_gives_the_bits_of_the_reference_for_every_image() {
    let sandbox = Sandbox::new();
    let graph = frugal_graph::tflite::read(&std::fs::read(digits("digits.tflite")).unwrap()).unwrap();
    let wanted: Vec<i8> = images()
        .chunks(256)
        .flat_map(|image| frugal_graph::reference::run(&graph, image).unwrap().pop().unwrap())
        .collect();
    for config in ["nano", "base", "large", "huge"] {
        let json = sandbox.succeed_with_json(&[
            "run",
            &digits("digits.tflite"),
            "--input",
            &digits("images.npy"),
            "--output",
            "y.npy",
            "--device",
            "golden",
            "--config",
            config,
            "--json",
        ]);
        assert_eq!(int8(&sandbox.read("y.npy")), (vec![20, 10], wanted.clone()), "{config}");
        assert_eq!(json["cycles"], serde_json::Value::Null);
        assert_eq!(json["utilisation"], serde_json::Value::Null);
        assert_eq!(json["counters"], serde_json::Value::Null);
        assert_eq!(json["macs"], 20 * 1_327_424);
        assert!(json["bytes_read"].as_u64() > Some(0) && json["bytes_written"].as_u64() > Some(0));
        assert!(json["wall_seconds"].as_f64() > Some(0.0));
        let labels = npy::read(&std::fs::read(digits("labels.npy")).unwrap()).unwrap();
        let Elements::I32(labels) = labels.data else { panic!("int32 labels") };
        let classes: Vec<i32> =
            (0..20).map(|i| json["images"][i]["outputs"][0]["class"].as_i64().unwrap() as i32).collect();
        assert!(classes.iter().zip(&labels).filter(|(a, b)| a == b).count() >= 18, "{classes:?}");
    }
}

#[test]
fn inputs_of_every_type_are_the_same_image() {
    let sandbox = Sandbox::new();
    let image = images()[..256].to_vec();
    let bytes: Vec<u8> = image.iter().map(|x| (i16::from(*x) + 128) as u8).collect();
    // The model's scale is 1/255.
    let reals: Vec<f32> = bytes.iter().map(|x| f32::from(*x) / 255.0).collect();
    let mut results = Vec::new();
    for (name, shape, data) in [
        ("i8.npy", &[16, 16, 1][..], Elements::I8(image)),
        ("u8.npy", &[1, 16, 16, 1], Elements::U8(bytes)),
        ("f32.npy", &[1, 16, 16, 1], Elements::F32(reals)),
    ] {
        let input = sandbox.write_array(name, shape, data);
        sandbox.succeed(&[
            "run",
            &digits("digits.tflite"),
            "--input",
            &input,
            "--device",
            "golden",
            "--output",
            "y.npy",
        ]);
        results.push(sandbox.read("y.npy"));
    }
    assert!(results[0] == results[1] && results[0] == results[2]);
}

/// Random networks with every element type at their borders: each input takes its own type, each output has its own, one
/// image or two, and what the host does is listed, before the program and after it.
#[test]
fn inputs_and_outputs_have_the_types_of_the_model() {
    let sandbox = Sandbox::new();
    // Types of inputs and outputs, and numbers of inputs and outputs, that were not met yet.
    let mut missing = BTreeSet::from(
        [
            "input int8",
            "input uint8",
            "input float32",
            "output int8",
            "output uint8",
            "output float32",
            "2 inputs",
        ]
        .map(str::to_owned),
    );
    for Network { seed, graph, inputs } in models::bordered() {
        let kinds = |role: &str, elements: &[Elements]| -> Vec<String> {
            elements.iter().map(|elements| format!("{role} {}", elements.type_name())).collect()
        };
        let mut met = kinds("input", &inputs);
        met.extend(kinds("output", &models::expected(&graph, &inputs)));
        met.push(format!("{} inputs", inputs.len()));
        if !met.iter().any(|kind| missing.contains(kind)) {
            continue;
        }
        sandbox.write("m.tflite", tflite::write(&graph).unwrap());
        let second: Vec<Elements> = inputs.iter().map(models::reversed).collect();
        let wanted = [&inputs, &second].map(|inputs| models::expected(&graph, inputs));
        for count in 1..=2 {
            let mut arguments: Vec<String> =
                ["run", "m.tflite", "--device", "golden", "--json"].map(str::to_owned).to_vec();
            for (index, id) in graph.inputs.iter().enumerate() {
                let mut shape = graph[*id].shape.clone();
                assert_eq!(shape[0], 1, "seed {seed}");
                shape[0] = count;
                let mut data = inputs[index].clone();
                if count == 2 {
                    assert!(data.append(&second[index]));
                }
                let path = sandbox.write_array(&format!("x{index}.npy"), &shape, data);
                arguments.extend(["--input".to_owned(), path]);
            }
            for index in 0..graph.outputs.len() {
                arguments.extend(["--output".to_owned(), format!("y{index}.npy")]);
            }
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            let json = sandbox.succeed_with_json(&arguments);
            for (index, id) in graph.outputs.iter().enumerate() {
                let mut data = wanted[0][index].clone();
                if count == 2 {
                    assert!(data.append(&wanted[1][index]));
                }
                let array = npy::read(&sandbox.read(&format!("y{index}.npy"))).expect("an array");
                assert_eq!(array.data, data, "seed {seed}, output {index}");
                assert_eq!(array.shape.iter().product::<usize>(), count * graph[*id].element_count());
                assert_eq!(json["images"][count - 1]["outputs"][index]["type"], data.type_name());
            }
            let host: Vec<&str> =
                json["host_steps"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
            for operator in &graph.operators {
                let is_border =
                    matches!(operator.kind, OperatorKind::Quantize(_) | OperatorKind::Dequantize(_));
                assert!(!is_border || host.contains(&operator.name.as_str()), "seed {seed}: {host:?}");
            }
        }
        let text = sandbox.succeed(&["bench", "network", "m.tflite", "--device", "golden"]);
        assert_says(&text, &["every output is right"]);
        missing.retain(|kind| !met.contains(kind));
        if missing.is_empty() {
            return;
        }
    }
    panic!("no network with {missing:?}");
}

#[test]
fn compile_and_disassemble() {
    let sandbox = Sandbox::new();
    let printed =
        sandbox.succeed(&["compile", &digits("digits.tflite"), "--config", "nano", "--out", "digits.bin"]);
    assert_says(&printed, &["digits.bin", "nano (8 x 8, 64-bit bus)", "1,327,424", "op10_SOFTMAX"]);
    let program = frugal_isa::Program::from_bytes(&sandbox.read("digits.bin")).expect("a program");
    let listing = sandbox.succeed(&["disasm", "digits.bin"]);
    assert_says(
        &listing,
        &["# digits for nano", "# input", "# output", "op00_CONV_2D", "matrix", "channels="],
    );
    let commands: Vec<&str> = listing.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(commands.len(), program.commands.len());
    for (index, (line, command)) in commands.iter().zip(&program.commands).enumerate() {
        assert!(line.trim_start().starts_with(&format!("{index} ")), "{line}");
        assert!(line.ends_with(command.to_string().trim_end()), "{line}");
    }
    assert!(commands.last().is_some_and(|line| line.ends_with("  end")));
}

#[test]
fn bench_gemm_checks_the_product() {
    let sandbox = Sandbox::new();
    for more in [&[][..], &["--resident"], &["--repeat", "3"], &["--config", "nano", "--bus-bits", "128"]] {
        let mut arguments =
            vec!["bench", "gemm", "--m", "17", "--k", "40", "--n", "33", "--device", "golden", "--json"];
        arguments.extend(more);
        let json = sandbox.succeed_with_json(&arguments);
        let repeat = if more.contains(&"--repeat") { 3 } else { 1 };
        assert_eq!(json["macs"], 17 * 40 * 33 * repeat);
        assert_eq!(json["correct"], true);
    }
    let text = sandbox.succeed(&["bench", "gemm", "--m", "2", "--k", "3", "--n", "4", "--device", "golden"]);
    assert_says(&text, &["(2 x 3) by (3 x 4): every byte is right", "MACs"]);
}

#[test]
fn model_writes_a_network_and_an_input_for_it() {
    let sandbox = Sandbox::new();
    let list = sandbox.succeed(&["model", "--list"]);
    for entry in frugal_graph::zoo::NETWORKS {
        assert_says(&list, &[entry.name, entry.description]);
    }
    assert_says(&sandbox.succeed(&["model", "--help"]), &["mobilenet_v2_100_224", "--seed"]);
    let text = sandbox.succeed(&["model", "ds_cnn", "--out", "m.tflite", "--input-out", "x.npy"]);
    assert_says(&text, &["ds_cnn", "(1, 49, 10, 1)", "2,656,768", "m.tflite", "x.npy"]);
    let graph = frugal_graph::tflite::read(&sandbox.read("m.tflite")).expect("a model");
    assert_eq!(graph, frugal_graph::zoo::ds_cnn(1));
    let (shape, image) = int8(&sandbox.read("x.npy"));
    assert_eq!(shape, [1, 49, 10, 1]);
    let ran = ["run", "m.tflite", "--input", "x.npy", "--output", "y.npy", "--device", "golden"];
    sandbox.succeed(&ran);
    let wanted = frugal_graph::reference::run(&graph, &image).unwrap().pop().unwrap();
    assert_eq!(int8(&sandbox.read("y.npy")), (vec![1, 12], wanted));
    sandbox.succeed(&["model", "ds_cnn", "--out", "again.tflite"]);
    assert_eq!(sandbox.read("again.tflite"), sandbox.read("m.tflite"));
    sandbox.succeed(&["model", "ds_cnn", "--out", "again.tflite", "--seed", "2"]);
    assert_ne!(sandbox.read("again.tflite"), sandbox.read("m.tflite"));
}

#[test]
fn bench_network_compares_with_the_reference() {
    let sandbox = Sandbox::new();
    let digits = digits("digits.tflite");
    for (network, macs) in [("lenet5", 416_520), ("autoencoder", 165_888), (&digits, 1_327_424)] {
        let arguments = ["bench", "network", network, "--device", "golden", "--config", "nano", "--json"];
        let json = sandbox.succeed_with_json(&arguments);
        assert_eq!(json["macs"], macs, "{network}");
        assert_eq!(json["correct"], true, "{network}");
        assert!(json["predicted_cycles"].as_u64() > Some(0), "{network}");
        assert_eq!(json["cycles"], serde_json::Value::Null, "{network}");
    }
    let text = sandbox.succeed(&["bench", "network", "lenet5", "--device", "golden", "--seed", "4"]);
    assert_says(&text, &["lenet5: every output is right", "cycle model", "on the host"]);
}

#[test]
fn networks_of_the_zoo_cost_what_the_real_ones_cost() {
    let sandbox = Sandbox::new();
    for (zoo, file) in [
        ("resnet8", "resnet8/resnet8.tflite"),
        ("ds_cnn", "kws/kws.tflite"),
        ("wakeword", "wakeword/wakeword.tflite"),
    ] {
        let path = checkout("../shared/models").join(file);
        if !path.exists() {
            println!("SKIPPED: no {}", path.display());
            continue;
        }
        let measure = |network: &str| {
            let json =
                sandbox.succeed_with_json(&["bench", "network", network, "--device", "golden", "--json"]);
            ["macs", "commands", "least_bytes", "bytes_written", "predicted_cycles"]
                .map(|key| json[key].as_u64().expect(key))
        };
        assert_eq!(measure(zoo), measure(&path.to_string_lossy()), "{zoo}");
    }
}

#[test]
fn bench_all_is_one_table() {
    let sandbox = Sandbox::new();
    // A file in the folder of models takes the place of the network of the zoo.
    std::fs::create_dir_all(sandbox.path("models/kws")).unwrap();
    std::fs::copy(digits("digits.tflite"), sandbox.path("models/kws/kws.tflite")).unwrap();
    let all = ["bench", "all", "--models", "models", "--device", "golden"];
    let text = sandbox.succeed(&[&all[..], &["--only", "w"]].concat());
    assert_says(&text, &["kws  ", "1,327,424", "wakeword *", "826,368", "* random weights", "70.0 %"]);
    assert!(!text.contains("512"));
    let json = sandbox.succeed_with_json(&[&all[..], &["--only", "64 x", "--json"]].concat());
    let work = json["work"].as_array().expect("an array");
    assert_eq!(work.len(), 4);
    assert_eq!(
        work[0]["command"],
        "frugal bench gemm --m 64 --k 64 --n 64 --repeat 16 --config large --bus-bits 128"
    );
    assert_eq!(work[2]["target"]["value"], 0.55);
}

#[test]
fn demo_shows_images_and_a_summary() {
    let sandbox = Sandbox::new();
    let text = sandbox.succeed(&["demo", "--device", "golden"]);
    assert_says(&text, &["image 19", "answer 8", "same bits as the reference  20 of 20", "MACs an image"]);
    assert!(!text.contains('\x1b'), "no colours where there is no terminal");
    assert!(text.contains('@'), "ink: {text}");
    let three = sandbox.succeed(&["demo", "--device", "golden", "--images", "3", "--config", "nano"]);
    assert!(three.contains("image 2") && !three.contains("image 3"));
}

#[test]
fn help_teaches() {
    let sandbox = Sandbox::new();
    assert_says(&sandbox.succeed(&["--help"]), &["Examples:", "frugal run", "FRUGAL_VERILATOR_ROOT"]);
    for command in [
        &["verilog"][..],
        &["run"],
        &["profile"],
        &["compile"],
        &["disasm"],
        &["model"],
        &["bench", "gemm"],
        &["bench", "network"],
        &["bench", "all"],
    ] {
        let help = sandbox.succeed(&[command, &["--help"]].concat());
        assert!(help.contains("Example"), "{command:?}");
    }
    assert_says(&sandbox.succeed(&["bench", "simulation", "--help"]), &["[default: large]"]);
}

#[cfg(unix)]
#[test]
fn a_closed_pipe_is_no_failure() {
    let sandbox = Sandbox::new();
    sandbox.succeed(&["compile", &digits("digits.tflite"), "--config", "nano", "--out", "digits.bin"]);
    for arguments in [&["disasm", "digits.bin"][..], &["demo", "--device", "golden"]] {
        let mut child = sandbox
            .command(arguments)
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let done = child.wait_with_output().unwrap();
        assert_eq!(done.status.code(), Some(0), "{arguments:?}");
        assert_eq!(String::from_utf8_lossy(&done.stderr), "");
    }
}

#[test]
fn outputs_may_be_devices_and_are_readable_for_others() {
    let sandbox = Sandbox::new();
    let model = digits("digits.tflite");
    if cfg!(unix) {
        sandbox.succeed(&["compile", &model, "--out", "/dev/null"]);
        assert!(!std::fs::metadata("/dev/null").unwrap().is_file());
    }
    sandbox.succeed(&["compile", &model, "--out", "p.bin"]);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let plain = sandbox.write("plain", "");
        let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode(&sandbox.path("p.bin")), mode(plain.as_ref()));
    }
}

#[test]
fn the_readme_exists_where_the_help_sends_people() {
    for path in [
        "README.md",
        "docs/architecture.md",
        "docs/isa.md",
        "docs/testplan.md",
        "docs/benchmarks.md",
        "scripts/setup",
    ] {
        assert!(checkout(path).is_file(), "{path}");
    }
}
