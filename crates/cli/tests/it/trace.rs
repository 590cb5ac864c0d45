//! `kuraban trace` on an index made here: the shape that other people's scripts read, totals that add up, clear errors.

use std::{fs, path::Path};

use kuraban_base::Height;
use kuraban_chain::btc::{Address, Network};
use kuraban_sim::economy::{Economy, Shape};
use kuraban_trace::{
    graph::{Graph as _, OutputNum},
    index::{Index, Prepared, Start, Writer},
    taint::outpoint,
};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::run::{Ran, run};

const BLOCKS: u32 = 180;

/// An index of a small economy, with its blocks beside it, and outputs of its middle that are spent.
fn indexed() -> (TempDir, Vec<String>) {
    let mut economy = Economy::new(Shape { block_txs: 10, ..Shape::BTC }, 3);
    let folder = tempfile::tempdir().unwrap();
    let mut writer =
        Writer::create(&folder.path().join("index"), Network::BtcRegtest, Start::GENESIS).unwrap();
    let mut kept = Vec::new();
    for _ in 0..BLOCKS {
        let block = economy.next_block(Vec::new(), 0).unwrap();
        kept.extend(Network::BtcRegtest.magic());
        kept.extend(u32::try_from(block.encode().len()).unwrap().to_le_bytes());
        kept.extend(block.encode());
        writer.append(&Prepared::read(Network::BtcRegtest, block.encode()).unwrap()).unwrap();
    }
    writer.close().unwrap();
    fs::create_dir(folder.path().join("blocks")).unwrap();
    fs::write(folder.path().join("blocks/blk00000.dat"), kept).unwrap();
    let index = Index::open(&folder.path().join("index")).unwrap();
    let first = index.outputs(kuraban_trace::graph::TxNum::new(index.tx_count() / 2)).start;
    let spent = (first..first + 60).map(OutputNum::new).filter(|at| index.spender(*at).is_some());
    let seeds = spent.take(3).map(|at| outpoint(&index, at).to_string()).collect();
    drop(index);
    (folder, seeds)
}

fn traced(folder: &Path, seeds: &[String], more: &[&str]) -> Ran {
    let index = folder.join("index").display().to_string();
    let mut args = vec!["trace", "--index", &index, "--seed"];
    args.extend(seeds.iter().map(String::as_str));
    args.extend(more);
    run(args)
}

fn sum(rows: &Value, key: &str) -> u64 {
    rows.as_array().unwrap().iter().map(|row| row[key].as_u64().unwrap()).sum()
}

#[test]
fn the_json_has_its_shape_and_balances_by_every_method() {
    let (folder, seeds) = indexed();
    assert_eq!(seeds.len(), 3);
    for method in ["poison", "haircut", "fifo", "lifo", "tiho", "dirty-first", "clean-first"] {
        for more in [&[][..], &["--follow-fees"], &["--dust", "2000"], &["--until", "150"]] {
            let ran = traced(folder.path(), &seeds, &[&["--json", "--method", method], more].concat());
            assert_eq!(ran.status, 0, "{}", ran.err);
            let found = ran.json();
            assert_eq!(found["method"], method);
            assert_eq!(found["tip"]["height"], BLOCKS - 1);
            assert_eq!(found["tip"]["hash"].as_str().unwrap().len(), 64);
            let named = |row: &Value| format!("{}:{}", row["txid"].as_str().unwrap(), row["vout"]);
            let shown: Vec<String> = found["seeds"].as_array().unwrap().iter().map(named).collect();
            assert_eq!(shown, seeds);
            assert!(found["transactions_touched"].as_u64().unwrap() > 0);
            for output in found["outputs"].as_array().unwrap() {
                let (tainted, value) = (output["tainted_sat"].as_u64(), output["value_sat"].as_u64());
                assert!(tainted > Some(0) && tainted <= value, "{output}");
                assert!(output["height"].as_u64() < Some(u64::from(BLOCKS)), "{output}");
            }
            let heights: Vec<u64> = found["outputs"]
                .as_array()
                .unwrap()
                .iter()
                .map(|row| row["height"].as_u64().unwrap())
                .collect();
            assert!(heights.is_sorted());
            if method == "poison" {
                assert_eq!((&found["fees_sat"], &found["burned_sat"]), (&Value::Null, &Value::Null));
                continue;
            }
            let places = ["fees_sat", "burned_sat", "stopped_sat", "dust_sat", "shielded_sat"];
            let elsewhere: u64 = places.iter().map(|place| found[place].as_u64().unwrap()).sum();
            let stolen = found["stolen_sat"].as_u64().unwrap();
            assert_eq!(sum(&found["outputs"], "tainted_sat") + elsewhere, stolen, "{method} {more:?}");
        }
    }
}

