//! State as a fold over the log: payouts through their life, rolling outflows, the breaker. Writer, signers, watcher,
//! a restart, an audit and a test all compute it the same way.
//!
//! An entry that could not have come about honestly is an error, and no witness co-signs a log that has one.

mod error;

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Bound,
    sync::Arc,
};

use kuraban_base::{Amount, Digest, Instant, MachineId, PayoutDigest, PayoutId, Txid, VaultId};
use kuraban_chain::btc::{Network, OutPoint, Script, Tx};

use crate::{
    approval::{Approval, LIABILITIES, RESET, RESUME},
    body::{Alarm, Body, Evidence, reset_digest, resume_digest},
    breaker::{Breaker, Cell, Service, Trip},
    charter::Charter,
    judge::{CLOCKS_APART_MAX_MS, Standing, Views},
    liabilities::Liabilities,
    outflow::Outflows,
    payout::{Payout, PayoutKind},
    receipt::Receipt,
    roster::Role,
    scripts::ScriptTable,
    statement::{Signed, Statement, StatementError, Verified},
};

pub use self::error::FoldError;

/// Most approvals of one payout.
const APPROVALS_MAX: usize = 32;
/// Most transactions that are assembled for one payout.
const DRAFTS_MAX: usize = 16;

/// How far a payout has come.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Status {
    /// Asked for; approvals are collected.
    Requested,
    /// A transaction was made for it.
    Assembled,
    /// A transaction has all signatures.
    Signed,
    /// A transaction was handed to the node.
    Broadcast,
    /// As deep in the chain as the vault asks.
    Confirmed,
    /// Refused before anything was signed.
    Refused,
    /// A confirmed transaction conflicts with every one of the payout's.
    Cancelled,
    /// Ran out before anything was signed.
    Expired,
    /// An attestation's transaction has all signatures; it is handed to no node.
    Attested,
}

impl Status {
    /// The word used in messages and the API.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::Assembled => "assembled",
            Self::Signed => "signed",
            Self::Broadcast => "broadcast",
            Self::Confirmed => "confirmed",
            Self::Refused => "refused",
            Self::Cancelled => "cancelled",
            Self::Expired => "expired",
            Self::Attested => "attested",
        }
    }

    /// The word, if the payout has ended so.
    #[must_use]
    pub const fn ended(self) -> Option<&'static str> {
        match self {
            Self::Confirmed | Self::Refused | Self::Cancelled | Self::Expired | Self::Attested => {
                Some(self.word())
            }
            Self::Requested | Self::Assembled | Self::Signed | Self::Broadcast => None,
        }
    }
}

/// A transaction assembled for a payout.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Draft {
    /// Its [`unsigned_id`].
    pub txid: Txid,
    /// The transaction without signatures.
    pub tx: Tx,
    /// The log index at which it stands.
    pub index: u64,
}

impl Draft {
    fn spends(&self) -> Vec<OutPoint> {
        self.tx.inputs.iter().map(|input| input.prev).collect()
    }
}

/// A signer's latest receipt for a transaction and where it stands in the log; a signer's own counts before it stands
/// there. A receipt that lapsed may be followed by another.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LoggedReceipt {
    /// The receipt.
    pub receipt: Receipt,
    /// The log index, once it has one.
    pub index: Option<u64>,
    /// The log index of the first that this signer gave for this transaction, once one has one: from then on it may have
    /// signed.
    pub first: Option<u64>,
    /// What the receipts before it in the log take out of the vault within 24 hours, without this payout; `None` while it is
    /// not in the log, and beyond any amount.
    pub before: Option<Amount>,
}

impl LoggedReceipt {
    /// Takes up what is known now about the same signer's receipt for the same transaction.
    fn follow(&mut self, other: Self) {
        let first = self.first.or(other.first);
        if other.receipt.seq > self.receipt.seq || (other.receipt == self.receipt && self.index.is_none()) {
            *self = other;
        }
        self.first = first;
    }
}

