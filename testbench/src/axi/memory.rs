//! A memory on the AXI4 port, driven once a clock cycle.
//!
//! All outputs are registered: [`MemoryModel::cycle`] takes the accelerator's pins of a cycle, as they are before its clock
//! edge, and returns the memory's pins of the next cycle. Latency counts from the cycle of the handshake:
//!
//! ```text
//! latency_cycles = 3, cycles_per_beat = 1, two bursts of two beats
//! cycle           0     1     2     3     4     5     6     7
//! ar_valid      ‾‾‾‾‾‾‾‾‾‾‾‾\______________________________________
//! ar_ready      ‾‾‾‾‾‾‾‾‾‾‾‾‾‾‾‾‾‾‾‾‾‾‾‾‾‾‾‾‾‾‾‾‾‾‾‾‾‾‾‾‾‾‾‾‾‾‾‾‾‾
//!                 A     B
//! r_valid       ___________________/‾‾‾‾‾‾‾‾‾‾‾‾‾‾‾‾‾‾‾‾‾‾‾\_______     A in cycle 0 -> its first beat in cycle 3
//! r_data                            A0    A1    B0    B1
//! r_last        _________________________/‾‾‾‾‾\_____/‾‾‾‾‾\_______
//!
//! latency_cycles = 3, one write burst of two beats
//! cycle           0     1     2     3     4     5     6     7
//! aw_valid      ‾‾‾‾‾‾\____________________________________________
//! w_valid       ‾‾‾‾‾‾‾‾‾‾‾‾\______________________________________
//! w_last        ______/‾‾‾‾‾\______________________________________
//! b_valid       _______________________________/‾‾‾‾‾\_____________     last beat in cycle 1 -> response in cycle 4
//! ```
//!
//! Bursts are answered in order, several may be under way, and back-to-back bursts stream without gaps. A write reaches the
//! memory when its response is given; a read sees the memory as it is when a beat is given. Who reads what is being written is
//! caught by [`super::ProtocolChecker`].

use super::pins::{MasterPins, Response, SlavePins};
use std::collections::VecDeque;
use std::ops::Range;

/// Random stalls of READY and VALID.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stalls {
    pub seed: u64,
    /// Probability, 0 ..= 99, that a channel pauses in a cycle.
    pub percent: u8,
}

impl Stalls {
    /// Every channel pauses in 30 of 100 cycles.
    pub fn new(seed: u64) -> Stalls {
        Stalls { seed, percent: 30 }
    }
}

/// Which accesses an [`ErrorRange`] refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    Read,
    Write,
    Both,
}

/// Addresses that are answered with an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorRange {
    pub bytes: Range<u64>,
    pub access: Access,
    pub response: Response,
}

/// How the memory behaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemoryOptions {
    /// Bytes of a beat: 8 or 16.
    pub bus_bytes: usize,
    /// From the address handshake to the first read beat, and from the last write beat to the response; at least 1.
    pub latency_cycles: u32,
    /// Cycles from one beat to the next in each direction: 1 is full bandwidth, 4 a quarter of it.
    pub cycles_per_beat: u32,
    /// Bursts in each direction that may be under way before their address channel waits.
    pub outstanding: usize,
    pub stalls: Option<Stalls>,
    pub errors: Vec<ErrorRange>,
}

impl MemoryOptions {
    /// 20 cycles of latency, full bandwidth, no stalls.
    pub fn new(bus_bytes: usize) -> MemoryOptions {
        MemoryOptions {
            bus_bytes,
            latency_cycles: 20,
            cycles_per_beat: 1,
            outstanding: 16,
            stalls: None,
            errors: Vec::new(),
        }
    }
}

/// Traffic so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryStatistics {
    pub cycles: u64,
    /// Bursts and beats by read ID: command fetches, loads.
    pub read_bursts: [u64; 2],
    pub read_beats: [u64; 2],
    pub write_bursts: u64,
    pub write_beats: u64,
    /// Cycles in which the memory offered a beat that was not taken.
    pub read_wait_cycles: u64,
    /// Handshakes on any channel: grows as long as anything moves.
    pub handshakes: u64,
}

#[derive(Clone, Debug)]
struct ReadBurst {
    address: u64,
    beats_left: u32,
    id: u8,
    /// First cycle in which its data may be on the bus.
    ready_at: u64,
}

