//! `frugal profile`. What is measured needs Verilator: `scripts/setup`.

mod support;

use frugal_graph::npy::Elements;
use serde_json::Value;
use std::collections::BTreeMap;
use support::{assert_says, browser, digits, Sandbox};

const FILES: [&str; 3] = ["report.html", "trace.json", "profile.json"];

fn json(sandbox: &Sandbox, name: &str) -> Value {
    serde_json::from_slice(&sandbox.read(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is no count"))
}

/// Checks the structure that Perfetto reads, and returns the slices of each track by its name.
fn tracks(trace: &Value) -> BTreeMap<String, Vec<&Value>> {
    assert_eq!(trace["displayTimeUnit"], "ns");
    let events = trace["traceEvents"].as_array().expect("a list of events");
    let mut names = BTreeMap::new();
    for event in events.iter().filter(|event| event["name"] == "thread_name") {
        assert_eq!(event["ph"], "M");
        let name = event["args"]["name"].as_str().expect("a name").to_owned();
        assert_eq!(names.insert(number(&event["tid"]), name), None, "each thread has one name");
    }
    let mut tracks: BTreeMap<String, Vec<&Value>> =
        names.values().map(|name| (name.clone(), vec![])).collect();
    for event in events {
        assert!(event["pid"].is_u64() && event["name"].is_string(), "{event}");
        match event["ph"].as_str() {
            Some("M") => assert!(event["args"].is_object(), "{event}"),
            Some("C") => {
                number(&event["ts"]);
                assert!(event["args"].as_object().is_some_and(|series| !series.is_empty()), "{event}");
            }
            Some("X") => {
                number(&event["ts"]);
                number(&event["dur"]);
                tracks.get_mut(&names[&number(&event["tid"])]).expect("a named thread").push(event);
            }
            other => panic!("{other:?}: {event}"),
        }
    }
    tracks
}

/// Checks the three files of a run against one another.
fn check_files(sandbox: &Sandbox, folder: &str) -> Value {
    let profile = json(sandbox, &format!("{folder}/profile.json"));
    let trace = json(sandbox, &format!("{folder}/trace.json"));
    let page = String::from_utf8(sandbox.read(&format!("{folder}/report.html"))).expect("UTF-8");
    let cycles = number(&profile["cycles"]);
    let tracks = tracks(&trace);
    assert_eq!(
        tracks.keys().map(String::as_str).collect::<Vec<_>>(),
        ["layers", "load", "matrix", "store", "vector"]
    );
    let mut commands = 0;
    for (name, slices) in &tracks {
        let mut last = 0;
        for slice in slices {
            let (start, length) = (number(&slice["ts"]), number(&slice["dur"]));
            assert!(start >= last, "slices of {name} overlap: {slice}");
            last = start + length;
            assert!(last <= cycles, "{slice} ends after the run");
            if name != "layers" {
                commands += 1;
                assert!(number(&slice["args"]["finish"]) <= cycles, "{slice}");
            }
        }
    }
    // All but the last, which ends the program.
    assert_eq!(commands + 1, number(&profile["commands"]));
    // Every cycle is some layer's, in the trace as in the numbers.
    let mut of_layer: BTreeMap<&str, u64> = BTreeMap::new();
    for slice in &tracks["layers"] {
        *of_layer.entry(slice["name"].as_str().expect("a name")).or_default() += number(&slice["dur"]);
    }
    assert_eq!(of_layer.values().sum::<u64>(), cycles);
    let layers = profile["layers"].as_array().expect("layers");
    for layer in layers {
        let name = layer["name"].as_str().expect("a name");
        assert_eq!(of_layer.get(name).copied().unwrap_or(0), number(&layer["cycles"]), "{name}");
        let reasons = layer["reasons"].as_object().expect("reasons").values();
        assert_eq!(reasons.map(number).sum::<u64>(), number(&layer["cycles"]), "{name}");
        assert!(page.contains(name), "{name}");
    }
    // The multiply-accumulates of a layer are those of its matrix commands.
    let macs = tracks["matrix"].iter().map(|slice| number(&slice["args"]["macs"])).sum::<u64>();
    assert_eq!(macs, number(&profile["macs"]));
    let all = profile["reasons"].as_object().expect("reasons").values().map(number).sum::<u64>();
    assert_eq!(all, cycles);
    assert!(page.starts_with("<!DOCTYPE html>\n") && page.ends_with("</html>\n"));
    for tag in ["html", "head", "body", "main", "section", "svg", "table", "tr", "td", "p", "span", "text"] {
        let opened = page.matches(&format!("<{tag}>")).count() + page.matches(&format!("<{tag} ")).count();
        assert_eq!(opened, page.matches(&format!("</{tag}>")).count(), "<{tag}>");
    }
    assert!(!page.contains("<script") && !page.contains("http"), "nothing is loaded from elsewhere");
    profile
}

fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().map(|g| std::str::from_utf8(g).unwrap()).collect();
    groups.join(",")
}

#[test]
fn a_measured_run_is_told_in_every_way() {
    let sandbox = Sandbox::new();
    let (model, images) = (digits("digits.tflite"), digits("images.npy"));
    let arguments = ["profile", &model, "--input", &images, "--out", "deep/er", "--config", "nano"];
    let text = sandbox.succeed(&arguments);
    let profile = check_files(&sandbox, "deep/er");
    let cycles = number(&profile["cycles"]);
    assert_eq!(profile["source"], "measured");
    assert_eq!((&profile["images"], &profile["profiled_image"]), (&20.into(), &0.into()));
    assert_says(
        &text,
        &[
            "digits on nano (8 x 8, 64-bit bus), measured",
            "holds 20 images: the first is profiled",
            "op00_CONV_2D",
            "whole run",
            &thousands(cycles),
            "The biggest losses:\n  1. ",
            "  3. ",
            "by the compiler's cycle model",
            "at 75 MHz",
            "op10_SOFTMAX",
            "deep/er/report.html",
            "deep/er/trace.json, to open on https://ui.perfetto.dev",
            "deep/er/profile.json",
        ],
    );
    // The same run as without the recorder: outputs, cycles and counters.
    let run = sandbox.succeed_with_json(&["run", &model, "--input", &images, "--config", "nano", "--json"]);
    assert_eq!(profile["outputs"], run["images"][0]["outputs"]);
    assert_eq!(profile["cycles"], run["images"][0]["cycles"]);
    assert_eq!(profile["utilisation"], run["images"][0]["utilisation"]);
    assert_eq!(profile["bytes_read"], run["images"][0]["bytes_read"]);
    let counters = profile["counters"].as_array().expect("counters");
    assert_eq!(counters.len(), run["counters"].as_object().expect("counters").len());
    for counter in counters {
        let name = counter["name"].as_str().expect("a name");
        assert_eq!(counter["value"], run["images"][0]["counters"][name], "{name}");
        assert!(counter["description"].as_str().is_some_and(|text| !text.is_empty()), "{name}");
    }
    // The recorder and the counters saw the same machine.
    let busy = |engine: &str| number(&profile["engines"][engine]["busy_cycles"]) as f64;
    let counted = |name: &str| number(&run["images"][0]["counters"][name]) as f64;
    for (engine, counter) in [("load", "LOAD_BUSY"), ("matrix", "MATRIX_BUSY"), ("vector", "VECTOR_BUSY")] {
        let (busy, counted) = (busy(engine), counted(counter));
        assert!((busy - counted).abs() <= 0.03 * counted, "{engine}: {busy} recorded, {counted} counted");
    }
    for (reason, counter) in [("memory", "MATRIX_WAITS_LOAD"), ("vector", "MATRIX_WAITS_VECTOR")] {
        let (charged, counted) = (number(&profile["reasons"][reason]) as f64, counted(counter));
        assert!(
            (charged - counted).abs() <= 0.02 * cycles as f64,
            "{reason}: {charged} charged, {counted} counted"
        );
    }
    // The cycle model is for people who wait for no simulation: it has to be near.
    let error = profile["estimate_error"].as_f64().expect("a number");
    assert!(error.abs() < 0.1, "{error}");
    assert!(profile["layers"].as_array().unwrap().iter().all(|layer| layer["estimated_cycles"].is_u64()));
    // Again into the same folder, with another clock, and as JSON.
    let again = sandbox.succeed(&[&arguments[..], &["--clock-mhz", "150", "--json"]].concat());
    assert_eq!(again.as_bytes(), sandbox.read("deep/er/profile.json"));
    let again: Value = serde_json::from_str(&again).expect("one JSON object");
    assert_eq!(again["layers"], profile["layers"], "the same run takes the same cycles");
    let speed = |profile: &Value| profile["inferences_per_second"].as_f64().expect("a number");
    assert!((speed(&again) / speed(&profile) - 2.0).abs() < 1e-9);
    let mut names: Vec<_> =
        std::fs::read_dir(sandbox.path("deep/er")).unwrap().map(|f| f.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["profile.json", "report.html", "trace.json"]);
}

#[test]
fn an_estimate_needs_neither_verilator_nor_input() {
    let sandbox = Sandbox::new();
    let model = digits("digits.tflite");
    for config in ["nano", "large"] {
        let mut command =
            sandbox.command(&["profile", &model, "--estimate", "--out", config, "--config", config]);
        let done = sandbox.finish(command.env("FRUGAL_VERILATOR_ROOT", "/nowhere"));
        assert_eq!(done.code, Some(0), "{}", done.stderr);
        assert_says(&done.stdout, &["ESTIMATED", "nothing was simulated", "whole run"]);
        let profile = check_files(&sandbox, config);
        assert_eq!(profile["source"], "estimated");
        assert_eq!((&profile["outputs"], &profile["profiled_image"]), (&Value::Null, &Value::Null));
        assert_eq!(profile["counters"], Value::Array(vec![]));
        let page = String::from_utf8(sandbox.read(&format!("{config}/report.html"))).unwrap();
        assert_says(&page, &["Estimated", "not measured on hardware"]);
        assert!(!page.contains("Measured"));
    }
    let cycles = |more: &[&str]| {
        let all = [&["profile", &model, "--estimate", "--out", "x", "--json"], more].concat();
        number(&sandbox.succeed_with_json(&all)["cycles"])
    };
    assert!(cycles(&["--memory-latency", "500"]) > cycles(&[]));
    let done = sandbox.run(&["profile", &model, "--estimate", "--out", "x", "--stall-seed", "1"]);
    assert_says(&done.stderr, &["note: --stall-seed does nothing with --estimate"]);
}

#[test]
fn bad_input_leaves_nothing() {
    let sandbox = Sandbox::new();
    let (model, images) = (digits("digits.tflite"), digits("images.npy"));
    sandbox.write("file", "precious");
    sandbox.write_array("wrong.npy", &[1, 8, 8, 1], Elements::I8(vec![0; 64]));
    std::fs::create_dir(sandbox.path("mine")).unwrap();
    sandbox.write("mine/report.html", "a report of somebody else");
    std::fs::create_dir_all(sandbox.path("folders/trace.json")).unwrap();
    let profile = |model: &str, input: &str, out: &str| {
        sandbox.fail(1, &["profile", model, "--input", input, "--out", out, "--config", "nano"])
    };
    assert_says(&profile("nowhere.tflite", &images, "out"), &["nowhere.tflite cannot be read"]);
    assert_says(&profile(&model, "nowhere.npy", "out"), &["nowhere.npy cannot be read"]);
    assert_says(&profile(&images, &images, "out"), &["images.npy", "not a TensorFlow Lite file"]);
    assert_says(&profile(&model, "wrong.npy", "out"), &["wrong.npy", "(1, 8, 8, 1)", "(1, 16, 16, 1)"]);
    assert_says(&profile(&model, &images, "file"), &["file is a file; name a folder"]);
    assert_says(&profile(&model, &images, "file/deeper"), &["file/deeper cannot be", "ile"]);
    let message = profile(&model, &images, "mine");
    assert_says(&message, &["mine/report.html is there already", "Move it away, or name another folder"]);
    assert_says(&profile(&model, &images, "folders"), &["folders/trace.json is there already"]);
    #[cfg(unix)]
    {
        // What a link leads to is not replaced either.
        std::fs::create_dir(sandbox.path("links")).unwrap();
        std::os::unix::fs::symlink(sandbox.path("file"), sandbox.path("links/profile.json")).unwrap();
        assert_says(&profile(&model, &images, "links"), &["links/profile.json is there already"]);
    }
    if cfg!(target_os = "linux") {
        assert_says(
            &profile(&model, &images, "/proc/frugal/profile"),
            &["/proc/frugal/profile cannot be written to"],
        );
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let locked = sandbox.path("locked");
        std::fs::create_dir(&locked).unwrap();
        std::fs::set_permissions(&locked, std::fs::Permissions::from_mode(0o555)).unwrap();
        // To root every folder is open.
        if std::fs::write(locked.join("probe"), "").is_ok() {
            std::fs::remove_file(locked.join("probe")).unwrap();
        } else {
            assert_says(&profile(&model, &images, "locked/out"), &["locked/out cannot be written to"]);
        }
    }
    assert_eq!(sandbox.read("file"), b"precious");
    assert_eq!(sandbox.read("mine/report.html"), b"a report of somebody else");
    // A run that does not end.
    let stopped = [
        "profile",
        &model,
        "--input",
        &images,
        "--out",
        "out/deep",
        "--config",
        "nano",
        "--max-cycles",
        "100",
    ];
    assert_says(&sandbox.fail(1, &stopped), &["no end after 100 cycles"]);
    // Usage.
    for (arguments, says) in [
        (&["profile", &model, "--out", "out"][..], "--input"),
        (&["profile", &model, "--input", &images], "--out"),
        (&["profile", &model, "--estimate", "--out", "out", "--clock-mhz", "0"], "a number of MHz"),
        (&["profile", &model, "--estimate", "--out", "out", "--clock-mhz", "nan"], "a number of MHz"),
        (&["profile", &model, "--input", &images, "--input", &images, "--out", "out"], "1 inputs"),
    ] {
        assert_says(&sandbox.fail(2, arguments), &[says]);
    }
}

#[test]
fn the_page_shows_in_a_browser() {
    let browser = match browser::find() {
        Ok(browser) => browser,
        Err(why) => return println!("SKIPPED the page in a browser: {why}"),
    };
    let sandbox = Sandbox::new();
    let profile = sandbox.succeed_with_json(&[
        "profile",
        &digits("digits.tflite"),
        "--estimate",
        "--out",
        "out",
        "--config",
        "nano",
        "--json",
    ]);
    let (page, folder) = (sandbox.path("out/report.html"), sandbox.path("."));
    let (dom, log) = browser::open(&browser, &page, "--dump-dom", &folder);
    assert!(!log.contains("CONSOLE"), "the browser complains: {log}");
    let cycles = thousands(number(&profile["cycles"]));
    assert_says(&dom, &[&cycles, "op00_CONV_2D", "<svg", "The biggest losses", "</html>"]);
    for layer in profile["layers"].as_array().expect("layers") {
        assert!(dom.contains(layer["name"].as_str().expect("a name")), "{layer}");
    }
    let picture = sandbox.path("page.png");
    let (_, log) = browser::open(&browser, &page, &format!("--screenshot={}", picture.display()), &folder);
    assert!(!log.contains("CONSOLE"), "the browser complains: {log}");
    let picture = std::fs::read(picture).expect("a screenshot");
    assert_eq!(&picture[..8], b"\x89PNG\r\n\x1a\n");
    let size = |at: usize| u32::from_be_bytes(picture[at..at + 4].try_into().expect("four bytes"));
    assert_eq!((size(16), size(20)), (1280, 4000));
    // Nothing but background takes less than 30 kB at this size.
    assert!(picture.len() > 100_000, "{} bytes: the page is blank", picture.len());
    for name in FILES {
        assert!(sandbox.path("out").join(name).is_file(), "{name}");
    }
}
