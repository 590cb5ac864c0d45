//! `kuraban liabilities`: built from a file of holdings, cut out for customers, verified by them, audited.

use std::{collections::BTreeSet, fs, path::Path};

use kuraban_base::{Digest, PayoutDigest};
use kuraban_vault::{Approval, LIABILITIES, Liabilities, Publication, body::Body};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    case::{NOW, WORLD},
    run::{Ran, run},
    server::Server,
    world::Log,
};

const HOLDINGS: &str = "customer,asset,amount\nalice,BTC,1.5\nbob,XEM,523000000\n客1029,ETH,1.000000000000000001\n\
                        客1029,XEM,0.000005\n客1029,BTC,0.00000001\ndave,BTC,0\n";
const BLOCK: &str = "btc:840000:0000000000000000000320283a032748cef8227873ff4872689bf23f1cda83a5";
/// The root of these holdings as a second program in another language has it, written from `docs/liabilities.md`.
const ROOT: &str = "c9837ab52b03f0649117ca739e0995e3bace2e5d8d0c6ee2bd190d9b8abe7aba";

pub(crate) struct Place(TempDir);

impl Place {
    pub(crate) fn new() -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        place.write("holdings.csv", HOLDINGS);
        place.write("seed", &format!("{}\n", "11".repeat(32)));
        place
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.0.path().join(name).display().to_string()
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.0.path().join(name), text).unwrap();
    }

    pub(crate) fn build(&self, out: &str, more: &[&str]) -> Ran {
        let (holdings, out) = (self.path("holdings.csv"), self.path(out));
        let args = ["liabilities", "build", "--json", "--holdings", &holdings, "--out", &out];
        run(args.iter().chain(more))
    }

    /// With everything fixed.
    fn built(&self) -> Value {
        let seed = self.path("seed");
        let fixed = ["--seed", &seed, "--as-of", "1700000000000", "--origin", "log.example"];
        let ran = self.build("tree", &[&fixed, ["--depth", "3", "--block", BLOCK].as_slice()].concat());
        assert_eq!(ran.status, 0, "{}", ran.err);
        ran.json()
    }

    fn prove(&self, customer: &str) -> Ran {
        let (dir, out) = (self.path("tree"), self.path("own.kli"));
        run(["liabilities", "prove", "--json", "--dir", &dir, "--customer", customer, "--out", &out])
    }

    fn verify(&self, root: &str, more: &[&str]) -> Ran {
        let file = self.path("own.kli");
        run(["liabilities", "verify", "--json", &file, "--root", root].iter().chain(more))
    }

    fn audit(&self, root: &str) -> Ran {
        let (dir, holdings) = (self.path("tree"), self.path("holdings.csv"));
        run(["liabilities", "audit", "--json", "--dir", &dir, "--holdings", &holdings, "--root", root])
    }
}

#[test]
fn a_customer_sees_what_is_counted_under_a_root_that_another_program_computes() {
    let place = Place::new();
    let built = place.built();
    let totals = json!([
        { "asset": "BTC", "units": 150_000_001, "amount": "1.50000001" },
        { "asset": "ETH", "units": "1000000000000000001", "amount": "1.000000000000000001" },
        { "asset": "XEM", "units": 523_000_000_000_005_u64, "amount": "523000000.000005" },
    ]);
    assert_eq!((&built["root"], &built["totals"]), (&json!(ROOT), &totals));
    assert_eq!((&built["customers"], &built["padding"]), (&json!(4), &json!(4)));
    let statement = fs::read_to_string(place.path("tree/statement.json")).unwrap();
    let statement: Value = serde_json::from_str(&statement).unwrap();
    assert_eq!((&statement["root"], &statement["as_of"]), (&json!(ROOT), &json!("2023-11-14T22:13:20Z")));
    assert_eq!(statement.get("customers"), None);

    let proved = place.prove("客1029");
    assert_eq!((proved.status, &proved.json()["root"]), (0, &json!(ROOT)));
    let ran = place.verify(ROOT, &["--customer", "客1029"]);
    let said = ran.json();
    assert_eq!((ran.status, &said["ok"], &said["totals"]), (0, &json!(true), &totals));
    assert_eq!(said["customer"], json!("客1029"));
    assert_eq!(
        said["balances"][1],
        json!({ "asset": "ETH", "units": "1000000000000000001", "amount": "1.000000000000000001" })
    );
    assert_eq!((&said["origin"], &said["blocks"][0]["height"]), (&json!("log.example"), &json!(840_000)));

    let other = place.verify(ROOT, &["--customer", "bob"]);
    assert_eq!(
        (other.status, &other.json()["error"]),
        (1, &json!("is the file of 客1029, want that of bob"))
    );
    let wrong = place.verify(&ROOT.replace(&ROOT[..2], "00"), &[]);
    assert_eq!((wrong.status, &wrong.json()["ok"]), (1, &json!(false)));
    assert!(wrong.json()["error"].as_str().unwrap().starts_with(&format!("leads to root {ROOT}, want 00")));
    assert_eq!(place.verify("12", &[]).status, 2);
}

