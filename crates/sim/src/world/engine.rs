//! The world's clock, its queue of what happens next, the network between its machines, and their crashes.

use std::collections::BTreeMap;

use kuraban_base::Instant;
use kuraban_vault::{
    Role,
    breaker::Trip,
    coordinator::Event,
    signer::Clock,
    statement::Signed,
    wire::{Request, Response},
};
use kuraban_watch::chain::FromNode;

use crate::chain::Accepted;

use super::{
    Flaw, Mode, Outcome, Rule, Scenario, Violation,
    night::Night,
    node::Node,
    oracle::Oracle,
    people::People,
    random::Random,
    realm::{Machine, START},
    signers::SignerSide,
    thief::Thief,
    watcher::WatcherSide,
    writer::WriterSide,
};

/// When faults stop, at the latest.
const FAULTS_MS: u64 = 120_000;
/// How long a hostile writer goes on; every one of its turns costs signatures.
const FOUL_MS: u64 = 70_000;
/// How long after that everything must have come to its end.
const HEALED_MS: u64 = 900_000;
/// How long an answer may take before a connection counts as lost.
const ANSWER_MS_MAX: u64 = 10_000;

/// Something that happens at its time.
pub(super) enum What {
    /// A request of the writer arrives.
    Request {
        to: Machine,
        epoch: u32,
        request: Box<Request>,
    },
    /// Its answer arrives.
    Answer {
        from: Machine,
        epoch: u32,
        response: Box<Response>,
    },
    /// An answer is overdue.
    Overdue {
        from: Machine,
        asked: u64,
    },
    /// A connection is tried.
    Join(Machine),
    /// A crashed machine starts again.
    Start(Machine),
    /// The writer closes a group.
    Flush,
    Tick(Machine),
    /// A person's wish reaches the writer, or is repeated.
    Ask(usize),
    /// The writer's answer reaches the person.
    Told(usize),
    Block,
    /// The writer looks at the chain.
    See,
    /// A transaction arrives at the node.
    Submit(Vec<u8>),
    /// The watcher's trip arrives at a signer.
    Trip(u8, Box<Signed<Trip>>),
    /// The watcher's connection to a signer stands again.
    Greet(u8),
    /// The watcher's alarm arrives at the writer.
    Alarm(Box<Response>),
    /// The watcher's connection to its node stands; the number names it.
    JoinNode,
    /// The node's message arrives at the watcher.
    Node(u64, Box<FromNode>),
    /// A foe takes his turn.
    Foe,
    /// The watcher's store is lost.
    Anew,
    /// A signer's disk is set back.
    SetBack(u8),
    /// Faults stop.
    Heal,
}

/// How bad the network and the machines are. "One in" so many; 0 is never.
#[derive(Clone, Copy, Debug)]
pub(super) struct Faults {
    loss: u64,
    crash: u64,
    delay_ms_max: u64,
    pub(super) reorg: u64,
    repeat: u64,
}

impl Faults {
    const NONE: Self = Self { loss: 0, crash: 0, delay_ms_max: 20, reorg: 0, repeat: 0 };
}

/// The connection from the writer to a peer.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Link {
    pub(super) up: bool,
    epoch: u32,
    joining: bool,
    /// Requests sent, and the one without an answer.
    asked: u64,
    waits: bool,
}

/// Everything there is.
pub(super) struct World {
    pub(super) scenario: Scenario,
    pub(super) now_ms: u64,
    pub(super) random: Random,
    pub(super) faults: Faults,
    pub(super) queue: BTreeMap<(u64, u64), What>,
    queued: u64,
    pub(super) links: BTreeMap<Machine, Link>,
    pub(super) writer: WriterSide,
    pub(super) signers: BTreeMap<u8, SignerSide>,
    pub(super) watcher: WatcherSide,
    pub(super) node: Node,
    pub(super) people: People,
    pub(super) thief: Thief,
    pub(super) oracle: Oracle,
    pub(super) outcome: Outcome,
    skews_ms: BTreeMap<Machine, u64>,
    pub(super) healed: bool,
    deadline_ms: u64,
    pub(super) night: Option<Night>,
}

