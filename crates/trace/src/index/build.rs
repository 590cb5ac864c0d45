//! Fills an index from block files or a node: chooses the chain, takes off what is not on it, appends what is missing.
//!
//! Decides when to commit. One thread reads and hashes blocks ahead, one appends them.

use std::{
    path::Path,
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread,
    time::{Duration, Instant},
};

use kuraban_base::Height;
use kuraban_chain::btc::{BlockHash, Network};

use super::{
    AppendError, FileError, Index, OpenError, Prepared, RollbackError, Start, Writer,
    branch::{self, BranchError, Plan},
    head::HEAD,
    source::{Blocks, Entry, SourceError},
};
use crate::graph::Graph as _;

/// Blocks that are read ahead.
const AHEAD_BLOCKS: usize = 32;
/// Bytes of blocks after which what was appended is committed, if nobody says otherwise.
pub const COMMIT_BYTES: u64 = 256 << 20;

/// After a commit, so many times as long as it took is appended before the next: on a slow disk, a large index would
/// otherwise do nothing but commit.
const COMMIT_REST: u32 = 5;

/// Why an index could not be filled. What was appended before stays.
#[derive(Debug, thiserror::Error)]
pub enum FillError {
    /// The blocks at hand make no chain.
    #[error(transparent)]
    Branch(#[from] BranchError),
    /// A file of blocks cannot be read, or holds something else.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The index cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// A block does not fit.
    #[error("block at height {} cannot be appended", height.blocks())]
    Append {
        /// Where it was to stand.
        height: Height,
        /// Why not.
        #[source]
        source: AppendError,
    },
    /// Blocks cannot be taken off.
    #[error(transparent)]
    Rollback(#[from] RollbackError),
    /// A file of the index cannot be written.
    #[error(transparent)]
    File(#[from] FileError),
    /// The first block of a partial index does not say its height.
    #[error("block {block} does not say its height; say it")]
    Height {
        /// The block.
        block: BlockHash,
    },
}

/// How a new index begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Begin {
    /// With the chain's first block.
    Genesis,
    /// With the first block at hand, whatever is before; at this height, or else the one that the block says.
    Partial(Option<Height>),
}

/// How blocks are appended.
pub struct Pace<'a> {
    /// Bytes of blocks after which what was appended is committed; later where commits take long.
    pub commit_bytes: u64,
    /// Called after every block.
    pub progress: &'a mut dyn FnMut(Progress),
}

/// How far it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Progress {
    /// Blocks appended.
    pub blocks: u64,
    /// Blocks to append.
    pub blocks_of: u64,
    /// Bytes of blocks appended.
    pub bytes: u64,
    /// Bytes to append; 0 where that is not known.
    pub bytes_of: u64,
    /// Height of the last block.
    pub height: Height,
}

/// What filling did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Outcome {
    /// Blocks appended.
    pub appended: u64,
    /// Blocks taken off first.
    pub taken_off: u64,
    /// Blocks on other branches.
    pub aside: u64,
    /// Blocks without a connection to the chain, older than its last.
    pub unconnected: u64,
}

/// Makes an index from the blocks of a source, or goes on with one that was begun in this folder.
///
/// # Errors
/// The blocks make no chain, one of them is not whole or does not fit, or files cannot be used.
pub fn build(
    folder: &Path,
    source: &impl Blocks,
    begin: Begin,
    pace: Pace<'_>,
) -> Result<(Index, Outcome), FillError> {
    let network = source.network();
    if folder.join(HEAD).exists() {
        let writer = Writer::open(folder)?;
        let found = writer.index().network();
        if found != network {
            let folder = folder.to_owned();
            return Err(OpenError::Network { folder, found, want: network }.into());
        }
        if writer.index().tip().is_some() {
            return onto(writer, source, pace);
        }
    }
    let (plan, start) = match begin {
        Begin::Genesis => (branch::choose(network, source.entries())?, Start::GENESIS),
        Begin::Partial(height) => {
            let (plan, before) = branch::choose_partial(source.entries())?;
            (plan.clone(), Start { height: first_height(source, &plan, height)?, before })
        }
    };
    fill(Writer::create(folder, network, start)?, source, &plan, pace)
}

/// Makes an index from the blocks of a node, or brings one that is there to the node's chain. `node` gives the node's blocks
/// from those on that the index does not have; it is told what the index has, if there is one.
///
/// # Errors
/// As [`build`], and what `node` says.
pub fn follow<B: Blocks>(
    folder: &Path,
    network: Network,
    node: impl FnOnce(Option<&Index>) -> Result<B, SourceError>,
    pace: Pace<'_>,
) -> Result<(Index, Outcome), FillError> {
    if !folder.join(HEAD).exists() {
        return build(folder, &node(None)?, Begin::Genesis, pace);
    }
    let writer = Writer::open(folder)?;
    let found = writer.index().network();
    if found != network {
        return Err(OpenError::Network { folder: folder.to_owned(), found, want: network }.into());
    }
    if writer.index().tip().is_none() {
        drop(writer);
        return build(folder, &node(None)?, Begin::Genesis, pace);
    }
    let source = node(Some(writer.index()))?;
    onto(writer, &source, pace)
}

