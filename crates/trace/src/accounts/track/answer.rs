//! What a track has found, as an answer of a trace. Sees that it adds up; decides nothing else.

use std::collections::BTreeMap;

use super::{
    super::{
        holding::{CaseNum, Holding, Part},
        ledger::{Ledger, Place},
        method::Rule,
        outcome::{CaseTotals, Held, Outcome, Segment, Unbalanced},
        transfer::Header,
        units::Units,
    },
    POISON, Track,
};
use crate::taint::Method;

impl Track {
    /// The answer so far.
    ///
    /// # Errors
    /// Units that do not add up.
    pub(in super::super) fn outcome(
        &self,
        header: Header,
        ledger: &Ledger,
    ) -> Result<Outcome, Box<Unbalanced>> {
        let held = self.held(ledger);
        let totals = self.balanced(&held, ledger)?;
        let marked = self.marks.iter().map(|(account, cases)| {
            (ledger.accounts.name(*account), cases.keys().map(|case| self.cases.name(*case)).collect())
        });
        Ok(Outcome {
            header,
            height: ledger.height(),
            totals,
            held,
            marked: marked.collect(),
            surfaced: ledger.surfaced(),
            transactions_touched: self.touched,
            seeds: self.seeds.clone(),
            deposits: self.deposits.clone(),
        })
    }

    fn held(&self, ledger: &Ledger) -> Vec<Held> {
        let mut all: Vec<Held> = Vec::new();
        if self.terms.rule == POISON {
            for (place, purse) in ledger.purses().filter(|(_, purse)| !purse.balance.is_zero()) {
                let Some(marks) = self.marks.get(&place.0) else { continue };
                let by_case = marks.keys().map(|case| (self.cases.name(*case), purse.balance)).collect();
                all.push(self.held_at(ledger, place, &Holding::default(), by_case, purse.balance));
            }
        }
        for (place, holding) in &self.holdings {
            let mut by_case: BTreeMap<String, Units> = BTreeMap::new();
            for (case, amount) in holding.parts.iter().filter_map(|part| Some((part.case?, part.amount))) {
                let sum = by_case.entry(self.cases.name(case)).or_default();
                *sum = sum.plus(amount).unwrap_or(Units::MAX);
            }
            all.push(self.held_at(ledger, *place, holding, by_case, holding.tainted()));
        }
        all.sort_by(|a, b| (&a.account, &a.asset).cmp(&(&b.account, &b.asset)));
        all
    }

    fn held_at(
        &self,
        ledger: &Ledger,
        place: Place,
        holding: &Holding,
        by_case: BTreeMap<String, Units>,
        tainted: Units,
    ) -> Held {
        let segment =
            |part: &Part| Segment { case: part.case.map(|case| self.cases.name(case)), amount: part.amount };
        let has_order = matches!(self.terms.rule, Rule::Of(Method::Fifo | Method::Lifo));
        Held {
            account: ledger.accounts.name(place.0),
            asset: ledger.assets.name(place.1),
            balance: ledger.purse(place).balance,
            tainted,
            by_case,
            segments: holding.parts.iter().filter(|_| has_order).map(segment).collect(),
            lowest: holding.lowest,
        }
    }

    /// Totals by case and asset, seen to add up.
    fn balanced(&self, held: &[Held], ledger: &Ledger) -> Result<Vec<CaseTotals>, Box<Unbalanced>> {
        let mut all: BTreeMap<CaseNum, CaseTotals> = BTreeMap::new();
        for ((num, asset), totals) in &self.totals {
            let fresh = || CaseTotals { case: self.cases.name(*num), by_asset: BTreeMap::new() };
            let case = all.entry(*num).or_insert_with(fresh);
            case.by_asset.insert(ledger.assets.name(*asset), totals.clone());
        }
        for one in held {
            for CaseTotals { case, by_asset } in all.values_mut() {
                // Under poison an account's other assets are marked too, of which none is stolen.
                let Some(totals) = by_asset.get_mut(&one.asset) else { continue };
                let more = one.by_case.get(case).copied().unwrap_or_default();
                totals.held = totals.held.plus(more).unwrap_or(Units::MAX);
            }
        }
        let all: Vec<CaseTotals> = all.into_values().collect();
        let assets = all.iter().flat_map(|one| one.by_asset.iter().map(move |found| (&one.case, found)));
        for (case, (asset, totals)) in assets.filter(|_| self.terms.rule.conserves()) {
            let (found, stolen) = (totals.found().unwrap_or(Units::MAX), totals.stolen);
            if found != stolen {
                let (case, asset) = (case.clone(), asset.clone());
                return Err(Box::new(Unbalanced { case, asset, stolen, found }));
            }
        }
        Ok(all)
    }
}
