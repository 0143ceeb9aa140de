//! Requests and answers.

use super::packet::{Decoder, Packet};
use super::Transport;
use frugal_isa::link::{
    Operation, Status, ANSWER, IDENTITY_WORDS, MAX_PAYLOAD_BYTES, MEMORY_QUANTUM, VERSION,
};
use std::io;
use std::time::{Duration, Instant};

/// How patient a link is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkOptions {
    /// Time without a byte after which an answer counts as lost.
    pub silence: Duration,
    /// Requests are sent so often before the link gives up.
    pub attempts: u32,
    /// Cycles that the board waits for the end of a program before it answers that there is none yet.
    pub wait_cycles: u32,
    /// Bytes of the memory in one request, at most 1024.
    pub block_bytes: usize,
}

impl Default for LinkOptions {
    fn default() -> Self {
        Self {
            silence: Duration::from_millis(500),
            attempts: 5,
            wait_cycles: 8_000_000,
            block_bytes: MAX_PAYLOAD_BYTES,
        }
    }
}

/// What a board says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Hash of the Verilog that its bitstream was made from.
    pub build: u32,
    pub clock_khz: u32,
    pub memory_bytes: u32,
}

/// Why the board did not do it.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    #[error("{port}: {source}")]
    Port { port: String, source: io::Error },
    #[error("{port}: nothing answers. Is the board on, is its bitstream loaded, and is this its port?")]
    Silent { port: String },
    #[error("{port}: {bytes} bytes came, and no answer among them. Another program or device may have the port, or the speed differs")]
    Garbage { port: String, bytes: usize },
    #[error("{port}: the board did not answer {operation:?} at 0x{address:x} in {attempts} attempts; it answered before. Look at its cable and power")]
    Lost { port: String, operation: Operation, address: u32, attempts: u32 },
    #[error("{port}: the board was reset: what was in its memory is gone")]
    Reset { port: String },
    #[error("{port}: {operation:?} at 0x{address:x} was refused: {}", status.describe())]
    Refused { port: String, operation: Operation, address: u32, status: Status },
    #[error("{port}: the answer to {operation:?} has {actual} bytes instead of {expected}: the board is not what it says")]
    Answer { port: String, operation: Operation, expected: usize, actual: usize },
    #[error("{port}: the board's link is of version {actual}, this program's of version {VERSION}. Make a new bitstream")]
    Version { port: String, actual: u32 },
}

/// Numbers of what went over a link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkStatistics {
    pub requests: u64,
    /// Requests that were sent again.
    pub repeated: u64,
    pub bytes_sent: u64,
    pub bytes_received: u64,
}

/// One request after the other over a transport.
pub struct Link<T> {
    transport: T,
    options: LinkOptions,
    decoder: Decoder,
    sequence: u8,
    session: u8,
    has_answered: bool,
    identity: Identity,
    statistics: LinkStatistics,
}

impl<T: Transport> Link<T> {
    /// Begins a session with the board at the other end.
    ///
    /// # Errors
    /// If nothing answers, or something else than a board of this protocol's version.
    pub fn open(transport: T, options: LinkOptions) -> Result<Link<T>, LinkError> {
        let identity = Identity { build: 0, clock_khz: 0, memory_bytes: 0 };
        // Which number it is does not matter, as long as it is not 0; that of the process differs from the last one's.
        let session = (std::process::id() % 255) as u8 + 1;
        let mut link = Link {
            transport,
            options,
            decoder: Decoder::default(),
            sequence: 0,
            session,
            has_answered: false,
            identity,
            statistics: LinkStatistics::default(),
        };
        link.identity = link.identify()?;
        Ok(link)
    }

    /// What the board said when the session began.
    pub fn identity(&self) -> Identity {
        self.identity
    }

    pub fn statistics(&self) -> LinkStatistics {
        self.statistics
    }

    /// What the line is called.
    pub fn port(&self) -> String {
        self.transport.name()
    }

    /// The line itself.
    pub fn transport_mut(&mut self) -> &mut T {
        &mut self.transport
    }

    /// The line, without the link.
    pub fn into_transport(self) -> T {
        self.transport
    }

    /// Asks the board again what it is: the session begins anew, after a reset too.
    pub fn identify(&mut self) -> Result<Identity, LinkError> {
        let payload =
            self.request(Operation::Identify, u32::from(self.session), &[], 4 * IDENTITY_WORDS.len())?;
        let mut words =
            payload.chunks_exact(4).map(|word| u32::from_le_bytes([word[0], word[1], word[2], word[3]]));
        let mut word = || words.next().unwrap_or(0);
        let actual = word();
        if actual != VERSION {
            return Err(LinkError::Version { port: self.port(), actual });
        }
        Ok(Identity { build: word(), clock_khz: word(), memory_bytes: word() })
    }

    pub fn read_register(&mut self, offset: u32) -> Result<u32, LinkError> {
        self.word(Operation::ReadRegister, offset, &[])
    }

