//! The coordinator: takes a payout from request to confirmation. It appends to the log, has every group of entries
//! co-signed, asks signers for receipts and then for signatures, combines and hands over to the node.
//!
//! It is trusted with nothing: whatever it does wrong, signers refuse and the watcher notices. The writer daemon executes
//! the effects it returns; the simulator runs the same code. Everything that matters is in the log, so a restart folds
//! the log and goes on.

mod assemble;
mod evacuate;
mod rounds;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use kuraban_base::{Amount, Height, Instant, MachineId, PayoutDigest, PayoutId, Txid, VaultId};
use kuraban_chain::btc::{Network, OutPoint, TxOut};
use kuraban_proof::{Entry, EntryKind, Frontier, KeyId, NoteSigner, Opening, SignedCheckpoint, TreeHead};

use crate::{
    approval::Approval,
    body::{Alarm, Body},
    breaker::{Cell, Trip},
    charter::Charter,
    fold::{Fold, FoldError, Record, Status},
    follow,
    judge::{admit, people},
    payout::{Payout, PayoutKind},
    publication::Publication,
    reason::Reason,
    statement::Signed,
    wire::{LogEntry, Request, Response},
};

use self::rounds::{Peer, Round, Work};

/// Most payouts that wait at once; beyond it requests are refused until some end.
pub const ACTIVE_MAX: usize = 100_000;

/// Names whoever asked, so that the driver can answer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Token(pub u64);

/// A confirmed output of a vault, with the whole transaction that made it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Coin {
    /// Where it is.
    pub outpoint: OutPoint,
    /// What it is.
    pub output: TxOut,
    /// The transaction's bytes, for signers.
    pub tx: Arc<Vec<u8>>,
}

/// What people and services ask of the writer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Ask {
    /// Make a payout.
    Request {
        /// The payout.
        payout: Payout,
        /// The requester's signature.
        request: Approval,
        /// The caller's idempotency key.
        key: String,
    },
    /// Approve a payout.
    Approve {
        /// Which.
        payout: PayoutId,
        /// The approver's signature.
        approval: Approval,
    },
    /// Loosen the breaker.
    Reset {
        /// Which cells.
        cells: Vec<Cell>,
        /// The epoch that is left behind.
        epoch: u64,
        /// The approvals.
        approvals: Vec<Approval>,
    },
    /// Let a signer resume whose disk was set back.
    Resume {
        /// Which.
        signer: MachineId,
        /// The highest number of its receipts in the log.
        seq: u64,
        /// The approvals.
        approvals: Vec<Approval>,
    },
    /// Publish a root, a digest, or how a check ended.
    Publish {
        /// What is published.
        publication: Publication,
        /// The signature of somebody on the roster.
        approval: Approval,
    },
}

/// What the writer answers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Reply {
    /// It is in the log, on disk.
    Logged {
        /// The payout's digest, where there is a payout.
        digest: Option<PayoutDigest>,
        /// Whether it was there before: the same request again.
        repeated: bool,
    },
    /// The policy refuses; every broken rule.
    Refused(Vec<Reason>),
    /// It contradicts what is in the log.
    Conflict {
        /// The stable code.
        code: &'static str,
        /// In words.
        detail: String,
    },
}

/// What happens to the coordinator.
#[derive(Clone, Debug)]
pub enum Event {
    /// Somebody asks.
    Ask(Token, Ask),
    /// A connection to a signer or watcher stands; nothing is under way on it.
    Joined(MachineId),
    /// A connection broke; what was under way on it has no answer.
    Lost(MachineId),
    /// The answer to the last request sent there.
    Answer(MachineId, Box<Response>),
    /// A watcher raised an alarm.
    Alarm(Box<Signed<Alarm>>, Option<Box<Signed<Trip>>>),
    /// A vault's output is confirmed.
    Coin(VaultId, Coin),
    /// A vault's output is spent or gone.
    CoinGone(VaultId, OutPoint),
    /// A transaction that spends a vault's outputs is in a block.
    Mined {
        /// The transaction, by its [`unsigned_id`](crate::fold::unsigned_id).
        txid: Txid,
        /// What it spends.
        spends: Vec<OutPoint>,
        /// The block's height.
        height: Height,
    },
    /// The block that held it is no longer in the chain; again by the id without signatures.
    Unmined(Txid),
    /// The chain has grown or changed.
    Tip(Network, Height),
    /// The node's estimate, in base units per 1,000 virtual bytes.
    FeeRate(Network, Amount),
    /// Time has passed.
    Tick,
}

