//! `kuraban index`: builds, extends and describes the index of a chain. Decides how its figures are shown; what counts
//! and what is whole, `trace` decides.

mod node;

use std::path::{Path, PathBuf};

use clap::{ArgGroup, Args, Subcommand};
use indicatif::ProgressBar;
use kuraban_base::Height;
use kuraban_chain::btc::Network;
use kuraban_trace::{
    graph::Graph as _,
    index::{
        Counts, FileError, HeadError, Index, OpenError,
        build::{self, Begin, COMMIT_BYTES, FillError, Outcome, Pace, Progress},
        source::{Source, SourceError},
    },
};
use node::Place;
use serde_json::{Value, json};

use crate::{
    fail::Failure,
    say::{Report, Say, Side, table},
    tx::{self, Chain, NetworkName},
};

/// `kuraban index …`
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Build an index from block files or a node, or go on with one that was interrupted
    #[command(after_help = BUILD_HELP)]
    Build(Build),
    /// Extend an index by the blocks that lead to more work, after taking off those that do not
    #[command(after_help = ADD_HELP)]
    Add(Add),
    /// Describe an index
    #[command(after_help = "Example:\n  kuraban index stats --index btc.index --json")]
    Stats(Stats),
    /// Compare every item of an index with what was noted when it was written
    #[command(
        after_help = "Other commands compare what they read, and begin at once. This one reads all,\nwhich takes minutes for all of Bitcoin.\n\nExample:\n  kuraban index verify --index btc.index"
    )]
    Verify(Stats),
}

const ADD_HELP: &str = "\
Examples:
  kuraban index add --index btc.index --blocks ~/.bitcoin/blocks
  kuraban index add --index btc.index --node 127.0.0.1:8333
  kuraban index add --index btc.index --rpc 127.0.0.1:8332 \\
      --cookie ~/.bitcoin/.cookie";

const BUILD_HELP: &str = "\
Blocks are read from what a node keeps (blk*.dat, with xor.dat beside them if
there is one) and from files of plain blocks, raw or in hexadecimal. The chain
with most work is indexed; other branches are left aside and counted.

A node that has all blocks can be asked for them too, over P2P or by calls.

Examples:
  kuraban index build --chain btc --blocks ~/.bitcoin/blocks --out btc.index
  kuraban index build --chain btc --node 127.0.0.1:8333 --out btc.index
  kuraban index build --chain btc --blocks block-300025.raw --partial \\
      --out one.index";

#[derive(Args)]
#[command(group = ArgGroup::new("from").required(true))]
pub(crate) struct Build {
    /// The chain whose blocks they are
    #[arg(long, value_enum)]
    chain: Chain,
    /// The chain's network; without it, the one whose magic the first file begins with, else main
    #[arg(long, value_enum)]
    network: Option<NetworkName>,
    /// Block files, folders of them, or a node's data folder
    #[arg(long, num_args = 1.., value_name = "PATH", group = "from")]
    blocks: Vec<PathBuf>,
    #[command(flatten)]
    node: Place,
    /// The folder of the index; made if it is not there
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Begin with the first block at hand although the chain's first is not there; inputs from before have no value
    #[arg(long, conflicts_with_all = ["node", "rpc"])]
    partial: bool,
    /// Height of the first block of a partial index; without it, the height that the block states
    #[arg(long, requires = "partial", value_name = "HEIGHT")]
    first: Option<u32>,
    #[command(flatten)]
    commit: Commit,
}

#[derive(Args)]
#[command(group = ArgGroup::new("from").required(true))]
pub(crate) struct Add {
    /// The folder of the index
    #[arg(long, value_name = "DIR")]
    index: PathBuf,
    /// Block files, folders of them, or a node's data folder
    #[arg(long, num_args = 1.., value_name = "PATH", group = "from")]
    blocks: Vec<PathBuf>,
    #[command(flatten)]
    node: Place,
    #[command(flatten)]
    commit: Commit,
}

#[derive(Args)]
struct Commit {
    /// Mebibytes of blocks after which the index is made durable; what was appended since is lost with the process
    #[arg(long = "commit-mib", value_name = "MIB", default_value_t = COMMIT_BYTES >> 20, value_parser = clap::value_parser!(u64).range(1..=1_048_576))]
    mib: u64,
}

impl Commit {
    const fn bytes(&self) -> u64 {
        self.mib << 20
    }
}

#[derive(Args)]
pub(crate) struct Stats {
    /// The folder of the index
    #[arg(long, value_name = "DIR")]
    index: PathBuf,
}

