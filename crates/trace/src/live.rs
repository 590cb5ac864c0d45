//! Live taint: cases that follow a chain block by block and transaction by transaction, and say what has changed.
//!
//! Decides by the rules of [`crate::taint`], with its code, where stolen units are after each block and each transaction that
//! waits for one; a batch trace of the same chain finds the same. Reads no file, no clock and no network: whoever drives it
//! brings blocks, and answers what a [`Source`] is asked.
#![doc = include_str!("../../../docs/live.md")]

mod flow;
mod held;
mod hubs;
mod keep;
pub(crate) mod keyed;
mod pool;
pub(crate) mod source;
mod step;
pub(crate) mod tell;
mod view;

use std::collections::{BTreeMap, VecDeque};

use kuraban_base::{CaseId, Height, Txid};
use kuraban_chain::btc::{BlockHash, Network, OutPoint, Script, TxOut};

pub use flow::Overspent;
pub use hubs::{Hubs, Threshold};
pub use keep::KeptError;
pub use pool::{POOL_TXS_MAX, Pooled};
pub use source::{Indexed, NotIndexed, Source, Stops, hub};
pub use view::Output;

pub use crate::feed::tell::TELL_MAX;

use crate::{
    feed::{Chain, Opened, Reason, Words},
    graph::{Graph, Node, OutputNum, Tip},
    taint::{Parts, Totals, Trace, outpoint},
};
use flow::Flow;
use held::{CasePlace, Held, Of, Ofs};
use keyed::Map;
use pool::{Pool, Waiting};
use step::Step;
use tell::Tell;

/// Blocks that can be taken back: two days of Bitcoin's.
pub const UNDO_BLOCKS_MAX: usize = 288;
/// Most cases at a time.
pub const CASES_MAX: usize = 10_000;

/// A block that joins the chain.
#[derive(Clone, Copy, Debug)]
pub struct Connected<'a> {
    /// Its height.
    pub height: Height,
    /// Its hash.
    pub hash: BlockHash,
    /// The hash of the block before it.
    pub prev: BlockHash,
    /// Its transactions in their order; the driver has checked that they are the block's.
    pub nodes: &'a [Node],
}

/// Why nothing has changed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum StepError<E> {
    /// Not the block after the last one.
    #[error("block {found} does not follow block {tip}: take blocks back first, or bring those between")]
    NotNext {
        /// Its hash.
        found: BlockHash,
        /// The last block's.
        tip: BlockHash,
    },
    /// More goes out than comes in.
    #[error(transparent)]
    Overspent(#[from] Overspent),
    /// An answer failed to come.
    #[error("the source of values and stops")]
    Source(#[source] E),
}

/// Why a case is not followed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum OpenError {
    /// The name is taken.
    #[error("case {case} is followed already, or was")]
    Known {
        /// Which.
        case: CaseId,
    },
    /// Another chain, or a token.
    #[error("case {case} is on {found}, this engine follows {want}")]
    Chain {
        /// Which.
        case: CaseId,
        /// Its chain.
        found: &'static str,
        /// The engine's.
        want: &'static str,
    },
    /// Too many.
    #[error("{max} cases are followed, which is the most", max = CASES_MAX)]
    Many,
    /// Traces that are not the case's, or not of the engine's last block.
    #[error("traces of case {case}: {problem}")]
    Traces {
        /// Which.
        case: CaseId,
        /// What does not fit.
        problem: &'static str,
    },
}

/// A block that cannot be taken back.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "block {tip} cannot be taken back: it is the first one, or more than {max} blocks deep; open the cases again from an index",
    max = UNDO_BLOCKS_MAX
)]
pub struct TooDeep {
    /// The last block's hash.
    pub tip: BlockHash,
}

/// A case that is followed.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Followed {
    opened: Opened,
    /// By method; unspent units are counted when somebody asks.
    totals: Vec<Totals>,
    closed: Option<Words>,
}

/// How a block is taken back.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Undo {
    before: Tip,
    /// Held outputs as they were before the block spent them.
    spent: Vec<(OutPoint, Held)>,
    made: Vec<OutPoint>,
    totals: Vec<(CasePlace, Vec<Totals>)>,
    /// Transactions that taint came into: they wait again.
    touched: Vec<Waiting>,
}

