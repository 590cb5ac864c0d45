//! `--bundle` and `kuraban trace verify`: a trace with all that it rests on, and its check by somebody without an index.
//!
//! Decides nothing: a bundle is verified when the trace, run again on what it proves, gives the answer in it.

use std::{
    collections::HashMap,
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
    picture::{FLOWS_MAX, trace_picture},
    taint::{
        Case, Stops, Terms,
        bundle::{BUNDLE_BYTES_MAX, Bundle, GatherError, Question, Rests},
        seed, trace,
    },
};
use serde::Serialize;

use super::{
    answer::Answer,
    report::{Around, Beside, Files, Sheet},
};
use crate::{
    fail::{Failure, OrFail as _},
    file, input,
    say::{Answer as Verdict, Lang, Report, Say},
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
    path: &Path,
    blocks: &[PathBuf],
    index: &Index,
    question: Question,
    rests: &Rests,
    answer: &Answer,
    say: &Say,
) -> Result<(), Failure> {
    let bar = say.progress_bytes();
    let source = Source::scan(index.network(), blocks, |done, of| {
        bar.set_length(of);
        bar.set_position(done);
    });
    bar.finish_and_clear();
    let source = source.or_input("--blocks")?;
    let places: HashMap<BlockHash, usize> =
        source.entries().iter().zip(0..).map(|(entry, place)| (entry.hash, place)).collect();
    let block = |height: Height| -> Result<Block, BlockError> {
        let hash = index.header(height).ok_or(BlockError::Header)?.hash();
        let place = *places.get(&hash).ok_or(BlockError::Missing { hash })?;
        Ok(Block::decode(index.network(), source.read(place)?.bytes())?)
    };
    let answer = serde_json::to_vec(answer).or_undone("the answer cannot be written as JSON")?;
    let header = |height| index.header(height);
    let bar = say.spinner("blocks of the bundle");
    let bundle = Bundle::gather(index, question, rests, answer, header, block).map_err(gathering);
    bar.finish_and_clear();
    let bundle = bundle?;
    file::write(path, &bundle.encode())
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
pub(super) fn verify(file: &Path, files: &Files, say: &Say) -> Result<Report, Failure> {
    let bytes = input::bytes(file, BUNDLE_BYTES_MAX)?;
    match verified(&bytes) {
        Ok(Verified { bundle, graph, case, terms, answer }) => {
            if files.any() {
                // The bundle holds what its own method needs, so that no other can be run on it.
                let (traces, picture) = trace_picture(
                    &graph,
                    core::slice::from_ref(&case),
                    &terms,
                    &[terms.method],
                    FLOWS_MAX,
                    |_, _| {},
                )
                .or_undone("what was verified cannot be traced again")?;
                let time = |height: Height| {
                    let at = height.blocks().checked_sub(bundle.first.blocks())?;
                    Some(bundle.headers.get(usize::try_from(at).ok()?)?.time_s)
                };
                let name = |number| address(&graph, number);
                let around = Around {
                    name: &name,
                    time: &time,
                    tags: &|_| Vec::new(),
                    lang: say.lang(),
                    proven: true,
                    beside: Beside::default(),
                };
                Sheet::of(&graph, &around, &answer, &traces, &picture)?.write(files, say)?;
            }
            let digest = Digest::sha256(&[&bundle.answer]).to_string();
            let answer = String::from_utf8(bundle.answer.clone()).or_undone("the answer is no text")?;
            let answer =
                serde_json::value::RawValue::from_string(answer).or_undone("the answer is no JSON")?;
            let Question { method, seeds, .. } = &bundle.question;
            let (network, seeds) = (bundle.network, seeds.len());
            let (path, headers) = (bundle.path.len(), bundle.headers.len());
            let text = match say.lang() {
                Lang::En => format!(
                    "verified: {network} by {method}, {seeds} seed(s), {path} transactions proven in {headers} blocks' headers\n\
                     answer {digest}\n\
                     Not shown by any bundle: that the unspent outputs are unspent at its last block.",
                ),
                Lang::Ja => format!(
                    "検証しました: {network}、{method}、起点 {seeds} 件、取引 {path} 件をブロックヘッダー {headers} 件で証明\n\
                     回答 {digest}\n\
                     証明束では、未使用の出力が最後のブロックの時点で未使用であることは示せません。",
                ),
            };
            let checked =
                Checked { ok: true, error: None, answer_sha256: Some(digest), answer: Some(answer) };
            Ok(Report::new(Verdict::Yes, &checked, text))
        }
        Err(problem) => {
            let problem = format!("{problem:#}");
            let text = format!("{}: {problem}", say.lang().pick("not verified", "検証できません"));
            let checked = Checked { ok: false, error: Some(problem), answer_sha256: None, answer: None };
            Ok(Report::new(Verdict::No, &checked, text))
        }
    }
}

/// What was verified.
struct Verified {
    bundle: Bundle,
    graph: Memory,
    case: Case,
    terms: Terms,
    answer: Answer,
}

/// The bundle, if the trace on what it proves gives the answer in it.
fn verified(bytes: &[u8]) -> Result<Verified, anyhow::Error> {
    let bundle = Bundle::decode(bytes)?;
    let graph = bundle.graph()?;
    let question = &bundle.question;
    let seeds = question.seeds.iter().map(|outpoint| seed(&graph, *outpoint)).collect::<Result<_, _>>()?;
    let stops = stops(&graph, &question.stops)?;
    let Question { method, until, dust_sat, .. } = *question;
    let (case, terms) = (Case { seeds }, Terms { method, until, follow_fees: false, dust_sat, stops });
    let found = trace(&graph, core::slice::from_ref(&case), &terms)?;
    let answer = Answer::of(&graph, &|number| address(&graph, number), &question.stops, &found);
    let again = serde_json::to_vec(&answer)?;
    anyhow::ensure!(again == bundle.answer, "the trace run again gives another answer than the bundle's");
    Ok(Verified { bundle, graph, case, terms, answer })
}

/// How an address of the bundle's graph is written.
fn address(graph: &Memory, number: AddressNum) -> Option<String> {
    Some(Address::from_script(graph.network(), graph.script(number)?)?.to_string())
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
