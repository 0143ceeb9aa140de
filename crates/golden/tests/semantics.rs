//! Every command against a second implementation, written byte by byte from the architecture page.
//!
//! Commands and memory contents are random. Where the naive implementation leaves a memory, the machine must report an
//! address error; everywhere else all memories must be equal afterwards.

use frugal_golden::{Fault, GoldenError, Machine, Memory, RunReport};
use frugal_isa::command::{layout, reduce, space, End, Load, Matrix, Move, Store, Vector};
use frugal_isa::{Command, Config};
use proptest::prelude::*;

const MEMORY_BYTES: usize = 1 << 14;
const BASES: [u32; 8] = [0, 256, 512, 0, 0, 0, 0, 4096];

/// Memories as plain bytes and values.
#[derive(Clone, Debug, PartialEq)]
struct Naive {
    config: Config,
    activation: Vec<i8>,
    weight: Vec<i8>,
    parameter: Vec<u8>,
    accumulator: Vec<i32>,
    memory: Vec<u8>,
    table: Vec<i8>,
    scale: Vec<u8>,
    /// For each step of a depthwise reduction, the vectors that it has read.
    seen: Vec<Vec<Vec<i32>>>,
}

/// Somewhere an address left its memory, or 4-bit weights do not begin or end with a group.
struct OutOfDepth;
type Naively = Result<(), OutOfDepth>;

/// The weight in a nibble.
fn four_bits(nibble: u8) -> i32 {
    i32::from(nibble) - if nibble >= 8 { 16 } else { 0 }
}

fn sixteen(value: i64) -> usize {
    value.rem_euclid(1 << 16) as usize
}

fn signed(value: i64) -> i64 {
    let value = sixteen(value) as i64;
    if value >= 1 << 15 {
        value - (1 << 16)
    } else {
        value
    }
}

/// The formulas of the page, in 128 bits.
fn requantise(value: i32, multiplier: u32, left: u32, right: u32, single: bool) -> i32 {
    let shifted = value.wrapping_shl(left);
    let product = i128::from(shifted) * i128::from(multiplier);
    let nudge = if single { 0 } else { 1i128 << 30 };
    let high = ((product + nudge).div_euclid(1 << 31)) as i32;
    if right == 0 {
        return high;
    }
    let below = i128::from(!single && high < 0);
    (i128::from(high) + (1i128 << (right - 1)) - below).div_euclid(1 << right) as i32
}

impl Naive {
    fn word(&self, byte: usize) -> u32 {
        u32::from_le_bytes(self.parameter[byte..byte + 4].try_into().unwrap())
    }

    fn put(&mut self, memory: u32, address: usize, byte: usize, value: u8) -> Naively {
        let c = &self.config;
        let (depth, width) = match memory {
            space::ACTIVATION => (c.activation_depth, c.rows),
            space::WEIGHT => (c.weight_depth, c.rows * c.cols),
            space::PARAMETER => (c.parameter_depth, 12 * c.lanes),
            _ => (c.accumulator_depth, 4 * c.lanes),
        };
        assert!(byte < width);
        if address >= depth {
            return Err(OutOfDepth);
        }
        let at = address * width + byte;
        match memory {
            space::ACTIVATION => self.activation[at] = value as i8,
            space::WEIGHT => self.weight[at] = value as i8,
            space::PARAMETER => self.parameter[at] = value,
            _ => {
                let shift = 8 * (at % 4);
                let word = &mut self.accumulator[at / 4];
                *word = (*word & !(0xff << shift)) | i32::from(value) << shift;
            }
        }
        Ok(())
    }

