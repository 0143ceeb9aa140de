//! Commands, options and their help.

use clap::builder::{PossibleValue, PossibleValuesParser};
use clap::{Args, Parser, Subcommand, ValueEnum};
use frugal_graph::zoo;
use frugal_isa::Config;
use frugal_synth::boards::BoardFacts;
use frugal_synth::flow::block::Block;
use frugal_synth::flow::device::Device;
use std::path::PathBuf;

/// Frugal: an int8 neural-network accelerator written in Rust, simulated cycle by cycle.
///
/// A model is a full-integer int8 TensorFlow Lite file. It is compiled for one configuration of the accelerator and runs on
/// its Verilated RTL, or on the functional simulator, with the same bits.
#[derive(Parser)]
#[command(
    name = "frugal",
    version,
    max_term_width = 110,
    after_help = "\
Examples:
  frugal demo                                        classify handwritten digits on the simulated accelerator
  frugal run model.tflite --input image.npy          result, cycles, utilisation and bytes moved
  frugal run model.tflite --input image.npy --trace wave.fst
  frugal profile model.tflite --input image.npy --out profile
                                                     where the cycles went: a page, a trace, and a table
  frugal generate models/tiny-qwen3 --prompt KING: --tokens 40 --stream
                                                     a language model, whole on the accelerator
  frugal verilog --config base --out build           build/accelerator.v
  frugal model mobilenet_v1_025_96 --out m.tflite    a network of a published shape with random weights
  frugal bench gemm --m 512 --k 512 --n 512 --config large --bus-bits 128

The first run of a configuration compiles its simulator, which takes a while; later ones take it from the cache
(target/verilated, or FRUGAL_CACHE_DIR). Verilator comes from scripts/setup, or from FRUGAL_VERILATOR_ROOT.
Exit codes: 0 done, 1 failed, 2 wrong usage."
)]
pub struct Arguments {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Subcommand)]
pub enum Command {
    Verilog(Verilog),
    Synth(Synth),
    Bringup(Bringup),
    Run(Run),
    Generate(Generate),
    Quantise(Quantise),
    Perplexity(Perplexity),
    Logits(Logits),
    Profile(Profile),
    Compile(Compile),
    Disasm(Disasm),
    Model(Model),
    #[command(subcommand)]
    Bench(Bench),
    Demo(Demo),
}

/// The accelerator.
#[derive(Args)]
pub struct ConfigOptions {
    /// The accelerator: nano (8x8), base (16x8), large (16x16), huge (32x32), micro (8x4), pico (8x4 without what small
    /// boards have no room for), femto and atto (the same on one small core that does one thing at a time), or a .json file with the fields of a Config
    #[arg(long, value_name = "NAME|FILE.json", default_value = "base")]
    pub config: String,
    /// Data bits of the memory bus [default: those of the configuration; 64 in every preset]
    #[arg(long, value_name = "BITS", value_parser = ["64", "128"])]
    pub bus_bits: Option<String>,
}

/// The memory around a simulated accelerator.
#[derive(Args, Clone, Default)]
#[command(next_help_heading = "Simulation")]
pub struct SimulationArguments {
    /// Cycles from an address to the first data of a burst [default: 20]
    #[arg(long, value_name = "CYCLES", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub memory_latency: Option<u32>,
    /// Pause the channels of the memory bus at random, from this seed [default: no pauses]
    #[arg(long, value_name = "N")]
    pub stall_seed: Option<u64>,
    /// Give up after so many cycles, and print the state of the machine [default: from the program's size]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub max_cycles: Option<u64>,
}