/// More customers than a bough has leaves.
#[test]
fn every_customer_gets_the_file_that_he_would_get_alone_or_nobody_gets_one() {
    let place = Place::new();
    let rows = (0..3_000).map(|customer| format!("c{customer},BTC,0.{:08}\n", customer + 1));
    place.write("holdings.csv", &format!("customer,asset,amount\n{}", rows.collect::<String>()));
    let built = place.build("tree", &["--depth", "12"]);
    let root = built.json()["root"].as_str().unwrap().to_owned();
    let (dir, out) = (place.path("tree"), place.path("files"));
    let all = || run(["liabilities", "prove", "--json", "--dir", &dir, "--all", "--out", &out]);

    let said = all().json();
    assert_eq!((&said["ok"], &said["customers"], &said["root"]), (&json!(true), &json!(3_000), &json!(root)));
    let table = fs::read_to_string(Path::new(&out).join("files.csv")).unwrap();
    let rows: Vec<_> = table.lines().skip(1).map(|row| row.split_once(',').unwrap()).collect();
    let customers: BTreeSet<_> = rows.iter().map(|(customer, _)| (*customer).to_owned()).collect();
    assert_eq!(customers, (0..3_000).map(|customer| format!("c{customer}")).collect());
    let bytes: u64 =
        rows.iter().map(|(_, name)| fs::metadata(Path::new(&out).join(name)).unwrap().len()).sum();
    assert_eq!((rows.len(), said["bytes"].as_u64()), (3_000, Some(bytes)));
    for (customer, name) in rows.iter().step_by(500) {
        assert_eq!(place.prove(customer).status, 0);
        assert_eq!(fs::read(Path::new(&out).join(name)).unwrap(), fs::read(place.path("own.kli")).unwrap());
    }

    // What is there is left alone; a tree that does not lead to one root gives no files.
    assert_eq!(all().status, 2);
    fs::remove_dir_all(&out).unwrap();
    let tree = Path::new(&dir).join("tree.klt");
    let mut spoilt = fs::read(&tree).unwrap();
    let middle = spoilt.len() / 2;
    spoilt[middle] ^= 1;
    fs::write(&tree, spoilt).unwrap();
    let ran = all();
    assert_eq!(ran.status, 2, "{}", ran.err);
    assert_eq!(
        fs::read_dir(&place.0)
            .unwrap()
            .filter(|entry| { entry.as_ref().unwrap().file_name().to_string_lossy().starts_with("files") })
            .count(),
        0
    );
}

#[test]
fn who_is_not_counted_has_no_file() {
    let place = Place::new();
    place.built();
    for nobody in ["carol", "alic", ""] {
        let ran = place.prove(nobody);
        assert_eq!((ran.status, &ran.json()["ok"]), (1, &json!(false)), "{nobody}");
    }
    // A folder without a tree, a tree that was cut off.
    let tree = Path::new(&place.path("tree")).join("tree.klt");
    let bytes = fs::read(&tree).unwrap();
    for length in [0, 7, 20, bytes.len() / 2, bytes.len() - 1] {
        fs::write(&tree, &bytes[..length]).unwrap();
        assert_eq!(place.prove("alice").status, 2, "{length}");
    }
    fs::remove_file(&tree).unwrap();
    assert_eq!(place.prove("alice").status, 2);
}

