// Model of the ECP5 ALU behind two multipliers, as far as leaves use it.

/* verilator lint_off DECLFILENAME */
/* verilator lint_off UNUSEDSIGNAL */

// Adds three operands of 54 bits, with a register at the third one and at the sum, or without. Operands A and B stand for what the multipliers multiply;
// here only their products count.
module ALU54B #(
    parameter REG_INPUTC0_CLK = "NONE",
    parameter REG_INPUTC1_CLK = "NONE",
    parameter REG_OUTPUT0_CLK = "NONE",
    parameter REG_OUTPUT1_CLK = "NONE"
) (
    input CLK0, CE0, RST0, SIGNEDIA, SIGNEDIB,
    input OP10, OP9, OP8, OP7, OP6, OP5, OP4, OP3, OP2, OP1, OP0,
    input A35, A34, A33, A32, A31, A30, A29, A28, A27, A26, A25, A24, A23, A22, A21, A20, A19, A18,
    input A17, A16, A15, A14, A13, A12, A11, A10, A9, A8, A7, A6, A5, A4, A3, A2, A1, A0,
    input B35, B34, B33, B32, B31, B30, B29, B28, B27, B26, B25, B24, B23, B22, B21, B20, B19, B18,
    input B17, B16, B15, B14, B13, B12, B11, B10, B9, B8, B7, B6, B5, B4, B3, B2, B1, B0,
    input MA35, MA34, MA33, MA32, MA31, MA30, MA29, MA28, MA27, MA26, MA25, MA24, MA23, MA22, MA21, MA20, MA19, MA18,
    input MA17, MA16, MA15, MA14, MA13, MA12, MA11, MA10, MA9, MA8, MA7, MA6, MA5, MA4, MA3, MA2, MA1, MA0,
    input MB35, MB34, MB33, MB32, MB31, MB30, MB29, MB28, MB27, MB26, MB25, MB24, MB23, MB22, MB21, MB20, MB19, MB18,
    input MB17, MB16, MB15, MB14, MB13, MB12, MB11, MB10, MB9, MB8, MB7, MB6, MB5, MB4, MB3, MB2, MB1, MB0,
    input C53, C52, C51, C50, C49, C48, C47, C46, C45, C44, C43, C42, C41, C40, C39, C38, C37, C36,
    input C35, C34, C33, C32, C31, C30, C29, C28, C27, C26, C25, C24, C23, C22, C21, C20, C19, C18,
    input C17, C16, C15, C14, C13, C12, C11, C10, C9, C8, C7, C6, C5, C4, C3, C2, C1, C0,
    output R53, R52, R51, R50, R49, R48, R47, R46, R45, R44, R43, R42, R41, R40, R39, R38, R37, R36,
    output R35, R34, R33, R32, R31, R30, R29, R28, R27, R26, R25, R24, R23, R22, R21, R20, R19, R18,
    output R17, R16, R15, R14, R13, R12, R11, R10, R9, R8, R7, R6, R5, R4, R3, R2, R1, R0
);
    wire [35:0] product_a = {MA35, MA34, MA33, MA32, MA31, MA30, MA29, MA28, MA27, MA26, MA25, MA24, MA23, MA22, MA21, MA20, MA19, MA18,
        MA17, MA16, MA15, MA14, MA13, MA12, MA11, MA10, MA9, MA8, MA7, MA6, MA5, MA4, MA3, MA2, MA1, MA0};
    wire [35:0] product_b = {MB35, MB34, MB33, MB32, MB31, MB30, MB29, MB28, MB27, MB26, MB25, MB24, MB23, MB22, MB21, MB20, MB19, MB18,
        MB17, MB16, MB15, MB14, MB13, MB12, MB11, MB10, MB9, MB8, MB7, MB6, MB5, MB4, MB3, MB2, MB1, MB0};
    wire [53:0] c = {C53, C52, C51, C50, C49, C48, C47, C46, C45, C44, C43, C42, C41, C40, C39, C38, C37, C36,
        C35, C34, C33, C32, C31, C30, C29, C28, C27, C26, C25, C24, C23, C22, C21, C20, C19, C18,
        C17, C16, C15, C14, C13, C12, C11, C10, C9, C8, C7, C6, C5, C4, C3, C2, C1, C0};
    reg [53:0] c_register, output_register;
    initial begin
        c_register = 0;
        output_register = 0;
    end
    // Leaves choose both halves alike.
    wire [53:0] addend = REG_INPUTC0_CLK == "NONE" && REG_INPUTC1_CLK == "NONE" ? c : c_register;
    // What the operands are, and what becomes of them: choices that leaves do not make count as zero, so that a test finds them.
    wire [53:0] first = {OP1, OP0} == 2'b01 ? {{18{SIGNEDIA & product_a[35]}}, product_a} : 0;
    wire [53:0] second = {OP3, OP2} == 2'b01 ? {{18{SIGNEDIB & product_b[35]}}, product_b} : 0;
    wire [53:0] third = {OP6, OP5, OP4} == 3'b011 ? addend : 0;
    wire [53:0] sum = {OP10, OP9, OP8, OP7} == 4'b0100 ? first + second + third : 0;
    always @(posedge CLK0) begin
        if (CE0) begin
            c_register <= c;
            output_register <= sum;
        end
        if (RST0) begin
            c_register <= 0;
            output_register <= 0;
        end
    end
    assign {R53, R52, R51, R50, R49, R48, R47, R46, R45, R44, R43, R42, R41, R40, R39, R38, R37, R36,
        R35, R34, R33, R32, R31, R30, R29, R28, R27, R26, R25, R24, R23, R22, R21, R20, R19, R18,
        R17, R16, R15, R14, R13, R12, R11, R10, R9, R8, R7, R6, R5, R4, R3, R2, R1, R0} =
        REG_OUTPUT0_CLK == "NONE" && REG_OUTPUT1_CLK == "NONE" ? sum : output_register;
endmodule
