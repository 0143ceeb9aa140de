//! Every cycle belongs to one layer and one reason.

mod support;

use frugal_profile::{attribute, losses, Breakdown, Engine, Run, RunError, Segment};
use proptest::prelude::*;
use support::{any_run, command, matrix, run};

fn layers(run: &Run) -> Vec<Breakdown> {
    let attribution = attribute(run).unwrap();
    assert_eq!(attribution.sum().total(), run.cycles);
    attribution.layers
}

#[test]
fn a_convolution_loads_computes_and_stores() {
    let mut run = run(&[("conv", 0)]);
    run.commands = vec![
        command(0, Engine::Load, 0, 30, 200),
        matrix(1, 0, 200, 900, 600),
        command(2, Engine::Store, 0, 900, 980),
    ];
    let expected = Breakdown { compute: 600, memory: 170, vector: 0, store: 80, fill: 30 + 100 + 20 };
    assert_eq!(layers(&run), [expected]);
}

#[test]
fn draining_behind_the_next_command_costs_nothing() {
    let mut run = run(&[("a", 0), ("b", 0)]);
    run.commands = vec![matrix(0, 0, 0, 515, 500), matrix(1, 1, 500, 1000, 480)];
    let [a, b] = layers(&run)[..] else { panic!() };
    assert_eq!((a.compute, a.fill), (500, 0));
    assert_eq!((b.compute, b.fill), (480, 20));
    // A command that starts while the one before it still issues steps leaves it those cycles.
    run.commands[1] = matrix(1, 1, 300, 1000, 480);
    let [a, b] = layers(&run)[..] else { panic!() };
    assert_eq!((a.compute, a.fill), (500, 0));
    assert_eq!((b.compute, b.fill), (480, 20));
}

#[test]
fn fetching_ahead_is_no_reason_to_wait() {
    let mut run = run(&[("conv", 0), ("pool", 0), ("dense", 0), ("later", 0)]);
    run.commands = vec![
        matrix(0, 0, 0, 400, 400),
        command(1, Engine::Vector, 1, 410, 600),
        matrix(2, 2, 610, 800, 190),
        command(3, Engine::Load, 3, 0, 900),
        matrix(4, 3, 900, 1000, 100),
    ];
    let layers = layers(&run);
    assert_eq!(layers[0], Breakdown { compute: 400, ..Breakdown::default() });
    // The gap before the pooling is its own, the gap behind it the dense layer's.
    assert_eq!(layers[1], Breakdown { vector: 190, fill: 10, ..Breakdown::default() });
    assert_eq!(layers[2], Breakdown { compute: 190, fill: 10, ..Breakdown::default() });
    assert_eq!(layers[3], Breakdown { compute: 100, memory: 100, ..Breakdown::default() });
}

#[test]
fn on_a_sequential_core_every_command_has_its_own_cycles() {
    let mut run = run(&[("conv", 0), ("pool", 0)]);
    run.config = frugal_isa::Config::preset("femto").unwrap();
    run.commands = vec![
        command(0, Engine::Load, 0, 10, 100),
        matrix(1, 0, 120, 500, 30),
        command(2, Engine::Vector, 1, 510, 900),
        command(3, Engine::Store, 1, 905, 980),
    ];
    let conv = Breakdown { compute: 30, memory: 90, fill: 10 + 20 + 350, ..Breakdown::default() };
    let pool = Breakdown { vector: 390, store: 75, fill: 10 + 5 + 20, ..Breakdown::default() };
    assert_eq!(layers(&run), [conv, pool]);
    let attribution = attribute(&run).unwrap();
    assert_eq!(attribution.between, [30, 35]);
    let segments = [(0, 0, 500), (1, 500, 1000)].map(|(layer, from, to)| Segment { layer, from, to });
    assert_eq!(attribution.segments, segments);
    let told = losses(&run).unwrap();
    assert!(told.iter().all(|loss| loss.remedy.contains("sequential core")), "{told:?}");
    assert_eq!(told.iter().map(|loss| loss.cycles).sum::<u64>(), 1000);
}

#[test]
fn a_command_that_is_not_in_its_queue_waits_for_no_data() {
    let mut run = run(&[("conv", 0)]);
    run.config.queue_depth = 2;
    run.commands = vec![
        command(0, Engine::Load, 0, 0, 200),
        command(1, Engine::Load, 0, 200, 300),
        command(2, Engine::Load, 0, 300, 400),
        command(3, Engine::Load, 0, 400, 500),
        matrix(4, 0, 700, 1000, 300),
    ];
    run.commands[4].dispatched = Some(600);
    // Until cycle 200 three loads are left, one more than the queue takes: they hold dispatch back.
    let expected = Breakdown { compute: 300, memory: 200, fill: 500, ..Breakdown::default() };
    assert_eq!(layers(&run), [expected]);
    assert_eq!(attribute(&run).unwrap().between, [500]);
    // From the dispatch on a wait for data is one.
    run.commands[3] = command(3, Engine::Load, 0, 400, 700);
    run.commands[4].waited_for = [100, 0, 0, 0];
    let expected = Breakdown { compute: 300, memory: 300, fill: 400, ..Breakdown::default() };
    assert_eq!(layers(&run), [expected]);
}

