//! Pass *allocate*: which tensors stay on the chip, and where.
//!
//! At first every tensor stays from its producer to its last reader. While the activation scratchpad is too small at some
//! layer, a tensor gives way: one whose absence helps most layers. A tensor that gave way is stored by its producer, and later
//! readers take it from the workspace piece by piece.

use crate::error::{ChipMemory, CompileError, Shortage};
use crate::layer::{vector_quantum, Network, Operation};
use crate::tile::{plan, Plan, Problem};
use frugal_isa::Config;
use std::ops::Range;

/// A tensor's stay on the chip.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stay {
    /// The first and the last layer, both included.
    first: usize,
    last: usize,
    /// Address of the first vector.
    base: usize,
}

/// Places of all tensors, and how each layer is cut.
#[derive(Clone, Debug)]
pub struct Allocation {
    /// For each tensor, its place in the workspace in bytes.
    pub workspace: Vec<Option<usize>>,
    pub workspace_bytes: usize,
    pub plans: Vec<Plan>,
}

/// For each tensor: its producer, and the layers that read it.
struct Uses {
    producers: Vec<Option<usize>>,
    readers: Vec<Vec<usize>>,
}

fn uses(network: &Network) -> Uses {
    let mut uses = Uses {
        producers: vec![None; network.tensors.len()],
        readers: vec![Vec::new(); network.tensors.len()],
    };
    for (index, layer) in network.layers.iter().enumerate() {
        uses.producers[network.storage(layer.output)] = Some(index);
        for input in &layer.inputs {
            let readers = &mut uses.readers[network.storage(*input)];
            if readers.last() != Some(&index) {
                readers.push(index);
            }
        }
    }
    uses
}

/// Runs the pass.
pub fn allocate(network: &Network, config: &Config) -> Result<Allocation, CompileError> {
    let uses = uses(network);
    let mut stays: Vec<Option<Stay>> = (0..network.tensors.len())
        .map(|tensor| {
            let readers = &uses.readers[tensor];
            let first = uses.producers[tensor].or(readers.first().copied())?;
            // A packed layer reads its image once, from top to bottom: it need not lie there as a whole.
            let packed = readers.iter().any(|r| matches!(network.layers[*r].operation, Operation::Packed(_)));
            if packed && 8 * network.tensors[tensor].place.vectors() > config.activation_depth {
                return None;
            }
            Some(Stay { first, last: readers.last().copied().unwrap_or(first), base: 0 })
        })
        .collect();
    loop {
        let failed = match place(network, config, &mut stays) {
            Ok(()) => match plan_all(network, config, &uses, &stays) {
                Ok(plans) => return Ok(finish(network, config, &uses, &stays, plans)),
                Err((layer, lack)) if lack.memory == ChipMemory::Activation => (layer, lack.needs),
                Err((layer, lack)) => return Err(shortage(network, config, layer, lack.memory, lack.needs)),
            },
            Err(layer) => (layer, usize::MAX),
        };
        if !give_way(network, &uses, &mut stays, failed.0, config.activation_depth) {
            return Err(shortage(network, config, failed.0, ChipMemory::Activation, failed.1));
        }
    }
}

fn shortage(
    network: &Network,
    config: &Config,
    layer: usize,
    memory: ChipMemory,
    needs: usize,
) -> CompileError {
    CompileError::DoesNotFit(Box::new(Shortage {
        layer: network.layers[layer].name.clone(),
        memory,
        needs,
        has: memory.depth(config),
        unit_bytes: memory.unit_bytes(config),
        config: config.name.clone(),
        preset: None,
    }))
}

/// Makes one tensor leave the chip at a layer; false when none is there.
///
/// The best is one without which fewest layers want more than there is: of a chain of large tensors every second one leaves. Among
/// equals a tensor that only lies across the layer goes first, then the largest input, then the output.
fn give_way(network: &Network, uses: &Uses, stays: &mut [Option<Stay>], layer: usize, depth: usize) -> bool {
    let used = network.storages_of(layer);
    let size = |tensor: usize| network.tensors[tensor].place.vectors();
    // The last reader before this layer is the last that finds it on the chip.
    let shortened = |tensor: usize, stay: Stay| {
        let last = uses.readers[tensor].iter().rev().find(|reader| **reader < layer);
        last.map(|last| Stay { last: *last, ..stay })
    };
    let crowded_without = |victim: usize, stay: Stay| -> usize {
        let without = shortened(victim, stay);
        let wanted = |at: usize| -> usize {
            let there = |t: usize| if t == victim { without } else { stays[t] };
            let is_there = |t: &usize| there(*t).is_some_and(|stay| stay.first <= at && at <= stay.last);
            (0..stays.len()).filter(is_there).map(size).sum()
        };
        (0..network.layers.len()).filter(|at| wanted(*at) > depth).count()
    };
    let candidates = (0..stays.len()).filter_map(|tensor| {
        let stay = stays[tensor].filter(|stay| stay.first <= layer && layer <= stay.last)?;
        let role = match tensor {
            _ if used.inputs.contains(&tensor) => 1,
            _ if used.output == tensor => 2,
            _ => 0,
        };
        Some((crowded_without(tensor, stay), role, std::cmp::Reverse(size(tensor)), tensor, stay))
    });
    let Some((.., victim, stay)) =
        candidates.min_by_key(|(crowded, role, size, ..)| (*crowded, *role, *size))
    else {
        return false;
    };
    stays[victim] = shortened(victim, stay);
    true
}

