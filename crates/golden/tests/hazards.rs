//! The hazard checker: what it must find and what it must let pass.

use frugal_golden::{Hazard, HazardKind, Machine, Memory, MemoryKind, Policy, RunOptions};
use frugal_isa::command::{layout, space, End, Load, Matrix, Store, Tokens, Vector};
use frugal_isa::{Command, Config, Engine};
use Engine::{Load as L, Matrix as M, Store as S, Vector as V};

/// The hazard of a program on 'base' (16 x 8, 4 lanes), the same in many interleavings, or `None`.
fn hazard(commands: &[Command]) -> Option<Hazard> {
    let mut commands = commands.to_vec();
    commands.push(End::default().into());
    let mut found: Option<Option<Hazard>> = None;
    for seed in 0..40 {
        let mut machine = Machine::new(&Config::preset("base").unwrap()).unwrap();
        let policy = if seed == 0 { Policy::ProgramOrder } else { Policy::Random(seed) };
        let options = RunOptions { policy, check_hazards: true, ..RunOptions::default() };
        let result = machine.run_with(&commands, &mut Memory::new(4096), [0; 8], &options);
        let hazard = result
            .err()
            .map(|error| error.hazard().unwrap_or_else(|| panic!("seed {seed}: {error}")).clone());
        let known = found.get_or_insert(hazard.clone());
        assert_eq!(known.is_some(), hazard.is_some(), "seed {seed}: {known:?} and {hazard:?}");
    }
    found.flatten()
}

fn assert_hazard(
    commands: &[Command],
    kind: HazardKind,
    memory: MemoryKind,
    address: u32,
    pair: (usize, usize),
) {
    let hazard = hazard(commands).expect("a hazard");
    let found = (hazard.kind, hazard.memory, hazard.address, (hazard.first.0, hazard.second.0));
    assert_eq!(found, (kind, memory, address, pair), "{hazard}");
}

fn tokens(wait: &[Engine], signal: &[Engine]) -> Tokens {
    let mask = |engines: &[Engine]| engines.iter().map(|e| e.mask()).sum();
    Tokens { wait: mask(wait), signal: mask(signal) }
}

fn load(space: u32, address: u32, tokens: Tokens) -> Command {
    Load { tokens, space, row_bytes: 16, address, ..Load::default() }.into()
}

fn store(address: u32, to: u32, tokens: Tokens) -> Command {
    Store { tokens, memory_offset: to, row_bytes: 16, address, ..Store::default() }.into()
}

/// Reads vector `from`, tile 0 and group 0 and 1; writes lanes 0..8 of vector `to`.
fn matrix(from: u32, to: u32, tokens: Tokens) -> Command {
    Matrix {
        tokens,
        activation_address: from,
        output_address: to,
        input_width: 1,
        input_height: 1,
        ..Matrix::default()
    }
    .into()
}

/// Reads lanes 0..4 of vector `from`, writes those of vector `to`.
fn vector(from: u32, to: u32, tokens: Tokens) -> Command {
    Vector {
        tokens,
        source_address: from,
        destination_address: to,
        input_width: 1,
        input_height: 1,
        ..Vector::default()
    }
    .into()
}

#[test]
fn a_read_needs_the_writers_token() {
    for (space, memory) in [
        (space::ACTIVATION, MemoryKind::Activation),
        (space::WEIGHT, MemoryKind::Weight),
        (space::PARAMETER, MemoryKind::Parameter),
    ] {
        let without = [load(space, 0, tokens(&[], &[])), matrix(0, 9, tokens(&[], &[]))];
        assert_hazard(&without, HazardKind::ReadAfterWrite, memory, 0, (0, 1));
        let with = [load(space, 0, tokens(&[], &[M])), matrix(0, 9, tokens(&[L], &[]))];
        assert_eq!(hazard(&with), None);
    }
    let rows = Vector { source: 1, ..Vector::default() };
    let without = [load(space::ACCUMULATOR, 0, tokens(&[], &[])), rows.clone().into()];
    assert_hazard(&without, HazardKind::ReadAfterWrite, MemoryKind::Accumulator, 0, (0, 1));
    let with =
        [load(space::ACCUMULATOR, 0, tokens(&[], &[V])), Vector { tokens: tokens(&[L], &[]), ..rows }.into()];
    assert_eq!(hazard(&with), None);
}

#[test]
fn group_scales_and_rows_of_results_need_tokens() {
    let scales = |tokens| -> Command {
        Load {
            tokens,
            space: space::WEIGHT,
            layout: layout::SCALES,
            row_bytes: 16,
            address: 1,
            ..Load::default()
        }
        .into()
    };
    // Tiles 2 and 3 share row 1 of the scales; the result is rows 5 and 6.
    let matrix = Matrix {
        four_bit: true,
        to_accumulator: true,
        row_results: true,
        rescale: true,
        add_row: true,
        weight_address: 2,
        channels: 2,
        output_address: 5,
        ..Matrix::default()
    };
    let product = |tokens: Tokens| -> Command { Matrix { tokens, ..matrix.clone() }.into() };
    let without = [scales(tokens(&[], &[])), product(tokens(&[], &[]))];
    assert_hazard(&without, HazardKind::ReadAfterWrite, MemoryKind::Scale, 1, (0, 1));
    assert_eq!(hazard(&[scales(tokens(&[], &[M])), product(tokens(&[L], &[]))]), None);
    // A product adds to rows that the one before may still have in the pipeline.
    let without = [product(tokens(&[], &[])), product(tokens(&[], &[]))];
    assert_hazard(&without, HazardKind::ReadAfterWrite, MemoryKind::Accumulator, 5, (0, 1));
    assert_eq!(hazard(&[product(tokens(&[], &[M])), product(tokens(&[M], &[]))]), None);
}

