//! Random lists: every method balances, agrees with the oracle, and says nothing about what comes later.

use std::collections::{BTreeMap, BTreeSet};

use kuraban_trace::accounts::{
    CaseTotals, Chain, Fees, Header, Kind, Opening, Outcome, Reader, Rule, Seed, Terms, Transfer, Units,
};
use kuraban_trace::taint::Method;
use proptest::prelude::*;

use super::{
    oracle::{Sums, World},
    trace,
};

const ACCOUNTS: [&str; 6] = ["A", "B", "C", "D", "E", "exchange"];
const ASSETS: [&str; 2] = ["xem", "dim:coin"];

#[derive(Clone, Debug)]
pub(super) struct Play {
    opening: Opening,
    pub(super) transfers: Vec<Transfer>,
    pub(super) seeds: Vec<Seed>,
    fees: Fees,
    dust: u64,
}

fn kind() -> impl Strategy<Value = Kind> {
    prop_oneof![
        8 => Just(Kind::Payment),
        2 => Just(Kind::Internal),
        2 => Just(Kind::Fee),
        1 => Just(Kind::Burn),
        2 => Just(Kind::Mint),
    ]
}

type Row = (Kind, usize, usize, bool, u64, bool, bool);

/// A list whose accounts have what they pay where openings are stated: what they have not is left away.
fn list(opening: Opening, rows: Vec<Row>) -> Vec<Transfer> {
    let mut have: BTreeMap<(usize, usize), u64> = BTreeMap::new();
    let mut transfers: Vec<Transfer> = Vec::new();
    for (n, (kind, from, to, second, amount, nobody, same)) in (1_u32..).zip(rows) {
        let asset = usize::from(second);
        let payer = !matches!(kind, Kind::Mint);
        let payee = !(kind == Kind::Burn || kind == Kind::Fee && nobody);
        let mut amount = amount;
        if payer {
            let balance = have.entry((from, asset)).or_default();
            if opening == Opening::Stated {
                amount = amount.min(*balance);
            }
            *balance = balance.saturating_sub(amount);
        }
        if payee {
            *have.entry((to, asset)).or_default() += amount;
        }
        let (height, position, index) = match transfers.last() {
            Some(last) if same => (last.height, last.position, last.index + 1),
            Some(_) | None => (u64::from(n / 3), n, 0),
        };
        transfers.push(Transfer {
            height,
            position,
            tx: format!("tx{height}.{position}"),
            index,
            asset: ASSETS[asset].to_owned(),
            from: payer.then(|| ACCOUNTS[from].to_owned()),
            to: payee.then(|| ACCOUNTS[to].to_owned()),
            amount: amount.into(),
            kind,
        });
    }
    transfers
}

pub(super) fn play() -> impl Strategy<Value = Play> {
    let row = (
        kind(),
        0..ACCOUNTS.len(),
        0..ACCOUNTS.len(),
        any::<bool>(),
        0_u64..30,
        any::<bool>(),
        any::<bool>(),
    );
    let opening = prop_oneof![Just(Opening::Stated), Just(Opening::Unknown)];
    let fees = prop_oneof![Just(Fees::Count), Just(Fees::Follow)];
    let picks = proptest::collection::vec((any::<prop::sample::Index>(), 0..3_usize), 1..4);
    (opening, proptest::collection::vec(row, 1..60), picks, fees, 0_u64..6).prop_map(
        |(opening, rows, picks, fees, dust)| {
            let transfers = list(opening, rows);
            let can = |t: &&Transfer| t.to.is_some() && t.from != t.to && !t.amount.is_zero();
            let able: Vec<&Transfer> = transfers.iter().filter(can).collect();
            let mut seeds = BTreeMap::new();
            for (pick, case) in picks {
                if let Some(transfer) = able.get(pick.index(able.len().max(1))) {
                    seeds.insert((transfer.tx.clone(), transfer.index), case);
                }
            }
            let seed = |((tx, index), case)| Seed { tx, index, case: format!("case {case}") };
            let seeds = seeds.into_iter().map(seed).collect();
            Play { opening, transfers, seeds, fees, dust }
        },
    )
}

pub(super) fn terms(play: &Play, method: Rule) -> Terms {
    Terms {
        fees: play.fees,
        dust: ASSETS.iter().map(|asset| ((*asset).to_owned(), Units::from(play.dust))).collect(),
        stops: BTreeSet::from(["exchange".to_owned()]),
        ..Terms::new(method)
    }
}

/// The play's list.
pub(super) fn written(play: &Play) -> String {
    let header = Header { chain: Chain::Xem, opening: play.opening };
    let lines: Vec<String> = play.transfers.iter().map(Transfer::to_line).collect();
    header.to_line() + "\n" + &lines.join("\n") + "\n"
}

fn small(units: Units) -> u64 {
    u64::try_from(units).unwrap()
}

