//! Tiles and entry bundles (C2SP tlog-tiles): their names, which ones a tree has, and what stands in them.
//!
//! It reads and writes nothing: a caller's closure brings the bytes. Names are parsed strictly, so a server may
//! hand a request's path to [`Resource`] and serve only what comes out.

use core::{fmt, str::FromStr};
use std::collections::BTreeMap;

use kuraban_base::TreeHash;

use crate::{
    entry::ENTRY_LENGTH_MAX,
    prove::{self, ProveError},
    tree::node_hash,
};

/// Hashes in a full tile, entries in a full bundle.
pub const TILE_WIDTH: u16 = 256;
/// Bytes of a hash.
const HASH_LENGTH: usize = 32;
/// Highest tile level that a name may have.
const LEVEL_MAX: u8 = 63;
/// Most characters of a wrong name that are shown; right ones are shorter.
const PATH_LENGTH_MAX: usize = 64;

/// A path that names no resource of a log.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "path {found:?} is not checkpoint, tile/<level>/<index>[.p/<width>] or tile/entries/<index>[.p/<width>]"
)]
pub struct PathError {
    found: String,
}

/// Bytes that are not the tile or bundle they should be.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TileError {
    /// A tile of another length.
    #[error("{path} has {got} bytes, want {want}")]
    Length {
        /// Which.
        path: String,
        /// Its length in bytes.
        got: usize,
        /// What its width asks for.
        want: usize,
    },
    /// A bundle that ends inside an entry or before its last one.
    #[error("{path} ends inside entry {entry} of {want}")]
    Truncated {
        /// Which.
        path: String,
        /// The place of the entry in the bundle, from zero.
        entry: u16,
        /// How many entries it should have.
        want: u16,
    },
    /// A bundle with bytes after its last entry.
    #[error("{path} has {count} bytes after its {want} entries")]
    Trailing {
        /// Which.
        path: String,
        /// How many bytes follow.
        count: usize,
        /// How many entries it should have.
        want: u16,
    },
}

/// Entries that do not fit a bundle.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BundleError {
    /// An entry longer than sixteen bits count.
    #[error("entry has {got} bytes, want at most 65535")]
    Entry {
        /// Its length in bytes.
        got: usize,
    },
}

/// A tile: `width` consecutive hashes of the tree's level 8·`level`, the first at `index`·256.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Tile {
    level: u8,
    index: u64,
    width: u16,
}

/// A bundle of entries: `width` consecutive ones, the first at `index`·256.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct EntryBundle {
    index: u64,
    width: u16,
}

/// What a log serves, named by its path below the log's prefix.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Resource {
    /// The latest checkpoint; the only one that changes.
    Checkpoint,
    /// Hashes.
    Tile(Tile),
    /// Entries.
    Entries(EntryBundle),
}

/// How many hashes tile level `level` has in a tree of `size` leaves.
fn hashes_at(level: u8, size: u64) -> u64 {
    size.checked_shr(u32::from(level).saturating_mul(8)).unwrap_or(0)
}

/// The width of tile `index` among `hashes` hashes; zero when there is none.
fn width_at(index: u64, hashes: u64) -> u16 {
    let start = index.saturating_mul(u64::from(TILE_WIDTH));
    u16::try_from(hashes.saturating_sub(start).min(u64::from(TILE_WIDTH))).unwrap_or(TILE_WIDTH)
}

/// The tiles, as index and width, that `new` hashes have and `old` hashes had not in this width.
fn grown(old: u64, new: u64) -> impl Iterator<Item = (u64, u16)> {
    let per_tile = u64::from(TILE_WIDTH);
    let end = if new > old { new.div_ceil(per_tile) } else { 0 };
    ((old / per_tile)..end).map(move |index| (index, width_at(index, new)))
}

impl Tile {
    /// Tile `index` of `level` in a tree of `size` leaves, as wide as it is there; `None` when it has none.
    #[must_use]
    pub fn of(size: u64, level: u8, index: u64) -> Option<Self> {
        let width = width_at(index, hashes_at(level, size));
        (width > 0 && level <= LEVEL_MAX).then_some(Self { level, index, width })
    }

    /// The tile level: 0 has leaf hashes, each next one the roots of full tiles below.
    #[must_use]
    pub const fn level(&self) -> u8 {
        self.level
    }

    /// The place in the level, from zero.
    #[must_use]
    pub const fn index(&self) -> u64 {
        self.index
    }

    /// How many hashes, 1 to 256.
    #[must_use]
    pub const fn width(&self) -> u16 {
        self.width
    }

