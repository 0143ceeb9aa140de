//! Checks of what the accelerator does on its AXI4 port.
//!
//! The checker sees the pins of both sides in every cycle and keeps its own count of bursts, so it depends on no memory model.

use super::pins::{MasterPins, SlavePins};
use super::{BOUNDARY_BYTES, MAX_BEATS};
use std::collections::VecDeque;
use std::fmt;
use std::ops::Range;

/// An AXI4 channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channel {
    ReadAddress,
    ReadData,
    WriteAddress,
    WriteData,
    WriteResponse,
}

impl fmt::Display for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Channel::ReadAddress => "AR",
            Channel::ReadData => "R",
            Channel::WriteAddress => "AW",
            Channel::WriteData => "W",
            Channel::WriteResponse => "B",
        })
    }
}

/// A rule that was broken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ViolationKind {
    #[error("{channel}: VALID fell before READY")]
    ValidDropped { channel: Channel },
    #[error("{channel}: the payload changed before READY")]
    PayloadChanged { channel: Channel },
    #[error("{channel}: address 0x{address:08x} is not a multiple of the bus' {bus_bytes} bytes")]
    Misaligned { channel: Channel, address: u32, bus_bytes: usize },
    #[error("{channel}: a burst of {beats} beats; the most is {MAX_BEATS}")]
    BurstLength { channel: Channel, beats: u32 },
    #[error("{channel}: the burst of {beats} beats at 0x{address:08x} crosses a 4 KiB boundary")]
    BoundaryCrossed { channel: Channel, address: u32, beats: u32 },
    #[error("AR: ID {id}; command fetches have 0, loads have 1")]
    ReadId { id: u8 },
    #[error("W: LAST is {last} in beat {beat} of a burst of {beats}")]
    WriteLast { last: bool, beat: u32, beats: u32 },
    #[error("W: strobe 0x{strobe:x} on a bus of {bus_bytes} bytes")]
    Strobe { strobe: u16, bus_bytes: usize },
    #[error("W: data without an address for {cycles} cycles")]
    DataWithoutAddress { cycles: u64 },
    #[error("{channel}: READY was low for {cycles} cycles of VALID")]
    ReadyStuck { channel: Channel, cycles: u64 },
    #[error("W: no beat for {cycles} cycles while a burst waits for its data")]
    DataMissing { cycles: u64 },
    #[error(
        "bytes 0x{:x} to 0x{:x} are read while an unanswered burst writes some of them: the order is not defined",
        read.start, read.end
    )]
    ReadDuringWrite { read: Range<u64> },
    #[error("{reads} read bursts and {writes} write bursts are unfinished at the end")]
    Unfinished { reads: usize, writes: usize },
    #[error("{channel}: VALID is high at the end")]
    ValidAtEnd { channel: Channel },
}

/// A broken rule and when it was broken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("AXI, cycle {cycle}: {kind}")]
pub struct Violation {
    pub cycle: u64,
    pub kind: ViolationKind,
}

/// A burst under way.
#[derive(Clone, Debug)]
struct Burst {
    bytes: Range<u64>,
    beats: u32,
    done: u32,
}

/// Watches the AXI4 port.
#[derive(Clone, Debug)]
pub struct ProtocolChecker {
    bus_bytes: usize,
    /// Cycles of waiting for the accelerator that count as never.
    patience_cycles: u64,
    cycle: u64,
    last: (MasterPins, SlavePins),
    reads: VecDeque<Burst>,
    /// Bursts whose response has not been taken; the first `answerable` of them have all their data.
    writes: VecDeque<Burst>,
    answerable: usize,
    /// LAST of beats that came before their address.
    early: VecDeque<bool>,
    waiting_read: u64,
    waiting_response: u64,
    waiting_data: u64,
    waiting_address: u64,
    violations: Vec<Violation>,
}

/// More violations are not kept.
const MAX_VIOLATIONS: usize = 64;

