//! A trace's answer: the JSON that other people's scripts read.
//!
//! Decides names and order alone; every figure comes from the trace.

use std::collections::BTreeMap;

use kuraban_trace::{
    graph::{AddressNum, Graph, OutputNum},
    taint::{CaseNum, Overlap, Part, Spread, Tainted, Totals, Trace, Traced, outpoint},
};
use serde::Serialize;

use super::{bounds::IntervalRows, cases::Claims, origins};

/// How an address is written.
pub(super) type Name<'a> = &'a dyn Fn(AddressNum) -> Option<String>;

/// A trace's answer.
#[derive(Serialize)]
pub(super) struct Answer {
    pub(super) network: &'static str,
    pub(super) method: &'static str,
    pub(super) parameters: Parameters,
    pub(super) seeds: Vec<Seed>,
    pub(super) tip: TipRow,
    #[serde(flatten)]
    pub(super) totals: TotalsRow,
    pub(super) transactions_touched: u64,
    pub(super) outputs: Vec<Output>,
    pub(super) stopped: Vec<Output>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) comparison: Option<Comparison>,
    /// Only where cases were named. A bundle's answer has none.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub(super) cases: Option<CaseRows>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) intervals: Option<IntervalRows>,
    /// Of each seed, where its units come from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) origins: Option<Vec<origins::Answer>>,
}

#[derive(Serialize)]
pub(super) struct Parameters {
    pub(super) until: Option<u32>,
    pub(super) fees: &'static str,
    pub(super) coinbase: &'static str,
    pub(super) overlap: &'static str,
    pub(super) dust_sat: u64,
    pub(super) stops: Vec<String>,
}

#[derive(Serialize)]
pub(super) struct Seed {
    pub(super) txid: String,
    pub(super) vout: u32,
    pub(super) value_sat: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) case: Option<String>,
}

/// What each of several cases has.
#[derive(Serialize)]
pub(super) struct CaseRows {
    #[serde(rename = "cases")]
    pub(super) rows: Vec<CaseRow>,
    pub(super) overlaps: Vec<OverlapRow>,
    /// Whether each was followed as if it were the only one.
    #[serde(skip)]
    pub(super) apart: bool,
}

#[derive(Serialize)]
pub(super) struct CaseRow {
    pub(super) case: String,
    #[serde(flatten)]
    pub(super) totals: TotalsRow,
    /// Unspent outputs with units of it.
    pub(super) outputs: usize,
    #[serde(skip)]
    pub(super) seeds: usize,
}

#[derive(Serialize)]
pub(super) struct OverlapRow {
    pub(super) txid: String,
    pub(super) vout: u32,
    pub(super) case: String,
    pub(super) held_by: String,
    pub(super) amount_sat: u64,
}

#[derive(Serialize)]
pub(super) struct TipRow {
    pub(super) height: u32,
    pub(super) hash: String,
}

#[derive(Clone, Copy, Serialize)]
pub(super) struct TotalsRow {
    pub(super) stolen_sat: u128,
    pub(super) unspent_sat: u128,
    pub(super) fees_sat: Option<u128>,
    pub(super) burned_sat: Option<u128>,
    pub(super) stopped_sat: u128,
    pub(super) dust_sat: u128,
    pub(super) shielded_sat: u128,
}

#[derive(Serialize)]
pub(super) struct Output {
    pub(super) txid: String,
    pub(super) vout: u32,
    pub(super) height: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) address: Option<String>,
    pub(super) value_sat: u64,
    pub(super) tainted_sat: u64,
    /// Places of the tainted units in the output: first unit and number, and whose they are where cases were named. Only where
    /// the method knows them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) segments: Option<Vec<Segment>>,
    /// The tainted units by case, where cases were named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cases: Option<BTreeMap<String, u64>>,
}

#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Segment {
    Of(u64, u64),
    OfCase(u64, u64, String),
}

#[derive(Serialize)]
pub(super) struct Comparison {
    pub(super) methods: Vec<MethodRow>,
    pub(super) agreed_sat: u128,
    pub(super) outputs: Vec<OutputSpan>,
    pub(super) addresses: Vec<AddressSpan>,
}

#[derive(Serialize)]
pub(super) struct MethodRow {
    pub(super) method: &'static str,
    #[serde(flatten)]
    pub(super) totals: TotalsRow,
    pub(super) outputs: usize,
    pub(super) transactions_touched: u64,
}

