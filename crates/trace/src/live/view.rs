//! What the engine knows, for whoever asks. Decides nothing.

use kuraban_base::{CaseId, Height};
use kuraban_chain::btc::{OutPoint, Script};

use super::{
    Live,
    held::{CasePlace, Held, Of, sum},
};
use crate::{
    feed::{Opened, Words},
    taint::{Method, Parts, Totals},
};

/// A tainted output of one case.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Output<'a> {
    /// Which.
    pub outpoint: OutPoint,
    /// All its units.
    pub value_sat: u64,
    /// Its script.
    pub script: Script,
    /// The block in which it was found; nothing if its transaction waits.
    pub height: Option<Height>,
    /// For each method of the case what is tainted, which can be nothing.
    pub taints: &'a [Parts],
    /// What is known of the place, where the units are held and not followed.
    pub stop: Option<&'a Words>,
}

impl Output<'_> {
    /// How many units a method of the case, by its place, finds tainted; under poison at most the output's own.
    #[must_use]
    pub fn tainted_sat(&self, method: usize) -> u64 {
        self.taints.get(method).map_or(0, |parts| sum(parts).min(self.value_sat))
    }
}

fn view<'a>(outpoint: OutPoint, held: &'a Held, of: &'a Of) -> Output<'a> {
    Output {
        outpoint,
        value_sat: held.value_sat,
        script: Script::new(held.script.to_vec()),
        height: held.height.map(Height::new),
        taints: &of.taints,
        stop: of.stop.as_deref(),
    }
}

impl Live {
    /// The cases that are followed.
    pub fn cases(&self) -> impl Iterator<Item = &Opened> {
        self.cases.iter().filter(|followed| followed.closed.is_none()).map(|followed| &followed.opened)
    }

    fn place(&self, case: &CaseId) -> Option<CasePlace> {
        let found = (0..).zip(&self.cases).find(|(_, followed)| followed.opened.case == *case);
        found.filter(|(_, followed)| followed.closed.is_none()).map(|(place, _)| place)
    }

    /// The tainted outputs of a case in blocks: unspent ones, and those held at stops. In no order.
    pub fn outputs(&self, case: &CaseId) -> impl Iterator<Item = Output<'_>> {
        Self::of_case(self.held.iter(), self.place(case))
    }

    /// The tainted outputs of a case in transactions that wait. In no order.
    pub fn waiting(&self, case: &CaseId) -> impl Iterator<Item = Output<'_>> {
        Self::of_case(self.pool.made.iter(), self.place(case))
    }

    fn of_case<'a>(
        all: impl Iterator<Item = (&'a OutPoint, &'a Held)>,
        case: Option<CasePlace>,
    ) -> impl Iterator<Item = Output<'a>> {
        all.filter_map(move |(outpoint, held)| {
            let of = held.of.iter().find(|of| Some(of.case) == case)?;
            Some(view(*outpoint, held, of))
        })
    }

    /// Where a case's units are in blocks, by method; nothing for a case that is not followed. Looks at every tainted output.
    #[must_use]
    pub fn totals(&self, case: &CaseId) -> Option<Vec<(Method, Totals)>> {
        let place = self.place(case)?;
        let followed = self.open_case(place)?;
        let mut totals = followed.totals.clone();
        for output in self.outputs(case).filter(|output| output.stop.is_none()) {
            for (totals, parts) in totals.iter_mut().zip(output.taints) {
                totals.unspent_sat = totals.unspent_sat.saturating_add(u128::from(sum(parts)));
            }
        }
        Some(followed.opened.rules.methods.iter().copied().zip(totals).collect())
    }

    /// How many tainted outputs are held in blocks, of all cases.
    #[must_use]
    pub fn held_count(&self) -> usize {
        self.held.len()
    }

    /// How many transactions wait.
    #[must_use]
    pub fn pool_count(&self) -> usize {
        self.pool.txs.len()
    }
}
