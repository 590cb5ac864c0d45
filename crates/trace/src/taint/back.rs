//! The walk backwards: where the units of an output come from.
//!
//! Decides which inputs they came in by, by the same rules as the walk forward, run in reverse. Never says who owned
//! them.

use core::cmp::Reverse;

use kuraban_base::Height;

use super::{
    flow::{check_inside, coinbase_key, fee},
    part::{CaseNum, Part, Parts, append},
    queue::{Arrival, Queue},
    share::Shares,
    terms::{TaintError, Tainted},
};
use crate::graph::{Graph, OutputNum, TxNum};

/// How units are followed backwards. Methods that fill outputs by their size or order have no reverse that is as clear.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Reversed {
    /// The inverse of FIFO: every unit came in by the place at which it went out.
    Fifo,
    /// The inverse of LIFO.
    Lifo,
    /// In proportion to the inputs' values.
    Haircut,
}

/// What the result depends on beside the chain and the output.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BackTerms {
    /// The method.
    pub method: Reversed,
    /// Most transactions between the output and a source, along the shortest way; without it, back to the coinbases.
    pub hops_max: Option<u32>,
    /// Outputs of earlier blocks are sources.
    pub since: Option<Height>,
}

/// Units that a block made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Minted {
    /// The block's coinbase.
    pub coinbase: TxNum,
    /// How many of its subsidy's units.
    pub amount_sat: u64,
}

/// Where an output's units come from. Together they are the output's value, to the unit.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Origins {
    /// Units new in a block, the latest block first.
    pub minted: Vec<Minted>,
    /// Outputs at which the walk ended by its terms, the latest first.
    pub sources: Vec<Tainted>,
    /// Transactions that were looked at.
    pub transactions_touched: u64,
}

impl Origins {
    /// Σ of everything found.
    #[must_use]
    pub fn total_sat(&self) -> u64 {
        let minted = self.minted.iter().map(|minted| minted.amount_sat);
        let sources = self.sources.iter().map(Tainted::tainted_sat);
        minted.chain(sources).fold(0, u64::saturating_add)
    }
}

/// Follows an output's units back to where they come from. Fees that a coinbase took are followed into the transactions
/// that paid them: they are not new.
///
/// # Errors
/// A graph that contradicts itself or begins too late.
pub fn origins<G: Graph>(graph: &G, output: OutputNum, terms: &BackTerms) -> Result<Origins, TaintError> {
    let mut walk = Back {
        graph,
        terms,
        queue: Queue::default(),
        found: Origins { minted: Vec::new(), sources: Vec::new(), transactions_touched: 0 },
    };
    graph.reading(|| {
        let amount_sat = graph.value(output);
        if amount_sat > 0 {
            let part = Part { case: CaseNum::new(0), start_sat: 0, amount_sat };
            walk.hand_on(output, 0, &[part]);
        }
        walk.run()
    })??;
    Ok(walk.found)
}

struct Back<'a, G> {
    graph: &'a G,
    terms: &'a BackTerms,
    queue: Queue,
    found: Origins,
}

/// Something that units came in by: an output that was spent, the subsidy, or a fee.
#[derive(Clone, Copy)]
enum Source {
    Output(OutputNum),
    Subsidy,
    Fee(TxNum),
}

