//! Language models on the command line: text, logits, perplexity, cost, and what bad input gets.

mod support;

use frugal_graph::npy::{self, Elements};
use frugal_language::Tokenizer;
use serde_json::Value;
use std::sync::OnceLock;
use support::{assert_says, checkout, Sandbox};

fn model() -> String {
    checkout("models/tiny-qwen3").display().to_string()
}

/// The model as one file, quantised once for all tests: that takes longer than most of what they do with it.
fn quantised(precision: &str) -> String {
    static FOLDER: OnceLock<tempfile::TempDir> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        for precision in ["w8a8", "w4a8"] {
            let file = folder.path().join(precision).display().to_string();
            Sandbox::new().succeed(&["quantise", &model(), "--precision", precision, "--out", &file]);
        }
        folder
    });
    folder.path().join(precision).display().to_string()
}

fn ids(value: &Value, sequence: usize) -> Vec<u32> {
    let ids = value["sequences"][sequence]["ids"].as_array().expect("ids");
    ids.iter().map(|id| id.as_u64().expect("a number") as u32).collect()
}

#[test]
fn sequences_of_a_batch_are_those_of_single_runs() {
    let sandbox = Sandbox::new();
    let prompts = ["KING:", "First Citizen: we", "O"];
    let run = |model: &str, prompts: &[&str], more: &[&str]| {
        let prompts = prompts.iter().flat_map(|p| ["--prompt", p]);
        let all: Vec<&str> = ["generate", model, "--device", "golden", "--tokens", "9", "--json"]
            .into_iter()
            .chain(prompts)
            .chain(more.iter().copied())
            .collect();
        sandbox.succeed_with_json(&all)
    };
    for precision in ["w8a8", "w4a8"] {
        let model = quantised(precision);
        let batch = run(&model, &prompts, &["--batch", "4"]);
        assert_eq!(batch["sequences"].as_array().map(Vec::len), Some(4));
        for (number, prompt) in prompts.iter().enumerate() {
            let single = run(&model, &[prompt], &[]);
            assert_eq!(ids(&single, 0).len(), 9);
            assert_eq!(ids(&batch, number), ids(&single, 0), "{prompt} {precision}");
        }
        // The prompts are taken in turn.
        assert_eq!(ids(&batch, 3), ids(&batch, 0));
    }
}

#[test]
fn the_hardware_streams_the_text_of_the_functional_simulator() {
    let sandbox = Sandbox::new();
    let model = quantised("w8a8");
    let common = ["generate", &model, "--prompt", "KING:", "--tokens", "6"];
    let golden = sandbox.succeed_with_json(&[&common[..], &["--device", "golden", "--json"]].concat());
    assert!(golden["decode"].is_null());
    let wanted = ids(&golden, 0);
    let text = Tokenizer::open(&checkout("models/tiny-qwen3"), 512).unwrap().decode(&wanted);
    assert_eq!(golden["sequences"][0]["text"], text);
    let streamed = sandbox.succeed(&[&common[..], &["--stream"]].concat());
    assert!(streamed.starts_with(&format!("KING:{text}\n\n")), "{streamed}");
    assert_says(&streamed, &["cycles a token", "bus", "tokens/s", "W8A8"]);
    let measured = sandbox.succeed_with_json(&[&common[..], &["--json"]].concat());
    assert_eq!(ids(&measured, 0), wanted);
    let decode = &measured["decode"];
    let number = |key: &str| decode[key].as_f64().expect("a number");
    assert_eq!(decode["tokens"], 5);
    // One sequence is as fast as its weights come: at least 90 % of what the bus could do.
    assert!((0.9..=1.0).contains(&number("bandwidth_share")), "{decode}");
    let seconds = number("cycles_per_token") / 75e6;
    assert!((number("tokens_per_second") * seconds - 1.0).abs() < 1e-9, "{decode}");
    assert!((0.01..1.0).contains(&number("utilisation")), "{decode}");
}

