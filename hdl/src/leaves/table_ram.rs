//! On-chip memory for tables of bytes that two readers look up.
use super::prelude::*;
use super::{ecp5, inputs, outputs};
use frugal_isa::Config;

/// Readers of a [`TableRam`]: as many as a block RAM has ports.
pub const READERS: usize = 2;

/// A few tables with an entry for each value of a byte; two readers look up an entry each, loads write four entries at a time.
///
/// * Read: with `read_enable`, the entries of both `value`s in `table` appear on `entry` after the clock edge and stay until the next read.
/// * Write: with `write_valid`, the word at `write_address` is written. It takes both ports, so nothing may be read in that cycle; the simulation
///   reports it, and what lies beyond the last table, too.
///
/// Contents start at zero.
#[derive(LogicBlock)]
pub struct TableRam {
    pub clock: Signal<In, Clock>,
    pub read_enable: Signal<In, Bit>,
    pub table: Signal<In, Bits<3>>,
    pub value: Vec<Signal<In, Bits<8>>>,
    pub entry: Vec<Signal<Out, Bits<8>>>,
    pub write_valid: Signal<In, Bit>,
    /// Counts words of four entries, through all tables.
    pub write_address: Signal<In, Bits<16>>,
    pub write_data: Signal<In, Bits<32>>,
    _in_luts: bool,
    _contents: Vec<u32>,
}

impl TableRam {
    pub const LATENCY_CYCLES: u32 = 1;

    /// Tables of the largest one.
    pub const MAXIMUM_TABLES: usize = 8;

    /// Of LUTs if `in_luts`, where a chip has such: block RAMs may have other work.
    ///
    /// # Panics
    /// If `tables` is not a power of two up to [`TableRam::MAXIMUM_TABLES`].
    pub fn new(tables: usize, in_luts: bool) -> Self {
        assert!(tables.is_power_of_two() && tables <= Self::MAXIMUM_TABLES, "{tables} tables");
        Self {
            clock: Signal::default(),
            read_enable: Signal::default(),
            table: Signal::default(),
            value: inputs(READERS),
            entry: outputs(READERS),
            write_valid: Signal::default(),
            write_address: Signal::default(),
            write_data: Signal::default(),
            _in_luts: in_luts,
            _contents: vec![0; tables * Config::TABLE_BYTES / 4],
        }
    }

    /// A copy of the words for each reader.
    fn portable(&self) -> String {
        let words = self._contents.len();
        let style = if self._in_luts { ", ram_style = \"distributed\"" } else { "" };
        let mut text = format!(
            "(* no_rw_check{style} *) reg [31:0] rows [0:{}];\n\
             integer row;\n\
             initial for (row = 0; row < {words}; row = row + 1) rows[row] = 0;\n\
             always @(posedge clock) if (write_valid) rows[write_index] <= write_data;\n",
            words - 1
        );
        for reader in 0..READERS {
            text += &format!(
                "reg [31:0] row_{reader};\n\
                 reg [1:0] byte_{reader};\n\
                 always @(posedge clock) if (read_enable) begin\n\
                 \x20   row_{reader} <= rows[read_index_{reader}[{}:2]];\n\
                 \x20   byte_{reader} <= read_index_{reader}[1:0];\n\
                 end\n\
                 assign entry${reader} = row_{reader}[{{byte_{reader}, 3'd0}} +: 8];\n",
                self.top() + 2
            );
        }
        text
    }

