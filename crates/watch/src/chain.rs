//! Following one node's best chain: headers first, then every block in order, through reorganisations.
//!
//! Decides which blocks are connected, and when the node cannot be relied on. The node may lie or stall: headers must
//! hold work, blocks must be those that their headers name, the newest must be of today, and silence is told. Never skips a
//! block.

mod headers;
mod mempool;
mod message;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use kuraban_base::{Height, Instant};
use kuraban_chain::btc::{Block, BlockHash, Header, Network, Tx};
use kuraban_vault::signer::Clock;

use headers::{Headers, NotTaken};
use mempool::Mempool;
pub use mempool::TxRef;
pub use message::{
    Fact, FromNode, Lie, Output, Position, RestoreError, Settings, SettingsError, Stall, Status, ToNode,
};

/// How many connected blocks can be undone. A deeper reorganisation is not followed: it is a stall, and so an alarm.
pub const UNDO_BLOCKS_MAX: usize = 1000;
/// Most headers in one message (`MAX_HEADERS_RESULTS`).
pub const HEADERS_MAX: usize = 2000;
/// Most blocks that are asked for, or wait for one before them, at one time.
pub const BLOCKS_IN_FLIGHT_MAX: usize = 16;
/// Headers are asked for only while fewer than this are ahead of the connected tip.
const AHEAD_MAX: usize = 4000;
/// How far an honest block's time may be from the moment at which it is found: nodes take it up to two hours early
/// (`MAX_FUTURE_BLOCK_TIME`).
const BLOCK_TIME_MS_MAX: u64 = 2 * 60 * 60 * 1000;
/// How often in a row a node may send headers that do not connect.
const UNCONNECTED_MAX: u32 = 10;

/// One network's best chain as one node shows it.
#[derive(Clone, Debug)]
pub struct Chain {
    settings: Settings,
    headers: Headers,
    connected: VecDeque<BlockHash>,
    members: BTreeSet<BlockHash>,
    plan: VecDeque<BlockHash>,
    asked: BTreeSet<BlockHash>,
    arrived: BTreeMap<BlockHash, Box<Block>>,
    mempool: Mempool,
    status: Status,
    /// Whether a connection stands, and at which height the node said it was.
    online: Option<Height>,
    node_tip: Option<BlockHash>,
    /// Whether the node's last answer showed that it does not have our tip.
    lacks_tip: bool,
    more: bool,
    unconnected: u32,
    mempool_asked: bool,
    times: Times,
}

/// Monotonic milliseconds.
#[derive(Clone, Copy, Debug)]
struct Times {
    /// The last time that something came forward.
    progress: u64,
    /// The last time that the node showed our tip as its own.
    current: u64,
    /// The last new block.
    block: u64,
    /// The last question for the tip.
    poll: u64,
}

impl Chain {
    /// Begins at the birthday.
    ///
    /// # Errors
    /// The settings contradict each other.
    pub fn new(settings: Settings, now_ms: u64) -> Result<Self, SettingsError> {
        let Settings { poll_ms, stall_ms, block_ms_max, .. } = settings;
        if poll_ms == 0 || poll_ms.saturating_mul(2) > stall_ms {
            return Err(SettingsError::Poll { poll_ms, stall_ms });
        }
        if block_ms_max < stall_ms {
            return Err(SettingsError::Block { block_ms_max, stall_ms });
        }
        Ok(Self::begun(settings, now_ms))
    }

    fn begun(settings: Settings, now_ms: u64) -> Self {
        Self {
            headers: Headers::new(settings.network, settings.birthday),
            settings,
            connected: VecDeque::new(),
            members: BTreeSet::new(),
            plan: VecDeque::new(),
            asked: BTreeSet::new(),
            arrived: BTreeMap::new(),
            mempool: Mempool::default(),
            status: Status::Syncing,
            online: None,
            node_tip: None,
            lacks_tip: false,
            more: false,
            unconnected: 0,
            mempool_asked: false,
            times: Times { progress: now_ms, current: now_ms, block: now_ms, poll: now_ms },
        }
    }

    /// Forgets every block and begins at the birthday again, over the connection that stands.
    pub fn anew(&mut self, clock: Clock) -> Vec<Output> {
        let online = self.online;
        self.forget(clock.monotonic_ms);
        online.map_or_else(Vec::new, |height| self.step(clock, FromNode::Ready { height }))
    }

    fn forget(&mut self, now_ms: u64) {
        *self = Self::begun(self.settings.clone(), now_ms);
    }

    /// Takes up that every block was forgotten before a restart.
    pub fn restore_anew(&mut self) {
        self.forget(0);
    }