    /// The same tile once it is full.
    #[must_use]
    pub const fn full(self) -> Self {
        Self { width: TILE_WIDTH, ..self }
    }

    /// Its hashes.
    ///
    /// # Errors
    /// The bytes are not as many as the width asks for.
    pub fn decode(&self, bytes: &[u8]) -> Result<Vec<TreeHash>, TileError> {
        let want = usize::from(self.width).saturating_mul(HASH_LENGTH);
        let (hashes, _) = bytes.as_chunks::<HASH_LENGTH>();
        if bytes.len() == want {
            return Ok(hashes.iter().copied().map(TreeHash::from_bytes).collect());
        }
        Err(TileError::Length { path: Resource::Tile(*self).to_string(), got: bytes.len(), want })
    }
}

/// The bytes of a tile with these hashes.
#[must_use]
pub fn encode_tile(hashes: &[TreeHash]) -> Vec<u8> {
    hashes.iter().flat_map(|hash| *hash.as_bytes()).collect()
}

impl EntryBundle {
    /// Bundle `index` of a tree of `size` leaves, as wide as it is there; `None` when it has none.
    #[must_use]
    pub fn of(size: u64, index: u64) -> Option<Self> {
        let width = width_at(index, size);
        (width > 0).then_some(Self { index, width })
    }

    /// The place in the log, from zero.
    #[must_use]
    pub const fn index(&self) -> u64 {
        self.index
    }

    /// How many entries, 1 to 256.
    #[must_use]
    pub const fn width(&self) -> u16 {
        self.width
    }

    /// The number of its first entry.
    #[must_use]
    pub const fn start(&self) -> u64 {
        self.index.saturating_mul(256)
    }

    /// The same bundle once it is full.
    #[must_use]
    pub const fn full(self) -> Self {
        Self { width: TILE_WIDTH, ..self }
    }

    /// Its entries, as they lie in the bytes.
    ///
    /// # Errors
    /// The bytes end early or go on after the last entry.
    pub fn decode<'a>(&self, bytes: &'a [u8]) -> Result<Vec<&'a [u8]>, TileError> {
        let (entries, rest) = self.split(bytes)?;
        match rest.len() {
            0 => Ok(entries),
            count => Err(TileError::Trailing { path: self.path(), count, want: self.width }),
        }
    }

    fn split<'a>(&self, bytes: &'a [u8]) -> Result<(Vec<&'a [u8]>, &'a [u8]), TileError> {
        let mut rest = bytes;
        let mut entries = Vec::new();
        for entry in 0..self.width {
            let counted = rest
                .split_first_chunk()
                .and_then(|(length, after)| after.split_at_checked(usize::from(u16::from_be_bytes(*length))));
            let Some((bytes, after)) = counted else {
                return Err(TileError::Truncated { path: self.path(), entry, want: self.width });
            };
            entries.push(bytes);
            rest = after;
        }
        Ok((entries, rest))
    }

    fn path(&self) -> String {
        Resource::Entries(*self).to_string()
    }
}

/// The bytes of a bundle with these entries.
///
/// # Errors
/// An entry is longer than 65,535 bytes.
pub fn encode_bundle<T: AsRef<[u8]>>(entries: impl IntoIterator<Item = T>) -> Result<Vec<u8>, BundleError> {
    let mut out = Vec::new();
    for entry in entries {
        let entry = entry.as_ref();
        let length = u16::try_from(entry.len()).map_err(|_| BundleError::Entry { got: entry.len() })?;
        out.extend(length.to_be_bytes());
        out.extend(entry);
    }
    Ok(out)
}

impl Resource {
    /// Every tile and bundle of a tree of `new` leaves that a tree of `old` leaves had not, or not this wide.
    ///
    /// With `old` zero: all of them. These are what a writer puts out before it publishes a checkpoint.
    pub fn grown(old: u64, new: u64) -> impl Iterator<Item = Self> {
        let bundles = grown(old, new).map(|(index, width)| Self::Entries(EntryBundle { index, width }));
        let tiles = (0_u8..8).flat_map(move |level| {
            grown(hashes_at(level, old), hashes_at(level, new))
                .map(move |(index, width)| Self::Tile(Tile { level, index, width }))
        });
        bundles.chain(tiles)
    }

