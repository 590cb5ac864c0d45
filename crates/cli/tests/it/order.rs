//! `kuraban order`: a quorum's order goes from hand to hand as a file, and is signed for the own log alone.

use std::fs;

use kuraban_api::{BreakerReset, SignerResume};
use kuraban_base::{Asset, Digest};
use kuraban_vault::{
    Approval, Charter, OrderNeed, Policy, RESET, RESUME, Roster, Vault,
    body::{reset_digest, resume_digest},
    breaker::Service,
};
use serde_json::{Value, json};

use crate::{
    approve::Home,
    case::{Case, WORLD},
    run::{Ran, run},
    server::Server,
};

/// A writer whose breaker closed withdrawals and deposits of BTC at epoch 3, and whose signer-2 gave 7 receipts.
fn writer() -> Server {
    writer_at(3, 0, 201)
}

fn writer_at(epoch: u64, resumed: u64, answer: u16) -> Server {
    Server::start(move |asked| {
        let body = |value: Value| value.to_string().into_bytes();
        let cell = |service: &str| json!({ "service": service, "asset": "BTC", "stage": "closed" });
        let alarm = |number: u64| {
            json!({ "number": number, "by": "watcher-1", "rule": "unexplained-spend", "subject": "s", "asset": "BTC",
                "detail": format!("spend {number}\u{1b}[2J"), "at_ms": 1_760_000_000_000_u64, "evidence_tx": null })
        };
        match (asked.method.as_str(), asked.path.as_str()) {
            ("GET", "/v1/breaker") => (
                200,
                body(json!({ "epoch": epoch, "origin": "elsewhere",
                    "tightened": [cell("withdrawal"), cell("deposit")] })),
            ),
            // Two pages, so that following them is tested too.
            ("GET", "/v1/alarms") => {
                (200, body(json!({ "alarms": (0..4).map(alarm).collect::<Vec<_>>(), "next": 4 })))
            }
            ("GET", "/v1/alarms?from=4") => {
                (200, body(json!({ "alarms": (4..7).map(alarm).collect::<Vec<_>>(), "next": null })))
            }
            ("GET", "/v1/signers") => (
                200,
                body(json!({ "origin": "elsewhere", "signers": [
                    { "id": "signer-2", "receipts": 7, "resumed": resumed }] })),
            ),
            ("POST", "/v1/breaker/reset") if answer == 201 => (201, body(json!({ "epoch": epoch }))),
            ("POST", "/v1/signers/resume") if answer == 201 => {
                (201, body(json!({ "id": "signer-2", "receipts": 7, "resumed": 7 })))
            }
            ("POST", _) => (
                answer,
                body(json!({ "type": "about:blank", "title": "Conflict", "status": answer,
                    "code": "reset-not-ordered", "detail": "it was late", "reasons": [] })),
            ),
            (_, _) => (404, Vec::new()),
        }
    })
}

struct Desk {
    home: Home,
    server: Server,
}

impl Desk {
    fn new(server: Server) -> Self {
        Self { home: Home::of(&Case::honest()), server }
    }

    fn run(&self, command: &[&str], person: Option<u8>) -> Ran {
        let mut args = self.home.args(&[&["order"], command].concat(), &self.server.url);
        if let Some(person) = person {
            args.extend(["--key".to_owned(), self.home.key(person), "--yes".to_owned()]);
        }
        run(args.iter().map(String::as_str).chain(["--json"]))
    }

    fn file(&self) -> String {
        self.home.path("order.json")
    }

    fn reset(&self, person: u8, more: &[&str]) -> Ran {
        let file = self.file();
        self.run(&[&["reset", "--out", &file], more].concat(), Some(person))
    }

    fn posted(&self) -> Vec<(String, String)> {
        let asked = self.server.asked().into_iter().filter(|asked| asked.method == "POST");
        asked.map(|asked| (asked.path, asked.body)).collect()
    }
}

