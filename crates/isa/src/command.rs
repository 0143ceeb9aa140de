//! Commands: structs, encoder, decoder and disassembler, all expanded from the table.

use crate::{COMMAND_BYTES, COMMAND_WORDS};
use std::fmt;
use thiserror::Error;

/// The four engines that run side by side. The value is the bit in the wait and signal masks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Engine {
    Load = 0,
    Matrix = 1,
    Vector = 2,
    Store = 3,
    /// Not an engine: executed by the control FSM itself.
    Control = 4,
}

impl Engine {
    /// The engines that own a queue, in mask order.
    pub const QUEUED: [Engine; 4] = [Engine::Load, Engine::Matrix, Engine::Vector, Engine::Store];

    /// Bit in a wait or signal mask.
    pub fn mask(self) -> u8 {
        1 << self as u8
    }

    pub fn name(self) -> &'static str {
        match self {
            Engine::Load => "load",
            Engine::Matrix => "matrix",
            Engine::Vector => "vector",
            Engine::Store => "store",
            Engine::Control => "control",
        }
    }
}

/// How a field's bits are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldKind {
    Unsigned,
    Signed,
    /// Stored minus one.
    Count,
    Flag,
}

/// Where a field lies in the 16 words of a command.
#[derive(Clone, Copy, Debug)]
pub struct FieldSpec {
    pub name: &'static str,
    pub kind: FieldKind,
    pub word: usize,
    pub lsb: usize,
    pub width: usize,
    pub description: &'static str,
}

impl FieldSpec {
    fn mask(&self) -> u32 {
        (((1u64 << self.width) - 1) as u32) << self.lsb
    }

    /// Smallest and largest value that the field can hold.
    pub fn range(&self) -> (i64, i64) {
        let full = 1i64 << self.width;
        match self.kind {
            FieldKind::Unsigned | FieldKind::Flag => (0, full - 1),
            FieldKind::Signed => (-full / 2, full / 2 - 1),
            FieldKind::Count => (1, full),
        }
    }

    /// Reads the field from the words of a command.
    pub fn read(&self, words: &[u32; COMMAND_WORDS]) -> i64 {
        let raw = ((words[self.word] & self.mask()) >> self.lsb) as i64;
        match self.kind {
            FieldKind::Unsigned | FieldKind::Flag => raw,
            FieldKind::Signed if raw >= 1i64 << (self.width - 1) => raw - (1i64 << self.width),
            FieldKind::Signed => raw,
            FieldKind::Count => raw + 1,
        }
    }

    /// Writes the field into the words of a command.
    pub fn write(&self, words: &mut [u32; COMMAND_WORDS], value: i64) -> Result<(), EncodeError> {
        let (low, high) = self.range();
        if value < low || value > high {
            return Err(EncodeError { field: self.name, value, low, high });
        }
        let raw = if self.kind == FieldKind::Count { value - 1 } else { value };
        words[self.word] = (words[self.word] & !self.mask()) | (((raw as u32) << self.lsb) & self.mask());
        Ok(())
    }
}

/// A value that does not fit its field.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("field {field} is {value}, the command holds {low} to {high}")]
pub struct EncodeError {
    pub field: &'static str,
    pub value: i64,
    pub low: i64,
    pub high: i64,
}

/// Words that are no command.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum DecodeError {
    #[error("unknown opcode 0x{0:02x}")]
    UnknownOpcode(u8),
    #[error("{command}: bits outside every field are set in word {word} (0x{bits:08x})")]
    ReservedBits { command: &'static str, word: usize, bits: u32 },
    #[error("{command}: {field} is {value}: {rule}")]
    IllegalField { command: &'static str, field: &'static str, value: i64, rule: &'static str },
}

/// Token masks of a command: which engines it waits for and which it signals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Tokens {
    /// Bit e: take one token sent by engine e before starting.
    pub wait: u8,
    /// Bit e: send one token to engine e when finished.
    pub signal: u8,
}

/// Fields common to every command, in word 0.
pub const HEADER: [FieldSpec; 3] = [
    FieldSpec {
        name: "opcode",
        kind: FieldKind::Unsigned,
        word: 0,
        lsb: 0,
        width: 8,
        description: "Which command.",
    },
    FieldSpec {
        name: "wait",
        kind: FieldKind::Unsigned,
        word: 0,
        lsb: 8,
        width: 4,
        description: "One bit an engine (load, matrix, vector, store): take a token from it before starting.",
    },
    FieldSpec {
        name: "signal",
        kind: FieldKind::Unsigned,
        word: 0,
        lsb: 12,
        width: 4,
        description: "One bit an engine: send a token to it when finished.",
    },
];