impl World {
    pub(super) fn new(scenario: Scenario) -> Self {
        let mode = Mode::ALL.iter().position(|mode| *mode == scenario.mode).unwrap_or_default();
        let salt = u64::try_from(mode).unwrap_or_default();
        let mut random = Random::new(scenario.seed.wrapping_mul(31).wrapping_add(salt));
        let faults = faults(scenario.mode, &mut random);
        let people = People::new(scenario.mode, &mut random);
        let traitor = match scenario.mode {
            Mode::Traitor | Mode::RogueAndTraitor => random.pick(&super::realm::SIGNERS).copied(),
            Mode::Hoarder if random.one_in(2) => random.pick(&super::realm::SIGNERS).copied(),
            Mode::Calm
            | Mode::Faults
            | Mode::Rogue
            | Mode::Thief
            | Mode::Anew
            | Mode::AnewThief
            | Mode::Hoarder
            | Mode::Outage
            | Mode::Rollback => None,
        };
        // Under a hostile writer the network may be hostile too.
        let cut = if scenario.mode.rogue() { random.pick(&[1, 2, 3, 9]).copied() } else { None };
        let skew_max = if scenario.mode == Mode::Calm { 0 } else { 9000 };
        let machines = || Machine::PEERS.into_iter().chain([Machine::Writer]);
        let skews_ms = machines().map(|machine| (machine, random.within(0, skew_max))).collect();
        let oracle = Oracle::new(scenario.mode, &people, traitor);
        let night = Night::of(scenario.mode, &mut random);
        Self {
            scenario,
            now_ms: 0,
            faults,
            queue: BTreeMap::new(),
            queued: 0,
            links: Machine::PEERS.into_iter().map(|peer| (peer, Link::default())).collect(),
            writer: WriterSide::new(scenario, traitor, &mut random),
            signers: super::realm::SIGNERS.into_iter().map(|n| (n, SignerSide::new(n, traitor))).collect(),
            watcher: WatcherSide::new(cut),
            node: Node::new(scenario.mode),
            thief: Thief::new(scenario.mode, &mut random),
            people,
            oracle,
            outcome: Outcome::default(),
            skews_ms,
            healed: false,
            deadline_ms: 0,
            night,
            random,
        }
    }

    /// Runs until all is done, a rule is broken, or time is up.
    pub(super) fn live(mut self) -> Outcome {
        self.start();
        while self.outcome.violation.is_none() {
            let Some(((at_ms, _), what)) = self.queue.pop_first() else { break };
            self.now_ms = at_ms;
            self.happen(what);
            self.sleep();
            self.check();
            if self.healed && (self.settled() || self.now_ms > self.deadline_ms) {
                self.finish();
                break;
            }
        }
        self.outcome.end_ms = self.now_ms;
        self.outcome.violation = self.oracle.first();
        self.outcome
    }

    fn start(&mut self) {
        self.open_log();
        self.start_watcher();
        for peer in Machine::PEERS {
            self.join_later(peer, 10);
        }
        for machine in [Machine::Writer, Machine::Watcher] {
            self.after(50, What::Tick(machine));
        }
        self.after(5, What::See);
        for (index, at_ms) in self.people.times() {
            self.at(at_ms, What::Ask(index));
        }
        let gap = self.random.within(8000, 25_000);
        self.after(gap, What::Block);
        self.after(100, What::Foe);
        if self.scenario.mode == Mode::Rollback {
            let number = self.random.pick(&super::realm::SIGNERS).copied().unwrap_or(1);
            self.set_back_later(number);
        }
        if self.scenario.mode.anew() {
            let at_ms = self.random.within(5000, 90_000);
            self.at(at_ms, What::Anew);
        }
        let rogue = self.scenario.mode.rogue();
        let faulty_ms = if rogue { FOUL_MS } else { self.random.within(FAULTS_MS / 2, FAULTS_MS) };
        self.after(if self.scenario.mode == Mode::Calm { 1 } else { faulty_ms }, What::Heal);
    }

    fn happen(&mut self, what: What) {
        match what {
            What::Request { to, epoch, request } => self.request_arrives(to, epoch, *request),
            What::Answer { from, epoch, response } => self.answer_arrives(from, epoch, *response),
            What::Overdue { from, asked } => {
                if self.links.get(&from).is_some_and(|link| link.waits && link.asked == asked) {
                    self.say(|| format!("{} does not answer", from.id()));
                    self.lose(from);
                }
            }
            What::Join(peer) => self.join(peer),
            What::Start(machine) => self.restart(machine),
            What::Flush => self.flush(),
            What::Tick(machine) => self.tick(machine),
            What::Ask(index) => self.ask(index),
            What::Told(index) => self.people.told(index),
            What::Block => self.block(),
            What::See => self.writer_looks(),
            What::Submit(bytes) => self.submit(&bytes),
            What::Trip(signer, trip) => self.trip_arrives(signer, *trip),
            What::Greet(signer) => self.greet(signer),
            What::Alarm(response) => self.alarm_arrives(*response),
            What::JoinNode => self.join_node(),
            What::Node(number, from) => self.node_message(number, *from),
            What::Foe => self.foe(),
            What::Anew => self.lose_watchers_store(),
            What::SetBack(number) => self.set_back(number),
            What::Heal => self.heal(),
        }
    }

    fn heal(&mut self) {
        self.say(|| "faults stop".to_owned());
        self.faults = Faults::NONE;
        self.healed = true;
        self.deadline_ms = self.now_ms.saturating_add(HEALED_MS);
    }

