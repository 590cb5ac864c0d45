//! The signer: follows the log, judges for itself, gives receipts, and releases signatures only when its receipt stands
//! in a log that a quorum of witnesses co-signed and a watcher leases the moment. The daemon executes what it returns;
//! the simulator runs the same code.
//!
//! Holds one key share. Trusts nothing that the writer says.

mod frozen;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use kuraban_base::{
    Amount, Asset, Instant, MachineId, PayoutId, Txid, VaultId,
    cbor::{CborError, Fields, Value, invalid},
};
use kuraban_chain::btc::{Digests, EcdsaSighash, OutPoint, Tx, TxOut, XPriv};
use kuraban_proof::{Cosigner, SignedCheckpoint, TreeHead};

use crate::{
    attestation::{challenge, is_commitment, spent_by},
    breaker::{Breaker, Cell, Service, Stage, Trip},
    charter::Charter,
    fold::Record,
    follow::{FollowError, Follower},
    judge::{Ask, Facts, Judged, LogStanding, Now, clocks, judge},
    payout::PayoutKind,
    reason::{Reason, Verdict},
    receipt::{Lease, Receipt},
    roster::Role,
    statement::{Signed, StatementSecret, Verified},
    wire::{Answer, InputSignature, LogEntry, Refused, ReleaseItem, Request, Response, SignItem},
};

/// How old a lease may be, in milliseconds on the signer's monotonic clock since it gave out the challenge.
pub const LEASE_MS_MAX: u64 = 5000;
/// Most challenges that wait for a lease.
const CHALLENGES_MAX: usize = 1024;

/// The two clocks of a machine at one moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Clock {
    /// Time of day.
    pub wall: Instant,
    /// Milliseconds since some start; never goes back.
    pub monotonic_ms: u64,
}

/// A signer's secrets.
#[derive(Debug)]
pub struct Secrets {
    /// For receipts.
    pub statement: StatementSecret,
    /// For cosignatures.
    pub cosigner: Cosigner,
    /// For coins, per vault.
    pub coins: BTreeMap<VaultId, XPriv>,
}

/// What a signer must have on disk before it answers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Change {
    /// Entries of the log, from an index on.
    Entries {
        /// The index of the first.
        from: u64,
        /// The entries.
        entries: Vec<LogEntry>,
    },
    /// The head that it co-signed.
    Cosigned(TreeHead),
    /// A receipt that it gave, with the outputs that the transaction spends, in input order.
    Receipt(Receipt, Vec<TxOut>),
    /// A trip that it took.
    Trip(Signed<Trip>),
}

/// What the driver shall do, in this order: persist, then answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Step {
    /// To be on disk, all or nothing, before the answer leaves.
    pub persist: Vec<Change>,
    /// The answer.
    pub answer: Response,
}

/// The latest receipt given for one transaction of a payout.
#[derive(Clone, Debug)]
struct Given {
    receipt: Receipt,
    prevouts: Vec<TxOut>,
}

/// The signer's state.
#[derive(Debug)]
pub struct Signer {
    me: MachineId,
    secrets: SignerSecrets,
    follower: Follower,
    given: BTreeMap<(PayoutId, Txid), Given>,
    seq: u64,
    /// Trips that came on its own socket; the log has its say about them once they stand there.
    tripped: Vec<Trip>,
    challenges: BTreeMap<[u8; 32], u64>,
    /// Its clock at the first request after it started; the least that it has shown since then.
    started: Option<Instant>,
    /// Whether it has been shown since then that its store is the latest.
    current: bool,
}

#[derive(Debug)]
struct SignerSecrets {
    statement: StatementSecret,
    coins: BTreeMap<VaultId, XPriv>,
}

/// A stored change that does not fit the ones before it.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The stored log does not hold together.
    #[error("the stored log does not hold together")]
    Log(#[source] FollowError),
    /// A stored receipt or trip does not fit.
    #[error("a stored {what} does not fit: {problem}")]
    Change {
        /// Which kind.
        what: &'static str,
        /// What is wrong.
        problem: String,
    },
}