/// Where an output lies that a batch trace found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Spot {
    /// Its script.
    pub script: Script,
    /// The block that it is in.
    pub block: Tip,
    /// What is known of the place, if the trace holds it at a stop.
    pub place: Words,
}

/// What a block did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stirred {
    /// Transactions that taint came into.
    pub touched: usize,
    /// Tainted outputs that are there now and were not.
    pub made: usize,
    /// Tainted outputs that were spent.
    pub spent: usize,
}

/// The engine.
#[derive(Debug)]
pub struct Live {
    network: Network,
    tip: Tip,
    cases: Vec<Followed>,
    held: Map<OutPoint, Held>,
    seeds: Map<Txid, Vec<(CasePlace, u32)>>,
    /// Hashes of the blocks that were followed, for tags that say since when.
    hashes: BTreeMap<u32, BlockHash>,
    undo: VecDeque<Undo>,
    /// What is too deep to be taken back and still in memory, until the feed is told or the next block comes.
    past: Option<Undo>,
    pool: Pool,
    flow: Flow,
    tell: Tell,
}

impl Live {
    /// An engine that follows a chain from the block after `tip`.
    #[must_use]
    pub fn new(network: Network, tip: Tip) -> Self {
        Self {
            network,
            tip,
            cases: Vec::new(),
            held: Map::default(),
            seeds: Map::default(),
            hashes: BTreeMap::from([(tip.height.blocks(), tip.hash)]),
            undo: VecDeque::new(),
            past: None,
            pool: Pool::default(),
            flow: Flow::default(),
            tell: Tell::default(),
        }
    }

    /// The last block.
    #[must_use]
    pub const fn tip(&self) -> Tip {
        self.tip
    }

    /// Follows a case whose seeds come from now on, in blocks or waiting; seeds that wait already are seen.
    ///
    /// # Errors
    /// The name is taken, another chain, too many cases.
    pub fn open(&mut self, opened: Opened) -> Result<(), OpenError> {
        self.add_case(opened).map(drop)
    }

    /// Follows a case on from batch traces at the engine's last block: one for each of its methods, in their order, each of
    /// this case alone. `of` says where an output lies. Blocks before this cannot be taken back then.
    ///
    /// # Errors
    /// As [`open`](Self::open), or traces that are not the case's or not of that block.
    pub fn open_traced<G: Graph>(
        &mut self,
        opened: Opened,
        graph: &G,
        traces: &[Trace],
        of: impl Fn(OutputNum) -> Spot,
    ) -> Result<(), OpenError> {
        let problem = |problem| OpenError::Traces { case: opened.case.clone(), problem };
        let rules = &opened.rules;
        if !traces.iter().map(|trace| trace.terms.method).eq(rules.methods.iter().copied()) {
            return Err(problem("want one for each method, in their order"));
        }
        for trace in traces {
            let terms = &trace.terms;
            let same =
                terms.follow_fees == rules.follow_fees && u128::from(terms.dust_sat) == rules.dust_units;
            if trace.cases.len() != 1 || !same || terms.until.is_some_and(|until| until != self.tip.height) {
                return Err(problem("want this case alone, by its rules, to the last block"));
            }
            if trace.tip.height < self.tip.height || (terms.until.is_none() && trace.tip != self.tip) {
                return Err(problem("want them to the engine's last block"));
            }
        }
        let methods = traces.len();
        let case = self.add_case(opened)?;
        for (method, trace) in traces.iter().enumerate() {
            if let Some(totals) = self.totals_of(case, method)
                && let Some(traced) = trace.cases.first()
            {
                *totals = Totals { unspent_sat: 0, ..traced.totals };
            }
            let moving = trace.unspent.iter().map(|tainted| (tainted, false));
            let stopped = trace.stopped.iter().map(|tainted| (tainted, true));
            for (tainted, stops) in moving.chain(stopped) {
                let output = outpoint(graph, tainted.output);
                let Spot { script, block, place } = of(tainted.output);
                let height = Some(block.height.blocks());
                self.hashes.insert(block.height.blocks(), block.hash);
                let (script, stop) = (script.as_bytes().into(), stops.then(|| Box::new(place)));
                let fresh = || Held { value_sat: tainted.value_sat, script, height, of: Ofs::default() };
                let held = self.held.entry(output).or_insert_with(fresh);
                let at = held.of.iter().position(|of| of.case == case).unwrap_or(held.of.len());
                if at == held.of.len() {
                    let taints = vec![Parts::from(&[][..]); methods].into();
                    held.of.push(Of { case, taints, stop });
                }
                let of = held.of.get_mut(at);
                if let Some(parts) = of.and_then(|of| of.taints.get_mut(method)) {
                    *parts = tainted.parts.clone();
                }
                self.tell.mark(case, output, Some(Reason::Error));
                self.pool.stir([&output]);
            }
        }
        self.undo.clear();
        Ok(())
    }

