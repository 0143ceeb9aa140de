//! The accelerator: engines, memories and control, wired together.
//!
//! Two ports: AXI4-Lite for the host's registers, AXI4 (`N` data bits, full-width incrementing bursts) for memory. Every output comes from
//! registers (or from a FIFO's), so neither port has a combinational path through the machine.
//! `reset` is synchronous; `irq` is high while the last program is done.

use crate::activation_scratchpad::ActivationScratchpad;
use crate::command_buffer::CommandBuffer;
use crate::dispatch::Dispatch;
use crate::emit::describe;
use crate::lanes::{WeightPlace, WordPlace};
use crate::leaves::{ecp5, Pack, PackBytes, PackFlags, PackNibbles, Unpack};
use crate::load_engine::LoadEngine;
use crate::load_register::LoadRegister;
use crate::matrix_engine::MatrixEngine;
use crate::memories::{AccumulatorMemory, LoadedMemory};
use crate::output_stage::OutputStage;
use crate::read_port::ReadPort;
use crate::registers::Registers;
use crate::row_engine::RowEngine;
use crate::scalar_memory::ScalarMemory;
use crate::store_engine::StoreEngine;
use crate::token_counters::TokenCounters;
use crate::vector_engine::VectorEngine;
use frugal_isa::command::{Load, Matrix, Store, Vector};
use frugal_isa::Config;
use rust_hdl_core::prelude::*;
use rust_hdl_widgets::prelude::*;

/// The whole machine; `N` data bits on the memory bus and `S` = `N` / 8 strobes.
#[derive(LogicBlock)]
pub struct Accelerator<const N: usize, const S: usize> {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub irq: Signal<Out, Bit>,
    /// For observers, one cycle late. Bits 0..4: load, matrix, vector, store starts a command; 4..8: finishes one; 8: a matrix step; 16..32: the
    /// engines whose tokens the head of each queue lacks, four bits a queue.
    pub observe: Signal<Out, Bits<32>>,
    // Host registers, AXI4-Lite.
    pub lite_aw_valid: Signal<In, Bit>,
    pub lite_aw_ready: Signal<Out, Bit>,
    pub lite_aw_address: Signal<In, Bits<12>>,
    pub lite_w_valid: Signal<In, Bit>,
    pub lite_w_ready: Signal<Out, Bit>,
    pub lite_w_data: Signal<In, Bits<32>>,
    pub lite_b_valid: Signal<Out, Bit>,
    pub lite_b_ready: Signal<In, Bit>,
    pub lite_b_response: Signal<Out, Bits<2>>,
    pub lite_ar_valid: Signal<In, Bit>,
    pub lite_ar_ready: Signal<Out, Bit>,
    pub lite_ar_address: Signal<In, Bits<12>>,
    pub lite_r_valid: Signal<Out, Bit>,
    pub lite_r_ready: Signal<In, Bit>,
    pub lite_r_data: Signal<Out, Bits<32>>,
    pub lite_r_response: Signal<Out, Bits<2>>,
    // Memory reads, AXI4.
    pub ar_valid: Signal<Out, Bit>,
    pub ar_ready: Signal<In, Bit>,
    pub ar_address: Signal<Out, Bits<32>>,
    pub ar_length: Signal<Out, Bits<8>>,
    pub ar_id: Signal<Out, Bit>,
    pub r_valid: Signal<In, Bit>,
    pub r_ready: Signal<Out, Bit>,
    pub r_data: Signal<In, Bits<N>>,
    pub r_response: Signal<In, Bits<2>>,
    pub r_last: Signal<In, Bit>,
    pub r_id: Signal<In, Bit>,
    // Memory writes, AXI4.
    pub aw_valid: Signal<Out, Bit>,
    pub aw_ready: Signal<In, Bit>,
    pub aw_address: Signal<Out, Bits<32>>,
    pub aw_length: Signal<Out, Bits<8>>,
    pub w_valid: Signal<Out, Bit>,
    pub w_ready: Signal<In, Bit>,
    pub w_data: Signal<Out, Bits<N>>,
    pub w_strobe: Signal<Out, Bits<S>>,
    pub w_last: Signal<Out, Bit>,
    pub b_valid: Signal<In, Bit>,
    pub b_ready: Signal<Out, Bit>,
    pub b_response: Signal<In, Bits<2>>,
    // Control.
    registers: Registers,
    dispatch: Dispatch,
    tokens: TokenCounters,
    queue: Vec<CommandBuffer>,
    read_port: ReadPort,
    read_words: Unpack<N>,
    write_words: Pack<N>,
    // Engines.
    load: LoadEngine,
    matrix: MatrixEngine,
    vector: VectorEngine,
    /// If there is one.
    row: Vec<RowEngine>,
    store: StoreEngine,
    output_stage: OutputStage,
    // Memories, and how loads reach them.
    activations: ActivationScratchpad,
    weights: LoadedMemory,
    parameters: LoadedMemory,
    /// Group scales, if there are four-bit weights.
    scales: Vec<LoadedMemory>,
    accumulators: AccumulatorMemory,
    /// Beside a row engine.
    scalars: Vec<ScalarMemory>,
    activation_place: WordPlace,
    weight_unit: LoadRegister,
    weight_place: WeightPlace,
    parameter_place: WordPlace,
    scale_place: Vec<WordPlace>,
    accumulator_place: WordPlace,
    status_flags: PackFlags,
    status: PackBytes,
    states: PackBytes,
    levels: PackBytes,
    debug_states: DFF<Bits<32>>,
    state_pairs: Vec<PackNibbles>,
    observed: DFF<Bits<32>>,
    observed_word: PackBytes,
    observed_commands: PackFlags,
    observed_steps: PackFlags,
    observed_waits: Vec<PackNibbles>,
    working: Signal<Local, Bit>,
    matrix_idle: Signal<Local, Bit>,
    matrix_lacks: Signal<Local, Bits<4>>,
    transfers: Signal<Local, Bit>,
    read_beat: Signal<Local, Bit>,
    write_beat: Signal<Local, Bit>,
    vector_finished: Signal<Local, Bit>,
    starts_row: Signal<Local, Bit>,
    vector_working: Signal<Local, Bit>,
    vector_takes: DFF<Bit>,
    // The row engine's, or nobody's.
    row_take: Signal<Local, Bit>,
    row_busy: Signal<Local, Bit>,
    row_finished: Signal<Local, Bit>,
    row_illegal: Signal<Local, Bit>,
    row_signal: Signal<Local, Bits<4>>,
    row_state: Signal<Local, Bits<4>>,
    row_reads: Signal<Local, Bit>,
    row_to_even: Signal<Local, Bit>,
    row_to_odd: Signal<Local, Bit>,
    row_to_accumulator: Signal<Local, Bit>,
    row_result: Signal<Local, Bit>,
    load_to_activation: Signal<Local, Bit>,
    load_to_weight: Signal<Local, Bit>,
    load_to_parameter: Signal<Local, Bit>,
    load_to_table: Signal<Local, Bit>,
    load_to_scalar: Signal<Local, Bit>,
    load_scalar: Signal<Local, Bits<16>>,
    load_to_scale: Signal<Local, Bit>,
    load_to_accumulator: Signal<Local, Bit>,
    clear: Signal<Local, Bit>,
    engines_idle: Signal<Local, Bit>,
    strobes: Constant<Bits<S>>,
    _bus_words: usize,
    _row_words: usize,
    _tile_words: usize,
    _lanes: usize,
    _parameter_words: usize,
    _totals: usize,
    _scale_memories: usize,
    _row_engines: usize,
    _scale_words: usize,
}

