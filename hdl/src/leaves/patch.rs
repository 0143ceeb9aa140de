//! What an `adjust` command computes: the number that a patch adds, and the word that it is added to.
use super::prelude::*;

/// `amount = ((scalar + add) >> shift, its low keep bits) * multiplier`, modulo 2^32; `keep` 0 or above 18 stands for 18.
/// The scalar comes one cycle after the rest; the amount comes [`PatchAmount::LATENCY_CYCLES`] after it.
#[derive(LogicBlock, Default)]
pub struct PatchAmount {
    pub clock: Signal<In, Clock>,
    /// Signed.
    pub add: Signal<In, Bits<16>>,
    pub multiplier: Signal<In, Bits<16>>,
    pub shift: Signal<In, Bits<5>>,
    pub keep: Signal<In, Bits<5>>,
    /// One cycle later.
    pub scalar: Signal<In, Bits<32>>,
    pub amount: Signal<Out, Bits<32>>,
    _fields: (i16, u16, u32, u32),
    _sum: (u32, u16, u32, u32),
    _kept: (u32, u16),
}

impl PatchAmount {
    pub const LATENCY_CYCLES: u32 = 4;
}

impl Logic for PatchAmount {
    fn update(&mut self) {
        if !self.clock.pos_edge() {
            return;
        }
        let (kept, factor) = self._kept;
        self.amount.next = u64::from(kept.wrapping_mul(u32::from(factor))).into();
        let (sum, factor, shift, keep) = self._sum;
        let keep = if keep == 0 || keep > 18 { 18 } else { keep };
        self._kept = (sum >> shift & ((1 << keep) - 1), factor);
        let (add, factor, shift, keep) = self._fields;
        self._sum = (self.scalar.val().to_u32().wrapping_add(add as u32), factor, shift, keep);
        self._fields = (
            self.add.val().to_u16() as i16,
            self.multiplier.val().to_u16(),
            self.shift.val().to_u32(),
            self.keep.val().to_u32(),
        );
    }
    fn connect(&mut self) {
        self.amount.connect();
    }
    fn hdl(&self) -> Verilog {
        Verilog::Custom(
            "reg [15:0] add_1, factor_1, factor_2, factor_3;\n\
             reg [4:0] shift_1, shift_2, keep_1, keep_2;\n\
             reg [31:0] sum;\n\
             reg [17:0] kept;\n\
             wire [17:0] mask = keep_2 == 5'd0 || keep_2 > 5'd18 ? 18'h3ffff : ~(18'h3ffff << keep_2);\n\
             wire [31:0] shifted = sum >> shift_2;\n\
             wire [31:0] wide_factor = {16'd0, factor_3};\n\
             wire [31:0] wide_kept = {14'd0, kept};\n\
             always @(posedge clock) begin\n\
             \x20   add_1 <= add;\n\
             \x20   factor_1 <= multiplier;\n\
             \x20   shift_1 <= shift;\n\
             \x20   keep_1 <= keep;\n\
             \x20   sum <= scalar + {{16{add_1[15]}}, add_1};\n\
             \x20   factor_2 <= factor_1;\n\
             \x20   shift_2 <= shift_1;\n\
             \x20   keep_2 <= keep_1;\n\
             \x20   kept <= shifted[17:0] & mask;\n\
             \x20   factor_3 <= factor_2;\n\
             \x20   amount <= wide_kept * wide_factor;\n\
             end"
            .into(),
        )
    }
    fn timing(&self) -> Vec<TimingInfo> {
        describe(
            "patch_amount",
            "The number that a patch of an adjust command adds; the scalar comes a cycle after the fields.",
        )
    }
}

/// `amount` added to a part of `word`: 1 its low half, 2 its high half, 3 all of it; nothing carries from half to half in 1 and 2.
#[derive(LogicBlock, Default)]
pub struct PatchWord {
    pub word: Signal<In, Bits<32>>,
    pub amount: Signal<In, Bits<32>>,
    pub part: Signal<In, Bits<2>>,
    pub patched: Signal<Out, Bits<32>>,
}

impl Logic for PatchWord {
    fn update(&mut self) {
        let (word, amount) = (self.word.val().to_u32(), self.amount.val().to_u32());
        let patched = match self.part.val().to_u8() {
            1 => word & 0xffff_0000 | word.wrapping_add(amount) & 0xffff,
            2 => word.wrapping_add(amount << 16),
            3 => word.wrapping_add(amount),
            _ => word,
        };
        self.patched.next = u64::from(patched).into();
    }
    fn connect(&mut self) {
        self.patched.connect();
    }
    fn hdl(&self) -> Verilog {
        Verilog::Custom(
            "wire [15:0] low = word[15:0] + amount[15:0];\n\
             wire [15:0] high = word[31:16] + amount[15:0];\n\
             wire [31:0] whole = word + amount;\n\
             assign patched = part == 2'd1 ? {word[31:16], low} : part == 2'd2 ? {high, word[15:0]} : part == 2'd3 ? whole : word;"
                .into(),
        )
    }
    fn timing(&self) -> Vec<TimingInfo> {
        describe("patch_word", "Adds a number to the low half, the high half or all of a word.")
    }
}