#[derive(Clone, Debug)]
struct WriteBurst {
    address: u64,
    beats: u32,
    data: Vec<(u128, u16)>,
    ready_at: u64,
}

/// A memory on the AXI4 port.
#[derive(Clone, Debug)]
pub struct MemoryModel {
    options: MemoryOptions,
    bytes: Vec<u8>,
    /// The cycle whose outputs are on the pins.
    cycle: u64,
    outputs: SlavePins,
    reads: VecDeque<ReadBurst>,
    /// Earliest cycle of the next read beat, and of the next write beat.
    next_read: u64,
    next_write: u64,
    writes: VecDeque<WriteBurst>,
    /// Of `writes`, those from the front that have all their data.
    complete_writes: usize,
    early: VecDeque<(u128, u16)>,
    /// Buffers of finished write bursts, for the next ones.
    spare: Vec<Vec<(u128, u16)>>,
    random: u64,
    statistics: MemoryStatistics,
}

/// Write beats that may come before their address.
const MAX_EARLY_BEATS: usize = 16;

impl MemoryModel {
    /// A memory of zeros.
    pub fn new(options: MemoryOptions, size_bytes: usize) -> MemoryModel {
        let random = options.stalls.map_or(1, |stalls| stalls.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        MemoryModel {
            options,
            bytes: vec![0; size_bytes],
            cycle: 0,
            outputs: SlavePins::default(),
            reads: VecDeque::new(),
            next_read: 0,
            next_write: 0,
            writes: VecDeque::new(),
            complete_writes: 0,
            early: VecDeque::new(),
            spare: Vec::new(),
            random,
            statistics: MemoryStatistics::default(),
        }
    }

    pub fn options(&self) -> &MemoryOptions {
        &self.options
    }

    /// The contents.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The contents, to change between programs.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }

    /// Makes the memory at least `size_bytes` long.
    pub fn grow(&mut self, size_bytes: usize) {
        if self.bytes.len() < size_bytes {
            self.bytes.resize(size_bytes, 0);
        }
    }

    /// The pins of the present cycle.
    pub fn pins(&self) -> &SlavePins {
        &self.outputs
    }

    pub fn statistics(&self) -> &MemoryStatistics {
        &self.statistics
    }

    /// Forgets all bursts, as a reset of the whole system does; contents and statistics stay.
    pub fn reset(&mut self) {
        self.outputs = SlavePins::default();
        self.reads.clear();
        self.writes.clear();
        self.early.clear();
        self.complete_writes = 0;
    }

    fn stalls(&mut self) -> bool {
        let Some(stalls) = self.options.stalls else { return false };
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 32) % 100 < u64::from(stalls.percent)
    }

    fn response(&self, bytes: Range<u64>, write: bool) -> Response {
        for range in &self.options.errors {
            let applies = match range.access {
                Access::Read => !write,
                Access::Write => write,
                Access::Both => true,
            };
            if applies && range.bytes.start < bytes.end && bytes.start < range.bytes.end {
                return range.response;
            }
        }
        if bytes.end > self.bytes.len() as u64 {
            return Response::DecodeError;
        }
        Response::Okay
    }

    /// One clock edge: takes the accelerator's pins before it, returns the memory's pins after it.
    pub fn cycle(&mut self, master: &MasterPins) -> SlavePins {
        self.accept(master);
        self.cycle += 1;
        self.statistics.cycles += 1;
        self.drive_reads();
        self.drive_writes();
        self.outputs
    }

