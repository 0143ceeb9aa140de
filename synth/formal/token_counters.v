// Token counters, for any one pair of engines.
//
// Surroundings: an engine takes a token only when one is available. A token is sent by a command that has started before, and one that will send
// does not start while `blocked`. At most 16 commands of an engine have started and not yet finished.
// T1  The counter is the number of tokens sent and not yet taken, a cycle late: none is lost, none counted twice.
// T2  It never overflows.
// T3  A token is available exactly while there is one, from the cycle after the one in which it is sent.
// T4  `blocked` says exactly whether 240 are there, one that comes counted, and `counts` shows those without it.
module harness (
    input wire clock,
    input wire reset,
    input wire [3:0] send_0, send_1, send_2, send_3,
    input wire [3:0] take_0, take_1, take_2, take_3,
    // A command that will send a token starts.
    input wire start
);
    wire [3:0] available_0, available_1, available_2, available_3;
    wire [3:0] blocked_0, blocked_1, blocked_2, blocked_3;
    wire [31:0] counts_0, counts_1, counts_2, counts_3;

    token_counters dut (
        .clock(clock), .reset(reset),
        .send_0(send_0), .send_1(send_1), .send_2(send_2), .send_3(send_3),
        .take_0(take_0), .take_1(take_1), .take_2(take_2), .take_3(take_3),
        .available_0(available_0), .available_1(available_1), .available_2(available_2), .available_3(available_3),
        .blocked_0(blocked_0), .blocked_1(blocked_1), .blocked_2(blocked_2), .blocked_3(blocked_3),
        .counts_0(counts_0), .counts_1(counts_1), .counts_2(counts_2), .counts_3(counts_3)
    );

    // The pair.
    (* anyconst *) wire [1:0] from;
    (* anyconst *) wire [1:0] to;
    wire [3:0] sends = from == 0 ? send_0 : from == 1 ? send_1 : from == 2 ? send_2 : send_3;
    wire [3:0] blocks = from == 0 ? blocked_0 : from == 1 ? blocked_1 : from == 2 ? blocked_2 : blocked_3;
    wire [3:0] takes = to == 0 ? take_0 : to == 1 ? take_1 : to == 2 ? take_2 : take_3;
    wire [3:0] availables = to == 0 ? available_0 : to == 1 ? available_1 : to == 2 ? available_2 : available_3;
    wire [31:0] counts = to == 0 ? counts_0 : to == 1 ? counts_1 : to == 2 ? counts_2 : counts_3;
    wire sent = sends[to];
    wire taken = takes[from];
    wire blocked = blocks[to];
    wire available = availables[from];
    wire [7:0] count = counts >> (8 * from);

    reg [8:0] tokens = 0;
    reg [4:0] started = 0;
    reg was_sent = 0;
    reg was_taken = 0;
    wire [8:0] there = tokens + was_sent - was_taken;
    always @(posedge clock) begin
        tokens <= reset ? 0 : there;
        was_sent <= !reset && sent;
        was_taken <= !reset && taken;
        started <= reset ? 0 : started + start - sent;
    end

