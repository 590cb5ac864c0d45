//! The six incidents' published rules as schemes.

use kuraban_base::Amount;
use kuraban_ledger::{
    claims::{Claims, Fill, Line, Refund, Side, compute},
    holdings::{Builder, Holdings, RawRow, Written},
    scheme::{Prices, Scheme},
};

const COINCHECK: &str = include_str!("../../../../examples/schemes/coincheck-2018.toml");
const ZAIF: &str = include_str!("../../../../examples/schemes/zaif-2018.toml");
const DMM: &str = include_str!("../../../../examples/schemes/dmm-2024.toml");
const LIQUID: &str = include_str!("../../../../examples/schemes/liquid-2021.toml");
const BITPOINT: &str = include_str!("../../../../examples/schemes/bitpoint-2019.toml");
const MTGOX: &str = include_str!("../../../../examples/schemes/mtgox-2021.toml");

fn scheme(text: &str) -> Scheme {
    Scheme::parse(text, &Prices::new()).unwrap()
}

/// Rows of customer, group, asset and whole coins.
fn holdings(scheme: &Scheme, rows: &[(&str, &str, &str, &str)]) -> Holdings {
    let mut builder = Builder::new(scheme.assets.clone());
    for (line, (customer, group, asset, coins)) in (2..).zip(rows) {
        let amount = Written::Coins(coins);
        builder.push(RawRow { line, customer, asset, amount, group, vault: "" }).unwrap();
    }
    builder.finish().unwrap()
}

fn paid(text: &str, rows: &[(&str, &str, &str, &str)]) -> Claims {
    let scheme = scheme(text);
    compute(&scheme, &holdings(&scheme, rows), &[], &[]).unwrap()
}

/// (held, in kind, cash) of an asset.
#[track_caller]
fn check(claims: &Claims, text: &str, asset: &str, want: (u128, u128, u128)) {
    let total = claims.totals().assets[&scheme(text).assets.find(asset).unwrap()];
    assert_eq!((total.held.units(), total.in_kind.units(), total.cash.units()), want, "{asset}");
}

/// 260,000 holders of 523,000,000 XEM in odd amounts: the published rate times all is 46,311,127,000 yen, and what single roundings
/// add or take is stated to the last fraction.
#[test]
fn coincheck_every_yen_of_46_311_127_000_is_accounted_for() {
    const HOLDERS: u128 = 260_000;
    const ALL: u128 = 523_000_000_000_000;
    let mut scheme = scheme(COINCHECK);
    let mut builder = Builder::new(scheme.assets.clone());
    let mut left = ALL;
    for holder in 0..HOLDERS {
        let mean = ALL / HOLDERS;
        let units = if holder + 1 == HOLDERS { left } else { (mean * (1 + holder * 7919 % 1997)) / 1000 };
        left -= units;
        let customer = format!("holder-{holder:06}");
        let amount = Written::Units(units);
        let row = RawRow {
            line: u64::try_from(holder).unwrap() + 2,
            customer: &customer,
            asset: "XEM",
            amount,
            group: "",
            vault: "",
        };
        builder.push(row).unwrap();
    }
    let holdings = builder.finish().unwrap();
    let by_operator = compute(&scheme, &holdings, &[], &[]).unwrap();
    let totals = by_operator.totals();
    assert_eq!((totals.exact.to_string().as_str(), totals.paid_customers), ("46311127000", 260_000));
    let sum = by_operator.payments().iter().map(|payment| payment.cash.units()).sum::<u128>();
    assert_eq!(sum, totals.cash.units());
    let expected = |line: &Line| (line.held.units() * 88_549 + 500_000_000) / 1_000_000_000;
    assert!(by_operator.lines().iter().all(|line| line.cash.units() == expected(line)));
    let off = sum.abs_diff(46_311_127_000);
    assert!(off != 0 && off < HOLDERS / 2, "{off}");
    scheme.remainder = kuraban_ledger::scheme::Remainder::Customers;
    let by_customers = compute(&scheme, &holdings, &[], &[]).unwrap();
    assert_eq!(by_customers.totals().cash.units(), 46_311_127_000);
    let apart = |line: &Line| (line.held.units() * 88_549 / 1_000_000_000).abs_diff(line.cash.units());
    assert!(by_customers.lines().iter().all(|line| apart(line) <= 1));
}

