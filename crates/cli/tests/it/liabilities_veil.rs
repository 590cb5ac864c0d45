//! `kuraban liabilities veil`: proved over a tree, verified by anybody, checked by customers, published beside the tree's root.

use std::{fmt::Write as _, fs, sync::OnceLock};

use kuraban_base::{Digest, PayoutDigest};
use kuraban_vault::{Approval, LIABILITIES, Liabilities, body::Body};
use serde_json::{Value, json};

use crate::{
    case::{NOW, WORLD},
    liabilities::{Place, entry, for_a_log, handed_in},
    run::{Ran, run},
    world::Log,
};

/// More than one batch of 2^8 rows has room for.
const CUSTOMERS: u64 = 260;

struct Veiled {
    place: Place,
    built: Value,
}

/// Customers with a whole number of bitcoins and the least of ether.
fn veiled() -> &'static Veiled {
    static MADE: OnceLock<Veiled> = OnceLock::new();
    MADE.get_or_init(|| {
        let place = Place::new();
        let mut holdings = "customer,asset,amount\n".to_owned();
        for number in 0..CUSTOMERS {
            writeln!(holdings, "c{number},BTC,{number}\nc{number},ETH,0.000000000000000001").unwrap();
        }
        place.write("holdings.csv", &holdings);
        assert_eq!(place.build("tree", &["--as-of", "1700000000000"]).status, 0);
        let built = build(&place, &["--out", &place.path("public"), "--jobs", "1"]);
        assert_eq!(built.status, 0, "{}{}", built.out, built.err);
        Veiled { place, built: built.json() }
    })
}

fn build(place: &Place, more: &[&str]) -> Ran {
    let dir = place.path("tree");
    run(["liabilities", "veil", "build", "--json", "--rows", "8", "--dir", &dir].iter().chain(more))
}

fn prove(place: &Place, customer: &str, out: &str) -> Ran {
    let (dir, veil, out) = (place.path("tree"), place.path("public"), place.path(out));
    let args = ["liabilities", "veil", "prove", "--json", "--dir", &dir, "--veil", &veil];
    run(args.iter().chain(&["--customer", customer, "--out", &out]))
}

fn verify(folder: &str, more: &[&str]) -> Ran {
    run(["liabilities", "veil", "verify", "--json", folder].iter().chain(more))
}

fn check(file: &str, folder: &str, more: &[&str]) -> Ran {
    run(["liabilities", "veil", "check", "--json", file, "--veil", folder].iter().chain(more))
}

/// A copy of what was published, to be spoilt.
fn copied(name: &str) -> String {
    let (from, to) = (veiled().place.path("public"), veiled().place.path(name));
    fs::create_dir(&to).unwrap();
    for file in fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), format!("{to}/{}", file.file_name().display())).unwrap();
    }
    to
}

#[test]
fn anybody_verifies_the_totals_and_a_customer_the_own_amount() {
    let Veiled { place, built } = veiled();
    let root = built["veil"].as_str().unwrap();
    let totals = json!([
        { "asset": "BTC", "units": 3_367_000_000_000_u64, "amount": "33670" },
        { "asset": "ETH", "units": "260", "amount": "0.00000000000000026" },
    ]);
    assert_eq!((&built["totals"], &built["batches"]), (&totals, &json!(2)));
    assert_eq!((&built["customers"], &built["padding"]), (&json!(260), &json!(2 * 253 - 260)));
    assert!(built["proven_bits"].as_u64().unwrap() >= 100);
    let verified = verify(&place.path("public"), &["--root", root]);
    let said = verified.json();
    assert_eq!(
        (verified.status, &said["ok"], &said["totals"]),
        (0, &json!(true), &totals),
        "{}",
        verified.out
    );
    // What is published names nobody.
    assert_eq!(said.get("customers"), None);
    for customer in ["c0", "c7", "c259"] {
        let proved = prove(place, customer, &format!("{customer}.kvo"));
        assert_eq!((proved.status, &proved.json()["veil"]), (0, &json!(root)), "{}", proved.err);
        let file = place.path(&format!("{customer}.kvo"));
        let ran = check(&file, &place.path("public"), &["--root", root, "--customer", customer]);
        let said = ran.json();
        assert_eq!((ran.status, &said["ok"]), (0, &json!(true)), "{}", ran.out);
        assert_eq!(said["balances"][0]["amount"], json!(customer[1..]));
        let other = check(&file, &place.path("public"), &["--root", root, "--customer", "c1"]);
        assert_eq!(other.status, 1);
        assert!(other.json()["error"].as_str().unwrap().contains("want that of c1"));
    }
    let nobody = prove(place, "c260", "nobody.kvo");
    assert_eq!((nobody.status, &nobody.json()["ok"]), (1, &json!(false)));
    assert!(!fs::exists(place.path("nobody.kvo")).unwrap());
    let shown = run(["liabilities", "veil", "verify", &place.path("public"), "--root", root, "--lang", "ja"]);
    assert!(shown.out.starts_with("検証しました: 2 束"), "{}", shown.out);
}

