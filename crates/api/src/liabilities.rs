//! Roots of what an exchange owes to its customers, as they stand in the log.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A block that dates a root.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DatingBlock {
    /// The chain.
    pub chain: String,
    /// The block's height.
    pub height: u64,
    /// Its hash in hexadecimal, as the chain shows it.
    pub hash: String,
}

/// Body of `POST /v1/liabilities`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LiabilitiesSubmit {
    /// The root, 32 bytes in hexadecimal.
    pub root: String,
    /// The digest of the totals, 32 bytes in hexadecimal.
    pub totals: String,
    /// When the holdings were these, in milliseconds since 1970.
    pub as_of_ms: u64,
    /// What dates it.
    pub blocks: Vec<DatingBlock>,
    /// The root of the same liabilities under a veil, 32 bytes in hexadecimal, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub veil: Option<String>,
    /// An armoured SSH signature over the digest, namespace `kuraban-liabilities`.
    pub approval: String,
}

/// A root in the log.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct LiabilitiesView {
    /// The entry's index.
    pub log_index: u64,
    /// The root, 32 bytes in hexadecimal.
    pub root: String,
    /// The digest of the totals, 32 bytes in hexadecimal.
    pub totals: String,
    /// When the holdings were these, in milliseconds since 1970.
    pub as_of_ms: u64,
    /// What dates it.
    pub blocks: Vec<DatingBlock>,
    /// The root of the same liabilities under a veil, 32 bytes in hexadecimal, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub veil: Option<String>,
}

/// All roots.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct LiabilitiesList {
    /// The log in which they stand.
    pub origin: String,
    /// The roots, oldest first.
    pub liabilities: Vec<LiabilitiesView>,
}