    /// Handshakes of the cycle that ends.
    fn accept(&mut self, master: &MasterPins) {
        let out = self.outputs;
        let latency = u64::from(self.options.latency_cycles.max(1));
        let pace = u64::from(self.options.cycles_per_beat.max(1));
        if out.r_valid {
            if master.r_ready {
                self.outputs.r_valid = false;
                self.next_read = self.cycle + pace;
                self.statistics.handshakes += 1;
                self.statistics.read_beats[usize::from(out.r_id & 1)] += 1;
            } else {
                self.statistics.read_wait_cycles += 1;
            }
        }
        if out.b_valid && master.b_ready {
            self.outputs.b_valid = false;
            self.statistics.handshakes += 1;
        }
        if master.ar_valid && out.ar_ready {
            self.statistics.handshakes += 1;
            self.statistics.read_bursts[usize::from(master.ar_id & 1)] += 1;
            self.reads.push_back(ReadBurst {
                address: u64::from(master.ar_address),
                beats_left: u32::from(master.ar_length) + 1,
                id: master.ar_id,
                ready_at: self.cycle + latency,
            });
        }
        if master.aw_valid && out.aw_ready {
            self.statistics.handshakes += 1;
            self.statistics.write_bursts += 1;
            let mut data = self.spare.pop().unwrap_or_default();
            data.clear();
            self.writes.push_back(WriteBurst {
                address: u64::from(master.aw_address),
                beats: u32::from(master.aw_length) + 1,
                data,
                ready_at: u64::MAX,
            });
        }
        if master.w_valid && out.w_ready {
            self.statistics.handshakes += 1;
            self.statistics.write_beats += 1;
            self.next_write = self.cycle + pace;
            self.early.push_back((master.w_data, master.w_strobe));
        }
        while self.complete_writes < self.writes.len() {
            let Some(beat) = self.early.pop_front() else { break };
            let burst = &mut self.writes[self.complete_writes];
            burst.data.push(beat);
            if burst.data.len() == burst.beats as usize {
                burst.ready_at = self.cycle + latency;
                self.complete_writes += 1;
            }
        }
    }

    /// AR and R pins of the new cycle.
    fn drive_reads(&mut self) {
        self.outputs.ar_ready = self.reads.len() < self.options.outstanding && !self.stalls();
        if self.outputs.r_valid || self.reads.is_empty() || self.cycle < self.next_read {
            return;
        }
        let bus_bytes = self.options.bus_bytes as u64;
        let burst = &self.reads[0];
        if self.cycle < burst.ready_at || self.stalls() {
            return;
        }
        let (address, id, last) = (self.reads[0].address, self.reads[0].id, self.reads[0].beats_left == 1);
        let response = self.response(address..address + bus_bytes, false);
        let mut data = [0xa5; 16];
        if response == Response::Okay {
            let start = address as usize;
            data[..bus_bytes as usize].copy_from_slice(&self.bytes[start..start + bus_bytes as usize]);
        }
        let used = if bus_bytes == 16 { u128::MAX } else { (1 << (8 * bus_bytes)) - 1 };
        self.outputs.r_valid = true;
        self.outputs.r_data = u128::from_le_bytes(data) & used;
        self.outputs.r_response = response;
        self.outputs.r_last = last;
        self.outputs.r_id = id;
        if last {
            self.reads.pop_front();
        } else {
            self.reads[0].address += bus_bytes;
            self.reads[0].beats_left -= 1;
        }
    }

    /// AW, W and B pins of the new cycle.
    fn drive_writes(&mut self) {
        self.outputs.aw_ready = self.writes.len() < self.options.outstanding && !self.stalls();
        self.outputs.w_ready =
            self.cycle >= self.next_write && self.early.len() < MAX_EARLY_BEATS && !self.stalls();
        if self.outputs.b_valid || self.complete_writes == 0 {
            return;
        }
        if self.cycle < self.writes[0].ready_at || self.stalls() {
            return;
        }
        let burst = self.writes.pop_front().expect("a burst is complete");
        self.complete_writes -= 1;
        let bus_bytes = self.options.bus_bytes;
        let end = burst.address + burst.beats as u64 * bus_bytes as u64;
        let response = self.response(burst.address..end, true);
        if response == Response::Okay {
            for (beat, (data, strobe)) in burst.data.iter().enumerate() {
                let start = burst.address as usize + beat * bus_bytes;
                let target = &mut self.bytes[start..start + bus_bytes];
                for (lane, (to, from)) in target.iter_mut().zip(data.to_le_bytes()).enumerate() {
                    if strobe >> lane & 1 != 0 {
                        *to = from;
                    }
                }
            }
        }
        self.outputs.b_valid = true;
        self.outputs.b_response = response;
        self.spare.push(burst.data);
    }
}

#[cfg(test)]
mod tests {
    use super::super::ProtocolChecker;
    use super::*;

    fn options() -> MemoryOptions {
        MemoryOptions { latency_cycles: 3, ..MemoryOptions::new(8) }
    }

    fn model(options: MemoryOptions) -> MemoryModel {
        let mut model = MemoryModel::new(options, 4096);
        for (address, byte) in model.bytes_mut().iter_mut().enumerate() {
            *byte = (address / 8) as u8;
        }
        model
    }

