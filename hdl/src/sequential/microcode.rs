//! The instructions of the sequential core, and the assembler of its microprogram.
//!
//! An instruction has 16 bits: which one in bits 15..11, its operand in bits 10..0. There is one accumulator, A (32 bits), and 256 registers.
//!
//! | text | operand | effect |
//! |---|---|---|
//! | `ld`, `ldl`, `ldh` | register | A = all of it; its low half; its high half |
//! | `ldb`, `ldsb` | register, byte | A = one byte of it, unsigned or signed |
//! | `ldi` | number, -1024..1024 | A = the number |
//! | `ldc` | constant | A = the constant, which `ldi` can hold or which is a multiple of 32 |
//! | `add`, `sub` | register | A += it; A -= it, after which `jc` and `jl` go by what A was: less, unsigned or signed |
//! | `addi`, `andi` | number | A += it; A &= it, unsigned |
//! | `high` | | A = bits 62..31 of the product; unless `single` is set, rounded by bit 30 |
//! | `round` | | A += what `asr` has shifted out, rounded: half away from zero, or with `single` up |
//! | `st` | register | the register = A |
//! | `put`, `get` | see [`PUT`], [`GET`] | something in hardware = A, or A = it |
//! | `ml`, `ms` | | A = the word at `address` in scratch memory, or the word = A; `address` += 4 |
//! | `mlb`, `msb` | | the same with a byte, signed; `address` += 1 |
//! | `shl`, `asr` | 1..32 or `count` | A shifted left or, arithmetically, right |
//! | `mul` | register | the product, 64 bits = the register, signed, times `factor`, unsigned; A is its high word, and `factor` its low one |
//! | `mac` | | `steps` + 1 steps of the dot product unit, see [`super::MacUnit`] |
//! | `mac1` | | one word: `operand` times the word at `address` |
//! | `read`, `fetch`, `write` | register | A = the word at this address of the bus (a load's or a command's), or the word = A; `jc` goes if the answer is an error |
//! | `obs` | what | tells observers |
//! | `jmp`, `jz`, `jnz`, `jc`, `jl` | label | goes there: always, if A is 0, if it is not, by the last `sub` or access of the bus |
//! | `call`, `ret` | label | to a subroutine and back, four deep |
//!
//! `label:` names a place, `;` begins a comment, and what is between `.repeat N` and `.end` stands N times, with 0, 1, ... for `#`.

use frugal_isa::register::StatusCode;
use frugal_isa::{Config, Engine};
use std::collections::BTreeMap;

/// Numbers of the instructions.
pub mod operation {
    pub const LOAD: u16 = 0;
    pub const LOAD_LOW: u16 = 1;
    pub const LOAD_HIGH: u16 = 2;
    pub const LOAD_BYTE: u16 = 3;
    pub const LOAD_NUMBER: u16 = 4;
    pub const LOAD_MULTIPLE: u16 = 5;
    pub const ADD: u16 = 6;
    pub const SUBTRACT: u16 = 7;
    pub const AND_NUMBER: u16 = 8;
    pub const ADD_NUMBER: u16 = 9;
    pub const GET: u16 = 10;
    pub const HIGH: u16 = 11;
    pub const ROUND: u16 = 12;
    pub const STORE: u16 = 13;
    pub const PUT: u16 = 14;
    pub const OBSERVE: u16 = 15;
    pub const JUMP: u16 = 16;
    pub const JUMP_ZERO: u16 = 17;
    pub const JUMP_NOT_ZERO: u16 = 18;
    pub const JUMP_LESS: u16 = 19;
    pub const JUMP_CARRY: u16 = 20;
    pub const CALL: u16 = 21;
    pub const RETURN: u16 = 22;
    pub const BUS: u16 = 23;
    pub const MEMORY_LOAD: u16 = 24;
    pub const MEMORY_STORE: u16 = 25;
    pub const BYTE_LOAD: u16 = 26;
    pub const BYTE_STORE: u16 = 27;
    pub const SHIFT_LEFT: u16 = 28;
    pub const SHIFT_RIGHT: u16 = 29;
    pub const MULTIPLY: u16 = 30;
    pub const MAC: u16 = 31;
}
use operation::*;

/// What `put` writes, by number.
pub const PUT: [&str; 13] = [
    "address", "vectors", "weights", "steps", "stride", "pad", "count", "factor", "status", "clear", "index",
    "operand", "single",
];

