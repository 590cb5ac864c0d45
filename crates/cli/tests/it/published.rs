//! What commands put into the log, and what a log's proof shows to whoever was told no root by hand.

use std::{fs, os::unix::fs::PermissionsExt as _, path::PathBuf};

use kuraban_base::{Digest, PayoutDigest};
use kuraban_vault::{
    Approval, Publication, Roster,
    body::Body,
    publication::{Check, Checked, Claims, Export, Finding, Import, Verdict},
};
use serde_json::{Value, json};
use ssh_key::{LineEnding, PrivateKey, private::Ed25519Keypair};

use crate::{
    case::{NOW, WORLD},
    run::{Ran, run},
    server::Server,
    world::Log,
};

/// An operator with a roster, and a folder for all files.
struct Operator {
    dir: tempfile::TempDir,
}

const SCHEME: &str = "name = \"loss\"\ncurrency = \"JPY\"\nrounding = \"half-up\"\nremainder = \"operator\"\n\
                      [[pay]]\nasset = \"BTC\"\nin_kind = \"1\"\n";

impl Operator {
    fn new() -> Self {
        let own = Self { dir: tempfile::tempdir().unwrap() };
        own.write("roster.toml", &WORLD.roster_toml());
        own.private("key", &WORLD.person(2).to_openssh(LineEnding::LF).unwrap());
        own.private("stranger", &WORLD.person(9).to_openssh(LineEnding::LF).unwrap());
        own
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    fn private(&self, name: &str, text: &str) {
        self.write(name, text);
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(0o600)).unwrap();
    }

    /// Runs a command; what begins with `@` is a file of ours.
    fn run(&self, args: &[&str]) -> Ran {
        let named = |arg: &&str| match arg.strip_prefix('@') {
            Some(name) => self.path(name).display().to_string(),
            None => (*arg).to_owned(),
        };
        run(args.iter().map(named).chain(["--json".to_owned()]))
    }

    fn done(&self, args: &[&str]) -> Value {
        let ran = self.run(args);
        assert_eq!(ran.status, 0, "{args:?}: {}{}", ran.out, ran.err);
        ran.json()
    }

    /// Publishes; the writer gets exactly this, signed by person 2 for our log.
    fn publishes(&self, args: &[&str], want: &Publication) -> Approval {
        let server = Server::start(|asked| {
            let body: Value = serde_json::from_str(&asked.body).unwrap();
            (201, json!({ "log_index": 3, "publication": body["publication"] }).to_string().into_bytes())
        });
        let to = ["--writer", &server.url, "--roster", "@roster.toml", "--key", "@key"];
        let said = self.done(&[args, &to].concat());
        let digest = want.digest(WORLD.origin);
        assert_eq!(
            (&said["published"], &said["entry"], &said["log_index"], &said["digest"]),
            (&json!(true), &json!(want.kind()), &json!(3), &json!(digest.to_string()))
        );
        let asked = server.asked().remove(0);
        assert_eq!((asked.method.as_str(), asked.path.as_str()), ("POST", "/v1/publications"));
        let sent: Value = serde_json::from_str(&asked.body).unwrap();
        let approval = Approval::parse(sent["approval"].as_str().unwrap()).unwrap();
        let roster = Roster::from_toml(&WORLD.roster_toml()).unwrap();
        approval.verify(&roster, "kuraban-publish", digest.as_bytes()).unwrap();
        // A stranger's key signs nothing.
        let to = ["--writer", &server.url, "--roster", "@roster.toml", "--key", "@stranger"];
        assert_eq!(self.run(&[args, &to].concat()).status, 2);
        assert_eq!(server.asked().len(), 1);
        approval
    }

    /// Writes the proof of an entry that stands in a log with these witnesses.
    fn logged(&self, name: &str, body: Body, witnesses: &[u8]) {
        let other = Body::PayoutExpired { payout: "w-1".parse().unwrap() };
        let log = Log::of(&[other.clone(), body, other], NOW);
        self.write(name, &log.proof(1, &log.checkpoint(&WORLD, witnesses, NOW)).to_string());
    }
}

