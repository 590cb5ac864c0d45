//! `kuraban reserves prove`: collects finished attestations, from the writer or from files, and writes what anybody can check.
//! Checks the signatures itself: it writes no proof that does not hold.

use std::{collections::BTreeMap, path::PathBuf};

use clap::Args as ClapArgs;
use kuraban_api::PayoutView;
use kuraban_base::{PayoutId, Txid, hex};
use kuraban_chain::btc::{Funds, Network, OutPoint, Tx, TxOut};
use kuraban_vault::{
    Payout, PayoutKind,
    attestation::{Challenge, first_output},
};
use serde::Serialize;

use super::{chain, file};
use crate::{
    fail::{Failure, OrFail as _},
    input::{FILE_MAX, json, prevs, text},
    payout,
    say::{Report, Say, tame},
    writer::Writer,
};

pub(super) const HELP: &str = "\
Examples:
  kuraban reserves prove por-2026-11 --writer http://guard.example:8080 \\
      --checkpoint checkpoint --node 127.0.0.1:8332 \\
      --cookie ~/.bitcoin/.cookie --out btc-reserves.json
  kuraban reserves prove --from por-1.json por-2.json \\
      --checkpoint checkpoint --utxos utxos.json --out btc-reserves.json";

/// Longest payout as the writer shows it: with a transaction of some hundred inputs.
const VIEW_BYTES_MAX: usize = 64 * 1024 * 1024;