    fn foe(&mut self) {
        self.rogue_turn();
        self.thief_turn();
        if self.scenario.mode.rogue() || self.scenario.mode.thief() {
            let pause = self.random.within(100, 400);
            self.after(pause, What::Foe);
        }
    }

    pub(super) fn at(&mut self, at_ms: u64, what: What) {
        self.queue.insert((at_ms, self.queued), what);
        self.queued = self.queued.saturating_add(1);
    }

    pub(super) fn after(&mut self, ms: u64, what: What) {
        self.at(self.now_ms.saturating_add(ms), what);
    }

    /// After the time that a message takes.
    pub(super) fn send(&mut self, what: What) {
        let delay = self.random.within(1, self.faults.delay_ms_max);
        self.after(delay, what);
    }

    /// Whether a message is lost.
    pub(super) fn lost(&mut self) -> bool {
        self.random.one_in(self.faults.loss)
    }

    /// Whether a machine crashes now.
    pub(super) fn crashes(&mut self) -> bool {
        self.random.one_in(self.faults.crash)
    }

    pub(super) fn has(&self, flaw: Flaw) -> bool {
        self.scenario.flaw == Some(flaw)
    }

    pub(super) fn say(&mut self, line: impl FnOnce() -> String) {
        if self.scenario.trace {
            self.outcome.trace.push(format!("{:>7} {}", self.now_ms, line()));
        }
    }

    pub(super) fn count(&mut self, what: impl Into<String>) {
        let count = self.outcome.counts.entry(what.into()).or_default();
        *count = count.saturating_add(1);
    }

    pub(super) fn violate(&mut self, rule: Rule, detail: String) {
        self.say(|| format!("VIOLATION {rule:?}: {detail}"));
        self.oracle.violate(Violation { rule, detail, at_ms: self.now_ms });
    }

    pub(super) fn wall(&self, machine: Machine) -> Instant {
        let skew = self.skews_ms.get(&machine).copied().unwrap_or_default();
        START.plus_ms(self.now_ms.saturating_add(skew))
    }

    pub(super) fn clock(&self, machine: Machine) -> Clock {
        Clock { wall: self.wall(machine), monotonic_ms: self.now_ms.saturating_add(1000) }
    }

    /// Whether a machine runs.
    pub(super) fn runs(&self, machine: Machine) -> bool {
        match machine {
            Machine::Writer => self.writer.runs(),
            Machine::Signer(number) => self.signers.get(&number).is_some_and(SignerSide::runs),
            Machine::Watcher => self.watcher.runs(),
        }
    }

    // The network.

    /// Sends the writer's request. Where there is no connection it is lost; the writer was told, or will be.
    pub(super) fn request(&mut self, to: Machine, request: Request) {
        self.say(|| format!("  writer → {}: {}", to.id(), brief(&request)));
        let Some(link) = self.links.get_mut(&to).filter(|link| link.up) else { return };
        link.asked = link.asked.saturating_add(1);
        link.waits = true;
        let (epoch, asked) = (link.epoch, link.asked);
        self.after(ANSWER_MS_MAX, What::Overdue { from: to, asked });
        if self.lost() {
            return self.lose(to);
        }
        if self.random.one_in(self.faults.repeat) {
            // An old connection's bytes may still arrive; its answer goes nowhere.
            self.send(What::Request { to, epoch: u32::MAX, request: Box::new(request.clone()) });
        }
        self.send(What::Request { to, epoch, request: Box::new(request) });
    }

    fn request_arrives(&mut self, to: Machine, epoch: u32, request: Request) {
        // What goes over the wire is bytes.
        let Ok(request) = Request::decode(&request.encode()) else { return };
        let response = match to {
            Machine::Writer => None,
            Machine::Signer(number) => self.signer_request(number, Role::Writer, request),
            Machine::Watcher => self.watcher_request(request),
        };
        let Some(response) = response else { return };
        if self.links.get(&to).is_none_or(|link| !link.up || link.epoch != epoch) {
            return;
        }
        if self.lost() {
            return self.lose(to);
        }
        self.send(What::Answer { from: to, epoch, response: Box::new(response) });
    }

    fn answer_arrives(&mut self, from: Machine, epoch: u32, response: Response) {
        let Some(link) = self.links.get_mut(&from).filter(|link| link.up && link.epoch == epoch) else {
            return;
        };
        link.waits = false;
        self.say(|| format!("  {} → writer: {}", from.id(), brief(&response)));
        let Ok(response) = Response::decode(&response.encode()) else { return };
        self.writer_event(Event::Answer(from.id(), Box::new(response)));
    }