impl ProtocolChecker {
    /// A checker for a bus of 8 or 16 bytes.
    pub fn new(bus_bytes: usize) -> ProtocolChecker {
        ProtocolChecker {
            bus_bytes,
            patience_cycles: 100_000,
            cycle: 0,
            last: Default::default(),
            reads: VecDeque::new(),
            writes: VecDeque::new(),
            answerable: 0,
            early: VecDeque::new(),
            waiting_read: 0,
            waiting_response: 0,
            waiting_data: 0,
            waiting_address: 0,
            violations: Vec::new(),
        }
    }

    /// Cycles of waiting for READY or data after which the accelerator is taken to be stuck.
    pub fn with_patience(mut self, cycles: u64) -> ProtocolChecker {
        self.patience_cycles = cycles;
        self
    }

    /// Broken rules so far; the first 64 are kept.
    pub fn violations(&self) -> &[Violation] {
        &self.violations
    }

    /// Read and write bursts under way.
    pub fn outstanding(&self) -> (usize, usize) {
        (self.reads.len(), self.writes.len())
    }

    fn violate(&mut self, kind: ViolationKind) {
        if self.violations.len() < MAX_VIOLATIONS {
            self.violations.push(Violation { cycle: self.cycle, kind });
        }
    }

    fn burst(&mut self, channel: Channel, address: u32, length: u8) -> Burst {
        let beats = u32::from(length) + 1;
        if address as usize % self.bus_bytes != 0 {
            self.violate(ViolationKind::Misaligned { channel, address, bus_bytes: self.bus_bytes });
        }
        if beats > MAX_BEATS {
            self.violate(ViolationKind::BurstLength { channel, beats });
        }
        let start = u64::from(address);
        let end = start + u64::from(beats) * self.bus_bytes as u64;
        if start / BOUNDARY_BYTES != (end - 1) / BOUNDARY_BYTES {
            self.violate(ViolationKind::BoundaryCrossed { channel, address, beats });
        }
        Burst { bytes: start..end, beats, done: 0 }
    }

    /// A channel whose VALID was not taken in the cycle before.
    fn held(&mut self, channel: Channel, valid: bool, same: bool) {
        if !valid {
            self.violate(ViolationKind::ValidDropped { channel });
        } else if !same {
            self.violate(ViolationKind::PayloadChanged { channel });
        }
    }

    fn wait(&mut self, count: u64, kind: impl FnOnce(u64) -> ViolationKind) {
        if count == self.patience_cycles {
            self.violate(kind(count));
        }
    }

    /// Looks at the pins of one cycle, as they are before its clock edge.
    pub fn cycle(&mut self, master: &MasterPins, slave: &SlavePins) {
        self.check_held(master);
        self.read_channels(master, slave);
        self.write_channels(master, slave);
        self.last = (*master, *slave);
        self.cycle += 1;
    }

    fn check_held(&mut self, master: &MasterPins) {
        let (m, s) = self.last;
        if m.ar_valid && !s.ar_ready {
            let same =
                (m.ar_address, m.ar_length, m.ar_id) == (master.ar_address, master.ar_length, master.ar_id);
            self.held(Channel::ReadAddress, master.ar_valid, same);
        }
        if m.aw_valid && !s.aw_ready {
            let same = (m.aw_address, m.aw_length) == (master.aw_address, master.aw_length);
            self.held(Channel::WriteAddress, master.aw_valid, same);
        }
        if m.w_valid && !s.w_ready {
            let same = (m.w_data, m.w_strobe, m.w_last) == (master.w_data, master.w_strobe, master.w_last);
            self.held(Channel::WriteData, master.w_valid, same);
        }
    }

