//! RLP, Ethereum's encoding of byte strings and lists (Yellow Paper, appendix B).
//!
//! Decides whether bytes are the one encoding of what they say. Never what it means.

/// Longest string that stands with its length in one byte.
const SHORT_MAX: usize = 55;

/// Why bytes are no RLP.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RlpError {
    /// They end too early.
    #[error("RLP ends too early")]
    Short,
    /// Something stands after the end.
    #[error("{got} bytes stand after the end of the RLP")]
    Trailing {
        /// Bytes.
        got: usize,
    },
    /// Another spelling than the one that there is.
    #[error("RLP is not in its shortest form")]
    Spelling,
    /// A string where a list has to be, or the other way round.
    #[error("RLP has {found}, want {want}")]
    Kind {
        /// What stands there.
        found: &'static str,
        /// What has to.
        want: &'static str,
    },
}

/// A string or a list in RLP.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Item<'a> {
    Bytes(&'a [u8]),
    /// A list as it stands, with its head.
    List(&'a [u8]),
}

impl<'a> Item<'a> {
    /// Its bytes, if it is a string.
    pub(super) const fn bytes(self) -> Result<&'a [u8], RlpError> {
        match self {
            Item::Bytes(bytes) => Ok(bytes),
            Item::List(_) => Err(RlpError::Kind { found: "a list", want: "a string" }),
        }
    }
}

/// The items of bytes that are one list and nothing else.
pub(super) fn list(bytes: &[u8]) -> Result<Vec<Item<'_>>, RlpError> {
    let mut rest = bytes;
    let body = match head(&mut rest)? {
        (true, body) => body,
        (false, _) => return Err(RlpError::Kind { found: "a string", want: "a list" }),
    };
    if !rest.is_empty() {
        return Err(RlpError::Trailing { got: rest.len() });
    }
    let (mut items, mut body) = (Vec::new(), body);
    while !body.is_empty() {
        let before = body;
        let (is_list, content) = head(&mut body)?;
        let whole = before.get(..before.len().saturating_sub(body.len())).unwrap_or_default();
        items.push(if is_list { Item::List(whole) } else { Item::Bytes(content) });
    }
    Ok(items)
}

/// Takes one item: whether it is a list, and its content.
fn head<'a>(rest: &mut &'a [u8]) -> Result<(bool, &'a [u8]), RlpError> {
    let (first, after) = rest.split_first().ok_or(RlpError::Short)?;
    let (is_list, length) = match *first {
        0..=0x7f => {
            let (own, after) = rest.split_at_checked(1).ok_or(RlpError::Short)?;
            *rest = after;
            return Ok((false, own));
        }
        short @ 0x80..=0xb7 => (false, Ok(short.saturating_sub(0x80))),
        long @ 0xb8..=0xbf => (false, Err(long.saturating_sub(0xb7))),
        short @ 0xc0..=0xf7 => (true, Ok(short.saturating_sub(0xc0))),
        long @ 0xf8..=0xff => (true, Err(long.saturating_sub(0xf7))),
    };
    *rest = after;
    let length = match length {
        Ok(length) => usize::from(length),
        Err(bytes) => {
            let (digits, after) = rest.split_at_checked(usize::from(bytes)).ok_or(RlpError::Short)?;
            *rest = after;
            match number(digits)?.and_then(|length| usize::try_from(length).ok()) {
                Some(length) if length > SHORT_MAX => length,
                Some(_) => return Err(RlpError::Spelling),
                // More than there can be.
                None => return Err(RlpError::Short),
            }
        }
    };
    let (content, after) = rest.split_at_checked(length).ok_or(RlpError::Short)?;
    *rest = after;
    // A small byte is its own encoding.
    if !is_list && matches!(content, [0..=0x7f]) {
        return Err(RlpError::Spelling);
    }
    Ok((is_list, content))
}

/// The number of these bytes, without zeros before it; nothing if it is beyond 128 bits.
pub(super) fn number(bytes: &[u8]) -> Result<Option<u128>, RlpError> {
    if bytes.first() == Some(&0) {
        return Err(RlpError::Spelling);
    }
    let mut all = [0; 16];
    let Some(from) = all.len().checked_sub(bytes.len()) else { return Ok(None) };
    for (to, byte) in all.iter_mut().skip(from).zip(bytes) {
        *to = *byte;
    }
    Ok(Some(u128::from_be_bytes(all)))
}

/// Adds a string.
pub(super) fn put(out: &mut Vec<u8>, bytes: &[u8]) {
    if !matches!(bytes, [0..=0x7f]) {
        put_head(out, 0x80, bytes.len());
    }
    out.extend_from_slice(bytes);
}

