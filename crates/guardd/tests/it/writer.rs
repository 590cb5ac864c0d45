//! The writer as people and services meet it: its HTTP contract, its store, its log.

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead as _, BufReader, Write as _},
    net::TcpStream,
};

use kuraban_api as api;
use kuraban_proof::{Entry, Opening, Resource, SignedCheckpoint, verify_log};
use kuraban_vault::{APPROVE, Publication, REQUEST, body::Body};
use serde_json::{Value, json};

use crate::{
    exchange::{Exchange, Writer, approval, raw, submission},
    kit,
    place::charter,
    process::{LONG, ended, free, request, until},
};

/// A writer that nobody else is there for.
fn alone() -> (Writer, crate::process::Process) {
    let writer = Writer::new(&free().to_string());
    let process = writer.start();
    (writer, process)
}

#[track_caller]
fn problem(answer: &crate::process::Answer, status: u16, code: &str) -> api::Problem {
    assert_eq!(answer.status, status, "{}", answer.body);
    assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    let problem: api::Problem = serde_json::from_str(&answer.body).unwrap();
    assert_eq!((problem.status, problem.code.as_str()), (status, code), "{problem:?}");
    assert_eq!(problem.kind, format!("urn:kuraban:problem:{code}"));
    problem
}

/// Sends a request for payout `w` with one field replaced, and the signature as it was.
#[track_caller]
fn refused(writer: &Writer, pointer: &str, value: Value, status: u16, code: &str, says: &str) {
    let mut submission = submission(&writer.payout("w", 9, 100_000));
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    submission.pointer_mut(parent).unwrap()[name] = value;
    let answer = writer.submit(&submission, "refused").unwrap();
    let problem = problem(&answer, status, code);
    let reasons: String = problem.reasons.iter().map(|reason| format!("\n{}", reason.code)).collect();
    let text = problem.detail + &reasons;
    assert!(text.contains(says), "{pointer}: {text}");
}

#[test]
fn malformed_requests_are_refused_with_the_field_named_and_nothing_is_logged() {
    let (writer, _process) = alone();
    let check = |pointer: &str, value: Value, code: &str, says: &str| {
        refused(&writer, pointer, value, 400, code, says);
    };
    let field = |pointer: &str, value: Value, says: &str| check(pointer, value, "field-malformed", says);
    let body = |pointer: &str, value: Value, says: &str| check(pointer, value, "body-malformed", says);
    field("/payout/id", json!("a/b"), "payout id has '/' at character 2");
    field("/payout/id", json!("a".repeat(65)), "payout id has 65 bytes");
    field("/payout/kind", json!("gift"), "payout kind \"gift\" is not known");
    field("/payout/network", json!("dogecoin"), "dogecoin");
    field("/payout/destination", json!("bcrt1qqqqq"), "destination: ");
    field("/payout/destination", json!("1B6rJ6ZKfZmkqMyBGe5KR27oWkEbQdNM7P"), "destination: ");
    field("/payout/memo", json!("m".repeat(257)), "memo: 257 bytes");
    field("/payout/expiry_ms", json!(1), "expiry_ms: 1 is not after not_before_ms");
    field("/request_signature", json!("-----BEGIN"), "request_signature: not an SSH signature");
    field("/request_signature", json!("-".repeat(2049)), "2049 bytes, want at most 2048");
    body("/payout/amount", json!(-1), "invalid value: integer `-1`, expected u64");
    body("/payout/amount", json!(0.5), "invalid type: floating point `0.5`, expected u64");
    body("/payout/amount", json!("1"), "invalid type: string \"1\", expected u64");
    body("/payout", json!({ "id": "w" }), "missing field");
    body("/payout", json!([]), "invalid length 0");
    let list: api::PayoutList = writer.read("/v1/payouts");
    assert_eq!((list.payouts, list.next), (Vec::new(), None));
}

