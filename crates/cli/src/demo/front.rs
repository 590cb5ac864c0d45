//! The exchange's front in the demo: a real nginx that asks the gate before every request (`auth_request`), a dummy
//! withdrawal service behind it, and a customer who asks all the time, so that the last request let through is known.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::Path,
    process::Command,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::Context as _;

use super::process::Process;

/// Microseconds since 1970-01-01 UTC.
pub(super) fn now_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

/// The service behind the gateway. It only counts and remembers when it was last reached.
#[derive(Debug)]
pub(super) struct Service {
    pub(super) port: u16,
    last_us: Arc<AtomicU64>,
    served: Arc<AtomicU64>,
}

impl Service {
    pub(super) fn start() -> anyhow::Result<Self> {
        let listener =
            TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("the dummy service finds no port")?;
        let port = listener.local_addr()?.port();
        let (last_us, served) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let (last, count) = (Arc::clone(&last_us), Arc::clone(&served));
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (last, count) = (Arc::clone(&last), Arc::clone(&count));
                thread::spawn(move || serve(stream, &last, &count));
            }
        });
        Ok(Self { port, last_us, served })
    }

    /// When a request last came through, in microseconds since 1970.
    pub(super) fn last_us(&self) -> u64 {
        self.last_us.load(Ordering::SeqCst)
    }

    /// How many came through.
    pub(super) fn served(&self) -> u64 {
        self.served.load(Ordering::SeqCst)
    }
}

/// Answers requests on one connection until it is closed.
fn serve(mut stream: TcpStream, last_us: &AtomicU64, served: &AtomicU64) {
    let mut seen = Vec::new();
    let mut buffer = [0; 4096];
    while let Ok(count @ 1..) = stream.read(&mut buffer) {
        seen.extend_from_slice(buffer.get(..count).unwrap_or_default());
        while let Some(end) = seen.windows(4).position(|window| window == b"\r\n\r\n") {
            seen.drain(..end.saturating_add(4));
            last_us.fetch_max(now_us(), Ordering::SeqCst);
            served.fetch_add(1, Ordering::SeqCst);
            let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\naccepted\n";
            if stream.write_all(answer).is_err() {
                return;
            }
        }
    }
}

/// Starts nginx in front of the service, with the gate as its `auth_request`.
pub(super) fn nginx(
    dir: &Path,
    binary: &Path,
    ports: (u16, u16, u16),
    asset: &str,
) -> anyhow::Result<Process> {
    let (own, gate, service) = ports;
    let home = dir.join("nginx");
    fs::create_dir_all(&home)?;
    let home = home.display();
    let conf = format!(
        "daemon off; master_process off; worker_processes 1; pid {home}/nginx.pid; error_log {home}/error.log;\n\
         events {{ worker_connections 256; }}\n\
         http {{\n  access_log off; keepalive_requests 1000000000; client_body_temp_path {home}/b; proxy_temp_path {home}/p;\n  \
         fastcgi_temp_path {home}/f; uwsgi_temp_path {home}/u; scgi_temp_path {home}/s;\n  \
         upstream gate {{ server 127.0.0.1:{gate}; keepalive 8; }}\n  \
         upstream service {{ server 127.0.0.1:{service}; keepalive 8; }}\n  \
         server {{\n    listen 127.0.0.1:{own};\n    \
         location /withdraw {{ auth_request /_permit; proxy_pass http://service; proxy_http_version 1.1;\n      \
         proxy_set_header Connection \"\"; }}\n    \
         location = /_permit {{ internal; proxy_pass http://gate/v1/permits/withdrawal/{asset};\n      \
         proxy_pass_request_body off; proxy_set_header Content-Length \"\"; proxy_http_version 1.1;\n      \
         proxy_set_header Connection \"\"; proxy_connect_timeout 500ms; proxy_read_timeout 500ms; }}\n  }}\n}}\n"
    );
    let path = dir.join("nginx.conf");
    fs::write(&path, conf)?;
    let mut command = Command::new(binary);
    command.arg("-c").arg(&path).arg("-p").arg(dir).arg("-e").arg(format!("{home}/error.log"));
    Process::start(dir, "nginx", &mut command)
}

