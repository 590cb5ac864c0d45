//! Orders that were filled while services were stopped, and fees that are given back. Decides what a customer lost by each fill
//! against a fair price; a fill that was better than fair takes nothing from the others.

use std::collections::BTreeMap;

use kuraban_base::Amount;

use super::{ClaimsError, Line, What, line};
use crate::{AssetNum, Exact, Rate, Share, holdings::Holdings, scheme::Scheme};

/// Whether the customer bought or sold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Side {
    /// Bought.
    Buy,
    /// Sold.
    Sell,
}

/// An order that was filled.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fill {
    /// Its line.
    pub line: u64,
    /// Whose.
    pub customer: String,
    /// Of what.
    pub asset: AssetNum,
    /// Which way.
    pub side: Side,
    /// How much, in base units.
    pub units: Amount,
    /// At which price of a whole coin, in the scheme's currency.
    pub price: Rate,
}

/// A fee that a customer paid.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refund {
    /// Its line.
    pub line: u64,
    /// Whose.
    pub customer: String,
    /// What for: one of the kinds that the scheme refunds.
    pub kind: String,
    /// How much, in the currency's smallest unit.
    pub amount: Amount,
}

/// Why a fill or a refund is not taken.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum FillError {
    /// Somebody who is not in the holdings.
    #[error(
        "line {line}: {customer:?} is not among the holdings; add a row for the customer there, with the amount 0 if nothing was held"
    )]
    Stranger {
        /// Where.
        line: u64,
        /// Who.
        customer: String,
    },
    /// The scheme does not say what is fair.
    #[error("line {line}: the scheme has no fair price of {asset}; add it under [fills.reference]")]
    NoReference {
        /// Where.
        line: u64,
        /// Of what.
        asset: String,
    },
    /// The scheme does not refund this.
    #[error("line {line}: the scheme does not refund {kind:?}; add it to refunds or take the line out")]
    Kind {
        /// Where.
        line: u64,
        /// What for.
        kind: String,
    },
}

/// What a fill cost more, or brought less, than the fair price; nothing if it was fair or better.
#[must_use]
pub(crate) fn disadvantage(fill: &Fill, fair: Rate, decimals: u8) -> Option<Exact> {
    let (low, high) = match fill.side {
        Side::Buy => (fair, fill.price),
        Side::Sell => (fill.price, fair),
    };
    let difference = Rate::from_parts(high.mantissa().saturating_sub(low.mantissa()));
    Exact::worth(fill.units, decimals, difference, Share::ONE)
}

/// One claim for all fills and one for all refunds of each customer, rounded once each; and what the fills come to before that.
pub(super) fn lines(
    scheme: &Scheme,
    holdings: &Holdings,
    fills: &[Fill],
    refunds: &[Refund],
    exact: &mut Exact,
) -> Result<(Vec<Line>, BTreeMap<usize, Exact>), ClaimsError> {
    let mut sums: BTreeMap<(usize, What), Exact> = BTreeMap::new();
    let mut add = |line: u64, customer: &str, what: What, sum: Option<Exact>| {
        let stranger = || refused(what, FillError::Stranger { line, customer: customer.to_owned() });
        let place = holdings.find(customer).ok_or_else(stranger)?;
        let entry = sums.entry((place, what)).or_default();
        let large = || ClaimsError::Large { line };
        *entry = sum.and_then(|sum| entry.plus(sum)).ok_or_else(large)?;
        *exact = sum.and_then(|sum| exact.plus(sum)).ok_or_else(large)?;
        Ok::<(), ClaimsError>(())
    };
    for fill in fills {
        let fair = scheme.fills.as_ref().and_then(|terms| terms.references.get(&fill.asset));
        let asset = || scheme.assets.code(fill.asset).to_owned();
        let unknown = || FillError::NoReference { line: fill.line, asset: asset() };
        let fair = fair.ok_or_else(|| refused(What::Fills, unknown()))?;
        let worse = disadvantage(fill, *fair, scheme.assets.decimals(fill.asset));
        add(fill.line, &fill.customer, What::Fills, worse)?;
    }
    for refund in refunds {
        if !scheme.refunds.contains(&refund.kind) {
            let unknown = FillError::Kind { line: refund.line, kind: refund.kind.clone() };
            return Err(refused(What::Refunds, unknown));
        }
        let sum = Exact::of(refund.amount, scheme.assets.decimals(scheme.currency));
        add(refund.line, &refund.customer, What::Refunds, sum)?;
    }
    let of_fills = sums.iter().filter(|((_, what), _)| *what == What::Fills);
    let of_fills = of_fills.map(|((customer, _), sum)| (*customer, *sum)).collect();
    let claims = sums.into_iter().map(|((customer, what), sum)| line(scheme, customer, what, sum));
    Ok((claims.collect::<Option<Vec<_>>>().ok_or(ClaimsError::Large { line: 0 })?, of_fills))
}

/// The problem, in the table where it is.
const fn refused(what: What, problem: FillError) -> ClaimsError {
    match what {
        What::Refunds => ClaimsError::Refund(problem),
        What::Fills | What::Holding { .. } => ClaimsError::Fill(problem),
    }
}
