//! Bytes that nobody made in good faith: no panic, no assent.

use kuraban_veil::{BatchFile, Digest, Opening, Refused, Salt, Shape, Statement, verify};

use crate::kit::{LOG_ROWS, leaf, publication};

fn shape() -> Shape {
    Shape::new(2, LOG_ROWS).unwrap()
}

/// Numbers that look random and are the same each time.
fn numbers() -> impl Iterator<Item = usize> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    std::iter::repeat_with(move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state >> 1).unwrap()
    })
}

#[test]
fn a_cut_or_changed_proof_does_not_verify() {
    let made = publication();
    let (public, proof) = (made.statement.public(0).unwrap(), &made.files[0].proof);
    let check = |what: String, bytes: &[u8]| {
        let verdict = verify(shape(), &public, bytes);
        assert!(verdict.is_err(), "{what}");
        // What the verifier could not even read would be seen here, were it not an answer.
        verdict.unwrap_err()
    };
    for length in (0..64).chain(numbers().take(60).map(|number| number % proof.len())) {
        check(format!("cut to {length}"), &proof[..length]);
    }
    for at in (0..40).chain(numbers().take(100).map(|number| number % proof.len())) {
        let mut changed = proof.clone();
        changed[at] ^= 1 << (at % 8);
        check(format!("byte {at} changed"), &changed);
    }
    let longer = [proof.as_slice(), &[0]].concat();
    assert!(matches!(check("one byte more".to_owned(), &longer), Refused::Form { .. }));
    let zeros = vec![0; proof.len()];
    check("zeros".to_owned(), &zeros);
    let ones = vec![0xff; proof.len()];
    check("ones".to_owned(), &ones);
    let long = vec![0; 1 << 24];
    assert!(matches!(check("too long".to_owned(), &long), Refused::Long { .. }));
}

#[test]
fn lengths_in_a_proof_are_not_believed() {
    // Every byte that may be a length is made longer and shorter, so that lists lack or have too many elements.
    let made = publication();
    let (public, proof) = (made.statement.public(0).unwrap(), &made.files[0].proof);
    for at in (0..120).chain((120..3_000).step_by(13)) {
        for by in [1, 0xff] {
            let mut changed = proof.clone();
            changed[at] = changed[at].wrapping_add(by);
            assert!(verify(shape(), &public, &changed).is_err(), "byte {at}");
        }
        if at % 4 == 0 {
            let mut shorter = proof.clone();
            shorter.drain(at..at + 4);
            assert!(verify(shape(), &public, &shorter).is_err(), "four bytes missing at {at}");
        }
    }
}

#[test]
fn a_batch_file_has_one_form() {
    let file = &publication().files[0];
    let bytes = file.encode();
    let leaves = shape().leaves();
    for length in (0..80).chain([8 + 32 * leaves - 1]) {
        assert!(BatchFile::decode(shape(), &bytes[..length]).is_err(), "{length}");
    }
    let mut beyond = bytes.clone();
    beyond[8..12].copy_from_slice(&0x7f00_0001_u32.to_be_bytes());
    assert!(matches!(BatchFile::decode(shape(), &beyond), Err(Refused::Form { .. })));
    let long = vec![0; BatchFile::length_max(shape()) + 1];
    assert!(matches!(BatchFile::decode(shape(), &long), Err(Refused::Long { .. })));
}

#[test]
fn a_statement_has_one_form() {
    let statement = &publication().statement;
    let bytes = statement.encode();
    for length in 0..bytes.len() {
        assert!(Statement::decode(&bytes[..length]).is_err(), "{length}");
    }
    assert!(Statement::decode(&[bytes.as_slice(), &[0]].concat()).is_err());
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 0x20;
        let read = Statement::decode(&changed);
        assert!(read.is_err() || read.is_ok_and(|read| read.root() != statement.root()), "{at}");
    }
}

#[test]
fn an_opening_has_one_form() {
    let root = publication().statement.root();
    let bytes = Opening { root, batch: 0, place: 3, leaf: leaf(3) }.encode();
    for length in 0..bytes.len() {
        assert!(Opening::decode(&bytes[..length], 2).is_err(), "{length}");
    }
    assert!(Opening::decode(&[bytes.as_slice(), &[0]].concat(), 2).is_err());
    assert!(Opening::decode(&bytes, 1).is_err());
    assert!(Opening::decode(&bytes, 3).is_err());
    assert!(Opening::decode(&vec![0; 1 << 13], 2).is_err());
    let nobody =
        Opening { root, batch: 0, place: 3, leaf: kuraban_veil::Leaf { name: String::new(), ..leaf(3) } };
    assert!(Opening::decode(&nobody.encode(), 2).is_err());
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 0x80;
        if let Ok(read) = Opening::decode(&changed, 2) {
            assert_eq!(read.encode(), changed, "{at}");
        }
    }
}

#[test]
fn hashes_and_salts_have_one_form() {
    let most = [0x7f00_0000_u32.to_be_bytes(); 8].concat();
    assert!(Digest::from_bytes(&most.clone().try_into().unwrap()).is_some());
    let mut beyond = most;
    beyond[3] = 1;
    assert_eq!(Digest::from_bytes(&beyond.try_into().unwrap()), None);
    assert!(Salt::from_bytes(&[0x3f; 32]).is_some());
    assert_eq!(Salt::from_bytes(&[0x40; 32]), None);
    assert_eq!(Salt::new(&[0xff; 32]).to_bytes()[..4], 0x3fff_ffff_u32.to_be_bytes());
    assert_eq!(format!("{:?}", Salt::new(&[1; 32])), "Salt(<redacted>)");
    assert_eq!(format!("{:?}", leaf(3)), "Leaf(<redacted>)");
}