    fn load(&mut self, load: &Load) -> Naively {
        let (r, c, l) = (self.config.rows, self.config.cols, self.config.lanes);
        for i in 0..load.rows as usize {
            for byte in 0..load.row_bytes as usize {
                let from = BASES[load.base_register as usize] as usize
                    + load.memory_offset as usize
                    + i * load.memory_stride as usize
                    + byte;
                let value = *self.memory.get(from).ok_or(OutOfDepth)?;
                let (address, stride) = (load.address as usize, load.stride as usize);
                let index = load.first_row as usize + i;
                let (address, byte) = match (load.space, load.layout) {
                    (space::WEIGHT, layout::COLUMN) => {
                        (address + (index / c) * stride + byte / r, (index % c) * r + byte % r)
                    }
                    (space::WEIGHT, layout::ROW) => {
                        (address + (byte / c) * stride + index / r, (byte % c) * r + index % r)
                    }
                    (space::PARAMETER, layout::TABLE) => {
                        let table = sixteen((address + i * stride + byte / 256) as i64);
                        *self.table.get_mut(table * 256 + byte % 256).ok_or(OutOfDepth)? = value as i8;
                        continue;
                    }
                    (space::WEIGHT, layout::SCALES) => {
                        let row = sixteen((address + i * stride + byte / (2 * c)) as i64);
                        *self.scale.get_mut(row * 2 * c + byte % (2 * c)).ok_or(OutOfDepth)? = value;
                        continue;
                    }
                    (memory, _) => {
                        let width = [r, r * c, 12 * l, 4 * l][memory as usize];
                        (address + i * stride + byte / width, byte % width)
                    }
                };
                self.put(load.space, sixteen(address as i64), byte, value)?;
            }
        }
        Ok(())
    }

    fn store(&mut self, store: &Store) -> Naively {
        let (r, l) = (self.config.rows, self.config.lanes);
        for i in 0..store.rows as usize {
            for byte in 0..store.row_bytes as usize {
                let start = store.address as usize + i * store.stride as usize;
                let value = if store.space == space::ACTIVATION {
                    let address = sixteen((start + byte / r) as i64);
                    *self.activation.get(address * r + byte % r).ok_or(OutOfDepth)? as u8
                } else {
                    let address = sixteen((start + byte / (4 * l)) as i64);
                    let word = *self.accumulator.get(address * l + byte / 4 % l).ok_or(OutOfDepth)?;
                    word.to_le_bytes()[byte % 4]
                };
                let to = BASES[store.base_register as usize] as usize
                    + store.memory_offset as usize
                    + i * store.memory_stride as usize
                    + byte;
                *self.memory.get_mut(to).ok_or(OutOfDepth)? = value;
            }
        }
        Ok(())
    }

    fn activation_lane(&self, address: i64, lane: usize) -> Result<i32, OutOfDepth> {
        self.activation
            .get(sixteen(address) * self.config.rows + lane)
            .map(|v| i32::from(*v))
            .ok_or(OutOfDepth)
    }

    fn matrix(&mut self, m: &Matrix) -> Naively {
        let (r, c) = (self.config.rows, self.config.cols);
        let steps = (m.kernel_y * m.kernel_x * m.channels) as i64;
        let mut results = 0i64;
        let tile_stride = if m.weight_stride_tile == 0 { steps } else { m.weight_stride_tile as i64 };
        let group_tiles = r.max(32) as i64 / r as i64;
        for t in 0..m.tiles as i64 {
            let first_tile = m.weight_address as i64 + t * tile_stride;
            if m.four_bit && (first_tile % group_tiles != 0 || steps % group_tiles != 0) {
                return Err(OutOfDepth);
            }
            for y in 0..m.outputs_y as i64 {
                for x in 0..m.outputs_x as i64 {
                    let mut sums = vec![0i32; if m.four_bit { 2 * c } else { c }];
                    if m.depthwise {
                        sums = self.depthwise(m, t, y, x)?;
                    }
                    for (j, sum) in sums.iter_mut().enumerate().filter(|_| !m.depthwise) {
                        for ky in 0..m.kernel_y as i64 {
                            for kx in 0..m.kernel_x as i64 {
                                for channel in 0..m.channels as i64 {
                                    let iy = signed(
                                        m.start_y as i64 + y * m.step_y as i64 + ky * m.kernel_step_y as i64,
                                    );
                                    let ix = signed(
                                        m.start_x as i64 + x * m.step_x as i64 + kx * m.kernel_step_x as i64,
                                    );
                                    let inside = iy >= 0
                                        && iy < m.input_height as i64
                                        && ix >= 0
                                        && ix < m.input_width as i64;
                                    let address = m.activation_address as i64
                                        + y * m.stride_y as i64
                                        + x * m.stride_x as i64
                                        + ky * m.stride_kernel_y as i64
                                        + kx * m.stride_kernel_x as i64
                                        + channel * m.stride_channel as i64;
                                    let tile = sixteen(
                                        first_tile
                                            + (ky * m.kernel_x as i64 + kx) * m.channels as i64
                                            + channel,
                                    );
                                    for k in 0..r {
                                        let a = if inside {
                                            self.activation_lane(address, k)?
                                        } else {
                                            m.pad_value
                                        };
                                        let w =
                                            *self.weight.get((tile * c + j % c) * r + k).ok_or(OutOfDepth)?;
                                        let w = if m.four_bit {
                                            let row = tile / group_tiles as usize;
                                            let scale = self.scale.get(row * 2 * c + j).ok_or(OutOfDepth)?;
                                            four_bits(w as u8 >> (4 * (j / c)) & 15) * i32::from(*scale)
                                        } else {
                                            i32::from(w)
                                        };
                                        *sum = sum.wrapping_add(a * w);
                                    }
                                }
                            }
                        }
                    }
                    if x >= m.skip as i64 {
                        self.matrix_result(m, (t, y, x), results, &sums)?;
                        results += 1;
                    }
                }
            }
        }
        Ok(())
    }