#[test]
fn methods_are_compared_and_stops_hold() {
    let (folder, seeds) = indexed();
    let found = traced(folder.path(), &seeds[..1], &["--all-methods", "--json"]).json();
    assert_eq!(found["method"], "fifo");
    let comparison = &found["comparison"];
    assert_eq!(comparison["methods"].as_array().unwrap().len(), 7);
    assert_eq!(sum(&comparison["outputs"], "min_sat"), comparison["agreed_sat"].as_u64().unwrap());
    assert!(sum(&comparison["outputs"], "max_sat") >= sum(&found["outputs"], "tainted_sat"));
    // Whoever holds the first tainted output becomes a stop.
    let address = found["outputs"][0]["address"].as_str().unwrap();
    let held = traced(folder.path(), &seeds[..1], &["--method", "fifo", "--stop", address, "--json"]).json();
    assert!(held["stopped_sat"].as_u64().unwrap() > 0);
    assert_eq!(sum(&held["stopped"], "tainted_sat"), held["stopped_sat"].as_u64().unwrap());
    assert_eq!(held["stopped"][0]["address"], address);
    assert_eq!(held["parameters"]["stops"], json!([address]));
}

#[test]
fn people_see_totals_that_add_up() {
    let (folder, seeds) = indexed();
    let ran = traced(folder.path(), &seeds, &["--all-methods", "--method", "haircut"]);
    assert_eq!(ran.status, 0, "{}", ran.err);
    let wants = [
        "haircut on bitcoin-regtest, 3 seed(s)",
        "add up to it, to the unit",
        "the largest first",
        "dirty-first",
    ];
    for want in wants {
        assert!(ran.out.contains(want), "{} lacks {want}", ran.out);
    }
}

#[test]
fn what_cannot_be_traced_ends_with_status_2() {
    let (folder, seeds) = indexed();
    let check = |seed: &str, more: &[&str], want: &str| {
        let ran = traced(folder.path(), &[seed.to_owned()], more);
        assert_eq!(ran.status, 2, "{seed} {more:?}: {}{}", ran.out, ran.err);
        assert!(ran.err.contains(want), "{} lacks {want}", ran.err);
    };
    let fifo = ["--method", "fifo"];
    let unknown = format!("{}:0", "ab".repeat(32));
    check(&unknown, &fifo, "is not in the index");
    let (txid, _) = seeds[0].split_once(':').unwrap();
    check(&format!("{txid}:4000"), &fifo, "4000 never existed, that transaction has");
    check(txid, &fifo, "outpoint has no colon");
    check(&seeds[0], &["--method", "lilo"], "want one of poison, haircut");
    check(&seeds[0], &[], "--method");
    check(&seeds[0], &["--method", "fifo", "--until", "180"], "the index ends at 179");
    check(&seeds[0], &["--method", "fifo", "--until", "0"], "after the last block that counts, 0");
    let elsewhere = "1BoatSLRHtKNngkdXEeobR76b53LETtpyT";
    assert!(Address::parse(Network::BtcMain, elsewhere).is_ok());
    check(&seeds[0], &["--method", "fifo", "--stop", elsewhere], "--stop 1Boat");
    let empty = tempfile::tempdir().unwrap();
    let ran = traced(empty.path(), &seeds, &fifo);
    assert_eq!(ran.status, 2, "{}", ran.err);
    assert!(ran.err.contains("no index"), "{}", ran.err);
}

