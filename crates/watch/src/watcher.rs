//! The watcher: follows the log as a witness and each network's chain, holds every spend of a vault's coins against the
//! log, and stops services at the first that nothing explains.
//!
//! Trusted to stop, never to move: it holds no coin key. Takes nobody's word: approvals and receipts are verified here,
//! and a node is believed only as far as signatures and work reach.

mod alarms;
mod anew;
mod message;
mod restore;
mod row;
mod spends;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use kuraban_base::{Asset, Height, Instant, MachineId};
use kuraban_chain::btc::{Block, Network, Tx};
use kuraban_proof::TreeHead;
use kuraban_vault::{
    Charter, Role,
    breaker::{Cell, Stage},
    follow::{FollowError, Follower},
    receipt::Lease,
    signer::Clock,
    statement::{Signed, StatementSecret},
    wire::{LogEntry, Refused, Request, Response},
};

use crate::{
    chain::{self, Chain, Fact, FromNode, Output, Stall},
    coins::Coins,
    permits::{Permits, Terms},
};
pub use alarms::Raised;
use alarms::{Alarms, Raise, cells};
use anew::Held;
pub use message::{Change, Connection, Effect, Event, RestoreError, Secrets, Settings, SettingsError, Step};
use spends::{Explained, Finding, Place, Waiting, owner};

/// The rule of a spend that nothing explains.
pub const UNEXPLAINED_SPEND: &str = "unexplained-spend";
/// The rule of a node that cannot be relied on.
pub const NODE_STALLED: &str = "node-stalled";

/// The rule of a writer that does not show its whole log.
pub const LOG_WITHHELD: &str = "log-withheld";

/// Most subscribers to alarms.
const SUBSCRIBERS_MAX: usize = 64;

/// One network: its chain and the vaults' coins on it.
#[derive(Debug)]
struct Followed {
    chain: Chain,
    coins: Coins,
    /// Its node, while the log is not there.
    held: Held,
}

/// The watcher's state.
#[derive(Debug)]
pub struct Watcher {
    me: MachineId,
    secret: StatementSecret,
    follower: Follower,
    log_broken: bool,
    networks: BTreeMap<Network, Followed>,
    alarms: Alarms,
    waiting: Waiting,
    explained: Explained,
    invalid: u64,
    subscribers: BTreeSet<Connection>,
    permits: Permits,
    started: bool,
    /// Whether the log was there as far as the writer had it, so that blocks may be followed: once, or, where another watcher
    /// leases too, since the start.
    whole: bool,
    /// Since when the log is waited for, in monotonic milliseconds.
    begun_ms: Option<u64>,
    /// How long it may take before somebody is told.
    patience_ms: u64,
}

impl Watcher {
    /// A watcher that has seen nothing yet.
    ///
    /// # Errors
    /// A vault's network is not followed, or the settings contradict each other or the roster.
    pub fn new(
        me: MachineId,
        charter: Arc<Charter>,
        secrets: Secrets,
        settings: &Settings,
        clock: Clock,
    ) -> Result<Self, SettingsError> {
        if charter.roster().statement_key(&me, Role::Watcher) != Some(&secrets.statement.public()) {
            return Err(SettingsError::Stranger { me });
        }
        let mut networks = BTreeMap::new();
        for one in &settings.chains {
            let network = one.network;
            let chain = Chain::new(one.clone(), clock.monotonic_ms)
                .map_err(|problem| SettingsError::Chain { network, problem })?;
            if networks
                .insert(network, Followed { chain, coins: Coins::default(), held: Held::default() })
                .is_some()
            {
                return Err(SettingsError::Repeated { network });
            }
        }
        if let Some((vault, _)) = charter.vaults().find(|(vault, _)| !networks.contains_key(&vault.network)) {
            return Err(SettingsError::NotFollowed { vault: vault.id.clone(), network: vault.network });
        }
        let alone = charter.roster().machines(Role::Watcher).count() == 1;
        Ok(Self {
            me,
            secret: secrets.statement,
            follower: Follower::new(charter, secrets.cosigner),
            log_broken: false,
            networks,
            alarms: Alarms::default(),
            waiting: Waiting::new(if alone { 0 } else { settings.log_wait_ms }),
            explained: Explained::default(),
            invalid: 0,
            subscribers: BTreeSet::new(),
            permits: Permits::default(),
            started: false,
            whole: false,
            begun_ms: None,
            patience_ms: settings.chains.iter().map(|one| one.stall_ms).max().unwrap_or_default(),
        })
    }

