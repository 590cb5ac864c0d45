//! What holds for any books, against a plain list that is summed anew: nothing is made or lost, a repetition changes nothing, a
//! refusal changes nothing, and replay is the state.

use std::collections::{BTreeMap, BTreeSet};

use kuraban_base::Instant;
use kuraban_ledger::{
    Assets,
    books::{Books, BooksError, Builder, Journal, JournalError, Kind, Posted, RawPost, Side, TURNOVER_MAX},
    holdings::Written,
};
use proptest::prelude::*;

/// Entry, time, account, asset, side, base units, what it reverses.
type Row<'a> = (&'a str, u64, &'a str, &'a str, Side, u128, &'a str);

const DR: Side = Side::Debit;
const CR: Side = Side::Credit;

fn kind(account: &str) -> Kind {
    match account.as_bytes()[0] {
        b'o' => Kind::Own,
        b'm' => Kind::Margin,
        _ => Kind::Customer,
    }
}

fn journal(rows: &[Row<'_>]) -> Result<Journal, JournalError> {
    let mut builder = Builder::new(Assets::default());
    for (line, (entry, at, account, asset, side, units, reverses)) in (2..).zip(rows) {
        builder.push(RawPost {
            line,
            entry,
            at: Instant::from_ms(*at),
            account,
            kind: kind(account),
            asset,
            side: *side,
            amount: Written::Units(*units),
            memo: "",
            reverses,
        })?;
    }
    builder.finish()
}

#[track_caller]
fn post(books: &mut Books, rows: &[Row<'_>]) -> Posted {
    books.post(&journal(rows).unwrap()).unwrap()
}

/// Refused, with this text, and without a trace.
#[track_caller]
fn refused(books: &Books, rows: &[Row<'_>], want: &str) {
    let mut after = books.clone();
    let found = after.post(&journal(rows).unwrap()).unwrap_err().to_string();
    assert_eq!(found, want);
    assert_eq!(&after, books);
    assert_eq!(after.totals(), books.totals());
    assert_eq!(
        (after.accounts(), after.entries(), after.assets()),
        (books.accounts(), books.entries(), books.assets())
    );
}

const DEPOSIT: [Row<'_>; 2] =
    [("d1", 10, "own:hot", "BTC", DR, 500, ""), ("d1", 10, "ann", "BTC", CR, 500, "")];

#[test]
fn an_entry_moves_what_it_says_once() {
    let mut books = Books::default();
    assert_eq!(post(&mut books, &DEPOSIT), Posted { fresh: vec![0], repeated: 0 });
    assert_eq!(
        (books.balance("ann", "BTC"), books.balance("own:hot", "BTC"), books.balance("bob", "BTC")),
        (500, -500, 0)
    );
    let before = books.clone();
    // The same in another order of rows is the same.
    let turned = [DEPOSIT[1], DEPOSIT[0]];
    assert_eq!(post(&mut books, &turned), Posted { fresh: vec![], repeated: 1 });
    assert_eq!(books, before);
    let other = [("d1", 10, "own:hot", "BTC", DR, 501, ""), ("d1", 10, "ann", "BTC", CR, 501, "")];
    let want = "line 2, entry: d1 is in the books with other content; a correction needs an id of its own";
    refused(&books, &other, want);
    let later = DEPOSIT.map(|row| (row.0, 11, row.2, row.3, row.4, row.5, row.6));
    refused(&books, &later, want);
}

#[test]
fn rows_that_are_no_entry_are_named() {
    let check = |rows: &[Row<'_>], want: &str| assert_eq!(journal(rows).unwrap_err().to_string(), want);
    check(&[], "has no rows, want an entry with debit and credit");
    check(&DEPOSIT[..1], "line 2, entry d1: debits of BTC are 0.000005 and credits 0, want them equal");
    let mixed = [("x", 1, "o", "BTC", DR, 1, ""), ("x", 1, "a", "ETH", CR, 1, "")];
    check(
        &mixed,
        "line 2, entry x: debits of BTC are 0 and credits 0.00000001, want them equal"
            .replace(
                "debits of BTC are 0 and credits 0.00000001",
                "debits of ETH are 0 and credits 0.000000000000000001",
            )
            .as_str(),
    );
    check(
        &[DEPOSIT[0], ("d1", 11, "ann", "BTC", CR, 500, "")],
        "line 3, time: differs from line 2 of the same entry d1, want the same in all its rows",
    );
    check(&[("x", 1, "o", "BTC", DR, 0, "")], "line 2, amount of BTC: is 0, want 1 to 2^127 - 1 base units");
    let most = TURNOVER_MAX + 1;
    check(
        &[("x", 1, "o", "BTC", DR, most, "")],
        &format!("line 2, amount of BTC: is {most}, want 1 to 2^127 - 1 base units"),
    );
    check(
        &[("x", 1, "o", "LSK", DR, 1, "")],
        "line 2, asset: \"LSK\" is not known, only BTC BCH LTC MONA ETH XRP XEM JPY USD; name it with its decimals",
    );
    let twice = [("x", 1, "o", "BTC", DR, TURNOVER_MAX, ""), ("x", 1, "o", "BTC", DR, 1, "")];
    check(&twice, "line 2, entry x: moves more than 2^127 - 1 base units of BTC");
}

#[test]
fn a_customer_is_never_below_zero_when_an_instant_ends() {
    let mut books = Books::default();
    post(&mut books, &DEPOSIT);
    let pay = |entry, at, from, units| {
        [(entry, at, from, "BTC", DR, units, ""), (entry, at, "own:hot", "BTC", CR, units, "")]
    };
    refused(
        &books,
        &pay("w1", 20, "ann", 501),
        "line 2, amount: account ann has 0.00000001 BTC too little for entry w1; want zero or more left at the end of 1970-01-01T00:00:00.02Z",
    );
    post(&mut books, &pay("w1", 20, "ann", 500));
    post(&mut books, &pay("w2", 20, "margin:ann", 7));
    assert_eq!((books.balance("ann", "BTC"), books.balance("margin:ann", "BTC")), (0, -7));
    // Out before in, in one instant: only the end counts.
    let both = [
        pay("w3", 30, "ann", 9),
        [("w4", 30, "ann", "BTC", CR, 9, ""), ("w4", 30, "own:hot", "BTC", DR, 9, "")],
    ]
    .concat();
    post(&mut books, &both);
    let total = books.totals()[0];
    assert_eq!((total.owed.units(), total.overdrawn.units(), total.own, total.holders), (0, 7, -7, 1));
    assert!(total.balances());
}

#[test]
fn time_does_not_run_back() {
    let mut books = Books::default();
    post(&mut books, &DEPOSIT);
    let at = |at| DEPOSIT.map(|row| ("d2", at, row.2, row.3, row.4, row.5, row.6));
    refused(
        &books,
        &at(9),
        "line 2, time: entry d2 is of 1970-01-01T00:00:00.009Z, before the last entry of the books, 1970-01-01T00:00:00.01Z; post it with a later time",
    );
    post(&mut books, &at(10));
}

#[test]
fn an_entry_is_taken_back_by_its_mirror_once() {
    let mut books = Books::default();
    post(&mut books, &DEPOSIT);
    let back = |entry, units, target| {
        [(entry, 20, "own:hot", "BTC", CR, units, target), (entry, 20, "ann", "BTC", DR, units, target)]
    };
    let problem = |entry: &str, target: &str, problem: &str| {
        format!("line 2, reverses: entry {entry} cannot reverse {target}: {problem}")
    };
    refused(
        &books,
        &back("r", 499, "d1"),
        &problem("r", "d1", "its posts are not the same with debit and credit exchanged"),
    );
    refused(&books, &back("r", 500, "d0"), &problem("r", "d0", "it is not in the books before it"));
    post(&mut books, &back("r", 500, "d1"));
    assert_eq!(books.balance("ann", "BTC"), 0);
    refused(&books, &back("r2", 500, "d1"), &problem("r2", "d1", "it is reversed already"));
    let again = DEPOSIT.map(|row| ("r3", 30, row.2, row.3, row.4, row.5, "r"));
    refused(&books, &again, &problem("r3", "r", "it is a reversal itself; post a new entry"));
    // A refused journal frees what it had reversed.
    let mut books = Books::default();
    post(&mut books, &DEPOSIT);
    let bad = [
        back("r", 500, "d1").as_slice(),
        &[("w", 40, "ann", "BTC", DR, 1, ""), ("w", 40, "own:hot", "BTC", CR, 1, "")],
    ]
    .concat();
    assert!(matches!(books.post(&journal(&bad).unwrap()), Err(BooksError::Below { .. })));
    post(&mut books, &back("r", 500, "d1"));
}

#[test]
fn turnover_ends_where_balances_could_overflow() {
    let mut books = Books::default();
    let mint =
        |entry, units| [(entry, 1, "own:x", "JPY", DR, units, ""), (entry, 1, "ann", "JPY", CR, units, "")];
    post(&mut books, &mint("a", TURNOVER_MAX - 1));
    refused(
        &books,
        &mint("c", 2),
        "line 2, amount: the books would have moved more than 2^127 - 1 base units of JPY",
    );
    post(&mut books, &mint("b", 1));
    assert_eq!(books.balance("ann", "JPY"), i128::MAX);
    refused(
        &books,
        &mint("c", 1),
        "line 2, amount: the books would have moved more than 2^127 - 1 base units of JPY",
    );
}

#[test]
fn accounts_and_assets_stay_what_they_are() {
    let mut books = Books::default();
    post(&mut books, &DEPOSIT);
    let with = |decimals, kind| {
        let mut assets = Assets::default();
        assets.add("QASH", decimals).unwrap();
        let mut builder = Builder::new(assets);
        for (line, account, kind, side) in [(2, "own:hot", Kind::Own, DR), (3, "ann", kind, CR)] {
            let at = Instant::from_ms(50);
            let amount = Written::Coins("1.5");
            builder
                .push(RawPost {
                    line,
                    entry: "q",
                    at,
                    account,
                    kind,
                    asset: "QASH",
                    side,
                    amount,
                    memo: "",
                    reverses: "",
                })
                .unwrap();
        }
        builder.finish().unwrap()
    };
    let before = books.clone();
    let problem = books.post(&with(6, Kind::Margin)).unwrap_err().to_string();
    assert_eq!(
        problem,
        "line 3, kind: account ann is of kind margin here and customer in the books, want one"
    );
    assert_eq!((&books, books.assets()), (&before, before.assets()));
    books.post(&with(6, Kind::Customer)).unwrap();
    assert_eq!(books.balance("ann", "QASH"), 1_500_000);
    let problem = books.post(&with(8, Kind::Customer)).unwrap_err().to_string();
    assert_eq!(problem, "asset: QASH has 6 decimals, not 8: leave it out or correct it");
}

#[test]
fn bytes_are_read_whole_or_not_at_all() {
    let read = journal(&DEPOSIT).unwrap();
    let posted = Books::default().post(&read).unwrap();
    let bytes = read.to_bytes(&posted);
    for length in 0..bytes.len() {
        assert!(Journal::from_bytes(&bytes[..length]).is_err(), "{length}");
    }
    let more = [bytes.as_slice(), &[0]].concat();
    assert!(Journal::from_bytes(&more).unwrap_err().to_string().ends_with("more follows, want the end"));
    let (mut one, mut other) = (Books::default(), Books::default());
    one.post(&read).unwrap();
    other.post(&Journal::from_bytes(&bytes).unwrap()).unwrap();
    assert_eq!(one, other);
}

/// An entry of the made-up world: time, posts as (from, to, asset, units).
type Made = (u64, Vec<(usize, usize, usize, u128)>);

const ACCOUNTS: [&str; 6] = ["a", "b", "c", "margin", "own", "own:2"];
const CODES: [&str; 3] = ["BTC", "ETH", "JPY"];

fn made() -> impl Strategy<Value = Vec<Made>> {
    let post = (0_usize..6, 0_usize..6, 0_usize..3, 1_u128..1_000);
    let entries = prop::collection::vec((0_u64..12, prop::collection::vec(post, 1..4)), 1..40);
    // With much to begin with most worlds stand, with little they fail.
    let opening = prop_oneof![4 => Just(1_000_000_u128), 1 => Just(1_500)];
    (entries, opening).prop_map(|(mut entries, units)| {
        let opening = (0..3).flat_map(|asset| (0..3).map(move |account| (4, account, asset, units)));
        entries.push((0, opening.collect()));
        entries
    })
}

fn rows<'a>(names: &'a [String], made: &[Made]) -> Vec<Row<'a>> {
    let mut rows = Vec::new();
    for (name, (at, posts)) in names.iter().zip(made) {
        for (from, to, asset, units) in posts {
            rows.push((name.as_str(), *at, ACCOUNTS[*from], CODES[*asset], DR, *units, ""));
            rows.push((name.as_str(), *at, ACCOUNTS[*to], CODES[*asset], CR, *units, ""));
        }
    }
    rows
}

fn names(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("e{number}")).collect()
}

/// All rows up to an instant, summed anew.
fn summed<'a>(rows: &[Row<'a>], until: u64) -> BTreeMap<(&'a str, &'a str), i128> {
    let mut sums = BTreeMap::new();
    for (_, _, account, asset, side, units, _) in rows.iter().filter(|row| row.1 <= until) {
        let units = i128::try_from(*units).unwrap();
        *sums.entry((*account, *asset)).or_insert(0) += if *side == DR { -units } else { units };
    }
    sums
}

