//! How a trace is told: the JSON that other people's scripts read, and a table for people.
//!
//! Decides names and order alone; every figure comes from the trace.

use core::cmp::Reverse;

use kuraban_base::Amount;
use kuraban_chain::btc::Network;
use kuraban_trace::{
    graph::{AddressNum, Graph, OutputNum},
    taint::{Spread, Tainted, Totals, Trace, outpoint},
};
use serde::Serialize;

use super::bounds::IntervalRows;
use crate::say::{Side, grouped, table};

/// Most outputs that the table for people shows.
const SHOWN_MAX: usize = 20;

/// How an address is written.
pub(super) type Name<'a> = &'a dyn Fn(AddressNum) -> Option<String>;

/// A trace's answer.
#[derive(Serialize)]
pub(super) struct Answer {
    network: &'static str,
    method: &'static str,
    parameters: Parameters,
    seeds: Vec<Seed>,
    tip: TipRow,
    #[serde(flatten)]
    totals: TotalsRow,
    transactions_touched: u64,
    outputs: Vec<Output>,
    stopped: Vec<Output>,
    #[serde(skip_serializing_if = "Option::is_none")]
    comparison: Option<Comparison>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) intervals: Option<IntervalRows>,
}

#[derive(Serialize)]
struct Parameters {
    until: Option<u32>,
    fees: &'static str,
    coinbase: &'static str,
    overlap: &'static str,
    dust_sat: u64,
    stops: Vec<String>,
}

#[derive(Serialize)]
struct Seed {
    txid: String,
    vout: u32,
    value_sat: u64,
}

#[derive(Serialize)]
struct TipRow {
    height: u32,
    hash: String,
}

#[derive(Clone, Copy, Serialize)]
struct TotalsRow {
    stolen_sat: u128,
    unspent_sat: u128,
    fees_sat: Option<u128>,
    burned_sat: Option<u128>,
    stopped_sat: u128,
    dust_sat: u128,
    shielded_sat: u128,
}

#[derive(Serialize)]
struct Output {
    txid: String,
    vout: u32,
    height: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<String>,
    value_sat: u64,
    tainted_sat: u64,
    /// Places of the tainted units in the output: first unit and number. Only where the method knows them.
    #[serde(skip_serializing_if = "Option::is_none")]
    segments: Option<Vec<[u64; 2]>>,
}

#[derive(Serialize)]
struct Comparison {
    methods: Vec<MethodRow>,
    agreed_sat: u128,
    outputs: Vec<OutputSpan>,
    addresses: Vec<AddressSpan>,
}

#[derive(Serialize)]
struct MethodRow {
    method: &'static str,
    #[serde(flatten)]
    totals: TotalsRow,
    outputs: usize,
    transactions_touched: u64,
}

#[derive(Serialize)]
struct OutputSpan {
    txid: String,
    vout: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<String>,
    min_sat: u128,
    max_sat: u128,
}

#[derive(Serialize)]
struct AddressSpan {
    address: String,
    min_sat: u128,
    max_sat: u128,
}

impl From<Totals> for TotalsRow {
    fn from(totals: Totals) -> Self {
        let Totals { stolen_sat, unspent_sat, fees_sat, burned_sat, stopped_sat, dust_sat, shielded_sat } =
            totals;
        Self { stolen_sat, unspent_sat, fees_sat, burned_sat, stopped_sat, dust_sat, shielded_sat }
    }
}

impl Answer {
    /// Puts a trace into words. `stops` are as they were given.
    pub(super) fn of<G: Graph>(graph: &G, name: Name<'_>, stops: &[String], found: &Trace) -> Self {
        let terms = &found.terms;
        let seeds = found.cases.iter().flat_map(|case| &case.seeds).map(|output| {
            let at = outpoint(graph, *output);
            Seed { txid: at.txid.to_string(), vout: at.vout, value_sat: graph.value(*output) }
        });
        let has_order = terms.method.has_order();
        let rows = |tainted: &[Tainted]| {
            tainted.iter().map(|tainted| Output::of(graph, name, has_order, tainted)).collect()
        };
        Self {
            network: graph.network().name(),
            method: terms.method.name(),
            parameters: Parameters {
                until: terms.until.map(|until| until.blocks()),
                fees: match (terms.method.conserves(), terms.follow_fees) {
                    (false, _) => "not counted",
                    (true, false) => "counted",
                    (true, true) => "followed",
                },
                coinbase: "subsidy first, then fees in transaction order",
                overlap: "the earliest theft keeps the unit",
                dust_sat: terms.dust_sat,
                stops: stops.to_vec(),
            },
            seeds: seeds.collect(),
            tip: TipRow { height: found.tip.height.blocks(), hash: found.tip.hash.to_string() },
            totals: found.totals().into(),
            transactions_touched: found.transactions_touched,
            outputs: rows(&found.unspent),
            stopped: rows(&found.stopped),
            comparison: None,
            intervals: None,
        }
    }

    /// Adds what the other methods found.
    pub(super) fn compare<G: Graph>(&mut self, graph: &G, name: Name<'_>, traces: &[Trace], spread: &Spread) {
        let method = |trace: &Trace| MethodRow {
            method: trace.terms.method.name(),
            totals: trace.totals().into(),
            outputs: trace.unspent.len(),
            transactions_touched: trace.transactions_touched,
        };
        let output = |(output, span): (&OutputNum, &kuraban_trace::taint::Span)| {
            let at = outpoint(graph, *output);
            let address = graph.address(*output).and_then(name);
            let (min_sat, max_sat) = (span.min_sat, span.max_sat);
            OutputSpan { txid: at.txid.to_string(), vout: at.vout, address, min_sat, max_sat }
        };
        let address = |(address, span): (&AddressNum, &kuraban_trace::taint::Span)| {
            let address = name(*address)?;
            Some(AddressSpan { address, min_sat: span.min_sat, max_sat: span.max_sat })
        };
        self.comparison = Some(Comparison {
            methods: traces.iter().map(method).collect(),
            agreed_sat: spread.agreed_sat(),
            outputs: spread.outputs.iter().map(output).collect(),
            addresses: spread.addresses.iter().filter_map(address).collect(),
        });
    }

