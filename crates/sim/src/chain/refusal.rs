//! Why the embedded chain does not take a transaction.
//!
//! Decides nothing: names, and the words by which real nodes know the same refusals.

use kuraban_base::{Height, Txid};
use kuraban_chain::btc::{DecodeError, FeeError, OutPoint, ScriptKind, VerifyError};

/// Why a transaction was not taken into the mempool.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Refusal {
    /// It breaks a rule that needs no chain.
    #[error("transaction is malformed")]
    Malformed(#[source] DecodeError),
    /// It is in the mempool already.
    #[error("transaction {txid} is in the mempool already")]
    Pooled {
        /// Its id.
        txid: Txid,
    },
    /// It is in a block already.
    #[error("transaction {txid} is in the block at height {height} already")]
    Confirmed {
        /// Its id.
        txid: Txid,
        /// The block's height.
        height: Height,
    },
    /// Only a block may hold a coinbase.
    #[error("a coinbase stands only in a block")]
    Coinbase,
    /// Litecoin's extension block is not carried here.
    #[error("extension data is not supported")]
    Extension,
    /// Another version than 1 or 2.
    #[error("transaction version is {found}, want 1 or 2")]
    Version {
        /// The version.
        found: i32,
    },
    /// Heavier than nodes relay.
    #[error("transaction weighs {found}, limit {limit}")]
    Weight {
        /// Its weight.
        found: usize,
        /// The limit.
        limit: usize,
    },
    /// Smaller than nodes relay (CVE-2017-12842).
    #[error("transaction has {found} bytes without witness, want at least {limit}")]
    Small {
        /// Its size without witness.
        found: usize,
        /// The limit.
        limit: usize,
    },
    /// An output of a kind that nodes do not relay.
    #[error("output {output} has a script of kind {}, which is not relayed", kind.name())]
    Output {
        /// Its position.
        output: usize,
        /// What it is.
        kind: ScriptKind,
    },
    /// More than one data output, or a longer one than nodes relay.
    #[error("output {output} is a second data output or longer than {limit} bytes")]
    Data {
        /// Its position.
        output: usize,
        /// Longest script of a data output.
        limit: usize,
    },
    /// An output that costs more to spend than it is worth.
    #[error("output {output} is worth {value_sat}, want at least {least_sat}")]
    Dust {
        /// Its position.
        output: usize,
        /// Its value.
        value_sat: u64,
        /// The least that is relayed.
        least_sat: u64,
    },
    /// Its lock time has not come.
    #[error("lock time {lock_time} has not come at height {height}")]
    Locked {
        /// Its lock time.
        lock_time: u32,
        /// The next block's height.
        height: Height,
    },
    /// A relative lock time other than none or zero (BIP 68), which is not judged here.
    #[error("input {input} has a relative lock time, which is not supported")]
    RelativeLock {
        /// Its position.
        input: usize,
    },
    /// An input's output does not exist or is spent in a block.
    #[error("{outpoint} does not exist or is spent")]
    Missing {
        /// The output.
        outpoint: OutPoint,
    },
    /// A coinbase's output too young to be spent.
    #[error("{outpoint} of the coinbase at height {born} cannot be spent at height {height}")]
    Immature {
        /// The output.
        outpoint: OutPoint,
        /// The coinbase's height.
        born: Height,
        /// The next block's height.
        height: Height,
    },
    /// More goes out than comes in.
    #[error("values do not balance")]
    Value(#[source] FeeError),
    /// Less than nodes relay for.
    #[error("fee is {fee_sat}, want at least {least_sat}")]
    Fee {
        /// Its fee.
        fee_sat: u64,
        /// The least that is relayed.
        least_sat: u64,
    },
    /// Too long a chain of unconfirmed transactions.
    #[error("{count} unconfirmed transactions would hang together, limit {limit}")]
    Linked {
        /// How many.
        count: usize,
        /// The limit.
        limit: usize,
    },
    /// A replacement would evict too many.
    #[error("{count} transactions would be replaced, limit {limit}")]
    Evictions {
        /// How many.
        count: usize,
        /// The limit.
        limit: usize,
    },
    /// It spends an output of a transaction that it replaces.
    #[error("spends an output of {txid}, which it replaces")]
    OwnConflict {
        /// The transaction replaced.
        txid: Txid,
    },
    /// A replacement spends an unconfirmed output that nothing it replaces spent.
    #[error("replacement spends {outpoint}, which is unconfirmed and new to it")]
    NewUnconfirmed {
        /// The output.
        outpoint: OutPoint,
    },
    /// A replacement whose fee does not pay for those it evicts and for itself.
    #[error("replacement pays {fee_sat}, want at least {least_sat}")]
    ReplacementFee {
        /// Its fee.
        fee_sat: u64,
        /// The fees of those evicted, and the relay fee of its own size.
        least_sat: u64,
    },
    /// A replacement that pays no more for its size than what it replaces.
    #[error("replacement pays no higher rate than {txid}, which it replaces")]
    ReplacementRate {
        /// The transaction replaced.
        txid: Txid,
    },
    /// A signature does not hold.
    #[error("signatures of input {input} do not hold")]
    Signature {
        /// Its position.
        input: usize,
        /// Why.
        #[source]
        source: VerifyError,
    },
    /// No room.
    #[error("mempool is full at {limit} bytes")]
    Full {
        /// Its room.
        limit: usize,
    },
}

impl Refusal {
    /// The word by which real nodes name the refusal in their answers (Bitcoin Core, `validation.cpp` and
    /// `policy.cpp`).
    #[must_use]
    pub const fn node_word(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "bad-txns",
            Self::Pooled { .. } => "txn-already-in-mempool",
            Self::Confirmed { .. } => "txn-already-known",
            Self::Coinbase => "coinbase",
            Self::Extension => "mweb",
            Self::Version { .. } => "version",
            Self::Weight { .. } => "tx-size",
            Self::Small { .. } => "tx-size-small",
            Self::Output { .. } => "scriptpubkey",
            Self::Data { .. } => "multi-op-return",
            Self::Dust { .. } => "dust",
            Self::Locked { .. } => "non-final",
            Self::RelativeLock { .. } => "non-BIP68-final",
            Self::Missing { .. } => "bad-txns-inputs-missingorspent",
            Self::Immature { .. } => "bad-txns-premature-spend-of-coinbase",
            Self::Value(_) => "bad-txns-in-belowout",
            Self::Fee { .. } => "min relay fee not met",
            Self::Linked { .. } => "too-long-mempool-chain",
            Self::Evictions { .. } => "too many potential replacements",
            Self::OwnConflict { .. } => "bad-txns-spends-conflicting-tx",
            Self::NewUnconfirmed { .. } => "replacement-adds-unconfirmed",
            Self::ReplacementFee { .. } | Self::ReplacementRate { .. } => "insufficient fee",
            Self::Signature { .. } => "mandatory-script-verify-flag-failed",
            Self::Full { .. } => "mempool full",
        }
    }
}
