//! The six queries that BlockSci's authors measured, over our columns: nanoseconds for each item that a query reads.
//!
//! Decides what each of them reads, in words: their code is not used. What they published is a scan of all inputs and
//! outputs of Bitcoin to height 478,449 in 1.1 s on four cores (changes of version 0.3), about 1.25 billion items.

use std::hint::black_box;
use std::time::{Duration, Instant};

use kuraban_trace::graph::{AddressNum, Graph, OutputNum, TxNum};
use kuraban_trace::index::Index;
use serde_json::{Map, Value, json};

use crate::figures::{ns, us};

/// Adds a row for each query; the faster of two runs.
pub(crate) fn queries(graph: &Index, rows: &mut Map<String, Value>) {
    let counts = graph.counts();
    let coins = counts.inputs + counts.outputs;
    let often = most_paid(graph);
    let mut row = |name: &str, items: u64, query: &dyn Fn() -> u64| {
        let (took, found) = (0..2).map(|_| timed(query)).min().unwrap_or_default();
        rows.insert(
            format!("query: {name}"),
            json!({ "us": us(took), "items": items, "ps per item": (ns(took) * 1_000).checked_div(items), "found": found }),
        );
    };
    row("lock time above 0", counts.transactions, &|| {
        count(txs(graph).filter(|tx| graph.lock_time(*tx) > 0))
    });
    row("largest output", counts.outputs, &|| {
        graph.all_outputs().map(|output| output.value_sat).max().unwrap_or(0)
    });
    row("fees", coins, &|| txs(graph).map(|tx| fee(graph, tx)).sum());
    row("outputs of one address", counts.outputs, &|| {
        count(graph.all_outputs().filter(|output| output.address == Some(often)))
    });
    row("spent in the block that made them", counts.outputs, &|| spent_at_once(graph));
    row("change by lock time", coins, &|| count(txs(graph).filter(|tx| has_change(graph, *tx))));
}

fn timed(query: &dyn Fn() -> u64) -> (Duration, u64) {
    let began = Instant::now();
    let found = black_box(query());
    (began.elapsed(), found)
}

fn txs(graph: &Index) -> impl Iterator<Item = TxNum> {
    (0..graph.tx_count()).map(TxNum::new)
}

fn count<T>(found: impl Iterator<Item = T>) -> u64 {
    found.fold(0, |count, _| count + 1)
}

fn fee(graph: &Index, tx: TxNum) -> u64 {
    let spent = graph.inputs(tx).fold(0_u64, |sum, output| sum.wrapping_add(graph.value(output)));
    let paid =
        graph.outputs(tx).fold(0_u64, |sum, output| sum.wrapping_add(graph.value(OutputNum::new(output))));
    spent.saturating_sub(paid)
}

/// What is paid more often than others: here, of the first thousand addresses.
fn most_paid(graph: &Index) -> AddressNum {
    let mut times = vec![0_u32; 1_000];
    for address in graph.all_outputs().filter_map(|output| output.address) {
        let place = usize::try_from(address.number()).ok();
        if let Some(times) = place.and_then(|place| times.get_mut(place)) {
            *times += 1;
        }
    }
    let place = (0..times.len()).max_by_key(|place| times.get(*place)).unwrap_or(0);
    AddressNum::new(u64::try_from(place).unwrap_or(0))
}

/// Outputs that are spent without a confirmation.
fn spent_at_once(graph: &Index) -> u64 {
    let mut found = 0;
    let mut height = graph.start().height;
    while let Some(txs) = graph.block(height) {
        let (first, end) = (graph.outputs(TxNum::new(txs.start)).start, txs.end);
        let last = graph.outputs(TxNum::new(end - 1)).end;
        let spent = (first..last).filter_map(|output| graph.spender(OutputNum::new(output)));
        found += count(spent.filter(|spender| spender.number() < end));
        let Some(next) = height.blocks().checked_add(1) else { break };
        height = kuraban_base::Height::new(next);
    }
    found
}

/// Whether exactly one output goes to a transaction that locks its time as this one does, and the others do not.
fn has_change(graph: &Index, tx: TxNum) -> bool {
    let locks = graph.lock_time(tx) > 0;
    let same = graph.outputs(tx).filter_map(|output| graph.spender(OutputNum::new(output)));
    count(same.filter(|spender| (graph.lock_time(*spender) > 0) == locks)) == 1
}
