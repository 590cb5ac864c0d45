//! What one account holds of one asset: how many units, and which of them are stolen.
//!
//! Decides which units leave when some leave. Never where they go.

use std::collections::VecDeque;

use super::{method::Rule, units::Units};
use crate::taint::Method;

/// A theft, by its place among the cases of a trace: in the order in which their first seeds stand in the list.
pub(super) type CaseNum = u32;

/// Units side by side that are of one theft, or clean.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Part {
    /// The theft; `None` where they are clean.
    pub(super) case: Option<CaseNum>,
    /// How many.
    pub(super) amount: Units,
}

/// The units that a transfer carries, in order.
pub(super) type Parcel = Vec<Part>;

/// Appends a part, or grows the last one where both are of one theft.
pub(super) fn append(parcel: &mut Parcel, part: Part) {
    if part.amount.is_zero() {
        return;
    }
    match parcel.last_mut() {
        // Parts of one balance, which fits.
        Some(last) if last.case == part.case => {
            last.amount = last.amount.plus(part.amount).unwrap_or(Units::MAX);
        }
        Some(_) | None => parcel.push(part),
    }
}

/// The lowest balance since an account has had tainted units, and where it stood at that.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Lowest {
    /// The balance.
    pub balance: Units,
    /// The block after whose transfer it stood there first.
    pub height: u64,
}

/// What tracks keep of one account's units of one asset, where some of them are tainted. The balance is the ledger's.
///
/// Under fifo and lifo `parts` are all units, the oldest first. Under the methods of amounts they are the tainted ones
/// alone, one part a case in the order of cases. Under poison nothing is kept.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Holding {
    pub(super) parts: VecDeque<Part>,
    pub(super) lowest: Option<Lowest>,
    /// The last block in which tainted units came or left.
    pub(super) changed: u64,
}

impl Holding {
    /// An account whose units are all clean.
    pub(super) fn clean(rule: Rule, balance: Units) -> Self {
        let knows_units = matches!(rule, Rule::Of(Method::Fifo | Method::Lifo)) && !balance.is_zero();
        let parts = knows_units.then_some(Part { case: None, amount: balance });
        Self { parts: parts.into_iter().collect(), lowest: None, changed: 0 }
    }

    /// Adds clean units that were there before all others. `None` where there would be more than 2²⁵⁶ − 1.
    pub(super) fn surface(&mut self, rule: Rule, amount: Units) -> Option<()> {
        match rule {
            Rule::Of(Method::Fifo | Method::Lifo) => match self.parts.front_mut() {
                Some(first) if first.case.is_none() => first.amount = first.amount.plus(amount)?,
                Some(_) | None if amount.is_zero() => {}
                Some(_) | None => self.parts.push_front(Part { case: None, amount }),
            },
            Rule::Of(
                Method::Poison | Method::Haircut | Method::Tiho | Method::DirtyFirst | Method::CleanFirst,
            )
            | Rule::Libr => {}
        }
        Some(())
    }

    /// Puts units in. `None` where there would be more than 2²⁵⁶ − 1.
    pub(super) fn put(&mut self, rule: Rule, parcel: &[Part]) -> Option<()> {
        for part in parcel.iter().filter(|part| !part.amount.is_zero()) {
            match rule {
                Rule::Of(Method::Fifo | Method::Lifo) => match self.parts.back_mut() {
                    Some(last) if last.case == part.case => last.amount = last.amount.plus(part.amount)?,
                    Some(_) | None => self.parts.push_back(*part),
                },
                Rule::Of(Method::Haircut | Method::Tiho | Method::DirtyFirst | Method::CleanFirst)
                | Rule::Libr => {
                    if part.case.is_some() {
                        self.add(*part)?;
                    }
                }
                Rule::Of(Method::Poison) => {}
            }
        }
        Some(())
    }

