//! Traces: programs that also store every intermediate tensor, so that two devices can be compared tensor by tensor.

use super::emitter::{position, Emitter};
use frugal_isa::command::{space, Patch, Store};

/// An intermediate tensor in the workspace of a traced program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Traced {
    /// What it is: `input norm`, `scores`, ...
    pub name: &'static str,
    /// Layer of the model; the number of layers for the final norm and the logits.
    pub layer: usize,
    /// In which part of the program: a piece of a prompt, or the loop.
    pub pass: usize,
    /// Workspace offset of the first one, and bytes of one.
    pub offset: usize,
    pub bytes: usize,
    /// 1 for int8, 4 for int32.
    pub element_bytes: usize,
    /// How many there are, one behind the other: one for each round of the loop.
    pub rounds: usize,
}

/// Where traced tensors go.
#[derive(Debug, Default)]
pub(super) struct Trace {
    pub next: usize,
    pub pass: usize,
    pub tensors: Vec<Traced>,
}

/// Where a tensor stands on the chip: rows of so many bytes, and addresses from one row to the next.
#[derive(Clone, Copy)]
pub(super) struct Standing {
    pub space: u32,
    pub address: usize,
    pub rows: usize,
    pub row_bytes: usize,
    pub stride: usize,
}

impl Standing {
    /// Vectors of int8.
    pub fn vectors(address: usize, rows: usize, row_bytes: usize, stride: usize) -> Standing {
        Standing { space: space::ACTIVATION, address, rows, row_bytes, stride }
    }

    /// Accumulator rows of so many int32.
    pub fn words(address: usize, rows: usize, words: usize, stride: usize) -> Standing {
        Standing { space: space::ACCUMULATOR, address, rows, row_bytes: 4 * words, stride }
    }
}

impl Emitter<'_> {
    /// Stores a tensor, if the program is traced.
    ///
    /// Stores take whole 16 bytes: of a tensor that is not, what is left at the end is not traced.
    ///
    /// Panics if one that changes with the rounds of a loop has 64 KiB or more: patches have 16-bit multipliers.
    pub fn trace(&mut self, name: &'static str, at: Standing) {
        let layer = self.layer as usize;
        let Some(trace) = &mut self.trace else { return };
        let address_bytes =
            if at.space == space::ACTIVATION { self.config.rows } else { 4 * self.config.lanes };
        let at = match at.stride * address_bytes == at.row_bytes {
            // One long row.
            true => Standing { rows: 1, row_bytes: at.rows * at.row_bytes, ..at },
            false => at,
        };
        let at = Standing { row_bytes: at.row_bytes / 16 * 16, ..at };
        if at.row_bytes == 0 {
            return;
        }
        let bytes = at.rows * at.row_bytes;
        let rounds = self.rounds.unwrap_or(1);
        let offset = trace.next;
        trace.next += bytes * rounds;
        let element_bytes = if at.space == space::ACTIVATION { 1 } else { 4 };
        trace.tensors.push(Traced { name, layer, pass: trace.pass, offset, bytes, element_bytes, rounds });
        let store = Store {
            space: at.space,
            base_register: 1,
            memory_offset: offset as u32,
            rows: at.rows as u32,
            row_bytes: at.row_bytes as u32,
            memory_stride: at.row_bytes as u32,
            address: at.address as u32,
            stride: at.stride as u32,
            ..Store::default()
        };
        if rounds == 1 {
            return self.push(store);
        }
        let multiplier = bytes.try_into().expect("a traced tensor of a loop is smaller than 64 KiB");
        self.push_patched(store, &[Patch { multiplier, ..position(0, 1, 3) }]);
    }
}
