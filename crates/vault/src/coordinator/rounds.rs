//! Rounds: every group of entries is co-signed by a quorum before anything follows from it; then a watcher leases the
//! moment, signers give receipts, and a round later signatures. One request is under way per peer at a time.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use kuraban_base::{Asset, Instant, MachineId, PayoutId, Txid};
use kuraban_chain::btc::{Digests, EcdsaSignature, PublicKey, Tx, TxOut};
use kuraban_proof::SignedCheckpoint;

use super::{Coordinator, Effect};
use crate::{
    attestation::{first_output, is_commitment},
    body::Body,
    fold::Record,
    judge::CLOCKS_APART_MAX_MS,
    payout::PayoutKind,
    receipt::{Lease, RECEIPT_MS, Receipt},
    roster::Role,
    signer::LEASE_MS_MAX,
    statement::Signed,
    wire::{Answer, ITEMS_MAX, InputSignature, Refused, ReleaseItem, Request, Response, SignItem},
};

/// How long an unanswered question waits before another signer is asked, in milliseconds.
const PATIENCE_MS: u64 = 3000;
/// How long after a refusal that may pass by itself the question is asked again, in milliseconds.
const AGAIN_MS: u64 = 1000;
/// How long after any other refusal of a payout that has receipts, in milliseconds: it cannot be refused any more, and
/// what speaks against it, such as the day's limit, may change.
const RECEIPTED_AGAIN_MS: u64 = 60_000;
/// How long a peer without a useful answer is left alone, in milliseconds.
const QUIET_MS: u64 = 200;
/// How old a challenge may be when a lease is asked for it: it must still be good when the signer gets it back.
const CHALLENGE_MS_MAX: u64 = LEASE_MS_MAX - 2000;
/// Most bytes of previous transactions in one request, unless one payout has more: well under what a link carries.
const PREV_BYTES_MAX: usize = 8 * 1024 * 1024;
/// How many sizes of a peer are remembered.
const SIZES_MAX: usize = 64;

/// What is under way with a peer.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Inflight {
    Status,
    Extend,
    Lease(Vec<MachineId>),
    Sign(Vec<(PayoutId, Txid)>),
    Release(Vec<(PayoutId, Txid)>),
}

/// A signer or watcher, as far as its answers tell.
#[derive(Debug)]
pub(super) struct Peer {
    role: Role,
    up: bool,
    inflight: Option<Inflight>,
    /// How far it has folded the log.
    size: Option<u64>,
    /// Sizes that it co-signed, the latest last.
    sizes: VecDeque<u64>,
    /// When it co-signed last.
    cosigned: Instant,
    challenge: Option<([u8; 32], Instant)>,
    /// It refused the log; nothing is sent until it is joined anew.
    estranged: bool,
    /// It gave no useful answer; nothing is sent before.
    quiet_until: Instant,
    /// It gave no lease since it last took entries: perhaps it is those that it lacks.
    leases_not: bool,
}

impl Peer {
    pub(super) const fn new(role: Role) -> Self {
        Self {
            role,
            up: false,
            inflight: None,
            size: None,
            sizes: VecDeque::new(),
            cosigned: Instant::from_ms(0),
            challenge: None,
            estranged: false,
            quiet_until: Instant::from_ms(0),
            leases_not: false,
        }
    }

    /// It co-signed the log at this size.
    fn remember(&mut self, size: u64) {
        self.sizes.push_back(size);
        if self.sizes.len() > SIZES_MAX {
            self.sizes.pop_front();
        }
    }

    fn idle(&self, now: Instant) -> bool {
        self.up && self.inflight.is_none() && !self.estranged && now >= self.quiet_until
    }
}

/// A checkpoint on its way to a quorum.
#[derive(Debug)]
pub(super) struct Round {
    checkpoint: SignedCheckpoint,
    met: bool,
}

/// The latest lease of each watcher.
#[derive(Debug, Default)]
pub(super) struct Leasing {
    leases: BTreeMap<MachineId, Leased>,
}

