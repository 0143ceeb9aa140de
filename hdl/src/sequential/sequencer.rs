//! Runs the microprogram.
//!
//! ```text
//!          +--> MicroRom --> instruction --+--> registers (256 words) --+
//!    next  |                               |                            v
//!  address +---------- Sequencer <---------+--------- accumulator <-- MicroAlu <-- scratch memory, MacUnit, bus
//! ```
//! An instruction takes two cycles: in the first the register that it names is read, in the second it is carried out and the next one is read. Reads of
//! memory and of the bus, shifts, products and the steps of the dot product unit take more.
//!
//! `start` begins at the first instruction, unless the last program has ended in an error; `done` rises when the microprogram puts a status.

use super::microcode::{microprogram, MicrocodeError, ScratchMap};
use super::{MacUnit, MicroAlu, MicroRom};
use crate::emit::describe;
use crate::leaves::{inputs, PackBytes, SimpleRam, SinglePortRam};
use frugal_isa::Config;
use rust_hdl_core::prelude::*;
use rust_hdl_widgets::prelude::*;

#[derive(Copy, Clone, PartialEq, Debug, LogicState)]
enum SequencerState {
    Idle,
    Read,
    Execute,
    Memory,
    Shift,
    Multiply,
    Mac,
    ReadAddress,
    ReadData,
    WriteAddress,
    WriteData,
    WriteAnswer,
}

#[derive(LogicBlock)]
pub struct Sequencer {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub start: Signal<In, Bit>,
    pub busy: Signal<Out, Bit>,
    pub done: Signal<Out, Bit>,
    pub status_code: Signal<Out, Bits<8>>,
    pub status_engine: Signal<Out, Bits<4>>,
    pub command_index: Signal<Out, Bits<32>>,
    pub program_address: Signal<In, Bits<32>>,
    pub program_commands: Signal<In, Bits<32>>,
    pub base: Vec<Signal<In, Bits<32>>>,
    /// A step of the dot product unit.
    pub step: Signal<Out, Bit>,
    pub observed: Signal<Out, Bits<8>>,
    // The bus: a word at a time. The address is the register that the instruction names.
    pub bus_address: Signal<Out, Bits<32>>,
    pub ar_valid: Signal<Out, Bit>,
    pub ar_ready: Signal<In, Bit>,
    pub ar_id: Signal<Out, Bit>,
    pub r_valid: Signal<In, Bit>,
    pub r_ready: Signal<Out, Bit>,
    pub r_word: Signal<In, Bits<32>>,
    pub r_error: Signal<In, Bit>,
    pub aw_valid: Signal<Out, Bit>,
    pub aw_ready: Signal<In, Bit>,
    pub w_valid: Signal<Out, Bit>,
    pub w_ready: Signal<In, Bit>,
    pub w_word: Signal<Out, Bits<32>>,
    pub b_valid: Signal<In, Bit>,
    pub b_ready: Signal<Out, Bit>,
    pub b_error: Signal<In, Bit>,
    rom: MicroRom,
    registers: SimpleRam,
    scratch: SinglePortRam,
    alu: MicroAlu,
    mac: MacUnit,
    state: DFF<SequencerState>,
    instruction_address: DFF<Bits<11>>,
    stack: Vec<DFF<Bits<11>>>,
    accumulator: DFF<Bits<32>>,
    factor: DFF<Bits<32>>,
    address: DFF<Bits<16>>,
    /// Of a shift that a `put` has told.
    told: DFF<Bits<5>>,
    left: DFF<Bits<5>>,
    guard: DFF<Bit>,
    sticky: DFF<Bit>,
    single: DFF<Bit>,
    less: DFF<Bit>,
    carry: DFF<Bit>,
    ended: DFF<Bit>,
    code: DFF<Bits<8>>,
    engine: DFF<Bits<4>>,
    index: DFF<Bits<32>>,
    operation: Signal<Local, Bits<5>>,
    operand: Signal<Local, Bits<11>>,
    place: Signal<Local, Bits<4>>,
    next_address: Signal<Local, Bits<11>>,
    following: Signal<Local, Bits<11>>,
    proceeds: Signal<Local, Bit>,
    /// The accumulator takes the result.
    takes: Signal<Local, Bit>,
    executes: Signal<Local, Bit>,
    jumps: Signal<Local, Bit>,
    calls: Signal<Local, Bit>,
    returns: Signal<Local, Bit>,
    puts: Signal<Local, Bit>,
    got: Signal<Local, Bits<32>>,
    by_bytes: Signal<Local, Bit>,
    byte: Signal<Local, Bits<4>>,
    next_word: Signal<Local, Bits<16>>,
    next_byte: Signal<Local, Bits<16>>,
    low_byte: Signal<Local, Bits<32>>,
    factor_high: Signal<Local, Bits<32>>,
    top: Constant<Bits<32>>,
    replicate: PackBytes,
}

