//! A hostile writer. It knows the log's key, everything that people signed and everything that machines answered, and in
//! some worlds all keys of one signer. It mixes honest work, by which it gets signatures at all, with whatever might get
//! it signatures that it should not have: forks, altered transactions, two transactions for one payout, replays, receipts
//! left out, entries that say what is not so.

mod branch;
mod schemes;

use std::collections::{BTreeMap, BTreeSet};

use kuraban_base::{Instant, MachineId, PayoutId, Txid};
use kuraban_chain::btc::{Tx, TxOut};
use kuraban_vault::{
    body::Body,
    coordinator::{Ask, Event},
    receipt::{Lease, Receipt},
    signer::LEASE_MS_MAX,
    statement::Signed,
    wire::{Answer, InputSignature, ReleaseItem, Request, Response, SignItem},
};

use self::branch::Branch;
use super::{
    Mode,
    engine::{What, World},
    node::OwnCoin,
    random::Random,
    realm::{self, Machine, SIGNERS, THRESHOLD, realm},
};

/// A transaction that it made for a payout.
struct Plot {
    payout: PayoutId,
    tx: Tx,
    spent: Vec<TxOut>,
    prevs: Vec<Vec<u8>>,
    /// Whether it pays what people want, so that signers may allow it.
    right: bool,
}

/// What it knows of a witness.
struct Mark {
    up: bool,
    busy: Option<Doing>,
    branch: usize,
    size: Option<u64>,
    challenges: Vec<[u8; 32]>,
}

/// What it waits for.
enum Doing {
    Status,
    Extend(usize),
    Lease,
    Sign,
    Release(Vec<(PayoutId, Txid)>),
}

/// The hostile writer.
pub(super) struct Rogue {
    branches: Vec<Branch>,
    marks: BTreeMap<Machine, Mark>,
    /// The signers whose keys it has.
    stolen: Vec<u8>,
    heard: Vec<Ask>,
    leases: Vec<Signed<Lease>>,
    /// When it got the last one.
    leased: Instant,
    receipts: Vec<Signed<Receipt>>,
    plots: BTreeMap<Txid, Plot>,
    shares: BTreeMap<Txid, BTreeMap<u8, Vec<InputSignature>>>,
    /// Signed transactions to be sent.
    ready: Vec<(PayoutId, Vec<u8>)>,
    /// Whether it forks at all; a writer that forks soon cannot do anything else.
    forks: bool,
    /// Whether it shows each signer another transaction of a payout, and holds receipts back until it has two.
    divides: bool,
    /// Whether it only collects receipts, to use them after the night.
    hoards: bool,
    /// Whether the night is still to come.
    evening: bool,
    /// Checkpoints of a second history that it showed to somebody.
    forks_shown: u64,
    now: Instant,
}

impl Rogue {
    pub(super) fn new(mode: Mode, stolen: Vec<u8>, random: &mut Random) -> Self {
        let hoards = mode == Mode::Hoarder;
        let mark = || Mark { up: false, busy: None, branch: 0, size: None, challenges: Vec::new() };
        Self {
            branches: Vec::new(),
            marks: Machine::PEERS.into_iter().map(|peer| (peer, mark())).collect(),
            stolen,
            heard: Vec::new(),
            leases: Vec::new(),
            leased: Instant::from_ms(0),
            receipts: Vec::new(),
            plots: BTreeMap::new(),
            shares: BTreeMap::new(),
            ready: Vec::new(),
            forks: !hoards && random.one_in(2),
            divides: !hoards && random.one_in(2),
            hoards,
            evening: hoards,
            forks_shown: 0,
            now: realm::START,
        }
    }

    /// The night is over.
    pub(super) fn wakes(&mut self) {
        self.evening = false;
    }

    pub(super) fn open(&mut self, now: Instant, random: &mut Random) {
        self.now = now;
        let mut branch = Branch::new();
        let context = realm().charter.context();
        let vaults = realm().charter.vaults().map(|(vault, _)| vault.to_value()).collect();
        let opened =
            Body::LogOpened { roster: context.roster, policy: context.policy, vaults, retention_days: 30 };
        branch.append(now, opened, random);
        branch.cut(&self.stolen, now);
        self.branches.push(branch);
    }

    /// A person's request or approval.
    pub(super) fn hear(&mut self, ask: Ask) {
        self.heard.push(ask);
    }

