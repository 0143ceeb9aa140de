//! Board tops and synthesis recipes.
pub mod flow;
