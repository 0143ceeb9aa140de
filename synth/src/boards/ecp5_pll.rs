//! The clock generator of ECP5 chips.

use super::PllError;

/// `EHXPLLL`: the oscillator times `feedback`, divided by `input`; and the same clock later, for a chip outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EcpPll {
    input: u32,
    feedback: u32,
    output: u32,
    output_khz: u32,
    delay_eighths: u32,
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
        Ok(EcpPll { input, feedback, output, output_khz, delay_eighths: 0 })
    }

    /// With a delayed clock, 1 to 7 eighths of a period later.
    pub fn with_delayed(self, eighths: u32) -> EcpPll {
        EcpPll { delay_eighths: eighths, ..self }
    }

    /// Verilog between the ports `oscillator`, `clock`, `delayed` and `locked`.
    pub(super) fn text(&self) -> String {
        let (parameters, port) = self.delayed_clock();
        let still = if self.delay_eighths == 0 { "assign delayed = 1'b0;\n" } else { "" };
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
            mhz = f64::from(self.output_khz) / 1000.0,
            input = self.input,
            feedback = self.feedback,
            output = self.output,
            phase = self.output / 2,
        )
    }

    /// What the Verilog says of the delayed clock. Phases are cycles of the VCO, and eighths of such a cycle.
    fn delayed_clock(&self) -> (String, &'static str) {
        if self.delay_eighths == 0 {
            return (String::new(), "CLKOS()");
        }
        let eighths = self.output * self.delay_eighths;
        let parameters = format!(
            ", .CLKOS_ENABLE(\"ENABLED\"), .CLKOS_DIV({}), .CLKOS_CPHASE({}), .CLKOS_FPHASE({})",
            self.output,
            self.output / 2 + eighths / 8,
            eighths % 8
        );
        (parameters, "CLKOS(delayed)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dividers_make_the_clock() {
        for (input, output) in [(25_000, 80_000), (25_000, 75_000), (25_000, 25_000), (12_000, 48_000)] {
            let pll = EcpPll::new(input, output).expect("dividers");
            assert_eq!(input * pll.feedback, output * pll.input);
            assert!((400_000..=800_000).contains(&(output * pll.output)));
            assert!(input / pll.input >= 3_125);
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
        assert_eq!(pll.output, 7);
        assert!(pll.delayed_clock().0.contains(".CLKOS_CPHASE(7), .CLKOS_FPHASE(3)"));
        // 12 cycles of 600 MHz: five eighths of them are seven and a half.
        let pll = EcpPll::new(25_000, 50_000).expect("dividers").with_delayed(5);
        assert_eq!(pll.output, 12);
        assert!(pll.delayed_clock().0.contains(".CLKOS_CPHASE(13), .CLKOS_FPHASE(4)"));
        assert!(EcpPll::new(25_000, 80_000).expect("dividers").delayed_clock().0.is_empty());
    }
}
