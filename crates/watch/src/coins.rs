//! The vaults' own coins, folded out of blocks: created, spent, undone; and what the mempool would change.
//!
//! One fold serves a first scan, live blocks and a restart. Decides which outputs are the vaults' by the caller's
//! lookup; never whether a spend is right.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use kuraban_base::{Height, Txid, VaultId};
use kuraban_chain::btc::{Block, BlockHash, OutPoint, Script, Tx, TxOut};

use crate::chain::UNDO_BLOCKS_MAX;

/// Confirmations that a coinbase needs before the next block may spend it (`COINBASE_MATURITY`).
const COINBASE_DEPTH_MIN: u32 = 100;
/// Most transactions outside blocks that are kept because they touch the vaults.
const PENDING_MAX: usize = 20_000;

/// An output of a vault's.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Coin {
    /// Where it stands.
    pub outpoint: OutPoint,
    /// Whose it is.
    pub vault: VaultId,
    /// Value and script.
    pub output: TxOut,
    /// The whole transaction that made it.
    pub tx: Arc<Tx>,
    /// The block that made it; nothing while it is in none.
    pub height: Option<Height>,
}

/// What one block changed: enough to do it again without the block, and to undo it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Change {
    /// The block's height.
    pub height: Height,
    /// The block's name.
    pub hash: BlockHash,
    /// The block's transactions that made or spent coins of the vaults, in order.
    pub txs: Vec<Arc<Tx>>,
    /// Coins made.
    pub created: Vec<(OutPoint, VaultId)>,
    /// Coins spent, also those made in the same block.
    pub spent: Vec<OutPoint>,
}

/// A stored change that does not fit the coins.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ChangeError {
    /// A coin that no transaction of the change makes.
    #[error("block {height} is said to make coin {outpoint}, but has no such output")]
    Created {
        /// The block's height.
        height: Height,
        /// The coin.
        outpoint: OutPoint,
    },
    /// A coin that is not there to be spent.
    #[error("block {height} is said to spend coin {outpoint}, which is not there")]
    Spent {
        /// The block's height.
        height: Height,
        /// The coin.
        outpoint: OutPoint,
    },
}

#[derive(Clone, Debug)]
struct Pending {
    tx: Arc<Tx>,
    order: u64,
}

/// The coins of all vaults on one network.
#[derive(Clone, Debug, Default)]
pub struct Coins {
    live: BTreeMap<OutPoint, Coin>,
    spent: BTreeMap<OutPoint, Coin>,
    history: VecDeque<Change>,
    /// In which block of the history a transaction stands.
    places: BTreeMap<Txid, Height>,
    pending: BTreeMap<Txid, Pending>,
    pending_order: BTreeMap<u64, Txid>,
    pending_coins: BTreeMap<OutPoint, Coin>,
    pending_spends: BTreeMap<OutPoint, Txid>,
    arrivals: u64,
}

fn created<'a>(
    tx: &'a Arc<Tx>,
    txid: Txid,
    height: Option<Height>,
    own: impl Fn(&Script) -> Option<VaultId> + 'a,
) -> impl Iterator<Item = Coin> + 'a {
    (0_u32..).zip(&tx.outputs).filter_map(move |(vout, output)| {
        let vault = own(&output.script)?;
        let outpoint = OutPoint { txid, vout };
        Some(Coin { outpoint, vault, output: output.clone(), tx: Arc::clone(tx), height })
    })
}

impl Coins {
    /// What `block` changes. `own` says whose a script is.
    #[must_use]
    pub fn change(&self, height: Height, block: &Block, own: impl Fn(&Script) -> Option<VaultId>) -> Change {
        let hash = block.hash();
        let mut change = Change { height, hash, txs: Vec::new(), created: Vec::new(), spent: Vec::new() };
        let (mut fresh, mut gone) = (BTreeSet::new(), BTreeSet::new());
        for tx in &block.txs {
            let spends = |prev: &OutPoint| self.live.contains_key(prev) || fresh.contains(prev);
            // A lying node's block may spend one output twice; it is gone once.
            let spent = tx.inputs.iter().map(|input| input.prev).filter(spends);
            let spent: Vec<OutPoint> = spent.filter(|prev| gone.insert(*prev)).collect();
            let makes = tx.outputs.iter().any(|output| own(&output.script).is_some());
            if spent.is_empty() && !makes {
                continue;
            }
            let tx = Arc::new(tx.clone());
            let coins: Vec<_> =
                created(&tx, tx.txid(), None, &own).map(|coin| (coin.outpoint, coin.vault)).collect();
            fresh.extend(coins.iter().map(|(outpoint, _)| *outpoint));
            change.created.extend(coins);
            change.spent.extend(spent);
            change.txs.push(tx);
        }
        change
    }

