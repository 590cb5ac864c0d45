//! Does a logged, approved and receipted payout explain this spend? The watcher asks it of every spend it sees; signers
//! ask it of the evidence for an evacuation. Takes nobody's word: approvals and receipts are verified again here.

use kuraban_base::{Amount, PayoutId, Txid, VaultId};
use kuraban_chain::btc::{Network, OutPoint, Script, Tx, TxOut, verify_input};

use crate::{
    attestation,
    body::Evidence,
    fold::{Draft, Fold, Record, Status, unsigned_id},
    judge::{listed, outputs, people, spent},
    payout::PayoutKind,
    reason::Reason,
};

/// Why a spend is theft.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Unexplained {
    /// No payout in the log has this transaction.
    NoPayout,
    /// A payout has it, but approvals behind it do not verify.
    NotApproved {
        /// Which.
        payout: PayoutId,
        /// What is missing.
        reasons: Vec<Reason>,
    },
    /// A payout has it, but fewer signers than the vault's threshold gave a receipt.
    NotReceipted {
        /// Which.
        payout: PayoutId,
        /// Receipts in the log.
        have: usize,
        /// Receipts wanted.
        want: usize,
    },
    /// A payout has it, but it spends a coin that is no vault's. Honest signers never sign such a transaction, and nobody
    /// can say what fee it pays.
    ForeignInput {
        /// Which.
        payout: PayoutId,
        /// The first such input.
        input: OutPoint,
    },
}

impl core::fmt::Display for Unexplained {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::NoPayout => f.write_str("no payout in the log has this transaction"),
            Self::NotApproved { payout, reasons } => {
                write!(f, "payout {payout} has it, but is not approved:")?;
                reasons.iter().try_for_each(|reason| write!(f, " {} ({reason})", reason.code()))
            }
            Self::NotReceipted { payout, have, want } => {
                write!(f, "payout {payout} has it, but only {have} of {want} signers gave a receipt")
            }
            Self::ForeignInput { payout, input } => {
                write!(f, "payout {payout} has it, but input {input} is no coin of the vaults'")
            }
        }
    }
}

/// The payout that explains a spend of `vault` by `tx`.
///
/// # Errors
/// Why none does.
pub fn explain<'a>(fold: &'a Fold, vault: &VaultId, tx: &Tx) -> Result<&'a Record, Unexplained> {
    let txid = unsigned_id(tx);
    let record = fold.payout_of(tx).filter(|record| record.payout.vault == *vault);
    let record = record.ok_or(Unexplained::NoPayout)?;
    let payout = &record.payout.id;
    let views = fold.views(vault).ok_or(Unexplained::NoPayout)?;
    let mut reasons = Vec::new();
    if record.payout.kind == PayoutKind::Evacuation {
        let evidence = record.evidence.as_ref().ok_or_else(|| "none was given".to_owned());
        if let Err(problem) = evidence.and_then(|evidence| theft(fold, vault, evidence)) {
            reasons.push(Reason::EvacuationNoEvidence { problem });
        }
        let alarmed =
            fold.alarms().iter().any(|alarm| alarm.evidence.is_some() && alarm.evidence == record.evidence);
        if !alarmed {
            let problem = "no alarm in the log carries it".to_owned();
            reasons.push(Reason::EvacuationNoEvidence { problem });
        }
        let order = views.policy.evacuation.as_ref();
        let (fee, max) = (record.payout.fee_cap, order.map_or(Amount::ZERO, |order| order.fee_max));
        if fee > max {
            reasons.push(Reason::FeeAboveCap { fee, max });
        }
        if order.is_none_or(|order| order.destination != record.payout.destination) {
            let problem = "the destination is not the one of the standing order";
            reasons.push(Reason::EvacuationNotOrdered { problem });
        }
    } else if let Some(rule) = listed(views, &record.payout, &mut reasons) {
        let (request, approvals) = (record.request.as_ref(), Some(record.approvals.as_slice()));
        people(views.roster, request, approvals, &rule.approvals, record.digest, &mut reasons);
    }
    // A payout that was called off explains nothing, whoever called it off.
    let done = matches!(record.status, Status::Confirmed | Status::Attested);
    if let (Some(status), false) = (record.status.ended(), done) {
        reasons.push(Reason::PayoutEnded { status });
    }
    // Even with enough receipts a transaction explains nothing unless it pays what was approved: signers may be stolen.
    if record.payout.kind == PayoutKind::Attestation {
        // With this first input no chain ever takes it.
        let first = tx.inputs.first().map(|input| input.prev);
        if first.is_none() || first != attestation::first_input(&record.payout) {
            let problem = "its first input is not the virtual one of the challenge";
            reasons.push(Reason::AttestationMinable { problem });
        }
    } else {
        outputs(views, &record.payout, tx, &mut reasons);
    }
    reasons.extend(not_once(record, tx, &txid));
    if !reasons.is_empty() {
        return Err(Unexplained::NotApproved { payout: payout.clone(), reasons });
    }
    let (have, want) = (record.receipts_logged(&txid), views.vault.descriptor.threshold());
    if have < want {
        return Err(Unexplained::NotReceipted { payout: payout.clone(), have, want });
    }
    Ok(record)
}

