//! One signer, asked by everybody: what it answers to whom, which log and which lease it takes, and what it stores.

use kuraban_base::{Amount, Asset, Digest, Instant, TreeHash};
use kuraban_chain::btc::{Branch, Tx, TxOut};
use kuraban_proof::{SignedCheckpoint, TreeHead, Witness, witness};
use kuraban_vault::{
    Payout, PayoutKind, RESET, Role,
    body::{Alarm, Body, Evidence, reset_digest},
    breaker::{Service, Stage, Trip},
    receipt::Lease,
    signer::{Change, Clock, LEASE_MS_MAX},
    statement::Signed,
    wire::{LogEntry, Refused, ReleaseItem, Request, Response, SignItem},
};

use crate::{
    kit,
    rogue::{Rogue, draft, wanted},
};

const NOTHING: [String; 0] = [];
const OUT: (Service, Asset) = (Service::Withdrawal, Asset::Btc);

/// A payout from its own coin, with its transaction in the log.
fn assembled(rogue: &mut Rogue, number: u8, amount: u64) -> (Payout, Tx, Tx) {
    let mut payout = kit::payout(&format!("w-{number}"), number, amount);
    payout.expiry = kit::NOW.plus_ms(10 * 24 * 3_600_000);
    let coin = kit::funding(number.into(), 600_000_000);
    let tx = draft(&payout, &coin);
    rogue.log(wanted(&payout));
    rogue.assemble(&payout, core::slice::from_ref(&tx));
    (payout, coin, tx)
}

/// One whose receipt stands in the log, so that its signature can be released.
fn receipted() -> (Rogue, Payout, Tx) {
    let mut rogue = Rogue::new();
    let (payout, coin, tx) = assembled(&mut rogue, 1, 100_000_000);
    let receipt = rogue.receipt(0, &payout, &tx, &coin).unwrap();
    rogue.log(vec![receipt]);
    assert_eq!(rogue.release(0, &payout, &tx), NOTHING);
    (rogue, payout, tx)
}

fn trip(stage: Stage, by: u8) -> Signed<Trip> {
    let (rule, evidence) = ("rule".to_owned(), Digest::sha256(&[b"alarm"]));
    let trip = Trip { by: kit::machine(by), cells: vec![OUT], stage, rule, evidence, at: kit::NOW };
    Signed::sign(trip, &kit::statement(by))
}

fn refusal(answer: &Response) -> Option<&Refused> {
    match answer {
        Response::Refused(refused) => Some(refused),
        Response::Status { .. }
        | Response::Cosigned { .. }
        | Response::Behind { .. }
        | Response::Lease(_)
        | Response::Receipts(_)
        | Response::Signatures(_)
        | Response::Tripped
        | Response::Permit(_)
        | Response::Alarm(..) => None,
    }
}

#[test]
fn a_signer_answers_everybody_in_their_role_alone() {
    let mut rogue = Rogue::new();
    let (checkpoint, lease) = (rogue.checkpoint.clone(), rogue.lease.clone().unwrap());
    let everybody = Role::ALL;
    let requests: [(Request, &[Role]); 8] = [
        (Request::Status, everybody),
        (
            Request::Extend { from: 1, entries: vec![], checkpoint: checkpoint.clone(), newest: 1 },
            &[Role::Writer],
        ),
        (
            Request::Sign { checkpoint: checkpoint.clone(), lease: lease.clone(), items: vec![] },
            &[Role::Writer],
        ),
        (Request::Release { checkpoint, lease, items: vec![] }, &[Role::Writer]),
        (Request::Trip(trip(Stage::Closed, 4)), &[Role::Watcher]),
        (Request::Lease { challenges: vec![] }, &[]),
        (Request::Permits { stream: [1; 32] }, &[]),
        (Request::Alarms { from: 0 }, &[]),
    ];
    for (request, want) in requests {
        for role in everybody {
            let clock = rogue.clock();
            let step = rogue.ask_as(0, clock, *role, request.clone());
            let refused = refusal(&step.answer).map(|refused| refused.code.as_str());
            let no = (!want.contains(role)).then_some("request-not-allowed");
            assert_eq!(refused, no, "{role} asks {request:?}");
            assert!(no.is_none() || step.persist.is_empty());
        }
    }
    let status = rogue.ask_as(0, rogue.clock(), Role::Gate, Request::Status).answer;
    assert_eq!(status, Response::Status { size: 1, epoch: 0 });
}

