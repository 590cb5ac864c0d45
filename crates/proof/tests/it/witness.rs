//! The witness protocol: statuses, a published request, and that no witness ever cosigns a fork.

use kuraban_base::{Instant, TreeHash};
use kuraban_proof::{
    AddCheckpoint, Checkpoint, Cosigner, Fold, Frontier, NoteSigner, Refusal, SignedCheckpoint, TreeHead,
    Witness, prove,
    tree::ProofError,
    witness::{AdvanceError, FoldError, PROOF_LINES_MAX, RequestError, monitoring_path},
};
use proptest::prelude::*;

use crate::oracle::{
    NOW, fold, frontier, head, leaves, log, mth, name, narrow, signed, subproof, wide, witness,
};

fn proof(earlier: usize, leaves: &[TreeHash]) -> Vec<TreeHash> {
    if earlier == 0 { vec![] } else { subproof(earlier, leaves, true) }
}

/// A request from the witness's state to the given leaves.
fn request(earlier: usize, leaves: &[TreeHash]) -> AddCheckpoint {
    AddCheckpoint::new(wide(earlier), proof(earlier, leaves), &signed(head(leaves)))
}

#[test]
fn a_log_is_witnessed_from_its_first_checkpoint_on() {
    let (witness, all) = (witness(1), leaves("grows", 300));
    let mut last = TreeHead::empty();
    for size in [0, 1, 2, 2, 3, 64, 65, 255, 256, 257, 300] {
        let checkpoint = signed(head(&all[..size]));
        let request = request(narrow(last.size), &all[..size]);
        assert_eq!(AddCheckpoint::parse(request.to_string().as_bytes()), Ok(request.clone()));
        let cosigned = witness.add_checkpoint(last, &request, NOW).unwrap();
        assert_eq!((cosigned.origin.as_str(), cosigned.head), ("example.com/log", head(&all[..size])));
        let mut taken = checkpoint;
        assert_eq!(taken.add_cosignatures(&cosigned.answer(), &[witness.verifier().clone()]), Ok(1));
        assert_eq!(taken.cosignatures()[0].at, Instant::from_ms(NOW.s() * 1000));
        last = cosigned.head;
    }
}

#[test]
fn refusals_have_the_statuses_of_the_protocol() {
    let (witness, all) = (witness(1), leaves("refused", 10));
    let last = head(&all[..5]);
    let check = |request: &AddCheckpoint, status: u16, body: &str| {
        let refusal = witness.add_checkpoint(last, request, NOW).unwrap_err();
        assert_eq!((refusal.status(), refusal.body().as_str()), (status, body));
        let kind = if status == 409 { "text/x.tlog.size" } else { "text/plain; charset=utf-8" };
        assert_eq!(refusal.content_type(), kind);
    };
    let stranger = NoteSigner::from_seed(name("example.com/stranger"), &[3; 32]);
    let unknown = SignedCheckpoint::sign(&stranger, head(&all)).unwrap();
    check(&AddCheckpoint::new(5, vec![], &unknown), 404, "origin \"example.com/stranger\" is not known\n");

    let impostor = NoteSigner::from_seed(name("example.com/log"), &[3; 32]);
    let untrusted = SignedCheckpoint::sign(&impostor, head(&all)).unwrap();
    check(
        &AddCheckpoint::new(5, vec![], &untrusted),
        403,
        "checkpoint is not signed by a trusted key of its log\n",
    );
    let tampered = request(5, &all).to_string().replace("\n10\n", "\n11\n");
    check(&tampered.parse().unwrap(), 403, "checkpoint is not signed by a trusted key of its log\n");

    let backwards = AddCheckpoint::new(11, vec![], &signed(head(&all)));
    check(&backwards, 400, "old size 11 is larger than the checkpoint's size 10\n");
    check(&request(4, &all), 409, "5\n");
    check(&request(0, &all), 409, "5\n");
    check(&request(6, &all), 409, "5\n");
    check(&request(3, &all[..4]), 409, "5\n");

    let inconsistent = "checkpoint does not extend the last cosigned one\n";
    check(&AddCheckpoint::new(5, vec![], &signed(head(&all))), 422, inconsistent);
    check(&request(5, &leaves("fork", 10)), 422, inconsistent);
    check(&request(5, &leaves("fork", 5)), 422, inconsistent);
    check(&AddCheckpoint::new(5, all[..1].to_vec(), &signed(last)), 422, inconsistent);
}