/// What to collect.
#[derive(ClapArgs)]
pub(crate) struct Args {
    /// Attestations, by their payouts' names
    #[arg(value_name = "PAYOUT", requires = "writer", required_unless_present = "from")]
    payouts: Vec<PayoutId>,
    /// The writer
    #[arg(long, value_name = "URL")]
    writer: Option<String>,
    /// Attestations from files instead, as the writer shows them under /v1/payouts/
    #[arg(long, num_args = 1.., value_name = "FILE", conflicts_with = "payouts")]
    from: Vec<PathBuf>,
    /// The checkpoint that `kuraban reserves challenge` wrote
    #[arg(long, value_name = "FILE")]
    checkpoint: PathBuf,
    #[command(flatten)]
    place: chain::Place,
    /// Transactions that made the outputs, in hexadecimal or @FILE: with them the proof holds when an output is long spent
    #[arg(long, num_args = 1.., value_name = "HEX")]
    prev: Vec<String>,
    /// Where the file is written
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

#[derive(Serialize)]
struct Proved {
    file: String,
    asset: String,
    proofs: usize,
    outputs: usize,
    sum_sat: u64,
}

/// A finished attestation.
struct Attested {
    payout: Payout,
    text: String,
    challenge: Challenge,
    tx: Tx,
}

/// Runs `kuraban reserves prove`.
pub(super) fn run(args: &Args, say: &Say) -> Result<Report, Failure> {
    let checkpoint = text(&args.checkpoint, FILE_MAX)?;
    let attested = collect(args)?;
    let Some(first) = attested.first() else { return Err(Failure::input("want a PAYOUT or --from")) };
    let network = first.payout.network;
    let same = |one: &Attested| Challenge { form: first.challenge.form, ..one.challenge.clone() };
    if let Some(other) = attested.iter().find(|one| same(one) != first.challenge) {
        return Err(Failure::input(format!(
            "payout {} is over another challenge than payout {}: a file has one",
            other.payout.id, first.payout.id
        )));
    }
    let chain = args.place.open(network)?;
    let block = first.challenge.block;
    let place = chain.block(block)?;
    let (height, _) = place.ok_or_else(|| Failure::undone(format!("block {block} is not in the chain")))?;
    let asked: Vec<OutPoint> = attested.iter().flat_map(|one| outpoints(&one.tx)).collect();
    let bar = say.progress(u64::try_from(asked.len()).unwrap_or(u64::MAX));
    let coins = chain.coins(network, height, &asked, &bar)?;
    bar.finish_and_clear();
    let given = prevs(network, &args.prev)?;
    let given: BTreeMap<Txid, Tx> = given.into_iter().map(|tx| (tx.txid(), tx)).collect();
    let (mut proofs, mut sum_sat, mut outputs) = (Vec::new(), 0_u64, 0_usize);
    for one in &attested {
        let funds = assemble(one, network, &coins, &given)?;
        let holds = funds.verify(one.text.as_bytes()).or_undone(format!("payout {}", one.payout.id))?;
        outputs = outputs.saturating_add(holds.outputs.len());
        sum_sat = sum_sat.saturating_add(holds.sum_sat);
        proofs.push(file::form(one.text.clone(), &one.challenge, &funds));
    }
    if proofs.len() > file::PROOFS_MAX {
        return Err(Failure::input(format!("want at most {} attestations in a file", file::PROOFS_MAX)));
    }
    let count = proofs.len();
    let form = file::whole(network, height, checkpoint, proofs);
    let bytes = serde_json::to_vec(&form).or_undone("the file")?;
    std::fs::write(&args.out, bytes).or_undone(args.out.display())?;
    let asset = network.asset().to_string();
    let file = args.out.display().to_string();
    let words = format!(
        "{} {file}: {sum_sat} {} {asset}",
        say.lang().pick("written:", "書きました:"),
        say.lang().pick("base units of", "基本単位")
    );
    Ok(Report::done(&Proved { file, asset, proofs: count, outputs, sum_sat }, words))
}

fn outpoints(tx: &Tx) -> impl Iterator<Item = OutPoint> {
    tx.inputs.iter().skip(1).map(|input| input.prev)
}

fn collect(args: &Args) -> Result<Vec<Attested>, Failure> {
    let mut views: Vec<PayoutView> = Vec::new();
    if let Some(url) = &args.writer {
        let writer = Writer::new(url)?;
        for id in &args.payouts {
            views.push(writer.payout(id)?);
        }
    }
    for path in &args.from {
        views.push(json(path, VIEW_BYTES_MAX)?);
    }
    views.iter().map(finished).collect()
}

/// The attestation that a view shows.
fn finished(view: &PayoutView) -> Result<Attested, Failure> {
    let id = tame(&view.payout.id);
    let payout = payout::parse(&view.payout).or_input(format!("payout {id}"))?;
    let wrong = |what: &str| Failure::input(format!("payout {id} {what}"));
    if payout.kind != PayoutKind::Attestation {
        return Err(wrong("is no attestation"));
    }
    let text = payout.memo.clone().ok_or_else(|| wrong("has no challenge"))?;
    let challenge = Challenge::parse(&text).or_input(format!("payout {id}: challenge"))?;
    let signed = view.transactions.iter().find_map(|tx| tx.signed.as_ref());
    let signed = signed.ok_or_else(|| {
        Failure::undone(format!("payout {id} is {}, want attested: it is not signed yet", tame(&view.status)))
    })?;
    let bytes = hex::decode(signed).or_input(format!("payout {id}: transaction"))?;
    let tx = Tx::decode(payout.network, &bytes).or_input(format!("payout {id}: transaction"))?;
    Ok(Attested { payout, text, challenge, tx })
}

fn assemble(
    one: &Attested,
    network: Network,
    coins: &BTreeMap<OutPoint, chain::Found>,
    given: &BTreeMap<Txid, Tx>,
) -> Result<Funds, Failure> {
    let id = &one.payout.id;
    if one.payout.network != network {
        return Err(Failure::input(format!(
            "payout {id} is on {}, others are on {network}",
            one.payout.network
        )));
    }
    let first =
        first_output(&one.payout).ok_or_else(|| Failure::input(format!("payout {id} has no challenge")))?;
    let mut spent: Vec<TxOut> = vec![first];
    let mut prevs = given.clone();
    for outpoint in outpoints(&one.tx) {
        let vout = usize::try_from(outpoint.vout).unwrap_or(usize::MAX);
        let shown = given.get(&outpoint.txid).and_then(|tx| tx.outputs.get(vout));
        match (coins.get(&outpoint), shown) {
            (_, Some(output)) => spent.push(output.clone()),
            (Some(Ok(coin)), None) => {
                spent.push(coin.output.clone());
                prevs.extend(coin.prev.iter().map(|tx| (tx.txid(), tx.clone())));
            }
            (found, None) => {
                let problem =
                    found.and_then(|found| found.as_ref().err()).map_or("is not known", String::as_str);
                return Err(Failure::undone(format!("payout {id}: output {outpoint}: {problem}")));
            }
        }
    }
    let of_this = |txid: &Txid| one.tx.inputs.iter().any(|input| input.prev.txid == *txid);
    prevs.retain(|txid, _| of_this(txid));
    Funds::assemble(one.challenge.form, one.text.as_bytes(), &one.tx, &spent, &prevs)
        .or_undone(format!("payout {id}"))
}