/// What the driver shall do, in the order given.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Effect {
    /// Put a group of entries on disk with the checkpoint after them, all or nothing.
    Persist {
        /// The index of the first.
        from: u64,
        /// The entries.
        entries: Vec<LogEntry>,
        /// The log's signed checkpoint.
        checkpoint: Vec<u8>,
    },
    /// Keep the latest checkpoint that a quorum co-signed, to be published.
    Publish {
        /// Its size.
        size: u64,
        /// The checkpoint with cosignatures.
        checkpoint: Vec<u8>,
    },
    /// Send one request and bring back its answer.
    Send(MachineId, Box<Request>),
    /// Send entries from an index on, up to a stored checkpoint not beyond `until`.
    SendEntries {
        /// To whom.
        to: MachineId,
        /// From which entry.
        from: u64,
        /// Up to which size.
        until: u64,
    },
    /// Hand a transaction to the node.
    Broadcast(Network, Vec<u8>),
    /// Answer.
    Reply(Token, Reply),
}

/// The coordinator's state.
#[derive(Debug)]
pub struct Coordinator {
    log: NoteSigner,
    by: KeyId,
    fold: Fold,
    frontier: Frontier,
    /// Entries folded and not yet handed to the driver.
    pending: Vec<LogEntry>,
    /// Effects that wait for those entries to be on disk.
    outbox: Vec<Effect>,
    head: TreeHead,
    peers: BTreeMap<MachineId, Peer>,
    round: Option<Round>,
    witnessed: Option<SignedCheckpoint>,
    lease: rounds::Leasing,
    /// Payouts that have not ended.
    active: BTreeSet<PayoutId>,
    /// Active payouts whose approvals are complete and which have no transaction.
    approved: BTreeSet<PayoutId>,
    /// Those of them for which coins have not been looked for since something changed.
    untried: BTreeSet<PayoutId>,
    work: BTreeMap<PayoutId, Work>,
    coins: BTreeMap<VaultId, BTreeMap<OutPoint, Coin>>,
    reserved: BTreeMap<OutPoint, PayoutId>,
    mined: BTreeMap<Txid, (Height, Vec<OutPoint>)>,
    tips: BTreeMap<Network, Height>,
    fee_rates: BTreeMap<Network, Amount>,
    keys: BTreeMap<String, PayoutId>,
    sent_at: BTreeMap<Txid, Instant>,
}

/// A stored log that does not hold together.
#[derive(Debug, thiserror::Error)]
#[error("entry {index} of the stored log: {problem}")]
pub struct RestoreError {
    /// Which.
    pub index: u64,
    /// What is wrong.
    pub problem: String,
}

impl Coordinator {
    /// A coordinator of an empty log.
    #[must_use]
    pub fn new(me: &MachineId, charter: Arc<Charter>, log: NoteSigner) -> Self {
        let witnesses = charter.roster().witnesses();
        let peers = witnesses.map(|(id, machine)| (id.clone(), Peer::new(machine.role))).collect();
        #[expect(clippy::expect_used, reason = "a machine's name has only characters that key ids may have")]
        let by: KeyId = me.as_str().parse().expect("a machine's name is a key id");
        Self {
            log,
            by,
            fold: Fold::new(charter),
            frontier: Frontier::new(),
            pending: Vec::new(),
            outbox: Vec::new(),
            head: TreeHead::empty(),
            peers,
            round: None,
            witnessed: None,
            lease: rounds::Leasing::default(),
            active: BTreeSet::new(),
            approved: BTreeSet::new(),
            untried: BTreeSet::new(),
            work: BTreeMap::new(),
            coins: BTreeMap::new(),
            reserved: BTreeMap::new(),
            mined: BTreeMap::new(),
            tips: BTreeMap::new(),
            fee_rates: BTreeMap::new(),
            keys: BTreeMap::new(),
            sent_at: BTreeMap::new(),
        }
    }

