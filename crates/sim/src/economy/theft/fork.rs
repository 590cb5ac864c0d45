//! A branch that is given up: two blocks that come before the chain's own at the same height, with another theft of the
//! same coins.
//!
//! Decides what the branch holds. The chain wins because it goes on.

use kuraban_base::Height;
use kuraban_chain::btc::{Block, BlockHash, Tx, pow::PowError};

use crate::{
    chain::{mine::Template, subsidy_sat},
    economy::{Economy, SPACING_S},
};

/// Sets the coinbases of a branch apart from those of the chain, which count blocks.
const MADE_ON_BRANCH: u64 = 1 << 40;

/// What the branch has in place of the chain's.
#[derive(Clone, Debug)]
pub(super) struct Draft {
    /// In the branch's first block, in place of the chain's last transaction of the same fee.
    pub(super) instead: Tx,
    /// On the chain.
    pub(super) replaced: kuraban_base::Txid,
    /// In its second block, and its fee.
    pub(super) then: Tx,
    pub(super) then_fee_sat: u64,
}

impl Draft {
    /// Where the branch leaves the chain: before the next block.
    pub(super) const fn at(self, economy: &Economy) -> Fork {
        Fork { draft: self, prev: economy.prev, blocks: economy.blocks, time_s: economy.time_s }
    }
}

/// A branch and where it begins.
#[derive(Clone, Debug)]
pub(super) struct Fork {
    draft: Draft,
    prev: BlockHash,
    blocks: u32,
    time_s: u32,
}

impl Fork {
    /// The branch's blocks beside the chain's.
    pub(super) fn blocks(self, economy: &mut Economy, chain: &Block) -> Result<Vec<Block>, PowError> {
        let Self { draft, prev, blocks, time_s } = self;
        let mut txs: Vec<Tx> = chain.txs.iter().skip(1).cloned().collect();
        for tx in txs.iter_mut().filter(|tx| tx.txid() == draft.replaced) {
            *tx = draft.instead.clone();
        }
        // The fee is the same, so the coinbase is worth the same.
        let claimed = chain.txs.first().map_or(0, Tx::output_sum_sat);
        let fees_sat = claimed.saturating_sub(subsidy_sat(Height::new(blocks)));
        let mut mine = |prev, height: u32, time_s, fees_sat, txs| {
            let regtest = economy.shape.regtest;
            let made = MADE_ON_BRANCH + u64::from(height);
            let pays = economy.own_address();
            Template { regtest, prev, height: Height::new(height), time_s, made, pays, fees_sat, txs }.solve()
        };
        // A second before the chain's block.
        let first = mine(prev, blocks, time_s + SPACING_S - 1, fees_sat, txs)?;
        let second =
            mine(first.hash(), blocks + 1, time_s + SPACING_S, draft.then_fee_sat, vec![draft.then])?;
        Ok(vec![first, second])
    }
}