/// What `get` reads, by number.
pub const GET: [&str; 10] = [
    "sum", "factor", "program", "commands", "base_0", "base_1", "product", "weights", "vector_0", "vector_1",
];

/// What `obs` says: bits of the port `observe`.
const OBSERVED: [(&str, i64); 8] = [
    ("LOAD_STARTS", 1),
    ("MATRIX_STARTS", 2),
    ("VECTOR_STARTS", 4),
    ("STORE_STARTS", 8),
    ("LOAD_FINISHES", 16),
    ("MATRIX_FINISHES", 32),
    ("VECTOR_FINISHES", 64),
    ("STORE_FINISHES", 128),
];

/// Flags of commands: bits of byte 2 of word 0, and of byte 3.
const FLAGS: [(&str, i64); 22] = [
    ("ACCUMULATE", 1),
    ("TO_ACCUMULATOR", 2),
    ("SINGLE_ROUNDING", 4),
    ("DEPTHWISE", 8),
    ("FOUR_BIT", 16),
    ("ROW_RESULTS", 32),
    ("RESCALE", 64),
    ("ADD_ROW", 128),
    // row_results, rescale, add_row.
    ("NEEDS_ACCUMULATOR", 0xe0),
    // Of accumulate, row_results and rescale, add_row wants the latter two.
    ("WITH_ADD_ROW", 0x61),
    ("WITH_ADD_ROW_WANTED", 0x60),
    // to_accumulator and rescale: without the latter, sums are written as they are.
    ("RAW_MASK", 0x42),
    ("SOURCE", 1),
    ("DESTINATION", 2),
    ("ADD_OPERAND", 8),
    ("REDUCE", 0x30),
    ("MAXIMUM", 0x10),
    ("MULTIPLY_OPERAND", 64),
    ("OPERANDS_BOTH", 72),
    ("PER_GROUP", 128),
    ("LOOKUP", 1),
    ("SUBTRACT", 16),
];

/// Instructions that the ROM has room for.
pub const ROM_WORDS: usize = 2048;

/// A microprogram that is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MicrocodeError {
    #[error("line {line} of the microprogram: {problem}")]
    Line { line: usize, problem: String },
    #[error("the microprogram has {words} instructions; there is room for {ROM_WORDS}")]
    TooLong { words: usize },
}

/// Where the memories of the machine are in the scratch memory, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScratchMap {
    pub weights: usize,
    pub parameters: usize,
    pub accumulators: usize,
    pub tables: usize,
    pub history: usize,
    /// Sums and operands of depthwise steps, and the segment that a move has read.
    pub sums: usize,
    pub operands: usize,
    /// All of it.
    pub bytes: usize,
}

impl ScratchMap {
    /// All memories of `config`, one after another; activations come first.
    pub fn new(config: &Config) -> ScratchMap {
        let mut end = 0;
        let mut area = |bytes: usize| {
            let begin = end;
            // Constants of the microprogram are multiples of 32.
            end += bytes.next_multiple_of(32);
            begin
        };
        area(config.activation_bytes());
        let weights = area(config.weight_bytes());
        let parameters = area(config.parameter_depth * config.parameter_group_bytes());
        let accumulators = area(config.accumulator_depth * 4 * config.lanes);
        let tables = area(config.tables * Config::TABLE_BYTES);
        let history = area(Config::DEPTHWISE_STEPS * (config.depthwise_taps - 1) * config.rows);
        let sums = area(32);
        let operands = area(32);
        // The number of words is a constant, too.
        let bytes = end.next_multiple_of(128);
        ScratchMap { weights, parameters, accumulators, tables, history, sums, operands, bytes }
    }
}

/// The microprogram for a configuration, from its first instruction on.
///
/// # Errors
/// If the text is no microprogram.
pub fn microprogram(config: &Config) -> Result<Vec<u16>, MicrocodeError> {
    assemble(include_str!("microprogram.txt"), &constants(config))
}

