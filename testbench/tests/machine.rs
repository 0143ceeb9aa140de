//! Whole machine: random programs on the Verilated accelerator against the functional simulator.
//!
//! Every program loads all on-chip memories with random bytes, runs random matrix and vector commands, and stores everything again;
//! the bytes must be the same. Failures shrink and print their seed.

use frugal_device::{Device, GoldenDevice, RunOptions};
use frugal_isa::command::{layout, space, Barrier, End, Load, Matrix, Move, Row, Store, Tokens, Vector};
use frugal_isa::{Command, Config, Engine, Program, TensorLayout};
use frugal_testbench::accelerator::verilated_device;
use frugal_testbench::axi::Stalls;
use frugal_testbench::device::SimulationOptions;
use proptest::prelude::*;

/// A configuration small enough to store all of its memories after every program.
fn small(rows: usize, cols: usize, lanes: usize, bus_bits: usize) -> Config {
    Config {
        name: format!("test_{rows}x{cols}"),
        rows,
        cols,
        lanes,
        activation_depth: 128,
        weight_depth: 64,
        parameter_depth: 32,
        accumulator_depth: 64,
        tables: 2,
        four_bit: true,
        row_engine: true,
        counters: true,
        base_registers: 8,
        depthwise_taps: cols.min(4),
        sequential: false,
        queue_depth: 4,
        bus_bits,
    }
}

/// The same, without 4-bit weights.
fn plain(config: Config) -> Config {
    Config { name: format!("{}_plain", config.name), four_bit: false, ..config }
}

/// The same, without what the smallest boards leave out.
fn rowless(config: Config) -> Config {
    let name = format!("{}_rowless", config.name);
    Config {
        name,
        four_bit: false,
        row_engine: false,
        counters: false,
        base_registers: 2,
        queue_depth: 1,
        tables: 1,
        ..config
    }
}

/// One command at a time on a small core: 8 x 4, two lanes and taps.
fn sequential() -> Config {
    let config = rowless(small(8, 4, 2, 64));
    Config { name: "test_sequential".into(), depthwise_taps: 2, sequential: true, ..config }
}

/// A program that executes one command at a time.
fn program(config: &Config, seed: u64, commands: &[Command]) -> Program {
    let barrier = || Command::from(Barrier::default());
    let separate: Vec<Command> = commands.iter().flat_map(|c| [barrier(), c.clone()]).collect();
    program_of(config, seed, &separate)
}