/// A lease, the signers whose challenges it answers, and when it came.
#[derive(Debug)]
struct Leased {
    lease: Signed<Lease>,
    signers: Vec<MachineId>,
    at: Instant,
}

impl Leased {
    /// Whether the signer may still take it, at this epoch of the breaker.
    fn holds(&self, now: Instant, signer: &MachineId, epoch: u64) -> bool {
        let young = now.ms_since(self.at) < CHALLENGE_MS_MAX;
        young && self.signers.contains(signer) && self.lease.claim_unverified().epoch == epoch
    }

    /// Whether it reaches this entry of a payout in this asset.
    fn reaches(&self, index: u64, asset: Asset) -> bool {
        let lease = self.lease.claim_unverified();
        index < lease.size && lease.assets.contains(&asset)
    }
}

/// What has been asked and answered for one payout.
#[derive(Debug)]
pub(super) struct Work {
    pub(super) txid: Txid,
    /// The log index of the assembled transaction.
    pub(super) index: u64,
    pub(super) prevs: Vec<Vec<u8>>,
    pub(super) prevouts: Vec<TxOut>,
    asked: BTreeMap<MachineId, Instant>,
    released: BTreeMap<MachineId, Instant>,
    signatures: BTreeMap<MachineId, Vec<InputSignature>>,
    refused: BTreeMap<MachineId, (Vec<Refused>, Instant)>,
    /// Signers who said that their receipt of this number has lapsed.
    lapsed: BTreeMap<MachineId, u64>,
    /// When it was first looked after.
    since: Option<Instant>,
}

impl Work {
    pub(super) const fn new(txid: Txid, index: u64, prevs: Vec<Vec<u8>>, prevouts: Vec<TxOut>) -> Self {
        Self {
            txid,
            index,
            prevs,
            prevouts,
            asked: BTreeMap::new(),
            released: BTreeMap::new(),
            signatures: BTreeMap::new(),
            refused: BTreeMap::new(),
            lapsed: BTreeMap::new(),
            since: None,
        }
    }

    /// Whether it takes longer than with signers who answer.
    fn is_overdue(&self, now: Instant) -> bool {
        self.since.is_some_and(|since| now.ms_since(since) >= PATIENCE_MS)
    }
}

/// How much sooner than by the writer's clock a receipt may lapse by its signer's, in milliseconds.
const LAPSE_SLACK_MS: u64 = 2 * CLOCKS_APART_MAX_MS;

/// The code of a refusal that asks for a fresh receipt.
const LAPSED: &str = "receipt-lapsed";
/// The code of a refusal that asks for cosignatures made since the signer started.
const FROZEN: &str = "signer-frozen";
/// The code of a refusal that only an order in the log makes pass.
const RESTORED: &str = "signer-restored";

/// Refusals that may pass by themselves: asked again a little later.
fn passes(refused: &[Refused]) -> bool {
    const PASSING: [&str; 8] = [
        LAPSED,
        FROZEN,
        "lease-invalid",
        "log-not-witnessed",
        "log-not-included",
        "clock-disagrees",
        "breaker-closed",
        "not-yet-valid",
    ];
    refused.iter().all(|one| PASSING.contains(&one.code.as_str()))
}

impl Coordinator {
    pub(super) fn joined(&mut self, id: &MachineId) {
        if let Some(peer) = self.peers.get_mut(id) {
            *peer = Peer { up: true, ..Peer::new(peer.role) };
        }
        self.ask_anew(id);
    }

    pub(super) fn lost(&mut self, id: &MachineId) {
        if let Some(peer) = self.peers.get_mut(id) {
            *peer = Peer::new(peer.role);
        }
        self.ask_anew(id);
    }

    /// A signer whose disk was set back has more of the log now: perhaps the order that lets it resume.
    fn ask_restored(&mut self, id: &MachineId) {
        let restored = |refused: &[Refused]| refused.iter().any(|one| one.code == RESTORED);
        for work in self.work.values_mut() {
            work.refused.retain(|by, (refused, _)| by != id || !restored(refused));
        }
    }