#[test]
fn what_was_changed_does_not_verify() {
    let Veiled { place, built } = veiled();
    let root = built["veil"].as_str().unwrap();
    let changed = |name: &str, change: &dyn Fn(&str), want: &str| {
        let folder = copied(name);
        change(&folder);
        let ran = verify(&folder, &["--root", root]);
        assert_eq!(ran.status, 1, "{name}: {}{}", ran.out, ran.err);
        assert!(ran.json()["error"].as_str().unwrap().contains(want), "{name}: {}", ran.out);
    };
    let spoil = |file: &'static str, at: usize| {
        move |folder: &str| {
            let path = format!("{folder}/{file}");
            let mut bytes = fs::read(&path).unwrap();
            let at = at.min(bytes.len() - 1);
            bytes[at] ^= 1;
            fs::write(path, bytes).unwrap();
        }
    };
    changed("leaf", &spoil("00000.kvb", 50), "batch 0: the leaves have hash");
    changed("proof", &spoil("00001.kvb", 100_000), "batch 1: the proof does not hold");
    changed("tail", &spoil("00001.kvb", usize::MAX), "batch 1: ");
    changed("statement", &spoil("veil.kvs", 60), "");
    changed(
        "swapped",
        &|folder| {
            fs::rename(format!("{folder}/00000.kvb"), format!("{folder}/a")).unwrap();
            fs::rename(format!("{folder}/00001.kvb"), format!("{folder}/00000.kvb")).unwrap();
            fs::rename(format!("{folder}/a"), format!("{folder}/00001.kvb")).unwrap();
        },
        "batch 0: the leaves have hash",
    );
    changed(
        "cut",
        &|folder| {
            let path = format!("{folder}/00001.kvb");
            let bytes = fs::read(&path).unwrap();
            fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
        },
        "batch 1: ",
    );
    let other = verify(&place.path("public"), &["--root", &"00".repeat(32)]);
    assert_eq!(other.status, 1);
    assert!(other.json()["error"].as_str().unwrap().contains("want 0000"));
    // What is not there, or is no command line.
    let missing = copied("missing");
    fs::remove_file(format!("{missing}/00001.kvb")).unwrap();
    assert_eq!(verify(&missing, &["--root", root]).status, 2);
    assert_eq!(verify(&place.path("public"), &[]).status, 2);
    // A customer's file that was changed, and one of another batch's place.
    assert_eq!(prove(place, "c9", "c9.kvo").status, 0);
    let own = fs::read(place.path("c9.kvo")).unwrap();
    for at in 0..own.len() {
        let mut bytes = own.clone();
        bytes[at] ^= 1;
        fs::write(place.path("spoilt.kvo"), bytes).unwrap();
        if at % 5 == 0 {
            let ran = check(&place.path("spoilt.kvo"), &place.path("public"), &["--root", root]);
            assert_eq!(ran.status, 1, "byte {at}: {}{}", ran.out, ran.err);
        }
    }
}