    /// Takes up stored entries at a restart, in order.
    ///
    /// # Errors
    /// One does not decode, open or follow.
    pub fn restore(&mut self, entries: &[LogEntry]) -> Result<(), RestoreError> {
        for logged in entries {
            let index = self.fold.size();
            let spoilt = |problem: String| RestoreError { index, problem };
            let (at, leaf, body) = follow::open(logged).map_err(spoilt)?;
            self.take_note(&body);
            self.fold.apply(at, body).map_err(|problem| spoilt(problem.to_string()))?;
            self.frontier.append(leaf);
        }
        self.head = self.frontier.head();
        Ok(())
    }

    /// Goes on where the restored log ends. Call once, after [`restore`](Self::restore).
    pub fn resume(&mut self) {
        let mut records: Vec<&Record> =
            self.fold.payouts().filter(|record| record.status.ended().is_none()).collect();
        // A coin belongs to whoever took it last: the payout before it was given up, or gave way to an evacuation.
        records.sort_by_key(|record| record.drafts.last().map(|draft| draft.index));
        let ids: Vec<PayoutId> = records.into_iter().map(|record| record.payout.id.clone()).collect();
        for id in ids {
            self.reserve(&id);
            self.active.insert(id.clone());
            self.consider(&id);
        }
    }

    /// The state folded from the log.
    #[must_use]
    pub const fn fold(&self) -> &Fold {
        &self.fold
    }

    /// The log's head, on disk or about to be.
    #[must_use]
    pub const fn head(&self) -> TreeHead {
        self.head
    }

    /// Opens an empty log.
    ///
    /// # Errors
    /// The log is not empty.
    pub fn open(
        &mut self,
        now: Instant,
        retention_days: u32,
        fresh: &mut dyn FnMut() -> [u8; 32],
    ) -> Result<(), FoldError> {
        let charter = self.fold.charter();
        let context = charter.context();
        let vaults = charter.vaults().map(|(vault, _)| vault.to_value()).collect();
        let opened =
            Body::LogOpened { roster: context.roster, policy: context.policy, vaults, retention_days };
        self.append(now, opened, fresh)
    }

    /// Takes up one event. Nothing leaves before [`flush`](Self::flush).
    pub fn step(&mut self, now: Instant, event: Event, fresh: &mut dyn FnMut() -> [u8; 32]) {
        match event {
            Event::Ask(token, ask) => {
                let reply = self.ask(now, ask, fresh);
                self.outbox.push(Effect::Reply(token, reply));
            }
            Event::Joined(id) => self.joined(&id),
            Event::Lost(id) => self.lost(&id),
            Event::Answer(id, response) => self.answer(now, &id, *response, fresh),
            Event::Alarm(alarm, trip) => self.alarm(now, *alarm, trip.map(|trip| *trip), fresh),
            Event::Coin(vault, coin) => {
                self.coins.entry(vault).or_default().insert(coin.outpoint, coin);
                self.try_again();
            }
            Event::CoinGone(vault, outpoint) => {
                self.coins.entry(vault).or_default().remove(&outpoint);
            }
            Event::Mined { txid, spends, height } => {
                self.mined.insert(txid, (height, spends));
            }
            Event::Unmined(txid) => {
                self.mined.remove(&txid);
            }
            Event::Tip(network, height) => {
                self.tips.insert(network, height);
                self.settle(now, network, fresh);
            }
            Event::FeeRate(network, rate) => {
                self.fee_rates.insert(network, rate);
                self.try_again();
            }
            Event::Tick => self.tick(now, fresh),
        }
    }

    /// Closes a group: what the driver shall do about all events since the last call, the disk first.
    pub fn flush(&mut self, now: Instant, fresh: &mut dyn FnMut() -> [u8; 32]) -> Vec<Effect> {
        self.assemble_approved(now, fresh);
        let mut effects = Vec::new();
        if !self.pending.is_empty() {
            effects.push(self.persist());
        }
        self.drive(now);
        effects.append(&mut self.outbox);
        effects
    }