    /// Takes what came.
    pub fn step(&mut self, clock: Clock, event: Event) -> Step {
        let mut step = Step::default();
        if !core::mem::replace(&mut self.started, true) {
            // How long a restart took says nothing about the nodes.
            self.networks.values_mut().for_each(|followed| followed.chain.begin(clock.monotonic_ms));
            self.begun_ms = Some(clock.monotonic_ms);
            self.judge_again(clock, &mut step);
        }
        match event {
            Event::Request { from, role, fresh, request } => {
                self.request(clock, from, (role, fresh), *request, &mut step);
            }
            Event::Gone(connection) => {
                self.subscribers.remove(&connection);
                self.permits.end(connection);
            }
            Event::Signer(signer) => {
                let standing = self.alarms.standing().cloned();
                step.effects.extend(standing.map(|trip| Effect::Trip { signer: signer.clone(), trip }));
            }
            Event::Node(network, from) => self.node(clock, network, from, &mut step),
            Event::Tick => {
                let networks: Vec<Network> = self.networks.keys().copied().collect();
                for network in networks {
                    self.node(clock, network, FromNode::Tick, &mut step);
                }
                self.judge_waiting(clock, &mut step);
                self.withheld(clock, &mut step);
            }
        }
        self.permit(clock, step)
    }

    /// Permits go out before everything else that a step sends.
    fn permit(&mut self, clock: Clock, mut step: Step) -> Step {
        let terms = self.terms();
        let due = self.permits.due(clock, &terms, &self.me, &self.secret).into_iter();
        let permits = due.map(|(to, permit)| Effect::Answer {
            to,
            response: Box::new(Response::Permit(Box::new(permit))),
        });
        step.effects.splice(0..0, permits);
        step
    }

    /// The tighter of the log's breaker, this watcher's own trips, and what its nodes let it see.
    fn terms(&self) -> Terms {
        let breaker = self.follower.fold().breaker();
        let mut tightened: BTreeMap<Cell, Stage> = breaker.tightened().collect();
        let mut tighten = |cell: Cell, stage: Stage| {
            let entry = tightened.entry(cell).or_insert(stage);
            *entry = stage.max(*entry);
        };
        for (cell, stage) in self.alarms.tightened() {
            tighten(cell, stage);
        }
        let blind =
            self.networks.values().filter(|followed| followed.chain.status() != chain::Status::Following);
        for followed in blind {
            cells(followed.chain.network().asset()).into_iter().for_each(|cell| tighten(cell, Stage::Closed));
        }
        Terms { epoch: breaker.epoch(), tightened }
    }

    fn request(
        &mut self,
        clock: Clock,
        from: Connection,
        (role, fresh): (Role, [u8; 32]),
        request: Request,
        step: &mut Step,
    ) {
        let response = match (role, request) {
            (_, Request::Status) => Response::Status {
                size: self.follower.fold().size(),
                epoch: self.follower.fold().breaker().epoch(),
            },
            (Role::Writer, Request::Extend { from, entries, checkpoint, newest }) => {
                let response = self.extend(clock, fresh, (from, entries), &checkpoint, step);
                if matches!(response, Response::Cosigned { .. }) {
                    self.complete(clock, newest, step);
                }
                response
            }
            (Role::Writer, Request::Lease { challenges }) => self.lease(clock, challenges),
            (Role::Writer, Request::Alarms { from: count }) => return self.subscribe(from, count, step),
            (Role::Gate, Request::Permits { stream }) => {
                if self.permits.open(from, stream) {
                    return;
                }
                refuse("too-many-streams", "this watcher has as many gates as it can serve".to_owned())
            }
            (
                _,
                Request::Extend { .. }
                | Request::Sign { .. }
                | Request::Release { .. }
                | Request::Trip(_)
                | Request::Lease { .. }
                | Request::Permits { .. }
                | Request::Alarms { .. },
            ) => refuse("request-not-allowed", format!("a {role} may not ask this of a watcher")),
        };
        step.effects.push(Effect::Answer { to: from, response: Box::new(response) });
    }

    fn extend(
        &mut self,
        clock: Clock,
        fresh: [u8; 32],
        (from, entries): (u64, Vec<LogEntry>),
        checkpoint: &[u8],
        step: &mut Step,
    ) -> Response {
        let before = self.follower.head();
        match self.follower.extend(from, &entries, checkpoint, clock.wall) {
            Ok(followed) => {
                self.alarms.note(&self.secret.public(), &entries);
                let overtaken = self.overtaken(&entries);
                // A head is co-signed anew for its time alone, however often: that leaves nothing to remember.
                if !entries.is_empty() {
                    step.persist.push(Change::Entries { from, entries });
                }
                if followed.head != before {
                    step.persist.push(Change::Cosigned(followed.head));
                }
                overtaken.into_iter().for_each(|network| self.follow_anew(clock, network, step));
                self.judge_waiting(clock, step);
                Response::Cosigned { size: followed.head.size, line: followed.line, challenge: fresh }
            }
            Err(FollowError::Gap { from: _, size }) => Response::Behind { size },
            Err(problem @ (FollowError::Fold { .. } | FollowError::Spoilt)) => {
                self.log_broken = true;
                refuse("log-not-followed", problem.to_string())
            }
            Err(problem @ (FollowError::Entry { .. } | FollowError::Checkpoint { .. })) => {
                refuse("log-not-followed", problem.to_string())
            }
        }
    }

