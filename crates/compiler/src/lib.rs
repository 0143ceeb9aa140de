//! Compiler from typed graphs to Frugal programs.
//!
//! ```text
//! Graph -> legalise -> pack -> sequence -> allocate (with tile) -> emit -> order -> tokens -> check -> Program
//! ```
//!
//! Each pass is one file; [`PASSES`] lists them. Compiler and hardware meet in `frugal_isa` alone.

pub mod access;
mod allocate;
mod build;
pub mod check;
mod copies;
mod emit;
pub mod error;
pub mod estimate;
pub mod gemm;
pub mod language;
mod layer;
mod legalise;
mod order;
mod pack;
mod sequence;
mod taps;
mod tile;
mod tokens;
pub mod unroll;

pub use build::Value;
pub use error::{ChipMemory, CompileError, Shortage};
pub use estimate::{estimate_cycles, CostModel, Estimate};
pub use legalise::{HostInput, HostKind, HostSource, HostStep};

use build::Planned;
use frugal_graph::npy::Elements;
use frugal_graph::{host, Graph, Quantize};
use frugal_isa::command::End;
use frugal_isa::program::Layer;
use frugal_isa::{Command, Config, Program};
use thiserror::Error;

/// Name and purpose of every pass, in order.
pub const PASSES: &[(&str, &str)] = &[
    ("legalise", "operators become layers that one engine computes; host steps are split off"),
    ("pack", "convolutions of few channels gather their windows"),
    ("sequence", "the smaller operand of an addition comes first"),
    ("allocate", "tensors stay on the chip as long as they fit"),
    ("tile", "layers are cut into pieces that fit the memories"),
    ("emit", "commands of every layer, one after another"),
    ("order", "commands in the order in which they could start"),
    ("tokens", "tokens between engines whose accesses conflict"),
    ("check", "proof of order, addresses and values"),
];

/// What to compile.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CompileOptions {
    /// Store the output of every operator as a further output of the program, named like `op03_ADD`.
    pub dump_layers: bool,
}

/// A program, and what remains for the host.
#[derive(Clone, Debug, PartialEq)]
pub struct Compiled {
    pub program: Program,
    /// What the host does with each input before the program.
    pub host_inputs: Vec<HostInput>,
    /// Steps after the program, in order.
    pub host: Vec<HostStep>,
    /// Where each output of the model comes from.
    pub results: Vec<HostSource>,
    pub layers: Vec<LayerInfo>,
}

/// What became of a layer.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerInfo {
    /// Name of the operator: `op03_ADD`.
    pub name: String,
    pub macs: u64,
    /// How it was cut, for people.
    pub cut: String,
}

/// Why the host's part of a model cannot be computed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum FinishError {
    #[error("the program has {expected} outputs, {given} were given")]
    Count { expected: usize, given: usize },
    #[error("the model has {expected} inputs, {given} were given")]
    InputCount { expected: usize, given: usize },
    #[error("input {index} takes {wanted}, {given} was given")]
    InputType { index: usize, wanted: &'static str, given: &'static str },
    #[error("{name} reads {given}, which no host step makes")]
    StepType { name: String, given: &'static str },
    #[error("output {name} has {expected} elements, {given} were given")]
    Length { name: String, expected: usize, given: usize },
}

/// Compiles a model for an accelerator.
pub fn compile(graph: &Graph, config: &Config, options: &CompileOptions) -> Result<Compiled, CompileError> {
    match compile_for(graph, config, options) {
        Err(CompileError::DoesNotFit(mut shortage)) => {
            shortage.preset = Config::PRESETS.into_iter().filter(|name| *name != config.name).find(|name| {
                Config::preset(name).is_ok_and(|preset| compile_for(graph, &preset, options).is_ok())
            });
            Err(CompileError::DoesNotFit(shortage))
        }
        result => result,
    }
}

fn compile_for(graph: &Graph, config: &Config, options: &CompileOptions) -> Result<Compiled, CompileError> {
    config.validate()?;
    let mut legalised = legalise::legalise(graph, config, options.dump_layers)?;
    pack::pack(&mut legalised.network, config);
    sequence::sequence(&mut legalised.network);
    let network = &legalised.network;
    let allocation = allocate::allocate(network, config)?;
    if allocation.workspace_bytes > Program::MAX_WORKSPACE_BYTES {
        return Err(CompileError::Workspace { bytes: allocation.workspace_bytes });
    }
    let emitted = emit::emit(network, config, &allocation);
    let offset =
        |tensor: usize| allocation.workspace[tensor].expect("inputs and outputs are in the workspace");
    let initial: Vec<check::Initial> = network
        .inputs
        .iter()
        .map(|tensor| {
            let (start, bytes) = (offset(*tensor), network.tensors[*tensor].place.vectors() * config.rows);
            (
                access::Memory::Workspace,
                (start / 16) as u32..(start + bytes).div_ceil(16) as u32,
                Value(*tensor as u32),
            )
        })
        .collect();
    let mut planned = order::by_earliest_start(emitted.planned, config);
    finish(&mut planned, config, &initial).map_err(|error| name_layer(error, &planned, network))?;
    let inputs = network.inputs.iter().map(|tensor| {
        let t = &network.tensors[*tensor];
        t.place.layout(&t.name, &t.shape, offset(*tensor), config)
    });
    let outputs = network.outputs.iter().map(|output| {
        network.tensors[output.tensor].place.layout(
            &output.name,
            &output.shape,
            offset(output.tensor),
            config,
        )
    });
    let mut layers: Vec<Layer> = network
        .layers
        .iter()
        .map(|layer| Layer { name: layer.name.clone(), macs: layer.multiply_accumulates })
        .collect();
    if layers.is_empty() {
        layers.push(Layer { name: "nothing".to_owned(), macs: 0 });
    }
    let program = Program {
        name: network.name.clone(),
        config: config.clone(),
        command_layers: planned.iter().map(|p| p.layer).collect(),
        commands: planned.into_iter().map(|p| p.command).collect(),
        layers,
        constants: emitted.constants,
        workspace_bytes: allocation.workspace_bytes,
        inputs: inputs.collect(),
        outputs: outputs.collect(),
    };
    let infos = network.layers.iter().zip(&allocation.plans).map(|(layer, plan)| LayerInfo {
        name: layer.name.clone(),
        macs: layer.multiply_accumulates,
        cut: format!("{plan:?}"),
    });
    Ok(Compiled {
        program,
        host_inputs: legalised.host_inputs.clone(),
        host: legalised.host.clone(),
        results: legalised.results.clone(),
        layers: infos.collect(),
    })
}

