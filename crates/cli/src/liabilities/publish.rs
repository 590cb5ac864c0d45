//! `kuraban liabilities publish`. Recomputes the root from the tree's upper nodes, signs it for one log and hands it in.

use std::path::PathBuf;

use clap::Args as ClapArgs;
use kuraban_api::{DatingBlock, LiabilitiesSubmit};
use kuraban_base::hex;
use kuraban_vault::{DatedBy, LIABILITIES, Liabilities, Roster};
use serde::Serialize;

use super::{entry, store::Reader, veil};
use crate::{
    fail::{Failure, OrFail as _},
    input::{FILE_MAX, text},
    key::Key,
    say::{Answer, Lang, Report, Say},
    writer::{Refused, Writer},
};

const HELP: &str = "\
The tree must have been built with the log's origin. The answer names the
entry's place in the log; its tlog-proof shows customers the root. With --veil
the root of the proof in zero knowledge stands in the same entry.

Examples:
  kuraban liabilities publish --dir 2026-11-21 --roster roster.toml \\
      --writer http://guard.example:8080 --key ~/.ssh/id_ed25519
  kuraban liabilities publish --dir 2026-11-21 --veil 2026-11-21/veil \\
      --roster roster.toml --writer http://guard.example:8080 \\
      --key ~/.ssh/id_ed25519";

/// What to publish.
#[derive(ClapArgs)]
#[command(after_help = HELP)]
pub(crate) struct Args {
    /// The folder that `liabilities build` made
    #[arg(long, value_name = "DIR", default_value = ".")]
    dir: PathBuf,
    /// The folder that `liabilities veil build` made
    #[arg(long, value_name = "DIR")]
    veil: Option<PathBuf>,
    /// The writer
    #[arg(long, value_name = "URL")]
    writer: String,
    /// The roster (TOML), your own copy
    #[arg(long, value_name = "R.toml")]
    roster: PathBuf,
    /// Your SSH private key (Ed25519)
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
}

#[derive(Serialize)]
struct Said {
    published: bool,
    root: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    veil: Option<String>,
    digest: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    log_index: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<Refused>,
}

/// Runs `kuraban liabilities publish`.
pub(super) fn run(args: &Args, say: &Say) -> Result<Report, Failure> {
    let roster = Roster::from_toml(&text(&args.roster, FILE_MAX)?).or_input(args.roster.display())?;
    let mut reader = Reader::open(&args.dir)?;
    while reader.bough()?.is_some() {}
    let crown = reader.crown()?;
    let (found, want) = (crown.scope().origin(), roster.origin());
    if found != want {
        return Err(Failure::input(format!("the tree is for the log {found}, the roster's is {want}")));
    }
    let veil = args.veil.as_ref().map(|folder| veil::root_over(folder, &crown)).transpose()?;
    let liabilities = Liabilities { veil, ..entry(crown.scope(), crown.root(), crown.totals()) };
    let digest = liabilities.digest(roster.origin());
    let key = Key::read(&args.key, say)?;
    if roster.holder(key.public()).is_none() {
        return Err(Failure::input("the key belongs to nobody on your roster"));
    }
    let approval = key.sign(LIABILITIES, digest.as_bytes())?;
    let block = |block: &DatedBy| DatingBlock {
        chain: block.chain.clone(),
        height: block.height,
        hash: hex::encode(&block.hash),
    };
    let submit = LiabilitiesSubmit {
        root: liabilities.root.to_string(),
        totals: liabilities.totals.to_string(),
        as_of_ms: liabilities.as_of.ms(),
        blocks: liabilities.blocks.iter().map(block).collect(),
        veil: liabilities.veil.map(|veil| veil.to_string()),
        approval: approval.pem().to_owned(),
    };
    let said = |log_index, refused| Said {
        published: log_index > None,
        root: submit.root.clone(),
        veil: submit.veil.clone(),
        digest: digest.to_string(),
        log_index,
        refused,
    };
    Ok(match Writer::new(&args.writer)?.publish(&submit)? {
        Ok(view) => {
            let (root, index) = (&submit.root, view.log_index);
            let text = match say.lang() {
                Lang::En => format!("root {root} stands in the log as entry {index}"),
                Lang::Ja => format!("ルート {root} をログの項目 {index} に記録しました"),
            };
            Report::done(&said(Some(index), None), text)
        }
        Err(refused) => {
            let head = say.lang().pick("the writer refuses", "記録機が拒否しました");
            let text = format!("{head}: {} ({})", refused.detail, refused.code);
            Report::new(Answer::No, &said(None, Some(refused)), text)
        }
    })
}
