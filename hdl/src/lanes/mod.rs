//! Leaves that rearrange lanes: bytes out of words, groups of lanes in and out of vectors.

mod funnel;
mod place;
mod select;
mod window;

pub use funnel::ByteFunnel;
pub use place::{LanePlace, OneHot, WeightPlace, WordPlace};
pub use select::{LaneSelect, UnitSelect, VectorPart, WordSelect};
pub use window::WindowReduce;
