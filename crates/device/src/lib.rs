//! The Device trait: whatever can run a Frugal program.
