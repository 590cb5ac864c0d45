//! Whirlpool's mixes and the transactions before them (tx0), from two independent descriptions of them.
//!
//! Decides by denominations, entrants and script forms; never follows a coin to its source, which needs a graph
//! ([`tx0_confirmed`](super::tx0_confirmed)).

use super::view::View;

/// Denominations in satoshi with the coordinator's fee. Samourai ran the first four until April 2024; the last two are those
/// that its successor Ashigaru runs, with fees not published.
const POOLS: [(u64, Option<u64>); 6] = [
    (100_000, Some(5_000)),
    (1_000_000, Some(50_000)),
    (5_000_000, Some(175_000)),
    (50_000_000, Some(1_750_000)),
    (2_500_000, None),
    (25_000_000, None),
];

/// Most that an entrant brings for mining fees.
const EXCESS_MAX: u64 = 110_000;
/// Least that it brings.
const EXCESS_MIN: u64 = 100;
/// Coins in a mix: five to eight by one family, to ten by the other; no mix of nine or ten was seen.
const SIZES: core::ops::RangeInclusive<usize> = 5..=10;

/// A mix of a known pool: 95 where both families agree, 80 where an output leaves to another form of script.
pub(super) fn mix(view: &View) -> Option<u8> {
    let denomination = rounds(view)?;
    let known = POOLS.iter().any(|(pool, _)| *pool == denomination);
    let entrants = view.inputs().iter().filter(|coin| coin.value > denomination);
    let entrants: Vec<u64> = entrants.map(|coin| coin.value.saturating_sub(denomination)).collect();
    let paid = entrants.iter().all(|excess| *excess >= EXCESS_MIN);
    let native = view.outputs().iter().all(|coin| coin.form.may_be_key_hash());
    (known && paid && (1..=4).contains(&entrants.len())).then_some(if native { 95 } else { 80 })
}

/// The shape of a mix at a denomination that no known pool has.
pub(super) fn unknown_pool(view: &View) -> Option<u8> {
    rounds(view)?;
    view.outputs().iter().all(|coin| coin.form.may_be_key_hash()).then_some(super::FIRM)
}

/// The denomination, if as many coins go in as come out, all of one value, some having been there before.
fn rounds(view: &View) -> Option<u64> {
    let (inputs, outputs) = (view.inputs(), view.outputs());
    let denomination = outputs.first()?.value;
    let equal = outputs.iter().all(|coin| coin.value == denomination);
    let within = |value: u64| value.checked_sub(denomination).is_some_and(|excess| excess <= EXCESS_MAX);
    let fits = SIZES.contains(&inputs.len())
        && inputs.len() == outputs.len()
        && view.unspendable() == 0
        && view.input_owners() == inputs.len()
        && view.pays_each_once()
        && equal
        && inputs.iter().all(|coin| within(coin.value) && coin.form.may_be_key_hash());
    let remixed = inputs.iter().any(|coin| coin.value == denomination);
    let entered = inputs.iter().any(|coin| coin.value > denomination);
    (fits && remixed && entered).then_some(denomination)
}

/// A tx0: one data output, equal premix outputs a little above a denomination, the coordinator's fee, and change.
pub(super) fn tx0(view: &View) -> Option<u8> {
    if view.unspendable() != 1 || view.outputs().len() < 2 {
        return None;
    }
    let fits = |(pool, fee): &(u64, Option<u64>)| premix(view, *pool, *fee);
    POOLS.iter().any(fits).then_some(60)
}

fn premix(view: &View, pool: u64, fee: Option<u64>) -> bool {
    /// Fee, change, and a second change where two people prepare together.
    const OTHERS_MAX: usize = 3;
    let near = view.values().iter().filter(|(value, _)| {
        value.checked_sub(pool).is_some_and(|excess| (EXCESS_MIN..=EXCESS_MAX).contains(&excess))
    });
    let Some((value, count)) = near.copied().max_by_key(|(value, count)| (*count, *value)) else {
        return false;
    };
    let others = view.outputs().iter().filter(|coin| coin.value != value);
    let Some(fee) = fee else { return false };
    let pays = others.clone().any(|coin| (fee / 2..=fee.saturating_mul(3)).contains(&coin.value));
    (1..=70).contains(&count) && others.count() <= OTHERS_MAX && pays
}
