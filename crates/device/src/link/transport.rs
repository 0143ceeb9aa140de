//! Bytes to a board and back.

use std::io;
use std::time::Duration;

/// A line with a board at its other end.
pub trait Transport {
    /// What a person calls it, such as the path of a port.
    fn name(&self) -> String;

    /// Sends all of the bytes.
    fn write(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Reads what has come, or waits for something until `timeout` is over; then 0.
    fn read(&mut self, buffer: &mut [u8], timeout: Duration) -> io::Result<usize>;
}
