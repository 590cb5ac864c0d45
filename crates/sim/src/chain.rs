//! An embedded chain of the BTC family: one miner, no peers, no time of its own.
//!
//! Decides what the mempool takes and what a block holds, as a real node on a regression test network would;
//! a real node accepts its blocks. Thin: one transaction alone is judged by the default relay rules, scripts
//! by the standard templates; blocks come only from [`Chain::mine`]. Relative lock times, packages and
//! Litecoin's extension block are refused, not guessed.

pub(crate) mod genesis;
pub(crate) mod mine;
mod policy;
mod pool;
mod refusal;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use kuraban_base::{Height, Txid};
use kuraban_chain::btc::{Block, BlockHash, Header, Network, OutPoint, Script, Tx, TxOut, pow::PowError};

pub use mine::{BLOCK_WEIGHT_MAX, subsidy_sat};
pub use policy::{RELAY_SAT_PER_VB, TX_WEIGHT_MAX, dust_sat};
pub use pool::{Accepted, EVICTIONS_MAX, Entry, LINKED_MAX, POOL_BYTES_MAX};
pub use refusal::Refusal;

use policy::Standard;
use pool::{Fit, Pool, Tip};

/// Blocks after which a coinbase's output may be spent.
pub const COINBASE_MATURITY: u32 = 100;
/// Most headers in one answer (Bitcoin Core, `MAX_HEADERS_RESULTS`).
pub const HEADERS_MAX: usize = 2_000;

/// New coins of the first blocks.
const SUBSIDY_SAT: u64 = 5_000_000_000;
/// The target of every block on both networks.
const REGTEST_BITS: u32 = 0x207f_ffff;
/// Blocks over whose times the median is taken (BIP 113).
const MEDIAN_BLOCKS: usize = 11;

/// A network whose chain can be embedded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Regtest {
    /// Bitcoin's.
    Btc,
    /// Litecoin's.
    Ltc,
}

impl Regtest {
    /// The network.
    #[must_use]
    pub const fn network(self) -> Network {
        match self {
            Self::Btc => Network::BtcRegtest,
            Self::Ltc => Network::LtcRegtest,
        }
    }
}

/// A network whose chain cannot be embedded.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{found} cannot be embedded, want {} or {}", Network::BtcRegtest, Network::LtcRegtest)]
pub struct RegtestError {
    /// The network asked for.
    pub found: Network,
}

impl TryFrom<Network> for Regtest {
    type Error = RegtestError;

    fn try_from(network: Network) -> Result<Self, RegtestError> {
        match network {
            Network::BtcRegtest => Ok(Self::Btc),
            Network::LtcRegtest => Ok(Self::Ltc),
            Network::BtcMain
            | Network::BtcTest
            | Network::BtcSignet
            | Network::LtcMain
            | Network::LtcTest => Err(RegtestError { found: network }),
        }
    }
}

/// An unspent output in a block.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Coin {
    /// The output.
    pub output: TxOut,
    /// The height of its block.
    pub height: Height,
    /// Whether it is a coinbase's.
    pub coinbase: bool,
}

/// A transaction and where it stands.
#[derive(Clone, Debug)]
pub struct Found {
    /// The transaction.
    pub tx: Arc<Tx>,
    /// Its block, or `None` in the mempool.
    pub block: Option<(Height, BlockHash)>,
}

/// What taking blocks away did.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reorg {
    /// Blocks that left the chain, the last first.
    pub gone: Vec<BlockHash>,
    /// Transactions that are in the mempool again.
    pub returned: Vec<Txid>,
    /// Transactions that were in a block or in the mempool and have no place any more.
    pub dropped: Vec<(Txid, Refusal)>,
}

/// A block that cannot be taken away.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ReorgError {
    /// The first block stands.
    #[error("the first block cannot be taken away")]
    Genesis,
    /// Not on the chain.
    #[error("block {found} is not on the chain")]
    Unknown {
        /// The block asked for.
        found: BlockHash,
    },
}

