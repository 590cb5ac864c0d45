//! `kuraban transfers`: lists of transfers on account chains, made from what nodes and public tools give. And the part of
//! `kuraban trace` that reads them. Reads files; decides nothing that `kuraban-trace` does not decide.

mod answer;
mod follow;
mod report;
mod told;
pub(crate) mod trace;

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Args, Subcommand, ValueEnum};
use kuraban_trace::accounts::{
    TransferList,
    import::{self, ImportError, Source},
};
use serde_json::value::RawValue;

use crate::{
    fail::{Failure, OrFail as _},
    input,
    say::{Report, Say},
};

/// Longest file to import: a day of Ethereum's transactions as JSON lines is about a tenth of it.
const FILE_MAX: usize = 8 * 1024 * 1024 * 1024;

/// `kuraban transfers …`
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Make a list of transfers, on standard output
    #[command(after_help = IMPORT_HELP)]
    Import(Import),
    /// Follow thefts through a list that grows, and tell a signed feed of tags
    #[command(after_help = follow::HELP)]
    Follow(Box<follow::Follow>),
}

const IMPORT_HELP: &str = "\
What the list says is written in docs/taint-accounts.md.

From:
  evm      answers of a node: eth_getBlockByNumber with transactions,
           receipts, trace_block
  etl      tables of ethereum-etl as JSON lines: blocks, transactions,
           token_transfers, traces, logs
  rippled  ledgers with expanded transactions and metadata
  nis      blocks of NEM, as JSON or as the node's binary

Examples:
  kuraban transfers import --from rippled ledgers/ > transfers.jsonl
  kuraban transfers import --from etl blocks.json transactions.json \\
      token_transfers.json > transfers.jsonl
  kuraban transfers import --from rippled --blocks ledgers/ > growing.jsonl";

/// What to import.
#[derive(Args)]
pub(crate) struct Import {
    /// What gave the files
    #[arg(long, value_enum)]
    from: From,
    /// Write each block's line after its transfers, which following a list needs
    #[arg(long)]
    blocks: bool,
    /// Files, or folders of them; - is standard input
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum From {
    Evm,
    Etl,
    Rippled,
    Nis,
}

/// Runs `kuraban transfers …`.
pub(crate) fn run(command: Command, say: &Say) -> Result<Report, Failure> {
    match command {
        Command::Import(args) => import(&args, say),
        Command::Follow(args) => follow::run(&args, say),
    }
}

fn import(args: &Import, say: &Say) -> Result<Report, Failure> {
    let mut files = Vec::new();
    let mut paths = Vec::new();
    for path in &args.paths {
        paths.extend(within(path).or_input(path.display())?);
    }
    let bar = say.progress_bytes();
    bar.set_length(paths.iter().map(|path| input::length(path)).sum());
    for path in paths {
        let bytes = input::bytes(&path, FILE_MAX)?;
        bar.inc(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        files.push((path.display().to_string(), bytes));
    }
    bar.finish_and_clear();
    let bar = say.spinner("import");
    let sources: Vec<Source<'_>> = files.iter().map(|(name, bytes)| Source { name, bytes }).collect();
    let list = importer(args.from)(&sources);
    bar.finish_and_clear();
    let mut list = list.or_input("cannot import")?;
    if !args.blocks {
        list.blocks.clear();
    } else if list.blocks.is_empty() {
        return Err(Failure::input(
            "--blocks: the files do not state the hash of each block and of the one before",
        ));
    }
    for asset in &list.left_out {
        drop(say.show(&format!("warning: {asset} is left out: a list cannot say what the files say of it")));
    }
    let text = core::iter::once(list.header.to_line()).chain(list.lines()).collect::<Vec<_>>().join("\n");
    Ok(Report::done(&document(&list)?, text))
}

fn importer(from: From) -> fn(&[Source<'_>]) -> Result<TransferList, ImportError> {
    match from {
        From::Evm => import::evm,
        From::Etl => import::etl,
        From::Rippled => import::rippled,
        From::Nis => import::nis,
    }
}

/// A file, or the files of a folder in the order of their names.
fn within(path: &Path) -> anyhow::Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in path.read_dir().context("could not be listed")? {
        let path = entry.context("could not be listed")?.path();
        if path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    anyhow::ensure!(!files.is_empty(), "has no files");
    Ok(files)
}

/// The list as one JSON document.
fn document(list: &TransferList) -> Result<serde_json::Value, Failure> {
    let raw = |line: String| RawValue::from_string(line).and_then(|raw| serde_json::from_str(raw.get()));
    let lines: Result<Vec<serde_json::Value>, _> = list.lines().map(raw).collect();
    Ok(serde_json::json!({
        "header": raw(list.header.to_line()).or_undone("the list is no JSON")?,
        "list": lines.or_undone("the list is no JSON")?,
        "left_out": list.left_out,
    }))
}
