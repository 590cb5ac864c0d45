//! A journal as bytes, for a store. Decides nothing: what is read passes the same checks as rows from outside.
//!
//! Version 1. Numbers are unsigned LEB128, texts a length and UTF-8. A byte 1; assets: count, then code and decimals; accounts: count,
//! then kind (0 customer, 1 margin, 2 own) and name; entries: count, then id, milliseconds since 1970, memo, what it reverses or
//! nothing, and posts: count, then account, asset, side (0 debit, 1 credit) and base units.

use kuraban_base::Instant;

use super::{Builder, Journal, JournalError, Kind, Posted, RawPost, Side};
use crate::{Assets, AssetsError, holdings::Written};

const VERSION: u128 = 1;

/// Why bytes are no journal.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum WireError {
    /// They end too early, go on, or have a value that cannot be.
    #[error("byte {at}: {what}")]
    Shape {
        /// Where, from 0.
        at: usize,
        /// What is wrong.
        what: &'static str,
    },
    /// Assets that cannot be.
    #[error(transparent)]
    Assets(#[from] AssetsError),
    /// Rows that are no entries.
    #[error(transparent)]
    Journal(#[from] JournalError),
}

impl Journal {
    /// The entries that were new, as bytes.
    #[must_use]
    pub fn to_bytes(&self, posted: &Posted) -> Vec<u8> {
        let mut to = Vec::new();
        number(&mut to, VERSION);
        count(&mut to, self.assets().count());
        for (code, decimals) in self.assets() {
            text(&mut to, code);
            number(&mut to, u128::from(decimals));
        }
        count(&mut to, self.accounts().count());
        for (name, kind, _) in self.accounts() {
            to.push(match kind {
                Kind::Customer => 0,
                Kind::Margin => 1,
                Kind::Own => 2,
            });
            text(&mut to, name);
        }
        count(&mut to, posted.fresh.len());
        for entry in posted.fresh.iter().filter_map(|place| self.entries().get(*place)) {
            text(&mut to, entry.id());
            number(&mut to, u128::from(entry.at().ms()));
            text(&mut to, entry.memo());
            text(&mut to, entry.reverses().unwrap_or_default());
            count(&mut to, self.posts(entry).len());
            for post in self.posts(entry) {
                count(&mut to, post.account());
                count(&mut to, post.asset());
                to.push(u8::from(post.side == Side::Credit));
                number(&mut to, post.units);
            }
        }
        to
    }

    /// The journal that the bytes are. Its lines are its rows, from 1.
    ///
    /// # Errors
    /// Bytes that `to_bytes` does not make, and rows that are no entries.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, WireError> {
        let mut from = Reader { bytes, at: 0 };
        if from.number()? != VERSION {
            return Err(from.wrong("this version is not known; use a newer kuraban"));
        }
        let mut assets = Assets::default();
        let mut codes = Vec::new();
        for _ in 0..from.count()? {
            let code = from.text()?;
            let decimals = u8::try_from(from.number()?).map_err(|_| from.wrong("no number of decimals"))?;
            assets.add(code, decimals)?;
            codes.push(code);
        }
        let mut accounts = Vec::new();
        for _ in 0..from.count()? {
            let kind = match from.byte()? {
                0 => Kind::Customer,
                1 => Kind::Margin,
                2 => Kind::Own,
                _ => return Err(from.wrong("no kind of account")),
            };
            accounts.push((from.text()?, kind));
        }
        let mut builder = Builder::new(assets);
        let mut line = 0_u64;
        for _ in 0..from.count()? {
            let (entry, at) = (from.text()?, from.number()?);
            let at = u64::try_from(at).map(Instant::from_ms).map_err(|_| from.wrong("no instant"))?;
            let (memo, reverses) = (from.text()?, from.text()?);
            for _ in 0..from.count()? {
                let (account, kind) = *from.of(&accounts, "no account of this number")?;
                let asset = *from.of(&codes, "no asset of this number")?;
                let side = match from.byte()? {
                    0 => Side::Debit,
                    1 => Side::Credit,
                    _ => return Err(from.wrong("no side")),
                };
                let amount = Written::Units(from.number()?);
                line = line.saturating_add(1);
                builder.push(RawPost {
                    line,
                    entry,
                    at,
                    account,
                    kind,
                    asset,
                    side,
                    amount,
                    memo,
                    reverses,
                })?;
            }
        }
        if from.at != bytes.len() {
            return Err(from.wrong("more follows, want the end"));
        }
        Ok(builder.finish()?)
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    const fn wrong(&self, what: &'static str) -> WireError {
        WireError::Shape { at: self.at, what }
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], WireError> {
        let end = self.at.checked_add(length);
        let part =
            end.and_then(|end| self.bytes.get(self.at..end)).ok_or_else(|| self.wrong("ends too early"))?;
        self.at = self.at.saturating_add(length);
        Ok(part)
    }

    fn byte(&mut self) -> Result<u8, WireError> {
        Ok(self.take(1)?.first().copied().unwrap_or_default())
    }

    fn number(&mut self) -> Result<u128, WireError> {
        let mut number = 0_u128;
        for shift in (0..128_u32).step_by(7) {
            let byte = self.byte()?;
            let part = u128::from(byte & 0x7f);
            let placed = part.checked_shl(shift).filter(|placed| placed.checked_shr(shift) == Some(part));
            number |= placed.ok_or_else(|| self.wrong("a number above 2^128 - 1"))?;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(self.wrong("a number without an end"))
    }

    /// How many things follow: each takes a byte at least, so a count that the bytes cannot hold is refused before anything is reserved.
    fn count(&mut self) -> Result<usize, WireError> {
        let count = usize::try_from(self.number()?).ok();
        let left = self.bytes.len().saturating_sub(self.at);
        count.filter(|count| *count <= left).ok_or_else(|| self.wrong("more than follows"))
    }

    fn of<'t, T>(&mut self, table: &'t [T], what: &'static str) -> Result<&'t T, WireError> {
        let place = usize::try_from(self.number()?).ok();
        place.and_then(|place| table.get(place)).ok_or_else(|| self.wrong(what))
    }

    fn text(&mut self) -> Result<&'a str, WireError> {
        let length = self.count()?;
        core::str::from_utf8(self.take(length)?).map_err(|_| self.wrong("no UTF-8"))
    }
}

fn number(to: &mut Vec<u8>, mut number: u128) {
    loop {
        let low = u8::try_from(number & 0x7f).unwrap_or_default();
        number >>= 7;
        if number == 0 {
            return to.push(low);
        }
        to.push(low | 0x80);
    }
}

fn count(to: &mut Vec<u8>, count: usize) {
    number(to, u128::try_from(count).unwrap_or_default());
}

fn text(to: &mut Vec<u8>, text: &str) {
    count(to, text.len());
    to.extend_from_slice(text.as_bytes());
}