macro_rules! field_type {
    (unsigned) => {
        u32
    };
    (signed) => {
        i32
    };
    (count) => {
        u32
    };
    (flag) => {
        bool
    };
}
macro_rules! field_kind {
    (unsigned) => {
        FieldKind::Unsigned
    };
    (signed) => {
        FieldKind::Signed
    };
    (count) => {
        FieldKind::Count
    };
    (flag) => {
        FieldKind::Flag
    };
}
macro_rules! from_raw {
    (unsigned, $e:expr) => {
        $e as u32
    };
    (signed, $e:expr) => {
        $e as i32
    };
    (count, $e:expr) => {
        $e as u32
    };
    (flag, $e:expr) => {
        $e != 0
    };
}
macro_rules! field_default {
    (count) => {
        1
    };
    (flag) => {
        false
    };
    ($other:ident) => {
        0
    };
}

macro_rules! define_commands {
    ($(#[doc = $command_doc:literal] $name:ident $snake:ident = $opcode:literal, $engine:ident {
        $(#[doc = $doc:literal] $field:ident: $kind:ident [$word:literal, $lsb:literal, $width:literal];)*
    })*) => {
        $(
            #[doc = $command_doc]
            #[derive(Clone, Debug, PartialEq, Eq)]
            pub struct $name {
                pub tokens: Tokens,
                $(#[doc = $doc] pub $field: field_type!($kind),)*
            }

            impl Default for $name {
                /// Counts are one, everything else is zero.
                fn default() -> Self {
                    Self { tokens: Tokens::default(), $($field: field_default!($kind)),* }
                }
            }

            impl $name {
                pub const OPCODE: u8 = $opcode;
                pub const FIELDS: &'static [FieldSpec] = &[$(FieldSpec {
                    name: stringify!($field), kind: field_kind!($kind), word: $word, lsb: $lsb, width: $width,
                    description: $doc,
                }),*];

                #[allow(unused_mut, unused_variables, unused_assignments)]
                fn write(&self, words: &mut [u32; COMMAND_WORDS]) -> Result<(), EncodeError> {
                    let mut index = 0;
                    $(Self::FIELDS[index].write(words, self.$field as i64)?; index += 1;)*
                    Ok(())
                }

                #[allow(unused_mut, unused_variables, unused_assignments)]
                fn read(words: &[u32; COMMAND_WORDS], tokens: Tokens) -> Self {
                    let mut index = 0;
                    $(let $field = from_raw!($kind, Self::FIELDS[index].read(words)); index += 1;)*
                    Self { tokens, $($field),* }
                }
            }

            impl From<$name> for Command {
                fn from(command: $name) -> Command {
                    Command::$name(command)
                }
            }
        )*

        /// One command of a program.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum Command {
            $(#[doc = $command_doc] $name($name),)*
        }

        impl Command {
            /// Name, opcode, engine, description and fields of every command.
            pub const ALL: &'static [CommandSpec] = &[$(CommandSpec {
                name: stringify!($name), mnemonic: stringify!($snake), opcode: $opcode, engine: Engine::$engine,
                description: $command_doc, fields: $name::FIELDS,
            }),*];

            /// The table row of this command.
            pub fn spec(&self) -> &'static CommandSpec {
                let opcode = match self { $(Command::$name(_) => $opcode,)* };
                CommandSpec::of_opcode(opcode).expect("every variant has a row")
            }

            /// Token masks.
            pub fn tokens(&self) -> Tokens {
                match self { $(Command::$name(c) => c.tokens,)* }
            }

            /// Token masks, to change.
            pub fn tokens_mut(&mut self) -> &mut Tokens {
                match self { $(Command::$name(c) => &mut c.tokens,)* }
            }

            fn write_fields(&self, words: &mut [u32; COMMAND_WORDS]) -> Result<(), EncodeError> {
                match self { $(Command::$name(c) => c.write(words),)* }
            }

            fn read_fields(opcode: u8, words: &[u32; COMMAND_WORDS], tokens: Tokens) -> Option<Command> {
                match opcode { $($opcode => Some(Command::$name($name::read(words, tokens))),)* _ => None }
            }
        }
    };
}

/// One command of the table.
#[derive(Debug)]
pub struct CommandSpec {
    pub name: &'static str,
    /// Name in disassembly.
    pub mnemonic: &'static str,
    pub opcode: u8,
    pub engine: Engine,
    pub description: &'static str,
    pub fields: &'static [FieldSpec],
}