#[test]
fn nothing_is_written_unless_everything_fits() {
    let place = Place::new();
    let wide = (1_u128 << 120).to_string();
    let units = |units: &str| {
        place.write("holdings.csv", &format!("customer,asset,amount\nalice,UNIT,{units}\n"));
        drop(fs::remove_dir_all(place.path("tree")));
        assert_eq!(place.build("tree", &["--asset", "UNIT=0"]).status, 0);
        build(&place, &[])
    };
    let ran = units(&wide);
    assert_eq!(ran.status, 2, "{}{}", ran.out, ran.err);
    assert!(
        ran.err.contains("beyond 2^120 - 1") || ran.out.contains("beyond 2^120 - 1"),
        "{}{}",
        ran.out,
        ran.err
    );
    assert!(!fs::exists(place.path("tree/veil")).unwrap());
    let ran = units(&((1_u128 << 120) - 1).to_string());
    assert_eq!(ran.status, 0, "{}{}", ran.out, ran.err);
    // The folder is there now, and is not written over.
    assert_eq!(build(&place, &[]).status, 2);
    let few = run(["liabilities", "veil", "build", "--dir", &place.path("tree"), "--rows", "7"]);
    assert_eq!(few.status, 2);
}

#[test]
fn batches_hide_how_many_customers_there_are() {
    let place = Place::new();
    assert_eq!(place.build("tree", &[]).status, 0);
    let ran = build(&place, &["--batches", "2"]);
    assert_eq!(ran.status, 0, "{}{}", ran.out, ran.err);
    assert_eq!((&ran.json()["batches"], &ran.json()["padding"]), (&json!(2), &json!(2 * 253 - 4)));
    let [a, b] =
        ["00000", "00001"].map(|name| fs::metadata(place.path(&format!("tree/veil/{name}.kvb"))).unwrap());
    // A full batch and one of padding alone differ in the hashes that queries happen to share, and in nothing else.
    assert!(a.len().abs_diff(b.len()) < 8_000, "{} {}", a.len(), b.len());
    let veiled = veiled();
    let few = build(&veiled.place, &["--batches", "1", "--out", &veiled.place.path("few")]);
    assert_eq!(few.status, 2);
}

/// One entry of the log has the roots of the tree and of the veil, and each verifies by it.
#[test]
fn a_veil_is_published_with_its_tree_and_verified_from_the_log() {
    let (place, root) = for_a_log();
    assert_eq!(build(&place, &["--out", &place.path("public")]).status, 0);
    let public = place.path("public");
    let (liabilities, approval) = handed_in(&place, &root, &["--veil", &public]);
    assert!(liabilities.veil.is_some());
    assert_eq!(prove(&place, "alice", "alice.kvo").status, 0);
    let signed = |liabilities: &Liabilities| {
        let digest = PayoutDigest::from_bytes(*liabilities.digest(WORLD.origin).as_bytes());
        let approval = Approval::parse(&WORLD.sign(2, LIABILITIES, digest)).unwrap();
        entry(liabilities, &approval)
    };
    let logged = |body: Body, want: Option<&str>| {
        let expired = Body::PayoutExpired { payout: "w-1".parse().unwrap() };
        let log = Log::of(&[expired.clone(), body, expired], NOW);
        let proof = log.proof(1, &log.checkpoint(&WORLD, &[0, 1, 3], NOW));
        place.write("proof.json", &proof.to_string());
        let (proof, roster) = (place.path("proof.json"), place.path("roster.toml"));
        let more = ["--log-proof", &proof, "--roster", &roster];
        for ran in [verify(&public, &more), check(&place.path("alice.kvo"), &public, &more)] {
            let said = ran.json();
            assert_eq!(ran.status, i32::from(want.is_some()), "{}", ran.out);
            match want {
                None => assert_eq!((&said["ok"], &said["logged"]), (&json!(true), &json!(true))),
                Some(want) => assert!(said["error"].as_str().unwrap().contains(want), "{}", ran.out),
            }
        }
    };
    logged(entry(&liabilities, &approval), None);
    let bare = Liabilities { veil: None, ..liabilities.clone() };
    logged(signed(&bare), Some("no root of a veil"));
    // A veil that was taken off is not what was signed.
    logged(entry(&bare, &approval), Some("not over this digest"));
    let other = Some(Digest::from_bytes([7; 32]));
    logged(signed(&Liabilities { veil: other, ..liabilities.clone() }), Some("want 0707"));
    let totals = Digest::from_bytes([7; 32]);
    logged(signed(&Liabilities { totals, ..liabilities.clone() }), Some("other totals"));
    let as_of = kuraban_base::Instant::from_ms(NOW.ms() + 1);
    logged(signed(&Liabilities { as_of, ..liabilities }), Some("another instant"));
}
