//! What operators' programs may ask a watcher over HTTP: `/healthz` and `/metrics`. Says how things stand, decides
//! nothing, and takes nothing.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse as _, Response},
    routing::get,
};
use kuraban_chain::btc::Network;
use kuraban_watch::{Watcher, chain::Status};

use crate::{
    clock,
    http::{Bound, METRICS_TYPE, metric},
    log,
};

/// A watcher that has not looked at its clock for so long is not well.
const AGE_MS_MAX: u64 = 1_000;

/// One network's figures.
#[derive(Debug, Default)]
struct OfNetwork {
    height: AtomicU64,
    status: AtomicU64,
}

/// A watcher's figures, set at every tick.
#[derive(Debug)]
pub(super) struct Gauges {
    at_ms: AtomicU64,
    log_size: AtomicU64,
    epoch: AtomicU64,
    alarms: AtomicU64,
    explained: AtomicU64,
    invalid: AtomicU64,
    networks: BTreeMap<Network, OfNetwork>,
}

impl Gauges {
    pub(super) fn new(networks: impl Iterator<Item = Network>) -> Self {
        Self {
            at_ms: AtomicU64::new(0),
            log_size: AtomicU64::new(0),
            epoch: AtomicU64::new(0),
            alarms: AtomicU64::new(0),
            explained: AtomicU64::new(0),
            invalid: AtomicU64::new(0),
            networks: networks.map(|network| (network, OfNetwork::default())).collect(),
        }
    }

    /// Takes the watcher's figures.
    pub(super) fn set(&self, watcher: &Watcher) {
        let set = |gauge: &AtomicU64, value: u64| gauge.store(value, Ordering::Relaxed);
        let fold = watcher.follower().fold();
        set(&self.log_size, fold.size());
        set(&self.epoch, fold.breaker().epoch());
        set(&self.alarms, u64::try_from(watcher.alarms().len()).unwrap_or(u64::MAX));
        set(&self.explained, watcher.explained());
        set(&self.invalid, watcher.invalid());
        for (network, of) in &self.networks {
            let Some((chain, _)) = watcher.network(*network) else { continue };
            set(&of.height, u64::from(chain.tip().height.blocks()));
            let status = match chain.status() {
                Status::Syncing => 0,
                Status::Following => 1,
                Status::Stalled(_) => 2,
            };
            set(&of.status, status);
        }
        set(&self.at_ms, clock::wall().ms());
    }

    fn text(&self) -> String {
        let one = |name: &str, kind: &str, gauge: &AtomicU64| {
            metric(&format!("kuraban_watch_{name}"), kind, [(None, gauge.load(Ordering::Relaxed))])
        };
        let of = |name: &str, gauge: fn(&OfNetwork) -> &AtomicU64| {
            let value = |(network, of): (&Network, &OfNetwork)| {
                (Some(("network", network.to_string())), gauge(of).load(Ordering::Relaxed))
            };
            metric(&format!("kuraban_watch_{name}"), "gauge", self.networks.iter().map(value))
        };
        [
            one("log_size", "gauge", &self.log_size),
            one("breaker_epoch", "gauge", &self.epoch),
            one("alarms_total", "counter", &self.alarms),
            one("explained_spends_total", "counter", &self.explained),
            one("invalid_spends_total", "counter", &self.invalid),
            of("height", |of| &of.height),
            // 0 syncing, 1 following, 2 stalled.
            of("status", |of| &of.status),
        ]
        .concat()
    }
}

/// Answers for ever.
pub(super) fn serve(bound: Bound, gauges: Arc<Gauges>) {
    let router =
        Router::new().route("/healthz", get(healthz)).route("/metrics", get(metrics)).with_state(gauges);
    let Err(problem) = bound.serve(router, 1);
    let problem = log::told(&problem);
    tracing::error!(problem, "http-ended");
}

async fn healthz(State(gauges): State<Arc<Gauges>>) -> Response {
    let age_ms = clock::wall().ms().saturating_sub(gauges.at_ms.load(Ordering::Relaxed));
    let status = if age_ms <= AGE_MS_MAX { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, format!("figures are {age_ms} ms old\n")).into_response()
}

async fn metrics(State(gauges): State<Arc<Gauges>>) -> Response {
    ([(CONTENT_TYPE, METRICS_TYPE)], gauges.text()).into_response()
}
