//! `kuraban value` and `kuraban loss` as their user meets them; a valuation goes into a computation.

use std::fs;

use serde_json::json;

use crate::run::{repository, run};

const TAPE: &str = "time,venue,price,amount\n\
    2018-01-26T12:09:00+09:00,zaif,100,1\n2018-01-26T12:30:00+09:00,zaif,80,3\n2018-01-27T23:00:00+09:00,zaif,999,1\n";

#[test]
fn a_valuation_is_what_claims_are_computed_with() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    fs::write(path("tape.csv"), TAPE).unwrap();
    let rules = fs::read_to_string(repository().join("examples/prices/coincheck-2018.toml")).unwrap();
    fs::write(path("rules.toml"), rules.replace("gap_s = 3600\n", "")).unwrap();
    let tape = format!("zaif={}", path("tape.csv"));
    let args =
        ["value", "--json", "--rules", &path("rules.toml"), "--tape", &tape, "--out", &path("prices.json")];
    let ran = run(args);
    assert_eq!(ran.status, 0, "{}", ran.err);
    // (100 × 1 + 80 × 3) / 4; the last trade is the first one after the window.
    let want = json!({ "xem": {
        "rate": "85", "trades": 2, "volume": "4", "first": "2018-01-26T03:09:00Z", "last": "2018-01-26T03:30:00Z",
        "longest_silence_s": 34 * 3600 + 1800,
    } });
    assert_eq!(ran.json()["prices"], want);
    fs::write(
        path("scheme.toml"),
        fs::read_to_string(repository().join("examples/schemes/coincheck-2018.toml"))
            .unwrap()
            .replace("rate = \"88.549\"", "price = \"xem\""),
    )
    .unwrap();
    fs::write(path("holdings.csv"), "customer,asset,amount\na,XEM,10\n").unwrap();
    let compute = |prices: &[&str]| {
        let (holdings, scheme, out) = (path("holdings.csv"), path("scheme.toml"), path("out"));
        run([
            &["claims", "compute", "--json", "--holdings", &holdings, "--scheme", &scheme, "--out", &out],
            prices,
        ]
        .concat())
    };
    let without = compute(&[]);
    assert_eq!(without.status, 2);
    assert!(without.err.contains("there is no price \"xem\""), "{}", without.err);
    assert_eq!(compute(&["--prices", &path("prices.json")]).json()["total"], 850);
    // The same again: the file is in the way.
    assert_eq!(run(args).status, 2);
}

#[test]
fn a_tape_that_does_not_do_is_refused_by_line_or_gap() {
    let folder = tempfile::tempdir().unwrap();
    let tape = folder.path().join("tape.csv");
    let rules = repository().join("examples/prices/coincheck-2018.toml");
    let named = format!("zaif={}", tape.display());
    for (rows, want) in [
        (
            TAPE.to_owned(),
            "price \"xem\": zaif has no trade from 2018-01-26T03:30:00Z to 2018-01-27T14:00:00Z",
        ),
        (TAPE.replace("80,3", "80,3,"), "line 3: has 5 fields, want 4 as in line 1"),
        (
            TAPE.replace("12:30:00", "12:08:00"),
            "line 3: time: 2018-01-26T03:08:00Z is before 2018-01-26T03:09:00Z",
        ),
        (TAPE.replace("80,3", "8e1,3"), "line 3: price: \"8e1\" has 'e'"),
        (TAPE.replace("time,", "when,"), "there is no column \"time\""),
    ] {
        fs::write(&tape, rows).unwrap();
        let ran = run(["value", "--rules", rules.to_str().unwrap(), "--tape", &named]);
        assert_eq!(ran.status, 2, "{}", ran.err);
        assert!(ran.err.contains(want), "{}", ran.err);
    }
    let ran = run(["value", "--rules", rules.to_str().unwrap()]);
    assert!(ran.err.contains("there is no tape; give it with --tape NAME=FILE"), "{}", ran.err);
}

#[test]
fn versions_of_a_loss_stand_side_by_side() {
    let file = repository().join("examples/losses/zaif-2018.toml");
    let ran = run(["loss", "--json", file.to_str().unwrap()]);
    assert_eq!(ran.status, 0, "{}", ran.err);
    let found = ran.json();
    assert_eq!(found["versions"][0]["under_investigation"], json!(["MONA", "BCH"]));
    assert_eq!(found["versions"][0]["stated"], 6_700_000_000_u64);
    assert_eq!(found["versions"][1]["total"], 7_030_616_440_u64);
    let text = run(["loss", "--lang", "ja", file.to_str().unwrap()]).out;
    assert!(text.contains("7,030,616,440") && text.contains("調査中 → 2,107,677,945"), "{text}");
}
