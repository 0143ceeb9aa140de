//! The engines, the output stage and dispatch: native and Verilated agree, and both do what docs/architecture.md says.
//!
//! Each test plays the block's surroundings: memories whose contents are a function of the address, a bus with random
//! pauses, the queue in front. What is not asked for is answered with random words, so that nothing comes out right by
//! accident.
use frugal_hdl::byte_mover::ByteMover;
use frugal_hdl::dispatch::Dispatch;
use frugal_hdl::leaves::Requantise;
use frugal_hdl::load_engine::LoadEngine;
use frugal_hdl::mac_array::MacArray;
use frugal_hdl::matrix_engine::{MatrixEngine, PRODUCT_SLOT_CYCLES, VECTOR_SLOT_CYCLES};
use frugal_hdl::output_stage::OutputStage;
use frugal_hdl::store_engine::StoreEngine;
use frugal_hdl::table_lookup::TableLookup;
use frugal_hdl::vector_engine::VectorEngine;
use frugal_isa::command::{layout, reduce, space, Command, Load, Matrix, Store, Tokens, Vector};
use frugal_isa::{Config, COMMAND_BYTES, COMMAND_WORDS};
use frugal_testbench::compare::{
    compare_native_and_description, compare_native_and_verilated, settle, CompareError, Description,
};
use frugal_testbench::netlist;
use frugal_testbench::random::Random;
use rust_hdl_core::prelude::*;
use std::collections::{BTreeMap, VecDeque};

const SEED: u64 = 0xe61e;

macro_rules! clock {
    () => {
        |block, level| block.clock.next = Clock { clk: level }
    };
}

/// Lets the inputs reach the combinational outputs, as they are before the clock rises.
macro_rules! settle_before_edge {
    ($block:expr) => {
        $block.clock.next = Clock { clk: false };
        settle($block).expect("no combinational loop");
    };
}

/// Word `word` of row `address` of the memory `name`: the same whenever it is asked for.
fn contents(name: &str, address: u64, word: usize) -> u32 {
    let name = name.bytes().fold(0, |hash: u64, byte| hash * 31 + u64::from(byte));
    let mut random = Random::new(name << 32 ^ address << 8 ^ word as u64);
    match random.below(6) {
        0 => 0x8080_8080,
        1 => 0x7f7f_7f7f,
        _ => random.bits(32) as u32,
    }
}

fn row(name: &str, address: u64, words: usize) -> Vec<u32> {
    (0..words).map(|word| contents(name, address, word)).collect()
}

fn bytes_of(words: &[u32]) -> Vec<i8> {
    words.iter().flat_map(|word| word.to_le_bytes()).map(|byte| byte as i8).collect()
}

fn drive<const N: usize>(ports: &mut [Signal<In, Bits<N>>], values: &[u32]) {
    for (port, value) in ports.iter_mut().zip(values) {
        port.next = u64::from(*value).into();
    }
}

/// The row that was asked for, or random words.
fn answer(ports: &mut [Signal<In, Bits<32>>], name: &str, asked: &mut Option<u64>, random: &mut Random) {
    let words = match asked.take() {
        Some(address) => row(name, address, ports.len()),
        None => ports.iter().map(|_| random.bits(32) as u32).collect(),
    };
    drive(ports, &words);
}

fn words_of(ports: &[Signal<Out, Bits<32>>]) -> Vec<u32> {
    ports.iter().map(|port| port.val().to_u32()).collect()
}

/// A value of the field's width, extremes among them.
fn field(random: &mut Random, width: u32) -> u32 {
    random.bits(width) as u32
}

fn signed_field(random: &mut Random, width: u32) -> i32 {
    let bits = random.bits(width) as i64;
    (bits << (64 - width) >> (64 - width)) as i32
}

fn tokens(random: &mut Random) -> Tokens {
    Tokens { wait: random.bits(4) as u8, signal: random.bits(4) as u8 }
}

fn encode(command: impl Into<Command>) -> [u32; COMMAND_WORDS] {
    command.into().encode().expect("fields in range")
}

/// As docs/architecture.md defines it.
fn requantise(value: i32, multiplier: u32, left: u32, right: u32, single_rounding: bool) -> i32 {
    let product = i128::from(value << left) * i128::from(multiplier);
    let half = if right == 0 { 0 } else { 1i64 << (right - 1) };
    if single_rounding {
        let high = i64::from((product >> 31) as i32);
        return ((high + half) >> right) as i32;
    }
    let high = i64::from(((product + (1 << 30)) >> 31) as i32);
    let nudge = i64::from(right != 0 && high < 0);
    ((high + half - nudge) >> right) as i32
}

/// What the output stage must show in one cycle.
#[derive(Clone, Debug, Default, PartialEq)]
struct StageResult {
    to_accumulator: bool,
    address: u16,
    lane: usize,
    values: Vec<i32>,
    clamped: Vec<i8>,
    matrix_signal: Option<u64>,
    vector_signal: Option<u64>,
}

/// A machine of these sizes; all else is small.
fn small(rows: usize, cols: usize, lanes: usize, taps: usize, four_bit: bool) -> Config {
    Config {
        name: format!("{rows}x{cols}"),
        rows,
        cols,
        lanes,
        activation_depth: 64,
        weight_depth: 64,
        parameter_depth: 64,
        accumulator_depth: 64,
        tables: TABLES,
        four_bit,
        depthwise_taps: taps,
        row_engine: true,
        counters: true,
        base_registers: 8,
        sequential: false,
        queue_depth: 2,
        bus_bits: 64,
    }
}

/// A matrix result on its way: descriptor, and the cycle in which its totals come.
#[derive(Clone, Debug)]
struct PlannedResult {
    total_cycle: u64,
    flags: u32,
    rescale: bool,
    add_row: bool,
    address: u32,
    lane: u32,
    parameter: u32,
    accumulator: u32,
    clamp: [i8; 3],
    totals: Vec<u32>,
    groups: u64,
}

/// A row of the parameter memory: biases, multipliers of at most 2^31, shift words.
fn parameter_row(address: u64, lanes: usize) -> Vec<u32> {
    let words = row("parameter", address, 3 * lanes).into_iter().enumerate();
    words
        .map(|(index, word)| match index / lanes {
            0 => word,
            1 if word >> 31 == 1 => 1 << 31,
            1 => word,
            _ => word & 0x1f1f & if word >> 30 == 0 { 0x1f1f } else { 0x001f },
        })
        .collect()
}

/// Tables of the output stage under test.
const TABLES: usize = 2;

#[test]
fn output_stage() -> Result<(), CompareError> {
    output_stages(Description::Emitted, &[(16, 8, 2, true), (8, 4, 4, false), (8, 8, 2, true)])
}

/// The stage of `nano`.
#[test]
fn output_stage_after_synthesis() -> Result<(), CompareError> {
    if !netlist::available() {
        return Ok(());
    }
    output_stages(Description::Netlist, &[(8, 8, 4, true)])
}

