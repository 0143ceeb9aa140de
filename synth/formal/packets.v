// Packet transmitter into receiver.
//
// Surroundings: at first the receiver is in any state (of those that packet_receiver.v shows to be all it has), as any garbage may have left it, but
// no packet waits; the transmitter has nothing to send. Then it sends packets of WORDS words; the line may pause.
// P1  Whatever came before, the first packet already arrives, with all of its bytes and no others.
// P2  Nothing else arrives.
module harness (
    input wire clock,
    input wire [31:0] word,
    input wire word_valid,
    input wire byte_ready
);
    wire word_ready, byte_valid, write_valid, arrived;
    wire [7:0] byte_between;
    wire [15:0] write_address, bytes;
    wire [3:0] write_enable;
    wire [31:0] write_data;
    reg [7:0] words = 0;
    packet_transmitter transmitter (
        .clock(clock), .reset(1'b0), .word(word), .word_valid(word_valid), .word_ready(word_ready),
        .word_last(words == `WORDS - 1), .byte_(byte_between), .byte_valid(byte_valid), .byte_ready(byte_ready)
    );
    packet_receiver receiver (
        .clock(clock), .reset(1'b0), .byte_(byte_between), .byte_valid(byte_valid && byte_ready), .byte_broken(1'b0),
        .write_valid(write_valid), .write_address(write_address), .write_enable(write_enable), .write_data(write_data),
        .arrived(arrived), .bytes(bytes), .taken(1'b0)
    );
    wire [1:0] \in.transmitter.state ;
    wire \in.receiver.held ;
    wire [15:0] \in.receiver.index ;

    wire [31:0] \in.transmitter.crc , \in.receiver.crc ;

    // One of the words, and the same place of the buffer.
    (* anyconst *) wire [7:0] place;
    reg [31:0] sent = 0, kept = 0;
    reg first = 1;
    reg [1:0] ends = 0;
    always @(posedge clock) begin
        first <= 0;
        if (word_valid && word_ready) begin
            words <= words + 1;
            if (words == place) sent <= word;
        end
        if (byte_valid && byte_ready && byte_between == 8'hc0) ends <= ends + 1;
        if (write_valid && write_address == place) begin
            if (write_enable[0]) kept[7:0] <= write_data[7:0];
            if (write_enable[1]) kept[15:8] <= write_data[15:8];
            if (write_enable[2]) kept[23:16] <= write_data[23:16];
            if (write_enable[3]) kept[31:24] <= write_data[31:24];
        end
    end

    always @(*) begin
        assume (place < `WORDS);
        if (words == `WORDS) assume (!word_valid);
        if (first) begin
            assume (\in.transmitter.state == 0);
            assume (!\in.receiver.held && \in.receiver.index <= 1036);
        end
        // The END that begins the packet also ends what was before, which may be a packet.
        if (ends == 1) assume (!arrived);
        if (ends == 2) assert (arrived && bytes == 4 * `WORDS + 4 && kept == sent);     // P1
        if (ends == 0) assert (!arrived);                                               // P2
        // What helps the solver: both checksums are one until the transmitter sends its own.
        if (ends == 1 && \in.transmitter.state == 1) assert (\in.transmitter.crc == \in.receiver.crc );
        cover (ends == 2 && arrived && place == 0 && sent == 32'h00000001);
    end
endmodule
