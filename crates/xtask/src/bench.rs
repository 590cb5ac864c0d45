//! Runs benchmarks beside their physical limits in one run, prints tables, and keeps the figures as
//! `target/bench/NAME.json`. Measures nothing itself: benches of the crates and `kuraban bench` do, each printing one
//! JSON object whose values are whole numbers, or objects of whole numbers where it has several rows.

mod table;

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread::available_parallelism;

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};

use crate::command::{cargo, line, output, path_with_daemons};
use crate::demo::{self, Profile};
use crate::say;
use crate::setup::{ensure_nginx, ensure_peers, ensure_redis};
use crate::workspace::Workspace;

#[derive(Clone, PartialEq, Eq, Debug, clap::Args)]
pub(crate) struct Args {
    /// What to measure, with the limits it is compared with; everything if not named.
    name: Option<Subject>,
    /// How many payouts, thefts, tags, customers, transactions for `trace`, tainted outputs for `live`.
    #[arg(long)]
    count: Option<u32>,
    /// Transactions of the largest chain of `growth`, a power of ten; 10 million take some 10 GB of disk for a while.
    #[arg(long)]
    to: Option<u64>,
    /// Print one JSON document instead of tables.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub(crate) enum Subject {
    /// Bare durable writes on the disk that holds `target`.
    Fsync,
    /// Bare signatures and their verification.
    Signatures,
    /// Payouts through three signers, beside bare durable writes and signatures.
    Payouts,
    /// From a theft's arrival at the node to the stopped permit.
    Stop,
    /// The index of a made-up chain, beside the bare hashing of its bytes, and traces and clusters beside those of others.
    Trace,
    /// Index, traces, clusters and look-ups on chains of ten thousand transactions, ten times as many, and so on.
    Growth,
    /// What the detectors of mixes find among labelled transactions and in real blocks.
    Patterns,
    /// A store of ten million tags: its size and how fast addresses are looked up.
    Tags,
    /// The screening service over HTTP, beside `redis-server`.
    Screen,
    /// The tree of liabilities and all customers' files, beside their bare hashes and the crate `dapol`; batches in zero knowledge.
    Liabilities,
    /// What Coincheck's customers are owed, from Parquet, beside DuckDB.
    Claims,
    /// Blocks and waiting transactions through cases with a million tainted outputs, beside the bare look-ups.
    Live,
}

impl Subject {
    const ALL: [Self; 12] = [
        Self::Fsync,
        Self::Signatures,
        Self::Payouts,
        Self::Stop,
        Self::Trace,
        Self::Growth,
        Self::Patterns,
        Self::Tags,
        Self::Screen,
        Self::Liabilities,
        Self::Claims,
        Self::Live,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::Fsync => "fsync",
            Self::Signatures => "signatures",
            Self::Payouts => "payouts",
            Self::Stop => "stop",
            Self::Trace => "trace",
            Self::Growth => "growth",
            Self::Patterns => "patterns",
            Self::Tags => "tags",
            Self::Screen => "screen",
            Self::Liabilities => "liabilities",
            Self::Claims => "claims",
            Self::Live => "live",
        }
    }

    /// Itself, after the limits it is compared with.
    const fn with_limits(self) -> &'static [Self] {
        match self {
            Self::Fsync => &[Self::Fsync],
            Self::Signatures => &[Self::Signatures],
            Self::Payouts => &[Self::Fsync, Self::Signatures, Self::Payouts],
            Self::Stop => &[Self::Stop],
            Self::Trace => &[Self::Trace],
            Self::Growth => &[Self::Growth],
            Self::Patterns => &[Self::Patterns],
            Self::Tags => &[Self::Tags],
            Self::Screen => &[Self::Screen],
            Self::Liabilities => &[Self::Liabilities],
            Self::Claims => &[Self::Claims],
            Self::Live => &[Self::Live],
        }
    }

    const fn needs_kuraban(self) -> bool {
        match self {
            Self::Fsync
            | Self::Signatures
            | Self::Trace
            | Self::Growth
            | Self::Patterns
            | Self::Tags
            | Self::Screen
            | Self::Liabilities
            | Self::Claims
            | Self::Live => false,
            Self::Payouts | Self::Stop => true,
        }
    }

    /// The package and the bench that measure what needs no program.
    const fn bench(self) -> [&'static str; 2] {
        match self {
            Self::Fsync | Self::Signatures | Self::Payouts | Self::Stop => ["xtask", "baseline"],
            Self::Trace => ["xtask", "trace"],
            Self::Growth => ["xtask", "growth"],
            Self::Patterns => ["kuraban-trace", "patterns"],
            Self::Tags => ["kuraban-trace", "tags"],
            Self::Screen => ["xtask", "screen"],
            Self::Liabilities => ["xtask", "liabilities"],
            Self::Claims => ["xtask", "claims"],
            Self::Live => ["kuraban-trace", "live"],
        }
    }
}

