//! The top of a board without a memory chip.

use super::{BoardClock, BoardFacts};
use frugal_hdl::board::OnChipBoard;
use frugal_hdl::emit::describe;
use rust_hdl_core::prelude::*;

/// Pins of a board without a memory chip.
#[derive(LogicBlock)]
pub struct BoardTop {
    pub oscillator: Signal<In, Clock>,
    pub reset_button: Signal<In, Bit>,
    /// From the host.
    pub receive: Signal<In, Bit>,
    /// To the host.
    pub transmit: Signal<Out, Bit>,
    pub led: Vec<Signal<Out, Bit>>,
    source: BoardClock,
    board: OnChipBoard,
    pressed: Signal<Local, Bit>,
    lights: Signal<Local, Bits<8>>,
    leds_inverted: Constant<Bit>,
    reset_inverted: Constant<Bit>,
    _leds: usize,
}

impl BoardTop {
    /// # Panics
    /// If the facts ask for a clock that the chip cannot make: a test holds that they do not.
    pub fn new(facts: &BoardFacts, clock_khz: u32, board: OnChipBoard) -> Self {
        let source = BoardClock::new(&facts.device(), facts.oscillator_khz, clock_khz)
            .expect("a clock that the chip can make");
        Self {
            oscillator: Signal::default(),
            reset_button: Signal::default(),
            receive: Signal::default(),
            transmit: Signal::default(),
            led: (0..facts.leds).map(|_| Signal::default()).collect(),
            source,
            board,
            pressed: Signal::default(),
            lights: Signal::default(),
            leds_inverted: Constant::new(facts.leds_inverted),
            reset_inverted: Constant::new(facts.reset_inverted),
            _leds: facts.leds,
        }
    }
}

impl Logic for BoardTop {
    #[hdl_gen]
    fn update(&mut self) {
        self.source.oscillator.next = self.oscillator.val();
        self.board.clock.next = self.source.clock.val();
        self.pressed.next = self.reset_button.val() ^ self.reset_inverted.val();
        // Until the clock is steady.
        self.board.reset.next = self.pressed.val() | !self.source.locked.val();
        self.board.receive.next = self.receive.val();
        self.transmit.next = self.board.transmit.val();
        self.lights.next = self.board.leds.val();
        for i in 0..self._leds {
            self.led[i].next = self.lights.val().get_bit(i) ^ self.leds_inverted.val();
        }
    }
    fn timing(&self) -> Vec<TimingInfo> {
        describe("frugal_board", "The board's pins and clock around the accelerator.")
    }
}
