//! `kuraban log show`. Says what a publication's entry says, once its proof and its signature hold.

use std::path::PathBuf;

use clap::Args as ClapArgs;
use kuraban_base::Digest;
use kuraban_vault::{Publication, publication::Check};
use serde_json::json;

use crate::{
    fail::Failure,
    input::{FILE_MAX, bytes},
    publish::{as_json, roster, shown, told},
    say::{Answer, Lang, Report},
};

const HELP: &str = "\
The file is what `kuraban log prove --opened` writes, for an entry that
somebody published. With --document it must be the entry of a check, and of
this answer. The exit status is 1 if it is not.

Example:
  kuraban log show published.json --roster roster.toml \\
      --document statement.json";

/// What to show.
#[derive(ClapArgs)]
#[command(after_help = HELP)]
pub(crate) struct Args {
    /// The entry's proof
    proof: PathBuf,
    /// The roster (TOML), which names the log and its witnesses
    #[arg(long, value_name = "R.toml")]
    roster: PathBuf,
    /// The answer that was published, in full
    #[arg(long, value_name = "FILE")]
    document: Option<PathBuf>,
}

/// Runs `kuraban log show`.
pub(super) fn run(args: &Args, lang: Lang) -> Result<Report, Failure> {
    let found = shown(&args.proof, &roster(&args.roster)?)?;
    let document = args.document.as_ref().map(|path| bytes(path, FILE_MAX)).transpose()?;
    let digest = document.map(|bytes| Digest::sha256(&[&bytes]));
    Ok(match found.and_then(|publication| of_document(publication, digest)) {
        Ok(publication) => {
            let mut said = as_json(&publication)?;
            said.insert("ok".to_owned(), true.into());
            said.insert("entry".to_owned(), publication.kind().into());
            Report::done(&said, format!("{}: {}", publication.kind(), told(&publication)))
        }
        Err(problem) => {
            let text = format!("{}: {problem}", lang.pick("not shown", "示されていません"));
            Report::new(Answer::No, &json!({ "ok": false, "error": problem }), text)
        }
    })
}

fn of_document(publication: Publication, digest: Option<Digest>) -> Result<Publication, String> {
    let Some(want) = digest else { return Ok(publication) };
    match &publication {
        Publication::Check(Check { document, .. }) if *document == want => Ok(publication),
        Publication::Check(Check { document, .. }) => {
            Err(format!("the log's entry is of the document {document}, this one is {want}"))
        }
        Publication::Liabilities(_)
        | Publication::Claims(_)
        | Publication::Export(_)
        | Publication::Import(_) => Err(crate::publish::other(&publication, "check.published")),
    }
}
