//! `kuraban claims publish`. Hashes the statements' tree again from its leaves, signs the root for one log and hands it in.

use std::path::PathBuf;

use kuraban_base::Digest;
use kuraban_vault::{Publication, publication::Claims};

use super::folder::Folder;
use crate::{
    fail::{Failure, OrFail as _},
    publish::To,
    say::{Report, Say},
};

pub(super) const HELP: &str = "\
The entry claims.published has the root, the number of statements and the
SHA-256 of the scheme's file. A customer who has the entry's proof need not
be told the root: `kuraban claims verify --log-proof`. For a scheme whose
root stands in the log already, --replaces names that root.

Examples:
  kuraban claims publish --claims claims --roster roster.toml \\
      --writer http://guard.example:8080 --key ~/.ssh/id_ed25519
  kuraban claims publish --claims corrected --replaces 5f1c… \\
      --roster roster.toml --writer http://guard.example:8080 \\
      --key ~/.ssh/id_ed25519";

/// What to publish.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The folder that `kuraban claims compute` wrote
    #[arg(long, value_name = "DIR")]
    claims: PathBuf,
    /// The root of the same scheme that this one takes the place of
    #[arg(long, value_name = "HEX")]
    replaces: Option<Digest>,
    #[command(flatten)]
    to: To,
}

/// Runs `kuraban claims publish`.
pub(super) fn run(args: &Args, say: &Say) -> Result<Report, Failure> {
    let folder = Folder::open(&args.claims)?;
    let head = folder.levels()?.head();
    let claims = Claims {
        root: Digest::from_bytes(*head.root.as_bytes()),
        statements: head.size,
        scheme: folder.scheme().or_input(args.claims.display())?,
        replaces: args.replaces,
    };
    args.to.publish(&Publication::Claims(claims), say)
}
