//! What the daemon tells its operator: one JSON object per line on standard error.
//!
//! Decides nothing and keeps nothing. A thread of its own writes, so that a reader that does not read holds up nobody;
//! and no peer fills the disk, because each place in the code gets only so many lines per second. What is left out is
//! counted and told later. Errors, which alarms are, are never held back by the rate.

use core::fmt;
use std::{
    collections::HashMap,
    error::Error,
    io::{self, Write as _},
    sync::{
        Mutex, PoisonError,
        mpsc::{self, Receiver, SyncSender},
    },
    thread,
    time::{Duration, Instant},
};

use kuraban_vault::breaker::{Cell, Stage};
use serde_json::{Map, Value};
use tracing::{
    Event, Level, Metadata, Subscriber,
    callsite::Identifier,
    field::{Field, Visit},
    span,
};

use crate::clock;

/// Lines that wait to be written.
const LINES_MAX: usize = 4_096;
/// Lines that one place in the code gets per window.
const PER_PLACE_MAX: u32 = 50;
const WINDOW: Duration = Duration::from_secs(1);
/// How long an ending process waits for its last lines.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// Where lines go. Every line is `{"at":ms since 1970,"level":…,"event":…,…}`: the event is the message of the macro
/// that told it, the rest are its fields.
#[derive(Debug)]
struct Lines {
    lines: SyncSender<Line>,
    rates: Mutex<Rates>,
}

/// How many lines came from where in this window.
#[derive(Debug)]
struct Rates {
    since: Instant,
    by_place: HashMap<Identifier, u32>,
    left_out: u64,
}

impl Rates {
    fn new(now: Instant) -> Self {
        Self { since: now, by_place: HashMap::new(), left_out: 0 }
    }

    /// How many lines were left out in a window that has just ended.
    fn turn(&mut self, now: Instant) -> Option<u64> {
        if now.saturating_duration_since(self.since) < WINDOW {
            return None;
        }
        let left_out = self.left_out;
        *self = Self::new(now);
        (left_out > 0).then_some(left_out)
    }

    /// Whether a line from this place may be written.
    fn admits(&mut self, place: Identifier, level: Level) -> bool {
        let count = self.by_place.entry(place).or_default();
        *count = count.saturating_add(1);
        level == Level::ERROR || *count <= PER_PLACE_MAX
    }

    fn leave_out(&mut self, lines: u64) {
        self.left_out = self.left_out.saturating_add(lines);
    }
}

#[derive(Debug)]
enum Line {
    Text(String),
    /// Answered when everything before it is written.
    Written(SyncSender<()>),
}

/// The way to the writer, to wait for it.
#[derive(Debug)]
pub struct Log(SyncSender<Line>);

/// Takes up everything that is told from here on.
///
/// # Errors
/// No thread could be started.
pub fn start() -> io::Result<Log> {
    let (lines, waiting) = mpsc::sync_channel(LINES_MAX);
    thread::Builder::new().name("log".to_owned()).spawn(move || write(&waiting))?;
    let log = Log(lines.clone());
    let subscriber = Lines { lines, rates: Mutex::new(Rates::new(Instant::now())) };
    // There is one already only where a test started it; the lines go there then.
    drop(tracing::subscriber::set_global_default(subscriber));
    Ok(log)
}

impl Log {
    /// Waits a moment for what was told to be written.
    pub fn flush(&self) {
        let (written, wait) = mpsc::sync_channel(1);
        if self.0.try_send(Line::Written(written)).is_ok() {
            // A reader that does not read gets no more time than this.
            wait.recv_timeout(LAST_WORDS).unwrap_or_default();
        }
    }
}

fn write(waiting: &Receiver<Line>) {
    for line in waiting {
        match line {
            // Without a reader of its log the daemon goes on.
            Line::Text(text) => drop(io::stderr().write_all(text.as_bytes())),
            Line::Written(asked) => drop(asked.try_send(())),
        }
    }
}

impl Lines {
    fn pass_on(&self, now: Instant, metadata: &Metadata<'_>, line: &Fields) {
        // A count that a panic left half way is still a count.
        let mut rates = self.rates.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(left_out) = rates.turn(now) {
            let mut gap = Fields::new(Level::WARN);
            gap.set("event", "lines-left-out".into());
            gap.set("count", left_out.into());
            if !self.offer(&gap) {
                rates.leave_out(left_out);
            }
        }
        if !rates.admits(metadata.callsite(), *metadata.level()) || !self.offer(line) {
            rates.leave_out(1);
        }
    }

    /// Hands a line to the writer, if it has room.
    fn offer(&self, line: &Fields) -> bool {
        self.lines.try_send(Line::Text(line.text())).is_ok()
    }
}