#[test]
fn a_first_checkpoint_comes_without_a_proof_and_an_empty_one_with_the_empty_root() {
    let (witness, all) = (witness(1), leaves("first", 4));
    let with_proof = AddCheckpoint::new(0, all[..1].to_vec(), &signed(head(&all)));
    let refusal = witness.add_checkpoint(TreeHead::empty(), &with_proof, NOW).unwrap_err();
    assert_eq!(refusal, Refusal::Inconsistent(ProofError::Length { got: 1 }));
    let forged = AddCheckpoint::new(0, vec![], &signed(TreeHead { size: 0, root: mth(&all) }));
    let refusal = witness.add_checkpoint(TreeHead::empty(), &forged, NOW).unwrap_err();
    assert_eq!((refusal.clone(), refusal.status()), (Refusal::EmptyRoot, 422));
}

#[test]
fn a_witness_without_a_clock_does_not_sign() {
    let (witness, all) = (witness(1), leaves("clock", 4));
    let sign = |at_ms| witness.add_checkpoint(TreeHead::empty(), &request(0, &all), Instant::from_ms(at_ms));
    assert_eq!(sign(999).unwrap_err(), Refusal::Clock);
    assert!(sign(1000).is_ok());
    let mut folded = fold(&all, TreeHead::empty());
    let checkpoint = signed(head(&all)).to_string();
    let advance = witness.advance(TreeHead::empty(), &mut folded, checkpoint.as_bytes(), Instant::from_ms(0));
    assert_eq!(advance, Err(AdvanceError::Clock));
}

#[test]
fn requests_are_refused_with_the_line_that_is_wrong() {
    let all = leaves("lines", 10);
    let text = request(5, &all).to_string();
    let check = |text: &str, want: &str| {
        let error = AddCheckpoint::parse(text.as_bytes()).unwrap_err();
        assert_eq!(error.to_string(), want);
        assert_eq!(Refusal::from(error).status(), 400);
    };
    check("", "request line 1: want old <size>");
    check(&text.replace("old 5", "old 05"), "request line 1: want old <size>");
    check(&text.replace("old 5", "old  5"), "request line 1: want old <size>");
    check(&text.replace("old 5", "new 5"), "request line 1: want old <size>");
    check("old 5\n", "request line 2: want a hash or an empty line");
    check("old 5\nAAAA\n", "request line 2: want a hash in base64");
    check("old 5\n\n", "note is malformed: want an empty line before the signatures");
    check(&text.replace("\n10\n", "\n010\n"), "checkpoint line 2: want the tree's size in decimal");
    for end in 0..text.len() {
        assert!(AddCheckpoint::parse(&text.as_bytes()[..end]).is_err(), "{end} bytes");
    }
    assert!(AddCheckpoint::parse(b"old \xff\n").is_err());
}

#[test]
fn a_request_has_at_most_63_proof_lines() {
    let all = leaves("most", 1);
    let request = |count: usize| AddCheckpoint::new(1, vec![all[0]; count], &signed(head(&all))).to_string();
    let parse = |text: String| AddCheckpoint::parse(text.as_bytes());
    assert_eq!(parse(request(PROOF_LINES_MAX)).unwrap().proof.len(), 63);
    assert_eq!(parse(request(64)).unwrap_err().to_string(), "request line 65: want at most 63 hashes");
}

/// A request that another witness's tests publish: a Sigsum log's key, origin and first checkpoint.
#[test]
fn a_published_request_is_cosigned() {
    let origin = "sigsum.org/v1/tree/985ea163f5af026723561354f51f2ebcdcf2af809ce254ccfb64aa9aadd80f90";
    let text = format!(
        "old 0\n\n{origin}\n1\nKgAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n\n— {origin} 7BKT0gOfNZ1J0So9unY3BZtm2YkPIoNYM/dce0Z2avJDs8dxN6ts9bOSwwrVrbjm6P9K3ZxpK6jJngOG6YvGGzV/lwo=\n"
    );
    let public = "52c05edad1bf5feffa81354faae59a655d9a9a1a793ed2f62c39c26c0be2aecd";
    let key = kuraban_base::hex::decode(&format!("01{public}")).unwrap();
    let log = format!("{origin}+ec1293d2+{}", base64(&key)).parse().unwrap();
    let witness = Witness::new(Cosigner::from_seed(name("example.com/witness"), &[4; 32]), vec![log]);
    let request = AddCheckpoint::parse(text.as_bytes()).unwrap();
    assert_eq!((request.to_string(), request.origin()), (text, origin));
    let cosigned = witness.add_checkpoint(TreeHead::empty(), &request, NOW).unwrap();
    assert_eq!(cosigned.head.size, 1);
}