#[test]
fn drawn_tokens_are_the_seeds() {
    let sandbox = Sandbox::new();
    let model = quantised("w8a8");
    let run = |more: &[&str]| {
        let common = ["generate", &model, "--prompt", "KING:", "--prompt", "O Rome", "--json"];
        sandbox.succeed_with_json(&[&common[..], more].concat())
    };
    let golden = ["--device", "golden", "--tokens", "8"];
    let greedy = run(&golden);
    let first = run(&[&golden[..], &["--top-k", "1", "--temperature", "5"]].concat());
    let drawn = |seed| run(&[&golden[..], &["--temperature", "1.5", "--seed", seed]].concat());
    let (one, two) = (drawn("1"), drawn("2"));
    for sequence in 0..2 {
        assert_eq!(ids(&first, sequence), ids(&greedy, sequence));
        assert_eq!(ids(&one, sequence).len(), 8);
        assert_ne!(ids(&one, sequence), ids(&two, sequence));
    }
    assert_eq!(ids(&drawn("1"), 1), ids(&one, 1));
    assert_eq!(one["sampling"]["seed"], 1);
    let hardware = run(&["--tokens", "3", "--temperature", "1.5", "--seed", "1"]);
    assert_eq!(ids(&hardware, 0), ids(&one, 0)[..3]);
    assert_eq!(ids(&hardware, 1), ids(&one, 1)[..3]);
    assert_eq!(hardware["decode"]["tokens"], 4);
    let message = sandbox.fail(2, &["generate", &model, "--prompt", "O", "--temperature", "hot"]);
    assert_says(&message, &["temperature", "from 0"]);
}

#[test]
fn generation_stops_at_the_end_of_the_context() {
    let sandbox = Sandbox::new();
    let prompt = "KING: ".repeat(80);
    let arguments = [
        "generate",
        &quantised("w8a8"),
        "--prompt",
        &prompt,
        "--tokens",
        "500",
        "--device",
        "golden",
        "--json",
    ];
    let done = sandbox.run(&arguments);
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    assert_says(&done.stderr, &["stops after", "context of 256"]);
    let value: Value = serde_json::from_str(&done.stdout).unwrap();
    let prompt_tokens = value["sequences"][0]["prompt_ids"].as_array().unwrap().len();
    assert_eq!(ids(&value, 0).len() + prompt_tokens, 257);
}

#[test]
fn bad_prompts_models_and_options_are_named() {
    let sandbox = Sandbox::new();
    let (model, small_model, four_bit) = (model(), quantised("w8a8"), quantised("w4a8"));
    let fail = |code: i32, arguments: &[&str], says: &[&str]| {
        let all = [&["generate"], arguments, &["--device", "golden"]].concat();
        assert_says(&sandbox.fail(code, &all), says);
    };
    fail(1, &[&small_model, "--prompt", ""], &["prompt 0 is empty"]);
    fail(2, &["--synthetic", "qwen9"], &["--synthetic qwen9", "qwen3-0.6b and qwen2.5-0.5b"]);
    fail(2, &[&model, "--prompt", "O", "--synthetic", "qwen3-0.6b"], &["cannot be used with"]);
    let long = "crown ".repeat(400);
    fail(
        1,
        &[&small_model, "--prompt", "O", "--prompt", &long],
        &["prompt 1 has", "the model's context has 256"],
    );
    fail(1, &["nowhere", "--prompt", "O"], &["nowhere", "config.json"]);
    fail(2, &[&model, "--prompt", "O", "--prompt", "A", "--batch", "1"], &["fewer than the 2 prompts"]);
    fail(2, &[&model, "--prompt", "O", "--batch", "2", "--stream"], &["--stream shows one sequence"]);
    fail(2, &[&model, "--prompt", "O", "--tokens", "0"], &["0 is not in"]);
    fail(2, &[&model], &["--prompt"]);
    sandbox.write("empty.txt", "");
    fail(1, &[&model, "--prompt", "O", "--calibration", "empty.txt"], &["empty.txt", "no text"]);
    sandbox.write("bytes.txt", [0xff, 0xfe]);
    fail(1, &[&model, "--prompt", "O", "--calibration", "bytes.txt"], &["bytes.txt", "not UTF-8"]);
    // A small machine, and one without 4-bit weights.
    let mut config = serde_json::to_value(frugal_isa::Config::preset("nano").unwrap()).unwrap();
    config["weight_depth"] = 64.into();
    sandbox.write("small.json", config.to_string());
    let small = [&small_model, "--prompt", "O", "--config", "small.json"].map(|s| s as &str);
    fail(
        1,
        &small,
        &["keys and values of", "tiles of the weight scratchpad", "'nano' has 64", "weight_depth 256"],
    );
    config["weight_depth"] = 512.into();
    config["four_bit"] = false.into();
    sandbox.write("plain.json", config.to_string());
    let plain = [&four_bit, "--prompt", "O", "--config", "plain.json"].map(|s| s as &str);
    fail(1, &plain, &["4-bit"]);
}

