// Memory switch: the accelerator and the host link on one memory.
//
// Surroundings, by the rules of AXI: both masters hold what they offer; the link has one read and one write at a time and sends its data after its
// address; the memory answers only bursts it was asked for, each with one last beat, and a write after all of its data.
// M1  What the memory is offered stays until it takes it, and so does whose it is: read address, write address and write data.
// M2  Answers and data go to the master whose burst it is; bursts of both are never under way together.
// M3  The counters are the accelerator's bursts under way, and never overflow.
// M4  Write data reach the memory only after their address, from one master at a time.
// M5  While the link waits, at most one more burst of the accelerator begins; when its last one has ended, the link has the port in the next cycle.
// M6  While the link wants nothing, the accelerator is held back by nothing but 255 bursts under way.
module harness (
    input wire clock,
    input wire a_ar_valid, a_r_ready, a_aw_valid, a_w_valid, a_w_last, a_b_ready,
    input wire l_ar_valid, l_r_ready, l_aw_valid, l_w_valid, l_w_last, l_b_ready,
    input wire ar_ready, r_valid, r_last, aw_ready, w_ready, b_valid
);
    wire a_ar_ready, a_r_valid, a_aw_ready, a_w_ready, a_b_valid;
    wire l_ar_ready, l_r_valid, l_aw_ready, l_w_ready, l_b_valid;
    wire ar_valid, r_ready, aw_valid, w_valid, b_ready, link_reads, link_writes;
    memory_switch dut (
        .clock(clock), .reset(1'b0),
        .a_ar_valid(a_ar_valid), .a_ar_ready(a_ar_ready), .a_r_valid(a_r_valid), .a_r_ready(a_r_ready),
        .a_aw_valid(a_aw_valid), .a_aw_ready(a_aw_ready), .a_w_valid(a_w_valid), .a_w_ready(a_w_ready), .a_w_last(a_w_last),
        .a_b_valid(a_b_valid), .a_b_ready(a_b_ready),
        .l_ar_valid(l_ar_valid), .l_ar_ready(l_ar_ready), .l_r_valid(l_r_valid), .l_r_ready(l_r_ready),
        .l_aw_valid(l_aw_valid), .l_aw_ready(l_aw_ready), .l_w_valid(l_w_valid), .l_w_ready(l_w_ready),
        .l_b_valid(l_b_valid), .l_b_ready(l_b_ready),
        .ar_valid(ar_valid), .ar_ready(ar_ready), .r_valid(r_valid), .r_ready(r_ready), .r_last(r_last),
        .aw_valid(aw_valid), .aw_ready(aw_ready), .w_valid(w_valid), .w_ready(w_ready), .b_valid(b_valid), .b_ready(b_ready),
        .link_reads(link_reads), .link_writes(link_writes)
    );

    // Bursts under way: reads, writes without an answer, writes whose data are not all there.
    reg [9:0] a_reads = 0, a_writes = 0, a_data = 0;
    reg l_read = 0, l_write = 0, l_data = 0;
    // Bursts of the accelerator that began while the link waited.
    reg [9:0] passed_reads = 0, passed_writes = 0;
    wire a_ar = a_ar_valid && a_ar_ready;
    wire l_ar = l_ar_valid && l_ar_ready;
    wire a_r = a_r_valid && a_r_ready && r_last;
    wire l_r = l_r_valid && l_r_ready && r_last;
    wire a_aw = a_aw_valid && a_aw_ready;
    wire l_aw = l_aw_valid && l_aw_ready;
    wire a_w = a_w_valid && a_w_ready && a_w_last;
    wire l_w = l_w_valid && l_w_ready && l_w_last;
    wire a_b = a_b_valid && a_b_ready;
    wire l_b = l_b_valid && l_b_ready;
    reg past = 0;
    reg [10:0] was;
    reg was_link_reads, was_link_writes, was_w_link;
    reg idle_reads, idle_writes;
    wire w_link = l_w_valid && l_data;
    always @(posedge clock) begin
        a_reads <= a_reads + a_ar - a_r;
        a_writes <= a_writes + a_aw - a_b;
        a_data <= a_data + a_aw - a_w;
        l_read <= l_ar || (l_read && !l_r);
        l_write <= l_aw || (l_write && !l_b);
        l_data <= l_aw || (l_data && !l_w);
        passed_reads <= l_ar_valid && !l_ar_ready ? passed_reads + a_ar : 0;
        passed_writes <= l_aw_valid && !l_aw_ready ? passed_writes + a_aw : 0;
        past <= 1;
        was <= {a_ar_valid && !a_ar_ready, a_aw_valid && !a_aw_ready, a_w_valid && !a_w_ready, l_ar_valid && !l_ar_ready,
            l_aw_valid && !l_aw_ready, l_w_valid && !l_w_ready, ar_valid && !ar_ready, aw_valid && !aw_ready,
            w_valid && !w_ready, r_valid && !r_ready, b_valid && !b_ready};
        was_link_reads <= link_reads;
        was_link_writes <= link_writes;
        was_w_link <= w_link;
        idle_reads <= l_ar_valid && a_reads == 0 && !(ar_valid && !ar_ready) && !a_ar;
        idle_writes <= l_aw_valid && a_writes == 0 && !(aw_valid && !aw_ready) && !a_aw;
    end

    reg was_a_w_last, was_l_w_last, was_r_last;
    always @(posedge clock) {was_a_w_last, was_l_w_last, was_r_last} <= {a_w_last, l_w_last, r_last};

    always @(*) begin
        // The masters hold what they offer, and so does the memory.
        if (past && was[10]) assume (a_ar_valid);
        if (past && was[9]) assume (a_aw_valid);
        if (past && was[8]) assume (a_w_valid && a_w_last == was_a_w_last);
        if (past && was[7]) assume (l_ar_valid);
        if (past && was[6]) assume (l_aw_valid);
        if (past && was[5]) assume (l_w_valid && l_w_last == was_l_w_last);
        if (past && was[1]) assume (r_valid && r_last == was_r_last);
        if (past && was[0]) assume (b_valid);
        if (l_read) assume (!l_ar_valid);
        if (l_write) assume (!l_aw_valid);
        if (l_w_valid) assume (l_data);
        if (r_valid) assume (a_reads != 0 || l_read);
        if (b_valid) assume ((a_writes > a_data) || (l_write && !l_data));

        if (past && was[4]) assert (ar_valid && link_reads == was_link_reads);                  // M1
        if (past && was[3]) assert (aw_valid && link_writes == was_link_writes);                // M1
        if (past && was[2]) assert (w_valid && w_link == was_w_link);                           // M1
        assert (!(a_reads != 0 && l_read) && !(a_writes != 0 && l_write));                      // M2
        if (a_r_valid) assert (a_reads != 0);                                                   // M2
        if (l_r_valid) assert (l_read);                                                         // M2
        if (a_b_valid) assert (a_writes != 0);                                                  // M2
        if (l_b_valid) assert (l_write);                                                        // M2
        assert (r_valid == (a_r_valid || l_r_valid) && b_valid == (a_b_valid || l_b_valid));    // M2
        assert (a_reads <= 255 && a_writes <= 255 && a_data <= 255);                            // M3
        if (a_w_valid && a_w_ready) assert (a_data != 0);                                       // M4
        if (w_valid) assert (a_data != 0 || l_data);                                            // M4
        assert (!(a_data != 0 && l_data));                                                      // M4
        assert (passed_reads <= 1 && passed_writes <= 1);                                       // M5
        if (past && idle_reads) assert (link_reads || l_read);                                  // M5
        if (past && idle_writes) assert (link_writes || l_write);                               // M5
        if (!l_ar_valid && !l_read && a_reads < 255 && !link_reads) assert (a_ar_ready == ar_ready);   // M6
        if (!l_aw_valid && !l_write && a_writes < 255 && !link_writes) assert (a_aw_ready == aw_ready); // M6
        cover (l_read && a_ar_valid);
        cover (l_b_valid && l_b_ready && a_aw_valid);
        cover (a_reads == 3 && l_ar_valid);
    end

`ifdef INDUCTION
    wire [7:0] \in.dut.reads , \in.dut.writes , \in.dut.data ;
    wire \in.dut.read_sent , \in.dut.write_sent , \in.dut.read_offered , \in.dut.write_offered ;
    always @(*) begin
        assert (\in.dut.reads == a_reads && \in.dut.writes == a_writes && \in.dut.data == a_data && a_data <= a_writes);
        assert (\in.dut.read_sent == l_read && \in.dut.write_sent == l_write);
        if (l_read) assert (link_reads);
        if (l_write) assert (link_writes);
        if (l_data) assert (l_write);
        if (link_reads) assert (a_reads == 0 && !\in.dut.read_offered );
        if (link_writes) assert (a_writes == 0 && !\in.dut.write_offered );
        if (link_reads && !l_read) assert (l_ar_valid);
        if (link_writes && !l_write) assert (l_aw_valid);
        if (past) assert (\in.dut.read_offered == (was[4] && !was_link_reads));
        if (past) assert (\in.dut.write_offered == (was[3] && !was_link_writes));
        if (\in.dut.read_offered ) assert (a_ar_valid && a_reads < 255);
        if (\in.dut.write_offered ) assert (a_aw_valid && a_writes < 255);
        if (!past) assert (!\in.dut.read_offered && !\in.dut.write_offered && !link_reads && !link_writes);
        if (passed_reads != 0) assert (!\in.dut.read_offered );
        if (passed_writes != 0) assert (!\in.dut.write_offered );
    end
`endif
endmodule