    fn persist(&mut self) -> Effect {
        let from = self.head.size;
        self.head = self.frontier.head();
        #[expect(clippy::expect_used, reason = "a checkpoint of our own key's name is always a note")]
        let checkpoint = SignedCheckpoint::sign(&self.log, self.head).expect("our own name makes a note");
        Effect::Persist {
            from,
            entries: core::mem::take(&mut self.pending),
            checkpoint: checkpoint.to_string().into_bytes(),
        }
    }

    /// Folds one more entry in and queues it for the disk.
    fn append(
        &mut self,
        now: Instant,
        body: Body,
        fresh: &mut dyn FnMut() -> [u8; 32],
    ) -> Result<(), FoldError> {
        let bytes = body.encode();
        let kind = body.kind();
        self.fold.apply(now, body.clone())?;
        let opening = Opening { salt: fresh(), body: bytes };
        #[expect(clippy::expect_used, reason = "kinds are words of a closed set")]
        let kind: EntryKind = kind.parse().expect("our kinds are tokens");
        let entry = Entry { at: now, by: self.by.clone(), kind, commit: opening.commit() };
        self.frontier.append(entry.leaf());
        self.pending.push(LogEntry { entry: entry.encode(), salt: opening.salt, body: opening.body });
        self.take_note(&body);
        Ok(())
    }

    /// What the coordinator remembers of an entry beside the fold.
    fn take_note(&mut self, body: &Body) {
        if let Body::PayoutRequested { payout, key, .. } = body {
            self.keys.insert(key.clone(), payout.id.clone());
        }
    }

    fn ask(&mut self, now: Instant, ask: Ask, fresh: &mut dyn FnMut() -> [u8; 32]) -> Reply {
        match ask {
            Ask::Request { payout, request, key } => self.request(now, payout, request, key, fresh),
            Ask::Approve { payout, approval } => self.approve(now, &payout, approval, fresh),
            Ask::Reset { cells, epoch, approvals } => {
                let body = Body::BreakerReset { cells, epoch, approvals };
                match self.append(now, body, fresh) {
                    Ok(()) => {
                        self.try_again();
                        Reply::Logged { digest: None, repeated: false }
                    }
                    Err(problem) => {
                        Reply::Conflict { code: "reset-not-ordered", detail: problem.to_string() }
                    }
                }
            }
            Ask::Resume { signer, seq, approvals } => {
                match self.append(now, Body::SignerResumed { signer, seq, approvals }, fresh) {
                    Ok(()) => Reply::Logged { digest: None, repeated: false },
                    Err(problem) => {
                        Reply::Conflict { code: "resume-not-ordered", detail: problem.to_string() }
                    }
                }
            }
            Ask::Publish { publication, approval } => {
                let code = publication.refused_code();
                match self.append(now, Body::Published { publication, approval }, fresh) {
                    Ok(()) => Reply::Logged { digest: None, repeated: false },
                    Err(problem) => Reply::Conflict { code, detail: problem.to_string() },
                }
            }
        }
    }

    fn request(
        &mut self,
        now: Instant,
        payout: Payout,
        request: Approval,
        key: String,
        fresh: &mut dyn FnMut() -> [u8; 32],
    ) -> Reply {
        let digest = payout.digest(&self.fold.charter().context());
        let known =
            self.keys.get(&key).or_else(|| self.fold.payout(&payout.id).map(|record| &record.payout.id));
        if let Some(known) = known {
            // The digest names the payout too.
            return if self.fold.payout(known).is_some_and(|record| record.digest == digest) {
                Reply::Logged { digest: Some(digest), repeated: true }
            } else {
                let detail = format!("it names payout {known}, which was requested with another body");
                Reply::Conflict { code: "payout-other-body", detail }
            };
        }
        if self.active.len() >= ACTIVE_MAX {
            let detail = format!("{ACTIVE_MAX} payouts are under way, try again when some have ended");
            return Reply::Conflict { code: "too-many-payouts", detail };
        }
        let Some(views) = self.fold.views(&payout.vault) else {
            let detail = format!("vault {} is not known", payout.vault);
            return Reply::Conflict { code: "vault-unknown", detail };
        };
        let reasons = admit(views, self.fold.breaker(), &payout, &request, now);
        if !reasons.is_empty() {
            return Reply::Refused(reasons);
        }
        let id = payout.id.clone();
        let body = Body::PayoutRequested { payout, key, request: Some(request), evidence: None };
        match self.append(now, body, fresh) {
            Ok(()) => {
                self.active.insert(id);
                Reply::Logged { digest: Some(digest), repeated: false }
            }
            Err(problem) => Reply::Conflict { code: "payout-not-possible", detail: problem.to_string() },
        }
    }

