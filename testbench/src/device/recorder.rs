//! What every command did, cycle by cycle, from the accelerator's `observe` pins.

/// Commands of one engine, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EngineRecording {
    /// Cycle in which each command started, from the start of the program.
    pub starts: Vec<u64>,
    /// Cycle in which each command finished.
    pub finishes: Vec<u64>,
    /// For each command, the cycles in which it was at the head of its queue and lacked a token of load, matrix, vector, store.
    pub waits: Vec<[u64; 4]>,
    /// For each matrix command, the cycles in which it issued a step.
    pub steps: Vec<u64>,
}

/// One run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recording {
    /// Load, matrix, vector, store.
    pub engines: [EngineRecording; 4],
}

/// Samples the pins. Times are cycles of the simulation until [`Recorder::finish`] counts them from the start of the program.
#[derive(Clone, Debug, Default)]
pub(super) struct Recorder {
    recording: Recording,
    waits: [[u64; 4]; 4],
}

impl Recorder {
    #[inline]
    pub fn cycle(&mut self, cycle: u64, pins: u32) {
        if pins == 0 {
            return;
        }
        let matrix = &mut self.recording.engines[1];
        // A command may start in the cycle of the last step of the one before.
        if let (true, Some(steps)) = (pins >> 8 & 1 == 1, matrix.steps.last_mut()) {
            *steps += 1;
        }
        for (e, engine) in self.recording.engines.iter_mut().enumerate() {
            let lacks = pins >> (16 + 4 * e) & 15;
            for (from, wait) in self.waits[e].iter_mut().enumerate() {
                *wait += u64::from(lacks >> from & 1);
            }
            if pins >> e & 1 == 1 {
                engine.starts.push(cycle);
                engine.waits.push(std::mem::take(&mut self.waits[e]));
                if e == 1 {
                    engine.steps.push(0);
                }
            }
            if pins >> (4 + e) & 1 == 1 {
                engine.finishes.push(cycle);
            }
        }
    }

    /// The recording of a program that ended at cycle `end` and took `cycles`.
    pub fn finish(self, end: u64, cycles: u64) -> Recording {
        let mut recording = self.recording;
        for engine in &mut recording.engines {
            for time in engine.starts.iter_mut().chain(&mut engine.finishes) {
                *time = (*time + cycles).saturating_sub(end).min(cycles);
            }
        }
        recording
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_and_waits_belong_to_their_commands() {
        let mut recorder = Recorder::default();
        // Load starts; matrix lacks a token of load twice, starts, steps twice while the next one starts.
        let pins = [1, 0x0010_0000, 0x0010_0010, 1 << 1, 1 << 8, 1 << 8 | 1 << 1, 1 << 5, 1 << 8, 1 << 5];
        for (cycle, pins) in pins.into_iter().enumerate() {
            recorder.cycle(100 + cycle as u64, pins);
        }
        let [load, matrix, ..] = recorder.finish(110, 12).engines;
        assert_eq!((load.starts, load.finishes), (vec![2], vec![4]));
        assert_eq!((matrix.starts, matrix.finishes), (vec![5, 7], vec![8, 10]));
        assert_eq!(matrix.waits, [[2, 0, 0, 0], [0; 4]]);
        assert_eq!(matrix.steps, [2, 1]);
    }
}
