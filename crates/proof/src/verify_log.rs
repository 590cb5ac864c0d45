//! Verifies a whole log: hashes every entry again and compares every tile and the root.
//!
//! Decides whether what is served is what the checkpoint says. Streams over the bundles: memory does not grow
//! with the log. It fetches nothing itself, and what the entries mean is the caller's business.

use kuraban_base::TreeHash;

use crate::{
    tile::{EntryBundle, NodeError, Resource, TILE_WIDTH, Tile, TileError},
    tiler::{TileBytes, Tiler},
    tree::{TreeHead, leaf_hash},
};

/// A log that is not what its checkpoint says.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum VerifyError<E> {
    /// The size to start from lies beyond the checkpoint.
    #[error("size {from} lies beyond the checkpoint's size {size}")]
    Beyond {
        /// Where to start.
        from: u64,
        /// The checkpoint's size.
        size: u64,
    },
    /// A tile or bundle could not be read.
    #[error("{path} could not be read")]
    Read {
        /// Which.
        path: String,
        /// Why.
        #[source]
        cause: E,
    },
    /// A tile or bundle is malformed.
    #[error(transparent)]
    Malformed(#[from] TileError),
    /// A tile has other hashes than the entries give.
    #[error("{path} differs from the entries at its hash {at}")]
    Tile {
        /// Which.
        path: String,
        /// The place in the tile, from zero.
        at: usize,
    },
    /// The entries lead to another root.
    #[error("entries lead to root {found} at size {size}, the checkpoint says {want}")]
    Root {
        /// The size.
        size: u64,
        /// Where the entries lead.
        found: TreeHash,
        /// What the checkpoint says.
        want: TreeHash,
    },
}

/// What was verified.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Counts {
    /// Entries hashed.
    pub entries: u64,
    /// Bundles read.
    pub bundles: u64,
    /// Tiles compared.
    pub tiles: u64,
    /// Bytes of bundles and tiles.
    pub bytes: u64,
    /// The head at the size where the caller's trust began: whoever kept it from then can compare.
    pub from: TreeHead,
}

/// Verifies that bundles and tiles are those of the tree that a verified checkpoint names.
///
/// `from` is zero, or a size from which on to verify: entries in bundles before it are then not read, and tiles
/// full before it only so far as the root depends on them. `read` brings a resource's bytes; when it fails on a
/// partial one it is asked for the full one. `on_entry` sees each entry with its number, for progress and for
/// looking into it.
///
/// # Errors
/// The first thing that is not as the checkpoint says, or could not be read.
pub fn verify_log<E>(
    head: TreeHead,
    from: u64,
    read: impl FnMut(Resource) -> Result<Vec<u8>, E>,
    on_entry: impl FnMut(u64, &[u8]),
) -> Result<Counts, VerifyError<E>> {
    if from > head.size {
        return Err(VerifyError::Beyond { from, size: head.size });
    }
    let start = from.saturating_sub(from % u64::from(TILE_WIDTH));
    let mut source = Source { read, bytes: 0 };
    let tiler = source.resume(head.size, start)?;
    let from = TreeHead { size: from, root: tiler.head().root };
    let counts = Counts { entries: 0, bundles: 0, tiles: 0, bytes: 0, from };
    let mut walk = Walk { source, on_entry, tiler, counts };
    for index in start / u64::from(TILE_WIDTH).. {
        let Some(bundle) = EntryBundle::of(head.size, index) else { break };
        walk.bundle(bundle)?;
    }
    for tile in walk.tiler.partial() {
        walk.compare(&tile)?;
    }
    let found = walk.tiler.head();
    if found != head {
        return Err(VerifyError::Root { size: found.size, found: found.root, want: head.root });
    }
    Ok(Counts { bytes: walk.source.bytes, ..walk.counts })
}

struct Source<R> {
    read: R,
    bytes: u64,
}

impl<E, R: FnMut(Resource) -> Result<Vec<u8>, E>> Source<R> {
    fn read(&mut self, resource: Resource) -> Result<Vec<u8>, VerifyError<E>> {
        let path = || resource.to_string();
        let bytes = match ((self.read)(resource), resource.fallback()) {
            (Ok(bytes), _) => bytes,
            // A partial resource may be gone once the full one is there.
            (Err(cause), Some(full)) => {
                let bytes = (self.read)(full).map_err(|_| VerifyError::Read { path: path(), cause })?;
                resource.cut(bytes)?
            }
            (Err(cause), None) => return Err(VerifyError::Read { path: path(), cause }),
        };
        self.bytes = self.bytes.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        Ok(bytes)
    }

    /// The open tiles at `start`, from the wider ones that a tree of `size` leaves serves.
    fn resume(&mut self, size: u64, start: u64) -> Result<Tiler, VerifyError<E>> {
        let resumed = Tiler::resume(start, |narrow| {
            let wide = Tile::of(size, narrow.level(), narrow.index()).unwrap_or(narrow);
            let bytes = self.read(Resource::Tile(wide))?;
            Ok(Resource::Tile(narrow).cut(bytes)?)
        });
        resumed.map_err(|error: NodeError<VerifyError<E>>| match error {
            NodeError::Read { cause, .. } => cause,
            NodeError::Tile(error) => VerifyError::Malformed(error),
            NodeError::Absent { index, .. } => VerifyError::Beyond { from: index, size },
        })
    }
}

struct Walk<R, F> {
    source: Source<R>,
    on_entry: F,
    tiler: Tiler,
    counts: Counts,
}

impl<E, R, F> Walk<R, F>
where
    R: FnMut(Resource) -> Result<Vec<u8>, E>,
    F: FnMut(u64, &[u8]),
{
    fn bundle(&mut self, bundle: EntryBundle) -> Result<(), VerifyError<E>> {
        let bytes = self.source.read(Resource::Entries(bundle))?;
        for (index, entry) in (bundle.start()..).zip(bundle.decode(&bytes)?) {
            (self.on_entry)(index, entry);
            let filled = self.tiler.append(leaf_hash(entry));
            self.counts.entries = self.counts.entries.saturating_add(1);
            if self.tiler.size() == self.counts.from.size {
                self.counts.from = self.tiler.head();
            }
            for tile in &filled {
                self.compare(tile)?;
            }
        }
        self.counts.bundles = self.counts.bundles.saturating_add(1);
        Ok(())
    }

    fn compare(&mut self, want: &TileBytes) -> Result<(), VerifyError<E>> {
        let served = self.source.read(Resource::Tile(want.tile))?;
        let (served, want_hashes) = (want.tile.decode(&served)?, want.tile.decode(&want.bytes)?);
        match served.iter().zip(&want_hashes).position(|(served, want)| served != want) {
            Some(at) => Err(VerifyError::Tile { path: Resource::Tile(want.tile).to_string(), at }),
            None => {
                self.counts.tiles = self.counts.tiles.saturating_add(1);
                Ok(())
            }
        }
    }
}
