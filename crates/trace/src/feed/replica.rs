//! The side that follows a tag feed: a checkpoint and bundles of entries in, what the feed says out.
//!
//! Decides whether what is served is what the feed's key signed and extends what was read before. Fetches nothing itself,
//! and believes no file that does not hash to a signed root.

use kuraban_base::{Instant, cbor::CborError};
use kuraban_proof::{
    CheckpointError, EntryBundle, Frontier, Resource, SignedCheckpoint, TreeHead, VerifierKey,
    tile::{TILE_WIDTH, TileError},
    tree::leaf_hash,
};
use sha2::{Digest as _, Sha256};

use super::{
    Standing,
    entry::Entry,
    standing::{Change, Misfit},
    wire::WireError,
};

/// What a snapshot begins with; the last byte is the version.
const MAGIC: [u8; 8] = *b"KBRNFED\x02";
const DIGEST: usize = 32;

/// Two checkpoints by one key, neither of which extends the other: whoever keeps the feed shows different people different
/// feeds. Both are given as they were signed, as evidence.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the feed's key signed two histories: {ours:?} and {theirs:?}; keep both and trust neither")]
pub struct Fork {
    /// The one that was read before.
    pub ours: String,
    /// The one that was served now.
    pub theirs: String,
}

/// Why a replica is as it was before.
#[derive(Debug, thiserror::Error)]
pub enum UpdateError<E> {
    /// No checkpoint by the feed's key.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// An older checkpoint than the one read before.
    #[error("checkpoint of size {theirs} is older than the one of size {ours} that was read before")]
    Older {
        /// The size that was read.
        ours: u64,
        /// The size that is served.
        theirs: u64,
    },
    /// The key signed two histories.
    #[error(transparent)]
    Fork(Box<Fork>),
    /// A bundle could not be read.
    #[error("{path} could not be read")]
    Read {
        /// Which.
        path: String,
        /// Why.
        #[source]
        cause: E,
    },
    /// A bundle is none.
    #[error(transparent)]
    Form(#[from] TileError),
    /// The entries are not those of the checkpoint.
    #[error(
        "entries do not hash to the root of the checkpoint of size {size}; fetch them again, or from elsewhere"
    )]
    Root {
        /// The checkpoint's size.
        size: u64,
    },
    /// An entry that nobody here can read, although it was signed.
    #[error("entry {number}: {source}")]
    Wire {
        /// Its number.
        number: u64,
        /// Why.
        source: WireError,
    },
    /// An entry that contradicts earlier ones, although it was signed.
    #[error("entry {number}: {source}")]
    Misfit {
        /// Its number.
        number: u64,
        /// Why.
        source: Misfit,
    },
}

/// Why a snapshot cannot be used. The feed can be read again from its start.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// Cut or changed, or no snapshot of this version.
    #[error("snapshot of a tag feed: {problem}; remove it, and the feed is read again from its start")]
    Damaged {
        /// What does not fit.
        problem: String,
    },
    /// Its checkpoint is not by the feed's key.
    #[error("snapshot of a tag feed")]
    Checkpoint(#[from] CheckpointError),
}

fn damaged(problem: impl ToString) -> SnapshotError {
    SnapshotError::Damaged { problem: problem.to_string() }
}

/// What an update brought.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Updated {
    /// The size before; entries from this number on are new.
    pub from: u64,
    /// The size now.
    pub to: u64,
}

/// A feed that is being followed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Replica {
    key: VerifierKey,
    /// The last checkpoint, as it was signed; none before the first.
    checkpoint: Option<String>,
    frontier: Frontier,
    standing: Standing,
    /// When the last entry was made, as it says.
    last: Option<Instant>,
}

impl Replica {
    /// A replica that has read nothing; the feed's name is the key's.
    #[must_use]
    pub fn new(key: VerifierKey) -> Self {
        Self { key, checkpoint: None, frontier: Frontier::new(), standing: Standing::default(), last: None }
    }

    /// Size and root of what was read.
    #[must_use]
    pub fn head(&self) -> TreeHead {
        self.frontier.head()
    }

    /// The checkpoint of what was read, as it was signed.
    #[must_use]
    pub fn checkpoint(&self) -> Option<&str> {
        self.checkpoint.as_deref()
    }

    /// The feed's key.
    #[must_use]
    pub const fn key(&self) -> &VerifierKey {
        &self.key
    }

