//! What is refused, what is allowed, and what the text looks like.
use super::lint::Problem;
use super::{describe, emit, EmitError, PortDirection};
use rust_hdl_core::prelude::*;
use rust_hdl_widgets::prelude::*;

/// A block with the inputs and locals the cases below use, one output `y`, and the given update function.
macro_rules! block {
    ($name:ident, $output:ty, $($update:tt)*) => {
        #[allow(dead_code)]
        #[derive(LogicBlock, Default)]
        struct $name {
            a: Signal<In, Bits<8>>,
            b: Signal<In, Bits<8>>,
            c: Signal<In, Bits<8>>,
            wide: Signal<In, Bits<16>>,
            p: Signal<In, Bit>,
            q: Signal<In, Bit>,
            r: Signal<In, Bit>,
            s: Signal<In, Signed<8>>,
            t: Signal<In, Signed<8>>,
            array: [Signal<In, Bits<8>>; 4],
            part: Signal<Local, Bits<8>>,
            y: Signal<Out, $output>,
        }

        impl Logic for $name {
            $($update)*
        }
    };
}

fn problems<B: Block + Default>() -> Vec<Problem> {
    match emit(&B::default(), "top", "") {
        Ok(_) => Vec::new(),
        Err(EmitError { findings }) => findings.into_iter().map(|finding| finding.problem).collect(),
    }
}

macro_rules! refused {
    ($($name:ident, $output:ty, $problem:pat, { $($update:tt)* })*) => {
        $(
            #[test]
            #[allow(non_camel_case_types)]
            fn $name() {
                block!($name, $output, $($update)*);
                let found = problems::<$name>();
                assert!(found.iter().any(|problem| matches!(problem, $problem)), "{found:?}");
            }
        )*
    };
}

/// A const generic or Rust const in an expression.
const LEAKED: u64 = 3;

refused! {
    nested_arithmetic, Bits<8>, Problem::NestedArithmetic(_), {
        #[hdl_gen]
        fn update(&mut self) { self.y.next = self.a.val() + self.b.val() + self.c.val(); }
    }
    arithmetic_in_comparison, Bit, Problem::ArithmeticCondition(_), {
        #[hdl_gen]
        fn update(&mut self) { self.y.next = (self.a.val() + 1) == self.b.val(); }
    }
    arithmetic_in_bitwise, Bits<8>, Problem::NestedArithmetic(_), {
        #[hdl_gen]
        fn update(&mut self) { self.y.next = (self.a.val() - self.b.val()) & self.c.val(); }
    }
    arithmetic_condition, Bits<8>, Problem::ArithmeticCondition(_), {
        #[hdl_gen]
        fn update(&mut self) {
            self.y.next = self.a.val();
            if (self.a.val() + self.b.val()) > self.c.val() {
                self.y.next = self.b.val();
            }
        }
    }
    cast_of_an_expression, Bits<16>, Problem::CastOfExpression(_), {
        #[hdl_gen]
        fn update(&mut self) { self.y.next = bit_cast::<16, 8>(self.a.val() + self.b.val()); }
    }
    cast_of_a_bitwise_expression, Bits<16>, Problem::CastOfExpression(_), {
        #[hdl_gen]
        fn update(&mut self) { self.y.next = bit_cast::<16, 8>(!self.a.val()); }
    }
    shift_of_an_expression, Bits<8>, Problem::ShiftOfExpression(_), {
        #[hdl_gen]
        fn update(&mut self) { self.y.next = (self.a.val() + 3) >> 1; }
    }
    slice_of_an_expression, Bits<4>, Problem::SliceOfExpression(_), {
        #[hdl_gen]
        fn update(&mut self) { self.y.next = (self.a.val() + self.b.val()).get_bits::<4>(2); }
    }
    bit_of_an_expression, Bit, Problem::SliceOfExpression(_), {
        #[hdl_gen]
        fn update(&mut self) { self.y.next = (self.a.val() ^ self.b.val()).get_bit(2); }
    }
    signed_comparison_with_a_number, Bit, Problem::SignedComparison(_), {
        #[hdl_gen]
        fn update(&mut self) { self.y.next = self.s.val() < 5.into(); }
    }
    leaked_constant, Bits<8>, Problem::UnknownName(_), {
        #[hdl_gen]
        fn update(&mut self) { self.y.next = self.a.val() + LEAKED; }
    }
    latch, Bits<8>, Problem::Latch(_), {
        #[hdl_gen]
        fn update(&mut self) {
            if self.p.val() {
                self.y.next = self.a.val();
            }
        }
    }
    latch_of_a_match, Bits<8>, Problem::Latch(_), {
        #[hdl_gen]
        fn update(&mut self) {
            match self.a.val().index() {
                0 => { self.y.next = self.b.val(); }
                1 => { self.y.next = self.c.val(); }
                _ => {}
            }
        }
    }
    latch_of_a_local, Bits<8>, Problem::Latch(_), {
        #[hdl_gen]
        fn update(&mut self) {
            self.y.next = self.part.val();
            if self.p.val() {
                self.part.next = self.a.val();
            } else if self.q.val() {
                self.part.next = self.b.val();
            }
        }
    }
    reads_its_own_old_value, Bits<8>, Problem::ReadBeforeAssignment(_), {
        #[hdl_gen]
        fn update(&mut self) {
            self.part.next = self.part.val() + 1;
            self.y.next = self.part.val();
        }
    }
    undriven_output, Bits<8>, Problem::UndrivenOutput(_), {
        #[hdl_gen]
        fn update(&mut self) { self.part.next = self.a.val(); }
    }
    undriven_local, Bits<8>, Problem::UndrivenLocal(_), {
        #[hdl_gen]
        fn update(&mut self) { self.y.next = self.part.val(); }
    }
    driven_input, Bits<8>, Problem::DrivesInput(_), {
        #[hdl_gen]
        fn update(&mut self) {
            self.y.next = self.a.val();
            self.a.next = self.b.val();
        }
    }
}

