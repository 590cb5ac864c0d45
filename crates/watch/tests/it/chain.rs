//! Following a node: order, reorganisations, lies and silence.

use std::collections::{BTreeSet, VecDeque};

use kuraban_base::{Height, Instant};
use kuraban_chain::btc::{BlockHash, Header, MerkleError, Mweb, Network, OutPoint, Script, Tx, TxIn, TxOut};
use kuraban_vault::signer::Clock;
use kuraban_watch::chain::{
    BLOCKS_IN_FLIGHT_MAX, Chain, Fact, FromNode, Lie, Output, Position, RestoreError, Settings,
    SettingsError, Stall, Status, ToNode, TxRef, UNDO_BLOCKS_MAX,
};
use proptest::prelude::*;

use crate::{
    kit,
    node::{Node, grind},
};

const NETWORK: Network = Network::BtcRegtest;
const STALL_MS: u64 = 1000;
const POLL_MS: u64 = 200;
const BLOCK_MS_MAX: u64 = 10_000;

fn clock(now_ms: u64) -> Clock {
    Clock { wall: kit::NOW.plus_ms(now_ms), monotonic_ms: now_ms }
}

fn settings(node: &Node) -> Settings {
    let network = NETWORK;
    let birthday = node.birthday();
    Settings { network, birthday, poll_ms: POLL_MS, stall_ms: STALL_MS, block_ms_max: BLOCK_MS_MAX }
}

/// A chain and its node, with everything delivered in order, and the facts as they came.
struct Link {
    node: Node,
    chain: Chain,
    now_ms: u64,
    facts: Vec<Fact>,
    sent: Vec<ToNode>,
    /// The connected blocks as the facts add up to them.
    stack: Vec<Position>,
}

impl Link {
    fn new(node: Node) -> Self {
        let chain = Chain::new(settings(&node), 0).unwrap();
        Self { node, chain, now_ms: 0, facts: Vec::new(), sent: Vec::new(), stack: Vec::new() }
    }

    /// One step; says what is to be sent.
    fn step(&mut self, from: FromNode) -> Vec<ToNode> {
        let mut send = Vec::new();
        for output in self.chain.step(clock(self.now_ms), from) {
            match output {
                Output::Send(message) => send.push(message),
                Output::Fact(fact) => self.note(fact),
            }
        }
        self.sent.extend(send.clone());
        send
    }

    fn note(&mut self, fact: Fact) {
        match &fact {
            Fact::Connected { height, hash, block } => {
                let below = self.stack.last().map_or(self.node.birthday(), |last| *last);
                assert_eq!((block.hash(), block.header.prev), (*hash, below.hash));
                assert_eq!(Some(*height), below.height.next());
                self.stack.push(Position { height: *height, hash: *hash });
            }
            Fact::Disconnected { height, hash } => {
                assert_eq!(self.stack.pop(), Some(Position { height: *height, hash: *hash }));
            }
            Fact::Seen(_)
            | Fact::CaughtUp { .. }
            | Fact::Behind
            | Fact::Stalled { .. }
            | Fact::Resumed { .. } => {}
        }
        self.facts.push(fact);
    }

    /// One message, and the node's answers to everything that follows.
    fn deliver(&mut self, from: FromNode) {
        let mut queue = VecDeque::from([from]);
        while let Some(from) = queue.pop_front() {
            for message in self.step(from) {
                queue.extend(self.node.answer(&message));
            }
        }
    }

    fn wait(&mut self, ms: u64) {
        self.now_ms += ms;
        self.deliver(FromNode::Tick);
    }

    fn connect(&mut self) {
        self.deliver(self.node.ready());
    }

    fn assert_follows(&self) {
        assert_eq!(self.chain.status(), Status::Following);
        assert_eq!(self.chain.tip(), self.node.tip());
        let hashes: Vec<BlockHash> = self.stack.iter().map(|position| position.hash).collect();
        assert_eq!(hashes, self.node.active[1..]);
    }
}

fn mined(blocks: usize) -> Node {
    let mut node = Node::new(NETWORK);
    node.grow(blocks);
    node
}

fn stray(number: u8) -> Tx {
    let prev = OutPoint { txid: kuraban_base::Txid::from_bytes([number; 32]), vout: 0 };
    let input = TxIn { prev, script_sig: Script::default(), sequence: u32::MAX, witness: Vec::new() };
    let outputs = vec![TxOut { value_sat: 1, script: Script::new(vec![0x51]) }];
    Tx { version: 2, inputs: vec![input], outputs, lock_time: 0, mweb: Mweb::None }
}

