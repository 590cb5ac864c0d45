//! A thief who holds the coin keys of two signers and spends past the system; and people who open the breaker again when
//! he is gone.

use std::collections::BTreeSet;

use kuraban_base::Txid;
use kuraban_chain::btc::{Mweb, Script, Tx, TxIn, TxOut};
use kuraban_vault::{
    RESET,
    body::reset_digest,
    coordinator::{Ask, Coordinator, Event, Token},
};

use super::{
    Mode,
    engine::{What, World},
    node::OwnCoin,
    random::Random,
    realm::{SIGNERS, realm, stranger},
};

/// The thief.
pub(super) struct Thief {
    /// When he takes a first coin, and when all others; nothing where there is no thief.
    plan: Vec<u64>,
    /// Whose share he does not have.
    lacks: u8,
    /// Whether he has a miner who puts his transaction into a block at once.
    miner: bool,
    /// Whether people open the breaker again, and when.
    reset_ms: Option<u64>,
    /// His transactions.
    pub(super) took: BTreeSet<Txid>,
    /// When he took something last.
    pub(super) last_ms: Option<u64>,
}

impl Thief {
    pub(super) fn new(mode: Mode, random: &mut Random) -> Self {
        let first = random.within(2000, 60_000);
        let second = first.saturating_add(random.within(300, 20_000));
        let plan = if mode.thief() { vec![first, second] } else { Vec::new() };
        let reset_ms = random.one_in(2).then(|| second.saturating_add(random.within(1000, 40_000)));
        let lacks = random.pick(&SIGNERS).copied().unwrap_or(1);
        let miner = random.one_in(4);
        Self { plan, lacks, miner, reset_ms, took: BTreeSet::new(), last_ms: None }
    }
}

impl World {
    pub(super) fn thief_turn(&mut self) {
        if !self.scenario.mode.thief() {
            return;
        }
        if self.thief.plan.first().is_some_and(|at| *at <= self.now_ms) {
            let small = self.thief.plan.len() > 1;
            self.thief.plan.remove(0);
            self.steal(small);
        }
        if self.thief.reset_ms.is_some_and(|at| at <= self.now_ms) && self.order_reset() {
            self.thief.reset_ms = None;
        }
    }

    fn steal(&mut self, small: bool) {
        let mut coins = self.node.vault_coins();
        coins.sort_by_key(|coin| coin.output.value_sat);
        if small {
            coins.truncate(1);
        }
        self.thief.last_ms = Some(self.now_ms);
        let fee_sat = self.random.within(2000, 30_000);
        let Some(tx) = self.theft(&coins, fee_sat) else { return };
        self.count("thefts");
        self.say(|| format!("the thief sends {}", tx.txid()));
        self.thief.took.insert(tx.txid());
        let taken = self.node.submit(&tx.encode());
        self.say(|| format!("the mempool answers {taken:?}"));
        if taken.is_ok() {
            if self.thief.miner {
                self.node.mine(self.now_ms, false);
            }
            self.chain_changed();
        }
    }

    fn theft(&self, coins: &[OwnCoin], fee_sat: u64) -> Option<Tx> {
        let sum = coins.iter().fold(0_u64, |sum, coin| sum.saturating_add(coin.output.value_sat));
        let value_sat = sum.checked_sub(fee_sat).filter(|value| *value > 1000)?;
        let input = |coin: &OwnCoin| TxIn {
            prev: coin.outpoint,
            script_sig: Script::default(),
            sequence: 0xffff_fffd,
            witness: Vec::new(),
        };
        let tx = Tx {
            version: 2,
            inputs: coins.iter().map(input).collect(),
            outputs: vec![TxOut { value_sat, script: stranger("thief") }],
            lock_time: 0,
            mweb: Mweb::None,
        };
        let spent: Vec<TxOut> = coins.iter().map(|coin| coin.output.clone()).collect();
        let holds = SIGNERS.into_iter().filter(|signer| *signer != self.thief.lacks);
        let shares: Option<Vec<_>> = holds.map(|signer| realm().share(signer, &tx, &spent)).collect();
        realm().combine(&tx, &spent, &shares?)
    }

    /// Two officers order the breaker open, once the log shows it closed.
    fn order_reset(&mut self) -> bool {
        let Some(fold) = self.writer.honest().map(Coordinator::fold) else { return false };
        let cells: Vec<_> = fold.breaker().tightened().map(|(cell, _)| cell).collect();
        if cells.is_empty() {
            return false;
        }
        let epoch = fold.breaker().epoch();
        let digest = reset_digest(fold.charter().roster().origin(), epoch, &cells);
        let approvals = [3, 4].iter().filter_map(|person| realm().sign(*person, RESET, digest.as_bytes()));
        let ask = Ask::Reset { cells, epoch, approvals: approvals.collect() };
        self.say(|| format!("people order the breaker open at epoch {epoch}"));
        self.count("resets");
        self.oracle.resets();
        self.writer_event(Event::Ask(Token(u64::MAX), ask));
        self.after(1, What::Flush);
        true
    }
}