#[test]
fn requests_that_the_policy_refuses_name_every_broken_rule() {
    let (writer, _process) = alone();
    let check = |pointer: &str, value: Value, says: &str| {
        // The signature is over the payout as it was, so that rule is broken too.
        refused(&writer, pointer, value.clone(), 422, "refused", says);
        refused(&writer, pointer, value, 422, "refused", "request-unsigned");
    };
    check("/payout/amount", json!(0), "amount-too-small");
    check("/payout/amount", json!(545), "amount-too-small");
    check("/payout/amount", json!(500_000_001), "limit-per-payout");
    check("/payout/amount", json!(u64::MAX), "limit-per-payout");
    check("/payout/kind", json!("rebalance"), "destination-not-listed");
    check("/payout/kind", json!("fee"), "no-rule");
    check("/payout/expiry_ms", json!(writer.payout("w", 9, 1).not_before.ms() + 1), "expired");
    refused(&writer, "/payout/vault", json!("warm"), 422, "vault-unknown", "vault warm is not known");

    let payout = writer.payout("w", 9, 100_000);
    let digest = payout.digest(&charter().context());
    for (person, namespace, code) in [(7, REQUEST, "request-unsigned"), (1, APPROVE, "request-unsigned")] {
        let mut submission = submission(&payout);
        submission["request_signature"] =
            kit::sign(&kit::person(person), namespace, digest.as_bytes()).pem().into();
        let answer = problem(&writer.submit(&submission, "k").unwrap(), 422, "refused");
        assert_eq!(answer.reasons.first().map(|reason| reason.code.as_str()), Some(code));
    }
    assert_eq!(writer.read::<api::PayoutList>("/v1/payouts").payouts, Vec::new());
    let answer = writer.get("/metrics").unwrap();
    assert!(answer.body.contains("\nkuraban_log_size 1\n"), "{}", answer.body);
}

#[test]
fn requests_beside_the_contract_get_problem_documents() {
    let (writer, _process) = alone();
    let get = |path: &str, status, code| drop(problem(&writer.get(path).unwrap(), status, code));
    get("/nothing", 404, "not-found");
    get("/v1/payouts/w", 404, "payout-unknown");
    get("/v1/payouts/%20", 400, "field-malformed");
    get("/v1/payouts?limit=0", 400, "query-malformed");
    get("/v1/payouts?limit=501", 400, "query-malformed");
    get("/v1/payouts?page=1", 400, "query-malformed");
    get("/v1/alarms?from=-1", 400, "query-malformed");
    get("/v1/breaker/reset", 405, "method-not-allowed");
    get("/log/checkpoint", 404, "not-witnessed");
    get("/log/tile/0/000", 404, "not-found");
    get("/log/tile/0/000.p/2", 404, "not-found");
    get("/log/tile/entries/0", 404, "not-found");
    get("/log/opening/1", 404, "not-found");
    get("/log/opening/one", 400, "field-malformed");
    let submission = submission(&writer.payout("w", 9, 100_000)).to_string();
    let post = |lines: &str, body: &str, status, code| {
        drop(problem(&writer.post("/v1/payouts", lines, body).unwrap(), status, code));
    };
    post("", &submission, 400, "idempotency-key-missing");
    let key = "Idempotency-Key: a\r\n";
    post(&key.repeat(2), &submission, 400, "idempotency-key-missing");
    post(&format!("Idempotency-Key: {}\r\n", "a".repeat(129)), &submission, 400, "idempotency-key-malformed");
    post("Idempotency-Key: \u{e9}\r\n", &submission, 400, "idempotency-key-malformed");
    post(key, "{", 400, "body-malformed");
    post(key, &submission.replacen("\"payout\"", "\"extra\":1,\"payout\"", 1), 400, "body-malformed");
    post(key, &" ".repeat(96 * 1024 + 1), 413, "body-too-large");
    assert_eq!(writer.read::<api::PayoutList>("/v1/payouts").payouts, Vec::new());
}

