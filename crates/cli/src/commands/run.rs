//! `frugal run`: a model on a device.

use crate::arguments::{DeviceKind, Run};
use crate::{config, device, files, input, model, text, UsageError};
use anyhow::{ensure, Context};
use frugal_compiler::Compiled;
use frugal_device::{Counter, Statistics};
use frugal_graph::npy::{self, Array, Elements};
use frugal_graph::{Graph, Tensor};
use frugal_isa::Config;
use frugal_testbench::verilated::Trace;
use serde_json::{json, Value};
use std::io::{self, Write};

/// One image: what came out of the model, and the cost.
struct Image {
    outputs: Vec<Elements>,
    statistics: Statistics,
}

/// The cost of all images.
struct Total {
    cycles: Option<u64>,
    macs: u64,
    utilisation: Option<f64>,
    bytes_read: Option<u64>,
    bytes_written: Option<u64>,
    /// Empty where the device has none.
    counters: Vec<Counter>,
    wall_seconds: f64,
}

impl Total {
    fn of(images: &[Image], macs_per_image: u64, config: &Config) -> Total {
        let sum = |value: fn(&Statistics) -> Option<u64>| {
            images.iter().map(|image| value(&image.statistics)).sum::<Option<u64>>()
        };
        let cycles = sum(|statistics| statistics.cycles);
        let macs = macs_per_image * images.len() as u64;
        Total {
            cycles,
            macs,
            utilisation: cycles.map(|cycles| text::utilisation(macs, cycles, config)),
            bytes_read: sum(|statistics| statistics.bytes_read),
            bytes_written: sum(|statistics| statistics.bytes_written),
            counters: counters(images),
            wall_seconds: images.iter().map(|image| image.statistics.wall_seconds).sum(),
        }
    }
}

/// Every counter summed over the images.
fn counters(images: &[Image]) -> Vec<Counter> {
    let mut images = images.iter().map(|image| &image.statistics.counters);
    let mut sums = images.next().cloned().unwrap_or_default();
    for counters in images {
        for (sum, counter) in sums.iter_mut().zip(counters) {
            sum.value += counter.value;
        }
    }
    sums
}

pub fn run(arguments: &Run) -> anyhow::Result<()> {
    if arguments.trace.is_some() && arguments.device != DeviceKind::Verilator {
        let message = "--trace needs --device verilator: nothing else has signals to record";
        return Err(UsageError(message.into()).into());
    }
    // Everything that can be wrong with what was given comes before anything that takes long.
    let config = config::load(&arguments.config)?;
    let graph = model::read(&arguments.model)?;
    check_outputs(arguments, &graph)?;
    let batch = input::read_batch(&arguments.input, &graph)?;
    let compiled = model::compile(&arguments.model, &graph, &config)?;
    if let Some(trace) = &arguments.trace {
        Trace::for_path(trace)?;
        files::check_writable(trace)?;
    }
    let mut runner =
        device::open(arguments.device, &config, &arguments.simulation, arguments.trace.as_deref())?;
    let mut images = Vec::with_capacity(batch.len());
    for (index, inputs) in batch.iter().enumerate() {
        let label = format!("image {} of {}", index + 1, batch.len());
        let result = runner.run(&compiled.program, &compiled.prepare(inputs)?, &label)?;
        images.push(Image { outputs: compiled.finish(&result.outputs)?, statistics: result.statistics });
    }
    // Closes the waveform.
    drop(runner);
    write_outputs(arguments, &graph, &images)?;
    let total = Total::of(&images, compiled.program.macs(), &config);
    let text = if arguments.json {
        format!("{:#}\n", to_json(arguments, &graph, &compiled, &images, &total))
    } else {
        to_text(arguments, &graph, &compiled, &images, &total)
    };
    io::stdout().write_all(text.as_bytes())?;
    Ok(())
}

