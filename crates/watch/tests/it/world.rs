//! A watcher with its node, a log that a test writes entry by entry, a gate, and a disk that outlives the watcher.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use kuraban_base::{Amount, Asset, Digest, Instant, MachineId};
use kuraban_chain::btc::{Branch, Network, OutPoint, Tx, TxOut};
use kuraban_proof::{Entry, Frontier, KeyId, Opening, SignedCheckpoint};
use kuraban_vault::{
    APPROVE, Charter, Payout, REQUEST, Role,
    body::{Alarm, Body},
    breaker::{Service, Trip},
    fold::unsigned_id,
    permit::{Gate, Passage},
    receipt::Receipt,
    signer::Clock,
    statement::Signed,
    wire::{LogEntry, Request, Response},
};
use kuraban_watch::{
    Change, Connection, Effect, Event, Step, Watcher,
    chain::{self, FromNode},
    watcher::{Secrets, Settings},
};

use crate::{kit, node::Node};

pub(crate) const WRITER: Connection = Connection(1);
pub(crate) const GATE: Connection = Connection(2);
pub(crate) const POLL_MS: u64 = 200;
pub(crate) const STALL_MS: u64 = 1000;
/// A permit stream's random number.
const STREAM: [u8; 32] = [7; 32];

/// The log as the writer keeps it.
#[derive(Default)]
pub(crate) struct Log {
    frontier: Frontier,
    salts: u64,
    entries: Vec<LogEntry>,
    checkpoints: BTreeMap<u64, Vec<u8>>,
}

impl Log {
    /// Entries for these bodies and the checkpoint after them.
    pub(crate) fn append(&mut self, at: Instant, bodies: &[Body]) -> (u64, Vec<LogEntry>, Vec<u8>) {
        let from = self.frontier.size();
        let entry = |body: &Body| {
            self.salts += 1;
            let salt = *Digest::sha256(&[&self.salts.to_be_bytes()]).as_bytes();
            let opening = Opening { salt, body: body.encode() };
            let by: KeyId = "writer".parse().unwrap();
            let entry = Entry { at, by, kind: body.kind().parse().unwrap(), commit: opening.commit() };
            self.frontier.append(entry.leaf());
            LogEntry { entry: entry.encode(), salt, body: opening.body }
        };
        let entries: Vec<LogEntry> = bodies.iter().map(entry).collect();
        let checkpoint = SignedCheckpoint::sign(&kit::log_key(), self.frontier.head()).unwrap();
        let checkpoint = checkpoint.to_string().into_bytes();
        self.entries.extend(entries.iter().cloned());
        self.checkpoints.insert(self.size(), checkpoint.clone());
        (from, entries, checkpoint)
    }

    pub(crate) fn size(&self) -> u64 {
        self.frontier.size()
    }

    /// The sizes at which there is a checkpoint.
    pub(crate) fn sizes(&self) -> impl Iterator<Item = u64> {
        self.checkpoints.keys().copied()
    }

    /// What the writer sends of what it has.
    pub(crate) fn extension(&self, from: u64, until: u64, newest: u64) -> Request {
        let place = |size| usize::try_from(size).unwrap();
        let entries = self.entries[place(from)..place(until)].to_vec();
        Request::Extend { from, entries, checkpoint: self.checkpoints[&until].clone(), newest }
    }
}

pub(crate) struct World {
    pub(crate) charter: Arc<Charter>,
    pub(crate) node: Node,
    pub(crate) online: bool,
    pub(crate) watcher: Watcher,
    pub(crate) log: Log,
    /// Persisted changes, as bytes.
    pub(crate) disk: Vec<Vec<u8>>,
    pub(crate) now_ms: u64,
    /// What was sent to others than the node, in order, since it was last looked at.
    pub(crate) sent: Vec<Effect>,
    pub(crate) gate: Gate,
    /// Networks that are followed too and have no node.
    pub(crate) dark: Vec<Network>,
}

fn settings(node: &Node, dark: &[Network]) -> Settings {
    let chain = |network| chain::Settings {
        network,
        birthday: node.birthday(),
        poll_ms: POLL_MS,
        stall_ms: STALL_MS,
        block_ms_max: 3_600_000,
    };
    let chains = [kit::NETWORK].iter().chain(dark).copied().map(chain).collect();
    Settings { chains, log_wait_ms: 500 }
}

pub(crate) fn clock(now_ms: u64) -> Clock {
    // The monotonic clock starts somewhere.
    Clock { wall: kit::NOW.plus_ms(now_ms), monotonic_ms: now_ms + 77 }
}

fn watcher(charter: &Arc<Charter>, node: &Node, dark: &[Network], now_ms: u64) -> Watcher {
    let secrets = Secrets { statement: kit::statement(4), cosigner: kit::cosigner(4) };
    Watcher::new(kit::machine(4), Arc::clone(charter), secrets, &settings(node, dark), clock(now_ms)).unwrap()
}