`ifdef INDUCTION
    wire \in.dut.filled_0 , \in.dut.filled_1 , \in.dut.filled_2 , \in.dut.filled_3 ,
        \in.dut.filled_4 , \in.dut.filled_5 , \in.dut.filled_6 , \in.dut.filled_7 ,
        \in.dut.filled_8 , \in.dut.filled_9 , \in.dut.filled_10 , \in.dut.filled_11 ,
        \in.dut.filled_12 , \in.dut.filled_13 , \in.dut.filled_14 , \in.dut.filled_15 ;
    wire [15:0] filled = {
        \in.dut.filled_15 , \in.dut.filled_14 , \in.dut.filled_13 , \in.dut.filled_12 ,
        \in.dut.filled_11 , \in.dut.filled_10 , \in.dut.filled_9 , \in.dut.filled_8 ,
        \in.dut.filled_7 , \in.dut.filled_6 , \in.dut.filled_5 , \in.dut.filled_4 ,
        \in.dut.filled_3 , \in.dut.filled_2 , \in.dut.filled_1 , \in.dut.filled_0 };
    wire \in.dut.sent_0 , \in.dut.sent_1 , \in.dut.sent_2 , \in.dut.sent_3 ,
        \in.dut.sent_4 , \in.dut.sent_5 , \in.dut.sent_6 , \in.dut.sent_7 ,
        \in.dut.sent_8 , \in.dut.sent_9 , \in.dut.sent_10 , \in.dut.sent_11 ,
        \in.dut.sent_12 , \in.dut.sent_13 , \in.dut.sent_14 , \in.dut.sent_15 ;
    wire [15:0] sents = {
        \in.dut.sent_15 , \in.dut.sent_14 , \in.dut.sent_13 , \in.dut.sent_12 ,
        \in.dut.sent_11 , \in.dut.sent_10 , \in.dut.sent_9 , \in.dut.sent_8 ,
        \in.dut.sent_7 , \in.dut.sent_6 , \in.dut.sent_5 , \in.dut.sent_4 ,
        \in.dut.sent_3 , \in.dut.sent_2 , \in.dut.sent_1 , \in.dut.sent_0 };
    wire \in.dut.taken_0 , \in.dut.taken_1 , \in.dut.taken_2 , \in.dut.taken_3 ,
        \in.dut.taken_4 , \in.dut.taken_5 , \in.dut.taken_6 , \in.dut.taken_7 ,
        \in.dut.taken_8 , \in.dut.taken_9 , \in.dut.taken_10 , \in.dut.taken_11 ,
        \in.dut.taken_12 , \in.dut.taken_13 , \in.dut.taken_14 , \in.dut.taken_15 ;
    wire [15:0] takens = {
        \in.dut.taken_15 , \in.dut.taken_14 , \in.dut.taken_13 , \in.dut.taken_12 ,
        \in.dut.taken_11 , \in.dut.taken_10 , \in.dut.taken_9 , \in.dut.taken_8 ,
        \in.dut.taken_7 , \in.dut.taken_6 , \in.dut.taken_5 , \in.dut.taken_4 ,
        \in.dut.taken_3 , \in.dut.taken_2 , \in.dut.taken_1 , \in.dut.taken_0 };
    wire \in.dut.single_0 , \in.dut.single_1 , \in.dut.single_2 , \in.dut.single_3 ,
        \in.dut.single_4 , \in.dut.single_5 , \in.dut.single_6 , \in.dut.single_7 ,
        \in.dut.single_8 , \in.dut.single_9 , \in.dut.single_10 , \in.dut.single_11 ,
        \in.dut.single_12 , \in.dut.single_13 , \in.dut.single_14 , \in.dut.single_15 ;
    wire [15:0] singles = {
        \in.dut.single_15 , \in.dut.single_14 , \in.dut.single_13 , \in.dut.single_12 ,
        \in.dut.single_11 , \in.dut.single_10 , \in.dut.single_9 , \in.dut.single_8 ,
        \in.dut.single_7 , \in.dut.single_6 , \in.dut.single_5 , \in.dut.single_4 ,
        \in.dut.single_3 , \in.dut.single_2 , \in.dut.single_1 , \in.dut.single_0 };
    wire \in.dut.brimming_0 , \in.dut.brimming_1 , \in.dut.brimming_2 , \in.dut.brimming_3 ,
        \in.dut.brimming_4 , \in.dut.brimming_5 , \in.dut.brimming_6 , \in.dut.brimming_7 ,
        \in.dut.brimming_8 , \in.dut.brimming_9 , \in.dut.brimming_10 , \in.dut.brimming_11 ,
        \in.dut.brimming_12 , \in.dut.brimming_13 , \in.dut.brimming_14 , \in.dut.brimming_15 ;
    wire [15:0] brimmings = {
        \in.dut.brimming_15 , \in.dut.brimming_14 , \in.dut.brimming_13 , \in.dut.brimming_12 ,
        \in.dut.brimming_11 , \in.dut.brimming_10 , \in.dut.brimming_9 , \in.dut.brimming_8 ,
        \in.dut.brimming_7 , \in.dut.brimming_6 , \in.dut.brimming_5 , \in.dut.brimming_4 ,
        \in.dut.brimming_3 , \in.dut.brimming_2 , \in.dut.brimming_1 , \in.dut.brimming_0 };
    wire \in.dut.full_0 , \in.dut.full_1 , \in.dut.full_2 , \in.dut.full_3 ,
        \in.dut.full_4 , \in.dut.full_5 , \in.dut.full_6 , \in.dut.full_7 ,
        \in.dut.full_8 , \in.dut.full_9 , \in.dut.full_10 , \in.dut.full_11 ,
        \in.dut.full_12 , \in.dut.full_13 , \in.dut.full_14 , \in.dut.full_15 ;
    wire [15:0] fulls = {
        \in.dut.full_15 , \in.dut.full_14 , \in.dut.full_13 , \in.dut.full_12 ,
        \in.dut.full_11 , \in.dut.full_10 , \in.dut.full_9 , \in.dut.full_8 ,
        \in.dut.full_7 , \in.dut.full_6 , \in.dut.full_5 , \in.dut.full_4 ,
        \in.dut.full_3 , \in.dut.full_2 , \in.dut.full_1 , \in.dut.full_0 };
`endif
    always @(*) begin
        if (taken) assume (available);
        if (start) assume (!blocked && started < 16);
        if (sent) assume (started > 0);
        assert (tokens == count);                           // T1, T4
        assert (tokens <= 255);                             // T2
        assert (available == (there != 0));                 // T3
        assert (blocked == (tokens >= 240 || tokens == 239 && was_sent)); // T4
`ifdef INDUCTION
        // What makes the induction close.
        assert (there + started <= 255);
        assert (tokens + was_sent >= was_taken);
        assert (filled[4 * from + to] == (tokens != 0));
        assert (sents[4 * from + to] == was_sent);
        assert (takens[4 * from + to] == was_taken);
        assert (singles[4 * from + to] == (tokens == 1));
        assert (brimmings[4 * from + to] == (tokens == 239));
        assert (fulls[4 * from + to] == (tokens >= 240));
`endif
        cover (tokens == 3 && started == 16);
        cover (tokens == 0 && was_sent && taken);
    end
endmodule
