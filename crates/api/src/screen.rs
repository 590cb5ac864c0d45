//! Screening: what is asked of addresses and what is answered. A clean address is answered 200 with no hits; a row that
//! cannot be read bears a problem in the place of its hits, and the other rows are answered.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Problem;

/// Many subjects in one request: 1 to 10,000.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ScreenMany {
    /// In the order in which they are answered.
    pub subjects: Vec<Subject>,
}

/// An address or a transaction's id, and its chain.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Subject {
    /// The chain, as packs name it: `btc`, `ltc`, `bch`, `eth`, `xrp`, `trx` …
    pub chain: String,
    /// The address; 32 bytes in hexadecimal are a transaction's id.
    pub address: String,
}

/// One tag on what was asked for.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
pub struct HitView<'a> {
    /// What is said.
    pub label: &'a str,
    /// The first concept.
    pub category: &'a str,
    /// Where it is said.
    pub source: &'a str,
    /// How sure, 0 to 100.
    pub confidence: u8,
    /// How sure, by the taxonomy's name.
    pub confidence_id: &'a str,
    /// Of the taxonomy.
    pub concepts: Vec<&'a str>,
    /// The asset, in capitals.
    pub currency: &'a str,
    /// `actor`, `event`, `attribute` or `mention`.
    pub tag_type: &'a str,
    /// The pack's title.
    pub pack: &'a str,
    /// Who made the pack.
    pub creator: &'a str,
    /// Whether the subject's form was verified.
    pub verified: bool,
    /// `address` or `tx`.
    pub subject: &'a str,
    /// The name of the source in `freshness`.
    pub from: &'a str,
    /// Who is meant, by the id of an actor pack.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actor: Option<&'a str>,
    /// When it was last changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lastmod: Option<&'a str>,
    /// The tag's place in the feed: what an appeal names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub feed_number: Option<u64>,
    /// What is appealed against it, as the feed says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub appealed: Option<&'a str>,
    /// What it says of stolen coins.
    #[serde(flatten)]
    pub taint: Option<TaintView>,
}

/// What a tag says of stolen coins.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
pub struct TaintView {
    /// The theft.
    pub case: String,
    /// By which method the taint was followed.
    pub method: String,
    /// Satoshi.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tainted_sat: Option<u64>,
    /// The most over several methods, where the method is `span`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tainted_sat_max: Option<u64>,
    /// Millionths of a XEM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tainted_microxem: Option<u64>,
    /// The most over several methods, where the method is `span`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tainted_microxem_max: Option<u64>,
    /// Wei, as text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tainted_wei: Option<String>,
    /// The most over several methods, where the method is `span`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tainted_wei_max: Option<String>,
    /// Drops, as text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tainted_drop: Option<String>,
    /// The most over several methods, where the method is `span`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tainted_drop_max: Option<String>,
    /// Base units of another asset, as text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tainted_unit: Option<String>,
    /// The most over several methods, where the method is `span`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tainted_unit_max: Option<String>,
    /// `txid:index`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outpoint: Option<String>,
    /// From then on the tag says nothing; milliseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_ms: Option<u64>,
    /// The Ed25519 key whose signature holds; null where there is a signature that does not hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub signer: Option<Option<String>>,
}

/// What is known of one subject.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
pub struct Screened<'a> {
    /// The chain as it was asked for, in small letters.
    pub chain: &'a str,
    /// The address as it was asked for.
    pub address: &'a str,
    /// Every tag that holds now, the surest first; none for a clean address.
    pub hits: Vec<HitView<'a>>,
    /// How fresh the sources are.
    pub freshness: Freshness<'a>,
}

/// One row's answer: hits, or why there are none.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
pub struct RowView<'a> {
    /// The chain as it was asked for.
    pub chain: &'a str,
    /// The address as it was asked for.
    pub address: &'a str,
    /// Every tag that holds now, the surest first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hits: Option<Vec<HitView<'a>>>,
    /// Why this row could not be answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<Problem>,
}

/// The answers to many subjects, in the order asked.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
pub struct ManyScreened<'a> {
    /// One for each subject.
    pub answers: Vec<RowView<'a>>,
    /// How fresh the sources are.
    pub freshness: Freshness<'a>,
}

/// How fresh an answer is.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
pub struct Freshness<'a> {
    /// When it was answered; milliseconds since 1970.
    pub at_ms: u64,
    /// The stores.
    #[schema(value_type = Vec<SourceView>)]
    pub stores: &'a [SourceView],
    /// The feed, where one is followed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub feed: Option<FeedView<'a>>,
}

/// A store of imported packs.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
pub struct SourceView {
    /// Its name.
    pub name: String,
    /// How many tags it has.
    pub tags: u64,
    /// SHA-256 of it, in hexadecimal.
    pub sha256: String,
    /// When it was written; milliseconds since 1970.
    pub written_ms: u64,
    /// When it was taken up; milliseconds since 1970.
    pub loaded_ms: u64,
}

/// A feed that is followed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
pub struct FeedView<'a> {
    /// The log's origin.
    pub origin: &'a str,
    /// Entries that were verified and taken up.
    pub size: u64,
    /// Its root at that size, in hexadecimal.
    pub root: &'a str,
    /// `following`; `silent`: the upstream does not answer; `refused`: what it answers does not verify; `forked`: its key
    /// signed two histories. In all of them what was verified before stands.
    pub state: &'a str,
    /// When the newest entry was made, as it says; milliseconds since 1970. Null where there is none.
    pub entry_ms: Option<u64>,
    /// When the upstream last confirmed this size or a larger one; milliseconds since 1970. Null before the first time.
    pub checked_ms: Option<u64>,
    /// Milliseconds from then to the answer.
    pub age_ms: Option<u64>,
}

/// How to ask without naming addresses.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
pub struct PrivateTerms<'a> {
    /// What the prefix is of.
    pub hash: &'a str,
    /// Fewest bits of a prefix: fewer would be too long an answer.
    pub bits_min: u32,
    /// Most bits of a prefix: more would say too much of the address.
    pub bits_max: u32,
    /// Each bucket of `bits_max` bits has at least so many different subjects.
    pub subjects_min: u64,
    /// Of so many addresses one that has no tag is found in the filter.
    pub filter_false_one_in: u64,
    /// How fresh the sources are.
    pub freshness: Freshness<'a>,
}

/// Everything whose key begins with a prefix.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
pub struct Bucket<'a> {
    /// Bits of the prefix.
    pub bits: u32,
    /// The prefix in hexadecimal.
    pub prefix: &'a str,
    /// Every subject in it that has a tag that holds now, in the order of keys.
    pub entries: Vec<BucketEntry<'a>>,
    /// How fresh the sources are.
    pub freshness: Freshness<'a>,
}

/// One subject of a bucket.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
pub struct BucketEntry<'a> {
    /// The first 16 bytes of the hash, in hexadecimal: compare them with those of the addresses that are meant.
    pub key: &'a str,
    /// Every tag that holds now, the surest first.
    pub hits: Vec<HitView<'a>>,
}