#[test]
fn every_block_is_connected_in_order_and_few_are_in_flight() {
    let mut link = Link::new(mined(50));
    link.connect();
    link.assert_follows();
    assert_eq!(link.facts.last(), Some(&Fact::CaughtUp { tip: link.node.tip() }));
    let most = link.sent.iter().map(|message| match message {
        ToNode::GetBlocks(hashes) => hashes.len(),
        ToNode::GetHeaders(_) | ToNode::GetTxs(_) | ToNode::AskMempool | ToNode::Close(_) => 0,
    });
    assert_eq!(most.max(), Some(BLOCKS_IN_FLIGHT_MAX));
    assert_eq!(link.sent.iter().filter(|message| **message == ToNode::AskMempool).count(), 1);
}

#[test]
fn never_more_blocks_are_asked_for_than_may_be_in_flight() {
    let mut link = Link::new(mined(40));
    let mut asked = BTreeSet::new();
    let mut queue = VecDeque::from([link.node.ready()]);
    // The blocks of each question come back in reverse order.
    while let Some(from) = queue.pop_front() {
        if let FromNode::Block(block) = &from {
            asked.remove(&block.hash());
        }
        for message in link.step(from) {
            if let ToNode::GetBlocks(hashes) = &message {
                asked.extend(hashes.clone());
                assert!(asked.len() <= BLOCKS_IN_FLIGHT_MAX);
            }
            queue.extend(link.node.answer(&message).into_iter().rev());
        }
    }
    link.assert_follows();
}

#[test]
fn more_headers_than_one_message_holds_are_followed() {
    let mut link = Link::new(mined(2100));
    link.connect();
    link.assert_follows();
    assert!(link.stack.len() > UNDO_BLOCKS_MAX);
    link.node.undo(UNDO_BLOCKS_MAX - 1);
    link.node.grow(UNDO_BLOCKS_MAX);
    link.wait(POLL_MS);
    link.assert_follows();
}

#[test]
fn a_reorganisation_deeper_than_can_be_undone_is_a_stall() {
    let mut link = Link::new(mined(UNDO_BLOCKS_MAX + 10));
    link.connect();
    link.node.undo(UNDO_BLOCKS_MAX + 1);
    link.node.grow(UNDO_BLOCKS_MAX + 2);
    let before = link.stack.len();
    link.deliver(link.node.headers(1));
    assert_eq!(link.stack.len(), before);
    for _ in 0..20 {
        link.wait(POLL_MS);
    }
    assert!(matches!(link.chain.status(), Status::Stalled(_)));
    assert_eq!(link.stack.len(), before);
}

#[test]
fn the_branch_with_more_work_wins_and_one_with_as_much_does_not() {
    let mut link = Link::new(mined(10));
    link.connect();
    link.node.undo(2);
    link.node.mine(Vec::new());
    link.node.mine(Vec::new());
    let before = link.stack.clone();
    link.deliver(link.node.headers(2));
    assert_eq!(link.stack, before);
    link.node.mine(Vec::new());
    link.facts.clear();
    link.deliver(link.node.headers(1));
    link.assert_follows();
    let kinds: Vec<_> = link.facts.iter().map(|fact| matches!(fact, Fact::Disconnected { .. })).collect();
    assert_eq!(kinds, [true, true, false, false, false]);
}

#[test]
fn nothing_is_undone_before_the_other_branch_is_here() {
    let mut link = Link::new(mined(5));
    link.connect();
    link.node.undo(2);
    link.node.grow(3);
    let before = link.stack.clone();
    let sent = link.step(link.node.headers(3));
    assert_eq!(link.stack, before);
    let [ToNode::GetBlocks(hashes)] = sent.as_slice() else { panic!("{sent:?}") };
    assert_eq!(hashes.len(), 3);
    // The second and third alone connect nothing.
    for hash in &hashes[1..] {
        link.step(FromNode::Block(Box::new(link.node.blocks[hash].clone())));
        assert_eq!(link.stack, before);
    }
    link.deliver(FromNode::Block(Box::new(link.node.blocks[&hashes[0]].clone())));
    link.assert_follows();
}

