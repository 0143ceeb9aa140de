//! Store engine: writes rows of activation vectors or accumulator rows to memory.
//!
//! ```text
//! reads:   row and vector counters --> scratchpad --> FIFO of vectors
//! bursts:  BurstGenerator --> write address channel, FIFO of burst lengths
//! data:    FIFO of vectors --> parts (or pairs) of vectors --> beat register --> write data channel
//! ```
//! `finished` comes when memory has answered every burst of a command. The next command does not wait for that: bursts asked for and answers are
//! counted, and a queue holds the count at which each command is finished. `finished` comes a cycle after the last answer.

use crate::burst_generator::BurstGenerator;
use crate::emit::describe;
use crate::fields;
use crate::lanes::VectorPart;
use crate::leaves::{inputs, outputs, Fifo, PackBytes};
use frugal_isa::{register, Config};
use rust_hdl_core::prelude::*;
use rust_hdl_widgets::prelude::*;

#[derive(LogicBlock)]
pub struct StoreEngine {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    // Command buffer.
    pub start: Signal<In, Bit>,
    pub command: Vec<Signal<In, Bits<32>>>,
    pub take: Signal<Out, Bit>,
    pub base_register: Signal<Out, Bits<3>>,
    pub base: Signal<In, Bits<32>>,
    // Activation scratchpad and accumulator memory: request, grant in the same cycle, data in the next.
    pub activation_enable: Signal<Out, Bit>,
    pub activation_ready: Signal<In, Bit>,
    pub activation_data: Vec<Signal<In, Bits<32>>>,
    pub accumulator_enable: Signal<Out, Bit>,
    pub accumulator_ready: Signal<In, Bit>,
    pub accumulator_data: Vec<Signal<In, Bits<32>>>,
    pub read_address: Signal<Out, Bits<16>>,
    // Write channels.
    pub burst_valid: Signal<Out, Bit>,
    pub burst_ready: Signal<In, Bit>,
    pub burst_address: Signal<Out, Bits<32>>,
    pub burst_length: Signal<Out, Bits<8>>,
    pub beat_valid: Signal<Out, Bit>,
    pub beat_ready: Signal<In, Bit>,
    pub beat: Vec<Signal<Out, Bits<32>>>,
    pub beat_last: Signal<Out, Bit>,
    pub response_valid: Signal<In, Bit>,
    pub response_ready: Signal<Out, Bit>,
    pub response_error: Signal<In, Bit>,
    // Status.
    pub finished: Signal<Out, Bit>,
    pub signal: Signal<Out, Bits<4>>,
    pub busy: Signal<Out, Bit>,
    pub illegal: Signal<Out, Bit>,
    pub write_error: Signal<Out, Bit>,
    /// 0 idle, 1 set up, 2 transferring, 3 waiting for responses.
    pub state: Signal<Out, Bits<4>>,
    fields: fields::Store,
    bursts: BurstGenerator,
    was_taken: DFF<Bit>,
    vectors: Fifo,
    lengths: Fifo,
    completions: Fifo,
    completion: PackBytes,
    part: VectorPart,
    setup: DFF<Bit>,
    running: DFF<Bit>,
    // Read side.
    reading: DFF<Bit>,
    address: DFF<Bits<16>>,
    row_address: DFF<Bits<16>>,
    // The vector is the last one of its row; the row is the last one.
    last_vector: DFF<Bit>,
    last_row: DFF<Bit>,
    vectors_left: DFF<Bits<24>>,
    rows_left: DFF<Bits<16>>,
    arrived: DFF<Bit>,
    // Data side.
    position: DFF<Bits<8>>,
    row_beats_left: DFF<Bits<24>>,
    half: Vec<DFF<Bits<32>>>,
    half_full: DFF<Bit>,
    out: Vec<DFF<Bits<32>>>,
    out_full: DFF<Bit>,
    burst_beat: DFF<Bits<8>>,
    asked: DFF<Bits<16>>,
    ended: DFF<Bit>,
    end_signal: DFF<Bits<4>>,
    answers: DFF<Bits<16>>,
    from_accumulator: Signal<Local, Bit>,
    /// The same from the cycle in which reading begins on, and a cycle later for the data.
    reads_accumulator: DFF<Bit>,
    data_of_accumulator: DFF<Bit>,
    row_vectors: Signal<Local, Bits<24>>,
    row_beats: Signal<Local, Bits<24>>,
    rounded: Signal<Local, Bits<24>>,
    padded_bytes: Signal<Local, Bits<24>>,
    last_position: Signal<Local, Bits<8>>,
    gather: Signal<Local, Bit>,
    space_left: Signal<Local, Bit>,
    request: Signal<Local, Bit>,
    granted: Signal<Local, Bit>,
    out_moves: Signal<Local, Bit>,
    out_free: Signal<Local, Bit>,
    head: Signal<Local, Bit>,
    emit: Signal<Local, Bit>,
    keep_half: Signal<Local, Bit>,
    vector_ends: Signal<Local, Bit>,
    row_ends: Signal<Local, Bit>,
    burst_taken: Signal<Local, Bit>,
    answered: Signal<Local, Bit>,
    burst_ends: Signal<Local, Bit>,
    answers_now: Signal<Local, Bits<16>>,
    all_sent: Signal<Local, Bit>,
    quiet: Signal<Local, Bit>,
    finishing: Signal<Local, Bit>,
    low_offset: Signal<Local, Bits<4>>,
    low_stride: Signal<Local, Bits<4>>,
    low_bytes: Signal<Local, Bits<4>>,
    empty_row: Signal<Local, Bit>,
    bad_alignment: Signal<Local, Bit>,
    bad_base: Signal<Local, Bit>,
    /// Bits of a base register's number that are 1 for none of those there are.
    no_base: Constant<Bits<3>>,
    bad_space: Signal<Local, Bit>,
    beat_shift: Constant<Bits<5>>,
    activation_shift: Constant<Bits<5>>,
    accumulator_shift: Constant<Bits<5>>,
    activation_mask: Constant<Bits<24>>,
    accumulator_mask: Constant<Bits<24>>,
    activation_last_position: Constant<Bits<8>>,
    accumulator_last_position: Constant<Bits<8>>,
    activation_gather: Constant<Bits<1>>,
    accumulator_gather: Constant<Bits<1>>,
    _bus_words: usize,
    _half_words: usize,
    _activation_words: usize,
    _accumulator_words: usize,
    _vector_words: usize,
}

