//! Proof files: written, read, verified, and refused when anything in them is changed.

use kuraban_base::{Digest, Instant};
use kuraban_proof::{
    Entry, Opening, Policy, ProofFile, VerifierKey, WitnessQuorum, proof_file::NotShown, quorum::Threshold,
};
use proptest::prelude::*;

use crate::oracle::{NOW, cosigned, head, leaf, leaves, log, narrow, path, wide, witness};

fn quorum() -> WitnessQuorum {
    let witnesses: Vec<VerifierKey> = (0..4).map(|number| witness(number).verifier().clone()).collect();
    WitnessQuorum::new(witnesses, Threshold { needed: 3, faulty: 1 }).unwrap()
}

fn policy() -> Policy {
    let mut text = format!("log {}\n", log().verifier());
    for number in 0..4 {
        text += &format!("witness w{number} {}\n", witness(number).verifier());
    }
    Policy::parse((text + "group all-four 3 w0 w1 w2 w3\nquorum all-four\n").as_bytes()).unwrap()
}

fn file(index: usize, size: u64, by: &[u8]) -> ProofFile {
    let tree = leaves("file", size);
    let by: Vec<(u8, Instant)> = by.iter().map(|number| (*number, NOW)).collect();
    let checkpoint = cosigned(head(&tree), &by).note().clone();
    ProofFile { extra: None, index: wide(index), path: path(index, &tree), checkpoint }
}

#[test]
fn a_file_shows_one_entry_and_no_other() {
    let (tree, file, logs) = (leaves("file", 21), file(13, 21, &[0, 1, 3]), [log().verifier().clone()]);
    for (at, leaf) in tree.iter().enumerate() {
        assert_eq!(file.verify(*leaf, &policy()).is_ok(), at == 13);
        assert_eq!(file.verify_by_quorum(*leaf, &logs, &quorum()).is_ok(), at == 13);
    }
}

#[test]
fn a_file_without_enough_witnesses_shows_nothing() {
    let (tree, file) = (leaves("file", 21), file(13, 21, &[0, 1]));
    let error = file.verify(tree[13], &policy()).unwrap_err();
    assert_eq!(error.to_string(), "cosignatures by 2 of the policy's witnesses are no quorum");
    let error = file.verify_by_quorum(tree[13], &[log().verifier().clone()], &quorum()).unwrap_err();
    assert!(matches!(error, NotShown::Quorum(_)));
    assert!(matches!(file.verify_by_quorum(tree[13], &[], &quorum()), Err(NotShown::Checkpoint(_))));
}

#[test]
fn a_disclosed_entry_is_shown_from_its_body_to_the_checkpoint() {
    let opening = Opening { salt: [8; 32], body: b"the body".to_vec() };
    let entry = Entry {
        at: NOW,
        by: "signer-1".parse().unwrap(),
        kind: "payout.receipt".parse().unwrap(),
        commit: opening.commit(),
    };
    let tree = [leaf(b"before"), entry.leaf()];
    let checkpoint = cosigned(head(&tree), &[(0, NOW), (1, NOW), (2, NOW)]).note().clone();
    let file = ProofFile { extra: Some(vec![]), index: 1, path: vec![tree[0]], checkpoint };
    let read = ProofFile::parse(file.to_string().as_bytes()).unwrap();
    assert_eq!(entry.opened_by(&opening), Ok(b"the body".as_slice()));
    assert!(read.verify(entry.leaf(), &policy()).is_ok());
    let other = Opening { salt: [9; 32], ..opening.clone() };
    assert_eq!(entry.opened_by(&other).unwrap_err().found, Digest::sha256(&[&[9; 32], b"the body"]));
}

#[test]
fn files_are_refused_with_the_line_that_is_wrong() {
    let text = file(1, 3, &[0]).to_string();
    let check = |text: &str, want: &str| {
        let found = ProofFile::parse(text.as_bytes()).map(|_| ()).unwrap_err().to_string();
        assert_eq!(found, want);
    };
    check("", "proof file line 1: want c2sp.org/tlog-proof@v1");
    check(&text.replace("@v1", "@v2"), "proof file line 1: want c2sp.org/tlog-proof@v1");
    check("c2sp.org/tlog-proof@v1\n", "proof file line 2: want index <number>, or extra <base64> before it");
    check(
        &text.replace("index 1", "index 01"),
        "proof file line 2: want index <number>, or extra <base64> before it",
    );
    check(&text.replace("index", "extra ?\nindex"), "proof file line 2: want extra <base64>");
    check(
        &text.replace("index", "extra AA==\nextra AA==\nindex"),
        "proof file line 3: want index <number>, or extra <base64> before it",
    );
    check(&text.replace("index 1\n", "index 1\nAAAA\n"), "proof file line 3: want a hash in base64");
    check("c2sp.org/tlog-proof@v1\nindex 0\n", "proof file line 3: want a hash or an empty line");
    check("c2sp.org/tlog-proof@v1\nindex 0\n\nnote", "checkpoint in the proof file is malformed");
    let hash = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n";
    let long = |count: usize| text.replace("index 1\n", &format!("index 1\n{}", hash.repeat(count)));
    assert!(ProofFile::parse(long(61).as_bytes()).is_ok());
    check(&long(62), "proof file line 66: want at most 63 hashes");
    check(&" ".repeat(2_000_001), "proof file has 2000001 bytes, want at most 2000000");
    check(&" ".repeat(2_000_000), "proof file line 1: want c2sp.org/tlog-proof@v1");
}

#[test]
fn a_file_is_refused_at_every_truncation_and_with_any_bit_flipped() {
    let (tree, file) = (leaves("file", 9), file(4, 9, &[0, 1, 2]));
    let (text, policy) = (file.to_string(), policy());
    let shows =
        |bytes: &[u8]| ProofFile::parse(bytes).is_ok_and(|file| file.verify(tree[4], &policy).is_ok());
    assert!(shows(text.as_bytes()));
    for end in 0..text.len() {
        assert!(!shows(&text.as_bytes()[..end]), "{end} bytes");
    }
    for at in 0..text.len() {
        for bit in 0..8 {
            let mut bytes = text.clone().into_bytes();
            bytes[at] ^= 1 << bit;
            assert!(!shows(&bytes), "bit {bit} of byte {at}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_file_is_read_as_it_is_written(size in 1_u64..60, at in any::<usize>(), extra in any::<Option<Vec<u8>>>()) {
        let index = at % narrow(size);
        let file = ProofFile { extra, ..file(index, size, &[0, 1, 2]) };
        let read = ProofFile::parse(file.to_string().as_bytes()).unwrap();
        prop_assert_eq!(&read, &file);
        prop_assert!(read.verify(leaves("file", size)[index], &policy()).is_ok());
    }
}
