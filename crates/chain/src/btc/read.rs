//! Reads the family's consensus encoding from a slice, strictly.
//!
//! Decides what is malformed and says where. Never panics, never allocates more than the bytes at hand
//! justify, never accepts two spellings of one value.

use super::tx::OutPoint;

/// Entries for which room is reserved before the first is read; longer lists grow as their bytes arrive.
pub(crate) const RESERVE_MAX: usize = 256;

/// Why bytes are not what they should be. Offsets count bytes from the start of what was to be decoded.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum DecodeError {
    /// The bytes end too early.
    #[error("{what} at offset {at} needs {want} bytes, only {left} are left")]
    Truncated {
        /// What was being read.
        what: &'static str,
        /// Where it starts.
        at: usize,
        /// Bytes wanted.
        want: u64,
        /// Bytes there are.
        left: usize,
    },
    /// A count of entries for which the bytes at hand cannot suffice.
    #[error(
        "{what} at offset {at} is {found}, which needs at least {need} bytes, only {left} are left: cut off?"
    )]
    CutOff {
        /// What is counted.
        what: &'static str,
        /// Where the count stands.
        at: usize,
        /// The count.
        found: u64,
        /// Bytes that so many entries need at least.
        need: u64,
        /// Bytes there are.
        left: usize,
    },
    /// Bytes after the end.
    #[error("{extra} bytes follow the end of {what} at offset {at}")]
    Trailing {
        /// What ended.
        what: &'static str,
        /// Where it ended.
        at: usize,
        /// How many bytes follow.
        extra: usize,
    },
    /// A CompactSize that a shorter one would have said.
    #[error("{what} at offset {at} spells {value} in {spelled} bytes, which is not the shortest way")]
    NonMinimal {
        /// What was being read.
        what: &'static str,
        /// Where it starts.
        at: usize,
        /// The value.
        value: u64,
        /// Bytes used.
        spelled: usize,
    },
    /// More of something than its limit allows.
    #[error("{what} at offset {at} is {found}, limit {limit}")]
    Oversized {
        /// What is too large or too many.
        what: &'static str,
        /// Where it is said.
        at: usize,
        /// How large or how many.
        found: u64,
        /// The limit.
        limit: u64,
    },
    /// An output worth more than can exist.
    #[error("output {output} at offset {at} is worth {value_sat}, more than the {max} that can exist")]
    Value {
        /// The output's position.
        output: usize,
        /// Where its value stands.
        at: usize,
        /// Its value.
        value_sat: u64,
        /// Most that can exist.
        max: u64,
    },
    /// Outputs worth more together than can exist.
    #[error("outputs 0 to {output} are worth {sum_sat} together, more than the {max} that can exist")]
    ValueSum {
        /// The output with which the sum became too large.
        output: usize,
        /// The sum.
        sum_sat: u64,
        /// Most that can exist.
        max: u64,
    },
    /// A transaction flag byte with bits that mean nothing here.
    #[error("transaction flag 0x{found:02x} at offset {at} is not known on this network")]
    Flag {
        /// Where it stands.
        at: usize,
        /// The byte.
        found: u8,
    },
    /// A witness record although no input has a witness.
    #[error("witness record at offset {at} is empty for every input")]
    SuperfluousWitness {
        /// Where the record starts.
        at: usize,
    },
    /// A list that may not be empty is.
    #[error("transaction has no {what}, seen at offset {at}")]
    Empty {
        /// `inputs` or `outputs`.
        what: &'static str,
        /// Where their count stands.
        at: usize,
    },
    /// The outpoint that only a coinbase may spend, in another transaction.
    #[error("input {input} spends the null outpoint, which only a coinbase with one input may")]
    NullOutpoint {
        /// The input's position.
        input: usize,
    },
    /// One output spent twice in one transaction (CVE-2018-17144).
    #[error("outpoint {outpoint} is spent twice")]
    DuplicateInput {
        /// The outpoint.
        outpoint: OutPoint,
    },
    /// A coinbase script outside 2 to 100 bytes.
    #[error("coinbase script has {found} bytes, want 2 to 100")]
    CoinbaseScript {
        /// Its length.
        found: usize,
    },
    /// A transaction wholly inside Litecoin's extension block: it has no id of the family's kind.
    #[error("transaction at offset {at} is wholly inside the extension block, which is not decoded")]
    MwebOnly {
        /// Where it starts.
        at: usize,
    },
    /// Litecoin's extension data in a place where consensus allows none, or spelled wrongly.
    #[error("extension data at offset {at} starts with 0x{found:02x}, want {want}")]
    Mweb {
        /// Where it starts.
        at: usize,
        /// The byte.
        found: u8,
        /// What may stand there.
        want: &'static str,
    },
    /// A value that its place does not allow.
    #[error("{what} at offset {at} is {found}, want {want}")]
    Unexpected {
        /// What was read.
        what: &'static str,
        /// Where it stands.
        at: usize,
        /// What was found.
        found: u64,
        /// What may stand there.
        want: &'static str,
    },
}

