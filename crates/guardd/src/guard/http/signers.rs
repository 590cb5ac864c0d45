//! The signers as the log knows them. Decides nothing: the fold judges an order to resume.

use std::sync::Arc;

use axum::{body::Body, extract::State, response::Response};
use kuraban_api as api;
use kuraban_vault::{
    Role,
    coordinator::{Ask, Reply},
};

use super::{
    Shared,
    answer::{self, Failure},
    parse,
    payouts::conflict,
    view,
};

pub(super) async fn list(State(shared): State<Arc<Shared>>) -> Result<Response, Failure> {
    let shown = shared.office.desk.look(|coordinator| {
        let fold = coordinator.fold();
        let roster = fold.charter().roster();
        let signers = roster.witnesses().filter(|(_, machine)| machine.role == Role::Signer);
        let signers = signers.map(|(id, _)| view::signer(fold, id)).collect();
        api::SignerList { origin: roster.origin().to_owned(), signers }
    });
    Ok(answer::json(200, &shown.await?))
}

pub(super) async fn resume(State(shared): State<Arc<Shared>>, body: Body) -> Result<Response, Failure> {
    let order: api::SignerResume = parse::body(body).await?;
    let (signer, approvals) = parse::resume(&order)?;
    let seq = order.receipts;
    match shared.office.desk.ask(Ask::Resume { signer, seq, approvals }).await? {
        Reply::Logged { .. } => {
            let resumed = api::SignerView { id: order.id, receipts: seq, resumed: seq };
            Ok(answer::json(201, &resumed))
        }
        Reply::Refused(reasons) => Err(Failure::refused(&reasons)),
        Reply::Conflict { code, detail } => Err(conflict(code, detail)),
    }
}