/// What a program runs on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum DeviceKind {
    /// The RTL, cycle by cycle.
    Verilator,
    /// The functional simulator: the same bits, no cycles, nothing to install.
    Golden,
    /// A board on this port.
    Serial(&'static str),
    /// A whole board, simulated behind a pseudo-terminal.
    SimulatedBoard(&'static BoardFacts),
}

impl std::str::FromStr for DeviceKind {
    type Err = String;

    fn from_str(text: &str) -> Result<DeviceKind, String> {
        match (text, text.split_once(':')) {
            ("verilator", _) => Ok(DeviceKind::Verilator),
            ("golden", _) => Ok(DeviceKind::Golden),
            // An argument is there as long as the program runs.
            (_, Some(("serial", port))) if !port.is_empty() => Ok(DeviceKind::Serial(port.to_owned().leak())),
            (_, Some(("sim-board", name))) => {
                let names = || BoardFacts::ALL.iter().map(|board| board.name).collect::<Vec<_>>().join(", ");
                let board = BoardFacts::from_name(name);
                board.map(DeviceKind::SimulatedBoard).ok_or_else(|| format!("no board is called '{name}'; there are {}", names()))
            }
            _ => Err("devices are verilator (the RTL, cycle by cycle), golden (the functional simulator: the same bits, no cycles), \
                      serial:PORT (a board, such as serial:/dev/ttyUSB0) and sim-board:NAME (a whole board, simulated)"
                .to_owned()),
        }
    }
}

/// Write the accelerator as Verilog
///
/// The same configuration gives the same bytes every time.
#[derive(Args)]
#[command(after_help = "Example: frugal verilog --config large --bus-bits 128 --out build")]
pub struct Verilog {
    #[command(flatten)]
    pub config: ConfigOptions,
    /// Folder for accelerator.v; made if it is not there
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
}

/// Synthesise, place and route: resources and speed on a chip
///
/// Yosys and nextpnr come from `scripts/setup synth`. A block is placed out of context: what counts is the time between its own registers.
/// Exit code 1, and no bitstream, if the clock is slower than wanted. Each step's log, the Verilog and nextpnr's report are left in the folder.
#[derive(Args)]
#[command(
    group = clap::ArgGroup::new("what").required(true),
    after_help = "Examples:
  frugal synth --board ulx3s-85f --config nano --out build/ulx3s
  frugal synth --board tang-nano-20k --out build/tang
  frugal synth --block mac-array --config nano --out build/synth"
)]
pub struct Synth {
    /// A whole board, down to its bitstream
    #[arg(long, value_name = "NAME", group = "what", value_parser = board_names())]
    pub board: Option<String>,
    /// A part of the accelerator, or all of it without a board
    #[arg(long, value_name = "NAME", group = "what", value_parser = block_names())]
    pub block: Option<String>,
    /// The chip of a block
    #[arg(long, value_name = "NAME", default_value = "ecp5-85f", value_parser = device_names(), conflicts_with = "board")]
    pub device: String,
    /// The accelerator: a preset or a .json file, as elsewhere [default: the board's own; base for a block]
    #[arg(long, value_name = "NAME|FILE.json")]
    pub config: Option<String>,
    /// Data bits of the memory bus [default: those of the configuration; 64 in every preset]
    #[arg(long, value_name = "BITS", value_parser = ["64", "128"])]
    pub bus_bits: Option<String>,
    /// The clock to reach in MHz; at least the board's [default: the board's; 75 for a block]
    #[arg(long, value_name = "F", value_parser = parse_megahertz)]
    pub target_mhz: Option<f64>,
    /// What placement begins with
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub seed: u32,
    /// Folder for everything that comes out; made if it is not there
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Print one JSON object instead of text
    #[arg(long)]
    pub json: bool,
}

/// Look whether a board works, step by step
///
/// Identifies the board, tests its memory, runs each engine alone, and then a network; after each step it says what was measured, or what to look
/// at when the step failed. Exit code 1 at the first failure.
#[derive(Args)]
#[command(after_help = "Examples:
  frugal bringup --device serial:/dev/ttyUSB0 --config nano
  frugal bringup --device sim-board:ulx3s-85f --config nano")]
pub struct Bringup {
    /// The board: serial:PORT, or sim-board:NAME for a rehearsal
    #[arg(long, value_name = "DEVICE")]
    pub device: DeviceKind,
    #[command(flatten)]
    pub config: ConfigOptions,
    /// Bytes of the memory to test, from its start and its end
    #[arg(long, value_name = "BYTES", default_value_t = 65_536, value_parser = clap::value_parser!(u32).range(64..))]
    pub memory_bytes: u32,
    /// What the random bytes begin with
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// Print one JSON object instead of text
    #[arg(long)]
    pub json: bool,
}

