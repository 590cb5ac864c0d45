//! The breaker and the alarms that tighten it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// One cell of the breaker's matrix.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CellName {
    /// The service, such as `withdrawal`.
    pub service: String,
    /// The asset's ticker.
    pub asset: String,
}

/// A cell that is not open.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct CellView {
    /// The service, such as `withdrawal`.
    pub service: String,
    /// The asset's ticker.
    pub asset: String,
    /// `delayed`, `reduce-only` or `closed`.
    pub stage: String,
}

/// The breaker. Cells that are not listed are open.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct BreakerView {
    /// How many changes it has seen; an order to loosen names it and is good for one.
    pub epoch: u64,
    /// The log whose breaker it is; the order names it too.
    pub origin: String,
    /// Cells that are not open.
    pub tightened: Vec<CellView>,
}

/// Body of `POST /v1/breaker/reset`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BreakerReset {
    /// The cells to open.
    pub cells: Vec<CellName>,
    /// The epoch that is left behind.
    pub epoch: u64,
    /// Armoured SSH signatures over the reset digest, namespace `kuraban-reset`, as the policy asks.
    pub approvals: Vec<String>,
}

/// The order to loosen stands in the log, on disk.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct ResetAccepted {
    /// The epoch that was left behind.
    pub epoch: u64,
}

/// Something a watcher saw that must not be.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct AlarmView {
    /// Its place among all alarms, from zero.
    pub number: u64,
    /// The watcher.
    pub by: String,
    /// The rule that fired.
    pub rule: String,
    /// What it fired on.
    pub subject: String,
    /// The asset's ticker.
    pub asset: String,
    /// In words.
    pub detail: String,
    /// When, by the watcher's clock; milliseconds since 1970-01-01 UTC.
    pub at_ms: u64,
    /// The transaction that is the evidence, in hexadecimal.
    pub evidence_tx: Option<String>,
}

/// One page of alarms, oldest first.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct AlarmList {
    /// The alarms.
    pub alarms: Vec<AlarmView>,
    /// Pass it as `from` for the next page; absent on the last.
    pub next: Option<u64>,
}
