//! On-chip memories.

use super::*;

/// The bytes of `new` whose enable bit is set, else those of `old`.
fn merge(old: u32, new: u32, enable: u64) -> u32 {
    let mask = (0..4).filter(|b| enable >> b & 1 == 1).fold(0, |mask, b| mask | 0xff << (8 * b));
    old & !mask | new & mask
}

/// A memory's contents and the accesses to it.
struct Rows {
    words: Vec<Vec<u32>>,
}

impl Rows {
    fn new(depth: usize, words: usize) -> Self {
        Self { words: vec![vec![0; words]; depth] }
    }

    fn row(&self, address: u64) -> &Vec<u32> {
        &self.words[address as usize % self.words.len()]
    }

    fn write(&mut self, address: u64, enables: &[u64], data: &[u32]) {
        let depth = self.words.len();
        let row = &mut self.words[address as usize % depth];
        for ((word, enable), data) in row.iter_mut().zip(enables).zip(data) {
            *word = merge(*word, *data, *enable);
        }
    }

    /// A random address, also beyond the depth, that is none of `taken`.
    fn address_apart_from(&self, random: &mut Random, taken: &[u64]) -> u64 {
        let depth = self.words.len() as u64;
        loop {
            let address = random.bits(16);
            if taken.iter().all(|other| other % depth != address % depth) {
                return address;
            }
        }
    }
}

/// Random words and byte enables of one row.
fn random_row(random: &mut Random, words: usize) -> (Vec<u64>, Vec<u32>) {
    (0..words).map(|_| (random.bits(4), random.bits(32) as u32)).unzip()
}

#[test]
fn activation_scratchpad() -> Result<(), CompareError> {
    const WORDS: usize = 2;
    let mut memory = Rows::new(16, WORDS);
    // What each reader must see now: matrix, vector, store.
    let mut expected: [Option<Vec<u32>>; 3] = [None, None, None];
    // The result of the cycle before is written in this one: address, enables, data.
    let mut written: Option<(u64, Vec<u64>, Vec<u32>)> = None;
    compare_native_and_verilated(
        || ActivationScratchpad::new(4 * WORDS, 16),
        |block, random, cycle| {
            let seen = [&block.matrix_data, &block.vector_data, &block.store_data].map(|data| words_of(data));
            for (reader, (seen, expected)) in seen.iter().zip(&mut expected).enumerate() {
                if let Some(row) = expected.take() {
                    assert_eq!(*seen, row, "reader {reader}, cycle {cycle}, seed {SEED}");
                }
            }
            let [result, load] = [0; 2].map(|_| random.bits(16));
            let taken = written.as_ref().map_or(load, |(address, ..)| *address);
            let reads = [0; 3].map(|_| memory.address_apart_from(random, &[taken, load]));
            let [matrix, vector, store, result_valid, load_valid] = [2, 2, 2, 2, 2].map(|n| random.one_in(n));
            let ((result_enable, result_data), (load_enable, load_data)) =
                (random_row(random, WORDS), random_row(random, WORDS));
            block.matrix_step.next = matrix;
            block.matrix_even.next = reads[0] % 2 == 0;
            block.matrix_odd.next = reads[0] % 2 == 1;
            // Sometimes the vector engine might have read, and does not.
            let vector_may_read = vector || random.one_in(4);
            block.vector_may_read.next = vector_may_read;
            [block.vector_enable.next, block.store_enable.next] = [vector, store];
            [block.matrix_address.next, block.vector_address.next, block.store_address.next] =
                reads.map(Bits::from);
            block.result_even.next = result_valid && result % 2 == 0;
            block.result_odd.next = result_valid && result % 2 == 1;
            block.result_address.next = result.into();
            drive_words(&mut block.result_enable, result_enable.clone());
            drive_words(&mut block.result_data, result_data.iter().map(|word| u64::from(*word)));
            block.load_valid.next = load_valid;
            block.load_address.next = load.into();
            drive_words(&mut block.load_enable, load_enable.clone());
            drive_words(&mut block.load_data, load_data.iter().map(|word| u64::from(*word)));
            settle_before_edge!(block);

            let same_bank = |a: u64, b: u64| a % 2 == b % 2;
            let vector_ready = !(matrix && same_bank(reads[0], reads[1]));
            let store_ready = !(matrix && same_bank(reads[0], reads[2])
                || vector_may_read && same_bank(reads[1], reads[2]));
            let load_ready = !(written.is_some() && same_bank(taken, load));
            assert_eq!(
                [block.vector_ready.val(), block.store_ready.val(), block.load_ready.val()],
                [vector_ready, store_ready, load_ready],
                "cycle {cycle}, seed {SEED}"
            );
            for (reader, granted) in [matrix, vector && vector_ready, store && store_ready].iter().enumerate()
            {
                expected[reader] = granted.then(|| memory.row(reads[reader]).clone());
            }
            if load_valid && load_ready {
                memory.write(load, &load_enable, &load_data);
            }
            if let Some((address, enable, data)) = &written {
                memory.write(*address, enable, data);
            }
            written = result_valid.then_some((result, result_enable, result_data));
        },
        clocked!(),
        2 * CYCLES,
        SEED,
    )?;
    Ok(())
}

