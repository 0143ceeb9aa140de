//! Packets in and out of bytes: END and ESCAPE, and the checksum.

use crate::emit::describe;
use frugal_isa::link;
use rust_hdl_core::prelude::*;
use rust_hdl_widgets::prelude::*;

/// A CRC-32 register after one more byte.
#[derive(LogicBlock, Default)]
pub struct Crc32Step {
    pub before: Signal<In, Bits<32>>,
    pub byte: Signal<In, Bits<8>>,
    pub after: Signal<Out, Bits<32>>,
}

impl Logic for Crc32Step {
    fn update(&mut self) {
        let mut crc = self.before.val().to_u32() ^ u32::from(self.byte.val().to_u8());
        for _ in 0..8 {
            crc = crc >> 1 ^ if crc & 1 == 1 { link::CRC_POLYNOMIAL } else { 0 };
        }
        self.after.next = u64::from(crc).into();
    }
    fn connect(&mut self) {
        self.after.connect();
    }
    fn hdl(&self) -> Verilog {
        let mut text = String::from("wire [31:0] step0 = before ^ {24'd0, byte};\n");
        for bit in 0..8 {
            text += &format!(
                "wire [31:0] step{} = {{1'b0, step{bit}[31:1]}} ^ (step{bit}[0] ? 32'h{:08x} : 32'd0);\n",
                bit + 1,
                link::CRC_POLYNOMIAL
            );
        }
        Verilog::Custom(text + "assign after = step8;")
    }
    fn timing(&self) -> Vec<TimingInfo> {
        describe("crc32_step", "The CRC-32 register after one more byte, least significant bit first.")
    }
}

/// Takes packets out of bytes and writes them to a RAM. `arrived` stays until the packet is `taken`; what comes meanwhile is dropped.
#[derive(LogicBlock)]
pub struct PacketReceiver {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub byte: Signal<In, Bits<8>>,
    pub byte_valid: Signal<In, Bit>,
    pub byte_broken: Signal<In, Bit>,
    // RAM of words.
    pub write_valid: Signal<Out, Bit>,
    pub write_address: Signal<Out, Bits<16>>,
    pub write_enable: Signal<Out, Bits<4>>,
    pub write_data: Signal<Out, Bits<32>>,
    /// A whole packet with the right checksum, and its bytes, checksum included.
    pub arrived: Signal<Out, Bit>,
    pub bytes: Signal<Out, Bits<16>>,
    pub taken: Signal<In, Bit>,
    held: DFF<Bit>,
    held_bytes: DFF<Bits<16>>,
    escaping: DFF<Bit>,
    bad: DFF<Bit>,
    index: DFF<Bits<16>>,
    crc: DFF<Bits<32>>,
    step: Crc32Step,
    value: Signal<Local, Bits<8>>,
    wide_value: Signal<Local, Bits<32>>,
    is_end: Signal<Local, Bit>,
    is_data: Signal<Local, Bit>,
    is_whole: Signal<Local, Bit>,
    checks: Signal<Local, Bit>,
    full: Signal<Local, Bit>,
    end: Constant<Bits<8>>,
    escape: Constant<Bits<8>>,
    escaped_end: Constant<Bits<8>>,
    escaped_escape: Constant<Bits<8>>,
    residue: Constant<Bits<32>>,
    all_ones: Constant<Bits<32>>,
    fewest: Constant<Bits<16>>,
    most: Constant<Bits<16>>,
}

impl Default for PacketReceiver {
    fn default() -> Self {
        let overhead = link::HEADER_BYTES + link::CHECKSUM_BYTES;
        Self {
            clock: Signal::default(),
            reset: Signal::default(),
            byte: Signal::default(),
            byte_valid: Signal::default(),
            byte_broken: Signal::default(),
            write_valid: Signal::default(),
            write_address: Signal::default(),
            write_enable: Signal::default(),
            write_data: Signal::default(),
            arrived: Signal::default(),
            bytes: Signal::default(),
            taken: Signal::default(),
            held: DFF::default(),
            held_bytes: DFF::default(),
            escaping: DFF::default(),
            bad: DFF::default(),
            index: DFF::default(),
            crc: DFF::default(),
            step: Crc32Step::default(),
            value: Signal::default(),
            wide_value: Signal::default(),
            is_end: Signal::default(),
            is_data: Signal::default(),
            is_whole: Signal::default(),
            checks: Signal::default(),
            full: Signal::default(),
            end: Constant::new(u64::from(link::END).into()),
            escape: Constant::new(u64::from(link::ESCAPE).into()),
            escaped_end: Constant::new(u64::from(link::ESCAPED_END).into()),
            escaped_escape: Constant::new(u64::from(link::ESCAPED_ESCAPE).into()),
            residue: Constant::new(u64::from(link::CRC_RESIDUE).into()),
            all_ones: Constant::new(0xffff_ffff_u64.into()),
            fewest: Constant::new((overhead as u64).into()),
            most: Constant::new(((overhead + link::MAX_PAYLOAD_BYTES) as u64).into()),
        }
    }
}

