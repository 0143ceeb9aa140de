//! The loop nest.

use super::*;

/// The shape of a loop nest: iterations from the outermost loop in, then everything else.
#[derive(Clone, Debug, Default)]
struct NestShape {
    iterations: [u64; 6],
    source: u16,
    /// Chunk, y, x, kernel y, kernel x, channel.
    strides: [u16; 6],
    /// Width and height of the input; first tap; from kernel tap to tap; from output to output. Each x, y.
    input: [u16; 2],
    start: [u16; 2],
    kernel_step: [u16; 2],
    step: [u16; 2],
    output: u16,
    /// Chunk, y, x.
    output_strides: [u16; 3],
    lane: u64,
    lane_step: u64,
    lanes: u64,
}

/// One step: address, in bounds, first, last, last of tile, last of all, result address, result lane.
type NestStep = (u16, bool, bool, bool, bool, bool, u16, u64);

impl NestShape {
    fn random(random: &mut Random) -> Self {
        let lanes = 8 << random.below(3);
        let lane_step = 2 << random.below(3);
        let mut word = || random.bits(16) as u16;
        let mut shape = Self {
            source: word(),
            strides: [0; 6].map(|_| word()),
            output: word(),
            output_strides: [0; 3].map(|_| word()),
            ..Self::default()
        };
        // Mostly images that the taps can reach, from a little before them on.
        let mut small = |limit: u64| random.below(limit) as u16;
        shape.input = [small(9), small(9)];
        shape.start = [small(9).wrapping_sub(4), small(9).wrapping_sub(4)];
        shape.kernel_step = [small(4), small(4)];
        shape.step = [small(4), small(4)];
        if random.one_in(6) {
            shape.input = [0x7fff, random.below(0x8000) as u16];
            shape.start = [0; 2].map(|_| random.bits(16) as u16);
            shape.step = [0; 2].map(|_| random.bits(8) as u16);
        }
        shape.iterations = [0; 6].map(|_| 1 + random.below(4));
        if random.one_in(8) {
            shape.iterations = [1; 6];
            shape.iterations[random.below(6) as usize] = 1 + random.below(300);
        }
        shape.lane = random.below(lanes / lane_step) * lane_step;
        Self { lane_step, lanes, ..shape }
    }

    /// The loops as the header of the block and docs/architecture.md have them.
    fn steps(&self) -> Vec<NestStep> {
        let mut steps = Vec::new();
        let [tiles, outputs_y, outputs_x, kernel_y, kernel_x, channels] = self.iterations;
        let distance = |indices: &[u64], strides: &[u16]| -> u64 {
            indices.iter().zip(strides).map(|(index, stride)| index * u64::from(*stride)).sum()
        };
        let inside =
            |position: u64, size: u16| (0..i64::from(size)).contains(&i64::from(position as u16 as i16));
        for tile in 0..tiles {
            let chunk = (self.lane + tile * self.lane_step) / self.lanes;
            for y in 0..outputs_y {
                for x in 0..outputs_x {
                    let result = distance(&[chunk, y, x], &self.output_strides);
                    for ky in 0..kernel_y {
                        for kx in 0..kernel_x {
                            for channel in 0..channels {
                                let offset = distance(&[chunk, y, x, ky, kx, channel], &self.strides);
                                let tap = |axis: usize, output: u64, kernel: u64| {
                                    u64::from(self.start[axis])
                                        + output * u64::from(self.step[axis])
                                        + kernel * u64::from(self.kernel_step[axis])
                                };
                                let in_bounds = inside(tap(0, x, kx), self.input[0])
                                    && inside(tap(1, y, ky), self.input[1]);
                                let first = (ky, kx, channel) == (0, 0, 0);
                                let last = (ky, kx, channel) == (kernel_y - 1, kernel_x - 1, channels - 1);
                                let last_of_tile = last && (y, x) == (outputs_y - 1, outputs_x - 1);
                                steps.push((
                                    (u64::from(self.source) + offset) as u16,
                                    in_bounds,
                                    first,
                                    last,
                                    last_of_tile,
                                    last_of_tile && tile == tiles - 1,
                                    (u64::from(self.output) + result) as u16,
                                    (self.lane + tile * self.lane_step) % self.lanes,
                                ));
                            }
                        }
                    }
                }
            }
        }
        steps
    }

