//! Bursts, and the port for reads.

use super::*;

/// A transfer's bursts, address and beats, by the rules of the header.
fn bursts(address: u64, rows: u64, row_beats: u64, stride: u64, bus_bytes: u64) -> Vec<(u64, u64)> {
    const PAGE: u64 = 4096;
    let mut bursts = Vec::new();
    for row in 0..rows {
        let mut next = (address + row * stride) % (1 << 32);
        let mut left = row_beats;
        while left > 0 {
            let beats = left.min((PAGE - next % PAGE) / bus_bytes).min(MAX_BURST_BEATS);
            bursts.push((next, beats));
            next = (next + beats * bus_bytes) % (1 << 32);
            left -= beats;
        }
    }
    bursts
}

#[test]
fn burst_generator() -> Result<(), CompareError> {
    for bus_bytes in [8, 16] {
        let mut expected: VecDeque<(u64, u64)> = VecDeque::new();
        let (mut transfers, mut pages, mut wraps) = (0, 0, 0);
        // A transfer that is refused is over a cycle later.
        let (mut refused, mut just_refused) = (0, false);
        compare_native_and_verilated(
            || BurstGenerator::new(bus_bytes as usize),
            |block, random, cycle| {
                let context = format!("cycle {cycle}, seed {SEED}, {bus_bytes} bytes");
                let ready = !random.one_in(3);
                let (address, length) =
                    (block.burst_address.val().to_u64(), block.burst_length.val().to_u64() + 1);
                if block.burst_valid.val() {
                    assert_eq!(Some(&(address, length)), expected.front(), "{context}");
                    assert!(address % 4096 + length * bus_bytes <= 4096 && length <= 64, "{context}");
                    if ready {
                        expected.pop_front();
                        pages += u64::from((address + length * bus_bytes) % 4096 == 0);
                        wraps += u64::from(address + length * bus_bytes == 1 << 32);
                    }
                } else if !just_refused {
                    assert_eq!(block.done.val(), expected.is_empty(), "{context}");
                }
                just_refused = false;
                let start = block.done.val() && random.one_in(3);
                let refuse = random.one_in(8);
                block.refuse.next = refuse;
                if start {
                    assert!(expected.is_empty(), "{context}");
                    let units = 16 / bus_bytes;
                    let address = (random.bits(32) & !15) | random.below(256) << 4;
                    let rows = 1 + random.below(4);
                    let most = if random.one_in(4) { 300 } else { 40 };
                    let row_beats = units * (1 + random.below(most));
                    let stride = random.bits(32) & !15;
                    just_refused = refuse;
                    if refuse {
                        refused += 1;
                    } else {
                        expected = bursts(address, rows, row_beats, stride, bus_bytes).into();
                    }
                    let offset = random.bits(32);
                    block.base.next = (address.wrapping_sub(offset) & 0xffff_ffff).into();
                    block.offset.next = offset.into();
                    block.last_row.next = (rows - 1).into();
                    block.row_beats.next = row_beats.into();
                    block.row_stride.next = stride.into();
                    transfers += 1;
                }
                block.start.next = start;
                block.burst_ready.next = ready;
            },
            clocked!(),
            4_000,
            SEED,
        )?;
        let counts = (transfers, refused, pages, wraps);
        assert!(
            transfers > 50 && refused > 5 && pages > 10 && wraps > 0,
            "transfers, refused, page ends, wraps: {counts:?}"
        );
    }
    Ok(())
}

#[test]
fn burst_generator_is_quiet_after_a_reset() -> Result<(), CompareError> {
    compare_native_and_verilated(
        || BurstGenerator::new(8),
        |block, random, cycle| {
            block.start.next = cycle % 10 == 0;
            block.reset.next = cycle % 10 == 5;
            block.base.next = 0x1000u64.into();
            block.last_row.next = 100u64.into();
            block.row_beats.next = 10u64.into();
            block.burst_ready.next = random.one_in(2);
            if cycle % 10 > 5 || (cycle > 0 && cycle % 10 == 0) {
                assert!(block.done.val() && !block.burst_valid.val(), "cycle {cycle}, seed {SEED}");
            }
        },
        clocked!(),
        200,
        SEED,
    )?;
    Ok(())
}

/// A request: address, length, whether it is a load's.
type ReadRequest = (u64, u64, bool);

