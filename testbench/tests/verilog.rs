//! The accelerator's Verilog: clean under Verilator's lint, the same every time, quick to generate.

use frugal_isa::Config;
use frugal_testbench::verilated::lint_only;

fn configs() -> impl Iterator<Item = Config> {
    Config::PRESETS
        .into_iter()
        .chain(Config::SMALL_PRESETS)
        .flat_map(|name| [64, 128].map(|bits| Config::preset(name).expect("a preset").with_bus_bits(bits)))
        // A sequential core has 64 bits.
        .filter(|config| config.validate().is_ok())
}

#[test]
fn every_preset_passes_the_lint() {
    for config in configs() {
        let file = frugal_hdl::verilog(&config).expect("emits");
        lint_only(&file).unwrap_or_else(|error| panic!("{} {} bits: {error}", config.name, config.bus_bits));
    }
}

#[test]
fn the_same_configuration_gives_the_same_bytes() {
    for config in configs() {
        let first = frugal_hdl::verilog(&config).expect("emits");
        assert_eq!(first, frugal_hdl::verilog(&config).expect("emits"));
        let mut names: Vec<&str> = first.modules.iter().map(|module| module.name.as_str()).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count, "every module once");
        assert_eq!(first.top().name, "accelerator");
    }
}

#[test]
fn impossible_configurations_are_refused() {
    let mut config = Config::preset("base").expect("a preset");
    config.lanes = 16;
    let error = frugal_hdl::verilog(&config).expect_err("lanes exceed cols").to_string();
    assert!(error.contains("lanes is 16"), "{error}");
}