    fn read_channels(&mut self, master: &MasterPins, slave: &SlavePins) {
        if slave.r_valid {
            if master.r_ready {
                self.waiting_read = 0;
                if let Some(burst) = self.reads.front_mut() {
                    burst.done += 1;
                    if burst.done == burst.beats {
                        self.reads.pop_front();
                    }
                }
            } else {
                self.waiting_read += 1;
                let channel = Channel::ReadData;
                self.wait(self.waiting_read, |cycles| ViolationKind::ReadyStuck { channel, cycles });
            }
        }
        if master.ar_valid && slave.ar_ready {
            if master.ar_id > 1 {
                self.violate(ViolationKind::ReadId { id: master.ar_id });
            }
            let burst = self.burst(Channel::ReadAddress, master.ar_address, master.ar_length);
            if self.writes.iter().any(|write| overlap(&write.bytes, &burst.bytes)) {
                self.violate(ViolationKind::ReadDuringWrite { read: burst.bytes.clone() });
            }
            self.reads.push_back(burst);
        }
    }

    fn write_channels(&mut self, master: &MasterPins, slave: &SlavePins) {
        if slave.b_valid {
            if master.b_ready {
                self.waiting_response = 0;
                self.writes.pop_front();
                self.answerable = self.answerable.saturating_sub(1);
            } else {
                self.waiting_response += 1;
                let channel = Channel::WriteResponse;
                self.wait(self.waiting_response, |cycles| ViolationKind::ReadyStuck { channel, cycles });
            }
        }
        if master.aw_valid && slave.aw_ready {
            let burst = self.burst(Channel::WriteAddress, master.aw_address, master.aw_length);
            if let Some(read) = self.reads.iter().find(|read| overlap(&read.bytes, &burst.bytes)) {
                let read = read.bytes.clone();
                self.violate(ViolationKind::ReadDuringWrite { read });
            }
            self.writes.push_back(burst);
            self.waiting_address = 0;
            while self.answerable < self.writes.len() {
                let Some(last) = self.early.pop_front() else { break };
                self.beat(last);
            }
        }
        if master.w_valid && slave.w_ready {
            self.waiting_data = 0;
            if master.w_strobe == 0 || u32::from(master.w_strobe) >> self.bus_bytes != 0 {
                let strobe = master.w_strobe;
                self.violate(ViolationKind::Strobe { strobe, bus_bytes: self.bus_bytes });
            }
            if self.answerable < self.writes.len() {
                self.beat(master.w_last);
            } else {
                self.early.push_back(master.w_last);
            }
        } else if self.answerable < self.writes.len() && !master.w_valid {
            self.waiting_data += 1;
            self.wait(self.waiting_data, |cycles| ViolationKind::DataMissing { cycles });
        }
        if !self.early.is_empty() {
            self.waiting_address += 1;
            self.wait(self.waiting_address, |cycles| ViolationKind::DataWithoutAddress { cycles });
        }
    }

    /// One beat of the first burst that lacks data.
    fn beat(&mut self, last: bool) {
        let burst = &mut self.writes[self.answerable];
        burst.done += 1;
        let (beat, beats) = (burst.done, burst.beats);
        if last != (beat == beats) {
            self.violate(ViolationKind::WriteLast { last, beat, beats });
        }
        if beat == beats {
            self.answerable += 1;
        }
    }

    /// Checks at the end of a program that nothing is under way, and returns everything that was found.
    pub fn finish(&mut self) -> Vec<Violation> {
        if !self.reads.is_empty() || !self.writes.is_empty() || !self.early.is_empty() {
            let writes = self.writes.len().max(usize::from(!self.early.is_empty()));
            self.violate(ViolationKind::Unfinished { reads: self.reads.len(), writes });
        }
        let (m, s) = self.last;
        for (channel, pending) in [
            (Channel::ReadAddress, m.ar_valid && !s.ar_ready),
            (Channel::WriteAddress, m.aw_valid && !s.aw_ready),
            (Channel::WriteData, m.w_valid && !s.w_ready),
        ] {
            if pending {
                self.violate(ViolationKind::ValidAtEnd { channel });
            }
        }
        std::mem::take(&mut self.violations)
    }
}

fn overlap(a: &Range<u64>, b: &Range<u64>) -> bool {
    a.start < b.end && b.start < a.end
}

#[cfg(test)]
mod tests {
    use super::*;

