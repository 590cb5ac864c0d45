//! `kuraban sim`: chains that are made up, with thefts of which the truth is known, as block files. Decides where files
//! lie and what is said of them; what is on the chain, `sim` decides.

use std::{
    fs::{self, File},
    io::{BufWriter, Write as _},
    path::{Path, PathBuf},
};

use clap::{Args, Subcommand};
use kuraban_chain::btc::{Block, BlockHash};
use kuraban_sim::{
    chain::Regtest,
    economy::{
        records::Records,
        theft::{Labelled, Owner, Plan, Story, Tally},
    },
};
use serde_json::{Value, json};

use crate::{
    fail::{Failure, OrFail as _},
    say::{Report, Say, Side, table},
    tx::Chain,
};

/// Longest chain that is made: a hundred times the largest that was measured.
const TRANSACTIONS_MAX: u64 = 1_000_000_000;
/// Transactions for each theft, where nobody says how many there are.
const TRANSACTIONS_A_THEFT: u64 = 2_000;
/// Most thefts where nobody says how many.
const THEFTS: u64 = 1_000;

/// `kuraban sim …`
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Make up a chain with thefts, as a node's block files, and the truth about the thefts
    #[command(name = "chain", after_help = HELP)]
    Blocks(Blocks),
}

const HELP: &str = "\
DIR/blocks gets block files of the regression test network, which
`kuraban index build` reads; DIR/truth.jsonl says of every transaction of a
theft what it is and whose its outputs are. The same options make the same
bytes. Memory is that of the coins nobody has spent yet, disk about 430 bytes
for a transaction.

Thieves launder in turn by peel chain, dispersal, payment processor, dusting,
lots under a limit, Whirlpool, Wasabi 1, Wasabi 2, JoinMarket, and by a
reorganisation that replaces the theft itself.

Examples:
  kuraban sim chain --transactions 100000 --out made
  kuraban sim chain --transactions 1000000 --thefts 50 --seed 7 --out made
  kuraban index build --chain btc --network regtest \\
      --blocks made/blocks --out made/index";

#[derive(Args)]
pub(crate) struct Blocks {
    /// Transactions of the chain, coinbases counted: it ends with the block that reaches so many
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..=TRANSACTIONS_MAX))]
    transactions: u64,
    /// Thefts on it; without it, one for 2,000 transactions, at most 1,000
    #[arg(long, value_name = "COUNT")]
    thefts: Option<u32>,
    /// The number from which everything follows
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The chain, btc or ltc
    #[arg(long, value_enum, default_value = "btc")]
    chain: Chain,
    /// Make outputs that anybody may spend, so that a node accepts the blocks; kinds of scripts are then not real
    #[arg(long)]
    open: bool,
    /// A new or empty folder
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

/// Runs `kuraban sim …`.
pub(crate) fn run(command: Command, say: &Say) -> Result<Report, Failure> {
    let Command::Blocks(args) = command;
    let mut plan = Plan::new(regtest(args.chain)?, args.seed, args.transactions, thefts(&args));
    plan.shape.open = args.open;
    let (blocks, truth) = (args.out.join("blocks"), args.out.join("truth.jsonl"));
    empty(&args.out)?;
    fs::create_dir_all(&blocks).or_undone(format!("{} could not be made", blocks.display()))?;
    let made = make(plan, &blocks, &truth, say)?;
    Ok(report(&made, &args.out, say))
}

fn regtest(chain: Chain) -> Result<Regtest, Failure> {
    match chain {
        Chain::Btc => Ok(Regtest::Btc),
        Chain::Ltc => Ok(Regtest::Ltc),
        Chain::Bch | Chain::Mona | Chain::Eth | Chain::Xrp | Chain::Xem => {
            Err(Failure::input("--chain: chains of btc and ltc can be made, want one of them"))
        }
    }
}

fn thefts(args: &Blocks) -> u32 {
    let usual = (args.transactions / TRANSACTIONS_A_THEFT).clamp(1, THEFTS);
    args.thefts.unwrap_or_else(|| u32::try_from(usual).unwrap_or(u32::MAX))
}

/// A folder with something in it is left as it is.
fn empty(folder: &Path) -> Result<(), Failure> {
    let Ok(mut entries) = fs::read_dir(folder) else { return Ok(()) };
    match entries.next() {
        None => Ok(()),
        Some(_) => {
            let folder = folder.display();
            Err(Failure::input(format!("--out {folder}: is not empty; name a new or an empty folder")))
        }
    }
}

/// What stands in the files.
struct Made {
    tally: Tally,
    files: u32,
    bytes: u64,
    height: u32,
    tip: BlockHash,
}

