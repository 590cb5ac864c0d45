//! The nodes above the leaves. Leaves are kept in boughs, from which the lower half of every path is computed again; the nodes
//! above the boughs are few. A customer's file is cut out of both when it is asked for.

use kuraban_inclusion::{
    Cursor, Hasher, Inclusion, Node, Opening, Overflow, Refused, Root, Scope, WireError, inclusion_head,
    put_amount,
};

/// What an operator's tree file begins with.
pub const TREE_MAGIC: &[u8; 8] = b"KRBNTRE1";
/// Levels within a bough, in trees that have as many.
const BOUGH_DEPTH: u8 = 10;

/// The levels within a bough of a tree.
#[must_use]
pub fn bough_depth(scope: &Scope) -> u8 {
    scope.depth().min(BOUGH_DEPTH)
}

/// How many boughs a tree has.
#[must_use]
pub fn boughs(scope: &Scope) -> usize {
    1_usize << scope.depth().saturating_sub(bough_depth(scope))
}

/// Neighbouring leaves, as many as a power of two.
#[derive(Clone, Debug)]
pub struct Bough {
    pub(crate) openings: Written,
    /// The node above them.
    pub top: Node,
    /// All nodes.
    pub(crate) levels: Levels,
}

impl Bough {
    /// The leaves' openings, one after the other, to be kept.
    #[must_use]
    pub fn openings(&self) -> &[u8] {
        &self.openings.bytes
    }

    /// The same, where the nodes are no longer needed.
    #[must_use]
    pub fn into_openings(self) -> Vec<u8> {
        self.openings.bytes
    }
}

/// Bytes that are no bough of a tree.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BoughError {
    /// A leaf that cannot be.
    #[error("leaf {leaf}: {problem}")]
    Leaf {
        /// Its place in the bough.
        leaf: usize,
        /// What is wrong.
        problem: Refused,
    },
    /// Something after the last leaf.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// A sum that does not fit.
    #[error(transparent)]
    Overflow(#[from] Overflow),
    /// Not as many boughs as the tree has.
    #[error("has {found} boughs, want {want}")]
    Boughs {
        /// How many.
        found: usize,
        /// How many the tree has.
        want: usize,
    },
}

/// A bough that was read again.
#[derive(Clone, Debug)]
pub struct Subtree {
    openings: Vec<Opening>,
    levels: Levels,
}

/// The nodes above the boughs.
#[derive(Clone, Debug)]
pub struct Crown {
    scope: Scope,
    tops: Vec<Node>,
    levels: Levels,
}

/// Neighbouring nodes while the ones above them are made.
pub(crate) struct Level {
    assets: usize,
    hashes: Vec<[u8; 32]>,
    sums: Vec<u128>,
}

impl Level {
    /// No nodes yet, in so many assets.
    pub(crate) const fn new(assets: usize) -> Self {
        Self { assets, hashes: Vec::new(), sums: Vec::new() }
    }

    /// One more.
    pub(crate) fn push(&mut self, hash: [u8; 32], sums: &[u128]) {
        self.fetch(sums);
        self.hashed(hash);
    }

    /// The sums of one more, of which the hash comes later.
    pub(crate) fn fetch(&mut self, sums: &[u128]) {
        self.sums.extend_from_slice(sums);
    }

    /// The next hash.
    pub(crate) fn hashed(&mut self, hash: [u8; 32]) {
        self.hashes.push(hash);
    }

    /// The sums in a place.
    pub(crate) fn sums(&self, place: usize) -> &[u128] {
        let begin = place.saturating_mul(self.assets);
        self.sums.get(begin..begin.saturating_add(self.assets)).unwrap_or_default()
    }

    fn nodes(&self) -> impl Iterator<Item = (&[u8; 32], &[u128])> {
        self.hashes.iter().zip(self.sums.chunks(self.assets.max(1)))
    }

    fn above(&self, hasher: &mut Hasher) -> Result<Self, Overflow> {
        let mut above = Self {
            assets: self.assets,
            hashes: Vec::with_capacity(self.hashes.len() / 2),
            sums: Vec::with_capacity(self.sums.len() / 2),
        };
        let mut nodes = self.nodes();
        while let (Some(left), Some(right)) = (nodes.next(), nodes.next()) {
            above.hashes.push(hasher.join(left, right, &mut above.sums)?);
        }
        Ok(above)
    }

    /// The nodes as files have them.
    fn written(&self) -> Written {
        // A hash, and sums of up to eight bytes, which most are.
        let room = self.hashes.len().saturating_mul(32).saturating_add(self.sums.len().saturating_mul(8));
        let mut written =
            Written { bytes: Vec::with_capacity(room), ends: Vec::with_capacity(self.hashes.len()) };
        for (hash, sums) in self.nodes() {
            written.bytes.extend_from_slice(hash);
            sums.iter().for_each(|sum| put_amount(&mut written.bytes, *sum));
            written.ends.push(written.bytes.len());
        }
        written
    }
}

/// The nodes of a level, or openings, as files have them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Written {
    pub(crate) bytes: Vec<u8>,
    /// Where each ends.
    pub(crate) ends: Vec<usize>,
}

impl Written {
    fn get(&self, place: usize) -> &[u8] {
        let begin = place.checked_sub(1).map_or(Some(0), |before| self.ends.get(before).copied());
        let range = begin.zip(self.ends.get(place).copied());
        range.and_then(|(begin, end)| self.bytes.get(begin..end)).unwrap_or_default()
    }
}