fn signed(publication: &Publication, person: u8) -> Body {
    let digest = PayoutDigest::from_bytes(*publication.digest(WORLD.origin).as_bytes());
    let approval = Approval::parse(&WORLD.sign(person, publication.namespace(), digest)).unwrap();
    Body::Published { publication: publication.clone(), approval }
}

fn digest(text: &str) -> Digest {
    text.parse().unwrap()
}

const ALL: &[u8] = &[0, 1, 3];

#[test]
fn a_customer_verifies_a_statement_by_the_logs_word_for_the_root() {
    let own = Operator::new();
    own.write("scheme.toml", SCHEME);
    own.write("holdings.csv", "customer,asset,amount\na,BTC,0.5\nb,BTC,2\n");
    let compute =
        ["claims", "compute", "--scheme", "@scheme.toml", "--holdings", "@holdings.csv", "--out", "@claims"];
    let computed = own.done(&compute);
    let root = computed["statements"]["root"].as_str().unwrap().to_owned();
    let scheme = Digest::sha256(&[SCHEME.as_bytes()]);
    let claims = Claims { root: digest(&root), statements: 2, scheme, replaces: None };
    let want = Publication::Claims(claims.clone());
    let approval = own.publishes(&["claims", "publish", "--claims", "@claims"], &want);
    let other = Claims { replaces: Some(scheme), ..claims.clone() };
    let replaces = scheme.to_string();
    let args = ["claims", "publish", "--claims", "@claims", "--replaces", &replaces];
    own.publishes(&args, &Publication::Claims(other));

    let statement = own.done(&["claims", "statement", "--claims", "@claims", "--customer", "a"]);
    own.write("a.json", &statement.to_string());
    let check = |body: Body, witnesses: &[u8], more: &[&str], want: Option<&str>| {
        own.logged("proof.json", body, witnesses);
        let args = ["claims", "verify", "@a.json", "--log-proof", "@proof.json", "--roster", "@roster.toml"];
        let ran = own.run(&[&args, more].concat());
        let said = ran.json();
        assert_eq!((ran.status, &said["ok"]), (i32::from(want.is_some()), &json!(want.is_none())), "{said}");
        match want {
            None => assert_eq!(
                (&said["logged"], &said["root"], &said["scheme_sha256"]),
                (&json!(true), &json!(root), &json!(scheme.to_string()))
            ),
            Some(want) => {
                assert!(said["error"].as_str().unwrap().contains(want), "{said}");
                assert!(said.get("logged").is_none(), "{said}");
            }
        }
    };
    let entry = Body::Published { publication: want.clone(), approval: approval.clone() };
    check(entry.clone(), ALL, &[], None);
    check(entry.clone(), ALL, &["--root", &root], None);
    check(entry.clone(), ALL, &["--root", &replaces], Some("the log has root"));
    check(entry, &[0, 1], &[], Some("the log: "));
    check(signed(&want, 9), ALL, &[], Some("belongs to nobody on the roster"));
    let other = Publication::Claims(Claims { root: scheme, ..claims.clone() });
    check(Body::Published { publication: other.clone(), approval }, ALL, &[], Some("not over this digest"));
    check(signed(&other, 2), ALL, &[], Some("leads to root"));
    let more = Publication::Claims(Claims { statements: 3, ..claims });
    check(signed(&more, 2), ALL, &[], Some("is one of 2 statements, the log says 3"));
    let export = Publication::Export(Export { export: [1; 16], manifest: scheme });
    check(signed(&export, 2), ALL, &[], Some("is handover.exported, want claims.published"));
    check(
        Body::PayoutExpired { payout: "w-1".parse().unwrap() },
        ALL,
        &[],
        Some("is payout.expired, want one of"),
    );
    // Neither a root nor a proof is no way to verify.
    assert_eq!(own.run(&["claims", "verify", "@a.json"]).status, 2);
}