fn output_stages(
    description: Description,
    shapes: &[(usize, usize, usize, bool)],
) -> Result<(), CompareError> {
    const CYCLES: u64 = 1_500;
    for &(rows, cols, lanes, four_bit) in shapes {
        let config = small(rows, cols, lanes, 2, four_bit);
        let latency = u64::from(Requantise::LATENCY_CYCLES + TableLookup::LATENCY_CYCLES);
        let mut tables = vec![0u32; TABLES * frugal_isa::Config::TABLE_BYTES / 4];
        let mut table_write: Option<(usize, u32)> = None;
        // Activation writes to come: cycle, and whether the address is odd.
        let mut soon: Vec<(u64, bool)> = Vec::new();
        let mut expected: BTreeMap<u64, StageResult> = BTreeMap::new();
        let mut planned: VecDeque<PlannedResult> = VecDeque::new();
        // Results whose totals have come; the first may be in the lanes while the next one is held.
        let mut arrived: VecDeque<PlannedResult> = VecDeque::new();
        let mut next_total = 0;
        let (mut parameter_asked, mut partial_asked): (Option<u64>, Option<u64>) = (None, None);
        let mut kinds = [0; 5];
        compare_native_and_description(
            description,
            || OutputStage::new(&config),
            |block, random, cycle| {
                let context = format!("cycle {cycle}, seed {SEED}, {lanes} lanes");
                // A descriptor, long or shortly before its totals.
                let pushes = planned.len() < 12 && random.one_in([2, 20][(cycle / 300 % 2) as usize]);
                block.descriptor_valid.next = pushes;
                let garbage = [0; 3].map(|_| random.bits(32) as u32);
                drive(&mut block.descriptor, &garbage);
                if pushes {
                    let depthwise = random.one_in(2);
                    let wide = four_bit && !depthwise && random.one_in(2);
                    let channels = match (depthwise, wide) {
                        (true, _) => rows,
                        (_, true) => 2 * cols,
                        _ => cols,
                    };
                    let mut flags = field(random, 8);
                    if wide {
                        flags |= 1;
                    }
                    let rescale = flags & 1 == 1 && random.one_in(2);
                    let add_row = rescale && flags & 2 == 0 && !random.one_in(4);
                    let (low, high) = (random.bits(8) as i8, random.bits(8) as i8);
                    let result = PlannedResult {
                        total_cycle: (cycle + 1 + random.below(8)).max(next_total),
                        flags,
                        rescale,
                        add_row,
                        address: field(random, 16),
                        lane: (random.below((rows / channels).max(1) as u64) * channels as u64) as u32,
                        parameter: field(random, 16),
                        accumulator: field(random, 16),
                        clamp: [random.bits(8) as i8, low.min(high), low.max(high)],
                        totals: (0..config.result_channels()).map(|_| field(random, 32)).collect(),
                        groups: (channels / lanes) as u64,
                    };
                    next_total = result.total_cycle + result.groups;
                    let [zero_point, minimum, maximum] = result.clamp.map(|byte| u32::from(byte as u8));
                    let words = [
                        result.address | result.lane << 16 | result.flags << 24,
                        result.parameter | result.accumulator << 16,
                        zero_point
                            | minimum << 8
                            | maximum << 16
                            | u32::from(depthwise) << 24
                            | u32::from(wide) << 25
                            | u32::from(rescale) << 26
                            | u32::from(add_row) << 27,
                    ];
                    drive(&mut block.descriptor, &words);
                    planned.push_back(result);
                }
                // Totals of the result whose cycle has come.
                let arrives = planned.front().is_some_and(|result| result.total_cycle == cycle);
                block.total_valid.next = arrives;
                let garbage: Vec<u32> = (0..config.result_channels()).map(|_| field(random, 32)).collect();
                drive(&mut block.total, if arrives { &planned[0].totals } else { &garbage });

                // The group in the lanes: the first one behind the lane register, the others are held first.
                let group = arrived.front().and_then(|result| cycle.checked_sub(result.total_cycle + 1));
                let partial = partial_asked.take();
                let accumulators: Vec<u32> = match partial {
                    Some(address) => row("accumulator", address, lanes),
                    None => (0..lanes).map(|_| field(random, 32)).collect(),
                };
                drive(&mut block.accumulator, &accumulators);
                let parameters = match parameter_asked.take() {
                    Some(address) => parameter_row(address, lanes),
                    None => (0..3 * lanes).map(|_| field(random, 32)).collect(),
                };
                drive(&mut block.parameter, &parameters);

                // A word of a table; tables are not looked up while they change.
                if let Some((address, word)) = table_write.take() {
                    tables[address] = word;
                }
                let changes = cycle < 300;
                block.table_write_valid.next = changes;
                let (address, word) = (cycle as usize % tables.len(), field(random, 32));
                block.table_write_address.next = (address as u64).into();
                block.table_write_data.next = u64::from(word).into();
                if changes {
                    table_write = Some((address, word));
                }
                // Vector values in free slots.
                let vector_valid = group.is_none() && random.one_in(2);
                let values: Vec<u32> = (0..lanes).map(|_| field(random, 32)).collect();
                let (pre_add, post_add) = (field(random, 32), field(random, 32));
                let multiplier = if random.one_in(4) { 1 << 31 } else { field(random, 31) };
                let [left, right] = [0; 2].map(|_| if random.one_in(3) { 0 } else { field(random, 5) });
                let (single, operand) = (random.one_in(2), random.one_in(3));
                let (low, high) = (random.bits(8) as i8, random.bits(8) as i8);
                let (minimum, maximum) = (low.min(high), low.max(high));
                let lane = random.below((rows / lanes) as u64) as usize * lanes;
                // Only the flags that a vector result has.
                let (address, flags) = (field(random, 16), field(random, 8) & 0xf9);
                block.vector_valid.next = vector_valid;
                drive(&mut block.vector_value, &values);
                block.vector_pre_add.next = u64::from(pre_add).into();
                block.vector_multiplier.next = u64::from(multiplier).into();
                block.vector_left.next = u64::from(left).into();
                block.vector_right.next = u64::from(right).into();
                block.vector_single_rounding.next = single;
                block.vector_add_operand.next = operand;
                let subtract = random.one_in(2);
                block.vector_subtract_operand.next = subtract;
                block.vector_post_add.next = u64::from(post_add).into();
                block.vector_minimum.next = u64::from(minimum as u8).into();
                block.vector_maximum.next = u64::from(maximum as u8).into();
                let lookup = !changes && cycle > 320 && random.one_in(2);
                let table = random.below(TABLES as u64) as usize;
                block.vector_lookup.next = lookup;
                block.vector_table.next = (table as u64).into();
                block.vector_route.next = u64::from(address | (lane as u32) << 16 | flags << 24).into();
                if vector_valid {
                    let value = |l: usize| {
                        let value = (values[l] as i32).wrapping_add(pre_add as i32);
                        let added = match (operand, subtract) {
                            (false, _) => post_add,
                            (true, false) => accumulators[l],
                            (true, true) => accumulators[l].wrapping_neg(),
                        };
                        requantise(value, multiplier, left, right, single).wrapping_add(added as i32)
                    };
                    let values: Vec<i32> = (0..lanes).map(value).collect();
                    let clamped = values.iter().map(|v| {
                        let clamped = (*v).clamp(minimum.into(), maximum.into()) as u8;
                        let entry = table * 64 + clamped as usize / 4;
                        let looked_up = tables[entry].to_le_bytes()[clamped as usize % 4];
                        if lookup {
                            looked_up as i8
                        } else {
                            clamped as i8
                        }
                    });
                    if flags & 1 == 0 {
                        soon.push((cycle + latency, address & 1 == 1));
                    }
                    let result = StageResult {
                        to_accumulator: flags & 1 == 1,
                        address: address as u16,
                        lane,
                        clamped: clamped.collect(),
                        values,
                        matrix_signal: None,
                        vector_signal: (flags & 8 == 8).then_some(u64::from(flags >> 4)),
                    };
                    kinds[2] += 1;
                    expected.insert(cycle + latency, result);
                }
                if let (Some(group), Some(result)) = (group, arrived.front()) {
                    let (to_accumulator, accumulate, single) =
                        (result.flags & 1 == 1, result.flags & 2 == 2, result.flags & 4 == 4);
                    let raw = to_accumulator && !result.rescale;
                    let parameters = parameter_row((u64::from(result.parameter) + group) & 0xffff, lanes);
                    let accumulator_row = (u64::from(result.accumulator) + group) & 0xffff;
                    let partials = row("accumulator", accumulator_row, lanes);
                    let value = |l: usize| {
                        let total = result.totals[group as usize * lanes + l] as i32;
                        let added = if accumulate { partials[l] } else { parameters[l] };
                        let value = total.wrapping_add(added as i32);
                        if raw {
                            return value;
                        }
                        let shifts = parameters[2 * lanes + l];
                        requantise(value, parameters[lanes + l], shifts >> 8, shifts & 31, single)
                            .wrapping_add(result.clamp[0].into())
                            .wrapping_add(if result.add_row { partials[l] as i32 } else { 0 })
                    };
                    let values: Vec<i32> = (0..lanes).map(value).collect();
                    let clamp = |v: &i32| (*v).clamp(result.clamp[1].into(), result.clamp[2].into()) as i8;
                    let ends = result.flags & 8 == 8 && group == result.groups - 1;
                    if !to_accumulator {
                        soon.push((cycle + latency, result.address & 1 == 1));
                    }
                    kinds[match (to_accumulator, result.rescale, result.add_row) {
                        (false, ..) => 0,
                        (true, false, _) => 1,
                        (true, true, false) => 3,
                        (true, true, true) => 4,
                    }] += 1;
                    let result = StageResult {
                        to_accumulator,
                        address: if to_accumulator { accumulator_row as u16 } else { result.address as u16 },
                        lane: result.lane as usize + group as usize * lanes,
                        clamped: values.iter().map(clamp).collect(),
                        values,
                        matrix_signal: ends.then_some(u64::from(result.flags >> 4)),
                        vector_signal: None,
                    };
                    expected.insert(cycle + latency, result);
                }
                if arrived.front().is_some_and(|result| group == Some(result.groups - 1)) {
                    arrived.pop_front();
                }
                if arrives {
                    arrived.extend(planned.pop_front());
                }
                settle_before_edge!(block);
                parameter_asked =
                    block.parameter_enable.val().then(|| block.parameter_address.val().to_u64());
                partial_asked = block.partial_enable.val().then(|| block.partial_address.val().to_u64());

                let in_time = soon.iter().find(|(at, _)| *at == cycle + ByteMover::LATENCY_CYCLES as u64);
                assert_eq!(block.result_soon.val(), in_time.is_some(), "{context}");
                if let Some((_, odd)) = in_time {
                    assert_eq!(block.result_odd.val(), *odd, "{context}");
                }

                // What comes out.
                let result = expected.remove(&cycle);
                let [to_activation, to_accumulator] = [false, true]
                    .map(|kind| result.as_ref().is_some_and(|result| result.to_accumulator == kind));
                let odd = result.as_ref().is_some_and(|result| result.address % 2 == 1);
                assert_eq!(block.activation_even.val(), to_activation && !odd, "{context}");
                assert_eq!(block.activation_odd.val(), to_activation && odd, "{context}");
                assert_eq!(block.accumulator_valid.val(), to_accumulator, "{context}");
                let result = result.unwrap_or_default();
                assert_eq!(block.matrix_finished.val(), result.matrix_signal.is_some(), "{context}");
                assert_eq!(block.vector_finished.val(), result.vector_signal.is_some(), "{context}");
                let signals =
                    [block.matrix_signal.val(), block.vector_signal.val()].map(|port| port.to_u64());
                let expected_signals =
                    [result.matrix_signal, result.vector_signal].map(Option::unwrap_or_default);
                assert_eq!(signals, expected_signals, "{context}");
                if to_accumulator || to_activation {
                    assert_eq!(block.result_address.val().to_u16(), result.address, "{context}");
                }
                if to_accumulator {
                    let native: Vec<i32> =
                        words_of(&block.accumulator_data).iter().map(|w| *w as i32).collect();
                    assert_eq!(native, result.values, "{context}");
                }
                let data = bytes_of(&words_of(&block.activation_data));
                for (byte, data) in data.iter().enumerate() {
                    let enabled = block.activation_enable[byte / 4].val().get_bit(byte % 4);
                    let inside = (result.lane..result.lane + lanes).contains(&byte);
                    assert_eq!(enabled, to_activation && inside, "{context}, byte {byte}");
                    if enabled {
                        assert_eq!(*data, result.clamped[byte - result.lane], "{context}, byte {byte}");
                    }
                }
            },
            clock!(),
            CYCLES,
            SEED,
        )?;
        assert!(
            kinds.iter().all(|count| *count > 40),
            "requantised, raw, vector, rescaled, added to a row: {kinds:?}"
        );
    }
    Ok(())
}

