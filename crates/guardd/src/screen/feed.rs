//! Follows a tag feed: asks its upstream for a checkpoint now and again, verifies what is new, keeps a copy for others,
//! and publishes what it says.
//!
//! Only carries: what a feed may say, and whether two histories were signed, is decided by [`kuraban_trace::feed`]. What
//! was verified is kept now and again, with the signed head that it was verified against; a start goes on from there,
//! and verifies the copy on disk from its beginning where that does not hold. Once the key has signed two histories nothing
//! more is taken up until a person has looked.

mod fetch;
mod live;
mod shelf;

use std::{
    convert::Infallible,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU8, AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use kuraban_base::Instant;
use kuraban_proof::{
    EntryBundle, Resource, TreeHead, VerifierKey,
    tile::{TILE_WIDTH, encode_bundle},
    tree::leaf_hash,
};
use kuraban_trace::feed::{Body, Entry, Replica, UpdateError};

pub(super) use self::live::{Live, LiveTag};
pub(crate) use self::shelf::{Shelf, ShelfError};
use self::{
    fetch::{FetchError, Fetched, Upstream},
    live::Tags,
};
use super::desk::Desk;
use crate::{clock, log};

/// So many new entries, or a quarter of the tags that stand if that is more, before what was verified is kept again: it is
/// written as a whole.
const KEPT_ENTRIES_MIN: u64 = 1_000;
/// The longest pause between two questions while the upstream does not answer.
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// What is followed.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    /// Before `/checkpoint` and `/tile/`.
    pub(super) url: String,
    /// Whose signature counts.
    pub(super) key: VerifierKey,
    /// Where the copy is kept.
    pub(super) folder: PathBuf,
    /// Pause between two questions.
    pub(super) poll: Duration,
}

/// How it stands with the upstream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum State {
    /// Before the first answer, and when it does not answer.
    Silent,
    /// It answers and all fits.
    Following,
    /// What it answers does not fit its checkpoint, or is malformed.
    Refused,
    /// Its key signed two histories.
    Forked,
}

impl State {
    const ALL: [Self; 4] = [Self::Silent, Self::Following, Self::Refused, Self::Forked];

    /// Its name in answers.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Silent => "silent",
            Self::Following => "following",
            Self::Refused => "refused",
            Self::Forked => "forked",
        }
    }

    /// Its number in metrics.
    pub(super) const fn number(self) -> u8 {
        match self {
            Self::Silent => 0,
            Self::Following => 1,
            Self::Refused => 2,
            Self::Forked => 3,
        }
    }
}

/// What changes without new entries.
#[derive(Debug, Default)]
pub(super) struct Status {
    state: AtomicU8,
    /// When the upstream last confirmed what is known; 0 before the first time.
    checked_ms: AtomicU64,
}

impl Status {
    pub(super) fn state(&self) -> State {
        let number = self.state.load(Ordering::Relaxed);
        State::ALL.into_iter().find(|state| state.number() == number).unwrap_or(State::Silent)
    }

    pub(super) fn checked_ms(&self) -> Option<u64> {
        Some(self.checked_ms.load(Ordering::Relaxed)).filter(|checked_ms| *checked_ms > 0)
    }

    fn set(&self, state: State) {
        self.state.store(state.number(), Ordering::Relaxed);
    }
}

/// Why a feed is not taken up at the start, or not further.
#[derive(Debug, thiserror::Error)]
pub enum FeedError {
    /// The copy cannot be read or written.
    #[error(transparent)]
    Shelf(#[from] ShelfError),
    /// The copy on disk is not what was verified.
    #[error(
        "the copy of the feed in {folder} does not hold; move it away, and the feed is read from its beginning"
    )]
    Copy {
        /// Where.
        folder: String,
        /// Why.
        #[source]
        source: Box<UpdateError<ShelfError>>,
    },
    /// The upstream does not answer.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// What the upstream answers is not taken up.
    #[error("the feed was not taken up")]
    Update(#[source] Box<UpdateError<FetchError>>),
    /// Tiles that are not the feed's.
    #[error("the copy of the feed lacks what its checkpoint says; move it away")]
    Tiles,
}

