//! The loop: what the node says goes into the index and the engine, what the engine has to tell goes into the feed.
//!
//! Decides when to look and when to begin anew: an engine that cannot go on (a reorganisation deeper than it can undo, a
//! block that it cannot take) is built again from the index, and the feed is told the difference.

use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
    sync::Arc,
    time::{Duration, Instant},
};

use kuraban_base::{CaseId, Height, Txid};
use kuraban_chain::btc::{Block, BlockHash, OutPoint};
use kuraban_node::{
    fetch::Fetch,
    p2p::{Event, TXS_MAX},
};
use kuraban_trace::{
    feed::{Feed, Opened, Words},
    graph::{AddressNum, Graph as _, Node, OutputNum, Tip},
    index::{
        Corrupted, Index, Prepared, RollbackError, Writer,
        build::{self, FillError},
    },
    live::{Connected, Indexed, Live, Spot, Stops},
    taint::{self, Case, TaintError, Terms, Trace},
};

use super::{
    ChaseError,
    cases::Cases,
    config::{CaseFile, Config},
    hubs::CaseHubs,
    node::NodeBlocks,
    page::{CaseRow, Page, TotalsRow},
};
use crate::{clock::wall, log};

/// How often cases and times are looked at.
const TICK: Duration = Duration::from_secs(1);
/// How often the node is asked for headers, whether it announced any or not.
const POLL: Duration = Duration::from_secs(30);
/// Most things that the node says before what follows from them is told.
const TOGETHER_MAX: usize = 4_096;
/// A transaction that waits longer than nodes keep it (`DEFAULT_MEMPOOL_EXPIRY_HOURS`) is forgotten.
const WAITS_MS_MAX: u64 = 336 * 3_600_000;
/// Most transactions whose announcement is remembered.
const KNOWN_MAX: usize = 2_000_000;

/// Why a case is not traced.
enum Untraced {
    /// The index cannot be read.
    Corrupted(Corrupted),
    /// It waits: why.
    Waits(String),
}

impl From<Corrupted> for Untraced {
    fn from(corrupted: Corrupted) -> Self {
        Self::Corrupted(corrupted)
    }
}

/// The role at work.
pub(super) struct Driver<'a> {
    config: &'a Config,
    stops: &'a Stops<'a>,
    page: Arc<Page>,
    writer: Writer,
    fetch: Fetch,
    feed: Feed,
    live: Live,
    hubs: CaseHubs,
    cases: Cases,
    /// Cases whose seeds the chain does not have all.
    waiting: BTreeSet<String>,
    /// When transactions that wait were first seen.
    known: BTreeMap<Txid, u64>,
    undone: u64,
}

impl<'a> Driver<'a> {
    pub(super) fn new(
        config: &'a Config,
        stops: &'a Stops<'a>,
        page: Arc<Page>,
        writer: Writer,
        fetch: Fetch,
        feed: Feed,
    ) -> Result<Self, ChaseError> {
        let live = Live::new(config.network, tip(writer.index()));
        let cases = Cases::new(&config.cases, config.network);
        let mut driver = Self {
            config,
            stops,
            page,
            writer,
            fetch,
            feed,
            live,
            hubs: CaseHubs::default(),
            cases,
            waiting: BTreeSet::new(),
            known: BTreeMap::new(),
            undone: 0,
        };
        driver.cases.look();
        driver.begin_anew()?;
        Ok(driver)
    }

    pub(super) fn run(mut self) -> Result<Infallible, ChaseError> {
        let (mut ticked, mut polled) = (Instant::now(), Instant::now());
        self.show(0);
        loop {
            let mut blocks = self.hear(TICK)?.unwrap_or(false);
            // What has come is taken up together: one look at what waits, one signature.
            for _ in 0..TOGETHER_MAX {
                let Some(more) = self.hear(Duration::ZERO)? else { break };
                blocks |= more;
            }
            if blocks || polled.elapsed() >= POLL {
                polled = Instant::now();
                self.extend()?;
            }
            self.settle()?;
            if ticked.elapsed() >= TICK {
                ticked = Instant::now();
                self.tick()?;
            }
        }
    }

    /// One thing that the node says within that time, if any; whether it speaks of a block.
    fn hear(&mut self, within: Duration) -> Result<Option<bool>, ChaseError> {
        let node = |source| ChaseError::Node { node: self.config.node.clone(), source: Box::new(source) };
        let event = self.fetch.listen(within).map_err(node)?;
        Ok(event.map(|event| self.take(event)))
    }

