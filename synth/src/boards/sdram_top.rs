//! The top of a board with an SDRAM chip.

use super::{BoardClock, BoardFacts};
use crate::flow::device::Family;
use frugal_hdl::board::SdramBoard;
use frugal_hdl::emit::describe;
use rust_hdl_core::prelude::*;

/// Eighths of a period that the chip's clock is late.
///
/// All pins change with our clock. On the ULX3S, of 12.5 ns, five eighths late are three eighths early: the chip has what is left after three eighths
/// (4.7 ns) and the way to the pins (about 4 ns from a register in the middle of the chip), where it asks for 1.5 ns; its data come 5.4 ns after its clock
/// at most, with two pads and the way to a register about 3 ns before they are taken, and stay as long after that.
///
/// A Gowin chip's clock leaves through a pin like any other, about 5 ns late, as the commands do. Of 27 ns, a quarter more is in the middle of what both
/// sides ask for.
fn chip_clock_eighths(family: Family) -> u32 {
    if family == Family::Gowin {
        2
    } else {
        5
    }
}

/// The pins that go both ways, and the chip's clock.
#[derive(LogicBlock)]
pub struct SdramPads<const W: usize> {
    pub clock: Signal<In, Clock>,
    pub data_out: Signal<In, Bits<32>>,
    pub data_out_enable: Signal<In, Bit>,
    pub data_in: Signal<Out, Bits<32>>,
    pub data: Signal<InOut, Bits<W>>,
    pub clock_pin: Signal<Out, Bit>,
    _family: Family,
}

impl<const W: usize> SdramPads<W> {
    pub fn new(family: Family) -> Self {
        Self {
            clock: Signal::default(),
            data_out: Signal::default(),
            data_out_enable: Signal::default(),
            data_in: Signal::default(),
            data: Signal::default(),
            clock_pin: Signal::default(),
            _family: family,
        }
    }
}

impl<const W: usize> Logic for SdramPads<W> {
    fn update(&mut self) {
        // The simulation has no pads.
        self.data_in.next = 0.into();
        self.clock_pin.next = false;
    }
    fn connect(&mut self) {
        self.data_in.connect();
        self.clock_pin.connect();
    }
    fn hdl(&self) -> Verilog {
        let mut text = String::from("wire [31:0] from_pads;\nassign data_in = from_pads;\n");
        if W < 32 {
            text += &format!("assign from_pads[31:{W}] = 0;\n");
        }
        text += match self._family {
            Family::Ecp5 => {
                "ODDRX1F clock_pad (.D0(1'b1), .D1(1'b0), .SCLK(clock), .RST(1'b0), .Q(clock_pin));\n"
            }
            _ => "assign clock_pin = clock;\n",
        };
        for bit in 0..W {
            text += &match self._family {
                Family::Ecp5 => format!(
                    "BB pad_{bit} (.I(data_out[{bit}]), .T(!data_out_enable), .O(from_pads[{bit}]), .B(data[{bit}]));\n"
                ),
                _ => format!(
                    "IOBUF pad_{bit} (.I(data_out[{bit}]), .OEN(!data_out_enable), .O(from_pads[{bit}]), .IO(data[{bit}]));\n"
                ),
            };
        }
        Verilog::Custom(text)
    }
    fn timing(&self) -> Vec<TimingInfo> {
        describe("sdram_pads", "The data pins of an SDRAM chip, and its clock.")
    }
}

