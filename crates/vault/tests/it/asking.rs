//! Whom the writer asks for what and when: how long it waits for an answer, when it asks again, and whose word it takes.

use kuraban_base::{Amount, MachineId};
use kuraban_chain::btc::{Branch, Script, TxOut};
use kuraban_vault::{
    Payout,
    coordinator::{Ask, Event, Token},
    fold::Status,
    receipt::RECEIPT_MS,
    wire::{Request, Response},
};

use crate::{
    exchange::{Exchange, approved},
    kit,
};

const DAY_MS: u64 = 24 * 3_600_000;

/// What a machine was asked, without the log: how long after the start, and what. An empty part of the log asks for nothing
/// but another cosignature.
fn asked(exchange: &Exchange, machine: u8) -> Vec<(u64, &'static str)> {
    let word = |request: &Request| match request {
        Request::Status => None,
        Request::Extend { entries, .. } => entries.is_empty().then_some("cosign"),
        Request::Lease { .. } => Some("lease"),
        Request::Sign { .. } => Some("sign"),
        Request::Release { .. } => Some("release"),
        Request::Trip(_) | Request::Permits { .. } | Request::Alarms { .. } => panic!("{request:?}"),
    };
    let own = exchange.asked.iter().filter(|(_, id, _)| *id == kit::machine(machine));
    own.filter_map(|(at, _, request)| Some((*at, word(request)?))).collect()
}

/// When a machine was asked for this.
fn times(exchange: &Exchange, machine: u8, what: &str) -> Vec<u64> {
    asked(exchange, machine).into_iter().filter(|(_, word)| *word == what).map(|(at, _)| at).collect()
}

fn long(id: &str) -> Payout {
    Payout { expiry: kit::NOW.plus_ms(DAY_MS), ..kit::payout(id, 9, 100_000_000) }
}

fn exchange() -> Exchange {
    let mut exchange = Exchange::new();
    exchange.fund(0, 300_000_000);
    exchange
}

fn all() -> [MachineId; 3] {
    [1, 2, 3].map(kit::machine)
}

#[test]
fn as_many_signers_as_a_payout_needs_are_asked_and_they_take_turns() {
    let mut first = [0; 3];
    for number in 0..12_u8 {
        let mut exchange = exchange();
        exchange.fund(1, 200_000_000 + u64::from(number));
        // With this the transaction, whose bytes decide whose turn it is, is another one.
        let payout = Payout { amount: Amount::from(100_000_000 + u64::from(number)), ..long("w-1") };
        approved(&mut exchange, &payout);
        let turn = usize::from(exchange.sent[0].txid().as_bytes()[0]);
        for place in 0..3 {
            let signer = u8::try_from((turn + place) % 3 + 1).unwrap();
            let want: &[u64] = if place < 2 { &[0] } else { &[] };
            assert_eq!(times(&exchange, signer, "sign"), want, "{place}");
            assert_eq!(times(&exchange, signer, "release"), want, "{place}");
        }
        first[turn % 3] += 1;
    }
    assert!(first.iter().all(|count| *count > 0), "{first:?}");
}

#[test]
fn a_signer_that_does_not_answer_holds_a_payout_up_for_three_seconds() {
    for held in 1..=3 {
        let mut exchange = exchange();
        exchange.pass(100);
        exchange.held.insert(kit::machine(held));
        approved(&mut exchange, &long("w-1"));
        let waits = exchange.sent.is_empty();
        // It is looked after for the first time at the next tick.
        exchange.pass(3_000);
        assert_eq!(exchange.sent.is_empty(), waits);
        exchange.pass(100);
        assert_eq!(exchange.sent.len(), 1);
    }
}

/// One whose answer was of no use is asked for something else soon, and for the same when it may have changed its mind.
#[test]
fn a_signer_that_answers_something_else_is_asked_the_same_after_three_seconds() {
    let mut exchange = exchange();
    exchange.mute = Some(kit::machine(3));
    for number in [1, 2] {
        exchange.refuses.insert(kit::machine(number), "input-unproven");
    }
    approved(&mut exchange, &long("w-1"));
    exchange.pass(7_000);
    assert_eq!(times(&exchange, 3, "sign"), [0, 3_000, 6_000]);
    assert_eq!(exchange.status("w-1"), Status::Assembled);
}

