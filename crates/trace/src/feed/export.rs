//! What a feed says at a time, as tags of packs and stores.
//!
//! Decides how a tag of the feed is said there; what a pack has no field for stands in the taint of its context.

use kuraban_base::Instant;

use super::{
    Standing,
    entry::{Chain, Reach, Since, Tag, Taint},
    standing::{Case, place},
};
use crate::tags::{self, SubjectKind, TagType, taint::SPAN};

impl Standing {
    /// A tag that was not taken back, expired or not, as one of a pack.
    #[must_use]
    pub fn exported(&self, number: u64) -> Option<tags::Tag> {
        let tag = self.tag(number)?;
        exported(number, tag, self.case(&tag.case)?)
    }

    /// The tags that hold at a time, in the order in which they were given.
    pub fn export(&self, now: Instant) -> impl Iterator<Item = tags::Tag> {
        self.live(now).filter_map(|(number, tag)| exported(number, tag, self.case(&tag.case)?))
    }
}

/// The unit's name in a tag's taint.
fn unit(case: &Case) -> &'static str {
    if case.opened.token.is_some() { "unit" } else { case.opened.chain.unit() }
}

/// A tag of the feed as one of a pack. Its label names the output: several outputs of one address are several tags.
fn exported(number: u64, tag: &Tag, case: &Case) -> Option<tags::Tag> {
    let opened = &case.opened;
    let (kind, normal) = place(opened.chain, &tag.subject).ok()?;
    let normal = String::from(normal);
    let subject = match kind {
        SubjectKind::Address => tag.subject.address().unwrap_or_default().to_owned(),
        SubjectKind::Tx => normal.clone(),
    };
    let (method, amount, most) = match tag.taint {
        Taint::Span { least, most } => (SPAN, least, Some(most)),
        Taint::By { method, units } => (method.name(), units, None),
    };
    let taint = tags::Taint {
        case: tag.case.as_str().to_owned(),
        method: method.to_owned(),
        amount,
        most,
        unit: unit(case).to_owned(),
        outpoint: tag.subject.outpoint(),
        expires_ms: tag.expires.map(Instant::ms),
        revoked: None,
        sequence: Some(number),
        signature: None,
    };
    let network = opened.chain.network();
    let verified = match opened.chain {
        Chain::Family(_) => true,
        Chain::Accounts(chain) => match kind {
            SubjectKind::Address => {
                Chain::Accounts(chain).address(&subject).is_ok_and(|checked| checked.verified)
            }
            SubjectKind::Tx => true,
        },
    };
    Some(tags::Tag {
        kind,
        subject,
        normal,
        verified,
        currency: opened
            .token
            .as_ref()
            .map_or_else(|| network.clone(), |token| token.as_str().to_ascii_uppercase()),
        network,
        label: label(tag, case),
        source: opened.source.as_str().to_owned(),
        confidence: tag.confidence,
        concepts: vec![opened.concept],
        actor: None,
        tag_type: TagType::Event,
        cluster_definer: false,
        lastmod: None,
        context: Some(taint.to_context().to_string()),
        taint: Some(taint),
    })
}

fn label(tag: &Tag, case: &Case) -> String {
    let mut label = format!("{}: {}", case.opened.label, tag.case);
    if let Some(outpoint) = tag.subject.outpoint() {
        label += &format!(" in {outpoint}");
    }
    match &tag.reach {
        Reach::Followed => {}
        Reach::HandedOver { to } => label += &format!(", handed over to {to}"),
    }
    match tag.since {
        Since::Mempool => label += ", unconfirmed",
        Since::Block(_) => {}
    }
    label
}
