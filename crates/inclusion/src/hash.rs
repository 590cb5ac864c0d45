//! The hashes of the sum tree. A parent hashes the hashes and the sums of both children, each by itself: a parent that hashed
//! only the sum of its children could show two customers different halves of it (the fault in Maxwell's first form).

use alloc::vec::Vec;
use core::{fmt, str::FromStr};

use sha2::{Digest as _, Sha256};

use crate::Scope;

/// Random bytes that hide what a leaf holds, and that order the leaves.
pub type Salt = [u8; 32];

/// What separates these hashes from all others, in the first block of each.
const DOMAIN: &[u8] = b"kuraban-liabilities-v1";
/// What fills the block after the domain and before the kind.
const FILL: [u8; 63 - DOMAIN.len()] = [0; 63 - DOMAIN.len()];

/// What a hash is of.
#[derive(Clone, Copy)]
enum Kind {
    Leaf,
    Node,
    Scope,
    Root,
    Totals,
}

fn hasher(kind: Kind) -> Sha256 {
    let kind = match kind {
        Kind::Leaf => 0,
        Kind::Node => 1,
        Kind::Scope => 2,
        Kind::Root => 3,
        Kind::Totals => 4,
    };
    Sha256::new().chain_update(DOMAIN).chain_update(FILL).chain_update([kind])
}

/// The hash that an exchange publishes: of the scope, the top node and the totals.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Root([u8; 32]);

impl Root {
    /// The root with these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The root over a top node.
    #[must_use]
    pub fn of(scope: &Scope, top: &Node) -> Self {
        let scope = hasher(Kind::Scope).chain_update(scope.encode()).finalize();
        let mut root = hasher(Kind::Root).chain_update(scope).chain_update(top.hash);
        for sum in &top.sums {
            root.update(sum.to_be_bytes());
        }
        Self(root.finalize().into())
    }
}

/// The digest of the totals: of the assets' codes and decimals, and what is owed of each.
#[must_use]
pub fn totals_digest(scope: &Scope, totals: &[u128]) -> [u8; 32] {
    let mut digest = hasher(Kind::Totals);
    for (asset, total) in scope.assets().iter().zip(totals) {
        let length = u64::try_from(asset.code.len()).unwrap_or(u64::MAX);
        digest.update(length.to_be_bytes());
        digest.update(&asset.code);
        digest.update([asset.decimals]);
        digest.update(total.to_be_bytes());
    }
    digest.finalize().into()
}

impl fmt::Display for Root {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Root {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Root({self})")
    }
}

/// Text that is no root.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a root has 64 hexadecimal digits; it stands in the log and in what the exchange published")]
pub struct NotRoot;

impl FromStr for Root {
    type Err = NotRoot;

    fn from_str(text: &str) -> Result<Self, NotRoot> {
        let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return Err(NotRoot) };
        let mut bytes = [0; 32];
        if pairs.len() != bytes.len() {
            return Err(NotRoot);
        }
        let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
            *byte = digit(*high).ok_or(NotRoot)? << 4 | digit(*low).ok_or(NotRoot)?;
        }
        Ok(Self(bytes))
    }
}

/// A node of the tree: a hash, and for each asset the sum of all leaves beneath.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Node {
    /// The hash.
    pub hash: [u8; 32],
    /// The sums, in the order of the scope's assets.
    pub sums: Vec<u128>,
}

/// A sum beyond 128 bits.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the sum of asset number {asset} is beyond 2^128 - 1, which no asset has")]
pub struct Overflow {
    /// The asset's place in the scope, from 0.
    pub asset: usize,
}

/// Hashes leaves and nodes, many after each other.
#[derive(Clone)]
pub struct Hasher {
    leaf: Sha256,
    node: Sha256,
    bytes: Vec<u8>,
}

impl Default for Hasher {
    fn default() -> Self {
        Self { leaf: hasher(Kind::Leaf), node: hasher(Kind::Node), bytes: Vec::new() }
    }
}

impl fmt::Debug for Hasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hasher")
    }
}

