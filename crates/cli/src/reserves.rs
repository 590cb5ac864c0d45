//! `kuraban reserves`: attestations asked for, collected into a file, checked by anybody with a node, and set against what is
//! owed. Decides nothing about coins: an attestation moves none.

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
    /// Write a request for an attestation over a fresh challenge
    #[command(after_help = challenge::HELP)]
    Challenge(challenge::Args),
    /// Put finished attestations into one file that anybody can check
    #[command(after_help = prove::HELP)]
    Prove(prove::Args),
    /// Check such a file: signatures, challenge, and every output against the chain
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
        Command::Verify(args) => verify::run(&args, say),
        Command::Statement(args) => statement::run(&args, say.lang()),
        Command::Publish(args) => publish::run(&args, say),
    }
}
