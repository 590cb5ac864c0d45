//! Live taint on accounts beside the batch trace, on chains that grow and are taken back; and what a feed is told of them.

mod coincheck;
mod told;

use std::collections::{BTreeMap, BTreeSet};

use kuraban_base::{Digest, Height, Instant};
use kuraban_trace::{
    accounts::{
        Book, Chain, Deposit, Fees, Header, Kind, Mark, Opening, Outcome, Rule, Seed, Terms, Transfer, Units,
        live::Live,
    },
    feed::{self, Feed, Opened, Reach, Rules, Since, Subject, Tag, Taint},
    taint::Method,
};
use proptest::prelude::*;

const ACCOUNTS: [&str; 6] = ["A", "B", "C", "D", "E", "exchange"];
const TOKEN: &str = "dim:coin";

/// Numbers that follow from a seed (SplitMix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }

    fn one_in(&mut self, bound: u64) -> bool {
        self.below(bound) == 0
    }

    fn id(&mut self) -> Digest {
        Digest::sha256(&[&self.next().to_le_bytes()])
    }
}

/// The theft of a case: a transfer that stands in the chain or will.
#[derive(Clone)]
struct Theft {
    tx: Digest,
    asset: &'static str,
    to: &'static str,
    amount: u64,
}

pub(super) fn rules(methods: &[Method]) -> Rules {
    Rules {
        methods: methods.to_vec(),
        follow_fees: false,
        dust_units: 0,
        tag_units_min: 1,
        hub_outputs_min: None,
        lasts_ms: None,
    }
}

pub(super) fn opened(case: &str, seeds: Vec<feed::Seed>, rules: Rules) -> Opened {
    Opened {
        case: case.parse().unwrap(),
        chain: feed::Chain::Accounts(Chain::Xem),
        token: None,
        label: "stolen funds".parse().unwrap(),
        concept: "service_hack",
        source: "https://example.org/notice".parse().unwrap(),
        seeds,
        rules,
    }
}

