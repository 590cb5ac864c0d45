//! `kuraban books` as its user meets it: journals in CSV, a process that is killed, holdings that `kuraban claims` reads.

use std::{fs, path::Path, process::Stdio};

use serde_json::json;

use crate::run::{Ran, kuraban, repository, run};

/// Runs `kuraban books`.
pub(crate) fn books(args: &[&str]) -> Ran {
    run(["books"].iter().chain(args))
}

fn import(folder: &Path, rows: &[u8], more: &[&str]) -> Ran {
    let (file, kept) = (folder.join("journal.csv"), folder.join("books"));
    fs::write(&file, rows).unwrap();
    let (file, kept) = (file.to_str().unwrap(), kept.to_str().unwrap());
    books(&[&["import", "--json", "--books", kept, "--journal", file], more].concat())
}

fn check(folder: &Path) -> Ran {
    books(&["check", "--json", "--books", folder.join("books").to_str().unwrap()])
}

const DAY: &str = "entry,time,account,asset,side,amount,memo\n\
    d1,2018-01-25T10:00:00+09:00,hot,XEM,debit,600,deposit\n\
    d1,2018-01-25T10:00:00+09:00,ann,XEM,credit,600,deposit\n\
    t1,2018-01-26T12:00:00+09:00,ann,XEM,debit,100.5,\n\
    t1,2018-01-26T12:00:00+09:00,bob,XEM,credit,100.5,\n\
    d2,2018-01-27T09:00:00+09:00,hot,XEM,debit,1,late\n\
    d2,2018-01-27T09:00:00+09:00,ann,XEM,credit,1,late\n";

/// Straight from the books, at the scheme's `as_of` or the tree's.
#[test]
fn claims_and_liabilities_count_what_the_books_say_at_their_instant() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(import(folder.path(), DAY.as_bytes(), &["--own", "hot"]).status, 0);
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let text = fs::read_to_string(repository().join("examples/schemes/coincheck-2018.toml")).unwrap();
    let check = |name: &str, as_of: &str, want: Result<u64, &str>| {
        let scheme = path("scheme.toml");
        fs::write(&scheme, format!("{as_of}\n{text}")).unwrap();
        let (kept, out) = (path("books"), path(name));
        let ran = run(["claims", "compute", "--json", "--books", &kept, "--scheme", &scheme, "--out", &out]);
        match want {
            Ok(total) => assert_eq!((ran.status, &ran.json()["total"]), (0, &json!(total)), "{name}"),
            Err(problem) => {
                let found = ran.json()["error"].as_str().unwrap().to_owned();
                assert!(ran.status == 2 && found.contains(problem), "{name}: {found}");
                assert!(!Path::new(&out).exists());
            }
        }
    };
    // 499.5 and 100.5 XEM at 88.549 yen, half a yen up; a day later one more XEM; before all of it nothing.
    check("before", "as_of = \"2018-01-27T08:59:59+09:00\"", Ok(44_230 + 8_899));
    check("after", "as_of = \"2018-01-27T09:00:00+09:00\"", Ok(44_319 + 8_899));
    check("none", "", Err("has no as_of, by which books are read"));
    check("no-zone", "as_of = \"2018-01-27T09:00:00\"", Err("as_of"));
    check("to-come", "as_of = \"2999-01-01T00:00:00Z\"", Err("has not come, it is "));
    check("too-early", "as_of = \"2018-01-01T00:00:00Z\"", Err("2018-01-01T00:00:00Z"));

    let (kept, tree) = (path("books"), path("tree"));
    let at = ["--as-of", "2018-01-27T08:59:59+09:00"];
    let built = run(["liabilities", "build", "--json", "--books", &kept, "--out", &tree].iter().chain(&at));
    assert_eq!((built.status, &built.json()["totals"][0]["amount"]), (0, &json!("600")), "{}", built.err);
    let root = built.json()["root"].as_str().unwrap().to_owned();
    let audit = |more: &[&str]| {
        run(["liabilities", "audit", "--json", "--dir", &tree, "--root", &root].iter().chain(more))
    };
    assert_eq!(audit(&["--books", &kept]).json()["ok"], json!(true));
    assert_eq!(audit(&["--books", &kept, "--holdings", &kept]).status, 2);
    assert_eq!(audit(&[]).status, 2);
}

