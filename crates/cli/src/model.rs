//! The model: read and compiled, with errors that name the file.

use crate::files;
use anyhow::Context;
use frugal_compiler::{CompileOptions, Compiled};
use frugal_graph::Graph;
use frugal_isa::Config;
use std::path::Path;

pub fn read(path: &Path) -> anyhow::Result<Graph> {
    frugal_graph::tflite::read(&files::read(path)?).with_context(|| files::show(path))
}

pub fn compile(path: &Path, graph: &Graph, config: &Config) -> anyhow::Result<Compiled> {
    let mut compiled = frugal_compiler::compile(graph, config, &CompileOptions::default())
        .with_context(|| files::show(path))?;
    // Converters call every model `main`; people know it by its file.
    if let Some(stem) = path.file_stem() {
        compiled.program.name = stem.to_string_lossy().into_owned();
    }
    Ok(compiled)
}
