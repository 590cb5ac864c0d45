//! `kuraban classify`: what transactions look like, line by line. Reads and prints; the rules are `kuraban-trace`'s.

use std::{collections::HashSet, path::PathBuf};

use clap::ValueEnum;
use kuraban_trace::patterns::{
    self, Known,
    esplora::{DOCUMENT_BYTES_MAX, Transaction},
};
use serde_json::json;

use crate::{
    fail::{Failure, OrFail as _},
    input,
    say::{Report, Say},
};

/// Most bytes of a list of addresses.
const ADDRESSES_BYTES_MAX: usize = 64 * 1024 * 1024;

pub(crate) const HELP: &str = "\
Reads transactions as Esplora's API writes them, one JSON document a line,
with the outputs that they spend (vin[].prevout). Prints one JSON document for
each: {\"txid\",\"labels\":[{\"kind\",\"confidence\"}]}. Kinds: whirlpool
whirlpool_tx0 wasabi1 wasabi2 joinmarket equal_output_mix peel consolidation
dispersal none. Confidences below 40 say what else the shape may be. A line
that cannot be read is named on standard error with its field; the others are
classified, and the exit status is 2.

Examples:
  kuraban classify --chain btc < transactions.jsonl
  kuraban classify --chain btc --file transactions.jsonl \\
      --exchanges addresses.txt | jq -c 'select(.labels[0].kind != \"none\")'";

/// What to classify.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The chain that they are of
    #[arg(long, value_enum)]
    chain: Chain,
    /// Transactions, one JSON document a line; - is standard input
    #[arg(long, default_value = "-")]
    file: PathBuf,
    /// Addresses of exchanges, one a line: who pays out joins no JoinMarket or Wasabi 1 mix
    #[arg(long)]
    exchanges: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Chain {
    Btc,
    Ltc,
    Bch,
}

impl Chain {
    const fn mixes(self) -> patterns::Chain {
        match self {
            Self::Btc => patterns::Chain::Bitcoin,
            Self::Ltc | Self::Bch => patterns::Chain::OfItsFamily,
        }
    }
}

/// Runs `kuraban classify`.
pub(crate) fn run(args: &Args, say: &Say) -> Result<Report, Failure> {
    let exchanges = match &args.exchanges {
        Some(path) => input::text(path, ADDRESSES_BYTES_MAX)?,
        None => String::new(),
    };
    let exchanges: HashSet<&str> = exchanges.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let (mut read, mut wrong) = (0_u64, 0_u64);
    let bar = say.progress_beside(input::length(&args.file));
    for line in input::lines(&args.file, DOCUMENT_BYTES_MAX)? {
        let line = line?;
        bar.set_position(line.end);
        read = read.saturating_add(1);
        let transaction = match line.bytes {
            Ok(bytes) => Transaction::parse(&bytes).or_input(format!("line {}", line.number)),
            Err(error) => Err(error).or_input(format!("line {}", line.number)),
        };
        match transaction {
            Ok(transaction) => print(args.chain, &transaction, &exchanges, say)?,
            Err(failure) => {
                wrong = wrong.saturating_add(1);
                bar.suspend(|| say.show(&failure.problem()))?;
            }
        }
    }
    bar.finish_and_clear();
    if wrong > 0 {
        return Err(Failure::input(format!(
            "{wrong} of {read} lines could not be read; the others are classified"
        )));
    }
    Ok(Report::silent())
}

fn print(
    chain: Chain,
    transaction: &Transaction,
    exchanges: &HashSet<&str>,
    say: &Say,
) -> Result<(), Failure> {
    let known = Known {
        chain: chain.mixes(),
        exchange_spends: transaction.spends_from.iter().any(|address| exchanges.contains(address.as_str())),
    };
    let labels: Vec<_> = patterns::classify(&transaction.view, known)
        .iter()
        .map(|label| json!({ "kind": label.kind.name(), "confidence": label.confidence }))
        .collect();
    say.announce(&json!({ "txid": transaction.txid.to_string(), "labels": labels }))
        .or_undone("standard output is closed")
}
