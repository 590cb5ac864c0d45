//! A hostile writer with two signers and a watcher who do all that they should: what it asks is up to the test.

use std::{collections::BTreeSet, sync::Arc};

use kuraban_base::{Asset, Instant};
use kuraban_chain::btc::{Branch, Tx, TxOut};
use kuraban_proof::{Entry, Frontier, Opening, SignedCheckpoint, TreeHead};
use kuraban_vault::{
    APPROVE, Payout, REQUEST, Role,
    body::Body,
    fold::Fold,
    follow::{self, Follower},
    receipt::Lease,
    signer::{Change, Clock, Signer, Step},
    statement::Signed,
    wire::{Answer, LogEntry, ReleaseItem, Request, Response, SignItem},
};

use crate::kit;

/// The request and two approvals of a payout.
pub(crate) fn wanted(payout: &Payout) -> Vec<Body> {
    let digest = payout.digest(&kit::charter().context());
    let sign = |person: u8, namespace| kit::sign(&kit::person(person), namespace, digest.as_bytes());
    let (id, key) = (payout.id.clone(), payout.id.to_string());
    let requested = Body::PayoutRequested {
        payout: payout.clone(),
        key,
        request: Some(sign(1, REQUEST)),
        evidence: None,
    };
    let approved = |person| Body::PayoutApproved { payout: id.clone(), approval: sign(person, APPROVE) };
    vec![requested, approved(2), approved(3)]
}

pub(crate) fn opened() -> Body {
    let charter = kit::charter();
    let vaults = charter.vaults().map(|(vault, _)| vault.to_value()).collect();
    let context = charter.context();
    Body::LogOpened { roster: context.roster, policy: context.policy, vaults, retention_days: 1 }
}

/// A transaction that pays it from `funding`, with the rest as change.
pub(crate) fn draft(payout: &Payout, funding: &Tx) -> Tx {
    let value_sat = payout.amount.to_u64().unwrap();
    let change = kit::descriptor().script_at(Branch::Change, 0).unwrap();
    let outputs = vec![
        TxOut { value_sat, script: payout.destination.clone() },
        TxOut { value_sat: funding.outputs[0].value_sat - value_sat - 1000, script: change },
    ];
    kit::tx(vec![kit::coin(funding).outpoint], outputs)
}

/// A signer and what it has on disk.
pub(crate) struct Side {
    pub(crate) signer: Signer,
    pub(crate) disk: Vec<Change>,
}

pub(crate) struct Rogue {
    sides: Vec<Side>,
    watcher: Follower,
    frontier: Frontier,
    entries: Vec<LogEntry>,
    signed: Option<SignedCheckpoint>,
    pub(crate) checkpoint: Vec<u8>,
    /// The watcher's word, which the writer shows with every question.
    pub(crate) lease: Option<Signed<Lease>>,
    asked: u16,
    /// The assets that leases name.
    pub(crate) seen: BTreeSet<Asset>,
    /// What every clock says.
    pub(crate) now: Instant,
}

impl Rogue {
    /// With a log that is opened and co-signed.
    pub(crate) fn new() -> Self {
        let charter = kit::charter();
        let side = |number| Side { signer: kit::signer(number, &charter), disk: Vec::new() };
        let mut rogue = Self {
            sides: vec![side(1), side(2)],
            watcher: Follower::new(Arc::clone(&charter), kit::cosigner(4)),
            frontier: Frontier::new(),
            entries: Vec::new(),
            signed: None,
            checkpoint: Vec::new(),
            lease: None,
            asked: 0,
            seen: [Asset::Btc].into(),
            now: kit::NOW,
        };
        rogue.log(vec![opened()]);
        rogue
    }

    /// What every machine's clocks say.
    pub(crate) fn clock(&self) -> Clock {
        Clock { wall: self.now, monotonic_ms: self.now.ms() }
    }

    fn ask(&mut self, signer: usize, request: Request) -> Response {
        self.ask_as(signer, self.clock(), Role::Writer, request).answer
    }

    /// Asks a signer, in whatever role and by whatever clock.
    pub(crate) fn ask_as(&mut self, signer: usize, clock: Clock, role: Role, request: Request) -> Step {
        self.asked = self.asked.wrapping_add(1);
        let mut fresh =
            kit::seed(u8::try_from(self.asked % 256).unwrap(), 0xd0 + u8::try_from(signer).unwrap());
        fresh[1] = u8::try_from(self.asked / 256).unwrap();
        let side = &mut self.sides[signer];
        let step = side.signer.step(clock, role, fresh, request);
        side.disk.extend(step.persist.clone());
        step
    }

    /// Logs, and has the three co-sign and the watcher lease.
    pub(crate) fn log(&mut self, bodies: Vec<Body>) {
        for body in bodies {
            let opening = Opening { salt: [7; 32], body: body.encode() };
            let (by, kind) = ("writer".parse().unwrap(), body.kind().parse().unwrap());
            let entry = Entry { at: self.now, by, kind, commit: opening.commit() };
            self.frontier.append(entry.leaf());
            self.entries.push(LogEntry { entry: entry.encode(), salt: opening.salt, body: opening.body });
        }
        self.cosign(&[0, 1], true);
    }

