//! What the role answers over HTTP: the feed's files, how its cases stand, `/healthz` and `/metrics`. Takes nothing.

use std::sync::{Arc, Mutex, PoisonError};

use axum::{
    Router,
    extract::{Path, State},
    http::{
        HeaderValue, StatusCode,
        header::{CACHE_CONTROL, CONTENT_TYPE},
    },
    response::{IntoResponse as _, Response},
    routing::get,
};
use kuraban_api::Problem;
use kuraban_proof::Resource;
use serde::Serialize;

use crate::{
    clock,
    http::{Bound, METRICS_TYPE, metric},
    log,
    screen::Shelf,
};

/// A chase that has not looked at its node for so long is not well.
const AGE_MS_MAX: u64 = 10_000;
const TILE_TYPE: HeaderValue = HeaderValue::from_static("application/octet-stream");
const TEXT_TYPE: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const IMMUTABLE: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");

/// How a case stands.
#[derive(Clone, Debug, Serialize)]
pub(super) struct CaseRow {
    pub(super) id: String,
    pub(super) label: String,
    /// `followed`, `closed`, or `waiting` while the chain does not have all its seeds.
    pub(super) state: &'static str,
    /// Tainted outputs in blocks.
    pub(super) outputs: usize,
    /// Tainted outputs in transactions that wait.
    pub(super) waiting: usize,
    /// By method.
    pub(super) totals: Vec<TotalsRow>,
}

/// Where the units of a case are, by one method.
#[derive(Clone, Debug, Serialize)]
pub(super) struct TotalsRow {
    pub(super) method: &'static str,
    pub(super) stolen_sat: u128,
    pub(super) unspent_sat: u128,
    pub(super) stopped_sat: u128,
}

/// How it stands.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Status {
    pub(super) at_ms: u64,
    pub(super) height: u32,
    pub(super) tip: String,
    pub(super) feed_size: u64,
    /// Blocks taken back since the start.
    pub(super) undone: u64,
    /// Milliseconds that the last block took, from its arrival in the index to the signed feed.
    pub(super) block_ms: u64,
    /// Transactions that wait and are known.
    pub(super) pool: usize,
    pub(super) cases: Vec<CaseRow>,
}

/// What is shown, and the feed's files.
pub(super) struct Page {
    pub(super) status: Mutex<Status>,
    pub(super) shelf: Shelf,
}

impl Page {
    /// Changes what is shown.
    pub(super) fn set(&self, change: impl FnOnce(&mut Status)) {
        // What is shown is whole between changes.
        change(&mut self.status.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn status(&self) -> Status {
        self.status.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Answers for ever.
pub(super) fn serve(bound: Bound, page: Arc<Page>) {
    let router = Router::new()
        .route("/v1/tags/feed/checkpoint", get(checkpoint))
        .route("/v1/tags/feed/tile/{*path}", get(tile))
        .route("/v1/cases", get(cases))
        .route("/healthz", get(healthz))
        .route("/metrics", get(metrics))
        .with_state(page);
    let Err(problem) = bound.serve(router, 1);
    let problem = log::told(&problem);
    tracing::error!(problem, "http-ended");
}

fn json(status: StatusCode, kind: &'static str, document: &impl Serialize) -> Response {
    match serde_json::to_vec(document) {
        Ok(bytes) => (status, [(CONTENT_TYPE, kind)], bytes).into_response(),
        // These types always serialise; an empty answer is no document, so nobody takes it for one.
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

fn not_found(detail: String) -> Response {
    let problem = Problem::new(404, "not-found", "Not found", detail);
    json(StatusCode::NOT_FOUND, "application/problem+json", &problem)
}

async fn checkpoint(State(page): State<Arc<Page>>) -> Response {
    match page.shelf.read(Resource::Checkpoint) {
        Ok(bytes) => ([(CONTENT_TYPE, TEXT_TYPE)], bytes).into_response(),
        Err(problem) => not_found(log::told(&problem)),
    }
}

async fn tile(State(page): State<Arc<Page>>, Path(path): Path<String>) -> Response {
    let resource: Resource = match format!("tile/{path}").parse() {
        Ok(resource) => resource,
        Err(problem) => return not_found(format!("{problem}")),
    };
    match page.shelf.read(resource) {
        Ok(bytes) => ([(CONTENT_TYPE, TILE_TYPE), (CACHE_CONTROL, IMMUTABLE)], bytes).into_response(),
        Err(_) => not_found(format!("the feed has no {resource}")),
    }
}

async fn cases(State(page): State<Arc<Page>>) -> Response {
    json(StatusCode::OK, "application/json", &page.status())
}

async fn healthz(State(page): State<Arc<Page>>) -> Response {
    let age_ms = clock::wall().ms().saturating_sub(page.status().at_ms);
    let status = if age_ms <= AGE_MS_MAX { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, format!("the node was heard {age_ms} ms ago\n")).into_response()
}

async fn metrics(State(page): State<Arc<Page>>) -> Response {
    let status = page.status();
    let count = |length: usize| u64::try_from(length).unwrap_or(u64::MAX);
    let one =
        |name: &str, kind: &str, value: u64| metric(&format!("kuraban_chase_{name}"), kind, [(None, value)]);
    let text = [
        one("height", "gauge", u64::from(status.height)),
        one("feed_size", "gauge", status.feed_size),
        one("cases", "gauge", count(status.cases.len())),
        one("waiting_transactions", "gauge", count(status.pool)),
        one("blocks_undone_total", "counter", status.undone),
        one("block_ms", "gauge", status.block_ms),
    ]
    .concat();
    ([(CONTENT_TYPE, METRICS_TYPE)], text).into_response()
}
