//! Matrix products: `C[m, n] = clamp(requantise(sum over k of A[m, k] * B[k, n]))`, all int8.
//!
//! A, B and C are row-major in the workspace, each row on whole 16 bytes. B is transposed on its way into the weight
//! scratchpad. Every column has the bias 0 and the multiplier of [`multiplier`], so all column tiles share their parameters.
//!
//! The product is cut into pieces, rows of C times columns of C. The first pieces are small, so that computing begins when
//! little is loaded; so are the last, so that little is left to store.

use crate::access::Memory;
use crate::build::{group_quantum, pack_parameters, ChannelParameters, Planned, Ring, Value};
use crate::check::Initial;
use crate::error::CompileError;
use crate::layer::vector_quantum;
use crate::tile::ranges;
use frugal_isa::command::{layout, space, Load, Matrix, Store};
use frugal_isa::program::Layer;
use frugal_isa::{Command, Config, Program, TensorLayout};
use frugal_quant::{requantise, Multiplier, Rounding};
use std::ops::Range;

/// Base registers.
const CONSTANTS: u32 = 0;
const WORKSPACE: u32 = 1;

/// Cycles from a result's last step until another command can read it, rounded up.
const PIPELINE_CYCLES: usize = 24;

/// Cycles of a short load or store, memory's answer included.
const TRANSFER_CYCLES: usize = 40;

/// Largest size in each dimension.
pub const MAX_SIZE: usize = 32_768;

/// Values of the workspace and of the chip.
const VALUE_A: Value = Value(0);
const VALUE_B: Value = Value(1);
const VALUE_C: Value = Value(2);
const FIRST_VALUE: u32 = 3;

/// Which product to build.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GemmOptions {
    pub m: usize,
    pub k: usize,
    pub n: usize,
    /// Products in the program, one after another; each loads its operands and stores its result.
    pub repeat: usize,
    /// B and the parameters stay on the chip: a program of its own loads them.
    pub resident: bool,
}

/// Programs of a product.
#[derive(Clone, Debug, PartialEq)]
pub struct Gemm {
    /// Loads B (its input) and the parameters; present if they are to stay on the chip.
    pub preload: Option<Program>,
    /// Inputs A and B, or A alone after `preload`; output C.
    pub program: Program,
    pub multiplier: Multiplier,
}

/// The multiplier for sums over `k` products of independent bytes: it gives results a standard deviation near 40.
///
/// A product of two uniform int8 has a standard deviation of about 5461, a sum of `k` of them the square root of `k` times that.
pub fn multiplier(k: usize) -> Multiplier {
    Multiplier::from_real(40.0 / (5461.0 * (k.max(1) as f64).sqrt())).expect("a number between 0 and 1")
}

/// The product as plain loops.
///
/// Panics if the slices are shorter than `m * k` and `k * n`.
pub fn reference(m: usize, k: usize, n: usize, a: &[i8], b: &[i8]) -> Vec<i8> {
    let multiplier = multiplier(k);
    let mut c = Vec::with_capacity(m * n);
    for row in 0..m {
        let mut sums = vec![0i32; n];
        for (depth, x) in a[row * k..(row + 1) * k].iter().enumerate() {
            for (sum, y) in sums.iter_mut().zip(&b[depth * n..(depth + 1) * n]) {
                *sum = sum.wrapping_add(i32::from(*x) * i32::from(*y));
            }
        }
        c.extend(
            sums.iter().map(|sum| frugal_quant::clamp_i8(requantise(*sum, multiplier, Rounding::Double))),
        );
    }
    c
}

/// A block of the left operand on the chip.
#[derive(PartialEq, Eq)]
struct BlockA {
    product: usize,
    rows: Range<usize>,
    depth: Range<usize>,
}

/// A block of the right operand on the chip.
#[derive(PartialEq, Eq)]
struct BlockB {
    product: usize,
    tiles: Range<usize>,
    depth: Range<usize>,
}