/// Runs `kuraban index …`.
pub(crate) fn run(command: Command, say: &Say) -> Result<Report, Failure> {
    match command {
        Command::Build(args) => build(&args, say),
        Command::Add(args) => add(&args, say),
        Command::Stats(args) => {
            let index = Index::open(&args.index).map_err(opening)?;
            Ok(Report::done(&described(&index), shown(&index, say)))
        }
        Command::Verify(args) => {
            let index = Index::open(&args.index).map_err(opening)?;
            let bar = say.progress_bytes();
            bar.set_length(index.files().iter().map(|file| file.bytes).sum());
            let whole = index.verify_told(|bytes| bar.inc(bytes));
            bar.finish_and_clear();
            whole.map_err(opening)?;
            let mut json = described(&index);
            if let Some(fields) = json.as_object_mut() {
                fields.insert("ok".to_owned(), true.into());
            }
            let said = say.lang().pick(
                "verified: every item is as it was noted when it was written",
                "検証済み：すべての項目が書き込み時の記録と一致します",
            );
            Ok(Report::done(&json, format!("{said}\n{}", shown(&index, say))))
        }
    }
}

fn build(args: &Build, say: &Say) -> Result<Report, Failure> {
    let network = network(args)?;
    if args.node.is_given() {
        return follow(&args.out, network, &args.node, &args.commit, say);
    }
    let source = scan(network, &args.blocks, say)?;
    let begin = if args.partial { Begin::Partial(args.first.map(Height::new)) } else { Begin::Genesis };
    filled(say.progress_bytes(), &args.commit, say, |pace| build::build(&args.out, &source, begin, pace))
}

fn add(args: &Add, say: &Say) -> Result<Report, Failure> {
    let network = build::network_of(&args.index).map_err(opening)?;
    if args.node.is_given() {
        return follow(&args.index, network, &args.node, &args.commit, say);
    }
    let source = scan(network, &args.blocks, say)?;
    filled(say.progress_bytes(), &args.commit, say, |pace| build::add(&args.index, &source, pace))
}

/// Fills an index from a node.
fn follow(
    folder: &Path,
    network: Network,
    node: &Place,
    commit: &Commit,
    say: &Say,
) -> Result<Report, Failure> {
    let headers = say.progress(0);
    let blocks = |index: Option<&Index>| {
        let blocks = node.blocks(network, index, &mut |seen| headers.set_position(seen));
        headers.finish_and_clear();
        blocks
    };
    filled(say.progress(0), commit, say, |pace| build::follow(folder, network, blocks, pace))
}