macro_rules! allowed {
    ($($name:ident, $output:ty, [$($text:expr),*], { $($update:tt)* })*) => {
        $(
            #[test]
            #[allow(non_camel_case_types)]
            fn $name() {
                block!($name, $output, $($update)*);
                let text = emit(&$name::default(), "top", "").map(|file| file.text).unwrap_or_else(|error| panic!("{error}"));
                for expected in [$($text),*] {
                    assert!(text.contains(expected), "no `{expected}` in\n{text}");
                }
            }
        )*
    };
}

allowed! {
    one_operator, Bits<8>, ["assign y = a + 8'd1;"], {
        #[hdl_gen]
        fn update(&mut self) { self.y.next = self.a.val() + 1; }
    }
    bits_nest, Bit, ["assign y = (p & !q) | (r ^ (a == b)) | (|c);"], {
        #[hdl_gen]
        fn update(&mut self) {
            self.y.next = self.p.val() & !self.q.val() | (self.r.val() ^ (self.a.val() == self.b.val())) | self.c.val().any();
        }
    }
    comparison_binds_as_in_rust, Bits<8>, ["if ((a & b) == c)"], {
        #[hdl_gen]
        fn update(&mut self) {
            self.y.next = 0.into();
            if (self.a.val() & self.b.val()) == self.c.val() {
                self.y.next = self.a.val();
            }
        }
    }
    shift_or_concatenates, Bits<16>, ["assign y = ({8'd0, a} << 8) | {8'd0, b};"], {
        #[hdl_gen]
        fn update(&mut self) {
            self.y.next = bit_cast::<16, 8>(self.a.val()) << 8 | bit_cast::<16, 8>(self.b.val());
        }
    }
    casts_and_slices, Bits<8>, ["assign part = wide[7:0];", "assign y = wide[11:4] ^ part;"], {
        #[hdl_gen]
        fn update(&mut self) {
            self.part.next = bit_cast::<8, 16>(self.wide.val());
            self.y.next = self.wide.val().get_bits::<8>(4) ^ self.part.val();
        }
    }
    numbers_have_their_width, Bits<16>, ["assign y = 16'd300;"], {
        #[hdl_gen]
        fn update(&mut self) { self.y.next = 300.into(); }
    }
    a_constant_drives, Bits<8>, ["assign y = 8'd7;"], {
        #[hdl_gen]
        fn update(&mut self) { self.y.next = bits::<8>(7); }
    }
    loops_decide_at_generation, Bits<8>, ["part = array_0;", "part = part ^ array_3;"], {
        #[hdl_gen]
        fn update(&mut self) {
            for i in 0..4 {
                if i == 0 {
                    self.part.next = self.array[i].val();
                } else {
                    self.part.next = self.part.val() ^ self.array[i].val();
                }
            }
            self.y.next = self.part.val();
        }
    }
    signed_comparison_of_signals, Bit, ["assign y = s < t;", "input wire signed [7:0] s"], {
        #[hdl_gen]
        fn update(&mut self) { self.y.next = self.s.val() < self.t.val(); }
    }
}

