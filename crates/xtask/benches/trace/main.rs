//! Builds the index of a chain that is made up here, beside the bare hashing of the same bytes in the same run. Prints one
//! JSON object on standard output; figures are whole numbers: bytes, megabytes per second, picoseconds where a nanosecond
//! is too coarse.
//!
//! `--count N` says how many transactions the chain has. The index is then scanned, asked BlockSci's queries, traced from its
//! first coins and clustered; where `KURABAN_BENCH_PYTHON` names a Python that has them, programs of others do the same.

mod figures;
mod make;
mod peers;
mod queries;

use std::env;
use std::fs;
use std::hint::black_box;
use std::io::{Write, stdout};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use kuraban_base::Height;
use kuraban_trace::cluster::{Clusters, Rules};
use kuraban_trace::graph::{AddressNum, Graph, OutputNum, TxNum};
use kuraban_trace::index::Index;
use kuraban_trace::index::build::{Begin, COMMIT_BYTES, Pace, build};
use kuraban_trace::index::source::Source;
use kuraban_trace::taint::{Case, Method, Terms, trace};
use serde_json::{Map, Value, json};

use crate::figures::{cpu_ms, ns, us};
use crate::make::{REGTEST, make};
use crate::peers::Peers;

/// Transactions, where nobody says how many.
const TRANSACTIONS: u64 = 1_110_000;
/// Of the first blocks, the rewards of seven of eight are traced.
const SEED_BLOCKS: u32 = 400;

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
    let chain = make(&blocks, wanted)?;
    let (built, busy) = (Instant::now(), cpu_ms()?);
    let source = Source::scan(REGTEST.network(), &[blocks], |_, _| {})?;
    let (graph, _) =
        build(&index, &source, Begin::Genesis, Pace { commit_bytes: COMMIT_BYTES, progress: &mut |_| {} })?;
    let (built, busy) = (built.elapsed(), cpu_ms()?.saturating_sub(busy));
    ensure!(graph.tx_count() == chain.transactions, "not every transaction is in the index");
    drop(graph);
    let opened = Instant::now();
    let graph = Index::open(&index)?;
    let opened = opened.elapsed();
    let verified = Instant::now();
    graph.verify()?;
    let verified = verified.elapsed();

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
    let verify_row = json!({ "ms": ms(verified), "MB/s": rate(all, verified) });
    let mut rows = Map::from_iter([
        ("chain".to_owned(), contents(&graph, chain.bytes)),
        ("SHA-256 twice, one thread".to_owned(), hash_row),
        ("index build".to_owned(), build_row),
        ("open".to_owned(), json!({ "us": us(opened) })),
        ("every item compared".to_owned(), verify_row),
        ("scan of all inputs and outputs".to_owned(), fastest(|| scan(&graph))),
        ("the same, transaction by transaction".to_owned(), fastest(|| scan_by_transaction(&graph))),
        ("size".to_owned(), sizes(&graph, chain.bytes)),
    ]);
    queries::queries(&graph, &mut rows);
    compared(&graph, folder, &mut rows)?;
    Ok(rows)
}

/// Traces and clusters, beside those of others where there are any.
fn compared(graph: &Index, folder: &Path, rows: &mut Map<String, Value>) -> Result<()> {
    let peers = Peers::new(folder)?;
    let seeds = seeds(graph);
    for method in [Method::Fifo, Method::Haircut, Method::Poison] {
        rows.insert(format!("trace by {}", method.name()), traced(graph, &seeds, method)?);
    }
    let row = |clusters: &Clusters, took, threads| json!({ "us": us(took), "threads": threads, "clusters": clusters.count() });
    let (clusters, took) = clustered(graph, NonZeroUsize::MIN)?;
    rows.insert("clusters by one thread".to_owned(), row(&clusters, took, NonZeroUsize::MIN));
    let (clusters, took) = clustered(graph, threads())?;
    rows.insert("clusters".to_owned(), row(&clusters, took, threads()));
    if let Some(peers) = peers {
        rows.insert("clusters in graphsense-clustering".to_owned(), peers.clusters(graph, &clusters, took)?);
        peers.traces(graph, &seeds, rows)?;
    }
    Ok(())
}

/// As many as there are processors.
fn threads() -> NonZeroUsize {
    available_parallelism().unwrap_or(NonZeroUsize::MIN)
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

/// Coins whose units are among those of nearly every later transaction, with others between them.
fn seeds(graph: &Index) -> Vec<OutputNum> {
    (1..=SEED_BLOCKS)
        .filter(|height| height % 8 != 0)
        .filter_map(|height| graph.block(Height::new(height)))
        .filter_map(|txs| graph.outputs(TxNum::new(txs.start)).next().map(OutputNum::new))
        .collect()
}

/// The seeds followed to the chain's tip: they touch nearly all of it.
fn traced(graph: &Index, seeds: &[OutputNum], method: Method) -> Result<Value> {
    let cases = [Case { seeds: seeds.to_vec() }];
    let began = Instant::now();
    let trace = trace(graph, &cases, &Terms::new(method))?;
    let took = began.elapsed();
    let touched = trace.transactions_touched;
    Ok(json!({
        "ms": ms(took),
        "transactions touched": touched,
        "ns per transaction": ns(took).checked_div(touched),
    }))
}

/// Clusters, and how long the fastest of three runs took.
fn clustered(graph: &Index, threads: NonZeroUsize) -> Result<(Clusters, Duration)> {
    let run = || -> Result<(Clusters, Duration)> {
        let began = Instant::now();
        let clusters = Clusters::of(graph, &Rules::default(), threads, &|_| {})?;
        Ok((clusters, began.elapsed()))
    };
    let mut fastest = run()?;
    for _ in 1..3 {
        let next = run()?;
        if next.1 < fastest.1 {
            fastest = next;
        }
    }
    Ok(fastest)
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

/// A scan by one thread, of pieces that were compared before: the fastest of five.
fn fastest(scan: impl Fn() -> u64) -> Value {
    let run = |_| {
        let began = Instant::now();
        let items = scan();
        (began.elapsed(), items)
    };
    let (took, items) = (0..5).map(run).min().unwrap_or_default();
    json!({ "us": us(took), "items": items, "ps per item": (ns(took) * 1_000).checked_div(items), "threads": 1 })
}

/// Reads value, address and spender of every output and the output of every input; how many those are.
fn scan(graph: &Index) -> u64 {
    let mut items = 0;
    let mut sum = 0_u64;
    for output in graph.all_outputs() {
        let spender = output.spender.map_or(0, TxNum::number);
        let owner = output.address.map_or(0, AddressNum::number);
        sum = sum.wrapping_add(output.value_sat).wrapping_add(spender ^ owner);
        items += 1;
    }
    for output in graph.all_inputs() {
        sum = sum.wrapping_add(output.number());
        items += 1;
    }
    black_box(sum);
    items
}

/// As [`scan`], and asks for each thing by its number.
fn scan_by_transaction(graph: &Index) -> u64 {
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

pub(crate) fn ms(time: Duration) -> u64 {
    us(time) / 1_000
}

/// Megabytes per second.
fn rate(bytes: u64, time: Duration) -> u64 {
    let rate = u128::from(bytes) * 1_000 / u128::from(ns(time).max(1));
    u64::try_from(rate).unwrap_or(u64::MAX)
}
