//! Runs for tests.

use frugal_isa::Config;
use frugal_profile::{BusFacts, CommandSpan, Engine, LayerFacts, OccupancyInterval, OnChip, Run, Source};
use proptest::prelude::*;

/// A run of 1,000 cycles with these layers and no commands.
pub fn run(layers: &[(&str, u64)]) -> Run {
    Run {
        model: "model".into(),
        config: Config::preset("base").unwrap(),
        cycles: 1000,
        source: Source::Measured,
        layers: layers
            .iter()
            .map(|(name, macs)| LayerFacts { name: (*name).into(), macs: *macs, ..LayerFacts::default() })
            .collect(),
        commands: Vec::new(),
        counters: Vec::new(),
        bus: BusFacts { latency_cycles: 20, bytes_read: 0, bytes_written: 0 },
        occupancy: Vec::new(),
    }
}

pub fn command(index: usize, engine: Engine, layer: usize, start: u64, finish: u64) -> CommandSpan {
    CommandSpan {
        index,
        engine,
        layer,
        label: String::new(),
        dispatched: None,
        start,
        finish,
        issued: 0,
        macs: 0,
        bytes: 0,
        memory: None,
        steps: 0,
        waited_for: [0; 4],
    }
}

pub fn matrix(index: usize, layer: usize, start: u64, finish: u64, issued: u64) -> CommandSpan {
    CommandSpan { issued, steps: issued, ..command(index, Engine::Matrix, layer, start, finish) }
}

/// Any run that is valid, however unlikely.
#[allow(dead_code)]
pub fn any_run() -> impl Strategy<Value = Run> {
    let names = proptest::collection::vec((".{0,12}", prop_oneof![Just(0), 0..1u64 << 40]), 1..9);
    (names, 0..5000u64).prop_flat_map(|(layers, cycles)| {
        let count = layers.len();
        let commands = proptest::collection::vec(
            (0..4usize, 0..count, 0..=cycles, 0..=cycles, any::<u64>(), any::<u32>(), any::<[bool; 4]>()),
            0..40,
        );
        let occupancy = proptest::collection::vec(
            (0..4usize, 0..=256u32, 0..=256u32, 0..=cycles, 0..=cycles, ".{0,8}"),
            0..12,
        );
        (Just(layers), Just(cycles), commands, occupancy)
            .prop_map(|(layers, cycles, commands, occupancy)| build(&layers, cycles, &commands, &occupancy))
    })
}

type Command = (usize, usize, u64, u64, u64, u32, [bool; 4]);
type Occupancy = (usize, u32, u32, u64, u64, String);

fn build(layers: &[(String, u64)], cycles: u64, commands: &[Command], occupancy: &[Occupancy]) -> Run {
    let names: Vec<(&str, u64)> = layers.iter().map(|(name, macs)| (name.as_str(), *macs)).collect();
    let mut run = Run { cycles, ..run(&names) };
    // Within an engine commands start in program order.
    let mut starts: [Vec<u64>; 4] = Default::default();
    for (engine, _, a, b, ..) in commands {
        starts[*engine].push(*a.min(b));
    }
    for starts in &mut starts {
        starts.sort_unstable();
        starts.reverse();
    }
    for (index, (engine, layer, a, b, issued, bytes, waits)) in commands.iter().enumerate() {
        let start = starts[*engine].pop().unwrap();
        let finish = start.max(*a.max(b));
        let engine = Engine::ALL[*engine];
        let mut span = command(2 * index, engine, *layer, start, finish);
        if engine == Engine::Matrix {
            span.issued = issued % (finish - start + 1);
        }
        if matches!(engine, Engine::Load | Engine::Store) {
            span.bytes = u64::from(*bytes);
            span.memory = Some(OnChip::ALL[index % 4]);
        }
        span.dispatched = (bytes % 2 == 0).then_some(start / 2);
        span.waited_for = waits.map(|wait| u64::from(wait) * (start / 2));
        run.commands.push(span);
    }
    run.occupancy = occupancy
        .iter()
        .map(|(memory, first, last, from, to, name)| OccupancyInterval {
            name: name.clone(),
            memory: OnChip::ALL[*memory],
            addresses: *first.min(last)..*first.max(last),
            from: *from.min(to),
            to: *from.max(to),
        })
        .collect();
    run
}
