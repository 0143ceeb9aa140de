//! What kept the MAC array from its peak, the biggest first, in words.

use crate::attribute::{attribute_valid, Attribution};
use crate::bytes::LayerBytes;
use crate::occupancy::Level;
use crate::run::{Engine, OnChip, Run, RunError};
use crate::text::{bytes, count, percent, share, thousands};
use serde::Serialize;

/// A kind of loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LossKind {
    /// Steps were issued that did not use every multiplier.
    Multipliers,
    /// See [`crate::Reason::Memory`].
    Memory,
    /// See [`crate::Reason::Vector`].
    Vector,
    /// See [`crate::Reason::Store`].
    Store,
    /// See [`crate::Reason::Fill`].
    Fill,
}

/// Cycles that a run could have done without.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Loss {
    pub kind: LossKind,
    /// The layer, or `None` for a loss spread over all of them.
    pub layer: Option<usize>,
    pub cycles: u64,
    /// What happens, in one or two sentences.
    pub what: String,
    /// What could be done about it.
    pub remedy: String,
}

/// Every loss of a run, the biggest first. Together with `macs / peak` they are its cycles, but for rounding.
pub fn losses(run: &Run) -> Result<Vec<Loss>, RunError> {
    run.validate()?;
    Ok(losses_valid(run, &attribute_valid(run)))
}

pub(crate) fn losses_valid(run: &Run, attribution: &Attribution) -> Vec<Loss> {
    let words = Words { run, attribution, bytes: LayerBytes::of(run) };
    let mut losses = Vec::new();
    for (layer, breakdown) in attribution.layers.iter().enumerate() {
        let unused = breakdown.compute.saturating_sub(least_cycles(run, layer));
        let each = [
            (LossKind::Multipliers, unused),
            (LossKind::Memory, breakdown.memory),
            (LossKind::Vector, breakdown.vector),
            (LossKind::Store, breakdown.store),
        ];
        for (kind, cycles) in each.into_iter().filter(|(_, cycles)| *cycles > 0) {
            losses.push(words.loss(kind, Some(layer), cycles));
        }
    }
    // Every layer fills its pipelines. Only when one of them stands out is it named alone.
    let fill: Vec<u64> = attribution.layers.iter().map(|breakdown| breakdown.fill).collect();
    let all = fill.iter().sum::<u64>() + attribution.outside;
    if fill.iter().any(|cycles| 2 * cycles > all) {
        for (layer, cycles) in fill.into_iter().enumerate().filter(|(_, cycles)| *cycles > 0) {
            losses.push(words.loss(LossKind::Fill, Some(layer), cycles));
        }
    } else if all > 0 {
        losses.push(words.loss(LossKind::Fill, None, all));
    }
    losses.sort_by_key(|loss| std::cmp::Reverse(loss.cycles));
    losses
}

/// Cycles that a layer's multiply-accumulates take at the peak.
pub(crate) fn least_cycles(run: &Run, layer: usize) -> u64 {
    run.layers[layer].macs.div_ceil(run.config.peak() as u64)
}

/// Cycles that a matrix command spends on its pipeline and its start, with much to spare.
const USUAL_FILL: u64 = 64;

struct Words<'a> {
    run: &'a Run,
    attribution: &'a Attribution,
    bytes: Vec<LayerBytes>,
}

