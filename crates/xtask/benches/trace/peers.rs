//! The same questions to programs of others in the same run: FIFO and poison in DuckDB and networkx, clusters in
//! GraphSense's own library. Their answers are compared with ours before a time is shown.
//!
//! Decides what a peer is given: columns as numbers, so that nobody is timed reading our files. Where there is no Python
//! with those packages (`KURABAN_BENCH_PYTHON`), there are no peers.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use kuraban_trace::cluster::{Clusters, looks_like_coinjoin};
use kuraban_trace::graph::{AddressNum, Graph, OutputNum, TxNum};
use kuraban_trace::index::Index;
use kuraban_trace::taint::{Case, Method, Terms, Trace, trace};
use serde_json::{Map, Value, json};

use crate::figures::us;
use crate::{ms, threads};

/// Where the peers' programs are.
const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/peers");

/// What is compared.
pub(crate) struct Peers {
    python: PathBuf,
    folder: PathBuf,
}

impl Peers {
    /// The peers, if there is a Python that has them; what they are given lies in a folder.
    pub(crate) fn new(folder: &Path) -> Result<Option<Self>> {
        let Some(python) = std::env::var_os("KURABAN_BENCH_PYTHON") else { return Ok(None) };
        let folder = folder.join("peers");
        fs::create_dir_all(&folder)?;
        Ok(Some(Self { python: python.into(), folder }))
    }

    /// What a peer's program printed: one JSON object.
    fn run(&self, script: &str) -> Result<Map<String, Value>> {
        let mut command = Command::new(&self.python);
        command.arg(Path::new(SCRIPTS).join(script)).arg(&self.folder).stderr(Stdio::inherit());
        let output = command.output().with_context(|| format!("{script} could not be started"))?;
        ensure!(output.status.success(), "{script} ended with {}", output.status);
        serde_json::from_slice(&output.stdout).with_context(|| format!("{script} did not print JSON"))
    }

    fn column(&self, name: &str, numbers: impl Iterator<Item = u64>) -> Result<()> {
        let mut file = BufWriter::new(File::create(self.folder.join(name))?);
        for number in numbers {
            file.write_all(&number.to_le_bytes())?;
        }
        file.flush().context("a column for the peers could not be written")
    }

    /// Traces by FIFO and poison: rows of ours and theirs, for the same answer.
    pub(crate) fn traces(
        &self,
        graph: &Index,
        seeds: &[OutputNum],
        rows: &mut Map<String, Value>,
    ) -> Result<()> {
        self.columns(graph, seeds)?;
        for (script, name) in [("duckdb_trace.py", "DuckDB"), ("networkx_trace.py", "networkx")] {
            let said = self.run(script)?;
            for method in [Method::Fifo, Method::Poison] {
                let Some(theirs) = said.get(method.name()) else { continue };
                let (took, found) = best(graph, seeds, method)?;
                let want = answer(&found);
                for (field, want) in want {
                    let found = theirs.get(field).and_then(Value::as_u64);
                    ensure!(
                        found == Some(want),
                        "{name} {}: {field} is {found:?}, ours {want}",
                        method.name()
                    );
                }
                let their_us = theirs.get("us").and_then(Value::as_u64).context("no time")?;
                let row = json!({
                    "ms": their_us / 1_000,
                    "ours ms": ms(took),
                    "times ours": their_us.checked_div(us(took).max(1)),
                    "transactions touched": found.transactions_touched,
                    "to load ms": said.get("load us").and_then(Value::as_u64).map(|us| us / 1_000),
                });
                rows.insert(format!("{} in {name} {}", method.name(), version(&said)), row);
            }
        }
        Ok(())
    }

    /// What a trace needs, as columns of eight bytes.
    fn columns(&self, graph: &Index, seeds: &[OutputNum]) -> Result<()> {
        let txs = || (0..graph.tx_count()).map(TxNum::new);
        let outputs = || (0..graph.counts().outputs).map(OutputNum::new);
        self.column("first_output", txs().map(|tx| graph.outputs(tx).start).chain([graph.counts().outputs]))?;
        let mut inputs = 0;
        let first = txs().map(|tx| {
            let first = inputs;
            inputs += u64::try_from(graph.inputs(tx).count()).unwrap_or(u64::MAX);
            first
        });
        self.column("first_input", first.chain([graph.counts().inputs]))?;
        self.column("inputs", txs().flat_map(|tx| graph.inputs(tx)).map(OutputNum::number))?;
        self.column("values", outputs().map(|output| graph.value(output)))?;
        self.column(
            "spenders",
            outputs().map(|output| graph.spender(output).map_or(u64::MAX, TxNum::number)),
        )?;
        self.column("levels", levels(graph).into_iter())?;
        self.column("seeds", seeds.iter().map(|seed| seed.number()))
    }

