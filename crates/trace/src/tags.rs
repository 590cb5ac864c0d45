//! Tags: what somebody says of an address or a transaction, with who says it, why, and how sure.
//!
//! Decides whether a tag can be read and looked up; never whether it is true. Tags that contradict each other stand side by
//! side, each with its source.

pub mod actor;
pub mod address;
pub mod export;
pub mod filter;
pub mod ofac;
pub mod pack;
pub mod store;
pub mod taint;
pub mod taxonomy;
pub mod yaml;

pub use actor::{Actor, ActorPack};
pub use pack::{Notes, Pack, PackError, Reject};
pub use store::{Hit, Store, StoreError};
pub use taint::Taint;
pub use taxonomy::{Confidence, TagType};

/// What a tag is on.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum SubjectKind {
    /// An address.
    Address,
    /// A transaction.
    Tx,
}

impl SubjectKind {
    /// The field of packs that holds it.
    #[must_use]
    pub const fn field(self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::Tx => "tx_hash",
        }
    }
}

/// A tag whose fields have been read. Text is as the pack has it, without blanks around it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Tag {
    /// What it is on.
    pub kind: SubjectKind,
    /// The address or the transaction's id as the pack has it.
    pub subject: String,
    /// The form under which it is looked up.
    pub normal: String,
    /// Whether the subject's form was verified.
    pub verified: bool,
    /// The asset, in capitals.
    pub currency: String,
    /// The chain, in capitals.
    pub network: String,
    /// What is said.
    pub label: String,
    /// Where it is said.
    pub source: String,
    /// How sure.
    pub confidence: Confidence,
    /// Of the taxonomy: `category` and `abuse` first, then `concepts`.
    pub concepts: Vec<&'static str>,
    /// Who is meant, by the id of an actor pack.
    pub actor: Option<String>,
    /// What it speaks of.
    pub tag_type: TagType,
    /// Whether it holds for a whole cluster.
    pub cluster_definer: bool,
    /// When it was last changed, as the pack has it.
    pub lastmod: Option<String>,
    /// More about it: JSON.
    pub context: Option<String>,
    /// What the context says of taint.
    pub taint: Option<Taint>,
}
