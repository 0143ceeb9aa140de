//! What is soldered to the board: sizes and timing of a chip, and the same timing in clock cycles.

/// Bits of a beat on the accelerator's side.
pub(super) const BEAT_BITS: u32 = 64;
/// Beats of the longest run of columns that is not interrupted.
pub(super) const SEGMENT_BEATS: u32 = 16;

/// A single-data-rate SDRAM chip. Times are nanoseconds, least values unless said otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SdramChip {
    /// 16 or 32.
    pub data_bits: u32,
    pub row_bits: u32,
    pub column_bits: u32,
    pub bank_bits: u32,
    /// Cycles from a read to its first word.
    pub cas_latency: u32,
    /// tRCD: activate to read or write.
    pub row_to_column_ns: u32,
    /// tRP: precharge to activate or refresh.
    pub precharge_ns: u32,
    /// tRAS: activate to precharge.
    pub row_active_ns: u32,
    /// tRC: activate to activate, same bank.
    pub row_cycle_ns: u32,
    /// tRRD: activate to activate, other bank.
    pub row_to_row_ns: u32,
    /// tRFC: refresh to activate or refresh.
    pub refresh_cycle_ns: u32,
    /// tWR: last word written to precharge; no fewer cycles than `write_recovery_cycles`.
    pub write_recovery_ns: u32,
    pub write_recovery_cycles: u32,
    /// tMRD: mode register to any command.
    pub mode_cycles: u32,
    /// tREFI, the greatest average from refresh to refresh.
    pub refresh_interval_ns: u32,
    /// From stable power and clock to the first command.
    pub power_up_ns: u32,
}

impl SdramChip {
    /// 16 bits, 32 MiB: the chip of most ULX3S boards.
    ///
    /// Figures: the longest in the AC characteristics of the -7 grades of AS4C16M16SA, AS4C32M16SB and IS42S16160G. CAS latency 3 is good up to
    /// 143 MHz, 2 up to 100 MHz. Power-up waits of 100 and 200 us are asked for. A row may be active for 100 us, which refreshes see to.
    pub const ULX3S_32_MIB: SdramChip = SdramChip {
        data_bits: 16,
        row_bits: 13,
        column_bits: 9,
        bank_bits: 2,
        cas_latency: 3,
        row_to_column_ns: 21,
        precharge_ns: 21,
        row_active_ns: 42,
        row_cycle_ns: 63,
        row_to_row_ns: 14,
        refresh_cycle_ns: 63,
        write_recovery_ns: 14,
        write_recovery_cycles: 2,
        mode_cycles: 2,
        refresh_interval_ns: 7_800,
        power_up_ns: 200_000,
    };

    /// 16 bits, 64 MiB: ULX3S boards with AS4C32M16SB or IS42S16320.
    pub const ULX3S_64_MIB: SdramChip = SdramChip { column_bits: 10, ..SdramChip::ULX3S_32_MIB };

    /// 32 bits, 8 MiB: the chip in the package of GW2AR-18 (Tang Nano 20K).
    ///
    /// Sizes from the data sheet of the GW2AR family. Times are those of a 64-Mbit chip of the same organisation, W9864G2JH-7, or longer: 4096
    /// refreshes in 64 ms.
    pub const TANG_NANO_20K: SdramChip = SdramChip {
        data_bits: 32,
        row_bits: 11,
        column_bits: 8,
        bank_bits: 2,
        row_active_ns: 45,
        row_cycle_ns: 66,
        refresh_cycle_ns: 66,
        refresh_interval_ns: 15_600,
        ..SdramChip::ULX3S_32_MIB
    };

    /// 32 bits, 8 MiB: the chip of the Colorlight i9, an EM638325-6, which has the organisation of the other one and is nowhere slower.
    pub const COLORLIGHT_I9: SdramChip = SdramChip::TANG_NANO_20K;

