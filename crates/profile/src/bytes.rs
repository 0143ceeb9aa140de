//! What each layer moves over the memory bus.

use crate::run::{Engine, OnChip, Run};
use serde::Serialize;

/// Bytes that the loads and stores of one layer move.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LayerBytes {
    /// Read into the weight scratchpad and the parameter memory.
    pub weights: u64,
    /// Read into the activation scratchpad and the accumulator memory, or to an unknown place.
    pub activations: u64,
    pub written: u64,
}

impl LayerBytes {
    /// For each layer of the run. Command fetches belong to none.
    pub fn of(run: &Run) -> Vec<LayerBytes> {
        let mut layers = vec![LayerBytes::default(); run.layers.len()];
        for command in &run.commands {
            let Some(layer) = layers.get_mut(command.layer) else { continue };
            let field = match (command.engine, command.memory) {
                (Engine::Load, Some(OnChip::Weight | OnChip::Parameter)) => &mut layer.weights,
                (Engine::Load, _) => &mut layer.activations,
                (Engine::Store, _) => &mut layer.written,
                _ => continue,
            };
            *field = field.saturating_add(command.bytes);
        }
        layers
    }

    pub fn read(&self) -> u64 {
        self.weights.saturating_add(self.activations)
    }

    pub fn total(&self) -> u64 {
        self.read().saturating_add(self.written)
    }
}
