//! A single-data-rate SDRAM chip, driven once a clock cycle, that knows its rules.
//!
//! [`SdramModel::cycle`] takes the pins of a cycle, as the chip samples them at its end, and returns what the chip drives in the next one:
//!
//! ```text
//! CAS latency 3, bursts of 2
//! cycle        0     1     2     3     4
//! command     READ
//! data                           D0    D1      a write of the controller may begin in cycle 6: one cycle for letting go
//! ```
//! A broken rule is a [`SdramViolation`] with its cycle; the model goes on as a patient chip would. Times are compared in nanoseconds, so
//! nothing here depends on the controller's own rounding. Only what the controller uses is known: no automatic precharge, no burst
//! stop, no power-down.

use frugal_hdl::sdram::SdramChip;
use std::collections::{HashMap, VecDeque};

/// What the controller drives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SdramPins {
    pub clock_enable: bool,
    pub cs_n: bool,
    pub ras_n: bool,
    pub cas_n: bool,
    pub we_n: bool,
    pub address: u16,
    pub bank: u8,
    pub data_mask: u8,
    pub data_out: u32,
    pub data_out_enable: bool,
}

impl SdramPins {
    /// No command.
    pub const IDLE: SdramPins = SdramPins {
        clock_enable: true,
        cs_n: true,
        ras_n: true,
        cas_n: true,
        we_n: true,
        address: 0,
        bank: 0,
        data_mask: 0,
        data_out: 0,
        data_out_enable: false,
    };

    fn command(ras: bool, cas: bool, we: bool) -> SdramPins {
        SdramPins { cs_n: false, ras_n: !ras, cas_n: !cas, we_n: !we, ..SdramPins::IDLE }
    }

    pub fn activate(bank: u8, row: u16) -> SdramPins {
        SdramPins { bank, address: row, ..SdramPins::command(true, false, false) }
    }

    pub fn read(bank: u8, column: u16) -> SdramPins {
        SdramPins { bank, address: column, ..SdramPins::command(false, true, false) }
    }

    /// With the burst's first word.
    pub fn write(bank: u8, column: u16, data: u32) -> SdramPins {
        SdramPins { bank, address: column, ..SdramPins::command(false, true, true) }.with_data(data)
    }

    pub fn precharge(bank: u8) -> SdramPins {
        SdramPins { bank, ..SdramPins::command(true, false, true) }
    }

    pub fn precharge_all() -> SdramPins {
        SdramPins { address: ALL_BANKS, ..SdramPins::command(true, false, true) }
    }

    pub fn refresh() -> SdramPins {
        SdramPins::command(true, true, false)
    }

    pub fn set_mode(mode: u16) -> SdramPins {
        SdramPins { address: mode, ..SdramPins::command(true, true, true) }
    }

    /// The same with a word on the data pins.
    pub fn with_data(self, data: u32) -> SdramPins {
        SdramPins { data_out: data, data_out_enable: true, ..self }
    }
}

/// A10: all banks of a precharge, automatic precharge of a read or write.
const ALL_BANKS: u16 = 1 << 10;

/// What a controller must keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Rule {
    #[error("a command before the power-up wait is over")]
    PowerUp,
    #[error("the power-up sequence is a precharge of all banks, two refreshes and the mode register")]
    Sequence,
    #[error("the mode register's value is not this chip's latency and burst length")]
    Mode,
    #[error("tRCD: read or write too soon after activate")]
    RowToColumn,
    #[error("tRP: too soon after precharge")]
    Precharge,
    #[error("tRAS: precharge too soon after activate")]
    RowActive,
    #[error("tRC: activate too soon after activate of the same bank")]
    RowCycle,
    #[error("tRRD: activate too soon after activate of another bank")]
    RowToRow,
    #[error("tRFC: a command too soon after refresh")]
    RefreshCycle,
    #[error("tWR: precharge too soon after a word was written")]
    WriteRecovery,
    #[error("tMRD: a command too soon after the mode register was set")]
    ModeCycles,
    #[error("tREFI: refreshes are missing")]
    RefreshInterval,
    #[error("read or write of a bank without an open row")]
    RowNotOpen,
    #[error("a row is open that should not be")]
    RowOpen,
    #[error("a burst is cut short")]
    BurstCut,
    #[error("both sides drive the data pins, or there is no cycle between them")]
    DataConflict,
    #[error("nobody drives a word that is written")]
    DataMissing,
    #[error("an address beyond the chip")]
    Address,
    #[error("a command that this model does not know")]
    Unknown,
}