    fn approve(
        &mut self,
        now: Instant,
        id: &PayoutId,
        approval: Approval,
        fresh: &mut dyn FnMut() -> [u8; 32],
    ) -> Reply {
        let Some(record) = self.fold.payout(id) else {
            return Reply::Conflict {
                code: "payout-unknown",
                detail: format!("payout {id} was never requested"),
            };
        };
        let digest = record.digest;
        if record.approvals.contains(&approval) {
            return Reply::Logged { digest: Some(digest), repeated: true };
        }
        if let Some(reasons) = self.approval_problems(record, &approval, now) {
            return Reply::Refused(reasons);
        }
        match self.append(now, Body::PayoutApproved { payout: id.clone(), approval }, fresh) {
            Ok(()) => {
                self.consider(id);
                Reply::Logged { digest: Some(digest), repeated: false }
            }
            Err(problem) => Reply::Conflict { code: "approval-not-possible", detail: problem.to_string() },
        }
    }

    /// Why an approval cannot count, judged as signers will.
    fn approval_problems(&self, record: &Record, approval: &Approval, now: Instant) -> Option<Vec<Reason>> {
        let mut reasons = Vec::new();
        if now >= record.payout.expiry {
            reasons.push(Reason::Expired { now, expiry: record.payout.expiry });
        }
        let roster = self.fold.charter().roster();
        let all: Vec<Approval> = record.approvals.iter().chain([approval]).cloned().collect();
        people(roster, record.request.as_ref(), Some(&all), &[], record.digest, &mut reasons);
        (!reasons.is_empty()).then_some(reasons)
    }

    /// Marks a payout as approved when its approvals are complete.
    fn consider(&mut self, id: &PayoutId) {
        let Some(record) = self.fold.payout(id) else { return };
        if record.status != Status::Requested {
            return;
        }
        let Some(views) = self.fold.views(&record.payout.vault) else { return };
        let mut reasons = Vec::new();
        if record.evidence.is_none() {
            let Some(rule) = views.policy.rule(record.payout.kind, record.payout.amount) else { return };
            let (request, approvals) = (record.request.as_ref(), Some(record.approvals.as_slice()));
            people(views.roster, request, approvals, &rule.approvals, record.digest, &mut reasons);
        }
        if reasons.is_empty() {
            self.approved.insert(id.clone());
            self.untried.insert(id.clone());
        }
    }

    /// Confirms and cancels what the chain has settled.
    fn settle(&mut self, now: Instant, network: Network, fresh: &mut dyn FnMut() -> [u8; 32]) {
        let Some(tip) = self.tips.get(&network).copied() else { return };
        let mut bodies = Vec::new();
        for record in self.active.iter().filter_map(|id| self.fold.payout(id)) {
            if record.payout.network == network && !record.drafts.is_empty() {
                bodies.extend(self.settled(record, tip).map(|body| (record.payout.id.clone(), body)));
            }
        }
        for (id, body) in bodies {
            if self.append(now, body, fresh).is_ok() {
                self.ended(&id);
            }
        }
    }

