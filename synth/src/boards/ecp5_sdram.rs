//! The top of a board with an ECP5 and an SDRAM chip of 16 bits.

use super::{BoardFacts, EcpPll};
use frugal_hdl::board::SdramBoard;
use frugal_hdl::emit::describe;
use rust_hdl_core::prelude::*;

/// Eighths of a period that the chip's clock is late, which is the same as three eighths early.
///
/// All pins change with our clock. Of 12.5 ns, the chip has what is left after three eighths (4.7 ns) and the way to the pins (about 4 ns from a register
/// in the middle of the chip), where it asks for 1.5 ns; its data come 5.4 ns after its clock at most, with two pads and the way to a register about 3 ns
/// before they are taken, and stay as long after that.
const CHIP_CLOCK_EIGHTHS: u32 = 5;

/// The pins that go both ways, and the chip's clock.
#[derive(LogicBlock, Default)]
pub struct EcpSdramPads {
    pub clock: Signal<In, Clock>,
    pub data_out: Signal<In, Bits<32>>,
    pub data_out_enable: Signal<In, Bit>,
    pub data_in: Signal<Out, Bits<32>>,
    pub data: Signal<InOut, Bits<16>>,
    pub clock_pin: Signal<Out, Bit>,
}

impl Logic for EcpSdramPads {
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
        let mut text = String::from(
            "wire [15:0] from_pads;\n\
             assign data_in = {16'd0, from_pads};\n\
             ODDRX1F clock_pad (.D0(1'b1), .D1(1'b0), .SCLK(clock), .RST(1'b0), .Q(clock_pin));\n",
        );
        for bit in 0..16 {
            text += &format!(
                "BB pad_{bit} (.I(data_out[{bit}]), .T(!data_out_enable), .O(from_pads[{bit}]), .B(data[{bit}]));\n"
            );
        }
        Verilog::Custom(text)
    }
    fn timing(&self) -> Vec<TimingInfo> {
        describe("ecp5_sdram_pads", "The data pins of an SDRAM chip, and its clock.")
    }
}

#[derive(LogicBlock)]
pub struct EcpSdramTop {
    pub oscillator: Signal<In, Clock>,
    pub reset_button: Signal<In, Bit>,
    /// From the host.
    pub receive: Signal<In, Bit>,
    /// To the host.
    pub transmit: Signal<Out, Bit>,
    pub led: Vec<Signal<Out, Bit>>,
    pub sdram_clock: Signal<Out, Bit>,
    pub sdram_clock_enable: Signal<Out, Bit>,
    pub sdram_cs_n: Signal<Out, Bit>,
    pub sdram_ras_n: Signal<Out, Bit>,
    pub sdram_cas_n: Signal<Out, Bit>,
    pub sdram_we_n: Signal<Out, Bit>,
    pub sdram_address: Signal<Out, Bits<13>>,
    pub sdram_bank: Signal<Out, Bits<2>>,
    pub sdram_data_mask: Signal<Out, Bits<2>>,
    pub sdram_data: Signal<InOut, Bits<16>>,
    pll: EcpPll,
    board: SdramBoard,
    pads: EcpSdramPads,
    pressed: Signal<Local, Bit>,
    lights: Signal<Local, Bits<8>>,
    leds_inverted: Constant<Bit>,
    reset_inverted: Constant<Bit>,
    _leds: usize,
}

impl EcpSdramTop {
    /// # Panics
    /// If the facts ask for a clock that the chip cannot make: a test holds that they do not.
    pub fn new(facts: &BoardFacts, clock_khz: u32, board: SdramBoard) -> Self {
        let pll = EcpPll::new(facts.oscillator_khz, clock_khz).expect("a clock that the chip can make");
        Self {
            oscillator: Signal::default(),
            reset_button: Signal::default(),
            receive: Signal::default(),
            transmit: Signal::default(),
            led: (0..facts.leds).map(|_| Signal::default()).collect(),
            sdram_clock: Signal::default(),
            sdram_clock_enable: Signal::default(),
            sdram_cs_n: Signal::default(),
            sdram_ras_n: Signal::default(),
            sdram_cas_n: Signal::default(),
            sdram_we_n: Signal::default(),
            sdram_address: Signal::default(),
            sdram_bank: Signal::default(),
            sdram_data_mask: Signal::default(),
            sdram_data: Signal::default(),
            pll: pll.with_delayed(CHIP_CLOCK_EIGHTHS),
            board,
            pads: EcpSdramPads::default(),
            pressed: Signal::default(),
            lights: Signal::default(),
            leds_inverted: Constant::new(facts.leds_inverted),
            reset_inverted: Constant::new(facts.reset_inverted),
            _leds: facts.leds,
        }
    }
}

impl Logic for EcpSdramTop {
    #[hdl_gen]
    fn update(&mut self) {
        self.pll.oscillator.next = self.oscillator.val();
        self.board.clock.next = self.pll.clock.val();
        self.pressed.next = self.reset_button.val() ^ self.reset_inverted.val();
        // Until the clock is steady.
        self.board.reset.next = self.pressed.val() | !self.pll.locked.val();
        self.board.receive.next = self.receive.val();
        self.transmit.next = self.board.transmit.val();
        self.lights.next = self.board.leds.val();
        for i in 0..self._leds {
            self.led[i].next = self.lights.val().get_bit(i) ^ self.leds_inverted.val();
        }
        self.pads.clock.next = self.pll.delayed.val();
        self.sdram_clock.next = self.pads.clock_pin.val();
        self.sdram_clock_enable.next = self.board.sdram_clock_enable.val();
        self.sdram_cs_n.next = self.board.sdram_cs_n.val();
        self.sdram_ras_n.next = self.board.sdram_ras_n.val();
        self.sdram_cas_n.next = self.board.sdram_cas_n.val();
        self.sdram_we_n.next = self.board.sdram_we_n.val();
        self.sdram_address.next = self.board.sdram_address.val();
        self.sdram_bank.next = self.board.sdram_bank.val();
        self.sdram_data_mask.next = self.board.sdram_data_mask.val().get_bits::<2>(0);
        self.pads.data_out.next = self.board.sdram_data_out.val();
        self.pads.data_out_enable.next = self.board.sdram_data_out_enable.val();
        self.board.sdram_data_in.next = self.pads.data_in.val();
        Signal::<InOut, Bits<16>>::link(&mut self.sdram_data, &mut self.pads.data);
    }
    fn timing(&self) -> Vec<TimingInfo> {
        describe("frugal_board", "The board's pins, clock and SDRAM chip around the accelerator.")
    }
}