    /// What the feed says.
    #[must_use]
    pub const fn standing(&self) -> &Standing {
        &self.standing
    }

    /// When the last entry that was read was made, as it says.
    #[must_use]
    pub const fn last(&self) -> Option<Instant> {
        self.last
    }

    pub(super) fn into_standing(self) -> Standing {
        self.standing
    }

    /// Reads on to a checkpoint. `read` brings a bundle's bytes; when it fails on a partial one it is asked for the full one.
    /// `on_entry` sees each new entry with its number; what it saw holds only if this returns well.
    ///
    /// # Errors
    /// The checkpoint is not by the feed's key, or older; bundles cannot be read or are not the checkpoint's; an entry does
    /// not fit; or the key signed two histories. The replica is then as before.
    pub fn update<E>(
        &mut self,
        checkpoint: &[u8],
        mut read: impl FnMut(Resource) -> Result<Vec<u8>, E>,
        mut on_entry: impl FnMut(u64, &Entry),
    ) -> Result<Updated, UpdateError<E>> {
        let signed = SignedCheckpoint::open(checkpoint, core::slice::from_ref(&self.key), &[])?;
        let (ours, theirs) = (self.head(), signed.head());
        let text = signed.note().to_string();
        if theirs.size < ours.size {
            return Err(UpdateError::Older { ours: ours.size, theirs: theirs.size });
        }
        if theirs.size == ours.size && theirs.root != ours.root {
            return Err(self.fork(text));
        }
        let mut frontier = self.frontier.clone();
        let mut changes = Vec::new();
        let mut last = self.last;
        let seen = |number, entry: &Entry| {
            last = Some(entry.at);
            on_entry(number, entry);
        };
        let taken = self.take(theirs.size, &mut frontier, &mut changes, &mut read, seen);
        let judged = match taken {
            Ok(()) if frontier.head() == theirs => Ok(()),
            Ok(()) => self.judge(theirs, &text, &mut read).and(Err(UpdateError::Root { size: theirs.size })),
            Err(error @ (UpdateError::Wire { .. } | UpdateError::Misfit { .. })) => {
                self.judge(theirs, &text, &mut read).and(Err(error))
            }
            Err(error) => Err(error),
        };
        if let Err(error) = judged {
            for change in changes.into_iter().rev() {
                self.standing.undo(change);
            }
            return Err(error);
        }
        (self.frontier, self.last) = (frontier, last);
        self.checkpoint = Some(text);
        Ok(Updated { from: ours.size, to: theirs.size })
    }

    fn fork<E>(&self, theirs: String) -> UpdateError<E> {
        UpdateError::Fork(Box::new(Fork { ours: self.checkpoint.clone().unwrap_or_default(), theirs }))
    }

    /// Takes up the entries from ours on to a size, and notes what they changed.
    fn take<E>(
        &mut self,
        size: u64,
        frontier: &mut Frontier,
        changes: &mut Vec<Change>,
        read: &mut impl FnMut(Resource) -> Result<Vec<u8>, E>,
        mut on_entry: impl FnMut(u64, &Entry),
    ) -> Result<(), UpdateError<E>> {
        let from = self.frontier.size();
        for index in from / u64::from(TILE_WIDTH).. {
            let Some(bundle) = EntryBundle::of(size, index).filter(|_| from < size) else { break };
            let bytes = fetch(bundle, read)?;
            for (number, bytes) in (bundle.start()..).zip(bundle.decode(&bytes)?) {
                if number < from {
                    continue;
                }
                frontier.append(leaf_hash(bytes));
                let entry = Entry::decode(bytes).map_err(|source| UpdateError::Wire { number, source })?;
                on_entry(number, &entry);
                let change = self.standing.apply(number, entry);
                changes.push(change.map_err(|source| UpdateError::Misfit { number, source })?);
            }
        }
        Ok(())
    }

    /// Hashes the whole feed again, to tell whoever serves other bytes from whoever signed another history.
    fn judge<E>(
        &self,
        theirs: TreeHead,
        text: &str,
        read: &mut impl FnMut(Resource) -> Result<Vec<u8>, E>,
    ) -> Result<(), UpdateError<E>> {
        let ours = self.head();
        let mut frontier = Frontier::new();
        let mut then = frontier.head();
        for index in 0.. {
            let Some(bundle) = EntryBundle::of(theirs.size, index) else { break };
            let bytes = fetch(bundle, read)?;
            for entry in bundle.decode(&bytes)? {
                frontier.append(leaf_hash(entry));
                if frontier.size() == ours.size {
                    then = frontier.head();
                }
            }
        }
        if frontier.head() != theirs {
            return Err(UpdateError::Root { size: theirs.size });
        }
        if then == ours { Ok(()) } else { Err(self.fork(text.to_owned())) }
    }

