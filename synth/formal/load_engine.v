// Load engine of the configuration `nano`, towards memory. What its burst generator does is burst_generator.v's matter.
//
// Surroundings: a command starts only when the engine takes one, and stays until the next one starts; base addresses are multiples of 16; memory
// gives a beat only when one was asked for and has not come. With BOUNDED everybody has a rhythm of his own of
// four cycles, in at least one of which he is ready, and a command starts after reset, of one or two rows of four beats.
// L1  What the proof of the burst generator assumes is so: transfers start when the last one is done, are not empty, aligned, and do not change.
// L2  An offered read address stays, unchanged, until it is taken.
// L3  The queue of descriptors never overflows: every command that starts and is legal finds room in it.
// L4  `finished` comes once for every legal command, never without one, and at most five have started and not yet finished.
// L5  (BOUNDED) Every command finishes: at the latest IN_TIME cycles after it started, with all of its beats taken and no others.
module harness (
    input wire clock,
    input wire reset,
    input wire start,
    input wire [31:0] command_0, command_1, command_2, command_3, command_4, command_5, command_6, command_7,
    input wire [31:0] command_8, command_9, command_10, command_11, command_12, command_13, command_14, command_15,
    input wire [31:0] base,
    input wire burst_ready,
    input wire beat_valid,
    input wire [31:0] beat_0, beat_1,
    input wire write_ready
);
    wire take, burst_valid, beat_ready, finished, busy, illegal;
    wire [31:0] burst_address;
    wire [7:0] burst_length;
    // A few rows of 32 bytes, the first one across 4 KiB; or anything.
    wire [511:0] few = {352'd0, 32'd48, 32'd32, 31'd0, command_2[0], 32'h00000ff0, 32'd0};
    wire [511:0] any = {command_15, command_14, command_13, command_12, command_11, command_10, command_9, command_8,
        command_7, command_6, command_5, command_4, command_3, command_2, command_1, command_0};
    wire [511:0] command = `FEW ? few : any;
    load_engine dut (
        .clock(clock), .reset(reset), .start(start),
        .command_0(command[31:0]), .command_1(command[63:32]), .command_2(command[95:64]), .command_3(command[127:96]),
        .command_4(command[159:128]), .command_5(command[191:160]), .command_6(command[223:192]), .command_7(command[255:224]),
        .command_8(command[287:256]), .command_9(command[319:288]), .command_10(command[351:320]), .command_11(command[383:352]),
        .command_12(command[415:384]), .command_13(command[447:416]), .command_14(command[479:448]), .command_15(command[511:480]),
        .take(take), .base(`FEW ? 32'd0 : base), .burst_valid(burst_valid), .burst_ready(burst_ready), .burst_address(burst_address),
        .burst_length(burst_length), .beat_valid(beat_valid), .beat_ready(beat_ready), .beat_0(`FEW ? 32'd0 : beat_0), .beat_1(`FEW ? 32'd0 : beat_1),
        .beat_error(1'b0), .write_ready(write_ready), .finished(finished), .busy(busy), .illegal(illegal)
    );
    wire \in.dut.bursts.start , \in.dut.bursts.done , \in.dut.descriptors.write_valid , \in.dut.descriptors.write_ready ;
    wire [31:0] \in.dut.bursts.base , \in.dut.bursts.offset , \in.dut.bursts.row_stride ;
    wire \in.dut.bursts.refuse ;
    wire [23:0] \in.dut.bursts.row_beats ;
    wire [15:0] \in.dut.bursts.last_row ;

    // With BOUNDED: when each of them pauses, in every four cycles.
    (* anyconst *) wire [15:0] pauses;
    reg [1:0] now = 0;
    always @(posedge clock) now <= now + 1;
    reg past = 0;
    reg was_start = 0, was_offered, was_reset;
    reg [511:0] was_command;
    reg [31:0] was_address, was_base;
    reg [7:0] was_length;
    // The transfer.
    reg [23:0] beats = 0;
    reg [31:0] stride = 0;
    // Legal commands that have started and not finished; beats asked for that have not come.
    reg [3:0] open = 0;
    reg [31:0] owed = 0;
    // With BOUNDED: cycles since the only command started, beats of it that came.
    reg [7:0] age = 0;
    reg [7:0] came = 0, wanted = 0;
    wire accepted = was_start && !illegal;
    always @(posedge clock) begin
        past <= 1;
        {was_start, was_offered, was_reset} <= {start && !reset, burst_valid && !burst_ready, reset};
        {was_command, was_address, was_length, was_base} <= {command, burst_address, burst_length, base};
        if (\in.dut.bursts.start ) {beats, stride} <= {\in.dut.bursts.row_beats , \in.dut.bursts.row_stride };
        open <= reset ? 0 : open + accepted - finished;
        owed <= reset ? 0 : owed + (burst_valid && burst_ready ? burst_length + 32'd1 : 32'd0) - (beat_valid && beat_ready);
        age <= open == 0 ? 0 : age + 1;
        came <= start ? 0 : came + (beat_valid && beat_ready);
        if (accepted) wanted <= \in.dut.bursts.row_beats * (\in.dut.bursts.last_row + 1);
    end

    always @(*) begin
        if (start) assume (take);
        if (past && !was_start) assume (command == was_command);
        assume (base[3:0] == 0 && (!past || base == was_base));
        if (beat_valid) assume (owed != 0);
        assume (!owed[31]);
        if (\in.dut.bursts.start ) assert (\in.dut.bursts.done );                                               // L1
        if (\in.dut.bursts.start ) assert (\in.dut.bursts.refuse == illegal);                                  // L1
        if (\in.dut.bursts.start && !illegal) begin
            assert (\in.dut.bursts.row_beats != 0 && \in.dut.bursts.row_stride [2:0] == 0);                     // L1
            assert (\in.dut.bursts.base [2:0] == 0 && \in.dut.bursts.offset [2:0] == 0);                       // L1
        end
        if (!\in.dut.bursts.done ) assert (\in.dut.bursts.row_beats == beats && \in.dut.bursts.row_stride == stride); // L1
        if (past && was_offered && !was_reset) assert (burst_valid && burst_address == was_address && burst_length == was_length); // L2
        if (\in.dut.descriptors.write_valid ) assert (\in.dut.descriptors.write_ready );                        // L3
        if (finished) assert (open != 0);                                                                       // L4
        assert (open <= 8);                                                                                     // L4
`ifdef BOUNDED
        assume (reset == 0);
        assume (burst_ready == pauses[{2'd0, now}] && write_ready == pauses[{2'd1, now}]);
        assume (beat_valid == (pauses[{2'd2, now}] && owed != 0));
        assume (pauses[3:0] != 0 && pauses[7:4] != 0 && pauses[11:8] != 0);
        assume (start == !past);
        assert (age <= `IN_TIME);                                                                                     // L5
        if (finished) assert (came == wanted && owed == 0);                                                     // L5
        cover (finished && wanted == 8);