#[derive(LogicBlock, Default)]
struct Half {
    clock: Signal<In, Clock>,
    value: Signal<In, Bits<8>>,
    half: Signal<Out, Bits<8>>,
    held: DFF<Bits<8>>,
}

impl Logic for Half {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, held);
        self.held.d.next = self.value.val() >> 1;
        self.half.next = self.held.q.val();
    }
    fn timing(&self) -> Vec<TimingInfo> {
        describe("half", "Half of a value.\nOne cycle later.")
    }
}

#[derive(LogicBlock)]
struct Tree {
    clock: Signal<In, Clock>,
    values: Vec<Signal<In, Bits<8>>>,
    halves: Vec<Signal<Out, Bits<8>>>,
    each: Vec<Half>,
    _count: usize,
}

impl Tree {
    fn new(count: usize) -> Self {
        Self {
            clock: Signal::default(),
            values: (0..count).map(|_| Signal::default()).collect(),
            halves: (0..count).map(|_| Signal::default()).collect(),
            each: (0..count).map(|_| Half::default()).collect(),
            _count: count,
        }
    }
}

impl Logic for Tree {
    #[hdl_gen]
    fn update(&mut self) {
        for i in 0..self._count {
            self.each[i].clock.next = self.clock.val();
            self.each[i].value.next = self.values[i].val();
            self.halves[i].next = self.each[i].half.val();
        }
    }
}

const TREE: &str = "\
// A test.
// Two lines.
/* verilator lint_off DECLFILENAME */

module tree (
    input wire clock,
    input wire [7:0] values_0, values_1,
    output wire [7:0] halves_0, halves_1
);
    half each_0 (.clock(clock), .value(values_0), .half(halves_0));
    half each_1 (.clock(clock), .value(values_1), .half(halves_1));
endmodule

// Half of a value.
// One cycle later.
module half (
    input wire clock,
    input wire [7:0] value,
    output wire [7:0] half
);
    reg [7:0] held;
    assign half = held;
    initial held = 8'd0;
    always @(posedge clock) begin
        held <= value >> 1;
    end
endmodule
";

#[test]
fn the_whole_text_of_a_small_design() {
    let file = emit(&Tree::new(2), "tree", "A test.\nTwo lines.").unwrap();
    assert_eq!(file.text, TREE);
    assert_eq!(file, emit(&Tree::new(2), "tree", "A test.\nTwo lines.").unwrap());
}

#[test]
fn the_ports_of_the_top() {
    let file = emit(&Tree::new(2), "tree", "").unwrap();
    let ports: Vec<_> = file
        .top()
        .ports
        .iter()
        .map(|port| (port.name.as_str(), port.original_name.as_str(), port.width))
        .collect();
    let expected = [
        ("clock", "clock", 1),
        ("values_0", "values$0", 8),
        ("values_1", "values$1", 8),
        ("halves_0", "halves$0", 8),
        ("halves_1", "halves$1", 8),
    ];
    assert_eq!(ports, expected);
    assert_eq!(file.top().ports[3].direction, PortDirection::Output);
    assert_eq!(file.modules.iter().map(|module| module.name.as_str()).collect::<Vec<_>>(), ["tree", "half"]);
}

