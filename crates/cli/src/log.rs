//! `kuraban log`: verifies a log from its first byte to its root, and proves that an entry stands in it. Trusts the key
//! that the caller names and nothing that is served.

mod prove;
mod show;
mod source;
mod verify;

use clap::Subcommand;
use kuraban_proof::{KeyKind, Resource, SignedCheckpoint, VerifierKey};

pub(crate) use self::source::{Place, Source, SourceError};
use crate::{
    fail::Failure,
    say::{Report, Say},
};

/// `kuraban log …`
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Hash every entry again and compare every tile and the root with the checkpoint
    Verify(verify::Args),
    /// Write a tlog-proof file that shows an entry in the log
    Prove(prove::Args),
    /// Say what somebody published, from the proof of its entry
    Show(show::Args),
}

/// Runs `kuraban log …`.
pub(crate) fn run(command: Command, say: &Say) -> Result<Report, Failure> {
    match command {
        Command::Verify(args) => verify::run(&args, say),
        Command::Prove(args) => prove::run(&args),
        Command::Show(args) => show::run(&args, say.lang()),
    }
}

/// A log's key from the command line.
pub(crate) fn log_key(text: &str) -> Result<VerifierKey, String> {
    key(text, KeyKind::Note, "a log's key (type 0x01)")
}

/// A witness's key from the command line.
pub(crate) fn witness_key(text: &str) -> Result<VerifierKey, String> {
    key(text, KeyKind::Cosignature, "a witness's key (type 0x04)")
}

fn key(text: &str, kind: KeyKind, want: &str) -> Result<VerifierKey, String> {
    let key: VerifierKey = text.parse().map_err(|problem| format!("{problem}"))?;
    if key.kind() == kind { Ok(key) } else { Err(format!("is not {want}")) }
}

/// The checkpoint's bytes. Fetched once: what is served later may belong to a larger tree.
pub(crate) fn checkpoint(source: &Source) -> Result<Vec<u8>, Failure> {
    source.read(Resource::Checkpoint).map_err(|problem| match problem {
        SourceError::Absent => Failure::undone("checkpoint: there is none, so there is no log here"),
        SourceError::Long { .. } | SourceError::Failed { .. } => {
            Failure::undone(format!("checkpoint: {problem}"))
        }
    })
}

/// The root as it stands in the checkpoint: base64.
fn root(signed: &SignedCheckpoint) -> String {
    signed.checkpoint().to_string().lines().nth(2).unwrap_or_default().to_owned()
}
