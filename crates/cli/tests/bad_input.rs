//! Bad input: the message names the file, the layer or the field and says what to do, the exit code is not zero, and no
//! output is left.

mod support;

use frugal_graph::npy::Elements;
use frugal_graph::{tflite, zoo, DataType, Graph};
use support::models::{self, OneLayer};
use support::{assert_says, digits, Sandbox};

fn model_bytes() -> Vec<u8> {
    std::fs::read(digits("digits.tflite")).expect("the model is there")
}

#[test]
fn truncated_and_corrupt_models() {
    let sandbox = Sandbox::new();
    let bytes = model_bytes();
    let images = digits("images.npy");
    for (length, says) in
        [(0, "not a TensorFlow Lite file"), (7, "not a TensorFlow Lite file"), (bytes.len() / 2, "damaged")]
    {
        sandbox.write("short.tflite", &bytes[..length]);
        for arguments in [
            &["run", "short.tflite", "--input", &images, "--output", "y.npy"][..],
            &["compile", "short.tflite", "--out", "p.bin"],
        ] {
            assert_says(&sandbox.fail(1, arguments), &["short.tflite", says]);
        }
    }
    // Noise over the whole file: any error will do, but it has to be one, or a program.
    for position in (8..bytes.len()).step_by(bytes.len() / 40) {
        let mut noisy = bytes.clone();
        for byte in noisy.iter_mut().skip(position).take(4) {
            *byte ^= 0xff;
        }
        sandbox.write("noisy.tflite", &noisy);
        let done = sandbox.run(&["compile", "noisy.tflite", "--out", "/dev/null"]);
        assert!(
            done.code == Some(0) || (done.code == Some(1) && done.stderr.contains("noisy.tflite")),
            "{}",
            done.stderr
        );
    }
    let message = sandbox.fail(1, &["compile", &images, "--out", "p.bin"]);
    assert_says(&message, &["images.npy", "not a TensorFlow Lite file", "Pass the .tflite file"]);
}

#[test]
fn models_that_the_accelerator_cannot_take() {
    let sandbox = Sandbox::new();
    let fail = |bytes: &[u8], says: &[&str]| {
        sandbox.write("m.tflite", bytes);
        let message = sandbox.fail(1, &["compile", "m.tflite", "--out", "p.bin"]);
        assert_says(&message, &["m.tflite: "]);
        assert_says(&message, says);
    };
    // Unbroken, it can be compiled.
    sandbox.write("good.tflite", OneLayer::default().build());
    sandbox.succeed(&["compile", "good.tflite", "--out", "/dev/null"]);
    let transpose = OneLayer { operator: models::TRANSPOSE, ..OneLayer::default() };
    fail(
        &transpose.build(),
        &["layer op00_TRANSPOSE", "operator TRANSPOSE is not supported", "Supported: CONV_2D"],
    );
    let dynamic = OneLayer { image: vec![1, -1, 8, 4], ..OneLayer::default() };
    fail(
        &dynamic.build(),
        &[
            "tensor 0 \"image\", which layer op00_CONV_2D reads",
            "dynamic shape [1, -1, 8, 4]",
            "fixed input shape",
        ],
    );
    let float = OneLayer { image_type: models::FLOAT32, ..OneLayer::default() };
    fail(&float.build(), &["layer op00_CONV_2D", "input of type float32", "full-integer int8 quantisation"]);
    let dilated = OneLayer { dilation: 2, ..OneLayer::default() };
    fail(
        &dilated.build(),
        &["layer op00_CONV_2D", "dilation 2x2", "only 1x1 is supported", "dilation_rate=1"],
    );
    let grouped = OneLayer { weight_depth: 2, ..OneLayer::default() };
    fail(
        &grouped.build(),
        &["layer op00_CONV_2D", "grouped convolution: 4 input channels", "take 2", "DepthwiseConv2D"],
    );
    // Numbers that are not int8 between two layers.
    let mut graph = zoo::lenet5(1);
    let middle = graph.operators[2].outputs[0].0;
    graph.tensors[middle].data_type = DataType::F32;
    fail(
        &tflite::write(&graph).unwrap(),
        &["layer op02_CONV_2D", "float32", "full-integer int8 quantisation"],
    );
    let softmax = models::with_softmax_in_the_middle();
    fail(
        &tflite::write(&softmax).unwrap(),
        &["reads op", "_SOFTMAX, which runs on the host", "cut the model after it"],
    );
    // A layer that does not fit, whatever the tiling.
    let mut config = serde_json::to_value(frugal_isa::Config::preset("nano").unwrap()).unwrap();
    config["name"] = "tiny".into();
    config["activation_depth"] = 16.into();
    sandbox.write("tiny.json", config.to_string());
    let message =
        sandbox.fail(1, &["compile", &digits("digits.tflite"), "--config", "tiny.json", "--out", "p.bin"]);
    assert_says(
        &message,
        &[
            "digits.tflite",
            "layer op",
            "activation scratchpad",
            "vectors of 8 bytes, 'tiny' has 16: ",
            "bytes) are missing",
            "Use --config nano, or a configuration with activation_depth ",
        ],
    );
}

