//! `kuraban transfers import` and `kuraban trace --transfers`: on real ledgers, and on a list whose answer is known.

use std::{fs, path::Path};

use serde_json::{Value, json};

use crate::run::{Ran, run, shared};

/// The victim's 100 XEM are stolen; the thief pays a fee of 1, 9 to a stranger, 40 to an exchange, and 3 of a token.
const LIST: &str = r#"{"transfers":1,"chain":"xem","opening":"stated"}
{"height":1,"position":0,"tx":"o","index":0,"asset":"xem","from":null,"to":"victim","amount":"100","kind":"opening"}
{"height":1,"position":1,"tx":"p","index":0,"asset":"dim:coin","from":null,"to":"victim","amount":"5","kind":"opening"}
{"height":2,"position":0,"tx":"t","index":0,"asset":"xem","from":"victim","to":"thief","amount":"100","kind":"payment"}
{"height":2,"position":1,"tx":"u","index":0,"asset":"dim:coin","from":"victim","to":"thief","amount":"5","kind":"token"}
{"height":3,"position":0,"tx":"a","index":0,"asset":"xem","from":"thief","to":"stranger","amount":"9","kind":"payment"}
{"height":3,"position":0,"tx":"a","index":1,"asset":"xem","from":"thief","to":"harvester","amount":"1","kind":"fee"}
{"height":4,"position":0,"tx":"b","index":0,"asset":"xem","from":"thief","to":"exchange","amount":"40","kind":"payment"}
{"height":5,"position":0,"tx":"c","index":0,"asset":"dim:coin","from":"thief","to":"stranger","amount":"3","kind":"token"}
"#;

fn list(folder: &Path) -> String {
    let path = folder.join("list.jsonl");
    fs::write(&path, LIST).unwrap();
    path.display().to_string()
}

fn trace(list: &str, more: &[&str]) -> Ran {
    let given = ["trace", "--transfers", list, "--chain", "xem"];
    run(given.into_iter().chain(more.iter().copied()))
}

#[test]
fn a_trace_tells_amounts_in_the_chains_unit_and_tokens_in_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let list = list(folder.path());
    let more = ["--seed", "t:0", "u:0", "--method", "fifo", "--stop", "exchange", "--dust", "10", "--json"];
    let ran = trace(&list, &more);
    assert_eq!(ran.status, 0, "{}", ran.err);
    let answer = ran.json();
    let want = json!({
        "chain": "xem", "method": "fifo",
        "stolen_microxem": 100, "held_microxem": 50, "fees_microxem": 1, "burned_microxem": 0, "stopped_microxem": 40,
        "dust_microxem": 9, "shielded_microxem": 0, "overlap_microxem": 0, "surfaced_microxem": 0,
        "tip": { "height": 5, "hash": null }, "transactions_touched": 5,
        "outputs": [{
            "address": "thief", "value_microxem": 50, "tainted_microxem": 50, "cases": { "theft": 50 },
            "segments": [["theft", 50]]
        }],
        "deposits": [{
            "txid": "b", "index": 0, "height": 4, "from": "thief", "service": "exchange", "case": "theft",
            "value_microxem": 40, "tainted_microxem": 40
        }],
        "seeds": [
            { "txid": "t", "index": 0, "case": "theft", "asset": "xem", "address": "thief", "value_microxem": 100 },
            { "txid": "u", "index": 0, "case": "theft", "asset": "dim:coin", "address": "thief", "value": "5" }
        ],
    });
    for (key, want) in want.as_object().unwrap() {
        assert_eq!(answer[key], *want, "{key}");
    }
    let token = &answer["tokens"][0];
    assert_eq!(token["asset"], "dim:coin");
    assert_eq!((&token["stolen"], &token["held"]), (&json!("5"), &json!("5")));
    assert_eq!(token["outputs"][0]["address"], "stranger");
    assert_eq!(token["outputs"][1]["tainted"], "2");
}

