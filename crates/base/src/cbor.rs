//! Deterministic CBOR (RFC 8949 §4.2.1), the encoding under every digest, log entry and message.
//!
//! One value has one encoding, and the decoder takes no other: shortest lengths, definite lengths, map keys
//! that are text, sorted and unique, nothing after the end. So equal bytes and equal meaning are the same thing.

use std::collections::BTreeMap;

/// Deepest nesting that the decoder follows.
const DEPTH_MAX: usize = 16;
/// Most values that the decoder makes of one message: a value takes more memory than the byte that may stand for it.
const VALUES_MAX: usize = 1 << 20;

/// A value of the subset that Kuraban writes: no floats, no negative numbers, no indefinite lengths.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Value {
    /// An unsigned number; beyond 64 bits as a bignum (RFC 8949 §3.4.3).
    Uint(u128),
    /// A byte string.
    Bytes(Vec<u8>),
    /// UTF-8 text.
    Text(String),
    /// A sequence.
    Array(Vec<Value>),
    /// Named values, kept in the order of their encoded keys.
    Map(BTreeMap<Key, Value>),
    /// True or false.
    Bool(bool),
    /// Nothing.
    Null,
}

/// A map's key: text, ordered as its encoding is, the shorter first (RFC 8949 §4.2.1 over text keys).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Key(String);

impl Key {
    /// The key's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Ord for Key {
    fn cmp(&self, other: &Self) -> core::cmp::Ordering {
        (self.0.len(), self.0.as_bytes()).cmp(&(other.0.len(), other.0.as_bytes()))
    }
}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Self) -> Option<core::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// Bytes that are not the one deterministic encoding of a value, or not the value that was expected.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CborError {
    /// The bytes end inside a value.
    #[error("ends at byte {at} inside a value, want {want} more bytes")]
    Truncated {
        /// Where the missing bytes would start.
        at: usize,
        /// How many are missing at least.
        want: u64,
    },
    /// Bytes after the value.
    #[error("{count} bytes after the value, which ends at byte {at}")]
    Trailing {
        /// Where the value ends.
        at: usize,
        /// How many bytes follow.
        count: usize,
    },
    /// A well-formed value that is not encoded as the deterministic rules say.
    #[error("byte {at}: {what} is not deterministic CBOR")]
    NotDeterministic {
        /// Where.
        at: usize,
        /// What was found.
        what: &'static str,
    },
    /// A value outside the subset.
    #[error("byte {at}: initial byte {byte:#04x} is not used here")]
    Unsupported {
        /// Where.
        at: usize,
        /// The byte.
        byte: u8,
    },
    /// Text that is not UTF-8.
    #[error("byte {at}: text is not UTF-8")]
    Utf8 {
        /// Where.
        at: usize,
    },
    /// More values than the limit.
    #[error("byte {at}: more than 1048576 values")]
    Many {
        /// Where.
        at: usize,
    },
    /// Nested deeper than the limit.
    #[error("byte {at}: nested deeper than 16")]
    Deep {
        /// Where.
        at: usize,
    },
    /// A value of another type than the field has.
    #[error("{field} is {found}, want {want}")]
    Type {
        /// The field's name.
        field: String,
        /// The type found.
        found: &'static str,
        /// The type wanted.
        want: &'static str,
    },
    /// A field that is not there.
    #[error("{field} is missing")]
    Missing {
        /// The field's name.
        field: String,
    },
    /// A field that nobody asked for.
    #[error("{field:?} is not a known field")]
    Unknown {
        /// The field's name.
        field: String,
    },
    /// A value that its type does not allow.
    #[error("{field}: {problem}")]
    Invalid {
        /// The field's name.
        field: String,
        /// What is wrong with it.
        problem: String,
    },
}