    pub fn write_register(&mut self, offset: u32, value: u32) -> Result<(), LinkError> {
        self.request(Operation::WriteRegister, offset, &value.to_le_bytes(), 0).map(drop)
    }

    /// Starts the program that the registers name.
    pub fn start(&mut self) -> Result<(), LinkError> {
        self.request(Operation::Start, 0, &[], 0).map(drop)
    }

    /// Waits for the end of the program, but not for long; whether it has ended.
    pub fn wait(&mut self) -> Result<bool, LinkError> {
        let cycles = self.options.wait_cycles.to_le_bytes();
        Ok(self.word(Operation::Wait, 0, &cycles)? != 0)
    }

    /// Reads memory. Address and length are multiples of 8.
    pub fn read_memory(&mut self, address: u32, bytes: &mut [u8]) -> Result<(), LinkError> {
        let mut at = address;
        for block in bytes.chunks_mut(self.options.block_bytes) {
            let length = (block.len() as u32).to_le_bytes();
            let payload = self.request(Operation::ReadMemory, at, &length, block.len())?;
            block.copy_from_slice(&payload);
            at = at.wrapping_add(block.len() as u32);
        }
        Ok(())
    }

    /// Writes memory. Address and length are multiples of 8.
    pub fn write_memory(&mut self, address: u32, bytes: &[u8]) -> Result<(), LinkError> {
        debug_assert!(address as usize % MEMORY_QUANTUM == 0 && bytes.len() % MEMORY_QUANTUM == 0);
        let mut at = address;
        for block in bytes.chunks(self.options.block_bytes) {
            self.request(Operation::WriteMemory, at, block, 0)?;
            at = at.wrapping_add(block.len() as u32);
        }
        Ok(())
    }

    fn word(&mut self, operation: Operation, address: u32, payload: &[u8]) -> Result<u32, LinkError> {
        let payload = self.request(operation, address, payload, 4)?;
        Ok(u32::from_le_bytes([payload[0], payload[1], payload[2], payload[3]]))
    }

    /// Sends a request until its answer comes, whose payload has `expected` bytes.
    fn request(
        &mut self,
        operation: Operation,
        address: u32,
        payload: &[u8],
        expected: usize,
    ) -> Result<Vec<u8>, LinkError> {
        self.sequence = self.sequence.wrapping_add(1);
        let packet = Packet {
            sequence: self.sequence,
            operation: operation as u8,
            address,
            payload: payload.to_vec(),
        };
        let line = packet.encode();
        let mut garbage = 0;
        for attempt in 0..self.options.attempts {
            self.statistics.requests += 1;
            self.statistics.repeated += u64::from(attempt > 0);
            self.statistics.bytes_sent += line.len() as u64;
            self.transport.write(&line).map_err(|source| self.port_error(source))?;
            let Some(answer) = self.answer(operation, &mut garbage)? else { continue };
            self.has_answered = true;
            let (status, session) = (answer.address as u8, (answer.address >> 8) as u8);
            if session != self.session {
                return Err(LinkError::Reset { port: self.port() });
            }
            match Status::from_value(status) {
                Some(Status::Ok) if answer.payload.len() == expected => return Ok(answer.payload),
                Some(Status::Ok) | None => {
                    let actual = answer.payload.len();
                    return Err(LinkError::Answer { port: self.port(), operation, expected, actual });
                }
                Some(status) => {
                    return Err(LinkError::Refused { port: self.port(), operation, address, status })
                }
            }
        }
        let port = self.port();
        Err(match (self.has_answered, garbage) {
            (true, _) => LinkError::Lost { port, operation, address, attempts: self.options.attempts },
            (false, 0) => LinkError::Silent { port },
            (false, bytes) => LinkError::Garbage { port, bytes },
        })
    }

    /// The answer to the last request, unless the line is silent for too long.
    fn answer(&mut self, operation: Operation, garbage: &mut usize) -> Result<Option<Packet>, LinkError> {
        let mut buffer = [0; 4096];
        // Somebody who talks all the time is no board.
        let end = Instant::now() + 20 * self.options.silence;
        while Instant::now() < end {
            let count = self
                .transport
                .read(&mut buffer, self.options.silence)
                .map_err(|source| self.port_error(source))?;
            if count == 0 {
                return Ok(None);
            }
            self.statistics.bytes_received += count as u64;
            *garbage += count;
            for byte in &buffer[..count] {
                let Some(packet) = self.decoder.push(*byte) else { continue };
                // Answers to earlier requests come late when those were sent twice.
                if packet.sequence == self.sequence && packet.operation == operation as u8 | ANSWER {
                    return Ok(Some(packet));
                }
            }
        }
        Ok(None)
    }

    fn port_error(&self, source: io::Error) -> LinkError {
        LinkError::Port { port: self.port(), source }
    }
}
