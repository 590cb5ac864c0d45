//! The log as outsiders read it (C2SP tlog-tiles), and what opens its entries for those inside.

use std::sync::Arc;

use axum::{
    extract::{Path, State},
    response::Response,
};
use kuraban_api::OpeningView;
use kuraban_base::hex;
use kuraban_proof::Resource;

use super::{
    Shared,
    answer::{self, Failure},
};
use crate::guard::store::{Store, StoreError};

/// Reads from the store on a thread where waiting for the disk holds nobody up.
pub(super) async fn read<T: Send + 'static>(
    store: &Store,
    read: impl FnOnce(&Store) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, Failure> {
    let store = store.clone();
    let read = tokio::task::spawn_blocking(move || read(&store)).await;
    Ok(read.map_err(|_| Failure::internal())??)
}

pub(super) async fn checkpoint(State(shared): State<Arc<Shared>>) -> Result<Response, Failure> {
    let checkpoint = read(&shared.office.store, Store::witnessed).await?;
    let missing = || Failure::unknown("not-witnessed", "no checkpoint was co-signed by a quorum yet");
    let text = String::from_utf8(checkpoint.ok_or_else(missing)?).map_err(|_| Failure::internal())?;
    Ok(answer::text("text/plain; charset=utf-8", text))
}

pub(super) async fn tile(
    State(shared): State<Arc<Shared>>,
    Path(path): Path<String>,
) -> Result<Response, Failure> {
    let resource: Resource = format!("tile/{path}")
        .parse()
        .map_err(|problem: kuraban_proof::tile::PathError| Failure::not_found(problem.to_string()))?;
    let bytes = read(&shared.office.store, move |store| store.resource(resource)).await?;
    let missing = || Failure::not_found(format!("the log has no {resource} yet"));
    bytes.map(answer::immutable).ok_or_else(missing)
}

pub(super) async fn opening(
    State(shared): State<Arc<Shared>>,
    Path(index): Path<String>,
) -> Result<Response, Failure> {
    let malformed = |problem| Failure::malformed("field-malformed", format!("index: {problem}"));
    let log_index: u64 = index.parse().map_err(malformed)?;
    let logged = read(&shared.office.store, move |store| store.entries(log_index, 1, usize::MAX)).await?;
    let missing = || Failure::not_found(format!("the log has no entry {log_index} yet"));
    let logged = logged.into_iter().next().ok_or_else(missing)?;
    let view = OpeningView { log_index, salt: hex::encode(&logged.salt), body: hex::encode(&logged.body) };
    Ok(answer::json(200, &view))
}