    /// Bytes of the chip.
    pub fn bytes(&self) -> u64 {
        u64::from(self.data_bits / 8) << (self.row_bits + self.column_bits + self.bank_bits)
    }

    /// Words of the chip in a beat, which is also the burst length that the controller sets.
    pub fn beat_words(&self) -> u32 {
        BEAT_BITS / self.data_bits
    }

    /// The mode register: burst length, sequential, CAS latency, bursts for writes too.
    pub fn mode(&self) -> u32 {
        self.cas_latency << 4 | self.beat_words().ilog2()
    }

    /// The timing in cycles of a clock of `clock_khz`: waits are rounded up, the refresh interval down.
    pub fn timing(&self, clock_khz: u32) -> Result<SdramTiming, SdramError> {
        self.check_sizes()?;
        if !(1_000..=MOST_KHZ).contains(&clock_khz) {
            return Err(SdramError::Clock { clock_khz });
        }
        let cycles = |ns: u32| -> u32 {
            let cycles = (u64::from(ns) * u64::from(clock_khz)).div_ceil(1_000_000);
            cycles.try_into().unwrap_or(u32::MAX)
        };
        let precharge = cycles(self.precharge_ns).max(1);
        let timing = SdramTiming {
            row_to_column: cycles(self.row_to_column_ns).max(1),
            precharge,
            row_active: cycles(self.row_active_ns)
                .max(cycles(self.row_cycle_ns).saturating_sub(precharge))
                .max(1),
            row_to_row: cycles(self.row_to_row_ns).max(1),
            refresh_cycle: cycles(self.refresh_cycle_ns).max(1),
            write_recovery: cycles(self.write_recovery_ns).max(self.write_recovery_cycles).max(1),
            mode: self.mode_cycles.max(1),
            refresh_interval: (u64::from(self.refresh_interval_ns) * u64::from(clock_khz) / 1_000_000) as u32,
            power_up: cycles(self.power_up_ns).max(1),
        };
        for (name, cycles) in [
            ("row to column", timing.row_to_column),
            ("precharge", timing.precharge),
            ("row active", timing.row_active),
            ("row to row", timing.row_to_row),
            ("refresh cycle", timing.refresh_cycle),
            ("write recovery", timing.write_recovery),
            ("mode register", timing.mode),
        ] {
            if cycles > MOST_WAIT_CYCLES {
                return Err(SdramError::TooLong { name, cycles, most: MOST_WAIT_CYCLES });
            }
        }
        if timing.power_up >= 1 << 24 {
            return Err(SdramError::TooLong {
                name: "power-up",
                cycles: timing.power_up,
                most: (1 << 24) - 1,
            });
        }
        // A refresh waits for the segment under way and for all banks; the next one must not come due meanwhile.
        let longest_delay = SEGMENT_BEATS * self.beat_words()
            + timing.row_to_column
            + timing.row_active
            + timing.write_recovery
            + timing.precharge
            + timing.refresh_cycle
            + self.cas_latency
            + 16;
        if timing.refresh_interval < longest_delay {
            return Err(SdramError::RefreshTooOften {
                cycles: timing.refresh_interval,
                least: longest_delay,
            });
        }
        if timing.refresh_interval >= 1 << 16 {
            return Err(SdramError::TooLong {
                name: "refresh interval",
                cycles: timing.refresh_interval,
                most: (1 << 16) - 1,
            });
        }
        Ok(timing)
    }

    fn check_sizes(&self) -> Result<(), SdramError> {
        let in_range = |name, value: u32, range: std::ops::RangeInclusive<u32>| {
            if range.contains(&value) {
                Ok(())
            } else {
                Err(SdramError::Size { name, value, least: *range.start(), most: *range.end() })
            }
        };
        if !matches!(self.data_bits, 16 | 32) {
            return Err(SdramError::DataBits(self.data_bits));
        }
        in_range("row bits", self.row_bits, 11..=13)?;
        in_range("column bits", self.column_bits, 8..=10)?;
        in_range("bank bits", self.bank_bits, 1..=2)?;
        in_range("cycles of CAS latency", self.cas_latency, 2..=3)
    }
}

