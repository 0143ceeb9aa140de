// Model of the ECP5 multiplier, as far as leaves and Yosys use it.

/* verilator lint_off DECLFILENAME */
/* verilator lint_off UNUSEDSIGNAL */

// 18 x 18 bit multiplier with registers at its inputs, in its middle and at its output, or without.
module MULT18X18D #(
    parameter REG_INPUTA_CLK = "NONE",
    parameter REG_INPUTB_CLK = "NONE",
    parameter REG_PIPELINE_CLK = "NONE",
    parameter REG_OUTPUT_CLK = "NONE"
) (
    input CLK0, CE0, RST0, SIGNEDA, SIGNEDB, SOURCEA, SOURCEB,
    input A17, A16, A15, A14, A13, A12, A11, A10, A9, A8, A7, A6, A5, A4, A3, A2, A1, A0,
    input B17, B16, B15, B14, B13, B12, B11, B10, B9, B8, B7, B6, B5, B4, B3, B2, B1, B0,
    output ROA17, ROA16, ROA15, ROA14, ROA13, ROA12, ROA11, ROA10, ROA9, ROA8, ROA7, ROA6, ROA5, ROA4, ROA3, ROA2, ROA1, ROA0,
    output ROB17, ROB16, ROB15, ROB14, ROB13, ROB12, ROB11, ROB10, ROB9, ROB8, ROB7, ROB6, ROB5, ROB4, ROB3, ROB2, ROB1, ROB0,
    output SIGNEDP,
    output P35, P34, P33, P32, P31, P30, P29, P28, P27, P26, P25, P24, P23, P22, P21, P20, P19, P18,
    output P17, P16, P15, P14, P13, P12, P11, P10, P9, P8, P7, P6, P5, P4, P3, P2, P1, P0
);
    wire [17:0] a = {A17, A16, A15, A14, A13, A12, A11, A10, A9, A8, A7, A6, A5, A4, A3, A2, A1, A0};
    wire [17:0] b = {B17, B16, B15, B14, B13, B12, B11, B10, B9, B8, B7, B6, B5, B4, B3, B2, B1, B0};
    reg [17:0] a_register, b_register;
    reg [35:0] middle_register, output_register;
    initial begin
        a_register = 0;
        b_register = 0;
        middle_register = 0;
        output_register = 0;
    end
    wire [17:0] a_operand = REG_INPUTA_CLK == "NONE" ? a : a_register;
    wire [17:0] b_operand = REG_INPUTB_CLK == "NONE" ? b : b_register;
    wire signed [36:0] a_extended = {{19{SIGNEDA & a_operand[17]}}, a_operand};
    wire signed [36:0] b_extended = {{19{SIGNEDB & b_operand[17]}}, b_operand};
    wire signed [36:0] product = a_extended * b_extended;
    wire [35:0] middle = REG_PIPELINE_CLK == "NONE" ? product[35:0] : middle_register;
    always @(posedge CLK0) begin
        if (CE0) begin
            a_register <= a;
            b_register <= b;
            middle_register <= product[35:0];
            output_register <= middle;
        end
        if (RST0) begin
            a_register <= 0;
            b_register <= 0;
            middle_register <= 0;
            output_register <= 0;
        end
    end
    assign {ROA17, ROA16, ROA15, ROA14, ROA13, ROA12, ROA11, ROA10, ROA9, ROA8, ROA7, ROA6, ROA5, ROA4, ROA3, ROA2, ROA1, ROA0} =
        a_operand;
    assign {ROB17, ROB16, ROB15, ROB14, ROB13, ROB12, ROB11, ROB10, ROB9, ROB8, ROB7, ROB6, ROB5, ROB4, ROB3, ROB2, ROB1, ROB0} =
        b_operand;
    assign SIGNEDP = SIGNEDA | SIGNEDB;
    assign {P35, P34, P33, P32, P31, P30, P29, P28, P27, P26, P25, P24, P23, P22, P21, P20, P19, P18, P17, P16, P15, P14,
        P13, P12, P11, P10, P9, P8, P7, P6, P5, P4, P3, P2, P1, P0} =
        REG_OUTPUT_CLK == "NONE" ? middle : output_register;
endmodule