impl Value {
    /// The deterministic encoding.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        write(self, &mut out);
        out
    }

    /// Reads exactly one value.
    ///
    /// # Errors
    /// Anything but its one deterministic encoding, with the offset.
    pub fn decode(bytes: &[u8]) -> Result<Self, CborError> {
        let mut reader = Reader { bytes, at: 0, left: VALUES_MAX };
        let value = reader.value(0)?;
        match bytes.len().saturating_sub(reader.at) {
            0 => Ok(value),
            count => Err(CborError::Trailing { at: reader.at, count }),
        }
    }

    /// A map of named values.
    pub fn map<const N: usize>(fields: [(&str, Self); N]) -> Self {
        Self::fields(fields)
    }

    /// A map of named values whose number depends on what is said; of two with one name the later stands.
    pub fn fields<'a>(fields: impl IntoIterator<Item = (&'a str, Self)>) -> Self {
        Self::Map(fields.into_iter().map(|(key, value)| (Key(key.to_owned()), value)).collect())
    }

    /// A byte string.
    pub fn bytes(bytes: impl AsRef<[u8]>) -> Self {
        Self::Bytes(bytes.as_ref().to_vec())
    }

    /// Text.
    pub fn text(text: impl ToString) -> Self {
        Self::Text(text.to_string())
    }

    /// An unsigned number.
    pub fn uint(number: impl Into<u128>) -> Self {
        Self::Uint(number.into())
    }

    /// A sequence.
    pub fn array(items: impl IntoIterator<Item = Self>) -> Self {
        Self::Array(items.into_iter().collect())
    }

    /// The value, or null for nothing.
    pub fn option(value: Option<Self>) -> Self {
        value.unwrap_or(Self::Null)
    }

    const fn name(&self) -> &'static str {
        match self {
            Self::Uint(_) => "a number",
            Self::Bytes(_) => "bytes",
            Self::Text(_) => "text",
            Self::Array(_) => "an array",
            Self::Map(_) => "a map",
            Self::Bool(_) => "a boolean",
            Self::Null => "null",
        }
    }
}

fn head(major: u8, number: u64, out: &mut Vec<u8>) {
    let major = major << 5;
    match number {
        0..=23 => out.push(major | number.to_le_bytes()[0]),
        24..=0xff => out.extend([major | 24, number.to_le_bytes()[0]]),
        0x100..=0xffff => {
            out.push(major | 25);
            out.extend(number.to_be_bytes().iter().skip(6));
        }
        0x1_0000..=0xffff_ffff => {
            out.push(major | 26);
            out.extend(number.to_be_bytes().iter().skip(4));
        }
        _ => {
            out.push(major | 27);
            out.extend(number.to_be_bytes());
        }
    }
}

