//! The board's side of the host link; the protocol is in [`frugal_isa::link`].
//!
//! ```text
//! line --> UartReceiver --> PacketReceiver --> packet RAM <--> LinkExecutor --> AXI4-Lite registers
//!                           (escapes, CRC)                          |     ^---> AXI4 memory
//! line <-- UartTransmitter <-- PacketTransmitter <-- words ---------+
//! ```
//! A request waits in the packet RAM until its checksum is known to be right; nothing of a damaged one is executed. Answers with bytes of the memory
//! go through the same RAM, so that the memory port is free while the line is busy.
mod executor;
mod host_link;
mod packets;
mod uart;

pub use executor::{LinkExecutor, LinkState};
pub use host_link::HostLink;
pub use packets::{Crc32Step, PacketReceiver, PacketTransmitter, TransmitState};
pub use uart::{UartReceiver, UartTransmitter};
