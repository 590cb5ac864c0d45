//! Writer, three signers, watcher, gate and node together: withdrawals flow, a thief with two keys is stopped, and the
//! rest of the vault goes to the cold vault without another alarm.

use std::collections::BTreeMap;

use kuraban_base::{Digest, MachineId};
use kuraban_chain::btc::{Branch, OutPoint, Tx, TxOut};
use kuraban_vault::{
    APPROVE, REQUEST, Role,
    breaker::Service,
    coordinator::{Ask, Coordinator, Effect, Event, Token},
    signer::Signer,
    wire::{LogEntry, Request, Response},
};
use kuraban_watch::watcher::UNEXPLAINED_SPEND;

use crate::{
    kit,
    world::{WRITER, World, clock},
};

struct Exchange {
    writer: Coordinator,
    signers: BTreeMap<MachineId, Signer>,
    world: World,
    entries: Vec<LogEntry>,
    checkpoints: BTreeMap<u64, Vec<u8>>,
    broadcast: Vec<Tx>,
    /// How many of the watcher's alarms the writer has.
    heard: usize,
    randoms: u64,
}

fn random(count: &mut u64) -> [u8; 32] {
    *count += 1;
    *Digest::sha256(&[b"exchange", &count.to_be_bytes()]).as_bytes()
}

impl Exchange {
    fn new() -> Self {
        let charter = kit::charter();
        let mut randoms = 0;
        let mut writer = Coordinator::new(&kit::machine(0), charter.clone(), kit::log_key());
        writer.open(kit::NOW, 3650, &mut || random(&mut randoms)).unwrap();
        let mut exchange = Self {
            writer,
            signers: (1..=3).map(|number| (kit::machine(number), kit::signer(number, &charter))).collect(),
            world: World::without_log(charter),
            entries: Vec::new(),
            checkpoints: BTreeMap::new(),
            broadcast: Vec::new(),
            heard: 0,
            randoms,
        };
        (1..=4).for_each(|number| exchange.happen(Event::Joined(kit::machine(number))));
        exchange
    }

    /// One event, and everything that follows from it, the watcher's alarms too.
    fn happen(&mut self, event: Event) {
        let mut events = vec![event];
        for _ in 0..1000 {
            let alarms = self.world.watcher.alarms().iter().skip(self.heard).cloned();
            events.extend(alarms.map(|(alarm, trip)| Event::Alarm(Box::new(alarm), trip.map(Box::new))));
            self.heard = self.world.watcher.alarms().len();
            if events.is_empty() {
                return;
            }
            let now = clock(self.world.now_ms).wall;
            for event in events.drain(..) {
                self.writer.step(now, event, &mut || random(&mut self.randoms));
            }
            for effect in self.writer.flush(now, &mut || random(&mut self.randoms)) {
                events.extend(self.execute(effect));
            }
        }
        panic!("the machines never come to rest");
    }

    fn execute(&mut self, effect: Effect) -> Option<Event> {
        match effect {
            Effect::Persist { entries, checkpoint, .. } => {
                self.entries.extend(entries);
                self.checkpoints.insert(u64::try_from(self.entries.len()).unwrap(), checkpoint);
                None
            }
            Effect::Publish { .. } | Effect::Reply(..) => None,
            Effect::Broadcast(network, bytes) => {
                let tx = Tx::decode(network, &bytes).unwrap();
                self.world.relay(&tx);
                self.broadcast.push(tx);
                None
            }
            Effect::Send(to, request) => Some(self.ask(to, *request)),
            Effect::SendEntries { to, from, until } => {
                let place = |size| usize::try_from(size).unwrap();
                let entries = self.entries[place(from)..place(until)].to_vec();
                let checkpoint = self.checkpoints[&until].clone();
                Some(self.ask(to, Request::Extend { from, entries, checkpoint, newest: until }))
            }
        }
    }

    fn ask(&mut self, to: MachineId, request: Request) -> Event {
        let request = Request::decode(&request.encode()).unwrap();
        let fresh = random(&mut self.randoms);
        let response = match self.signers.get_mut(&to) {
            Some(signer) => signer.step(clock(self.world.now_ms), Role::Writer, fresh, request).answer,
            None => self.world.ask(WRITER, Role::Writer, request).unwrap(),
        };
        Event::Answer(to, Box::new(Response::decode(&response.encode()).unwrap()))
    }

    /// A deposit in a block of its own, which writer and watcher both see.
    fn fund(&mut self, index: u32, value_sat: u64) -> Tx {
        let funding = self.world.fund(index, value_sat);
        self.happen(Event::Coin(kit::hot(), kit::coin(&funding)));
        funding
    }

    fn pay(&mut self, id: &str, to: u8, amount_sat: u64) {
        let payout = kit::payout(id, to, amount_sat);
        let digest = payout.digest(&kit::charter().context());
        let request = kit::sign(&kit::person(1), REQUEST, digest.as_bytes());
        self.happen(Event::Ask(Token(1), Ask::Request { payout, request, key: format!("key-{id}") }));
        for number in [2, 3] {
            let approval = kit::sign(&kit::person(number), APPROVE, digest.as_bytes());
            let ask = Ask::Approve { payout: id.parse().unwrap(), approval };
            self.happen(Event::Ask(Token(2), ask));
        }
    }
}

#[test]
fn withdrawals_are_explained_a_theft_is_not_and_the_evacuation_after_it_is() {
    let mut exchange = Exchange::new();
    for index in 0..4 {
        exchange.fund(index, 100_000_000);
    }
    let stolen = exchange.fund(4, 100_000_000);
    for number in 0..3_u8 {
        exchange.pay(&format!("w-{number}"), number, 50_000_000);
    }
    assert_eq!(exchange.broadcast.len(), 3);
    assert_eq!(exchange.world.watcher.explained(), 3);
    assert_eq!(exchange.world.raised(), []);
    assert!(exchange.world.runs(Service::Withdrawal));

    // The thief takes the coin that no payout uses.
    let used = |tx: &Tx| tx.inputs.iter().any(|input| input.prev.txid == stolen.txid());
    assert!(!exchange.broadcast.iter().any(used));
    let loot = TxOut { value_sat: 90_000_000, script: kit::address(0xee).script() };
    let prev = OutPoint { txid: stolen.txid(), vout: 0 };
    let theft =
        kit::steal(kit::tx(vec![prev], vec![loot]), &stolen.outputs[..1], (Branch::Receive, 4), &[1, 2]);
    exchange.world.relay(&theft);
    let raised = vec![(UNEXPLAINED_SPEND.to_owned(), theft.txid().to_string())];
    assert_eq!(exchange.world.raised(), raised);
    assert!(!exchange.world.runs(Service::Withdrawal));

    // The writer hears of it: alarm and trip are logged, and what is left goes to the cold vault.
    exchange.happen(Event::CoinGone(kit::hot(), prev));
    assert_eq!(exchange.broadcast.len(), 4);
    let evacuation = &exchange.broadcast[3];
    assert!(evacuation.outputs.iter().all(|output| output.script == kit::cold().script()));
    assert_eq!(exchange.world.watcher.explained(), 4);
    assert_eq!(exchange.world.raised(), raised);
    assert!(!exchange.world.runs(Service::Withdrawal) && exchange.world.runs(Service::Buy));
    // Nothing else is signed.
    exchange.pay("w-9", 9, 50_000_000);
    assert_eq!(exchange.broadcast.len(), 4);
}
