//! The clock generator of iCE40 chips.

use super::PllError;

/// `SB_PLL40_PAD`: the oscillator, from its pad, times `feedback`, divided by two to the power `output`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IcePll {
    feedback: u32,
    output: u32,
    filter: u32,
}

impl IcePll {
    /// The VCO runs at 533 to 1066 MHz, and the phase detector, whose clock is the oscillator's, at 10 to 133 MHz.
    ///
    /// # Errors
    /// If no dividers make the clock exactly.
    pub fn new(input_khz: u32, output_khz: u32) -> Result<IcePll, PllError> {
        let none = PllError { chip: "iCE40", input_khz, output_khz };
        if !(10_000..=133_000).contains(&input_khz) {
            return Err(none);
        }
        let (output, feedback) = (1..=6)
            .filter(|output| (533_000..=1_066_000).contains(&(output_khz << output)))
            .find_map(|output| {
                let vco = output_khz << output;
                (vco % input_khz == 0 && vco / input_khz <= 128).then_some((output, vco / input_khz))
            })
            .ok_or(none)?;
        // Of the loop filter, by the phase detector's clock.
        let filter =
            1 + [17_000, 26_000, 44_000, 66_000, 101_000].iter().filter(|khz| input_khz >= **khz).count();
        Ok(IcePll { feedback, output, filter: filter as u32 })
    }

    /// Verilog between the ports `oscillator`, `clock`, `delayed` and `locked`.
    pub(super) fn text(&self) -> String {
        format!(
            "assign delayed = 1'b0;\n\
             SB_PLL40_PAD #(\n\
             \x20   .FEEDBACK_PATH(\"SIMPLE\"), .DIVR(4'd0), .DIVF(7'd{feedback}), .DIVQ(3'd{output}), .FILTER_RANGE(3'd{filter})\n\
             ) pll (\n\
             \x20   .PACKAGEPIN(oscillator), .PLLOUTGLOBAL(clock), .LOCK(locked), .RESETB(1'b1), .BYPASS(1'b0)\n\
             );",
            feedback = self.feedback - 1,
            output = self.output,
            filter = self.filter,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dividers_make_the_clock() {
        for (input, output) in [(12_000, 24_000), (12_000, 18_000), (12_000, 48_000), (25_000, 75_000)] {
            let pll = IcePll::new(input, output).expect("dividers");
            assert_eq!(input * pll.feedback, output << pll.output);
            assert!((533_000..=1_066_000).contains(&(output << pll.output)), "{pll:?}");
        }
        let text = IcePll::new(12_000, 24_000).expect("dividers").text();
        assert!(text.contains(".DIVF(7'd63), .DIVQ(3'd5), .FILTER_RANGE(3'd1)"), "{text}");
        assert!(IcePll::new(12_000, 20_000).is_err());
        assert!(IcePll::new(8_000, 24_000).is_err());
    }
}