    fn settled(&self, record: &Record, tip: Height) -> Option<Body> {
        let (vault, _) = self.fold.charter().vault(&record.payout.vault)?;
        let payout = record.payout.id.clone();
        let deep = |height: &Height| height.confirmations(tip) >= vault.depth_min;
        for draft in &record.drafts {
            if let Some((height, _)) = self.mined.get(&draft.txid).filter(|(height, _)| deep(height)) {
                return Some(Body::PayoutConfirmed { payout, txid: draft.txid, height: *height });
            }
        }
        // Another transaction has taken an input of every draft.
        let rival = |(txid, (height, spends)): &(&Txid, &(Height, Vec<OutPoint>))| {
            let taken =
                |draft: &crate::fold::Draft| draft.tx.inputs.iter().any(|input| spends.contains(&input.prev));
            deep(height) && record.draft(txid).is_none() && record.drafts.iter().all(taken)
        };
        self.mined.iter().find(rival).map(|(txid, _)| Body::PayoutCancelled { payout, txid: *txid })
    }

    fn ended(&mut self, id: &PayoutId) {
        self.active.remove(id);
        self.approved.remove(id);
        self.untried.remove(id);
        self.work.remove(id);
        self.reserved.retain(|_, holder| holder != id);
        self.try_again();
        if let Some(record) = self.fold.payout(id) {
            for draft in &record.drafts {
                self.sent_at.remove(&draft.txid);
            }
        }
    }

    fn reserve(&mut self, id: &PayoutId) {
        // An attestation leaves its coins to payouts.
        let moves = |record: &&Record| record.payout.kind != PayoutKind::Attestation;
        let Some(record) = self.fold.payout(id).filter(moves) else { return };
        for input in record.drafts.iter().flat_map(|draft| &draft.tx.inputs) {
            self.reserved.insert(input.prev, id.clone());
        }
    }

    fn tick(&mut self, now: Instant, fresh: &mut dyn FnMut() -> [u8; 32]) {
        let over = |record: &&Record| {
            let may_end = record.receipts.is_empty() || record.payout.kind == PayoutKind::Attestation;
            may_end && record.status <= Status::Assembled && now >= record.payout.expiry
        };
        let expired: Vec<PayoutId> = self
            .active
            .iter()
            .filter_map(|id| self.fold.payout(id))
            .filter(over)
            .map(|record| record.payout.id.clone())
            .collect();
        for id in expired {
            if self.append(now, Body::PayoutExpired { payout: id.clone() }, fresh).is_ok() {
                self.ended(&id);
            }
        }
        self.give_up(now);
        self.rebroadcast(now);
        self.evacuate_all(now, fresh);
        self.retry(now, fresh);
    }

    /// Lets go of the coins of payouts that got receipts and expired unsigned. A signature for one of them may be out, so
    /// only the chain ends it: another payout takes the coins, and once that is confirmed this one is cancelled.
    fn give_up(&mut self, now: Instant) {
        let over = |record: &&Record| {
            record.signed.is_none() && !record.receipts.is_empty() && now >= record.payout.expiry
        };
        let over: BTreeSet<PayoutId> = self
            .active
            .iter()
            .filter_map(|id| self.fold.payout(id))
            .filter(over)
            .map(|record| record.payout.id.clone())
            .collect();
        let held = self.reserved.len();
        self.reserved.retain(|_, holder| !over.contains(holder));
        self.work.retain(|id, _| !over.contains(id));
        if self.reserved.len() != held {
            self.try_again();
        }
    }

    /// Hands signed transactions to the node again, after a restart and every half minute until they are mined; those of
    /// an evacuation every other second, because a thief does not wait for one that was lost on its way.
    fn rebroadcast(&mut self, now: Instant) {
        const EVERY_MS: u64 = 30_000;
        const EVACUATION_EVERY_MS: u64 = 2000;
        let mut again = Vec::new();
        for record in self.active.iter().filter_map(|id| self.fold.payout(id)) {
            let Some((txid, bytes)) = &record.signed else { continue };
            let evacuates = record.payout.kind == PayoutKind::Evacuation;
            let every_ms = if evacuates { EVACUATION_EVERY_MS } else { EVERY_MS };
            let waits = self.sent_at.get(txid).is_some_and(|at| now.ms_since(*at) < every_ms);
            if !waits && !self.mined.contains_key(txid) {
                again.push((record.payout.network, *txid, bytes.clone()));
            }
        }
        for (network, txid, bytes) in again {
            self.sent_at.insert(txid, now);
            self.outbox.push(Effect::Broadcast(network, bytes));
        }
    }
}
