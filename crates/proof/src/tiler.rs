//! Grows a log's tiles leaf by leaf, holding only the open tile of each level.
//!
//! It decides which tiles come into being and with which hashes. It stores none of them: the caller puts them
//! out, before the checkpoint that needs them.

use kuraban_base::TreeHash;

use crate::{
    tile::{NodeError, TILE_WIDTH, Tile, TileError, encode_tile, perfect_root},
    tree::{Frontier, SIZE_MAX, TreeHead},
};

/// A tile with its bytes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TileBytes {
    /// Which tile, and how wide.
    pub tile: Tile,
    /// Its hashes, one after the other.
    pub bytes: Vec<u8>,
}

/// The open tiles of a growing tree, at most 255 hashes a level.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Tiler {
    size: u64,
    /// The open tile of each level, level 0 first.
    open: Vec<Vec<TreeHash>>,
}

impl Tiler {
    /// The tree without leaves.
    #[must_use]
    pub const fn new() -> Self {
        Self { size: 0, open: Vec::new() }
    }

    /// Goes on from a tree of `size` leaves; `read` brings its partial tiles, at most eight.
    ///
    /// # Errors
    /// A tile could not be read or has another length. What it holds is not checked here: compare
    /// [`head`](Self::head) with a checkpoint.
    pub fn resume<E>(
        size: u64,
        mut read: impl FnMut(Tile) -> Result<Vec<u8>, E>,
    ) -> Result<Self, NodeError<E>> {
        if size > SIZE_MAX {
            return Err(NodeError::Absent { level: 0, index: size });
        }
        let mut open = Vec::new();
        for level in 0..8_u8 {
            let hashes = size >> level.saturating_mul(8);
            if hashes == 0 {
                break;
            }
            open.push(match Tile::of(size, level, hashes / u64::from(TILE_WIDTH)) {
                Some(tile) => decode(tile, read(tile))?,
                None => Vec::new(),
            });
        }
        Ok(Self { size, open })
    }

    /// Adds a leaf hash and gives the tiles that it fills: mostly none, level 0 first.
    pub fn append(&mut self, leaf: TreeHash) -> Vec<TileBytes> {
        self.size = self.size.saturating_add(1);
        let mut filled = Vec::new();
        let mut hash = leaf;
        for level in 0_u8.. {
            let at = usize::from(level);
            if self.open.len() <= at {
                self.open.push(Vec::new());
            }
            let Some(open) = self.open.get_mut(at) else { break };
            open.push(hash);
            if open.len() < usize::from(TILE_WIDTH) {
                break;
            }
            let hashes = core::mem::take(open);
            hash = perfect_root(&hashes);
            // The tile that this leaf completes is the last one of its level.
            let last = (self.size >> level.saturating_add(1).saturating_mul(8)).saturating_sub(1);
            if let Some(tile) = Tile::of(self.size, level, last) {
                filled.push(TileBytes { tile, bytes: encode_tile(&hashes) });
            }
        }
        filled
    }

    /// Adds leaf hashes and gives every tile that is new or wider than before, full and partial: what must be
    /// put out before a checkpoint of the new size.
    pub fn extend(&mut self, leaves: impl IntoIterator<Item = TreeHash>) -> Vec<TileBytes> {
        let before = self.size;
        let mut tiles: Vec<TileBytes> = Vec::new();
        for leaf in leaves {
            tiles.extend(self.append(leaf));
        }
        let grown = |part: &TileBytes| {
            let shift = part.tile.level().saturating_mul(8);
            before >> shift < self.size >> shift
        };
        tiles.extend(self.partial().into_iter().filter(grown));
        tiles
    }

    /// The partial tiles of the present size, level 0 first.
    #[must_use]
    pub fn partial(&self) -> Vec<TileBytes> {
        let levels = (0_u8..).zip(&self.open).filter(|(_, open)| !open.is_empty());
        let tiles = levels.filter_map(|(level, open)| {
            let index = self.size >> level.saturating_mul(8) >> 8;
            Some(TileBytes { tile: Tile::of(self.size, level, index)?, bytes: encode_tile(open) })
        });
        tiles.collect()
    }

    /// How many leaves there are.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The frontier of the same tree.
    #[must_use]
    pub fn frontier(&self) -> Frontier {
        let mut nodes = Vec::new();
        for open in self.open.iter().rev() {
            let mut rest = open.as_slice();
            while let Some(log) = rest.len().checked_ilog2() {
                let (subtree, after) = rest.split_at(1 << log);
                nodes.push(perfect_root(subtree));
                rest = after;
            }
        }
        Frontier::from_nodes(self.size, nodes).unwrap_or_default()
    }

    /// Size and root.
    #[must_use]
    pub fn head(&self) -> TreeHead {
        self.frontier().head()
    }
}

fn decode<E>(tile: Tile, read: Result<Vec<u8>, E>) -> Result<Vec<TreeHash>, NodeError<E>> {
    let path = || crate::tile::Resource::Tile(tile).to_string();
    let bytes = read.map_err(|cause| NodeError::Read { path: path(), cause })?;
    tile.decode(&bytes).map_err(|error: TileError| NodeError::Tile(error))
}
