//! The engines, the output stage and dispatch: native and Verilated agree, and both do what docs/architecture.md says.
//!
//! Each test plays the block's surroundings: memories whose contents are a function of the address, a bus with random
//! pauses, the queue in front. What is not asked for is answered with random words, so that nothing comes out right by
//! accident.
use frugal_hdl::byte_mover::ByteMover;
use frugal_hdl::dispatch::Dispatch;
use frugal_hdl::leaves::Requantise;
use frugal_hdl::load_engine::{target, LoadEngine};
use frugal_hdl::mac_array::MacArray;
use frugal_hdl::matrix_engine::{MatrixEngine, PRODUCT_SLOT_CYCLES, VECTOR_SLOT_CYCLES};
use frugal_hdl::output_stage::OutputStage;
use frugal_hdl::row_lanes::RowLanes;
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
/// Tables of the machines under test.
const TABLES: usize = 2;

macro_rules! clocked {
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

/// One result of a matrix or vector command.
#[derive(Clone, Debug, Default, PartialEq)]
struct EngineResult {
    values: Vec<i32>,
    /// Words that go with it to the output stage: the route, then (matrix) rows and clamps.
    words: Vec<u32>,
    /// Row of the accumulator memory that must be read for it.
    accumulator: Option<u64>,
}

fn route(address: u64, lane: u64, flags: u32) -> u32 {
    (address & 0xffff) as u32 | (lane as u32) << 16 | flags << 24
}

/// 16-bit two's complement.
fn inside(position: i64, size: u32) -> bool {
    (0..i64::from(size)).contains(&i64::from(position as i16))
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
            clocked!(),
            900,
            SEED,
        )?;
        assert!(counts.iter().all(|count| *count > 20), "illegal, legal: {counts:?}");
    }};
}

mod dispatch;
mod matrix;
mod output_stage;
mod transfers;
mod vector;