    pub(super) fn event(&mut self, event: Event, random: &mut Random) {
        match event {
            Event::Joined(id) => self.mark(&id, |mark| {
                mark.up = true;
                mark.busy = None;
                mark.size = None;
            }),
            Event::Lost(id) => self.mark(&id, |mark| {
                mark.up = false;
                mark.busy = None;
            }),
            Event::Answer(id, response) => {
                if let Some(machine) = Machine::of(&id) {
                    self.learn(machine, *response, random);
                }
            }
            Event::Ask(..)
            | Event::Alarm(..)
            | Event::Coin(..)
            | Event::CoinGone(..)
            | Event::Mined { .. }
            | Event::Unmined(_)
            | Event::Tip(..)
            | Event::FeeRate(..)
            | Event::Tick => {}
        }
    }

    fn mark(&mut self, id: &MachineId, change: impl FnOnce(&mut Mark)) {
        if let Some(mark) = Machine::of(id).and_then(|machine| self.marks.get_mut(&machine)) {
            change(mark);
        }
    }

    fn learn(&mut self, machine: Machine, response: Response, random: &mut Random) {
        let Some(mark) = self.marks.get_mut(&machine) else { return };
        match (mark.busy.take(), response) {
            (Some(Doing::Status), Response::Status { size, .. }) => mark.size = Some(size),
            (Some(Doing::Extend(branch)), Response::Cosigned { size, line, challenge }) => {
                (mark.size, mark.branch) = (Some(size), branch);
                mark.challenges.push(challenge);
                if let Some(branch) = self.branches.get_mut(branch) {
                    branch.cosigned(size, &line);
                }
            }
            (Some(Doing::Extend(_)), Response::Behind { size }) => mark.size = Some(size),
            (Some(Doing::Lease), Response::Lease(lease)) => {
                self.leases.push(*lease);
                self.leased = self.now;
            }
            (Some(Doing::Sign), Response::Receipts(answers)) => {
                self.receipts.extend(answers.into_iter().flatten());
            }
            (Some(Doing::Release(items)), Response::Signatures(answers)) => {
                self.collect(machine, &items, answers, random);
            }
            _ => {}
        }
    }

    fn collect(
        &mut self,
        machine: Machine,
        items: &[(PayoutId, Txid)],
        answers: Vec<Answer<Vec<InputSignature>>>,
        random: &mut Random,
    ) {
        let Machine::Signer(number) = machine else { return };
        for ((_, txid), answer) in items.iter().zip(answers) {
            if let Ok(share) = answer {
                self.shares.entry(*txid).or_default().insert(number, share);
                self.combine(*txid, random);
            }
        }
    }

    /// Puts together what it has, with its own share where it stole one.
    fn combine(&mut self, txid: Txid, random: &mut Random) {
        let Some((plot, shares)) = self.plots.get(&txid).zip(self.shares.get_mut(&txid)) else { return };
        for stolen in &self.stolen {
            if let Some(share) = realm().share(*stolen, &plot.tx, &plot.spent) {
                shares.insert(*stolen, share);
            }
        }
        let enough: Vec<_> = shares.values().take(THRESHOLD).cloned().collect();
        if enough.len() < THRESHOLD {
            return;
        }
        if let Some(tx) = realm().combine(&plot.tx, &plot.spent, &enough) {
            self.ready.push((plot.payout.clone(), tx.encode()));
            let signed = Body::PayoutSigned { payout: plot.payout.clone(), tx: tx.encode() };
            for branch in &mut self.branches {
                branch.append(self.now, signed.clone(), random);
            }
        }
    }

    /// One request for a witness that waits for nothing.
    fn approach(&mut self, machine: Machine, random: &mut Random) -> Option<Request> {
        let mark = self.marks.get(&machine).filter(|mark| mark.up && mark.busy.is_none())?;
        let Some(size) = mark.size else {
            self.busy(machine, Doing::Status);
            return Some(Request::Status);
        };
        // Without a lease that may be good a signer is asked rarely: it only costs time.
        let leased = self.now.ms_since(self.leased) < LEASE_MS_MAX || random.one_in(8);
        let choice = random.below(if leased { 10 } else { 3 });
        match machine {
            Machine::Writer => None,
            Machine::Watcher if choice < 5 => self.extend(machine, size, random),
            Machine::Watcher => self.ask_lease(random),
            Machine::Signer(_) if choice < 3 => self.extend(machine, size, random),
            Machine::Signer(_) if choice < 6 || self.evening => self.ask_receipts(machine, random),
            Machine::Signer(_) => self.ask_signatures(machine, random),
        }
    }

