//! Bytes on a serial line: a start bit, eight data bits with the least significant first, a stop bit.

use crate::emit::describe;
use rust_hdl_core::prelude::*;
use rust_hdl_widgets::prelude::*;

/// Bytes from a line. The line is sampled in the middle of each bit.
#[derive(LogicBlock)]
pub struct UartReceiver {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    /// High when idle; of any phase.
    pub line: Signal<In, Bit>,
    pub byte: Signal<Out, Bits<8>>,
    /// For one cycle: a byte came.
    pub valid: Signal<Out, Bit>,
    /// For one cycle: a byte came whose stop bit is low.
    pub broken: Signal<Out, Bit>,
    // Two registers against metastability.
    metastable: DFF<Bit>,
    level: DFF<Bit>,
    busy: DFF<Bit>,
    /// Cycles to the next sample.
    countdown: DFF<Bits<16>>,
    /// Bit to be sampled: 0 is the start bit, 9 the stop bit.
    index: DFF<Bits<4>>,
    shift: DFF<Bits<8>>,
    good: DFF<Bit>,
    bad: DFF<Bit>,
    shifted: Signal<Local, Bits<8>>,
    half_bit: Constant<Bits<16>>,
    whole_bit: Constant<Bits<16>>,
}

impl UartReceiver {
    /// # Panics
    /// If a bit takes fewer than 4 cycles, or more than 65535.
    pub fn new(bit_cycles: usize) -> Self {
        assert!((4..1 << 16).contains(&bit_cycles), "a bit takes 4 to 65535 cycles, not {bit_cycles}");
        Self {
            clock: Signal::default(),
            reset: Signal::default(),
            line: Signal::default(),
            byte: Signal::default(),
            valid: Signal::default(),
            broken: Signal::default(),
            metastable: DFF::default(),
            level: DFF::default(),
            busy: DFF::default(),
            countdown: DFF::default(),
            index: DFF::default(),
            shift: DFF::default(),
            good: DFF::default(),
            bad: DFF::default(),
            shifted: Signal::default(),
            half_bit: Constant::new((bit_cycles as u64 / 2 - 1).into()),
            whole_bit: Constant::new((bit_cycles as u64 - 1).into()),
        }
    }
}

impl Logic for UartReceiver {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, metastable, level, busy, countdown, index, shift, good, bad);
        self.metastable.d.next = self.line.val();
        self.level.d.next = self.metastable.q.val();
        self.good.d.next = false;
        self.bad.d.next = false;
        self.shifted.next = self.shift.q.val() >> 1;
        self.countdown.d.next = self.countdown.q.val() - 1;
        if !self.busy.q.val() {
            self.index.d.next = 0.into();
            self.countdown.d.next = self.half_bit.val();
            self.busy.d.next = !self.level.q.val();
        } else if self.countdown.q.val() == 0 {
            self.countdown.d.next = self.whole_bit.val();
            self.index.d.next = self.index.q.val() + 1;
            if self.index.q.val() == 0 {
                // A start bit that is no longer there was noise.
                self.busy.d.next = !self.level.q.val();
            } else if self.index.q.val() == 9 {
                self.busy.d.next = false;
                self.good.d.next = self.level.q.val();
                self.bad.d.next = !self.level.q.val();
            } else {
                self.shift.d.next = self.shifted.val();
                if self.level.q.val() {
                    self.shift.d.next = self.shifted.val() | 128;
                }
            }
        }
        self.byte.next = self.shift.q.val();
        self.valid.next = self.good.q.val();
        self.broken.next = self.bad.q.val();
        if self.reset.val() {
            self.busy.d.next = false;
            self.good.d.next = false;
            self.bad.d.next = false;
        }
    }
    fn timing(&self) -> Vec<TimingInfo> {
        describe("uart_receiver", "Bytes from a serial line: 8 data bits, no parity, a stop bit.")
    }
}

/// Bytes onto a line.
#[derive(LogicBlock)]
pub struct UartTransmitter {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub byte: Signal<In, Bits<8>>,
    pub valid: Signal<In, Bit>,
    pub ready: Signal<Out, Bit>,
    pub line: Signal<Out, Bit>,
    /// Inverted, so that the line is high when the chip wakes up.
    low: DFF<Bit>,
    busy: DFF<Bit>,
    countdown: DFF<Bits<16>>,
    index: DFF<Bits<4>>,
    shift: DFF<Bits<8>>,
    whole_bit: Constant<Bits<16>>,
}

impl UartTransmitter {
    /// # Panics
    /// If a bit takes fewer than 4 cycles, or more than 65535.
    pub fn new(bit_cycles: usize) -> Self {
        assert!((4..1 << 16).contains(&bit_cycles), "a bit takes 4 to 65535 cycles, not {bit_cycles}");
        Self {
            clock: Signal::default(),
            reset: Signal::default(),
            byte: Signal::default(),
            valid: Signal::default(),
            ready: Signal::default(),
            line: Signal::default(),
            low: DFF::default(),
            busy: DFF::default(),
            countdown: DFF::default(),
            index: DFF::default(),
            shift: DFF::default(),
            whole_bit: Constant::new((bit_cycles as u64 - 1).into()),
        }
    }
}

impl Logic for UartTransmitter {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, low, busy, countdown, index, shift);
        self.ready.next = !self.busy.q.val();
        self.line.next = !self.low.q.val();
        self.countdown.d.next = self.countdown.q.val() - 1;
        if !self.busy.q.val() {
            self.countdown.d.next = self.whole_bit.val();
            self.index.d.next = 0.into();
            self.shift.d.next = self.byte.val();
            self.busy.d.next = self.valid.val();
            self.low.d.next = self.valid.val();
        } else if self.countdown.q.val() == 0 {
            self.countdown.d.next = self.whole_bit.val();
            self.index.d.next = self.index.q.val() + 1;
            self.shift.d.next = self.shift.q.val() >> 1;
            self.low.d.next = !self.shift.q.val().get_bit(0);
            if self.index.q.val() == 8 {
                self.low.d.next = false;
            }
            if self.index.q.val() == 9 {
                self.low.d.next = false;
                self.busy.d.next = false;
            }
        }
        if self.reset.val() {
            self.busy.d.next = false;
            self.low.d.next = false;
        }
    }
    fn timing(&self) -> Vec<TimingInfo> {
        describe("uart_transmitter", "Bytes onto a serial line: 8 data bits, no parity, a stop bit.")
    }
}
