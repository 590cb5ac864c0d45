//! Every message, entry body and statement: read as it was written, and refused when anything about it is changed.

use core::fmt::Debug;

use kuraban_base::{
    Asset, Digest, Height, Instant, TreeHash, Txid,
    cbor::{CborError, Value},
};
use kuraban_chain::btc::{Script, TxOut};
use kuraban_vault::{
    APPROVE, DatedBy, Liabilities, Payout, Publication, REQUEST,
    body::{Alarm, BODY_MAX, Body, Evidence},
    breaker::{Service, Stage, Trip},
    publication::{Check, Checked, Claims, Export, Finding, Import, Verdict},
    receipt::{Lease, Permit, Receipt},
    signer::Change,
    statement::{Signed, Statement},
    wire::{
        ENTRIES_MAX, ITEMS_MAX, InputSignature, LogEntry, Refused, ReleaseItem, Request, Response,
        SIGNATURES_MAX, SignItem,
    },
};

use crate::kit;

fn payout() -> Payout {
    Payout { memo: Some("ref 7".to_owned()), ..kit::payout("w-1", 9, 100_000_000) }
}

fn liabilities() -> Liabilities {
    let block = DatedBy { chain: "btc".to_owned(), height: 7, hash: [8; 32] };
    let (root, totals) = (Digest::sha256(&[b"root"]), Digest::sha256(&[b"totals"]));
    Liabilities { root, totals, as_of: kit::NOW, blocks: vec![block], veil: None }
}

fn txid() -> Txid {
    Txid::from_bytes([5; 32])
}

fn signed<T: Statement>(claim: T) -> Signed<T> {
    Signed::sign(claim, &kit::statement(1))
}

fn receipt() -> Receipt {
    let payout = payout();
    let digest = payout.digest(&kit::charter().context());
    let (by, outflow) = (kit::machine(1), payout.amount);
    Receipt { by, payout: payout.id, digest, txid: txid(), outflow, seq: 3, at: kit::NOW }
}

fn lease() -> Lease {
    let (by, root) = (kit::machine(4), TreeHash::from_bytes([6; 32]));
    let (challenges, assets) = (vec![[1; 32], [2; 32]], Asset::ALL.into());
    Lease { by, challenges, assets, epoch: 2, size: 40, root, at: kit::NOW }
}

fn permit() -> Permit {
    let tightened = vec![
        (Stage::Delayed, vec![(Service::Deposit, Asset::Btc)]),
        (Stage::Closed, vec![(Service::Withdrawal, Asset::Ltc), (Service::Withdrawal, Asset::Btc)]),
    ];
    Permit { by: kit::machine(4), stream: [8; 32], seq: 9, epoch: 1, tightened, at: kit::NOW }
}

fn evidence() -> Evidence {
    Evidence { tx: vec![1, 2], prevs: vec![vec![3], vec![4, 5]] }
}

fn alarm() -> Alarm {
    Alarm {
        by: kit::machine(4),
        rule: "unexplained-spend".to_owned(),
        subject: "tx".to_owned(),
        asset: Asset::Ltc,
        detail: "in words".to_owned(),
        evidence: Some(evidence()),
        at: kit::NOW,
    }
}

fn trip() -> Trip {
    let (cells, evidence) = (vec![(Service::Withdrawal, Asset::Btc)], Digest::sha256(&[b"alarm"]));
    let (by, rule) = (kit::machine(4), "rule".to_owned());
    Trip { by, cells, stage: Stage::ReduceOnly, rule, evidence, at: kit::NOW }
}

fn entry() -> LogEntry {
    LogEntry { entry: vec![1], salt: [2; 32], body: vec![3, 4] }
}

fn requests() -> Vec<Request> {
    let (checkpoint, lease) = (b"checkpoint".to_vec(), signed(lease()));
    let sign = SignItem { payout: payout().id, txid: txid(), prevs: vec![vec![1], vec![2]] };
    let release = ReleaseItem { payout: payout().id, txid: txid() };
    vec![
        Request::Status,
        Request::Extend { from: 7, entries: vec![entry()], checkpoint: checkpoint.clone(), newest: 8 },
        Request::Lease { challenges: vec![[7; 32]] },
        Request::Sign { checkpoint: checkpoint.clone(), lease: lease.clone(), items: vec![sign] },
        Request::Release { checkpoint, lease, items: vec![release] },
        Request::Trip(signed(trip())),
        Request::Permits { stream: [9; 32] },
        Request::Alarms { from: 3 },
    ]
}