    fn lease(&self, clock: Clock, challenges: Vec<[u8; 32]>) -> Response {
        if self.log_broken {
            let problem = "an entry of the log did not follow from those before it".to_owned();
            return refuse("log-not-followed", problem);
        }
        if let Some(refused) = self.not_whole() {
            return refused;
        }
        let assets = self.seen();
        if assets.is_empty() {
            let tip = |followed: &Followed| {
                format!("{} at {}", followed.chain.network(), followed.chain.tip().height)
            };
            let tips: Vec<String> = self.networks.values().map(tip).collect();
            let problem = format!("this watcher sees no chain's tip; it is on {}", tips.join(", "));
            return refuse("chain-not-current", problem);
        }
        // The log's epoch does not know of such a trip. Signers that the trip does not reach must not go on by a lease from
        // whoever tripped; the writer logs the trip first, and then the evacuation has its leases.
        if let Some(trip) = self.alarms.unlogged() {
            return refuse("trip-not-logged", format!("the log does not show the trip of {} yet", trip.at));
        }
        let TreeHead { size, root } = self.follower.head();
        let epoch = self.follower.fold().breaker().epoch();
        let lease = Lease { by: self.me.clone(), challenges, assets, epoch, size, root, at: clock.wall };
        Response::Lease(Box::new(Signed::sign(lease, &self.secret)))
    }

    /// The assets whose chains are seen up to their tips; where an asset has several networks, all of them.
    fn seen(&self) -> BTreeSet<Asset> {
        let (current, blind): (Vec<_>, Vec<_>) =
            self.networks.values().partition(|followed| followed.chain.is_current());
        let asset = |followed: &&Followed| followed.chain.network().asset();
        let blind: BTreeSet<Asset> = blind.iter().map(asset).collect();
        current.iter().map(asset).filter(|asset| !blind.contains(asset)).collect()
    }

    fn subscribe(&mut self, to: Connection, count: u64, step: &mut Step) {
        let full = self.subscribers.len() >= SUBSCRIBERS_MAX && !self.subscribers.contains(&to);
        if full {
            let response =
                refuse("too-many-streams", "this watcher has as many subscribers as it can serve".to_owned());
            return step.effects.push(Effect::Answer { to, response: Box::new(response) });
        }
        self.subscribers.insert(to);
        let skip = usize::try_from(count).unwrap_or(usize::MAX);
        for (alarm, trip) in self.alarms.list().iter().skip(skip) {
            let response = Response::Alarm(Box::new(alarm.clone()), trip.clone().map(Box::new));
            step.effects.push(Effect::Answer { to, response: Box::new(response) });
        }
    }

    fn node(&mut self, clock: Clock, network: Network, from: FromNode, step: &mut Step) {
        let Some(followed) = self.networks.get_mut(&network) else { return };
        if !self.whole {
            return followed.held.note(&from);
        }
        let outputs = followed.chain.step(clock, from);
        self.outputs(clock, network, outputs, step);
    }

    fn outputs(&mut self, clock: Clock, network: Network, outputs: Vec<Output>, step: &mut Step) {
        for output in outputs {
            match output {
                Output::Send(message) => step.effects.push(Effect::Node { network, message }),
                Output::Fact(fact) => self.fact(clock, network, fact, step),
            }
        }
    }

    fn fact(&mut self, clock: Clock, network: Network, fact: Fact, step: &mut Step) {
        match fact {
            Fact::Connected { height, block, .. } => self.connected(clock, network, (height, &block), step),
            Fact::Disconnected { hash, .. } => {
                if let Some(followed) = self.networks.get_mut(&network) {
                    followed.coins.disconnect();
                    step.persist.push(Change::Disconnected { network, hash });
                }
            }
            Fact::Seen(tx) => {
                self.judge(clock, network, &tx, Place::Mempool, step);
                if let Some(followed) = self.networks.get_mut(&network) {
                    followed.coins.seen(&tx, owner(self.follower.fold(), network));
                }
            }
            Fact::Stalled { since_ms, why } => self.stalled(clock, network, (since_ms, why), step),
            Fact::CaughtUp { .. } | Fact::Behind | Fact::Resumed { .. } => {}
        }
    }

