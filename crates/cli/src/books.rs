//! `kuraban books`: double-entry books of customers and the operator. Reads journals, keeps them in a file, says who held what; which
//! entries are taken is `kuraban-ledger`'s.

mod answer;
mod import;
#[cfg(feature = "postgres")]
mod postgres;
mod store;

use std::path::{Path, PathBuf};

use clap::Subcommand;
use kuraban_base::Instant;
use kuraban_ledger::{
    Assets,
    holdings::{Builder, RawRow, Written},
};
use kuraban_vault::judge::CLOCKS_APART_MAX_MS;

use crate::{
    fail::{Failure, OrFail as _},
    input::{NotInstant, instant, now, shown_utc},
    say::{Report, Say},
};

/// What to do with books.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Take journals into books: CSV, Parquet or the answer of a database
    #[command(after_help = import::HELP)]
    Import(Box<import::Args>),
    /// Say who held what at an instant
    #[command(after_help = HOLDINGS_HELP)]
    Holdings(Holdings),
    /// Read books from their first byte and say what they come to
    #[command(after_help = CHECK_HELP)]
    Check(Check),
}

const HOLDINGS_HELP: &str = "\
Writes every balance above zero of customers' accounts as a table with the
columns customer, asset and amount (whole coins): what kuraban claims compute
reads. Entries of the instant itself count.

Example:
  kuraban books holdings --books books --at 2018-01-26T23:59:59+09:00 \\
      --out holders.csv";

const CHECK_HELP: &str = "\
Verifies every checksum, posts every entry again, and shows for each asset
what customers are owed and what the operator's own accounts have: they are
equal.
Exit status 2 if the file is damaged.

Example:
  kuraban books check --books books --json";

/// Whose holdings, and when.
#[derive(clap::Args)]
pub(crate) struct Holdings {
    /// The file that the books are kept in
    #[arg(long, value_name = "FILE")]
    books: PathBuf,
    /// The instant: RFC 3339, or milliseconds since 1970
    #[arg(long, value_name = "INSTANT", value_parser = at)]
    at: Instant,
    /// Where the table goes; it must not exist yet
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// What to check.
#[derive(clap::Args)]
pub(crate) struct Check {
    /// The file that the books are kept in
    #[arg(long, value_name = "FILE")]
    books: PathBuf,
}

/// What customers held at an instant, in these assets.
pub(crate) fn held(
    path: &Path,
    assets: &Assets,
    at: Instant,
    say: &Say,
) -> Result<kuraban_ledger::holdings::Holdings, Failure> {
    let store = store::Store::read(path, past(at)?, say)?;
    let of = || format!("{} at {}", path.display(), shown_utc(at));
    let held = store.books.holdings().or_input(of())?;
    let mut builder = Builder::new(assets.clone());
    for (line, row) in (1_u64..).zip(held.iter()) {
        let (customer, asset) = (held.customer(row.customer), held.assets().code(row.asset));
        // As whole coins, because these assets may have other decimals than the books.
        let coins = row.units.to_coins(held.assets().decimals(row.asset));
        let amount = Written::Coins(&coins);
        builder.push(RawRow { line, customer, asset, amount, group: "", vault: "" }).or_input(of())?;
    }
    builder.finish().or_input(of())
}

/// The instant, if it has come as far as clocks agree: what is held later nobody knows yet.
fn past(at: Instant) -> Result<Instant, Failure> {
    let now = now()?;
    let come = Some(at).filter(|at| *at <= now.plus_ms(CLOCKS_APART_MAX_MS));
    come.ok_or_else(|| {
        let (at, now) = (shown_utc(at), shown_utc(now));
        Failure::input(format!("{at} has not come, it is {now}; what is held then is not known"))
    })
}

fn at(text: &str) -> Result<Instant, NotInstant> {
    instant(text)
}

/// Runs `kuraban books …`.
pub(crate) fn run(command: Command, say: &Say) -> Result<Report, Failure> {
    match command {
        Command::Import(args) => import::run(&args, say),
        Command::Holdings(args) => answer::holdings(&args, say),
        Command::Check(args) => answer::check(&args, say),
    }
}
