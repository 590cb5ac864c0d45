//! Why an entry does not follow from those before it. Says; decides nothing.

use kuraban_base::{Amount, Instant, MachineId, PayoutId, Txid, VaultId, cbor::CborError};

use crate::statement::StatementError;

/// An entry that does not follow from the entries before it.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum FoldError {
    /// The first entry does not open the log, or a later one does.
    #[error("log.opened stands at index {index}, want it at 0 and only there")]
    Opened {
        /// Where.
        index: u64,
    },
    /// The log was opened under another roster or policy than this machine's.
    #[error("the log was opened under another {what} than this machine has")]
    OtherCharter {
        /// Roster, policy or vaults.
        what: &'static str,
    },
    /// A payout id that is taken.
    #[error("payout {payout} was requested before")]
    Repeated {
        /// Which.
        payout: PayoutId,
    },
    /// A payout that nobody requested.
    #[error("payout {payout} was never requested")]
    Unknown {
        /// Which.
        payout: PayoutId,
    },
    /// A payout from a vault that this machine does not know.
    #[error("vault {vault} is not known")]
    UnknownVault {
        /// Which.
        vault: VaultId,
    },
    /// A step that does not follow from the payout's status.
    #[error("payout {payout} is {status}, so it cannot become {step}")]
    Step {
        /// Which.
        payout: PayoutId,
        /// How far it is.
        status: &'static str,
        /// What was logged.
        step: &'static str,
    },
    /// More than there may be.
    #[error("payout {payout} has more than {max} {what}")]
    TooMany {
        /// Which.
        payout: PayoutId,
        /// Of what.
        what: &'static str,
        /// The limit.
        max: usize,
    },
    /// An approval by a key that approved before.
    #[error("payout {payout} was approved by this key before")]
    ApprovalRepeated {
        /// Which.
        payout: PayoutId,
    },
    /// Bytes that are no transaction.
    #[error("payout {payout}: the transaction does not decode: {problem}")]
    Transaction {
        /// Which.
        payout: PayoutId,
        /// What is wrong.
        problem: String,
    },
    /// A transaction that no draft of the payout is.
    #[error("payout {payout} has no transaction {txid}")]
    UnknownTransaction {
        /// Which payout.
        payout: PayoutId,
        /// Which transaction.
        txid: Txid,
    },
    /// A receipt for another digest than this machine computes.
    #[error("receipt of {by} for payout {payout} is over another digest")]
    OtherDigest {
        /// Which payout.
        payout: PayoutId,
        /// The signer.
        by: String,
    },
    /// A receipt over an outflow that the payout cannot have.
    #[error("receipt of {by} for payout {payout} is over {outflow}, at most {most} can leave")]
    ReceiptOutflow {
        /// Which payout.
        payout: PayoutId,
        /// The signer.
        by: String,
        /// What it says.
        outflow: Amount,
        /// Amount and fee cap.
        most: Amount,
    },
    /// A receipt dated later than its entry, by more than clocks are apart.
    #[error("receipt of {by} for payout {payout} is dated {at}, its entry {entry}")]
    ReceiptTime {
        /// Which payout.
        payout: PayoutId,
        /// The signer.
        by: String,
        /// What it says.
        at: Instant,
        /// What its entry says.
        entry: Instant,
    },
    /// A transaction that was assembled for another payout.
    #[error("transaction {txid} was assembled for payout {holder} before")]
    TransactionTaken {
        /// Which transaction.
        txid: Txid,
        /// Whose it is.
        holder: PayoutId,
    },
    /// A statement whose signature does not hold.
    #[error(transparent)]
    Statement(#[from] StatementError),
    /// An order to loosen the breaker that a quorum did not sign for this epoch.
    #[error("the breaker's reset is not ordered by a quorum: {problem}")]
    Reset {
        /// What is missing.
        problem: String,
    },
    /// An order to let a signer resume that a quorum did not sign for where its receipts end.
    #[error("that {signer} resumes is not ordered by a quorum: {problem}")]
    Resume {
        /// Which signer.
        signer: MachineId,
        /// What is missing.
        problem: String,
    },
    /// What nobody on the roster published, of the future, or what does not follow from what was published before.
    #[error("{kind} cannot stand here: {problem}")]
    Published {
        /// The entry's kind.
        kind: &'static str,
        /// What is wrong.
        problem: String,
    },
    /// A body that does not decode.
    #[error("the body does not decode")]
    Body(#[source] CborError),
}
