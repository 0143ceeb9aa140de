//! The device to run on, with progress on the terminal.

use crate::arguments::{DeviceKind, SimulationArguments};
use crate::{text, UsageError};
use anyhow::Context;
use frugal_device::link::serial::SerialLine;
use frugal_device::link::{BoardDevice, Link, LinkOptions};
use frugal_device::{Device, GoldenDevice, Progress, RunOptions, RunResult};
use frugal_hdl::board::BoardOptions;
use frugal_isa::link::BAUD;
use frugal_isa::{Config, Program};
use frugal_synth::boards::BoardFacts;
use frugal_testbench::accelerator::{verilated_device, VerilatedDevice};
use frugal_testbench::axi::Stalls;
#[cfg(target_os = "linux")]
use frugal_testbench::board::SimulatedBoard;
#[cfg(target_os = "linux")]
use frugal_testbench::compare::Family;
use frugal_testbench::device::{Recording, SimulationOptions};
#[cfg(target_os = "linux")]
use frugal_testbench::pty::BoardOnTerminal;
use indicatif::{ProgressBar, ProgressStyle};
use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::time::{Duration, Instant};

/// A device and how to run on it.
pub struct Runner {
    device: Kind,
    max_cycles: Option<u64>,
}

enum Kind {
    Golden(Box<GoldenDevice>),
    Verilated(Box<VerilatedDevice>),
    Board(Box<Board>),
}

impl Kind {
    fn device(&mut self) -> &mut dyn Device {
        match self {
            Kind::Golden(device) => device.as_mut(),
            Kind::Verilated(device) => device.as_mut(),
            Kind::Board(board) => &mut board.device,
        }
    }
}

/// A board, and the simulation behind it if it is simulated.
pub struct Board {
    pub device: BoardDevice<SerialLine>,
    #[cfg(target_os = "linux")]
    _simulation: Option<BoardOnTerminal>,
}

/// Cycles of a bit on the line of a simulated board: as fast as it can be, for what is simulated there is not the line.
const SIMULATED_BIT_CYCLES: usize = 4;

impl Board {
    /// Opens the board that `kind` names; the first time, the simulator of a simulated one is compiled.
    pub fn open(kind: DeviceKind, config: &Config) -> anyhow::Result<Board> {
        match kind {
            DeviceKind::Serial(port) => Board::on_port(port, config),
            DeviceKind::SimulatedBoard(facts) => Board::simulated(facts, config),
            DeviceKind::Verilator | DeviceKind::Golden => {
                let message = format!("{} is no board: take serial:PORT or sim-board:NAME", kind.name());
                Err(UsageError(message).into())
            }
        }
    }

    fn on_port(port: &str, config: &Config) -> anyhow::Result<Board> {
        let line = SerialLine::open(port, BAUD)?;
        let device = BoardDevice::new(Link::open(line, LinkOptions::default())?, config, None)?;
        Ok(Board {
            device,
            #[cfg(target_os = "linux")]
            _simulation: None,
        })
    }

    #[cfg(target_os = "linux")]
    fn simulated(facts: &BoardFacts, config: &Config) -> anyhow::Result<Board> {
        let message =
            format!("building the simulator of {} with '{}' (the first time only)", facts.name, config.name);
        let spinner = Spinner::start(&message);
        // With the chip's own cells where their models cost little time; the carry chains of ECP5 do not.
        let family = match facts.device().family {
            frugal_synth::flow::device::Family::Gowin => Some(Family::Gowin),
            _ => None,
        };
        let options = BoardOptions { bit_cycles: SIMULATED_BIT_CYCLES, ..facts.options(config) };
        let board = SimulatedBoard::of_family(&options, family)?;
        drop(spinner);
        let build = board.build();
        let simulation =
            BoardOnTerminal::start(board).context("no pseudo-terminal for the simulated board")?;
        let line = SerialLine::open(simulation.path(), BAUD)?;
        // Its clock is a hundred times slower than a real one.
        let options =
            LinkOptions { silence: Duration::from_secs(20), wait_cycles: 500_000, ..LinkOptions::default() };
        let device = BoardDevice::new(Link::open(line, options)?, config, Some(build))?;
        Ok(Board { device, _simulation: Some(simulation) })
    }

    #[cfg(not(target_os = "linux"))]
    fn simulated(_: &BoardFacts, _: &Config) -> anyhow::Result<Board> {
        Err(UsageError("simulated boards need Linux's pseudo-terminals".into()).into())
    }
}

impl DeviceKind {
    pub fn name(self) -> &'static str {
        match self {
            DeviceKind::Verilator => "verilator",
            DeviceKind::Golden => "golden",
            DeviceKind::Serial(_) => "serial",
            DeviceKind::SimulatedBoard(_) => "sim-board",
        }
    }
}

impl SimulationArguments {
    const ALL: [&'static str; 3] = ["--memory-latency", "--stall-seed", "--max-cycles"];

    pub fn options(&self) -> SimulationOptions {
        let mut options =
            SimulationOptions { stalls: self.stall_seed.map(Stalls::new), ..Default::default() };
        if let Some(cycles) = self.memory_latency {
            options.latency_cycles = cycles;
            // A machine that waits for memory is not stuck.
            options.quiet_cycles = options.quiet_cycles.max(u64::from(cycles) * 1000);
        }
        options
    }

    /// Says which options do nothing without a simulation in cycles.
    pub fn note_unused(&self, unused: &[&str], why: &str) {
        for option in self.used().into_iter().filter(|option| unused.contains(option)) {
            let _ = writeln!(io::stderr(), "note: {option} does nothing {why}");
        }
    }

    /// The options in use that only a simulation in cycles has.
    fn used(&self) -> Vec<&'static str> {
        let used = [self.memory_latency.is_some(), self.stall_seed.is_some(), self.max_cycles.is_some()];
        SimulationArguments::ALL
            .into_iter()
            .zip(used)
            .filter(|(_, used)| *used)
            .map(|(name, _)| name)
            .collect()
    }
}