/// Whether no customer is below zero at the end of any instant.
fn stays_above(rows: &[Row<'_>]) -> bool {
    let instants: BTreeSet<u64> = rows.iter().map(|row| row.1).collect();
    instants.into_iter().all(|at| {
        summed(rows, at).iter().all(|((account, _), sum)| *sum >= 0 || kind(account) != Kind::Customer)
    })
}

proptest! {
    #[test]
    fn books_are_a_plain_list_summed_anew(made in made(), turn in 0_usize..40) {
        let names = names(made.len());
        let all = rows(&names, &made);
        let mut books = Books::default();
        let taken = books.post(&journal(&all).unwrap());
        prop_assert_eq!(taken.is_ok(), stays_above(&all), "{:?}", taken);
        if taken.is_err() {
            prop_assert_eq!(&books, &Books::default());
            return Ok(());
        }
        for ((account, asset), sum) in summed(&all, u64::MAX) {
            prop_assert_eq!(books.balance(account, asset), sum);
        }
        prop_assert!(books.totals().iter().all(|total| total.balances()));
        // Rows in another order are the same books, and so is what was written and read again.
        let mut turned = all.clone();
        turned.rotate_left(turn % all.len());
        turned.reverse();
        let mut other = Books::default();
        let read = journal(&turned).unwrap();
        let posted = other.post(&read).unwrap();
        prop_assert_eq!(&other, &books);
        let mut replayed = Books::default();
        replayed.post(&Journal::from_bytes(&read.to_bytes(&posted)).unwrap()).unwrap();
        prop_assert_eq!(&replayed, &books);
        // And again is nothing.
        let again = replayed.post(&read).unwrap();
        prop_assert_eq!((again.fresh.len(), again.repeated), (0, u64::try_from(made.len()).unwrap()));
        prop_assert_eq!(&replayed, &books);
    }

    #[test]
    fn holdings_at_an_instant_are_those_of_the_rows_before(made in made(), until in 0_u64..13) {
        let names = names(made.len());
        let all = rows(&names, &made);
        prop_assume!(stays_above(&all));
        let mut books = Books::default();
        books.post_until(&journal(&all).unwrap(), Instant::from_ms(until)).unwrap();
        let want: Vec<_> = summed(&all, until)
            .into_iter()
            .filter(|((account, _), sum)| *sum > 0 && kind(account) != Kind::Own)
            .map(|((account, asset), sum)| (account.to_owned(), asset.to_owned(), sum.unsigned_abs()))
            .collect();
        let holdings = books.holdings();
        prop_assert_eq!(holdings.is_err(), want.is_empty());
        let found: Vec<_> = holdings.iter().flat_map(|holdings| holdings.iter().map(|row| (
            holdings.customer(row.customer).to_owned(), holdings.assets().code(row.asset).to_owned(), row.units.units()
        ))).collect();
        prop_assert_eq!(found, want);
    }

    #[test]
    fn a_journal_in_parts_by_time_is_the_same_books(made in made(), cut in 0_u64..13) {
        let names = names(made.len());
        let all = rows(&names, &made);
        prop_assume!(stays_above(&all));
        let mut whole = Books::default();
        whole.post(&journal(&all).unwrap()).unwrap();
        let mut parts = Books::default();
        let (early, late): (Vec<_>, Vec<_>) = all.iter().partition(|row| row.1 < cut);
        for part in [early, late].iter().filter(|part| !part.is_empty()) {
            parts.post(&journal(part).unwrap()).unwrap();
        }
        prop_assert_eq!(parts, whole);
    }
}
