//! What holds with every node, real or embedded: one suite for all.

use std::{
    sync::mpsc::Receiver,
    time::{Duration, Instant},
};

use kuraban_base::Height;
use kuraban_chain::btc::{
    Address, Block, BlockHash, Branch, Descriptor, Digests, EcdsaSighash, Header, Mweb, Network, OutPoint,
    Script, Tx, TxIn, TxOut, XPriv, pow,
};
use kuraban_node::{
    p2p::{Arrived, Client, Closed, Event, Ready, Request, RequestError, Settings},
    rpc::{Acceptance, FeeEstimate, Rpc, RpcError, Sent},
};

const WITHIN: Duration = Duration::from_secs(30);

/// Where a node is reached.
pub(crate) struct Node {
    pub(crate) network: Network,
    pub(crate) p2p: String,
    pub(crate) rpc: Rpc,
}

impl Node {
    pub(crate) fn connect(&self) -> Peer {
        let (client, events) = Client::start(Settings::near(self.network, self.p2p.clone())).unwrap();
        let mut peer = Peer { client, events };
        peer.ready();
        peer
    }

    /// Makes blocks that pay to the script.
    pub(crate) fn mine(&self, blocks: u32, script: &Script) -> Vec<BlockHash> {
        let address = Address::from_script(self.network, script).unwrap();
        self.rpc.generate(blocks, &address.to_string()).unwrap()
    }
}

/// A connection to a node.
pub(crate) struct Peer {
    client: Client,
    events: Receiver<Arrived>,
}

impl Peer {
    /// Waits for the event of which `pick` makes something, and passes over others.
    #[track_caller]
    pub(crate) fn wait<T>(&mut self, what: &str, mut pick: impl FnMut(Event) -> Option<T>) -> T {
        let start = Instant::now();
        loop {
            let left = WITHIN.checked_sub(start.elapsed()).unwrap_or_else(|| panic!("no {what} came"));
            let Arrived { at, event } =
                self.events.recv_timeout(left).unwrap_or_else(|_| panic!("no {what} came"));
            assert!(at <= Instant::now());
            if let Some(picked) = pick(event) {
                return picked;
            }
        }
    }

    fn ready(&mut self) -> Ready {
        self.wait("introduction", |event| match event {
            Event::Ready(ready) => Some(ready),
            _ => None,
        })
    }

    fn ask(&self, request: Request) {
        self.client.tell(request).unwrap();
    }

    fn headers_after(&mut self, have: &[BlockHash]) -> Vec<Header> {
        self.ask(Request::Headers { have: have.to_vec(), stop: BlockHash::ZERO });
        self.announced_headers()
    }

    fn announced_headers(&mut self) -> Vec<Header> {
        self.wait("headers", |event| match event {
            Event::Headers(headers) => Some(headers),
            _ => None,
        })
    }

    pub(crate) fn block(&mut self, hash: BlockHash) -> Block {
        self.ask(Request::Blocks(vec![hash]));
        self.wait("block", |event| match event {
            Event::Block(block) if block.hash() == hash => Some(*block),
            _ => None,
        })
    }

    /// Waits until the node announces the transaction.
    #[track_caller]
    pub(crate) fn announced(&mut self, tx: &Tx) -> Instant {
        let txid = tx.txid();
        self.wait("announcement", |event| match event {
            Event::InvTx(txids) if txids.contains(&txid) => Some(Instant::now()),
            _ => None,
        })
    }

    fn fetched(&mut self, tx: &Tx) -> Tx {
        let txid = tx.txid();
        self.ask(Request::Txs(vec![txid]));
        self.wait("transaction", |event| match event {
            Event::Tx(tx) if tx.txid() == txid => Some(*tx),
            Event::NotFound { txs, .. } if txs.contains(&txid) => panic!("node does not have {txid}"),
            _ => None,
        })
    }
}

/// A vault of three keys of which two sign.
pub(crate) struct Vault {
    network: Network,
    keys: Vec<XPriv>,
    descriptor: Descriptor,
}