/// Both sides in one folder, with keys of their own for the hand-over.
fn handed_over(own: &Operator) -> (Value, Value) {
    for (seed, who) in [(1, "sender"), (2, "receiver")] {
        let key = PrivateKey::from(Ed25519Keypair::from_seed(&[seed; 32]));
        own.private(who, &key.to_openssh(LineEnding::LF).unwrap());
        own.write(&format!("{who}.pub"), &key.public_key().to_openssh().unwrap());
    }
    let identity = age::x25519::Identity::generate();
    let secret = identity.to_string();
    own.private("age.key", age::secrecy::ExposeSecret::expose_secret(&secret));
    own.write("holdings.csv", "customer,asset,amount\na,BTC,0.5\nb,BTC,2\n");
    let to = identity.to_public().to_string();
    let export = [
        "migrate",
        "export",
        "--holdings",
        "@holdings.csv",
        "--to",
        &to,
        "--key",
        "@sender",
        "--out",
        "@out",
    ];
    let exported = own.done(&export);
    let import = [
        "migrate",
        "import",
        "@out",
        "--from",
        "@sender.pub",
        "--identity",
        "@age.key",
        "--key",
        "@receiver",
        "--out",
        "@in",
    ];
    (exported, own.done(&import))
}

#[test]
fn both_operators_logs_bear_witness_to_a_hand_over() {
    let own = Operator::new();
    let (exported, imported) = handed_over(&own);
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let manifest = digest(&text(&exported["manifest"]));
    let export = kuraban_base::hex::decode_array(&text(&exported["export"])).unwrap();
    let sent = Publication::Export(Export { export, manifest });
    let receipt = digest(&text(&imported["receipt"]));
    let taken = Publication::Import(Import { manifest, receipt, replaces: None });
    let folders = ["--import", "@in", "--to", "@receiver.pub"];
    let publish = ["migrate", "publish", "@out", "--from", "@sender.pub"];
    own.publishes(&publish, &sent);
    own.publishes(&[&publish[..], &folders].concat(), &taken);
    let replaced = Publication::Import(Import { manifest, receipt, replaces: Some(manifest) });
    let replaces = manifest.to_string();
    own.publishes(&[&publish[..], &folders, &["--replaces", &replaces]].concat(), &replaced);

    let check = |sent: Body, taken: Body, want: Option<&str>| {
        own.logged("sent.json", sent, ALL);
        own.logged("taken.json", taken, ALL);
        let logs = [
            "--log-proof",
            "@sent.json",
            "--roster",
            "@roster.toml",
            "--import-log-proof",
            "@taken.json",
            "--import-roster",
            "@roster.toml",
        ];
        let ran =
            own.run(&[&["migrate", "verify", "@out", "--from", "@sender.pub"], &folders[..], &logs].concat());
        let said = ran.json();
        assert_eq!((ran.status, &said["ok"]), (i32::from(want.is_some()), &json!(want.is_none())), "{said}");
        match want {
            None => assert_eq!(
                (&said["logged"], &said["import_logged"], &said["receipt"]),
                (&json!(true), &json!(true), &json!(receipt.to_string()))
            ),
            Some(want) => assert!(said["error"].as_str().unwrap().contains(want), "{said}"),
        }
    };
    let by = |publication: &Publication| signed(publication, 2);
    check(by(&sent), by(&taken), None);
    check(by(&sent), by(&replaced), None);
    check(by(&taken), by(&taken), Some("the sender's log: says handover.imported"));
    check(by(&sent), by(&sent), Some("the receiver's log: says handover.exported"));
    check(signed(&sent, 9), by(&taken), Some("the sender's log: the log's entry: "));
    check(by(&sent), signed(&taken, 9), Some("the receiver's log: the log's entry: "));
    for other in [Export { export: [9; 16], manifest }, Export { export, manifest: receipt }] {
        check(by(&Publication::Export(other)), by(&taken), Some("the sender's log: says handover.exported"));
    }
    for other in [
        Import { manifest: receipt, receipt, replaces: None },
        Import { manifest, receipt: manifest, replaces: None },
    ] {
        check(by(&sent), by(&Publication::Import(other)), Some("the receiver's log: says handover.imported"));
    }
}