/// A vector that is written in the very cycle is none for readers of whole vectors; the vector unit may want other bytes of it.
#[test]
fn activation_scratchpad_reports_whole_reads_of_what_is_written() {
    // A result that comes in cycle 0 is written in cycle 1, in which everybody would read, in turn.
    for (reader, address) in [(0, 6u64), (0, 7), (1, 6), (1, 7), (2, 6), (2, 7)] {
        let result = compare_native_and_verilated(
            || ActivationScratchpad::new(8, 16),
            |block, _, cycle| {
                let odd = address % 2 == 1;
                block.result_even.next = cycle == 0 && !odd;
                block.result_odd.next = cycle == 0 && odd;
                block.result_address.next = address.into();
                block.result_enable[0].next = 1.into();
                let reads = [0, 1, 2].map(|this| cycle == 1 && reader == this);
                block.matrix_even.next = reads[0] && !odd;
                block.matrix_odd.next = reads[0] && odd;
                block.matrix_step.next = reads[0];
                [block.vector_enable.next, block.vector_may_read.next] = [reads[1]; 2];
                block.store_enable.next = reads[2];
                block.matrix_address.next = address.into();
                block.vector_address.next = address.into();
                block.store_address.next = address.into();
            },
            clocked!(),
            4,
            SEED,
        );
        match reader {
            1 => assert!(result.is_ok(), "address {address}: {result:?}"),
            _ => assert!(
                matches!(result, Err(CompareError::Reported { cycle: 1, .. })),
                "reader {reader}, address {address}: {result:?}"
            ),
        }
    }
}

/// Rows of `words` words, of the last `halves` of which only the low half is kept; data come a cycle or two after the request.
fn loaded(
    factory: impl Fn() -> LoadedMemory,
    (words, halves): (usize, usize),
    has_output_register: bool,
) -> Result<(), CompareError> {
    let mut memory = Rows::new(8, words);
    // What was read last, and what is behind the register if there is one.
    let (mut row, mut expected) = (vec![0; words], vec![0; words]);
    // What came in the cycle before is written in this one: address, enables, data.
    let mut written: Option<(u64, Vec<u64>, Vec<u32>)> = None;
    compare_native_and_verilated(
        factory,
        |block, random, cycle| {
            let seen = if has_output_register { &expected } else { &row };
            assert_eq!(words_of(&block.read_data), *seen, "cycle {cycle}, seed {SEED}");
            let write = random.bits(16);
            let read =
                memory.address_apart_from(random, &[written.as_ref().map_or(0, |(address, ..)| *address)]);
            let (mut enable, data) = random_row(random, words);
            let [reads, writes] = [0; 2].map(|_| random.one_in(2));
            block.read_enable.next = reads;
            block.read_address.next = read.into();
            block.write_valid.next = writes;
            block.write_address.next = write.into();
            drive_words(&mut block.write_enable, enable.clone());
            drive_words(&mut block.write_data, data.iter().map(|word| u64::from(*word)));
            expected.clone_from(&row);
            if reads {
                row.clone_from(memory.row(read));
            }
            if let Some((address, enable, data)) = &written {
                memory.write(*address, enable, data);
            }
            enable[words - halves..].iter_mut().for_each(|enable| *enable &= 3);
            written = writes.then_some((write, enable, data));
        },
        clocked!(),
        CYCLES,
        SEED,
    )?;
    Ok(())
}

