//! Live taint beside the batch trace, on a made-up network that announces, replaces, forgets, mines and reorganises.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use kuraban_base::{Height, Instant, Txid};
use kuraban_chain::btc::{BlockHash, Network, OutPoint, Script, TxOut};
use kuraban_proof::Resource;
use kuraban_trace::{
    feed::{
        Body, Chain, Entry, Feed, Growth, Opened, Reach, Rules, Seed, Since, Subject, Taint, Words,
        shown_txid,
    },
    graph::{Graph, Memory, Node, Tip},
    live::{Connected, KeptError, Live, Output, Pooled, Source, Spot, StepError, Stops, UNDO_BLOCKS_MAX},
    taint::{Case, Method, Part, Terms, Trace, outpoint, seed, trace},
};
use proptest::prelude::*;

const NET: Network = Network::BtcRegtest;

/// Numbers that follow from a seed (SplitMix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(bound.max(1)).unwrap()).unwrap()
    }

    fn one_in(&mut self, bound: usize) -> bool {
        self.below(bound) == 0
    }

    fn shuffle<T>(&mut self, items: &mut [T]) {
        for place in (1..items.len()).rev() {
            items.swap(place, self.below(place + 1));
        }
    }
}

#[derive(Clone)]
struct Block {
    height: Height,
    hash: BlockHash,
    prev: BlockHash,
    nodes: Vec<Node>,
}

impl Block {
    fn connected(&self) -> Connected<'_> {
        Connected { height: self.height, hash: self.hash, prev: self.prev, nodes: &self.nodes }
    }
}

fn script(number: usize) -> Script {
    Script::p2pkh(&[u8::try_from(number % 7).unwrap(); 20])
}

fn stop() -> Script {
    script(6)
}

/// A node: its chain, what waits, and everything that it ever saw.
struct World {
    random: Random,
    blocks: Vec<Block>,
    pool: Vec<Node>,
    made: u64,
    outputs: HashMap<OutPoint, TxOut>,
    stops: Stops<'static>,
}

impl Source for World {
    type Error = String;

    fn value_sat(&mut self, outpoint: &OutPoint) -> Result<u64, String> {
        self.outputs.get(outpoint).map(|output| output.value_sat).ok_or_else(|| outpoint.to_string())
    }

    fn stop(&mut self, script: &Script, case: &Opened) -> Result<Option<Words>, String> {
        // Cases differ in where they stop: some know no hubs.
        Ok(self.stops.place(script).filter(|_| case.rules.hub_outputs_min.is_some()))
    }
}

fn start() -> Tip {
    Tip { height: Height::new(99), hash: BlockHash::from_bytes([9; 32]) }
}

impl World {
    fn new(seed: u64, stopping: bool) -> Self {
        let stops = Stops::new();
        let stops = if stopping { stops.with(stop(), "an exchange".parse().unwrap()) } else { stops };
        let random = Random(seed);
        Self { random, blocks: Vec::new(), pool: Vec::new(), made: 0, outputs: HashMap::new(), stops }
    }

    fn id(&mut self) -> [u8; 32] {
        self.made += 1;
        let mut bytes = [0; 32];
        for word in bytes.chunks_mut(8) {
            word.copy_from_slice(&self.random.next().to_le_bytes());
        }
        bytes[..8].copy_from_slice(&self.made.to_be_bytes());
        bytes
    }

    fn tip(&self) -> Tip {
        self.blocks.last().map_or_else(start, |block| Tip { height: block.height, hash: block.hash })
    }