#[test]
fn what_the_document_describes_is_what_is_served() {
    let (writer, _process) = alone();
    let served: Value = writer.read("/openapi.json");
    assert_eq!(served, api::openapi());
    for operation in api::Operation::ALL {
        let path =
            operation.path().replace("{id}", "w").replace("{index}", "0").replace("{*path}", "0/000.p/1");
        match operation.method() {
            api::Method::Get if *operation == api::Operation::Events => {}
            api::Method::Get => {
                let (head, _) = request(writer.http, &format!("GET {path}"), "", b"").unwrap();
                let missing = path == "/v1/payouts/w" || path == "/log/checkpoint";
                let want = if missing { " 404 " } else { " 200 " };
                assert!(head.lines().next().unwrap().contains(want), "{path}: {head}");
            }
            api::Method::Post => {
                let answer = writer.post(&path, "Idempotency-Key: a\r\n", "{}").unwrap();
                problem(&answer, 400, "body-malformed");
            }
        }
    }
}

#[test]
fn the_same_request_again_gets_the_same_answer_and_another_body_is_a_conflict() {
    let (writer, mut process) = alone();
    let payout = writer.payout("w-1", 9, 100_000);
    let first = writer.request(&payout).unwrap();
    assert_eq!(first.status, 201, "{}", first.body);
    let digest = payout.digest(&charter().context()).to_string();
    assert_eq!(first.json(), json!({ "id": "w-1", "digest": digest }));
    let again = |writer: &Writer| {
        let answer = writer.request(&payout).unwrap();
        assert_eq!((answer.status, answer.body), (201, first.body.clone()));
    };
    again(&writer);
    let other = submission(&writer.payout("w-1", 9, 100_001));
    problem(&writer.submit(&other, "w-1").unwrap(), 409, "payout-other-body");
    problem(&writer.submit(&other, "another-key").unwrap(), 409, "payout-other-body");
    let other = submission(&writer.payout("w-2", 9, 100_000));
    problem(&writer.submit(&other, "w-1").unwrap(), 409, "payout-other-body");

    let before: Value = writer.read("/v1/payouts");
    process.kill();
    let _process = writer.start();
    assert_eq!(writer.read::<Value>("/v1/payouts"), before);
    again(&writer);
    let shown: api::PayoutView = writer.read("/v1/payouts/w-1");
    assert_eq!((shown.payout, shown.status.as_str()), (raw(&payout), "requested"));
    assert_eq!(shown.request.unwrap().person.as_deref(), Some("p1"));
    assert_eq!(shown.digest, digest);
}

#[test]
fn approvals_count_once_and_only_for_their_payout() {
    let (writer, _process) = alone();
    let (payout, other) = (writer.payout("w-1", 9, 100_000), writer.payout("w-2", 9, 100_000));
    problem(&writer.approve(&payout, 2).unwrap(), 404, "payout-unknown");
    for payout in [&payout, &other] {
        assert_eq!(writer.request(payout).unwrap().status, 201);
    }
    let path = "/v1/payouts/w-1/approvals";
    let send = |approval: &api::ApprovalSubmit| {
        writer.post(path, "", &serde_json::to_string(approval).unwrap()).unwrap()
    };
    let check = |approval: &api::ApprovalSubmit, code: &str| {
        let problem = problem(&send(approval), 422, "refused");
        assert!(problem.reasons.iter().any(|reason| reason.code == code), "{problem:?}");
    };
    check(&approval(&other, 2), "approval-other");
    check(&approval(&payout, 1), "requester-approves");
    check(&approval(&payout, 7), "approval-unknown-key");
    let digest = payout.digest(&charter().context());
    let signature = kit::sign(&kit::person(2), REQUEST, digest.as_bytes()).pem().to_owned();
    check(&api::ApprovalSubmit { signature }, "approval-other");
    problem(&writer.post(path, "", "{\"signature\":\"x\"}").unwrap(), 400, "field-malformed");

    let first = send(&approval(&payout, 2));
    assert_eq!(first.status, 201, "{}", first.body);
    assert_eq!(send(&approval(&payout, 2)).body, first.body);
    let shown: api::PayoutView = writer.read("/v1/payouts/w-1");
    let people: Vec<_> = shown.approvals.iter().filter_map(|one| one.person.clone()).collect();
    assert_eq!(people, ["p2"]);
}

