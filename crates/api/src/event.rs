//! What happened, as the event stream tells it, and what opens a log entry.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// One log entry, as an event of `GET /v1/events`. The event's id is `log_index`, its name is `kind`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct EventView {
    /// The entry's index.
    pub log_index: u64,
    /// When, by the writer's clock; milliseconds since 1970-01-01 UTC.
    pub at_ms: u64,
    /// The entry's kind, such as `payout.confirmed` or `alarm.raised`.
    pub kind: String,
    /// The payout concerned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payout: Option<String>,
    /// The transaction concerned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub txid: Option<String>,
    /// The machine that states it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// In words, where there is more to say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// What opens the commitment of one log entry. For approvers and auditors, never for the public.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct OpeningView {
    /// The entry's index.
    pub log_index: u64,
    /// The commitment's salt, 32 bytes in hexadecimal.
    pub salt: String,
    /// The body's bytes in hexadecimal: the commitment is SHA-256(salt ‖ body).
    pub body: String,
}