    fn busy(&mut self, machine: Machine, doing: Doing) {
        if let Some(mark) = self.marks.get_mut(&machine) {
            mark.busy = Some(doing);
        }
    }

    fn extend(&mut self, machine: Machine, size: u64, random: &mut Random) -> Option<Request> {
        let own = self.marks.get(&machine)?.branch;
        // Where the branches are still the same it may take either; sometimes it tries the wrong one.
        let count = u64::try_from(self.branches.len()).ok()?;
        let free = self.branches.iter().skip(1).all(|branch| size <= branch.forked_at);
        let other = usize::try_from(random.below(count)).ok()?;
        let index = if free || random.one_in(6) { other } else { own };
        let branch = self.branches.get(index)?;
        let until = if random.one_in(8) { branch.some_head(random)? } else { branch.head()? };
        let request = branch.extension(size, until)?;
        self.forks_shown = self.forks_shown.saturating_add(u64::from(until > branch.forked_at && index > 0));
        self.busy(machine, Doing::Extend(index));
        Some(request)
    }

    fn ask_lease(&mut self, random: &mut Random) -> Option<Request> {
        let newest = |mark: &Mark| mark.challenges.last().copied();
        let mut challenges: Vec<[u8; 32]> = self.marks.values().filter_map(newest).collect();
        if random.one_in(5) {
            let all: Vec<[u8; 32]> =
                self.marks.values().flat_map(|mark| mark.challenges.iter().copied()).collect();
            challenges.extend(random.pick(&all));
        }
        if challenges.is_empty() {
            return None;
        }
        self.busy(Machine::Watcher, Doing::Lease);
        Some(Request::Lease { challenges })
    }

    fn some_lease(&self, random: &mut Random) -> Option<Signed<Lease>> {
        if random.one_in(6) { random.pick(&self.leases).cloned() } else { self.leases.last().cloned() }
    }

    /// A checkpoint to show to a witness: the best of its branch, or any.
    fn some_checkpoint(&self, machine: Machine, random: &mut Random) -> Option<Vec<u8>> {
        let mark = self.marks.get(&machine)?;
        if random.one_in(6) {
            return random.pick(&self.branches)?.any_checkpoint(random);
        }
        self.branches.get(mark.branch)?.witnessed(mark.size.unwrap_or_default())
    }

    fn ask_receipts(&mut self, machine: Machine, random: &mut Random) -> Option<Request> {
        let (checkpoint, lease) = (self.some_checkpoint(machine, random)?, self.some_lease(random)?);
        let txids: Vec<Txid> = self.plots.keys().copied().collect();
        let mut items = Vec::new();
        for _ in 0..random.within(1, if self.hoards { 8 } else { 3 }) {
            let txid = match self.promising(machine, random) {
                Some(txid) if !random.one_in(if self.hoards { 40 } else { 4 }) => txid,
                None if self.hoards && !random.one_in(40) => return None,
                _ => *random.pick(&txids)?,
            };
            let plot = self.plots.get(&txid)?;
            let mut prevs = plot.prevs.clone();
            if random.one_in(if self.hoards { 80 } else { 8 })
                && let Some(byte) = prevs.first_mut().and_then(|prev| prev.last_mut())
            {
                *byte = byte.wrapping_add(1);
            }
            items.push(SignItem { payout: plot.payout.clone(), txid, prevs });
        }
        self.busy(machine, Doing::Sign);
        Some(Request::Sign { checkpoint, lease, items })
    }

    /// A transaction that a signer may allow, and for signers of one payout different ones where the writer divides.
    fn promising(&self, machine: Machine, random: &mut Random) -> Option<Txid> {
        let own = self.receipts.iter().map(Signed::claim_unverified).filter(|one| one.by == machine.id());
        let own: BTreeSet<Txid> = own.map(|receipt| receipt.txid).collect();
        // A fresh receipt would count anew what the hoarder wants to have on top.
        let of_use = |(txid, plot): &(&Txid, &Plot)| plot.right && !(self.hoards && own.contains(*txid));
        let right: Vec<(&Txid, &Plot)> = self.plots.iter().filter(of_use).collect();
        let (txid, plot) = random.pick(&right)?;
        if !self.divides {
            return Some(**txid);
        }
        let of_payout: Vec<Txid> =
            right.iter().filter(|(_, other)| other.payout == plot.payout).map(|(txid, _)| **txid).collect();
        let number = SIGNERS.iter().position(|n| Machine::Signer(*n) == machine)?;
        of_payout.get(number.checked_rem(of_payout.len())?).copied()
    }

