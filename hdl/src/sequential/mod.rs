//! A machine for the same commands that does one thing at a time, for chips that have no room for engines side by side (decision 27).
//!
//! ```text
//!   AXI4-Lite (registers)                 AXI4 (memory, 64 data bits)
//!        |                                      ^
//!   +----v------+     +-------------------------v---+
//!   | Registers <-----> Sequencer: microprogram,    |
//!   +-----------+     | ALU, dot products, scratch  |
//!                     +-----------------------------+
//! ```
//! The ports are those of [`crate::accelerator::Accelerator`]. All memories of the machine are in one scratch memory.

mod mac_unit;
mod micro_alu;
mod micro_rom;
pub mod microcode;
mod sequencer;

pub use mac_unit::MacUnit;
pub use micro_alu::MicroAlu;
pub use micro_rom::MicroRom;
pub use sequencer::Sequencer;

use crate::emit::describe;
use crate::leaves::{Pack64, PackBytes, PackFlags, Unpack64};
use crate::registers::Registers;
use frugal_isa::Config;
use rust_hdl_core::prelude::*;
use rust_hdl_widgets::prelude::*;

/// The whole machine.
#[derive(LogicBlock)]
pub struct SequentialAccelerator {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub irq: Signal<Out, Bit>,
    /// For observers, one cycle late. Bits 0..4: load, matrix, vector, store starts a command; 4..8: finishes one; 8: a matrix step.
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
    pub r_data: Signal<In, Bits<64>>,
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
    pub w_data: Signal<Out, Bits<64>>,
    pub w_strobe: Signal<Out, Bits<8>>,
    pub w_last: Signal<Out, Bit>,
    pub b_valid: Signal<In, Bit>,
    pub b_ready: Signal<Out, Bit>,
    pub b_response: Signal<In, Bits<2>>,
    registers: Registers,
    sequencer: Sequencer,
    status_flags: PackFlags,
    status: PackBytes,
    read_words: Unpack64,
    write_words: Pack64,
    observed: DFF<Bits<32>>,
    observed_word: Signal<Local, Bits<32>>,
    aligned: Signal<Local, Bits<32>>,
    upper: Signal<Local, Bit>,
    beat: Constant<Bits<32>>,
}

impl SequentialAccelerator {
    /// The machine that `config` describes.
    ///
    /// # Panics
    /// If the configuration is not valid or not sequential: a test holds that there is a microprogram for all that are.
    pub fn new(config: &Config) -> Self {
        assert!(config.validate().is_ok() && config.sequential, "{config:?}");
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
            sequencer: Sequencer::new(config).expect("a microprogram"),
            status_flags: PackFlags::default(),
            status: PackBytes::default(),
            read_words: Unpack64::default(),
            write_words: Pack64::default(),
            observed: DFF::default(),
            observed_word: Signal::default(),
            aligned: Signal::default(),
            upper: Signal::default(),
            beat: Constant::new(0xffff_fff8_u64.into()),
        }
    }
}

