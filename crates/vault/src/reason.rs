//! Reasons to refuse. Each has a stable code and a row in `docs/reasons.md` with what the operator should do.

use core::fmt;

use kuraban_base::{Amount, GroupId, Instant, PersonId};
use kuraban_chain::btc::OutPoint;

use crate::{breaker::Stage, receipt::RECEIPT_MS};

/// One broken rule. A refusal lists them all, in the order of this enum.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Reason {
    /// Something that judging needs was not given.
    NotJudged { what: &'static str },
    /// The payout names another chain than the vault is on.
    OtherNetwork { found: String, want: String },
    /// The payout names another vault.
    OtherVault { found: String, want: String },
    /// Nobody who is on the roster signed the request.
    RequestUnsigned { problem: String },
    /// No rule of the policy matches.
    NoRule { kind: &'static str, amount: Amount },
    /// The rule that governs lists destinations, and this is not one.
    DestinationNotListed { rule: String, destination: String },
    /// The amount is zero or below what the network relays.
    AmountTooSmall { amount: Amount, min: Amount },
    /// One payout takes out more than the vault allows at once.
    LimitPerPayout { outflow: Amount, max: Amount },
    /// What may have left within the last 24 hours and this are more than the vault allows.
    LimitRolling { before: Amount, outflow: Amount, max: Amount },
    /// The time to sign has not come.
    NotYetValid { now: Instant, not_before: Instant },
    /// The time to sign is over.
    Expired { now: Instant, expiry: Instant },
    /// An approval does not verify.
    ApprovalInvalid { problem: String },
    /// An approval signs something else.
    ApprovalOther { problem: String },
    /// An approval by a key that nobody on the roster holds.
    ApprovalUnknownKey { key: String },
    /// The requester approved too; it does not count.
    RequesterApproves { person: PersonId },
    /// One person approved twice; it counts once.
    ApprovalRepeated { person: PersonId },
    /// Too few approvals of a group.
    ApprovalsMissing { group: GroupId, have: usize, want: u16 },
    /// The transaction cannot be what was approved: no inputs, or locked to a later time.
    TransactionForm { problem: &'static str },
    /// A previous transaction was not given, so an input's amount is not proven.
    InputUnproven { input: OutPoint },
    /// An input is not the vault's.
    InputNotOwn { input: OutPoint },
    /// The transaction pays nobody but the vault.
    PaymentMissing { destination: String, amount: Amount },
    /// The payment goes somewhere else than was approved.
    DestinationNotApproved { found: String, want: String },
    /// Where the payment goes looks like the approved destination and is not.
    DestinationImitates { found: String, want: String, prefix: usize, suffix: usize },
    /// The payment is of another amount than was approved.
    AmountNotApproved { found: Amount, want: Amount },
    /// An output that is neither the payment nor change.
    OutputUnknown { vout: usize, value: Amount, destination: String },
    /// A second change output.
    ChangeRepeated { vout: usize },
    /// Change that is not worth spending.
    ChangeDust { vout: usize, value: Amount, min: Amount },
    /// Change on a branch or index where the vault would not look for it.
    ChangeIndex { vout: usize, index: u32, max: u32 },
    /// Inputs are worth less than outputs.
    FeeNegative { inputs: Amount, outputs: Amount },
    /// The fee is above the payout's own cap or the vault's.
    FeeAboveCap { fee: Amount, max: Amount },
    /// The fee per 1,000 virtual bytes is above the vault's cap.
    FeeRateAboveCap { rate: Amount, max: Amount },
    /// An evacuation without a standing order, or to another destination.
    EvacuationNotOrdered { problem: &'static str },
    /// An evacuation without evidence that verifies.
    EvacuationNoEvidence { problem: String },
    /// An attestation that would move something.
    AttestationValue { amount: Amount, fee_cap: Amount },
    /// An attestation over no challenge, another's, or one that is not fresh.
    AttestationChallenge { problem: String },
    /// An attestation's transaction is not the one that its challenge demands: it could be mined.
    AttestationMinable { problem: &'static str },
    /// The breaker is not open for withdrawals of the asset.
    BreakerClosed { stage: Stage },
    /// The payout has ended.
    PayoutEnded { status: &'static str },
    /// A transaction that does not conflict with one that was signed before for the same payout.
    TransactionOther { earlier: String },
    /// The checkpoint has too few cosignatures.
    LogNotWitnessed { problem: String },
    /// The payout is not in the log that was co-signed.
    LogNotIncluded { problem: String },
    /// Own clock and the witnesses' disagree.
    ClockDisagrees { own: Instant, witnesses: Instant },
    /// No lease of a watcher that holds.
    LeaseInvalid { problem: String },
    /// The signer gave its receipt too long ago to sign on the strength of it.
    ReceiptLapsed { at: Instant, now: Instant },
    /// The signer has started, and nobody has shown it yet that its store is the latest.
    SignerFrozen { problem: String },
    /// The log has receipts of this signer that its store lacks: the store was set back.
    SignerRestored { logged: u64, stored: u64 },
}

impl Reason {
    /// The stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NotJudged { .. } => "not-judged",
            Self::OtherNetwork { .. } => "other-network",
            Self::OtherVault { .. } => "other-vault",
            Self::RequestUnsigned { .. } => "request-unsigned",
            Self::NoRule { .. } => "no-rule",
            Self::DestinationNotListed { .. } => "destination-not-listed",
            Self::AmountTooSmall { .. } => "amount-too-small",
            Self::LimitPerPayout { .. } => "limit-per-payout",
            Self::LimitRolling { .. } => "limit-rolling",
            Self::NotYetValid { .. } => "not-yet-valid",
            Self::Expired { .. } => "expired",
            Self::ApprovalInvalid { .. } => "approval-invalid",
            Self::ApprovalOther { .. } => "approval-other",
            Self::ApprovalUnknownKey { .. } => "approval-unknown-key",
            Self::RequesterApproves { .. } => "requester-approves",
            Self::ApprovalRepeated { .. } => "approval-repeated",
            Self::ApprovalsMissing { .. } => "approvals-missing",
            Self::TransactionForm { .. } => "transaction-form",
            Self::InputUnproven { .. } => "input-unproven",
            Self::InputNotOwn { .. } => "input-not-own",
            Self::PaymentMissing { .. } => "payment-missing",
            Self::DestinationNotApproved { .. } => "destination-not-approved",
            Self::DestinationImitates { .. } => "destination-imitates",
            Self::AmountNotApproved { .. } => "amount-not-approved",
            Self::OutputUnknown { .. } => "output-unknown",
            Self::ChangeRepeated { .. } => "change-repeated",
            Self::ChangeDust { .. } => "change-dust",
            Self::ChangeIndex { .. } => "change-index",
            Self::FeeNegative { .. } => "fee-negative",
            Self::FeeAboveCap { .. } => "fee-above-cap",
            Self::FeeRateAboveCap { .. } => "fee-rate-above-cap",
            Self::EvacuationNotOrdered { .. } => "evacuation-not-ordered",
            Self::EvacuationNoEvidence { .. } => "evacuation-no-evidence",
            Self::AttestationValue { .. } => "attestation-value",
            Self::AttestationChallenge { .. } => "attestation-challenge",
            Self::AttestationMinable { .. } => "attestation-minable",
            Self::BreakerClosed { .. } => "breaker-closed",
            Self::PayoutEnded { .. } => "payout-ended",
            Self::TransactionOther { .. } => "transaction-other",
            Self::LogNotWitnessed { .. } => "log-not-witnessed",
            Self::LogNotIncluded { .. } => "log-not-included",
            Self::ClockDisagrees { .. } => "clock-disagrees",
            Self::LeaseInvalid { .. } => "lease-invalid",
            Self::ReceiptLapsed { .. } => "receipt-lapsed",
            Self::SignerFrozen { .. } => "signer-frozen",
            Self::SignerRestored { .. } => "signer-restored",
        }
    }
}

impl fmt::Display for Reason {
    #[expect(clippy::too_many_lines, reason = "one line per reason")]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotJudged { what } => write!(f, "{what} was not given, so it could not be judged"),
            Self::OtherNetwork { found, want } => write!(f, "the payout is on {found}, the vault on {want}"),
            Self::OtherVault { found, want } => write!(f, "the payout is from vault {found}, this is {want}"),
            Self::RequestUnsigned { problem } => {
                write!(f, "the request is not signed by a requester: {problem}")
            }
            Self::NoRule { kind, amount } => write!(f, "no rule of the policy matches a {kind} of {amount}"),
            Self::DestinationNotListed { rule, destination } => {
                write!(f, "rule {rule} does not list destination {destination}")
            }
            Self::AmountTooSmall { amount, min } => write!(f, "the amount is {amount}, want at least {min}"),
            Self::LimitPerPayout { outflow, max } => write!(f, "takes out {outflow} at once, at most {max}"),
            Self::LimitRolling { before, outflow, max } => {
                write!(f, "takes out {outflow} after {before} within 24 hours, at most {max} together")
            }
            Self::NotYetValid { now, not_before } => write!(f, "it is {now}, valid from {not_before}"),
            Self::Expired { now, expiry } => write!(f, "it is {now}, valid until {expiry}"),
            Self::ApprovalInvalid { problem } => write!(f, "an approval does not verify: {problem}"),
            Self::ApprovalOther { problem } => write!(f, "an approval is for something else: {problem}"),
            Self::ApprovalUnknownKey { key } => write!(f, "approval key {key} is nobody's on the roster"),
            Self::RequesterApproves { person } => {
                write!(f, "{person} requested it and does not count as approver")
            }
            Self::ApprovalRepeated { person } => write!(f, "{person} approved twice and counts once"),
            Self::ApprovalsMissing { group, have, want } => {
                write!(f, "{have} approvals of group {group}, want {want}")
            }
            Self::TransactionForm { problem } => f.write_str(problem),
            Self::InputUnproven { input } => {
                write!(f, "the previous transaction of input {input} was not given, its amount is not proven")
            }
            Self::InputNotOwn { input } => write!(f, "input {input} is not the vault's"),
            Self::PaymentMissing { destination, amount } => {
                write!(f, "nothing pays {amount} to {destination}")
            }
            Self::DestinationNotApproved { found, want } => write!(f, "pays {found}, approved is {want}"),
            Self::DestinationImitates { found, want, prefix, suffix } => write!(
                f,
                "{found} imitates the approved {want}: the first {prefix} and the last {suffix} characters are equal"
            ),
            Self::AmountNotApproved { found, want } => write!(f, "pays {found}, approved is {want}"),
            Self::OutputUnknown { vout, value, destination } => {
                write!(f, "output {vout} pays {value} to {destination}, neither the payment nor change")
            }
            Self::ChangeRepeated { vout } => write!(f, "output {vout} is a second change output"),
            Self::ChangeDust { vout, value, min } => {
                write!(f, "change output {vout} is {value}, want at least {min}")
            }
            Self::ChangeIndex { vout, index, max } => {
                write!(f, "change output {vout} is at index {index}, at most {max} on the change branch")
            }
            Self::FeeNegative { inputs, outputs } => write!(f, "inputs are {inputs}, outputs {outputs}"),
            Self::FeeAboveCap { fee, max } => write!(f, "the fee is {fee}, at most {max}"),
            Self::FeeRateAboveCap { rate, max } => {
                write!(f, "the fee is {rate} per 1,000 virtual bytes, at most {max}")
            }
            Self::EvacuationNotOrdered { problem } => f.write_str(problem),
            Self::EvacuationNoEvidence { problem } => {
                write!(f, "no evidence that calls for evacuation: {problem}")
            }
            Self::AttestationValue { amount, fee_cap } => {
                write!(f, "an attestation moves nothing, its amount is {amount} and its fee cap {fee_cap}")
            }
            Self::AttestationChallenge { problem } => write!(f, "no challenge to attest over: {problem}"),
            Self::AttestationMinable { problem } => {
                write!(f, "an attestation's transaction must never be mined: {problem}")
            }
            Self::BreakerClosed { stage } => write!(f, "withdrawals of the asset are {stage}"),
            Self::PayoutEnded { status } => write!(f, "the payout is already {status}"),
            Self::TransactionOther { earlier } => {
                write!(f, "does not conflict with {earlier}, which was signed before for the same payout")
            }
            Self::LogNotWitnessed { problem } => write!(f, "the checkpoint is not witnessed: {problem}"),
            Self::LogNotIncluded { problem } => write!(f, "not in the co-signed log: {problem}"),
            Self::ClockDisagrees { own, witnesses } => {
                write!(f, "own clock says {own}, the witnesses' median {witnesses}; more than 30 s apart")
            }
            Self::LeaseInvalid { problem } => write!(f, "no valid lease of a watcher: {problem}"),
            Self::ReceiptLapsed { at, now } => {
                write!(f, "it is {now}, the receipt was given at {at} and lives {} s", RECEIPT_MS / 1000)
            }
            Self::SignerFrozen { problem } => {
                write!(f, "this signer has started and waits for a log co-signed since then: {problem}")
            }
            Self::SignerRestored { logged, stored } => write!(
                f,
                "the log has this signer's receipt {logged}, its store ends at {stored}: the store was set back"
            ),
        }
    }
}

/// The answer to "may this be signed?".
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict<T> {
    /// Yes; the value is what the check leaves behind.
    Allow(T),
    /// No; every broken rule, in rule order.
    Refuse(Vec<Reason>),
}