#[test]
fn pages_of_payouts_follow_each_other() {
    let (writer, _process) = alone();
    for number in 0..5 {
        assert_eq!(writer.request(&writer.payout(&format!("w-{number}"), 9, 100_000)).unwrap().status, 201);
    }
    let mut path = "/v1/payouts?limit=2".to_owned();
    let mut pages = Vec::new();
    loop {
        let page: api::PayoutList = writer.read(&path);
        pages.push(page.payouts.iter().map(|view| view.payout.id.clone()).collect::<Vec<_>>().join(" "));
        let Some(next) = page.next else { break };
        path = format!("/v1/payouts?limit=2&after={next}");
    }
    assert_eq!(pages, ["w-0 w-1", "w-2 w-3", "w-4"]);
}

/// Reads events from a stream until one has this kind.
fn events_until(writer: &Writer, path: &str, kind: &str) -> Vec<api::EventView> {
    let mut stream = TcpStream::connect(writer.http).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: writer\r\n\r\n").unwrap();
    let mut events: Vec<api::EventView> = Vec::new();
    for line in BufReader::new(stream).lines().map(Result::unwrap) {
        if let Some(data) = line.strip_prefix("data: ") {
            events.push(serde_json::from_str(data).unwrap());
        }
        if events.last().is_some_and(|event| event.kind == kind) {
            return events;
        }
    }
    panic!("the stream ended after {events:?}");
}

#[test]
fn the_event_stream_tells_what_is_logged_and_is_taken_up_where_it_broke() {
    let (writer, _process) = alone();
    let payout = writer.payout("w-1", 9, 100_000);
    assert_eq!(writer.request(&payout).unwrap().status, 201);
    let told = |events: &[api::EventView]| {
        let told = |event: &api::EventView| (event.log_index, event.kind.clone(), event.payout.clone());
        events.iter().map(told).collect::<Vec<_>>()
    };
    let events = events_until(&writer, "/v1/events?from=0", "payout.requested");
    let requested = (1, "payout.requested".to_owned(), Some("w-1".to_owned()));
    assert_eq!(told(&events), [(0, "log.opened".to_owned(), None), requested]);
    std::thread::scope(|scope| {
        let later = scope.spawn(|| events_until(&writer, "/v1/events?from=2", "payout.approved"));
        assert_eq!(writer.approve(&payout, 2).unwrap().status, 201);
        let approved = (2, "payout.approved".to_owned(), Some("w-1".to_owned()));
        assert_eq!(told(&later.join().unwrap()), [approved]);
    });
}

/// The log as it is served, read by its public parts alone.
fn verify_served(writer: &Writer) -> u64 {
    let bytes = |path: &str| {
        let (head, body) = request(writer.http, &format!("GET {path}"), "", b"").ok_or("no answer")?;
        if head.contains(" 200 ") { Ok((head, body)) } else { Err("refused") }
    };
    let charter = charter();
    let (log, quorum) = (charter.roster().log().clone(), charter.roster().quorum());
    let (_, note) = bytes("/log/checkpoint").unwrap();
    let checkpoint = SignedCheckpoint::open(&note, &[log], quorum.witnesses()).unwrap();
    quorum.met(&checkpoint).unwrap();
    let mut entries = BTreeMap::new();
    let read = |resource: Resource| {
        let (head, body) = bytes(&format!("/log/{resource}"))?;
        assert!(head.contains("immutable"), "{head}");
        Ok::<_, &str>(body)
    };
    let counts = verify_log(checkpoint.head(), 0, read, |index, entry| {
        entries.insert(index, entry.to_vec());
    });
    assert_eq!(counts.unwrap().entries, checkpoint.head().size);
    for (index, entry) in entries.iter().step_by(37) {
        let entry = Entry::decode(entry).unwrap();
        let view: api::OpeningView = writer.read(&format!("/log/opening/{index}"));
        let hex = |text: &str| kuraban_base::hex::decode(text).unwrap();
        let opening = Opening { salt: hex(&view.salt).try_into().unwrap(), body: hex(&view.body) };
        Body::decode(entry.kind.as_str(), entry.opened_by(&opening).unwrap()).unwrap();
    }
    checkpoint.head().size
}

