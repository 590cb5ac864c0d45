//! `kuraban migrate`: customers handed over to another operator, encrypted and signed, and the proof that nothing was lost. Reads,
//! encrypts, signs, writes and prints; what a hand-over is stands in `kuraban-ledger`.

mod address;
mod export;
mod folder;
mod import;
mod pay;
mod plan;
mod publish;
mod verify;

use clap::Subcommand;
use kuraban_base::Amount;
use kuraban_ledger::{Assets, handover::Totals};
use serde_json::{Value, json};

use crate::{
    claims::units_json,
    fail::{Failure, OrFail as _},
    input,
    say::{Answer, Report, Say},
};

/// What to do with a hand-over.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Write customers, balances, addresses, consents and cases for a receiver
    #[command(after_help = export::HELP)]
    Export(export::Args),
    /// Take a hand-over in, whole or not at all
    #[command(after_help = import::HELP)]
    Import(import::Args),
    /// Prove that what was handed over is what arrived
    #[command(after_help = verify::HELP)]
    Verify(verify::Args),
    /// Put a hand-over, or its receipt, into the operator's log
    #[command(after_help = publish::HELP)]
    Publish(publish::Args),
    /// Prove to the sender that an address is yours
    #[command(after_help = address::HELP)]
    Address(address::Args),
    /// Ask for the payout of what was handed over, to the receiver's address
    #[command(after_help = pay::HELP)]
    Pay(pay::Args),
    /// Check and carry out a cut-over plan: freeze, test batch, final batch
    #[command(subcommand, after_help = plan::HELP)]
    Plan(plan::Command),
}

/// Runs `kuraban migrate …`.
pub(crate) fn run(command: Command, say: &Say) -> Result<Report, Failure> {
    let done = match command {
        Command::Export(args) => export::run(&args, say),
        Command::Import(args) => import::run(&args, say),
        Command::Verify(args) => verify::run(&args, say),
        Command::Publish(args) => publish::run(&args, say),
        Command::Address(args) => address::run(&args, say),
        Command::Pay(args) => pay::run(&args, say),
        Command::Plan(command) => plan::run(&command, say),
    };
    match done {
        Ok(report) => Ok(report),
        Err(Stop::Failed(failure)) => Err(failure),
        Err(Stop::Refused(problem)) => {
            let lang = say.lang();
            let text = format!("{}: {problem}", lang.pick("not accepted", "受理しません"));
            Ok(Report::new(Answer::No, &json!({ "ok": false, "error": problem }), text))
        }
    }
}

/// Why there is no report of something done.
enum Stop {
    /// The hand-over is not what it says it is: an answer.
    Refused(String),
    /// There is no answer.
    Failed(Failure),
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// Says of what is refused where it stands.
trait OrRefuse<T> {
    fn or_refuse(self, place: impl core::fmt::Display) -> Result<T, Stop>;
}

impl<T, E: core::fmt::Display> OrRefuse<T> for Result<T, E> {
    fn or_refuse(self, place: impl core::fmt::Display) -> Result<T, Stop> {
        self.map_err(|problem| Stop::Refused(format!("{place}: {problem:#}")))
    }
}

/// An asset on the command line that is not among the well-known ones.
#[derive(clap::Args)]
pub(crate) struct Known {
    /// An asset that is not well known, and its decimals
    #[arg(long = "asset", value_name = "CODE=DECIMALS", value_parser = input::asset)]
    assets: Vec<(String, u8)>,
}

impl Known {
    fn assets(&self) -> Result<Assets, Failure> {
        with(self.assets.iter().map(|(code, decimals)| (code.as_str(), *decimals)), "--asset")
    }
}

/// The well-known assets and these.
fn with<'a>(more: impl Iterator<Item = (&'a str, u8)>, what: &str) -> Result<Assets, Failure> {
    let mut assets = Assets::default();
    for (code, decimals) in more {
        assets.add(code, decimals).or_input(what)?;
    }
    Ok(assets)
}

/// The assets of a manifest.
fn of_totals(totals: &Totals, more: &Known) -> Result<Assets, Failure> {
    let both = totals.iter().map(|(code, (decimals, _))| (code.as_str(), *decimals));
    let more = more.assets.iter().map(|(code, decimals)| (code.as_str(), *decimals));
    with(both.chain(more), "assets of the manifest and --asset")
}

/// Totals that are something, as JSON.
fn totals_json(totals: &Totals) -> Vec<Value> {
    let some = totals.iter().filter(|(_, (_, units))| *units > Amount::ZERO);
    some.map(|(code, (_, units))| json!({ "asset": code, "units": units_json(code, *units) })).collect()
}

/// Totals that are something, a line each.
fn totals_text(totals: &Totals) -> String {
    let some = totals.iter().filter(|(_, (_, units))| *units > Amount::ZERO);
    some.map(|(code, (decimals, units))| format!("  {} {code}\n", units.to_coins(*decimals))).collect()
}
