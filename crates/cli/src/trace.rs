//! `kuraban trace`: where stolen units are, from an index or a list of transfers, and stated terms. Reads these alone;
//! decides nothing that `kuraban-trace` does not decide.

mod answer;
mod bounds;
mod bundle;
mod cases;
mod job;
mod origins;
pub(crate) mod report;
mod told;
mod walk;

use std::path::PathBuf;

use kuraban_trace::{
    accounts::Rule,
    taint::{Method, TaintError},
};

pub(crate) use self::cases::Claims;
use self::{job::Job, report::Files};
use crate::{
    fail::Failure,
    say::{Report, Say},
    transfers::{self, trace::ChainName},
};

/// `kuraban trace …`
#[derive(clap::Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true, after_help = HELP)]
pub(crate) struct Args {
    #[command(flatten)]
    ask: Option<Ask>,
    // Beside what is asked, since an optional group of options cannot hold another group.
    #[command(flatten)]
    files: Files,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Say where an output's units come from
    Origins(origins::Args),
    /// Check a proof bundle, without an index: run its trace again on what it proves
    Verify {
        /// The bundle
        file: PathBuf,
        #[command(flatten)]
        files: Files,
    },
}

/// What to trace.
#[derive(clap::Args)]
struct Ask {
    /// The folder of the index
    #[arg(long, required_unless_present = "transfers", value_name = "DIR")]
    index: Option<PathBuf>,
    /// The list of transfers, instead of an index
    #[arg(long, conflicts_with = "index", requires = "chain", value_name = "FILE")]
    transfers: Option<PathBuf>,
    /// The chain of the list of transfers
    #[arg(long, value_enum, conflicts_with = "index")]
    chain: Option<ChainName>,
    /// Outputs that were stolen, all of them wholly, each of the theft CASE if one is named; in a list of transfers, transfers
    /// whose arrival is stolen
    #[arg(long, required_unless_present = "cases", num_args = 1.., value_name = "[CASE=]TXID:INDEX")]
    seed: Vec<String>,
    /// Thefts from files as the role chase of kuraban-guardd reads them, or folders of such; their id and seeds count here
    #[arg(long, num_args = 1.., conflicts_with = "transfers", value_name = "FILE|DIR")]
    cases: Vec<PathBuf>,
    /// Who has the units that several thefts claim
    #[arg(long, value_enum, default_value_t)]
    overlap: Claims,
    /// How tainted units are told from clean ones: poison, haircut, fifo, lifo, tiho, dirty-first, clean-first; in a list
    /// of transfers also libr
    #[arg(long, required_unless_present = "all_methods")]
    method: Option<Rule>,
    /// Show beside it (without --method, beside fifo) what every method finds, and how far they lie apart
    #[arg(long)]
    all_methods: bool,
    /// Show beside it how much each output holds at least and at most, when nobody knows who is who in a mix
    #[arg(long, conflicts_with_all = ["transfers", "bundle", "follow_fees", "dust"])]
    intervals: bool,
    /// Say beside it, by this method in reverse, where the stolen units come from
    #[arg(long, value_enum, conflicts_with_all = ["transfers", "bundle"], value_name = "METHOD")]
    origins: Option<origins::Method>,
    /// Look back so many transactions from each seed
    #[arg(long, requires = "origins", default_value_t = 3, value_name = "COUNT")]
    origins_hops: u32,
    /// The last block that counts; without it, the last there is
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
    /// Write all that the answer rests on to a file that `kuraban trace verify` checks without an index
    #[arg(long, requires = "blocks", conflicts_with = "transfers", value_name = "FILE")]
    bundle: Option<PathBuf>,
    /// Block files with the blocks that the bundle needs
    #[arg(long, num_args = 1.., requires = "bundle", value_name = "PATH")]
    blocks: Vec<PathBuf>,
    /// A store of tags to name addresses by in a report, as `kuraban tags import` makes it
    #[arg(long, value_name = "DIR")]
    tags: Option<PathBuf>,
}

const HELP: &str = "\
What each method means is written, with examples, in docs/taint.md and, for
accounts, docs/taint-accounts.md.

Examples:
  kuraban trace --index btc --seed 975ec405…e4d7:0 --method fifo
  kuraban trace --index btc --seed TXID:0 TXID:1 --all-methods \\
      --until 846000 --json
  kuraban trace --index btc --seed TXID:0 --method haircut \\
      --stop 1B6rJRfj… --dust 546
  kuraban trace --index btc --seed TXID:0 --method fifo \\
      --bundle theft.kuraban --blocks ~/.bitcoin/blocks
  kuraban trace verify theft.kuraban --report theft.html
  kuraban trace --index btc --seed TXID:0 --method fifo \\
      --report theft.html --pdf theft.pdf --tags tags --origins haircut
  kuraban trace --index btc --seed TXID:0 --method haircut --intervals
  kuraban trace --index btc --seed a=TXID:0 a=TXID:3 b=TXID:1 \\
      --method haircut --json
  kuraban trace --index btc --cases /etc/kuraban/cases --overlap each \\
      --method fifo
  kuraban trace --transfers nem.jsonl --chain xem --seed TXID:0 \\
      --method libr --dust 101000000";

/// Runs `kuraban trace`.
pub(crate) fn run(args: &Args, say: &Say) -> Result<Report, Failure> {
    match (&args.command, &args.ask) {
        (Some(Command::Origins(args)), _) => origins::run(args, say),
        (Some(Command::Verify { file, files }), _) => bundle::verify(file, files, say),
        (None, Some(ask)) => asked(ask, &args.files, say),
        (None, None) => Err(Failure::input("want --index or --transfers, --seed and --method")),
    }
}

fn asked(args: &Ask, files: &Files, say: &Say) -> Result<Report, Failure> {
    let rule = args.method.unwrap_or(Rule::Of(Method::Fifo));
    if args.tags.is_some() && !files.any() {
        return Err(Failure::input("--tags names addresses in a report; want --report or --pdf beside it"));
    }
    match (&args.index, &args.transfers, args.chain) {
        (Some(folder), _, _) => Job::open(args, files, folder, rule, say)?.run(),
        (None, Some(transfers), Some(chain)) => {
            let ask = transfers::trace::Ask {
                transfers,
                chain,
                seeds: &args.seed,
                claims: args.overlap,
                rule,
                all: args.all_methods,
                until: args.until,
                follow_fees: args.follow_fees,
                dust: &args.dust,
                stops: &args.stop,
                files,
                tags: args.tags.as_deref(),
            };
            transfers::trace::run(&ask, say)
        }
        (None, _, _) => Err(Failure::input("want --index, or --transfers with --chain")),
    }
}

/// Why there is no trace, by whose fault.
fn tracing(error: TaintError) -> Failure {
    let what = "cannot trace this";
    match error {
        TaintError::Unbalanced { .. } | TaintError::Contradiction { .. } => {
            Failure::Undone(anyhow::Error::new(error).context(what))
        }
        TaintError::Empty
        | TaintError::UnknownTx { .. }
        | TaintError::NoOutput { .. }
        | TaintError::NoSeed
        | TaintError::Cases { .. }
        | TaintError::Until { .. }
        | TaintError::SeedAfter { .. }
        | TaintError::Sum { .. }
        | TaintError::Outside { .. }
        | TaintError::Overspent { .. }
        | TaintError::Corrupted(_) => Failure::Input(anyhow::Error::new(error).context(what)),
    }
}
