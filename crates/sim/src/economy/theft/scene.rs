//! One block's worth of thefts while it is made: transactions with their labels, and the coins that go back.
//!
//! Decides fees and keeps the books. Never decides who pays whom.

use kuraban_chain::btc::{Mweb, Script, Tx, TxOut};

use super::{Labelled, Owner, Way, What, fork::Draft};
use crate::economy::{Economy, FEE_RATE_MAX, Unspent, fee_sat, random::Random};

/// A coin and whose it is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Held {
    pub(super) coin: Unspent,
    pub(super) owner: Owner,
}

impl Held {
    pub(super) const fn sat(&self) -> u64 {
        self.coin.output.value_sat
    }
}

/// What coins are worth together.
pub(super) fn sum_sat(coins: &[Held]) -> u64 {
    coins.iter().map(Held::sat).sum()
}

/// An output to be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Pay {
    pub(super) owner: Owner,
    pub(super) script: Script,
    pub(super) sat: u64,
}

/// Of which theft a transaction is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Tag {
    pub(super) number: u32,
    pub(super) way: Way,
    pub(super) what: What,
    pub(super) limit_sat: Option<u64>,
}

/// What was made for one block.
#[derive(Debug)]
pub(super) struct Done {
    pub(super) txs: Vec<Tx>,
    pub(super) fees_sat: u64,
    pub(super) given: Vec<Unspent>,
    pub(super) labels: Vec<Labelled>,
    pub(super) fork: Option<Draft>,
}

pub(super) struct Scene<'a> {
    economy: &'a mut Economy,
    random: &'a mut Random,
    done: Done,
}

impl<'a> Scene<'a> {
    pub(super) const fn new(economy: &'a mut Economy, random: &'a mut Random) -> Self {
        let done = Done { txs: Vec::new(), fees_sat: 0, given: Vec::new(), labels: Vec::new(), fork: None };
        Self { economy, random, done }
    }

    pub(super) fn done(self) -> Done {
        self.done
    }

    pub(super) const fn random(&mut self) -> &mut Random {
        self.random
    }

    /// From `low` to `high`, both included.
    pub(super) fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.random.below(high.saturating_sub(low) + 1)
    }

    /// Coins of the economy that are worth so much together; none if it has none.
    pub(super) fn gather(&mut self, sat: u64, owner: Owner) -> Vec<Held> {
        self.economy.gather(sat).into_iter().map(|coin| Held { coin, owner }).collect()
    }

    /// A coin of the economy.
    pub(super) fn take(&mut self, sat_min: u64, owner: Owner) -> Option<Held> {
        self.economy.take(sat_min).map(|coin| Held { coin, owner })
    }

    /// Hands coins to the economy, from the next block on.
    pub(super) fn give(&mut self, coins: impl IntoIterator<Item = Held>) {
        self.done.given.extend(coins.into_iter().map(|held| held.coin));
    }

    /// An output at a new address.
    pub(super) fn pay(&mut self, owner: Owner, sat: u64) -> Pay {
        Pay { owner, script: self.economy.own_address(), sat }
    }

    /// An address that somebody of the economy was paid at.
    pub(super) fn somebody(&mut self) -> Option<Script> {
        self.economy.somebody()
    }

    /// What a transaction with so many inputs and outputs pays.
    pub(super) fn fee(&mut self, inputs: usize, outputs: usize) -> u64 {
        let rate = self.between(1, FEE_RATE_MAX);
        let wide = |count| u64::try_from(count).unwrap_or(u64::MAX);
        fee_sat(rate, wide(inputs), wide(outputs))
    }

    /// A transaction; the fee is what its inputs hold more than its outputs.
    pub(super) fn compose(inputs: &[Held], pays: &[Pay]) -> Tx {
        let outputs = pays.iter().map(|pay| TxOut { value_sat: pay.sat, script: pay.script.clone() });
        Tx {
            version: 2,
            inputs: inputs.iter().map(|held| Economy::spend(&held.coin)).collect(),
            outputs: outputs.collect(),
            lock_time: 0,
            mweb: Mweb::None,
        }
    }

    /// Puts a transaction into the block and its truth beside it; its outputs, but for data. None, and nothing done, if
    /// the inputs do not hold what it pays.
    pub(super) fn send(&mut self, tag: Tag, inputs: &[Held], pays: &[Pay]) -> Option<Vec<Held>> {
        let paid: u64 = pays.iter().map(|pay| pay.sat).sum();
        let fee_sat = sum_sat(inputs).checked_sub(paid).filter(|_| !inputs.is_empty())?;
        let tx = Self::compose(inputs, pays);
        self.label(tag, &tx, inputs, pays, false);
        let made = outputs_of(&tx, pays);
        self.done.fees_sat += fee_sat;
        self.done.txs.push(tx);
        Some(made)
    }

    /// Writes the truth about a transaction down.
    pub(super) fn label(&mut self, tag: Tag, tx: &Tx, inputs: &[Held], pays: &[Pay], stale: bool) {
        self.done.labels.push(Labelled {
            theft: tag.number,
            way: tag.way,
            txid: tx.txid(),
            what: tag.what,
            stale,
            inputs: inputs.iter().map(|held| held.owner).collect(),
            outputs: pays.iter().map(|pay| pay.owner).collect(),
            limit_sat: tag.limit_sat,
        });
    }

    /// A branch from this block's parent; false if there is one already.
    pub(super) fn branch(&mut self, draft: Draft) {
        self.done.fork = Some(draft);
    }

    /// Whether this block has a rival already.
    pub(super) const fn branches(&self) -> bool {
        self.done.fork.is_some()
    }
}

/// A transaction's outputs with their owners, but for those of nobody.
pub(super) fn outputs_of(tx: &Tx, pays: &[Pay]) -> Vec<Held> {
    let made = tx.outpoints().zip(pays).filter(|(_, pay)| pay.owner != Owner::Nobody);
    made.map(|((outpoint, output), pay)| Held { coin: Unspent::new(outpoint, output), owner: pay.owner })
        .collect()
}