    fn drive(&self, block: &mut LoopNest) {
        let word = |value: u16| Bits::<16>::from(u64::from(value));
        let [tile, y, x, kernel_y, kernel_x, channel] = self.iterations.map(|n| word((n - 1) as u16));
        block.last_tile.next = tile;
        block.last_y.next = y;
        block.last_x.next = x;
        block.last_kernel_y.next = kernel_y;
        block.last_kernel_x.next = kernel_x;
        block.last_channel.next = channel;
        for (port, last) in block.initial_last.iter_mut().zip([channel, kernel_x, kernel_y, x, y, tile]) {
            port.next = last;
        }
        block.initial_source.next = word(self.source);
        let [chunk, y, x, kernel_y, kernel_x, channel] = self.strides.map(word);
        block.stride_chunk.next = chunk;
        block.stride_y.next = y;
        block.stride_x.next = x;
        block.stride_kernel_y.next = kernel_y;
        block.stride_kernel_x.next = kernel_x;
        block.stride_channel.next = channel;
        [block.input_width.next, block.input_height.next] = self.input.map(word);
        [block.start_x.next, block.start_y.next] = self.start.map(word);
        [block.initial_start_x.next, block.initial_start_y.next] = self.start.map(word);
        [block.kernel_step_x.next, block.kernel_step_y.next] = self.kernel_step.map(word);
        [block.step_x.next, block.step_y.next] = self.step.map(word);
        block.initial_output.next = word(self.output);
        [block.output_stride_chunk.next, block.output_stride_y.next, block.output_stride_x.next] =
            self.output_strides.map(word);
        block.initial_lane.next = self.lane.into();
        block.lane_step.next = self.lane_step.into();
        block.lane_mask.next = (self.lanes - 1).into();
    }
}

#[test]
fn loop_nest_walks_the_nested_loops() -> Result<(), CompareError> {
    let mut shape = NestShape::default();
    let (mut steps, mut position) = (Vec::new(), 0);
    let mut whole_walks = 0;
    compare_native_and_verilated(
        LoopNest::default,
        |block, random, cycle| {
            let valid = block.valid.val();
            assert!(
                !valid || position < steps.len(),
                "a step too many, cycle {cycle}, seed {SEED}, {shape:?}"
            );
            if valid {
                let step: NestStep = (
                    block.address.val().to_u16(),
                    block.in_bounds.val(),
                    block.first.val(),
                    block.last.val(),
                    block.last_of_tile.val(),
                    block.last_of_all.val(),
                    block.result_address.val().to_u16(),
                    block.result_lane.val().to_u64(),
                );
                assert_eq!(step, steps[position], "step {position}, cycle {cycle}, seed {SEED}, {shape:?}");
            }
            let advance = !random.one_in(4);
            // A new nest when the old one is walked; now and then a reset, which ends it in its middle.
            let reset = random.one_in(400);
            let start = position == steps.len() && !reset;
            if reset {
                (steps, position) = (Vec::new(), 0);
            } else if start {
                whole_walks += u64::from(!steps.is_empty());
                shape = NestShape::random(random);
                shape.drive(block);
                (steps, position) = (shape.steps(), 0);
            } else {
                position += usize::from(valid && advance);
            }
            block.reset.next = reset;
            block.start.next = start;
            block.advance.next = advance;
        },
        clocked!(),
        6_000,
        SEED,
    )?;
    assert!(whole_walks > 15, "only {whole_walks} nests were walked to the end");
    Ok(())
}
