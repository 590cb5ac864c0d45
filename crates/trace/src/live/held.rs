//! Tainted outputs as they are kept. Decides nothing.

use kuraban_chain::btc::OutPoint;

use crate::{
    feed::Words,
    taint::{Part, Parts},
};

pub(super) use crate::feed::tell::CasePlace;

/// What one case has in an output.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Of {
    pub case: CasePlace,
    /// For each method of the case; empty where a method finds nothing.
    pub taints: Box<[Parts]>,
    /// Where the units are held and not followed: what is known of the place.
    pub stop: Option<Box<Words>>,
}

/// A tainted output that is unspent, or that was a stop when it was spent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Held {
    pub value_sat: u64,
    pub script: Box<[u8]>,
    /// The height of the block in which it was found; nothing for a transaction that waits.
    pub height: Option<u32>,
    /// At least one.
    pub of: Vec<Of>,
}

impl Held {
    /// What a case has here that goes on when the output is spent, by a method's place.
    pub(super) fn followed(&self, case: CasePlace, method: usize) -> &[Part] {
        let of = self.of.iter().find(|of| of.case == case && of.stop.is_none());
        of.and_then(|of| of.taints.get(method)).map(|parts| &**parts).unwrap_or_default()
    }

    /// Whether anything goes on when the output is spent.
    pub(super) fn goes_on(&self) -> bool {
        self.of.iter().any(|of| of.stop.is_none())
    }

    /// What stays when the output was spent: what is held at a stop.
    pub(super) fn stays(&self) -> Option<Self> {
        let of: Vec<Of> = self.of.iter().filter(|of| of.stop.is_some()).cloned().collect();
        (!of.is_empty()).then(|| Self { of, script: self.script.clone(), ..*self })
    }
}

/// How many units parts are together.
pub(super) fn sum(parts: &[Part]) -> u64 {
    parts.iter().fold(0, |sum: u64, part| sum.saturating_add(part.amount_sat))
}

/// A transaction's outpoint.
pub(super) const fn outpoint(txid: kuraban_base::Txid, vout: u32) -> OutPoint {
    OutPoint { txid, vout }
}
