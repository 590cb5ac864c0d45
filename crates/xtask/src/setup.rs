//! Brings what the automation needs onto a Debian-like machine: looks first, installs only what is missing, and
//! says the exact command where it may not install. Never upgrades or removes anything.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::command::{cargo, find, output, run, works};
use crate::say;
use crate::workspace::Workspace;

/// What is built when a machine has none: the tool, its version, and what it can do without.
const NEXTEST: [&str; 6] =
    ["cargo-nextest", "--version", "0.9.143", "--no-default-features", "--features", "default-no-update"];
const CARGO_DENY: [&str; 3] = ["cargo-deny", "--version", "0.20.2"];
const CARGO_FUZZ: [&str; 3] = ["cargo-fuzz", "--version", "0.13.2"];
const CARGO_MUTANTS: [&str; 3] = ["cargo-mutants", "--version", "27.1.0"];

/// Packages of Python that `bench trace` measures beside us: the program, its version, and what it needs.
const PEERS: [&str; 5] =
    ["duckdb==2.0.0", "graphsense-clustering==0.2.0", "networkx==3.6.1", "numpy==2.4.6", "pyarrow==26.0.1"];

/// The package of npm that brings an Ethereum node for tests, and its version.
const ANVIL: &str = "@foundry-rs/anvil@1.7.1";

/// The target for which a customer's verifier is built to run in a browser.
pub(crate) const WASM: &str = "wasm32-unknown-unknown";

/// Something a Debian package brings.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Need {
    package: &'static str,
    /// A program that proves presence however it came here; without one, only dpkg's word counts.
    program: Option<&'static str>,
}

impl Need {
    pub(crate) const fn program(package: &'static str, program: &'static str) -> Self {
        Self { package, program: Some(program) }
    }

    pub(crate) const fn package(package: &'static str) -> Self {
        Self { package, program: None }
    }

    fn is_met(self) -> bool {
        self.program.is_some_and(|program| find(program).is_some()) || is_installed(self.package)
    }
}

/// What runs the tests.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Runner {
    Nextest,
    /// Cargo's own runner, where nextest could not be had.
    CargoTest,
}

/// The programs that `cargo xtask setup` can be asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub(crate) enum Tool {
    Litecoind,
    Bitcoind,
    Anvil,
    Wasm,
    Nginx,
    Nextest,
    CargoDeny,
}

/// Sees that one tool is here.
pub(crate) fn ensure(tool: Tool) -> Result<String> {
    Ok(match tool {
        Tool::Litecoind => ensure_litecoind()?.display().to_string(),
        Tool::Bitcoind => crate::bitcoind::ensure_bitcoind()?.display().to_string(),
        Tool::Anvil => ensure_anvil(&Workspace::read()?)?.display().to_string(),
        Tool::Wasm => ensure_wasm().map(|()| WASM.to_owned())?,
        Tool::Nginx => ensure_nginx()?.display().to_string(),
        Tool::Nextest => match ensure_nextest() {
            Runner::Nextest => "cargo nextest".to_owned(),
            Runner::CargoTest => "cargo test, because cargo nextest could not be had".to_owned(),
        },
        Tool::CargoDeny => ensure_cargo_deny().map(|()| "cargo deny".to_owned())?,
    })
}

/// The Litecoin daemon.
pub(crate) fn ensure_litecoind() -> Result<PathBuf> {
    ensure_program(Need::program("litecoind", "litecoind"))
}

/// The web server that stands before the exchange's services.
pub(crate) fn ensure_nginx() -> Result<PathBuf> {
    ensure_program(Need::program("nginx", "nginx"))
}

/// The peer of the screening service in its benchmark.
pub(crate) fn ensure_redis() -> Result<PathBuf> {
    ensure_program(Need::program("redis-server", "redis-server"))
}