/// A chain that grows and is taken back.
struct World {
    random: Random,
    header: Header,
    blocks: Vec<(Mark, Vec<Transfer>)>,
    thefts: Vec<Theft>,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = Random(seed);
        let theft = |random: &mut Random, asset| Theft {
            tx: random.id(),
            asset,
            to: if random.one_in(2) { "A" } else { "B" },
            amount: 5 + random.below(40),
        };
        let thefts = vec![theft(&mut random, "xem"), theft(&mut random, "xem"), theft(&mut random, TOKEN)];
        let header = Header { chain: Chain::Xem, opening: Opening::Unknown };
        Self { random, header, blocks: Vec::new(), thefts }
    }

    fn has(&self, theft: &Theft) -> bool {
        let name = theft.tx.to_string();
        self.blocks.iter().any(|(_, transfers)| transfers.iter().any(|transfer| transfer.tx == name))
    }

    fn mine(&mut self) -> (Mark, Vec<Transfer>) {
        let before = self.blocks.last().map(|(mark, _)| *mark);
        let height = before.map_or(100, |mark| mark.height + 1);
        let prev = before.map_or(Digest::from_bytes([9; 32]), |mark| mark.hash);
        let mark = Mark { height, hash: self.random.id(), prev };
        let mut transfers = Vec::new();
        for position in 0..u32::try_from(self.random.below(6)).unwrap() {
            let missing: Vec<Theft> = self.thefts.iter().filter(|theft| !self.has(theft)).cloned().collect();
            let once = transfers.iter().map(|one: &Transfer| one.tx.clone()).collect::<BTreeSet<_>>();
            let theft = missing.into_iter().find(|theft| !once.contains(&theft.tx.to_string()));
            if let Some(theft) = theft.filter(|_| self.random.one_in(4)) {
                let (asset, to) = (theft.asset.to_owned(), Some(theft.to.to_owned()));
                let (tx, amount) = (theft.tx.to_string(), Units::from(theft.amount));
                let (from, kind) = (Some("victim".to_owned()), Kind::Payment);
                transfers.push(Transfer { height, position, tx, index: 0, asset, from, to, amount, kind });
                continue;
            }
            let tx = self.random.id().to_string();
            for index in 0..u32::try_from(1 + self.random.below(3)).unwrap() {
                transfers.push(self.transfer(height, position, &tx, index));
            }
        }
        self.blocks.push((mark, transfers.clone()));
        (mark, transfers)
    }

    fn transfer(&mut self, height: u64, position: u32, tx: &str, index: u32) -> Transfer {
        let kinds =
            [Kind::Payment, Kind::Payment, Kind::Payment, Kind::Internal, Kind::Fee, Kind::Burn, Kind::Mint];
        let kind = kinds[usize::try_from(self.random.below(7)).unwrap()];
        let mut account = || ACCOUNTS[usize::try_from(self.random.below(6)).unwrap()].to_owned();
        let (from, to) = (account(), account());
        let burned = kind == Kind::Burn || kind == Kind::Fee && self.random.one_in(2);
        Transfer {
            height,
            position,
            tx: tx.to_owned(),
            index,
            asset: if self.random.one_in(3) { TOKEN } else { "xem" }.to_owned(),
            from: (kind != Kind::Mint).then_some(from),
            to: (!burned).then_some(to),
            amount: self.random.below(25).into(),
            kind,
        }
    }

    fn opened(&mut self, case: &str, which: &[usize], token: bool) -> Opened {
        let seed = |theft: &Theft| feed::Seed { tx: theft.tx, index: 0, units: u128::from(theft.amount) };
        let mut seeds: Vec<feed::Seed> = which.iter().map(|which| seed(&self.thefts[*which])).collect();
        seeds.sort();
        let rules = Rules {
            follow_fees: self.random.one_in(2),
            dust_units: u128::from(self.random.below(6)),
            tag_units_min: 1 + u128::from(self.random.below(4)),
            hub_outputs_min: self.random.one_in(2).then_some(9),
            ..rules(&Method::ALL)
        };
        Opened { token: token.then(|| TOKEN.parse().unwrap()), ..opened(case, seeds, rules) }
    }

    /// What the batch trace finds for a case, by a method, with those of its seeds that the chain has.
    fn batch(&self, opened: &Opened, method: Method) -> Option<Outcome> {
        let seed = |seed: &feed::Seed| Seed {
            tx: seed.tx.to_string(),
            index: seed.index,
            case: opened.case.to_string(),
        };
        let there =
            self.thefts.iter().filter(|theft| self.has(theft)).map(|theft| theft.tx).collect::<BTreeSet<_>>();
        let seeds: Vec<Seed> = opened.seeds.iter().filter(|one| there.contains(&one.tx)).map(seed).collect();
        let asset = opened.token.as_ref().map_or("xem", |token| token.as_str());
        let terms = Terms {
            fees: if opened.rules.follow_fees { Fees::Follow } else { Fees::Count },
            dust: BTreeMap::from([(asset.to_owned(), Units::from_u128(opened.rules.dust_units))]),
            stops: BTreeSet::from(["exchange".to_owned()]),
            hub_payments_min: opened.rules.hub_outputs_min,
            ..Terms::new(Rule::Of(method))
        };
        let mut book = Book::new(self.header, terms, &seeds).ok()?;
        for transfer in self.blocks.iter().flat_map(|(_, transfers)| transfers) {
            book.apply(transfer).unwrap();
        }
        Some(book.finish().unwrap())
    }
}

fn small(units: Units) -> u128 {
    u128::try_from(units).unwrap()
}

/// Tags by what they are on, without what only the feed knows.
type Tags = BTreeMap<String, (u128, u128, Option<String>)>;

/// The tags that batch traces ask for.
fn wanted(opened: &Opened, found: &[(Method, Outcome)]) -> Tags {
    let asset = opened.token.as_ref().map_or("xem", |token| token.as_str());
    let conserving = || found.iter().filter(|(method, _)| method.conserves()).map(|(_, found)| found);
    let mut tags = Tags::new();
    let held = |found: &Outcome, account: &str| {
        let held = found.held.iter().find(|held| held.account == account && held.asset == asset);
        held.map_or(0, |held| small(held.tainted))
    };
    let deposit = |found: &Outcome, one: &Deposit| {
        let same = found.deposits.iter().find(|other| (&other.tx, other.index) == (&one.tx, one.index));
        same.map_or(0, |same| small(same.tainted))
    };
    let mut put = |name: String, units: Vec<u128>, to: Option<String>| {
        let (least, most) = (*units.iter().min().unwrap(), *units.iter().max().unwrap());
        if most >= opened.rules.tag_units_min {
            tags.insert(name, (least, most, to));
        }
    };
    for found in conserving() {
        for one in found.held.iter().filter(|held| held.asset == asset) {
            put(one.account.clone(), conserving().map(|found| held(found, &one.account)).collect(), None);
        }
        for one in found.deposits.iter().filter(|deposit| deposit.asset == asset) {
            let name = format!("{}:{} {}", one.tx, one.index, one.service);
            put(name, conserving().map(|found| deposit(found, one)).collect(), Some(place(one)));
        }
    }
    tags
}