#[test]
fn every_method_is_shown_beside_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let list = list(folder.path());
    let answer = trace(&list, &["--seed", "t:0", "--all-methods", "--json"]).json();
    let methods = answer["comparison"]["methods"].as_array().unwrap();
    let names: Vec<&str> = methods.iter().map(|row| row["method"].as_str().unwrap()).collect();
    assert_eq!(names, ["poison", "haircut", "fifo", "lifo", "tiho", "dirty-first", "clean-first", "libr"]);
    // All the thief has is stolen, so that all but poison agree.
    assert_eq!(answer["comparison"]["agreed_microxem"], 99);
    assert_eq!(methods[0]["fees_microxem"], Value::Null);
    let text = trace(&list, &["--seed", "t:0", "--all-methods"]).out;
    for want in
        ["0.00005 XEM", "add up to it, to the unit", "agree on the place of 0.000099 XEM", "clean-first"]
    {
        assert!(text.contains(want), "{text} lacks {want}");
    }
}

#[test]
fn each_case_is_followed_as_if_it_were_the_only_one_where_it_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let list = list(folder.path());
    // The second claims what the first's thief pays on.
    let seeds = ["--seed", "first=t:0", "second=a:0", "second=b:0", "--method", "fifo", "--stop", "exchange"];
    let ask = |more: &[&str]| trace(&list, &[seeds.as_slice(), more].concat());
    let ran = ask(&["--overlap", "each", "--json"]);
    assert_eq!(ran.status, 0, "{}", ran.err);
    let answer = ran.json();
    assert_eq!(answer["parameters"]["overlap"], "each theft counts the unit, as if it were the only one");
    let of = |place: usize| {
        let totals = &answer["cases"][place]["totals"][0];
        ["stolen", "overlap", "held", "fees", "stopped"]
            .map(|of| totals[format!("{of}_microxem")].as_u64().unwrap())
    };
    assert_eq!(of(0), [100, 0, 59, 1, 40]);
    // 40 came to a stop as they were stolen.
    assert_eq!(of(1), [49, 0, 9, 0, 40]);
    let stranger = json!({
        "address": "stranger", "value_microxem": 9, "tainted_microxem": 9, "cases": { "first": 9, "second": 9 }
    });
    assert_eq!(answer["outputs"][0], stranger);
    let own = json!({
        "address": "stranger", "asset": "xem", "value_microxem": 9, "tainted_microxem": 9, "cases": { "second": 9 },
        "segments": [["second", 9]]
    });
    assert_eq!(answer["cases"][1]["outputs"], json!([own]));
    let deposits: Vec<_> =
        answer["deposits"].as_array().unwrap().iter().map(|one| one["case"].clone()).collect();
    assert_eq!(deposits, ["first", "second"]);
    // Beside each other there is no sum, and it is said whose each amount is.
    let told = ask(&["--overlap", "each"]).out;
    assert!(told.contains("so the cases do not add up") && !told.contains("totals of xem"), "{told}");
    assert!(told.contains("first 0.000009 XEM, second 0.000009 XEM"), "{told}");
    let earliest = ask(&["--json"]).json();
    assert_eq!(earliest["cases"][1]["totals"][0]["overlap_microxem"], 49);
    assert_eq!(earliest["cases"][1].get("outputs"), None);
    let page = folder.path().join("page.html");
    // Where the earliest keeps its units a report has the totals of each; its picture of accounts has one colour.
    assert_eq!(ask(&["--report", page.to_str().unwrap()]).status, 0);
    let drawn = fs::read_to_string(&page).unwrap();
    assert!(drawn.contains("<b class=\"chip c1\">B</b> second</th><td class=\"amount\">0</td>"));
    assert!(!drawn.contains("legend thefts"));
    fs::remove_file(&page).unwrap();
    let drawn = ask(&["--overlap", "each", "--report", page.to_str().unwrap()]);
    assert_eq!(drawn.status, 2);
    assert!(drawn.err.contains("want --overlap earliest"), "{}", drawn.err);
    assert!(!page.exists());
}

#[test]
fn a_tokens_amounts_are_plain_beneath_a_title_that_says_what_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let list = list(folder.path());
    let ask = |lang: &str| trace(&list, &["--seed", "t:0", "u:0", "--method", "fifo", "--lang", lang]).out;
    let told = ask("en");
    for want in [
        "totals of xem\n",
        "totals of dim:coin, in base units\n",
        "\n  held by accounts     5\n",
        "  3  of 3  stranger",
    ] {
        assert!(told.contains(want), "{want}: {told}");
    }
    assert!(ask("ja").contains("dim:coin（最小単位） の総額"));
}

