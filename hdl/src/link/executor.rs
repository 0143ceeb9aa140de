//! Does what the packets ask for, and answers.

use crate::emit::describe;
use frugal_isa::{link, register};
use rust_hdl_core::prelude::*;
use rust_hdl_widgets::prelude::*;

#[derive(Copy, Clone, Debug, PartialEq, LogicState)]
pub enum LinkState {
    Idle,
    Header,
    Address,
    Argument,
    /// What the request asks for is checked.
    Check,
    Decode,
    RegisterRead,
    RegisterReadAnswer,
    RegisterWrite,
    RegisterWriteAnswer,
    MemoryRead,
    MemoryReadBeat,
    MemoryReadLow,
    MemoryReadHigh,
    MemoryWrite,
    MemoryWriteLow,
    MemoryWriteHigh,
    MemoryWriteBeat,
    MemoryWriteAnswer,
    Waiting,
    AnswerHeader,
    AnswerStatus,
    AnswerFetch,
    AnswerWord,
}

/// Words of the answer to `identify`, without the number.
const IDENTITY: usize = link::IDENTITY_WORDS.len();

/// Executes one packet at a time, on the registers (AXI4-Lite) and on the memory (64-bit AXI4), and sends the answer's words.
#[derive(LogicBlock)]
pub struct LinkExecutor {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    // The packet.
    pub arrived: Signal<In, Bit>,
    pub bytes: Signal<In, Bits<16>>,
    pub taken: Signal<Out, Bit>,
    // Packet RAM: data a cycle after the address.
    pub ram_read: Signal<Out, Bit>,
    pub ram_address: Signal<Out, Bits<16>>,
    pub ram_data: Signal<In, Bits<32>>,
    pub ram_write: Signal<Out, Bit>,
    pub ram_write_address: Signal<Out, Bits<16>>,
    pub ram_write_data: Signal<Out, Bits<32>>,
    // Answer.
    pub word: Signal<Out, Bits<32>>,
    pub word_valid: Signal<Out, Bit>,
    pub word_ready: Signal<In, Bit>,
    pub word_last: Signal<Out, Bit>,
    // Registers.
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
    /// The machine has ended.
    pub irq: Signal<In, Bit>,
    // Memory.
    pub ar_valid: Signal<Out, Bit>,
    pub ar_ready: Signal<In, Bit>,
    pub address: Signal<Out, Bits<32>>,
    pub length: Signal<Out, Bits<8>>,
    pub r_valid: Signal<In, Bit>,
    pub r_ready: Signal<Out, Bit>,
    pub r_low: Signal<In, Bits<32>>,
    pub r_high: Signal<In, Bits<32>>,
    pub r_error: Signal<In, Bit>,
    pub r_last: Signal<In, Bit>,
    pub aw_valid: Signal<Out, Bit>,
    pub aw_ready: Signal<In, Bit>,
    pub w_valid: Signal<Out, Bit>,
    pub w_ready: Signal<In, Bit>,
    pub w_low: Signal<Out, Bits<32>>,
    pub w_high: Signal<Out, Bits<32>>,
    pub w_last: Signal<Out, Bit>,
    pub b_valid: Signal<In, Bit>,
    pub b_ready: Signal<Out, Bit>,
    pub b_error: Signal<In, Bit>,
    /// A session has begun since the reset.
    pub in_session: Signal<Out, Bit>,
    state: DFF<LinkState>,
    header: DFF<Bits<32>>,
    target: DFF<Bits<32>>,
    /// The payload's first word; then the answer's.
    argument: DFF<Bits<32>>,
    low: DFF<Bits<32>>,
    high: DFF<Bits<32>>,
    last: DFF<Bit>,
    /// Word of the packet RAM.
    pointer: DFF<Bits<16>>,
    /// Beats that are left to write, minus one.
    beats_left: DFF<Bits<8>>,
    burst: DFF<Bits<8>>,
    status: DFF<Bits<8>>,
    session: DFF<Bits<8>>,
    /// Sequence of the last request that must not be executed twice.
    done: DFF<Bits<8>>,
    done_valid: DFF<Bit>,
    /// Bytes of the answer's payload.
    answer_bytes: DFF<Bits<16>>,
    /// What the answer's payload is.
    from_ram: DFF<Bit>,
    from_identity: DFF<Bit>,
    // What is known of a request when it is decoded.
    length_fits: DFF<Bit>,
    repeated: DFF<Bit>,
    aligned: DFF<Bit>,
    one_word: DFF<Bit>,
    read_fits: DFF<Bit>,
    write_fits: DFF<Bit>,
    no_payload: DFF<Bit>,
    sequence: Signal<Local, Bits<8>>,
    operation: Signal<Local, Bits<8>>,
    payload: Signal<Local, Bits<16>>,
    wanted: Signal<Local, Bits<16>>,
    read_bytes: Signal<Local, Bits<16>>,
    last_beat: Signal<Local, Bits<16>>,
    in_answer: Signal<Local, Bit>,
    identity_word: Signal<Local, Bits<32>>,
    answer_end: Signal<Local, Bits<16>>,
    steps: Signal<Local, Bit>,
    next_pointer: Signal<Local, Bits<16>>,
    position: Signal<Local, Bits<16>>,
    wide_session: Signal<Local, Bits<32>>,
    identity: Vec<Constant<Bits<32>>>,
    control: Constant<Bits<32>>,
    most: Constant<Bits<16>>,
    _identity_words: usize,
}