fn constants(config: &Config) -> BTreeMap<&'static str, i64> {
    let map = ScratchMap::new(config);
    // As the status register has them: the code in bits 7..4, the engine in bits 3..0.
    let stop = |code: StatusCode, engine: Engine| (code as i64) << 4 | engine as i64;
    let own = [
        ("ACTIVATIONS", 0),
        ("WEIGHTS", map.weights as i64),
        ("PARAMETERS", map.parameters as i64),
        ("ACCUMULATORS", map.accumulators as i64),
        ("TABLES", map.tables as i64),
        ("HISTORY", map.history as i64),
        ("SUMS", map.sums as i64),
        ("OPERANDS", map.operands as i64),
        // Behind the operands.
        ("OLDER", 8),
        ("OPERAND", 16),
        ("WORDS", map.bytes as i64 / 4),
        ("STOP_ILLEGAL_OPCODE", stop(StatusCode::IllegalOpcode, Engine::Control)),
        ("STOP_ILLEGAL_LOAD", stop(StatusCode::IllegalField, Engine::Load)),
        ("STOP_ILLEGAL_MATRIX", stop(StatusCode::IllegalField, Engine::Matrix)),
        ("STOP_ILLEGAL_VECTOR", stop(StatusCode::IllegalField, Engine::Vector)),
        ("STOP_ILLEGAL_STORE", stop(StatusCode::IllegalField, Engine::Store)),
        ("STOP_FETCH_ERROR", stop(StatusCode::FetchError, Engine::Control)),
        ("STOP_READ_ERROR", stop(StatusCode::ReadError, Engine::Load)),
        ("STOP_WRITE_ERROR", stop(StatusCode::WriteError, Engine::Store)),
        ("STOP_MISSING_END", stop(StatusCode::MissingEnd, Engine::Control)),
    ];
    own.into_iter().chain(FLAGS).chain(OBSERVED).collect()
}

/// A line that makes an instruction.
struct Line<'a> {
    number: usize,
    mnemonic: &'a str,
    operands: Vec<String>,
}

/// What names stand for.
struct Names<'a> {
    constants: &'a BTreeMap<&'static str, i64>,
    labels: BTreeMap<String, usize>,
    registers: BTreeMap<String, u16>,
}

/// Assembles a microprogram.
///
/// # Errors
/// If the text is none.
pub fn assemble(text: &str, constants: &BTreeMap<&'static str, i64>) -> Result<Vec<u16>, MicrocodeError> {
    let repeated = repeated(text);
    let mut names = Names {
        constants,
        labels: BTreeMap::new(),
        registers: (0..16).map(|word| (format!("w{word}"), word)).collect(),
    };
    let mut lines = Vec::new();
    for (number, line) in &repeated {
        let mut code = line.split(';').next().unwrap_or_default().trim();
        if let Some((label, rest)) = code.split_once(':') {
            if names.labels.insert(label.trim().to_owned(), lines.len()).is_some() {
                return Err(problem(*number, format!("'{label}' is there twice")));
            }
            code = rest.trim();
        }
        let mut words = code.split_whitespace();
        let Some(mnemonic) = words.next() else { continue };
        let operands: Vec<String> = words.map(str::to_owned).collect();
        if let ("st", [register]) = (mnemonic, operands.as_slice()) {
            let next = names.registers.len() as u16;
            names.registers.entry(register.clone()).or_insert(next);
        }
        lines.push(Line { number: *number, mnemonic, operands });
    }
    if lines.len() > ROM_WORDS || names.registers.len() > 256 {
        return Err(MicrocodeError::TooLong { words: lines.len() });
    }
    lines.iter().map(|line| names.encode(line).map_err(|text| problem(line.number, text))).collect()
}

fn problem(line: usize, problem: String) -> MicrocodeError {
    MicrocodeError::Line { line, problem }
}

/// The lines with their numbers, those between `.repeat N` and `.end` as often as that says.
fn repeated(text: &str) -> Vec<(usize, String)> {
    let mut result = Vec::new();
    let mut block: Option<(usize, Vec<(usize, &str)>)> = None;
    for (number, line) in text.lines().enumerate().map(|(index, line)| (index + 1, line)) {
        match (line.trim(), &mut block) {
            (".end", Some((times, lines))) => {
                for pass in 0..*times {
                    let passes =
                        lines.iter().map(|(number, line)| (*number, line.replace('#', &pass.to_string())));
                    result.extend(passes);
                }
                block = None;
            }
            (begin, None) if begin.starts_with(".repeat ") => {
                // A number that is none repeats nothing, and the labels or registers in there are missed.
                block = Some((begin[8..].trim().parse().unwrap_or(0), Vec::new()));
            }
            (_, Some((_, lines))) => lines.push((number, line)),
            (_, None) => result.push((number, line.to_owned())),
        }
    }
    result
}

