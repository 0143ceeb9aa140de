//! The part of the TensorFlow Lite schema (version 3) that the reader uses.
//!
//! Each table is a view of verified bytes: [`root`] runs the verifier of `flatbuffers` over every table named here before it
//! hands out the first one, so the accessors cannot leave the file. Field numbers are those of `schema.fbs`; a field that is
//! not named is not read, and not verified.

use flatbuffers::{
    Follow, ForwardsUOffset, InvalidFlatbuffer, Table, TableVerifier, Vector, Verifiable, Verifier,
};

/// A vector of tables.
type Tables<'a, T> = Vector<'a, ForwardsUOffset<T>>;

/// The position of a field's offset in a vtable: two bytes each, after the sizes of the vtable and of the table.
pub(super) const fn slot(field: u16) -> u16 {
    4 + 2 * field
}

/// Declares a table: scalar fields with their defaults, then references to strings, vectors and tables, which may be
/// absent, each by its field number. `checked_by` names a function that verifies what the declaration cannot say.
macro_rules! table {
    ($name:ident {
        $( $scalar_id:literal $scalar:ident: $scalar_type:ty = $default:expr, )*
        ;
        $( $reference_id:literal $reference:ident: $reference_type:ty, )*
    } $( checked_by $check:path )?) => {
        #[derive(Clone, Copy)]
        #[allow(dead_code)]
        pub struct $name<'a>(Table<'a>);

        impl<'a> Follow<'a> for $name<'a> {
            type Inner = $name<'a>;

            unsafe fn follow(buf: &'a [u8], loc: usize) -> Self::Inner {
                // SAFETY: the caller promises a valid table at `loc`.
                $name(unsafe { Table::new(buf, loc) })
            }
        }

        impl<'a> Verifiable for $name<'a> {
            fn run_verifier(verifier: &mut Verifier, position: usize) -> Result<(), InvalidFlatbuffer> {
                let table = verifier.visit_table(position)?
                    $( .visit_field::<$scalar_type>(stringify!($scalar), slot($scalar_id), false)? )*
                    $( .visit_field::<ForwardsUOffset<$reference_type>>(
                        stringify!($reference), slot($reference_id), false)? )*;
                $( let table = $check(table)?; )?
                table.finish();
                Ok(())
            }
        }

        #[allow(dead_code)]
        impl<'a> $name<'a> {
            $(
                pub fn $scalar(&self) -> $scalar_type {
                    // SAFETY: `run_verifier` checked a field of this type here, if there is one.
                    unsafe { self.0.get::<$scalar_type>(slot($scalar_id), None) }.unwrap_or($default)
                }
            )*
            $(
                pub fn $reference(&self) -> Option<<$reference_type as Follow<'a>>::Inner> {
                    // SAFETY: `run_verifier` checked a field of this type here, if there is one.
                    unsafe { self.0.get::<ForwardsUOffset<$reference_type>>(slot($reference_id), None) }
                }
            )*
        }
    };
}

table!(Model {
    0 version: u32 = 0,
    ;
    1 operator_codes: Tables<'a, OperatorCode<'a>>,
    2 subgraphs: Tables<'a, SubGraph<'a>>,
    3 description: &'a str,
    4 buffers: Tables<'a, Buffer<'a>>,
});

table!(OperatorCode {
    0 deprecated_builtin_code: i8 = 0,
    2 version: i32 = 1,
    3 builtin_code: i32 = 0,
    ;
    1 custom_code: &'a str,
});

table!(SubGraph {
    ;
    0 tensors: Tables<'a, Tensor<'a>>,
    1 inputs: Vector<'a, i32>,
    2 outputs: Vector<'a, i32>,
    3 operators: Tables<'a, Operator<'a>>,
    4 name: &'a str,
});

table!(Tensor {
    1 tensor_type: i8 = 0,
    2 buffer: u32 = 0,
    5 is_variable: bool = false,
    10 external_buffer: u32 = 0,
    ;
    0 shape: Vector<'a, i32>,
    3 name: &'a str,
    4 quantization: QuantizationParameters<'a>,
    6 sparsity: SparsityParameters<'a>,
    7 shape_signature: Vector<'a, i32>,
});

table!(QuantizationParameters {
    4 details_type: u8 = 0,
    6 quantized_dimension: i32 = 0,
    ;
    2 scale: Vector<'a, f32>,
    3 zero_point: Vector<'a, i64>,
});

// Only whether it is there matters: sparse tensors are not supported.
table!(SparsityParameters { ; });

table!(Buffer {
    1 offset: u64 = 0,
    2 size: u64 = 0,
    ;
    0 data: Vector<'a, u8>,
});