impl Sequencer {
    /// With the memories of `config`.
    ///
    /// # Errors
    /// If the microprogram cannot be made for them.
    pub fn new(config: &Config) -> Result<Self, MicrocodeError> {
        Ok(Self {
            clock: Signal::default(),
            reset: Signal::default(),
            start: Signal::default(),
            busy: Signal::default(),
            done: Signal::default(),
            status_code: Signal::default(),
            status_engine: Signal::default(),
            command_index: Signal::default(),
            program_address: Signal::default(),
            program_commands: Signal::default(),
            base: inputs(2),
            step: Signal::default(),
            observed: Signal::default(),
            bus_address: Signal::default(),
            ar_valid: Signal::default(),
            ar_ready: Signal::default(),
            ar_id: Signal::default(),
            r_valid: Signal::default(),
            r_ready: Signal::default(),
            r_word: Signal::default(),
            r_error: Signal::default(),
            aw_valid: Signal::default(),
            aw_ready: Signal::default(),
            w_valid: Signal::default(),
            w_ready: Signal::default(),
            w_word: Signal::default(),
            b_valid: Signal::default(),
            b_ready: Signal::default(),
            b_error: Signal::default(),
            rom: MicroRom::new(microprogram(config)?),
            registers: SimpleRam::new(256, 1),
            scratch: SinglePortRam::new(ScratchMap::new(config).bytes / 4),
            alu: MicroAlu::default(),
            mac: MacUnit::new(),
            state: DFF::default(),
            instruction_address: DFF::default(),
            stack: (0..4).map(|_| DFF::default()).collect(),
            accumulator: DFF::default(),
            factor: DFF::default(),
            address: DFF::default(),
            told: DFF::default(),
            left: DFF::default(),
            guard: DFF::default(),
            sticky: DFF::default(),
            single: DFF::default(),
            less: DFF::default(),
            carry: DFF::default(),
            ended: DFF::default(),
            code: DFF::default(),
            engine: DFF::default(),
            index: DFF::default(),
            operation: Signal::default(),
            operand: Signal::default(),
            place: Signal::default(),
            next_address: Signal::default(),
            following: Signal::default(),
            proceeds: Signal::default(),
            takes: Signal::default(),
            executes: Signal::default(),
            jumps: Signal::default(),
            calls: Signal::default(),
            returns: Signal::default(),
            puts: Signal::default(),
            got: Signal::default(),
            by_bytes: Signal::default(),
            byte: Signal::default(),
            next_word: Signal::default(),
            next_byte: Signal::default(),
            low_byte: Signal::default(),
            factor_high: Signal::default(),
            top: Constant::new((1_u64 << 31).into()),
            replicate: PackBytes::default(),
        })
    }
}

impl Logic for Sequencer {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(
            self,
            clock,
            state,
            instruction_address,
            accumulator,
            factor,
            address,
            told,
            left,
            guard,
            sticky,
            single,
            less,
            carry,
            ended,
            code,
            engine,
            index
        );
        for s in 0..4 {
            self.stack[s].clock.next = self.clock.val();
            self.stack[s].d.next = self.stack[s].q.val();
        }
        self.rom.clock.next = self.clock.val();
        self.registers.clock.next = self.clock.val();
        self.scratch.clock.next = self.clock.val();
        self.mac.clock.next = self.clock.val();
        self.mac.reset.next = self.reset.val();

        // The instruction.
        self.operation.next = self.rom.instruction.val().get_bits::<5>(11);
        self.operand.next = self.rom.instruction.val().get_bits::<11>(0);
        self.place.next = self.rom.instruction.val().get_bits::<4>(0);
        self.executes.next = self.state.q.val() == SequencerState::Execute;
        self.registers.read_enable.next = self.state.q.val() == SequencerState::Read;
        self.registers.read_address.next = bit_cast::<16, 8>(self.rom.instruction.val().get_bits::<8>(0));
        self.registers.write_address.next = bit_cast::<16, 8>(self.rom.instruction.val().get_bits::<8>(0));
        self.registers.write_valid.next = self.executes.val() & (self.operation.val() == 13);
        self.registers.write_enable[0].next = 15.into();
        self.registers.write_data[0].next = self.accumulator.q.val();