impl Signer {
    /// A signer that has seen nothing yet.
    #[must_use]
    pub fn new(me: MachineId, charter: Arc<Charter>, secrets: Secrets) -> Self {
        Self {
            me,
            follower: Follower::new(charter, secrets.cosigner),
            secrets: SignerSecrets { statement: secrets.statement, coins: secrets.coins },
            given: BTreeMap::new(),
            seq: 0,
            tripped: Vec::new(),
            challenges: BTreeMap::new(),
            started: None,
            current: false,
        }
    }

    /// Takes up one stored change at a restart, in the order in which they were persisted.
    ///
    /// # Errors
    /// It does not fit the ones before: the store is damaged, and the signer must not start.
    pub fn restore(&mut self, change: Change) -> Result<(), RestoreError> {
        match change {
            Change::Entries { from, entries } => {
                let size = self.follower.fold().size();
                if from != size {
                    return Err(RestoreError::Log(FollowError::Gap { from, size }));
                }
                self.follower.restore(&entries).map_err(RestoreError::Log)
            }
            Change::Cosigned(head) => self.follower.restore_head(head).map_err(RestoreError::Log),
            Change::Receipt(receipt, prevouts) => self.restore_receipt(receipt, prevouts),
            Change::Trip(trip) => match self.verified_trip(trip) {
                Ok(trip) => {
                    self.tripped.push(trip.into_claim());
                    Ok(())
                }
                Err(refused) => Err(RestoreError::Change { what: "trip", problem: refused.detail }),
            },
        }
    }

    fn restore_receipt(&mut self, receipt: Receipt, prevouts: Vec<TxOut>) -> Result<(), RestoreError> {
        let problem = |problem: String| RestoreError::Change { what: "receipt", problem };
        if receipt.seq != self.last_seq().saturating_add(1) {
            return Err(problem(format!("it is number {} after {}", receipt.seq, self.last_seq())));
        }
        self.follower.fold_mut().count_own(receipt.clone()).map_err(|error| problem(error.to_string()))?;
        self.seq = receipt.seq;
        self.given.insert((receipt.payout.clone(), receipt.txid), Given { receipt, prevouts });
        Ok(())
    }

    /// This signer's follower of the log.
    #[must_use]
    pub const fn follower(&self) -> &Follower {
        &self.follower
    }

    /// How many receipts it gave.
    #[must_use]
    pub const fn seq(&self) -> u64 {
        self.seq
    }

    /// Answers one request. `role` is what the roster says about the key that asks; `fresh` are 32 bytes from the
    /// operating system's random source, used for at most one challenge.
    pub fn step(&mut self, clock: Clock, role: Role, fresh: [u8; 32], request: Request) -> Step {
        // A clock that was ahead at first and is put right still stands after the true start.
        self.started = Some(self.started.map_or(clock.wall, |started| started.min(clock.wall)));
        match (role, request) {
            (_, Request::Status) => answer(Response::Status {
                size: self.follower.fold().size(),
                epoch: self.follower.fold().breaker().epoch(),
            }),
            (Role::Writer, Request::Extend { from, entries, checkpoint, newest: _ }) => {
                self.extend(clock, fresh, from, entries, &checkpoint)
            }
            (Role::Writer, Request::Sign { checkpoint, lease, items }) => {
                self.sign(clock, &checkpoint, lease, &items)
            }
            (Role::Writer, Request::Release { checkpoint, lease, items }) => {
                self.release(clock, &checkpoint, lease, &items)
            }
            (Role::Watcher, Request::Trip(trip)) => self.trip(trip),
            (
                _,
                Request::Extend { .. }
                | Request::Sign { .. }
                | Request::Release { .. }
                | Request::Trip(_)
                | Request::Lease { .. }
                | Request::Permits { .. }
                | Request::Alarms { .. },
            ) => refuse("request-not-allowed", format!("a {role} may not ask this of a signer")),
        }
    }

    fn extend(
        &mut self,
        clock: Clock,
        fresh: [u8; 32],
        from: u64,
        entries: Vec<LogEntry>,
        checkpoint: &[u8],
    ) -> Step {
        match self.follower.extend(from, &entries, checkpoint, clock.wall) {
            Ok(followed) => {
                self.challenges.retain(|_, at| clock.monotonic_ms.saturating_sub(*at) <= LEASE_MS_MAX);
                if self.challenges.len() < CHALLENGES_MAX {
                    self.challenges.insert(fresh, clock.monotonic_ms);
                }
                let persist = vec![Change::Entries { from, entries }, Change::Cosigned(followed.head)];
                let cosigned =
                    Response::Cosigned { size: followed.head.size, line: followed.line, challenge: fresh };
                Step { persist, answer: cosigned }
            }
            Err(FollowError::Gap { from: _, size }) => answer(Response::Behind { size }),
            Err(
                problem @ (FollowError::Entry { .. }
                | FollowError::Fold { .. }
                | FollowError::Checkpoint { .. }
                | FollowError::Spoilt),
            ) => refuse("log-not-followed", problem.to_string()),
        }
    }