/// Brings an index that is held open to the blocks of a source that lead to more work, and commits. `taken` is called after
/// each block that was appended; blocks that left the chain are off the index by then.
///
/// # Errors
/// As [`build`]. What was appended before stays.
pub fn extend(
    writer: &mut Writer,
    source: &impl Blocks,
    mut taken: impl FnMut(&Prepared, &Index),
) -> Result<Outcome, FillError> {
    let entries = source.entries();
    let mut last = writer.index().last_hash();
    let mut follows = |entry: &Entry| core::mem::replace(&mut last, entry.hash) == entry.header.prev;
    let plan = if entries.iter().all(&mut follows) {
        // The common case, which need not look at the whole chain.
        Plan { keep: None, append: (0..entries.len()).collect(), aside: 0, known: 0, unconnected: 0 }
    } else {
        branch::choose_onto(writer.index(), entries)?
    };
    let before = writer.index().counts().blocks;
    if let Some(height) = plan.keep {
        writer.rollback(height)?;
    }
    let kept = writer.index().counts().blocks;
    let mut append = |place: usize| {
        let block = source.read(place)?;
        let height = writer.index().next_height();
        writer.append(&block).map_err(|source| FillError::Append { height, source })?;
        taken(&block, writer.index());
        Ok(())
    };
    let appended = plan.append.iter().try_for_each(|place| append(*place));
    if writer.is_abandoned() {
        let folder = writer.index().folder().to_owned();
        return Err(appended.err().unwrap_or(FileError::Abandoned { folder }.into()));
    }
    writer.commit()?;
    appended.map(|()| Outcome {
        appended: writer.index().counts().blocks - kept,
        taken_off: before - kept,
        aside: plan.aside,
        unconnected: plan.unconnected,
    })
}

/// Extends an index with the blocks of a source that lead to more work than it has; blocks that are not on that branch
/// are taken off first.
///
/// # Errors
/// As [`build`].
pub fn add(folder: &Path, source: &impl Blocks, pace: Pace<'_>) -> Result<(Index, Outcome), FillError> {
    let writer = Writer::open(folder)?;
    onto(writer, source, pace)
}

fn onto(writer: Writer, source: &impl Blocks, pace: Pace<'_>) -> Result<(Index, Outcome), FillError> {
    let plan = branch::choose_onto(writer.index(), source.entries())?;
    fill(writer, source, &plan, pace)
}

fn first_height(source: &impl Blocks, plan: &Plan, said: Option<Height>) -> Result<Height, FillError> {
    let place = *plan.append.first().ok_or(BranchError::Nothing)?;
    if let Some(height) = said {
        return Ok(height);
    }
    let block = source.read(place)?;
    block.stated_height().ok_or(FillError::Height { block: block.hash() })
}

fn fill(
    mut writer: Writer,
    source: &impl Blocks,
    plan: &Plan,
    pace: Pace<'_>,
) -> Result<(Index, Outcome), FillError> {
    let before = writer.index().counts().blocks;
    if let Some(height) = plan.keep {
        writer.rollback(height)?;
    }
    let kept = writer.index().counts().blocks;
    let filled = append_all(&mut writer, source, &plan.append, pace);
    if writer.is_abandoned() {
        let folder = writer.index().folder().to_owned();
        return Err(filled.err().unwrap_or(FileError::Abandoned { folder }.into()));
    }
    // What was appended before a failure of any other kind is good and stays.
    let outcome = Outcome {
        appended: writer.index().counts().blocks - kept,
        taken_off: before - kept,
        aside: plan.aside,
        unconnected: plan.unconnected,
    };
    let folder = writer.index().folder().to_owned();
    writer.close()?;
    filled?;
    Ok((Index::open(&folder)?, outcome))
}

fn append_all(
    writer: &mut Writer,
    source: &impl Blocks,
    places: &[usize],
    pace: Pace<'_>,
) -> Result<(), FillError> {
    let entries = places.iter().filter_map(|place| source.entries().get(*place));
    let total =
        Total { blocks: super::column::wide(places.len()), bytes: entries.map(|entry| entry.bytes).sum() };
    thread::scope(|scope| {
        let (sender, receiver) = sync_channel(AHEAD_BLOCKS);
        scope.spawn(move || read_ahead(source, places, &sender));
        append_received(writer, receiver, total, pace)
    })
}

fn read_ahead(source: &impl Blocks, places: &[usize], sender: &SyncSender<Result<Prepared, SourceError>>) {
    for place in places {
        let block = source.read(*place);
        let failed = block.is_err();
        // Nobody receives any more after a failure there.
        if sender.send(block).is_err() || failed {
            return;
        }
    }
}

/// What is to be appended.
#[derive(Clone, Copy)]
struct Total {
    blocks: u64,
    bytes: u64,
}

fn append_received(
    writer: &mut Writer,
    receiver: Receiver<Result<Prepared, SourceError>>,
    total: Total,
    pace: Pace<'_>,
) -> Result<(), FillError> {
    let (mut bytes, mut committed) = (0_u64, 0_u64);
    let (mut since, mut took) = (Instant::now(), Duration::ZERO);
    for (block, blocks) in receiver.into_iter().zip(1..) {
        let block = block?;
        let height = writer.index().next_height();
        writer.append(&block).map_err(|source| FillError::Append { height, source })?;
        bytes += super::column::wide(block.bytes().len());
        if bytes - committed >= pace.commit_bytes && since.elapsed() >= took * COMMIT_REST {
            let start = Instant::now();
            writer.commit()?;
            (since, took) = (Instant::now(), start.elapsed());
            committed = bytes;
        }
        let Total { blocks: blocks_of, bytes: bytes_of } = total;
        (pace.progress)(Progress { blocks, blocks_of, bytes, bytes_of, height });
    }
    Ok(())
}

/// Whether a folder holds an index of a network; nothing where there is none.
///
/// # Errors
/// Its head cannot be read.
pub fn network_of(folder: &Path) -> Result<Network, OpenError> {
    Ok(super::head::Head::read(folder)?.network)
}