#[test]
fn a_height_is_the_last_that_counts() {
    let (folder, seeds) = indexed();
    let at = |until: u32| {
        let until = until.to_string();
        let found = traced(folder.path(), &seeds, &["--method", "fifo", "--json", "--until", &until]).json();
        (found["transactions_touched"].as_u64().unwrap(), found["parameters"]["until"].clone())
    };
    let whole = traced(folder.path(), &seeds, &["--method", "fifo", "--json"]).json();
    assert_eq!(at(BLOCKS - 1).0, whole["transactions_touched"].as_u64().unwrap());
    assert!(at(150).0 < at(BLOCKS - 1).0);
    assert_eq!(at(150).1, json!(Height::new(150).blocks()));
}

#[test]
fn a_bundle_is_verified_without_the_index_and_no_byte_of_it_can_change() {
    let (folder, seeds) = indexed();
    let at = |name: &str| folder.path().join(name).display().to_string();
    let (blocks, file) = (at("blocks"), at("theft.bundle"));
    let bundle = ["--bundle", &file, "--blocks", &blocks];
    for method in ["haircut", "lifo", "poison"] {
        let more =
            [&["--json", "--until", "175", "--dust", "1500", "--method", method], &bundle[..]].concat();
        let ran = traced(folder.path(), &seeds, &more);
        assert_eq!(ran.status, 0, "{}", ran.err);
        fs::rename(folder.path().join("index"), folder.path().join("away")).unwrap();
        let checked = run(["trace", "verify", &file, "--json"]);
        fs::rename(folder.path().join("away"), folder.path().join("index")).unwrap();
        assert_eq!(checked.status, 0, "{}{}", checked.out, checked.err);
        assert_eq!((&checked.json()["ok"], &checked.json()["answer"]), (&json!(true), &ran.json()));
    }
    let whole = fs::read(&file).unwrap();
    for place in (0..whole.len()).step_by(whole.len() / 60) {
        let mut bytes = whole.clone();
        bytes[place] ^= 1;
        fs::write(&file, bytes).unwrap();
        let checked = run(["trace", "verify", &file, "--json"]);
        assert_eq!((checked.status, &checked.json()["ok"]), (1, &json!(false)), "byte {place}");
    }
    let fees = traced(folder.path(), &seeds, &[&["--method", "fifo", "--follow-fees"], &bundle[..]].concat());
    assert_eq!(fees.status, 2, "{}", fees.err);
    assert!(fees.err.contains("a bundle cannot follow fees"), "{}", fees.err);
    let none =
        traced(folder.path(), &seeds, &["--method", "fifo", "--bundle", &file, "--blocks", &at("index")]);
    assert_eq!(none.status, 2, "{}", none.err);
    assert_eq!(run(["trace"]).status, 2);
    assert_eq!(run(["trace", "verify", &at("nothing")]).status, 2);
}

#[test]
fn intervals_hold_what_haircut_finds() {
    let (folder, seeds) = indexed();
    let ran = traced(folder.path(), &seeds, &["--json", "--method", "haircut", "--intervals"]);
    assert_eq!(ran.status, 0, "{}", ran.err);
    let found = ran.json();
    let rows = found["intervals"]["outputs"].as_array().unwrap();
    let outputs = found["outputs"].as_array().unwrap();
    assert!(!outputs.is_empty() && rows.len() >= outputs.len());
    for output in outputs {
        let same = |row: &&Value| row["txid"] == output["txid"] && row["vout"] == output["vout"];
        let row = rows.iter().find(same).unwrap();
        let (least, sat) = (row["least_sat"].as_u64().unwrap(), output["tainted_sat"].as_u64().unwrap());
        assert!(least <= sat && sat <= row["most_sat"].as_u64().unwrap(), "{row} {output}");
        assert_eq!((&row["address"], &row["value_sat"]), (&output["address"], &output["value_sat"]));
    }
    let certain = found["intervals"]["certain_sat"].as_u64().unwrap();
    assert_eq!(certain, sum(&found["intervals"]["outputs"], "least_sat"));
    let ran = traced(folder.path(), &seeds, &["--method", "haircut", "--intervals"]);
    assert!(ran.out.contains(" mixes, ") && ran.out.contains(" is certain"), "{}", ran.out);
    let ran = traced(folder.path(), &seeds, &["--method", "haircut", "--intervals", "--dust", "5"]);
    assert_eq!(ran.status, 2);
}

