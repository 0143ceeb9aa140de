//! Where a board's clock comes from: the oscillator itself, or a clock generator of the chip's family.

use super::{EcpPll, GowinPll, IcePll};
use crate::flow::device::{Device, Family};
use frugal_hdl::emit::describe;
use rust_hdl_core::prelude::*;

/// Cycles after which an oscillator's clock is called steady: block RAM of an iCE40 cannot be read in the first 3 us after configuration.
const STEADY_CYCLES: u32 = 128;

/// Why there is no such clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a clock generator of {chip} cannot make {output_khz} kHz of {input_khz} kHz")]
pub struct PllError {
    pub chip: &'static str,
    pub input_khz: u32,
    pub output_khz: u32,
}

#[derive(Clone, Copy)]
enum Maker {
    Oscillator,
    Ecp(EcpPll),
    Gowin(GowinPll),
    Ice(IcePll),
}

/// The clock of a board.
#[derive(LogicBlock)]
pub struct BoardClock {
    pub oscillator: Signal<In, Clock>,
    pub clock: Signal<Out, Clock>,
    /// The clock, some eighths of its period later; still if there is no delay.
    pub delayed: Signal<Out, Clock>,
    /// The clock is steady.
    pub locked: Signal<Out, Bit>,
    _maker: Maker,
    _khz: u32,
}

impl BoardClock {
    /// A clock of `output_khz` from an oscillator of `input_khz`.
    ///
    /// # Errors
    /// If the chip cannot make it.
    pub fn new(device: &Device, input_khz: u32, output_khz: u32) -> Result<BoardClock, PllError> {
        let maker = match device.family {
            Family::Ecp5 => Maker::Ecp(EcpPll::new(input_khz, output_khz)?),
            _ if input_khz == output_khz => Maker::Oscillator,
            Family::Gowin => Maker::Gowin(GowinPll::new(device.name, input_khz, output_khz)?),
            Family::Ice40 => Maker::Ice(IcePll::new(input_khz, output_khz)?),
        };
        Ok(BoardClock {
            oscillator: Signal::default(),
            clock: Signal::default(),
            delayed: Signal::default(),
            locked: Signal::default(),
            _maker: maker,
            _khz: output_khz,
        })
    }

    /// With a delayed clock, 1 to 7 eighths of a period later.
    ///
    /// # Errors
    /// If the clock is an oscillator's, or an iCE40's.
    pub fn with_delayed(mut self, eighths: u32) -> Result<BoardClock, PllError> {
        self._maker = match self._maker {
            Maker::Oscillator | Maker::Ice(_) => {
                return Err(PllError { chip: "none", input_khz: self._khz, output_khz: self._khz })
            }
            Maker::Ecp(pll) => Maker::Ecp(pll.with_delayed(eighths)),
            Maker::Gowin(pll) => Maker::Gowin(pll.with_delayed(eighths)),
        };
        Ok(self)
    }
}

impl Logic for BoardClock {
    fn update(&mut self) {
        // The simulation has one clock.
        self.clock.next = self.oscillator.val();
        self.delayed.next = self.oscillator.val();
        self.locked.next = true;
    }
    fn connect(&mut self) {
        self.clock.connect();
        self.delayed.connect();
        self.locked.connect();
    }
    fn hdl(&self) -> Verilog {
        match &self._maker {
            Maker::Oscillator => Verilog::Custom(format!(
                "reg [{bits}:0] cycles = 0;\n\
                 assign clock = oscillator;\n\
                 assign delayed = 1'b0;\n\
                 assign locked = cycles[{bits}];\n\
                 always @(posedge oscillator) if (!cycles[{bits}]) cycles <= cycles + 1'b1;",
                bits = STEADY_CYCLES.ilog2()
            )),
            Maker::Ecp(pll) => Verilog::Custom(pll.text()),
            Maker::Gowin(pll) => Verilog::Custom(pll.text()),
            Maker::Ice(pll) => Verilog::Custom(pll.text()),
        }
    }
    fn timing(&self) -> Vec<TimingInfo> {
        let (name, what) = match &self._maker {
            Maker::Oscillator => ("oscillator_clock", "The oscillator's clock"),
            Maker::Ecp(_) => ("ecp5_pll", "A clock of the chip's generator"),
            Maker::Ice(_) => ("ice40_pll", "A clock of the chip's generator"),
            Maker::Gowin(_) => ("gowin_pll", "A clock of the chip's generator"),
        };
        describe(name, &format!("{what}: {} kHz.", self._khz))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_family_has_its_generator() {
        let text = |device: &str, input, output| {
            let clock = BoardClock::new(&Device::from_name(device).expect("a device"), input, output)?;
            match clock.hdl() {
                Verilog::Custom(text) => Ok::<_, PllError>(text),
                _ => panic!("no text"),
            }
        };
        assert!(text("ecp5-45f", 25_000, 25_000).expect("a clock").contains("EHXPLLL"));
        assert!(text("gw2ar-18", 27_000, 54_000).expect("a clock").contains("rPLL"));
        let direct = text("ice40-up5k", 12_000, 12_000).expect("a clock");
        assert!(direct.contains("assign clock = oscillator") && direct.contains("cycles[7]"), "{direct}");
        let error = text("ice40-up5k", 12_000, 13_000).expect_err("no generator").to_string();
        assert_eq!(error, "a clock generator of iCE40 cannot make 13000 kHz of 12000 kHz");
    }
}