/// A feed and its copy.
pub(super) struct Follower {
    settings: Settings,
    upstream: Upstream,
    shelf: Arc<Shelf>,
    replica: Replica,
    tags: Tags,
    status: Arc<Status>,
    forked: bool,
    /// What the copy on disk has.
    kept: TreeHead,
    /// The size of the feed when what was verified was kept last.
    snapshot_size: u64,
    /// Whether the tags lack what an update brought whose copy could not be kept.
    stale: bool,
}

impl Follower {
    /// Goes on from what was verified before, or else from the copy on disk, which is verified from its beginning.
    ///
    /// # Errors
    /// It cannot be read, or does not hold.
    pub(super) fn open(settings: Settings) -> Result<Self, FeedError> {
        let shelf = Arc::new(Shelf::open(&settings.folder)?);
        let (replica, snapshot_size) = taken_up(&settings, &shelf)?;
        let status = Arc::new(Status::default());
        let forked = shelf.forked()?;
        if forked {
            status.set(State::Forked);
        }
        let tags = Tags::of(replica.standing(), replica.last().map(Instant::ms));
        let (upstream, kept) = (Upstream::new(&settings.url), replica.head());
        Ok(Self {
            settings,
            upstream,
            shelf,
            replica,
            tags,
            status,
            forked,
            kept,
            snapshot_size,
            stale: false,
        })
    }

    /// What it says now.
    pub(super) fn live(&self) -> Live {
        let checkpoint = self.replica.checkpoint().map(str::to_owned);
        let origin = self.replica.key().name().to_string();
        self.tags.published(origin, self.replica.head(), checkpoint, &self.status, &self.shelf)
    }

    /// Follows for ever.
    pub(super) fn follow(mut self, desk: &Desk) -> Infallible {
        let mut pause = self.settings.poll;
        let mut told = String::new();
        loop {
            match self.poll(desk) {
                Ok(()) => {
                    (pause, told) = (self.settings.poll, String::new());
                }
                Err(problem) => {
                    let text = log::told(&problem);
                    // The same trouble again and again is told once.
                    if text != told {
                        tracing::warn!(state = self.status.state().name(), problem = text, "feed-not-read");
                        told = text;
                    }
                    pause = pause.saturating_mul(2).min(PAUSE_MAX.max(self.settings.poll));
                }
            }
            thread::sleep(jittered(pause));
        }
    }

    /// Asks once.
    fn poll(&mut self, desk: &Desk) -> Result<(), FeedError> {
        if self.forked {
            return Ok(());
        }
        let fetched = self.upstream.checkpoint();
        let checkpoint = match fetched {
            Ok(Fetched::Same) => {
                self.confirmed();
                return Ok(());
            }
            Ok(Fetched::New { bytes, tag }) => {
                let taken = self.take(&bytes, desk);
                if let Err(problem) = &taken {
                    self.status.set(if self.forked { State::Forked } else { state_after(problem) });
                }
                taken?;
                tag
            }
            Err(problem) => {
                self.status.set(State::Silent);
                return Err(problem.into());
            }
        };
        // Only what was taken up is not asked for again.
        self.upstream.remember(checkpoint);
        self.confirmed();
        Ok(())
    }

    fn confirmed(&self) {
        self.status.checked_ms.store(clock::wall().ms(), Ordering::Relaxed);
        self.status.set(State::Following);
    }