/// A broken rule, when and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("SDRAM, cycle {cycle}, bank {bank}: {rule}")]
pub struct SdramViolation {
    pub cycle: u64,
    pub bank: u8,
    pub rule: Rule,
}

/// Commands so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SdramStatistics {
    pub activates: u64,
    pub reads: u64,
    pub writes: u64,
    pub precharges: u64,
    /// After the power-up sequence.
    pub refreshes: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Bank {
    open_row: Option<u16>,
    activated: Option<u64>,
    precharged: Option<u64>,
    /// The cycle of the last word written.
    written: Option<u64>,
    /// The cycle of the last read command.
    read: Option<u64>,
}

/// A burst that is being written.
#[derive(Clone, Copy, Debug)]
struct Writing {
    bank: u8,
    row: u16,
    column: u16,
    words_left: u32,
}

/// Refreshes that may be late; chips allow eight.
const LATE_REFRESHES: u64 = 2;
/// What a reader finds on the data pins when nobody drives them.
const FLOATING: u32 = 0xdead_beef;

/// The chip.
#[derive(Clone, Debug)]
pub struct SdramModel {
    chip: SdramChip,
    clock_khz: u64,
    cycle: u64,
    banks: Vec<Bank>,
    /// Bytes of the rows that were touched; all else is 0.
    rows: HashMap<(u8, u16), Vec<u8>>,
    /// What the chip drives in this cycle and the next ones.
    outgoing: VecDeque<Option<u32>>,
    drove: bool,
    /// Masks of the last two cycles, the older one first: they act on reads two cycles later.
    masks: [u8; 2],
    writing: Option<Writing>,
    last_column: Option<u64>,
    last_activate: Option<(u64, u8)>,
    last_refresh: Option<u64>,
    mode_set: Option<u64>,
    first_mode_set: Option<u64>,
    /// Of the power-up sequence.
    closed_all: bool,
    first_refreshes: u32,
    missing_reported: u64,
    statistics: SdramStatistics,
    violations: Vec<SdramViolation>,
}

impl SdramModel {
    /// A chip of zeros, just powered up.
    pub fn new(chip: &SdramChip, clock_khz: u32) -> SdramModel {
        SdramModel {
            chip: *chip,
            clock_khz: clock_khz.into(),
            cycle: 0,
            banks: vec![Bank::default(); 1 << chip.bank_bits],
            rows: HashMap::new(),
            outgoing: VecDeque::new(),
            drove: false,
            masks: [0; 2],
            writing: None,
            last_column: None,
            last_activate: None,
            last_refresh: None,
            mode_set: None,
            first_mode_set: None,
            closed_all: false,
            first_refreshes: 0,
            missing_reported: 0,
            statistics: SdramStatistics::default(),
            violations: Vec::new(),
        }
    }

    pub fn violations(&self) -> &[SdramViolation] {
        &self.violations
    }

    pub fn statistics(&self) -> SdramStatistics {
        self.statistics
    }

    /// Cycles so far.
    pub fn cycles(&self) -> u64 {
        self.cycle
    }

    /// What is on the data pins in the present cycle, as far as the chip is concerned.
    pub fn data(&self) -> u32 {
        let mask = match self.chip.data_bits {
            32 => u32::MAX,
            bits => (1 << bits) - 1,
        };
        match self.outgoing.front() {
            Some(Some(word)) => (word & !self.read_mask() | FLOATING & self.read_mask()) & mask,
            _ => FLOATING & mask,
        }
    }

