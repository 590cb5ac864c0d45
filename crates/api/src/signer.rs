//! The signers as the log knows them, and the order that lets one resume whose disk was set back.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A signer in the log.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct SignerView {
    /// The machine.
    pub id: String,
    /// The highest number of its receipts; an order to resume names it and is good for one.
    pub receipts: u64,
    /// The number after which it was last let resume; 0 if never.
    pub resumed: u64,
}

/// All signers.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct SignerList {
    /// The log in which they stand; an order to resume names it too.
    pub origin: String,
    /// The signers.
    pub signers: Vec<SignerView>,
}

/// Body of `POST /v1/signers/resume`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SignerResume {
    /// The machine.
    pub id: String,
    /// The highest number of its receipts in the log.
    pub receipts: u64,
    /// Armoured SSH signatures over the resume digest, namespace `kuraban-resume`, as the policy asks for a reset.
    pub approvals: Vec<String>,
}
