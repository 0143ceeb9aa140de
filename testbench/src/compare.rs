//! Drives a block's own `update()` and its Verilog with the same inputs and compares every output in every cycle.
use frugal_hdl::emit::{emit, EmitError, PortDirection, VerilogFile};
use rust_hdl_core::prelude::*;
use std::collections::BTreeMap;

use crate::netlist::after_synthesis;
use crate::random::Random;
use crate::verilated::{lint_only, BuildOptions, PortHandle, Speed, VerilateError, VerilatedModel};

#[derive(Debug, thiserror::Error)]
pub enum CompareError {
    #[error(transparent)]
    Emit(#[from] EmitError),
    #[error(transparent)]
    Verilate(#[from] VerilateError),
    #[error("the block does not settle: a combinational loop?")]
    DoesNotSettle,
    #[error("cycle {cycle}, seed {seed}: `{port}` is {native} natively and {verilated} in Verilog (inputs: {inputs})")]
    Mismatch { cycle: u64, seed: u64, port: String, native: String, verilated: String, inputs: String },
    #[error("cycle {cycle}, seed {seed}: the Verilog reported an error (inputs: {inputs})")]
    Reported { cycle: u64, seed: u64, inputs: String },
}

/// Emits, lints and Verilates a block and compares it with itself for `cycles` clock cycles.
///
/// * `drive(block, random, cycle)` sets the block's inputs (`.next`), the clock excepted; the Verilated model is given
///   the same values.
/// * `set_clock(block, level)` sets the clock; a combinational block ignores it.
pub fn compare_native_and_verilated<B: Block>(
    factory: impl Fn() -> B,
    drive: impl FnMut(&mut B, &mut Random, u64),
    set_clock: impl Fn(&mut B, bool),
    cycles: u64,
    seed: u64,
) -> Result<VerilogFile, CompareError> {
    let block = factory();
    let file = emit(&block, "uut", "")?;
    lint_only(&file)?;
    compare(block, file, drive, set_clock, cycles, seed)
}

/// Which description of a block its own `update()` is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Description {
    /// The emitter's Verilog.
    Emitted,
    /// What is left of it after synthesis for ECP5.
    Netlist,
}

/// [`compare_native_and_verilated`], or the same with the netlist.
pub fn compare_native_and_description<B: Block>(
    description: Description,
    factory: impl Fn() -> B,
    drive: impl FnMut(&mut B, &mut Random, u64),
    set_clock: impl Fn(&mut B, bool),
    cycles: u64,
    seed: u64,
) -> Result<VerilogFile, CompareError> {
    match description {
        Description::Emitted => compare_native_and_verilated(factory, drive, set_clock, cycles, seed),
        Description::Netlist => {
            compare_native_and(|file| after_synthesis(&file), factory, drive, set_clock, cycles, seed)
        }
    }
}

/// A family of chips whose cells there are models of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    Ecp5,
    Gowin,
    /// With the models that come with Yosys.
    Ice40,
}

/// What Yosys' models are not careful about.
const ICE40_LINT: &str = "/* verilator lint_off WIDTHTRUNC */ /* verilator lint_off WIDTHEXPAND */ /* verilator lint_off UNUSEDSIGNAL */\n\
    /* verilator lint_off UNUSEDPARAM */ /* verilator lint_off SYNCASYNCNET */ /* verilator lint_off INITIALDLY */ /* verilator lint_off BLKSEQ */\n\
    /* verilator lint_off MULTIDRIVEN */ /* verilator lint_off UNOPTFLAT */ /* verilator lint_off DECLFILENAME */\n";