    fn totals_of(&mut self, case: CasePlace, method: usize) -> Option<&mut Totals> {
        self.cases.get_mut(usize::try_from(case).ok()?)?.totals.get_mut(method)
    }

    fn add_case(&mut self, opened: Opened) -> Result<CasePlace, OpenError> {
        let case = opened.case.clone();
        if self.cases.iter().any(|followed| followed.opened.case == case) {
            return Err(OpenError::Known { case });
        }
        if opened.chain != Chain::Family(self.network) || opened.token.is_some() {
            let (found, want) = (opened.chain.name(), self.network.name());
            return Err(OpenError::Chain { case, found, want });
        }
        let place = u32::try_from(self.cases.len()).ok().filter(|_| self.cases.len() < CASES_MAX);
        let place = place.ok_or(OpenError::Many)?;
        let zero = |method: &crate::taint::Method| {
            let zero = method.conserves().then_some(0);
            Totals { fees_sat: zero, burned_sat: zero, ..Totals::default() }
        };
        let totals = opened.rules.methods.iter().map(zero).collect();
        for seed in &opened.seeds {
            let mut bytes = *seed.tx.as_bytes();
            bytes.reverse();
            let txid = Txid::from_bytes(bytes);
            self.seeds.entry(txid).or_default().push((place, seed.index));
            if self.pool.txs.contains_key(&txid) {
                self.pool.stale.insert(txid);
            }
        }
        self.cases.push(Followed { opened, totals, closed: None });
        Ok(place)
    }

    /// Follows a case no longer: everything that it has is dropped, and the feed is told.
    ///
    /// Gives whether there was such a case.
    pub fn close(&mut self, case: &CaseId, reason: Words) -> bool {
        let found = (0_u32..).zip(&mut self.cases).find(|(_, followed)| followed.opened.case == *case);
        let Some((place, followed)) = found.filter(|(_, followed)| followed.closed.is_none()) else {
            return false;
        };
        followed.closed = Some(reason);
        let keep = |_: &OutPoint, held: &mut Held| {
            held.of.retain(|of| of.case != place);
            !held.of.is_empty()
        };
        self.held.retain(keep);
        self.pool.made.retain(keep);
        self.seeds.retain(|_, seeds| {
            seeds.retain(|(case, _)| *case != place);
            !seeds.is_empty()
        });
        self.tell.forget(place);
        true
    }

    fn open_case(&self, case: CasePlace) -> Option<&Followed> {
        let followed = self.cases.get(usize::try_from(case).ok()?)?;
        followed.closed.is_none().then_some(followed)
    }