#[test]
fn the_served_log_verifies_with_a_quorum_of_signers_also_after_a_kill() {
    let writer = Writer::new(&free().to_string());
    let _signers: Vec<_> = (1..=3).map(|number| writer.signer(number)).collect();
    let mut process = writer.start();
    for number in 0..300 {
        let payout = writer.payout(&format!("w-{number}"), 9, 100_000);
        assert_eq!(writer.request(&payout).unwrap().status, 201);
    }
    let witnessed = |size: u64| {
        let line = format!("\nkuraban_log_witnessed_size {size}\n");
        until(&line, || writer.get("/metrics").is_some_and(|answer| answer.body.contains(&line)));
    };
    witnessed(301);
    assert_eq!(verify_served(&writer), 301);
    process.kill();
    let _process = writer.start();
    witnessed(301);
    assert_eq!(writer.request(&writer.payout("w-300", 9, 100_000)).unwrap().status, 201);
    witnessed(302);
    assert_eq!(verify_served(&writer), 302);
}

#[test]
fn a_writer_does_not_start_on_what_does_not_hold_together() {
    let node = free().to_string();
    let writer = Writer::without_store(&node);
    let place = &writer.place;
    let check = |word: &str, status: i32, says: &str| {
        let (found, said) = ended(&["guard", word], &place.path("guard.toml"));
        assert_eq!(found, Some(status), "{said}");
        assert!(said.contains(says), "{said}");
    };
    let good = writer.toml(&node);
    let with = |found: &str, other: &str, says: &str| {
        assert!(good.contains(found), "{found}");
        place.write("guard.toml", &good.replacen(found, other, 1));
        check("init", 2, says);
        assert!(!place.path("guard.redb").exists());
    };
    check("run", 3, "guard.redb");
    with(
        "machine = \"writer\"",
        "machine = \"signer-1\"",
        "the roster has no tls key of a writer named signer-1",
    );
    with("retention_days = 3650", "retention_days = 0", "want at least 1");
    with("retention_days = 3650\n", "", "missing field `retention_days`");
    with("listen", "comment = 1\nlisten", "unknown field `comment`");
    with("fee_rate = 2000\n", "", "neither rpc nor fee_rate");
    with("fee_rate", "rpc = \"127.0.0.1:1\"\nfee_rate", "rpc and rpc_auth go together");
    with("poll_ms = 100", "poll_ms = 900", "poll_ms is 900");
    with("bitcoin-regtest", "bitcoin-main", "vault hot is on bitcoin-regtest, which has none");
    with("signer-3", "signer-2", "signer-2 stands there twice");
    with("watcher-1", "signer-1", "the roster has no watcher signer-1");
    with("log = \"guard.log\"", "log = \"guard.tls\"", "secrets.log: is the key");
    with("tls = \"guard.tls\"", "tls = \"guard.log\"", "the tls key of writer on the roster");
    place.write("guard.toml", &good);

    check("init", 0, "created");
    let stored = fs::read(place.path("guard.redb")).unwrap();
    check("init", 2, "cannot be created");
    assert_eq!(fs::read(place.path("guard.redb")).unwrap(), stored);
    place.write("policy.toml", &kit::policy_toml().replace("fee_max = 100000", "fee_max = 100001"));
    check("run", 2, "the store's policy is");
}