#[test]
fn a_hand_over_that_does_not_verify_is_not_published() {
    let own = Operator::new();
    handed_over(&own);
    fs::write(own.path("in/balances.csv"), "customer,asset,units\n").unwrap();
    let server = Server::start(|_| (500, Vec::new()));
    let publish =
        ["migrate", "publish", "@out", "--from", "@sender.pub", "--import", "@in", "--to", "@receiver.pub"];
    let to = ["--writer", &server.url, "--roster", "@roster.toml", "--key", "@key"];
    let ran = own.run(&[&publish[..], &to].concat());
    assert_eq!((ran.status, server.asked().len()), (1, 0), "{}", ran.out);
}

fn finding(about: &str, verdict: Verdict, failed: &[&str], not_made: &[&str]) -> Finding {
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    Finding { about: about.to_owned(), verdict, failed: names(failed), not_made: names(not_made) }
}

#[test]
fn a_statement_that_falls_short_is_published_as_one_that_does_not() {
    let own = Operator::new();
    let root = "ab".repeat(32);
    let check = |name: &str, result: &str| json!({ "check": name, "result": result });
    let line = |asset: &str, verdict: &str, checks: Value| json!({ "asset": asset, "verdict": verdict, "checks": checks });
    let held = json!([check("liabilities", "verified"), check("unspent", "verified")]);
    let open = json!([check("liabilities", "not-made"), check("unspent", "failed"), check("log", "failed")]);
    let statement = |ok: bool, assets: Value| {
        json!({ "ok": ok, "liabilities_root": root, "as_of_ms": 5, "assets": assets }).to_string()
    };
    let publish = ["reserves", "publish", "@statement.json"];
    for (text, findings) in [
        (
            statement(true, json!([line("BTC", "covered", held.clone())])),
            vec![finding("BTC", Verdict::Covered, &[], &[])],
        ),
        (
            statement(
                false,
                json!([
                    line("BTC", "covered", held.clone()),
                    line("LTC", "short", held.clone()),
                    line("XEM", "not-shown", open.clone())
                ]),
            ),
            vec![
                finding("BTC", Verdict::Covered, &[], &[]),
                finding("LTC", Verdict::Short, &[], &[]),
                finding("XEM", Verdict::NotShown, &["unspent", "log"], &["liabilities"]),
            ],
        ),
    ] {
        own.write("statement.json", &text);
        let document = Digest::sha256(&[text.as_bytes()]);
        let (of, root) = (Checked::ReservesStatement, Some(digest(&root)));
        own.publishes(&publish, &Publication::Check(Check { of, document, root, findings }));
    }
    for (text, want) in [
        (statement(true, json!([line("BTC", "short", held.clone())])), "ok contradicts"),
        (statement(false, json!([line("BTC", "covered", held.clone())])), "ok contradicts"),
        (statement(true, json!([line("BTC", "covered", open)])), "contradicts its checks"),
        (statement(true, json!([line("BTC", "covered", json!([]))])), "contradicts its checks"),
        (statement(false, json!([line("BTC", "not-shown", held.clone())])), "contradicts its checks"),
        (statement(false, json!([line("BTC", "failed", held)])), "which no statement says"),
        (statement(true, json!([])), "0 of them, want 1 to 1024"),
    ] {
        own.write("statement.json", &text);
        let to = ["--writer", "http://127.0.0.1:9", "--roster", "@roster.toml", "--key", "@key"];
        let ran = own.run(&[&publish[..], &to].concat());
        assert!(ran.status == 2 && ran.err.contains(want), "{text}: {}", ran.err);
    }
}

