//! Matrix products on the Verilated accelerator: the bytes of a plain product, and the cycles that the project promises.

use frugal_compiler::gemm::{self, GemmOptions};
use frugal_device::{Device, RunOptions};
use frugal_isa::Config;
use frugal_testbench::accelerator::verilated_device;
use frugal_testbench::axi::Stalls;
use frugal_testbench::device::SimulationOptions;
use frugal_testbench::random::Random;

/// Runs a product and returns its utilisation.
fn utilisation(options: &GemmOptions, config: &Config, stall_seed: Option<u64>) -> f64 {
    let built = gemm::build(options, config).expect("fits");
    let stalls = stall_seed.map(Stalls::new);
    let simulation = SimulationOptions { stalls, ..SimulationOptions::default() };
    let mut device = verilated_device(config, &simulation, None).expect("a device");
    let mut random = Random::new(17);
    let mut operand =
        |elements: usize| -> Vec<i8> { (0..elements).map(|_| random.next_u64() as i8).collect() };
    let (a, b) = (operand(options.m * options.k), operand(options.k * options.n));
    let bytes = |x: &[i8]| -> Vec<u8> { x.iter().map(|v| *v as u8).collect() };
    let named = |name: &str| if name == "A" { bytes(&a) } else { bytes(&b) };
    if let Some(preload) = &built.preload {
        let inputs: Vec<_> = preload.inputs.iter().map(|t| named(&t.name)).collect();
        device.run(preload, &inputs, &RunOptions::default()).expect("loads the weights");
    }
    let inputs: Vec<_> = built.program.inputs.iter().map(|t| named(&t.name)).collect();
    let result =
        device.run(&built.program, &inputs, &RunOptions::default()).unwrap_or_else(|e| panic!("{e}"));
    let wanted = bytes(&gemm::reference(options.m, options.k, options.n, &a, &b));
    for output in &result.outputs {
        assert!(*output == wanted, "{options:?} on {}: the product differs", config.name);
    }
    let cycles = result.statistics.cycles.expect("cycles");
    let macs = (options.m * options.k * options.n * options.repeat) as f64;
    let utilisation = macs / (cycles as f64 * config.peak() as f64);
    eprintln!(
        "{options:?} on {} {} bits: {cycles} cycles, {:.2} %",
        config.name,
        config.bus_bits,
        100.0 * utilisation
    );
    utilisation
}

fn product(m: usize, k: usize, n: usize) -> GemmOptions {
    GemmOptions { m, k, n, repeat: 1, resident: false }
}

fn large(bus_bits: usize) -> Config {
    Config::preset("large").expect("a preset").with_bus_bits(bus_bits)
}

#[test]
fn large_products_keep_the_array_busy() {
    assert!(utilisation(&product(512, 512, 512), &large(128), None) >= 0.95);
}

#[test]
fn small_products_back_to_back_keep_the_array_busy() {
    assert!(utilisation(&GemmOptions { repeat: 16, ..product(64, 64, 64) }, &large(128), None) >= 0.85);
    utilisation(&GemmOptions { repeat: 16, ..product(64, 64, 64) }, &large(64), None);
    utilisation(&product(64, 64, 64), &large(64), None);
}

#[test]
fn resident_weights_keep_the_array_busy_at_batch_one() {
    let options = GemmOptions { resident: true, ..product(1, 512, 512) };
    assert!(utilisation(&options, &large(128), None) >= 0.90);
    utilisation(&options, &large(64), None);
    utilisation(&GemmOptions { repeat: 8, ..options }, &large(64), None);
}

#[test]
fn odd_sizes_give_the_plain_product() {
    for preset in ["nano", "base", "large"] {
        for bus_bits in [64, 128] {
            let config = Config::preset(preset).expect("a preset").with_bus_bits(bus_bits);
            utilisation(&product(7, 100, 30), &config, None);
            utilisation(&GemmOptions { repeat: 2, ..product(33, 65, 17) }, &config, Some(5));
            utilisation(&GemmOptions { resident: true, ..product(3, 40, 50) }, &config, Some(6));
        }
    }
}