impl Family {
    /// `file` with the texts that its leaves have for the family, and models of the cells behind it.
    ///
    /// # Panics
    /// If there is no Yosys to take the models of iCE40 cells from: ask [`netlist::available`] first.
    pub fn of(self, file: VerilogFile) -> VerilogFile {
        let yosys;
        let (family, models) = match self {
            Family::Ecp5 => (
                frugal_hdl::leaves::ecp5::MACRO,
                concat!(
                    include_str!("../models/ecp5_multiplier.v"),
                    include_str!("../models/ecp5_alu.v"),
                    include_str!("../models/ecp5_carry.v"),
                    include_str!("../models/ecp5_block_ram.v")
                ),
            ),
            Family::Gowin => (frugal_hdl::leaves::gowin::MACRO, include_str!("../models/gowin.v")),
            Family::Ice40 => {
                let cells = frugal_synth::netlist::ice40_cells().unwrap_or_else(|error| panic!("{error}"));
                // What is unknown is zero here, as it is in the leaves' own models.
                yosys = format!("{ICE40_LINT}{}", cells.replace("16'bx", "16'd0"));
                (frugal_hdl::leaves::ice40::MACRO, yosys.as_str())
            }
        };
        // Outputs to neighbours lead nowhere, and unused pins are not named. The top module comes first.
        let text =
            format!("`define {family}\n/* verilator lint_off PINCONNECTEMPTY */\n/* verilator lint_off PINMISSING */\n{}\n{models}", file.text);
        VerilogFile { text, ..file }
    }
}

/// The same for what `text` makes of the block's Verilog, as another description of the same ports.
pub fn compare_native_and<B: Block>(
    text: impl Fn(VerilogFile) -> VerilogFile,
    factory: impl Fn() -> B,
    drive: impl FnMut(&mut B, &mut Random, u64),
    set_clock: impl Fn(&mut B, bool),
    cycles: u64,
    seed: u64,
) -> Result<VerilogFile, CompareError> {
    let block = factory();
    let file = text(emit(&block, "uut", "")?);
    compare(block, file, drive, set_clock, cycles, seed)
}

/// The same for the texts that leaves have for a family.
pub fn compare_native_and_family<B: Block>(
    family: Family,
    factory: impl Fn() -> B,
    drive: impl FnMut(&mut B, &mut Random, u64),
    set_clock: impl Fn(&mut B, bool),
    cycles: u64,
    seed: u64,
) -> Result<VerilogFile, CompareError> {
    compare_native_and(|file| family.of(file), factory, drive, set_clock, cycles, seed)
}

/// The same for the texts that leaves have for ECP5, with models of its cells.
pub fn compare_native_and_ecp5<B: Block>(
    factory: impl Fn() -> B,
    drive: impl FnMut(&mut B, &mut Random, u64),
    set_clock: impl Fn(&mut B, bool),
    cycles: u64,
    seed: u64,
) -> Result<VerilogFile, CompareError> {
    compare_native_and_family(Family::Ecp5, factory, drive, set_clock, cycles, seed)
}

fn compare<B: Block>(
    mut block: B,
    file: VerilogFile,
    mut drive: impl FnMut(&mut B, &mut Random, u64),
    set_clock: impl Fn(&mut B, bool),
    cycles: u64,
    seed: u64,
) -> Result<VerilogFile, CompareError> {
    // Up to here the compiler takes longer than the cycles: the engines' tests take half the time with models that are not optimised.
    const FEW_CYCLES: u64 = 25_000;
    let speed = if cycles <= FEW_CYCLES { Speed::Build } else { Speed::Run };
    let mut model = VerilatedModel::new(&file, &BuildOptions { speed, ..BuildOptions::default() })?;
    let ports = |direction: PortDirection| -> Vec<(String, PortHandle)> {
        let wanted =
            file.top().ports.iter().filter(|port| port.direction == direction && port.name != "clock");
        wanted.map(|port| (port.original_name.clone(), model.port(&port.name))).collect()
    };
    let (inputs, outputs) = (ports(PortDirection::Input), ports(PortDirection::Output));
    let has_clock = model.find_port("clock").is_some();
    let mut random = Random::new(seed);
    block.connect_all();
    settle(&mut block)?;
    for cycle in 0..cycles {
        drive(&mut block, &mut random, cycle);
        set_clock(&mut block, false);
        settle(&mut block)?;
        let before = values(&block);
        for (name, port) in &inputs {
            model.set_wide(*port, &before[name]);
        }
        if has_clock {
            // Combinational outputs before the edge.
            model.eval();
            check(cycle, seed, &outputs, &before, &model)?;
            set_clock(&mut block, true);
            settle(&mut block)?;
            model.cycle();
        } else {
            model.eval();
        }
        check(cycle, seed, &outputs, &values(&block), &model)?;
        if model.errors() > 0 {
            return Err(CompareError::Reported { cycle, seed, inputs: describe_values(&before) });
        }
    }
    Ok(file)
}

