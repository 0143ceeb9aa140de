//! Blocks after synthesis: the netlist that Yosys makes of them, with models of the chip's cells.

use frugal_hdl::emit::VerilogFile;
use frugal_synth::flow::tools::Tool;
use frugal_synth::netlist;

/// What is said nowhere in a netlist, or twice.
const WAIVED: [&str; 12] = [
    "INITIALDLY",
    "SYNCASYNCNET",
    "TIMESCALEMOD",
    "GENUNNAMED",
    "PINMISSING",
    "PINCONNECTEMPTY",
    "UNUSEDSIGNAL",
    "UNUSEDPARAM",
    "DECLFILENAME",
    "WIDTHTRUNC",
    "WIDTHEXPAND",
    "UNOPTFLAT",
];

/// Whether there is a Yosys; says so where there is none.
pub fn available() -> bool {
    let found = Tool::find("yosys").is_ok();
    if !found {
        eprintln!("SKIPPED: there is no Yosys; run scripts/setup synth");
    }
    found
}

/// `file` after synthesis for ECP5, cells included.
///
/// # Panics
/// If Yosys is not there or does not take the Verilog.
pub fn after_synthesis(file: &VerilogFile) -> VerilogFile {
    let netlist = netlist::ecp5(file).unwrap_or_else(|error| panic!("{error}"));
    let mut text = String::new();
    for name in WAIVED {
        text += &format!("/* verilator lint_off {name} */\n");
    }
    text += &netlist.text;
    text += include_str!("../models/ecp5_multiplier.v");
    text += include_str!("../models/ecp5_alu.v");
    text += include_str!("../models/ecp5_block_ram.v");
    VerilogFile { text, ..netlist }
}