#[test]
fn read_port() -> Result<(), CompareError> {
    const WORDS: usize = 2;
    /// Beats of loads after which a fetch goes first: four commands of 64 bytes.
    const QUOTA: u64 = 4 * 16 / WORDS as u64;
    let (mut since_fetch, mut contested) = (0, 0);
    // The sources keep a request until it is taken.
    let (mut fetch, mut load): (Option<ReadRequest>, Option<ReadRequest>) = (None, None);
    let mut requests: VecDeque<ReadRequest> = VecDeque::new();
    // Beat: words, error, load.
    let mut offered: Option<(Vec<u32>, bool, bool)> = None;
    let mut queued: VecDeque<(Vec<u32>, bool, bool)> = VecDeque::new();
    let mut beats = 0;
    compare_native_and_verilated(
        || ReadPort::new(WORDS),
        |block, random, cycle| {
            let context = format!("cycle {cycle}, seed {SEED}");
            let reset = random.one_in(200);
            let mut renew = |source: &mut Option<ReadRequest>, chance, is_load| {
                if source.is_none() && random.one_in(chance) {
                    *source = Some((random.bits(32), random.bits(8), is_load));
                }
            };
            renew(&mut fetch, 4, false);
            renew(&mut load, 2, true);
            if offered.is_none() && !random.one_in(4) {
                let words = (0..WORDS).map(|_| random.bits(32) as u32).collect();
                offered = Some((words, random.one_in(10), random.one_in(2)));
            }
            let ar_ready = random.one_in(2);
            let load_takes = !random.one_in(3);
            block.reset.next = reset;
            block.fetch_valid.next = fetch.is_some();
            block.load_valid.next = load.is_some();
            let (address, length, _) = fetch.unwrap_or_default();
            block.fetch_address.next = address.into();
            block.fetch_length.next = length.into();
            let (address, length, _) = load.unwrap_or_default();
            block.load_address.next = address.into();
            block.load_length.next = length.into();
            block.ar_ready.next = ar_ready;
            block.r_valid.next = offered.is_some();
            if let Some((words, error, is_load)) = &offered {
                drive_words(&mut block.r_data, words.iter().map(|word| u64::from(*word)));
                block.r_error.next = *error;
                block.r_id.next = *is_load;
            }
            block.load_beat_ready.next = load_takes;
            settle_before_edge!(block);

            // Addresses.
            let native = block.ar_valid.val().then(|| {
                (block.ar_address.val().to_u64(), block.ar_length.val().to_u64(), block.ar_id.val())
            });
            assert_eq!(native, requests.front().copied(), "{context}");
            let free = requests.len() < 2;
            if ar_ready {
                requests.pop_front();
            }
            let picks_fetch = fetch.is_some() && (load.is_none() || since_fetch >= QUOTA);
            assert_eq!(block.fetch_ready.val(), free && picks_fetch, "{context}");
            if load.is_some() {
                assert_eq!(block.load_ready.val(), free && !picks_fetch, "{context}");
            }
            if free {
                if picks_fetch {
                    since_fetch = 0;
                    requests.extend(fetch.take());
                } else {
                    let request = load.take();
                    if since_fetch < QUOTA {
                        since_fetch += request.map_or(0, |(_, length, _)| length + 1);
                    }
                    requests.extend(request);
                }
                contested += usize::from(picks_fetch && load.is_some());
            }
            // Data.
            assert_eq!(block.r_ready.val(), queued.len() < 4, "{context}");
            let head = queued.front().cloned();
            let is_load = head.as_ref().map(|(_, _, is_load)| *is_load);
            assert_eq!(block.fetch_beat_valid.val(), is_load == Some(false), "{context}");
            assert_eq!(block.load_beat_valid.val(), is_load == Some(true), "{context}");
            if let Some((words, error, is_load)) = head {
                assert_eq!((words_of(&block.beat), block.beat_error.val()), (words, error), "{context}");
                if !is_load || load_takes {
                    queued.pop_front();
                    beats += 1;
                }
            }
            if block.r_ready.val() {
                queued.extend(offered.take());
            }
            if reset {
                queued.clear();
                requests.clear();
                since_fetch = 0;
            }
        },
        clocked!(),
        2 * CYCLES,
        SEED,
    )?;
    assert!(beats > 500, "only {beats} beats");
    assert!(contested > 20, "fetch went before a load only {contested} times");
    Ok(())
}
