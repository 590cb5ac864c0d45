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

use kuraban_base::Txid;
use kuraban_chain::btc::{Block, OutPoint, Script};
use kuraban_node::{
    fetch::Fetch,
    p2p::{Event, TXS_MAX},
};
use kuraban_trace::{
    feed::{Feed, Words},
    graph::{AddressNum, Graph as _, Node, OutputNum, Tip},
    index::{
        Index, Prepared, RollbackError, Writer,
        build::{self, FillError},
    },
    live::{Connected, Indexed, Live, Stops},
    taint::{self, Case, TaintError, Terms, Trace},
};

use super::{
    ChaseError,
    cases::Cases,
    config::{CaseFile, Config},
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

/// The role at work.
pub(super) struct Driver<'a> {
    config: &'a Config,
    stops: &'a Stops<'a>,
    page: Arc<Page>,
    writer: Writer,
    fetch: Fetch,
    feed: Feed,
    live: Live,
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
        let (live, stops, known) = (&mut self.live, self.stops, &mut self.known);
        let (mut broken, mut undone) = (false, 0_u64);
        let outcome = build::extend(&mut self.writer, &blocks, |block, index| {
            if !broken {
                broken = follow(live, block, index, stops, known, &mut undone).is_none();
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
        if broken {
            self.begin_anew()?;
        }
        let retry = core::mem::take(&mut self.waiting);
        let cases: Vec<CaseFile> = self.cases.all().cloned().collect();
        for case in cases.iter().filter(|case| retry.contains(case.opened.case.as_str())) {
            self.open(case);
        }
        self.settle()?;
        let block_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.show(block_ms);
        let Tip { height, hash } = self.live.tip();
        tracing::info!(height = height.blocks(), %hash, taken_off = outcome.taken_off, ms = block_ms, "block");
        Ok(())
    }

    /// Looks at what waits, and tells the feed.
    fn settle(&mut self) -> Result<(), ChaseError> {
        let mut source = Indexed::new(self.writer.index(), self.stops);
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
        let cases: Vec<CaseFile> = self.cases.all().cloned().collect();
        cases.iter().for_each(|case| self.open(case));
        self.live.attach(self.feed.standing());
        self.publish()
    }

    fn tick(&mut self) -> Result<(), ChaseError> {
        for case in self.cases.look() {
            self.open(&case);
        }
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

    /// Follows a case, or no longer.
    fn open(&mut self, case: &CaseFile) {
        let id = &case.opened.case;
        if let Some(reason) = &case.closed {
            self.waiting.remove(id.as_str());
            self.live.close(id, reason.clone());
            return;
        }
        let problem = match self.trace(case) {
            Ok(None) => self.live.open(case.opened.clone()).err().map(|problem| log::told(&problem)),
            Ok(Some(traces)) => {
                let (index, stops) = (self.writer.index(), self.stops);
                let place = |output: OutputNum| place(index, stops, output);
                let opened = self.live.open_traced(case.opened.clone(), index, &traces, place);
                opened.err().map(|problem| log::told(&problem))
            }
            Err(problem) => {
                self.waiting.insert(id.to_string());
                Some(problem)
            }
        };
        match problem {
            Some(problem) => tracing::warn!(case = %id, problem, "case-not-followed"),
            None => tracing::info!(case = %id, "case-followed"),
        }
    }

    /// Traces by every method to the last block; nothing if no seed is in the chain yet.
    fn trace(&self, case: &CaseFile) -> Result<Option<Vec<Trace>>, String> {
        let index = self.writer.index();
        let known: Vec<Option<OutputNum>> =
            case.seeds.iter().map(|outpoint| taint::seed(index, *outpoint).ok()).collect();
        let missing = case.seeds.iter().zip(&known).find(|(_, known)| known.is_none());
        let seeds: Vec<OutputNum> = known.iter().copied().flatten().collect();
        match missing {
            Some((outpoint, _)) if !seeds.is_empty() => {
                return Err(format!(
                    "seed {outpoint} is not in the chain, others are: it waits until all are"
                ));
            }
            Some(_) => return Ok(None),
            None => {}
        }
        for (seed, output) in case.opened.seeds.iter().zip(&seeds) {
            let value = u128::from(index.value(*output));
            if seed.units != value {
                return Err(format!(
                    "seed {}: states {} units, the output has {value}",
                    outpoint(index, *output),
                    seed.units
                ));
            }
        }
        let stops = taint::Stops { addresses: self.stopping(index), ..taint::Stops::default() };
        let rules = &case.opened.rules;
        let dust_sat = u64::try_from(rules.dust_units).unwrap_or(u64::MAX);
        let follow_fees = rules.follow_fees;
        let by = |method: &taint::Method| -> Result<Trace, TaintError> {
            let terms = Terms { method: *method, until: None, follow_fees, dust_sat, stops: stops.clone() };
            taint::trace(index, &[Case { seeds: seeds.clone() }], &terms)
        };
        let traces = rules.methods.iter().map(by).collect::<Result<_, _>>();
        traces.map(Some).map_err(|problem| log::told(&problem))
    }

    /// The addresses at which taint is held.
    fn stopping(&self, index: &Index) -> BTreeSet<AddressNum> {
        self.stops.scripts().filter_map(|script| index.find_script(&script)).collect()
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

/// An output's script, and what is known of the place.
fn place(index: &Index, stops: &Stops<'_>, output: OutputNum) -> (Script, Words) {
    let script = index.address(output).map(|address| index.script(address)).unwrap_or_default();
    // A trace holds units nowhere but at places that were asked for by their scripts.
    let place = stops.place(&script).unwrap_or_else(Words::stop);
    (script, place)
}

fn outpoint(index: &Index, output: OutputNum) -> OutPoint {
    taint::outpoint(index, output)
}

/// Lets the engine follow a block that the index has taken; nothing if it cannot.
fn follow(
    live: &mut Live,
    block: &Prepared,
    index: &Index,
    stops: &Stops<'_>,
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
    if let Err(problem) = live.block(&connected, &mut Indexed::new(index, stops)) {
        let problem = log::told(&problem);
        tracing::warn!(problem, "begins-anew");
        return None;
    }
    for node in &nodes {
        known.remove(&node.txid);
    }
    Some(())
}