impl<const N: usize, const S: usize> Accelerator<N, S> {
    /// The machine that `config` describes.
    ///
    /// Panics if the configuration is not valid or its bus is not `N` bits wide.
    pub fn new(config: &Config) -> Self {
        assert!(config.validate().is_ok() && config.bus_bits == N && S * 8 == N, "{config:?} on {N} bits");
        let bus_words = N / 32;
        let Config { rows, cols, lanes, .. } = *config;
        let row_words = rows / 4;
        let scale_words = config.scale_row_bytes() / 4;
        Self {
            clock: Signal::default(),
            reset: Signal::default(),
            irq: Signal::default(),
            observe: Signal::default(),
            lite_aw_valid: Signal::default(),
            lite_aw_ready: Signal::default(),
            lite_aw_address: Signal::default(),
            lite_w_valid: Signal::default(),
            lite_w_ready: Signal::default(),
            lite_w_data: Signal::default(),
            lite_b_valid: Signal::default(),
            lite_b_ready: Signal::default(),
            lite_b_response: Signal::default(),
            lite_ar_valid: Signal::default(),
            lite_ar_ready: Signal::default(),
            lite_ar_address: Signal::default(),
            lite_r_valid: Signal::default(),
            lite_r_ready: Signal::default(),
            lite_r_data: Signal::default(),
            lite_r_response: Signal::default(),
            ar_valid: Signal::default(),
            ar_ready: Signal::default(),
            ar_address: Signal::default(),
            ar_length: Signal::default(),
            ar_id: Signal::default(),
            r_valid: Signal::default(),
            r_ready: Signal::default(),
            r_data: Signal::default(),
            r_response: Signal::default(),
            r_last: Signal::default(),
            r_id: Signal::default(),
            aw_valid: Signal::default(),
            aw_ready: Signal::default(),
            aw_address: Signal::default(),
            aw_length: Signal::default(),
            w_valid: Signal::default(),
            w_ready: Signal::default(),
            w_data: Signal::default(),
            w_strobe: Signal::default(),
            w_last: Signal::default(),
            b_valid: Signal::default(),
            b_ready: Signal::default(),
            b_response: Signal::default(),
            registers: Registers::new(config),
            dispatch: Dispatch::new(bus_words, config.row_engine, config.queue_depth > 1),
            tokens: TokenCounters::default(),
            queue: [Load::FIELDS, Matrix::FIELDS, Vector::FIELDS, Store::FIELDS]
                .iter()
                .map(|fields| {
                    CommandBuffer::new(config.queue_depth, bus_words, fields, ecp5::is_crowded(lanes))
                })
                .collect(),
            read_port: ReadPort::new(bus_words),
            read_words: Unpack::default(),
            write_words: Pack::default(),
            load: LoadEngine::new(config),
            matrix: MatrixEngine::new(config),
            vector: VectorEngine::new(rows, lanes, config.row_engine),
            row: (0..usize::from(config.row_engine)).map(|_| RowEngine::new(rows, lanes)).collect(),
            store: StoreEngine::new(config),
            output_stage: OutputStage::new(config),
            activations: ActivationScratchpad::new(rows, config.activation_depth),
            weights: LoadedMemory::weights(config.weight_depth, rows, cols),
            parameters: LoadedMemory::parameters(config.parameter_depth, lanes),
            accumulators: AccumulatorMemory::new(config.accumulator_depth, lanes),
            scalars: (0..usize::from(config.row_engine)).map(|_| ScalarMemory::default()).collect(),
            activation_place: WordPlace::new(row_words, bus_words.min(row_words), bus_words),
            weight_unit: LoadRegister::new(bus_words),
            weight_place: WeightPlace::new(rows, cols, bus_words),
            scales: (0..usize::from(config.four_bit))
                .map(|_| LoadedMemory::scales(config.scale_depth(), scale_words))
                .collect(),
            scale_place: (0..usize::from(config.four_bit))
                .map(|_| WordPlace::new(scale_words, bus_words.min(scale_words), bus_words))
                .collect(),
            parameter_place: WordPlace::new(3 * lanes, bus_words.min(lanes), bus_words),
            accumulator_place: WordPlace::new(lanes, bus_words.min(lanes), bus_words),
            status_flags: PackFlags::default(),
            status: PackBytes::default(),
            states: PackBytes::default(),
            levels: PackBytes::default(),
            debug_states: DFF::default(),
            state_pairs: (0..3).map(|_| PackNibbles::default()).collect(),
            observed: DFF::default(),
            observed_word: PackBytes::default(),
            observed_commands: PackFlags::default(),
            observed_steps: PackFlags::default(),
            observed_waits: (0..2).map(|_| PackNibbles::default()).collect(),
            working: Signal::default(),
            matrix_idle: Signal::default(),
            matrix_lacks: Signal::default(),
            transfers: Signal::default(),
            read_beat: Signal::default(),
            write_beat: Signal::default(),
            vector_finished: Signal::default(),
            starts_row: Signal::default(),
            vector_working: Signal::default(),
            vector_takes: DFF::default(),
            row_take: Signal::default(),
            row_busy: Signal::default(),
            row_finished: Signal::default(),
            row_illegal: Signal::default(),
            row_signal: Signal::default(),
            row_state: Signal::default(),
            row_reads: Signal::default(),
            row_to_even: Signal::default(),
            row_to_odd: Signal::default(),
            row_to_accumulator: Signal::default(),
            row_result: Signal::default(),
            load_to_activation: Signal::default(),
            load_to_weight: Signal::default(),
            load_to_parameter: Signal::default(),
            load_to_table: Signal::default(),
            load_to_scalar: Signal::default(),
            load_scalar: Signal::default(),
            load_to_scale: Signal::default(),
            load_to_accumulator: Signal::default(),
            clear: Signal::default(),
            engines_idle: Signal::default(),
            strobes: Constant::new(((1u64 << S) - 1).into()),
            _bus_words: bus_words,
            _row_words: row_words,
            _tile_words: rows * cols / 4,
            _lanes: lanes,
            _parameter_words: 3 * lanes,
            _totals: config.result_channels(),
            _scale_memories: usize::from(config.four_bit),
            _row_engines: usize::from(config.row_engine),
            _scale_words: scale_words,
        }
    }
}

