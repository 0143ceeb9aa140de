//! Verilated models, built and loaded at run time.
//!
//! ```text
//! VerilogFile -> verilator_bin -> C++ --cc--> shared library in the cache --libloading--> VerilatedModel
//! ```
//! ```no_run
//! # use frugal_testbench::verilated::{BuildOptions, VerilatedModel};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let block = frugal_hdl::leaves::SignedProduct::default();
//! let file = frugal_hdl::emit::emit(&block, "product", "")?;
//! let mut model = VerilatedModel::new(&file, &BuildOptions::default())?;
//! let (a, product) = (model.port("a"), model.port("product"));
//! model.set(a, 7);
//! model.cycle();
//! println!("{}", model.get(product));
//! # Ok(())
//! # }
//! ```
//! No cargo feature, build script or root rights are needed: Verilator comes from the checkout's `.venv` (`scripts/setup`)
//! or the system, the C++ compiler from the system. Sizes of a design are run-time values, so the model is built when it is
//! first needed and cached under `target/verilated/` (or `FRUGAL_CACHE_DIR`) by the content of everything that matters:
//! Verilog, shim, flags, Verilator's and the compiler's versions.
//!
//! One `cycle()` is one call into C++: inputs and rising edge are evaluated together, outputs are copied, the clock is
//! lowered. Verilog's `$error` does not stop a model; [`VerilatedModel::errors`] counts it.
mod build;
mod shim;
mod toolchain;

pub use build::lint_only;
pub use shim::Trace;

use frugal_hdl::emit::{ModuleInfo, PortDirection, VerilogFile};
use std::collections::HashMap;
use std::ffi::{c_char, c_int, c_void, CString};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use build::load_or_build;
use shim::words;

/// The name of the clock port.
const CLOCK: &str = "clock";
const FLAG_SETTLE: u32 = 1;
const FLAG_CYCLE: u32 = 2;

#[derive(Debug, thiserror::Error)]
pub enum VerilateError {
    #[error("Verilator was not found: run scripts/setup, or set FRUGAL_VERILATOR_ROOT to an installation that has bin/verilator_bin and include/verilated.h")]
    VerilatorMissing,
    #[error("no C++ compiler: install g++ or clang++, or set CXX ({0})")]
    CompilerMissing(String),
    #[error("{tool} ({}) cannot be run: {source}", program.to_string_lossy())]
    CannotRun { tool: &'static str, program: std::ffi::OsString, source: std::io::Error },
    #[error("{tool} reports errors:\n{log}")]
    ToolFailed { tool: &'static str, log: String },
    #[error("this Verilator cannot write .fst waveforms without libraries: ask for a .vcd file, or run scripts/setup for a newer Verilator")]
    FstUnavailable,
    #[error("the model was built without waveforms: build it with BuildOptions {{ trace: Trace::Vcd or Trace::Fst }}")]
    BuiltWithoutTrace,
    #[error("the waveform {} cannot be written", .0.display())]
    CannotTrace(PathBuf),
    #[error("the waveform's name {} must end in .vcd or .fst", .0.display())]
    UnknownTraceFormat(PathBuf),
    #[error("the cache {} cannot be used: {source}", path.display())]
    Cache { path: PathBuf, source: std::io::Error },
    #[error("the model {} cannot be loaded: {source}", path.display())]
    Load { path: PathBuf, source: libloading::Error },
}

/// What the model has to be able to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BuildOptions {
    pub trace: Trace,
    pub speed: Speed,
}

/// What takes the time of a model: its cycles, or the C++ compiler.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Speed {
    /// Of many cycles: optimised.
    #[default]
    Run,
    /// Of some thousand cycles: built quickly.
    Build,
}

impl Trace {
    /// The format of a waveform of this name.
    pub fn for_path(path: &Path) -> Result<Self, VerilateError> {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("vcd") => Ok(Trace::Vcd),
            Some("fst") => Ok(Trace::Fst),
            _ => Err(VerilateError::UnknownTraceFormat(path.into())),
        }
    }
}

/// A port of one model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortHandle {
    first_word: usize,
    width: usize,
    is_input: bool,
}

impl PortHandle {
    pub fn width(self) -> usize {
        self.width
    }

    fn words(self) -> std::ops::Range<usize> {
        self.first_word..self.first_word + words(self.width)
    }
}

type New = unsafe extern "C" fn() -> *mut c_void;
type Eval = unsafe extern "C" fn(*mut c_void, *const u32, *mut u32, u32) -> u64;
type TraceTo = unsafe extern "C" fn(*mut c_void, *const c_char) -> c_int;
type Destroy = unsafe extern "C" fn(*mut c_void);

/// A loaded shared library and its functions.
struct Loaded {
    new: New,
    eval: Eval,
    trace: TraceTo,
    destroy: Destroy,
    /// Keeps the functions above in memory.
    _library: libloading::Library,
}

/// One instance of a Verilated design.
pub struct VerilatedModel {
    loaded: Arc<Loaded>,
    handle: *mut c_void,
    inputs: Vec<u32>,
    outputs: Vec<u32>,
    ports: Arc<HashMap<String, PortHandle>>,
    has_clock: bool,
    errors: u64,
}

// SAFETY: the C++ object behind `handle` is used by one thread at a time (`&mut self` for every call), and its only
// thread-local state, the current context, is set at the start of every call.
unsafe impl Send for VerilatedModel {}

impl VerilatedModel {
    /// Builds the model or takes it from the cache, and starts one instance.
    pub fn new(file: &VerilogFile, options: &BuildOptions) -> Result<Self, VerilateError> {
        Self::from_verilog(&file.text, file.top(), options)
    }