impl CommandSpec {
    /// The row with this opcode.
    pub fn of_opcode(opcode: u8) -> Option<&'static CommandSpec> {
        Command::ALL.iter().find(|c| c.opcode == opcode)
    }
}

crate::command_table!(define_commands);

/// Values of the `space` field of loads and stores.
pub mod space {
    pub const ACTIVATION: u32 = 0;
    pub const WEIGHT: u32 = 1;
    pub const PARAMETER: u32 = 2;
    pub const ACCUMULATOR: u32 = 3;
}

/// Values of the `layout` field of loads.
pub mod layout {
    /// Bytes fill vectors, tiles, groups or rows in order.
    pub const LINEAR: u32 = 0;
    /// Memory row j is column j of the right operand.
    pub const COLUMN: u32 = 1;
    /// Memory row j is row j of the right operand: it is transposed on the way in.
    pub const ROW: u32 = 2;
    /// In the space of weights: bytes fill rows of the group scales in order.
    pub const SCALES: u32 = 3;
    /// In the space of parameters: bytes fill tables in order. Entry i belongs to the int8 value whose bits are those of i.
    pub const TABLE: u32 = 1;
    /// In the space of parameters: words fill scalars in order; the address counts four of them.
    pub const SCALARS: u32 = 2;
}

/// Values of the `function` field of row commands.
pub mod function {
    pub const NONE: u32 = 0;
    pub const MULTIPLY: u32 = 1;
    pub const SQUARE: u32 = 2;
    pub const EXPONENTIAL: u32 = 3;
    pub const SILU: u32 = 4;
}

/// Values of the `reduce` field of row commands.
pub mod row_reduce {
    pub const NONE: u32 = 0;
    pub const SUM: u32 = 1;
    pub const MAXIMUM: u32 = 2;
    pub const ARGMAX: u32 = 3;
}

/// Values of the `finish` field of row commands.
pub mod finish {
    pub const NONE: u32 = 0;
    pub const NEGATE: u32 = 1;
    pub const RECIPROCAL: u32 = 2;
    pub const INVERSE_SQUARE_ROOT: u32 = 3;
}

/// Values of the `destination` field of row commands.
pub mod row_destination {
    pub const NONE: u32 = 0;
    pub const ACTIVATION: u32 = 1;
    pub const ACCUMULATOR: u32 = 2;
}

/// Values of the `scalar_use` field of row commands.
pub mod scalar_use {
    pub const NONE: u32 = 0;
    pub const ADD: u32 = 1;
    pub const SCALE: u32 = 2;
    pub const CONTINUE: u32 = 3;
}

/// One patch of an `adjust` command: adds `((scalar + add) >> shift, of which keep low bits) * multiplier` to a part of the
/// next command.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Patch {
    pub scalar: u8,
    pub add: i16,
    pub shift: u8,
    /// Low bits of the shifted sum that are kept, at most 18; 0 stands for 18.
    pub keep: u8,
    pub multiplier: u16,
    pub word: u8,
    /// 0 no patch, 1 the low half of the word, 2 the high half, 3 all of it.
    pub part: u8,
}

impl Patch {
    /// Patches of one command.
    pub const COUNT: usize = 6;

    /// The number that is added, given the value of the scalar.
    pub fn amount(&self, scalar: u32) -> u32 {
        let sum = scalar.wrapping_add(self.add as u32) >> self.shift;
        let kept = if self.keep == 0 { 18 } else { u32::from(self.keep).min(18) };
        (sum & ((1 << kept) - 1)).wrapping_mul(u32::from(self.multiplier))
    }

    /// Adds the number to the words of a command.
    pub fn apply(&self, scalar: u32, words: &mut [u32; COMMAND_WORDS]) {
        let amount = self.amount(scalar);
        let word = &mut words[usize::from(self.word) % COMMAND_WORDS];
        *word = match self.part {
            1 => *word & 0xffff_0000 | word.wrapping_add(amount) & 0xffff,
            2 => word.wrapping_add(amount << 16),
            3 => word.wrapping_add(amount),
            _ => *word,
        };
    }
}

