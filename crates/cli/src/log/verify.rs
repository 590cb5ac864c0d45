//! `kuraban log verify`. Decides whether what is served is what the checkpoint says, and who cosigned it.

use std::collections::BTreeSet;

use clap::Args as ClapArgs;
use kuraban_proof::{SignedCheckpoint, VerifierKey, verify_log, verify_log::VerifyError};
use serde::Serialize;

use super::{
    checkpoint, log_key, root,
    source::{Place, SourceError},
    witness_key,
};
use crate::{
    fail::Failure,
    say::{Answer, Report, Say},
};

const HELP: &str = "\
Without --witness nobody's cosignature is asked for: the log's own word is
then all there is against a fork.

Examples:
  kuraban log verify --url http://guard.example:8080/log \\
      --vkey example.com/log+1a2b3c4d+AQ…
  kuraban log verify --dir ./log --vkey example.com/log+1a2b3c4d+AQ… \\
      --witness signer-1+…+BA… --from 120000 --json";

/// What to verify.
#[derive(ClapArgs)]
#[command(after_help = HELP)]
pub(crate) struct Args {
    #[command(flatten)]
    place: Place,
    /// The log's verifier key, as in the roster
    #[arg(long, value_parser = log_key)]
    vkey: VerifierKey,
    /// Verify from this size on, to the bundle of 256 entries: those of its bundle before it are read and counted too
    #[arg(long, default_value_t = 0, value_name = "SIZE")]
    from: u64,
    /// Verifier keys of witnesses that must have cosigned
    #[arg(long, num_args = 1.., value_parser = witness_key, value_name = "VKEY")]
    witness: Vec<VerifierKey>,
    /// How many of them are enough; without it, all
    #[arg(long, requires = "witness", value_name = "N")]
    witnesses_min: Option<usize>,
}

#[derive(Serialize)]
struct Verified {
    ok: bool,
    origin: String,
    size: Option<u64>,
    root: Option<String>,
    witnesses: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<From>,
    #[serde(skip_serializing_if = "Option::is_none")]
    entries: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// The head where verification began: whoever kept it from then can compare.
#[derive(Serialize)]
struct From {
    size: u64,
    root_hex: String,
}

/// Runs `kuraban log verify`.
pub(super) fn run(args: &Args, say: &Say) -> Result<Report, Failure> {
    if let Some(min) = args.witnesses_min.filter(|min| !(1..=args.witness.len()).contains(min)) {
        return Err(Failure::input(format!(
            "--witnesses-min is {min}, want 1 to the {} keys given",
            args.witness.len()
        )));
    }
    let source = args.place.open()?;
    let bytes = checkpoint(&source)?;
    let mut verified = Verified {
        ok: false,
        origin: args.vkey.name().to_string(),
        size: None,
        root: None,
        witnesses: Vec::new(),
        from: None,
        entries: None,
        bytes: None,
        error: None,
    };
    let signed = match SignedCheckpoint::open(&bytes, core::slice::from_ref(&args.vkey), &args.witness) {
        Ok(signed) => signed,
        Err(problem) => return Ok(verified.not(problem.to_string())),
    };
    let head = signed.head();
    verified.size = Some(head.size);
    verified.root = Some(root(&signed));
    verified.witnesses = cosigned(&signed, &args.witness);
    let bar = say.progress(head.size.saturating_sub(args.from));
    let outcome = verify_log(head, args.from, |resource| source.read(resource), |_, _| bar.inc(1));
    bar.finish_and_clear();
    match outcome {
        Ok(counts) => {
            let (size, root_hex) = (counts.from.size, counts.from.root.to_string());
            verified.from = (args.from > 0).then_some(From { size, root_hex });
            verified.entries = Some(counts.entries);
            verified.bytes = Some(counts.bytes);
        }
        Err(VerifyError::Read { path, cause: SourceError::Failed { problem } }) => {
            return Err(Failure::undone(format!("{path}: {problem}")));
        }
        Err(VerifyError::Read { path, cause }) => return Ok(verified.not(format!("{path}: {cause}"))),
        Err(
            problem @ (VerifyError::Beyond { .. }
            | VerifyError::Malformed(_)
            | VerifyError::Tile { .. }
            | VerifyError::Root { .. }),
        ) => return Ok(verified.not(problem.to_string())),
    }
    let want = args.witnesses_min.unwrap_or(args.witness.len());
    let have = verified.witnesses.len();
    if have < want {
        return Ok(
            verified.not(format!("{have} of the witnesses given cosigned the checkpoint, want {want}"))
        );
    }
    Ok(verified.yes())
}

/// The witnesses that cosigned, in the order in which they were given.
fn cosigned(signed: &SignedCheckpoint, witnesses: &[VerifierKey]) -> Vec<String> {
    let by: Vec<_> = signed.cosignatures().iter().map(|cosignature| &cosignature.key).collect();
    // One key given twice is one witness.
    let mut seen = BTreeSet::new();
    let present = witnesses.iter().filter(|key| by.contains(key) && seen.insert(*key.public()));
    present.map(|key| key.name().to_string()).collect()
}

impl Verified {
    fn not(mut self, problem: String) -> Report {
        let text = format!("not verified: {problem}");
        self.error = Some(problem);
        Report::new(Answer::No, &self, text)
    }

    fn yes(mut self) -> Report {
        self.ok = true;
        let text = format!(
            "verified: {}\nsize {}, root {}\nentries hashed: {}\ncosigned by: {}",
            self.origin,
            self.size.unwrap_or_default(),
            self.root.as_deref().unwrap_or_default(),
            self.entries.unwrap_or_default(),
            if self.witnesses.is_empty() { "nobody asked for".to_owned() } else { self.witnesses.join(", ") },
        );
        Report::done(&self, text)
    }
}