#[test]
fn recorded_waits_decide_between_engines() {
    let mut run = run(&[("conv", 0), ("next", 0)]);
    run.commands = vec![
        matrix(0, 0, 0, 500, 500),
        command(1, Engine::Vector, 0, 450, 700),
        command(2, Engine::Load, 1, 300, 650),
        matrix(3, 1, 700, 1000, 300),
    ];
    assert_eq!((layers(&run)[1].memory, layers(&run)[1].vector), (150, 50));
    run.commands[3].waited_for = [0, 0, 200, 0];
    assert_eq!((layers(&run)[1].memory, layers(&run)[1].vector), (0, 200));
    // A wait for an engine that does nothing explains nothing.
    run.commands[3].waited_for = [0, 0, 0, 9];
    assert_eq!((layers(&run)[1].memory, layers(&run)[1].vector), (150, 50));
}

#[test]
fn layers_follow_each_other_in_time() {
    let mut run = run(&[("a", 0), ("b", 0)]);
    run.commands = vec![matrix(0, 0, 0, 400, 400), matrix(1, 1, 500, 1000, 500)];
    let segments = attribute(&run).unwrap().segments;
    assert_eq!(segments, [Segment { layer: 0, from: 0, to: 400 }, Segment { layer: 1, from: 400, to: 1000 }]);
}

#[test]
fn a_run_without_commands_is_outside_of_every_layer() {
    let attribution = attribute(&run(&[])).unwrap();
    assert_eq!((attribution.outside, attribution.sum().total()), (1000, 1000));
    assert_eq!(attribute(&run(&[("nothing", 0)])).unwrap().outside, 1000);
}

#[test]
fn contradictions_are_named() {
    let error = |change: &dyn Fn(&mut Run)| {
        let mut run = run(&[("a", 0)]);
        run.commands =
            vec![matrix(0, 0, 10, 20, 5), command(4, Engine::Load, 0, 30, 40), matrix(5, 0, 20, 40, 5)];
        run.validate().unwrap();
        change(&mut run);
        run.validate().unwrap_err()
    };
    let index = 0;
    assert_eq!(error(&|r| r.commands[0].finish = 9), RunError::Backwards { index, start: 10, finish: 9 });
    assert_eq!(
        error(&|r| r.commands[0].finish = 1001),
        RunError::AfterTheEnd { index, finish: 1001, cycles: 1000 }
    );
    assert_eq!(error(&|r| r.commands[0].layer = 1), RunError::Layer { index, layer: 1, layers: 1 });
    assert_eq!(error(&|r| r.commands[0].issued = 11), RunError::Issued { index, issued: 11, cycles: 10 });
    assert_eq!(
        error(&|r| r.commands[0].dispatched = Some(11)),
        RunError::Dispatched { index, dispatched: 11, start: 10 }
    );
    assert_eq!(error(&|r| r.commands[1].index = 0), RunError::ProgramOrder { index: 0, previous: 0 });
    assert_eq!(
        error(&|r| r.commands[1].issued = 1),
        RunError::IssuedElsewhere { index: 4, issued: 1, engine: "load" }
    );
    assert_eq!(
        error(&|r| r.commands[2].start = 9),
        RunError::EngineOrder { index: 5, previous: 0, engine: "matrix" }
    );
    assert!(error(&|r| r.config.rows = 0).to_string().contains("rows is 0"));
}

proptest! {
    #[test]
    fn the_parts_are_the_whole(run in any_run()) {
        let attribution = attribute(&run).unwrap();
        prop_assert_eq!(attribution.sum().total(), run.cycles);
        let layers: u64 = attribution.layer_cycles().iter().sum();
        prop_assert_eq!(layers + attribution.outside, run.cycles);
        let issued: u64 = run.commands.iter().map(|c| c.issued).sum();
        prop_assert!(attribution.sum().compute <= issued);
        // The segments cover every cycle once, each layer as often as its parts say.
        let mut cycles = vec![0; run.layers.len()];
        let mut now = 0;
        for segment in &attribution.segments {
            prop_assert_eq!(segment.from, now);
            prop_assert!(segment.to > segment.from);
            cycles[segment.layer] += segment.to - segment.from;
            now = segment.to;
        }
        prop_assert_eq!(now + attribution.outside, run.cycles);
        prop_assert_eq!(cycles, attribution.layer_cycles());
    }

    #[test]
    fn losses_are_what_is_missing_to_the_peak(run in any_run()) {
        let attribution = attribute(&run).unwrap();
        let losses = losses(&run).unwrap();
        prop_assert!(losses.windows(2).all(|pair| pair[0].cycles >= pair[1].cycles));
        let peak = run.config.peak() as u64;
        let used: u64 = run
            .layers
            .iter()
            .zip(&attribution.layers)
            .map(|(layer, parts)| parts.compute.min(layer.macs.div_ceil(peak)))
            .sum();
        prop_assert_eq!(used + losses.iter().map(|loss| loss.cycles).sum::<u64>(), run.cycles);
    }
}
