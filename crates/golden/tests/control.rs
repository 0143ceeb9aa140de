//! Scalars, loops and adjusted commands; who orders what dispatch does itself.

use frugal_golden::{
    GoldenError, HazardKind, Machine, Memory, MemoryKind, Policy, RunOptions, RunReport, TraceLevel,
};
use frugal_isa::command::{layout, space, Adjust, Barrier, Branch, End, Load, Patch, Set, Store, Tokens};
use frugal_isa::register::StatusCode;
use frugal_isa::{Command, Config, Engine};

fn run(
    commands: &[Command],
    options: &RunOptions<'_>,
) -> Result<(RunReport, Vec<u32>, Vec<u8>), GoldenError> {
    let mut machine = Machine::new(&Config::preset("nano").unwrap()).unwrap();
    let mut memory = Memory::from((0..4096u32).map(|b| (b / 16) as u8).collect::<Vec<_>>());
    let report = machine.run_with(commands, &mut memory, [0; 8], options)?;
    let scalars = machine.scalar().to_vec();
    Ok((report, scalars, memory.into()))
}

fn checked() -> RunOptions<'static> {
    RunOptions { check_hazards: true, ..RunOptions::default() }
}

fn set(scalar: u32, value: i32) -> Command {
    Set { scalar, value, ..Set::default() }.into()
}

fn count(scalar: u32) -> Command {
    Set { scalar, source: scalar, add: true, value: 1, ..Set::default() }.into()
}

fn branch(scalar: u32, limit: u32, target: u32) -> Command {
    Branch { scalar, limit, target, ..Branch::default() }.into()
}

fn barrier(engines: &[Engine]) -> Command {
    Barrier { engines: engines.iter().map(|e| u32::from(e.mask())).sum(), ..Barrier::default() }.into()
}

fn load_scalars(address: u32, row_bytes: u32) -> Command {
    let space = space::PARAMETER;
    Load { space, layout: layout::SCALARS, memory_offset: 256, row_bytes, address, ..Load::default() }.into()
}

fn load(tokens: Tokens) -> Load {
    Load { tokens, row_bytes: 16, ..Load::default() }
}

fn store() -> Store {
    Store { memory_offset: 2048, row_bytes: 16, ..Store::default() }
}

fn end() -> Command {
    End::default().into()
}

#[test]
fn scalars_are_zero_at_the_start_and_wrap() {
    let difference = Set { scalar: 2, source: 1, add: true, value: -3, ..Set::default() };
    let ignored = Set { scalar: 3, source: 1, value: 9, ..Set::default() };
    let (_, scalars, _) =
        run(&[set(1, 1), difference.into(), ignored.into(), end()], &RunOptions::default()).unwrap();
    assert_eq!(scalars[..5], [0, 1, 0xffff_fffe, 9, 0]);
    let mut machine = Machine::new(&Config::preset("nano").unwrap()).unwrap();
    for _ in 0..2 {
        let mut memory = Memory::new(64);
        machine.run(&[count(7), end()], &mut memory, [0; 8]).unwrap();
        assert_eq!(machine.scalar()[7], 1);
    }
}

#[test]
fn an_address_of_a_load_is_four_scalars() {
    let (_, scalars, _) = run(&[load_scalars(2, 32), end()], &checked()).unwrap();
    assert_eq!(
        scalars[7..17],
        [
            0,
            0x1010_1010,
            0x1010_1010,
            0x1010_1010,
            0x1010_1010,
            0x1111_1111,
            0x1111_1111,
            0x1111_1111,
            0x1111_1111,
            0
        ]
    );
    for address in [63, 64, 0x4000, 0xffff] {
        let error = run(&[load_scalars(address, 32), end()], &checked()).unwrap_err().to_string();
        assert!(error.contains("of the scalar memory, which is 256 deep"), "{error}");
    }
}

