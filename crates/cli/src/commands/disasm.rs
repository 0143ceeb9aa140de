//! `frugal disasm`: the commands of a program.

use crate::arguments::Disasm;
use crate::{files, text};
use anyhow::Context;
use frugal_isa::{Program, TensorLayout};
use std::io::{self, BufWriter, Write};

pub fn run(arguments: &Disasm) -> anyhow::Result<()> {
    let bytes = files::read(&arguments.program)?;
    let program = Program::from_bytes(&bytes).with_context(|| files::show(&arguments.program))?;
    let mut out = BufWriter::new(io::stdout().lock());
    writeln!(out, "# {} for {}", program.name, text::config(&program.config))?;
    writeln!(
        out,
        "# {} commands, {} bytes of constants, {} bytes of workspace, {} MACs",
        program.commands.len(),
        text::thousands(program.constants.len() as u64),
        text::thousands(program.workspace_bytes as u64),
        text::thousands(program.macs())
    )?;
    for (role, tensors) in [("input", &program.inputs), ("output", &program.outputs)] {
        for tensor in tensors {
            writeln!(out, "# {role} {}", describe(tensor))?;
        }
    }
    let width = program.layers.iter().map(|layer| layer.name.chars().count()).max().unwrap_or(0);
    for (index, (command, layer)) in program.commands.iter().zip(&program.command_layers).enumerate() {
        let layer = &program.layers[*layer as usize].name;
        let command = command.to_string();
        writeln!(out, "{index:>5}  {layer:<width$}  {}", command.trim_end())?;
    }
    out.flush()?;
    Ok(())
}

fn describe(tensor: &TensorLayout) -> String {
    let element = if tensor.element_bytes == 1 { "int8" } else { "int32" };
    format!(
        "'{}' {element} {:?} at workspace + {}, strides {:?}",
        tensor.name, tensor.shape, tensor.offset, tensor.strides
    )
}
