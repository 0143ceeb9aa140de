//! Table lookup: replaces the lanes' int8 results by their entries in one of a few tables of 256.
//!
//! Every two lanes have a copy of all tables, so that lanes look up different entries in the same cycle; a load writes all copies at once, in a cycle
//! without lookups.

use crate::emit::describe;
use crate::leaves::{inputs, outputs, TableRam};
use frugal_isa::Config;
use rust_hdl_core::prelude::*;
use rust_hdl_widgets::prelude::*;

#[derive(LogicBlock)]
pub struct TableLookup {
    pub clock: Signal<In, Clock>,
    pub enable: Signal<In, Bit>,
    pub table: Signal<In, Bits<3>>,
    pub value: Vec<Signal<In, Bits<8>>>,
    /// One cycle later: the entries, or without `enable` the values themselves.
    pub result: Vec<Signal<Out, Bits<8>>>,
    // Four entries a word; written only without `enable`.
    pub write_valid: Signal<In, Bit>,
    pub write_ready: Signal<Out, Bit>,
    pub write_address: Signal<In, Bits<16>>,
    pub write_data: Signal<In, Bits<32>>,
    rams: Vec<TableRam>,
    value_1: Vec<DFF<Bits<8>>>,
    looked_up: DFF<Bit>,
    writes: Signal<Local, Bit>,
    word_mask: Constant<Bits<16>>,
    table_mask: Constant<Bits<3>>,
    _pairs: usize,
}

impl TableLookup {
    pub const LATENCY_CYCLES: u32 = 1;

    /// For an even number of `lanes`; the last `in_luts` pairs of them have their tables in LUTs, where block RAMs have other work.
    pub fn new(tables: usize, lanes: usize, in_luts: usize) -> Self {
        let words = tables * Config::TABLE_BYTES / 4;
        let pairs = lanes / 2;
        Self {
            clock: Signal::default(),
            enable: Signal::default(),
            table: Signal::default(),
            value: inputs(lanes),
            result: outputs(lanes),
            write_valid: Signal::default(),
            write_ready: Signal::default(),
            write_address: Signal::default(),
            write_data: Signal::default(),
            rams: (0..pairs).map(|pair| TableRam::new(tables, pair + in_luts >= pairs)).collect(),
            value_1: (0..lanes).map(|_| DFF::default()).collect(),
            looked_up: DFF::default(),
            writes: Signal::default(),
            word_mask: Constant::new((words as u64 - 1).into()),
            table_mask: Constant::new((tables as u64 - 1).into()),
            _pairs: pairs,
        }
    }
}

impl Logic for TableLookup {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, looked_up);
        self.looked_up.d.next = self.enable.val();
        self.write_ready.next = !self.enable.val();
        self.writes.next = self.write_valid.val() & !self.enable.val();
        for p in 0..self._pairs {
            self.rams[p].clock.next = self.clock.val();
            self.rams[p].read_enable.next = self.enable.val();
            self.rams[p].table.next = self.table.val() & self.table_mask.val();
            self.rams[p].write_valid.next = self.writes.val();
            self.rams[p].write_address.next = self.write_address.val() & self.word_mask.val();
            self.rams[p].write_data.next = self.write_data.val();
            for r in 0..2 {
                self.value_1[p * 2 + r].clock.next = self.clock.val();
                self.value_1[p * 2 + r].d.next = self.value[p * 2 + r].val();
                self.rams[p].value[r].next = self.value[p * 2 + r].val();
                self.result[p * 2 + r].next = self.value_1[p * 2 + r].q.val();
                if self.looked_up.q.val() {
                    self.result[p * 2 + r].next = self.rams[p].entry[r].val();
                }
            }
        }
    }
    fn timing(&self) -> Vec<TimingInfo> {
        describe("table_lookup", "Replaces int8 values by their entries in a table, or hands them on.")
    }
}
