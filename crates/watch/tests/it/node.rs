//! A node with real blocks: mined with the network's work, announced, and answered from an active chain that can be
//! reorganised. Honest unless a test bends what it sends.

use std::collections::BTreeMap;

use kuraban_base::Height;
use kuraban_chain::btc::{Block, BlockHash, Header, Mweb, Network, OutPoint, Script, Tx, TxIn, TxOut, pow};
use kuraban_watch::chain::{FromNode, Position, ToNode, TxRef};
use sha2::{Digest as _, Sha256};

/// One node's blocks, its active chain, and its mempool.
#[derive(Clone)]
pub(crate) struct Node {
    network: Network,
    pub(crate) blocks: BTreeMap<BlockHash, Block>,
    /// Hashes by height, from the genesis block.
    pub(crate) active: Vec<BlockHash>,
    pub(crate) mempool: Vec<Tx>,
    /// The first block's time; the others follow a second apart.
    pub(crate) time_s: u32,
    nonce: u64,
}

fn sha256d(parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    parts.iter().for_each(|part| hasher.update(part));
    Sha256::digest(hasher.finalize()).into()
}

/// The root over witness ids, the coinbase's being zero (BIP 141).
fn witness_root(txs: &[Tx]) -> [u8; 32] {
    let mut level = vec![[0; 32]];
    level.extend(txs.iter().map(|tx| *tx.wtxid().as_bytes()));
    while level.len() > 1 {
        level = level.chunks(2).map(|pair| sha256d(&[&pair[0], pair.get(1).unwrap_or(&pair[0])])).collect();
    }
    level[0]
}

/// A coinbase that pays to `script`, states the height (BIP 34) and commits to the witnesses of `txs`.
fn coinbase(height: u32, nonce: u64, script: Script, txs: &[Tx]) -> Tx {
    let mut sig = vec![4];
    sig.extend(height.to_le_bytes());
    sig.push(8);
    sig.extend(nonce.to_le_bytes());
    let mut commitment = vec![0x6a, 0x24, 0xaa, 0x21, 0xa9, 0xed];
    commitment.extend(sha256d(&[&witness_root(txs), &[0; 32]]));
    let input = TxIn {
        prev: OutPoint::NULL,
        script_sig: Script::new(sig),
        sequence: u32::MAX,
        witness: vec![vec![0; 32]],
    };
    let outputs = vec![
        TxOut { value_sat: 5_000_000_000, script },
        TxOut { value_sat: 0, script: Script::new(commitment) },
    ];
    Tx { version: 2, inputs: vec![input], outputs, lock_time: 0, mweb: Mweb::None }
}

/// Puts the network's work into a header.
pub(crate) fn grind(network: Network, mut header: Header) -> Header {
    while pow::judge(network, &header).is_err() {
        header.nonce += 1;
    }
    header
}

impl Node {
    pub(crate) fn new(network: Network) -> Self {
        let active = vec![network.genesis_hash()];
        Self {
            network,
            blocks: BTreeMap::new(),
            active,
            mempool: Vec::new(),
            time_s: 1_800_000_000,
            nonce: 0,
        }
    }

    pub(crate) fn birthday(&self) -> Position {
        Position { height: Height::new(0), hash: self.active[0] }
    }

    pub(crate) fn tip(&self) -> Position {
        let height = u32::try_from(self.active.len() - 1).unwrap();
        Position { height: Height::new(height), hash: self.active[self.active.len() - 1] }
    }

    /// Mines a block on the active tip and returns its hash. Its transactions leave the mempool.
    pub(crate) fn mine(&mut self, txs: Vec<Tx>) -> BlockHash {
        self.mine_to(Script::new(vec![0x51]), txs)
    }