    fn take(&mut self, checkpoint: &[u8], desk: &Desk) -> Result<(), FeedError> {
        let (shelf, upstream) = (&self.shelf, &self.upstream);
        let read = |resource: Resource| match shelf.waiting(resource) {
            Some(bytes) => Ok(bytes),
            None => upstream.resource(resource).inspect(|bytes| shelf.wait(resource, bytes)),
        };
        let mut touched = Touched::default();
        let updated = self.replica.update(checkpoint, read, |number, entry| touched.see(number, entry));
        if let Err(problem) = updated {
            return Err(self.refused(problem));
        }
        let (before, head) = (self.kept, self.replica.head());
        let known = || self.shelf.checkpoint().ok().flatten();
        if head == before && !self.stale && known().is_some_and(|known| known == checkpoint) {
            return Ok(());
        }
        let kept = self.keep(before, head);
        self.stale |= kept.is_err();
        kept?;
        self.kept = head;
        let at_ms = self.replica.last().map(Instant::ms);
        if core::mem::take(&mut self.stale) {
            self.tags = Tags::of(self.replica.standing(), at_ms);
        } else {
            self.tags.change(self.replica.standing(), &touched.numbers, touched.closed, at_ms);
        }
        let live = Arc::new(self.live());
        let (size, tags) = (head.size, live.tags);
        // Before anybody can see the new size beside the old state.
        self.confirmed();
        desk.change(|now| now.with_live(live));
        tracing::info!(size, tags, from = before.size, "feed-taken-up");
        self.keep_snapshot(tags);
        Ok(())
    }

    /// Keeps what was verified, if there is much more than was kept. Without it a start takes longer, and nothing else.
    fn keep_snapshot(&mut self, tags: usize) {
        let size = self.kept.size;
        let due = KEPT_ENTRIES_MIN.max(u64::try_from(tags).unwrap_or(u64::MAX) / 4);
        if size.saturating_sub(self.snapshot_size) < due {
            return;
        }
        match self.shelf.put_snapshot(&self.replica) {
            Ok(()) => {
                self.snapshot_size = size;
                tracing::info!(size, "snapshot-kept");
            }
            Err(problem) => tracing::warn!(problem = log::told(&problem), "snapshot-not-kept"),
        }
    }

    fn refused(&mut self, problem: UpdateError<FetchError>) -> FeedError {
        if let UpdateError::Fork(fork) = &problem {
            self.forked = true;
            tracing::error!(ours = fork.ours, theirs = fork.theirs, "feed-forked");
            if let Err(problem) = self.shelf.fork(&fork.ours, &fork.theirs) {
                tracing::error!(problem = log::told(&problem), "fork-not-kept");
            }
        } else {
            // What did not fit may have been what waited.
            self.shelf.forget();
        }
        FeedError::Update(Box::new(problem))
    }

    /// Puts verified entries and their tiles on the shelf, then the checkpoint.
    fn keep(&self, before: TreeHead, head: TreeHead) -> Result<(), FeedError> {
        let mut tiler = self.shelf.tiler(before)?;
        for index in before.size / u64::from(TILE_WIDTH).. {
            let Some(bundle) = EntryBundle::of(head.size, index).filter(|_| before.size < head.size) else {
                break;
            };
            let resource = Resource::Entries(bundle);
            let bytes = self.verified(resource)?;
            let entries = bundle.decode(&bytes).map_err(|_| FeedError::Tiles)?;
            let new = (bundle.start()..).zip(&entries).filter(|(number, _)| *number >= before.size);
            let leaves: Vec<_> = new.map(|(_, entry)| leaf_hash(entry)).collect();
            for part in tiler.extend(leaves) {
                self.shelf.put(Resource::Tile(part.tile), &part.bytes)?;
            }
            let bytes = encode_bundle(&entries).map_err(|_| FeedError::Tiles)?;
            self.shelf.put(resource, &bytes)?;
        }
        if tiler.head() != head {
            return Err(FeedError::Tiles);
        }
        self.shelf.put_checkpoint(self.replica.checkpoint().unwrap_or_default())?;
        self.shelf.forget();
        Ok(())
    }

