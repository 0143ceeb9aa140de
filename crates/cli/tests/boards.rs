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

/// An accelerator without a row engine, with the models of its chip's cells and of the SDRAM in its package.
#[test]
#[cfg(target_os = "linux")]
fn bring_up_of_a_board_with_less_passes_over_what_it_lacks() {
    let sandbox = Sandbox::new();
    let board =
        ["bringup", "--device", "sim-board:tang-nano-20k", "--config", "pico", "--memory-bytes", "4096"];
    let done = sandbox.run(&board);
    assert_eq!(done.code, Some(0), "{}{}", done.stdout, done.stderr);
    for step in ["identify", "memory", "load and store", "matrix engine", "vector engine", "network"] {
        assert!(done.stdout.lines().any(|line| line.starts_with(step) && line.contains("passed")), "{step}");
    }
    assert!(!done.stdout.contains("row engine"), "{}", done.stdout);
}

/// A board whose memory is too small for the network at the end.
#[test]
#[cfg(target_os = "linux")]
fn bring_up_of_a_board_with_little_memory_ends_with_what_it_lacks() {
    let sandbox = Sandbox::new();
    let board =
        ["bringup", "--device", "sim-board:tang-nano-9k", "--config", "atto", "--memory-bytes", "4096"];
    let done = sandbox.run(&board);
    assert_eq!(done.code, Some(1), "{}", done.stdout);
    for step in ["identify", "memory", "load and store", "matrix engine", "vector engine"] {
        assert!(done.stdout.lines().any(|line| line.starts_with(step) && line.contains("passed")), "{step}");
    }
    assert_says(&done.stderr, &["network failed", "bytes", "the board has 24576"]);
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

/// A terminal that another program, here this test, has opened as a serial port.
#[test]
#[cfg(target_os = "linux")]
fn a_port_in_use_is_left_alone() {
    use frugal_device::link::serial::SerialLine;
    use rustix::pty::{grantpt, openpt, ptsname, unlockpt, OpenptFlags};
    let controller = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&controller).unwrap();
    unlockpt(&controller).unwrap();
    let path = ptsname(&controller, Vec::new()).unwrap().into_string().unwrap();
    let _line = SerialLine::open(&path, 1_000_000).unwrap();
    let said = Sandbox::new().fail(1, &["bringup", "--device", &format!("serial:{path}")]);
    assert_says(&said, &[&format!("{path} is in use: another program has it"), "identify failed"]);
}

/// Stand-ins for the tools in the sandbox: a placement says what its script says.
#[cfg(unix)]
fn tools(sandbox: &Sandbox, family: [&str; 2], placement: &str) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::create_dir_all(sandbox.path("tools/bin")).unwrap();
    for (name, script) in
        [("yosys", "echo '{}' > netlist.json"), (family[0], placement), (family[1], "cat placed > bitstream")]
    {
        let file = format!("tools/bin/{name}");
        sandbox.write(&file, format!("#!/bin/sh\n{script}\n"));
        std::fs::set_permissions(sandbox.path(&file), std::fs::Permissions::from_mode(0o755)).unwrap();
    }
}

#[cfg(unix)]
fn synth(sandbox: &Sandbox, arguments: &[&str]) -> std::process::Command {
    let mut command = sandbox.command(&[&["synth", "--out", "out"], arguments].concat());
    command
        .env("FRUGAL_TOOLS", sandbox.path("tools"))
        .env("FRUGAL_SYNTH_CACHE_DIR", sandbox.path("cache"))
        .env("PATH", "/bin:/usr/bin");
    command
}

