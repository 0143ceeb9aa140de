//! Serial ports.

use super::Transport;
use serialport::{ClearBuffer, ErrorKind, SerialPort};
use std::io::{self, Read, Write};
use std::time::Duration;

/// A serial port of this machine.
pub struct SerialLine {
    port: Box<dyn SerialPort>,
    name: String,
}

/// Why a port was not opened.
#[derive(Debug, thiserror::Error)]
pub enum SerialError {
    #[error("there is no port {port}{}", if .others.is_empty() { String::new() } else { format!("; there are {}", .others.join(", ")) })]
    Missing { port: String, others: Vec<String> },
    #[error("{port} is in use: another program has it")]
    Busy { port: String },
    #[error(
        "{port} may not be opened by this user. On most Linux systems the group 'dialout' has the ports"
    )]
    Forbidden { port: String },
    #[error("{port} is no serial port that runs at {baud} baud: {reason}")]
    Other { port: String, baud: u32, reason: String },
}

impl SerialLine {
    /// Opens the port for this program alone.
    ///
    /// # Errors
    /// If it is not there, in use, or no serial port.
    pub fn open(name: &str, baud: u32) -> Result<SerialLine, SerialError> {
        let opened = serialport::new(name, baud).timeout(Duration::from_millis(100)).open();
        let port = opened.map_err(|error| {
            let port = name.to_owned();
            let reason = error.to_string();
            match error.kind {
                ErrorKind::NoDevice | ErrorKind::Io(io::ErrorKind::NotFound)
                    if !std::path::Path::new(name).exists() =>
                {
                    let others = serialport::available_ports().unwrap_or_default();
                    SerialError::Missing {
                        port,
                        others: others.into_iter().map(|other| other.port_name).collect(),
                    }
                }
                // There is one, and it cannot be had: because the system says so, or because another program holds its lock.
                ErrorKind::NoDevice if reason.contains("busy") || reason.contains("exclusive lock") => {
                    SerialError::Busy { port }
                }
                ErrorKind::Io(io::ErrorKind::ResourceBusy) => SerialError::Busy { port },
                ErrorKind::Io(io::ErrorKind::PermissionDenied) => SerialError::Forbidden { port },
                _ => SerialError::Other { port, baud, reason },
            }
        })?;
        // What came before is nobody's.
        let _ = port.clear(ClearBuffer::All);
        Ok(SerialLine { port, name: name.to_owned() })
    }
}

impl Transport for SerialLine {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.port.set_timeout(Duration::from_secs(10))?;
        self.port.write_all(bytes)?;
        self.port.flush()
    }

    fn read(&mut self, buffer: &mut [u8], timeout: Duration) -> io::Result<usize> {
        self.port.set_timeout(timeout)?;
        match self.port.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::TimedOut => Ok(0),
            // A port that is gone reads as its end.
            Ok(0) => Err(io::Error::new(io::ErrorKind::BrokenPipe, "the port is gone")),
            result => result,
        }
    }
}