    fn trip(&mut self, trip: Signed<Trip>) -> Step {
        match self.verified_trip(trip.clone()) {
            Ok(verified) => {
                let claim = verified.into_claim();
                if self.tripped.contains(&claim) || self.follower.fold().has_trip(&claim) {
                    return answer(Response::Tripped);
                }
                self.tripped.push(claim);
                Step { persist: vec![Change::Trip(trip)], answer: Response::Tripped }
            }
            Err(refused) => answer(Response::Refused(refused)),
        }
    }

    /// The stage of a cell by trips that the log does not show yet.
    fn own_stage(&self, cell: Cell) -> Stage {
        let fold = self.follower.fold();
        let mut breaker = Breaker::default();
        for trip in self.tripped.iter().filter(|trip| !fold.has_trip(trip)) {
            breaker.tighten(trip.cells.iter().copied(), trip.stage);
        }
        breaker.stage(cell)
    }

    fn verified_trip(&self, trip: Signed<Trip>) -> Result<Verified<Trip>, Refused> {
        let roster = self.follower.fold().charter().roster();
        let by = trip.claim_unverified().by.clone();
        let stranger = || refused("trip-invalid", format!("{by} is no watcher on the roster"));
        let key = roster.statement_key(&by, Role::Watcher).ok_or_else(stranger)?;
        trip.verify(key).map_err(|problem| refused("trip-invalid", problem.to_string()))
    }

    /// Opens a cosigned checkpoint: its head if this signer knows it, the witnesses' time, and the log's standing.
    fn checkpoint(&self, bytes: &[u8]) -> (u64, Option<Instant>, LogStanding) {
        if self.follower.is_spoilt() {
            return (0, None, LogStanding::NotIncluded(FollowError::Spoilt.to_string()));
        }
        let roster = self.follower.fold().charter().roster();
        let logs = std::slice::from_ref(roster.log());
        let quorum = roster.quorum();
        let signed = match SignedCheckpoint::open(bytes, logs, quorum.witnesses()) {
            Ok(signed) => signed,
            Err(problem) => return (0, None, LogStanding::NotWitnessed(problem.to_string())),
        };
        let TreeHead { size, root } = signed.head();
        match quorum.met(&signed) {
            Err(problem) => (0, None, LogStanding::NotWitnessed(problem.to_string())),
            Ok(_) if !self.follower.knows(size, &root) => {
                let problem = format!("this signer did not fold root {root} of size {size}");
                (0, None, LogStanding::NotIncluded(problem))
            }
            Ok(witnessed) => (size, Some(witnessed.median), LogStanding::Witnessed),
        }
    }

    /// How far the watcher's lease reaches.
    fn lease(&self, clock: Clock, lease: Signed<Lease>) -> Result<Leased, Reason> {
        let invalid = |problem: String| Reason::LeaseInvalid { problem };
        let fold = self.follower.fold();
        let by = lease.claim_unverified().by.clone();
        let key = fold.charter().roster().statement_key(&by, Role::Watcher);
        let key = key.ok_or_else(|| invalid(format!("{by} is no watcher on the roster")))?;
        let lease = lease.verify(key).map_err(|problem| invalid(problem.to_string()))?.into_claim();
        let issued = lease.challenges.iter().filter_map(|challenge| self.challenges.get(challenge)).max();
        let issued = issued.ok_or_else(|| invalid("it answers no challenge of this signer's".to_owned()))?;
        let age_ms = clock.monotonic_ms.saturating_sub(*issued);
        if age_ms > LEASE_MS_MAX {
            return Err(invalid(format!("its challenge is {age_ms} ms old, at most {LEASE_MS_MAX}")));
        }
        if !self.follower.knows(lease.size, &lease.root) {
            return Err(invalid(format!(
                "it is over root {} of size {}, which is not this log",
                lease.root, lease.size
            )));
        }
        if lease.epoch != fold.breaker().epoch() {
            let own = fold.breaker().epoch();
            return Err(invalid(format!("it knows breaker epoch {}, this signer {own}", lease.epoch)));
        }
        Ok(Leased { size: lease.size, assets: lease.assets })
    }