    /// One block RAM of half words: both ports write a half of a word each, or read one each.
    fn block_ram(&self) -> String {
        let mut text = String::new();
        let mut pins = Vec::new();
        for (reader, port) in ["A", "B"].into_iter().enumerate() {
            text += &format!(
                "wire [{}:0] half_{reader} = write_valid ? {{write_index, 1'd{reader}}} : read_index_{reader}[{}:1];\n\
                 wire [15:0] read_half_{reader};\n\
                 reg odd_{reader};\n\
                 always @(posedge clock) if (read_enable) odd_{reader} <= read_index_{reader}[0];\n\
                 assign entry${reader} = odd_{reader} ? read_half_{reader}[15:8] : read_half_{reader}[7:0];\n",
                self.top() + 1,
                self.top() + 2,
            );
            // Below the address are the enables of a half word's bytes.
            for bit in 0..14_usize {
                let pin = match bit {
                    0 | 1 => "1'b1".into(),
                    2 | 3 => "1'b0".into(),
                    _ if bit - 4 <= self.top() + 1 => format!("half_{reader}[{}]", bit - 4),
                    _ => "1'b0".into(),
                };
                pins.push(format!(".AD{port}{bit}({pin})"));
            }
            for bit in 0..16 {
                let pin = bit + bit / 8;
                pins.push(format!(
                    ".DI{port}{pin}(write_data[{}]), .DO{port}{pin}(read_half_{reader}[{bit}])",
                    16 * reader + bit
                ));
            }
            pins.extend([8, 17].map(|pin| format!(".DI{port}{pin}(1'b0)")));
            pins.push(format!(
                ".CLK{port}(clock), .CE{port}(read_enable || write_valid), .OCE{port}(1'b1), .WE{port}(write_valid), .RST{port}(1'b0), \
                 .CS{port}0(1'b0), .CS{port}1(1'b0), .CS{port}2(1'b0)"
            ));
        }
        text + &format!(
            "DP16KD #(.DATA_WIDTH_A(18), .DATA_WIDTH_B(18), .GSR(\"AUTO\")) halves (\n    {}\n);\n",
            pins.join(",\n    ")
        )
    }

    /// Highest bit of a word's number.
    fn top(&self) -> usize {
        clog2(self._contents.len()) - 1
    }

    fn assertions(&self) -> String {
        let words = self._contents.len();
        let tables = 4 * words / Config::TABLE_BYTES;
        format!(
            "`ifndef SYNTHESIS\n\
             always @(posedge clock) begin\n\
             \x20   if (read_enable && write_valid) $error(\"%m: tables are read while they are written\");\n\
             \x20   if (read_enable && {{1'b0, table}} >= 4'd{tables}) $error(\"%m: table %0d of {tables} is read\", table);\n\
             \x20   if (write_valid && write_address >= 16'd{words}) $error(\"%m: word %0d of {words} is written\", write_address);\n\
             end\n\
             `endif"
        )
    }
}

impl Logic for TableRam {
    fn update(&mut self) {
        if !self.clock.pos_edge() {
            return;
        }
        if self.read_enable.val() {
            let first = self.table.val().index() * Config::TABLE_BYTES;
            for (value, entry) in self.value.iter().zip(&mut self.entry) {
                let at = first + value.val().index();
                let word = self._contents.get(at / 4).copied().unwrap_or(0);
                entry.next = u64::from(word.to_le_bytes()[at % 4]).into();
            }
        }
        if self.write_valid.val() {
            if let Some(word) = self._contents.get_mut(self.write_address.val().index()) {
                *word = self.write_data.val().to_u32();
            }
        }
    }
    fn connect(&mut self) {
        self.entry.iter_mut().for_each(|entry| entry.connect());
    }
    fn hdl(&self) -> Verilog {
        let mut text = format!("wire [{top}:0] write_index = write_address[{top}:0];\n", top = self.top());
        // One table has no number.
        let table = match self.top() + 2 {
            7 => String::new(),
            top => format!("table[{}:0], ", top - 8),
        };
        for reader in 0..READERS {
            text +=
                &format!("wire [{}:0] read_index_{reader} = {{{table}value${reader}}};\n", self.top() + 2);
        }
        // Where it is to be made of LUTs, that is for the sake of this chip.
        text += &if self._in_luts {
            self.portable()
        } else {
            ecp5::choose(&self.block_ram(), &self.portable()) + "\n"
        };
        Verilog::Custom(text + &self.assertions())
    }
    fn timing(&self) -> Vec<TimingInfo> {
        let tables = 4 * self._contents.len() / Config::TABLE_BYTES;
        describe(
            &format!("table_ram_{tables}{}", if self._in_luts { "_in_luts" } else { "" }),
            &format!(
                "Entries of {tables} tables for two readers; written as words, not in the cycle of a read."
            ),
        )
    }
}
