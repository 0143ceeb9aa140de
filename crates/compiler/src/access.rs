//! Which addresses a command reads and writes: what tokens are made from.

use frugal_isa::command::{
    layout, row_destination, row_reduce, scalar_use, space, Load, Matrix, Move, Row, Store, Vector,
};
use frugal_isa::{Command, Config};
use std::ops::Range;

/// A memory whose accesses need an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Memory {
    Activation = 0,
    Weight = 1,
    Parameter = 2,
    Accumulator = 3,
    /// Tables of the vector unit.
    Table = 5,
    /// Group scales of 4-bit weights.
    Scale = 6,
    /// The workspace behind the bus, in units of 16 bytes. Constants are only read and need no order.
    Workspace = 4,
    /// Words of the scalar memory, as far as engines are concerned. What dispatch itself does with them is ordered by barriers.
    Scalar = 7,
}

impl Memory {
    pub const COUNT: usize = 8;
}

/// Addresses of one memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    pub memory: Memory,
    pub addresses: Range<u32>,
}

/// Everything that one command reads and writes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Access {
    pub reads: Vec<Span>,
    pub writes: Vec<Span>,
}

/// Register whose memory commands write.
const WORKSPACE_REGISTER: u32 = 1;

/// A set of addresses of 16 bits.
struct Addresses(Vec<u64>);

impl Addresses {
    fn new() -> Addresses {
        Addresses(vec![0; 1 << 10])
    }

    fn insert(&mut self, address: u32) {
        let address = address as usize & 0xffff;
        self.0[address >> 6] |= 1 << (address & 63);
    }

    fn spans(&self, memory: Memory, spans: &mut Vec<Span>) {
        let mut start = None;
        for (word, bits) in self.0.iter().enumerate() {
            let first = 64 * word as u32;
            match (start, *bits) {
                (None, 0) | (Some(_), u64::MAX) => continue,
                _ => {}
            }
            for bit in 0..64 {
                match (start, bits >> bit & 1) {
                    (None, 1) => start = Some(first + bit),
                    (Some(begin), 0) => {
                        spans.push(Span { memory, addresses: begin..first + bit });
                        start = None;
                    }
                    _ => {}
                }
            }
        }
        if let Some(begin) = start {
            spans.push(Span { memory, addresses: begin..1 << 16 });
        }
    }
}

impl Access {
    /// The same addresses, each once.
    pub fn merged(mut self) -> Access {
        for spans in [&mut self.reads, &mut self.writes] {
            spans.sort_by_key(|span| (span.memory, span.addresses.start, span.addresses.end));
            let mut merged: Vec<Span> = Vec::new();
            for span in spans.drain(..) {
                match merged.last_mut() {
                    Some(last)
                        if last.memory == span.memory && span.addresses.start <= last.addresses.end =>
                    {
                        last.addresses.end = last.addresses.end.max(span.addresses.end);
                    }
                    _ => merged.push(span),
                }
            }
            *spans = merged;
        }
        self
    }
}

impl Access {
    /// The accesses of a command.
    pub fn of(command: &Command, config: &Config) -> Access {
        let mut access = Access::default();
        match command {
            Command::Load(load) => access.load(load, config),
            Command::Store(store) => access.store(store, config),
            Command::Matrix(matrix) => access.matrix(matrix, config),
            Command::Vector(vector) => access.vector(vector, config),
            Command::Move(command) => access.move_bytes(command, config),
            Command::Row(row) => access.row(row, config),
            Command::Barrier(_)
            | Command::End(_)
            | Command::Adjust(_)
            | Command::Set(_)
            | Command::Branch(_) => {}
        }
        access
    }