    fn sign(&mut self, clock: Clock, checkpoint: &[u8], lease: Signed<Lease>, items: &[SignItem]) -> Step {
        let (witnessed, median, log) = self.checkpoint(checkpoint);
        let leased = self.lease(clock, lease);
        let now = Now { own: clock.wall, witnesses: median };
        let frozen = self.frozen(checkpoint, &log, &leased);
        let moment = Moment { witnessed, leased, log, now, frozen };
        // A clock that nobody confirms frees no allowance.
        if median.is_some() && clocks(now).is_none() {
            self.follower.fold_mut().prune(now.earliest());
        }
        let mut persist = Vec::new();
        let mut answers = Vec::with_capacity(items.len());
        for item in items {
            let given = self.given.get(&(item.payout.clone(), item.txid));
            let good = |given: &&Given| moment.frozen.is_none() && !given.receipt.is_lapsed(now.latest());
            let answer = match given.filter(good) {
                // The same question again, after a lost answer: the same receipt.
                Some(given) => Ok(Signed::sign(given.receipt.clone(), &self.secrets.statement)),
                // The first time, or after the receipt has lapsed: everything is judged as it is now.
                None => self.receipt(&moment, item, &mut persist),
            };
            answers.push(answer.map_err(|reasons| reasons.iter().map(Refused::from).collect()));
        }
        Step { persist, answer: Response::Receipts(answers) }
    }

    fn receipt(
        &mut self,
        moment: &Moment,
        item: &SignItem,
        persist: &mut Vec<Change>,
    ) -> Result<Signed<Receipt>, Vec<Reason>> {
        let (judged, prevouts) = self.judge(moment, item)?;
        let seq = self.last_seq().saturating_add(1);
        let receipt = Receipt {
            by: self.me.clone(),
            payout: judged.payout().clone(),
            digest: judged.digest(),
            txid: judged.txid(),
            outflow: judged.outflow(),
            seq,
            at: moment.now.latest(),
        };
        let counted = self.follower.fold_mut().count_own(receipt.clone());
        counted.map_err(|problem| vec![Reason::LogNotIncluded { problem: problem.to_string() }])?;
        self.seq = seq;
        let given = Given { receipt: receipt.clone(), prevouts: prevouts.clone() };
        self.given.insert((receipt.payout.clone(), receipt.txid), given);
        let signed = Signed::sign(receipt.clone(), &self.secrets.statement);
        persist.push(Change::Receipt(receipt, prevouts));
        Ok(signed)
    }

    fn judge(&self, moment: &Moment, item: &SignItem) -> Result<(Judged, Vec<TxOut>), Vec<Reason>> {
        let fold = self.follower.fold();
        let missing = |problem: String| vec![Reason::LogNotIncluded { problem }];
        let record = fold
            .payout(&item.payout)
            .ok_or_else(|| missing(format!("payout {} is not known", item.payout)))?;
        let draft = record.draft(&item.txid);
        let draft =
            draft.ok_or_else(|| missing(format!("transaction {} is not logged for it", item.txid)))?;
        let views = fold.views(&record.payout.vault);
        let views = views.ok_or_else(|| missing(format!("vault {} is not known", record.payout.vault)))?;
        let mut standing = fold
            .standing(&item.payout, moment.now.earliest())
            .ok_or_else(|| missing("it has no standing".to_owned()))?;
        let cell = (Service::Withdrawal, record.payout.asset());
        standing.stage = standing.stage.max(self.own_stage(cell));
        let log = moment.covers(draft.index);
        let network = views.vault.network;
        let prevs: Vec<Tx> = item.prevs.iter().filter_map(|bytes| Tx::decode(network, bytes).ok()).collect();
        let facts = Facts { standing: Some(&standing), log: Some(&log), now: Some(moment.now) };
        let ask = Ask {
            payout: &record.payout,
            request: record.request.as_ref(),
            approvals: Some(&record.approvals),
            tx: &draft.tx,
            prevs: &prevs,
        };
        let verdict = judge(views, facts, ask);
        let leased = moment.leases(draft.index, record.payout.asset());
        let other_log = self.other_log(record);
        let more: Vec<Reason> =
            leased.err().into_iter().chain(moment.frozen.clone()).chain(other_log).collect();
        match verdict {
            Verdict::Allow(judged) if more.is_empty() => {
                // The judgement made sure that all are there.
                Ok((judged, spent_by(&record.payout, &draft.tx, &prevs).into_iter().flatten().collect()))
            }
            Verdict::Allow(_) => Err(more),
            Verdict::Refuse(reasons) => Err(reasons.into_iter().chain(more).collect()),
        }
    }