/// Measures, shows and keeps the figures.
pub(crate) fn bench(args: &Args) -> Result<()> {
    let workspace = Workspace::read()?;
    let mut report = Map::new();
    for subject in args.name.map_or(&Subject::ALL[..], Subject::with_limits) {
        // Asked for by name it is an error that the program is missing.
        if args.name.is_none() && subject.needs_kuraban() && !workspace.has_program("kuraban") {
            say::note(&format!("{} was not measured: there is no program `kuraban` here", subject.name()));
            continue;
        }
        let figures = measure(*subject, args, &workspace)?;
        let kept = keep(*subject, &figures, &workspace)?;
        if !args.json {
            say::answer(&table::print(subject.name(), &figures));
        }
        report.insert(subject.name().to_owned(), kept);
    }
    if args.json {
        say::answer(&Value::Object(report).to_string());
    }
    Ok(())
}

fn measure(subject: Subject, args: &Args, workspace: &Workspace) -> Result<Value> {
    let Args { count, to, .. } = args;
    let mut command;
    if subject.needs_kuraban() {
        ensure_nginx()?;
        command = Command::new(demo::build(workspace, Profile::Release)?);
        command.args(["bench", subject.name()]).env("PATH", path_with_daemons());
        if let Some(count) = count {
            command.args(["--count", &count.to_string()]);
        }
    } else {
        command = cargo();
        let [package, bench] = subject.bench();
        command.args(["bench", "--quiet", "--package", package, "--bench", bench, "--", subject.name()]);
        if let Some(count) = count {
            command.args(["--count", &count.to_string()]);
        }
        if let Some(to) = to.filter(|_| subject == Subject::Growth) {
            command.args(["--to", &to.to_string()]);
        }
        command.current_dir(&workspace.root).env("KURABAN_BENCH_DIR", &workspace.target);
        if subject == Subject::Screen {
            command.env("KURABAN_BENCH_REDIS", ensure_redis()?);
            command.env("KURABAN_BENCH_GUARDD", demo::build_guardd(workspace)?);
        }
        if subject == Subject::Liabilities {
            match build_dapol(workspace) {
                Ok(peer) => drop(command.env("KURABAN_BENCH_DAPOL", peer)),
                Err(error) => say::note(&format!("{error:#}; liabilities are measured without their peer")),
            }
        }
        if subject == Subject::Claims {
            command.env("KURABAN_BENCH_KURABAN", demo::build(workspace, Profile::Release)?);
            command.env("KURABAN_BENCH_PYTHON", ensure_peers(workspace)?);
        }
        if subject == Subject::Trace {
            match ensure_peers(workspace) {
                Ok(python) => drop(command.env("KURABAN_BENCH_PYTHON", python)),
                Err(error) => say::note(&format!("{error:#}; trace is measured without its peers")),
            }
        }
    }
    say::step(&format!("measuring {}", subject.name()));
    let said = output(command.stderr(Stdio::inherit()))?;
    serde_json::from_str(&said)
        .with_context(|| format!("`{}` did not print one JSON document", line(&command)))
}

/// The program that times the crate `dapol`, with a tree of packages of its own under `target`.
fn build_dapol(workspace: &Workspace) -> Result<PathBuf> {
    let folder = workspace.target.join("peers");
    let manifest = workspace.root.join("crates/xtask/benches/peers/dapol/Cargo.toml");
    let mut command = cargo();
    command.args(["build", "--quiet", "--release", "--locked"]);
    command.arg("--manifest-path").arg(&manifest).arg("--target-dir").arg(&folder);
    output(command.stderr(Stdio::inherit())).context("the peer `dapol` could not be built")?;
    Ok(folder.join("release/peer-dapol"))
}

/// Writes the figures with what they depend on into the file that is named after the subject.
fn keep(subject: Subject, figures: &Value, workspace: &Workspace) -> Result<Value> {
    let cpus = available_parallelism().map_or(0, usize::from);
    let document = json!({ "bench": subject.name(), "profile": "release", "cpus": cpus, "figures": figures });
    let folder = workspace.target.join("bench");
    fs::create_dir_all(&folder).with_context(|| format!("could not make {}", folder.display()))?;
    let file = folder.join(subject.name()).with_extension("json");
    fs::write(&file, format!("{document}\n"))
        .with_context(|| format!("could not write {}", file.display()))?;
    Ok(document)
}
