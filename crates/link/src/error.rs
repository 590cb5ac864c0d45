//! What can go wrong on a link, told so that an operator sees which key, which peer and which limit it was.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use kuraban_base::hex;
use rustls::{AlertDescription, CertificateError, OtherError};

/// A link that did not come about, or has ended.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The address cannot be listened on.
    #[error("cannot listen on {addr}")]
    Bind {
        /// The address.
        addr: SocketAddr,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// Nobody answers at the address.
    #[error("cannot connect to {addr}")]
    Connect {
        /// The address.
        addr: SocketAddr,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// The peer showed a key that is not pinned.
    #[error(transparent)]
    WrongKey(WrongKey),
    /// The peer does not have our key pinned.
    #[error("the peer at {peer} refuses our key {own}")]
    Refused {
        /// Where the peer is.
        peer: SocketAddr,
        /// Our key, in hexadecimal.
        own: String,
    },
    /// Bytes that are not TLS 1.3 with raw public keys, or were changed on the way.
    #[error("no TLS 1.3 with raw public keys with {peer}")]
    Tls {
        /// Where the peer is.
        peer: SocketAddr,
        /// What is wrong.
        #[source]
        source: rustls::Error,
    },
    /// More handshakes at once than are allowed; this one was not begun.
    #[error("{max} handshakes are under way, so {peer} was turned away")]
    Busy {
        /// Where the peer is.
        peer: SocketAddr,
        /// The limit.
        max: usize,
    },
    /// Something took longer than it may.
    #[error("{what} with {peer} took longer than {} ms", limit.as_millis())]
    Timeout {
        /// Handshake, waiting for a frame, or passing one on.
        what: &'static str,
        /// Where the peer is.
        peer: SocketAddr,
        /// How long it may take.
        limit: Duration,
    },
    /// A frame that is longer than frames may be.
    #[error("a frame of {got} bytes, want at most {max}")]
    TooLong {
        /// Its length in bytes.
        got: usize,
        /// The limit.
        max: usize,
    },
    /// The connection ended inside a frame.
    #[error("{peer} ended the connection after {got} of a frame's {want} bytes")]
    Truncated {
        /// Where the peer is.
        peer: SocketAddr,
        /// Bytes that arrived.
        got: usize,
        /// Bytes announced, the length's own four included.
        want: usize,
    },
    /// The peer ended the connection between two frames.
    #[error("{peer} closed the connection")]
    Closed {
        /// Where the peer is.
        peer: SocketAddr,
    },
    /// The connection was given up after an earlier error.
    #[error("the connection with {peer} broke before")]
    Broken {
        /// Where the peer is.
        peer: SocketAddr,
    },
    /// The listener's thread has ended; nobody will be accepted any more.
    #[error("the listening thread has ended")]
    Stopped,
    /// The system failed.
    #[error("cannot {what}")]
    Io {
        /// What was being done.
        what: &'static str,
        /// What the system says.
        #[source]
        source: io::Error,
    },
}

/// A key that is not pinned.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the peer's key is {}, want {}", hex::encode(found), listed(wanted))]
pub struct WrongKey {
    /// The key that the peer showed.
    pub found: [u8; 32],
    /// The keys that are pinned.
    pub wanted: Vec<[u8; 32]>,
}

fn listed(keys: &[[u8; 32]]) -> String {
    match keys.iter().map(|key| hex::encode(key)).collect::<Vec<_>>().as_slice() {
        [] => "no peer at all".to_owned(),
        [one] => one.clone(),
        many => format!("one of {}", many.join(", ")),
    }
}

impl From<WrongKey> for rustls::Error {
    fn from(wrong: WrongKey) -> Self {
        Self::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(wrong))))
    }
}

/// What a failed read or write during the handshake means.
pub(crate) fn of_handshake(
    problem: io::Error,
    peer: SocketAddr,
    own: &[u8; 32],
    limit: Duration,
) -> LinkError {
    if is_timeout(&problem) {
        return LinkError::Timeout { what: "the handshake", peer, limit };
    }
    match tls(problem) {
        Ok(problem) => of_tls(problem, peer, own),
        Err(problem) if is_end(&problem) => LinkError::Closed { peer },
        Err(source) => LinkError::Io { what: "finish the handshake", source },
    }
}

/// What a TLS error means.
pub(crate) fn of_tls(problem: rustls::Error, peer: SocketAddr, own: &[u8; 32]) -> LinkError {
    if let rustls::Error::InvalidCertificate(CertificateError::Other(OtherError(cause))) = &problem
        && let Some(wrong) = cause.downcast_ref::<WrongKey>()
    {
        return LinkError::WrongKey(wrong.clone());
    }
    // What the TLS library answers to a key that a verifier turned down.
    if problem == rustls::Error::AlertReceived(AlertDescription::CertificateUnknown) {
        return LinkError::Refused { peer, own: hex::encode(own) };
    }
    LinkError::Tls { peer, source: problem }
}

/// The TLS error that an I/O error carries, or the I/O error back.
pub(crate) fn tls(problem: io::Error) -> Result<rustls::Error, io::Error> {
    problem.downcast::<rustls::Error>()
}

/// Sockets with a time limit answer one or the other, by platform.
pub(crate) fn is_timeout(problem: &io::Error) -> bool {
    matches!(problem.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

/// The peer went away, politely or not.
pub(crate) fn is_end(problem: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    matches!(problem.kind(), UnexpectedEof | ConnectionReset | ConnectionAborted | BrokenPipe)
}