    /// Parameters, partial sums and the place of a result.
    fn matrix_result(
        &mut self,
        m: &Matrix,
        (t, y, x): (i64, i64, i64),
        number: i64,
        sums: &[i32],
    ) -> Naively {
        let (r, l, n) = (self.config.rows, self.config.lanes, sums.len());
        for (j, sum) in sums.iter().enumerate() {
            let (g, lane) = (j / l, j % l);
            let group = sixteen(m.parameter_address as i64 + t * (n / l) as i64 + g as i64);
            let position = m.output_lane as usize + t as usize * n;
            let output = m.output_address as i64
                + y * m.output_stride_y as i64
                + x * m.output_stride_x as i64
                + (position / r) as i64 * m.output_stride_tile as i64;
            let row = if m.row_results {
                sixteen(output + (position % r / l) as i64 + g as i64)
            } else {
                sixteen(m.accumulator_address as i64 + number * (n / l) as i64 + g as i64)
            };
            let parameters = !m.accumulate || !m.to_accumulator || m.rescale;
            if (parameters && group >= self.config.parameter_depth)
                || ((m.accumulate || m.to_accumulator) && row >= self.config.accumulator_depth)
            {
                return Err(OutOfDepth);
            }
            let first = group * 12 * l;
            let start = if m.accumulate {
                self.accumulator[row * l + lane]
            } else {
                self.word(first + 4 * lane) as i32
            };
            let v = start.wrapping_add(*sum);
            if m.to_accumulator && !m.rescale {
                self.accumulator[row * l + lane] = v;
                continue;
            }
            let shifts = self.word(first + 4 * (2 * l + lane));
            let scaled = requantise(
                v,
                self.word(first + 4 * (l + lane)),
                shifts >> 8 & 31,
                shifts & 31,
                m.single_rounding,
            );
            let scaled = scaled.wrapping_add(m.output_zero_point);
            if m.to_accumulator {
                let old = &mut self.accumulator[row * l + lane];
                *old = if m.add_row { old.wrapping_add(scaled) } else { scaled };
                continue;
            }
            let clamped = scaled.clamp(m.minimum, m.maximum);
            self.put(space::ACTIVATION, sixteen(output), position % r + j, clamped as u8)?;
        }
        Ok(())
    }

