//! The command line of the daemon. Decides which role is set up or run, and nothing else.

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};

/// The daemon of Kuraban: guard, watch or gate.
#[derive(Parser)]
#[command(name = "kuraban-guardd", version)]
struct Args {
    /// What this process is.
    role: Role,
    #[command(subcommand)]
    step: Step,
}

#[derive(Clone, Copy, ValueEnum)]
enum Role {
    /// Takes payouts, has them approved and signed, writes the log.
    Guard,
    /// Follows the chain and the log, raises alarms, signs permits and leases.
    Watch,
    /// Answers gateways from the watchers' permits.
    Gate,
}

#[derive(Subcommand)]
enum Step {
    /// Creates what the role keeps on disk. Only this creates; `run` never does.
    Init {
        /// The role's configuration.
        #[arg(long)]
        config: PathBuf,
    },
    /// Runs the role until it is stopped.
    Run {
        /// The role's configuration.
        #[arg(long)]
        config: PathBuf,
    },
}

fn main() -> anyhow::Result<()> {
    let Args { role, step } = Args::parse();
    let name = match role {
        Role::Guard => "guard",
        Role::Watch => "watch",
        Role::Gate => "gate",
    };
    let (Step::Init { config } | Step::Run { config }) = step;
    anyhow::bail!("role {name} is not part of this version, configuration {} was not read", config.display())
}
