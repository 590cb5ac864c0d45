//! `kuraban tags` on packs in circulation and on made-up ones.

use std::{fs, path::Path};

use serde_json::{Value, json};

use crate::run::{Ran, run, shared};

const ZAIF: &str = "1FmwHh6pgkf4meCMoqo8fHH3GNRF571f9w";

fn tags(args: &[&str]) -> Ran {
    run(["tags"].iter().chain(args))
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn packs_in_circulation_are_imported_and_screened() {
    let Some(data) = shared() else { return };
    let folder = tempfile::tempdir().unwrap();
    let (packs, store) = (data.join("tagpacks"), folder.path().join("store"));
    let checked = tags(&["verify", "--json", text(&packs)]);
    assert_eq!(checked.status, 1);
    let found = checked.json();
    assert_eq!((&found["ok"], found["packs"].as_array().unwrap().len()), (&json!(false), 18));
    let imported = tags(&["import", "--json", "--store", text(&store), text(&packs)]);
    assert_eq!((imported.status, &imported.json()["tags"]), (0, &json!(11_322)));
    // Again, it is the same.
    assert_eq!(tags(&["import", "--json", "--store", text(&store), text(&packs)]).json()["tags"], 11_322);
    let screen = |chain: &str, address: &str| {
        let ran = tags(&["screen", "--json", "--store", text(&store), "--chain", chain, address]);
        assert_eq!(ran.status, 0, "{}", ran.err);
        ran.json()
    };
    let thief = screen("btc", ZAIF);
    assert_eq!((&thief["chain"], &thief["address"]), (&json!("btc"), &json!(ZAIF)));
    let hit = &thief["hits"][0];
    assert_eq!((&hit["confidence"], &hit["confidence_id"]), (&json!(20), &json!("web_crawl")));
    assert!(hit["source"].as_str().unwrap().starts_with("http"));
    assert!(hit["category"].is_string() && hit["label"].is_string());
    // Small letters and capitals are one address.
    let ronin = "0x098B716B8Aaf21512996dC57EB0615e2383E2f96";
    let [one, other] =
        [ronin.to_owned(), ronin.to_lowercase()].map(|address| screen("eth", &address)["hits"].clone());
    assert_eq!(one, other);
    assert!(one.as_array().unwrap().len() > 1);
    assert_eq!(screen("btc", "1BoatSLRHtKNngkdXEeobR76b53LETtpyT")["hits"], json!([]));
}

#[test]
fn a_slip_in_the_chains_name_makes_no_address_clean() {
    let folder = tempfile::tempdir().unwrap();
    let store = tainted(folder.path());
    let check = |chain: &str, address: &str, want: i32| {
        let ran = tags(&["screen", "--store", text(&store), "--chain", chain, address]);
        assert_eq!(ran.status, want, "{chain}: {}{}", ran.out, ran.err);
        assert_eq!(ran.err.contains("no tag of the store is on it"), want == 2, "{chain}: {}", ran.err);
    };
    check("btc", ZAIF, 0);
    check("BTC", ZAIF, 0);
    check("bitcoin", ZAIF, 2);
    check("xbt", ZAIF, 2);
    // No tag is on it, and its addresses' form is known.
    check("ltc", "ltc1qw508d6qejxtdg4y5r3zarvary0c5xw7kgmn4n9", 0);
}

/// A store with one tag of taint that expires at 2,000 ms.
fn tainted(folder: &Path) -> std::path::PathBuf {
    let pack = folder.join("thefts.yaml");
    let context = json!({ "taint": {
        "version": 1, "case": "zaif-2018", "method": "fifo", "amount": "199000000", "unit": "sat",
        "outpoint": format!("{}:1", "c3".repeat(32)), "expires_ms": 2000,
    } });
    let tag = format!(
        "- {{address: {ZAIF}, label: thief, source: s, currency: BTC, confidence: forensic, tag_type: event, category: hacking, context: '{context}'}}"
    );
    fs::write(&pack, format!("title: t\ncreator: c\ntags:\n{tag}\n")).unwrap();
    let store = folder.join("store");
    let ran = tags(&["import", "--store", text(&store), text(&pack)]);
    assert_eq!(ran.status, 0, "{}", ran.err);
    store
}

#[test]
fn taint_is_shown_until_it_expires() {
    let folder = tempfile::tempdir().unwrap();
    let store = tainted(folder.path());
    let hits = |now: &str, more: &[&str]| {
        let args = ["screen", "--json", "--store", text(&store), "--chain", "btc", "--now", now, ZAIF];
        tags(&[&args[..], more].concat()).json()["hits"].clone()
    };
    let hit = &hits("1999", &[])[0];
    assert_eq!(
        (&hit["tainted_sat"], &hit["case"], &hit["method"]),
        (&json!(199_000_000), &json!("zaif-2018"), &json!("fifo"))
    );
    assert_eq!(hits("2000", &[]), json!([]));
    assert_eq!(&hits("2000", &["--all"])[0]["expires_ms"], 2000);
}

#[test]
fn a_file_is_screened_line_by_line_and_nothing_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let store = tainted(folder.path());
    let list = folder.path().join("addresses");
    fs::write(&list, format!("{ZAIF}\n\n{ZAIF}x\n1BoatSLRHtKNngkdXEeobR76b53LETtpyT\n")).unwrap();
    let args = ["screen", "--store", text(&store), "--chain", "btc", "--now", "0", "--file", text(&list)];
    let ran = tags(&args);
    assert_eq!(ran.status, 2);
    let lines: Vec<Value> = ran.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 3);
    assert_eq!(lines[0]["hits"].as_array().unwrap().len(), 1);
    assert_eq!(lines[1]["line"], 3);
    assert!(lines[1]["error"].as_str().unwrap().contains("checksum"));
    assert_eq!(lines[2]["hits"], json!([]));
    assert!(ran.err.contains("1 of 3 lines"));
}