    fn unspent<'a>(nodes: impl Iterator<Item = &'a Node>) -> BTreeMap<OutPoint, TxOut> {
        let mut coins = BTreeMap::new();
        for node in nodes {
            node.inputs.iter().for_each(|input| drop(coins.remove(input)));
            let own = (0..).zip(&node.outputs).filter(|(_, output)| !output.script.is_unspendable());
            coins.extend(own.map(|(vout, output)| (OutPoint { txid: node.txid, vout }, output.clone())));
        }
        coins
    }

    fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.blocks.iter().flat_map(|block| &block.nodes)
    }

    /// What can be spent: in blocks, or made by what waits.
    fn coins(&self, with_pool: bool) -> BTreeMap<OutPoint, TxOut> {
        Self::unspent(self.nodes().chain(self.pool.iter().filter(|_| with_pool)))
    }

    fn split(&mut self, whole: u64, fee: bool) -> Vec<TxOut> {
        let count = 1 + self.random.below(4);
        let mut left = whole;
        let mut outputs = Vec::new();
        for place in 0..count {
            let last = place + 1 == count && !fee;
            let value_sat = if last {
                left
            } else {
                self.random.next() % (left + 1) / if self.random.one_in(3) { 1_000 } else { 2 }
            };
            left -= value_sat;
            let number = self.random.below(70);
            let script = if number == 69 { Script::new(vec![0x6a]) } else { script(number) };
            outputs.push(TxOut { value_sat, script });
        }
        outputs
    }

    /// A payment from some of these coins.
    fn pay(&mut self, coins: &BTreeMap<OutPoint, TxOut>) -> Option<Node> {
        let mut all: Vec<(&OutPoint, &TxOut)> = coins.iter().collect();
        self.random.shuffle(&mut all);
        all.truncate(1 + self.random.below(3));
        let whole = all.iter().map(|(_, output)| output.value_sat).sum();
        let inputs: Vec<OutPoint> = all.iter().map(|(input, _)| **input).collect();
        if inputs.is_empty() {
            return None;
        }
        let fee = !self.random.one_in(3);
        let outputs = self.split(whole, fee);
        Some(self.keep(inputs, outputs))
    }

    fn keep(&mut self, inputs: Vec<OutPoint>, outputs: Vec<TxOut>) -> Node {
        let node = Node { txid: Txid::from_bytes(self.id()), inputs, outputs };
        let own = (0..).zip(&node.outputs);
        self.outputs.extend(own.map(|(vout, output)| (OutPoint { txid: node.txid, vout }, output.clone())));
        node
    }

    /// Drops what waits and cannot any more: inputs gone, or spent by an earlier one.
    fn tidy(&mut self) -> Vec<Txid> {
        let mut coins = self.coins(false);
        let mut left = core::mem::take(&mut self.pool);
        loop {
            let before = left.len();
            let mut later = Vec::new();
            for node in left {
                if node.inputs.iter().all(|input| coins.contains_key(input)) {
                    node.inputs.iter().for_each(|input| drop(coins.remove(input)));
                    coins.extend(Self::unspent([&node].into_iter()));
                    self.pool.push(node);
                } else {
                    later.push(node);
                }
            }
            left = later;
            if left.len() == before {
                return left.into_iter().map(|node| node.txid).collect();
            }
        }
    }

    /// Mines a block: some of what waits, parents first, and payments that nobody announced.
    fn mine(&mut self) -> Block {
        let mut nodes = Vec::new();
        let mut coins = self.coins(false);
        for node in self.pool.clone() {
            let there = node.inputs.iter().all(|input| coins.contains_key(input));
            if there && !self.random.one_in(4) {
                node.inputs.iter().for_each(|input| drop(coins.remove(input)));
                coins.extend(Self::unspent([&node].into_iter()));
                nodes.push(node);
            }
        }
        for _ in 0..self.random.below(3) {
            let Some(node) = self.pay(&coins) else { break };
            node.inputs.iter().for_each(|input| drop(coins.remove(input)));
            coins.extend(Self::unspent([&node].into_iter()));
            nodes.push(node);
        }
        let tip = self.tip();
        let height = tip.height.next().unwrap();
        let value = |input: &OutPoint| self.outputs[input].value_sat;
        let fee = |node: &Node| {
            node.inputs.iter().map(value).sum::<u64>()
                - node.outputs.iter().map(|output| output.value_sat).sum::<u64>()
        };
        let reward = NET.subsidy_sat(height) + nodes.iter().map(fee).sum::<u64>();
        let unclaimed = self.random.one_in(4);
        let outputs = self.split(reward, unclaimed);
        nodes.insert(0, self.keep(Vec::new(), outputs));
        let block = Block { height, hash: BlockHash::from_bytes(self.id()), prev: tip.hash, nodes };
        self.blocks.push(block.clone());
        let mined: BTreeSet<Txid> = block.nodes.iter().map(|node| node.txid).collect();
        self.pool.retain(|node| !mined.contains(&node.txid));
        block
    }

    fn graph(&self, with_pool: bool) -> Memory {
        let mut graph = Memory::new(NET);
        for block in &self.blocks {
            graph.push_nodes(block.height, block.hash, &block.nodes).unwrap();
        }
        if with_pool {
            let dummy = Node { txid: Txid::from_bytes([0xff; 32]), inputs: Vec::new(), outputs: Vec::new() };
            let nodes: Vec<Node> = core::iter::once(dummy).chain(self.pool.iter().cloned()).collect();
            let height = self.tip().height.next().unwrap();
            graph.push_nodes(height, BlockHash::from_bytes([0xee; 32]), &nodes).unwrap();
        }
        graph
    }

    /// The batch trace of a case by one method, by the seeds that are there.
    fn batch(&self, graph: &Memory, opened: &Opened, method: Method) -> Option<Trace> {
        let there = |one: &Seed| {
            let mut bytes = *one.tx.as_bytes();
            bytes.reverse();
            seed(graph, OutPoint { txid: Txid::from_bytes(bytes), vout: one.index }).ok()
        };
        let seeds: Vec<_> = opened.seeds.iter().filter_map(there).collect();
        if seeds.is_empty() {
            return None;
        }
        let mut terms = Terms::new(method);
        terms.follow_fees = opened.rules.follow_fees;
        terms.dust_sat = u64::try_from(opened.rules.dust_units).unwrap();
        if self.stops.place(&stop()).is_some() && opened.rules.hub_outputs_min.is_some() {
            terms.stops.addresses.extend(graph.address_of(&stop()));
        }
        Some(trace(graph, &[Case { seeds }], &terms).unwrap())
    }
}

