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
        after_help = "Examples:\n  cargo xtask demo\n  cargo xtask demo --node bitcoind\n  cargo xtask demo --keep\n  cargo xtask demo --json | jq ."
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
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(problem) => return usage(&problem),
    };
    let json = args.job.answers_json();
    match run(args.job) {
        Ok(Outcome::Good) => ExitCode::SUCCESS,
        Ok(Outcome::Bad) => ExitCode::from(1),
        Err(error) => {
            if json {
                say::answer(&serde_json::json!({ "error": format!("{error:#}") }).to_string());
            }
            say::note(&format!("could not be done: {error:#}"));
            ExitCode::from(3)
        }
    }
}

/// Answers a command line that cannot be used: clap's words, and with `--json` the problem alone on standard output.
fn usage(problem: &clap::Error) -> ExitCode {
    // Where nobody reads on there is nowhere left to say so.
    drop(problem.print());
    if !problem.use_stderr() {
        return ExitCode::SUCCESS;
    }
    if std::env::args_os().take_while(|arg| arg != "--").any(|arg| arg == "--json") {
        let text = problem.to_string();
        let first = text.split("\n\n").next().unwrap_or_default();
        let words = first.split_whitespace().collect::<Vec<_>>().join(" ");
        let error = words.strip_prefix("error: ").unwrap_or(&words);
        say::answer(&serde_json::json!({ "error": error }).to_string());
    }
    ExitCode::from(2)
}

impl Job {
    /// Whether its answer is to be JSON.
    const fn answers_json(&self) -> bool {
        match self {
            Self::Demo(args) => args.json,
            Self::Bench(args) => args.json,
            Self::Test | Self::Ci | Self::Deny | Self::Soak(_) | Self::Setup { .. } => false,
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
