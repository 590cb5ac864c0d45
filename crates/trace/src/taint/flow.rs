//! The walk through the graph, from the seeds to what is unspent, in chain order.
//!
//! Decides which transactions are looked at: those that tainted units come into, and no other.

use core::mem;
use std::collections::BTreeMap;

use kuraban_base::Height;

use super::{
    part::{CaseNum, Part, append},
    queue::{Arrival, Queue},
    rule::{Landed, Spend, land, lengthen},
    share::Shares,
    terms::{Case, Method, Overlap, TaintError, Tainted, Terms, Totals, Trace, Traced, Unbalanced, outpoint},
};
use crate::graph::{Fate, Graph, OutputNum, Tip, TxNum};

/// Follows the units of all cases through the graph.
///
/// # Errors
/// Seeds or an end that the graph does not have; a graph that contradicts itself.
pub fn trace<G: Graph>(graph: &G, cases: &[Case], terms: &Terms) -> Result<Trace, TaintError> {
    trace_path(graph, cases, terms, |_| {})
}

/// As [`trace`], and tells `seen` of each transaction that tainted units come into, in the order of processing.
///
/// # Errors
/// As [`trace`].
pub fn trace_path<G: Graph>(
    graph: &G,
    cases: &[Case],
    terms: &Terms,
    mut seen: impl FnMut(TxNum),
) -> Result<Trace, TaintError> {
    trace_steps(graph, cases, terms, |step| match step {
        Step::Into { tx, .. } => seen(tx),
        Step::Output { .. } | Step::Fee { .. } | Step::Unclaimed { .. } => {}
    })
}

/// One thing that a walk does. Steps are told in the order of processing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step<'a> {
    /// Tainted units come into a transaction; what it does with them follows.
    Into {
        /// The transaction.
        tx: TxNum,
        /// Greater than that of all that it takes units from.
        order: u64,
    },
    /// An output holds tainted units, as a seed or because they came into its transaction. Of several thefts some can be
    /// dropped as dust and others not; then it is told twice.
    Output {
        /// The output.
        output: OutputNum,
        /// The order of its transaction.
        order: u64,
        /// The units.
        parts: &'a [Part],
        /// What becomes of them.
        end: End,
    },
    /// Tainted units are paid as a fee.
    Fee {
        /// Who pays.
        tx: TxNum,
        /// The units.
        parts: &'a [Part],
        /// The coinbase that takes them in, where fees are followed.
        into: Option<TxNum>,
    },
    /// A coinbase leaves tainted units unclaimed, and nobody has them.
    Unclaimed {
        /// The coinbase.
        tx: TxNum,
        /// The units.
        parts: &'a [Part],
    },
}

/// What becomes of tainted units in an output.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum End {
    /// This transaction spends them.
    Spent(TxNum),
    /// Nobody has spent them up to the last block that counts.
    Unspent,
    /// They are held at a stop.
    Stopped,
    /// They are dropped as dust.
    Dust,
    /// Nobody can spend them.
    Burned,
    /// They are in a shielded pool.
    Shielded,
}

