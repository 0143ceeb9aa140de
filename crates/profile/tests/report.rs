//! The page is well formed, complete and harmless, whatever the run.

mod support;

use frugal_isa::Config;
use frugal_profile::report::{html, Options};
use frugal_profile::{Counter, Engine, OnChip, Run, Source};
use proptest::prelude::*;
use support::{any_run, command, matrix, run};

/// Checks tags, attributes and entities of a page written as XML; returns the text between the tags.
fn check(page: &str) -> String {
    let body = page.strip_prefix("<!DOCTYPE html>\n").expect("a document type");
    let mut open: Vec<&str> = Vec::new();
    let mut text = String::new();
    let mut rest = body;
    while let Some(at) = rest.find('<') {
        text += &rest[..at];
        let end = at + rest[at..].find('>').expect("every tag ends");
        let tag = &rest[at + 1..end];
        rest = &rest[end + 1..];
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name), "closed in order");
            continue;
        }
        assert!(!tag.contains('<'), "<{tag}>");
        assert_eq!(tag.matches('"').count() % 2, 0, "<{tag}>");
        let name = tag.split([' ', '/']).next().unwrap();
        assert!(!name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric()), "<{tag}>");
        assert_ne!(name, "script");
        if !tag.ends_with('/') {
            open.push(name);
        }
    }
    assert_eq!(open, [""; 0], "every tag is closed");
    assert_eq!(rest.trim(), "");
    let mut entities = page;
    while let Some(at) = entities.find('&') {
        entities = &entities[at + 1..];
        let known = ["amp;", "lt;", "gt;", "quot;", "#39;"];
        assert!(
            known.iter().any(|entity| entities.starts_with(entity)),
            "&{}",
            &entities[..4.min(entities.len())]
        );
    }
    for number in ["NaN", ">inf<", ">-inf<", "\"inf", " inf ", "inf%"] {
        assert!(!page.contains(number), "{number}");
    }
    for address in ["http:", "https:", "url(", "@import", "src=", "href="] {
        assert!(!page.contains(address), "{address}");
    }
    text
}

fn page(run: &Run) -> String {
    html(run, &Options::default()).unwrap()
}

fn sample() -> Run {
    let mut run = run(&[("op00_CONV_2D", 40_000), ("op01_ADD", 0)]);
    run.commands = vec![
        command(0, Engine::Load, 0, 30, 200),
        matrix(1, 0, 200, 615, 400),
        command(2, Engine::Vector, 1, 620, 900),
        command(3, Engine::Store, 1, 900, 1000),
    ];
    run.commands[0].bytes = 1360;
    run.commands[0].memory = Some(OnChip::Weight);
    run.layers[0].estimated_cycles = Some(600);
    run.bus.bytes_read = 1360 + 5 * 64;
    run
}

#[test]
fn the_page_says_what_happened() {
    let text = check(&page(&sample()));
    for part in [
        "1,000",
        "Measured",
        "31.2 %",
        "100,000",
        "0.01 ms each, at 100 MHz",
        "waits for data from memory for 170 cycles, 17.0 % of the run. It reads 1,360 bytes, of which 1,360 are weights; the bus moves 8 bytes a cycle, so that takes 170 cycles at least.",
        "op01_ADD runs on the vector unit alone",
        "320 bytes were read that belong to no layer",
        "-2.4 %",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
}

#[test]
fn counters_have_meanings() {
    let mut run = sample();
    let counter =
        |name: &str, meaning: &str| Counter { name: name.into(), value: 12_345, meaning: meaning.into() };
    run.counters = vec![counter("MATRIX_STEPS", ""), counter("STALLS", "Cycles without a step & more.")];
    let text = check(&page(&run));
    assert!(text.contains("Cycles in which the MAC array was given work"));
    assert!(text.contains("Cycles without a step &amp; more."));
    assert!(text.contains("12,345"));
}

#[test]
fn hostile_names_are_only_text() {
    let hostile = "</title><script>alert('1')</script>\" onload=\"x\u{0}\u{202e}&amp;";
    let mut run = sample();
    run.model = hostile.into();
    run.config.name = hostile.into();
    for layer in &mut run.layers {
        layer.name = hostile.into();
        layer.operator = hostile.into();
    }
    run.counters = vec![Counter { name: hostile.into(), value: 0, meaning: hostile.into() }];
    check(&page(&run));
}

#[test]
fn nothing_at_all_can_be_shown() {
    let mut run = run(&[]);
    check(&page(&run));
    run.cycles = 0;
    run.source = Source::Estimated;
    check(&page(&run));
    for clock_megahertz in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        check(&html(&run, &Options { clock_megahertz }).unwrap());
    }
}

#[test]
fn the_largest_numbers_can_be_shown() {
    let mut run = sample();
    run.cycles = u64::MAX;
    run.layers[0].macs = u64::MAX;
    run.layers[1].macs = u64::MAX;
    run.commands[1] = matrix(1, 0, 200, u64::MAX, u64::MAX - 200);
    run.commands[0].bytes = u64::MAX;
    run.commands[3] = command(3, Engine::Store, 1, 900, u64::MAX);
    run.commands[3].bytes = u64::MAX;
    run.layers[0].estimated_cycles = Some(u64::MAX);
    run.bus.bytes_read = u64::MAX;
    run.bus.bytes_written = u64::MAX;
    check(&page(&run));
}

#[test]
fn every_preset_has_a_page() {
    for preset in Config::PRESETS {
        check(&page(&Run { config: Config::preset(preset).unwrap().with_bus_bits(128), ..sample() }));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_run_has_a_page(run in any_run()) {
        check(&page(&run));
    }
}
