//! Proofs of an account's balance against a block's state: the nodes of a Merkle Patricia trie from the root to the account
//! (Yellow Paper, appendix D; EIP-1186).
//!
//! Decides what the state says of an account, and takes nothing from whoever answered: each node must be the one that the node
//! before it names by its hash.

use super::{
    Address, keccak256,
    rlp::{self, Item, RlpError},
};

/// Most nodes of a proof: one for each half byte of a key, and the last.
pub const NODES_MAX: usize = 65;
/// Longest node: a branch of sixteen hashes, with room.
pub const NODE_BYTES_MAX: usize = 1024;
/// A reference of this length is a hash; a shorter one is the node itself.
const HASH_BYTES: usize = 32;

/// Why a proof shows nothing.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum StateError {
    /// Too many nodes, or one too long.
    #[error(
        "proof has {nodes} nodes, the longest of {longest} bytes, want at most {NODES_MAX} of {NODE_BYTES_MAX}"
    )]
    Size {
        /// How many.
        nodes: usize,
        /// Bytes of the longest.
        longest: usize,
    },
    /// It ends before the account.
    #[error("proof ends at node {at}, before the account")]
    Short {
        /// How many nodes there are.
        at: usize,
    },
    /// Nodes that nothing names.
    #[error("proof has {got} nodes after the account's")]
    Trailing {
        /// How many.
        got: usize,
    },
    /// A node other than the one that the node before it, or the block, names.
    #[error("node {at} of the proof has another hash than {}", if *at == 0 { "the state's root in the block" } else { "the node before it says" })]
    Hash {
        /// Its place, from 0.
        at: usize,
    },
    /// A node that cannot be read.
    #[error("node {at} of the proof: {problem}")]
    Rlp {
        /// Its place, from 0.
        at: usize,
        /// What is wrong with it.
        problem: RlpError,
    },
    /// A node that is none of a trie.
    #[error("node {at} of the proof is none of a trie: {problem}")]
    Node {
        /// Its place, from 0.
        at: usize,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A leaf that is no account.
    #[error("the leaf is no account: {problem}")]
    Account {
        /// What is wrong with it.
        problem: &'static str,
    },
}

/// What the state says of an account.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Holding {
    /// Its balance in wei; nothing where it is beyond 128 bits, which is more than there is.
    pub wei: Option<u128>,
}

/// What the state under a root says of an address. One that the state does not have holds nothing.
///
/// # Errors
/// A proof that does not show it.
pub fn holding(state_root: &[u8; 32], address: &Address, nodes: &[Vec<u8>]) -> Result<Holding, StateError> {
    let longest = nodes.iter().map(Vec::len).max().unwrap_or(0);
    if nodes.len() > NODES_MAX || longest > NODE_BYTES_MAX {
        return Err(StateError::Size { nodes: nodes.len(), longest });
    }
    match leaf(state_root, &keccak256(address.as_bytes()), nodes)? {
        Some(account) => account_of(&account),
        None => Ok(Holding { wei: Some(0) }),
    }
}

/// A node on the way.
#[derive(Clone, Copy)]
struct Step<'a> {
    /// Its place among the nodes of the proof; a node within another has the other's.
    at: usize,
    bytes: &'a [u8],
}