#[test]
fn origins_add_up_to_the_output() {
    let (folder, seeds) = indexed();
    let index = folder.path().join("index").display().to_string();
    for method in ["fifo", "lifo", "haircut"] {
        for more in [&[][..], &["--hops", "2"], &["--since", "50"]] {
            let args = ["trace", "origins", &seeds[0], "--index", &index, "--method", method, "--json"];
            let ran = run(args.iter().chain(more).copied());
            assert_eq!(ran.status, 0, "{}", ran.err);
            let found = ran.json();
            let total = sum(&found["minted"], "amount_sat") + sum(&found["sources"], "amount_sat");
            assert_eq!(Some(total), found["value_sat"].as_u64(), "{method} {more:?}");
            assert_eq!(format!("{}:{}", found["txid"].as_str().unwrap(), found["vout"]), seeds[0]);
            let heights =
                found["sources"].as_array().unwrap().iter().map(|row| row["height"].as_u64().unwrap());
            assert_eq!(found["sources"].as_array().unwrap().is_empty(), more.is_empty(), "{found}");
            assert!(more != ["--since", "50"] || heights.max().unwrap() < 50, "{found}");
        }
    }
    let ran = run(["trace", "origins", &seeds[0], "--index", &index, "--method", "fifo"]);
    assert!(ran.out.contains("new in block") && ran.out.contains("were looked at"), "{}", ran.out);
    let ran = run(["trace", "origins", &seeds[0], "--index", &index, "--method", "poison"]);
    assert_eq!(ran.status, 2);
}

/// A case's file as the role chase reads it.
fn case_file(folder: &Path, id: &str, seeds: &[(&str, u64)]) -> String {
    let path = folder.join(format!("{id}.toml"));
    let rows: Vec<String> =
        seeds.iter().map(|(seed, units)| format!("{{ output = \"{seed}\", units = {units} }}")).collect();
    let text = format!(
        "id = \"{id}\"\nlabel = \"stolen\"\nconcept = \"service_hack\"\nsource = \"https://example.org/n\"\n\
         methods = [\"haircut\"]\nseeds = [{}]\n",
        rows.join(", ")
    );
    fs::write(&path, text).unwrap();
    path.display().to_string()
}

fn values(found: &Value) -> std::collections::BTreeMap<String, u64> {
    let named = |row: &Value| format!("{}:{}", row["txid"].as_str().unwrap(), row["vout"]);
    let rows = found["seeds"].as_array().unwrap();
    rows.iter().map(|row| (named(row), row["value_sat"].as_u64().unwrap())).collect()
}

/// Whether a case's own totals account for what was stolen in it.
fn balances(case: &Value) -> bool {
    let of = |key: &str| case[key].as_u64().unwrap();
    let places = ["unspent_sat", "fees_sat", "burned_sat", "stopped_sat", "dust_sat", "shielded_sat"];
    places.map(of).iter().sum::<u64>() == of("stolen_sat")
}

/// An output in which the first theft has units at the end, claimed by a second.
fn claimed_later(folder: &Path, seeds: &[String]) -> String {
    let plain = traced(folder, seeds, &["--method", "haircut", "--json"]).json();
    let later = &plain["outputs"][0];
    format!("new={}:{}", later["txid"].as_str().unwrap(), later["vout"])
}

