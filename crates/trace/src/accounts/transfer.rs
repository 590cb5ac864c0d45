//! The neutral list of transfers: what every importer writes and every trace reads.
//!
//! Decides what a well-formed list is. Never whether an account has what it pays: that is the book's to say.

use std::{
    collections::HashSet,
    io::{BufRead, Read as _},
};

use serde::Deserialize;
use serde_json::value::RawValue;

use super::units::Units;

/// Version of the list's form.
const VERSION: u32 = 1;
/// Longest line, in bytes.
const LINE_MAX: usize = 2048;
/// Longest account, asset or transaction id, in bytes.
const NAME_MAX: usize = 128;

/// A chain of accounts.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Chain {
    /// Ethereum and what is like it.
    Eth,
    /// The XRP Ledger.
    Xrp,
    /// NEM (NIS1).
    Xem,
}

impl Chain {
    /// Every chain.
    pub const ALL: [Self; 3] = [Self::Eth, Self::Xrp, Self::Xem];

    /// Its name, which is its native asset's name too.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Eth => "eth",
            Self::Xrp => "xrp",
            Self::Xem => "xem",
        }
    }

    /// The base unit of its native asset.
    #[must_use]
    pub const fn unit(self) -> &'static str {
        match self {
            Self::Eth => "wei",
            Self::Xrp => "drop",
            Self::Xem => "microxem",
        }
    }
}

/// What accounts held before the list begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Opening {
    /// Nothing, or what transfers of the kind `opening` say.
    Stated,
    /// Nobody says: units that an account pays and is not known to have were there before, and are clean.
    Unknown,
}

impl Opening {
    const ALL: [Self; 2] = [Self::Stated, Self::Unknown];

    /// Its name in a list's first line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Stated => "stated",
            Self::Unknown => "unknown",
        }
    }
}

/// A list's first line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    /// The chain.
    pub chain: Chain,
    /// What accounts held before.
    pub opening: Opening,
}

impl Header {
    /// The line, without its end.
    #[must_use]
    pub fn to_line(&self) -> String {
        let (chain, opening) = (self.chain.name(), self.opening.name());
        format!(r#"{{"transfers":{VERSION},"chain":"{chain}","opening":"{opening}"}}"#)
    }
}

/// What a transfer is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Kind {
    /// What the transaction says it pays.
    Payment,
    /// What a contract or the ledger paid in consequence.
    Internal,
    /// A token's movement, from its log.
    Token,
    /// The price of the transaction: to whom it goes, or to nobody if it is destroyed.
    Fee,
    /// Destroyed.
    Burn,
    /// Made: a reward, a withdrawal from staking, a new token.
    Mint,
    /// What an account held before the list begins.
    Opening,
}

impl Kind {
    const ALL: [Self; 7] =
        [Self::Payment, Self::Internal, Self::Token, Self::Fee, Self::Burn, Self::Mint, Self::Opening];

    /// Its name in a list.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Payment => "payment",
            Self::Internal => "internal",
            Self::Token => "token",
            Self::Fee => "fee",
            Self::Burn => "burn",
            Self::Mint => "mint",
            Self::Opening => "opening",
        }
    }

    /// Whether there is a payer, and whether there is a payee; `None` for a fee, which may have one or not.
    const fn ends(self) -> (bool, Option<bool>) {
        match self {
            Self::Payment | Self::Internal | Self::Token => (true, Some(true)),
            Self::Fee => (true, None),
            Self::Burn => (true, Some(false)),
            Self::Mint | Self::Opening => (false, Some(true)),
        }
    }
}

/// Units that go from one account to another.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Transfer {
    /// The block's height.
    pub height: u64,
    /// The transaction's place in its block, from 0.
    pub position: u32,
    /// The transaction's id.
    pub tx: String,
    /// The transfer's place in its transaction, from 0.
    pub index: u32,
    /// What moves: the chain's name for its native asset, else the token's id.
    pub asset: String,
    /// Who pays.
    pub from: Option<String>,
    /// Who is paid.
    pub to: Option<String>,
    /// How many base units.
    pub amount: Units,
    /// What it is.
    pub kind: Kind,
}

impl Transfer {
    /// The line, without its end.
    #[must_use]
    pub fn to_line(&self) -> String {
        let end = |account: &Option<String>| {
            account.as_ref().map_or_else(|| "null".to_owned(), |name| format!("\"{name}\""))
        };
        format!(
            r#"{{"height":{},"position":{},"tx":"{}","index":{},"asset":"{}","from":{},"to":{},"amount":"{}","kind":"{}"}}"#,
            self.height,
            self.position,
            self.tx,
            self.index,
            self.asset,
            end(&self.from),
            end(&self.to),
            self.amount,
            self.kind.name()
        )
    }
}

/// A whole list, as an importer makes it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TransferList {
    /// Its first line.
    pub header: Header,
    /// The transfers in the chain's order.
    pub transfers: Vec<Transfer>,
}

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

/// Reads a list line by line, in bounded memory but for the transactions' ids.
#[derive(Debug)]
pub struct Reader<R> {
    lines: R,
    line: u64,
    header: Header,
    last: Option<Transfer>,
    ids: HashSet<Box<str>>,
}

impl<R: BufRead> Reader<R> {
    /// Reads the first line.
    ///
    /// # Errors
    /// A list that is empty or whose first line is not a header.
    pub fn new(mut lines: R) -> Result<Self, ListError> {
        let at = |problem| ListError { line: 1, problem };
        let first = line(&mut lines).map_err(at)?.ok_or_else(|| at(Problem::Empty))?;
        let header = header(&first).map_err(at)?;
        Ok(Self { lines, line: 1, header, last: None, ids: HashSet::new() })
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

    fn read(&mut self) -> Result<Option<Transfer>, Problem> {
        self.line = self.line.saturating_add(1);
        let Some(text) = line(&mut self.lines)? else { return Ok(None) };
        let next = transfer(&text)?;
        match &self.last {
            Some(last) if (last.height, last.position) == (next.height, next.position) => {
                if last.tx != next.tx {
                    return Err(Problem::TwoIds { found: next.tx, want: last.tx.clone() });
                }
                if next.index <= last.index {
                    return Err(order("index", &next, last));
                }
            }
            Some(last) if next.height < last.height => return Err(order("height", &next, last)),
            Some(last) if next.height == last.height && next.position < last.position => {
                return Err(order("position", &next, last));
            }
            Some(_) | None => {
                if !self.ids.insert(next.tx.as_str().into()) {
                    return Err(Problem::TwoPlaces { found: next.tx });
                }
            }
        }
        self.last = Some(next.clone());
        Ok(Some(next))
    }
}

fn order(field: &'static str, next: &Transfer, last: &Transfer) -> Problem {
    let place = |of: &Transfer| format!("({}, {}, {})", of.height, of.position, of.index);
    Problem::Order { field, found: place(next), before: place(last) }
}

impl<R: BufRead> Iterator for Reader<R> {
    type Item = Result<Transfer, ListError>;

    fn next(&mut self) -> Option<Self::Item> {
        let read = self.read();
        let line = self.line;
        read.map_err(|problem| ListError { line, problem }).transpose()
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
