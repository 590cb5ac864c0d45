//! Processes of the exchange: started with their lines read, stopped and killed by their own ids.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::daemon::free_ports;

/// Far longer than anything here takes; a test that runs into it has failed.
pub(crate) const LONG: Duration = Duration::from_secs(30);

#[derive(Default)]
struct Lines(Mutex<Vec<Value>>, Condvar);

impl Lines {
    fn lock(&self) -> MutexGuard<'_, Vec<Value>> {
        // A test that fails while it looks at them still shows them.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A process that writes JSON lines to its standard error. Dropping it kills it.
pub(crate) struct Process {
    name: String,
    child: Child,
    lines: Arc<Lines>,
}

impl Process {
    pub(crate) fn start(name: &str, command: &mut Command) -> Self {
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut child = child.unwrap_or_else(|problem| panic!("{name} does not start: {problem}"));
        let lines = Arc::new(Lines::default());
        let (stderr, keep) = (child.stderr.take().unwrap(), Arc::clone(&lines));
        thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let line = serde_json::from_str(&line).unwrap_or(Value::String(line));
                keep.lock().push(line);
                keep.1.notify_all();
            }
        });
        Self { name: name.to_owned(), child, lines }
    }

    /// The daemon in a role.
    pub(crate) fn role(role: &str, config: &Path) -> Self {
        Self::start(role, guardd().args([role, "run", "--config"]).arg(config))
    }

    /// The first line that it says on standard output.
    pub(crate) fn first_line(&mut self) -> String {
        let mut line = String::new();
        BufReader::new(self.child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        line
    }

    /// Waits for a line of this event, from the first on.
    #[track_caller]
    pub(crate) fn event(&self, event: &str) -> Value {
        self.event_after(0, event).1
    }

    /// Waits for a line of this event, from that line on; returns the line's number too.
    #[track_caller]
    pub(crate) fn event_after(&self, from: usize, event: &str) -> (usize, Value) {
        let start = Instant::now();
        let mut lines = self.lines.lock();
        loop {
            let found = lines.iter().enumerate().skip(from).find(|(_, line)| line["event"] == event);
            if let Some((number, line)) = found {
                return (number, line.clone());
            }
            let left = LONG.checked_sub(start.elapsed());
            let left = left.unwrap_or_else(|| panic!("{} never said {event}: {lines:#?}", self.name));
            lines = self.lines.1.wait_timeout(lines, left).unwrap().0;
        }
    }

    /// How many lines it has said.
    pub(crate) fn said(&self) -> usize {
        self.lines.lock().len()
    }

    /// All lines.
    pub(crate) fn lines(&self) -> Vec<Value> {
        self.lines.lock().clone()
    }

    /// Lines of this event.
    pub(crate) fn count(&self, event: &str) -> usize {
        self.lines.lock().iter().filter(|line| line["event"] == event).count()
    }

    /// Its id in the system.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Sends a signal by name.
    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &id]).status().unwrap().success());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.child.kill());
        drop(self.child.wait());
        if thread::panicking() {
            println!("{} said:", self.name);
            for line in self.lines.lock().iter() {
                println!("  {line}");
            }
        }
    }
}

pub(crate) fn guardd() -> Command {
    Command::new(env!("CARGO_BIN_EXE_kuraban-guardd"))
}

/// Runs the daemon to its end.
pub(crate) fn ended(arguments: &[&str], config: &Path) -> (Option<i32>, String) {
    let Output { status, stdout, stderr } =
        guardd().args(arguments).arg("--config").arg(config).output().unwrap();
    let text = [stdout, stderr].concat();
    (status.code(), String::from_utf8(text).unwrap())
}

/// The program `kuraban`.
pub(crate) fn kuraban() -> PathBuf {
    beside("kuraban", "kuraban-cli")
}

/// A program of another package, which stands beside the daemon; it is built if it is not there.
pub(crate) fn beside(name: &str, package: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_BIN_EXE_kuraban-guardd")).parent().unwrap();
    let program = folder.join(name);
    if !program.is_file() {
        println!("{} is not there, so it is built", program.display());
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut build = Command::new(cargo);
        build.args(["build", "--package", package, "--target-dir"]).arg(folder.parent().unwrap());
        assert!(build.status().unwrap().success(), "{build:?}");
    }
    program
}

/// A port on loopback that was free a moment ago.
pub(crate) fn free() -> SocketAddr {
    let [port, ..] = free_ports();
    (Ipv4Addr::LOCALHOST, port).into()
}

/// An answer over HTTP.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    /// A header's value.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let field = |line: &'_ str| {
            line.split_once(':').filter(|(found, _)| found.eq_ignore_ascii_case(name)).is_some()
        };
        self.head.lines().find(|line| field(line))?.split_once(':').map(|(_, value)| value.trim())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

/// One request on a connection of its own; nothing where nobody answers.
pub(crate) fn ask(address: SocketAddr, method: &str, path: &str) -> Option<Answer> {
    let (head, body) = request(address, &format!("{method} {path}"), "", b"")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some(Answer { status, head, body: String::from_utf8(body).ok()? })
}

/// One request with further header lines and a body, on a connection of its own: the answer's head and body.
pub(crate) fn request(
    address: SocketAddr,
    what: &str,
    lines: &str,
    body: &[u8],
) -> Option<(String, Vec<u8>)> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(LONG)).unwrap();
    let length = if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
    let head = format!("{what} HTTP/1.1\r\nHost: gate\r\nConnection: close\r\n{length}{lines}\r\n");
    stream.write_all(head.as_bytes()).ok()?;
    // Whoever refuses a body may close before it has all of it.
    drop(stream.write_all(body));
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).ok()?;
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
    let body = bytes.split_off(end + 4);
    let head = String::from_utf8(bytes).ok()?;
    let chunked = head.to_ascii_lowercase().contains("transfer-encoding: chunked");
    Some((head, if chunked { joined(&body)? } else { body }))
}

/// What came in chunks (RFC 9112 §7.1).
fn joined(mut bytes: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = bytes.windows(2).position(|two| two == b"\r\n")?;
        let length = usize::from_str_radix(str::from_utf8(&bytes[..end]).ok()?, 16).ok()?;
        if length == 0 {
            return Some(body);
        }
        body.extend_from_slice(bytes.get(end + 2..end + 2 + length)?);
        bytes = bytes.get(end + 4 + length..)?;
    }
}

/// Asks again and again until `good` holds; how long that took.
#[track_caller]
pub(crate) fn until(what: &str, mut good: impl FnMut() -> bool) -> Duration {
    let start = Instant::now();
    while !good() {
        assert!(start.elapsed() < LONG, "never: {what}");
        thread::park_timeout(Duration::from_millis(5));
    }
    start.elapsed()
}
