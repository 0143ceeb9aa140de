//! `frugal verilog`: the accelerator as Verilog.

use crate::arguments::Verilog;
use crate::{config, files, text};
use anyhow::Context;
use std::io::Write;
use std::time::Instant;

pub fn run(arguments: &Verilog) -> anyhow::Result<()> {
    let config = config::load(&arguments.config)?;
    let start = Instant::now();
    let file = frugal_hdl::verilog(&config)?;
    let seconds = start.elapsed().as_secs_f64();
    std::fs::create_dir_all(&arguments.out)
        .with_context(|| format!("the folder {} cannot be made", arguments.out.display()))?;
    let path = arguments.out.join("accelerator.v");
    files::write(&path, file.text.as_bytes())?;
    let lines = file.text.lines().count() as u64;
    writeln!(
        std::io::stdout(),
        "{}: {}, {} modules, {} lines, {}",
        path.display(),
        text::config(&config),
        file.modules.len(),
        text::thousands(lines),
        text::seconds(seconds)
    )?;
    Ok(())
}
