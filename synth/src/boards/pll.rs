//! The clock generator of ECP5 chips.

use frugal_hdl::emit::describe;
use rust_hdl_core::prelude::*;

/// Why there is no such clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an ECP5's PLL cannot make {output_khz} kHz of {input_khz} kHz")]
pub struct PllError {
    pub input_khz: u32,
    pub output_khz: u32,
}

/// `EHXPLLL`: the oscillator times `feedback`, divided by `input`.
#[derive(LogicBlock)]
pub struct EcpPll {
    pub oscillator: Signal<In, Clock>,
    pub clock: Signal<Out, Clock>,
    /// The clock is steady.
    pub locked: Signal<Out, Bit>,
    _input: u32,
    _feedback: u32,
    _output: u32,
    _output_khz: u32,
}

impl EcpPll {
    /// The VCO runs at 400 to 800 MHz, and the phase detector at 3.125 MHz at least.
    ///
    /// # Errors
    /// If no dividers make the clock exactly.
    pub fn new(input_khz: u32, output_khz: u32) -> Result<EcpPll, PllError> {
        let dividers = (1..=128).find_map(|input| {
            let feedback = (1..=80).find(|feedback| input_khz * feedback == output_khz * input)?;
            // In the middle of its range, as far as that can be.
            let output = (1..=128)
                .filter(|output| (400_000..=800_000).contains(&(output_khz * output)))
                .min_by_key(|output| (output_khz * output).abs_diff(600_000))?;
            (input_khz / input >= 3_125).then_some((input, feedback, output))
        });
        let (input, feedback, output) = dividers.ok_or(PllError { input_khz, output_khz })?;
        Ok(EcpPll {
            oscillator: Signal::default(),
            clock: Signal::default(),
            locked: Signal::default(),
            _input: input,
            _feedback: feedback,
            _output: output,
            _output_khz: output_khz,
        })
    }
}

impl Logic for EcpPll {
    fn update(&mut self) {
        // The simulation has one clock.
        self.clock.next = self.oscillator.val();
        self.locked.next = true;
    }
    fn connect(&mut self) {
        self.clock.connect();
        self.locked.connect();
    }
    fn hdl(&self) -> Verilog {
        Verilog::Custom(format!(
            "(* FREQUENCY_PIN_CLKOP=\"{mhz}\" *) (* ICP_CURRENT=\"12\" *) (* LPF_RESISTOR=\"8\" *)\n\
             EHXPLLL #(\n\
             \x20   .PLLRST_ENA(\"DISABLED\"), .INTFB_WAKE(\"DISABLED\"), .STDBY_ENABLE(\"DISABLED\"), .DPHASE_SOURCE(\"DISABLED\"),\n\
             \x20   .OUTDIVIDER_MUXA(\"DIVA\"), .OUTDIVIDER_MUXB(\"DIVB\"), .OUTDIVIDER_MUXC(\"DIVC\"), .OUTDIVIDER_MUXD(\"DIVD\"),\n\
             \x20   .CLKI_DIV({input}), .CLKFB_DIV({feedback}), .CLKOP_ENABLE(\"ENABLED\"), .CLKOP_DIV({output}), .CLKOP_CPHASE({phase}),\n\
             \x20   .CLKOP_FPHASE(0), .FEEDBK_PATH(\"CLKOP\")\n\
             ) pll (\n\
             \x20   .RST(1'b0), .STDBY(1'b0), .CLKI(oscillator), .CLKOP(clock), .CLKFB(clock), .CLKINTFB(),\n\
             \x20   .PHASESEL0(1'b0), .PHASESEL1(1'b0), .PHASEDIR(1'b1), .PHASESTEP(1'b1), .PHASELOADREG(1'b1), .PLLWAKESYNC(1'b0),\n\
             \x20   .ENCLKOP(1'b0), .LOCK(locked)\n\
             );",
            mhz = f64::from(self._output_khz) / 1000.0,
            input = self._input,
            feedback = self._feedback,
            output = self._output,
            phase = self._output / 2,
        ))
    }
    fn timing(&self) -> Vec<TimingInfo> {
        describe("ecp5_pll", &format!("The clock of {} kHz.", self._output_khz))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dividers_make_the_clock() {
        for (input, output) in [(25_000, 80_000), (25_000, 75_000), (25_000, 25_000), (12_000, 48_000)] {
            let pll = EcpPll::new(input, output).expect("dividers");
            assert_eq!(input * pll._feedback, output * pll._input);
            assert!((400_000..=800_000).contains(&(output * pll._output)));
            assert!(input / pll._input >= 3_125);
        }
        assert_eq!(
            EcpPll::new(25_000, 80_001).err(),
            Some(PllError { input_khz: 25_000, output_khz: 80_001 })
        );
    }
}