impl Vault {
    pub(crate) fn new(network: Network) -> Self {
        let keys: Vec<XPriv> = (1..=3).map(|seed| XPriv::from_seed(network, &[seed; 32]).unwrap()).collect();
        let xpubs: Vec<String> = keys.iter().map(|key| format!("{}/<0;1>/*", key.xpub())).collect();
        let text = format!("wsh(sortedmulti(2,{}))", xpubs.join(","));
        Self { network, keys, descriptor: Descriptor::parse(network, &text).unwrap() }
    }

    pub(crate) const fn network(&self) -> Network {
        self.network
    }

    pub(crate) fn script(&self, index: u32) -> Script {
        self.descriptor.script_at(Branch::Receive, index).unwrap()
    }

    /// Spends outputs on receiving scripts, named by their index.
    pub(crate) fn spend(&self, coins: &[(OutPoint, TxOut, u32)], outputs: Vec<TxOut>, lock_time: u32) -> Tx {
        let input = |(prev, _, _): &(OutPoint, TxOut, u32)| TxIn {
            prev: *prev,
            script_sig: Script::default(),
            sequence: 0xffff_fffd,
            witness: Vec::new(),
        };
        let inputs = coins.iter().map(input).collect();
        let unsigned = Tx { version: 2, inputs, outputs, lock_time, mweb: Mweb::None };
        let prevouts: Vec<TxOut> = coins.iter().map(|(_, output, _)| output.clone()).collect();
        let digests = Digests::new(&unsigned, &prevouts).unwrap();
        let mut tx = unsigned.clone();
        for (position, (_, _, index)) in coins.iter().enumerate() {
            let code = self.descriptor.script_code_at(Branch::Receive, *index).unwrap();
            let digest = digests.witness_v0(position, &code, EcdsaSighash::All).unwrap();
            let sign = |key: &XPriv| {
                let key = key.child(Branch::Receive, *index).unwrap();
                (key.public(), key.sign(&digest, EcdsaSighash::All).unwrap())
            };
            let signatures: Vec<_> = self.keys[1..].iter().map(sign).collect();
            tx.inputs[position].witness =
                self.descriptor.satisfy(Branch::Receive, *index, &signatures).unwrap().witness;
        }
        tx
    }

    pub(crate) fn pays(&self, value_sat: u64) -> TxOut {
        TxOut { value_sat, script: self.script(9) }
    }

    /// The coinbase of the block, which pays to the script of `index`.
    pub(crate) fn coin(&self, node: &Node, block: BlockHash, index: u32) -> (OutPoint, TxOut, u32) {
        let coinbase = node.connect().block(block).txs[0].clone();
        let (outpoint, output) = coinbase.outpoints().next().unwrap();
        assert_eq!(output.script, self.script(index));
        (outpoint, output.clone(), index)
    }

    /// A coin of the vault that can be spent in the next block.
    pub(crate) fn funded(&self, node: &Node) -> (OutPoint, TxOut, u32) {
        let first = node.mine(1, &self.script(0))[0];
        node.mine(100, &self.script(1));
        assert_eq!(self.network(), node.network);
        self.coin(node, first, 0)
    }
}

