//! What kept the MAC array from its peak, the biggest first, in words.

use crate::attribute::{attribute_valid, Attribution};
use crate::bytes::LayerBytes;
use crate::occupancy::Level;
use crate::run::{Engine, OnChip, Run, RunError};
use crate::text::{bytes, count, percent, share, thousands};
use frugal_isa::COMMAND_BYTES;
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

impl LossKind {
    const ALL: [LossKind; 5] =
        [LossKind::Multipliers, LossKind::Memory, LossKind::Vector, LossKind::Store, LossKind::Fill];
}

/// Cycles that a run could have done without.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Loss {
    pub kind: LossKind,
    /// The layer, or `None` for a loss of which no layer has half.
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
    for kind in LossKind::ALL {
        let mut layers: Vec<(usize, u64)> = attribution
            .layers
            .iter()
            .enumerate()
            .map(|(layer, breakdown)| {
                let cycles = match kind {
                    LossKind::Multipliers => breakdown.compute.saturating_sub(least_cycles(run, layer)),
                    LossKind::Memory => breakdown.memory,
                    LossKind::Vector => breakdown.vector,
                    LossKind::Store => breakdown.store,
                    LossKind::Fill => breakdown.fill,
                };
                (layer, cycles)
            })
            .filter(|(_, cycles)| *cycles > 0)
            .collect();
        layers.sort_by_key(|(_, cycles)| std::cmp::Reverse(*cycles));
        let outside = if kind == LossKind::Fill { attribution.outside } else { 0 };
        let all = layers.iter().map(|(_, cycles)| cycles).sum::<u64>() + outside;
        match layers.first() {
            // What is spread over many layers is one loss: told layer by layer it would hide behind smaller ones.
            Some((_, most)) if *most < all / 2 => losses.push(words.loss(kind, &layers, None, all)),
            None if all > 0 => losses.push(words.loss(kind, &layers, None, all)),
            _ => losses.extend(layers.iter().map(|one| words.loss(kind, &[*one], Some(one.0), one.1))),
        }
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

/// Share of the time from which on the load engine is taken to have no time left.
const ALWAYS_LOADING: f64 = 0.9;

/// The remedy for all losses of a sequential core.
const IN_SEQUENCE: &str =
    "A sequential core does one thing at a time: longer sums and fewer results cost less, and a configuration with engines side by side hides most of it.";

struct Words<'a> {
    run: &'a Run,
    attribution: &'a Attribution,
    bytes: Vec<LayerBytes>,
}

