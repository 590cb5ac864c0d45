//! Compensation: what a scheme pays to each customer. Decides by exact arithmetic, rounds only where the scheme says, and gives no
//! result whose totals do not balance to the last unit.

mod fills;

use core::cmp::Reverse;
use std::collections::BTreeMap;

use kuraban_base::Amount;

pub use fills::{Fill, FillError, Refund, Side};

use crate::{
    AssetNum, Exact, Rate, Rounding, Share,
    exact::portion,
    holdings::{Holding, Holdings},
    scheme::{Insolvency, Pay, Remainder, Scheme},
};

/// What a claim is for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum What {
    /// A holding, by the scheme's place for it.
    Holding {
        /// Of what.
        asset: AssetNum,
        /// By which of the scheme's `pay`, from 0.
        pay: usize,
    },
    /// Fills at worse prices than the fair one.
    Fills,
    /// Fees.
    Refunds,
}

/// A claim of one customer for one thing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Line {
    /// The customer's place in the holdings.
    pub customer: usize,
    /// For what.
    pub what: What,
    /// What the customer held, in base units of the asset.
    pub held: Amount,
    /// What is paid as coins, in base units of the asset.
    pub in_kind: Amount,
    /// What it is worth in cash, in the currency's smallest unit.
    pub cash: Amount,
    /// The part of a smallest unit above the lower one, in 10⁻³⁶ of a whole.
    fraction: u128,
}

/// What one customer is paid in cash, in the currency's smallest unit.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Payment {
    /// All claims together.
    pub claim: Amount,
    /// Paid as the base of an insolvency plan.
    pub base: Amount,
    /// Paid of the rest by an insolvency plan.
    pub rest: Amount,
    /// Taken off by the cap.
    pub capped: Amount,
    /// Kept because it is below the minimum.
    pub below_minimum: Amount,
    /// What is paid out.
    pub cash: Amount,
}

/// What one asset comes to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct AssetTotal {
    /// What eligible customers held, in base units.
    pub held: Amount,
    /// What is paid as coins, in base units.
    pub in_kind: Amount,
    /// What it is worth in cash, in the currency's smallest unit: the sum of the rounded claims.
    pub cash: Amount,
    /// The one rate at which it is paid, if there is one.
    pub rate: Option<Rate>,
}

/// Holdings that the scheme does not pay for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct NotPaid {
    /// How many rows.
    pub rows: u64,
    /// How much, in base units.
    pub units: Amount,
}

/// What all claims come to. Money is in the currency's smallest unit.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Totals {
    /// Customers who are paid something, in cash or as coins.
    pub paid_customers: u64,
    /// By asset.
    pub assets: BTreeMap<AssetNum, AssetTotal>,
    /// For fills.
    pub fills: Amount,
    /// For fees.
    pub refunds: Amount,
    /// All claims: the sum of the rounded ones.
    pub claims: Amount,
    /// All claims, exact.
    pub exact: Exact,
    /// What would be paid as coins without rounding, in whole coins.
    pub in_kind_exact: BTreeMap<AssetNum, Exact>,
    /// Paid out.
    pub cash: Amount,
    /// Paid as the base of an insolvency plan.
    pub base: Amount,
    /// Paid of the rest by an insolvency plan.
    pub rest: Amount,
    /// Claims that an insolvency plan leaves unpaid.
    pub unpaid: Amount,
    /// Taken off by the cap.
    pub capped: Amount,
    /// Kept because it is below the minimum.
    pub below_minimum: Amount,
    /// Holdings of groups, vaults or assets that the scheme does not pay for.
    pub not_paid: BTreeMap<AssetNum, NotPaid>,
}

/// What a scheme comes to.
#[derive(Clone, Debug)]
pub struct Claims {
    lines: Vec<Line>,
    payments: Vec<Payment>,
    totals: Totals,
    /// What each customer's fills come to before they are rounded, by the customer's place.
    fills: BTreeMap<usize, Exact>,
}

