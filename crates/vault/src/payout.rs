//! A payout and its digest: the one number that requester, approvers, signers and watcher all recompute.

use kuraban_base::{
    Amount, Asset, Digest, Instant, PayoutDigest, PayoutId, PolicyHash, RosterHash, VaultId,
    cbor::{CborError, Fields, Value, invalid},
};
use kuraban_chain::btc::{Network, Script};

use crate::{breaker::closed_words, statement::instant};

/// Longest memo, in bytes.
pub(crate) const MEMO_MAX: usize = 256;

closed_words! {
    /// What a payout is for. Policy rules name the kinds they govern.
    PayoutKind, "payout kind" {
        /// A customer takes coins out.
        CustomerWithdrawal = "customer-withdrawal",
        /// Between tiers of one owner.
        Rebalance = "rebalance",
        /// From deposit addresses into a vault.
        Sweep = "sweep",
        /// Many small outputs into one of the same vault.
        Consolidation = "consolidation",
        /// Out of an exposed vault into the company's own cold vault, on evidence.
        Evacuation = "evacuation",
        /// A fee owed to somebody.
        Fee = "fee",
        /// To another operator.
        Migration = "migration",
        /// To customers after a loss.
        Compensation = "compensation",
        /// To nobody: shows what the vault can spend, by a transaction that can never be mined.
        Attestation = "attestation",
    }
}

/// What shall move, exactly. Every field stands in the digest.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Payout {
    /// Chosen by the requester, unique for ever.
    pub id: PayoutId,
    /// What it is for.
    pub kind: PayoutKind,
    /// The chain it happens on.
    pub network: Network,
    /// The vault that pays.
    pub vault: VaultId,
    /// Who is paid.
    pub destination: Script,
    /// Memo or tag, where the chain has one.
    pub memo: Option<String>,
    /// Base units that the destination receives.
    pub amount: Amount,
    /// Most base units that may go to fees.
    pub fee_cap: Amount,
    /// Not to be signed before; held to the second.
    pub not_before: Instant,
    /// Not to be signed at or after.
    pub expiry: Instant,
}

/// What a digest is bound to beside the payout.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DigestContext {
    /// The log in which the payout stands.
    pub origin: String,
    /// The roster under which it is approved.
    pub roster: RosterHash,
    /// The policy under which it is approved.
    pub policy: PolicyHash,
}

impl Payout {
    /// The asset that moves.
    #[must_use]
    pub fn asset(&self) -> Asset {
        self.network.asset()
    }

    /// SHA-256(`kuraban-payout-v1` ‖ deterministic CBOR of payout and context). Everyone recomputes it; nobody
    /// accepts it.
    #[must_use]
    pub fn digest(&self, context: &DigestContext) -> PayoutDigest {
        let fields = Value::map([
            ("origin", Value::text(&context.origin)),
            ("genesis", Value::bytes(self.network.genesis_hash().as_bytes())),
            ("asset", Value::text(self.asset())),
            ("kind", Value::text(self.kind)),
            ("id", Value::text(&self.id)),
            ("vault", Value::text(&self.vault)),
            ("destination", Value::bytes(self.destination.as_bytes())),
            ("memo", Value::option(self.memo.as_ref().map(Value::text))),
            ("amount", Value::uint(self.amount.units())),
            ("fee_cap", Value::uint(self.fee_cap.units())),
            ("not_before", Value::uint(self.not_before.ms())),
            ("expiry", Value::uint(self.expiry.ms())),
            ("roster", Value::bytes(context.roster.as_bytes())),
            ("policy", Value::bytes(context.policy.as_bytes())),
        ]);
        PayoutDigest::from_bytes(*Digest::sha256(&[b"kuraban-payout-v1", &fields.encode()]).as_bytes())
    }

    /// The payout as a map, for the log.
    #[must_use]
    pub fn to_value(&self) -> Value {
        Value::map([
            ("id", Value::text(&self.id)),
            ("kind", Value::text(self.kind)),
            ("network", Value::text(self.network)),
            ("vault", Value::text(&self.vault)),
            ("destination", Value::bytes(self.destination.as_bytes())),
            ("memo", Value::option(self.memo.as_ref().map(Value::text))),
            ("amount", Value::uint(self.amount.units())),
            ("fee_cap", Value::uint(self.fee_cap.units())),
            ("not_before", Value::uint(self.not_before.ms())),
            ("expiry", Value::uint(self.expiry.ms())),
        ])
    }

    /// The payout of a map.
    ///
    /// # Errors
    /// A missing, unknown or malformed field; a memo longer than 256 bytes.
    pub fn from_value(value: Value) -> Result<Self, CborError> {
        let mut fields = Fields::of("payout", value)?;
        let memo = match fields.option("memo")? {
            None => None,
            Some(Value::Text(memo)) if memo.len() <= MEMO_MAX => Some(memo),
            Some(_) => return Err(invalid("memo", "want text of at most 256 bytes or null")),
        };
        let payout = Self {
            id: fields.parse("id")?,
            kind: fields.parse("kind")?,
            network: fields.parse("network")?,
            vault: fields.parse("vault")?,
            destination: Script::new(fields.bytes("destination")?),
            memo,
            amount: Amount::new(fields.uint("amount")?),
            fee_cap: Amount::new(fields.uint("fee_cap")?),
            not_before: instant(&mut fields, "not_before")?,
            expiry: instant(&mut fields, "expiry")?,
        };
        fields.end()?;
        Ok(payout)
    }
}