    fn load(&mut self, load: &Load, config: &Config) {
        if load.base_register == WORKSPACE_REGISTER {
            memory_rows(load.memory_offset, load.rows, load.row_bytes, load.memory_stride, &mut self.reads);
        }
        let mut addresses = Addresses::new();
        let (memory, unit) = destination(load.space, load.layout, config);
        if memory == Memory::Scalar {
            // An address stands for four of them.
            for row in 0..load.rows {
                let first = load.address.wrapping_add(row.wrapping_mul(load.stride)) & 0xffff;
                for i in 0..load.row_bytes.div_ceil(unit as u32) {
                    addresses.insert((4 * first).saturating_add(i).min(0xffff));
                }
            }
        } else if load.layout == layout::LINEAR || matches!(memory, Memory::Table | Memory::Scale) {
            let each = load.row_bytes.div_ceil(unit as u32);
            for row in 0..load.rows {
                for i in 0..each {
                    addresses
                        .insert(load.address.wrapping_add(row.wrapping_mul(load.stride)).wrapping_add(i));
                }
            }
        } else {
            // The memory's rows and the bytes of a row are columns and reduction index, or the other way round.
            let rows = load.first_row..load.first_row + load.rows;
            let (columns, depths) = match load.layout {
                layout::COLUMN => (rows, 0..load.row_bytes),
                _ => (0..load.row_bytes, rows),
            };
            let (cols, height) = (config.cols as u32, config.rows as u32);
            for group in columns.start / cols..columns.end.div_ceil(cols) {
                for tile in depths.start / height..depths.end.div_ceil(height) {
                    addresses.insert(
                        load.address.wrapping_add(group.wrapping_mul(load.stride)).wrapping_add(tile),
                    );
                }
            }
        }
        addresses.spans(memory, &mut self.writes);
    }

    fn store(&mut self, store: &Store, config: &Config) {
        memory_rows(store.memory_offset, store.rows, store.row_bytes, store.memory_stride, &mut self.writes);
        let (memory, unit) = destination(store.space, layout::LINEAR, config);
        let mut addresses = Addresses::new();
        for row in 0..store.rows {
            for i in 0..store.row_bytes.div_ceil(unit as u32) {
                addresses.insert(store.address.wrapping_add(row.wrapping_mul(store.stride)).wrapping_add(i));
            }
        }
        addresses.spans(memory, &mut self.reads);
    }

