//! What runs the watcher in a simulated world, as its daemon does: requests, the node's messages and ticks go in one by
//! one, disk comes before everything that is sent, and a crash may come between.

use std::collections::BTreeSet;

use kuraban_base::Txid;
use kuraban_chain::btc::BlockHash;
use kuraban_vault::{
    Role,
    breaker::Trip,
    coordinator,
    statement::Signed,
    wire::{Request, Response},
};
use kuraban_watch::{
    Change, Connection, Effect, Event, Watcher,
    chain::{self, FromNode, Position, ToNode, TxRef},
    watcher::{Secrets, Settings, UNEXPLAINED_SPEND},
};

use super::{
    Flaw, Rule,
    engine::{What, World},
    realm::{self, Machine, NETWORK, SIGNERS, realm},
};

/// How long a watcher that is set up anew may take to be there: to start, to get the log, and to follow all blocks.
const ANEW_MS_MAX: u64 = 20_000;

/// The watcher and its disk.
pub(super) struct WatcherSide {
    state: Option<Box<Watcher>>,
    disk: Vec<Vec<u8>>,
    /// Connections so far; each has a number of its own.
    connections: u64,
    /// The writer's subscription to alarms.
    subscription: Option<Connection>,
    /// The connection to the node: none, or its number.
    node: Option<u64>,
    /// Transactions that the node announced on it.
    announced: BTreeSet<Txid>,
    tip: Option<BlockHash>,
    /// When it was set up anew.
    anew_ms: Option<u64>,
    /// A signer that it cannot reach, whatever happens.
    pub(super) cut: Option<u8>,
}

impl WatcherSide {
    pub(super) const fn new(cut: Option<u8>) -> Self {
        Self {
            state: None,
            disk: Vec::new(),
            connections: 0,
            subscription: None,
            node: None,
            announced: BTreeSet::new(),
            tip: None,
            anew_ms: None,
            cut,
        }
    }

    /// From when on it must see what happens, after it was set up anew; 0 if it never was.
    pub(super) fn there_ms(&self) -> u64 {
        self.anew_ms.map_or(0, |at_ms| at_ms.saturating_add(ANEW_MS_MAX))
    }

    pub(super) const fn runs(&self) -> bool {
        self.state.is_some()
    }

    pub(super) fn crash(&mut self) {
        self.state = None;
        self.subscription = None;
        self.disconnect();
    }

    fn disconnect(&mut self) {
        self.node = None;
        self.announced.clear();
        self.tip = None;
    }

    fn connect(&mut self) -> Connection {
        self.connections = self.connections.saturating_add(1);
        Connection(self.connections)
    }
}

fn settings() -> Settings {
    let height = realm().birthday;
    let hash = realm().chain.hash_at(height).unwrap_or(NETWORK.genesis_hash());
    let birthday = Position { height, hash };
    let chain = chain::Settings {
        network: NETWORK,
        birthday,
        poll_ms: 2000,
        stall_ms: 60_000,
        block_ms_max: 3_600_000,
    };
    Settings { chains: vec![chain], log_wait_ms: 500 }
}

impl World {
    /// Starts the watcher from its disk.
    pub(super) fn start_watcher(&mut self) {
        let secrets = Secrets {
            statement: realm::statement(Machine::Watcher),
            cosigner: realm::cosigner(Machine::Watcher),
        };
        let (id, charter) = (Machine::Watcher.id(), realm().charter.clone());
        let made = Watcher::new(id, charter, secrets, &settings(), self.clock(Machine::Watcher));
        let mut watcher = realm::sure(made);
        for row in &self.watcher.disk {
            let restored = Change::decode(row).map_err(|problem| problem.to_string());
            let restored =
                restored.and_then(|change| watcher.restore(change).map_err(|problem| problem.to_string()));
            if let Err(problem) = restored {
                return self.violate(Rule::NotRestored, format!("the watcher: {problem}"));
            }
        }
        if self.has(Flaw::FollowsEarly) && self.watcher.disk.is_empty() {
            realm::sure(watcher.restore(Change::Whole));
        }
        self.watcher.state = Some(Box::new(watcher));
        self.join_node_later();
        for signer in SIGNERS {
            self.greet_later(signer);
        }
    }