/// Opens the device; the first time, the simulator of a configuration is compiled.
pub fn open(
    kind: DeviceKind,
    config: &Config,
    simulation: &SimulationArguments,
    trace: Option<&Path>,
) -> anyhow::Result<Runner> {
    let device = match kind {
        DeviceKind::Golden => {
            simulation.note_unused(&SimulationArguments::ALL, "on the golden device, which has no cycles");
            Kind::Golden(Box::new(GoldenDevice::new(config)?))
        }
        DeviceKind::Verilator => {
            let message = format!("building the simulator of '{}' (the first time only)", config.name);
            let _spinner = Spinner::start(&message);
            Kind::Verilated(Box::new(verilated_device(config, &simulation.options(), trace)?))
        }
        DeviceKind::Serial(_) | DeviceKind::SimulatedBoard(_) => {
            simulation
                .note_unused(&SimulationArguments::ALL[..2], "on a board, which has a memory of its own");
            Kind::Board(Box::new(Board::open(kind, config)?))
        }
    };
    Ok(Runner { device, max_cycles: simulation.max_cycles })
}

/// The functional simulator, to compare with.
pub fn open_golden(config: &Config) -> anyhow::Result<Runner> {
    Ok(Runner { device: Kind::Golden(Box::new(GoldenDevice::new(config)?)), max_cycles: None })
}

impl Runner {
    /// Runs a program; `label` is what the progress bar says.
    pub fn run(&mut self, program: &Program, inputs: &[Vec<u8>], label: &str) -> anyhow::Result<RunResult> {
        let bar = Bar::start(label);
        let show = |progress: Progress| bar.show(progress);
        let options = RunOptions {
            max_cycles: self.max_cycles,
            keep_workspace: false,
            watch: None,
            progress: bar.bar.is_some().then_some(&show as &dyn Fn(Progress)),
        };
        let device = self.device.device();
        let result = device.run(program, inputs, &options);
        drop(bar);
        result.with_context(|| format!("{} on '{}'", program.name, device.config().name))
    }

    /// Runs a program, and shows its workspace now and then; the terminal is the watcher's.
    pub fn run_watched(
        &mut self,
        program: &Program,
        inputs: &[Vec<u8>],
        watch: &dyn Fn(&[u8]),
    ) -> anyhow::Result<RunResult> {
        let options = RunOptions { max_cycles: self.max_cycles, watch: Some(watch), ..RunOptions::default() };
        let device = self.device.device();
        let result = device.run(program, inputs, &options);
        result.with_context(|| format!("{} on '{}'", program.name, device.config().name))
    }

    /// Runs a program on the Verilated accelerator and records when each command was at work; `None` on other devices.
    pub fn run_recorded(
        &mut self,
        program: &Program,
        inputs: &[Vec<u8>],
        label: &str,
    ) -> anyhow::Result<(RunResult, Option<Recording>)> {
        if let Kind::Verilated(device) = &mut self.device {
            device.record(true);
        }
        let result = self.run(program, inputs, label)?;
        let recording = match &mut self.device {
            Kind::Verilated(device) => device.take_recording(),
            Kind::Golden(_) | Kind::Board(_) => None,
        };
        Ok((result, recording))
    }
}

/// How far a run is, on standard error, if that is a terminal.
struct Bar {
    bar: Option<ProgressBar>,
    start: Instant,
    label: String,
}

impl Bar {
    fn start(label: &str) -> Bar {
        let bar = io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template("{msg} {wide_bar} {percent} % ");
            let bar = ProgressBar::new(1);
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar
        });
        Bar { bar, start: Instant::now(), label: label.to_owned() }
    }

    fn show(&self, progress: Progress) {
        let Some(bar) = &self.bar else { return };
        // Short runs need no bar.
        if self.start.elapsed() < Duration::from_millis(500) {
            return;
        }
        let cycles = progress.cycles.map_or(String::new(), |cycles| {
            let speed = text::kilohertz(cycles, self.start.elapsed().as_secs_f64());
            format!(", {} cycles, {speed:.0} kHz", text::thousands(cycles))
        });
        bar.set_message(format!("{}{cycles}", self.label));
        bar.set_length(progress.total_commands.max(1));
        bar.set_position(progress.commands);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// Says that something takes its time, on standard error, if that is a terminal.
pub struct Spinner(Option<ProgressBar>);

impl Spinner {
    pub fn start(message: &str) -> Spinner {
        Spinner(io::stderr().is_terminal().then(|| {
            let spinner = ProgressBar::new_spinner().with_message(message.to_owned());
            spinner.enable_steady_tick(Duration::from_millis(120));
            spinner
        }))
    }
}

impl Drop for Spinner {
    fn drop(&mut self) {
        if let Some(spinner) = &self.0 {
            spinner.finish_and_clear();
        }
    }
}
