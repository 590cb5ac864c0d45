//! The lines of a list that may still grow. Brings whole lines; decides nothing of what they say.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read as _},
    path::Path,
    sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    thread,
    time::Duration,
};

use anyhow::Context as _;
use kuraban_trace::accounts::LINE_MAX;

use crate::fail::{Failure, OrFail as _};

/// Lines that are read ahead.
const AHEAD: usize = 4_096;
/// How often the end of a file is looked at.
const LOOK: Duration = Duration::from_millis(200);

/// What comes next.
pub(super) enum Next {
    /// A line, without its end.
    Line(String),
    /// Nothing for now.
    Pause,
    /// Nothing any more.
    End,
}

/// A list's lines, read by a thread.
pub(super) struct Source {
    name: String,
    lines: Receiver<io::Result<String>>,
}

impl Source {
    /// Begins to read; `-` is standard input. With `wait` a file has no end.
    pub(super) fn start(path: &Path, wait: bool) -> Result<Self, Failure> {
        let (sender, lines) = sync_channel(AHEAD);
        let name = path.display().to_string();
        if path == Path::new("-") {
            thread::spawn(move || read(BufReader::new(io::stdin()), false, &sender));
        } else {
            let file = File::open(path).context("could not be opened").or_input(&name)?;
            thread::spawn(move || read(BufReader::new(file), wait, &sender));
        }
        Ok(Self { name, lines })
    }

    /// The first line, however long it takes.
    pub(super) fn first(&mut self) -> Result<String, Failure> {
        let none = || Failure::input(format!("{}: is empty, want a list of transfers", self.name));
        let line = self.lines.recv().map_err(|_| none())?;
        line.or_input(&self.name)
    }

    /// The next line, if it comes within that time.
    pub(super) fn next(&mut self, within: Duration) -> Result<Next, Failure> {
        match self.lines.recv_timeout(within) {
            Ok(line) => line.map(Next::Line).or_input(&self.name),
            Err(RecvTimeoutError::Timeout) => Ok(Next::Pause),
            Err(RecvTimeoutError::Disconnected) => Ok(Next::End),
        }
    }
}

/// Reads until the end, an error, or until nobody listens.
fn read(mut source: impl BufRead, wait: bool, lines: &SyncSender<io::Result<String>>) {
    let mut bytes = Vec::new();
    loop {
        let read = more(&mut source, &mut bytes);
        let whole = bytes.last() == Some(&b'\n');
        let sent = match read {
            Err(error) => {
                drop(lines.send(Err(error)));
                return;
            }
            Ok(0) if wait => {
                thread::sleep(LOOK);
                continue;
            }
            Ok(_) if !whole && wait => continue,
            Ok(0) if bytes.is_empty() => return,
            Ok(_) => {
                if whole {
                    bytes.pop();
                }
                let text = String::from_utf8(core::mem::take(&mut bytes));
                lines.send(text.map_err(|error| io::Error::other(error.utf8_error())))
            }
        };
        if sent.is_err() {
            return;
        }
    }
}

/// Reads on to the end of a line, which may be longer than it may be by one byte.
fn more(source: &mut impl BufRead, bytes: &mut Vec<u8>) -> io::Result<usize> {
    let room = LINE_MAX.saturating_add(2).saturating_sub(bytes.len());
    let limit = u64::try_from(room).unwrap_or(0);
    let read = source.by_ref().take(limit).read_until(b'\n', bytes)?;
    if bytes.len() > LINE_MAX.saturating_add(1) {
        return Err(io::Error::other(format!("a line is longer than {LINE_MAX} bytes")));
    }
    Ok(read)
}
