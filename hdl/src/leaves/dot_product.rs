//! The products of four pairs of bytes, summed.
use super::prelude::*;
use super::{ecp5, ice40};

/// The sum of four signed products of 8 bits: byte k of `a` times byte k of `b`, as 32 bits. No registers.
///
/// On iCE40 UltraPlus a multiplier block makes two of the products.
#[derive(LogicBlock, Default)]
pub struct DotProduct {
    pub a: Signal<In, Bits<32>>,
    pub b: Signal<In, Bits<32>>,
    pub sum: Signal<Out, Bits<32>>,
}

impl Logic for DotProduct {
    fn update(&mut self) {
        let (a, b) = (self.a.val().to_u32().to_le_bytes(), self.b.val().to_u32().to_le_bytes());
        let sum: i32 = a.iter().zip(b).map(|(a, b)| i32::from(*a as i8) * i32::from(b as i8)).sum();
        self.sum.next = u64::from(sum as u32).into();
    }
    fn connect(&mut self) {
        self.sum.connect();
    }
    fn hdl(&self) -> Verilog {
        // 18 bits hold four products.
        let sum = "wire signed [17:0] total = (product_0 + product_1) + (product_2 + product_3);\n\
                   assign sum = {{14{total[17]}}, total};";
        let mut portable = String::new();
        let mut cells = String::new();
        for (number, half) in ["low", "high"].into_iter().enumerate() {
            cells += &format!("wire [31:0] {half};\n");
            let operand = |port| format!("{port}[{}:{}]", 16 * number + 15, 16 * number);
            cells +=
                &ice40::byte_products(&format!("multiplier_{half}"), (&operand("a"), &operand("b")), half);
        }
        for byte in 0..4 {
            let (first, last) = (8 * byte, 8 * byte + 7);
            portable += &format!(
                "wire signed [7:0] a_{byte} = a[{last}:{first}];\n\
                 wire signed [7:0] b_{byte} = b[{last}:{first}];\n\
                 wire signed [15:0] narrow_{byte} = a_{byte} * b_{byte};\n\
                 wire signed [17:0] product_{byte} = {{{{2{{narrow_{byte}[15]}}}}, narrow_{byte}}};\n"
            );
            let half = if byte < 2 { "low" } else { "high" };
            let top = 16 * (byte % 2) + 15;
            cells += &format!(
                "wire signed [17:0] product_{byte} = {{{{2{{{half}[{top}]}}}}, {half}[{top}:{}]}};\n",
                top - 15
            );
        }
        let text = |products: &str| format!("{products}{sum}");
        Verilog::Custom(ecp5::choose_family(&[(ice40::MACRO, &text(&cells))], &text(&portable)))
    }
    fn timing(&self) -> Vec<TimingInfo> {
        describe("dot_product", "The sum of four signed products of 8 bits.")
    }
}
