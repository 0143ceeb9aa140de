//! Leaves that rearrange lanes: bytes out of words, groups of lanes in and out of vectors.

mod funnel;
mod pack;
mod place;
mod select;
mod window;

pub use funnel::ByteFunnel;
pub use pack::{PackCounters, PackFlags};
pub use place::{LanePlace, OneHot, WeightPlace, WordPlace};
pub use select::{LaneSelect, SplitBytes, UnitSelect, VectorPart, WordSelect};
pub use window::{DelayBit, WindowReduce};

/// Ports in Verilog's order, the last one first.
fn concatenation(name: &str, count: usize) -> String {
    let parts: Vec<String> = (0..count).rev().map(|i| format!("{name}${i}")).collect();
    format!("{{{}}}", parts.join(", "))
}
