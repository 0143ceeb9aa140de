//! The program container: commands, constants and the layout of inputs and outputs in memory.
//!
//! File format, little endian: the magic `FRUGALPG`, the container version, the byte lengths of three
//! sections (metadata, commands, constants), the sections, and a CRC-32 of everything before it. The
//! metadata is JSON, so that a person can read it; commands are the 64-byte records that the hardware
//! fetches; constants are the bytes that `BASE_0` points to.

use crate::command::{Command, DecodeError, EncodeError};
use crate::config::{Config, ConfigError};
use crate::{COMMAND_BYTES, ISA_VERSION};
use serde::{Deserialize, Serialize};
use thiserror::Error;

const MAGIC: &[u8; 8] = b"FRUGALPG";
const CONTAINER_VERSION: u32 = 1;
const HEADER_BYTES: usize = 8 + 4 + 3 * 4;

/// Where the elements of a tensor lie in the workspace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TensorLayout {
    pub name: String,
    /// Elements in each dimension, outermost first.
    pub shape: Vec<usize>,
    /// Bytes from one element to the next in each dimension.
    pub strides: Vec<usize>,
    /// Byte offset of the first element from `BASE_1`.
    pub offset: usize,
    /// Bytes of one element: 1 (int8) or 4 (int32).
    pub element_bytes: usize,
}

impl TensorLayout {
    /// Elements of the tensor.
    pub fn elements(&self) -> usize {
        self.shape.iter().product()
    }

    /// First byte after the tensor, or `None` when it overflows.
    pub fn end(&self) -> Option<usize> {
        if self.shape.contains(&0) {
            return Some(self.offset);
        }
        let mut last = self.offset;
        for (size, stride) in self.shape.iter().zip(&self.strides) {
            last = last.checked_add((size - 1).checked_mul(*stride)?)?;
        }
        last.checked_add(self.element_bytes)
    }

    fn for_each(&self, mut visit: impl FnMut(usize, usize)) {
        let rank = self.shape.len();
        let mut index = vec![0; rank];
        for element in 0..self.elements() {
            let address = self.offset + index.iter().zip(&self.strides).map(|(i, s)| i * s).sum::<usize>();
            visit(element, address);
            for axis in (0..rank).rev() {
                index[axis] += 1;
                if index[axis] < self.shape[axis] {
                    break;
                }
                index[axis] = 0;
            }
        }
    }

    /// Writes the bytes of a dense tensor to their places in the workspace.
    ///
    /// Panics if `dense` or `workspace` is shorter than the layout says.
    pub fn scatter(&self, dense: &[u8], workspace: &mut [u8]) {
        let size = self.element_bytes;
        self.for_each(|element, address| {
            workspace[address..address + size].copy_from_slice(&dense[element * size..(element + 1) * size]);
        });
    }

    /// Reads the tensor from the workspace into dense bytes.
    ///
    /// Panics if `workspace` is shorter than the layout says.
    pub fn gather(&self, workspace: &[u8]) -> Vec<u8> {
        let size = self.element_bytes;
        let mut dense = vec![0; self.elements() * size];
        self.for_each(|element, address| {
            dense[element * size..(element + 1) * size].copy_from_slice(&workspace[address..address + size]);
        });
        dense
    }
}

/// What a stretch of commands computes, for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layer {
    pub name: String,
    /// Multiply-accumulates that the layer's definition asks for (padding of channels not counted).
    pub macs: u64,
}

/// A compiled program with everything a device needs to run it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// Name of the model.
    pub name: String,
    /// The accelerator that the program was compiled for.
    pub config: Config,
    pub commands: Vec<Command>,
    /// For each command, the index of its layer; as long as `commands`.
    pub command_layers: Vec<u32>,
    pub layers: Vec<Layer>,
    /// Bytes at `BASE_0`.
    pub constants: Vec<u8>,
    /// Bytes at `BASE_1`; inputs, outputs and spilled tensors.
    pub workspace_bytes: usize,
    pub inputs: Vec<TensorLayout>,
    pub outputs: Vec<TensorLayout>,
}

#[derive(Serialize, Deserialize)]
struct Metadata {
    isa_version: u32,
    name: String,
    config: Config,
    command_layers: Vec<u32>,
    layers: Vec<Layer>,
    workspace_bytes: usize,
    inputs: Vec<TensorLayout>,
    outputs: Vec<TensorLayout>,
}