impl StoreEngine {
    /// Vectors that wait between scratchpad and bus.
    const BUFFERED_VECTORS: usize = 8;

    pub fn new(config: &Config) -> Self {
        let bus_bytes = config.bus_bytes();
        let (vector_bytes, row_bytes) = (config.rows, 4 * config.lanes);
        let vector_words = config.rows / 4;
        let words = vector_words.max(config.lanes);
        let shift = |bytes: usize| Constant::new(u64::from(bytes.ilog2()).into());
        let mask = |bytes: usize| Constant::new((bytes as u64 - 1).into());
        let last = |bytes: usize| Constant::new((bytes.div_ceil(bus_bytes) as u64 - 1).into());
        let gather = |bytes: usize| Constant::new(u64::from(bytes < bus_bytes).into());
        Self {
            clock: Signal::default(),
            reset: Signal::default(),
            start: Signal::default(),
            command: inputs(frugal_isa::COMMAND_WORDS),
            take: Signal::default(),
            base_register: Signal::default(),
            base: Signal::default(),
            activation_enable: Signal::default(),
            activation_ready: Signal::default(),
            activation_data: inputs(vector_words),
            accumulator_enable: Signal::default(),
            accumulator_ready: Signal::default(),
            accumulator_data: inputs(config.lanes),
            read_address: Signal::default(),
            burst_valid: Signal::default(),
            burst_ready: Signal::default(),
            burst_address: Signal::default(),
            burst_length: Signal::default(),
            beat_valid: Signal::default(),
            beat_ready: Signal::default(),
            beat: outputs(bus_bytes / 4),
            beat_last: Signal::default(),
            response_valid: Signal::default(),
            response_ready: Signal::default(),
            response_error: Signal::default(),
            finished: Signal::default(),
            signal: Signal::default(),
            busy: Signal::default(),
            illegal: Signal::default(),
            write_error: Signal::default(),
            state: Signal::default(),
            fields: Default::default(),
            bursts: BurstGenerator::new(bus_bytes),
            was_taken: DFF::default(),
            vectors: Fifo::new(Self::BUFFERED_VECTORS, words),
            completions: Fifo::new(4, 1),
            completion: PackBytes::default(),
            lengths: Fifo::new(8, 1),
            part: VectorPart::new(words, bus_bytes / 4),
            setup: DFF::default(),
            running: DFF::default(),
            reading: DFF::default(),
            address: DFF::default(),
            row_address: DFF::default(),
            last_vector: DFF::default(),
            last_row: DFF::default(),
            vectors_left: DFF::default(),
            rows_left: DFF::default(),
            arrived: DFF::default(),
            position: DFF::default(),
            row_beats_left: DFF::default(),
            half: (0..bus_bytes / 8).map(|_| DFF::default()).collect(),
            half_full: DFF::default(),
            out: (0..bus_bytes / 4).map(|_| DFF::default()).collect(),
            out_full: DFF::default(),
            burst_beat: DFF::default(),
            asked: DFF::default(),
            ended: DFF::default(),
            end_signal: DFF::default(),
            answers: DFF::default(),
            from_accumulator: Signal::default(),
            reads_accumulator: DFF::default(),
            data_of_accumulator: DFF::default(),
            row_vectors: Signal::default(),
            row_beats: Signal::default(),
            rounded: Signal::default(),
            padded_bytes: Signal::default(),
            last_position: Signal::default(),
            gather: Signal::default(),
            space_left: Signal::default(),
            request: Signal::default(),
            granted: Signal::default(),
            out_moves: Signal::default(),
            out_free: Signal::default(),
            head: Signal::default(),
            emit: Signal::default(),
            keep_half: Signal::default(),
            vector_ends: Signal::default(),
            row_ends: Signal::default(),
            burst_taken: Signal::default(),
            answered: Signal::default(),
            burst_ends: Signal::default(),
            answers_now: Signal::default(),
            all_sent: Signal::default(),
            quiet: Signal::default(),
            finishing: Signal::default(),
            low_offset: Signal::default(),
            low_stride: Signal::default(),
            low_bytes: Signal::default(),
            empty_row: Signal::default(),
            bad_alignment: Signal::default(),
            bad_base: Signal::default(),
            no_base: Constant::new(((register::BASE_REGISTERS - config.base_registers) as u64).into()),
            bad_space: Signal::default(),
            beat_shift: shift(bus_bytes),
            activation_shift: shift(vector_bytes),
            accumulator_shift: shift(row_bytes),
            activation_mask: mask(vector_bytes),
            accumulator_mask: mask(row_bytes),
            activation_last_position: last(vector_bytes),
            accumulator_last_position: last(row_bytes),
            activation_gather: gather(vector_bytes),
            accumulator_gather: gather(row_bytes),
            _bus_words: bus_bytes / 4,
            _half_words: bus_bytes / 8,
            _activation_words: vector_words,
            _accumulator_words: config.lanes,
            _vector_words: words,
        }
    }
}

