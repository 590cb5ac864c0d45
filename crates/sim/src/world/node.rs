//! The chain's node in a simulated world: its blocks and mempool, and how a machine that follows it learns of changes.
//! Decides nothing about payouts.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use kuraban_base::{Height, Txid};
use kuraban_chain::btc::{Block, BlockHash, OutPoint, Tx, TxOut};
use kuraban_vault::{
    coordinator::{Coin, Event},
    fold::unsigned_id,
};

use super::{
    Mode,
    realm::{self, NETWORK, START, realm},
};
use crate::chain::{Accepted, Chain};

/// An own output, and the transaction that made it.
#[derive(Clone, Debug)]
pub(super) struct OwnCoin {
    pub(super) outpoint: OutPoint,
    pub(super) output: TxOut,
    pub(super) tx: Arc<Vec<u8>>,
}

/// The node.
pub(super) struct Node {
    pub(super) chain: Chain,
    /// Every output of the vault that was ever in a block.
    made: BTreeMap<OutPoint, OwnCoin>,
    /// When it was in a block first, in milliseconds of virtual time.
    made_ms: BTreeMap<OutPoint, u64>,
}

impl Node {
    pub(super) fn new(mode: Mode) -> Self {
        let chain = if mode == Mode::Hoarder { &realm().rich } else { &realm().chain };
        let mut node = Self { chain: chain.clone(), made: BTreeMap::new(), made_ms: BTreeMap::new() };
        let (tip, _) = node.chain.tip();
        for height in realm().birthday.blocks()..=tip.blocks() {
            node.note(0, Height::new(height));
        }
        node
    }

    fn note(&mut self, now_ms: u64, height: Height) {
        let block = self.chain.hash_at(height).and_then(|hash| self.chain.block(hash)).cloned();
        for tx in block.iter().flat_map(|block| &block.txs) {
            for coin in own_coins(tx) {
                self.made_ms.entry(coin.outpoint).or_insert(now_ms);
                self.made.insert(coin.outpoint, coin);
            }
        }
    }

    pub(super) fn submit(&mut self, bytes: &[u8]) -> Result<Accepted, String> {
        let tx = Tx::decode(NETWORK, bytes).map_err(|problem| problem.to_string())?;
        self.chain.submit(&tx).map_err(|problem| problem.to_string())
    }

    /// A block, with or without what the mempool holds.
    pub(super) fn mine(&mut self, now_ms: u64, empty: bool) {
        let now_s = u32::try_from(START.plus_ms(now_ms).s()).unwrap_or(u32::MAX);
        let pays = realm::stranger("miner");
        let mined = if empty { self.chain.mine_empty(now_s, pays) } else { self.chain.mine(now_s, pays) };
        realm::sure(mined);
        let (tip, _) = self.chain.tip();
        self.note(now_ms, tip);
    }

    /// Takes the last `depth` blocks away and mines one more than that.
    pub(super) fn reorganise(&mut self, now_ms: u64, depth: u32, empty: bool) {
        let (tip, _) = self.chain.tip();
        let from = Height::new(tip.blocks().saturating_sub(depth).saturating_add(1));
        if let Some(hash) = self.chain.hash_at(from) {
            realm::sure(self.chain.invalidate(hash));
            for _ in 0..=depth {
                self.mine(now_ms, empty);
            }
        }
    }

    /// The vault's confirmed coins.
    pub(super) fn vault_coins(&self) -> Vec<OwnCoin> {
        self.made.values().filter(|coin| self.chain.coin(&coin.outpoint).is_some()).cloned().collect()
    }

    /// When a coin was in a block first.
    pub(super) fn since_ms(&self, outpoint: &OutPoint) -> u64 {
        self.made_ms.get(outpoint).copied().unwrap_or_default()
    }

    /// A coin that was the vault's at some time.
    pub(super) fn own(&self, outpoint: &OutPoint) -> Option<&OwnCoin> {
        self.made.get(outpoint)
    }

    /// Whether a transaction waits in the mempool or stands in the chain.
    pub(super) fn holds(&self, txid: &Txid) -> bool {
        let waits = self.chain.mempool().any(|(other, _)| other == txid);
        waits || self.blocks().flat_map(|(_, block)| &block.txs).any(|tx| tx.txid() == *txid)
    }

