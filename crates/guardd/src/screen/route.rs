//! Which answer belongs to which request. Every error is a problem document (RFC 9457) with a stable code.

use std::{borrow::Cow, convert::Infallible, sync::Arc};

use hyper::{
    Method, Request, Response, StatusCode,
    body::Incoming,
    header::{ALLOW, CONTENT_TYPE, HeaderValue},
};
use kuraban_api::{Method as Asked, Problem, ScreenOperation as Operation, Screened, screen_openapi};
use serde::Serialize;

use super::{
    appeals, ask,
    body::Payload,
    bulk,
    desk::{Desk, add, freshness},
    feed::State,
    hits::hits,
    onward, private,
    refusal::{Refusal, refusal},
};
use crate::http::METRICS_TYPE;

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const PROBLEM: HeaderValue = HeaderValue::from_static(Problem::MEDIA_TYPE);
pub(super) const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
/// Room for an answer without hits, so that it is not moved while it is written.
const ANSWER_BYTES: usize = 1_024;

/// The answer to a request.
pub(super) type Answer = Result<Response<Payload>, Refusal>;

/// Answers a request.
pub(super) async fn answer(
    desk: Arc<Desk>,
    request: Request<Incoming>,
) -> Result<Response<Payload>, Infallible> {
    let answer = match one(&desk, &request) {
        Some(answer) => answer,
        None => other(&desk, request).await,
    };
    Ok(answer.unwrap_or_else(|problem| {
        add(&desk.counts.problems, 1);
        refused(&problem)
    }))
}

/// The question that is asked most.
fn one(desk: &Desk, request: &Request<Incoming>) -> Option<Answer> {
    let (chain, address) = request.uri().path().strip_prefix("/v1/screen/")?.split_once('/')?;
    if address.contains('/') || request.method() != Method::GET {
        return None;
    }
    add(&desk.counts.one, 1);
    Some(screened(desk, chain, address))
}

fn screened(desk: &Desk, chain: &str, address: &str) -> Answer {
    let (chain, address) = (chain.to_ascii_lowercase(), unescaped(address)?);
    add(&desk.counts.rows, 1);
    let now = desk.look();
    let key = ask::key_of(&now, &chain, &address).inspect_err(|_| add(&desk.counts.rows_wrong, 1))?;
    let freshness = freshness(&now);
    let hits = hits(&now, &key, freshness.at_ms);
    add(&desk.counts.rows_hit, u64::from(!hits.is_empty()));
    json(&Screened { chain: &chain, address: &address, hits, freshness })
}

/// A segment of a path with what `%` and two digits stand for (RFC 3986 §2.1).
fn unescaped(segment: &str) -> Result<Cow<'_, str>, Refusal> {
    if !segment.contains('%') {
        return Ok(Cow::Borrowed(segment));
    }
    let wrong = || {
        let detail = format!("{:?} is not text with %xx for other bytes", ask::bounded(segment));
        refusal(400, "malformed-path", "The path cannot be read", detail)
    };
    let mut bytes = Vec::with_capacity(segment.len());
    let mut parts = segment.split('%');
    bytes.extend_from_slice(parts.next().unwrap_or_default().as_bytes());
    for part in parts {
        let (digits, rest) = part.split_at_checked(2).ok_or_else(wrong)?;
        let [byte] = kuraban_base::hex::decode_array(&digits.to_ascii_lowercase()).map_err(|_| wrong())?;
        bytes.push(byte);
        bytes.extend_from_slice(rest.as_bytes());
    }
    String::from_utf8(bytes).map(Cow::Owned).map_err(|_| wrong())
}