#[test]
fn several_cases_balance_each_and_the_earliest_keeps_what_two_claim() {
    let (folder, seeds) = indexed();
    let plain = traced(folder.path(), &seeds, &["--method", "haircut", "--json"]).json();
    assert!(plain.get("cases").is_none() && plain["seeds"][0].get("case").is_none(), "{plain}");
    let named =
        [format!("old={}", seeds[0]), format!("old={}", seeds[1]), claimed_later(folder.path(), &seeds)];
    let later = named[2].strip_prefix("new=").unwrap().to_owned();
    for method in ["haircut", "fifo", "tiho"] {
        let ask = |more: &[&str]| {
            let ran = traced(folder.path(), &named, &[&["--method", method, "--json"], more].concat());
            assert_eq!(ran.status, 0, "{}", ran.err);
            ran.json()
        };
        let alone = |seeds: &[String]| traced(folder.path(), seeds, &["--method", method, "--json"]).json();
        for (overlap, more) in [("earliest", &[][..]), ("each", &["--overlap", "each"])] {
            let found = ask(more);
            let cases = found["cases"].as_array().unwrap();
            let names: Vec<&str> = cases.iter().map(|case| case["case"].as_str().unwrap()).collect();
            assert_eq!(names, ["old", "new"]);
            assert!(cases.iter().all(balances), "{method} {overlap}: {cases:?}");
            assert_eq!(sum(&found["cases"], "stolen_sat"), found["stolen_sat"].as_u64().unwrap());
            // What is found for a case depends on no later one.
            let first = alone(&seeds[..2]);
            for key in ["stolen_sat", "unspent_sat", "fees_sat", "burned_sat"] {
                assert_eq!(cases[0][key], first[key], "{method} {overlap} {key}");
            }
            for output in found["outputs"].as_array().unwrap() {
                let by_case: u64 =
                    output["cases"].as_object().unwrap().values().map(|sat| sat.as_u64().unwrap()).sum();
                let tainted = output["tainted_sat"].as_u64().unwrap();
                let value = output["value_sat"].as_u64().unwrap();
                assert_eq!(tainted, by_case.min(value), "{output}");
                assert!(overlap == "each" || by_case <= value, "{output}");
            }
        }
        let (earliest, each) = (ask(&[]), ask(&["--overlap", "each"]));
        let second = alone(core::slice::from_ref(&later));
        assert_eq!(each["cases"][1]["unspent_sat"], second["unspent_sat"]);
        assert_eq!(each["overlaps"], json!([]));
        let claimed = sum(&earliest["overlaps"], "amount_sat");
        let (less, whole) = (&earliest["cases"][1]["stolen_sat"], &each["cases"][1]["stolen_sat"]);
        assert_eq!(less.as_u64().unwrap() + claimed, whole.as_u64().unwrap(), "{method}");
        // Haircut leaves stolen units in every output that it reaches.
        assert!(method != "haircut" || claimed > 0, "{earliest}");
    }
}

#[test]
fn people_and_packs_are_told_which_case_units_are_of() {
    let (folder, seeds) = indexed();
    let named =
        [format!("old={}", seeds[0]), format!("old={}", seeds[1]), claimed_later(folder.path(), &seeds)];
    let file = folder.path().join("both.json");
    let both = traced(folder.path(), &named, &["--method", "haircut", "--json"]);
    fs::write(&file, &both.out).unwrap();
    let file = file.display().to_string();
    let made = |case: &str| {
        let args = ["--file", &file, "--case", case, "--source", "https://example.org", "--creator", "C"];
        run(["tags", "make", "--chain", "btc", "--json"].iter().chain(&args).copied())
    };
    for case in both.json()["cases"].as_array().unwrap() {
        let ran = made(case["case"].as_str().unwrap());
        // Regtest's addresses are no mainnet ones; which outputs are looked at is seen before that.
        let first = both.json()["outputs"]
            .as_array()
            .unwrap()
            .iter()
            .position(|output| output["cases"].get(case["case"].as_str().unwrap()).is_some());
        let want = first.map(|place| format!("outputs[{place}]")).unwrap_or_default();
        assert!(ran.err.contains(&want), "{case}: {}", ran.err);
    }
    let ran = made("third");
    assert!(ran.status == 2 && ran.err.contains("want one of new, old"), "{}", ran.err);
    let ran = traced(folder.path(), &named, &["--method", "haircut"]);
    for want in ["case old, 2 seed(s)", "case new, 1 seed(s)", "claimed by new, stay with old", "old "] {
        assert!(ran.out.contains(want), "{} lacks {want}", ran.out);
    }
    let ran = traced(folder.path(), &named, &["--method", "haircut", "--lang", "ja"]);
    for want in ["事件 old、起点 2 件", "new が主張、old に帰属", "盗難総額"] {
        assert!(ran.out.contains(want), "{} lacks {want}", ran.out);
    }
}