#[test]
fn branches_compare_without_sign() {
    // Counts 5 rounds; then -1 is not below 7.
    let commands = [count(0), branch(0, 5, 0), set(1, -1), branch(1, 7, 0), branch(1, 0, 0), end()];
    let (report, scalars, _) = run(&commands, &RunOptions::default()).unwrap();
    assert_eq!((scalars[0], report.commands), (5, 14));
    assert_eq!(report.bytes_fetched, 14 * 64);
    // Over the set; to the end.
    let (_, scalars, _) = run(&[branch(0, 1, 2), set(1, 1), end()], &RunOptions::default()).unwrap();
    assert_eq!(scalars[1], 0);
    let error = run(&[branch(0, 1, 2), end()], &RunOptions::default()).unwrap_err();
    assert_eq!(error, GoldenError::Target { index: 0, target: 2, commands: 2 });
    assert_eq!(error.status(), Some(StatusCode::MissingEnd));
}

#[test]
fn an_endless_program_is_given_up() {
    let options = RunOptions { max_commands: Some(1000), ..RunOptions::default() };
    let error = run(&[branch(0, 1, 0), end()], &options).unwrap_err();
    assert_eq!(
        error.to_string(),
        "no end after 1000 commands were dispatched; the next is 0: branch   limit=1"
    );
    let options = RunOptions { max_commands: Some(2), ..RunOptions::default() };
    assert!(run(&[set(0, 1), end()], &options).is_ok());
}

#[test]
fn adjusted_commands_run_and_are_traced_as_often_as_they_are_dispatched() {
    let offset = Load::FIELDS.iter().find(|f| f.name == "memory_offset").unwrap().word as u8;
    let by = |multiplier| Patch { multiplier, word: offset, part: 3, ..Patch::default() };
    let commands = [
        Adjust::of(&[by(16)]).into(),
        Load { tokens: Tokens { wait: 0, signal: Engine::Store.mask() }, ..load(Tokens::default()) }.into(),
        Adjust::of(&[by(16), by(32)]).into(),
        Store { tokens: Tokens { wait: Engine::Load.mask(), signal: 0 }, ..store() }.into(),
        barrier(&[Engine::Store]),
        count(0),
        branch(0, 3, 0),
        end(),
    ];
    let mut digests = Vec::new();
    for policy in [Policy::ProgramOrder, Policy::Random(1), Policy::Random(2)] {
        let options = RunOptions { policy, trace: TraceLevel::Digest, ..checked() };
        let (report, _, memory) = run(&commands, &options).unwrap();
        for round in 0..3 {
            assert_eq!(memory[2048 + 48 * round..][..16], [round as u8; 16]);
        }
        let order: Vec<_> = report.trace.iter().map(|trace| (trace.command, trace.sequence)).collect();
        assert_eq!(order, [(1, 1), (3, 3), (1, 8), (3, 10), (1, 15), (3, 17)]);
        digests.push(report.trace);
    }
    assert_eq!(digests[0], digests[1]);
    assert_eq!(digests[0], digests[2]);
}

#[test]
fn adjusted_commands_are_checked() {
    let adjust = |word, multiplier| -> Command {
        Adjust::of(&[Patch { add: 1, word, part: 3, multiplier, ..Patch::default() }]).into()
    };
    let status = |commands: &[Command]| {
        let error = run(commands, &RunOptions::default()).unwrap_err();
        (error.status(), error.to_string().lines().next().unwrap().to_owned())
    };
    let load: Command = load(Tokens::default()).into();
    let (code, text) = status(&[adjust(1, 4), load.clone(), end()]);
    assert_eq!(code, Some(StatusCode::IllegalField));
    assert_eq!(text, "command 1 (load): Load: memory_offset is 4: it must be a multiple of 16");
    let (code, text) = status(&[adjust(1, 4), end()]);
    assert_eq!(code, Some(StatusCode::IllegalField));
    assert_eq!(
        text,
        "command 1 (control): an adjust command changes a command of an engine, and this is none"
    );
    let (code, text) = status(&[adjust(0, 4), load.clone(), end()]);
    assert_eq!(code, Some(StatusCode::IllegalField));
    assert!(text.starts_with("command 0 (control): Adjust: word is 0"), "{text}");
    // The hardware does not look at bits outside the fields.
    let (code, text) = status(&[adjust(15, 1), load, end()]);
    assert_eq!(code, None);
    assert!(text.contains("bits outside every field"), "{text}");
}

