// Transmitter into receiver, BIT cycles a bit.
//
// Surroundings: bytes are sent at any time, after QUIET cycles of a quiet line. Either both begin as after power-up; or, with QUIET ten bits and
// four cycles, the receiver begins in any state (of those that uart_states.v shows to be all it has), in the middle of whatever came before.
// U1  Every byte sent is received once, unchanged and in order: none is lost, doubled or broken.
// U2  A byte is received at the latest ten bits and four cycles after it was taken to be sent.
// U3  When the receiver gives a byte it waits for the next start bit.
module harness (
    input wire clock,
    input wire [7:0] byte_in,
    input wire valid
);
    localparam IN_TIME = 10 * `BIT + 4;
    wire ready, line, byte_valid, broken;
    wire [7:0] byte_out;

    uart_transmitter transmitter (
        .clock(clock), .reset(1'b0), .byte_(byte_in), .valid(valid), .ready(ready), .line(line)
    );
    uart_receiver receiver (
        .clock(clock), .reset(1'b0), .line(line), .byte_(byte_out), .valid(byte_valid), .broken(broken)
    );

    wire \in.transmitter.busy , \in.transmitter.low , \in.receiver.busy ;
    wire [15:0] \in.receiver.countdown ;
    wire [3:0] \in.receiver.index ;

    reg [15:0] now = 0;
    // Bytes under way, the oldest in `first`.
    reg [1:0] count = 0;
    reg [7:0] first = 0, second = 0;
    reg [7:0] age = 0;
    wire sent = valid && ready;
    wire quiet_over = now >= `QUIET;
    wire comes = byte_valid && quiet_over;
    always @(posedge clock) begin
        now <= now + 1;
        count <= count + sent - comes;
        age <= age + 1;
        if (comes) begin
            first <= second;
            age <= 0;
        end
        if (sent) begin
            if (count == comes) begin
                first <= byte_in;
                age <= 0;
            end else second <= byte_in;
        end
    end

    always @(*) begin
        if (now == 0) begin
            assume (!\in.transmitter.busy && !\in.transmitter.low );
            assume (!\in.receiver.busy || (\in.receiver.countdown < `BIT && \in.receiver.index <= 9));
        end
        if (!quiet_over) assume (!valid);
        if (quiet_over) begin
            assert (!broken);                                   // U1
            if (byte_valid) begin
                assert (count != 0 && byte_out == first);       // U1
                assert (!\in.receiver.busy );                   // U3
            end
            if (count != 0) assert (age <= IN_TIME);              // U2
        end
        cover (byte_valid && quiet_over && byte_out == 8'ha5);
    end
endmodule
