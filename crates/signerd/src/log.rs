//! What the process tells its operator: one JSON object per line on standard error. Decides nothing, keeps nothing,
//! and never shows a secret, because it is never given one.

use core::fmt::Display;
use std::{
    io::{self, Write},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use crate::json;

/// Most lines per second that peers can cause; beyond it they are counted.
const PEER_LINES_MAX: u32 = 20;
const WINDOW: Duration = Duration::from_secs(1);

/// How much a line matters.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Level {
    /// The process does its work.
    Info,
    /// Somebody was refused, or something was tripped.
    Warn,
    /// The process cannot go on.
    Error,
}

impl Level {
    const fn word(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }
}

/// Writes one line: `{"at":ms since 1970,"level":…,"event":…,…}`; all other values are strings.
pub(crate) fn line(level: Level, event: &str, fields: &[(&str, &dyn Display)]) {
    let at_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    let head = [("at", at_ms.to_string()), ("level", json::text(level.word())), ("event", json::text(event))];
    let rest = fields.iter().map(|(name, value)| (*name, json::text(&value.to_string())));
    let line = format!("{}\n", json::object(head.into_iter().chain(rest)));
    // Signing goes on without a reader of the log.
    io::stderr().lock().write_all(line.as_bytes()).unwrap_or_default();
}

/// As [`line()`], for what a peer can cause as often as it likes: beyond the limit lines are counted, not written, so
/// that nobody fills the disk.
pub(crate) fn peer_line(level: Level, event: &str, fields: &[(&str, &dyn Display)]) {
    static RATE: Mutex<Option<Rate>> = Mutex::new(None);
    let now = Instant::now();
    let mut rate = RATE.lock().unwrap_or_else(PoisonError::into_inner);
    let rate = rate.get_or_insert(Rate { since: now, written: 0, left_out: 0 });
    let (write, left_out) = rate.pass(now);
    if left_out > 0 {
        line(Level::Warn, "lines-left-out", &[("count", &left_out)]);
    }
    if write {
        line(level, event, fields);
    }
}

struct Rate {
    since: Instant,
    written: u32,
    left_out: u64,
}

impl Rate {
    /// Whether a line may be written now, and how many were left out in a window that has just ended.
    fn pass(&mut self, now: Instant) -> (bool, u64) {
        let mut left_out = 0;
        if now.saturating_duration_since(self.since) >= WINDOW {
            left_out = self.left_out;
            *self = Self { since: now, written: 0, left_out: 0 };
        }
        let write = self.written < PEER_LINES_MAX;
        if write {
            self.written = self.written.saturating_add(1);
        } else {
            self.left_out = self.left_out.saturating_add(1);
        }
        (write, left_out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peers_get_so_many_lines_a_second_and_the_rest_is_counted() {
        let begun = Instant::now();
        let mut rate = Rate { since: begun, written: 0, left_out: 0 };
        let passed = (0..25).filter(|_| rate.pass(begun).0).count();
        assert_eq!(passed, 20);
        assert_eq!(rate.pass(begun + Duration::from_millis(999)), (false, 0));
        assert_eq!(rate.pass(begun + Duration::from_millis(1000)), (true, 6));
        assert_eq!(rate.pass(begun + Duration::from_millis(1000)), (true, 0));
    }
}