    /// A connection breaks; what was under way on it has no answer.
    pub(super) fn lose(&mut self, peer: Machine) {
        let Some(link) = self.links.get_mut(&peer) else { return };
        let was_up = core::mem::replace(&mut link.up, false);
        link.epoch = link.epoch.saturating_add(1);
        link.waits = false;
        if was_up {
            self.say(|| format!("connection to {} is lost", peer.id()));
            self.writer_event(Event::Lost(peer.id()));
        }
        let pause = self.random.within(100, 3000);
        self.join_later(peer, pause);
    }

    fn join_later(&mut self, peer: Machine, ms: u64) {
        if self.has(Flaw::NoReconnect) && self.now_ms > 0 {
            return;
        }
        if let Some(link) = self.links.get_mut(&peer).filter(|link| !link.joining) {
            link.joining = true;
            self.after(ms, What::Join(peer));
        }
    }

    fn join(&mut self, peer: Machine) {
        let stands = self.runs(peer) && self.runs(Machine::Writer);
        let Some(link) = self.links.get_mut(&peer) else { return };
        link.joining = false;
        if link.up {
            return;
        }
        if !stands {
            return self.join_later(peer, 500);
        }
        link.up = true;
        link.epoch = link.epoch.saturating_add(1);
        self.writer_event(Event::Joined(peer.id()));
        if peer == Machine::Watcher {
            self.subscribe();
        }
    }

    // Crashes.

    /// A machine loses everything that is not on its disk, and starts again later.
    pub(super) fn crash(&mut self, machine: Machine) {
        self.say(|| format!("{} crashes", machine.id()));
        self.count("crashes");
        match machine {
            Machine::Writer => {
                let forgets = self.has(Flaw::WriterForgets);
                self.writer.crash(forgets);
                for peer in Machine::PEERS {
                    self.lose(peer);
                }
            }
            Machine::Signer(number) => {
                if let Some(side) = self.signers.get_mut(&number) {
                    side.crash();
                }
                self.lose(machine);
            }
            Machine::Watcher => {
                self.watcher.crash();
                self.lose(machine);
            }
        }
        let pause = self.random.within(200, 8000);
        self.after(pause, What::Start(machine));
    }

    fn restart(&mut self, machine: Machine) {
        self.say(|| format!("{} starts again", machine.id()));
        match machine {
            Machine::Writer => self.restart_writer(),
            Machine::Signer(number) => self.restart_signer(number),
            Machine::Watcher => self.start_watcher(),
        }
    }

    fn tick(&mut self, machine: Machine) {
        match machine {
            Machine::Writer => self.writer_event(Event::Tick),
            Machine::Watcher => self.watcher_tick(),
            Machine::Signer(_) => {}
        }
        self.after(if self.healed { 1000 } else { 500 }, What::Tick(machine));
    }

    // The chain.

    fn block(&mut self) {
        let empty = self.random.one_in(6);
        if self.random.one_in(self.faults.reorg) {
            let depth =
                u32::try_from(self.random.within(1, u64::from(super::realm::DEPTH_MIN - 1))).unwrap_or(1);
            self.say(|| format!("the last {depth} blocks are reorganised"));
            self.count("reorganisations");
            self.node.reorganise(self.now_ms, depth, empty);
        } else {
            self.node.mine(self.now_ms, empty);
        }
        let (tip, _) = self.node.chain.tip();
        self.say(|| format!("block {tip}"));
        self.chain_changed();
        let gap = self.random.within(8000, 25_000);
        self.after(gap, What::Block);
    }

    fn submit(&mut self, bytes: &[u8]) {
        match self.node.submit(bytes) {
            Ok(Accepted { txid, replaced }) => {
                self.say(|| format!("the mempool takes {txid} for {replaced:?}"));
                self.chain_changed();
            }
            Err(problem) => self.say(|| format!("the mempool refuses: {problem}")),
        }
    }

    pub(super) fn chain_changed(&mut self) {
        self.look_at_chain();
        self.send(What::See);
        self.announce();
    }
}

/// The beginning of a message's words.
fn brief(message: &impl core::fmt::Debug) -> String {
    format!("{message:?}").chars().take(90).collect()
}

fn faults(mode: Mode, random: &mut Random) -> Faults {
    if !mode.faults() {
        let delay_ms_max = if mode == Mode::Calm { 20 } else { 60 };
        let loss = if mode == Mode::Calm { 0 } else { 200 };
        return Faults { loss, delay_ms_max, ..Faults::NONE };
    }
    let rate = |random: &mut Random, low, high| if random.one_in(4) { 0 } else { random.within(low, high) };
    Faults {
        loss: rate(random, 8, 80),
        crash: rate(random, 20, 300),
        delay_ms_max: random.within(5, 400),
        reorg: rate(random, 2, 5),
        repeat: rate(random, 10, 30),
    }
}