/// Bytes that are no program.
#[derive(Debug, Error)]
pub enum ContainerError {
    #[error("not a Frugal program: it does not begin with FRUGALPG")]
    NotAProgram,
    #[error("container version {0}; this build reads version {CONTAINER_VERSION}")]
    Version(u32),
    #[error("compiled for instruction set version {0}; this build has version {ISA_VERSION}: compile the model again")]
    IsaVersion(u32),
    #[error("the file is {actual} bytes long, its header says {expected}: it is truncated or damaged")]
    Length { expected: u64, actual: u64 },
    #[error("checksum mismatch: the file is damaged")]
    Checksum,
    #[error("metadata: {0}")]
    Metadata(#[from] serde_json::Error),
    #[error("metadata: {0}")]
    Config(#[from] ConfigError),
    #[error("metadata: {field}: {problem}")]
    Inconsistent { field: &'static str, problem: String },
    #[error("command {index}: {source}")]
    Command { index: usize, source: DecodeError },
}

impl Program {
    /// Largest workspace that a program may ask for: the address space of the 32-bit memory bus.
    pub const MAX_WORKSPACE_BYTES: usize = 1 << 31;

    /// The commands as the bytes that the hardware fetches.
    pub fn command_bytes(&self) -> Result<Vec<u8>, EncodeError> {
        let mut bytes = Vec::with_capacity(self.commands.len() * COMMAND_BYTES);
        for command in &self.commands {
            bytes.extend_from_slice(&command.encode_bytes()?);
        }
        Ok(bytes)
    }

    /// Multiply-accumulates of all layers.
    pub fn macs(&self) -> u64 {
        self.layers.iter().map(|l| l.macs).sum()
    }

    /// Serialises the program.
    pub fn to_bytes(&self) -> Result<Vec<u8>, EncodeError> {
        let metadata = Metadata {
            isa_version: ISA_VERSION,
            name: self.name.clone(),
            config: self.config.clone(),
            command_layers: self.command_layers.clone(),
            layers: self.layers.clone(),
            workspace_bytes: self.workspace_bytes,
            inputs: self.inputs.clone(),
            outputs: self.outputs.clone(),
        };
        let metadata = serde_json::to_vec(&metadata).expect("plain data serialises");
        let commands = self.command_bytes()?;
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(&CONTAINER_VERSION.to_le_bytes());
        for section in [&metadata, &commands, &self.constants] {
            bytes.extend_from_slice(&(section.len() as u32).to_le_bytes());
        }
        for section in [&metadata, &commands, &self.constants] {
            bytes.extend_from_slice(section);
        }
        let checksum = crc32fast::hash(&bytes);
        bytes.extend_from_slice(&checksum.to_le_bytes());
        Ok(bytes)
    }

    /// Reads a program; any bytes give a program or an error.
    pub fn from_bytes(bytes: &[u8]) -> Result<Program, ContainerError> {
        if bytes.get(..8) != Some(MAGIC) {
            return Err(ContainerError::NotAProgram);
        }
        let word = |at: usize| -> Option<u32> {
            Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().expect("four bytes")))
        };
        let short = |expected: u64| ContainerError::Length { expected, actual: bytes.len() as u64 };
        let version = word(8).ok_or(short(HEADER_BYTES as u64))?;
        if version != CONTAINER_VERSION {
            return Err(ContainerError::Version(version));
        }
        let mut ends = [HEADER_BYTES as u64; 4];
        for section in 0..3 {
            let length = word(12 + 4 * section).ok_or(short(HEADER_BYTES as u64))?;
            ends[section + 1] = ends[section] + u64::from(length);
        }
        let expected = ends[3] + 4;
        if bytes.len() as u64 != expected {
            return Err(short(expected));
        }
        let section = |index: usize| &bytes[ends[index] as usize..ends[index + 1] as usize];
        if word(ends[3] as usize) != Some(crc32fast::hash(&bytes[..ends[3] as usize])) {
            return Err(ContainerError::Checksum);
        }
        let metadata: Metadata = serde_json::from_slice(section(0))?;
        if metadata.isa_version != ISA_VERSION {
            return Err(ContainerError::IsaVersion(metadata.isa_version));
        }
        let records = section(1).chunks_exact(COMMAND_BYTES);
        if !records.remainder().is_empty() {
            let problem = format!("{} bytes are not whole 64-byte records", section(1).len());
            return Err(ContainerError::Inconsistent { field: "commands", problem });
        }
        let commands = records
            .enumerate()
            .map(|(index, record)| {
                Command::decode_bytes(record.try_into().expect("chunks of 64"))
                    .map_err(|source| ContainerError::Command { index, source })
            })
            .collect::<Result<Vec<_>, _>>()?;
        let program = Program {
            name: metadata.name,
            config: metadata.config,
            commands,
            command_layers: metadata.command_layers,
            layers: metadata.layers,
            constants: section(2).to_vec(),
            workspace_bytes: metadata.workspace_bytes,
            inputs: metadata.inputs,
            outputs: metadata.outputs,
        };
        program.check()?;
        Ok(program)
    }

    /// Checks what the parts say of one another.
    fn check(&self) -> Result<(), ContainerError> {
        self.config.validate()?;
        let inconsistent = |field, problem: String| Err(ContainerError::Inconsistent { field, problem });
        if self.workspace_bytes > Self::MAX_WORKSPACE_BYTES {
            let problem = format!("{} bytes exceed 2 GiB", self.workspace_bytes);
            return inconsistent("workspace_bytes", problem);
        }
        if self.command_layers.len() != self.commands.len() {
            let problem =
                format!("{} entries for {} commands", self.command_layers.len(), self.commands.len());
            return inconsistent("command_layers", problem);
        }
        if let Some(layer) = self.command_layers.iter().find(|l| **l as usize >= self.layers.len()) {
            return inconsistent("command_layers", format!("layer {layer} of {}", self.layers.len()));
        }
        for (field, tensors) in [("inputs", &self.inputs), ("outputs", &self.outputs)] {
            for tensor in tensors {
                let fits = tensor.shape.len() == tensor.strides.len()
                    && (tensor.element_bytes == 1 || tensor.element_bytes == 4)
                    && tensor.shape.iter().try_fold(1usize, |n, s| n.checked_mul(*s)).is_some()
                    && tensor.end().is_some_and(|end| end <= self.workspace_bytes)
                    && tensor.elements() <= self.workspace_bytes;
                if !fits {
                    return inconsistent(field, format!("tensor '{}' is outside the workspace", tensor.name));
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::{End, Load};
    use proptest::prelude::*;

    fn sample() -> Program {
        let layout = TensorLayout {
            name: "input".into(),
            shape: vec![1, 2, 3],
            strides: vec![64, 32, 8],
            offset: 16,
            element_bytes: 1,
        };
        Program {
            name: "sample".into(),
            config: Config::preset("nano").unwrap(),
            commands: vec![Load { row_bytes: 32, ..Load::default() }.into(), End::default().into()],
            command_layers: vec![0, 0],
            layers: vec![Layer { name: "all".into(), macs: 7 }],
            constants: vec![1, 2, 3],
            workspace_bytes: 4096,
            inputs: vec![layout.clone()],
            outputs: vec![layout],
        }
    }

    #[test]
    fn container_round_trips() {
        let program = sample();
        assert_eq!(Program::from_bytes(&program.to_bytes().unwrap()).unwrap(), program);
    }

    #[test]
    fn every_truncation_and_every_flipped_byte_is_refused() {
        let bytes = sample().to_bytes().unwrap();
        for length in 0..bytes.len() {
            assert!(Program::from_bytes(&bytes[..length]).is_err(), "{length}");
        }
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x40;
            assert!(Program::from_bytes(&damaged).is_err(), "{at}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_with_a_right_checksum_never_panic(
            at in 0usize..2000, value in any::<u8>(), more in proptest::collection::vec(any::<u8>(), 0..8)
        ) {
            let mut bytes = sample().to_bytes().unwrap();
            bytes.truncate(bytes.len() - 4);
            let at = at % bytes.len();
            bytes[at] = value;
            for (offset, byte) in more.iter().enumerate() {
                let length = bytes.len();
                bytes[(at + 31 * offset) % length] = *byte;
            }
            let checksum = crc32fast::hash(&bytes);
            bytes.extend_from_slice(&checksum.to_le_bytes());
            if let Ok(program) = Program::from_bytes(&bytes) {
                prop_assert!(program.to_bytes().is_ok());
            }
        }
    }

    #[test]
    fn scatter_and_gather_are_inverse() {
        let layout = &sample().inputs[0];
        let dense = [1, 2, 3, 4, 5, 6];
        let mut workspace = vec![0; 128];
        layout.scatter(&dense, &mut workspace);
        assert_eq!((workspace[16], workspace[24], workspace[48]), (1, 2, 4));
        assert_eq!(layout.gather(&workspace), dense);
    }
}
