//! Bits and counters packed into words.

use super::concatenation;
use crate::emit::describe;
use crate::leaves::{inputs, outputs};
use rust_hdl_core::prelude::*;

/// Eight flags as a byte, flag 0 least significant.
#[derive(LogicBlock)]
pub struct PackFlags {
    pub bits: Vec<Signal<In, Bit>>,
    pub flags: Signal<Out, Bits<8>>,
}

impl Default for PackFlags {
    fn default() -> Self {
        Self { bits: (0..8).map(|_| Signal::default()).collect(), flags: Signal::default() }
    }
}

impl Logic for PackFlags {
    fn update(&mut self) {
        let flags = self.bits.iter().rev().fold(0u64, |byte, bit| byte << 1 | u64::from(bit.val()));
        self.flags.next = flags.into();
    }
    fn connect(&mut self) {
        self.flags.connect();
    }
    fn hdl(&self) -> Verilog {
        Verilog::Custom(format!("assign flags = {};", concatenation("bits", 8)))
    }
    fn timing(&self) -> Vec<TimingInfo> {
        describe("pack_flags", "Eight flags as a byte.")
    }
}

/// Gathers the token counters' bits for each engine.
#[derive(LogicBlock)]
pub struct PackCounters {
    /// Index `from * 4 + to`.
    pub counter: Vec<Signal<In, Bits<8>>>,
    pub some: Vec<Signal<In, Bit>>,
    pub many: Vec<Signal<In, Bit>>,
    /// For engine `to`: bit `from`.
    pub available: Vec<Signal<Out, Bits<4>>>,
    /// For engine `from`: bit `to`.
    pub blocked: Vec<Signal<Out, Bits<4>>>,
    /// For engine `to`: byte `from`.
    pub counts: Vec<Signal<Out, Bits<32>>>,
}

impl Default for PackCounters {
    fn default() -> Self {
        Self {
            counter: inputs(16),
            some: (0..16).map(|_| Signal::default()).collect(),
            many: (0..16).map(|_| Signal::default()).collect(),
            available: outputs(4),
            blocked: outputs(4),
            counts: outputs(4),
        }
    }
}

impl Logic for PackCounters {
    fn update(&mut self) {
        for engine in 0..4 {
            let (mut available, mut blocked, mut counts) = (0u64, 0u64, 0u64);
            for other in 0..4 {
                available |= u64::from(self.some[other * 4 + engine].val()) << other;
                blocked |= u64::from(self.many[engine * 4 + other].val()) << other;
                counts |= self.counter[other * 4 + engine].val().to_u64() << (8 * other);
            }
            self.available[engine].next = available.into();
            self.blocked[engine].next = blocked.into();
            self.counts[engine].next = counts.into();
        }
    }
    fn connect(&mut self) {
        self.available.iter_mut().for_each(|p| p.connect());
        self.blocked.iter_mut().for_each(|p| p.connect());
        self.counts.iter_mut().for_each(|p| p.connect());
    }
    fn hdl(&self) -> Verilog {
        let mut text = String::new();
        for e in 0..4 {
            text += &format!(
                "assign available${e} = {{some${}, some${}, some${}, some${}}};\n",
                12 + e,
                8 + e,
                4 + e,
                e
            );
            let from = 4 * e;
            text += &format!(
                "assign blocked${e} = {{many${}, many${}, many${}, many${from}}};\n",
                from + 3,
                from + 2,
                from + 1
            );
            text += &format!(
                "assign counts${e} = {{counter${}, counter${}, counter${}, counter${e}}};\n",
                12 + e,
                8 + e,
                4 + e
            );
        }
        Verilog::Custom(text)
    }
    fn timing(&self) -> Vec<TimingInfo> {
        describe("pack_counters", "The token counters' bits, gathered for each engine.")
    }
}
