//! One link between two machines: whole frames in, whole frames out, each within its time. Decides nothing about what
//! a frame says.
//!
//! A frame is its length in four bytes, most significant first, and then that many bytes.

use core::fmt;
use std::{
    io::{self, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    sync::Arc,
    time::{Duration, Instant},
};

use rustls::{ClientConnection, ServerConfig, ServerConnection, pki_types::ServerName};

use crate::{
    error::{self, LinkError},
    identity::{Identity, key_of},
    listener::Place,
    pin,
};

/// Longest frame, in bytes, without its length.
pub const FRAME_LENGTH_MAX: usize = 32 * 1024 * 1024;
/// Longest time that a frame takes from its first byte to its last, whatever the connection's own limit.
pub const FRAME_TIME_MAX: Duration = Duration::from_secs(30);

/// How long parting may take; whoever does not take the farewell does not get it.
const FAREWELL_TIME_MAX: Duration = Duration::from_millis(100);
/// How many bytes are asked of the TLS layer at once; a buffer grows by no more beyond what has arrived.
const PIECE: usize = 64 * 1024;

/// A link whose peer has shown that it holds a pinned key.
pub struct Connection {
    tcp: TcpStream,
    tls: rustls::Connection,
    own: [u8; 32],
    peer: [u8; 32],
    addr: SocketAddr,
    timeout: Option<Duration>,
    broken: bool,
    /// Held while the connection lives: its place among those that its listener counts.
    place: Option<Place>,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let peer = kuraban_base::hex::encode(&self.peer);
        f.debug_struct("Connection").field("peer", &peer).field("addr", &self.addr).finish_non_exhaustive()
    }
}

/// Connects to the machine at `addr` that holds the key `expected`, and makes sure that it takes ours. All of it
/// within `timeout`, which is then also the connection's limit for each frame (see [`Connection::set_timeout`]).
///
/// # Errors
/// Nobody answers, the peer's key is another ([`LinkError::WrongKey`]), the peer does not know our key
/// ([`LinkError::Refused`]), or it takes too long.
pub fn connect(
    addr: SocketAddr,
    identity: &Identity,
    expected: &[u8; 32],
    timeout: Duration,
) -> Result<Connection, LinkError> {
    let deadline = Instant::now().checked_add(timeout);
    let own = identity.public();
    let of_tls = |problem| error::of_tls(problem, addr, &own);
    let config = pin::client(identity, expected).map_err(of_tls)?;
    // The name goes nowhere: names vouch for nobody here.
    let name = ServerName::IpAddress(addr.ip().into());
    let tls = ClientConnection::new(Arc::new(config), name).map_err(of_tls)?;
    let tcp =
        TcpStream::connect_timeout(&addr, timeout).map_err(|source| match error::is_timeout(&source) {
            true => LinkError::Timeout { what: "connecting", peer: addr, limit: timeout },
            false => LinkError::Connect { addr, source },
        })?;
    let tls = rustls::Connection::Client(tls);
    let mut connection = Connection::shake_hands(tcp, tls, addr, own, (timeout, deadline))?;
    // In TLS 1.3 the client is done before the server has looked at its key; the empty frame says that it was taken.
    connection.timeout = Some(timeout);
    match connection.frame((timeout, deadline)) {
        Ok(welcome) if welcome.is_empty() => Ok(connection),
        Ok(other) => Err(LinkError::TooLong { got: other.len(), max: 0 }),
        Err(problem) => Err(problem),
    }
}

/// A limit and the moment at which it ends; none, if the system's clock cannot tell a moment so late.
type Limit = (Duration, Option<Instant>);

impl Connection {
    /// Sends one frame.
    ///
    /// # Errors
    /// The frame is longer than [`FRAME_LENGTH_MAX`] (nothing was sent), or the link breaks or stalls; then it stays
    /// broken, and whether the peer got the frame is not known.
    pub fn send(&mut self, frame: &[u8]) -> Result<(), LinkError> {
        if self.broken {
            return Err(LinkError::Broken { peer: self.addr });
        }
        let too_long = LinkError::TooLong { got: frame.len(), max: FRAME_LENGTH_MAX };
        let length = match u32::try_from(frame.len()) {
            Ok(length) if frame.len() <= FRAME_LENGTH_MAX => length.to_be_bytes(),
            Ok(_) | Err(_) => return Err(too_long),
        };
        let limit = self.timeout.unwrap_or(FRAME_TIME_MAX).min(FRAME_TIME_MAX);
        let deadline = Instant::now().checked_add(limit);
        // One piece, so that a short frame is one TLS record and one packet.
        let sent = self.write_all(&[&length, frame].concat(), deadline);
        self.kept(sent.map_err(|problem| (problem, "sending a frame", limit)))
    }