fn base64(bytes: &[u8]) -> String {
    base64::Engine::encode(&base64::engine::general_purpose::STANDARD, bytes)
}

#[test]
fn the_monitoring_path_is_the_origins_hash() {
    // SHA-256 of "abc", FIPS 180-4.
    let want = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad/checkpoint";
    assert_eq!(monitoring_path("abc"), want);
}

#[test]
fn what_a_witness_folded_itself_is_cosigned_without_a_proof() {
    let (witness, all) = (witness(1), leaves("folded", 200));
    let mut folded = fold(&all[..70], head(&all[..50]));
    let mut last = head(&all[..50]);
    for size in [70, 70, 71, 128, 200] {
        let done = narrow(folded.frontier().size());
        all[done..size].iter().for_each(|leaf| folded.append(*leaf).unwrap());
        let checkpoint = signed(head(&all[..size])).to_string();
        let cosigned = witness.advance(last, &mut folded, checkpoint.as_bytes(), NOW).unwrap();
        assert_eq!(cosigned.head, head(&all[..size]));
        last = cosigned.head;
    }
    // A restart from the frontier and the last cosigned head.
    let kept = Frontier::decode(&folded.frontier().encode()).unwrap();
    let mut again = Fold::new(name("example.com/log"), kept, last).unwrap();
    assert!(witness.advance(last, &mut again, signed(last).to_string().as_bytes(), NOW).is_ok());
}

#[test]
fn a_fold_starts_at_the_empty_tree() {
    let (witness, all) = (witness(1), leaves("start", 3));
    let mut folded = Fold::start(name("example.com/log"));
    assert_eq!(Ok(folded.clone()), Fold::new(name("example.com/log"), Frontier::new(), TreeHead::empty()));
    all.iter().for_each(|leaf| folded.append(*leaf).unwrap());
    let checkpoint = signed(head(&all)).to_string();
    assert!(witness.advance(TreeHead::empty(), &mut folded, checkpoint.as_bytes(), NOW).is_ok());
}

#[test]
fn a_fold_goes_on_after_a_restart_between_two_checkpoints() {
    let (witness, all) = (witness(1), leaves("restart", 30));
    let last = head(&all[..10]);
    for stop in 0..30 {
        let mut folded = Fold::decode(&fold(&all[..stop], last).encode()).unwrap();
        assert_eq!(folded, fold(&all[..stop], last));
        all[stop..].iter().for_each(|leaf| folded.append(*leaf).unwrap());
        let checkpoint = signed(head(&all)).to_string();
        assert!(witness.advance(last, &mut folded, checkpoint.as_bytes(), NOW).is_ok(), "stopped at {stop}");
    }
    let bytes = fold(&all, last).encode();
    for end in 0..bytes.len() {
        assert!(Fold::decode(&bytes[..end]).is_err(), "{end} bytes");
    }
    let mut early = fold(&all[..9], last).encode();
    let truth = early.windows(6).position(|window| window == b"passed").unwrap() + 6;
    assert_eq!(std::mem::replace(&mut early[truth], 0xf5), 0xf4);
    let error = Fold::decode(&early).unwrap_err();
    assert_eq!(error.to_string(), "passed: true at size 9, which is before 10");
}

#[test]
fn a_fold_that_did_not_come_through_the_last_cosigned_head_is_not_cosigned() {
    let (witness, all, fork) = (witness(1), leaves("ours", 20), leaves("fork", 20));
    let last = head(&all[..10]);
    let advance = |last, folded: &mut Fold, tree: &[TreeHash]| {
        witness.advance(last, folded, signed(head(tree)).to_string().as_bytes(), NOW).map(|_| ())
    };

    let mut forked = fold(&fork[..9], last);
    let at_fork = forked.append(fork[9]);
    assert!(matches!(at_fork, Err(FoldError::Forked { size: 10, .. })));
    fork[10..].iter().for_each(|leaf| forked.append(*leaf).unwrap());
    assert_eq!(advance(last, &mut forked, &fork), Err(AdvanceError::NotPassed { at: 20, last: 10 }));

    let mut early = fold(&all[..9], last);
    assert_eq!(advance(last, &mut early, &all[..9]), Err(AdvanceError::NotPassed { at: 9, last: 10 }));
    // Passed another head than the state now says.
    let mut stale = fold(&all, head(&all[..5]));
    assert_eq!(advance(last, &mut stale, &all), Err(AdvanceError::NotPassed { at: 20, last: 10 }));

    let mut here = fold(&all, last);
    let other_root = advance(last, &mut here, &fork);
    assert!(matches!(other_root, Err(AdvanceError::Head { found: 20, size: 20, .. })));
    let smaller = advance(last, &mut here, &all[..19]);
    assert!(matches!(smaller, Err(AdvanceError::Head { found: 20, size: 19, .. })));
    assert_eq!(advance(last, &mut here, &all), Ok(()));

    let late = Fold::new(name("example.com/log"), frontier(&all[..11]), last);
    assert_eq!(late.unwrap_err(), FoldError::Late { start: 11, last: 10 });
    let elsewhere = Fold::new(name("example.com/log"), frontier(&fork[..10]), last);
    assert!(matches!(elsewhere, Err(FoldError::Forked { size: 10, .. })));
}