    /// What was asked on a connection that is gone is asked again at once.
    fn ask_anew(&mut self, id: &MachineId) {
        for work in self.work.values_mut() {
            work.asked.remove(id);
            work.released.remove(id);
        }
    }

    pub(super) fn answer(
        &mut self,
        now: Instant,
        id: &MachineId,
        response: Response,
        fresh: &mut dyn FnMut() -> [u8; 32],
    ) {
        let Some(peer) = self.peers.get_mut(id) else { return };
        let Some(inflight) = peer.inflight.take() else { return };
        match (inflight, response) {
            (Inflight::Status, Response::Status { size, .. })
            | (Inflight::Extend, Response::Behind { size }) => {
                peer.size = Some(size);
                // A witness that is ahead of its writer has seen a log that this writer lost.
                peer.estranged = size > self.head.size;
            }
            (Inflight::Extend, Response::Cosigned { size, line, challenge }) => {
                let more = peer.size.replace(size) != Some(size);
                peer.leases_not = false;
                peer.cosigned = now;
                peer.remember(size);
                peer.challenge = (peer.role == Role::Signer).then_some((challenge, now));
                self.cosigned(size, &line);
                if more {
                    self.ask_restored(id);
                }
            }
            (Inflight::Extend, _) => peer.estranged = true,
            (Inflight::Lease(signers), Response::Lease(lease)) => {
                self.lease.leases.insert(id.clone(), Leased { lease: *lease, signers, at: now });
            }
            (Inflight::Sign(items), Response::Receipts(answers)) => {
                self.receipts(now, id, &items, answers, fresh)
            }
            (Inflight::Release(items), Response::Signatures(answers)) => {
                self.signatures(now, id, &items, answers, fresh);
            }
            // Whatever else it says, it is asked again after a while.
            (
                other @ (Inflight::Status | Inflight::Lease(_) | Inflight::Sign(_) | Inflight::Release(_)),
                _,
            ) => {
                peer.leases_not |= matches!(other, Inflight::Lease(_));
                peer.quiet_until = now.plus_ms(QUIET_MS);
            }
        }
    }

    fn cosigned(&mut self, size: u64, line: &str) {
        let Some(round) = &mut self.round else { return };
        if round.checkpoint.head().size != size {
            return;
        }
        let quorum = self.fold.charter().roster().quorum();
        // A line that does not verify adds nothing; the witness that sent it is simply missing from the quorum.
        let added = round.checkpoint.add_cosignatures(line, quorum.witnesses()).unwrap_or(0);
        if added > 0 && quorum.met(&round.checkpoint).is_ok() {
            round.met = true;
            self.witnessed = Some(round.checkpoint.clone());
            let checkpoint = round.checkpoint.to_string().into_bytes();
            self.outbox.push(Effect::Publish { size, checkpoint });
        }
    }

    /// Gives every idle peer its next request.
    pub(super) fn drive(&mut self, now: Instant) {
        self.next_round();
        let ids: Vec<MachineId> = self.peers.keys().cloned().collect();
        for id in ids {
            let Some(peer) = self.peers.get(&id).filter(|peer| peer.idle(now)) else { continue };
            let next = match (peer.size, peer.role) {
                (None, _) => Some((Inflight::Status, Effect::Send(id.clone(), Box::new(Request::Status)))),
                (Some(size), Role::Signer) => {
                    self.release_request(now, &id).or_else(|| self.sign_request(now, &id)).or_else(|| {
                        self.entries_request(&id, size).or_else(|| self.refresh_request(now, &id, size))
                    })
                }
                (Some(size), _) if peer.leases_not => {
                    self.entries_request(&id, size).or_else(|| self.lease_request(now, &id))
                }
                (Some(size), _) => self.lease_request(now, &id).or_else(|| self.entries_request(&id, size)),
            };
            if let Some((inflight, effect)) = next {
                if let Some(peer) = self.peers.get_mut(&id) {
                    peer.inflight = Some(inflight);
                }
                self.outbox.push(effect);
            }
        }
    }