fn block_names() -> PossibleValuesParser {
    Block::ALL.map(Block::name).into()
}

fn board_names() -> PossibleValuesParser {
    BoardFacts::ALL.iter().map(|board| board.name).collect::<Vec<_>>().into()
}

fn device_names() -> PossibleValuesParser {
    Device::ALL.map(|device| device.name).into()
}

/// Run a model and say what it cost
///
/// Prints the result, clock cycles, multiply-accumulates of the model, the share of the array's peak that they are, the
/// bytes that crossed the memory bus, and the performance counters. Where the cycles went, layer by layer: `frugal profile`.
#[derive(Args)]
#[command(after_help = "\
Inputs are NumPy arrays (numpy.save) in C order. A float32 or uint8 input of the model takes that type alone; an int8 one:
  int8     taken as they are
  uint8    the same scale with a zero point 128 higher: 128 is subtracted
  float32  real numbers: divided by the input's scale, rounded, its zero point added, clamped to int8
Outputs have the model's own types.

The shape is the input's own; with one more image dimension in front of it, or more than one image in it where the model
has a batch of 1, the images run one after another.

Examples:
  frugal run models/digits/digits.tflite --input models/digits/images.npy
  frugal run model.tflite --input x.npy --output y.npy --config large --memory-latency 100
  frugal run model.tflite --input x.npy --device golden --json")]
pub struct Run {
    /// Full-integer int8 TensorFlow Lite file; its inputs and outputs may be float32 or uint8
    #[arg(value_name = "MODEL.tflite")]
    pub model: PathBuf,
    /// Input of the model; once for each, in their order
    #[arg(long, value_name = "X.npy", required = true)]
    pub input: Vec<PathBuf>,
    /// Write the outputs; once for each output of the model
    #[arg(long, value_name = "Y.npy")]
    pub output: Vec<PathBuf>,
    /// What to run on: verilator (the RTL, cycle by cycle), golden (the functional simulator: the same bits, no cycles), serial:PORT (a board), or
    /// sim-board:NAME (a whole board, simulated)
    #[arg(long, value_name = "DEVICE", default_value = "verilator")]
    pub device: DeviceKind,
    #[command(flatten)]
    pub config: ConfigOptions,
    /// Print one JSON object instead of text
    #[arg(long)]
    pub json: bool,
    /// Write a waveform, to look at with GTKWave or Surfer; what a failed run wrote stays
    #[arg(long, value_name = "WAVE.fst|.vcd", help_heading = "Simulation")]
    pub trace: Option<PathBuf>,
    #[command(flatten)]
    pub simulation: SimulationArguments,
}

/// Generate text with a language model that runs whole on the accelerator
///
/// The directory is a Hugging Face checkpoint of a Qwen3, Qwen2, Qwen2.5 or Llama model. It is quantised, compiled into one
/// program, and started once: prompt, layers, head, choice of the next token and the caches of keys and values need no host.
#[derive(Args)]
#[command(after_help = "\
The next token is the likeliest one, which the accelerator finds itself. With --temperature or --top-k the host draws it from
the logits and starts the accelerator for each token. Several sequences share what is read from memory: give --prompt more than
once, or --batch.

Utilisation is the share of the array's peak: MACs of the model / (cycles x rows x cols), with 4-bit weights twice as many a
cycle. The share of the bandwidth limit is bytes moved / (cycles x bytes of the bus).

Examples:
  frugal generate models/tiny-qwen3 --prompt \"KING:\" --tokens 40 --stream
  frugal generate models/tiny-qwen3 --prompt \"KING:\" --tokens 20 --batch 16 --precision w4a8
  frugal generate models/tiny-qwen3 --prompt \"KING:\" --device golden --json
  frugal generate models/tiny-qwen3 --prompt \"KING:\" --temperature 0.8 --top-k 40 --seed 3
  frugal generate --synthetic qwen3-0.6b --config large")]