pub(crate) fn blocks_are_followed(node: &Node) {
    let network = node.network;
    let (client, events) = Client::start(Settings::near(network, node.p2p.clone())).unwrap();
    let mut peer = Peer { client, events };
    let ready = peer.ready();
    assert_eq!(ready.peer.to_string(), node.p2p);
    assert_eq!(ready.start_height, 0);
    assert!(ready.version >= 70_016 && !ready.user_agent.is_empty(), "{ready:?}");

    let vault = Vault::new(network);
    let hashes = node.mine(40, &vault.script(0));
    let headers = peer.headers_after(&[network.genesis_hash()]);
    let mut tip = network.genesis_hash();
    for header in &headers {
        assert_eq!(header.prev, tip);
        pow::judge(network, header).unwrap();
        tip = header.hash();
    }
    assert_eq!(headers.iter().map(Header::hash).collect::<Vec<_>>(), hashes);

    for (height, hash) in (1..).zip(&hashes).take(3) {
        let block = peer.block(*hash);
        block.matched().unwrap();
        assert_eq!(block.stated_height(), Some(Height::new(height)));
        assert_eq!(block.txs[0].outputs[0].script, vault.script(0));
    }
    peer.ask(Request::Blocks(hashes[..16].to_vec()));
    for want in &hashes[..16] {
        let hash = peer.wait("block", |event| match event {
            Event::Block(block) => Some(block.hash()),
            _ => None,
        });
        assert_eq!(hash, *want);
    }
    let too_many = peer.client.tell(Request::Blocks(vec![tip; 17]));
    assert_eq!(too_many, Err(RequestError::TooMany { got: 17, limit: 16 }));

    // Up to date now: the next block is announced by its header.
    assert_eq!(peer.headers_after(&[tip]), []);
    let next = node.mine(1, &vault.script(0))[0];
    let announced = peer.announced_headers();
    assert_eq!(announced.iter().map(Header::hash).collect::<Vec<_>>(), [next]);
    let nothing = BlockHash::from_bytes([1; 32]);
    peer.wait("ping's answer", |event| matches!(event, Event::Alive { .. }).then_some(()));
    peer.ask(Request::Txs(vec![kuraban_base::Txid::from_bytes(*nothing.as_bytes())]));
    peer.wait("absence", |event| {
        matches!(event, Event::NotFound { txs, .. } if txs.len() == 1).then_some(())
    });
}

pub(crate) fn transactions_travel(node: &Node) {
    let vault = Vault::new(node.network);
    let coin = vault.funded(node);
    let (thief, mut watcher) = (node.connect(), node.connect());
    let tx = vault.spend(core::slice::from_ref(&coin), vec![vault.pays(coin.1.value_sat - 10_000)], 0);
    thief.ask(Request::Broadcast(Box::new(tx.clone())));
    watcher.announced(&tx);
    assert_eq!(watcher.fetched(&tx), tx);
    assert_eq!(node.rpc.mempool().unwrap(), [tx.txid()]);

    // Who comes later asks for the mempool.
    let mut late = node.connect();
    late.ask(Request::Mempool);
    late.announced(&tx);

    let vault_block = node.mine(1, &vault.script(1))[0];
    assert_eq!(watcher.block(vault_block).txs[1], tx);
    assert!(node.rpc.mempool().unwrap().is_empty());

    // One that breaks a rule goes nowhere; the next good one shows that nothing else came first.
    let spent = vault.spend(&[coin], vec![vault.pays(50_000)], 0);
    thief.ask(Request::Broadcast(Box::new(spent.clone())));
    let next = vault.spend(&[next_coin(&tx)], vec![vault.pays(40_000)], 0);
    thief.ask(Request::Broadcast(Box::new(next.clone())));
    let first = watcher.wait("announcement", |event| match event {
        Event::InvTx(txids) if txids != [tx.txid()] => Some(txids),
        _ => None,
    });
    assert_eq!(first, [next.txid()]);
}

fn next_coin(tx: &Tx) -> (OutPoint, TxOut, u32) {
    let (outpoint, output) = tx.outpoints().next().unwrap();
    (outpoint, output.clone(), 9)
}

pub(crate) fn reorganisations_are_told(node: &Node) {
    let vault = Vault::new(node.network);
    let coin = vault.funded(node);
    let mut peer = node.connect();
    let (fork, best) = (node.rpc.best_hash().unwrap(), node.rpc.best_height().unwrap());
    assert_eq!(peer.headers_after(&[fork]), []);
    let tx = vault.spend(core::slice::from_ref(&coin), vec![vault.pays(coin.1.value_sat - 10_000)], 0);
    assert_eq!(node.rpc.send(&tx).unwrap(), Sent::Pooled);
    let old = node.mine(2, &vault.script(1));
    assert_eq!(peer.block(old[0]).txs[1], tx);

    node.rpc.invalidate(old[0]).unwrap();
    assert_eq!(node.rpc.best_height().unwrap(), best);
    assert_eq!(node.rpc.mempool().unwrap(), [tx.txid()]);
    let new = node.mine(3, &vault.script(2));
    let mut seen: Vec<BlockHash> = Vec::new();
    while seen.last() != new.last() {
        seen.extend(peer.announced_headers().iter().map(Header::hash).filter(|hash| !old.contains(hash)));
    }
    assert_eq!(seen, new);
    let headers = peer.headers_after(&[old[1], old[0], fork]);
    assert_eq!(headers.iter().map(Header::hash).collect::<Vec<_>>(), new);
    assert_eq!(peer.block(new[0]).txs[1], tx);
    assert_eq!(node.rpc.block_hash(Height::new(best.blocks() + 3)).unwrap(), new.last().copied());
}

