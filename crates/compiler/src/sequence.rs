//! Pass *sequence*: an addition follows its larger operand.
//!
//! The vector engine adds while the matrix engine computes, if the other operand is there already. So of two layers that an
//! addition joins, the smaller one comes first, where the graph allows it: a shortcut with a 1x1 convolution moves ahead of the
//! last convolution of the main path.

use crate::layer::{Network, Operation};

/// Runs the pass.
pub fn sequence(network: &mut Network) {
    let mut position = 0;
    while position < network.layers.len() {
        if matches!(network.layers[position].operation, Operation::Binary(_)) {
            move_smaller_operand(network, position);
        }
        position += 1;
    }
}

fn move_smaller_operand(network: &mut Network, addition: usize) {
    let layers = &network.layers;
    let storage = |tensor: usize| network.storage(tensor);
    let producer =
        |tensor: usize| layers[..addition].iter().position(|layer| storage(layer.output) == storage(tensor));
    let inputs = &layers[addition].inputs;
    let (Some(a), Some(b)) = (producer(inputs[0]), producer(inputs[1])) else { return };
    let (earlier, later) = (a.min(b), a.max(b));
    let smaller = layers[later].multiply_accumulates < layers[earlier].multiply_accumulates;
    let ready = layers[later].inputs.iter().all(|tensor| producer(*tensor).is_none_or(|p| p < earlier));
    if earlier < later && smaller && ready {
        network.layers[earlier..=later].rotate_right(1);
    }
}