fn check_outputs(arguments: &Run, graph: &Graph) -> anyhow::Result<()> {
    let (given, needed) = (arguments.output.len(), graph.outputs.len());
    if given != 0 && given != needed {
        let message = format!("the model has {needed} outputs, --output was given {given} times");
        return Err(UsageError(message).into());
    }
    arguments.output.iter().try_for_each(|path| files::check_writable(path))
}

/// The shape of an output for a number of images.
fn output_shape(tensor: &Tensor, images: usize) -> Vec<usize> {
    match (images, tensor.shape.split_first()) {
        (1, _) => tensor.shape.clone(),
        (_, Some((1, rest))) => std::iter::once(images).chain(rest.iter().copied()).collect(),
        _ => std::iter::once(images).chain(tensor.shape.iter().copied()).collect(),
    }
}

fn write_outputs(arguments: &Run, graph: &Graph, images: &[Image]) -> anyhow::Result<()> {
    for (index, (path, id)) in arguments.output.iter().zip(&graph.outputs).enumerate() {
        let mut each = images.iter().map(|image| &image.outputs[index]);
        let mut data = each.next().cloned().context("no image was run")?;
        // An output has the same type for every image.
        ensure!(each.all(|more| data.append(more)), "output {index} changes its type, please report this");
        let array = Array { shape: output_shape(&graph[*id], images.len()), data };
        files::write(path, &npy::write(&array))?;
    }
    Ok(())
}

fn to_json(arguments: &Run, graph: &Graph, compiled: &Compiled, images: &[Image], total: &Total) -> Value {
    let config = &compiled.program.config;
    let macs = compiled.program.macs();
    let each: Vec<Value> = images
        .iter()
        .map(|image| {
            let cycles = image.statistics.cycles;
            json!({
                "cycles": cycles,
                "utilisation": cycles.map(|cycles| text::utilisation(macs, cycles, config)),
                "bytes_read": image.statistics.bytes_read,
                "bytes_written": image.statistics.bytes_written,
                "counters": counters_json(&image.statistics.counters),
                "wall_seconds": image.statistics.wall_seconds,
                "outputs": outputs_json(graph, &image.outputs),
            })
        })
        .collect();
    let host: Vec<&str> = compiled.host_operators().collect();
    json!({
        "model": arguments.model,
        "device": arguments.device.name(),
        "config": config,
        "cycles": total.cycles,
        "macs": total.macs,
        "utilisation": total.utilisation,
        "bytes_read": total.bytes_read,
        "bytes_written": total.bytes_written,
        "counters": counters_json(&total.counters),
        "wall_seconds": total.wall_seconds,
        "simulated_khz": total.cycles.map(|cycles| text::kilohertz(cycles, total.wall_seconds)),
        "commands": compiled.program.commands.len(),
        "host_steps": host,
        "images": each,
    })
}

/// Name, shape and elements of each output of a model.
pub(super) fn outputs_json(graph: &Graph, outputs: &[Elements]) -> Vec<Value> {
    let pairs = graph.outputs.iter().zip(outputs);
    pairs
        .map(|(id, values)| {
            let tensor = &graph[*id];
            let mut output = json!({
                "name": tensor.name,
                "type": values.type_name(),
                "shape": tensor.shape,
                "values": values_json(values),
            });
            if text::is_scores(tensor) {
                output["class"] = json!(text::top(values, 1)[0].0);
            }
            output
        })
        .collect()
}

fn values_json(values: &Elements) -> Value {
    match values {
        Elements::I8(values) => json!(values),
        Elements::U8(values) => json!(values),
        Elements::I32(values) => json!(values),
        Elements::F32(values) => json!(values),
    }
}

/// `{"MATRIX_BUSY": 15000, ...}`, or null where there are none.
fn counters_json(counters: &[Counter]) -> Value {
    if counters.is_empty() {
        return Value::Null;
    }
    Value::Object(counters.iter().map(|counter| (counter.name.to_owned(), counter.value.into())).collect())
}