#[test]
fn a_large_design_is_written_quickly() {
    let start = std::time::Instant::now();
    let file = emit(&Tree::new(1024), "tree", "").unwrap();
    assert_eq!(file.modules.len(), 2);
    assert!(start.elapsed().as_secs() < 5, "{:?}", start.elapsed());
}

/// Same name, different contents.
#[derive(LogicBlock)]
struct Add {
    value: Signal<In, Bits<8>>,
    sum: Signal<Out, Bits<8>>,
    addend: Constant<Bits<8>>,
}

impl Add {
    fn new(addend: u64) -> Self {
        Self { value: Signal::default(), sum: Signal::default(), addend: Constant::new(addend.into()) }
    }
}

impl Logic for Add {
    #[hdl_gen]
    fn update(&mut self) {
        self.sum.next = self.value.val() + self.addend.val();
    }
    fn timing(&self) -> Vec<TimingInfo> {
        describe("add", "")
    }
}

#[derive(LogicBlock)]
struct Chain {
    value: Signal<In, Bits<8>>,
    sum: Signal<Out, Bits<8>>,
    first: Add,
    second: Add,
    third: Add,
}

impl Logic for Chain {
    #[hdl_gen]
    fn update(&mut self) {
        self.first.value.next = self.value.val();
        self.second.value.next = self.first.sum.val();
        self.third.value.next = self.second.sum.val();
        self.sum.next = self.third.sum.val();
    }
}

#[test]
fn equal_names_with_different_contents_get_a_number() {
    let chain = Chain {
        value: Signal::default(),
        sum: Signal::default(),
        first: Add::new(1),
        second: Add::new(2),
        third: Add::new(1),
    };
    let file = emit(&chain, "chain", "").unwrap();
    assert_eq!(
        file.modules.iter().map(|module| module.name.as_str()).collect::<Vec<_>>(),
        ["chain", "add", "add_2"]
    );
    assert!(file.text.contains("add third ("));
    assert!(file.text.contains("localparam [7:0] addend = 8'd2;"));
}

#[derive(LogicBlock, Default)]
struct Parent {
    value: Signal<In, Bits<8>>,
    half: Signal<Out, Bits<8>>,
    child: Half,
}

impl Logic for Parent {
    #[hdl_gen]
    fn update(&mut self) {
        self.child.value.next = self.value.val();
        self.half.next = self.child.half.val();
    }
}

#[test]
fn an_undriven_child_input_is_named_with_its_path() {
    let error = emit(&Parent::default(), "parent", "").unwrap_err();
    assert_eq!(error.findings.len(), 1);
    assert_eq!(error.findings[0].path, "parent");
    assert_eq!(error.findings[0].problem, Problem::UndrivenChildInput("child$clock".into()));
    assert!(error.to_string().contains("parent: the input `child$clock` of a child is never driven"));
}

/// A leaf around a primitive, with the primitive's description.
#[derive(LogicBlock)]
struct Invert {
    bits: Vec<Signal<In, Bit>>,
    local: Signal<Out, Bit>,
    held: Signal<Out, Bit>,
}

impl Logic for Invert {
    fn update(&mut self) {}
    fn connect(&mut self) {
        self.local.connect();
        self.held.connect();
    }
    fn hdl(&self) -> Verilog {
        Verilog::Wrapper(Wrapper {
            code: "INVERTER inverter (.A(bits$0), .Z(local));\nalways @(*) held = bits$1 & local;".into(),
            cores: "module INVERTER (input wire A, output wire Z);\n    assign Z = !A;\nendmodule".into(),
        })
    }
}

