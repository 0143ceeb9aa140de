//! Functional simulator of the Frugal instruction set.
//!
//! [`Machine`] executes programs exactly as `docs/architecture.md` defines them, command by command and without a notion
//! of cycles. It knows neither the compiler nor the hardware, so it judges both:
//! * results: memories after a program, or every write of every command ([`TraceLevel`]);
//! * order: commands are interleaved as queues and tokens allow, in a fixed order or in a random one ([`Policy`]), and a
//!   deadlock is an error that shows all queues and tokens;
//! * hazards: with [`RunOptions::check_hazards`] every read must be ordered, by tokens, after the write whose value it
//!   sees, and every write after the readers and writers before it. Whether the order that was executed happened to give
//!   the right result does not matter.
//!
//! | module | what it holds |
//! |---|---|
//! | [`machine`] | [`Machine`]: on-chip memories, dispatch, queues and tokens |
//! | `execute` | one file for each engine's commands |
//! | [`hazard`] | the checker of the order between commands |
//! | [`memory`] | [`Memory`], what is behind the memory bus |
//! | [`trace`] | writes of a command, or their digest |
//! | [`error`] | [`GoldenError`] and what it is made of |

pub mod error;
mod execute;
pub mod hazard;
pub mod machine;
pub mod memory;
mod random;
pub mod trace;

pub use error::{Deadlock, Fault, GoldenError};
pub use hazard::{Hazard, HazardKind};
pub use machine::{Machine, Policy, RunOptions, RunReport};
pub use memory::{Memory, MemoryKind};
pub use trace::{CommandTrace, TraceLevel, Write};