`endif
    end

`ifdef ANY
    always @(*) begin
        cover (finished);
        cover (illegal);
    end
`endif

`ifdef INDUCTION
    wire [2:0] \in.dut.descriptors.count ;
    wire \in.dut.active , \in.dut.ended , \in.dut.setup , \in.dut.bursts.offering , \in.dut.bursts.running ;
    wire \in.dut.units.head_full , \in.dut.units.spare_full , \in.dut.bursts.refused ;
    // Bit 16 of the word before a unit's last marks the last unit of a command.
    wire [159:0] \in.dut.units.head , \in.dut.units.spare ;
    wire ends_in_head = \in.dut.units.head_full && \in.dut.units.head [112];
    wire ends_in_spare = \in.dut.units.spare_full && \in.dut.units.spare [112];
    wire \in.dut.descriptors.filled ;
    always @(*) begin
        assert (\in.dut.descriptors.filled  == (\in.dut.descriptors.count != 0));
        assert (\in.dut.setup == was_start);
        assert (\in.dut.descriptors.count <= 4);
        if (\in.dut.units.spare_full ) assert (\in.dut.units.head_full );
        assert (open == \in.dut.descriptors.count + \in.dut.active + ends_in_head + ends_in_spare + \in.dut.ended );
        if (was_start) assert (\in.dut.bursts.done && \in.dut.descriptors.count < 4);
        if (\in.dut.bursts.offering ) assert (\in.dut.bursts.running );
        if (!\in.dut.bursts.done ) assert (past && !was_start);
    end
`endif
endmodule