    fn read_mask(&self) -> u32 {
        (0..4).filter(|byte| self.masks[0] >> byte & 1 == 1).fold(0, |mask, byte| mask | 0xff << (8 * byte))
    }

    fn row_bytes(&self) -> u64 {
        u64::from(self.chip.data_bits / 8) << self.chip.column_bits
    }

    /// Where the controller keeps a byte: bank, row, byte of the row.
    fn place(&self, address: u64) -> (u8, u16, usize) {
        let row_bytes = self.row_bytes();
        let (page, byte) = (address / row_bytes, address % row_bytes);
        let bank = page % (1 << self.chip.bank_bits);
        ((bank as u8), ((page >> self.chip.bank_bits) as u16), byte as usize)
    }

    fn row_mut(&mut self, bank: u8, row: u16) -> &mut Vec<u8> {
        let bytes = self.row_bytes() as usize;
        self.rows.entry((bank, row)).or_insert_with(|| vec![0; bytes])
    }

    /// The byte that the controller keeps at this address.
    pub fn byte(&self, address: u64) -> u8 {
        let (bank, row, byte) = self.place(address);
        self.rows.get(&(bank, row)).map_or(0, |bytes| bytes[byte])
    }

    pub fn set_byte(&mut self, address: u64, value: u8) {
        let (bank, row, byte) = self.place(address);
        self.row_mut(bank, row)[byte] = value;
    }

    fn violate(&mut self, bank: u8, rule: Rule) {
        self.violations.push(SdramViolation { cycle: self.cycle, bank, rule });
    }

    /// Whether `ns` have passed since `event`.
    fn passed(&self, event: Option<u64>, ns: u32) -> bool {
        event.is_none_or(|event| (self.cycle - event) * 1_000_000 >= u64::from(ns) * self.clock_khz)
    }

    fn check(&mut self, holds: bool, bank: u8, rule: Rule) {
        if !holds {
            self.violate(bank, rule);
        }
    }

    /// One clock edge with the pins before it; returns what the chip drives after it.
    pub fn cycle(&mut self, pins: &SdramPins) -> u32 {
        let drives = self.outgoing.pop_front().flatten().is_some();
        if pins.data_out_enable && (drives || self.drove) {
            self.violate(pins.bank, Rule::DataConflict);
        }
        self.drove = drives;
        if pins.clock_enable && !pins.cs_n {
            self.command(pins);
        } else if !pins.clock_enable && self.mode_set.is_some() {
            self.violate(pins.bank, Rule::Unknown);
        }
        self.take_word(pins);
        self.masks = [self.masks[1], pins.data_mask];
        self.count_refreshes();
        self.cycle += 1;
        self.data()
    }

    fn command(&mut self, pins: &SdramPins) {
        let (bank, now) = (pins.bank, self.cycle);
        let selector = (pins.ras_n, pins.cas_n, pins.we_n);
        if selector == (true, true, true) {
            return;
        }
        self.check(self.passed(Some(0), self.chip.power_up_ns), bank, Rule::PowerUp);
        self.check(self.passed(self.last_refresh, self.chip.refresh_cycle_ns), bank, Rule::RefreshCycle);
        let since_mode = self.mode_set.map_or(u64::MAX, |mode| now - mode);
        self.check(since_mode >= u64::from(self.chip.mode_cycles), bank, Rule::ModeCycles);
        if usize::from(bank) >= self.banks.len() {
            return self.violate(bank, Rule::Address);
        }
        match selector {
            (false, true, true) => self.activate(bank, pins.address),
            (true, false, _) => self.column(pins),
            (false, true, false) if pins.address & ALL_BANKS != 0 => {
                self.closed_all = true;
                for bank in 0..self.banks.len() {
                    self.precharge(bank as u8);
                }
            }
            (false, true, false) => self.precharge(bank),
            (false, false, true) => self.refresh(bank),
            (false, false, false) => self.set_mode(pins),
            _ => self.violate(bank, Rule::Unknown),
        }
    }

