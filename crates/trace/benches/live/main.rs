//! Live tagging: blocks of 4,000 transactions through a case with many tainted outputs, with and without the mempool that
//! announced them, transactions one by one, taking back, stopping and going on. Beside it the bare look-ups of the same
//! blocks' inputs in a hash map of as many outpoints. Times are of the processor, which other programs do not lengthen,
//! unless a row says otherwise. Prints one JSON object of whole numbers.
#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

mod accounts;

use std::{
    collections::HashMap, convert::Infallible, error::Error, hint::black_box, time::Duration,
    time::Instant as Clock,
};

use kuraban_base::{Height, Instant, Txid};
use kuraban_chain::btc::{BlockHash, Network, OutPoint, Script, TxOut};
use kuraban_trace::{
    feed::{Chain, Feed, Opened, Rules, Seed, Words, shown_txid},
    graph::{Node, Tip},
    live::{Connected, Live, Source},
    taint::Method,
};
use rustix::time::{ClockId, clock_gettime};
use serde_json::{Map, Value, json};

/// Tainted outputs, where nobody says how many.
const COUNT: u64 = 1_000_000;
/// Fewer would all be spent by the blocks.
const COUNT_MIN: u64 = 150_000;
/// Of so many tainted outputs one tainted account, on a chain of accounts.
const ACCOUNTS_IN: u64 = 10;
const BLOCK_TXS: u64 = 4_000;
const BLOCKS: usize = 200;
/// Outputs of each transaction that spreads the stolen units.
const SPREAD: u64 = 1_000;
const VALUE_SAT: u64 = 100_000;

/// Clean outputs are all worth the same, and nothing is held up.
struct Clean;

impl Source for Clean {
    type Error = Infallible;

    fn value_sat(&mut self, _: &OutPoint) -> Result<u64, Infallible> {
        Ok(VALUE_SAT)
    }

    fn stop(&mut self, _: &Script, _: &Opened) -> Result<Option<Words>, Infallible> {
        Ok(None)
    }
}

fn mix(number: u64) -> u64 {
    let mixed = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

fn txid(number: u64) -> Txid {
    let mut bytes = [0; 32];
    for (word, salt) in bytes.chunks_mut(8).zip(1_u64..) {
        word.copy_from_slice(
            &mix(number.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(salt)).to_le_bytes(),
        );
    }
    Txid::from_bytes(bytes)
}

fn output(value_sat: u64, number: u64) -> TxOut {
    let (hash, _) =
        txid(number ^ 0x5c71).as_bytes().split_first_chunk().map_or(([0; 20], ()), |(head, _)| (*head, ()));
    TxOut { value_sat, script: Script::p2pkh(&hash) }
}

/// The case that is followed.
fn theft(chain: Chain, seed: Seed, methods: &[Method]) -> Result<Opened, Box<dyn Error>> {
    let rules = Rules {
        methods: methods.to_vec(),
        follow_fees: false,
        dust_units: 0,
        tag_units_min: 1,
        hub_outputs_min: None,
        lasts_ms: None,
    };
    let (case, label, source) = ("theft".parse()?, "stolen funds".parse()?, "https://example.org".parse()?);
    Ok(Opened { case, chain, token: None, label, concept: "hacking", source, seeds: vec![seed], rules })
}

/// A made-up chain and what of it is tainted and unspent.
struct World {
    live: Live,
    feed: Feed,
    made: u64,
    tainted: Vec<OutPoint>,
}

impl World {
    fn new(count: u64, methods: &[Method]) -> Result<Self, Box<dyn Error>> {
        let tip = Tip { height: Height::new(800_000), hash: BlockHash::from_bytes([1; 32]) };
        let mut live = Live::new(Network::BtcMain, tip);
        let seed = Seed { tx: shown_txid(&txid(0)), index: 0, units: u128::from(count * VALUE_SAT) };
        live.open(theft(Chain::Family(Network::BtcMain), seed, methods)?)?;
        let mut world = Self { live, feed: Feed::new(), made: 0, tainted: Vec::new() };
        world.spread(count)?;
        Ok(world)
    }

    fn id(&mut self) -> Txid {
        self.made += 1;
        txid(self.made)
    }

    /// The theft, then transactions of a thousand outputs until there are enough. Each joins some clean units.
    fn spread(&mut self, count: u64) -> Result<(), Box<dyn Error>> {
        let parts = count.div_ceil(SPREAD);
        let outputs = (0..parts).map(|part| output(SPREAD * VALUE_SAT, part)).collect();
        let clean = OutPoint { txid: txid(u64::MAX), vout: 0 };
        let theft =
            Node { txid: txid(0), inputs: vec![clean], outputs: vec![output(parts * SPREAD * VALUE_SAT, 0)] };
        let first = Node { txid: self.id(), inputs: vec![OutPoint { txid: txid(0), vout: 0 }], outputs };
        let mut nodes = vec![theft];
        for (vout, _) in (0..).zip(0..parts) {
            let txid = self.id();
            let outputs = (0..SPREAD).map(|number| output(VALUE_SAT, self.made * SPREAD + number)).collect();
            let inputs = vec![OutPoint { txid: first.txid, vout }];
            self.tainted.extend((0..).zip(0..SPREAD).map(|(vout, _)| OutPoint { txid, vout }));
            nodes.push(Node { txid, inputs, outputs });
        }
        nodes.insert(1, first);
        self.mine(&nodes)?;
        Ok(())
    }

    /// A transaction of two inputs and two outputs, of which the first input is tainted or not.
    fn payment(&mut self, tainted: bool) -> Node {
        let txid = self.id();
        let place = usize::try_from(mix(self.made)).unwrap_or(0) % self.tainted.len().max(1);
        let clean = |salt: u64| OutPoint { txid: self::txid(mix(self.made) ^ salt), vout: 1 };
        let first = if tainted { self.tainted.swap_remove(place) } else { clean(3) };
        let outputs = vec![output(VALUE_SAT, self.made), output(VALUE_SAT - 500, self.made << 1)];
        Node { txid, inputs: vec![first, clean(5)], outputs }
    }

    /// A block of payments, so many of a thousand tainted. The first output of those is tainted by every method.
    fn block(&mut self, per_mille: u64) -> Vec<Node> {
        let mut nodes = vec![Node { txid: self.id(), inputs: Vec::new(), outputs: vec![output(1, 1)] }];
        for _ in 0..BLOCK_TXS {
            let tainted = mix(!self.made) % 1_000 < per_mille;
            let node = self.payment(tainted);
            nodes.push(node);
        }
        nodes
    }

    fn mine(&mut self, nodes: &[Node]) -> Result<Took, Box<dyn Error>> {
        let tip = self.live.tip();
        let height = tip.height.next().ok_or("the chain is at its end")?;
        let hash = BlockHash::from_bytes(*txid(u64::from(height.blocks()) << 40).as_bytes());
        let block = Connected { height, hash, prev: tip.hash, nodes };
        let began = Began::now();
        self.live.block(&block, &mut Clean)?;
        self.live.refresh(&mut Clean)?;
        Ok(began.took())
    }
}

/// When something began, by the clock and by the processor's time of this thread.
struct Began(Clock, Duration);

impl Began {
    fn now() -> Self {
        Self(Clock::now(), busy())
    }

    /// How long it took, and how long the processor was busy with it.
    fn took(&self) -> Took {
        Took { clock: self.0.elapsed(), busy: busy().saturating_sub(self.1) }
    }
}

#[derive(Clone, Copy)]
struct Took {
    clock: Duration,
    busy: Duration,
}

fn busy() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let (s, ns) = (u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0));
    Duration::new(s, ns)
}