#[test]
fn cases_are_read_from_the_files_of_the_chase() {
    let (folder, seeds) = indexed();
    let units = values(&traced(folder.path(), &seeds, &["--method", "fifo", "--json"]).json());
    let cases = folder.path().join("cases");
    fs::create_dir(&cases).unwrap();
    let unit = |place: usize| (seeds[place].as_str(), units[&seeds[place]]);
    case_file(&cases, "zaif", &[unit(1), unit(2)]);
    let one = case_file(&cases, "mtgox", &[unit(0)]);
    let index = folder.path().join("index").display().to_string();
    let from = |paths: &[&str], more: &[&str]| {
        let head = ["trace", "--index", &index, "--method", "fifo", "--json", "--cases"];
        run(head.iter().chain(paths).chain(more).copied())
    };
    let at = cases.display().to_string();
    let ran = from(&[&at], &[]);
    assert_eq!(ran.status, 0, "{}", ran.err);
    let found = ran.json();
    assert_eq!(found["cases"].as_array().unwrap().len(), 2);
    assert_eq!(values(&found), units);
    let by_seeds: Vec<String> =
        [format!("mtgox={}", seeds[0]), format!("zaif={}", seeds[1]), format!("zaif={}", seeds[2])].into();
    assert_eq!(found, traced(folder.path(), &by_seeds, &["--method", "fifo", "--json"]).json());
    let check = |paths: &[&str], more: &[&str], want: &str| {
        let ran = from(paths, more);
        assert_eq!(ran.status, 2, "{paths:?} {more:?}: {}{}", ran.out, ran.err);
        assert!(ran.err.contains(want), "{} lacks {want}", ran.err);
    };
    check(&[&at, &one], &[], "case mtgox was given already");
    check(&[&at], &["--overlap", "each", "--report", "r.html"], "a picture shows every unit once");
    let blocks = folder.path().join("blocks").display().to_string();
    check(&[&at], &["--bundle", "b", "--blocks", &blocks], "a bundle proves one case, and 2 were given");
    check(&[&at], &["--overlap", "latest"], "[possible values: earliest, each]");
    let (other, units) = (tempfile::tempdir().unwrap(), units[&seeds[0]]);
    check(&[&other.path().display().to_string()], &[], "has no file whose name ends in .toml");
    let wrong = case_file(other.path(), "x", &[(&seeds[0], units + 1)]);
    check(&[&wrong], &[], &format!("has {} base units, the index has {units}", units + 1));
    check(&[&case_file(other.path(), "none", &[])], &[], "has 0 seeds, want 1 to 1000");
    check(&[&case_file(other.path(), "odd", &[("ab", 1)])], &[], "seeds: ab");
    fs::write(other.path().join("bad.toml"), "id = 7").unwrap();
    check(
        &[&other.path().join("bad.toml").display().to_string()],
        &[],
        "want a case as the role chase reads it",
    );
    check(&[&other.path().join("absent.toml").display().to_string()], &[], "could not be opened");
    let empty = format!("={}", seeds[0]);
    let ran = traced(folder.path(), &[empty], &["--method", "fifo"]);
    assert!(ran.status == 2 && ran.err.contains("case id is empty"), "{}", ran.err);
}