#[test]
fn a_watchers_trip_is_taken_once_and_nobody_elses() {
    let mut rogue = Rogue::new();
    let mut ask = |trip: Signed<Trip>| rogue.ask_as(0, rogue.clock(), Role::Watcher, Request::Trip(trip));
    let first = ask(trip(Stage::Closed, 4));
    assert_eq!(
        (first.answer, first.persist),
        (Response::Tripped, vec![Change::Trip(trip(Stage::Closed, 4))])
    );
    let again = ask(trip(Stage::Closed, 4));
    assert_eq!((again.answer, again.persist), (Response::Tripped, vec![]));
    let other = ask(trip(Stage::Delayed, 4));
    assert_eq!(other.persist, [Change::Trip(trip(Stage::Delayed, 4))]);
    let forged = Signed::sign(trip(Stage::Closed, 4).claim_unverified().clone(), &kit::statement(3));
    for (stranger, want) in [
        (trip(Stage::Closed, 1), "signer-1 is no watcher on the roster"),
        (forged, "the statement's signature is not by watcher-1"),
    ] {
        let step = ask(stranger);
        let detail = want.to_owned();
        assert_eq!(refusal(&step.answer), Some(&Refused { code: "trip-invalid".to_owned(), detail }));
        assert_eq!(step.persist, []);
    }
    // One that the log has already shown is not stored beside it.
    let mut rogue = Rogue::new();
    rogue.log(vec![Body::BreakerTripped(trip(Stage::Closed, 4))]);
    let clock = rogue.clock();
    let step = rogue.ask_as(0, clock, Role::Watcher, Request::Trip(trip(Stage::Closed, 4)));
    assert_eq!((step.answer, step.persist), (Response::Tripped, vec![]));
}

#[test]
fn a_trip_holds_at_once_and_until_the_log_has_shown_it_and_its_reset() {
    let (mut rogue, payout, tx) = receipted();
    let (next, coin, next_tx) = assembled(&mut rogue, 2, 100_000_000);
    let clock = rogue.clock();
    rogue.ask_as(0, clock, Role::Watcher, Request::Trip(trip(Stage::Delayed, 4)));
    assert_eq!(rogue.release(0, &payout, &tx), ["breaker-closed"]);
    assert_eq!(rogue.receipt(0, &next, &next_tx, &coin).unwrap_err(), ["breaker-closed"]);
    // It is on disk, so a restart forgets nothing.
    rogue.restart(0, rogue.stored(0));
    rogue.wait(1000);
    assert_eq!(rogue.release(0, &payout, &tx), ["breaker-closed"]);
    rogue.log(vec![Body::BreakerTripped(trip(Stage::Delayed, 4))]);
    assert_eq!(rogue.release(0, &payout, &tx), ["breaker-closed"]);
    let (cells, epoch) = (vec![OUT], 1);
    let digest = reset_digest(kit::ORIGIN, epoch, &cells);
    let approvals = [2, 3].map(|n| kit::sign(&kit::person(n), RESET, digest.as_bytes())).to_vec();
    rogue.log(vec![Body::BreakerReset { cells, epoch, approvals }]);
    assert_eq!(rogue.release(0, &payout, &tx), NOTHING);
    assert!(rogue.receipt(0, &next, &next_tx, &coin).is_ok());
}

/// The watcher's lease, spoilt in one place.
fn release_with(rogue: &mut Rogue, payout: &Payout, tx: &Tx, spoil: impl Fn(&mut Lease)) -> Vec<String> {
    let honest = rogue.lease.clone().unwrap();
    let mut lease = honest.claim_unverified().clone();
    spoil(&mut lease);
    rogue.lease = Some(Signed::sign(lease, &kit::statement(4)));
    let codes = rogue.release(0, payout, tx);
    rogue.lease = Some(honest);
    codes
}

