//! One file a command.

mod compile;
mod demo;
mod disasm;
mod gemm;
mod profile;
mod record;
mod run;
mod simulation;
mod verilog;

use crate::arguments::{Arguments, Bench, Command};

pub fn run(arguments: Arguments) -> anyhow::Result<()> {
    match arguments.command {
        Command::Verilog(arguments) => verilog::run(&arguments),
        Command::Run(arguments) => run::run(&arguments),
        Command::Profile(arguments) => profile::run(&arguments),
        Command::Compile(arguments) => compile::run(&arguments),
        Command::Disasm(arguments) => disasm::run(&arguments),
        Command::Bench(Bench::Gemm(arguments)) => gemm::run(&arguments),
        Command::Bench(Bench::Simulation(arguments)) => simulation::run(&arguments),
        Command::Demo(arguments) => demo::run(&arguments),
    }
}
