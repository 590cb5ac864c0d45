//! What a gateway is answered: 200 where the service may run, 403 with an RFC 9457 document where it may not, 404 where
//! there is no such service or asset. Gateways let through what is answered 2xx, so everything else stops.
//!
//! `/v1/permits/{service}/{asset}` with any method and anything after it: Envoy's `ext_authz` appends the original
//! path, nginx's `auth_request` does not.

use std::sync::{Arc, atomic::Ordering};

use axum::{
    Router,
    body::Body,
    extract::State,
    http::{HeaderValue, StatusCode, Uri, header::CONTENT_TYPE},
    response::{IntoResponse as _, Response},
    routing::{any, get},
};
use kuraban_api::Problem;
use kuraban_base::Asset;
use kuraban_vault::{
    breaker::{Service, Stage},
    permit::Passage,
};
use serde::Serialize;

use super::passages::Passages;
use crate::http::{METRICS_TYPE, metric};

/// Before the service.
const PREFIX: &str = "/v1/permits/";
/// Watchers with a live permit, a slash, the number of the permit behind the answer.
const PERMIT_HEADER: &str = "x-kuraban-permit";

/// The routes.
pub(super) fn router(passages: Arc<Passages>) -> Router {
    Router::new()
        .route("/v1/permits/{*rest}", any(check))
        .route("/healthz", get(healthz))
        .route("/metrics", get(metrics))
        .with_state(passages)
}

/// An answer, before it is written down.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Answer {
    Open { seq: u64 },
    Stopped(Service, Asset, Stage),
    Silent,
    UnknownService(String),
    UnknownAsset(String),
}

async fn check(State(passages): State<Arc<Passages>>, uri: Uri) -> Response {
    let answer = answer(uri.path(), &passages);
    let counts = &passages.counts;
    let count = match answer {
        Answer::Open { .. } => &counts.open,
        Answer::Stopped(..) => &counts.stopped,
        Answer::Silent => &counts.silent,
        Answer::UnknownService(_) | Answer::UnknownAsset(_) => &counts.unknown,
    };
    count.fetch_add(1, Ordering::Relaxed);
    written(answer, passages.live())
}

fn answer(path: &str, passages: &Passages) -> Answer {
    let mut words = path.strip_prefix(PREFIX).unwrap_or_default().split('/');
    let mut word = || words.next().unwrap_or_default();
    let (service, asset) = (word(), word());
    let Ok(service) = service.parse::<Service>() else { return Answer::UnknownService(bounded(service)) };
    let Ok(asset) = asset.parse::<Asset>() else { return Answer::UnknownAsset(bounded(asset)) };
    match passages.passage((service, asset)) {
        Passage::Open { seq } => Answer::Open { seq },
        Passage::Tightened(stage) => Answer::Stopped(service, asset, stage),
        Passage::Silent => Answer::Silent,
    }
}

/// What stood in a word's place, as much as an answer repeats.
fn bounded(word: &str) -> String {
    word.chars().take(32).collect()
}

/// A problem document, with the stage where the breaker is the reason.
#[derive(Serialize)]
struct Document {
    #[serde(flatten)]
    problem: Problem,
    #[serde(skip_serializing_if = "Option::is_none")]
    stage: Option<&'static str>,
}

fn written(answer: Answer, live: usize) -> Response {
    let forbidden = |code, title, detail| Problem::new(403, code, title, detail);
    let unknown = |code, title, detail| Problem::new(404, code, title, detail);
    let (problem, stage) = match answer {
        Answer::Open { seq } => {
            let mut response = Response::new(Body::empty());
            let number = HeaderValue::try_from(format!("{live}/{seq}"));
            if let Ok(number) = number {
                response.headers_mut().insert(PERMIT_HEADER, number);
            }
            return response;
        }
        Answer::Stopped(service, asset, stage) => {
            let detail = format!("{service} of {asset} is {stage}: ask the operator on duty");
            (forbidden("service-stopped", "The service is stopped", detail), Some(stage.word()))
        }
        Answer::Silent => {
            let detail = "no watcher has given a permit in the last two seconds: see whether the watchers run and \
                          this gate reaches them";
            (forbidden("no-permit", "There is no live permit", detail.to_owned()), None)
        }
        Answer::UnknownService(word) => {
            let detail = format!("{word:?} is no service, want one of {}", words(Service::ALL.iter()));
            (unknown("unknown-service", "There is no such service", detail), None)
        }
        Answer::UnknownAsset(word) => {
            let detail = format!("{word:?} is no asset, want one of {}", words(Asset::ALL.iter()));
            (unknown("unknown-asset", "There is no such asset", detail), None)
        }
    };
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::FORBIDDEN);
    let body = serde_json::to_vec(&Document { problem, stage }).unwrap_or_default();
    (status, [(CONTENT_TYPE, HeaderValue::from_static(Problem::MEDIA_TYPE))], body).into_response()
}

fn words<T: core::fmt::Display>(all: impl Iterator<Item = T>) -> String {
    all.map(|word| word.to_string()).collect::<Vec<_>>().join(", ")
}

/// Whether the process answers; what it answers about services is for `/v1/permits`.
async fn healthz(State(passages): State<Arc<Passages>>) -> Response {
    let live = passages.live();
    let status = if live > 0 { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, format!("{live} watchers with a live permit\n")).into_response()
}

async fn metrics(State(passages): State<Arc<Passages>>) -> Response {
    ([(CONTENT_TYPE, METRICS_TYPE)], metrics_text(&passages)).into_response()
}

fn metrics_text(passages: &Passages) -> String {
    let counts = &passages.counts;
    let outcomes = [
        ("open", &counts.open),
        ("stopped", &counts.stopped),
        ("silent", &counts.silent),
        ("unknown", &counts.unknown),
    ];
    let outcomes = outcomes
        .map(|(outcome, count)| (Some(("outcome", outcome.to_owned())), count.load(Ordering::Relaxed)));
    let ages = passages
        .ages_ms()
        .filter_map(|(watcher, age_ms)| Some((Some(("watcher", watcher.to_string())), age_ms?)));
    metric("kuraban_gate_checks_total", "counter", outcomes)
        + &metric("kuraban_gate_permit_age_ms", "gauge", ages)
}
