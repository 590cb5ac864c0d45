//! Several cases, each as if it were the only one.

use std::collections::{BTreeMap, BTreeSet};

use kuraban_trace::accounts::{Apart, Outcome, Rule, Seed, Terms, TraceError, Units, trace, trace_apart};
use kuraban_trace::taint::Method;
use proptest::prelude::*;

use super::property::{Play, play, terms, written};

fn of_case(seeds: &[Seed], case: &str) -> Vec<Seed> {
    seeds.iter().filter(|seed| seed.case == case).cloned().collect()
}

/// Each account with tainted units: its balance and how many are a case's.
fn held(outcome: &Outcome) -> BTreeMap<(String, String), (Units, BTreeMap<String, Units>)> {
    let one = |held: &kuraban_trace::accounts::Held| {
        ((held.account.clone(), held.asset.clone()), (held.balance, held.by_case.clone()))
    };
    outcome.held.iter().map(one).collect()
}

/// The play with every seed claimed by one more case.
fn claimed_twice(play: &Play) -> Vec<Seed> {
    let again = play.seeds.iter().map(|seed| Seed { case: "claim".to_owned(), ..seed.clone() });
    play.seeds.iter().cloned().chain(again).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn each_case_has_what_it_has_alone(play in play()) {
        prop_assume!(!play.seeds.is_empty());
        let (text, seeds) = (written(&play), claimed_twice(&play));
        for method in Rule::ALL {
            let terms = terms(&play, method);
            let Apart { together, alone } = trace_apart(text.as_bytes(), &terms, &seeds).unwrap();
            let cases: BTreeSet<&str> = seeds.iter().map(|seed| seed.case.as_str()).collect();
            prop_assert_eq!(alone.len(), cases.len());
            let (mut sum, mut most) = (0, 0);
            let mut beside = BTreeMap::new();
            for (outcome, totals) in alone.iter().zip(&together.totals) {
                let case = totals.case.as_str();
                let own = trace(text.as_bytes(), &terms, &of_case(&seeds, case)).unwrap();
                prop_assert_eq!(outcome, &own, "{} {}", method, case);
                prop_assert_eq!(core::slice::from_ref(totals), &*own.totals);
                for (place, (balance, by_case)) in held(&own) {
                    beside.entry(place).or_insert((balance, BTreeMap::new())).1.extend(by_case);
                }
                let handed: Vec<_> = together.deposits.iter().filter(|one| one.case == case).collect();
                prop_assert_eq!(handed, own.deposits.iter().collect::<Vec<_>>());
                sum += own.transactions_touched;
                most = most.max(own.transactions_touched);
            }
            prop_assert_eq!(held(&together), beside);
            prop_assert!(together.held.iter().all(|held| held.tainted <= held.balance));
            prop_assert!((most..=sum).contains(&together.transactions_touched));
            let place = |tx: &str, index: u32| play.transfers.iter().position(|t| t.tx == tx && t.index == index);
            prop_assert!(together.deposits.is_sorted_by_key(|one| place(&one.tx, one.index)));
            prop_assert!(together.seeds.is_sorted_by_key(|one| place(&one.seed.tx, one.seed.index)));
            prop_assert_eq!(together.seeds.len(), seeds.len());
        }
    }
}

/// The first theft's 40 units are stolen again from the thief, with 10 of his own, and half of what is there goes on.
const LIST: &str = r#"{"transfers":1,"chain":"xem","opening":"stated"}
{"height":1,"position":0,"tx":"o","index":0,"asset":"xem","from":null,"to":"victim","amount":"40","kind":"opening"}
{"height":1,"position":1,"tx":"p","index":0,"asset":"xem","from":null,"to":"A","amount":"10","kind":"opening"}
{"height":2,"position":0,"tx":"one","index":0,"asset":"xem","from":"victim","to":"A","amount":"40","kind":"payment"}
{"height":3,"position":0,"tx":"two","index":0,"asset":"xem","from":"A","to":"B","amount":"50","kind":"payment"}
{"height":4,"position":0,"tx":"on","index":0,"asset":"xem","from":"B","to":"exchange","amount":"25","kind":"payment"}
"#;

fn seed(tx: &str, case: &str) -> Seed {
    Seed { tx: tx.to_owned(), index: 0, case: case.to_owned() }
}

#[test]
fn units_that_two_cases_claim_count_in_each_and_no_account_has_more_than_it_holds() {
    let terms =
        Terms { stops: BTreeSet::from(["exchange".to_owned()]), ..Terms::new(Rule::Of(Method::Haircut)) };
    // The later case is named first.
    let seeds = [seed("two", "second"), seed("one", "first")];
    let Apart { together, .. } = trace_apart(LIST.as_bytes(), &terms, &seeds).unwrap();
    let of = |place: usize| {
        let totals = &together.totals[place].by_asset["xem"];
        (
            together.totals[place].case.as_str(),
            [totals.stolen, totals.held, totals.stopped].map(|one| one.to_string()),
        )
    };
    assert_eq!(of(0), ("first", ["40", "20", "20"].map(str::to_owned)));
    assert_eq!(of(1), ("second", ["50", "25", "25"].map(str::to_owned)));
    let held: Vec<_> = together.held.iter().map(|held| (&*held.account, held.tainted.to_string())).collect();
    assert_eq!(held, [("B", "25".to_owned())]);
    assert_eq!(together.held[0].by_case["first"].to_string(), "20");
    assert_eq!(together.transactions_touched, 3);
    // Where the earliest keeps its units the later case has the ten that are left.
    let earliest = trace(LIST.as_bytes(), &terms, &seeds).unwrap();
    assert_eq!(earliest.totals[1].by_asset["xem"].stolen.to_string(), "10");
}

#[test]
fn one_transfer_can_be_the_seed_of_several_cases_and_of_each_once() {
    let terms = Terms::new(Rule::Of(Method::Fifo));
    let both = [seed("one", "a"), seed("one", "b")];
    let found = trace_apart(LIST.as_bytes(), &terms, &both).unwrap();
    assert_eq!(found.together.totals.len(), 2);
    assert_eq!(found.together.seeds.len(), 2);
    assert!(matches!(trace(LIST.as_bytes(), &terms, &both), Err(TraceError::SeedTwice { .. })));
    let twice = [seed("one", "a"), seed("one", "a")];
    assert!(matches!(trace_apart(LIST.as_bytes(), &terms, &twice), Err(TraceError::SeedTwice { .. })));
    assert!(matches!(trace_apart(LIST.as_bytes(), &terms, &[]), Err(TraceError::NoSeed)));
    let gone = [seed("one", "a"), seed("gone", "b")];
    assert!(matches!(trace_apart(LIST.as_bytes(), &terms, &gone), Err(TraceError::NoSuchSeed { .. })));
}