/// What the trie has under a key; nothing if the nodes show that it has nothing.
fn leaf(root: &[u8; 32], key: &[u8; 32], nodes: &[Vec<u8>]) -> Result<Option<Vec<u8>>, StateError> {
    // A trie of nothing has the hash of an empty string, and no nodes.
    if nodes.is_empty() && *root == keccak256(&[0x80]) {
        return Ok(None);
    }
    let key: Vec<u8> = key.iter().flat_map(|byte| [byte >> 4, byte & 15]).collect();
    let mut rest = key.as_slice();
    let mut step = named(nodes, 0, root)?;
    loop {
        let broken = |problem| StateError::Node { at: step.at, problem };
        let items = rlp::list(step.bytes).map_err(|problem| StateError::Rlp { at: step.at, problem })?;
        let next = match items.as_slice() {
            [children @ .., value] if items.len() == 17 => match rest.split_first() {
                Some((nibble, after)) => {
                    rest = after;
                    children.get(usize::from(*nibble)).copied()
                }
                None => {
                    let value = string(*value, step.at)?;
                    return ended(nodes, step.at, (!value.is_empty()).then(|| value.to_vec()));
                }
            },
            [path, value] => {
                let (path, is_leaf) =
                    path_of(string(*path, step.at)?).ok_or_else(|| broken("its path is malformed"))?;
                match (rest.strip_prefix(path.as_slice()), is_leaf) {
                    (Some([]), true) => {
                        return ended(nodes, step.at, Some(string(*value, step.at)?.to_vec()));
                    }
                    (Some(_), true) | (None, _) => return ended(nodes, step.at, None),
                    (Some(_), false) if path.is_empty() => return Err(broken("an extension goes nowhere")),
                    (Some(after), false) => {
                        rest = after;
                        Some(*value)
                    }
                }
            }
            _ => return Err(broken("it has neither 17 items nor 2")),
        };
        step = match next {
            Some(Item::Bytes([])) => return ended(nodes, step.at, None),
            Some(Item::Bytes(hash)) => {
                let hash = hash.try_into().map_err(|_| broken("a reference is no hash"))?;
                named(nodes, step.at.saturating_add(1), hash)?
            }
            Some(Item::List(within)) if within.len() < HASH_BYTES => Step { at: step.at, bytes: within },
            Some(Item::List(_)) | None => return Err(broken("a node within it is as long as a hash")),
        };
    }
}

fn string(item: Item<'_>, at: usize) -> Result<&[u8], StateError> {
    item.bytes().map_err(|_| StateError::Node { at, problem: "its path or value is a list" })
}

/// The node at a place, which must have this hash.
fn named<'a>(nodes: &'a [Vec<u8>], at: usize, hash: &[u8; 32]) -> Result<Step<'a>, StateError> {
    let bytes = nodes.get(at).ok_or(StateError::Short { at })?;
    if keccak256(bytes) == *hash { Ok(Step { at, bytes }) } else { Err(StateError::Hash { at }) }
}

/// The end of the way, which must be the end of the proof.
fn ended(nodes: &[Vec<u8>], at: usize, value: Option<Vec<u8>>) -> Result<Option<Vec<u8>>, StateError> {
    match nodes.len().saturating_sub(at.saturating_add(1)) {
        0 => Ok(value),
        got => Err(StateError::Trailing { got }),
    }
}

/// The half bytes of a path and whether it ends in a leaf; nothing if its spelling is another than the one there is.
fn path_of(bytes: &[u8]) -> Option<(Vec<u8>, bool)> {
    let (first, more) = bytes.split_first()?;
    let (odd, is_leaf) = match first >> 4 {
        0 => (false, false),
        1 => (true, false),
        2 => (false, true),
        3 => (true, true),
        _ => return None,
    };
    if !odd && first & 15 != 0 {
        return None;
    }
    let halves = more.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    Some((odd.then_some(first & 15).into_iter().chain(halves).collect(), is_leaf))
}

/// An account as the state has it: nonce, balance, storage root, code hash (Yellow Paper, section 4.1).
fn account_of(bytes: &[u8]) -> Result<Holding, StateError> {
    let wrong = |problem| StateError::Account { problem };
    let items = rlp::list(bytes).map_err(|_| wrong("it is no list"))?;
    let strings: Result<Vec<&[u8]>, RlpError> = items.into_iter().map(Item::bytes).collect();
    let strings = strings.map_err(|_| wrong("it has a list in it"))?;
    let [nonce, balance, storage, code] = strings.as_slice() else {
        return Err(wrong("it has not four fields"));
    };
    if storage.len() != HASH_BYTES || code.len() != HASH_BYTES || balance.len() > HASH_BYTES {
        return Err(wrong("a field has another length"));
    }
    rlp::number(nonce).map_err(|_| wrong("its nonce has zeros before it"))?;
    let wei = rlp::number(balance).map_err(|_| wrong("its balance has zeros before it"))?;
    Ok(Holding { wei })
}

#[cfg(test)]
mod tests;