pub struct Generate {
    /// Folder with config.json, model.safetensors (or its shards and index) and tokenizer.json; or a file of `frugal quantise`
    #[arg(value_name = "DIR|FILE", required_unless_present = "synthetic")]
    pub model: Option<PathBuf>,
    /// Text to go on from; once for each sequence
    #[arg(long, value_name = "TEXT", required_unless_present = "synthetic")]
    pub prompt: Vec<String>,
    /// Instead of a model, one of this published shape with random weights: qwen3-0.6b or qwen2.5-0.5b. Runs a token of it, which
    /// must have the same logits everywhere, and says what it costs. Takes minutes and up to 8 GiB of memory
    #[arg(long, value_name = "NAME", conflicts_with_all = ["model", "prompt", "batch", "stream", "temperature", "top_k", "calibration"])]
    pub synthetic: Option<String>,
    /// Tokens to generate for each sequence
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub tokens: u32,
    /// Sequences; the prompts are taken in turn [default: one for each prompt]
    #[arg(long, value_name = "B", value_parser = clap::value_parser!(u32).range(1..=32))]
    pub batch: Option<u32>,
    /// Draw tokens at random: logits are divided by T [default with --top-k: 1]
    #[arg(long, value_name = "T", value_parser = parse_temperature)]
    pub temperature: Option<f64>,
    /// Draw among the K likeliest tokens
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u32).range(1..))]
    pub top_k: Option<u32>,
    /// What the random numbers begin with
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// Weights of 8 or of 4 bits; activations and caches have 8 [default: w8a8, or what a file has]
    #[arg(long, value_enum)]
    pub precision: Option<PrecisionKind>,
    /// Text from which the ranges of the activations are taken [default: corpus.txt in DIR, or a paragraph of English]
    #[arg(long, value_name = "FILE")]
    pub calibration: Option<PathBuf>,
    /// Print text as the hardware produces it; one sequence
    #[arg(long)]
    pub stream: bool,
    /// Print one JSON object instead of text
    #[arg(long, conflicts_with = "stream")]
    pub json: bool,
    /// Clock at which tokens a second are stated, in MHz [default: the simulated board's; 75 for others]
    #[arg(long, value_name = "F", value_parser = parse_megahertz)]
    pub clock_mhz: Option<f64>,
    /// What to run on: verilator (the RTL, cycle by cycle), golden (the functional simulator: the same bits, no cycles), serial:PORT (a board), or
    /// sim-board:NAME (a whole board, simulated)
    #[arg(long, value_name = "DEVICE", default_value = "verilator")]
    pub device: DeviceKind,
    #[command(flatten)]
    pub config: ConfigOptions,
    #[command(flatten)]
    pub simulation: SimulationArguments,
}

impl Generate {
    /// The clock at which tokens a second are stated, in MHz.
    pub fn stated_mhz(&self, config: &Config) -> f64 {
        self.clock_mhz.unwrap_or_else(|| match self.device {
            DeviceKind::SimulatedBoard(board) => f64::from(board.clock_khz(config)) / 1e3,
            _ => 75.0,
        })
    }
}

/// Quantise a language model, once and for all
///
/// Writes one file with integer weights, scales, sizes and the tokenizer. generate, perplexity and logits take it instead of the
/// folder, without calibrating again.
#[derive(Args)]
#[command(after_help = "\
Example:
  frugal quantise models/tiny-qwen3 --precision w4a8 --out tiny.frugal
  frugal generate tiny.frugal --prompt \"KING:\" --stream")]
pub struct Quantise {
    /// Folder with config.json, model.safetensors (or its shards and index) and tokenizer.json
    #[arg(value_name = "DIR")]
    pub model: PathBuf,
    /// The file
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// Weights of 8 or of 4 bits; activations and caches have 8
    #[arg(long, value_enum, default_value = "w8a8")]
    pub precision: PrecisionKind,
    /// Text from which the ranges of the activations are taken [default: corpus.txt in DIR, or a paragraph of English]
    #[arg(long, value_name = "FILE")]
    pub calibration: Option<PathBuf>,
    /// Print one JSON object instead of text
    #[arg(long)]
    pub json: bool,
}

/// Say what quantisation costs a language model
///
/// Runs windows of a text through the float32 model and through the integer model that the accelerator computes, and prints
/// perplexities, their difference in nats a token, and the Kullback-Leibler divergence of the integer model's predictions.
#[derive(Args)]
#[command(after_help = "\
Without --device the integer model runs in plain loops, with the bits of the accelerator; with it, the accelerator computes.