/// One result of a matrix or vector command.
#[derive(Clone, Debug, Default, PartialEq)]
struct EngineResult {
    values: Vec<i32>,
    /// Words that go with it to the output stage: the route, then (matrix) rows and clamps.
    words: Vec<u32>,
    /// Row of the accumulator memory that must be read for it.
    accumulator: Option<u64>,
}

/// One step of a matrix command.
#[derive(Clone, Copy, Debug)]
struct MatrixStep {
    /// None in the padding.
    activation: Option<u64>,
    weight: u64,
    scale: Option<u64>,
    /// The step that completes a result.
    result: Option<usize>,
    /// After the last step of a result, kept or dropped: cycles until the next one's last step.
    pace: Option<u64>,
}

fn route(address: u64, lane: u64, flags: u32) -> u32 {
    (address & 0xffff) as u32 | (lane as u32) << 16 | flags << 24
}

/// 16-bit two's complement.
fn inside(position: i64, size: u32) -> bool {
    (0..i64::from(size)).contains(&i64::from(position as i16))
}

fn random_matrix(random: &mut Random, config: &Config) -> Matrix {
    let (rows, cols) = (config.rows as u64, config.cols as u64);
    let (depthwise, outputs_x) = (random.one_in(3), 1 + random.below(4) as u32);
    let four_bit = config.four_bit && !depthwise && random.one_in(2);
    let (accumulate, to_accumulator) = (random.one_in(2), four_bit || random.one_in(2));
    let row_results = to_accumulator && random.one_in(2);
    let rescale = to_accumulator && random.one_in(2);
    let channels = if four_bit { (2 * cols).min(rows) } else { cols };
    Matrix {
        tokens: tokens(random),
        accumulate,
        to_accumulator,
        four_bit,
        row_results,
        rescale,
        add_row: rescale && row_results && !accumulate && random.one_in(2),
        weight_stride_tile: if random.one_in(2) { field(random, 16) } else { 0 },
        single_rounding: random.one_in(2),
        activation_address: field(random, 16),
        weight_address: field(random, 16),
        parameter_address: field(random, 16),
        accumulator_address: field(random, 16),
        output_address: field(random, 16),
        output_lane: if depthwise { 0 } else { (random.below(rows / channels) * channels) as u32 },
        pad_value: signed_field(random, 8),
        channels: 1 + random.below(3) as u32,
        kernel_x: 1 + random.below(3) as u32,
        kernel_y: 1 + random.below(2) as u32,
        outputs_x,
        outputs_y: 1 + random.below(2) as u32,
        tiles: 1 + random.below(4) as u32,
        output_zero_point: signed_field(random, 8),
        stride_kernel_x: field(random, 16),
        stride_kernel_y: field(random, 16),
        stride_x: field(random, 16),
        stride_y: field(random, 16),
        output_stride_x: field(random, 16),
        output_stride_y: field(random, 16),
        output_stride_tile: field(random, 16),
        stride_channel: field(random, 16),
        input_width: random.below(6) as u32,
        input_height: random.below(6) as u32,
        start_x: random.below(5) as i32 - 2,
        start_y: random.below(5) as i32 - 2,
        step_x: random.below(4) as u32,
        step_y: random.below(4) as u32,
        kernel_step_x: random.below(4) as u32,
        kernel_step_y: random.below(4) as u32,
        minimum: signed_field(random, 8),
        maximum: signed_field(random, 8),
        depthwise,
        skip: random.below(u64::from(outputs_x)) as u32,
    }
}

/// Channels of a result.
fn channels_of(m: &Matrix, config: &Config) -> usize {
    match (m.depthwise, m.four_bit) {
        (true, _) => config.rows,
        (_, true) => 2 * config.cols,
        _ => config.cols,
    }
}

/// The steps and the results of a matrix command, as the loops in docs/architecture.md run.
fn matrix_command(
    m: &Matrix,
    config: &Config,
    history: &mut [VecDeque<Vec<i32>>],
) -> (Vec<MatrixStep>, Vec<EngineResult>) {
    let [rows, cols, lanes, taps] =
        [config.rows, config.cols, config.lanes, config.depthwise_taps].map(|n| n as u64);
    let (mut steps, mut results) = (Vec::new(), Vec::new());
    let pad = vec![m.pad_value; rows as usize];
    let channels = channels_of(m, config) as u64;
    let groups = channels / lanes;
    let steps_of_result = m.kernel_y * m.kernel_x * m.channels;
    for t in 0..u64::from(m.tiles) {
        for y in 0..m.outputs_y {
            for x in 0..m.outputs_x {
                let mut sums = vec![0i32; channels as usize];
                let kept = x >= m.skip;
                for tap in 0..steps_of_result {
                    let c = tap % m.channels;
                    let (ky, kx) = (tap / m.channels / m.kernel_x, tap / m.channels % m.kernel_x);
                    let iy = i64::from(m.start_y) + i64::from(y * m.step_y + ky * m.kernel_step_y);
                    let ix = i64::from(m.start_x) + i64::from(x * m.step_x + kx * m.kernel_step_x);
                    let address = u64::from(m.activation_address)
                        + u64::from(y) * u64::from(m.stride_y)
                        + u64::from(x) * u64::from(m.stride_x)
                        + u64::from(ky) * u64::from(m.stride_kernel_y)
                        + u64::from(kx) * u64::from(m.stride_kernel_x)
                        + (u64::from(c) + if m.depthwise { t } else { 0 }) * u64::from(m.stride_channel);
                    let is_inside = inside(iy, m.input_height) && inside(ix, m.input_width);
                    let activation = is_inside.then_some(address & 0xffff);
                    let tile_stride = match m.weight_stride_tile {
                        0 => steps_of_result,
                        stride => stride,
                    };
                    let weight =
                        (u64::from(m.weight_address) + t * u64::from(tile_stride) + u64::from(tap)) & 0xffff;
                    let scale = m.four_bit.then_some(weight / config.scale_tiles() as u64);
                    let vector = activation.map_or(pad.clone(), |address| {
                        let bytes = bytes_of(&row("activation", address, rows as usize / 4));
                        bytes.into_iter().map(i32::from).collect()
                    });
                    let tile = bytes_of(&row("weight", weight, (rows * cols / 4) as usize));
                    if m.depthwise {
                        // The vectors that this step has read, the latest in front.
                        let seen = &mut history[tap as usize];
                        seen.push_front(vector.clone());
                        for (channel, sum) in sums.iter_mut().enumerate() {
                            let (column, part) = (channel as u64 % cols, channel as u64 / cols * cols);
                            for k in 0..cols {
                                let operand = match k < taps {
                                    true => seen.get(k as usize).map_or(0, |vector| vector[channel]),
                                    false => vector[(part + k) as usize],
                                };
                                let weight = i32::from(tile[(column * rows + part + k) as usize]);
                                *sum = sum.wrapping_add(operand * weight);
                            }
                        }
                    } else if let Some(scale) = scale {
                        let scales = bytes_of(&row("scale", scale, config.scale_row_bytes() / 4));
                        for (channel, sum) in sums.iter_mut().enumerate() {
                            let column = &tile[channel % cols as usize * rows as usize..][..rows as usize];
                            let shift = if channel < cols as usize { 4 } else { 0 };
                            let weights = column.iter().map(|byte| i32::from(byte << shift >> 4));
                            let dot: i32 = vector.iter().zip(weights).map(|(a, w)| a * w).sum();
                            *sum = sum.wrapping_add(dot * i32::from(scales[channel] as u8));
                        }
                    } else {
                        for (sum, column) in sums.iter_mut().zip(tile.chunks(rows as usize)) {
                            let products = vector.iter().zip(column).map(|(a, w)| a * i32::from(*w));
                            *sum = sum.wrapping_add(products.sum::<i32>());
                        }
                    }
                    let is_last = tap == steps_of_result - 1;
                    let result = (is_last && kept).then_some(results.len());
                    let pace = match (m.depthwise, kept) {
                        (false, _) => groups,
                        (true, true) => groups.max(2),
                        (true, false) => 2,
                    };
                    steps.push(MatrixStep {
                        activation,
                        weight,
                        scale,
                        result,
                        pace: is_last.then_some(pace),
                    });
                }
                if !kept {
                    continue;
                }
                let number = results.len() as u64;
                let lane = u64::from(m.output_lane) + t * channels;
                let address = u64::from(m.output_address)
                    + u64::from(y) * u64::from(m.output_stride_y)
                    + u64::from(x) * u64::from(m.output_stride_x)
                    + lane / rows * u64::from(m.output_stride_tile);
                let is_last = t + 1 == u64::from(m.tiles) && (y + 1, x + 1) == (m.outputs_y, m.outputs_x);
                let flags = u32::from(m.to_accumulator)
                    | u32::from(m.accumulate) << 1
                    | u32::from(m.single_rounding) << 2
                    | u32::from(is_last) << 3
                    | u32::from(m.tokens.signal) << 4;
                let parameter = (u64::from(m.parameter_address) + t * groups) & 0xffff;
                let accumulator = match m.row_results {
                    true => address + lane % rows / lanes,
                    false => u64::from(m.accumulator_address) + number * groups,
                } & 0xffff;
                let [zero_point, minimum, maximum] =
                    [m.output_zero_point, m.minimum, m.maximum].map(|byte| byte as u32 & 0xff);
                results.push(EngineResult {
                    values: sums,
                    words: vec![
                        route(address, lane % rows, flags),
                        (parameter | accumulator << 16) as u32,
                        zero_point
                            | minimum << 8
                            | maximum << 16
                            | u32::from(m.depthwise) << 24
                            | u32::from(m.four_bit) << 25
                            | u32::from(m.rescale) << 26
                            | u32::from(m.add_row) << 27,
                    ],
                    accumulator: None,
                });
            }
        }
    }
    (steps, results)
}