    /// The same for Verilog from elsewhere; `top` names the top module and all of its ports.
    pub fn from_verilog(text: &str, top: &ModuleInfo, options: &BuildOptions) -> Result<Self, VerilateError> {
        let loaded = Arc::new(load_or_build(text, top, options)?);
        let mut ports = HashMap::new();
        let mut sizes = [0, 0];
        let mut has_clock = false;
        for port in top.ports.iter().filter(|port| port.direction != PortDirection::InOut) {
            let is_input = port.direction == PortDirection::Input;
            let size = &mut sizes[usize::from(!is_input)];
            let handle = PortHandle { first_word: *size, width: port.width, is_input };
            *size += words(port.width);
            has_clock |= port.name == CLOCK;
            ports.insert(port.name.clone(), handle);
            ports.entry(port.original_name.clone()).or_insert(handle);
        }
        // SAFETY: `new` is `model_new` of a library built from our shim; it takes nothing and returns an owned object.
        let handle = unsafe { (loaded.new)() };
        let mut model = Self {
            loaded,
            handle,
            inputs: vec![0; sizes[0]],
            outputs: vec![0; sizes[1]],
            ports: Arc::new(ports),
            has_clock,
            errors: 0,
        };
        model.eval();
        Ok(model)
    }

    /// The port of this Verilog or rust-hdl name.
    ///
    /// # Panics
    /// If there is no such port: a test bench asks for what its design has.
    pub fn port(&self, name: &str) -> PortHandle {
        self.find_port(name).unwrap_or_else(|| panic!("the model has no port `{name}`"))
    }

    pub fn find_port(&self, name: &str) -> Option<PortHandle> {
        self.ports.get(name).copied()
    }

    /// Sets an input of up to 64 bits; it takes effect with the next [`Self::eval`] or [`Self::cycle`].
    ///
    /// # Panics
    /// If the port is an output or the value does not fit.
    #[inline]
    pub fn set(&mut self, port: PortHandle, value: u64) {
        assert!(port.is_input, "an output cannot be set");
        assert!(
            port.width >= 64 || value >> port.width == 0,
            "{value:#x} does not fit in {} bits",
            port.width
        );
        for (number, word) in self.inputs[port.words()].iter_mut().enumerate() {
            *word = if number < 2 { (value >> (32 * number)) as u32 } else { 0 };
        }
    }

    /// Sets an input of any width, least significant word first; missing words are 0.
    ///
    /// # Panics
    /// If the port is an output or there are more words than it has.
    pub fn set_wide(&mut self, port: PortHandle, value: &[u32]) {
        assert!(port.is_input, "an output cannot be set");
        let target = &mut self.inputs[port.words()];
        assert!(value.len() <= target.len(), "{} words are too many for {} bits", value.len(), port.width);
        target.fill(0);
        target[..value.len()].copy_from_slice(value);
        if let (true, Some(last)) = (port.width % 32 != 0, target.last_mut()) {
            *last &= (1 << (port.width % 32)) - 1;
        }
    }

    /// The low 64 bits of an output after the last evaluation, or of an input as set.
    #[inline]
    pub fn get(&self, port: PortHandle) -> u64 {
        let words = self.get_wide(port);
        u64::from(words[0]) | words.get(1).map_or(0, |high| u64::from(*high) << 32)
    }

    /// All words of a port, least significant first.
    #[inline]
    pub fn get_wide(&self, port: PortHandle) -> &[u32] {
        let buffer = if port.is_input { &self.inputs } else { &self.outputs };
        &buffer[port.words()]
    }

    /// Settles the combinational logic.
    pub fn eval(&mut self) {
        self.call(FLAG_SETTLE);
    }

    /// One clock cycle: inputs as set, rising edge, outputs after the edge.
    ///
    /// # Panics
    /// If there is no port `clock`.
    #[inline]
    pub fn cycle(&mut self) {
        self.cycles(1);
    }

    /// `count` clock cycles with the inputs as they are.
    ///
    /// # Panics
    /// If there is no port `clock`.
    pub fn cycles(&mut self, mut count: u32) {
        assert!(self.has_clock, "the model has no port `{CLOCK}`");
        const MOST: u32 = 1 << 24;
        while count > 0 {
            let part = count.min(MOST - 1);
            self.call(FLAG_CYCLE | part << 8);
            count -= part;
        }
    }

    /// How often the Verilog called `$error` so far; it has printed why.
    pub fn errors(&self) -> u64 {
        self.errors
    }

    /// Writes a waveform from now on; its format is the one the model was built for.
    pub fn trace_to(&mut self, path: &Path) -> Result<(), VerilateError> {
        let bytes = path.as_os_str().as_encoded_bytes();
        let name = CString::new(bytes).map_err(|_| VerilateError::CannotTrace(path.into()))?;
        // SAFETY: `handle` is alive (only `drop` destroys it) and `name` is a C string that outlives the call.
        match unsafe { (self.loaded.trace)(self.handle, name.as_ptr()) } {
            0 => Ok(()),
            1 => Err(VerilateError::BuiltWithoutTrace),
            _ => Err(VerilateError::CannotTrace(path.into())),
        }
    }

    #[inline]
    fn call(&mut self, flags: u32) {
        // SAFETY: `handle` is alive; the shim was generated from the same port list as the two buffers, and reads and
        // writes exactly that many words.
        self.errors = unsafe {
            (self.loaded.eval)(self.handle, self.inputs.as_ptr(), self.outputs.as_mut_ptr(), flags)
        };
    }
}

impl Drop for VerilatedModel {
    fn drop(&mut self) {
        // SAFETY: `handle` came from `model_new` and is not used after this.
        unsafe { (self.loaded.destroy)(self.handle) }
    }
}
