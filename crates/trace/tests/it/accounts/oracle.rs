//! The oracle: an account is a row of single units, each with a number of its own; a theft is a set of numbers.
//!
//! Written from the definitions in another style than the engine: no segments, no sums, one unit at a time. Only for
//! small amounts.

use std::collections::{BTreeMap, BTreeSet};

use kuraban_trace::accounts::{Fees, Kind, Opening, Rule, Seed, Terms, Transfer};
use kuraban_trace::taint::Method;

type Unit = usize;

/// Where units of one theft and asset are.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Sums {
    pub(crate) stolen: u64,
    pub(crate) overlap: u64,
    pub(crate) fees: u64,
    pub(crate) burned: u64,
    pub(crate) stopped: u64,
    pub(crate) dust: u64,
    pub(crate) held: BTreeMap<String, u64>,
}

#[derive(Default)]
pub(crate) struct World {
    next: Unit,
    rows: BTreeMap<(String, String), Vec<Unit>>,
    /// Which theft a unit is of.
    owner: BTreeMap<Unit, usize>,
    cases: Vec<String>,
    pub(crate) sums: BTreeMap<(String, String), Sums>,
}

impl World {
    fn make(&mut self, amount: u64) -> Vec<Unit> {
        let first = self.next;
        self.next += usize::try_from(amount).unwrap();
        (first..self.next).collect()
    }

    pub(crate) fn play(&mut self, opening: Opening, transfers: &[Transfer], terms: &Terms, seeds: &[Seed]) {
        for transfer in transfers {
            self.step(opening, transfer, terms, seeds);
        }
        for ((account, asset), row) in &self.rows {
            for unit in row {
                if let Some(case) = self.owner.get(unit) {
                    let sums = self.sums.get_mut(&(self.cases[*case].clone(), asset.clone())).unwrap();
                    *sums.held.entry(account.clone()).or_default() += 1;
                }
            }
        }
    }

    fn step(&mut self, opening: Opening, transfer: &Transfer, terms: &Terms, seeds: &[Seed]) {
        let Transfer { asset, from, to, kind, .. } = transfer;
        let amount = u64::try_from(transfer.amount).unwrap();
        let row = from.as_ref().map(|from| (from.clone(), asset.clone()));
        let mut units = match &row {
            None => self.make(amount),
            Some(row) => {
                let have = self.rows.get(row).map_or(0, Vec::len);
                let missing = usize::try_from(amount).unwrap().saturating_sub(have);
                assert!(missing == 0 || opening == Opening::Unknown, "the list overdraws");
                let surfaced = self.make(u64::try_from(missing).unwrap());
                self.rows.entry(row.clone()).or_default().splice(0..0, surfaced);
                if from == to {
                    return;
                }
                self.leave(row, usize::try_from(amount).unwrap(), terms.rule)
            }
        };
        let seed = seeds.iter().find(|seed| seed.tx == transfer.tx && seed.index == transfer.index);
        let thief = seed.map(|seed| {
            let known = self.cases.iter().position(|case| *case == seed.case);
            known.unwrap_or_else(|| {
                self.cases.push(seed.case.clone());
                self.cases.len() - 1
            })
        });
        if let Some(thief) = thief {
            self.steal(thief, asset, &units);
        }
        let counted = *kind == Kind::Fee && terms.fees == Fees::Count;
        for case in 0..self.cases.len() {
            let of_case: BTreeSet<Unit> =
                units.iter().copied().filter(|unit| self.owner.get(unit) == Some(&case)).collect();
            let count = u64::try_from(of_case.len()).unwrap();
            if count == 0 {
                continue;
            }
            let dust = terms.dust.get(asset).map_or(0, |dust| u64::try_from(*dust).unwrap());
            let sums = self.sum(case, asset);
            let gone = match to {
                _ if counted => &mut sums.fees,
                None => &mut sums.burned,
                Some(_) if count < dust && thief.is_none() => &mut sums.dust,
                Some(to) if terms.stops.contains(to) => &mut sums.stopped,
                Some(_) => continue,
            };
            *gone += count;
            self.owner.retain(|unit, _| !of_case.contains(unit));
        }
        if let Some(to) = to {
            self.rows.entry((to.clone(), asset.clone())).or_default().append(&mut units);
        }
    }

    fn steal(&mut self, thief: usize, asset: &str, units: &[Unit]) {
        let (mut fresh, mut overlap) = (0, 0);
        for unit in units {
            match self.owner.get(unit) {
                None => {
                    self.owner.insert(*unit, thief);
                    fresh += 1;
                }
                Some(other) if *other != thief => overlap += 1,
                Some(_) => {}
            }
        }
        let sums = self.sum(thief, asset);
        sums.stolen += fresh;
        sums.overlap += overlap;
    }