    /// Sums of a depthwise result. `seen[s]` lists the vectors that step s has read, the latest last.
    fn depthwise(&mut self, m: &Matrix, t: i64, y: i64, x: i64) -> Result<Vec<i32>, OutOfDepth> {
        let (r, c, taps) = (self.config.rows, self.config.cols, self.config.depthwise_taps);
        let mut sums = vec![0i32; r];
        let steps = m.kernel_y as i64 * m.kernel_x as i64 * m.channels as i64;
        for step in 0..steps {
            let channel = step % m.channels as i64;
            let (ky, kx) =
                (step / m.channels as i64 / m.kernel_x as i64, step / m.channels as i64 % m.kernel_x as i64);
            let iy = signed(m.start_y as i64 + y * m.step_y as i64 + ky * m.kernel_step_y as i64);
            let ix = signed(m.start_x as i64 + x * m.step_x as i64 + kx * m.kernel_step_x as i64);
            let inside = (0..m.input_height as i64).contains(&iy) && (0..m.input_width as i64).contains(&ix);
            let address = m.activation_address as i64
                + (t + channel) * m.stride_channel as i64
                + y * m.stride_y as i64
                + x * m.stride_x as i64
                + ky * m.stride_kernel_y as i64
                + kx * m.stride_kernel_x as i64;
            let mut vector = vec![m.pad_value; r];
            if inside {
                for (k, lane) in vector.iter_mut().enumerate() {
                    *lane = self.activation_lane(address, k)?;
                }
            }
            self.seen[step as usize % 64].push(vector);
            let seen = &self.seen[step as usize % 64];
            let tile_stride = if m.weight_stride_tile == 0 { steps } else { m.weight_stride_tile as i64 };
            let tile = sixteen(m.weight_address as i64 + t * tile_stride + step);
            for (channel, sum) in sums.iter_mut().enumerate() {
                let (column, part) = (channel % c, channel / c);
                for row in part * c..(part + 1) * c {
                    let back = row - part * c;
                    let operand = match back < taps {
                        true => seen.len().checked_sub(1 + back).map_or(0, |earlier| seen[earlier][channel]),
                        false => seen[seen.len() - 1][row],
                    };
                    let w = *self.weight.get((tile * c + column) * r + row).ok_or(OutOfDepth)?;
                    *sum = sum.wrapping_add(operand * i32::from(w));
                }
            }
        }
        Ok(sums)
    }

    fn vector(&mut self, v: &Vector) -> Naively {
        let (r, l) = (self.config.rows, self.config.lanes);
        let mut n = 0i64;
        for g in 0..v.groups as usize {
            let lane = (v.first_lane as usize + g * l) % r;
            let chunk = ((v.first_lane as usize + g * l) / r) as i64;
            for y in 0..v.outputs_y as i64 {
                for x in 0..v.outputs_x as i64 {
                    let mut results = Vec::new();
                    for i in 0..l {
                        let mut window = Vec::new();
                        for ky in 0..v.kernel_y as i64 {
                            for kx in 0..v.kernel_x as i64 {
                                let iy = signed(v.start_y as i64 + y * v.step_y as i64 + ky);
                                let ix = signed(v.start_x as i64 + x * v.step_x as i64 + kx);
                                let inside = iy >= 0
                                    && iy < v.input_height as i64
                                    && ix >= 0
                                    && ix < v.input_width as i64;
                                let address = v.source_address as i64
                                    + chunk * v.stride_group as i64
                                    + y * v.stride_y as i64
                                    + x * v.stride_x as i64
                                    + ky * v.stride_kernel_y as i64
                                    + kx * v.stride_kernel_x as i64;
                                window.push(if v.source == 1 {
                                    let row = sixteen(v.source_address as i64 + n);
                                    *self.accumulator.get(row * l + i).ok_or(OutOfDepth)?
                                } else if inside {
                                    self.activation_lane(address, lane + i)?
                                } else {
                                    v.pad_value
                                });
                            }
                        }
                        let reduced = match v.reduce {
                            reduce::MAXIMUM => *window.iter().max().unwrap(),
                            reduce::MINIMUM => *window.iter().min().unwrap(),
                            _ => window.iter().fold(0i32, |a, b| a.wrapping_add(*b)),
                        };
                        let operand = |n: i64| {
                            let row = if v.operand_per_group { g as i64 } else { n };
                            let row = sixteen(v.operand_address as i64 + row);
                            self.accumulator.get(row * l + i).copied().ok_or(OutOfDepth)
                        };
                        let mut value = reduced.wrapping_add(v.pre_add);
                        if v.multiply_operand {
                            value = ((value as i16 as i64) * (operand(n)? as i16 as i64)) as i32;
                        }
                        let scaled =
                            requantise(value, v.multiplier, v.left_shift, v.right_shift, v.single_rounding);
                        let added = match (v.add_operand, v.subtract_operand) {
                            (false, _) => v.post_add,
                            (true, false) => operand(n)?,
                            (true, true) => operand(n)?.wrapping_neg(),
                        };
                        results.push(scaled.wrapping_add(added));
                    }
                    for (i, value) in results.into_iter().enumerate() {
                        if v.destination == 1 {
                            let row = sixteen(v.destination_address as i64 + n);
                            *self.accumulator.get_mut(row * l + i).ok_or(OutOfDepth)? = value;
                        } else {
                            let address = sixteen(
                                v.destination_address as i64
                                    + chunk * v.output_stride_group as i64
                                    + y * v.output_stride_y as i64
                                    + x * v.output_stride_x as i64,
                            );
                            let mut byte = value.clamp(v.minimum, v.maximum) as u8;
                            if v.lookup {
                                let entry = v.table as usize * 256 + byte as usize;
                                byte = *self.table.get(entry).ok_or(OutOfDepth)? as u8;
                            }
                            self.put(space::ACTIVATION, address, lane + i, byte)?;
                        }
                    }
                    n += 1;
                }
            }
        }
        Ok(())
    }

