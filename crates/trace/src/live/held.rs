//! Tainted outputs as they are kept. Decides nothing.

use core::ops::{Deref, DerefMut};

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

/// What cases have in one output. Most outputs are of one case, which is kept without an allocation: it is looked at with
/// the output, and what lies elsewhere has to be waited for.
#[derive(Clone, Debug)]
pub(super) enum Ofs {
    One(Of),
    Many(Vec<Of>),
}

impl Default for Ofs {
    fn default() -> Self {
        Self::Many(Vec::new())
    }
}

impl Ofs {
    pub(super) fn push(&mut self, of: Of) {
        *self = match core::mem::take(self) {
            Self::Many(all) if all.is_empty() => Self::One(of),
            Self::One(first) => Self::Many(vec![first, of]),
            Self::Many(mut all) => {
                all.push(of);
                Self::Many(all)
            }
        };
    }

    pub(super) fn retain(&mut self, keep: impl Fn(&Of) -> bool) {
        match self {
            Self::One(of) if keep(of) => {}
            Self::One(_) => *self = Self::default(),
            Self::Many(all) => all.retain(keep),
        }
    }
}

impl FromIterator<Of> for Ofs {
    fn from_iter<I: IntoIterator<Item = Of>>(all: I) -> Self {
        let mut ofs = Self::default();
        all.into_iter().for_each(|of| ofs.push(of));
        ofs
    }
}

impl Deref for Ofs {
    type Target = [Of];

    fn deref(&self) -> &[Of] {
        match self {
            Self::One(of) => core::slice::from_ref(of),
            Self::Many(all) => all,
        }
    }
}

impl DerefMut for Ofs {
    fn deref_mut(&mut self) -> &mut [Of] {
        match self {
            Self::One(of) => core::slice::from_mut(of),
            Self::Many(all) => all,
        }
    }
}

impl PartialEq for Ofs {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Ofs {}

/// A tainted output that is unspent, or that was a stop when it was spent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Held {
    pub value_sat: u64,
    pub script: Box<[u8]>,
    /// The height of the block in which it was found; nothing for a transaction that waits.
    pub height: Option<u32>,
    /// At least one.
    pub of: Ofs,
}

impl Held {
    /// What a case has here that goes on when the output is spent, for each method.
    pub(super) fn followed(&self, case: CasePlace) -> Option<&[Parts]> {
        let of = self.of.iter().find(|of| of.case == case && of.stop.is_none())?;
        of.taints.iter().any(|parts| !parts.is_empty()).then_some(&of.taints)
    }

    /// Whether anything goes on when the output is spent.
    pub(super) fn goes_on(&self) -> bool {
        self.of.iter().any(|of| of.stop.is_none())
    }

    /// What stays when the output was spent: what is held at a stop.
    pub(super) fn stays(&self) -> Option<Self> {
        let of: Ofs = self.of.iter().filter(|of| of.stop.is_some()).cloned().collect();
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