    /// Waits for one frame.
    ///
    /// # Errors
    /// [`LinkError::Timeout`] if none has begun within the connection's limit: the link is still good, and the frame
    /// may still come. [`LinkError::Closed`] if the peer is done. After any other error the link stays broken.
    pub fn recv(&mut self) -> Result<Vec<u8>, LinkError> {
        let limit = self.timeout.unwrap_or(FRAME_TIME_MAX);
        let deadline = self.timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        self.frame((limit, deadline))
    }

    /// Limits how long one whole [`send`](Self::send) or [`recv`](Self::recv) may take. With `None` a frame may be
    /// awaited for ever. A frame that has begun is always limited by [`FRAME_TIME_MAX`] too.
    pub const fn set_timeout(&mut self, timeout: Option<Duration>) {
        self.timeout = timeout;
    }

    /// The key that the peer holds.
    #[must_use]
    pub const fn peer(&self) -> &[u8; 32] {
        &self.peer
    }

    /// Where the peer is.
    #[must_use]
    pub const fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The server's half of a handshake; the peer is welcome only once it has its place.
    pub(crate) fn accept(
        tcp: TcpStream,
        config: &Arc<ServerConfig>,
        own: [u8; 32],
        limit: Duration,
    ) -> Result<Self, LinkError> {
        let deadline = Instant::now().checked_add(limit);
        let addr =
            tcp.peer_addr().map_err(|source| LinkError::Io { what: "ask who is connecting", source })?;
        let tls = ServerConnection::new(Arc::clone(config))
            .map_err(|problem| error::of_tls(problem, addr, &own))?;
        Self::shake_hands(tcp, rustls::Connection::Server(tls), addr, own, (limit, deadline))
    }

    /// Tells the client that it is welcome.
    pub(crate) fn welcome(&mut self, place: Place, limit: Duration) -> Result<(), LinkError> {
        self.place = Some(place);
        self.timeout = Some(limit);
        self.send(&[])?;
        self.timeout = None;
        Ok(())
    }

    /// Another handle to the socket, to end the connection from outside.
    pub(crate) fn socket(&self) -> Result<TcpStream, LinkError> {
        self.tcp
            .try_clone()
            .map_err(|source| LinkError::Io { what: "hold a second handle to a socket", source })
    }

    fn shake_hands(
        tcp: TcpStream,
        mut tls: rustls::Connection,
        addr: SocketAddr,
        own: [u8; 32],
        (limit, deadline): Limit,
    ) -> Result<Self, LinkError> {
        let failed = |problem| error::of_handshake(problem, addr, &own, limit);
        tcp.set_nodelay(true).map_err(failed)?;
        let mut socket = Timed { tcp: &tcp, deadline };
        while tls.is_handshaking() {
            tls.complete_io(&mut socket).map_err(failed)?;
        }
        let peer = match tls.peer_certificates() {
            Some([shown]) => key_of(shown),
            Some(_) | None => None,
        };
        let source = rustls::Error::NoCertificatesPresented;
        let peer = peer.ok_or(LinkError::Tls { peer: addr, source })?;
        Ok(Self { tcp, tls, own, peer, addr, timeout: None, broken: false, place: None })
    }

