//! Boards at the end of a serial line, see [`frugal_isa::link`] for what goes over it.
//!
//! | module | what it holds |
//! |---|---|
//! | [`transport`] | [`Transport`]: bytes to a board and back |
//! | [`packet`] | packets as bytes on the line, and out of them |
//! | [`client`] | [`Link`]: one request after the other, again when no answer comes |
//! | `serial` | serial ports, with the feature of that name |
//! | [`board`] | [`BoardDevice`]: a board as a [`Device`](crate::Device) |

pub mod board;
pub mod client;
pub mod packet;
#[cfg(feature = "serial")]
pub mod serial;
pub mod transport;

pub use board::{BoardDevice, BoardError};
pub use client::{Identity, Link, LinkError, LinkOptions};
pub use transport::Transport;