/// How the product is cut.
#[derive(Clone, Copy, Debug)]
struct Blocks {
    /// Rows of A and C.
    rows: usize,
    /// Column tiles of B.
    tiles: usize,
    /// Vectors of the reduction.
    depth: usize,
    /// The weight scratchpad holds all of B.
    whole: bool,
}

struct Builder<'a> {
    options: &'a GemmOptions,
    config: &'a Config,
    blocks: Blocks,
    planned: Vec<Planned>,
    constants: Vec<u8>,
    /// Offset of a row of zeros in the constants.
    zeros: usize,
    parameter_groups: usize,
    parameter_value: Value,
    next_value: u32,
    a: Ring<BlockA>,
    b: Ring<BlockB>,
    c: Ring<usize>,
    accumulators: Ring<usize>,
    /// Address of the ring for C.
    c_base: usize,
    /// Column tiles of the current product that are loaded, with all of B on the chip.
    loaded_tiles: usize,
    pieces: usize,
}

/// Bytes of a row in memory.
fn row_bytes(elements: usize) -> usize {
    elements.next_multiple_of(16)
}

impl GemmOptions {
    fn error(&self, problem: String) -> CompileError {
        CompileError::Product { m: self.m, k: self.k, n: self.n, problem }
    }

    /// Offsets of A, B and C in the workspace, and its size.
    fn offsets(&self) -> [usize; 4] {
        let b = (self.m * row_bytes(self.k)).next_multiple_of(64);
        let c = (b + self.k * row_bytes(self.n)).next_multiple_of(64);
        [0, b, c, (c + self.m * row_bytes(self.n)).next_multiple_of(64)]
    }

    fn layout(&self, which: usize) -> TensorLayout {
        let (name, rows, columns) =
            [("A", self.m, self.k), ("B", self.k, self.n), ("C", self.m, self.n)][which];
        TensorLayout {
            name: name.to_owned(),
            shape: vec![rows, columns],
            strides: vec![row_bytes(columns), 1],
            offset: self.offsets()[which],
            element_bytes: 1,
        }
    }

    /// The values that the workspace holds before a program.
    fn initial(&self) -> Vec<Initial> {
        let [a, b, c, _] = self.offsets().map(|offset| (offset / 16) as u32);
        vec![(Memory::Workspace, a..b, VALUE_A), (Memory::Workspace, b..c, VALUE_B)]
    }
}

impl Blocks {
    /// Column tiles that make whole 16 bytes.
    fn tile_quantum(config: &Config) -> usize {
        (16 / config.cols).max(1)
    }

    fn choose(options: &GemmOptions, config: &Config) -> Result<Blocks, CompileError> {
        let quantum = Blocks::tile_quantum(config);
        let all_depth = options.k.div_ceil(config.rows);
        let all_tiles = row_bytes(options.n).div_ceil(config.cols);
        let groups = config.cols / config.lanes;
        let parameter_tiles = config.parameter_depth / group_quantum(config) * group_quantum(config) / groups;
        let whole = all_tiles * all_depth <= config.weight_depth;
        let room = config.weight_depth / 2;
        // A part of a row of A is whole 16 bytes.
        let step = vector_quantum(config);
        let cut_depth = |depth: usize| if depth >= all_depth { all_depth } else { depth / step * step };
        let mut depth = if whole { all_depth } else { cut_depth(room / quantum) };
        let mut tiles =
            if whole { all_tiles } else { (room / depth.max(1) / quantum * quantum).min(all_tiles) };
        if tiles > parameter_tiles {
            tiles = parameter_tiles / quantum * quantum;
        }
        if depth == 0 || tiles == 0 {
            return Err(
                options.error(format!("'{}' has too few weight tiles or parameter groups", config.name))
            );
        }
        loop {
            let vectors = (tiles * config.cols).div_ceil(config.rows);
            let a_vectors = depth.next_multiple_of(vector_quantum(config));
            let mut rows = config.activation_depth / (2 * (a_vectors + vectors));
            if depth < all_depth {
                rows = rows.min(config.accumulator_depth / (tiles * groups));
            }
            // Pieces of some tens of thousands of cycles are long enough.
            rows = rows.min(options.m).min((32_768 / (tiles * depth)).max(1).next_power_of_two());
            if rows > 0 {
                return Ok(Blocks { rows, tiles, depth, whole });
            }
            if tiles > quantum {
                tiles = (tiles / 2).next_multiple_of(quantum);
            } else if cut_depth(depth / 2) > 0 && !whole {
                depth = cut_depth(depth / 2);
            } else {
                let problem = format!("'{}' has too few activation vectors or accumulator rows", config.name);
                return Err(options.error(problem));
            }
        }
    }
}