/// Tensors that share an address because an addition overwrites its operand.
struct Buffer {
    tensors: Vec<usize>,
    first: usize,
    last: usize,
    vectors: usize,
}

fn buffers(network: &Network, stays: &[Option<Stay>]) -> Vec<Buffer> {
    let mut owner: Vec<Option<usize>> = vec![None; stays.len()];
    let mut buffers: Vec<Buffer> = Vec::new();
    let mut order: Vec<usize> = (0..stays.len()).filter(|t| stays[*t].is_some()).collect();
    order.sort_by_key(|t| stays[*t].map(|stay| stay.first));
    for tensor in order {
        let stay = stays[tensor].expect("only those that stay");
        let vectors = network.tensors[tensor].place.vectors();
        let producer = network.layers.iter().position(|layer| network.storage(layer.output) == tensor);
        let replaced = producer.and_then(|index| {
            let Operation::Binary(binary) = &network.layers[index].operation else { return None };
            let inputs = network.storages_of(index).inputs;
            let ends_here = |t: usize| stays[t].is_some_and(|s| s.first < index && s.last == index);
            let whole = |p: &usize| !binary.one_pixel[*p] && network.tensors[inputs[*p]].constant.is_none();
            (0..2).rev().filter(whole).map(|position| inputs[position]).find(|t| ends_here(*t))
        });
        match replaced.and_then(|operand| owner[operand]) {
            Some(buffer) if buffers[buffer].last == stay.first => {
                buffers[buffer].tensors.push(tensor);
                buffers[buffer].last = stay.last;
                owner[tensor] = Some(buffer);
            }
            _ => {
                owner[tensor] = Some(buffers.len());
                buffers.push(Buffer { tensors: vec![tensor], first: stay.first, last: stay.last, vectors });
            }
        }
    }
    buffers
}

/// Gives every stay its address; otherwise the first layer at which there is no room.
fn place(network: &Network, config: &Config, stays: &mut [Option<Stay>]) -> Result<(), usize> {
    let buffers = buffers(network, stays);
    let mut by_size: Vec<usize> = (0..buffers.len()).collect();
    by_size.sort_by_key(|b| (std::cmp::Reverse(buffers[*b].vectors), buffers[*b].first));
    let by_time: Vec<usize> = (0..buffers.len()).collect();
    let mut failure = 0;
    for order in [by_size, by_time] {
        let mut placed: Vec<(usize, usize)> = Vec::new();
        let mut complete = true;
        for index in order {
            let buffer = &buffers[index];
            let overlapping = placed
                .iter()
                .filter(|(other, _)| {
                    buffers[*other].first <= buffer.last && buffer.first <= buffers[*other].last
                })
                .map(|(other, base)| *base..*base + buffers[*other].vectors)
                .collect();
            let gaps = free(overlapping, config);
            match gaps.into_iter().find(|gap| gap.len() >= buffer.vectors) {
                Some(gap) => placed.push((index, gap.start)),
                None => {
                    failure = crowded_layer(&buffers, buffer);
                    complete = false;
                    break;
                }
            }
        }
        if complete {
            for (index, base) in placed {
                for tensor in &buffers[index].tensors {
                    if let Some(stay) = &mut stays[*tensor] {
                        stay.base = base;
                    }
                }
            }
            return Ok(());
        }
    }
    Err(failure)
}

/// The layer of a buffer's stay at which most vectors are wanted.
fn crowded_layer(buffers: &[Buffer], buffer: &Buffer) -> usize {
    let wanted = |layer: &usize| -> usize {
        buffers.iter().filter(|b| b.first <= *layer && *layer <= b.last).map(|b| b.vectors).sum()
    };
    (buffer.first..=buffer.last).rev().max_by_key(wanted).unwrap_or(buffer.first)
}

