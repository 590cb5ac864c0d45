//! The tool that people use. Decides which command runs and how its outcome becomes an exit status.

mod demo;
mod node;

use std::{io::Write as _, process::ExitCode};

use clap::{Parser, Subcommand};

/// Exit status of what could not be done. Refusals exit with 1, bad usage with 2.
const COULD_NOT: u8 = 3;

/// Guard for the coins that an exchange holds.
#[derive(Parser)]
#[command(name = "kuraban", version)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Show a guarded exchange, a theft, and what came of it.
    Demo(demo::Args),
    /// Measure the demo's exchange.
    #[command(hide = true)]
    Bench(demo::BenchArgs),
    /// A node of the BTC family inside this program, for demos and tests.
    Node {
        #[command(subcommand)]
        node: node::Args,
    },
}

fn main() -> ExitCode {
    let outcome = match Args::parse().command {
        Command::Demo(args) => demo::run(&args, &mut say).map(|score| told(&score)),
        Command::Bench(args) => demo::measure(&args, &mut say).map(|score| told(&score)),
        Command::Node { node } => node::run(node),
    };
    match outcome {
        Ok(status) => status,
        Err(error) => {
            // Without standard error nobody can be told.
            drop(writeln!(std::io::stderr(), "kuraban: {error:#}"));
            ExitCode::from(COULD_NOT)
        }
    }
}

fn say(line: &str) {
    drop(writeln!(std::io::stderr(), "{line}"));
}

fn told(score: &serde_json::Value) -> ExitCode {
    drop(writeln!(std::io::stdout(), "{score}"));
    ExitCode::SUCCESS
}