    /// The watcher's machine is gone; another is set up in its place.
    pub(super) fn lose_watchers_store(&mut self) {
        self.count("watchers set up anew");
        if self.watcher.runs() {
            self.crash(Machine::Watcher);
        }
        self.watcher.disk.clear();
        self.watcher.anew_ms = Some(self.now_ms);
    }

    /// One event; its answer to `connection`, if there is one.
    fn watcher_event(&mut self, event: Event, connection: Option<Connection>) -> Option<Response> {
        if !self.watcher.runs() {
            return None;
        }
        if self.crashes() {
            self.crash(Machine::Watcher);
            return None;
        }
        let clock = self.clock(Machine::Watcher);
        let step = self.watcher.state.as_mut()?.step(clock, event);
        if self.crashes() {
            self.crash(Machine::Watcher);
            return None;
        }
        self.store_watch(step.persist);
        let mut answer = None;
        for effect in step.effects {
            if self.crashes() {
                self.crash(Machine::Watcher);
                return None;
            }
            match effect {
                Effect::Answer { to, response } if Some(to) == connection => answer = Some(*response),
                Effect::Answer { to, response } if Some(to) == self.watcher.subscription => {
                    self.send(What::Alarm(response));
                }
                Effect::Answer { .. } => {}
                Effect::Trip { signer, trip } => self.tell(&signer, trip),
                Effect::Node { message, .. } => self.node_hears(message),
            }
        }
        answer
    }

    fn store_watch(&mut self, persist: Vec<Change>) {
        for change in persist {
            match &change {
                Change::Entries { from, entries } => {
                    self.oracle.folds(Machine::Watcher, *from, entries);
                    if self.has(Flaw::WatcherForgets) {
                        continue;
                    }
                }
                Change::Alarm(raised) => {
                    self.count("alarms");
                    let alarm = raised.0.claim_unverified();
                    self.say(|| format!("ALARM {} {}: {}", alarm.rule, alarm.subject, alarm.detail));
                    if let (UNEXPLAINED_SPEND, Ok(txid)) = (alarm.rule.as_str(), alarm.subject.parse()) {
                        self.oracle.alarmed(txid, self.now_ms);
                    }
                }
                Change::Cosigned(_) if self.has(Flaw::WatcherForgets) => continue,
                Change::Whole => self.count("logs whole"),
                Change::Anew { .. } => self.count("chains followed anew"),
                Change::Cosigned(_) | Change::Connected { .. } | Change::Disconnected { .. } => {}
            }
            self.watcher.disk.push(change.encode());
        }
    }

    /// A request of the writer.
    pub(super) fn watcher_request(&mut self, request: Request) -> Option<Response> {
        let (from, fresh) = (self.watcher.connect(), self.random.bytes());
        let event = Event::Request { from, role: Role::Writer, fresh, request: Box::new(request) };
        let answer = self.watcher_event(event, Some(from))?;
        if let Response::Cosigned { size, .. } = &answer {
            self.oracle.cosigns(Machine::Watcher, *size, self.now_ms);
        }
        if let Response::Refused(refused) = &answer {
            self.count(format!("watcher refused {}", refused.code));
            self.estranged(Machine::Watcher, refused);
        }
        Some(answer)
    }

    /// The writer subscribes to alarms as soon as its connection stands; what it knows already does no harm.
    pub(super) fn subscribe(&mut self) {
        let from = self.watcher.connect();
        let before = self.watcher.subscription.replace(from);
        if let Some(before) = before {
            self.watcher_event(Event::Gone(before), None);
        }
        let request = Box::new(Request::Alarms { from: 0 });
        let event = Event::Request { from, role: Role::Writer, fresh: self.random.bytes(), request };
        self.watcher_event(event, None);
    }

    pub(super) fn alarm_arrives(&mut self, response: Response) {
        if self.lost() {
            return self.lose(Machine::Watcher);
        }
        if let Response::Alarm(alarm, trip) = response {
            self.writer_event(coordinator::Event::Alarm(alarm, trip));
        }
    }

    /// Sends a trip to a signer. Where it is lost, so is the connection, and the watcher greets the signer again.
    fn tell(&mut self, signer: &kuraban_base::MachineId, trip: Signed<Trip>) {
        let Some(Machine::Signer(number)) = Machine::of(signer) else { return };
        if self.watcher.cut == Some(number) {
            return;
        }
        if self.lost() || !self.runs(Machine::Signer(number)) {
            return self.greet_later(number);
        }
        self.send(What::Trip(number, Box::new(trip)));
    }

