//! The frugal command line.
