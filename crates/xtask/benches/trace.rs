//! Builds the index of a chain that is made up here, beside the bare hashing of the same bytes in the same run. Prints one
//! JSON object on standard output; figures are whole numbers: bytes, megabytes per second, picoseconds where a nanosecond
//! is too coarse.
//!
//! `--count N` says how many transactions the chain has. The index is then scanned, traced from its first coins, clustered.

use std::env;
use std::fs::{self, File};
use std::hint::black_box;
use std::io::{BufWriter, Write, stdout};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use kuraban_base::Height;
use kuraban_sim::economy::{Economy, Shape};
use kuraban_trace::cluster::{Clusters, Rules};
use kuraban_trace::graph::{Graph, OutputNum, TxNum};
use kuraban_trace::index::Index;
use kuraban_trace::index::build::{Begin, COMMIT_BYTES, Pace, build};
use kuraban_trace::index::source::Source;
use kuraban_trace::taint::{Case, Method, Terms, trace};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

/// Transactions, where nobody says how many.
const TRANSACTIONS: u64 = 1_000_000;
/// Blocks whose rewards are traced.
const SEEDS: u32 = 20;
/// Length after which a node begins another block file.
const FILE_BYTES_MAX: u64 = 128 << 20;

fn main() -> Result<()> {
    let wanted = env::args().skip_while(|arg| arg != "--count").nth(1);
    let wanted =
        wanted.map_or(Ok(TRANSACTIONS), |text| text.parse()).context("want a number of transactions")?;
    let folder = env::var_os("KURABAN_BENCH_DIR").map_or_else(env::temp_dir, PathBuf::from);
    let folder = folder.join(format!("trace-{}", std::process::id()));
    let figures = measure(&folder, wanted);
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("could not remove {}", folder.display()))?;
    }
    writeln!(stdout(), "{}", Value::Object(figures?)).context("could not print")
}

fn measure(folder: &Path, wanted: u64) -> Result<Map<String, Value>> {
    let (blocks, index) = (folder.join("blocks"), folder.join("index"));
    fs::create_dir_all(&blocks)?;
    let chain = make(&blocks, wanted)?;
    let (built, busy) = (Instant::now(), cpu_ms()?);
    let source = Source::scan(Shape::BTC.regtest.network(), &[blocks], |_, _| {})?;
    let (graph, _) =
        build(&index, &source, Begin::Genesis, Pace { commit_bytes: COMMIT_BYTES, progress: &mut |_| {} })?;
    let (built, busy) = (built.elapsed(), cpu_ms()?.saturating_sub(busy));
    ensure!(graph.tx_count() == chain.transactions, "not every transaction is in the index");
    drop(graph);
    let opened = Instant::now();
    let graph = Index::open(&index)?;
    let opened = opened.elapsed();
    let scanned = Instant::now();
    let items = scan(&graph);
    let scanned = scanned.elapsed();

    let hash_rate = rate(chain.bytes, Duration::from_nanos(chain.hash_busy_ns));
    let build_rate = rate(chain.bytes, Duration::from_millis(busy));
    let all: u64 = graph.files().iter().map(|file| file.bytes).sum();
    let hash_row = json!({
        "ms": ms(chain.hashed),
        "MB/s": rate(chain.bytes, chain.hashed),
        "CPU ms": chain.hash_busy_ns / 1_000_000,
        "MB per CPU second": hash_rate,
    });
    let build_row = json!({
        "ms": ms(built),
        "MB/s": rate(chain.bytes, built),
        "CPU ms": busy,
        "MB per CPU second": build_rate,
        "percent of hashing": (build_rate * 100).checked_div(hash_rate),
        "threads": 2,
        "cpus": available_parallelism().map_or(0, usize::from),
    });
    let open_row = json!({ "ms": ms(opened), "MB/s": rate(all, opened) });
    let scan_row = json!({
        "ms": ms(scanned),
        "items": items,
        "ps per item": (ns(scanned) * 1_000).checked_div(items),
    });
    Ok(Map::from_iter([
        ("chain".to_owned(), contents(&graph, chain.bytes)),
        ("SHA-256 twice, one thread".to_owned(), hash_row),
        ("index build".to_owned(), build_row),
        ("open with every item checked".to_owned(), open_row),
        ("scan of all inputs and outputs".to_owned(), scan_row),
        ("FIFO trace".to_owned(), traced(&graph)?),
        ("clusters".to_owned(), clustered(&graph)),
        ("size".to_owned(), sizes(&graph, chain.bytes)),
    ]))
}

/// What the chain holds.
fn contents(graph: &Index, bytes: u64) -> Value {
    let counts = graph.counts();
    json!({
        "bytes": bytes,
        "blocks": counts.blocks,
        "transactions": counts.transactions,
        "inputs": counts.inputs,
        "outputs": counts.outputs,
        "addresses": counts.addresses,
    })
}

/// The first coins of the chain followed to its tip: they touch nearly all of it.
fn traced(graph: &Index) -> Result<Value> {
    let seeds: Vec<OutputNum> = (1..=SEEDS)
        .filter_map(|height| graph.block(Height::new(height)))
        .filter_map(|txs| graph.outputs(TxNum::new(txs.start)).next().map(OutputNum::new))
        .collect();
    let cases = [Case { seeds }];
    let began = Instant::now();
    let trace = trace(graph, &cases, &Terms::new(Method::Fifo))?;
    let took = began.elapsed();
    let touched = trace.transactions_touched;
    Ok(json!({
        "ms": ms(took),
        "transactions touched": touched,
        "ns per transaction": ns(took).checked_div(touched),
    }))
}

