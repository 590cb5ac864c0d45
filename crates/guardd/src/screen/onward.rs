//! This service's own copy of the feed, for other replicas: files that were verified, under the feed's own names.

use std::sync::Arc;

use hyper::{
    Request, Response, StatusCode,
    body::{Bytes, Incoming},
    header::{CACHE_CONTROL, ETAG, HeaderValue, IF_NONE_MATCH},
};
use kuraban_base::hex;
use kuraban_proof::{Resource, tile::PathError};
use sha2::{Digest as _, Sha256};

use super::{
    body::Payload,
    desk::Desk,
    feed::Live,
    refusal::{Refusal, refusal},
    route::{Answer, TEXT, response},
};

/// Before a resource's name.
const PREFIX: &str = "/v1/tags/feed/";
const OCTETS: HeaderValue = HeaderValue::from_static("application/octet-stream");
const IMMUTABLE: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");

fn live(desk: &Desk) -> Result<Arc<Live>, Refusal> {
    let detail = || "this service follows no feed".to_owned();
    desk.now().live.clone().ok_or_else(|| refusal(404, "no-feed", "There is no feed here", detail()))
}

/// The checkpoint that covers the copy; 304 where the caller has it.
pub(super) fn checkpoint(desk: &Desk, request: &Request<Incoming>) -> Answer {
    let detail = || "nothing of the feed was verified yet".to_owned();
    let missing = || refusal(404, "no-checkpoint", "There is no checkpoint yet", detail());
    let checkpoint: Bytes = live(desk)?.checkpoint.clone().ok_or_else(missing)?;
    let tag = format!("\"{}\"", hex::encode(&Sha256::digest(&checkpoint)));
    let known = request.headers().get(IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == tag.as_bytes());
    let mut answer = if known {
        let mut answer = Response::new(Payload::Whole(None));
        *answer.status_mut() = StatusCode::NOT_MODIFIED;
        answer
    } else {
        response(TEXT, Payload::of(checkpoint))
    };
    if let Ok(tag) = HeaderValue::try_from(tag) {
        answer.headers_mut().insert(ETAG, tag);
    }
    Ok(answer)
}

/// A tile or a bundle.
pub(super) async fn tile(desk: &Desk, path: &str) -> Answer {
    let live = live(desk)?;
    let name = path.strip_prefix(PREFIX).unwrap_or_default();
    let resource: Resource = name.parse().map_err(|problem: PathError| {
        refusal(404, "no-such-tile", "This names no tile", problem.to_string())
    })?;
    // Waiting for the disk holds nobody else up.
    let read = tokio::task::spawn_blocking(move || live.shelf.read(resource)).await;
    let bytes = read.ok().and_then(Result::ok).ok_or_else(|| {
        refusal(404, "no-such-tile", "There is no such tile", format!("the feed has no {resource} here"))
    })?;
    let mut answer = response(OCTETS, Payload::of(bytes));
    answer.headers_mut().insert(CACHE_CONTROL, IMMUTABLE);
    Ok(answer)
}
