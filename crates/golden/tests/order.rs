//! Queues, tokens, interleavings, errors and traces.

use frugal_golden::error::QueueState;
use frugal_golden::{
    Fault, GoldenError, Machine, Memory, MemoryKind, Policy, RunOptions, RunReport, TraceLevel,
};
use frugal_isa::command::{
    layout, space, Adjust, Barrier, Branch, End, Load, Matrix, Row, Set, Store, Tokens, Vector,
};
use frugal_isa::register::StatusCode;
use frugal_isa::{Command, Config, Engine};

fn nano() -> Machine {
    Machine::new(&Config::preset("nano").unwrap()).unwrap()
}

fn mask(engines: &[Engine]) -> u8 {
    engines.iter().map(|e| e.mask()).sum()
}

fn tokens(wait: &[Engine], signal: &[Engine]) -> Tokens {
    Tokens { wait: mask(wait), signal: mask(signal) }
}

fn run(commands: &[Command], options: &RunOptions<'_>) -> Result<(RunReport, Vec<u8>), GoldenError> {
    let mut memory = Memory::from((0..4096u32).map(|b| b as u8).collect::<Vec<_>>());
    let report = nano().run_with(commands, &mut memory, [0; 8], options)?;
    Ok((report, memory.into()))
}

/// Loads 16 bytes from `from` to the vectors `to` and `to + 1`.
fn load(from: u32, to: u32, tokens: Tokens) -> Command {
    Load { tokens, memory_offset: from, row_bytes: 16, address: to, ..Load::default() }.into()
}

fn store(from: u32, to: u32, tokens: Tokens) -> Command {
    Store { tokens, memory_offset: to, row_bytes: 16, address: from, ..Store::default() }.into()
}

fn end() -> Command {
    End::default().into()
}

#[test]
fn tokens_make_every_interleaving_give_the_same_result() {
    use Engine::{Load, Store};
    // Two vectors, reused four times: the store's token says that they are free.
    let mut commands = Vec::new();
    for round in 0..4u32 {
        let free = if round == 0 { vec![] } else { vec![Store] };
        commands.push(load(16 * round, 0, tokens(&free, &[Store])));
        commands.push(store(0, 1024 + 16 * round, tokens(&[Load], &[Load])));
    }
    commands.push(end());
    let (_, expected) = run(&commands, &RunOptions::default()).unwrap();
    assert_eq!(expected[1024..1088], expected[..64]);
    for seed in 0..200 {
        let options =
            RunOptions { policy: Policy::Random(seed), check_hazards: true, ..RunOptions::default() };
        let (report, memory) = run(&commands, &options).unwrap();
        assert_eq!(memory, expected, "seed {seed}");
        assert_eq!(report.tokens_left[Engine::Store as usize], [1, 0, 0, 0]);
        assert_eq!(report.commands, 9);
        assert_eq!(report.engine_commands, [4, 0, 0, 4]);
    }
}

#[test]
fn a_missing_token_shows_in_some_interleaving() {
    let commands = [load(16, 0, Tokens::default()), store(0, 1024, Tokens::default()), end()];
    let results: Vec<_> = (0..50)
        .map(|seed| {
            let options = RunOptions { policy: Policy::Random(seed), ..RunOptions::default() };
            run(&commands, &options).unwrap().1[1024..1040].to_vec()
        })
        .collect();
    assert!(results.contains(&(16..32).collect()) && results.contains(&vec![0; 16]));
    // The same seed gives the same run.
    let options = RunOptions { policy: Policy::Random(7), ..RunOptions::default() };
    assert_eq!(run(&commands, &options).unwrap().1[1024..1040], results[7]);
}