#[test]
fn tags_leave_in_every_format() {
    let folder = tempfile::tempdir().unwrap();
    let store = tainted(folder.path());
    let export = |format: &str| {
        let ran = tags(&["export", "--store", text(&store), "--now", "0", "--format", format]);
        assert_eq!(ran.status, 0, "{}", ran.err);
        ran.out
    };
    let label: Value = serde_json::from_str(&export("bip329")).unwrap();
    assert_eq!((&label["type"], &label["spendable"]), (&json!("output"), &json!(false)));
    let bundle: Value = serde_json::from_str(&export("stix")).unwrap();
    assert_eq!(bundle["objects"][0]["type"], "cryptocurrency-wallet");
    let misp: Value = serde_json::from_str(&export("misp")).unwrap();
    assert_eq!(misp["Object"][0]["name"], "coin-address");
    let again = folder.path().join("again.yaml");
    fs::write(&again, export("tagpack")).unwrap();
    let checked = tags(&["verify", "--json", text(&again)]);
    assert_eq!((checked.status, &checked.json()["packs"][0]["tags"]), (0, &json!(1)));
}

#[test]
fn what_cannot_be_used_leaves_the_store_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let store = tainted(folder.path());
    let file = store.join("tags.v1");
    let before = fs::read(&file).unwrap();
    let check = |name: &str, content: &str, status: i32, want: &str| {
        let path = folder.path().join(name);
        fs::write(&path, content).unwrap();
        let ran = tags(&["import", "--store", text(&store), text(&path)]);
        assert_eq!(ran.status, status, "{name}: {}{}", ran.out, ran.err);
        assert!(ran.err.contains(want), "{name}: {} lacks {want}", ran.err);
        assert_eq!(fs::read(&file).unwrap(), before, "{name}");
    };
    check("a.yaml", "title: [", 2, "not YAML");
    check("b.yaml", "title: t\n", 2, "creator: is missing");
    check("c.yaml", "header: !include ../../x.yaml\ntags: [{}]\n", 2, "want a file's name alone");
    check("d.txt", "x", 2, "nor as a list of OFAC's");
    check("addresses.txt", "x", 2, "nor as a list of OFAC's");
    fs::write(&file, &before[..before.len() - 1]).unwrap();
    let ran = tags(&["screen", "--store", text(&store), "--chain", "btc", ZAIF]);
    assert_eq!(ran.status, 3);
    assert!(ran.err.contains("its head says"), "{}", ran.err);
    let ran = tags(&["screen", "--store", "/does/not/exist", "--chain", "btc", ZAIF]);
    assert_eq!(ran.status, 2);
    assert!(ran.err.contains("holds no store of tags, want a folder that"), "{}", ran.err);
}

