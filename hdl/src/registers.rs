//! Registers: the AXI4-Lite window of the host, see docs/isa.md for the map.
//!
//! Handshake: a write is taken when address and data are both there (`lite_aw_ready` and `lite_w_ready` rise together for one cycle), a read one
//! cycle after its address; answers wait for the host. All outputs come from registers; only the word that is read is chosen behind them, among one of
//! each group of the window. Addresses outside the map read as zero and ignore writes.

use crate::emit::describe;
use crate::lanes::WordSelect;
use crate::leaves::{inputs, outputs};
use frugal_isa::{register, Config};
use rust_hdl_core::prelude::*;
use rust_hdl_widgets::prelude::*;

/// Words of the register window.
pub const WINDOW_WORDS: usize = 48;
/// Groups of the window, and words of each: a word of each is read, and then one of these.
const GROUPS: usize = 3;
const GROUP_WORDS: usize = WINDOW_WORDS / GROUPS;

/// Index of a register in the window.
const fn word(offset: u32) -> usize {
    offset as usize / 4
}

#[derive(LogicBlock)]
pub struct Registers {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    // AXI4-Lite.
    pub aw_valid: Signal<In, Bit>,
    pub aw_ready: Signal<Out, Bit>,
    pub aw_address: Signal<In, Bits<12>>,
    pub w_valid: Signal<In, Bit>,
    pub w_ready: Signal<Out, Bit>,
    pub w_data: Signal<In, Bits<32>>,
    pub b_valid: Signal<Out, Bit>,
    pub b_ready: Signal<In, Bit>,
    pub ar_valid: Signal<In, Bit>,
    pub ar_ready: Signal<Out, Bit>,
    pub ar_address: Signal<In, Bits<12>>,
    pub r_valid: Signal<Out, Bit>,
    pub r_ready: Signal<In, Bit>,
    pub r_data: Signal<Out, Bits<32>>,
    // To the machine.
    pub start: Signal<Out, Bit>,
    /// Resets the machine, not the registers; only given when it is not busy.
    pub machine_reset: Signal<Out, Bit>,
    pub program_address: Signal<Out, Bits<32>>,
    pub program_commands: Signal<Out, Bits<32>>,
    pub base: Vec<Signal<Out, Bits<32>>>,
    // From the machine.
    pub busy: Signal<In, Bit>,
    pub status: Signal<In, Bits<32>>,
    pub command_index: Signal<In, Bits<32>>,
    pub matrix_step: Signal<In, Bit>,
    /// What the performance counters count, in the order of their registers; counted a cycle later.
    pub events: Vec<Signal<In, Bit>>,
    pub debug: Vec<Signal<In, Bits<32>>>,
    happened: Vec<DFF<Bit>>,
    taking_write: DFF<Bit>,
    answer_write: DFF<Bit>,
    taking_read: DFF<Bit>,
    answer_read: DFF<Bit>,
    read_words: Vec<DFF<Bits<32>>>,
    read_group: DFF<Bits<6>>,
    start_pulse: DFF<Bit>,
    reset_pulse: DFF<Bit>,
    /// Thousands of registers listen to it.
    resetting: DFF<Bit>,
    program_address_register: DFF<Bits<32>>,
    program_commands_register: DFF<Bits<32>>,
    base_registers: Vec<DFF<Bits<32>>>,
    cycles_low: DFF<Bits<32>>,
    cycles_high: DFF<Bits<32>>,
    matrix_steps: DFF<Bits<32>>,
    counters: Vec<DFF<Bits<32>>>,
    starting: Signal<Local, Bit>,
    window: Vec<Signal<Local, Bits<32>>>,
    selects: Vec<WordSelect>,
    place_in_group: Signal<Local, Bits<10>>,
    write_index: Signal<Local, Bits<10>>,
    read_index: DFF<Bits<10>>,
    writes: Signal<Local, Bit>,
    may_write: Signal<Local, Bit>,
    may_read: Signal<Local, Bit>,
    all_ones: Constant<Bits<32>>,
    identity: Constant<Bits<32>>,
    version: Constant<Bits<32>>,
    shape: Constant<Bits<32>>,
    activation_depth: Constant<Bits<32>>,
    weight_depth: Constant<Bits<32>>,
    parameter_depth: Constant<Bits<32>>,
    accumulator_depth: Constant<Bits<32>>,
    features: Constant<Bits<32>>,
    // Positions in the window, so that the loops below can name them.
    _program_address_word: usize,
    _program_commands_word: usize,
    _control_word: usize,
    _base_word: usize,
    _bases: usize,
    _counters: usize,
    _first_debug: usize,
    _words: usize,
}

