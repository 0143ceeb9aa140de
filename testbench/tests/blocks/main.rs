//! Every block above the leaves: native and Verilated agree, and both do what the block's header promises.
//!
//! The native block and its Verilog get the same inputs. Where a test also knows what must come out, it checks the native
//! block in the same run; the comparison carries the check over to the Verilog.
use frugal_hdl::activation_scratchpad::ActivationScratchpad;
use frugal_hdl::burst_generator::{BurstGenerator, MAX_BURST_BEATS};
use frugal_hdl::byte_mover::ByteMover;
use frugal_hdl::command_buffer::CommandBuffer;
use frugal_hdl::fields;
use frugal_hdl::lanes::*;
use frugal_hdl::load_register::LoadRegister;
use frugal_hdl::loop_nest::LoopNest;
use frugal_hdl::mac_array::{MacArray, MacColumn, PipelinedMultiplier};
use frugal_hdl::memories::{AccumulatorMemory, LoadedMemory};
use frugal_hdl::packed_column::{
    ActivationSum, HalvesSum, LowSum, NibbleSum, PackedColumn, PackedMultiplier, PackedProducts, PackedSums,
    SplitSums,
};
use frugal_hdl::read_port::ReadPort;
use frugal_hdl::registers::Registers;
use frugal_hdl::table_lookup::TableLookup;
use frugal_hdl::token_counters::TokenCounters;
use frugal_isa::command::{Command, Engine, FieldSpec, HEADER};
use frugal_isa::{register, COMMAND_WORDS};
use frugal_testbench::compare::{
    compare_native_and_description, compare_native_and_verilated, settle, CompareError, Description,
};
use frugal_testbench::netlist;
use frugal_testbench::random::Random;
use rust_hdl_core::prelude::*;
use std::collections::{BTreeMap, VecDeque};

const CYCLES: u64 = 1_000;
const SEED: u64 = 0xb10c;

/// The clock of the blocks that have one.
macro_rules! clocked {
    () => {
        |block, level| block.clock.next = Clock { clk: level }
    };
}

fn no_clock<B>(_: &mut B, _: bool) {}

/// Random values on all of these ports, extremes among them.
fn randomise<const N: usize>(ports: &mut [Signal<In, Bits<N>>], random: &mut Random) {
    ports.iter_mut().for_each(|port| port.next = random.bits(N as u32).into());
}

/// Lets the inputs reach the combinational outputs, as they are before the clock rises.
macro_rules! settle_before_edge {
    ($block:expr) => {
        $block.clock.next = Clock { clk: false };
        settle($block).expect("no combinational loop");
    };
}

fn words_of(ports: &[Signal<Out, Bits<32>>]) -> Vec<u32> {
    ports.iter().map(|port| port.val().to_u32()).collect()
}

fn drive_words<const N: usize>(ports: &mut [Signal<In, Bits<N>>], values: impl IntoIterator<Item = u64>) {
    for (port, value) in ports.iter_mut().zip(values) {
        port.next = value.into();
    }
}

mod array;
mod bus;
mod control;
mod lanes;
mod memories;
mod moves;
mod nest;