/// All levels above some nodes, those first, and the node at the top. Their number is a power of two.
#[derive(Clone, Debug)]
pub(crate) struct Levels {
    below: Vec<Written>,
    top: Node,
}

impl Levels {
    pub(crate) fn over(hasher: &mut Hasher, mut level: Level) -> Result<Self, Overflow> {
        let mut below = Vec::new();
        while level.hashes.len() > 1 {
            below.push(level.written());
            level = level.above(hasher)?;
        }
        let hash = level.hashes.first().copied().unwrap_or_default();
        Ok(Self { below, top: Node { hash, sums: level.sums } })
    }

    pub(crate) const fn top(&self) -> &Node {
        &self.top
    }

    /// The siblings on the way from a place to the top.
    fn siblings(&self, place: usize) -> impl Iterator<Item = &[u8]> {
        let steps = self.below.iter().zip(0_u32..);
        steps.map(move |(level, height)| level.get(place.checked_shr(height).unwrap_or(0) ^ 1))
    }
}

impl Subtree {
    /// Reads the openings of a bough and hashes them again.
    ///
    /// # Errors
    /// Bytes that are no bough of this tree.
    pub fn read(scope: &Scope, bytes: &[u8]) -> Result<Self, BoughError> {
        let (mut cursor, assets) = (Cursor::new(bytes), scope.assets().len());
        let count = 1_usize << bough_depth(scope);
        let leaf =
            |leaf| Opening::read(&mut cursor, assets).map_err(|problem| BoughError::Leaf { leaf, problem });
        let openings: Vec<_> = (0..count).map(leaf).collect::<Result<_, _>>()?;
        cursor.end()?;
        let mut hasher = Hasher::default();
        let mut level = Level::new(assets);
        for Opening { name, salt, amounts } in &openings {
            level.push(hasher.leaf(salt, name, amounts), amounts);
        }
        Ok(Self { levels: Levels::over(&mut hasher, level)?, openings })
    }

    /// The leaves' openings.
    #[must_use]
    pub fn openings(&self) -> &[Opening] {
        &self.openings
    }

    /// The node above them.
    #[must_use]
    pub const fn top(&self) -> &Node {
        self.levels.top()
    }

    /// The place of a customer's leaf.
    #[must_use]
    pub fn find(&self, customer: &str) -> Option<usize> {
        self.openings.iter().position(|opening| opening.name == customer && !customer.is_empty())
    }
}

impl Crown {
    /// The nodes above the tops of all boughs, in their order.
    ///
    /// # Errors
    /// Another number of boughs, a sum beyond 128 bits.
    pub fn new(scope: Scope, tops: Vec<Node>) -> Result<Self, BoughError> {
        let (found, want) = (tops.len(), boughs(&scope));
        if found != want {
            return Err(BoughError::Boughs { found, want });
        }
        let mut level = Level::new(scope.assets().len());
        tops.iter().for_each(|top| level.push(top.hash, &top.sums));
        Ok(Self { levels: Levels::over(&mut Hasher::default(), level)?, tops, scope })
    }

    /// What the tree covers.
    #[must_use]
    pub const fn scope(&self) -> &Scope {
        &self.scope
    }

    /// The root to publish.
    #[must_use]
    pub fn root(&self) -> Root {
        Root::of(&self.scope, self.levels.top())
    }

    /// What is owed to all, in the order of the scope's assets.
    #[must_use]
    pub fn totals(&self) -> &[u128] {
        &self.levels.top().sums
    }

    /// The tops of the boughs.
    #[must_use]
    pub fn tops(&self) -> &[Node] {
        &self.tops
    }

    /// The file of the customer in a place of a bough; none where there is no customer.
    #[must_use]
    pub fn inclusion(&self, bough: usize, subtree: &Subtree, place: usize) -> Option<Inclusion> {
        let opening = subtree.openings.get(place).filter(|opening| !opening.name.is_empty())?.clone();
        let assets = self.scope.assets().len();
        let nodes = subtree.levels.siblings(place).chain(self.levels.siblings(bough));
        let path =
            nodes.map(|bytes| Node::read(&mut Cursor::new(bytes), assets).ok()).collect::<Option<_>>()?;
        Some(Inclusion { scope: self.scope.clone(), index: self.index(bough, place)?, opening, path })
    }

    fn index(&self, bough: usize, place: usize) -> Option<u64> {
        let begin = u64::try_from(bough).ok()?.checked_shl(u32::from(bough_depth(&self.scope)))?;
        begin.checked_add(u64::try_from(place).ok()?)
    }

    /// The files of all customers in a bough, one after the other, through one buffer.
    pub fn files(&self, number: usize, bough: &Bough, mut take: impl FnMut(&[u8])) {
        let head = inclusion_head(&self.scope);
        let above: Vec<u8> = self.levels.siblings(number).flatten().copied().collect();
        let mut file = Vec::new();
        for place in 0..bough.openings.ends.len() {
            let opening = bough.openings.get(place);
            let Some(index) = self.index(number, place).filter(|_| opening.first() > Some(&0)) else {
                // Padding begins with a name of no bytes.
                continue;
            };
            file.clear();
            file.extend_from_slice(&head);
            file.extend_from_slice(&index.to_be_bytes());
            file.extend_from_slice(opening);
            bough.levels.siblings(place).for_each(|sibling| file.extend_from_slice(sibling));
            file.extend_from_slice(&above);
            take(&file);
        }
    }
}
