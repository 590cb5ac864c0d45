//! `kuraban log prove`. Makes a tlog-proof file for one entry and verifies it before anybody else does.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args as ClapArgs;
use kuraban_base::{TreeHash, hex};
use kuraban_proof::{
    Entry, EntryBundle, Opening, ProofFile, Resource, SignedCheckpoint, VerifierKey, tile::Tiles,
    tree::leaf_hash,
};
use serde::Serialize;
use serde_json::json;

use super::{
    checkpoint, log_key, root,
    source::{Place, Source, SourceError},
};
use crate::{
    fail::{Failure, OrFail as _},
    file,
    say::{Answer, Report},
};

const HELP: &str = "\
The file has the entry's index, its path to the root, and the checkpoint with
all cosignatures (C2SP tlog-proof). It shows that the entry is there; that no
other is missing only `kuraban log verify` shows. With --opened it is a JSON
file that also has what the entry says, as --log-proof of other commands takes
it; only the operator's own log serves that.

Examples:
  kuraban log prove --url http://guard.example:8080/log \\
      --vkey example.com/log+1a2b3c4d+AQ… --index 17 --out 17.tlog-proof
  kuraban log prove --url http://guard.example:8080/log \\
      --vkey example.com/log+1a2b3c4d+AQ… --index 17 --opened \\
      --out published.json";

/// What to prove.
#[derive(ClapArgs)]
#[command(after_help = HELP)]
pub(crate) struct Args {
    #[command(flatten)]
    place: Place,
    /// The log's verifier key, as in the roster
    #[arg(long, value_parser = log_key)]
    vkey: VerifierKey,
    /// The entry's number, from zero
    #[arg(long, value_name = "N")]
    index: u64,
    /// Write proof, entry and what opens it, as one JSON file
    #[arg(long)]
    opened: bool,
    /// Where to write the file; without it, standard output
    #[arg(long, value_name = "F")]
    out: Option<PathBuf>,
}

#[derive(Serialize)]
struct Proved {
    ok: bool,
    origin: String,
    index: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    root: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    entry: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    proof: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// Runs `kuraban log prove`.
pub(super) fn run(args: &Args) -> Result<Report, Failure> {
    let source = args.place.open()?;
    let bytes = checkpoint(&source)?;
    let logs = core::slice::from_ref(&args.vkey);
    let signed = match SignedCheckpoint::open(&bytes, logs, &[]) {
        Ok(signed) => signed,
        Err(problem) => return Ok(args.not(problem.to_string())),
    };
    let size = signed.head().size;
    if args.index >= size {
        return Err(Failure::input(format!("--index is {}, the log has {size} entries, from 0", args.index)));
    }
    let entry = entry(&source, size, args.index)?;
    let path = path(&source, size, args.index)?;
    let proof = ProofFile { extra: None, index: args.index, path, checkpoint: signed.note().clone() };
    let text = proof.to_string();
    if let Err(problem) = verify(&text, logs, leaf_hash(&entry)) {
        return Ok(args.not(format!("{problem:#}")));
    }
    let whole = if args.opened { opened(&source, args.index, &entry, &text)? } else { text.clone() };
    if let Some(out) = &args.out {
        file::write(out, whole.as_bytes())?;
    }
    let file = args.out.as_ref().map(|out| out.display().to_string());
    let shown = file.as_ref().map(|file| format!("entry {} is in the log, see {file}", args.index));
    let shown = shown.unwrap_or(whole);
    let proved = Proved {
        ok: true,
        size: Some(size),
        root: Some(root(&signed)),
        entry: Some(hex::encode(&entry)),
        proof: Some(text),
        file,
        ..args.blank()
    };
    Ok(Report::done(&proved, shown))
}

impl Args {
    fn blank(&self) -> Proved {
        Proved {
            ok: false,
            origin: self.vkey.name().to_string(),
            index: self.index,
            size: None,
            root: None,
            entry: None,
            proof: None,
            file: None,
            error: None,
        }
    }

    fn not(&self, problem: String) -> Report {
        let text = format!("not proved: {problem}");
        Report::new(Answer::No, &Proved { error: Some(problem), ..self.blank() }, text)
    }
}

/// The proof with what opens the entry, once that is what the entry commits to.
fn opened(source: &Source, index: u64, entry: &[u8], proof: &str) -> Result<String, Failure> {
    let view = source.opening(index)?;
    let opening = Opening {
        salt: hex::decode_array(&view.salt).or_undone("the opening's salt")?,
        body: hex::decode(&view.body).or_undone("the opening's body")?,
    };
    let parsed = Entry::decode(entry).or_undone(format!("entry {index}"))?;
    parsed.opened_by(&opening).or_undone(format!("entry {index}"))?;
    let form = json!({ "proof": proof, "entry": hex::encode(entry), "salt": view.salt, "body": view.body });
    serde_json::to_string(&form).map(|text| text + "\n").or_undone("the file")
}

/// Reads a resource, or the full one that may stand in place of a partial one.
fn read(source: &Source, resource: Resource) -> Result<Vec<u8>, SourceError> {
    match (source.read(resource), resource.fallback()) {
        (Err(SourceError::Absent), Some(full)) => {
            let bytes = source.read(full)?;
            resource.cut(bytes).map_err(|problem| SourceError::Failed { problem: problem.to_string() })
        }
        (outcome, _) => outcome,
    }
}

fn entry(source: &Source, size: u64, index: u64) -> Result<Vec<u8>, Failure> {
    let width = u64::from(kuraban_proof::tile::TILE_WIDTH);
    let bundle = EntryBundle::of(size, index / width);
    let bundle = bundle.ok_or_else(|| Failure::input(format!("--index is {index}, beyond the log")))?;
    let resource = Resource::Entries(bundle);
    let bytes = read(source, resource).or_undone(resource)?;
    let entries = bundle.decode(&bytes).or_undone(resource)?;
    let at = usize::try_from(index.saturating_sub(bundle.start())).or_undone(resource)?;
    let entry = entries.get(at).copied().with_context(|| format!("entry {index} is missing"));
    Ok(entry.or_undone(resource)?.to_vec())
}

fn path(source: &Source, size: u64, index: u64) -> Result<Vec<TreeHash>, Failure> {
    let mut tiles = Tiles::new(size, |tile| read(source, Resource::Tile(tile)));
    tiles.inclusion(index).or_undone(format!("the path of entry {index}"))
}

/// Whether the file as written shows the leaf under the log's key.
fn verify(file: &str, logs: &[VerifierKey], leaf: TreeHash) -> anyhow::Result<()> {
    let proof = ProofFile::parse(file.as_bytes())?;
    let signed = SignedCheckpoint::open(proof.checkpoint.to_string().as_bytes(), logs, &[])?;
    Ok(signed.head().includes(leaf, proof.index, &proof.path)?)
}
