//! Language models: a [`QuantisedModel`] and some positions of one sequence become a program.
//!
//! ```text
//! ids -> scalars -> embedding rows -> residual stream (accumulator memory)
//! for each layer:
//!   norm -> int8 -> queries, keys, values -> norm, rotation -> int8 -> cache in memory
//!   keys and values of all positions -> weight scratchpad: scores -> exponentials -> products -> int8 -> output projection + residual
//!   norm -> int8 -> gate, up -> SiLU, product -> int8 -> down projection + residual
//! norm -> int8 -> head -> logits, argmax
//! ```
//! All lines of a pass go through a layer together, so that weights are read once for all of them: positions of one prompt, or the
//! newest positions of several sequences, each with a cache of its own. Everything is padded to whole
//! vectors: channels that no model has are zero throughout.

//!
//! | module | what it holds |
//! |---|---|
//! | `constants` | padded sizes; weights, scales and parameters as the array reads them |
//! | `emitter` | what all parts are made of: loads, linear layers, norms, rotations |
//! | `attention` | scores, exponentials, products |
//! | `parts` | embedding, layers and head of a pass |
//! | `program` | from passes to a program: constants, places, loops |
//! | `trace` | programs that store every intermediate tensor |

mod attention;
mod constants;
mod emitter;
mod parts;
mod program;
mod trace;

use emitter::LINES;
use frugal_isa::{Config, ConfigError, Program};
use frugal_language::integer::QuantisedModel;
use thiserror::Error;
pub use trace::Traced;

/// Why positions of a model cannot be compiled for an accelerator.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum LanguageCompileError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error("positions {start} to {end} are wanted; the context has {limit}")]
    Positions { start: usize, end: usize, limit: usize },
    #[error("a prompt is empty: there is nothing to go on from")]
    EmptyPrompt,
    #[error("{sequences} sequences at once are wanted; 1 to {most} are possible")]
    Sequences { sequences: usize, most: usize },
    #[error("caches, embedding and weights need {needed} bytes of memory; addresses have 32 bits. Take a shorter context or fewer sequences")]
    Addresses { needed: u64 },
    #[error("keys and values of {positions} positions need {caches} tiles of the weight scratchpad for each head, beside {weights} for weights; '{config}' has {depth}. Take a shorter prompt and fewer tokens, or a configuration with weight_depth {wanted}")]
    Context { positions: usize, caches: usize, weights: usize, depth: usize, wanted: usize, config: String },
    #[error("{tokens} positions at once need {needed} {unit} of the {memory}; '{config}' has {depth}. Take fewer at once")]
    Memory {
        tokens: usize,
        memory: &'static str,
        unit: &'static str,
        needed: usize,
        depth: usize,
        config: String,
    },
    #[error("the model has 4-bit weights, and '{config}' is built without them")]
    FourBit { config: String },
    #[error("language models need a row engine, and '{config}' is built without one: use --config nano or a larger one")]
    RowEngine { config: String },
}

/// Positions of one sequence that follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    pub sequence: usize,
    /// The first one.
    pub start: usize,
    pub count: usize,
}

/// Positions that go through the model together.
#[derive(Clone, Debug)]
struct Pass {
    runs: Vec<Run>,
    /// Positions whose logits are wanted: all, the last of each run, or none.
    head: Head,
    /// For so many rounds, in which each run has one position.
    rounds: Option<usize>,
    /// The host gives the round and starts the program for each; else they are a loop.
    is_stepped: bool,
}

impl Pass {
    fn loops(&self) -> bool {
        self.rounds.is_some() && !self.is_stepped
    }

    /// How often it is executed in one program.
    fn times(&self) -> usize {
        if self.loops() {
            self.rounds.unwrap_or(1)
        } else {
            1
        }
    }

    fn lines(&self) -> usize {
        self.runs.iter().map(|r| r.count).sum()
    }