    /// Whether a transaction spends the vault's coins.
    pub(super) fn spends_vault(&self, tx: &Tx) -> bool {
        tx.inputs.iter().any(|input| self.made.contains_key(&input.prev))
    }

    /// The blocks since the vault's first coin, in order.
    pub(super) fn blocks(&self) -> impl Iterator<Item = (Height, &Arc<Block>)> {
        let (tip, _) = self.chain.tip();
        (realm().birthday.blocks()..=tip.blocks()).filter_map(|height| {
            let height = Height::new(height);
            Some((height, self.chain.block(self.chain.hash_at(height)?)?))
        })
    }
}

fn own_coins(tx: &Tx) -> Vec<OwnCoin> {
    let own: BTreeSet<u32> = realm::own_outputs(tx);
    if own.is_empty() {
        return Vec::new();
    }
    let bytes = Arc::new(tx.encode());
    let coin = |(outpoint, output): (OutPoint, &TxOut)| {
        own.contains(&outpoint.vout).then(|| OwnCoin {
            outpoint,
            output: output.clone(),
            tx: Arc::clone(&bytes),
        })
    };
    tx.outpoints().filter_map(coin).collect()
}

/// How far a machine has followed the chain.
#[derive(Clone, Debug, Default)]
pub(super) struct View {
    /// Blocks connected, from the vault's birthday on.
    path: Vec<BlockHash>,
    coins: BTreeMap<OutPoint, OwnCoin>,
}

impl View {
    /// What has happened since it looked last, as the writer is told.
    pub(super) fn look(&mut self, chain: &Chain) -> Vec<Event> {
        let heights = || (realm().birthday.blocks()..).map(Height::new);
        let same =
            heights().zip(&self.path).take_while(|(height, hash)| chain.hash_at(*height) == Some(**hash));
        let common = same.count();
        let mut events = Vec::new();
        for hash in self.path.split_off(common).into_iter().rev() {
            if let Some(block) = chain.block(hash) {
                self.undo(block, &mut events);
            }
        }
        for height in heights().skip(common) {
            let Some(hash) = chain.hash_at(height) else { break };
            self.path.push(hash);
            if let Some(block) = chain.block(hash) {
                self.connect(block, height, &mut events);
            }
        }
        let (tip, _) = chain.tip();
        events.push(Event::Tip(NETWORK, tip));
        events
    }

    fn connect(&mut self, block: &Block, height: Height, events: &mut Vec<Event>) {
        for tx in &block.txs {
            let spends: Vec<OutPoint> = self.spends(tx);
            if !spends.is_empty() {
                events
                    .extend(spends.iter().map(|outpoint| Event::CoinGone(realm().vault.clone(), *outpoint)));
                events.push(Event::Mined { txid: unsigned_id(tx), spends, height });
            }
            for coin in own_coins(tx) {
                events.push(coin_event(&coin));
                self.coins.insert(coin.outpoint, coin);
            }
        }
    }

    fn undo(&self, block: &Block, events: &mut Vec<Event>) {
        for tx in block.txs.iter().rev() {
            let spends = self.spends(tx);
            if !spends.is_empty() {
                events.push(Event::Unmined(unsigned_id(tx)));
                events.extend(spends.iter().filter_map(|outpoint| self.coins.get(outpoint)).map(coin_event));
            }
            let made = own_coins(tx);
            events.extend(made.iter().map(|coin| Event::CoinGone(realm().vault.clone(), coin.outpoint)));
        }
    }

    fn spends(&self, tx: &Tx) -> Vec<OutPoint> {
        tx.inputs
            .iter()
            .map(|input| input.prev)
            .filter(|outpoint| self.coins.contains_key(outpoint))
            .collect()
    }
}

fn coin_event(coin: &OwnCoin) -> Event {
    let known = Coin { outpoint: coin.outpoint, output: coin.output.clone(), tx: Arc::clone(&coin.tx) };
    Event::Coin(realm().vault.clone(), known)
}