    fn matrix(&mut self, m: &Matrix, config: &Config) {
        let mut read = Addresses::new();
        let taps_y = taps(m.outputs_y, m.kernel_y, m.start_y, (m.step_y, m.kernel_step_y), m.input_height);
        let taps_x = taps(m.outputs_x, m.kernel_x, m.start_x, (m.step_x, m.kernel_step_x), m.input_width);
        let columns: Vec<u32> = offsets(&taps_x, m.stride_x, m.stride_kernel_x);
        // A tile of a dense product reads what the first one reads; a depthwise one its own channels.
        let vectors = if m.depthwise { m.channels + m.tiles - 1 } else { m.channels };
        for row in offsets(&taps_y, m.stride_y, m.stride_kernel_y) {
            for column in &columns {
                for c in 0..vectors {
                    let offset = row.wrapping_add(*column).wrapping_add(c.wrapping_mul(m.stride_channel));
                    read.insert(m.activation_address.wrapping_add(offset));
                }
            }
        }
        read.spans(Memory::Activation, &mut self.reads);
        let steps = m.kernel_y * m.kernel_x * m.channels;
        if m.weight_stride_tile == 0 {
            wrapped(Memory::Weight, m.weight_address, m.tiles.saturating_mul(steps), &mut self.reads);
        } else {
            let mut weights = Addresses::new();
            for t in 0..m.tiles {
                for step in 0..steps.min(1 << 16) {
                    weights
                        .insert(m.weight_address + t.wrapping_mul(m.weight_stride_tile).wrapping_add(step));
                }
            }
            weights.spans(Memory::Weight, &mut self.reads);
        }
        if m.four_bit {
            let mut scales = Addresses::new();
            let tile_stride = if m.weight_stride_tile == 0 { steps } else { m.weight_stride_tile };
            let group = config.scale_tiles() as u32;
            for t in 0..m.tiles {
                let first = m.weight_address.wrapping_add(t.wrapping_mul(tile_stride));
                for step in (0..steps.min(1 << 16)).step_by(group as usize) {
                    scales.insert((first.wrapping_add(step) & 0xffff) / group);
                }
            }
            scales.spans(Memory::Scale, &mut self.reads);
        }
        let channels = match (m.depthwise, m.four_bit) {
            (true, _) => config.rows,
            (false, true) => 2 * config.cols,
            (false, false) => config.cols,
        };
        let groups = (channels / config.lanes) as u32;
        if !(m.accumulate && m.to_accumulator && !m.rescale) {
            wrapped(Memory::Parameter, m.parameter_address, m.tiles * groups, &mut self.reads);
        }
        let kept = m.skip..m.outputs_x;
        if m.row_results {
            let mut rows = Addresses::new();
            for t in 0..m.tiles {
                let lane = m.output_lane + t * channels as u32;
                let (vector, lane) = (lane / config.rows as u32, lane % config.rows as u32);
                let first = m.output_address + lane / config.lanes as u32;
                let first = first.wrapping_add(vector.wrapping_mul(m.output_stride_tile));
                for y in 0..m.outputs_y {
                    for x in kept.clone() {
                        let offset =
                            y.wrapping_mul(m.output_stride_y).wrapping_add(x.wrapping_mul(m.output_stride_x));
                        for g in 0..groups {
                            rows.insert(first.wrapping_add(offset).wrapping_add(g));
                        }
                    }
                }
            }
            if m.accumulate || m.add_row {
                rows.spans(Memory::Accumulator, &mut self.reads);
            }
            rows.spans(Memory::Accumulator, &mut self.writes);
            return;
        }
        let rows = m.tiles * m.outputs_y * kept.len() as u32 * groups;
        if m.accumulate {
            wrapped(Memory::Accumulator, m.accumulator_address, rows, &mut self.reads);
        }
        if m.to_accumulator {
            wrapped(Memory::Accumulator, m.accumulator_address, rows, &mut self.writes);
            return;
        }
        let mut written = Addresses::new();
        let (first, last) = (m.output_lane, m.output_lane + m.tiles * channels as u32 - 1);
        for chunk in first / config.rows as u32..=last / config.rows as u32 {
            for y in 0..m.outputs_y {
                for x in kept.clone() {
                    let offset =
                        y.wrapping_mul(m.output_stride_y).wrapping_add(x.wrapping_mul(m.output_stride_x));
                    written.insert(
                        m.output_address
                            .wrapping_add(offset)
                            .wrapping_add(chunk.wrapping_mul(m.output_stride_tile)),
                    );
                }
            }
        }
        written.spans(Memory::Activation, &mut self.writes);
    }

    fn vector(&mut self, v: &Vector, config: &Config) {
        let results = v.groups.wrapping_mul(v.outputs_y).wrapping_mul(v.outputs_x);
        let first_chunk = v.first_lane / config.rows as u32;
        let last_chunk = (v.first_lane + v.groups * config.lanes as u32 - 1) / config.rows as u32;
        if v.source == 1 {
            wrapped(Memory::Accumulator, v.source_address, results, &mut self.reads);
        } else {
            let mut read = Addresses::new();
            let taps_y = taps(v.outputs_y, v.kernel_y, v.start_y, (v.step_y, 1), v.input_height);
            let taps_x = taps(v.outputs_x, v.kernel_x, v.start_x, (v.step_x, 1), v.input_width);
            let columns: Vec<u32> = offsets(&taps_x, v.stride_x, v.stride_kernel_x);
            for row in offsets(&taps_y, v.stride_y, v.stride_kernel_y) {
                for column in &columns {
                    for chunk in first_chunk..=last_chunk {
                        let offset =
                            row.wrapping_add(*column).wrapping_add(chunk.wrapping_mul(v.stride_group));
                        read.insert(v.source_address.wrapping_add(offset));
                    }
                }
            }
            read.spans(Memory::Activation, &mut self.reads);
        }
        if v.add_operand || v.multiply_operand {
            let rows = if v.operand_per_group { v.groups } else { results };
            wrapped(Memory::Accumulator, v.operand_address, rows, &mut self.reads);
        }
        if v.destination == 1 {
            wrapped(Memory::Accumulator, v.destination_address, results, &mut self.writes);
            return;
        }
        if v.lookup {
            wrapped(Memory::Table, v.table, 1, &mut self.reads);
        }
        let mut written = Addresses::new();
        for chunk in first_chunk..=last_chunk {
            for y in 0..v.outputs_y {
                for x in 0..v.outputs_x {
                    let offset =
                        y.wrapping_mul(v.output_stride_y).wrapping_add(x.wrapping_mul(v.output_stride_x));
                    written.insert(
                        v.destination_address
                            .wrapping_add(offset)
                            .wrapping_add(chunk.wrapping_mul(v.output_stride_group)),
                    );
                }
            }
        }
        written.spans(Memory::Activation, &mut self.writes);
    }
}