pub(crate) fn calls_are_answered(node: &Node) {
    let (rpc, network) = (&node.rpc, node.network);
    assert_eq!(rpc.best_height().unwrap(), Height::new(0));
    assert_eq!(rpc.block_hash(Height::new(0)).unwrap(), Some(network.genesis_hash()));
    assert_eq!(rpc.block_hash(Height::new(1)).unwrap(), None);
    let vault = Vault::new(network);
    let coin = vault.funded(node);
    let best = rpc.best_hash().unwrap();
    assert_eq!(rpc.block_header(best).unwrap().map(|header| header.hash()), Some(best));
    assert_eq!(rpc.block_header(BlockHash::from_bytes([1; 32])).unwrap(), None);
    assert_eq!(rpc.estimate_fee(2).unwrap(), FeeEstimate::Unknown);

    let tx = vault.spend(core::slice::from_ref(&coin), vec![vault.pays(coin.1.value_sat - 10_000)], 0);
    let unspent = rpc.unspent(coin.0).unwrap().unwrap();
    assert_eq!((unspent.output, unspent.confirmations, unspent.coinbase), (coin.1.clone(), 101, true));
    assert_eq!(rpc.tx(tx.txid(), None).unwrap(), None);
    assert_eq!(rpc.would_take(&tx).unwrap(), Acceptance::Allowed);
    assert_eq!(rpc.send(&tx).unwrap(), Sent::Pooled);
    assert_eq!(rpc.send(&tx).unwrap(), Sent::Pooled);
    assert_eq!(rpc.tx(tx.txid(), None).unwrap().as_ref(), Some(&tx));
    assert_eq!(rpc.unspent(coin.0).unwrap(), None);
    let change = OutPoint { txid: tx.txid(), vout: 0 };
    assert_eq!(rpc.unspent(change).unwrap().unwrap().confirmations, 0);

    let block = node.mine(1, &vault.script(1))[0];
    assert_eq!(rpc.send(&tx).unwrap(), Sent::Confirmed);
    assert_eq!(rpc.tx(tx.txid(), Some(block)).unwrap().as_ref(), Some(&tx));
    assert_eq!(rpc.tx(tx.txid(), Some(best)).unwrap(), None);
    assert_eq!(rpc.unspent(change).unwrap().unwrap().confirmations, 1);

    let spent = vault.spend(&[coin], vec![vault.pays(50_000)], 0);
    match rpc.send(&spent).unwrap_err() {
        RpcError::Node { method: "sendrawtransaction", code: -25, message } => {
            assert!(message.contains("bad-txns-inputs-missingorspent"), "{message}");
        }
        error => panic!("{error}"),
    }
    let refused = rpc.would_take(&spent).unwrap();
    assert!(matches!(refused, Acceptance::Refused { reason } if reason.contains("missing")));
    let error = rpc.generate(1, "nonsense").unwrap_err();
    assert!(matches!(error, RpcError::Node { method: "generatetoaddress", code: -5, .. }), "{error}");
}

pub(crate) fn connections_are_made_anew(node: &Node) {
    let mut peer = node.connect();
    peer.client.hang_up();
    assert_eq!(peer.client.tell(Request::Mempool), Err(RequestError::NotReady));
    peer.wait("end", |event| matches!(event, Event::Closed(Closed::ByUs)).then_some(()));
    peer.ready();
    assert_eq!(peer.headers_after(&[node.network.genesis_hash()]), []);
}
