//! How build, trace, clusters and screening grow with the chain: measured at powers of ten of transactions, each on a chain
//! that is made up for it. Prints one JSON object; writes table, curve and extrapolation to all of Bitcoin as
//! `bench/growth.md` in the folder of `KURABAN_BENCH_DIR`.
//!
//! `--to N` says how many transactions the largest chain has. The exponent is that of the last step of ten.

#[path = "../trace/figures.rs"]
mod figures;
#[path = "../../../trace/benches/made/tags.rs"]
mod made;
#[path = "../trace/make.rs"]
mod make;
mod paper;

use std::env;
use std::fs;
use std::io::{Write, stdout};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::thread::available_parallelism;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use kuraban_base::Height;
use kuraban_trace::cluster::{Clusters, Rules};
use kuraban_trace::graph::{Graph, OutputNum, TxNum};
use kuraban_trace::index::Index;
use kuraban_trace::index::build::{Begin, COMMIT_BYTES, Pace, build};
use kuraban_trace::index::source::Source;
use kuraban_trace::tags::Store;
use kuraban_trace::tags::store::{Builder, subject};
use kuraban_trace::taint::{Case, Method, Step, Terms, trace_steps};
use serde_json::{Map, Value};

use crate::figures::{cpu_ms, ns, us};
use crate::made::{address, tag};
use crate::make::{REGTEST, make};

/// The smallest chain.
const FROM: u64 = 10_000;
/// The largest, where nobody says.
const TO: u64 = 1_000_000;
/// Of the first blocks, the rewards of seven of eight are traced.
const SEED_BLOCKS: u32 = 400;
/// Addresses that are looked up among the tags.
const LOOKUPS: u64 = 200_000;

/// What was measured at one length.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Point {
    pub(crate) transactions: u64,
    pub(crate) block_bytes: u64,
    pub(crate) index_bytes: u64,
    pub(crate) build_us: u64,
    pub(crate) build_cpu_us: u64,
    pub(crate) open_us: u64,
    pub(crate) fifo_us: u64,
    pub(crate) touched: u64,
    /// Parts of tainted outputs, each counted where it comes into one.
    pub(crate) parts: u64,
    pub(crate) clusters_us: u64,
    pub(crate) lookup_ns: u64,
    pub(crate) tag_bytes: u64,
    /// Of the process, without the mapped files.
    pub(crate) own_kib: u64,
}

fn main() -> Result<()> {
    let to = env::args().skip_while(|arg| arg != "--to").nth(1);
    let to = to.map_or(Ok(TO), |text| text.parse()).context("want a number of transactions")?;
    ensure!(to >= FROM, "want {FROM} transactions at least");
    let parent = env::var_os("KURABAN_BENCH_DIR").map_or_else(env::temp_dir, PathBuf::from);
    let folder = parent.join(format!("growth-{}", std::process::id()));
    let mut points = Vec::new();
    for transactions in [10_000, 100_000, 1_000_000, 10_000_000, 100_000_000] {
        if transactions <= to {
            let point = measure(&folder, transactions);
            if folder.exists() {
                fs::remove_dir_all(&folder).with_context(|| format!("{} stays", folder.display()))?;
            }
            points.push(point?);
        }
    }
    fs::create_dir_all(parent.join("bench"))?;
    let paper_file = parent.join("bench").join("growth.md");
    fs::write(&paper_file, paper::write(&points))
        .with_context(|| format!("{} could not be written", paper_file.display()))?;
    let rows = points.iter().map(|point| (format!("10^{}", point.transactions.ilog10()), paper::row(point)));
    writeln!(stdout(), "{}", Value::Object(Map::from_iter(rows))).context("could not print")
}

fn measure(folder: &Path, wanted: u64) -> Result<Point> {
    let (blocks, index) = (folder.join("blocks"), folder.join("index"));
    let chain = make(&blocks, wanted)?;
    let (began, busy) = (Instant::now(), cpu_ms()?);
    let source = Source::scan(REGTEST.network(), &[blocks], |_, _| {})?;
    let pace = Pace { commit_bytes: COMMIT_BYTES, progress: &mut |_| {} };
    drop(build(&index, &source, Begin::Genesis, pace)?);
    let (built, busy) = (began.elapsed(), cpu_ms()?.saturating_sub(busy));
    let began = Instant::now();
    let graph = Index::open(&index)?;
    let opened = began.elapsed();
    let seeds = (1..=SEED_BLOCKS)
        .filter(|height| height % 8 != 0)
        .filter_map(|height| graph.block(Height::new(height)))
        .filter_map(|txs| graph.outputs(TxNum::new(txs.start)).next().map(OutputNum::new));
    let cases = [Case { seeds: seeds.collect() }];
    let began = Instant::now();
    let mut moved = 0;
    let found = trace_steps(&graph, &cases, &Terms::new(Method::Fifo), |step| match step {
        Step::Output { parts, .. } => moved += parts.len(),
        Step::Into { .. } | Step::Fee { .. } | Step::Unclaimed { .. } => {}
    })?;
    let traced = began.elapsed();
    let own_kib = own_kib();
    let threads = available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let began = Instant::now();
    let clusters = Clusters::of(&graph, &Rules::default(), threads, &|_| {})?;
    let clustered = began.elapsed();
    ensure!(clusters.addresses() == graph.counts().addresses, "not every address has a cluster");
    let (lookup_ns, tag_bytes) = screened(&folder.join("tags"), wanted)?;
    Ok(Point {
        transactions: graph.tx_count(),
        block_bytes: chain.bytes,
        index_bytes: graph.files().iter().map(|file| file.bytes).sum(),
        build_us: us(built),
        build_cpu_us: busy * 1_000,
        open_us: us(opened),
        fifo_us: us(traced),
        touched: found.transactions_touched,
        parts: u64::try_from(moved)?,
        clusters_us: us(clustered),
        lookup_ns,
        tag_bytes,
        own_kib,
    })
}

/// How long an address is looked up among as many tags as there are transactions, and the bytes of the tags.
fn screened(folder: &Path, count: u64) -> Result<(u64, u64)> {
    fs::create_dir_all(folder)?;
    let mut builder = Builder::new();
    for number in 0..count {
        builder.add(&tag(number), "Made up", "Bench")?;
    }
    builder.save(folder)?;
    let store = Store::open(folder)?;
    let asked: Vec<String> =
        (0..LOOKUPS).map(|number| address(number.wrapping_mul(2_654_435_761) % (2 * count))).collect();
    let began = Instant::now();
    let mut hits = 0;
    for address in &asked {
        let (kind, checked) = subject("ETH", address)?;
        hits += store.find(kind, "ETH", &checked.normal).len();
    }
    let took = began.elapsed();
    ensure!(hits > 0, "no address was found");
    Ok((ns(took) / LOOKUPS, u64::try_from(store.bytes())?))
}

/// Memory of this process that is no mapped file, as the system counts it now; 0 where it does not say.
fn own_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    line.and_then(|line| line.split_whitespace().next()).and_then(|kib| kib.parse().ok()).unwrap_or(0)
}