    fn take(&mut self, event: Event) -> bool {
        match event {
            Event::InvTx(txids) => {
                let new: Vec<Txid> =
                    txids.into_iter().filter(|txid| !self.known.contains_key(txid)).collect();
                for batch in new.chunks(TXS_MAX) {
                    if !self.fetch.ask_txs(batch.to_vec()) {
                        tracing::warn!(count = batch.len(), "transactions-not-asked-for");
                    }
                }
                false
            }
            Event::Tx(tx) => {
                let node = Node::from(&*tx);
                if self.known.len() < KNOWN_MAX {
                    self.known.insert(node.txid, wall().ms());
                    self.live.pool(&node);
                }
                false
            }
            Event::Ready(_) | Event::Headers(_) | Event::InvBlock(_) => true,
            Event::Closed(closed) => {
                let problem = log::told(&closed);
                tracing::warn!(problem, "node-lost");
                false
            }
            Event::Alive { .. } => {
                self.page.set(|status| status.at_ms = wall().ms());
                false
            }
            Event::Block(_) | Event::NotFound { .. } | Event::Rejected(_) | Event::Unreadable { .. } => false,
        }
    }

    /// Brings index and engine to the node's chain.
    fn extend(&mut self) -> Result<(), ChaseError> {
        let begun = Instant::now();
        let index = self.writer.index();
        let blocks = NodeBlocks::new(self.config.network, &self.config.node, &mut self.fetch, Some(index));
        let blocks = match blocks {
            Ok(blocks) => blocks,
            Err(problem) => {
                not_had(&problem);
                return Ok(());
            }
        };
        let (live, known) = (&mut self.live, &mut self.known);
        let (stops, hubs) = (self.stops, self.hubs.of());
        let (mut broken, mut undone) = (false, 0_u64);
        let outcome = build::extend(&mut self.writer, &blocks, |block, index| {
            if !broken {
                broken = follow(live, block, index, Indexed::new(index, stops, hubs), known, &mut undone)
                    .is_none();
            }
        });
        self.undone = self.undone.saturating_add(undone);
        let outcome = match outcome {
            Ok(outcome) => outcome,
            // Whoever reads the index keeps blocks from being taken off it; they are when nobody does.
            Err(problem @ (FillError::Source(_) | FillError::Rollback(RollbackError::Read { .. }))) => {
                not_had(&problem);
                return Ok(());
            }
            Err(problem) => return Err(ChaseError::Fill(Box::new(problem))),
        };
        if outcome.appended == 0 {
            return Ok(());
        }
        if broken || self.hubs_are_old(outcome.appended) {
            self.begin_anew()?;
        }
        let retry = core::mem::take(&mut self.waiting);
        let cases: Vec<CaseFile> = self.cases.all().cloned().collect();
        let again: Vec<CaseFile> =
            cases.into_iter().filter(|case| retry.contains(case.opened.case.as_str())).collect();
        self.open(&again)?;
        self.settle()?;
        let block_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.show(block_ms);
        let Tip { height, hash } = self.live.tip();
        tracing::info!(height = height.blocks(), %hash, taken_off = outcome.taken_off, ms = block_ms, "block");
        Ok(())
    }

    /// Looks at what waits, and tells the feed.
    fn settle(&mut self) -> Result<(), ChaseError> {
        let mut source = Indexed::new(self.writer.index(), self.stops, self.hubs.of());
        if let Err(problem) = self.live.refresh(&mut source) {
            let problem = log::told(&problem);
            tracing::warn!(problem, "begins-anew");
            return self.begin_anew();
        }
        self.publish()
    }

    /// Tells the feed, in as many steps as it takes.
    fn publish(&mut self) -> Result<(), ChaseError> {
        while let Some(growth) = self.live.publish(&mut self.feed, wall())? {
            for (resource, bytes) in &growth.files {
                self.page.shelf.put(*resource, bytes)?;
            }
            let checkpoint = growth.sign(&self.config.signer)?;
            self.page.shelf.put_checkpoint(&checkpoint.to_string())?;
        }
        Ok(())
    }

    /// Builds the engine from the index and tells the feed the difference. What waited for a block is not known any more; its
    /// tags are taken back, and come again when it is in one.
    fn begin_anew(&mut self) -> Result<(), ChaseError> {
        self.live = Live::new(self.config.network, tip(self.writer.index()));
        self.known.clear();
        self.waiting.clear();
        self.hubs = CaseHubs::default();
        let cases: Vec<CaseFile> = self.cases.all().cloned().collect();
        self.open(&cases)?;
        self.live.attach(self.feed.standing());
        self.publish()
    }

