//! `kuraban reserves publish`. Puts a statement's verdicts into the log, those that fall short as those that do not.

use std::path::PathBuf;

use kuraban_base::Digest;
use kuraban_vault::{
    Publication,
    publication::{Check, Checked, Finding, Verdict},
};
use serde::Deserialize;

use super::check::{self, Outcome};
use crate::{
    fail::{Failure, OrFail as _},
    input::{FILE_MAX, bytes},
    publish::To,
    say::{Report, Say, tame},
};

pub(super) const HELP: &str = "\
The entry check.published has the SHA-256 of the statement's file and, for
every asset, its verdict and the names of the checks that failed or were not
made. Publish every statement: one that is missing is seen by nobody, one
that stands in the log by everybody. A statement whose verdicts contradict
its checks is not taken.

Example:
  kuraban reserves statement --json … > statement.json
  kuraban reserves publish statement.json --roster roster.toml \\
      --writer http://guard.example:8080 --key ~/.ssh/id_ed25519";

/// What to publish.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// What `reserves statement --json` answered
    statement: PathBuf,
    #[command(flatten)]
    to: To,
}

/// A statement, as far as an entry has it.
#[derive(Deserialize)]
struct Stated {
    ok: bool,
    liabilities_root: String,
    assets: Vec<Line>,
}

#[derive(Deserialize)]
struct Line {
    asset: String,
    verdict: String,
    checks: Vec<check::Check>,
}

/// Runs `kuraban reserves publish`.
pub(super) fn run(args: &Args, say: &Say) -> Result<Report, Failure> {
    let bytes = bytes(&args.statement, FILE_MAX)?;
    let shown = args.statement.display();
    let stated: Stated = serde_json::from_slice(&bytes).or_input(&shown)?;
    let findings = stated.assets.iter().map(finding).collect::<anyhow::Result<Vec<_>>>().or_input(&shown)?;
    if stated.ok != findings.iter().all(|finding| finding.verdict == Verdict::Covered) {
        return Err(Failure::input(format!("{shown}: ok contradicts the verdicts of its assets")));
    }
    let root = stated.liabilities_root.parse().or_input(format!("{shown}: liabilities_root"))?;
    let (of, document) = (Checked::ReservesStatement, Digest::sha256(&[&bytes]));
    args.to.publish(&Publication::Check(Check { of, document, root: Some(root), findings }), say)
}

fn finding(line: &Line) -> anyhow::Result<Finding> {
    let named = |result: Outcome| {
        let of = line.checks.iter().filter(|check| check.result == result);
        of.map(|check| check.check.clone()).collect()
    };
    let finding = Finding {
        about: line.asset.clone(),
        verdict: line.verdict.parse()?,
        failed: named(Outcome::Failed),
        not_made: named(Outcome::NotMade),
    };
    let asset = tame(&line.asset);
    anyhow::ensure!(
        matches!(finding.verdict, Verdict::Covered | Verdict::Short | Verdict::NotShown),
        "{asset} is {}, which no statement says",
        finding.verdict
    );
    anyhow::ensure!(
        finding.is_sound() && !line.checks.is_empty(),
        "the verdict about {asset}, {}, contradicts its checks",
        finding.verdict
    );
    Ok(finding)
}
