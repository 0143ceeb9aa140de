//! On-chip memory: one write port with byte enables, one synchronous read port.
use super::collision_report::collision_check;
use super::prelude::*;
use super::{ecp5, inputs, outputs};

/// A simple dual-port RAM of `depth` rows of `words` 32-bit words.
///
/// * Read: with `read_enable`, the row at `read_address` appears on `read_data` after the clock edge and stays until the
///   next read (one cycle of latency).
/// * Write: with `write_valid`, byte `b` of word `w` is written when bit `b` of `write_enable[w]` is set.
/// * Reading a row in the cycle in which it is written is illegal (`no_rw_check` frees the synthesiser from building
///   collision logic), and so is an address beyond the last row: the simulation reports both. Allow the former, for a
///   design that has no use for the bytes that are written, with [`SimpleRam::allowing_collisions`].
///
/// Contents start at zero.
#[derive(LogicBlock)]
pub struct SimpleRam {
    pub clock: Signal<In, Clock>,
    // Read port.
    pub read_enable: Signal<In, Bit>,
    pub read_address: Signal<In, Bits<16>>,
    pub read_data: Vec<Signal<Out, Bits<32>>>,
    // Write port.
    pub write_valid: Signal<In, Bit>,
    pub write_enable: Vec<Signal<In, Bits<4>>>,
    pub write_address: Signal<In, Bits<16>>,
    pub write_data: Vec<Signal<In, Bits<32>>>,
    _depth: usize,
    _words: usize,
    _collisions_allowed: bool,
    _has_output_register: bool,
    _has_write_register: bool,
    _in_luts: bool,
    _contents: Vec<u32>,
    _row: Vec<u32>,
    _write: Write,
}

/// What is at the write port in a cycle: of each word its enabled bytes and its value.
#[derive(Clone, Debug, Default)]
struct Write {
    row: usize,
    valid: bool,
    words: Vec<(u8, u32)>,
}

impl SimpleRam {
    pub const LATENCY_CYCLES: u32 = 1;

    /// # Panics
    /// If `depth` is not in 1..=65536 or `words` is 0.
    pub fn new(depth: usize, words: usize) -> Self {
        assert!((1..=1 << 16).contains(&depth), "a RAM has 1 to 65536 rows, not {depth}");
        assert!(words > 0, "a RAM without words");
        Self {
            clock: Signal::default(),
            read_enable: Signal::default(),
            read_address: Signal::default(),
            read_data: outputs(words),
            write_valid: Signal::default(),
            write_enable: inputs(words),
            write_address: Signal::default(),
            write_data: inputs(words),
            _depth: depth,
            _words: words,
            _collisions_allowed: false,
            _has_output_register: false,
            _has_write_register: false,
            _in_luts: false,
            _contents: vec![0; depth * words],
            _row: vec![0; words],
            _write: Write::default(),
        }
    }

    /// The same RAM, without the simulation's report when a row is read while it is written. The row's other bytes are right then. Those that are written are
    /// neither the old ones nor the new ones for sure, on no chip; the simulation gives the new ones' complement, so that whoever uses them is found out.
    /// Readers that use whole rows deserve a [`CollisionReport`](super::CollisionReport).
    pub fn allowing_collisions(mut self) -> Self {
        self._collisions_allowed = true;
        self
    }

    /// The same RAM made of LUTs if `in_luts`, where a chip has such: for few rows, or because block RAMs have other work.
    pub fn in_luts(mut self, in_luts: bool) -> Self {
        self._in_luts = in_luts;
        self
    }

    /// The same RAM with one more register behind the row, so that nothing waits for the memory itself: data come a cycle later.
    pub fn with_output_register(mut self) -> Self {
        self._has_output_register = true;
        self
    }

    /// The same RAM with a register in front of the write port, so that what decides about a write does not reach as far as the memory: a row is written a
    /// cycle later.
    pub fn with_write_register(mut self) -> Self {
        self._has_write_register = true;
        self
    }
}

