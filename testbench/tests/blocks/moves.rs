//! Moves of bytes.

use super::*;

#[test]
fn byte_mover() -> Result<(), CompareError> {
    compare_native_and_verilated(
        || ByteMover::new(16),
        |block, random, cycle| {
            // The values of the nest and of the command change at random: both implementations must do the same.
            block.reset.next = cycle == 0;
            block.active.next = !random.one_in(5);
            block.source.next = random.bits(16).into();
            block.position.next = u64::from((random.below(80) as u16).wrapping_sub(20)).into();
            block.row_inside.next = !random.one_in(6);
            block.row_ends.next = random.one_in(6);
            block.is_last.next = random.one_in(20);
            block.destination.next = random.bits(16).into();
            block.read_ready.next = !random.one_in(3);
            block.result_soon.next = random.one_in(3);
            block.result_odd.next = random.one_in(2);
            for port in &mut block.read_data {
                port.next = random.bits(32).into();
            }
            if cycle % 50 == 0 {
                let first_lane = random.below(16);
                block.first_lane.next = first_lane.into();
                block.last_byte.next = random.below(16 - first_lane).into();
                block.row_bytes.next = (1 + random.below(60)).into();
                block.pad_value.next = random.bits(8).into();
            }
        },
        clocked!(),
        CYCLES,
        SEED,
    )?;
    Ok(())
}
