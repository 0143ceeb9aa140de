//! `frugal bench network`: a network on a random input, compared with the reference executor.

use super::record::{self, Row};
use crate::arguments::{BenchNetwork, DeviceKind, SimulationArguments};
use crate::{config, device, model, text};
use anyhow::{bail, ensure, Context};
use frugal_compiler::{estimate_cycles, Compiled, CostModel, HostSource};
use frugal_device::Statistics;
use frugal_graph::npy::Elements;
use frugal_graph::{reference, zoo, Graph, TensorId};
use frugal_isa::Config;
use serde_json::json;
use std::io::{self, Write};
use std::path::Path;

/// What a network cost.
pub struct Measured {
    pub compiled: Compiled,
    /// Bytes that cross the bus at least: constants once, inputs, outputs.
    pub least_bytes: u64,
    /// Cycles by the compiler's cycle model.
    pub predicted_cycles: u64,
    pub statistics: Statistics,
}

impl Measured {
    fn config(&self) -> &Config {
        &self.compiled.program.config
    }

    pub fn macs(&self) -> u64 {
        self.compiled.program.macs()
    }

    pub fn utilisation(&self) -> Option<f64> {
        self.statistics.cycles.map(|cycles| text::utilisation(self.macs(), cycles, self.config()))
    }

    /// The cycles that the memory bus needs at least, as a share of those measured.
    pub fn bus_share(&self) -> Option<f64> {
        let cycles = self.statistics.cycles.filter(|cycles| *cycles > 0)?;
        Some(self.least_bytes as f64 / (self.config().bus_bytes() as f64 * cycles as f64))
    }

    pub fn kilohertz(&self) -> Option<f64> {
        self.statistics.cycles.map(|cycles| text::kilohertz(cycles, self.statistics.wall_seconds))
    }

    /// A row of the table of benchmarks, where the device has cycles.
    pub fn row(&self, command: String) -> Option<Row> {
        Some(Row {
            command,
            cycles: self.statistics.cycles?,
            macs: self.macs(),
            utilisation: self.utilisation()?,
            bytes_read: self.statistics.bytes_read,
            bytes_written: self.statistics.bytes_written,
            simulated_khz: self.kilohertz()?,
            predicted_cycles: Some(self.predicted_cycles),
            bus_share: self.bus_share(),
            ..Row::default()
        })
    }
}

/// The network of a name, or of a file.
pub fn load(network: &str, seed: u64) -> anyhow::Result<Graph> {
    if network.ends_with(".tflite") || network.contains(std::path::MAIN_SEPARATOR) {
        return model::read(Path::new(network));
    }
    match zoo::find(network) {
        Some(entry) => Ok((entry.build)(seed)),
        None => {
            let names: Vec<&str> = zoo::NETWORKS.iter().map(|entry| entry.name).collect();
            bail!("no network '{network}'; there are {}, or give a .tflite file", names.join(", "))
        }
    }
}

/// Compiles a network, runs it, and compares its outputs; `name` is what messages call it.
pub fn measure(
    name: &str,
    graph: &Graph,
    seed: u64,
    kind: DeviceKind,
    config: &Config,
    simulation: &SimulationArguments,
) -> anyhow::Result<Measured> {
    let compiled = model::compile(Path::new(name), graph, config)?;
    let inputs = zoo::random_inputs(graph, seed);
    let expected = Expected::new(graph, &inputs).with_context(|| name.to_owned())?;
    let mut runner = device::open(kind, config, simulation, None)?;
    let result = runner.run(&compiled.program, &compiled.prepare(&inputs)?, name)?;
    // What the device gave, before a softmax on the host makes most of it the same.
    for (index, id) in device_outputs(graph, &compiled) {
        let output = Elements::I8(result.outputs[index].iter().map(|byte| *byte as i8).collect());
        expected.compare(id, &output).with_context(|| name.to_owned())?;
    }
    for (output, id) in compiled.finish(&result.outputs)?.iter().zip(&graph.outputs) {
        expected.compare(*id, output).with_context(|| name.to_owned())?;
    }
    let program = &compiled.program;
    let tensors = program.inputs.iter().chain(&program.outputs);
    let least_bytes = program.constants.len() + tensors.map(|tensor| tensor.elements()).sum::<usize>();
    Ok(Measured {
        least_bytes: least_bytes as u64,
        predicted_cycles: estimate_cycles(program, &CostModel::default()),
        statistics: result.statistics,
        compiled,
    })
}

/// Outputs of the program by their index, and the tensors of the graph that they are.
fn device_outputs(graph: &Graph, compiled: &Compiled) -> Vec<(usize, TensorId)> {
    let results = compiled.results.iter().zip(&graph.outputs).map(|(source, id)| (*source, Some(*id)));
    let steps = compiled.host.iter().map(|step| {
        let operator = graph.operators.iter().find(|operator| operator.name == step.name);
        (step.source, operator.and_then(|operator| operator.inputs[0]))
    });
    results
        .chain(steps)
        .filter_map(|(source, id)| match source {
            HostSource::Device(index) => Some((index, id?)),
            HostSource::Step(_) => None,
        })
        .collect()
}

/// Every tensor by the reference executor.
struct Expected<'a> {
    graph: &'a Graph,
    inputs: &'a [Elements],
    layers: Vec<Elements>,
}

