//! What making whole costs, and whether the money is there in time: needs against sources by date, and coins to be bought at rates
//! that may move. Decides sums and shortfalls from a plan; reads no price and knows no day but those that the plan names.

mod plan;

use std::collections::BTreeMap;

use jiff::civil::Date;
use kuraban_base::Amount;

pub use plan::{Buy, Flow, FundingError, Plan, Tranche};

use crate::{Exact, Rate, Rounding, Share};

/// Which way the rates move that are not agreed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Move {
    /// As the plan has them.
    None,
    /// Down by a share.
    Down(Share),
    /// Up by a share.
    Up(Share),
}

/// What is there, or what is missing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standing {
    /// So much is left, in the currency's smallest unit.
    Left(Amount),
    /// So much is missing.
    Short(Amount),
}

impl Standing {
    fn of(sources: Amount, needs: Amount) -> Self {
        match (sources.less(needs), needs.less(sources)) {
            (Some(left), _) => Self::Left(left),
            (None, Some(short)) => Self::Short(short),
            // One of the two differences is there always.
            (None, None) => Self::Short(needs),
        }
    }

    /// What is missing; zero if nothing is.
    #[must_use]
    pub const fn short(self) -> Amount {
        match self {
            Self::Left(_) => Amount::ZERO,
            Self::Short(short) => short,
        }
    }
}

/// A day on which money comes or goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Day {
    /// Which.
    pub date: Date,
    /// What comes on it.
    pub sources: Amount,
    /// What is needed on it, coins included.
    pub needs: Amount,
    /// What stands at its end, with all days before.
    pub standing: Standing,
}

/// What a plan comes to if rates move one way.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Case {
    /// How they move.
    pub moved: Move,
    /// What the coins of each purchase cost, in the plan's order.
    pub costs: Vec<Amount>,
    /// All days, the first one first.
    pub days: Vec<Day>,
    /// All sources.
    pub sources: Amount,
    /// All needs.
    pub needs: Amount,
    /// The one less the other.
    pub standing: Standing,
    /// The day on which most is missing, if there is one on which anything is.
    pub worst: Option<Day>,
}

/// What a plan comes to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Funding {
    /// As planned first, then each step down, the smallest first, then each step up.
    pub cases: Vec<Case>,
    /// The highest rate at which all sources together pay for the coins that are not agreed; if there is one asset of which that is
    /// open, and anything is left for it.
    pub bearable: Option<Rate>,
}

/// Lays needs against sources. `None` where sums are beyond counting.
#[must_use]
pub fn fund(plan: &Plan) -> Option<Funding> {
    let down = plan.sensitivity.iter().map(|share| Move::Down(*share));
    let up = plan.sensitivity.iter().map(|share| Move::Up(*share));
    let moves = core::iter::once(Move::None).chain(down).chain(up);
    let cases = moves.map(|moved| case(plan, moved)).collect::<Option<_>>()?;
    Some(Funding { cases, bearable: bearable(plan) })
}

fn case(plan: &Plan, moved: Move) -> Option<Case> {
    let mut by_day: BTreeMap<Date, (Amount, Amount)> = BTreeMap::new();
    for flow in &plan.sources {
        let (sources, _) = by_day.entry(flow.date).or_default();
        *sources = sources.plus(flow.amount)?;
    }
    let mut need = |date, amount| {
        let (_, needs) = by_day.entry(date).or_default();
        *needs = needs.plus(amount)?;
        Some(())
    };
    plan.needs.iter().try_for_each(|flow| need(flow.date, flow.amount))?;
    let mut costs = Vec::new();
    for buy in &plan.buys {
        let mut cost = Amount::ZERO;
        for tranche in &buy.tranches {
            let (amount, _) = plan.cost(buy, tranche, moved)?;
            need(tranche.date, amount)?;
            cost = cost.plus(amount)?;
        }
        costs.push(cost);
    }
    let (mut sources, mut needs) = (Amount::ZERO, Amount::ZERO);
    let mut days: Vec<Day> = Vec::new();
    for (date, (comes, goes)) in by_day {
        sources = sources.plus(comes)?;
        needs = needs.plus(goes)?;
        days.push(Day { date, sources: comes, needs: goes, standing: Standing::of(sources, needs) });
    }
    // Of equal days the first: from it on the money is missing.
    let short = days.iter().rev().filter(|day| day.standing.short() > Amount::ZERO);
    let worst = short.max_by_key(|day| day.standing.short()).copied();
    Some(Case { moved, costs, days, sources, needs, standing: Standing::of(sources, needs), worst })
}

impl Plan {
    /// What a tranche costs, and the exact sum before it was rounded.
    fn cost(&self, buy: &Buy, tranche: &Tranche, moved: Move) -> Option<(Amount, Exact)> {
        let factor = match (moved, tranche.agreed) {
            (Move::None, _) | (_, Some(_)) => Share::ONE,
            (Move::Up(share), None) => Share::ONE.plus(share)?,
            (Move::Down(share), None) => Share::ONE.less(share)?,
        };
        let rate = tranche.agreed.unwrap_or(buy.rate);
        let exact = Exact::worth(tranche.quantity, self.assets.decimals(buy.asset), rate, factor)?;
        let (amount, _) = exact.round(self.assets.decimals(self.currency), self.rounding)?;
        Some((amount, exact))
    }
}

