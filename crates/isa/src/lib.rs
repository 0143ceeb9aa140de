//! Instruction set of the Frugal accelerator: commands, registers, configuration and program container.