    fn move_bytes(&mut self, m: &Move) -> Naively {
        let r = self.config.rows;
        for y in 0..m.outputs_y as i64 {
            for x in 0..m.outputs_x as i64 {
                // A segment is read before it is written.
                let mut segment = Vec::new();
                for i in 0..m.bytes as i64 {
                    let row = signed(m.start_y as i64 + y * m.step_y as i64);
                    let column = signed(m.start_x as i64 + x * m.step_x as i64 + i);
                    let inside = (0..m.input_height as i64).contains(&row)
                        && (0..m.input_width as i64).contains(&column);
                    segment.push(match inside {
                        true => {
                            let vector = m.source_address as i64 + y * m.stride_y as i64 + column / r as i64;
                            self.activation_lane(vector, column as usize % r)?
                        }
                        false => m.pad_value,
                    });
                }
                let to = m.destination_address as i64
                    + y * m.output_stride_y as i64
                    + x * m.output_stride_x as i64;
                for (i, value) in segment.into_iter().enumerate() {
                    self.put(space::ACTIVATION, sixteen(to), m.first_lane as usize + i, value as u8)?;
                }
            }
        }
        Ok(())
    }

    fn command(&mut self, command: &Command) -> Naively {
        match command {
            Command::Load(load) => self.load(load),
            Command::Store(store) => self.store(store),
            Command::Matrix(matrix) => self.matrix(matrix),
            Command::Vector(vector) => self.vector(vector),
            Command::Move(command) => self.move_bytes(command),
            _ => Ok(()),
        }
    }
}

/// Runs the command in both implementations; `None` when both refuse an address.
fn compare(naive: &Naive, command: Command) -> Result<Option<RunReport>, TestCaseError> {
    prop_assume!(command.check_fields().is_ok());
    let mut machine = Machine::new(&naive.config).unwrap();
    for (to, from) in machine.activation_mut().iter_mut().zip(&naive.activation) {
        *to = *from as u8;
    }
    for (to, from) in machine.weight_mut().iter_mut().zip(&naive.weight) {
        *to = *from as u8;
    }
    machine.parameter_mut().copy_from_slice(&naive.parameter);
    machine.accumulator_mut().copy_from_slice(&naive.accumulator);
    machine.table_mut().copy_from_slice(&naive.table);
    machine.scale_mut().copy_from_slice(&naive.scale);
    let mut memory = Memory::from(naive.memory.clone());
    let mut naive = naive.clone();
    let expected = naive.command(&command);
    let four_bit = matches!(&command, Command::Matrix(matrix) if matrix.four_bit);
    let commands = [command, End::default().into()];
    let report = machine.run(&commands, &mut memory, BASES);
    match (expected, report) {
        (Ok(()), Ok(report)) => {
            prop_assert!(machine.activation().iter().zip(&naive.activation).all(|(a, b)| *a as i8 == *b));
            prop_assert!(machine.weight().iter().zip(&naive.weight).all(|(a, b)| *a as i8 == *b));
            prop_assert_eq!(machine.parameter(), &naive.parameter[..]);
            prop_assert_eq!(machine.accumulator(), &naive.accumulator[..]);
            prop_assert_eq!(machine.table(), &naive.table[..]);
            prop_assert_eq!(machine.scale(), &naive.scale[..]);
            prop_assert!(memory.as_slice() == naive.memory);
            Ok(Some(report))
        }
        (Err(OutOfDepth), Err(GoldenError::Command { index: 0, fault, .. })) => {
            let expected = matches!(fault, Fault::Depth { .. } | Fault::BusAddress { .. })
                || matches!(fault, Fault::Lane { field, .. } if four_bit && field != "output_lane");
            prop_assert!(expected, "{}", fault);
            Ok(None)
        }
        (expected, report) => {
            let naively = if expected.is_ok() { "succeeds" } else { "leaves a memory" };
            Err(TestCaseError::fail(format!("naive {naively}, the machine returns {report:?}")))
        }
    }
}

