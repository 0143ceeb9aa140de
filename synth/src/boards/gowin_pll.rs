//! The clock generator of Gowin chips.

use super::PllError;

/// What the chips differ in: the name of their generator's parameter, and the oscillator's range in kHz.
const CHIPS: &[(&str, &str, std::ops::RangeInclusive<u32>)] =
    &[("gw2ar-18", "GW2AR-18C", 500_000..=1_250_000), ("gw1nr-9", "GW1NR-9C", 400_000..=1_200_000)];

/// `rPLL`: the oscillator times `feedback`, divided by `input`; its own oscillator runs `output` times faster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GowinPll {
    chip: &'static str,
    input_khz: u32,
    input: u32,
    feedback: u32,
    output: u32,
    delay_eighths: u32,
}

impl GowinPll {
    /// The phase detector runs at 3 MHz at least.
    ///
    /// # Errors
    /// If no dividers make the clock exactly.
    pub fn new(device: &str, input_khz: u32, output_khz: u32) -> Result<GowinPll, PllError> {
        let none = PllError { chip: "Gowin", input_khz, output_khz };
        let (_, chip, range) = CHIPS.iter().find(|(name, ..)| *name == device).ok_or(none)?;
        let middle = (range.start() + range.end()) / 2;
        let output = [2, 4, 8, 16, 32, 48, 64, 80, 96, 112, 128]
            .into_iter()
            .filter(|output| range.contains(&(output_khz * output)))
            .min_by_key(|output| (output_khz * output).abs_diff(middle))
            .ok_or(none)?;
        let (input, feedback) = (1..=64)
            .filter(|input| input_khz / input >= 3_000)
            .find_map(|input| {
                let feedback = (1..=64).find(|feedback| input_khz * feedback == output_khz * input)?;
                Some((input, feedback))
            })
            .ok_or(none)?;
        Ok(GowinPll { chip, input_khz, input, feedback, output, delay_eighths: 0 })
    }

    /// With a delayed clock, 1 to 7 eighths of a period later.
    pub fn with_delayed(self, eighths: u32) -> GowinPll {
        GowinPll { delay_eighths: eighths, ..self }
    }

    /// Verilog between the ports `oscillator`, `clock`, `delayed` and `locked`.
    pub(super) fn text(&self) -> String {
        let (still, port) = match self.delay_eighths {
            0 => ("assign delayed = 1'b0;\n", ""),
            _ => ("", "delayed"),
        };
        format!(
            "{still}rPLL #(\n\
             \x20   .FCLKIN(\"{mhz}\"), .IDIV_SEL({input}), .FBDIV_SEL({feedback}), .ODIV_SEL({output}), .DEVICE(\"{chip}\"),\n\
             \x20   .DYN_IDIV_SEL(\"false\"), .DYN_FBDIV_SEL(\"false\"), .DYN_ODIV_SEL(\"false\"), .DYN_DA_EN(\"false\"),\n\
             \x20   .PSDA_SEL(\"{delay:04b}\"), .DUTYDA_SEL(\"1000\"), .CLKFB_SEL(\"internal\"), .CLKOUT_BYPASS(\"false\")\n\
             ) pll (\n\
             \x20   .CLKIN(oscillator), .CLKFB(1'b0), .RESET(1'b0), .RESET_P(1'b0), .FBDSEL(6'd0), .IDSEL(6'd0), .ODSEL(6'd0),\n\
             \x20   .PSDA(4'd0), .DUTYDA(4'd0), .FDLY(4'd0), .CLKOUT(clock), .CLKOUTP({port}), .CLKOUTD(), .CLKOUTD3(), .LOCK(locked)\n\
             );",
            mhz = f64::from(self.input_khz) / 1000.0,
            input = self.input - 1,
            feedback = self.feedback - 1,
            output = self.output,
            chip = self.chip,
            // Sixteenths.
            delay = 2 * self.delay_eighths,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dividers_make_the_clock() {
        for (device, _, range) in CHIPS {
            for output in [36_000, 48_000, 54_000, 60_000] {
                let pll = GowinPll::new(device, 27_000, output).expect("dividers");
                assert_eq!(27_000 * pll.feedback, output * pll.input);
                assert!(range.contains(&(output * pll.output)), "{pll:?}");
                assert!(27_000 / pll.input >= 3_000, "{pll:?}");
            }
        }
        // 27 times two, and the generator's own oscillator at 16 times that.
        let pll = GowinPll::new("gw2ar-18", 27_000, 54_000).expect("dividers");
        assert_eq!((pll.input, pll.feedback, pll.output), (1, 2, 16));
        assert!(pll.text().contains(".IDIV_SEL(0), .FBDIV_SEL(1), .ODIV_SEL(16), .DEVICE(\"GW2AR-18C\")"));
        assert!(pll.text().contains(".PSDA_SEL(\"0000\")") && pll.text().contains(".CLKOUTP()"));
        let late = pll.with_delayed(2).text();
        assert!(late.contains(".PSDA_SEL(\"0100\")") && late.contains(".CLKOUTP(delayed)"));
        assert!(GowinPll::new("gw2ar-18", 27_000, 40_001).is_err());
        assert!(GowinPll::new("ecp5-85f", 27_000, 54_000).is_err());
    }
}