impl Registers {
    pub fn new(config: &Config) -> Self {
        let constant = |value: usize| Constant::new((value as u64).into());
        let counters = if config.counters { register::COUNTERS } else { 0 };
        let shape = config.rows | config.cols << 8 | config.lanes << 16 | config.bus_bytes() << 24;
        Self {
            clock: Signal::default(),
            reset: Signal::default(),
            aw_valid: Signal::default(),
            aw_ready: Signal::default(),
            aw_address: Signal::default(),
            w_valid: Signal::default(),
            w_ready: Signal::default(),
            w_data: Signal::default(),
            b_valid: Signal::default(),
            b_ready: Signal::default(),
            ar_valid: Signal::default(),
            ar_ready: Signal::default(),
            ar_address: Signal::default(),
            r_valid: Signal::default(),
            r_ready: Signal::default(),
            r_data: Signal::default(),
            start: Signal::default(),
            machine_reset: Signal::default(),
            program_address: Signal::default(),
            program_commands: Signal::default(),
            base: outputs(register::BASE_REGISTERS),
            busy: Signal::default(),
            status: Signal::default(),
            command_index: Signal::default(),
            matrix_step: Signal::default(),
            events: (0..register::COUNTERS).map(|_| Signal::default()).collect(),
            debug: inputs(7),
            happened: (0..counters).map(|_| DFF::default()).collect(),
            taking_write: DFF::default(),
            answer_write: DFF::default(),
            taking_read: DFF::default(),
            answer_read: DFF::default(),
            read_words: (0..GROUPS).map(|_| DFF::default()).collect(),
            read_group: DFF::default(),
            start_pulse: DFF::default(),
            reset_pulse: DFF::default(),
            resetting: DFF::default(),
            program_address_register: DFF::default(),
            program_commands_register: DFF::default(),
            base_registers: (0..config.base_registers).map(|_| DFF::default()).collect(),
            cycles_low: DFF::default(),
            cycles_high: DFF::default(),
            matrix_steps: DFF::default(),
            counters: (0..counters).map(|_| DFF::default()).collect(),
            starting: Signal::default(),
            window: (0..WINDOW_WORDS).map(|_| Signal::default()).collect(),
            selects: (0..GROUPS).map(|_| WordSelect::new(GROUP_WORDS)).collect(),
            place_in_group: Signal::default(),
            write_index: Signal::default(),
            read_index: DFF::default(),
            writes: Signal::default(),
            may_write: Signal::default(),
            may_read: Signal::default(),
            all_ones: constant(0xffff_ffff),
            identity: constant(register::IDENTITY_VALUE as usize),
            version: constant(frugal_isa::ISA_VERSION as usize),
            shape: constant(shape),
            activation_depth: constant(config.activation_depth),
            weight_depth: constant(config.weight_depth),
            parameter_depth: constant(config.parameter_depth),
            accumulator_depth: constant(config.accumulator_depth),
            features: constant(config.features() as usize),
            _program_address_word: word(register::PROGRAM_ADDRESS),
            _program_commands_word: word(register::PROGRAM_COMMANDS),
            _control_word: word(register::CONTROL),
            _base_word: word(register::BASE_0),
            _bases: config.base_registers,
            _counters: counters,
            // The commands that were dispatched are counted for everybody.
            _first_debug: if config.counters { 0 } else { 6 },
            _words: WINDOW_WORDS,
        }
    }
}

