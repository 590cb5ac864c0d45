//! The witness quorum: which ones are allowed, when one is met, and that no two forks both find one.

use kuraban_base::{Instant, TreeHash};
use kuraban_proof::{
    AddCheckpoint, Cosigner, SignedCheckpoint, TreeHead, VerifierKey, WitnessQuorum,
    quorum::{Threshold, ThresholdError},
};

use crate::oracle::{NOW, cosigned, head, leaves, log, name, narrow, signed, witness};

fn keys(count: u8) -> Vec<VerifierKey> {
    (0..count).map(|number| witness(number).verifier().clone()).collect()
}

fn quorum(count: u8, needed: usize, faulty: usize) -> Result<WitnessQuorum, ThresholdError> {
    WitnessQuorum::new(keys(count), Threshold { needed, faulty })
}

#[test]
fn only_fork_proof_quorums_that_can_be_had_are_allowed() {
    for witnesses in 0..=8_u8 {
        for needed in 0..=9_usize {
            for faulty in 0..=9_usize {
                let count = usize::from(witnesses);
                let want = needed <= count && 2 * needed > count + faulty;
                assert_eq!(
                    quorum(witnesses, needed, faulty).is_ok(),
                    want,
                    "{needed} of {witnesses}, {faulty} faulty"
                );
            }
        }
    }
    let default = quorum(4, 3, 1).unwrap();
    assert_eq!((default.witnesses().len(), default.threshold()), (4, Threshold { needed: 3, faulty: 1 }));
    assert_eq!(quorum(4, 3, 2), Err(ThresholdError::Forkable { needed: 3, witnesses: 4, faulty: 2 }));
    assert_eq!(quorum(4, 5, 0), Err(ThresholdError::Unreachable { needed: 5, witnesses: 4 }));
    let huge = WitnessQuorum::new(keys(4), Threshold { needed: 4, faulty: usize::MAX });
    assert!(matches!(huge, Err(ThresholdError::Forkable { .. })));
}

#[test]
fn each_witness_counts_once() {
    let threshold = Threshold { needed: 3, faulty: 1 };
    let with = |key: VerifierKey| WitnessQuorum::new([keys(3), vec![key]].concat(), threshold).map(|_| ());
    let twice = |text: &str| Err(ThresholdError::Twice { name: name(text) });
    assert_eq!(with(witness(1).verifier().clone()), twice("witness.example/1"));
    let renamed = Cosigner::from_seed(name("witness.example/new"), &[101; 32]);
    assert_eq!(with(renamed.verifier().clone()), twice("witness.example/new"));
    let namesake = Cosigner::from_seed(name("witness.example/1"), &[9; 32]);
    assert_eq!(with(namesake.verifier().clone()), twice("witness.example/1"));
    let kind = Err(ThresholdError::Kind { name: name("example.com/log") });
    assert_eq!(with(log().verifier().clone()), kind);

    let late = Instant::from_ms(NOW.ms() + 60_000);
    let checkpoint = cosigned(head(&leaves("once", 3)), &[(0, NOW), (0, late), (1, NOW)]);
    let error = quorum(4, 3, 1).unwrap().met(&checkpoint).unwrap_err();
    assert_eq!(
        error.to_string(),
        "checkpoint has 2 of 3 cosignatures, missing are witness.example/2, witness.example/3"
    );
}

#[test]
fn a_quorum_is_met_at_its_threshold_and_tells_the_median_time() {
    let at = |s: u64| Instant::from_ms(s * 1000);
    let check = |by: &[(u8, Instant)], want: Option<(usize, Instant)>| {
        let checkpoint = cosigned(head(&leaves("median", 3)), by);
        let met = quorum(4, 3, 1).unwrap().met(&checkpoint);
        assert_eq!(met.ok().map(|met| (met.names.len(), met.median)), want);
    };
    check(&[], None);
    check(&[(0, at(9)), (1, at(5))], None);
    check(&[(0, at(9)), (1, at(5)), (2, at(7))], Some((3, at(7))));
    check(&[(3, at(1)), (0, at(9)), (1, at(5)), (2, at(7))], Some((4, at(5))));
    // A witness's latest word is what counts.
    check(&[(3, at(1)), (0, at(9)), (1, at(5)), (2, at(7)), (3, at(8))], Some((4, at(7))));
    // A stranger does not count.
    check(&[(0, at(9)), (1, at(5)), (9, at(7))], None);
}

