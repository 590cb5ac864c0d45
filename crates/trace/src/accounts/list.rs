//! The reading of a list of transfers, line by line.
//!
//! Decides what a well-formed list is. Never whether an account has what it pays: that is the ledger's to say.

use std::{
    collections::{HashSet, VecDeque},
    io::{BufRead, Read as _},
};

use kuraban_base::{Digest, hex};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::transfer::{Chain, Header, Kind, Line, Mark, Opening, Transfer, VERSION};

/// Longest line, in bytes.
pub const LINE_MAX: usize = 2048;
/// Longest account, asset or transaction id, in bytes.
const NAME_MAX: usize = 128;
/// Blocks that can be taken back.
pub const UNDO_BLOCKS_MAX: usize = 288;

/// A list that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("line {line}")]
pub struct ListError {
    /// The line, from 1.
    pub line: u64,
    /// What is wrong with it.
    #[source]
    pub problem: Problem,
}

/// What is wrong with a line.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// There is no line.
    #[error("the list is empty, want a first line such as {}", Header { chain: Chain::Xrp, opening: Opening::Stated }.to_line())]
    Empty,
    /// The bytes cannot be read.
    #[error("cannot be read")]
    Read(#[source] std::io::Error),
    /// Too long.
    #[error("is longer than {LINE_MAX} bytes")]
    Long,
    /// Not an object with exactly the fields that it must have.
    #[error("is not the object that it must be")]
    Json(#[source] serde_json::Error),
    /// A field that cannot be what it says.
    #[error("field {field}: found {found}, want {want}")]
    Field {
        /// Its name.
        field: &'static str,
        /// What stood there, at most 80 characters of it.
        found: String,
        /// What it may be.
        want: String,
    },
    /// Not after the line before it.
    #[error(
        "field {field}: (height, position, index) is {found}, want more than {before} of the line before"
    )]
    Order {
        /// The first field in which they differ.
        field: &'static str,
        /// What stands here.
        found: String,
        /// What stood before.
        before: String,
    },
    /// One place in the chain has two ids.
    #[error(
        "field tx: found {found}, want {want} as on the line before, which has the same height and position"
    )]
    TwoIds {
        /// What stands here.
        found: String,
        /// What stood before.
        want: String,
    },
    /// One id has two places in the chain.
    #[error("field tx: {found} stood at an earlier place already")]
    TwoPlaces {
        /// The id.
        found: String,
    },
    /// A block's line, or a transfer after one, that does not follow.
    #[error("field {field}: found {found}, want {want}, for each block has its line after its transfers")]
    Block {
        /// Its name.
        field: &'static str,
        /// What stands here.
        found: String,
        /// What would follow.
        want: String,
    },
    /// A block that cannot be taken back.
    #[error(
        "block {height} cannot be taken back: want the last one, the first excepted, at most {UNDO_BLOCKS_MAX} in a row and no transfer between"
    )]
    Undo {
        /// Its height.
        height: u64,
    },
    /// A list that took blocks back, where one of a single chain is wanted.
    #[error(
        "block {height} is taken back here; a list that has grown like this is followed, or written again without such blocks"
    )]
    Undone {
        /// Its height.
        height: u64,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawHeader<'a> {
    #[serde(borrow)]
    transfers: &'a RawValue,
    #[serde(borrow)]
    chain: &'a RawValue,
    #[serde(borrow)]
    opening: &'a RawValue,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTransfer<'a> {
    #[serde(borrow)]
    height: &'a RawValue,
    #[serde(borrow)]
    position: &'a RawValue,
    #[serde(borrow)]
    tx: &'a RawValue,
    #[serde(borrow)]
    index: &'a RawValue,
    #[serde(borrow)]
    asset: &'a RawValue,
    #[serde(borrow)]
    from: &'a RawValue,
    #[serde(borrow)]
    to: &'a RawValue,
    #[serde(borrow)]
    amount: &'a RawValue,
    #[serde(borrow)]
    kind: &'a RawValue,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawMark<'a> {
    #[serde(borrow)]
    block: &'a RawValue,
    #[serde(borrow)]
    hash: &'a RawValue,
    #[serde(borrow)]
    prev: &'a RawValue,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawUndo<'a> {
    #[serde(borrow)]
    undo: &'a RawValue,
    #[serde(borrow)]
    hash: &'a RawValue,
}

fn wrong(field: &'static str, raw: &RawValue, want: impl Into<String>) -> Problem {
    Problem::Field { field, found: raw.get().chars().take(80).collect(), want: want.into() }
}

/// Whether a text can name an account, an asset or a transaction: printable ASCII that JSON carries as it is.
fn is_name(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\';
    !text.is_empty() && text.len() <= NAME_MAX && text.bytes().all(plain)
}

fn name(field: &'static str, raw: &RawValue) -> Result<String, Problem> {
    let text: Option<String> = serde_json::from_str(raw.get()).ok();
    text.filter(|text| is_name(text)).ok_or_else(|| {
        wrong(field, raw, format!("text of 1 to {NAME_MAX} printable ASCII characters without blanks"))
    })
}

fn end(
    field: &'static str,
    raw: &RawValue,
    kind: Kind,
    want: Option<bool>,
) -> Result<Option<String>, Problem> {
    let is_null = raw.get() == "null";
    match want {
        Some(true) if is_null => Err(wrong(field, raw, format!("an account, for the kind {}", kind.name()))),
        Some(false) if !is_null => Err(wrong(field, raw, format!("null, for the kind {}", kind.name()))),
        Some(_) | None if is_null => Ok(None),
        Some(_) | None => name(field, raw).map(Some),
    }
}

fn number<N: serde::de::DeserializeOwned>(field: &'static str, raw: &RawValue) -> Result<N, Problem> {
    let bits = size_of::<N>().saturating_mul(8);
    serde_json::from_str(raw.get()).map_err(|_| wrong(field, raw, format!("a whole number below 2^{bits}")))
}

fn one_of<T: Copy>(
    field: &'static str,
    raw: &RawValue,
    all: &[T],
    name: fn(T) -> &'static str,
) -> Result<T, Problem> {
    let text: Option<String> = serde_json::from_str(raw.get()).ok();
    let known = all.iter().copied().find(|value| text.as_deref() == Some(name(*value)));
    known.ok_or_else(|| {
        let names: Vec<_> = all.iter().map(|value| name(*value)).collect();
        wrong(field, raw, format!("one of {}", names.join(", ")))
    })
}

fn header(line: &str) -> Result<Header, Problem> {
    let raw: RawHeader<'_> = serde_json::from_str(line).map_err(Problem::Json)?;
    let version: u32 = number("transfers", raw.transfers)?;
    if version != VERSION {
        return Err(wrong("transfers", raw.transfers, format!("version {VERSION}")));
    }
    let chain = one_of("chain", raw.chain, &Chain::ALL, Chain::name)?;
    let opening = one_of("opening", raw.opening, &Opening::ALL, Opening::name)?;
    Ok(Header { chain, opening })
}

fn transfer(line: &str) -> Result<Transfer, Problem> {
    let raw: RawTransfer<'_> = serde_json::from_str(line).map_err(Problem::Json)?;
    let kind = one_of("kind", raw.kind, &Kind::ALL, Kind::name)?;
    let (payer, payee) = kind.ends();
    let digits: Option<String> = serde_json::from_str(raw.amount.get()).ok();
    let amount = digits.and_then(|digits| digits.parse().ok()).ok_or_else(|| {
        wrong(
            "amount",
            raw.amount,
            "text of a decimal number from 0 to 2^256 - 1 without sign or leading zeros",
        )
    })?;
    Ok(Transfer {
        height: number("height", raw.height)?,
        position: number("position", raw.position)?,
        tx: name("tx", raw.tx)?,
        index: number("index", raw.index)?,
        asset: name("asset", raw.asset)?,
        from: end("from", raw.from, kind, Some(payer))?,
        to: end("to", raw.to, kind, payee)?,
        amount,
        kind,
    })
}

/// The lines of a list, one after the other: each in its place, every id at one. Holds the ids that it has met.
#[derive(Debug)]
pub struct Lines {
    line: u64,
    header: Header,
    /// The last transfer, unless a block's line stood after it.
    last: Option<Transfer>,
    ids: HashSet<Box<str>>,
    /// The height of the first transfer.
    first: Option<u64>,
    tip: Option<Mark>,
    /// Ids since the last block.
    open: Vec<Box<str>>,
    /// How the last blocks are taken back.
    blocks: VecDeque<Closed>,
}

/// A block that can be taken back.
#[derive(Debug)]
struct Closed {
    before: Mark,
    ids: Vec<Box<str>>,
}

impl Lines {
    /// Begins with a list's first line.
    ///
    /// # Errors
    /// It is not a header.
    pub fn new(first: &str) -> Result<Self, ListError> {
        let header = header(first).map_err(|problem| ListError { line: 1, problem })?;
        Ok(Self {
            line: 1,
            header,
            last: None,
            ids: HashSet::new(),
            first: None,
            tip: None,
            open: Vec::new(),
            blocks: VecDeque::new(),
        })
    }

    /// The first line.
    #[must_use]
    pub const fn header(&self) -> Header {
        self.header
    }

    /// The number of the line that was read last, from 1.
    #[must_use]
    pub const fn line(&self) -> u64 {
        self.line
    }

    /// Reads the next line, without its end.
    ///
    /// # Errors
    /// It is none, or does not follow those before it. Nothing can follow it then.
    pub fn read(&mut self, text: &str) -> Result<Line, ListError> {
        self.line = self.line.saturating_add(1);
        let line = self.line;
        self.take(text).map_err(|problem| ListError { line, problem })
    }

    fn take(&mut self, text: &str) -> Result<Line, Problem> {
        let line = one(text)?;
        match &line {
            Line::Transfer(next) => self.transfer(next)?,
            Line::Block(mark) => self.block(*mark)?,
            Line::Undo(mark) => return self.undo(*mark).map(Line::Undo),
        }
        Ok(line)
    }

    fn transfer(&mut self, next: &Transfer) -> Result<(), Problem> {
        if let Some(want) =
            self.tip.map(|tip| tip.height.saturating_add(1)).filter(|want| *want != next.height)
        {
            return Err(misplaced("height", next.height, want));
        }
        match &self.last {
            Some(last) if (last.height, last.position) == (next.height, next.position) => {
                if last.tx != next.tx {
                    return Err(Problem::TwoIds { found: next.tx.clone(), want: last.tx.clone() });
                }
                if next.index <= last.index {
                    return Err(order("index", next, last));
                }
            }
            Some(last) if next.height < last.height => return Err(order("height", next, last)),
            Some(last) if next.height == last.height && next.position < last.position => {
                return Err(order("position", next, last));
            }
            Some(_) | None => {
                if !self.ids.insert(next.tx.as_str().into()) {
                    return Err(Problem::TwoPlaces { found: next.tx.clone() });
                }
                // The first block stays.
                if self.tip.is_some() {
                    self.open.push(next.tx.as_str().into());
                }
            }
        }
        self.first = self.first.or(Some(next.height));
        self.last = Some(next.clone());
        Ok(())
    }

    fn block(&mut self, mark: Mark) -> Result<(), Problem> {
        let Some(before) = self.tip else {
            let heights = [self.first, self.last.as_ref().map(|last| last.height)];
            if let Some(height) = heights.into_iter().flatten().find(|height| *height != mark.height) {
                return Err(misplaced("block", mark.height, height));
            }
            (self.tip, self.last) = (Some(mark), None);
            return Ok(());
        };
        let height = before.height.saturating_add(1);
        if mark.height != height {
            return Err(misplaced("block", mark.height, height));
        }
        if mark.prev != before.hash {
            return Err(misplaced("prev", mark.prev, before.hash));
        }
        self.blocks.push_back(Closed { before, ids: core::mem::take(&mut self.open) });
        if self.blocks.len() > UNDO_BLOCKS_MAX {
            self.blocks.pop_front();
        }
        (self.tip, self.last) = (Some(mark), None);
        Ok(())
    }

    fn undo(&mut self, found: Mark) -> Result<Mark, Problem> {
        let height = found.height;
        let tip = self.tip.filter(|tip| (tip.height, tip.hash) == (height, found.hash));
        let (Some(tip), true) = (tip, self.open.is_empty()) else { return Err(Problem::Undo { height }) };
        let closed = self.blocks.pop_back().ok_or(Problem::Undo { height })?;
        for id in closed.ids {
            self.ids.remove(&id);
        }
        self.tip = Some(closed.before);
        Ok(tip)
    }
}

fn misplaced(field: &'static str, found: impl ToString, want: impl ToString) -> Problem {
    Problem::Block { field, found: found.to_string(), want: want.to_string() }
}

fn order(field: &'static str, next: &Transfer, last: &Transfer) -> Problem {
    let place = |of: &Transfer| format!("({}, {}, {})", of.height, of.position, of.index);
    Problem::Order { field, found: place(next), before: place(last) }
}

/// A line, by the first of its fields' names that tells.
fn one(text: &str) -> Result<Line, Problem> {
    // Names cannot have quotation marks, so that these can stand nowhere else.
    if text.contains("\"block\"") {
        let raw: RawMark<'_> = serde_json::from_str(text).map_err(Problem::Json)?;
        let (hash, prev) = (digest("hash", raw.hash)?, digest("prev", raw.prev)?);
        Ok(Line::Block(Mark { height: number("block", raw.block)?, hash, prev }))
    } else if text.contains("\"undo\"") {
        let raw: RawUndo<'_> = serde_json::from_str(text).map_err(Problem::Json)?;
        let (height, hash) = (number("undo", raw.undo)?, digest("hash", raw.hash)?);
        Ok(Line::Undo(Mark { height, hash, prev: hash }))
    } else {
        transfer(text).map(Line::Transfer)
    }
}

fn digest(field: &'static str, raw: &RawValue) -> Result<Digest, Problem> {
    let text: Option<String> = serde_json::from_str(raw.get()).ok();
    let bytes = text.and_then(|text| hex::decode_array(&text).ok());
    bytes
        .map(Digest::from_bytes)
        .ok_or_else(|| wrong(field, raw, "32 bytes in hexadecimal, in small letters"))
}

/// Reads the transfers of a list that has not taken a block back, in bounded memory but for the transactions' ids.
#[derive(Debug)]
pub struct Reader<R> {
    source: R,
    lines: Lines,
}

impl<R: BufRead> Reader<R> {
    /// Reads the first line.
    ///
    /// # Errors
    /// A list that is empty or whose first line is not a header.
    pub fn new(mut source: R) -> Result<Self, ListError> {
        let at = |problem| ListError { line: 1, problem };
        let first = line(&mut source).map_err(at)?.ok_or_else(|| at(Problem::Empty))?;
        Ok(Self { source, lines: Lines::new(&first)? })
    }

    /// The first line.
    #[must_use]
    pub const fn header(&self) -> Header {
        self.lines.header()
    }

    /// The number of the line that was read last, from 1.
    #[must_use]
    pub const fn line(&self) -> u64 {
        self.lines.line()
    }

    fn read(&mut self) -> Result<Option<Transfer>, ListError> {
        loop {
            let number = self.lines.line().saturating_add(1);
            let at = |problem| ListError { line: number, problem };
            let Some(text) = line(&mut self.source).map_err(at)? else { return Ok(None) };
            match self.lines.read(&text)? {
                Line::Transfer(transfer) => return Ok(Some(transfer)),
                Line::Block(_) => {}
                Line::Undo(Mark { height, .. }) => return Err(at(Problem::Undone { height })),
            }
        }
    }
}

impl<R: BufRead> Iterator for Reader<R> {
    type Item = Result<Transfer, ListError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read().transpose()
    }
}

/// The next line without its end; nothing after the last.
fn line(lines: &mut impl BufRead) -> Result<Option<String>, Problem> {
    let limit = u64::try_from(LINE_MAX).unwrap_or(u64::MAX).saturating_add(2);
    let mut bytes = Vec::new();
    lines.take(limit).read_until(b'\n', &mut bytes).map_err(Problem::Read)?;
    if bytes.is_empty() {
        return Ok(None);
    }
    if bytes.last() == Some(&b'\n') {
        bytes.pop();
    }
    if bytes.len() > LINE_MAX {
        return Err(Problem::Long);
    }
    let text = String::from_utf8(bytes);
    text.map(Some).map_err(|error| Problem::Read(std::io::Error::other(error.utf8_error())))
}