#[test]
fn wrong_inputs() {
    let sandbox = Sandbox::new();
    let model = digits("digits.tflite");
    let fail = |input: &str| {
        sandbox.fail(1, &["run", &model, "--input", input, "--output", "y.npy", "--device", "golden"])
    };
    let shape = sandbox.write_array("shape.npy", &[1, 8, 8, 1], Elements::I8(vec![0; 64]));
    assert_says(
        &fail(&shape),
        &["shape.npy", "shape (1, 8, 8, 1)", "takes (1, 16, 16, 1)", "any number of images"],
    );
    let none = sandbox.write_array("none.npy", &[0, 16, 16, 1], Elements::I8(vec![]));
    assert_says(&fail(&none), &["none.npy", "it holds no elements"]);
    let words = sandbox.write_array("words.npy", &[1, 16, 16, 1], Elements::I32(vec![0; 256]));
    assert_says(&fail(&words), &["words.npy", "int32", "astype('int8')"]);
    let infinite = sandbox.write_array("nan.npy", &[1, 16, 16, 1], Elements::F32(vec![f32::NAN; 256]));
    assert_says(&fail(&infinite), &["nan.npy", "element 0 is NaN"]);
    let text = sandbox.write("text.npy", "hello");
    assert_says(&fail(&text), &["text.npy", "not a .npy file", "numpy.save"]);
    let bytes = std::fs::read(digits("images.npy")).unwrap();
    let short = sandbox.write("short.npy", &bytes[..bytes.len() - 1]);
    assert_says(&fail(&short), &["short.npy", "cut short"]);
    assert_says(&fail("nowhere.npy"), &["nowhere.npy cannot be read", "No such file"]);
    let twice = ["run", &model, "--input", &shape, "--input", &shape, "--device", "golden"];
    assert_says(&sandbox.fail(2, &twice), &["has 1 inputs", "int8, shape (1, 16, 16, 1)", "given 2 times"]);
}

#[test]
fn inputs_that_are_not_of_the_type_of_the_model() {
    let sandbox = Sandbox::new();
    for (data_type, advice) in
        [(DataType::F32, "array.astype('float32')"), (DataType::U8, "array.astype('uint8')")]
    {
        let is_wanted = |graph: &Graph| match graph.inputs[..] {
            [id] => graph[id].data_type == data_type,
            _ => false,
        };
        let network = models::bordered().find(|network| is_wanted(&network.graph)).expect("there is one");
        sandbox.write("m.tflite", tflite::write(&network.graph).unwrap());
        let tensor = &network.graph[network.graph.inputs[0]];
        let count = tensor.element_count();
        let mut refused = vec![Elements::I8(vec![0; count]), Elements::I32(vec![0; count])];
        refused.push(match data_type {
            DataType::F32 => Elements::U8(vec![0; count]),
            _ => Elements::F32(vec![0.0; count]),
        });
        for data in refused {
            let says = format!("elements are {}", data.type_name());
            let input = sandbox.write_array("x.npy", &tensor.shape, data);
            let run = ["run", "m.tflite", "--input", &input, "--output", "y.npy", "--device", "golden"];
            let takes = format!("input '{}' of the model takes {data_type}", tensor.name);
            assert_says(&sandbox.fail(1, &run), &["x.npy", &says, &takes, advice]);
        }
    }
    let two = models::bordered().find(|network| network.graph.inputs.len() == 2).expect("there is one");
    sandbox.write("m.tflite", tflite::write(&two.graph).unwrap());
    let ids = &two.graph.inputs;
    let first = sandbox.write_array("a.npy", &two.graph[ids[0]].shape, two.inputs[0].clone());
    let message = sandbox.fail(2, &["run", "m.tflite", "--input", &first, "--device", "golden"]);
    let names = format!("{}: {}", two.graph[ids[1]].name, two.graph[ids[1]].data_type);
    assert_says(&message, &["has 2 inputs", &names, "given 1 times", "one file for each, in this order"]);
}