/// What the used ranges leave of the activation scratchpad.
fn free(mut used: Vec<Range<usize>>, config: &Config) -> Vec<Range<usize>> {
    used.sort_by_key(|range| range.start);
    let quantum = vector_quantum(config);
    let mut gaps = Vec::new();
    let mut start = 0;
    for range in used {
        if range.start > start {
            gaps.push(start..range.start);
        }
        start = start.max(range.end.next_multiple_of(quantum));
    }
    if start < config.activation_depth {
        gaps.push(start..config.activation_depth);
    }
    gaps
}

fn plan_all(
    network: &Network,
    config: &Config,
    uses: &Uses,
    stays: &[Option<Stay>],
) -> Result<Vec<Plan>, (usize, crate::tile::Lack)> {
    let mut plans = Vec::new();
    for (index, layer) in network.layers.iter().enumerate() {
        let here = |tensor: usize| {
            stays[tensor].filter(|stay| stay.first <= index && index <= stay.last).map(|stay| stay.base)
        };
        let used = (0..stays.len())
            .filter_map(|tensor| {
                here(tensor).map(|base| base..base + network.tensors[tensor].place.vectors())
            })
            .collect();
        let flat = layer.operation.is_flat();
        let image = |tensor: usize| {
            let place = network.tensors[tensor].place;
            if flat {
                place.flat()
            } else {
                place
            }
        };
        let storages = network.storages_of(index);
        let problem = Problem {
            config,
            operation: &layer.operation,
            inputs: layer.inputs.iter().map(|t| image(*t)).collect(),
            output: image(layer.output),
            resident_inputs: storages.inputs.iter().map(|t| here(*t)).collect(),
            resident_output: here(storages.output),
            stored: in_workspace(network, uses, stays, storages.output),
            gaps: free(used, config),
        };
        plans.push(plan(&problem).map_err(|lack| (index, lack))?);
    }
    Ok(plans)
}

/// Whether a tensor has a place in the workspace: the host writes or reads it, or a layer finds it only there.
fn in_workspace(network: &Network, uses: &Uses, stays: &[Option<Stay>], tensor: usize) -> bool {
    if network.tensors[tensor].constant.is_some() {
        return false;
    }
    network.inputs.contains(&tensor)
        || network.outputs.iter().any(|output| network.storage(output.tensor) == tensor)
        || match stays[tensor] {
            Some(stay) => uses.readers[tensor].iter().any(|reader| *reader > stay.last),
            None => true,
        }
}

fn finish(
    network: &Network,
    config: &Config,
    uses: &Uses,
    stays: &[Option<Stay>],
    plans: Vec<Plan>,
) -> Allocation {
    let (workspace, workspace_bytes) = place_workspace(network, config, uses, stays);
    let mut workspace = workspace;
    for tensor in 0..workspace.len() {
        workspace[tensor] = workspace[network.storage(tensor)];
    }
    Allocation { workspace, workspace_bytes, plans }
}

/// Bytes of the workspace: each tensor has its place from its producer (inputs from the beginning) to its last reader (outputs to the
/// end), the largest first, each where there is room.
fn place_workspace(
    network: &Network,
    config: &Config,
    uses: &Uses,
    stays: &[Option<Stay>],
) -> (Vec<Option<usize>>, usize) {
    let is_output =
        |tensor: usize| network.outputs.iter().any(|output| network.storage(output.tensor) == tensor);
    let life = |tensor: usize| {
        let first = uses.producers[tensor].unwrap_or(0);
        let last = uses.readers[tensor].last().copied().unwrap_or(first);
        if is_output(tensor) {
            (first, usize::MAX)
        } else {
            (first, last)
        }
    };
    let bytes = |tensor: usize| (network.tensors[tensor].place.vectors() * config.rows).next_multiple_of(64);
    let mut tensors: Vec<usize> = (0..network.tensors.len())
        .filter(|t| network.tensors[*t].alias_of.is_none() && in_workspace(network, uses, stays, *t))
        .collect();
    tensors.sort_by_key(|tensor| (std::cmp::Reverse(bytes(*tensor)), *tensor));
    let mut places: Vec<Option<usize>> = vec![None; network.tensors.len()];
    let mut end = 0;
    for (index, tensor) in tensors.iter().enumerate() {
        let (first, last) = life(*tensor);
        let mut taken: Vec<Range<usize>> = tensors[..index]
            .iter()
            .filter(|other| life(**other).0 <= last && first <= life(**other).1)
            .filter_map(|other| places[*other].map(|place| place..place + bytes(*other)))
            .collect();
        taken.sort_by_key(|range| range.start);
        let mut place = 0;
        for range in taken {
            if place + bytes(*tensor) <= range.start {
                break;
            }
            place = place.max(range.end);
        }
        places[*tensor] = Some(place);
        end = end.max(place + bytes(*tensor));
    }
    (places, end)
}