    fn sum(&mut self, case: usize, asset: &str) -> &mut Sums {
        self.sums.entry((self.cases[case].clone(), asset.to_owned())).or_default()
    }

    /// The units that leave a row, in the order in which they do.
    fn leave(&mut self, row: &(String, String), amount: usize, method: Rule) -> Vec<Unit> {
        let have = self.rows.get(row).cloned().unwrap_or_default();
        let owner = |unit: &Unit| self.owner.get(unit).copied();
        let gone: Vec<Unit> = match method {
            Rule::Of(Method::Fifo) => have[..amount].to_vec(),
            Rule::Of(Method::Lifo) => have.iter().rev().take(amount).copied().collect(),
            Rule::Of(Method::DirtyFirst) => {
                let mut order = have.clone();
                order.sort_by_key(|unit| owner(unit).unwrap_or(usize::MAX));
                order[..amount].to_vec()
            }
            Rule::Of(Method::CleanFirst) => {
                let mut order = have.clone();
                order.sort_by_key(|unit| std::cmp::Reverse(owner(unit).unwrap_or(usize::MAX)));
                order[..amount].to_vec()
            }
            Rule::Libr => self.withdraw_by_one(&have, amount),
            Rule::Of(Method::Haircut | Method::Tiho) => self.by_shares(&have, amount, method),
            Rule::Of(Method::Poison) => panic!("poison moves no units"),
        };
        let left: BTreeSet<Unit> = gone.iter().copied().collect();
        self.rows.get_mut(row).unwrap().retain(|unit| !left.contains(unit));
        gone
    }

    /// Takes one unit after the other out; after each, a claim is at most the balance that earlier claims leave.
    fn withdraw_by_one(&self, have: &[Unit], amount: usize) -> Vec<Unit> {
        let mut left = have.to_vec();
        let mut gone = Vec::new();
        for _ in 0..amount {
            let mut room = left.len() - 1;
            let mut victim = None;
            for case in 0..self.cases.len() {
                let claim = left.iter().filter(|unit| self.owner.get(unit) == Some(&case)).count();
                if claim > room {
                    victim = Some(case);
                    break;
                }
                room -= claim;
            }
            let at = left.iter().position(|unit| self.owner.get(unit).copied() == victim).unwrap();
            gone.push(left.remove(at));
        }
        gone
    }

    /// Shares by case: two destinations, the transfer and what stays.
    fn by_shares(&self, have: &[Unit], amount: usize, method: Rule) -> Vec<Unit> {
        let mut gone = Vec::new();
        let (mut leaves, mut stays) = (amount, have.len() - amount);
        for case in 0..self.cases.len() {
            let of_case: Vec<Unit> =
                have.iter().copied().filter(|unit| self.owner.get(unit) == Some(&case)).collect();
            let whole = leaves + stays;
            let mut shares = [0, 0];
            let values = [leaves, stays];
            if method == Rule::Of(Method::Haircut) && whole > 0 {
                shares = values.map(|value| value * of_case.len() / whole);
                let mut order = [0, 1];
                order.sort_by_key(|at| std::cmp::Reverse(values[*at] * of_case.len() % whole));
                for at in order.into_iter().take(of_case.len() - shares[0] - shares[1]) {
                    shares[at] += 1;
                }
            } else {
                for _ in &of_case {
                    let mut order = [0, 1];
                    order.sort_by_key(|at| std::cmp::Reverse(values[*at]));
                    let at = order.into_iter().find(|at| shares[*at] < values[*at]).unwrap();
                    shares[at] += 1;
                }
            }
            gone.extend(of_case.into_iter().take(shares[0]));
            leaves -= shares[0];
            stays -= shares[1];
        }
        let clean = have.iter().copied().filter(|unit| !self.owner.contains_key(unit));
        gone.extend(clean.take(leaves));
        gone
    }

    /// The thefts of an account's units, the oldest first, with neighbours of one theft put together.
    pub(crate) fn row(&self, account: &str, asset: &str) -> Vec<(Option<String>, u64)> {
        let mut runs: Vec<(Option<String>, u64)> = Vec::new();
        for unit in self.rows.get(&(account.to_owned(), asset.to_owned())).into_iter().flatten() {
            let case = self.owner.get(unit).map(|case| self.cases[*case].clone());
            match runs.last_mut() {
                Some((last, count)) if *last == case => *count += 1,
                Some(_) | None => runs.push((case, 1)),
            }
        }
        runs
    }
}