prop_compose! {
    fn any_config()(r in 3u32..6, c in 1u32..6, l in 1u32..6, taps in 1u32..4) -> Config {
        let c = c.min(r);
        let taps = 1 << taps.min(c);
        Config {
            name: "test".into(),
            rows: 1 << r,
            cols: 1 << c,
            lanes: 1 << l.min(c),
            activation_depth: 128,
            weight_depth: 64,
            parameter_depth: 64,
            accumulator_depth: 128,
            tables: 2,
            four_bit: true,
            row_engine: true,
            counters: true,
            base_registers: 8,
            depthwise_taps: taps,
            sequential: false,
            queue_depth: 2,
            bus_bits: 64,
        }
    }
}

/// Memories full of noise; multipliers and shifts are sensible, so that results are not all clamped.
fn filled(config: Config, seed: u64) -> Naive {
    let mut state = seed | 1;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let mut parameter = Vec::new();
    for _ in 0..config.parameter_depth {
        for word in 0..3 * config.lanes {
            let value = match word / config.lanes {
                0 => (next() % 20001) as u32 ^ (next() as u32 & 1).wrapping_neg(),
                1 => (next() % ((1 << 31) + 1)) as u32,
                _ => (next() % 16) as u32 | ((next() % 3) as u32) << 8,
            };
            parameter.extend(value.to_le_bytes());
        }
    }
    Naive {
        activation: (0..config.activation_bytes()).map(|_| next() as i8).collect(),
        weight: (0..config.weight_bytes()).map(|_| next() as i8).collect(),
        parameter,
        accumulator: (0..config.accumulator_depth * config.lanes).map(|_| (next() as i32) >> 12).collect(),
        memory: (0..MEMORY_BYTES).map(|_| next() as u8).collect(),
        table: (0..256 * config.tables).map(|_| next() as i8).collect(),
        scale: (0..config.scale_depth() * 2 * config.cols).map(|_| next() as u8).collect(),
        seen: vec![Vec::new(); 64],
        config,
    }
}

/// A 16-bit stride: small, or a small negative one.
fn stride() -> impl Strategy<Value = u32> {
    prop_oneof![8 => 0u32..6, 1 => 65533u32..65536]
}

prop_compose! {
    fn any_load()(
        (space, layout) in prop_oneof![(0u32..4, Just(0u32)), (Just(space::WEIGHT), 0u32..4), (Just(space::PARAMETER), Just(1u32))],
        base_register in prop_oneof![0u32..3, Just(7)],
        offset in 0u32..40, rows in 1u32..12, first_row in 0u32..40, bytes in 1u32..8, memory_stride in 0u32..12,
        address in 0u32..40, stride in stride(),
    ) -> Load {
        Load {
            space, layout, base_register, memory_offset: 16 * offset, rows, first_row, row_bytes: 16 * bytes,
            memory_stride: 16 * memory_stride, address, stride, ..Load::default()
        }
    }
}

prop_compose! {
    fn any_store()(
        space in prop_oneof![Just(space::ACTIVATION), Just(space::ACCUMULATOR)], base_register in 0u32..3,
        offset in 0u32..1100, rows in 1u32..12, bytes in 1u32..8, memory_stride in 0u32..12,
        address in 0u32..100, stride in stride(),
    ) -> Store {
        Store {
            space, base_register, memory_offset: 16 * offset, rows, row_bytes: 16 * bytes,
            memory_stride: 16 * memory_stride, address, stride, ..Store::default()
        }
    }
}