#[test]
fn headers_without_work_are_refused() {
    let mut link = Link::new(mined(3));
    link.connect();
    link.node.mine(Vec::new());
    let honest = link.node.blocks[&link.node.tip().hash].header;
    let mut lie = |headers: Vec<Header>| {
        link.deliver(link.node.ready());
        let sent = link.step(FromNode::Headers(headers));
        let [ToNode::Close(lie)] = sent.as_slice() else { panic!("{sent:?}") };
        assert_eq!(link.stack.len(), 4);
        lie.clone()
    };
    let mut idle = Header { prev: honest.hash(), ..honest };
    while kuraban_chain::btc::pow::judge(NETWORK, &idle).is_ok() {
        idle.nonce += 1;
    }
    assert!(matches!(lie(vec![idle]), Lie::Work { .. }));
    let hard = Header { prev: honest.hash(), bits: 0x1d00_ffff, ..honest };
    assert!(matches!(lie(vec![hard]), Lie::Work { .. }));
    let easy = Header { prev: honest.hash(), bits: 0x2100_ffff, ..honest };
    assert!(matches!(lie(vec![easy]), Lie::Work { .. }));
    assert!(matches!(lie(vec![honest, honest]), Lie::Gap { .. }));
    assert_eq!(lie(vec![honest; 2001]), Lie::TooMany);
}

#[test]
fn headers_that_never_connect_end_the_connection() {
    let mut link = Link::new(mined(3));
    link.connect();
    let stray = grind(
        NETWORK,
        Header { prev: BlockHash::from_bytes([9; 32]), ..link.node.blocks.values().next().unwrap().header },
    );
    for _ in 0..10 {
        let sent = link.step(FromNode::Headers(vec![stray]));
        assert!(matches!(sent.as_slice(), [ToNode::GetHeaders(_)]), "{sent:?}");
    }
    let sent = link.step(FromNode::Headers(vec![stray]));
    assert!(matches!(sent.as_slice(), [ToNode::Close(Lie::Unconnected { .. })]), "{sent:?}");
}

/// The first header of Bitcoin's main network, a published fact.
fn genesis() -> Header {
    Header {
        version: 1,
        prev: BlockHash::ZERO,
        merkle_root: "4a5e1e4baab89f3a32518a88c31bc87f618f76673e2cc77ab2127b7afdeda33b".parse().unwrap(),
        time_s: 1_231_006_505,
        bits: 0x1d00_ffff,
        nonce: 2_083_236_893,
    }
}

#[test]
fn the_first_blocks_of_the_main_network_connect_and_easy_ones_do_not() {
    // Height 1 of Bitcoin's main network, a published fact; the genesis header comes first, for its target.
    let network = Network::BtcMain;
    let genesis = genesis();
    let first = Header {
        version: 1,
        prev: genesis.hash(),
        merkle_root: "0e3e2357e806b6cdb1f70b54c3a3a17b6714ee1f0e68bebb44a74b1efd512098".parse().unwrap(),
        time_s: 1_231_469_665,
        bits: 0x1d00_ffff,
        nonce: 2_573_394_689,
    };
    let birthday = Position { height: Height::new(0), hash: network.genesis_hash() };
    let settings =
        Settings { network, birthday, poll_ms: POLL_MS, stall_ms: STALL_MS, block_ms_max: BLOCK_MS_MAX };
    let mut chain = Chain::new(settings, 0).unwrap();
    let ask = chain.step(clock(0), FromNode::Ready { height: Height::new(1) });
    assert_eq!(ask, [Output::Send(ToNode::GetBlocks(vec![genesis.hash()]))]);
    // No header is judged before the one it is measured against is here.
    assert_eq!(chain.step(clock(0), FromNode::Headers(vec![first])), []);
    let block = kuraban_chain::btc::Block { header: genesis, txs: vec![stray(0)], extension: None };
    let ask = chain.step(clock(0), FromNode::Block(Box::new(block)));
    assert_eq!(ask, [Output::Send(ToNode::GetHeaders(vec![genesis.hash()]))]);
    let ask = chain.step(clock(0), FromNode::Headers(vec![first]));
    assert_eq!(ask, [Output::Send(ToNode::GetBlocks(vec![first.hash()]))]);
    let easy = Header { bits: 0x207f_ffff, prev: first.hash(), ..first };
    let out = chain.step(clock(0), FromNode::Headers(vec![easy]));
    assert!(matches!(out.as_slice(), [Output::Send(ToNode::Close(Lie::Work { .. }))]), "{out:?}");
}