impl Hasher {
    /// The hash of a leaf; padding has no name.
    pub fn leaf(&mut self, salt: &Salt, name: &str, amounts: &[u128]) -> [u8; 32] {
        self.bytes.clear();
        self.bytes.extend_from_slice(salt);
        let length = u64::try_from(name.len()).unwrap_or(u64::MAX);
        self.bytes.extend_from_slice(&length.to_be_bytes());
        self.bytes.extend_from_slice(name.as_bytes());
        put_all(&mut self.bytes, amounts);
        self.leaf.clone().chain_update(&self.bytes).finalize().into()
    }

    /// The node above two.
    ///
    /// # Errors
    /// A sum that does not fit. Both have as many sums as the scope has assets; where one has fewer, so has the parent.
    pub fn parent(&mut self, left: &Node, right: &Node) -> Result<Node, Overflow> {
        let mut sums = Vec::with_capacity(left.sums.len());
        let hash = self.join((&left.hash, &left.sums), (&right.hash, &right.sums), &mut sums)?;
        Ok(Node { hash, sums })
    }

    /// The hash above two nodes; the sums go to the end of a list.
    ///
    /// # Errors
    /// As [`parent`](Self::parent).
    pub fn join(
        &mut self,
        left: (&[u8; 32], &[u128]),
        right: (&[u8; 32], &[u128]),
        sums: &mut Vec<u128>,
    ) -> Result<[u8; 32], Overflow> {
        self.bytes.clear();
        for (hash, sums) in [left, right] {
            self.bytes.extend_from_slice(hash);
            put_all(&mut self.bytes, sums);
        }
        for (asset, (left, right)) in left.1.iter().zip(right.1).enumerate() {
            sums.push(left.checked_add(*right).ok_or(Overflow { asset })?);
        }
        Ok(self.node.clone().chain_update(&self.bytes).finalize().into())
    }
}

fn put_all(to: &mut Vec<u8>, amounts: &[u128]) {
    let begin = to.len();
    to.resize(begin.saturating_add(amounts.len().saturating_mul(16)), 0);
    let (places, _) = to.get_mut(begin..).unwrap_or_default().as_chunks_mut::<16>();
    for (place, amount) in places.iter_mut().zip(amounts) {
        *place = amount.to_be_bytes();
    }
}

#[cfg(test)]
mod tests {
    use alloc::{string::ToString as _, vec};

    use super::*;

    #[test]
    fn a_parent_tells_apart_who_has_what() {
        let mut hasher = Hasher::default();
        let node = |byte, sum| Node { hash: [byte; 32], sums: vec![sum] };
        let mut hash = |left: &Node, right: &Node| hasher.parent(left, right).unwrap().hash;
        let base = hash(&node(1, 5), &node(2, 7));
        // The same sum, otherwise split; and the children the other way round.
        assert_ne!(base, hash(&node(1, 6), &node(2, 6)));
        assert_ne!(base, hash(&node(2, 7), &node(1, 5)));
        assert_eq!(base, hash(&node(1, 5), &node(2, 7)));
    }

    #[test]
    fn sums_end_at_128_bits() {
        let mut hasher = Hasher::default();
        let node = |sums: &[u128]| Node { hash: [0; 32], sums: sums.to_vec() };
        let sum = hasher.parent(&node(&[1, u128::MAX - 1]), &node(&[2, 1])).unwrap().sums;
        assert_eq!(sum, [3, u128::MAX]);
        assert_eq!(hasher.parent(&node(&[1, u128::MAX]), &node(&[2, 1])), Err(Overflow { asset: 1 }));
    }

    #[test]
    fn roots_are_64_digits() {
        let text = "975ec405ac9dc9fa5ab8009d94d6a1fe31dff8a8127ea90d023104e52754e4d7";
        assert_eq!(text.parse::<Root>().unwrap().to_string(), text);
        let (short, long) = (&text[1..], [text, "0"].concat());
        for bad in ["", short, &long, &text.replace('9', "g"), &text.replace("97", "é")] {
            assert_eq!(bad.parse::<Root>(), Err(NotRoot), "{bad}");
        }
    }
}
