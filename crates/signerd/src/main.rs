//! `kuraban-signerd`: the process around [`kuraban_vault::signer::Signer`]. It reads files, clocks and random bytes,
//! keeps the store, and carries messages; what may be signed is decided in the vault crate alone.
//!
//! Crash-only: it is stopped by killing it, at any moment. Nothing leaves that is not on disk.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

mod charter;
mod config;
mod drive;
mod json;
mod keygen;
mod log;
mod secret;
mod serve;
mod store;

use std::{
    error::Error,
    ffi::OsString,
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use crate::{charter::Setup, config::Config, log::Level};

const USAGE: &str = "\
usage: kuraban-signerd COMMAND --config FILE [--json]

commands:
  keygen  makes the secret files that the configuration names and that are not there yet, and prints their public halves
  init    creates the store; a store that is there is left alone, and that is an error
  run     follows the log, judges, gives receipts and signs, until it is killed

exit status: 0 done, 2 bad usage or input, 3 could not be done
";

/// What was asked for on the command line.
#[derive(Debug, PartialEq, Eq)]
enum Command {
    Help,
    Version,
    Keygen { config: PathBuf, json: bool },
    Init { config: PathBuf, json: bool },
    Run { config: PathBuf },
}

/// Why the process ends without having done what was asked.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("{0}")]
    Usage(String),
    #[error(transparent)]
    Config(#[from] config::ConfigError),
    #[error(transparent)]
    Secret(#[from] secret::SecretError),
    #[error(transparent)]
    Charter(#[from] charter::CharterError),
    #[error(transparent)]
    Store(#[from] store::StoreError),
    #[error(transparent)]
    Link(#[from] kuraban_link::LinkError),
    #[error(transparent)]
    Drive(#[from] drive::DriveError),
    #[error("cannot write to standard output")]
    Output(#[source] io::Error),
}

impl Failure {
    /// 2 for what the operator gave, 3 for what the system did.
    const fn status(&self) -> u8 {
        match self {
            Self::Usage(_) | Self::Config(_) | Self::Charter(_) => 2,
            Self::Secret(problem) => problem.status(),
            Self::Store(problem) => problem.status(),
            Self::Link(_) | Self::Drive(_) | Self::Output(_) => 3,
        }
    }
}

fn main() -> ExitCode {
    let failure = match command(std::env::args_os().skip(1)).and_then(|command| execute(&command)) {
        Ok(()) => return ExitCode::SUCCESS,
        Err(failure) => failure,
    };
    log::line(Level::Error, "stopped", &[("problem", &told(&failure))]);
    if let Failure::Usage(_) = failure {
        // Without a working standard error there is nobody left to tell.
        io::stderr().write_all(USAGE.as_bytes()).unwrap_or_default();
    }
    ExitCode::from(failure.status())
}

fn command(mut arguments: impl Iterator<Item = OsString>) -> Result<Command, Failure> {
    let usage = |problem: String| Failure::Usage(problem);
    let word = arguments.next().ok_or_else(|| usage("no command was given".to_owned()))?;
    let (mut config, mut json) = (None, false);
    while let Some(argument) = arguments.next() {
        match argument.to_str() {
            Some("--config") if config.is_none() => {
                config = Some(arguments.next().ok_or_else(|| usage("--config wants a file".to_owned()))?);
            }
            Some("--json") => json = true,
            Some(_) | None => return Err(usage(format!("{} was not expected", argument.display()))),
        }
    }
    let config = || config.map(PathBuf::from).ok_or_else(|| usage("--config FILE is missing".to_owned()));
    match word.to_str() {
        Some("help" | "--help" | "-h") => Ok(Command::Help),
        Some("--version" | "-V") => Ok(Command::Version),
        Some("keygen") => Ok(Command::Keygen { config: config()?, json }),
        Some("init") => Ok(Command::Init { config: config()?, json }),
        Some("run") if json => Err(usage("run logs JSON lines anyway, so it takes no --json".to_owned())),
        Some("run") => Ok(Command::Run { config: config()? }),
        Some(_) | None => Err(usage(format!("command {} is not known", word.display()))),
    }
}

fn execute(command: &Command) -> Result<(), Failure> {
    match command {
        Command::Help => print(USAGE),
        Command::Version => print(concat!("kuraban-signerd ", env!("CARGO_PKG_VERSION"), "\n")),
        Command::Keygen { config, json } => {
            let keys = keygen::keygen(&Config::read(config)?)?;
            print(&if *json { keys.to_json() } else { keys.to_toml() })
        }
        Command::Init { config, json } => init(config, *json),
        Command::Run { config } => run(config),
    }
}

fn init(config: &Path, json: bool) -> Result<(), Failure> {
    let config = Config::read(config)?;
    let setup = Setup::read(&config)?;
    store::Store::create(&config.store, &setup.binding())?;
    let (machine, store) = (config.machine.as_str(), config.store.display().to_string());
    let (roster, policy) =
        (setup.charter.roster().hash().to_string(), setup.charter.policy().hash().to_string());
    print(&if json {
        let fields = [("machine", machine), ("store", &store), ("roster", &roster), ("policy", &policy)];
        format!("{}\n", json::object(fields.map(|(name, value)| (name, json::text(value)))))
    } else {
        format!("created {store} for {machine}\nroster {roster}\npolicy {policy}\n")
    })
}

fn run(config: &Path) -> Result<(), Failure> {
    let config = Config::read(config)?;
    let setup = Setup::read(&config)?;
    let store = store::Store::open(&config.store, &setup.binding())?;
    let peers = setup.peers();
    let identity = setup.identity;
    let signer = drive::restore(config.machine, setup.charter, setup.secrets, &store)?;
    let jobs = serve::serve(config.listen, &identity, peers)?;
    match drive::drive(signer, store, &jobs)? {}
}

fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(Failure::Output)
}

/// An error with its causes, outermost first.
fn told(failure: &dyn Error) -> String {
    let mut text = failure.to_string();
    let mut cause = failure.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(inner.to_string().trim_end());
        cause = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_lines_are_taken_or_refused_by_name() {
        let check = |line: &str, want: Result<Command, &str>| {
            let got = command(line.split_whitespace().map(OsString::from));
            assert_eq!(got.map_err(|problem| problem.to_string()), want.map_err(str::to_owned), "{line}");
        };
        let config = || PathBuf::from("s.toml");
        check("run --config s.toml", Ok(Command::Run { config: config() }));
        check("init --config s.toml", Ok(Command::Init { config: config(), json: false }));
        check("keygen --json --config s.toml", Ok(Command::Keygen { config: config(), json: true }));
        check("--help", Ok(Command::Help));
        check("--version", Ok(Command::Version));
        check("", Err("no command was given"));
        check("run", Err("--config FILE is missing"));
        check("run --config", Err("--config wants a file"));
        check("run --config s.toml --json", Err("run logs JSON lines anyway, so it takes no --json"));
        check("run --config s.toml --config t.toml", Err("--config was not expected"));
        check("run s.toml", Err("s.toml was not expected"));
        check("start --config s.toml", Err("command start is not known"));
    }
}
