//! A tag where it lies in a store: text is borrowed, so that answering copies nothing that is not asked for.
//!
//! Decides nothing that [`super::Store`] has not decided.

use super::{Hit, Store};
use crate::tags::{SubjectKind, Tag, TagType, Taint, address, taxonomy, taxonomy::Confidence};

/// A tag of a store.
#[derive(Clone, Copy)]
pub struct View<'a> {
    pub(super) store: &'a Store,
    /// Where the subject is: it is read when it is asked for, because it lies apart from the rest.
    pub(super) place: u32,
    /// What it is on.
    pub kind: SubjectKind,
    /// Whether the subject's form was verified.
    pub verified: bool,
    /// The asset, in capitals.
    pub currency: &'a str,
    /// The chain, in capitals.
    pub network: &'a str,
    /// What is said.
    pub label: &'a str,
    /// Where it is said.
    pub source: &'a str,
    /// How sure.
    pub confidence: Confidence,
    /// Of the taxonomy, with a blank between them.
    pub concepts: &'a str,
    /// Who is meant, by the id of an actor pack.
    pub actor: Option<&'a str>,
    /// What it speaks of.
    pub tag_type: TagType,
    /// Whether it holds for a whole cluster.
    pub cluster_definer: bool,
    /// When it was last changed, as the pack has it.
    pub lastmod: Option<&'a str>,
    /// More about it: JSON.
    pub context: Option<&'a str>,
    /// The pack's title.
    pub pack: &'a str,
    /// Who made the pack.
    pub creator: &'a str,
}

impl<'a> View<'a> {
    /// The address or the transaction's id as the pack has it.
    #[must_use]
    pub fn subject(&self) -> Option<&'a str> {
        self.store.subject(self.place)
    }

    /// What the context says of taint.
    #[must_use]
    pub fn taint(&self) -> Option<Taint> {
        let context = serde_json::from_str(self.context?).ok()?;
        Taint::of_context(&context).ok().flatten()
    }

    /// The tag by itself; its subject's one form is found anew where it is not given.
    #[must_use]
    pub fn to_hit(&self, normal: Option<&str>) -> Option<Hit> {
        let subject = self.subject()?;
        let normal = match (normal, self.kind) {
            (Some(normal), _) => normal.to_owned(),
            (None, SubjectKind::Address) => address::address(self.network, subject).ok()?.normal,
            (None, SubjectKind::Tx) => address::tx_hash(self.network, subject).ok()?.normal,
        };
        let tag = Tag {
            kind: self.kind,
            subject: subject.to_owned(),
            normal,
            verified: self.verified,
            currency: self.currency.to_owned(),
            network: self.network.to_owned(),
            label: self.label.to_owned(),
            source: self.source.to_owned(),
            confidence: self.confidence,
            concepts: self.concepts.split_whitespace().filter_map(taxonomy::concept).collect(),
            actor: self.actor.map(str::to_owned),
            tag_type: self.tag_type,
            cluster_definer: self.cluster_definer,
            lastmod: self.lastmod.map(str::to_owned),
            context: self.context.map(str::to_owned),
            taint: self.taint(),
        };
        Some(Hit { tag, pack: self.pack.to_owned(), creator: self.creator.to_owned() })
    }
}
