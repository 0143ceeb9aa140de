// Burst generator, for a bus of BUS_BYTES bytes.
//
// Surroundings: a transfer starts when the last one is done, has rows of at least one beat, and addresses and strides are multiples of the bus'
// bytes. Row length and stride stay while it runs.
// B1  A burst has 1 to 64 beats.
// B2  A burst does not cross a 4 KiB boundary.
// B3  Bursts follow one another without gap or overlap within a row; each row begins a stride after the last one.
// B4  The beats of a row's bursts add up to the row, and all rows are there when `done` rises.
// B5  An offered burst stays, unchanged, until it is taken.
// B6  While a transfer runs, a burst is offered at the latest one cycle after the last one was taken; by B1 each leaves less to do, so it ends.
// B7  A transfer that is refused with its start offers nothing, and is over two cycles later.
module harness (
    input wire clock,
    input wire reset,
    input wire start,
    input wire refuse,
    input wire [31:0] base, offset,
    input wire [15:0] last_row,
    input wire [23:0] row_beats,
    input wire [31:0] row_stride,
    input wire burst_ready
);
    wire burst_valid, done;
    wire [31:0] burst_address;
    wire [7:0] burst_length;

    burst_generator dut (
        .clock(clock), .reset(reset), .start(start), .refuse(refuse), .base(base), .offset(offset), .last_row(last_row), .row_beats(row_beats),
        .row_stride(row_stride), .burst_valid(burst_valid), .burst_ready(burst_ready), .burst_address(burst_address),
        .burst_length(burst_length), .done(done)
    );

    // Inside.
    wire [31:0] \in.dut.next_address , \in.dut.row_address ;
    wire [23:0] \in.dut.beats_left , \in.dut.beats ;
    wire [15:0] \in.dut.rows_left ;
    wire \in.dut.last_row_left , \in.dut.row_ends , \in.dut.fresh , \in.dut.refused ;
    wire [31:0] \in.dut.address ;

    // The transfer, and how much of it is done.
    reg [23:0] beats = 0;
    reg [31:0] stride = 0;
    reg [16:0] rows = 0;
    reg [16:0] whole = 0;
    reg [31:0] row_start = 0;
    reg [24:0] sent = 0;
    // A transfer began in the cycle before; it was refused then.
    reg fresh = 0, refused = 0;
    wire [31:0] address = base + offset;
    wire [24:0] length = burst_length + 25'd1;
    wire taken = burst_valid && burst_ready;
    always @(posedge clock) begin
        if (taken) begin
            sent <= sent + length;
            if (sent + length == beats) begin
                sent <= 0;
                whole <= whole + 1;
                row_start <= row_start + stride;
            end
        end
        if (start) begin
            beats <= row_beats;
            stride <= row_stride;
            rows <= last_row + 17'd1;
            whole <= 0;
            row_start <= address;
            sent <= 0;
        end
        fresh <= start && !reset;
        refused <= start && refuse && !reset;
    end

    always @(*) begin
        if (start) assume (done);
        if (start && !refuse) assume (row_beats != 0 && address % `BUS_BYTES == 0 && row_stride % `BUS_BYTES == 0);
        if (!done) assume (row_beats == beats && row_stride == stride);
        if (refused) assert (!burst_valid);                                                 // B7
        if (burst_valid) begin
            assert (!done);
            assert (length >= 1 && length <= 64);                                           // B1
            assert (burst_address[11:0] + length * `BUS_BYTES <= 4096);                     // B2
            assert (burst_address == row_start + sent * `BUS_BYTES);                        // B3
            assert (sent + length <= beats);                                                // B4
        end
`ifdef INDUCTION
        // What makes the induction close.
        assert (\in.dut.fresh  == fresh && \in.dut.refused  == refused);
        if (fresh) assert (!done && \in.dut.address  == row_start);
        if (refused) assert (fresh);
        if (!done && !refused) begin
            assert (\in.dut.beats_left  == beats - sent && sent < beats);
            assert (\in.dut.last_row_left  == (\in.dut.rows_left  == 0));
            assert (\in.dut.rows_left  == rows - whole - 1 && whole < rows && rows <= 65536);
            assert (fresh || (\in.dut.next_address  == row_start + sent * `BUS_BYTES && \in.dut.row_address  == row_start));
            assert (row_start % `BUS_BYTES == 0 && stride % `BUS_BYTES == 0);
            assert (!fresh || (!burst_valid && sent == 0));
            if (burst_valid) assert (\in.dut.beats  == length && \in.dut.row_ends  == (sent + length == beats));
        end
`endif
        cover (taken && length == 64 && whole == 1);
        cover (taken && burst_address[11:0] + length * `BUS_BYTES == 4096 && length == 3 && sent + length < beats);
    end

    reg past = 0;
    reg was_reset, was_valid, was_ready, was_done, was_start, was_refused;
    reg [31:0] was_address;
    reg [7:0] was_length;
    always @(posedge clock) begin
        past <= 1;
        {was_reset, was_valid, was_ready, was_done, was_start} <= {reset, burst_valid, burst_ready, done, start};
        was_refused <= refused;
        was_address <= burst_address;
        was_length <= burst_length;
    end
    always @(*) begin
        if (past && !was_reset) begin
            if (was_valid && !was_ready) assert (burst_valid && burst_address == was_address && burst_length == was_length); // B5
            if (!was_done && !was_valid && !was_refused) assert (burst_valid);              // B6
            if (!was_done && done && !was_refused) assert (whole == rows && sent == 0);     // B4
            if (was_refused) assert (done && !burst_valid);                                 // B7
            if (was_start) assert (!done);
        end
        cover (past && !was_reset && !was_done && done && rows == 2);
    end
endmodule