#[test]
fn matrix_engine() -> Result<(), CompareError> {
    for (rows, cols, lanes, taps, four_bit) in
        [(8, 4, 2, 2, true), (16, 4, 4, 4, false), (8, 8, 4, 4, true), (32, 16, 16, 2, true)]
    {
        let config = small(rows, cols, lanes, taps, four_bit);
        let mut history = vec![VecDeque::new(); frugal_isa::Config::DEPTHWISE_STEPS];
        let (mut pace, mut groups) = (0, 0);
        let latency = MacArray::latency_cycles(rows, four_bit) as u64;
        let slot_cycles = MatrixEngine::slot_cycles(&config) as u64;
        let mut scales_expected: VecDeque<(u64, u64)> = VecDeque::new();
        let mut scale_asked = None;
        let mut described: Option<Vec<u32>> = None;
        let mut next_command: Option<Matrix> = None;
        let mut steps: VecDeque<MatrixStep> = VecDeque::new();
        let mut results: Vec<EngineResult> = Vec::new();
        let mut earliest_step = 0;
        let (mut last_issued, mut issued) = (None, Vec::new());
        let mut totals: VecDeque<(u64, Vec<i32>, bool)> = VecDeque::new();
        let (mut activation_asked, mut weight_asked, mut weight_read) = (None, None, None);
        let mut finish_cycles: VecDeque<u64> = VecDeque::new();
        let mut in_flight = 0;
        let mut finished_commands = 0;
        compare_native_and_verilated(
            || MatrixEngine::new(&config),
            |block, random, cycle| {
                let context = format!("cycle {cycle}, seed {SEED}, {rows} rows");
                // The command started in the cycle before is now the active one.
                if let Some(command) = next_command.take() {
                    let (all_steps, all_results) = matrix_command(&command, &config, &mut history);
                    groups = (channels_of(&command, &config) / lanes) as u64;
                    (steps, results) = (all_steps.into(), all_results);
                    drive(&mut block.command, &encode(command));
                    earliest_step = cycle + 1;
                }
                answer(&mut block.activation_data, "activation", &mut activation_asked, random);
                // Weights come two cycles after the request.
                answer(&mut block.weight_data, "weight", &mut weight_read, random);
                weight_read = weight_asked.take();
                answer(&mut block.scale_data, "scale", &mut scale_asked, random);
                let finishes = finish_cycles.front().is_some_and(|at| *at <= cycle);
                if finishes {
                    finish_cycles.pop_front();
                    finished_commands += 1;
                }
                block.finished.next = finishes;
                block.start.next = false;
                settle_before_edge!(block);

                // Steps: one each cycle, but results no closer together than the output stage takes them.
                let step = steps.front().copied().filter(|step| {
                    let paced = last_issued.is_none_or(|last| cycle >= last + pace);
                    cycle >= earliest_step && (step.pace.is_none() || paced)
                });
                assert_eq!(block.step.val(), step.is_some(), "{context}");
                let asks = block.activation_enable.val().then(|| block.activation_address.val().to_u64());
                assert_eq!(asks, step.and_then(|step| step.activation), "{context}");
                activation_asked = asks;
                let asks = block.weight_enable.val().then(|| block.weight_address.val().to_u64());
                assert_eq!(asks, step.map(|step| step.weight), "{context}");
                weight_asked = asks;
                // Scales are read when the array wants them.
                let asks = block.scale_enable.val().then(|| block.scale_address.val().to_u64());
                let due = scales_expected.front().is_some_and(|(due, _)| *due == cycle);
                assert_eq!(asks, due.then(|| scales_expected.pop_front().expect("just seen").1), "{context}");
                scale_asked = asks;
                if let Some(scale) = step.and_then(|step| step.scale) {
                    scales_expected.push_back((cycle + 1 + MacArray::scale_cycles(rows) as u64, scale));
                }
                let result = step.and_then(|step| step.result);
                // The descriptor comes a cycle later.
                assert_eq!(block.descriptor_valid.val(), described.is_some(), "{context}");
                if let Some(words) = described.take() {
                    assert_eq!(words_of(&block.descriptor), words, "{context}");
                }
                if let Some(number) = result {
                    let result = &results[number];
                    described = Some(result.words.clone());
                    let ends = number + 1 == results.len();
                    totals.push_back((cycle + 2 + latency, result.values.clone(), ends));
                    issued.push((cycle, groups));
                }
                if let Some(cycles) = step.and_then(|step| step.pace) {
                    (last_issued, pace) = (Some(cycle), cycles);
                }
                if step.is_some() {
                    steps.pop_front();
                }
                // Totals.
                let due = totals.front().is_some_and(|(due, ..)| *due == cycle);
                assert_eq!(block.total_valid.val(), due, "{context}");
                if due {
                    let (_, values, ends) = totals.pop_front().expect("just seen");
                    let native: Vec<i32> = words_of(&block.total).iter().map(|word| *word as i32).collect();
                    assert_eq!(native[..values.len()], values[..], "{context}");
                    if ends {
                        finish_cycles.push_back(cycle + 1 + random.below(20));
                    }
                }
                // A vector result issued now would meet these results in the output stage.
                let slot = cycle + VECTOR_SLOT_CYCLES as u64;
                let mut before = issued.iter().filter(|(at, _)| *at < cycle);
                let reserved =
                    before.any(|(at, groups)| (at + slot_cycles..at + slot_cycles + groups).contains(&slot));
                assert_eq!(block.slot_reserved.val(), reserved, "{context}");
                assert_eq!(block.busy.val(), in_flight > 0, "{context}");
                let takes = steps.is_empty() && cycle >= earliest_step;
                assert_eq!(block.take.val(), takes, "{context}");
                let starts = takes && in_flight < 20 && !random.one_in(4);
                if starts {
                    let command = random_matrix(random, &config);
                    drive(&mut block.coming, &encode(command.clone()));
                    next_command = Some(command);
                    // Until it is loaded, no further one is taken.
                    earliest_step = cycle + 2;
                }
                block.start.next = starts;
                in_flight = in_flight + u64::from(starts) - u64::from(finishes);
            },
            clock!(),
            2_500,
            SEED,
        )?;
        assert!(finished_commands > 10, "only {finished_commands} commands");
    }
    Ok(())
}

#[test]
fn matrix_engine_reports_illegal_fields() -> Result<(), CompareError> {
    for four_bit in [false, true] {
        let config = small(8, 4, 2, 2, four_bit);
        let mut counts = [0; 3];
        compare_native_and_verilated(
            || MatrixEngine::new(&config),
            |block, random, cycle| {
                let context = format!("cycle {cycle}, seed {SEED}");
                // Start, look, reset.
                block.start.next = cycle % 3 == 0;
                block.reset.next = cycle % 3 == 2;
                let mut legal = true;
                if cycle % 3 == 1 {
                    let mut words = encode(random_matrix(random, &config));
                    match random.below(4) {
                        0 => words[0] = words[0] & 0xffff | field(random, 8) << 16,
                        1 => words[0] ^= 1 << (16 + random.below(8)),
                        2 => words[14] ^= 1 << (16 + random.below(3)),
                        _ => {}
                    }
                    drive(&mut block.command, &words);
                    let command = Command::decode(&words);
                    let lacking = matches!(&command, Ok(Command::Matrix(m)) if m.four_bit && !four_bit);
                    legal = command.is_ok() && !lacking;
                    counts[if lacking { 2 } else { usize::from(legal) }] += 1;
                }
                settle_before_edge!(block);
                assert_eq!(block.illegal.val(), !legal, "{context}");
            },
            clock!(),
            1_200,
            SEED,
        )?;
        assert!(counts[..2].iter().all(|count| *count > 20), "illegal, legal: {counts:?}");
        assert_eq!(counts[2] > 0, !four_bit, "4-bit weights that are not there: {counts:?}");
    }
    Ok(())
}

fn random_vector(random: &mut Random, rows: u64, lanes: u64) -> Vector {
    let (from_accumulator, operand) = (random.one_in(3), random.below(3));
    let window = |random: &mut Random| if from_accumulator { 1 } else { 1 + random.below(3) as u32 };
    Vector {
        tokens: tokens(random),
        source: u32::from(from_accumulator),
        destination: random.below(2) as u32,
        single_rounding: random.one_in(2),
        add_operand: !from_accumulator && operand == 1,
        multiply_operand: !from_accumulator && operand == 2,
        operand_per_group: random.one_in(2),
        lookup: random.one_in(2),
        table: random.below(8) as u32,
        subtract_operand: random.one_in(2),
        reduce: random.below(3) as u32,
        source_address: field(random, 16),
        destination_address: field(random, 16),
        operand_address: field(random, 16),
        first_lane: (random.below(rows / lanes) * lanes) as u32,
        kernel_x: window(random),
        kernel_y: window(random),
        groups: 1 + random.below(4) as u32,
        outputs_x: 1 + random.below(4) as u32,
        outputs_y: 1 + random.below(3) as u32,
        stride_kernel_x: field(random, 16),
        stride_kernel_y: field(random, 16),
        stride_x: field(random, 16),
        stride_y: field(random, 16),
        stride_group: field(random, 16),
        output_stride_group: field(random, 16),
        output_stride_x: field(random, 16),
        output_stride_y: field(random, 16),
        pre_add: signed_field(random, 32),
        multiplier: random.below((1 << 31) + 1) as u32,
        left_shift: field(random, 5),
        right_shift: field(random, 5),
        minimum: signed_field(random, 8),
        maximum: signed_field(random, 8),
        post_add: signed_field(random, 32),
        input_width: random.below(6) as u32,
        input_height: random.below(6) as u32,
        start_x: random.below(5) as i32 - 2,
        start_y: random.below(5) as i32 - 2,
        step_x: random.below(4) as u32,
        step_y: random.below(4) as u32,
        pad_value: signed_field(random, 8),
    }
}

