//! Runs the tests with what they need: the real nodes, the web server, the simulator's seeds.

use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use anyhow::Result;

use crate::command::{cargo, path_with_daemons, succeeds};
use crate::setup::{
    Runner, WASM, brought_anvil, ensure_litecoind, ensure_nextest, ensure_nginx, ensure_readers, has_wasm,
};
use crate::workspace::Workspace;
use crate::{Outcome, bitcoind, say};

/// Seeds of the simulator in every run of the tests; `cargo xtask soak` takes more.
const SEEDS: u32 = 830;

/// What tests find in their environment.
pub(crate) struct Surroundings {
    pub(crate) litecoind: PathBuf,
    /// Only if it was built before: tests do not wait for that.
    pub(crate) bitcoind: Option<PathBuf>,
    /// Only if it was brought before.
    pub(crate) anvil: Option<PathBuf>,
    pub(crate) seeds: u32,
}

impl Surroundings {
    /// Tells a test runner where the nodes are and how many seeds to take.
    pub(crate) fn tell(&self, command: &mut Command) {
        command.env("PATH", path_with_daemons()).env("KURABAN_SEEDS", self.seeds.to_string());
        command.env("KURABAN_LITECOIND", &self.litecoind);
        if let Some(bitcoind) = &self.bitcoind {
            command.env("KURABAN_BITCOIND", bitcoind);
        }
        if let Some(anvil) = &self.anvil {
            command.env("KURABAN_ANVIL", anvil);
        }
    }
}

/// Runs every test of the workspace and the examples in its documentation.
pub(crate) fn test() -> Result<Outcome> {
    let begun = Instant::now();
    let anvil = brought_anvil(&Workspace::read()?);
    let bitcoind = bitcoind::built()?;
    let surroundings = Surroundings { litecoind: ensure_litecoind()?, bitcoind, anvil, seeds: SEEDS };
    ensure_nginx()?;
    if let Err(error) = ensure_readers() {
        say::note(&format!("{error:#}; tests that read reports in a browser or as PDF files are skipped"));
    }
    let runner = ensure_nextest();
    if surroundings.bitcoind.is_none() {
        say::note("tests on bitcoind are skipped: it is not built; `cargo xtask setup bitcoind` builds it");
    }
    if surroundings.anvil.is_none() {
        say::note("tests on anvil are skipped: it is not here; `cargo xtask setup anvil` brings it");
    }

    say::step(&format!("tests of the workspace, {SEEDS} simulator seeds among them"));
    let mut tests = runner.command("default", &["--workspace"]);
    surroundings.tell(&mut tests);
    let tests_pass = succeeds(&mut tests)?;

    let browser_builds = if has_wasm() {
        say::step("the customer's verifier, for a browser");
        succeeds(cargo().args(["build", "--quiet", "-p", "kuraban-inclusion", "--target", WASM]))?
    } else {
        say::note(&format!("kuraban-inclusion is not built for {WASM}: `cargo xtask setup wasm` brings it"));
        true
    };

    say::step("examples in the documentation");
    let examples_pass = succeeds(cargo().args(["test", "--quiet", "--doc", "--workspace"]))?;

    let took = say::span(begun.elapsed());
    let word = |pass| if pass { "passed" } else { "FAILED" };
    say::answer(&format!("tests {}, examples {}, after {took}", word(tests_pass), word(examples_pass)));
    if !browser_builds {
        say::note(&format!("kuraban-inclusion does not build for {WASM}"));
    }
    Ok(if tests_pass && browser_builds && examples_pass { Outcome::Good } else { Outcome::Bad })
}

impl Runner {
    /// The option that names a profile of `Cargo.toml`.
    pub(crate) const fn profile_option(self) -> &'static str {
        match self {
            Self::Nextest => "--cargo-profile",
            Self::CargoTest => "--profile",
        }
    }

    /// The command that runs tests of the chosen packages, under a profile of `.config/nextest.toml`.
    pub(crate) fn command(self, profile: &str, packages: &[&str]) -> Command {
        let mut command = cargo();
        match self {
            Self::Nextest => command.args(["nextest", "run", "--profile", profile]),
            // Examples in the documentation are a run of their own.
            Self::CargoTest => command.args(["test", "--no-fail-fast", "--lib", "--bins", "--tests"]),
        };
        command.args(packages);
        command
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::line;

    #[test]
    fn both_runners_run_the_same_packages() {
        let args = |runner: Runner| line(&runner.command("soak", &["-p", "kuraban-sim"]));
        assert!(args(Runner::Nextest).ends_with(" nextest run --profile soak -p kuraban-sim"));
        assert!(
            args(Runner::CargoTest).ends_with(" test --no-fail-fast --lib --bins --tests -p kuraban-sim")
        );
    }

    #[test]
    fn tests_are_told_where_the_nodes_are() {
        let mut command = Command::new("env");
        Surroundings { litecoind: "/a/litecoind".into(), bitcoind: None, anvil: None, seeds: 7 }
            .tell(&mut command);
        let said = crate::command::output(&mut command).unwrap();
        assert!(
            said.contains("KURABAN_LITECOIND=/a/litecoind\n") && said.contains("KURABAN_SEEDS=7\n"),
            "{said}"
        );
        let path = said.lines().find_map(|line| line.strip_prefix("PATH=")).unwrap();
        assert!(path.split(':').any(|folder| folder == "/usr/sbin"), "{path}");
    }
}