#[test]
fn a_lease_is_a_watchers_word_on_this_log_at_this_moment() {
    const INVALID: [&str; 1] = ["lease-invalid"];
    let (mut rogue, payout, tx) = receipted();
    let index = rogue.fold().size() - 1;
    assert_eq!(release_with(&mut rogue, &payout, &tx, |_| {}), NOTHING);
    let more = |lease: &mut Lease| lease.challenges.insert(0, [0xee; 32]);
    assert_eq!(release_with(&mut rogue, &payout, &tx, more), NOTHING);
    let other = |lease: &mut Lease| lease.challenges = vec![[0xee; 32]];
    assert_eq!(release_with(&mut rogue, &payout, &tx, other), INVALID);
    assert_eq!(release_with(&mut rogue, &payout, &tx, |lease| lease.challenges.clear()), INVALID);
    assert_eq!(release_with(&mut rogue, &payout, &tx, |lease| lease.epoch += 1), INVALID);
    assert_eq!(release_with(&mut rogue, &payout, &tx, |lease| lease.size += 1), INVALID);
    let root = |lease: &mut Lease| lease.root = TreeHash::from_bytes([1; 32]);
    assert_eq!(release_with(&mut rogue, &payout, &tx, root), INVALID);
    assert_eq!(release_with(&mut rogue, &payout, &tx, |lease| lease.by = kit::machine(1)), INVALID);
    let honest = rogue.lease.clone().unwrap();
    rogue.lease = Some(Signed::sign(honest.claim_unverified().clone(), &kit::statement(3)));
    assert_eq!(rogue.release(0, &payout, &tx), INVALID);
    // A lease from before the receipt stood in the log does not reach it, however fresh.
    let mut rogue = Rogue::new();
    let (payout, coin, tx) = assembled(&mut rogue, 1, 100_000_000);
    let receipt = rogue.receipt(0, &payout, &tx, &coin).unwrap();
    let (earlier, before) = (rogue.lease.clone(), rogue.checkpoint.clone());
    rogue.log(vec![receipt]);
    assert_eq!(rogue.fold().size() - 1, index);
    let (later, after) = (rogue.lease.clone(), rogue.checkpoint.clone());
    rogue.lease = earlier;
    assert_eq!(rogue.release(0, &payout, &tx), INVALID);
    // Nor does a checkpoint.
    (rogue.lease, rogue.checkpoint) = (later, before);
    assert_eq!(rogue.release(0, &payout, &tx), ["log-not-included"]);
    rogue.checkpoint = after;
    assert_eq!(rogue.release(0, &payout, &tx), NOTHING);
}

#[test]
fn a_challenge_lives_five_seconds_by_the_signers_own_clock() {
    for (later_ms, want) in [(0, &[][..]), (LEASE_MS_MAX, &[]), (LEASE_MS_MAX + 1, &["lease-invalid"])] {
        let (mut rogue, payout, tx) = receipted();
        rogue.now = rogue.now.plus_ms(later_ms);
        assert_eq!(rogue.release(0, &payout, &tx), want, "{later_ms}");
    }
    // One that was given later does not end it, until it is over itself.
    let (mut rogue, payout, tx) = receipted();
    let first = rogue.lease.clone();
    for (waits_ms, want) in [(1, &[][..]), (LEASE_MS_MAX - 1, &[]), (1, &["lease-invalid"])] {
        rogue.wait(waits_ms);
        rogue.lease = first.clone();
        assert_eq!(rogue.release(0, &payout, &tx), want, "{waits_ms} later");
    }
}

/// A writer that asks for challenges without end takes up no memory without end.
#[test]
fn no_more_than_1024_challenges_wait_for_a_lease() {
    let (mut rogue, payout, tx) = receipted();
    rogue.wait(LEASE_MS_MAX + 1);
    // One is out by that.
    for _ in 1..1023 {
        rogue.challenge(0);
    }
    for (number, want) in [(1024, &[][..]), (1025, &["lease-invalid"])] {
        rogue.challenge(0);
        assert_eq!(rogue.release(0, &payout, &tx), want, "challenge {number}");
    }
    // When these are over there is room again.
    rogue.now = rogue.now.plus_ms(LEASE_MS_MAX + 1);
    rogue.challenge(0);
    assert_eq!(rogue.release(0, &payout, &tx), NOTHING);
}