#[test]
fn the_message_names_both_commands() {
    let without = [load(space::ACTIVATION, 3, tokens(&[], &[])), matrix(3, 9, tokens(&[], &[]))];
    assert_eq!(
        hazard(&without).unwrap().to_string(),
        "hazard, read after write in the activation scratchpad at 3: command 0 (load) writes, command 1 (matrix) reads, \
         and no tokens order them\n  0: load     row_bytes=16 address=3"
    );
}

#[test]
fn the_token_of_an_earlier_command_is_not_enough() {
    let commands = [
        load(space::ACTIVATION, 0, tokens(&[], &[M])),
        load(space::ACTIVATION, 1, tokens(&[], &[])),
        matrix(1, 9, tokens(&[L], &[])),
    ];
    assert_hazard(&commands, HazardKind::ReadAfterWrite, MemoryKind::Activation, 1, (1, 2));
    // The second load's token covers the first load as well.
    let commands = [
        load(space::ACTIVATION, 0, tokens(&[], &[])),
        load(space::ACTIVATION, 1, tokens(&[], &[M])),
        matrix(0, 9, tokens(&[L], &[])),
    ];
    assert_eq!(hazard(&commands), None);
}

#[test]
fn tokens_order_through_a_chain() {
    let commands = [
        load(space::ACTIVATION, 0, tokens(&[], &[M])),
        matrix(0, 9, tokens(&[L], &[V])),
        vector(9, 20, tokens(&[M], &[S])),
        // Ordered after the load through matrix and vector.
        store(0, 2048, tokens(&[V], &[])),
    ];
    assert_eq!(hazard(&commands), None);
}

#[test]
fn a_later_command_knows_what_an_earlier_one_of_its_engine_waited_for() {
    let commands = [
        load(space::ACTIVATION, 0, tokens(&[], &[M])),
        matrix(0, 9, tokens(&[L], &[])),
        matrix(0, 10, tokens(&[], &[])),
    ];
    assert_eq!(hazard(&commands), None);
}

#[test]
fn a_write_needs_the_token_of_every_reader() {
    let reuse = |signal: &[Engine], wait: &[Engine]| {
        [
            load(space::ACTIVATION, 0, tokens(&[], &[M, S])),
            matrix(0, 9, tokens(&[L], if signal.contains(&M) { &[L] } else { &[] })),
            store(0, 2048, tokens(&[L], if signal.contains(&S) { &[L] } else { &[] })),
            load(space::ACTIVATION, 0, tokens(wait, &[])),
        ]
    };
    assert_eq!(hazard(&reuse(&[M, S], &[M, S])), None);
    let memory = MemoryKind::Activation;
    // Which access comes first depends on the interleaving; either way the pair is found.
    assert_eq!(hazard(&reuse(&[M], &[M])).unwrap().memory, memory);
    assert_eq!(hazard(&reuse(&[S], &[S])).unwrap().memory, memory);
    let program_order = [
        load(space::WEIGHT, 0, tokens(&[], &[M])),
        matrix(0, 9, tokens(&[L], &[])),
        load(space::WEIGHT, 0, tokens(&[], &[])),
    ];
    assert!(hazard(&program_order).is_some());
}

#[test]
fn writes_of_two_engines_need_a_token() {
    let without = [load(space::ACTIVATION, 9, tokens(&[], &[])), matrix(0, 9, tokens(&[], &[]))];
    assert_eq!(hazard(&without).unwrap().kind, HazardKind::WriteAfterWrite);
    let with = [load(space::ACTIVATION, 9, tokens(&[], &[M])), matrix(0, 9, tokens(&[L], &[]))];
    assert_eq!(hazard(&with), None);
    // Other lanes of the same vector are no conflict of writes.
    let lanes = [
        matrix(0, 9, tokens(&[], &[])),
        Vector { destination_address: 9, first_lane: 8, ..Vector::default() }.into(),
    ];
    assert_eq!(hazard(&lanes), None);
}

#[test]
fn reading_any_lane_of_a_vector_that_is_being_written_is_a_conflict() {
    let commands = [
        matrix(0, 9, tokens(&[], &[])),
        Vector {
            source_address: 9,
            destination_address: 20,
            first_lane: 8,
            input_width: 1,
            input_height: 1,
            ..Vector::default()
        }
        .into(),
    ];
    assert_eq!(hazard(&commands).unwrap().memory, MemoryKind::Activation);
}

