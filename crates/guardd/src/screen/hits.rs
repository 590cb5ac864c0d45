//! What is known of a key, as answers show it.

use core::cmp::Reverse;

use kuraban_api::{HitView, TaintView};
use kuraban_base::hex;
use kuraban_trace::tags::{
    SubjectKind, Taint,
    store::{Key, View},
    taxonomy,
};

use super::sources::Sources;

/// Every tag on a key that holds now, the surest first.
pub(super) fn hits<'a>(sources: &'a Sources, key: &Key, now_ms: u64) -> Vec<HitView<'a>> {
    let mut hits = Vec::new();
    for (name, store) in sources.iter() {
        let views = store.rows(key).filter_map(|row| store.view(row));
        hits.extend(views.filter_map(|view| shown(name, &view, now_ms)));
    }
    if hits.len() > 1 {
        hits.sort_by(|one, other| order(one).cmp(&order(other)));
    }
    hits
}

type Order<'a> = (Reverse<u8>, &'a str, &'a str, &'a str, &'a str);

const fn order<'a>(hit: &HitView<'a>) -> Order<'a> {
    (Reverse(hit.confidence), hit.label, hit.pack, hit.source, hit.from)
}

/// A tag as it is shown; nothing if it has expired or was taken back.
fn shown<'a>(from: &'a str, view: &View<'a>, now_ms: u64) -> Option<HitView<'a>> {
    let taint = view.taint();
    if taint.as_ref().is_some_and(|taint| !taint.holds(now_ms)) {
        return None;
    }
    let concepts: Vec<&str> = view.concepts.split_whitespace().filter_map(taxonomy::concept).collect();
    Some(HitView {
        label: view.label,
        category: concepts.first().copied().unwrap_or("unknown"),
        source: view.source,
        confidence: view.confidence.level,
        confidence_id: view.confidence.id,
        concepts,
        currency: view.currency,
        tag_type: view.tag_type.name(),
        pack: view.pack,
        creator: view.creator,
        verified: view.verified,
        subject: match view.kind {
            SubjectKind::Address => "address",
            SubjectKind::Tx => "tx",
        },
        from,
        actor: view.actor,
        lastmod: view.lastmod,
        taint: taint.map(|taint| tainted(taint, view)),
    })
}

fn tainted(taint: Taint, view: &View<'_>) -> TaintView {
    let signer = taint.signature.is_some().then(|| {
        let tag = view.to_hit(None)?.tag;
        taint.signer(&tag).map(|key| hex::encode(&key))
    });
    let text = |unit: &str| (taint.unit == unit).then(|| taint.amount.to_string());
    let number = |unit: &str| u64::try_from(taint.amount).ok().filter(|_| taint.unit == unit);
    TaintView {
        tainted_sat: number("sat"),
        tainted_microxem: number("microxem"),
        tainted_wei: text("wei"),
        tainted_drop: text("drop"),
        tainted_unit: text("unit"),
        case: taint.case,
        method: taint.method,
        outpoint: taint.outpoint,
        expires_ms: taint.expires_ms,
        signer,
    }
}