    fn activate(&mut self, bank: u8, row: u16) {
        let state = self.banks[usize::from(bank)];
        self.check(self.mode_set.is_some(), bank, Rule::Sequence);
        self.check(state.open_row.is_none(), bank, Rule::RowOpen);
        self.check(u32::from(row) >> self.chip.row_bits == 0, bank, Rule::Address);
        self.check(self.passed(state.precharged, self.chip.precharge_ns), bank, Rule::Precharge);
        self.check(self.passed(state.activated, self.chip.row_cycle_ns), bank, Rule::RowCycle);
        let other = self.last_activate.filter(|(_, other)| *other != bank).map(|(cycle, _)| cycle);
        self.check(self.passed(other, self.chip.row_to_row_ns), bank, Rule::RowToRow);
        self.last_activate = Some((self.cycle, bank));
        let state = &mut self.banks[usize::from(bank)];
        state.open_row = Some(row);
        state.activated = Some(self.cycle);
        self.statistics.activates += 1;
    }

    fn precharge(&mut self, bank: u8) {
        let state = self.banks[usize::from(bank)];
        if state.open_row.is_some() {
            self.check(self.passed(state.activated, self.chip.row_active_ns), bank, Rule::RowActive);
            let cycles = state.written.map_or(u64::MAX, |written| self.cycle - written);
            let recovered = cycles >= u64::from(self.chip.write_recovery_cycles)
                && self.passed(state.written, self.chip.write_recovery_ns);
            self.check(recovered, bank, Rule::WriteRecovery);
            let words = u64::from(self.chip.beat_words());
            let reading = state.read.is_some_and(|read| self.cycle < read + words);
            let writing = self.writing.is_some_and(|writing| writing.bank == bank);
            self.check(!reading && !writing, bank, Rule::BurstCut);
            self.statistics.precharges += 1;
        }
        let state = &mut self.banks[usize::from(bank)];
        state.open_row = None;
        state.precharged = Some(self.cycle);
    }

    /// All banks must be closed, and long enough.
    fn check_closed(&mut self) {
        for bank in 0..self.banks.len() {
            let state = self.banks[bank];
            self.check(state.open_row.is_none(), bank as u8, Rule::RowOpen);
            self.check(self.passed(state.precharged, self.chip.precharge_ns), bank as u8, Rule::Precharge);
        }
    }

    fn refresh(&mut self, bank: u8) {
        self.check(self.closed_all, bank, Rule::Sequence);
        self.check_closed();
        self.last_refresh = Some(self.cycle);
        if self.mode_set.is_some() {
            self.statistics.refreshes += 1;
        } else {
            self.first_refreshes += 1;
        }
    }

    fn set_mode(&mut self, pins: &SdramPins) {
        self.check(self.closed_all && self.first_refreshes >= 2, pins.bank, Rule::Sequence);
        self.check_closed();
        let expected = u32::from(pins.address) == self.chip.mode() && pins.bank == 0;
        self.check(expected, pins.bank, Rule::Mode);
        self.mode_set = Some(self.cycle);
        self.first_mode_set.get_or_insert(self.cycle);
    }