    /// One frame; its first byte within the limit, the rest within [`FRAME_TIME_MAX`] too.
    fn frame(&mut self, (limit, deadline): Limit) -> Result<Vec<u8>, LinkError> {
        if self.broken {
            return Err(LinkError::Broken { peer: self.addr });
        }
        let mut first = [0];
        match self.read(&mut first, deadline) {
            Ok(0) => {
                return self.kept(Err((io::ErrorKind::UnexpectedEof.into(), "waiting for a frame", limit)));
            }
            Ok(_) => {}
            Err(problem) if error::is_timeout(&problem) => {
                return Err(LinkError::Timeout { what: "waiting for a frame", peer: self.addr, limit });
            }
            Err(problem) => return self.kept(Err((problem, "waiting for a frame", limit))),
        }
        let soon = Instant::now().checked_add(FRAME_TIME_MAX);
        let (limit, deadline) = match (deadline, soon) {
            (Some(deadline), Some(soon)) if deadline < soon => (limit, Some(deadline)),
            (_, soon) => (FRAME_TIME_MAX, soon),
        };
        let rest = self.rest(first, deadline);
        match rest {
            Ok(frame) => Ok(frame),
            Err(Unfinished::Failed(problem)) => self.kept(Err((problem, "receiving a frame", limit))),
            Err(Unfinished::Ended(problem)) => {
                self.broken = true;
                Err(problem)
            }
        }
    }

    fn rest(&mut self, first: [u8; 1], deadline: Option<Instant>) -> Result<Vec<u8>, Unfinished> {
        let mut length = Vec::from(first);
        self.fill(&mut length, 4, 4, deadline)?;
        let length = length.iter().fold(0_usize, |sum, byte| sum << 8 | usize::from(*byte));
        if length > FRAME_LENGTH_MAX {
            return Err(Unfinished::Ended(LinkError::TooLong { got: length, max: FRAME_LENGTH_MAX }));
        }
        let mut frame = Vec::new();
        self.fill(&mut frame, length, length.saturating_add(4), deadline)?;
        Ok(frame)
    }

    /// Reads until `into` has `length` bytes. It grows with what arrives, not with what was announced.
    fn fill(
        &mut self,
        into: &mut Vec<u8>,
        length: usize,
        want: usize,
        deadline: Option<Instant>,
    ) -> Result<(), Unfinished> {
        let mut piece = vec![0; length.saturating_sub(into.len()).min(PIECE)];
        while into.len() < length {
            let missing = length.saturating_sub(into.len()).min(piece.len());
            let space = piece.get_mut(..missing).unwrap_or_default();
            let got = match self.read(space, deadline) {
                Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(got) => Ok(got),
                Err(problem) => Err(problem),
            };
            match got {
                Ok(got) => into.extend(piece.iter().take(got)),
                Err(problem) if error::is_end(&problem) => {
                    let got = want.saturating_sub(length).saturating_add(into.len());
                    return Err(Unfinished::Ended(LinkError::Truncated { peer: self.addr, got, want }));
                }
                Err(problem) => return Err(Unfinished::Failed(problem)),
            }
        }
        Ok(())
    }

    fn read(&mut self, into: &mut [u8], deadline: Option<Instant>) -> io::Result<usize> {
        loop {
            match self.tls.reader().read(into) {
                // Nothing has been decrypted that was not read before.
                Err(problem) if problem.kind() == io::ErrorKind::WouldBlock => {}
                done => return done,
            }
            self.tls.complete_io(&mut Timed { tcp: &self.tcp, deadline })?;
        }
    }

    fn write_all(&mut self, mut bytes: &[u8], deadline: Option<Instant>) -> io::Result<()> {
        loop {
            let taken = self.tls.writer().write(bytes)?;
            bytes = bytes.get(taken..).unwrap_or_default();
            while self.tls.wants_write() {
                if self.tls.write_tls(&mut Timed { tcp: &self.tcp, deadline })? == 0 {
                    return Err(io::ErrorKind::WriteZero.into());
                }
            }
            if bytes.is_empty() {
                return Ok(());
            }
        }
    }

    /// Gives the link up after an error: what comes next on it could not be told apart.
    fn kept<T>(&mut self, result: Result<T, (io::Error, &'static str, Duration)>) -> Result<T, LinkError> {
        result.map_err(|(problem, what, limit)| {
            self.broken = true;
            if error::is_timeout(&problem) {
                return LinkError::Timeout { what, peer: self.addr, limit };
            }
            match error::tls(problem) {
                Ok(problem) => error::of_tls(problem, self.addr, &self.own),
                Err(problem) if error::is_end(&problem) => LinkError::Closed { peer: self.addr },
                Err(source) => LinkError::Io { what: "use the link", source },
            }
        })
    }
}

/// Why a frame that had begun did not arrive.
enum Unfinished {
    Failed(io::Error),
    Ended(LinkError),
}

impl Drop for Connection {
    fn drop(&mut self) {
        if !self.broken {
            self.tls.send_close_notify();
            let deadline = Instant::now().checked_add(FAREWELL_TIME_MAX);
            let mut socket = Timed { tcp: &self.tcp, deadline };
            // A farewell that cannot be said changes nothing: the peer sees the socket close.
            while self.tls.wants_write() && self.tls.write_tls(&mut socket).is_ok_and(|sent| sent > 0) {}
        }
        // Other handles may exist, so the socket is shut rather than left to close; if it is gone already, all is well.
        self.tcp.shutdown(Shutdown::Both).unwrap_or_default();
    }
}

/// A socket on which everything must be done by a deadline, however slowly bytes trickle.
struct Timed<'a> {
    tcp: &'a TcpStream,
    deadline: Option<Instant>,
}