#[test]
fn what_a_trace_found_becomes_a_signed_pack_and_can_be_taken_back() {
    let folder = tempfile::tempdir().unwrap();
    let (trace, pack, key) =
        (folder.path().join("trace.json"), folder.path().join("pack.yaml"), folder.path().join("key"));
    let store = folder.path().join("store");
    let ssh = ["-q", "-t", "ed25519", "-N", "", "-f", text(&key)];
    assert!(std::process::Command::new("ssh-keygen").args(ssh).status().unwrap().success());
    let output = |vout: u32| json!({ "txid": "c3".repeat(32), "vout": vout, "address": ZAIF, "tainted_sat": 5 + vout });
    let bare = json!({ "txid": "c4".repeat(32), "vout": 0, "tainted_sat": 9 });
    let found = json!({ "method": "fifo", "seeds": [], "outputs": [output(0), output(1), bare] });
    fs::write(&trace, found.to_string()).unwrap();
    let make = |more: &[&str]| {
        let args = ["make", "--chain", "btc", "--case", "zaif-2018", "--source", "s", "--creator", "c"];
        let ran =
            tags(&[&args[..], &["--file", text(&trace), "--key", text(&key), "--now", "7"], more].concat());
        assert_eq!(ran.status, 0, "{}", ran.err);
        fs::write(&pack, &ran.out).unwrap();
        let imported = tags(&["import", "--json", "--store", text(&store), text(&pack)]);
        assert_eq!((imported.status, &imported.json()["tags"]), (0, &json!(3)));
    };
    let hits = |subject: &str, more: &[&str]| {
        let args = ["screen", "--json", "--store", text(&store), "--chain", "btc", "--now", "8", subject];
        tags(&[&args[..], more].concat()).json()["hits"].as_array().unwrap().clone()
    };
    make(&[]);
    let mut amounts: Vec<_> = hits(ZAIF, &[]).iter().map(|hit| hit["tainted_sat"].clone()).collect();
    amounts.sort_by_key(|amount| amount.as_u64());
    assert_eq!(amounts, [5, 6]);
    let by_id = hits(&"c4".repeat(32), &[]);
    assert_eq!((&by_id[0]["case"], &by_id[0]["subject"]), (&json!("zaif-2018"), &json!("tx")));
    assert_eq!(by_id[0]["signer"].as_str().unwrap().len(), 64);
    make(&["--revoke", "appeal 12"]);
    assert!(hits(ZAIF, &[]).is_empty());
    assert_eq!(hits(ZAIF, &["--all"])[0]["revoked"], json!({ "at_ms": 7, "reason": "appeal 12" }));
    fs::write(&trace, found.to_string().replace("fifo", "guess")).unwrap();
    let args =
        ["make", "--chain", "btc", "--case", "x", "--source", "s", "--creator", "c", "--file", text(&trace)];
    let ran = tags(&args);
    assert_eq!(ran.status, 2);
    assert!(ran.err.contains("outputs[0]") && ran.err.contains("taint.method"), "{}", ran.err);
}

#[test]
fn actors_are_checked_and_are_no_tags() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("some.actorpack.yaml");
    let actor = "{id: zaif, uri: u, label: Zaif, lastmod: 2023-01-01, categories: [exchange]}";
    let check = |actors: &str, status: i32, read: u64| {
        fs::write(&path, format!("title: t\ncreator: c\nactors:\n{actors}")).unwrap();
        let ran = tags(&["verify", "--json", text(folder.path())]);
        assert_eq!(ran.status, status, "{}", ran.err);
        assert_eq!(ran.json()["actor_packs"][0]["actors"], read);
    };
    check(&format!("- {actor}\n"), 0, 1);
    check(&format!("- {actor}\n- {actor}\n"), 1, 1);
    let ran = tags(&["import", "--store", text(&folder.path().join("store")), text(&path)]);
    assert_eq!(ran.status, 2);
    assert!(ran.err.contains("actors alone"), "{}", ran.err);
}

#[test]
fn a_list_of_sanctioned_addresses_is_a_pack() {
    let folder = tempfile::tempdir().unwrap();
    let list = folder.path().join("sanctioned_addresses_XBT.txt");
    fs::write(&list, format!("{ZAIF}\n")).unwrap();
    let store = folder.path().join("store");
    assert_eq!(tags(&["import", "--store", text(&store), text(folder.path())]).status, 0);
    let ran = tags(&["screen", "--json", "--store", text(&store), "--chain", "btc", ZAIF]);
    let hit = &ran.json()["hits"][0];
    assert_eq!((&hit["category"], &hit["confidence"]), (&json!("sanction"), &json!(60)));
}