    /// Why an attestation's challenge is not of this log: a checkpoint that this signer has not come to, or that it co-signed
    /// with another root.
    fn other_log(&self, record: &Record) -> Option<Reason> {
        if record.payout.kind != PayoutKind::Attestation {
            return None;
        }
        let fold = self.follower.fold();
        // What is wrong with the challenge itself the judgement says.
        let challenge = challenge(fold.charter().roster().origin(), &record.payout).ok()?;
        let problem = match self.follower.root_at(challenge.size) {
            Some(root) if root != challenge.root => "this signer co-signed another root of that size",
            None if challenge.size > fold.size() => "this signer has not folded a log of that size",
            Some(_) | None => return None,
        };
        Some(Reason::AttestationChallenge { problem: problem.to_owned() })
    }

    fn release(
        &mut self,
        clock: Clock,
        checkpoint: &[u8],
        lease: Signed<Lease>,
        items: &[ReleaseItem],
    ) -> Step {
        let (witnessed, median, log) = self.checkpoint(checkpoint);
        let leased = self.lease(clock, lease);
        let now = Now { own: clock.wall, witnesses: median };
        let frozen = self.frozen(checkpoint, &log, &leased);
        let moment = Moment { witnessed, leased, log, now, frozen };
        let release = |item: &ReleaseItem| -> Answer<Vec<InputSignature>> {
            self.signatures(&moment, item).map_err(|reasons| reasons.iter().map(Refused::from).collect())
        };
        answer(Response::Signatures(items.iter().map(release).collect()))
    }

    fn signatures(&self, moment: &Moment, item: &ReleaseItem) -> Result<Vec<InputSignature>, Vec<Reason>> {
        match (self.releasable(moment, item), moment.frozen.clone()) {
            (Ok((record, given)), None) => {
                self.sign_inputs(record, given).map_err(|problem| vec![Reason::LogNotIncluded { problem }])
            }
            (Ok(_), Some(frozen)) => Err(vec![frozen]),
            (Err(reasons), frozen) => Err(reasons.into_iter().chain(frozen).collect()),
        }
    }

    /// What the signer gave a receipt for and may now sign.
    fn releasable(&self, moment: &Moment, item: &ReleaseItem) -> Result<(&Record, &Given), Vec<Reason>> {
        let missing = |problem: &str| vec![Reason::LogNotIncluded { problem: problem.to_owned() }];
        let given = self.given.get(&(item.payout.clone(), item.txid));
        let given = given.ok_or_else(|| missing("this signer gave no receipt for it"))?;
        let fold = self.follower.fold();
        let record = fold.payout(&item.payout).ok_or_else(|| missing("the payout is not known"))?;
        let mut reasons = Vec::new();
        let own = |logged: &&crate::fold::LoggedReceipt| logged.receipt == given.receipt;
        let own = record.receipts.iter().find(own);
        match own.and_then(|own| own.index.zip(own.first)) {
            None => {
                reasons.extend(missing("this signer's receipt is not in the log"));
                // The log has an earlier one that lapsed; the writer must ask for this one again, it may have lost it.
                if own.is_some_and(|own| own.first.is_some()) {
                    reasons.push(Reason::ReceiptLapsed { at: given.receipt.at, now: moment.now.latest() });
                }
            }
            Some((index, first)) => {
                match moment.covers(index) {
                    LogStanding::Witnessed => {}
                    LogStanding::NotWitnessed(problem) => reasons.push(Reason::LogNotWitnessed { problem }),
                    LogStanding::NotIncluded(problem) => reasons.push(Reason::LogNotIncluded { problem }),
                }
                reasons.extend(moment.leases(index, record.payout.asset()).err());
                reasons.extend(first_in_log(record, given.receipt.txid, first).err());
                reasons.extend(self.within_limits(record, given, first).err());
            }
        }
        reasons.extend(clocks(moment.now));
        let now = moment.now.latest();
        if given.receipt.is_lapsed(now) {
            reasons.push(Reason::ReceiptLapsed { at: given.receipt.at, now });
        }
        self.still_allowed(record, now, &mut reasons);
        if reasons.is_empty() { Ok((record, given)) } else { Err(reasons) }
    }