prop_compose! {
    fn any_matrix()(
        (accumulate, to_accumulator, single_rounding, depthwise) in any::<(bool, bool, bool, bool)>(),
        (four_bit, row_results, rescale, add_row) in any::<(bool, bool, bool, bool)>(),
        weight_stride_tile in prop_oneof![2 => Just(0u32), 1 => stride()],
        skip in 0u32..4,
        (activation_address, weight_address, parameter_address, accumulator_address, output_address)
            in (0u32..60, 0u32..30, 0u32..16, 0u32..60, 0u32..100),
        (channels, kernel_x, kernel_y, outputs_x, outputs_y, tiles)
            in (1u32..4, 1u32..4, 1u32..4, 1u32..5, 1u32..5, 1u32..4),
        strides in prop::array::uniform8(stride()),
        (input_width, input_height, start_x, start_y) in (0u32..7, 0u32..7, -3i32..3, -3i32..3),
        steps in prop::array::uniform4(0u32..3),
        (pad_value, output_zero_point, low, high, output_lane) in any::<(i8, i8, i8, i8, u8)>(),
    ) -> Matrix {
        let rescale = rescale && to_accumulator;
        let row_results = row_results && to_accumulator;
        Matrix {
            four_bit: four_bit && to_accumulator && !depthwise, row_results, rescale,
            add_row: add_row && rescale && row_results && !accumulate, weight_stride_tile,
            accumulate, to_accumulator, single_rounding, depthwise, skip: skip % outputs_x, activation_address, weight_address, parameter_address,
            accumulator_address, output_address, output_lane: output_lane.into(), pad_value: pad_value.into(),
            channels, kernel_x, kernel_y, outputs_x, outputs_y, tiles, output_zero_point: output_zero_point.into(),
            stride_kernel_x: strides[0], stride_kernel_y: strides[1], stride_x: strides[2], stride_y: strides[3],
            output_stride_x: strides[4], output_stride_y: strides[5], output_stride_tile: strides[6],
            stride_channel: strides[7], input_width, input_height, start_x, start_y, step_x: steps[0],
            step_y: steps[1], kernel_step_x: steps[2], kernel_step_y: steps[3],
            minimum: low.min(high).into(), maximum: low.max(high).into(), ..Matrix::default()
        }
    }
}

prop_compose! {
    fn any_vector()(
        (source, destination, single_rounding, add_operand, reduce)
            in (0u32..2, 0u32..2, any::<bool>(), any::<bool>(), 0u32..3),
        (multiply_operand, operand_per_group, lookup, table, subtract_operand)
            in (any::<bool>(), any::<bool>(), any::<bool>(), 0u32..3, any::<bool>()),
        (source_address, destination_address, operand_address) in (0u32..60, 0u32..60, 0u32..60),
        (kernel_x, kernel_y, outputs_x, outputs_y, groups) in (1u32..4, 1u32..4, 1u32..4, 1u32..4, 1u32..4),
        strides in prop::array::uniform8(stride()),
        (pre_add, post_add) in (-300i32..300, -200i32..200),
        (multiplier, left_shift, right_shift) in (prop_oneof![0u32..=1 << 31, any::<u32>()], 0u32..4, 0u32..12),
        (input_width, input_height, start_x, start_y, step_x, step_y)
            in (0u32..7, 0u32..7, -3i32..3, -3i32..3, 0u32..3, 0u32..3),
        (pad_value, low, high, first_lane) in any::<(i8, i8, i8, u8)>(),
    ) -> Vector {
        let (kernel_x, kernel_y, add_operand) =
            if source == 1 { (1, 1, false) } else { (kernel_x, kernel_y, add_operand) };
        let multiply_operand = multiply_operand && !add_operand && source == 0;
        Vector {
            source, destination, single_rounding, add_operand, reduce, multiply_operand, operand_per_group, lookup,
            table, subtract_operand, source_address, destination_address,
            operand_address, first_lane: first_lane.into(), kernel_x, kernel_y, groups, outputs_x, outputs_y,
            stride_kernel_x: strides[0], stride_kernel_y: strides[1], stride_x: strides[2], stride_y: strides[3],
            stride_group: strides[4], output_stride_group: strides[5], output_stride_x: strides[6],
            output_stride_y: strides[7], pre_add, multiplier, left_shift, right_shift, post_add, input_width,
            input_height, start_x, start_y, step_x, step_y, pad_value: pad_value.into(),
            minimum: low.min(high).into(), maximum: low.max(high).into(), ..Vector::default()
        }
    }
}