#[test]
fn a_payout_is_confirmed_after_two_approvals_and_two_of_three_signatures() {
    let exchange = Exchange::start();
    let writer = &exchange.writer;
    let payout = writer.payout("w-1", 9, 10_000_000);
    assert_eq!(writer.request(&payout).unwrap().status, 201);
    assert_eq!(writer.approve(&payout, 2).unwrap().status, 201);
    assert_eq!(writer.status(&payout).unwrap(), "requested");
    assert_eq!(writer.approve(&payout, 3).unwrap().status, 201);
    until("it is broadcast", || writer.status(&payout).as_deref() == Some("broadcast"));
    let shown: api::PayoutView = writer.read("/v1/payouts/w-1");
    let [transaction] = shown.transactions.as_slice() else { panic!("{shown:?}") };
    // A third one is asked too where the machine is slow.
    assert!((2..=3).contains(&transaction.receipts.len()), "{transaction:?}");
    until("the node has it", || !exchange.node.rpc.mempool().unwrap().is_empty());
    exchange.mine();
    until("it is confirmed", || writer.status(&payout).as_deref() == Some("confirmed"));
    let paid = exchange.paid(&payout.destination);
    assert_eq!(paid.iter().map(|output| output.value_sat).collect::<Vec<_>>(), [10_000_000]);
    assert_eq!(writer.read::<api::AlarmList>("/v1/alarms").alarms, Vec::new());
    assert!(verify_served(writer) > 5);
}

#[test]
fn a_quorum_lets_a_signer_resume_where_its_receipts_end() {
    let exchange = Exchange::start();
    let writer = &exchange.writer;
    let payout = writer.payout("w-1", 9, 10_000_000);
    writer.request(&payout).unwrap();
    writer.approve(&payout, 2).unwrap();
    writer.approve(&payout, 3).unwrap();
    until("it is broadcast", || writer.status(&payout).as_deref() == Some("broadcast"));
    let listed: api::SignerList = writer.read("/v1/signers");
    // A third one is asked too where the machine is slow.
    assert!(listed.signers.iter().map(|signer| signer.receipts).sum::<u64>() >= 2, "{listed:?}");
    let signer = listed.signers.iter().find(|signer| signer.receipts == 1).unwrap();
    let order = |receipts: u64, people: &[u8]| {
        let id = signer.id.parse().unwrap();
        let digest = kuraban_vault::body::resume_digest(&listed.origin, &id, receipts);
        let sign = |person: &u8| kit::sign(&kit::person(*person), kuraban_vault::RESUME, digest.as_bytes());
        let approvals: Vec<_> = people.iter().map(|person| sign(person).pem().to_owned()).collect();
        let order = json!({ "id": signer.id, "receipts": receipts, "approvals": approvals });
        writer.post("/v1/signers/resume", "", &order.to_string()).unwrap()
    };
    problem(&order(1, &[2]), 409, "resume-not-ordered");
    problem(&order(2, &[2, 3]), 409, "resume-not-ordered");
    problem(&order(1, &[]), 400, "field-malformed");
    assert_eq!(order(1, &[2, 3]).status, 201);
    let after: api::SignerList = writer.read("/v1/signers");
    let resumed = after.signers.iter().find(|other| other.id == signer.id).unwrap();
    assert_eq!((resumed.receipts, resumed.resumed), (1, 1));
}

