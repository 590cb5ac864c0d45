//! Entries: their bytes are pinned, and nothing else is read as one.

use kuraban_base::{Digest, Instant, cbor::Value, hex};
use kuraban_proof::{
    Entry, EntryKind, KeyId, Opening,
    entry::{ENTRY_LENGTH_MAX, EntryError},
};
use proptest::prelude::*;

use crate::oracle::leaf;

fn example() -> Entry {
    Entry {
        at: Instant::from_ms(1_790_000_000_000),
        by: "writer".parse().unwrap(),
        kind: "payout.requested".parse().unwrap(),
        commit: Digest::from_bytes([0xab; 32]),
    }
}

/// The map of the example with one field exchanged or added.
fn with(field: &str, value: Value) -> Vec<u8> {
    let mut fields = vec![
        ("v", Value::uint(1_u8)),
        ("at", Value::uint(1_790_000_000_000_u64)),
        ("by", Value::text("writer")),
        ("kind", Value::text("payout.requested")),
        ("commit", Value::bytes([0xab; 32])),
    ];
    fields.retain(|(name, _)| *name != field);
    fields.push((field, value));
    match fields.try_into() {
        Ok::<[_; 5], _>(five) => Value::map(five).encode(),
        Err(more) => Value::map::<6>(more.try_into().unwrap()).encode(),
    }
}

#[test]
fn an_entrys_bytes_are_pinned() {
    let commit = "ab".repeat(32);
    let want = [
        "a5",
        "6176",
        "01",
        "626174",
        "1b000001a0c4506c00",
        "626279",
        "66777269746572",
        "646b696e64",
        "707061796f75742e726571756573746564",
        "66636f6d6d6974",
        "5820",
        &commit,
    ]
    .concat();
    assert_eq!(hex::encode(&example().encode()), want);
    assert_eq!(Entry::decode(&hex::decode(&want).unwrap()), Ok(example()));
    assert_eq!(example().leaf(), leaf(&hex::decode(&want).unwrap()));
    assert_eq!((example().by.as_str(), example().kind.as_str()), ("writer", "payout.requested"));
}

#[test]
fn what_is_no_entry_is_refused_with_its_field() {
    let check = |bytes: &[u8], want: &str| {
        let Err(EntryError::Cbor(error)) = Entry::decode(bytes) else { panic!("{bytes:?} was read") };
        assert_eq!(error.to_string(), want);
    };
    check(&with("v", Value::uint(2_u8)), "v: 2, want 1");
    check(&with("v", Value::uint(0_u8)), "v: 0, want 1");
    check(&with("at", Value::text("now")), "at is text, want a number");
    check(&with("at", Value::uint(u128::from(u64::MAX) + 1)), "at: 18446744073709551616 is too large");
    check(
        &with("by", Value::text("")),
        "by: key id is \"\", want 1 to 128 printable ASCII characters without spaces",
    );
    check(
        &with("kind", Value::text("Payout")),
        "kind: entry kind is \"Payout\", want 1 to 64 of a-z 0-9 . _ -",
    );
    check(&with("commit", Value::bytes([0; 31])), "commit: 31 bytes, want 32");
    check(&with("note", Value::Null), "\"note\" is not a known field");
    check(&Value::Null.encode(), "entry is null, want a map");
    let bytes = example().encode();
    for end in 0..bytes.len() {
        assert!(Entry::decode(&bytes[..end]).is_err(), "{end} bytes");
    }
    assert!(Entry::decode(&[bytes.as_slice(), &[0]].concat()).is_err());
}

#[test]
fn an_entry_has_at_most_65535_bytes() {
    let read = |length: usize| Entry::decode(&vec![0; length]).unwrap_err();
    assert!(matches!(read(ENTRY_LENGTH_MAX), EntryError::Cbor(_)));
    assert_eq!(read(ENTRY_LENGTH_MAX + 1), EntryError::Long { got: 65_536 });
}

#[test]
fn tokens_are_bounded() {
    let by = |text: &str, want: bool| assert_eq!(text.parse::<KeyId>().is_ok(), want, "{text:?}");
    by("", false);
    by(&"a".repeat(128), true);
    by(&"a".repeat(129), false);
    by("SHA256:8p25WQhnqHBihn+mIjp072aw0WpE9qw7xgW3uRsPSHo", true);
    by("example.com/foo+530d903a", true);
    by("a b", false);
    by("é", false);
    let kind = |text: &str, want: bool| assert_eq!(text.parse::<EntryKind>().is_ok(), want, "{text:?}");
    kind("", false);
    kind(&"a".repeat(64), true);
    kind(&"a".repeat(65), false);
    kind("payout/requested", false);
}

#[test]
fn an_opening_shows_neither_salt_nor_body() {
    let opening = Opening { salt: [1; 32], body: b"secret".to_vec() };
    assert_eq!(format!("{opening:?}"), "Opening { salt: <redacted>, body: <6 bytes> }");
}

proptest! {
    #[test]
    fn only_its_own_opening_opens_an_entry(salt in any::<[u8; 32]>(), body in any::<Vec<u8>>(), bit in 0_usize..256) {
        let opening = Opening { salt, body };
        let entry = Entry { commit: opening.commit(), ..example() };
        prop_assert_eq!(entry.opened_by(&opening), Ok(opening.body.as_slice()));
        let mut other = opening.clone();
        other.salt[bit / 8] ^= 1 << (bit % 8);
        prop_assert!(entry.opened_by(&other).is_err());
        let longer = Opening { body: [opening.body.as_slice(), &[0]].concat(), ..opening };
        prop_assert!(entry.opened_by(&longer).is_err());
    }

    #[test]
    fn an_entry_is_read_as_it_is_written(at in any::<u64>(), by in "[!-~]{1,128}", kind in "[a-z0-9._-]{1,64}", commit in any::<[u8; 32]>()) {
        let (by, kind) = (by.parse().unwrap(), kind.parse().unwrap());
        let entry = Entry { at: Instant::from_ms(at), by, kind, commit: Digest::from_bytes(commit) };
        prop_assert_eq!(Entry::decode(&entry.encode()), Ok(entry));
    }
}
