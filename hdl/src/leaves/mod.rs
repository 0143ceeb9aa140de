//! The smallest blocks: everything with signed arithmetic, a memory or a concatenation in it.
//!
//! A *leaf* states its behaviour twice, side by side: a native-integer `update()` for the built-in simulator and a few
//! lines of Verilog. Signedness, sign extension and multiplication stay inside leaves, where both texts are short
//! enough to compare by eye and one test per leaf drives both with the same vectors
//! (`testbench/tests/leaves.rs`). Blocks above this level connect leaves and never do signed arithmetic themselves.
//!
//! | leaf | latency (cycles) | purpose |
//! |---|---|---|
//! | [`SignedProduct`] | 3 | int16 x int16 product |
//! | [`PairSum`] | 1 | one node of an adder tree |
//! | [`Accumulate`], [`AccumulateEither`] | 1 | running int32 total |
//! | [`SignExtend8`], [`SignExtend16to32`] | 0 | sign extension |
//! | [`DotProduct`] | 0 | sum of four int8 products |
//! | [`SimpleRam`] | 1 | dual-port RAM with byte enables |
//! | [`CollisionReport`] | none | what the simulation says of a row that is read while it is written |
//! | [`SinglePortRam`] | 1 | RAM with one port and byte enables |
//! | [`TableRam`] | 1 | bytes looked up by two readers |
//! | [`Fifo`] | 1 | first-word fall-through queue |
//! | [`SkidBuffer`] | 1 | a handshake cut by registers |
//! | [`DelayLine`], [`DelayBit`] | any | a signal some cycles later |
//! | [`DelayRows`] | any from 3 on | rows of words some cycles later |
//! | [`Requantise`] | [`Requantise::LATENCY_CYCLES`] | int32 to int8 with a fixed-point multiplier |
//! | [`PatchAmount`], [`PatchWord`] | [`PatchAmount::LATENCY_CYCLES`], 0 | what an `adjust` command adds |
//! | [`Pack`], [`Unpack`], [`PackBytes`], [`PackHalves`], [`PackFlags`], [`PackNibbles`], [`PackCounters`], [`SplitBytes`] | 0 | concatenation |
//!
//! Registers have no reset: they power up at zero, and valid bits (which do have a reset, in the blocks above) say when
//! their contents mean something. Values are `Bits<N>`; a leaf that calls a value signed reads it as two's complement.
mod arithmetic;
mod collision_report;
mod delay_line;
mod delay_rows;
mod dot_product;
pub mod ecp5;
mod fifo;
pub mod gowin;
pub mod ice40;
mod pack;
mod patch;
mod requantise;
mod simple_ram;
mod single_port_ram;
mod skid_buffer;
mod table_ram;

pub use arithmetic::{Accumulate, AccumulateEither, PairSum, SignExtend16to32, SignExtend8, SignedProduct};
pub use collision_report::CollisionReport;
pub use delay_line::{DelayBit, DelayLine};
pub use delay_rows::DelayRows;
pub use dot_product::DotProduct;
pub use fifo::Fifo;
pub(crate) use pack::concatenation;
pub use pack::{
    Pack, Pack128, Pack64, PackBytes, PackCounters, PackFlags, PackHalves, PackNibbles, SplitBytes, Unpack,
    Unpack128, Unpack64,
};
pub use patch::{PatchAmount, PatchWord};
pub use requantise::{ClampPack, Requantise, RoundingShift, ShiftLeft, WideMultiply};
pub use simple_ram::SimpleRam;
pub use single_port_ram::SinglePortRam;
pub use skid_buffer::SkidBuffer;
pub use table_ram::TableRam;

use rust_hdl_core::prelude::{Bits, In, Out, Signal};

/// The names every leaf needs, in one line.
pub(crate) mod prelude {
    pub(crate) use crate::emit::describe;
    pub(crate) use rust_hdl_core::prelude::*;
}

/// `count` input ports of `N` bits.
pub(crate) fn inputs<const N: usize>(count: usize) -> Vec<Signal<In, Bits<N>>> {
    (0..count).map(|_| Signal::default()).collect()
}

/// `count` output ports of `N` bits.
pub(crate) fn outputs<const N: usize>(count: usize) -> Vec<Signal<Out, Bits<N>>> {
    (0..count).map(|_| Signal::default()).collect()
}

/// The low `width` bits of `value` read as two's complement.
pub(crate) fn sign_extend(value: u32, width: usize) -> i32 {
    let unused_bits = 32 - width as u32;
    ((value << unused_bits) as i32) >> unused_bits
}