#[test]
fn litecoin_is_followed_by_its_own_work() {
    let mut node = Node::new(Network::LtcRegtest);
    node.grow(3);
    let settings = Settings { network: Network::LtcRegtest, ..settings(&node) };
    let mut link = Link { chain: Chain::new(settings, 0).unwrap(), ..Link::new(node) };
    link.connect();
    link.assert_follows();
}

#[test]
fn a_block_that_is_not_what_its_header_names_is_refused_and_asked_for_again() {
    let mut link = Link::new(mined(2));
    link.connect();
    let hash = link.node.mine(vec![stray(1)]);
    let mut bent = link.node.blocks[&hash].clone();
    bent.txs[1].outputs[0].value_sat += 1;
    link.step(link.node.headers(1));
    let sent = link.step(FromNode::Block(Box::new(bent)));
    let [ToNode::Close(Lie::Block { problem, .. })] = sent.as_slice() else { panic!("{sent:?}") };
    assert!(matches!(problem, MerkleError::Root { .. }));
    assert!(!link.chain.is_current());
    assert_eq!(link.stack.len(), 2);
    link.connect();
    link.assert_follows();
    // Blocks that nobody asked for change nothing.
    let other = link.node.blocks[&link.node.active[1]].clone();
    assert_eq!(link.step(FromNode::Block(Box::new(other))), []);
}

#[test]
fn silence_is_a_stall_at_the_bound_and_is_told_once() {
    let mut link = Link::new(mined(2));
    link.connect();
    link.facts.clear();
    let mut silent_until = |now_ms: u64| {
        link.now_ms = now_ms;
        link.step(FromNode::Tick);
        (link.chain.status(), core::mem::take(&mut link.facts))
    };
    assert_eq!(silent_until(STALL_MS), (Status::Following, vec![]));
    let why = Stall::Silent;
    let stalled = vec![Fact::Stalled { since_ms: 0, why }];
    assert_eq!(silent_until(STALL_MS + 1), (Status::Stalled(why), stalled));
    assert_eq!(silent_until(5 * STALL_MS), (Status::Stalled(why), vec![]));
    assert!(link.sent.contains(&ToNode::Close(Lie::Silent { silent_ms: STALL_MS + 1 })));
    link.node.mine(Vec::new());
    link.connect();
    link.assert_follows();
    assert_eq!(link.facts.last(), Some(&Fact::Resumed { tip: link.node.tip() }));
}

#[test]
fn a_node_that_answers_keeps_the_chain_current() {
    let mut link = Link::new(mined(2));
    link.connect();
    while link.now_ms < BLOCK_MS_MAX {
        link.wait(POLL_MS);
        assert!(link.chain.is_current());
    }
    // It still answers, but a network without blocks is nothing to rely on.
    link.wait(POLL_MS);
    assert_eq!(link.chain.status(), Status::Stalled(Stall::NoBlocks));
    link.wait(POLL_MS);
    assert_eq!(link.chain.status(), Status::Stalled(Stall::NoBlocks));
    link.node.mine(Vec::new());
    link.deliver(link.node.headers(1));
    link.assert_follows();
}

/// How far the tip's time may be from the time of day.
const APART_MS_MAX: u64 = BLOCK_MS_MAX + 2 * 3_600_000;

#[test]
fn a_tip_is_followed_only_on_its_own_day() {
    let check = |wall: Instant, want: Status| {
        let node = mined(3);
        let mut chain = Chain::new(settings(&node), 0).unwrap();
        let clock = Clock { wall, monotonic_ms: 0 };
        let mut queue = VecDeque::from([node.ready()]);
        while let Some(from) = queue.pop_front() {
            for output in chain.step(clock, from) {
                if let Output::Send(message) = output {
                    queue.extend(node.answer(&message));
                }
            }
        }
        assert_eq!((chain.tip(), chain.is_current()), (node.tip(), want == Status::Following));
        chain.step(clock, FromNode::Tick);
        assert_eq!(chain.status(), want, "{wall}");
    };
    let tip = kit::NOW.plus_ms(3000).ms();
    check(Instant::from_ms(tip + APART_MS_MAX), Status::Following);
    check(Instant::from_ms(tip + APART_MS_MAX + 1), Status::Stalled(Stall::Past));
    check(Instant::from_ms(tip - APART_MS_MAX), Status::Following);
    check(Instant::from_ms(tip - APART_MS_MAX - 1), Status::Stalled(Stall::Past));
}

