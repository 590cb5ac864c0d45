//! `kuraban liabilities publish`. Recomputes the root from the tree's upper nodes, signs it for one log and hands it in.

use std::path::{Path, PathBuf};

use clap::Args as ClapArgs;
use kuraban_base::Digest;
use kuraban_vault::{
    Liabilities, Publication,
    publication::{Check, Checked, Finding, Verdict},
};
use serde::Deserialize;

use super::{entry, store::Reader, veil};
use crate::{
    fail::{Failure, OrFail as _},
    input::{FILE_MAX, bytes},
    publish::To,
    say::{Report, Say},
};

const HELP: &str = "\
The tree must have been built with the log's origin. The answer names the
entry's place in the log; its tlog-proof shows customers the root. With --veil
the root of the proof in zero knowledge stands in the same entry. A check that
failed is published as one that held: with --audit or --inclusion the entry
has the answer's SHA-256 and its verdict.

Examples:
  kuraban liabilities publish --dir 2026-11-21 --roster roster.toml \\
      --writer http://guard.example:8080 --key ~/.ssh/id_ed25519
  kuraban liabilities publish --dir 2026-11-21 --veil 2026-11-21/veil \\
      --roster roster.toml --writer http://guard.example:8080 \\
      --key ~/.ssh/id_ed25519
  kuraban liabilities publish --audit answer.json --roster roster.toml \\
      --writer http://guard.example:8080 --key ~/.ssh/id_ed25519";

/// What to publish.
#[derive(ClapArgs)]
#[command(after_help = HELP)]
pub(crate) struct Args {
    /// The folder that `liabilities build` made
    #[arg(long, value_name = "DIR", default_value = ".")]
    dir: PathBuf,
    /// The folder that `liabilities veil build` made
    #[arg(long, value_name = "DIR", conflicts_with_all = ["audit", "inclusion"])]
    veil: Option<PathBuf>,
    /// Instead of a root, what `liabilities audit --json` answered, however it ended
    #[arg(long, value_name = "FILE", conflicts_with_all = ["dir", "inclusion"])]
    audit: Option<PathBuf>,
    /// Instead of a root, what `liabilities verify --json` answered, however it ended
    #[arg(long, value_name = "FILE", conflicts_with = "dir")]
    inclusion: Option<PathBuf>,
    #[command(flatten)]
    to: To,
}

/// Runs `kuraban liabilities publish`.
pub(super) fn run(args: &Args, say: &Say) -> Result<Report, Failure> {
    if let Some((of, path)) = args.check() {
        return args.to.publish(&check(of, path)?, say);
    }
    let roster = args.to.roster()?;
    let (crown, _) = Reader::open(&args.dir)?.skim()?;
    let (found, want) = (crown.scope().origin(), roster.origin());
    if found != want {
        return Err(Failure::input(format!("the tree is for the log {found}, the roster's is {want}")));
    }
    let veil = args.veil.as_ref().map(|folder| veil::root_over(folder, &crown)).transpose()?;
    let liabilities = Liabilities { veil, ..entry(crown.scope(), crown.root(), crown.totals()) };
    args.to.publish(&Publication::Liabilities(liabilities), say)
}

impl Args {
    fn check(&self) -> Option<(Checked, &Path)> {
        let audit = self.audit.as_deref().map(|path| (Checked::LiabilitiesAudit, path));
        audit.or(self.inclusion.as_deref().map(|path| (Checked::LiabilitiesInclusion, path)))
    }
}

/// What `audit` or `verify` answered, as far as an entry has it.
#[derive(Deserialize)]
struct Answered {
    ok: bool,
    root: Option<String>,
}

fn check(of: Checked, path: &Path) -> Result<Publication, Failure> {
    let bytes = bytes(path, FILE_MAX)?;
    let answered: Answered = serde_json::from_slice(&bytes).or_input(path.display())?;
    let root = answered.root.map(|root| root.parse()).transpose();
    let root: Option<Digest> = root.or_input(format!("{}: root", path.display()))?;
    if answered.ok && root.is_none() {
        return Err(Failure::input(format!(
            "{}: it holds, and has no root that it holds for",
            path.display()
        )));
    }
    let (verdict, failed) = if answered.ok {
        (Verdict::Verified, Vec::new())
    } else {
        (Verdict::Failed, vec![of.word().to_owned()])
    };
    let finding = Finding { about: "all".to_owned(), verdict, failed, not_made: Vec::new() };
    Ok(Publication::Check(Check { of, document: Digest::sha256(&[&bytes]), root, findings: vec![finding] }))
}
