//! Signed arithmetic of the MAC array: products, adder-tree nodes, running totals, sign extension.
use super::ecp5::{self, Registers, Term};
use super::gowin::{self, Multiplier};
use super::prelude::*;
use super::sign_extend;

/// Product of two signed 16 bit values; registers at the inputs and at the output, as DSP blocks have them.
#[derive(LogicBlock, Default)]
pub struct SignedProduct {
    pub clock: Signal<In, Clock>,
    pub a: Signal<In, Bits<16>>,
    pub b: Signal<In, Bits<16>>,
    pub product: Signal<Out, Bits<32>>,
    _operands: (i16, i16),
    _middle: i32,
    _in_logic: bool,
}

impl SignedProduct {
    pub const LATENCY_CYCLES: u32 = 3;

    /// `in_logic` where the chip's multipliers have other work.
    pub fn new(in_logic: bool) -> Self {
        Self {
            clock: Signal::default(),
            a: Signal::default(),
            b: Signal::default(),
            product: Signal::default(),
            _operands: (0, 0),
            _middle: 0,
            _in_logic: in_logic,
        }
    }

    /// The middle registers hold sums of four rows each.
    fn rows_and_sum() -> String {
        let operand = |wire: &str| Term { wire: wire.into(), bits: 16 };
        let (rows, groups) = ecp5::product_rows("rows", &operand("a_operand"), &operand("b_operand"), true);
        let mut text = rows;
        let mut held = Vec::new();
        let mut updates = String::new();
        for (number, group) in groups.iter().enumerate() {
            let wire = format!("middle_{number}");
            text += &format!("reg [{}:0] {wire};\n", group.bits - 1);
            updates += &format!("    {wire} <= {};\n", group.wire);
            held.push(Term { wire, bits: group.bits });
        }
        let (sum, total) = ecp5::spaced_sum("sum", &held, ecp5::GROUP_ROWS);
        format!(
            "{text}{sum}always @(posedge clock) begin\n{updates}    product <= {}[31:0];\nend",
            total.wire
        )
    }
}

impl Logic for SignedProduct {
    fn update(&mut self) {
        if self.clock.pos_edge() {
            self.product.next = u64::from(self._middle as u32).into();
            self._middle = i32::from(self._operands.0) * i32::from(self._operands.1);
            self._operands = (self.a.val().to_u16() as i16, self.b.val().to_u16() as i16);
        }
    }
    fn connect(&mut self) {
        self.product.connect();
    }
    fn hdl(&self) -> Verilog {
        let operands = "reg signed [15:0] a_operand;\n\
                        reg signed [15:0] b_operand;\n\
                        always @(posedge clock) begin\n\
                        \x20   a_operand <= a;\n\
                        \x20   b_operand <= b;\n\
                        end\n";
        let portable = format!(
            "{operands}reg signed [31:0] middle;\n\
             always @(posedge clock) begin\n\
             \x20   middle <= a_operand * b_operand;\n\
             \x20   product <= middle;\n\
             end"
        );
        let ecp5 = if self._in_logic {
            format!("{operands}{}", SignedProduct::rows_and_sum())
        } else {
            let operand =
                |port: &str| format!("wire [17:0] {port}_operand = {{{{2{{{port}[15]}}}}, {port}}};\n");
            let names = ("a_operand", "b_operand");
            format!(
                "{}{}wire [35:0] wide;\n{}\nalways @(*) product = wide[31:0];",
                operand("a"),
                operand("b"),
                ecp5::multiplier("multiplier", names, "wide", Registers::All, "1'b0")
            )
        };
        // Of these chips' resources, multipliers are not the scarce one.
        let operand = |port: &str| format!("wire [17:0] {port}_operand = {{{{2{{{port}[15]}}}}, {port}}};\n");
        let names = ("a_operand", "b_operand");
        let gowin = format!(
            "{}{}wire [35:0] wide;\n{}\nalways @(*) product = wide[31:0];",
            operand("a"),
            operand("b"),
            gowin::multiplier(Multiplier::Eighteen, "multiplier", names, "wide", (true, true))
        );
        Verilog::Custom(ecp5::choose_family(&[(ecp5::MACRO, &ecp5), (gowin::MACRO, &gowin)], &portable))
    }
    fn timing(&self) -> Vec<TimingInfo> {
        let (name, what) = if self._in_logic {
            ("signed_product_in_logic", "Signed 16 x 16 bit product built from LUTs; registers at the inputs, in the middle and at the output.")
        } else {
            (
                "signed_product",
                "Signed 16 x 16 bit product; registers at the inputs, in the middle and at the output.",
            )
        };
        describe(name, what)
    }
}

/// One node of an adder tree: the low `width` bits of both inputs are signed; the registered sum has one bit more and
/// leaves sign-extended to 32 bits. At `width` 32 the sum wraps.
#[derive(LogicBlock)]
pub struct PairSum {
    pub clock: Signal<In, Clock>,
    pub a: Signal<In, Bits<32>>,
    pub b: Signal<In, Bits<32>>,
    pub sum: Signal<Out, Bits<32>>,
    _width: usize,
}

impl PairSum {
    pub const LATENCY_CYCLES: u32 = 1;

    /// # Panics
    /// If `width` is not in 1..=32.
    pub fn new(width: usize) -> Self {
        assert!((1..=32).contains(&width), "a pair sum adds 1 to 32 bit values, not {width} bit ones");
        Self {
            clock: Signal::default(),
            a: Signal::default(),
            b: Signal::default(),
            sum: Signal::default(),
            _width: width,
        }
    }
}