    /// A read beat or a response, and the cycle it was taken in.
    #[derive(Debug, PartialEq)]
    enum Event {
        Beat { cycle: u64, data: u128, last: bool, id: u8, response: Response },
        Answer { cycle: u64, response: Response },
    }

    /// A master that issues bursts as fast as it may and always listens.
    fn drive(
        model: &mut MemoryModel,
        reads: &[(u32, u8, u8)],
        writes: &[(u32, Vec<u128>)],
        strobe: u16,
    ) -> Vec<Event> {
        let mut checker = ProtocolChecker::new(model.options().bus_bytes);
        let mut events = Vec::new();
        let (mut read, mut address, mut beat, mut burst) = (0, 0, 0, 0);
        // The first cycle is a reset cycle with all outputs low.
        let mut slave = model.cycle(&MasterPins::default());
        for cycle in 0..2000 {
            let mut pins = MasterPins { r_ready: true, b_ready: true, ..MasterPins::default() };
            if let Some((address, length, id)) = reads.get(read) {
                pins.ar_valid = true;
                (pins.ar_address, pins.ar_length, pins.ar_id) = (*address, *length, *id);
            }
            if let Some((at, data)) = writes.get(address) {
                pins.aw_valid = true;
                (pins.aw_address, pins.aw_length) = (*at, data.len() as u8 - 1);
            }
            if let Some((_, data)) = writes.get(burst) {
                pins.w_valid = true;
                (pins.w_data, pins.w_strobe, pins.w_last) = (data[beat], strobe, beat + 1 == data.len());
            }
            checker.cycle(&pins, &slave);
            if slave.r_valid {
                let (data, last, id) = (slave.r_data, slave.r_last, slave.r_id);
                events.push(Event::Beat { cycle, data, last, id, response: slave.r_response });
            }
            if slave.b_valid {
                events.push(Event::Answer { cycle, response: slave.b_response });
            }
            read += usize::from(pins.ar_valid && slave.ar_ready);
            address += usize::from(pins.aw_valid && slave.aw_ready);
            if pins.w_valid && slave.w_ready {
                beat += 1;
                if pins.w_last {
                    (beat, burst) = (0, burst + 1);
                }
            }
            slave = model.cycle(&pins);
        }
        assert_eq!((read, address, burst), (reads.len(), writes.len(), writes.len()));
        assert_eq!(checker.finish(), []);
        events
    }

    fn beat(cycle: u64, data: u128, last: bool, id: u8) -> Event {
        let data = data * 0x0101_0101_0101_0101;
        Event::Beat { cycle, data, last, id, response: Response::Okay }
    }

    #[test]
    fn reads_stream_after_the_latency() {
        // The diagram of the module's page.
        let events = drive(&mut model(options()), &[(0, 1, 0), (64, 1, 1)], &[], 0xff);
        assert_eq!(
            events,
            [beat(3, 0, false, 0), beat(4, 1, true, 0), beat(5, 8, false, 1), beat(6, 9, true, 1)]
        );
    }

    #[test]
    fn writes_are_answered_after_the_latency() {
        let mut model = model(options());
        let events = drive(&mut model, &[], &[(16, vec![7, 8])], 0xff);
        assert_eq!(events, [Event::Answer { cycle: 4, response: Response::Okay }]);
        assert_eq!(model.bytes()[16..32], [7, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0]);
        let statistics = model.statistics();
        assert_eq!((statistics.write_bursts, statistics.write_beats, statistics.handshakes), (1, 2, 4));
    }

    #[test]
    fn strobes_choose_bytes() {
        let mut model = model(options());
        drive(&mut model, &[], &[(16, vec![0x0807_0605_0403_0201])], 0x81);
        assert_eq!(model.bytes()[16..24], [1, 2, 2, 2, 2, 2, 2, 8]);
    }

    #[test]
    fn long_bursts_of_many_have_no_gaps() {
        let mut model = model(MemoryOptions::new(8));
        let reads: Vec<_> = (0..8).map(|n| (512 * n, 63, 1)).collect();
        let events = drive(&mut model, &reads, &[], 0xff);
        let cycles: Vec<_> = events
            .iter()
            .map(|event| match event {
                Event::Beat { cycle, .. } | Event::Answer { cycle, .. } => *cycle,
            })
            .collect();
        assert_eq!(cycles, (20..20 + 512).collect::<Vec<_>>());
        assert_eq!(model.statistics().read_beats, [0, 512]);
    }

