//! Why rows are no journal, and why books take nothing of one. Says what was found, where, and what to do; decides nothing.

use kuraban_base::Instant;

use super::{Kind, MEMO_MAX, journal::ROWS_MAX};
use crate::{AssetsError, DecimalError, holdings::NAME_MAX, time::shown_utc};

/// Why rows are no journal.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum JournalError {
    /// A text that cannot stand there.
    #[error(
        "line {line}, {field}: has {found:?}, want 1 to {NAME_MAX} bytes without control characters and blanks at its ends"
    )]
    Name {
        /// Where.
        line: u64,
        /// Which field.
        field: &'static str,
        /// What stood there, shortened.
        found: String,
    },
    /// A long memo.
    #[error("line {line}, memo: has {found} bytes, want at most {MEMO_MAX}, without control characters")]
    Memo {
        /// Where.
        line: u64,
        /// How many.
        found: usize,
    },
    /// An asset that nobody named.
    #[error("line {line}, asset: {found:?} is not known, only {known}; name it with its decimals")]
    Asset {
        /// Where.
        line: u64,
        /// What stood there, shortened.
        found: String,
        /// All that are known.
        known: String,
    },
    /// No amount.
    #[error("line {line}, amount of {asset}: {problem}")]
    Amount {
        /// Where.
        line: u64,
        /// Of what.
        asset: String,
        /// What is wrong.
        problem: DecimalError,
    },
    /// Nothing, or more than is counted.
    #[error("line {line}, amount of {asset}: is {found}, want 1 to 2^127 - 1 base units")]
    Range {
        /// Where.
        line: u64,
        /// Of what.
        asset: String,
        /// How much.
        found: u128,
    },
    /// Rows of one entry that differ.
    #[error(
        "line {line}, {field}: differs from line {earlier} of the same entry {entry}, want the same in all its rows"
    )]
    Differs {
        /// Where.
        line: u64,
        /// Which field.
        field: &'static str,
        /// The first line of the entry.
        earlier: u64,
        /// Which entry.
        entry: String,
    },
    /// An account of two kinds.
    #[error(
        "line {line}, kind: account {account} is of kind {found} here and {known} in line {earlier}, want one"
    )]
    Kind {
        /// Where.
        line: u64,
        /// Which account.
        account: String,
        /// What stood there.
        found: Kind,
        /// What stood there before.
        known: Kind,
        /// Where.
        earlier: u64,
    },
    /// An entry that does not balance.
    #[error(
        "line {line}, entry {entry}: debits of {asset} are {debits} and credits {credits}, want them equal"
    )]
    Balance {
        /// Its first line.
        line: u64,
        /// Which.
        entry: String,
        /// Of what.
        asset: String,
        /// In whole coins.
        debits: String,
        /// In whole coins.
        credits: String,
    },
    /// Sums that are not counted.
    #[error("line {line}, entry {entry}: moves more than 2^127 - 1 base units of {asset}")]
    Large {
        /// Its first line.
        line: u64,
        /// Which.
        entry: String,
        /// Of what.
        asset: String,
    },
    /// More rows than are counted.
    #[error("line {line}: there are more than {ROWS_MAX} rows; divide the journal")]
    Many {
        /// Where.
        line: u64,
    },
    /// Nothing at all.
    #[error("has no rows, want an entry with debit and credit")]
    Empty,
}

/// Why books take nothing of a journal. Lines are those of its rows.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BooksError {
    /// An asset with other decimals, or one too many.
    #[error("asset: {0}")]
    Assets(#[from] AssetsError),
    /// An account of two kinds.
    #[error(
        "line {line}, kind: account {account} is of kind {found} here and {known} in the books, want one"
    )]
    Kind {
        /// Where.
        line: u64,
        /// Which.
        account: String,
        /// What was given.
        found: Kind,
        /// What it is.
        known: Kind,
    },
    /// An id that has another content already.
    #[error(
        "line {line}, entry: {entry} is in the books with other content; a correction needs an id of its own"
    )]
    Conflict {
        /// Where.
        line: u64,
        /// Which.
        entry: String,
    },
    /// An entry before the last one.
    #[error(
        "line {line}, time: entry {entry} is of {}, before the last entry of the books, {}; post it with a later time",
        shown_utc(*found),
        shown_utc(*last)
    )]
    Late {
        /// Where.
        line: u64,
        /// Which.
        entry: String,
        /// Its time.
        found: Instant,
        /// The last one's.
        last: Instant,
    },
    /// A counter-entry that is none.
    #[error("line {line}, reverses: entry {entry} cannot reverse {target}: {problem}")]
    Reversal {
        /// Where.
        line: u64,
        /// Which.
        entry: String,
        /// What it should reverse.
        target: String,
        /// What is wrong.
        problem: &'static str,
    },
    /// A customer below zero.
    #[error(
        "line {line}, amount: account {account} has {short} {asset} too little for entry {entry}; want zero or more left at the end of {}",
        shown_utc(*at)
    )]
    Below {
        /// Where.
        line: u64,
        /// The entry.
        entry: String,
        /// Whose.
        account: String,
        /// Of what.
        asset: String,
        /// How much is missing, in whole coins.
        short: String,
        /// When.
        at: Instant,
    },
    /// More than is counted.
    #[error("line {line}, amount: the books would have moved more than 2^127 - 1 base units of {asset}")]
    Large {
        /// Where.
        line: u64,
        /// Of what.
        asset: String,
    },
    /// More than is counted.
    #[error("there are more than 4,294,967,295 accounts")]
    Accounts,
}
