//! `kuraban trace`: where stolen units are, from an index or a list of transfers, and stated terms. Reads these alone;
//! decides nothing that `kuraban-trace` does not decide.

mod answer;

use std::path::{Path, PathBuf};

use kuraban_base::Height;
use kuraban_chain::btc::{Address, OutPoint};
use kuraban_trace::{
    accounts::Rule,
    graph::{AddressNum, Graph as _},
    index::Index,
    taint::{Case, Method, Spread, Stops, TaintError, Terms, Trace, seed, trace},
};

use self::answer::Answer;
use crate::{
    fail::{Failure, OrFail as _},
    say::Report,
    transfers::{
        self,
        trace::{Ask, ChainName},
    },
};

/// What to trace.
#[derive(clap::Args)]
#[command(after_help = HELP)]
pub(crate) struct Args {
    #[command(flatten)]
    from: From,
    /// Outputs that were stolen, all of them wholly; in a list of transfers, their arrivals
    #[arg(long, required = true, num_args = 1.., value_name = "TXID:VOUT|[CASE=]TXID:INDEX")]
    seed: Vec<String>,
    /// How tainted units are told from clean ones: poison, haircut, fifo, lifo, tiho, dirty-first, clean-first, and in a
    /// list of transfers libr
    #[arg(long, default_value_if("all_methods", "true", "fifo"), required_unless_present = "all_methods")]
    method: Option<Rule>,
    /// Show beside it what every method finds, and how far they lie apart
    #[arg(long)]
    all_methods: bool,
    /// The last block that counts; without it, the index's last
    #[arg(long, value_name = "HEIGHT")]
    until: Option<u64>,
    /// Follow tainted fees to whoever takes them in instead of counting them
    #[arg(long)]
    follow_fees: bool,
    /// Drop what is less than this in an output or transfer, in base units; in a list of transfers, by asset
    #[arg(long, num_args = 1.., value_name = "[ASSET=]AMOUNT")]
    dust: Vec<String>,
    /// Hold what arrives at these addresses or outputs, such as an exchange's deposit addresses
    #[arg(long, num_args = 1.., value_name = "ADDRESS")]
    stop: Vec<String>,
}

#[derive(clap::Args)]
#[group(required = true, multiple = false)]
struct Source {
    /// The folder of the index
    #[arg(long, value_name = "DIR")]
    index: Option<PathBuf>,
    /// The list of transfers
    #[arg(long, requires = "chain", value_name = "FILE")]
    transfers: Option<PathBuf>,
}

#[derive(clap::Args)]
struct From {
    #[command(flatten)]
    source: Source,
    /// The chain of the list of transfers
    #[arg(long, value_enum, conflicts_with = "index")]
    chain: Option<ChainName>,
}

const HELP: &str = "\
What each method means is written, with examples, in docs/taint.md and, for accounts, docs/taint-accounts.md.

Examples:
  kuraban trace --index btc --seed 975ec405…e4d7:0 --method fifo
  kuraban trace --index btc --seed TXID:0 TXID:1 --all-methods --until 846000 --json
  kuraban trace --index btc --seed TXID:0 --method haircut --stop 1B6rJRfj… --dust 546
  kuraban trace --transfers nem.jsonl --chain xem --seed TXID:0 --method libr --dust 101000000";

/// Runs `kuraban trace`.
pub(crate) fn run(args: &Args) -> Result<Report, Failure> {
    let rule = args.method.ok_or_else(|| Failure::input("want --method or --all-methods"))?;
    match (&args.from.source.index, &args.from.source.transfers, args.from.chain) {
        (Some(index), _, _) => indexed(args, index, rule),
        (None, Some(transfers), Some(chain)) => transfers::trace::run(&Ask {
            transfers,
            chain,
            seeds: &args.seed,
            rule,
            all: args.all_methods,
            until: args.until,
            follow_fees: args.follow_fees,
            dust: &args.dust,
            stops: &args.stop,
        }),
        (None, _, _) => Err(Failure::input("want --index, or --transfers with --chain")),
    }
}

fn indexed(args: &Args, index: &Path, rule: Rule) -> Result<Report, Failure> {
    let Rule::Of(method) = rule else {
        return Err(Failure::input(format!("--method {rule}: is for accounts, and outputs have none")));
    };
    let index = Index::open(index).or_input("--index")?;
    let terms = terms(args, &index, method)?;
    let seeds = args.seed.iter().map(|text| {
        let outpoint: OutPoint = text.parse().or_input(format_args!("--seed {text}"))?;
        seed(&index, outpoint).or_input("--seed")
    });
    let cases = [Case { seeds: seeds.collect::<Result<_, _>>()? }];
    let found = traced(&index, &cases, &terms)?;
    let others = if args.all_methods { others(&index, &cases, &found)? } else { Vec::new() };
    let address = |number: AddressNum| index.address_text(number).map(|address| address.to_string());
    let mut answer = Answer::of(&index, &address, &args.stop, &found);
    if args.all_methods {
        let traces: Vec<Trace> = others;
        let spread = Spread::of(&index, &traces);
        answer.compare(&index, &address, &traces, &spread);
    }
    Ok(Report::done(&answer, answer.to_text(index.network())))
}

fn terms(args: &Args, index: &Index, method: Method) -> Result<Terms, Failure> {
    let mut stops = Stops::default();
    for text in &args.stop {
        if text.contains(':') {
            let outpoint: OutPoint = text.parse().or_input(format_args!("--stop {text}"))?;
            stops.outputs.insert(seed(index, outpoint).or_input(format_args!("--stop {text}"))?);
            continue;
        }
        let address = Address::parse(index.network(), text).or_input(format_args!("--stop {text}"))?;
        // Nothing can arrive at an address that no output pays to.
        stops.addresses.extend(index.find_script(&address.script()));
    }
    let until = args.until.map(u32::try_from).transpose().or_input("--until")?.map(Height::new);
    let dust_sat = match args.dust.as_slice() {
        [] => 0,
        [text] => text.parse().or_input(format_args!("--dust {text}"))?,
        [_, ..] => {
            return Err(Failure::input("--dust: want one amount, since a chain of outputs has one asset"));
        }
    };
    Ok(Terms { method, until, follow_fees: args.follow_fees, dust_sat, stops })
}

/// Every method in turn, the one that was found already among them.
fn others(index: &Index, cases: &[Case], found: &Trace) -> Result<Vec<Trace>, Failure> {
    let by = |method| {
        if method == found.terms.method {
            return Ok(found.clone());
        }
        traced(index, cases, &Terms { method, ..found.terms.clone() })
    };
    Method::ALL.into_iter().map(by).collect()
}

fn traced(index: &Index, cases: &[Case], terms: &Terms) -> Result<Trace, Failure> {
    match trace(index, cases, terms) {
        Ok(found) => Ok(found),
        // A fault here, not in what was given.
        Err(error @ (TaintError::Unbalanced { .. } | TaintError::Contradiction { .. })) => {
            Err(error).or_undone("the trace cannot be trusted")
        }
        Err(
            error @ (TaintError::Empty
            | TaintError::UnknownTx { .. }
            | TaintError::NoOutput { .. }
            | TaintError::NoSeed
            | TaintError::Cases { .. }
            | TaintError::Until { .. }
            | TaintError::SeedAfter { .. }
            | TaintError::Sum { .. }
            | TaintError::Outside { .. }
            | TaintError::Overspent { .. }),
        ) => Err(error).or_input("cannot trace this"),
    }
}