    const READY: SlavePins = SlavePins {
        ar_ready: true,
        aw_ready: true,
        w_ready: true,
        r_valid: false,
        r_data: 0,
        r_response: super::super::Response::Okay,
        r_last: false,
        r_id: 0,
        b_valid: false,
        b_response: super::super::Response::Okay,
    };
    const NOT_READY: SlavePins = SlavePins { ar_ready: false, aw_ready: false, w_ready: false, ..READY };

    fn idle() -> MasterPins {
        MasterPins { r_ready: true, b_ready: true, ..MasterPins::default() }
    }

    fn read(address: u32, length: u8) -> MasterPins {
        MasterPins { ar_valid: true, ar_address: address, ar_length: length, ..idle() }
    }

    fn write(address: u32, length: u8, last: bool) -> MasterPins {
        MasterPins {
            aw_valid: true,
            aw_address: address,
            aw_length: length,
            w_valid: true,
            w_strobe: 0xff,
            w_last: last,
            ..idle()
        }
    }

    /// Violations of a script of cycles, without the checks at the end.
    fn script(cycles: &[(MasterPins, SlavePins)]) -> Vec<ViolationKind> {
        let mut checker = ProtocolChecker::new(8).with_patience(5);
        for (master, slave) in cycles {
            checker.cycle(master, slave);
        }
        checker.violations().iter().map(|v| v.kind.clone()).collect()
    }

    #[test]
    fn legal_traffic_passes() {
        let read_beat = SlavePins { r_valid: true, ..READY };
        let answer = SlavePins { b_valid: true, ..READY };
        let data = MasterPins { w_valid: true, w_strobe: 0xff, w_last: true, ..idle() };
        let mut checker = ProtocolChecker::new(8);
        for (master, slave) in [
            (read(0xff8, 0), NOT_READY),
            (read(0xff8, 0), READY),
            (idle(), read_beat),
            (write(0xe00, 63, false), READY),
        ] {
            checker.cycle(&master, &slave);
        }
        for beat in 2..=64 {
            checker.cycle(&MasterPins { w_last: beat == 64, ..data }, &READY);
        }
        assert_eq!(checker.outstanding(), (0, 1));
        checker.cycle(&idle(), &answer);
        // Data before its address.
        checker.cycle(&data, &READY);
        checker.cycle(&MasterPins { w_valid: false, ..write(64, 0, false) }, &READY);
        checker.cycle(&idle(), &answer);
        assert_eq!(checker.finish(), []);
        assert_eq!(checker.outstanding(), (0, 0));
    }

    #[test]
    fn valid_and_payload_must_be_held() {
        for (pins, changed, channel) in [
            (read(64, 3), read(64, 4), Channel::ReadAddress),
            (
                MasterPins { w_valid: false, ..write(64, 3, false) },
                MasterPins { w_valid: false, ..write(72, 3, false) },
                Channel::WriteAddress,
            ),
            (
                MasterPins { aw_valid: false, ..write(0, 0, false) },
                MasterPins { aw_valid: false, w_data: 1, ..write(0, 0, false) },
                Channel::WriteData,
            ),
        ] {
            assert_eq!(script(&[(pins, NOT_READY), (pins, NOT_READY)]), []);
            assert_eq!(
                script(&[(pins, NOT_READY), (idle(), NOT_READY)]),
                [ViolationKind::ValidDropped { channel }]
            );
            assert_eq!(
                script(&[(pins, NOT_READY), (changed, NOT_READY)]),
                [ViolationKind::PayloadChanged { channel }]
            );
        }
    }