    #[test]
    fn bandwidth_is_one_beat_in_so_many_cycles() {
        let events =
            drive(&mut model(MemoryOptions { cycles_per_beat: 4, ..options() }), &[(0, 2, 0)], &[], 0xff);
        assert_eq!(events, [beat(3, 0, false, 0), beat(7, 1, false, 0), beat(11, 2, true, 0)]);
        let slow = MemoryOptions { cycles_per_beat: 4, ..options() };
        let events = drive(&mut model(slow), &[], &[(0, vec![1, 2, 3])], 0xff);
        assert_eq!(events, [Event::Answer { cycle: 8 + 3, response: Response::Okay }]);
    }

    #[test]
    fn a_wide_bus_moves_16_bytes_a_beat() {
        let mut model = model(MemoryOptions { bus_bytes: 16, ..options() });
        let events = drive(&mut model, &[(32, 0, 0)], &[(64, vec![u128::MAX - 1])], 0xffff);
        assert!(
            matches!(events[0], Event::Beat { data, .. } if data == 0x0505_0505_0505_0505_0404_0404_0404_0404)
        );
        assert_eq!(
            model.bytes()[63..81],
            [7, 254, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 10]
        );
    }

    #[test]
    fn errors_are_answered_and_change_nothing() {
        let mut options = options();
        options.errors = vec![
            ErrorRange { bytes: 8..16, access: Access::Read, response: Response::SlaveError },
            ErrorRange { bytes: 256..257, access: Access::Write, response: Response::SlaveError },
        ];
        let mut model = model(options);
        let before = model.bytes().to_vec();
        let reads = [(0, 2, 0), (4096, 0, 0), (256, 0, 0)];
        let writes = [(248, vec![1, 2]), (8192, vec![1])];
        let mut events = drive(&mut model, &reads, &[], 0xff);
        events.extend(drive(&mut model, &[], &writes, 0xff));
        let reads: Vec<_> = events
            .iter()
            .filter_map(|e| if let Event::Beat { response, .. } = e { Some(*response) } else { None })
            .collect();
        let answers: Vec<_> = events
            .iter()
            .filter_map(|e| if let Event::Answer { response, .. } = e { Some(*response) } else { None })
            .collect();
        use Response::{DecodeError, Okay, SlaveError};
        assert_eq!(reads, [Okay, SlaveError, Okay, DecodeError, Okay]);
        assert_eq!(answers, [SlaveError, DecodeError]);
        assert_eq!(model.bytes(), before);
    }

    #[test]
    fn stalls_change_times_and_nothing_else() {
        let reads: Vec<_> = (0..20).map(|n| (128 * n, 7, (n % 2) as u8)).collect();
        let writes: Vec<_> = (0..10).map(|n| (2560 + 64 * n, (0..8).map(|b| b + 100).collect())).collect();
        let values = |events: &[Event]| -> Vec<_> {
            events
                .iter()
                .filter_map(|e| {
                    if let Event::Beat { data, last, id, .. } = e {
                        Some((*data, *last, *id))
                    } else {
                        None
                    }
                })
                .collect()
        };
        let mut calm = model(options());
        let expected = drive(&mut calm, &reads, &writes, 0xff);
        for seed in 0..20 {
            let stalls = Some(Stalls { seed, percent: 50 });
            let mut stalled = model(MemoryOptions { stalls, ..options() });
            let events = drive(&mut stalled, &reads, &writes, 0xff);
            assert_eq!(values(&events), values(&expected), "seed {seed}");
            assert_ne!(events, expected);
            assert_eq!(stalled.bytes(), calm.bytes(), "seed {seed}");
        }
    }

    #[test]
    fn a_full_memory_makes_addresses_wait() {
        let mut model = model(MemoryOptions { outstanding: 2, ..options() });
        let reads: Vec<_> = (0..6).map(|n| (8 * n, 0, 0)).collect();
        let events = drive(&mut model, &reads, &[], 0xff);
        assert_eq!(events.len(), 6);
        assert!(events[2..].iter().all(|e| matches!(e, Event::Beat { cycle, .. } if *cycle > 5)));
    }
}
