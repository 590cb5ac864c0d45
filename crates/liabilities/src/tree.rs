//! The nodes above the leaves. Leaves are kept in boughs, from which the lower half of every path is computed again; the nodes
//! above the boughs are few. A customer's file is cut out of both when it is asked for.

use kuraban_inclusion::{
    Cursor, Hasher, Inclusion, Node, Opening, Overflow, Refused, Root, Scope, WireError, inclusion_head,
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
    /// The leaves' openings, one after the other.
    pub openings: Vec<u8>,
    /// The node above them.
    pub top: Node,
    /// All nodes, the leaves first.
    pub(crate) levels: Vec<Vec<Node>>,
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
    levels: Vec<Vec<Node>>,
}

/// The nodes above the boughs.
#[derive(Clone, Debug)]
pub struct Crown {
    scope: Scope,
    levels: Vec<Vec<Node>>,
}

/// All levels above some nodes, those first, up to one node. Their number is a power of two.
pub(crate) fn levels(hasher: &mut Hasher, leaves: Vec<Node>) -> Result<Vec<Vec<Node>>, Overflow> {
    let mut levels = vec![leaves];
    while let Some(below) = levels.last().filter(|below| below.len() > 1) {
        let (pairs, _) = below.as_chunks::<2>();
        let above = pairs.iter().map(|[left, right]| hasher.parent(left, right));
        let above = above.collect::<Result<_, _>>()?;
        levels.push(above);
    }
    Ok(levels)
}

/// The siblings on the way from a place to the one node at the top.
fn siblings(levels: &[Vec<Node>], place: usize) -> impl Iterator<Item = &Node> {
    let steps = levels.iter().take(levels.len().saturating_sub(1)).zip(0_u32..);
    steps.filter_map(move |(level, height)| level.get(place.checked_shr(height).unwrap_or(0) ^ 1))
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
        let leaves = openings.iter().map(|opening| opening.node(&mut hasher)).collect();
        Ok(Self { levels: levels(&mut hasher, leaves)?, openings })
    }

    /// The leaves' openings.
    #[must_use]
    pub fn openings(&self) -> &[Opening] {
        &self.openings
    }

    /// The node above them.
    #[must_use]
    pub fn top(&self) -> Option<&Node> {
        self.levels.last()?.first()
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
        Ok(Self { levels: levels(&mut Hasher::default(), tops)?, scope })
    }

    /// What the tree covers.
    #[must_use]
    pub const fn scope(&self) -> &Scope {
        &self.scope
    }

    /// The root to publish.
    #[must_use]
    pub fn root(&self) -> Root {
        let none = Node { hash: [0; 32], sums: Vec::new() };
        Root::of(&self.scope, self.top().unwrap_or(&none))
    }

    /// What is owed to all, in the order of the scope's assets.
    #[must_use]
    pub fn totals(&self) -> &[u128] {
        self.top().map_or(&[], |top| &top.sums)
    }

    /// The tops of the boughs.
    #[must_use]
    pub fn tops(&self) -> &[Node] {
        self.levels.first().map_or(&[], Vec::as_slice)
    }

    fn top(&self) -> Option<&Node> {
        self.levels.last()?.first()
    }

    /// The file of the customer in a place of a bough; none where there is no customer.
    #[must_use]
    pub fn inclusion(&self, bough: usize, subtree: &Subtree, place: usize) -> Option<Inclusion> {
        let opening = subtree.openings.get(place).filter(|opening| !opening.name.is_empty())?.clone();
        let path = siblings(&subtree.levels, place).chain(siblings(&self.levels, bough)).cloned().collect();
        Some(Inclusion { scope: self.scope.clone(), index: self.index(bough, place)?, opening, path })
    }

    fn index(&self, bough: usize, place: usize) -> Option<u64> {
        let begin = u64::try_from(bough).ok()?.checked_shl(u32::from(bough_depth(&self.scope)))?;
        begin.checked_add(u64::try_from(place).ok()?)
    }

    /// The files of all customers in a bough, one after the other, through one buffer.
    ///
    /// # Errors
    /// Openings that are not this bough's.
    pub fn files(&self, number: usize, bough: &Bough, mut take: impl FnMut(&[u8])) -> Result<(), BoughError> {
        let head = inclusion_head(&self.scope);
        let written = |node: &Node| {
            let mut bytes = Vec::new();
            node.put(&mut bytes);
            bytes
        };
        let levels: Vec<Vec<Vec<u8>>> =
            bough.levels.iter().map(|level| level.iter().map(written).collect()).collect();
        let above: Vec<u8> = siblings(&self.levels, number).flat_map(written).collect();
        let (mut cursor, assets) = (Cursor::new(&bough.openings), self.scope.assets().len());
        let mut file = Vec::new();
        for place in 0..levels.first().map_or(0, Vec::len) {
            let begin = cursor.at();
            let opening = Opening::read(&mut cursor, assets);
            let opening = opening.map_err(|problem| BoughError::Leaf { leaf: place, problem })?;
            if opening.name.is_empty() {
                continue;
            }
            file.clear();
            file.extend_from_slice(&head);
            file.extend_from_slice(&self.index(number, place).unwrap_or(u64::MAX).to_be_bytes());
            file.extend_from_slice(bough.openings.get(begin..cursor.at()).unwrap_or_default());
            let steps = levels.iter().take(levels.len().saturating_sub(1)).zip(0_u32..);
            for (level, height) in steps {
                let sibling = level.get(place.checked_shr(height).unwrap_or(0) ^ 1);
                file.extend_from_slice(sibling.map_or(&[], Vec::as_slice));
            }
            file.extend_from_slice(&above);
            take(&file);
        }
        cursor.end()?;
        Ok(())
    }
}
