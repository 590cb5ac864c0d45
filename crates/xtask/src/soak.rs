//! The long checks, one after the other, with how long each took. A check whose tool is not on this machine is
//! said not to have run; it is never counted as passed.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::command::{cargo, output, path_with_daemons, status, succeeds};
use crate::setup::{
    Runner, ensure_anvil, ensure_cargo_fuzz, ensure_cargo_mutants, ensure_litecoind, ensure_nextest,
    ensure_nginx,
};
use crate::test::Surroundings;
use crate::workspace::Workspace;
use crate::{Outcome, bitcoind, say};

/// Seeds of the simulator.
const SEEDS: u32 = 10_000;

/// Payouts under load, each of 0.1 and its fee: the policy that is measured lets 200 leave in a day.
const LOAD_PAYOUTS: u32 = 1_900;

/// How cargo-mutants ends when every fault was noticed, some of them because the tests hung (its book, "Exit codes").
const HUNG: i32 = 3;

/// Crates whose tests must notice a planted fault: those that decide about money.
const MUTATED: [&str; 3] = ["kuraban-base", "kuraban-proof", "kuraban-vault"];

#[derive(Clone, PartialEq, Eq, Debug, clap::Args)]
pub(crate) struct Args {
    /// Only these checks.
    #[arg(long, value_delimiter = ',')]
    only: Vec<Check>,
    /// How long each fuzz target runs.
    #[arg(long, value_name = "MINUTES", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..))]
    fuzz_minutes: u64,
    /// Of the planted faults only part K of N, K from 0: all of them take hours.
    #[arg(long, value_name = "K/N", value_parser = part)]
    mutants_part: Option<String>,
}

