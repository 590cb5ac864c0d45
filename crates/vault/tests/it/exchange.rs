//! Writer, three signers and a watcher, message by message: everything that they say to each other is delivered in order, and
//! whoever shall not answer does not.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use kuraban_base::{Asset, Digest, Instant, MachineId};
use kuraban_chain::btc::{Tx, TxOut};
use kuraban_vault::{
    APPROVE, Charter, Payout, REQUEST, Role,
    coordinator::{Ask, Coordinator, Effect, Event, Reply, Token},
    fold::Status,
    follow::Follower,
    receipt::Lease,
    signer::{Change, Clock, Signer},
    statement::Signed,
    wire::{LogEntry, Refused, Request, Response},
};

use crate::kit;

/// What a link carries at once.
const FRAME_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Writer, three signers, and a watcher that follows and leases; everything delivered in order.
pub(crate) struct Exchange {
    pub(crate) writer: Coordinator,
    pub(crate) signers: BTreeMap<MachineId, Signer>,
    pub(crate) watcher: Follower,
    pub(crate) disk: Vec<LogEntry>,
    pub(crate) checkpoints: BTreeMap<u64, Vec<u8>>,
    pub(crate) sent: Vec<Tx>,
    pub(crate) replies: BTreeMap<Token, Reply>,
    pub(crate) count: u64,
    pub(crate) now: Instant,
    /// How far the signers' clocks are behind.
    pub(crate) behind_ms: u64,
    /// A signer who co-signs and says nothing useful beside.
    pub(crate) mute: Option<MachineId>,
    /// The watcher refuses leases until it has so many entries.
    pub(crate) leases_from: u64,
    pub(crate) charter: Arc<Charter>,
    /// The assets whose chains the watcher sees.
    pub(crate) seen: BTreeSet<Asset>,
    /// How often it was asked for a lease.
    pub(crate) leases_asked: u32,
    /// Signers' connections break before their signatures arrive.
    pub(crate) breaks: bool,
    /// Signers who refuse to give receipts, with this code.
    pub(crate) refuses: BTreeMap<MachineId, &'static str>,
    /// Signers who refuse to release signatures, with this code.
    pub(crate) withholds: BTreeMap<MachineId, &'static str>,
    /// What becomes of a machine's answers on their way.
    pub(crate) tampers: BTreeMap<MachineId, fn(&mut Response)>,
    /// Whose receipts a machine gives for its own.
    pub(crate) lends: BTreeMap<MachineId, MachineId>,
    /// An event that comes together with a machine's next cosignature.
    pub(crate) beside: Option<(MachineId, Event)>,
    /// The sizes of the checkpoints that were published.
    pub(crate) published: Vec<u64>,
    /// Machines that take what they are asked and never answer.
    pub(crate) held: BTreeSet<MachineId>,
    /// Whatever machines were asked: how long after the start, who, and what.
    pub(crate) asked: Vec<(u64, MachineId, Request)>,
}

fn random(count: &mut u64) -> [u8; 32] {
    *count += 1;
    *Digest::sha256(&[&count.to_be_bytes()]).as_bytes()
}

impl Exchange {
    pub(crate) fn new() -> Self {
        Self::under(kit::charter())
    }

    pub(crate) fn under(charter: Arc<Charter>) -> Self {
        Self::behind(charter, 0)
    }

    /// With signers whose clocks are behind.
    pub(crate) fn behind(charter: Arc<Charter>, behind_ms: u64) -> Self {
        let mut writer = Coordinator::new(&kit::machine(0), charter.clone(), kit::log_key());
        let mut count = 0;
        writer.open(kit::NOW, 3650, &mut || random(&mut count)).unwrap();
        let signers = (1..=3).map(|n| (kit::machine(n), kit::signer(n, &charter))).collect();
        let watcher = Follower::new(charter.clone(), kit::cosigner(4));
        let mut exchange = Self {
            writer,
            signers,
            watcher,
            disk: Vec::new(),
            checkpoints: BTreeMap::new(),
            sent: Vec::new(),
            replies: BTreeMap::new(),
            count,
            now: kit::NOW,
            behind_ms,
            mute: None,
            leases_from: 0,
            charter,
            seen: Asset::ALL.into(),
            leases_asked: 0,
            breaks: false,
            refuses: BTreeMap::new(),
            withholds: BTreeMap::new(),
            tampers: BTreeMap::new(),
            lends: BTreeMap::new(),
            beside: None,
            published: Vec::new(),
            held: BTreeSet::new(),
            asked: Vec::new(),
        };
        exchange.join();
        exchange
    }

    pub(crate) fn size(&self) -> u64 {
        u64::try_from(self.disk.len()).unwrap()
    }

