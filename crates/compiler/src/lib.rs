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
mod emit;
pub mod error;
pub mod estimate;
pub mod gemm;
mod layer;
mod legalise;
mod order;
mod pack;
mod sequence;
mod taps;
mod tile;
mod tokens;

pub use build::Value;
pub use error::{ChipMemory, CompileError, Shortage};
pub use estimate::{estimate_cycles, CostModel, Estimate};
pub use legalise::{HostKind, HostSource, HostStep};

use build::Planned;
use frugal_graph::{host, Graph};
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

/// Why device outputs do not become model outputs.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum FinishError {
    #[error("the program has {expected} outputs, {given} were given")]
    Count { expected: usize, given: usize },
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
    tokens::insert(&mut commands, config);
    for (p, command) in planned.iter_mut().zip(commands) {
        p.command = command;
    }
    planned.push(Planned {
        command: End::default().into(),
        layer,
        reads: vec![],
        writes: None,
        padded: false,
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
    /// Computes the model's outputs from the dense bytes of the program's outputs.
    pub fn finish(&self, outputs: &[Vec<u8>]) -> Result<Vec<Vec<i8>>, FinishError> {
        if outputs.len() != self.program.outputs.len() {
            return Err(FinishError::Count { expected: self.program.outputs.len(), given: outputs.len() });
        }
        for (layout, output) in self.program.outputs.iter().zip(outputs) {
            if output.len() != layout.elements() {
                let (expected, given) = (layout.elements(), output.len());
                return Err(FinishError::Length { name: layout.name.clone(), expected, given });
            }
        }
        let mut steps: Vec<Vec<i8>> = Vec::new();
        let take = |source: HostSource, steps: &[Vec<i8>]| match source {
            HostSource::Device(index) => outputs[index].iter().map(|byte| *byte as i8).collect(),
            HostSource::Step(index) => steps[index].clone(),
        };
        for step in &self.host {
            let input: Vec<i8> = take(step.source, &steps);
            steps.push(match &step.kind {
                HostKind::Softmax { parameters, row_length } => {
                    host::softmax(parameters, *row_length, &input)
                }
                HostKind::Reshape => host::reshape(&input),
            });
        }
        Ok(self.results.iter().map(|source| take(*source, &steps)).collect())
    }
}