#[test]
fn a_published_check_is_shown_beside_its_document() {
    let own = Operator::new();
    let document = "{\"ok\":false}";
    own.write("answer.json", document);
    own.write("other.json", "{\"ok\":true}");
    let check = |publication: &Publication, person: u8, more: &[&str], want: Result<&str, &str>| {
        own.logged("proof.json", signed(publication, person), ALL);
        let ran = own.run(&[&["log", "show", "@proof.json", "--roster", "@roster.toml"], more].concat());
        let said = ran.json();
        assert_eq!((ran.status, &said["ok"]), (i32::from(want.is_err()), &json!(want.is_ok())), "{said}");
        match want {
            Ok(kind) => {
                assert_eq!((&said["kind"], &said["entry"]), (&json!(kind), &json!(publication.kind())))
            }
            Err(want) => assert!(said["error"].as_str().unwrap().contains(want), "{said}"),
        }
        said
    };
    let (of, document) = (Checked::LiabilitiesAudit, Digest::sha256(&[document.as_bytes()]));
    let findings = vec![finding("all", Verdict::Failed, &["liabilities-audit"], &[])];
    let failed = Publication::Check(Check { of, document, root: None, findings });
    let said = check(&failed, 2, &["--document", "@answer.json"], Ok("check"));
    assert_eq!(
        said["findings"],
        json!([{ "about": "all", "verdict": "failed", "failed": ["liabilities-audit"], "not_made": [] }])
    );
    check(&failed, 2, &[], Ok("check"));
    check(&failed, 2, &["--document", "@other.json"], Err("is of the document"));
    check(&failed, 9, &[], Err("belongs to nobody on the roster"));
    let export = Publication::Export(Export { export: [7; 16], manifest: document });
    check(&export, 2, &[], Ok("handover-export"));
    check(&export, 2, &["--document", "@answer.json"], Err("is handover.exported, want check.published"));
    let blocks = Vec::new();
    let liabilities =
        kuraban_vault::Liabilities { root: document, totals: document, as_of: NOW, blocks, veil: None };
    let said = check(&Publication::Liabilities(liabilities), 2, &[], Ok("liabilities"));
    assert_eq!((&said["root"], &said["as_of_ms"]), (&json!(document.to_string()), &json!(NOW.ms())));
}

#[test]
fn an_audit_that_fails_is_published_as_one_that_holds() {
    let own = Operator::new();
    own.write("holdings.csv", "customer,asset,amount\na,BTC,0.5\nb,BTC,2\n");
    own.write("others.csv", "customer,asset,amount\na,BTC,0.5\nb,BTC,3\n");
    let built = own.done(&[
        "liabilities",
        "build",
        "--holdings",
        "@holdings.csv",
        "--out",
        "@tree",
        "--origin",
        WORLD.origin,
    ]);
    let root = built["root"].as_str().unwrap().to_owned();
    own.done(&["liabilities", "prove", "--dir", "@tree", "--customer", "a", "--out", "@a.kli"]);
    let other = "ab".repeat(32);
    let audit = ["liabilities", "audit", "--dir", "@tree", "--root", &root, "--holdings"];
    let verify = |root| ["liabilities", "verify", "@a.kli", "--root", root];
    for (option, of, ran, about, failed) in [
        (
            "--audit",
            Checked::LiabilitiesAudit,
            own.run(&[&audit[..], &["@holdings.csv"]].concat()),
            &root,
            None,
        ),
        (
            "--audit",
            Checked::LiabilitiesAudit,
            own.run(&[&audit[..], &["@others.csv"]].concat()),
            &root,
            Some("liabilities-audit"),
        ),
        ("--inclusion", Checked::LiabilitiesInclusion, own.run(&verify(&root)), &root, None),
        (
            "--inclusion",
            Checked::LiabilitiesInclusion,
            own.run(&verify(&other)),
            &other,
            Some("liabilities-inclusion"),
        ),
    ] {
        assert_eq!(ran.status, i32::from(failed.is_some()), "{}{}", ran.out, ran.err);
        own.write("answer.json", &ran.out);
        let verdict = if failed.is_some() { Verdict::Failed } else { Verdict::Verified };
        let names: Vec<&str> = failed.into_iter().collect();
        let findings = vec![finding("all", verdict, &names, &[])];
        let (document, root) = (Digest::sha256(&[ran.out.as_bytes()]), Some(digest(about)));
        let want = Publication::Check(Check { of, document, root, findings });
        own.publishes(&["liabilities", "publish", option, "@answer.json"], &want);
    }
    own.write("answer.json", "{\"ok\":true}");
    let to = ["--writer", "http://127.0.0.1:9", "--roster", "@roster.toml", "--key", "@key"];
    let ran = own.run(&[&["liabilities", "publish", "--audit", "@answer.json"], &to[..]].concat());
    assert!(ran.status == 2 && ran.err.contains("no root"), "{}", ran.err);
}
