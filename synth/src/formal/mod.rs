//! Proofs about single blocks, with SymbiYosys and the solver Z3, or with MiniSat, which Yosys brings.
//!
//! ```text
//! block's Verilog (emitter) --+--> SymbiYosys or Yosys --> proved | a counterexample | induction does not close
//! harness (synth/formal) -----+
//! ```
//! A harness holds what its block may assume of its surroundings, what it promises, and states that must be reachable, so that the assumptions
//! leave something to prove. Every proof is run on the block, once more for the reachable states, and once for each of its faults: changes of the
//! block's Verilog that the proof must notice.
//!
//! A harness looks into its block with wires called `\in.` and the name after flattening, such as `\in.dut.count `: the two are then connected. A name
//! that is not in the block is an error. What only makes an induction close is asserted under `INDUCTION`, so that faults are found by promises.

mod proofs;

pub use proofs::PROOFS;

use crate::flow::step::{write, Finished, Step, LOG};
use crate::flow::tools::Tool;
use crate::flow::FlowError;
use frugal_hdl::emit::{EmitError, VerilogFile};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// How far a proof goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Every run, by induction over this many cycles.
    Induction(u32),
    /// Every run of this many cycles from the reset state.
    Bounded(u32),
    /// Every run of this many cycles from any state of the block's registers that the harness allows.
    AnyState(u32),
}

impl Reach {
    /// In words, with the number of cycles.
    pub fn describe(self) -> String {
        match self {
            Reach::Induction(depth) => format!("induction over {depth} cycles"),
            Reach::Bounded(depth) => format!("{depth} cycles from reset"),
            Reach::AnyState(depth) => format!("{depth} cycles from any state"),
        }
    }
}

/// What looks for counterexamples. States to be covered are Z3's in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Solver {
    /// Words; closes inductions.
    Z3,
    /// Single bits; goes through many cycles of a small machine much faster. It does not do inductions.
    MiniSat,
}

impl Solver {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Solver::Z3 => "Z3",
            Solver::MiniSat => "MiniSat",
        }
    }
}

/// A deliberate fault.
#[derive(Clone, Copy, Debug)]
pub struct Fault {
    /// The module, or the beginning of its name, and what is replaced in it: a text that is there once.
    pub module: &'static str,
    pub text: &'static str,
    pub replacement: &'static str,
    /// Cycles after which it must have been noticed.
    pub depth: u32,
}

/// Something to prove about a block.
#[derive(Clone, Copy, Debug)]
pub struct Proof {
    pub name: &'static str,
    /// In plain words.
    pub property: &'static str,
    pub block: fn() -> Result<VerilogFile, EmitError>,
    /// A file of `synth/formal` and its text.
    pub harness: (&'static str, &'static str),
    /// Sizes that the harness is told.
    pub defines: &'static [(&'static str, u32)],
    pub reach: Reach,
    pub solver: Solver,
    /// Cycles in which every state to be covered is reached.
    pub cover_depth: u32,
    pub faults: &'static [Fault],
    /// Takes too long for the tests.
    pub is_slow: bool,
}

/// What one run is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Run {
    /// The block keeps its promises.
    Promises,
    /// The states to be covered are reachable.
    Covers,
    /// The fault with this number is noticed.
    Fault(usize),
}

/// What came out of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Everything asserted holds; everything to be covered was reached.
    Holds,
    /// Something asserted does not hold, or a state is not reached: where in the harness, and a waveform if there is one.
    Fails { what: String, trace: Option<PathBuf> },
    /// No counterexample, but induction does not close.
    Open,
}

#[derive(Clone, Debug)]
pub struct Outcome {
    pub verdict: Verdict,
    /// Of the run itself; one that was taken from the cache keeps its time.
    pub seconds: u32,
    pub reused: bool,
}