    /// The table for people.
    pub(super) fn to_text(&self, network: Network) -> String {
        let coins = |sat: u128| coins(network, sat);
        let fees = match self.parameters.fees {
            "followed" => "fees followed",
            "counted" => "fees counted, not followed",
            _ => "fees not counted",
        };
        let mut text = format!(
            "{} on {}, {} seed(s), {fees}, to height {} of an index that ends at {} ({})\n",
            self.method,
            self.network,
            self.seeds.len(),
            self.parameters.until.unwrap_or(self.tip.height),
            self.tip.height,
            self.tip.hash,
        );
        text += &format!("\ntotals\n{}", self.totals_text(network));
        text += &self.outputs_text("unspent outputs with stolen units", &self.outputs, network);
        if !self.stopped.is_empty() {
            text += &self.outputs_text("held at stops", &self.stopped, network);
        }
        text += &format!("\n{} transactions took in stolen units\n", self.transactions_touched);
        if let Some(comparison) = &self.comparison {
            let row = |row: &MethodRow| {
                let TotalsRow { unspent_sat, fees_sat, .. } = row.totals;
                let fees = fees_sat.map_or_else(|| "-".to_owned(), coins);
                [row.method.to_owned(), coins(unspent_sat), fees, row.outputs.to_string()]
            };
            let head = ["method", "unspent", "fees", "outputs"].map(str::to_owned);
            let rows: Vec<_> = core::iter::once(head).chain(comparison.methods.iter().map(row)).collect();
            let sides = [Side::Left, Side::Right, Side::Right, Side::Right];
            text += &format!("\nby method\n{}", table(sides, &rows));
            let agreed = coins(comparison.agreed_sat);
            text += &format!("\nall methods but poison agree on the place of {agreed}\n");
        }
        if let Some(intervals) = &self.intervals {
            text += &intervals.to_text(network);
        }
        text
    }

    fn totals_text(&self, network: Network) -> String {
        let TotalsRow { stolen_sat, unspent_sat, fees_sat, burned_sat, stopped_sat, dust_sat, shielded_sat } =
            self.totals;
        let places = [
            ("in unspent outputs", Some(unspent_sat)),
            ("paid as fees", fees_sat),
            ("burned", burned_sat),
            ("held at stops", Some(stopped_sat)),
            ("dropped as dust", Some(dust_sat)),
            ("in a shielded pool", Some(shielded_sat)),
            ("stolen", Some(stolen_sat)),
        ];
        let row = |(what, sat): (&str, Option<u128>)| {
            let sat = sat.map_or_else(|| "not counted".to_owned(), |sat| coins(network, sat));
            [what.to_owned(), sat]
        };
        let balance = if fees_sat.is_some() {
            "  the lines above the last add up to it, to the unit\n"
        } else {
            "  poison does not conserve units: these do not add up\n"
        };
        table([Side::Left, Side::Right], &places.map(row)) + balance
    }

    fn outputs_text(&self, what: &str, outputs: &[Output], network: Network) -> String {
        let mut largest: Vec<&Output> = outputs.iter().collect();
        largest.sort_by_key(|output| Reverse(output.tainted_sat));
        let rest: u128 = largest.iter().skip(SHOWN_MAX).map(|output| u128::from(output.tainted_sat)).sum();
        let row = |output: &&Output| {
            let of = format!("of {}", coins(network, output.value_sat.into()));
            let address = output.address.as_deref().map_or_else(|| "no address".to_owned(), grouped);
            let at = format!("{}:{}", output.txid, output.vout);
            [coins(network, output.tainted_sat.into()), of, address, at]
        };
        let rows: Vec<_> = largest.iter().take(SHOWN_MAX).map(row).collect();
        let sides = [Side::Right, Side::Right, Side::Left, Side::Left];
        let mut text = format!("\n{what} ({}), the largest first\n{}", outputs.len(), table(sides, &rows));
        if outputs.len() > SHOWN_MAX {
            let more = outputs.len().saturating_sub(SHOWN_MAX);
            text += &format!("  and {more} more with {} together; --json shows all\n", coins(network, rest));
        }
        text
    }
}

impl Output {
    fn of<G: Graph>(graph: &G, name: Name<'_>, has_order: bool, tainted: &Tainted) -> Self {
        let at = outpoint(graph, tainted.output);
        let segments = || tainted.parts.iter().map(|part| [part.start_sat, part.amount_sat]).collect();
        Self {
            txid: at.txid.to_string(),
            vout: at.vout,
            height: graph.height(graph.creator(tainted.output)).blocks(),
            address: graph.address(tainted.output).and_then(name),
            value_sat: tainted.value_sat,
            tainted_sat: tainted.tainted_sat(),
            segments: has_order.then(segments),
        }
    }
}

/// An amount in whole coins with its ticker.
pub(super) fn coins(network: Network, sat: u128) -> String {
    let asset = network.asset();
    format!("{} {asset}", Amount::new(sat).to_coins(asset.decimals()))
}
