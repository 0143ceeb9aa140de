// Packet transmitter.
//
// Surroundings: words come at any time, an offered word stays; the line takes bytes at any time.
// X1  An offered byte stays, unchanged, until it is taken.
// X2  END comes at the beginning and at the end of a packet and nowhere between.
// X3  Between them are four bytes for every word taken, and four of the checksum, ESCAPE and what follows it counted as one.
// X4  ESCAPE is followed by one of the two bytes it may be followed by.
// X5  With words there and the line ready, no three cycles pass without a byte: it does not stop in the middle of a packet.
module harness (
    input wire clock,
    input wire reset,
    input wire [31:0] word,
    input wire word_valid,
    input wire word_last,
    input wire byte_ready
);
    wire word_ready, byte_valid;
    wire [7:0] byte_out;
    packet_transmitter dut (
        .clock(clock), .reset(reset), .word(word), .word_valid(word_valid), .word_ready(word_ready), .word_last(word_last),
        .byte_(byte_out), .byte_valid(byte_valid), .byte_ready(byte_ready)
    );

    reg open = 0;
    reg escape = 0;
    reg [15:0] words = 0;
    reg [17:0] count = 0;
    reg [1:0] silent = 0;
    reg ended = 0;
    wire sends = byte_valid && byte_ready;
    wire is_end = byte_out == 8'hc0;
    reg past = 0;
    reg was_reset, was_valid, was_ready;
    reg [7:0] was_byte;
    always @(posedge clock) begin
        if (word_valid && word_ready) begin
            words <= words + 1;
            ended <= word_last;
        end
        if (sends) begin
            if (is_end) begin
                open <= !open;
                count <= 0;
                words <= 0;
                ended <= 0;
            end else begin
                escape <= byte_out == 8'hdb;
                if (byte_out != 8'hdb) count <= count + 1;
            end
        end
        silent <= sends || !byte_ready || !word_valid ? 0 : silent + 1;
        if (reset) {open, escape, words, count, silent, ended} <= 0;
        past <= 1;
        {was_reset, was_valid, was_ready} <= {reset, byte_valid, byte_ready};
        was_byte <= byte_out;
    end

    always @(*) begin
        // A packet is shorter than that.
        assume (words < 300);
        if (past && !was_reset && was_valid && !was_ready && open) assert (byte_valid && byte_out == was_byte); // X1
        if (sends && is_end && open) assert (ended && count == 4 * words + 4 && !escape);                       // X2, X3
        if (sends && !is_end) assert (open);                                                                    // X2
        if (sends && escape) assert (byte_out == 8'hdc || byte_out == 8'hdd);                                   // X4
        assert (silent < 2);                                                                                    // X5
        cover (sends && is_end && open && words == 2);
    end

`ifdef INDUCTION
    wire [1:0] \in.dut.state ;
    wire [2:0] \in.dut.left ;
    wire [31:0] \in.dut.bytes ;
    wire \in.dut.last , \in.dut.escaping ;
    always @(*) begin
        assert (open == (\in.dut.state != 0));
        assert (\in.dut.left <= 4);
        if (open) begin
            assert (\in.dut.escaping == escape);
            if (\in.dut.escaping ) assert (\in.dut.left != 0 && (\in.dut.bytes [7:0] == 8'hc0 || \in.dut.bytes [7:0] == 8'hdb));
            if (\in.dut.state == 1) assert (ended == (\in.dut.last && words != 0) && count + \in.dut.left == 4 * words);
            if (\in.dut.state == 2) assert (ended && count + \in.dut.left == 4 * words + 4);
            if (\in.dut.state == 3) assert (ended && \in.dut.left == 0 && count == 4 * words + 4);
        end else assert (count == 0 && words == 0 && !ended && !escape);
    end
    always @(*) if (silent == 1) assert (byte_valid);
`endif
endmodule