fn opened(name: &str, seeds: Vec<Seed>, rules: Rules) -> Opened {
    Opened {
        case: name.parse().unwrap(),
        chain: Chain::Family(NET),
        token: None,
        label: "stolen funds".parse().unwrap(),
        concept: "hacking",
        source: "https://example.org".parse().unwrap(),
        seeds,
        rules,
    }
}

fn rules(follow_fees: bool, dust_units: u128) -> Rules {
    Rules {
        methods: Method::ALL.to_vec(),
        follow_fees,
        dust_units,
        tag_units_min: dust_units,
        hub_outputs_min: None,
        lasts_ms: None,
    }
}

/// Tainted outputs by outpoint: for each method the parts.
type Found = BTreeMap<OutPoint, Vec<Vec<Part>>>;

fn of_live<'a>(outputs: impl Iterator<Item = Output<'a>>, stopped: bool) -> Found {
    let of = outputs.filter(|output| output.stop.is_some() == stopped);
    of.map(|output| (output.outpoint, output.taints.iter().map(|parts| parts.to_vec()).collect())).collect()
}

fn of_batch(graph: &Memory, traces: &[Option<Trace>], stopped: bool) -> Found {
    let mut found = Found::new();
    for (method, trace) in traces.iter().enumerate() {
        let all = trace.iter().flat_map(|trace| if stopped { &trace.stopped } else { &trace.unspent });
        for tainted in all {
            let parts = found.entry(outpoint(graph, tainted.output)).or_insert_with(|| vec![Vec::new(); 7]);
            parts[method] = tainted.parts.to_vec();
        }
    }
    found
}