    /// What was read, as bytes that [`restore`](Self::restore) reads; a local file and no evidence.
    #[must_use]
    pub fn snapshot(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        let mut put = |bytes: &[u8]| {
            out.extend(u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes());
            out.extend(bytes);
        };
        put(self.checkpoint.as_deref().unwrap_or_default().as_bytes());
        put(&self.frontier.encode());
        put(&self.last.map(|last| last.ms().to_le_bytes()).unwrap_or_default());
        for (number, entry) in self.standing.entries() {
            // What stands was read from entries, and so can be written as one.
            let bytes = entry.encode().unwrap_or_default();
            put(&[&number.to_le_bytes(), bytes.as_slice()].concat());
        }
        let digest = Sha256::digest(&out);
        out.extend(digest);
        out
    }

    /// Goes on from a snapshot.
    ///
    /// # Errors
    /// It is cut, changed, of another version, or of a feed of another key.
    pub fn restore(key: VerifierKey, snapshot: &[u8]) -> Result<Self, SnapshotError> {
        let (body, digest) = snapshot.split_last_chunk::<DIGEST>().ok_or_else(|| damaged("is cut"))?;
        if Sha256::digest(body).as_slice() != digest {
            return Err(damaged("its checksum does not match"));
        }
        let mut rest = body.strip_prefix(&MAGIC).ok_or_else(|| damaged("is of another version"))?;
        let mut replica = Self::new(key);
        let checkpoint = part(&mut rest)?.ok_or_else(|| damaged("has no checkpoint"))?;
        let frontier = part(&mut rest)?.ok_or_else(|| damaged("has no frontier"))?;
        replica.frontier = Frontier::decode(frontier).map_err(|error: CborError| damaged(error))?;
        let last = part(&mut rest)?.ok_or_else(|| damaged("has no time"))?;
        let last = u64::from_le_bytes(last.try_into().map_err(damaged)?);
        replica.last = (replica.frontier.size() > 0).then(|| Instant::from_ms(last));
        if !checkpoint.is_empty() {
            let signed = SignedCheckpoint::open(checkpoint, core::slice::from_ref(&replica.key), &[])?;
            replica.checkpoint = Some(signed.note().to_string());
            if signed.head() != replica.head() {
                return Err(damaged("its frontier is not its checkpoint's"));
            }
        }
        while let Some(bytes) = part(&mut rest)? {
            let (number, bytes) = bytes.split_first_chunk().ok_or_else(|| damaged("has a short entry"))?;
            let entry = Entry::decode(bytes).map_err(damaged)?;
            replica.standing.apply(u64::from_le_bytes(*number), entry).map_err(damaged)?;
        }
        Ok(replica)
    }
}

/// The next part after its length; nothing at the end.
fn part<'a>(rest: &mut &'a [u8]) -> Result<Option<&'a [u8]>, SnapshotError> {
    if rest.is_empty() {
        return Ok(None);
    }
    let cut = || damaged("ends inside a part");
    let (length, after) = rest.split_first_chunk().ok_or_else(cut)?;
    let length = usize::try_from(u32::from_le_bytes(*length)).map_err(damaged)?;
    let (part, after) = after.split_at_checked(length).ok_or_else(cut)?;
    *rest = after;
    Ok(Some(part))
}

/// A bundle's bytes, cut from the full one where the partial one is gone.
fn fetch<E>(
    bundle: EntryBundle,
    read: &mut impl FnMut(Resource) -> Result<Vec<u8>, E>,
) -> Result<Vec<u8>, UpdateError<E>> {
    let resource = Resource::Entries(bundle);
    match (read(resource), resource.fallback()) {
        (Ok(bytes), _) => Ok(bytes),
        (Err(cause), Some(full)) => match read(full) {
            Ok(bytes) => Ok(resource.cut(bytes)?),
            Err(_) => Err(UpdateError::Read { path: resource.to_string(), cause }),
        },
        (Err(cause), None) => Err(UpdateError::Read { path: resource.to_string(), cause }),
    }
}