impl Logic for StoreEngine {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(
            self,
            clock,
            setup,
            reads_accumulator,
            data_of_accumulator,
            was_taken,
            running,
            reading,
            address,
            row_address,
            last_vector,
            last_row,
            vectors_left,
            rows_left,
            arrived,
            position,
            row_beats_left,
            half_full,
            out_full,
            burst_beat,
            asked,
            ended,
            end_signal,
            answers
        );
        for i in 0..16 {
            self.fields.words[i].next = self.command[i].val();
        }
        self.base_register.next = self.fields.base_register.val();
        self.from_accumulator.next = self.fields.space.val() == 3;
        self.row_beats.next = self.fields.row_bytes.val() >> self.beat_shift.val();
        self.padded_bytes.next = self.fields.row_bytes.val() + self.activation_mask.val();
        self.row_vectors.next = self.padded_bytes.val() >> self.activation_shift.val();
        self.rounded.next = self.fields.row_bytes.val() + self.accumulator_mask.val();
        self.last_position.next = self.activation_last_position.val();
        self.gather.next = self.activation_gather.val().any();
        if self.from_accumulator.val() {
            self.row_vectors.next = self.rounded.val() >> self.accumulator_shift.val();
            self.last_position.next = self.accumulator_last_position.val();
            self.gather.next = self.accumulator_gather.val().any();
        }