    fn next_round(&mut self) {
        let done = self.round.as_ref().is_none_or(|round| round.met);
        let size = self.round.as_ref().map_or(0, |round| round.checkpoint.head().size);
        if done && self.head.size > size {
            self.round = SignedCheckpoint::sign(&self.log, self.head)
                .ok()
                .map(|checkpoint| Round { checkpoint, met: false });
        }
    }

    fn entries_request(&self, id: &MachineId, size: u64) -> Option<(Inflight, Effect)> {
        let until = self.round.as_ref()?.checkpoint.head().size;
        // A witness that has all entries but has not co-signed this head since it joined gets none and co-signs.
        let cosigned = self.peers.get(id).is_some_and(|peer| peer.sizes.contains(&until));
        (size <= until && !cosigned)
            .then(|| (Inflight::Extend, Effect::SendEntries { to: id.clone(), from: size, until }))
    }

    /// A signer whose challenge is too old to be leased is asked to co-sign the same head again, for a new one.
    fn refresh_request(&self, now: Instant, id: &MachineId, size: u64) -> Option<(Inflight, Effect)> {
        let peer = self.peers.get(id)?;
        let old = peer.challenge.is_none_or(|(_, at)| now.ms_since(at) >= CHALLENGE_MS_MAX);
        let waits = self.work.iter().any(|(payout, work)| self.wants(now, id, payout, work).is_some());
        let known = self.round.as_ref().is_some_and(|round| round.checkpoint.head().size == size);
        (old && waits && known)
            .then(|| (Inflight::Extend, Effect::SendEntries { to: id.clone(), from: size, until: size }))
    }

    /// What a payout needs of a signer: the log index that checkpoint and lease must cover, and which of the two steps.
    fn wants(&self, now: Instant, id: &MachineId, payout: &PayoutId, work: &Work) -> Option<(u64, Need)> {
        if work.refused.contains_key(id) || work.signatures.contains_key(id) {
            return None;
        }
        let record = self.fold.payout(payout)?;
        let (vault, _) = self.fold.charter().vault(&record.payout.vault)?;
        let asked = |times: &BTreeMap<MachineId, Instant>| {
            times.get(id).is_some_and(|at| now.ms_since(*at) < PATIENCE_MS)
        };
        let own = |logged: &&crate::fold::LoggedReceipt| {
            logged.receipt.by == *id && logged.receipt.txid == work.txid
        };
        // Whether it has lapsed is for its signer to say: another clock would ask in vain.
        let good = |logged: &&crate::fold::LoggedReceipt| work.lapsed.get(id) != Some(&logged.receipt.seq);
        match record.receipts.iter().find(own).filter(good).and_then(|logged| logged.index) {
            Some(index) => {
                let enough = record.receipts_logged(&work.txid) >= vault.descriptor.threshold();
                (enough && !asked(&work.released)).then_some((index, Need::Release))
            }
            None => (self.chosen(now, id, work, vault.descriptor.threshold()) && !asked(&work.asked))
                .then_some((work.index, Need::Sign)),
        }
    }

    /// Whether a signer is among the first so many that are there and have not refused; the order turns with the payout,
    /// so that all signers share the work. If these take too long, all are asked: one who is there and says nothing
    /// useful must not hold up a payout that the others would sign.
    fn chosen(&self, now: Instant, id: &MachineId, work: &Work, need: usize) -> bool {
        let need = if work.is_overdue(now) { usize::MAX } else { need };
        let signers: Vec<_> = self.peers.iter().filter(|(_, peer)| peer.role == Role::Signer).collect();
        let turn = usize::from(work.txid.as_bytes().first().copied().unwrap_or_default());
        let count = signers.len().max(1);
        let start = turn.checked_rem(count).unwrap_or_default();
        let order = signers.iter().cycle().skip(start).take(count);
        let able = order.filter(|(id, peer)| peer.up && !peer.estranged && !work.refused.contains_key(*id));
        able.take(need).any(|(chosen, _)| *chosen == id)
    }

