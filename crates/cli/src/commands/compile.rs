//! `frugal compile`: a model becomes a program.

use crate::arguments::Compile;
use crate::{config, files, model, text};
use std::io::Write;

pub fn run(arguments: &Compile) -> anyhow::Result<()> {
    let config = config::load(&arguments.config)?;
    let graph = model::read(&arguments.model)?;
    files::check_writable(&arguments.out)?;
    let compiled = model::compile(&arguments.model, &graph, &config)?;
    let program = &compiled.program;
    let bytes = program.to_bytes()?;
    files::write(&arguments.out, &bytes)?;
    let host: Vec<&str> = compiled.host_operators().collect();
    let mut rows = vec![
        ("program", arguments.out.display().to_string()),
        ("configuration", text::config(&config)),
        ("commands", text::thousands(program.commands.len() as u64)),
        ("layers", program.layers.len().to_string()),
        ("MACs", text::thousands(program.macs())),
        ("constants", format!("{} bytes", text::thousands(program.constants.len() as u64))),
        ("workspace", format!("{} bytes", text::thousands(program.workspace_bytes as u64))),
        ("file", format!("{} bytes", text::thousands(bytes.len() as u64))),
    ];
    if !host.is_empty() {
        rows.push(("left to the host", host.join(", ")));
    }
    write!(std::io::stdout(), "{}", text::table(&rows))?;
    Ok(())
}