/// The engine says what the batch trace says, in blocks and in what waits, and the feed says what the engine says.
fn compare(world: &World, live: &Live, feed: Option<&Feed>) {
    assert_eq!(live.tip(), world.tip());
    assert_eq!(live.pool_count(), world.pool.len());
    let graph = world.graph(false);
    let ahead = world.graph(true);
    let waiting: BTreeSet<Txid> = world.pool.iter().map(|node| node.txid).collect();
    for opened in live.cases() {
        let traces: Vec<_> = Method::ALL.iter().map(|method| world.batch(&graph, opened, *method)).collect();
        for stopped in [false, true] {
            let (found, want) =
                (of_live(live.outputs(&opened.case), stopped), of_batch(&graph, &traces, stopped));
            assert_eq!(found, want, "{} in blocks, at stops: {stopped}", opened.case);
        }
        for ((method, totals), trace) in live.totals(&opened.case).unwrap().into_iter().zip(&traces) {
            totals.balance().unwrap();
            if let Some(trace) = trace {
                assert_eq!(totals, trace.cases[0].totals, "{method}");
            }
        }
        let traces: Vec<_> = Method::ALL.iter().map(|method| world.batch(&ahead, opened, *method)).collect();
        let coins = world.coins(true);
        for stopped in [false, true] {
            let unspent = |found: Found| -> Found {
                let open = |at: &OutPoint| waiting.contains(&at.txid) && (stopped || coins.contains_key(at));
                found.into_iter().filter(|(at, _)| open(at)).collect()
            };
            let found = unspent(of_live(live.waiting(&opened.case), stopped));
            assert_eq!(found, unspent(of_batch(&ahead, &traces, stopped)), "{} waiting", opened.case);
        }
        if let Some(feed) = feed {
            told(live, opened, feed);
        }
    }
}

/// Each tainted output of the engine has one tag with its figures, and nothing else has.
fn told(live: &Live, opened: &Opened, feed: &Feed) {
    let mut tags = BTreeMap::new();
    for (_, tag) in feed.standing().tags().filter(|(_, tag)| tag.case == opened.case) {
        let Subject::Output { tx, index, address } = &tag.subject else { panic!("{tag:?}") };
        assert!(address.is_some());
        let (Taint::Span { least, most }, Some(value)) = (tag.taint, tag.value) else { panic!("{tag:?}") };
        let since = match tag.since {
            Since::Mempool => None,
            Since::Block(block) => Some(block.height),
        };
        let stop = matches!(tag.reach, Reach::HandedOver { .. });
        let before = tags.insert((*tx, *index), (least, most, value, since, stop));
        assert_eq!(before, None, "two tags on one output");
    }
    let mut want = BTreeMap::new();
    for output in live.outputs(&opened.case).chain(live.waiting(&opened.case)) {
        // Poison, the first method, finds more than was stolen and is left out of spans.
        let sums: Vec<u128> = (1..7).map(|method| u128::from(output.tainted_sat(method))).collect();
        let (least, most) = (*sums.iter().min().unwrap(), *sums.iter().max().unwrap());
        if most > 0 && most >= opened.rules.tag_units_min {
            let key = (shown_txid(&output.outpoint.txid), output.outpoint.vout);
            let figures = (least, most, u128::from(output.value_sat), output.height, output.stop.is_some());
            want.insert(key, figures);
        }
    }
    assert_eq!(tags, want);
}

fn follow(world: &mut World, live: &mut Live, block: &Block) {
    // An answer that does not come changes nothing, and the block can be brought again.
    if world.random.one_in(8) {
        let before = live.snapshot();
        let outputs = core::mem::take(&mut world.outputs);
        let failed = live.block(&block.connected(), world).is_err();
        world.outputs = outputs;
        if failed {
            assert_eq!(live.snapshot(), before);
        } else {
            return;
        }
    }
    live.block(&block.connected(), world).unwrap();
}

fn play(seed: u64, steps: usize) {
    let mut world = World::new(seed, seed.is_multiple_of(2));
    let mut live = Live::new(NET, start());
    let mut feed = Feed::new();
    let mut now = 0;
    for step in 0..steps {
        now += 1;
        match world.random.below(12) {
            0..=3 => {
                let coins = world.coins(true);
                let Some(node) = world.pay(&coins) else { continue };
                assert_eq!(live.pool(&node), Pooled::New);
                assert_eq!(live.pool(&node), Pooled::Known);
                world.pool.push(node);
            }
            // One that spends what others spend that wait: they are replaced.
            4 => {
                let coins = world.coins(false);
                let Some(node) = world.pay(&coins) else { continue };
                live.pool(&node);
                world.pool.insert(0, node);
                world.tidy();
            }
            5 => {
                if world.pool.is_empty() {
                    continue;
                }
                let place = world.random.below(world.pool.len());
                let gone = world.pool.remove(place);
                live.forget(&gone.txid);
                world.tidy();
            }
            6..=8 => {
                let block = world.mine();
                follow(&mut world, &mut live, &block);
                world.tidy();
            }
            9 => reorganise(&mut world, &mut live),
            10 => restart(&mut world, &mut live, &feed),
            _ => open(&mut world, &mut live, step),
        }
        live.refresh(&mut world).unwrap();
        let tell = world.random.one_in(2);
        if tell {
            live.publish(&mut feed, Instant::from_ms(now)).unwrap();
            assert_eq!(live.publish(&mut feed, Instant::from_ms(now)).unwrap(), None);
        }
        compare(&world, &live, tell.then_some(&feed));
    }
}