        // Rules between fields.
        self.low_offset.next = self.fields.memory_offset.val().get_bits::<4>(0);
        self.low_stride.next = self.fields.memory_stride.val().get_bits::<4>(0);
        self.low_bytes.next = self.fields.row_bytes.val().get_bits::<4>(0);
        self.empty_row.next = self.fields.row_bytes.val() == 0;
        self.bad_base.next = (self.fields.base_register.val() & self.no_base.val()).any();
        self.bad_alignment.next = self.low_offset.val().any()
            | self.low_stride.val().any()
            | self.low_bytes.val().any()
            | self.bad_base.val();
        self.bad_space.next = (self.fields.space.val() == 1) | (self.fields.space.val() == 2);
        self.illegal.next =
            self.setup.q.val() & (self.bad_alignment.val() | self.bad_space.val() | self.empty_row.val());

        // Bursts.
        self.bursts.clock.next = self.clock.val();
        self.bursts.reset.next = self.reset.val();
        self.bursts.start.next = self.setup.q.val();
        self.bursts.refuse.next = self.illegal.val();
        self.bursts.base.next = self.base.val();
        self.bursts.offset.next = self.fields.memory_offset.val();
        self.bursts.last_row.next = self.fields.rows.val();
        self.bursts.row_beats.next = self.row_beats.val();
        self.bursts.row_stride.next = self.fields.memory_stride.val();
        self.lengths.clock.next = self.clock.val();
        self.lengths.reset.next = self.reset.val();
        self.lengths.write_data[0].next = bit_cast::<32, 8>(self.bursts.burst_length.val());
        // What memory takes is over for the generator a cycle later: whether it takes it is known late.
        self.burst_valid.next =
            self.bursts.burst_valid.val() & !self.was_taken.q.val() & self.lengths.write_ready.val();
        self.burst_taken.next = self.bursts.burst_valid.val()
            & !self.was_taken.q.val()
            & self.lengths.write_ready.val()
            & self.burst_ready.val();
        self.was_taken.d.next = self.burst_taken.val();
        self.lengths.write_valid.next = self.burst_taken.val();
        self.bursts.burst_ready.next = self.was_taken.q.val();
        self.burst_address.next = self.bursts.burst_address.val();
        self.burst_length.next = self.bursts.burst_length.val();

