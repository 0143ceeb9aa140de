//! Where a program lies in memory.

use crate::{check_inputs, DeviceError};
use frugal_isa::register::BASE_REGISTERS;
use frugal_isa::{Program, COMMAND_BYTES};
use std::ops::Range;

/// Regions begin at multiples of this.
const PAGE_BYTES: u64 = 4096;

/// The regions of a program, one after another on whole pages:
///
/// ```text
/// BASE_1             BASE_0             PROGRAM_ADDRESS       end
///   |                   |                   |                   |
///   +-------------------+-------------------+-------------------+
///   | workspace         | constants         | commands          |
///   +-------------------+-------------------+-------------------+
/// ```
///
/// The workspace is first, so that programs which follow each other on a device and share a workspace find it in the same
/// place, whatever their constants are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemoryImage {
    pub workspace: Range<usize>,
    pub constants: Range<usize>,
    pub commands: Range<usize>,
}

impl MemoryImage {
    /// Places the program in memory from `origin` on, which is rounded up to a whole page.
    pub fn place(program: &Program, origin: u32) -> Result<MemoryImage, DeviceError> {
        let mut next = u64::from(origin).next_multiple_of(PAGE_BYTES);
        let mut region = |length: usize| {
            let start = next;
            next = (start + length as u64).next_multiple_of(PAGE_BYTES);
            start..start + length as u64
        };
        let workspace = region(program.workspace_bytes);
        let constants = region(program.constants.len());
        let commands = region(program.commands.len() * COMMAND_BYTES);
        if next > 1 << 32 {
            return Err(DeviceError::MemorySize { program: program.name.clone(), needed: next });
        }
        let range = |region: Range<u64>| region.start as usize..region.end as usize;
        Ok(MemoryImage {
            workspace: range(workspace),
            constants: range(constants),
            commands: range(commands),
        })
    }

    /// First byte behind the last page.
    pub fn end(&self) -> usize {
        self.commands.end.next_multiple_of(PAGE_BYTES as usize)
    }

    /// Values of the base registers: constants, workspace, and the workspace again in those that compilers do not use.
    pub fn bases(&self) -> [u32; BASE_REGISTERS] {
        let mut bases = [self.workspace.start as u32; BASE_REGISTERS];
        bases[0] = self.constants.start as u32;
        bases
    }

    /// Value of the `PROGRAM_ADDRESS` register.
    pub fn program_address(&self) -> u32 {
        self.commands.start as u32
    }

    /// Writes constants, commands and inputs to their places; the rest of the workspace stays.
    ///
    /// Panics if `memory` ends before [`MemoryImage::end`].
    pub fn fill(&self, program: &Program, inputs: &[Vec<u8>], memory: &mut [u8]) -> Result<(), DeviceError> {
        check_inputs(program, inputs)?;
        let records = memory[self.commands.clone()].chunks_exact_mut(COMMAND_BYTES);
        for (index, (record, command)) in records.zip(&program.commands).enumerate() {
            let bytes = command.encode_bytes().map_err(|source| DeviceError::Encode { index, source })?;
            record.copy_from_slice(&bytes);
        }
        memory[self.constants.clone()].copy_from_slice(&program.constants);
        let workspace = &mut memory[self.workspace.clone()];
        for (tensor, input) in program.inputs.iter().zip(inputs) {
            tensor.scatter(input, workspace);
        }
        Ok(())
    }

    /// Dense bytes of each output.
    pub fn outputs(&self, program: &Program, memory: &[u8]) -> Vec<Vec<u8>> {
        let workspace = &memory[self.workspace.clone()];
        program.outputs.iter().map(|tensor| tensor.gather(workspace)).collect()
    }
}
