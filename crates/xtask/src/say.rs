//! Speaks to the person who runs the automation. What happens goes to standard error, answers that another
//! program may read go to standard output. Decides nothing.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a tool for people prints; it does so only here"
)]

use std::io::{IsTerminal, Write, stderr};
use std::time::{Duration, Instant};

/// An answer, on standard output.
pub(crate) fn answer(text: &str) {
    println!("{text}");
}

/// The headline of a step that begins.
pub(crate) fn step(text: &str) {
    eprintln!("==> {text}");
}

/// A remark about the step that runs.
pub(crate) fn note(text: &str) {
    eprintln!("    {text}");
}

/// Where a long step stands: one line that is rewritten on a terminal, elsewhere a new line for every tenth part.
pub(crate) struct Progress {
    what: &'static str,
    since: Instant,
    /// The last tenth that was told.
    tenth: Option<u8>,
    on_terminal: bool,
}

impl Progress {
    pub(crate) fn begin(what: &'static str) -> Self {
        Self { what, since: Instant::now(), tenth: None, on_terminal: stderr().is_terminal() }
    }

    /// Tells that `percent` of the step is done.
    pub(crate) fn at(&mut self, percent: u8) {
        let line = format!("{} {percent:3} % after {}", self.what, span(self.since.elapsed()));
        if self.on_terminal {
            // Padded, so that a shorter line covers a longer one.
            eprint!("\r    {line:<70}");
            // A terminal that cannot be flushed shows the line late; the step goes on.
            stderr().flush().ok();
        } else if self.tenth != Some(percent / 10) {
            self.tenth = Some(percent / 10);
            note(&line);
        }
    }

    /// Ends the line.
    pub(crate) fn end(self) {
        if self.on_terminal {
            eprintln!();
        }
    }
}

/// `75 s` as `1 min 15 s`, `700 ms` as `0.7 s`.
pub(crate) fn span(time: Duration) -> String {
    let seconds = time.as_secs();
    match (seconds / 60, seconds) {
        (0, 0..10) => format!("{seconds}.{} s", time.subsec_millis() / 100),
        (0, _) => format!("{seconds} s"),
        (minutes, _) => format!("{minutes} min {} s", seconds % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(millis: u64, want: &str) {
        assert_eq!(span(Duration::from_millis(millis)), want);
    }

    #[test]
    fn spans_read_like_a_clock() {
        check(0, "0.0 s");
        check(99, "0.0 s");
        check(100, "0.1 s");
        check(9_999, "9.9 s");
        check(10_000, "10 s");
        check(59_999, "59 s");
        check(60_000, "1 min 0 s");
        check(3_725_000, "62 min 5 s");
    }
}
