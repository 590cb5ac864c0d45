//! `kuraban liabilities veil`: what an exchange owes, proved in zero knowledge. Reads, writes and prints; leaves, circuit and verifier
//! are `kuraban-veil`'s, and the format stands in `docs/liabilities.md`.

mod build;
mod check;
mod leaves;
mod prove;
mod verify;

use std::path::{Path, PathBuf};

use clap::Subcommand;
use kuraban_base::Digest;
use kuraban_inclusion::Root;
use kuraban_liabilities::Crown;
use kuraban_vault::Liabilities;
use kuraban_veil::{BatchFile, STATEMENT_LENGTH_MAX, Statement};
use serde::Serialize;

use super::{Dated, Line, as_of, entry, lines, source::Source};
use crate::{
    fail::{Failure, OrFail as _},
    input,
    say::{Report, Say},
};

/// The file with what all batches come to.
const STATEMENT: &str = "veil.kvs";
/// The folder that holds it, in the folder of the tree.
const FOLDER: &str = "veil";

/// `kuraban liabilities veil …`
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Prove that nobody's amount is negative and all sum to the totals
    Build(build::Args),
    /// Write a customer's file
    Prove(prove::Args),
    /// Verify every batch, as anybody can
    Verify(verify::Args),
    /// Say whether a customer's file is counted in its batch
    Check(check::Args),
}

/// Runs `kuraban liabilities veil …`.
pub(crate) fn run(command: Command, say: &Say) -> Result<Report, Failure> {
    match command {
        Command::Build(args) => build::run(&args, say),
        Command::Prove(args) => prove::run(&args, say),
        Command::Verify(args) => verify::run(&args, say),
        Command::Check(args) => check::run(&args, say),
    }
}

/// A statement, for everybody to see.
#[derive(Serialize)]
struct Published {
    veil: String,
    origin: String,
    as_of: String,
    as_of_ms: u64,
    log_rows: u8,
    batches: usize,
    totals: Vec<Line>,
    blocks: Vec<Dated>,
}

fn published(statement: &Statement) -> Published {
    let (plan, scope) = (statement.plan(), statement.plan().scope());
    let block = |block: &kuraban_inclusion::Block| Dated {
        chain: block.chain.clone(),
        height: block.height,
        hash: kuraban_base::hex::encode(&block.hash),
    };
    Published {
        veil: statement.root().to_string(),
        origin: scope.origin().to_owned(),
        as_of: as_of(scope),
        as_of_ms: scope.as_of_ms(),
        log_rows: plan.shape().log_rows(),
        batches: plan.batches(),
        totals: lines(scope, statement.totals()),
        blocks: scope.blocks().iter().map(block).collect(),
    }
}

/// The file of a batch.
fn batch_path(folder: &Path, batch: usize) -> PathBuf {
    folder.join(format!("{batch:05}.kvb"))
}

/// The statement in a folder: bytes from somebody else.
fn statement(folder: &Path) -> Result<Result<Statement, String>, Failure> {
    let bytes = input::bytes(&folder.join(STATEMENT), STATEMENT_LENGTH_MAX)?;
    Ok(Statement::decode(&bytes).map_err(|problem| format!("{STATEMENT}: {problem}")))
}

/// A batch's file in a folder.
fn batch(folder: &Path, statement: &Statement, batch: usize) -> Result<Result<BatchFile, String>, Failure> {
    let (path, shape) = (batch_path(folder, batch), statement.plan().shape());
    let bytes = input::bytes(&path, BatchFile::length_max(shape))?;
    Ok(BatchFile::decode(shape, &bytes).map_err(|problem| format!("{}: {problem}", path.display())))
}

/// The root of the statement in a folder, which must be over what a tree is over.
pub(super) fn root_over(folder: &Path, crown: &Crown) -> Result<Digest, Failure> {
    let found = statement(folder)?.map_err(Failure::input)?;
    if found.plan().scope() != crown.scope() || found.totals() != crown.totals() {
        return Err(Failure::input("the veil is over another scope or other totals than the tree"));
    }
    Ok(Digest::from_bytes(*found.root().as_bytes()))
}

/// The statement in a folder, if it is the one that was published, and whether the log says so.
fn known(folder: &Path, source: &Source) -> Result<Result<(Statement, bool), String>, Failure> {
    let logged = source.logged()?;
    let from_log = logged.is_some();
    let known = |(statement, logged): (Statement, Option<Liabilities>)| {
        published_as(&statement, source, logged.as_ref()).map(|()| (statement, from_log))
    };
    let both = statement(folder)?.and_then(|statement| Ok((statement, logged.transpose()?)));
    Ok(both.and_then(known))
}

/// Whether a statement is the one that was published.
fn published_as(statement: &Statement, source: &Source, logged: Option<&Liabilities>) -> Result<(), String> {
    let found = statement.root();
    if let Some(want) = source.root.filter(|want| *want != found) {
        return Err(format!("the statement has root {found}, want {want}"));
    }
    let Some(said) = logged else { return Ok(()) };
    let scope = statement.plan().scope();
    let veil = said.veil.ok_or("the log's entry has no root of a veil")?;
    let want = Root::from_bytes(*veil.as_bytes());
    if want != found {
        return Err(format!("the statement has root {found}, want {want} as the log's entry"));
    }
    // The root binds all the rest, but an entry that contradicts itself is nobody's.
    let own = entry(scope, Root::from_bytes(*said.root.as_bytes()), statement.totals());
    if *said != (Liabilities { veil: said.veil, ..own }) {
        return Err(
            "the log's entry has other totals, another instant or other blocks than the veil".to_owned()
        );
    }
    Ok(())
}

/// The operator's seed, beside the tree or in a file of its own.
fn seed(dir: &Path, given: Option<&PathBuf>) -> Result<kuraban_liabilities::Seed, Failure> {
    let path = given.cloned().unwrap_or_else(|| dir.join(super::store::SEED));
    let text = zeroize::Zeroizing::new(input::text(&path, 128)?);
    let bytes = kuraban_base::hex::decode_array(text.trim()).or_input(path.display())?;
    Ok(kuraban_liabilities::Seed::new(bytes))
}