impl<'a> Expected<'a> {
    fn new(graph: &'a Graph, inputs: &'a [Elements]) -> anyhow::Result<Expected<'a>> {
        Ok(Expected { graph, inputs, layers: reference::run_all(graph, inputs)? })
    }

    fn tensor(&self, id: TensorId) -> Option<&Elements> {
        match self.graph.operators.iter().position(|operator| operator.outputs.contains(&id)) {
            Some(index) => self.layers.get(index),
            None => {
                let index = self.graph.inputs.iter().position(|input| *input == id)?;
                self.inputs.get(index)
            }
        }
    }

    /// Different elements are an error.
    fn compare(&self, id: TensorId, output: &Elements) -> anyhow::Result<()> {
        let name = &self.graph[id].name;
        let expected = self.tensor(id).with_context(|| format!("no operator writes tensor '{name}'"))?;
        let (got, wanted) = (output.to_f64(), expected.to_f64());
        // By their bits: -0 is not 0.
        let different = got.iter().zip(&wanted).filter(|(got, wanted)| got.to_bits() != wanted.to_bits());
        let different = different.count();
        ensure!(
            different == 0 && got.len() == wanted.len() && output.type_name() == expected.type_name(),
            "{} of {} elements of '{name}' are not those of the reference executor",
            text::thousands(different as u64),
            text::thousands(wanted.len() as u64),
        );
        Ok(())
    }
}

pub fn run(arguments: &BenchNetwork) -> anyhow::Result<()> {
    let config = config::load(&arguments.config)?;
    let table = arguments.report.record.then(record::find).transpose()?;
    let graph = load(&arguments.network, arguments.seed)?;
    let BenchNetwork { network, seed, device, simulation, .. } = arguments;
    let measured = measure(network, &graph, *seed, *device, &config, simulation)?;
    if let (Some(table), Some(row)) = (&table, measured.row(record::command_line())) {
        record::append(table, &config, &row)?;
    }
    let text = if arguments.report.json {
        format!("{:#}\n", to_json(arguments, &measured))
    } else {
        to_text(arguments, &measured)
    };
    io::stdout().write_all(text.as_bytes())?;
    Ok(())
}

fn to_json(arguments: &BenchNetwork, measured: &Measured) -> serde_json::Value {
    let statistics = &measured.statistics;
    let host: Vec<&str> = measured.compiled.host_operators().collect();
    json!({
        "network": arguments.network,
        "seed": arguments.seed,
        "device": arguments.device.name(),
        "config": measured.config(),
        "cycles": statistics.cycles,
        "macs": measured.macs(),
        "utilisation": measured.utilisation(),
        "bytes_read": statistics.bytes_read,
        "bytes_written": statistics.bytes_written,
        "least_bytes": measured.least_bytes,
        "bus_share": measured.bus_share(),
        "predicted_cycles": measured.predicted_cycles,
        "prediction_error": statistics.cycles.map(|cycles| text::error(measured.predicted_cycles, cycles)),
        "wall_seconds": statistics.wall_seconds,
        "simulated_khz": measured.kilohertz(),
        "commands": measured.compiled.program.commands.len(),
        "host_steps": host,
        "correct": true,
    })
}

fn to_text(arguments: &BenchNetwork, measured: &Measured) -> String {
    let (statistics, config) = (&measured.statistics, measured.config());
    let mut rows = vec![
        ("network", format!("{}: every output is right", arguments.network)),
        ("device", format!("{}, {}", arguments.device.name(), text::config(config))),
    ];
    if let Some(cycles) = statistics.cycles {
        rows.push(("cycles", text::thousands(cycles)));
    }
    rows.push(("MACs", text::thousands(measured.macs())));
    if let Some(utilisation) = measured.utilisation() {
        let formula = format!("MACs / (cycles x {} x {})", config.rows, config.cols);
        rows.push(("array utilisation", format!("{} = {formula}", text::percent(utilisation))));
    }
    for (label, bytes) in [("bytes read", statistics.bytes_read), ("bytes written", statistics.bytes_written)]
    {
        if let Some(bytes) = bytes {
            rows.push((label, text::thousands(bytes)));
        }
    }
    if let Some(share) = measured.bus_share() {
        let least = text::thousands(measured.least_bytes);
        let formula = format!("{least} bytes at least / (cycles x {})", config.bus_bytes());
        rows.push(("of the bus limit", format!("{} = {formula}", text::percent(share))));
    }
    let predicted = measured.predicted_cycles;
    rows.push((
        "cycle model",
        match statistics.cycles {
            Some(cycles) => text::prediction(predicted, cycles),
            None => format!("{} cycles", text::thousands(predicted)),
        },
    ));
    let speed =
        measured.kilohertz().map_or(String::new(), |speed| format!(", {speed:.0} kHz of simulated clock"));
    rows.push(("wall time", format!("{}{speed}", text::seconds(statistics.wall_seconds))));
    let host: Vec<&str> = measured.compiled.host_operators().collect();
    if !host.is_empty() {
        rows.push(("on the host", host.join(", ")));
    }
    text::table(&rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_device_gives_is_compared_before_the_softmax_too() {
        let graph = zoo::lenet5(1);
        let config = Config::preset("nano").unwrap();
        let compiled = model::compile(Path::new("lenet5"), &graph, &config).unwrap();
        let outputs = device_outputs(&graph, &compiled);
        let logits = graph.operators.last().unwrap().inputs[0].unwrap();
        assert_eq!(outputs, [(0, logits)]);
        let inputs = zoo::random_inputs(&graph, 1);
        let expected = Expected::new(&graph, &inputs).unwrap();
        let mut output = expected.tensor(logits).unwrap().as_i8().unwrap().to_vec();
        expected.compare(logits, &Elements::I8(output.clone())).unwrap();
        output[3] ^= 1;
        let message = expected.compare(logits, &Elements::I8(output.clone())).unwrap_err().to_string();
        assert!(message.contains("1 of 10 elements of 'fully_connected_7'"), "{message}");
        assert!(expected.compare(logits, &Elements::I8(output[..3].to_vec())).is_err());
    }
}