/// As [`trace`], and tells `tell` of every step.
///
/// # Errors
/// As [`trace`].
pub fn trace_steps<G: Graph>(
    graph: &G,
    cases: &[Case],
    terms: &Terms,
    tell: impl FnMut(Step<'_>),
) -> Result<Trace, TaintError> {
    graph.reading(|| walked(graph, cases, terms, tell))?
}

fn walked<G: Graph>(
    graph: &G,
    cases: &[Case],
    terms: &Terms,
    tell: impl FnMut(Step<'_>),
) -> Result<Trace, TaintError> {
    let tip = graph.tip().ok_or(TaintError::Empty)?;
    let limit = limit(graph, tip, terms.until)?;
    let (cases, seeds) = plan(graph, cases, terms, tip, limit)?;
    let mut walk = Walk {
        graph,
        terms,
        limit,
        queue: Queue::default(),
        seeds,
        seeds_done: 0,
        cases,
        unspent: Vec::new(),
        stopped: Vec::new(),
        overlaps: Vec::new(),
        touched: 0,
        spend: Spend::default(),
        shares: Shares::default(),
        landed: Landed::default(),
        order: 0,
        tell,
    };
    walk.run()?;
    walk.finish(tip)
}

/// The first transaction that does not count.
pub(super) fn limit<G: Graph>(graph: &G, tip: Tip, until: Option<Height>) -> Result<u64, TaintError> {
    let Some(until) = until else { return Ok(graph.tx_count()) };
    if until > tip.height {
        return Err(TaintError::Until { until, tip: tip.height });
    }
    // A graph in memory can have gaps between its blocks.
    let last = (0..=until.blocks()).rev().find_map(|blocks| graph.block(Height::new(blocks)));
    Ok(last.map_or(0, |block| block.end))
}

/// A seed of one case.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Start {
    /// When the transaction that makes it is processed.
    key: u64,
    output: OutputNum,
    case: CaseNum,
}

/// Numbers the cases in chain order of their earliest seeds, and puts all seeds into chain order.
fn plan<G: Graph>(
    graph: &G,
    cases: &[Case],
    terms: &Terms,
    tip: Tip,
    limit: u64,
) -> Result<(Vec<Traced>, Vec<Start>), TaintError> {
    let zero = terms.method.conserves().then_some(0);
    let totals = Totals { fees_sat: zero, burned_sat: zero, ..Totals::default() };
    let mut planned = Vec::with_capacity(cases.len());
    for (asked, case) in cases.iter().enumerate() {
        let mut seeds = case.seeds.clone();
        seeds.sort_unstable();
        seeds.dedup();
        let first = seeds.first().copied().ok_or(TaintError::NoSeed)?;
        planned.push((first, Traced { asked, seeds, totals }));
    }
    if planned.is_empty() {
        return Err(TaintError::NoSeed);
    }
    planned.sort_by_key(|(first, _)| *first);
    let planned: Vec<Traced> = planned.into_iter().map(|(_, case)| case).collect();
    let mut starts = Vec::new();
    for (place, case) in planned.iter().enumerate() {
        let place = u32::try_from(place).map_err(|_| TaintError::Cases { found: planned.len() })?;
        for output in &case.seeds {
            let tx = graph.creator(*output);
            if tx.number() >= limit {
                let (height, until) = (graph.height(tx), terms.until.unwrap_or(tip.height));
                return Err(TaintError::SeedAfter { outpoint: outpoint(graph, *output), height, until });
            }
            starts.push(Start { key: key(graph, terms, tx), output: *output, case: CaseNum::new(place) });
        }
    }
    starts.sort_unstable();
    Ok((planned, starts))
}

/// When a transaction is processed: in chain order, but a coinbase that takes in followed fees comes last in its block.
fn key<G: Graph>(graph: &G, terms: &Terms, tx: TxNum) -> u64 {
    let is_coinbase = || graph.inputs(tx).next().is_none() && graph.outside_inputs(tx) == 0;
    if follows_fees(terms) && is_coinbase() {
        return coinbase_key(graph, tx);
    }
    tx.number().saturating_mul(2)
}

/// When the coinbase of a transaction's block is processed.
pub(super) fn coinbase_key<G: Graph>(graph: &G, tx: TxNum) -> u64 {
    let block = graph.block(graph.height(tx));
    let last = block.map_or(tx.number(), |block| block.end.saturating_sub(1));
    last.saturating_mul(2).saturating_add(1)
}

fn follows_fees(terms: &Terms) -> bool {
    terms.follow_fees && terms.method.conserves()
}

struct Walk<'a, G, T> {
    graph: &'a G,
    terms: &'a Terms,
    limit: u64,
    queue: Queue,
    seeds: Vec<Start>,
    seeds_done: usize,
    cases: Vec<Traced>,
    unspent: Vec<Tainted>,
    stopped: Vec<Tainted>,
    overlaps: Vec<Overlap>,
    touched: u64,
    spend: Spend,
    shares: Shares,
    landed: Landed,
    /// When the transaction at hand is processed.
    order: u64,
    tell: T,
}