impl Access {
    fn move_bytes(&mut self, m: &Move, config: &Config) {
        let (mut read, mut written) = (Addresses::new(), Addresses::new());
        let width = i64::from(m.input_width);
        for y in 0..m.outputs_y {
            let row = m.source_address.wrapping_add(y.wrapping_mul(m.stride_y));
            let is_inside =
                !taps(1, 1, m.start_y.wrapping_add((y * m.step_y) as i32), (0, 0), m.input_height).is_empty();
            for x in 0..m.outputs_x {
                let first = (m.start_x as u32).wrapping_add(x.wrapping_mul(m.step_x)) as u16 as i16;
                let first = i64::from(first);
                let (start, end) = (first.max(0), (first + i64::from(m.bytes)).min(width));
                if is_inside && start < end {
                    let rows = config.rows as i64;
                    for vector in start / rows..(end - 1) / rows + 1 {
                        read.insert(row.wrapping_add(vector as u32));
                    }
                }
                let offset =
                    y.wrapping_mul(m.output_stride_y).wrapping_add(x.wrapping_mul(m.output_stride_x));
                written.insert(m.destination_address.wrapping_add(offset));
            }
        }
        read.spans(Memory::Activation, &mut self.reads);
        written.spans(Memory::Activation, &mut self.writes);
    }
}

impl Access {
    fn row(&mut self, r: &Row, config: &Config) {
        let (mut read, mut written) = (Addresses::new(), Addresses::new());
        let (mut scalars_read, mut scalars_written) = (Addresses::new(), Addresses::new());
        let mut n = 0u32;
        for y in 0..r.rows_y {
            for x in 0..r.rows_x {
                let at = |base: u32, stride_y: u32, stride_x: u32| {
                    base.wrapping_add(y.wrapping_mul(stride_y)).wrapping_add(x.wrapping_mul(stride_x))
                };
                let source = at(r.source_address, r.source_stride_y, r.source_stride_x);
                let operand = at(r.operand_address, r.operand_stride_y, r.operand_stride_x);
                let destination = at(r.destination_address, r.destination_stride_y, r.destination_stride_x);
                for g in 0..r.groups {
                    for k in 0..r.taps {
                        read.insert(source.wrapping_add(g).wrapping_add(k.wrapping_mul(r.source_stride_tap)));
                        if r.operand {
                            let tap = k.wrapping_mul(r.operand_stride_tap);
                            read.insert(operand.wrapping_add(g).wrapping_add(tap));
                        }
                    }
                    match r.destination {
                        row_destination::ACTIVATION => {
                            let lane = r.first_lane + g * config.lanes as u32;
                            written.insert(destination.wrapping_add(lane / config.rows as u32));
                        }
                        row_destination::ACCUMULATOR => written.insert(destination.wrapping_add(g)),
                        _ => {}
                    }
                }
                let best = [0, 1].map(|i| r.result_address.wrapping_add(2 * n + i) & 0xff);
                match r.scalar_use {
                    scalar_use::ADD | scalar_use::SCALE => {
                        scalars_read.insert(r.scalar_address.wrapping_add(n) & 0xff);
                    }
                    scalar_use::CONTINUE => best.into_iter().for_each(|scalar| scalars_read.insert(scalar)),
                    _ => {}
                }
                match r.reduce {
                    row_reduce::NONE => {}
                    row_reduce::ARGMAX => best.into_iter().for_each(|scalar| scalars_written.insert(scalar)),
                    _ => scalars_written.insert(r.result_address.wrapping_add(n) & 0xff),
                }
                n = n.wrapping_add(1) & 0xffff;
            }
        }
        read.spans(Memory::Accumulator, &mut self.reads);
        scalars_read.spans(Memory::Scalar, &mut self.reads);
        let memory = match r.destination {
            row_destination::ACTIVATION => Memory::Activation,
            _ => Memory::Accumulator,
        };
        written.spans(memory, &mut self.writes);
        scalars_written.spans(Memory::Scalar, &mut self.writes);
    }
}