fn length(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

fn write(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Uint(number) => match u64::try_from(*number) {
            Ok(small) => head(0, small, out),
            Err(_) => {
                let bytes: Vec<u8> = number.to_be_bytes().into_iter().skip_while(|byte| *byte == 0).collect();
                out.push(0xc2);
                head(2, length(bytes.len()), out);
                out.extend(bytes);
            }
        },
        Value::Bytes(bytes) => {
            head(2, length(bytes.len()), out);
            out.extend(bytes);
        }
        Value::Text(text) => {
            head(3, length(text.len()), out);
            out.extend(text.as_bytes());
        }
        Value::Array(items) => {
            head(4, length(items.len()), out);
            items.iter().for_each(|item| write(item, out));
        }
        Value::Map(fields) => {
            head(5, length(fields.len()), out);
            for (key, item) in fields {
                head(3, length(key.0.len()), out);
                out.extend(key.0.as_bytes());
                write(item, out);
            }
        }
        Value::Bool(truth) => out.push(if *truth { 0xf5 } else { 0xf4 }),
        Value::Null => out.push(0xf6),
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Values that may still be made.
    left: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: u64) -> Result<&'a [u8], CborError> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let missing = count.saturating_sub(length(rest.len()));
        if missing > 0 {
            return Err(CborError::Truncated { at: self.bytes.len(), want: missing });
        }
        let taken = usize::try_from(count).ok().and_then(|count| rest.get(..count)).unwrap_or_default();
        self.at = self.at.saturating_add(taken.len());
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, CborError> {
        self.take(1).map(|byte| byte.first().copied().unwrap_or_default())
    }

    /// The major type and the number of an initial byte, which must be in its shortest form.
    fn head(&mut self) -> Result<(u8, u64), CborError> {
        let at = self.at;
        let byte = self.byte()?;
        let (major, short) = (byte >> 5, byte & 31);
        let (bytes, below): (u64, u64) = match short {
            0..=23 => return Ok((major, u64::from(short))),
            24 => (1, 24),
            25 => (2, 0x100),
            26 => (4, 0x1_0000),
            27 => (8, 0x1_0000_0000),
            _ => return Err(CborError::Unsupported { at, byte }),
        };
        let number = self.take(bytes)?.iter().fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte));
        if number < below {
            return Err(CborError::NotDeterministic { at, what: "a number longer than it needs to be" });
        }
        Ok((major, number))
    }

    fn text(&mut self, count: u64) -> Result<String, CborError> {
        let at = self.at;
        let bytes = self.take(count)?;
        core::str::from_utf8(bytes).map(str::to_owned).map_err(|_| CborError::Utf8 { at })
    }

    fn value(&mut self, depth: usize) -> Result<Value, CborError> {
        let at = self.at;
        if depth >= DEPTH_MAX {
            return Err(CborError::Deep { at });
        }
        self.left = self.left.checked_sub(1).ok_or(CborError::Many { at })?;
        let byte = self.bytes.get(at).copied().unwrap_or_default();
        match byte {
            0xf4 => return self.byte().map(|_| Value::Bool(false)),
            0xf5 => return self.byte().map(|_| Value::Bool(true)),
            0xf6 => return self.byte().map(|_| Value::Null),
            0xc2 => return self.bignum(),
            _ => {}
        }
        let (major, number) = self.head()?;
        match major {
            0 => Ok(Value::uint(number)),
            2 => self.take(number).map(Value::bytes),
            3 => self.text(number).map(Value::Text),
            4 => self.array(number, depth),
            5 => self.map(number, depth),
            _ => Err(CborError::Unsupported { at, byte }),
        }
    }

    fn bignum(&mut self) -> Result<Value, CborError> {
        let at = self.at;
        self.byte()?;
        let (major, count) = self.head()?;
        if major != 2 || count > 16 {
            return Err(CborError::Unsupported { at, byte: 0xc2 });
        }
        let bytes = self.take(count)?;
        let first = bytes.first().copied().unwrap_or_default();
        if first == 0 || bytes.len() <= 8 {
            return Err(CborError::NotDeterministic { at, what: "a bignum longer than it needs to be" });
        }
        Ok(Value::Uint(bytes.iter().fold(0_u128, |sum, byte| sum << 8 | u128::from(*byte))))
    }

    fn array(&mut self, count: u64, depth: usize) -> Result<Value, CborError> {
        // The vector grows with the items that are really there, never with what the head claims.
        let mut items = Vec::new();
        for _ in 0..count {
            items.push(self.value(depth.saturating_add(1))?);
        }
        Ok(Value::Array(items))
    }

    fn map(&mut self, count: u64, depth: usize) -> Result<Value, CborError> {
        let mut fields = BTreeMap::new();
        for _ in 0..count {
            let at = self.at;
            let (major, bytes) = self.head()?;
            if major != 3 {
                let byte = self.bytes.get(at).copied().unwrap_or_default();
                return Err(CborError::Unsupported { at, byte });
            }
            let key = Key(self.text(bytes)?);
            if fields.last_key_value().is_some_and(|(last, _)| *last >= key) {
                return Err(CborError::NotDeterministic {
                    at,
                    what: "a key that is not after the one before",
                });
            }
            fields.insert(key, self.value(depth.saturating_add(1))?);
        }
        Ok(Value::Map(fields))
    }
}

/// Takes a map's fields one by one; [`end`](Fields::end) refuses what nobody took.
#[derive(Debug)]
pub struct Fields(BTreeMap<Key, Value>);

impl Fields {
    /// The fields of a map.
    ///
    /// # Errors
    /// `what` is not a map.
    pub fn of(what: &str, value: Value) -> Result<Self, CborError> {
        let Value::Map(fields) = value else { return Err(wrong(what, &value, "a map")) };
        Ok(Self(fields))
    }