        // Reads, as long as the FIFO surely has room.
        self.vectors.clock.next = self.clock.val();
        self.vectors.reset.next = self.reset.val();
        self.space_left.next = self.vectors.level.val() < 6;
        self.request.next = self.reading.q.val() & self.space_left.val();
        self.reads_accumulator.d.next = self.from_accumulator.val();
        self.data_of_accumulator.d.next = self.reads_accumulator.q.val();
        self.activation_enable.next = self.request.val() & !self.reads_accumulator.q.val();
        self.accumulator_enable.next = self.request.val() & self.reads_accumulator.q.val();
        self.read_address.next = self.address.q.val();
        self.granted.next = self.request.val() & self.activation_ready.val();
        if self.reads_accumulator.q.val() {
            self.granted.next = self.request.val() & self.accumulator_ready.val();
        }
        self.arrived.d.next = self.granted.val();
        self.vectors.write_valid.next = self.arrived.q.val();
        for w in 0..self._vector_words {
            self.vectors.write_data[w].next = 0.into();
        }
        for w in 0..self._activation_words {
            self.vectors.write_data[w].next = self.activation_data[w].val();
        }
        if self.data_of_accumulator.q.val() {
            for w in 0..self._accumulator_words {
                self.vectors.write_data[w].next = self.accumulator_data[w].val();
            }
        }
        if self.granted.val() {
            self.address.d.next = self.address.q.val() + 1;
            self.vectors_left.d.next = self.vectors_left.q.val() - 1;
            self.last_vector.d.next = self.vectors_left.q.val() == 2;
            if self.last_vector.q.val() {
                self.vectors_left.d.next = self.row_vectors.val();
                self.last_vector.d.next = self.row_vectors.val() == 1;
                self.row_address.d.next = self.row_address.q.val() + self.fields.stride.val();
                self.address.d.next = self.row_address.q.val() + self.fields.stride.val();
                self.rows_left.d.next = self.rows_left.q.val() - 1;
                self.last_row.d.next = self.rows_left.q.val() == 1;
                if self.last_row.q.val() {
                    self.reading.d.next = false;
                }
            }
        }

        // Beats: parts of a vector, or two short vectors together.
        self.out_moves.next = self.out_full.q.val() & self.lengths.read_valid.val() & self.beat_ready.val();
        self.out_free.next = !self.out_full.q.val() | self.out_moves.val();
        self.head.next = self.vectors.read_valid.val();
        self.keep_half.next = self.head.val() & self.gather.val() & !self.half_full.q.val();
        self.emit.next =
            self.head.val() & self.out_free.val() & (!self.gather.val() | self.half_full.q.val());
        self.vector_ends.next = self.position.q.val() == self.last_position.val();
        self.row_ends.next = self.row_beats_left.q.val() == 1;
        self.vectors.read_ready.next =
            self.keep_half.val() | (self.emit.val() & (self.vector_ends.val() | self.row_ends.val()));
        self.part.position.next = self.position.q.val();
        for w in 0..self._vector_words {
            self.part.vector[w].next = self.vectors.read_data[w].val();
        }
        for w in 0..self._bus_words {
            self.out[w].clock.next = self.clock.val();
            self.out[w].d.next = self.out[w].q.val();
        }
        for w in 0..self._half_words {
            self.half[w].clock.next = self.clock.val();
            self.half[w].d.next = self.half[w].q.val();
        }
        if self.out_moves.val() {
            self.out_full.d.next = false;
        }
        if self.keep_half.val() {
            self.half_full.d.next = true;
            for w in 0..self._half_words {
                self.half[w].d.next = self.vectors.read_data[w].val();
            }
        }
        if self.emit.val() {
            self.out_full.d.next = true;
            self.half_full.d.next = false;
            self.position.d.next = self.position.q.val() + 1;
            self.row_beats_left.d.next = self.row_beats_left.q.val() - 1;
            if self.vector_ends.val() {
                self.position.d.next = 0.into();
            }
            if self.row_ends.val() {
                self.position.d.next = 0.into();
                self.row_beats_left.d.next = self.row_beats.val();
            }
            for w in 0..self._bus_words {
                self.out[w].d.next = self.part.beat[w].val();
            }
            if self.gather.val() {
                for h in self._half_words..(self._half_words + 1) {
                    for w in 0..self._half_words {
                        self.out[w].d.next = self.half[w].q.val();
                        self.out[h + w].d.next = self.vectors.read_data[w].val();
                    }
                }
            }
        }
        self.beat_valid.next = self.out_full.q.val() & self.lengths.read_valid.val();
        self.burst_ends.next = self.burst_beat.q.val() == self.lengths.read_data[0].val().get_bits::<8>(0);
        self.beat_last.next = self.burst_ends.val();
        self.lengths.read_ready.next = self.out_moves.val() & self.burst_ends.val();
        for w in 0..self._bus_words {
            self.beat[w].next = self.out[w].q.val();
        }
        if self.out_moves.val() {
            self.burst_beat.d.next = self.burst_beat.q.val() + 1;
            if self.burst_ends.val() {
                self.burst_beat.d.next = 0.into();
            }
        }

