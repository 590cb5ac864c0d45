//! Packs in circulation, every rule of the schema, the store and its damage, and the ways out.

use std::{collections::BTreeMap, fs};

use ed25519_dalek::SigningKey;
use kuraban_trace::tags::{
    Pack, Store, StoreError, SubjectKind, Taint, export,
    pack::write,
    store::{Builder, subject},
};
use serde_json::{Value, json};

use crate::corpus;

fn parse(text: &str) -> Pack {
    Pack::parse(text, |name| Err(format!("there is no {name} here"))).unwrap()
}

#[test]
fn packs_in_circulation_are_read_and_what_is_bad_is_named() {
    let Some(data) = corpus::shared() else {
        println!("skipped: there is no shared data");
        return;
    };
    let mut tags = BTreeMap::new();
    let mut rejects = Vec::new();
    let mut files: Vec<_> =
        fs::read_dir(data.join("tagpacks")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    for path in files.iter().filter(|path| path.extension().is_some_and(|kind| kind == "yaml")) {
        let name = path.file_stem().unwrap().to_str().unwrap().trim_start_matches("graphsense_").to_owned();
        let pack = parse(&fs::read_to_string(path).unwrap());
        rejects.extend(pack.rejects.iter().map(|reject| {
            println!("{name} line {}: {}: {}", reject.line, reject.subject, reject.reason);
            (name.clone(), reject.line)
        }));
        println!("{name}: {} tags, notes {:?}", pack.tags.len(), pack.notes);
        // Written and read again it is the same.
        let again = parse(&write(&pack.title, &pack.creator, &pack.tags));
        assert_eq!(again.tags, pack.tags, "{name}");
        assert!(again.rejects.is_empty(), "{name}");
        tags.insert(name, pack.tags.len());
    }
    assert_eq!((tags.len(), tags.values().sum::<usize>()), (18, 11_322));
    // Two addresses whose capitals are wrong, and one of TRON that the pack takes for Bitcoin's.
    let cloud = "etherscan-label-word-cloud".to_owned();
    assert_eq!(rejects, [(cloud.clone(), 15_954), (cloud, 16_198), ("ofac".to_owned(), 1_069)]);
}

const ZAIF: &str = "1FmwHh6pgkf4meCMoqo8fHH3GNRF571f9w";

/// A pack of one tag with these fields over those that a tag needs.
fn one(header: &str, tag: &str) -> String {
    format!(
        "title: t\ncreator: c\n{header}\ntags:\n- {{address: {ZAIF}, label: l, source: s, currency: BTC, confidence: forensic}}\n{tag}\n"
    )
}

#[test]
fn a_pack_without_its_header_is_none() {
    let check = |text: &str, want: &str| {
        let error = Pack::parse(text, |name| Err(format!("no {name}"))).unwrap_err().to_string();
        assert!(error.contains(want), "{text}: {error}");
    };
    check("title: t\ntags: []\n", "creator: is missing");
    check("title: t\ncreator: c\n", "tags: is missing");
    check("title: t\ncreator: c\ntags: []\n", "tags: has 0 tags");
    check("title: t\ncreator: c\ntags: x\n", "line 3: tags: is text, want a list");
    check("title: ''\ncreator: c\ntags: [{}]\n", "title: is empty");
    check("title: \"a\\0\"\ncreator: c\ntags: [{}]\n", "title: holds a NUL character");
    check("title: None\ncreator: c\ntags: [{}]\n", "title: is empty");
    check("title: t\ncreator: c\nother: 1\ntags: [{}]\n", "line 3: other: is no field of a pack");
    check("title: t\ntitle: t\ncreator: c\ntags: [{}]\n", "line 2: key \"title\"");
    check("header: !include header.yaml\ntags: [{}]\n", "no header.yaml");
    check(
        "header: {title: t, creator: c}\ntitle: t\ntags: [{}]\n",
        "title: stands in the pack and in its header",
    );
    check("[1]\n", "pack: is a list, want a map");
}

#[test]
fn a_header_is_inherited_from_wherever_it_stands() {
    let tags =
        format!("tags:\n- address: {ZAIF}\n  label: own\n- address: 1N4Gz8QqVs3yXfKos46G8JJwW8Mpcb41YJ\n");
    let fields = "title: t\ncreator: c\nlabel: l\nsource: s\ncurrency: btc\nconfidence: forensic\n";
    let plain = parse(&format!("{fields}{tags}"));
    assert_eq!(plain.tags.iter().map(|tag| tag.label.as_str()).collect::<Vec<_>>(), ["own", "l"]);
    assert!(plain.tags.iter().all(|tag| tag.currency == "BTC" && tag.network == "BTC"));
    let indented = fields.lines().map(|line| format!("  {line}\n")).collect::<String>();
    assert_eq!(parse(&format!("header:\n{indented}{tags}")).tags, plain.tags);
    let included = Pack::parse(&format!("header: !include header.yaml\n{tags}"), |name| {
        assert_eq!(name, "header.yaml");
        Ok(fields.to_owned())
    });
    assert_eq!(included.unwrap().tags, plain.tags);
}

#[test]
fn a_tag_that_cannot_be_used_is_rejected_with_its_line_and_reason() {
    let check = |tag: &str, want: &str| {
        let pack = parse(&one(
            "",
            &format!("- {{label: m, source: s, currency: BTC, confidence: forensic, {tag}}}"),
        ));
        assert_eq!(pack.tags.len(), 1, "{tag}");
        let [reject] = pack.rejects.as_slice() else { panic!("{tag}: {pack:?}") };
        assert_eq!(reject.line, 6, "{tag}");
        assert!(reject.reason.contains(want), "{tag}: {}", reject.reason);
    };
    check("actor: x", "neither address nor tx_hash");
    check(&format!("address: {ZAIF}, tx_hash: {}", "0".repeat(64)), "an address and a tx_hash");
    check(&format!("address: {ZAIF}x"), "address: checksum");
    check("tx_hash: 00", "32 bytes");
    check(&format!("address: {ZAIF}, other: 1"), "other: is no field of a tag");
    check(&format!("address: {ZAIF}, actor: ''"), "actor: is empty");
    check(&format!("address: {ZAIF}, actor: ~"), "actor: is empty");
    check(&format!("address: {ZAIF}, actor: [a]"), "actor: is a list, want text");
    check(&format!("address: {ZAIF}, category: thief"), "category: \"thief\" is no concept");
    check(&format!("address: {ZAIF}, concepts: [hacking, thief]"), "concepts: \"thief\" is no concept");
    check(&format!("address: {ZAIF}, concepts: hacking"), "concepts: is text, want a list");
    check(&format!("address: {ZAIF}, tag_type: x"), "tag_type: \"x\"");
    check(&format!("address: {ZAIF}, is_cluster_definer: maybe"), "want true or false");
    check(&format!("address: {ZAIF}, lastmod: yesterday"), "lastmod: is \"yesterday\"");
    check(&format!("address: {ZAIF}, lastmod: 2018-13-01"), "lastmod");
    check(&format!("address: {ZAIF}, context: nothing"), "context: is not JSON");
    check(&format!("address: {ZAIF}, context: '{{\"taint\":{{}}}}'"), "context: taint.version: want 1");
    let needs = parse(&one("", &format!("- {{address: {ZAIF}, label: m, currency: BTC}}\n- x")));
    let reasons: Vec<_> = needs.rejects.iter().map(|reject| reject.reason.as_str()).collect();
    assert_eq!(reasons, ["source: is missing", "is text, want a map"]);
    let level = parse(&one(
        "",
        &format!("- {{address: {ZAIF}, label: m, source: s, currency: BTC, confidence: sure}}"),
    ));
    assert!(level.rejects[0].reason.contains("confidence: \"sure\" is no level"));
}

#[test]
fn what_is_said_twice_is_dropped_and_what_becomes_the_same_collides() {
    let thief = "1N4Gz8QqVs3yXfKos46G8JJwW8Mpcb41YJ";
    let cash = "qrn0jwaq3at5hhxsne8gmg5uemudl57r05pdzu2nyd";
    let tag = |address: &str, label: &str| format!("- {{address: '{address}', label: {label}}}\n");
    let head = "title: t\ncreator: c\nsource: s\ncurrency: BCH\nconfidence: forensic\ntags:\n";
    let check = |tags: &[String], kept: usize, rejected: &[usize], dropped: usize| {
        let pack = parse(&format!("{head}{}", tags.concat()));
        assert_eq!(pack.tags.len(), kept, "{tags:?}");
        assert_eq!(pack.rejects.iter().map(|reject| reject.line).collect::<Vec<_>>(), rejected, "{tags:?}");
        let note = pack.notes.0.get("repeats another tag and is dropped");
        assert_eq!(note.map_or(0, |note| note.0), dropped, "{tags:?}");
    };
    check(&[tag(thief, "a"), tag(thief, "b")], 2, &[], 0);
    check(&[tag(thief, "a"), tag(thief, "A")], 1, &[], 1);
    check(&[tag(thief, "a"), tag(cash, "a")], 1, &[8], 0);
    check(&[tag(thief, "a"), tag(cash, "b"), tag(&cash.to_uppercase(), "b")], 2, &[], 1);
}

fn tainted() -> Taint {
    Taint {
        case: "zaif-2018".to_owned(),
        method: "fifo".to_owned(),
        amount: 199_000_000,
        most: None,
        unit: "sat".to_owned(),
        outpoint: Some(format!("{}:1", "c3".repeat(32))),
        expires_ms: Some(2_000),
        revoked: None,
        sequence: Some(7),
        signature: None,
    }
}

fn with_context(context: &Value) -> String {
    one(
        "",
        &format!(
            "- {{address: 1N4Gz8QqVs3yXfKos46G8JJwW8Mpcb41YJ, label: stolen, source: s, currency: BTC, tag_type: event, context: '{context}'}}"
        ),
    )
}

#[test]
fn taint_stands_in_the_context_of_a_pack_and_its_signature_binds_it() {
    let mut taint = tainted();
    let tag = parse(&with_context(&taint.to_context())).tags.pop().unwrap();
    assert_eq!(tag.taint.as_ref(), Some(&taint));
    assert_eq!(taint.signer(&tag), None);
    let secret = SigningKey::from_bytes(&[7; 32]);
    taint.sign(&tag, &secret);
    let signed = parse(&with_context(&taint.to_context())).tags.pop().unwrap();
    assert_eq!(signed.taint.as_ref().unwrap().signer(&signed), Some(secret.verifying_key().to_bytes()));
    // On another subject, with another amount, or taken back, it is not what was signed.
    let other = parse(&one("", "")).tags.pop().unwrap();
    assert_eq!(taint.signer(&other), None);
    let changed = Taint { amount: 199_000_001, ..taint.clone() };
    assert_eq!(changed.signer(&signed), None);
    let revoked = Taint { revoked: Some((1, "appeal".to_owned())), ..taint.clone() };
    assert_eq!(revoked.signer(&signed), None);
    for (now_ms, holds) in [(0, true), (1_999, true), (2_000, false)] {
        assert_eq!(taint.holds(now_ms), holds, "{now_ms}");
    }
    assert!(!revoked.holds(0));
}

#[test]
fn taint_over_several_methods_has_a_least_and_a_most_and_both_are_signed() {
    let mut taint = Taint { method: "span".to_owned(), most: Some(199_000_001), ..tainted() };
    let tag = parse(&with_context(&taint.to_context())).tags.pop().unwrap();
    assert_eq!(tag.taint.as_ref(), Some(&taint));
    let secret = SigningKey::from_bytes(&[7; 32]);
    taint.sign(&tag, &secret);
    assert!(taint.signer(&tag).is_some());
    assert_eq!(Taint { most: Some(199_000_002), ..taint.clone() }.signer(&tag), None);
    for wrong in [
        Taint { most: None, ..taint.clone() },
        Taint { most: Some(198_999_999), ..taint.clone() },
        Taint { method: "fifo".to_owned(), ..taint.clone() },
    ] {
        assert!(Taint::of_context(&wrong.to_context()).unwrap_err().to_string().starts_with("taint.most"));
    }
}

#[test]
fn taint_that_cannot_be_read_is_rejected() {
    let check = |field: &str, value: Value, want: &str| {
        let mut context = tainted().to_context();
        context["taint"][field] = value;
        let pack = parse(&with_context(&context));
        assert!(pack.rejects[0].reason.contains(want), "{field}: {}", pack.rejects[0].reason);
    };
    check("version", json!(2), "taint.version: want 1");
    check("case", json!(""), "taint.case: has 0 bytes");
    check("method", json!("guess"), "taint.method: \"guess\"");
    check("amount", json!(5), "taint.amount: want text");
    check("amount", json!("+5"), "taint.amount: want a whole number");
    check("unit", json!("coin"), "taint.unit");
    check("outpoint", json!("c3:1"), "taint.outpoint");
    check("outpoint", json!(format!("{}:01", "c3".repeat(32))), "taint.outpoint");
    check("expires_ms", json!("soon"), "taint.expires_ms: want a whole number");
    check("revoked", json!({ "at_ms": 1 }), "taint.reason: is missing");
    check("signature", json!({ "key": "00", "ed25519": "00" }), "taint.signature: key");
    check("undone", json!(true), "\"undone\" is not known");
}

#[test]
fn tags_are_found_side_by_side_and_a_pack_takes_its_earlier_place() {
    let folder = tempfile::tempdir().unwrap();
    let pack = |title: &str, label: &str| {
        let tag = format!(
            "- {{address: {ZAIF}, label: {label}, source: s, currency: BTC, confidence: forensic, category: hacking}}"
        );
        parse(&format!("title: {title}\ncreator: c\ntags:\n{tag}\n"))
    };
    let save = |packs: &[Pack]| {
        let mut builder = Builder::new();
        if let Ok(store) = Store::open(folder.path()) {
            let replaced: Vec<_> =
                packs.iter().map(|pack| (pack.title.as_str(), pack.creator.as_str())).collect();
            builder.take(&store, &replaced).unwrap();
        }
        for pack in packs {
            for tag in &pack.tags {
                builder.add(tag, &pack.title, &pack.creator).unwrap();
            }
        }
        builder.save(folder.path()).unwrap()
    };
    let labels = || {
        let store = Store::open(folder.path()).unwrap();
        let (kind, checked) = subject("BTC", ZAIF).unwrap();
        let hits = store.find(kind, "BTC", &checked.normal);
        assert!(hits.iter().all(|hit| hit.category() == "hacking" && hit.tag.subject == ZAIF));
        let mut labels: Vec<_> =
            hits.into_iter().map(|hit| format!("{} {}", hit.pack, hit.tag.label)).collect();
        labels.sort();
        labels
    };
    assert_eq!(save(&[pack("one", "thief"), pack("two", "exchange")]), 2);
    assert_eq!(labels(), ["one thief", "two exchange"]);
    assert_eq!(save(&[pack("one", "victim")]), 2);
    assert_eq!(labels(), ["one victim", "two exchange"]);
    // The same again changes nothing; another network has nothing.
    assert_eq!(save(&[pack("one", "victim"), pack("one", "victim")]), 2);
    let store = Store::open(folder.path()).unwrap();
    assert!(store.find(SubjectKind::Address, "LTC", ZAIF).is_empty());
    assert!(store.find(SubjectKind::Tx, "BTC", ZAIF).is_empty());
}

#[test]
fn a_store_that_was_damaged_is_not_used() {
    let folder = tempfile::tempdir().unwrap();
    let pack = parse(&with_context(&tainted().to_context()));
    let mut builder = Builder::new();
    for tag in &pack.tags {
        builder.add(tag, &pack.title, &pack.creator).unwrap();
    }
    assert_eq!(builder.save(folder.path()).unwrap(), 2);
    let store = Store::open(folder.path()).unwrap();
    let mut found: Vec<_> = store.iter().map(|hit| hit.tag).collect();
    found.sort_by_key(|tag| tag.label.clone());
    assert_eq!(found, pack.tags);
    let path = folder.path().join("tags.v1");
    let bytes = fs::read(&path).unwrap();
    for length in 0..bytes.len() {
        fs::write(&path, &bytes[..length]).unwrap();
        assert!(Store::open(folder.path()).is_err(), "cut at {length}");
    }
    for place in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[place] ^= 1;
        fs::write(&path, changed).unwrap();
        assert!(Store::open(folder.path()).is_err(), "changed at {place}");
    }
    fs::write(&path, [&b"KBRNTAG\x02"[..], &bytes[8..]].concat()).unwrap();
    let error = Store::open(folder.path()).unwrap_err();
    assert!(matches!(error, StoreError::Magic { .. }), "{error}");
    fs::remove_file(&path).unwrap();
    assert!(matches!(Store::open(folder.path()), Err(StoreError::File { .. })));
}