#[test]
fn a_deadlock_shows_queues_and_tokens() {
    use Engine::{Matrix as M, Vector as V};
    let commands = [
        Vector { tokens: tokens(&[], &[V, Engine::Store]), ..Vector::default() }.into(),
        Matrix { tokens: tokens(&[V], &[]), ..Matrix::default() }.into(),
        Vector { tokens: tokens(&[M], &[M]), ..Vector::default() }.into(),
        end(),
    ];
    let error = run(&commands, &RunOptions::default()).unwrap_err();
    let GoldenError::Deadlock(deadlock) = &error else { panic!("{error}") };
    assert_eq!((deadlock.dispatched, deadlock.commands), (3, 4));
    assert_eq!(
        deadlock.queues[2],
        QueueState {
            engine: V,
            level: 1,
            head: Some((2, commands[2].to_string())),
            missing: vec![M],
            full: vec![],
        }
    );
    assert_eq!(
        error.to_string(),
        "deadlock: 3 of 4 commands dispatched\n  \
         next: end      (waits until all engines are idle)\n  \
         load   queue: 0\n  \
         matrix queue: 1, head 1: matrix   wait=vector (no token from vector)\n  \
         vector queue: 1, head 2: vector   wait=matrix signal=matrix (no token from matrix)\n  \
         store  queue: 0\n  \
         tokens: vector to vector: 1; vector to store: 1;"
    );
}

#[test]
fn a_full_queue_holds_back_everything_behind_it() {
    use Engine::{Load, Store};
    // The loads wait for a store that is behind more loads than the queue holds.
    let depth = Config::preset("nano").unwrap().queue_depth;
    let program = |loads: usize| {
        let mut commands = vec![load(0, 0, tokens(&[Store], &[]))];
        commands.extend((1..loads).map(|n| load(0, 2 * n as u32, Tokens::default())));
        commands.push(store(100, 1024, tokens(&[], &[Load])));
        commands.push(end());
        commands
    };
    assert!(run(&program(depth), &RunOptions::default()).is_ok());
    let error = run(&program(depth + 1), &RunOptions::default()).unwrap_err();
    assert!(error.to_string().contains("its queue is full"), "{error}");
}

/// It does one thing at a time: a token of a later command never comes.
#[test]
fn a_sequential_core_takes_tokens_of_earlier_commands_only() {
    use Engine::{Load, Store};
    let waiting = load(0, 0, tokens(&[Store], &[]));
    let sending = store(100, 1024, tokens(&[], &[Load]));
    let on = |preset: &str, commands: [&Command; 2]| {
        let mut machine = Machine::new(&Config::preset(preset).unwrap()).unwrap();
        let commands = [commands[0].clone(), commands[1].clone(), end()];
        machine.run(&commands, &mut Memory::from(vec![0; 4096]), [0; 8])
    };
    assert!(on("pico", [&waiting, &sending]).is_ok());
    assert!(on("femto", [&sending, &waiting]).is_ok());
    let error = on("femto", [&waiting, &sending]).unwrap_err();
    assert!(matches!(error, GoldenError::Deadlock(_)), "{error}");
}

#[test]
fn a_command_whose_token_might_not_fit_does_not_start() {
    use Engine::{Load, Store};
    let mut commands: Vec<_> = (0..241).map(|_| load(0, 0, tokens(&[], &[Store]))).collect();
    commands.push(end());
    let error = run(&commands, &RunOptions::default()).unwrap_err();
    assert!(error.to_string().contains("(240 tokens to store)"), "{error}");
    // One taken makes room for one more: the load waits for it.
    commands.insert(230, store(0, 1024, tokens(&[Load], &[])));
    let (report, _) = run(&commands, &RunOptions::default()).unwrap();
    assert_eq!(report.tokens_left[Load as usize][Store as usize], 240);
}

#[test]
fn barrier_waits_for_all_engines() {
    let commands =
        [load(16, 0, Tokens::default()), Barrier::default().into(), store(0, 1024, Tokens::default()), end()];
    for seed in 0..50 {
        let options =
            RunOptions { policy: Policy::Random(seed), check_hazards: true, ..RunOptions::default() };
        assert_eq!(run(&commands, &options).unwrap().1[1024..1040], (16..32).collect::<Vec<u8>>());
    }
}