Examples:
  frugal perplexity models/tiny-qwen3 --ids models/tiny-qwen3/validation_ids.npy --precision w4a8
  frugal perplexity models/tiny-qwen3 --text story.txt --windows 3 --device verilator
  frugal perplexity tiny.frugal --text story.txt       the integer model alone")]
pub struct Perplexity {
    /// Folder with config.json, model.safetensors (or its shards and index) and tokenizer.json; or a file of `frugal quantise`
    #[arg(value_name = "DIR|FILE")]
    pub model: PathBuf,
    /// Token ids: a NumPy array of integers
    #[arg(long, value_name = "FILE.npy", required_unless_present = "text", conflicts_with = "text")]
    pub ids: Option<PathBuf>,
    /// The same as text
    #[arg(long, value_name = "FILE")]
    pub text: Option<PathBuf>,
    /// Only so many windows
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub windows: Option<u32>,
    /// Tokens of a window [default: 256, or the model's context if that is shorter]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub window: Option<u32>,
    #[command(flatten)]
    pub quantisation: QuantisationArguments,
    /// Print one JSON object instead of text
    #[arg(long)]
    pub json: bool,
}

/// Write a language model's logits for every position of a text
#[derive(Args)]
#[command(
    after_help = "Example: frugal logits models/tiny-qwen3 --ids ids.npy --output logits.npy --device verilator"
)]
pub struct Logits {
    /// Folder with config.json, model.safetensors (or its shards and index) and tokenizer.json; or a file of `frugal quantise`
    #[arg(value_name = "DIR|FILE")]
    pub model: PathBuf,
    /// Token ids: a NumPy array of integers
    #[arg(long, value_name = "FILE.npy")]
    pub ids: PathBuf,
    /// A float32 array of positions x vocabulary
    #[arg(long, value_name = "OUT.npy")]
    pub output: PathBuf,
    /// Those of the float32 model
    #[arg(long, conflicts_with_all = ["device", "precision"])]
    pub float: bool,
    #[command(flatten)]
    pub quantisation: QuantisationArguments,
}

/// How a model becomes integers, and what computes with them.
#[derive(Args)]
pub struct QuantisationArguments {
    /// Weights of 8 or of 4 bits; activations and caches have 8 [default: w8a8, or what a file has]
    #[arg(long, value_enum)]
    pub precision: Option<PrecisionKind>,
    /// Text from which the ranges of the activations are taken [default: corpus.txt in DIR, or a paragraph of English]
    #[arg(long, value_name = "FILE")]
    pub calibration: Option<PathBuf>,
    /// What to run on, as with `frugal run` [default: the integer model in plain loops, which has the same bits]
    #[arg(long, value_name = "DEVICE")]
    pub device: Option<DeviceKind>,
    #[command(flatten)]
    pub config: ConfigOptions,
    #[command(flatten)]
    pub simulation: SimulationArguments,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum PrecisionKind {
    /// 8-bit weights, a scale for each channel
    W8a8,
    /// 4-bit weights, a scale for each 32 of a channel
    W4a8,
}

impl PrecisionKind {
    pub fn name(self) -> &'static str {
        match self {
            PrecisionKind::W8a8 => "w8a8",
            PrecisionKind::W4a8 => "w4a8",
        }
    }
}

/// Show where the cycles of a run went
///
/// Runs one image on the Verilated accelerator and records when each command was at work.
/// Every cycle is then given to one layer and to one of these reasons, as the MAC array sees it:
///
///   computing  the array is given a step; multipliers that channels do not fill are idle
///   memory     it waits for a load: weights or activations from memory
///   vector     it waits for the vector unit: additions, pooling, gathering of windows
///   storing    it waits for results to be written to memory
///   fill       commands are fetched and begun, pipelines fill and drain,
///              the output stage holds the array back
///
/// Prints a line for each layer, the biggest losses with what could be done about them, and how
/// far the compiler's cycle model is off. Written into the folder:
///
///   report.html   the same as a page with plots, for any browser; loads nothing from elsewhere
///   trace.json    every command on a time line, for https://ui.perfetto.dev (1 cycle is 1 us)
///   profile.json  all numbers, as --json prints them; those of single commands: trace.json
#[derive(Args)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Utilisation is the share of the array's peak: MACs of the layer / (cycles x rows x cols).
The memory is part of what is measured: try --memory-latency 100, or --bus-bits 128.

