//! Payouts: asked for, approved, shown. Amounts are whole base units; of BTC and LTC they fit JSON's exact numbers.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What shall move, exactly. Every field stands in the digest that people sign.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Payout {
    /// Chosen by the requester, unique for ever: 1 to 64 of `a-z A-Z 0-9 . _ -`.
    pub id: String,
    /// What it is for, as policy rules name it: `customer-withdrawal`, `rebalance`, …
    pub kind: String,
    /// The chain, such as `litecoin-regtest`.
    pub network: String,
    /// The vault that pays.
    pub vault: String,
    /// The address that is paid.
    pub destination: String,
    /// Memo or tag, where the chain has one; at most 256 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memo: Option<String>,
    /// Base units that the destination receives.
    pub amount: u64,
    /// Most base units that may go to fees.
    pub fee_cap: u64,
    /// Not to be signed before; milliseconds since 1970-01-01 UTC.
    pub not_before_ms: u64,
    /// Not to be signed at or after; milliseconds since 1970-01-01 UTC.
    pub expiry_ms: u64,
}

/// Body of `POST /v1/payouts`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Submit {
    /// The payout.
    pub payout: Payout,
    /// The requester's armoured SSH signature over the payout digest, namespace `kuraban-request`.
    pub request_signature: String,
}

/// Body of `POST /v1/payouts/{id}/approvals`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ApprovalSubmit {
    /// The approver's armoured SSH signature over the payout digest, namespace `kuraban-payout`.
    pub signature: String,
}

/// A request or an approval stands in the log, on disk. The same to a repetition.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct PayoutAccepted {
    /// Which payout.
    pub id: String,
    /// Its digest, 32 bytes in hexadecimal; who signs recomputes it.
    pub digest: String,
}

/// Somebody's signature for a payout.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct ApprovalView {
    /// Who holds the key, by the roster.
    pub person: Option<String>,
    /// The Ed25519 key, in hexadecimal.
    pub key: String,
    /// The armoured SSH signature.
    pub signature: String,
}

/// A transaction made for a payout.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct TransactionView {
    /// Its id without unlocking scripts: the transaction id wherever only native segregated witness is spent.
    pub txid: String,
    /// The log index at which it stands.
    pub log_index: u64,
    /// Without signatures, in hexadecimal.
    pub unsigned: String,
    /// The signers whose receipts for it stand in the log.
    pub receipts: Vec<String>,
    /// With all signatures, in hexadecimal, once it has them.
    pub signed: Option<String>,
}

/// Why a machine does not sign at present.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct RefusalView {
    /// Which machine.
    pub machine: String,
    /// Every rule that it finds broken.
    pub reasons: Vec<crate::ReasonView>,
}

/// A payout with all that its digest is made of, and how far it has come.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct PayoutView {
    /// The payout as it was asked for. Its destination is empty where the script has no address.
    pub payout: Payout,
    /// The locking script that is paid, in hexadecimal.
    pub destination_script: String,
    /// The asset's ticker.
    pub asset: String,
    /// The log in which the payout stands.
    pub origin: String,
    /// The roster under which it is approved, 32 bytes in hexadecimal.
    pub roster_hash: String,
    /// The policy under which it is approved, 32 bytes in hexadecimal.
    pub policy_hash: String,
    /// What people sign, 32 bytes in hexadecimal. Never accept it: recompute it.
    pub digest: String,
    /// `requested`, `assembled`, `signed`, `broadcast`, `confirmed`, `refused`, `cancelled`, `expired` or `attested`.
    pub status: String,
    /// When it was logged, by the writer's clock; milliseconds since 1970-01-01 UTC.
    pub requested_at_ms: u64,
    /// The requester's signature; an evacuation has none.
    pub request: Option<ApprovalView>,
    /// The approvals so far.
    pub approvals: Vec<ApprovalView>,
    /// The transactions made for it, in order.
    pub transactions: Vec<TransactionView>,
    /// Machines that were asked for a signature and refused; asked again where it may pass.
    pub refusals: Vec<RefusalView>,
}

/// One page of payouts, by id.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct PayoutList {
    /// The payouts.
    pub payouts: Vec<PayoutView>,
    /// Pass it as `after` for the next page; absent on the last.
    pub next: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    const SUBMIT: &str = r#"{"payout":{"id":"w-1","kind":"customer-withdrawal","network":"litecoin-regtest",
        "vault":"hot","destination":"rltc1q","amount":1,"fee_cap":2,"not_before_ms":3,"expiry_ms":4},
        "request_signature":"-"}"#;

    fn check(found: &str, replacement: &str, want: Result<(), &str>) {
        assert!(SUBMIT.contains(found), "{found}");
        let read: Result<Submit, _> = serde_json::from_str(&SUBMIT.replace(found, replacement));
        match (read, want) {
            (Ok(_), Ok(())) => {}
            (Err(problem), Err(want)) => assert!(problem.to_string().starts_with(want), "{problem}"),
            (read, want) => panic!("{read:?}, want {want:?}"),
        }
    }

    #[test]
    fn requests_are_read_strictly() {
        check("w-1", "w-1", Ok(()));
        check(r#""amount":1"#, r#""amount":18446744073709551615"#, Ok(()));
        let wide = "invalid type: floating point `1.8446744073709552e+19`, expected u64";
        check(r#""amount":1"#, r#""amount":18446744073709551616"#, Err(wide));
        check(r#""amount":1"#, r#""amount":-1"#, Err("invalid value: integer `-1`, expected u64"));
        check(r#""amount":1"#, r#""amount":1.5"#, Err("invalid type: floating point `1.5`, expected u64"));
        check(r#""amount":1"#, r#""amount":"1""#, Err("invalid type: string \"1\", expected u64"));
        check(r#""amount":1,"#, "", Err("missing field `amount`"));
        check(r#""amount":1"#, r#""amount":1,"amount":1"#, Err("duplicate field `amount`"));
        check(r#""amount":1"#, r#""amount":1,"extra":1"#, Err("unknown field `extra`"));
        check(r#""request_signature""#, r#""note":1,"request_signature""#, Err("unknown field `note`"));
        check("w-1", r#"w-1","memo":"m"#, Ok(()));
    }
}