#[test]
fn what_dispatch_does_is_ordered_by_barriers() {
    let hazard = |commands: &[Command]| {
        // The order of execution may happen to be the right one: no matter.
        (0..20)
            .filter_map(|seed| {
                let options = RunOptions { policy: Policy::Random(seed), ..checked() };
                let error = run(commands, &options).err()?;
                let hazard = error.hazard().unwrap_or_else(|| panic!("{error}")).clone();
                assert_eq!(hazard.memory, MemoryKind::Scalar);
                Some((hazard.kind, hazard.first.0, hazard.second.0))
            })
            .collect::<Vec<_>>()
    };
    use HazardKind::*;
    // A load writes scalars 0 to 3.
    let scalars = || load_scalars(0, 16);
    let read: Command =
        Adjust::of(&[Patch { scalar: 2, multiplier: 0, word: 1, part: 1, ..Patch::default() }]).into();
    let changed: Command = store().into();
    let found = hazard(&[scalars(), read.clone(), changed.clone(), end()]);
    assert_eq!(found.len(), 20);
    assert!(found.iter().all(|h| [(ReadAfterWrite, 0, 1), (WriteAfterRead, 1, 0)].contains(h)), "{found:?}");
    let found = hazard(&[scalars(), set(3, 1), end()]);
    assert!(found.len() == 20 && found.iter().all(|h| h.0 == WriteAfterWrite), "{found:?}");
    let found = hazard(&[scalars(), branch(1, 0, 0), end()]);
    assert_eq!(found.len(), 20);
    // Barriers that wait for loads; other scalars; dispatch before the load.
    for engines in [&[][..], &[Engine::Load], &[Engine::Load, Engine::Store]] {
        let commands = [scalars(), barrier(engines), read.clone(), changed.clone(), branch(1, 0, 0), end()];
        assert_eq!(hazard(&commands), []);
    }
    assert_eq!(hazard(&[scalars(), set(4, 1), branch(5, 0, 0), end()]), []);
    assert_eq!(hazard(&[set(0, 1), count(0), branch(0, 0, 0), scalars(), end()]), []);
    // A barrier for somebody else.
    let found = hazard(&[scalars(), barrier(&[Engine::Matrix]), set(3, 1), end()]);
    assert_eq!(found.len(), 20);
}

#[test]
fn a_barrier_says_what_the_engine_that_it_waits_for_knew() {
    // The store waits for the load; dispatch waits for the store, so the second load may overwrite what the store has read.
    let first = load(Tokens { wait: 0, signal: Engine::Store.mask() });
    let waiting = Store { tokens: Tokens { wait: Engine::Load.mask(), signal: 0 }, ..store() };
    let commands = |engines: &[Engine]| {
        let again = load_scalars(0, 16);
        let scalars = load_scalars(0, 16);
        let second = load(Tokens::default()).into();
        let (first, waiting) = (first.clone().into(), waiting.clone().into());
        vec![scalars, first, waiting, barrier(engines), second, set(0, 1), barrier(&[]), again, end()]
    };
    for seed in 0..20 {
        let options = RunOptions { policy: Policy::Random(seed), ..checked() };
        run(&commands(&[Engine::Store]), &options).unwrap();
        let error = run(&commands(&[Engine::Vector]), &options).unwrap_err();
        assert!(error.hazard().is_some(), "{error}");
        // A command that was queued before the barrier knows nothing of it.
        let tail = [load(Tokens::default()).into(), store().into(), barrier(&[Engine::Load]), end()];
        assert!(run(&tail, &options).unwrap_err().hazard().is_some());
    }
}