/// A chip with `A` address bits and `W` data bits, which are `M` bytes. What of it is soldered to a fixed level has no pin: clock enable, select and mask,
/// all three or none. Without a select, commands that are not for the chip are none.
#[derive(LogicBlock)]
pub struct SdramTop<const A: usize, const M: usize, const W: usize> {
    pub oscillator: Signal<In, Clock>,
    pub reset_button: Signal<In, Bit>,
    /// From the host.
    pub receive: Signal<In, Bit>,
    /// To the host.
    pub transmit: Signal<Out, Bit>,
    pub led: Vec<Signal<Out, Bit>>,
    pub sdram_clock: Signal<Out, Bit>,
    pub sdram_clock_enable: Vec<Signal<Out, Bit>>,
    pub sdram_cs_n: Vec<Signal<Out, Bit>>,
    pub sdram_ras_n: Signal<Out, Bit>,
    pub sdram_cas_n: Signal<Out, Bit>,
    pub sdram_we_n: Signal<Out, Bit>,
    pub sdram_address: Signal<Out, Bits<A>>,
    pub sdram_bank: Signal<Out, Bits<2>>,
    pub sdram_data_mask: Vec<Signal<Out, Bits<M>>>,
    pub sdram_data: Signal<InOut, Bits<W>>,
    source: BoardClock,
    board: SdramBoard,
    pads: SdramPads<W>,
    pressed: Signal<Local, Bit>,
    lights: Signal<Local, Bits<8>>,
    unselected: Signal<Local, Bit>,
    has_no_select: Constant<Bit>,
    leds_inverted: Constant<Bit>,
    reset_inverted: Constant<Bit>,
    _leds: usize,
    _selects: usize,
}

impl<const A: usize, const M: usize, const W: usize> SdramTop<A, M, W> {
    /// # Panics
    /// If the facts ask for a clock that the chip cannot make: a test holds that they do not.
    pub fn new(facts: &BoardFacts, clock_khz: u32, board: SdramBoard) -> Self {
        let device = facts.device();
        let source = BoardClock::new(&device, facts.oscillator_khz, clock_khz)
            .and_then(|clock| clock.with_delayed(chip_clock_eighths(device.family)))
            .expect("a clock that the chip can make");
        let selects = usize::from(facts.pins.iter().any(|pin| pin.port == "sdram_cs_n_0"));
        Self {
            oscillator: Signal::default(),
            reset_button: Signal::default(),
            receive: Signal::default(),
            transmit: Signal::default(),
            led: (0..facts.leds).map(|_| Signal::default()).collect(),
            sdram_clock: Signal::default(),
            sdram_clock_enable: (0..selects).map(|_| Signal::default()).collect(),
            sdram_cs_n: (0..selects).map(|_| Signal::default()).collect(),
            sdram_ras_n: Signal::default(),
            sdram_cas_n: Signal::default(),
            sdram_we_n: Signal::default(),
            sdram_address: Signal::default(),
            sdram_bank: Signal::default(),
            sdram_data_mask: (0..selects).map(|_| Signal::default()).collect(),
            sdram_data: Signal::default(),
            source,
            board,
            pads: SdramPads::new(device.family),
            pressed: Signal::default(),
            lights: Signal::default(),
            unselected: Signal::default(),
            has_no_select: Constant::new(selects == 0),
            leds_inverted: Constant::new(facts.leds_inverted),
            reset_inverted: Constant::new(facts.reset_inverted),
            _leds: facts.leds,
            _selects: selects,
        }
    }
}

impl<const A: usize, const M: usize, const W: usize> Logic for SdramTop<A, M, W> {
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
        self.pads.clock.next = self.source.delayed.val();
        self.sdram_clock.next = self.pads.clock_pin.val();
        for s in 0..self._selects {
            self.sdram_clock_enable[s].next = self.board.sdram_clock_enable.val();
            self.sdram_cs_n[s].next = self.board.sdram_cs_n.val();
            self.sdram_data_mask[s].next = self.board.sdram_data_mask.val().get_bits::<M>(0);
        }
        self.unselected.next = self.board.sdram_cs_n.val() & self.has_no_select.val();
        self.sdram_ras_n.next = self.board.sdram_ras_n.val() | self.unselected.val();
        self.sdram_cas_n.next = self.board.sdram_cas_n.val() | self.unselected.val();
        self.sdram_we_n.next = self.board.sdram_we_n.val() | self.unselected.val();
        self.sdram_address.next = self.board.sdram_address.val().get_bits::<A>(0);
        self.sdram_bank.next = self.board.sdram_bank.val();
        self.pads.data_out.next = self.board.sdram_data_out.val();
        self.pads.data_out_enable.next = self.board.sdram_data_out_enable.val();
        self.board.sdram_data_in.next = self.pads.data_in.val();
        Signal::<InOut, Bits<W>>::link(&mut self.sdram_data, &mut self.pads.data);
    }
    fn timing(&self) -> Vec<TimingInfo> {
        describe("frugal_board", "The board's pins, clock and SDRAM chip around the accelerator.")
    }
}
