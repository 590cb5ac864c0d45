//! What every thread that answers has to hand: the sources as they are now, read without a lock, and what is counted.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use arc_swap::ArcSwap;
use kuraban_api::{FeedView, Freshness};

use super::{appeals::Appeals, feed::Live, private::Filters, sources::Sources};
use crate::{clock, http::metric};

/// How often each thing was done.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) one: AtomicU64,
    pub(super) many: AtomicU64,
    pub(super) streams: AtomicU64,
    pub(super) private: AtomicU64,
    pub(super) problems: AtomicU64,
    pub(super) rows: AtomicU64,
    pub(super) rows_hit: AtomicU64,
    pub(super) rows_wrong: AtomicU64,
}

/// Adds to a count.
pub(super) fn add(count: &AtomicU64, by: u64) {
    count.fetch_add(by, Ordering::Relaxed);
}

/// What every thread that answers has to hand.
#[derive(Debug)]
pub(super) struct Desk {
    now: ArcSwap<Sources>,
    /// Whoever puts newer sources in place; readers do not wait for this.
    change: Mutex<()>,
    pub(super) counts: Counts,
    pub(super) filters: Filters,
    pub(super) appeals: Option<Arc<Appeals>>,
}

impl Desk {
    pub(super) fn new(sources: Sources, appeals: Option<Arc<Appeals>>) -> Self {
        let now = ArcSwap::from_pointee(sources);
        Self {
            now,
            change: Mutex::default(),
            counts: Counts::default(),
            filters: Filters::default(),
            appeals,
        }
    }

    /// The sources as they are now. Held for one answer, so that an answer is of one moment.
    pub(super) fn now(&self) -> Arc<Sources> {
        self.now.load_full()
    }

    /// For an answer that is made without waiting.
    pub(super) fn look(&self) -> arc_swap::Guard<Arc<Sources>> {
        self.now.load()
    }

    /// From now on those that follow from the present ones.
    pub(super) fn change(&self, next: impl FnOnce(&Sources) -> Sources) {
        let _one_by_one = self.change.lock().unwrap_or_else(PoisonError::into_inner);
        let next = next(&self.now());
        self.now.store(Arc::new(next));
    }

    /// Figures in Prometheus' text format.
    pub(super) fn metrics(&self) -> String {
        let counts = &self.counts;
        let value = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let kind = |name: &str, count| (Some(("kind", name.to_owned())), value(count));
        let requests = [
            kind("one", &counts.one),
            kind("many", &counts.many),
            kind("stream", &counts.streams),
            kind("private", &counts.private),
        ];
        let rows = [
            (Some(("outcome", "asked".to_owned())), value(&counts.rows)),
            (Some(("outcome", "hit".to_owned())), value(&counts.rows_hit)),
            (Some(("outcome", "wrong".to_owned())), value(&counts.rows_wrong)),
        ];
        let now = self.now();
        let tags = now.views.iter().map(|view| (Some(("store", view.name.clone())), view.tags));
        let loaded = now.views.iter().map(|view| (Some(("store", view.name.clone())), view.loaded_ms));
        [
            metric("kuraban_screen_requests_total", "counter", requests),
            metric("kuraban_screen_problems_total", "counter", [(None, value(&counts.problems))]),
            metric("kuraban_screen_rows_total", "counter", rows),
            metric("kuraban_screen_tags", "gauge", tags),
            metric("kuraban_screen_store_loaded_ms", "gauge", loaded),
        ]
        .concat()
            + &now.live.as_ref().map(|live| of_feed(live)).unwrap_or_default()
    }
}

/// A feed's figures.
fn of_feed(live: &Live) -> String {
    let one =
        |name: &str, value: u64| metric(&format!("kuraban_screen_feed_{name}"), "gauge", [(None, value)]);
    [
        one("size", live.size),
        one("tags", u64::try_from(live.tags).unwrap_or(u64::MAX)),
        one("checked_ms", live.status.checked_ms().unwrap_or(0)),
        // 0 silent, 1 following, 2 refused, 3 forked.
        one("state", u64::from(live.status.state().number())),
    ]
    .concat()
}

/// How fresh an answer from these sources is.
pub(super) fn freshness(sources: &Sources) -> Freshness<'_> {
    let at_ms = clock::wall().ms();
    let feed = sources.live.as_ref().map(|live| {
        let checked_ms = live.status.checked_ms();
        FeedView {
            origin: &live.origin,
            size: live.size,
            root: &live.root,
            state: live.status.state().name(),
            entry_ms: live.entry_ms,
            checked_ms,
            age_ms: checked_ms.map(|checked_ms| at_ms.saturating_sub(checked_ms)),
        }
    });
    Freshness { at_ms, stores: &sources.views, feed }
}