impl Logic for Registers {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(
            self,
            clock,
            taking_write,
            answer_write,
            taking_read,
            answer_read,
            read_group,
            read_index,
            start_pulse,
            reset_pulse,
            resetting,
            program_address_register,
            program_commands_register,
            cycles_low,
            cycles_high,
            matrix_steps
        );
        for b in 0..8 {
            self.base[b].next = 0.into();
        }
        for b in 0..self._bases {
            self.base_registers[b].clock.next = self.clock.val();
            self.base_registers[b].d.next = self.base_registers[b].q.val();
            self.base[b].next = self.base_registers[b].q.val();
        }

        // Counters.
        if self.busy.val() {
            self.cycles_low.d.next = self.cycles_low.q.val() + 1;
            if self.cycles_low.q.val() == self.all_ones.val() {
                self.cycles_high.d.next = self.cycles_high.q.val() + 1;
            }
        }
        if self.matrix_step.val() {
            self.matrix_steps.d.next = self.matrix_steps.q.val() + 1;
        }
        self.starting.next = self.start_pulse.q.val() & !self.busy.val();
        for c in 0..self._counters {
            self.counters[c].clock.next = self.clock.val();
            self.counters[c].d.next = self.counters[c].q.val();
            self.happened[c].clock.next = self.clock.val();
            self.happened[c].d.next = self.events[c].val();
            if self.happened[c].q.val() {
                self.counters[c].d.next = self.counters[c].q.val() + 1;
            }
            if self.starting.val() {
                self.counters[c].d.next = 0.into();
            }
        }
        if self.starting.val() {
            self.cycles_low.d.next = 0.into();
            self.cycles_high.d.next = 0.into();
            self.matrix_steps.d.next = 0.into();
        }

        // Writes.
        self.write_index.next = self.aw_address.val().get_bits::<10>(2);
        self.may_write.next = self.aw_valid.val() & self.w_valid.val() & !self.taking_write.q.val();
        self.taking_write.d.next = self.may_write.val() & !self.answer_write.q.val();
        self.writes.next = self.taking_write.q.val();
        self.aw_ready.next = self.taking_write.q.val();
        self.w_ready.next = self.taking_write.q.val();
        if self.b_ready.val() {
            self.answer_write.d.next = false;
        }
        self.start_pulse.d.next = false;
        self.reset_pulse.d.next = false;
        if self.writes.val() {
            self.answer_write.d.next = true;
            for i in self._control_word..(self._control_word + 1) {
                if self.write_index.val().index() == i {
                    self.start_pulse.d.next = self.w_data.val().get_bit(0);
                    self.reset_pulse.d.next = self.w_data.val().get_bit(1) & !self.busy.val();
                }
            }
            for i in self._program_address_word..(self._program_address_word + 1) {
                if self.write_index.val().index() == i {
                    self.program_address_register.d.next = self.w_data.val();
                }
            }
            for i in self._program_commands_word..(self._program_commands_word + 1) {
                if self.write_index.val().index() == i {
                    self.program_commands_register.d.next = self.w_data.val();
                }
            }
            for first in self._base_word..(self._base_word + 1) {
                for b in 0..self._bases {
                    if self.write_index.val().index() == first + b {
                        self.base_registers[b].d.next = self.w_data.val();
                    }
                }
            }
        }
        self.b_valid.next = self.answer_write.q.val();