impl Subscriber for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= Level::INFO && metadata.target().starts_with("kuraban")
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Fields::new(*event.metadata().level());
        event.record(&mut line);
        self.pass_on(Instant::now(), event.metadata(), &line);
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

struct Fields(Map<String, Value>);

impl Fields {
    fn new(level: Level) -> Self {
        let mut line = Self(Map::new());
        line.set("at", clock::wall().ms().into());
        line.set("level", level.as_str().to_ascii_lowercase().into());
        line
    }

    fn text(&self) -> String {
        serde_json::to_string(&self.0).map(|text| format!("{text}\n")).unwrap_or_default()
    }

    fn set(&mut self, name: &str, value: Value) {
        let name = if name == "message" { "event" } else { name };
        self.0.insert(name.to_owned(), value);
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.set(field.name(), format!("{value:?}").into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.set(field.name(), value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.set(field.name(), value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.set(field.name(), value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.set(field.name(), value.into());
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.set(field.name(), told(value).into());
    }
}

/// An error with its causes, outermost first.
#[must_use]
pub fn told(problem: &dyn Error) -> String {
    let mut text = problem.to_string();
    let mut cause = problem.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(inner.to_string().trim_end());
        cause = inner.source();
    }
    text
}

/// Cells of the breaker by stage, in words.
#[must_use]
pub fn cells(tightened: &[(Stage, Vec<Cell>)]) -> String {
    let cells = tightened.iter().flat_map(|(stage, cells)| cells.iter().map(move |cell| (cell, stage)));
    cells.map(|((service, asset), stage)| format!("{service} {asset} {stage}")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(room: usize) -> (Lines, Receiver<Line>) {
        let (lines, waiting) = mpsc::sync_channel(room);
        (Lines { lines, rates: Mutex::new(Rates::new(Instant::now())) }, waiting)
    }

    fn next(waiting: &Receiver<Line>) -> Option<Map<String, Value>> {
        let line = waiting.try_recv().ok()?;
        let Line::Text(text) = line else { panic!("{line:?}") };
        assert_eq!(text.find('\n'), Some(text.len() - 1), "one line: {text:?}");
        let mut line: Map<String, Value> = serde_json::from_str(&text).unwrap();
        assert!(line.remove("at").unwrap().as_u64().unwrap() > 1_700_000_000_000);
        Some(line)
    }

    #[test]
    fn a_line_is_one_json_object_with_typed_fields() {
        let (lines, waiting) = lines(4);
        tracing::subscriber::with_default(lines, || {
            let cause = io::Error::other("cause\n");
            let problem: &(dyn Error + 'static) = &cause;
            tracing::warn!(count = 3_u64, text = "a\n\"b\"", known = true, shown = %7, problem, "some-event");
            tracing::debug!("not told");
        });
        let want = serde_json::json!({
            "level": "warn", "event": "some-event", "count": 3, "text": "a\n\"b\"", "known": true, "shown": "7",
            "problem": "cause\n",
        });
        assert_eq!(next(&waiting).map(Value::Object), Some(want));
        assert_eq!(next(&waiting), None);
    }

    #[test]
    fn a_reader_that_does_not_read_holds_up_nobody() {
        let (lines, waiting) = lines(2);
        tracing::subscriber::with_default(lines, || {
            for number in 0..5_u64 {
                tracing::info!(number, "told");
            }
            let number = |line: Option<Map<String, Value>>| line.unwrap()["number"].as_u64();
            assert_eq!((number(next(&waiting)), number(next(&waiting))), (Some(0), Some(1)));
            assert_eq!(next(&waiting), None);
            tracing::info!("again");
            assert_eq!(next(&waiting).unwrap()["event"], "again");
        });
    }

    #[test]
    fn one_place_gets_so_many_lines_and_errors_get_all() {
        let most = usize::try_from(PER_PLACE_MAX).unwrap();
        let (lines, waiting) = lines(10 * most);
        tracing::subscriber::with_default(lines, || {
            for _ in 0..=most {
                tracing::warn!("often");
                tracing::error!("alarm");
            }
            tracing::warn!("elsewhere");
        });
        let told: Vec<_> = core::iter::from_fn(|| next(&waiting)).collect();
        let count = |event: &str| told.iter().filter(|line| line["event"] == event).count();
        assert_eq!((count("often"), count("alarm"), count("elsewhere")), (most, most + 1, 1));
    }

    #[test]
    fn what_was_left_out_is_told_once_when_its_window_has_ended() {
        let now = Instant::now();
        let mut rates = Rates::new(now);
        rates.leave_out(3);
        assert_eq!(rates.turn(now + WINDOW - Duration::from_nanos(1)), None);
        assert_eq!(rates.turn(now + WINDOW), Some(3));
        assert_eq!(rates.turn(now + WINDOW + WINDOW), None);
    }
}