#[test]
fn nothing_after_end_is_executed() {
    let commands = [end(), load(u32::MAX - 15, 0, Tokens::default())];
    assert_eq!(run(&commands, &RunOptions::default()).unwrap().0.commands, 1);
}

#[test]
fn errors_name_command_and_cause() {
    let check = |command: Command, fault: &str, status: Option<StatusCode>| {
        let error = run(&[load(0, 0, Tokens::default()), command.clone(), end()], &RunOptions::default())
            .expect_err(fault);
        let engine = command.engine().name();
        assert_eq!(error.to_string(), format!("command 1 ({engine}): {fault}\n  1: {command}"));
        assert_eq!(error.status(), status);
    };
    check(
        load(0, 4095, Tokens::default()),
        "writes address 4096 of the activation scratchpad, which is 4096 deep",
        None,
    );
    check(
        load(4096, 0, Tokens::default()),
        "reads bytes 0x00001000 to 0x1010; the memory behind the bus ends at 0x1000",
        Some(StatusCode::ReadError),
    );
    check(
        store(0, 0xffff_fff0, Tokens::default()),
        "writes bytes 0xfffffff0 to 0x100000000; the memory behind the bus ends at 0x1000",
        Some(StatusCode::WriteError),
    );
    check(
        load(8, 0, Tokens::default()),
        "Load: memory_offset is 8: it must be a multiple of 16",
        Some(StatusCode::IllegalField),
    );
    check(
        Vector { source: 1, kernel_y: 2, ..Vector::default() }.into(),
        "source 1 has no window, but the window is 1 x 2",
        None,
    );
    check(
        Vector { first_lane: 2, ..Vector::default() }.into(),
        "first_lane is 2; it must be a multiple of 4",
        None,
    );
    check(
        frugal_isa::command::Load { space: 1, layout: 1, first_row: 8, row_bytes: 16, ..Default::default() }
            .into(),
        "first_row is 8; it must be below 8",
        None,
    );
    check(
        Matrix { output_lane: 4, ..Matrix::default() }.into(),
        "output_lane is 4; it must be a multiple of 8",
        None,
    );
    check(
        Matrix { weight_address: 511, channels: 2, ..Matrix::default() }.into(),
        "reads address 512 of the weight scratchpad, which is 512 deep",
        None,
    );
    // 'nano' has groups of four tiles.
    let four_bit = Matrix { four_bit: true, to_accumulator: true, channels: 4, ..Matrix::default() };
    check(
        Matrix { weight_address: 6, ..four_bit.clone() }.into(),
        "weight_address is 6; it must be a multiple of 4",
        None,
    );
    check(
        Matrix { channels: 3, ..four_bit.clone() }.into(),
        "kernel_y * kernel_x * channels is 3; it must be a multiple of 4",
        None,
    );
    check(
        Matrix { tiles: 2, weight_stride_tile: 5, ..four_bit.clone() }.into(),
        "weight_stride_tile is 5; it must be a multiple of 4",
        None,
    );
    let plain = Config { name: "plain".into(), four_bit: false, ..Config::preset("nano").unwrap() };
    let scales = Load { space: 1, layout: layout::SCALES, row_bytes: 16, ..Load::default() };
    for command in [four_bit.into(), scales.into()] {
        let mut machine = Machine::new(&plain).unwrap();
        let error = machine.run(&[command, end()], &mut Memory::new(256), [0; 8]).unwrap_err();
        assert_eq!(error.status(), Some(StatusCode::IllegalField));
        assert!(error.to_string().contains("configuration 'plain' has no 4-bit weights"), "{error}");
    }
    let rowless = Config { name: "rowless".into(), row_engine: false, ..Config::preset("nano").unwrap() };
    for (command, says) in [
        (Command::from(Row::default()), "no 'row' commands"),
        (Set::default().into(), "no 'set' commands"),
        (Branch::default().into(), "no 'branch' commands"),
        (Adjust::default().into(), "no 'adjust' commands"),
    ] {
        let mut machine = Machine::new(&rowless).unwrap();
        let error = machine.run(&[command, end()], &mut Memory::new(256), [0; 8]).unwrap_err();
        assert_eq!(error.status(), Some(StatusCode::IllegalOpcode));
        assert!(error.to_string().contains("configuration 'rowless' has no row engine"), "{error}");
        assert!(error.to_string().contains(says), "{error}");
    }
    let scalars = Load { space: 2, layout: layout::SCALARS, row_bytes: 16, ..Load::default() };
    let mut machine = Machine::new(&rowless).unwrap();
    let error = machine.run(&[scalars.into(), end()], &mut Memory::new(256), [0; 8]).unwrap_err();
    assert_eq!(error.status(), Some(StatusCode::IllegalField));
    assert!(error.to_string().contains("no row engine, and so no scalars to load"), "{error}");
    let missing = run(&[load(0, 0, Tokens::default())], &RunOptions::default()).unwrap_err();
    assert_eq!(missing.status(), Some(StatusCode::MissingEnd));
    assert!(run(&[], &RunOptions::default()).is_err());
    let bases = [0, 8, 0, 0, 0, 0, 0, 0];
    let error = nano().run(&[end()], &mut Memory::new(16), bases).unwrap_err();
    assert_eq!(error, GoldenError::MisalignedBase { register: 1, value: 8 });
    let depth = Fault::Depth { access: "reads", memory: MemoryKind::Weight, address: 1, depth: 1 };
    assert_eq!(depth.to_string(), "reads address 1 of the weight scratchpad, which is 1 deep");
}