#[test]
fn a_root_of_liabilities_stands_in_the_log_once() {
    let (writer, _process) = alone();
    let listed: api::LiabilitiesList = writer.read("/v1/liabilities");
    assert_eq!(listed.liabilities, Vec::new());
    let (root, totals) = ("ab".repeat(32), "cd".repeat(32));
    let liabilities = kuraban_vault::Liabilities {
        root: root.parse().unwrap(),
        totals: totals.parse().unwrap(),
        as_of: kuraban_base::Instant::from_ms(1_700_000_000_000),
        blocks: vec![kuraban_vault::DatedBy { chain: "btc".to_owned(), height: 7, hash: [9; 32] }],
        veil: Some("ef".repeat(32).parse().unwrap()),
    };
    let digest = liabilities.digest(&listed.origin);
    let submit = |person: u8| {
        let approval = kit::sign(&kit::person(person), kuraban_vault::LIABILITIES, digest.as_bytes());
        json!({ "root": root, "totals": totals, "as_of_ms": 1_700_000_000_000_u64, "approval": approval.pem(),
            "veil": "ef".repeat(32), "blocks": [{ "chain": "btc", "height": 7, "hash": "09".repeat(32) }] })
    };
    let post = |body: &Value| writer.post("/v1/liabilities", "", &body.to_string()).unwrap();
    problem(&post(&submit(9)), 409, "liabilities-not-published");
    let malformed = |field: &str, value: Value| {
        let mut body = submit(1);
        body[field] = value;
        problem(&post(&body), 400, "field-malformed");
    };
    malformed("root", json!("ab"));
    malformed("veil", json!("ab"));
    malformed("blocks", json!([{ "chain": "", "height": 7, "hash": "09".repeat(32) }]));
    malformed("blocks", json!([{ "chain": "btc", "height": 7, "hash": "09" }]));
    let block = json!({ "chain": "btc", "height": 7, "hash": "09".repeat(32) });
    malformed("blocks", json!(vec![block; 65]));
    let published = post(&submit(1));
    assert_eq!(published.status, 201, "{}", published.body);
    let view: api::LiabilitiesView = serde_json::from_str(&published.body).unwrap();
    assert_eq!((view.log_index, &view.root), (1, &root));
    assert_eq!(view.veil, Some("ef".repeat(32)));
    problem(&post(&submit(2)), 409, "liabilities-not-published");
    let listed: api::LiabilitiesList = writer.read("/v1/liabilities");
    assert_eq!(listed.liabilities, [view]);
}

/// One of every kind, as it is signed and as the contract has it; each follows from those before it.
fn publications() -> [(Publication, Value); 5] {
    use kuraban_vault::publication::{Check, Checked, Claims, Export, Finding, Import, Verdict};
    let digest = |byte: u8| kuraban_base::Digest::from_bytes([byte; 32]);
    let text = |byte: &str| byte.repeat(32);
    let finding = Finding {
        about: "BTC".to_owned(),
        verdict: Verdict::NotShown,
        failed: vec!["unspent".to_owned()],
        not_made: vec!["log".to_owned()],
    };
    [
        (
            Publication::Claims(Claims { root: digest(1), statements: 7, scheme: digest(2), replaces: None }),
            json!({ "kind": "claims", "root": text("01"), "statements": 7, "scheme": text("02"), "replaces": null }),
        ),
        (
            Publication::Claims(Claims {
                root: digest(3),
                statements: 8,
                scheme: digest(2),
                replaces: Some(digest(1)),
            }),
            json!({ "kind": "claims", "root": text("03"), "statements": 8, "scheme": text("02"), "replaces": text("01") }),
        ),
        (
            Publication::Export(Export { export: [4; 16], manifest: digest(5) }),
            json!({ "kind": "handover-export", "export": "04".repeat(16), "manifest": text("05") }),
        ),
        (
            Publication::Import(Import { manifest: digest(5), receipt: digest(6), replaces: None }),
            json!({ "kind": "handover-import", "manifest": text("05"), "receipt": text("06"), "replaces": null }),
        ),
        (
            Publication::Check(Check {
                of: Checked::ReservesStatement,
                document: digest(7),
                root: Some(digest(8)),
                findings: vec![finding],
            }),
            json!({ "kind": "check", "of": "reserves-statement", "document": text("07"), "root": text("08"),
                "findings": [{ "about": "BTC", "verdict": "not-shown", "failed": ["unspent"], "not_made": ["log"] }] }),
        ),
    ]
}