/// Why there is no result.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ClaimsError {
    /// The scheme says nothing about something that is held.
    #[error(
        "line {line}: the scheme does not say what is paid for {asset} to group {group:?}; add a [[pay]], or the asset to not_paid, or leave the group out of groups"
    )]
    NoPay {
        /// Where.
        line: u64,
        /// For what.
        asset: String,
        /// To whom.
        group: String,
    },
    /// A fill that cannot be one.
    #[error(transparent)]
    Fill(FillError),
    /// A refund that cannot be one.
    #[error(transparent)]
    Refund(FillError),
    /// More money than is counted.
    #[error("line {line}: the sum is larger than is counted; check amount and rate")]
    Large {
        /// Where.
        line: u64,
    },
    /// Totals that contradict each other: a fault of this program.
    #[error("totals do not balance: {what}; nothing of the result may be used")]
    Unbalanced {
        /// What was compared.
        what: String,
    },
}

impl Claims {
    /// What everybody is claiming, by customer.
    #[must_use]
    pub fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// What everybody is paid in cash, by the customer's place.
    #[must_use]
    pub fn payments(&self) -> &[Payment] {
        &self.payments
    }

    /// The claims of one customer.
    #[must_use]
    pub fn of(&self, customer: usize) -> &[Line] {
        let begin = self.lines.partition_point(|line| line.customer < customer);
        let end = self.lines.partition_point(|line| line.customer <= customer);
        self.lines.get(begin..end).unwrap_or_default()
    }

    /// What a customer's fills come to before they are rounded, together.
    #[must_use]
    pub fn fills(&self, customer: usize) -> Option<Exact> {
        self.fills.get(&customer).copied()
    }

    /// What it all comes to.
    #[must_use]
    pub const fn totals(&self) -> &Totals {
        &self.totals
    }
}

/// What `scheme` pays for `holdings`, `fills` and `refunds`.
///
/// # Errors
/// Holdings about which the scheme says nothing, fills and refunds of strangers, sums beyond counting.
pub fn compute(
    scheme: &Scheme,
    holdings: &Holdings,
    fills: &[Fill],
    refunds: &[Refund],
) -> Result<Claims, ClaimsError> {
    let mut totals = Totals::default();
    let mut lines = Vec::with_capacity(holdings.rows());
    for holding in holdings.iter() {
        if let Some(line) = claim(scheme, holdings, &holding, &mut totals)? {
            lines.push(line);
        }
    }
    let (extra, fills) = fills::lines(scheme, holdings, fills, refunds, &mut totals.exact)?;
    if !extra.is_empty() {
        lines.extend(extra);
        lines.sort_by_key(|line| (line.customer, line.what));
    }
    if scheme.remainder == Remainder::Customers {
        share_out(scheme, &mut lines, totals.exact)?;
    }
    let large = || ClaimsError::Large { line: 0 };
    let mut payments = vec![Payment::default(); holdings.customers()];
    for line in &lines {
        count(scheme, line, &mut totals).ok_or_else(large)?;
        let payment = payments.get_mut(line.customer).ok_or_else(large)?;
        payment.claim = payment.claim.plus(line.cash).ok_or_else(large)?;
    }
    match &scheme.insolvency {
        Some(plan) => by_plan(scheme, holdings, plan, &mut payments).ok_or_else(large)?,
        None => payments.iter_mut().for_each(|payment| payment.cash = payment.claim),
    }
    for payment in &mut payments {
        bound(scheme, payment);
    }
    let claims = Claims { lines, payments, totals, fills };
    claims.balanced(scheme)
}

/// One holding's claim; nothing if the scheme pays nothing for it.
fn claim(
    scheme: &Scheme,
    holdings: &Holdings,
    holding: &Holding<'_>,
    totals: &mut Totals,
) -> Result<Option<Line>, ClaimsError> {
    let large = || ClaimsError::Large { line: holding.line };
    let listed =
        |names: &std::collections::BTreeSet<String>, name: &str| names.is_empty() || names.contains(name);
    let paid = listed(&scheme.groups, holding.group)
        && listed(&scheme.vaults, holding.vault)
        && !scheme.not_paid.contains(&holding.asset);
    if !paid {
        let none = totals.not_paid.entry(holding.asset).or_default();
        none.rows = none.rows.saturating_add(1);
        none.units = none.units.plus(holding.units).ok_or_else(large)?;
        return Ok(None);
    }
    let (place, pay) = scheme.pay(holding.asset, holding.group).ok_or_else(|| ClaimsError::NoPay {
        line: holding.line,
        asset: holdings.assets().code(holding.asset).to_owned(),
        group: holding.group.to_owned(),
    })?;
    let line = worth(scheme, holding, (place, pay), totals).ok_or_else(large)?;
    Ok(Some(line))
}

