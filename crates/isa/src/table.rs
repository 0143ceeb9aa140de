//! The one table of commands and the one table of registers.
//!
//! Both are callback macros: `command_table!(m)` expands to `m! { ... }` with the whole table, so that
//! each crate can expand the same rows into what it needs (structs, decoders, documentation, RTL).

/// Calls `$callback!` with every command.
///
/// Row form: `Name snake_name = opcode, Engine { field: kind [word, least significant bit, width]; }`.
/// Kinds: `unsigned`; `signed` (two's complement); `count` (stored minus one, so zero cannot be
/// written); `flag` (one bit). All commands share word 0 bits 0..16: opcode, wait and signal masks.
#[macro_export]
macro_rules! command_table {
    ($callback:ident) => {
        $callback! {
            /// Copies rows of bytes from memory into an on-chip memory.
            Load load = 0x01, Load {
                /// Destination: 0 activation scratchpad, 1 weight scratchpad, 2 parameter memory, 3 accumulator memory.
                space: unsigned [0, 16, 2];
                /// How bytes land in the weight scratchpad: 0 linear, 1 column, 2 row (transposing), 3 group scales. In space 2, 1 loads tables and 2 scalars. Other spaces use 0.
                layout: unsigned [0, 18, 2];
                /// Base register added to the memory offset.
                base_register: unsigned [0, 20, 3];
                /// Byte offset from the base register; a multiple of 16.
                memory_offset: unsigned [1, 0, 32];
                /// Rows to copy.
                rows: count [2, 0, 16];
                /// Index of the first row: where in a group of columns (layout 1) or lanes (layout 2) the rows begin.
                first_row: unsigned [2, 16, 16];
                /// Bytes of one row; a multiple of 16, not zero.
                row_bytes: unsigned [3, 0, 24];
                /// Bytes from one row to the next in memory; a multiple of 16.
                memory_stride: unsigned [4, 0, 32];
                /// Destination address of the first row: vectors, tiles, parameter groups or accumulator rows.
                address: unsigned [5, 0, 16];
                /// Destination distance from one row to the next (layout 0) or from one group of columns to the next (layouts 1, 2).
                stride: unsigned [5, 16, 16];
            }
            /// Computes output pixels: a loop nest of dot products, requantised into the activation scratchpad.
            Matrix matrix = 0x02, Matrix {
                /// Adds the partial sum read from accumulator memory instead of the bias.
                accumulate: flag [0, 16, 1];
                /// Writes raw 32-bit sums to accumulator memory; nothing is requantised.
                to_accumulator: flag [0, 17, 1];
                /// Rounds once (floor, then half up) instead of twice (TensorFlow Lite).
                single_rounding: flag [0, 18, 1];
                /// Sums each channel on its own over the taps of its column of pixels, instead of all channels of a vector.
                depthwise: flag [0, 19, 1];
                /// A weight byte holds two weights of 4 bits: a tile gives twice the columns, scaled by the group scales.
                four_bit: flag [0, 20, 1];
                /// Accumulator rows follow the output strides instead of the order of results.
                row_results: flag [0, 21, 1];
                /// With `to_accumulator`: 32-bit results are requantised before they are written.
                rescale: flag [0, 22, 1];
                /// With `rescale` and `row_results`: adds the row that a result overwrites, after requantising.
                add_row: flag [0, 23, 1];
                /// Activation vector of the first tap of the first output.
                activation_address: unsigned [1, 0, 16];
                /// Weight tile of the first tap of the first column tile; tiles are read in order.
                weight_address: unsigned [1, 16, 16];
                /// Parameter group of the first column tile's first lanes.
                parameter_address: unsigned [2, 0, 16];
                /// Accumulator row of the first result; advances by one per group of lanes.
                accumulator_address: unsigned [2, 16, 16];
                /// Activation vector that the first result is written to.
                output_address: unsigned [3, 0, 16];
                /// Byte in that vector where the first column tile begins; a multiple of the columns.
                output_lane: unsigned [3, 16, 8];
                /// Value that an activation outside the input reads as (the input's zero point).
                pad_value: signed [3, 24, 8];
                /// Vectors of one tap (channels / rows): the innermost loop.
                channels: count [4, 0, 16];
                /// Kernel width.
                kernel_x: count [4, 16, 8];
                /// Kernel height.
                kernel_y: count [4, 24, 8];
                /// Output columns.
                outputs_x: count [5, 0, 16];
                /// Output rows.
                outputs_y: count [5, 16, 16];
                /// Column tiles (output channels / cols): the outermost loop.
                tiles: count [6, 0, 16];
                /// Zero point of the result.
                output_zero_point: signed [6, 16, 8];
                /// Activation vectors from one kernel column to the next.
                stride_kernel_x: unsigned [7, 0, 16];
                /// Activation vectors from one kernel row to the next.
                stride_kernel_y: unsigned [7, 16, 16];
                /// Activation vectors from one output column's window to the next.
                stride_x: unsigned [8, 0, 16];
                /// Activation vectors from one output row's window to the next.
                stride_y: unsigned [8, 16, 16];
                /// Output vectors from one output column to the next.
                output_stride_x: unsigned [9, 0, 16];
                /// Output vectors from one output row to the next.
                output_stride_y: unsigned [9, 16, 16];
                /// Output vectors from one full vector of output channels to the next.
                output_stride_tile: unsigned [10, 0, 16];
                /// Activation vectors from one vector of channels to the next; with `depthwise`, from one column tile's source to the next.
                stride_channel: unsigned [10, 16, 16];
                /// Input width in pixels, for padding.
                input_width: unsigned [11, 0, 15];
                /// Input height in pixels, for padding.
                input_height: unsigned [11, 16, 15];
                /// Input column of the first tap; negative in the left padding.
                start_x: signed [12, 0, 16];
                /// Input row of the first tap; negative in the top padding.
                start_y: signed [12, 16, 16];
                /// Input columns from one output column to the next.
                step_x: unsigned [13, 0, 8];
                /// Input rows from one output row to the next.
                step_y: unsigned [13, 8, 8];
                /// Input columns from one kernel column to the next.
                kernel_step_x: unsigned [13, 16, 8];
                /// Input rows from one kernel row to the next.
                kernel_step_y: unsigned [13, 24, 8];
                /// Smallest result.
                minimum: signed [14, 0, 8];
                /// Largest result.
                maximum: signed [14, 8, 8];
                /// Results at the beginning of every output row that are computed and dropped; fewer than `outputs_x`.
                skip: unsigned [14, 16, 8];
                /// Weight tiles from the first of one column tile to the first of the next; 0: as many as the reduction has steps.
                weight_stride_tile: unsigned [15, 0, 16];
            }
            /// Reduces and requantises lanes: residual add, pooling, rescaling.
            Vector vector = 0x03, Vector {
                /// Source: 0 activation scratchpad (int8), 1 accumulator memory (int32; no window, rows in order).
                source: unsigned [0, 16, 1];
                /// Destination: 0 activation scratchpad (int8, clamped), 1 accumulator memory (int32).
                destination: unsigned [0, 17, 1];
                /// Rounds once (floor, then half up) instead of twice (TensorFlow Lite).
                single_rounding: flag [0, 18, 1];
                /// Adds the operand's accumulator row after requantising, in place of `post_add`.
                add_operand: flag [0, 19, 1];
                /// How the window is reduced: 0 sum, 1 maximum, 2 minimum.
                reduce: unsigned [0, 20, 2];
                /// Multiplies the reduced value, `pre_add` included, by the operand's accumulator row before requantising: 16 bits each.
                multiply_operand: flag [0, 22, 1];
                /// The operand row advances with each group of lanes instead of with each result.
                operand_per_group: flag [0, 23, 1];
                /// Replaces int8 results by their entries in a table.
                lookup: flag [0, 24, 1];
                /// Which table.
                table: unsigned [0, 25, 3];
                /// With `add_operand`: the operand is subtracted instead.
                subtract_operand: flag [0, 28, 1];
                /// Activation vector or accumulator row of the first element.
                source_address: unsigned [1, 0, 16];
                /// Activation vector or accumulator row of the first result.
                destination_address: unsigned [1, 16, 16];
                /// Accumulator row of the first operand.
                operand_address: unsigned [2, 0, 16];
                /// Byte in the source and destination vectors where the first group of lanes begins.
                first_lane: unsigned [2, 16, 8];
                /// Window width.
                kernel_x: count [3, 0, 8];
                /// Window height.
                kernel_y: count [3, 8, 8];
                /// Groups of lanes (channels / lanes): the outermost loop.
                groups: count [3, 16, 16];
                /// Output columns.
                outputs_x: count [4, 0, 16];
                /// Output rows.
                outputs_y: count [4, 16, 16];
                /// Source vectors from one window column to the next.
                stride_kernel_x: unsigned [5, 0, 16];
                /// Source vectors from one window row to the next.
                stride_kernel_y: unsigned [5, 16, 16];
                /// Source vectors from one output column's window to the next.
                stride_x: unsigned [6, 0, 16];
                /// Source vectors from one output row's window to the next.
                stride_y: unsigned [6, 16, 16];
                /// Source vectors from one full vector of channels to the next.
                stride_group: unsigned [7, 0, 16];
                /// Destination vectors from one full vector of channels to the next.
                output_stride_group: unsigned [7, 16, 16];
                /// Destination vectors from one output column to the next.
                output_stride_x: unsigned [8, 0, 16];
                /// Destination vectors from one output row to the next.
                output_stride_y: unsigned [8, 16, 16];
                /// Added to the reduced value before requantising (minus the zero point).
                pre_add: signed [9, 0, 32];
                /// Multiplier in units of 2^-31, 0 ..= 2^31.
                multiplier: unsigned [10, 0, 32];
                /// Left shift before the multiplication, 0 ..= 31.
                left_shift: unsigned [11, 0, 5];
                /// Rounding right shift after the multiplication, 0 ..= 31.
                right_shift: unsigned [11, 8, 5];
                /// Smallest int8 result.
                minimum: signed [11, 16, 8];
                /// Largest int8 result.
                maximum: signed [11, 24, 8];
                /// Added after requantising (the zero point).
                post_add: signed [12, 0, 32];
                /// Input width in pixels, for padding.
                input_width: unsigned [13, 0, 15];
                /// Input height in pixels, for padding.
                input_height: unsigned [13, 16, 15];
                /// Input column of the first tap; negative in the left padding.
                start_x: signed [14, 0, 16];
                /// Input row of the first tap; negative in the top padding.
                start_y: signed [14, 16, 16];
                /// Input columns from one output column to the next.
                step_x: unsigned [15, 0, 8];
                /// Input rows from one output row to the next.
                step_y: unsigned [15, 8, 8];
                /// Value that an element outside the input reads as.
                pad_value: signed [15, 16, 8];
            }
            /// Copies segments of bytes within the activation scratchpad: packs windows, joins channels.
            Move move_bytes = 0x07, Vector {
                /// Vector that holds byte 0 of the source row of the first output row.
                source_address: unsigned [1, 0, 16];
                /// Vector that the first segment is written to.
                destination_address: unsigned [1, 16, 16];
                /// Byte in the destination vector where every segment begins.
                first_lane: unsigned [2, 16, 8];
                /// Bytes of a segment; it ends within the destination vector.
                bytes: count [2, 24, 8];
                /// Output columns: segments of one source row.
                outputs_x: count [4, 0, 16];
                /// Output rows.
                outputs_y: count [4, 16, 16];
                /// Source vectors from one output row's source row to the next.
                stride_y: unsigned [6, 16, 16];
                /// Destination vectors from one output column to the next.
                output_stride_x: unsigned [8, 0, 16];
                /// Destination vectors from one output row to the next.
                output_stride_y: unsigned [8, 16, 16];
                /// Bytes of a source row, not zero; others read as `pad_value`.
                input_width: unsigned [13, 0, 15];
                /// Source rows; others read as `pad_value`.
                input_height: unsigned [13, 16, 15];
                /// Byte of the source row where the first segment begins; may be negative.
                start_x: signed [14, 0, 16];
                /// Source row of the first output row; may be negative.
                start_y: signed [14, 16, 16];
                /// Bytes from one segment of a row to the next.
                step_x: unsigned [15, 0, 8];
                /// Source rows from one output row to the next.
                step_y: unsigned [15, 8, 8];
                /// Value of a byte outside the source.
                pad_value: signed [15, 16, 8];
            }
            /// Works along rows of accumulator memory: norms, softmax, rotary embedding, gating, argmax.
            Row row = 0x08, Vector {
                /// What becomes of the scaled value: 0 nothing, 1 times the operand or `factor`, 2 its square, 3 a power of two, 4 SiLU.
                function: unsigned [0, 16, 3];
                /// What a row's values are reduced to: 0 nothing, 1 sum, 2 maximum, 3 the largest value and its index.
                reduce: unsigned [0, 19, 2];
                /// What becomes of a row's sum or maximum: 0 nothing, 1 negated, 2 reciprocal, 3 inverse square root.
                finish: unsigned [0, 21, 2];
                /// With function 1: operand rows of accumulator memory are the factors.
                operand: flag [0, 23, 1];
                /// Where values go: 0 nowhere, 1 activation scratchpad (int8, clamped), 2 accumulator memory (int32).
                destination: unsigned [0, 24, 2];
                /// What a row's scalar does: 0 nothing, 1 is added before scaling, 2 is the multiplier, 3 is kept unless a larger value is found (reduction 3).
                scalar_use: unsigned [0, 26, 2];
                /// Terms of a value: each has a source row and an operand row of its own.
                taps: count [0, 28, 1];
                /// Accumulator row of the first value.
                source_address: unsigned [1, 0, 16];
                /// Accumulator row of the first factors.
                operand_address: unsigned [1, 16, 16];
                /// Activation vector or accumulator row of the first result.
                destination_address: unsigned [2, 0, 16];
                /// Byte in the destination vectors where a row begins; a multiple of the lanes.
                first_lane: unsigned [2, 16, 8];
                /// By how much `length` grows from one row to the next (x).
                length_step: unsigned [2, 24, 8];
                /// Rows, inner loop.
                rows_x: count [3, 0, 16];
                /// Rows, outer loop.
                rows_y: count [3, 16, 16];
                /// Groups of lanes of a row.
                groups: count [4, 0, 16];
                /// Elements of the first row (of each y) that count; those behind read as zero and take no part in the reduction.
                length: unsigned [4, 16, 16];
                /// Source rows from one row to the next (x).
                source_stride_x: unsigned [5, 0, 16];
                /// Source rows from one row to the next (y).
                source_stride_y: unsigned [5, 16, 16];
                /// Operand rows from one row to the next (x).
                operand_stride_x: unsigned [6, 0, 16];
                /// Operand rows from one row to the next (y).
                operand_stride_y: unsigned [6, 16, 16];
                /// Destination vectors or rows from one row to the next (x).
                destination_stride_x: unsigned [7, 0, 16];
                /// Destination vectors or rows from one row to the next (y).
                destination_stride_y: unsigned [7, 16, 16];
                /// Source rows from a value's first term to its second.
                source_stride_tap: unsigned [8, 0, 16];
                /// Operand rows from a value's first term to its second.
                operand_stride_tap: unsigned [8, 16, 16];
                /// Scalar of the first row, read.
                scalar_address: unsigned [9, 0, 8];
                /// Scalar of the first row, written.
                result_address: unsigned [9, 8, 8];
                /// Function 1 without operand: the factor.
                factor: signed [9, 16, 16];
                /// Multiplier in units of 2^-31, 0 ..= 2^31.
                multiplier: unsigned [10, 0, 32];
                /// Left shift before the multiplication, 0 ..= 31.
                left_shift: unsigned [11, 0, 5];
                /// Rounding right shift after the multiplication, 0 ..= 31.
                right_shift: unsigned [11, 5, 5];
                /// Rounding right shift after the function, 0 ..= 31.
                shift: unsigned [11, 10, 5];
                /// Smallest int8 result.
                minimum: signed [11, 16, 8];
                /// Largest int8 result.
                maximum: signed [11, 24, 8];
                /// Added after scaling.
                post_add: signed [12, 0, 32];
                /// What a sum or maximum begins with; with reduction 3, the index of a row's first element.
                initial: signed [13, 0, 32];
            }
            /// Copies rows of activation vectors (or accumulator rows) to memory.
            Store store = 0x04, Store {
                /// Source: 0 activation scratchpad, 3 accumulator memory.
                space: unsigned [0, 16, 2];
                /// Base register added to the memory offset.
                base_register: unsigned [0, 20, 3];
                /// Byte offset from the base register; a multiple of 16.
                memory_offset: unsigned [1, 0, 32];
                /// Rows to copy.
                rows: count [2, 0, 16];
                /// Bytes of one row; a multiple of 16, not zero.
                row_bytes: unsigned [3, 0, 24];
                /// Bytes from one row to the next in memory; a multiple of 16.
                memory_stride: unsigned [4, 0, 32];
                /// Source address of the first row, in vectors or accumulator rows.
                address: unsigned [5, 0, 16];
                /// Source distance from one row to the next.
                stride: unsigned [5, 16, 16];
            }
            /// Waits until engines are idle and their writes have reached memory.
            Barrier barrier = 0x05, Control {
                /// One bit an engine (load, matrix, vector, store); 0: all.
                engines: unsigned [0, 16, 4];
            }
            /// Adds numbers made from scalars to fields of the next command.
            Adjust adjust = 0x09, Control {
                /// Patch 1: added to the scalar.
                add_0: signed [2, 0, 16];
                /// Patch 1: multiplies the number.
                multiplier_0: unsigned [2, 16, 16];
                /// Patch 1: the scalar.
                scalar_0: unsigned [3, 0, 8];
                /// Patch 1: right shift of the sum, before the multiplication.
                shift_0: unsigned [3, 8, 5];
                /// Patch 1: low bits of the shifted sum that are kept, at most 18; 0: all 18.
                keep_0: unsigned [3, 13, 5];
                /// Patch 1: word of the next command that the product is added to.
                word_0: unsigned [3, 18, 4];
                /// Patch 1: part of that word: 0 no patch, 1 its low 16 bits, 2 its high 16 bits, 3 all of it.
                part_0: unsigned [3, 22, 2];
                /// Patch 2: added to the scalar.
                add_1: signed [4, 0, 16];
                /// Patch 2: multiplies the number.
                multiplier_1: unsigned [4, 16, 16];
                /// Patch 2: the scalar.
                scalar_1: unsigned [5, 0, 8];
                /// Patch 2: right shift of the sum, before the multiplication.
                shift_1: unsigned [5, 8, 5];
                /// Patch 2: low bits of the shifted sum that are kept, at most 18; 0: all 18.
                keep_1: unsigned [5, 13, 5];
                /// Patch 2: word of the next command that the product is added to.
                word_1: unsigned [5, 18, 4];
                /// Patch 2: part of that word: 0 no patch, 1 its low 16 bits, 2 its high 16 bits, 3 all of it.
                part_1: unsigned [5, 22, 2];
                /// Patch 3: added to the scalar.
                add_2: signed [6, 0, 16];
                /// Patch 3: multiplies the number.
                multiplier_2: unsigned [6, 16, 16];
                /// Patch 3: the scalar.
                scalar_2: unsigned [7, 0, 8];
                /// Patch 3: right shift of the sum, before the multiplication.
                shift_2: unsigned [7, 8, 5];
                /// Patch 3: low bits of the shifted sum that are kept, at most 18; 0: all 18.
                keep_2: unsigned [7, 13, 5];
                /// Patch 3: word of the next command that the product is added to.
                word_2: unsigned [7, 18, 4];
                /// Patch 3: part of that word: 0 no patch, 1 its low 16 bits, 2 its high 16 bits, 3 all of it.
                part_2: unsigned [7, 22, 2];
                /// Patch 4: added to the scalar.
                add_3: signed [8, 0, 16];
                /// Patch 4: multiplies the number.
                multiplier_3: unsigned [8, 16, 16];
                /// Patch 4: the scalar.
                scalar_3: unsigned [9, 0, 8];
                /// Patch 4: right shift of the sum, before the multiplication.
                shift_3: unsigned [9, 8, 5];
                /// Patch 4: low bits of the shifted sum that are kept, at most 18; 0: all 18.
                keep_3: unsigned [9, 13, 5];
                /// Patch 4: word of the next command that the product is added to.
                word_3: unsigned [9, 18, 4];
                /// Patch 4: part of that word: 0 no patch, 1 its low 16 bits, 2 its high 16 bits, 3 all of it.
                part_3: unsigned [9, 22, 2];
                /// Patch 5: added to the scalar.
                add_4: signed [10, 0, 16];
                /// Patch 5: multiplies the number.
                multiplier_4: unsigned [10, 16, 16];
                /// Patch 5: the scalar.
                scalar_4: unsigned [11, 0, 8];
                /// Patch 5: right shift of the sum, before the multiplication.
                shift_4: unsigned [11, 8, 5];
                /// Patch 5: low bits of the shifted sum that are kept, at most 18; 0: all 18.
                keep_4: unsigned [11, 13, 5];
                /// Patch 5: word of the next command that the product is added to.
                word_4: unsigned [11, 18, 4];
                /// Patch 5: part of that word: 0 no patch, 1 its low 16 bits, 2 its high 16 bits, 3 all of it.
                part_4: unsigned [11, 22, 2];
                /// Patch 6: added to the scalar.
                add_5: signed [12, 0, 16];
                /// Patch 6: multiplies the number.
                multiplier_5: unsigned [12, 16, 16];
                /// Patch 6: the scalar.
                scalar_5: unsigned [13, 0, 8];
                /// Patch 6: right shift of the sum, before the multiplication.
                shift_5: unsigned [13, 8, 5];
                /// Patch 6: low bits of the shifted sum that are kept, at most 18; 0: all 18.
                keep_5: unsigned [13, 13, 5];
                /// Patch 6: word of the next command that the product is added to.
                word_5: unsigned [13, 18, 4];
                /// Patch 6: part of that word: 0 no patch, 1 its low 16 bits, 2 its high 16 bits, 3 all of it.
                part_5: unsigned [13, 22, 2];
            }
            /// Sets a scalar to a number, or to another scalar and a number.
            Set set = 0x0a, Control {
                /// Scalar to set.
                scalar: unsigned [1, 0, 8];
                /// Scalar that is added, if `add` is set.
                source: unsigned [1, 8, 8];
                /// Adds the scalar `source`.
                add: flag [1, 16, 1];
                /// The number.
                value: signed [2, 0, 32];
            }
            /// Continues at another command while a scalar is below a limit.
            Branch branch = 0x0b, Control {
                /// Scalar to compare.
                scalar: unsigned [1, 0, 8];
                /// Continues at `target` if the scalar is less than this; both unsigned.
                limit: unsigned [2, 0, 32];
                /// Index of the command to continue at.
                target: unsigned [3, 0, 32];
            }
            /// Ends the program once every engine is idle.
            End end = 0x06, Control {
            }
        }
    };
}