#[test]
fn a_refusal_that_may_pass_is_followed_by_the_same_question_every_second() {
    for code in [
        "receipt-lapsed",
        "signer-frozen",
        "lease-invalid",
        "log-not-witnessed",
        "log-not-included",
        "clock-disagrees",
        "breaker-closed",
        "not-yet-valid",
    ] {
        let mut exchange = exchange();
        for signer in all() {
            exchange.refuses.insert(signer, code);
        }
        approved(&mut exchange, &long("w-1"));
        exchange.pass(4_000);
        for signer in 1..=3 {
            let times = times(&exchange, signer, "sign");
            assert_eq!(times, [0, 1_000, 2_000, 3_000, 4_000], "{code}");
        }
        exchange.refuses.clear();
        exchange.pass(1_000);
        assert_eq!(exchange.sent.len(), 1, "{code}");
    }
}

/// A lease is good for three seconds after it came and a challenge after it was given, so all is asked anew then and not before.
#[test]
fn leases_and_challenges_are_renewed_every_three_seconds_while_a_payout_waits() {
    let mut exchange = exchange();
    for signer in all() {
        exchange.refuses.insert(signer, "lease-invalid");
    }
    approved(&mut exchange, &long("w-1"));
    exchange.asked.clear();
    exchange.pass(6_000);
    let want: &[(u64, &str)] = &[
        (1_000, "sign"),
        (2_000, "sign"),
        (3_000, "cosign"),
        (3_000, "sign"),
        (4_000, "sign"),
        (5_000, "sign"),
        (6_000, "cosign"),
        (6_000, "sign"),
    ];
    for signer in 1..=3 {
        assert_eq!(asked(&exchange, signer), want);
    }
    // The third signer is asked only when the others have refused, so its challenge is leased after theirs.
    assert_eq!(times(&exchange, 4, "lease"), [3_000, 3_000, 6_000]);
}

#[test]
fn signers_that_have_nothing_to_do_are_asked_nothing() {
    let mut exchange = exchange();
    approved(&mut exchange, &long("w-1"));
    assert_eq!(exchange.sent.len(), 1);
    exchange.asked.clear();
    exchange.pass(20_000);
    for machine in 1..=4 {
        assert_eq!(asked(&exchange, machine), [], "{machine}");
    }
}

#[test]
fn a_payout_that_every_signer_refuses_for_good_ends_and_one_that_two_refuse_does_not() {
    for (count, want) in [(3, Status::Refused), (2, Status::Assembled)] {
        let mut exchange = exchange();
        for signer in &all()[..count] {
            exchange.refuses.insert(signer.clone(), "input-unproven");
        }
        exchange.mute = all().get(count).cloned();
        approved(&mut exchange, &long("w-1"));
        exchange.pass(5_000);
        assert_eq!(exchange.status("w-1"), want, "{count}");
        let id = "w-1".parse().unwrap();
        let refusals = exchange.writer.refusals(&id);
        let codes: Vec<_> = refusals.map(|(id, refused)| (id.clone(), refused[0].code.clone())).collect();
        let told = all().map(|id| (id, "input-unproven".to_owned()));
        assert_eq!(codes, if count == 3 { &told[..0] } else { &told[..2] });
        // For good is for good: nobody is asked twice.
        assert_eq!(times(&exchange, 1, "sign"), [0]);
    }
}

#[test]
fn a_signer_that_withholds_its_signature_is_asked_again_after_a_second_or_a_minute() {
    for (code, every_ms) in [("breaker-closed", 1_000), ("receipt-lapsed", 1_000), ("limit-rolling", 60_000)]
    {
        let mut exchange = exchange();
        for signer in all() {
            exchange.withholds.insert(signer, code);
        }
        approved(&mut exchange, &long("w-1"));
        exchange.pass(2 * every_ms);
        let signers: Vec<u8> =
            (1..=3).filter(|signer| !times(&exchange, *signer, "sign").is_empty()).collect();
        for signer in signers {
            let times = times(&exchange, signer, "release");
            assert_eq!(times, [0, every_ms, 2 * every_ms], "{code} of {signer}");
        }
        assert_eq!(exchange.status("w-1"), Status::Assembled);
        exchange.withholds.clear();
        exchange.pass(every_ms);
        assert_eq!(exchange.sent.len(), 1, "{code}");
    }
}