/// A payout and everything the log says about it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Record {
    /// The payout.
    pub payout: Payout,
    /// Its digest, recomputed.
    pub digest: PayoutDigest,
    /// The requester's signature, unverified.
    pub request: Option<Approval>,
    /// Why an evacuation is called for, unverified.
    pub evidence: Option<Evidence>,
    /// Approvals, unverified, at most one per key.
    pub approvals: Vec<Approval>,
    /// Transactions made for it, in order.
    pub drafts: Vec<Draft>,
    /// Receipts, verified: one per signer and transaction, the latest.
    pub receipts: Vec<LoggedReceipt>,
    /// The transaction with all signatures.
    pub signed: Option<(Txid, Vec<u8>)>,
    /// How far it has come.
    pub status: Status,
    /// When it was requested.
    pub at: Instant,
    /// The log index at which it was requested.
    pub index: u64,
}

impl Record {
    /// The draft with this id.
    #[must_use]
    pub fn draft(&self, txid: &Txid) -> Option<&Draft> {
        self.drafts.iter().find(|draft| draft.txid == *txid)
    }

    /// How many different signers gave a receipt for a transaction that stands in the log.
    #[must_use]
    pub fn receipts_logged(&self, txid: &Txid) -> usize {
        self.receipts.iter().filter(|logged| logged.first.is_some() && logged.receipt.txid == *txid).count()
    }
}

/// The state that the log adds up to.
#[derive(Clone, Debug)]
pub struct Fold {
    charter: Arc<Charter>,
    size: u64,
    payouts: BTreeMap<PayoutId, Record>,
    by_txid: BTreeMap<Txid, PayoutId>,
    outflows: BTreeMap<VaultId, Outflows>,
    /// As `outflows`, of receipts that stand in the log only: the same for everybody who folds it.
    logged: BTreeMap<VaultId, Outflows>,
    scripts: BTreeMap<VaultId, ScriptTable>,
    breaker: Breaker,
    trips: BTreeSet<Digest>,
    alarms: Vec<Alarm>,
    /// The highest number of each signer's receipts.
    seqs: BTreeMap<MachineId, u64>,
    /// The number after which a quorum let a signer resume.
    resumed: BTreeMap<MachineId, u64>,
    /// How many alarms, and how many entries, the last reset left behind.
    alarms_reset: usize,
    size_reset: u64,
    /// Roots of liabilities, with the index of each entry.
    liabilities: Vec<(u64, Liabilities)>,
}

impl Fold {
    /// The state before the first entry.
    #[must_use]
    pub fn new(charter: Arc<Charter>) -> Self {
        let table = |vault: &crate::Vault| ScriptTable::new(&vault.descriptor, vault.receive_count);
        let scripts = charter.vaults().map(|(vault, _)| (vault.id.clone(), table(vault))).collect();
        Self {
            charter,
            size: 0,
            payouts: BTreeMap::new(),
            by_txid: BTreeMap::new(),
            outflows: BTreeMap::new(),
            logged: BTreeMap::new(),
            scripts,
            breaker: Breaker::default(),
            trips: BTreeSet::new(),
            alarms: Vec::new(),
            seqs: BTreeMap::new(),
            resumed: BTreeMap::new(),
            alarms_reset: 0,
            size_reset: 0,
            liabilities: Vec::new(),
        }
    }

    /// This machine's roster, policy and vaults.
    #[must_use]
    pub const fn charter(&self) -> &Arc<Charter> {
        &self.charter
    }

    /// Entries folded.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The roots of liabilities, oldest first, each with the index of its entry.
    #[must_use]
    pub fn liabilities(&self) -> &[(u64, Liabilities)] {
        &self.liabilities
    }

    /// The breaker.
    #[must_use]
    pub const fn breaker(&self) -> &Breaker {
        &self.breaker
    }

    /// All payouts by id.
    pub fn payouts(&self) -> impl Iterator<Item = &Record> {
        self.payouts.values()
    }

    /// Payouts by id, from one on.
    pub fn payouts_from(&self, from: Bound<&PayoutId>) -> impl Iterator<Item = &Record> {
        self.payouts.range::<PayoutId, _>((from, Bound::Unbounded)).map(|(_, record)| record)
    }

    /// One payout.
    #[must_use]
    pub fn payout(&self, id: &PayoutId) -> Option<&Record> {
        self.payouts.get(id)
    }

    /// The payout for which a transaction was assembled, whatever signatures it carries.
    #[must_use]
    pub fn payout_of(&self, tx: &Tx) -> Option<&Record> {
        self.by_txid.get(&unsigned_id(tx)).and_then(|id| self.payouts.get(id))
    }