/// The bits of a word's enabled bytes.
fn byte_mask(enable: u8) -> u32 {
    (0..4).filter(|byte| enable >> byte & 1 == 1).fold(0, |mask, byte| mask | 0xff << (8 * byte))
}

impl Logic for SimpleRam {
    fn update(&mut self) {
        if !self.clock.pos_edge() {
            return;
        }
        let words = self._words;
        if self._has_output_register {
            self.read_data
                .iter_mut()
                .zip(&self._row)
                .for_each(|(port, word)| port.next = u64::from(*word).into());
        }
        if self.read_enable.val() {
            let row = self.read_address.val().index();
            for (word, value) in self._row.iter_mut().enumerate() {
                *value = self._contents.get(row * words + word).copied().unwrap_or(0);
            }
        }
        let write = Write {
            row: self.write_address.val().index(),
            valid: self.write_valid.val(),
            words: (0..words)
                .map(|word| (self.write_enable[word].val().to_u8(), self.write_data[word].val().to_u32()))
                .collect(),
        };
        let write = if self._has_write_register { std::mem::replace(&mut self._write, write) } else { write };
        let collides = self.read_enable.val() && write.valid && self.read_address.val().index() == write.row;
        if self._collisions_allowed && collides {
            for (value, (enable, data)) in self._row.iter_mut().zip(&write.words) {
                let mask = byte_mask(*enable);
                *value = *value & !mask | !data & mask;
            }
        }
        if !self._has_output_register {
            self.read_data
                .iter_mut()
                .zip(&self._row)
                .for_each(|(port, word)| port.next = u64::from(*word).into());
        }
        if write.row >= self._depth || !write.valid {
            return;
        }
        for (target, (enable, data)) in self._contents[write.row * words..].iter_mut().zip(write.words) {
            let mask = byte_mask(enable);
            *target = *target & !mask | data & mask;
        }
    }
    fn connect(&mut self) {
        self.read_data.iter_mut().for_each(|word| word.connect());
    }
    fn hdl(&self) -> Verilog {
        Verilog::Custom(self.verilog())
    }
    fn timing(&self) -> Vec<TimingInfo> {
        describe(
            &format!("simple_ram_{}_by_{}", self._depth, self._words),
            &format!(
                "{} rows of {} words: one write port with byte enables{}, one synchronous read port{}.\n\
                 A row must not be read in the cycle in which it is written.",
                self._depth,
                self._words,
                if self._has_write_register { " and a register in front of it" } else { "" },
                if self._has_output_register { " with a register behind it" } else { "" }
            ),
        )
    }
}

impl SimpleRam {
    fn verilog(&self) -> String {
        let depth = self._depth;
        // What is written, as it comes or out of the register in front.
        let (valid, address) =
            if self._has_write_register { ("valid", "address") } else { ("write_valid", "write_address") };
        let ports = format!(
            "{register}\
             wire [{top}:0] read_index = read_address[{top}:0];\n\
             wire [{top}:0] write_index = {address}[{top}:0];\n",
            top = clog2(depth).max(1) - 1,
            register = if self._has_write_register { self.write_register() } else { String::new() },
        );
        let has_registers = self._has_write_register && self._has_output_register;
        let rows = if has_registers && ecp5::REGISTERED_DEPTHS.contains(&depth) {
            let block_rams = format!(
                "wire [{}:0] output_row;\n{}{}",
                32 * self._words - 1,
                self.read_from("output_row"),
                ecp5::registered_memory(depth, 4 * self._words, "output_row")
            );
            ecp5::choose(&block_rams, &self.rows(valid, address)) + "\n"
        } else {
            self.rows(valid, address)
        };
        ports + &rows + &self.assertions(valid, address)
    }

    /// The read port, from the bits of a row.
    fn read_from(&self, row: &str) -> String {
        let words: Vec<String> = (0..self._words).rev().map(|word| format!("read_data${word}")).collect();
        format!("assign {{{}}} = {row};\n", words.join(", "))
    }