impl Words<'_> {
    /// The loss of these layers with their cycles, the biggest first; `layer` if it is one alone.
    fn loss(&self, kind: LossKind, layers: &[(usize, u64)], layer: Option<usize>, cycles: u64) -> Loss {
        let of_run =
            format!("{} cycles, {} of the run", thousands(cycles), percent(share(cycles, self.run.cycles)));
        let (mut what, mut remedy) = match kind {
            LossKind::Multipliers => self.multipliers(layers, &of_run),
            LossKind::Memory => self.memory(layers, &of_run),
            LossKind::Vector => self.vector(layers, &of_run),
            LossKind::Store => self.store(layers, &of_run),
            LossKind::Fill => self.fill(layers, cycles, &of_run),
        };
        if self.run.config.sequential {
            remedy = IN_SEQUENCE.to_owned();
        }
        if layers.len() > 1 {
            let most: Vec<String> = layers
                .iter()
                .take(3)
                .map(|(layer, cycles)| format!("{} ({})", self.run.layers[*layer].name, thousands(*cycles)))
                .collect();
            what += &format!(" Most of it in {}.", most.join(", "));
        }
        Loss { kind, layer, cycles, what, remedy }
    }

    /// `op01_CONV_2D waits`, `12 layers wait`.
    fn who(&self, layers: &[(usize, u64)], verb: (&str, &str)) -> String {
        match layers {
            [(layer, _)] => format!("{} {}", self.run.layers[*layer].name, verb.0),
            _ => format!("{} {}", count(layers.len() as u64, "layer"), verb.1),
        }
    }

    fn multipliers(&self, layers: &[(usize, u64)], of_run: &str) -> (String, String) {
        let (rows, cols) = (self.run.config.rows, self.run.config.cols);
        let peak = self.run.config.peak() as u64;
        let (mut macs, mut offered) = (0u64, 0u64);
        for (layer, _) in layers {
            macs = macs.saturating_add(self.run.layers[*layer].macs);
            offered = offered.saturating_add(self.attribution.layers[*layer].compute.saturating_mul(peak));
        }
        let what = format!(
            "{} only {} of the {rows} x {cols} multipliers while computing: that costs {of_run}.",
            self.who(layers, ("fills", "fill")),
            percent(share(macs, offered)),
        );
        let taps = self.run.config.depthwise_taps;
        let remedy = match layers.first().is_some_and(|(layer, _)| self.is_depthwise(*layer)) {
            true => format!(
                "A depthwise convolution sums each channel alone: a step computes {rows} channels with the taps of one column of the kernel, \
                 at most {taps}, so a kernel of 3 rows uses 3 of {cols} columns. Other kernels, or a narrower array, waste less."
            ),
            false => format!(
                "The array takes {rows} input channels and {cols} output channels at a time. Channel counts that are multiples of these fill \
                 it; an image of three colours, or a short window, cannot. A smaller array wastes less."
            ),
        };
        (what, remedy)
    }

    fn memory(&self, layers: &[(usize, u64)], of_run: &str) -> (String, String) {
        let config = &self.run.config;
        let bus = config.bus_bytes() as u64;
        let mut what = format!("{} for data from memory for {of_run}.", self.who(layers, ("waits", "wait")));
        let (mut weights, mut activations) = (0u64, 0u64);
        for (layer, _) in layers {
            weights = weights.saturating_add(self.bytes[*layer].weights);
            activations = activations.saturating_add(self.bytes[*layer].activations);
        }
        let read = weights.saturating_add(activations);
        if read > 0 {
            what += &format!(
                " {} {}, of which {} are weights; the bus moves {bus} bytes a cycle, so that takes {} at least.",
                if layers.len() == 1 { "It reads" } else { "They read" },
                bytes(read),
                thousands(weights),
                count(read.div_ceil(bus), "cycle"),
            );
        }
        let mut remedies = Vec::new();
        let loads = self.run.commands.iter().filter(|c| c.engine == Engine::Load);
        let loading = share(self.run.busy(Engine::Load), loads.map(|c| c.finish).max().unwrap_or(0));
        if layers.len() == 1 && self.is_first(layers[0].0) {
            remedies.push(
                "It is the first layer: nothing runs yet behind which its data could be fetched. Smaller first loads let it start earlier."
                    .to_owned(),
            );
        } else if loading > ALWAYS_LOADING {
            remedies.push(format!(
                "Loads run {} of the time until the last one ends, so nothing could be fetched earlier: only fewer bytes or a faster bus help.",
                percent(loading)
            ));
        } else if weights >= activations {
            let levels = Level::of(self.run, OnChip::Weight);
            let (peak, depth) = (Level::peak(&levels), config.weight_depth as u64);
            remedies.push(match levels.is_empty() || peak * 10 >= depth * 9 {
                true => {
                    "A larger weight scratchpad (weight_depth) would let weights be fetched earlier, while the layers before compute."
                        .to_owned()
                }
                false => format!(
                    "The weight scratchpad is never more than {} full: weights could be fetched earlier, while the layers before compute.",
                    percent(share(peak, depth))
                ),
            });
        } else {
            remedies.push(
                "A larger activation scratchpad (activation_depth) may keep inputs on the chip.".to_owned(),
            );
        }
        if config.bus_bits < 128 {
            remedies.push("A 128-bit bus moves twice as much a cycle.".to_owned());
        }
        (what, remedies.join(" "))
    }

    fn vector(&self, layers: &[(usize, u64)], of_run: &str) -> (String, String) {
        let lanes = self.run.config.lanes;
        let alone = layers.iter().all(|(layer, _)| {
            !self.run.commands.iter().any(|c| c.layer == *layer && c.engine == Engine::Matrix)
        });
        let what = match alone {
            true => format!(
                "{} on the vector unit alone, and the MAC array has nothing to do meanwhile: {of_run}.",
                self.who(layers, ("runs", "run"))
            ),
            false => format!("{} for the vector unit: {of_run}.", self.who(layers, ("waits", "wait"))),
        };
        let remedy = format!(
            "The vector unit adds, pools and gathers windows, {lanes} values or one window a cycle: more lanes make additions and pooling \
             faster. Cut into pieces, its work can overlap with the computing before and after it."
        );
        (what, remedy)
    }

    fn store(&self, layers: &[(usize, u64)], of_run: &str) -> (String, String) {
        let written =
            layers.iter().fold(0u64, |sum, (layer, _)| sum.saturating_add(self.bytes[*layer].written));
        let what = format!(
            "{} nothing to do but wait for results to be written to memory: {of_run}. {} {}.",
            self.who(layers, ("has", "have")),
            if layers.len() == 1 { "It writes" } else { "They write" },
            bytes(written)
        );
        let last = self.run.commands.iter().max_by_key(|c| c.finish).map(|c| c.layer);
        let remedy = if layers.len() == 1 && last == Some(layers[0].0) {
            "At the end of a run nothing is left to hide the last store behind; storing in pieces hides all but the last piece."
        } else {
            "A larger activation scratchpad may keep tensors on the chip; a wider bus writes them faster."
        };
        (what, remedy.to_owned())
    }

    fn fill(&self, layers: &[(usize, u64)], cycles: u64, of_run: &str) -> (String, String) {
        let commands = self
            .run
            .commands
            .iter()
            .filter(|c| c.engine == Engine::Matrix && layers.iter().any(|(layer, _)| c.layer == *layer))
            .count() as u64;
        let who = if layers.is_empty() {
            "The run spends".to_owned()
        } else {
            self.who(layers, ("spends", "spend"))
        };
        let between = layers.iter().map(|(layer, _)| self.attribution.between[*layer]).sum::<u64>();
        let within = cycles.saturating_sub(between);
        let each = share(within, commands).round() as u64;
        let mut what = match self.run.config.sequential {
            true => format!("{who} {of_run}, on instructions around the steps: loops, sums that are requantised, and handling commands"),
            false => format!("{who} {of_run}, on filling and draining pipelines and on handling commands"),
        };
        if commands > 0 {
            what += &format!(
                ": {} while {} at work ({} each), {} between them",
                thousands(within),
                if commands == 1 {
                    "1 matrix command is".to_owned()
                } else {
                    format!("{} matrix commands are", thousands(commands))
                },
                thousands(each),
                thousands(between)
            );
        }
        what.push('.');
        let config = &self.run.config;
        let lanes = config.lanes;
        // The layer that waits longest for its results to leave the array.
        let slowest = layers
            .iter()
            .max_by_key(|(layer, cycles)| cycles - self.attribution.between[*layer].min(*cycles));
        let is_depthwise = slowest.is_some_and(|(layer, _)| self.is_depthwise(*layer));
        let parts = if is_depthwise { config.rows } else { config.cols } / lanes;
        let is_held = match self.counter("MATRIX_WAITS_OUTPUT") {
            Some(held) => 2 * held.min(within) > within,
            None => is_depthwise || each > USUAL_FILL,
        };
        let remedy = if between > within {
            format!(
                "A command is {COMMAND_BYTES} bytes that come over the same bus as weights and activations, and waits behind long loads and for the memory's \
                 latency: fewer commands, shorter loads or a faster memory help."
            )
        } else if is_held && parts > 1 {
            format!(
                "Most likely the output stage holds the array back: a result leaves the array {lanes} values at a time, which takes {parts} cycles, and sums of \
                 fewer than {parts} steps are ready before that. More lanes help."
            )
        } else {
            "Fewer and larger matrix commands fill the pipeline less often.".to_owned()
        };
        (what, remedy)
    }

    /// What the hardware counted, in a run that has counters.
    fn counter(&self, name: &str) -> Option<u64> {
        self.run.counters.iter().find(|counter| counter.name == name).map(|counter| counter.value)
    }

    fn is_depthwise(&self, layer: usize) -> bool {
        let facts = &self.run.layers[layer];
        [&facts.name, &facts.operator].iter().any(|text| text.to_lowercase().contains("depthwise"))
    }

    /// Whether the run's first cycles are the layer's.
    fn is_first(&self, layer: usize) -> bool {
        self.attribution.segments.first().is_some_and(|segment| segment.layer == layer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::{CommandSpan, LayerFacts};
    use crate::trace::tests::empty;

    #[test]
    fn what_is_spread_over_layers_is_one_loss() {
        let mut run = empty();
        run.cycles = 3000;
        run.config.lanes = 4;
        let facts = |name: &str, macs| LayerFacts { name: name.into(), macs, ..LayerFacts::default() };
        run.layers = vec![facts("a", 128), facts("b", 128), facts("c", 128)];
        let command = |layer: usize| CommandSpan {
            index: layer,
            engine: Engine::Matrix,
            layer,
            label: String::new(),
            dispatched: None,
            start: 1000 * layer as u64,
            finish: 1000 * layer as u64 + 1000,
            issued: 901,
            macs: 0,
            bytes: 0,
            memory: None,
            steps: 0,
            waited_for: [0; 4],
        };
        run.commands = (0..3).map(command).collect();
        let told = losses(&run).unwrap();
        assert_eq!(told.len(), 2);
        assert_eq!((told[0].kind, told[0].layer, told[0].cycles), (LossKind::Multipliers, None, 2700));
        assert!(
            told[0].what.starts_with("3 layers fill only 0.1 % of the 16 x 8 multipliers"),
            "{}",
            told[0].what
        );
        assert!(told[0].what.ends_with("Most of it in a (900), b (900), c (900)."), "{}", told[0].what);
        assert_eq!((told[1].kind, told[1].layer, told[1].cycles), (LossKind::Fill, None, 297));
        assert!(told[1].remedy.contains("More lanes"), "{}", told[1].remedy);
    }
}
