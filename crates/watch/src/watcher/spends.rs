//! Holding a spend against the log: believed where it is validly signed or mined, explained by `vault::explain`, and
//! theft otherwise.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use kuraban_base::{Amount, Txid, VaultId};
use kuraban_chain::btc::{Network, Script, Tx, TxIn};
use kuraban_vault::{
    Payout, Reason,
    body::Evidence,
    explain::{self, Unexplained},
    fold::Fold,
};

use super::{UNEXPLAINED_SPEND, alarms::Raise};
use crate::coins::{Coin, Coins};

/// Most bytes of evidence that go with an alarm.
const EVIDENCE_BYTES_MAX: usize = 1024 * 1024;
/// Most explained spends that are remembered, so that a block need not explain them again.
const EXPLAINED_MAX: usize = 100_000;
/// Most spends that wait for the log.
const WAITING_MAX: usize = 1000;

/// Where a spend was seen, which decides what must be checked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Place {
    /// In no block: believed only if it is validly signed.
    Mempool,
    /// In a block: work and Merkle root stand for it, also where its scripts are beyond what is checked here.
    Block,
    /// It was believed before and waits for the log.
    Waiting,
}

/// What a transaction turns out to be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Finding {
    /// It spends nothing of a vault's.
    Nothing,
    /// It claims to, but no input of it is validly signed.
    Invalid,
    /// Approved and receipted payouts explain it.
    Explained,
    /// They would, but it spends coins that are not known to be the vaults'. Its block will tell.
    Unsettled,
    /// Nothing explains what it takes from this vault.
    Theft {
        /// The vault.
        vault: VaultId,
        /// Why no payout explains it.
        why: Unexplained,
        /// The transactions whose coins of the vaults it spends.
        prevs: Vec<Tx>,
    },
}

/// Whose a script is, among the vaults of one network.
pub(super) fn owner(fold: &Fold, network: Network) -> impl Fn(&Script) -> Option<VaultId> {
    move |script| {
        let here = fold.charter().vaults().map(|(vault, _)| vault).filter(|vault| vault.network == network);
        let own = |id: &VaultId| fold.scripts(id).is_some_and(|scripts| scripts.place(script).is_some());
        let mut here = here.map(|vault| &vault.id).filter(|id| own(id));
        here.next().cloned()
    }
}

/// Holds a transaction against the log.
pub(super) fn find(fold: &Fold, coins: &Coins, network: Network, tx: &Tx, place: Place) -> Finding {
    let spent = coins.spends(tx);
    if spent.is_empty() {
        return Finding::Nothing;
    }
    let prevs: BTreeMap<Txid, &Tx> = spent.iter().map(|coin| (coin.outpoint.txid, &*coin.tx)).collect();
    let prevs: Vec<Tx> = prevs.into_values().cloned().collect();
    let own = owner(fold, network);
    if place == Place::Mempool && explain::spends(tx, &prevs, |script| own(script).is_some()).is_err() {
        return Finding::Invalid;
    }
    let vaults: BTreeSet<&VaultId> = spent.iter().map(|coin| &coin.vault).collect();
    let unexplained = |vault: &VaultId| match explain::explain(fold, vault, tx) {
        Ok(record) => too_dear(&record.payout, tx, &spent),
        Err(why) => Some(why),
    };
    match vaults.into_iter().find_map(|vault| Some((vault.clone(), unexplained(vault)?))) {
        // Without a block the coin's own transaction may still be on its way: a node can be a block behind, or hold it back.
        Some((_, Unexplained::ForeignInput { .. })) if coins.place(&tx.txid()).is_none() => {
            Finding::Unsettled
        }
        Some((vault, why)) => Finding::Theft { vault, why, prevs },
        None => Finding::Explained,
    }
}

