//! `kuraban claims`: what a scheme of compensation pays to whom. Reads, writes and prints; the arithmetic is `kuraban-ledger`'s.

mod compute;
mod folder;
mod give;
mod pay;
mod publish;
mod statement;
mod tables;
mod tell;
mod transfer;
mod zengin;

pub(crate) use compute::units_json;

use clap::Subcommand;

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
    /// Write a customer's statement, with what proves that it is genuine
    #[command(after_help = give::HELP)]
    Statement(give::Args),
    /// Verify a statement against the published root
    #[command(after_help = give::VERIFY_HELP)]
    Verify(give::Verify),
    /// Put the root of all statements into the operator's log
    #[command(after_help = publish::HELP)]
    Publish(publish::Args),
    /// Write bank transfer files (zengin) for what is paid in yen
    #[command(after_help = transfer::HELP)]
    Transfers(transfer::Args),
    /// Ask for the payouts of what is paid in coins, each once
    #[command(after_help = pay::HELP)]
    Pay(pay::Args),
}

/// Runs `kuraban claims …`.
pub(crate) fn run(command: Command, say: &Say) -> Result<Report, Failure> {
    match command {
        Command::Compute(args) => compute::run(&args, say),
        Command::Compare(args) => compute::compare(&args, say),
        Command::Statement(args) => give::run(&args, say),
        Command::Verify(args) => give::verify(&args, say),
        Command::Publish(args) => publish::run(&args, say),
        Command::Transfers(args) => transfer::run(&args, say),
        Command::Pay(args) => pay::run(&args, say),
    }
}