fn reorganise(world: &mut World, live: &mut Live) {
    let depth = 1 + world.random.below(3);
    let mut returned = Vec::new();
    for _ in 0..depth {
        let Some(block) = world.blocks.pop() else { break };
        let Ok(tip) = live.undo() else {
            // Cases that were opened from a trace cannot go back before it.
            world.blocks.push(block);
            break;
        };
        assert_eq!(tip, world.tip());
        returned.extend(block.nodes.into_iter().filter(|node| !node.inputs.is_empty()));
        live.refresh(world).unwrap();
    }
    world.random.shuffle(&mut returned);
    for node in returned {
        live.pool(&node);
        world.pool.push(node);
    }
    // What the lost coinbases paid is gone, and what descends from it.
    for txid in world.tidy() {
        live.forget(&txid);
    }
    for _ in 0..world.random.below(depth + 2) {
        let block = world.mine();
        follow(world, live, &block);
        world.tidy();
    }
}

/// The engine is stopped and goes on from its snapshot; what waits is announced again, in any order.
fn restart(world: &mut World, live: &mut Live, feed: &Feed) {
    let snapshot = live.snapshot();
    *live = Live::restore(&snapshot).unwrap();
    assert_eq!(live.snapshot(), snapshot);
    let mut pool = world.pool.clone();
    world.random.shuffle(&mut pool);
    for node in &pool {
        live.pool(node);
    }
    live.refresh(world).unwrap();
    live.attach(feed.standing());
}

/// A theft: of what waits, or of what is in blocks, from a batch trace.
fn open(world: &mut World, live: &mut Live, step: usize) {
    if live.cases().count() >= 3 {
        let oldest = live.cases().next().unwrap().case.clone();
        assert!(live.close(&oldest, "returned".parse().unwrap()));
        assert!(!live.close(&oldest, "returned".parse().unwrap()));
        return;
    }
    let waits = world.random.one_in(2);
    let from: Vec<Node> = if waits { world.pool.clone() } else { world.nodes().cloned().collect() };
    let mut seeds = Vec::new();
    for _ in 0..=world.random.below(2) {
        if from.is_empty() {
            return;
        }
        let node = &from[world.random.below(from.len())];
        let index = u32::try_from(world.random.below(node.outputs.len())).unwrap();
        let units = u128::from(node.outputs[usize::try_from(index).unwrap()].value_sat);
        seeds.push(Seed { tx: shown_txid(&node.txid), index, units });
    }
    seeds.sort_unstable_by_key(|seed| (*seed.tx.as_bytes(), seed.index));
    seeds.dedup_by_key(|seed| (seed.tx, seed.index));
    let mut rules = rules(world.random.one_in(3), if world.random.one_in(2) { 0 } else { 1_000_000 });
    rules.hub_outputs_min = (!world.random.one_in(3)).then_some(1_000);
    let opened = opened(&format!("case-{step}"), seeds, rules);
    if waits {
        return live.open(opened).unwrap();
    }
    let graph = world.graph(false);
    let traces: Vec<Trace> =
        Method::ALL.iter().map(|method| world.batch(&graph, &opened, *method).unwrap()).collect();
    let of = |output| {
        let script = graph.script(graph.address(output).unwrap()).unwrap().clone();
        let height = graph.height(graph.creator(output));
        let block = world.blocks.iter().find(|block| block.height == height).unwrap();
        let block = Tip { height, hash: block.hash };
        Spot { script, block, place: "an exchange".parse().unwrap() }
    };
    live.open_traced(opened, &graph, &traces, of).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn live_is_batch_for_all_methods_through_reorganisations_replacements_and_restarts(seed in any::<u64>()) {
        play(seed, 60);
    }
}

