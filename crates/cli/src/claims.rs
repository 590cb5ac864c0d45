//! `kuraban claims`: what a scheme of compensation pays to whom. Reads, writes and prints; the arithmetic is `kuraban-ledger`'s.

mod compute;
mod tables;

pub(crate) use compute::units_json;

use clap::Subcommand;

pub(crate) use compute::thousands;

use crate::{
    fail::Failure,
    say::{Report, Say},
};

/// What to do with claims.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Compute every customer's compensation by a scheme
    #[command(after_help = compute::HELP)]
    Compute(compute::Args),
    /// Lay several schemes side by side, on the same holdings
    #[command(after_help = compute::COMPARE_HELP)]
    Compare(compute::Compare),
}

/// Runs `kuraban claims …`.
pub(crate) fn run(command: Command, say: &Say) -> Result<Report, Failure> {
    match command {
        Command::Compute(args) => compute::run(&args, say),
        Command::Compare(args) => compute::compare(&args, say),
    }
}