fn check(
    cycle: u64,
    seed: u64,
    outputs: &[(String, PortHandle)],
    native: &BTreeMap<String, Vec<u32>>,
    model: &VerilatedModel,
) -> Result<(), CompareError> {
    for (name, port) in outputs {
        let verilated = model.get_wide(*port);
        if native[name] != verilated {
            return Err(CompareError::Mismatch {
                cycle,
                seed,
                port: name.clone(),
                native: hexadecimal(&native[name]),
                verilated: hexadecimal(verilated),
                inputs: describe_values(native),
            });
        }
    }
    Ok(())
}

/// Runs the block's update until nothing changes.
pub fn settle<B: Block>(block: &mut B) -> Result<(), CompareError> {
    const MOST_PASSES: usize = 100;
    for _ in 0..MOST_PASSES {
        block.update_all();
        if !block.has_changed() {
            return Ok(());
        }
    }
    Err(CompareError::DoesNotSettle)
}

/// The value of every port of a block, by rust-hdl name, least significant word first.
pub fn values(block: &dyn Block) -> BTreeMap<String, Vec<u32>> {
    let mut reader = PortReader::default();
    block.accept("uut", &mut reader);
    reader.values
}

#[derive(Default)]
struct PortReader {
    depth: usize,
    namespaces: Vec<String>,
    values: BTreeMap<String, Vec<u32>>,
}

impl Probe for PortReader {
    fn visit_start_scope(&mut self, _name: &str, _node: &dyn Block) {
        self.depth += 1;
    }

    fn visit_end_scope(&mut self, _name: &str, _node: &dyn Block) {
        self.depth -= 1;
    }

    fn visit_start_namespace(&mut self, name: &str, _node: &dyn Block) {
        self.namespaces.push(name.into());
    }

    fn visit_end_namespace(&mut self, _name: &str, _node: &dyn Block) {
        self.namespaces.pop();
    }

    fn visit_atom(&mut self, name: &str, signal: &dyn Atom) {
        if self.depth != 1 || !signal.kind().is_parameter() {
            return;
        }
        let text = format!("{:x}", signal.verilog());
        let digits = text.split_once("'h").map_or("0", |(_, digits)| digits);
        let mut path = self.namespaces.clone();
        path.push(name.into());
        self.values.insert(path.join("$"), words(digits, signal.bits()));
    }
}

/// Hexadecimal digits as words.
fn words(digits: &str, width: usize) -> Vec<u32> {
    let mut words = vec![0; width.div_ceil(32)];
    for (place, digit) in digits.chars().rev().filter_map(|digit| digit.to_digit(16)).enumerate() {
        if let Some(word) = words.get_mut(place / 8) {
            *word |= digit << (4 * (place % 8));
        }
    }
    words
}

fn hexadecimal(words: &[u32]) -> String {
    let digits: String = words.iter().rev().map(|word| format!("{word:08x}")).collect();
    format!("{:0>1}", digits.trim_start_matches('0'))
}

fn describe_values(values: &BTreeMap<String, Vec<u32>>) -> String {
    let parts: Vec<String> =
        values.iter().map(|(name, value)| format!("{name}={}", hexadecimal(value))).collect();
    parts.join(" ")
}