#[test]
fn results_of_the_own_engine_need_a_token_to_oneself() {
    let memory = MemoryKind::Activation;
    let without = [matrix(0, 9, tokens(&[], &[])), matrix(9, 10, tokens(&[], &[]))];
    assert_hazard(&without, HazardKind::ReadAfterWrite, memory, 9, (0, 1));
    let with = [matrix(0, 9, tokens(&[], &[M])), matrix(9, 10, tokens(&[M], &[]))];
    assert_eq!(hazard(&with), None);
    let without = [vector(0, 9, tokens(&[], &[])), vector(9, 10, tokens(&[], &[]))];
    assert_hazard(&without, HazardKind::ReadAfterWrite, memory, 9, (0, 1));
    let with = [vector(0, 9, tokens(&[], &[V])), vector(9, 10, tokens(&[V], &[]))];
    assert_eq!(hazard(&with), None);
    // A chain through another engine does as well.
    let chain = [
        matrix(0, 9, tokens(&[], &[V])),
        vector(0, 20, tokens(&[M], &[M])),
        matrix(9, 10, tokens(&[V], &[])),
    ];
    assert_eq!(hazard(&chain), None);
    // Partial sums through the accumulator memory.
    let partial = |first: Tokens, second: Tokens| {
        [
            Matrix { tokens: first, to_accumulator: true, ..Matrix::default() }.into(),
            Matrix { tokens: second, accumulate: true, output_address: 9, ..Matrix::default() }.into(),
        ]
    };
    assert_hazard(
        &partial(tokens(&[], &[]), tokens(&[], &[])),
        HazardKind::ReadAfterWrite,
        MemoryKind::Accumulator,
        0,
        (0, 1),
    );
    assert_eq!(hazard(&partial(tokens(&[], &[M]), tokens(&[M], &[]))), None);
}

#[test]
fn writes_after_reads_and_writes_of_the_own_engine_are_in_order() {
    let overwrite = [matrix(9, 10, tokens(&[], &[])), matrix(0, 9, tokens(&[], &[]))];
    assert_eq!(hazard(&overwrite), None);
    let twice = [matrix(0, 9, tokens(&[], &[])), matrix(1, 9, tokens(&[], &[]))];
    assert_eq!(hazard(&twice), None);
    let loads = [load(space::WEIGHT, 0, tokens(&[], &[])), load(space::WEIGHT, 0, tokens(&[], &[]))];
    assert_eq!(hazard(&loads), None);
}

#[test]
fn the_bus_memory_is_checked_in_granules_of_16_bytes() {
    let memory = MemoryKind::Bus;
    let fetch = |from: u32, tokens: Tokens| -> Command {
        Load { tokens, memory_offset: from, row_bytes: 16, address: 50, ..Load::default() }.into()
    };
    let spill = [store(0, 1024, tokens(&[], &[L])), fetch(1024, tokens(&[S], &[]))];
    assert_eq!(hazard(&spill), None);
    let without = [store(0, 1024, tokens(&[], &[])), fetch(1024, tokens(&[], &[]))];
    assert_eq!(hazard(&without).unwrap().memory, memory);
    let reuse = [fetch(1024, tokens(&[], &[S])), store(0, 1024, tokens(&[L], &[]))];
    assert_eq!(hazard(&reuse), None);
    let neighbours = [store(0, 1024, tokens(&[], &[])), fetch(1040, tokens(&[], &[]))];
    assert_eq!(hazard(&neighbours), None);
    let stores = [store(0, 1024, tokens(&[], &[])), store(8, 1024, tokens(&[], &[]))];
    assert_eq!(hazard(&stores), None);
}

#[test]
fn a_command_must_not_read_its_own_results() {
    // Result n writes row n + 1, which result n + 1 reads.
    let overrun: Command =
        Vector { source: 1, destination: 1, destination_address: 1, outputs_x: 2, ..Vector::default() }
            .into();
    let result = hazard(std::slice::from_ref(&overrun)).unwrap();
    assert_eq!((result.kind, result.address), (HazardKind::OwnWrite, 1));
    assert!(result.to_string().contains("what it has written itself"));
    // In place is allowed, for rows and for the lanes of vectors.
    let rows = Vector { source: 1, destination: 1, outputs_x: 4, ..Vector::default() };
    let operands = Vector { destination: 1, add_operand: true, outputs_x: 4, ..Vector::default() };
    let lanes = Vector {
        groups: 2,
        outputs_x: 4,
        stride_x: 1,
        output_stride_x: 1,
        step_x: 1,
        input_width: 4,
        input_height: 1,
        ..Vector::default()
    };
    assert_eq!(hazard(&[rows.into()]), None);
    assert_eq!(hazard(&[operands.into()]), None);
    assert_eq!(hazard(&[lanes.into()]), None);
    // A matrix command that overwrites a vector which a later result reads.
    let matrix = Matrix {
        outputs_x: 2,
        stride_x: 1,
        step_x: 1,
        input_width: 2,
        input_height: 1,
        output_address: 1,
        ..Matrix::default()
    };
    assert_eq!(hazard(&[matrix.into()]).unwrap().kind, HazardKind::OwnWrite);
}