#[test]
fn live_is_batch_on_kept_seeds() {
    for seed in 0..12 {
        play(seed, 120);
    }
}

/// A theft of ten coins by transaction 1, followed by FIFO and haircut.
struct Small {
    live: Live,
    feed: Feed,
    values: Values,
    now: u64,
}

/// Values of clean outputs: all are worth the same.
struct Values {
    clean_sat: u64,
    service: Option<Script>,
}

impl Source for Values {
    type Error = core::convert::Infallible;

    fn value_sat(&mut self, _: &OutPoint) -> Result<u64, Self::Error> {
        Ok(self.clean_sat)
    }

    fn stop(&mut self, script: &Script, _: &Opened) -> Result<Option<Words>, Self::Error> {
        Ok((self.service.as_ref() == Some(script)).then(|| "Example Exchange".parse().unwrap()))
    }
}

fn txid(number: u8) -> Txid {
    Txid::from_bytes([number; 32])
}

/// A transaction that spends outputs, by transaction and place, and pays these values to scripts of these numbers.
fn node(number: u8, spends: &[(u8, u32)], pays: &[(u64, usize)]) -> Node {
    let inputs = spends.iter().map(|(of, vout)| OutPoint { txid: txid(*of), vout: *vout }).collect();
    let outputs = pays.iter().map(|(value_sat, to)| TxOut { value_sat: *value_sat, script: script(*to) });
    Node { txid: txid(number), inputs, outputs: outputs.collect() }
}

impl Small {
    fn new(lasts_ms: Option<u64>) -> Self {
        let mut live = Live::new(NET, start());
        let seed = Seed { tx: shown_txid(&txid(1)), index: 0, units: 10 };
        let methods = vec![Method::Haircut, Method::Fifo];
        let rules = Rules { methods, tag_units_min: 2, lasts_ms, ..rules(false, 0) };
        live.open(opened("theft", vec![seed], rules)).unwrap();
        let values = Values { clean_sat: 10, service: Some(script(6)) };
        Self { live, feed: Feed::new(), values, now: 0 }
    }

    fn mine(&mut self, nodes: &[Node]) {
        let tip = self.live.tip();
        let height = tip.height.next().unwrap();
        let mut hash = [0; 32];
        hash[..4].copy_from_slice(&height.blocks().to_le_bytes());
        let block = Connected { height, hash: BlockHash::from_bytes(hash), prev: tip.hash, nodes };
        self.live.block(&block, &mut self.values).unwrap();
    }

    /// What the feed is told, in a few words each, heartbeats left out.
    fn told(&mut self) -> Vec<String> {
        self.live.refresh(&mut self.values).unwrap();
        let standing = self.feed.standing().clone();
        let growth = self.live.publish(&mut self.feed, Instant::from_ms(self.now)).unwrap();
        let name = |subject: &Subject| match subject {
            Subject::Output { tx, index, .. } => format!("{}:{index}", tx.as_bytes()[0]),
            Subject::Account(account) => account.clone(),
        };
        let named = |tags: &[u64]| {
            let name = |number: &u64| {
                let tag = standing.tag(*number).or_else(|| self.feed.standing().tag(*number)).unwrap();
                name(&tag.subject)
            };
            tags.iter().map(name).collect::<Vec<_>>().join(" ")
        };
        let say = |entry: &Entry| match &entry.body {
            Body::Tag(tag) => {
                let since = if tag.since == Since::Mempool { "waiting" } else { "mined" };
                let to = if tag.reach == Reach::Followed { "" } else { " handed over" };
                Some(format!(
                    "{} {}..{} {since}{to}",
                    name(&tag.subject),
                    tag.taint.least(),
                    tag.taint.most()
                ))
            }
            Body::Confirmed { tags, .. } => Some(format!("{} confirmed", named(tags))),
            Body::Revoked { tags, reason } => Some(format!("{} {}", named(tags), reason.name())),
            Body::Closed { .. } => Some("closed".to_owned()),
            Body::Opened(_) => Some("opened".to_owned()),
            Body::Appealed { .. } | Body::Heartbeat { .. } => None,
        };
        growth.iter().flat_map(entries).collect::<Vec<_>>().iter().filter_map(say).collect()
    }
}

