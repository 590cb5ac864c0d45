//! `kuraban liabilities build`. Makes the tree, keeps its leaves for the operator and writes the statement for everybody.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use clap::Args as ClapArgs;
use kuraban_base::{Instant, hex};
use kuraban_inclusion::{Block, DEPTH_MAX, Salt, Scope};
use kuraban_liabilities::{Book, Crown, Layout, Seed};
use serde::Serialize;
use zeroize::Zeroizing;

use super::{
    Published, as_of, owed,
    parallel::parallel,
    published, shown,
    store::{SEED, STATEMENT, Writer, secret},
};
use crate::{
    fail::{Failure, OrFail as _},
    holdings::Whose,
    input::{self, now},
    say::{Lang, Report, Say},
};

const HELP: &str = "\
FILE is CSV or Parquet with the columns customer, asset, amount, or books of
which the balances at --as-of count. DIR must not be there; it gets
statement.json to publish, and tree.klt and seed, which are secret: they show
who has what. A depth of N has room for 2^N customers and shows nothing else
of their number; keep it from day to day.

Examples:
  kuraban liabilities build --holdings holdings.csv --out 2026-11-21
  kuraban liabilities build --holdings holdings.csv --out 2026-11-21 \\
      --origin example.com/log --as-of 2026-11-21T00:00:00+09:00 \\
      --block btc:924000:00000000000000000001a2… --depth 21";

/// Leaves whose salts are derived at once.
const SALTS: usize = 16_384;

/// What to build.
#[derive(ClapArgs)]
#[command(after_help = HELP)]
pub(crate) struct Args {
    #[command(flatten)]
    holdings: Whose,
    /// A new folder for the tree and the statement
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// When the holdings were these; without it, now
    #[arg(long, value_parser = input::instant, value_name = "T")]
    as_of: Option<Instant>,
    /// The origin of the log in which the root will stand
    #[arg(long, default_value = "unlogged")]
    origin: String,
    /// Blocks that were known then, which date the tree
    #[arg(long, num_args = 1.., value_parser = block, value_name = "CHAIN:HEIGHT:HASH")]
    block: Vec<Block>,
    /// Levels of the tree; without it, the fewest that hold all customers
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=i64::from(DEPTH_MAX)))]
    depth: Option<u8>,
    /// Assets that are not known by themselves
    #[arg(long, num_args = 1.., value_parser = input::asset, value_name = "CODE=DECIMALS")]
    asset: Vec<(String, u8)>,
    /// A file with 64 hexadecimal digits from which all salts follow; without it, one is drawn
    #[arg(long, value_name = "F")]
    seed: Option<PathBuf>,
}

fn block(text: &str) -> Result<Block, String> {
    let wrong = || format!("{text:?} is no block, want CHAIN:HEIGHT:HASH such as btc:840000:0000…");
    let mut parts = text.splitn(3, ':');
    let (chain, height, hash) = (parts.next(), parts.next(), parts.next());
    let (chain, height, hash) =
        (chain.ok_or_else(wrong)?, height.ok_or_else(wrong)?, hash.ok_or_else(wrong)?);
    let hash = hash.strip_prefix("0x").unwrap_or(hash);
    let hash = hex::decode_array(hash).map_err(|problem| format!("{text:?}: the hash: {problem}"))?;
    Ok(Block { chain: chain.to_owned(), height: height.parse().map_err(|_| wrong())?, hash })
}

#[derive(Serialize)]
struct Built {
    #[serde(flatten)]
    published: Published,
    customers: usize,
    padding: u64,
    tree_bytes: u64,
    statement: String,
}