    pub(super) fn greet_later(&mut self, signer: u8) {
        let pause = self.random.within(100, 2000);
        self.after(pause, What::Greet(signer));
    }

    /// The watcher's connection to a signer stands again.
    pub(super) fn greet(&mut self, signer: u8) {
        if !self.runs(Machine::Signer(signer)) {
            return self.greet_later(signer);
        }
        self.watcher_event(Event::Signer(Machine::Signer(signer).id()), None);
    }

    pub(super) fn watcher_tick(&mut self) {
        self.watcher_event(Event::Tick, None);
    }

    // The node, as the watcher's peer.

    fn join_node_later(&mut self) {
        let pause = self.random.within(5, 1000);
        self.after(pause, What::JoinNode);
    }

    pub(super) fn join_node(&mut self) {
        if !self.watcher.runs() || self.watcher.node.is_some() {
            return;
        }
        let number = self.watcher.connect().0;
        self.watcher.node = Some(number);
        let (height, _) = self.node.chain.tip();
        self.watcher_event(Event::Node(NETWORK, FromNode::Ready { height }), None);
    }

    fn lose_node(&mut self) {
        self.say(|| "the watcher's node is lost".to_owned());
        self.watcher.disconnect();
        self.watcher_event(Event::Node(NETWORK, FromNode::Closed), None);
        self.join_node_later();
    }

    /// The node says something, a little later.
    fn node_says(&mut self, from: FromNode) {
        if let Some(number) = self.watcher.node {
            self.send(What::Node(number, Box::new(from)));
        }
    }

    pub(super) fn node_message(&mut self, number: u64, from: FromNode) {
        if self.watcher.node != Some(number) || self.has(Flaw::WatcherBlind) {
            return;
        }
        if self.lost() {
            return self.lose_node();
        }
        self.watcher_event(Event::Node(NETWORK, from), None);
    }

    fn node_hears(&mut self, message: ToNode) {
        let node = &self.node.chain;
        let mut says = Vec::new();
        match message {
            ToNode::GetHeaders(locator) => {
                let headers = node.headers_after(&locator, BlockHash::from_bytes([0; 32]));
                says.push(FromNode::Headers(headers));
            }
            ToNode::GetBlocks(hashes) => {
                for hash in hashes {
                    says.push(match node.block(hash) {
                        Some(block) => FromNode::Block(Box::new(block.as_ref().clone())),
                        None => FromNode::NotFound { blocks: vec![hash], txs: Vec::new() },
                    });
                }
            }
            ToNode::GetTxs(refs) => {
                for one in refs {
                    let fits = |tx: &kuraban_chain::btc::Tx| match one {
                        TxRef::Txid(txid) => tx.txid() == txid,
                        TxRef::Wtxid(wtxid) => tx.wtxid() == wtxid,
                    };
                    says.push(match node.mempool().find(|(_, entry)| fits(&entry.tx)) {
                        Some((_, entry)) => FromNode::Tx(Box::new(entry.tx.as_ref().clone())),
                        None => FromNode::NotFound { blocks: Vec::new(), txs: vec![one] },
                    });
                }
            }
            ToNode::AskMempool => {
                let txs = node.mempool().map(|(_, entry)| TxRef::Wtxid(entry.tx.wtxid())).collect();
                says.push(FromNode::Inv { blocks: Vec::new(), txs });
            }
            ToNode::Close(lie) => {
                self.violate(Rule::StoppedInVain, format!("an honest node is called a liar: {lie}"));
            }
        }
        for from in says {
            self.node_says(from);
        }
    }

    /// The node announces what is new.
    pub(super) fn announce(&mut self) {
        if self.watcher.node.is_none() {
            return;
        }
        let (_, tip) = self.node.chain.tip();
        let blocks = if self.watcher.tip.replace(tip) == Some(tip) { Vec::new() } else { vec![tip] };
        let mut txs = Vec::new();
        for (txid, entry) in self.node.chain.mempool() {
            if self.watcher.announced.insert(*txid) {
                txs.push(TxRef::Wtxid(entry.tx.wtxid()));
            }
        }
        if !(blocks.is_empty() && txs.is_empty()) {
            self.node_says(FromNode::Inv { blocks, txs });
        }
    }
}