/// Its signer's clock may be up to a minute before the writer's; who says sooner that a receipt has lapsed is not taken at its
/// word, or it would fill the log.
#[test]
fn a_fresh_receipt_is_asked_for_when_the_first_may_have_lapsed() {
    for (away_ms, want) in [(RECEIPT_MS - 60_001, false), (RECEIPT_MS - 60_000, true)] {
        let mut exchange = exchange();
        // The third signer has given one receipt less than the others.
        exchange.happen(Event::Lost(kit::machine(3)));
        approved(&mut exchange, &kit::payout("w-0", 9, 100_000_000));
        exchange.happen(Event::Joined(kit::machine(3)));
        exchange.fund(1, 300_000_000);
        exchange.breaks = true;
        approved(&mut exchange, &long("w-1"));
        exchange.breaks = false;
        let record = exchange.writer.fold().payout(&"w-1".parse().unwrap()).unwrap();
        let numbers: Vec<u64> = record.receipts.iter().map(|logged| logged.receipt.seq).collect();
        assert!(numbers.contains(&1) && numbers.contains(&2), "{numbers:?}");
        exchange.now = kit::NOW.plus_ms(away_ms);
        for signer in all() {
            exchange.withholds.insert(signer, "receipt-lapsed");
        }
        exchange.join();
        let at = |signer: u8, what: &str| times(&exchange, signer, what).contains(&away_ms);
        let releases: Vec<u8> = (1..=3).filter(|signer| at(*signer, "release")).collect();
        assert!(releases.contains(&3) && releases.len() > 1, "{releases:?}");
        for signer in releases {
            assert_eq!(at(signer, "sign"), want, "{away_ms}: signer {signer}");
        }
    }
}

#[test]
fn a_watcher_without_a_lease_is_asked_again_and_again_but_not_at_once() {
    let mut exchange = exchange();
    exchange.leases_from = u64::MAX;
    approved(&mut exchange, &long("w-1"));
    exchange.asked.clear();
    exchange.pass(1_000);
    assert_eq!(times(&exchange, 4, "lease"), [200, 400, 600, 800, 1_000]);
    // One that does not see the chain has said so, and is left alone for longer.
    let mut exchange = self::exchange();
    exchange.seen.clear();
    approved(&mut exchange, &long("w-1"));
    exchange.asked.clear();
    exchange.pass(2_500);
    assert_eq!(times(&exchange, 4, "lease"), [1_000, 2_000]);
}

/// Sixteen payouts whose previous transactions fill what one request carries, and a byte more.
#[test]
fn a_request_carries_eight_mebibytes_of_previous_transactions() {
    const EACH: usize = 512 * 1024;
    let filled = |len: usize| TxOut { value_sat: 0, script: Script::new(vec![0x6a; len]) };
    for (more, want) in [(0, &[16][..]), (1, &[15, 1])] {
        let mut exchange = Exchange::new();
        (1..=3).for_each(|number| exchange.happen(Event::Lost(kit::machine(number))));
        for index in 0..16_u32 {
            let len = if index == 0 { EACH + more } else { EACH };
            let mut funding = kit::funding(0, 20_000_000);
            funding.lock_time = index;
            funding.outputs.extend(vec![filled(9_000); 58]);
            let rest = len - funding.encode().len();
            funding.outputs[1] = filled(9_000 + rest);
            assert_eq!(funding.encode().len(), len);
            exchange.happen(Event::Coin(kit::hot(), kit::coin(&funding)));
            let payout = Payout { amount: Amount::from(10_000_000), ..long(&format!("w-{index}")) };
            approved(&mut exchange, &payout);
        }
        exchange.asked.clear();
        // Two signers are there, and both are asked about both.
        for number in [1, 2] {
            exchange.happen(Event::Joined(kit::machine(number)));
        }
        exchange.pass(4_000);
        assert_eq!(exchange.sent.len(), 16);
        let items = |(_, id, request): &(u64, MachineId, Request)| match request {
            Request::Sign { items, .. } => (*id == kit::machine(1)).then_some(items.len()),
            Request::Status
            | Request::Extend { .. }
            | Request::Lease { .. }
            | Request::Release { .. }
            | Request::Trip(_)
            | Request::Permits { .. }
            | Request::Alarms { .. } => None,
        };
        assert_eq!(exchange.asked.iter().filter_map(items).collect::<Vec<_>>(), want, "{more}");
    }
}