    /// Takes up a block that was connected before a restart.
    ///
    /// # Errors
    /// It does not follow the stored tip.
    pub fn restore_connected(&mut self, header: &Header) -> Result<Position, RestoreError> {
        let (hash, tip) = (header.hash(), self.tip().hash);
        if header.prev != tip || self.headers.restore(header).is_err() {
            return Err(RestoreError::Header { hash, tip });
        }
        self.connect(hash);
        Ok(self.tip())
    }

    /// Takes up that a block was disconnected before a restart.
    ///
    /// # Errors
    /// It was not the tip.
    pub fn restore_disconnected(&mut self, hash: BlockHash) -> Result<(), RestoreError> {
        let tip = self.tip().hash;
        if hash != tip || self.disconnect().is_none() {
            return Err(RestoreError::NotTip { hash, tip });
        }
        Ok(())
    }

    /// Begins to count time from now, after everything stored was taken up.
    pub const fn begin(&mut self, now_ms: u64) {
        self.times = Times { progress: now_ms, current: now_ms, block: now_ms, poll: now_ms };
    }

    /// Which network.
    #[must_use]
    pub const fn network(&self) -> Network {
        self.settings.network
    }

    /// The last connected block; the birthday if there is none.
    #[must_use]
    pub fn tip(&self) -> Position {
        let hash = self.connected.back();
        let height = hash.and_then(|hash| self.headers.height(hash));
        hash.copied().zip(height).map_or(self.headers.base(), |(hash, height)| Position { height, hash })
    }

    /// How things stand with the node.
    #[must_use]
    pub const fn status(&self) -> Status {
        self.status
    }

    /// Whether a connection stands and nothing is known that is not connected within the stall time.
    #[must_use]
    pub fn is_current(&self) -> bool {
        self.online.is_some() && self.status == Status::Following
    }

    /// Takes what came.
    pub fn step(&mut self, clock: Clock, from: FromNode) -> Vec<Output> {
        let mut out = Vec::new();
        let now_ms = clock.monotonic_ms;
        match from {
            FromNode::Ready { height } => self.ready(now_ms, height, &mut out),
            FromNode::Closed => self.close(),
            FromNode::Tick => self.tick(clock, &mut out),
            // What a closed connection still delivers is not acted on.
            FromNode::Headers(_)
            | FromNode::Block(_)
            | FromNode::Inv { .. }
            | FromNode::Tx(_)
            | FromNode::NotFound { .. }
                if self.online.is_none() => {}
            FromNode::Headers(headers) => self.on_headers(clock, &headers, &mut out),
            FromNode::Block(block) => self.on_block(clock, block, &mut out),
            FromNode::Inv { blocks, txs } => self.on_inv(now_ms, &blocks, &txs, &mut out),
            FromNode::Tx(tx) => self.on_tx(now_ms, tx, &mut out),
            FromNode::NotFound { blocks, txs } => {
                // Asked for again at the next poll: a block that its own announcer lacks is a stall in the making.
                self.asked.retain(|hash| !blocks.contains(hash));
                self.mempool.missing(&txs);
                self.ask_txs(now_ms, &mut out);
            }
        }
        out
    }

    fn ready(&mut self, now_ms: u64, height: Height, out: &mut Vec<Output>) {
        self.close();
        self.online = Some(height);
        self.mempool.reconnected();
        self.mempool_asked = false;
        self.unconnected = 0;
        self.poll(now_ms, out);
    }

    fn close(&mut self) {
        self.online = None;
        self.node_tip = None;
        self.lacks_tip = false;
        self.more = false;
        self.asked.clear();
    }

    fn end(&mut self, lie: Lie, out: &mut Vec<Output>) {
        self.close();
        out.push(Output::Send(ToNode::Close(lie)));
    }

    /// Asks for the node's tip in such a way that an honest node must answer with at least one header: our own tip.
    fn poll(&mut self, now_ms: u64, out: &mut Vec<Output>) {
        self.times.poll = now_ms;
        let base = self.headers.base().hash;
        if self.headers.wants_base() {
            self.asked.insert(base);
            return out.push(Output::Send(ToNode::GetBlocks(vec![base])));
        }
        let best = self.headers.best();
        let from = self.headers.parent(&best).unwrap_or(best);
        out.push(Output::Send(ToNode::GetHeaders(self.headers.locator(from))));
        self.ask_blocks(out);
    }