fn worth(
    scheme: &Scheme,
    holding: &Holding<'_>,
    (place, pay): (usize, &Pay),
    totals: &mut Totals,
) -> Option<Line> {
    let decimals = scheme.assets.decimals(holding.asset);
    let coins = Exact::worth(holding.units, decimals, Rate::ONE, pay.in_kind)?;
    let (in_kind, _) = coins.round(decimals, scheme.rounding)?;
    let all = totals.in_kind_exact.entry(holding.asset).or_default();
    *all = all.plus(coins)?;
    let cash =
        pay.rate.map_or(Some(Exact::ZERO), |rate| Exact::worth(holding.units, decimals, rate, pay.cash))?;
    totals.exact = totals.exact.plus(cash)?;
    let what = What::Holding { asset: holding.asset, pay: place };
    line(scheme, holding.customer, what, cash).map(|line| Line { held: holding.units, in_kind, ..line })
}

/// A claim for an exact sum.
fn line(scheme: &Scheme, customer: usize, what: What, exact: Exact) -> Option<Line> {
    let rounding = match scheme.remainder {
        Remainder::Operator => scheme.rounding,
        Remainder::Customers => Rounding::Down,
    };
    let (cash, fraction) = exact.round(scheme.assets.decimals(scheme.currency), rounding)?;
    Some(Line { customer, what, held: Amount::ZERO, in_kind: Amount::ZERO, cash, fraction })
}

/// Gives the units that rounding down left to the claims with the largest fractions.
fn share_out(scheme: &Scheme, lines: &mut [Line], exact: Exact) -> Result<(), ClaimsError> {
    let large = || ClaimsError::Large { line: 0 };
    let (total, _) =
        exact.round(scheme.assets.decimals(scheme.currency), scheme.rounding).ok_or_else(large)?;
    let given = Amount::sum(lines.iter().map(|line| line.cash)).ok_or_else(large)?;
    let left = total.less(given).and_then(|left| usize::try_from(left.units()).ok()).ok_or_else(large)?;
    let mut places: Vec<usize> = (0..lines.len()).collect();
    let order = |place: &usize| (Reverse(lines.get(*place).map(|line| line.fraction)), *place);
    if left < places.len() {
        places.select_nth_unstable_by_key(left, order);
        places.truncate(left);
    }
    for place in places {
        let line = lines.get_mut(place).ok_or_else(large)?;
        line.cash = line.cash.plus(Amount::new(1)).ok_or_else(large)?;
    }
    Ok(())
}

/// Adds a claim to the totals.
fn count(scheme: &Scheme, line: &Line, totals: &mut Totals) -> Option<()> {
    totals.claims = totals.claims.plus(line.cash)?;
    match line.what {
        What::Fills => totals.fills = totals.fills.plus(line.cash)?,
        What::Refunds => totals.refunds = totals.refunds.plus(line.cash)?,
        What::Holding { asset, pay } => {
            let rate = scheme.pays.get(pay)?.rate;
            let total = totals.assets.entry(asset).or_insert(AssetTotal { rate, ..AssetTotal::default() });
            total.held = total.held.plus(line.held)?;
            total.in_kind = total.in_kind.plus(line.in_kind)?;
            total.cash = total.cash.plus(line.cash)?;
            total.rate = total.rate.filter(|known| rate == Some(*known));
        }
    }
    Some(())
}

/// Pays claims by an insolvency plan.
fn by_plan(scheme: &Scheme, holdings: &Holdings, plan: &Insolvency, payments: &mut [Payment]) -> Option<()> {
    let mut remaining = Amount::ZERO;
    for payment in payments.iter_mut() {
        payment.base = payment.claim.min(plan.base);
        remaining = remaining.plus(payment.claim.less(payment.base)?)?;
    }
    let whole = Amount::new(Share::ONE.mantissa());
    let early = Amount::new(plan.early.mantissa());
    let mut left = Vec::new();
    for (customer, payment) in payments.iter_mut().enumerate() {
        let claim = payment.claim.less(payment.base)?;
        let group = holdings.of(customer).next().map_or("", |holding| holding.group);
        if claim == Amount::ZERO {
            // The base was all.
        } else if plan.early_groups.contains(group) {
            (payment.rest, _) = portion(claim, early, whole, scheme.rounding)?;
        } else if plan.assets >= remaining {
            payment.rest = claim;
        } else {
            // More than there is cannot be paid: everybody's part is rounded down, whatever the scheme says of claims.
            let (rest, fraction) = portion(claim, plan.assets, remaining, Rounding::Down)?;
            payment.rest = rest;
            left.push((Reverse(fraction), customer));
        }
        payment.cash = payment.base.plus(payment.rest)?;
    }
    if scheme.remainder == Remainder::Customers {
        spread(plan, remaining, payments, left)?;
    }
    Some(())
}