/// The new entries, as a reader finds them in the bundles.
fn entries(growth: &Growth) -> Vec<Entry> {
    let mut found = Vec::new();
    for (resource, bytes) in &growth.files {
        let Resource::Entries(bundle) = resource else { continue };
        let numbered = (bundle.start()..).zip(bundle.decode(bytes).unwrap());
        found.extend(numbered.filter(|(number, _)| *number >= growth.first).map(|(_, entry)| entry));
    }
    found.into_iter().map(|entry| Entry::decode(entry).unwrap()).collect()
}

#[test]
fn a_tag_lives_from_the_mempool_to_its_spend_and_ends_with_the_reason() {
    let mut small = Small::new(None);
    let theft = node(1, &[(9, 0)], &[(10, 1)]);
    assert_eq!(small.told(), ["opened"]);
    small.live.pool(&theft);
    assert_eq!(small.told(), ["1:0 10..10 waiting"]);
    // Ten stolen and ten clean units: FIFO sends the stolen ones first, haircut half to each.
    let split = node(2, &[(1, 0), (8, 0)], &[(10, 2), (7, 3), (3, 4)]);
    small.live.pool(&split);
    // 2:2 has one or two tainted units by haircut and none by FIFO.
    assert_eq!(small.told(), ["2:0 5..10 waiting", "2:1 0..4 waiting"]);
    small.mine(&[node(50, &[], &[(1, 0)]), theft.clone()]);
    assert_eq!(small.told(), ["1:0 confirmed"]);
    // Another transaction takes the place of the one that waits.
    let other = node(3, &[(1, 0)], &[(10, 5)]);
    small.live.pool(&other);
    assert_eq!(small.told(), ["3:0 10..10 waiting", "2:0 2:1 replaced"]);
    small.mine(&[node(51, &[], &[(1, 0)]), other.clone()]);
    assert_eq!(small.told(), ["3:0 confirmed", "1:0 spent"]);
    small.live.undo().unwrap();
    assert_eq!(small.told(), ["1:0 10..10 mined", "3:0 10..10 waiting", "3:0 reorganised"]);
    // The first one is mined after all: what waits against it is gone. One of its outputs goes to a service.
    let split = node(2, &[(1, 0), (8, 0)], &[(10, 6), (7, 3), (3, 4)]);
    small.mine(&[node(52, &[], &[(1, 0)]), split]);
    let want = ["2:0 5..10 mined handed over", "2:1 0..4 mined", "3:0 replaced", "1:0 spent"];
    assert_eq!(small.told(), want);
    // What leaves the service is not tagged, and its deposit stays tagged.
    small.mine(&[node(53, &[], &[(1, 0)]), node(4, &[(2, 0)], &[(10, 1)])]);
    assert!(small.told().is_empty());
    small.live.close(&"theft".parse().unwrap(), "returned".parse().unwrap());
    assert_eq!(small.told(), ["closed"]);
    assert_eq!(small.feed.standing().tags().count(), 0);
}

#[test]
fn a_child_that_comes_before_its_parent_is_tagged_when_the_parent_comes_or_is_mined() {
    let child = node(2, &[(1, 0)], &[(10, 2)]);
    for mined in [false, true] {
        let mut small = Small::new(None);
        small.live.pool(&child);
        assert_eq!(small.told(), ["opened"]);
        let theft = node(1, &[(9, 0)], &[(10, 1)]);
        let want = if mined {
            small.mine(&[node(50, &[], &[(1, 0)]), theft]);
            ["1:0 10..10 mined", "2:0 10..10 waiting"]
        } else {
            small.live.pool(&theft);
            ["1:0 10..10 waiting", "2:0 10..10 waiting"]
        };
        assert_eq!(small.told(), want);
    }
}

