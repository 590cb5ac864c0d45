//! Inclusion and consistency proofs (RFC 6962 §2.1.1, §2.1.2) from a reader of tree nodes.
//!
//! The nodes are taken as they are read: whoever does not trust their keeper verifies the proof against a
//! checkpoint ([`crate::tree::TreeHead`]) before using it.

use kuraban_base::TreeHash;

use crate::tree::{empty_root, node_hash};

/// A proof that could not be made.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ProveError<E> {
    /// The leaf or the earlier size lies beyond the tree.
    #[error("{found} lies beyond a tree of size {size}")]
    Beyond {
        /// The index, or the earlier size.
        found: u64,
        /// The tree's size.
        size: u64,
    },
    /// A node that the proof needs could not be read.
    #[error("node {index} of level {level} could not be read")]
    Node {
        /// Its level; leaves are level 0.
        level: u8,
        /// Its place in the level, from zero.
        index: u64,
        /// Why.
        #[source]
        cause: E,
    },
}

/// A range of leaves: the whole tree or one of the halves into which RFC 6962 splits it.
#[derive(Clone, Copy)]
struct Range {
    start: u64,
    end: u64,
}

impl Range {
    const fn width(self) -> u64 {
        self.end.saturating_sub(self.start)
    }

    /// Where it splits: the left half has the largest power of two of leaves that is smaller than the width.
    fn middle(self) -> u64 {
        let log = self.width().saturating_sub(1).checked_ilog2().unwrap_or(0);
        self.start.saturating_add(1 << log)
    }

    fn halves(self) -> (Self, Self) {
        let middle = self.middle();
        (Self { start: self.start, end: middle }, Self { start: middle, end: self.end })
    }
}

/// The root of a range, from the perfect subtrees in it.
fn root<E>(
    range: Range,
    read: &mut impl FnMut(u8, u64) -> Result<TreeHash, E>,
) -> Result<TreeHash, ProveError<E>> {
    if range.width() == 0 {
        return Ok(empty_root());
    }
    if range.width().is_power_of_two() {
        let level = u8::try_from(range.width().trailing_zeros()).unwrap_or(u8::MAX);
        let index = range.start >> level;
        return read(level, index).map_err(|cause| ProveError::Node { level, index, cause });
    }
    let (left, right) = range.halves();
    Ok(node_hash(&root(left, read)?, &root(right, read)?))
}

/// The path from leaf `index` to the root of the first `size` leaves, the leaf's sibling first.
///
/// `read` gives the root of the perfect subtree of 2^level leaves that has the given place in its level.
///
/// # Errors
/// The index is beyond the size, or a node could not be read.
pub fn inclusion<E>(
    index: u64,
    size: u64,
    mut read: impl FnMut(u8, u64) -> Result<TreeHash, E>,
) -> Result<Vec<TreeHash>, ProveError<E>> {
    if index >= size {
        return Err(ProveError::Beyond { found: index, size });
    }
    let mut range = Range { start: 0, end: size };
    let mut path = Vec::new();
    while range.width() > 1 {
        let (left, right) = range.halves();
        let (inside, outside) = if index < right.start { (left, right) } else { (right, left) };
        path.push(root(outside, &mut read)?);
        range = inside;
    }
    path.reverse();
    Ok(path)
}

/// The proof that the tree of `size` leaves begins with the one of `earlier` leaves.
///
/// Empty when `earlier` is zero or `size`.
///
/// # Errors
/// The earlier size is beyond the size, or a node could not be read.
pub fn consistency<E>(
    earlier: u64,
    size: u64,
    mut read: impl FnMut(u8, u64) -> Result<TreeHash, E>,
) -> Result<Vec<TreeHash>, ProveError<E>> {
    if earlier > size {
        return Err(ProveError::Beyond { found: earlier, size });
    }
    let mut path = Vec::new();
    if earlier == 0 {
        return Ok(path);
    }
    let mut range = Range { start: 0, end: size };
    while range.end != earlier {
        let (left, right) = range.halves();
        let (inside, outside) = if earlier <= left.end { (left, right) } else { (right, left) };
        path.push(root(outside, &mut read)?);
        range = inside;
    }
    // Whoever checks the proof has the earlier root itself; any other subtree must be told.
    if range.start != 0 {
        path.push(root(range, &mut read)?);
    }
    path.reverse();
    Ok(path)
}

/// The root of the first `size` leaves.
///
/// # Errors
/// A node could not be read.
pub fn tree_root<E>(
    size: u64,
    mut read: impl FnMut(u8, u64) -> Result<TreeHash, E>,
) -> Result<TreeHash, ProveError<E>> {
    root(Range { start: 0, end: size }, &mut read)
}
