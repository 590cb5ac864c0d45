//! A writer and a watcher in the test's own process, with three signers as processes of their own.

use std::{
    collections::BTreeMap,
    path::Path,
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use kuraban_base::{Asset, Digest, Instant, MachineId};
use kuraban_chain::btc::{Tx, TxOut, verify_input};
use kuraban_link::{Connection, LinkError};
use kuraban_vault::{
    APPROVE, Payout, REQUEST,
    body::Body,
    coordinator::{Ask, Coordinator, Effect, Event, Reply, Token},
    fold::Status,
    follow::{self, Follower},
    receipt::{Lease, Receipt},
    statement::Signed,
    wire::{LogEntry, Request, Response},
};

use crate::{
    daemon::{Daemon, Home, LONG, ask},
    kit,
};

pub(crate) fn now() -> Instant {
    Instant::from_ms(
        u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap(),
    )
}

/// A payout that is good for an hour, and has been for a minute: witnesses tell the time in whole seconds.
pub(crate) fn payout(id: &str, amount: u64, begun: Instant) -> Payout {
    let not_before = Instant::from_ms(begun.ms() - 60_000);
    Payout { not_before, expiry: begun.plus_ms(3_600_000), ..kit::payout(id, 9, amount) }
}

/// When a signer is killed, counted over the messages that it gets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kill {
    /// Right after the message was sent, whatever it has done with it by then.
    Asked(usize),
    /// Right after it has answered.
    Answered(usize),
}

pub(crate) struct Exchange {
    pub(crate) writer: Coordinator,
    watcher: Follower,
    pub(crate) homes: BTreeMap<MachineId, Home>,
    pub(crate) daemons: BTreeMap<MachineId, Daemon>,
    links: BTreeMap<MachineId, Connection>,
    pub(crate) disk: Vec<LogEntry>,
    pub(crate) checkpoints: BTreeMap<u64, Vec<u8>>,
    pub(crate) sent: Vec<Tx>,
    replies: Vec<Reply>,
    count: u64,
    pub(crate) begun: Instant,
    /// Whom to kill and when, and how many messages it has got.
    pub(crate) kill: Option<(MachineId, Kill)>,
    pub(crate) messages: usize,
}

fn size(disk: &[LogEntry]) -> u64 {
    u64::try_from(disk.len()).unwrap()
}

fn random(count: &mut u64) -> [u8; 32] {
    *count += 1;
    *Digest::sha256(&[b"test", &count.to_be_bytes()]).as_bytes()
}

impl Exchange {
    pub(crate) fn new() -> Self {
        Self::with_kill(None)
    }

    pub(crate) fn with_kill(kill: Option<(MachineId, Kill)>) -> Self {
        let charter = kit::charter();
        let begun = now();
        let mut writer = Coordinator::new(&kit::machine(0), charter.clone(), kit::log_key());
        let mut count = 0;
        writer.open(begun, 3650, &mut || random(&mut count)).unwrap();
        let homes: BTreeMap<_, _> = (1..=3).map(|n| (kit::machine(n), Home::with_store(n))).collect();
        let daemons = homes.iter().map(|(id, home)| (id.clone(), home.start())).collect();
        let mut exchange = Self {
            writer,
            watcher: Follower::new(charter, kit::cosigner(4)),
            homes,
            daemons,
            links: BTreeMap::new(),
            disk: Vec::new(),
            checkpoints: BTreeMap::new(),
            sent: Vec::new(),
            replies: Vec::new(),
            count,
            begun,
            kill,
            messages: 0,
        };
        for number in 1..=4 {
            exchange.join(&kit::machine(number));
        }
        exchange
    }

    /// Connects the writer to a machine.
    pub(crate) fn join(&mut self, id: &MachineId) {
        if let Some(daemon) = self.daemons.get(id) {
            self.links.insert(id.clone(), daemon.link(0).unwrap());
        }
        self.happen(Event::Joined(id.clone()));
    }

    /// Kills a signer at once and starts it again on its store.
    pub(crate) fn restart(&mut self, id: &MachineId) {
        self.restart_after(id, |_| {});
    }

    /// As [`restart`](Self::restart), with something done to its store between.
    pub(crate) fn restart_after(&mut self, id: &MachineId, change: impl FnOnce(&Path)) {
        self.links.remove(id);
        self.daemons.get_mut(id).unwrap().kill();
        self.happen(Event::Lost(id.clone()));
        change(&self.homes[id].path("signer.redb"));
        let daemon = self.homes[id].start();
        self.daemons.insert(id.clone(), daemon);
        self.join(id);
    }

    /// One event, and everything that follows from it.
    pub(crate) fn happen(&mut self, event: Event) {
        let mut events = vec![event];
        while !events.is_empty() {
            for event in events.drain(..) {
                self.writer.step(now(), event, &mut || random(&mut self.count));
            }
            for effect in self.writer.flush(now(), &mut || random(&mut self.count)) {
                events.extend(self.execute(effect));
            }
        }
    }

    fn execute(&mut self, effect: Effect) -> Option<Event> {
        match effect {
            Effect::Persist { from, entries, checkpoint } => {
                assert_eq!(from, size(&self.disk));
                self.disk.extend(entries);
                self.checkpoints.insert(size(&self.disk), checkpoint);
                None
            }
            Effect::Publish { .. } => None,
            Effect::Reply(_, reply) => {
                self.replies.push(reply);
                None
            }
            Effect::Broadcast(network, bytes) => {
                self.sent.push(Tx::decode(network, &bytes).unwrap());
                None
            }
            Effect::Send(id, request) => Some(self.ask(id, &request)),
            Effect::SendEntries { to, from, until } => Some(self.ask(to, &self.extend(from, until))),
        }
    }

