//! Packets as bytes on the line, and out of them.

use frugal_isa::link::{
    CHECKSUM_BYTES, END, ESCAPE, ESCAPED_END, ESCAPED_ESCAPE, HEADER_BYTES, MAX_PAYLOAD_BYTES,
};

/// A packet without its checksum.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    pub sequence: u8,
    pub operation: u8,
    /// Of an answer: status (bits 0..8) and session (8..16).
    pub address: u32,
    pub payload: Vec<u8>,
}

impl Packet {
    /// The bytes on the line.
    ///
    /// # Panics
    /// If the payload is longer than packets may be.
    pub fn encode(&self) -> Vec<u8> {
        assert!(self.payload.len() <= MAX_PAYLOAD_BYTES, "a payload of {} bytes", self.payload.len());
        let mut bytes = vec![self.sequence, self.operation];
        bytes.extend((self.payload.len() as u16).to_le_bytes());
        bytes.extend(self.address.to_le_bytes());
        bytes.extend(&self.payload);
        bytes.extend(crc32fast::hash(&bytes).to_le_bytes());
        let mut line = vec![END];
        for byte in bytes {
            match byte {
                END => line.extend([ESCAPE, ESCAPED_END]),
                ESCAPE => line.extend([ESCAPE, ESCAPED_ESCAPE]),
                byte => line.push(byte),
            }
        }
        line.push(END);
        line
    }

    /// The packet of these bytes, escapes removed; `None` unless it is whole and its checksum right.
    fn decode(bytes: &[u8]) -> Option<Packet> {
        let (bytes, checksum) = bytes.split_last_chunk::<CHECKSUM_BYTES>()?;
        let (header, payload) = bytes.split_at_checked(HEADER_BYTES)?;
        let length = usize::from(u16::from_le_bytes([header[2], header[3]]));
        let is_whole = payload.len() == length && crc32fast::hash(bytes) == u32::from_le_bytes(*checksum);
        is_whole.then(|| Packet {
            sequence: header[0],
            operation: header[1],
            address: u32::from_le_bytes([header[4], header[5], header[6], header[7]]),
            payload: payload.to_vec(),
        })
    }
}

/// Takes packets out of what comes over the line; everything else is dropped.
#[derive(Clone, Debug, Default)]
pub struct Decoder {
    bytes: Vec<u8>,
    escaping: bool,
    is_bad: bool,
}

impl Decoder {
    /// Takes a byte, and returns the packet that it ends.
    pub fn push(&mut self, byte: u8) -> Option<Packet> {
        match byte {
            END => {
                let is_bad = self.is_bad || self.escaping;
                let packet = if is_bad { None } else { Packet::decode(&self.bytes) };
                *self = Decoder::default();
                return packet;
            }
            _ if self.bytes.len() == HEADER_BYTES + MAX_PAYLOAD_BYTES + CHECKSUM_BYTES => self.is_bad = true,
            ESCAPE if !self.escaping => {
                self.escaping = true;
                return None;
            }
            ESCAPED_END if self.escaping => self.bytes.push(END),
            ESCAPED_ESCAPE if self.escaping => self.bytes.push(ESCAPE),
            _ if self.escaping => self.is_bad = true,
            byte => self.bytes.push(byte),
        }
        self.escaping = false;
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn packets() -> impl Strategy<Value = Packet> {
        let special = prop_oneof![Just(END), Just(ESCAPE), Just(ESCAPED_END), any::<u8>()];
        let payload = prop::collection::vec(special, 0..=MAX_PAYLOAD_BYTES);
        (any::<u8>(), any::<u8>(), any::<u32>(), payload).prop_map(
            |(sequence, operation, address, payload)| Packet { sequence, operation, address, payload },
        )
    }

    proptest! {
        /// Whatever came before, and whichever byte of one packet is damaged: the packet after it is found.
        #[test]
        fn packets_survive_what_comes_before_them(
            noise in prop::collection::vec(any::<u8>(), 0..300),
            packets in prop::collection::vec(packets(), 2..4),
            (place, flip) in (any::<prop::sample::Index>(), 1u8..)
        ) {
            let mut decoder = Decoder::default();
            let mut found: Vec<Packet> = Vec::new();
            let mut line = noise;
            // A half escape at the end of the noise would take the first END along, which opens the packet, but not the one that ends it.
            let mut damaged = packets[0].encode();
            let at = place.index(damaged.len());
            damaged[at] ^= flip;
            line.extend(damaged);
            packets[1..].iter().for_each(|packet| line.extend(packet.encode()));
            found.extend(line.into_iter().filter_map(|byte| decoder.push(byte)));
            let expected = &packets[1..];
            prop_assert!(found.len() >= expected.len());
            prop_assert_eq!(&found[found.len() - expected.len()..], expected);
            // The damaged packet is only found where the damage was in one of its ENDs.
            prop_assert!(found.len() == expected.len() || found[found.len() - packets.len()] == packets[0]);
        }
    }
}