#[test]
fn only_what_was_cosigned_since_then_makes_a_quorum() {
    let at = |s: u64| Instant::from_ms(s * 1000);
    let check = |since: Instant, want: Option<(usize, Instant)>| {
        let by = [(0, at(9)), (1, at(5)), (2, at(7)), (3, at(1)), (3, at(8))];
        let met = quorum(4, 3, 1).unwrap().met_since(&cosigned(head(&leaves("since", 3)), &by), since);
        assert_eq!(met.ok().map(|met| (met.names.len(), met.median)), want, "{since}");
    };
    check(at(5), Some((4, at(7))));
    check(Instant::from_ms(5001), Some((3, at(8))));
    check(at(7), Some((3, at(8))));
    check(Instant::from_ms(7001), None);
}

/// The cosignature of `number` on `tree` by the real witness, from its state `last`.
fn cosign(number: u8, last: TreeHead, tree: &[TreeHash]) -> Option<String> {
    let request = AddCheckpoint::new(last.size, vec![], &signed(head(tree)));
    witness(number).add_checkpoint(last, &request, NOW).ok().map(|cosigned| cosigned.answer())
}

/// Two checkpoints of one size and different roots; up to f witnesses cosign both, every other one whichever reaches
/// it first. All sets of faulty witnesses and all orders are tried, through the real witness.
#[test]
fn two_forks_never_both_find_a_quorum() {
    let sides = [leaves("left", 6), leaves("right", 6)];
    for count in 1..=5_u8 {
        let lines: Vec<[String; 2]> = (0..count)
            .map(|number| {
                for (side, other) in [(0, 1), (1, 0)] {
                    assert_eq!(
                        cosign(number, head(&sides[side]), &sides[other]),
                        None,
                        "an honest witness forked"
                    );
                }
                [0, 1].map(|side| cosign(number, TreeHead::empty(), &sides[side]).unwrap())
            })
            .collect();
        for faulty in 0_u32..1 << count {
            for first in 0_u32..1 << count {
                let votes =
                    |side: u32, number: u8| faulty >> number & 1 == 1 || (first >> number & 1 == side);
                attack(count, faulty.count_ones(), &sides, &lines, votes);
            }
        }
    }
}

fn attack(
    count: u8,
    faulty: u32,
    sides: &[Vec<TreeHash>; 2],
    lines: &[[String; 2]],
    votes: impl Fn(u32, u8) -> bool,
) {
    let open = |side: u32| -> SignedCheckpoint {
        let at = narrow(side.into());
        let mut checkpoint = signed(head(&sides[at]));
        for number in (0..count).filter(|number| votes(side, *number)) {
            let line = &lines[usize::from(number)][at];
            assert_eq!(checkpoint.add_cosignatures(line, &keys(count)), Ok(1));
        }
        checkpoint
    };
    let (left, right) = (open(0), open(1));
    let fewer = left.cosignatures().len().min(right.cosignatures().len());
    for needed in 1..=usize::from(count) {
        let quorum = quorum(count, needed, narrow(faulty.into()));
        if let Ok(quorum) = quorum {
            assert!(
                quorum.met(&left).is_err() || quorum.met(&right).is_err(),
                "{needed} of {count}, {faulty} faulty"
            );
            assert!(fewer < needed);
        }
    }
}

/// The bound is not stricter than it must be: whatever is refused as forkable can be forked.
#[test]
fn every_refused_quorum_has_an_attack() {
    for count in 1..=8_usize {
        for faulty in 0..=count {
            for needed in 0..=count {
                let honest = count - faulty;
                let both = faulty + honest / 2;
                let refused = quorum(u8::try_from(count).unwrap(), needed, faulty).is_err();
                assert_eq!(refused, both >= needed, "{needed} of {count}, {faulty} faulty");
            }
        }
    }
}