    fn tick(&mut self) -> Result<(), ChaseError> {
        let changed = self.cases.look();
        self.open(&changed)?;
        let now = wall().ms();
        let old: Vec<Txid> = self
            .known
            .iter()
            .filter(|(_, since)| now.saturating_sub(**since) > WAITS_MS_MAX)
            .map(|(txid, _)| *txid)
            .collect();
        for txid in old {
            self.known.remove(&txid);
            self.live.forget(&txid);
        }
        self.settle()?;
        let block_ms = self.page.status.lock().map_or(0, |status| status.block_ms);
        self.show(block_ms);
        Ok(())
    }

    /// Whether blocks that a count of hubs rests on are not those that it was made from, after so many were appended.
    fn hubs_are_old(&self, appended: u64) -> bool {
        let index = self.writer.index();
        let appended = u32::try_from(appended).unwrap_or(u32::MAX);
        let fork = tip(index).height.blocks().saturating_sub(appended);
        !self.hubs.holds_at(index, Height::new(fork))
    }

    /// Follows cases, or no longer.
    fn open(&mut self, cases: &[CaseFile]) -> Result<(), Corrupted> {
        let mut follow = Vec::new();
        for case in cases {
            let id = &case.opened.case;
            if let Some(reason) = &case.closed {
                self.waiting.remove(id.as_str());
                self.live.close(id, reason.clone());
                continue;
            }
            let told = self.feed.standing().case(id).map(|told| &told.opened);
            match case.resolve(told, self.config) {
                Ok(opened) => follow.push((opened, &*case.seeds)),
                Err(problem) => tracing::warn!(case = %id, problem, "case-not-followed"),
            }
        }
        let mut count = Vec::new();
        for (opened, seeds) in &follow {
            let threshold = opened.rules.hub_outputs_min;
            count.extend(threshold.map(|outputs_min| (opened.case.clone(), outputs_min, *seeds)));
        }
        self.hubs.count(self.writer.index(), &count)?;
        follow.into_iter().try_for_each(|(opened, seeds)| self.follow(opened, seeds))
    }

    /// Follows a case.
    fn follow(&mut self, opened: Opened, seeds: &[OutPoint]) -> Result<(), Corrupted> {
        let case = opened.case.clone();
        let problem = match self.trace(&opened, seeds) {
            Ok(None) => self.live.open(opened).err().map(|problem| log::told(&problem)),
            Ok(Some(traces)) => {
                let index = self.writer.index();
                let source = Indexed::new(index, self.stops, self.hubs.of());
                let spot = |output: OutputNum| spot(index, &source, &case, output);
                let opened = self.live.open_traced(opened, index, &traces, spot);
                opened.err().map(|problem| log::told(&problem))
            }
            Err(Untraced::Corrupted(corrupted)) => return Err(corrupted),
            Err(Untraced::Waits(problem)) => {
                self.waiting.insert(case.to_string());
                Some(problem)
            }
        };
        match problem {
            Some(problem) => tracing::warn!(%case, problem, "case-not-followed"),
            None => tracing::info!(%case, "case-followed"),
        }
        Ok(())
    }

    /// Traces by every method to the last block; nothing if no seed is in the chain yet.
    fn trace(&self, opened: &Opened, outpoints: &[OutPoint]) -> Result<Option<Vec<Trace>>, Untraced> {
        let index = self.writer.index();
        let known = |outpoint: &OutPoint| match taint::seed(index, *outpoint) {
            Err(TaintError::Corrupted(corrupted)) => Err(corrupted),
            found => Ok(found.ok()),
        };
        let known: Vec<Option<OutputNum>> = outpoints.iter().map(known).collect::<Result<_, _>>()?;
        let missing = outpoints.iter().zip(&known).find(|(_, known)| known.is_none());
        let seeds: Vec<OutputNum> = known.iter().copied().flatten().collect();
        match missing {
            Some((outpoint, _)) if !seeds.is_empty() => {
                let problem =
                    format!("seed {outpoint} is not in the chain, others are: it waits until all are");
                return Err(Untraced::Waits(problem));
            }
            Some(_) => return Ok(None),
            None => {}
        }
        for (seed, output) in opened.seeds.iter().zip(&seeds) {
            let value = u128::from(index.value(*output));
            if seed.units != value {
                let (name, units) = (outpoint(index, *output), seed.units);
                let problem = format!("seed {name}: states {units} units, the output has {value}");
                return Err(Untraced::Waits(problem));
            }
        }
        let stops = taint::Stops { addresses: self.stopping(index, &opened.case), ..taint::Stops::default() };
        let rules = &opened.rules;
        let dust_sat = u64::try_from(rules.dust_units).unwrap_or(u64::MAX);
        let follow_fees = rules.follow_fees;
        let by = |method: &taint::Method| -> Result<Trace, TaintError> {
            let terms = Terms { method: *method, until: None, follow_fees, dust_sat, stops: stops.clone() };
            taint::trace(index, &[Case { seeds: seeds.clone() }], &terms)
        };
        match rules.methods.iter().map(by).collect::<Result<_, _>>() {
            Ok(traces) => Ok(Some(traces)),
            Err(TaintError::Corrupted(corrupted)) => Err(corrupted.into()),
            Err(problem) => Err(Untraced::Waits(log::told(&problem))),
        }
    }