/// A part such as `0/8`.
fn part(text: &str) -> Result<String, String> {
    let number = |text: &str| text.parse::<u32>().ok();
    match text.split_once('/').and_then(|(k, n)| Some((number(k)?, number(n)?))) {
        Some((k, n)) if k < n => Ok(text.to_owned()),
        Some(_) | None => Err("want K/N with K below N, such as 0/8".to_owned()),
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub(crate) enum Check {
    /// 10,000 seeds of the simulator.
    Seeds,
    /// The tests that speak to nodes, on bitcoind too.
    Nodes,
    /// Every fuzz target.
    Fuzz,
    /// Planted faults that the tests must notice.
    Mutants,
    /// The demo on bitcoind.
    Demo,
    /// Many payouts at once.
    Load,
}

/// How the tests are built. What takes many runs is worth a longer build; what starts the daemons takes those that the
/// plain build made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Build {
    Plain,
    Optimised,
}

enum Finding {
    Passed,
    Failed,
    DidNotRun(&'static str),
}

/// Runs the checks and prints one line for each.
pub(crate) fn soak(args: &Args) -> Result<Outcome> {
    let workspace = Workspace::read()?;
    let all = [Check::Seeds, Check::Nodes, Check::Fuzz, Check::Mutants, Check::Demo, Check::Load];
    let chosen = if args.only.is_empty() { &all[..] } else { &args.only };
    let mut lines = Vec::new();
    let mut outcome = Outcome::Good;
    for check in chosen {
        say::step(check.title());
        let begun = Instant::now();
        // One check that could not be carried out does not keep the others from running.
        let finding = check.run(&workspace, args).unwrap_or_else(|error| {
            say::note(&format!("{error:#}"));
            Finding::Failed
        });
        if matches!(finding, Finding::Failed) {
            outcome = Outcome::Bad;
        }
        lines.push(line(*check, &finding, begun.elapsed()));
    }
    say::answer(&lines.join("\n"));
    Ok(outcome)
}

fn line(check: Check, finding: &Finding, took: Duration) -> String {
    let title = check.title();
    match finding {
        Finding::Passed => format!("passed       {title}, {}", say::span(took)),
        Finding::Failed => format!("FAILED       {title}, {}", say::span(took)),
        Finding::DidNotRun(why) => format!("did not run  {title}: {why}"),
    }
}

impl Check {
    const fn title(self) -> &'static str {
        match self {
            Self::Seeds => "10,000 simulator seeds",
            Self::Nodes => "tests on litecoind and bitcoind",
            Self::Fuzz => "fuzzing",
            Self::Mutants => "planted faults",
            Self::Demo => "demo on bitcoind",
            Self::Load => "1,900 payouts under load",
        }
    }

    fn run(self, workspace: &Workspace, args: &Args) -> Result<Finding> {
        match self {
            Self::Seeds => tests(workspace, &["kuraban-sim"], Build::Optimised),
            Self::Nodes => tests(workspace, &["kuraban-node", "kuraban-guardd", "kuraban-cli"], Build::Plain),
            Self::Fuzz => fuzz(workspace, args.fuzz_minutes),
            Self::Mutants => mutants(workspace, args.mutants_part.as_deref()),
            Self::Demo => own(workspace, &["demo", "--node", "bitcoind", "--json"]),
            Self::Load => own(workspace, &["bench", "payouts", "--count", &LOAD_PAYOUTS.to_string()]),
        }
    }
}

fn finding(pass: bool) -> Finding {
    if pass { Finding::Passed } else { Finding::Failed }
}

/// The tests of some members, with all seeds and both nodes.
fn tests(workspace: &Workspace, members: &[&str], build: Build) -> Result<Finding> {
    if !members.iter().all(|member| workspace.has_member(member)) {
        return Ok(Finding::DidNotRun("a crate is not in this workspace"));
    }
    let bitcoind = Some(bitcoind::ensure_bitcoind()?);
    let litecoind = ensure_litecoind()?;
    let anvil = Some(ensure_anvil(workspace)?);
    let surroundings = Surroundings { litecoind, bitcoind, anvil, seeds: SEEDS };
    ensure_nginx()?;
    let runner = ensure_nextest();
    let chosen: Vec<&str> = members.iter().flat_map(|member| ["-p", member]).collect();
    let mut command = runner.command("soak", &chosen);
    if build == Build::Optimised {
        command.args([runner.profile_option(), "soak"]);
    }
    surroundings.tell(&mut command);
    Ok(finding(succeeds(command.current_dir(&workspace.root))?))
}

fn fuzz(workspace: &Workspace, minutes: u64) -> Result<Finding> {
    let folder = workspace.root.join("fuzz");
    if !folder.is_dir() {
        return Ok(Finding::DidNotRun("there are no fuzz targets"));
    }
    let toolchains = output(Command::new("rustup").args(["toolchain", "list"])).unwrap_or_default();
    if !toolchains.lines().any(|line| line.starts_with("nightly")) {
        return Ok(Finding::DidNotRun("there is no nightly toolchain"));
    }
    ensure_cargo_fuzz()?;
    let mut pass = true;
    for target in targets(&folder)? {
        say::note(&format!("target {target}, {minutes} min"));
        // What is found goes beside the build; the corpora in the repository are read only.
        let found = workspace.target.join("fuzz").join(&target);
        std::fs::create_dir_all(&found).with_context(|| format!("could not make {}", found.display()))?;
        let mut command = Command::new("rustup");
        command.args(["run", "nightly", "cargo", "fuzz", "run", &target]).arg(&found);
        command.arg(folder.join("corpus").join(&target));
        command.args(["--", "-verbosity=0", &format!("-max_total_time={}", minutes.saturating_mul(60))]);
        // The pinned toolchain of this run must not win over the nightly one.
        command.env_remove("RUSTUP_TOOLCHAIN").env_remove("CARGO").current_dir(&workspace.root);
        pass &= succeeds(&mut command)?;
    }
    Ok(finding(pass))
}

/// The names of the fuzz targets, in order.
fn targets(folder: &Path) -> Result<Vec<String>> {
    let sources = folder.join("fuzz_targets");
    let files = sources.read_dir().with_context(|| format!("could not read {}", sources.display()))?;
    let stem = |file: std::fs::DirEntry| Some(file.path().file_stem()?.to_str()?.to_owned());
    let mut names: Vec<String> = files.flatten().filter_map(stem).collect();
    names.sort_unstable();
    Ok(names)
}

fn mutants(workspace: &Workspace, part: Option<&str>) -> Result<Finding> {
    ensure_cargo_mutants()?;
    let mut command = cargo();
    command
        .args(["mutants", "--jobs", "2", "--no-shuffle", "--profile", "mutants", "--output"])
        .arg(&workspace.target);
    match ensure_nextest() {
        Runner::Nextest => command.args(["--test-tool", "nextest"]).env("NEXTEST_PROFILE", "mutants"),
        Runner::CargoTest => &mut command,
    };
    if let Some(part) = part {
        command.args(["--shard", part]);
    }
    for member in MUTATED.iter().filter(|member| workspace.has_member(member)) {
        command.args(["--package", member]);
    }
    // Faults are planted in a copy of the tree, which has no real data beside it.
    if let Some(shared) = shared(workspace) {
        command.env("KURABAN_SHARED", shared);
    }
    let ended = status(command.current_dir(&workspace.root))?;
    Ok(finding(matches!(ended.code(), Some(0 | HUNG))))
}

/// Where the tests find real data.
fn shared(workspace: &Workspace) -> Option<PathBuf> {
    let beside = || Some(workspace.root.parent()?.join("shared"));
    env::var_os("KURABAN_SHARED").map(PathBuf::from).or_else(beside).filter(|folder| folder.is_dir())
}

/// Another job of this program.
fn own(workspace: &Workspace, args: &[&str]) -> Result<Finding> {
    if !workspace.has_program("kuraban") {
        return Ok(Finding::DidNotRun("there is no program `kuraban` here"));
    }
    let program = env::current_exe().context("this program does not know where it is")?;
    Ok(finding(succeeds(Command::new(program).args(args).env("PATH", path_with_daemons()))?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_did_not_run_is_not_passed() {
        let took = Duration::from_secs(61);
        let want = "did not run  planted faults: cargo-mutants is not installed";
        let absent = Finding::DidNotRun("cargo-mutants is not installed");
        assert_eq!(line(Check::Mutants, &absent, took), want);
        assert_eq!(line(Check::Fuzz, &Finding::Passed, took), "passed       fuzzing, 1 min 1 s");
        assert_eq!(line(Check::Fuzz, &Finding::Failed, took), "FAILED       fuzzing, 1 min 1 s");
    }

    #[test]
    fn a_part_of_the_planted_faults_is_one_that_exists() {
        for (text, good) in
            [("0/8", true), ("7/8", true), ("8/8", false), ("0/0", false), ("1", false), ("a/b", false)]
        {
            assert_eq!(part(text).is_ok(), good, "{text}");
        }
    }

    #[test]
    fn every_fuzz_target_is_found() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz");
        let found = targets(&folder).unwrap();
        assert!(found.contains(&"tx".to_owned()) && found.is_sorted(), "{found:?}");
        assert!(targets(Path::new("/nonexistent")).is_err());
    }
}