/// The counters and their shares of the cycles, those of the matrix engine on the left.
fn counters_text(counters: &[Counter], cycles: u64) -> String {
    let (left, right): (Vec<&Counter>, Vec<&Counter>) =
        counters.iter().partition(|counter| counter.name.starts_with("MATRIX"));
    let cell = |counter: Option<&&Counter>| {
        counter.map_or(String::new(), |counter| {
            let name = counter.name.replace('_', " ").to_lowercase();
            let share = text::percent(counter.value as f64 / cycles.max(1) as f64);
            format!("{name:<22}{:>14}{share:>9}", text::thousands(counter.value))
        })
    };
    let mut out = String::from(
        "\nperformance counters, and their shares of the cycles (docs/isa.md says what they count)\n",
    );
    for row in 0..left.len().max(right.len()) {
        let line = format!("  {:<45}    {}", cell(left.get(row)), cell(right.get(row)));
        out += line.trim_end();
        out.push('\n');
    }
    out
}

fn to_text(arguments: &Run, graph: &Graph, compiled: &Compiled, images: &[Image], total: &Total) -> String {
    let config = &compiled.program.config;
    let mut out = String::new();
    for (index, image) in images.iter().enumerate() {
        for (id, values) in graph.outputs.iter().zip(&image.outputs) {
            let tensor = &graph[*id];
            let label = if images.len() > 1 { format!("image {index}  ") } else { String::new() };
            out += &format!("{label}{}: {}\n", tensor.name, show_result(tensor, values));
        }
    }
    let each = if images.len() > 1 { format!(" ({} images)", images.len()) } else { String::new() };
    let mut rows = vec![("device", format!("{}, {}", arguments.device.name(), text::config(config)))];
    match total.cycles {
        Some(cycles) => rows.push(("cycles", format!("{}{each}", text::thousands(cycles)))),
        None => rows.push(("cycles", "none on the functional simulator".into())),
    }
    rows.push(("MACs", format!("{}{each}", text::thousands(total.macs))));
    if let Some(utilisation) = total.utilisation {
        let formula = format!("MACs / (cycles x {} x {})", config.rows, config.cols);
        rows.push(("array utilisation", format!("{} = {formula}", text::percent(utilisation))));
    }
    for (label, bytes) in [("bytes read", total.bytes_read), ("bytes written", total.bytes_written)] {
        if let Some(bytes) = bytes {
            rows.push((label, text::thousands(bytes)));
        }
    }
    let speed = total.cycles.map_or(String::new(), |cycles| {
        format!(", {:.0} kHz of simulated clock", text::kilohertz(cycles, total.wall_seconds))
    });
    rows.push(("wall time", format!("{}{speed}", text::seconds(total.wall_seconds))));
    let host: Vec<&str> = compiled.host_operators().collect();
    if !host.is_empty() {
        rows.push(("on the host", host.join(", ")));
    }
    for path in arguments.output.iter().chain(&arguments.trace) {
        rows.push(("written", path.display().to_string()));
    }
    out += &text::table(&rows);
    if let (Some(cycles), false) = (total.cycles, total.counters.is_empty()) {
        out += &counters_text(&total.counters, cycles);
    }
    out
}

/// The shape, and the best classes or the first elements.
pub(super) fn show_result(tensor: &Tensor, values: &Elements) -> String {
    let shape = input::show_shape(&tensor.shape);
    if text::is_scores(tensor) {
        let classes =
            text::top(values, 3).into_iter().map(|(class, score)| match text::real(tensor, score) {
                Some(real) => format!("class {class} ({real:.3})"),
                None => format!("class {class} ({score})"),
            });
        return format!("{}, shape {shape}", classes.collect::<Vec<_>>().join(", "));
    }
    const SHOWN: usize = 8;
    let mut elements: Vec<String> = match values {
        // Shorter than the same number with all the digits of float64.
        Elements::F32(values) => values.iter().take(SHOWN).map(f32::to_string).collect(),
        integers => integers.to_f64().iter().take(SHOWN).map(f64::to_string).collect(),
    };
    if values.len() > SHOWN {
        elements.push("...".into());
    }
    format!("[{}], shape {shape}", elements.join(", "))
}
