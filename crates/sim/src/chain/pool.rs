//! The mempool: unconfirmed transactions that could stand in the next block together.
//!
//! Decides what is taken in and what it replaces, by the rules of Bitcoin Core with full replacement:
//! first seen stays, unless who comes later pays more in sum and by size (BIP 125, rules 2 to 5).

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use kuraban_base::{Height, Txid};
use kuraban_chain::btc::{OutPoint, Tx, TxOut, verify::Verifier};

use super::{COINBASE_MATURITY, Coin, Refusal, policy::RELAY_SAT_PER_VB, policy::Standard};

/// Most unconfirmed transactions that may hang together above or below one (`DEFAULT_ANCESTOR_LIMIT`).
pub const LINKED_MAX: usize = 25;
/// Most transactions that one may evict (`MAX_REPLACEMENT_CANDIDATES`).
pub const EVICTIONS_MAX: usize = 100;
/// Room for transactions, in bytes of their encoding.
pub const POOL_BYTES_MAX: usize = 300_000_000;

/// Lock times below this are heights, from it on seconds (`LOCKTIME_THRESHOLD`).
const LOCK_TIME_SECONDS_MIN: u32 = 500_000_000;

/// An unconfirmed transaction.
#[derive(Clone, Debug)]
pub struct Entry {
    /// It.
    pub tx: Arc<Tx>,
    /// Its fee.
    pub fee_sat: u64,
    /// Its virtual size.
    pub vsize: u64,
    bytes: usize,
    arrival: u64,
}

/// A transaction that was taken in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Accepted {
    /// Its id.
    pub txid: Txid,
    /// Those evicted for it, which can come back only by their owners.
    pub replaced: Vec<Txid>,
}

/// What the mempool needs to know of the chain.
pub(super) struct Tip<'a> {
    pub(super) coins: &'a BTreeMap<OutPoint, Coin>,
    /// Height of the next block.
    pub(super) next: Height,
    /// Median time of the last eleven blocks (BIP 113).
    pub(super) median_s: u32,
}

/// A transaction that may be taken in, and what has to go for it.
pub(super) struct Fit {
    tx: Tx,
    txid: Txid,
    fee_sat: u64,
    vsize: u64,
    bytes: usize,
    evicts: BTreeSet<Txid>,
}

impl Fit {
    pub(super) const fn txid(&self) -> Txid {
        self.txid
    }
}

#[derive(Clone, Debug, Default)]
pub(super) struct Pool {
    entries: BTreeMap<Txid, Entry>,
    by_arrival: BTreeMap<u64, Txid>,
    spends: BTreeMap<OutPoint, Txid>,
    bytes: usize,
    arrivals: u64,
}

impl Pool {
    pub(super) fn get(&self, txid: &Txid) -> Option<&Entry> {
        self.entries.get(txid)
    }