impl LinkExecutor {
    /// `identity`: what `identify` answers, see [`link::IDENTITY_WORDS`].
    pub fn new(identity: [u32; IDENTITY]) -> Self {
        Self {
            clock: Signal::default(),
            reset: Signal::default(),
            arrived: Signal::default(),
            bytes: Signal::default(),
            taken: Signal::default(),
            ram_read: Signal::default(),
            ram_address: Signal::default(),
            ram_data: Signal::default(),
            ram_write: Signal::default(),
            ram_write_address: Signal::default(),
            ram_write_data: Signal::default(),
            word: Signal::default(),
            word_valid: Signal::default(),
            word_ready: Signal::default(),
            word_last: Signal::default(),
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
            address: Signal::default(),
            length: Signal::default(),
            r_valid: Signal::default(),
            r_ready: Signal::default(),
            r_low: Signal::default(),
            r_high: Signal::default(),
            r_error: Signal::default(),
            r_last: Signal::default(),
            aw_valid: Signal::default(),
            aw_ready: Signal::default(),
            w_valid: Signal::default(),
            w_ready: Signal::default(),
            w_low: Signal::default(),
            w_high: Signal::default(),
            w_last: Signal::default(),
            b_valid: Signal::default(),
            b_ready: Signal::default(),
            b_error: Signal::default(),
            in_session: Signal::default(),
            state: DFF::default(),
            header: DFF::default(),
            target: DFF::default(),
            argument: DFF::default(),
            low: DFF::default(),
            high: DFF::default(),
            last: DFF::default(),
            pointer: DFF::default(),
            beats_left: DFF::default(),
            burst: DFF::default(),
            status: DFF::default(),
            session: DFF::default(),
            done: DFF::default(),
            done_valid: DFF::default(),
            answer_bytes: DFF::default(),
            from_ram: DFF::default(),
            from_identity: DFF::default(),
            length_fits: DFF::default(),
            repeated: DFF::default(),
            aligned: DFF::default(),
            one_word: DFF::default(),
            read_fits: DFF::default(),
            write_fits: DFF::default(),
            no_payload: DFF::default(),
            sequence: Signal::default(),
            operation: Signal::default(),
            payload: Signal::default(),
            wanted: Signal::default(),
            read_bytes: Signal::default(),
            last_beat: Signal::default(),
            in_answer: Signal::default(),
            identity_word: Signal::default(),
            answer_end: Signal::default(),
            steps: Signal::default(),
            next_pointer: Signal::default(),
            position: Signal::default(),
            wide_session: Signal::default(),
            identity: identity.iter().map(|word| Constant::new(u64::from(*word).into())).collect(),
            control: Constant::new(u64::from(register::CONTROL).into()),
            most: Constant::new((link::MAX_PAYLOAD_BYTES as u64).into()),
            _identity_words: IDENTITY,
        }
    }
}

