//! Where the cycles of a run went.
//!
//! ```text
//! Run --validate--> attribute --+--> report::html   one page for people
//!                   occupancy --+--> trace::json    Chrome and Perfetto trace events
//! ```
//!
//! A [`Run`] is what was recorded: when each command ran on which engine, for which layer, and what it moved. Whoever
//! runs programs fills it in, from the simulated hardware or from the compiler's cycle model. [`attribute()`] gives every cycle
//! to one layer and one [`Reason`], [`losses()`] ranks what kept the MAC array from its peak and says what could be done about it.
//!
//! This crate knows of the accelerator only what `frugal-isa` says.

/// What traces and reports say of who made them.
pub const GENERATOR: &str = "frugal profile";

pub mod attribute;
mod bytes;
pub mod curve;
mod losses;
mod occupancy;
pub mod report;
pub mod run;
mod svg;
mod text;
pub mod trace;

pub use attribute::{attribute, Attribution, Breakdown, Reason, Segment};
pub use bytes::LayerBytes;
pub use losses::{losses, Loss, LossKind};
pub use occupancy::Level;
pub use run::{
    BusFacts, CommandSpan, Counter, Engine, LayerFacts, OccupancyInterval, OnChip, Run, RunError, Source,
};
pub use text::short;
