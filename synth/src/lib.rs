//! Board tops and synthesis recipes.
pub mod boards;
pub mod flow;