#[test]
fn a_leaf_keeps_its_text_under_new_names() {
    let bits = (0..2).map(|_| Signal::default()).collect();
    let leaf = Invert { bits, local: Signal::default(), held: Signal::default() };
    let text = emit(&leaf, "invert", "").unwrap().text;
    for expected in [
        "input wire bits_0, bits_1",
        "output wire local_,",
        "output reg held\n",
        "INVERTER inverter (.A(bits_0), .Z(local_));",
        "always @(*) held = bits_1 & local_;",
        "endmodule\n\nmodule INVERTER (input wire A, output wire Z);",
    ] {
        assert!(text.contains(expected), "no `{expected}` in\n{text}");
    }
}

#[derive(Copy, Clone, Debug, PartialEq, LogicState)]
enum Light {
    Red,
    Green,
}

#[derive(Copy, Clone, Debug, PartialEq, LogicState)]
enum Door {
    Open,
    Shut,
}

/// Registers of two enumerations, which are the same Verilog.
#[derive(LogicBlock, Default)]
struct Crossing {
    clock: Signal<In, Clock>,
    train: Signal<In, Bit>,
    passes: Signal<Out, Bit>,
    light: DFF<Light>,
    door: DFF<Door>,
}

impl Logic for Crossing {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, light, door);
        self.light.d.next = Light::Green;
        self.door.d.next = Door::Open;
        if self.train.val() {
            self.light.d.next = Light::Red;
            self.door.d.next = Door::Shut;
        }
        self.passes.next = (self.light.q.val() == Light::Green) & (self.door.q.val() == Door::Open);
    }
}

#[test]
fn enumerations_of_registers_that_share_a_module_are_known() {
    let found = problems::<Crossing>();
    assert!(found.is_empty(), "{found:?}");
}

/// A pin that is driven while `enable`.
#[derive(LogicBlock, Default)]
struct Pad {
    enable: Signal<In, Bit>,
    pin: Signal<InOut, Bits<2>>,
}

impl Logic for Pad {
    fn update(&mut self) {}
    fn hdl(&self) -> Verilog {
        Verilog::Custom("assign pin = enable ? 2'd1 : 2'bz;".into())
    }
}

#[derive(LogicBlock, Default)]
struct PadUser {
    enable: Signal<In, Bit>,
    pin: Signal<InOut, Bits<2>>,
    pad: Pad,
}

impl Logic for PadUser {
    #[hdl_gen]
    fn update(&mut self) {
        self.pad.enable.next = self.enable.val();
        Signal::<InOut, Bits<2>>::link(&mut self.pin, &mut self.pad.pin);
    }
}

#[test]
fn inout_ports_are_one_net_down_to_the_leaf() {
    let file = emit(&PadUser::default(), "pad_user", "").unwrap();
    assert_eq!(file.top().ports[1].direction, PortDirection::InOut);
    assert_eq!(file.text.matches("inout wire [1:0] pin").count(), 2, "{}", file.text);
    assert!(file.text.contains(".pin(pin)"), "{}", file.text);
    assert!(!file.text.contains("assign pin = pad"), "{}", file.text);
}

/// Two children on one pin: one of them would be left out.
#[derive(LogicBlock, Default)]
struct TwoPads {
    enable: Signal<In, Bit>,
    pin: Signal<InOut, Bits<2>>,
    first: Pad,
    second: Pad,
}

impl Logic for TwoPads {
    #[hdl_gen]
    fn update(&mut self) {
        self.first.enable.next = self.enable.val();
        self.second.enable.next = self.enable.val();
        Signal::<InOut, Bits<2>>::link(&mut self.pin, &mut self.first.pin);
        Signal::<InOut, Bits<2>>::link(&mut self.pin, &mut self.second.pin);
    }
}

#[test]
fn an_inout_port_of_a_child_that_is_not_linked_is_reported() {
    let error = emit(&TwoPads::default(), "two_pads", "").unwrap_err();
    assert!(error.to_string().contains("inout port"), "{error}");
}