        // What it makes of the accumulator.
        self.alu.operation.next = self.operation.val();
        self.alu.operand.next = self.operand.val();
        self.alu.accumulator.next = self.accumulator.q.val();
        self.alu.value.next = self.registers.read_data[0].val();
        self.alu.factor.next = self.factor.q.val();
        self.alu.memory.next = self.scratch.read_data.val();
        self.alu.memory_byte.next = self.address.q.val().get_bits::<2>(0);
        self.alu.bus.next = self.r_word.val();
        self.alu.guard.next = self.guard.q.val();
        self.alu.sticky.next = self.sticky.q.val();
        self.alu.single.next = self.single.q.val();
        self.got.next = self.mac.sum.val();
        match self.place.val().index() {
            1 => {
                self.got.next = self.factor.q.val();
            }
            2 => {
                self.got.next = self.program_address.val();
            }
            3 => {
                self.got.next = self.program_commands.val();
            }
            4 => {
                self.got.next = self.base[0].val();
            }
            5 => {
                self.got.next = self.base[1].val();
            }
            6 => {
                self.got.next = self.mac.product.val();
            }
            7 => {
                self.got.next = bit_cast::<32, 16>(self.mac.weights.val());
            }
            8 => {
                self.got.next = self.mac.vector[0].val();
            }
            9 => {
                self.got.next = self.mac.vector[1].val();
            }
            _ => {}
        }
        self.alu.got.next = self.got.val();

        // What is put.
        self.puts.next = self.executes.val() & (self.operation.val() == 14);
        self.mac.value.next = self.accumulator.q.val();
        self.mac.put_vectors.next = self.puts.val() & (self.place.val() == 1);
        self.mac.put_weights.next = self.puts.val() & (self.place.val() == 2);
        self.mac.put_steps.next = self.puts.val() & (self.place.val() == 3);
        self.mac.put_stride.next = self.puts.val() & (self.place.val() == 4);
        self.mac.put_pad.next = self.puts.val() & (self.place.val() == 5);
        self.mac.clear.next = self.puts.val() & (self.place.val() == 9);
        self.mac.put_operand.next = self.puts.val() & (self.place.val() == 11);
        self.mac.take.next = self.executes.val() & (self.operation.val() == 10) & (self.place.val() == 0);
        self.mac.start.next = self.executes.val() & (self.operation.val() == 31);
        self.mac.one_word.next = self.place.val().get_bit(0);
        self.mac.address.next = self.address.q.val();
        self.mac.read_data.next = self.scratch.read_data.val();
        self.step.next = self.mac.step.val();
        self.observed.next = 0.into();
        if self.executes.val() & (self.operation.val() == 15) {
            self.observed.next = self.operand.val().get_bits::<8>(0);
        }

        // Where it goes on.
        self.calls.next = self.executes.val() & (self.operation.val() == 21);
        self.returns.next = self.executes.val() & (self.operation.val() == 22);
        self.jumps.next = false;
        match self.operation.val().index() {
            16 => {
                self.jumps.next = true;
            }
            17 => {
                self.jumps.next = self.alu.zero.val();
            }
            18 => {
                self.jumps.next = !self.alu.zero.val();
            }
            19 => {
                self.jumps.next = self.less.q.val();
            }
            20 => {
                self.jumps.next = self.carry.q.val();
            }
            21 => {
                self.jumps.next = true;
            }
            _ => {}
        }
        self.following.next = self.instruction_address.q.val() + 1;
        self.next_address.next = self.following.val();
        if self.jumps.val() {
            self.next_address.next = self.operand.val();
        }
        if self.operation.val() == 22 {
            self.next_address.next = self.stack[0].q.val();
        }
        if self.state.q.val() == SequencerState::Idle {
            self.next_address.next = 0.into();
        }
        if self.calls.val() {
            self.stack[0].d.next = self.following.val();
            for s in 0..3 {
                self.stack[s + 1].d.next = self.stack[s].q.val();
            }
        }
        if self.returns.val() {
            for s in 0..3 {
                self.stack[s].d.next = self.stack[s + 1].q.val();
            }
        }