    pub(crate) fn mine_to(&mut self, script: Script, txs: Vec<Tx>) -> BlockHash {
        self.nonce += 1;
        let tip = self.tip();
        let height = tip.height.blocks() + 1;
        let mut all = vec![coinbase(height, self.nonce, script, &txs)];
        self.mempool.retain(|tx| !txs.contains(tx));
        all.extend(txs);
        let header = Header {
            version: 0x2000_0000,
            prev: tip.hash,
            merkle_root: Block { header: BLANK, txs: all.clone(), extension: None }.merkle().root,
            time_s: self.time_s + height,
            bits: 0x207f_ffff,
            nonce: 0,
        };
        let block = Block { header: grind(self.network, header), txs: all, extension: None };
        let hash = block.hash();
        self.blocks.insert(hash, block);
        self.active.push(hash);
        hash
    }

    /// Mines blocks without transactions.
    pub(crate) fn grow(&mut self, blocks: usize) {
        for _ in 0..blocks {
            self.mine(Vec::new());
        }
    }

    /// Gives up the newest `depth` blocks; the next mined ones are another branch.
    pub(crate) fn undo(&mut self, depth: usize) {
        for _ in 0..depth {
            let hash = self.active.pop().unwrap();
            let txs = self.blocks[&hash].txs.iter().skip(1).cloned();
            self.mempool.extend(txs);
        }
    }

    pub(crate) fn ready(&self) -> FromNode {
        FromNode::Ready { height: self.tip().height }
    }

    /// The newest `count` headers, as an announcement.
    pub(crate) fn headers(&self, count: usize) -> FromNode {
        let newest = self.active.iter().skip(1.max(self.active.len().saturating_sub(count)));
        FromNode::Headers(newest.map(|hash| self.blocks[hash].header).collect())
    }

    /// What the node sends when it accepts a transaction.
    pub(crate) fn announce(tx: &Tx) -> FromNode {
        FromNode::Inv { blocks: Vec::new(), txs: vec![TxRef::Wtxid(tx.wtxid())] }
    }

    /// The answers to one message.
    pub(crate) fn answer(&self, message: &ToNode) -> Vec<FromNode> {
        match message {
            ToNode::GetHeaders(locator) => {
                let known = locator.iter().find_map(|hash| self.active.iter().position(|own| own == hash));
                let after = self.active.iter().skip(known.unwrap_or(0) + 1).take(2000);
                vec![FromNode::Headers(after.map(|hash| self.blocks[hash].header).collect())]
            }
            ToNode::GetBlocks(hashes) => hashes.iter().map(|hash| self.block(hash)).collect(),
            ToNode::GetTxs(refs) => refs.iter().map(|tx| self.tx(tx)).collect(),
            ToNode::AskMempool => {
                let txs = self.mempool.iter().map(|tx| TxRef::Wtxid(tx.wtxid())).collect();
                vec![FromNode::Inv { blocks: Vec::new(), txs }]
            }
            ToNode::Close(_) => vec![FromNode::Closed],
        }
    }

    fn block(&self, hash: &BlockHash) -> FromNode {
        match self.blocks.get(hash) {
            Some(block) => FromNode::Block(Box::new(block.clone())),
            None => FromNode::NotFound { blocks: vec![*hash], txs: Vec::new() },
        }
    }

    fn tx(&self, wanted: &TxRef) -> FromNode {
        let is = |tx: &&Tx| match wanted {
            TxRef::Txid(txid) => tx.txid() == *txid,
            TxRef::Wtxid(wtxid) => tx.wtxid() == *wtxid,
        };
        match self.mempool.iter().find(is) {
            Some(tx) => FromNode::Tx(Box::new(tx.clone())),
            None => FromNode::NotFound { blocks: Vec::new(), txs: vec![*wanted] },
        }
    }
}

const BLANK: Header = Header {
    version: 0,
    prev: BlockHash::ZERO,
    merkle_root: kuraban_chain::btc::MerkleRoot::from_bytes([0; 32]),
    time_s: 0,
    bits: 0,
    nonce: 0,
};