impl Logic for LinkExecutor {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(
            self,
            clock,
            state,
            header,
            target,
            argument,
            low,
            high,
            last,
            pointer,
            beats_left,
            burst,
            status,
            session,
            done,
            done_valid,
            answer_bytes,
            from_ram,
            from_identity,
            length_fits,
            repeated,
            aligned,
            one_word,
            read_fits,
            write_fits,
            no_payload
        );
        self.sequence.next = self.header.q.val().get_bits::<8>(0);
        self.operation.next = self.header.q.val().get_bits::<8>(8);
        self.payload.next = self.header.q.val().get_bits::<16>(16);
        self.wanted.next = self.payload.val() + 12;
        self.length_fits.d.next = self.wanted.val() == self.bytes.val();
        // Checks of a request, a cycle before it is decoded.
        self.no_payload.d.next = !self.payload.val().any();
        self.repeated.d.next = self.done_valid.q.val() & (self.done.q.val() == self.sequence.val());
        self.aligned.d.next = !self.target.q.val().get_bits::<3>(0).any();
        self.one_word.d.next = self.payload.val() == 4;
        self.read_bytes.next = self.argument.q.val().get_bits::<16>(0);
        self.read_fits.d.next = (self.payload.val() == 4)
            & !self.argument.q.val().get_bits::<3>(0).any()
            & self.argument.q.val().any()
            & !self.argument.q.val().get_bits::<16>(16).any()
            & (self.read_bytes.val() <= self.most.val());
        self.write_fits.d.next = !self.payload.val().get_bits::<3>(0).any()
            & self.payload.val().any()
            & (self.payload.val() <= self.most.val());
        self.taken.next = false;
        self.ram_read.next = false;
        self.ram_address.next = self.pointer.q.val();
        self.ram_write.next = false;
        self.ram_write_address.next = self.pointer.q.val();
        self.ram_write_data.next = self.low.q.val();
        self.last_beat.next = self.payload.val() >> 3;
        if self.operation.val() == 4 {
            self.last_beat.next = self.read_bytes.val() >> 3;
        }

        // Ports follow the state.
        self.lite_ar_valid.next = self.state.q.val() == LinkState::RegisterRead;
        self.lite_r_ready.next = self.state.q.val() == LinkState::RegisterReadAnswer;
        self.lite_aw_valid.next = self.state.q.val() == LinkState::RegisterWrite;
        self.lite_w_valid.next = self.state.q.val() == LinkState::RegisterWrite;
        self.lite_b_ready.next = self.state.q.val() == LinkState::RegisterWriteAnswer;
        self.lite_ar_address.next = self.target.q.val().get_bits::<12>(0);
        self.lite_aw_address.next = self.target.q.val().get_bits::<12>(0);
        self.lite_w_data.next = self.argument.q.val();
        self.ar_valid.next = self.state.q.val() == LinkState::MemoryRead;
        self.r_ready.next = self.state.q.val() == LinkState::MemoryReadBeat;
        self.aw_valid.next = self.state.q.val() == LinkState::MemoryWrite;
        self.w_valid.next = self.state.q.val() == LinkState::MemoryWriteBeat;
        self.b_ready.next = self.state.q.val() == LinkState::MemoryWriteAnswer;
        self.address.next = self.target.q.val();
        self.length.next = self.burst.q.val();
        self.w_low.next = self.low.q.val();
        self.w_high.next = self.high.q.val();
        self.w_last.next = self.beats_left.q.val() == 0;
        self.in_session.next = self.session.q.val().any();