#[test]
fn configurations_that_cannot_be() {
    let sandbox = Sandbox::new();
    let fail = |config: &str| sandbox.fail(1, &["verilog", "--config", config, "--out", "out"]);
    assert_says(&fail("tiny"), &["no preset 'tiny'", "nano, base, large and huge", ".json"]);
    assert_says(&fail("nowhere.json"), &["nowhere.json cannot be read"]);
    let preset = serde_json::to_value(frugal_isa::Config::preset("base").unwrap()).unwrap();
    let with = |field: &str, value: serde_json::Value| {
        let mut config = preset.clone();
        config[field] = value;
        sandbox.write("c.json", config.to_string());
        fail("c.json")
    };
    assert_says(&with("cols", 12.into()), &["c.json", "cols is 12", "power of two from 2 to 16"]);
    assert_says(&with("rows", 128.into()), &["c.json", "rows is 128"]);
    assert_says(&with("lanes", 0.into()), &["c.json", "lanes is 0"]);
    assert_says(&with("bus_bits", 32.into()), &["c.json", "bus_bits is 32"]);
    assert_says(&with("rows", "many".into()), &["c.json", "expected usize", "line 1"]);
    assert_says(&with("rows", (-8).into()), &["c.json", "invalid value"]);
    assert_says(&with("colours", 8.into()), &["c.json", "'colours'", "The fields are name, rows, cols"]);
    let mut missing = preset.clone();
    missing.as_object_mut().unwrap().remove("lanes");
    sandbox.write("m.json", missing.to_string());
    assert_says(&fail("m.json"), &["m.json", "missing field `lanes`"]);
    sandbox.write("t.json", "{\"rows\": 8");
    assert_says(&fail("t.json"), &["t.json", "EOF"]);
}

#[test]
fn programs_that_are_none() {
    let sandbox = Sandbox::new();
    sandbox.succeed(&["compile", &digits("digits.tflite"), "--config", "nano", "--out", "good.bin"]);
    let good = sandbox.read("good.bin");
    let fail = |bytes: &[u8]| {
        sandbox.write("bad.bin", bytes);
        let message = sandbox.fail(1, &["disasm", "bad.bin"]);
        assert_says(&message, &["bad.bin"]);
        message
    };
    assert_says(&fail(&[]), &["not a Frugal program"]);
    assert_says(&fail(&model_bytes()), &["not a Frugal program"]);
    for length in [9, 20, 24, 100, good.len() / 2, good.len() - 1] {
        assert_says(&fail(&good[..length]), &["truncated"]);
    }
    let flip = |position: usize| {
        let mut bytes = good.clone();
        bytes[position] ^= 0x10;
        fail(&bytes)
    };
    assert_says(&flip(good.len() / 2), &["checksum mismatch"]);
    assert_says(&flip(good.len() - 1), &["checksum mismatch"]);
    assert_says(&flip(8), &["container version"]);
    assert_says(&sandbox.fail(1, &["disasm", "nowhere.bin"]), &["nowhere.bin cannot be read"]);
}

#[test]
fn outputs_that_cannot_be_written() {
    let sandbox = Sandbox::new();
    let (model, images) = (digits("digits.tflite"), digits("images.npy"));
    sandbox.write("file", "");
    let run = ["run", &model, "--input", &images, "--device", "golden", "--output"];
    let mut message = sandbox.fail(1, &[&run[..], &["no/such/y.npy"]].concat());
    assert_says(&message, &["no/such/y.npy cannot be written"]);
    message = sandbox.fail(1, &["compile", &model, "--out", "file/p.bin"]);
    assert_says(&message, &["file/p.bin cannot be written"]);
    message = sandbox.fail(1, &["compile", &model, "--out", "."]);
    assert_says(&message, &[". cannot be written", "folder"]);
    message = sandbox.fail(1, &["model", "lenet5", "--out", "file/m.tflite"]);
    assert_says(&message, &["file/m.tflite cannot be written"]);
    message = sandbox.fail(1, &["model", "lenet5", "--out", "m.tflite", "--input-out", "no/x.npy"]);
    assert_says(&message, &["no/x.npy cannot be written"]);
    message = sandbox.fail(1, &["verilog", "--config", "nano", "--out", "file"]);
    assert_says(&message, &["the folder file cannot be made"]);
    message = sandbox.fail(2, &[&run[..], &["a.npy", "--output", "b.npy"]].concat());
    assert_says(&message, &["1 outputs", "given 2 times"]);
    let trace = ["run", &model, "--input", &images, "--trace"];
    assert_says(
        &sandbox.fail(1, &[&trace[..], &["no/such/w.vcd"]].concat()),
        &["no/such/w.vcd cannot be written"],
    );
    assert_says(&sandbox.fail(1, &[&trace[..], &["wave.txt"]].concat()), &["wave.txt", ".vcd or .fst"]);
    // What was there before stays as it was.
    sandbox.write("y.npy", "precious");
    sandbox.fail(1, &["run", "nowhere.tflite", "--input", &images, "--output", "y.npy"]);
    assert_eq!(sandbox.read("y.npy"), b"precious");
}