    /// Whether a receipt is better not logged yet: it would keep other signers from a second transaction.
    fn holds_back(&self, receipt: &Receipt) -> bool {
        let of_payout = || self.plots.values().filter(|plot| plot.right && plot.payout == receipt.payout);
        let own: Vec<MachineId> = self.stolen.iter().map(|number| Machine::Signer(*number).id()).collect();
        let mut receipted: Vec<Txid> = self
            .receipts
            .iter()
            .map(Signed::claim_unverified)
            .filter(|other| other.payout == receipt.payout && !own.contains(&other.by))
            .map(|other| other.txid)
            .collect();
        receipted.sort_unstable();
        receipted.dedup();
        self.divides && of_payout().count() > 1 && receipted.len() < 2
    }

    fn ask_signatures(&mut self, machine: Machine, random: &mut Random) -> Option<Request> {
        let (checkpoint, lease) = (self.some_checkpoint(machine, random)?, self.some_lease(random)?);
        let given: Vec<(PayoutId, Txid)> = self
            .receipts
            .iter()
            .map(Signed::claim_unverified)
            .filter(|receipt| receipt.by == machine.id() || random.one_in(20))
            .filter(|receipt| !self.has_share(machine, receipt.txid))
            .map(|receipt| (receipt.payout.clone(), receipt.txid))
            .collect();
        let mut asked = Vec::new();
        for _ in 0..random.within(1, if self.hoards { 8 } else { 3 }) {
            let item = match random.pick(&given) {
                Some(item) if !random.one_in(10) => item.clone(),
                _ => {
                    let txids: Vec<Txid> = self.plots.keys().copied().collect();
                    let txid = *random.pick(&txids)?;
                    (self.plots.get(&txid)?.payout.clone(), txid)
                }
            };
            asked.push(item);
        }
        let items = asked.iter().cloned().map(|(payout, txid)| ReleaseItem { payout, txid }).collect();
        self.busy(machine, Doing::Release(asked));
        Some(Request::Release { checkpoint, lease, items })
    }

    /// What it sends now. The first payment of a payout would raise an alarm before the second one is signed, so it waits.
    fn sends(&mut self, random: &mut Random) -> Vec<Vec<u8>> {
        let ready = core::mem::take(&mut self.ready);
        let count = |payout: &PayoutId| ready.iter().filter(|(other, _)| other == payout).count();
        let waits = |payout: &PayoutId| self.divides && count(payout) < 2;
        let (later, now): (Vec<_>, Vec<_>) =
            ready.iter().cloned().partition(|(payout, _)| waits(payout) && !random.one_in(100));
        self.ready = later;
        now.into_iter().map(|(_, bytes)| bytes).collect()
    }

    fn has_share(&self, machine: Machine, txid: Txid) -> bool {
        let Machine::Signer(number) = machine else { return false };
        self.shares.get(&txid).is_some_and(|shares| shares.contains_key(&number))
    }
}

impl World {
    /// One turn of the hostile writer: something in its log, and something for whoever waits.
    pub(super) fn rogue_turn(&mut self) {
        let now = self.wall(Machine::Writer);
        let coins: Vec<OwnCoin> = self.node.vault_coins();
        let kinds = self.people.plans.clone();
        let World { writer, random, .. } = self;
        let super::writer::Writing::Rogue(rogue) = &mut writer.state else { return };
        rogue.now = now;
        rogue.write(&kinds, &coins, random);
        let mut requests = Vec::new();
        for machine in SIGNERS.into_iter().map(Machine::Signer).chain([Machine::Watcher]) {
            if random.one_in(2) {
                requests.extend(rogue.approach(machine, random).map(|request| (machine, request)));
            }
        }
        let ready = rogue.sends(random);
        let forks_shown = core::mem::take(&mut rogue.forks_shown);
        for _ in 0..forks_shown {
            self.count("forks shown");
        }
        for (machine, request) in requests {
            self.request(machine, request);
        }
        for bytes in ready {
            self.count("broadcasts");
            self.send(What::Submit(bytes));
        }
    }
}