    /// Folds the next block in and returns what it changed.
    pub fn connect(
        &mut self,
        height: Height,
        block: &Block,
        own: impl Fn(&Script) -> Option<VaultId>,
    ) -> Change {
        let change = self.change(height, block, own);
        for tx in &block.txs {
            self.forget(&tx.txid());
            for input in &tx.inputs {
                if let Some(rival) = self.pending_spends.get(&input.prev).copied() {
                    self.forget_with_children(rival);
                }
            }
        }
        #[expect(clippy::expect_used, reason = "the change was just made from these coins")]
        self.apply(&change).expect("the change was just made from these coins");
        change
    }

    /// Folds a stored change in, as at a restart. On an error nothing has changed.
    ///
    /// # Errors
    /// The change does not fit these coins.
    pub fn apply(&mut self, change: &Change) -> Result<(), ChangeError> {
        let height = change.height;
        let txs: BTreeMap<Txid, &Arc<Tx>> = change.txs.iter().map(|tx| (tx.txid(), tx)).collect();
        let mut coins = BTreeMap::new();
        for (outpoint, vault) in &change.created {
            let outpoint = *outpoint;
            let coin = txs.get(&outpoint.txid).and_then(|tx| {
                let output = usize::try_from(outpoint.vout).ok().and_then(|vout| tx.outputs.get(vout))?;
                let (vault, tx) = (vault.clone(), Arc::clone(tx));
                Some(Coin { outpoint, vault, output: output.clone(), tx, height: Some(height) })
            });
            coins.insert(outpoint, coin.ok_or(ChangeError::Created { height, outpoint })?);
        }
        let mut spent = BTreeMap::new();
        for outpoint in &change.spent {
            let coin = coins.get(outpoint).or_else(|| self.live.get(outpoint)).cloned();
            let coin = coin.filter(|_| !spent.contains_key(outpoint));
            spent.insert(*outpoint, coin.ok_or(ChangeError::Spent { height, outpoint: *outpoint })?);
        }
        self.live.append(&mut coins);
        for outpoint in spent.keys() {
            self.live.remove(outpoint);
        }
        self.spent.append(&mut spent);
        self.places.extend(txs.keys().map(|txid| (*txid, height)));
        self.history.push_back(change.clone());
        if self.history.len() > UNDO_BLOCKS_MAX
            && let Some(deep) = self.history.pop_front()
        {
            for outpoint in &deep.spent {
                self.spent.remove(outpoint);
            }
            for tx in &deep.txs {
                self.places.remove(&tx.txid());
            }
        }
        Ok(())
    }

    /// Undoes the last block; its transactions wait in the mempool again. Returns what it had changed, or nothing
    /// where no block is left that can be undone.
    pub fn disconnect(&mut self) -> Option<Change> {
        let change = self.history.pop_back()?;
        for tx in &change.txs {
            self.places.remove(&tx.txid());
        }
        for outpoint in &change.spent {
            if let Some(coin) = self.spent.remove(outpoint) {
                self.live.insert(*outpoint, coin);
            }
        }
        let mut vaults = BTreeMap::new();
        for (outpoint, vault) in &change.created {
            if let Some(coin) = self.live.remove(outpoint) {
                vaults.insert(coin.output.script, vault.clone());
            }
        }
        for tx in change.txs.iter().filter(|tx| !tx.is_coinbase()) {
            self.wait(tx, |script| vaults.get(script).cloned());
        }
        Some(change)
    }

    /// Takes up a transaction that is in no block. One that spends what an earlier one spends takes its place.
    /// Returns whether it touches the vaults.
    pub fn seen(&mut self, tx: &Tx, own: impl Fn(&Script) -> Option<VaultId>) -> bool {
        let touches = tx.outputs.iter().any(|output| own(&output.script).is_some())
            || tx.inputs.iter().any(|input| self.find(&input.prev).is_some());
        if touches {
            self.wait(&Arc::new(tx.clone()), own);
        }
        touches
    }

