//! `kuraban reserves`: attestations and signed texts asked for, collected into a file, checked by anybody with a node, and set
//! against what is owed. Decides nothing about coins: an attestation moves none.

mod accounts;
mod chain;
mod challenge;
mod check;
pub(crate) mod file;
mod prove;
mod publish;
mod statement;
mod verify;

use clap::Subcommand;

use crate::{
    fail::Failure,
    say::{Report, Say},
};

/// `kuraban reserves …`
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Write a fresh challenge: a request for an attestation over it, or the text that accounts sign
    #[command(after_help = challenge::HELP)]
    Challenge(challenge::Args),
    /// Put finished attestations into one file that anybody can check
    #[command(after_help = prove::HELP)]
    Prove(prove::Args),
    /// Put texts that accounts signed (Ethereum, XRP Ledger, NEM) into one file that anybody can check
    #[command(after_help = accounts::HELP)]
    Collect(accounts::Args),
    /// Check such a file: signatures, challenge, and every output or balance against the chain
    #[command(after_help = verify::HELP)]
    Verify(verify::Args),
    /// Set reserves against liabilities, asset by asset
    #[command(after_help = statement::HELP)]
    Statement(statement::Args),
    /// Put a statement's verdicts into the operator's log, whatever they are
    #[command(after_help = publish::HELP)]
    Publish(publish::Args),
}

/// Runs `kuraban reserves …`.
pub(crate) fn run(command: Command, say: &Say) -> Result<Report, Failure> {
    match command {
        Command::Challenge(args) => challenge::run(&args, say.lang()),
        Command::Prove(args) => prove::run(&args, say),
        Command::Collect(args) => accounts::collect(&args, say.lang()),
        Command::Verify(args) => verify::run(&args, say),
        Command::Statement(args) => statement::run(&args, say.lang()),
        Command::Publish(args) => publish::run(&args, say),
    }
}