        // Responses.
        self.response_ready.next = true;
        self.answered.next = self.response_valid.val();
        self.write_error.next = self.response_valid.val() & self.response_error.val();
        if self.burst_taken.val() {
            self.asked.d.next = self.asked.q.val() + 1;
        }
        // An answer counts in the cycle in which it comes.
        self.answers_now.next = self.answers.q.val();
        if self.answered.val() {
            self.answers_now.next = self.answers.q.val() + 1;
        }
        self.answers.d.next = self.answers_now.val();

        // Start and finish.
        self.setup.d.next = self.start.val();
        self.take.next = !self.running.q.val() & !self.setup.q.val() & self.completions.write_ready.val();
        if self.setup.q.val() {
            self.running.d.next = !self.illegal.val();
            self.reading.d.next = !self.illegal.val();
            self.address.d.next = self.fields.address.val();
            self.row_address.d.next = self.fields.address.val();
            self.vectors_left.d.next = self.row_vectors.val();
            self.last_vector.d.next = self.row_vectors.val() == 1;
            self.rows_left.d.next = self.fields.rows.val();
            self.last_row.d.next = self.fields.rows.val() == 0;
            self.row_beats_left.d.next = self.row_beats.val();
            self.position.d.next = 0.into();
        }
        self.quiet.next = !self.reading.q.val()
            & !self.arrived.q.val()
            & !self.head.val()
            & !self.out_full.q.val()
            & self.bursts.done.val();
        self.all_sent.next = self.running.q.val() & self.quiet.val();
        if self.all_sent.val() {
            self.running.d.next = false;
        }
        self.completion.bytes[0].next = self.asked.q.val().get_bits::<8>(0);
        self.completion.bytes[1].next = self.asked.q.val().get_bits::<8>(8);
        self.completion.bytes[2].next = self.command[0].val().get_bits::<8>(8);
        self.completion.bytes[3].next = 0.into();
        self.completions.clock.next = self.clock.val();
        self.completions.reset.next = self.reset.val();
        self.completions.write_valid.next = self.all_sent.val();
        self.completions.write_data[0].next = self.completion.word.val();
        self.finishing.next = self.completions.read_valid.val()
            & (self.completions.read_data[0].val().get_bits::<16>(0) == self.answers_now.val());
        self.completions.read_ready.next = self.finishing.val();
        self.ended.d.next = self.finishing.val();
        self.end_signal.d.next = self.completions.read_data[0].val().get_bits::<4>(20);
        self.finished.next = self.ended.q.val();
        self.signal.next = 0.into();
        if self.ended.q.val() {
            self.signal.next = self.end_signal.q.val();
        }
        // With the last answer the work is done; only its tokens are sent a cycle later.
        self.busy.next = self.running.q.val() | self.setup.q.val() | self.completions.read_valid.val();
        self.state.next = 0.into();
        if self.setup.q.val() {
            self.state.next = 1.into();
        } else if self.running.q.val() {
            self.state.next = 2.into();
        } else if self.completions.read_valid.val() {
            self.state.next = 3.into();
        }
        if self.reset.val() {
            self.setup.d.next = false;
            self.running.d.next = false;
            self.reading.d.next = false;
            self.arrived.d.next = false;
            self.half_full.d.next = false;
            self.out_full.d.next = false;
            self.burst_beat.d.next = 0.into();
            self.asked.d.next = 0.into();
            self.was_taken.d.next = false;
            self.ended.d.next = false;
            self.answers.d.next = 0.into();
        }
    }
    fn timing(&self) -> Vec<TimingInfo> {
        describe(
            "store_engine",
            "Writes rows of activation vectors or accumulator rows to memory; finished when memory has answered.",
        )
    }
}
