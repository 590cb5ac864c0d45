//! The log's Merkle tree (RFC 6962 §2.1) over SHA-256: hashing, the frontier that grows it, and the verification
//! of inclusion and consistency proofs.
//!
//! It holds no leaves and reads no tiles; proofs are made in [`crate::prove`].

use kuraban_base::{
    TreeHash,
    cbor::{self, CborError, Fields, Value},
};
use sha2::{Digest as _, Sha256};

/// Largest tree size: what a signed 64-bit number holds, as in the other implementations.
pub const SIZE_MAX: u64 = u64::MAX >> 1;

fn sha256(parts: &[&[u8]]) -> TreeHash {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(part);
    }
    TreeHash::from_bytes(hasher.finalize().into())
}

/// The hash of a leaf: SHA-256(0x00 ‖ entry).
#[must_use]
pub fn leaf_hash(entry: &[u8]) -> TreeHash {
    sha256(&[&[0], entry])
}

/// The hash of a node: SHA-256(0x01 ‖ left ‖ right).
#[must_use]
pub fn node_hash(left: &TreeHash, right: &TreeHash) -> TreeHash {
    sha256(&[&[1], left.as_bytes(), right.as_bytes()])
}

/// The root of the tree without leaves: SHA-256 of nothing.
#[must_use]
pub fn empty_root() -> TreeHash {
    sha256(&[])
}

/// A size and the root that a tree of that size has.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct TreeHead {
    /// How many leaves.
    pub size: u64,
    /// Their root.
    pub root: TreeHash,
}

/// A proof that does not show what it should.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ProofError {
    /// The leaf or the earlier size lies beyond the tree.
    #[error("{found} lies beyond a tree of size {size}")]
    Beyond {
        /// The index, or the earlier size.
        found: u64,
        /// The tree's size.
        size: u64,
    },
    /// Not as many hashes as such a proof has.
    #[error("proof has {got} hashes, which is not the number that these sizes need")]
    Length {
        /// Hashes found.
        got: usize,
    },
    /// The path leads to another root.
    #[error("proof leads to root {found} at size {size}, want {want}")]
    Root {
        /// Where it leads.
        found: TreeHash,
        /// At which size.
        size: u64,
        /// Where it should.
        want: TreeHash,
    },
}

impl TreeHead {
    /// The head of the tree without leaves.
    #[must_use]
    pub fn empty() -> Self {
        Self { size: 0, root: empty_root() }
    }

    /// Deterministic CBOR of `{size, root: 32 bytes}`.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        Value::map([("size", Value::uint(self.size)), ("root", Value::bytes(self.root.as_bytes()))]).encode()
    }

    /// Reads what [`encode`](Self::encode) wrote.
    ///
    /// # Errors
    /// Anything else.
    pub fn decode(bytes: &[u8]) -> Result<Self, CborError> {
        let mut fields = Fields::of("tree head", Value::decode(bytes)?)?;
        let size: u64 = fields.uint("size")?;
        let root = TreeHash::from_bytes(fields.array("root")?);
        fields.end()?;
        if size <= SIZE_MAX { Ok(Self { size, root }) } else { Err(cbor::invalid("size", "want below 2^63")) }
    }

    /// Shows that `leaf` is the leaf number `index` (from zero) of this tree (RFC 9162 §2.1.3.2).
    ///
    /// # Errors
    /// The index is beyond the tree, or the path does not lead to the root.
    pub fn includes(&self, leaf: TreeHash, index: u64, path: &[TreeHash]) -> Result<(), ProofError> {
        if index >= self.size {
            return Err(ProofError::Beyond { found: index, size: self.size });
        }
        let mut climb = Climb { at: index, last: self.size.saturating_sub(1) };
        let mut root = leaf;
        for sibling in path {
            root = match climb.step().ok_or(ProofError::Length { got: path.len() })? {
                Side::Left => node_hash(sibling, &root),
                Side::Right => node_hash(&root, sibling),
            };
        }
        if climb.last != 0 {
            return Err(ProofError::Length { got: path.len() });
        }
        self.is(root)
    }

    /// Shows that this tree begins with all the leaves of `earlier`, in their order (RFC 9162 §2.1.4.2).
    ///
    /// An empty earlier tree, and one of this size, need an empty proof.
    ///
    /// # Errors
    /// The earlier tree is larger, or the proof does not lead from its root to this one.
    pub fn extends(&self, earlier: &Self, path: &[TreeHash]) -> Result<(), ProofError> {
        if earlier.size > self.size {
            return Err(ProofError::Beyond { found: earlier.size, size: self.size });
        }
        let wrong_length = ProofError::Length { got: path.len() };
        if earlier.size == 0 || earlier.size == self.size {
            if !path.is_empty() {
                return Err(wrong_length);
            }
            return earlier.is(if earlier.size == 0 { empty_root() } else { self.root });
        }
        let mut climb = Climb { at: earlier.size.saturating_sub(1), last: self.size.saturating_sub(1) };
        climb.skip_right_spine();
        // When the earlier size is a power of two its root is itself a node of this tree, and the proof leaves it out.
        let (start, rest) = match (earlier.size.is_power_of_two(), path.split_first()) {
            (true, _) => (earlier.root, path),
            (false, Some((first, rest))) => (*first, rest),
            (false, None) => return Err(wrong_length),
        };
        let (mut old, mut new) = (start, start);
        for sibling in rest {
            match climb.step().ok_or(wrong_length)? {
                Side::Left => {
                    old = node_hash(sibling, &old);
                    new = node_hash(sibling, &new);
                }
                Side::Right => new = node_hash(&new, sibling),
            }
        }
        if climb.last != 0 {
            return Err(wrong_length);
        }
        earlier.is(old)?;
        self.is(new)
    }

    fn is(&self, found: TreeHash) -> Result<(), ProofError> {
        if found == self.root {
            return Ok(());
        }
        Err(ProofError::Root { found, size: self.size, want: self.root })
    }
}