    /// Has these signers, and the watcher or not, co-sign the head; the watcher leases it to them.
    pub(crate) fn cosign(&mut self, signers: &[usize], watcher: bool) {
        let head = self.frontier.head();
        let unsigned = SignedCheckpoint::sign(&kit::log_key(), head).unwrap();
        let checkpoint = unsigned.to_string().into_bytes();
        let rest = |size: u64| self.entries[usize::try_from(size).unwrap()..].to_vec();
        let (mut lines, mut challenges) = (Vec::new(), Vec::new());
        if watcher {
            let from = self.watcher.fold().size();
            lines.push(self.watcher.extend(from, &rest(from), &checkpoint, self.now).unwrap().line);
        }
        for signer in signers {
            let from = self.sides[*signer].signer.follower().fold().size();
            let entries = self.entries[usize::try_from(from).unwrap()..].to_vec();
            let answer = self
                .ask(*signer, Request::Extend { from, entries, checkpoint: checkpoint.clone(), newest: 0 });
            let Response::Cosigned { line, challenge, .. } = answer else { panic!("{answer:?}") };
            lines.push(line);
            challenges.push(challenge);
        }
        let mut signed = self.signed.take().filter(|signed| signed.head() == head).unwrap_or(unsigned);
        let charter = kit::charter();
        for line in lines {
            signed.add_cosignatures(&line, charter.roster().quorum().witnesses()).unwrap();
        }
        self.checkpoint = signed.to_string().into_bytes();
        self.signed = Some(signed);
        self.lease(challenges);
    }

    /// Has a signer co-sign what it has anew, for a challenge that the watcher answers with what it has itself.
    pub(crate) fn challenge(&mut self, signer: usize) {
        let from = self.sides[signer].signer.follower().fold().size();
        let mut frontier = Frontier::new();
        for entry in &self.entries[..usize::try_from(from).unwrap()] {
            frontier.append(follow::open(entry).unwrap().1);
        }
        let signed = SignedCheckpoint::sign(&kit::log_key(), frontier.head()).unwrap();
        let checkpoint = signed.to_string().into_bytes();
        let answer = self.ask(signer, Request::Extend { from, entries: Vec::new(), checkpoint, newest: 0 });
        let Response::Cosigned { challenge, .. } = answer else { panic!("{answer:?}") };
        self.lease(vec![challenge]);
    }

    /// The watcher's lease of what it has folded.
    fn lease(&mut self, challenges: Vec<[u8; 32]>) {
        let head = self.watcher.head();
        let (by, size, root) = (kit::machine(4), head.size, head.root);
        let (assets, epoch) = (self.seen.clone(), self.watcher.fold().breaker().epoch());
        let lease = Lease { by, challenges, assets, epoch, size, root, at: self.now };
        self.lease = Some(Signed::sign(lease, &kit::statement(4)));
    }

    /// Time passes, and the same log is co-signed and leased anew.
    pub(crate) fn wait(&mut self, ms: u64) {
        self.now = self.now.plus_ms(ms);
        self.log(Vec::new());
    }

    pub(crate) fn assemble(&mut self, payout: &Payout, txs: &[Tx]) {
        let assembled = |tx: &Tx| Body::PayoutAssembled { payout: payout.id.clone(), tx: tx.encode() };
        self.log(txs.iter().map(assembled).collect());
    }

    /// A signer's receipt, ready to be logged, or the codes of what it says against giving one.
    pub(crate) fn receipt(
        &mut self,
        signer: usize,
        payout: &Payout,
        tx: &Tx,
        prev: &Tx,
    ) -> Result<Body, Vec<String>> {
        let item = SignItem { payout: payout.id.clone(), txid: tx.txid(), prevs: vec![prev.encode()] };
        let (checkpoint, lease) = (self.checkpoint.clone(), self.lease.clone().unwrap());
        let answer = self.ask(signer, Request::Sign { checkpoint, lease, items: vec![item] });
        let Response::Receipts(mut receipts) = answer else { panic!("{answer:?}") };
        receipts.remove(0).map(Body::PayoutReceipt).map_err(|refused| codes(&Err::<(), _>(refused)))
    }

    /// The codes of what a signer says against releasing its signature; none if it does.
    pub(crate) fn release(&mut self, signer: usize, payout: &Payout, tx: &Tx) -> Vec<String> {
        let item = ReleaseItem { payout: payout.id.clone(), txid: tx.txid() };
        let (checkpoint, lease) = (self.checkpoint.clone(), self.lease.clone().unwrap());
        let answer = self.ask(signer, Request::Release { checkpoint, lease, items: vec![item] });
        let Response::Signatures(answers) = answer else { panic!("{answer:?}") };
        codes(&answers[0])
    }

    /// A signer is killed and starts again from the first `changes` of its disk.
    pub(crate) fn restart(&mut self, signer: usize, changes: usize) {
        let side = &mut self.sides[signer];
        side.disk.truncate(changes);
        side.signer = kit::signer(u8::try_from(signer).unwrap() + 1, &kit::charter());
        for change in &side.disk {
            // Only the last head is stored, and only it is read back.
            if !matches!(change, Change::Cosigned(_)) {
                side.signer.restore(change.clone()).unwrap();
            }
        }
        let last = side.disk.iter().rev().find(|change| matches!(change, Change::Cosigned(_)));
        side.signer.restore(last.unwrap().clone()).unwrap();
    }

    /// The log's head.
    pub(crate) fn head(&self) -> TreeHead {
        self.frontier.head()
    }

    /// What the watcher folded.
    pub(crate) fn fold(&self) -> &Fold {
        self.watcher.fold()
    }

    /// What a signer has on disk.
    pub(crate) fn disk(&self, signer: usize) -> &[Change] {
        &self.sides[signer].disk
    }

    /// How many changes a signer has on disk.
    pub(crate) fn stored(&self, signer: usize) -> usize {
        self.sides[signer].disk.len()
    }
}

fn codes<T>(answer: &Answer<T>) -> Vec<String> {
    match answer {
        Ok(_) => Vec::new(),
        Err(refused) => refused.iter().map(|one| one.code.clone()).collect(),
    }
}