    fn on_headers(&mut self, clock: Clock, headers: &[Header], out: &mut Vec<Output>) {
        if headers.len() > HEADERS_MAX {
            return self.end(Lie::TooMany, out);
        }
        if self.headers.wants_base() {
            return;
        }
        let best = self.headers.best();
        match self.headers.accept(headers) {
            Ok(()) => self.unconnected = 0,
            Err(NotTaken::Lie(lie)) => return self.end(lie, out),
            Err(NotTaken::Unconnected) if self.unconnected >= UNCONNECTED_MAX => {
                return self.end(Lie::Unconnected { base: self.headers.base().hash }, out);
            }
            Err(NotTaken::Unconnected) => {
                self.unconnected = self.unconnected.saturating_add(1);
                self.node_tip = None;
                return out.push(Output::Send(ToNode::GetHeaders(self.headers.locator(best))));
            }
        }
        if self.headers.best() != best {
            self.times.progress = clock.monotonic_ms;
            let Some(plan) = self.headers.path(&self.members) else {
                return self.end(Lie::Unconnected { base: self.headers.base().hash }, out);
            };
            self.arrived.retain(|hash, _| plan.contains(hash));
            self.plan = plan;
        }
        self.node_tip = match headers.last() {
            Some(last) => Some(last.hash()),
            None => self.at_birthday(),
        };
        self.lacks_tip = self.node_tip.is_none();
        self.more |= headers.len() == HEADERS_MAX;
        self.advance(clock.monotonic_ms, out);
        self.ask_blocks(out);
        self.settle(clock, out);
    }

    /// With nothing but the birthday there is no parent to ask from, and an honest node that has no more blocks
    /// answers with nothing.
    fn at_birthday(&self) -> Option<BlockHash> {
        let base = self.headers.base();
        let alone = self.headers.best() == base.hash && self.online == Some(base.height);
        alone.then_some(base.hash)
    }

    fn on_block(&mut self, clock: Clock, block: Box<Block>, out: &mut Vec<Output>) {
        let hash = block.hash();
        if !self.asked.remove(&hash) {
            return;
        }
        if hash == self.headers.base().hash {
            self.headers.base_header(&block.header);
            return self.poll(clock.monotonic_ms, out);
        }
        if let Err(problem) = block.matched() {
            return self.end(Lie::Block { hash, problem }, out);
        }
        if self.plan.contains(&hash) {
            self.arrived.insert(hash, block);
        }
        self.advance(clock.monotonic_ms, out);
        self.ask_blocks(out);
        self.settle(clock, out);
    }

    fn on_inv(&mut self, now_ms: u64, blocks: &[BlockHash], txs: &[TxRef], out: &mut Vec<Output>) {
        if blocks.iter().any(|hash| !self.headers.knows(hash)) && !self.headers.wants_base() {
            self.node_tip = None;
            out.push(Output::Send(ToNode::GetHeaders(self.headers.locator(self.headers.best()))));
        }
        // Before the blocks are in, nobody knows which coins are the vaults'; the whole mempool is asked for then.
        if self.mempool_asked {
            self.mempool.announced(txs);
            self.ask_txs(now_ms, out);
        }
    }

    fn on_tx(&mut self, now_ms: u64, tx: Box<Tx>, out: &mut Vec<Output>) {
        if self.mempool_asked {
            if self.mempool.arrived(&tx) {
                out.push(Output::Fact(Fact::Seen(tx)));
            }
            self.ask_txs(now_ms, out);
        }
    }

    fn ask_txs(&mut self, now_ms: u64, out: &mut Vec<Output>) {
        let refs = self.mempool.ask(now_ms);
        if !refs.is_empty() {
            out.push(Output::Send(ToNode::GetTxs(refs)));
        }
        if self.mempool.ask_again() {
            out.push(Output::Send(ToNode::AskMempool));
        }
    }

    /// Connects what has arrived, in order, undoing first what is not on the best chain any more.
    fn advance(&mut self, now_ms: u64, out: &mut Vec<Output>) {
        while let Some(hash) = self.plan.front().copied() {
            let Some(block) = self.arrived.remove(&hash) else { return };
            while self.tip().hash != block.header.prev {
                let Some(Position { height, hash }) = self.disconnect() else { return };
                out.push(Output::Fact(Fact::Disconnected { height, hash }));
            }
            self.plan.pop_front();
            self.connect(hash);
            self.times.block = now_ms;
            self.times.progress = now_ms;
            let height = self.tip().height;
            out.push(Output::Fact(Fact::Connected { height, hash, block }));
        }
    }

    fn connect(&mut self, hash: BlockHash) {
        self.connected.push_back(hash);
        self.members.insert(hash);
        if self.connected.len() > UNDO_BLOCKS_MAX
            && let Some(oldest) = self.connected.pop_front()
        {
            self.members.remove(&oldest);
            self.headers.rebase(oldest);
        }
    }