/// Why nothing came out.
#[derive(Debug, thiserror::Error)]
pub enum FormalError {
    #[error(transparent)]
    Emit(#[from] EmitError),
    #[error(transparent)]
    Flow(#[from] FlowError),
    #[error("fault {number} of proof '{proof}': '{text}' is {found} times in the block's Verilog, not once")]
    FaultText { proof: &'static str, number: usize, text: &'static str, found: usize },
    #[error("{} does not say how the proof ended: {reason}", log.display())]
    Report { log: PathBuf, reason: String },
}

/// The waveform of what MiniSat found.
const TRACE: &str = "trace.vcd";

/// Seconds after which a run is given up.
const TIMEOUT_SECONDS: u32 = 1800;

impl Proof {
    /// The proof with this name.
    pub fn from_name(name: &str) -> Option<&'static Proof> {
        PROOFS.iter().find(|proof| proof.name == name)
    }

    /// All of its runs.
    pub fn runs(&self) -> Vec<Run> {
        let faults = (0..self.faults.len()).map(Run::Fault);
        [Run::Promises, Run::Covers].into_iter().chain(faults).collect()
    }

    /// Does one run; its log goes to the folder `out`, which exists.
    pub fn run(&self, run: Run, out: &Path) -> Result<Outcome, FormalError> {
        let mut block = (self.block)()?;
        let name = match run {
            Run::Promises => format!("{}.promises", self.name),
            Run::Covers => format!("{}.covers", self.name),
            Run::Fault(number) => {
                block.text = self.faults[number].apply(self.name, number, &block.text)?;
                format!("{}.fault{number}", self.name)
            }
        };
        let log = out.join(format!("{name}.log"));
        // For whoever wants to run it by hand.
        let keep = |ending: &str, text: &str| write(&out.join(format!("{name}.{ending}")), text.as_bytes());
        keep("block.v", &block.text)?;
        let inputs = vec![("block.v", block.text.as_bytes()), ("harness.v", self.harness.1.as_bytes())];
        if self.solver == Solver::MiniSat && run != Run::Covers {
            let script = self.yosys_script(run);
            keep("ys", &script)?;
            return minisat(inputs, &script, self.harness.0, &log);
        }
        let script = self.symbiyosys_script(run);
        keep("sby", &script)?;
        symbiyosys(inputs, &script, self.harness.0, &log)
    }

    /// What a run does, in SymbiYosys' words, over how many cycles.
    fn mode(&self, run: Run) -> (&'static str, u32) {
        match (run, self.reach) {
            (Run::Covers, _) => ("cover", self.cover_depth),
            (Run::Fault(number), _) => ("bmc", self.faults[number].depth),
            (Run::Promises, Reach::Induction(depth)) => ("prove", depth),
            (Run::Promises, Reach::Bounded(depth) | Reach::AnyState(depth)) => ("bmc", depth),
        }
    }

    /// Yosys' commands that read block and harness and connect the two.
    fn reading(&self, run: Run) -> String {
        let mut defines = self.defines.to_vec();
        if self.mode(run).0 == "prove" {
            defines.push(("INDUCTION", 1));
        }
        let connections: String = inside(self.harness.1, &defines)
            .iter()
            .map(|name| format!("connect -nomap -nounset -set \\in.{name} \\{name}\n"))
            .collect();
        let defines: String = defines.iter().map(|(name, value)| format!(" -D {name}={value}")).collect();
        let forget = match self.reach {
            Reach::AnyState(_) => "setattr -unset init w:*.*\n",
            _ => "",
        };
        format!(
            "read_verilog -formal block.v\n\
             read_verilog -formal{defines} harness.v\n\
             hierarchy -check -top harness\n\
             proc\n\
             memory_collect\n\
             memory_map\n\
             flatten\n\
             cd harness\n\
             {connections}\
             cd\n\
             {forget}\
             opt -keepdc\n"
        )
    }

    /// SymbiYosys' input.
    fn symbiyosys_script(&self, run: Run) -> String {
        let (mode, depth) = self.mode(run);
        format!(
            "[options]\n\
             mode {mode}\n\
             depth {depth}\n\
             timeout {TIMEOUT_SECONDS}\n\
             expect pass,fail,unknown\n\
             \n\
             [engines]\n\
             smtbmc z3\n\
             \n\
             [script]\n\
             {}\
             \n\
             [files]\n\
             block.v\n\
             harness.v\n",
            self.reading(run)
        )
    }

    /// Yosys' commands for a run over so many cycles with MiniSat.
    fn yosys_script(&self, run: Run) -> String {
        format!(
            "{}\
             async2sync\n\
             dffunmap\n\
             chformal -cover -remove\n\
             opt -full\n\
             clean\n\
             sat -tempinduct -tempinduct-baseonly -maxsteps {} -prove-asserts -set-assumes -timeout {TIMEOUT_SECONDS} -dump_vcd {TRACE} harness\n",
            self.reading(run),
            self.mode(run).1,
        )
    }
}

impl Fault {
    /// The block with the fault.
    fn apply(&self, proof: &'static str, number: usize, verilog: &str) -> Result<String, FormalError> {
        let start = verilog.find(&format!("\nmodule {}", self.module)).unwrap_or(verilog.len());
        let length = verilog[start..].find("\nendmodule").unwrap_or(0);
        let module = &verilog[start..start + length];
        let found = module.matches(self.text).count();
        if found != 1 {
            return Err(FormalError::FaultText { proof, number, text: self.text, found });
        }
        Ok(verilog[..start].to_owned()
            + &module.replace(self.text, self.replacement)
            + &verilog[start + length..])
    }
}

/// A run with SymbiYosys and Z3.
fn symbiyosys<'a>(
    mut inputs: Vec<(&'static str, &'a [u8])>,
    script: &'a str,
    harness: &str,
    log: &Path,
) -> Result<Outcome, FormalError> {
    let tool = Tool::find("sby")?;
    Tool::find("z3")?;
    // What it starts is called otherwise in the environment.
    let mut arguments = ["-f", "-d", "proof", "proof.sby"].map(str::to_owned).to_vec();
    for (option, name) in [("--yosys", "yosys"), ("--smtbmc", "yosys-smtbmc"), ("--witness", "yosys-witness")]
    {
        let program = Tool::find(name)?.path;
        let program = program.file_name().unwrap_or_default().to_string_lossy();
        arguments.extend([option.to_owned(), program.into_owned()]);
    }
    inputs.push(("proof.sby", script.as_bytes()));
    let finished =
        Step { name: "proof", tool, arguments, inputs, outputs: vec!["proof/status"], digest: None }
            .run(log)?;
    outcome(&finished, harness, log)
}

