//! Tags in other people's formats: BIP-329 labels, STIX 2.1 with the public extension for wallets, MISP objects.
//!
//! Decides how a tag is said there, and says nothing that the tag does not. Amounts stay in text: the formats have floats.

use serde_json::{Value, json};
use sha1::{Digest as _, Sha1};

use super::{SubjectKind, Tag};

/// Most characters of a BIP-329 label.
const LABEL_MAX: usize = 255;

/// One BIP-329 label: the tagged output if the tag names one, else the address or transaction. A tainted output is frozen.
/// Nothing for networks without such wallets.
#[must_use]
pub fn bip329(tag: &Tag, now_ms: u64) -> Option<Value> {
    if !matches!(tag.network.as_str(), "BTC" | "LTC" | "BCH") {
        return None;
    }
    let label: String = format!("{} ({})", tag.label, tag.source).chars().take(LABEL_MAX).collect();
    let taint = tag.taint.as_ref();
    if let Some((outpoint, taint)) = taint.and_then(|taint| Some((taint.outpoint.as_ref()?, taint))) {
        // Taken back or expired, it is free again; left out, a wallet would keep it frozen.
        return Some(
            json!({ "type": "output", "ref": outpoint, "label": label, "spendable": !taint.holds(now_ms) }),
        );
    }
    Some(match tag.kind {
        SubjectKind::Address => json!({ "type": "addr", "ref": tag.subject, "label": label }),
        SubjectKind::Tx => json!({ "type": "tx", "ref": tag.normal, "label": label }),
    })
}

/// The public extension's id for wallets and for transactions.
const WALLET: &str = "extension-definition--be78509e-6958-51b1-8b26-d17ee0eba2d7";
const TRANSACTION: &str = "extension-definition--151d042d-4dcf-5e44-843f-1024440318e5";
/// The namespace of STIX 2.1 for ids that follow from content (section 2.9), and ours for notes.
const STIX: [u8; 16] =
    [0x00, 0xab, 0xed, 0xb4, 0xaa, 0x42, 0x46, 0x6c, 0x9c, 0x01, 0xfe, 0xd2, 0x33, 0x15, 0xa9, 0xb7];
const NOTES: [u8; 16] =
    [0x6b, 0x75, 0x72, 0x61, 0x62, 0x61, 0x6e, 0x20, 0x8e, 0x6f, 0x74, 0x65, 0x73, 0x20, 0x76, 0x31];

/// A bundle: a wallet or transaction for each subject, and a note for each tag. `at` is RFC 3339 in UTC with milliseconds.
#[must_use]
pub fn stix(tags: &[Tag], at: &str) -> Value {
    let (mut objects, mut ids) = (Vec::new(), Vec::new());
    let mut seen = std::collections::HashSet::new();
    for tag in tags {
        let (about, object) = observable(tag);
        let note = note(tag, &about, at);
        for (id, object) in [(about, object), note] {
            if seen.insert(id.clone()) {
                objects.push(object);
                ids.push(id);
            }
        }
    }
    let id = uuid(NOTES, &ids.join(" "));
    json!({ "type": "bundle", "id": format!("bundle--{id}"), "objects": objects })
}

fn observable(tag: &Tag) -> (String, Value) {
    let (kind, definition, value) = match tag.kind {
        SubjectKind::Address => ("cryptocurrency-wallet", WALLET, &tag.subject),
        SubjectKind::Tx => ("cryptocurrency-transaction", TRANSACTION, &tag.normal),
    };
    // The extension's own examples take the value alone for a name, without the symbol.
    let id = format!("{kind}--{}", uuid(STIX, value));
    let mut object = json!({
        "type": kind,
        "spec_version": "2.1",
        "id": id,
        "value": value,
        "extensions": { definition: { "extension_type": "new-sco" } },
    });
    if let (Some(fields), SubjectKind::Tx) = (object.as_object_mut(), tag.kind) {
        fields.insert("symbol".to_owned(), json!(tag.currency));
    }
    (id, object)
}

