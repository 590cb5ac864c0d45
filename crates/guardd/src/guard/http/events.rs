//! The event stream (server-sent events): log entries as they come to stand on disk. An event's id is the entry's index,
//! so a stream that broke is taken up again without a gap.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    body::Body,
    extract::State,
    http::{HeaderMap, Uri, header},
    response::{IntoResponse as _, Response},
};
use kuraban_api::EventView;
use kuraban_base::Instant;
use kuraban_vault::{body::Body as Said, follow, wire::LogEntry};
use serde::Deserialize;
use tokio::sync::mpsc::{self, Sender};
use tokio_stream::{StreamExt as _, wrappers::ReceiverStream};

use super::{Shared, answer::Failure, log::read, parse};

/// Entries that are read at once.
const BATCH: usize = 256;
const BATCH_BYTES: usize = 4 * 1024 * 1024;
/// Pieces that wait for a reader who is slow; the rest stays in the log.
const WAITING_MAX: usize = 4;
/// How often a quiet stream says that it is there.
const COMMENT_EVERY: Duration = Duration::from_secs(10);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct From {
    from: Option<u64>,
}

pub(super) async fn stream(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, Failure> {
    let From { from } = parse::query(&uri)?;
    let last = headers.get("last-event-id").map(|value| {
        let index = value.to_str().ok().and_then(|text| text.parse::<u64>().ok());
        index.ok_or_else(|| Failure::malformed("field-malformed", "Last-Event-ID: want an index of the log"))
    });
    let size = *shared.office.sizes.borrow();
    let from = match (last.transpose()?, from) {
        (Some(last), _) => last.saturating_add(1),
        (None, Some(from)) => from,
        (None, None) => size,
    };
    let place = Arc::clone(&shared.streams).try_acquire_owned();
    let place = place.map_err(|_| Failure::unavailable("busy", "too many event streams are open"))?;
    let (pieces, receiver) = mpsc::channel(WAITING_MAX);
    tokio::spawn(async move {
        let told = tell(&shared, from, &pieces).await;
        tracing::debug!(?told, "event-stream-ended");
        drop(place);
    });
    let pieces = ReceiverStream::new(receiver).map(Ok::<_, Infallible>);
    let head = [(header::CONTENT_TYPE, "text/event-stream"), (header::CACHE_CONTROL, "no-store")];
    Ok((head, Body::from_stream(pieces)).into_response())
}

/// Sends entries from `from` on until the reader is gone or the store fails.
async fn tell(shared: &Shared, mut from: u64, pieces: &Sender<String>) -> Option<()> {
    let mut sizes = shared.office.sizes.clone();
    // Headers go out with the first piece.
    pieces.send(": log entries\n\n".to_owned()).await.ok()?;
    loop {
        let entries =
            read(&shared.office.store, move |store| store.entries(from, BATCH, BATCH_BYTES)).await.ok()?;
        if entries.is_empty() {
            match tokio::time::timeout(COMMENT_EVERY, sizes.changed()).await {
                Ok(changed) => changed.ok()?,
                Err(_) => pieces.send(": nothing new\n\n".to_owned()).await.ok()?,
            }
            continue;
        }
        let mut piece = String::new();
        for logged in entries {
            let view = event(from, &logged)?;
            let data = serde_json::to_string(&view).ok()?;
            piece += &format!("id: {from}\nevent: {}\ndata: {data}\n\n", view.kind);
            from = from.saturating_add(1);
        }
        pieces.send(piece).await.ok()?;
    }
}

/// What an entry says, in short.
fn event(log_index: u64, logged: &LogEntry) -> Option<EventView> {
    let (at, _, body) = follow::open(logged).ok()?;
    let view = |at: Instant| EventView {
        log_index,
        at_ms: at.ms(),
        kind: body.kind().to_owned(),
        payout: None,
        txid: None,
        by: None,
        detail: None,
    };
    let mut view = view(at);
    match &body {
        Said::LogOpened { .. } | Said::BreakerReset { .. } => {}
        Said::Published { publication, .. } => view.detail = Some(publication.to_string()),
        Said::SignerResumed { signer, .. } => view.by = Some(signer.to_string()),
        Said::PayoutRequested { payout, .. } => view.payout = Some(payout.id.to_string()),
        Said::PayoutApproved { payout, .. }
        | Said::PayoutRefused { payout, .. }
        | Said::PayoutAssembled { payout, .. }
        | Said::PayoutSigned { payout, .. }
        | Said::PayoutExpired { payout } => view.payout = Some(payout.to_string()),
        Said::PayoutReceipt(receipt) => {
            let receipt = receipt.claim_unverified();
            view.payout = Some(receipt.payout.to_string());
            view.txid = Some(receipt.txid.to_string());
            view.by = Some(receipt.by.to_string());
        }
        Said::PayoutBroadcast { payout, txid }
        | Said::PayoutConfirmed { payout, txid, .. }
        | Said::PayoutCancelled { payout, txid } => {
            view.payout = Some(payout.to_string());
            view.txid = Some(txid.to_string());
        }
        Said::AlarmRaised(alarm) => {
            let alarm = alarm.claim_unverified();
            view.by = Some(alarm.by.to_string());
            view.detail = Some(format!("{} on {}: {}", alarm.rule, alarm.subject, alarm.detail));
        }
        Said::BreakerTripped(trip) => {
            let trip = trip.claim_unverified();
            view.by = Some(trip.by.to_string());
            view.detail = Some(format!("{} to {}", trip.rule, trip.stage));
        }
    }
    Some(view)
}
