// Model of the ECP5 carry chain, as far as leaves use it; Yosys ships a fuller one.

/* verilator lint_off DECLFILENAME */
/* verilator lint_off UNUSEDSIGNAL */

// Two bits of a carry chain: a LUT of four inputs for the sum, and its lower quarter, with two inputs, for the carry.
module CCU2C #(
    parameter [15:0] INIT0 = 0,
    parameter [15:0] INIT1 = 0,
    parameter INJECT1_0 = "YES",
    parameter INJECT1_1 = "YES"
) (
    input CIN, A0, B0, C0, D0, A1, B1, C1, D1,
    output S0, S1, COUT
);
    wire propagate_0 = INIT0[{D0, C0, B0, A0}];
    wire propagate_1 = INIT1[{D1, C1, B1, A1}];
    wire generate_0 = INJECT1_0 == "NO" && INIT0[{2'b00, B0, A0}];
    wire generate_1 = INJECT1_1 == "NO" && INIT1[{2'b00, B1, A1}];
    wire carry = propagate_0 ? CIN : generate_0;
    assign S0 = propagate_0 ^ (INJECT1_0 == "NO" && CIN);
    assign S1 = propagate_1 ^ (INJECT1_1 == "NO" && carry);
    assign COUT = propagate_1 ? carry : generate_1;
endmodule