macro_rules! adjust_patches {
    ($(($index:literal, $scalar:ident, $add:ident, $shift:ident, $keep:ident, $multiplier:ident, $word:ident, $part:ident)),*) => {
        impl Adjust {
            /// The patches, those without effect included.
            pub fn patches(&self) -> [Patch; Patch::COUNT] {
                [$(Patch {
                    scalar: self.$scalar as u8,
                    add: self.$add as i16,
                    shift: self.$shift as u8,
                    keep: self.$keep as u8,
                    multiplier: self.$multiplier as u16,
                    word: self.$word as u8,
                    part: self.$part as u8,
                }),*]
            }

            /// A command of these patches.
            ///
            /// Panics if there are more than [`Patch::COUNT`].
            pub fn of(patches: &[Patch]) -> Adjust {
                assert!(patches.len() <= Patch::COUNT, "{} patches", patches.len());
                let mut adjust = Adjust::default();
                $(if let Some(patch) = patches.get($index) {
                    adjust.$scalar = patch.scalar.into();
                    adjust.$add = patch.add.into();
                    adjust.$shift = patch.shift.into();
                    adjust.$keep = patch.keep.into();
                    adjust.$multiplier = patch.multiplier.into();
                    adjust.$word = patch.word.into();
                    adjust.$part = patch.part.into();
                })*
                adjust
            }
        }
    };
}
adjust_patches!(
    (0, scalar_0, add_0, shift_0, keep_0, multiplier_0, word_0, part_0),
    (1, scalar_1, add_1, shift_1, keep_1, multiplier_1, word_1, part_1),
    (2, scalar_2, add_2, shift_2, keep_2, multiplier_2, word_2, part_2),
    (3, scalar_3, add_3, shift_3, keep_3, multiplier_3, word_3, part_3),
    (4, scalar_4, add_4, shift_4, keep_4, multiplier_4, word_4, part_4),
    (5, scalar_5, add_5, shift_5, keep_5, multiplier_5, word_5, part_5)
);

/// Values of the `reduce` field of vector commands.
pub mod reduce {
    pub const SUM: u32 = 0;
    pub const MAXIMUM: u32 = 1;
    pub const MINIMUM: u32 = 2;
}

impl Command {
    /// The engine whose queue the command goes to.
    pub fn engine(&self) -> Engine {
        self.spec().engine
    }

    /// Whether it is a row command or uses scalars, which only a configuration with a row engine has.
    pub fn needs_row_engine(&self) -> bool {
        matches!(self, Command::Row(_) | Command::Adjust(_) | Command::Set(_) | Command::Branch(_))
    }

    /// Encodes the command into its 16 words.
    pub fn encode(&self) -> Result<[u32; COMMAND_WORDS], EncodeError> {
        let mut words = [0; COMMAND_WORDS];
        let tokens = self.tokens();
        HEADER[0].write(&mut words, self.spec().opcode as i64)?;
        HEADER[1].write(&mut words, tokens.wait as i64)?;
        HEADER[2].write(&mut words, tokens.signal as i64)?;
        self.write_fields(&mut words)?;
        Ok(words)
    }

    /// Encodes the command into its 64 bytes, little-endian words in order.
    pub fn encode_bytes(&self) -> Result<[u8; COMMAND_BYTES], EncodeError> {
        let mut bytes = [0; COMMAND_BYTES];
        for (chunk, word) in bytes.chunks_exact_mut(4).zip(self.encode()?) {
            chunk.copy_from_slice(&word.to_le_bytes());
        }
        Ok(bytes)
    }

    /// Decodes 16 words and checks every rule that the hardware checks.
    pub fn decode(words: &[u32; COMMAND_WORDS]) -> Result<Command, DecodeError> {
        let opcode = HEADER[0].read(words) as u8;
        let spec = CommandSpec::of_opcode(opcode).ok_or(DecodeError::UnknownOpcode(opcode))?;
        let mut used = [0u32; COMMAND_WORDS];
        for field in HEADER.iter().chain(spec.fields) {
            used[field.word] |= field.mask();
        }
        for (word, (value, used)) in words.iter().zip(used).enumerate() {
            if value & !used != 0 {
                return Err(DecodeError::ReservedBits { command: spec.name, word, bits: value & !used });
            }
        }
        let tokens = Tokens { wait: HEADER[1].read(words) as u8, signal: HEADER[2].read(words) as u8 };
        let command = Command::read_fields(opcode, words, tokens).expect("the row was found above");
        command.check_fields()?;
        Ok(command)
    }

    /// Decodes 64 bytes.
    pub fn decode_bytes(bytes: &[u8; COMMAND_BYTES]) -> Result<Command, DecodeError> {
        let mut words = [0; COMMAND_WORDS];
        for (word, chunk) in words.iter_mut().zip(bytes.chunks_exact(4)) {
            *word = u32::from_le_bytes(chunk.try_into().expect("chunks of four"));
        }
        Command::decode(&words)
    }