impl Logic for SequentialAccelerator {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, observed);
        self.registers.clock.next = self.clock.val();
        self.registers.reset.next = self.reset.val();
        self.sequencer.clock.next = self.clock.val();
        self.sequencer.reset.next = self.registers.machine_reset.val();

        // The host.
        self.registers.aw_valid.next = self.lite_aw_valid.val();
        self.registers.aw_address.next = self.lite_aw_address.val();
        self.lite_aw_ready.next = self.registers.aw_ready.val();
        self.registers.w_valid.next = self.lite_w_valid.val();
        self.registers.w_data.next = self.lite_w_data.val();
        self.lite_w_ready.next = self.registers.w_ready.val();
        self.lite_b_valid.next = self.registers.b_valid.val();
        self.registers.b_ready.next = self.lite_b_ready.val();
        self.lite_b_response.next = 0.into();
        self.registers.ar_valid.next = self.lite_ar_valid.val();
        self.registers.ar_address.next = self.lite_ar_address.val();
        self.lite_ar_ready.next = self.registers.ar_ready.val();
        self.lite_r_valid.next = self.registers.r_valid.val();
        self.registers.r_ready.next = self.lite_r_ready.val();
        self.lite_r_data.next = self.registers.r_data.val();
        self.lite_r_response.next = 0.into();

        // Control and status.
        self.sequencer.start.next = self.registers.start.val();
        self.sequencer.program_address.next = self.registers.program_address.val();
        self.sequencer.program_commands.next = self.registers.program_commands.val();
        for b in 0..2 {
            self.sequencer.base[b].next = self.registers.base[b].val();
        }
        self.registers.busy.next = self.sequencer.busy.val();
        for i in 0..8 {
            self.status_flags.bits[i].next = false;
        }
        self.status_flags.bits[0].next = self.sequencer.busy.val();
        self.status_flags.bits[1].next = self.sequencer.done.val();
        self.status_flags.bits[2].next = self.sequencer.done.val() & self.sequencer.status_code.val().any();
        self.status.bytes[0].next = self.status_flags.flags.val();
        self.status.bytes[1].next = self.sequencer.status_code.val();
        self.status.bytes[2].next = bit_cast::<8, 4>(self.sequencer.status_engine.val());
        self.status.bytes[3].next = 0.into();
        self.registers.status.next = self.status.word.val();
        self.registers.command_index.next = self.sequencer.command_index.val();
        self.registers.matrix_step.next = self.sequencer.step.val();
        for c in 0..13 {
            self.registers.events[c].next = false;
        }
        for d in 0..6 {
            self.registers.debug[d].next = 0.into();
        }
        // Without branches, as many as the index says have been dispatched.
        self.registers.debug[6].next = self.sequencer.command_index.val();
        self.irq.next = self.sequencer.done.val();
        self.observed_word.next = bit_cast::<32, 8>(self.sequencer.observed.val());
        self.observed.d.next = self.observed_word.val();
        if self.sequencer.step.val() {
            self.observed.d.next = self.observed_word.val() | 256;
        }
        self.observe.next = self.observed.q.val();

        // Memory: bursts of one beat, of which one word is used.
        self.aligned.next = self.sequencer.bus_address.val() & self.beat.val();
        self.upper.next = self.sequencer.bus_address.val().get_bit(2);
        self.ar_valid.next = self.sequencer.ar_valid.val();
        self.sequencer.ar_ready.next = self.ar_ready.val();
        self.ar_address.next = self.aligned.val();
        self.ar_length.next = 0.into();
        self.ar_id.next = self.sequencer.ar_id.val();
        self.sequencer.r_valid.next = self.r_valid.val();
        self.r_ready.next = self.sequencer.r_ready.val();
        self.read_words.packed.next = self.r_data.val();
        self.sequencer.r_word.next = self.read_words.words[0].val();
        if self.upper.val() {
            self.sequencer.r_word.next = self.read_words.words[1].val();
        }
        self.sequencer.r_error.next = self.r_response.val().get_bit(1);
        self.aw_valid.next = self.sequencer.aw_valid.val();
        self.sequencer.aw_ready.next = self.aw_ready.val();
        self.aw_address.next = self.aligned.val();
        self.aw_length.next = 0.into();
        self.w_valid.next = self.sequencer.w_valid.val();
        self.sequencer.w_ready.next = self.w_ready.val();
        self.write_words.words[0].next = self.sequencer.w_word.val();
        self.write_words.words[1].next = self.sequencer.w_word.val();
        self.w_data.next = self.write_words.packed.val();
        self.w_strobe.next = 15.into();
        if self.upper.val() {
            self.w_strobe.next = 240.into();
        }
        self.w_last.next = true;
        self.sequencer.b_valid.next = self.b_valid.val();
        self.b_ready.next = self.sequencer.b_ready.val();
        self.sequencer.b_error.next = self.b_response.val().get_bit(1);
    }
    fn timing(&self) -> Vec<TimingInfo> {
        describe(
            "sequential_accelerator",
            "The Frugal accelerator that does one thing at a time: AXI4-Lite for the host's registers, AXI4 for memory.",
        )
    }
}