#[test]
fn a_tag_that_still_holds_is_given_again_at_half_of_its_time_and_a_deposit_is_let_go() {
    let mut small = Small::new(Some(100));
    let theft = node(1, &[(9, 0)], &[(10, 1), (10, 6)]);
    small.mine(&[node(50, &[], &[(1, 0)]), theft, node(2, &[(1, 0)], &[(6, 2), (4, 6)])]);
    small.now = 1_000;
    assert_eq!(small.told(), ["opened", "2:0 6..6 mined", "2:1 4..4 mined handed over"]);
    for (now, want) in [(1_049, 0), (1_050, 2), (1_051, 0), (1_099, 0), (1_100, 2), (9_999, 2)] {
        small.now = now;
        assert_eq!(small.told().len(), want, "{now}");
    }
    let live: Vec<_> = small.feed.standing().live(Instant::from_ms(9_999)).map(|(_, tag)| tag).collect();
    assert_eq!(live.len(), 1);
    assert_eq!(live[0].expires, Some(Instant::from_ms(10_099)));
}

#[test]
fn blocks_that_do_not_follow_and_blocks_too_deep_are_refused() {
    let mut small = Small::new(None);
    let tip = small.live.tip();
    let stranger = BlockHash::from_bytes([7; 32]);
    for (height, prev) in [(100, stranger), (101, tip.hash), (99, tip.hash)] {
        let block = Connected { height: Height::new(height), hash: stranger, prev, nodes: &[] };
        let error = small.live.block(&block, &mut small.values).unwrap_err();
        assert_eq!(error, StepError::NotNext { found: stranger, tip: tip.hash });
    }
    assert!(small.live.undo().is_err());
    for _ in 0..=UNDO_BLOCKS_MAX {
        small.mine(&[]);
    }
    for _ in 0..UNDO_BLOCKS_MAX {
        small.live.undo().unwrap();
    }
    assert!(small.live.undo().is_err());
    assert_eq!(small.live.tip().height, Height::new(100));
}

#[test]
fn a_snapshot_that_is_cut_or_changed_is_refused() {
    let mut small = Small::new(None);
    small.mine(&[node(50, &[], &[(1, 0)]), node(1, &[(9, 0)], &[(10, 1)])]);
    let snapshot = small.live.snapshot();
    let refused = |bytes: &[u8]| matches!(Live::restore(bytes), Err(KeptError { .. }));
    for place in 0..snapshot.len() {
        let mut changed = snapshot.clone();
        changed[place] ^= 0x10;
        assert!(refused(&changed) && refused(&snapshot[..place]), "{place}");
    }
    assert_eq!(Live::restore(&snapshot).unwrap().snapshot(), snapshot);
}

#[test]
fn dust_to_bystanders_gives_them_no_tag_however_many_they_are() {
    // As on 30 January 2018: of 523 million stolen, 100 each go to nine strangers, so that whatever marks every recipient
    // marks them too.
    let mut small = Small::new(None);
    small.live.close(&"theft".parse().unwrap(), "another".parse().unwrap());
    let seed = Seed { tx: shown_txid(&txid(1)), index: 0, units: 523_000_000 };
    for (name, dust_units, tag_units_min) in
        [("all", 0, 1), ("tagged", 0, 101), ("at", 0, 100), ("dropped", 101, 0)]
    {
        let rules = Rules { tag_units_min, ..rules(false, dust_units) };
        small.live.open(opened(name, vec![seed], rules)).unwrap();
    }
    let mut pays = vec![(523_000_000 - 900, 0)];
    pays.extend((1..6).chain(1..5).map(|stranger| (100, stranger)));
    let nodes =
        [node(50, &[], &[(1, 0)]), node(1, &[(9, 0)], &[(523_000_000, 1)]), node(2, &[(1, 0)], &pays)];
    small.mine(&nodes);
    small.told();
    for (name, want) in [("all", 10), ("tagged", 1), ("at", 10), ("dropped", 1)] {
        let tags = small.feed.standing().tags().filter(|(_, tag)| tag.case.as_str() == name);
        assert_eq!(tags.count(), want, "{name}");
    }
}