#[test]
fn what_customers_held_at_an_instant_is_what_claims_are_computed_on() {
    let folder = tempfile::tempdir().unwrap();
    let ran = import(folder.path(), DAY.as_bytes(), &["--own", "hot"]);
    assert_eq!(ran.status, 0, "{}", ran.err);
    let found = ran.json();
    assert_eq!((&found["entries"], &found["repeated"], &found["rows"]), (&json!(3), &json!(0), &json!(6)));
    let again = import(folder.path(), DAY.as_bytes(), &["--own", "hot"]).json();
    assert_eq!((&again["entries"], &again["repeated"], &again["batches"]), (&json!(0), &json!(3), &json!(1)));
    let [kept, out, paid] =
        ["books", "held.csv", "paid"].map(|name| folder.path().join(name).to_str().unwrap().to_owned());
    let at = ["holdings", "--books", &kept, "--at", "2018-01-26T23:59:59+09:00", "--out", &out];
    let ran = books(&at);
    assert_eq!((ran.status, ran.err.as_str()), (0, ""));
    assert!(ran.out.starts_with("2 customers, 2 holdings at 2018-01-26T14:59:59Z"), "{}", ran.out);
    assert_eq!(fs::read_to_string(&out).unwrap(), "customer,asset,amount\nann,XEM,499.5\nbob,XEM,100.5\n");
    assert_eq!(books(&at).status, 2);
    let later = ["holdings", "--books", &kept, "--at", "2999-01-01T00:00:00Z", "--out", &paid];
    let ran = books(&later);
    assert!(ran.status == 2 && ran.err.contains("2999-01-01T00:00:00Z has not come"), "{}", ran.err);
    let scheme = repository().join("examples/schemes/coincheck-2018.toml");
    let claims = run([
        "claims",
        "compute",
        "--json",
        "--holdings",
        &out,
        "--scheme",
        scheme.to_str().unwrap(),
        "--out",
        &paid,
    ]);
    // 499.5 × 88.549 = 44,230.2255 and 100.5 × 88.549 = 8,899.1745.
    assert_eq!(claims.json()["total"], json!(44_230 + 8_899));
    let checked = check(folder.path());
    assert_eq!(checked.status, 0);
    let found = checked.json();
    assert_eq!(
        (&found["balanced"], &found["entries"], &found["accounts"]),
        (&json!(true), &json!(3), &json!(3))
    );
    let total = json!([{
        "asset": "XEM", "decimals": 6, "owed_units": "601000000", "overdrawn_units": "0", "own_units": "601000000",
        "turnover_units": "701500000", "holders": 2
    }]);
    assert_eq!(found["assets"], total);
    let japanese = run(["--lang", "ja", "books", "check", "--books", &kept]);
    assert!(japanese.out.starts_with("取込 1 回、仕訳 3 件、口座 3 件"), "{}", japanese.out);
}

#[test]
fn journals_have_debit_and_credit_columns_too_and_names_of_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let rows = "伝票,日時,口座,通貨,借方,貸方,区分\n1,0,hot,JPY,500,,own\n1,0,山田,JPY,,500,customer\n";
    let names =
        ["entry=伝票", "time=日時", "account=口座", "asset=通貨", "debit=借方", "credit=貸方", "kind=区分"];
    let columns: Vec<&str> = names.iter().flat_map(|name| ["--column", name]).collect();
    let ran = import(folder.path(), rows.as_bytes(), &columns);
    assert_eq!(ran.status, 0, "{}", ran.err);
    assert_eq!(ran.json()["assets"][0]["owed_units"], "500");
}

