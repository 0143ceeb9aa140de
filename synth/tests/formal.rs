//! Proofs that take seconds, and what the runner makes of SymbiYosys' answers.
#![cfg(unix)]

use frugal_hdl::emit::VerilogFile;
use frugal_synth::flow::tools::Tool;
use frugal_synth::formal::{FormalError, Proof, Reach, Run, Solver, Verdict, PROOFS};
use std::collections::BTreeSet;

/// Every run of a proof: the block holds, the states are reached, the faults are found.
fn prove(name: &str) {
    if let Some(tool) = ["sby", "yosys", "z3"].into_iter().find(|tool| Tool::find(tool).is_err()) {
        return println!("SKIPPED: there is no {tool}; scripts/setup synth installs it");
    }
    let proof = Proof::from_name(name).expect("a proof of this name");
    let out = tempfile::tempdir().unwrap();
    for run in proof.runs() {
        let outcome = proof.run(run, out.path()).unwrap_or_else(|error| panic!("{name}, {run:?}: {error}"));
        let found = matches!(outcome.verdict, Verdict::Fails { .. });
        let expected = if let Run::Fault(_) = run { found } else { outcome.verdict == Verdict::Holds };
        assert!(expected, "{name}, {run:?}: {:?}", outcome.verdict);
    }
}

macro_rules! proofs {
    ($($(#[$attribute:meta])* $test:ident: $name:literal,)*) => {
        $(
            #[test]
            $(#[$attribute])*
            fn $test() {
                prove($name);
            }
        )*
        /// What is tested above, and whether it is left to `scripts/prove`.
        const TESTED: &[(&str, bool)] = &[$(($name, !stringify!($($attribute)*).is_empty())),*];
    };
}

proofs! {
    fifo_4: "fifo-4",
    fifo_5: "fifo-5",
    fifo_8: "fifo-8",
    token_counters: "token-counters",
    burst_generator_8: "burst-generator-8",
    burst_generator_16: "burst-generator-16",
    command_buffer: "command-buffer",
    read_port: "read-port",
    memory_switch: "memory-switch",
    uart_states: "uart-states",
    packet_receiver: "packet-receiver",
    packet_transmitter: "packet-transmitter",
    load_engine: "load-engine",
    store_engine: "store-engine",
    uart_bytes: "uart-bytes",
    uart_recovers: "uart-recovers",
    #[ignore = "minutes: scripts/prove"]
    packets: "packets",
    #[ignore = "minutes: scripts/prove"]
    load_ends: "load-ends",
    #[ignore = "minutes: scripts/prove"]
    store_ends: "store-ends",
}

#[test]
fn every_proof_is_tested_here_and_has_faults() {
    let tested: BTreeSet<_> = TESTED.iter().copied().collect();
    let all: BTreeSet<_> = PROOFS.iter().map(|proof| (proof.name, proof.is_slow)).collect();
    assert_eq!(tested, all);
    for proof in PROOFS {
        assert!(!proof.faults.is_empty(), "{} finds nothing", proof.name);
    }
}

/// MiniSat's answers: what holds for so many cycles, from reset and from any state, and what does not.
#[test]
fn minisat_proves_and_finds() {
    if Tool::find("yosys").is_err() {
        return println!("SKIPPED: no Yosys; scripts/setup synth installs it");
    }
    let out = tempfile::tempdir().unwrap();
    let known = Proof::from_name("uart-states").unwrap();
    // n counts to 9, unless it is beyond: then it goes on to 255.
    const BLOCK: &str = "module counter (input wire clock, output reg [7:0] n);\n    initial n = 0;\n    always @(posedge clock) n <= n == 9 ? 0 : n + 1;\nendmodule\n";
    let run = |reach: Reach, promise: &'static str| {
        let text = format!(
            "module harness (input wire clock);\n    wire [7:0] n;\n    counter dut (.clock(clock), .n(n));\n    {promise}\nendmodule\n"
        );
        let proof = Proof {
            harness: ("mine.v", text.leak()),
            block: || Ok(VerilogFile { text: BLOCK.into(), modules: Vec::new() }),
            solver: Solver::MiniSat,
            reach,
            ..*known
        };
        proof.run(Run::Promises, out.path()).unwrap().verdict
    };
    let fails = |verdict: Verdict| match verdict {
        Verdict::Fails { what, trace: Some(trace) } => {
            assert_eq!(what, "mine.v");
            assert!(trace.is_file());
        }
        verdict => panic!("{verdict:?}"),
    };
    assert_eq!(run(Reach::Bounded(30), "always @(*) assert (n < 10);"), Verdict::Holds);
    fails(run(Reach::Bounded(30), "always @(*) assert (n < 9);"));
    // The 9 comes in the tenth cycle.
    assert_eq!(run(Reach::Bounded(9), "always @(*) assert (n < 9);"), Verdict::Holds);
    fails(run(Reach::Bounded(10), "always @(*) assert (n < 9);"));
    fails(run(Reach::AnyState(3), "always @(*) assert (n < 10);"));
    assert_eq!(
        run(Reach::AnyState(3), "always @(*) begin assume (n > 20); assert (n != 9); end"),
        Verdict::Holds
    );
}

/// A harness that promises too much, one that does not close, a name that is not there, and a fault that fits nowhere.
#[test]
fn what_does_not_hold_is_said() {
    if ["sby", "yosys", "z3"].into_iter().any(|tool| Tool::find(tool).is_err()) {
        return println!("SKIPPED: no SymbiYosys, Yosys or Z3; scripts/setup synth installs them");
    }
    let out = tempfile::tempdir().unwrap();
    let known = Proof::from_name("uart-states").unwrap();
    let with = |text: &'static str| Proof { harness: ("mine.v", text), reach: Reach::Induction(5), ..*known };
    let run = |proof: &Proof| proof.run(Run::Promises, out.path());

    const HEAD: &str = "module harness (input wire clock);\n    reg [7:0] n = 0;\n    always @(posedge clock) n <= n == 2 ? 0 : n + 1;\n";
    fn text(body: &str) -> &'static str {
        format!("{HEAD}{body}\nendmodule\n").leak()
    }
    let outcome = run(&with(text("    always @(*) assert (n < 3);"))).unwrap();
    assert_eq!(outcome.verdict, Verdict::Holds);
    match run(&with(text("    always @(*) assert (n < 2);"))).unwrap().verdict {
        Verdict::Fails { what, trace: Some(trace) } => {
            assert_eq!(what, "mine.v:4");
            assert!(trace.is_file());
        }
        verdict => panic!("{verdict:?}"),
    }
    // True, but 99 follows from nothing that is known to be impossible.
    let outcome = run(&with(text("    always @(*) assert (n != 100);"))).unwrap();
    assert_eq!(outcome.verdict, Verdict::Open);
    let error =
        run(&with(text("    wire \\in.receiver.nothing ;\n    always @(*) assert (n < 3);"))).unwrap_err();
    assert!(matches!(error, FormalError::Flow(_)), "{error}");
    match with(text("    always @(*) cover (n == 7);")).run(Run::Covers, out.path()).unwrap().verdict {
        Verdict::Fails { what, .. } => assert_eq!(what, "mine.v:4"),
        verdict => panic!("{verdict:?}"),
    }
    let mut broken = known.faults[0];
    broken.text = "this is not there";
    let broken = Proof { faults: vec![broken].leak(), ..*known };
    let error = broken.run(Run::Fault(0), out.path()).unwrap_err().to_string();
    assert_eq!(
        error,
        "fault 0 of proof 'uart-states': 'this is not there' is 0 times in the block's Verilog, not once"
    );
}