/// The customers' parts of the loss as they were published, as if one customer had each.
#[test]
fn zaif_pays_btc_and_bch_in_kind_and_mona_in_two_parts() {
    let rows = [
        ("one", "agrees", "BTC", "2723.4"),
        ("two", "agrees", "BCH", "40360.0"),
        ("three", "agrees", "MONA", "5911859.3"),
        ("four", "objects", "MONA", "100"),
        ("five", "objects", "BTC", "0.5"),
        ("own", "operator", "BTC", "3242.7"),
    ];
    let claims = paid(ZAIF, &rows);
    check(&claims, ZAIF, "BTC", (272_390_000_000, 272_340_000_000, 356_283));
    check(&claims, ZAIF, "BCH", (4_036_000_000_000, 4_036_000_000_000, 0));
    // 5,911,859.3 × 0.4 × 144.548 = 341,818,975.2…, and 100 × 107.7.
    check(&claims, ZAIF, "MONA", (591_195_930_000_000, 354_711_558_000_000, 341_818_975 + 10_770));
    assert_eq!(claims.totals().cash.units(), 341_818_975 + 10_770 + 356_283);
    let own =
        claims.totals().not_paid.values().map(|none| (none.rows, none.units.units())).collect::<Vec<_>>();
    assert_eq!(own, [(1, 324_270_000_000)]);
}

#[test]
fn dmm_and_liquid_pay_every_coin_as_a_coin() {
    let claims = paid(DMM, &[("a", "", "BTC", "4502.9"), ("b", "", "BTC", "0.00000001")]);
    check(&claims, DMM, "BTC", (450_290_000_001, 450_290_000_001, 0));
    assert_eq!((claims.totals().cash, claims.totals().paid_customers), (Amount::ZERO, 2));
    let claims =
        paid(LIQUID, &[("a", "", "BTC", "107.5"), ("a", "", "XRP", "11000000"), ("b", "", "TRX", "9000000")]);
    check(&claims, LIQUID, "XRP", (11_000_000_000_000, 11_000_000_000_000, 0));
    check(&claims, LIQUID, "TRX", (9_000_000_000_000, 9_000_000_000_000, 0));
}

/// A buyer above the middle and a seller below it are made good; whoever did better than that keeps it.
#[test]
fn bitpoint_makes_good_what_fills_cost_and_never_nets_it() {
    let scheme = scheme(BITPOINT);
    let holdings = holdings(&scheme, &[("a", "", "XRP", "2800.5"), ("b", "", "JPY", "0")]);
    let fill = |line, customer: &str, asset, side, coins, price: &str| {
        let asset = scheme.assets.find(asset).unwrap();
        let units = kuraban_ledger::units(coins, scheme.assets.decimals(asset)).unwrap();
        Fill { line, customer: customer.to_owned(), asset, side, units, price: price.parse().unwrap() }
    };
    let fills = [
        fill(2, "a", "BTC", Side::Buy, "0.5", "1200001"),
        fill(3, "a", "BTC", Side::Buy, "1", "1000000"),
        fill(4, "a", "ETH", Side::Sell, "2", "24400.25"),
        fill(5, "b", "BTC", Side::Sell, "1", "1150000"),
        fill(6, "b", "BTC", Side::Sell, "1", "1150001"),
    ];
    let refund = |kind: &str, amount| Refund {
        line: 2,
        customer: "b".to_owned(),
        kind: kind.to_owned(),
        amount: Amount::new(amount),
    };
    let refunds = [refund("position-fee", 120), refund("swap-point", 3)];
    let claims = compute(&scheme, &holdings, &fills, &refunds).unwrap();
    // 0.5 × 50,001 + 2 × 99.75 = 25,200, exactly.
    let cash: Vec<u128> = claims.payments().iter().map(|payment| payment.cash.units()).collect();
    assert_eq!(cash, [25_200, 123]);
    assert_eq!((claims.totals().fills.units(), claims.totals().refunds.units()), (25_200, 123));
    for (fills, refunds, want) in [
        (vec![fill(9, "c", "BTC", Side::Buy, "1", "2")], vec![], "line 9: \"c\" is not among the holdings"),
        (
            vec![fill(9, "a", "XRP", Side::Buy, "1", "2")],
            vec![],
            "line 9: the scheme has no fair price of XRP",
        ),
        (vec![], vec![refund("gift", 1)], "line 2: the scheme does not refund \"gift\""),
    ] {
        let problem = compute(&scheme, &holdings, &fills, &refunds).unwrap_err().to_string();
        assert!(problem.starts_with(want), "{problem}");
    }
}