    /// One wide memory, so that a row is contiguous when simulated. Writes are blocking, and passed over as a whole without
    /// `write_valid`: that is several times faster in Verilator and the same block RAM in Yosys.
    fn rows(&self, valid: &str, address: &str) -> String {
        let (depth, words) = (self._depth, self._words);
        let top = 32 * words - 1;
        let mut body = format!(
            "(* no_rw_check{style} *) reg [{top}:0] rows [0:{last}];\n\
             reg [{top}:0] read_row;\n\
             {output}\
             integer row;\n\
             initial for (row = 0; row < {depth}; row = row + 1) rows[row] = 0;\n\
             /* verilator lint_off BLKSEQ */\n\
             always @(posedge clock) begin\n\
             \x20   if (read_enable) read_row <= rows[read_index];\n\
             \x20   if ({valid}) begin\n",
            last = depth - 1,
            style = if self._in_luts { ", ram_style = \"distributed\"" } else { "" },
            output = if self._has_output_register {
                format!(
                    "reg [{top}:0] output_row;\nalways @(posedge clock) output_row <= read_row;\n{}",
                    self.read_from("output_row")
                )
            } else {
                self.read_from("read_row")
            },
        );
        let mut collision = String::new();
        for word in 0..words {
            for byte in 0..4 {
                let (first, last) = (8 * byte, 8 * byte + 7);
                let low = 32 * word;
                let (enable, data) = if self._has_write_register {
                    (format!("enable[{}]", 4 * word + byte), format!("data[{}:{}]", low + last, low + first))
                } else {
                    (format!("write_enable${word}[{byte}]"), format!("write_data${word}[{last}:{first}]"))
                };
                let bits = format!("[{}:{}]", low + last, low + first);
                body += &format!("        if ({enable}) rows[write_index]{bits} = {data};\n");
                collision += &format!("        if ({enable}) read_row{bits} <= ~{data};\n");
            }
        }
        body += "    end\n";
        if self._collisions_allowed {
            body += &format!(
                "`ifndef SYNTHESIS\n    if (read_enable && {valid} && read_address == {address}) begin\n{collision}    end\n`endif\n"
            );
        }
        body + "end\n/* verilator lint_on BLKSEQ */\n"
    }

    /// The register in front of the write port.
    fn write_register(&self) -> String {
        let words = self._words;
        let all =
            |name: &str| (0..words).rev().map(|word| format!("{name}${word}")).collect::<Vec<_>>().join(", ");
        format!(
            "reg valid;\n\
             initial valid = 1'b0;\n\
             reg [15:0] address;\n\
             reg [{}:0] enable;\n\
             reg [{}:0] data;\n\
             always @(posedge clock) begin\n\
             \x20   valid <= write_valid;\n\
             \x20   address <= write_address;\n\
             \x20   enable <= {{{}}};\n\
             \x20   data <= {{{}}};\n\
             end\n",
            4 * words - 1,
            32 * words - 1,
            all("write_enable"),
            all("write_data"),
        )
    }

    /// What the simulation reports, of the row that is written in a cycle.
    fn assertions(&self, valid: &str, address: &str) -> String {
        let depth = self._depth;
        let mut checks = String::new();
        if !self._collisions_allowed {
            checks += &collision_check("read_enable", "read_address", valid, address);
        }
        if depth < 1 << 16 {
            checks += &format!(
                "    if (read_enable && read_address >= 16'd{depth})\n\
                 \x20       $error(\"%m: row %0d of {depth} is read\", read_address);\n\
                 \x20   if ({valid} && {address} >= 16'd{depth})\n\
                 \x20       $error(\"%m: row %0d of {depth} is written\", {address});\n"
            );
        }
        if checks.is_empty() {
            return checks;
        }
        format!("`ifndef SYNTHESIS\nalways @(posedge clock) begin\n{checks}end\n`endif")
    }
}