impl Logic for PairSum {
    fn update(&mut self) {
        if self.clock.pos_edge() {
            let a = sign_extend(self.a.val().to_u32(), self._width);
            let b = sign_extend(self.b.val().to_u32(), self._width);
            self.sum.next = u64::from(a.wrapping_add(b) as u32).into();
        }
    }
    fn connect(&mut self) {
        self.sum.connect();
    }
    fn hdl(&self) -> Verilog {
        let width = self._width;
        if width >= 31 {
            let top = width - 1;
            return Verilog::Custom(format!(
                "always @(posedge clock) sum <= $signed(a[{top}:0]) + $signed(b[{top}:0]);"
            ));
        }
        Verilog::Custom(format!(
            "reg signed [{width}:0] total;\n\
             always @(posedge clock) total <= $signed(a[{top}:0]) + $signed(b[{top}:0]);\n\
             assign sum = {{{{{extension}{{total[{width}]}}}}, total}};",
            top = width - 1,
            extension = 31 - width,
        ))
    }
    fn timing(&self) -> Vec<TimingInfo> {
        describe(
            &format!("pair_sum_{}", self._width),
            &format!("Registered sum of two signed {} bit values, sign-extended to 32 bits.", self._width),
        )
    }
}

/// A running total: when `enable`, `total <= first ? addend : total + addend`, wrapping at 32 bits.
#[derive(LogicBlock, Default)]
pub struct Accumulate {
    pub clock: Signal<In, Clock>,
    /// Take this cycle's addend.
    pub enable: Signal<In, Bit>,
    /// Start a new total instead of adding to the old one.
    pub first: Signal<In, Bit>,
    pub addend: Signal<In, Bits<32>>,
    pub total: Signal<Out, Bits<32>>,
}

impl Accumulate {
    pub const LATENCY_CYCLES: u32 = 1;
}

impl Logic for Accumulate {
    fn update(&mut self) {
        if self.clock.pos_edge() && self.enable.val() {
            let addend = self.addend.val().to_u32();
            let total = if self.first.val() { 0 } else { self.total.val().to_u32() };
            self.total.next = u64::from(total.wrapping_add(addend)).into();
        }
    }
    fn connect(&mut self) {
        self.total.connect();
    }
    fn hdl(&self) -> Verilog {
        Verilog::Custom(ecp5::choose(
            &ecp5::accumulator(|_| "1'b0".into()),
            "wire [31:0] previous = first ? 32'd0 : total;\n\
             always @(posedge clock) if (enable) total <= previous + addend;",
        ))
    }
    fn timing(&self) -> Vec<TimingInfo> {
        describe("accumulate", "A running 32 bit total: `first` starts a new one, `enable` takes the addend.")
    }
}

/// A running total of two things that take turns: as [`Accumulate`], of `addend | other`, one of which is 0.
#[derive(LogicBlock, Default)]
pub struct AccumulateEither {
    pub clock: Signal<In, Clock>,
    /// Take this cycle's addend.
    pub enable: Signal<In, Bit>,
    /// Start a new total instead of adding to the old one.
    pub first: Signal<In, Bit>,
    pub addend: Signal<In, Bits<32>>,
    pub other: Signal<In, Bits<32>>,
    pub total: Signal<Out, Bits<32>>,
}

impl Logic for AccumulateEither {
    fn update(&mut self) {
        if self.clock.pos_edge() && self.enable.val() {
            let addend = self.addend.val().to_u32() | self.other.val().to_u32();
            let total = if self.first.val() { 0 } else { self.total.val().to_u32() };
            self.total.next = u64::from(total.wrapping_add(addend)).into();
        }
    }
    fn connect(&mut self) {
        self.total.connect();
    }
    fn hdl(&self) -> Verilog {
        Verilog::Custom(ecp5::choose(
            &ecp5::accumulator(|bit| format!("other[{bit}]")),
            "wire [31:0] previous = first ? 32'd0 : total;\n\
             always @(posedge clock) if (enable) total <= previous + (addend | other);",
        ))
    }
    fn timing(&self) -> Vec<TimingInfo> {
        describe(
            "accumulate_either",
            "A running 32 bit total of two addends, one of which is 0: `first` starts a new one, `enable` takes them.",
        )
    }
}

/// `extended` is `value`, signed, in 32 bits.
#[derive(LogicBlock, Default)]
pub struct SignExtend8 {
    pub value: Signal<In, Bits<8>>,
    pub extended: Signal<Out, Bits<32>>,
}

impl Logic for SignExtend8 {
    fn update(&mut self) {
        let value = sign_extend(self.value.val().to_u32(), 8);
        self.extended.next = u64::from(value as u32).into();
    }
    fn connect(&mut self) {
        self.extended.connect();
    }
    fn hdl(&self) -> Verilog {
        Verilog::Custom("assign extended = {{24{value[7]}}, value};".into())
    }
    fn timing(&self) -> Vec<TimingInfo> {
        describe("sign_extend_8_to_32", "Sign extension from 8 to 32 bits.")
    }
}

/// `extended` is `value`, signed, in 32 bits.
#[derive(LogicBlock, Default)]
pub struct SignExtend16to32 {
    pub value: Signal<In, Bits<16>>,
    pub extended: Signal<Out, Bits<32>>,
}

impl Logic for SignExtend16to32 {
    fn update(&mut self) {
        let value = sign_extend(self.value.val().to_u32(), 16);
        self.extended.next = u64::from(value as u32).into();
    }
    fn connect(&mut self) {
        self.extended.connect();
    }
    fn hdl(&self) -> Verilog {
        Verilog::Custom("assign extended = {{16{value[15]}}, value};".into())
    }
    fn timing(&self) -> Vec<TimingInfo> {
        describe("sign_extend_16_to_32", "Sign extension from 16 to 32 bits.")
    }
}