Examples:
  frugal profile models/digits/digits.tflite --input models/digits/images.npy --out build/profile
  frugal profile model.tflite --input x.npy --out build/slow --memory-latency 100
  frugal profile model.tflite --input x.npy --out build/profile --json | jq '.layers[].cycles'
  frugal profile model.tflite --estimate --config large --out build/guess

--estimate needs no input, no Verilator, and no time."
)]
pub struct Profile {
    /// Full-integer int8 TensorFlow Lite file; its inputs and outputs may be float32 or uint8
    #[arg(value_name = "MODEL.tflite")]
    pub model: PathBuf,
    /// Input of the model, as for `frugal run`; once for each, in their order. Of several images the first is profiled
    #[arg(long, value_name = "X.npy", required_unless_present = "estimate")]
    pub input: Vec<PathBuf>,
    /// Folder for report.html, trace.json and profile.json; made if it is not there. Files of these names are replaced only if
    /// this command wrote them
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    #[command(flatten)]
    pub config: ConfigOptions,
    /// Clock at which inferences a second are stated, in MHz
    #[arg(long, value_name = "F", default_value = "75", value_parser = parse_megahertz)]
    pub clock_mhz: f64,
    /// Simulate nothing: show what the compiler's cycle model expects, which is some percent off, and more with a
    /// --memory-latency in the hundreds
    #[arg(long)]
    pub estimate: bool,
    /// Print what is in profile.json instead of text
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub simulation: SimulationArguments,
}

fn parse_megahertz(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(megahertz) if (1e-3..=1e6).contains(&megahertz) => Ok(megahertz),
        _ => Err("a clock is a number of MHz, from 0.001 to 1000000".to_owned()),
    }
}

fn parse_temperature(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(temperature) if (0.0..=100.0).contains(&temperature) => Ok(temperature),
        _ => Err("a temperature is a number from 0 (always the likeliest token) to 100".to_owned()),
    }
}

/// Compile a model into a program
#[derive(Args)]
#[command(after_help = "Example: frugal compile models/digits/digits.tflite --config nano --out digits.bin")]
pub struct Compile {
    /// Full-integer int8 TensorFlow Lite file; its inputs and outputs may be float32 or uint8
    #[arg(value_name = "MODEL.tflite")]
    pub model: PathBuf,
    #[command(flatten)]
    pub config: ConfigOptions,
    /// The program
    #[arg(long, value_name = "PROG.bin")]
    pub out: PathBuf,
}

/// List the commands of a program
///
/// One line a command: index, layer, disassembly. Fields that are zero (counts that are one) are left out.
#[derive(Args)]
#[command(after_help = "Example: frugal disasm digits.bin | less")]
pub struct Disasm {
    /// What `frugal compile` wrote
    #[arg(value_name = "PROG.bin")]
    pub program: PathBuf,
}

/// Measure the simulated accelerator
#[derive(Subcommand)]
pub enum Bench {
    Gemm(BenchGemm),
    Network(BenchNetwork),
    Generation(BenchGeneration),
    All(BenchAll),
    Simulation(BenchSimulation),
}

/// Multiply int8 matrices, (m x k) by (k x n)
///
/// Operands are in memory and results go back to memory, every byte compared with a plain product; different results are a
/// failure.
#[derive(Args)]
#[command(after_help = "\
Examples:
  frugal bench gemm --m 512 --k 512 --n 512 --config large --bus-bits 128
  frugal bench gemm --m 64 --k 64 --n 64 --repeat 16
  frugal bench gemm --m 1 --k 512 --n 512 --resident --config large")]