#[test]
fn a_fold_of_one_log_cosigns_no_other_log() {
    let other = NoteSigner::from_seed(name("example.com/other"), &[9; 32]);
    let logs = vec![log().verifier().clone(), other.verifier().clone()];
    let witness = Witness::new(Cosigner::from_seed(name("w"), &[4; 32]), logs);
    let all = leaves("two logs", 4);
    let checkpoint = SignedCheckpoint::sign(&other, head(&all)).unwrap().to_string();
    let mut folded = fold(&all, TreeHead::empty());
    let error = witness.advance(TreeHead::empty(), &mut folded, checkpoint.as_bytes(), NOW).unwrap_err();
    assert_eq!(error.to_string(), "checkpoint is of \"example.com/other\", the fold of example.com/log");
    let impostor = NoteSigner::from_seed(name("example.com/log"), &[3; 32]);
    let body = Checkpoint::new(&name("example.com/log"), head(&all)).to_string();
    let untrusted = impostor.sign(&body).unwrap().to_string();
    let error = witness.advance(TreeHead::empty(), &mut folded, untrusted.as_bytes(), NOW).unwrap_err();
    assert!(matches!(error, AdvanceError::Checkpoint(_)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// A log that forks after `common` entries offers both sides in any order and with any old size; whatever the
    /// witness cosigns is one growing tree.
    #[test]
    fn no_witness_ever_cosigns_two_heads_that_do_not_extend_each_other(
        common in 0_usize..20,
        offers in proptest::collection::vec((any::<bool>(), 0_usize..40, any::<Option<u8>>()), 1..30),
    ) {
        let (witness, ours) = (witness(1), leaves("ours", 40));
        let fork = [&ours[..common], &leaves("fork", 40)[common..]].concat();
        let mut last = TreeHead::empty();
        let mut tree: Vec<TreeHash> = vec![];
        for (side, size, old) in offers {
            let offered = if side { &ours[..size] } else { &fork[..size] };
            let old = old.map_or(tree.len(), usize::from).min(40);
            let proof = if (1..=size).contains(&old) { subproof(old, offered, true) } else { vec![] };
            let request = AddCheckpoint::new(wide(old), proof, &signed(head(offered)));
            let extends = offered.starts_with(&tree);
            match witness.add_checkpoint(last, &request, NOW) {
                Ok(cosigned) => {
                    prop_assert!(extends && old == tree.len());
                    prop_assert_eq!(cosigned.head, head(offered));
                    last = cosigned.head;
                    tree = offered.to_vec();
                }
                Err(_) => prop_assert!(!extends || old != tree.len()),
            }
        }
    }

    #[test]
    fn requests_are_read_as_they_are_written(earlier in 0_usize..50, more in 0_usize..50) {
        let all = leaves("written", wide(earlier + more));
        let nodes = |level: u8, index: u64| {
            let start = narrow(index << level);
            Ok::<_, std::convert::Infallible>(mth(&all[start..start + (1 << level)]))
        };
        let proof = prove::consistency(wide(earlier), wide(all.len()), nodes).unwrap();
        let request = AddCheckpoint::new(wide(earlier), proof, &signed(head(&all)));
        prop_assert_eq!(request.to_string().parse(), Ok(request));
    }
}

/// A note has at most 1,000,000 bytes, and 63 hashes with their lines have fewer than 4,096.
#[test]
fn a_request_is_read_up_to_its_longest() {
    let long = |length: usize| AddCheckpoint::parse(&vec![b'x'; length]).unwrap_err();
    assert!(!matches!(long(1_004_096), RequestError::Long { .. }));
    assert_eq!(long(1_004_097), RequestError::Long { got: 1_004_097 });
}