    /// Whether a trip stands in the log.
    #[must_use]
    pub fn has_trip(&self, trip: &Trip) -> bool {
        self.trips.contains(&trip_digest(trip))
    }

    /// Alarms in the log.
    #[must_use]
    pub fn alarms(&self) -> &[Alarm] {
        &self.alarms
    }

    /// The highest number of a signer's receipts in the log; 0 before the first.
    #[must_use]
    pub fn seq(&self, signer: &MachineId) -> u64 {
        self.seqs.get(signer).copied().unwrap_or_default()
    }

    /// The number of the last receipt that a signer need not remember, because a quorum let it resume after that; 0 before.
    #[must_use]
    pub fn resumed(&self, signer: &MachineId) -> u64 {
        self.resumed.get(signer).copied().unwrap_or_default()
    }

    /// A vault's own scripts.
    #[must_use]
    pub fn scripts(&self, vault: &VaultId) -> Option<&ScriptTable> {
        self.scripts.get(vault)
    }

    /// What a judgement about `vault` is made from.
    #[must_use]
    pub fn views(&self, vault: &VaultId) -> Option<Views<'_>> {
        let (own, policy) = self.charter.vault(vault)?;
        Some(Views { vault: own, policy, roster: self.charter.roster(), scripts: self.scripts.get(vault)? })
    }

    /// How things stand for one payout at `now`.
    #[must_use]
    pub fn standing(&self, id: &PayoutId, now: Instant) -> Option<Standing> {
        let record = self.payouts.get(id)?;
        let receipted =
            |draft: &&Draft| record.receipts.iter().any(|logged| logged.receipt.txid == draft.txid);
        let earlier =
            record.drafts.iter().filter(receipted).map(|draft| (draft.txid, draft.spends())).collect();
        let before = match self.outflows.get(&record.payout.vault) {
            Some(outflows) => outflows.sum_without(id, now),
            None => Some(Amount::ZERO),
        };
        Some(Standing {
            stage: self.breaker.stage((Service::Withdrawal, record.payout.asset())),
            before,
            ended: record.status.ended(),
            earlier,
            evidence: match (record.payout.kind, &record.evidence) {
                (PayoutKind::Evacuation, Some(evidence)) => self.calls_for_evacuation(record, evidence),
                (_, Some(_) | None) => Err("none was given".to_owned()),
            },
            evacuation_fees: match record.payout.kind {
                PayoutKind::Evacuation => self.evacuation_fees(&record.payout.vault, id, |_| true),
                PayoutKind::CustomerWithdrawal
                | PayoutKind::Rebalance
                | PayoutKind::Sweep
                | PayoutKind::Consolidation
                | PayoutKind::Fee
                | PayoutKind::Migration
                | PayoutKind::Compensation
                | PayoutKind::Attestation => Amount::ZERO,
            },
        })
    }

    /// Drops outflows that no clock at or after `now` counts any more. For a machine's own clock, never another's.
    pub fn prune(&mut self, now: Instant) {
        self.outflows.values_mut().chain(self.logged.values_mut()).for_each(|outflows| outflows.prune(now));
    }

    /// Whether a watcher's alarm that stands in the log, and no reset after it, carries this evidence, and it is one.
    fn calls_for_evacuation(&self, record: &Record, evidence: &Evidence) -> Result<(), String> {
        let alarms = self.alarms.iter().skip(self.alarms_reset);
        if !alarms.into_iter().any(|alarm| alarm.evidence.as_ref() == Some(evidence)) {
            return Err("no alarm since the last reset carries it".to_owned());
        }
        crate::explain::theft(self, &record.payout.vault, evidence)
    }

    /// What evacuations of the same incident, whose receipts stand in the log before `index`, commit to fees.
    #[must_use]
    pub fn evacuation_fees_before(&self, record: &Record, index: u64) -> Amount {
        let logged_before =
            |other: &&Record| other.receipts.iter().any(|logged| logged.first.is_some_and(|at| at < index));
        self.evacuation_fees(&record.payout.vault, &record.payout.id, logged_before)
    }

    /// What evacuations of a vault have committed to fees, without payout `id`
    /// and as `counts` says; the budget is one incident's, so a reset begins it anew.
    fn evacuation_fees(&self, vault: &VaultId, id: &PayoutId, counts: impl Fn(&&Record) -> bool) -> Amount {
        let other = |record: &&Record| {
            record.payout.kind == PayoutKind::Evacuation
                && record.payout.vault == *vault
                && record.payout.id != *id
                && record.index >= self.size_reset
                && counts(record)
        };
        let fee = |record: &Record| {
            let most = record.receipts.iter().map(|logged| logged.receipt.outflow).max()?;
            most.less(record.payout.amount)
        };
        Amount::sum(self.payouts.values().filter(other).filter_map(fee)).unwrap_or(Amount::new(u128::MAX))
    }

    /// Folds the next entry in. On an error nothing has changed.
    ///
    /// # Errors
    /// The entry does not follow from those before it.
    pub fn apply(&mut self, at: Instant, body: Body) -> Result<(), FoldError> {
        if (self.size == 0) != matches!(body, Body::LogOpened { .. }) {
            return Err(FoldError::Opened { index: self.size });
        }
        match body {
            Body::LogOpened { roster, policy, vaults, retention_days: _ } => {
                self.opened(roster, policy, &vaults)?
            }
            Body::PayoutRequested { payout, key: _, request, evidence } => {
                self.requested(at, payout, request, evidence)?
            }
            Body::PayoutApproved { payout, approval } => self.approved(&payout, approval)?,
            Body::PayoutRefused { payout, codes: _ } => self.end(&payout, Status::Refused)?,
            Body::PayoutExpired { payout } => self.end(&payout, Status::Expired)?,
            Body::PayoutAssembled { payout, tx } => self.assembled(&payout, &tx)?,
            Body::PayoutReceipt(receipt) => {
                let receipt = self.verified(receipt, Role::Signer)?.into_claim();
                dated(&receipt, at)?;
                let (by, seq) = (receipt.by.clone(), receipt.seq);
                self.receipt(receipt, Some(self.size))?;
                let highest = self.seqs.entry(by).or_default();
                *highest = seq.max(*highest);
            }
            Body::PayoutSigned { payout, tx } => self.signed(&payout, tx)?,
            Body::PayoutBroadcast { payout, txid } => self.broadcast(&payout, txid)?,
            Body::PayoutConfirmed { payout, txid, height: _ } => self.confirmed(&payout, txid)?,
            Body::PayoutCancelled { payout, txid: _ } => self.cancelled(&payout)?,
            Body::AlarmRaised(alarm) => {
                let alarm = self.verified(alarm, Role::Watcher)?;
                self.alarms.push(alarm.into_claim());
            }
            Body::BreakerTripped(trip) => {
                let trip = self.verified(trip, Role::Watcher)?.into_claim();
                self.trips.insert(trip_digest(&trip));
                self.breaker.tighten(trip.cells, trip.stage);
            }
            Body::BreakerReset { cells, epoch, approvals } => self.reset(cells, epoch, &approvals)?,
            Body::SignerResumed { signer, seq, approvals } => self.resume(signer, seq, &approvals)?,
            Body::LiabilitiesPublished { liabilities, approval } => {
                self.published(at, liabilities, &approval)?
            }
        }
        self.size = self.size.saturating_add(1);
        Ok(())
    }

    /// Counts a receipt that this signer gave and the log does not show yet.
    ///
    /// # Errors
    /// The payout or its transaction is not in the log.
    pub fn count_own(&mut self, receipt: Receipt) -> Result<(), FoldError> {
        self.receipt(receipt, None)
    }

    fn verified<T: Statement>(&self, signed: Signed<T>, role: Role) -> Result<Verified<T>, FoldError> {
        let by = signed.claim_unverified().by().clone();
        match self.charter.roster().statement_key(&by, role) {
            Some(key) => Ok(signed.verify(key)?),
            None => Err(StatementError::Stranger { by }.into()),
        }
    }

    fn record(&mut self, id: &PayoutId) -> Result<&mut Record, FoldError> {
        self.payouts.get_mut(id).ok_or_else(|| FoldError::Unknown { payout: id.clone() })
    }

    fn opened(
        &self,
        roster: kuraban_base::RosterHash,
        policy: kuraban_base::PolicyHash,
        vaults: &[kuraban_base::cbor::Value],
    ) -> Result<(), FoldError> {
        let own = self.charter.context();
        let own_vaults: Vec<_> = self.charter.vaults().map(|(vault, _)| vault.to_value()).collect();
        match () {
            () if roster != own.roster => Err(FoldError::OtherCharter { what: "roster" }),
            () if policy != own.policy => Err(FoldError::OtherCharter { what: "policy" }),
            () if vaults != own_vaults => Err(FoldError::OtherCharter { what: "set of vaults" }),
            () => Ok(()),
        }
    }

    fn requested(
        &mut self,
        at: Instant,
        payout: Payout,
        request: Option<Approval>,
        evidence: Option<Evidence>,
    ) -> Result<(), FoldError> {
        if self.payouts.contains_key(&payout.id) {
            return Err(FoldError::Repeated { payout: payout.id });
        }
        if self.charter.vault(&payout.vault).is_none() {
            return Err(FoldError::UnknownVault { vault: payout.vault });
        }
        let record = Record {
            index: self.size,
            digest: payout.digest(&self.charter.context()),
            request,
            evidence,
            approvals: Vec::new(),
            drafts: Vec::new(),
            receipts: Vec::new(),
            signed: None,
            status: Status::Requested,
            at,
            payout,
        };
        self.payouts.insert(record.payout.id.clone(), record);
        Ok(())
    }

    fn approved(&mut self, id: &PayoutId, approval: Approval) -> Result<(), FoldError> {
        let record = self.record(id)?;
        step(record, "approved", record.status.ended().is_none())?;
        if record.approvals.len() >= APPROVALS_MAX {
            return Err(FoldError::TooMany { payout: id.clone(), what: "approvals", max: APPROVALS_MAX });
        }
        if record.approvals.iter().any(|other| other.key() == approval.key()) {
            return Err(FoldError::ApprovalRepeated { payout: id.clone() });
        }
        record.approvals.push(approval);
        Ok(())
    }

    /// Refusal and expiry end a payout only while no signer's receipt is logged. One that a signer gave and whose answer
    /// was lost does not count: its signature never leaves before the receipt is logged. An attestation moves nothing, so it
    /// may end in any case.
    fn end(&mut self, id: &PayoutId, status: Status) -> Result<(), FoldError> {
        let record = self.record(id)?;
        let moves = record.payout.kind != PayoutKind::Attestation;
        let receipted = moves && record.receipts.iter().any(|logged| logged.first.is_some());
        step(record, status.word(), record.status <= Status::Assembled && !receipted)?;
        record.status = status;
        Ok(())
    }

    fn assembled(&mut self, id: &PayoutId, tx: &[u8]) -> Result<(), FoldError> {
        let index = self.size;
        let record = self.record(id)?;
        step(record, "assembled", record.status.ended().is_none())?;
        if record.drafts.len() >= DRAFTS_MAX {
            return Err(FoldError::TooMany { payout: id.clone(), what: "transactions", max: DRAFTS_MAX });
        }
        let network = record.payout.network;
        let tx = decode(network, id, tx)?;
        let (txid, vault) = (unsigned_id(&tx), record.payout.vault.clone());
        if record.draft(&txid).is_some() {
            return Err(FoldError::Step {
                payout: id.clone(),
                status: "assembled",
                step: "assembled so again",
            });
        }
        if let Some(holder) = self.by_txid.get(&txid) {
            return Err(FoldError::TransactionTaken { txid, holder: holder.clone() });
        }
        let record = self.record(id)?;
        let outputs: Vec<_> = tx.outputs.iter().map(|output| output.script.clone()).collect();
        record.drafts.push(Draft { txid, tx, index });
        record.status = record.status.max(Status::Assembled);
        self.by_txid.entry(txid).or_insert_with(|| id.clone());
        if let Some(scripts) = self.scripts.get_mut(&vault) {
            scripts.used(&outputs);
        }
        Ok(())
    }

    fn receipt(&mut self, receipt: Receipt, index: Option<u64>) -> Result<(), FoldError> {
        let record = self.record(&receipt.payout)?;
        if receipt.digest != record.digest {
            let (payout, by) = (receipt.payout, receipt.by.to_string());
            return Err(FoldError::OtherDigest { payout, by });
        }
        if record.draft(&receipt.txid).is_none() {
            return Err(FoldError::UnknownTransaction { payout: receipt.payout, txid: receipt.txid });
        }
        bounded(&receipt, &record.payout)?;
        let vault = record.payout.vault.clone();
        let same =
            |logged: &LoggedReceipt| logged.receipt.by == receipt.by && logged.receipt.txid == receipt.txid;
        let known = record.receipts.iter().position(same);
        let before = index.and_then(|_| {
            let logged = self.logged.entry(vault.clone()).or_default();
            // The receipt's time is the faster clock's; allowance is freed by the slower one's.
            let slower = Instant::from_ms(receipt.at.ms().saturating_sub(CLOCKS_APART_MAX_MS));
            let before = logged.sum_without(&receipt.payout, slower);
            logged.count(&receipt.payout, receipt.outflow, receipt.at);
            before
        });
        let record = self.record(&receipt.payout)?;
        let latest = LoggedReceipt { receipt: receipt.clone(), index, first: index, before };
        match known.and_then(|at| record.receipts.get_mut(at)) {
            Some(known) => known.follow(latest),
            None => record.receipts.push(latest),
        }
        self.outflows.entry(vault).or_default().count(&receipt.payout, receipt.outflow, receipt.at);
        Ok(())
    }

    fn signed(&mut self, id: &PayoutId, bytes: Vec<u8>) -> Result<(), FoldError> {
        let record = self.record(id)?;
        step(record, "signed", record.status.ended().is_none())?;
        let txid = unsigned_id(&decode(record.payout.network, id, &bytes)?);
        if record.draft(&txid).is_none() {
            return Err(FoldError::UnknownTransaction { payout: id.clone(), txid });
        }
        record.signed = Some((txid, bytes));
        record.status = match record.payout.kind {
            PayoutKind::Attestation => Status::Attested,
            PayoutKind::CustomerWithdrawal
            | PayoutKind::Rebalance
            | PayoutKind::Sweep
            | PayoutKind::Consolidation
            | PayoutKind::Evacuation
            | PayoutKind::Fee
            | PayoutKind::Migration
            | PayoutKind::Compensation => record.status.max(Status::Signed),
        };
        Ok(())
    }

    fn broadcast(&mut self, id: &PayoutId, txid: Txid) -> Result<(), FoldError> {
        let record = self.record(id)?;
        let signed = record.signed.as_ref().is_some_and(|(own, _)| *own == txid);
        step(record, "broadcast", record.status.ended().is_none() && signed)?;
        record.status = record.status.max(Status::Broadcast);
        Ok(())
    }

    fn confirmed(&mut self, id: &PayoutId, txid: Txid) -> Result<(), FoldError> {
        let record = self.record(id)?;
        if record.draft(&txid).is_none() {
            return Err(FoldError::UnknownTransaction { payout: id.clone(), txid });
        }
        step(record, "confirmed", record.status.ended().is_none())?;
        record.status = Status::Confirmed;
        Ok(())
    }

    fn cancelled(&mut self, id: &PayoutId) -> Result<(), FoldError> {
        let record = self.record(id)?;
        step(record, "cancelled", record.status.ended().is_none())?;
        // It goes on counting against the day's limit: only the writer says that nothing left.
        record.status = Status::Cancelled;
        Ok(())
    }

    fn reset(&mut self, cells: Vec<Cell>, epoch: u64, approvals: &[Approval]) -> Result<(), FoldError> {
        let refuse = |problem: String| FoldError::Reset { problem };
        if epoch != self.breaker.epoch() {
            return Err(refuse(format!(
                "it is for epoch {epoch}, the breaker is at {}",
                self.breaker.epoch()
            )));
        }
        let digest = reset_digest(self.charter.roster().origin(), epoch, &cells);
        self.ordered(RESET, digest, approvals).map_err(refuse)?;
        self.breaker.loosen(cells);
        (self.alarms_reset, self.size_reset) = (self.alarms.len(), self.size);
        Ok(())
    }

    fn resume(&mut self, signer: MachineId, seq: u64, approvals: &[Approval]) -> Result<(), FoldError> {
        let refuse = |problem: String| FoldError::Resume { signer: signer.clone(), problem };
        let logged = self.seq(&signer);
        if seq == 0 || seq != logged {
            return Err(refuse(format!("it is for number {seq}, the signer's receipts end at {logged}")));
        }
        let digest = resume_digest(self.charter.roster().origin(), &signer, seq);
        self.ordered(RESUME, digest, approvals).map_err(refuse)?;
        self.resumed.insert(signer, seq);
        Ok(())
    }

    fn published(
        &mut self,
        at: Instant,
        liabilities: Liabilities,
        approval: &Approval,
    ) -> Result<(), FoldError> {
        let refuse = |problem: String| FoldError::Liabilities { problem };
        let digest = liabilities.digest(self.charter.roster().origin());
        let signed = approval.verify(self.charter.roster(), LIABILITIES, digest.as_bytes());
        signed.map_err(|problem| refuse(problem.to_string()))?;
        if liabilities.as_of > at.plus_ms(CLOCKS_APART_MAX_MS) {
            return Err(refuse(format!("they are as of {}, and it is {at}", liabilities.as_of)));
        }
        if self.liabilities.iter().any(|(_, known)| known.root == liabilities.root) {
            return Err(refuse("this root stands in the log already".to_owned()));
        }
        if liabilities.veil.is_some()
            && self.liabilities.iter().any(|(_, known)| known.veil == liabilities.veil)
        {
            return Err(refuse("this veil's root stands in the log already".to_owned()));
        }
        self.liabilities.push((self.size, liabilities));
        Ok(())
    }

    /// Whether the quorum that may loosen the breaker signed `digest`.
    fn ordered(&self, namespace: &'static str, digest: Digest, approvals: &[Approval]) -> Result<(), String> {
        let needs = self.charter.order_needs(namespace, digest, approvals);
        let needs = needs.map_err(|problem| problem.to_string())?;
        if let Some(short) = needs.iter().find(|need| !need.is_met()) {
            return Err(format!(
                "{} approvals of group {}, want {}",
                short.signed.len(),
                short.group,
                short.want
            ));
        }
        Ok(())
    }
}