    /// Two signers may have given receipts for two payouts that together break a limit, neither seeing the other's. The log
    /// has one order for all: what comes later has to fit beside what stands before it.
    fn within_limits(&self, record: &Record, given: &Given, first: u64) -> Result<(), Reason> {
        let fold = self.follower.fold();
        let missing = || Reason::LogNotIncluded { problem: "the vault is not known".to_owned() };
        let (_, policy) = fold.charter().vault(&record.payout.vault).ok_or_else(missing)?;
        let outflow = given.receipt.outflow;
        if record.payout.kind == PayoutKind::Evacuation {
            let max = policy.evacuation.as_ref().map_or(Amount::ZERO, |order| order.fee_max);
            let fee = outflow.less(record.payout.amount).unwrap_or(outflow);
            let sum = fold.evacuation_fees_before(record, first).plus(fee);
            return match sum.is_some_and(|sum| sum <= max) {
                true => Ok(()),
                false => Err(Reason::FeeAboveCap { fee, max }),
            };
        }
        if record.payout.kind == PayoutKind::Attestation {
            return Ok(());
        }
        let own = record.receipts.iter().find(|logged| logged.receipt == given.receipt);
        let before = own.and_then(|logged| logged.before);
        let max = policy.limit.rolling_24h_max;
        match before.and_then(|before| before.plus(outflow)).is_some_and(|sum| sum <= max) {
            true => Ok(()),
            false => {
                Err(Reason::LimitRolling { before: before.unwrap_or(Amount::new(u128::MAX)), outflow, max })
            }
        }
    }

    /// What may have changed since the receipt: the payout ended or expired, or the breaker was tripped.
    fn still_allowed(&self, record: &Record, now: Instant, reasons: &mut Vec<Reason>) {
        let expiry = record.payout.expiry;
        if now >= expiry {
            reasons.push(Reason::Expired { now, expiry });
        }
        if let Some(status) = record.status.ended() {
            reasons.push(Reason::PayoutEnded { status });
        }
        let cell = (Service::Withdrawal, record.payout.asset());
        let stage = self.follower.fold().breaker().stage(cell).max(self.own_stage(cell));
        if stage != Stage::Open && record.payout.kind != PayoutKind::Evacuation {
            reasons.push(Reason::BreakerClosed { stage });
        }
    }

    fn sign_inputs(&self, record: &Record, given: &Given) -> Result<Vec<InputSignature>, String> {
        let fold = self.follower.fold();
        let draft = record.draft(&given.receipt.txid).ok_or("the transaction is not known")?;
        let views = fold.views(&record.payout.vault).ok_or("the vault is not known")?;
        let secret =
            self.secrets.coins.get(&record.payout.vault).ok_or("this signer has no key of the vault")?;
        let digests = Digests::new(&draft.tx, &given.prevouts).map_err(|problem| problem.to_string())?;
        let mut signatures = Vec::with_capacity(given.prevouts.len());
        for (index, prevout) in given.prevouts.iter().enumerate() {
            if is_commitment(&record.payout, index) {
                continue;
            }
            let (branch, at) = views.scripts.place(&prevout.script).ok_or("an input is not the vault's")?;
            let digest = views.sighash(&digests, index, prevout)?;
            let child = secret.child(branch, at).map_err(|problem| problem.to_string())?;
            let signature = child.sign(&digest, EcdsaSighash::All).map_err(|problem| problem.to_string())?;
            let input = u32::try_from(index).map_err(|problem| problem.to_string())?;
            let key = child.public().to_bytes();
            signatures.push(InputSignature { input, key, signature: signature.to_bytes() });
        }
        Ok(signatures)
    }
}

/// What a lease reaches: entries from the first on, and the assets whose chains its watcher sees.
struct Leased {
    size: u64,
    assets: BTreeSet<Asset>,
}

