//! What is published but roots of liabilities. Decides nothing: the fold judges who may publish what.

use std::sync::Arc;

use axum::{body::Body, extract::State, response::Response};
use kuraban_api as api;
use kuraban_base::{Digest, hex};
use kuraban_vault::{
    Publication,
    coordinator::{Ask, Reply},
    publication::{Check, Claims, Export, Finding, Import},
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
        let publications = fold.publications().iter().filter_map(|(index, one)| view(*index, one)).collect();
        api::PublicationList { origin: fold.charter().roster().origin().to_owned(), publications }
    });
    Ok(answer::json(200, &shown.await?))
}

pub(super) async fn publish(State(shared): State<Arc<Shared>>, body: Body) -> Result<Response, Failure> {
    let raw: api::PublicationSubmit = parse::body(body).await?;
    let (publication, approval) = parse::publication(&raw)?;
    let own = publication.clone();
    match shared.office.desk.ask(Ask::Publish { publication, approval }).await? {
        Reply::Logged { .. } => {
            let logged = shared.office.desk.look(move |coordinator| {
                let all = coordinator.fold().publications();
                all.iter().rev().find(|(_, one)| *one == own).and_then(|(index, one)| view(*index, one))
            });
            let logged = logged.await?;
            Ok(answer::json(201, &logged.ok_or_else(Failure::internal)?))
        }
        Reply::Refused(reasons) => Err(Failure::refused(&reasons)),
        Reply::Conflict { code, detail } => Err(conflict(code, detail)),
    }
}

fn view(log_index: u64, publication: &Publication) -> Option<api::PublicationView> {
    let text = |digest: &Option<Digest>| digest.as_ref().map(Digest::to_string);
    let publication = match publication {
        Publication::Liabilities(_) => return None,
        Publication::Claims(Claims { root, statements, scheme, replaces }) => api::Publication::Claims {
            root: root.to_string(),
            statements: *statements,
            scheme: scheme.to_string(),
            replaces: text(replaces),
        },
        Publication::Export(Export { export, manifest }) => {
            api::Publication::HandoverExport { export: hex::encode(export), manifest: manifest.to_string() }
        }
        Publication::Import(Import { manifest, receipt, replaces }) => api::Publication::HandoverImport {
            manifest: manifest.to_string(),
            receipt: receipt.to_string(),
            replaces: text(replaces),
        },
        Publication::Check(Check { of, document, root, findings }) => api::Publication::Check {
            of: of.to_string(),
            document: document.to_string(),
            root: text(root),
            findings: findings.iter().map(finding).collect(),
        },
    };
    Some(api::PublicationView { log_index, publication })
}

fn finding(finding: &Finding) -> api::Finding {
    api::Finding {
        about: finding.about.clone(),
        verdict: finding.verdict.to_string(),
        failed: finding.failed.clone(),
        not_made: finding.not_made.clone(),
    }
}