    /// One event, and everything that follows from it.
    pub(crate) fn happen(&mut self, event: Event) {
        let mut events = vec![event];
        for _ in 0..1000 {
            if events.is_empty() {
                break;
            }
            for event in events.drain(..) {
                self.writer.step(self.now, event, &mut || random(&mut self.count));
            }
            let effects = self.writer.flush(self.now, &mut || random(&mut self.count));
            for effect in effects {
                events.extend(self.execute(effect));
            }
            let cosigns = |id: &MachineId, event: &Event| {
                matches!(event, Event::Answer(by, response)
                    if by == id && matches!(**response, Response::Cosigned { .. }))
            };
            let comes = |(id, _): &mut (MachineId, Event)| events.iter().any(|event| cosigns(id, event));
            let beside = self.beside.take_if(comes);
            events.extend(beside.map(|(_, event)| event));
        }
        assert!(events.is_empty(), "the machines never come to rest");
    }

    pub(crate) fn execute(&mut self, effect: Effect) -> Option<Event> {
        match effect {
            Effect::Persist { from, entries, checkpoint } => {
                assert_eq!(from, self.size());
                self.disk.extend(entries);
                self.checkpoints.insert(self.size(), checkpoint);
                None
            }
            Effect::Publish { size, .. } => {
                self.published.push(size);
                None
            }
            Effect::Reply(token, reply) => {
                self.replies.insert(token, reply);
                None
            }
            Effect::Broadcast(network, bytes) => {
                self.sent.push(Tx::decode(network, &bytes).unwrap());
                None
            }
            Effect::Send(id, request) => self.ask(id, *request),
            Effect::SendEntries { to, from, until } => {
                let place = |size| usize::try_from(size).unwrap();
                let entries = self.disk[place(from)..place(until)].to_vec();
                let checkpoint = self.checkpoints[&until].clone();
                self.ask(to, Request::Extend { from, entries, checkpoint, newest: until })
            }
        }
    }

    pub(crate) fn ask(&mut self, id: MachineId, request: Request) -> Option<Event> {
        // What goes over the wire is bytes.
        let bytes = request.encode();
        assert!(bytes.len() <= FRAME_BYTES_MAX, "{id} is sent {} bytes at once", bytes.len());
        let request = Request::decode(&bytes).unwrap();
        self.asked.push((self.now.ms_since(kit::NOW), id.clone(), request.clone()));
        if self.held.contains(&id) {
            return None;
        }
        let fresh = random(&mut self.count);
        let wall = Instant::from_ms(self.now.ms() - self.behind_ms);
        let clock = Clock { wall, monotonic_ms: self.now.ms() };
        let asks = matches!(request, Request::Sign { .. } | Request::Release { .. });
        if asks && self.mute.as_ref() == Some(&id) {
            return Some(Event::Answer(id, Box::new(Response::Status { size: 0, epoch: 0 })));
        }
        let refused = |code: &str| vec![Refused { code: code.to_owned(), detail: String::new() }];
        if let (Request::Sign { items, .. }, Some(code)) = (&request, self.refuses.get(&id)) {
            let answers = items.iter().map(|_| Err(refused(code))).collect();
            return Some(Event::Answer(id, Box::new(Response::Receipts(answers))));
        }
        if let (Request::Release { items, .. }, Some(code)) = (&request, self.withholds.get(&id)) {
            let answers = items.iter().map(|_| Err(refused(code))).collect();
            return Some(Event::Answer(id, Box::new(Response::Signatures(answers))));
        }
        let releases = matches!(request, Request::Release { .. });
        let lent = self.lends.get(&id).filter(|_| matches!(request, Request::Sign { .. }));
        let mut response = match self.signers.get_mut(lent.unwrap_or(&id)) {
            Some(signer) => signer.step(clock, Role::Writer, fresh, request).answer,
            None => self.watch(request),
        };
        if releases && self.breaks {
            return Some(Event::Lost(id));
        }
        if let Some(tamper) = self.tampers.get(&id) {
            tamper(&mut response);
        }
        Some(Event::Answer(id, Box::new(Response::decode(&response.encode()).unwrap())))
    }