fn input_signature() -> InputSignature {
    InputSignature { input: 1, key: vec![2; 33], signature: vec![3; 71] }
}

fn responses() -> Vec<Response> {
    let refused = || Refused { code: "expired".to_owned(), detail: "in words".to_owned() };
    vec![
        Response::Status { size: 3, epoch: 1 },
        Response::Cosigned { size: 3, line: "— name AAAA".to_owned(), challenge: [4; 32] },
        Response::Behind { size: 3 },
        Response::Lease(Box::new(signed(lease()))),
        Response::Receipts(vec![Ok(signed(receipt())), Err(vec![refused(), refused()])]),
        Response::Signatures(vec![Err(vec![refused()]), Ok(vec![input_signature()])]),
        Response::Tripped,
        Response::Permit(Box::new(signed(permit()))),
        Response::Alarm(Box::new(signed(alarm())), Some(Box::new(signed(trip())))),
        Response::Refused(refused()),
    ]
}

/// The kinds are what entries in every log say, so they never change.
fn bodies() -> Vec<(&'static str, Body)> {
    let context = kit::charter().context();
    let digest = payout().digest(&context);
    let sign = |person: u8, namespace| kit::sign(&kit::person(person), namespace, digest.as_bytes());
    let (payout, txid, tx, approval) = (payout().id, txid(), vec![1, 2, 3], sign(2, APPROVE));
    let (cells, approvals) =
        (vec![(Service::Withdrawal, Asset::Btc)], vec![sign(2, APPROVE), sign(3, APPROVE)]);
    vec![
        (
            "log.opened",
            Body::LogOpened {
                roster: context.roster,
                policy: context.policy,
                vaults: vec![],
                retention_days: 30,
            },
        ),
        (
            "payout.requested",
            Body::PayoutRequested {
                payout: self::payout(),
                key: "k".to_owned(),
                request: Some(sign(1, REQUEST)),
                evidence: Some(evidence()),
            },
        ),
        ("payout.approved", Body::PayoutApproved { payout: payout.clone(), approval }),
        ("payout.refused", Body::PayoutRefused { payout: payout.clone(), codes: vec!["expired".to_owned()] }),
        ("payout.assembled", Body::PayoutAssembled { payout: payout.clone(), tx: tx.clone() }),
        ("payout.receipt", Body::PayoutReceipt(signed(receipt()))),
        ("payout.signed", Body::PayoutSigned { payout: payout.clone(), tx }),
        ("payout.broadcast", Body::PayoutBroadcast { payout: payout.clone(), txid }),
        ("payout.confirmed", Body::PayoutConfirmed { payout: payout.clone(), txid, height: Height::new(7) }),
        ("payout.cancelled", Body::PayoutCancelled { payout: payout.clone(), txid }),
        ("payout.expired", Body::PayoutExpired { payout }),
        ("alarm.raised", Body::AlarmRaised(signed(alarm()))),
        ("breaker.tripped", Body::BreakerTripped(signed(trip()))),
        ("breaker.reset", Body::BreakerReset { cells, epoch: 4, approvals: approvals.clone() }),
        (
            "signer.resumed",
            Body::SignerResumed { signer: kit::machine(1), seq: 5, approvals: approvals.clone() },
        ),
    ]
    .into_iter()
    .chain(
        publications().map(|(kind, publication)| {
            (kind, Body::Published { publication, approval: approvals[0].clone() })
        }),
    )
    .collect()
}