/// What a signer says of another, or of another transaction, is as good as a refusal.
#[test]
fn a_signer_speaks_for_itself_and_about_what_it_was_asked() {
    let reasons = |exchange: &Exchange, id: &str| {
        let id = id.parse().unwrap();
        let refusals = exchange.writer.refusals(&id);
        refusals.map(|(signer, refused)| (signer.clone(), refused[0].code.clone())).collect::<Vec<_>>()
    };
    let invalid = |number: u8| (kit::machine(number), "receipt-invalid".to_owned());
    // Signers 1 and 2 are there, and the second has the first's receipts.
    let mut exchange = exchange();
    exchange.happen(Event::Lost(kit::machine(3)));
    exchange.lends.insert(kit::machine(2), kit::machine(1));
    approved(&mut exchange, &long("w-1"));
    assert_eq!(reasons(&exchange, "w-1"), [invalid(2)]);
    assert_eq!(exchange.writer.fold().payout(&"w-1".parse().unwrap()).unwrap().receipts.len(), 1);
    // Two payouts, whose receipts are exchanged on the way.
    let mut exchange = self::exchange();
    exchange.fund(1, 300_000_000);
    (1..=3).for_each(|number| exchange.happen(Event::Lost(kit::machine(number))));
    approved(&mut exchange, &long("w-1"));
    approved(&mut exchange, &long("w-2"));
    exchange.tampers.insert(kit::machine(1), |response| {
        if let Response::Receipts(answers) = response {
            answers.reverse();
        }
    });
    for number in [1, 2] {
        exchange.happen(Event::Joined(kit::machine(number)));
    }
    exchange.pass(4_000);
    assert_eq!((reasons(&exchange, "w-1"), reasons(&exchange, "w-2")), (vec![invalid(1)], vec![invalid(1)]));
}

type Tamper = fn(&mut Response);

#[test]
fn a_signature_that_does_not_hold_is_as_good_as_a_refusal() {
    let spoils: [(&str, Tamper); 5] = [
        ("none", |response| spoil(response, |list| list.clear())),
        ("one more", |response| spoil(response, |list| list.push(list[0].clone()))),
        ("for another input", |response| spoil(response, |list| list[0].input = 1)),
        ("by another key", |response| {
            spoil(response, |list| {
                let other = kit::coin_key(9).child(Branch::Receive, 0).unwrap();
                list[0].key = other.public().to_bytes();
            })
        }),
        ("over something else", |response| {
            spoil(response, |list| {
                // The last byte of S, before that of what is signed.
                let at = list[0].signature.len() - 2;
                list[0].signature[at] ^= 1;
            })
        }),
    ];
    for (what, tamper) in spoils {
        let mut exchange = exchange();
        for signer in all() {
            exchange.tampers.insert(signer, tamper);
        }
        approved(&mut exchange, &long("w-1"));
        exchange.pass(1_000);
        assert_eq!(exchange.sent.len(), 0, "{what}");
        let id = "w-1".parse().unwrap();
        let codes: Vec<_> =
            exchange.writer.refusals(&id).map(|(_, refused)| refused[0].code.clone()).collect();
        assert!(
            codes.len() >= 2 && codes.iter().all(|code| code == "signature-invalid"),
            "{what}: {codes:?}"
        );
    }
    // Two honest ones are enough.
    for number in 1..=3 {
        let mut exchange = exchange();
        exchange.tampers.insert(kit::machine(number), spoils[0].1);
        approved(&mut exchange, &long("w-1"));
        exchange.pass(4_000);
        assert_eq!(exchange.sent.len(), 1, "{number}");
    }
}

fn spoil(response: &mut Response, spoil: impl Fn(&mut Vec<kuraban_vault::wire::InputSignature>)) {
    if let Response::Signatures(answers) = response {
        answers.iter_mut().flatten().for_each(spoil);
    }
}

/// A writer that was set back has lost a log that its witnesses have seen; none of them is asked for anything.
#[test]
fn witnesses_that_are_ahead_of_their_writer_are_left_alone() {
    let mut exchange = exchange();
    approved(&mut exchange, &long("w-1"));
    let whole = exchange.disk.len();
    exchange.disk.truncate(whole - 1);
    exchange.asked.clear();
    exchange.restart();
    exchange.pass(5_000);
    assert!(exchange.asked.iter().all(|(_, _, request)| *request == Request::Status));
}

#[test]
fn what_was_asked_on_a_connection_that_broke_is_asked_again_at_once() {
    let mut exchange = exchange();
    exchange.breaks = true;
    approved(&mut exchange, &long("w-1"));
    exchange.breaks = false;
    exchange.pass(500);
    assert_eq!(exchange.sent.len(), 0);
    exchange.join();
    assert_eq!(exchange.sent.len(), 1);
}