/// Why no block was made.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum MineError {
    /// No nonce had enough work.
    #[error("no nonce gives the block its work")]
    Work(#[from] PowError),
    /// The chain or its time is at its end.
    #[error("no block can follow height {height}")]
    End {
        /// The tip's height.
        height: Height,
    },
}

/// A block of the chain and how to take it away.
#[derive(Clone, Debug)]
struct Link {
    hash: BlockHash,
    header: Header,
    spent: Vec<(OutPoint, Coin)>,
}

/// A block that was on the chain at some time.
#[derive(Clone, Debug)]
struct Known {
    block: Arc<Block>,
    height: Height,
}

/// A chain with its mempool.
#[derive(Clone, Debug)]
pub struct Chain {
    regtest: Regtest,
    /// Never empty: the first block stays.
    links: Vec<Link>,
    known: BTreeMap<BlockHash, Known>,
    coins: BTreeMap<OutPoint, Coin>,
    /// Where confirmed transactions stand.
    places: BTreeMap<Txid, (Height, Arc<Tx>)>,
    pool: Pool,
    made: u64,
}

impl Chain {
    /// The chain of `regtest` with its first block alone.
    #[must_use]
    pub fn new(regtest: Regtest) -> Self {
        let mut chain = Self {
            regtest,
            links: Vec::new(),
            known: BTreeMap::new(),
            coins: BTreeMap::new(),
            places: BTreeMap::new(),
            pool: Pool::default(),
            made: 0,
        };
        let genesis = genesis::block(regtest);
        let (hash, header) = (genesis.hash(), genesis.header);
        // The coins of the first block were never spendable, on any network.
        chain.known.insert(hash, Known { block: Arc::new(genesis), height: Height::default() });
        chain.links.push(Link { hash, header, spent: Vec::new() });
        chain
    }

    /// The network.
    #[must_use]
    pub const fn regtest(&self) -> Regtest {
        self.regtest
    }

    /// The last block's height and hash.
    #[must_use]
    pub fn tip(&self) -> (Height, BlockHash) {
        let blocks = u32::try_from(self.links.len()).unwrap_or(u32::MAX).saturating_sub(1);
        let hash = self.links.last().map_or(self.regtest.network().genesis_hash(), |link| link.hash);
        (Height::new(blocks), hash)
    }

    /// Takes a transaction into the mempool.
    ///
    /// # Errors
    /// The first rule that it breaks.
    pub fn submit(&mut self, tx: &Tx) -> Result<Accepted, Refusal> {
        let fit = self.judge(tx)?;
        Ok(self.pool.take(fit))
    }

    /// Its id, if [`submit`](Self::submit) would take the transaction.
    ///
    /// # Errors
    /// The first rule that it breaks.
    pub fn would_take(&self, tx: &Tx) -> Result<Txid, Refusal> {
        self.judge(tx).map(|fit| fit.txid())
    }

    /// Makes the next block from the mempool, in order of arrival. Subsidy and fees go to `pays`. Its time is
    /// `now_s`, or one second after the median of the last eleven where that is later.
    ///
    /// # Errors
    /// The end of numbers.
    pub fn mine(&mut self, now_s: u32, pays: Script) -> Result<BlockHash, MineError> {
        let chosen = self.choose();
        self.make(now_s, pays, &chosen)
    }

    /// Makes the next block without looking at the mempool, as a miner may.
    ///
    /// # Errors
    /// As [`mine`](Self::mine).
    pub fn mine_empty(&mut self, now_s: u32, pays: Script) -> Result<BlockHash, MineError> {
        self.make(now_s, pays, &[])
    }

