//! `kuraban trace origins`: where an output's units come from. Every figure comes from `kuraban-trace`.

use std::path::PathBuf;

use kuraban_base::Height;
use kuraban_chain::btc::{Network, OutPoint};
use kuraban_trace::{
    graph::Graph as _,
    index::Index,
    taint::{BackTerms, Minted, Reversed, Tainted, origins, outpoint, seed},
};
use serde::Serialize;

use super::told::{address, coins, more};
use crate::{
    fail::{Failure, OrFail as _},
    index::opening,
    say::{Lang, Report, Say, Side, table},
};

/// Most rows that the table for people shows.
const SHOWN_MAX: usize = 20;

const HELP: &str = "\
The walk ends where a block made the units, or where --hops or --since end it.
What is found adds up to the output's value, to the unit.

Examples:
  kuraban trace origins TXID:0 --index btc --method fifo
  kuraban trace origins TXID:0 --index btc --method haircut --hops 6 --json";

/// What to look back from.
#[derive(clap::Args)]
#[command(after_help = HELP)]
pub(super) struct Args {
    /// The output
    #[arg(value_name = "TXID:VOUT")]
    output: OutPoint,
    /// The folder of the index
    #[arg(long, value_name = "DIR")]
    index: PathBuf,
    /// By which place or share units are taken back: the methods that have a reverse
    #[arg(long, value_enum)]
    method: Method,
    /// End after so many transactions
    #[arg(long, value_name = "COUNT")]
    hops: Option<u32>,
    /// End at outputs of blocks before this one
    #[arg(long, value_name = "HEIGHT")]
    since: Option<u32>,
}

#[derive(Clone, Copy, clap::ValueEnum)]
pub(super) enum Method {
    Fifo,
    Lifo,
    Haircut,
}

#[derive(Serialize)]
pub(super) struct Answer {
    pub(super) network: &'static str,
    pub(super) method: &'static str,
    pub(super) txid: String,
    pub(super) vout: u32,
    pub(super) value_sat: u64,
    /// Units new in a block, the latest block first.
    pub(super) minted: Vec<MintedRow>,
    /// Outputs at which the walk ended by its terms, the latest first.
    pub(super) sources: Vec<SourceRow>,
    pub(super) transactions_touched: u64,
}

#[derive(Serialize)]
pub(super) struct MintedRow {
    pub(super) height: u32,
    pub(super) txid: String,
    pub(super) amount_sat: u64,
}

#[derive(Serialize)]
pub(super) struct SourceRow {
    pub(super) txid: String,
    pub(super) vout: u32,
    pub(super) height: u32,
    pub(super) address: Option<String>,
    pub(super) value_sat: u64,
    pub(super) amount_sat: u64,
}

/// Runs `kuraban trace origins`.
pub(super) fn run(args: &Args, say: &Say) -> Result<Report, Failure> {
    let index = Index::open(&args.index).map_err(opening)?;
    let ends = Ends { hops: args.hops, since: args.since };
    let answer = Answer::of(&index, args.output, args.method, ends, say)?;
    let text = text(&answer, index.network(), say.lang());
    Ok(Report::done(&answer, text))
}

/// Where a walk ends, beside where blocks made the units.
#[derive(Clone, Copy)]
pub(super) struct Ends {
    pub(super) hops: Option<u32>,
    pub(super) since: Option<u32>,
}

impl Answer {
    /// Looks back from an output.
    pub(super) fn of(
        index: &Index,
        at: OutPoint,
        method: Method,
        ends: Ends,
        say: &Say,
    ) -> Result<Self, Failure> {
        let output = seed(index, at).or_input(at)?;
        let (method, name) = match method {
            Method::Fifo => (Reversed::Fifo, "fifo"),
            Method::Lifo => (Reversed::Lifo, "lifo"),
            Method::Haircut => (Reversed::Haircut, "haircut"),
        };
        let terms = BackTerms { method, hops_max: ends.hops, since: ends.since.map(Height::new) };
        let bar = say.spinner("origins");
        let found = origins(index, output, &terms).map_err(super::tracing);
        bar.finish_and_clear();
        let found = found?;
        let minted = |minted: &Minted| MintedRow {
            height: index.height(minted.coinbase).blocks(),
            txid: index.txid(minted.coinbase).to_string(),
            amount_sat: minted.amount_sat,
        };
        let source = |source: &Tainted| {
            let at = outpoint(index, source.output);
            let address = index.address(source.output).and_then(|address| index.address_text(address));
            SourceRow {
                txid: at.txid.to_string(),
                vout: at.vout,
                height: index.height(index.creator(source.output)).blocks(),
                address: address.map(|address| address.to_string()),
                value_sat: source.value_sat,
                amount_sat: source.tainted_sat(),
            }
        };
        Ok(Self {
            network: index.network().name(),
            method: name,
            txid: at.txid.to_string(),
            vout: at.vout,
            value_sat: index.value(output),
            minted: found.minted.iter().map(minted).collect(),
            sources: found.sources.iter().map(source).collect(),
            transactions_touched: found.transactions_touched,
        })
    }
}

/// The table for people.
pub(super) fn text(answer: &Answer, network: Network, lang: Lang) -> String {
    let coins = |sat: u64| coins(network, sat.into());
    let minted = |row: &MintedRow| {
        let new = match lang {
            Lang::En => format!("new in block {}", row.height),
            Lang::Ja => format!("ブロック {} で新規発行", row.height),
        };
        [coins(row.amount_sat), new, row.txid.clone()]
    };
    let source = |row: &SourceRow| {
        let address = address(lang, row.address.as_deref());
        [coins(row.amount_sat), address, format!("{}:{}", row.txid, row.vout)]
    };
    let all = answer.sources.len().saturating_add(answer.minted.len());
    let rows: Vec<_> =
        answer.sources.iter().map(source).chain(answer.minted.iter().map(minted)).take(SHOWN_MAX).collect();
    let Answer { txid, vout, method, network, transactions_touched: touched, .. } = answer;
    let value = coins(answer.value_sat);
    let mut text = match lang {
        Lang::En => format!("{value} of {txid}:{vout} by {method}, on {network}\n\n"),
        Lang::Ja => format!("{network} の {txid}:{vout} の {value} の出所（{method}）\n\n"),
    };
    text += &table([Side::Right, Side::Left, Side::Left], &rows);
    if all > SHOWN_MAX {
        text += &more(lang, all.saturating_sub(SHOWN_MAX));
    }
    text + &match lang {
        Lang::En => format!("\n{touched} transactions were looked at\n"),
        Lang::Ja => format!("\n{touched} 件の取引を調べました\n"),
    }
}