/// Witnesses are asked about one head after the other, so that they come to a quorum about each.
#[test]
fn a_head_waits_until_a_quorum_has_cosigned_the_one_before() {
    let mut exchange = exchange();
    let size = exchange.size();
    for number in [3, 4] {
        exchange.held.insert(kit::machine(number));
    }
    exchange.asked.clear();
    for id in ["w-1", "w-2"] {
        approved(&mut exchange, &long(id));
    }
    let told = |exchange: &Exchange| {
        let entries = |(_, id, request): &(u64, MachineId, Request)| match request {
            Request::Extend { from, entries, .. } if *id == kit::machine(1) => {
                Some(from + u64::try_from(entries.len()).unwrap())
            }
            Request::Extend { .. }
            | Request::Status
            | Request::Lease { .. }
            | Request::Sign { .. }
            | Request::Release { .. }
            | Request::Trip(_)
            | Request::Permits { .. }
            | Request::Alarms { .. } => None,
        };
        exchange.asked.iter().filter_map(entries).collect::<Vec<_>>()
    };
    // The first entry alone, of everything that came to be logged.
    assert!(exchange.size() > size + 4);
    assert_eq!(told(&exchange), [size + 1]);
    exchange.held.clear();
    exchange.happen(Event::Lost(kit::machine(3)));
    exchange.happen(Event::Joined(kit::machine(3)));
    assert_eq!(told(&exchange).last(), Some(&exchange.size()));
}

/// What a witness says that adds nothing makes no new checkpoint.
#[test]
fn a_checkpoint_is_published_when_a_quorum_or_one_more_has_cosigned_it() {
    for (tamper, want) in [(false, 2), (true, 1)] {
        let mut exchange = Exchange::new();
        if tamper {
            exchange.tampers.insert(kit::machine(4), |response| {
                if let Response::Cosigned { line, .. } = response {
                    line.clear();
                }
            });
        }
        exchange.published.clear();
        let size = exchange.size();
        let digest = long("w-1").digest(&kit::charter().context());
        let request = kit::sign(&kit::person(1), kuraban_vault::REQUEST, digest.as_bytes());
        let (payout, key) = (long("w-1"), "k".to_owned());
        exchange.happen(Event::Ask(Token(1), Ask::Request { payout, request, key }));
        // Three of four witnesses are a quorum; the fourth is one more.
        assert_eq!(exchange.published, vec![size + 1; want], "{tamper}");
    }
}

/// Under load there is always more of the log to send; what waits for a lease goes first.
#[test]
fn a_watcher_is_asked_for_a_lease_before_it_is_sent_more_of_the_log() {
    let mut exchange = exchange();
    exchange.happen(Event::Lost(kit::machine(3)));
    exchange.refuses.insert(kit::machine(2), "input-unproven");
    approved(&mut exchange, &long("w-1"));
    assert_eq!(exchange.sent.len(), 0);
    let digest = long("w-2").digest(&kit::charter().context());
    let request = kit::sign(&kit::person(1), kuraban_vault::REQUEST, digest.as_bytes());
    let ask = Ask::Request { payout: long("w-2"), request, key: "k".to_owned() };
    exchange.beside = Some((kit::machine(3), Event::Ask(Token(1), ask)));
    exchange.asked.clear();
    exchange.happen(Event::Joined(kit::machine(3)));
    let first = exchange.asked.iter().find(|(_, id, _)| *id == kit::machine(4)).unwrap();
    assert!(matches!(first.2, Request::Lease { .. }));
    assert_eq!(exchange.sent.len(), 1);
}

#[test]
fn signatures_are_asked_for_when_enough_receipts_stand_in_the_log_and_not_at_once_again() {
    let mut exchange = exchange();
    for number in [2, 3] {
        exchange.refuses.insert(kit::machine(number), "input-unproven");
    }
    approved(&mut exchange, &long("w-1"));
    exchange.pass(4_000);
    assert_eq!((times(&exchange, 1, "sign"), times(&exchange, 1, "release")), (vec![0], vec![]));
    // All give receipts, and what they say then is of no use.
    let mut exchange = self::exchange();
    for signer in all() {
        exchange.tampers.insert(signer, |response| {
            if let Response::Signatures(_) = response {
                *response = Response::Status { size: 0, epoch: 0 };
            }
        });
    }
    approved(&mut exchange, &long("w-1"));
    exchange.pass(6_000);
    let turns: Vec<Vec<u64>> = (1..=3).map(|signer| times(&exchange, signer, "release")).collect();
    let early = turns.iter().filter(|times| times.first() == Some(&0)).collect::<Vec<_>>();
    assert_eq!(early, [&[0, 3_000, 6_000]; 2], "{turns:?}");
}