#[test]
fn an_auditor_finds_what_the_books_do_not_say() {
    let place = Place::new();
    place.built();
    let ran = place.audit(ROOT);
    let said = ran.json();
    assert_eq!((ran.status, &said["customers"], &said["padding"]), (0, &json!(4), &json!(4)), "{}", ran.err);
    let check = |holdings: &str, want: &str| {
        place.write("holdings.csv", holdings);
        let ran = place.audit(ROOT);
        assert_eq!((ran.status, ran.json()["error"].as_str()), (1, Some(want)), "{}", ran.err);
    };
    check(
        &[HOLDINGS, "erin,BTC,1\n"].concat(),
        "erin is in the holdings and not in the tree, and so are 0 others",
    );
    check(&HOLDINGS.replace("dave,BTC,0\n", ""), "dave is in the tree and not in the holdings");
    check(&HOLDINGS.replace("1.5", "1.6"), "alice has 150000000 of BTC in the tree, want 160000000");
    place.write("holdings.csv", HOLDINGS);
    let ran = place.audit(&"ab".repeat(32));
    assert_eq!(
        (ran.status, ran.json()["error"].as_str().unwrap().starts_with("the tree has root")),
        (1, true)
    );
}

#[test]
fn holdings_that_are_not_in_order_make_nothing() {
    let place = Place::new();
    let check = |holdings: &str, want: &str| {
        place.write("holdings.csv", holdings);
        let ran = place.build("none", &[]);
        let problem = ran.json()["error"].as_str().unwrap().to_owned();
        assert!(ran.status == 2 && problem.contains(want), "{problem}, want {want}");
        assert!(!Path::new(&place.path("none")).exists());
    };
    let head = "customer,asset,amount\n";
    check("", "is empty, want a first line with the names of the columns");
    check("name,asset,amount\n", "line 1: there is no column \"customer\"");
    check(head, "has no rows");
    check(&[head, "alice,BTC\n"].concat(), "line 2: has 2 fields, want 3");
    check(&[head, "alice,BTC,-1\n"].concat(), "line 2, amount of BTC");
    check(&[head, "alice,BTC,0.123456789\n"].concat(), "line 2, amount of BTC");
    check(&[head, "alice,DOGE,1\n"].concat(), "line 2, asset: \"DOGE\" is not known");
    check(&[head, "alice,BTC,1\nbob,BTC,1\nalice,BTC,1\n"].concat(), "alice has BTC in line 2 already");
    check(&[head, "\"a,BTC,1\n"].concat(), "line 2: has 1 fields");
    let rich = "340282366920938463463374607431768211455";
    check(&[head, "a,JPY,", rich, "\nb,JPY,1\n"].concat(), "beyond 2^128 - 1");
    place.write("holdings.csv", HOLDINGS);
    for more in [
        ["--depth", "1"],
        ["--depth", "33"],
        ["--block", "btc:1:00"],
        ["--as-of", "soon"],
        ["--asset", "BTC=9"],
        ["--asset", "QASH:6"],
    ] {
        assert_eq!(place.build("none", &more).status, 2, "{more:?}");
    }
    assert!(!Path::new(&place.path("none")).exists());
    place.write("holdings.csv", &[head, "alice,QASH,1.5\n"].concat());
    assert_eq!(place.build("qash", &["--asset", "QASH=6"]).json()["totals"][0]["units"], "1500000");
}