/// What a request brought with it: the log's and the watcher's word, and the time.
struct Moment {
    witnessed: u64,
    leased: Result<Leased, Reason>,
    log: LogStanding,
    now: Now,
    /// Why the signer does nothing at all.
    frozen: Option<Reason>,
}

impl Moment {
    /// The log's standing for the entry at `index`.
    fn covers(&self, index: u64) -> LogStanding {
        match &self.log {
            LogStanding::Witnessed if index >= self.witnessed => LogStanding::NotIncluded(format!(
                "it is entry {index}, the checkpoint has {} entries",
                self.witnessed
            )),
            LogStanding::Witnessed => LogStanding::Witnessed,
            LogStanding::NotWitnessed(problem) => LogStanding::NotWitnessed(problem.clone()),
            LogStanding::NotIncluded(problem) => LogStanding::NotIncluded(problem.clone()),
        }
    }

    /// Whether the watcher has folded the entry at `index` and sees the chain of `asset`.
    fn leases(&self, index: u64, asset: Asset) -> Result<(), Reason> {
        let Leased { size, assets } = self.leased.as_ref().map_err(Reason::clone)?;
        let problem = match () {
            () if index >= *size => format!("the watcher has folded {size} entries, this is entry {index}"),
            () if !assets.contains(&asset) => format!("the watcher does not see the chain of {asset}"),
            () => return Ok(()),
        };
        Err(Reason::LeaseInvalid { problem })
    }
}

/// Of two transactions of a payout that do not exclude each other, the one whose receipt stands first in the log is the
/// payout's. When the receipts were given neither signer may have seen the other's; the log has one order for all.
fn first_in_log(record: &Record, txid: Txid, first: u64) -> Result<(), Reason> {
    let spends = |txid: &Txid| {
        let inputs = record.draft(txid).map(|draft| draft.tx.inputs.iter().map(|input| input.prev));
        inputs.into_iter().flatten().collect::<BTreeSet<OutPoint>>()
    };
    let own = spends(&txid);
    let mut earlier = record
        .receipts
        .iter()
        .filter(|logged| logged.first.is_some_and(|at| at < first) && logged.receipt.txid != txid)
        .map(|logged| logged.receipt.txid);
    match earlier.find(|other| spends(other).is_disjoint(&own)) {
        Some(earlier) => Err(Reason::TransactionOther { earlier: earlier.to_string() }),
        None => Ok(()),
    }
}

const fn answer(answer: Response) -> Step {
    Step { persist: Vec::new(), answer }
}

fn refused(code: &str, detail: String) -> Refused {
    Refused { code: code.to_owned(), detail }
}

fn refuse(code: &str, detail: String) -> Step {
    answer(Response::Refused(refused(code, detail)))
}

impl Change {
    /// The change's bytes, for a receipt or a trip; entries and heads have their own rows in a store.
    #[must_use]
    pub fn receipt_row(receipt: &Receipt, prevouts: &[TxOut]) -> Vec<u8> {
        use crate::statement::Statement as _;
        let output = |output: &TxOut| {
            Value::array([Value::uint(output.value_sat), Value::bytes(output.script.as_bytes())])
        };
        Value::map([("receipt", receipt.to_value()), ("prevouts", Value::array(prevouts.iter().map(output)))])
            .encode()
    }

    /// The receipt of a row.
    ///
    /// # Errors
    /// The row is damaged.
    pub fn of_receipt_row(bytes: &[u8]) -> Result<Self, CborError> {
        use crate::statement::Statement as _;
        let mut fields = Fields::of("row", Value::decode(bytes)?)?;
        let receipt = Receipt::from_value(fields.value("receipt")?)?;
        let output = |item| {
            let problem = || invalid("prevouts", "want pairs of value and script");
            let Value::Array(pair) = item else { return Err(problem()) };
            let [Value::Uint(value), Value::Bytes(script)] = pair.as_slice() else { return Err(problem()) };
            let value_sat = u64::try_from(*value).map_err(|_| problem())?;
            Ok(TxOut { value_sat, script: kuraban_chain::btc::Script::new(script.clone()) })
        };
        let prevouts = fields.items("prevouts")?.into_iter().map(output).collect::<Result<_, _>>()?;
        fields.end()?;
        Ok(Self::Receipt(receipt, prevouts))
    }
}