/// Another transaction of the payout got receipts before and this one does not conflict with it: it would pay twice.
fn not_once(record: &Record, tx: &Tx, txid: &Txid) -> Option<Reason> {
    let spent: Vec<_> = tx.inputs.iter().map(|input| input.prev).collect();
    let rival = |draft: &&Draft| {
        let conflicts = draft.tx.inputs.iter().any(|input| spent.contains(&input.prev));
        draft.txid != *txid && record.receipts_logged(&draft.txid) > 0 && !conflicts
    };
    let rival = record.drafts.iter().find(rival)?;
    Some(Reason::TransactionOther { earlier: rival.txid.to_string() })
}

/// Whether `evidence` proves a theft from `vault`: a validly signed spend of its coins that no payout explains.
///
/// # Errors
/// What the evidence lacks.
pub fn theft(fold: &Fold, vault: &VaultId, evidence: &Evidence) -> Result<(), String> {
    let scripts = fold.scripts(vault).ok_or_else(|| format!("vault {vault} is not known"))?;
    let network = fold.charter().vault(vault).map(|(own, _)| own.network);
    let network = network.ok_or_else(|| format!("vault {vault} is not known"))?;
    let (tx, prevs) = decode(network, evidence)?;
    spends(&tx, &prevs, |script| scripts.place(script).is_some())?;
    // A transaction that some payout has, with or without all approvals, is not evidence for moving everything: the
    // payout may only be waiting for its receipts to be logged.
    match fold.payout_of(&tx) {
        Some(record) => Err(format!("payout {} has this transaction", record.payout.id)),
        None => Ok(()),
    }
}

/// The evidence's transactions.
///
/// # Errors
/// One that does not decode.
pub fn decode(network: Network, evidence: &Evidence) -> Result<(Tx, Vec<Tx>), String> {
    let tx = Tx::decode(network, &evidence.tx)
        .map_err(|problem| format!("the transaction does not decode: {problem}"))?;
    let prev = |bytes: &Vec<u8>| {
        Tx::decode(network, bytes)
            .map_err(|problem| format!("a previous transaction does not decode: {problem}"))
    };
    Ok((tx, evidence.prevs.iter().map(prev).collect::<Result<_, _>>()?))
}

/// Whether some input of `tx` spends an own output with valid signatures.
///
/// # Errors
/// No input does.
pub fn spends(tx: &Tx, prevs: &[Tx], own: impl Fn(&Script) -> bool) -> Result<(), String> {
    let known = spent(tx, prevs);
    let is_own = |output: &Option<TxOut>| output.as_ref().is_some_and(|output| own(&output.script));
    let own: Vec<usize> = (0..).zip(&known).filter(|(_, output)| is_own(output)).map(|(at, _)| at).collect();
    // Segregated-witness signatures of one input do not depend on the others' outputs, so what is missing cannot make a
    // signature hold.
    let prevouts: Vec<TxOut> = known.into_iter().map(|output| output.unwrap_or_else(nothing)).collect();
    let mut problem = "the transaction spends nothing of the vault".to_owned();
    for index in own {
        match verify_input(tx, index, &prevouts) {
            Ok(_) => return Ok(()),
            Err(invalid) => problem = format!("input {index} is not validly signed: {invalid}"),
        }
    }
    Err(problem)
}

const fn nothing() -> TxOut {
    TxOut { value_sat: 0, script: Script::new(Vec::new()) }
}
