//! Many subjects in one request: all at once, or a line at a time without an end. A row that cannot be read bears its
//! problem; the others are answered, in the order asked.

mod row;

use std::{mem, sync::Arc};

use hyper::{
    body::{Bytes, Incoming},
    header::HeaderValue,
};
use kuraban_api::{Freshness, Problem, RowView};
use serde::Serialize;
use tokio::{sync::mpsc, task::yield_now};

use self::row::{Row, Rows};
use super::{
    ask,
    body::{Payload, piece, whole},
    desk::{Desk, add, freshness},
    hits::hits,
    refusal::refusal,
    route::{Answer, response},
    sources::Sources,
};
use crate::clock;

/// Most subjects of one request.
pub(super) const ROWS_MAX: usize = 10_000;
/// Longest body of one request, in bytes: so many rows with the longest addresses.
const BODY_BYTES_MAX: usize = 3 * 1024 * 1024;
/// Once an answer is so long, the rows that follow are told to ask again.
const ANSWER_BYTES_MAX: usize = 32 * 1024 * 1024;
/// After so many rows others on the same thread have their turn.
const ROWS_AT_ONCE: usize = 64;
/// Longest line of a stream, in bytes.
const LINE_BYTES_MAX: usize = 1_024;
/// Answers of a stream are sent in pieces of about this length.
const PIECE_BYTES: usize = 16 * 1024;
/// Pieces that wait for a slow reader.
const PIECES: usize = 2;

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const LINES: HeaderValue = HeaderValue::from_static("application/x-ndjson");

/// Answers `{"subjects": […]}`.
pub(super) async fn many(desk: &Desk, body: Incoming) -> Answer {
    add(&desk.counts.many, 1);
    let bytes = whole(body, BODY_BYTES_MAX).await?;
    let Rows { subjects } = serde_json::from_slice(&bytes).map_err(|problem| {
        let detail = format!("{problem}; want {{\"subjects\":[{{\"chain\":…,\"address\":…}}]}}");
        refusal(400, "malformed-body", "The body cannot be read", detail)
    })?;
    if !(1..=ROWS_MAX).contains(&subjects.len()) {
        let detail =
            format!("{} subjects, want 1 to {ROWS_MAX}; /v1/screen/stream takes any number", subjects.len());
        return Err(refusal(413, "too-many-rows", "Too many subjects, or none", detail));
    }
    let now = desk.now();
    let mut out = Vec::with_capacity(subjects.len().saturating_mul(128));
    let freshness = freshness(&now);
    out.extend_from_slice(b"{\"answers\":[");
    for (place, row) in subjects.iter().enumerate() {
        if place > 0 {
            out.push(b',');
            if place.is_multiple_of(ROWS_AT_ONCE) {
                yield_now().await;
            }
        }
        if out.len() > ANSWER_BYTES_MAX {
            let detail = format!(
                "the answers before this one have more than {ANSWER_BYTES_MAX} bytes: ask again from here"
            );
            let problem = refusal(413, "answer-too-long", "The answer would be too long", detail);
            wrong(desk, row, *problem, &mut out);
        } else {
            answer(desk, &now, row, freshness.at_ms, &mut out);
        }
    }
    out.extend_from_slice(b"],\"freshness\":");
    write(&freshness, &mut out);
    out.push(b'}');
    Ok(response(JSON, Payload::of(out)))
}

/// Appends a row's answer.
fn answer(desk: &Desk, now: &Sources, row: &Row<'_>, now_ms: u64, out: &mut Vec<u8>) {
    let (chain, address) = match &row.read {
        Ok(subject) => (subject.chain.as_ref(), subject.address.as_ref()),
        Err(problem) => return wrong(desk, row, problem.as_ref().clone(), out),
    };
    match ask::key_of(now, chain, address) {
        Ok(key) => {
            add(&desk.counts.rows, 1);
            let hits = hits(now, &key, now_ms);
            add(&desk.counts.rows_hit, u64::from(!hits.is_empty()));
            write(
                &RowView { chain: &chain.to_ascii_lowercase(), address, hits: Some(hits), problem: None },
                out,
            );
        }
        Err(problem) => wrong(desk, row, *problem, out),
    }
}

fn wrong(desk: &Desk, row: &Row<'_>, problem: Problem, out: &mut Vec<u8>) {
    add(&desk.counts.rows, 1);
    add(&desk.counts.rows_wrong, 1);
    let (chain, address) = match &row.read {
        Ok(subject) => (ask::bounded(&subject.chain), ask::bounded(&subject.address)),
        Err(_) => ("", ""),
    };
    write(&RowView { chain, address, hits: None, problem: Some(problem) }, out);
}

fn write(document: &impl Serialize, out: &mut Vec<u8>) {
    // Into memory, of types that always have a JSON form.
    drop(serde_json::to_writer(out, document));
}