impl<const N: usize, const S: usize> Logic for Accelerator<N, S> {
    #[hdl_gen]
    fn update(&mut self) {
        // Clock and reset.
        self.registers.clock.next = self.clock.val();
        self.dispatch.clock.next = self.clock.val();
        self.tokens.clock.next = self.clock.val();
        self.read_port.clock.next = self.clock.val();
        self.load.clock.next = self.clock.val();
        self.matrix.clock.next = self.clock.val();
        self.vector.clock.next = self.clock.val();
        self.store.clock.next = self.clock.val();
        self.output_stage.clock.next = self.clock.val();
        self.activations.clock.next = self.clock.val();
        self.weights.clock.next = self.clock.val();
        self.parameters.clock.next = self.clock.val();
        self.accumulators.clock.next = self.clock.val();
        self.clear.next = self.registers.machine_reset.val();
        self.registers.reset.next = self.reset.val();
        self.dispatch.reset.next = self.clear.val();
        // A program begins without tokens, whatever the one before has left.
        self.tokens.reset.next = self.clear.val() | self.registers.start.val();
        self.read_port.reset.next = self.clear.val();
        self.load.reset.next = self.clear.val();
        self.matrix.reset.next = self.clear.val();
        self.vector.reset.next = self.clear.val();
        self.store.reset.next = self.clear.val();
        self.output_stage.reset.next = self.clear.val();
        for r in 0..self._row_engines {
            self.row[r].clock.next = self.clock.val();
            self.row[r].reset.next = self.clear.val();
            self.scalars[r].clock.next = self.clock.val();
            self.scalars[r].reset.next = self.clear.val();
            self.scalars[r].clear.next = self.registers.start.val();
        }
        self.row_take.next = true;
        self.row_busy.next = false;
        self.row_finished.next = false;
        self.row_illegal.next = false;
        self.row_signal.next = 0.into();
        self.row_state.next = 0.into();
        self.row_reads.next = false;
        self.row_to_even.next = false;
        self.row_to_odd.next = false;
        self.row_to_accumulator.next = false;
        for r in 0..self._row_engines {
            self.row_take.next = self.row[r].take.val();
            self.row_busy.next = self.row[r].busy.val();
            self.row_finished.next = self.row[r].finished.val();
            self.row_illegal.next = self.row[r].illegal.val();
            self.row_signal.next = self.row[r].signal.val();
            self.row_state.next = self.row[r].state.val();
            self.row_reads.next = self.row[r].accumulator_enable.val();
            self.row_to_even.next = self.row[r].activation_even.val();
            self.row_to_odd.next = self.row[r].activation_odd.val();
            self.row_to_accumulator.next = self.row[r].accumulator_valid.val();
        }

        // Host registers.
        self.registers.aw_valid.next = self.lite_aw_valid.val();
        self.lite_aw_ready.next = self.registers.aw_ready.val();
        self.registers.aw_address.next = self.lite_aw_address.val();
        self.registers.w_valid.next = self.lite_w_valid.val();
        self.lite_w_ready.next = self.registers.w_ready.val();
        self.registers.w_data.next = self.lite_w_data.val();
        self.lite_b_valid.next = self.registers.b_valid.val();
        self.registers.b_ready.next = self.lite_b_ready.val();
        self.lite_b_response.next = 0.into();
        self.registers.ar_valid.next = self.lite_ar_valid.val();
        self.lite_ar_ready.next = self.registers.ar_ready.val();
        self.registers.ar_address.next = self.lite_ar_address.val();
        self.lite_r_valid.next = self.registers.r_valid.val();
        self.registers.r_ready.next = self.lite_r_ready.val();
        self.lite_r_data.next = self.registers.r_data.val();
        self.lite_r_response.next = 0.into();
        self.registers.busy.next = self.dispatch.busy.val();
        self.registers.command_index.next = self.dispatch.command_index.val();
        self.registers.matrix_step.next = self.matrix.step.val();
        for i in 0..8 {
            self.status_flags.bits[i].next = false;
        }
        self.status_flags.bits[0].next = self.dispatch.busy.val();
        self.status_flags.bits[1].next = self.dispatch.done.val();
        self.status_flags.bits[2].next = self.dispatch.done.val() & self.dispatch.status_code.val().any();
        self.status.bytes[0].next = self.status_flags.flags.val();
        self.status.bytes[1].next = self.dispatch.status_code.val();
        self.status.bytes[2].next = bit_cast::<8, 4>(self.dispatch.status_engine.val());
        self.status.bytes[3].next = 0.into();
        self.registers.status.next = self.status.word.val();
        self.irq.next = self.dispatch.done.val();

        // Performance counters, in the order of their registers.
        self.working.next = self.dispatch.busy.val();
        self.matrix_idle.next = self.working.val() & !self.matrix.runs.val();
        self.matrix_lacks.next = self.queue[1].lacks.val();
        self.transfers.next = self.load.busy.val() | self.store.busy.val();
        self.read_beat.next = self.r_valid.val() & self.read_port.r_ready.val();
        self.write_beat.next = self.store.beat_valid.val() & self.w_ready.val();
        self.registers.events[0].next = self.matrix.busy.val();
        self.registers.events[1].next = self.matrix.runs.val() & !self.matrix.step.val();
        self.registers.events[2].next = self.matrix_idle.val() & self.matrix_lacks.val().get_bit(0);
        self.registers.events[3].next =
            self.matrix_idle.val() & self.matrix_lacks.val().get_bit(2) & !self.matrix_lacks.val().get_bit(0);
        self.registers.events[4].next = self.matrix_idle.val()
            & self.matrix_lacks.val().get_bit(3)
            & !self.matrix_lacks.val().get_bit(2)
            & !self.matrix_lacks.val().get_bit(0);
        self.registers.events[5].next = self.matrix_idle.val() & (self.matrix_lacks.val() == 2);
        self.registers.events[6].next = self.matrix_idle.val() & !self.queue[1].waits.val();
        self.registers.events[7].next = self.vector_working.val();
        self.registers.events[8].next = self.load.busy.val();
        self.registers.events[9].next = self.store.busy.val();
        self.registers.events[10].next = self.read_beat.val();
        self.registers.events[11].next = self.write_beat.val();
        self.registers.events[12].next =
            self.transfers.val() & !self.read_beat.val() & !self.write_beat.val();

        // What observers see.
        for e in 0..4 {
            self.observed_commands.bits[e].next = self.queue[e].start.val();
        }
        self.observed_commands.bits[4].next = self.load.finished.val();
        self.observed_commands.bits[5].next = self.output_stage.matrix_finished.val();
        self.observed_commands.bits[6].next = self.vector_finished.val();
        self.observed_commands.bits[7].next = self.store.finished.val();
        for b in 0..8 {
            self.observed_steps.bits[b].next = false;
        }
        self.observed_steps.bits[0].next = self.matrix.step.val();
        self.observed_waits[0].low.next = self.queue[0].lacks.val();
        self.observed_waits[0].high.next = self.queue[1].lacks.val();
        self.observed_waits[1].low.next = self.queue[2].lacks.val();
        self.observed_waits[1].high.next = self.queue[3].lacks.val();
        self.observed_word.bytes[0].next = self.observed_commands.flags.val();
        self.observed_word.bytes[1].next = self.observed_steps.flags.val();
        self.observed_word.bytes[2].next = self.observed_waits[0].both.val();
        self.observed_word.bytes[3].next = self.observed_waits[1].both.val();
        self.observed.clock.next = self.clock.val();
        self.observed.d.next = self.observed_word.word.val();
        self.observe.next = self.observed.q.val();

        // Debug registers: FSM states, queue levels, tokens.
        self.state_pairs[0].low.next = self.dispatch.state_number.val();
        self.state_pairs[0].high.next = self.load.state.val();
        self.state_pairs[1].low.next = self.matrix.state.val();
        self.state_pairs[1].high.next = self.vector.state.val() | self.row_state.val();
        self.state_pairs[2].low.next = self.store.state.val();
        self.state_pairs[2].high.next = 0.into();
        self.states.bytes[0].next = self.state_pairs[0].both.val();
        self.states.bytes[1].next = self.state_pairs[1].both.val();
        self.states.bytes[2].next = self.state_pairs[2].both.val();
        self.states.bytes[3].next = 0.into();
        self.debug_states.clock.next = self.clock.val();
        self.debug_states.d.next = self.states.word.val();
        self.registers.debug[0].next = self.debug_states.q.val();
        for e in 0..4 {
            self.levels.bytes[e].next = self.queue[e].level.val();
            self.registers.debug[e + 2].next = self.tokens.counts[e].val();
        }
        self.registers.debug[1].next = self.levels.word.val();
        self.registers.debug[6].next = self.dispatch.dispatched.val();

        // Program fetch and dispatch.
        self.dispatch.start.next = self.registers.start.val();
        self.dispatch.program_address.next = self.registers.program_address.val();
        self.dispatch.program_commands.next = self.registers.program_commands.val();
        self.read_port.fetch_valid.next = self.dispatch.fetch_valid.val();
        self.dispatch.fetch_ready.next = self.read_port.fetch_ready.val();
        self.read_port.fetch_address.next = self.dispatch.fetch_address.val();
        self.read_port.fetch_length.next = self.dispatch.fetch_length.val();
        self.dispatch.beat_valid.next = self.read_port.fetch_beat_valid.val();
        self.dispatch.beat_error.next = self.read_port.beat_error.val();
        for w in 0..self._bus_words {
            self.dispatch.beat[w].next = self.read_port.beat[w].val();
            self.load.beat[w].next = self.read_port.beat[w].val();
        }
        for e in 0..4 {
            self.queue[e].clock.next = self.clock.val();
            self.queue[e].reset.next = self.clear.val();
            self.queue[e].beat_valid.next = self.dispatch.queue_valid[e].val();
            self.dispatch.queue_ready[e].next = self.queue[e].beat_ready.val();
            self.queue[e].available.next = self.tokens.available[e].val();
            self.queue[e].blocked.next = self.tokens.blocked[e].val();
            self.queue[e].halt.next = self.dispatch.halt.val();
            self.tokens.take[e].next = self.queue[e].taken.val();
        }
        for w in 0..self._bus_words {
            self.queue[0].beat[w].next = self.dispatch.queue_beat[w].val();
            self.queue[1].beat[w].next = self.dispatch.queue_beat[w].val();
            self.queue[2].beat[w].next = self.dispatch.queue_beat[w].val();
            self.queue[3].beat[w].next = self.dispatch.queue_beat[w].val();
        }
        self.queue[0].take.next = self.load.take.val();
        self.load.start.next = self.queue[0].start.val();
        self.queue[1].take.next = self.matrix.take.val();
        self.matrix.start.next = self.queue[1].start.val();
        // Row commands are vector commands of an engine of their own; the two take turns. Bit 3 tells their opcode from the others.
        self.starts_row.next = self.queue[2].opcode.val().get_bit(3);
        // Both lie far from the queue. Who can take a command still can in the next cycle, unless one starts.
        self.vector_takes.clock.next = self.clock.val();
        self.vector_takes.d.next =
            self.vector.take.val() & self.row_take.val() & !self.queue[2].start.val() & !self.clear.val();
        self.queue[2].take.next = self.vector_takes.q.val();
        self.vector.start.next = self.queue[2].start.val() & !self.starts_row.val();
        for r in 0..self._row_engines {
            self.row[r].start.next = self.queue[2].start.val() & self.starts_row.val();
            self.row[r].hold.next = self.vector.busy.val() | self.scalars[r].clearing.val();
            for i in 0..16 {
                self.row[r].command[i].next = self.queue[2].active[i].val();
            }
        }
        self.vector.hold.next = self.row_busy.val();
        self.vector_working.next = self.vector.busy.val() | self.row_busy.val();
        self.queue[3].take.next = self.store.take.val();
        self.store.start.next = self.queue[3].start.val();
        for i in 0..16 {
            self.load.command[i].next = self.queue[0].active[i].val();
            self.matrix.command[i].next = self.queue[1].active[i].val();
            self.matrix.coming[i].next = self.queue[1].coming[i].val();
            self.vector.command[i].next = self.queue[2].active[i].val();
            self.store.command[i].next = self.queue[3].active[i].val();
        }
        self.tokens.send[0].next = self.load.signal.val();
        self.tokens.send[1].next = self.output_stage.matrix_signal.val();
        self.tokens.send[2].next =
            self.output_stage.vector_signal.val() | self.vector.move_signal.val() | self.row_signal.val();
        self.tokens.send[3].next = self.store.signal.val();
        self.engines_idle.next = !self.load.busy.val()
            & !self.matrix.busy.val()
            & !self.vector_working.val()
            & !self.store.busy.val();
        self.dispatch.idle[0].next = self.queue[0].empty.val() & !self.load.busy.val();
        self.dispatch.idle[1].next = self.queue[1].empty.val() & !self.matrix.busy.val();
        self.dispatch.idle[2].next = self.queue[2].empty.val() & !self.vector_working.val();
        self.dispatch.idle[3].next = self.queue[3].empty.val() & !self.store.busy.val();
        self.dispatch.engines_idle.next = self.engines_idle.val();
        self.dispatch.illegal[0].next = self.load.illegal.val();
        self.dispatch.illegal[1].next = self.matrix.illegal.val();
        self.dispatch.illegal[2].next = self.vector.illegal.val() | self.row_illegal.val();
        self.dispatch.illegal[3].next = self.store.illegal.val();
        self.dispatch.read_error.next = self.load.read_error.val();
        self.dispatch.write_error.next = self.store.write_error.val();

        // Base registers.
        self.load.base.next = self.registers.base[0].val();
        self.store.base.next = self.registers.base[0].val();
        for b in 1..8 {
            if self.load.base_register.val().index() == b {
                self.load.base.next = self.registers.base[b].val();
            }
            if self.store.base_register.val().index() == b {
                self.store.base.next = self.registers.base[b].val();
            }
        }

        // Memory reads.
        self.ar_valid.next = self.read_port.ar_valid.val();
        self.read_port.ar_ready.next = self.ar_ready.val();
        self.ar_address.next = self.read_port.ar_address.val();
        self.ar_length.next = self.read_port.ar_length.val();
        self.ar_id.next = self.read_port.ar_id.val();
        self.read_port.r_valid.next = self.r_valid.val();
        self.r_ready.next = self.read_port.r_ready.val();
        self.read_words.packed.next = self.r_data.val();
        for w in 0..self._bus_words {
            self.read_port.r_data[w].next = self.read_words.words[w].val();
        }
        self.read_port.r_error.next = self.r_response.val().get_bit(1);
        self.read_port.r_id.next = self.r_id.val();
        self.read_port.load_valid.next = self.load.burst_valid.val();
        self.load.burst_ready.next = self.read_port.load_ready.val();
        self.read_port.load_address.next = self.load.burst_address.val();
        self.read_port.load_length.next = self.load.burst_length.val();
        self.load.beat_valid.next = self.read_port.load_beat_valid.val();
        self.load.beat_error.next = self.read_port.beat_error.val();
        self.read_port.load_beat_ready.next = self.load.beat_ready.val();

        // Memory writes.
        self.aw_valid.next = self.store.burst_valid.val();
        self.store.burst_ready.next = self.aw_ready.val();
        self.aw_address.next = self.store.burst_address.val();
        self.aw_length.next = self.store.burst_length.val();
        self.w_valid.next = self.store.beat_valid.val();
        self.store.beat_ready.next = self.w_ready.val();
        for w in 0..self._bus_words {
            self.write_words.words[w].next = self.store.beat[w].val();
        }
        self.w_data.next = self.write_words.packed.val();
        self.w_strobe.next = self.strobes.val();
        self.w_last.next = self.store.beat_last.val();
        self.store.response_valid.next = self.b_valid.val();
        self.b_ready.next = self.store.response_ready.val();
        self.store.response_error.next = self.b_response.val().get_bit(1);

        // Loads into the on-chip memories.
        self.load_to_activation.next = self.load.write_valid.val() & self.load.write_target.val().get_bit(0);
        self.load_to_weight.next = self.load.write_valid.val() & self.load.write_target.val().get_bit(1);
        self.load_to_scale.next = self.load.write_valid.val() & self.load.write_target.val().get_bit(2);
        self.load_to_parameter.next = self.load.write_valid.val() & self.load.write_target.val().get_bit(3);
        self.load_to_table.next = self.load.write_valid.val() & self.load.write_target.val().get_bit(4);
        self.load_to_scalar.next = self.load.write_valid.val() & self.load.write_target.val().get_bit(5);
        self.load_to_accumulator.next = self.load.write_valid.val() & self.load.write_target.val().get_bit(6);
        self.load.write_ready.next = true;
        if self.load_to_activation.val() {
            self.load.write_ready.next = self.activations.load_ready.val();
        }
        if self.load_to_accumulator.val() {
            self.load.write_ready.next = self.accumulators.load_ready.val();
        }
        if self.load_to_table.val() {
            self.load.write_ready.next = self.output_stage.table_write_ready.val();
        }
        for r in 0..self._row_engines {
            if self.load_to_scalar.val() {
                self.load.write_ready.next = self.scalars[r].load_ready.val();
            }
        }
        self.activation_place.valid.next = self.load_to_activation.val();
        self.activation_place.places.next = self.load.write_places.val();
        self.weight_unit.clock.next = self.clock.val();
        self.weight_unit.valid.next = self.load_to_weight.val();
        self.weight_unit.layout.next = self.load.write_layout.val();
        self.weight_unit.address.next = self.load.write_address.val();
        self.weight_unit.position.next = self.load.write_position.val();
        self.weight_unit.column.next = self.load.write_column.val();
        self.weight_unit.row.next = self.load.write_row.val();
        self.weight_place.valid.next = self.weight_unit.write_valid.val();
        self.weight_place.layout.next = self.weight_unit.write_layout.val();
        self.weight_place.position.next = self.weight_unit.write_position.val();
        self.weight_place.column.next = self.weight_unit.write_column.val();
        self.weight_place.row.next = self.weight_unit.write_row.val();
        self.parameter_place.valid.next = self.load_to_parameter.val();
        self.parameter_place.places.next = self.load.write_places.val();
        self.accumulator_place.valid.next = self.load_to_accumulator.val();
        self.accumulator_place.places.next = self.load.write_places.val();
        for w in 0..self._bus_words {
            self.activation_place.unit[w].next = self.load.write_unit[w].val();
            self.weight_unit.unit[w].next = self.load.write_unit[w].val();
            self.weight_place.unit[w].next = self.weight_unit.write_unit[w].val();
            self.parameter_place.unit[w].next = self.load.write_unit[w].val();
            self.accumulator_place.unit[w].next = self.load.write_unit[w].val();
        }
        self.activations.load_valid.next = self.load_to_activation.val();
        self.activations.load_address.next = self.load.write_address.val();
        for w in 0..self._row_words {
            self.activations.load_enable[w].next = self.activation_place.enable[w].val();
            self.activations.load_data[w].next = self.activation_place.words[w].val();
        }
        self.weights.write_valid.next = self.weight_unit.write_valid.val();
        self.weights.write_address.next = self.weight_unit.write_address.val();
        for w in 0..self._tile_words {
            self.weights.write_enable[w].next = self.weight_place.enable[w].val();
            self.weights.write_data[w].next = self.weight_place.words[w].val();
        }
        self.parameters.write_valid.next = self.load_to_parameter.val();
        self.parameters.write_address.next = self.load.write_address.val();
        for w in 0..self._parameter_words {
            self.parameters.write_enable[w].next = self.parameter_place.enable[w].val();
            self.parameters.write_data[w].next = self.parameter_place.words[w].val();
        }
        for s in 0..self._scale_memories {
            self.scales[s].clock.next = self.clock.val();
            self.scale_place[s].valid.next = self.load_to_scale.val();
            self.scale_place[s].places.next = self.load.write_places.val();
            for w in 0..self._bus_words {
                self.scale_place[s].unit[w].next = self.load.write_unit[w].val();
            }
            self.scales[s].write_valid.next = self.load_to_scale.val();
            self.scales[s].write_address.next = self.load.write_address.val();
            self.scales[s].read_enable.next = self.matrix.scale_enable.val();
            self.scales[s].read_address.next = self.matrix.scale_address.val();
            for w in 0..self._scale_words {
                self.scales[s].write_enable[w].next = self.scale_place[s].enable[w].val();
                self.scales[s].write_data[w].next = self.scale_place[s].words[w].val();
                self.matrix.scale_data[w].next = self.scales[s].read_data[w].val();
            }
        }
        self.accumulators.load_valid.next = self.load_to_accumulator.val();
        self.accumulators.load_address.next = self.load.write_address.val();
        for l in 0..self._lanes {
            self.accumulators.load_enable[l].next = self.accumulator_place.enable[l].val();
            self.accumulators.load_data[l].next = self.accumulator_place.words[l].val();
        }

        // Scalar memory. A load's address counts four words.
        self.load_scalar.next =
            (self.load.write_address.val() << 2) | bit_cast::<16, 8>(self.load.write_position.val());
        self.dispatch.scalars_clearing.next = false;
        self.dispatch.scalar_read_data.next = 0.into();
        self.dispatch.scalar_write_ready.next = true;
        for r in 0..self._row_engines {
            self.scalars[r].load_valid.next = self.load_to_scalar.val();
            self.scalars[r].load_address.next = self.load_scalar.val().get_bits::<8>(0);
            self.scalars[r].load_data.next = self.load.write_unit[0].val();
            self.dispatch.scalars_clearing.next = self.scalars[r].clearing.val();
            self.scalars[r].control_read_address.next = self.dispatch.scalar_read_address.val();
            self.dispatch.scalar_read_data.next = self.scalars[r].control_read_data.val();
            self.scalars[r].control_write_valid.next = self.dispatch.scalar_write_valid.val();
            self.dispatch.scalar_write_ready.next = self.scalars[r].control_write_ready.val();
            self.scalars[r].control_write_address.next = self.dispatch.scalar_write_address.val();
            self.scalars[r].control_write_data.next = self.dispatch.scalar_write_data.val();
        }

        // Matrix engine.
        self.activations.matrix_step.next = self.matrix.activation_step.val();
        self.activations.matrix_even.next = self.matrix.activation_even.val();
        self.activations.matrix_odd.next = self.matrix.activation_odd.val();
        self.activations.matrix_address.next = self.matrix.activation_address.val();
        self.weights.read_enable.next = self.matrix.weight_enable.val();
        self.weights.read_address.next = self.matrix.weight_address.val();
        for w in 0..self._row_words {
            self.matrix.activation_data[w].next = self.activations.matrix_data[w].val();
            self.vector.source_data[w].next = self.activations.vector_data[w].val();
            self.store.activation_data[w].next = self.activations.store_data[w].val();
        }
        for w in 0..self._tile_words {
            self.matrix.weight_data[w].next = self.weights.read_data[w].val();
        }
        for c in 0..self._totals {
            self.output_stage.total[c].next = self.matrix.total[c].val();
        }
        self.output_stage.total_valid.next = self.matrix.total_valid.val();
        for d in 0..3 {
            self.output_stage.descriptor[d].next = self.matrix.descriptor[d].val();
        }
        self.output_stage.descriptor_valid.next = self.matrix.descriptor_valid.val();
        self.matrix.finished.next = self.output_stage.matrix_finished.val();

        // Vector engine.
        self.activations.vector_enable.next = self.vector.source_enable.val();
        self.activations.vector_may_read.next = self.vector.source_may_read.val();
        self.activations.vector_address.next = self.vector.source_address.val();
        self.vector.source_ready.next = self.activations.vector_ready.val();
        self.accumulators.vector_enable.next = self.vector.accumulator_enable.val() | self.row_reads.val();
        self.accumulators.vector_address.next = self.vector.accumulator_address.val();
        for r in 0..self._row_engines {
            if self.row_reads.val() {
                self.accumulators.vector_address.next = self.row[r].accumulator_address.val();
            }
        }
        self.vector.slot_reserved.next = self.matrix.slot_reserved.val();
        self.output_stage.vector_valid.next = self.vector.value_valid.val();
        self.output_stage.vector_pre_add.next = self.vector.pre_add.val();
        self.output_stage.vector_multiplier.next = self.vector.multiplier.val();
        self.output_stage.vector_left.next = self.vector.left.val();
        self.output_stage.vector_right.next = self.vector.right.val();
        self.output_stage.vector_single_rounding.next = self.vector.single_rounding.val();
        self.output_stage.vector_add_operand.next = self.vector.add_operand.val();
        self.output_stage.vector_subtract_operand.next = self.vector.subtract_operand.val();
        self.output_stage.vector_post_add.next = self.vector.post_add.val();
        self.output_stage.vector_minimum.next = self.vector.minimum.val();
        self.output_stage.vector_maximum.next = self.vector.maximum.val();
        self.output_stage.vector_route.next = self.vector.route.val();
        self.vector_finished.next = self.output_stage.vector_finished.val()
            | self.vector.move_finished.val()
            | self.row_finished.val();
        self.vector.finished.next = self.output_stage.vector_finished.val() | self.vector.move_finished.val();
        self.vector.late_slot_reserved.next = self.matrix.late_slot_reserved.val();
        self.vector.result_soon.next = self.output_stage.result_soon.val();
        self.vector.result_odd.next = self.output_stage.result_odd.val();
        self.output_stage.vector_lookup.next = self.vector.lookup.val();
        self.output_stage.vector_table.next = self.vector.table.val();
        self.output_stage.table_write_valid.next = self.load_to_table.val();
        self.output_stage.table_write_address.next =
            (self.load.write_address.val() << 6) | bit_cast::<16, 8>(self.load.write_position.val());
        self.output_stage.table_write_data.next = self.load.write_unit[0].val();
        self.activations.move_even.next = self.vector.move_even.val();
        self.activations.move_odd.next = self.vector.move_odd.val();
        self.activations.move_address.next = self.vector.move_address.val();
        for w in 0..self._row_words {
            self.activations.move_enable[w].next = self.vector.move_enable[w].val();
            self.activations.move_data[w].next = self.vector.move_data[w].val();
        }

        // Output stage.
        self.parameters.read_enable.next = self.output_stage.parameter_enable.val();
        self.parameters.read_address.next = self.output_stage.parameter_address.val();
        for w in 0..self._parameter_words {
            self.output_stage.parameter[w].next = self.parameters.read_data[w].val();
        }
        self.accumulators.partial_enable.next = self.output_stage.partial_enable.val();
        self.accumulators.others_may_read.next = self.matrix.partial_slot_reserved.val()
            | self.vector.accumulator_may_read.val()
            | self.row_reads.val();
        self.accumulators.partial_address.next = self.output_stage.partial_address.val();
        self.activations.result_even.next = self.output_stage.activation_even.val() | self.row_to_even.val();
        self.activations.result_odd.next = self.output_stage.activation_odd.val() | self.row_to_odd.val();
        self.activations.result_address.next = self.output_stage.result_address.val();
        self.accumulators.result_soon.next = self.output_stage.accumulator_soon.val();
        for r in 0..self._row_engines {
            self.accumulators.result_soon.next =
                self.output_stage.accumulator_soon.val() | self.row[r].accumulator_soon.val();
        }
        self.accumulators.result_address.next = self.output_stage.result_address.val();
        for w in 0..self._row_words {
            self.activations.result_enable[w].next = self.output_stage.activation_enable[w].val();
            self.activations.result_data[w].next = self.output_stage.activation_data[w].val();
        }
        for l in 0..self._lanes {
            self.output_stage.vector_value[l].next = self.vector.value[l].val();
            self.output_stage.accumulator[l].next = self.accumulators.read_data[l].val();
            self.vector.accumulator_data[l].next = self.accumulators.read_data[l].val();
            self.store.accumulator_data[l].next = self.accumulators.read_data[l].val();
            self.accumulators.result_data[l].next = self.output_stage.accumulator_data[l].val();
        }

        // Row engine: its terms take the lanes, and its results the ports, in cycles that nobody else has them.
        for r in 0..self._row_engines {
            if self.row[r].scaling.val() {
                self.output_stage.vector_pre_add.next = self.row[r].pre_add.val();
                self.output_stage.vector_multiplier.next = self.row[r].multiplier.val();
                self.output_stage.vector_left.next = self.row[r].left.val();
                self.output_stage.vector_right.next = self.row[r].right.val();
                self.output_stage.vector_single_rounding.next = true;
                self.output_stage.vector_add_operand.next = false;
                self.output_stage.vector_post_add.next = self.row[r].post_add.val();
                for l in 0..self._lanes {
                    self.output_stage.vector_value[l].next = self.row[r].value[l].val();
                }
            }
            for l in 0..self._lanes {
                self.row[r].accumulator_data[l].next = self.accumulators.read_data[l].val();
                self.row[r].scaled[l].next = self.output_stage.scaled[l].val();
                self.row[r].factor_a[l].next = self.vector.factor_a[l].val();
                self.row[r].factor_b[l].next = self.vector.factor_b[l].val();
                self.vector.lent_product[l].next = self.row[r].product[l].val();
            }
            self.row[r].lent.next = self.vector.multiplies.val();
            self.row[r].slot_reserved.next = self.matrix.row_slot_reserved.val();
            self.row[r].write_reserved.next = self.matrix.row_write_reserved.val();
            self.scalars[r].row_read_address.next = self.row[r].scalar_read_address.val();
            self.row[r].scalar_read_data.next = self.scalars[r].row_read_data.val();
            self.scalars[r].row_may_write.next = self.row[r].scalar_may_write.val();
            self.scalars[r].row_write_valid.next = self.row[r].scalar_write_valid.val();
            self.scalars[r].row_write_address.next = self.row[r].scalar_write_address.val();
            self.scalars[r].row_write_data.next = self.row[r].scalar_write_data.val();
        }
        self.row_result.next = self.row_to_even.val() | self.row_to_odd.val() | self.row_to_accumulator.val();
        for r in 0..self._row_engines {
            if self.row_result.val() {
                self.activations.result_address.next = self.row[r].result_address.val();
                self.accumulators.result_address.next = self.row[r].result_address.val();
                for w in 0..self._row_words {
                    self.activations.result_enable[w].next = self.row[r].activation_enable[w].val();
                    self.activations.result_data[w].next = self.row[r].activation_data[w].val();
                }
                for l in 0..self._lanes {
                    self.accumulators.result_data[l].next = self.row[r].result_data[l].val();
                }
            }
        }

        // Store engine.
        self.activations.store_enable.next = self.store.activation_enable.val();
        self.activations.store_address.next = self.store.read_address.val();
        self.store.activation_ready.next = self.activations.store_ready.val();
        self.accumulators.store_enable.next = self.store.accumulator_enable.val();
        self.accumulators.store_address.next = self.store.read_address.val();
        self.store.accumulator_ready.next = self.accumulators.store_ready.val();
    }
    fn timing(&self) -> Vec<TimingInfo> {
        describe(
            "accelerator",
            "The Frugal accelerator: AXI4-Lite for the host's registers, AXI4 for memory.",
        )
    }
}
