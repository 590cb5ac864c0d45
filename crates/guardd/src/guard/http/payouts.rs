//! Payouts, breaker and alarms: what people and services ask of the writer. Every answer that says "logged" was on disk
//! before.

use std::{ops::Bound, sync::Arc};

use axum::{
    body::Body,
    extract::{Path, State},
    http::{HeaderMap, Uri},
    response::Response,
};
use kuraban_api as api;
use kuraban_vault::coordinator::{Ask, Reply};
use serde::Deserialize;

use super::{
    Shared,
    answer::{self, Failure},
    parse, view,
};

/// Most payouts or alarms on one page, and how many where nobody says.
const PAGE_MAX: usize = 500;
const PAGE: usize = 100;

/// What became of an ask that concerns a payout.
fn accepted(id: String, reply: Reply) -> Result<Response, Failure> {
    match reply {
        Reply::Logged { digest: Some(digest), repeated: _ } => {
            Ok(answer::json(201, &api::PayoutAccepted { id, digest: digest.to_string() }))
        }
        Reply::Logged { digest: None, repeated: _ } => Err(Failure::internal()),
        Reply::Refused(reasons) => Err(Failure::refused(&reasons)),
        Reply::Conflict { code, detail } => Err(conflict(code, detail)),
    }
}

pub(super) fn conflict(code: &'static str, detail: String) -> Failure {
    match code {
        "payout-unknown" => Failure::unknown(code, detail),
        "vault-unknown" => Failure::unprocessable(code, detail),
        "too-many-payouts" => Failure::unavailable(code, detail),
        _ => Failure::conflict(code, detail),
    }
}

pub(super) async fn request(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Failure> {
    let key = parse::key(&headers)?;
    let api::Submit { payout, request_signature } = parse::body(body).await?;
    let payout = parse::payout(payout)?;
    let request = parse::approval("request_signature", &request_signature)?;
    let id = payout.id.to_string();
    let reply = shared.office.desk.ask(Ask::Request { payout, request, key }).await?;
    accepted(id, reply)
}

pub(super) async fn approve(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    body: Body,
) -> Result<Response, Failure> {
    let payout = parse::payout_id(&id)?;
    let api::ApprovalSubmit { signature } = parse::body(body).await?;
    let approval = parse::approval("signature", &signature)?;
    let reply = shared.office.desk.ask(Ask::Approve { payout, approval }).await?;
    accepted(id, reply)
}

pub(super) async fn show(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
) -> Result<Response, Failure> {
    let payout = parse::payout_id(&id)?;
    let shown = shared.office.desk.look(move |coordinator| {
        coordinator.fold().payout(&payout).map(|record| view::payout(coordinator, record))
    });
    let unknown = || Failure::unknown("payout-unknown", format!("payout {id} was never requested"));
    Ok(answer::json(200, &shown.await?.ok_or_else(unknown)?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PayoutPage {
    after: Option<String>,
    limit: Option<usize>,
}

fn limit(asked: Option<usize>) -> Result<usize, Failure> {
    match asked {
        None => Ok(PAGE),
        Some(limit) if (1..=PAGE_MAX).contains(&limit) => Ok(limit),
        Some(limit) => {
            Err(Failure::malformed("query-malformed", format!("limit is {limit}, want 1 to {PAGE_MAX}")))
        }
    }
}

pub(super) async fn list(State(shared): State<Arc<Shared>>, uri: Uri) -> Result<Response, Failure> {
    let PayoutPage { after, limit: asked } = parse::query(&uri)?;
    let limit = limit(asked)?;
    let from = after.map(|after| parse::payout_id(&after)).transpose()?;
    let from = from.map_or(Bound::Unbounded, Bound::Excluded);
    let listed = shared.office.desk.look(move |coordinator| {
        let mut records = coordinator.fold().payouts_from(from.as_ref());
        let payouts: Vec<_> =
            records.by_ref().take(limit).map(|one| view::payout(coordinator, one)).collect();
        let last = payouts.last().map(|view| view.payout.id.clone());
        let next = records.next().and(last);
        api::PayoutList { payouts, next }
    });
    Ok(answer::json(200, &listed.await?))
}

pub(super) async fn breaker(State(shared): State<Arc<Shared>>) -> Result<Response, Failure> {
    let shown = shared.office.desk.look(|coordinator| {
        let fold = coordinator.fold();
        view::breaker(fold.charter().roster().origin(), fold.breaker())
    });
    Ok(answer::json(200, &shown.await?))
}

pub(super) async fn reset(State(shared): State<Arc<Shared>>, body: Body) -> Result<Response, Failure> {
    let order: api::BreakerReset = parse::body(body).await?;
    let (cells, approvals) = parse::reset(&order)?;
    let epoch = order.epoch;
    match shared.office.desk.ask(Ask::Reset { cells, epoch, approvals }).await? {
        Reply::Logged { .. } => Ok(answer::json(201, &api::ResetAccepted { epoch })),
        Reply::Refused(reasons) => Err(Failure::refused(&reasons)),
        Reply::Conflict { code, detail } => Err(conflict(code, detail)),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AlarmPage {
    from: Option<u64>,
    limit: Option<usize>,
}

pub(super) async fn alarms(State(shared): State<Arc<Shared>>, uri: Uri) -> Result<Response, Failure> {
    let AlarmPage { from, limit: asked } = parse::query(&uri)?;
    let limit = limit(asked)?;
    let from = from.unwrap_or(0);
    let listed = shared.office.desk.look(move |coordinator| {
        let skip = usize::try_from(from).unwrap_or(usize::MAX);
        let mut rest = (from..).zip(coordinator.fold().alarms().iter().skip(skip));
        let alarms: Vec<_> = rest.by_ref().take(limit).map(view::alarm).collect();
        api::AlarmList { alarms, next: rest.next().map(|(number, _)| number) }
    });
    Ok(answer::json(200, &listed.await?))
}
