//! How full the on-chip memories are over time.

use crate::run::{OnChip, Run};
use std::ops::Range;

/// Addresses in use from a cycle on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level {
    pub cycle: u64,
    pub addresses: u64,
}

impl Level {
    /// The levels of a memory, one for each change, the first in cycle 0 and the last 0. Addresses that two intervals share count
    /// once. Empty when nothing was recorded for the memory.
    pub fn of(run: &Run, memory: OnChip) -> Vec<Level> {
        let intervals: Vec<_> = run
            .occupancy
            .iter()
            .filter(|i| i.memory == memory && i.from < i.to && i.addresses.start < i.addresses.end)
            .collect();
        if intervals.is_empty() {
            return Vec::new();
        }
        // (cycle, begins, interval): what ends in a cycle goes before what begins in it.
        let mut events: Vec<(u64, bool, usize)> = Vec::with_capacity(2 * intervals.len());
        for (index, interval) in intervals.iter().enumerate() {
            events.push((interval.from, true, index));
            events.push((interval.to, false, index));
        }
        events.sort_unstable();
        let mut users = Users::new(memory.depth(&run.config));
        let mut levels = vec![Level { cycle: 0, addresses: 0 }];
        for (cycle, begins, index) in events {
            users.change(intervals[index].addresses.clone(), begins);
            match levels.last_mut() {
                Some(last) if last.cycle == cycle => last.addresses = users.used,
                _ => levels.push(Level { cycle, addresses: users.used }),
            }
        }
        levels.dedup_by_key(|level| level.addresses);
        levels
    }

    /// The highest level.
    pub fn peak(levels: &[Level]) -> u64 {
        levels.iter().map(|level| level.addresses).max().unwrap_or(0)
    }
}

/// For each address the number of intervals that use it.
struct Users {
    counts: Vec<u32>,
    used: u64,
}

impl Users {
    fn new(depth: usize) -> Users {
        Users { counts: vec![0; depth], used: 0 }
    }

    fn change(&mut self, addresses: Range<u32>, begins: bool) {
        for count in &mut self.counts[addresses.start as usize..addresses.end as usize] {
            if begins {
                self.used += u64::from(*count == 0);
                *count += 1;
            } else {
                *count -= 1;
                self.used -= u64::from(*count == 0);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::OccupancyInterval;
    use crate::trace::tests::empty;

    #[test]
    fn shared_addresses_count_once() {
        let interval = |start, end, from, to| OccupancyInterval {
            name: String::new(),
            memory: OnChip::Activation,
            addresses: start..end,
            from,
            to,
        };
        let mut run = empty();
        run.cycles = 100;
        run.occupancy = vec![
            interval(0, 10, 5, 20),
            interval(5, 15, 10, 30),
            interval(3, 3, 0, 9),
            interval(0, 5, 20, 25),
        ];
        run.validate().unwrap();
        let levels: Vec<_> =
            Level::of(&run, OnChip::Activation).iter().map(|l| (l.cycle, l.addresses)).collect();
        assert_eq!(levels, [(0, 0), (5, 10), (10, 15), (25, 10), (30, 0)]);
        assert_eq!(Level::of(&run, OnChip::Weight), []);
    }
}