/// The results of a vector command up to requantisation, and the scratchpad reads, as the loops in docs/architecture.md
/// run.
fn vector_command(v: &Vector, rows: u64, lanes: u64) -> (Vec<u64>, Vec<EngineResult>) {
    let (mut reads, mut results) = (Vec::new(), Vec::<EngineResult>::new());
    for g in 0..u64::from(v.groups) {
        for y in 0..v.outputs_y {
            for x in 0..v.outputs_x {
                let number = results.len() as u64;
                let position = u64::from(v.first_lane) + g * lanes;
                let (lane, chunk) = (position % rows, position / rows);
                let mut values: Option<Vec<i32>> = None;
                for ky in 0..v.kernel_y {
                    for kx in 0..v.kernel_x {
                        let iy = i64::from(v.start_y) + i64::from(y * v.step_y + ky);
                        let ix = i64::from(v.start_x) + i64::from(x * v.step_x + kx);
                        let address = u64::from(v.source_address)
                            + chunk * u64::from(v.stride_group)
                            + u64::from(y) * u64::from(v.stride_y)
                            + u64::from(x) * u64::from(v.stride_x)
                            + u64::from(ky) * u64::from(v.stride_kernel_y)
                            + u64::from(kx) * u64::from(v.stride_kernel_x);
                        let elements =
                            if v.source == 0 && inside(iy, v.input_height) && inside(ix, v.input_width) {
                                reads.push(address & 0xffff);
                                let bytes = bytes_of(&row("activation", address & 0xffff, rows as usize / 4));
                                let group = &bytes[lane as usize..(lane + lanes) as usize];
                                group.iter().map(|byte| i32::from(*byte)).collect()
                            } else {
                                vec![v.pad_value; lanes as usize]
                            };
                        let reduced = |(a, b): (&i32, &i32)| match v.reduce {
                            reduce::SUM => a.wrapping_add(*b),
                            reduce::MAXIMUM => *a.max(b),
                            _ => *a.min(b),
                        };
                        values = Some(match values {
                            Some(values) => values.iter().zip(&elements).map(reduced).collect(),
                            None => elements,
                        });
                    }
                }
                let mut accumulator = None;
                if v.source == 1 {
                    let address = (u64::from(v.source_address) + number) & 0xffff;
                    accumulator = Some(address);
                    let words = row("accumulator", address, lanes as usize);
                    values = Some(words.iter().map(|word| *word as i32).collect());
                } else if v.add_operand || v.multiply_operand {
                    let row = if v.operand_per_group { g } else { number };
                    accumulator = Some((u64::from(v.operand_address) + row) & 0xffff);
                }
                if let (true, Some(address)) = (v.multiply_operand, accumulator) {
                    let operands = row("accumulator", address, lanes as usize);
                    let products = values.iter().flatten().zip(operands).map(|(value, operand)| {
                        i32::from(value.wrapping_add(v.pre_add) as i16) * i32::from(operand as i16)
                    });
                    values = Some(products.collect());
                }
                let address = if v.destination == 1 {
                    u64::from(v.destination_address) + number
                } else {
                    u64::from(v.destination_address)
                        + chunk * u64::from(v.output_stride_group)
                        + u64::from(y) * u64::from(v.output_stride_y)
                        + u64::from(x) * u64::from(v.output_stride_x)
                };
                let is_last = g + 1 == u64::from(v.groups) && (y + 1, x + 1) == (v.outputs_y, v.outputs_x);
                let flags = v.destination | u32::from(is_last) << 3 | u32::from(v.tokens.signal) << 4;
                let words = vec![route(address, lane, flags)];
                results.push(EngineResult { values: values.unwrap_or_default(), words, accumulator });
            }
        }
    }
    (reads, results)
}

#[test]
fn vector_engine() -> Result<(), CompareError> {
    for (rows, lanes) in [(16, 4), (8, 8)] {
        let mut next_command: Option<Vector> = None;
        let mut command = Vector::default();
        let mut reads: VecDeque<u64> = VecDeque::new();
        let mut results: VecDeque<EngineResult> = VecDeque::new();
        let (mut activation_asked, mut accumulator_asked) = (None, None);
        let (mut reserved, mut reserved_late): (Vec<bool>, Vec<bool>) = Default::default();
        let mut finish_cycles: VecDeque<u64> = VecDeque::new();
        let (mut in_flight, mut finished_commands) = (0, 0);
        let mut asked_for: VecDeque<u64> = VecDeque::new();
        compare_native_and_verilated(
            || VectorEngine::new(rows as usize, lanes as usize),
            |block, random, cycle| {
                let context = format!("cycle {cycle}, seed {SEED}, {rows} rows");
                if let Some(next) = next_command.take() {
                    assert!(reads.is_empty() && results.is_empty(), "{context}: taken too early");
                    let (all_reads, all_results) = vector_command(&next, rows, lanes);
                    (reads, results) = (all_reads.into(), all_results.into());
                    drive(&mut block.command, &encode(next.clone()));
                    command = next;
                }
                answer(&mut block.source_data, "activation", &mut activation_asked, random);
                answer(&mut block.accumulator_data, "accumulator", &mut accumulator_asked, random);
                let finishes = finish_cycles.front().is_some_and(|at| *at <= cycle);
                if finishes {
                    finish_cycles.pop_front();
                    finished_commands += 1;
                }
                // Phases with a busy matrix engine, and phases without.
                let busy_phase = cycle / 300 % 2 == 0;
                let ready = !random.one_in(if busy_phase { 3 } else { 20 });
                reserved.push(busy_phase && random.one_in(2));
                block.source_ready.next = ready;
                reserved_late.push(busy_phase && random.one_in(2));
                block.slot_reserved.next = reserved[cycle as usize];
                block.late_slot_reserved.next = reserved_late[cycle as usize];
                block.finished.next = finishes;
                block.start.next = false;
                settle_before_edge!(block);

                assert!(!block.illegal.val(), "{context}");
                if block.source_enable.val() {
                    let address = block.source_address.val().to_u64();
                    assert_eq!(Some(&address), reads.front(), "{context}");
                    if ready {
                        activation_asked = reads.pop_front();
                    }
                }
                if block.value_valid.val() {
                    let result = results.pop_front().unwrap_or_else(|| panic!("{context}: no result left"));
                    let native: Vec<i32> = words_of(&block.value).iter().map(|word| *word as i32).collect();
                    assert_eq!(native, result.values, "{context}");
                    assert_eq!(vec![block.route.val().to_u32()], result.words, "{context}");
                    let c = &command;
                    let native = [
                        block.multiplier.val().to_u32(),
                        block.left.val().to_u32(),
                        block.right.val().to_u32(),
                        block.post_add.val().to_u32(),
                        block.minimum.val().to_u32(),
                        block.maximum.val().to_u32(),
                    ];
                    let fields = [c.multiplier, c.left_shift, c.right_shift, c.post_add as u32];
                    let pre_add = if c.multiply_operand { 0 } else { c.pre_add as u32 };
                    assert_eq!(block.pre_add.val().to_u32(), pre_add, "{context}");
                    assert_eq!(block.lookup.val(), c.lookup, "{context}");
                    assert_eq!(u32::from(block.table.val().to_u8()), c.table, "{context}");
                    let clamps = [c.minimum, c.maximum].map(|byte| byte as u32 & 0xff);
                    assert_eq!(native.to_vec(), [&fields[..], &clamps[..]].concat(), "{context}");
                    let native =
                        (block.single_rounding.val(), block.add_operand.val(), block.subtract_operand.val());
                    let fields = (c.single_rounding, c.add_operand, c.subtract_operand);
                    assert_eq!(native, fields, "{context}");
                    // Its accumulator row, if it needs one, was read before; its slot was not reserved.
                    if result.accumulator.is_some() {
                        assert_eq!(asked_for.pop_front(), result.accumulator, "{context}");
                    }
                    if c.multiply_operand {
                        let issued = cycle as usize - PRODUCT_SLOT_CYCLES;
                        assert!(!reserved_late[issued] && !reserved[issued], "{context}: a reserved slot");
                    } else {
                        assert!(asked_for.is_empty(), "{context}");
                        assert!(!reserved[cycle as usize - VECTOR_SLOT_CYCLES], "{context}: a reserved slot");
                    }
                    if results.is_empty() {
                        finish_cycles.push_back(cycle + 1 + random.below(20));
                    }
                }
                if block.accumulator_enable.val() {
                    let address = block.accumulator_address.val().to_u64();
                    accumulator_asked = Some(address);
                    asked_for.push_back(address);
                }
                assert_eq!(block.busy.val(), in_flight > 0, "{context}");
                let starts = block.take.val() && in_flight < 20 && !random.one_in(4);
                if starts {
                    next_command = Some(random_vector(random, rows, lanes));
                }
                block.start.next = starts;
                in_flight = in_flight + u64::from(starts) - u64::from(finishes);
            },
            clock!(),
            3_000,
            SEED,
        )?;
        assert!(finished_commands > 20, "only {finished_commands} commands");
    }
    Ok(())
}