fn logits(sandbox: &Sandbox, model: &str, ids: &str, more: &[&str]) -> Vec<f32> {
    sandbox.succeed(&[&["logits", model, "--ids", ids, "--output", "l.npy"], more].concat());
    let array = npy::read(&sandbox.read("l.npy")).unwrap();
    assert_eq!(array.shape.last(), Some(&512));
    match array.data {
        Elements::F32(logits) => logits,
        other => panic!("{}", other.type_name()),
    }
}

#[test]
fn logits_are_the_same_bits_everywhere_and_near_the_stored_ones() {
    let sandbox = Sandbox::new();
    let folder = checkout("models/tiny-qwen3");
    let all = folder.join("golden_prompt256_ids.npy").display().to_string();
    let stored = npy::read(&std::fs::read(folder.join("golden_prompt256_logits_hf.npy")).unwrap()).unwrap();
    let Elements::F32(stored) = stored.data else { panic!("float32") };
    let float = logits(&sandbox, &model(), &all, &["--float"]);
    let worst = float.iter().zip(&stored).map(|(f, s)| (f - s).abs()).fold(0.0, f32::max);
    assert!(worst < 1e-4, "{worst}");
    let first: Vec<i32> =
        npy::read_ids(&std::fs::read(&all).unwrap()).unwrap()[..40].iter().map(|id| *id as i32).collect();
    let some = sandbox.write_array("some.npy", &[40], Elements::I32(first));
    for precision in ["w8a8", "w4a8"] {
        let wanted = logits(&sandbox, &quantised(precision), &some, &[]);
        assert_eq!(wanted.len(), 40 * 512);
        for device in ["golden", "verilator"] {
            assert!(
                logits(&sandbox, &quantised(precision), &some, &["--device", device]) == wanted,
                "{device}"
            );
        }
        let mean = wanted.iter().zip(&stored).map(|(w, s)| (w - s).abs()).sum::<f32>() / wanted.len() as f32;
        assert!(mean < 0.5, "{mean}");
    }
}

#[test]
fn quantisation_costs_little() {
    let sandbox = Sandbox::new();
    let model = model();
    let ids = format!("{model}/validation_ids.npy");
    for (precision, most) in [("w8a8", 0.01), ("w4a8", 0.03)] {
        let arguments =
            ["perplexity", &model, "--ids", &ids, "--windows", "8", "--precision", precision, "--json"];
        let value = sandbox.succeed_with_json(&arguments);
        let number = |value: &Value| value.as_f64().expect("a number");
        let difference = number(&value["nll_difference"]);
        assert!(difference.abs() < most, "{precision}: {difference}");
        let nll = number(&value["integer"]["nll"]) - number(&value["float"]["nll"]);
        assert!((nll - difference).abs() < 1e-12);
        assert!((10.0..30.0).contains(&number(&value["float"]["perplexity"])), "{value}");
        assert!((0.0..0.1).contains(&number(&value["divergence"])) && number(&value["divergence"]) > 0.0);
    }
    // The device has the bits of the integer model.
    let common = ["perplexity", &model, "--ids", &ids, "--windows", "2", "--window", "24", "--json"];
    let loops = sandbox.succeed_with_json(&common);
    let golden = sandbox.succeed_with_json(&[&common[..], &["--device", "golden"]].concat());
    assert_eq!(loops["integer"], golden["integer"]);
    sandbox.write("text.txt", "KING:\nWhat say you to the crown of England, and to all her lords?\n");
    let text = ["perplexity", &model, "--text", "text.txt", "--window", "16"];
    assert_says(&sandbox.succeed(&text), &["float32 perplexity", "integer perplexity", "divergence"]);
}

