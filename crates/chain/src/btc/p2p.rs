//! Messages between nodes of the family (Bitcoin P2P protocol, version 70016): bytes to messages and back,
//! for client and server.
//!
//! Decides whether bytes are a well-formed frame and message. Opens no socket, keeps no state: the caller
//! feeds what arrived and is told how much of it was one frame.

mod message;

use core::fmt;

use super::{hash::sha256d, network::Network, read::DecodeError};

pub use message::{
    HEADERS_MAX, INVENTORY_MAX, Inventory, InventoryKind, LOCATOR_MAX, Locator, Message, PeerAddress,
    REASON_BYTES_MAX, Reject, Services, USER_AGENT_BYTES_MAX, Version,
};

/// Bytes before the payload: magic, command, length, checksum.
pub const FRAME_HEADER_BYTES: usize = 24;
/// Largest payload on Bitcoin (`MAX_PROTOCOL_MESSAGE_LENGTH`).
pub const BTC_PAYLOAD_BYTES_MAX: usize = 4_000_000;
/// Largest payload on Litecoin, whose blocks carry extension blocks.
pub const LTC_PAYLOAD_BYTES_MAX: usize = 32_000_000;

/// The version of the protocol that is spoken here: the one with `wtxidrelay` (BIP 339).
pub const PROTOCOL_VERSION: i32 = 70_016;

/// A command: up to twelve bytes of ASCII.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Command([u8; 12]);

impl Command {
    /// The command of this name; cut after twelve bytes.
    const fn named(name: &[u8]) -> Self {
        let mut bytes = [0; 12];
        let (mut to, mut from): (&mut [u8], &[u8]) = (&mut bytes, name);
        while let (Some((first, rest)), Some((byte, more))) = (to.split_first_mut(), from.split_first()) {
            *first = *byte;
            to = rest;
            from = more;
        }
        Self(bytes)
    }

    /// Printable ASCII, then only zeros.
    fn parse(bytes: [u8; 12]) -> Option<Self> {
        let length = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
        let (name, rest) = bytes.split_at_checked(length)?;
        let sound =
            !name.is_empty() && name.iter().all(u8::is_ascii_graphic) && rest.iter().all(|byte| *byte == 0);
        sound.then_some(Self(bytes))
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        let length = self.0.iter().position(|byte| *byte == 0).unwrap_or(self.0.len());
        self.0.get(..length).and_then(|name| core::str::from_utf8(name).ok()).unwrap_or("")
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Command({self})")
    }
}

/// Why bytes are no frame. The stream cannot be read on after any of these: where the next frame starts is
/// not known.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum FrameError {
    /// Another network, or not this protocol.
    #[error("frame starts with {found:02x?}, want {want:02x?} for {network}")]
    Magic {
        /// Found.
        found: [u8; 4],
        /// Wanted.
        want: [u8; 4],
        /// The network spoken.
        network: Network,
    },
    /// A command that is not printable ASCII filled up with zeros.
    #[error("command {found:02x?} is not printable ASCII filled up with zeros")]
    Command {
        /// The bytes.
        found: [u8; 12],
    },
    /// A payload longer than its command may have.
    #[error("payload of {command} has {found} bytes, limit {limit}")]
    Oversized {
        /// The command.
        command: Command,
        /// Bytes announced.
        found: usize,
        /// The limit.
        limit: usize,
    },
    /// A payload that is not the one the checksum was taken of.
    #[error("payload of {command} has the checksum {found:02x?}, frame says {want:02x?}")]
    Checksum {
        /// The command.
        command: Command,
        /// Of the payload.
        found: [u8; 4],
        /// In the frame.
        want: [u8; 4],
    },
}

/// A frame whose checksum was right.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Frame<'a> {
    /// What kind of message it is.
    pub command: Command,
    /// The message, not yet decoded.
    pub payload: &'a [u8],
    /// Bytes of the whole frame: where the next one starts.
    pub length: usize,
}

impl<'a> Frame<'a> {
    /// The frame that `bytes` start with; `None` while more bytes have to arrive. A frame that could not be
    /// accepted is refused as soon as its header is there, before its payload is waited for.
    ///
    /// # Errors
    /// Bytes that are no frame, after which the connection is of no use.
    pub fn split(network: Network, bytes: &'a [u8]) -> Result<Option<Self>, FrameError> {
        let want = network.magic();
        let Some((found, rest)) = bytes.split_first_chunk::<4>() else { return Ok(None) };
        if *found != want {
            return Err(FrameError::Magic { found: *found, want, network });
        }
        let Some((command, rest)) = rest.split_first_chunk::<12>() else { return Ok(None) };
        let command = Command::parse(*command).ok_or(FrameError::Command { found: *command })?;
        let Some((length, rest)) = rest.split_first_chunk::<4>() else { return Ok(None) };
        let length = usize::try_from(u32::from_le_bytes(*length)).unwrap_or(usize::MAX);
        let limit = Message::payload_bytes_max(network, command);
        if length > limit {
            return Err(FrameError::Oversized { command, found: length, limit });
        }
        let Some((want, rest)) = rest.split_first_chunk::<4>() else { return Ok(None) };
        let Some(payload) = rest.get(..length) else { return Ok(None) };
        let [a, b, c, d, ..] = sha256d(payload);
        let found = [a, b, c, d];
        if found != *want {
            return Err(FrameError::Checksum { command, found, want: *want });
        }
        Ok(Some(Self { command, payload, length: FRAME_HEADER_BYTES.saturating_add(length) }))
    }

    /// The message in it. An error here leaves the stream readable: the next frame starts after this one.
    ///
    /// # Errors
    /// What is malformed, with offsets into the payload.
    pub fn message(&self, network: Network) -> Result<Message, DecodeError> {
        Message::decode(network, self.command, self.payload)
    }
}

impl Message {
    /// The frame that carries it.
    #[must_use]
    pub fn encode(&self, network: Network) -> Vec<u8> {
        let payload = self.payload();
        let [a, b, c, d, ..] = sha256d(&payload);
        let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
        let mut out = Vec::with_capacity(FRAME_HEADER_BYTES.saturating_add(payload.len()));
        out.extend_from_slice(&network.magic());
        out.extend_from_slice(&self.command().0);
        out.extend_from_slice(&length.to_le_bytes());
        out.extend_from_slice(&[a, b, c, d]);
        out.extend_from_slice(&payload);
        out
    }
}

#[cfg(test)]
mod tests;
