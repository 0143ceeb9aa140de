//! AXI from the other side: a memory for the accelerator's AXI4 port, a checker of what it does there, and a master for its
//! AXI4-Lite port. Nothing here knows Verilator; everything is driven once a clock cycle with the pins of that cycle.
//!
//! | module | what it holds |
//! |---|---|
//! | [`pins`] | the pins of one cycle, by who drives them |
//! | [`memory`] | [`MemoryModel`]: latency, bandwidth, stalls and errors |
//! | [`protocol`] | [`ProtocolChecker`] and the [`Violation`]s it finds |
//! | [`lite`] | [`LiteMaster`]: register accesses |

pub mod lite;
pub mod memory;
pub mod pins;
pub mod protocol;

pub use lite::{LiteMaster, LiteMasterPins, LiteSlavePins};
pub use memory::{Access, ErrorRange, MemoryModel, MemoryOptions, MemoryStatistics, Stalls};
pub use pins::{MasterPins, Response, SlavePins};
pub use protocol::{Channel, ProtocolChecker, Violation, ViolationKind};

/// Bursts never cross a multiple of this.
pub const BOUNDARY_BYTES: u64 = 4096;
/// Most beats of a burst of this accelerator.
pub const MAX_BEATS: u32 = 64;
