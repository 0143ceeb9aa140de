//! What every board holds: the accelerator, the host link, and memory for both.
//!
//! ```text
//! line <--> HostLink --AXI4-Lite--> Accelerator
//!               |                       |
//!               +----> MemorySwitch <---+
//!                           |
//!                         AxiRam
//! ```
//! Clock, pins and what differs from board to board are in the board's top (`frugal-synth`).

use crate::accelerator::Accelerator;
use crate::axi_ram::AxiRam;
use crate::emit::{describe, emit, VerilogFile};
use crate::link::HostLink;
use crate::memory_switch::MemorySwitch;
use crate::VerilogError;
use frugal_isa::{link, register, Config};
use rust_hdl_core::prelude::*;
use rust_hdl_widgets::prelude::*;
use sha2::{Digest, Sha256};

/// What differs from board to board.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BoardOptions {
    pub config: Config,
    pub clock_khz: u32,
    /// Cycles of a bit on the host link.
    pub bit_cycles: usize,
    /// Bytes of on-chip memory, a multiple of 8.
    pub ram_bytes: usize,
}

/// Why there is no board.
#[derive(Debug, thiserror::Error)]
pub enum BoardError {
    #[error(transparent)]
    Verilog(#[from] VerilogError),
    #[error("boards have a memory bus of 64 bits; '{config}' has {bits}")]
    BusWidth { config: String, bits: usize },
    #[error("{bytes} bytes of on-chip memory are wanted; 4096 to 524288 are possible, in multiples of 8")]
    Memory { bytes: usize },
    #[error("a bit of the link is to take {cycles} cycles; 4 to 65535 are possible")]
    BitCycles { cycles: usize },
}

/// Accelerator, link and memory. The reset is that of a button, high when pressed; the board resets itself when it wakes up.
#[derive(LogicBlock)]
pub struct Board {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    /// From the host.
    pub receive: Signal<In, Bit>,
    /// To the host.
    pub transmit: Signal<Out, Bit>,
    /// Bit 0 blinks; 1: a host has begun a session; 2: a program runs; 3: the last one has ended; 4: the host has the memory; 7: in reset.
    pub leds: Signal<Out, Bits<8>>,
    accelerator: Accelerator<64, 8>,
    host: HostLink,
    switch: MemorySwitch,
    memory: AxiRam,
    /// Cycles since the chip woke up, up to the highest bit.
    awake: DFF<Bits<8>>,
    in_reset: DFF<Bit>,
    button: DFF<Bit>,
    button_level: DFF<Bit>,
    blink: DFF<Bits<26>>,
    running: DFF<Bit>,
    lights: DFF<Bits<8>>,
    light: Signal<Local, Bits<8>>,
    all_strobes: Constant<Bits<8>>,
    control: Constant<Bits<12>>,
}

impl Board {
    /// The board of `options`, which calls itself `build`.
    pub fn new(options: &BoardOptions, build: u32) -> Self {
        let identity = [link::VERSION, build, options.clock_khz, options.ram_bytes as u32];
        Self {
            clock: Signal::default(),
            reset: Signal::default(),
            receive: Signal::default(),
            transmit: Signal::default(),
            leds: Signal::default(),
            accelerator: Accelerator::new(&options.config),
            host: HostLink::new(options.bit_cycles, identity),
            switch: MemorySwitch::default(),
            memory: AxiRam::new(options.ram_bytes / 8),
            awake: DFF::default(),
            in_reset: DFF::default(),
            button: DFF::default(),
            button_level: DFF::default(),
            blink: DFF::default(),
            running: DFF::default(),
            lights: DFF::default(),
            light: Signal::default(),
            all_strobes: Constant::new(255_u64.into()),
            control: Constant::new(u64::from(register::CONTROL).into()),
        }
    }

