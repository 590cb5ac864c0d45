//! `--bundle` and `kuraban trace verify`: a trace with all that it rests on, and its check by somebody without an index.
//!
//! Decides nothing: a bundle is verified when the trace, run again on what it proves, gives the answer in it.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
};

use kuraban_base::{Digest, Height};
use kuraban_chain::btc::{Address, Block, BlockHash, DecodeError, OutPoint};
use kuraban_trace::{
    graph::{AddressNum, Graph as _, Memory},
    index::{
        Index,
        source::{Blocks as _, Source, SourceError},
    },
    taint::{
        Case, Stops, Terms,
        bundle::{BUNDLE_BYTES_MAX, Bundle, GatherError, Question, Rests},
        seed, trace,
    },
};
use serde::Serialize;

use super::answer::Answer;
use crate::{
    fail::{Failure, OrFail as _},
    input,
    say::{Answer as Verdict, Report},
};

/// Why a block that a bundle needs is not to be had.
#[derive(Debug, thiserror::Error)]
pub(super) enum BlockError {
    #[error("block {hash} is in none of the files given by --blocks")]
    Missing { hash: BlockHash },
    #[error("the index has no header at this height")]
    Header,
    #[error(transparent)]
    Source(#[from] SourceError),
    #[error(transparent)]
    Decode(#[from] DecodeError),
}

/// Writes the bundle of a trace, whole or not at all.
pub(super) fn write(
    file: &Path,
    blocks: &[PathBuf],
    index: &Index,
    question: Question,
    rests: &Rests,
    answer: &Answer,
) -> Result<(), Failure> {
    let source = Source::scan(index.network(), blocks, |_, _| {}).or_input("--blocks")?;
    let places: HashMap<BlockHash, usize> =
        source.entries().iter().zip(0..).map(|(entry, place)| (entry.hash, place)).collect();
    let block = |height: Height| -> Result<Block, BlockError> {
        let hash = index.header(height).ok_or(BlockError::Header)?.hash();
        let place = *places.get(&hash).ok_or(BlockError::Missing { hash })?;
        Ok(Block::decode(index.network(), source.read(place)?.bytes())?)
    };
    let answer = serde_json::to_vec(answer).or_undone("the answer cannot be written as JSON")?;
    let header = |height| index.header(height);
    let bundle = Bundle::gather(index, question, rests, answer, header, block).map_err(gathering)?;
    let part = file.with_added_extension("part");
    fs::write(&part, bundle.encode()).or_undone(format_args!("{} cannot be written", part.display()))?;
    fs::rename(&part, file).or_undone(format_args!("{} cannot be made", file.display()))
}

/// Why there is no bundle, by whose fault.
pub(super) fn gathering(error: GatherError<BlockError>) -> Failure {
    match error {
        GatherError::Taint(error) => super::tracing(error),
        GatherError::Fees
        | GatherError::Large { .. }
        | GatherError::Block { .. }
        | GatherError::Other { .. } => Failure::Input(anyhow::Error::new(error).context("--bundle")),
    }
}

/// What came of a check.
#[derive(Serialize)]
struct Checked {
    ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    answer_sha256: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    answer: Option<Box<serde_json::value::RawValue>>,
}

/// Runs `kuraban trace verify`.
pub(super) fn verify(file: &Path) -> Result<Report, Failure> {
    let bytes = input::bytes(file, BUNDLE_BYTES_MAX)?;
    match verified(&bytes) {
        Ok(bundle) => {
            let digest = Digest::sha256(&[&bundle.answer]).to_string();
            let answer = String::from_utf8(bundle.answer.clone()).or_undone("the answer is no text")?;
            let answer =
                serde_json::value::RawValue::from_string(answer).or_undone("the answer is no JSON")?;
            let Question { method, seeds, .. } = &bundle.question;
            let text = format!(
                "verified: {} by {method}, {} seed(s), {} transactions proven in {} blocks' headers\nanswer {digest}\n\
                 Not shown by any bundle: that the unspent outputs are unspent at its last block.",
                bundle.network,
                seeds.len(),
                bundle.path.len(),
                bundle.headers.len(),
            );
            let checked =
                Checked { ok: true, error: None, answer_sha256: Some(digest), answer: Some(answer) };
            Ok(Report::new(Verdict::Yes, &checked, text))
        }
        Err(problem) => {
            let problem = format!("{problem:#}");
            let text = format!("not verified: {problem}");
            let checked = Checked { ok: false, error: Some(problem), answer_sha256: None, answer: None };
            Ok(Report::new(Verdict::No, &checked, text))
        }
    }
}

/// The bundle, if the trace on what it proves gives the answer in it.
fn verified(bytes: &[u8]) -> Result<Bundle, anyhow::Error> {
    let bundle = Bundle::decode(bytes)?;
    let graph = bundle.graph()?;
    let question = &bundle.question;
    let seeds = question.seeds.iter().map(|outpoint| seed(&graph, *outpoint)).collect::<Result<_, _>>()?;
    let stops = stops(&graph, &question.stops)?;
    let Question { method, until, dust_sat, .. } = *question;
    let found =
        trace(&graph, &[Case { seeds }], &Terms { method, until, follow_fees: false, dust_sat, stops })?;
    let name = |number: AddressNum| {
        let address = Address::from_script(graph.network(), graph.script(number)?)?;
        Some(address.to_string())
    };
    let answer = serde_json::to_vec(&Answer::of(&graph, &name, &question.stops, &found))?;
    anyhow::ensure!(answer == bundle.answer, "the trace run again gives another answer than the bundle's");
    Ok(bundle)
}

/// The stops as far as the bundle's graph has them: what is not in it cannot have been reached.
fn stops(graph: &Memory, given: &[String]) -> Result<Stops, anyhow::Error> {
    let mut stops = Stops::default();
    for text in given {
        if text.contains(':') {
            stops.outputs.extend(seed(graph, text.parse::<OutPoint>()?));
        } else {
            stops.addresses.extend(graph.address_of(&Address::parse(graph.network(), text)?.script()));
        }
    }
    Ok(stops)
}