impl World {
    /// A log that is open, a node with a few blocks, a watcher that has caught up, a gate, and a writer that listens.
    pub(crate) fn new() -> Self {
        Self::under(kit::charter())
    }

    pub(crate) fn under(charter: Arc<Charter>) -> Self {
        let mut world = Self::without_log(charter);
        let opened = Body::LogOpened {
            roster: world.charter.roster().hash(),
            policy: world.charter.policy().hash(),
            vaults: world.charter.vaults().map(|(vault, _)| vault.to_value()).collect(),
            retention_days: 3650,
        };
        world.append(&[opened]);
        world
    }

    /// The same with a log that somebody else writes.
    pub(crate) fn without_log(charter: Arc<Charter>) -> Self {
        let mut node = Node::new(kit::NETWORK);
        node.grow(3);
        let watcher = watcher(&charter, &node, &[], 0);
        let mut world = Self {
            charter,
            node,
            online: true,
            watcher,
            log: Log::default(),
            disk: Vec::new(),
            now_ms: 0,
            sent: Vec::new(),
            gate: Gate::default(),
            dark: Vec::new(),
        };
        world.join();
        world
    }

    /// Writer, gate and node connect.
    fn join(&mut self) {
        self.open_gate();
        self.ask(WRITER, Role::Writer, Request::Alarms { from: 0 });
        self.connect();
    }

    pub(crate) fn open_gate(&mut self) {
        self.gate.joined(kit::machine(4), STREAM);
        self.ask(GATE, Role::Gate, Request::Permits { stream: STREAM });
    }

    pub(crate) fn connect(&mut self) {
        self.online = true;
        self.hear(self.node.ready());
    }

    /// Something comes from the node.
    pub(crate) fn hear(&mut self, from: FromNode) {
        self.happen(Event::Node(kit::NETWORK, from));
    }

    pub(crate) fn happen(&mut self, event: Event) {
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            let Step { persist, effects } = self.watcher.step(clock(self.now_ms), event);
            for change in persist {
                let row = change.encode();
                assert_eq!(Change::decode(&row).as_ref(), Ok(&change));
                self.disk.push(row);
            }
            for effect in effects {
                if let Effect::Node { network, message } = &effect {
                    let answers = if self.online { self.node.answer(message) } else { Vec::new() };
                    events.extend(answers.into_iter().map(|from| Event::Node(*network, from)));
                } else {
                    self.take(effect);
                }
            }
        }
    }

    /// The gate takes its permits; everything is remembered.
    fn take(&mut self, effect: Effect) {
        if let Effect::Answer { to: GATE, response } = &effect
            && let Response::Permit(permit) = &**response
        {
            self.gate.take(self.charter.roster(), clock(self.now_ms), (**permit).clone()).unwrap();
        }
        self.sent.push(effect);
    }

    /// A request, and the first answer to its connection.
    pub(crate) fn ask(&mut self, from: Connection, role: Role, request: Request) -> Option<Response> {
        let before = self.sent.len();
        let request = Box::new(request);
        self.happen(Event::Request { from, role, fresh: [9; 32], request });
        let answer = |effect: &Effect| match effect {
            Effect::Answer { to, response } if *to == from => Some((**response).clone()),
            Effect::Answer { .. } | Effect::Trip { .. } | Effect::Node { .. } => None,
        };
        self.sent.iter().skip(before).find_map(answer)
    }

    /// The writer logs these and has them witnessed.
    pub(crate) fn append(&mut self, bodies: &[Body]) {
        let (from, entries, checkpoint) = self.log.append(clock(self.now_ms).wall, bodies);
        let size = from + u64::try_from(entries.len()).unwrap();
        let answer =
            self.ask(WRITER, Role::Writer, Request::Extend { from, entries, checkpoint, newest: size });
        let Some(Response::Cosigned { size: cosigned, challenge, .. }) = answer else { panic!("{answer:?}") };
        assert_eq!((cosigned, challenge), (size, [9; 32]));
    }

    pub(crate) fn wait(&mut self, ms: u64) {
        self.now_ms += ms;
        self.happen(Event::Tick);
    }

    /// The watcher's process dies and is started again from its disk.
    pub(crate) fn restart(&mut self) {
        self.restore();
        self.join();
    }

    /// The watcher is set up anew: its store is gone.
    pub(crate) fn wipe(&mut self) {
        self.disk.clear();
        self.restart();
    }

    /// The writer sends the log from where the watcher is up to a size, and says how much it has.
    pub(crate) fn hand(&mut self, until: u64, newest: u64) {
        let request = self.log.extension(self.watcher.follower().fold().size(), until, newest);
        let answer = self.ask(WRITER, Role::Writer, request);
        assert!(matches!(answer, Some(Response::Cosigned { size, .. }) if size == until), "{answer:?}");
    }

    /// As [`restart`](Self::restart), with nobody connected yet.
    pub(crate) fn restore(&mut self) {
        self.sent.clear();
        self.gate = Gate::default();
        self.watcher = watcher(&self.charter, &self.node, &self.dark, self.now_ms);
        for row in &self.disk {
            self.watcher.restore(Change::decode(row).unwrap()).unwrap();
        }
    }

    /// A deposit to the vault's receive script at `index`, in a block of its own.
    pub(crate) fn fund(&mut self, index: u32, value_sat: u64) -> Tx {
        let funding = kit::funding(index, value_sat);
        self.node.mine(vec![funding.clone()]);
        self.hear(self.node.headers(1));
        funding
    }

    /// The node accepts a transaction and tells.
    pub(crate) fn relay(&mut self, tx: &Tx) {
        self.node.mempool.push(tx.clone());
        self.hear(Node::announce(tx));
    }

    /// A block with these transactions.
    pub(crate) fn mine(&mut self, txs: Vec<Tx>) {
        self.node.mine(txs);
        self.hear(self.node.headers(1));
    }

    pub(crate) fn alarms(&self) -> Vec<(Alarm, Option<Trip>)> {
        let claim = |(alarm, trip): &(Signed<Alarm>, Option<Signed<Trip>>)| {
            (alarm.claim_unverified().clone(), trip.as_ref().map(|trip| trip.claim_unverified().clone()))
        };
        self.watcher.alarms().iter().map(claim).collect()
    }

    /// Rule and subject of every alarm.
    pub(crate) fn raised(&self) -> Vec<(String, String)> {
        self.alarms().into_iter().map(|(alarm, _)| (alarm.rule, alarm.subject)).collect()
    }

    pub(crate) fn passage(&self, service: Service) -> Passage {
        self.gate.passage(clock(self.now_ms), (service, Asset::Btc))
    }

    pub(crate) fn runs(&self, service: Service) -> bool {
        matches!(self.passage(service), Passage::Open { .. })
    }

    /// Trips sent since the last look, by signer.
    pub(crate) fn trips_sent(&self) -> Vec<MachineId> {
        let to = |effect: &Effect| match effect {
            Effect::Trip { signer, .. } => Some(signer.clone()),
            Effect::Answer { .. } | Effect::Node { .. } => None,
        };
        self.sent.iter().filter_map(to).collect()
    }
}

