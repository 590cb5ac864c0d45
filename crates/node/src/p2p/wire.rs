//! One socket as a stream of messages.
//!
//! Decides where messages end. Holds at most one frame that is not yet whole, and what was read behind it.

use std::{
    io::{ErrorKind, Read as _},
    net::TcpStream,
    time::Instant,
};

use kuraban_chain::btc::{
    DecodeError, Network,
    p2p::{Command, Frame, Message},
};

use super::Closed;

/// Bytes read at once.
const READ_BYTES: usize = 65_536;

/// What was read.
pub(super) enum Read {
    /// A whole message.
    Message(Message),
    /// A whole frame whose payload is malformed.
    Unreadable { command: Command, error: DecodeError },
    /// Nothing whole yet.
    Nothing,
}

pub(super) struct Wire {
    socket: TcpStream,
    network: Network,
    bytes: Vec<u8>,
    /// Bytes of the front that were handed out.
    done: usize,
    at: Instant,
}

impl Wire {
    pub(super) fn new(socket: TcpStream, network: Network) -> Self {
        Self { socket, network, bytes: Vec::new(), done: 0, at: Instant::now() }
    }

    /// The next message and when its last byte came. Where none is whole yet it reads once, and waits for
    /// that at most as long as the socket's time-out is.
    pub(super) fn next(&mut self) -> Result<(Instant, Read), Closed> {
        if let Some(read) = self.split()? {
            return Ok((self.at, read));
        }
        self.fill()?;
        let read = self.split()?.unwrap_or(Read::Nothing);
        Ok((self.at, read))
    }

    fn split(&mut self) -> Result<Option<Read>, Closed> {
        let rest = self.bytes.get(self.done..).unwrap_or_default();
        let Some(frame) = Frame::split(self.network, rest).map_err(Closed::Frame)? else { return Ok(None) };
        self.done = self.done.saturating_add(frame.length);
        Ok(Some(match frame.message(self.network) {
            Ok(message) => Read::Message(message),
            Err(error) => Read::Unreadable { command: frame.command, error },
        }))
    }

    fn fill(&mut self) -> Result<(), Closed> {
        self.bytes.drain(..self.done.min(self.bytes.len()));
        self.done = 0;
        let held = self.bytes.len();
        self.bytes.resize(held.saturating_add(READ_BYTES), 0);
        let read = self.socket.read(self.bytes.get_mut(held..).unwrap_or_default());
        self.at = Instant::now();
        self.bytes.truncate(held.saturating_add(read.as_ref().map_or(0, |count| *count)));
        match read {
            Ok(0) => Err(Closed::ByNode),
            Ok(_) => Ok(()),
            Err(error) if passes(error.kind()) => Ok(()),
            Err(error) => Err(Closed::Socket(error)),
        }
    }
}

/// Whether the read only has to be tried again.
fn passes(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}