/// A run with Yosys and MiniSat.
fn minisat<'a>(
    mut inputs: Vec<(&'static str, &'a [u8])>,
    script: &'a str,
    harness: &str,
    log: &Path,
) -> Result<Outcome, FormalError> {
    inputs.push(("proof.ys", script.as_bytes()));
    let finished = Step {
        name: "proof",
        tool: Tool::find("yosys")?,
        arguments: vec!["proof.ys".into()],
        inputs,
        outputs: Vec::new(),
        digest: None,
    }
    .run(log)?;
    let text = String::from_utf8_lossy(&finished.read(LOG)?).into_owned();
    let error = |reason: &str| FormalError::Report { log: log.into(), reason: reason.into() };
    let verdict = if text.contains("SAT temporal induction proof finished - model found for base case: FAIL!")
    {
        let trace = finished.folder.join(TRACE);
        Verdict::Fails { what: harness.to_owned(), trace: trace.is_file().then_some(trace) }
    } else if text.contains("Reached maximum number of time steps -> proved base case for ") {
        Verdict::Holds
    } else {
        return Err(error("it ends neither with a proof nor with a counterexample"));
    };
    // "End of script. Logfile hash: ..., time: 12.34s, user: ..."
    let seconds = text
        .lines()
        .filter_map(|line| line.strip_prefix("End of script.")?.split_once("time: ")?.1.split_once('s'))
        .find_map(|(seconds, _)| seconds.parse::<f64>().ok())
        .ok_or_else(|| error("it says no time"))?;
    Ok(Outcome { verdict, seconds: seconds.round() as u32, reused: finished.reused })
}

/// The names inside the block that a harness uses, for what is defined: of Verilog's conditions it has `ifdef and `endif only.
fn inside<'a>(harness: &'a str, defines: &[(&str, u32)]) -> BTreeSet<&'a str> {
    let mut names = BTreeSet::new();
    let mut is_active = true;
    for line in harness.lines() {
        if let Some(wanted) = line.trim().strip_prefix("`ifdef ") {
            is_active = defines.iter().any(|(name, _)| *name == wanted);
        } else if line.trim() == "`endif" {
            is_active = true;
        } else if is_active {
            names.extend(line.split("\\in.").skip(1).filter_map(|rest| rest.split_whitespace().next()));
        }
    }
    names
}

/// Reads what SymbiYosys left.
fn outcome(finished: &Finished, harness: &str, log: &Path) -> Result<Outcome, FormalError> {
    let text = String::from_utf8_lossy(&finished.read(LOG)?).into_owned();
    let status = String::from_utf8_lossy(&finished.read("proof/status")?).into_owned();
    let error = |reason: &str| FormalError::Report { log: log.into(), reason: reason.into() };
    let verdict = match status.split_whitespace().next() {
        Some("PASS") => Verdict::Holds,
        Some("UNKNOWN") => Verdict::Open,
        Some("FAIL") => {
            let trace = finished.folder.join("proof/engine_0/trace.vcd");
            Verdict::Fails { what: what_fails(&text, harness), trace: trace.is_file().then_some(trace) }
        }
        _ => return Err(error("the status is none that is known")),
    };
    let seconds = text
        .lines()
        .filter_map(|line| line.split_once("Elapsed clock time [H:MM:SS (secs)]:"))
        .filter_map(|(_, time)| time.split_once('(')?.1.split_once(')')?.0.parse().ok())
        .next_back()
        .ok_or_else(|| error("it says no time"))?;
    Ok(Outcome { verdict, seconds, reused: finished.reused })
}

/// The place in the harness that a log blames.
fn what_fails(log: &str, harness: &str) -> String {
    let place = log.lines().find_map(|line| {
        let (_, rest) = line
            .split_once("Assert failed in harness: ")
            .or_else(|| line.split_once("Unreached cover statement in harness: "))
            .or_else(|| line.split_once("Unreached cover statement at "))?;
        let line = rest.split_once("harness.v:")?.1;
        let number: String = line.chars().take_while(char::is_ascii_digit).collect();
        Some(format!("{harness}:{number}"))
    });
    place.unwrap_or_else(|| harness.to_owned())
}