    /// Takes a field of any type.
    ///
    /// # Errors
    /// The field is missing.
    pub fn value(&mut self, field: &str) -> Result<Value, CborError> {
        self.0.remove(&Key(field.to_owned())).ok_or_else(|| CborError::Missing { field: field.to_owned() })
    }

    /// Takes a number that fits `T`.
    ///
    /// # Errors
    /// The field is missing, not a number, or too large.
    pub fn uint<T: TryFrom<u128>>(&mut self, field: &str) -> Result<T, CborError> {
        let value = self.value(field)?;
        let Value::Uint(number) = value else { return Err(wrong(field, &value, "a number")) };
        T::try_from(number).map_err(|_| invalid(field, format!("{number} is too large")))
    }

    /// Takes a byte string.
    ///
    /// # Errors
    /// The field is missing or not bytes.
    pub fn bytes(&mut self, field: &str) -> Result<Vec<u8>, CborError> {
        let value = self.value(field)?;
        let Value::Bytes(bytes) = value else { return Err(wrong(field, &value, "bytes")) };
        Ok(bytes)
    }

    /// Takes a byte string of exactly `N` bytes.
    ///
    /// # Errors
    /// The field is missing, not bytes, or of another length.
    pub fn array<const N: usize>(&mut self, field: &str) -> Result<[u8; N], CborError> {
        let bytes = self.bytes(field)?;
        let got = bytes.len();
        bytes.try_into().map_err(|_| invalid(field, format!("{got} bytes, want {N}")))
    }

    /// Takes text.
    ///
    /// # Errors
    /// The field is missing or not text.
    pub fn text(&mut self, field: &str) -> Result<String, CborError> {
        let value = self.value(field)?;
        let Value::Text(text) = value else { return Err(wrong(field, &value, "text")) };
        Ok(text)
    }

    /// Takes text and parses it.
    ///
    /// # Errors
    /// The field is missing, not text, or does not parse.
    pub fn parse<T: core::str::FromStr<Err: core::fmt::Display>>(
        &mut self,
        field: &str,
    ) -> Result<T, CborError> {
        self.text(field)?.parse().map_err(|problem: T::Err| invalid(field, problem.to_string()))
    }

    /// Takes a boolean.
    ///
    /// # Errors
    /// The field is missing or not a boolean.
    pub fn bool(&mut self, field: &str) -> Result<bool, CborError> {
        let value = self.value(field)?;
        let Value::Bool(truth) = value else { return Err(wrong(field, &value, "a boolean")) };
        Ok(truth)
    }

    /// Takes a sequence.
    ///
    /// # Errors
    /// The field is missing or not a sequence.
    pub fn items(&mut self, field: &str) -> Result<Vec<Value>, CborError> {
        let value = self.value(field)?;
        let Value::Array(items) = value else { return Err(wrong(field, &value, "an array")) };
        Ok(items)
    }

    /// Takes a byte string of exactly `N` bytes, if the field is there. Null is not how it is left out.
    ///
    /// # Errors
    /// The field is not bytes, or of another length.
    pub fn array_if_there<const N: usize>(&mut self, field: &str) -> Result<Option<[u8; N]>, CborError> {
        self.0.contains_key(&Key(field.to_owned())).then(|| self.array(field)).transpose()
    }

    /// Takes a value that may be null.
    ///
    /// # Errors
    /// The field is missing.
    pub fn option(&mut self, field: &str) -> Result<Option<Value>, CborError> {
        Ok(match self.value(field)? {
            Value::Null => None,
            value @ (Value::Uint(_)
            | Value::Bytes(_)
            | Value::Text(_)
            | Value::Array(_)
            | Value::Map(_)
            | Value::Bool(_)) => Some(value),
        })
    }

    /// Refuses fields that nobody took.
    ///
    /// # Errors
    /// The first such field.
    pub fn end(self) -> Result<(), CborError> {
        match self.0.into_keys().next() {
            Some(Key(field)) => Err(CborError::Unknown { field }),
            None => Ok(()),
        }
    }
}

