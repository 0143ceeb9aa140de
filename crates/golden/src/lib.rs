//! Functional simulator of the Frugal instruction set.