pub struct BenchGemm {
    /// Rows of the left matrix and of the result
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=65536))]
    pub m: u32,
    /// Columns of the left matrix, rows of the right one
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=65536))]
    pub k: u32,
    /// Columns of the right matrix and of the result
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=65536))]
    pub n: u32,
    /// Products in one program, back to back
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=65536))]
    pub repeat: u32,
    /// The right matrix is on the chip already; its load is not measured
    #[arg(long)]
    pub resident: bool,
    #[arg(long, value_name = "DEVICE", default_value = "verilator", hide = true)]
    pub device: DeviceKind,
    #[command(flatten)]
    pub config: ConfigOptions,
    #[command(flatten)]
    pub report: BenchReport,
    #[command(flatten)]
    pub simulation: SimulationArguments,
}

/// Measure the simulator: kHz of simulated clock
///
/// Runs a matrix product on the whole accelerator and the same number of cycles of its MAC array alone, both Verilated in the
/// same way and in turn; the best of five rounds counts. Absolute speed is the computer's; the ratio says what everything around the multipliers costs.
#[derive(Args)]
#[command(mut_arg("config", |argument| argument.default_value("large")))]
pub struct BenchSimulation {
    #[command(flatten)]
    pub config: ConfigOptions,
    /// Rows, columns and depth of the matrix product
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u32).range(16..=4096))]
    pub size: u32,
    #[command(flatten)]
    pub report: BenchReport,
    #[command(flatten)]
    pub simulation: SimulationArguments,
}

#[derive(Args)]
pub struct BenchReport {
    /// Print one JSON object instead of text
    #[arg(long)]
    pub json: bool,
    /// Append a row to docs/benchmarks.tsv of the checkout around the current folder
    #[arg(long)]
    pub record: bool,
}

/// Classify the test images of models/digits, and show them
#[derive(Args)]
pub struct Demo {
    /// Folder with digits.tflite, images.npy and labels.npy [default: models/digits of the checkout]
    #[arg(long, value_name = "DIR")]
    pub folder: Option<PathBuf>,
    /// Classify only so many images
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub images: Option<u32>,
    /// What to run on: verilator (the RTL, cycle by cycle), golden (the functional simulator: the same bits, no cycles), serial:PORT (a board), or
    /// sim-board:NAME (a whole board, simulated)
    #[arg(long, value_name = "DEVICE", default_value = "verilator")]
    pub device: DeviceKind,
    #[command(flatten)]
    pub config: ConfigOptions,
    #[command(flatten)]
    pub simulation: SimulationArguments,
}

/// Write a network of a published shape with random weights
///
/// It takes as many cycles as the real one, and gives answers that mean nothing. The same name and seed give the same bytes
/// every time.
#[derive(Args)]
#[command(after_help = "\
Examples:
  frugal model --list
  frugal model mobilenet_v1_025_96 --out m.tflite --input-out x.npy
  frugal run m.tflite --input x.npy")]
pub struct Model {
    /// The network
    #[arg(value_name = "NAME", required_unless_present = "list", value_parser = network_names())]
    pub name: Option<String>,
    /// List the networks, and do nothing else
    #[arg(long, conflicts_with_all = ["name", "out", "input_out"])]
    pub list: bool,
    /// The TensorFlow Lite file
    #[arg(long, value_name = "FILE.tflite", required_unless_present = "list")]
    pub out: Option<PathBuf>,
    /// Write a random input for it
    #[arg(long, value_name = "X.npy")]
    pub input_out: Option<PathBuf>,
    /// What the random numbers begin with
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
}

fn network_names() -> PossibleValuesParser {
    zoo::NETWORKS
        .iter()
        .map(|entry| PossibleValue::new(entry.name).help(entry.description))
        .collect::<Vec<_>>()
        .into()
}

/// Run a network on a random input, compared with the reference executor
///
/// Prints cycles, utilisation, bytes moved, the share of what the memory bus alone would allow, and what the compiler's cycle
/// model predicts. Different outputs are a failure.
#[derive(Args)]
#[command(after_help = "\
The bus limit: constants once, inputs and outputs, in bytes, over bytes a cycle; a layer whose weights are used only once
cannot be faster.

Examples:
  frugal bench network mobilenet_v1_025_96
  frugal bench network model.tflite --config large --bus-bits 128")]