/// A fee above what was approved takes coins out as well as an output does. It is known because every input is the vaults':
/// another one explains nothing, whatever the log says.
fn too_dear(payout: &Payout, tx: &Tx, spent: &[&Coin]) -> Option<Unexplained> {
    let known = |input: &&TxIn| spent.iter().any(|coin| coin.outpoint == input.prev);
    if let Some(foreign) = tx.inputs.iter().find(|input| !known(input)) {
        return Some(Unexplained::ForeignInput { payout: payout.id.clone(), input: foreign.prev });
    }
    let paid_in = Amount::sum(spent.iter().map(|coin| coin.output.value_sat.into()))?;
    let paid_out = Amount::sum(tx.outputs.iter().map(|output| output.value_sat.into()))?;
    let (fee, max) = (paid_in.less(paid_out)?, payout.fee_cap);
    let reasons = vec![Reason::FeeAboveCap { fee, max }];
    (fee > max).then(|| Unexplained::NotApproved { payout: payout.id.clone(), reasons })
}

/// The alarm that a theft raises.
pub(super) fn alarm(
    network: Network,
    tx: &Tx,
    (vault, why, prevs): (&VaultId, &Unexplained, &[Tx]),
) -> Raise {
    let txid = tx.txid();
    Raise {
        rule: UNEXPLAINED_SPEND,
        subject: txid.to_string(),
        asset: network.asset(),
        detail: format!("transaction {txid} spends coins of vault {vault}: {why}"),
        evidence: evidence(tx, prevs),
        trip: true,
    }
}

/// The transaction with as many of the vaults' previous transactions as fit, the small ones first; nothing where not
/// even it fits.
fn evidence(tx: &Tx, prevs: &[Tx]) -> Option<Evidence> {
    let tx = tx.encode();
    let mut room = EVIDENCE_BYTES_MAX.checked_sub(tx.len())?;
    let mut kept = Vec::new();
    let mut prevs: Vec<Vec<u8>> = prevs.iter().map(Tx::encode).collect();
    prevs.sort_by_key(Vec::len);
    for prev in prevs {
        match room.checked_sub(prev.len()) {
            Some(left) => room = left,
            None => break,
        }
        kept.push(prev);
    }
    Some(Evidence { tx, prevs: kept })
}

/// Spends that were explained, the newest kept.
#[derive(Debug, Default)]
pub(super) struct Explained {
    count: u64,
    known: BTreeSet<Txid>,
    order: VecDeque<Txid>,
}

impl Explained {
    pub(super) fn add(&mut self, txid: Txid) {
        if !self.known.insert(txid) {
            return;
        }
        self.count = self.count.saturating_add(1);
        self.order.push_back(txid);
        if self.order.len() > EXPLAINED_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
    }

    pub(super) fn has(&self, txid: &Txid) -> bool {
        self.known.contains(txid)
    }

    pub(super) const fn count(&self) -> u64 {
        self.count
    }
}

/// Spends that another watcher may have leased before this one folded their entries.
#[derive(Debug)]
pub(super) struct Waiting {
    wait_ms: u64,
    txs: BTreeMap<Txid, (Network, Tx, u64)>,
}

impl Waiting {
    /// Spends wait for at most `wait_ms`; not at all if it is 0.
    pub(super) const fn new(wait_ms: u64) -> Self {
        Self { wait_ms, txs: BTreeMap::new() }
    }

    /// Whether spends ever wait.
    pub(super) const fn is_used(&self) -> bool {
        self.wait_ms > 0
    }

    /// Whether the entries behind a spend may still be on their way.
    pub(super) fn admits(&mut self, now_ms: u64, network: Network, tx: &Tx) -> bool {
        if self.wait_ms == 0 {
            return false;
        }
        let txid = tx.txid();
        if let Some((_, _, since_ms)) = self.txs.get(&txid) {
            return now_ms.saturating_sub(*since_ms) < self.wait_ms;
        }
        let room = self.txs.len() < WAITING_MAX;
        if room {
            self.txs.insert(txid, (network, tx.clone(), now_ms));
        }
        room
    }

    /// A spend waits no longer.
    pub(super) fn end(&mut self, txid: &Txid) {
        self.txs.remove(txid);
    }

    /// What waits.
    pub(super) fn list(&self) -> Vec<(Network, Tx)> {
        self.txs.values().map(|(network, tx, _)| (*network, tx.clone())).collect()
    }
}