impl Timed<'_> {
    /// The time that is left; `None` if there is no deadline.
    fn left(&self) -> io::Result<Option<Duration>> {
        let Some(deadline) = self.deadline else { return Ok(None) };
        match deadline.saturating_duration_since(Instant::now()) {
            Duration::ZERO => Err(io::ErrorKind::TimedOut.into()),
            left => Ok(Some(left)),
        }
    }

    /// Repeats what a signal interrupted; tells a timeout by one name on every platform.
    fn within(&self, mut act: impl FnMut(Option<Duration>) -> io::Result<usize>) -> io::Result<usize> {
        loop {
            match act(self.left()?) {
                Err(problem) if problem.kind() == io::ErrorKind::Interrupted => {}
                Err(problem) if error::is_timeout(&problem) => return Err(io::ErrorKind::TimedOut.into()),
                done => return done,
            }
        }
    }
}

impl Read for Timed<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let mut tcp = self.tcp;
        self.within(|left| {
            tcp.set_read_timeout(left)?;
            tcp.read(into)
        })
    }
}

impl Write for Timed<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut tcp = self.tcp;
        self.within(|left| {
            tcp.set_write_timeout(left)?;
            tcp.write(bytes)
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::listener::{Limits, Listener};

    /// What a receiver says to these bytes, after which the sender parts politely or is cut off.
    fn check(bytes: &[u8], cut_off: bool, want: &str) {
        let (server, client) = (Identity::from_seed(&[1; 32]), Identity::from_seed(&[2; 32]));
        let limits =
            Limits { handshakes_max: 4, per_peer_max: 4, handshake_time_max: Duration::from_secs(10) };
        let any = "127.0.0.1:0".parse().unwrap();
        let listener = Listener::bind(any, &server, vec![client.public()], limits).unwrap();
        let mut sender =
            connect(listener.addr(), &client, &server.public(), Duration::from_secs(10)).unwrap();
        let (mut receiver, _) = listener.accept().unwrap();
        sender.write_all(bytes, None).unwrap();
        let from = receiver.addr().to_string();
        sender.broken = cut_off;
        drop(sender);
        receiver.set_timeout(Some(Duration::from_secs(10)));
        assert_eq!(receiver.recv().unwrap_err().to_string().replace(&from, "P"), want);
        let after = receiver.recv().unwrap_err().to_string().replace(&from, "P");
        assert_eq!(after, "the connection with P broke before");
        assert_eq!(receiver.send(&[]).unwrap_err().to_string().replace(&from, "P"), after);
    }

    #[test]
    fn a_frame_that_ends_early_says_how_far_it_came() {
        for cut_off in [false, true] {
            check(&[], cut_off, "P closed the connection");
            check(&[0], cut_off, "P ended the connection after 1 of a frame's 4 bytes");
            check(&[0, 0, 0], cut_off, "P ended the connection after 3 of a frame's 4 bytes");
            check(&[0, 0, 0, 2], cut_off, "P ended the connection after 4 of a frame's 6 bytes");
            check(&[0, 0, 0, 2, 7], cut_off, "P ended the connection after 5 of a frame's 6 bytes");
            // All that was announced is not allocated before it is there.
            check(&[2, 0, 0, 0, 7], cut_off, "P ended the connection after 5 of a frame's 33554436 bytes");
        }
    }

    #[test]
    fn a_length_beyond_the_limit_is_refused_before_anything_follows() {
        check(&[2, 0, 0, 1], false, "a frame of 33554433 bytes, want at most 33554432");
        check(&[0xff; 4], false, "a frame of 4294967295 bytes, want at most 33554432");
    }
}