#[test]
fn what_is_published_stands_in_the_log_as_it_was_signed() {
    let (writer, _process) = alone();
    let listed: api::PublicationList = writer.read("/v1/publications");
    assert_eq!(listed.publications, Vec::new());
    let rows = publications();
    let submit = |publication: &Publication, form: &Value, person: u8| {
        let digest = publication.digest(&listed.origin);
        let approval = kit::sign(&kit::person(person), publication.namespace(), digest.as_bytes());
        let body = json!({ "publication": form, "approval": approval.pem() });
        writer.post("/v1/publications", "", &body.to_string()).unwrap()
    };
    for (index, (publication, form)) in (1..).zip(&rows) {
        problem(&submit(publication, form, 9), 409, "not-published");
        let mut other = form.clone();
        let field =
            ["root", "manifest", "document"].into_iter().find(|name| form.get(name).is_some()).unwrap();
        other[field] = json!("ab");
        problem(&submit(publication, &other, 1), 400, "field-malformed");
        other[field] = json!("ab".repeat(32));
        problem(&submit(publication, &other, 1), 409, "not-published");
        let published = submit(publication, form, 1);
        assert_eq!(published.status, 201, "{}", published.body);
        assert_eq!(published.json(), json!({ "log_index": index, "publication": form }));
        problem(&submit(publication, form, 2), 409, "not-published");
    }
    let mut unknown = rows[2].1.clone();
    unknown["colour"] = json!("red");
    problem(&submit(&rows[2].0, &unknown, 1), 400, "body-malformed");
    // A verdict that its checks contradict would be read back by nobody.
    let (publication, form) = &rows[4];
    let mut other = form.clone();
    other["findings"][0]["verdict"] = json!("covered");
    problem(&submit(publication, &other, 1), 400, "field-malformed");
    other["findings"] = json!([]);
    problem(&submit(publication, &other, 1), 400, "field-malformed");
    let listed = writer.get("/v1/publications").unwrap().json();
    let all: Vec<&Value> =
        listed["publications"].as_array().unwrap().iter().map(|one| &one["publication"]).collect();
    assert_eq!(all, rows.iter().map(|(_, form)| form).collect::<Vec<_>>());
    assert_eq!(writer.read::<api::LiabilitiesList>("/v1/liabilities").liabilities, []);
}

#[test]
fn a_theft_stands_in_the_log_and_closes_withdrawals_until_a_quorum_opens_them() {
    let exchange = Exchange::start();
    let writer = &exchange.writer;
    exchange.node.send(&exchange.node.theft(0));
    until("the alarm is here", || !writer.read::<api::AlarmList>("/v1/alarms").alarms.is_empty());
    let alarms: api::AlarmList = writer.read("/v1/alarms");
    assert_eq!(alarms.alarms[0].rule, "unexplained-spend");
    let breaker: api::BreakerView = writer.read("/v1/breaker");
    let closed = |service: &str| breaker.tightened.iter().any(|cell| cell.service == service);
    assert!(closed("withdrawal") && closed("deposit"), "{breaker:?}");
    let answer = problem(&writer.request(&writer.payout("w-1", 9, 100_000)).unwrap(), 422, "refused");
    assert_eq!(answer.reasons[0].code, "breaker-closed");

    // What the thief did not take goes where the standing order says, without anybody's approval.
    let saved = || exchange.paid(&kit::cold().script());
    until("the rest is saved", || {
        exchange.mine();
        !saved().is_empty()
    });
    assert!(saved().iter().any(|output| output.value_sat == 2 * 5_000_000_000 - 250_000), "{:?}", saved());

    let cells = [(kuraban_vault::breaker::Service::Withdrawal, kuraban_base::Asset::Btc)];
    let digest = kuraban_vault::body::reset_digest(&breaker.origin, breaker.epoch, &cells);
    let order = |people: &[u8]| {
        let sign = |person: &u8| kit::sign(&kit::person(*person), kuraban_vault::RESET, digest.as_bytes());
        let approvals: Vec<_> = people.iter().map(|person| sign(person).pem().to_owned()).collect();
        let cells = [json!({ "service": "withdrawal", "asset": "BTC" })];
        let order = json!({ "cells": cells, "epoch": breaker.epoch, "approvals": approvals });
        writer.post("/v1/breaker/reset", "", &order.to_string()).unwrap()
    };
    problem(&order(&[2]), 409, "reset-not-ordered");
    assert_eq!(order(&[2, 3]).status, 201);
    assert_eq!(writer.read::<api::BreakerView>("/v1/breaker").epoch, breaker.epoch + 1);
    // The same order again is for an epoch that has passed.
    problem(&order(&[2, 3]), 409, "reset-not-ordered");
}
