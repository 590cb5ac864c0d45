//! Taint on chains of accounts, from a neutral list of transfers.
//!
//! Decides by arithmetic alone which of an account's units are the stolen ones. Never guesses who owns an account, never
//! lets taint cross from one asset into another, and never drops a unit: a trace that does not balance is an error.
#![doc = include_str!("../../../docs/taint-accounts.md")]

use std::io::BufRead;

use self::apart::ApartBook;

mod apart;
mod book;
mod holding;
pub mod import;
mod ledger;
mod list;
pub mod live;
mod method;
mod outcome;
mod seeds;
mod track;
mod transfer;
mod units;

pub use apart::Apart;
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
    let reader = Reader::new(list)?;
    let mut book = Book::new(reader.header(), terms.clone(), seeds)?;
    each(reader, terms, |transfer| book.apply(transfer))?;
    book.finish()
}

/// Follows each case as if it were the only one, where [`trace`] leaves a unit with the earliest that claims it. A transfer may be
/// the seed of several cases. The list is read once, and what accounts hold is kept once.
///
/// # Errors
/// As [`trace`].
pub fn trace_apart(list: impl BufRead, terms: &Terms, seeds: &[Seed]) -> Result<Apart, TraceError> {
    let reader = Reader::new(list)?;
    let mut book = ApartBook::new(reader.header(), terms, seeds)?;
    each(reader, terms, |transfer| book.apply(transfer))?;
    book.finish()
}

/// Hands on each transfer up to the last block that counts.
fn each(
    mut reader: Reader<impl BufRead>,
    terms: &Terms,
    mut apply: impl FnMut(&Transfer) -> Result<(), BookError>,
) -> Result<(), TraceError> {
    while let Some(transfer) = reader.next().transpose()? {
        if terms.until.is_some_and(|until| transfer.height > until) {
            break;
        }
        let line = reader.line();
        apply(&transfer).map_err(|problem| TraceError::Book { line, problem })?;
    }
    Ok(())
}