impl Names<'_> {
    fn encode(&self, line: &Line) -> Result<u16, String> {
        let operand = |index: usize| line.operands.get(index).map(String::as_str).unwrap_or_default();
        let first = operand(0);
        let register = || self.registers.get(first).copied().ok_or(format!("no register '{first}'"));
        let label = || self.labels.get(first).map(|at| *at as u16).ok_or(format!("no label '{first}'"));
        let listed = |names: &[&str]| {
            names.iter().position(|name| *name == first).map(|at| at as u16).ok_or(format!("no '{first}'"))
        };
        let shift = || match self.number(first) {
            _ if first == "count" => Ok(32),
            Ok(number @ 1..=31) => Ok(number as u16),
            _ => Err(format!("no shift by '{first}'")),
        };
        let byte = || match self.number(operand(1)) {
            Ok(number @ 0..=3) => Ok((number as u16) << 8),
            _ => Err(format!("no byte '{}'", operand(1))),
        };
        let word = |operation: u16, operand: u16| Ok(operation << 11 | operand);
        match line.mnemonic {
            "ld" => word(LOAD, register()?),
            "ldl" => word(LOAD_LOW, register()?),
            "ldh" => word(LOAD_HIGH, register()?),
            "ldb" => word(LOAD_BYTE, register()? | byte()?),
            "ldsb" => word(LOAD_BYTE, register()? | byte()? | 1 << 10),
            "ldi" => word(LOAD_NUMBER, self.signed(first)?),
            "ldc" => match self.number(first)? {
                number if (0..1024).contains(&number) => word(LOAD_NUMBER, number as u16),
                number if number % 32 == 0 && (0..1 << 16).contains(&number) => {
                    word(LOAD_MULTIPLE, (number / 32) as u16)
                }
                number => Err(format!("{number} is no constant that can be loaded")),
            },
            "add" => word(ADD, register()?),
            "sub" => word(SUBTRACT, register()?),
            "andi" => match self.number(first)? {
                number if (0..2048).contains(&number) => word(AND_NUMBER, number as u16),
                number => Err(format!("{number} is no mask of 11 bits")),
            },
            "addi" => word(ADD_NUMBER, self.signed(first)?),
            "get" => word(operation::GET, listed(&self::GET)?),
            "high" => word(HIGH, 0),
            "round" => word(ROUND, 0),
            "st" => word(STORE, register()?),
            "put" => word(operation::PUT, listed(&self::PUT)?),
            "obs" => word(OBSERVE, self.number(first)? as u16 & 0xff),
            "jmp" => word(JUMP, label()?),
            "jz" => word(JUMP_ZERO, label()?),
            "jnz" => word(JUMP_NOT_ZERO, label()?),
            "jl" => word(JUMP_LESS, label()?),
            "jc" => word(JUMP_CARRY, label()?),
            "call" => word(CALL, label()?),
            "ret" => word(RETURN, 0),
            "read" => word(BUS, register()?),
            "fetch" => word(BUS, register()? | 1 << 9),
            "write" => word(BUS, register()? | 1 << 8),
            "ml" => word(MEMORY_LOAD, 0),
            "ms" => word(MEMORY_STORE, 0),
            "mlb" => word(BYTE_LOAD, 0),
            "msb" => word(BYTE_STORE, 0),
            "shl" => word(SHIFT_LEFT, shift()?),
            "asr" => word(SHIFT_RIGHT, shift()?),
            "mul" => word(MULTIPLY, register()?),
            "mac" => word(MAC, 0),
            "mac1" => word(MAC, 1),
            other => Err(format!("no instruction '{other}'")),
        }
    }

    /// A number, decimal or hexadecimal, or a constant; after a minus; or a product of two.
    fn number(&self, text: &str) -> Result<i64, String> {
        if let Some((a, b)) = text.split_once('*') {
            return Ok(self.number(a)? * self.number(b)?);
        }
        if let Some(positive) = text.strip_prefix('-') {
            return Ok(-self.number(positive)?);
        }
        let parsed = match text.strip_prefix("0x") {
            Some(digits) => i64::from_str_radix(digits, 16).ok(),
            None => text.parse().ok(),
        };
        parsed.or(self.constants.get(text).copied()).ok_or(format!("no number '{text}'"))
    }

    /// As an operand of 11 bits.
    fn signed(&self, text: &str) -> Result<u16, String> {
        match self.number(text)? {
            number @ -1024..=1023 => Ok(number as u16 & 0x7ff),
            number => Err(format!("{number} does not fit into 11 bits")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::leaves::SinglePortRam;

    #[test]
    fn the_microprogram_fits_every_sequential_configuration() {
        let femto = Config::preset("femto").expect("a preset");
        let depths = |from: u32| (from..=16).map(|bits| 1usize << bits);
        let mut largest = 0;
        for activation_depth in depths(4) {
            for (weight_depth, parameter_depth) in depths(2).flat_map(|w| depths(3).map(move |p| (w, p))) {
                for accumulator_depth in depths(2) {
                    let sizes = Config { activation_depth, weight_depth, parameter_depth, ..femto.clone() };
                    let config = Config { accumulator_depth, ..sizes };
                    if config.validate().is_err() {
                        break;
                    }
                    microprogram(&config).unwrap_or_else(|error| panic!("{config:?}: {error}"));
                    largest = largest.max(ScratchMap::new(&config).bytes);
                }
            }
        }
        assert!((60 << 10..=4 * SinglePortRam::MAXIMUM_DEPTH).contains(&largest), "{largest} bytes");
    }

    #[test]
    fn names_and_repetitions() {
        let text = "; nothing\nbegin: ldi -1 ; a comment\n.repeat 2\n st r#\n addi 2*#\n.end\n ldb r1 3\n jnz begin\n shl count\n";
        let words = assemble(text, &BTreeMap::new()).expect("a microprogram");
        let wanted = [
            LOAD_NUMBER << 11 | 0x7ff,
            STORE << 11 | 16,
            ADD_NUMBER << 11,
            STORE << 11 | 17,
            ADD_NUMBER << 11 | 2,
            LOAD_BYTE << 11 | 3 << 8 | 17,
            JUMP_NOT_ZERO << 11,
            SHIFT_LEFT << 11 | 32,
        ];
        assert_eq!(words, wanted);
        for (text, wanted) in [
            ("a: ldi 1\na: ldi 2", "line 2 of the microprogram: 'a' is there twice"),
            ("ld nobody", "line 1 of the microprogram: no register 'nobody'"),
            ("jmp nowhere", "line 1 of the microprogram: no label 'nowhere'"),
            ("ldi 1024", "line 1 of the microprogram: 1024 does not fit into 11 bits"),
            ("halt", "line 1 of the microprogram: no instruction 'halt'"),
        ] {
            assert_eq!(assemble(text, &BTreeMap::new()).expect_err(text).to_string(), wanted);
        }
    }

    /// Flags are where the table of commands has them.
    #[test]
    fn flags_are_those_of_the_commands() {
        use frugal_isa::command::{Matrix, Vector};
        let constants = constants(&Config::preset("femto").expect("a preset"));
        for (fields, name, constant) in [
            (Matrix::FIELDS, "accumulate", "ACCUMULATE"),
            (Matrix::FIELDS, "to_accumulator", "TO_ACCUMULATOR"),
            (Matrix::FIELDS, "single_rounding", "SINGLE_ROUNDING"),
            (Matrix::FIELDS, "depthwise", "DEPTHWISE"),
            (Matrix::FIELDS, "four_bit", "FOUR_BIT"),
            (Matrix::FIELDS, "row_results", "ROW_RESULTS"),
            (Matrix::FIELDS, "rescale", "RESCALE"),
            (Matrix::FIELDS, "add_row", "ADD_ROW"),
            (Vector::FIELDS, "source", "SOURCE"),
            (Vector::FIELDS, "destination", "DESTINATION"),
            (Vector::FIELDS, "single_rounding", "SINGLE_ROUNDING"),
            (Vector::FIELDS, "add_operand", "ADD_OPERAND"),
            (Vector::FIELDS, "reduce", "REDUCE"),
            (Vector::FIELDS, "multiply_operand", "MULTIPLY_OPERAND"),
            (Vector::FIELDS, "operand_per_group", "PER_GROUP"),
            (Vector::FIELDS, "lookup", "LOOKUP"),
            (Vector::FIELDS, "subtract_operand", "SUBTRACT"),
        ] {
            let field = fields.iter().find(|field| field.name == name).expect("a field");
            assert_eq!(field.word, 0, "{name}");
            let mask = ((1 << field.width) - 1) << (field.lsb % 8);
            assert_eq!(constants[constant], mask, "{name}");
        }
    }
}