/// Fields that contradict each other are reported in the cycle after the start.
#[test]
fn vector_engine_reports_illegal_fields() -> Result<(), CompareError> {
    let mut counts = [0; 2];
    compare_native_and_verilated(
        || VectorEngine::new(16, 4),
        |block, random, cycle| {
            let context = format!("cycle {cycle}, seed {SEED}");
            // Start, look, reset.
            block.start.next = cycle % 3 == 0;
            block.reset.next = cycle % 3 == 2;
            if cycle % 3 == 1 {
                let mut words = encode(random_vector(random, 16, 4));
                let word = words[0] & 0xffff | (field(random, 13) << 16);
                words[0] = word;
                drive(&mut block.command, &words);
                settle_before_edge!(block);
                let legal = Command::decode(&words).is_ok();
                assert_eq!(block.illegal.val(), !legal, "{context}");
                counts[usize::from(legal)] += 1;
            } else {
                settle_before_edge!(block);
                assert!(!block.illegal.val(), "{context}");
            }
        },
        clock!(),
        600,
        SEED,
    )?;
    assert!(counts.iter().all(|count| *count > 20), "illegal, legal: {counts:?}");
    Ok(())
}

/// Small machines: on one a bus beat holds several vectors and groups, on the other a vector takes several beats.
fn transfer_configs() -> [Config; 2] {
    let config = |rows, cols, lanes, bus_bits| Config {
        name: format!("{rows} rows"),
        rows,
        cols,
        lanes,
        activation_depth: 64,
        weight_depth: 64,
        parameter_depth: 64,
        accumulator_depth: 64,
        tables: TABLES,
        four_bit: true,
        row_engine: true,
        counters: true,
        base_registers: 8,
        depthwise_taps: cols.min(4),
        sequential: false,
        queue_depth: 2,
        bus_bits,
    };
    [config(8, 4, 2, 128), config(32, 8, 4, 64)]
}

/// The bursts of a transfer, as the memory sees them.
#[derive(Default)]
struct Bursts {
    /// Addresses of the beats that the command needs, in order.
    expected: VecDeque<u64>,
    /// Beats asked for: address, and whether it is the last of its burst.
    beats: VecDeque<(u64, bool)>,
}

impl Bursts {
    fn expect(&mut self, base: u32, offset: u32, rows: u32, row_bytes: u32, stride: u32, bus_bytes: u64) {
        assert!(self.expected.is_empty(), "the transfer before has not asked for all of its beats");
        for row in 0..rows {
            let first = base.wrapping_add(offset).wrapping_add(row.wrapping_mul(stride));
            for beat in (0..u64::from(row_bytes)).step_by(bus_bytes as usize) {
                self.expected.push_back((u64::from(first) + beat) & 0xffff_ffff);
            }
        }
    }

    fn take(&mut self, address: u64, beats: u64, bus_bytes: u64, context: &str) {
        assert!(
            beats <= 64 && address % 4096 + beats * bus_bytes <= 4096,
            "{context}: {beats} at {address:#x}"
        );
        for beat in 0..beats {
            let address = address + beat * bus_bytes;
            assert_eq!(self.expected.pop_front(), Some(address), "{context}");
            self.beats.push_back((address, beat + 1 == beats));
        }
    }
}

fn memory_byte(address: u64) -> u8 {
    contents("memory", address & 0xffff_ffff, 0) as u8
}

/// Bytes on chip: (space, address, byte in the row).
type OnChip = BTreeMap<(u32, u16, usize), u8>;

fn random_load(random: &mut Random, config: &Config) -> Load {
    let space = random.below(4) as u32;
    let layout = if space == space::WEIGHT { random.below(4) as u32 } else { layout::LINEAR };
    let long = if random.one_in(8) { 40 } else { 6 };
    Load {
        tokens: tokens(random),
        space,
        layout,
        base_register: field(random, 3),
        memory_offset: field(random, 32) & !15,
        rows: 1 + random.below(6) as u32,
        first_row: match layout {
            layout::COLUMN => random.below(config.cols as u64) as u32,
            layout::ROW => random.below(config.rows as u64) as u32,
            _ => field(random, 16),
        },
        row_bytes: 16 * (1 + random.below(long) as u32),
        memory_stride: field(random, 32) & !15,
        address: field(random, 16),
        stride: field(random, 16),
    }
}

/// Where docs/architecture.md puts the bytes of a load.
fn loaded(load: &Load, base: u32, config: &Config, memory: &mut OnChip) {
    let (rows, cols) = (config.rows, config.cols);
    let width = match load.space {
        space::ACTIVATION => rows,
        space::WEIGHT if load.layout == layout::SCALES => 2 * cols,
        space::WEIGHT => rows * cols,
        space::PARAMETER => 12 * config.lanes,
        _ => 4 * config.lanes,
    };
    for i in 0..load.rows {
        let from = base.wrapping_add(load.memory_offset).wrapping_add(i.wrapping_mul(load.memory_stride));
        let row = (load.first_row + i) as usize;
        for n in 0..load.row_bytes as usize {
            let (address, byte) = match load.layout {
                layout::LINEAR | layout::SCALES => (i as usize * load.stride as usize + n / width, n % width),
                layout::COLUMN => {
                    (row / cols * load.stride as usize + n / rows, row % cols * rows + n % rows)
                }
                _ => (n / cols * load.stride as usize + row / rows, n % cols * rows + row % rows),
            };
            let address = (load.address as usize + address) as u16;
            memory.insert((load.space, address, byte), memory_byte(u64::from(from) + n as u64));
        }
    }
}

#[test]
fn load_engine() -> Result<(), CompareError> {
    for config in transfer_configs() {
        let bus_bytes = config.bus_bytes();
        let bases: Vec<u32> = (0..8).map(|base| contents("base", base, 0) & !15).collect();
        let mut next_command: Option<Load> = None;
        // Commands started and not yet finished, and what they load.
        let mut under_way: VecDeque<(Load, OnChip)> = VecDeque::new();
        let mut most_under_way = 0;
        let mut bursts = Bursts::default();
        let mut on_chip = OnChip::new();
        let mut offered = None;
        let mut finished_commands = 0;
        compare_native_and_verilated(
            || LoadEngine::new(&config),
            |block, random, cycle| {
                let context = format!("cycle {cycle}, seed {SEED}, {}", config.name);
                if let Some(next) = next_command.take() {
                    drive(&mut block.command, &encode(next.clone()));
                    let command = next;
                    let base = bases[command.base_register as usize];
                    bursts.expect(
                        base,
                        command.memory_offset,
                        command.rows,
                        command.row_bytes,
                        command.memory_stride,
                        bus_bytes as u64,
                    );
                    let mut expected = OnChip::new();
                    loaded(&command, base, &config, &mut expected);
                    under_way.push_back((command, expected));
                    most_under_way = most_under_way.max(under_way.len());
                }
                if offered.is_none() && !random.one_in(4) {
                    offered = bursts.beats.pop_front().map(|(address, _)| (address, random.one_in(10)));
                }
                // Phases of a fast and a slow memory.
                let slow = cycle / 500 % 2 == 0;
                let burst_ready = !random.one_in(if slow { 2 } else { 9 });
                let write_ready = !random.one_in(if slow { 3 } else { 30 });
                block.burst_ready.next = burst_ready;
                block.write_ready.next = write_ready;
                block.beat_valid.next = offered.is_some();
                let (address, error) = offered.unwrap_or((random.bits(32), random.one_in(2)));
                let bytes: Vec<u8> = (0..bus_bytes as u64).map(|byte| memory_byte(address + byte)).collect();
                let words: Vec<u32> = bytes
                    .chunks(4)
                    .map(|word| word.iter().rev().fold(0, |word, byte| word << 8 | u32::from(*byte)))
                    .collect();
                drive(&mut block.beat, &words);
                block.beat_error.next = error;
                block.start.next = false;
                settle_before_edge!(block);
                block.base.next = u64::from(bases[block.base_register.val().index()]).into();
                settle_before_edge!(block);

                assert!(!block.illegal.val(), "{context}");
                if block.burst_valid.val() && burst_ready {
                    let beats = block.burst_length.val().to_u64() + 1;
                    bursts.take(block.burst_address.val().to_u64(), beats, bus_bytes as u64, &context);
                }
                let taken = offered.is_some() && block.beat_ready.val();
                assert_eq!(block.read_error.val(), taken && error, "{context}");
                if taken {
                    offered = None;
                }
                assert_eq!(block.busy.val(), !under_way.is_empty(), "{context}");
                // A cycle after its last write.
                let signal = block.signal.val().to_u8();
                if block.finished.val() {
                    let (command, expected) = under_way.pop_front().expect("a command is under way");
                    assert_eq!(signal, command.tokens.signal, "{context}");
                    assert_eq!(on_chip, expected, "{context}: {command:?}");
                    on_chip.clear();
                    finished_commands += 1;
                } else {
                    assert_eq!(signal, 0, "{context}");
                }
                if block.write_valid.val() && write_ready {
                    let command = &under_way[0].0;
                    assert_eq!(block.write_space.val().to_u32(), command.space, "{context}");
                    assert_eq!(block.write_layout.val().to_u32(), command.layout, "{context}");
                    let address = block.write_address.val().to_u16();
                    let [position, column, row] =
                        [&block.write_position, &block.write_column, &block.write_row]
                            .map(|p| p.val().index());
                    let unit = bytes_of(&words_of(&block.write_unit));
                    // The bytes of the beat that fill the row, and where they land: as lanes::WordPlace and
                    // lanes::WeightPlace have it.
                    let width = match (command.space, command.layout) {
                        (space::ACTIVATION, _) | (space::WEIGHT, layout::COLUMN) => config.rows,
                        (space::WEIGHT, layout::ROW) => config.cols,
                        (space::WEIGHT, layout::SCALES) => 2 * config.cols,
                        (space::WEIGHT, _) => bus_bytes,
                        _ => 4 * config.lanes,
                    };
                    let width = width.min(bus_bytes);
                    for (byte, value) in unit.iter().take(width).enumerate() {
                        let place = position * width + byte;
                        let place = match command.layout {
                            layout::COLUMN => column * config.rows + place,
                            layout::ROW => place * config.rows + row,
                            _ => place,
                        };
                        on_chip.insert((command.space, address, place), *value as u8);
                    }
                }
                let starts = block.take.val() && random.one_in(2);
                if starts {
                    assert!(bursts.expected.is_empty(), "{context}");
                    next_command = Some(random_load(random, &config));
                }
                block.start.next = starts;
            },
            clock!(),
            5_000,
            SEED,
        )?;
        assert!(finished_commands > 30, "only {finished_commands} commands");
        assert!(most_under_way > 2, "at most {most_under_way} commands at a time");
    }
    Ok(())
}

