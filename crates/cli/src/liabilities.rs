//! `kuraban liabilities`: what an exchange owes, published as one root, and each customer's own file under it. Reads,
//! writes and prints; the tree is `kuraban-liabilities`', the verification `kuraban-inclusion`'s.

mod audit;
mod build;
mod everybody;
mod owed;
mod parallel;
mod prove;
mod publish;
mod source;
mod store;
mod veil;
mod verify;

use clap::Subcommand;
use kuraban_base::{Amount, Digest, Instant};
use kuraban_inclusion::{Root, Scope, totals_digest};
use kuraban_vault::{DatedBy, Liabilities};
use serde::Serialize;
use serde_json::Value;

use crate::{
    fail::Failure,
    input,
    say::{Report, Say, Side, table},
};

/// `kuraban liabilities …`
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Make the tree over all holdings and the root to publish
    Build(build::Args),
    /// Cut a customer's file out of the tree
    Prove(prove::Args),
    /// Put the root into the operator's log
    Publish(publish::Args),
    /// Say whether a customer's file stands under a root, from the file alone
    Verify(verify::Args),
    /// Compare every leaf of the tree with holdings, as an auditor
    Audit(audit::Args),
    /// The same liabilities proved in zero knowledge, so that no file shows another customer's sums
    #[command(subcommand)]
    Veil(veil::Command),
}

/// Runs `kuraban liabilities …`.
pub(crate) fn run(command: Command, say: &Say) -> Result<Report, Failure> {
    match command {
        Command::Build(args) => build::run(&args, say),
        Command::Prove(args) => prove::run(&args, say),
        Command::Publish(args) => publish::run(&args, say),
        Command::Verify(args) => verify::run(&args, say),
        Command::Audit(args) => audit::run(&args, say),
        Command::Veil(command) => veil::run(command, say),
    }
}

/// An amount of an asset in both forms.
#[derive(Serialize)]
struct Line {
    asset: String,
    units: Value,
    amount: String,
}

/// A block that dates a tree.
#[derive(Serialize)]
struct Dated {
    chain: String,
    height: u64,
    hash: String,
}

/// What a root is over, for everybody to see.
#[derive(Serialize)]
struct Published {
    root: String,
    origin: String,
    as_of: String,
    as_of_ms: u64,
    depth: u8,
    totals: Vec<Line>,
    blocks: Vec<Dated>,
}

fn published(scope: &Scope, root: Root, totals: &[u128]) -> Published {
    let block = |block: &kuraban_inclusion::Block| Dated {
        chain: block.chain.clone(),
        height: block.height,
        hash: kuraban_base::hex::encode(&block.hash),
    };
    Published {
        root: root.to_string(),
        origin: scope.origin().to_owned(),
        as_of: as_of(scope),
        as_of_ms: scope.as_of_ms(),
        depth: scope.depth(),
        totals: lines(scope, totals),
        blocks: scope.blocks().iter().map(block).collect(),
    }
}

/// What the log's entry says of a tree.
fn entry(scope: &Scope, root: Root, totals: &[u128]) -> Liabilities {
    let block = |block: &kuraban_inclusion::Block| DatedBy {
        chain: block.chain.clone(),
        height: block.height,
        hash: block.hash,
    };
    Liabilities {
        root: Digest::from_bytes(*root.as_bytes()),
        totals: Digest::from_bytes(totals_digest(scope, totals)),
        as_of: Instant::from_ms(scope.as_of_ms()),
        blocks: scope.blocks().iter().map(block).collect(),
        veil: None,
    }
}

fn as_of(scope: &Scope) -> String {
    input::shown_utc(Instant::from_ms(scope.as_of_ms()))
}

fn lines(scope: &Scope, amounts: &[u128]) -> Vec<Line> {
    let line = |(asset, units): (&kuraban_inclusion::Asset, &u128)| Line {
        asset: asset.code.clone(),
        units: units_of(&asset.code, *units),
        amount: Amount::new(*units).to_coins(asset.decimals),
    };
    scope.assets().iter().zip(amounts).map(line).collect()
}

/// Base units as the other commands write them: numbers for the chains whose units fit, else text.
fn units_of(code: &str, units: u128) -> Value {
    let small = ["BTC", "BCH", "LTC", "XEM"].contains(&code);
    match u64::try_from(units) {
        Ok(units) if small => Value::from(units),
        Ok(_) | Err(_) => Value::from(units.to_string()),
    }
}

/// Amounts as a table.
fn shown(lines: &[Line]) -> String {
    let rows: Vec<_> = lines.iter().map(|line| [line.amount.clone(), line.asset.clone()]).collect();
    table([Side::Right, Side::Left], &rows)
}