        // Scratch memory.
        self.by_bytes.next = self.operation.val().get_bit(1);
        self.low_byte.next = self.accumulator.q.val();
        for b in 0..4 {
            self.replicate.bytes[b].next = self.accumulator.q.val().get_bits::<8>(0);
        }
        self.byte.next = 15.into();
        if self.by_bytes.val() {
            self.low_byte.next = self.replicate.word.val();
            self.byte.next = 8.into();
            match self.address.q.val().get_bits::<2>(0).index() {
                0 => {
                    self.byte.next = 1.into();
                }
                1 => {
                    self.byte.next = 2.into();
                }
                2 => {
                    self.byte.next = 4.into();
                }
                _ => {}
            }
        }
        self.scratch.enable.next = self.mac.read.val();
        self.scratch.write.next = 0.into();
        self.scratch.address.next = self.address.q.val() >> 2;
        if self.mac.read.val() {
            self.scratch.address.next = self.mac.read_row.val();
        }
        self.scratch.write_data.next = self.low_byte.val();
        self.next_word.next = self.address.q.val() + 4;
        self.next_byte.next = self.address.q.val() + 1;

        // The bus.
        self.bus_address.next = self.registers.read_data[0].val();
        self.ar_valid.next = self.state.q.val() == SequencerState::ReadAddress;
        // Fetches have identifier 0.
        self.ar_id.next = !self.operand.val().get_bit(9);
        self.r_ready.next = self.state.q.val() == SequencerState::ReadData;
        self.aw_valid.next = self.state.q.val() == SequencerState::WriteAddress;
        self.w_valid.next = self.state.q.val() == SequencerState::WriteData;
        self.w_word.next = self.accumulator.q.val();
        self.b_ready.next = self.state.q.val() == SequencerState::WriteAnswer;

        self.proceeds.next = false;
        self.takes.next = false;
        self.factor_high.next = self.factor.q.val() >> 1;
        match self.state.q.val() {
            SequencerState::Idle => {
                if self.start.val() & !self.code.q.val().any() {
                    self.proceeds.next = true;
                    self.ended.d.next = false;
                }
            }
            SequencerState::Read => {
                self.state.d.next = SequencerState::Execute;
            }
            SequencerState::Execute => {
                self.proceeds.next = true;
                match self.operation.val().index() {
                    7 => {
                        self.takes.next = true;
                        self.less.d.next = self.alu.less.val();
                        self.carry.d.next = self.alu.carry.val();
                    }
                    13 => {}
                    14 => {}
                    15 => {}
                    16 => {}
                    17 => {}
                    18 => {}
                    19 => {}
                    20 => {}
                    21 => {}
                    22 => {}
                    23 => {
                        self.proceeds.next = false;
                        self.state.d.next = SequencerState::ReadAddress;
                        if self.operand.val().get_bit(8) {
                            self.state.d.next = SequencerState::WriteAddress;
                        }
                    }
                    24 => {
                        self.proceeds.next = false;
                        self.scratch.enable.next = true;
                        self.state.d.next = SequencerState::Memory;
                    }
                    25 => {
                        self.scratch.enable.next = true;
                        self.scratch.write.next = self.byte.val();
                        self.address.d.next = self.next_word.val();
                    }
                    26 => {
                        self.proceeds.next = false;
                        self.scratch.enable.next = true;
                        self.state.d.next = SequencerState::Memory;
                    }
                    27 => {
                        self.scratch.enable.next = true;
                        self.scratch.write.next = self.byte.val();
                        self.address.d.next = self.next_byte.val();
                    }
                    28 => {
                        self.proceeds.next = false;
                        self.state.d.next = SequencerState::Shift;
                    }
                    29 => {
                        self.proceeds.next = false;
                        self.state.d.next = SequencerState::Shift;
                        self.guard.d.next = false;
                        self.sticky.d.next = false;
                    }
                    30 => {
                        self.proceeds.next = false;
                        self.state.d.next = SequencerState::Multiply;
                    }
                    31 => {
                        self.proceeds.next = false;
                        self.state.d.next = SequencerState::Mac;
                    }
                    _ => {
                        self.takes.next = true;
                    }
                }
            }
            SequencerState::Memory => {
                self.takes.next = true;
                self.proceeds.next = true;
                self.address.d.next = self.next_word.val();
                if self.by_bytes.val() {
                    self.address.d.next = self.next_byte.val();
                }
            }
            SequencerState::Shift => {
                if self.left.q.val().any() {
                    self.takes.next = true;
                    self.left.d.next = self.left.q.val() - 1;
                    self.guard.d.next = self.accumulator.q.val().get_bit(0);
                    self.sticky.d.next = self.sticky.q.val() | self.guard.q.val();
                } else {
                    self.proceeds.next = true;
                }
            }
            SequencerState::Multiply => {
                self.takes.next = true;
                self.factor.d.next = self.factor_high.val();
                if self.alu.low.val() {
                    self.factor.d.next = self.factor_high.val() | self.top.val();
                }
                self.left.d.next = self.left.q.val() - 1;
                if !self.left.q.val().any() {
                    self.proceeds.next = true;
                }
            }
            SequencerState::Mac => {
                self.proceeds.next = self.mac.done.val();
            }
            SequencerState::ReadAddress => {
                if self.ar_ready.val() {
                    self.state.d.next = SequencerState::ReadData;
                }
            }
            SequencerState::ReadData => {
                if self.r_valid.val() {
                    self.takes.next = true;
                    self.carry.d.next = self.r_error.val();
                    self.proceeds.next = true;
                }
            }
            SequencerState::WriteAddress => {
                if self.aw_ready.val() {
                    self.state.d.next = SequencerState::WriteData;
                }
            }
            SequencerState::WriteData => {
                if self.w_ready.val() {
                    self.state.d.next = SequencerState::WriteAnswer;
                }
            }
            SequencerState::WriteAnswer => {
                if self.b_valid.val() {
                    self.carry.d.next = self.b_error.val();
                    self.proceeds.next = true;
                }
            }
            _ => {
                self.state.d.next = SequencerState::Idle;
            }
        }
        if self.takes.val() {
            self.accumulator.d.next = self.alu.result.val();
        }
        if self.executes.val() {
            if self.operation.val() == 30 {
                self.accumulator.d.next = 0.into();
                self.left.d.next = 31.into();
            } else {
                self.left.d.next = self.operand.val().get_bits::<5>(0);
                if self.operand.val().get_bit(5) {
                    self.left.d.next = self.told.q.val();
                }
            }
        }
        self.rom.read_enable.next = self.proceeds.val();
        self.rom.address.next = self.next_address.val();
        if self.proceeds.val() {
            self.instruction_address.d.next = self.next_address.val();
            self.state.d.next = SequencerState::Read;
        }
        if self.puts.val() {
            match self.place.val().index() {
                0 => {
                    self.address.d.next = self.accumulator.q.val().get_bits::<16>(0);
                }
                6 => {
                    self.told.d.next = self.accumulator.q.val().get_bits::<5>(0);
                }
                7 => {
                    self.factor.d.next = self.accumulator.q.val();
                }
                8 => {
                    self.engine.d.next = self.accumulator.q.val().get_bits::<4>(0);
                    self.code.d.next = bit_cast::<8, 4>(self.accumulator.q.val().get_bits::<4>(4));
                    self.ended.d.next = true;
                    self.state.d.next = SequencerState::Idle;
                }
                10 => {
                    self.index.d.next = self.accumulator.q.val();
                }
                12 => {
                    self.single.d.next = !self.alu.zero.val();
                }
                _ => {}
            }
        }
        self.busy.next = self.state.q.val() != SequencerState::Idle;
        self.done.next = self.ended.q.val();
        self.status_code.next = self.code.q.val();
        self.status_engine.next = self.engine.q.val();
        self.command_index.next = self.index.q.val();
        if self.reset.val() {
            self.state.d.next = SequencerState::Idle;
            self.ended.d.next = false;
            self.code.d.next = 0.into();
            self.engine.d.next = 0.into();
        }
    }
    fn timing(&self) -> Vec<TimingInfo> {
        describe("sequencer", "Runs the microprogram that carries out the commands of a program.")
    }
}