    /// The request that hands over entries.
    pub(crate) fn extend(&self, from: u64, until: u64) -> Request {
        let place = |index: u64| usize::try_from(index).unwrap();
        let entries = self.disk[place(from)..place(until)].to_vec();
        Request::Extend { from, entries, checkpoint: self.checkpoints[&until].clone(), newest: until }
    }

    fn ask(&mut self, id: MachineId, request: &Request) -> Event {
        if id == kit::machine(4) {
            let answer = self.watch(request);
            return Event::Answer(id, Box::new(answer));
        }
        let Some(link) = self.links.get_mut(&id) else { return Event::Lost(id) };
        let kill = self.kill.as_ref().filter(|(whom, _)| *whom == id).map(|(_, kill)| *kill);
        if kill.is_some() {
            self.messages += 1;
        }
        let answer = if kill == Some(Kill::Asked(self.messages)) {
            link.send(&request.encode()).unwrap();
            self.daemons.get_mut(&id).unwrap().kill();
            Err(LinkError::Closed { peer: link.addr() })
        } else {
            ask(link, request)
        };
        if kill == Some(Kill::Answered(self.messages)) {
            self.daemons.get_mut(&id).unwrap().kill();
        }
        match answer {
            Ok(answer) => Event::Answer(id, Box::new(answer)),
            Err(_) => {
                self.links.remove(&id);
                Event::Lost(id)
            }
        }
    }

    fn watch(&mut self, request: &Request) -> Response {
        match request {
            Request::Status => Response::Status { size: self.watcher.fold().size(), epoch: 0 },
            Request::Extend { from, entries, checkpoint, newest: _ } => {
                let followed = self.watcher.extend(*from, entries, checkpoint, now()).unwrap();
                Response::Cosigned { size: followed.head.size, line: followed.line, challenge: [0; 32] }
            }
            Request::Lease { challenges } => {
                let head = self.watcher.head();
                let lease = Lease {
                    by: kit::machine(4),
                    challenges: challenges.clone(),
                    assets: [Asset::Btc].into(),
                    epoch: self.watcher.fold().breaker().epoch(),
                    size: head.size,
                    root: head.root,
                    at: now(),
                };
                Response::Lease(Box::new(Signed::sign(lease, &kit::statement(4))))
            }
            Request::Sign { .. }
            | Request::Release { .. }
            | Request::Trip(_)
            | Request::Permits { .. }
            | Request::Alarms { .. } => panic!("a watcher is not asked {request:?}"),
        }
    }

    /// A payout with its request and two approvals; what it spends, if it gets that far.
    pub(crate) fn pay(&mut self, id: &str, index: u32) -> TxOut {
        let funding = kit::funding(index, 300_000_000);
        self.happen(Event::Coin(kit::hot(), kit::coin(&funding)));
        let payout = payout(id, 100_000_000, self.begun);
        let digest = payout.digest(&kit::charter().context());
        let request = kit::sign(&kit::person(1), REQUEST, digest.as_bytes());
        let key = format!("key-{id}");
        self.happen(Event::Ask(Token(0), Ask::Request { payout, request, key }));
        for person in [2, 3] {
            let approval = kit::sign(&kit::person(person), APPROVE, digest.as_bytes());
            self.happen(Event::Ask(Token(0), Ask::Approve { payout: id.parse().unwrap(), approval }));
        }
        let logged = |reply: &Reply| matches!(reply, Reply::Logged { .. });
        assert!(self.replies.iter().all(logged), "{:?}", self.replies);
        funding.outputs[0].clone()
    }

    pub(crate) fn status(&self, id: &str) -> Status {
        self.writer.fold().payout(&id.parse().unwrap()).unwrap().status
    }

    /// Lets time pass until a payout has been broadcast.
    pub(crate) fn settle(&mut self, id: &str) {
        self.tick_until(id, |exchange| exchange.status(id) == Status::Broadcast);
    }

    /// Lets time pass until something holds.
    pub(crate) fn tick_until(&mut self, what: &str, holds: impl Fn(&Self) -> bool) {
        let begun = std::time::Instant::now();
        while !holds(self) {
            assert!(begun.elapsed() < LONG, "{what}");
            thread::park_timeout(Duration::from_millis(20));
            self.happen(Event::Tick);
        }
    }

    /// The transaction that was sent last, which spends `spent` with two good signatures.
    pub(crate) fn last_sent(&self, spent: TxOut) -> &Tx {
        let tx = self.sent.last().unwrap();
        assert_eq!(verify_input(tx, 0, &[spent]).unwrap().signers().len(), 2);
        tx
    }

    /// All receipts in the log, in its order.
    pub(crate) fn receipts(&self) -> Vec<Receipt> {
        let receipt = |logged: &LogEntry| {
            let (_, _, body) = follow::open(logged).unwrap();
            if let Body::PayoutReceipt(receipt) = body {
                Some(receipt.claim_unverified().clone())
            } else {
                None
            }
        };
        self.disk.iter().filter_map(receipt).collect()
    }
}