fn wrong(field: &str, found: &Value, want: &'static str) -> CborError {
    CborError::Type { field: field.to_owned(), found: found.name(), want }
}

/// An error for a field whose value its type does not allow.
#[must_use]
pub fn invalid(field: &str, problem: impl ToString) -> CborError {
    CborError::Invalid { field: field.to_owned(), problem: problem.to_string() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        crate::hex::decode(text).unwrap()
    }

    #[test]
    fn agrees_with_the_examples_of_rfc_8949_appendix_a() {
        let check = |value: Value, want: &str| {
            assert_eq!(crate::hex::encode(&value.encode()), want);
            assert_eq!(Value::decode(&hex(want)), Ok(value));
        };
        check(Value::Uint(0), "00");
        check(Value::Uint(23), "17");
        check(Value::Uint(24), "1818");
        check(Value::Uint(1000), "1903e8");
        check(Value::Uint(1_000_000), "1a000f4240");
        check(Value::Uint(1_000_000_000_000), "1b000000e8d4a51000");
        check(Value::Uint(u128::from(u64::MAX)), "1bffffffffffffffff");
        check(Value::Uint(u128::from(u64::MAX) + 1), "c249010000000000000000");
        check(Value::Bool(false), "f4");
        check(Value::Bool(true), "f5");
        check(Value::Null, "f6");
        check(Value::Bytes(vec![1, 2, 3, 4]), "4401020304");
        check(Value::text("\u{6c34}"), "63e6b0b4");
        check(Value::Array(vec![]), "80");
        check(Value::map([]), "a0");
        check(Value::map([("a", Value::text("A")), ("b", Value::text("B"))]), "a26161614161626142");
    }

    #[test]
    fn only_the_one_encoding_is_taken() {
        let check =
            |bytes: &str, want: &str| assert_eq!(Value::decode(&hex(bytes)).unwrap_err().to_string(), want);
        check("1817", "byte 0: a number longer than it needs to be is not deterministic CBOR");
        check("190017", "byte 0: a number longer than it needs to be is not deterministic CBOR");
        check("c24101", "byte 0: a bignum longer than it needs to be is not deterministic CBOR");
        check(
            "c249000000000000000001",
            "byte 0: a bignum longer than it needs to be is not deterministic CBOR",
        );
        check("c269010000000000000000", "byte 0: initial byte 0xc2 is not used here");
        check(&format!("c251{}", "01".repeat(17)), "byte 0: initial byte 0xc2 is not used here");
        check("a2616200616100", "byte 4: a key that is not after the one before is not deterministic CBOR");
        check("a2616100616100", "byte 4: a key that is not after the one before is not deterministic CBOR");
        check("a262616100616200", "byte 5: a key that is not after the one before is not deterministic CBOR");
        check("5f4101ff", "byte 0: initial byte 0x5f is not used here");
        check("20", "byte 0: initial byte 0x20 is not used here");
        check("fb3ff0000000000000", "byte 0: initial byte 0xfb is not used here");
        check("62c328", "byte 1: text is not UTF-8");
        check("0000", "1 bytes after the value, which ends at byte 1");
        check("5bffffffffffffffff", "ends at byte 9 inside a value, want 18446744073709551615 more bytes");
        check("9bffffffffffffffff", "ends at byte 9 inside a value, want 1 more bytes");
        check(&"81".repeat(17), "byte 16: nested deeper than 16");
    }

    #[test]
    fn a_message_has_at_most_so_many_values() {
        let check = |count: usize| {
            let mut bytes = Vec::new();
            head(4, length(count), &mut bytes);
            bytes.resize(bytes.len() + count, 0);
            Value::decode(&bytes).map(|_| ())
        };
        assert_eq!(check(VALUES_MAX - 1), Ok(()));
        assert_eq!(check(VALUES_MAX), Err(CborError::Many { at: VALUES_MAX + 4 }));
    }

    #[test]
    fn fields_name_what_is_wrong() {
        let fields =
            || Fields::of("body", Value::map([("n", Value::Uint(300)), ("t", Value::text("x"))])).unwrap();
        let check = |got: Result<u8, CborError>, want: &str| assert_eq!(got.unwrap_err().to_string(), want);
        check(fields().uint("n"), "n: 300 is too large");
        check(fields().uint("t"), "t is text, want a number");
        check(fields().uint("u"), "u is missing");
        let mut some = fields();
        assert_eq!(some.uint::<u16>("n"), Ok(300));
        assert_eq!(some.end().unwrap_err().to_string(), "\"t\" is not a known field");
    }

    /// What is taken of a field, and what is said of one of another type.
    #[test]
    fn fields_are_taken_by_type() {
        let all = || {
            let map = Value::map([
                ("bytes", Value::bytes([1, 2])),
                ("text", Value::text("BTC")),
                ("bool", Value::Bool(true)),
                ("no", Value::Bool(false)),
                ("items", Value::array([Value::Null])),
                ("null", Value::Null),
            ]);
            Fields::of("all", map).unwrap()
        };
        assert_eq!(all().bytes("bytes"), Ok(vec![1, 2]));
        assert_eq!(all().array::<2>("bytes"), Ok([1, 2]));
        assert_eq!(all().array::<3>("bytes").unwrap_err().to_string(), "bytes: 2 bytes, want 3");
        assert_eq!(all().text("text"), Ok("BTC".to_owned()));
        assert_eq!(all().parse("text"), Ok(crate::Asset::Btc));
        assert_eq!((all().bool("bool"), all().bool("no")), (Ok(true), Ok(false)));
        assert_eq!(all().items("items"), Ok(vec![Value::Null]));
        assert_eq!(all().option("null"), Ok(None));
        assert_eq!(all().option("text"), Ok(Some(Value::text("BTC"))));
        let wrong = |error: CborError, want: &str| assert_eq!(error.to_string(), want);
        wrong(all().bytes("text").unwrap_err(), "text is text, want bytes");
        wrong(all().text("bytes").unwrap_err(), "bytes is bytes, want text");
        wrong(all().bool("null").unwrap_err(), "null is null, want a boolean");
        wrong(all().items("bool").unwrap_err(), "bool is a boolean, want an array");
        wrong(all().uint::<u8>("items").unwrap_err(), "items is an array, want a number");
        wrong(all().option("other").unwrap_err(), "other is missing");
        wrong(Fields::of("all", Value::Uint(1)).unwrap_err(), "all is a number, want a map");
        let Value::Map(fields) = Value::map([("b", Value::Null), ("aa", Value::Null)]) else {
            panic!("a map")
        };
        assert_eq!(fields.keys().map(Key::as_str).collect::<Vec<_>>(), ["b", "aa"]);
    }

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            any::<u128>().prop_map(Value::Uint),
            any::<u64>().prop_map(Value::uint),
            any::<u8>().prop_map(Value::uint),
            proptest::collection::vec(any::<u8>(), 0..40).prop_map(Value::Bytes),
            "\\PC{0,30}".prop_map(Value::Text),
            any::<bool>().prop_map(Value::Bool),
            Just(Value::Null),
        ];
        leaf.prop_recursive(4, 40, 6, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::Array),
                proptest::collection::btree_map("[a-z]{0,4}".prop_map(Key), inner, 0..6).prop_map(Value::Map),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(value in values()) {
            prop_assert_eq!(Value::decode(&value.encode()), Ok(value));
        }

        #[test]
        fn what_is_read_is_written_back(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            if let Ok(value) = Value::decode(&bytes) {
                prop_assert_eq!(value.encode(), bytes);
            }
        }

        #[test]
        fn every_truncation_is_refused(value in values()) {
            let bytes = value.encode();
            for end in 0..bytes.len() {
                prop_assert!(Value::decode(&bytes[..end]).is_err());
            }
        }

        #[test]
        fn another_implementation_reads_the_same(value in values()) {
            let bytes = value.encode();
            let theirs: ciborium::Value = ciborium::from_reader(bytes.as_slice()).unwrap();
            let mut again = Vec::new();
            ciborium::into_writer(&theirs, &mut again).unwrap();
            prop_assert_eq!(again, bytes);
        }
    }
}