#[test]
fn poison_names_every_marked_account() {
    let folder = tempfile::tempdir().unwrap();
    let list = list(folder.path());
    let answer = trace(&list, &["--seed", "case=t:0", "--method", "poison", "--json"]).json();
    assert_eq!(answer["marked"], json!({ "exchange": ["case"], "stranger": ["case"], "thief": ["case"] }));
    assert_eq!((&answer["fees_microxem"], &answer["burned_microxem"]), (&Value::Null, &Value::Null));
}

#[test]
fn what_cannot_be_traced_is_said_with_status_2() {
    let folder = tempfile::tempdir().unwrap();
    let list = list(folder.path());
    let check = |more: &[&str], want: &str| {
        let ran = trace(&list, more);
        assert_eq!(ran.status, 2, "{more:?}");
        assert!(ran.err.contains(want), "{} lacks {want}", ran.err);
    };
    check(&["--seed", "x:0", "--method", "fifo"], "seed x:0: there is no such transaction");
    check(&["--seed", "t:1", "--method", "fifo"], "seed t:1: the transaction has no such transfer");
    check(&["--seed", "t", "--method", "fifo"], "want TXID:INDEX or CASE=TXID:INDEX");
    check(&["--seed", "t:0", "--method", "fofi"], "method \"fofi\" is not known");
    check(&["--seed", "t:0", "--method", "fifo", "--index", "dir"], "cannot be used with");
    check(&["--seed", "t:0", "--method", "fifo", "--dust", "1.5"], "want a decimal number");
    let other = run(["trace", "--transfers", &list, "--chain", "xrp", "--seed", "t:0", "--method", "fifo"]);
    assert!(other.err.contains("is a list of xem, want xrp"), "{}", other.err);
    fs::write(folder.path().join("list.jsonl"), LIST.replace("\"9\"", "\"900\"")).unwrap();
    check(
        &["--seed", "t:0", "--method", "fifo"],
        "line 6: thief pays 900 of xem in a transfer 0 and has 100",
    );
}

#[test]
fn a_ledger_is_imported_and_traced() {
    let Some(data) = shared() else { return };
    let ledger = data.join("xrp/xrpljs_fixture_rippled_ledgerFull7501326.json");
    let imported = run(["transfers", "import", "--from", "rippled", ledger.to_str().unwrap()]);
    assert_eq!(imported.status, 0, "{}", imported.err);
    assert!(imported.out.starts_with("{\"transfers\":1,\"chain\":\"xrp\",\"opening\":\"stated\"}\n"));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("xrp.jsonl");
    fs::write(&path, &imported.out).unwrap();
    // What came out of an exchange of assets: the taint of what went in stops there.
    let paid = imported.out.lines().find(|line| line.contains("\"amount\":\"1773564829\"")).unwrap();
    assert!(paid.contains("\"from\":\"exchange:"), "{paid}");
    let paid: Value = serde_json::from_str(paid).unwrap();
    let seed = format!("{}:{}", paid["tx"].as_str().unwrap().to_lowercase(), paid["index"]);
    let args =
        ["trace", "--transfers", path.to_str().unwrap(), "--chain", "xrp", "--method", "haircut", "--json"];
    let answer = run(args.into_iter().chain(["--seed", &seed])).json();
    assert_eq!(answer["stolen_drop"], "1773564829");
    assert_eq!(answer["held_drop"], "1773564829");
    assert_eq!(answer["outputs"][0]["address"], "r2d2iZiCcJmNL6vhUGFjs8U8BuUq6BnmT");
    let document =
        run(["transfers", "import", "--from", "rippled", ledger.to_str().unwrap(), "--json"]).json();
    assert_eq!(document["list"].as_array().unwrap().len() + 1, imported.out.lines().count());
    let nothing = run(["transfers", "import", "--from", "nis", ledger.to_str().unwrap()]);
    assert_eq!(nothing.status, 2, "{}", nothing.out);
}
