//! Kuraban's automation: one command per job, each of which sets up what it needs. Holds no logic of the product.

mod bitcoind;
mod command;
mod say;
mod setup;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use setup::Tool;

#[derive(Parser)]
#[command(bin_name = "cargo xtask", about = "Kuraban's automation. Every job sets up what it needs.")]
struct Args {
    #[command(subcommand)]
    job: Job,
}

#[derive(Subcommand)]
enum Job {
    /// Sees that one tool is on this machine, installs or builds it if not, and prints where it is.
    #[command(after_help = "Example: cargo xtask setup bitcoind")]
    Setup { tool: Tool },
}

/// 0 done, 2 wrong usage (clap's own), 3 could not be done.
fn main() -> ExitCode {
    match run(Args::parse().job) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say::note(&format!("could not be done: {error:#}"));
            ExitCode::from(3)
        }
    }
}

fn run(job: Job) -> Result<()> {
    match job {
        Job::Setup { tool } => say::answer(&setup::ensure(tool)?),
    }
    Ok(())
}