/// The passes that every program ends with: tokens, the closing command, the check.
fn finish(
    planned: &mut Vec<Planned>,
    config: &Config,
    initial: &[check::Initial],
) -> Result<(), check::CheckError> {
    let layer = planned.last().map_or(0, |p| p.layer);
    let mut commands: Vec<Command> = planned.iter().map(|p| p.command.clone()).collect();
    let accesses: Vec<_> = planned.iter().map(|p| p.access.clone()).collect();
    tokens::insert(&mut commands, &accesses, config);
    for (p, command) in planned.iter_mut().zip(commands) {
        p.command = command;
    }
    planned.push(Planned {
        command: End::default().into(),
        layer,
        reads: vec![],
        writes: None,
        padded: false,
        access: None,
    });
    check::check(planned, config, initial)
}

/// A field that does not hold its value is the layer's fault, everything else the compiler's.
fn name_layer(error: check::CheckError, planned: &[Planned], network: &layer::Network) -> CompileError {
    match error {
        check::CheckError::Encode { index, source } => {
            CompileError::Field { layer: network.layers[planned[index].layer as usize].name.clone(), source }
        }
        error => CompileError::Check(error),
    }
}

impl Compiled {
    /// Names of the operators that the host computes, before and after the program.
    pub fn host_operators(&self) -> impl Iterator<Item = &str> {
        let before =
            self.host_inputs.iter().filter_map(|input| input.step.as_ref()).map(|step| step.0.as_str());
        before.chain(self.host.iter().map(|step| step.name.as_str()))
    }

    /// The program's inputs from the model's: what the host computes before the program.
    pub fn prepare(&self, inputs: &[Elements]) -> Result<Vec<Vec<u8>>, FinishError> {
        if inputs.len() != self.host_inputs.len() {
            return Err(FinishError::InputCount { expected: self.host_inputs.len(), given: inputs.len() });
        }
        let mut prepared = Vec::new();
        for (index, (input, host)) in inputs.iter().zip(&self.host_inputs).enumerate() {
            let wrong =
                |wanted: &'static str| FinishError::InputType { index, wanted, given: input.type_name() };
            let elements = match (&host.step, input) {
                (None, Elements::I8(elements)) => elements.clone(),
                (None, _) => return Err(wrong("int8")),
                (Some((_, step)), input) => match (step, input) {
                    (Quantize::FromF32(_), Elements::F32(_)) | (Quantize::FromU8(_), Elements::U8(_)) => {
                        match host::quantize(step, input) {
                            Elements::I8(elements) => elements,
                            _ => unreachable!("both give int8"),
                        }
                    }
                    (Quantize::FromF32(_), _) => return Err(wrong("float32")),
                    _ => return Err(wrong("uint8")),
                },
            };
            prepared.push(elements.iter().map(|x| *x as u8).collect());
        }
        Ok(prepared)
    }

    /// The model's outputs from the dense bytes of the program's outputs: what the host computes after the program.
    pub fn finish(&self, outputs: &[Vec<u8>]) -> Result<Vec<Elements>, FinishError> {
        if outputs.len() != self.program.outputs.len() {
            return Err(FinishError::Count { expected: self.program.outputs.len(), given: outputs.len() });
        }
        for (layout, output) in self.program.outputs.iter().zip(outputs) {
            if output.len() != layout.elements() {
                let (expected, given) = (layout.elements(), output.len());
                return Err(FinishError::Length { name: layout.name.clone(), expected, given });
            }
        }
        let mut steps: Vec<Elements> = Vec::new();
        let take = |source: HostSource, steps: &[Elements]| match source {
            HostSource::Device(index) => {
                Elements::I8(outputs[index].iter().map(|byte| *byte as i8).collect())
            }
            HostSource::Step(index) => steps[index].clone(),
        };
        for step in &self.host {
            let input = take(step.source, &steps);
            let Elements::I8(input) = input else {
                return Err(FinishError::StepType { name: step.name.clone(), given: input.type_name() });
            };
            steps.push(match &step.kind {
                HostKind::Softmax { parameters, row_length } => {
                    Elements::I8(host::softmax(parameters, *row_length, &input))
                }
                HostKind::Reshape => Elements::I8(host::reshape(&input)),
                HostKind::Quantize(quantize) => host::quantize(quantize, &Elements::I8(input)),
                HostKind::Dequantize(quantisation) => Elements::F32(host::dequantize(*quantisation, &input)),
            });
        }
        Ok(self.results.iter().map(|source| take(*source, &steps)).collect())
    }
}
