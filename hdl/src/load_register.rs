//! A register for a unit on its way from the load engine to a memory that only loads write.
//!
//! Nothing there makes a load wait, so a unit may be on its way for as long as the token that tells of it, which is two cycles.

use crate::emit::describe;
use crate::leaves::{inputs, outputs};
use rust_hdl_core::prelude::*;
use rust_hdl_widgets::prelude::*;

#[derive(LogicBlock)]
pub struct LoadRegister {
    pub clock: Signal<In, Clock>,
    // As the load engine has them.
    pub valid: Signal<In, Bit>,
    pub layout: Signal<In, Bits<2>>,
    pub address: Signal<In, Bits<16>>,
    pub position: Signal<In, Bits<8>>,
    pub column: Signal<In, Bits<8>>,
    pub row: Signal<In, Bits<8>>,
    pub unit: Vec<Signal<In, Bits<32>>>,
    // A cycle later.
    pub write_valid: Signal<Out, Bit>,
    pub write_layout: Signal<Out, Bits<2>>,
    pub write_address: Signal<Out, Bits<16>>,
    pub write_position: Signal<Out, Bits<8>>,
    pub write_column: Signal<Out, Bits<8>>,
    pub write_row: Signal<Out, Bits<8>>,
    pub write_unit: Vec<Signal<Out, Bits<32>>>,
    held_valid: DFF<Bit>,
    held_layout: DFF<Bits<2>>,
    held_address: DFF<Bits<16>>,
    held_position: DFF<Bits<8>>,
    held_column: DFF<Bits<8>>,
    held_row: DFF<Bits<8>>,
    held_unit: Vec<DFF<Bits<32>>>,
    _words: usize,
}

impl LoadRegister {
    /// For units of `words` words.
    pub fn new(words: usize) -> Self {
        Self {
            clock: Signal::default(),
            valid: Signal::default(),
            layout: Signal::default(),
            address: Signal::default(),
            position: Signal::default(),
            column: Signal::default(),
            row: Signal::default(),
            unit: inputs(words),
            write_valid: Signal::default(),
            write_layout: Signal::default(),
            write_address: Signal::default(),
            write_position: Signal::default(),
            write_column: Signal::default(),
            write_row: Signal::default(),
            write_unit: outputs(words),
            held_valid: DFF::default(),
            held_layout: DFF::default(),
            held_address: DFF::default(),
            held_position: DFF::default(),
            held_column: DFF::default(),
            held_row: DFF::default(),
            held_unit: (0..words).map(|_| DFF::default()).collect(),
            _words: words,
        }
    }
}

impl Logic for LoadRegister {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, held_valid, held_layout, held_address, held_position, held_column, held_row);
        self.held_valid.d.next = self.valid.val();
        self.held_layout.d.next = self.layout.val();
        self.held_address.d.next = self.address.val();
        self.held_position.d.next = self.position.val();
        self.held_column.d.next = self.column.val();
        self.held_row.d.next = self.row.val();
        self.write_valid.next = self.held_valid.q.val();
        self.write_layout.next = self.held_layout.q.val();
        self.write_address.next = self.held_address.q.val();
        self.write_position.next = self.held_position.q.val();
        self.write_column.next = self.held_column.q.val();
        self.write_row.next = self.held_row.q.val();
        for w in 0..self._words {
            self.held_unit[w].clock.next = self.clock.val();
            self.held_unit[w].d.next = self.unit[w].val();
            self.write_unit[w].next = self.held_unit[w].q.val();
        }
    }
    fn timing(&self) -> Vec<TimingInfo> {
        describe("load_register", "A loaded unit on its way to a memory that only loads write.")
    }
}