impl Logic for PacketReceiver {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, held, held_bytes, escaping, bad, index, crc);
        self.is_end.next = self.byte_valid.val() & (self.byte.val() == self.end.val());
        self.is_data.next = self.byte_valid.val() & (self.byte.val() != self.end.val());
        self.value.next = self.byte.val();
        if self.escaping.q.val() {
            self.value.next = self.end.val();
            if self.byte.val() == self.escaped_escape.val() {
                self.value.next = self.escape.val();
            }
        }
        self.step.before.next = self.crc.q.val();
        self.step.byte.next = self.value.val();
        self.checks.next = self.crc.q.val() == self.residue.val();
        self.is_whole.next = self.checks.val()
            & (self.index.q.val() >= self.fewest.val())
            & !self.bad.q.val()
            & !self.escaping.q.val()
            & !self.held.q.val();
        self.full.next = self.index.q.val() >= self.most.val();

        // A byte of the packet.
        self.wide_value.next = bit_cast::<32, 8>(self.value.val());
        self.write_data.next = self.wide_value.val();
        self.write_enable.next = 1.into();
        if self.index.q.val().get_bits::<2>(0) == 1 {
            self.write_data.next = self.wide_value.val() << 8;
            self.write_enable.next = 2.into();
        }
        if self.index.q.val().get_bits::<2>(0) == 2 {
            self.write_data.next = self.wide_value.val() << 16;
            self.write_enable.next = 4.into();
        }
        if self.index.q.val().get_bits::<2>(0) == 3 {
            self.write_data.next = self.wide_value.val() << 24;
            self.write_enable.next = 8.into();
        }
        self.write_address.next = self.index.q.val() >> 2;
        self.write_valid.next = false;
        if self.is_data.val() {
            if self.held.q.val() | self.full.val() {
                self.bad.d.next = true;
            } else if !self.escaping.q.val() & (self.byte.val() == self.escape.val()) {
                self.escaping.d.next = true;
            } else {
                self.escaping.d.next = false;
                self.write_valid.next = true;
                self.index.d.next = self.index.q.val() + 1;
                self.crc.d.next = self.step.after.val();
                if self.escaping.q.val()
                    & (self.byte.val() != self.escaped_end.val())
                    & (self.byte.val() != self.escaped_escape.val())
                {
                    self.bad.d.next = true;
                }
            }
        }
        if self.byte_broken.val() {
            self.bad.d.next = true;
        }
        if self.taken.val() {
            self.held.d.next = false;
        }
        if self.is_end.val() {
            self.escaping.d.next = false;
            self.bad.d.next = false;
            self.index.d.next = 0.into();
            self.crc.d.next = self.all_ones.val();
            if self.is_whole.val() {
                self.held.d.next = true;
                self.held_bytes.d.next = self.index.q.val();
            }
        }
        self.arrived.next = self.held.q.val();
        self.bytes.next = self.held_bytes.q.val();
        if self.reset.val() {
            self.held.d.next = false;
            self.escaping.d.next = false;
            // Until the first END.
            self.bad.d.next = true;
            self.index.d.next = 0.into();
        }
    }
    fn timing(&self) -> Vec<TimingInfo> {
        describe("packet_receiver", "Takes packets with a right checksum out of the bytes of a line.")
    }
}

#[derive(Copy, Clone, Debug, PartialEq, LogicState)]
pub enum TransmitState {
    Idle,
    Word,
    Checksum,
    End,
}

/// Makes a packet of words: END, their bytes, the checksum, END.
#[derive(LogicBlock)]
pub struct PacketTransmitter {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub word: Signal<In, Bits<32>>,
    pub word_valid: Signal<In, Bit>,
    pub word_ready: Signal<Out, Bit>,
    /// The packet's last word.
    pub word_last: Signal<In, Bit>,
    pub byte: Signal<Out, Bits<8>>,
    pub byte_valid: Signal<Out, Bit>,
    pub byte_ready: Signal<In, Bit>,
    state: DFF<TransmitState>,
    bytes: DFF<Bits<32>>,
    /// Bytes of the word that are left.
    left: DFF<Bits<3>>,
    last: DFF<Bit>,
    /// The second byte of two is due.
    escaping: DFF<Bit>,
    crc: DFF<Bits<32>>,
    step: Crc32Step,
    value: Signal<Local, Bits<8>>,
    is_end: Signal<Local, Bit>,
    is_escape: Signal<Local, Bit>,
    offers: Signal<Local, Bit>,
    moves: Signal<Local, Bit>,
    /// The byte at hand goes out whole in this cycle.
    passes: Signal<Local, Bit>,
    end: Constant<Bits<8>>,
    escape: Constant<Bits<8>>,
    escaped_end: Constant<Bits<8>>,
    escaped_escape: Constant<Bits<8>>,
    all_ones: Constant<Bits<32>>,
}