fn place(deposit: &Deposit) -> String {
    match deposit.stop {
        kuraban_trace::accounts::Stop::Named => "Example Exchange".to_owned(),
        kuraban_trace::accounts::Stop::Hub { payments } => format!("a hub that was paid {payments} times"),
        kuraban_trace::accounts::Stop::Exchange => "an exchange".to_owned(),
    }
}

/// The tags of a case that stand in a feed; each since a block that is in the chain.
fn standing(feed: &Feed, world: &World, opened: &Opened) -> Tags {
    let mut tags = Tags::new();
    for (_, tag) in feed.standing().tags().filter(|(_, tag)| tag.case == opened.case) {
        let Tag { subject, taint, reach, since, .. } = tag;
        let name = match subject {
            Subject::Output { tx, index, address } => {
                format!("{tx}:{index} {}", address.as_deref().unwrap_or("-"))
            }
            Subject::Account(account) => account.clone(),
        };
        let Taint::Span { least, most } = taint else { panic!("several methods have a span") };
        let Since::Block(block) = since else { panic!("a list has nothing that waits") };
        let mut marks = world.blocks.iter().map(|(mark, _)| mark);
        assert!(
            marks.any(|mark| mark.hash == block.hash && u64::from(block.height.blocks()) == mark.height),
            "{name}"
        );
        let to = match reach {
            Reach::Followed => None,
            Reach::HandedOver { to } => Some(to.to_string()),
        };
        assert!(tags.insert(name.clone(), (*least, *most, to)).is_none(), "{name} has two tags");
    }
    tags
}

fn live(world: &World, cases: &[Opened]) -> Live {
    let stops = BTreeMap::from([("exchange".to_owned(), "Example Exchange".parse().unwrap())]);
    let mut live = Live::new(world.header, stops);
    for case in cases {
        live.open(case.clone()).unwrap();
    }
    live
}

fn publish(live: &mut Live, feed: &mut Feed, now: &mut u64) {
    *now += 1;
    while live.publish(feed, Instant::from_ms(*now)).unwrap().is_some() {}
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn live_over_random_blocks_and_undos_finds_what_a_batch_trace_finds(seed: u64) {
        let mut world = World::new(seed);
        let cases = [
            world.opened("one", &[0], false),
            world.opened("both", &[0, 1], false),
            world.opened("token", &[2], true),
        ];
        let mut engine = live(&world, &cases);
        let (mut feed, mut now) = (Feed::new(), 0);
        for _ in 0..40 {
            if world.random.one_in(4) && world.blocks.len() > 1 {
                for _ in 0..=world.random.below(4).min(u64::try_from(world.blocks.len()).unwrap() - 2) {
                    world.blocks.pop();
                    let tip = engine.undo().unwrap();
                    let (mark, _) = world.blocks.last().unwrap();
                    prop_assert_eq!((tip.height, tip.hash), (Height::new(u32::try_from(mark.height).unwrap()), mark.hash));
                }
            } else {
                let (mark, transfers) = world.mine();
                let stirred = engine.block(mark, &transfers).unwrap();
                prop_assert_eq!(stirred.misfits, []);
            }
            if world.random.one_in(5) {
                // A restart: everything is brought again, and the feed is told the difference alone.
                engine = live(&world, &cases);
                for (mark, transfers) in &world.blocks {
                    engine.block(*mark, transfers).unwrap();
                }
                engine.attach(feed.standing());
            }
            if !world.random.one_in(3) {
                publish(&mut engine, &mut feed, &mut now);
            }
        }
        publish(&mut engine, &mut feed, &mut now);
        for case in &cases {
            let found = engine.outcomes(&case.case).unwrap();
            for (method, found) in &found {
                match world.batch(case, *method) {
                    Some(batch) => prop_assert_eq!(found, &batch, "{} {}", case.case, method),
                    None => prop_assert!(found.totals.is_empty() && found.held.is_empty()),
                }
            }
            prop_assert_eq!(standing(&feed, &world, case), wanted(case, &found), "{}", case.case);
        }
        // Who was told of it all is told nothing twice.
        let size = feed.size();
        let mut again = live(&world, &cases);
        for (mark, transfers) in &world.blocks {
            again.block(*mark, transfers).unwrap();
        }
        again.attach(feed.standing());
        publish(&mut again, &mut feed, &mut now);
        prop_assert_eq!(feed.size(), size);
    }
}