table!(Operator {
    0 opcode_index: u32 = 0,
    3 builtin_options_type: u8 = 0,
    ;
    1 inputs: Vector<'a, i32>,
    2 outputs: Vector<'a, i32>,
} checked_by verify_builtin_options);

table!(Conv2dOptions {
    0 padding: i8 = 0,
    1 stride_w: i32 = 0,
    2 stride_h: i32 = 0,
    3 fused_activation_function: i8 = 0,
    4 dilation_w_factor: i32 = 1,
    5 dilation_h_factor: i32 = 1,
    ;
});

table!(DepthwiseConv2dOptions {
    0 padding: i8 = 0,
    1 stride_w: i32 = 0,
    2 stride_h: i32 = 0,
    3 depth_multiplier: i32 = 0,
    4 fused_activation_function: i8 = 0,
    5 dilation_w_factor: i32 = 1,
    6 dilation_h_factor: i32 = 1,
    ;
});

table!(Pool2dOptions {
    0 padding: i8 = 0,
    1 stride_w: i32 = 0,
    2 stride_h: i32 = 0,
    3 filter_width: i32 = 0,
    4 filter_height: i32 = 0,
    5 fused_activation_function: i8 = 0,
    ;
});

table!(FullyConnectedOptions {
    0 fused_activation_function: i8 = 0,
    1 weights_format: i8 = 0,
    2 keep_num_dims: bool = false,
    ;
});

table!(SoftmaxOptions {
    0 beta: f32 = 0.0,
    ;
});

table!(AddOptions {
    0 fused_activation_function: i8 = 0,
    ;
});

table!(SubOptions {
    0 fused_activation_function: i8 = 0,
    ;
});

table!(MulOptions {
    0 fused_activation_function: i8 = 0,
    ;
});

table!(ConcatenationOptions {
    0 axis: i32 = 0,
    1 fused_activation_function: i8 = 0,
    ;
});

table!(ReducerOptions {
    0 keep_dims: bool = false,
    ;
});

table!(LeakyReluOptions {
    0 alpha: f32 = 0.0,
    ;
});

/// A member of the union `BuiltinOptions`.
pub trait BuiltinOptions<'a>: Follow<'a> {
    /// Its number in the union.
    const TYPE: u8;
}

/// The union `BuiltinOptions`: numbers its members and verifies the one an operator holds.
macro_rules! builtin_options {
    ($( $type:literal $name:ident, )*) => {
        $( impl<'a> BuiltinOptions<'a> for $name<'a> { const TYPE: u8 = $type; } )*

        /// Verifies `builtin_options` by the type it claims. A type that is not read is not followed.
        fn verify_builtin_options<'v, 'o, 'b>(
            mut table: TableVerifier<'v, 'o, 'b>,
        ) -> Result<TableVerifier<'v, 'o, 'b>, InvalidFlatbuffer> {
            let options_type = match table.deref(slot(3))? {
                Some(position) => table.verifier().get_u8(position)?,
                None => 0,
            };
            if let Some(position) = table.deref(slot(4))? {
                match options_type {
                    $( $type => <ForwardsUOffset<$name>>::run_verifier(table.verifier(), position)?, )*
                    _ => {}
                }
            }
            Ok(table)
        }
    };
}

builtin_options! {
    1 Conv2dOptions,
    2 DepthwiseConv2dOptions,
    5 Pool2dOptions,
    8 FullyConnectedOptions,
    9 SoftmaxOptions,
    10 ConcatenationOptions,
    11 AddOptions,
    21 MulOptions,
    27 ReducerOptions,
    28 SubOptions,
    75 LeakyReluOptions,
}

impl<'a> Operator<'a> {
    /// The operator's options, when it has some and they are of type `T`.
    pub fn builtin_options<T: BuiltinOptions<'a> + 'a>(&self) -> Option<T::Inner> {
        if self.builtin_options_type() != T::TYPE {
            return None;
        }
        // SAFETY: `verify_builtin_options` verified a `T` here, because the type says so.
        unsafe { self.0.get::<ForwardsUOffset<T>>(slot(4), None) }
    }
}

/// The model in the bytes of a file, after verification.
pub fn root(bytes: &[u8]) -> Result<Model<'_>, InvalidFlatbuffer> {
    flatbuffers::root::<Model>(bytes)
}

