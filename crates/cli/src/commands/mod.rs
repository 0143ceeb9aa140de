//! One file a command.

mod all;
mod bringup;
mod compile;
mod demo;
mod disasm;
mod gemm;
mod generate;
mod generation;
mod logits;
mod model;
mod network;
mod perplexity;
mod profile;
mod quantise;
mod record;
mod run;
mod simulation;
mod synth;
mod synthetic;
mod verilog;

use crate::arguments::{Arguments, Bench, Command};

pub fn run(arguments: Arguments) -> anyhow::Result<()> {
    match arguments.command {
        Command::Verilog(arguments) => verilog::run(&arguments),
        Command::Synth(arguments) => synth::run(&arguments),
        Command::Bringup(arguments) => bringup::run(&arguments),
        Command::Run(arguments) => run::run(&arguments),
        Command::Generate(arguments) => generate::run(&arguments),
        Command::Quantise(arguments) => quantise::run(&arguments),
        Command::Perplexity(arguments) => perplexity::run(&arguments),
        Command::Logits(arguments) => logits::run(&arguments),
        Command::Profile(arguments) => profile::run(&arguments),
        Command::Compile(arguments) => compile::run(&arguments),
        Command::Disasm(arguments) => disasm::run(&arguments),
        Command::Model(arguments) => model::run(&arguments),
        Command::Bench(Bench::Gemm(arguments)) => gemm::run(&arguments),
        Command::Bench(Bench::Network(arguments)) => network::run(&arguments),
        Command::Bench(Bench::Generation(arguments)) => generation::run(&arguments),
        Command::Bench(Bench::All(arguments)) => all::run(&arguments),
        Command::Bench(Bench::Simulation(arguments)) => simulation::run(&arguments),
        Command::Demo(arguments) => demo::run(&arguments),
    }
}
