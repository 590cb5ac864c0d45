//! A customer's file: the leaf and the path from it to the root. Decides whether what the file says of the customer is counted
//! under a root; whether that root is the one that everybody was shown, the log says.

use alloc::{string::String, vec::Vec};

use crate::{
    Hasher, Node, Overflow, Root, Salt, Scope, ScopeError,
    wire::{Cursor, WireError, put_amount, put_text},
};

/// Longest name of a customer, in bytes.
pub const NAME_MAX: usize = 64;
/// Longest file, in bytes.
pub const INCLUSION_LENGTH_MAX: usize = 1 << 20;

/// What a file begins with.
const MAGIC: &[u8; 8] = b"KRBNINC1";

/// What a leaf's hash is of.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Opening {
    /// The customer, as the exchange names it; padding has no name.
    pub name: String,
    /// What hides the leaf from others.
    pub salt: Salt,
    /// What the customer has, in the order of the scope's assets.
    pub amounts: Vec<u128>,
}

/// A customer's file, taken apart.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Inclusion {
    /// What the tree covers.
    pub scope: Scope,
    /// The customer's leaf.
    pub opening: Opening,
    /// The leaf's place, from 0.
    pub index: u64,
    /// The siblings on the way up, the leaf's first.
    pub path: Vec<Node>,
}

/// What a file shows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Verified {
    /// What the tree covers.
    pub scope: Scope,
    /// The customer.
    pub name: String,
    /// What is counted for the customer, in the order of the scope's assets.
    pub amounts: Vec<u128>,
    /// What is counted for all, in the same order.
    pub totals: Vec<u128>,
}

/// Why a file shows nothing.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Refused {
    /// Longer than any is.
    #[error("the file has {found} bytes, want at most {INCLUSION_LENGTH_MAX}")]
    Long {
        /// Its length.
        found: usize,
    },
    /// Not a file of this kind.
    #[error("is no inclusion file: it does not begin with KRBNINC1")]
    Magic,
    /// Not the bytes of one.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// What it covers cannot be.
    #[error("what the tree covers: {0}")]
    Scope(#[from] ScopeError),
    /// A customer without a name, or with too long a one.
    #[error("the customer's name has {found} bytes, want 1 to {NAME_MAX}")]
    Name {
        /// Its length.
        found: usize,
    },
    /// A leaf outside of the tree.
    #[error("leaf {index} lies beyond the {leaves} leaves of the tree")]
    Index {
        /// Its place.
        index: u64,
        /// How many leaves there are.
        leaves: u64,
    },
    /// Sums that no honest tree has.
    #[error(transparent)]
    Overflow(#[from] Overflow),
    /// The path leads elsewhere.
    #[error(
        "leads to root {found}, want {want}: the file was changed, or is of another day, or the exchange does not count this holding"
    )]
    Root {
        /// Where it leads.
        found: Root,
        /// Where it should.
        want: Root,
    },
}

impl Opening {
    /// Writes name, salt and amounts.
    pub fn put(&self, to: &mut Vec<u8>) {
        put_opening(to, &self.name, &self.salt, &self.amounts);
    }

    /// Reads what [`put`](Self::put) wrote, of so many assets.
    ///
    /// # Errors
    /// Anything else, and names of more than [`NAME_MAX`] bytes.
    pub fn read(cursor: &mut Cursor<'_>, assets: usize) -> Result<Self, Refused> {
        let name = String::from(cursor.text()?);
        if name.len() > NAME_MAX {
            return Err(Refused::Name { found: name.len() });
        }
        Ok(Self { name, salt: cursor.array()?, amounts: cursor.amounts(assets)? })
    }

    /// The leaf.
    pub fn node(&self, hasher: &mut Hasher) -> Node {
        Node { hash: hasher.leaf(&self.salt, &self.name, &self.amounts), sums: self.amounts.clone() }
    }
}

/// Writes an opening of these parts, as [`Opening::put`] does.
pub fn put_opening(to: &mut Vec<u8>, name: &str, salt: &Salt, amounts: &[u128]) {
    put_text(to, name);
    to.extend_from_slice(salt);
    amounts.iter().for_each(|amount| put_amount(to, *amount));
}

/// What comes before a customer's leaf in the files of one tree.
#[must_use]
pub fn inclusion_head(scope: &Scope) -> Vec<u8> {
    [MAGIC.as_slice(), &scope.encode()].concat()
}

impl Inclusion {
    /// Its bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = inclusion_head(&self.scope);
        bytes.extend_from_slice(&self.index.to_be_bytes());
        self.opening.put(&mut bytes);
        self.path.iter().for_each(|node| node.put(&mut bytes));
        bytes
    }

    /// Reads a file.
    ///
    /// # Errors
    /// Bytes that are no such file, to the last.
    pub fn decode(bytes: &[u8]) -> Result<Self, Refused> {
        if bytes.len() > INCLUSION_LENGTH_MAX {
            return Err(Refused::Long { found: bytes.len() });
        }
        let mut cursor = Cursor::new(bytes);
        if cursor.take(MAGIC.len()).ok() != Some(MAGIC) {
            return Err(Refused::Magic);
        }
        let scope = Scope::read(&mut cursor)?;
        let (index, leaves) = (u64::from_be_bytes(cursor.array()?), scope.leaves());
        if index >= leaves {
            return Err(Refused::Index { index, leaves });
        }
        let assets = scope.assets().len();
        let opening = Opening::read(&mut cursor, assets)?;
        if opening.name.is_empty() {
            return Err(Refused::Name { found: 0 });
        }
        let mut path = Vec::new();
        for _ in 0..scope.depth() {
            path.push(Node::read(&mut cursor, assets)?);
        }
        cursor.end()?;
        Ok(Self { scope, opening, index, path })
    }

    /// Climbs from the leaf to the root.
    ///
    /// # Errors
    /// A sum beyond 128 bits, another root.
    pub fn verify(self, want: Root) -> Result<Verified, Refused> {
        let mut hasher = Hasher::default();
        let mut top = self.opening.node(&mut hasher);
        let mut index = self.index;
        for sibling in &self.path {
            let is_left = index & 1 == 0;
            top = if is_left { hasher.parent(&top, sibling) } else { hasher.parent(sibling, &top) }?;
            index >>= 1;
        }
        let found = Root::of(&self.scope, &top);
        if found != want {
            return Err(Refused::Root { found, want });
        }
        let Opening { name, amounts, .. } = self.opening;
        Ok(Verified { scope: self.scope, name, amounts, totals: top.sums })
    }
}

impl Node {
    /// Writes the hash and the sums, each in its shortest form.
    pub fn put(&self, to: &mut Vec<u8>) {
        to.extend_from_slice(&self.hash);
        self.sums.iter().for_each(|sum| put_amount(to, *sum));
    }

    /// Reads what [`put`](Self::put) wrote, of so many assets.
    ///
    /// # Errors
    /// Anything else.
    pub fn read(cursor: &mut Cursor<'_>, assets: usize) -> Result<Self, WireError> {
        Ok(Self { hash: cursor.array()?, sums: cursor.amounts(assets)? })
    }
}

/// Whether the holding in a file is counted under a root, and what it is.
///
/// # Errors
/// Bytes that are no inclusion file, sums that cannot be, another root.
pub fn verify(file: &[u8], root: Root) -> Result<Verified, Refused> {
    Inclusion::decode(file)?.verify(root)
}
