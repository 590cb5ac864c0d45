//! What comes from a node and goes to it, what happened on its chain, and how it is followed. Decides nothing.

use kuraban_base::Height;
use kuraban_chain::btc::{Block, BlockHash, Header, MerkleError, Network, Tx, pow::PowError};

use super::mempool::TxRef;

/// A block by height and hash.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Position {
    /// Blocks before it.
    pub height: Height,
    /// Its name.
    pub hash: BlockHash,
}

/// How a network is followed. Times in milliseconds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    /// Which.
    pub network: Network,
    /// The block after which watching begins: nothing in it or before it concerns the vaults.
    pub birthday: Position,
    /// How often the node is asked for its tip.
    pub poll_ms: u64,
    /// Without progress for this long, the node has stalled.
    pub stall_ms: u64,
    /// Without a new block for this long, the node has stalled, whatever it answers; and while its newest block's own time is
    /// more than two hours further than this from the time of day.
    pub block_ms_max: u64,
}

/// Settings that contradict each other.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SettingsError {
    /// A poll would come too late to notice a stall.
    #[error("poll_ms is {poll_ms}, want 1 to half of stall_ms, which is {stall_ms}")]
    Poll {
        /// Of the settings.
        poll_ms: u64,
        /// Of the settings.
        stall_ms: u64,
    },
    /// Blocks would be late before the node has stalled.
    #[error("block_ms_max is {block_ms_max}, want at least stall_ms, which is {stall_ms}")]
    Block {
        /// Of the settings.
        block_ms_max: u64,
        /// Of the settings.
        stall_ms: u64,
    },
}

/// What comes from the node.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum FromNode {
    /// A connection stands; the node says its best block has this height.
    Ready {
        /// As the node says.
        height: Height,
    },
    /// Headers, asked for or announced.
    Headers(Vec<Header>),
    /// A block.
    Block(Box<Block>),
    /// Announcements.
    Inv {
        /// Of blocks.
        blocks: Vec<BlockHash>,
        /// Of transactions.
        txs: Vec<TxRef>,
    },
    /// A transaction.
    Tx(Box<Tx>),
    /// Asked for, but not there.
    NotFound {
        /// Blocks.
        blocks: Vec<BlockHash>,
        /// Transactions.
        txs: Vec<TxRef>,
    },
    /// The connection is gone.
    Closed,
    /// Time passed; wanted several times per poll interval.
    Tick,
}

/// What goes to the node.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ToNode {
    /// Headers after the first of these that the node knows.
    GetHeaders(Vec<BlockHash>),
    /// Whole blocks.
    GetBlocks(Vec<BlockHash>),
    /// Whole transactions.
    GetTxs(Vec<TxRef>),
    /// The announcements of everything in the mempool.
    AskMempool,
    /// End the connection and make a new one.
    Close(Lie),
}

/// Why a connection is ended.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Lie {
    /// Headers out of order.
    #[error("header {hash} does not follow the one before it in its message")]
    Gap {
        /// Which.
        hash: BlockHash,
    },
    /// A header without work.
    #[error("header {hash} holds no work")]
    Work {
        /// Which.
        hash: BlockHash,
        /// What is wrong.
        #[source]
        problem: PowError,
    },
    /// A header with a target that may not follow.
    #[error("header {hash} states target bits 0x{bits:08x}, which cannot follow the block before it")]
    Target {
        /// Which.
        hash: BlockHash,
        /// What it states.
        bits: u32,
    },
    /// More headers than can be honest.
    #[error("more headers than a chain and its branches can have")]
    TooMany,
    /// Headers that never connect to ours.
    #[error("headers do not connect to a block above {base}, the oldest that can be undone")]
    Unconnected {
        /// Our oldest block.
        base: BlockHash,
    },
    /// A block that is not the one its header names.
    #[error("block {hash} is not what its header names")]
    Block {
        /// Which.
        hash: BlockHash,
        /// What is wrong.
        #[source]
        problem: MerkleError,
    },
    /// Nothing came for too long. No lie, but no use either.
    #[error("no progress for {silent_ms} ms")]
    Silent {
        /// How long.
        silent_ms: u64,
    },
}

/// What happened on the chain.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Fact {
    /// The next block of the best chain.
    Connected {
        /// Its height.
        height: Height,
        /// Its name.
        hash: BlockHash,
        /// The block, which its header names.
        block: Box<Block>,
    },
    /// The tip is not on the best chain any more.
    Disconnected {
        /// Its height.
        height: Height,
        /// Its name.
        hash: BlockHash,
    },
    /// A transaction that is in no block yet, with nothing about it checked.
    Seen(Box<Tx>),
    /// The node has no block that is not connected.
    CaughtUp {
        /// The tip.
        tip: Position,
    },
    /// Blocks come in, but too slowly to be called caught up.
    Behind,
    /// The node cannot be relied on.
    Stalled {
        /// Since when, on the monotonic clock.
        since_ms: u64,
        /// In what way.
        why: Stall,
    },
    /// It can again, and nothing was missed.
    Resumed {
        /// The tip.
        tip: Position,
    },
}

/// In what way a node cannot be relied on.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Stall {
    /// There is no connection.
    Gone,
    /// It does not answer.
    Silent,
    /// It answers, but its chain has less work than the one it showed before.
    Behind,
    /// It answers, but there are no new blocks.
    NoBlocks,
    /// It answers, but its newest block is not of today.
    Past,
}

impl core::fmt::Display for Stall {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Gone => "there is no connection to the node",
            Self::Silent => "the node does not answer",
            Self::Behind => "the node does not have the blocks that it showed before",
            Self::NoBlocks => "the node has no new blocks",
            Self::Past => "the time in the node's newest block is not near the time of day",
        })
    }
}

/// How things stand with the node.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Status {
    /// Blocks are still coming in.
    Syncing,
    /// The connected tip is the node's, and was so within the stall time.
    Following,
    /// The node cannot be relied on.
    Stalled(Stall),
}

/// What a step brings about, in order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Output {
    /// To be sent.
    Send(ToNode),
    /// To be acted on.
    Fact(Fact),
}

/// A stored block that does not fit the ones before it.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RestoreError {
    /// A header that does not connect or holds no work.
    #[error("stored header {hash} does not follow the stored tip {tip}")]
    Header {
        /// Which.
        hash: BlockHash,
        /// What was stored before.
        tip: BlockHash,
    },
    /// A block that was not the tip when it was disconnected.
    #[error("stored block {hash} was disconnected, but the tip was {tip}")]
    NotTip {
        /// Which.
        hash: BlockHash,
        /// The tip.
        tip: BlockHash,
    },
}
