//! What holds for any holdings: sums balance, order does not matter, nobody is paid for what another holds.

use kuraban_base::Amount;
use kuraban_ledger::{
    Rounding,
    claims::{What, compute},
    holdings::{Builder, Holdings, RawRow, Written},
    scheme::{Prices, Remainder, Scheme},
};
use proptest::prelude::*;

const CODES: [&str; 3] = ["XEM", "BTC", "ETH"];

fn scheme(rounding: Rounding, remainder: Remainder) -> Scheme {
    let text = "name = \"a\"\ncurrency = \"JPY\"\nrounding = \"down\"\nremainder = \"operator\"\n\
                [[pay]]\nasset = \"XEM\"\ncash = \"1\"\nrate = \"88.549\"\n\
                [[pay]]\nasset = \"BTC\"\nin_kind = \"0.6\"\ncash = \"0.4\"\nrate = \"712565.333\"\n\
                [[pay]]\nasset = \"ETH\"\ncash = \"0.333333\"\nrate = \"24500.000000000001\"\n";
    Scheme { rounding, remainder, ..Scheme::parse(text, &Prices::new()).unwrap() }
}

fn held(scheme: &Scheme, rows: &[(u16, usize, u128)]) -> Holdings {
    let mut builder = Builder::new(scheme.assets.clone());
    for (line, (customer, asset, units)) in (2..).zip(rows) {
        let (customer, vault) = (format!("c{customer}"), format!("v{line}"));
        let (asset, amount) = (CODES[*asset], Written::Units(*units));
        builder.push(RawRow { line, customer: &customer, asset, amount, group: "", vault: &vault }).unwrap();
    }
    builder.finish().unwrap()
}

/// Half as a fraction with another arithmetic: numerators over one denominator, 10³⁰.
fn worth(asset: usize, units: u128) -> (u128, u128) {
    let (numerator, denominator) = match asset {
        0 => (88_549, 10_u128.pow(3 + 6)),
        1 => (712_565_333 * 4, 10_u128.pow(3 + 8 + 1)),
        _ => (24_500_000_000_000_001 * 333_333, 10_u128.pow(12 + 18 + 6)),
    };
    (units * numerator, denominator)
}

fn rounding() -> impl Strategy<Value = Rounding> {
    prop_oneof![Just(Rounding::HalfUp), Just(Rounding::HalfEven), Just(Rounding::Down), Just(Rounding::Up)]
}

proptest! {
    #[test]
    fn every_claim_is_its_exact_worth_rounded(
        rounding in rounding(),
        rows in prop::collection::vec((0_u16..9, 0_usize..3, 0_u128..1_000_000_000_000), 1..40),
    ) {
        let scheme = scheme(rounding, Remainder::Operator);
        let claims = compute(&scheme, &held(&scheme, &rows), &[], &[]).unwrap();
        for line in claims.lines() {
            let What::Holding { pay, .. } = line.what else { panic!("{line:?}") };
            let (numerator, denominator) = worth(pay, line.held.units());
            let (whole, part) = (numerator / denominator, numerator % denominator);
            let up = match rounding {
                Rounding::Down => false,
                Rounding::Up => part > 0,
                Rounding::HalfUp => 2 * part >= denominator,
                Rounding::HalfEven => 2 * part > denominator || (2 * part == denominator && whole % 2 == 1),
            };
            prop_assert_eq!(line.cash.units(), whole + u128::from(up));
        }
    }

    #[test]
    fn the_customers_remainder_leaves_the_total_exact_and_moves_nobody_by_more_than_one(
        rounding in rounding(),
        rows in prop::collection::vec((0_u16..9, 0_usize..3, 0_u128..1_000_000_000_000), 1..40),
    ) {
        let scheme = scheme(rounding, Remainder::Customers);
        let holdings = held(&scheme, &rows);
        let claims = compute(&scheme, &holdings, &[], &[]).unwrap();
        let (want, _) = claims.totals().exact.round(0, rounding).unwrap();
        prop_assert_eq!(claims.totals().cash, want);
        let down = compute(&Scheme { rounding: Rounding::Down, remainder: Remainder::Operator, ..scheme }, &holdings, &[], &[]).unwrap();
        for (line, floor) in claims.lines().iter().zip(down.lines()) {
            prop_assert!(line.cash.less(floor.cash).unwrap() <= Amount::new(1));
        }
    }

    #[test]
    fn order_of_rows_does_not_matter(
        rows in prop::collection::vec((0_u16..9, 0_usize..3, 0_u128..1_000_000_000_000), 1..40),
        turn in 0_usize..40,
    ) {
        let scheme = scheme(Rounding::HalfEven, Remainder::Customers);
        let mut turned = rows.clone();
        turned.rotate_left(turn % rows.len());
        let sums = |rows: &[(u16, usize, u128)]| {
            let holdings = held(&scheme, rows);
            let claims = compute(&scheme, &holdings, &[], &[]).unwrap();
            (claims.totals().cash, claims.totals().assets.clone())
        };
        prop_assert_eq!(sums(&rows), sums(&turned));
    }
}
