// Queue of DEPTH entries of two words.
//
// The surroundings may do anything.
// F1  `level` is the number of entries put and not yet taken since the last reset.
// F2  It never overflows or underflows: at most DEPTH entries, `write_ready` unless it is full, `read_valid` unless it is empty.
// F3  Any entry comes out unchanged, after exactly those that were there before it.
module harness (
    input wire clock,
    input wire reset,
    input wire [31:0] write_data_0, write_data_1,
    input wire write_valid,
    input wire read_ready,
    // The entry that is put in this cycle is the one that F3 follows: a free choice.
    input wire mark
);
    wire write_ready, read_valid;
    wire [31:0] read_data_0, read_data_1;
    wire [15:0] level;

    fifo dut (
        .clock(clock), .reset(reset),
        .write_data_0(write_data_0), .write_data_1(write_data_1), .write_valid(write_valid), .write_ready(write_ready),
        .read_data_0(read_data_0), .read_data_1(read_data_1), .read_valid(read_valid), .read_ready(read_ready),
        .level(level)
    );

    wire put = write_valid && write_ready;
    wire take = read_valid && read_ready;

    reg [15:0] held = 0;
    reg [15:0] puts = 0;
    reg followed = 0;
    reg [15:0] ahead = 0;
    reg [63:0] word = 0;
    always @(posedge clock) begin
        held <= held + put - take;
        puts <= puts + put;
        if (followed && take) begin
            ahead <= ahead - 1;
            if (ahead == 0) followed <= 0;
        end
        if (!followed && put && mark) begin
            followed <= 1;
            ahead <= held - take;
            word <= {write_data_1, write_data_0};
        end
        if (reset) begin
            held <= 0;
            followed <= 0;
        end
    end

    always @(*) begin
        assert (level == held);                                                         // F1
        assert (held <= `DEPTH && write_ready == (held != `DEPTH) && read_valid == (held != 0)); // F2
        if (followed) assert (ahead < held);                                            // F3: it is still there
        if (followed && ahead == 0) assert ({read_data_1, read_data_0} == word);        // F3
        cover (held == `DEPTH);
        cover (followed && ahead == 0 && take && puts > `DEPTH);
    end

    // What makes the induction close: where the pointers and the followed entry are.
    wire [63:0] entry_4, entry_5, entry_6, entry_7;
`ifdef ABOVE_4
    wire [63:0] \in.dut.entries[4] ;
    assign entry_4 = \in.dut.entries[4] ;
`endif
`ifdef ABOVE_5
    wire [63:0] \in.dut.entries[5] , \in.dut.entries[6] , \in.dut.entries[7] ;
    assign {entry_7, entry_6, entry_5} = {\in.dut.entries[7] , \in.dut.entries[6] , \in.dut.entries[5] };
`endif
`ifdef INDUCTION
    wire [`POINTER_BITS-1:0] \in.dut.write_pointer , \in.dut.read_pointer ;
    wire [63:0] \in.dut.entries[0] , \in.dut.entries[1] , \in.dut.entries[2] , \in.dut.entries[3] ;
    wire [15:0] write_at = \in.dut.write_pointer ;
    wire [15:0] read_at = \in.dut.read_pointer ;
    wire [15:0] sum = read_at + ahead;
    wire [15:0] place = sum >= `DEPTH ? sum - `DEPTH : sum;
    wire [63:0] kept = place == 0 ? \in.dut.entries[0] : place == 1 ? \in.dut.entries[1] : place == 2 ? \in.dut.entries[2] :
        place == 3 ? \in.dut.entries[3] : place == 4 ? entry_4 : place == 5 ? entry_5 : place == 6 ? entry_6 : entry_7;
    always @(*) begin
        assert (write_at < `DEPTH && read_at < `DEPTH);
        assert (write_at == read_at + held || write_at + `DEPTH == read_at + held);
        if (followed) assert (kept == word);
    end
`endif
endmodule