#[test]
fn a_checkpoint_is_of_this_log_and_cosigned_by_a_quorum() {
    let (mut rogue, payout, tx) = receipted();
    // All witnesses but this signer are in the thief's hands, and have folded another log.
    let log = kit::log_key().verifier().clone();
    let mut leaves = witness::Fold::start(log.name().clone());
    for _ in 0..rogue.fold().size() {
        leaves.append(TreeHash::from_bytes([1; 32])).unwrap();
    }
    let mut other = SignedCheckpoint::sign(&kit::log_key(), leaves.frontier().head()).unwrap();
    for number in 2..=4 {
        let (witness, mut leaves) = (Witness::new(kit::cosigner(number), vec![log.clone()]), leaves.clone());
        let bytes = other.to_string().into_bytes();
        let cosigned = witness.advance(TreeHead::empty(), &mut leaves, &bytes, kit::NOW).unwrap();
        let witnesses = kit::charter().roster().quorum().witnesses().to_vec();
        other.add_cosignatures(&cosigned.answer(), &witnesses).unwrap();
    }
    let honest = rogue.checkpoint.clone();
    let text = String::from_utf8(honest.clone()).unwrap();
    let uncosigned: String = text.split_inclusive('\n').take(5).collect();
    let mut check = |checkpoint: &[u8], want: &[&str]| {
        rogue.checkpoint = checkpoint.to_vec();
        assert_eq!(rogue.release(0, &payout, &tx), want, "{}", String::from_utf8_lossy(checkpoint));
    };
    check(&honest, &[]);
    check(other.to_string().as_bytes(), &["log-not-included"]);
    check(uncosigned.as_bytes(), &["log-not-witnessed"]);
    check(b"nothing", &["log-not-witnessed"]);
}

/// A clock that is ahead, and that no witness confirms, frees none of the day's limit for the time when it is put right.
#[test]
fn a_clock_that_nobody_confirms_frees_no_allowance() {
    const DAYS_MS: u64 = 3 * 24 * 3_600_000;
    for witnessed in [false, true] {
        let mut rogue = Rogue::new();
        let (first, first_coin, first_tx) = assembled(&mut rogue, 1, 490_000_000);
        let (second, second_coin, second_tx) = assembled(&mut rogue, 2, 490_000_000);
        let receipt = rogue.receipt(0, &first, &first_tx, &first_coin).unwrap();
        rogue.log(vec![receipt]);
        assert_eq!(rogue.receipt(0, &second, &second_tx, &second_coin).unwrap_err(), ["limit-rolling"]);
        let checkpoint = if witnessed { rogue.checkpoint.clone() } else { b"nothing".to_vec() };
        let (lease, items) = (rogue.lease.clone().unwrap(), Vec::new());
        let ahead = Clock { wall: rogue.now.plus_ms(DAYS_MS), ..rogue.clock() };
        rogue.ask_as(0, ahead, Role::Writer, Request::Sign { checkpoint, lease, items });
        let given = rogue.receipt(0, &second, &second_tx, &second_coin);
        assert_eq!(given.unwrap_err(), ["limit-rolling"], "witnessed {witnessed}");
    }
}

/// A theft from the vault, raised and tripped by the watcher.
fn raised() -> (Evidence, Vec<Body>) {
    let stolen = kit::funding(7, 50_000_000);
    let loot = TxOut { value_sat: 10_000_000, script: kit::address(0xee).script() };
    let theft = kit::tx(vec![kit::coin(&stolen).outpoint], vec![loot]);
    let theft = kit::steal(theft, &[stolen.outputs[0].clone()], (Branch::Receive, 7), &[1, 2]);
    let evidence = Evidence { tx: theft.encode(), prevs: vec![stolen.encode()] };
    let (by, rule, subject) = (kit::machine(4), "unexplained-spend".to_owned(), "theft".to_owned());
    let (asset, detail, carried) = (Asset::Btc, String::new(), Some(evidence.clone()));
    let alarm = Alarm { by, rule, subject, asset, detail, evidence: carried, at: kit::NOW };
    let alarm = Body::AlarmRaised(Signed::sign(alarm, &kit::statement(4)));
    (evidence, vec![alarm, Body::BreakerTripped(trip(Stage::Closed, 4))])
}