prop_compose! {
    fn any_move()(
        (source_address, destination_address) in (0u32..60, 60u32..130), (first_lane, bytes) in (0u32..16, 1u32..17),
        (outputs_x, outputs_y) in (1u32..6, 1u32..5), (stride_y, output_stride_x, output_stride_y) in (stride(), stride(), stride()),
        (input_width, input_height) in (1u32..70, 0u32..6), (start_x, start_y) in (-20i32..20, -3i32..3),
        (step_x, step_y) in (0u32..30, 0u32..3), pad_value: i8,
    ) -> Move {
        Move {
            source_address, destination_address, first_lane, bytes, outputs_x, outputs_y, stride_y, output_stride_x,
            output_stride_y, input_width, input_height, start_x, start_y, step_x, step_y, pad_value: pad_value.into(),
            ..Move::default()
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn move_copies_as_the_page_says(config in any_config(), command in any_move(), seed: u64) {
        let mut command = command;
        let rows = config.rows as u32;
        command.first_lane %= rows;
        command.bytes = command.bytes.min(rows - command.first_lane);
        let segments = u64::from(command.outputs_x * command.outputs_y);
        if let Some(report) = compare(&filled(config, seed), command.into())? {
            prop_assert_eq!(report.vector_steps, segments);
        }
    }

    #[test]
    fn load_fills_every_memory_as_the_page_says(config in any_config(), load in any_load(), seed: u64) {
        let mut load = load;
        match load.layout {
            layout::TABLE if load.space == space::PARAMETER => load.address %= 4,
            layout::COLUMN => load.first_row %= config.cols as u32,
            layout::ROW => load.first_row %= config.rows as u32,
            _ => {}
        }
        let bytes = u64::from(load.rows * load.row_bytes);
        if let Some(report) = compare(&filled(config, seed), load.into())? {
            prop_assert_eq!(report.bytes_loaded, bytes);
        }
    }

    #[test]
    fn store_copies_as_the_page_says(config in any_config(), store in any_store(), seed: u64) {
        let bytes = u64::from(store.rows * store.row_bytes);
        if let Some(report) = compare(&filled(config, seed), store.into())? {
            prop_assert_eq!(report.bytes_stored, bytes);
        }
    }

    #[test]
    fn matrix_computes_as_the_page_says(config in any_config(), matrix in any_matrix(), seed: u64) {
        let mut matrix = matrix;
        let channels = if matrix.depthwise { config.rows } else { config.cols };
        let channels = if matrix.four_bit { (2 * channels).min(config.rows) } else { channels };
        if matrix.four_bit {
            // Whole groups, often.
            let tiles = config.rows.max(32) as u32 / config.rows as u32;
            matrix.weight_address = matrix.weight_address / tiles * tiles;
            matrix.weight_stride_tile = matrix.weight_stride_tile / tiles * tiles;
            if seed % 8 != 0 {
                matrix.channels *= tiles;
            }
        }
        matrix.output_lane = matrix.output_lane / channels as u32 * channels as u32;
        let results = matrix.tiles * matrix.outputs_x * matrix.outputs_y;
        let steps = u64::from(results * matrix.kernel_x * matrix.kernel_y * matrix.channels);
        if let Some(report) = compare(&filled(config, seed), matrix.into())? {
            prop_assert_eq!(report.matrix_steps, steps);
        }
    }

    #[test]
    fn vector_computes_as_the_page_says(config in any_config(), vector in any_vector(), seed: u64) {
        let mut vector = vector;
        vector.first_lane = vector.first_lane / config.lanes as u32 * config.lanes as u32;
        let results = vector.groups * vector.outputs_x * vector.outputs_y;
        let steps = u64::from(results * vector.kernel_x * vector.kernel_y);
        if let Some(report) = compare(&filled(config, seed), vector.into())? {
            prop_assert_eq!(report.vector_steps, steps);
        }
    }
}