/// What a fold asks of these signatures.
fn needs(namespace: &'static str, digest: Digest, pems: &[String]) -> Vec<OrderNeed> {
    let case = Case::honest();
    let vault = Vault::from_toml(&case.vault).unwrap();
    let roster = Roster::from_toml(&case.roster).unwrap();
    let charter = Charter::new(roster, Policy::from_toml(&case.policy).unwrap(), vec![vault]).unwrap();
    let approvals: Vec<_> = pems.iter().map(|pem| Approval::parse(pem).unwrap()).collect();
    charter.order_needs(namespace, digest, &approvals).unwrap()
}

#[test]
fn two_people_open_the_breaker_with_one_file() {
    let desk = Desk::new(writer());
    let first = desk.reset(2, &[]);
    assert_eq!(first.status, 0, "{}{}", first.out, first.err);
    let json = first.json();
    assert_eq!((&json["signed"], &json["person"]), (&json!(true), &json!("approver-1")));
    assert_eq!(json["needs"], json!([{ "group": "approvers", "have": 1, "want": 2 }]));
    // One is not enough, and is not sent.
    let early = desk.run(&["send", &desk.file()], None);
    assert_eq!((early.status, desk.posted()), (1, Vec::new()), "{}", early.out);
    assert!(early.json()["error"].as_str().unwrap().contains("1 of approvers"), "{}", early.out);

    let second = desk.run(&["sign", &desk.file()], Some(3));
    assert_eq!((second.status, &second.json()["needs"][0]["have"]), (0, &json!(2)), "{}", second.err);
    let sent = desk.run(&["send", &desk.file()], None);
    assert_eq!((sent.status, &sent.json()["sent"]), (0, &json!(true)), "{}", sent.err);
    let posted = desk.posted();
    let [(path, body)] = posted.as_slice() else { panic!("{posted:?}") };
    assert_eq!(path, "/v1/breaker/reset");
    let order: BreakerReset = serde_json::from_str(body).unwrap();
    assert_eq!((order.epoch, order.cells.len()), (3, 2));
    let cells = [(Service::Withdrawal, Asset::Btc), (Service::Deposit, Asset::Btc)];
    // The digest is over the own log's name, whatever the writer calls its log.
    let needs = needs(RESET, reset_digest(WORLD.origin, 3, &cells), &order.approvals);
    assert!(needs.iter().all(OrderNeed::is_met), "{needs:?}");
}

#[test]
fn a_signer_is_let_resume_where_its_receipts_end() {
    let desk = Desk::new(writer());
    let file = desk.file();
    let ran = desk.run(&["resume", "signer-2", "--out", &file], Some(2));
    assert_eq!(ran.status, 0, "{}{}", ran.out, ran.err);
    assert_eq!(desk.run(&["sign", &file], Some(4)).status, 0);
    assert_eq!(desk.run(&["send", &file], None).status, 0);
    let order: SignerResume = serde_json::from_str(&desk.posted()[0].1).unwrap();
    assert_eq!((order.id.as_str(), order.receipts), ("signer-2", 7));
    let digest = resume_digest(WORLD.origin, &"signer-2".parse().unwrap(), 7);
    assert!(needs(RESUME, digest, &order.approvals).iter().all(OrderNeed::is_met));
}

#[test]
fn what_is_signed_is_shown_with_the_last_alarms_and_no_escape_codes() {
    let desk = Desk::new(writer());
    let ran = desk.reset(2, &["--cell", "withdrawal:BTC"]);
    for want in ["withdrawal:BTC", "at epoch", "spend 6", "spend 2", "by the writer's word", "0/2 approvers"]
    {
        assert!(ran.err.contains(want), "{} lacks {want}", ran.err);
    }
    assert!(!ran.err.contains('\u{1b}') && !ran.err.contains("spend 1"), "{}", ran.err);
    assert_eq!(ran.json()["order"]["reset"]["cells"], json!([{ "service": "withdrawal", "asset": "BTC" }]));
}

