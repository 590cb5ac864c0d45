//! Mixes of Wasabi, version 1 and version 2, from two independent descriptions of each.
//!
//! Decides by denominations, counts and script forms; does not know coordinators.

use super::view::View;

/// Wasabi 1's base denomination began at 0.1 BTC and drifted; seen from 0.095 to 0.1148 BTC.
const BASE: core::ops::RangeInclusive<u64> = 9_500_000..=11_600_000;

/// A mix of version 1.
pub(super) fn first(view: &View) -> Option<u8> {
    let (outputs, owners) = (view.outputs().len(), view.input_owners());
    let (base, count) = view.mode().filter(|(value, _)| BASE.contains(value))?;
    let (postmix, _) = view.repeated();
    let wide = view.inputs().len() >= 10 && view.spends_widely() && view.pays_each_once();
    let people = count >= 3 && count <= owners && owners <= count.saturating_mul(7);
    let majority = postmix.saturating_mul(2).saturating_add(1) >= outputs;
    let sum = postmix.saturating_add(owners).saturating_add(1) >= outputs;
    let native = view.inputs().iter().all(|coin| coin.form.may_be_key_hash())
        && view.outputs().iter().filter(|coin| coin.value == base).all(|coin| coin.form.may_be_key_hash());
    if !(wide && people && (majority || sum) && native) || is_split(view, base) {
        return None;
    }
    // From 50 where seven inputs stand for one person to 100 where each stands for one.
    let ratio = count.saturating_mul(100).checked_div(owners)?;
    let confidence =
        u8::try_from(ratio.saturating_sub(14).saturating_mul(50) / 86).ok()?.saturating_add(50).min(95);
    Some(if majority && sum { confidence } else { confidence / 2 })
}

/// Whether all outputs together are a multiple of one value: somebody pays himself in lots. Told only of few inputs; with
/// many, it happens by chance.
fn is_split(view: &View, value: u64) -> bool {
    const INPUTS_MAX: usize = 20;
    let total = view.outputs().iter().fold(0_u64, |sum, coin| sum.saturating_add(coin.value));
    let over = total.checked_rem(value).unwrap_or(0);
    let off = over.min(value.saturating_sub(over));
    view.inputs().len() < INPUTS_MAX && u128::from(off) * 10_000 <= u128::from(total)
}

/// A mix of version 2: 95 where both families agree, 60 where one does.
pub(super) fn second(view: &View) -> Option<u8> {
    let standard = many_denominations(view)?;
    let outputs = view.outputs().len();
    let half = standard.saturating_mul(2) >= outputs;
    let most = standard.saturating_mul(5) > outputs.saturating_mul(4);
    let sorted = view.inputs().is_sorted_by_key(|coin| core::cmp::Reverse(coin.value))
        && view.outputs().is_sorted_by_key(|coin| core::cmp::Reverse(coin.value));
    half.then_some(if most && sorted && view.inputs().len() >= 50 { 95 } else { 60 })
}

/// The shape of a version 2 mix with denominations that are not its own.
pub(super) fn unknown_coordinator(view: &View) -> Option<u8> {
    many_denominations(view).map(|_| super::FIRM)
}

/// How many outputs are of standard denominations, if the transaction has the shape of version 2 by the one family.
fn many_denominations(view: &View) -> Option<usize> {
    let outputs = view.outputs();
    let (repeated, values) = view.repeated();
    let fits = view.inputs().len() >= 20
        && view.spends_widely()
        && view.pays_each_once()
        && outputs.iter().all(|coin| coin.value >= STANDARD.0)
        && repeated.saturating_mul(2).saturating_add(1) >= outputs.len()
        && repeated < outputs.len()
        && values >= 3
        && view.inputs().iter().chain(outputs).all(|coin| coin.form.may_be_native());
    fits.then(|| outputs.iter().filter(|coin| is_standard(coin.value)).count())
}

/// The smallest and the largest standard denomination.
const STANDARD: (u64, u64) = (5_000, 134_375_000_000);

/// Whether a value is one of version 2's denominations: 2^i, 3^i, 2·3^i, 10^i, 2·10^i, 5·10^i within limits.
fn is_standard(value: u64) -> bool {
    let power = |base: u64, times: u64| {
        let mut rest = if value.is_multiple_of(times) { value / times } else { return false };
        while rest > 1 && rest.is_multiple_of(base) {
            rest /= base;
        }
        rest == 1
    };
    let families = [(2, 1), (3, 1), (3, 2), (10, 1), (10, 2), (10, 5)];
    (STANDARD.0..=STANDARD.1).contains(&value) && families.iter().any(|(base, times)| power(*base, *times))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn standard_denominations_are_those_of_the_series() {
        let check = |value: u64, want: bool| assert_eq!(is_standard(value), want, "{value}");
        for value in [
            5_000,
            6_561,
            8_192,
            10_000,
            13_122,
            20_000,
            33_554_432,
            10_460_353_203,
            134_217_728,
            100_000_000_000,
        ] {
            check(value, true);
        }
        for value in [0, 1, 4_096, 4_374, 4_999, 5_001, 30_000, 15_000, 200_000_000_000, 137_438_953_472] {
            check(value, false);
        }
    }
}
