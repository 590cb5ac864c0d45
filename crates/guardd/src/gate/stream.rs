//! One watcher's permits: connect, ask for a stream, take what comes, and again.

use std::{convert::Infallible, thread, time::Duration};

use kuraban_link::{Connection, Identity, LinkError, connect};
use kuraban_vault::{
    breaker::{Cell, Stage},
    receipt::{PERMIT_MS, Permit},
    statement::Signed,
    wire::{Request, Response},
};

use super::{config::Watcher, passages::Passages};
use crate::{clock, log};

/// Pause before the first new attempt; it doubles with each that fails.
const RETRY_AFTER: Duration = Duration::from_millis(50);
/// The longest pause.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(1);
/// A connection on which nothing comes for the life of a permit is of no use.
const SILENT_WITHIN: Duration = Duration::from_millis(PERMIT_MS);

/// Why a stream ended.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error(transparent)]
    Link(#[from] LinkError),
    #[error("the operating system gives no random bytes")]
    Random(#[source] getrandom::Error),
    #[error("the watcher sent what is no response")]
    Malformed(#[source] kuraban_base::cbor::CborError),
    #[error("the watcher refused: {code}: {detail}")]
    Refused { code: String, detail: String },
    #[error("the watcher answered with something else than permits")]
    Other,
    #[error("a permit was not taken")]
    Permit(#[source] kuraban_vault::permit::PermitError),
}

/// Follows a watcher for ever.
pub(super) fn follow(watcher: &Watcher, identity: &Identity, passages: &Passages) {
    let mut pause = RETRY_AFTER;
    let mut told = String::new();
    loop {
        let mut taken = 0_u64;
        let Err(ended) = stream(watcher, identity, passages, &mut taken);
        if taken > 0 {
            pause = RETRY_AFTER;
            told.clear();
        }
        // The same trouble again and again is told once.
        let problem = log::told(&ended);
        if problem != told {
            tracing::warn!(watcher = %watcher.machine, address = %watcher.address, problem, "stream-ended");
            told = problem;
        }
        thread::sleep(pause);
        pause = pause.saturating_mul(2).min(RETRY_AFTER_MAX);
    }
}

fn stream(
    watcher: &Watcher,
    identity: &Identity,
    passages: &Passages,
    taken: &mut u64,
) -> Result<Infallible, Ended> {
    let mut connection = connect(watcher.address, identity, &watcher.tls, SILENT_WITHIN)?;
    let mut stream = [0; 32];
    getrandom::getrandom(&mut stream).map_err(Ended::Random)?;
    passages.joined(&watcher.machine, stream);
    connection.send(&Request::Permits { stream }.encode())?;
    let mut last = None;
    loop {
        let permit = next(&mut connection)?;
        let arrived_us = clock::wall_us();
        let claim = permit.claim_unverified();
        let (seq, tightened) = (claim.seq, claim.tightened.clone());
        passages.take(&watcher.machine, permit).map_err(Ended::Permit)?;
        *taken = taken.saturating_add(1);
        if last.as_ref() != Some(&tightened) {
            tell(watcher, seq, arrived_us, &tightened);
            last = Some(tightened);
        }
    }
}

fn next(connection: &mut Connection) -> Result<Signed<Permit>, Ended> {
    let response = Response::decode(&connection.recv()?).map_err(Ended::Malformed)?;
    match response {
        Response::Permit(permit) => Ok(*permit),
        Response::Refused(refused) => Err(Ended::Refused { code: refused.code, detail: refused.detail }),
        Response::Status { .. }
        | Response::Cosigned { .. }
        | Response::Behind { .. }
        | Response::Lease(_)
        | Response::Receipts(_)
        | Response::Signatures(_)
        | Response::Tripped
        | Response::Alarm(..) => Err(Ended::Other),
    }
}

/// A permit that says something else than the one before it on this stream.
fn tell(watcher: &Watcher, seq: u64, arrived_us: u64, tightened: &[(Stage, Vec<Cell>)]) {
    let cells = log::cells(tightened);
    let taken_us = clock::wall_us();
    let watcher = &watcher.machine;
    if tightened.is_empty() {
        tracing::info!(%watcher, seq, arrived_us, taken_us, "permit-open");
    } else {
        tracing::warn!(%watcher, seq, arrived_us, taken_us, cells, "permit-closed");
    }
}