    /// The rules between fields that the hardware enforces with `IllegalField`.
    pub fn check_fields(&self) -> Result<(), DecodeError> {
        let command = self.spec().name;
        let quantum = |field, value: u32| {
            if value % crate::MEMORY_QUANTUM == 0 {
                Ok(())
            } else {
                let rule = "it must be a multiple of 16";
                Err(DecodeError::IllegalField { command, field, value: value as i64, rule })
            }
        };
        let refuse = |field, value: u32, rule| {
            Err(DecodeError::IllegalField { command, field, value: value as i64, rule })
        };
        match self {
            Command::Load(load) => {
                quantum("memory_offset", load.memory_offset)?;
                quantum("memory_stride", load.memory_stride)?;
                quantum("row_bytes", load.row_bytes)?;
                if load.row_bytes == 0 {
                    return refuse("row_bytes", 0, "a row must hold bytes");
                }
                let table = load.space == space::PARAMETER && load.layout <= layout::SCALARS;
                if load.layout != layout::LINEAR && load.space != space::WEIGHT && !table {
                    return refuse("layout", load.layout, "only weights are laid out by column or row");
                }
            }
            Command::Store(store) => {
                quantum("memory_offset", store.memory_offset)?;
                quantum("memory_stride", store.memory_stride)?;
                quantum("row_bytes", store.row_bytes)?;
                if store.row_bytes == 0 {
                    return refuse("row_bytes", 0, "a row must hold bytes");
                }
                if store.space != space::ACTIVATION && store.space != space::ACCUMULATOR {
                    return refuse("space", store.space, "stores read spaces 0 and 3");
                }
            }
            Command::Vector(vector) => {
                if vector.reduce > reduce::MINIMUM {
                    return refuse("reduce", vector.reduce, "reductions are 0, 1 and 2");
                }
                if vector.source == 1 && (vector.add_operand || vector.multiply_operand) {
                    let field = if vector.add_operand { "add_operand" } else { "multiply_operand" };
                    return refuse(field, 1, "source and operand cannot both be accumulator rows");
                }
                if vector.add_operand && vector.multiply_operand {
                    return refuse("multiply_operand", 1, "an operand is added or multiplied, not both");
                }
            }
            Command::Matrix(matrix) => {
                if matrix.skip >= matrix.outputs_x {
                    return refuse("skip", matrix.skip, "it must be less than outputs_x");
                }
                if matrix.four_bit && matrix.depthwise {
                    return refuse("four_bit", 1, "depthwise weights have 8 bits");
                }
                if matrix.four_bit && !matrix.to_accumulator {
                    return refuse("four_bit", 1, "its results go to accumulator memory: set to_accumulator");
                }
                if matrix.rescale && !matrix.to_accumulator {
                    return refuse("rescale", 1, "it goes with to_accumulator");
                }
                if matrix.row_results && !matrix.to_accumulator {
                    return refuse("row_results", 1, "it goes with to_accumulator");
                }
                if matrix.add_row && (!matrix.rescale || !matrix.row_results || matrix.accumulate) {
                    return refuse("add_row", 1, "it goes with rescale and row_results, without accumulate");
                }
            }
            Command::Row(row) => {
                if row.function > function::SILU {
                    return refuse("function", row.function, "functions are 0 to 4");
                }
                if row.destination > row_destination::ACCUMULATOR {
                    return refuse("destination", row.destination, "destinations are 0, 1 and 2");
                }
                if row.operand && row.function != function::MULTIPLY {
                    return refuse("operand", 1, "only function 1 has an operand");
                }
                if row.taps == 2 && row.function != function::MULTIPLY {
                    return refuse("taps", 2, "only function 1 adds terms");
                }
                if row.scalar_use == scalar_use::CONTINUE && row.reduce != row_reduce::ARGMAX {
                    return refuse("scalar_use", 3, "only reduction 3 continues");
                }
            }
            Command::Adjust(adjust) => {
                if adjust.patches().iter().any(|patch| patch.part != 0 && patch.word == 0) {
                    return refuse("word", 0, "word 0, the opcode, is not patched");
                }
            }
            Command::Move(_)
            | Command::Barrier(_)
            | Command::End(_)
            | Command::Set(_)
            | Command::Branch(_) => {}
        }
        Ok(())
    }
}