fn clustered(graph: &Index) -> Value {
    let threads = available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let began = Instant::now();
    let clusters = Clusters::of(graph, &Rules::default(), threads, &|_| {});
    let took = began.elapsed();
    json!({ "ms": ms(took), "threads": threads.get(), "clusters": clusters.count() })
}

/// What the files of an index take.
fn sizes(graph: &Index, chain_bytes: u64) -> Value {
    let counts = graph.counts();
    let size = |names: &[&str]| -> u64 {
        graph.files().iter().filter(|file| names.contains(&file.name)).map(|file| file.bytes).sum()
    };
    let all: u64 = graph.files().iter().map(|file| file.bytes).sum();
    json!({
        "bytes": all,
        "graph bytes per 100 outputs": (size(&["values", "owners", "spenders"]) * 100).checked_div(counts.outputs),
        "all bytes per 100 outputs": (all * 100).checked_div(counts.outputs),
        "all bytes per 100 transactions": (all * 100).checked_div(counts.transactions),
        "percent of blocks": (all * 100).checked_div(chain_bytes),
    })
}

/// What was made, and how long it took to hash every transaction twice.
struct Made {
    bytes: u64,
    transactions: u64,
    hashed: Duration,
    hash_busy_ns: u64,
}

/// Makes a chain and writes it as a node would.
fn make(folder: &Path, wanted: u64) -> Result<Made> {
    let mut economy = Economy::new(Shape::BTC, 1);
    let mut made = Made { bytes: 0, transactions: 0, hashed: Duration::ZERO, hash_busy_ns: 0 };
    let mut files = 0;
    let mut written = FILE_BYTES_MAX;
    let mut file = None;
    let mut txs = Vec::new();
    let magic = Shape::BTC.regtest.network().magic();
    while made.transactions < wanted {
        let block = economy.next_block(Vec::new(), 0)?;
        let bytes = block.encode();
        if written >= FILE_BYTES_MAX {
            let path = folder.join(format!("blk{files:05}.dat"));
            file = Some(BufWriter::new(File::create(path)?));
            files += 1;
            written = 0;
        }
        if let Some(file) = &mut file {
            file.write_all(&magic)?;
            file.write_all(&u32::try_from(bytes.len())?.to_le_bytes())?;
            file.write_all(&bytes)?;
        }
        let length = u64::try_from(bytes.len())?;
        written += length;
        made.bytes += length;
        made.transactions += u64::try_from(block.txs.len())?;
        txs.extend(block.txs.iter().map(kuraban_chain::btc::Tx::encode));
        if written >= FILE_BYTES_MAX || made.transactions >= wanted {
            let (took, busy_ns) = hash(&txs);
            made.hashed += took;
            made.hash_busy_ns += busy_ns;
            txs.clear();
        }
    }
    if let Some(mut file) = file {
        file.flush()?;
    }
    Ok(made)
}

/// Hashes every transaction of the blocks twice, as they stand in them: how long it took, and how long the processor was
/// busy with it.
fn hash(blocks: &[Vec<u8>]) -> (Duration, u64) {
    let (start, busy) = (Instant::now(), thread_busy_ns());
    for tx in blocks {
        black_box(Sha256::digest(Sha256::digest(tx)));
    }
    (start.elapsed(), thread_busy_ns().saturating_sub(busy))
}

/// Reads value, address and spender of every output and the output of every input; how many those are.
fn scan(graph: &Index) -> u64 {
    let mut items = 0;
    let mut sum = 0_u64;
    for tx in (0..graph.tx_count()).map(TxNum::new) {
        for output in graph.outputs(tx).map(OutputNum::new) {
            let spender = graph.spender(output).map_or(0, TxNum::number);
            let owner = graph.address(output).map_or(0, |address| address.number());
            sum = sum.wrapping_add(graph.value(output)).wrapping_add(spender ^ owner);
            items += 1;
        }
        for output in graph.inputs(tx) {
            sum = sum.wrapping_add(output.number());
            items += 1;
        }
    }
    black_box(sum);
    items
}

/// How long the processor was busy with this thread so far (Linux, `proc_pid_schedstat(5)`); 0 where nobody says.
fn thread_busy_ns() -> u64 {
    let said = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    said.split(' ').next().and_then(|busy| busy.parse().ok()).unwrap_or(0)
}

/// How long processors were busy with this process so far (Linux, `proc_pid_stat(5)`: ticks of 10 ms).
fn cpu_ms() -> Result<u64> {
    let said = fs::read_to_string("/proc/self/stat").context("the system does not count processor time")?;
    let (_, after) = said.rsplit_once(')').context("processor time is not where it should be")?;
    let ticks = after.split_whitespace().skip(11).take(2).map(str::parse::<u64>);
    Ok(ticks.sum::<Result<u64, _>>()? * 10)
}

fn ns(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Megabytes per second.
fn rate(bytes: u64, time: Duration) -> u64 {
    let rate = u128::from(bytes) * 1_000 / u128::from(ns(time).max(1));
    u64::try_from(rate).unwrap_or(u64::MAX)
}