/// Pieces of a product that is computed once: rows and column tiles. Half of B and a quarter of A begin, so that computing begins soon; then another
/// quarter of A and the rest of B in two parts, so that the array has work while each of them comes; then rows of A no faster than they are used; a few
/// rows end, so that little is left to store.
fn single_product(m: usize, all_tiles: usize, quantum: usize) -> Vec<(Range<usize>, Range<usize>)> {
    let half = all_tiles.div_ceil(2).next_multiple_of(quantum).min(all_tiles);
    let quarter = m.div_ceil(4);
    let first = [0..quarter, quarter..(2 * quarter).min(m)];
    let mut pieces = Vec::new();
    let third = half + (all_tiles - half).div_ceil(2).next_multiple_of(quantum).min(all_tiles - half);
    for tiles in [0..half, half..third, third..all_tiles] {
        pieces.extend(first.iter().map(|rows| (rows.clone(), tiles.clone())));
    }
    let mut start = first[1].end;
    while start < m {
        // Half of the rest, until a sixteenth is left.
        let size = (m - start).div_ceil(2).max(m.div_ceil(16)).min(m - start);
        let rows = start..start + size;
        if start == first[1].end {
            // No more parameters yet than the first pieces have.
            pieces.push((rows.clone(), 0..half));
            pieces.push((rows, half..all_tiles));
        } else {
            pieces.push((rows, 0..all_tiles));
        }
        start += size;
    }
    pieces.retain(|(rows, tiles)| !rows.is_empty() && !tiles.is_empty());
    pieces
}

/// Builds the programs of a product.
pub fn build(options: &GemmOptions, config: &Config) -> Result<Gemm, CompileError> {
    config.validate()?;
    let GemmOptions { m, k, n, repeat, resident } = *options;
    if [m, k, n].iter().any(|size| *size == 0 || *size > MAX_SIZE) || repeat == 0 {
        return Err(options.error(format!("sizes are 1 to {MAX_SIZE}, and it is computed at least once")));
    }
    let workspace = options.offsets()[3];
    if workspace > Program::MAX_WORKSPACE_BYTES {
        return Err(CompileError::Workspace { bytes: workspace });
    }
    let mut builder = Builder::new(options, config)?;
    let multiplier = multiplier(k);
    if !resident {
        for product in 0..repeat {
            builder.loaded_tiles = 0;
            for (rows, tiles) in builder.pieces(product) {
                builder.piece(product, rows, tiles);
            }
        }
        let planned = crate::order::by_earliest_start(std::mem::take(&mut builder.planned), config);
        let program = builder.program(planned, &[0, 1], &options.initial())?;
        return Ok(Gemm { preload: None, program, multiplier });
    }
    if !builder.blocks.whole {
        return Err(options
            .error(format!("B does not fit the {} weight tiles of '{}'", config.weight_depth, config.name)));
    }
    builder.parameters(builder.blocks.tiles);
    builder.load_all_of_b();
    let planned = std::mem::take(&mut builder.planned);
    let preload = builder.program(planned, &[1], &options.initial())?;
    for product in 0..repeat {
        builder.resident_product(product);
    }
    let mut initial = options.initial();
    let tiles = (builder.all_tiles() * builder.all_depth()) as u32;
    initial.push((Memory::Weight, 0..tiles, VALUE_B));
    initial.push((Memory::Parameter, 0..builder.parameter_groups as u32, builder.parameter_value));
    let planned = std::mem::take(&mut builder.planned);
    let program = builder.program(planned, &[0], &initial)?;
    Ok(Gemm { preload: Some(preload), program, multiplier })
}

