//! A run as Chrome trace events, for <https://ui.perfetto.dev> and `chrome://tracing`.
//!
//! The format has no clock cycles: one cycle is written as one microsecond, and `otherData` says so.
//!
//! | track | events |
//! |---|---|
//! | `load`, `matrix`, `vector`, `store` | one complete slice (`X`) per command, with its layer's name |
//! | `layers` | one slice for each stretch of cycles that [`crate::attribute()`] gives to one layer |
//! | counter `layer at the MAC array` | number of the layer whose matrix command is at work, from 1; 0 when none is |
//! | counter for each on-chip memory | addresses in use, where the run recorded them |
//!
//! Slices of one track must not overlap, but a command may start while the one before it drains. A slice therefore ends where
//! the next one of its engine begins, at the latest; its arguments hold the exact `start` and `finish`.

use crate::attribute::attribute_valid;
use crate::occupancy::Level;
use crate::run::{CommandSpan, Engine, OnChip, Run, RunError, Source};
use crate::GENERATOR;
use serde_json::{json, Value};

/// There is one process.
const PROCESS: u32 = 1;
/// Thread of the layers; those of the engines follow in their order.
const LAYERS: u32 = 1;

fn thread(engine: Engine) -> u32 {
    LAYERS + 1 + engine as u32
}

/// The trace as the text of a `trace.json`.
pub fn json(run: &Run) -> Result<String, RunError> {
    Ok(value(run)?.to_string())
}

/// The trace as a JSON value.
pub fn value(run: &Run) -> Result<Value, RunError> {
    run.validate()?;
    let mut events = metadata(run);
    for segment in attribute_valid(run).segments {
        events.push(json!({
            "ph": "X", "pid": PROCESS, "tid": LAYERS, "cat": "layer", "name": run.layers[segment.layer].name,
            "ts": segment.from, "dur": segment.to - segment.from, "args": { "layer": segment.layer },
        }));
    }
    for engine in Engine::ALL {
        let commands: Vec<&CommandSpan> = run.commands.iter().filter(|c| c.engine == engine).collect();
        for (place, command) in commands.iter().enumerate() {
            let next = commands.get(place + 1).map_or(u64::MAX, |next| next.start);
            events.push(slice(run, command, command.finish.min(next)));
        }
    }
    layer_counter(run, &mut events);
    for memory in OnChip::ALL {
        let name = format!("{} ({} in use)", memory.name(), memory.unit());
        for level in Level::of(run, memory) {
            events.push(counter(&name, level.cycle, "in use", level.addresses));
        }
    }
    Ok(json!({
        "displayTimeUnit": "ns",
        "otherData": {
            "generator": GENERATOR,
            "time": "1 cycle is shown as 1 us",
            "model": run.model,
            "source": run.source,
            "cycles": run.cycles,
            "config": run.config,
        },
        "traceEvents": events,
    }))
}

fn metadata(run: &Run) -> Vec<Value> {
    let mut events = vec![json!({
        "ph": "M", "pid": PROCESS, "name": "process_name",
        "args": { "name": format!("{} on {} ({})", run.model, run.config.name, source(run.source)) },
    })];
    let engines = Engine::ALL.map(|engine| (thread(engine), engine.name()));
    for (tid, name) in std::iter::once((LAYERS, "layers")).chain(engines) {
        events.push(json!({
            "ph": "M", "pid": PROCESS, "tid": tid, "name": "thread_name", "args": { "name": name },
        }));
        events.push(json!({
            "ph": "M", "pid": PROCESS, "tid": tid, "name": "thread_sort_index", "args": { "sort_index": tid },
        }));
    }
    events
}

fn source(source: Source) -> &'static str {
    match source {
        Source::Measured => "measured",
        Source::Estimated => "estimated",
    }
}

fn slice(run: &Run, command: &CommandSpan, shown_end: u64) -> Value {
    let mut arguments = json!({
        "command": command.index,
        "label": command.label,
        "start": command.start,
        "finish": command.finish,
        "bytes": command.bytes,
        "steps": command.steps,
        "macs": command.macs,
    });
    if command.engine == Engine::Matrix {
        arguments["issued"] = json!(command.issued);
    }
    if let Some(dispatched) = command.dispatched {
        arguments["dispatched"] = json!(dispatched);
    }
    for (engine, cycles) in Engine::ALL.iter().zip(command.waited_for) {
        if cycles > 0 {
            arguments[format!("waited for {}", engine.name())] = json!(cycles);
        }
    }
    json!({
        "ph": "X", "pid": PROCESS, "tid": thread(command.engine), "cat": command.engine.name(),
        "name": run.layers[command.layer].name, "ts": command.start, "dur": shown_end - command.start,
        "args": arguments,
    })
}

fn counter(name: &str, cycle: u64, series: &str, value: u64) -> Value {
    json!({ "ph": "C", "pid": PROCESS, "name": name, "ts": cycle, "args": { series: value } })
}

fn layer_counter(run: &Run, events: &mut Vec<Value>) {
    let matrix: Vec<&CommandSpan> = run.commands.iter().filter(|c| c.engine == Engine::Matrix).collect();
    let mut shown = None;
    let mut show = |cycle, layer: usize| {
        if shown != Some(layer) {
            events.push(counter("layer at the MAC array", cycle, "layer", layer as u64));
            shown = Some(layer);
        }
    };
    if matrix.first().is_none_or(|first| first.start > 0) {
        show(0, 0);
    }
    for (place, command) in matrix.iter().enumerate() {
        show(command.start, command.layer + 1);
        if matrix.get(place + 1).is_none_or(|next| next.start > command.finish) {
            show(command.finish, 0);
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::run::BusFacts;
    use frugal_isa::Config;

    /// A run in which nothing happens.
    pub(crate) fn empty() -> Run {
        Run {
            model: "nothing".into(),
            config: Config::preset("base").unwrap(),
            cycles: 0,
            source: Source::Measured,
            layers: Vec::new(),
            commands: Vec::new(),
            counters: Vec::new(),
            bus: BusFacts { latency_cycles: 0, bytes_read: 0, bytes_written: 0 },
            occupancy: Vec::new(),
        }
    }

    #[test]
    fn an_empty_run_has_tracks() {
        let trace = value(&empty()).unwrap();
        let threads = trace["traceEvents"].as_array().unwrap();
        assert_eq!(threads.iter().filter(|event| event["name"] == "thread_name").count(), 5);
    }
}
