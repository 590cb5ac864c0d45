//! Taint on chains of accounts, from a neutral list of transfers.
//!
//! Decides by arithmetic alone which of an account's units are the stolen ones. Never guesses who owns an account, never
//! lets taint cross from one asset into another, and never drops a unit: a trace that does not balance is an error.
#![doc = include_str!("../../../docs/taint-accounts.md")]

use std::io::BufRead;

mod book;
mod holding;
pub mod import;
mod ledger;
mod list;
pub mod live;
mod method;
mod outcome;
mod track;
mod transfer;
mod units;

pub use book::Book;
pub use holding::Lowest;
pub use list::{LINE_MAX, Lines, ListError, Problem, Reader, UNDO_BLOCKS_MAX};
pub use method::{Rule, RuleError};
pub use outcome::{
    BookError, CaseTotals, Deposit, Fees, Held, Outcome, Overdrawn, Seed, Segment, Stolen, Stop, Terms,
    Totals, TraceError, Unbalanced,
};
pub use track::Moved;
pub use transfer::{Chain, Header, Kind, Line, Mark, Opening, Transfer, TransferList};
pub use units::{Units, UnitsError};

/// Follows stolen units through a list.
///
/// # Errors
/// A list that cannot be read or contradicts itself, with its line; seeds that it does not have.
pub fn trace(list: impl BufRead, terms: &Terms, seeds: &[Seed]) -> Result<Outcome, TraceError> {
    let mut reader = Reader::new(list)?;
    let mut book = Book::new(reader.header(), terms.clone(), seeds)?;
    while let Some(transfer) = reader.next().transpose()? {
        if terms.until.is_some_and(|until| transfer.height > until) {
            break;
        }
        let line = reader.line();
        book.apply(&transfer).map_err(|problem| TraceError::Book { line, problem })?;
    }
    book.finish()
}