/// Memory and bytes of an address of a `space`; of a scalar, a fourth of the address.
fn destination(value: u32, layout: u32, config: &Config) -> (Memory, usize) {
    match value {
        space::PARAMETER if layout == layout::TABLE => (Memory::Table, Config::TABLE_BYTES),
        space::PARAMETER if layout == layout::SCALARS => (Memory::Scalar, 4),
        space::ACTIVATION => (Memory::Activation, config.rows),
        space::WEIGHT if layout == layout::SCALES => (Memory::Scale, config.scale_row_bytes()),
        space::WEIGHT => (Memory::Weight, config.tile_bytes()),
        space::PARAMETER => (Memory::Parameter, config.parameter_group_bytes()),
        _ => (Memory::Accumulator, 4 * config.lanes),
    }
}

/// Pairs of output and kernel index that lie inside the image, without those that give the same address twice.
fn taps(outputs: u32, kernel: u32, start: i32, steps: (u32, u32), size: u32) -> Vec<(u32, u32)> {
    let mut taps = Vec::new();
    for output in 0..outputs {
        for tap in 0..kernel {
            let position = (start as u32).wrapping_add(output * steps.0).wrapping_add(tap * steps.1);
            let position = position as u16 as i16;
            if position >= 0 && (position as u32) < size {
                taps.push((output, tap));
            }
        }
    }
    taps
}

/// Distinct address offsets of the taps.
fn offsets(taps: &[(u32, u32)], stride: u32, kernel_stride: u32) -> Vec<u32> {
    let address = |tap: &(u32, u32)| {
        (tap.0.wrapping_mul(stride)).wrapping_add(tap.1.wrapping_mul(kernel_stride)) & 0xffff
    };
    let mut offsets: Vec<u32> = taps.iter().map(address).collect();
    offsets.sort_unstable();
    offsets.dedup();
    offsets
}

/// `count` addresses from `start` on, modulo 2^16.
fn wrapped(memory: Memory, start: u32, count: u32, spans: &mut Vec<Span>) {
    let end = start + count.min(1 << 16);
    spans.push(Span { memory, addresses: start..end.min(1 << 16) });
    if end > 1 << 16 {
        spans.push(Span { memory, addresses: 0..end - (1 << 16) });
    }
}