/// Old blocks hold work: a node that has them can show them as slowly as it likes.
#[test]
fn a_node_that_shows_old_blocks_one_by_one_is_never_followed() {
    let day_s = 86_400;
    let mut node = Node::new(NETWORK);
    node.time_s -= day_s;
    let mut link = Link::new(node);
    link.connect();
    link.facts.clear();
    for _ in 0..50 {
        link.node.mine(Vec::new());
        link.wait(BLOCK_MS_MAX / 20);
        assert!(!link.chain.is_current());
        assert_eq!(link.chain.tip(), link.node.tip());
    }
    assert_eq!(link.chain.status(), Status::Stalled(Stall::Past));
    let stalled = |fact: &&Fact| matches!(fact, Fact::Stalled { .. });
    assert_eq!(link.facts.iter().filter(stalled).count(), 1);
    link.node.time_s += day_s;
    link.node.mine(Vec::new());
    link.wait(POLL_MS);
    link.assert_follows();
    assert_eq!(link.facts.last(), Some(&Fact::Resumed { tip: link.node.tip() }));
    // Blocks that come in time do not help where their own time falls back.
    link.node.time_s -= day_s;
    link.node.mine(Vec::new());
    link.wait(POLL_MS);
    link.wait(POLL_MS);
    assert_eq!(link.chain.status(), Status::Stalled(Stall::Past));
}

#[test]
fn a_birthday_alone_is_followed_on_its_day_and_never_where_its_header_is_not_known() {
    let check = |network: Network, wall: Instant, want: Status| {
        let birthday = Position { height: Height::new(0), hash: network.genesis_hash() };
        let settings =
            Settings { network, birthday, poll_ms: POLL_MS, stall_ms: STALL_MS, block_ms_max: BLOCK_MS_MAX };
        let mut chain = Chain::new(settings, 0).unwrap();
        let clock = Clock { wall, monotonic_ms: 0 };
        chain.step(clock, FromNode::Ready { height: Height::new(0) });
        let block = kuraban_chain::btc::Block { header: genesis(), txs: vec![stray(0)], extension: None };
        chain.step(clock, FromNode::Block(Box::new(block)));
        chain.step(clock, FromNode::Headers(Vec::new()));
        chain.step(clock, FromNode::Tick);
        assert_eq!(chain.status(), want, "{network} at {wall}");
    };
    let birth = Instant::from_ms(u64::from(genesis().time_s) * 1000);
    let past = Status::Stalled(Stall::Past);
    check(Network::BtcMain, birth.plus_ms(APART_MS_MAX), Status::Following);
    check(Network::BtcMain, birth.plus_ms(APART_MS_MAX + 1), past);
    check(Network::BtcRegtest, kit::NOW, past);
}

#[test]
fn a_node_that_is_gone_or_lost_its_blocks_is_a_stall_of_its_own_kind() {
    let mut link = Link::new(mined(5));
    link.connect();
    link.deliver(FromNode::Closed);
    assert!(!link.chain.is_current());
    assert_eq!(link.chain.status(), Status::Following);
    link.now_ms += STALL_MS + 1;
    link.step(FromNode::Tick);
    assert_eq!(link.chain.status(), Status::Stalled(Stall::Gone));
    link.connect();
    link.assert_follows();
    link.node.undo(3);
    link.deliver(FromNode::Closed);
    link.connect();
    for _ in 0..6 {
        link.wait(POLL_MS);
    }
    assert_eq!(link.chain.status(), Status::Stalled(Stall::Behind));
    assert_eq!(link.stack.len(), 5);
}

#[test]
fn transactions_are_seen_once_and_only_after_the_blocks() {
    let mut link = Link::new(mined(3));
    let early = stray(1);
    link.node.mempool.push(early.clone());
    link.step(link.node.ready());
    assert_eq!(link.step(Node::announce(&early)), []);
    assert_eq!(link.step(FromNode::Tx(Box::new(early.clone()))), []);
    // Once the blocks are in, the whole mempool is asked for.
    link.connect();
    let late = stray(2);
    link.node.mempool.push(late.clone());
    for _ in 0..2 {
        link.deliver(Node::announce(&late));
        link.deliver(FromNode::Tx(Box::new(late.clone())));
    }
    link.connect();
    let seen: Vec<&Tx> = link
        .facts
        .iter()
        .filter_map(|fact| match fact {
            Fact::Seen(tx) => Some(&**tx),
            Fact::Connected { .. }
            | Fact::Disconnected { .. }
            | Fact::CaughtUp { .. }
            | Fact::Behind
            | Fact::Stalled { .. }
            | Fact::Resumed { .. } => None,
        })
        .collect();
    assert_eq!(seen, [&early, &late]);
}

