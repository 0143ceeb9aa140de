//! The clock generator of ECP5 chips.

use frugal_hdl::emit::describe;
use rust_hdl_core::prelude::*;

/// Why there is no such clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a clock generator of {chip} cannot make {output_khz} kHz of {input_khz} kHz")]
pub struct PllError {
    pub chip: &'static str,
    pub input_khz: u32,
    pub output_khz: u32,
}

/// `EHXPLLL`: the oscillator times `feedback`, divided by `input`; and the same clock later, for a chip outside.
#[derive(LogicBlock)]
pub struct EcpPll {
    pub oscillator: Signal<In, Clock>,
    pub clock: Signal<Out, Clock>,
    /// The clock, so many eighths of its period later; still if there is no delay.
    pub delayed: Signal<Out, Clock>,
    /// The clock is steady.
    pub locked: Signal<Out, Bit>,
    _input: u32,
    _feedback: u32,
    _output: u32,
    _output_khz: u32,
    _delay_eighths: u32,
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
        let (input, feedback, output) = dividers.ok_or(PllError { chip: "ECP5", input_khz, output_khz })?;
        Ok(EcpPll {
            oscillator: Signal::default(),
            clock: Signal::default(),
            delayed: Signal::default(),
            locked: Signal::default(),
            _input: input,
            _feedback: feedback,
            _output: output,
            _output_khz: output_khz,
            _delay_eighths: 0,
        })
    }

    /// With a delayed clock, 1 to 7 eighths of a period later.
    pub fn with_delayed(mut self, eighths: u32) -> EcpPll {
        self._delay_eighths = eighths;
        self
    }

    /// Verilog between its ports.
    pub(super) fn text(&self) -> String {
        let (parameters, port) = self.delayed_clock();
        let still = if self._delay_eighths == 0 { "assign delayed = 1'b0;\n" } else { "" };
        format!(
            "{still}\
             (* FREQUENCY_PIN_CLKOP=\"{mhz}\" *) (* ICP_CURRENT=\"12\" *) (* LPF_RESISTOR=\"8\" *)\n\
             EHXPLLL #(\n\
             \x20   .PLLRST_ENA(\"DISABLED\"), .INTFB_WAKE(\"DISABLED\"), .STDBY_ENABLE(\"DISABLED\"), .DPHASE_SOURCE(\"DISABLED\"),\n\
             \x20   .OUTDIVIDER_MUXA(\"DIVA\"), .OUTDIVIDER_MUXB(\"DIVB\"), .OUTDIVIDER_MUXC(\"DIVC\"), .OUTDIVIDER_MUXD(\"DIVD\"),\n\
             \x20   .CLKI_DIV({input}), .CLKFB_DIV({feedback}), .CLKOP_ENABLE(\"ENABLED\"), .CLKOP_DIV({output}), .CLKOP_CPHASE({phase}),\n\
             \x20   .CLKOP_FPHASE(0), .FEEDBK_PATH(\"CLKOP\"){parameters}\n\
             ) pll (\n\
             \x20   .RST(1'b0), .STDBY(1'b0), .CLKI(oscillator), .CLKOP(clock), .{port}, .CLKFB(clock), .CLKINTFB(),\n\
             \x20   .PHASESEL0(1'b0), .PHASESEL1(1'b0), .PHASEDIR(1'b1), .PHASESTEP(1'b1), .PHASELOADREG(1'b1), .PLLWAKESYNC(1'b0),\n\
             \x20   .ENCLKOP(1'b0), .LOCK(locked)\n\
             );",
            mhz = f64::from(self._output_khz) / 1000.0,
            input = self._input,
            feedback = self._feedback,
            output = self._output,
            phase = self._output / 2,
        )
    }

    /// What the Verilog says of the delayed clock. Phases are cycles of the VCO, and eighths of such a cycle.
    fn delayed_clock(&self) -> (String, &'static str) {
        if self._delay_eighths == 0 {
            return (String::new(), "CLKOS()");
        }
        let eighths = self._output * self._delay_eighths;
        let parameters = format!(
            ", .CLKOS_ENABLE(\"ENABLED\"), .CLKOS_DIV({}), .CLKOS_CPHASE({}), .CLKOS_FPHASE({})",
            self._output,
            self._output / 2 + eighths / 8,
            eighths % 8
        );
        (parameters, "CLKOS(delayed)")
    }
}

impl Logic for EcpPll {
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
        Verilog::Custom(self.text())
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
            Some(PllError { chip: "ECP5", input_khz: 25_000, output_khz: 80_001 })
        );
    }
    #[test]
    fn a_delay_is_cycles_of_the_vco_and_eighths() {
        // The VCO makes 560 MHz, seven cycles of it a clock: five eighths of them are four and three eighths.
        let pll = EcpPll::new(25_000, 80_000).expect("dividers").with_delayed(5);
        assert_eq!(pll._output, 7);
        assert!(pll.delayed_clock().0.contains(".CLKOS_CPHASE(7), .CLKOS_FPHASE(3)"));
        // 12 cycles of 600 MHz: five eighths of them are seven and a half.
        let pll = EcpPll::new(25_000, 50_000).expect("dividers").with_delayed(5);
        assert_eq!(pll._output, 12);
        assert!(pll.delayed_clock().0.contains(".CLKOS_CPHASE(13), .CLKOS_FPHASE(4)"));
        assert!(EcpPll::new(25_000, 80_000).expect("dividers").delayed_clock().0.is_empty());
    }
}