#[test]
fn a_signature_that_would_not_help_is_not_made() {
    let check = |name: &str, server: Server, command: &[&str], person: u8, want: &str| {
        let desk = Desk::new(server);
        let file = desk.file();
        let command: Vec<&str> =
            command.iter().map(|arg| if *arg == "FILE" { &*file } else { arg }).collect();
        let ran = desk.run(&command, Some(person));
        assert_eq!(ran.status, 1, "{name}: {}{}", ran.out, ran.err);
        let error = ran.json()["error"].as_str().unwrap().to_owned();
        assert!(error.contains(want), "{name}: {error}");
        assert!(fs::metadata(&file).is_err(), "{name}: a file was left behind");
    };
    let reset = ["reset", "--out", "FILE"];
    let resume = ["resume", "signer-2", "--out", "FILE"];
    let other = ["reset", "--out", "FILE", "--cell", "withdrawal:LTC"];
    check("a stranger", writer(), &reset, 9, "belongs to nobody");
    check("a cell that is open", writer(), &other, 2, "withdrawal:LTC is open");
    check("a signer that has resumed", writer_at(3, 7, 201), &resume, 2, "nothing to order");
}

#[test]
fn one_person_signs_once_and_an_old_order_is_refused() {
    let desk = Desk::new(writer());
    assert_eq!(desk.reset(2, &[]).status, 0);
    let before = fs::read(desk.file()).unwrap();
    let again = desk.run(&["sign", &desk.file()], Some(2));
    assert_eq!(again.status, 1);
    assert!(again.json()["error"].as_str().unwrap().contains("approver-1 has signed it already"));
    // A second order does not replace the first.
    assert_eq!(desk.reset(3, &[]).status, 2);
    assert_eq!(fs::read(desk.file()).unwrap(), before);

    let later = Desk { home: desk.home, server: writer_at(4, 0, 201) };
    for ran in [later.run(&["sign", &later.file()], Some(3)), later.run(&["send", &later.file()], None)] {
        assert_eq!(ran.status, 1);
        assert!(
            ran.json()["error"].as_str().unwrap().contains("epoch 3, the breaker is at 4"),
            "{}",
            ran.out
        );
    }
}

#[test]
fn a_refusal_by_the_writer_is_an_answer() {
    let desk = Desk::new(writer_at(3, 0, 409));
    assert_eq!(desk.reset(2, &[]).status, 0);
    assert_eq!(desk.run(&["sign", &desk.file()], Some(3)).status, 0);
    let ran = desk.run(&["send", &desk.file()], None);
    assert_eq!((ran.status, &ran.json()["refused"]["code"]), (1, &json!("reset-not-ordered")), "{}", ran.out);
}

#[test]
fn a_file_that_was_tampered_with_is_named() {
    let desk = Desk::new(writer());
    assert_eq!(desk.reset(2, &[]).status, 0);
    let honest: Value = serde_json::from_slice(&fs::read(desk.file()).unwrap()).unwrap();
    let check = |name: &str, change: fn(&mut Value), want: &str| {
        let mut order = honest.clone();
        change(&mut order);
        fs::write(desk.file(), order.to_string()).unwrap();
        let ran = desk.run(&["sign", &desk.file()], Some(3));
        assert_eq!(ran.status, 2, "{name}: {}{}", ran.out, ran.err);
        assert!(
            ran.err.contains(want) && ran.err.contains("order.json") == (name != "epoch" && name != "cells"),
            "{name}: {}",
            ran.err
        );
        assert_eq!(fs::read_to_string(desk.file()).unwrap(), order.to_string(), "{name}");
    };
    check("another log", |order| order["origin"] = json!("else.example/log"), "an order for the log");
    check("epoch", |order| order["order"]["reset"]["epoch"] = json!(2), "is not over this digest");
    check(
        "cells",
        |order| {
            drop(order["order"]["reset"]["cells"].as_array_mut().unwrap().pop());
        },
        "is not over this digest",
    );
    check("no cells", |order| order["order"]["reset"]["cells"] = json!([]), "there are none");
    check("no service", |order| order["order"]["reset"]["cells"][0]["service"] = json!("x"), "is not known");
    check("unknown key", |order| order["note"] = json!("x"), "unknown field");
    check("approvals", |order| order["approvals"][0] = json!("x"), "not an SSH signature");
}