fn random_store(random: &mut Random, _: &Config) -> Store {
    let long = if random.one_in(8) { 40 } else { 6 };
    // Rows that do not overlap, so that their order does not matter.
    let row_bytes = 16 * (1 + random.below(long) as u32);
    Store {
        tokens: tokens(random),
        space: if random.one_in(2) { space::ACTIVATION } else { space::ACCUMULATOR },
        base_register: field(random, 3),
        memory_offset: field(random, 32) & !15,
        rows: 1 + random.below(6) as u32,
        row_bytes,
        memory_stride: row_bytes + 16 * random.below(300) as u32,
        address: field(random, 16),
        stride: field(random, 16),
    }
}

#[test]
fn store_engine() -> Result<(), CompareError> {
    for config in transfer_configs() {
        let bus_bytes = config.bus_bytes() as u64;
        let bases: Vec<u32> = (0..8).map(|base| contents("base", base, 0) & !15).collect();
        let mut next_command: Option<Store> = None;
        // Commands started and not yet finished: bytes they must write, bursts asked for, answers, bytes written. Two may write the same ones.
        type UnderWay = (Store, BTreeMap<u32, u8>, u32, u32, BTreeMap<u32, u8>);
        let mut under_way: VecDeque<UnderWay> = VecDeque::new();
        let mut most_under_way = 0;
        let mut bursts = Bursts::default();
        let (mut activation_asked, mut accumulator_asked) = (None, None);
        // Cycles in which memory answers a burst.
        let mut answers: VecDeque<u64> = VecDeque::new();
        let mut finished_commands = 0;
        compare_native_and_verilated(
            || StoreEngine::new(&config),
            |block, random, cycle| {
                let context = format!("cycle {cycle}, seed {SEED}, {}", config.name);
                if let Some(command) = next_command.take() {
                    drive(&mut block.command, &encode(command.clone()));
                    let base = bases[command.base_register as usize];
                    bursts.expect(
                        base,
                        command.memory_offset,
                        command.rows,
                        command.row_bytes,
                        command.memory_stride,
                        bus_bytes,
                    );
                    let mut expected = BTreeMap::new();
                    let (name, width) = match command.space {
                        space::ACTIVATION => ("activation", config.rows),
                        _ => ("accumulator", 4 * config.lanes),
                    };
                    for i in 0..command.rows {
                        let to =
                            base.wrapping_add(command.memory_offset).wrapping_add(i * command.memory_stride);
                        for n in 0..command.row_bytes {
                            let vector = command.address + i * command.stride + n / width as u32;
                            let word = contents(name, u64::from(vector & 0xffff), n as usize % width / 4);
                            expected.insert(to.wrapping_add(n), word.to_le_bytes()[n as usize % 4]);
                        }
                    }
                    under_way.push_back((command, expected, 0, 0, BTreeMap::new()));
                    most_under_way = most_under_way.max(under_way.len());
                }
                answer(&mut block.activation_data, "activation", &mut activation_asked, random);
                answer(&mut block.accumulator_data, "accumulator", &mut accumulator_asked, random);
                let slow = cycle / 500 % 2 == 0;
                let mut ready = || !random.one_in(if slow { 3 } else { 20 });
                let [activation_ready, accumulator_ready, burst_ready, beat_ready] = [0; 4].map(|_| ready());
                block.activation_ready.next = activation_ready;
                block.accumulator_ready.next = accumulator_ready;
                block.burst_ready.next = burst_ready;
                block.beat_ready.next = beat_ready;
                let answers_now = answers.front().is_some_and(|at| *at <= cycle);
                let error = random.one_in(10);
                if answers_now {
                    answers.pop_front();
                    let waiting = under_way.iter_mut().find(|(_, _, asked, answered, _)| answered < asked);
                    waiting.expect("a burst without an answer").3 += 1;
                }
                block.response_valid.next = answers_now;
                block.response_error.next = error;
                block.start.next = false;
                settle_before_edge!(block);
                block.base.next = u64::from(bases[block.base_register.val().index()]).into();
                settle_before_edge!(block);

                assert!(!block.illegal.val() && block.response_ready.val(), "{context}");
                assert_eq!(block.write_error.val(), answers_now && error, "{context}");
                let address = block.read_address.val().to_u64();
                if block.activation_enable.val() && activation_ready {
                    activation_asked = Some(address);
                }
                if block.accumulator_enable.val() && accumulator_ready {
                    accumulator_asked = Some(address);
                }
                // Data never come before their address.
                if block.beat_valid.val() && beat_ready {
                    let (address, is_last) = bursts
                        .beats
                        .pop_front()
                        .unwrap_or_else(|| panic!("{context}: no burst for the beat"));
                    assert_eq!(block.beat_last.val(), is_last, "{context}");
                    // Beats come in the order of their commands.
                    let writes = under_way
                        .iter_mut()
                        .find(|(_, expected, .., written)| written.len() < expected.len());
                    let written = &mut writes.expect("a command has bytes to come").4;
                    for (byte, value) in bytes_of(&words_of(&block.beat)).into_iter().enumerate() {
                        written.insert((address + byte as u64) as u32, value as u8);
                    }
                    if is_last {
                        let after = answers.back().copied().unwrap_or_default();
                        answers.push_back(after.max(cycle + 1 + random.below(12)));
                    }
                }
                if block.burst_valid.val() && burst_ready {
                    let beats = block.burst_length.val().to_u64() + 1;
                    bursts.take(block.burst_address.val().to_u64(), beats, bus_bytes, &context);
                    under_way.back_mut().expect("a command is under way").2 += 1;
                }
                let busy = block.busy.val() || block.finished.val();
                assert_eq!(busy, !under_way.is_empty(), "{context}");
                let signal = block.signal.val().to_u8();
                if block.finished.val() {
                    let (command, expected, asked, answered, written) =
                        under_way.pop_front().expect("a command is under way");
                    assert_eq!(signal, command.tokens.signal, "{context}");
                    assert_eq!(asked, answered, "{context}");
                    assert_eq!(written, expected, "{context}: {command:?}");
                    if under_way.is_empty() {
                        assert!(bursts.expected.is_empty(), "{context}");
                    }
                    finished_commands += 1;
                } else {
                    assert_eq!(signal, 0, "{context}");
                }
                let starts = block.take.val() && random.one_in(2);
                if starts {
                    assert!(bursts.expected.is_empty(), "{context}");
                    next_command = Some(random_store(random, &config));
                }
                block.start.next = starts;
            },
            clock!(),
            5_000,
            SEED,
        )?;
        assert!(finished_commands > 30, "only {finished_commands} commands");
        assert!(most_under_way > 1, "one command at a time");
    }
    Ok(())
}

/// Breaks a field of a command's words now and then.
fn spoil(words: &mut [u32; COMMAND_WORDS], random: &mut Random) {
    match random.below(8) {
        0 => words[1] ^= 1 << random.below(4),
        1 => words[3] ^= 1 << random.below(4),
        2 => words[4] ^= 1 << random.below(4),
        3 => words[3] = 0,
        4 => words[0] ^= 1 << (16 + random.below(2)),
        _ => {}
    }
}

/// Start in one cycle, look in the next, reset in the third: `illegal` says what the decoder of frugal_isa says.
macro_rules! illegal_fields {
    ($engine:ident, $random_command:ident, $layouts:expr) => {{
        let config = transfer_configs()[0].clone();
        let mut counts = [0; 2];
        compare_native_and_verilated(
            || $engine::new(&config),
            |block: &mut $engine, random: &mut Random, cycle| {
                let context = format!("cycle {cycle}, seed {SEED}");
                block.start.next = cycle % 3 == 0;
                block.reset.next = cycle % 3 == 2;
                let mut legal = true;
                if cycle % 3 == 1 {
                    let mut words = encode($random_command(random, &config));
                    spoil(&mut words, random);
                    if $layouts && random.one_in(3) {
                        words[0] ^= 1 << (18 + random.below(2));
                    }
                    drive(&mut block.command, &words);
                    legal = Command::decode(&words).is_ok();
                    counts[usize::from(legal)] += 1;
                }
                settle_before_edge!(block);
                assert_eq!(block.illegal.val(), !legal, "{context}");
                assert!(cycle % 3 != 0 || !block.busy.val(), "{context}");
            },
            clock!(),
            900,
            SEED,
        )?;
        assert!(counts.iter().all(|count| *count > 20), "illegal, legal: {counts:?}");
    }};
}

#[test]
fn load_and_store_engines_report_illegal_fields() -> Result<(), CompareError> {
    illegal_fields!(LoadEngine, random_load, true);
    illegal_fields!(StoreEngine, random_store, false);
    Ok(())
}

#[test]
fn group_scales_are_illegal_without_four_bit_weights() -> Result<(), CompareError> {
    let config = small(8, 4, 2, 2, false);
    compare_native_and_verilated(
        || LoadEngine::new(&config),
        |block, random, cycle| {
            block.start.next = cycle % 3 == 0;
            block.reset.next = cycle % 3 == 2;
            let load = random_load(random, &config);
            let scales = load.layout == layout::SCALES;
            if cycle % 3 == 1 {
                drive(&mut block.command, &encode(load));
            }
            settle_before_edge!(block);
            assert_eq!(block.illegal.val(), cycle % 3 == 1 && scales, "cycle {cycle}, seed {SEED}");
        },
        clock!(),
        600,
        SEED,
    )?;
    Ok(())
}