    pub(crate) fn watch(&mut self, request: Request) -> Response {
        match request {
            Request::Status => Response::Status { size: self.watcher.fold().size(), epoch: 0 },
            Request::Extend { from, entries, checkpoint, newest: _ } => {
                let followed = self.watcher.extend(from, &entries, &checkpoint, self.now).unwrap();
                Response::Cosigned { size: followed.head.size, line: followed.line, challenge: [0; 32] }
            }
            Request::Lease { .. } if self.watcher.head().size < self.leases_from => {
                Response::Refused(Refused { code: "trip-not-logged".to_owned(), detail: String::new() })
            }
            Request::Lease { challenges } => {
                self.leases_asked += 1;
                let head = self.watcher.head();
                let lease = Lease {
                    by: kit::machine(4),
                    challenges,
                    assets: self.seen.clone(),
                    epoch: self.watcher.fold().breaker().epoch(),
                    size: head.size,
                    root: head.root,
                    at: self.now,
                };
                Response::Lease(Box::new(Signed::sign(lease, &kit::statement(4))))
            }
            Request::Sign { .. }
            | Request::Release { .. }
            | Request::Trip(_)
            | Request::Permits { .. }
            | Request::Alarms { .. } => panic!("a watcher is not asked this here"),
        }
    }

    pub(crate) fn request(&mut self, id: &str, to: u8, amount: u64) -> Reply {
        self.request_payout(id, kit::payout(id, to, amount))
    }

    pub(crate) fn request_payout(&mut self, id: &str, payout: Payout) -> Reply {
        let digest = payout.digest(&self.charter.context());
        let request = kit::sign(&kit::person(1), REQUEST, digest.as_bytes());
        let token = Token(self.count);
        self.happen(Event::Ask(token, Ask::Request { payout, request, key: format!("key-{id}") }));
        self.replies.remove(&token).unwrap()
    }

    pub(crate) fn approve(&mut self, id: &str, to: u8, amount: u64, person: u8) -> Reply {
        self.approve_payout(id, &kit::payout(id, to, amount), person)
    }

    pub(crate) fn approve_payout(&mut self, id: &str, payout: &Payout, person: u8) -> Reply {
        let digest = payout.digest(&self.charter.context());
        let approval = kit::sign(&kit::person(person), APPROVE, digest.as_bytes());
        let token = Token(self.count);
        self.happen(Event::Ask(token, Ask::Approve { payout: id.parse().unwrap(), approval }));
        self.replies.remove(&token).unwrap()
    }

    pub(crate) fn fund(&mut self, index: u32, value_sat: u64) -> TxOut {
        let funding = kit::funding(index, value_sat);
        self.happen(Event::Coin(kit::hot(), kit::coin(&funding)));
        funding.outputs[0].clone()
    }

    /// Time passes, in the steps in which a driver tells it.
    pub(crate) fn pass(&mut self, ms: u64) {
        for _ in 0..ms / 100 {
            self.now = self.now.plus_ms(100);
            self.happen(Event::Tick);
        }
    }

    pub(crate) fn status(&self, id: &str) -> Status {
        self.writer.fold().payout(&id.parse().unwrap()).unwrap().status
    }

    /// The writer is killed and goes on from its disk.
    pub(crate) fn restart(&mut self) {
        let mut writer = Coordinator::new(&kit::machine(0), self.charter.clone(), kit::log_key());
        writer.restore(&self.disk).unwrap();
        writer.resume();
        self.writer = writer;
        self.join();
    }

    /// Every signer is killed and starts again; their disks are as they were.
    pub(crate) fn restart_signers(&mut self) {
        let charter = kit::charter();
        let last = *self.checkpoints.keys().next_back().unwrap();
        for (number, signer) in (1..=3).zip(self.signers.values_mut()) {
            assert_eq!((signer.seq(), signer.follower().head().size), (0, last));
            *signer = kit::signer(number, &charter);
            signer.restore(Change::Entries { from: 0, entries: self.disk.clone() }).unwrap();
        }
        self.join();
    }

    /// Every signer is killed and starts again with a disk that is empty.
    pub(crate) fn lose_disks(&mut self) {
        let charter = kit::charter();
        for (number, signer) in (1..=3).zip(self.signers.values_mut()) {
            *signer = kit::signer(number, &charter);
        }
        self.join();
    }

    pub(crate) fn reply(&mut self, token: Token) -> Reply {
        self.replies.remove(&token).unwrap()
    }

    pub(crate) fn join(&mut self) {
        for number in 1..=4 {
            self.happen(Event::Joined(kit::machine(number)));
        }
    }
}

/// A request of person 1 for this payout, with two approvals.
pub(crate) fn approved(exchange: &mut Exchange, payout: &Payout) {
    let digest = payout.digest(&kit::charter().context());
    let request = kit::sign(&kit::person(1), REQUEST, digest.as_bytes());
    let ask = Ask::Request { payout: payout.clone(), request, key: payout.id.to_string() };
    exchange.happen(Event::Ask(Token(0), ask));
    for person in [2, 3] {
        let approval = kit::sign(&kit::person(person), APPROVE, digest.as_bytes());
        exchange.happen(Event::Ask(Token(0), Ask::Approve { payout: payout.id.clone(), approval }));
    }
}
