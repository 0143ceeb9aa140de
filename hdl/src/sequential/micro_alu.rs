//! What an instruction makes of the accumulator.

use super::microcode::operation::*;
use crate::emit::describe;
use rust_hdl_core::prelude::*;

/// The accumulator after an instruction that changes it, and what its jumps go by; no registers. Instructions are described in [`super::microcode`].
/// A shift goes by one bit, and a multiplication takes one bit of `factor`: they are repeated.
#[derive(LogicBlock, Default)]
pub struct MicroAlu {
    pub operation: Signal<In, Bits<5>>,
    pub operand: Signal<In, Bits<11>>,
    pub accumulator: Signal<In, Bits<32>>,
    /// The register that the instruction names.
    pub value: Signal<In, Bits<32>>,
    pub factor: Signal<In, Bits<32>>,
    /// What `get` reads.
    pub got: Signal<In, Bits<32>>,
    pub memory: Signal<In, Bits<32>>,
    /// Which byte of it.
    pub memory_byte: Signal<In, Bits<2>>,
    pub bus: Signal<In, Bits<32>>,
    /// The last bit that was shifted out; whether one before was set.
    pub guard: Signal<In, Bit>,
    pub sticky: Signal<In, Bit>,
    pub single: Signal<In, Bit>,
    pub result: Signal<Out, Bits<32>>,
    /// Of a multiplication: the bit of the product below the result.
    pub low: Signal<Out, Bit>,
    pub zero: Signal<Out, Bit>,
    /// The accumulator is less than the register: signed, unsigned. For `sub`.
    pub less: Signal<Out, Bit>,
    pub carry: Signal<Out, Bit>,
}

