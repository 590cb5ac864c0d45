//! The HTTP that JSON-RPC needs: one `POST` per connection, with user and password.
//!
//! Decides who may call. Bodies come with their length; nothing else of HTTP is spoken.

use std::{
    io::{self, Read as _, Write as _},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use anyhow::Context as _;
use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::{rpc, world::World};

/// Calls at once.
const CALLS_MAX: usize = 64;
const HEAD_BYTES_MAX: usize = 8_192;
const HEADERS_MAX: usize = 32;
/// A transaction of the largest size in hexadecimal, and what stands around it.
const BODY_BYTES_MAX: usize = 8_100_000;
/// Most bytes of a refused request that are still taken.
const LEFT_BYTES_MAX: u64 = 65_536;
/// Time for a call to arrive, and for its answer to be taken, without a byte.
const WITHIN: Duration = Duration::from_secs(10);

/// Answers calls by those who know the secret, until the listener fails.
pub(super) fn serve(world: &Arc<World>, listener: &TcpListener, secret: &str) -> anyhow::Result<()> {
    let authorization: Arc<str> = format!("Basic {}", STANDARD.encode(secret)).into();
    let calls = Arc::new(AtomicUsize::new(0));
    loop {
        let (socket, _) = listener.accept().context("cannot accept calls")?;
        if calls.fetch_add(1, Ordering::AcqRel) >= CALLS_MAX {
            calls.fetch_sub(1, Ordering::AcqRel);
            continue;
        }
        let call = {
            let (world, calls, authorization) =
                (Arc::clone(world), Arc::clone(&calls), Arc::clone(&authorization));
            move || {
                // A caller who is gone needs no answer.
                drop(attend(&world, socket, &authorization));
                calls.fetch_sub(1, Ordering::AcqRel);
            }
        };
        if thread::Builder::new().name("call".to_owned()).spawn(call).is_err() {
            calls.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

/// A request that is refused before anyone looks at what it asks.
#[derive(Clone, Copy)]
struct Refused {
    status: u16,
    words: &'static str,
}

fn attend(world: &World, mut socket: TcpStream, authorization: &str) -> io::Result<()> {
    socket.set_nodelay(true)?;
    socket.set_read_timeout(Some(WITHIN))?;
    socket.set_write_timeout(Some(WITHIN))?;
    let (status, body) = match read(&mut socket, authorization)? {
        Ok(body) => rpc::answer(world, &body),
        Err(Refused { status, words }) => (status, words.to_owned()),
    };
    let reason = match status {
        200 => "OK",
        400 => "Bad Request",
        401 => "Unauthorized",
        404 => "Not Found",
        413 => "Content Too Large",
        _ => "Internal Server Error",
    };
    let head = format!(
        "HTTP/1.1 {status} {reason}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    socket.write_all(&[head.as_bytes(), body.as_bytes()].concat())?;
    socket.shutdown(Shutdown::Write)?;
    // What is left unread would have the system break the connection off before the answer is read.
    io::copy(&mut socket.take(LEFT_BYTES_MAX), &mut io::sink()).map(drop)
}

/// The body of the request.
fn read(socket: &mut TcpStream, authorization: &str) -> io::Result<Result<Vec<u8>, Refused>> {
    let refused = |status, words| Ok(Err(Refused { status, words }));
    let mut bytes = Vec::new();
    let (head_bytes, length) = loop {
        let mut some = [0; 4_096];
        let count = socket.read(&mut some)?;
        if count == 0 {
            return refused(400, "request ended early");
        }
        bytes.extend_from_slice(some.get(..count).unwrap_or_default());
        match head(&bytes, authorization) {
            Ok(Some(head)) => break head,
            Ok(None) if bytes.len() > HEAD_BYTES_MAX => return refused(400, "head is too long"),
            Ok(None) => {}
            Err(refused) => return Ok(Err(refused)),
        }
    };
    let mut body = bytes.split_off(head_bytes.min(bytes.len()));
    let left = length.saturating_sub(body.len());
    let left = u64::try_from(left).unwrap_or(u64::MAX);
    socket.take(left).read_to_end(&mut body)?;
    if body.len() != length {
        return refused(400, "body is not as long as said");
    }
    Ok(Ok(body))
}

/// Length of the head and of the body; `None` while the head is not whole.
fn head(bytes: &[u8], authorization: &str) -> Result<Option<(usize, usize)>, Refused> {
    let refused = |status, words| Err(Refused { status, words });
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut request = httparse::Request::new(&mut headers);
    let length = match request.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(_) => return refused(400, "not HTTP"),
    };
    let header = |name: &str| {
        let found = request.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
        found.and_then(|header| std::str::from_utf8(header.value).ok())
    };
    if header("Authorization") != Some(authorization) {
        return refused(401, "");
    }
    if request.method != Some("POST") {
        return refused(400, "JSON-RPC takes POST");
    }
    match header("Content-Length").and_then(|length| length.parse::<usize>().ok()) {
        Some(body) if body <= BODY_BYTES_MAX => Ok(Some((length, body))),
        Some(_) => refused(413, "body is too long"),
        None => refused(400, "no Content-Length"),
    }
}
