//! May this move? Tiers, policy, roster, quorum, limits and breaker, as pure functions; and the state machines of
//! coordinator, signer and permits, which daemons execute and the simulator runs unchanged.
//!
//! Does no I/O, reads no clock and no randomness: time, random bytes and chain facts are arguments.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

mod approval;
pub mod attestation;
pub mod body;
pub mod breaker;
mod charter;
pub mod coordinator;
pub mod explain;
pub mod fold;
pub mod follow;
pub mod judge;
mod liabilities;
mod outflow;
mod payout;
pub mod permit;
mod policy;
pub mod publication;
mod reason;
pub mod receipt;
mod roster;
pub mod scripts;
pub mod signer;
pub mod statement;
mod vault;
pub mod wire;
mod word;

pub use approval::{APPROVE, Approval, ApprovalError, LIABILITIES, PUBLISH, REQUEST, RESET, RESUME};
pub use charter::{Charter, OrderNeed};
pub use liabilities::{DatedBy, Liabilities};
pub use payout::{DigestContext, Payout, PayoutKind};
pub use policy::{Approvals, Evacuation, Limit, Policy, PolicyError, Rule, VaultPolicy};
pub use publication::Publication;
pub use reason::{Reason, Verdict};
pub use roster::{ApproverKey, Machine, Role, Roster, RosterError};
pub use vault::{Owner, Tier, Vault, VaultError};
pub use word::UnknownWord;
