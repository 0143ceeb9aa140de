// Models of the Gowin cells that leaves instantiate, as far as they use them. Yosys knows these cells as black boxes: what they do is Gowin's user guide
// for DSP blocks (UG287).

/* verilator lint_off DECLFILENAME */
/* verilator lint_off UNUSEDSIGNAL */
/* verilator lint_off UNUSEDPARAM */

module GOWIN_MULTIPLIER #(
    parameter BITS = 9,
    parameter AREG = 1'b0,
    parameter BREG = 1'b0,
    parameter PIPE_REG = 1'b0,
    parameter OUT_REG = 1'b0
) (
    input CE, CLK, RESET, ASIGN, BSIGN,
    input [BITS-1:0] A, B,
    output [2*BITS-1:0] DOUT
);
    reg [BITS-1:0] a_register, b_register;
    reg [2*BITS-1:0] middle_register, output_register;
    initial begin
        a_register = 0;
        b_register = 0;
        middle_register = 0;
        output_register = 0;
    end
    wire [BITS-1:0] a_operand = AREG ? a_register : A;
    wire [BITS-1:0] b_operand = BREG ? b_register : B;
    wire signed [2*BITS:0] a_extended = {{BITS + 1{ASIGN & a_operand[BITS-1]}}, a_operand};
    wire signed [2*BITS:0] b_extended = {{BITS + 1{BSIGN & b_operand[BITS-1]}}, b_operand};
    wire signed [2*BITS:0] product = a_extended * b_extended;
    wire [2*BITS-1:0] middle = PIPE_REG ? middle_register : product[2*BITS-1:0];
    always @(posedge CLK) begin
        if (RESET) begin
            a_register <= 0;
            b_register <= 0;
            middle_register <= 0;
            output_register <= 0;
        end else if (CE) begin
            a_register <= A;
            b_register <= B;
            middle_register <= product[2*BITS-1:0];
            output_register <= middle;
        end
    end
    assign DOUT = OUT_REG ? output_register : middle;
endmodule

module MULT9X9 #(
    parameter AREG = 1'b0,
    parameter BREG = 1'b0,
    parameter OUT_REG = 1'b0,
    parameter PIPE_REG = 1'b0,
    parameter ASIGN_REG = 1'b0,
    parameter BSIGN_REG = 1'b0,
    parameter SOA_REG = 1'b0,
    parameter MULT_RESET_MODE = "SYNC"
) (
    input [8:0] A, SIA, B, SIB,
    input ASIGN, BSIGN, ASEL, BSEL, CE, CLK, RESET,
    output [17:0] DOUT,
    output [8:0] SOA, SOB
);
    GOWIN_MULTIPLIER #(.BITS(9), .AREG(AREG), .BREG(BREG), .PIPE_REG(PIPE_REG), .OUT_REG(OUT_REG)) multiplier (
        .CE(CE), .CLK(CLK), .RESET(RESET), .ASIGN(ASIGN), .BSIGN(BSIGN), .A(ASEL ? SIA : A), .B(BSEL ? SIB : B), .DOUT(DOUT)
    );
    // The way to a neighbour, which nobody takes.
    assign {SOA, SOB} = 18'd0;
endmodule

module MULT18X18 #(
    parameter AREG = 1'b0,
    parameter BREG = 1'b0,
    parameter OUT_REG = 1'b0,
    parameter PIPE_REG = 1'b0,
    parameter ASIGN_REG = 1'b0,
    parameter BSIGN_REG = 1'b0,
    parameter SOA_REG = 1'b0,
    parameter MULT_RESET_MODE = "SYNC"
) (
    input [17:0] A, SIA, B, SIB,
    input ASIGN, BSIGN, ASEL, BSEL, CE, CLK, RESET,
    output [35:0] DOUT,
    output [17:0] SOA, SOB
);
    GOWIN_MULTIPLIER #(.BITS(18), .AREG(AREG), .BREG(BREG), .PIPE_REG(PIPE_REG), .OUT_REG(OUT_REG)) multiplier (
        .CE(CE), .CLK(CLK), .RESET(RESET), .ASIGN(ASIGN), .BSIGN(BSIGN), .A(ASEL ? SIA : A), .B(BSEL ? SIB : B), .DOUT(DOUT)
    );
    assign {SOA, SOB} = 36'd0;
endmodule