fn us(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// The median and the 99th of a hundred.
fn quantiles(times: impl Iterator<Item = Duration>) -> [Duration; 2] {
    let mut times: Vec<Duration> = times.collect();
    times.sort_unstable();
    [50, 99].map(|per_cent| times.get(times.len() * per_cent / 100).copied().unwrap_or_default())
}

fn spread(times: &[Took]) -> Vec<(&'static str, Value)> {
    let [busy_50, busy_99] = quantiles(times.iter().map(|took| took.busy));
    let [clock_50, clock_99] = quantiles(times.iter().map(|took| took.clock));
    vec![
        ("p50 us", json!(us(busy_50))),
        ("p99 us", json!(us(busy_99))),
        ("p50 us by the clock", json!(us(clock_50))),
        ("p99 us by the clock", json!(us(clock_99))),
    ]
}

fn row(parts: impl IntoIterator<Item = (&'static str, Value)>) -> Value {
    Value::Object(parts.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

/// Blocks of which so many of a thousand transactions are tainted; what the feed is then told is measured apart.
fn blocks(world: &mut World, per_mille: u64, announced: bool) -> Result<[Value; 2], Box<dyn Error>> {
    let (mut took, mut told) = (Vec::new(), Vec::new());
    let mut entries = 0;
    for _ in 0..BLOCKS {
        let nodes = world.block(per_mille);
        if announced {
            for node in nodes.iter().skip(1) {
                world.live.pool(node);
            }
            world.live.refresh(&mut Clean)?;
            world.live.publish(&mut world.feed, Instant::from_ms(1))?;
        }
        took.push(world.mine(&nodes)?);
        let (before, began) = (world.feed.size(), Began::now());
        world.live.publish(&mut world.feed, Instant::from_ms(1))?;
        told.push(began.took());
        entries += world.feed.size() - before;
    }
    let blocks = u64::try_from(BLOCKS)?;
    let figures = [("blocks", json!(blocks)), ("tainted of 1000", json!(per_mille))];
    let telling = [("blocks", json!(blocks)), ("entries a block", json!(entries / blocks))];
    Ok([row(figures.into_iter().chain(spread(&took))), row(telling.into_iter().chain(spread(&told)))])
}

/// Transactions that come one by one; each is worked out and told before the next.
fn one_by_one(world: &mut World, tainted: bool) -> Result<Value, Box<dyn Error>> {
    let (mut took, mut told) = (Vec::new(), Vec::new());
    for _ in 0..20_000 {
        let node = world.payment(tainted);
        let began = Began::now();
        world.live.pool(&node);
        world.live.refresh(&mut Clean)?;
        took.push(began.took().busy);
        world.live.publish(&mut world.feed, Instant::from_ms(1))?;
        told.push(began.took().busy);
    }
    let ns = |time: Duration| json!(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
    let ([took_50, took_99], [told_50, told_99]) = (quantiles(took.into_iter()), quantiles(told.into_iter()));
    Ok(row([
        ("transactions", json!(20_000)),
        ("p50 ns", ns(took_50)),
        ("p99 ns", ns(took_99)),
        ("p50 ns with the feed", ns(told_50)),
        ("p99 ns with the feed", ns(told_99)),
    ]))
}

/// The same look-ups with nothing else.
fn bare(world: &mut World) -> Value {
    let map: HashMap<OutPoint, u64> = world.tainted.iter().map(|output| (*output, 1)).collect();
    let mut took = Vec::new();
    for _ in 0..BLOCKS {
        let nodes = world.block(0);
        let began = Began::now();
        for input in nodes.iter().flat_map(|node| &node.inputs) {
            black_box(map.get(input));
        }
        took.push(began.took());
    }
    row([("look-ups a block", json!(BLOCK_TXS * 2))].into_iter().chain(spread(&took)))
}

fn measure(count: u64, methods: &[Method]) -> Result<Map<String, Value>, Box<dyn Error>> {
    let before_kib = resident_kib();
    let began = Began::now();
    let mut world = World::new(count, methods)?;
    let (taken_up, engine_kib) = (began.took().busy, resident_kib().saturating_sub(before_kib));
    let began = Began::now();
    while world.live.publish(&mut world.feed, Instant::from_ms(1))?.is_some() {}
    let (told, both_kib) = (began.took().busy, resident_kib().saturating_sub(before_kib));
    let held = u64::try_from(world.live.held_count())?;
    let mut rows = Map::new();
    rows.insert("bare look-ups".to_owned(), bare(&mut world));
    for (name, per_mille, announced) in [
        ("block, nothing tainted", 0, false),
        ("block, 1 % tainted", 10, false),
        ("block, 1 % tainted, announced", 10, true),
        ("block, 10 % tainted", 100, false),
    ] {
        let [took, told] = blocks(&mut world, per_mille, announced)?;
        rows.insert(name.to_owned(), took);
        if per_mille > 0 {
            rows.insert(format!("feed after {name}"), told);
        }
    }
    rows.insert("clean transaction".to_owned(), one_by_one(&mut world, false)?);
    rows.insert("tainted transaction".to_owned(), one_by_one(&mut world, true)?);
    let undone = Began::now();
    world.live.undo()?;
    world.live.refresh(&mut Clean)?;
    let undone = undone.took().busy;
    let kept = Began::now();
    let snapshot = world.live.snapshot();
    let kept = kept.took().busy;
    let restored = Began::now();
    black_box(Live::restore(&snapshot)?);
    let restored = restored.took().busy;
    rows.insert("undo of a block, 10 % tainted".to_owned(), json!({ "us": us(undone) }));
    rows.insert(
        "snapshot".to_owned(),
        json!({ "bytes": snapshot.len(), "write ms": us(kept) / 1_000, "read ms": us(restored) / 1_000 }),
    );
    rows.insert(
        "tainted outputs".to_owned(),
        json!({
            "outputs": held,
            "methods": methods.len(),
            "ms to take up": us(taken_up) / 1_000,
            "ms to tell": us(told) / 1_000,
            "engine KiB": engine_kib,
            "engine bytes an output": (engine_kib * 1_024).checked_div(held),
            "engine and feed KiB": both_kib,
            "engine and feed bytes an output": (both_kib * 1_024).checked_div(held),
        }),
    );
    Ok(rows)
}

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().collect();
    let after = |name: &str| args.iter().skip_while(|arg| *arg != name).nth(1);
    let count = after("--count").map_or(Ok(COUNT), |count| count.parse())?;
    if count < COUNT_MIN {
        return Err(format!("--count {count}: want {COUNT_MIN} tainted outputs or more").into());
    }
    let every = args.iter().any(|arg| arg == "--all-methods");
    let methods = if every { &Method::ALL[..] } else { &[Method::Haircut, Method::Fifo] };
    let mut rows = measure(count, methods)?;
    rows.extend(accounts::measure(count / ACCOUNTS_IN)?);
    println!("{}", Value::Object(rows));
    Ok(())
}

/// Memory of this process, as the system counts it; 0 where it does not say.
fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()).and_then(|kib| kib.parse().ok()).unwrap_or(0)
}