impl Builder<'_> {
    fn new<'a>(options: &'a GemmOptions, config: &'a Config) -> Result<Builder<'a>, CompileError> {
        let blocks = Blocks::choose(options, config)?;
        let groups = config.cols / config.lanes;
        let m = multiplier(options.k);
        let channel = ChannelParameters {
            bias: 0,
            multiplier: m.multiplier,
            right_shift: m.right_shift,
            left_shift: m.left_shift,
        };
        let count = (blocks.tiles * groups).next_multiple_of(group_quantum(config));
        let mut constants = pack_parameters(&vec![channel; count * config.lanes], config);
        let zeros = constants.len().next_multiple_of(16);
        constants.resize(zeros + row_bytes(options.n), 0);
        let a_vectors = blocks.depth.next_multiple_of(vector_quantum(config));
        let c_vectors = (blocks.tiles * config.cols).div_ceil(config.rows);
        // Both rings hold equally many blocks.
        let c_base = config.activation_depth / (a_vectors + c_vectors) * a_vectors;
        Ok(Builder {
            options,
            config,
            blocks,
            planned: Vec::new(),
            constants,
            zeros,
            parameter_groups: 0,
            parameter_value: Value(FIRST_VALUE),
            next_value: FIRST_VALUE + 1,
            a: Ring::new(c_base),
            b: Ring::new(config.weight_depth),
            c: Ring::new(config.activation_depth - c_base),
            accumulators: Ring::new(config.accumulator_depth),
            c_base,
            loaded_tiles: 0,
            pieces: 0,
        })
    }

    fn value(&mut self) -> Value {
        self.next_value += 1;
        Value(self.next_value - 1)
    }

    fn push(&mut self, command: impl Into<Command>, reads: Vec<Value>, writes: Value) {
        let padded = self.config.rows < 16;
        self.planned.push(Planned {
            command: command.into(),
            layer: 0,
            reads,
            writes: Some(writes),
            padded,
            access: None,
        });
    }

    fn all_tiles(&self) -> usize {
        row_bytes(self.options.n).div_ceil(self.config.cols)
    }

    fn all_depth(&self) -> usize {
        self.options.k.div_ceil(self.config.rows)
    }

    /// Pieces of one product in order: rows and column tiles.
    fn pieces(&self, product: usize) -> Vec<(Range<usize>, Range<usize>)> {
        let (m, blocks) = (self.options.m, self.blocks);
        let all_tiles = self.all_tiles();
        let mut pieces = Vec::new();
        if blocks.whole {
            let mut rows: Vec<Range<usize>> = ranges(m, blocks.rows).collect();
            if self.options.repeat == 1 && rows.len() == 1 && all_tiles <= blocks.tiles {
                return single_product(m, all_tiles, Blocks::tile_quantum(self.config));
            }
            if product == 0 {
                // Few columns at first, then twice as many each time.
                let first = rows.remove(0);
                let quantum = Blocks::tile_quantum(self.config);
                let mut width = (all_tiles / 16).next_multiple_of(quantum).max(quantum);
                let mut start = 0;
                while start < all_tiles {
                    let end = (start + width).min(all_tiles);
                    for part in ranges(first.len(), first.len().div_ceil(2)) {
                        for tiles in ranges(end - start, blocks.tiles) {
                            pieces.push((part.clone(), start + tiles.start..start + tiles.end));
                        }
                    }
                    width = if start == 0 { width } else { 2 * width };
                    start = end;
                }
            }
            if product + 1 == self.options.repeat && !rows.is_empty() {
                // Half of the rest each time, until a row or 1 KiB is left.
                let mut last = rows.pop().expect("it is not empty");
                while last.len() > 1 && last.len() * row_bytes(self.options.n) > 1024 {
                    let middle = last.start + last.len().div_ceil(2);
                    rows.push(last.start..middle);
                    last.start = middle;
                }
                rows.push(last);
            }
            for rows in rows {
                pieces.extend(ranges(all_tiles, blocks.tiles).map(|tiles| (rows.clone(), tiles)));
            }
            return pieces;
        }
        let row_blocks = m.div_ceil(blocks.rows);
        let tile_blocks = all_tiles.div_ceil(blocks.tiles);
        // What is in the outer loop is loaded once, what is in the inner loop many times.
        let columns_outside = m * row_bytes(self.options.k) * (tile_blocks - 1)
            <= self.options.k * row_bytes(self.options.n) * (row_blocks - 1);
        if columns_outside {
            for tiles in ranges(all_tiles, blocks.tiles) {
                pieces.extend(ranges(m, blocks.rows).map(|rows| (rows, tiles.clone())));
            }
        } else {
            for rows in ranges(m, blocks.rows) {
                pieces.extend(ranges(all_tiles, blocks.tiles).map(|tiles| (rows.clone(), tiles)));
            }
        }
        pieces
    }

    /// Bytes that a range of the reduction takes in a row of A.
    fn a_bytes(&self, depth: &Range<usize>) -> usize {
        let row = row_bytes(self.options.k);
        let end = if depth.end == self.all_depth() { row } else { depth.end * self.config.rows };
        end - depth.start * self.config.rows
    }

    /// Vectors that a range of the reduction takes in a row of A.
    fn a_vectors(&self, depth: &Range<usize>) -> usize {
        self.a_bytes(depth).div_ceil(self.config.rows)
    }

    /// Makes parameter groups for this many column tiles available.
    fn parameters(&mut self, tiles: usize) {
        let config = self.config;
        let needed = (tiles * config.cols / config.lanes).next_multiple_of(group_quantum(config));
        if needed > self.parameter_groups {
            let bytes = config.parameter_group_bytes();
            let load = Load {
                space: space::PARAMETER,
                base_register: CONSTANTS,
                memory_offset: (self.parameter_groups * bytes) as u32,
                row_bytes: ((needed - self.parameter_groups) * bytes) as u32,
                address: self.parameter_groups as u32,
                ..Load::default()
            };
            self.push(load, vec![], self.parameter_value);
            self.parameter_groups = needed;
        }
    }

    /// Address of a block of A, which is loaded unless it is there.
    fn block_a(&mut self, product: usize, rows: &Range<usize>, depth: &Range<usize>) -> usize {
        let key = BlockA { product, rows: rows.clone(), depth: depth.clone() };
        if let Some((address, _)) = self.a.find(&key) {
            return address;
        }
        let vectors = self.a_vectors(depth);
        let address = self.a.place(key, rows.len() * vectors, VALUE_A);
        let row = row_bytes(self.options.k);
        let first = depth.start * self.config.rows;
        let length = self.a_bytes(depth);
        let contiguous = length == row && vectors * self.config.rows == row;
        let (count, length) = if contiguous { (1, rows.len() * row) } else { (rows.len(), length) };
        let load = Load {
            space: space::ACTIVATION,
            base_register: WORKSPACE,
            memory_offset: (self.options.offsets()[0] + rows.start * row + first) as u32,
            rows: count as u32,
            row_bytes: length as u32,
            memory_stride: row as u32,
            address: address as u32,
            stride: vectors as u32,
            ..Load::default()
        };
        self.push(load, vec![VALUE_A], VALUE_A);
        address
    }

    /// Loads columns of B for a range of the reduction to tiles from `address` on.
    fn load_b(&mut self, tiles: Range<usize>, depth: &Range<usize>, address: usize) {
        let (config, options) = (self.config, self.options);
        let row = row_bytes(options.n);
        let columns = tiles.start * config.cols..(tiles.end * config.cols).min(row);
        let rows = depth.start * config.rows..(depth.end * config.rows).min(options.k);
        let load = Load {
            space: space::WEIGHT,
            layout: layout::ROW,
            base_register: WORKSPACE,
            memory_offset: (options.offsets()[1] + rows.start * row + columns.start) as u32,
            rows: rows.len() as u32,
            row_bytes: columns.len() as u32,
            memory_stride: row as u32,
            address: address as u32,
            stride: depth.len() as u32,
            ..Load::default()
        };
        self.push(load, vec![VALUE_B], VALUE_B);
        // Rows beyond the reduction meet bytes of A that are not part of it.
        let missing = depth.len() * config.rows - rows.len();
        if missing > 0 {
            let load = Load {
                space: space::WEIGHT,
                layout: layout::ROW,
                base_register: CONSTANTS,
                memory_offset: self.zeros as u32,
                rows: missing as u32,
                first_row: (rows.len() % config.rows) as u32,
                row_bytes: columns.len() as u32,
                address: (address + rows.len() / config.rows) as u32,
                stride: depth.len() as u32,
                ..Load::default()
            };
            self.push(load, vec![], VALUE_B);
        }
    }

    /// Loads B as a program finds it that has it on the chip: the head of the reduction for all columns, then the rest.
    fn load_all_of_b(&mut self) {
        let tiles = 0..self.all_tiles();
        for depth in self.resident_depths() {
            let key = BlockB { product: 0, tiles: tiles.clone(), depth: depth.clone() };
            let address = self.b.place(key, tiles.len() * depth.len(), VALUE_B);
            self.load_b(tiles.clone(), &depth, address);
        }
        self.loaded_tiles = tiles.end;
    }

    /// Parts of the reduction in which a product with B on the chip is computed. With few rows, the array begins with the
    /// first vectors of A while the others are loaded.
    fn resident_depths(&self) -> Vec<Range<usize>> {
        let config = self.config;
        let (m, all_tiles, all_depth) = (self.options.m, self.all_tiles(), self.all_depth());
        let groups = config.cols / config.lanes;
        // The others follow on the bus at once: a latency of the memory is not between them.
        let load_cycles = PIPELINE_CYCLES + m * row_bytes(self.options.k) / config.bus_bytes();
        let mut first = groups.max(vector_quantum(config));
        while first * m * all_tiles < load_cycles {
            first *= 2;
        }
        let one_block = m <= self.blocks.rows && all_tiles <= self.blocks.tiles;
        let worthwhile = 4 * first <= all_depth && all_tiles >= 4 * Blocks::tile_quantum(config);
        if one_block && worthwhile && m * all_tiles * groups <= config.accumulator_depth {
            vec![0..first, first..all_depth]
        } else {
            std::iter::once(0..all_depth).collect()
        }
    }

    /// Address of the tiles of a block of B, which is loaded unless it is there.
    fn block_b(&mut self, product: usize, tiles: &Range<usize>, depth: &Range<usize>) -> usize {
        if self.blocks.whole {
            let all = 0..self.all_tiles();
            let product = if self.options.resident { 0 } else { product };
            let key = BlockB { product, tiles: all.clone(), depth: depth.clone() };
            let base = match self.b.find(&key) {
                Some((base, _)) => base,
                None => self.b.place(key, all.len() * depth.len(), VALUE_B),
            };
            if self.loaded_tiles < tiles.end {
                let missing = self.loaded_tiles..tiles.end;
                self.load_b(missing.clone(), depth, base + missing.start * depth.len());
                self.loaded_tiles = tiles.end;
            }
            return base + tiles.start * depth.len();
        }
        let key = BlockB { product, tiles: tiles.clone(), depth: depth.clone() };
        if let Some((address, _)) = self.b.find(&key) {
            return address;
        }
        let address = self.b.place(key, tiles.len() * depth.len(), VALUE_B);
        self.load_b(tiles.clone(), depth, address);
        address
    }

    /// Address of vectors for a piece of C.
    fn block_c(&mut self, rows: usize, tiles: usize) -> (usize, usize) {
        let vectors = (tiles * self.config.cols).div_ceil(self.config.rows);
        self.pieces += 1;
        (self.c_base + self.c.place(self.pieces, rows * vectors, VALUE_C), vectors)
    }

    /// A command without operands: `rows` outputs of `tiles` column tiles, for which parameters are there.
    fn matrix(&self, rows: usize, tiles: usize, a_vectors: usize, depth: usize) -> Matrix {
        Matrix {
            channels: depth as u32,
            outputs_x: rows as u32,
            tiles: tiles as u32,
            stride_x: a_vectors as u32,
            stride_channel: 1,
            output_stride_tile: 1,
            input_width: 1,
            input_height: 1,
            minimum: -128,
            maximum: 127,
            ..Matrix::default()
        }
    }

    fn store(&mut self, rows: &Range<usize>, tiles: &Range<usize>, address: usize, vectors: usize) {
        let row = row_bytes(self.options.n);
        let first = tiles.start * self.config.cols;
        let length = (tiles.end * self.config.cols).min(row) - first;
        let contiguous = length == row && vectors * self.config.rows == row;
        let (count, length) = if contiguous { (1, rows.len() * row) } else { (rows.len(), length) };
        let store = Store {
            space: space::ACTIVATION,
            base_register: WORKSPACE,
            memory_offset: (self.options.offsets()[2] + rows.start * row + first) as u32,
            rows: count as u32,
            row_bytes: length as u32,
            memory_stride: row as u32,
            address: address as u32,
            stride: vectors as u32,
            ..Store::default()
        };
        self.push(store, vec![VALUE_C], VALUE_C);
    }

    /// Loads what a piece needs, computes it and stores it.
    fn piece(&mut self, product: usize, rows: Range<usize>, tiles: Range<usize>) {
        let groups = self.config.cols / self.config.lanes;
        let depths: Vec<Range<usize>> = ranges(self.all_depth(), self.blocks.depth).collect();
        let last = depths.len() - 1;
        let partial = self.value();
        let accumulators = match last {
            0 => 0,
            _ => self.accumulators.place(self.pieces, rows.len() * tiles.len() * groups, partial),
        };
        self.parameters(tiles.len());
        let (output, vectors) = self.block_c(rows.len(), tiles.len());
        for (index, depth) in depths.iter().enumerate() {
            // Rows of A may follow while the first of them are used.
            let b = self.block_b(product, &tiles, depth);
            let a = self.block_a(product, &rows, depth);
            let matrix = Matrix {
                accumulate: index > 0,
                to_accumulator: index < last,
                activation_address: a as u32,
                weight_address: b as u32,
                accumulator_address: accumulators as u32,
                output_address: output as u32,
                output_stride_x: vectors as u32,
                ..self.matrix(rows.len(), tiles.len(), self.a_vectors(depth), depth.len())
            };
            let mut reads = vec![VALUE_A, VALUE_B, self.parameter_value];
            if index > 0 {
                reads.push(partial);
            }
            self.push(matrix, reads, if index < last { partial } else { VALUE_C });
        }
        self.store(&rows, &tiles, output, vectors);
    }

    /// A product whose B is on the chip.
    fn resident_product(&mut self, product: usize) {
        let depths = self.resident_depths();
        let [head, rest] = &depths[..] else {
            for (rows, tiles) in self.pieces(product) {
                self.piece(product, rows, tiles);
            }
            return;
        };
        let config = self.config;
        let groups = config.cols / config.lanes;
        let (rows, all_tiles) = (0..self.options.m, self.all_tiles());
        let quantum = Blocks::tile_quantum(config);
        // The last columns are computed on their own, the very last ones once more: little is left to store in the end.
        // The last ones take as long as the results before them are in the pipeline, all of the last columns as long as
        // the store of the others, and their partial sums as long as those of the others are in the pipeline.
        let tiles_for = |cycles: usize, depth: usize| {
            cycles
                .div_ceil(depth * rows.len())
                .next_multiple_of(quantum)
                .min(all_tiles / 2 / quantum * quantum)
        };
        let short = tiles_for(PIPELINE_CYCLES, rest.len());
        let store_cycles = rows.len() * row_bytes(self.options.n) / config.bus_bytes() + TRANSFER_CYCLES;
        let cover = tiles_for(PIPELINE_CYCLES, head.len()).max(short + tiles_for(store_cycles, rest.len()));
        let cover = cover.min(all_tiles / 2 / quantum * quantum);
        let short = short.min(cover);
        let parts = [0..all_tiles - cover, all_tiles - cover..all_tiles];
        let stored =
            [0..all_tiles - cover, all_tiles - cover..all_tiles - short, all_tiles - short..all_tiles];
        let partials = [self.value(), self.value()];
        let base = self.accumulators.place(product, rows.len() * all_tiles * groups, partials[0]);
        let accumulators = |tile: usize| (base + tile * rows.len() * groups) as u32;
        for (part, partial) in parts.iter().zip(partials) {
            let a = self.block_a(product, &rows, head);
            let b = self.resident_b(head) + part.start * head.len();
            let matrix = Matrix {
                to_accumulator: true,
                activation_address: a as u32,
                weight_address: b as u32,
                accumulator_address: accumulators(part.start),
                ..self.matrix(rows.len(), part.len(), self.a_vectors(head), head.len())
            };
            self.push(matrix, vec![VALUE_A, VALUE_B, self.parameter_value], partial);
            if part.start == 0 {
                self.block_a(product, &rows, rest);
            }
        }
        for tiles in stored.into_iter().filter(|tiles| !tiles.is_empty()) {
            let start = tiles.start;
            let (output, vectors) = self.block_c(rows.len(), tiles.len());
            let a = self.block_a(product, &rows, rest);
            let b = self.resident_b(rest) + start * rest.len();
            let matrix = Matrix {
                accumulate: true,
                activation_address: a as u32,
                weight_address: b as u32,
                accumulator_address: accumulators(start),
                output_address: output as u32,
                output_stride_x: vectors as u32,
                ..self.matrix(rows.len(), tiles.len(), self.a_vectors(rest), rest.len())
            };
            let reads = vec![VALUE_A, VALUE_B, self.parameter_value, partials[0], partials[1]];
            self.push(matrix, reads, VALUE_C);
            self.store(&rows, &tiles, output, vectors);
        }
    }

    /// Address of a part of B that is on the chip.
    fn resident_b(&self, depth: &Range<usize>) -> usize {
        let key = BlockB { product: 0, tiles: 0..self.all_tiles(), depth: depth.clone() };
        self.b.find(&key).expect("B is on the chip").0
    }

    fn program(
        &mut self,
        mut planned: Vec<Planned>,
        inputs: &[usize],
        initial: &[Initial],
    ) -> Result<Program, CompileError> {
        crate::finish(&mut planned, self.config, initial)?;
        Ok(self.assemble(planned, inputs))
    }

    fn assemble(&self, planned: Vec<Planned>, inputs: &[usize]) -> Program {
        let GemmOptions { m, k, n, repeat, .. } = *self.options;
        let computes = planned.iter().any(|p| matches!(p.command, Command::Matrix(_)));
        let macs = if computes { (m * k * n * repeat) as u64 } else { 0 };
        Program {
            name: format!("gemm {m}x{k}x{n}"),
            config: self.config.clone(),
            command_layers: vec![0; planned.len()],
            commands: planned.into_iter().map(|p| p.command).collect(),
            layers: vec![Layer { name: if computes { "product" } else { "preload" }.to_owned(), macs }],
            constants: self.constants.clone(),
            workspace_bytes: self.options.offsets()[3],
            inputs: inputs.iter().map(|which| self.options.layout(*which)).collect(),
            outputs: if computes { vec![self.options.layout(2)] } else { vec![] },
        }
    }
}