    /// Checks what can be wrong with the options.
    fn check(options: &BoardOptions) -> Result<(), BoardError> {
        options.config.validate().map_err(VerilogError::from)?;
        if options.config.bus_bits != 64 {
            let (config, bits) = (options.config.name.clone(), options.config.bus_bits);
            return Err(BoardError::BusWidth { config, bits });
        }
        if !(4096..=1 << 19).contains(&options.ram_bytes) || options.ram_bytes % 8 != 0 {
            return Err(BoardError::Memory { bytes: options.ram_bytes });
        }
        if !(4..1 << 16).contains(&options.bit_cycles) {
            return Err(BoardError::BitCycles { cycles: options.bit_cycles });
        }
        Ok(())
    }
}

/// A board's Verilog, and the number by which it knows itself: a hash of everything else in it.
#[derive(Clone, Debug)]
pub struct BoardVerilog {
    pub file: VerilogFile,
    pub build: u32,
}

/// The Verilog of the board that `options` describe; the top module is `board`.
///
/// # Errors
/// If the options contradict what a board can be.
pub fn verilog(options: &BoardOptions) -> Result<BoardVerilog, BoardError> {
    Board::check(options)?;
    let header = format!(
        "Frugal board: configuration '{}', {} kHz, {} bytes of on-chip memory, {} cycles a bit on the host link.",
        options.config.name, options.clock_khz, options.ram_bytes, options.bit_cycles
    );
    let file = |build| emit(&Board::new(options, build), "board", &header).map_err(VerilogError::from);
    let hash = Sha256::digest(file(0)?.text.as_bytes());
    let build = u32::from_le_bytes([hash[0], hash[1], hash[2], hash[3]]);
    Ok(BoardVerilog { file: file(build)?, build })
}

impl Logic for Board {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, awake, in_reset, button, button_level, blink, running, lights);
        self.button.d.next = self.reset.val();
        self.button_level.d.next = self.button.q.val();
        self.in_reset.d.next = self.button_level.q.val();
        if !self.awake.q.val().get_bit(7) {
            self.awake.d.next = self.awake.q.val() + 1;
            self.in_reset.d.next = true;
        }
        self.blink.d.next = self.blink.q.val() + 1;
        if self.accelerator.irq.val() | self.in_reset.q.val() {
            self.running.d.next = false;
        }
        if self.host.lite_aw_valid.val() & (self.host.lite_aw_address.val() == self.control.val()) {
            self.running.d.next = true;
        }
        self.light.next = bit_cast::<8, 1>(self.blink.q.val().get_bits::<1>(25));
        self.lights.d.next = self.light.val();
        if self.host.in_session.val() {
            self.lights.d.next = self.light.val() | 2;
            if self.accelerator.irq.val() {
                self.lights.d.next = self.light.val() | 10;
            }
            if self.running.q.val() {
                self.lights.d.next = self.light.val() | 6;
            }
            if self.switch.link_reads.val() | self.switch.link_writes.val() {
                self.lights.d.next = self.light.val() | 18;
            }
        }
        if self.in_reset.q.val() {
            self.lights.d.next = 128.into();
        }
        self.leds.next = self.lights.q.val();

        self.host.clock.next = self.clock.val();
        self.host.reset.next = self.in_reset.q.val();
        self.host.receive.next = self.receive.val();
        self.transmit.next = self.host.transmit.val();
        self.accelerator.clock.next = self.clock.val();
        self.accelerator.reset.next = self.in_reset.q.val();
        self.host.irq.next = self.accelerator.irq.val();
        self.accelerator.lite_aw_valid.next = self.host.lite_aw_valid.val();
        self.host.lite_aw_ready.next = self.accelerator.lite_aw_ready.val();
        self.accelerator.lite_aw_address.next = self.host.lite_aw_address.val();
        self.accelerator.lite_w_valid.next = self.host.lite_w_valid.val();
        self.host.lite_w_ready.next = self.accelerator.lite_w_ready.val();
        self.accelerator.lite_w_data.next = self.host.lite_w_data.val();
        self.host.lite_b_valid.next = self.accelerator.lite_b_valid.val();
        self.accelerator.lite_b_ready.next = self.host.lite_b_ready.val();
        self.accelerator.lite_ar_valid.next = self.host.lite_ar_valid.val();
        self.host.lite_ar_ready.next = self.accelerator.lite_ar_ready.val();
        self.accelerator.lite_ar_address.next = self.host.lite_ar_address.val();
        self.host.lite_r_valid.next = self.accelerator.lite_r_valid.val();
        self.accelerator.lite_r_ready.next = self.host.lite_r_ready.val();
        self.host.lite_r_data.next = self.accelerator.lite_r_data.val();