/// Calls `$callback!` with every AXI4-Lite register: `NAME = byte offset, access, "description";`.
#[macro_export]
macro_rules! register_table {
    ($callback:ident) => {
        $callback! {
            IDENTITY = 0x00, read_only, "0x46525547, the letters FRUG.";
            VERSION = 0x04, read_only, "Version of the instruction set.";
            SHAPE = 0x08, read_only, "Bits 0..8 rows, 8..16 cols, 16..24 requantise lanes, 24..32 bus bytes.";
            ACTIVATION_DEPTH = 0x0c, read_only, "Vectors of the activation scratchpad.";
            WEIGHT_DEPTH = 0x10, read_only, "Tiles of the weight scratchpad.";
            PARAMETER_DEPTH = 0x14, read_only, "Groups of the parameter memory.";
            ACCUMULATOR_DEPTH = 0x18, read_only, "Rows of the accumulator memory.";
            FEATURES = 0x1c, read_only, "What the configuration has: bit 0 4-bit weights, bit 1 the row engine and scalars (`row`, `set`, `branch`, `adjust`), bit 2 the performance counters from `MATRIX_BUSY` on and the debug registers, bit 3 a core that executes one command after another; bits 8..16 tables, bits 16..24 depthwise taps, bits 24..32 base registers.";
            CONTROL = 0x20, write_only, "Bit 0 starts the program; bit 1 resets the machine after an error. Start is ignored while busy.";
            STATUS = 0x24, read_only, "Bit 0 busy, bit 1 done, bit 2 error; bits 8..16 status code, bits 16..20 engine.";
            COMMAND_INDEX = 0x28, read_only, "Index in the program of the command that is dispatched next; at an illegal command, its own.";
            PROGRAM_ADDRESS = 0x2c, read_write, "Byte address of the first command; a multiple of 64.";
            PROGRAM_COMMANDS = 0x30, read_write, "Commands in the program, END included.";
            CYCLES_LOW = 0x34, read_only, "Cycles from start to done, low half.";
            CYCLES_HIGH = 0x38, read_only, "Cycles from start to done, high half.";
            MATRIX_STEPS = 0x3c, read_only, "Cycles in which the MAC array was given work, modulo 2^32.";
            DEBUG_STATES = 0x40, read_only, "State of each FSM, four bits each: dispatch, load, matrix, vector, store.";
            DEBUG_QUEUES = 0x44, read_only, "Commands that wait in each queue, eight bits each: load, matrix, vector, store.";
            DEBUG_TOKENS_LOAD = 0x48, read_only, "Tokens that each engine has sent to load, eight bits each: from load, matrix, vector, store.";
            DEBUG_TOKENS_MATRIX = 0x4c, read_only, "Tokens that each engine has sent to matrix.";
            DEBUG_TOKENS_VECTOR = 0x50, read_only, "Tokens that each engine has sent to vector.";
            DEBUG_TOKENS_STORE = 0x54, read_only, "Tokens that each engine has sent to store.";
            COMMANDS = 0x58, read_only, "Commands dispatched since the start, modulo 2^32; with branches, a command of the program counts every time.";
            BASE_0 = 0x60, read_write, "Base register 0: constants (weights and parameters).";
            BASE_1 = 0x64, read_write, "Base register 1: workspace (inputs, outputs, spilled tensors).";
            BASE_2 = 0x68, read_write, "Base register 2.";
            BASE_3 = 0x6c, read_write, "Base register 3.";
            BASE_4 = 0x70, read_write, "Base register 4.";
            BASE_5 = 0x74, read_write, "Base register 5.";
            BASE_6 = 0x78, read_write, "Base register 6.";
            BASE_7 = 0x7c, read_write, "Base register 7.";
            MATRIX_BUSY = 0x80, read_only, "Cycles in which a matrix command ran or its results were in the pipeline. This and all further counters: modulo 2^32, zero at the start of a program.";
            MATRIX_WAITS_OUTPUT = 0x84, read_only, "Cycles in which a matrix command held a step back, because the output stage was busy with the result before.";
            MATRIX_WAITS_LOAD = 0x88, read_only, "Cycles in which no matrix command ran, and the next one waited for a load.";
            MATRIX_WAITS_VECTOR = 0x8c, read_only, "The same, and it waited for a vector command, but for no load.";
            MATRIX_WAITS_STORE = 0x90, read_only, "The same, and it waited for a store, but for no load or vector command.";
            MATRIX_WAITS_MATRIX = 0x94, read_only, "The same, and it waited only for results of an earlier matrix command.";
            MATRIX_WAITS_COMMAND = 0x98, read_only, "Cycles in which no matrix command ran, and the next one had not been fetched.";
            VECTOR_BUSY = 0x9c, read_only, "Cycles in which a vector command ran or its results were in the pipeline.";
            LOAD_BUSY = 0xa0, read_only, "Cycles in which a load was under way.";
            STORE_BUSY = 0xa4, read_only, "Cycles in which a store was under way, memory's answers included.";
            READ_BEATS = 0xa8, read_only, "Beats that memory delivered: loads and command fetches.";
            WRITE_BEATS = 0xac, read_only, "Beats that memory took.";
            BUS_WAITS = 0xb0, read_only, "Cycles in which a load or store was under way, and no beat moved.";
        }
    };
}
