//! Generation in which the host draws each token from the logits.

use super::cost::Generation;
use crate::device::Runner;
use frugal_compiler::language::{forward_one_of, step, LanguageCompileError, Run};
use frugal_device::{RunResult, Statistics};
use frugal_isa::Program;
use frugal_language::sample::Sampler;

/// Most tokens of a prompt that go through the model together.
const AT_ONCE: usize = 32;

/// What was generated, and what prompts and everything cost.
pub struct Sampled {
    /// Ids of each sequence.
    pub ids: Vec<Vec<u32>>,
    pub prompts: Statistics,
    pub all: Statistics,
}

impl Generation<'_> {
    /// Draws the tokens behind the prompts, and shows them as they come: one of each sequence. A sequence ends at an id of `ends`, and
    /// the generation when all have ended.
    pub fn sample(
        &self,
        runner: &mut Runner,
        prompts: &[Vec<u32>],
        samplers: &mut [Sampler],
        ends: &[u32],
        show: &mut dyn FnMut(&[u32]),
    ) -> anyhow::Result<Sampled> {
        let context = self.lengths.iter().max().copied().unwrap_or(0) + self.tokens - 1;
        let mut all = Statistics { cycles: None, ..Statistics::default() };
        let mut newest = Vec::with_capacity(prompts.len());
        for (sequence, (prompt, sampler)) in prompts.iter().zip(&mut *samplers).enumerate() {
            let logits = self.prompt(runner, sequence, prompt, context, &mut all)?;
            newest.push(sampler.pick(&logits));
        }
        show(&newest);
        let prompts = all.clone();
        let mut ids: Vec<Vec<u32>> = newest.iter().map(|id| vec![*id]).collect();
        if self.tokens == 1 {
            return Ok(Sampled { ids, prompts, all });
        }
        let program = step(self.model, self.config, &self.lengths, self.tokens - 1, context)?;
        for round in 0..self.tokens - 1 {
            if ids.iter().all(|ids| ids.iter().any(|id| ends.contains(id))) {
                break;
            }
            let result = runner.run(&program, &[bytes(&newest), bytes(&[round as u32])], "generating")?;
            add(&mut all, &result.statistics);
            for (sequence, sampler) in samplers.iter_mut().enumerate() {
                newest[sequence] = sampler.pick(&self.logits(&result, sequence));
                ids[sequence].push(newest[sequence]);
            }
            show(&newest);
        }
        Ok(Sampled { ids, prompts, all })
    }

    /// Takes a prompt through the model, as many tokens at once as there is memory for; logits of its last token.
    fn prompt(
        &self,
        runner: &mut Runner,
        sequence: usize,
        prompt: &[u32],
        context: usize,
        all: &mut Statistics,
    ) -> anyhow::Result<Vec<f32>> {
        let (mut at_once, mut start) = (AT_ONCE, 0);
        let mut last = Vec::new();
        while start < prompt.len() {
            let count = at_once.min(prompt.len() - start);
            let run = Run { sequence, start, count };
            let program: Program =
                match forward_one_of(self.model, self.config, run, (self.lengths.len(), context)) {
                    Err(LanguageCompileError::Memory { .. }) if at_once > 1 => {
                        at_once /= 2;
                        continue;
                    }
                    other => other?,
                };
            let result =
                runner.run(&program, &[bytes(&prompt[start..start + count])], "reading the prompt")?;
            add(all, &result.statistics);
            start += count;
            if start == prompt.len() {
                last = self.logits(&result, count - 1);
            }
        }
        Ok(last)
    }

    /// Logits of a row, in real numbers.
    fn logits(&self, result: &RunResult, row: usize) -> Vec<f32> {
        let vocabulary = self.model.config.vocab_size;
        let words = result.outputs[0][4 * row * vocabulary..][..4 * vocabulary].chunks_exact(4);
        let real = |logit: i32| (f64::from(logit) * self.model.logit_scale) as f32;
        words.map(|w| real(i32::from_le_bytes([w[0], w[1], w[2], w[3]]))).collect()
    }
}

fn bytes(ids: &[u32]) -> Vec<u8> {
    ids.iter().flat_map(|id| id.to_le_bytes()).collect()
}

fn add(all: &mut Statistics, more: &Statistics) {
    let plus = |a: Option<u64>, b: Option<u64>| b.map(|b| a.unwrap_or(0) + b);
    all.cycles = plus(all.cycles, more.cycles);
    all.bytes_read = plus(all.bytes_read, more.bytes_read);
    all.bytes_written = plus(all.bytes_written, more.bytes_written);
    all.commands += more.commands;
    all.matrix_steps += more.matrix_steps;
    all.wall_seconds += more.wall_seconds;
}