    /// The payouts that a signer can be asked about now: checkpoint and lease cover them and it knows both.
    fn ready(
        &self,
        now: Instant,
        id: &MachineId,
        need: Need,
    ) -> Option<(Vec<u8>, Signed<Lease>, Vec<PayoutId>)> {
        let witnessed = self.witnessed.as_ref()?;
        let covered = witnessed.head().size;
        let peer = self.peers.get(id)?;
        if !peer.sizes.contains(&covered) {
            return None;
        }
        let epoch = self.fold.breaker().epoch();
        let good = |leased: &&Leased| {
            leased.holds(now, id, epoch) && peer.sizes.contains(&leased.lease.claim_unverified().size)
        };
        // One watcher may not see the chain that another sees.
        self.lease.leases.values().filter(good).find_map(|leased| {
            let able = |(payout, work): (&PayoutId, &Work)| {
                let (index, wanted) = self.wants(now, id, payout, work)?;
                let asset = self.fold.payout(payout)?.payout.asset();
                let reached = index < covered && leased.reaches(index, asset);
                (wanted == need && reached).then(|| payout.clone())
            };
            let payouts: Vec<PayoutId> = self.work.iter().filter_map(able).take(ITEMS_MAX).collect();
            let checkpoint = || witnessed.to_string().into_bytes();
            (!payouts.is_empty()).then(|| (checkpoint(), leased.lease.clone(), payouts))
        })
    }

    fn sign_request(&mut self, now: Instant, id: &MachineId) -> Option<(Inflight, Effect)> {
        let (checkpoint, lease, payouts) = self.ready(now, id, Need::Sign)?;
        let (mut items, mut asked) = (Vec::new(), Vec::new());
        let mut bytes = 0_usize;
        for payout in payouts {
            let work = self.work.get_mut(&payout)?;
            bytes = work.prevs.iter().map(Vec::len).fold(bytes, usize::saturating_add);
            if bytes > PREV_BYTES_MAX && !items.is_empty() {
                // The rest is asked for when this is answered.
                break;
            }
            work.asked.insert(id.clone(), now);
            asked.push((payout.clone(), work.txid));
            items.push(SignItem { payout, txid: work.txid, prevs: work.prevs.clone() });
        }
        let request = Request::Sign { checkpoint, lease, items };
        Some((Inflight::Sign(asked), Effect::Send(id.clone(), Box::new(request))))
    }

    fn release_request(&mut self, now: Instant, id: &MachineId) -> Option<(Inflight, Effect)> {
        let (checkpoint, lease, payouts) = self.ready(now, id, Need::Release)?;
        let (mut items, mut asked) = (Vec::new(), Vec::new());
        for payout in payouts {
            let work = self.work.get_mut(&payout)?;
            work.released.insert(id.clone(), now);
            asked.push((payout.clone(), work.txid));
            items.push(ReleaseItem { payout, txid: work.txid });
        }
        let request = Request::Release { checkpoint, lease, items };
        Some((Inflight::Release(asked), Effect::Send(id.clone(), Box::new(request))))
    }

    /// Asks a watcher for a lease when something waits that no present one covers. One that did not see the asset's chain a
    /// moment ago is left alone for a while.
    fn lease_request(&self, now: Instant, watcher: &MachineId) -> Option<(Inflight, Effect)> {
        let covered = self.witnessed.as_ref()?.head().size;
        let folded = self.peers.get(watcher)?.size?;
        let mut challenges = Vec::new();
        let mut signers = Vec::new();
        // Only a signer that is there has given one.
        for (id, peer) in &self.peers {
            if let Some((challenge, at)) = peer.challenge
                && now.ms_since(at) < CHALLENGE_MS_MAX
            {
                challenges.push(challenge);
                signers.push(id.clone());
            }
        }
        let waits = |id: &MachineId| {
            let able = |(payout, work): (&PayoutId, &Work)| {
                let asset = self.fold.payout(payout).map(|record| record.payout.asset());
                let wanted = self.wants(now, id, payout, work).zip(asset);
                wanted.is_some_and(|((index, _), asset)| {
                    index < covered && index < folded && !self.leased(now, id, (index, asset), watcher)
                })
            };
            self.work.iter().any(able)
        };
        signers
            .iter()
            .any(waits)
            .then(|| Box::new(Request::Lease { challenges }))
            .map(|request| (Inflight::Lease(signers), Effect::Send(watcher.clone(), request)))
    }