fn note(tag: &Tag, about: &str, at: &str) -> (String, Value) {
    let mut content = format!(
        "{} on {}: {}. Source: {}. Confidence: {} ({} of 100).",
        tag.currency, tag.network, tag.label, tag.source, tag.confidence.id, tag.confidence.level
    );
    if let Some(taint) = &tag.taint {
        content += &format!(" {}.", taint.to_line());
    }
    let id = format!("note--{}", uuid(NOTES, &format!("{about} {content}")));
    let note = json!({
        "type": "note",
        "spec_version": "2.1",
        "id": id,
        "created": at,
        "modified": at,
        "abstract": tag.label,
        "content": content,
        "confidence": tag.confidence.level,
        "labels": tag.concepts,
        "object_refs": [about],
    });
    (id, note)
}

/// A UUID that follows from a name (RFC 9562, version 5).
fn uuid(namespace: [u8; 16], name: &str) -> String {
    let hash: [u8; 20] = Sha1::new().chain_update(namespace).chain_update(name).finalize().into();
    let [a, b, c, d, e, f, version, g, variant, h, i, j, k, l, m, n, ..] = hash;
    let bytes = [a, b, c, d, e, f, version & 0x0f | 0x50, g, variant & 0x3f | 0x80, h, i, j, k, l, m, n];
    let digits = kuraban_base::hex::encode(&bytes);
    let parts =
        [0..8, 8..12, 12..16, 16..20, 20..32].map(|part| digits.get(part).unwrap_or_default().to_owned());
    parts.join("-")
}

/// A list of MISP objects: `coin-address` version 7 and `cryptocurrency-transaction` version 3.
#[must_use]
pub fn misp(tags: &[Tag]) -> Value {
    let objects: Vec<Value> = tags.iter().map(misp_object).collect();
    json!({ "Object": objects })
}

fn misp_object(tag: &Tag) -> Value {
    let (name, template, version, relation, kind) = match (tag.kind, tag.network.as_str()) {
        (SubjectKind::Address, "BTC") => {
            ("coin-address", "d0e6997e-78da-4815-a6a1-cfc1c1cb8a46", "7", "address", "btc")
        }
        (SubjectKind::Address, "XMR") => {
            ("coin-address", "d0e6997e-78da-4815-a6a1-cfc1c1cb8a46", "7", "address-xmr", "xmr")
        }
        (SubjectKind::Address, _) => {
            ("coin-address", "d0e6997e-78da-4815-a6a1-cfc1c1cb8a46", "7", "address-crypto", "text")
        }
        (SubjectKind::Tx, _) => (
            "cryptocurrency-transaction",
            "a4aab70f-e43a-48cb-bf82-505de8228dd6",
            "3",
            "transaction-number",
            "text",
        ),
    };
    let mut attributes = vec![
        json!({ "object_relation": relation, "type": kind, "value": tag.subject }),
        json!({ "object_relation": "symbol", "type": "text", "value": tag.currency }),
    ];
    let mut comment = format!("{} ({}, {})", tag.label, tag.source, tag.confidence.id);
    if let Some(taint) = &tag.taint {
        comment += &format!("; {}", taint.to_line());
    }
    if tag.kind == SubjectKind::Address {
        attributes.push(json!({ "object_relation": "text", "type": "text", "value": comment }));
    }
    json!({
        "name": name,
        "meta-category": "financial",
        "template_uuid": template,
        "template_version": version,
        "comment": comment,
        "Attribute": attributes,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_those_of_the_extensions_examples() {
        let check = |name: &str, want: &str| assert_eq!(uuid(STIX, name), want);
        check("1KFHE7w8BhaENAswwryaoccDb6qcT6DbYY", "b6ae6083-875f-5fe9-84b9-89e168f89406");
        check("3FZbgi29cpjq2GjdwV8eyHuJJnkLtktZc5", "d3b3642a-9759-5078-9fae-3a868238889c");
    }
}