/// Rows of bytes of the workspace, in units of 16 bytes; neighbouring rows become one span.
fn memory_rows(offset: u32, rows: u32, row_bytes: u32, stride: u32, spans: &mut Vec<Span>) {
    let unit = frugal_isa::MEMORY_QUANTUM;
    for row in 0..rows {
        let start = offset.wrapping_add(row.wrapping_mul(stride)) / unit;
        let addresses = start..start + row_bytes.div_ceil(unit);
        match spans.last_mut() {
            Some(last) if last.memory == Memory::Workspace && last.addresses.end == addresses.start => {
                last.addresses.end = addresses.end;
            }
            _ => spans.push(Span { memory: Memory::Workspace, addresses }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use frugal_isa::command::function;

    fn spans(spans: &[Span]) -> Vec<(Memory, Range<u32>)> {
        spans.iter().map(|span| (span.memory, span.addresses.clone())).collect()
    }

    #[test]
    fn rows_reach_sources_operands_results_and_scalars() {
        let config = Config::preset("nano").expect("a preset");
        let row = Row {
            function: function::MULTIPLY,
            operand: true,
            taps: 2,
            reduce: row_reduce::ARGMAX,
            scalar_use: scalar_use::SCALE,
            destination: row_destination::ACTIVATION,
            source_address: 10,
            source_stride_x: 8,
            source_stride_tap: 4,
            operand_address: 100,
            operand_stride_tap: 50,
            destination_address: 20,
            destination_stride_x: 10,
            rows_x: 2,
            groups: 3,
            first_lane: 4,
            scalar_address: 254,
            result_address: 255,
            ..Row::default()
        };
        let access = Access::of(&row.into(), &config);
        use Memory::{Accumulator, Activation, Scalar};
        assert_eq!(
            spans(&access.reads),
            [
                (Accumulator, 10..13),
                (Accumulator, 14..17),
                (Accumulator, 18..21),
                (Accumulator, 22..25),
                (Accumulator, 100..103),
                (Accumulator, 150..153),
                (Scalar, 254..256),
            ]
        );
        assert_eq!(
            spans(&access.writes),
            [(Activation, 20..22), (Activation, 30..32), (Scalar, 0..3), (Scalar, 255..256)]
        );
    }

    #[test]
    fn loads_of_scalars_reach_four_for_every_address() {
        let config = Config::preset("nano").expect("a preset");
        let load = Load {
            space: space::PARAMETER,
            layout: layout::SCALARS,
            address: 3,
            row_bytes: 32,
            rows: 2,
            stride: 4,
            ..Load::default()
        };
        let access = Access::of(&load.into(), &config);
        assert_eq!(spans(&access.writes), [(Memory::Scalar, 12..20), (Memory::Scalar, 28..36)]);
    }

    fn config() -> Config {
        Config::preset("base").expect("a preset")
    }

    fn span(memory: Memory, addresses: Range<u32>) -> Span {
        Span { memory, addresses }
    }

    #[test]
    fn group_scales_belong_to_pairs_of_tiles() {
        let load = Load {
            space: 1,
            layout: layout::SCALES,
            rows: 2,
            row_bytes: 32,
            address: 3,
            stride: 8,
            ..Load::default()
        };
        let access = Access::of(&load.into(), &config());
        assert_eq!(access.writes, [span(Memory::Scale, 3..5), span(Memory::Scale, 11..13)]);
        let matrix = Matrix {
            four_bit: true,
            to_accumulator: true,
            weight_address: 6,
            weight_stride_tile: 10,
            channels: 4,
            tiles: 2,
            ..Matrix::default()
        };
        let access = Access::of(&matrix.clone().into(), &config());
        let groups = 2 * 8 / 8;
        assert_eq!(
            access.reads,
            [
                span(Memory::Weight, 6..10),
                span(Memory::Weight, 16..20),
                span(Memory::Scale, 3..5),
                span(Memory::Scale, 8..10),
                span(Memory::Parameter, 0..2 * groups),
            ]
        );
        assert_eq!(access.writes, [span(Memory::Accumulator, 0..2 * groups)]);
    }

    #[test]
    fn row_results_follow_the_strides() {
        let matrix = Matrix {
            to_accumulator: true,
            row_results: true,
            rescale: true,
            add_row: true,
            tiles: 3,
            outputs_x: 2,
            output_address: 100,
            output_stride_x: 10,
            output_stride_tile: 40,
            ..Matrix::default()
        };
        // Tiles 0 and 1 are the halves of a vector of 16, each a row of 8 lanes.
        let rows = [100..102, 110..112, 140..141, 150..151].map(|rows| span(Memory::Accumulator, rows));
        let access = Access::of(&matrix.clone().into(), &config());
        assert_eq!(access.writes, rows);
        assert!(rows.iter().all(|rows| access.reads.contains(rows)));
        let access = Access::of(&Matrix { add_row: false, ..matrix }.into(), &config());
        assert!(!rows.iter().any(|rows| access.reads.contains(rows)));
        assert!(access.reads.contains(&span(Memory::Parameter, 0..3)));
    }
}