    /// The first position that is not reached.
    fn end(&self) -> usize {
        self.runs.iter().map(|r| r.start + r.count - 1 + self.rounds.unwrap_or(1)).max().unwrap_or(0)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Head {
    All,
    Last,
    Nothing,
}

/// The program that takes `tokens` positions from `start` on through the model.
///
/// Input `ids` (int32); outputs `logits` (int32, every position) and `next` (int32: the id of the largest logit of every position, in
/// rows of `lanes`, the first of which counts). Keys and values of `context` positions stay in the workspace from one program to the
/// next.
///
/// # Errors
/// When the positions are not in the context, or need more memory than the accelerator has.
pub fn forward(
    model: &QuantisedModel,
    config: &Config,
    start: usize,
    tokens: usize,
    context: usize,
) -> Result<Program, LanguageCompileError> {
    forward_one_of(model, config, Run { sequence: 0, start, count: tokens }, (1, context))
}

/// The same for one of several sequences, whose caches have so many positions each.
///
/// # Errors
/// As [`forward`].
pub fn forward_one_of(
    model: &QuantisedModel,
    config: &Config,
    run: Run,
    (sequences, context): (usize, usize),
) -> Result<Program, LanguageCompileError> {
    check_sequences(sequences.max(run.sequence + 1))?;
    let pass = Pass { runs: vec![run], head: Head::All, rounds: None, is_stepped: false };
    Ok(program::program(model, config, &[pass], (sequences, context), false)?.0)
}

/// The program that takes one token of each sequence through the model, behind what its cache holds: the position is an input, so that
/// one program serves a whole generation in which the host chooses the tokens.
///
/// Sequences have `lengths` positions in round 0. Inputs `ids` (int32, one for each) and `round` (int32, 0 ..< `rounds`: how many
/// tokens there are behind `lengths`); outputs as of [`forward`], a row for each sequence.
///
/// # Errors
/// As [`forward`]; more than 32 sequences.
pub fn step(
    model: &QuantisedModel,
    config: &Config,
    lengths: &[usize],
    rounds: usize,
    context: usize,
) -> Result<Program, LanguageCompileError> {
    check_sequences(lengths.len())?;
    let newest = |(sequence, start): (usize, &usize)| Run { sequence, start: *start, count: 1 };
    let runs = lengths.iter().enumerate().map(newest).collect();
    let pass = Pass { runs, head: Head::All, rounds: Some(rounds), is_stepped: true };
    Ok(program::program(model, config, &[pass], (lengths.len(), context), false)?.0)
}

fn check_sequences(sequences: usize) -> Result<(), LanguageCompileError> {
    match (1..=LINES).contains(&sequences) {
        true => Ok(()),
        false => Err(LanguageCompileError::Sequences { sequences, most: LINES }),
    }
}

/// The program that takes prompts of so many tokens through the model, `at_once` tokens at a time, and then generates `tokens` more of
/// each sequence: each is the one with the largest logit, and goes back into the model, without the host. Newest tokens of all sequences
/// go through the model together.
///
/// Input `ids` (int32): the prompts, one behind the other. Output `next` (int32, tokens x sequences): the generated ids.
///
/// While the program runs, the rows of `next` fill up in order. A row has `lanes` words: the id, and the id plus one, which tells it
/// from a row of zeros.
///
/// # Errors
/// As [`forward`]; an empty prompt; more than 32 sequences.
pub fn generate(
    model: &QuantisedModel,
    config: &Config,
    prompts: &[usize],
    at_once: usize,
    tokens: usize,
) -> Result<Program, LanguageCompileError> {
    let (passes, context) = generation(model, prompts, at_once, tokens)?;
    Ok(program::program(model, config, &passes, (prompts.len(), context), false)?.0)
}

/// The same program, with commands that store every intermediate tensor in the workspace, and where each of them is.
///
/// # Errors
/// As [`generate`].
///
/// # Panics
/// If a tensor of all sequences has 64 KiB or more.
pub fn generate_traced(
    model: &QuantisedModel,
    config: &Config,
    prompts: &[usize],
    at_once: usize,
    tokens: usize,
) -> Result<(Program, Vec<Traced>), LanguageCompileError> {
    let (passes, context) = generation(model, prompts, at_once, tokens)?;
    program::program(model, config, &passes, (prompts.len(), context), true)
}

/// Passes of a generation, and the positions that they reach.
fn generation(
    model: &QuantisedModel,
    prompts: &[usize],
    at_once: usize,
    tokens: usize,
) -> Result<(Vec<Pass>, usize), LanguageCompileError> {
    check_sequences(prompts.len())?;
    if prompts.contains(&0) {
        return Err(LanguageCompileError::EmptyPrompt);
    }
    let mut passes = Vec::new();
    for (sequence, prompt) in prompts.iter().enumerate() {
        for start in (0..*prompt).step_by(at_once.max(1)) {
            let count = at_once.max(1).min(prompt - start);
            let head = if start + count == *prompt { Head::Last } else { Head::Nothing };
            let runs = vec![Run { sequence, start, count }];
            passes.push(Pass { runs, head, rounds: None, is_stepped: false });
        }
    }
    if tokens > 1 {
        let newest = |(sequence, prompt): (usize, &usize)| Run { sequence, start: *prompt, count: 1 };
        let runs = prompts.iter().enumerate().map(newest).collect();
        passes.push(Pass { runs, head: Head::Last, rounds: Some(tokens - 1), is_stepped: false });
    }
    let context = passes.iter().map(Pass::end).max().unwrap_or(0);
    if context > model.config.max_positions {
        let limit = model.config.max_positions;
        return Err(LanguageCompileError::Positions { start: 0, end: context, limit });
    }
    Ok((passes, context))
}