    fn connected(
        &mut self,
        clock: Clock,
        network: Network,
        (height, block): (Height, &Block),
        step: &mut Step,
    ) {
        let Some(followed) = self.networks.get_mut(&network) else { return };
        let coins = followed.coins.connect(height, block, owner(self.follower.fold(), network));
        let txs = coins.txs.clone();
        step.persist.push(Change::Connected { network, header: block.header, coins });
        for tx in &txs {
            self.judge(clock, network, tx, Place::Block, step);
        }
    }

    fn stalled(&mut self, clock: Clock, network: Network, (since_ms, why): (u64, Stall), step: &mut Step) {
        let silent_ms = clock.monotonic_ms.saturating_sub(since_ms);
        let since = Instant::from_ms(clock.wall.ms().saturating_sub(silent_ms));
        let raise = Raise {
            rule: NODE_STALLED,
            subject: format!("{network} since {}", since.ms()),
            asset: network.asset(),
            detail: format!("{why}: nothing of {network} is seen since {since}"),
            evidence: None,
            trip: false,
        };
        self.raise(clock, raise, step);
    }

    /// Holds a transaction against the log, and raises the alarm if it is theft.
    fn judge(&mut self, clock: Clock, network: Network, tx: &Tx, place: Place, step: &mut Step) {
        let Some(followed) = self.networks.get(&network) else { return };
        let txid = tx.txid();
        if self.explained.has(&txid) || self.alarms.has(UNEXPLAINED_SPEND, &txid.to_string()) {
            return;
        }
        match spends::find(self.follower.fold(), &followed.coins, network, tx, place) {
            Finding::Nothing | Finding::Unsettled => {}
            Finding::Invalid => self.invalid = self.invalid.saturating_add(1),
            Finding::Explained => {
                self.waiting.end(&txid);
                self.explained.add(txid);
            }
            Finding::Theft { .. } if self.waiting.admits(clock.monotonic_ms, network, tx) => {}
            Finding::Theft { vault, why, prevs } => {
                self.waiting.end(&txid);
                self.raise(clock, spends::alarm(network, tx, (&vault, &why, &prevs)), step);
            }
        }
    }

    /// What waits does so at least until the log is there: before, nothing says whether it is explained.
    fn judge_waiting(&mut self, clock: Clock, step: &mut Step) {
        if !self.whole {
            return;
        }
        for (network, tx) in self.waiting.list() {
            self.judge(clock, network, &tx, Place::Waiting, step);
        }
    }

    /// After a restart: a spend in a stored block may have been waiting for the log when the watcher went down.
    fn judge_again(&mut self, clock: Clock, step: &mut Step) {
        if !self.waiting.is_used() {
            return;
        }
        let txs = |(network, followed): (&Network, &Followed)| {
            let txs = followed.coins.history().flat_map(|change| change.txs.iter().cloned());
            txs.map(|tx| (*network, tx)).collect::<Vec<_>>()
        };
        let txs: Vec<(Network, Arc<Tx>)> = self.networks.iter().flat_map(txs).collect();
        for (network, tx) in txs {
            self.judge(clock, network, &tx, Place::Block, step);
        }
    }

    /// Raises an alarm once for its rule and subject, and trips with it where the rule says so.
    fn raise(&mut self, clock: Clock, raise: Raise, step: &mut Step) {
        let Some((alarm, trip)) = self.alarms.raise(clock, &self.me, &self.secret, raise) else { return };
        step.persist.push(Change::Alarm(Box::new((alarm.clone(), trip.clone()))));
        if let Some(trip) = &trip {
            let signers = self.follower.fold().charter().roster().machines(Role::Signer);
            let send = |signer: &MachineId| Effect::Trip { signer: signer.clone(), trip: trip.clone() };
            step.effects.extend(signers.map(|(signer, _)| send(signer)));
        }
        for to in &self.subscribers {
            let response = Response::Alarm(Box::new(alarm.clone()), trip.clone().map(Box::new));
            step.effects.push(Effect::Answer { to: *to, response: Box::new(response) });
        }
    }

    /// This watcher's follower of the log.
    #[must_use]
    pub const fn follower(&self) -> &Follower {
        &self.follower
    }

    /// A network's chain and coins.
    #[must_use]
    pub fn network(&self, network: Network) -> Option<(&Chain, &Coins)> {
        self.networks.get(&network).map(|followed| (&followed.chain, &followed.coins))
    }

    /// Alarms with their trips, in the order in which they were raised.
    #[must_use]
    pub fn alarms(&self) -> &[Raised] {
        self.alarms.list()
    }

    /// Spends that were explained since the start.
    #[must_use]
    pub const fn explained(&self) -> u64 {
        self.explained.count()
    }

    /// Transactions outside blocks that claimed to spend a vault's coin without a valid signature, since the start.
    #[must_use]
    pub const fn invalid(&self) -> u64 {
        self.invalid
    }
}

fn refuse(code: &str, detail: String) -> Response {
    Response::Refused(Refused { code: code.to_owned(), detail })
}