    /// Whether a lease covers what a signer is to be asked, or this watcher just gave one that does not.
    fn leased(
        &self,
        now: Instant,
        id: &MachineId,
        (index, asset): (u64, Asset),
        watcher: &MachineId,
    ) -> bool {
        let epoch = self.fold.breaker().epoch();
        self.lease.leases.iter().filter(|(_, leased)| leased.holds(now, id, epoch)).any(|(by, leased)| {
            let lease = leased.lease.claim_unverified();
            let blind = !lease.assets.contains(&asset);
            let lately = now.ms_since(leased.at) < AGAIN_MS;
            leased.reaches(index, asset) || (by == watcher && blind && lately)
        })
    }

    fn receipts(
        &mut self,
        now: Instant,
        id: &MachineId,
        items: &[(PayoutId, Txid)],
        answers: Vec<Answer<Signed<Receipt>>>,
        fresh: &mut dyn FnMut() -> [u8; 32],
    ) {
        for ((payout, txid), answer) in items.iter().zip(answers) {
            match answer {
                Ok(receipt) => {
                    let claim = receipt.claim_unverified();
                    let fits = claim.by == *id && claim.txid == *txid;
                    // The fold verifies the signature, and that the transaction is the payout's; a receipt that is not one is as
                    // good as a refusal.
                    if !fits || self.append(now, Body::PayoutReceipt(receipt), fresh).is_err() {
                        self.refuse(
                            now,
                            id,
                            payout,
                            vec![bad("receipt-invalid", "the receipt does not verify")],
                        );
                    }
                }
                Err(refused) => self.refuse(now, id, payout, refused),
            }
        }
    }

    /// The machines that refuse to sign for a payout at present, with all their reasons.
    pub fn refusals(&self, payout: &PayoutId) -> impl Iterator<Item = (&MachineId, &[Refused])> {
        let refused = self.work.get(payout).into_iter().flat_map(|work| &work.refused);
        refused.map(|(machine, (reasons, _))| (machine, reasons.as_slice()))
    }

    /// Lets every witness co-sign the present head again, so that the times of its cosignatures are new.
    fn cosign_anew(&mut self, now: Instant) {
        let Some(head) = self.round.as_ref().map(|round| round.checkpoint.head().size) else { return };
        for peer in self.peers.values_mut().filter(|peer| now.ms_since(peer.cosigned) >= QUIET_MS) {
            // Sizes before it stay: a lease over one of them still holds.
            peer.sizes.retain(|size| *size != head);
        }
    }

    fn refuse(&mut self, now: Instant, id: &MachineId, payout: &PayoutId, refused: Vec<Refused>) {
        // It may not be a clock that is wrong, but cosignatures that are old because nothing is logged.
        if refused.iter().any(|one| ["clock-disagrees", FROZEN].contains(&one.code.as_str())) {
            self.cosign_anew(now);
        }
        if let Some(work) = self.work.get_mut(payout) {
            work.asked.remove(id);
            work.released.remove(id);
            work.refused.insert(id.clone(), (refused, now));
        }
    }

    fn signatures(
        &mut self,
        now: Instant,
        id: &MachineId,
        items: &[(PayoutId, Txid)],
        answers: Vec<Answer<Vec<InputSignature>>>,
        fresh: &mut dyn FnMut() -> [u8; 32],
    ) {
        for ((payout, txid), answer) in items.iter().zip(answers) {
            match answer {
                Ok(signatures) if self.signatures_hold(payout, txid, &signatures) => {
                    if let Some(work) = self.work.get_mut(payout).filter(|work| work.txid == *txid) {
                        work.signatures.insert(id.clone(), signatures);
                    }
                    self.combine(now, payout, fresh);
                }
                Ok(_) => {
                    self.refuse(now, id, payout, vec![bad("signature-invalid", "a signature does not hold")])
                }
                Err(refused) => self.withheld(now, id, (payout, txid), refused),
            }
        }
    }