/// The gate, asked as a gateway asks it.
#[derive(Clone, Debug)]
pub(super) struct Gate {
    port: u16,
    path: String,
}

impl Gate {
    pub(super) fn new(port: u16, asset: &str) -> Self {
        Self { port, path: format!("/v1/permits/withdrawal/{asset}") }
    }

    /// The status of one answer.
    pub(super) fn ask(&self) -> std::io::Result<u16> {
        attempt(self.port, &self.path, &mut None)
    }

    /// Asks over one connection until the answer is `status`; when that was, in microseconds since 1970.
    pub(super) fn until(&self, status: u16, limit: Duration) -> anyhow::Result<u64> {
        let (start, mut kept) = (now_us(), None);
        loop {
            let found = attempt(self.port, &self.path, &mut kept)?;
            let now = now_us();
            if found == status {
                return Ok(now);
            }
            anyhow::ensure!(
                u128::from(now.saturating_sub(start)) < limit.as_micros(),
                "the gate still answers {found}, want {status}"
            );
        }
    }
}

/// The outcome of one request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Attempt {
    /// When it was sent.
    pub(super) sent_us: u64,
    /// The HTTP status; 0 if there was no answer.
    pub(super) status: u16,
}

/// A customer who asks for a withdrawal again and again.
#[derive(Debug)]
pub(super) struct Customer {
    stop: Arc<AtomicBool>,
    attempts: Arc<Mutex<Vec<Attempt>>>,
    thread: Option<JoinHandle<()>>,
}

impl Customer {
    pub(super) fn start(port: u16) -> Self {
        let (stop, attempts) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
        let (stopped, made) = (Arc::clone(&stop), Arc::clone(&attempts));
        let thread = thread::spawn(move || {
            let mut stream = None;
            while !stopped.load(Ordering::SeqCst) {
                let sent_us = now_us();
                let status = attempt(port, "/withdraw", &mut stream).unwrap_or_else(|_| {
                    stream = None;
                    0
                });
                if let Ok(mut made) = made.lock() {
                    made.push(Attempt { sent_us, status });
                }
                thread::sleep(Duration::from_millis(1));
            }
        });
        Self { stop, attempts, thread: Some(thread) }
    }

    /// What was tried so far.
    pub(super) fn attempts(&self) -> Vec<Attempt> {
        self.attempts.lock().map(|attempts| attempts.clone()).unwrap_or_default()
    }
}

impl Drop for Customer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            // The thread only asks and counts; how it ended changes nothing.
            drop(thread.join());
        }
    }
}

/// One request over a connection that is kept.
fn attempt(port: u16, path: &str, kept: &mut Option<TcpStream>) -> std::io::Result<u16> {
    let mut stream = match kept.take() {
        Some(stream) => stream,
        None => {
            let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(Duration::from_secs(2)))?;
            stream
        }
    };
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: exchange\r\n\r\n").as_bytes())?;
    let mut seen = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let count = stream.read(&mut buffer)?;
        if count == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        seen.extend_from_slice(buffer.get(..count).unwrap_or_default());
        if let Some((status, whole)) = answer(&seen)
            && whole
        {
            *kept = Some(stream);
            return Ok(status);
        }
    }
}

/// The status of an answer, and whether all of it is there.
fn answer(seen: &[u8]) -> Option<(u16, bool)> {
    let end = seen.windows(4).position(|window| window == b"\r\n\r\n")?.checked_add(4)?;
    let head = std::str::from_utf8(seen.get(..end)?).ok()?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let field = |line: &str| {
        line.to_ascii_lowercase().strip_prefix("content-length:").map(str::trim).map(str::to_owned)
    };
    let length: usize = head.lines().find_map(field)?.parse().ok()?;
    Some((status, seen.len() >= end.checked_add(length)?))
}