/// Loads of all memories, a barrier, the commands, a barrier, and stores.
fn program_of(config: &Config, seed: u64, commands: &[Command]) -> Program {
    let activation_bytes = config.activation_bytes();
    let weight_bytes = config.weight_bytes();
    let parameter_bytes = config.parameter_depth * config.parameter_group_bytes();
    let accumulator_bytes = config.accumulator_depth * 4 * config.lanes;
    // Constants: activations, weights, parameters, accumulators.
    let table_bytes = config.tables * Config::TABLE_BYTES;
    let scale_bytes = if config.four_bit { config.scale_depth() * config.scale_row_bytes() } else { 0 };
    let scales = activation_bytes + weight_bytes + parameter_bytes + accumulator_bytes;
    let total = scales + scale_bytes + table_bytes;
    let mut state = seed | 1;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32
    };
    let mut constants: Vec<u8> = (0..total).map(|_| random() as u8).collect();
    let extremes = [0x80, 0x7f, 0x00, 0xff];
    for byte in constants.iter_mut().take(activation_bytes + weight_bytes) {
        if random() % 4 == 0 {
            *byte = extremes[(random() % 4) as usize];
        }
    }
    // Parameters: any bias, a multiplier of at most 2^31, shifts of 0 to 31.
    let parameters = activation_bytes + weight_bytes;
    let group = config.parameter_group_bytes();
    for g in 0..config.parameter_depth {
        for l in 0..config.lanes {
            let at = |plane: usize| parameters + g * group + (plane * config.lanes + l) * 4;
            let bias = if random() % 3 == 0 { random() as u32 } else { (random() % 4096) as u32 };
            let multiplier = if random() % 8 == 0 { 1 << 31 } else { (random() as u32) & 0x7fff_ffff };
            let left = if random() % 3 == 0 { random() % 32 } else { 0 };
            let shift = (random() % 32) as u32 | (left as u32) << 8;
            for (plane, value) in [bias, multiplier, shift].into_iter().enumerate() {
                constants[at(plane)..at(plane) + 4].copy_from_slice(&value.to_le_bytes());
            }
        }
    }
    let load = |space, offset: usize, bytes: usize| -> Command {
        Load { space, memory_offset: offset as u32, row_bytes: bytes as u32, ..Load::default() }.into()
    };
    let store = |space, offset: usize, bytes: usize| -> Command {
        Store {
            space,
            base_register: 1,
            memory_offset: offset as u32,
            row_bytes: bytes as u32,
            ..Store::default()
        }
        .into()
    };
    let mut all = vec![
        load(space::ACTIVATION, 0, activation_bytes),
        load(space::WEIGHT, activation_bytes, weight_bytes),
        load(space::PARAMETER, parameters, parameter_bytes),
        load(space::ACCUMULATOR, parameters + parameter_bytes, accumulator_bytes),
        Load {
            space: space::PARAMETER,
            layout: layout::TABLE,
            memory_offset: (total - table_bytes) as u32,
            row_bytes: table_bytes as u32,
            ..Load::default()
        }
        .into(),
    ];
    if config.four_bit {
        for scale in &mut constants[scales..scales + scale_bytes] {
            if random() % 4 == 0 {
                *scale = 255;
            }
        }
        all.push(
            Load {
                space: space::WEIGHT,
                layout: layout::SCALES,
                memory_offset: scales as u32,
                row_bytes: scale_bytes as u32,
                ..Load::default()
            }
            .into(),
        );
    }
    all.push(Barrier::default().into());
    all.extend_from_slice(commands);
    all.push(Barrier::default().into());
    all.push(store(space::ACTIVATION, 0, activation_bytes));
    all.push(store(space::ACCUMULATOR, activation_bytes, accumulator_bytes));
    all.push(End::default().into());
    let tensor = |name: &str, offset, bytes| TensorLayout {
        name: name.into(),
        shape: vec![bytes],
        strides: vec![1],
        offset,
        element_bytes: 1,
    };
    Program {
        name: "random".into(),
        config: config.clone(),
        command_layers: vec![0; all.len()],
        commands: all,
        layers: vec![frugal_isa::program::Layer { name: "random".into(), macs: 0 }],
        constants,
        workspace_bytes: activation_bytes + accumulator_bytes,
        inputs: vec![],
        outputs: vec![
            tensor("activation", 0, activation_bytes),
            tensor("accumulator", activation_bytes, accumulator_bytes),
        ],
    }
}

fn configs() -> impl Strategy<Value = Config> {
    prop_oneof![6 => row_configs(), 1 => Just(rowless(small(8, 8, 2, 64)))]
}

/// With a row engine.
fn row_configs() -> impl Strategy<Value = Config> {
    prop::sample::select(vec![
        small(8, 8, 4, 64),
        small(8, 8, 4, 128),
        small(16, 8, 4, 64),
        plain(small(16, 16, 8, 128)),
        small(8, 2, 2, 64),
        small(32, 8, 2, 128),
    ])
}