    /// The addresses at which a case's taint is held.
    fn stopping(&self, index: &Index, case: &CaseId) -> BTreeSet<AddressNum> {
        let named = self.stops.scripts().filter_map(|script| index.find_script(&script));
        named.chain(self.hubs.addresses(case)).collect()
    }

    /// Shows how it stands.
    fn show(&self, block_ms: u64) {
        let cases = self.cases.all().map(|case| self.row(case)).collect();
        let Tip { height, hash } = self.live.tip();
        let (feed_size, pool, undone) = (self.feed.size(), self.live.pool_count(), self.undone);
        self.page.set(|status| {
            status.at_ms = wall().ms();
            status.height = height.blocks();
            status.tip = hash.to_string();
            (status.feed_size, status.pool, status.undone) = (feed_size, pool, undone);
            (status.block_ms, status.cases) = (block_ms, cases);
        });
    }

    fn row(&self, case: &CaseFile) -> CaseRow {
        let id = &case.opened.case;
        let totals = self.live.totals(id).unwrap_or_default();
        let total = |(method, totals): (taint::Method, taint::Totals)| TotalsRow {
            method: method.name(),
            stolen_sat: totals.stolen_sat,
            unspent_sat: totals.unspent_sat,
            stopped_sat: totals.stopped_sat,
        };
        let state = match (&case.closed, self.waiting.contains(id.as_str())) {
            (Some(_), _) => "closed",
            (None, true) => "waiting",
            (None, false) => "followed",
        };
        CaseRow {
            id: id.to_string(),
            label: case.opened.label.to_string(),
            state,
            outputs: self.live.outputs(id).count(),
            waiting: self.live.waiting(id).count(),
            totals: totals.into_iter().map(total).collect(),
        }
    }
}

/// Blocks that the node does not hand over now are asked for again.
fn not_had(problem: &dyn core::error::Error) {
    let problem = log::told(problem);
    tracing::warn!(problem, "blocks-not-had");
}

fn tip(index: &Index) -> Tip {
    index.tip().unwrap_or(Tip { height: index.start().height, hash: index.start().before })
}

/// Where an output lies.
fn spot(index: &Index, source: &Indexed<'_>, case: &CaseId, output: OutputNum) -> Spot {
    let address = index.address(output);
    let script = address.map(|address| index.script(address)).unwrap_or_default();
    // A trace holds units nowhere but at places that it was told of from the same source.
    let place = source.place(&script, address, case).unwrap_or_else(Words::stop);
    let height = index.height(index.creator(output));
    let hash = index.header(height).map_or(BlockHash::ZERO, |header| header.hash());
    Spot { script, block: Tip { height, hash }, place }
}

fn outpoint(index: &Index, output: OutputNum) -> OutPoint {
    taint::outpoint(index, output)
}

/// Lets the engine follow a block that the index has taken; nothing if it cannot.
fn follow(
    live: &mut Live,
    block: &Prepared,
    index: &Index,
    mut source: Indexed<'_>,
    known: &mut BTreeMap<Txid, u64>,
    undone: &mut u64,
) -> Option<()> {
    let prev = block.header().prev;
    while live.tip().hash != prev {
        live.undo().ok()?;
        *undone = undone.saturating_add(1);
    }
    let height = index.tip()?.height;
    let decoded = Block::decode(block.network(), block.bytes()).ok()?;
    let nodes: Vec<Node> = decoded.txs.iter().map(Node::from).collect();
    let connected = Connected { height, hash: block.hash(), prev, nodes: &nodes };
    if let Err(problem) = live.block(&connected, &mut source) {
        let problem = log::told(&problem);
        tracing::warn!(problem, "begins-anew");
        return None;
    }
    for node in &nodes {
        known.remove(&node.txid);
    }
    Some(())
}