/// The seed is drawn, kept from others, and makes the same tree again.
#[test]
#[cfg(unix)]
fn secrets_are_the_operators_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let place = Place::new();
    let same = ["--as-of", "1700000000000"];
    let first = place.build("tree", &same);
    assert_eq!((first.status, &first.json()["depth"]), (0, &json!(2)), "{}", first.err);
    for secret in ["tree/seed", "tree/tree.klt"] {
        let mode = fs::metadata(place.path(secret)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{secret}");
    }
    // Never over a tree that is there.
    assert_eq!(place.build("tree", &same).status, 2);
    let root = |ran: &Ran| ran.json()["root"].clone();
    assert_ne!(root(&first), root(&place.build("other", &same)));
    let seed = place.path("tree/seed");
    let again = place.build("again", &[same.as_slice(), &["--seed", &seed]].concat());
    assert_eq!(root(&first), root(&again));
    let tree = |folder: &str| fs::read(place.path(&format!("{folder}/tree.klt"))).unwrap();
    assert_eq!(tree("tree"), tree("again"));
}

/// A tree for the log of the tests' world, and the place of its key and roster.
pub(crate) fn for_a_log() -> (Place, String) {
    let place = Place::new();
    let as_of = NOW.ms().to_string();
    let fixed = ["--origin", WORLD.origin, "--as-of", &as_of, "--block", BLOCK];
    let built = place.build("tree", &fixed);
    assert_eq!(built.status, 0, "{}", built.err);
    place.write("roster.toml", &WORLD.roster_toml());
    let key = WORLD.person(2).to_openssh(ssh_key::LineEnding::LF).unwrap();
    place.write("key", &key);
    #[cfg(unix)]
    std::process::Command::new("chmod").args(["600", &place.path("key")]).status().unwrap();
    (place, built.json()["root"].as_str().unwrap().to_owned())
}

fn publish(place: &Place, url: &str, more: &[&str]) -> Ran {
    let (dir, roster, key) = (place.path("tree"), place.path("roster.toml"), place.path("key"));
    let args = ["--dir", &dir, "--roster", &roster, "--key", &key, "--writer", url];
    run(["liabilities", "publish", "--json"].iter().chain(&args).chain(more))
}

/// What the program hands in for a tree: the root, and the signature of a person on the roster.
pub(crate) fn handed_in(place: &Place, root: &str, more: &[&str]) -> (Liabilities, Approval) {
    let server = Server::start(|asked| {
        let body: Value = serde_json::from_str(&asked.body).unwrap();
        let view = json!({ "log_index": 3, "root": body["root"], "totals": body["totals"],
            "as_of_ms": body["as_of_ms"], "blocks": body["blocks"] });
        (201, view.to_string().into_bytes())
    });
    let ran = publish(place, &server.url, more);
    assert_eq!((ran.status, &ran.json()["log_index"]), (0, &json!(3)), "{}{}", ran.out, ran.err);
    let asked = server.asked().remove(0);
    assert_eq!((asked.method.as_str(), asked.path.as_str()), ("POST", "/v1/liabilities"));
    let sent: Value = serde_json::from_str(&asked.body).unwrap();
    let digest = |field: &str| sent[field].as_str().unwrap().parse::<Digest>().unwrap();
    let veil = sent.get("veil").map(|_| digest("veil"));
    let block = kuraban_vault::DatedBy {
        chain: "btc".to_owned(),
        height: 840_000,
        hash: kuraban_base::hex::decode_array(&BLOCK["btc:840000:".len()..]).unwrap(),
    };
    let liabilities =
        Liabilities { root: digest("root"), totals: digest("totals"), as_of: NOW, blocks: vec![block], veil };
    assert_eq!(liabilities.root.to_string(), root);
    let approval = Approval::parse(sent["approval"].as_str().unwrap()).unwrap();
    (liabilities, approval)
}

/// What the log has of a root.
pub(crate) fn entry(liabilities: &Liabilities, approval: &Approval) -> Body {
    Body::Published { publication: Publication::Liabilities(liabilities.clone()), approval: approval.clone() }
}