        // The answer's word.
        self.position.next = self.pointer.q.val() << 2;
        self.answer_end.next = self.answer_bytes.q.val() + 4;
        self.in_answer.next = self.position.val() < self.answer_end.val();
        self.wide_session.next = bit_cast::<32, 8>(self.session.q.val());
        self.identity_word.next = 0.into();
        for i in 0..self._identity_words {
            if self.pointer.q.val().index() == i + 2 {
                self.identity_word.next = self.identity[i].val();
            }
        }
        self.word_valid.next = false;
        self.word_last.next = !self.in_answer.val();
        self.word.next = self.argument.q.val();
        if self.from_ram.q.val() {
            self.word.next = self.low.q.val();
        }
        if self.from_identity.q.val() {
            self.word.next = self.identity_word.val();
        }

        self.steps.next = false;
        self.next_pointer.next = self.pointer.q.val() + 1;
        match self.state.q.val() {
            LinkState::Idle => {
                self.pointer.d.next = 0.into();
                self.status.d.next = 0.into();
                self.answer_bytes.d.next = 0.into();
                self.from_ram.d.next = false;
                self.from_identity.d.next = false;
                if self.arrived.val() {
                    self.ram_read.next = true;
                    self.pointer.d.next = 1.into();
                    self.state.d.next = LinkState::Header;
                }
            }
            LinkState::Header => {
                self.header.d.next = self.ram_data.val();
                self.ram_read.next = true;
                self.pointer.d.next = 2.into();
                self.state.d.next = LinkState::Address;
            }
            LinkState::Address => {
                self.target.d.next = self.ram_data.val();
                self.ram_read.next = true;
                self.state.d.next = LinkState::Argument;
            }
            LinkState::Argument => {
                self.argument.d.next = self.ram_data.val();
                self.state.d.next = LinkState::Check;
            }
            LinkState::Check => {
                self.state.d.next = LinkState::Decode;
            }
            LinkState::Decode => {
                self.state.d.next = LinkState::AnswerHeader;
                self.burst.d.next = self.last_beat.val().get_bits::<8>(0) - 1;
                self.beats_left.d.next = self.last_beat.val().get_bits::<8>(0) - 1;
                // A new request: the host has the answer to the one before.
                if !self.repeated.q.val() {
                    self.done_valid.d.next = false;
                }
                // Until one of the cases below takes it.
                self.status.d.next = 2.into();
                match self.operation.val().index() {
                    1 => {
                        if self.length_fits.q.val() & self.no_payload.q.val() {
                            self.status.d.next = 0.into();
                            self.session.d.next = self.target.q.val().get_bits::<8>(0);
                            self.done_valid.d.next = false;
                            self.from_identity.d.next = true;
                            self.answer_bytes.d.next = 16.into();
                        }
                    }
                    2 => {
                        if self.length_fits.q.val() & self.no_payload.q.val() {
                            self.status.d.next = 0.into();
                            self.state.d.next = LinkState::RegisterRead;
                        }
                    }
                    3 => {
                        if self.length_fits.q.val() & self.one_word.q.val() {
                            self.status.d.next = 0.into();
                            if !self.repeated.q.val() {
                                self.state.d.next = LinkState::RegisterWrite;
                            }
                        }
                    }
                    4 => {
                        if self.length_fits.q.val() & self.read_fits.q.val() {
                            self.status.d.next = 3.into();
                            if self.aligned.q.val() {
                                self.status.d.next = 0.into();
                                self.state.d.next = LinkState::MemoryRead;
                            }
                        }
                    }
                    5 => {
                        if self.length_fits.q.val() & self.write_fits.q.val() {
                            self.status.d.next = 3.into();
                            if self.aligned.q.val() {
                                self.status.d.next = 0.into();
                                self.state.d.next = LinkState::MemoryWrite;
                            }
                        }
                    }
                    6 => {
                        if self.length_fits.q.val() & self.one_word.q.val() {
                            self.status.d.next = 0.into();
                            self.state.d.next = LinkState::Waiting;
                        }
                    }
                    7 => {
                        if self.length_fits.q.val() & self.no_payload.q.val() {
                            self.status.d.next = 0.into();
                            self.target.d.next = self.control.val();
                            self.argument.d.next = 1.into();
                            if !self.repeated.q.val() {
                                self.state.d.next = LinkState::RegisterWrite;
                            }
                        }
                    }
                    _ => {
                        self.status.d.next = 1.into();
                    }
                }
            }
            LinkState::RegisterRead => {
                if self.lite_ar_ready.val() {
                    self.state.d.next = LinkState::RegisterReadAnswer;
                }
            }
            LinkState::RegisterReadAnswer => {
                if self.lite_r_valid.val() {
                    self.argument.d.next = self.lite_r_data.val();
                    self.answer_bytes.d.next = 4.into();
                    self.state.d.next = LinkState::AnswerHeader;
                }
            }
            LinkState::RegisterWrite => {
                // Address and data are taken together.
                if self.lite_aw_ready.val() & self.lite_w_ready.val() {
                    self.state.d.next = LinkState::RegisterWriteAnswer;
                }
            }
            LinkState::RegisterWriteAnswer => {
                if self.lite_b_valid.val() {
                    self.done.d.next = self.sequence.val();
                    self.done_valid.d.next = true;
                    self.state.d.next = LinkState::AnswerHeader;
                }
            }
            LinkState::MemoryRead => {
                self.from_ram.d.next = true;
                self.answer_bytes.d.next = self.read_bytes.val();
                if self.ar_ready.val() {
                    self.state.d.next = LinkState::MemoryReadBeat;
                }
            }
            LinkState::MemoryReadBeat => {
                self.low.d.next = self.r_low.val();
                self.high.d.next = self.r_high.val();
                self.last.d.next = self.r_last.val();
                if self.r_valid.val() {
                    if self.r_error.val() {
                        self.status.d.next = 4.into();
                    }
                    self.state.d.next = LinkState::MemoryReadLow;
                }
            }
            LinkState::MemoryReadLow => {
                self.ram_write.next = true;
                self.steps.next = true;
                self.state.d.next = LinkState::MemoryReadHigh;
            }
            LinkState::MemoryReadHigh => {
                self.ram_write.next = true;
                self.ram_write_data.next = self.high.q.val();
                self.steps.next = true;
                self.state.d.next = LinkState::MemoryReadBeat;
                if self.last.q.val() {
                    self.state.d.next = LinkState::AnswerHeader;
                }
            }
            LinkState::MemoryWrite => {
                if self.aw_ready.val() {
                    self.ram_read.next = true;
                    self.steps.next = true;
                    self.state.d.next = LinkState::MemoryWriteLow;
                }
            }
            LinkState::MemoryWriteLow => {
                self.low.d.next = self.ram_data.val();
                self.ram_read.next = true;
                self.steps.next = true;
                self.state.d.next = LinkState::MemoryWriteHigh;
            }
            LinkState::MemoryWriteHigh => {
                self.high.d.next = self.ram_data.val();
                self.state.d.next = LinkState::MemoryWriteBeat;
            }
            LinkState::MemoryWriteBeat => {
                if self.w_ready.val() {
                    self.beats_left.d.next = self.beats_left.q.val() - 1;
                    self.ram_read.next = true;
                    self.steps.next = true;
                    self.state.d.next = LinkState::MemoryWriteLow;
                    if self.beats_left.q.val() == 0 {
                        self.state.d.next = LinkState::MemoryWriteAnswer;
                    }
                }
            }
            LinkState::MemoryWriteAnswer => {
                if self.b_valid.val() {
                    if self.b_error.val() {
                        self.status.d.next = 4.into();
                    }
                    self.state.d.next = LinkState::AnswerHeader;
                }
            }
            LinkState::Waiting => {
                self.argument.d.next = self.argument.q.val() - 1;
                if self.irq.val() | (self.argument.q.val() == 0) {
                    self.argument.d.next = 0.into();
                    if self.irq.val() {
                        self.argument.d.next = 1.into();
                    }
                    self.answer_bytes.d.next = 4.into();
                    self.state.d.next = LinkState::AnswerHeader;
                }
            }
            LinkState::AnswerHeader => {
                self.word_valid.next = true;
                self.word.next = (bit_cast::<32, 16>(self.answer_bytes.q.val()) << 16)
                    | (bit_cast::<32, 16>(self.header.q.val().get_bits::<16>(0)))
                    | 0x8000;
                self.word_last.next = false;
                self.pointer.d.next = 2.into();
                // Without a payload: what a memory that answered with an error gave is nothing.
                if self.status.q.val().any() {
                    self.word.next = bit_cast::<32, 16>(self.header.q.val().get_bits::<16>(0)) | 0x8000;
                    self.answer_bytes.d.next = 0.into();
                }
                if self.word_ready.val() {
                    self.state.d.next = LinkState::AnswerStatus;
                }
            }
            LinkState::AnswerStatus => {
                self.word_valid.next = true;
                self.word.next = (self.wide_session.val() << 8) | bit_cast::<32, 8>(self.status.q.val());
                self.word_last.next = !self.answer_bytes.q.val().any();
                if self.word_ready.val() {
                    self.state.d.next = LinkState::AnswerFetch;
                    self.ram_read.next = true;
                    if !self.answer_bytes.q.val().any() {
                        self.taken.next = true;
                        self.state.d.next = LinkState::Idle;
                    }
                }
            }
            LinkState::AnswerFetch => {
                self.low.d.next = self.ram_data.val();
                self.state.d.next = LinkState::AnswerWord;
            }
            LinkState::AnswerWord => {
                self.word_valid.next = true;
                if self.word_ready.val() {
                    self.steps.next = true;
                    self.ram_read.next = true;
                    self.ram_address.next = self.next_pointer.val();
                    self.state.d.next = LinkState::AnswerFetch;
                    if !self.in_answer.val() {
                        self.taken.next = true;
                        self.state.d.next = LinkState::Idle;
                    }
                }
            }
            _ => {
                self.state.d.next = LinkState::Idle;
            }
        }
        if self.steps.val() {
            self.pointer.d.next = self.next_pointer.val();
        }
        if self.reset.val() {
            self.state.d.next = LinkState::Idle;
            self.session.d.next = 0.into();
            self.done_valid.d.next = false;
        }
    }
    fn timing(&self) -> Vec<TimingInfo> {
        describe("link_executor", "Does what the host's packets ask for, and answers.")
    }
}

#[cfg(test)]
mod tests {
    use super::link::{Operation, Status, ANSWER, HEADER_BYTES, IDENTITY_WORDS, MEMORY_QUANTUM};

    /// The numbers that stand in the block above are those of the protocol.
    #[test]
    fn numbers_are_those_of_the_protocol() {
        let operations = [
            (Operation::Identify, 1),
            (Operation::ReadRegister, 2),
            (Operation::WriteRegister, 3),
            (Operation::ReadMemory, 4),
            (Operation::WriteMemory, 5),
            (Operation::Wait, 6),
            (Operation::Start, 7),
        ];
        assert_eq!(operations.map(|(operation, _)| operation), Operation::ALL);
        assert!(operations.iter().all(|(operation, number)| *operation as u8 == *number));
        let statuses =
            [Status::Ok, Status::Operation, Status::Length, Status::Address, Status::Bus].map(|s| s as u8);
        assert_eq!(statuses, [0, 1, 2, 3, 4]);
        assert_eq!((ANSWER, HEADER_BYTES, 4 * IDENTITY_WORDS.len(), MEMORY_QUANTUM), (0x80, 8, 16, 8));
    }
}