#[test]
fn a_transaction_with_another_witness_is_another_transaction() {
    let mut link = Link::new(mined(1));
    link.connect();
    let plain = stray(1);
    let mut other = plain.clone();
    other.inputs[0].witness = vec![vec![1]];
    assert_eq!(plain.txid(), other.txid());
    for tx in [&plain, &other] {
        let announced = FromNode::Inv { blocks: Vec::new(), txs: vec![TxRef::Txid(tx.txid())] };
        assert_eq!(link.step(announced), [ToNode::GetTxs(vec![TxRef::Txid(tx.txid())])]);
        link.step(FromNode::Tx(Box::new(tx.clone())));
    }
    assert_eq!(link.facts.iter().filter(|fact| matches!(fact, Fact::Seen(_))).count(), 2);
}

#[test]
fn a_restart_goes_on_where_it_was_and_follows_what_happened_meanwhile() {
    let mut link = Link::new(mined(6));
    link.connect();
    let headers: Vec<Header> = link.stack.iter().map(|at| link.node.blocks[&at.hash].header).collect();
    link.node.undo(2);
    link.node.grow(5);
    let mut again = Link::new(link.node.clone());
    for (header, position) in headers.iter().zip(&link.stack) {
        assert_eq!(again.chain.restore_connected(header), Ok(*position));
    }
    again.stack = link.stack.clone();
    let tip = again.chain.tip();
    again.connect();
    again.assert_follows();
    assert_eq!(again.facts.iter().filter(|fact| matches!(fact, Fact::Connected { .. })).count(), 5);
    let (hash, wrong) = (headers[0].hash(), again.chain.tip().hash);
    assert_eq!(again.chain.restore_connected(&headers[0]), Err(RestoreError::Header { hash, tip: wrong }));
    assert_eq!(
        again.chain.restore_disconnected(tip.hash),
        Err(RestoreError::NotTip { hash: tip.hash, tip: wrong })
    );
    assert_eq!(again.chain.restore_disconnected(wrong), Ok(()));
}

#[test]
fn settings_that_contradict_each_other_are_refused() {
    let node = Node::new(NETWORK);
    let check = |poll_ms, stall_ms, block_ms_max, want: Option<SettingsError>| {
        let settings = Settings { poll_ms, stall_ms, block_ms_max, ..settings(&node) };
        assert_eq!(Chain::new(settings, 0).err(), want);
    };
    check(500, 1000, 1000, None);
    check(501, 1000, 1000, Some(SettingsError::Poll { poll_ms: 501, stall_ms: 1000 }));
    check(0, 1000, 1000, Some(SettingsError::Poll { poll_ms: 0, stall_ms: 1000 }));
    check(500, 1000, 999, Some(SettingsError::Block { block_ms_max: 999, stall_ms: 1000 }));
}

/// What may happen between a chain and its node.
#[derive(Clone, Debug)]
enum Happening {
    Mine(usize),
    Reorganise {
        depth: usize,
        more: usize,
    },
    Announce(usize),
    Reconnect,
    /// The next answers are lost with the connection.
    Cut,
    Wait,
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        (1_usize..4).prop_map(Happening::Mine),
        (1_usize..6, 1_usize..4).prop_map(|(depth, more)| Happening::Reorganise { depth, more }),
        (1_usize..8).prop_map(Happening::Announce),
        Just(Happening::Reconnect),
        Just(Happening::Cut),
        Just(Happening::Wait),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn whatever_happens_the_facts_add_up_to_the_nodes_chain(happenings in prop::collection::vec(happening(), 1..40)) {
        let mut link = Link::new(mined(3));
        link.connect();
        for happening in happenings {
            match happening {
                Happening::Mine(count) => link.node.grow(count),
                Happening::Reorganise { depth, more } => {
                    let depth = depth.min(link.node.active.len() - 1);
                    link.node.undo(depth);
                    link.node.grow(depth + more);
                }
                Happening::Announce(count) => link.deliver(link.node.headers(count)),
                Happening::Reconnect => link.connect(),
                Happening::Cut => {
                    link.step(link.node.headers(3));
                    link.deliver(FromNode::Closed);
                    link.connect();
                }
                Happening::Wait => link.wait(POLL_MS),
            }
        }
        link.connect();
        link.assert_follows();
    }
}
