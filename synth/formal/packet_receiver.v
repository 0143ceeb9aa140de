// Packet receiver, whatever comes on the line.
//
// Surroundings: a byte and a broken one do not come together, and a packet is taken only when one has arrived.
// R1  The buffer of 1036 bytes is never overrun: every write is to one of its 259 words, to one byte of it.
// R2  While a packet waits to be taken nothing is written, and its number of bytes stays.
// R3  What has arrived had its END just before, and at least 12 bytes and at most 1036 since the END before that.
// R4  A packet with a broken byte, an ESCAPE before something else or before its END, or bytes that came while another one waited does not arrive.
module harness (
    input wire clock,
    input wire reset,
    input wire [7:0] byte_in,
    input wire byte_valid,
    input wire byte_broken,
    input wire taken
);
    wire write_valid, arrived;
    wire [15:0] write_address, bytes;
    wire [3:0] write_enable;
    wire [31:0] write_data;
    packet_receiver dut (
        .clock(clock), .reset(reset), .byte_(byte_in), .byte_valid(byte_valid), .byte_broken(byte_broken),
        .write_valid(write_valid), .write_address(write_address), .write_enable(write_enable), .write_data(write_data),
        .arrived(arrived), .bytes(bytes), .taken(taken)
    );

    // What the rules say of the bytes since the last END. Before the first END everything is spoiled.
    reg spoiled = 1;
    reg escape = 0;
    reg [15:0] count = 0;
    wire is_end = byte_valid && byte_in == 8'hc0;
    wire is_data = byte_valid && byte_in != 8'hc0;
    wire opens = is_data && byte_in == 8'hdb;
    always @(posedge clock) begin
        if (is_data) begin
            escape <= opens && !escape;
            if (escape && byte_in != 8'hdc && byte_in != 8'hdd) spoiled <= 1;
            if (arrived) spoiled <= 1;
            if (count >= 1036) spoiled <= 1;
            if (escape || !opens) begin
                count <= count + (count != 16'hffff);
            end
        end
        if (byte_broken) spoiled <= 1;
        if (is_end) begin
            spoiled <= 0;
            escape <= 0;
            count <= 0;
        end
        if (reset) begin
            spoiled <= 1;
            escape <= 0;
            count <= 0;
        end
    end

    reg past = 0;
    reg was_arrived, was_taken, was_end, was_spoiled, was_escape, was_reset;
    reg [15:0] was_count, was_bytes;
    always @(posedge clock) begin
        past <= 1;
        {was_arrived, was_taken, was_end, was_spoiled, was_escape, was_reset} <= {arrived, taken, is_end, spoiled, escape, reset};
        was_count <= count;
        was_bytes <= bytes;
    end

    always @(*) begin
        assume (!(byte_valid && byte_broken));
        if (taken) assume (arrived);
        if (!past) assume (reset);
        if (write_valid) begin
            assert (write_address < 259);                                                                       // R1
            assert (write_enable == 1 || write_enable == 2 || write_enable == 4 || write_enable == 8);          // R1
        end
        if (arrived) assert (!write_valid);                                                                     // R2
        if (past && was_arrived && arrived) assert (bytes == was_bytes);                                        // R2
        if (past && was_arrived && !was_taken && !was_reset) assert (arrived);                                  // R2
        if (past && arrived && !was_arrived) begin
            assert (was_end && bytes == was_count && bytes >= 12 && bytes <= 1036);                             // R3
            assert (!was_spoiled && !was_escape);                                                               // R4
        end
        cover (write_valid && write_address == 2 && write_enable == 8);
    end

`ifdef INDUCTION
    wire \in.dut.bad , \in.dut.escaping ;
    wire [15:0] \in.dut.index ;
    always @(*) begin
        if (past) begin
            if (spoiled) assert (\in.dut.bad );
            if (!spoiled) assert (\in.dut.index == count && \in.dut.escaping == escape);
            assert (\in.dut.index <= 1036);
        end
    end
`endif
endmodule