/// Adds a number.
pub(super) fn put_number(out: &mut Vec<u8>, number: u128) {
    let bytes = number.to_be_bytes();
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    put(out, bytes.get(zeros..).unwrap_or_default());
}

/// The list of items that are encoded already.
pub(super) fn list_of(items: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(items.len().saturating_add(9));
    put_head(&mut out, 0xc0, items.len());
    out.extend_from_slice(items);
    out
}

fn put_head(out: &mut Vec<u8>, kind: u8, length: usize) {
    match u8::try_from(length) {
        Ok(short) if length <= SHORT_MAX => out.push(kind.saturating_add(short)),
        Ok(_) | Err(_) => {
            let digits = length.to_be_bytes();
            let zeros = digits.iter().take_while(|byte| **byte == 0).count();
            let digits = digits.get(zeros..).unwrap_or_default();
            let count = u8::try_from(digits.len()).unwrap_or(u8::MAX);
            out.push(kind.saturating_add(55).saturating_add(count));
            out.extend_from_slice(digits);
        }
    }
}

#[cfg(test)]
mod tests {
    use kuraban_base::hex;
    use proptest::prelude::*;

    use super::*;

    fn check(text: &str, want: Result<&[Item<'_>], RlpError>) {
        let bytes = hex::decode(text).unwrap();
        assert_eq!(list(&bytes), want.map(<[Item<'_>]>::to_vec), "{text}");
    }

    #[test]
    fn published_examples_are_read_and_written() {
        // ethereum.org, "Recursive-length prefix serialization", examples.
        check("c0", Ok(&[]));
        check("c88363617483646f67", Ok(&[Item::Bytes(b"cat"), Item::Bytes(b"dog")]));
        check(
            "c7c0c1c0c3c0c1c0",
            Ok(&[Item::List(&[0xc0]), Item::List(&[0xc1, 0xc0]), Item::List(&[0xc3, 0xc0, 0xc1, 0xc0])]),
        );
        let mut items = Vec::new();
        put(&mut items, b"cat");
        put(&mut items, b"dog");
        assert_eq!(hex::encode(&list_of(&items)), "c88363617483646f67");
        let mut out = Vec::new();
        for number in [0, 15, 1024] {
            put_number(&mut out, number);
        }
        assert_eq!(hex::encode(&out), "800f820400");
    }

    #[test]
    fn second_spellings_and_broken_ends_are_refused() {
        check("", Err(RlpError::Short));
        check("c1", Err(RlpError::Short));
        check("c000", Err(RlpError::Trailing { got: 1 }));
        check("80", Err(RlpError::Kind { found: "a string", want: "a list" }));
        check("c28105", Err(RlpError::Spelling));
        check("c28180", Ok(&[Item::Bytes(&[0x80])]));
        check("f800", Err(RlpError::Spelling));
        check(&format!("f837{}", "01".repeat(55)), Err(RlpError::Spelling));
        check(&format!("f838{}", "01".repeat(56)), Ok(&[Item::Bytes(&[1]); 56]));
        check(&format!("f90038{}", "01".repeat(56)), Err(RlpError::Spelling));
        check("ffffffffffffffffff", Err(RlpError::Short));
        assert_eq!(number(&[0, 1]), Err(RlpError::Spelling));
        assert_eq!(number(&[]), Ok(Some(0)));
        assert_eq!(number(&[0xff; 16]), Ok(Some(u128::MAX)));
        assert_eq!(number(&[0xff; 17]), Ok(None));
    }

    proptest! {
        #[test]
        fn strings_come_back(strings in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..300), 0..6)) {
            let mut items = Vec::new();
            strings.iter().for_each(|bytes| put(&mut items, bytes));
            let whole = list_of(&items);
            let want: Vec<Item<'_>> = strings.iter().map(|bytes| Item::Bytes(bytes)).collect();
            prop_assert_eq!(list(&whole), Ok(want));
            for length in 0..whole.len() {
                prop_assert!(list(&whole[..length]).is_err());
            }
        }

        #[test]
        fn what_is_read_has_one_spelling(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            if let Ok(items) = list(&bytes) {
                let mut out = Vec::new();
                for item in items {
                    match item {
                        Item::Bytes(bytes) => put(&mut out, bytes),
                        Item::List(whole) => out.extend_from_slice(whole),
                    }
                }
                prop_assert_eq!(list_of(&out), bytes);
            }
        }
    }
}