    /// Takes up the next block. Then [`refresh`](Self::refresh) what waits.
    ///
    /// # Errors
    /// Not the next block, or an answer that fails to come; nothing has changed then.
    pub fn block<S: Source>(
        &mut self,
        block: &Connected<'_>,
        source: &mut S,
    ) -> Result<Stirred, StepError<S::Error>> {
        if block.prev != self.tip.hash || self.tip.height.next() != Some(block.height) {
            return Err(StepError::NotNext { found: block.hash, tip: self.tip.hash });
        }
        let mut flow = core::mem::take(&mut self.flow);
        let mut step = Step::new(self, block, source, &mut flow);
        let worked = step.run().map(|()| core::mem::take(&mut step.done));
        self.flow = flow;
        let worked = worked?;
        let stirred =
            Stirred { touched: worked.touched.len(), made: worked.made.len(), spent: worked.gone.len() };
        let mut undo = Undo {
            before: self.tip,
            spent: Vec::new(),
            made: Vec::new(),
            totals: Vec::new(),
            touched: worked.touched,
        };
        for output in worked.gone {
            if let Some(held) = self.held.remove(&output) {
                self.mark(output, &held, Reason::Spent);
                undo.spent.push((output, held));
            }
        }
        // Their places are looked up together, because each look-up waits for memory, and room is made once.
        let there = worked.made.keys().filter(|output| self.held.contains_key(*output)).count();
        self.held.reserve(worked.made.len().saturating_sub(there));
        for (output, held) in worked.made {
            self.mark(output, &held, Reason::Superseded);
            undo.made.push(output);
            self.held.insert(output, held);
        }
        for (case, totals) in worked.totals {
            if let Some(followed) = usize::try_from(case).ok().and_then(|case| self.cases.get_mut(case)) {
                undo.totals.push((case, core::mem::replace(&mut followed.totals, totals)));
            }
        }
        self.tip = Tip { height: block.height, hash: block.hash };
        self.hashes.insert(block.height.blocks(), block.hash);
        self.confirm(block.nodes);
        self.pool.stir(&undo.made);
        self.undo.push_back(undo);
        if self.undo.len() > UNDO_BLOCKS_MAX {
            self.past = self.undo.pop_front();
        }
        Ok(stirred)
    }

    /// Takes the block's transactions out of those that wait, and with them all that they exclude.
    fn confirm(&mut self, nodes: &[Node]) {
        if self.pool.txs.is_empty() {
            return;
        }
        for node in nodes {
            // One that waits excludes no other that does: what it spends is spent by it alone.
            if let Some(taken) = self.pool.take(&node.txid) {
                taken.into_iter().for_each(|(output, held)| self.mark(output, &held, Reason::Spent));
                continue;
            }
            for txid in self.pool.spenders(&node.inputs) {
                let dropped = self.pool.drop_with_descendants(&txid);
                dropped.into_iter().for_each(|(output, held)| self.mark(output, &held, Reason::Replaced));
            }
        }
    }

    fn mark(&mut self, output: OutPoint, held: &Held, reason: Reason) {
        for of in held.of.iter() {
            self.tell.mark(of.case, output, Some(reason));
        }
    }

    /// Takes back the last block: everything is as it was before it, and its tainted transactions wait again. Then
    /// [`refresh`](Self::refresh) what waits.
    ///
    /// # Errors
    /// It is the block that the engine began at, or too deep.
    pub fn undo(&mut self) -> Result<Tip, TooDeep> {
        let undo = self.undo.pop_back().ok_or(TooDeep { tip: self.tip.hash })?;
        for output in &undo.made {
            if let Some(held) = self.held.remove(output) {
                self.mark(*output, &held, Reason::Reorganised);
            }
        }
        self.pool.stir(&undo.made);
        for (output, mut held) in undo.spent {
            held.of.retain(|of| self.open_case(of.case).is_some());
            if !held.of.is_empty() {
                self.mark(output, &held, Reason::Reorganised);
                self.held.insert(output, held);
            }
        }
        for (case, totals) in undo.totals {
            if let Some(followed) = usize::try_from(case).ok().and_then(|case| self.cases.get_mut(case)) {
                followed.totals = totals;
            }
        }
        self.hashes.remove(&self.tip.height.blocks());
        self.tip = undo.before;
        for waiting in undo.touched {
            let known = self.pool.txs.contains_key(&waiting.txid);
            if !known && self.pool.spenders(&waiting.inputs).is_empty() && self.pool.txs.len() < POOL_TXS_MAX
            {
                self.pool.put(waiting);
            }
        }
        Ok(self.tip)
    }

    /// Takes up a transaction that waits for a block, in any order; those that it replaces are dropped. Then
    /// [`refresh`](Self::refresh).
    pub fn pool(&mut self, node: &Node) -> Pooled {
        if self.pool.txs.contains_key(&node.txid) {
            return Pooled::Known;
        }
        if node.inputs.is_empty() || self.pool.txs.len() >= POOL_TXS_MAX {
            return Pooled::Refused;
        }
        for txid in self.pool.spenders(&node.inputs) {
            self.forget(&txid);
        }
        self.pool.put(Waiting::of(node));
        Pooled::New
    }