prop_compose! {
    /// A matrix command whose reads and writes stay in the memories and do not overlap.
    fn matrix(config: Config)(
        channels in 1u32..4, kernel_x in 1u32..4, kernel_y in 1u32..4, outputs_x in 1u32..5, outputs_y in 1u32..4, tiles in 1u32..4,
        start_x in -2i32..2, start_y in -2i32..2, step_x in 1u32..3, step_y in 1u32..3, width in 1u32..6, height in 1u32..6,
        kernel_step_x in 1u32..3, kernel_step_y in 1u32..3,
        pad_value in -128i32..128, zero_point in -128i32..128, clamp in (-128i32..128, -128i32..128),
        flags in any::<(bool, bool, bool, bool)>(), skip in 0u32..4, lane in 0u32..64, weight in 0u32..64,
        row_flags in any::<(bool, bool, bool, bool)>(), tile_stride in prop_oneof![Just(0u32), 1u32..24], first_row in 0u32..64
    ) -> Command {
        let depthwise = flags.3;
        let four_bit = row_flags.0 && config.four_bit && !depthwise;
        // A group of the reduction, in tiles; 4-bit weights come in whole ones.
        let group = if four_bit { config.scale_tiles() as u32 } else { 1 };
        let channels = if channels * kernel_x * kernel_y % group == 0 { channels } else { group };
        let tiles = if depthwise { tiles.min(2) } else { tiles.min((config.rows / config.cols * 2) as u32) };
        let result_lanes = match (depthwise, four_bit) {
            (true, _) => config.rows,
            (_, true) => 2 * config.cols,
            _ => config.cols,
        };
        let vector_lanes = result_lanes.min(config.rows) as u32;
        let lane = (lane * vector_lanes) % config.rows as u32;
        let groups = (result_lanes / config.lanes) as u32;
        // 4-bit results always go to accumulator rows, which are few.
        let (outputs_x, outputs_y) = match four_bit {
            true => (outputs_x.min(2), outputs_y.min(64 / groups / tiles / outputs_x.min(2)).max(1)),
            false => (outputs_x, outputs_y),
        };
        let rows = outputs_x * outputs_y * tiles * groups;
        let steps = channels * kernel_x * kernel_y;
        let weight_address = if steps * tiles <= 32 { weight % 32 / group * group } else { 0 };
        let tile_stride = tile_stride / group * group;
        let fits = weight_address + (tiles - 1) * tile_stride + steps <= 64;
        let to_accumulator = four_bit || (flags.1 && rows <= 64);
        // Results along rows: where a vector would be there are as many rows as a vector or a result has groups.
        let vectors = (lane + tiles * result_lanes as u32).div_ceil(config.rows as u32);
        let wide = (result_lanes / vector_lanes as usize) as u32;
        let span = (config.rows / config.lanes) as u32 * wide;
        let all_rows = span * outputs_x * outputs_y * vectors / wide;
        let row_results = row_flags.1 && to_accumulator && all_rows <= 64;
        let rescale = row_flags.2 && to_accumulator;
        let add_row = row_flags.3 && rescale && row_results;
        let accumulate = flags.0 && rows <= 64 && !add_row;
        let (output_address, output_strides) = match row_results {
            true => (first_row % (65 - all_rows), [span, span * outputs_x, span * outputs_x * outputs_y / wide]),
            false => (64, [1, outputs_x, outputs_x * outputs_y]),
        };
        Matrix {
            accumulate,
            to_accumulator,
            single_rounding: flags.2,
            depthwise,
            four_bit,
            row_results,
            rescale,
            add_row,
            weight_stride_tile: if fits { tile_stride } else { 0 },
            skip: skip % outputs_x,
            activation_address: 0,
            weight_address,
            parameter_address: 1,
            accumulator_address: 0,
            output_address,
            output_lane: lane,
            pad_value,
            channels,
            kernel_x,
            kernel_y,
            outputs_x,
            outputs_y,
            tiles,
            output_zero_point: zero_point,
            stride_channel: 1,
            stride_kernel_x: channels * kernel_step_x,
            stride_kernel_y: channels * width * kernel_step_y,
            stride_x: channels * step_x,
            stride_y: channels * width * step_y,
            output_stride_x: output_strides[0],
            output_stride_y: output_strides[1],
            output_stride_tile: output_strides[2],
            input_width: width.min(64 / channels / height.min(64)).max(1),
            input_height: height,
            start_x,
            start_y,
            step_x,
            step_y,
            kernel_step_x,
            kernel_step_y,
            minimum: clamp.0.min(clamp.1),
            maximum: clamp.0.max(clamp.1),
            ..Matrix::default()
        }
        .fit(channels)
        .into()
    }
}

