// Read port of a bus with two words.
//
// Surroundings: a request that is offered stays; otherwise anything.
// A1  An address that memory is offered stays, unchanged, until it is taken.
// A2  Requests that were taken are offered to memory in their order, the first one from the next cycle on, with their addresses and lengths and the ID of
//     whom they came from; nothing else is offered, no two are taken together, and at most two wait.
// A3  A fetch waits for at most 32 beats of loads and the load that goes beyond them, and is taken as soon as there is room then.
// A4  Every beat comes out on the side of its ID, unchanged and in order; beats of a fetch never wait for anybody.
module harness (
    input wire clock,
    input wire reset,
    input wire fetch_valid, load_valid,
    input wire [31:0] fetch_address, load_address,
    input wire [7:0] fetch_length, load_length,
    input wire ar_ready,
    input wire r_valid, r_error, r_id,
    input wire [31:0] r_data_0, r_data_1,
    input wire load_beat_ready,
    input wire mark
);
    wire fetch_ready, load_ready, ar_valid, ar_id, r_ready, beat_error, fetch_beat_valid, load_beat_valid;
    wire [31:0] ar_address, beat_0, beat_1;
    wire [7:0] ar_length;
    read_port dut (
        .clock(clock), .reset(reset),
        .fetch_valid(fetch_valid), .fetch_ready(fetch_ready), .fetch_address(fetch_address), .fetch_length(fetch_length),
        .load_valid(load_valid), .load_ready(load_ready), .load_address(load_address), .load_length(load_length),
        .ar_valid(ar_valid), .ar_ready(ar_ready), .ar_address(ar_address), .ar_length(ar_length), .ar_id(ar_id),
        .r_valid(r_valid), .r_ready(r_ready), .r_data_0(r_data_0), .r_data_1(r_data_1), .r_error(r_error), .r_id(r_id),
        .beat_0(beat_0), .beat_1(beat_1), .beat_error(beat_error),
        .fetch_beat_valid(fetch_beat_valid), .load_beat_valid(load_beat_valid), .load_beat_ready(load_beat_ready)
    );

    wire fetches = fetch_valid && fetch_ready;
    wire loads = load_valid && load_ready;
    reg past = 0;
    reg was_reset, was_offered, was_id, fetch_waits, load_waits;
    reg [31:0] was_address, fetch_was, load_was;
    reg [7:0] was_length, fetch_length_was, load_length_was;
    // What was taken and memory has not: ID, length, address.
    reg [1:0] waiting = 0;
    reg [40:0] first, second;
    wire [40:0] asked = fetches ? {1'b0, fetch_length, fetch_address} : {1'b1, load_length, load_address};
    wire goes = ar_valid && ar_ready;
    reg [15:0] passed = 0;
    always @(posedge clock) begin
        past <= 1;
        {was_reset, was_offered, was_id} <= {reset, ar_valid && !ar_ready, ar_id};
        {was_address, was_length} <= {ar_address, ar_length};
        waiting <= reset ? 0 : waiting + (fetches || loads) - goes;
        if (goes) first <= second;
        if (fetches || loads) begin
            if (waiting - goes == 0) first <= asked;
            else second <= asked;
        end
        {fetch_waits, fetch_was, fetch_length_was} <= {fetch_valid && !fetch_ready, fetch_address, fetch_length};
        {load_waits, load_was, load_length_was} <= {load_valid && !load_ready, load_address, load_length};
        // Beats of loads that were taken while a fetch waits.
        passed <= reset || fetches || !fetch_valid ? 0 : loads ? passed + load_length + 1 : passed;
    end

    // A beat that is followed.
    reg [7:0] held = 0, ahead = 0;
    reg followed = 0, is_load, is_error;
    reg [63:0] data;
    wire put = r_valid && r_ready;
    wire take = fetch_beat_valid || (load_beat_valid && load_beat_ready);
    always @(posedge clock) begin
        held <= held + put - take;
        if (followed && take) begin
            ahead <= ahead - 1;
            if (ahead == 0) followed <= 0;
        end
        if (!followed && put && mark) begin
            followed <= 1;
            ahead <= held - take;
            {is_load, is_error, data} <= {r_id, r_error, r_data_1, r_data_0};
        end
        if (reset) begin
            held <= 0;
            followed <= 0;
        end
    end

    always @(*) begin
        if (past && fetch_waits) assume (fetch_valid && fetch_address == fetch_was && fetch_length == fetch_length_was);
        if (past && load_waits) assume (load_valid && load_address == load_was && load_length == load_length_was);
        if (past && !was_reset) begin
            if (was_offered) assert (ar_valid && ar_address == was_address && ar_length == was_length && ar_id == was_id); // A1
        end
        assert (waiting <= 2 && ar_valid == (waiting != 0));                                // A2
        if (ar_valid) assert ({ar_id, ar_length, ar_address} == first);                     // A2
        assert (!(fetches && loads));                                                       // A2
        assert (passed <= 32 + 255);                                                        // A3
        if (passed >= 32 && fetch_valid && waiting < 2) assert (fetch_ready);               // A3
        assert (held <= 4 && (held != 0) == (fetch_beat_valid || load_beat_valid));         // A4
        assert (!(fetch_beat_valid && load_beat_valid) && r_ready == (held != 4));          // A4
        if (followed) assert (ahead < held);                                                // A4
        if (followed && ahead == 0)
            assert (load_beat_valid == is_load && beat_error == is_error && {beat_1, beat_0} == data); // A4
        cover (passed > 32 && fetches);
        cover (followed && ahead == 0 && is_load && is_error && load_beat_ready && held == 4);
    end