    #[test]
    fn bursts_must_be_legal() {
        let channel = Channel::ReadAddress;
        assert_eq!(
            script(&[(read(12, 0), READY)]),
            [ViolationKind::Misaligned { channel, address: 12, bus_bytes: 8 }]
        );
        assert_eq!(script(&[(read(0, 64), READY)]), [ViolationKind::BurstLength { channel, beats: 65 }]);
        assert_eq!(
            script(&[(read(0xff8, 1), READY)]),
            [ViolationKind::BoundaryCrossed { channel, address: 0xff8, beats: 2 }]
        );
        let pins = MasterPins { ar_id: 2, ..read(0, 0) };
        assert_eq!(script(&[(pins, READY)]), [ViolationKind::ReadId { id: 2 }]);
        let channel = Channel::WriteAddress;
        let pins = MasterPins { w_valid: false, ..write(0x1ff0, 63, false) };
        assert_eq!(
            script(&[(pins, READY)]),
            [ViolationKind::BoundaryCrossed { channel, address: 0x1ff0, beats: 64 }]
        );
    }

    #[test]
    fn write_data_must_be_legal() {
        let early = ViolationKind::WriteLast { last: true, beat: 1, beats: 2 };
        assert_eq!(script(&[(write(0, 1, true), READY)]), [early]);
        let missing = ViolationKind::WriteLast { last: false, beat: 1, beats: 1 };
        assert_eq!(script(&[(write(0, 0, false), READY)]), [missing]);
        for strobe in [0, 0x100] {
            let pins = MasterPins { w_strobe: strobe, ..write(0, 0, true) };
            assert_eq!(script(&[(pins, READY)]), [ViolationKind::Strobe { strobe, bus_bytes: 8 }]);
        }
    }

    #[test]
    fn waiting_for_the_accelerator_has_an_end() {
        let deaf = MasterPins::default();
        let read_beat = SlavePins { r_valid: true, ..READY };
        let channel = Channel::ReadData;
        assert_eq!(script(&[(deaf, read_beat); 7]), [ViolationKind::ReadyStuck { channel, cycles: 5 }]);
        let channel = Channel::WriteResponse;
        let answer = SlavePins { b_valid: true, ..READY };
        assert_eq!(script(&[(deaf, answer); 7]), [ViolationKind::ReadyStuck { channel, cycles: 5 }]);
        let mut cycles = vec![(MasterPins { w_valid: false, ..write(0, 0, false) }, READY)];
        cycles.extend([(idle(), READY); 7]);
        assert_eq!(script(&cycles), [ViolationKind::DataMissing { cycles: 5 }]);
        let mut cycles = vec![(MasterPins { aw_valid: false, ..write(0, 0, true) }, READY)];
        cycles.extend([(idle(), READY); 7]);
        assert_eq!(script(&cycles), [ViolationKind::DataWithoutAddress { cycles: 5 }]);
    }

    #[test]
    fn a_read_of_what_is_being_written_is_found_in_both_orders() {
        let overlap = ViolationKind::ReadDuringWrite { read: 64..80 };
        assert_eq!(
            script(&[(read(64, 1), READY), (write(72, 0, true), READY)]),
            std::slice::from_ref(&overlap)
        );
        assert_eq!(script(&[(write(72, 0, true), READY), (read(64, 1), READY)]), [overlap]);
        let answer = SlavePins { b_valid: true, ..READY };
        assert_eq!(script(&[(write(72, 0, true), READY), (idle(), answer), (read(64, 1), READY)]), []);
    }

    #[test]
    fn unfinished_business_is_found_at_the_end() {
        let finish = |cycles: &[(MasterPins, SlavePins)]| -> Vec<_> {
            let mut checker = ProtocolChecker::new(8);
            for (master, slave) in cycles {
                checker.cycle(master, slave);
            }
            checker.finish().into_iter().map(|v| v.kind).collect()
        };
        assert_eq!(finish(&[(read(0, 0), READY)]), [ViolationKind::Unfinished { reads: 1, writes: 0 }]);
        assert_eq!(
            finish(&[(write(0, 0, true), READY)]),
            [ViolationKind::Unfinished { reads: 0, writes: 1 }]
        );
        let channel = Channel::ReadAddress;
        assert_eq!(finish(&[(read(0, 0), NOT_READY)]), [ViolationKind::ValidAtEnd { channel }]);
    }
}