#[test]
fn a_missing_verilator() {
    let sandbox = Sandbox::new();
    let (model, images) = (digits("digits.tflite"), digits("images.npy"));
    for arguments in [
        &["run", &model, "--input", &images, "--output", "y.npy", "--trace", "w.vcd"][..],
        &["profile", &model, "--input", &images, "--out", "deep/er"],
        &["bench", "gemm", "--m", "4", "--k", "4", "--n", "4"],
        &["bench", "simulation", "--config", "nano"],
        &["bench", "network", "lenet5"],
        &["demo"],
    ] {
        let mut command = sandbox.command(arguments);
        let message = sandbox.fail_command(1, command.env("FRUGAL_VERILATOR_ROOT", "/nowhere"));
        assert_says(&message, &["Verilator was not found", "scripts/setup", "FRUGAL_VERILATOR_ROOT"]);
    }
}

#[test]
fn wrong_usage() {
    let sandbox = Sandbox::new();
    let (model, images) = (digits("digits.tflite"), digits("images.npy"));
    for (arguments, says) in [
        (&["frobnicate"][..], "unrecognized subcommand"),
        (&["run"], "required"),
        (&["run", &model], "--input"),
        (&["run", &model, "--input", &images, "--device", "fpga"], "devices are verilator"),
        (&["run", &model, "--input", &images, "--bus-bits", "32"], "possible values: 64, 128"),
        (&["run", &model, "--input", &images, "--memory-latency", "0"], "--memory-latency"),
        (
            &["run", &model, "--input", &images, "--device", "golden", "--trace", "w.vcd"],
            "--device verilator",
        ),
        (&["model"], "<NAME>"),
        (&["model", "lenet5"], "--out"),
        (&["model", "lenet", "--out", "m.tflite"], "possible values: mobilenet_v1_025_96"),
        (&["model", "lenet5", "--out", "m", "--input-out", "m"], "the same file"),
        (&["model", "lenet5", "--list"], "cannot be used with"),
        (&["model", "lenet5", "--out", "m", "--seed", "x"], "--seed"),
        (&["bench", "network"], "<NAME|FILE.tflite>"),
        (&["bench", "all", "--models", "nowhere"], "nowhere: no such folder"),
        (&["bench", "all", "--only", "everything"], "resnet8; kws; mobilenet_v1_025_96"),
        (&["bench", "gemm", "--m", "0", "--k", "1", "--n", "1"], "--m"),
    ] {
        assert_says(&sandbox.fail(2, arguments), &[says]);
    }
    let network = |name: &str| sandbox.fail(1, &["bench", "network", name, "--device", "golden"]);
    assert_says(&network("mobilenet"), &["no network 'mobilenet'", "mobilenet_v1_025_96", ".tflite file"]);
    assert_says(&network("nowhere.tflite"), &["nowhere.tflite cannot be read"]);
    assert_says(&network(&images), &["images.npy", "not a TensorFlow Lite file"]);
    let record = ["bench", "gemm", "--m", "4", "--k", "4", "--n", "4", "--record", "--device", "golden"];
    assert_says(&sandbox.fail(1, &record), &["--record", "docs/benchmarks.tsv", "in the checkout"]);
    // Too large for any accelerator: the error is the compiler's.
    let message = sandbox.fail(
        1,
        &["bench", "gemm", "--m", "8", "--k", "4096", "--n", "4096", "--resident", "--config", "nano"],
    );
    assert_says(&message, &["matrix product 8 x 4096 x 4096", "'nano'"]);
}