/// Moves the first address so that the first pixel of the image is vector 0.
trait Fit {
    fn fit(self, channels: u32) -> Self;
}

impl Fit for Matrix {
    fn fit(mut self, channels: u32) -> Self {
        let offset = (self.start_y * self.stride_kernel_y as i32 / self.kernel_step_y as i32)
            + self.start_x * channels as i32;
        self.activation_address = offset as u32 & 0xffff;
        self
    }
}

prop_compose! {
    fn vector(config: Config)(
        kernel_x in 1u32..4, kernel_y in 1u32..4, outputs_x in 1u32..5, outputs_y in 1u32..4, groups in 1u32..5,
        source in 0u32..2, destination in 0u32..2, reduce in 0u32..3, flags in any::<(bool, bool, bool, bool, bool)>(), table in 0u32..2,
        start_x in -1i32..2, start_y in -1i32..2, step_x in 1u32..3, step_y in 1u32..3, lane in 0u32..16,
        pre_add in any::<i32>(), multiplier in 0u32..=1 << 31, left in 0u32..32, right in 0u32..32,
        clamp in (-128i32..128, -128i32..128), post_add in any::<i32>(), pad_value in -128i32..128
    ) -> Command {
        let (kernel_x, kernel_y) = if source == 1 { (1, 1) } else { (kernel_x, kernel_y) };
        let width = 4;
        let groups = groups.min((config.rows / config.lanes * 2) as u32);
        let results = groups * outputs_x * outputs_y;
        let destination = if results > 24 { 0 } else { destination };
        let source = if results > 64 { 0 } else { source };
        let outputs_x = outputs_x.min(8);
        Vector {
            source,
            destination,
            single_rounding: flags.0,
            add_operand: flags.1 && source == 0 && results <= 32,
            multiply_operand: flags.2 && !flags.1 && source == 0 && results <= 32,
            operand_per_group: flags.3,
            lookup: flags.4,
            subtract_operand: flags.3 != flags.4,
            table,
            reduce,
            source_address: if source == 1 { 0 } else { (start_y * width + start_x) as u32 & 0xffff },
            destination_address: if destination == 1 { 40 } else { 64 },
            operand_address: 8,
            first_lane: (lane * config.lanes as u32) % config.rows as u32,
            kernel_x,
            kernel_y,
            groups,
            outputs_x,
            outputs_y,
            stride_kernel_x: 1,
            stride_kernel_y: width as u32,
            stride_x: step_x,
            stride_y: step_y * width as u32,
            stride_group: 16,
            output_stride_group: outputs_x * outputs_y,
            output_stride_x: 1,
            output_stride_y: outputs_x,
            pre_add,
            multiplier,
            left_shift: left,
            right_shift: right,
            minimum: clamp.0.min(clamp.1),
            maximum: clamp.0.max(clamp.1),
            post_add,
            input_width: width as u32,
            input_height: 4,
            start_x,
            start_y,
            step_x,
            step_y,
            pad_value,
            ..Vector::default()
        }
        .into()
    }
}

prop_compose! {
    /// Moves from the first 64 vectors to the others.
    fn move_bytes(config: Config)(
        first_lane in 0u32..64, bytes in 1u32..64, outputs_x in 1u32..12, outputs_y in 1u32..5, vectors in 1u32..5,
        width in 1u32..64, input_height in 1u32..6, start_x in -40i32..40, start_y in -3i32..3, step_x in 0u32..40,
        step_y in 0u32..3, output_stride_x in 0u32..3, pad_value in -128i32..128
    ) -> Command {
        let rows = config.rows as u32;
        let first_lane = first_lane % rows;
        Move {
            source_address: (start_y * vectors as i32) as u32 & 0xffff,
            destination_address: 64,
            first_lane,
            bytes: bytes.min(rows - first_lane),
            outputs_x,
            outputs_y,
            stride_y: vectors * step_y,
            output_stride_x,
            output_stride_y: 12,
            input_width: width.min(vectors * rows),
            input_height,
            start_x,
            start_y,
            step_x,
            step_y,
            pad_value,
            ..Move::default()
        }
        .into()
    }
}