#[test]
fn tags_leave_in_other_formats() {
    let pack = parse(&with_context(&tainted().to_context()));
    let [plain, stolen] = pack.tags.as_slice() else { panic!() };
    let outpoint = format!("{}:1", "c3".repeat(32));
    assert_eq!(export::bip329(plain, 0).unwrap(), json!({ "type": "addr", "ref": ZAIF, "label": "l (s)" }));
    for (now_ms, spendable) in [(0, false), (2_000, true)] {
        let want =
            json!({ "type": "output", "ref": outpoint, "label": "stolen (s)", "spendable": spendable });
        assert_eq!(export::bip329(stolen, now_ms).unwrap(), want);
    }
    let bundle = export::stix(&pack.tags, "2026-11-21T00:00:00.000Z");
    let objects = bundle["objects"].as_array().unwrap();
    assert_eq!(objects.len(), 4);
    assert_eq!(objects[0]["value"], ZAIF);
    assert_eq!(objects[1]["object_refs"], json!([objects[0]["id"]]));
    assert!(objects[3]["content"].as_str().unwrap().contains("199000000 sat tainted by zaif-2018 (fifo)"));
    assert_eq!(bundle, export::stix(&pack.tags, "2026-11-21T00:00:00.000Z"));
    let misp = export::misp(&pack.tags);
    assert_eq!(
        misp["Object"][0]["Attribute"][0],
        json!({ "object_relation": "address", "type": "btc", "value": ZAIF })
    );
}

proptest::proptest! {
    #[test]
    fn any_text_survives_a_pack(label in "[^\0]{1,40}", source in "[ -~]{1,40}", actor in "\\PC{1,20}") {
        let mut tag = parse(&one("", "")).tags.pop().unwrap();
        let kept = |text: &str| !text.trim().is_empty() && text.trim() != "None";
        proptest::prop_assume!(kept(&label) && kept(&source) && kept(&actor));
        tag.label = label.trim().to_owned();
        tag.source = source.trim().to_owned();
        tag.actor = Some(actor.trim().to_owned());
        let again = parse(&write("t", "c", std::slice::from_ref(&tag)));
        proptest::prop_assert_eq!(again.tags, [tag]);
    }

    #[test]
    fn a_pack_of_any_bytes_is_read_or_refused(cut in 0_usize..200, junk in "[ -~\n]{0,30}") {
        let whole = one("", "");
        let cut = cut.min(whole.len());
        // Nothing here may panic; that it ends is the property.
        drop(Pack::parse(&format!("{}{junk}{}", &whole[..cut], &whole[cut..]), |_| Err(String::new())));
    }
}
