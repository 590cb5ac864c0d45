//! `kuraban trace`: where stolen units are, from an index or a list of transfers, and stated terms. Reads these alone;
//! decides nothing that `kuraban-trace` does not decide.

mod answer;
mod bounds;
mod bundle;
mod cases;
mod origins;
mod report;
mod told;

use std::path::{Path, PathBuf};

use kuraban_base::Height;
use kuraban_chain::btc::{Address, OutPoint};
use kuraban_trace::{
    accounts::Rule,
    graph::{AddressNum, Graph as _},
    index::Index,
    picture::{FLOWS_MAX, trace_picture},
    tags::{Store, store::subject},
    taint::{
        Method, Spread, Stops, TaintError, Terms, Trace,
        bundle::{Question, rests},
        interval::intervals,
        seed,
    },
};

use self::{
    answer::Answer,
    bounds::IntervalRows,
    cases::{Cases, Claims},
    report::{Around, Files, Sheet},
    told::told,
};
use crate::{
    fail::{Failure, OrFail as _},
    index::opening,
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
    #[arg(long, value_enum, default_value_t, conflicts_with = "transfers")]
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
      --report theft.html --pdf theft.pdf --tags tags
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
    match (&args.index, &args.transfers, args.chain) {
        (Some(folder), _, _) => indexed(args, files, folder, rule, say),
        (None, Some(_), Some(_)) if files.any() => {
            Err(Failure::input("--report and --pdf: want --index; a list of transfers has no picture"))
        }
        (None, Some(transfers), Some(chain)) => transfers::trace::run(&transfers::trace::Ask {
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

fn indexed(args: &Ask, files: &Files, folder: &Path, rule: Rule, say: &Say) -> Result<Report, Failure> {
    let Rule::Of(method) = rule else {
        return Err(Failure::input(format!("--method {rule}: is for accounts, and an index has outputs")));
    };
    let index = Index::open(folder).map_err(opening)?;
    let cases = Cases::read(&index, &args.seed, &args.cases, args.overlap)?;
    let terms = terms(args, &index, method)?;
    asked_of_one(args, files, &cases)?;
    let address = |number: AddressNum| index.address_text(number).map(|address| address.to_string());
    let (found, mut answer) = match (&args.bundle, &*cases.all) {
        (Some(file), [case]) => {
            let rests = rests(&index, case, &terms).map_err(bundle::gathering)?;
            let answer = Answer::of(&index, &address, &args.stop, &rests.trace);
            let question = question(args, cases.outpoints.clone(), &terms);
            bundle::write(file, &args.blocks, &index, question, &rests, &answer)?;
            (rests.trace, answer)
        }
        (_, _) => {
            let found = cases.trace(&index, &terms).map_err(tracing)?;
            let (claims, names) = (cases.claims(), cases.names.as_deref());
            let answer = Answer::told(&index, &address, &args.stop, &found, claims, names);
            (found, answer)
        }
    };
    let traces = match (files.any(), args.all_methods) {
        (true, _) => reported(args, files, &index, &cases, &found, &answer, say)?,
        (false, true) => others(&index, &cases, &found)?,
        (false, false) => Vec::new(),
    };
    if args.all_methods {
        answer.compare(&index, &address, &traces, &Spread::of(&index, &traces));
    }
    if args.intervals {
        let found = intervals(&index, &cases.together(), terms.until, &terms.stops).map_err(tracing)?;
        answer.intervals = Some(IntervalRows::of(&index, &address, &found));
    }
    Ok(Report::done(&answer, told(&answer, index.network(), say.lang())))
}

/// What only one theft, or thefts that share no unit, can have.
fn asked_of_one(args: &Ask, files: &Files, cases: &Cases) -> Result<(), Failure> {
    let count = cases.all.len();
    if args.bundle.is_some() && count > 1 {
        return Err(Failure::input(format!(
            "--bundle: a bundle proves one case, and {count} were given; write one for each"
        )));
    }
    if files.any() && count > 1 && cases.claims() == Claims::Each {
        return Err(Failure::input(
            "--report and --pdf: a picture shows every unit once; want --overlap earliest, or one case",
        ));
    }
    Ok(())
}

/// Writes the report; gives the traces by every method that it tells.
fn reported(
    args: &Ask,
    files: &Files,
    index: &Index,
    cases: &Cases,
    found: &Trace,
    answer: &Answer,
    say: &Say,
) -> Result<Vec<Trace>, Failure> {
    let tags = args.tags.as_deref().map(|folder| Store::open(folder).or_undone("the store cannot be used"));
    let tags = tags.transpose()?;
    let network = index.network().asset().to_string();
    let known = |address: &str| {
        let normal = subject(&network, address).map(|(kind, checked)| (kind, checked.normal));
        let (Some(tags), Ok((kind, normal))) = (&tags, normal) else { return Vec::new() };
        tags.find(kind, &network, &normal)
            .iter()
            .map(|hit| format!("{} ({})", hit.tag.label, hit.category()))
            .collect()
    };
    let around = Around {
        name: &|number| index.address_text(number).map(|address| address.to_string()),
        time: &|height| index.header(height).map(|header| header.time_s),
        tags: &known,
        lang: say.lang(),
        proven: false,
    };
    let (traces, picture) =
        trace_picture(index, &cases.all, &found.terms, &Method::ALL, FLOWS_MAX).map_err(tracing)?;
    Sheet::of(index, &around, answer, &traces, &picture)?.write(files, say)?;
    Ok(traces)
}

fn question(args: &Ask, seeds: Vec<OutPoint>, terms: &Terms) -> Question {
    let Terms { method, until, dust_sat, .. } = *terms;
    Question { method, until, dust_sat, seeds, stops: args.stop.clone() }
}

fn terms(args: &Ask, index: &Index, method: Method) -> Result<Terms, Failure> {
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
        [_, ..] => return Err(Failure::input("--dust: want one amount, since an index has one asset")),
    };
    Ok(Terms { method, until, follow_fees: args.follow_fees, dust_sat, stops })
}

/// Every method in turn, the one that was found already among them.
fn others(index: &Index, cases: &Cases, found: &Trace) -> Result<Vec<Trace>, Failure> {
    let by = |method| {
        if method == found.terms.method {
            return Ok(found.clone());
        }
        cases.trace(index, &Terms { method, ..found.terms.clone() }).map_err(tracing)
    };
    Method::ALL.into_iter().map(by).collect()
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
        | TaintError::Overspent { .. } => Failure::Input(anyhow::Error::new(error).context(what)),
    }
}