        self.switch.clock.next = self.clock.val();
        self.switch.reset.next = self.in_reset.q.val();
        self.switch.a_ar_valid.next = self.accelerator.ar_valid.val();
        self.accelerator.ar_ready.next = self.switch.a_ar_ready.val();
        self.accelerator.r_valid.next = self.switch.a_r_valid.val();
        self.switch.a_r_ready.next = self.accelerator.r_ready.val();
        self.switch.a_aw_valid.next = self.accelerator.aw_valid.val();
        self.accelerator.aw_ready.next = self.switch.a_aw_ready.val();
        self.switch.a_w_valid.next = self.accelerator.w_valid.val();
        self.accelerator.w_ready.next = self.switch.a_w_ready.val();
        self.switch.a_w_last.next = self.accelerator.w_last.val();
        self.accelerator.b_valid.next = self.switch.a_b_valid.val();
        self.switch.a_b_ready.next = self.accelerator.b_ready.val();
        self.switch.l_ar_valid.next = self.host.ar_valid.val();
        self.host.ar_ready.next = self.switch.l_ar_ready.val();
        self.host.r_valid.next = self.switch.l_r_valid.val();
        self.switch.l_r_ready.next = self.host.r_ready.val();
        self.switch.l_aw_valid.next = self.host.aw_valid.val();
        self.host.aw_ready.next = self.switch.l_aw_ready.val();
        self.switch.l_w_valid.next = self.host.w_valid.val();
        self.host.w_ready.next = self.switch.l_w_ready.val();
        self.host.b_valid.next = self.switch.l_b_valid.val();
        self.switch.l_b_ready.next = self.host.b_ready.val();

        self.memory.clock.next = self.clock.val();
        self.memory.reset.next = self.in_reset.q.val();
        self.memory.ar_valid.next = self.switch.ar_valid.val();
        self.switch.ar_ready.next = self.memory.ar_ready.val();
        self.switch.r_valid.next = self.memory.r_valid.val();
        self.memory.r_ready.next = self.switch.r_ready.val();
        self.switch.r_last.next = self.memory.r_last.val();
        self.memory.aw_valid.next = self.switch.aw_valid.val();
        self.switch.aw_ready.next = self.memory.aw_ready.val();
        self.memory.w_valid.next = self.switch.w_valid.val();
        self.switch.w_ready.next = self.memory.w_ready.val();
        self.switch.b_valid.next = self.memory.b_valid.val();
        self.memory.b_ready.next = self.switch.b_ready.val();
        self.memory.ar_address.next = self.accelerator.ar_address.val();
        self.memory.ar_length.next = self.accelerator.ar_length.val();
        self.memory.ar_id.next = self.accelerator.ar_id.val();
        if self.switch.link_reads.val() {
            self.memory.ar_address.next = self.host.ar_address.val();
            self.memory.ar_length.next = self.host.ar_length.val();
        }
        self.memory.aw_address.next = self.accelerator.aw_address.val();
        self.memory.aw_length.next = self.accelerator.aw_length.val();
        self.memory.w_data.next = self.accelerator.w_data.val();
        self.memory.w_strobe.next = self.accelerator.w_strobe.val();
        self.memory.w_last.next = self.accelerator.w_last.val();
        if self.switch.link_writes.val() {
            self.memory.aw_address.next = self.host.aw_address.val();
            self.memory.aw_length.next = self.host.aw_length.val();
            self.memory.w_data.next = self.host.w_data.val();
            self.memory.w_strobe.next = self.all_strobes.val();
            self.memory.w_last.next = self.host.w_last.val();
        }
        self.accelerator.r_data.next = self.memory.r_data.val();
        self.accelerator.r_response.next = self.memory.r_response.val();
        self.accelerator.r_last.next = self.memory.r_last.val();
        self.accelerator.r_id.next = self.memory.r_id.val();
        self.accelerator.b_response.next = self.memory.b_response.val();
        self.host.r_data.next = self.memory.r_data.val();
        self.host.r_response.next = self.memory.r_response.val();
        self.host.r_last.next = self.memory.r_last.val();
        self.host.b_response.next = self.memory.b_response.val();
    }
    fn timing(&self) -> Vec<TimingInfo> {
        describe("board", "The accelerator, the host link, and memory for both.")
    }
}
