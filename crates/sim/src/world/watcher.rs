//! What runs the watcher in a simulated world. The machine in here is a stand-in until the watcher's own step machine is
//! there: it follows the log with the real follower, leases, and holds every spend against the log by the real rule.

use std::collections::BTreeSet;

use kuraban_base::{Asset, Digest, Txid};
use kuraban_chain::btc::Tx;
use kuraban_proof::TreeHead;
use kuraban_vault::{
    body::{Alarm, Evidence},
    breaker::{Service, Stage, Trip},
    coordinator::Event,
    explain,
    follow::{FollowError, Follower},
    receipt::Lease,
    signer::Clock,
    statement::Signed,
    wire::{LogEntry, Refused, Request, Response},
};

use super::{
    Flaw, Rule,
    engine::{What, World},
    realm::{self, Machine, SIGNERS, realm},
};

/// What the watcher stores.
#[derive(Clone)]
enum Change {
    Entries(u64, Vec<LogEntry>),
    Cosigned(TreeHead),
    Alarm(Box<Signed<Alarm>>, Box<Signed<Trip>>),
}

/// The watcher's state.
struct Lookout {
    follower: Follower,
    alarms: Vec<(Signed<Alarm>, Signed<Trip>)>,
    /// Spends that are judged: explained or raised.
    judged: BTreeSet<Txid>,
}

/// The watcher and its disk.
pub(super) struct WatcherSide {
    state: Option<Lookout>,
    disk: Vec<Change>,
    /// Signers that took the latest trip.
    told: BTreeSet<u8>,
}

impl Lookout {
    fn new() -> Self {
        let follower = Follower::new(realm().charter.clone(), realm::cosigner(Machine::Watcher));
        Self { follower, alarms: Vec::new(), judged: BTreeSet::new() }
    }

    fn restore(&mut self, change: Change) -> Result<(), FollowError> {
        match change {
            Change::Entries(_, entries) => self.follower.restore(&entries),
            Change::Cosigned(head) => self.follower.restore_head(head),
            Change::Alarm(alarm, trip) => {
                if let Ok(txid) = alarm.claim_unverified().subject.parse() {
                    self.judged.insert(txid);
                }
                self.alarms.push((*alarm, *trip));
                Ok(())
            }
        }
    }

    fn answer(&mut self, clock: Clock, request: Request) -> (Vec<Change>, Response) {
        let refuse = |code: &str, detail: String| Response::Refused(Refused { code: code.to_owned(), detail });
        let fold = self.follower.fold();
        match request {
            Request::Status => {
                (Vec::new(), Response::Status { size: fold.size(), epoch: fold.breaker().epoch() })
            }
            Request::Extend { from, entries, checkpoint } => {
                match self.follower.extend(from, &entries, &checkpoint, clock.wall) {
                    Ok(followed) => {
                        let (size, line) = (followed.head.size, followed.line);
                        let persist = vec![Change::Entries(from, entries), Change::Cosigned(followed.head)];
                        (persist, Response::Cosigned { size, line, challenge: [0; 32] })
                    }
                    Err(FollowError::Gap { size, .. }) => (Vec::new(), Response::Behind { size }),
                    Err(problem) => (Vec::new(), refuse("log-not-followed", problem.to_string())),
                }
            }
            Request::Lease { challenges } => {
                let unlogged = self.alarms.iter().any(|(_, trip)| !fold.has_trip(trip.claim_unverified()));
                if unlogged {
                    return (Vec::new(), refuse("tripped", "the log does not show the trip yet".to_owned()));
                }
                let head = self.follower.head();
                let lease = Lease {
                    by: Machine::Watcher.id(),
                    challenges,
                    epoch: fold.breaker().epoch(),
                    size: head.size,
                    root: head.root,
                    at: clock.wall,
                };
                (Vec::new(), Response::Lease(Box::new(Signed::sign(lease, &realm::statement(Machine::Watcher)))))
            }
            Request::Sign { .. }
            | Request::Release { .. }
            | Request::Trip(_)
            | Request::Permits { .. }
            | Request::Alarms { .. } => {
                (Vec::new(), refuse("request-not-allowed", "not of a watcher".to_owned()))
            }
        }
    }

    /// Judges a spend; gives what to store where nothing explains it.
    fn judge(&mut self, clock: Clock, tx: &Tx, prevs: Vec<Vec<u8>>, jumpy: bool) -> Option<Change> {
        let txid = tx.txid();
        if self.judged.contains(&txid) {
            return None;
        }
        self.judged.insert(txid);
        let problem = match explain::explain(self.follower.fold(), &realm().vault, tx) {
            Ok(_) if !jumpy => return None,
            Ok(_) => "jumpy".to_owned(),
            Err(problem) => problem.to_string(),
        };
        let by = Machine::Watcher.id();
        let evidence = Evidence { tx: tx.encode(), prevs };
        let digest = Digest::sha256(&[&evidence.to_value().encode()]);
        let rule = "unexplained-spend".to_owned();
        let alarm = Alarm {
            by: by.clone(),
            rule: rule.clone(),
            subject: txid.to_string(),
            asset: Asset::Btc,
            detail: problem,
            evidence: Some(evidence),
            at: clock.wall,
        };
        let cells = vec![(Service::Withdrawal, Asset::Btc), (Service::Deposit, Asset::Btc)];
        let trip = Trip { by, cells, stage: Stage::Closed, rule, evidence: digest, at: clock.wall };
        let secret = realm::statement(Machine::Watcher);
        let (alarm, trip) = (Signed::sign(alarm, &secret), Signed::sign(trip, &secret));
        self.alarms.push((alarm.clone(), trip.clone()));
        Some(Change::Alarm(Box::new(alarm), Box::new(trip)))
    }
}

