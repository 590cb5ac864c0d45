//! The side that keeps a tag feed: entries in, files and a head to sign out.
//!
//! Decides whether entries fit those before them. Writes nothing itself: the caller puts the files out, then signs the
//! head, then puts the checkpoint out, and never signs a head that does not extend the last.

use kuraban_proof::{
    CheckpointError, NoteSigner, Resource, SignedCheckpoint, Tile, Tiler, TreeHead,
    tile::{BundleError, EntryBundle, NodeError, TileError, encode_bundle},
    tree::leaf_hash,
};

use super::{
    Replica, Standing,
    entry::Entry,
    standing::{Change, Misfit},
    wire::WireError,
};

/// Most entries that are appended in one step.
pub const APPEND_MAX: usize = 1_000_000;

/// Why nothing was appended.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// More entries than one step takes.
    #[error("{got} entries at once, want at most {max}", max = APPEND_MAX)]
    Many {
        /// How many.
        got: usize,
    },
    /// An entry that cannot be written.
    #[error("entry {place} of those to append: {source}")]
    Wire {
        /// Its place among them, from zero.
        place: usize,
        /// Why.
        source: WireError,
    },
    /// An entry that does not fit those before it.
    #[error("entry {place} of those to append: {source}")]
    Misfit {
        /// Its place among them, from zero.
        place: usize,
        /// Why.
        source: Misfit,
    },
    /// Entries that fit no bundle.
    #[error(transparent)]
    Bundle(#[from] BundleError),
}

/// Why a feed cannot be taken up where it ended.
#[derive(Debug, thiserror::Error)]
pub enum ResumeError<E> {
    /// A tile could not be read.
    #[error("tiles of the feed")]
    Tile(#[source] NodeError<E>),
    /// The open bundle could not be read.
    #[error("{path} could not be read")]
    Bundle {
        /// Which.
        path: String,
        /// Why.
        #[source]
        cause: E,
    },
    /// The open bundle is none.
    #[error(transparent)]
    Form(#[from] TileError),
    /// Tiles or bundle are not those of the checkpoint.
    #[error(
        "tiles and entries are not those of the feed's checkpoint of size {size}; restore them from a replica"
    )]
    Differ {
        /// The checkpoint's size.
        size: u64,
    },
}

/// What was appended: files to put out, and then a head to sign.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Growth {
    /// The number of the first new entry; the others follow.
    pub first: u64,
    /// Bundles and tiles that are new or wider than before, by their names below the feed's address.
    pub files: Vec<(Resource, Vec<u8>)>,
    /// The new size and root.
    pub head: TreeHead,
}

impl Growth {
    /// The checkpoint to put out once every file is there.
    ///
    /// # Errors
    /// As [`SignedCheckpoint::sign`].
    pub fn sign(&self, log: &NoteSigner) -> Result<SignedCheckpoint, CheckpointError> {
        SignedCheckpoint::sign(log, self.head)
    }
}

/// A feed that is being kept.
#[derive(Debug, Default)]
pub struct Feed {
    tiler: Tiler,
    /// The entries of the bundle that is not full.
    open: Vec<Vec<u8>>,
    standing: Standing,
}

impl Feed {
    /// A feed without entries.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Goes on after what a replica of the same feed has read; `read` brings the open tiles and the open bundle.
    ///
    /// # Errors
    /// A file cannot be read, or is not the checkpoint's.
    pub fn resume<E>(
        replica: Replica,
        mut read: impl FnMut(Resource) -> Result<Vec<u8>, E>,
    ) -> Result<Self, ResumeError<E>> {
        let head = replica.head();
        let tiler = Tiler::resume(head.size, |tile: Tile| Resource::Tile(tile).read(&mut read));
        let tiler = tiler.map_err(ResumeError::Tile)?;
        let full = head.size / u64::from(kuraban_proof::tile::TILE_WIDTH);
        let mut open = Vec::new();
        if let Some(bundle) = EntryBundle::of(head.size, full) {
            let resource = Resource::Entries(bundle);
            let bytes = resource.read(&mut read);
            let bytes = bytes.map_err(|cause| ResumeError::Bundle { path: resource.to_string(), cause })?;
            open = bundle.decode(&bytes)?.into_iter().map(<[u8]>::to_vec).collect();
        }
        let tile = tiler.partial().into_iter().find(|part| part.tile.level() == 0);
        let want = tile.map(|part| part.bytes).unwrap_or_default();
        let found: Vec<u8> = open.iter().flat_map(|entry| *leaf_hash(entry).as_bytes()).collect();
        if tiler.head() != head || found != want {
            return Err(ResumeError::Differ { size: head.size });
        }
        Ok(Self { tiler, open, standing: replica.into_standing() })
    }

    /// Appends all of the entries or none of them.
    ///
    /// # Errors
    /// An entry that cannot be written or does not fit those before it; nothing has changed then.
    pub fn append(&mut self, entries: Vec<Entry>) -> Result<Growth, AppendError> {
        if entries.len() > APPEND_MAX {
            return Err(AppendError::Many { got: entries.len() });
        }
        let first = self.tiler.size();
        let mut changes = Vec::new();
        let written = self.write(first, entries, &mut changes);
        if written.is_err() {
            for change in changes.into_iter().rev() {
                self.standing.undo(change);
            }
        }
        let written = written?;
        let tiles = self.tiler.extend(written.iter().map(|entry| leaf_hash(entry)));
        let mut files = self.bundles(first, written)?;
        files.extend(tiles.into_iter().map(|part| (Resource::Tile(part.tile), part.bytes)));
        Ok(Growth { first, files, head: self.tiler.head() })
    }

    fn write(
        &mut self,
        first: u64,
        entries: Vec<Entry>,
        changes: &mut Vec<Change>,
    ) -> Result<Vec<Vec<u8>>, AppendError> {
        let mut written = Vec::with_capacity(entries.len());
        for (place, (number, entry)) in (first..).zip(entries).enumerate() {
            written.push(entry.encode().map_err(|source| AppendError::Wire { place, source })?);
            let change = self.standing.apply(number, entry);
            changes.push(change.map_err(|source| AppendError::Misfit { place, source })?);
        }
        Ok(written)
    }

    /// The bundles that grew. Entries were measured when they were written, so that each fits.
    fn bundles(
        &mut self,
        first: u64,
        written: Vec<Vec<u8>>,
    ) -> Result<Vec<(Resource, Vec<u8>)>, BundleError> {
        let width = usize::from(kuraban_proof::tile::TILE_WIDTH);
        let grew = !written.is_empty();
        self.open.extend(written);
        let mut files = Vec::new();
        for index in first / u64::from(kuraban_proof::tile::TILE_WIDTH).. {
            let Some(bundle) = EntryBundle::of(self.tiler.size(), index).filter(|_| grew) else { break };
            let count = self.open.len().min(width);
            files.push((
                Resource::Entries(bundle),
                encode_bundle(self.open.get(..count).unwrap_or_default())?,
            ));
            if count < width {
                break;
            }
            self.open.drain(..width);
        }
        Ok(files)
    }

    /// How many entries there are.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.tiler.size()
    }

    /// Size and root.
    #[must_use]
    pub fn head(&self) -> TreeHead {
        self.tiler.head()
    }

    /// What it says.
    #[must_use]
    pub const fn standing(&self) -> &Standing {
        &self.standing
    }
}