/// Two signers gave receipts without having seen each other's; together they are within the incident's budget of 500,000, or
/// what stands later in the log is not signed. While withdrawals are closed, too.
#[test]
fn evacuations_share_one_budget_for_fees_in_the_logs_order() {
    for (second_fee, want) in [(200_000, &[][..]), (200_001, &["fee-above-cap"])] {
        let mut rogue = Rogue::new();
        let (evidence, bodies) = raised();
        rogue.log(bodies);
        let evacuation = |rogue: &mut Rogue, number: u8, fee: u64| {
            let coin = kit::funding(number.into(), 100_000_000);
            let mut payout = kit::payout(&format!("e-{number}"), number, 100_000_000 - fee);
            payout.kind = PayoutKind::Evacuation;
            (payout.destination, payout.fee_cap) = (kit::cold().script(), Amount::from(500_000));
            let paid = TxOut { value_sat: 100_000_000 - fee, script: kit::cold().script() };
            let tx = kit::tx(vec![kit::coin(&coin).outpoint], vec![paid]);
            let (asked, key) = (payout.clone(), payout.id.to_string());
            let evidence = Some(evidence.clone());
            rogue.log(vec![Body::PayoutRequested { payout: asked, key, request: None, evidence }]);
            rogue.assemble(&payout, core::slice::from_ref(&tx));
            (payout, coin, tx)
        };
        let (first, first_coin, first_tx) = evacuation(&mut rogue, 1, 300_000);
        let (second, second_coin, second_tx) = evacuation(&mut rogue, 2, second_fee);
        let receipts = vec![
            rogue.receipt(0, &first, &first_tx, &first_coin).unwrap(),
            rogue.receipt(1, &second, &second_tx, &second_coin).unwrap(),
        ];
        rogue.log(receipts);
        assert_eq!(rogue.release(0, &first, &first_tx), NOTHING);
        assert_eq!(rogue.release(1, &second, &second_tx), want, "{second_fee}");
    }
}

#[test]
fn what_is_asked_about_something_else_is_refused_item_by_item() {
    let (mut rogue, payout, tx) = receipted();
    let (checkpoint, lease) = (rogue.checkpoint.clone(), rogue.lease.clone().unwrap());
    let other = kit::funding(0, 1).txid();
    let items = vec![
        ReleaseItem { payout: payout.id.clone(), txid: other },
        ReleaseItem { payout: payout.id.clone(), txid: tx.txid() },
        ReleaseItem { payout: "w-9".parse().unwrap(), txid: tx.txid() },
    ];
    let release = Request::Release { checkpoint: checkpoint.clone(), lease: lease.clone(), items };
    let answer = rogue.ask_as(0, rogue.clock(), Role::Writer, release).answer;
    let Response::Signatures(answers) = answer else { panic!("{answer:?}") };
    let details = |refused: &[Refused]| refused.iter().map(|one| one.detail.clone()).collect::<Vec<_>>();
    let missing = ["not in the co-signed log: this signer gave no receipt for it".to_owned()];
    let [Err(first), Ok(signatures), Err(last)] = answers.as_slice() else { panic!("{answers:?}") };
    assert_eq!((details(first), details(last)), (missing.to_vec(), missing.to_vec()));
    assert_eq!(signatures.len(), tx.inputs.len());
    let item = |payout: &str, txid| SignItem { payout: payout.parse().unwrap(), txid, prevs: Vec::new() };
    let items = vec![item("w-9", tx.txid()), item("w-1", other)];
    let sign = Request::Sign { checkpoint, lease, items };
    let step = rogue.ask_as(0, rogue.clock(), Role::Writer, sign);
    let Response::Receipts(answers) = step.answer else { panic!("{:?}", step.answer) };
    let found: Vec<String> =
        answers.iter().flat_map(|answer| details(answer.as_ref().unwrap_err())).collect();
    let want = [
        "not in the co-signed log: payout w-9 is not known".to_owned(),
        format!("not in the co-signed log: transaction {other} is not logged for it"),
    ];
    assert_eq!((found.as_slice(), step.persist), (&want[..], Vec::new()));
}

