//! The writer's HTTP side: one thread with its own runtime, one connection at a time bounded in number, size and time.
//!
//! Decides nothing about payouts: parses at the edge, puts questions on the core's desk, shows what comes back. Reading
//! is not authenticated, so it listens inside; what changes anything bears signatures of people on the roster.

mod answer;
mod events;
mod liabilities;
mod log;
mod parse;
mod payouts;
mod publications;
mod signers;
mod view;

use std::{io, sync::Arc, thread, time::Duration};

use axum::{
    Router,
    extract::{Request, State},
    middleware::{self, Next},
    response::{IntoResponse as _, Response},
    routing::{MethodRouter, get, post},
};
use kuraban_api::Operation;
use tokio::{
    sync::{Semaphore, watch},
    time::timeout,
};

use self::answer::Failure;
use super::{
    desk::Desk,
    figures::{Figure, Figures},
    nodes::Essential,
    store::Store,
};
use crate::http::Bound;

/// Threads that answer; what takes long is done elsewhere.
const THREADS: usize = 1;
/// Most requests that are worked on at once; one more is told to come again.
const REQUESTS_MAX: usize = 128;
/// Most event streams at once.
const STREAMS_MAX: usize = 64;
/// How long a request may take, its body included.
const REQUEST_WITHIN: Duration = Duration::from_secs(30);
/// Largest body of a request, in bytes: 32 approvals and their frame.
const BODY_BYTES_MAX: usize = 96 * 1024;

/// What the handlers have to hand.
pub(super) struct Office {
    /// Questions to the core.
    pub(super) desk: Desk,
    /// The store, for reading.
    pub(super) store: Store,
    /// How many entries are on disk.
    pub(super) sizes: watch::Receiver<u64>,
    /// Figures.
    pub(super) figures: Arc<Figures>,
}

/// The office, and how many are in it.
struct Shared {
    office: Office,
    requests: Arc<Semaphore>,
    streams: Arc<Semaphore>,
}

/// Serves on a thread of its own for as long as the process lives.
///
/// # Errors
/// No thread could be started.
pub(super) fn start(bound: Bound, office: Office, essential: Essential) -> io::Result<()> {
    let router = router(office);
    let run = move || {
        let Err(problem) = bound.serve(router, THREADS);
        tracing::error!(problem = crate::log::told(&problem), "http-ended");
        drop(essential);
    };
    thread::Builder::new().name("http".to_owned()).spawn(run).map(drop)
}

fn router(office: Office) -> Router {
    let shared = Arc::new(Shared {
        office,
        requests: Arc::new(Semaphore::new(REQUESTS_MAX)),
        streams: Arc::new(Semaphore::new(STREAMS_MAX)),
    });
    let routed = |router: Router<Arc<Shared>>, operation: &Operation| {
        router.route(operation.path(), handler(*operation))
    };
    Operation::ALL
        .iter()
        .fold(Router::new(), routed)
        .fallback(async || Failure::not_found("nothing is served at this path"))
        .method_not_allowed_fallback(async || Failure::method_not_allowed())
        .layer(middleware::from_fn_with_state(Arc::clone(&shared), bounded))
        .with_state(shared)
}

fn handler(operation: Operation) -> MethodRouter<Arc<Shared>> {
    match operation {
        Operation::PayoutRequest => post(payouts::request),
        Operation::PayoutList => get(payouts::list),
        Operation::PayoutShow => get(payouts::show),
        Operation::PayoutApprove => post(payouts::approve),
        Operation::BreakerShow => get(payouts::breaker),
        Operation::BreakerReset => post(payouts::reset),
        Operation::SignerList => get(signers::list),
        Operation::SignerResume => post(signers::resume),
        Operation::LiabilitiesList => get(liabilities::list),
        Operation::LiabilitiesPublish => post(liabilities::publish),
        Operation::PublicationList => get(publications::list),
        Operation::PublicationPublish => post(publications::publish),
        Operation::AlarmList => get(payouts::alarms),
        Operation::Events => get(events::stream),
        Operation::LogCheckpoint => get(log::checkpoint),
        Operation::LogTile => get(log::tile),
        Operation::LogOpening => get(log::opening),
        Operation::Metrics => get(metrics),
        Operation::Health => get(health),
        Operation::OpenApi => get(async || answer::json(200, &kuraban_api::openapi())),
    }
}

/// Holds every request to its limits, and counts its answer.
async fn bounded(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    let answered = match shared.requests.try_acquire() {
        Ok(_place) => match timeout(REQUEST_WITHIN, next.run(request)).await {
            Ok(answer) => answer,
            Err(_) => Failure::unavailable("timed-out", "the request took too long").into_response(),
        },
        Err(_) => Failure::unavailable("busy", "too many requests are worked on").into_response(),
    };
    shared.office.figures.add(Figure::Http, answered.status().as_str(), 1);
    answered
}

async fn metrics(State(shared): State<Arc<Shared>>) -> Response {
    answer::text("text/plain; version=0.0.4; charset=utf-8", shared.office.figures.render())
}

/// Answers when the core does.
async fn health(State(shared): State<Arc<Shared>>) -> Result<Response, Failure> {
    shared.office.desk.look(|_| ()).await?;
    Ok(answer::text("text/plain; charset=utf-8", "ok\n".to_owned()))
}