`ifdef INDUCTION
    wire [1:0] \in.dut.data.write_pointer , \in.dut.data.read_pointer ;
    wire [2:0] \in.dut.data.count ;
    wire [95:0] \in.dut.data.entries[0] , \in.dut.data.entries[1] , \in.dut.data.entries[2] , \in.dut.data.entries[3] ;
    wire [8:0] \in.dut.since_fetch ;
    wire \in.dut.requests.write_pointer , \in.dut.requests.read_pointer ;
    wire [1:0] \in.dut.requests.count ;
    wire [63:0] \in.dut.requests.entries[0] , \in.dut.requests.entries[1] ;
    wire [63:0] offered = \in.dut.requests.read_pointer ? \in.dut.requests.entries[1] : \in.dut.requests.entries[0] ;
    wire [63:0] behind = \in.dut.requests.read_pointer ? \in.dut.requests.entries[0] : \in.dut.requests.entries[1] ;
    wire [1:0] place = \in.dut.data.read_pointer + ahead[1:0];
    wire [95:0] kept = place == 0 ? \in.dut.data.entries[0] : place == 1 ? \in.dut.data.entries[1] :
        place == 2 ? \in.dut.data.entries[2] : \in.dut.data.entries[3] ;
    wire [1:0] apart = \in.dut.data.write_pointer - \in.dut.data.read_pointer ;
    wire \in.dut.data.filled , \in.dut.requests.filled ;
    wire \in.dut.fetch_turn ;
    always @(*) begin
        assert (\in.dut.data.filled  == (\in.dut.data.count != 0));
        assert (\in.dut.requests.filled  == (\in.dut.requests.count != 0));
        assert (\in.dut.fetch_turn  == (\in.dut.since_fetch >= 32));
        assert (\in.dut.data.count == held && apart == held[1:0]);
        if (followed) assert (kept[65:0] == {is_error, is_load, data});
        assert (\in.dut.since_fetch <= 31 + 256);
        assert (passed <= \in.dut.since_fetch );
        assert (\in.dut.requests.count == waiting);
        assert ((\in.dut.requests.write_pointer ^ \in.dut.requests.read_pointer ) == waiting[0]);
        if (waiting != 0) assert (offered[40:0] == first);
        if (waiting == 2) assert (behind[40:0] == second);
    end
`endif
endmodule