/// The engine's answer in the oracle's form.
fn sums(outcome: &Outcome) -> BTreeMap<(String, String), Sums> {
    let mut all = BTreeMap::new();
    for CaseTotals { case, by_asset } in &outcome.totals {
        for (asset, totals) in by_asset {
            let held = outcome.held.iter().filter(|held| held.asset == *asset);
            let held = held.filter_map(|held| Some((held.account.clone(), small(*held.by_case.get(case)?))));
            let sums = Sums {
                stolen: small(totals.stolen),
                overlap: small(totals.overlap),
                fees: small(totals.fees),
                burned: small(totals.burned),
                stopped: small(totals.stopped),
                dust: small(totals.dust),
                held: held.collect(),
            };
            all.insert((case.clone(), asset.clone()), sums);
        }
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn every_method_agrees_with_single_units_and_balances(play in play()) {
        prop_assume!(!play.seeds.is_empty());
        for method in Rule::ALL.into_iter().filter(|method| method.conserves()) {
            let terms = terms(&play, method);
            let outcome = trace(play.opening, &play.transfers, &terms, &play.seeds).unwrap();
            let mut world = World::default();
            world.play(play.opening, &play.transfers, &terms, &play.seeds);
            prop_assert_eq!(sums(&outcome), world.sums.clone(), "{}", method);
            for totals in sums(&outcome).values() {
                let found = totals.held.values().sum::<u64>() + totals.fees + totals.burned + totals.stopped + totals.dust;
                prop_assert_eq!(found, totals.stolen, "{}", method);
            }
            let handed: u64 = outcome.deposits.iter().map(|deposit| small(deposit.tainted)).sum();
            prop_assert_eq!(handed, sums(&outcome).values().map(|totals| totals.stopped).sum::<u64>());
            if matches!(method, Rule::Of(Method::Fifo | Method::Lifo)) {
                for held in &outcome.held {
                    let segments: Vec<_> =
                        held.segments.iter().map(|s| (s.case.clone(), small(s.amount))).collect();
                    prop_assert_eq!(segments, world.row(&held.account, &held.asset));
                }
            }
        }
    }

    #[test]
    fn poison_marks_whoever_a_search_through_the_payments_reaches(play in play()) {
        prop_assume!(!play.seeds.is_empty());
        let terms = terms(&play, Rule::Of(Method::Poison));
        let outcome = trace(play.opening, &play.transfers, &terms, &play.seeds).unwrap();
        let mut marked: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for t in &play.transfers {
            let seed = play.seeds.iter().find(|seed| seed.tx == t.tx && seed.index == t.index);
            let Some(to) = t.to.as_ref().filter(|to| Some(*to) != t.from.as_ref()) else { continue };
            if t.amount.is_zero() || to == "exchange" || t.kind == Kind::Fee && play.fees == Fees::Count {
                continue;
            }
            let mut cases = BTreeSet::new();
            if small(t.amount) >= play.dust {
                cases.extend(t.from.as_ref().and_then(|from| marked.get(from)).into_iter().flatten().cloned());
            }
            cases.extend(seed.map(|seed| seed.case.clone()));
            if !cases.is_empty() {
                marked.entry(to.clone()).or_default().append(&mut cases);
            }
        }
        let found: BTreeMap<String, BTreeSet<String>> =
            outcome.marked.iter().map(|(account, cases)| (account.clone(), cases.iter().cloned().collect())).collect();
        prop_assert_eq!(found, marked);
    }

    #[test]
    fn a_list_is_read_as_it_was_written(play in play()) {
        let text = written(&play);
        let reader = Reader::new(text.as_bytes()).unwrap();
        prop_assert_eq!(reader.header(), Header { chain: Chain::Xem, opening: play.opening });
        let read: Result<Vec<Transfer>, _> = reader.collect();
        prop_assert_eq!(read.unwrap(), play.transfers);
    }

    #[test]
    fn the_lowest_balance_rule_is_clean_first_unit_for_unit(play in play()) {
        prop_assume!(!play.seeds.is_empty());
        let of = |method| trace(play.opening, &play.transfers, &terms(&play, method), &play.seeds).unwrap();
        prop_assert_eq!(sums(&of(Rule::Libr)), sums(&of(Rule::Of(Method::CleanFirst))));
    }

    #[test]
    fn a_list_cut_short_says_what_the_whole_said_until_there(play in play(), cut in any::<prop::sample::Index>()) {
        prop_assume!(!play.seeds.is_empty());
        let last = play.transfers[cut.index(play.transfers.len())].height;
        let head: Vec<Transfer> = play.transfers.iter().filter(|t| t.height <= last).cloned().collect();
        for method in Rule::ALL {
            let whole = Terms { until: Some(last), ..terms(&play, method) };
            let whole = trace(play.opening, &play.transfers, &whole, &play.seeds);
            let head = trace(play.opening, &head, &terms(&play, method), &play.seeds);
            prop_assert_eq!(whole.map_err(|e| e.to_string()), head.map_err(|e| e.to_string()));
        }
    }
}