    /// A signer does not release its signatures. Where its receipt has lapsed it is asked for a fresh one.
    fn withheld(
        &mut self,
        now: Instant,
        id: &MachineId,
        (payout, txid): (&PayoutId, &Txid),
        refused: Vec<Refused>,
    ) {
        let own =
            |logged: &&crate::fold::LoggedReceipt| logged.receipt.by == *id && logged.receipt.txid == *txid;
        // Taken at its word only about the time that has passed: a receipt that it says has lapsed at once, and again, would
        // fill the log.
        let due = |receipt: &Receipt| now.ms_since(receipt.at).saturating_add(LAPSE_SLACK_MS) >= RECEIPT_MS;
        let mut receipts = self.fold.payout(payout).map(|record| &record.receipts).into_iter().flatten();
        let seq = receipts.find(own).filter(|logged| due(&logged.receipt)).map(|logged| logged.receipt.seq);
        let work = self.work.get_mut(payout).filter(|work| work.txid == *txid);
        if let (Some(work), Some(seq), true) = (work, seq, refused.iter().any(|one| one.code == LAPSED)) {
            work.lapsed.insert(id.clone(), seq);
            if refused.iter().all(|one| one.code == LAPSED) {
                work.asked.remove(id);
                work.released.remove(id);
                return;
            }
        }
        self.refuse(now, id, payout, refused);
    }

    /// Whether there is one valid signature for every input.
    fn signatures_hold(&self, payout: &PayoutId, txid: &Txid, signatures: &[InputSignature]) -> bool {
        let Some((record, work)) = self.fold.payout(payout).zip(self.work.get(payout)) else { return false };
        let Some(draft) = record.draft(txid) else { return false };
        let Some(views) = self.fold.views(&record.payout.vault) else { return false };
        let Ok(digests) = Digests::new(&draft.tx, &work.prevouts) else { return false };
        let inputs: Vec<usize> =
            (0..draft.tx.inputs.len()).filter(|index| !is_commitment(&record.payout, *index)).collect();
        let holds = |(index, signature): (usize, &InputSignature)| {
            let digest = views.sighash(&digests, index, work.prevouts.get(index)?).ok()?;
            let key = PublicKey::parse(&signature.key).ok()?;
            let parsed = EcdsaSignature::parse(&signature.signature).ok()?;
            let same = usize::try_from(signature.input) == Ok(index);
            (same && key.verifies(&digest, &parsed)).then_some(())
        };
        let each = inputs.iter().copied().zip(signatures);
        signatures.len() == inputs.len() && each.into_iter().all(|pair| holds(pair).is_some())
    }

    /// Puts the signatures in when there are enough, logs the transaction and hands it over.
    fn combine(&mut self, now: Instant, payout: &PayoutId, fresh: &mut dyn FnMut() -> [u8; 32]) {
        let Some((record, work)) = self.fold.payout(payout).zip(self.work.get(payout)) else { return };
        let Some(tx) = self.combined(record, work) else { return };
        let (network, txid, bytes) = (record.payout.network, work.txid, tx.encode());
        let moves = record.payout.kind != PayoutKind::Attestation;
        let signed = Body::PayoutSigned { payout: payout.clone(), tx: bytes.clone() };
        if self.append(now, signed, fresh).is_err() {
            return;
        }
        self.work.remove(payout);
        if !moves {
            return self.ended(payout);
        }
        self.sent_at.insert(txid, now);
        self.outbox.push(Effect::Broadcast(network, bytes));
        let broadcast = Body::PayoutBroadcast { payout: payout.clone(), txid };
        // It follows from the entry before it, so it can't be refused; without it the payout would be sent again.
        let logged = self.append(now, broadcast, fresh);
        debug_assert!(logged.is_ok(), "{logged:?}");
    }