    fn column(&mut self, pins: &SdramPins) {
        let bank = pins.bank;
        let state = self.banks[usize::from(bank)];
        let words = self.chip.beat_words();
        self.check(self.mode_set.is_some(), bank, Rule::Sequence);
        self.check(pins.address & ALL_BANKS == 0, bank, Rule::Unknown);
        let column = pins.address & !ALL_BANKS;
        self.check(u32::from(column) >> self.chip.column_bits == 0, bank, Rule::Address);
        let since = self.last_column.map_or(u64::MAX, |last| self.cycle - last);
        self.check(since >= u64::from(words), bank, Rule::BurstCut);
        self.last_column = Some(self.cycle);
        let Some(row) = state.open_row else { return self.violate(bank, Rule::RowNotOpen) };
        self.check(self.passed(state.activated, self.chip.row_to_column_ns), bank, Rule::RowToColumn);
        if !pins.we_n {
            self.statistics.writes += 1;
            self.writing = Some(Writing { bank, row, column, words_left: words });
            return;
        }
        self.statistics.reads += 1;
        self.banks[usize::from(bank)].read = Some(self.cycle);
        let row_words = 1 << self.chip.column_bits;
        let bytes = (self.chip.data_bits / 8) as usize;
        // The queue's front is the next cycle.
        self.outgoing.resize(self.outgoing.len().max((self.chip.cas_latency - 1) as usize), None);
        self.outgoing.truncate((self.chip.cas_latency - 1) as usize);
        for word in 0..words {
            let place = (usize::from(column) + word as usize) % row_words * bytes;
            let row = self.row_mut(bank, row);
            let value = (0..bytes).fold(0, |value, byte| value | u32::from(row[place + byte]) << (8 * byte));
            self.outgoing.push_back(Some(value));
        }
    }

    /// A word of the burst that is being written.
    fn take_word(&mut self, pins: &SdramPins) {
        let Some(writing) = self.writing else { return };
        self.check(pins.data_out_enable, writing.bank, Rule::DataMissing);
        let bytes = (self.chip.data_bits / 8) as usize;
        let done = (self.chip.beat_words() - writing.words_left) as usize;
        let place = (usize::from(writing.column) + done) % (1 << self.chip.column_bits) * bytes;
        let row = self.row_mut(writing.bank, writing.row);
        for byte in 0..bytes {
            if pins.data_mask >> byte & 1 == 0 {
                row[place + byte] = (pins.data_out >> (8 * byte)) as u8;
            }
        }
        self.banks[usize::from(writing.bank)].written = Some(self.cycle);
        let words_left = writing.words_left - 1;
        self.writing = (words_left > 0).then_some(Writing { words_left, ..writing });
    }

