//! Made-up tags by number, the same for every benchmark that needs many.

use kuraban_base::hex;
use kuraban_trace::tags::{Confidence, SubjectKind, Tag, TagType};

/// The address that belongs to a number: small letters, so that no checksum is needed.
pub(crate) fn address(number: u64) -> String {
    let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29) ^ number;
    let bytes = [mixed.to_be_bytes(), number.to_be_bytes()].concat();
    format!("0x{}{:08x}", hex::encode(&bytes), number % 4_294_967_291)
}

/// Every other number has a tag; a thousand labels, as exchanges and services have many addresses each.
pub(crate) fn tag(number: u64) -> Tag {
    let subject = address(number * 2);
    Tag {
        kind: SubjectKind::Address,
        normal: subject.clone(),
        subject,
        verified: true,
        currency: "ETH".to_owned(),
        network: "ETH".to_owned(),
        label: label(number),
        source: format!("https://example.org/{}", number % 1_000),
        confidence: Confidence::UNKNOWN,
        concepts: vec!["exchange"],
        actor: None,
        tag_type: TagType::Actor,
        cluster_definer: false,
        lastmod: Some("2026-11-21".to_owned()),
        context: None,
        taint: None,
    }
}

/// The label of a number's tag.
pub(crate) fn label(number: u64) -> String {
    format!("service {}", number % 1_000)
}
