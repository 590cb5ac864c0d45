//! How intervals through mixes are told. Every figure comes from `kuraban-trace`.

use core::cmp::Reverse;

use kuraban_chain::btc::Network;
use kuraban_trace::{
    graph::Graph,
    taint::{
        interval::{Held, Intervals},
        outpoint,
    },
};
use serde::Serialize;

use super::{
    answer::Name,
    told::{address, coins, more},
};
use crate::say::{Lang, Side, table};

/// Most outputs that the table for people shows.
const SHOWN_MAX: usize = 20;

/// Intervals as JSON.
#[derive(Serialize)]
pub(super) struct IntervalRows {
    /// Units whose place is certain.
    pub(super) certain_sat: u128,
    pub(super) mixes: Vec<MixRow>,
    pub(super) outputs: Vec<HeldRow>,
    pub(super) stopped: Vec<HeldRow>,
}

#[derive(Serialize)]
pub(super) struct MixRow {
    pub(super) txid: String,
    pub(super) inputs: usize,
    pub(super) outputs: u64,
    pub(super) exact: bool,
}

#[derive(Serialize)]
pub(super) struct HeldRow {
    pub(super) txid: String,
    pub(super) vout: u32,
    pub(super) address: Option<String>,
    pub(super) value_sat: u64,
    pub(super) least_sat: u64,
    pub(super) most_sat: u64,
}

impl IntervalRows {
    pub(super) fn of<G: Graph>(graph: &G, name: Name<'_>, found: &Intervals) -> Self {
        let mix = |mix: &kuraban_trace::taint::interval::Mix| {
            let outputs = graph.outputs(mix.tx);
            MixRow {
                txid: graph.txid(mix.tx).to_string(),
                inputs: graph.inputs(mix.tx).count(),
                outputs: outputs.end.saturating_sub(outputs.start),
                exact: mix.is_exact,
            }
        };
        let held = |held: &Held| {
            let at = outpoint(graph, held.output);
            HeldRow {
                txid: at.txid.to_string(),
                vout: at.vout,
                address: graph.address(held.output).and_then(name),
                value_sat: held.value_sat,
                least_sat: held.bounds.least_sat,
                most_sat: held.bounds.most_sat,
            }
        };
        Self {
            certain_sat: found.certain_sat(),
            mixes: found.mixes.iter().map(mix).collect(),
            outputs: found.unspent.iter().map(held).collect(),
            stopped: found.stopped.iter().map(held).collect(),
        }
    }

    /// Everything that may hold stolen units, the largest first.
    pub(super) fn largest(&self) -> Vec<&HeldRow> {
        let mut largest: Vec<&HeldRow> = self.outputs.iter().chain(&self.stopped).collect();
        largest.sort_by_key(|held| Reverse((held.most_sat, held.least_sat)));
        largest
    }

    pub(super) fn to_text(&self, network: Network, lang: Lang) -> String {
        let shown = |sat: u64| coins(network, sat.into());
        let (mixes, exact) = (self.mixes.len(), self.mixes.iter().filter(|mix| mix.exact).count());
        let mut text = match lang {
            Lang::En => {
                format!("\nthrough {mixes} mixes, {exact} of them looked through in every interpretation\n")
            }
            Lang::Ja => {
                format!("\n通過したミキシング {mixes} 件、うち {exact} 件はすべての解釈を調べました\n")
            }
        };
        let largest = self.largest();
        let row = |held: &&HeldRow| {
            let address = address(lang, held.address.as_deref());
            let to = lang.pick(" to ", " ～ ");
            let span = format!("{}{to}{}", shown(held.least_sat), shown(held.most_sat));
            let of = format!("{}{}", lang.pick("of ", "全 "), shown(held.value_sat));
            [span, of, address, format!("{}:{}", held.txid, held.vout)]
        };
        let rows: Vec<_> = largest.iter().take(SHOWN_MAX).map(row).collect();
        text += &table([Side::Right, Side::Right, Side::Left, Side::Left], &rows);
        if largest.len() > SHOWN_MAX {
            text += &more(lang, largest.len().saturating_sub(SHOWN_MAX));
        }
        let certain = coins(network, self.certain_sat);
        text + &match lang {
            Lang::En => format!("\nthe place of {certain} is certain\n"),
            Lang::Ja => format!("\n{certain} の所在は確実です\n"),
        }
    }
}