/// Answers a line for each line, for as long as lines come and answers are read.
pub(super) fn stream(desk: &Arc<Desk>, body: Incoming) -> Answer {
    add(&desk.counts.streams, 1);
    let (send, pieces) = mpsc::channel(PIECES);
    tokio::spawn(flow(Arc::clone(desk), body, send));
    Ok(response(LINES, Payload::Flow(pieces)))
}

async fn flow(desk: Arc<Desk>, mut body: Incoming, send: mpsc::Sender<Bytes>) {
    let mut lines = Lines::default();
    let mut talk = Talk { now: desk.now(), desk: &desk, out: Vec::new(), send };
    write_line(&Fresh { freshness: freshness(&talk.now) }, &mut talk.out);
    loop {
        let piece = match piece(&mut body).await {
            Ok(Some(piece)) => piece,
            Ok(None) => break,
            Err(problem) => {
                write_line(
                    &RowView { chain: "", address: "", hits: None, problem: Some(*problem) },
                    &mut talk.out,
                );
                break;
            }
        };
        talk.refresh();
        for (count, line) in (1_usize..).zip(lines.take(&piece)) {
            talk.answer(&line);
            if count.is_multiple_of(ROWS_AT_ONCE) {
                yield_now().await;
            }
            if talk.out.len() >= PIECE_BYTES && !talk.flush().await {
                return;
            }
        }
        if !talk.flush().await {
            return;
        }
    }
    if let Some(line) = lines.last() {
        talk.answer(&line);
    }
    talk.flush().await;
}

#[derive(Serialize)]
struct Fresh<'a> {
    freshness: Freshness<'a>,
}

fn write_line(document: &impl Serialize, out: &mut Vec<u8>) {
    write(document, out);
    out.push(b'\n');
}

/// One stream's answers.
struct Talk<'a> {
    desk: &'a Desk,
    now: Arc<Sources>,
    out: Vec<u8>,
    send: mpsc::Sender<Bytes>,
}

impl Talk<'_> {
    /// Goes over to newer sources, and says so.
    fn refresh(&mut self) {
        let newest = self.desk.now();
        if !Arc::ptr_eq(&newest, &self.now) {
            self.now = newest;
            write_line(&Fresh { freshness: freshness(&self.now) }, &mut self.out);
        }
    }

    fn answer(&mut self, line: &Line) {
        let row = match line {
            Line::Whole(bytes) if bytes.iter().all(u8::is_ascii_whitespace) => return,
            Line::Whole(bytes) => Row::of_line(bytes),
            Line::TooLong => Row::wrong(format!("a line has more than {LINE_BYTES_MAX} bytes")),
        };
        answer(self.desk, &self.now, &row, clock::wall().ms(), &mut self.out);
        self.out.push(b'\n');
    }

    /// Sends what there is, as soon as the reader has room; whether there still is a reader.
    async fn flush(&mut self) -> bool {
        if self.out.is_empty() {
            return true;
        }
        self.send.send(mem::take(&mut self.out).into()).await.is_ok()
    }
}

enum Line {
    Whole(Vec<u8>),
    TooLong,
}

/// What has come of a line that has not ended.
#[derive(Default)]
struct Lines {
    begun: Vec<u8>,
    too_long: bool,
}

impl Lines {
    /// The lines that end in a piece.
    fn take<'a>(&'a mut self, piece: &'a [u8]) -> impl Iterator<Item = Line> + 'a {
        piece.split_inclusive(|byte| *byte == b'\n').filter_map(|part| {
            let (ended, text) = part
                .split_last()
                .filter(|(last, _)| **last == b'\n')
                .map_or((false, part), |(_, text)| (true, text));
            if self.begun.len().saturating_add(text.len()) > LINE_BYTES_MAX {
                self.too_long = true;
                self.begun.clear();
            }
            if !self.too_long {
                self.begun.extend_from_slice(text);
            }
            if ended { self.end() } else { None }
        })
    }

    fn end(&mut self) -> Option<Line> {
        let line = mem::take(&mut self.begun);
        Some(if mem::take(&mut self.too_long) { Line::TooLong } else { Line::Whole(line) })
    }

    /// The last line, if no line break ended it.
    fn last(mut self) -> Option<Line> {
        if self.begun.is_empty() && !self.too_long { None } else { self.end() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_found_however_they_come_in() {
        let text =
            [b"ab\n\ncd".to_vec(), vec![b'x'; LINE_BYTES_MAX], b"\n".to_vec(), vec![b'y'; LINE_BYTES_MAX]]
                .concat();
        for step in [1, 2, 3, 1_000, 5_000] {
            let mut lines = Lines::default();
            let mut got = Vec::new();
            for piece in text.chunks(step) {
                got.extend(lines.take(piece));
            }
            got.extend(lines.last());
            let lengths = got.iter().map(|line| match line {
                Line::Whole(bytes) => Some(bytes.len()),
                Line::TooLong => None,
            });
            assert_eq!(lengths.collect::<Vec<_>>(), [Some(2), Some(0), None, Some(LINE_BYTES_MAX)], "{step}");
        }
    }
}