impl<G: Graph, T: FnMut(Step<'_>)> Walk<'_, G, T> {
    fn run(&mut self) -> Result<(), TaintError> {
        loop {
            let seed = self.seeds.get(self.seeds_done).map(|seed| seed.key);
            let arrival = self.queue.next_key(seed.unwrap_or(u64::MAX));
            let Some(key) = arrival.or(seed) else { return Ok(()) };
            self.queue.take(key);
            let arrived = self.queue.taken().len() > 0;
            let tx = self.tx(key);
            self.order = key;
            if arrived {
                self.touched = self.touched.saturating_add(1);
                (self.tell)(Step::Into { tx, order: key });
            }
            if !arrived {
                self.landed.clear();
                self.spend.rooms.clear();
            } else if key & 1 == 0 {
                self.take_in(tx)?;
            } else {
                self.take_fees(tx)?;
            }
            self.give_out(key, tx);
        }
    }

    /// The transaction that is processed at `key`.
    fn tx(&self, key: u64) -> TxNum {
        let tx = TxNum::new(key >> 1);
        if key & 1 == 0 {
            return tx;
        }
        let block = self.graph.block(self.graph.height(tx));
        block.map_or(tx, |block| TxNum::new(block.start))
    }

    /// Lets the arrivals land in a transaction that spends outputs.
    fn take_in(&mut self, tx: TxNum) -> Result<(), TaintError> {
        let graph = self.graph;
        self.spend.line.clear();
        let mut whole_sat = 0_u64;
        let mut found = 0;
        for input in graph.inputs(tx) {
            let value_sat = if let Some(arrival) = self.queue.taken_from(input.number()) {
                found += 1;
                lengthen(self.terms.method, &mut self.spend.line, whole_sat, &arrival.parts);
                arrival.value_sat
            } else {
                graph.value(input)
            };
            let sum = whole_sat.checked_add(value_sat);
            whole_sat = sum.ok_or_else(|| TaintError::Sum { txid: graph.txid(tx) })?;
        }
        check_inside(graph, tx)?;
        if found != self.queue.taken().len() {
            return Err(TaintError::Contradiction { txid: graph.txid(tx) });
        }
        self.land(tx, whole_sat)
    }

    /// Lets tainted fees land in their block's coinbase: its inputs are the subsidy, then the fees of the block's
    /// transactions in their order.
    fn take_fees(&mut self, coinbase: TxNum) -> Result<(), TaintError> {
        let graph = self.graph;
        self.spend.line.clear();
        let height = graph.height(coinbase);
        let mut whole_sat = graph.network().subsidy_sat(height);
        let mut arrivals = self.queue.taken().peekable();
        for tx in graph.block(height).unwrap_or_default().map(TxNum::new).skip(1) {
            if let Some(arrival) = arrivals.next_if(|arrival| arrival.source == tx.number()) {
                lengthen(self.terms.method, &mut self.spend.line, whole_sat, &arrival.parts);
            }
            let sum = whole_sat.checked_add(fee(graph, tx)?);
            whole_sat = sum.ok_or_else(|| TaintError::Sum { txid: graph.txid(coinbase) })?;
        }
        let unknown = arrivals.next().is_some();
        drop(arrivals);
        if unknown {
            return Err(TaintError::Contradiction { txid: graph.txid(coinbase) });
        }
        self.land(coinbase, whole_sat)
    }

    fn land(&mut self, tx: TxNum, whole_sat: u64) -> Result<(), TaintError> {
        let graph = self.graph;
        self.spend.whole_sat = whole_sat;
        self.spend.rooms.clear();
        let mut left = Some(whole_sat);
        for output in graph.outputs(tx) {
            let value = graph.value(OutputNum::new(output));
            left = left.and_then(|left| left.checked_sub(value));
            self.spend.rooms.push(value);
        }
        let overspent = || TaintError::Overspent { txid: graph.txid(tx), inputs_sat: whole_sat };
        self.spend.rooms.push(left.ok_or_else(overspent)?);
        land(self.terms.method, &mut self.spend, &mut self.shares, &mut self.landed);
        Ok(())
    }

    /// Hands what landed to the outputs, lets seeds claim theirs, and accounts for the rest.
    fn give_out(&mut self, key: u64, tx: TxNum) {
        let first = self.graph.outputs(tx).start;
        let rest = self.spend.rooms.len().saturating_sub(1);
        let landed = mem::take(&mut self.landed);
        let mut seed = self.next_seed(key);
        for (room, parts) in landed.by_room() {
            if room == rest {
                self.settle_rest(key, tx, parts);
                continue;
            }
            let output = OutputNum::new(first.saturating_add(count(room)));
            // Seeds before this output got nothing from the transaction.
            while let Some(early) = seed.filter(|seed| seed.output < output) {
                seed = self.settle_seeds(key, early.output, &[]);
            }
            if seed.is_some_and(|seed| seed.output == output) {
                seed = self.settle_seeds(key, output, parts);
            } else {
                self.settle(output, parts);
            }
        }
        while let Some(late) = seed {
            seed = self.settle_seeds(key, late.output, &[]);
        }
        self.landed = landed;
    }

    fn next_seed(&self, key: u64) -> Option<Start> {
        self.seeds.get(self.seeds_done).copied().filter(|seed| seed.key == key)
    }

    /// Lets every seed at `output` claim what no theft has, and settles the output; gives the next seed of this
    /// transaction.
    fn settle_seeds(&mut self, key: u64, output: OutputNum, arrived: &[Part]) -> Option<Start> {
        let mut parts = arrived.to_vec();
        while let Some(seed) = self.next_seed(key).filter(|seed| seed.output == output) {
            self.claim(seed, &mut parts);
            self.seeds_done = self.seeds_done.saturating_add(1);
        }
        self.settle(output, &parts);
        self.next_seed(key)
    }

    fn claim(&mut self, seed: Start, parts: &mut Vec<Part>) {
        let value_sat = self.graph.value(seed.output);
        let method = self.terms.method;
        for part in parts.iter().filter(|part| part.case != seed.case) {
            let (case, held_by, amount_sat) = (seed.case, part.case, part.amount_sat);
            let of_seed = |overlap: &&mut Overlap| (overlap.seed, overlap.case) == (seed.output, case);
            let mut last = self.overlaps.iter_mut().rev().take_while(of_seed);
            match last.find(|overlap| overlap.held_by == held_by) {
                Some(known) => known.amount_sat = known.amount_sat.saturating_add(amount_sat),
                None => self.overlaps.push(Overlap { seed: seed.output, case, held_by, amount_sat }),
            }
        }
        let claimed_sat = claim(method, value_sat, seed.case, parts);
        self.count(seed.case, claimed_sat, |totals| &mut totals.stolen_sat);
    }

    /// What the outputs left over: a fee, or what a coinbase did not claim.
    fn settle_rest(&mut self, key: u64, tx: TxNum, parts: &[Part]) {
        if key & 1 == 1 {
            (self.tell)(Step::Unclaimed { tx, parts });
            self.burn(parts);
        } else if follows_fees(self.terms) {
            let key = coinbase_key(self.graph, tx);
            let coinbase = self.tx(key);
            (self.tell)(Step::Fee { tx, parts, into: Some(coinbase) });
            let value_sat = self.spend.rooms.last().copied().unwrap_or(0);
            self.queue.push(Arrival { key, source: tx.number(), value_sat, hops: 0, parts: parts.into() });
        } else {
            (self.tell)(Step::Fee { tx, parts, into: None });
            self.count_all(parts, |totals| totals.fees_sat.get_or_insert_default());
        }
    }

    /// Says what becomes of tainted units in an output.
    fn settle(&mut self, output: OutputNum, parts: &[Part]) {
        if parts.is_empty() {
            return;
        }
        match self.graph.fate(output) {
            Fate::Spendable => {}
            Fate::Unspendable => {
                self.tell_output(output, parts, End::Burned);
                return self.burn(parts);
            }
            Fate::Shielded => {
                self.tell_output(output, parts, End::Shielded);
                return self.count_all(parts, |totals| &mut totals.shielded_sat);
            }
        }
        let value_sat = self.graph.value(output);
        if self.is_stop(output) {
            self.tell_output(output, parts, End::Stopped);
            self.count_all(parts, |totals| &mut totals.stopped_sat);
            return self.stopped.push(Tainted { output, value_sat, parts: parts.into() });
        }
        if self.terms.dust_sat == 0 {
            return self.hand_on(output, value_sat, parts);
        }
        let kept = self.without_dust(output, parts);
        if !kept.is_empty() {
            self.hand_on(output, value_sat, &kept);
        }
    }

    fn tell_output(&mut self, output: OutputNum, parts: &[Part], end: End) {
        (self.tell)(Step::Output { output, order: self.order, parts, end });
    }

    /// Lets units wait for the transaction that spends them, or end unspent.
    fn hand_on(&mut self, output: OutputNum, value_sat: u64, parts: &[Part]) {
        let spender = self.graph.spender(output).filter(|spender| spender.number() < self.limit);
        self.tell_output(output, parts, spender.map_or(End::Unspent, End::Spent));
        let parts = parts.into();
        if let Some(spender) = spender {
            let key = spender.number().saturating_mul(2);
            return self.queue.push(Arrival { key, source: output.number(), value_sat, hops: 0, parts });
        }
        self.unspent.push(Tainted { output, value_sat, parts });
    }

    fn is_stop(&self, output: OutputNum) -> bool {
        let stops = &self.terms.stops;
        let by_address = || self.graph.address(output).is_some_and(|own| stops.addresses.contains(&own));
        (!stops.outputs.is_empty() && stops.outputs.contains(&output))
            || (!stops.addresses.is_empty() && by_address())
    }

    /// Drops what a theft has here, where that is less than the threshold.
    fn without_dust(&mut self, output: OutputNum, parts: &[Part]) -> Vec<Part> {
        let mut held: BTreeMap<CaseNum, u64> = BTreeMap::new();
        for part in parts.iter() {
            let sum = held.entry(part.case).or_default();
            *sum = sum.saturating_add(part.amount_sat);
        }
        held.retain(|_, sum| *sum < self.terms.dust_sat);
        for (case, sum) in &held {
            self.count(*case, *sum, |totals| &mut totals.dust_sat);
        }
        let (dust, kept): (Vec<Part>, Vec<Part>) =
            parts.iter().copied().partition(|part| held.contains_key(&part.case));
        if !dust.is_empty() {
            self.tell_output(output, &dust, End::Dust);
        }
        kept
    }

    /// Poison counts nothing burned.
    fn burn(&mut self, parts: &[Part]) {
        if self.terms.method.conserves() {
            self.count_all(parts, |totals| totals.burned_sat.get_or_insert_default());
        }
    }

    fn count_all(&mut self, parts: &[Part], place: impl Fn(&mut Totals) -> &mut u128) {
        for part in parts {
            self.count(part.case, part.amount_sat, &place);
        }
    }

    fn count(&mut self, case: CaseNum, amount_sat: u64, place: impl Fn(&mut Totals) -> &mut u128) {
        if let Some(case) = self.cases.get_mut(case.place()) {
            let sum = place(&mut case.totals);
            *sum = sum.saturating_add(u128::from(amount_sat));
        }
    }

    fn finish(mut self, tip: Tip) -> Result<Trace, TaintError> {
        self.unspent.sort_unstable_by_key(|tainted| tainted.output);
        self.stopped.sort_unstable_by_key(|tainted| tainted.output);
        let unspent = mem::take(&mut self.unspent);
        for tainted in &unspent {
            self.count_all(&tainted.parts, |totals| &mut totals.unspent_sat);
        }
        for case in &self.cases {
            let balance: Result<(), Unbalanced> = case.totals.balance();
            balance.map_err(|source| TaintError::Unbalanced { case: case.asked, source })?;
        }
        Ok(Trace {
            terms: self.terms.clone(),
            tip,
            cases: self.cases,
            unspent,
            stopped: self.stopped,
            overlaps: self.overlaps,
            transactions_touched: self.touched,
        })
    }
}

/// What comes in from before the graph has no known value, and so neither has the whole.
pub(super) fn check_inside<G: Graph>(graph: &G, tx: TxNum) -> Result<(), TaintError> {
    match graph.outside_inputs(tx) {
        0 => Ok(()),
        count => Err(TaintError::Outside { txid: graph.txid(tx), count }),
    }
}

/// A transaction's fee.
pub(super) fn fee<G: Graph>(graph: &G, tx: TxNum) -> Result<u64, TaintError> {
    check_inside(graph, tx)?;
    let mut inputs_sat = 0_u64;
    for input in graph.inputs(tx) {
        let sum = inputs_sat.checked_add(graph.value(input));
        inputs_sat = sum.ok_or_else(|| TaintError::Sum { txid: graph.txid(tx) })?;
    }
    let mut values = graph.outputs(tx).map(|output| graph.value(OutputNum::new(output)));
    let left = values.try_fold(inputs_sat, u64::checked_sub);
    left.ok_or_else(|| TaintError::Overspent { txid: graph.txid(tx), inputs_sat })
}

/// Lets a seed claim what no theft has in its output; says how many units they are.
pub(crate) fn claim(method: Method, value_sat: u64, case: CaseNum, parts: &mut Vec<Part>) -> u64 {
    match method {
        Method::Fifo | Method::Lifo => claim_gaps(value_sat, case, parts),
        Method::Poison => {
            let has = parts.iter().any(|part| part.case == case);
            claim_amount(if has { 0 } else { value_sat }, case, parts)
        }
        Method::Haircut | Method::Tiho | Method::DirtyFirst | Method::CleanFirst => {
            let held = parts.iter().fold(0_u64, |sum, part| sum.saturating_add(part.amount_sat));
            claim_amount(value_sat.saturating_sub(held), case, parts)
        }
    }
}

/// Gives a theft the units that no theft has; says how many they are.
fn claim_gaps(value_sat: u64, case: CaseNum, parts: &mut Vec<Part>) -> u64 {
    let held = mem::take(parts);
    let mut at = 0;
    let mut claimed_sat = 0_u64;
    let mut gap = |parts: &mut Vec<Part>, at: u64, until: u64| {
        let amount_sat = until.saturating_sub(at);
        if amount_sat > 0 {
            claimed_sat = claimed_sat.saturating_add(amount_sat);
            append(parts, Part { case, start_sat: at, amount_sat });
        }
    };
    for part in held {
        gap(parts, at, part.start_sat);
        at = part.end_sat();
        append(parts, part);
    }
    gap(parts, at, value_sat);
    claimed_sat
}

/// Gives a theft `amount_sat` more units; keeps the order of cases.
fn claim_amount(amount_sat: u64, case: CaseNum, parts: &mut Vec<Part>) -> u64 {
    if amount_sat > 0 {
        match parts.binary_search_by_key(&case, |part| part.case) {
            Ok(at) => {
                if let Some(part) = parts.get_mut(at) {
                    part.amount_sat = part.amount_sat.saturating_add(amount_sat);
                }
            }
            Err(at) => parts.insert(at, Part { case, start_sat: 0, amount_sat }),
        }
    }
    amount_sat
}

fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}
