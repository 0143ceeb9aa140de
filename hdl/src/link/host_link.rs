//! The whole link: two wires on one side, registers and memory on the other.

use super::{LinkExecutor, PacketReceiver, PacketTransmitter, UartReceiver, UartTransmitter};
use crate::emit::describe;
use crate::leaves::{Pack64, SimpleRam, Unpack64};
use rust_hdl_core::prelude::*;

/// Words of the packet RAM: a block RAM.
const PACKET_WORDS: usize = 512;

#[derive(LogicBlock)]
pub struct HostLink {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    /// From the host.
    pub receive: Signal<In, Bit>,
    /// To the host.
    pub transmit: Signal<Out, Bit>,
    pub in_session: Signal<Out, Bit>,
    // The accelerator's registers.
    pub lite_aw_valid: Signal<Out, Bit>,
    pub lite_aw_ready: Signal<In, Bit>,
    pub lite_aw_address: Signal<Out, Bits<12>>,
    pub lite_w_valid: Signal<Out, Bit>,
    pub lite_w_ready: Signal<In, Bit>,
    pub lite_w_data: Signal<Out, Bits<32>>,
    pub lite_b_valid: Signal<In, Bit>,
    pub lite_b_ready: Signal<Out, Bit>,
    pub lite_ar_valid: Signal<Out, Bit>,
    pub lite_ar_ready: Signal<In, Bit>,
    pub lite_ar_address: Signal<Out, Bits<12>>,
    pub lite_r_valid: Signal<In, Bit>,
    pub lite_r_ready: Signal<Out, Bit>,
    pub lite_r_data: Signal<In, Bits<32>>,
    pub irq: Signal<In, Bit>,
    // Memory: one burst at a time.
    pub ar_valid: Signal<Out, Bit>,
    pub ar_ready: Signal<In, Bit>,
    pub ar_address: Signal<Out, Bits<32>>,
    pub ar_length: Signal<Out, Bits<8>>,
    pub r_valid: Signal<In, Bit>,
    pub r_ready: Signal<Out, Bit>,
    pub r_data: Signal<In, Bits<64>>,
    pub r_response: Signal<In, Bits<2>>,
    pub r_last: Signal<In, Bit>,
    pub aw_valid: Signal<Out, Bit>,
    pub aw_ready: Signal<In, Bit>,
    pub aw_address: Signal<Out, Bits<32>>,
    pub aw_length: Signal<Out, Bits<8>>,
    pub w_valid: Signal<Out, Bit>,
    pub w_ready: Signal<In, Bit>,
    pub w_data: Signal<Out, Bits<64>>,
    pub w_last: Signal<Out, Bit>,
    pub b_valid: Signal<In, Bit>,
    pub b_ready: Signal<Out, Bit>,
    pub b_response: Signal<In, Bits<2>>,
    uart_receiver: UartReceiver,
    uart_transmitter: UartTransmitter,
    packets_in: PacketReceiver,
    packets_out: PacketTransmitter,
    packet: SimpleRam,
    executor: LinkExecutor,
    beat_in: Unpack64,
    beat_out: Pack64,
}

impl HostLink {
    /// A bit on the line takes `bit_cycles`; `identity` as for [`LinkExecutor::new`].
    pub fn new(bit_cycles: usize, identity: [u32; 4]) -> Self {
        Self {
            clock: Signal::default(),
            reset: Signal::default(),
            receive: Signal::default(),
            transmit: Signal::default(),
            in_session: Signal::default(),
            lite_aw_valid: Signal::default(),
            lite_aw_ready: Signal::default(),
            lite_aw_address: Signal::default(),
            lite_w_valid: Signal::default(),
            lite_w_ready: Signal::default(),
            lite_w_data: Signal::default(),
            lite_b_valid: Signal::default(),
            lite_b_ready: Signal::default(),
            lite_ar_valid: Signal::default(),
            lite_ar_ready: Signal::default(),
            lite_ar_address: Signal::default(),
            lite_r_valid: Signal::default(),
            lite_r_ready: Signal::default(),
            lite_r_data: Signal::default(),
            irq: Signal::default(),
            ar_valid: Signal::default(),
            ar_ready: Signal::default(),
            ar_address: Signal::default(),
            ar_length: Signal::default(),
            r_valid: Signal::default(),
            r_ready: Signal::default(),
            r_data: Signal::default(),
            r_response: Signal::default(),
            r_last: Signal::default(),
            aw_valid: Signal::default(),
            aw_ready: Signal::default(),
            aw_address: Signal::default(),
            aw_length: Signal::default(),
            w_valid: Signal::default(),
            w_ready: Signal::default(),
            w_data: Signal::default(),
            w_last: Signal::default(),
            b_valid: Signal::default(),
            b_ready: Signal::default(),
            b_response: Signal::default(),
            uart_receiver: UartReceiver::new(bit_cycles),
            uart_transmitter: UartTransmitter::new(bit_cycles),
            packets_in: PacketReceiver::default(),
            packets_out: PacketTransmitter::default(),
            packet: SimpleRam::new(PACKET_WORDS, 1),
            executor: LinkExecutor::new(identity),
            beat_in: Unpack64::default(),
            beat_out: Pack64::default(),
        }
    }
}