impl WatcherSide {
    pub(super) fn new() -> Self {
        Self { state: Some(Lookout::new()), disk: Vec::new(), told: BTreeSet::new() }
    }

    pub(super) const fn runs(&self) -> bool {
        self.state.is_some()
    }

    pub(super) fn crash(&mut self) {
        self.state = None;
    }

    /// A signer took the trip.
    pub(super) fn told(&mut self, signer: u8) {
        self.told.insert(signer);
    }
}

impl World {
    pub(super) fn watcher_request(&mut self, request: Request) -> Option<Response> {
        let clock = self.clock(Machine::Watcher);
        if !self.watcher.runs() || self.crashes() {
            if self.watcher.runs() {
                self.crash(Machine::Watcher);
            }
            return None;
        }
        let (persist, answer) = self.watcher.state.as_mut()?.answer(clock, request);
        if self.crashes() {
            self.crash(Machine::Watcher);
            return None;
        }
        self.store_watch(persist);
        if let Response::Cosigned { size, .. } = &answer {
            self.oracle.cosigns(Machine::Watcher, *size, self.now_ms);
        }
        if self.crashes() {
            self.crash(Machine::Watcher);
            return None;
        }
        Some(answer)
    }

    fn store_watch(&mut self, persist: Vec<Change>) {
        for change in persist {
            match &change {
                Change::Entries(from, entries) => self.oracle.folds(Machine::Watcher, *from, entries),
                Change::Cosigned(_) => {}
                Change::Alarm(alarm, _) => {
                    self.count("alarms");
                    let alarm = alarm.claim_unverified();
                    self.say(|| format!("ALARM {}: {}", alarm.subject, alarm.detail));
                    if let Ok(txid) = alarm.subject.parse() {
                        self.oracle.alarmed(txid, self.now_ms);
                    }
                    self.watcher.told.clear();
                }
            }
            self.watcher.disk.push(change);
        }
    }

    /// Judges every spend in mempool and blocks that it has not judged yet.
    pub(super) fn watcher_looks(&mut self) {
        if !self.watcher.runs() || self.has(Flaw::WatcherBlind) {
            return;
        }
        let clock = self.clock(Machine::Watcher);
        let jumpy = self.has(Flaw::WatcherJumpy);
        let in_pool = self.node.chain.mempool().map(|(_, entry)| entry.tx.as_ref());
        let in_blocks = self.node.blocks().flat_map(|(_, block)| &block.txs);
        let mut persist = Vec::new();
        for tx in in_pool.chain(in_blocks).filter(|tx| self.node.spends_vault(tx)) {
            let prev = |input: &kuraban_chain::btc::TxIn| self.node.own(&input.prev).map(|coin| coin.tx.to_vec());
            let prevs = tx.inputs.iter().filter_map(prev).collect();
            let Some(state) = &mut self.watcher.state else { return };
            persist.extend(state.judge(clock, tx, prevs, jumpy));
        }
        if self.crashes() {
            return self.crash(Machine::Watcher);
        }
        if !persist.is_empty() {
            self.store_watch(persist);
            self.spread();
        }
    }

    /// Trips to signers and alarms to the writer, until they have them.
    fn spread(&mut self) {
        let Some(state) = &self.watcher.state else { return };
        let alarms = state.alarms.clone();
        for (index, (_, trip)) in alarms.iter().enumerate() {
            for signer in SIGNERS.into_iter().filter(|n| !self.watcher.told.contains(n)).collect::<Vec<_>>() {
                self.tell(signer, trip.clone());
            }
            let logged = |state: &Lookout| state.follower.fold().has_trip(trip.claim_unverified());
            if !self.watcher.state.as_ref().is_some_and(logged) && !self.lost() {
                self.send(What::Alarm(index));
            }
        }
    }

    pub(super) fn watcher_tick(&mut self) {
        if self.watcher.runs() {
            self.watcher_looks();
            self.spread();
        }
    }

    pub(super) fn alarm_arrives(&mut self, index: usize) {
        let alarm = self.watcher.state.as_ref().and_then(|state| state.alarms.get(index)).cloned();
        if let Some((alarm, trip)) = alarm {
            self.writer_event(Event::Alarm(Box::new(alarm), Some(Box::new(trip))));
        }
    }

    pub(super) fn restart_watcher(&mut self) {
        let mut state = Lookout::new();
        for change in self.watcher.disk.clone() {
            if let Err(problem) = state.restore(change) {
                return self.violate(Rule::NotRestored, format!("the watcher: {problem}"));
            }
        }
        self.watcher.state = Some(state);
        self.after(1, What::See(Machine::Watcher));
    }
}
