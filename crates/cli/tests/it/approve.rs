//! `kuraban request` and `kuraban approve` against a writer: what is signed is what was recomputed here, whatever the
//! writer says.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use kuraban_api::{ApprovalSubmit, ApprovalView, PayoutAccepted, PayoutList, PayoutView, Problem, Submit};
use kuraban_base::{Amount, Instant, hex};
use kuraban_vault::{APPROVE, Approval, Payout, PayoutKind, REQUEST, Roster};
use serde_json::{Value, json};
use ssh_key::LineEnding;

use crate::{
    case::{AMOUNT, Case, IMITATION, ROUTINE, WORLD, script, stranger},
    run::{Ran, run},
    server::Server,
    world::{context, payout_json},
};

/// A payout that is valid now, by the clock that the program reads.
pub(crate) fn current(change: impl FnOnce(&mut Payout)) -> Case {
    let mut case = Case::honest();
    let since = std::time::SystemTime::now().duration_since(std::time::SystemTime::UNIX_EPOCH).unwrap();
    let now = Instant::from_ms(u64::try_from(since.as_millis()).unwrap());
    case.payout.not_before = now;
    case.payout.expiry = now.plus_ms(3_600_000);
    change(&mut case.payout);
    case
}

/// What an honest writer shows of the case.
pub(crate) fn view(case: &Case) -> PayoutView {
    let signatures = case.approvals_json();
    let signed = |pem: &Value| {
        let signature = pem.as_str().unwrap().to_owned();
        let key = Approval::parse(&signature).map(|approval| hex::encode(approval.key())).unwrap_or_default();
        ApprovalView { person: None, key, signature }
    };
    let context = context(&case.roster, &case.policy);
    PayoutView {
        payout: serde_json::from_value(payout_json(&case.payout)).unwrap(),
        destination_script: hex::encode(case.payout.destination.as_bytes()),
        asset: "BTC".to_owned(),
        origin: context.origin,
        roster_hash: context.roster.to_string(),
        policy_hash: context.policy.to_string(),
        digest: case.digest().to_string(),
        status: "requested".to_owned(),
        requested_at_ms: 0,
        request: (!signatures["request"].is_null()).then(|| signed(&signatures["request"])),
        approvals: signatures["approvals"].as_array().unwrap().iter().map(signed).collect(),
        transactions: Vec::new(),
        refusals: Vec::new(),
    }
}

/// A writer that shows these payouts and takes whatever is posted.
pub(crate) fn writer(views: Vec<PayoutView>) -> Server {
    Server::start(move |asked| {
        let body = |value: Value| value.to_string().into_bytes();
        let shown = |id: &str| views.iter().find(|view| view.payout.id == id);
        match (asked.method.as_str(), asked.path.as_str()) {
            ("POST", _) => {
                let (id, digest) = (views[0].payout.id.clone(), views[0].digest.clone());
                (201, body(json!(PayoutAccepted { id, digest })))
            }
            ("GET", "/v1/payouts") => {
                // Two pages, so that following them is tested too.
                let payouts = views.iter().take(1).cloned().collect();
                let next = views.get(1).map(|_| views[0].payout.id.clone());
                (200, body(json!(PayoutList { payouts, next })))
            }
            ("GET", path) if path.starts_with("/v1/payouts?after=") => {
                let payouts = views.iter().skip(1).cloned().collect();
                (200, body(json!(PayoutList { payouts, next: None })))
            }
            ("GET", path) => match path.strip_prefix("/v1/payouts/").and_then(shown) {
                Some(view) => (200, body(json!(view))),
                None => (404, Vec::new()),
            },
            (_, _) => (405, Vec::new()),
        }
    })
}

/// The files of a case and a person's key, as somebody has them at home.
pub(crate) struct Home {
    dir: tempfile::TempDir,
}

impl Home {
    pub(crate) fn of(case: &Case) -> Self {
        let home = Self { dir: tempfile::tempdir().unwrap() };
        case.write(home.dir.path());
        home
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.dir.path().join(name).display().to_string()
    }

    /// Writes a person's private key as ssh-keygen does.
    pub(crate) fn key(&self, person: u8) -> String {
        let path = self.path(&format!("key-{person}"));
        let text = WORLD.person(person).to_openssh(LineEnding::LF).unwrap();
        fs::write(&path, text.as_bytes()).unwrap();
        restrict(Path::new(&path), 0o600);
        path
    }