/// What reads the reports of traces in their tests: a browser with its driver, two readers of PDF files, a font.
const READERS: [Need; 4] = [
    Need::program("chromium-driver", "chromedriver"),
    Need::program("poppler-utils", "pdftotext"),
    Need::program("qpdf", "qpdf"),
    Need::package("fonts-ipafont-gothic"),
];

/// Sees that the readers of reports are there.
pub(crate) fn ensure_readers() -> Result<()> {
    ensure_debian(&READERS)
}

/// The Python that has the programs `bench trace` is measured beside, in a folder of its own under `target`.
pub(crate) fn ensure_peers(workspace: &Workspace) -> Result<PathBuf> {
    let folder = workspace.target.join("peers");
    let python = folder.join("bin").join("python");
    let wanted = PEERS.join(" ");
    let mark = folder.join("kuraban-peers");
    if fs::read_to_string(&mark).is_ok_and(|found| found == wanted) && python.exists() {
        return Ok(python);
    }
    say::step(&format!("installing for Python, under {}: {wanted}", folder.display()));
    run(Command::new("python3").args(["-m", "venv"]).arg(&folder))
        .context("Python with its module venv (Debian: python3-venv) is missing")?;
    run(Command::new(&python)
        .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"])
        .args(PEERS))?;
    fs::write(&mark, wanted).with_context(|| format!("could not write {}", mark.display()))?;
    Ok(python)
}

/// The Ethereum node that tests ask, if it was brought before.
pub(crate) fn brought_anvil(workspace: &Workspace) -> Option<PathBuf> {
    let packages = fs::read_dir(anvil_folder(workspace).join("node_modules").join("@foundry-rs")).ok()?;
    let programs = packages.filter_map(|package| Some(package.ok()?.path().join("bin").join("anvil")));
    programs.into_iter().find(|program| program.is_file())
}

/// The Ethereum node that tests ask, in a folder of its own under `target`. Its package has the program for this machine in a
/// package beside it; nothing of either is run to install it.
pub(crate) fn ensure_anvil(workspace: &Workspace) -> Result<PathBuf> {
    if let Some(program) = brought_anvil(workspace) {
        return Ok(program);
    }
    let folder = anvil_folder(workspace);
    say::step(&format!("installing {ANVIL} under {}", folder.display()));
    fs::create_dir_all(&folder).with_context(|| format!("could not make {}", folder.display()))?;
    run(Command::new("npm")
        .args(["install", "--ignore-scripts", "--no-audit", "--prefix"])
        .arg(&folder)
        .arg(ANVIL))
    .context("npm (Debian: npm) is missing, or has not the package")?;
    brought_anvil(workspace).context("the package has no anvil for this machine")
}

fn anvil_folder(workspace: &Workspace) -> PathBuf {
    workspace.target.join("anvil")
}

/// Whether the compiler builds for a browser.
pub(crate) fn has_wasm() -> bool {
    let targets = output(Command::new("rustup").args(["target", "list", "--installed"]));
    targets.is_ok_and(|targets| targets.lines().any(|target| target == WASM))
}

/// Sees that the compiler builds for a browser.
fn ensure_wasm() -> Result<()> {
    if has_wasm() { Ok(()) } else { run(Command::new("rustup").args(["target", "add", WASM])) }
}

/// The test runner; where it is missing and cannot be built, cargo's own.
pub(crate) fn ensure_nextest() -> Runner {
    if works(cargo().args(["nextest", "--version"])) {
        return Runner::Nextest;
    }
    match install(&NEXTEST) {
        Ok(()) => Runner::Nextest,
        Err(error) => {
            say::note(&format!("{error:#}; the tests run under plain `cargo test`"));
            Runner::CargoTest
        }
    }
}

/// The judge of licences, sources and banned crates.
pub(crate) fn ensure_cargo_deny() -> Result<()> {
    if works(cargo().args(["deny", "--version"])) { Ok(()) } else { install(&CARGO_DENY) }
}

/// What drives the fuzz targets.
pub(crate) fn ensure_cargo_fuzz() -> Result<()> {
    if works(cargo().args(["fuzz", "--version"])) { Ok(()) } else { install(&CARGO_FUZZ) }
}