prop_compose! {
    /// A row command that reads accumulator rows 0..24 and scalars of the `number` before, and writes places of its own.
    fn row(config: Config, number: u32)(
        function in 0u32..5, reduce in 0u32..4, finish in 0u32..4, operand in any::<bool>(), destination in 0u32..3,
        scalar_use in 0u32..4, taps in 1u32..3, source in 0u32..24, operand_address in 0u32..24, rows_x in 1u32..4, rows_y in 1u32..3,
        groups in 1u32..4, length in 0u32..40, length_step in 0u32..12, strides in prop::array::uniform8(0u32..6), lane in 0u32..16,
        factor in any::<i16>(), multiplier in 0u32..=1 << 31, shifts in (0u32..32, 0u32..32, 0u32..32), flat in any::<bool>(),
        clamp in (-128i32..128, -128i32..128), post_add in any::<i32>(), initial in any::<i32>()
    ) -> Command {
        let reduces = scalar_use != 3 || reduce == 3;
        let wrap = |first: u32, far: u32| if first + far < 24 { first } else { 0 };
        let far = |stride_x: u32, stride_y: u32, tap: u32| {
            (rows_x - 1) * stride_x + (rows_y - 1) * stride_y + (taps - 1) * tap + groups
        };
        let source_far = far(strides[0], strides[1], strides[2]);
        let operand_far = far(strides[3], strides[4], strides[5]);
        let multiplies = function == 1;
        // Accumulator rows 32.. and activation vectors 64.. are divided among six commands.
        let destination = match destination {
            2 if rows_x * rows_y * groups > 5 => 0,
            other => other,
        };
        Row {
            tokens: Tokens { wait: if number > 0 { Engine::Vector.mask() } else { 0 }, signal: Engine::Vector.mask() },
            function,
            reduce,
            finish,
            operand: operand && multiplies,
            destination,
            scalar_use: if reduces { scalar_use } else { 0 },
            taps: if multiplies { taps } else { 1 },
            source_address: wrap(source, source_far),
            operand_address: wrap(operand_address, operand_far),
            destination_address: if destination == 2 { 32 + 5 * number } else { 64 + 10 * number },
            first_lane: (lane * config.lanes as u32) % config.rows as u32,
            length_step,
            rows_x,
            rows_y,
            groups,
            length,
            source_stride_x: strides[0],
            source_stride_y: strides[1],
            operand_stride_x: strides[3],
            operand_stride_y: strides[4],
            destination_stride_x: if destination == 2 { groups } else { 1 },
            destination_stride_y: if destination == 2 { groups * rows_x } else { 3 },
            source_stride_tap: strides[2],
            operand_stride_tap: strides[5],
            scalar_address: if number == 0 { 0 } else { 16 * (number - 1) },
            result_address: 16 * number,
            factor: i32::from(factor),
            // Often nothing is scaled away.
            multiplier: if flat { 1 << 31 } else { multiplier },
            left_shift: if flat { 0 } else { shifts.0 },
            right_shift: if flat { 0 } else { shifts.1 },
            shift: shifts.2,
            minimum: clamp.0.min(clamp.1),
            maximum: clamp.0.max(clamp.1),
            post_add: if flat { 0 } else { post_add },
            initial,
        }
        .into()
    }
}

/// Up to six row commands that run one after the other, waiting for each other's results or not, and matrix commands beside them.
fn rows(config: Config) -> impl Strategy<Value = Vec<Command>> {
    let rows: Vec<_> = (0..6).map(|number| row(config.clone(), number)).collect();
    let matrices = prop::collection::vec(matrix(config.clone()), 0..4);
    (rows, 1usize..7, matrices, any::<u8>()).prop_map(move |(mut rows, count, matrices, free)| {
        rows.truncate(count);
        let last = rows.len() - 1;
        for (i, command) in rows.iter_mut().enumerate() {
            // Without its own token a command follows closely; then it must not read the scalars of the one before.
            let Command::Row(row) = command else { unreachable!("a row command") };
            if free >> i & 1 == 1 && matches!(row.scalar_use, 0 | 3) {
                row.tokens.wait = 0;
            }
            if i == last {
                row.tokens.signal = 0;
            }
        }
        // A token that nobody takes stays; that is no error.
        let mut commands = Vec::new();
        for (i, row) in rows.into_iter().enumerate() {
            if let Some(Command::Matrix(m)) = matrices.get(i) {
                // Results go where no row command reads or writes.
                let m = Matrix { accumulate: false, to_accumulator: false, output_address: 40, ..m.clone() };
                commands.push(m.into());
            }
            commands.push(row);
        }
        commands
    })
}