        // Reads.
        for i in 0..self._words {
            self.window[i].next = 0.into();
        }
        for b in 0..self._bases {
            self.window[b + 24].next = self.base_registers[b].q.val();
        }
        for d in self._first_debug..7 {
            self.window[d + 16].next = self.debug[d].val();
        }
        for c in 0..self._counters {
            self.window[c + 32].next = self.counters[c].q.val();
        }
        self.window[0].next = self.identity.val();
        self.window[1].next = self.version.val();
        self.window[2].next = self.shape.val();
        self.window[3].next = self.activation_depth.val();
        self.window[4].next = self.weight_depth.val();
        self.window[5].next = self.parameter_depth.val();
        self.window[6].next = self.accumulator_depth.val();
        self.window[7].next = self.features.val();
        self.window[9].next = self.status.val();
        self.window[10].next = self.command_index.val();
        self.window[11].next = self.program_address_register.q.val();
        self.window[12].next = self.program_commands_register.q.val();
        self.window[13].next = self.cycles_low.q.val();
        self.window[14].next = self.cycles_high.q.val();
        self.window[15].next = self.matrix_steps.q.val();
        // The address stays until it is taken, which is a cycle later at the earliest.
        self.read_index.d.next = self.ar_address.val().get_bits::<10>(2);
        self.may_read.next = self.ar_valid.val() & !self.taking_read.q.val();
        self.taking_read.d.next = self.may_read.val() & !self.answer_read.q.val();
        self.ar_ready.next = self.taking_read.q.val();
        if self.r_ready.val() {
            self.answer_read.d.next = false;
        }
        if self.taking_read.q.val() {
            self.answer_read.d.next = true;
            self.read_group.d.next = self.read_index.q.val().get_bits::<6>(4);
        }
        self.place_in_group.next = self.read_index.q.val() & 15;
        self.r_data.next = 0.into();
        for g in 0..3 {
            self.read_words[g].clock.next = self.clock.val();
            self.read_words[g].d.next = self.read_words[g].q.val();
            if self.taking_read.q.val() {
                self.read_words[g].d.next = self.selects[g].word.val();
            }
            self.selects[g].index.next = self.place_in_group.val();
            for i in 0..16 {
                self.selects[g].words[i].next = self.window[g * 16 + i].val();
            }
            if self.read_group.q.val().index() == g {
                self.r_data.next = self.read_words[g].q.val();
            }
        }
        self.r_valid.next = self.answer_read.q.val();

        self.start.next = self.start_pulse.q.val() & !self.busy.val();
        self.resetting.d.next = self.reset_pulse.q.val() | self.reset.val();
        self.machine_reset.next = self.resetting.q.val();
        self.program_address.next = self.program_address_register.q.val();
        self.program_commands.next = self.program_commands_register.q.val();
        if self.reset.val() {
            self.taking_write.d.next = false;
            self.answer_write.d.next = false;
            self.taking_read.d.next = false;
            self.answer_read.d.next = false;
            self.start_pulse.d.next = false;
            self.reset_pulse.d.next = false;
        }
    }
    fn timing(&self) -> Vec<TimingInfo> {
        describe("registers", "The host's AXI4-Lite register window; the map is in docs/isa.md.")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The literal positions of the read window are the ones of the register table.
    #[test]
    fn window_positions_follow_the_register_table() {
        use register::*;
        let positions = [
            (IDENTITY, 0),
            (VERSION, 1),
            (SHAPE, 2),
            (ACTIVATION_DEPTH, 3),
            (WEIGHT_DEPTH, 4),
            (PARAMETER_DEPTH, 5),
            (ACCUMULATOR_DEPTH, 6),
            (FEATURES, 7),
            (STATUS, 9),
            (COMMAND_INDEX, 10),
            (PROGRAM_ADDRESS, 11),
            (PROGRAM_COMMANDS, 12),
            (CYCLES_LOW, 13),
            (CYCLES_HIGH, 14),
            (MATRIX_STEPS, 15),
            (DEBUG_STATES, 16),
            (COMMANDS, 22),
            (BASE_0, 24),
            (MATRIX_BUSY, 32),
            (BUS_WAITS, 32 + 13 - 1),
        ];
        for (offset, position) in positions {
            assert_eq!(word(offset), position);
        }
        assert!(REGISTERS.iter().all(|r| word(r.offset) < WINDOW_WORDS));
        assert_eq!((GROUPS, GROUP_WORDS), (3, 16));
    }
}
