//! What is known of a key, as answers show it.

use core::cmp::Reverse;

use kuraban_api::{HitView, TaintView};
use kuraban_base::hex;
use kuraban_trace::tags::{
    SubjectKind, Taint,
    store::{Key, View},
    taxonomy,
};

use super::{config::FEED, feed::LiveTag, sources::Sources};

/// Every tag on a key that holds now, the surest first.
pub(super) fn hits<'a>(sources: &'a Sources, key: &Key, now_ms: u64) -> Vec<HitView<'a>> {
    let mut hits = Vec::new();
    for (name, store) in sources.iter() {
        let views = store.rows(key).filter_map(|row| store.view(row));
        hits.extend(views.filter_map(|view| shown(name, &view, now_ms)));
    }
    if let Some(live) = &sources.live {
        hits.extend(live.on(key).iter().filter_map(|tag| of_feed(tag, now_ms)));
    }
    if hits.len() > 1 {
        hits.sort_by(|one, other| order(one).cmp(&order(other)));
    }
    hits
}

type Order<'a> = (Reverse<u8>, &'a str, &'a str, &'a str, &'a str, Option<u64>);

const fn order<'a>(hit: &HitView<'a>) -> Order<'a> {
    (Reverse(hit.confidence), hit.label, hit.pack, hit.source, hit.from, hit.feed_number)
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
        subject: word(view.kind),
        from,
        actor: view.actor,
        lastmod: view.lastmod,
        feed_number: None,
        appealed: None,
        taint: taint.map(|taint| {
            let signer = taint.signature.is_some().then(|| {
                let tag = view.to_hit(None)?.tag;
                taint.signer(&tag).map(|key| hex::encode(&key))
            });
            tainted(&taint, signer)
        }),
    })
}

/// A tag of the feed as it is shown; nothing if it has expired.
fn of_feed(live: &LiveTag, now_ms: u64) -> Option<HitView<'_>> {
    let tag = &live.tag;
    if tag.taint.as_ref().is_some_and(|taint| !taint.holds(now_ms)) {
        return None;
    }
    Some(HitView {
        label: &tag.label,
        category: tag.concepts.first().copied().unwrap_or("unknown"),
        source: &tag.source,
        confidence: tag.confidence.level,
        confidence_id: tag.confidence.id,
        concepts: tag.concepts.clone(),
        currency: &tag.currency,
        tag_type: tag.tag_type.name(),
        pack: "",
        creator: "",
        verified: tag.verified,
        subject: word(tag.kind),
        from: FEED,
        actor: None,
        lastmod: None,
        feed_number: Some(live.number),
        appealed: live.appeal.as_deref(),
        taint: tag.taint.as_ref().map(|taint| tainted(taint, None)),
    })
}

const fn word(kind: SubjectKind) -> &'static str {
    match kind {
        SubjectKind::Address => "address",
        SubjectKind::Tx => "tx",
    }
}

fn tainted(taint: &Taint, signer: Option<Option<String>>) -> TaintView {
    let of = |unit: &str| taint.unit == unit;
    let text =
        |unit: &str, amount: Option<u128>| amount.filter(|_| of(unit)).map(|amount| amount.to_string());
    let number = |unit: &str, amount: Option<u128>| u64::try_from(amount.filter(|_| of(unit))?).ok();
    let (least, most) = (Some(taint.amount), taint.most);
    TaintView {
        case: taint.case.clone(),
        method: taint.method.clone(),
        tainted_sat: number("sat", least),
        tainted_sat_max: number("sat", most),
        tainted_microxem: number("microxem", least),
        tainted_microxem_max: number("microxem", most),
        tainted_wei: text("wei", least),
        tainted_wei_max: text("wei", most),
        tainted_drop: text("drop", least),
        tainted_drop_max: text("drop", most),
        tainted_unit: text("unit", least),
        tainted_unit_max: text("unit", most),
        outpoint: taint.outpoint.clone(),
        expires_ms: taint.expires_ms,
        signer,
    }
}