    /// The full resource that a log may serve instead, once a partial one was deleted; `None` if this is no
    /// partial one.
    #[must_use]
    pub fn fallback(self) -> Option<Self> {
        match self {
            Self::Checkpoint => None,
            Self::Tile(tile) => (tile.width < TILE_WIDTH).then_some(Self::Tile(tile.full())),
            Self::Entries(bundle) => (bundle.width < TILE_WIDTH).then_some(Self::Entries(bundle.full())),
        }
    }

    /// Cuts the bytes of this resource, or of its [`fallback`](Self::fallback), down to its own width.
    ///
    /// # Errors
    /// The bytes are fewer than the width asks for.
    pub fn cut(self, mut bytes: Vec<u8>) -> Result<Vec<u8>, TileError> {
        let want = match self {
            Self::Checkpoint => bytes.len(),
            Self::Tile(tile) => usize::from(tile.width).saturating_mul(HASH_LENGTH),
            Self::Entries(bundle) => {
                let (_, rest) = bundle.split(&bytes)?;
                bytes.len().saturating_sub(rest.len())
            }
        };
        if bytes.len() < want {
            return Err(TileError::Length { path: self.to_string(), got: bytes.len(), want });
        }
        bytes.truncate(want);
        Ok(bytes)
    }

    /// What `read` gives of this resource, or else of its [`fallback`](Self::fallback), cut to this one's width. A writer that was
    /// killed between a full resource and the checkpoint that covers it leaves the full one and a checkpoint of the partial one.
    ///
    /// # Errors
    /// Neither is there: why this one is not.
    pub fn read<E>(self, mut read: impl FnMut(Self) -> Result<Vec<u8>, E>) -> Result<Vec<u8>, E> {
        match (read(self), self.fallback()) {
            (Err(cause), Some(full)) => read(full).ok().and_then(|bytes| self.cut(bytes).ok()).ok_or(cause),
            (found, Some(_) | None) => found,
        }
    }

    /// How many bytes it may have at most: what a reader allows before it gives up.
    #[must_use]
    pub fn length_max(self) -> usize {
        match self {
            Self::Checkpoint => crate::note::NOTE_LENGTH_MAX,
            Self::Tile(tile) => usize::from(tile.width).saturating_mul(HASH_LENGTH),
            Self::Entries(bundle) => {
                usize::from(bundle.width).saturating_mul(ENTRY_LENGTH_MAX.saturating_add(2))
            }
        }
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (index, width) = match self {
            Self::Checkpoint => return f.write_str("checkpoint"),
            Self::Tile(tile) => {
                write!(f, "tile/{}", tile.level)?;
                (tile.index, tile.width)
            }
            Self::Entries(bundle) => {
                f.write_str("tile/entries")?;
                (bundle.index, bundle.width)
            }
        };
        let mut groups = vec![index % 1000];
        let mut rest = index / 1000;
        while rest > 0 {
            groups.push(rest % 1000);
            rest /= 1000;
        }
        for (below, group) in groups.iter().enumerate().rev() {
            write!(f, "/{}{group:03}", if below > 0 { "x" } else { "" })?;
        }
        if width < TILE_WIDTH { write!(f, ".p/{width}") } else { Ok(()) }
    }
}

impl FromStr for Resource {
    type Err = PathError;

    fn from_str(text: &str) -> Result<Self, PathError> {
        parse(text).ok_or_else(|| PathError { found: text.chars().take(PATH_LENGTH_MAX).collect() })
    }
}

fn parse(text: &str) -> Option<Resource> {
    if text == "checkpoint" {
        return Some(Resource::Checkpoint);
    }
    let (kind, place) = text.strip_prefix("tile/")?.split_once('/')?;
    let (index, width) = match place.split_once(".p/") {
        Some((index, width)) => {
            let width = u16::try_from(crate::text::decimal(width)?).ok()?;
            (index, (1..TILE_WIDTH).contains(&width).then_some(width)?)
        }
        None => (place, TILE_WIDTH),
    };
    let index = parse_index(index)?;
    if kind == "entries" {
        return Some(Resource::Entries(EntryBundle { index, width }));
    }
    let level = u8::try_from(crate::text::decimal(kind)?).ok().filter(|level| *level <= LEVEL_MAX)?;
    Some(Resource::Tile(Tile { level, index, width }))
}

/// Groups of three digits, all but the last after an `x`, the first not `x000`.
fn parse_index(text: &str) -> Option<u64> {
    let (above, last) = match text.rsplit_once('/') {
        Some((above, last)) => (Some(above), last),
        None => (None, text),
    };
    let above: u64 = match above {
        Some(above) => above.split('/').try_fold(0_u64, |sum, group| {
            let group = digits(group.strip_prefix('x')?)?;
            // A leading group of zeroes would be a second name for the same tile.
            let number = sum.checked_mul(1000)?.checked_add(group)?;
            (number > 0).then_some(number)
        })?,
        None => 0,
    };
    above.checked_mul(1000)?.checked_add(digits(last)?)
}