/// Disassembly: the mnemonic, the tokens, and every field that is not at its default.
impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let spec = self.spec();
        write!(f, "{:<8}", spec.mnemonic)?;
        let tokens = self.tokens();
        for (label, mask) in [("wait", tokens.wait), ("signal", tokens.signal)] {
            if mask != 0 {
                let names: Vec<_> =
                    Engine::QUEUED.iter().filter(|e| mask & e.mask() != 0).map(|e| e.name()).collect();
                write!(f, " {label}={}", names.join("+"))?;
            }
        }
        let mut words = [0; COMMAND_WORDS];
        if self.write_fields(&mut words).is_err() {
            return write!(f, " <a field is out of range>");
        }
        for field in spec.fields {
            let value = field.read(&words);
            if value != i64::from(field.kind == FieldKind::Count) {
                write!(f, " {}={value}", field.name)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Words of an arbitrary command of the given row: every field holds an arbitrary value.
    fn any_words() -> impl Strategy<Value = [u32; COMMAND_WORDS]> {
        (0..Command::ALL.len(), any::<[u32; COMMAND_WORDS]>()).prop_map(|(row, random)| {
            let spec = &Command::ALL[row];
            let mut words = [0; COMMAND_WORDS];
            for field in HEADER.iter().skip(1).chain(spec.fields) {
                words[field.word] |= random[field.word] & field.mask();
            }
            words[0] |= spec.opcode as u32;
            words
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn decode_inverts_encode(words in any_words()) {
            if let Ok(command) = Command::decode(&words) {
                prop_assert_eq!(command.encode().unwrap(), words);
                prop_assert_eq!(Command::decode(&command.encode().unwrap()).unwrap(), command.clone());
                prop_assert_eq!(Command::decode_bytes(&command.encode_bytes().unwrap()).unwrap(), command);
            }
        }

        #[test]
        fn decoding_any_words_never_panics(words in any::<[u32; COMMAND_WORDS]>(), opcode in 0u32..13) {
            let mut words = words;
            words[0] = (words[0] & !0xff) | opcode;
            if let Ok(command) = Command::decode(&words) {
                prop_assert_eq!(command.encode().unwrap(), words);
                prop_assert!(!command.to_string().is_empty());
            }
        }
    }

    #[test]
    fn fields_do_not_overlap() {
        for spec in Command::ALL {
            let mut used = [0u32; COMMAND_WORDS];
            for field in HEADER.iter().chain(spec.fields) {
                assert!(field.lsb + field.width <= 32, "{} {}", spec.name, field.name);
                assert_eq!(used[field.word] & field.mask(), 0, "{} {}", spec.name, field.name);
                used[field.word] |= field.mask();
            }
        }
    }

    #[test]
    fn every_legal_command_decodes() {
        let load = Load { rows: 65536, row_bytes: 16, ..Load::default() };
        let command = Command::from(load);
        assert_eq!(Command::decode(&command.encode().unwrap()), Ok(command));
    }

    #[test]
    fn illegal_words_are_refused_by_name() {
        let mut words = Command::from(End::default()).encode().unwrap();
        words[7] = 4;
        let error = Command::decode(&words).unwrap_err();
        assert_eq!(error, DecodeError::ReservedBits { command: "End", word: 7, bits: 4 });
        words = [0; COMMAND_WORDS];
        assert_eq!(Command::decode(&words), Err(DecodeError::UnknownOpcode(0)));
        let load = Command::from(Load { row_bytes: 24, ..Load::default() });
        let error = Command::decode(&load.encode().unwrap()).unwrap_err();
        assert!(error.to_string().contains("row_bytes is 24"), "{error}");
    }

    #[test]
    fn values_outside_a_field_do_not_encode() {
        let matrix = Matrix { kernel_x: 257, ..Matrix::default() };
        let error = Command::from(matrix).encode().unwrap_err();
        assert_eq!(error.to_string(), "field kernel_x is 257, the command holds 1 to 256");
        assert!(Command::from(Matrix { kernel_x: 0, ..Matrix::default() }).encode().is_err());
    }

    #[test]
    fn disassembly_names_tokens_and_fields() {
        let tokens = Tokens { wait: Engine::Load.mask(), signal: Engine::Store.mask() | Engine::Load.mask() };
        let matrix = Matrix { tokens, channels: 4, pad_value: -128, ..Matrix::default() };
        assert_eq!(
            Command::from(matrix).to_string(),
            "matrix   wait=load signal=load+store pad_value=-128 channels=4"
        );
    }
}
