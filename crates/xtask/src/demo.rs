//! Starts the main job, `kuraban demo`, with the node and the web server it needs. Shows nothing itself.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::command::{cargo, line, run};
use crate::setup::{ensure_litecoind, ensure_nginx};
use crate::workspace::Workspace;
use crate::{bitcoind, say};

/// How the demo's programs are built. Dependencies are optimised in this profile too, and it is built much faster.
const BUILD: Profile = Profile::Dev;

/// A build profile of cargo's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Profile {
    Dev,
    Release,
}

#[derive(Clone, PartialEq, Eq, Debug, clap::Args)]
pub(crate) struct Args {
    /// Print one JSON document at the end and nothing else on standard output.
    #[arg(long)]
    pub(crate) json: bool,
    /// The chain node: in the program itself, Debian's litecoind, or Bitcoin Core built from source.
    #[arg(long, default_value = "embedded")]
    node: Node,
    /// Keep the folder with keys, logs and stores, and say how to go on with it.
    #[arg(long)]
    keep: bool,
    /// Handed on to `kuraban demo`.
    #[arg(last = true)]
    more: Vec<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub(crate) enum Node {
    Embedded,
    Litecoind,
    Bitcoind,
}

/// Becomes the demo; returns only if it could not be started.
pub(crate) fn demo(args: &Args) -> Result<()> {
    say::step(
        "the demo: looks for what it needs, builds Kuraban, then runs it; the first build takes minutes",
    );
    let workspace = Workspace::read()?;
    let nginx = ensure_nginx()?;
    let node_binary = match args.node {
        Node::Embedded => None,
        Node::Litecoind => Some(ensure_litecoind()?),
        Node::Bitcoind => Some(bitcoind::ensure_bitcoind()?),
    };
    let kuraban = build(&workspace, BUILD)?;
    let mut command = command(&kuraban, args, node_binary.as_deref(), &nginx);
    let error = command.exec();
    Err(error).with_context(|| format!("could not start `{}`", line(&command)))
}

/// Builds all programs and says where `kuraban` is; the daemons lie beside it.
pub(crate) fn build(workspace: &Workspace, profile: Profile) -> Result<PathBuf> {
    if !workspace.has_program("kuraban") {
        bail!("no member of the workspace builds the program `kuraban`");
    }
    say::step("building Kuraban");
    let (name, folder) = match profile {
        Profile::Dev => ("dev", "debug"),
        Profile::Release => ("release", "release"),
    };
    let mut command = cargo();
    command.args(["build", "--profile", name, "--workspace", "--exclude", "xtask", "--bins"]);
    run(command.current_dir(&workspace.root))?;
    Ok(workspace.target.join(folder).join("kuraban"))
}

/// Builds the daemon alone, for release, and says where it is.
pub(crate) fn build_guardd(workspace: &Workspace) -> Result<PathBuf> {
    say::step("building kuraban-guardd");
    let mut command = cargo();
    command.args(["build", "--release", "--package", "kuraban-guardd", "--bins"]);
    run(command.current_dir(&workspace.root))?;
    Ok(workspace.target.join("release/kuraban-guardd"))
}

fn command(kuraban: &Path, args: &Args, node_binary: Option<&Path>, nginx: &Path) -> Command {
    let node = match args.node {
        Node::Embedded => "embedded",
        Node::Litecoind => "litecoind",
        Node::Bitcoind => "bitcoind",
    };
    let mut command = Command::new(kuraban);
    command.args(["demo", "--node", node]).arg("--nginx").arg(nginx);
    if let Some(binary) = node_binary {
        command.arg("--node-binary").arg(binary);
    }
    if args.json {
        command.arg("--json");
    }
    if args.keep {
        command.arg("--keep");
    }
    command.args(&args.more);
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(json: bool, keep: bool, node: Node, binary: Option<&str>, more: &[&str], want: &str) {
        let args = Args { json, node, keep, more: more.iter().map(|word| (*word).to_owned()).collect() };
        let command = command(Path::new("k"), &args, binary.map(Path::new), Path::new("/n"));
        assert_eq!(line(&command), want);
    }

    #[test]
    fn the_demo_is_told_what_it_needs() {
        check(false, false, Node::Embedded, None, &[], "k demo --node embedded --nginx /n");
        check(
            true,
            true,
            Node::Litecoind,
            Some("/l"),
            &[],
            "k demo --node litecoind --nginx /n --node-binary /l --json --keep",
        );
        check(
            false,
            false,
            Node::Bitcoind,
            Some("/b"),
            &["--lang", "ja"],
            "k demo --node bitcoind --nginx /n --node-binary /b --lang ja",
        );
    }
}