    pub(crate) fn args(&self, command: &[&str], url: &str) -> Vec<String> {
        let mut args: Vec<String> = command.iter().map(|arg| (*arg).to_owned()).collect();
        args.extend(["--writer".to_owned(), url.to_owned()]);
        for option in ["roster", "policy", "vault"] {
            args.extend([format!("--{option}"), self.path(&format!("{option}.toml"))]);
        }
        args
    }

    pub(crate) fn approve(&self, id: &str, person: u8, url: &str, more: &[&str]) -> Ran {
        let mut args = self.args(&["approve", id], url);
        args.extend(["--key".to_owned(), self.key(person)]);
        run(args.iter().map(String::as_str).chain(more.iter().copied()))
    }
}

fn restrict(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn posted(server: &Server) -> Vec<(String, String)> {
    let asked = server.asked().into_iter().filter(|asked| asked.method == "POST");
    asked.map(|asked| (asked.path, asked.body)).collect()
}

#[test]
fn an_approval_is_over_the_digest_that_was_recomputed() {
    let mut case = current(|_| {});
    case.approvals.truncate(1);
    let mut view = view(&case);
    // The writer's own digest counts for nothing.
    view.digest = "00".repeat(32);
    let server = writer(vec![view]);
    let home = Home::of(&case);
    let ran = home.approve("w-1", 3, &server.url, &["--yes", "--json"]);
    assert_eq!(ran.status, 0, "{}{}", ran.out, ran.err);
    let json = ran.json();
    assert_eq!((&json["approved"], &json["person"]), (&json!(true), &json!("approver-2")));
    assert_eq!(json["digest"], json!(case.digest().to_string()));
    assert_eq!(json["needs"], json!([{ "group": "approvers", "have": 2, "want": 2 }]));
    let posted = posted(&server);
    let [(path, body)] = posted.as_slice() else { panic!("{posted:?}") };
    assert_eq!(path, "/v1/payouts/w-1/approvals");
    let submit: ApprovalSubmit = serde_json::from_str(body).unwrap();
    let approval = Approval::parse(&submit.signature).unwrap();
    let roster = Roster::from_toml(&case.roster).unwrap();
    let person = approval.verify(&roster, APPROVE, case.digest().as_bytes()).unwrap();
    assert_eq!(person.as_str(), "approver-2");
}

#[test]
fn what_is_shown_is_what_is_signed() {
    let mut case = current(|payout| payout.kind = PayoutKind::Rebalance);
    case.approvals.truncate(1);
    let server = writer(vec![view(&case)]);
    let ran = Home::of(&case).approve("w-1", 3, &server.url, &["--yes"]);
    for want in [
        "1B6r J6ZK fZmk qMyB Ge5K R27o WkEb QdNM 7P",
        "1 BTC (100000000 base units)",
        "0.0005 BTC",
        "listed by rule rebalance",
        "asked by      requester",
        "approved by   approver-1",
        "still needed  1 of approvers",
        "rebalance",
    ] {
        assert!(ran.err.contains(want), "{} lacks {want}", ran.err);
    }
    let server = writer(vec![view(&case)]);
    let ran = Home::of(&case).approve("w-1", 3, &server.url, &["--yes", "--lang", "ja"]);
    for want in ["宛先", "1B6r J6ZK", "依頼者", "残りの承認"] {
        assert!(ran.err.contains(want), "{} lacks {want}", ran.err);
    }
}

#[test]
fn an_imitation_of_a_known_address_is_marked() {
    let case = current(|payout| payout.destination = script(IMITATION));
    let server = writer(vec![view(&case)]);
    let home = Home::of(&case);
    let ran = home.approve("w-1", 4, &server.url, &["--yes"]);
    let lines = [
        "CAREFUL: the destination looks like a known address and is not it:",
        "  this   1B6r JRfj TXwE y36S Cs5z ofGM mdv2 kdZw 7P",
        "               ^^^ ^^^^ ^^^^ ^^ ^ ^^^^ ^^^^ ^ ^^",
        "  known  1B6r J6ZK fZmk qMyB Ge5K R27o WkEb QdNM 7P",
    ];
    for want in lines {
        assert!(ran.err.contains(want), "{} lacks {want}", ran.err);
    }
    assert!(ran.err.contains("listed by no rule"), "{}", ran.err);
    let listed = run(home.args(&["approve", "--json"], &server.url)).json();
    assert_eq!(listed["payouts"][0]["imitates"], json!([{ "address": ROUTINE, "prefix": 5, "suffix": 2 }]));
}

#[test]
fn what_signers_would_refuse_is_not_signed() {
    type Lie = fn(&mut PayoutView, &Case);
    let check = |name: &str, change: fn(&mut Payout), lie: Lie, person: u8, want: &[&str]| {
        let mut case = current(change);
        case.approvals.truncate(1);
        let mut view = view(&case);
        lie(&mut view, &case);
        let server = writer(vec![view]);
        let ran = Home::of(&case).approve("w-1", person, &server.url, &["--yes", "--json"]);
        assert_eq!(ran.status, 1, "{name}: {}{}", ran.out, ran.err);
        let json = ran.json();
        let codes: Vec<_> = json["reasons"]
            .as_array()
            .unwrap()
            .iter()
            .map(|reason| reason["code"].as_str().unwrap())
            .collect();
        assert_eq!((codes.as_slice(), &json["approved"]), (want, &json!(false)), "{name}");
        assert_eq!(posted(&server), [], "{name}");
    };
    let honest: Lie = |_, _| {};
    let none = |_: &mut Payout| {};
    // A writer that shows another destination than was asked for cannot have the requester's signature over it.
    check(
        "altered destination",
        none,
        |view, _| view.payout.destination = IMITATION.to_owned(),
        3,
        &["request-unsigned"],
    );
    check("altered amount", none, |view, _| view.payout.amount += 1, 3, &["request-unsigned"]);
    check("no request", none, |view, _| view.request = None, 3, &["request-unsigned"]);
    check("the requester", none, honest, 1, &["requester-approves"]);
    check("a stranger", none, honest, 9, &["approval-unknown-key"]);
    check("again", none, honest, 2, &["approval-repeated"]);
    check("expired", |payout| payout.expiry = payout.not_before, honest, 3, &["expired"]);
    check("no rule", |payout| payout.kind = PayoutKind::Fee, honest, 3, &["no-rule"]);
    check(
        "too much",
        |payout| {
            payout.amount = Amount::new(500_000_001);
            payout.kind = PayoutKind::Rebalance;
        },
        honest,
        3,
        &["limit-per-payout"],
    );
    check(
        "not listed",
        |payout| {
            payout.destination = stranger(5);
            payout.kind = PayoutKind::Rebalance;
        },
        honest,
        3,
        &["destination-not-listed"],
    );
}

#[test]
fn approvals_over_something_else_do_not_count() {
    let case = current(|_| {});
    let mut view = view(&case);
    let other = Payout { amount: Amount::from(AMOUNT - 1), ..case.payout.clone() };
    let digest = other.digest(&context(&case.roster, &case.policy));
    for approval in &mut view.approvals {
        approval.signature = WORLD.sign(2, APPROVE, digest);
        approval.person = Some("approver-1".to_owned());
    }
    let server = writer(vec![view]);
    let listed = run(Home::of(&case).args(&["approve", "--json"], &server.url)).json();
    assert_eq!(listed["payouts"][0]["needs"], json!([{ "group": "approvers", "have": 0, "want": 2 }]));
}

#[test]
fn open_payouts_are_listed_over_all_pages_and_ended_ones_are_not() {
    let one = current(|_| {});
    let two = current(|payout| payout.id = "w-2".parse().unwrap());
    let three = current(|payout| payout.id = "w-3".parse().unwrap());
    let mut ended = view(&three);
    ended.status = "confirmed".to_owned();
    let mut hostile = view(&current(|payout| payout.id = "w-4".parse().unwrap()));
    hostile.payout.id = "\u{1b}[2Jw-4".to_owned();
    let server = writer(vec![view(&one), view(&two), ended, hostile]);
    let home = Home::of(&one);
    let ran = run(home.args(&["approve", "--json"], &server.url));
    let json = ran.json();
    let ids: Vec<_> =
        json["payouts"].as_array().unwrap().iter().map(|look| look["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["w-1", "w-2"]);
    assert!(json["unreadable"][0]["error"].as_str().unwrap().contains("payout id has"), "{json}");
    let text = run(home.args(&["approve"], &server.url));
    assert!(!text.out.contains('\u{1b}'), "{:?}", text.out);
}

#[test]
fn nobody_signs_without_being_asked() {
    let case = current(|_| {});
    let server = writer(vec![view(&case)]);
    let ran = Home::of(&case).approve("w-1", 4, &server.url, &[]);
    assert_eq!(ran.status, 2, "{}", ran.err);
    assert!(ran.err.contains("no terminal to ask at"), "{}", ran.err);
    assert_eq!(posted(&server), []);
}

/// Runs the program on a terminal of its own, by util-linux' `script`, with lines typed in; `None` where there is none.
pub(crate) fn on_terminal(args: &[String], typed: &str) -> Option<String> {
    let program = env!("CARGO_BIN_EXE_kuraban");
    let line = format!("{program} {}", args.join(" "));
    let mut command = Command::new("script");
    command
        .args(["-qec", &line, "/dev/null"])
        .env("LC_ALL", "C")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let Ok(mut child) = command.spawn() else {
        println!("skipped: there is no script(1) to make a terminal with");
        return None;
    };
    use std::io::Write as _;
    child.stdin.take().unwrap().write_all(typed.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    Some(format!("{:?} {}", output.status.code(), String::from_utf8_lossy(&output.stdout)))
}

#[test]
fn the_end_of_the_destination_is_asked_for_even_with_yes() {
    let check = |typed: &str, more: &[&str], status: &str, count: usize| {
        let mut case = current(|_| {});
        case.approvals.truncate(1);
        let server = writer(vec![view(&case)]);
        let home = Home::of(&case);
        let mut args = home.args(&["approve", "w-1"], &server.url);
        args.extend(["--key".to_owned(), home.key(3)]);
        args.extend(more.iter().map(|more| (*more).to_owned()));
        let Some(out) = on_terminal(&args, typed) else { return };
        assert!(out.starts_with(status), "{out}");
        assert_eq!(posted(&server).len(), count, "{out}");
    };
    check("QdNM7P\n", &[], "Some(0)", 1);
    check("dNM7P\n", &[], "Some(1)", 0);
    check("qdnm7p\n", &["--yes"], "Some(1)", 0);
    check("\n", &["--yes"], "Some(1)", 0);
}

#[test]
fn keys_that_others_can_read_are_not_used() {
    let case = current(|_| {});
    let server = writer(vec![view(&case)]);
    let home = Home::of(&case);
    let key = home.key(4);
    restrict(Path::new(&key), 0o640);
    let mut args = home.args(&["approve", "w-1", "--yes", "--key"], &server.url);
    args.insert(4, key);
    let ran = run(&args);
    assert_eq!(ran.status, 2, "{}", ran.err);
    assert!(ran.err.contains("others can read it (mode 640)"), "{}", ran.err);
}

#[test]
fn a_request_is_signed_and_sent_under_an_idempotency_key() {
    let case = current(|_| {});
    let server = writer(vec![view(&case)]);
    let home = Home::of(&case);
    let ask = |more: &[&str]| {
        let mut args = home.args(&["request", &home.path("payout.json"), "--json"], &server.url);
        args.extend(["--key".to_owned(), home.key(1)]);
        run(args.iter().map(String::as_str).chain(more.iter().copied()))
    };
    let ran = ask(&[]);
    assert_eq!(ran.status, 0, "{}{}", ran.out, ran.err);
    assert_eq!(ask(&["--idempotency-key", "attempt-1"]).status, 0);
    let json = ran.json();
    assert_eq!((&json["requested"], &json["digest"]), (&json!(true), &json!(case.digest().to_string())));
    let asked = server.asked();
    let keys: Vec<_> = asked
        .iter()
        .flat_map(|asked| &asked.headers)
        .filter(|(name, _)| name == "idempotency-key")
        .map(|(_, value)| value.as_str())
        .collect();
    assert_eq!(keys, [case.digest().to_string().as_str(), "attempt-1"]);
    let submit: Submit = serde_json::from_str(&asked[0].body).unwrap();
    let request = Approval::parse(&submit.request_signature).unwrap();
    let roster = Roster::from_toml(&case.roster).unwrap();
    assert!(request.verify(&roster, REQUEST, case.digest().as_bytes()).is_ok());
    assert_eq!(serde_json::to_value(&submit.payout).unwrap(), payout_json(&case.payout));
}

#[test]
fn a_request_that_signers_would_refuse_is_not_sent() {
    let case = current(|payout| payout.kind = PayoutKind::Fee);
    let server = writer(vec![view(&case)]);
    let home = Home::of(&case);
    let mut args = home.args(&["request", &home.path("payout.json"), "--json"], &server.url);
    args.extend(["--key".to_owned(), home.key(1)]);
    let ran = run(&args);
    assert_eq!((ran.status, &ran.json()["reasons"][0]["code"]), (1, &json!("no-rule")));
    assert_eq!(posted(&server), []);
}

#[test]
fn a_writers_refusal_is_an_answer_and_its_failure_is_none() {
    let case = current(|_| {});
    let home = Home::of(&case);
    let check = |status: u16, body: Vec<u8>, want: i32, words: &str| {
        let server = Server::start(move |_| (status, body.clone()));
        let mut args = home.args(&["request", &home.path("payout.json"), "--json"], &server.url);
        args.extend(["--key".to_owned(), home.key(1)]);
        let ran = run(&args);
        assert_eq!(ran.status, want, "{}{}", ran.out, ran.err);
        assert!(ran.out.contains(words), "{} lacks {words}", ran.out);
    };
    let mut problem =
        Problem::new(409, "payout-exists", "It exists", "w-1 has other fields\u{1b}[2J".to_owned());
    problem.reasons.push(kuraban_api::ReasonView { code: "expired".to_owned(), detail: "late".to_owned() });
    check(409, json!(problem).to_string().into_bytes(), 1, "payout-exists");
    check(409, json!(problem).to_string().into_bytes(), 1, "other fields\\\\u{1b}");
    check(400, b"<html>".to_vec(), 1, "http-400");
    check(500, Vec::new(), 3, "HTTP status 500");
    check(302, Vec::new(), 3, "HTTP status 302");
    check(201, b"{}".to_vec(), 3, "missing field");
    let other = json!(PayoutAccepted { id: "w-1".to_owned(), digest: "00".repeat(32) });
    check(201, other.to_string().into_bytes(), 3, "another roster or policy");
}

#[test]
fn a_payout_that_another_person_requested_before_is_not_reported_as_ones_own() {
    let case = current(|_| {});
    let server = writer(vec![view(&case)]);
    let home = Home::of(&case);
    let ask = |person: u8, json: &[&str]| {
        let mut args = home.args(&["request", &home.path("payout.json")], &server.url);
        args.extend(["--key".to_owned(), home.key(person)]);
        run(args.iter().map(String::as_str).chain(json.iter().copied()))
    };
    assert_eq!(ask(1, &[]).out, "requested: w-1\n");
    let ran = ask(2, &[]);
    assert_eq!(
        (ran.status, ran.out.as_str()),
        (1, "w-1 was requested before, by requester; nothing changed\n")
    );
    let json = ask(2, &["--json"]).json();
    assert_eq!((&json["requested"], &json["requested_before_by"]), (&json!(false), &json!("requester")));
}

#[test]
fn a_payout_that_has_ended_is_not_approved() {
    let check = |status: &str, want: i32| {
        let mut case = current(|_| {});
        case.approvals.truncate(1);
        let server = writer(vec![PayoutView { status: status.to_owned(), ..view(&case) }]);
        let ran = Home::of(&case).approve("w-1", 3, &server.url, &["--yes"]);
        assert_eq!(ran.status, want, "{}{}", ran.out, ran.err);
        assert!(ran.err.contains(&format!("status        {status}\n")), "{}", ran.err);
        assert_eq!(posted(&server).is_empty(), want == 1);
        if want == 1 {
            let words = format!("not approved: payout w-1 has ended, the writer says: {status}\n");
            assert_eq!(ran.out, words);
        }
    };
    for open in ["requested", "assembled"] {
        check(open, 0);
    }
    for ended in ["confirmed", "refused", "cancelled", "expired"] {
        check(ended, 1);
    }
}

#[test]
fn a_file_that_is_no_private_key_is_called_what_it_is() {
    let case = current(|_| {});
    let home = Home::of(&case);
    let whole = WORLD.person(1).to_openssh(LineEnding::LF).unwrap();
    let check = |text: &str, mode: u32, want: &str| {
        let path = home.path("some-key");
        fs::write(&path, text).unwrap();
        restrict(Path::new(&path), mode);
        let mut args = home.args(&["request", &home.path("payout.json"), "--key"], "http://127.0.0.1:1");
        args.insert(3, path);
        let ran = run(&args);
        assert_eq!(ran.status, 2, "{}", ran.err);
        assert!(ran.err.contains(want), "{} lacks {want}", ran.err);
    };
    check("ssh-ed25519 AAAA me", 0o644, "is a public key, give the file without .pub");
    check(&whole, 0o644, "others can read it");
    check(&whole[..whole.len() / 2], 0o600, "is not a whole OpenSSH private key");
    check("hello", 0o600, "is no OpenSSH private key");
}
