//! Boards on the command line: bring-up on a simulated one, and what bad names and ports get.

mod support;

use serde_json::Value;
use support::{assert_says, Sandbox};

#[test]
#[cfg(target_os = "linux")]
fn bring_up_passes_on_the_simulated_board() {
    let sandbox = Sandbox::new();
    let common = ["bringup", "--device", "sim-board:ulx3s-85f", "--config", "nano", "--memory-bytes", "4096"];
    let said = sandbox.succeed_with_json(&[&common[..], &["--json"]].concat());
    assert_eq!(said["passed"], true);
    let steps: Vec<&String> = said["steps"].as_object().unwrap().keys().collect();
    let expected =
        ["identify", "memory", "load and store", "matrix engine", "vector engine", "row engine", "network"];
    assert_eq!(steps, expected);
    assert_eq!(said["steps"]["identify"]["clock_khz"], 80_000);
    // The same cycles as ever, whatever the host's speed.
    let cycles = |step: &str| said["steps"][step]["cycles"].as_u64().unwrap();
    assert!((20_000..30_000).contains(&cycles("network")), "{said}");
    assert_eq!(said["link"]["repeated"], Value::from(0));
}

/// A board without a row engine, with the models of its own cells.
#[test]
#[cfg(target_os = "linux")]
fn bring_up_passes_on_a_simulated_board_with_less() {
    let sandbox = Sandbox::new();
    let common =
        ["bringup", "--device", "sim-board:tang-nano-20k", "--config", "pico", "--memory-bytes", "4096"];
    let said = sandbox.succeed_with_json(&[&common[..], &["--json"]].concat());
    assert_eq!(said["passed"], true);
    let steps: Vec<&String> = said["steps"].as_object().unwrap().keys().collect();
    assert_eq!(steps, ["identify", "memory", "load and store", "matrix engine", "vector engine", "network"]);
    assert_eq!(said["steps"]["identify"]["memory_bytes"], 8 << 20);
}

#[test]
fn boards_and_ports_that_are_none_are_named() {
    let sandbox = Sandbox::new();
    let fail = |code: i32, arguments: &[&str], says: &[&str]| {
        assert_says(&sandbox.fail(code, arguments), says);
    };
    fail(2, &["bringup", "--device", "sim-board:arty"], &["no board is called 'arty'", "ulx3s-85f"]);
    fail(2, &["bringup", "--device", "parallel"], &["serial:PORT", "sim-board:NAME"]);
    fail(2, &["bringup", "--device", "serial:"], &["serial:PORT"]);
    fail(2, &["bringup", "--device", "golden"], &["golden is no board"]);
    fail(
        1,
        &["bringup", "--device", "serial:/dev/ttyNowhere"],
        &["no port /dev/ttyNowhere", "identify failed"],
    );
    sandbox.write("file.txt", "no port");
    fail(1, &["bringup", "--device", "serial:file.txt"], &["file.txt"]);
    fail(2, &["synth", "--board", "arty", "--out", "x"], &["arty", "ulx3s-85f"]);
    assert!(!sandbox.path("x").exists());
    // 64 megabytes of weights are no network for 32.
    let large = ["bench", "gemm", "--m", "1", "--k", "8192", "--n", "8192", "--config", "nano"];
    fail(1, &[&large[..], &["--device", "sim-board:ulx3s-85f"]].concat(), &["the board has 33554432"]);
}