/// What the log shows is what a customer verifies by.
#[test]
fn a_root_is_published_and_verified_from_the_log() {
    let (place, root) = for_a_log();
    let (liabilities, approval) = handed_in(&place, &root, &[]);
    let own = entry(&liabilities, &approval);
    assert_eq!(place.prove("alice").status, 0);
    let by = |number: u8, liabilities: &Liabilities| {
        let signed = PayoutDigest::from_bytes(*liabilities.digest(WORLD.origin).as_bytes());
        let approval = Approval::parse(&WORLD.sign(number, LIABILITIES, signed)).unwrap();
        entry(liabilities, &approval)
    };
    let check = |body: Body, witnesses: &[u8], more: &[&str], want: Option<&str>| {
        let expired = Body::PayoutExpired { payout: "w-1".parse().unwrap() };
        let log = Log::of(&[expired.clone(), body, expired], NOW);
        let proof = log.proof(1, &log.checkpoint(&WORLD, witnesses, NOW));
        place.write("proof.json", &proof.to_string());
        let (file, proof, roster) =
            (place.path("own.kli"), place.path("proof.json"), place.path("roster.toml"));
        let args = ["liabilities", "verify", "--json", &file, "--log-proof", &proof, "--roster", &roster];
        let ran = run(args.iter().chain(more));
        let said = ran.json();
        assert_eq!(
            (ran.status, &said["ok"]),
            (i32::from(want.is_some()), &json!(want.is_none())),
            "{}",
            ran.out
        );
        match want {
            None => assert_eq!((&said["root"], &said["logged"]), (&json!(root), &json!(true))),
            Some(want) => assert!(said["error"].as_str().unwrap().contains(want), "{}", ran.out),
        }
    };
    check(own.clone(), &[0, 1, 3], &[], None);
    check(own.clone(), &[0, 1, 3], &["--root", &root, "--customer", "alice"], None);
    check(own.clone(), &[0, 1], &[], Some("the log: "));
    check(own.clone(), &[0, 1, 3], &["--root", ROOT], Some("the log has root"));
    check(Body::PayoutExpired { payout: "w-1".parse().unwrap() }, &[0, 1, 3], &[], Some("is payout.expired"));
    // A stranger's signature, and somebody's over another root.
    let other = Liabilities { root: ROOT.parse().unwrap(), ..liabilities.clone() };
    check(by(9, &liabilities), &[0, 1, 3], &[], Some("belongs to nobody on the roster"));
    check(entry(&other, &approval), &[0, 1, 3], &[], Some("not over this digest"));
    check(by(2, &other), &[0, 1, 3], &[], Some("leads to root"));
    // The right root with other totals or another day.
    check(
        by(2, &Liabilities { totals: liabilities.root, ..liabilities.clone() }),
        &[0, 1, 3],
        &[],
        Some("other totals"),
    );
    let later = Liabilities { as_of: kuraban_base::Instant::from_ms(NOW.ms() + 1), ..liabilities };
    check(by(2, &later), &[0, 1, 3], &[], Some("another instant"));
}

#[test]
fn a_root_for_another_log_or_by_a_stranger_is_not_handed_in() {
    let (place, _) = for_a_log();
    let server = Server::start(|_| {
        (409, br#"{"type":"about:blank","title":"Conflict","status":409,"code":"liabilities-not-published","detail":"this root stands in the log already","reasons":[]}"#.to_vec())
    });
    let refused = publish(&place, &server.url, &[]);
    assert_eq!(
        (refused.status, &refused.json()["refused"]["code"]),
        (1, &json!("liabilities-not-published"))
    );
    let key = WORLD.person(9).to_openssh(ssh_key::LineEnding::LF).unwrap();
    let own = fs::read_to_string(place.path("key")).unwrap();
    place.write("key", &key);
    assert_eq!(publish(&place, &server.url, &[]).status, 2);
    place.write("key", &own);
    fs::remove_dir_all(place.path("tree")).unwrap();
    assert_eq!(place.build("tree", &["--origin", "other.example"]).status, 0);
    let other = publish(&place, &server.url, &[]);
    assert!(other.status == 2 && other.err.contains("other.example"), "{}", other.err);
    assert_eq!(server.asked().len(), 1);
}
