//! The chains as the writer sees them: which coins the vaults can spend, which of their spends are in blocks.
//!
//! A coin is offered only when the node's chain is followed to its end: while blocks of the past are taken up, a coin
//! may look free that a later block spends. Decides nothing about payouts.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use kuraban_base::{Height, Txid, VaultId};
use kuraban_chain::btc::{Block, BlockHash, Network, OutPoint, Script};
use kuraban_vault::{
    coordinator::{Coin, Event},
    fold::{Fold, unsigned_id},
};
use kuraban_watch::{
    Change,
    chain::{self, Chain, Fact},
    coins::{self, ChangeError, Coins},
};

use super::figures::{Figure, Figures};

/// A stored block that does not fit the ones before it.
#[derive(Debug, thiserror::Error)]
pub(super) enum RestoreError {
    /// Its bytes are damaged.
    #[error("a stored block does not decode")]
    Row(#[from] kuraban_base::cbor::CborError),
    /// The store cannot be read.
    #[error("stored blocks cannot be read")]
    Store(#[from] super::store::StoreError),
    /// It does not follow.
    #[error("a stored block does not follow")]
    Chain(#[from] chain::RestoreError),
    /// Its coins do not fit.
    #[error("a stored block's coins do not fit")]
    Coins(#[from] ChangeError),
    /// Something that is no block, or of a network without a node.
    #[error("what is stored is no block of a network that has a node")]
    Stranger,
}

/// One network.
#[derive(Debug, Default)]
struct Followed {
    coins: Coins,
    tip: Option<Height>,
    /// Whether the chain was once followed to its end.
    current: bool,
    offered: BTreeMap<OutPoint, VaultId>,
}

/// What a fact brings about.
#[derive(Debug, Default)]
pub(super) struct Brought {
    /// For the coordinator, in order.
    pub(super) events: Vec<Event>,
    /// To be kept on disk.
    pub(super) row: Option<Vec<u8>>,
}

/// Every network that has a node.
#[derive(Debug)]
pub(super) struct Chains {
    networks: BTreeMap<Network, Followed>,
    figures: Arc<Figures>,
}

/// Whose a script is, among the vaults of one network.
fn owner(fold: &Fold, network: Network, script: &Script) -> Option<VaultId> {
    let mut vaults = fold.charter().vaults().map(|(vault, _)| vault).filter(|one| one.network == network);
    let own = |id: &VaultId| fold.scripts(id).is_some_and(|scripts| scripts.place(script).is_some());
    vaults.find(|vault| own(&vault.id)).map(|vault| vault.id.clone())
}

/// The spends of a block, as they are told.
fn mined(change: &coins::Change) -> impl Iterator<Item = (Txid, Vec<OutPoint>)> + '_ {
    let spent: BTreeSet<OutPoint> = change.spent.iter().copied().collect();
    change.txs.iter().filter_map(move |tx| {
        let spends: Vec<OutPoint> =
            tx.inputs.iter().map(|input| input.prev).filter(|prev| spent.contains(prev)).collect();
        (!spends.is_empty()).then(|| (unsigned_id(tx), spends))
    })
}

impl Chains {
    /// Nothing followed yet.
    pub(super) fn new(networks: impl IntoIterator<Item = Network>, figures: Arc<Figures>) -> Self {
        let networks = networks.into_iter().map(|network| (network, Followed::default())).collect();
        Self { networks, figures }
    }

    /// Takes up a stored row at a restart, in order, on both sides: the chain that asks the node, and the coins.
    ///
    /// # Errors
    /// It does not fit the rows before it.
    pub(super) fn restore(
        &mut self,
        chains: &mut BTreeMap<Network, Chain>,
        row: &[u8],
    ) -> Result<(), RestoreError> {
        match Change::decode(row)? {
            Change::Connected { network, header, coins } => {
                let (followed, chain) = self.sides(chains, network)?;
                let position = chain.restore_connected(&header)?;
                followed.coins.apply(&coins)?;
                followed.tip = Some(position.height);
            }
            Change::Disconnected { network, hash } => {
                let (followed, chain) = self.sides(chains, network)?;
                chain.restore_disconnected(hash)?;
                followed.coins.disconnect();
                followed.tip = Some(chain.tip().height);
            }
            Change::Entries { .. }
            | Change::Cosigned(_)
            | Change::Alarm(_)
            | Change::Whole
            | Change::Anew { .. } => {
                return Err(RestoreError::Stranger);
            }
        }
        Ok(())
    }

    fn sides<'a>(
        &'a mut self,
        chains: &'a mut BTreeMap<Network, Chain>,
        network: Network,
    ) -> Result<(&'a mut Followed, &'a mut Chain), RestoreError> {
        let both = self.networks.get_mut(&network).zip(chains.get_mut(&network));
        both.ok_or(RestoreError::Stranger)
    }

    /// What the coordinator is told after a restart: the spends in recent blocks. Coins follow when the chain is
    /// followed to its end.
    pub(super) fn recent(&self) -> Vec<Event> {
        let changes = self.networks.values().flat_map(|followed| followed.coins.history());
        changes.flat_map(mined_events).collect()
    }

    /// Takes what happened on a chain.
    pub(super) fn take(&mut self, fold: &Fold, network: Network, fact: Fact) -> Brought {
        let mut brought = Brought::default();
        let Some(followed) = self.networks.get_mut(&network) else { return brought };
        let name = network.to_string();
        match fact {
            Fact::Connected { height, hash: _, block } => {
                followed.connected(fold, network, height, &block, &mut brought)
            }
            Fact::Disconnected { height, hash } => followed.disconnected(network, height, hash, &mut brought),
            // Only blocks take coins away: one that a thief claims outside a block is still to be raced for, and those
            // of own payouts are reserved.
            Fact::Seen(_) => return brought,
            Fact::CaughtUp { tip } | Fact::Resumed { tip } => {
                tracing::info!(%network, height = %tip.height, "caught-up");
                followed.current = true;
                followed.tip = Some(tip.height);
                self.figures.set(Figure::Following, &name, 1);
            }
            Fact::Behind => tracing::warn!(%network, "behind"),
            Fact::Stalled { why, .. } => {
                tracing::warn!(%network, %why, "stalled");
                self.figures.set(Figure::Following, &name, 0);
            }
        }
        self.figures.set(Figure::Height, &name, followed.tip.map_or(0, |tip| tip.blocks().into()));
        if followed.current {
            followed.offer(fold, network, &mut brought.events, &self.figures);
            brought.events.extend(followed.tip.map(|tip| Event::Tip(network, tip)));
        }
        brought
    }
}

fn mined_events(change: &coins::Change) -> Vec<Event> {
    let height = change.height;
    mined(change).map(|(txid, spends)| Event::Mined { txid, spends, height }).collect()
}

impl Followed {
    fn connected(
        &mut self,
        fold: &Fold,
        network: Network,
        height: Height,
        block: &Block,
        brought: &mut Brought,
    ) {
        let coins = self.coins.connect(height, block, |script| owner(fold, network, script));
        brought.events.extend(mined_events(&coins));
        self.tip = Some(height);
        brought.row = Some(Change::Connected { network, header: block.header, coins }.encode());
    }

    fn disconnected(&mut self, network: Network, height: Height, hash: BlockHash, brought: &mut Brought) {
        if let Some(change) = self.coins.disconnect() {
            brought.events.extend(mined(&change).map(|(txid, _)| Event::Unmined(txid)));
        }
        self.tip = height.blocks().checked_sub(1).map(Height::new);
        brought.row = Some(Change::Disconnected { network, hash }.encode());
    }

    /// Tells which coins can be spent now and could not before, and the other way round.
    fn offer(&mut self, fold: &Fold, network: Network, events: &mut Vec<Event>, figures: &Figures) {
        let Some(tip) = self.tip else { return };
        let mut gone = core::mem::take(&mut self.offered);
        // Coins of one transaction share its bytes.
        let mut bytes: BTreeMap<Txid, Arc<Vec<u8>>> = BTreeMap::new();
        let vaults = fold.charter().vaults().map(|(vault, _)| vault).filter(|one| one.network == network);
        for vault in vaults {
            let mut count = 0_u64;
            for coin in self.coins.ripe(&vault.id, tip, vault.depth_min) {
                count = count.saturating_add(1);
                self.offered.insert(coin.outpoint, vault.id.clone());
                if gone.remove(&coin.outpoint).is_none() {
                    let encoded = || Arc::new(coin.tx.encode());
                    let tx = Arc::clone(bytes.entry(coin.outpoint.txid).or_insert_with(encoded));
                    let coin = Coin { outpoint: coin.outpoint, output: coin.output.clone(), tx };
                    events.push(Event::Coin(vault.id.clone(), coin));
                }
            }
            figures.set(Figure::Coins, vault.id.as_str(), count);
        }
        events.extend(gone.into_iter().map(|(outpoint, vault)| Event::CoinGone(vault, outpoint)));
    }
}