#[test]
fn a_store_that_does_not_hold_together_starts_no_signer() {
    let (rogue, ..) = receipted();
    let disk = rogue.disk(0);
    let check = |what: &str, changes: Vec<Change>, want: &str| {
        let mut signer = kit::signer(1, &kit::charter());
        let refused = changes.into_iter().find_map(|change| signer.restore(change).err());
        let found = refused.map(|error| error.to_string()).unwrap_or_default();
        assert_eq!(found, want, "{what}");
        signer.seq()
    };
    // Only the last head is read back.
    let place = |kind: fn(&Change) -> bool| disk.iter().position(kind).unwrap();
    let receipt = disk[place(|change| matches!(change, Change::Receipt(..)))].clone();
    let head = disk.iter().rev().find(|change| matches!(change, Change::Cosigned(_))).unwrap().clone();
    let body: Vec<Change> =
        disk.iter().filter(|change| !matches!(change, Change::Cosigned(_))).cloned().collect();
    let with = |last: Change| [body.clone(), vec![last]].concat();
    const LOG: &str = "the stored log does not hold together";
    assert_eq!(check("as it was", with(head), ""), 1);
    check("with a trip", with(Change::Trip(trip(Stage::Closed, 4))), "");
    check(
        "with a stranger's trip",
        with(Change::Trip(trip(Stage::Closed, 1))),
        "a stored trip does not fit: signer-1 is no watcher on the roster",
    );
    check(
        "with a receipt twice",
        with(receipt.clone()),
        "a stored receipt does not fit: it is number 1 after 1",
    );
    let Change::Receipt(own, prevouts) = receipt.clone() else { panic!("{receipt:?}") };
    let mut later = own.clone();
    later.seq = 3;
    check(
        "with a gap",
        with(Change::Receipt(later, prevouts.clone())),
        "a stored receipt does not fit: it is number 3 after 1",
    );
    let mut next = own;
    next.seq = 2;
    assert_eq!(check("with the next", with(Change::Receipt(next, prevouts)), ""), 2);
    check(
        "a receipt for nothing",
        vec![receipt],
        "a stored receipt does not fit: payout w-1 was never requested",
    );
    check("without its beginning", body[1..].to_vec(), LOG);
    let other = TreeHead { size: 1, root: TreeHash::from_bytes([1; 32]) };
    check("with another head", with(Change::Cosigned(other)), LOG);
    let broken = LogEntry { entry: vec![1], salt: [0; 32], body: vec![] };
    check("with an entry that is none", vec![Change::Entries { from: 0, entries: vec![broken] }], LOG);
}

/// Whoever is behind is told how far a signer is; what does not follow is refused and nothing is stored of it.
#[test]
fn a_signer_follows_the_log_entry_by_entry() {
    let (mut rogue, ..) = receipted();
    let size = rogue.fold().size();
    let checkpoint = rogue.checkpoint.clone();
    let mut extend = |from: u64, checkpoint: &[u8]| {
        let checkpoint = checkpoint.to_vec();
        let request = Request::Extend { from, entries: Vec::new(), checkpoint, newest: 0 };
        rogue.ask_as(0, rogue.clock(), Role::Writer, request)
    };
    for from in [0, size - 1, size + 1] {
        let step = extend(from, &checkpoint);
        assert_eq!((step.answer, step.persist), (Response::Behind { size }, vec![]));
    }
    let step = extend(size, b"nothing");
    assert_eq!(refusal(&step.answer).map(|refused| refused.code.as_str()), Some("log-not-followed"));
    assert_eq!(step.persist, []);
    let step = extend(size, &checkpoint);
    assert!(matches!(step.answer, Response::Cosigned { size: found, .. } if found == size));
    let [Change::Entries { from, entries }, Change::Cosigned(head)] = step.persist.as_slice() else {
        panic!("{:?}", step.persist)
    };
    assert_eq!((*from, entries.len(), head.size), (size, 0, size));
}

/// What no clock shows is nothing to a signer: it judges by its own and by the witnesses'.
#[test]
fn a_signer_whose_clock_is_apart_from_the_witnesses_releases_nothing() {
    for (wall_ms, want) in [(30_000, &[][..]), (31_000, &["clock-disagrees"])] {
        let (mut rogue, payout, tx) = receipted();
        let (checkpoint, lease) = (rogue.checkpoint.clone(), rogue.lease.clone().unwrap());
        let items = vec![ReleaseItem { payout: payout.id.clone(), txid: tx.txid() }];
        let clock = Clock { wall: Instant::from_ms(rogue.now.ms() + wall_ms), ..rogue.clock() };
        let answer =
            rogue.ask_as(0, clock, Role::Writer, Request::Release { checkpoint, lease, items }).answer;
        let Response::Signatures(answers) = answer else { panic!("{answer:?}") };
        let codes = answers[0].as_ref().err().into_iter().flatten().map(|one| one.code.as_str());
        assert_eq!(codes.collect::<Vec<_>>(), want, "{wall_ms}");
    }
}