#[test]
fn bad_ids_are_named() {
    let sandbox = Sandbox::new();
    let model = model();
    let fail = |arguments: &[&str], says: &[&str]| {
        let command = [&arguments[..1], &[&model], &arguments[1..]].concat();
        assert_says(&sandbox.fail(1, &command), says);
        assert!(!sandbox.path("l.npy").exists());
    };
    sandbox.write_array("large.npy", &[3], Elements::I32(vec![1, 512, 2]));
    sandbox.write_array("negative.npy", &[2], Elements::I32(vec![1, -1]));
    sandbox.write_array("real.npy", &[1], Elements::F32(vec![1.0]));
    sandbox.write_array("many.npy", &[300], Elements::I32(vec![1; 300]));
    sandbox.write_array("none.npy", &[0], Elements::I32(vec![]));
    for (file, says) in [
        ("large.npy", "id 512 at element 1; the model's vocabulary has 512"),
        ("negative.npy", "element 1 is -1"),
        ("real.npy", "holds no token ids"),
        ("many.npy", "300 ids; the model's context takes 1 to 256"),
        ("none.npy", "0 ids"),
        ("missing.npy", "No such file"),
    ] {
        fail(&["logits", "--ids", file, "--output", "l.npy"], &[file, says]);
    }
    fail(&["perplexity", "--ids", "large.npy"], &["large.npy", "id 512"]);
    fail(&["perplexity", "--ids", "none.npy"], &["none.npy", "0 tokens"]);
    let message = sandbox.fail(2, &["perplexity", &model, "--ids", "many.npy", "--window", "300"]);
    assert_says(&message, &["--window 300", "context has 256"]);
}

#[test]
fn a_quantised_file_is_all_that_is_needed() {
    let sandbox = Sandbox::new();
    let model = model();
    let said = sandbox.succeed(&["quantise", &model, "--precision", "w4a8", "--out", "tiny.frugal"]);
    assert_says(&said, &["853,376 parameters", "tiny.frugal, W4A8"]);
    let generate = |model: &str, more: &[&str]| {
        let common =
            ["generate", model, "--prompt", "KING:", "--tokens", "5", "--device", "golden", "--json"];
        sandbox.succeed_with_json(&[&common[..], more].concat())
    };
    let (file, folder) = (generate("tiny.frugal", &[]), generate(&model, &["--precision", "w4a8"]));
    assert_eq!(file["sequences"], folder["sequences"]);
    assert_eq!(file["precision"], "w4a8");
    let ids = format!("{model}/validation_ids.npy");
    let common = ["--ids", &ids, "--windows", "2", "--window", "16", "--json"];
    let perplexity = |arguments: &[&str]| sandbox.succeed_with_json(&[arguments, &common[..]].concat());
    let (file, folder) = (
        perplexity(&["perplexity", "tiny.frugal"]),
        perplexity(&["perplexity", &model, "--precision", "w4a8"]),
    );
    assert_eq!(file["integer"], folder["integer"]);
    assert!(file["float"].is_null() && folder["float"].is_object());

    let fail =
        |code: i32, arguments: &[&str], says: &[&str]| assert_says(&sandbox.fail(code, arguments), says);
    fail(
        2,
        &["generate", "tiny.frugal", "--prompt", "O", "--precision", "w8a8"],
        &["tiny.frugal", "w4a8", "leave --precision out"],
    );
    fail(2, &["generate", "tiny.frugal", "--prompt", "O", "--calibration", "t.txt"], &["quantised already"]);
    fail(2, &["quantise", "tiny.frugal", "--out", "again.frugal"], &["tiny.frugal", "a folder is quantised"]);
    let bytes = sandbox.read("tiny.frugal");
    sandbox.write("cut.frugal", &bytes[..bytes.len() / 2]);
    fail(1, &["generate", "cut.frugal", "--prompt", "O"], &["cut.frugal", "no quantised model"]);
    fail(1, &["quantise", &model, "--out", "nowhere/x.frugal"], &["nowhere"]);
    fail(1, &["quantise", "missing", "--out", "x.frugal"], &["missing", "config.json"]);
    assert!(!sandbox.path("x.frugal").exists() && !sandbox.path("again.frugal").exists());
}