    fn combined(&self, record: &Record, work: &Work) -> Option<Tx> {
        let views = self.fold.views(&record.payout.vault)?;
        let descriptor = &views.vault.descriptor;
        let mut tx = record.draft(&work.txid)?.tx.clone();
        for (index, input) in tx.inputs.iter_mut().enumerate() {
            if is_commitment(&record.payout, index) {
                continue;
            }
            let (branch, at) = views.scripts.place(&work.prevouts.get(index)?.script)?;
            let of_input = |list: &Vec<InputSignature>| {
                list.iter().find(|one| usize::try_from(one.input) == Ok(index)).cloned()
            };
            let signatures: Vec<_> = work
                .signatures
                .values()
                .filter_map(of_input)
                .filter_map(|one| {
                    Some((PublicKey::parse(&one.key).ok()?, EcdsaSignature::parse(&one.signature).ok()?))
                })
                .collect();
            // Too few do not satisfy it.
            let satisfaction = descriptor.satisfy(branch, at, &signatures).ok()?;
            input.script_sig = satisfaction.script_sig;
            input.witness = satisfaction.witness;
        }
        Some(tx)
    }

    /// Forgets refusals that may have passed, and ends payouts that every signer refused for good.
    pub(super) fn retry(&mut self, now: Instant, fresh: &mut dyn FnMut() -> [u8; 32]) {
        for (id, work) in &mut self.work {
            work.since.get_or_insert(now);
            let receipted = self.fold.payout(id).is_some_and(|record| !record.receipts.is_empty());
            work.refused.retain(|_, (refused, at)| {
                let again_ms = if receipted { RECEIPTED_AGAIN_MS } else { u64::MAX };
                now.ms_since(*at) < if passes(refused) { AGAIN_MS } else { again_ms }
            });
        }
        let signers = self.peers.values().filter(|peer| peer.role == Role::Signer).count();
        let hopeless = |(id, work): (&PayoutId, &Work)| {
            let record = self.fold.payout(id)?;
            let for_good = work.refused.values().filter(|(refused, _)| !passes(refused)).count();
            let codes = work.refused.values().flat_map(|(refused, _)| refused).map(|one| one.code.clone());
            let codes: BTreeSet<String> = codes.collect();
            (for_good == signers && record.receipts.is_empty()).then(|| (id.clone(), codes))
        };
        let ended: Vec<_> = self.work.iter().filter_map(hopeless).collect();
        for (payout, codes) in ended {
            let refused = Body::PayoutRefused { payout: payout.clone(), codes: codes.into_iter().collect() };
            if self.append(now, refused, fresh).is_ok() {
                self.ended(&payout);
            }
        }
        self.restore_work(now);
    }

    /// After a restart, makes the work of assembled payouts anew from the log and the coins.
    fn restore_work(&mut self, now: Instant) {
        let waits = |record: &Record| record.signed.is_none() && now < record.payout.expiry;
        let lacking: Vec<PayoutId> = self
            .active
            .iter()
            .filter(|id| !self.work.contains_key(*id))
            .filter(|id| self.fold.payout(id).is_some_and(waits))
            .cloned()
            .collect();
        for id in lacking {
            if let Some(work) = self.fold.payout(&id).and_then(|record| self.work_of(record)) {
                self.work.insert(id, work);
            }
        }
    }

    fn work_of(&self, record: &Record) -> Option<Work> {
        let draft = record.drafts.last()?;
        let coins = self.coins.get(&record.payout.vault)?;
        let first = first_output(&record.payout);
        let real = draft.tx.inputs.iter().skip(usize::from(first.is_some()));
        let (mut prevs, mut prevouts) = (Vec::new(), Vec::from_iter(first));
        for input in real {
            let coin = coins.get(&input.prev)?;
            prevouts.push(coin.output.clone());
            prevs.push(coin.tx.as_ref().clone());
        }
        Some(Work::new(draft.txid, draft.index, prevs, prevouts))
    }
}

/// Which of the two steps a payout needs of a signer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Need {
    Sign,
    Release,
}

fn bad(code: &str, detail: &str) -> Refused {
    Refused { code: code.to_owned(), detail: detail.to_owned() }
}