impl Logic for MicroAlu {
    fn update(&mut self) {
        let operation = self.operation.val().to_u16();
        let operand = self.operand.val().to_u32();
        let (a, register) = (self.accumulator.val().to_u32(), self.value.val().to_u32());
        let (factor, memory) = (self.factor.val().to_u32(), self.memory.val().to_u32());
        let single = self.single.val();
        let number = ((operand << 21) as i32 >> 21) as u32;
        let product = i64::from(a as i32) + if factor & 1 == 1 { i64::from(register as i32) } else { 0 };
        let byte = (register >> (8 * (operand >> 8 & 3))) as u8;
        let high = a << 1 | factor >> 31;
        let up = self.guard.val() && (single || a as i32 >= 0 || self.sticky.val());
        let result = match operation {
            LOAD => register,
            LOAD_LOW => register & 0xffff,
            LOAD_HIGH => register >> 16,
            LOAD_BYTE if operand >> 10 == 1 => byte as i8 as u32,
            LOAD_BYTE => u32::from(byte),
            LOAD_NUMBER => number,
            LOAD_MULTIPLE => operand << 5,
            ADD => a.wrapping_add(register),
            SUBTRACT => a.wrapping_sub(register),
            AND_NUMBER => a & operand,
            ADD_NUMBER => a.wrapping_add(number),
            GET => self.got.val().to_u32(),
            HIGH => high.wrapping_add(u32::from(factor >> 30 & 1 == 1 && !single)),
            ROUND => a.wrapping_add(u32::from(up)),
            BUS => self.bus.val().to_u32(),
            MEMORY_LOAD => memory,
            BYTE_LOAD => (memory >> (8 * self.memory_byte.val().to_u32())) as i8 as u32,
            SHIFT_LEFT => a << 1,
            SHIFT_RIGHT => (a as i32 >> 1) as u32,
            MULTIPLY => (product >> 1) as u32,
            _ => a,
        };
        self.result.next = u64::from(result).into();
        self.low.next = operation == MULTIPLY && product & 1 == 1;
        self.zero.next = a == 0;
        self.less.next = operation == SUBTRACT && (a as i32) < register as i32;
        self.carry.next = operation == SUBTRACT && a < register;
    }
    fn connect(&mut self) {
        self.result.connect();
        self.low.connect();
        self.zero.connect();
        self.less.connect();
        self.carry.connect();
    }
    fn hdl(&self) -> Verilog {
        // One adder for sums, differences, roundings and products; its operands have a sign bit more.
        Verilog::Custom(format!(
            "wire [31:0] number = {{{{21{{operand[10]}}}}, operand}};\n\
             wire [15:0] register_half = operand[9] ? value[31:16] : value[15:0];\n\
             wire [7:0] register_byte = operand[8] ? register_half[15:8] : register_half[7:0];\n\
             wire [15:0] memory_half = memory_byte[1] ? memory[31:16] : memory[15:0];\n\
             wire [7:0] byte_loaded = memory_byte[0] ? memory_half[15:8] : memory_half[7:0];\n\
             wire multiplies = operation == 5'd{MULTIPLY};\n\
             wire subtracts = !multiplies && operation != 5'd{ADD};\n\
             wire takes_high = operation == 5'd{HIGH};\n\
             wire takes_register = operation == 5'd{SUBTRACT} || operation == 5'd{ADD} || (multiplies && factor[0]);\n\
             wire takes_number = operation == 5'd{ADD_NUMBER};\n\
             wire up = guard && (single || !accumulator[31] || sticky);\n\
             wire one = operation == 5'd{SUBTRACT} || (takes_high && factor[30] && !single) || (operation == 5'd{ROUND} && up);\n\
             wire [31:0] first = takes_high ? {{accumulator[30:0], factor[31]}} : accumulator;\n\
             wire [31:0] second = takes_register ? (subtracts ? ~value : value) : takes_number ? number : 32'd0;\n\
             wire [32:0] sum = {{first[31], first}} + {{second[31], second}} + {{32'd0, one}};\n\
             assign low = multiplies && sum[0];\n\
             assign zero = accumulator == 32'd0;\n\
             assign less = operation == 5'd{SUBTRACT} && sum[32];\n\
             assign carry = operation == 5'd{SUBTRACT} && (sum[32] ^ accumulator[31] ^ value[31]);\n\
             always @(*) case (operation)\n\
             \x20   5'd{LOAD}: result = value;\n\
             \x20   5'd{LOAD_LOW}: result = {{16'd0, value[15:0]}};\n\
             \x20   5'd{LOAD_HIGH}: result = {{16'd0, value[31:16]}};\n\
             \x20   5'd{LOAD_BYTE}: result = {{{{24{{operand[10] & register_byte[7]}}}}, register_byte}};\n\
             \x20   5'd{LOAD_NUMBER}: result = number;\n\
             \x20   5'd{LOAD_MULTIPLE}: result = {{16'd0, operand, 5'd0}};\n\
             \x20   5'd{ADD}, 5'd{SUBTRACT}, 5'd{ADD_NUMBER}, 5'd{HIGH}, 5'd{ROUND}: result = sum[31:0];\n\
             \x20   5'd{AND_NUMBER}: result = {{21'd0, accumulator[10:0] & operand}};\n\
             \x20   5'd{GET}: result = got;\n\
             \x20   5'd{BUS}: result = bus;\n\
             \x20   5'd{MEMORY_LOAD}: result = memory;\n\
             \x20   5'd{BYTE_LOAD}: result = {{{{24{{byte_loaded[7]}}}}, byte_loaded}};\n\
             \x20   5'd{SHIFT_LEFT}: result = {{accumulator[30:0], 1'b0}};\n\
             \x20   5'd{SHIFT_RIGHT}: result = {{accumulator[31], accumulator[31:1]}};\n\
             \x20   5'd{MULTIPLY}: result = sum[32:1];\n\
             \x20   default: result = accumulator;\n\
             endcase"
        ))
    }
    fn timing(&self) -> Vec<TimingInfo> {
        describe("micro_alu", "What an instruction of the microprogram makes of the accumulator.")
    }
}
