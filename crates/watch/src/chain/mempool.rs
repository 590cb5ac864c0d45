//! Announced transactions: which to ask for, and which were seen before. Bounded in memory; what does not fit is
//! asked for again later, never forgotten in silence.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use kuraban_base::Txid;
use kuraban_chain::btc::{Tx, Wtxid};

/// Most announcements that wait to be asked for.
const WAITING_MAX: usize = 200_000;
/// Most transactions that are asked for at one time.
const ASKED_MAX: usize = 1_000;
/// Most transactions that are remembered as seen.
const SEEN_MAX: usize = 400_000;

/// How a transaction is announced and asked for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum TxRef {
    /// By an id that does not cover the witness.
    Txid(Txid),
    /// By an id that covers it (BIP 339).
    Wtxid(Wtxid),
}

/// The announcements of one connection, and what was seen over all of them.
#[derive(Clone, Debug, Default)]
pub(super) struct Mempool {
    waiting: VecDeque<TxRef>,
    asked: BTreeMap<TxRef, u64>,
    seen: BTreeSet<Wtxid>,
    order: VecDeque<Wtxid>,
    overflowed: bool,
}

impl Mempool {
    /// Takes announcements up. One by txid is always asked for: a transaction with that id and other witnesses
    /// may have been seen.
    pub(super) fn announced(&mut self, refs: &[TxRef]) {
        for tx in refs {
            let known = match tx {
                TxRef::Wtxid(wtxid) => self.seen.contains(wtxid),
                TxRef::Txid(_) => false,
            };
            if known || self.asked.contains_key(tx) {
                continue;
            }
            if self.waiting.len() >= WAITING_MAX {
                self.overflowed = true;
                return;
            }
            self.waiting.push_back(*tx);
        }
    }

    /// What to ask for now.
    pub(super) fn ask(&mut self, now_ms: u64) -> Vec<TxRef> {
        let mut ask = Vec::new();
        while self.asked.len() < ASKED_MAX {
            let Some(tx) = self.waiting.pop_front() else { break };
            if self.asked.insert(tx, now_ms).is_none() {
                ask.push(tx);
            }
        }
        ask
    }

    /// Whether the transaction is seen for the first time.
    pub(super) fn arrived(&mut self, tx: &Tx) -> bool {
        let wtxid = tx.wtxid();
        self.asked.remove(&TxRef::Wtxid(wtxid));
        self.asked.remove(&TxRef::Txid(tx.txid()));
        if !self.seen.insert(wtxid) {
            return false;
        }
        self.order.push_back(wtxid);
        if self.order.len() > SEEN_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.seen.remove(&oldest);
        }
        true
    }

    /// The node does not have these any more.
    pub(super) fn missing(&mut self, refs: &[TxRef]) {
        for tx in refs {
            self.asked.remove(tx);
        }
    }

    /// Gives up on what was asked for before `limit_ms`, so that a node that does not answer cannot fill the list.
    pub(super) fn expire(&mut self, limit_ms: u64) {
        self.asked.retain(|_, asked_ms| *asked_ms >= limit_ms);
    }

    /// Whether announcements were dropped and all are worked off, so that the mempool must be asked for again.
    pub(super) fn ask_again(&mut self) -> bool {
        let again = self.overflowed && self.waiting.is_empty() && self.asked.is_empty();
        self.overflowed &= !again;
        again
    }

    /// A new connection announces from the start.
    pub(super) fn reconnected(&mut self) {
        self.waiting.clear();
        self.asked.clear();
        self.overflowed = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wtxid(number: usize) -> TxRef {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&u64::try_from(number).unwrap().to_le_bytes());
        TxRef::Wtxid(Wtxid::from_bytes(bytes))
    }

    #[test]
    fn asks_in_bounded_batches_and_remembers_an_overflow() {
        let mut mempool = Mempool::default();
        let all: Vec<TxRef> = (0..=WAITING_MAX).map(wtxid).collect();
        mempool.announced(&all[..WAITING_MAX]);
        assert!(!mempool.overflowed);
        mempool.announced(&all[WAITING_MAX..]);
        assert!(mempool.overflowed);
        let mut asked = 0;
        loop {
            let batch = mempool.ask(0);
            if batch.is_empty() {
                break;
            }
            assert!(batch.len() <= ASKED_MAX && !mempool.ask_again());
            asked += batch.len();
            mempool.missing(&batch);
        }
        assert_eq!(asked, WAITING_MAX);
        assert!(mempool.ask_again());
        assert!(!mempool.ask_again());
    }

    #[test]
    fn unanswered_questions_are_given_up() {
        let mut mempool = Mempool::default();
        mempool.announced(&(0..=ASKED_MAX).map(wtxid).collect::<Vec<_>>());
        assert_eq!(mempool.ask(5).len(), ASKED_MAX);
        assert_eq!(mempool.ask(6).len(), 0);
        mempool.expire(5);
        assert_eq!(mempool.ask(6).len(), 0);
        mempool.expire(6);
        assert_eq!(mempool.ask(6).len(), 1);
    }
}