#[test]
fn bad_journals_are_refused_with_line_and_field_and_nothing_is_taken() {
    let head = "entry,time,account,asset,side,amount\n";
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(import(folder.path(), DAY.as_bytes(), &["--own", "hot"]).status, 0);
    let before = fs::read(folder.path().join("books")).unwrap();
    for (rows, want) in [
        ("x,0,hot,BTC,debit,1\n", "line 2, entry x: debits of BTC are 1 and credits 0, want them equal"),
        ("x,soon,hot,BTC,debit,1\n", "line 2: time: \"soon\" is no point in time"),
        ("x,0,hot,BTC,left,1\n", "line 2: side: \"left\", want one of debit credit"),
        (
            "x,0,hot,BTC,debit,0.123456789\n",
            "line 2, amount of BTC: 0.123456789 has 9 decimals, want at most 8",
        ),
        ("x,0,hot,LSK,debit,1\n", "line 2, asset: \"LSK\" is not known"),
        ("x,0,hot,BTC,debit,0\n", "line 2, amount of BTC: is 0"),
        ("x,0,,BTC,debit,1\n", "line 2, account: has \"\""),
        ("x,0,hot,BTC,debit\n", "line 2: has 5 fields, want 6 as in line 1"),
        (
            "w,2018-01-28T00:00:00Z,bob,XEM,debit,101\nw,2018-01-28T00:00:00Z,hot,XEM,credit,101\n",
            "line 2, amount: account bob has 0.5 XEM too little for entry w",
        ),
        (
            "w,2018-01-01T00:00:00Z,hot,XEM,debit,1\nw,2018-01-01T00:00:00Z,bob,XEM,credit,1\n",
            "before the last entry of the books",
        ),
        (
            "d1,2018-01-25T10:00:00+09:00,hot,XEM,debit,601\nd1,2018-01-25T10:00:00+09:00,ann,XEM,credit,601\n",
            "line 2, entry: d1 is in the books with other content",
        ),
    ] {
        let ran = import(folder.path(), format!("{head}{rows}").as_bytes(), &["--own", "hot"]);
        assert_eq!(ran.status, 2, "{rows}: {}", ran.err);
        assert!(ran.err.contains(want), "{rows}: {}", ran.err);
        assert_eq!(fs::read(folder.path().join("books")).unwrap(), before, "{rows}");
    }
    assert_eq!(books(&["import", "--books", "x"]).status, 2);
}

#[test]
fn a_journal_of_next_year_does_not_close_the_books_and_a_refused_first_one_leaves_no_file() {
    let head = "entry,time,account,asset,side,amount\n";
    let day = |time: u128| format!("{head}x,{time},hot,BTC,debit,1\nx,{time},ann,BTC,credit,1\n");
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis();
    let overdrawn = format!("{head}x,0,hot,BTC,credit,1\nx,0,ann,BTC,debit,1\n");
    for (rows, want) in [
        (day(now + 60_000), "line 2: time: "),
        (day(now + 60_000), " has not come; want when the entry took effect"),
        (overdrawn, "line 3, amount: account ann has 1 BTC too little for entry x"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let ran = import(folder.path(), rows.as_bytes(), &["--own", "hot"]);
        assert_eq!(ran.status, 2, "{rows}: {}", ran.out);
        assert!(ran.err.contains(want), "{rows}: {}", ran.err);
        assert!(!folder.path().join("books").exists());
        // The same day, as far as it has come.
        let ran = import(folder.path(), day(now).as_bytes(), &["--own", "hot"]);
        assert_eq!(ran.status, 0, "{}", ran.err);
    }
}

/// A journal of many entries, the first `count` of a series.
fn many(count: u64) -> String {
    let mut rows = String::from("entry,time,account,asset,side,units\n");
    for number in 0..count {
        rows.push_str(&format!("e{number},{number},hot,BTC,debit,{}\n", number + 1));
        rows.push_str(&format!("e{number},{number},c{},BTC,credit,{}\n", number % 977, number + 1));
    }
    rows
}

#[test]
fn an_import_that_is_killed_took_all_or_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (file, kept) = (folder.path().join("many.csv"), folder.path().join("books"));
    fs::write(&file, many(20_000)).unwrap();
    for round in 0..6_u64 {
        let mut command = kuraban();
        command.args(["books", "import", "--own", "hot", "--books"]).arg(&kept).arg("--journal").arg(&file);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        // Killed at once, or as soon as the file is there, or as soon as it has grown so far.
        let grown = || fs::metadata(&kept).map_or(0, |about| about.len());
        let enough = [0, 1, 17, 40, 100_000, 400_000][usize::try_from(round).unwrap()];
        while grown() < enough && child.try_wait().unwrap().is_none() {
            std::thread::yield_now();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        if grown() >= 16 {
            let found = check(folder.path());
            assert_eq!(found.status, 0, "{}", found.err);
            assert!([0, 20_000].contains(&found.json()["entries"].as_u64().unwrap()), "{}", found.out);
        }
    }
    let ran = import(folder.path(), many(20_000).as_bytes(), &["--own", "hot"]);
    let found = ran.json();
    assert_eq!(
        found["entries"].as_u64().unwrap() + found["repeated"].as_u64().unwrap(),
        20_000,
        "{}",
        ran.err
    );
    assert_eq!(found["assets"][0]["owed_units"], "200010000");
}