impl<G: Graph> Back<'_, G> {
    fn run(&mut self) -> Result<(), TaintError> {
        while let Some(key) = self.queue.next_key(u64::MAX) {
            self.queue.take(key);
            self.found.transactions_touched = self.found.transactions_touched.saturating_add(1);
            let (tx, coinbase) = self.tx(u64::MAX.saturating_sub(key));
            let hops = self.queue.taken().map(|arrival| arrival.hops).min().unwrap_or(0).saturating_add(1);
            let sources = if coinbase { self.rewards(tx)? } else { self.inputs(tx)? };
            let line = self.line(tx);
            for (source, parts) in self.reversed(tx, &sources, line)? {
                match source {
                    Source::Output(output) => self.hand_on(output, hops, &parts),
                    Source::Subsidy => {
                        let amount_sat =
                            parts.iter().map(|part| part.amount_sat).fold(0, u64::saturating_add);
                        self.found.minted.push(Minted { coinbase: tx, amount_sat });
                    }
                    Source::Fee(payer) => self.push(payer.number().saturating_mul(2), u64::MAX, hops, &parts),
                }
            }
        }
        Ok(())
    }

    /// The transaction at a place in the order of the walk, and whether it is a coinbase.
    fn tx(&self, place: u64) -> (TxNum, bool) {
        let tx = TxNum::new(place >> 1);
        if place & 1 == 0 {
            return (tx, false);
        }
        let block = self.graph.block(self.graph.height(tx));
        (block.map_or(tx, |block| TxNum::new(block.start)), true)
    }

    /// Ends at an output, or follows its units into the transaction that made it.
    fn hand_on(&mut self, output: OutputNum, hops: u32, parts: &[Part]) {
        let tx = self.graph.creator(output);
        // An output is spent once, so all its units come back to it together.
        let far = self.terms.hops_max.is_some_and(|most| hops >= most);
        let early = || self.terms.since.is_some_and(|since| self.graph.height(tx) < since);
        if far || early() {
            let value_sat = self.graph.value(output);
            self.found.sources.push(Tainted { output, value_sat, parts: parts.into() });
            return;
        }
        let is_coinbase = self.graph.inputs(tx).next().is_none() && self.graph.outside_inputs(tx) == 0;
        let place = if is_coinbase { coinbase_key(self.graph, tx) } else { tx.number().saturating_mul(2) };
        self.push(place, output.number(), hops, parts);
    }

    /// The latest transaction leaves the queue first.
    fn push(&mut self, place: u64, source: u64, hops: u32, parts: &[Part]) {
        let key = u64::MAX.saturating_sub(place);
        self.queue.push(Arrival { key, source, value_sat: 0, hops, parts: Parts::from(parts) });
    }

    fn inputs(&self, tx: TxNum) -> Result<Vec<(Source, u64)>, TaintError> {
        check_inside(self.graph, tx)?;
        let value = |output| (Source::Output(output), self.graph.value(output));
        Ok(self.graph.inputs(tx).map(value).collect())
    }

    /// What a coinbase takes in: the subsidy, then the fees of its block's transactions in their order.
    fn rewards(&self, coinbase: TxNum) -> Result<Vec<(Source, u64)>, TaintError> {
        let height = self.graph.height(coinbase);
        let mut rewards = vec![(Source::Subsidy, self.graph.network().subsidy_sat(height))];
        for payer in self.graph.block(height).unwrap_or_default().map(TxNum::new).skip(1) {
            rewards.push((Source::Fee(payer), fee(self.graph, payer)?));
        }
        Ok(rewards)
    }

    /// The units by their place among all that go out: outputs in order, then the fee, whose source is the greatest.
    fn line(&self, tx: TxNum) -> Vec<Part> {
        let mut arrivals = self.queue.taken().peekable();
        let mut line = Vec::new();
        let mut before_sat = 0_u64;
        for output in self.graph.outputs(tx) {
            if let Some(arrival) = arrivals.next_if(|arrival| arrival.source == output) {
                lengthen(&mut line, before_sat, &arrival.parts);
            }
            before_sat = before_sat.saturating_add(self.graph.value(OutputNum::new(output)));
        }
        for fee in arrivals {
            lengthen(&mut line, before_sat, &fee.parts);
        }
        line
    }

    /// Which units each source gave, sources without any left out.
    fn reversed(
        &self,
        tx: TxNum,
        sources: &[(Source, u64)],
        mut line: Vec<Part>,
    ) -> Result<Vec<(Source, Vec<Part>)>, TaintError> {
        let values: Vec<u64> = sources.iter().map(|(_, value)| *value).collect();
        let whole_sat = values.iter().try_fold(0_u64, |sum, value| sum.checked_add(*value));
        let whole_sat = whole_sat.ok_or_else(|| TaintError::Sum { txid: self.graph.txid(tx) })?;
        let amount_sat = line.iter().fold(0_u64, |sum, part| sum.saturating_add(part.amount_sat));
        if line.last().is_some_and(|last| last.end_sat() > whole_sat) {
            return Err(TaintError::Overspent { txid: self.graph.txid(tx), inputs_sat: whole_sat });
        }
        let mut given: Vec<Vec<Part>> = vec![Vec::new(); sources.len()];
        match self.terms.method {
            Reversed::Haircut => {
                let mut shares = Shares::default();
                shares.split(&values, amount_sat, whole_sat);
                for (parts, share) in given.iter_mut().zip(shares.by_room()).filter(|(_, share)| **share > 0)
                {
                    parts.push(Part { case: CaseNum::new(0), start_sat: 0, amount_sat: *share });
                }
            }
            Reversed::Fifo => cut(&line, &values, &mut given),
            Reversed::Lifo => {
                line.sort_unstable_by_key(|part| Reverse(part.start_sat));
                for part in &mut line {
                    part.start_sat = whole_sat.saturating_sub(part.end_sat());
                }
                cut(&line, &values, &mut given);
            }
        }
        let sources = sources.iter().map(|(source, _)| *source);
        Ok(sources.zip(given).filter(|(_, parts)| !parts.is_empty()).collect())
    }
}

fn lengthen(line: &mut Vec<Part>, before_sat: u64, parts: &[Part]) {
    for part in parts {
        append(line, Part { start_sat: part.start_sat.saturating_add(before_sat), ..*part });
    }
}

/// Cuts a line by the sources' values.
fn cut(line: &[Part], values: &[u64], given: &mut [Vec<Part>]) {
    let mut bounds = values.iter().zip(given).scan(0_u64, |end, (value, parts)| {
        let start = *end;
        *end = end.saturating_add(*value);
        Some((start, *end, parts))
    });
    let Some(mut room) = bounds.next() else { return };
    for part in line {
        let mut at = part.start_sat;
        while at < part.end_sat() {
            let (start, end, parts) = &mut room;
            if *end <= at {
                let Some(next) = bounds.next() else { return };
                room = next;
                continue;
            }
            let until = part.end_sat().min(*end);
            let (start_sat, amount_sat) = (at.saturating_sub(*start), until.saturating_sub(at));
            append(parts, Part { case: part.case, start_sat, amount_sat });
            at = until;
        }
    }
}
