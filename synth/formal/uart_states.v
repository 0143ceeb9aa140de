// The states of transmitter and receiver, BIT cycles a bit, on any line.
//
// Surroundings: none.
// V1  A receiver at work is at one of its ten samples, at most a bit before the next.
// V2  A byte and a broken one never come together, and never in two cycles one after the other.
// V3  A transmitter at work is at one of its ten bits, and the line is high when it is not.
// V4  The transmitter is ready again at the latest ten bits after it took a byte.
module harness (
    input wire clock,
    input wire reset,
    input wire line_in,
    input wire [7:0] byte_in,
    input wire valid
);
    wire ready, line, byte_valid, broken;
    wire [7:0] byte_out;
    uart_transmitter transmitter (
        .clock(clock), .reset(reset), .byte_(byte_in), .valid(valid), .ready(ready), .line(line)
    );
    uart_receiver receiver (
        .clock(clock), .reset(reset), .line(line_in), .byte_(byte_out), .valid(byte_valid), .broken(broken)
    );
    wire \in.transmitter.busy , \in.receiver.busy ;
    wire [15:0] \in.receiver.countdown , \in.transmitter.countdown ;
    wire [3:0] \in.receiver.index , \in.transmitter.index ;

    reg gave = 0;
    reg [15:0] working = 0;
    always @(posedge clock) begin
        gave <= byte_valid || broken;
        working <= ready ? 0 : working + 1;
    end
    always @(*) begin
        if (\in.receiver.busy ) assert (\in.receiver.countdown < `BIT && \in.receiver.index <= 9);              // V1
        assert (!(byte_valid && broken));                                                                       // V2
        if (gave) assert (!byte_valid && !broken);                                                              // V2
        if (\in.transmitter.busy ) assert (\in.transmitter.countdown < `BIT && \in.transmitter.index <= 9);     // V3
        if (ready) assert (line);                                                                               // V3
        assert (working <= 10 * `BIT);                                                                          // V4
`ifdef INDUCTION
        if (gave) assert (!\in.receiver.busy || \in.receiver.index == 0);
        if (byte_valid || broken) assert (!\in.receiver.busy );
        if (!ready) assert (working + 1 + \in.transmitter.countdown + (9 - \in.transmitter.index ) * `BIT <= 10 * `BIT);
`endif
        cover (broken);
        cover (byte_valid && byte_out == 8'h5a);
    end
endmodule