/// What plants faults for the tests to notice.
pub(crate) fn ensure_cargo_mutants() -> Result<()> {
    if works(cargo().args(["mutants", "--version"])) { Ok(()) } else { install(&CARGO_MUTANTS) }
}

/// Sees that all packages are there, and installs those that are not.
///
/// # Errors
/// Names the command to run where this user may not install, and the packages where there is no apt-get.
pub(crate) fn ensure_debian(needs: &[Need]) -> Result<()> {
    let missing: Vec<&str> = needs.iter().filter(|need| !need.is_met()).map(|need| need.package).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let names = missing.join(" ");
    if find("apt-get").is_none() {
        bail!("{names} missing, and there is no apt-get here: install what these Debian packages bring");
    }
    let Some(prefix) = privilege() else {
        bail!("{names} missing, and neither root nor `sudo -n` is to be had. Run: {}", by_hand(&missing));
    };
    say::step(&format!("installing Debian packages: {names}"));
    run(&mut apt(prefix, &["update"]))?;
    run(&mut apt(prefix, &[&INSTALL, missing.as_slice()].concat()))
}

const INSTALL: [&str; 3] = ["install", "-y", "--no-install-recommends"];

fn ensure_program(need: Need) -> Result<PathBuf> {
    ensure_debian(&[need])?;
    let program = need.program.unwrap_or(need.package);
    find(program)
        .with_context(|| format!("package {} is installed but there is no program {program}", need.package))
}

/// Builds a tool of cargo's without optimisation: it is ready in a third of the time, and neither tool computes much.
fn install(tool: &[&str]) -> Result<()> {
    say::step(&format!("building {}, once for this user; about 2 min", tool.first().unwrap_or(&"a tool")));
    run(cargo().args(["install", "--locked", "--debug"]).args(tool).env("CARGO_PROFILE_DEV_DEBUG", "0"))
}

fn is_installed(package: &str) -> bool {
    let asked = output(Command::new("dpkg-query").args(["-W", "-f=${Status}", package]));
    asked.is_ok_and(|status| status == "install ok installed")
}

/// What stands before apt-get so that it may install, or nothing if it may not.
fn privilege() -> Option<&'static [&'static str]> {
    if output(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0") {
        return Some(&[]);
    }
    works(Command::new("sudo").args(["-n", "true"])).then_some(&["sudo", "-n"])
}

fn apt(prefix: &[&str], args: &[&str]) -> Command {
    // Through `env`, because sudo does not pass the variable on.
    let words = [prefix, &["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q"], args].concat();
    let mut words = words.into_iter();
    let mut command = Command::new(words.next().unwrap_or("env"));
    command.args(words);
    command
}

fn by_hand(missing: &[&str]) -> String {
    format!("sudo apt-get update && sudo apt-get {} {}", INSTALL.join(" "), missing.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::line;

    #[test]
    fn what_is_here_is_not_missing() {
        assert!(Need::program("no-such-package", "sh").is_met());
        assert!(!Need::program("no-such-package", "no-such-program").is_met());
        assert!(!Need::package("no-such-package").is_met());
        assert!(ensure_debian(&[Need::program("no-such-package", "sh")]).is_ok());
    }

    #[test]
    fn apt_is_asked_without_questions() {
        let args = [&INSTALL[..], &["litecoind"]].concat();
        let want =
            "env DEBIAN_FRONTEND=noninteractive apt-get -q install -y --no-install-recommends litecoind";
        assert_eq!(line(&apt(&[], &args)), want);
        assert_eq!(line(&apt(&["sudo", "-n"], &args)), format!("sudo -n {want}"));
    }

    #[test]
    fn the_command_to_run_by_hand_is_whole() {
        let want = "sudo apt-get update && sudo apt-get install -y --no-install-recommends cmake g++";
        assert_eq!(by_hand(&["cmake", "g++"]), want);
    }
}