/// Each board with its own configuration, and the bitstream's name that its loader knows.
#[test]
#[cfg(unix)]
fn boards_are_built_with_their_own_configurations() {
    let report =
        r#"{"fmax": {"clock": {"achieved": 99, "constraint": 80}}, "critical_paths": [], "utilization": {}}"#;
    let routed = r#"{"modules": {"top": {"cells": {}}}}"#;
    let place = format!(
        "echo '{report}' > report.json; echo '{routed}' > routed.json; echo placed > placed; echo 'Info: 3 LCs used as DFF only'"
    );
    for (board, family, bitstream) in [
        ("ulx3s-85f", ["nextpnr-ecp5", "ecppack"], "out/ulx3s-85f-nano.bit"),
        ("colorlight-i9", ["nextpnr-ecp5", "ecppack"], "out/colorlight-i9-micro.bit"),
        ("tang-nano-20k", ["nextpnr-himbaechel-gowin", "gowin_pack"], "out/tang-nano-20k-femto.fs"),
        ("icebreaker", ["nextpnr-ice40", "icepack"], "out/icebreaker-femto.bin"),
        ("tang-nano-9k", ["nextpnr-himbaechel-gowin", "gowin_pack"], "out/tang-nano-9k-atto.fs"),
    ] {
        let sandbox = Sandbox::new();
        tools(&sandbox, family, &place);
        let done = sandbox.finish(&mut synth(&sandbox, &["--board", board]));
        assert_eq!(done.code, Some(0), "{board}: {}", done.stderr);
        // Gowin's packer takes what nextpnr writes of a routed design.
        let packed = if bitstream.ends_with(".fs") { format!("{routed}\n") } else { "placed\n".into() };
        assert_eq!(String::from_utf8(sandbox.read(bitstream)).expect("text"), packed, "{board}");
    }
}

#[test]
#[cfg(unix)]
fn a_board_that_is_too_slow_has_figures_and_no_bitstream() {
    let sandbox = Sandbox::new();
    let report = r#"{"fmax": {"clock": {"achieved": 78.5, "constraint": 80}}, "critical_paths": [],
        "utilization": {"TRELLIS_COMB": {"used": 7, "available": 100}}}"#;
    let routed = r#"{"modules": {"top": {"cells": {}}}}"#;
    let place =
        format!("cat > report.json <<'E'\n{report}\nE\necho '{routed}' > routed.json; echo placed > placed");
    tools(&sandbox, ["nextpnr-ecp5", "ecppack"], &place);
    let done = sandbox.finish(&mut synth(&sandbox, &["--board", "ulx3s-85f", "--json"]));
    assert_eq!(done.code, Some(1), "{}", done.stderr);
    assert_says(&done.stderr, &["78.50 MHz of 80 MHz with seed 1", "no bitstream is written"]);
    assert_says(&done.stdout, &["\"fmax_mhz\":78.5", "\"lut\":7", "\"bitstream\":null"]);
    assert!(!sandbox.path("out/ulx3s-85f-nano.bit").exists());

    // The board's clock is what it is.
    let done = sandbox.finish(&mut synth(&sandbox, &["--board", "ulx3s-85f", "--target-mhz", "75"]));
    assert_eq!(done.code, Some(1), "{}", done.stderr);
    assert_says(&done.stderr, &["--target-mhz 75 is below the 80 MHz that ulx3s-85f runs at"]);
}

#[test]
#[cfg(unix)]
fn a_design_that_is_too_large_says_by_how_much_and_what_fits() {
    let sandbox = Sandbox::new();
    let place = "echo 'Info:   LUT4:   30000/  20736   144%'; echo 'ERROR: no place'; exit 1";
    tools(&sandbox, ["nextpnr-himbaechel-gowin", "gowin_pack"], place);
    // Logs and Verilog stay, to be looked at.
    let done = sandbox.finish(&mut synth(&sandbox, &["--board", "tang-nano-20k", "--config", "nano"]));
    assert_eq!(done.code, Some(1), "{}", done.stderr);
    assert_says(
        &done.stderr,
        &[
            "'tang-nano-20k-nano' does not fit on gw2ar-18",
            "30000 LUT, 9264 more than the 20736 there are",
            "The largest preset that fits on tang-nano-20k is 'femto'",
        ],
    );
    assert!(!sandbox.path("out/tang-nano-20k-nano.fs").exists());
}
