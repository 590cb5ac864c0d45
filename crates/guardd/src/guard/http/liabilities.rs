//! Roots of liabilities. Decides nothing: the fold judges who may publish one.

use std::sync::Arc;

use axum::{body::Body, extract::State, response::Response};
use kuraban_api as api;
use kuraban_base::hex;
use kuraban_vault::{
    DatedBy, Liabilities, Publication,
    coordinator::{Ask, Reply},
};

use super::{
    Shared,
    answer::{self, Failure},
    parse,
    payouts::conflict,
};

pub(super) async fn list(State(shared): State<Arc<Shared>>) -> Result<Response, Failure> {
    let shown = shared.office.desk.look(|coordinator| {
        let fold = coordinator.fold();
        let liabilities = fold.liabilities().map(|(index, one)| view(index, one)).collect();
        api::LiabilitiesList { origin: fold.charter().roster().origin().to_owned(), liabilities }
    });
    Ok(answer::json(200, &shown.await?))
}

pub(super) async fn publish(State(shared): State<Arc<Shared>>, body: Body) -> Result<Response, Failure> {
    let raw: api::LiabilitiesSubmit = parse::body(body).await?;
    let (liabilities, approval) = parse::liabilities(&raw)?;
    let root = liabilities.root;
    match shared
        .office
        .desk
        .ask(Ask::Publish { publication: Publication::Liabilities(liabilities), approval })
        .await?
    {
        Reply::Logged { .. } => {
            let logged = shared.office.desk.look(move |coordinator| {
                let mut all = coordinator.fold().liabilities();
                all.find(|(_, one)| one.root == root).map(|(index, one)| view(index, one))
            });
            let logged = logged.await?;
            Ok(answer::json(201, &logged.ok_or_else(Failure::internal)?))
        }
        Reply::Refused(reasons) => Err(Failure::refused(&reasons)),
        Reply::Conflict { code, detail } => Err(conflict(code, detail)),
    }
}

fn view(log_index: u64, liabilities: &Liabilities) -> api::LiabilitiesView {
    let block = |block: &DatedBy| api::DatingBlock {
        chain: block.chain.clone(),
        height: block.height,
        hash: hex::encode(&block.hash),
    };
    api::LiabilitiesView {
        log_index,
        root: liabilities.root.to_string(),
        totals: liabilities.totals.to_string(),
        as_of_ms: liabilities.as_of.ms(),
        blocks: liabilities.blocks.iter().map(block).collect(),
        veil: liabilities.veil.map(|veil| veil.to_string()),
    }
}