/// What rounding the final payments down left, to those with the largest remainders: together they get their part of the assets,
/// rounded down.
fn spread(
    plan: &Insolvency,
    remaining: Amount,
    payments: &mut [Payment],
    mut left: Vec<(Reverse<u128>, usize)>,
) -> Option<()> {
    let of = |place: &(Reverse<u128>, usize)| payments.get(place.1);
    let claims =
        Amount::sum(left.iter().filter_map(of).filter_map(|payment| payment.claim.less(payment.base)))?;
    let given = Amount::sum(left.iter().filter_map(of).map(|payment| payment.rest))?;
    if remaining == Amount::ZERO {
        return Some(());
    }
    let (together, _) = portion(claims, plan.assets, remaining, Rounding::Down)?;
    let more = usize::try_from(together.less(given)?.units()).ok()?;
    left.sort_unstable();
    for (_, customer) in left.into_iter().take(more) {
        let payment = payments.get_mut(customer)?;
        payment.rest = payment.rest.plus(Amount::new(1))?;
        payment.cash = payment.cash.plus(Amount::new(1))?;
    }
    Some(())
}

/// Holds a payment within the scheme's cap and minimum.
fn bound(scheme: &Scheme, payment: &mut Payment) {
    if let Some((cap, beyond)) = scheme.cap.and_then(|cap| Some((cap, payment.cash.less(cap)?))) {
        payment.capped = beyond;
        payment.cash = cap;
    }
    if payment.cash < scheme.minimum {
        payment.below_minimum = payment.cash;
        payment.cash = Amount::ZERO;
    }
}

impl Claims {
    /// Adds up what is paid, and gives the result only if it balances with the claims.
    fn balanced(mut self, scheme: &Scheme) -> Result<Self, ClaimsError> {
        let unbalanced = |what: String| ClaimsError::Unbalanced { what };
        let sum = |of: fn(&Payment) -> Amount| {
            Amount::sum(self.payments.iter().map(of))
                .ok_or_else(|| unbalanced("a sum is too large".to_owned()))
        };
        let claims = sum(|payment| payment.claim)?;
        let (cash, capped, below) = (
            sum(|payment| payment.cash)?,
            sum(|payment| payment.capped)?,
            sum(|payment| payment.below_minimum)?,
        );
        let (base, rest) = (sum(|payment| payment.base)?, sum(|payment| payment.rest)?);
        let paid = Amount::sum([cash, capped, below]);
        let plan = base.plus(rest);
        let due = if scheme.insolvency.is_some() { plan } else { Some(claims) };
        let unpaid = due.and_then(|due| claims.less(due));
        let by_asset = Amount::sum(self.totals.assets.values().map(|total| total.cash));
        let by_what = by_asset.and_then(|sum| sum.plus(self.totals.fills)?.plus(self.totals.refunds));
        for (what, one, other) in [
            ("claims by customer and by line", Some(claims), Some(self.totals.claims)),
            ("claims by customer and by what they are for", Some(claims), by_what),
            ("what is due and what is paid, capped or kept", due, paid),
            ("what is due and what was claimed", unpaid.and_then(|unpaid| unpaid.plus(due?)), Some(claims)),
        ] {
            if one.is_none() || one != other {
                return Err(unbalanced(format!("{what}: {one:?} against {other:?}")));
            }
        }
        let mut coins = vec![false; self.payments.len()];
        for line in self.lines.iter().filter(|line| line.in_kind > Amount::ZERO) {
            if let Some(paid) = coins.get_mut(line.customer) {
                *paid = true;
            }
        }
        let paid =
            self.payments.iter().zip(coins).filter(|(payment, coins)| *coins || payment.cash > Amount::ZERO);
        self.totals.paid_customers = u64::try_from(paid.count()).unwrap_or(u64::MAX);
        self.totals.unpaid = unpaid.unwrap_or_default();
        (self.totals.cash, self.totals.capped, self.totals.below_minimum) = (cash, capped, below);
        (self.totals.base, self.totals.rest) = (base, rest);
        Ok(self)
    }
}