/// By hand: 1 BTC is a claim of 749,319 yen (the units that rounding down leaves go to the largest fractions), of which 200,000 at once and 549,319 remain; 21 % of that is 115,357.
#[test]
fn mtgox_pays_a_base_then_the_early_share_or_what_there_is_in_proportion() {
    let claims = paid(
        MTGOX,
        &[
            ("a", "early", "BTC", "1"),
            ("b", "final", "BTC", "1"),
            ("c", "final", "BTC", "777"),
            ("d", "final", "JPY", "150000"),
            ("e", "early", "JPY", "200000"),
            ("f", "final", "JPY", "200001"),
            ("g", "final", "USD", "10.55"),
        ],
    );
    // What is left of all claims: 549,319 + 549,319 + 582,020,731 + 1.
    let remaining = 549_319 + 549_319 + 582_020_731 + 1_u128;
    let of = |claim: u128| claim * 100_000_000 / remaining;
    let rest = [115_357, of(549_319), of(582_020_731), 0, 0, of(1), 0];
    // Together they get their part of the assets, rounded down; one unit goes to the largest remainder.
    let finals = 549_319 + 582_020_731 + 1;
    let missing = of(finals) - rest[1..].iter().sum::<u128>();
    assert_eq!(missing, 1);
    let base = [200_000, 200_000, 200_000, 150_000, 200_000, 200_000, 1_175];
    let payments = claims.payments();
    let found: Vec<u128> = payments.iter().map(|payment| payment.base.units()).collect();
    assert_eq!(found, base);
    let extra: Vec<u128> =
        payments.iter().zip(rest).map(|(payment, rest)| payment.rest.units() - rest).collect();
    assert_eq!(extra.iter().sum::<u128>(), missing);
    assert_eq!(extra[0], 0);
    let totals = claims.totals();
    let claimed = 2 * 749_319 + 582_220_731 + 150_000 + 200_000 + 200_001 + 1_175;
    assert_eq!(totals.claims.units(), claimed);
    assert_eq!(totals.base.units() + totals.rest.units() + totals.unpaid.units(), claimed);
    assert_eq!(totals.cash.units(), totals.base.units() + totals.rest.units());
}

/// With assets above all claims everybody who waits is paid in full, and nobody more.
#[test]
fn mtgox_nobody_gets_more_than_the_claim() {
    let text = MTGOX.replace("assets = \"100000000\"", "assets = \"900000000000\"");
    let claims = paid(&text, &[("a", "early", "BTC", "1"), ("b", "", "BTC", "1")]);
    let cash: Vec<u128> = claims.payments().iter().map(|payment| payment.cash.units()).collect();
    assert_eq!(cash, [315_357, 749_319]);
}

#[test]
fn what_a_scheme_is_silent_about_stops_everything() {
    let scheme = scheme(DMM);
    let holdings = holdings(&scheme, &[("a", "", "BTC", "1"), ("b", "", "XRP", "1")]);
    let problem = compute(&scheme, &holdings, &[], &[]).unwrap_err().to_string();
    assert_eq!(
        problem,
        "line 3: the scheme does not say what is paid for XRP to group \"\"; add a [[pay]], or the asset to not_paid, or leave the group out of groups"
    );
}

#[test]
fn caps_and_minimums_are_kept_apart_and_balance() {
    let text = format!("minimum = \"10\"\ncap = \"1000\"\n{COINCHECK}");
    let claims = paid(
        &text,
        &[
            ("a", "", "XEM", "0.11"),
            ("b", "", "XEM", "0.113"),
            ("c", "", "XEM", "11.3"),
            ("d", "", "XEM", "11.2"),
        ],
    );
    let shown: Vec<[u128; 3]> = claims
        .payments()
        .iter()
        .map(|payment| [payment.cash, payment.below_minimum, payment.capped].map(Amount::units))
        .collect();
    assert_eq!(shown, [[10, 0, 0], [10, 0, 0], [1000, 0, 1], [992, 0, 0]]);
    let claims = paid(&text, &[("a", "", "XEM", "0.107"), ("b", "", "XEM", "0.1")]);
    let kept: Vec<u128> = claims.payments().iter().map(|payment| payment.below_minimum.units()).collect();
    assert_eq!((kept, claims.totals().below_minimum.units()), (vec![9, 9], 18));
}