    fn count_refreshes(&mut self) {
        let Some(start) = self.first_mode_set else { return };
        let interval = u64::from(self.chip.refresh_interval_ns);
        let due = (self.cycle - start) * 1_000_000 / (self.clock_khz * interval);
        let missing = due.saturating_sub(self.statistics.refreshes + LATE_REFRESHES);
        if missing > self.missing_reported {
            self.missing_reported = missing;
            self.violate(0, Rule::RefreshInterval);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLOCK_KHZ: u32 = 100_000;

    /// A chip that has had its power-up sequence.
    fn ready(chip: &SdramChip) -> SdramModel {
        let mut model = SdramModel::new(chip, CLOCK_KHZ);
        idle(&mut model, 20_000);
        for (pins, wait) in [
            (SdramPins::precharge_all(), 2),
            (SdramPins::refresh(), 6),
            (SdramPins::refresh(), 6),
            (SdramPins::set_mode(chip.mode() as u16), 1),
        ] {
            model.cycle(&pins);
            idle(&mut model, wait);
        }
        assert_eq!(model.violations(), []);
        model
    }

    fn idle(model: &mut SdramModel, cycles: u32) {
        for _ in 0..cycles {
            model.cycle(&SdramPins::IDLE);
        }
    }

    /// Rules that a script of pins, each with idle cycles behind, breaks on a chip of 32 bits (bursts of two words, latency 3).
    fn broken(script: &[(SdramPins, u32)]) -> Vec<Rule> {
        let mut model = ready(&SdramChip::TANG_NANO_20K);
        run(&mut model, script)
    }

    fn run(model: &mut SdramModel, script: &[(SdramPins, u32)]) -> Vec<Rule> {
        for (pins, wait) in script {
            model.cycle(pins);
            idle(model, *wait);
        }
        model.violations().iter().map(|violation| violation.rule).collect()
    }

    const DATA: SdramPins = SdramPins { data_out_enable: true, data_out: 0x0506_0708, ..SdramPins::IDLE };

    #[test]
    fn legal_traffic_passes_and_keeps_its_data() {
        let mut model = ready(&SdramChip::TANG_NANO_20K);
        let masked = SdramPins { data_mask: 0b0101, ..DATA };
        let script = [
            (SdramPins::activate(1, 5), 2),
            (SdramPins::write(1, 4, 0x0102_0304), 0),
            (masked, 0),
            (SdramPins::read(1, 4), 0),
        ];
        assert_eq!(run(&mut model, &script), []);
        idle(&mut model, 1);
        assert_eq!(model.cycle(&SdramPins::IDLE), 0x0102_0304);
        assert_eq!(model.cycle(&SdramPins::IDLE), 0x0500_0700);
        assert_eq!(model.cycle(&SdramPins::IDLE), FLOATING);
        let script = [
            (SdramPins::precharge(1), 2),
            (SdramPins::activate(1, 6), 1),
            (SdramPins::activate(0, 6), 4),
            (SdramPins::precharge_all(), 2),
            (SdramPins::refresh(), 6),
            (SdramPins::activate(2, 6), 0),
        ];
        assert_eq!(run(&mut model, &script), []);
        // Row 5, bank 1, column 4.
        let address = (5 * 4 + 1) * 1024 + 4 * 4;
        assert_eq!(
            (0..8).map(|byte| model.byte(address + byte)).collect::<Vec<_>>(),
            [4, 3, 2, 1, 0, 7, 0, 5]
        );
    }

    #[test]
    fn times_between_commands() {
        let activate = SdramPins::activate(1, 5);
        for (script, rule) in [
            (&[(activate, 1), (SdramPins::read(1, 0), 0)][..], Rule::RowToColumn),
            (&[(activate, 3), (SdramPins::precharge(1), 3)], Rule::RowActive),
            (&[(activate, 4), (SdramPins::precharge(1), 1), (activate, 0)], Rule::Precharge),
            (&[(activate, 4), (SdramPins::precharge_all(), 1), (SdramPins::refresh(), 0)], Rule::Precharge),
            (&[(activate, 0), (SdramPins::activate(2, 5), 0)], Rule::RowToRow),
            (&[(SdramPins::refresh(), 5), (activate, 0)], Rule::RefreshCycle),
            (&[(SdramPins::refresh(), 5), (SdramPins::refresh(), 0)], Rule::RefreshCycle),
            (
                &[(activate, 2), (SdramPins::write(1, 0, 1), 0), (DATA, 0), (SdramPins::precharge(1), 0)],
                Rule::WriteRecovery,
            ),
        ] {
            let rules = broken(script);
            assert!(
                rules.contains(&rule)
                    && rules.iter().all(|other| {
                        // Some of the scripts break the row's cycle along with its parts.
                        *other == rule || *other == Rule::RowCycle
                    }),
                "{rule:?}: {rules:?}"
            );
        }
        let slow_row = SdramChip { row_cycle_ns: 90, ..SdramChip::TANG_NANO_20K };
        let script = [(activate, 4), (SdramPins::precharge(1), 2), (activate, 0)];
        assert_eq!(run(&mut ready(&slow_row), &script), [Rule::RowCycle]);
        assert_eq!(broken(&script), []);
        let mode = SdramPins::set_mode(SdramChip::TANG_NANO_20K.mode() as u16);
        assert_eq!(broken(&[(mode, 0), (activate, 0)]), [Rule::ModeCycles]);
    }

    #[test]
    fn rows_and_bursts() {
        let activate = SdramPins::activate(1, 5);
        let (read, write) = (SdramPins::read(1, 0), SdramPins::write(1, 0, 1));
        assert_eq!(broken(&[(read, 0)]), [Rule::RowNotOpen]);
        assert_eq!(broken(&[(write, 0)]), [Rule::RowNotOpen]);
        assert_eq!(broken(&[(activate, 9), (activate, 0)]), [Rule::RowOpen]);
        assert_eq!(broken(&[(activate, 9), (SdramPins::refresh(), 0)]), [Rule::RowOpen]);
        assert_eq!(broken(&[(activate, 9), (read, 0), (SdramPins::read(1, 2), 9)]), [Rule::BurstCut]);
        assert_eq!(broken(&[(activate, 9), (read, 0), (SdramPins::precharge(1), 9)]), [Rule::BurstCut]);
        assert_eq!(broken(&[(activate, 9), (write, 1)]), [Rule::DataMissing]);
        assert_eq!(broken(&[(SdramPins::activate(1, 1 << 11), 0)]), [Rule::Address]);
        assert_eq!(broken(&[(activate, 9), (SdramPins::read(1, 1 << 8), 0)]), [Rule::Address]);
        assert_eq!(broken(&[(activate, 9), (SdramPins::read(1, ALL_BANKS), 0)]), [Rule::Unknown]);
        let stop = SdramPins { ras_n: true, cas_n: true, ..SdramPins::precharge(1) };
        assert_eq!(broken(&[(stop, 0)]), [Rule::Unknown]);
        let asleep = SdramPins { clock_enable: false, ..SdramPins::IDLE };
        assert_eq!(broken(&[(asleep, 0)]), [Rule::Unknown]);
    }

    #[test]
    fn data_pins_have_one_driver() {
        let (activate, read) = (SdramPins::activate(1, 5), SdramPins::read(1, 0));
        // Data in cycles 3 and 4 after the read; the first write in 6.
        for (wait, conflicts) in [(1, 0), (2, 2), (3, 2), (4, 1), (5, 0)] {
            let write = SdramPins::write(1, 0, 1);
            let rules = broken(&[(activate, 9), (read, wait), (write, 0), (DATA, 0)]);
            // One cycle earlier its second word meets the first one read.
            let conflicts = if wait == 1 { 1 } else { conflicts };
            assert_eq!(rules, vec![Rule::DataConflict; conflicts], "{wait}");
        }
    }

    #[test]
    fn power_up() {
        let chip = SdramChip::TANG_NANO_20K;
        let mode = SdramPins::set_mode(chip.mode() as u16);
        let fresh = |wait| {
            let mut model = SdramModel::new(&chip, CLOCK_KHZ);
            idle(&mut model, wait);
            model
        };
        let (precharge, refresh) = (SdramPins::precharge_all(), SdramPins::refresh());
        assert_eq!(run(&mut fresh(19_999), &[(precharge, 0)]), [Rule::PowerUp]);
        assert_eq!(run(&mut fresh(20_000), &[(refresh, 0)]), [Rule::Sequence]);
        assert_eq!(run(&mut fresh(20_000), &[(precharge, 9), (refresh, 9), (mode, 0)]), [Rule::Sequence]);
        assert_eq!(run(&mut fresh(20_000), &[(SdramPins::activate(0, 0), 0)]), [Rule::Sequence]);
        let wrong = SdramPins::set_mode(0x33);
        let script = [(precharge, 9), (refresh, 9), (refresh, 9), (wrong, 0)];
        assert_eq!(run(&mut fresh(20_000), &script), [Rule::Mode]);
    }

    #[test]
    fn refreshes_must_come() {
        let mut model = ready(&SdramChip::TANG_NANO_20K);
        idle(&mut model, 1560 * 3 - 10);
        assert_eq!(model.violations(), []);
        idle(&mut model, 20);
        assert_eq!(run(&mut model, &[]), [Rule::RefreshInterval]);
        let cycle = model.violations()[0].cycle;
        assert_eq!(
            model.violations()[0].to_string(),
            format!("SDRAM, cycle {cycle}, bank 0: tREFI: refreshes are missing")
        );
    }
}
