//! `kuraban liabilities veil build`. Proves every batch, verifies each before it is written, and writes the statement last.

use std::{fs, num::NonZeroUsize, path::PathBuf};

use anyhow::Context as _;
use clap::Args as ClapArgs;
use kuraban_liabilities::Round;
use kuraban_veil::{
    Batch, BatchFile, LOG_ROWS_MAX, LOG_ROWS_MIN, Leaf, Part, Plan, ProveError, Public, Salt, Statement,
    Totals, prove, security, verify,
};
use serde::Serialize;
use zeroize::Zeroizing;

use super::{FOLDER, Published, STATEMENT, batch_path, leaves, published, seed};
use crate::{
    fail::{Failure, OrFail as _},
    file,
    liabilities::{
        parallel::{parallel_on, threads},
        shown,
    },
    say::{Lang, Report, Say},
};

const HELP: &str = "\
Reads tree.klt and seed, which `liabilities build` made. The new folder is
for everybody: veil.kvs, whose root is to stand in the log, and a file for
each batch. It shows the totals, how many leaves there are in all, and
nothing else. With 20 assets and 2^12 rows a thread needs 0.6 GB of memory
and some five seconds for each batch of 4,093 leaves; twice the rows, twice
the memory.

Examples:
  kuraban liabilities veil build --dir 2026-11-21
  kuraban liabilities veil build --dir 2026-11-21 --out public --rows 14 \\
      --batches 64 --jobs 2";

/// What to prove.
#[derive(ClapArgs)]
#[command(after_help = HELP)]
pub(crate) struct Args {
    /// The folder that `liabilities build` made
    #[arg(long, value_name = "DIR", default_value = ".")]
    dir: PathBuf,
    /// A new folder for the proof; without it, `veil` in DIR
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Rows of a batch, as a power of two
    #[arg(long, value_name = "N", default_value_t = 12,
        value_parser = clap::value_parser!(u8).range(i64::from(LOG_ROWS_MIN)..=i64::from(LOG_ROWS_MAX)))]
    rows: u8,
    /// How many batches, which hides the number of customers; without it, the fewest
    #[arg(long, value_name = "N")]
    batches: Option<NonZeroUsize>,
    /// Batches that are proved at once; without it, as many as there are processors
    #[arg(long, value_name = "N")]
    jobs: Option<NonZeroUsize>,
    /// The seed of the tree, where it is not in DIR
    #[arg(long, value_name = "F")]
    seed: Option<PathBuf>,
}

#[derive(Serialize)]
struct Built {
    #[serde(flatten)]
    published: Published,
    customers: usize,
    padding: usize,
    folder: String,
    bytes: usize,
    conjectured_bits: usize,
    proven_bits: usize,
}

/// Runs `kuraban liabilities veil build`.
pub(super) fn run(args: &Args, say: &Say) -> Result<Report, Failure> {
    let (scope, customers) = leaves::customers(&args.dir, say)?;
    let round = seed(&args.dir, args.seed.as_ref())?.veil(&scope);
    let count = customers.customers();
    let fewest = Plan::new(scope.clone(), args.rows, 1).or_input("the tree")?.shape();
    let fewest = count.div_ceil(fewest.leaves()).max(1);
    let batches = args.batches.map_or(fewest, NonZeroUsize::get);
    if batches < fewest {
        return Err(Failure::input(format!("--batches {batches}: {count} customers need {fewest}")));
    }
    let plan = Plan::new(scope, args.rows, batches).or_input("the tree")?;
    let all = leaves::arranged(&plan, &round, &customers);
    let padding = all.len().saturating_sub(count);
    let planned = planned(&plan, &round, all).or_input("holdings")?;
    let folder = args.out.clone().unwrap_or_else(|| args.dir.join(FOLDER));
    fs::create_dir(&folder).context("could not be made, want a new folder").or_input(folder.display())?;
    let jobs = args.jobs.map_or_else(threads, NonZeroUsize::get);
    let (mut parts, mut bytes, mut totals) = (Vec::new(), 0_usize, None);
    let bar = say.progress(u64::try_from(batches).unwrap_or(u64::MAX));
    bar.tick();
    parallel_on(
        jobs,
        batches,
        |number| proved(&plan, planned.get(number), number),
        |number, made| {
            let (after, public, batch) = made?;
            let file = batch.encode();
            bytes = bytes.saturating_add(file.len());
            file::write(&batch_path(&folder, number), &file)?;
            parts.push(Part { list: public.list, after: public.after });
            totals = Some(after);
            bar.inc(1);
            Ok::<(), Failure>(())
        },
    )?;
    bar.finish_and_clear();
    let totals = totals.context("no batch was proved").or_undone("the proof")?;
    let statement = Statement::new(plan, parts, totals).or_undone("the statement")?;
    file::write(&folder.join(STATEMENT), &statement.encode())?;
    let level = security(statement.plan().shape());
    let built = Built {
        published: published(&statement),
        customers: count,
        padding,
        folder: folder.display().to_string(),
        bytes,
        conjectured_bits: level.conjectured_bits,
        proven_bits: level.proven_bits,
    };
    let text = built.text(say.lang());
    Ok(Report::done(&built, text))
}

/// The batches, each with what is owed before it: nothing is proved before all of them fit.
fn planned(plan: &Plan, round: &Round, leaves: Vec<Leaf>) -> Result<Vec<Batch>, ProveError> {
    let mut before = Totals::zero(plan.shape().assets());
    let mut batches = Vec::new();
    let mut leaves = leaves.into_iter();
    for number in 0..plan.batches() {
        let after = Salt::new(&round.totals(&plan.context(number)));
        let batch = Batch { before, leaves: leaves.by_ref().take(plan.shape().leaves()).collect(), after };
        before = batch.totals(plan.shape())?;
        batches.push(batch);
    }
    Ok(batches)
}

fn proved(plan: &Plan, batch: Option<&Batch>, number: usize) -> Result<(Totals, Public, BatchFile), Failure> {
    let batch = batch.context("a batch is missing").or_undone("the proof")?;
    let mut seed = Zeroizing::new([0; 32]);
    getrandom::getrandom(&mut *seed).or_undone("randomness")?;
    let made = prove(plan.shape(), batch, plan.context(number), &seed);
    let (totals, public, file) = made.or_undone(format_args!("batch {number}"))?;
    verify(plan.shape(), &public, &file.proof).or_undone(format_args!("batch {number}, as proved"))?;
    Ok((totals, public, file))
}

impl Built {
    fn text(&self, lang: Lang) -> String {
        let Published { veil, as_of, batches, totals, .. } = &self.published;
        let (customers, padding, folder, totals) =
            (self.customers, self.padding, &self.folder, shown(totals));
        let (bits, proven) = (self.conjectured_bits, self.proven_bits);
        match lang {
            Lang::En => format!(
                "veil {veil}\nas of {as_of}, {customers} customers and {padding} leaves of padding in {batches} batches\nowed to all:\n{totals}a false proof takes 2^{proven} work as proven, 2^{bits} as conjectured\npublish {folder}; give each customer the own file alone (veil prove)"
            ),
            Lang::Ja => format!(
                "ベール {veil}\n{as_of} 現在、顧客 {customers} 人、埋め草の葉 {padding} 枚、{batches} 束\n負債の合計:\n{totals}偽の証明には 2^{proven} の計算量が要ります (証明済みの下限。予想では 2^{bits})\n{folder} を公開し、顧客には本人のファイルだけを渡してください (veil prove)"
            ),
        }
    }
}