/// On which side of the node the next hash of a path stands.
enum Side {
    Left,
    Right,
}

/// The way from a node to the root: the node's index in its level, and the level's last index.
struct Climb {
    at: u64,
    last: u64,
}

impl Climb {
    fn up(&mut self) {
        self.at >>= 1;
        self.last >>= 1;
    }

    /// Leaves the levels on which the node is the right child: there it completes a subtree.
    fn skip_right_spine(&mut self) {
        while self.at & 1 == 1 {
            self.up();
        }
    }

    /// One level that has a sibling, or `None` at the root.
    fn step(&mut self) -> Option<Side> {
        if self.last == 0 {
            return None;
        }
        let side = if self.at & 1 == 1 || self.at == self.last { Side::Left } else { Side::Right };
        if matches!(side, Side::Left) {
            // The last node of a level without a right sibling is carried up unchanged.
            while self.at & 1 == 0 && self.at != 0 {
                self.up();
            }
        }
        self.up();
        Some(side)
    }
}

/// The roots of the perfect subtrees that a tree consists of: all that is needed to append and to know the root.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Frontier {
    size: u64,
    /// Largest subtree first, one for every set bit of the size.
    nodes: Vec<TreeHash>,
}

impl Frontier {
    /// The tree without leaves.
    #[must_use]
    pub const fn new() -> Self {
        Self { size: 0, nodes: Vec::new() }
    }

    /// The frontier of `size` leaves with these subtree roots, largest first; `None` if their number is wrong.
    #[must_use]
    pub fn from_nodes(size: u64, nodes: Vec<TreeHash>) -> Option<Self> {
        let fits = size <= SIZE_MAX && u32::try_from(nodes.len()) == Ok(size.count_ones());
        fits.then_some(Self { size, nodes })
    }

    /// Adds a leaf hash: at most 63 node hashes, one on average.
    pub fn append(&mut self, leaf: TreeHash) {
        let mut node = leaf;
        for _ in 0..self.size.trailing_ones() {
            if let Some(left) = self.nodes.pop() {
                node = node_hash(&left, &node);
            }
        }
        self.nodes.push(node);
        // From at most 2^63 - 1 leaves nobody lives to append past 2^64.
        self.size = self.size.saturating_add(1);
    }

    /// How many leaves there are.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The root.
    #[must_use]
    pub fn root(&self) -> TreeHash {
        let right_to_left = self.nodes.iter().rev().copied();
        right_to_left.reduce(|right, left| node_hash(&left, &right)).unwrap_or_else(empty_root)
    }

    /// Size and root.
    #[must_use]
    pub fn head(&self) -> TreeHead {
        TreeHead { size: self.size, root: self.root() }
    }

    /// Deterministic CBOR of `{size, nodes: [32 bytes]}`.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let nodes = self.nodes.iter().map(|node| Value::bytes(node.as_bytes()));
        Value::map([("size", Value::uint(self.size)), ("nodes", Value::array(nodes))]).encode()
    }

    /// Reads what [`encode`](Self::encode) wrote.
    ///
    /// # Errors
    /// Anything else, or not one node for every set bit of the size.
    pub fn decode(bytes: &[u8]) -> Result<Self, CborError> {
        let mut fields = Fields::of("frontier", Value::decode(bytes)?)?;
        let size: u64 = fields.uint("size")?;
        let nodes = fields.items("nodes")?.into_iter().map(node).collect::<Result<Vec<_>, _>>()?;
        fields.end()?;
        let got = nodes.len();
        Self::from_nodes(size, nodes).ok_or_else(|| {
            cbor::invalid("nodes", format!("{got}, want {} for size {size}", size.count_ones()))
        })
    }
}

fn node(value: Value) -> Result<TreeHash, CborError> {
    let wrong = || cbor::invalid("nodes", "want 32 bytes each");
    let Value::Bytes(bytes) = value else { return Err(wrong()) };
    bytes.try_into().map(TreeHash::from_bytes).map_err(|_| wrong())
}