fn publications() -> [(&'static str, Publication); 5] {
    let digest = |text: &[u8]| Digest::sha256(&[text]);
    let finding = Finding {
        about: "BTC".to_owned(),
        verdict: Verdict::NotShown,
        failed: vec!["unspent".to_owned()],
        not_made: vec!["log".to_owned()],
    };
    [
        ("liabilities.published", Publication::Liabilities(liabilities())),
        (
            "claims.published",
            Publication::Claims(Claims {
                root: digest(b"root"),
                statements: 7,
                scheme: digest(b"scheme"),
                replaces: Some(digest(b"before")),
            }),
        ),
        ("handover.exported", Publication::Export(Export { export: [7; 16], manifest: digest(b"manifest") })),
        (
            "handover.imported",
            Publication::Import(Import {
                manifest: digest(b"manifest"),
                receipt: digest(b"receipt"),
                replaces: Some(digest(b"before")),
            }),
        ),
        (
            "check.published",
            Publication::Check(Check {
                of: Checked::ReservesStatement,
                document: digest(b"document"),
                root: Some(digest(b"root")),
                findings: vec![finding],
            }),
        ),
    ]
}

/// Every way to spoil one place of a value: another type there, a field more, a field less. No message has a boolean.
fn spoilt(value: &Value) -> Vec<Value> {
    let mut all = vec![Value::Bool(true)];
    match value {
        Value::Map(fields) => {
            let Value::Map(mut more) = Value::map([("zz", Value::Null)]) else { panic!("a map is a map") };
            more.extend(fields.clone());
            all.push(Value::Map(more));
            for (key, inner) in fields {
                let mut less = fields.clone();
                less.remove(key);
                all.push(Value::Map(less));
                for inner in spoilt(inner) {
                    let mut other = fields.clone();
                    other.insert(key.clone(), inner);
                    all.push(Value::Map(other));
                }
            }
        }
        Value::Array(items) => {
            for (at, inner) in items.iter().enumerate() {
                for inner in spoilt(inner) {
                    let mut other = items.clone();
                    other[at] = inner;
                    all.push(Value::Array(other));
                }
            }
        }
        Value::Bytes(bytes) if bytes.len() == 32 || bytes.len() == 64 => {
            all.push(Value::bytes(&bytes[1..]));
        }
        Value::Uint(_) | Value::Bytes(_) | Value::Text(_) | Value::Bool(_) | Value::Null => {}
    }
    all
}

/// A value is read from its bytes and from nothing that differs from them in one place.
fn check<T: PartialEq + Debug>(value: &T, bytes: &[u8], decode: impl Fn(&[u8]) -> Result<T, CborError>) {
    assert_eq!(decode(bytes).as_ref(), Ok(value));
    for cut in 0..bytes.len() {
        assert!(decode(&bytes[..cut]).is_err(), "{value:?} cut at {cut}");
    }
    assert!(decode(&[bytes, &[0]].concat()).is_err(), "{value:?} and a byte more");
    for other in spoilt(&Value::decode(bytes).unwrap()) {
        assert!(decode(&other.encode()).is_err(), "{value:?} as {other:?}");
    }
}

#[test]
fn a_request_is_read_as_it_was_written_and_nothing_else_is() {
    for request in requests() {
        check(&request, &request.encode(), Request::decode);
    }
    let unknown = Request::decode(&Value::map([("status ", Value::Null)]).encode());
    assert_eq!(unknown.unwrap_err().to_string(), "message: \"status \" is not a known request");
}

#[test]
fn a_response_is_read_as_it_was_written_and_nothing_else_is() {
    for response in responses() {
        check(&response, &response.encode(), Response::decode);
    }
    let bare = Response::Alarm(Box::new(signed(alarm())), None);
    check(&bare, &bare.encode(), Response::decode);
    // One message at a time, and answers of two kinds only.
    let two = Value::map([("tripped", Value::Null), ("behind", Value::Null)]);
    assert!(Response::decode(&two.encode()).is_err());
    let answer = |name| Value::map([("receipts", Value::array([Value::map([(name, Value::array([]))])]))]);
    assert_eq!(Response::decode(&answer("refused").encode()), Ok(Response::Receipts(vec![Err(Vec::new())])));
    let strange = Response::decode(&answer("taken").encode()).unwrap_err().to_string();
    assert_eq!(strange, "answers: \"taken\", want given or refused");
}

#[test]
fn liabilities_are_dated_by_at_most_64_blocks() {
    for (count, want) in [(0, true), (1, true), (64, true), (65, false)] {
        let mut one = liabilities();
        one.blocks = vec![one.blocks[0].clone(); count];
        assert_eq!(Liabilities::from_value(one.to_value()).is_ok(), want, "{count}");
    }
}

/// Entries from before there was a veil are read as ever, and a veil that is taken off or put on is not what was signed.
#[test]
fn liabilities_have_a_veil_or_are_without() {
    let bare = liabilities();
    let veiled = Liabilities { veil: Some(Digest::sha256(&[b"veil"])), ..bare.clone() };
    for one in [&bare, &veiled] {
        assert_eq!(Liabilities::from_value(one.to_value()).as_ref(), Ok(one));
    }
    assert_ne!(bare.digest(kit::ORIGIN), veiled.digest(kit::ORIGIN));
    let Value::Map(fields) = bare.to_value() else { panic!("liabilities are a map") };
    assert_eq!(fields.len(), 4);
    let Value::Map(with) = veiled.to_value() else { panic!("liabilities are a map") };
    let (key, _) = with.iter().find(|(key, _)| !fields.contains_key(key)).unwrap();
    for wrong in [Value::Null, Value::bytes([7; 31]), Value::text("veil"), Value::Bool(true)] {
        let mut spoilt = with.clone();
        spoilt.insert(key.clone(), wrong);
        assert!(Liabilities::from_value(Value::Map(spoilt)).is_err());
    }
}

#[test]
fn an_entrys_body_is_read_as_it_was_written_and_nothing_else_is() {
    let bodies = bodies();
    for (kind, body) in &bodies {
        assert_eq!(body.kind(), *kind);
        check(body, &body.encode(), |bytes| Body::decode(kind, bytes));
        // What an entry says is bound to its kind, but for two pairs that say alike.
        let read = bodies
            .iter()
            .map(|(other, _)| *other)
            .filter(|other| Body::decode(other, &body.encode()).is_ok());
        let alike: &[&str] = match *kind {
            "payout.assembled" | "payout.signed" => &["payout.assembled", "payout.signed"],
            "payout.broadcast" | "payout.cancelled" => &["payout.broadcast", "payout.cancelled"],
            kind => &[kind],
        };
        assert_eq!(read.collect::<Vec<_>>(), alike);
    }
    let unknown = Body::decode("payout.gone", &Value::map([]).encode()).unwrap_err().to_string();
    assert_eq!(unknown, "kind: \"payout.gone\" is not a known kind of entry");
    let evacuation =
        Body::PayoutRequested { payout: payout(), key: "k".to_owned(), request: None, evidence: None };
    check(&evacuation, &evacuation.encode(), |bytes| Body::decode("payout.requested", bytes));
}

#[test]
fn a_signers_stored_receipt_is_read_as_it_was_written_and_nothing_else_is() {
    let prevouts = vec![
        TxOut { value_sat: 7, script: Script::new(vec![1, 2]) },
        TxOut { value_sat: u64::MAX, script: Script::default() },
    ];
    let row = Change::receipt_row(&receipt(), &prevouts);
    check(&Change::Receipt(receipt(), prevouts), &row, Change::of_receipt_row);
    // More than any output can hold.
    let Value::Map(mut fields) = Value::decode(&row).unwrap() else { panic!("a row is a map") };
    let (_, outputs) = fields.iter_mut().find(|(key, _)| key.as_str() == "prevouts").unwrap();
    *outputs = Value::array([Value::array([Value::uint(u128::from(u64::MAX) + 1), Value::bytes([])])]);
    assert!(Change::of_receipt_row(&Value::Map(fields).encode()).is_err());
}

/// What is read of a list with so many items: how many, if any.
fn counted<T>(what: &str, max: usize, count: impl Fn(usize) -> Result<T, CborError>) {
    assert!(count(max).is_ok(), "{max} {what}");
    let problem = count(max + 1).err().map(|problem| problem.to_string()).unwrap_or_default();
    assert!(problem.contains(&format!("want at most {max}")), "{} {what}: {problem}", max + 1);
}

#[test]
fn a_message_carries_no_more_than_its_bounds() {
    let (checkpoint, lease) = (Vec::new(), signed(lease()));
    counted("challenges", 64, |n| Request::decode(&Request::Lease { challenges: vec![[1; 32]; n] }.encode()));
    counted("entries", ENTRIES_MAX, |n| {
        let entries = vec![entry(); n];
        Request::decode(&Request::Extend { from: 0, entries, checkpoint: Vec::new(), newest: 0 }.encode())
    });
    counted("payouts to sign", ITEMS_MAX, |n| {
        let items = vec![SignItem { payout: payout().id, txid: txid(), prevs: Vec::new() }; n];
        let (checkpoint, lease) = (checkpoint.clone(), lease.clone());
        Request::decode(&Request::Sign { checkpoint, lease, items }.encode())
    });
    counted("payouts to release", ITEMS_MAX, |n| {
        let items = vec![ReleaseItem { payout: payout().id, txid: txid() }; n];
        let (checkpoint, lease) = (checkpoint.clone(), lease.clone());
        Request::decode(&Request::Release { checkpoint, lease, items }.encode())
    });
    counted("receipts", ITEMS_MAX, |n| {
        Response::decode(&Response::Receipts(vec![Err(Vec::new()); n]).encode())
    });
    counted("answers with signatures", ITEMS_MAX, |n| {
        Response::decode(&Response::Signatures(vec![Err(Vec::new()); n]).encode())
    });
    counted("signatures", SIGNATURES_MAX, |n| {
        let one = InputSignature { input: 0, key: Vec::new(), signature: Vec::new() };
        Response::decode(&Response::Signatures(vec![Ok(vec![one; n])]).encode())
    });
}

#[test]
fn a_body_is_four_mebibytes_at_most() {
    assert_eq!(BODY_MAX, 4_194_304);
    let body = |len| Body::PayoutAssembled { payout: payout().id, tx: vec![0; len] }.encode();
    let over = body(BODY_MAX).len() - BODY_MAX;
    let largest = body(BODY_MAX - over);
    assert_eq!(largest.len(), BODY_MAX);
    assert!(Body::decode("payout.assembled", &largest).is_ok());
    let problem = Body::decode("payout.assembled", &body(BODY_MAX - over + 1)).unwrap_err().to_string();
    assert_eq!(problem, "body: 4194305 bytes, want at most 4194304");
}

#[test]
fn a_memo_is_256_bytes_at_most() {
    for (len, want) in [(0, true), (256, true), (257, false)] {
        let payout = Payout { memo: Some("m".repeat(len)), ..payout() };
        let read = Payout::from_value(payout.to_value());
        assert_eq!(read.ok(), want.then_some(payout), "{len} bytes");
    }
    let bare = Payout { memo: None, ..payout() };
    assert_eq!(Payout::from_value(bare.to_value()), Ok(bare));
}

/// One kind of statement is never taken for another, whatever its fields say.
#[test]
fn a_signature_holds_for_one_statement_by_one_key() {
    let stated = signed(receipt());
    let key = kit::statement(1).public();
    assert_eq!(stated.clone().verify(&key).unwrap().claim(), &receipt());
    assert!(stated.clone().verify(&kit::statement(2).public()).is_err());
    let with = |claim: Receipt| {
        let Value::Map(mut fields) = stated.to_value() else { panic!("a statement is a map") };
        let (_, own) = fields.iter_mut().find(|(key, _)| key.as_str() == "claim").unwrap();
        *own = claim.to_value();
        Signed::<Receipt>::from_value(Value::Map(fields)).unwrap().verify(&key)
    };
    assert!(with(receipt()).is_ok());
    assert!(with(Receipt { seq: 4, ..receipt() }).is_err());
    assert!(with(Receipt { at: Instant::from_ms(kit::NOW.ms() + 1), ..receipt() }).is_err());
    assert_eq!(format!("{:?}", kit::statement(1)), "StatementSecret(<redacted>)");
}

#[test]
fn an_approval_is_its_armoured_text() {
    let person = kit::person(2);
    let approval = kit::sign(&person, APPROVE, &[7; 32]);
    assert_eq!(kuraban_vault::Approval::parse(approval.pem()), Ok(approval.clone()));
    assert!(approval.pem().starts_with("-----BEGIN SSH SIGNATURE-----\n"));
    assert_eq!(*approval.key(), person.public_key().key_data().ed25519().unwrap().0);
}