pub struct BenchNetwork {
    /// A network of `frugal model --list`, or a full-integer int8 TensorFlow Lite file
    #[arg(value_name = "NAME|FILE.tflite")]
    pub network: String,
    /// What the random numbers begin with
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    #[arg(long, value_name = "DEVICE", default_value = "verilator", hide = true)]
    pub device: DeviceKind,
    #[command(flatten)]
    pub config: ConfigOptions,
    #[command(flatten)]
    pub report: BenchReport,
    #[command(flatten)]
    pub simulation: SimulationArguments,
}

/// Measure generation of text against the number of sequences that share the weights
///
/// Prompts and the tokens behind them are told apart; the numbers are those of the tokens behind. Ids that are not those of the
/// functional simulator are a failure.
#[derive(Args)]
#[command(after_help = "\
Examples:
  frugal bench generation models/tiny-qwen3
  frugal bench generation models/tiny-qwen3 --batch 16 --precision w4a8 --tokens 32
  frugal bench generation models/tiny-qwen3 --precision w8a8,w4a8 --plot docs/batch.svg --record")]
pub struct BenchGeneration {
    /// Folder with config.json, model.safetensors (or its shards and index) and tokenizer.json; or a file of `frugal quantise`
    #[arg(value_name = "DIR|FILE")]
    pub model: PathBuf,
    /// Sequences at once
    #[arg(long, value_name = "B,...", value_delimiter = ',', default_value = "1,2,4,8,16,32", value_parser = clap::value_parser!(u32).range(1..=32))]
    pub batch: Vec<u32>,
    /// Weights of 8 or of 4 bits, or both in turn
    #[arg(long, value_enum, value_delimiter = ',', default_value = "w8a8")]
    pub precision: Vec<PrecisionKind>,
    /// Tokens behind each prompt; the first is the prompt's own
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = clap::value_parser!(u32).range(2..=1_000_000))]
    pub tokens: u32,
    /// Text that every sequence goes on from
    #[arg(long, value_name = "TEXT", default_value = "KING:")]
    pub prompt: String,
    /// Write the curves as a picture
    #[arg(long, value_name = "FILE.svg")]
    pub plot: Option<PathBuf>,
    #[arg(long, value_name = "DEVICE", default_value = "verilator", hide = true)]
    pub device: DeviceKind,
    #[command(flatten)]
    pub config: ConfigOptions,
    #[command(flatten)]
    pub report: BenchReport,
    #[command(flatten)]
    pub simulation: SimulationArguments,
}

/// Run the project's table of work, and compare with its targets
///
/// A missed target is no failure; a wrong result is.
#[derive(Args)]
#[command(after_help = "Example: frugal bench all --record")]
pub struct BenchAll {
    /// Folder with resnet8/resnet8.tflite, kws/kws.tflite and wakeword/wakeword.tflite; for a file that is not there, a network
    /// of the same shape is made [default: ../shared/models, seen from this folder or one above it]
    #[arg(long, value_name = "DIR")]
    pub models: Option<PathBuf>,
    /// Only the work whose name contains this
    #[arg(long, value_name = "TEXT")]
    pub only: Option<String>,
    #[arg(long, value_name = "DEVICE", default_value = "verilator", hide = true)]
    pub device: DeviceKind,
    #[command(flatten)]
    pub report: BenchReport,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_a_second_are_stated_at_the_boards_clock_unless_told_otherwise() {
        let stated = |more: &[&str], preset: &str| {
            let words = ["frugal", "generate", "model", "--prompt", "a"].iter().chain(more);
            let Command::Generate(arguments) = Arguments::try_parse_from(words).expect("arguments").command
            else {
                panic!("another command")
            };
            arguments.stated_mhz(&Config::preset(preset).expect("a preset"))
        };
        let board = ["--device", "sim-board:ulx3s-85f"];
        assert_eq!(stated(&board, "nano"), 80.0);
        assert_eq!(stated(&board, "base"), 75.0);
        assert_eq!(stated(&[], "nano"), 75.0);
        assert_eq!(stated(&[&board[..], &["--clock-mhz", "60"]].concat(), "nano"), 60.0);
    }
}