    /// Takes away the block and all above it, as if it had been found invalid. Its transactions return to
    /// the mempool where they still fit. Who looks on sees a reorganisation as soon as the new branch is the
    /// longer one.
    ///
    /// # Errors
    /// The first block, or one that is not on the chain.
    pub fn invalidate(&mut self, hash: BlockHash) -> Result<Reorg, ReorgError> {
        let found = hash;
        let from =
            self.links.iter().position(|link| link.hash == hash).ok_or(ReorgError::Unknown { found })?;
        if from == 0 {
            return Err(ReorgError::Genesis);
        }
        let gone: Vec<Link> = self.links.drain(from..).rev().collect();
        let mut homeless: Vec<Arc<Tx>> = Vec::new();
        let blocks: Vec<Arc<Block>> = gone
            .iter()
            .filter_map(|link| self.known.get(&link.hash))
            .map(|known| Arc::clone(&known.block))
            .collect();
        for (link, block) in gone.iter().zip(&blocks) {
            self.disconnect(link, block);
        }
        for block in blocks.iter().rev() {
            homeless.extend(block.txs.iter().skip(1).cloned().map(Arc::new));
        }
        let confirmed: BTreeSet<Txid> = homeless.iter().map(|tx| tx.txid()).collect();
        let pool = core::mem::take(&mut self.pool);
        homeless.extend(pool.iter().map(|(_, entry)| Arc::clone(&entry.tx)));
        let (mut returned, mut dropped) = (Vec::new(), Vec::new());
        for tx in homeless {
            match self.submit(&tx) {
                Ok(Accepted { txid, .. }) if confirmed.contains(&txid) => returned.push(txid),
                Ok(_) => {}
                Err(refusal) => dropped.push((tx.txid(), refusal)),
            }
        }
        Ok(Reorg { gone: gone.iter().map(|link| link.hash).collect(), returned, dropped })
    }

    /// The hash of the block at `height`.
    #[must_use]
    pub fn hash_at(&self, height: Height) -> Option<BlockHash> {
        self.link_at(height).map(|link| link.hash)
    }

    /// A block that is or was on the chain.
    #[must_use]
    pub fn block(&self, hash: BlockHash) -> Option<&Arc<Block>> {
        self.known.get(&hash).map(|known| &known.block)
    }

    /// The height of a block that is on the chain.
    #[must_use]
    pub fn height_of(&self, hash: BlockHash) -> Option<Height> {
        let known = self.known.get(&hash)?;
        (self.hash_at(known.height) == Some(hash)).then_some(known.height)
    }

    /// The headers after the first block of `locator` that is on the chain, or after the first block of all;
    /// at most [`HEADERS_MAX`], up to `stop` where it comes.
    #[must_use]
    pub fn headers_after(&self, locator: &[BlockHash], stop: BlockHash) -> Vec<Header> {
        if locator.is_empty() {
            let asked = self.known.get(&stop).filter(|known| self.hash_at(known.height) == Some(stop));
            return asked.map(|known| known.block.header).into_iter().collect();
        }
        let fork = locator.iter().find_map(|hash| self.height_of(*hash)).unwrap_or_default();
        let after = usize::try_from(fork.blocks()).unwrap_or(usize::MAX).saturating_add(1);
        let mut headers = Vec::new();
        for link in self.links.iter().skip(after).take(HEADERS_MAX) {
            headers.push(link.header);
            if link.hash == stop {
                break;
            }
        }
        headers
    }

    /// A transaction in the mempool or on the chain.
    #[must_use]
    pub fn tx(&self, txid: &Txid) -> Option<Found> {
        if let Some(entry) = self.pool.get(txid) {
            return Some(Found { tx: Arc::clone(&entry.tx), block: None });
        }
        let (height, tx) = self.places.get(txid)?;
        Some(Found { tx: Arc::clone(tx), block: self.hash_at(*height).map(|hash| (*height, hash)) })
    }

    /// An unspent output on the chain, whatever the mempool does with it.
    #[must_use]
    pub fn coin(&self, outpoint: &OutPoint) -> Option<&Coin> {
        self.coins.get(outpoint)
    }

    /// The mempool in order of arrival: parents before children.
    pub fn mempool(&self) -> impl Iterator<Item = (&Txid, &Entry)> {
        self.pool.iter()
    }

    /// An unconfirmed transaction.
    #[must_use]
    pub fn unconfirmed(&self, txid: &Txid) -> Option<&Entry> {
        self.pool.get(txid)
    }