/// Fills an index with a bar, and says what it holds then.
fn filled(
    bar: ProgressBar,
    commit: &Commit,
    say: &Say,
    fill: impl FnOnce(Pace<'_>) -> Result<(Index, Outcome), FillError>,
) -> Result<Report, Failure> {
    let mut advance = |progress| advance(&bar, progress);
    let filled = fill(Pace { commit_bytes: commit.bytes(), progress: &mut advance });
    bar.finish_and_clear();
    let (index, outcome) = filled.map_err(filling)?;
    Ok(filled_report(&index, outcome, say))
}

/// The network asked for, or else the one whose magic the files begin with.
fn network(args: &Build) -> Result<Network, Failure> {
    let main = tx::network(args.chain, NetworkName::Main)?;
    if let Some(name) = args.network {
        return tx::network(args.chain, name);
    }
    let of_chain: Vec<Network> =
        Network::ALL.into_iter().filter(|network| network.asset() == main.asset()).collect();
    let found = Source::network_of(&args.blocks, &of_chain).map_err(sourcing)?;
    Ok(found.unwrap_or(main))
}

fn scan(network: Network, paths: &[PathBuf], say: &Say) -> Result<Source, Failure> {
    let bar = say.progress(0);
    let source = Source::scan(network, paths, |done, of| {
        bar.set_length(of);
        bar.set_position(done);
    });
    bar.finish_and_clear();
    source.map_err(sourcing)
}

/// In bytes, unless nobody knows how many there will be.
fn advance(bar: &ProgressBar, progress: Progress) {
    let Progress { blocks, blocks_of, bytes, bytes_of, .. } = progress;
    let (done, of) = if bytes_of > 0 { (bytes, bytes_of) } else { (blocks, blocks_of) };
    bar.set_length(of);
    bar.set_position(done);
    bar.set_message(progress.height.blocks().to_string());
}

/// What cannot be read is the world's fault; what is not there, or wrong, is the input's.
fn sourcing(error: SourceError) -> Failure {
    match &error {
        SourceError::Io { source, .. } if source.kind() != std::io::ErrorKind::NotFound => {
            Failure::Undone(error.into())
        }
        SourceError::Node { .. } => Failure::Undone(error.into()),
        SourceError::Io { .. }
        | SourceError::Empty { .. }
        | SourceError::Magic { .. }
        | SourceError::Truncated { .. }
        | SourceError::Length { .. }
        | SourceError::Key { .. }
        | SourceError::Long { .. }
        | SourceError::Block { .. } => Failure::Input(error.into()),
    }
}

pub(crate) fn opening(error: OpenError) -> Failure {
    match &error {
        OpenError::Busy { .. }
        | OpenError::File(FileError::Io { .. } | FileError::Abandoned { .. })
        | OpenError::Head(HeadError::File(_)) => Failure::Undone(error.into()),
        OpenError::Head(
            HeadError::Missing { .. } | HeadError::Version { .. } | HeadError::Damaged { .. },
        )
        | OpenError::File(
            FileError::Header { .. }
            | FileError::Short { .. }
            | FileError::Missing { .. }
            | FileError::Corrupted(_)
            | FileError::Width { .. },
        )
        | OpenError::Damaged { .. }
        | OpenError::Foreign { .. }
        | OpenError::Network { .. }
        | OpenError::Start { .. } => Failure::Input(error.into()),
    }
}

fn filling(error: FillError) -> Failure {
    match error {
        FillError::Source(error) => sourcing(error),
        FillError::Open(error) => opening(error),
        FillError::Branch(_) | FillError::Append { .. } | FillError::Height { .. } => {
            Failure::Input(error.into())
        }
        FillError::Rollback(_) | FillError::File(_) => Failure::Undone(error.into()),
    }
}

fn filled_report(index: &Index, outcome: Outcome, say: &Say) -> Report {
    let Outcome { appended, taken_off, aside, unconnected } = outcome;
    let mut json = described(index);
    if let Value::Object(fields) = &mut json {
        fields.insert("appended".to_owned(), appended.into());
        fields.insert("taken_off".to_owned(), taken_off.into());
        fields.insert("left_aside".to_owned(), aside.into());
        fields.insert("unconnected".to_owned(), unconnected.into());
    }
    let pick = |en, ja| say.lang().pick(en, ja).to_owned();
    let rows = [
        [pick("blocks appended", "追加したブロック"), appended.to_string()],
        [pick("blocks taken off", "取り消したブロック"), taken_off.to_string()],
        [pick("blocks on other branches, left aside", "枝分かれで除外したブロック"), aside.to_string()],
        [
            pick("blocks without a connection, left aside", "接続がなく除外したブロック"),
            unconnected.to_string(),
        ],
    ];
    Report::done(&json, format!("{}\n{}", shown(index, say), table([Side::Left, Side::Right], &rows)))
}

fn described(index: &Index) -> Value {
    let Counts { blocks, transactions, inputs, outputs, addresses } = index.counts();
    let files = index.files();
    let bytes: u64 = files.iter().map(|file| file.bytes).sum();
    let named = |file: &kuraban_trace::index::FileSize| (file.name.to_owned(), Value::from(file.bytes));
    json!({
        "chain": chain(index.network()),
        "network": index.network().name(),
        "first_height": index.start().height.blocks(),
        "blocks": blocks,
        "transactions": transactions,
        "inputs": inputs,
        "outputs": outputs,
        "addresses": addresses,
        "bytes": bytes,
        "files": files.iter().map(named).collect::<serde_json::Map<_, _>>(),
        "tip": index.tip().map(|tip| json!({ "height": tip.height.blocks(), "hash": tip.hash.to_string() })),
    })
}

const fn chain(network: Network) -> &'static str {
    match network {
        Network::BtcMain | Network::BtcTest | Network::BtcSignet | Network::BtcRegtest => "btc",
        Network::LtcMain | Network::LtcTest | Network::LtcRegtest => "ltc",
    }
}

fn shown(index: &Index, say: &Say) -> String {
    let Counts { blocks, transactions, inputs, outputs, addresses } = index.counts();
    let files = index.files();
    let bytes: u64 = files.iter().map(|file| file.bytes).sum();
    let pick = |en, ja| say.lang().pick(en, ja).to_owned();
    let tip = index.tip().map_or_else(String::new, |tip| format!(" {} {}", tip.height.blocks(), tip.hash));
    let title = format!("{} · {}{tip}\n", index.folder().display(), index.network());
    let counts = [
        [pick("blocks", "ブロック"), blocks.to_string()],
        [pick("transactions", "取引"), transactions.to_string()],
        [pick("inputs that spend an output", "出力を使う入力"), inputs.to_string()],
        [pick("outputs", "出力"), outputs.to_string()],
        [pick("addresses", "アドレス"), addresses.to_string()],
        [pick("bytes", "バイト"), bytes.to_string()],
    ];
    let files: Vec<[String; 2]> =
        files.iter().map(|file| [file.name.to_owned(), file.bytes.to_string()]).collect();
    let sides = [Side::Left, Side::Right];
    format!("{title}{}\n{}", table(sides, &counts), table(sides, &files))
}