    fn add(&mut self, part: Part) -> Option<()> {
        match self.parts.binary_search_by_key(&part.case, |known| known.case) {
            Ok(at) => {
                let known = self.parts.get_mut(at)?;
                known.amount = known.amount.plus(part.amount)?;
            }
            Err(at) => self.parts.insert(at, part),
        }
        Some(())
    }

    /// Takes units out of a balance. The caller has seen that there are enough.
    pub(super) fn take(&mut self, rule: Rule, amount: Units, balance: Units) -> Parcel {
        match rule {
            Rule::Of(Method::Fifo | Method::Lifo) => self.take_units(rule, amount),
            Rule::Of(Method::Haircut | Method::Tiho | Method::DirtyFirst | Method::CleanFirst)
            | Rule::Libr => self.take_amounts(rule, amount, balance),
            Rule::Of(Method::Poison) => vec![Part { case: None, amount }],
        }
    }

    /// From the oldest end or from the newest, in the order in which they are taken.
    fn take_units(&mut self, rule: Rule, amount: Units) -> Parcel {
        let mut parcel = Parcel::new();
        let mut open = amount;
        while !open.is_zero() {
            let next =
                if rule == Rule::Of(Method::Lifo) { self.parts.back_mut() } else { self.parts.front_mut() };
            let Some(part) = next else { break };
            let taken = part.amount.min(open);
            append(&mut parcel, Part { case: part.case, amount: taken });
            part.amount = part.amount.beyond(taken);
            open = open.beyond(taken);
            if part.amount.is_zero() {
                if rule == Rule::Of(Method::Lifo) {
                    self.parts.pop_back()
                } else {
                    self.parts.pop_front()
                };
            }
        }
        parcel
    }

    /// The earliest theft first, each by the same rule over what the earlier ones left.
    fn take_amounts(&mut self, rule: Rule, amount: Units, mut balance: Units) -> Parcel {
        let mut parcel = Parcel::new();
        let mut leaves = amount;
        for part in &mut self.parts {
            let taken = tainted_that_leaves(rule, leaves, balance, part.amount);
            leaves = leaves.beyond(taken);
            balance = balance.beyond(part.amount);
            part.amount = part.amount.beyond(taken);
            append(&mut parcel, Part { case: part.case, amount: taken });
        }
        self.parts.retain(|part| !part.amount.is_zero());
        append(&mut parcel, Part { case: None, amount: leaves });
        parcel
    }

    /// Tainted units of all cases.
    pub(super) fn tainted(&self) -> Units {
        let tainted = self.parts.iter().filter(|part| part.case.is_some()).map(|part| part.amount);
        // Parts of one balance, which fits.
        Units::sum(tainted).unwrap_or(Units::MAX)
    }

    /// Keeps the lowest balance since there have been tainted units.
    pub(super) fn keep_lowest(&mut self, balance: Units, height: u64) {
        let before = if self.tainted().is_zero() { return self.lowest = None } else { self.lowest };
        self.lowest = before.filter(|lowest| lowest.balance <= balance).or(Some(Lowest { balance, height }));
    }
}

/// How many of `tainted` units are among the `leaves` units that leave `balance`.
fn tainted_that_leaves(rule: Rule, leaves: Units, balance: Units, tainted: Units) -> Units {
    let stays = balance.beyond(leaves);
    match rule {
        Rule::Of(Method::Haircut) => leaves.share(tainted, balance),
        Rule::Of(Method::DirtyFirst) => tainted.min(leaves),
        Rule::Of(Method::CleanFirst) => tainted.beyond(stays),
        // What stays claimed is at most what stays.
        Rule::Libr => tainted.beyond(tainted.min(stays)),
        Rule::Of(Method::Tiho) if leaves >= stays => tainted.min(leaves),
        Rule::Of(Method::Tiho) => tainted.beyond(stays),
        // They know units, or none; amounts are not asked of them.
        Rule::Of(Method::Fifo | Method::Lifo | Method::Poison) => Units::ZERO,
    }
}
