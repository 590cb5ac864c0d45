//! `kuraban trace`: where stolen units are, from an index and stated terms. Reads the index alone; decides nothing that
//! `kuraban-trace` does not decide.

mod answer;

use std::path::PathBuf;

use kuraban_base::Height;
use kuraban_chain::btc::{Address, OutPoint};
use kuraban_trace::{
    graph::{AddressNum, Graph as _},
    index::Index,
    taint::{Case, Method, Spread, Stops, TaintError, Terms, Trace, seed, trace},
};

use self::answer::Answer;
use crate::{
    fail::{Failure, OrFail as _},
    say::Report,
};

/// What to trace.
#[derive(clap::Args)]
#[command(after_help = HELP)]
pub(crate) struct Args {
    /// The folder of the index
    #[arg(long, value_name = "DIR")]
    index: PathBuf,
    /// Outputs that were stolen, all of them wholly
    #[arg(long, required = true, num_args = 1.., value_name = "TXID:VOUT")]
    seed: Vec<OutPoint>,
    /// How tainted units are told from clean ones: poison, haircut, fifo, lifo, tiho, dirty-first or clean-first
    #[arg(long, default_value_if("all_methods", "true", "fifo"), required_unless_present = "all_methods")]
    method: Option<Method>,
    /// Show beside it what every method finds, and how far they lie apart
    #[arg(long)]
    all_methods: bool,
    /// The last block that counts; without it, the index's last
    #[arg(long, value_name = "HEIGHT")]
    until: Option<u32>,
    /// Follow tainted fees into the coinbase of their block instead of counting them
    #[arg(long)]
    follow_fees: bool,
    /// Drop what is less than this in an output
    #[arg(long, default_value_t = 0, value_name = "SAT")]
    dust: u64,
    /// Hold what arrives at these addresses or outputs, such as an exchange's deposit addresses
    #[arg(long, num_args = 1.., value_name = "ADDRESS")]
    stop: Vec<String>,
}

const HELP: &str = "\
What each method means is written, with examples, in docs/taint.md.

Examples:
  kuraban trace --index btc --seed 975ec405…e4d7:0 --method fifo
  kuraban trace --index btc --seed TXID:0 TXID:1 --all-methods --until 846000 --json
  kuraban trace --index btc --seed TXID:0 --method haircut --stop 1B6rJRfj… --dust 546";

/// Runs `kuraban trace`.
pub(crate) fn run(args: &Args) -> Result<Report, Failure> {
    let index = Index::open(&args.index).or_input("--index")?;
    let terms = terms(args, &index)?;
    let seeds = args.seed.iter().map(|outpoint| seed(&index, *outpoint)).collect::<Result<_, _>>();
    let cases = [Case { seeds: seeds.or_input("--seed")? }];
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

fn terms(args: &Args, index: &Index) -> Result<Terms, Failure> {
    let method = args.method.ok_or_else(|| Failure::input("want --method or --all-methods"))?;
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
    let until = args.until.map(Height::new);
    Ok(Terms { method, until, follow_fees: args.follow_fees, dust_sat: args.dust, stops })
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
