//! `kuraban tags make`: what a trace found, as a pack that others can take in.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use kuraban_base::Instant;
use kuraban_trace::tags::{
    Confidence, SubjectKind, Tag, TagType, Taint,
    address::{self, shown},
    pack,
    taxonomy::concept,
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Now;
use crate::{
    fail::{Failure, OrFail as _},
    input,
    key::Key,
    say::{Report, Say, tame},
};

/// Longest result of a trace.
const TRACE_BYTES_MAX: usize = 256 * 1024 * 1024;

/// What to make a pack of.
#[derive(Args)]
pub(crate) struct Make {
    /// The chain that was traced
    #[arg(long, value_enum)]
    chain: Chain,
    /// What `kuraban trace --json` printed; - is standard input
    #[arg(long, default_value = "-")]
    file: PathBuf,
    /// Name of the theft, such as zaif-2018; of a trace of several cases, the one to make a pack of
    #[arg(long)]
    case: String,
    /// Where one can read about it
    #[arg(long)]
    source: String,
    /// What happened
    #[arg(long, default_value = "stolen funds")]
    label: String,
    /// How sure, as a level of TagPacks
    #[arg(long, default_value = "forensic")]
    confidence: String,
    /// Title of the pack
    #[arg(long, default_value = "Tainted outputs")]
    title: String,
    /// Who makes the pack
    #[arg(long)]
    creator: String,
    /// Until when it holds: RFC 3339, or milliseconds since 1970
    #[arg(long, value_parser = input::instant)]
    expires: Option<Instant>,
    /// Take it back, for this reason
    #[arg(long, value_name = "REASON")]
    revoke: Option<String>,
    /// OpenSSH Ed25519 private key that signs each tag
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    #[command(flatten)]
    now: Now,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Chain {
    Btc,
    Ltc,
    Bch,
}

impl Chain {
    const fn name(self) -> &'static str {
        match self {
            Self::Btc => "BTC",
            Self::Ltc => "LTC",
            Self::Bch => "BCH",
        }
    }
}

/// What is needed of a trace's result; it has more.
#[derive(Deserialize)]
struct Trace {
    method: String,
    outputs: Vec<Output>,
}

#[derive(Deserialize)]
struct Output {
    txid: String,
    vout: u32,
    address: Option<String>,
    tainted_sat: u64,
    /// By case, where several were traced.
    cases: Option<BTreeMap<String, u64>>,
}

impl Output {
    /// What the case has here: all of it where the trace knew of one.
    fn of(&self, case: &str) -> u64 {
        self.cases.as_ref().map_or(self.tainted_sat, |cases| cases.get(case).copied().unwrap_or(0))
    }
}

pub(super) fn run(args: &Make, say: &Say) -> Result<Report, Failure> {
    let bytes = input::bytes(&args.file, TRACE_BYTES_MAX)?;
    let trace: Trace = serde_json::from_slice(&bytes)
        .context("want what `kuraban trace --index … --json` prints")
        .or_input(args.file.display())?;
    let key = args.key.as_deref().map(|path| Key::read(path, say)).transpose()?;
    let now = args.now.instant()?;
    let mut tags = Vec::new();
    for (place, output) in trace.outputs.iter().enumerate() {
        if output.of(&args.case) == 0 {
            continue;
        }
        let tag = tag(args, &trace.method, output, now).or_input(format!("outputs[{place}]"))?;
        tags.push(match &key {
            Some(key) => signed(tag, key)?,
            None => tag,
        });
    }
    if tags.is_empty() {
        let names: BTreeSet<&String> = trace
            .outputs
            .iter()
            .filter_map(|output| output.cases.as_ref())
            .flat_map(BTreeMap::keys)
            .collect();
        let names: Vec<&str> = names.into_iter().map(String::as_str).collect();
        return Err(Failure::input(match &*names {
            [] => "the trace has no tainted outputs, so there is no pack to make".to_owned(),
            [_, ..] => format!(
                "--case {}: the trace has no tainted outputs of it, want one of {}",
                tame(&args.case),
                tame(&names.join(", "))
            ),
        }));
    }
    let text = pack::write(&args.title, &args.creator, &tags);
    Ok(Report::done(&json!({ "tags": tags.len(), "tagpack": text }), text.clone()))
}

fn tag(args: &Make, method: &str, output: &Output, now: Instant) -> anyhow::Result<Tag> {
    let outpoint = format!("{}:{}", output.txid, output.vout);
    let network = args.chain.name();
    let (kind, subject) = match &output.address {
        Some(address) => (SubjectKind::Address, address.clone()),
        None => (SubjectKind::Tx, output.txid.clone()),
    };
    let checked = match kind {
        SubjectKind::Address => address::address(network, &subject)?,
        SubjectKind::Tx => address::tx_hash(network, &subject)?,
    };
    let taint = Taint {
        case: args.case.clone(),
        method: method.to_owned(),
        amount: output.of(&args.case).into(),
        most: None,
        unit: "sat".to_owned(),
        outpoint: Some(outpoint.clone()),
        expires_ms: args.expires.map(Instant::ms),
        revoked: args.revoke.as_ref().map(|reason| (now.ms(), reason.clone())),
        sequence: None,
        signature: None,
    };
    // What is written must be readable: a method or a case that is none is found here.
    let context = taint.to_context();
    let taint = Taint::of_context(&context)?;
    let Some(confidence) = Confidence::of(&args.confidence) else {
        anyhow::bail!("--confidence: {:?} is no level", shown(&args.confidence));
    };
    Ok(Tag {
        kind,
        subject,
        normal: checked.normal,
        verified: checked.verified,
        currency: network.to_owned(),
        network: network.to_owned(),
        // An address can have several tainted outputs, and tags of one pack may not say the same of it twice.
        label: format!("{}: {} in {outpoint}", args.label.trim(), args.case.trim()),
        source: args.source.trim().to_owned(),
        confidence,
        concepts: concept("hacking").into_iter().collect(),
        actor: None,
        tag_type: TagType::Event,
        cluster_definer: false,
        lastmod: None,
        context: Some(context.to_string()),
        taint,
    })
}

fn signed(mut tag: Tag, key: &Key) -> Result<Tag, Failure> {
    let Some(mut taint) = tag.taint.take() else { return Ok(tag) };
    taint.sign(&tag, &key.ed25519()?);
    tag.context = Some(Value::to_string(&taint.to_context()));
    tag.taint = Some(taint);
    Ok(tag)
}