async fn other(desk: &Arc<Desk>, request: Request<Incoming>) -> Answer {
    let path = request.uri().path().to_owned();
    let known: Vec<Operation> =
        Operation::ALL.iter().copied().filter(|operation| fits(operation.path(), &path)).collect();
    let Some(first) = known.first() else {
        let detail = format!("{:?}; /openapi.json names what there is", ask::bounded(&path));
        return Err(refusal(404, "no-such-path", "There is nothing here", detail));
    };
    let method = |operation: &Operation| match operation.method() {
        Asked::Get => Method::GET,
        Asked::Post => Method::POST,
    };
    let Some(operation) = known.iter().find(|operation| method(operation) == *request.method()) else {
        let detail = format!("{} on {}, want {}", request.method(), ask::bounded(&path), method(first));
        return Err(refusal(405, "wrong-method", "This cannot be asked in this way", detail));
    };
    match operation {
        Operation::One => screened(desk, "", ""),
        Operation::Many => bulk::many(desk, request.into_body()).await,
        Operation::Stream => bulk::stream(desk, request.into_body()),
        Operation::Private => private::terms(desk),
        Operation::Bucket => private::bucket(desk, &path),
        Operation::Filter => private::filter(desk, &request).await,
        Operation::Appeal => appeals::post(desk, request.into_body()).await,
        Operation::FeedCheckpoint => onward::checkpoint(desk, &request),
        Operation::FeedTile => onward::tile(desk, &path).await,
        Operation::Metrics => Ok(response(METRICS_TYPE, Payload::of(desk.metrics()))),
        Operation::Health => Ok(health(desk)),
        Operation::OpenApi => Ok(response(JSON, Payload::of(screen_openapi().to_string()))),
    }
}

/// Well unless the feed's key signed two histories: what it said before is as doubtful then as what it says now.
fn health(desk: &Desk) -> Response<Payload> {
    let now = desk.now();
    let mut text = format!("{} tags\n", now.tags());
    let mut status = StatusCode::OK;
    if let Some(feed) = freshness(&now).feed {
        let age = feed.age_ms.map_or_else(|| "never".to_owned(), |age_ms| format!("{age_ms} ms ago"));
        text += &format!("feed {}: {}, {} entries, confirmed {age}\n", feed.origin, feed.state, feed.size);
        if feed.state == State::Forked.name() {
            status = StatusCode::SERVICE_UNAVAILABLE;
        }
    }
    let mut response = response(TEXT, Payload::of(text));
    *response.status_mut() = status;
    response
}

/// Whether a path is of a pattern: a name in braces stands for one segment, with `*` for all that follow.
fn fits(pattern: &str, path: &str) -> bool {
    let (mut wanted, mut given) = (pattern.split('/'), path.split('/'));
    loop {
        match (wanted.next(), given.next()) {
            (None, None) => return true,
            (Some(want), Some(_)) if want.starts_with("{*") => return true,
            (Some(want), Some(_)) if want.starts_with('{') => {}
            (Some(want), Some(got)) if want == got => {}
            (Some(_) | None, Some(_) | None) => return false,
        }
    }
}

/// A document of this type.
pub(super) fn json(document: &impl Serialize) -> Answer {
    let mut bytes = Vec::with_capacity(ANSWER_BYTES);
    serde_json::to_writer(&mut bytes, document).map_err(|problem| {
        refusal(500, "unwritten", "The answer could not be written", problem.to_string())
    })?;
    Ok(response(JSON, Payload::of(bytes)))
}

pub(super) fn response(kind: HeaderValue, body: Payload) -> Response<Payload> {
    let mut response = Response::new(body);
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

fn refused(problem: &Problem) -> Response<Payload> {
    let mut response = response(PROBLEM, Payload::of(serde_json::to_vec(problem).unwrap_or_default()));
    *response.status_mut() =
        StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if problem.status == StatusCode::METHOD_NOT_ALLOWED {
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, POST"));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_of_its_pattern_alone() {
        let check = |pattern: &str, path: &str, want: bool| assert_eq!(fits(pattern, path), want, "{path}");
        check("/v1/screen", "/v1/screen", true);
        check("/v1/screen", "/v1/screen/", false);
        check("/v1/screen/{chain}/{address}", "/v1/screen/btc/x", true);
        check("/v1/screen/{chain}/{address}", "/v1/screen/btc/x/y", false);
        check("/v1/feed/tile/{*path}", "/v1/feed/tile/0/x001/067", true);
        check("/v1/feed/tile/{*path}", "/v1/feed/tile", false);
    }

    #[test]
    fn escaped_segments_are_read() {
        let check = |segment: &str, want: Option<&str>| {
            assert_eq!(unescaped(segment).ok().as_deref(), want, "{segment}");
        };
        check("abc", Some("abc"));
        check("bitcoincash%3Aqq%C3%A9", Some("bitcoincash:qqé"));
        check("%3a", Some(":"));
        check("%", None);
        check("%3", None);
        check("%g0", None);
        check("%ff", None);
    }
}