    /// The bytes that the replica has verified: they waited, or the full bundle did, or they are on the shelf.
    fn verified(&self, resource: Resource) -> Result<Vec<u8>, FeedError> {
        if let Some(bytes) = self.shelf.waiting(resource) {
            return Ok(bytes);
        }
        if let Some(bytes) = resource.fallback().and_then(|full| self.shelf.waiting(full)) {
            return resource.cut(bytes).map_err(|_| FeedError::Tiles);
        }
        Ok(self.shelf.read(resource)?)
    }
}

/// What the copy on disk says, and the size from which on it was verified now.
fn taken_up(settings: &Settings, shelf: &Shelf) -> Result<(Replica, u64), FeedError> {
    let fresh = || Replica::new(settings.key.clone());
    let Some(checkpoint) = shelf.checkpoint()? else { return Ok((fresh(), 0)) };
    let read = |resource| shelf.read(resource);
    if let Some(mut replica) = shelf.snapshot(&settings.key) {
        let from = replica.head().size;
        match replica.update(&checkpoint, read, |_, _| {}) {
            Ok(updated) => {
                tracing::info!(size = updated.to, from, "feed-resumed");
                return Ok((replica, from));
            }
            Err(UpdateError::Fork(fork)) => {
                tracing::error!(ours = fork.ours, theirs = fork.theirs, "feed-forked");
                shelf.fork(&fork.ours, &fork.theirs)?;
            }
            // What the copy lacks or has otherwise shows when all of it is verified.
            Err(problem) => tracing::warn!(problem = log::told(&problem), "snapshot-not-used"),
        }
    }
    let mut replica = fresh();
    let updated = replica.update(&checkpoint, read, |_, _| {}).map_err(|source| FeedError::Copy {
        folder: settings.folder.display().to_string(),
        source: Box::new(source),
    })?;
    tracing::info!(size = updated.to, from = 0, "feed-resumed");
    Ok((replica, 0))
}

/// What an upstream's mistake means.
fn state_after(problem: &FeedError) -> State {
    match problem {
        FeedError::Update(problem) => match problem.as_ref() {
            UpdateError::Read { .. } => State::Silent,
            UpdateError::Fork(_) => State::Forked,
            UpdateError::Checkpoint(_)
            | UpdateError::Older { .. }
            | UpdateError::Form(_)
            | UpdateError::Root { .. }
            | UpdateError::Wire { .. }
            | UpdateError::Misfit { .. } => State::Refused,
        },
        FeedError::Fetch(_) => State::Silent,
        FeedError::Shelf(_) | FeedError::Copy { .. } | FeedError::Tiles => State::Refused,
    }
}

/// Which tags new entries speak of.
#[derive(Default)]
struct Touched {
    numbers: Vec<u64>,
    closed: bool,
}

impl Touched {
    fn see(&mut self, number: u64, entry: &Entry) {
        match &entry.body {
            Body::Tag(_) => self.numbers.push(number),
            Body::Confirmed { tags, .. } | Body::Revoked { tags, .. } => self.numbers.extend(tags),
            Body::Appealed { tag, .. } => self.numbers.push(*tag),
            Body::Closed { .. } => self.closed = true,
            Body::Opened(_) | Body::Heartbeat { .. } => {}
        }
    }
}

/// A pause of 75 to 125 per cent, so that replicas do not ask all at once.
fn jittered(pause: Duration) -> Duration {
    let mut byte = [128];
    if getrandom::getrandom(&mut byte).is_err() {
        return pause;
    }
    let [byte] = byte;
    pause.saturating_mul(u32::from(byte).saturating_add(384)) / 512
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_vary_by_a_quarter() {
        let pauses: Vec<Duration> = (0..1_000).map(|_| jittered(Duration::from_secs(4))).collect();
        assert!(pauses.iter().all(|pause| (3_000..5_000).contains(&pause.as_millis())));
        let (least, most) = (pauses.iter().min().unwrap(), pauses.iter().max().unwrap());
        assert!(most.checked_sub(*least).unwrap() > Duration::from_secs(1));
    }
}