#[test]
fn padding_reads_nothing_whatever_its_address() {
    let matrix = Matrix { activation_address: 65535, pad_value: 3, ..Matrix::default() };
    assert!(run(&[matrix.into(), end()], &RunOptions::default()).is_ok());
    let vector = Vector { source_address: 65535, ..Vector::default() };
    assert!(run(&[vector.into(), end()], &RunOptions::default()).is_ok());
}

#[test]
fn memories_persist_between_programs() {
    let mut machine = nano();
    let mut memory = Memory::from((0..64).collect::<Vec<u8>>());
    machine.run(&[load(16, 5, Tokens::default()), end()], &mut memory, [0; 8]).unwrap();
    machine.run(&[store(5, 32, Tokens::default()), end()], &mut memory, [0, 0, 0, 0, 0, 0, 0, 16]).unwrap();
    assert_eq!(memory.as_slice()[32..48], (16..32).collect::<Vec<u8>>());
}

#[test]
fn traces_tell_commands_apart_and_do_not_depend_on_the_interleaving() {
    let accumulator: Command =
        Load { space: space::ACCUMULATOR, memory_offset: 32, row_bytes: 16, ..Load::default() }.into();
    let commands = [
        load(16, 0, tokens(&[], &[Engine::Store])),
        accumulator,
        store(0, 1024, tokens(&[Engine::Load], &[])),
        end(),
    ];
    let full = RunOptions { trace: TraceLevel::Full, ..RunOptions::default() };
    let (report, _) = run(&commands, &full).unwrap();
    let places: Vec<Vec<_>> =
        report.trace.iter().map(|c| c.writes.iter().map(|w| (w.memory, w.address)).collect()).collect();
    assert_eq!(places[0], [(MemoryKind::Activation, 0), (MemoryKind::Activation, 1)]);
    assert_eq!(places[1], [(MemoryKind::Accumulator, 0)]);
    assert_eq!(places[2], [(MemoryKind::Bus, 1024)]);
    assert_eq!(report.trace[1].writes[0].bytes, (32..48).collect::<Vec<u8>>());
    for seed in 0..20 {
        let policy = Policy::Random(seed);
        let options = RunOptions { trace: TraceLevel::Digest, policy, ..RunOptions::default() };
        let (digests, _) = run(&commands, &options).unwrap();
        for (a, b) in digests.trace.iter().zip(&report.trace) {
            assert_eq!((a.command, a.digest), (b.command, b.digest));
            assert!(a.writes.is_empty());
        }
    }
    assert_ne!(report.trace[0].digest, report.trace[1].digest);
}