fn make(plan: Plan, blocks: &Path, truth: &Path, say: &Say) -> Result<Made, Failure> {
    let mut story = Story::new(plan);
    let mut files = Files::new(blocks, Records::new(plan.shape.regtest.network()));
    let writing = || format!("{} could not be written", truth.display());
    let mut labels = BufWriter::new(File::create(truth).or_undone(writing())?);
    let bar = say.progress(plan.transactions);
    let (mut height, mut tip) = (0, BlockHash::ZERO);
    while let Some(made) = story.next_block().or_undone("a block could not be made")? {
        for block in made.stale.iter().chain([&made.block]) {
            files.keep(block)?;
        }
        for label in &made.labels {
            writeln!(labels, "{}", line(label, made.height)).or_undone(writing())?;
        }
        (height, tip) = (made.height, made.block.hash());
        bar.set_position(story.tally().transactions.min(plan.transactions));
    }
    bar.finish_and_clear();
    files.end()?;
    labels.flush().or_undone(writing())?;
    Ok(Made { tally: story.tally(), files: files.count, bytes: files.bytes, height, tip })
}

/// Block files while they are written.
struct Files<'a> {
    folder: &'a Path,
    records: Records,
    open: Option<(u32, BufWriter<File>)>,
    count: u32,
    bytes: u64,
}

impl<'a> Files<'a> {
    const fn new(folder: &'a Path, records: Records) -> Self {
        Self { folder, records, open: None, count: 0, bytes: 0 }
    }

    fn keep(&mut self, block: &Block) -> Result<(), Failure> {
        let record = self.records.next(&block.encode());
        let path = self.folder.join(record.file_name());
        let writing = || format!("{} could not be written", path.display());
        if self.open.as_ref().is_none_or(|(number, _)| *number != record.file) {
            self.end()?;
            self.open = Some((record.file, BufWriter::new(File::create_new(&path).or_undone(writing())?)));
            self.count += 1;
        }
        if let Some((_, file)) = &mut self.open {
            file.write_all(&record.bytes).or_undone(writing())?;
        }
        self.bytes += u64::try_from(record.bytes.len()).unwrap_or(u64::MAX);
        Ok(())
    }

    /// Ends the file that is open: what a buffer holds when it is dropped could fail unseen.
    fn end(&mut self) -> Result<(), Failure> {
        let Some((_, mut file)) = self.open.take() else { return Ok(()) };
        file.flush().or_undone(format!("files in {} could not be written", self.folder.display()))
    }
}

/// The truth about one transaction.
fn line(label: &Labelled, height: u32) -> Value {
    let names = |owners: &[Owner]| owners.iter().map(|owner| owner.name()).collect::<Vec<_>>();
    let mut line = json!({
        "theft": label.theft,
        "way": label.way.name(),
        "what": label.what.name(),
        "height": height,
        "stale": label.stale,
        "txid": label.txid.to_string(),
        "inputs": names(&label.inputs),
        "outputs": names(&label.outputs),
    });
    if let (Some(limit), Some(fields)) = (label.limit_sat, line.as_object_mut()) {
        fields.insert("limit_sat".to_owned(), limit.into());
    }
    line
}

fn report(made: &Made, out: &Path, say: &Say) -> Report {
    let Made { tally, files, bytes, height, tip } = made;
    let Tally { blocks, transactions, stale_blocks, thefts, finished, labelled } = *tally;
    let json = json!({
        "blocks": blocks,
        "transactions": transactions,
        "stale_blocks": stale_blocks,
        "thefts": thefts,
        "finished": finished,
        "labelled": labelled,
        "files": files,
        "bytes": bytes,
        "tip": { "height": height, "hash": tip.to_string() },
    });
    let pick = |en, ja| say.lang().pick(en, ja).to_owned();
    let rows = [
        [pick("blocks", "ブロック"), blocks.to_string()],
        [pick("blocks on branches that are given up", "捨てられた枝のブロック"), stale_blocks.to_string()],
        [pick("transactions", "取引"), transactions.to_string()],
        [pick("thefts", "盗難"), thefts.to_string()],
        [pick("thefts whose coins are all at an exchange", "取引所まで届いた盗難"), finished.to_string()],
        [pick("transactions with a known truth", "真相の分かる取引"), labelled.to_string()],
        [pick("bytes of blocks", "ブロックのバイト数"), bytes.to_string()],
    ];
    let title = format!("{} · {height} {tip}\n", out.display());
    Report::done(&json, title + &table([Side::Left, Side::Right], &rows))
}
