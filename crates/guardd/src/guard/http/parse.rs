//! From the contract's text to the domain's types, at the edge. An error names the field and what is wrong with it.

use axum::{
    body::{Body, to_bytes},
    extract::Query,
    http::{HeaderMap, Uri},
};
use kuraban_api as api;
use kuraban_base::{Amount, Asset, Digest, Instant, MachineId, PayoutId, hex};
use kuraban_chain::btc::{Address, Network};
use kuraban_vault::{
    Approval, DatedBy, Liabilities, Payout, Publication,
    body::Body as Said,
    breaker::{Cell, Service},
    publication::{Check, Claims, Export, Finding, Import},
};
use serde::de::DeserializeOwned;

use super::{BODY_BYTES_MAX, answer::Failure};

/// Longest idempotency key, in bytes.
const KEY_BYTES_MAX: usize = 128;
/// Longest memo, in bytes; the log reads no longer one.
const MEMO_BYTES_MAX: usize = 256;
/// Most approvals of one order, and most cells.
const LIST_MAX: usize = 32;
/// Most blocks that date a root of liabilities, and the longest name of a chain in bytes; the log reads no more.
const BLOCKS_MAX: usize = 64;
const CHAIN_BYTES_MAX: usize = 16;

/// Reads a body of the contract.
pub(super) async fn body<T: DeserializeOwned>(body: Body) -> Result<T, Failure> {
    let bytes = to_bytes(body, BODY_BYTES_MAX).await.map_err(|_| Failure::too_large(BODY_BYTES_MAX))?;
    serde_json::from_slice(&bytes)
        .map_err(|problem| Failure::malformed("body-malformed", problem.to_string()))
}

/// Reads the query of a path.
pub(super) fn query<T: DeserializeOwned>(uri: &Uri) -> Result<T, Failure> {
    let query = Query::try_from_uri(uri);
    let Query(query) = query.map_err(|problem| Failure::malformed("query-malformed", problem.body_text()))?;
    Ok(query)
}

fn field<T, E: core::fmt::Display>(name: &str, value: Result<T, E>) -> Result<T, Failure> {
    value.map_err(|problem| Failure::malformed("field-malformed", format!("{name}: {problem}")))
}

/// The idempotency key of a request.
pub(super) fn key(headers: &HeaderMap) -> Result<String, Failure> {
    let mut given = headers.get_all("idempotency-key").iter();
    let (Some(key), None) = (given.next(), given.next()) else {
        let detail = "the header Idempotency-Key must be there, once; choose a new value for each payout";
        return Err(Failure::malformed("idempotency-key-missing", detail));
    };
    let bytes = key.as_bytes();
    if !(1..=KEY_BYTES_MAX).contains(&bytes.len()) || !bytes.iter().all(u8::is_ascii_graphic) {
        let detail =
            format!("the header Idempotency-Key must be 1 to {KEY_BYTES_MAX} visible ASCII characters");
        return Err(Failure::malformed("idempotency-key-malformed", detail));
    }
    field("Idempotency-Key", key.to_str()).map(ToOwned::to_owned)
}

/// A payout's name.
pub(super) fn payout_id(text: &str) -> Result<PayoutId, Failure> {
    field("id", text.parse())
}

/// A payout.
pub(super) fn payout(raw: api::Payout) -> Result<Payout, Failure> {
    let network: Network = field("network", raw.network.parse())?;
    let destination = field("destination", Address::parse(network, &raw.destination))?;
    if let Some(memo) = raw.memo.as_ref().filter(|memo| memo.len() > MEMO_BYTES_MAX) {
        return field("memo", Err(format!("{} bytes, want at most {MEMO_BYTES_MAX}", memo.len())));
    }
    if raw.not_before_ms >= raw.expiry_ms {
        let problem = format!("{} is not after not_before_ms, {}", raw.expiry_ms, raw.not_before_ms);
        return field("expiry_ms", Err(problem));
    }
    Ok(Payout {
        id: payout_id(&raw.id)?,
        kind: field("kind", raw.kind.parse())?,
        network,
        vault: field("vault", raw.vault.parse())?,
        destination: destination.script(),
        memo: raw.memo,
        amount: Amount::from(raw.amount),
        fee_cap: Amount::from(raw.fee_cap),
        not_before: Instant::from_ms(raw.not_before_ms),
        expiry: Instant::from_ms(raw.expiry_ms),
    })
}

/// Somebody's signature.
pub(super) fn approval(name: &str, pem: &str) -> Result<Approval, Failure> {
    field(name, Approval::parse(pem))
}