/// A payout of `amount` from the one output of `funding`, the rest back to the vault.
pub(crate) fn assemble(payout: &Payout, funding: &Tx) -> Tx {
    let fee = 10_000;
    let amount = payout.amount.to_u64().unwrap();
    let change = kit::descriptor().script_at(Branch::Change, 0).unwrap();
    let outputs = vec![
        TxOut { value_sat: amount, script: payout.destination.clone() },
        TxOut { value_sat: funding.outputs[0].value_sat - amount - fee, script: change },
    ];
    kit::tx(vec![OutPoint { txid: funding.txid(), vout: 0 }], outputs)
}

/// The witnesses of two of the vault's keys on a transaction that spends `funding` of receive index `index`.
pub(crate) fn signed(tx: &Tx, funding: &Tx, index: u32) -> Tx {
    kit::steal(tx.clone(), &funding.outputs[..1], (Branch::Receive, index), &[1, 2])
}

/// What the log says about a payout whose transaction is `tx`: approved by these people, receipted by these signers.
pub(crate) fn story(payout: &Payout, tx: &Tx, people: &[u8], signers: &[u8]) -> Vec<Body> {
    let digest = payout.digest(&kit::charter().context());
    let request = kit::sign(&kit::person(1), REQUEST, digest.as_bytes());
    let id = payout.id.clone();
    let mut story = vec![Body::PayoutRequested {
        payout: payout.clone(),
        key: format!("key-{id}"),
        request: Some(request),
        evidence: None,
    }];
    story.extend(people.iter().map(|number| Body::PayoutApproved {
        payout: id.clone(),
        approval: kit::sign(&kit::person(*number), APPROVE, digest.as_bytes()),
    }));
    story.push(Body::PayoutAssembled { payout: id.clone(), tx: tx.encode() });
    story.extend(signers.iter().map(|number| {
        let receipt = Receipt {
            by: kit::machine(*number),
            payout: id.clone(),
            digest,
            txid: unsigned_id(tx),
            outflow: payout.amount.plus(Amount::new(10_000)).unwrap(),
            seq: 1,
            at: kit::NOW,
        };
        Body::PayoutReceipt(Signed::sign(receipt, &kit::statement(*number)))
    }));
    story
}
