//! Kuraban's automation: one command per job, each of which sets up what it needs. Holds no logic of the product.

mod bench;
mod bitcoind;
mod command;
mod demo;
mod deny;
mod say;
mod setup;
mod soak;
mod test;
mod workspace;

use std::process::{Command, ExitCode};

use anyhow::Result;
use clap::{Parser, Subcommand};

use setup::Tool;
use workspace::Workspace;

#[derive(Parser)]
#[command(bin_name = "cargo xtask", about = "Kuraban's automation. Every job sets up what it needs.")]
#[command(
    after_help = "Exit status: 0 done, 1 something was found wrong, 2 wrong usage, 3 could not be done."
)]
struct Args {
    #[command(subcommand)]
    job: Job,
}

#[derive(Subcommand)]
enum Job {
    /// Shows the main job: a guarded exchange, then a theft, then the score.
    #[command(
        after_help = "Examples:\n  cargo xtask demo\n  cargo xtask demo --node bitcoind\n  cargo xtask demo --json | jq ."
    )]
    Demo(demo::Args),
    /// Runs every test.
    Test,
    /// Runs what every change must pass: format, lints, documentation, dependencies, tests (`.ci/run`).
    Ci,
    /// Judges licences, sources and known weaknesses of all dependencies.
    Deny,
    /// Runs the long checks: 10,000 simulator seeds, fuzzing, planted faults, bitcoind, load.
    #[command(after_help = "Example: cargo xtask soak --only seeds,demo")]
    Soak(soak::Args),
    /// Measures, each beside its physical limit; keeps the figures as target/bench/NAME.json.
    #[command(
        after_help = "Examples:\n  cargo xtask bench\n  cargo xtask bench payouts --count 1000\n  cargo xtask bench fsync --json"
    )]
    Bench(bench::Args),
    /// Sees that one tool is on this machine, installs or builds it if not, and prints where it is.
    #[command(after_help = "Example: cargo xtask setup bitcoind")]
    Setup { tool: Tool },
}

/// How a job came out that was carried out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Outcome {
    Good,
    /// Something was found wrong: a test failed, a rule is broken.
    Bad,
}

fn main() -> ExitCode {
    match run(Args::parse().job) {
        Ok(Outcome::Good) => ExitCode::SUCCESS,
        Ok(Outcome::Bad) => ExitCode::from(1),
        Err(error) => {
            say::note(&format!("could not be done: {error:#}"));
            ExitCode::from(3)
        }
    }
}

fn run(job: Job) -> Result<Outcome> {
    let done = |()| Outcome::Good;
    match job {
        Job::Demo(args) => demo::demo(&args).map(done),
        Job::Test => test::test(),
        Job::Ci => ci(),
        Job::Deny => deny::deny(),
        Job::Soak(args) => soak::soak(&args),
        Job::Bench(args) => bench::bench(&args).map(done),
        Job::Setup { tool } => setup::ensure(tool).map(|place| say::answer(&place)).map(done),
    }
}

/// The script is the list of steps, so that a machine without this program can begin with it.
fn ci() -> Result<Outcome> {
    let script = Workspace::read()?.root.join(".ci").join("run");
    Ok(if command::succeeds(&mut Command::new(script))? { Outcome::Good } else { Outcome::Bad })
}
