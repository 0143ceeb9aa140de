//! What a viewer makes of the trace.

mod support;

use frugal_profile::{trace, Engine, OccupancyInterval, OnChip, Run, RunError};
use proptest::prelude::*;
use serde_json::Value;
use std::collections::HashMap;
use support::{any_run, command, matrix, run};

struct Slice {
    name: String,
    from: u64,
    to: u64,
    arguments: Value,
}

/// The slices of each track.
fn tracks(text: &str) -> HashMap<String, Vec<Slice>> {
    let trace: Value = serde_json::from_str(text).unwrap();
    let events = trace["traceEvents"].as_array().unwrap();
    let mut names: HashMap<u64, String> = HashMap::new();
    for event in events.iter().filter(|event| event["name"] == "thread_name" && event["ph"] == "M") {
        let name = event["args"]["name"].as_str().unwrap().to_owned();
        assert!(names.insert(event["tid"].as_u64().unwrap(), name).is_none());
    }
    let mut tracks: HashMap<String, Vec<Slice>> = names.values().map(|name| (name.clone(), vec![])).collect();
    for event in events.iter().filter(|event| event["ph"] == "X") {
        let from = event["ts"].as_u64().unwrap();
        tracks.get_mut(&names[&event["tid"].as_u64().unwrap()]).unwrap().push(Slice {
            name: event["name"].as_str().unwrap().to_owned(),
            from,
            to: from + event["dur"].as_u64().unwrap(),
            arguments: event["args"].clone(),
        });
    }
    tracks
}

/// Values of a counter track.
fn counter(text: &str, name: &str) -> Vec<(u64, u64)> {
    let trace: Value = serde_json::from_str(text).unwrap();
    let events = trace["traceEvents"].as_array().unwrap().iter();
    events
        .filter(|event| event["ph"] == "C" && event["name"] == name)
        .map(|event| {
            let series = event["args"].as_object().unwrap();
            (event["ts"].as_u64().unwrap(), series.values().next().unwrap().as_u64().unwrap())
        })
        .collect()
}

fn sample() -> Run {
    let mut run = run(&[("op00_CONV_2D", 64_000), ("op01 \"quoted\"\n</script>", 0)]);
    run.commands = vec![
        command(0, Engine::Load, 0, 30, 200),
        matrix(1, 0, 200, 615, 400),
        matrix(2, 1, 600, 900, 280),
        command(4, Engine::Store, 1, 900, 1000),
    ];
    run.commands[3].bytes = 64;
    run.commands[2].waited_for = [0, 40, 0, 0];
    run.occupancy = vec![OccupancyInterval {
        name: "input".into(),
        memory: OnChip::Activation,
        addresses: 0..100,
        from: 30,
        to: 600,
    }];
    run
}

#[test]
fn each_engine_has_a_track_of_its_commands() {
    let text = trace::json(&sample()).unwrap();
    let tracks = tracks(&text);
    let mut names: Vec<&str> = tracks.keys().map(String::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["layers", "load", "matrix", "store", "vector"]);
    let times = |track: &str| tracks[track].iter().map(|s| (s.from, s.to)).collect::<Vec<_>>();
    assert_eq!(times("load"), [(30, 200)]);
    // The first one drains until cycle 615, behind the second one's back.
    assert_eq!(times("matrix"), [(200, 600), (600, 900)]);
    assert_eq!(tracks["matrix"][0].arguments["finish"], 615);
    assert_eq!(tracks["matrix"][1].arguments["waited for matrix"], 40);
    assert_eq!(tracks["matrix"][1].name, "op01 \"quoted\"\n</script>");
    assert_eq!(tracks["store"][0].arguments["bytes"], 64);
    assert_eq!(times("vector"), []);
    assert_eq!(times("layers"), [(0, 600), (600, 1000)]);
    let value: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(value["otherData"]["cycles"], 1000);
    assert_eq!(value["otherData"]["time"], "1 cycle is shown as 1 us");
}

#[test]
fn counters_follow_the_layer_and_the_memories() {
    let text = trace::json(&sample()).unwrap();
    assert_eq!(counter(&text, "layer at the MAC array"), [(0, 0), (200, 1), (600, 2), (900, 0)]);
    assert_eq!(counter(&text, "activation scratchpad (vectors in use)"), [(0, 0), (30, 100), (600, 0)]);
}

#[test]
fn a_run_that_contradicts_itself_has_no_trace() {
    let mut run = sample();
    run.occupancy[0].addresses = 0..5000;
    assert!(matches!(trace::json(&run), Err(RunError::OccupancyAddress { depth: 4096, .. })));
    run = sample();
    run.occupancy[0].to = 1001;
    assert!(matches!(trace::json(&run), Err(RunError::OccupancyTime { to: 1001, .. })));
}

proptest! {
    #[test]
    fn slices_of_a_track_do_not_overlap(run in any_run()) {
        let tracks = tracks(&trace::json(&run).unwrap());
        let mut slices = 0;
        for (track, own) in &tracks {
            prop_assert!(own.iter().all(|slice| slice.to <= run.cycles), "{}", track);
            prop_assert!(own.windows(2).all(|pair| pair[0].to <= pair[1].from), "{}", track);
            slices += if track == "layers" { 0 } else { own.len() };
        }
        prop_assert_eq!(slices, run.commands.len());
        let layers: u64 = tracks["layers"].iter().map(|slice| slice.to - slice.from).sum();
        prop_assert_eq!(layers, if run.commands.is_empty() { 0 } else { run.cycles });
    }
}
