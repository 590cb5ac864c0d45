//! Numbers and texts in files. Each has one form only, so that no byte of a file can change without being seen.

use alloc::vec::Vec;

/// Most bytes of an amount.
const AMOUNT_BYTES_MAX: usize = 16;
const AMOUNT_BYTES_MAX_U32: u32 = 16;

/// Bytes that are not what stands there.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum WireError {
    /// The end comes too early.
    #[error("ends at byte {at}, want {want} more: the file was cut off, fetch it again")]
    Cut {
        /// Where the missing part begins, from 0.
        at: usize,
        /// How many bytes are missing there.
        want: usize,
    },
    /// Something after the end.
    #[error("has {count} bytes more after its end at byte {at}")]
    Trailing {
        /// Where it should end.
        at: usize,
        /// How many there are.
        count: usize,
    },
    /// An amount in a longer form than it needs, or of more than 128 bits.
    #[error("byte {at}: is no amount in its shortest form of at most 128 bits")]
    Amount {
        /// Where it begins.
        at: usize,
    },
    /// Text that is not UTF-8.
    #[error("byte {at}: is not UTF-8")]
    Text {
        /// Where it begins.
        at: usize,
    },
}

/// Reads bytes from the front.
#[derive(Clone, Debug)]
pub struct Cursor<'a> {
    rest: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    /// At the first byte.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, at: 0 }
    }

    /// How many bytes were read.
    #[must_use]
    pub const fn at(&self) -> usize {
        self.at
    }

    /// The next bytes.
    ///
    /// # Errors
    /// There are fewer.
    pub fn take(&mut self, count: usize) -> Result<&'a [u8], WireError> {
        let want = count.saturating_sub(self.rest.len());
        let cut = WireError::Cut { at: self.at.saturating_add(self.rest.len()), want };
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(cut)?;
        (self.rest, self.at) = (rest, self.at.saturating_add(count));
        Ok(taken)
    }

    /// The next `N` bytes.
    ///
    /// # Errors
    /// There are fewer.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    /// One byte.
    ///
    /// # Errors
    /// There is none.
    pub fn byte(&mut self) -> Result<u8, WireError> {
        self.array().map(u8::from_be_bytes)
    }

    /// Text after its length in one byte.
    ///
    /// # Errors
    /// It ends too early, or is not UTF-8.
    pub fn text(&mut self) -> Result<&'a str, WireError> {
        let length = usize::from(self.byte()?);
        let at = self.at;
        core::str::from_utf8(self.take(length)?).map_err(|_| WireError::Text { at })
    }

    /// An amount: how many bytes it needs, and those, the highest first.
    ///
    /// # Errors
    /// It ends too early, has more than 128 bits, or has a shorter form.
    pub fn amount(&mut self) -> Result<u128, WireError> {
        let wrong = WireError::Amount { at: self.at };
        let length = usize::from(self.byte()?);
        let mut bytes = [0; AMOUNT_BYTES_MAX];
        let begin = AMOUNT_BYTES_MAX.checked_sub(length).ok_or(wrong)?;
        let taken = self.take(length)?;
        if taken.first() == Some(&0) {
            return Err(wrong);
        }
        bytes.get_mut(begin..).unwrap_or_default().copy_from_slice(taken);
        Ok(u128::from_be_bytes(bytes))
    }

    /// As many amounts as there are assets.
    ///
    /// # Errors
    /// As [`amount`](Self::amount).
    pub fn amounts(&mut self, count: usize) -> Result<Vec<u128>, WireError> {
        (0..count).map(|_| self.amount()).collect()
    }

    /// Nothing is left.
    ///
    /// # Errors
    /// Something is.
    pub fn end(self) -> Result<(), WireError> {
        let (at, count) = (self.at, self.rest.len());
        if count == 0 { Ok(()) } else { Err(WireError::Trailing { at, count }) }
    }
}

/// Writes an amount as [`Cursor::amount`] reads it.
pub fn put_amount(to: &mut Vec<u8>, amount: u128) {
    let zeros = amount.leading_zeros() / 8;
    let [low, ..] = AMOUNT_BYTES_MAX_U32.saturating_sub(zeros).to_le_bytes();
    to.push(low);
    let end = to.len().saturating_add(usize::from(low));
    // Sixteen bytes at once and the rest taken back is several times faster than as many as are needed.
    to.extend_from_slice(&amount.checked_shl(zeros.saturating_mul(8)).unwrap_or(0).to_be_bytes());
    to.truncate(end);
}

/// Writes text after its length in one byte. Longer text than a byte counts is refused before it comes here.
pub(crate) fn put_text(to: &mut Vec<u8>, text: &str) {
    to.push(u8::try_from(text.len()).unwrap_or(u8::MAX));
    to.extend_from_slice(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_have_one_form() {
        let check = |bytes: &[u8], want: Result<u128, WireError>| {
            let mut cursor = Cursor::new(bytes);
            assert_eq!(cursor.amount(), want, "{bytes:x?}");
            if let Ok(amount) = want {
                let mut again = Vec::new();
                put_amount(&mut again, amount);
                assert_eq!(again, bytes);
            }
        };
        let wrong = Err(WireError::Amount { at: 0 });
        let full = |length: usize| [&[16], [0xff; 16].get(..length).unwrap()].concat();
        check(&[0], Ok(0));
        check(&[1, 1], Ok(1));
        check(&[1, 0xff], Ok(255));
        check(&[2, 1, 0], Ok(256));
        check(&[9, 1, 0, 0, 0, 0, 0, 0, 0, 0], Ok(1 << 64));
        check(&full(16), Ok(u128::MAX));
        check(&full(15), Err(WireError::Cut { at: 16, want: 1 }));
        check(&[[17].as_slice(), &[1; 17]].concat(), wrong);
        check(&[1, 0], wrong);
        check(&[2, 0, 1], wrong);
        check(&[], Err(WireError::Cut { at: 0, want: 1 }));
        check(&[1], Err(WireError::Cut { at: 1, want: 1 }));
    }

    #[test]
    fn what_is_cut_off_or_left_over_is_said() {
        let mut cursor = Cursor::new(&[2, b'h']);
        assert_eq!(cursor.text(), Err(WireError::Cut { at: 2, want: 1 }));
        let mut cursor = Cursor::new(&[1, 0xff, 7]);
        assert_eq!(cursor.text(), Err(WireError::Text { at: 1 }));
        assert_eq!(cursor.end(), Err(WireError::Trailing { at: 2, count: 1 }));
    }
}