    /// Clusters by co-spending: the same partition, in a time of theirs and of ours.
    pub(crate) fn clusters(&self, graph: &Index, ours: &Clusters, took: Duration) -> Result<Value> {
        let mut offsets = vec![0];
        let mut spent = Vec::new();
        for tx in (0..graph.tx_count()).map(TxNum::new) {
            if !looks_like_coinjoin(graph, tx) {
                spent.extend(graph.inputs(tx).map(OutputNum::number));
            }
            offsets.push(u64::try_from(spent.len())?);
        }
        self.column("co_spent_first", offsets.into_iter())?;
        self.column("co_spent", spent.into_iter())?;
        let owner = |output| graph.address(OutputNum::new(output)).map_or(0, AddressNum::number);
        self.column("owners", (0..graph.counts().outputs).map(owner))?;
        self.column("clusters", ours.all().into_iter().map(AddressNum::number))?;
        let given = joined(graph, ours)?;
        let said = self.run("graphsense_clusters.py")?;
        ensure!(said.get("same") == Some(&Value::Bool(true)), "GraphSense finds other clusters: {said:?}");
        let their = |field: &str| said.get(field).and_then(Value::as_u64).context("no time");
        let (gather, lists, arrow) = (their("gather us")?, their("lists us")?, their("arrow us")?);
        let percent = |their_us: u64| (their_us * 100).checked_div(us(took).max(1));
        Ok(json!({
            "ours us, reading, filtering and joining": us(took),
            "theirs us, gathering": gather,
            "theirs us, joining lists": lists,
            "theirs us, joining Arrow arrays": arrow,
            "ours us, joining what theirs is given": us(given),
            "percent of ours, joining, Arrow alone": (arrow * 100).checked_div(us(given).max(1)),
            "percent of ours, lists": percent(lists),
            "percent of ours, gather and Arrow": percent(gather + arrow),
            "percent of ours, Arrow alone": percent(arrow),
        }))
    }
}

/// How long ours takes for what theirs does: joins addresses that were gathered before, and gives out every address's cluster.
fn joined(graph: &Index, ours: &Clusters) -> Result<Duration> {
    let (mut members, mut ends) = (Vec::new(), Vec::new());
    for tx in (0..graph.tx_count()).map(TxNum::new).filter(|tx| !looks_like_coinjoin(graph, *tx)) {
        members.extend(graph.inputs(tx).filter_map(|output| graph.address(output)));
        ends.push(members.len());
    }
    let want = ours.all();
    let mut best = Duration::MAX;
    for _ in 0..3 {
        let began = Instant::now();
        let found = Clusters::joined(ours.addresses(), &members, &ends, threads());
        let mapping = found.all();
        best = best.min(began.elapsed());
        ensure!(mapping == want, "other clusters");
    }
    Ok(best)
}

/// A trace, and how long the faster of two runs took.
fn best(graph: &Index, seeds: &[OutputNum], method: Method) -> Result<(Duration, Trace)> {
    let cases = [Case { seeds: seeds.to_vec() }];
    let mut fastest = None;
    for _ in 0..2 {
        let began = Instant::now();
        let found = trace(graph, &cases, &Terms::new(method))?;
        let took = began.elapsed();
        if fastest.as_ref().is_none_or(|(best, _)| took < *best) {
            fastest = Some((took, found));
        }
    }
    fastest.context("nothing was traced")
}

/// What two traces must agree on, from which every amount of every output follows but for accidents of 64 bits.
fn answer(found: &Trace) -> [(&'static str, u64); 4] {
    let sum = found.unspent.iter().fold(0_u64, |sum, tainted| {
        sum.wrapping_add(
            (tainted.output.number() % 1_000_003 + 1).wrapping_mul(tainted.tainted_sat() % 1_000_003),
        )
    });
    [
        ("touched", found.transactions_touched),
        ("outputs", u64::try_from(found.unspent.len()).unwrap_or(u64::MAX)),
        ("tainted", found.unspent.iter().map(|tainted| tainted.tainted_sat()).sum()),
        ("sum", sum),
    ]
}

fn version(said: &Map<String, Value>) -> &str {
    said.get("version").and_then(Value::as_str).unwrap_or_default()
}

/// How many transactions stand in a row before each: what depends on nothing in its own level can be computed at once.
fn levels(graph: &Index) -> Vec<u64> {
    let mut levels: Vec<u64> = Vec::new();
    for tx in (0..graph.tx_count()).map(TxNum::new) {
        let before = graph.inputs(tx).filter_map(|output| {
            usize::try_from(graph.creator(output).number()).ok().and_then(|tx| levels.get(tx)).copied()
        });
        let level = before.max().map_or(0, |level| level + 1);
        levels.push(level);
    }
    levels
}
