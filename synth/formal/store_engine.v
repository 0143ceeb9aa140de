// Store engine of the configuration `nano`, towards memory. What its burst generator does is burst_generator.v's matter.
//
// Surroundings: a command starts only when the engine takes one, and stays until the next one starts; base addresses are multiples of 16; a memory
// on chip grants what was asked for only; memory answers a burst after its last beat. With BOUNDED everybody has a rhythm of his own
// of four cycles, in at least one of which he is ready, and a command starts after reset, of one or two rows of four beats.
// S1  What the proof of the burst generator assumes is so: transfers start when the last one is done, are not empty, aligned, and do not change.
// S2  An offered write address stays, unchanged, until it is taken; so does an offered beat, with its data and whether it is a burst's last.
// S3  No queue overflows: vectors, lengths of bursts, commands whose answers are awaited.
// S4  Data of a burst come after its address only, and its last beat is marked: as many beats as its address said, for every burst.
// S5  `finished` comes once for every legal command, never without one, and at most five have started and not yet finished.
// S6  (BOUNDED) Every command finishes: at the latest IN_TIME cycles after it started, with all of its beats sent and all of its bursts answered.
module harness (
    input wire clock,
    input wire reset,
    input wire start,
    input wire [31:0] command_0, command_1, command_2, command_3, command_4, command_5, command_6, command_7,
    input wire [31:0] command_8, command_9, command_10, command_11, command_12, command_13, command_14, command_15,
    input wire [31:0] base,
    input wire activation_ready, accumulator_ready,
    input wire [31:0] activation_data_0, activation_data_1,
    input wire [31:0] accumulator_data_0, accumulator_data_1, accumulator_data_2, accumulator_data_3,
    input wire burst_ready,
    input wire beat_ready,
    input wire response_valid,
    // The burst that S4 follows.
    input wire mark
);
    wire take, burst_valid, beat_valid, beat_last, response_ready, finished, busy, illegal, activation_enable, accumulator_enable;
    wire [31:0] burst_address, beat_0, beat_1;
    wire [7:0] burst_length;
    // A few rows of 32 bytes, the first one across 4 KiB; or anything.
    wire [511:0] few = {352'd0, 32'd48, 32'd32, 31'd0, command_2[0], 32'h00000ff0, 32'd0};
    wire [511:0] any = {command_15, command_14, command_13, command_12, command_11, command_10, command_9, command_8,
        command_7, command_6, command_5, command_4, command_3, command_2, command_1, command_0};
    wire [511:0] command = `FEW ? few : any;
    store_engine dut (
        .clock(clock), .reset(reset), .start(start),
        .command_0(command[31:0]), .command_1(command[63:32]), .command_2(command[95:64]), .command_3(command[127:96]),
        .command_4(command[159:128]), .command_5(command[191:160]), .command_6(command[223:192]), .command_7(command[255:224]),
        .command_8(command[287:256]), .command_9(command[319:288]), .command_10(command[351:320]), .command_11(command[383:352]),
        .command_12(command[415:384]), .command_13(command[447:416]), .command_14(command[479:448]), .command_15(command[511:480]),
        .take(take), .base(`FEW ? 32'd0 : base), .activation_enable(activation_enable), .activation_ready(activation_ready),
        .activation_data_0(`FEW ? 32'd0 : activation_data_0), .activation_data_1(`FEW ? 32'd0 : activation_data_1),
        .accumulator_enable(accumulator_enable), .accumulator_ready(accumulator_ready),
        .accumulator_data_0(`FEW ? 32'd0 : accumulator_data_0), .accumulator_data_1(`FEW ? 32'd0 : accumulator_data_1),
        .accumulator_data_2(`FEW ? 32'd0 : accumulator_data_2), .accumulator_data_3(`FEW ? 32'd0 : accumulator_data_3),
        .burst_valid(burst_valid), .burst_ready(burst_ready), .burst_address(burst_address), .burst_length(burst_length),
        .beat_valid(beat_valid), .beat_ready(beat_ready), .beat_0(beat_0), .beat_1(beat_1), .beat_last(beat_last),
        .response_valid(response_valid), .response_ready(response_ready), .response_error(1'b0),
        .finished(finished), .busy(busy), .illegal(illegal)
    );
    wire \in.dut.bursts.start , \in.dut.bursts.done ;
    wire \in.dut.vectors.write_valid , \in.dut.vectors.write_ready , \in.dut.lengths.write_valid , \in.dut.lengths.write_ready ;
    wire \in.dut.completions.write_valid , \in.dut.completions.write_ready ;
    wire [31:0] \in.dut.bursts.base , \in.dut.bursts.offset , \in.dut.bursts.row_stride ;
    wire \in.dut.bursts.refuse ;
    wire [23:0] \in.dut.bursts.row_beats ;
    wire [15:0] \in.dut.bursts.last_row ;

    // With BOUNDED: when each of them pauses, in every four cycles.
    (* anyconst *) wire [15:0] pauses;
    reg [1:0] now = 0;
    always @(posedge clock) now <= now + 1;
    reg past = 0;
    reg was_start = 0, was_offered, was_beat_offered, was_reset, was_last;
    reg [511:0] was_command;
    reg [31:0] was_address, was_base;
    reg [63:0] was_data;
    reg [7:0] was_length;
    // The transfer.
    reg [23:0] beats = 0;
    reg [31:0] stride = 0;
    // Legal commands that have started and not finished; bursts taken whose data are not all there, and those without an answer.
    reg [3:0] open = 0;
    reg [15:0] data = 0, unanswered = 0;
    // The beats of the burst that is being sent.
    reg [7:0] sent = 0;
    // The burst that is followed.
    reg followed = 0;
    reg [15:0] ahead = 0;
    reg [7:0] length = 0;
    reg [7:0] age = 0, went = 0, wanted = 0;
    wire accepted = was_start && !illegal;
    wire asks = burst_valid && burst_ready;
    wire beat = beat_valid && beat_ready;
    wire ends = beat && beat_last;
    always @(posedge clock) begin
        past <= 1;
        {was_start, was_offered, was_beat_offered, was_reset, was_last} <=
            {start && !reset, burst_valid && !burst_ready, beat_valid && !beat_ready, reset, beat_last};
        {was_command, was_address, was_length, was_base, was_data} <= {command, burst_address, burst_length, base, beat_1, beat_0};
        if (\in.dut.bursts.start ) {beats, stride} <= {\in.dut.bursts.row_beats , \in.dut.bursts.row_stride };
        open <= open + accepted - finished;
        data <= data + asks - ends;
        unanswered <= unanswered + asks - response_valid;
        sent <= ends ? 0 : sent + beat;
        if (followed && ends) begin
            ahead <= ahead - 1;
            if (ahead == 0) followed <= 0;
        end
        if (!followed && asks && mark) begin
            followed <= 1;
            ahead <= data - ends;
            length <= burst_length;
        end
        age <= open == 0 ? 0 : age + 1;
        went <= start ? 0 : went + beat;
        if (accepted) wanted <= \in.dut.bursts.row_beats * (\in.dut.bursts.last_row + 1);
        if (reset) {open, data, unanswered, sent, followed} <= 0;
    end

    always @(*) begin
        if (start) assume (take);
        if (past && !was_start) assume (command == was_command);
        assume (base[3:0] == 0 && (!past || base == was_base));
        if (response_valid) assume (unanswered > data);
        // The count of answers is 16 bits: so many are never without one.
        assume (unanswered < 1000);
        if (\in.dut.bursts.start ) assert (\in.dut.bursts.done );                                               // S1
        if (\in.dut.bursts.start ) assert (\in.dut.bursts.refuse == illegal);                                  // S1
        if (\in.dut.bursts.start && !illegal) begin
            assert (\in.dut.bursts.row_beats != 0 && \in.dut.bursts.row_stride [2:0] == 0);                     // S1
            assert (\in.dut.bursts.base [2:0] == 0 && \in.dut.bursts.offset [2:0] == 0);                       // S1
        end
        if (!\in.dut.bursts.done ) assert (\in.dut.bursts.row_beats == beats && \in.dut.bursts.row_stride == stride); // S1
        if (past && was_offered && !was_reset) assert (burst_valid && burst_address == was_address && burst_length == was_length); // S2
        if (past && was_beat_offered && !was_reset)
            assert (beat_valid && beat_last == was_last && {beat_1, beat_0} == was_data);                       // S2
        if (\in.dut.vectors.write_valid ) assert (\in.dut.vectors.write_ready );                                // S3
        if (\in.dut.lengths.write_valid ) assert (\in.dut.lengths.write_ready );                                // S3
        if (\in.dut.completions.write_valid ) assert (\in.dut.completions.write_ready );                        // S3
        if (beat_valid) assert (data != 0);                                                                     // S4
        if (followed && ahead == 0 && beat_valid) assert (sent <= length && beat_last == (sent == length));     // S4
        if (finished) assert (open != 0);                                                                       // S5
        assert (open <= 6);                                                                                     // S5
`ifdef BOUNDED
        assume (reset == 0);
        assume (burst_ready == pauses[{2'd0, now}] && beat_ready == pauses[{2'd1, now}]);
        assume (activation_ready == pauses[{2'd2, now}] && response_valid == (pauses[{2'd3, now}] && unanswered > data));
        assume (pauses[3:0] != 0 && pauses[7:4] != 0 && pauses[11:8] != 0 && pauses[15:12] != 0);
        assume (start == !past);
        assert (age <= `IN_TIME);                                                                                     // S6
        if (finished) assert (went == wanted && data == 0 && unanswered == response_valid);                     // S6
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
    wire [3:0] \in.dut.vectors.count , \in.dut.lengths.count ;
    wire [2:0] \in.dut.completions.count ;
    wire [2:0] \in.dut.lengths.read_pointer , \in.dut.lengths.write_pointer ;
    wire [31:0] \in.dut.lengths.entries[0] , \in.dut.lengths.entries[1] , \in.dut.lengths.entries[2] , \in.dut.lengths.entries[3] ;
    wire [31:0] \in.dut.lengths.entries[4] , \in.dut.lengths.entries[5] , \in.dut.lengths.entries[6] , \in.dut.lengths.entries[7] ;
    wire \in.dut.running , \in.dut.reading , \in.dut.arrived , \in.dut.setup , \in.dut.bursts.offering , \in.dut.bursts.running ;
    wire \in.dut.ended , \in.dut.bursts.refused , \in.dut.was_taken ;
    wire [7:0] \in.dut.burst_beat ;
    wire [2:0] place = \in.dut.lengths.read_pointer + ahead[2:0];
    wire [31:0] kept = place == 0 ? \in.dut.lengths.entries[0] : place == 1 ? \in.dut.lengths.entries[1] :
        place == 2 ? \in.dut.lengths.entries[2] : place == 3 ? \in.dut.lengths.entries[3] : place == 4 ? \in.dut.lengths.entries[4] :
        place == 5 ? \in.dut.lengths.entries[5] : place == 6 ? \in.dut.lengths.entries[6] : \in.dut.lengths.entries[7] ;
    wire [2:0] apart = \in.dut.lengths.write_pointer - \in.dut.lengths.read_pointer ;
    wire \in.dut.vectors.filled , \in.dut.lengths.filled , \in.dut.completions.filled ;
    always @(*) begin
        assert (\in.dut.vectors.filled  == (\in.dut.vectors.count != 0));
        assert (\in.dut.lengths.filled  == (\in.dut.lengths.count != 0));
        assert (\in.dut.completions.filled  == (\in.dut.completions.count != 0));
        assert (\in.dut.setup == was_start);
        assert (\in.dut.vectors.count + \in.dut.arrived <= 7);
        assert (\in.dut.completions.count <= 4 && \in.dut.lengths.count <= 8);
        if (\in.dut.setup || \in.dut.running ) assert (\in.dut.completions.count < 4);
        if (\in.dut.setup ) assert (!\in.dut.running );
        if (\in.dut.reading || (!\in.dut.bursts.done && !\in.dut.bursts.refused )) assert (\in.dut.running );
        if (\in.dut.was_taken ) assert (\in.dut.bursts.offering && \in.dut.running );
        if (was_start) assert (\in.dut.bursts.done );
        assert (open == \in.dut.running + \in.dut.completions.count + \in.dut.ended );
        if (\in.dut.bursts.offering ) assert (\in.dut.bursts.running );
        assert (data == \in.dut.lengths.count && apart == data[2:0]);
        if (followed) assert (ahead < data && kept[7:0] == length);
        assert (sent == \in.dut.burst_beat );
        if (followed && ahead == 0) assert (sent <= length);
        if (data == 0) assert (sent == 0);
    end
`endif
endmodule
