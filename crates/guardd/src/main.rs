//! The command line of the daemon. Decides which role is set up or run, and nothing else.

use std::{
    convert::Infallible,
    error::Error,
    io::{self, Write as _},
    panic,
    path::PathBuf,
    process::{self, ExitCode},
};

use clap::{Parser, Subcommand, ValueEnum};
use kuraban_guardd::{chase, gate, guard, log, screen, watch};

/// The daemon of Kuraban: guard, watch, gate, screen or chase.
///
/// Exit status: 0 done, 2 bad usage or input, 3 could not be done.
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
    /// Says what is known of addresses, from tags.
    Screen,
    /// Follows a chain and thefts on it, and signs the feed of tags.
    Chase,
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

/// An exit status and why.
struct Failure(u8, Box<dyn Error>);

fn main() -> ExitCode {
    let Args { role, step } = Args::parse();
    let log = match log::start() {
        Ok(log) => log,
        Err(problem) => return ended(&Failure(3, Box::new(problem))),
    };
    let failure = match execute(role, step) {
        Ok(text) => return print(&text),
        Err(failure) => failure,
    };
    log.flush();
    ended(&failure)
}

fn execute(role: Role, step: Step) -> Result<String, Failure> {
    let guard = |problem: guard::GuardError| Failure(problem.status(), Box::new(problem));
    let watch = |problem: watch::WatchError| Failure(problem.status(), Box::new(problem));
    let gate = |problem: gate::GateError| Failure(problem.status(), Box::new(problem));
    let screen = |problem: screen::ScreenError| Failure(problem.status(), Box::new(problem));
    let chase = |problem: chase::ChaseError| Failure(problem.status(), Box::new(problem));
    match (role, step) {
        (Role::Chase, Step::Init { config }) => chase::init(&config).map_err(chase),
        (Role::Chase, Step::Run { config }) => runs(|| chase::run(&config).map_err(chase)),
        (Role::Screen, Step::Init { config }) => screen::init(&config).map_err(screen),
        (Role::Screen, Step::Run { config }) => runs(|| screen::run(&config).map_err(screen)),
        (Role::Watch, Step::Init { config }) => watch::init(&config).map_err(watch),
        (Role::Gate, Step::Init { config }) => gate::init(&config).map_err(gate),
        (Role::Watch, Step::Run { config }) => runs(|| watch::run(&config).map_err(watch)),
        (Role::Gate, Step::Run { config }) => runs(|| gate::run(&config).map_err(gate)),
        (Role::Guard, Step::Init { config }) => guard::init(&config).map_err(guard),
        (Role::Guard, Step::Run { config }) => runs(|| guard::run(&config).map_err(guard)),
    }
}

/// Runs a role. A thread that panics has broken what the others rely on, so it ends the process.
fn runs(role: impl FnOnce() -> Result<Infallible, Failure>) -> Result<String, Failure> {
    let told = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        told(panic);
        process::exit(3);
    }));
    role().map(|never| match never {})
}

fn print(text: &str) -> ExitCode {
    match io::stdout().lock().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => ended(&Failure(3, Box::new(problem))),
    }
}

fn ended(Failure(status, problem): &Failure) -> ExitCode {
    let line = serde_json::json!({
        "at": kuraban_guardd::clock::wall().ms(), "level": "error", "event": "stopped",
        "problem": log::told(problem.as_ref()),
    });
    // Without a working standard error there is nobody left to tell.
    drop(writeln!(io::stderr(), "{line}"));
    ExitCode::from(*status)
}