#[test]
fn loaded_memories() -> Result<(), CompareError> {
    loaded(|| LoadedMemory::weights(8, 8, 4), (8, 0), true)?;
    loaded(|| LoadedMemory::scales(8, 3), (3, 0), false)?;
    loaded(|| LoadedMemory::parameters(8, 4), (12, 4), false)
}

#[test]
fn accumulator_memory() -> Result<(), CompareError> {
    const LANES: usize = 4;
    let mut memory = Rows::new(8, LANES);
    let mut expected = vec![0; LANES];
    // What came in the cycle before is written in this one: address, enables, data.
    let mut written: Option<(u64, Vec<u64>, Vec<u32>)> = None;
    let mut result_soon = false;
    compare_native_and_verilated(
        || AccumulatorMemory::new(8, LANES),
        |block, random, cycle| {
            assert_eq!(words_of(&block.read_data), expected, "cycle {cycle}, seed {SEED}");
            let [result, load] = [0; 2].map(|_| random.bits(16));
            let taken = written.as_ref().map_or(0, |(address, ..)| *address);
            let [partial, vector, store] = [0; 3].map(|_| memory.address_apart_from(random, &[taken]));
            // Partial sums and the vector engine never want the same cycle.
            let partial_enable = random.one_in(4);
            let vector_enable = !partial_enable && random.one_in(4);
            let [store_enable, load_valid] = [0; 2].map(|_| random.one_in(2));
            let result_valid = std::mem::replace(&mut result_soon, random.one_in(2));
            let ((_, result_data), (load_enable, load_data)) =
                (random_row(random, LANES), random_row(random, LANES));
            block.partial_enable.next = partial_enable;
            block.partial_address.next = partial.into();
            // Sometimes they might have read, and do not.
            let may_read = partial_enable || vector_enable || random.one_in(4);
            block.others_may_read.next = may_read;
            block.vector_enable.next = vector_enable;
            block.vector_address.next = vector.into();
            block.store_enable.next = store_enable;
            block.store_address.next = store.into();
            block.result_soon.next = result_soon;
            block.result_address.next = result.into();
            drive_words(&mut block.result_data, result_data.iter().map(|word| u64::from(*word)));
            block.load_valid.next = load_valid;
            block.load_address.next = load.into();
            drive_words(&mut block.load_enable, load_enable.clone());
            drive_words(&mut block.load_data, load_data.iter().map(|word| u64::from(*word)));
            settle_before_edge!(block);
            assert_eq!(block.store_ready.val(), !may_read, "cycle {cycle}, seed {SEED}");
            assert_eq!(block.load_ready.val(), !result_valid, "cycle {cycle}, seed {SEED}");
            let readers = [(partial_enable, partial), (vector_enable, vector), (store_enable, store)];
            if let Some((_, address)) = readers.iter().find(|(enable, _)| *enable) {
                expected.clone_from(memory.row(*address));
            }
            if let Some((address, enable, data)) = written.take() {
                memory.write(address, &enable, &data);
            }
            if result_valid {
                written = Some((result, vec![15; LANES], result_data));
            } else if load_valid {
                written = Some((load, load_enable, load_data));
            }
        },
        clocked!(),
        CYCLES,
        SEED,
    )?;
    Ok(())
}