impl Words<'_> {
    fn loss(&self, kind: LossKind, layer: Option<usize>, cycles: u64) -> Loss {
        let (what, remedy) = match (kind, layer) {
            (LossKind::Multipliers, Some(layer)) => self.multipliers(layer, cycles),
            (LossKind::Memory, Some(layer)) => self.memory(layer, cycles),
            (LossKind::Vector, Some(layer)) => self.vector(layer, cycles),
            (LossKind::Store, Some(layer)) => self.store(layer, cycles),
            (_, layer) => self.fill(layer, cycles),
        };
        Loss { kind, layer, cycles, what, remedy }
    }

    fn of_run(&self, cycles: u64) -> String {
        format!("{} cycles, {} of the run", thousands(cycles), percent(share(cycles, self.run.cycles)))
    }

    fn multipliers(&self, layer: usize, cycles: u64) -> (String, String) {
        let config = &self.run.config;
        let facts = &self.run.layers[layer];
        let offered = self.attribution.layers[layer].compute.saturating_mul(config.peak() as u64);
        let what = format!(
            "{} fills only {} of the {} x {} multipliers while it computes: that costs {}.",
            facts.name,
            percent(share(facts.macs, offered)),
            config.rows,
            config.cols,
            self.of_run(cycles)
        );
        let remedy = format!(
            "The array takes {} input channels and {} output channels at a time. Channel counts that are multiples of these fill it, which an image of three colours cannot; \
             a smaller array wastes less on this layer.",
            config.rows, config.cols
        );
        (what, remedy)
    }

    fn memory(&self, layer: usize, cycles: u64) -> (String, String) {
        let config = &self.run.config;
        let moved = self.bytes[layer];
        let bus = config.bus_bytes() as u64;
        let mut what = format!(
            "{} waits for data from memory for {}.",
            self.run.layers[layer].name,
            self.of_run(cycles)
        );
        if moved.read() > 0 {
            what += &format!(
                " It reads {}, of which {} are weights; the bus moves {bus} bytes a cycle, so that takes {} at least.",
                bytes(moved.read()),
                thousands(moved.weights),
                count(moved.read().div_ceil(bus), "cycle"),
            );
        }
        let mut remedies = Vec::new();
        if self.is_first(layer) {
            remedies
                .push("It is the first layer: nothing runs yet behind which its data could be fetched. Smaller first loads let it start earlier.".to_owned());
        } else if moved.weights >= moved.activations {
            let levels = Level::of(self.run, OnChip::Weight);
            let (peak, depth) = (Level::peak(&levels), config.weight_depth as u64);
            remedies.push(match levels.is_empty() || peak * 10 >= depth * 9 {
                true => "A larger weight scratchpad (weight_depth) would let weights be fetched earlier, while the layers before compute.".to_owned(),
                false => format!(
                    "The weight scratchpad is never more than {} full: weights could be fetched earlier, while the layers before compute.",
                    percent(share(peak, depth))
                ),
            });
        } else {
            remedies.push(
                "A larger activation scratchpad (activation_depth) may keep its input on the chip."
                    .to_owned(),
            );
        }
        if config.bus_bits < 128 {
            remedies.push("A 128-bit bus moves twice as much a cycle.".to_owned());
        }
        (what, remedies.join(" "))
    }

    fn vector(&self, layer: usize, cycles: u64) -> (String, String) {
        let lanes = self.run.config.lanes;
        let of_run = self.of_run(cycles);
        let name = &self.run.layers[layer].name;
        let vector_only = !self.run.commands.iter().any(|c| c.layer == layer && c.engine == Engine::Matrix);
        let what = match vector_only {
            true => format!("{name} runs on the vector unit alone, and the MAC array has nothing to do meanwhile: {of_run}."),
            false => format!("{name} waits for the vector unit: {of_run}."),
        };
        let remedy = format!(
            "The vector unit handles {lanes} values a cycle: more lanes make it faster. Cut into pieces, its work can overlap with the \
             computing before and after it."
        );
        (what, remedy)
    }

    fn store(&self, layer: usize, cycles: u64) -> (String, String) {
        let what = format!(
            "{} has nothing to do but wait for results to be written to memory: {}. It writes {}.",
            self.run.layers[layer].name,
            self.of_run(cycles),
            bytes(self.bytes[layer].written)
        );
        let remedy = match self.run.commands.iter().max_by_key(|c| c.finish) {
            Some(last) if last.layer == layer => {
                "At the end of a run nothing is left to hide the last store behind; storing in pieces hides all but the last piece."
            }
            _ => {
                "A larger activation scratchpad may keep the tensor on the chip; a wider bus writes it faster."
            }
        };
        (what, remedy.to_owned())
    }

    fn fill(&self, layer: Option<usize>, cycles: u64) -> (String, String) {
        let mine = |c: &&crate::CommandSpan| {
            c.engine == Engine::Matrix && layer.is_none_or(|layer| c.layer == layer)
        };
        let commands = self.run.commands.iter().filter(mine).count() as u64;
        let who = match layer {
            Some(layer) => self.run.layers[layer].name.clone(),
            None => "All layers together".to_owned(),
        };
        let spend = if layer.is_some() { "spends" } else { "spend" };
        let mut what = format!(
            "{who} {spend} {} on filling and draining pipelines and on handling commands",
            self.of_run(cycles)
        );
        let each = share(cycles, commands).round() as u64;
        if commands > 0 {
            what += &format!(": {} for each of {}", thousands(each), count(commands, "matrix command"));
        }
        what.push('.');
        let config = &self.run.config;
        let (parts, lanes) = (config.cols / config.lanes, config.lanes);
        let remedy = if each > USUAL_FILL && parts > 1 {
            format!(
                "That is more than the pipeline needs. Most likely sums of fewer than {parts} steps are finished faster than the {lanes} lanes of the \
                 output stage take them: more lanes help."
            )
        } else {
            "Fewer and larger matrix commands fill the pipeline less often.".to_owned()
        };
        (what, remedy)
    }

    /// Whether the run's first cycles are the layer's.
    fn is_first(&self, layer: usize) -> bool {
        self.attribution.segments.first().is_some_and(|segment| segment.layer == layer)
    }
}
