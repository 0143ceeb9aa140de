//! Table lookup: replaces a lane's int8 result by its entry in one of a few tables of 256.
//!
//! Every lane has a copy of all tables, so that lanes look up different entries in the same cycle; a load writes all copies at once.

use crate::emit::describe;
use crate::lanes::LaneSelect;
use crate::leaves::SimpleRam;
use frugal_isa::Config;
use rust_hdl_core::prelude::*;
use rust_hdl_widgets::prelude::*;

#[derive(LogicBlock)]
pub struct TableLookup {
    pub clock: Signal<In, Clock>,
    pub enable: Signal<In, Bit>,
    pub table: Signal<In, Bits<3>>,
    pub value: Signal<In, Bits<8>>,
    /// One cycle later: the entry, or without `enable` the value itself.
    pub result: Signal<Out, Bits<8>>,
    // Four entries a word.
    pub write_valid: Signal<In, Bit>,
    pub write_address: Signal<In, Bits<16>>,
    pub write_data: Signal<In, Bits<32>>,
    ram: SimpleRam,
    select: LaneSelect,
    value_1: DFF<Bits<8>>,
    looked_up: DFF<Bit>,
    table_row: Signal<Local, Bits<16>>,
    value_word: Signal<Local, Bits<8>>,
    value_row: Signal<Local, Bits<16>>,
    address_mask: Constant<Bits<16>>,
}

impl TableLookup {
    pub const LATENCY_CYCLES: u32 = 1;

    /// `in_luts` where block RAMs have other work.
    pub fn new(tables: usize, in_luts: bool) -> Self {
        let depth = tables * Config::TABLE_BYTES / 4;
        Self {
            clock: Signal::default(),
            enable: Signal::default(),
            table: Signal::default(),
            value: Signal::default(),
            result: Signal::default(),
            write_valid: Signal::default(),
            write_address: Signal::default(),
            write_data: Signal::default(),
            ram: SimpleRam::new(depth, 1).in_luts(in_luts),
            select: LaneSelect::new(4, 1),
            value_1: DFF::default(),
            looked_up: DFF::default(),
            table_row: Signal::default(),
            value_word: Signal::default(),
            value_row: Signal::default(),
            address_mask: Constant::new((depth as u64 - 1).into()),
        }
    }
}

impl Logic for TableLookup {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, value_1, looked_up);
        self.ram.clock.next = self.clock.val();
        self.ram.read_enable.next = self.enable.val();
        self.table_row.next = bit_cast::<16, 3>(self.table.val()) << 6;
        self.value_word.next = self.value.val() >> 2;
        self.value_row.next = bit_cast::<16, 8>(self.value_word.val());
        self.ram.read_address.next = (self.table_row.val() | self.value_row.val()) & self.address_mask.val();
        self.ram.write_valid.next = self.write_valid.val();
        self.ram.write_address.next = self.write_address.val() & self.address_mask.val();
        self.ram.write_enable[0].next = 15.into();
        self.ram.write_data[0].next = self.write_data.val();
        self.value_1.d.next = self.value.val();
        self.looked_up.d.next = self.enable.val();
        self.select.words[0].next = self.ram.read_data[0].val();
        self.select.lane.next = self.value_1.q.val() & 3;
        self.result.next = self.value_1.q.val();
        if self.looked_up.q.val() {
            self.result.next = self.select.values[0].val().get_bits::<8>(0);
        }
    }
    fn timing(&self) -> Vec<TimingInfo> {
        describe("table_lookup", "Replaces an int8 value by its entry in a table, or hands it on.")
    }
}