impl Default for PacketTransmitter {
    fn default() -> Self {
        Self {
            clock: Signal::default(),
            reset: Signal::default(),
            word: Signal::default(),
            word_valid: Signal::default(),
            word_ready: Signal::default(),
            word_last: Signal::default(),
            byte: Signal::default(),
            byte_valid: Signal::default(),
            byte_ready: Signal::default(),
            state: DFF::default(),
            bytes: DFF::default(),
            left: DFF::default(),
            last: DFF::default(),
            escaping: DFF::default(),
            crc: DFF::default(),
            step: Crc32Step::default(),
            value: Signal::default(),
            is_end: Signal::default(),
            is_escape: Signal::default(),
            offers: Signal::default(),
            moves: Signal::default(),
            passes: Signal::default(),
            end: Constant::new(u64::from(link::END).into()),
            escape: Constant::new(u64::from(link::ESCAPE).into()),
            escaped_end: Constant::new(u64::from(link::ESCAPED_END).into()),
            escaped_escape: Constant::new(u64::from(link::ESCAPED_ESCAPE).into()),
            all_ones: Constant::new(0xffff_ffff_u64.into()),
        }
    }
}

impl Logic for PacketTransmitter {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, state, bytes, left, last, escaping, crc);
        self.value.next = self.bytes.q.val().get_bits::<8>(0);
        self.is_end.next = self.value.val() == self.end.val();
        self.is_escape.next = self.value.val() == self.escape.val();
        self.step.before.next = self.crc.q.val();
        self.step.byte.next = self.value.val();
        self.byte.next = self.end.val();
        self.word_ready.next = false;
        self.passes.next = false;
        self.offers.next = self.left.q.val() != 0;
        if self.state.q.val() == TransmitState::Idle {
            self.offers.next = self.word_valid.val();
        }
        if self.state.q.val() == TransmitState::End {
            self.offers.next = true;
        }
        self.byte_valid.next = self.offers.val();
        self.moves.next = self.offers.val() & self.byte_ready.val();
        match self.state.q.val() {
            TransmitState::Idle => {
                // END first: it closes whatever noise is on the line.
                self.crc.d.next = self.all_ones.val();
                self.left.d.next = 0.into();
                self.last.d.next = false;
                self.escaping.d.next = false;
                if self.moves.val() {
                    self.state.d.next = TransmitState::Word;
                }
            }
            TransmitState::End => {
                if self.moves.val() {
                    self.state.d.next = TransmitState::Idle;
                }
            }
            _ => {
                if self.left.q.val() == 0 {
                    if self.state.q.val() == TransmitState::Checksum {
                        self.state.d.next = TransmitState::End;
                    } else if self.last.q.val() {
                        self.state.d.next = TransmitState::Checksum;
                        self.bytes.d.next = !self.crc.q.val();
                        self.left.d.next = 4.into();
                    } else {
                        self.word_ready.next = true;
                        self.bytes.d.next = self.word.val();
                        if self.word_valid.val() {
                            self.last.d.next = self.word_last.val();
                            self.left.d.next = 4.into();
                        }
                    }
                } else {
                    self.byte.next = self.value.val();
                    self.passes.next = self.moves.val();
                    if self.escaping.q.val() {
                        self.byte.next = self.escaped_end.val();
                        if self.is_escape.val() {
                            self.byte.next = self.escaped_escape.val();
                        }
                    } else if self.is_end.val() | self.is_escape.val() {
                        self.byte.next = self.escape.val();
                        self.passes.next = false;
                        if self.moves.val() {
                            self.escaping.d.next = true;
                        }
                    }
                    if self.passes.val() {
                        self.escaping.d.next = false;
                        self.bytes.d.next = self.bytes.q.val() >> 8;
                        self.left.d.next = self.left.q.val() - 1;
                        self.crc.d.next = self.step.after.val();
                    }
                }
            }
        }
        if self.reset.val() {
            self.state.d.next = TransmitState::Idle;
        }
    }
    fn timing(&self) -> Vec<TimingInfo> {
        describe("packet_transmitter", "Makes a packet of words: END, their bytes, the checksum, END.")
    }
}