    fn disconnect(&mut self) -> Option<Position> {
        let tip = self.tip();
        let hash = self.connected.pop_back()?;
        self.members.remove(&hash);
        Some(tip)
    }

    fn ask_blocks(&mut self, out: &mut Vec<Output>) {
        let missing = |hash: &&BlockHash| !self.asked.contains(*hash) && !self.arrived.contains_key(*hash);
        let ask: Vec<BlockHash> =
            self.plan.iter().take(BLOCKS_IN_FLIGHT_MAX).filter(missing).copied().collect();
        if !ask.is_empty() {
            self.asked.extend(&ask);
            out.push(Output::Send(ToNode::GetBlocks(ask)));
        }
        if self.more && self.plan.len() < AHEAD_MAX {
            self.more = false;
            out.push(Output::Send(ToNode::GetHeaders(self.headers.locator(self.headers.best()))));
        }
    }

    /// Whether the node's tip is our tip and everything up to it is connected.
    fn is_settled(&self) -> bool {
        let tip = self.tip().hash;
        self.online.is_some() && self.plan.is_empty() && !self.more && self.node_tip == Some(tip)
    }

    /// Notes that everything the node has is connected.
    fn settle(&mut self, clock: Clock, out: &mut Vec<Output>) {
        if !self.is_settled() {
            return;
        }
        let tip = self.tip();
        self.times.current = clock.monotonic_ms;
        self.times.progress = clock.monotonic_ms;
        if self.blocks_late(clock.monotonic_ms) || !self.is_of_today(clock.wall) {
            return;
        }
        match self.status {
            Status::Following => {}
            Status::Syncing => out.push(Output::Fact(Fact::CaughtUp { tip })),
            Status::Stalled(_) => out.push(Output::Fact(Fact::Resumed { tip })),
        }
        self.status = Status::Following;
        if !self.mempool_asked {
            self.mempool_asked = true;
            out.push(Output::Send(ToNode::AskMempool));
        }
    }

    const fn blocks_late(&self, now_ms: u64) -> bool {
        now_ms.saturating_sub(self.times.block) > self.settings.block_ms_max
    }

    /// Whether the tip's own time is near enough to the time of day. Old blocks hold work too: whoever has them can show them
    /// one by one as if they were new. A birthday whose header nobody showed is of no day.
    fn is_of_today(&self, wall: Instant) -> bool {
        let apart_ms_max = self.settings.block_ms_max.saturating_add(BLOCK_TIME_MS_MAX);
        self.headers.time(&self.tip().hash).is_some_and(|time| time.ms().abs_diff(wall.ms()) <= apart_ms_max)
    }

    fn tick(&mut self, clock: Clock, out: &mut Vec<Output>) {
        let now_ms = clock.monotonic_ms;
        let stall_ms = self.settings.stall_ms;
        self.mempool.expire(now_ms.saturating_sub(stall_ms));
        let silent_ms = now_ms.saturating_sub(self.times.progress);
        if silent_ms > stall_ms {
            let since_ms = self.times.progress;
            let why = match self.online {
                None => Stall::Gone,
                Some(_) if self.lacks_tip => Stall::Behind,
                Some(_) => Stall::Silent,
            };
            self.stall(since_ms, why, out);
            // A new connection, perhaps to another node, and everything is asked for again.
            if self.online.is_some() {
                self.times.progress = now_ms;
                self.end(Lie::Silent { silent_ms }, out);
            }
        } else if self.blocks_late(now_ms) && self.plan.is_empty() {
            self.stall(self.times.block, Stall::NoBlocks, out);
        } else if self.is_settled() && !self.is_of_today(clock.wall) {
            self.stall(self.times.block, Stall::Past, out);
        } else if self.status == Status::Following && now_ms.saturating_sub(self.times.current) > stall_ms {
            self.status = Status::Syncing;
            out.push(Output::Fact(Fact::Behind));
        }
        if self.online.is_some() && now_ms.saturating_sub(self.times.poll) >= self.settings.poll_ms {
            self.poll(now_ms, out);
            self.ask_txs(now_ms, out);
        }
    }

    fn stall(&mut self, since_ms: u64, why: Stall, out: &mut Vec<Output>) {
        match self.status {
            Status::Stalled(_) => {}
            Status::Syncing | Status::Following => {
                self.status = Status::Stalled(why);
                out.push(Output::Fact(Fact::Stalled { since_ms, why }));
            }
        }
    }
}