/// The fastest clock that single-data-rate chips are made for.
const MOST_KHZ: u32 = 200_000;
/// What the wait counters hold.
const MOST_WAIT_CYCLES: u32 = 100;

/// A chip's timing in clock cycles, from one command to the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SdramTiming {
    pub row_to_column: u32,
    pub precharge: u32,
    /// Long enough that a precharge after it keeps the row cycle, too.
    pub row_active: u32,
    pub row_to_row: u32,
    pub refresh_cycle: u32,
    pub write_recovery: u32,
    pub mode: u32,
    pub refresh_interval: u32,
    pub power_up: u32,
}

/// Why there is no controller for a chip and clock.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SdramError {
    #[error("a chip of {0} data bits: the controller knows 16 and 32")]
    DataBits(u32),
    #[error("a chip of {value} {name}: the controller knows {least} to {most}")]
    Size { name: &'static str, value: u32, least: u32, most: u32 },
    #[error("a clock of {clock_khz} kHz: SDRAM runs at 1,000 to {MOST_KHZ} kHz")]
    Clock { clock_khz: u32 },
    #[error("the chip's {name} wait is {cycles} cycles, the most is {most}: use a slower clock")]
    TooLong { name: &'static str, cycles: u32, most: u32 },
    #[error(
        "a refresh every {cycles} cycles leaves no time for data, which needs {least}: use a faster clock"
    )]
    RefreshTooOften { cycles: u32, least: u32 },
    #[error("{0} registers between controller and chip: the most is 8")]
    PinCycles(u32),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_cycles() {
        assert_eq!(SdramChip::ULX3S_32_MIB.bytes(), 32 << 20);
        assert_eq!(SdramChip::ULX3S_64_MIB.bytes(), 64 << 20);
        assert_eq!(SdramChip::TANG_NANO_20K.bytes(), 8 << 20);
        assert_eq!(SdramChip::ULX3S_32_MIB.mode(), 0x32);
        assert_eq!(SdramChip::TANG_NANO_20K.mode(), 0x31);
        let timing = SdramChip::ULX3S_32_MIB.timing(100_000).unwrap();
        assert_eq!(
            timing,
            SdramTiming {
                row_to_column: 3,
                precharge: 3,
                row_active: 5,
                row_to_row: 2,
                refresh_cycle: 7,
                write_recovery: 2,
                mode: 2,
                refresh_interval: 780,
                power_up: 20_000,
            }
        );
        // tRC is longer than tRAS and tRP together.
        let slow_row = SdramChip { row_cycle_ns: 90, ..SdramChip::ULX3S_32_MIB };
        assert_eq!(slow_row.timing(100_000).unwrap().row_active, 6);
    }

    #[test]
    fn impossible_combinations_are_named() {
        let chip = SdramChip::ULX3S_32_MIB;
        let error = |chip: SdramChip, clock_khz| chip.timing(clock_khz).unwrap_err();
        assert_eq!(error(SdramChip { data_bits: 8, ..chip }, 100_000), SdramError::DataBits(8));
        for wrong in [
            SdramChip { row_bits: 14, ..chip },
            SdramChip { column_bits: 11, ..chip },
            SdramChip { bank_bits: 0, ..chip },
            SdramChip { cas_latency: 1, ..chip },
        ] {
            assert!(matches!(error(wrong, 100_000), SdramError::Size { .. }));
        }
        assert_eq!(error(chip, 200_001), SdramError::Clock { clock_khz: 200_001 });
        assert!(matches!(error(chip, 10_000), SdramError::RefreshTooOften { cycles: 78, .. }));
        let slow = SdramChip { refresh_cycle_ns: 2_000, ..chip };
        assert!(matches!(error(slow, 100_000), SdramError::TooLong { cycles: 200, .. }));
    }
}