fn digits(group: &str) -> Option<u64> {
    let three = group.len() == 3 && group.bytes().all(|byte| byte.is_ascii_digit());
    if three { group.parse().ok() } else { None }
}

/// The nodes of a tree of a given size, read from its tiles.
///
/// Keeps every tile it has read: made for one proof, which needs few, and then dropped.
#[derive(Debug)]
pub struct Tiles<R> {
    size: u64,
    read: R,
    seen: BTreeMap<(u8, u64), Vec<TreeHash>>,
}

/// A node that could not be had from the tiles.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NodeError<E> {
    /// The reader failed.
    #[error("{path} could not be read")]
    Read {
        /// Which tile.
        path: String,
        /// Why.
        #[source]
        cause: E,
    },
    /// The tile is not one.
    #[error(transparent)]
    Tile(#[from] TileError),
    /// The tree of this size has no such node.
    #[error("tree has no node {index} at level {level}")]
    Absent {
        /// The level; leaves are level 0.
        level: u8,
        /// The place in the level.
        index: u64,
    },
}

impl<E, R: FnMut(Tile) -> Result<Vec<u8>, E>> Tiles<R> {
    /// The tiles of a tree of `size` leaves; `read` brings a tile's bytes.
    pub const fn new(size: u64, read: R) -> Self {
        Self { size, read, seen: BTreeMap::new() }
    }

    /// The root of the perfect subtree of 2^level leaves at `index` of its level.
    ///
    /// # Errors
    /// The tree has no such node, or its tile could not be read.
    pub fn node(&mut self, level: u8, index: u64) -> Result<TreeHash, NodeError<E>> {
        let absent = || NodeError::Absent { level, index };
        let row = level % 8;
        let first = index.checked_mul(1 << row).ok_or_else(absent)?;
        let per_tile = u64::from(TILE_WIDTH);
        let tile = Tile::of(self.size, level / 8, first / per_tile).ok_or_else(absent)?;
        let start = usize::try_from(first % per_tile).map_err(|_| absent())?;
        let hashes = self.tile(tile)?;
        let subtree = hashes.get(start..).and_then(|rest| rest.get(..1 << row)).ok_or_else(absent)?;
        Ok(perfect_root(subtree))
    }

    fn tile(&mut self, tile: Tile) -> Result<&[TreeHash], NodeError<E>> {
        use std::collections::btree_map::Entry;
        match self.seen.entry((tile.level, tile.index)) {
            Entry::Occupied(seen) => Ok(seen.into_mut()),
            Entry::Vacant(free) => {
                let path = || Resource::Tile(tile).to_string();
                let bytes = (self.read)(tile).map_err(|cause| NodeError::Read { path: path(), cause })?;
                Ok(free.insert(tile.decode(&bytes)?))
            }
        }
    }

    /// The inclusion proof of leaf `index`.
    ///
    /// # Errors
    /// The index is beyond the tree, or a tile could not be read.
    pub fn inclusion(&mut self, index: u64) -> Result<Vec<TreeHash>, ProveError<NodeError<E>>> {
        prove::inclusion(index, self.size, |level, index| self.node(level, index))
    }

    /// The consistency proof from `earlier` leaves.
    ///
    /// # Errors
    /// The earlier size is beyond the tree, or a tile could not be read.
    pub fn consistency(&mut self, earlier: u64) -> Result<Vec<TreeHash>, ProveError<NodeError<E>>> {
        prove::consistency(earlier, self.size, |level, index| self.node(level, index))
    }

    /// The root of the first `size` leaves, at most all of them.
    ///
    /// # Errors
    /// A tile could not be read, or the tree is smaller.
    pub fn root(&mut self, size: u64) -> Result<TreeHash, ProveError<NodeError<E>>> {
        prove::tree_root(size, |level, index| self.node(level, index))
    }
}

/// The root over 1, 2, 4 … 256 hashes.
pub(crate) fn perfect_root(hashes: &[TreeHash]) -> TreeHash {
    let mut row = hashes.to_vec();
    while row.len() > 1 {
        let (pairs, _) = row.as_chunks::<2>();
        row = pairs.iter().map(|[left, right]| node_hash(left, right)).collect();
    }
    row.first().copied().unwrap_or_else(crate::tree::empty_root)
}
