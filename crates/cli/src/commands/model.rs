//! `frugal model`: a network of a published shape as a file.

use crate::arguments::Model;
use crate::{files, input, text, UsageError};
use frugal_graph::npy::{self, Array, Elements};
use frugal_graph::{tflite, zoo};
use std::io::{self, Write};
use std::path::Path;

pub fn run(arguments: &Model) -> anyhow::Result<()> {
    if arguments.list {
        let rows: Vec<(&str, String)> =
            zoo::NETWORKS.iter().map(|entry| (entry.name, entry.description.to_owned())).collect();
        io::stdout().write_all(text::table(&rows).as_bytes())?;
        return Ok(());
    }
    // The command line's parser has checked that they are there.
    let (Some(name), Some(out)) = (&arguments.name, &arguments.out) else {
        return Err(UsageError("give a network and --out, or --list".into()).into());
    };
    let entry = zoo::find(name).ok_or_else(|| UsageError(format!("no network '{name}'")))?;
    let input_out = arguments.input_out.as_deref();
    if input_out == Some(out) {
        return Err(UsageError("--out and --input-out name the same file".into()).into());
    }
    for path in [Some(out.as_path()), input_out].into_iter().flatten() {
        files::check_writable(path)?;
    }
    let graph = (entry.build)(arguments.seed);
    let bytes = tflite::write(&graph)?;
    files::write(out, &bytes)?;
    let macs: u64 = graph.operators.iter().map(|operator| graph.multiply_accumulates(operator)).sum();
    let shape = &graph[graph.inputs[0]].shape;
    let mut rows = vec![
        ("network", format!("{name}, {}", entry.description)),
        ("input", format!("int8, shape {}", input::show_shape(shape))),
        ("layers", graph.operators.len().to_string()),
        ("MACs", text::thousands(macs)),
        ("file", format!("{}, {} bytes", out.display(), text::thousands(bytes.len() as u64))),
    ];
    if let Some(path) = input_out {
        write_input(path, shape, zoo::random_inputs(&graph, arguments.seed).swap_remove(0))?;
        rows.push(("written", path.display().to_string()));
    }
    io::stdout().write_all(text::table(&rows).as_bytes())?;
    Ok(())
}

fn write_input(path: &Path, shape: &[usize], data: Elements) -> anyhow::Result<()> {
    files::write(path, &npy::write(&Array { shape: shape.to_vec(), data }))
}