    /// Drops a transaction that no longer waits, such as one that the node let go, with all that descend from it.
    pub fn forget(&mut self, txid: &Txid) {
        for (output, held) in self.pool.drop_with_descendants(txid) {
            self.mark(output, &held, Reason::Replaced);
        }
    }

    /// Works out the taint of transactions that wait, where it can have changed. What failed is tried again the next time.
    ///
    /// # Errors
    /// An answer that fails to come, or a transaction that gives out more than it takes in: [`forget`](Self::forget) that one.
    pub fn refresh<S: Source>(&mut self, source: &mut S) -> Result<(), StepError<S::Error>> {
        while let Some(txid) = self.pool.next_stale() {
            let made = self.wait_for(&txid, source)?;
            self.pool.stale.remove(&txid);
            self.replace(&txid, made);
        }
        Ok(())
    }

    /// What a transaction that waits makes.
    fn wait_for<S: Source>(
        &mut self,
        txid: &Txid,
        source: &mut S,
    ) -> Result<BTreeMap<u32, Ofs>, StepError<S::Error>> {
        let Some(waiting) = self.pool.txs.get(txid) else { return Ok(BTreeMap::new()) };
        if !self.concerns(txid, &waiting.inputs, &self.pool.made) {
            return Ok(BTreeMap::new());
        }
        let near = |input| self.pool.made.get(input).or_else(|| self.held.get(input));
        let held: Vec<Option<&Held>> = waiting.inputs.iter().map(near).collect();
        let cases = self.cases_in(txid, held.iter().copied().flatten());
        let tainted = held.iter().flatten().any(|held| held.goes_on());
        let values = match &waiting.values {
            Some(values) => values.to_vec(),
            None if tainted => {
                let known = |input: &OutPoint| self.pool.txs.get(&input.txid)?.outputs.value_sat(input.vout);
                let held = |input| near(input).map(|held| held.value_sat);
                let value = |input| match held(input).or_else(|| known(input)) {
                    Some(value_sat) => Ok(value_sat),
                    None => source.value_sat(input).map_err(StepError::Source),
                };
                waiting.inputs.iter().map(value).collect::<Result<Vec<_>, _>>()?
            }
            None => Vec::new(),
        };
        let entering = |case| step::entering(&values, &held, case);
        let outputs: Vec<TxOut> = waiting.outputs.iter().collect();
        let looked = step::Looked { txid: *txid, outputs: &outputs, void: false };
        let (mut flow, mut totals) = (Flow::default(), BTreeMap::new());
        let outcome = self.work(looked, cases, entering, (&mut flow, &mut totals), source)?;
        if tainted && let Some(waiting) = self.pool.txs.get_mut(txid) {
            waiting.values = Some(values.into());
        }
        Ok(outcome.made)
    }

    /// Puts what a waiting transaction makes in the place of what it made before, and has its children looked at.
    fn replace(&mut self, txid: &Txid, mut made: BTreeMap<u32, Ofs>) {
        let Some(waiting) = self.pool.txs.get_mut(txid) else { return };
        if made.is_empty() && !waiting.tainted {
            return;
        }
        waiting.tainted = !made.is_empty();
        let whole = |(at, output): (OutPoint, TxOut)| {
            let script = output.script.as_bytes().into();
            let of = made.remove(&at.vout);
            (at, of.map(|of| Held { value_sat: output.value_sat, script, height: None, of }))
        };
        let outputs: Vec<(OutPoint, Option<Held>)> =
            waiting.outpoints().zip(waiting.outputs.iter()).map(whole).collect();
        for (output, new) in outputs {
            let old = match &new {
                Some(held) => self.pool.made.insert(output, held.clone()),
                None => self.pool.made.remove(&output),
            };
            if new != old {
                self.pool.stir([&output]);
                old.iter().for_each(|held| self.mark(output, held, Reason::Reorganised));
                new.iter().for_each(|held| self.mark(output, held, Reason::Superseded));
            }
        }
    }
}