/// The numbers of `BuiltinOperator` that the reader turns into layers.
pub mod builtin {
    pub const ADD: i32 = 0;
    pub const AVERAGE_POOL_2D: i32 = 1;
    pub const CONCATENATION: i32 = 2;
    pub const CONV_2D: i32 = 3;
    pub const DEPTHWISE_CONV_2D: i32 = 4;
    pub const DEQUANTIZE: i32 = 6;
    pub const FULLY_CONNECTED: i32 = 9;
    pub const LOGISTIC: i32 = 14;
    pub const MAX_POOL_2D: i32 = 17;
    pub const MUL: i32 = 18;
    pub const RELU: i32 = 19;
    pub const RELU6: i32 = 21;
    pub const RESHAPE: i32 = 22;
    pub const SOFTMAX: i32 = 25;
    pub const TANH: i32 = 28;
    pub const CUSTOM: i32 = 32;
    pub const PAD: i32 = 34;
    pub const MEAN: i32 = 40;
    pub const SUB: i32 = 41;
    pub const SQUEEZE: i32 = 43;
    pub const PADV2: i32 = 60;
    pub const EXPAND_DIMS: i32 = 70;
    pub const LEAKY_RELU: i32 = 98;
    pub const QUANTIZE: i32 = 114;
    pub const HARD_SWISH: i32 = 117;
}

/// The name of an operator, for those that int8 vision and audio models hold.
pub fn builtin_name(code: i32) -> Option<&'static str> {
    const NAMES: &[(i32, &str)] = &[
        (builtin::ADD, "ADD"),
        (builtin::AVERAGE_POOL_2D, "AVERAGE_POOL_2D"),
        (builtin::CONCATENATION, "CONCATENATION"),
        (builtin::CONV_2D, "CONV_2D"),
        (builtin::DEPTHWISE_CONV_2D, "DEPTHWISE_CONV_2D"),
        (5, "DEPTH_TO_SPACE"),
        (builtin::DEQUANTIZE, "DEQUANTIZE"),
        (builtin::FULLY_CONNECTED, "FULLY_CONNECTED"),
        (11, "L2_NORMALIZATION"),
        (builtin::LOGISTIC, "LOGISTIC"),
        (16, "LSTM"),
        (builtin::MAX_POOL_2D, "MAX_POOL_2D"),
        (builtin::MUL, "MUL"),
        (builtin::RELU, "RELU"),
        (20, "RELU_N1_TO_1"),
        (builtin::RELU6, "RELU6"),
        (builtin::RESHAPE, "RESHAPE"),
        (23, "RESIZE_BILINEAR"),
        (builtin::SOFTMAX, "SOFTMAX"),
        (26, "SPACE_TO_DEPTH"),
        (27, "SVDF"),
        (builtin::TANH, "TANH"),
        (builtin::CUSTOM, "CUSTOM"),
        (builtin::PAD, "PAD"),
        (36, "GATHER"),
        (39, "TRANSPOSE"),
        (builtin::MEAN, "MEAN"),
        (builtin::SUB, "SUB"),
        (42, "DIV"),
        (builtin::SQUEEZE, "SQUEEZE"),
        (44, "UNIDIRECTIONAL_SEQUENCE_LSTM"),
        (45, "STRIDED_SLICE"),
        (49, "SPLIT"),
        (50, "LOG_SOFTMAX"),
        (53, "CAST"),
        (54, "PRELU"),
        (55, "MAXIMUM"),
        (56, "ARG_MAX"),
        (57, "MINIMUM"),
        (builtin::PADV2, "PADV2"),
        (65, "SLICE"),
        (67, "TRANSPOSE_CONV"),
        (builtin::EXPAND_DIMS, "EXPAND_DIMS"),
        (74, "SUM"),
        (77, "SHAPE"),
        (82, "REDUCE_MAX"),
        (83, "PACK"),
        (88, "UNPACK"),
        (97, "RESIZE_NEAREST_NEIGHBOR"),
        (builtin::LEAKY_RELU, "LEAKY_RELU"),
        (100, "MIRROR_PAD"),
        (102, "SPLIT_V"),
        (builtin::QUANTIZE, "QUANTIZE"),
        (builtin::HARD_SWISH, "HARD_SWISH"),
        (126, "BATCH_MATMUL"),
        (150, "GELU"),
    ];
    NAMES.iter().find(|(number, _)| *number == code).map(|(_, name)| *name)
}

/// The numbers of `TensorType` that a graph may hold.
pub mod tensor_type {
    pub const FLOAT32: i8 = 0;
    pub const INT32: i8 = 2;
    pub const UINT8: i8 = 3;
    pub const INT8: i8 = 9;
}

/// The name of an element type.
pub fn tensor_type_name(code: i8) -> Option<&'static str> {
    const NAMES: [&str; 20] = [
        "float32",
        "float16",
        "int32",
        "uint8",
        "int64",
        "string",
        "bool",
        "int16",
        "complex64",
        "int8",
        "float64",
        "complex128",
        "uint64",
        "resource",
        "variant",
        "uint32",
        "uint16",
        "int4",
        "bfloat16",
        "int2",
    ];
    usize::try_from(code).ok().and_then(|index| NAMES.get(index)).copied()
}