/// A transaction's id without its unlocking scripts: the same before and after signing, and not changed by anybody who
/// rewrites a signature on the way. For native segregated witness it is the transaction id.
#[must_use]
pub fn unsigned_id(tx: &Tx) -> Txid {
    if tx.inputs.iter().all(|input| input.script_sig.is_empty()) {
        return tx.txid();
    }
    let mut bare = tx.clone();
    for input in &mut bare.inputs {
        input.script_sig = Script::default();
    }
    bare.txid()
}

/// A receipt says what the payout can take out, and no more: one hostile signer must not be able to use up a limit.
fn bounded(receipt: &Receipt, payout: &Payout) -> Result<(), FoldError> {
    // An attestation takes out nothing, whatever it says.
    let (least, most) = match payout.kind {
        PayoutKind::Attestation => (Amount::ZERO, Amount::ZERO),
        PayoutKind::CustomerWithdrawal
        | PayoutKind::Rebalance
        | PayoutKind::Sweep
        | PayoutKind::Consolidation
        | PayoutKind::Evacuation
        | PayoutKind::Fee
        | PayoutKind::Migration
        | PayoutKind::Compensation => {
            (payout.amount, payout.amount.plus(payout.fee_cap).unwrap_or(Amount::new(u128::MAX)))
        }
    };
    if (least..=most).contains(&receipt.outflow) {
        return Ok(());
    }
    let (payout, by) = (payout.id.clone(), receipt.by.to_string());
    Err(FoldError::ReceiptOutflow { payout, by, outflow: receipt.outflow, most })
}

/// What is dated far ahead would never be old enough to free its allowance. The signer's clocks and the writer's may each be
/// apart from the right one.
fn dated(receipt: &Receipt, entry: Instant) -> Result<(), FoldError> {
    if receipt.at <= entry.plus_ms(3 * CLOCKS_APART_MAX_MS) {
        return Ok(());
    }
    let (payout, by) = (receipt.payout.clone(), receipt.by.to_string());
    Err(FoldError::ReceiptTime { payout, by, at: receipt.at, entry })
}

fn trip_digest(trip: &Trip) -> Digest {
    Digest::sha256(&[&trip.to_value().encode()])
}

fn step(record: &Record, step: &'static str, allowed: bool) -> Result<(), FoldError> {
    if allowed {
        return Ok(());
    }
    Err(FoldError::Step { payout: record.payout.id.clone(), status: record.status.word(), step })
}

fn decode(network: Network, id: &PayoutId, bytes: &[u8]) -> Result<Tx, FoldError> {
    Tx::decode(network, bytes)
        .map_err(|problem| FoldError::Transaction { payout: id.clone(), problem: problem.to_string() })
}