fn compare(program: &Program, options: &SimulationOptions) -> Result<(), TestCaseError> {
    let config = &program.config;
    let mut golden = GoldenDevice::new(config).unwrap();
    let wanted = golden.run(program, &[], &RunOptions::default());
    let wanted = match wanted {
        Ok(wanted) => wanted,
        Err(error) => return Err(TestCaseError::reject(error.to_string())),
    };
    let mut device = verilated_device(config, options, None).unwrap();
    let found = match device.run(program, &[], &RunOptions::default()) {
        Ok(found) => found,
        Err(error) => return Err(TestCaseError::fail(format!("{error}\n{error:?}"))),
    };
    prop_assert_eq!(device.system_mut().model_mut().errors(), 0, "assertions in the Verilog failed");
    for (tensor, (found, wanted)) in program.outputs.iter().zip(found.outputs.iter().zip(&wanted.outputs)) {
        let unit = if tensor.name == "activation" { config.rows } else { 4 * config.lanes };
        if let Some(at) = found.iter().zip(wanted).position(|(f, w)| f != w) {
            let row = at / unit;
            let range = row * unit..(row + 1) * unit;
            return Err(TestCaseError::fail(format!(
                "{} {row} differs\n found {:02x?}\nwanted {:02x?}",
                tensor.name,
                &found[range.clone()],
                &wanted[range]
            )));
        }
    }
    Ok(())
}

fn commands(config: Config) -> impl Strategy<Value = Vec<Command>> {
    let others = prop_oneof![
        2 => matrix(config.clone()),
        1 => vector(config.clone()),
        1 => move_bytes(config.clone()),
    ];
    let command = match config.row_engine {
        true => prop_oneof![4 => others, 1 => row(config, 0)].boxed(),
        false => others.boxed(),
    };
    prop::collection::vec(command, 1..4)
}

fn stalls() -> impl Strategy<Value = Option<u64>> {
    prop::option::of(any::<u64>())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn random_programs_give_the_same_bytes(
        (config, commands) in configs().prop_flat_map(|c| (Just(c.clone()), commands(c))),
        seed in any::<u64>(), stall_seed in stalls()
    ) {
        let options = SimulationOptions { stalls: stall_seed.map(Stalls::new), ..SimulationOptions::default() };
        compare(&program(&config, seed, &commands), &options)?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn random_programs_on_a_sequential_core_give_the_same_bytes(
        commands in commands(sequential()), seed in any::<u64>(), stall_seed in stalls()
    ) {
        let options = SimulationOptions { stalls: stall_seed.map(Stalls::new), ..SimulationOptions::default() };
        compare(&program(&sequential(), seed, &commands), &options)?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn random_row_programs_give_the_same_bytes(
        (config, commands) in row_configs().prop_flat_map(|c| (Just(c.clone()), rows(c))),
        seed in any::<u64>(), stall_seed in stalls()
    ) {
        let options = SimulationOptions { stalls: stall_seed.map(Stalls::new), ..SimulationOptions::default() };
        compare(&program_of(&config, seed, &commands), &options)?;
    }
}

#[test]
fn memories_survive_a_round_trip() {
    for config in [small(8, 8, 4, 64), plain(small(16, 16, 8, 128)), small(32, 8, 2, 128), sequential()] {
        compare(&program(&config, 7, &[]), &SimulationOptions::default()).unwrap();
    }
}
