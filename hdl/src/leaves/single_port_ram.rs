//! On-chip memory with one port for reads and writes.
use super::prelude::*;
use super::{ecp5, ice40};

/// A RAM of `depth` rows of a 32-bit word with one port, as large memories of small chips have it.
///
/// * Read: with `enable` and no bit of `write` set, the row at `address` appears on `read_data` after the clock edge and stays until the next access.
/// * Write: with `enable`, byte b is written where bit b of `write` is set. What was read before is gone (the simulation makes it zero).
///
/// Rows beyond the last one must not be read or written; the simulation reports it. Contents start at zero in simulation, and where block RAM holds them;
/// the single-port RAM of an iCE40 UltraPlus wakes up with anything in it.
#[derive(LogicBlock)]
pub struct SinglePortRam {
    pub clock: Signal<In, Clock>,
    pub enable: Signal<In, Bit>,
    pub write: Signal<In, Bits<4>>,
    pub address: Signal<In, Bits<16>>,
    pub write_data: Signal<In, Bits<32>>,
    pub read_data: Signal<Out, Bits<32>>,
    _depth: usize,
    _contents: Vec<u32>,
}

impl SinglePortRam {
    pub const LATENCY_CYCLES: u32 = 1;

    /// Rows of the largest one: those of the single-port RAM of a chip.
    pub const MAXIMUM_DEPTH: usize = ice40::SPRAM_ROWS;

    /// # Panics
    /// If `depth` is not in 1..=[`SinglePortRam::MAXIMUM_DEPTH`].
    pub fn new(depth: usize) -> Self {
        assert!((1..=Self::MAXIMUM_DEPTH).contains(&depth), "{depth} rows");
        Self {
            clock: Signal::default(),
            enable: Signal::default(),
            write: Signal::default(),
            address: Signal::default(),
            write_data: Signal::default(),
            read_data: Signal::default(),
            _depth: depth,
            _contents: vec![0; depth],
        }
    }

    fn portable(&self) -> String {
        let depth = self._depth;
        let top = clog2(depth).max(1) - 1;
        format!(
            "(* no_rw_check *) reg [31:0] rows [0:{last}];\n\
             reg [31:0] row;\n\
             wire [{top}:0] index = address[{top}:0];\n\
             assign read_data = row;\n\
             integer each;\n\
             initial for (each = 0; each < {depth}; each = each + 1) rows[each] = 0;\n\
             /* verilator lint_off BLKSEQ */\n\
             always @(posedge clock) if (enable) begin\n\
             \x20   if (write == 4'd0) row <= rows[index];\n\
             `ifndef SYNTHESIS\n\
             \x20   else row <= 32'd0;\n\
             \x20   if (address >= 16'd{depth}) $error(\"%m: row %0d of {depth}\", address);\n\
             `endif\n\
             \x20   if (write[0]) rows[index][7:0] = write_data[7:0];\n\
             \x20   if (write[1]) rows[index][15:8] = write_data[15:8];\n\
             \x20   if (write[2]) rows[index][23:16] = write_data[23:16];\n\
             \x20   if (write[3]) rows[index][31:24] = write_data[31:24];\n\
             end\n\
             /* verilator lint_on BLKSEQ */",
            last = depth - 1,
        )
    }

    fn cells() -> String {
        let mut text = String::from("wire [13:0] row = address[13:0];\nwire writes = write != 4'd0;\n");
        for (number, name) in ["low", "high"].into_iter().enumerate() {
            let (low, high) = (2 * number, 2 * number + 1);
            let range = format!("[{}:{}]", 16 * number + 15, 16 * number);
            text += &format!("wire [3:0] mask_{name} = {{{{2{{write[{high}]}}}}, {{2{{write[{low}]}}}}}};\n");
            text += &ice40::spram(
                name,
                ("enable", "writes"),
                &format!("mask_{name}"),
                (&format!("write_data{range}"), &format!("read_data{range}")),
            );
        }
        text
    }
}

impl Logic for SinglePortRam {
    fn update(&mut self) {
        if !self.clock.pos_edge() || !self.enable.val() {
            return;
        }
        let (row, write) = (self.address.val().index(), self.write.val().to_u8());
        let Some(word) = self._contents.get_mut(row) else { return };
        if write == 0 {
            self.read_data.next = u64::from(*word).into();
            return;
        }
        let mask =
            (0..4).filter(|byte| write >> byte & 1 == 1).fold(0, |mask, byte| mask | 0xff << (8 * byte));
        *word = *word & !mask | self.write_data.val().to_u32() & mask;
        self.read_data.next = 0_u64.into();
    }
    fn connect(&mut self) {
        self.read_data.connect();
    }
    fn hdl(&self) -> Verilog {
        Verilog::Custom(ecp5::choose_family(&[(ice40::MACRO, &Self::cells())], &self.portable()))
    }
    fn timing(&self) -> Vec<TimingInfo> {
        describe(
            &format!("single_port_ram_{}", self._depth),
            &format!("{} words with one port for reads and writes, with byte enables.", self._depth),
        )
    }
}