    fn judge(&self, tx: &Tx) -> Result<Fit, Refusal> {
        let tx = Standard::new(self.regtest, tx)?;
        let txid = tx.txid();
        if let Some((height, _)) = self.places.get(&txid) {
            return Err(Refusal::Confirmed { txid, height: *height });
        }
        let tip = Tip { coins: &self.coins, next: self.next_height(), median_s: self.median_s() };
        self.pool.judge(&tip, tx)
    }

    fn link_at(&self, height: Height) -> Option<&Link> {
        usize::try_from(height.blocks()).ok().and_then(|height| self.links.get(height))
    }

    fn next_height(&self) -> Height {
        let (tip, _) = self.tip();
        tip.next().unwrap_or(tip)
    }

    /// The median time of the last eleven blocks (BIP 113).
    fn median_s(&self) -> u32 {
        let mut times: Vec<u32> =
            self.links.iter().rev().take(MEDIAN_BLOCKS).map(|link| link.header.time_s).collect();
        times.sort_unstable();
        times.get(times.len() / 2).copied().unwrap_or_default()
    }

    /// What fits a block, in order of arrival; what spends something left out is left out too.
    fn choose(&self) -> Vec<Txid> {
        let mut room = mine::room();
        let mut chosen = Vec::new();
        let mut left = BTreeSet::new();
        for (txid, entry) in self.pool.iter() {
            let orphan = entry.tx.inputs.iter().any(|input| left.contains(&input.prev.txid));
            match room.checked_sub(entry.tx.weight()).filter(|_| !orphan) {
                Some(rest) => {
                    room = rest;
                    chosen.push(*txid);
                }
                None => {
                    left.insert(*txid);
                }
            }
        }
        chosen
    }

    fn make(&mut self, now_s: u32, pays: Script, chosen: &[Txid]) -> Result<BlockHash, MineError> {
        let (tip, prev) = self.tip();
        let end = MineError::End { height: tip };
        let height = tip.next().ok_or_else(|| end.clone())?;
        let time_s = self.median_s().checked_add(1).ok_or(end)?.max(now_s);
        let entries: Vec<&Entry> = chosen.iter().filter_map(|txid| self.pool.get(txid)).collect();
        let template = mine::Template {
            regtest: self.regtest,
            prev,
            height,
            time_s,
            made: self.made,
            pays,
            fees_sat: entries.iter().map(|entry| entry.fee_sat).fold(0, u64::saturating_add),
            txs: entries.iter().map(|entry| Tx::clone(&entry.tx)).collect(),
        };
        let block = template.solve()?;
        self.made = self.made.saturating_add(1);
        let hash = block.hash();
        self.connect(hash, block, height);
        Ok(hash)
    }

    fn connect(&mut self, hash: BlockHash, block: Block, height: Height) {
        let mut spent = Vec::new();
        for tx in &block.txs {
            let coinbase = tx.is_coinbase();
            for input in &tx.inputs {
                spent.extend(self.coins.remove(&input.prev).map(|coin| (input.prev, coin)));
            }
            for (outpoint, output) in tx.outpoints().filter(|(_, output)| !output.script.is_unspendable()) {
                self.coins.insert(outpoint, Coin { output: output.clone(), height, coinbase });
            }
            let txid = tx.txid();
            self.pool.remove(&txid);
            self.places.insert(txid, (height, Arc::new(tx.clone())));
        }
        self.links.push(Link { hash, header: block.header, spent });
        self.known.insert(hash, Known { block: Arc::new(block), height });
    }

    fn disconnect(&mut self, link: &Link, block: &Block) {
        // What the block spent comes back first: it may have spent what it made itself, which goes then.
        self.coins.extend(link.spent.iter().cloned());
        for tx in &block.txs {
            for (outpoint, _) in tx.outpoints() {
                self.coins.remove(&outpoint);
            }
            self.places.remove(&tx.txid());
        }
    }
}

#[cfg(test)]
mod tests;