/// What goes wrong in a run of [`dispatch`].
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    None,
    NoEnd,
    NoCommands,
    Opcode,
    Illegal(usize),
    Read,
    Write,
    Fetch,
}

impl Fault {
    /// Status code and engine, as in the register table.
    fn status(self) -> (u64, u64) {
        match self {
            Fault::None => (0, 0),
            Fault::Opcode => (1, 4),
            Fault::Illegal(engine) => (2, engine as u64),
            Fault::Fetch => (3, 4),
            Fault::Read => (4, 0),
            Fault::Write => (5, 3),
            Fault::NoEnd | Fault::NoCommands => (6, 4),
        }
    }
}

/// A program in memory and how far its run is.
#[derive(Debug)]
struct Run {
    address: u64,
    /// Opcode of each command; the other words are a function of the address.
    opcodes: Vec<u32>,
    fault: Fault,
    /// Commands delivered to their queues or executed by dispatch itself.
    next: usize,
    /// Words of the command that is being delivered.
    words: Vec<u32>,
    /// The bus error or the illegal command has happened.
    has_happened: bool,
}

impl Run {
    fn random(random: &mut Random) -> Self {
        let fault = match random.below(12) {
            0 => Fault::NoEnd,
            1 => Fault::NoCommands,
            2 => Fault::Opcode,
            3 => Fault::Illegal(random.below(4) as usize),
            4 => Fault::Read,
            5 => Fault::Write,
            6 => Fault::Fetch,
            _ => Fault::None,
        };
        let count = random.below(30);
        let mut opcodes: Vec<u32> = (0..count).map(|_| 1 + random.below(9).min(4) as u32).collect();
        match fault {
            Fault::NoEnd => opcodes.push(1),
            Fault::NoCommands => opcodes.clear(),
            Fault::Opcode => opcodes.extend([[0, 12, 255, 128][random.below(4) as usize], 1, 6]),
            // The engines are still at work when the fault happens.
            Fault::Illegal(_) | Fault::Read | Fault::Write => opcodes.extend([1, 1, 1, 6]),
            _ => opcodes.push(6),
        }
        if fault == Fault::None && random.one_in(3) {
            // Beyond the end of the program nothing counts.
            opcodes.extend([9, 1, 2]);
        }
        let address = random.bits(32) & !63;
        Self { address, opcodes, fault, next: 0, words: Vec::new(), has_happened: false }
    }

    fn word(&self, address: u64) -> u32 {
        let offset = address.wrapping_sub(self.address) & 0xffff_ffff;
        let word = contents("program", address & 0xffff_ffff, 1);
        if offset % COMMAND_BYTES as u64 == 0 {
            let opcode = self.opcodes.get(offset as usize / COMMAND_BYTES);
            return word & !0xff | opcode.expect("a command of the program");
        }
        word
    }

    /// The commands that dispatch keeps: they have no queue.
    fn skip_control(&mut self) {
        while self.opcodes.get(self.next) == Some(&5) {
            self.next += 1;
        }
    }
}

#[test]
fn dispatch() -> Result<(), CompareError> {
    for bus_words in [2, 4] {
        let bus_bytes = 4 * bus_words as u64;
        let mut run: Option<Run> = None;
        let mut fetched: VecDeque<u64> = VecDeque::new();
        let mut fetches = 0;
        // When the engines will have done what they were given; when they last were.
        let mut busy_until = 0;
        let mut must_reset = false;
        let mut ends: BTreeMap<(u64, u64), u32> = BTreeMap::new();
        compare_native_and_verilated(
            || Dispatch::new(bus_words, true, true),
            |block, random, cycle| {
                let context = format!("cycle {cycle}, seed {SEED}, {bus_words} words, {run:?}");
                let mut starts = false;
                // A start after an error does nothing until there was a reset.
                let resets = run.is_none() && must_reset && random.one_in(4);
                if run.is_none() && random.one_in(3) {
                    starts = true;
                    let next = Run::random(random);
                    block.program_address.next = next.address.into();
                    block.program_commands.next = (next.opcodes.len() as u64).into();
                    if !must_reset {
                        (run, fetches, busy_until) = (Some(next), 0, cycle);
                    }
                }
                must_reset &= !resets;
                let beat_valid = !fetched.is_empty() && !random.one_in(3);
                let address = if beat_valid { fetched[0] } else { 0 };
                let words: Vec<u32> = match (&run, beat_valid) {
                    (Some(run), true) => {
                        (0..bus_bytes / 4).map(|word| run.word(address + 4 * word)).collect()
                    }
                    _ => (0..bus_words).map(|_| field(random, 32)).collect(),
                };
                let fetch_ready = random.one_in(2);
                let queue_ready = [0; 4].map(|_| !random.one_in(3));
                let idle = cycle >= busy_until;
                // At most one fault a run, while there is something that it can happen to.
                let mut illegal = [false; 4];
                let [mut read_error, mut write_error] = [false; 2];
                let mut beat_error = !beat_valid && random.one_in(2);
                if let Some(run) = run.as_mut().filter(|run| !run.has_happened && !starts && random.one_in(6))
                {
                    match run.fault {
                        Fault::Illegal(engine) if !idle => illegal[engine] = true,
                        Fault::Read if !idle => read_error = true,
                        Fault::Write if !idle => write_error = true,
                        Fault::Fetch if beat_valid => beat_error = true,
                        _ => {}
                    }
                    let happens = illegal.contains(&true) || read_error || write_error;
                    run.has_happened = happens || beat_valid && beat_error;
                }
                block.start.next = starts;
                block.reset.next = resets;
                block.fetch_ready.next = fetch_ready;
                block.beat_valid.next = beat_valid;
                block.beat_error.next = beat_error;
                drive(&mut block.beat, &words);
                for (engine, port) in block.queue_ready.iter_mut().enumerate() {
                    port.next = queue_ready[engine];
                }
                for (port, illegal) in block.illegal.iter_mut().zip(illegal) {
                    port.next = illegal;
                }
                block.idle.iter_mut().for_each(|port| port.next = idle);
                block.engines_idle.next = idle;
                block.read_error.next = read_error;
                block.write_error.next = write_error;
                settle_before_edge!(block);

                if beat_valid {
                    fetched.pop_front();
                }
                let delivers: Vec<usize> = (0..4).filter(|engine| block.queue_valid[*engine].val()).collect();
                let Some(this) = run.as_mut().filter(|_| !starts) else {
                    assert!(
                        !block.busy.val() && delivers.is_empty() && !block.fetch_valid.val(),
                        "{context}"
                    );
                    return;
                };
                // Fetch: whole commands, in order, at most four ahead.
                if block.fetch_valid.val() && fetch_ready {
                    let address = (this.address + fetches * COMMAND_BYTES as u64) & 0xffff_ffff;
                    assert_eq!(block.fetch_address.val().to_u64(), address, "{context}");
                    assert_eq!(
                        (block.fetch_length.val().to_u64() + 1) * bus_bytes,
                        COMMAND_BYTES as u64,
                        "{context}"
                    );
                    fetched
                        .extend((0..COMMAND_BYTES as u64).step_by(bus_bytes as usize).map(|n| address + n));
                    fetches += 1;
                    let commands = this.opcodes.len() as u64;
                    let ahead = fetches - block.command_index.val().to_u64();
                    assert!(fetches <= commands && ahead <= 4, "{context}");
                }
                // Dispatch: commands in program order, each to its engine's queue.
                let was_stopped = block.halt.val();
                assert!(!was_stopped || delivers.is_empty(), "{context}");
                if let Some(engine) = delivers.first().copied() {
                    assert_eq!(delivers.len(), 1, "{context}");
                    if this.words.is_empty() {
                        let before = this.next;
                        this.skip_control();
                        assert!(
                            before == this.next || idle,
                            "{context}: nothing passes a barrier while engines run"
                        );
                    }
                    assert_eq!(this.opcodes.get(this.next), Some(&(engine as u32 + 1)), "{context}");
                    if queue_ready[engine] {
                        this.words.extend(words_of(&block.queue_beat));
                        if this.words.len() == COMMAND_WORDS {
                            let first = this.address + (this.next * COMMAND_BYTES) as u64;
                            let expected: Vec<u32> =
                                (0..COMMAND_WORDS as u64).map(|word| this.word(first + 4 * word)).collect();
                            assert_eq!(this.words, expected, "{context}");
                            this.words.clear();
                            this.next += 1;
                        }
                        busy_until = busy_until.max(cycle + 1 + random.below(40));
                    }
                }
                // The end.
                if !block.busy.val() {
                    let fault = match this.fault {
                        Fault::NoEnd | Fault::NoCommands | Fault::Opcode => this.fault,
                        fault if this.has_happened => fault,
                        _ => Fault::None,
                    };
                    let status = (block.status_code.val().to_u64(), block.status_engine.val().to_u64());
                    assert!(block.done.val() && fetched.is_empty() && idle, "{context}");
                    assert_eq!(status, fault.status(), "{context}");
                    this.skip_control();
                    let index = block.command_index.val().to_u64() as usize;
                    match fault {
                        Fault::None => {
                            assert_eq!(this.opcodes[this.next], 6, "{context}");
                            assert_eq!(index, this.next + 1, "{context}");
                        }
                        Fault::NoEnd => {
                            assert_eq!((index, this.next), (this.opcodes.len(), index), "{context}")
                        }
                        Fault::Opcode => {
                            assert!([0, 12, 128, 255].contains(&this.opcodes[index]), "{context}")
                        }
                        _ => assert!(index <= this.opcodes.len(), "{context}"),
                    }
                    *ends.entry(status).or_default() += 1;
                    must_reset = status.0 != 0;
                    run = None;
                }
            },
            clock!(),
            20_000,
            SEED,
        )?;
        assert!(ends.len() >= 9, "ways to end: {ends:?}");
    }
    Ok(())
}
