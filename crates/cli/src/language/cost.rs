//! What a generation costs: prompts and the tokens behind them, told apart.

use crate::text;
use frugal_compiler::language::{generate, LanguageCompileError};
use frugal_compiler::{estimate_cycles, CostModel};
use frugal_device::{RunResult, Statistics};
use frugal_isa::{Config, Program};
use frugal_language::{Precision, QuantisedModel};
use serde_json::json;
use std::ops::Range;

/// A generation: so many tokens behind each of the prompts.
pub struct Generation<'a> {
    pub model: &'a QuantisedModel,
    pub config: &'a Config,
    /// Tokens of each prompt.
    pub lengths: Vec<usize>,
    pub tokens: usize,
}

impl Generation<'_> {
    /// The program, with as many tokens of a prompt at once as there is memory for, and how many those are.
    pub fn compile(&self) -> Result<(Program, usize), LanguageCompileError> {
        let mut last = None;
        for at_once in [32, 16, 8, 4, 2, 1] {
            match self.program(at_once, self.tokens) {
                Ok(program) => return Ok((program, at_once)),
                Err(error @ LanguageCompileError::Memory { .. }) => last = Some(error),
                Err(error) => return Err(error),
            }
        }
        Err(last.expect("six attempts"))
    }

    /// The program of the prompts alone: with the first token behind each of them.
    pub fn prompts_alone(&self, at_once: usize) -> Result<Program, LanguageCompileError> {
        self.program(at_once, 1)
    }

    fn program(&self, at_once: usize, tokens: usize) -> Result<Program, LanguageCompileError> {
        generate(self.model, self.config, &self.lengths, at_once, tokens)
    }

    /// Generated ids of each sequence.
    pub fn ids(&self, result: &RunResult) -> Vec<Vec<u32>> {
        let words = result.outputs[0].chunks_exact(4);
        let ids: Vec<u32> = words.map(|w| u32::from_le_bytes([w[0], w[1], w[2], w[3]])).collect();
        let count = self.lengths.len();
        (0..count).map(|b| ids.iter().skip(b).step_by(count).copied().collect()).collect()
    }

    /// What a run of the whole program and one of the prompts alone cost, on a device with cycles.
    pub fn cost(&self, all: &Statistics, prompts: &Statistics) -> Cost {
        let (Some(cycles), Some(first)) = (all.cycles, prompts.cycles) else { return Cost::default() };
        let bytes = |s: &Statistics| s.bytes_read.unwrap_or(0) + s.bytes_written.unwrap_or(0);
        let (prefill, decode) = (self.prefill_work(), self.decode_work());
        let phase = |work: Work, cycles: u64, bytes: u64| {
            (work.tokens > 0 && cycles > 0).then(|| Phase {
                cycles,
                bytes,
                utilisation: work.least_cycles / cycles as f64,
                bandwidth: bytes as f64 / (cycles as f64 * self.config.bus_bytes() as f64),
                work,
            })
        };
        Cost {
            prefill: phase(prefill, first, bytes(prompts)),
            decode: phase(decode, cycles.saturating_sub(first), bytes(all).saturating_sub(bytes(prompts))),
        }
    }

    /// Cycles of the tokens behind the prompts by the cycle model.
    pub fn predicted_decode_cycles(&self, all: &Program, prompts: &Program) -> u64 {
        let cycles = |program| estimate_cycles(program, &CostModel::default());
        cycles(all).saturating_sub(cycles(prompts))
    }

    fn prefill_work(&self) -> Work {
        self.lengths.iter().map(|l| self.work(0..*l, 1)).fold(Work::default(), Work::plus)
    }

    fn decode_work(&self) -> Work {
        let later = |l: &usize| self.work(*l..*l + self.tokens - 1, self.tokens - 1);
        self.lengths.iter().map(later).fold(Work::default(), Work::plus)
    }

    fn work(&self, positions: Range<usize>, heads: usize) -> Work {
        let m = &self.model.config;
        let tokens = positions.len() as u64;
        let linear = tokens * m.linear_macs();
        let others = positions.map(|p| m.attention_macs(p)).sum::<u64>() + heads as u64 * m.head_macs();
        // Only the decoder layers' weights may have four bits: two of them a multiplier and cycle.
        let rate = if self.model.precision == Precision::W4A8 { 2.0 } else { 1.0 };
        let least_cycles = (linear as f64 / rate + others as f64) / self.config.peak() as f64;
        Work { tokens, macs: linear + others, least_cycles }
    }
}

/// What a model asks for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Work {
    pub tokens: u64,
    pub macs: u64,
    /// Cycles that the array needs at its peak.
    pub least_cycles: f64,
}

impl Work {
    fn plus(self, other: Work) -> Work {
        Work {
            tokens: self.tokens + other.tokens,
            macs: self.macs + other.macs,
            least_cycles: self.least_cycles + other.least_cycles,
        }
    }
}

/// Cost of the prompts, or of the tokens behind them.
pub struct Phase {
    pub work: Work,
    pub cycles: u64,
    pub bytes: u64,
    pub utilisation: f64,
    /// Share of the bus.
    pub bandwidth: f64,
}

impl Phase {
    pub fn cycles_per_token(&self) -> f64 {
        self.cycles as f64 / self.work.tokens as f64
    }

    pub fn tokens_per_second(&self, clock_mhz: f64) -> f64 {
        clock_mhz * 1e6 / self.cycles_per_token()
    }

    pub fn json(&self, clock_mhz: f64) -> serde_json::Value {
        json!({
            "tokens": self.work.tokens,
            "cycles": self.cycles,
            "cycles_per_token": self.cycles_per_token(),
            "utilisation": self.utilisation,
            "bytes_per_token": self.bytes as f64 / self.work.tokens as f64,
            "bandwidth_share": self.bandwidth,
            "tokens_per_second": self.tokens_per_second(clock_mhz),
        })
    }

    pub fn text(&self, clock_mhz: f64) -> String {
        format!(
            "{} cycles a token, array {}, {} bytes a token, bus {} of its limit, {:.1} tokens/s",
            text::thousands(self.cycles / self.work.tokens),
            text::percent(self.utilisation),
            text::thousands(self.bytes / self.work.tokens),
            text::percent(self.bandwidth),
            self.tokens_per_second(clock_mhz)
        )
    }
}

/// Both, where the device has cycles.
#[derive(Default)]
pub struct Cost {
    pub prefill: Option<Phase>,
    pub decode: Option<Phase>,
}
