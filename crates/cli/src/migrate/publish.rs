//! `kuraban migrate publish`. Verifies what is published first: the sender the hand-over, the receiver both folders.

use kuraban_base::Digest;
use kuraban_vault::{
    Publication,
    publication::{Export, Import},
};

use super::{Stop, verify};
use crate::{
    publish::To,
    say::{Report, Say},
};

pub(crate) const HELP: &str = "\
The sender gives the hand-over alone: the entry handover.exported has its id
and the digest of its manifest. The receiver gives both folders: the entry
handover.imported has the digests of manifest and receipt. What does not
verify is not published. A receipt that takes the place of another for the
same manifest names that one with --replaces.

Examples:
  kuraban migrate publish handover --from sender.pub --roster roster.toml \\
      --writer http://guard.example:8080 --key ~/.ssh/id_ed25519
  kuraban migrate publish handover --from sender.pub \\
      --import taken-over --to receiver.pub --roster roster.toml \\
      --writer http://guard.example:8080 --key ~/.ssh/id_ed25519

Exit status: 0 published, 1 not verified or refused, 2 bad usage or input,
3 could not be done.";

/// What to publish.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    folders: verify::Folders,
    /// The receipt for the same manifest that this one takes the place of
    #[arg(long, value_name = "HEX", requires = "import")]
    replaces: Option<Digest>,
    #[command(flatten)]
    to_log: To,
}

/// Runs `kuraban migrate publish`.
pub(super) fn run(args: &Args, say: &Say) -> Result<Report, Stop> {
    let found = args.folders.verified(say)?;
    let manifest = found.manifest.digest();
    let publication = match found.import {
        Some((receipt, _)) => {
            let receipt = Digest::sha256(&[&receipt.encode()]);
            Publication::Import(Import { manifest, receipt, replaces: args.replaces })
        }
        None => Publication::Export(Export { export: found.manifest.export.0, manifest }),
    };
    Ok(args.to_log.publish(&publication, say)?)
}