/// An order to loosen the breaker.
pub(super) fn reset(raw: &api::BreakerReset) -> Result<(Vec<Cell>, Vec<Approval>), Failure> {
    bounded("cells", raw.cells.len())?;
    let cell = |cell: &api::CellName| -> Result<Cell, Failure> {
        let service: Service = field("service", cell.service.parse())?;
        let asset: Asset = field("asset", cell.asset.parse())?;
        Ok((service, asset))
    };
    let cells = raw.cells.iter().map(cell).collect::<Result<_, _>>()?;
    Ok((cells, approvals(&raw.approvals)?))
}

/// An order to let a signer resume.
pub(super) fn resume(raw: &api::SignerResume) -> Result<(MachineId, Vec<Approval>), Failure> {
    Ok((field("id", raw.id.parse())?, approvals(&raw.approvals)?))
}

/// A root of liabilities.
pub(super) fn liabilities(raw: &api::LiabilitiesSubmit) -> Result<(Liabilities, Approval), Failure> {
    if raw.blocks.len() > BLOCKS_MAX {
        return field("blocks", Err(format!("{} of them, want at most {BLOCKS_MAX}", raw.blocks.len())));
    }
    let block = |block: &api::DatingBlock| -> Result<DatedBy, Failure> {
        if !(1..=CHAIN_BYTES_MAX).contains(&block.chain.len()) {
            return field("chain", Err(format!("{} bytes, want 1 to {CHAIN_BYTES_MAX}", block.chain.len())));
        }
        let hash = field("hash", hex::decode_array(&block.hash))?;
        Ok(DatedBy { chain: block.chain.clone(), height: block.height, hash })
    };
    let liabilities = Liabilities {
        root: field("root", raw.root.parse())?,
        totals: field("totals", raw.totals.parse())?,
        as_of: Instant::from_ms(raw.as_of_ms),
        blocks: raw.blocks.iter().map(block).collect::<Result<_, _>>()?,
        veil: raw.veil.as_ref().map(|veil| field("veil", veil.parse())).transpose()?,
    };
    Ok((liabilities, approval("approval", &raw.approval)?))
}

/// A publication. Its limits are the log's: what the log would not read back is malformed.
pub(super) fn publication(raw: &api::PublicationSubmit) -> Result<(Publication, Approval), Failure> {
    let digest = |name: &str, text: &str| -> Result<Digest, Failure> { field(name, text.parse()) };
    let maybe = |name: &str, text: &Option<String>| -> Result<Option<Digest>, Failure> {
        text.as_ref().map(|text| digest(name, text)).transpose()
    };
    let publication = match &raw.publication {
        api::Publication::Claims { root, statements, scheme, replaces } => Publication::Claims(Claims {
            root: digest("root", root)?,
            statements: *statements,
            scheme: digest("scheme", scheme)?,
            replaces: maybe("replaces", replaces)?,
        }),
        api::Publication::HandoverExport { export, manifest } => Publication::Export(Export {
            export: field("export", hex::decode_array(export))?,
            manifest: digest("manifest", manifest)?,
        }),
        api::Publication::HandoverImport { manifest, receipt, replaces } => Publication::Import(Import {
            manifest: digest("manifest", manifest)?,
            receipt: digest("receipt", receipt)?,
            replaces: maybe("replaces", replaces)?,
        }),
        api::Publication::Check { of, document, root, findings } => Publication::Check(Check {
            of: field("of", of.parse())?,
            document: digest("document", document)?,
            root: maybe("root", root)?,
            findings: findings.iter().map(finding).collect::<Result<_, _>>()?,
        }),
    };
    let approval = approval("approval", &raw.approval)?;
    let said = Said::Published { publication: publication.clone(), approval: approval.clone() };
    field("publication", Said::decode(said.kind(), &said.encode()))?;
    Ok((publication, approval))
}

fn finding(raw: &api::Finding) -> Result<Finding, Failure> {
    Ok(Finding {
        about: raw.about.clone(),
        verdict: field("verdict", raw.verdict.parse())?,
        failed: raw.failed.clone(),
        not_made: raw.not_made.clone(),
    })
}

fn approvals(pems: &[String]) -> Result<Vec<Approval>, Failure> {
    bounded("approvals", pems.len())?;
    pems.iter().map(|pem| approval("approvals", pem)).collect()
}

fn bounded(name: &str, count: usize) -> Result<(), Failure> {
    match count {
        1..=LIST_MAX => Ok(()),
        _ => field(name, Err(format!("{count} of them, want 1 to {LIST_MAX}"))),
    }
}
