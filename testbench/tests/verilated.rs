//! The run-time binding itself: clocking, wide ports, waveforms, the cache, errors.
use frugal_hdl::emit::{ModuleInfo, Port, PortDirection};
use frugal_testbench::verilated::{BuildOptions, Trace, VerilateError, VerilatedModel};

fn port(name: &str, width: usize, direction: PortDirection) -> Port {
    Port { name: name.into(), original_name: name.replace('_', "$"), width, is_signed: false, direction }
}

fn input(name: &str, width: usize) -> Port {
    port(name, width, PortDirection::Input)
}

fn output(name: &str, width: usize) -> Port {
    port(name, width, PortDirection::Output)
}

const COUNTER: &str = "
module counter (
    input wire clock,
    input wire [7:0] step,
    input wire enable,
    output reg [39:0] count,
    output wire [7:0] doubled,
    output reg [7:0] registered
);
    initial count = 0;
    assign doubled = step + step;
    always @(posedge clock) begin
        if (enable) count <= count + {32'd0, step};
        registered <= doubled;
    end
endmodule
";

fn counter(options: &BuildOptions) -> Result<VerilatedModel, VerilateError> {
    let ports = vec![
        input("clock", 1),
        input("step", 8),
        input("enable", 1),
        output("count", 40),
        output("doubled", 8),
        output("registered", 8),
    ];
    VerilatedModel::from_verilog(COUNTER, &ModuleInfo { name: "counter".into(), ports }, options)
}

/// The edge must see the inputs of the same call, also through combinational logic.
#[test]
fn a_cycle_applies_inputs_then_the_edge() -> Result<(), VerilateError> {
    let mut model = counter(&BuildOptions::default())?;
    let [step, enable, count, doubled, registered] =
        ["step", "enable", "count", "doubled", "registered"].map(|name| model.port(name));
    let mut expected = 0;
    model.set(enable, 1);
    for value in 1..=200 {
        model.set(step, value);
        model.cycle();
        expected += value;
        assert_eq!(model.get(count), expected);
        assert_eq!(model.get(doubled), (2 * value) & 0xff);
        assert_eq!(model.get(registered), (2 * value) & 0xff);
    }
    // Settling alone is no edge.
    model.set(step, 5);
    model.eval();
    assert_eq!((model.get(doubled), model.get(count)), (10, expected));
    model.cycles(1_000_000_000 >> 10);
    assert_eq!(model.get(count), expected + 5 * (1_000_000_000 >> 10));
    assert_eq!(model.errors(), 0);
    Ok(())
}

#[test]
fn wide_ports_and_both_names() -> Result<(), VerilateError> {
    let text = "module swap (input wire [99:0] data_in, input wire [63:0] key, output wire [99:0] data_out, output wire [63:0] key_out);\n\
                assign data_out = {data_in[49:0], data_in[99:50]};\nassign key_out = ~key;\nendmodule\n";
    let ports = vec![input("data_in", 100), input("key", 64), output("data_out", 100), output("key_out", 64)];
    let top = ModuleInfo { name: "swap".into(), ports };
    let mut model = VerilatedModel::from_verilog(text, &top, &BuildOptions::default())?;
    assert_eq!(model.port("data_in"), model.port("data$in"));
    let value = 0x9_8765_4321_0fed_cba9_8765_4321_u128 & ((1 << 100) - 1);
    let words: Vec<u32> = (0..4).map(|word| (value >> (32 * word)) as u32).collect();
    model.set_wide(model.port("data_in"), &words);
    model.set(model.port("key"), 0x0123_4567_89ab_cdef);
    model.eval();
    let result = model.get_wide(model.port("data_out"));
    let result = result.iter().rev().fold(0, |result: u128, word| result << 32 | u128::from(*word));
    assert_eq!(result, (value >> 50) | (value & ((1 << 50) - 1)) << 50);
    assert_eq!(model.get(model.port("key_out")), !0x0123_4567_89ab_cdef);
    Ok(())
}

#[test]
fn models_do_not_share_state() -> Result<(), VerilateError> {
    let mut models = [counter(&BuildOptions::default())?, counter(&BuildOptions::default())?];
    let (step, enable, count) = (models[0].port("step"), models[0].port("enable"), models[0].port("count"));
    for (number, model) in models.iter_mut().enumerate() {
        model.set(enable, 1);
        model.set(step, number as u64 + 1);
    }
    let [mut first, mut second] = models;
    let other = std::thread::spawn(move || {
        second.cycles(1000);
        second
    });
    first.cycles(1000);
    let second = other.join().expect("the thread runs through");
    assert_eq!((first.get(count), second.get(count)), (1000, 2000));
    Ok(())
}

#[test]
fn waveforms_of_both_formats() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    for name in ["wave.vcd", "wave.fst"] {
        let path = folder.path().join(name);
        let mut model = counter(&BuildOptions { trace: Trace::for_path(&path)?, ..BuildOptions::default() })?;
        model.trace_to(&path)?;
        let (step, enable) = (model.port("step"), model.port("enable"));
        model.set(enable, 1);
        model.set(step, 3);
        model.cycles(100);
        drop(model);
        let bytes = std::fs::read(&path)?;
        assert!(bytes.len() > 300, "{name}: {} bytes", bytes.len());
        if name.ends_with("vcd") {
            let text = String::from_utf8(bytes)?;
            assert!(text.contains("registered") && text.contains("#1000"), "{text}");
        }
    }
    assert!(matches!(Trace::for_path("wave.txt".as_ref()), Err(VerilateError::UnknownTraceFormat(_))));
    let untraced = counter(&BuildOptions::default())?.trace_to(&folder.path().join("wave.vcd"));
    assert!(matches!(untraced, Err(VerilateError::BuiltWithoutTrace)));
    Ok(())
}

#[test]
fn verilog_errors_carry_the_log() {
    let top = ModuleInfo { name: "broken".into(), ports: vec![output("y", 1)] };
    let result = VerilatedModel::from_verilog(
        "module broken (output wire y);\nassign y = missing;\nendmodule\n",
        &top,
        &BuildOptions::default(),
    );
    match result {
        Err(VerilateError::ToolFailed { log, .. }) => assert!(log.contains("missing"), "{log}"),
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("an undeclared signal is no error"),
    }
}

#[test]
fn latches_are_refused() {
    let top = ModuleInfo { name: "latch".into(), ports: vec![input("e", 1), input("d", 1), output("q", 1)] };
    let text =
        "module latch (input wire e, input wire d, output reg q);\nalways @(*) if (e) q = d;\nendmodule\n";
    let result = VerilatedModel::from_verilog(text, &top, &BuildOptions::default());
    match result {
        Err(VerilateError::ToolFailed { log, .. }) => assert!(log.contains("LATCH"), "{log}"),
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("a latch is no error"),
    }
}