/// A position in a slice. Every read says what it reads, so that an error can.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
    total: usize,
}

impl<'a> Reader<'a> {
    /// At the start of `bytes`.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, total: bytes.len() }
    }

    /// Bytes read so far.
    #[must_use]
    pub const fn offset(&self) -> usize {
        self.total.saturating_sub(self.rest.len())
    }

    /// Bytes not yet read.
    #[must_use]
    pub const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// The next `want` bytes.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`].
    pub fn take(&mut self, what: &'static str, want: usize) -> Result<&'a [u8], DecodeError> {
        let Some((taken, rest)) = self.rest.split_at_checked(want) else {
            return Err(self.truncated(what, u64::try_from(want).unwrap_or(u64::MAX)));
        };
        self.rest = rest;
        Ok(taken)
    }

    /// The next `N` bytes.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`].
    pub fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], DecodeError> {
        let Some((taken, rest)) = self.rest.split_first_chunk::<N>() else {
            return Err(self.truncated(what, u64::try_from(N).unwrap_or(u64::MAX)));
        };
        self.rest = rest;
        Ok(*taken)
    }

    /// The next byte.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`].
    pub fn u8(&mut self, what: &'static str) -> Result<u8, DecodeError> {
        self.array::<1>(what).map(|[byte]| byte)
    }

    /// The next two bytes, little endian.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`].
    pub fn u16(&mut self, what: &'static str) -> Result<u16, DecodeError> {
        self.array(what).map(u16::from_le_bytes)
    }

    /// The next four bytes, little endian.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`].
    pub fn u32(&mut self, what: &'static str) -> Result<u32, DecodeError> {
        self.array(what).map(u32::from_le_bytes)
    }

    /// The next four bytes, little endian, two's complement.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`].
    pub fn i32(&mut self, what: &'static str) -> Result<i32, DecodeError> {
        self.array(what).map(i32::from_le_bytes)
    }

    /// The next eight bytes, little endian.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`].
    pub fn u64(&mut self, what: &'static str) -> Result<u64, DecodeError> {
        self.array(what).map(u64::from_le_bytes)
    }

    /// A CompactSize: one, three, five or nine bytes.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`], [`DecodeError::NonMinimal`].
    pub fn compact_size(&mut self, what: &'static str) -> Result<u64, DecodeError> {
        let at = self.offset();
        let (value, shortest, spelled) = match self.u8(what)? {
            0xff => (self.u64(what)?, 0x1_0000_0000, 9),
            0xfe => (u64::from(self.u32(what)?), 0x1_0000, 5),
            0xfd => (u64::from(self.u16(what)?), 0xfd, 3),
            small => return Ok(u64::from(small)),
        };
        if value < shortest {
            return Err(DecodeError::NonMinimal { what, at, value, spelled });
        }
        Ok(value)
    }

    /// A CompactSize count of entries of at least `entry_bytes_min` bytes each: refused before anything is
    /// reserved when the bytes at hand cannot hold that many, or when it is beyond `limit`.
    ///
    /// # Errors
    /// As [`compact_size`](Self::compact_size), or [`DecodeError::Oversized`], [`DecodeError::CutOff`].
    pub fn count(
        &mut self,
        what: &'static str,
        entry_bytes_min: usize,
        limit: usize,
    ) -> Result<usize, DecodeError> {
        let at = self.offset();
        let found = self.compact_size(what)?;
        let wide = |value: usize| u64::try_from(value).unwrap_or(u64::MAX);
        let count = match usize::try_from(found) {
            Ok(count) if count <= limit => count,
            Ok(_) | Err(_) => return Err(DecodeError::Oversized { what, at, found, limit: wide(limit) }),
        };
        let (need, left) = (count.saturating_mul(entry_bytes_min), self.rest.len());
        if need > left {
            return Err(DecodeError::CutOff { what, at, found, need: wide(need), left });
        }
        Ok(count)
    }

    /// Bytes behind their CompactSize length.
    ///
    /// # Errors
    /// As [`compact_size`](Self::compact_size), or [`DecodeError::Truncated`].
    pub fn bytes(&mut self, what: &'static str) -> Result<&'a [u8], DecodeError> {
        let length = self.compact_size(what)?;
        match usize::try_from(length) {
            Ok(length) => self.take(what, length),
            Err(_) => Err(self.truncated(what, length)),
        }
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// [`DecodeError::Trailing`] if bytes are left.
    pub fn finish(self, what: &'static str) -> Result<(), DecodeError> {
        match self.rest.len() {
            0 => Ok(()),
            extra => Err(DecodeError::Trailing { what, at: self.offset(), extra }),
        }
    }

    fn truncated(&self, what: &'static str, want: u64) -> DecodeError {
        DecodeError::Truncated { what, at: self.offset(), want, left: self.rest.len() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compact_sizes_have_one_spelling() {
        let check = |bytes: &[u8], want: Result<u64, DecodeError>| {
            assert_eq!(Reader::new(bytes).compact_size("count"), want, "{bytes:02x?}");
        };
        let long = |value, spelled| Err(DecodeError::NonMinimal { what: "count", at: 0, value, spelled });
        let short =
            |want, left| Err(DecodeError::Truncated { what: "count", at: 1.min(left + 1), want, left });
        check(&[0xfc], Ok(0xfc));
        check(&[0xfd, 0xfd, 0], Ok(0xfd));
        check(&[0xfd, 0xfc, 0], long(0xfc, 3));
        check(&[0xfe, 0, 0, 1, 0], Ok(0x1_0000));
        check(&[0xfe, 0xff, 0xff, 0, 0], long(0xffff, 5));
        check(&[0xff, 0, 0, 0, 0, 1, 0, 0, 0], Ok(0x1_0000_0000));
        check(&[0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0], long(0xffff_ffff, 9));
        check(&[0xff; 9], Ok(u64::MAX));
        check(&[0xfd, 1], short(2, 1));
        check(&[0xff, 0, 0], short(8, 2));
    }

    #[test]
    fn counts_are_held_against_the_bytes_at_hand() {
        let bytes = [3, 0, 0, 0, 0, 0, 0];
        assert_eq!(Reader::new(&bytes).count("inputs", 2, 10), Ok(3));
        let error = Reader::new(&bytes).count("inputs", 3, 10).unwrap_err();
        let want = "inputs at offset 0 is 3, which needs at least 9 bytes, only 6 are left: cut off?";
        assert_eq!(error.to_string(), want);
        let error = Reader::new(&bytes).count("inputs", 1, 2).unwrap_err();
        assert_eq!(error.to_string(), "inputs at offset 0 is 3, limit 2");
        let huge = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
        assert!(matches!(
            Reader::new(&huge).count("inputs", 1, 10),
            Err(DecodeError::Oversized { found: u64::MAX, .. })
        ));
        assert!(matches!(Reader::new(&huge).bytes("script"), Err(DecodeError::Truncated { .. })));
    }

    #[test]
    fn what_is_left_over_is_counted() {
        let mut reader = Reader::new(&[1, 2, 3]);
        reader.u8("flag").unwrap();
        let error = reader.finish("transaction").unwrap_err();
        assert_eq!(error.to_string(), "2 bytes follow the end of transaction at offset 1");
    }
}