impl Logic for HostLink {
    #[hdl_gen]
    fn update(&mut self) {
        self.uart_receiver.clock.next = self.clock.val();
        self.uart_receiver.reset.next = self.reset.val();
        self.uart_receiver.line.next = self.receive.val();
        self.uart_transmitter.clock.next = self.clock.val();
        self.uart_transmitter.reset.next = self.reset.val();
        self.transmit.next = self.uart_transmitter.line.val();

        self.packets_in.clock.next = self.clock.val();
        self.packets_in.reset.next = self.reset.val();
        self.packets_in.byte.next = self.uart_receiver.byte.val();
        self.packets_in.byte_valid.next = self.uart_receiver.valid.val();
        self.packets_in.byte_broken.next = self.uart_receiver.broken.val();
        self.packets_in.taken.next = self.executor.taken.val();
        self.packets_out.clock.next = self.clock.val();
        self.packets_out.reset.next = self.reset.val();
        self.packets_out.word.next = self.executor.word.val();
        self.packets_out.word_valid.next = self.executor.word_valid.val();
        self.packets_out.word_last.next = self.executor.word_last.val();
        self.packets_out.byte_ready.next = self.uart_transmitter.ready.val();
        self.uart_transmitter.byte.next = self.packets_out.byte.val();
        self.uart_transmitter.valid.next = self.packets_out.byte_valid.val();

        self.packet.clock.next = self.clock.val();
        self.packet.read_enable.next = self.executor.ram_read.val();
        self.packet.read_address.next = self.executor.ram_address.val();
        self.packet.write_valid.next = self.packets_in.write_valid.val() | self.executor.ram_write.val();
        self.packet.write_address.next = self.packets_in.write_address.val();
        self.packet.write_enable[0].next = self.packets_in.write_enable.val();
        self.packet.write_data[0].next = self.packets_in.write_data.val();
        if self.executor.ram_write.val() {
            self.packet.write_address.next = self.executor.ram_write_address.val();
            self.packet.write_enable[0].next = 15.into();
            self.packet.write_data[0].next = self.executor.ram_write_data.val();
        }

        self.executor.clock.next = self.clock.val();
        self.executor.reset.next = self.reset.val();
        self.executor.arrived.next = self.packets_in.arrived.val();
        self.executor.bytes.next = self.packets_in.bytes.val();
        self.executor.ram_data.next = self.packet.read_data[0].val();
        self.executor.word_ready.next = self.packets_out.word_ready.val();
        self.in_session.next = self.executor.in_session.val();

        self.lite_aw_valid.next = self.executor.lite_aw_valid.val();
        self.executor.lite_aw_ready.next = self.lite_aw_ready.val();
        self.lite_aw_address.next = self.executor.lite_aw_address.val();
        self.lite_w_valid.next = self.executor.lite_w_valid.val();
        self.executor.lite_w_ready.next = self.lite_w_ready.val();
        self.lite_w_data.next = self.executor.lite_w_data.val();
        self.executor.lite_b_valid.next = self.lite_b_valid.val();
        self.lite_b_ready.next = self.executor.lite_b_ready.val();
        self.lite_ar_valid.next = self.executor.lite_ar_valid.val();
        self.executor.lite_ar_ready.next = self.lite_ar_ready.val();
        self.lite_ar_address.next = self.executor.lite_ar_address.val();
        self.executor.lite_r_valid.next = self.lite_r_valid.val();
        self.lite_r_ready.next = self.executor.lite_r_ready.val();
        self.executor.lite_r_data.next = self.lite_r_data.val();
        self.executor.irq.next = self.irq.val();

        self.ar_valid.next = self.executor.ar_valid.val();
        self.executor.ar_ready.next = self.ar_ready.val();
        self.ar_address.next = self.executor.address.val();
        self.ar_length.next = self.executor.length.val();
        self.executor.r_valid.next = self.r_valid.val();
        self.r_ready.next = self.executor.r_ready.val();
        self.beat_in.packed.next = self.r_data.val();
        self.executor.r_low.next = self.beat_in.words[0].val();
        self.executor.r_high.next = self.beat_in.words[1].val();
        self.executor.r_error.next = self.r_response.val().any();
        self.executor.r_last.next = self.r_last.val();
        self.aw_valid.next = self.executor.aw_valid.val();
        self.executor.aw_ready.next = self.aw_ready.val();
        self.aw_address.next = self.executor.address.val();
        self.aw_length.next = self.executor.length.val();
        self.w_valid.next = self.executor.w_valid.val();
        self.executor.w_ready.next = self.w_ready.val();
        self.beat_out.words[0].next = self.executor.w_low.val();
        self.beat_out.words[1].next = self.executor.w_high.val();
        self.w_data.next = self.beat_out.packed.val();
        self.w_last.next = self.executor.w_last.val();
        self.executor.b_valid.next = self.b_valid.val();
        self.b_ready.next = self.executor.b_ready.val();
        self.executor.b_error.next = self.b_response.val().any();
    }
    fn timing(&self) -> Vec<TimingInfo> {
        describe("host_link", "The host's way to registers and memory: packets over a serial line.")
    }
}
