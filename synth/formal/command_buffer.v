// Command buffer: two commands of eight beats; a command can start when six of them are there.
//
// Surroundings: anything.
// C1  A command starts only when its engine takes one, the token of every engine it waits for is available, no counter it will signal is blocked,
//     and the machine is not halted.
// C2  A command at the head starts in the very cycle in which all of that is so: it waits for nothing else.
// C3  It takes exactly the tokens it waits for, in the cycle it starts, and none are taken otherwise.
// C4  Every command that came starts once: none is skipped, none started twice, none before its fields are there.
// C5  With the head started, the next one is at the head at the latest nine cycles later, if its fields are there: the queue does not stop.
// C6  The command at the head stays as it is until it starts, and what has started until its engine can take another: then the head's words are the active ones.
module harness (
    input wire clock,
    input wire reset,
    input wire [31:0] beat_0, beat_1,
    input wire beat_valid,
    input wire [3:0] available, blocked,
    input wire halt, take
);
    wire beat_ready, start, waits, empty;
    wire [3:0] taken, lacks;
    wire [7:0] opcode, level;
    wire [31:0] active_0, active_9;
    command_buffer dut (
        .clock(clock), .reset(reset), .beat_0(beat_0), .beat_1(beat_1), .beat_valid(beat_valid), .beat_ready(beat_ready),
        .available(available), .blocked(blocked), .halt(halt), .taken(taken), .take(take), .start(start),
        .active_0(active_0), .active_9(active_9), .opcode(opcode), .waits(waits), .lacks(lacks), .empty(empty), .level(level)
    );
    wire [31:0] \in.dut.pending_0 , \in.dut.pending_9 ;
    wire [3:0] wait_mask = \in.dut.pending_0 [11:8];
    wire [3:0] signal_mask = \in.dut.pending_0 [15:12];

    // Beats that came, and commands that started, since the last reset.
    reg [15:0] beats = 0, starts = 0;
    wire moves = beat_valid && beat_ready;
    reg past = 0, was_start, was_reset, was_waits, was_take;
    reg [7:0] was_opcode;
    reg [31:0] was_0, was_9, was_head_0, was_head_9;
    // Cycles for which nothing has been at the head although a command could be.
    reg [4:0] hollow = 0;
    wire [15:0] fields_there = (beats + 2) >> 3;
    always @(posedge clock) begin
        beats <= reset ? 0 : beats + moves;
        starts <= reset ? 0 : starts + start;
        hollow <= reset || waits || fields_there == starts ? 0 : hollow + 1;
        past <= 1;
        {was_start, was_reset, was_0, was_9} <= {start, reset, active_0, active_9};
        {was_head_0, was_head_9} <= {\in.dut.pending_0 , \in.dut.pending_9 };
        {was_waits, was_take, was_opcode} <= {waits, take, opcode};
    end

    always @(*) begin
        assume (beats < 16'hfff0);
        if (start) assert (take && !halt && waits && (wait_mask & ~available) == 0 && (signal_mask & blocked) == 0);    // C1
        if (waits && take && !halt && (wait_mask & ~available) == 0 && (signal_mask & blocked) == 0) assert (start);    // C2
        assert (taken == (start ? wait_mask : 4'd0));                                                                   // C3
        assert (lacks == (waits ? wait_mask & ~available : 4'd0) && opcode == \in.dut.pending_0 [7:0]);
        assert (starts <= fields_there);                                                                                // C4
        if (waits) assert (starts < fields_there);                                                                      // C4
        assert (hollow <= 9);                                                                                           // C5
        if (past && !(was_take && was_waits)) assert (active_0 == was_0 && active_9 == was_9);                                        // C6
        if (past && was_take && was_waits) assert (active_0 == was_head_0 && active_9 == was_head_9);                  // C6
        if (past && was_waits && !was_start && !was_reset) assert (waits && opcode == was_opcode);                      // C6
        cover (start && taken == 5 && opcode == 3);
        cover (waits && !start && lacks == 2);
    end

`ifdef INDUCTION
    wire [7:0] \in.dut.part ;
    wire \in.dut.complete ;
    wire [4:0] \in.dut.queue_0.count ;
    // Cycles until the next command is at the head, if its fields are there.
    wire [4:0] to_go = \in.dut.complete ? 7 : \in.dut.part >= 6 ? 15 - \in.dut.part : 6 - \in.dut.part ;
    // Beats that have left the queue.
    wire [15:0] moved = beats - \in.dut.queue_0.count ;
    wire \in.dut.queue_0.filled ;
    always @(*) begin
        assert (\in.dut.queue_0.filled  == (\in.dut.queue_0.count != 0));
        assert (\in.dut.queue_0.count <= 16 && \in.dut.queue_0.count <= beats);
        assert (\in.dut.part < 8 && \in.dut.part == moved[2:0]);
        if (\in.dut.complete ) assert (\in.dut.part == 0 && moved != 0);
        if (waits && !\in.dut.complete ) assert (\in.dut.part >= 6);
        assert (starts + waits == ((moved + 2) >> 3));
        if (fields_there == starts || hollow == 0) assert (hollow <= 9);
        if (fields_there != starts && !waits) assert (hollow + to_go <= 9);
    end
`endif
endmodule
