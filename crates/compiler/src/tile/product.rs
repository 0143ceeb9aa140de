//! Cuts of products.

use super::*;

/// Blocks of the reduction, largest first: fewer channels, then fewer kernel columns, then fewer kernel rows.
fn reduction_blocks(window: &Window, chunks: usize, step: usize) -> Vec<(usize, usize, usize)> {
    let (height, width) = (window.kernel_height, window.kernel_width);
    let mut blocks: Vec<_> = parts(chunks, step).into_iter().map(|c| (height, width, c)).collect();
    let least = blocks.last().map_or(1, |block| block.2);
    blocks.extend(parts(width, 1).into_iter().skip(1).map(|x| (height, x, least)));
    blocks.extend(parts(height, 1).into_iter().skip(1).map(|y| (y, 1, least)));
    blocks
}

pub(super) fn plan_product(problem: &Problem<'_>, product: &Product) -> Result<Plan, Lack> {
    let config = problem.config;
    let quantum = vector_quantum(config);
    let (input, output) = (&problem.inputs[0], &problem.output);
    let window = &product.window;
    let groups_per_tile = config.cols / config.lanes;
    if groups_per_tile.next_multiple_of(group_quantum(config)) > config.parameter_depth {
        return Err(Lack { memory: ChipMemory::Parameter, needs: groups_per_tile });
    }
    let all_tiles = product.bias.len().div_ceil(config.cols);
    let staged_input = problem.resident_inputs[0].is_none();
    let staged_output = problem.resident_output.is_none();
    let dense = matches!(product.weights, crate::layer::Weights::Dense { .. });
    let all_chunks =
        (0..all_tiles).map(|t| chunks_of_tiles(product, t..t + 1, config).len()).max().unwrap_or(1);
    let chunk_step = if staged_input { quantum } else { 1 };
    let blocks = reduction_blocks(window, all_chunks, if all_chunks > 1 { chunk_step } else { 1 });
    let bus = config.bus_bytes() as f64;
    let tile_cycles = config.tile_bytes() as f64 / bus;
    let vector_cycles = config.rows as f64 / config.rows.min(config.bus_bytes()) as f64;
    let mut search = Search { problem, best: None, least: usize::MAX };
    // The least of each memory that stood in the way.
    let mut least_weights = usize::MAX;
    let mut least_accumulators = usize::MAX;
    let mut feasible_levels = 0;
    for (kernel_height, kernel_width, chunks) in blocks {
        if !dense && chunks < all_chunks {
            continue;
        }
        let kernel_blocks =
            window.kernel_height.div_ceil(kernel_height) * window.kernel_width.div_ceil(kernel_width);
        let reduction_blocks = kernel_blocks * all_chunks.div_ceil(chunks);
        let steps = kernel_height * kernel_width * chunks;
        let all_steps = window.kernel_height * window.kernel_width * all_chunks;
        if steps > config.weight_depth {
            least_weights = least_weights.min(steps);
            continue;
        }
        // Partial blocks of column tiles of a staged output must be whole vectors that can be stored.
        let vector_tiles = (config.rows / config.cols) * quantum;
        let mut tile_blocks: Vec<(usize, bool)> = Vec::new();
        for tiles in parts(all_tiles, 1) {
            let partial = tiles < all_tiles;
            if !partial || !staged_output || tiles % vector_tiles == 0 {
                tile_blocks.push((tiles, !partial));
            }
            if partial && staged_output {
                tile_blocks.push((tiles, true));
            }
        }
        if staged_output && all_tiles > vector_tiles {
            tile_blocks
                .extend(parts(all_tiles, vector_tiles).into_iter().skip(1).map(|tiles| (tiles, false)));
        }
        let before = search.best.is_some();
        for (tiles, whole_pixels) in tile_blocks {
            let block_tiles = tiles * steps;
            if block_tiles > config.weight_depth
                || (tiles * groups_per_tile).next_multiple_of(group_quantum(config)) > config.parameter_depth
            {
                continue;
            }
            let tile_count = all_tiles.div_ceil(tiles);
            let staged_chunks = if !staged_input {
                0
            } else if dense {
                if chunks == all_chunks {
                    input.pixel
                } else {
                    chunks.next_multiple_of(quantum)
                }
            } else {
                let most = ranges(all_tiles, tiles)
                    .map(|t| transferable(chunks_of_tiles(product, t, config), input, config).len());
                most.max().unwrap_or(1)
            };
            let block_chunks = ranges(all_tiles, tiles)
                .map(|block| transferable(output_chunks(&block, config), output, config).len())
                .max()
                .unwrap_or(1);
            let mut boxes: Vec<(usize, usize)> =
                parts(output.height, 1).into_iter().map(|rows| (rows, output.width)).collect();
            boxes.extend(parts(output.width, quantum).into_iter().skip(1).map(|columns| (1, columns)));
            for (rows, columns) in boxes {
                let accumulators = rows * columns * tiles * groups_per_tile;
                if reduction_blocks > 1 && accumulators > config.accumulator_depth {
                    least_accumulators = least_accumulators.min(accumulators);
                    continue;
                }
                let input_rows = extent(rows, window.stride_height, window.kernel_height, input.height);
                let mut input_columns =
                    extent(columns, window.stride_width, window.kernel_width, input.width);
                if input_columns < input.width && input.pixel % quantum != 0 {
                    input_columns = (input_columns + quantum).min(input.width);
                }
                let input_size = box_vectors(input_rows, input_columns, staged_chunks, quantum);
                let output_chunks = if whole_pixels { output.pixel } else { block_chunks };
                let output_size = box_vectors(rows, columns, output_chunks, quantum);
                let box_count = output.height.div_ceil(rows) * output.width.div_ceil(columns);
                for tiles_outside in [false, true] {
                    if tiles_outside && (tile_count == 1 || (staged_output && whole_pixels)) {
                        continue;
                    }
                    let blocks_in_turn = if tiles_outside { 1 } else { tile_count };
                    let weights_stay = blocks_in_turn * reduction_blocks * block_tiles <= config.weight_depth;
                    let passes = if weights_stay { 1 } else { box_count };
                    let commands = (box_count * tile_count * reduction_blocks) as f64;
                    let results = (output.height * output.width * all_tiles) as f64;
                    let per_result = reduction_blocks * steps.max(groups_per_tile);
                    let compute = results * (per_result.max(all_steps)) as f64 + COMMAND_COST * commands;
                    let weight_loads = (passes * tile_count * reduction_blocks) as f64;
                    let weight_cycles =
                        (passes * all_tiles * all_steps) as f64 * tile_cycles + TRANSFER_COST * weight_loads;
                    let block_cycles = block_tiles as f64 * tile_cycles;
                    let input_visits = match (dense && chunks == all_chunks, tiles_outside) {
                        (true, false) => 1,
                        (true, true) => tile_count,
                        (false, _) if dense => tile_count * reduction_blocks,
                        (false, _) => tile_count,
                    };
                    let input_loads = if staged_input { (box_count * input_visits) as f64 } else { 0.0 };
                    let input_cycles = input_loads * (input_size as f64 * vector_cycles + TRANSFER_COST);
                    let stores = if problem.stored { box_count as f64 } else { 0.0 };
                    let store_cycles = if problem.stored {
                        output.vectors() as f64 * vector_cycles
                            + TRANSFER_COST
                                * stores
                                * if whole_pixels { 1.0 } else { (tile_count * rows) as f64 }
                    } else {
                        0.0
                    };
                    let loads = weight_cycles + input_cycles;
                    // Blocks that leave no room for the next wait for one another.
                    let crowded = if 2 * block_tiles > config.weight_depth && weight_loads > 1.0 {
                        weight_loads * block_cycles
                    } else {
                        block_cycles * block_tiles as f64 / config.weight_depth as f64
                    };
                    let drain = if reduction_blocks > 1 { COMMAND_COST * commands } else { 0.0 };
                    // What follows can begin after the first box of the last block.
                    let hand_over = 0.25 * compute / (box_count as f64)
                        + if tiles_outside { 0.1 * compute * (1.0 - 1.0 / tile_count as f64) } else { 0.0 };
                    let cost = move |double: bool| {
                        let overlapped = if double {
                            compute.max(loads).max(store_cycles)
                                + input_cycles / input_loads.max(1.0)
                                + store_cycles / stores.max(1.0)
                        } else {
                            compute + loads + store_cycles
                        };
                        overlapped + crowded + drain + hand_over
                    };
                    let cut = ProductCut {
                        tiles,
                        kernel_height,
                        kernel_width,
                        chunks,
                        tiles_outside,
                        whole_pixels,
                    };
                    search.consider(&[input_size], output_size, cost, |inputs, output| Plan {
                        rows,
                        columns,
                        inputs,
                        output,
                        cut: Cut::Product(cut),
                    });
                }
            }
        }
        if search.best.is_some() {
            feasible_levels += 1;
        }
        // A smaller block than one that fits helps only when the scratchpad is crowded.
        if before || feasible_levels >= 2 || (search.best.is_some() && 2 * steps <= config.weight_depth) {
            break;
        }
    }
    if search.best.is_none() && search.least == usize::MAX {
        if least_accumulators < usize::MAX {
            return Err(Lack { memory: ChipMemory::Accumulator, needs: least_accumulators });
        }
        if least_weights < usize::MAX {
            return Err(Lack { memory: ChipMemory::Weight, needs: least_weights });
        }
        return Err(Lack { memory: ChipMemory::Parameter, needs: groups_per_tile });
    }
    search.finish()
}