    /// In order of arrival, so that parents come before children.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Txid, &Entry)> {
        self.by_arrival.values().filter_map(|txid| self.entries.get_key_value(txid))
    }

    /// Whether `tx` may come in, by every rule.
    pub(super) fn judge(&self, tip: &Tip<'_>, tx: Standard) -> Result<Fit, Refusal> {
        let txid = tx.txid();
        if self.entries.contains_key(&txid) {
            return Err(Refusal::Pooled { txid });
        }
        if !is_final(&tx, tip) {
            return Err(Refusal::Locked { lock_time: tx.lock_time, height: tip.next });
        }
        let prevouts = self.prevouts(tip, &tx)?;
        let fee_sat = tx.fee(&prevouts).map_err(Refusal::Value)?;
        let vsize = u64::try_from(tx.vsize()).unwrap_or(u64::MAX);
        let least_sat = vsize.saturating_mul(RELAY_SAT_PER_VB);
        if fee_sat < least_sat {
            return Err(Refusal::Fee { fee_sat, least_sat });
        }
        let evicts = self.replacement(&tx, fee_sat, vsize)?;
        self.links(&tx, &evicts)?;
        let bytes = tx.size();
        if self.bytes.saturating_add(bytes) > POOL_BYTES_MAX {
            return Err(Refusal::Full { limit: POOL_BYTES_MAX });
        }
        let signature = |input| move |source| Refusal::Signature { input, source };
        let verifier = Verifier::new(&tx, &prevouts).map_err(|source| signature(0)(source.into()))?;
        for input in 0..tx.inputs.len() {
            verifier.input(input).map_err(signature(input))?;
        }
        Ok(Fit { tx: tx.into_tx(), txid, fee_sat, vsize, bytes, evicts })
    }

    pub(super) fn take(&mut self, fit: Fit) -> Accepted {
        let Fit { tx, txid, fee_sat, vsize, bytes, evicts } = fit;
        for evicted in &evicts {
            self.remove(evicted);
        }
        let arrival = self.arrivals;
        self.arrivals = arrival.saturating_add(1);
        self.by_arrival.insert(arrival, txid);
        self.spends.extend(tx.inputs.iter().map(|input| (input.prev, txid)));
        self.bytes = self.bytes.saturating_add(bytes);
        self.entries.insert(txid, Entry { tx: Arc::new(tx), fee_sat, vsize, bytes, arrival });
        Accepted { txid, replaced: evicts.into_iter().collect() }
    }

    /// Takes out one transaction and leaves its children.
    pub(super) fn remove(&mut self, txid: &Txid) {
        let Some(entry) = self.entries.remove(txid) else { return };
        self.by_arrival.remove(&entry.arrival);
        self.bytes = self.bytes.saturating_sub(entry.bytes);
        for input in &entry.tx.inputs {
            self.spends.remove(&input.prev);
        }
    }

    /// The outputs that `tx` spends: in a block and unspent there, or unconfirmed.
    fn prevouts(&self, tip: &Tip<'_>, tx: &Tx) -> Result<Vec<TxOut>, Refusal> {
        let spent = |outpoint: OutPoint| {
            if let Some(coin) = tip.coins.get(&outpoint) {
                let age = tip.next.blocks().saturating_sub(coin.height.blocks());
                if coin.coinbase && age < COINBASE_MATURITY {
                    return Err(Refusal::Immature { outpoint, born: coin.height, height: tip.next });
                }
                return Ok(coin.output.clone());
            }
            let vout = usize::try_from(outpoint.vout).ok();
            let entry = self.entries.get(&outpoint.txid).zip(vout);
            let output = entry.and_then(|(entry, vout)| entry.tx.outputs.get(vout));
            output
                .filter(|output| !output.script.is_unspendable())
                .cloned()
                .ok_or(Refusal::Missing { outpoint })
        };
        tx.inputs.iter().map(|input| spent(input.prev)).collect()
    }

    /// Those that have to go for `tx`, if it pays for that.
    fn replacement(&self, tx: &Tx, fee_sat: u64, vsize: u64) -> Result<BTreeSet<Txid>, Refusal> {
        let direct: BTreeSet<Txid> =
            tx.inputs.iter().filter_map(|input| self.spends.get(&input.prev)).copied().collect();
        if direct.is_empty() {
            return Ok(direct);
        }
        let evicts = self.reach(direct.iter().copied(), |entry, txid| self.children(entry, txid));
        if evicts.len() > EVICTIONS_MAX {
            return Err(Refusal::Evictions { count: evicts.len(), limit: EVICTIONS_MAX });
        }
        let replaced = || direct.iter().filter_map(|txid| self.entries.get_key_value(txid));
        let known: BTreeSet<OutPoint> =
            replaced().flat_map(|(_, entry)| &entry.tx.inputs).map(|input| input.prev).collect();
        for outpoint in tx.inputs.iter().map(|input| input.prev) {
            if evicts.contains(&outpoint.txid) {
                return Err(Refusal::OwnConflict { txid: outpoint.txid });
            }
            if self.entries.contains_key(&outpoint.txid) && !known.contains(&outpoint) {
                return Err(Refusal::NewUnconfirmed { outpoint });
            }
        }
        for (txid, entry) in replaced() {
            let rate =
                |fee_sat: u64, other_vsize: u64| u128::from(fee_sat).saturating_mul(other_vsize.into());
            if rate(fee_sat, entry.vsize) <= rate(entry.fee_sat, vsize) {
                return Err(Refusal::ReplacementRate { txid: *txid });
            }
        }
        let fees = evicts.iter().filter_map(|txid| self.entries.get(txid)).map(|entry| entry.fee_sat);
        let least_sat = fees.fold(vsize.saturating_mul(RELAY_SAT_PER_VB), u64::saturating_add);
        if fee_sat < least_sat {
            return Err(Refusal::ReplacementFee { fee_sat, least_sat });
        }
        Ok(evicts)
    }

    /// Refuses a transaction that would make too long a chain, above itself or below one of its ancestors.
    fn links(&self, tx: &Tx, evicts: &BTreeSet<Txid>) -> Result<(), Refusal> {
        let limit = LINKED_MAX;
        let ancestors = self.reach(parents(tx), |entry, _| parents(&entry.tx).collect());
        let with_itself = |count: usize| match count.saturating_add(1) {
            count if count > limit => Err(Refusal::Linked { count, limit }),
            count => Ok(count),
        };
        with_itself(ancestors.len())?;
        for ancestor in ancestors {
            let below = self.reach([ancestor], |entry, txid| self.children(entry, txid));
            with_itself(below.difference(evicts).count())?;
        }
        Ok(())
    }

    /// All unconfirmed transactions that steps lead to from `start`, itself included.
    fn reach(
        &self,
        start: impl IntoIterator<Item = Txid>,
        step: impl Fn(&Entry, Txid) -> Vec<Txid>,
    ) -> BTreeSet<Txid> {
        let mut found = BTreeSet::new();
        let mut open: Vec<Txid> = start.into_iter().collect();
        while let Some(txid) = open.pop() {
            if let Some(entry) = self.entries.get(&txid)
                && found.insert(txid)
            {
                open.extend(step(entry, txid));
            }
        }
        found
    }

    fn children(&self, entry: &Entry, txid: Txid) -> Vec<Txid> {
        let spenders = (0_u32..).zip(&entry.tx.outputs).map(|(vout, _)| OutPoint { txid, vout });
        spenders.filter_map(|outpoint| self.spends.get(&outpoint)).copied().collect()
    }
}

fn parents(tx: &Tx) -> impl Iterator<Item = Txid> {
    tx.inputs.iter().map(|input| input.prev.txid)
}

/// Whether the next block may hold it (BIP 113).
fn is_final(tx: &Tx, tip: &Tip<'_>) -> bool {
    let now = if tx.lock_time < LOCK_TIME_SECONDS_MIN { tip.next.blocks() } else { tip.median_s };
    tx.lock_time < now || tx.lock_time == 0 || tx.inputs.iter().all(|input| input.sequence == u32::MAX)
}
