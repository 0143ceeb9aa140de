//! What all boards hold: the accelerator, the host link, the memory port that both share, reset and lights.

use super::accelerator::BoardAccelerator;
use crate::emit::describe;
use crate::link::HostLink;
use crate::memory_switch::MemorySwitch;
use frugal_isa::{register, Config};
use rust_hdl_core::prelude::*;
use rust_hdl_widgets::prelude::*;

/// The reset is that of a button, high when pressed; the board resets itself when it wakes up.
#[derive(LogicBlock)]
pub struct BoardCore {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    /// From the host.
    pub receive: Signal<In, Bit>,
    /// To the host.
    pub transmit: Signal<Out, Bit>,
    /// Bit 0 blinks; 1: a host has begun a session; 2: a program runs; 3: the last one has ended; 4: the host has the memory; 5: the memory is not ready
    /// yet; 7: in reset.
    pub leds: Signal<Out, Bits<8>>,
    // The memory, AXI4.
    pub memory_reset: Signal<Out, Bit>,
    pub memory_ready: Signal<In, Bit>,
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
    accelerator: BoardAccelerator,
    host: HostLink,
    switch: MemorySwitch,
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

impl BoardCore {
    /// For an accelerator of `config`; the host link takes `bit_cycles` a bit and answers `identity` to a host that asks who it is.
    pub fn new(config: &Config, bit_cycles: usize, identity: [u32; 4]) -> Self {
        Self {
            clock: Signal::default(),
            reset: Signal::default(),
            receive: Signal::default(),
            transmit: Signal::default(),
            leds: Signal::default(),
            memory_reset: Signal::default(),
            memory_ready: Signal::default(),
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
            accelerator: BoardAccelerator::new(config),
            host: HostLink::new(bit_cycles, identity),
            switch: MemorySwitch::default(),
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
}

impl Logic for BoardCore {
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
        if !self.memory_ready.val() {
            self.lights.d.next = 32.into();
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

        self.memory_reset.next = self.in_reset.q.val();
        self.ar_valid.next = self.switch.ar_valid.val();
        self.switch.ar_ready.next = self.ar_ready.val();
        self.switch.r_valid.next = self.r_valid.val();
        self.r_ready.next = self.switch.r_ready.val();
        self.switch.r_last.next = self.r_last.val();
        self.aw_valid.next = self.switch.aw_valid.val();
        self.switch.aw_ready.next = self.aw_ready.val();
        self.w_valid.next = self.switch.w_valid.val();
        self.switch.w_ready.next = self.w_ready.val();
        self.switch.b_valid.next = self.b_valid.val();
        self.b_ready.next = self.switch.b_ready.val();
        self.ar_address.next = self.accelerator.ar_address.val();
        self.ar_length.next = self.accelerator.ar_length.val();
        self.ar_id.next = self.accelerator.ar_id.val();
        if self.switch.link_reads.val() {
            self.ar_address.next = self.host.ar_address.val();
            self.ar_length.next = self.host.ar_length.val();
        }
        self.aw_address.next = self.accelerator.aw_address.val();
        self.aw_length.next = self.accelerator.aw_length.val();
        self.w_data.next = self.accelerator.w_data.val();
        self.w_strobe.next = self.accelerator.w_strobe.val();
        self.w_last.next = self.accelerator.w_last.val();
        if self.switch.link_writes.val() {
            self.aw_address.next = self.host.aw_address.val();
            self.aw_length.next = self.host.aw_length.val();
            self.w_data.next = self.host.w_data.val();
            self.w_strobe.next = self.all_strobes.val();
            self.w_last.next = self.host.w_last.val();
        }
        self.accelerator.r_data.next = self.r_data.val();
        self.accelerator.r_response.next = self.r_response.val();
        self.accelerator.r_last.next = self.r_last.val();
        self.accelerator.r_id.next = self.r_id.val();
        self.accelerator.b_response.next = self.b_response.val();
        self.host.r_data.next = self.r_data.val();
        self.host.r_response.next = self.r_response.val();
        self.host.r_last.next = self.r_last.val();
        self.host.b_response.next = self.b_response.val();
    }
    fn timing(&self) -> Vec<TimingInfo> {
        describe("board_core", "The accelerator, the host link, and the memory port that both share.")
    }
}