    fn wait(&mut self, tx: &Arc<Tx>, own: impl Fn(&Script) -> Option<VaultId>) {
        let txid = tx.txid();
        if self.pending.contains_key(&txid) || self.places.contains_key(&txid) {
            return;
        }
        for input in &tx.inputs {
            if let Some(rival) = self.pending_spends.get(&input.prev).copied() {
                self.forget_with_children(rival);
            }
        }
        if self.pending.len() >= PENDING_MAX
            && let Some((_, oldest)) = self.pending_order.first_key_value()
        {
            self.forget(&oldest.clone());
        }
        self.arrivals = self.arrivals.saturating_add(1);
        self.pending_order.insert(self.arrivals, txid);
        for input in &tx.inputs {
            self.pending_spends.insert(input.prev, txid);
        }
        for coin in created(tx, txid, None, own) {
            self.pending_coins.insert(coin.outpoint, coin);
        }
        self.pending.insert(txid, Pending { tx: Arc::clone(tx), order: self.arrivals });
    }

    fn forget(&mut self, txid: &Txid) -> Option<Arc<Tx>> {
        let Pending { tx, order } = self.pending.remove(txid)?;
        self.pending_order.remove(&order);
        for input in &tx.inputs {
            if self.pending_spends.get(&input.prev) == Some(txid) {
                self.pending_spends.remove(&input.prev);
            }
        }
        for vout in (0_u32..).zip(&tx.outputs).map(|(vout, _)| vout) {
            self.pending_coins.remove(&OutPoint { txid: *txid, vout });
        }
        Some(tx)
    }

    fn forget_with_children(&mut self, txid: Txid) {
        let mut gone = vec![txid];
        while let Some(txid) = gone.pop() {
            let Some(tx) = self.forget(&txid) else { continue };
            for vout in (0_u32..).zip(&tx.outputs).map(|(vout, _)| vout) {
                gone.extend(self.pending_spends.get(&OutPoint { txid, vout }));
            }
        }
    }

    /// The height at which a transaction that touches the vaults stands, as far back as blocks can be undone.
    #[must_use]
    pub fn place(&self, txid: &Txid) -> Option<Height> {
        self.places.get(txid).copied()
    }

    fn find(&self, outpoint: &OutPoint) -> Option<&Coin> {
        let live = self.live.get(outpoint).or_else(|| self.pending_coins.get(outpoint));
        live.or_else(|| self.spent.get(outpoint))
    }

    /// Whether this output is known as a vault's: unspent, in the mempool, or spent in a block that can still be undone.
    #[must_use]
    pub fn knows(&self, outpoint: &OutPoint) -> bool {
        self.find(outpoint).is_some()
    }

    /// Whether a transaction that touches the vaults waits for a block.
    #[must_use]
    pub fn waits(&self, txid: &Txid) -> bool {
        self.pending.contains_key(txid)
    }

    /// The vaults' coins that `tx` spends or tries to spend, in input order. Coins spent in recent blocks count:
    /// a rival of a confirmed payout is a spend too.
    #[must_use]
    pub fn spends(&self, tx: &Tx) -> Vec<&Coin> {
        tx.inputs.iter().filter_map(|input| self.find(&input.prev)).collect()
    }

    /// Confirmed coins that nothing spends, in order of their outpoints.
    pub fn live(&self) -> impl Iterator<Item = &Coin> {
        self.live.values()
    }

    /// Coins of `vault` that can be spent and are not claimed by a transaction that waits for a block.
    pub fn spendable(&self, vault: &VaultId, tip: Height, depth_min: u32) -> impl Iterator<Item = &Coin> {
        self.ripe(vault, tip, depth_min).filter(|coin| !self.pending_spends.contains_key(&coin.outpoint))
    }

    /// Coins of `vault` that no block spends and the next one may: `depth_min` blocks deep under `tip`, and ripe where
    /// a coinbase made them.
    pub fn ripe(&self, vault: &VaultId, tip: Height, depth_min: u32) -> impl Iterator<Item = &Coin> {
        self.live.values().filter(move |coin| {
            let depth = coin.height.map_or(0, |height| height.confirmations(tip));
            let want = if coin.tx.is_coinbase() { depth_min.max(COINBASE_DEPTH_MIN) } else { depth_min };
            coin.vault == *vault && depth >= want
        })
    }

    /// Coins of `vault` that no block has yet.
    pub fn unconfirmed(&self, vault: &VaultId) -> impl Iterator<Item = &Coin> {
        self.pending_coins.values().filter(move |coin| coin.vault == *vault)
    }

    /// The blocks that can be undone, oldest first.
    pub fn history(&self) -> impl DoubleEndedIterator<Item = &Change> {
        self.history.iter()
    }
}
