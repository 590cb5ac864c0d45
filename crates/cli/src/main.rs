//! The tool that people use. Decides which command runs and how its outcome becomes an exit status.

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
    /// A node of the BTC family inside this program, for demos and tests.
    Node {
        #[command(subcommand)]
        node: node::Args,
    },
}

fn main() -> ExitCode {
    let outcome = match Args::parse().command {
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