/// Runs `kuraban liabilities build`.
pub(super) fn run(args: &Args, say: &Say) -> Result<Report, Failure> {
    let as_of = args.as_of.map_or_else(now, Ok)?;
    let holdings = owed::read(&args.holdings, &args.asset, as_of, say)?;
    let assets = owed::held(&holdings);
    let book = owed::book(&holdings, &assets)?;
    drop(holdings);
    let depth = args.depth.unwrap_or_else(|| least(book.customers()));
    let scope = Scope::new(args.origin.clone(), as_of.ms(), depth, assets, args.block.clone());
    let scope = scope.or_input("what the tree is to cover")?;
    let customers = book.customers();
    let padding = Layout::padding(&scope, customers).or_input("--depth")?;
    let bytes = args.seed_bytes()?;
    let salts = salts(&Seed::new(*bytes), &scope, &book, padding);
    let layout = Layout::new(scope, book, salts).or_input("holdings")?;
    fs::create_dir(&args.out).context("could not be made, want a new folder").or_input(args.out.display())?;
    if args.seed.is_none() {
        let path = args.out.join(SEED);
        let written =
            secret(&path).and_then(|mut file| writeln!(file, "{}", *Zeroizing::new(hex::encode(&*bytes))));
        written.or_undone(path.display())?;
    }
    let (crown, tree_bytes) = write(&layout, &args.out, say)?;
    let published = published(layout.scope(), crown.root(), crown.totals());
    let statement = args.out.join(STATEMENT);
    let json = serde_json::to_string_pretty(&published).or_undone(statement.display())?;
    fs::write(&statement, json + "\n").or_undone(statement.display())?;
    let statement = statement.display().to_string();
    let built = Built { published, customers, padding, tree_bytes, statement };
    let text = built.text(layout.scope(), say.lang());
    Ok(Report::done(&built, text))
}

/// The fewest levels with a leaf for each.
fn least(customers: usize) -> u8 {
    let levels = customers.checked_next_power_of_two().map_or(u32::MAX, usize::trailing_zeros);
    u8::try_from(levels).unwrap_or(u8::MAX).max(1)
}

fn salts(seed: &Seed, scope: &Scope, book: &Book, padding: u64) -> Vec<Salt> {
    let round = seed.round(scope);
    let customers = book.customers();
    let all = usize::try_from(padding).unwrap_or(usize::MAX).saturating_add(customers);
    let salt = |place: usize| match place.checked_sub(customers) {
        None => round.customer(book.name(place)),
        Some(number) => round.padding(u64::try_from(number).unwrap_or(u64::MAX)),
    };
    let part = |part: usize| {
        let begin = part.saturating_mul(SALTS);
        (begin..begin.saturating_add(SALTS).min(all)).map(salt).collect::<Vec<_>>()
    };
    let mut salts = Vec::with_capacity(all);
    let taken = parallel(all.div_ceil(SALTS), part, |_, part| {
        salts.extend(part);
        Ok::<(), core::convert::Infallible>(())
    });
    match taken {
        Ok(()) => salts,
        Err(never) => match never {},
    }
}

fn write(layout: &Layout, folder: &Path, say: &Say) -> Result<(Crown, u64), Failure> {
    let mut writer = Writer::create(folder, layout.scope()).or_undone("the tree")?;
    let bar = say.progress(u64::try_from(layout.boughs()).unwrap_or(u64::MAX));
    let mut tops = Vec::new();
    parallel(
        layout.boughs(),
        |number| layout.bough(number).map(|bough| (bough.top.clone(), bough.into_openings())),
        |_, bough| {
            let (top, openings) = bough.or_input("holdings")?;
            writer.part(&openings).or_undone("the tree")?;
            tops.push(top);
            bar.inc(1);
            Ok(())
        },
    )?;
    bar.finish_and_clear();
    let crown = Crown::new(layout.scope().clone(), tops).or_input("holdings")?;
    let bytes = writer.finish(&crown).or_undone("the tree")?;
    Ok((crown, bytes))
}

impl Args {
    fn seed_bytes(&self) -> Result<Zeroizing<[u8; 32]>, Failure> {
        let mut bytes = Zeroizing::new([0; 32]);
        match &self.seed {
            None => getrandom::getrandom(&mut *bytes).or_undone("randomness")?,
            Some(path) => {
                let text = Zeroizing::new(input::text(path, 128)?);
                *bytes = hex::decode_array(text.trim()).or_input(path.display())?;
            }
        }
        Ok(bytes)
    }
}

impl Built {
    fn text(&self, scope: &Scope, lang: Lang) -> String {
        let (root, as_of, totals) = (&self.published.root, as_of(scope), shown(&self.published.totals));
        let (customers, padding, statement) = (self.customers, self.padding, &self.statement);
        match lang {
            Lang::En => format!(
                "root {root}\nas of {as_of}, {customers} customers and {padding} leaves of padding\nowed to all:\n{totals}publish {statement}; keep tree.klt and seed secret"
            ),
            Lang::Ja => format!(
                "ルート {root}\n{as_of} 現在、顧客 {customers} 人、埋め草の葉 {padding} 枚\n負債の合計:\n{totals}{statement} を公開し、tree.klt と seed は秘密にしてください"
            ),
        }
    }
}