#[cfg(test)]
mod tests {
    use super::super::microcode::operation::*;
    use super::super::microcode::{GET as GOT, PUT as PLACES};

    /// The numbers that stand in the block above are those of the instructions.
    #[test]
    fn numbers_are_those_of_the_instructions() {
        assert_eq!([SUBTRACT, GET, STORE, PUT, OBSERVE, JUMP], [7, 10, 13, 14, 15, 16]);
        assert_eq!([JUMP_ZERO, JUMP_NOT_ZERO, JUMP_LESS, JUMP_CARRY, CALL, RETURN], [17, 18, 19, 20, 21, 22]);
        assert_eq!([BUS, MEMORY_LOAD, MEMORY_STORE, BYTE_LOAD, BYTE_STORE], [23, 24, 25, 26, 27]);
        assert_eq!([SHIFT_LEFT, SHIFT_RIGHT, MULTIPLY, MAC], [28, 29, 30, 31]);
        let places = [
            "address", "vectors", "weights", "steps", "stride", "pad", "count", "factor", "status", "clear",
            "index",
        ];
        assert_eq!(PLACES[..11], places);
        assert_eq!(PLACES[11..], ["operand", "single"]);
        let got = [
            "sum", "factor", "program", "commands", "base_0", "base_1", "product", "weights", "vector_0",
            "vector_1",
        ];
        assert_eq!(GOT, got);
    }
}
