//! `kuraban`, the tool that people use: to look at transactions, to judge as a signer would, to ask for payouts and
//! approve them, to verify the log, to index
//! a chain, to run an embedded node. Parses the command line and hands on; decides nothing itself.

mod approve;
mod asking;
mod books;
mod charter;
mod claims;
mod classify;
mod cluster;
mod demo;
mod fail;
mod file;
mod funding;
mod holdings;
mod http;
mod index;
mod ink;
mod input;
mod ja;
mod journal;
mod judge;
mod key;
mod liabilities;
mod log;
mod look;
mod loss;
mod migrate;
mod node;
mod order;
mod payout;
mod publish;
mod request;
mod reserves;
mod say;
mod sim;
mod tags;
mod trace;
mod transfers;
mod tx;
mod value;
mod writer;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use clap_complete::Shell;

use crate::{
    fail::{Failure, OrFail as _},
    say::{Lang, Report, Say},
};

/// Guards the coins that an exchange holds.
#[derive(Parser)]
#[command(name = "kuraban", version, propagate_version = true, after_help = EXIT_STATUS)]
struct Args {
    /// Print one JSON document instead of text
    #[arg(long, global = true, display_order = 900)]
    json: bool,
    /// Language of the text; without it, LC_ALL, LC_MESSAGES or LANG decides
    #[arg(long, global = true, value_enum, display_order = 901)]
    lang: Option<Lang>,
    #[command(subcommand)]
    command: Command,
}

const EXIT_STATUS: &str =
    "Exit status: 0 done, 1 refused or not verified, 2 bad usage or input,\n3 could not be done.";

#[derive(Subcommand)]
enum Command {
    /// Look at transactions
    #[command(subcommand)]
    Tx(tx::Command),
    /// Judge a transaction for a payout as a signer does, from files
    Judge(judge::Args),
    /// Ask for a payout
    Request(request::Args),
    /// Show a payout and approve it
    Approve(approve::Args),
    /// Open the breaker again, or let a signer resume, as a quorum
    #[command(subcommand)]
    Order(order::Command),
    /// Build, extend and describe the index of a chain's transactions
    #[command(subcommand)]
    Index(index::Command),
    /// Verify the log, prove that an entry stands in it
    #[command(subcommand)]
    Log(log::Command),
    /// Show what the vaults can spend, check what is shown, set it against what is owed
    #[command(subcommand)]
    Reserves(reserves::Command),
    /// Publish what is owed to customers, and show each that it is counted
    #[command(subcommand)]
    Liabilities(liabilities::Command),
    /// Which addresses one holder controls, and which transactions say so
    #[command(after_help = cluster::HELP)]
    Cluster(cluster::Args),
    /// Say where stolen units are now, from an index or a list of transfers
    Trace(trace::Args),
    /// Make lists of transfers on chains of accounts
    #[command(subcommand)]
    Transfers(transfers::Command),
    /// Say what transactions look like: mixes, peels, consolidations, dispersals
    #[command(after_help = classify::HELP)]
    Classify(classify::Args),
    /// Take in, check, write and look up tags of addresses
    #[command(subcommand)]
    Tags(tags::Command),
    /// Keep double-entry books of customers, and say who held what
    #[command(subcommand)]
    Books(books::Command),
    /// Say what coins were worth, by rules over tapes of trades
    #[command(after_help = value::HELP)]
    Value(value::Args),
    /// Show a loss statement with its versions side by side
    #[command(after_help = loss::HELP)]
    Loss(loss::Args),
    /// Compute what customers are compensated with
    #[command(subcommand)]
    Claims(claims::Command),
    /// Lay what making whole costs against the money for it, by date
    #[command(after_help = funding::HELP)]
    Funding(funding::Args),
    /// Hand customers over to another operator, and prove that nothing was lost
    #[command(subcommand)]
    Migrate(migrate::Command),
    /// Make up chains with thefts of which the truth is known
    #[command(subcommand)]
    Sim(sim::Command),
    /// Show a guarded exchange on a real node, a theft, and what came of it
    #[command(after_help = "Example:\n  kuraban demo --node litecoind")]
    Demo(demo::Args),
    /// Measure the demo's exchange
    #[command(hide = true)]
    Bench(demo::BenchArgs),
    /// A node of the BTC family inside this program, for demos and tests
    Node {
        #[command(subcommand)]
        node: node::Args,
    },
    /// Print completions for a shell
    #[command(after_help = "Example:\n  kuraban completions bash > /etc/bash_completion.d/kuraban")]
    Completions {
        /// For which shell
        shell: Shell,
    },
}

fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(problem) => return say::usage(&problem),
    };
    let say = Say::new(args.json, args.lang);
    let outcome = fail::whole(|| run(args.command, &say));
    say.end(outcome)
}

fn run(command: Command, say: &Say) -> Result<Report, Failure> {
    match command {
        Command::Tx(command) => tx::run(command),
        Command::Judge(args) => judge::run(&args, say.lang()),
        Command::Request(args) => request::run(&args, say),
        Command::Approve(args) => approve::run(&args, say),
        Command::Order(command) => order::run(command, say),
        Command::Index(command) => index::run(command, say),
        Command::Liabilities(command) => liabilities::run(command, say),
        Command::Log(command) => log::run(command, say),
        Command::Reserves(command) => reserves::run(command, say),
        Command::Cluster(args) => cluster::run(&args, say),
        Command::Trace(args) => trace::run(&args, say),
        Command::Transfers(command) => transfers::run(command, say),
        Command::Classify(args) => classify::run(&args, say),
        Command::Tags(command) => tags::run(command, say),
        Command::Books(command) => books::run(command, say),
        Command::Value(args) => value::run(&args, say),
        Command::Loss(args) => loss::run(&args, say.lang()),
        Command::Claims(command) => claims::run(command, say),
        Command::Funding(args) => funding::run(&args, say),
        Command::Migrate(command) => migrate::run(command, say),
        Command::Sim(command) => sim::run(command, say),
        // A timeline that nobody reads is no reason to stop. To people it is the answer, so there is no more to say.
        Command::Demo(args) => {
            staged(demo::run(&args, &mut |line| drop(say.tell(line)))).map(|score| Report::done(&score, ""))
        }
        Command::Bench(args) => staged(demo::measure(&args, &mut |line| drop(say.show(line))))
            .map(|figures| Report::done(&figures, figures.to_string())),
        Command::Node { node } => node::run(node, say),
        Command::Completions { shell } => Ok(completions(shell)),
    }
}

/// What a demo or a measurement found.
fn staged(score: anyhow::Result<serde_json::Value>) -> Result<serde_json::Value, Failure> {
    score.or_undone("it could not be played to its end")
}

fn completions(shell: Shell) -> Report {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Args::command(), "kuraban", &mut script);
    let script = String::from_utf8_lossy(&script).into_owned();
    Report::done(&serde_json::json!({ "shell": shell.to_string(), "script": script }), script.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Args::command().debug_assert();
    }

    /// Longer lines are wrapped on a common terminal, and then an example cannot be copied.
    #[test]
    fn what_follows_the_options_fits_a_terminal() {
        let mut commands = vec![Args::command()];
        let mut seen = 0;
        while let Some(command) = commands.pop() {
            let words = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            for line in words.lines() {
                assert!(line.chars().count() <= 78, "{}: {line}", command.get_name());
                seen += 1;
            }
            commands.extend(command.get_subcommands().cloned());
        }
        assert!(seen > 20, "{seen}");
    }
}