#[derive(Serialize)]
pub(super) struct OutputSpan {
    pub(super) txid: String,
    pub(super) vout: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) address: Option<String>,
    pub(super) min_sat: u128,
    pub(super) max_sat: u128,
}

#[derive(Serialize)]
pub(super) struct AddressSpan {
    pub(super) address: String,
    pub(super) min_sat: u128,
    pub(super) max_sat: u128,
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
        Self::told(graph, name, stops, found, Claims::Earliest, None)
    }

    /// As [`Self::of`], by case. `names` stand in the order in which the cases were asked for.
    pub(super) fn told<G: Graph>(
        graph: &G,
        name: Name<'_>,
        stops: &[String],
        found: &Trace,
        claims: Claims,
        names: Option<&[String]>,
    ) -> Self {
        let terms = &found.terms;
        let names = names.map(|names| Names { cases: &found.cases, names });
        let seed = |traced: &Traced, output: &OutputNum| {
            let at = outpoint(graph, *output);
            let case = names.map(|names| names.asked(traced));
            Seed { txid: at.txid.to_string(), vout: at.vout, value_sat: graph.value(*output), case }
        };
        let seeds =
            found.cases.iter().flat_map(|case| case.seeds.iter().map(move |output| seed(case, output)));
        let rows = |tainted: &[Tainted]| {
            let row = |tainted| Output::of(graph, name, names, terms.method.has_order(), tainted);
            tainted.iter().map(row).collect()
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
                overlap: claims.name(),
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
            cases: names.map(|names| CaseRows::of(graph, found, names, claims)),
            intervals: None,
            origins: None,
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
}

/// The names of a trace's cases.
#[derive(Clone, Copy)]
struct Names<'a> {
    cases: &'a [Traced],
    names: &'a [String],
}

impl Names<'_> {
    fn asked(self, traced: &Traced) -> String {
        self.names.get(traced.asked).cloned().unwrap_or_default()
    }

    fn of(self, case: CaseNum) -> String {
        self.cases.get(case.place()).map(|traced| self.asked(traced)).unwrap_or_default()
    }
}

impl CaseRows {
    fn of<G: Graph>(graph: &G, found: &Trace, names: Names<'_>, claims: Claims) -> Self {
        let row = |(place, traced): (u32, &Traced)| {
            let holds = |tainted: &&Tainted| tainted.of(CaseNum::new(place)) > 0;
            CaseRow {
                case: names.asked(traced),
                totals: traced.totals.into(),
                outputs: found.unspent.iter().filter(holds).count(),
                seeds: traced.seeds.len(),
            }
        };
        let overlap = |overlap: &Overlap| {
            let at = outpoint(graph, overlap.seed);
            OverlapRow {
                txid: at.txid.to_string(),
                vout: at.vout,
                case: names.of(overlap.case),
                held_by: names.of(overlap.held_by),
                amount_sat: overlap.amount_sat,
            }
        };
        Self {
            rows: (0..).zip(&found.cases).map(row).collect(),
            overlaps: found.overlaps.iter().map(overlap).collect(),
            apart: claims == Claims::Each,
        }
    }
}

impl Output {
    fn of<G: Graph>(
        graph: &G,
        name: Name<'_>,
        names: Option<Names<'_>>,
        has_order: bool,
        tainted: &Tainted,
    ) -> Self {
        let at = outpoint(graph, tainted.output);
        let segment = |part: &Part| match names {
            None => Segment::Of(part.start_sat, part.amount_sat),
            Some(names) => Segment::OfCase(part.start_sat, part.amount_sat, names.of(part.case)),
        };
        let by_case = |names: Names<'_>| {
            let mut cases: BTreeMap<String, u64> = BTreeMap::new();
            for part in tainted.parts.iter() {
                let sum = cases.entry(names.of(part.case)).or_default();
                *sum = sum.saturating_add(part.amount_sat);
            }
            cases
        };
        Self {
            txid: at.txid.to_string(),
            vout: at.vout,
            height: graph.height(graph.creator(tainted.output)).blocks(),
            address: graph.address(tainted.output).and_then(name),
            value_sat: tainted.value_sat,
            tainted_sat: tainted.tainted_sat(),
            segments: has_order.then(|| tainted.parts.iter().map(segment).collect()),
            cases: names.map(by_case),
        }
    }
}