fn bearable(plan: &Plan) -> Option<Rate> {
    let sources = Amount::sum(plan.sources.iter().map(|flow| flow.amount))?;
    let mut needs = Amount::sum(plan.needs.iter().map(|flow| flow.amount))?;
    let mut open: Option<(crate::AssetNum, Amount)> = None;
    for (buy, tranche) in
        plan.buys.iter().flat_map(|buy| buy.tranches.iter().map(move |tranche| (buy, tranche)))
    {
        if tranche.agreed.is_some() {
            needs = needs.plus(plan.cost(buy, tranche, Move::None)?.0)?;
            continue;
        }
        let (asset, quantity) = open.unwrap_or((buy.asset, Amount::ZERO));
        if asset != buy.asset {
            return None;
        }
        open = Some((asset, quantity.plus(tranche.quantity)?));
    }
    let (asset, quantity) = open?;
    let left = Exact::of(sources.less(needs)?, plan.assets.decimals(plan.currency))?;
    left.per(Exact::of(quantity, plan.assets.decimals(asset))?, crate::decimal::RATE_PLACES, Rounding::Down)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "name = \"a\"\ncurrency = \"JPY\"\nrounding = \"up\"\n";

    fn plan(text: &str) -> Plan {
        Plan::parse(&format!("{HEAD}{text}")).unwrap()
    }

    fn flow(kind: &str, date: &str, amount: &str) -> String {
        format!("[[{kind}]]\ndate = \"{date}\"\nwhat = \"x\"\namount = \"{amount}\"\n")
    }

    const BUY: &str = "[[buy]]\nasset = \"BTC\"\nquantity = \"3\"\nrate = \"100.5\"\n\
        [[buy.tranche]]\ndate = \"2024-06-05\"\nquantity = \"1\"\nagreed = \"90\"\n\
        [[buy.tranche]]\ndate = \"2024-06-09\"\nquantity = \"2\"\n";

    #[test]
    fn every_source_is_a_need_or_left_or_a_need_is_missing() {
        let text = [
            "sensitivity = [\"0.1\"]\n",
            &flow("source", "2024-06-05", "80"),
            &flow("source", "2024-06-07", "220"),
            &flow("need", "2024-06-09", "10"),
            BUY,
        ];
        let found = fund(&plan(&text.concat())).unwrap();
        // 90 agreed; 2 × 100.5 = 201, × 0.9 = 180.9, × 1.1 = 221.1; and 10.
        let needs: Vec<_> = found.cases.iter().map(|case| case.needs.units()).collect();
        assert_eq!(needs, [301, 281, 322]);
        let standing: Vec<_> = found.cases.iter().map(|case| case.standing).collect();
        let short = |units| Standing::Short(Amount::new(units));
        assert_eq!(standing, [short(1), Standing::Left(Amount::new(19)), short(22)]);
        let [first, second, third] = found.cases[0].days[..] else { panic!("{:?}", found.cases[0].days) };
        assert_eq!(
            [first, second, third].map(|day| day.standing),
            [short(10), Standing::Left(Amount::new(210)), short(1)]
        );
        let worst: Vec<_> =
            found.cases.iter().map(|case| case.worst.unwrap().standing.short().units()).collect();
        assert_eq!(worst, [10, 10, 22]);
        // 300 less 90 less 10 for 2.
        assert_eq!(found.bearable.unwrap().to_string(), "100");
        for case in &found.cases {
            let by_day = |of: fn(&Day) -> Amount| Amount::sum(case.days.iter().map(of)).unwrap();
            assert_eq!((by_day(|day| day.sources), by_day(|day| day.needs)), (case.sources, case.needs));
            assert_eq!(case.days.last().unwrap().standing, case.standing);
        }
    }

    #[test]
    fn money_counts_on_its_day_and_not_the_day_before() {
        let check = |date: &str, want: Option<&str>| {
            let text = [flow("source", date, "5"), flow("need", "2024-06-05", "5")].concat();
            let found = fund(&plan(&text)).unwrap();
            assert_eq!(found.cases[0].worst.map(|day| day.date.to_string()).as_deref(), want);
            assert_eq!(found.cases[0].standing, Standing::Left(Amount::ZERO));
            assert_eq!(found.bearable, None);
        };
        check("2024-06-05", None);
        check("2024-06-06", Some("2024-06-05"));
    }

    #[test]
    fn what_is_beyond_counting_is_said() {
        let most = u128::MAX.to_string();
        let text = [flow("need", "2024-06-05", &most), flow("need", "2024-06-05", "1")].concat();
        assert_eq!(fund(&plan(&text)), None);
    }
}