/// The payouts that a signer was asked to sign for, question by question.
fn signing(exchange: &Exchange, machine: u8) -> Vec<Vec<String>> {
    let items = |(_, id, request): &(u64, MachineId, Request)| match request {
        Request::Sign { items, .. } if *id == kit::machine(machine) => {
            Some(items.iter().map(|item| item.payout.to_string()).collect())
        }
        Request::Sign { .. }
        | Request::Status
        | Request::Extend { .. }
        | Request::Lease { .. }
        | Request::Release { .. }
        | Request::Trip(_)
        | Request::Permits { .. }
        | Request::Alarms { .. } => None,
    };
    exchange.asked.iter().filter_map(items).collect()
}

/// A signer would refuse what its checkpoint does not cover, and a watcher's lease would come too early.
#[test]
fn nobody_is_asked_about_an_entry_before_a_quorum_has_cosigned_it() {
    let mut exchange = Exchange::new();
    approved(&mut exchange, &long("w-1"));
    exchange.asked.clear();
    for number in [2, 3] {
        exchange.held.insert(kit::machine(number));
    }
    // Its transaction is the next entry, which two of four witnesses co-sign.
    exchange.fund(0, 300_000_000);
    exchange.pass(1_000);
    assert_eq!(exchange.status("w-1"), Status::Assembled);
    assert_eq!((times(&exchange, 4, "lease"), times(&exchange, 1, "sign")), (vec![], vec![]));

    // The same beside a payout that waits, whose lease reaches it.
    let mut exchange = self::exchange();
    for signer in all() {
        exchange.refuses.insert(signer, "lease-invalid");
    }
    approved(&mut exchange, &long("w-0"));
    approved(&mut exchange, &long("w-1"));
    for number in [2, 3] {
        exchange.held.insert(kit::machine(number));
    }
    exchange.fund(1, 300_000_000);
    exchange.asked.clear();
    exchange.pass(4_500);
    let asked = signing(&exchange, 1);
    assert!(asked.len() >= 3 && asked.iter().all(|items| *items == ["w-0"]), "{asked:?}");
    assert_eq!(exchange.status("w-1"), Status::Assembled);
}

#[test]
fn a_watcher_that_lacks_the_entry_gets_it_before_it_is_asked_for_a_lease() {
    let mut exchange = Exchange::new();
    approved(&mut exchange, &long("w-1"));
    exchange.happen(Event::Lost(kit::machine(4)));
    exchange.fund(0, 300_000_000);
    assert_eq!(exchange.status("w-1"), Status::Assembled);
    exchange.asked.clear();
    exchange.happen(Event::Joined(kit::machine(4)));
    let kinds = exchange.asked.iter().filter(|(_, id, _)| *id == kit::machine(4));
    let kinds: Vec<_> = kinds.map(|(_, _, request)| std::mem::discriminant(request)).take(3).collect();
    let want = [
        Request::Status,
        Request::Extend { from: 0, entries: Vec::new(), checkpoint: Vec::new(), newest: 0 },
        Request::Lease { challenges: Vec::new() },
    ];
    assert_eq!(kinds, want.each_ref().map(std::mem::discriminant));
    assert_eq!(exchange.sent.len(), 1);
}

#[test]
fn from_its_expiry_on_nobody_is_asked_about_a_payout() {
    for (now_ms, want) in [(59_999, true), (60_000, false)] {
        let mut exchange = exchange();
        exchange.breaks = true;
        approved(&mut exchange, &Payout { expiry: kit::NOW.plus_ms(60_000), ..long("w-1") });
        exchange.breaks = false;
        exchange.now = kit::NOW.plus_ms(now_ms);
        exchange.happen(Event::Tick);
        exchange.asked.clear();
        exchange.join();
        let asked = (1..=3).any(|signer| asked(&exchange, signer).iter().any(|(_, what)| *what != "cosign"));
        assert_eq!((asked, exchange.sent.len()), (want, usize::from(want)), "{now_ms}");
    }
}
