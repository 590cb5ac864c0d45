//! What went wrong, as a problem document (RFC 9457), and why something was refused.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// One broken rule.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct ReasonView {
    /// The stable code; `docs/reasons.md` says what to do.
    pub code: String,
    /// In words.
    pub detail: String,
}

/// A problem document (RFC 9457 §3), media type `application/problem+json`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// Names the kind of problem: `urn:kuraban:problem:` and the code.
    #[serde(rename = "type")]
    pub kind: String,
    /// The kind in words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// This case in words.
    pub detail: String,
    /// The stable code.
    pub code: String,
    /// Every broken rule, in rule order, where the policy refuses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<ReasonView>,
}

impl Problem {
    /// The media type of problem documents.
    pub const MEDIA_TYPE: &'static str = "application/problem+json";

    /// A problem without reasons.
    #[must_use]
    pub fn new(status: u16, code: &str, title: &str, detail: String) -> Self {
        Self {
            kind: format!("urn:kuraban:problem:{code}"),
            title: title.to_owned(),
            status,
            detail,
            code: code.to_owned(),
            reasons: Vec::new(),
        }
    }
}
