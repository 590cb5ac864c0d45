//! The tree by its definition, slow and obvious, and what the other tests share.

use std::collections::BTreeMap;

use kuraban_base::{Instant, TreeHash};
use kuraban_proof::{
    Cosigner, Fold, Frontier, KeyName, NoteSigner, Resource, SignedCheckpoint, Tiler, TreeHead, Witness,
    tile::{EntryBundle, encode_bundle},
};
use sha2::{Digest as _, Sha256};

/// A point in time that is not near the epoch.
pub(crate) const NOW: Instant = Instant::from_ms(1_790_000_000_500);

/// MTH of RFC 6962 §2.1 over leaf hashes, word for word.
pub(crate) fn mth(leaves: &[TreeHash]) -> TreeHash {
    match leaves {
        [] => TreeHash::from_bytes(Sha256::digest([]).into()),
        [leaf] => *leaf,
        _ => {
            let (left, right) = leaves.split_at(split(leaves.len()));
            node(mth(left), mth(right))
        }
    }
}

/// PATH of RFC 6962 §2.1.1.
pub(crate) fn path(index: usize, leaves: &[TreeHash]) -> Vec<TreeHash> {
    if leaves.len() == 1 {
        return vec![];
    }
    let k = split(leaves.len());
    let (left, right) = leaves.split_at(k);
    let (mut path, sibling) =
        if index < k { (path(index, left), right) } else { (path(index - k, right), left) };
    path.push(mth(sibling));
    path
}

/// SUBPROOF of RFC 6962 §2.1.2.
pub(crate) fn subproof(earlier: usize, leaves: &[TreeHash], whole: bool) -> Vec<TreeHash> {
    if earlier == leaves.len() {
        return if whole { vec![] } else { vec![mth(leaves)] };
    }
    let k = split(leaves.len());
    let (left, right) = leaves.split_at(k);
    if earlier <= k {
        let mut proof = subproof(earlier, left, whole);
        proof.push(mth(right));
        proof
    } else {
        let mut proof = subproof(earlier - k, right, false);
        proof.push(mth(left));
        proof
    }
}

fn split(count: usize) -> usize {
    let mut k = 1;
    while k * 2 < count {
        k *= 2;
    }
    k
}

fn node(left: TreeHash, right: TreeHash) -> TreeHash {
    let mut hasher = Sha256::new();
    hasher.update([1]);
    hasher.update(left.as_bytes());
    hasher.update(right.as_bytes());
    TreeHash::from_bytes(hasher.finalize().into())
}

pub(crate) fn leaf(entry: &[u8]) -> TreeHash {
    let mut hasher = Sha256::new();
    hasher.update([0]);
    hasher.update(entry);
    TreeHash::from_bytes(hasher.finalize().into())
}

/// Entry number `index` of the log `world`.
pub(crate) fn entry(world: &str, index: u64) -> Vec<u8> {
    format!("{world} entry {index}").into_bytes()
}

pub(crate) fn leaves(world: &str, size: u64) -> Vec<TreeHash> {
    (0..size).map(|index| leaf(&entry(world, index))).collect()
}

pub(crate) fn wide(count: usize) -> u64 {
    count.try_into().unwrap()
}

pub(crate) fn narrow(count: u64) -> usize {
    count.try_into().unwrap()
}

pub(crate) fn head(leaves: &[TreeHash]) -> TreeHead {
    TreeHead { size: wide(leaves.len()), root: mth(leaves) }
}

pub(crate) fn frontier(leaves: &[TreeHash]) -> Frontier {
    let mut frontier = Frontier::new();
    leaves.iter().for_each(|leaf| frontier.append(*leaf));
    frontier
}

pub(crate) fn name(text: &str) -> KeyName {
    text.parse().unwrap()
}

pub(crate) fn log() -> NoteSigner {
    NoteSigner::from_seed(name("example.com/log"), &[7; 32])
}

pub(crate) fn witness(number: u8) -> Witness {
    let cosigner = Cosigner::from_seed(name(&format!("witness.example/{number}")), &[100 + number; 32]);
    Witness::new(cosigner, vec![log().verifier().clone()])
}

pub(crate) fn signed(head: TreeHead) -> SignedCheckpoint {
    SignedCheckpoint::sign(&log(), head).unwrap()
}

/// The checkpoint with the cosignatures of witnesses that saw it first and at the given times.
pub(crate) fn cosigned(head: TreeHead, by: &[(u8, Instant)]) -> SignedCheckpoint {
    let mut checkpoint = signed(head);
    for (number, at) in by {
        let witness = witness(*number);
        let request = kuraban_proof::AddCheckpoint::new(0, vec![], &checkpoint);
        let answer = witness.add_checkpoint(TreeHead::empty(), &request, *at).unwrap().answer();
        assert_eq!(checkpoint.add_cosignatures(&answer, &[witness.verifier().clone()]), Ok(1));
    }
    checkpoint
}

/// A fold over leaves that starts at the empty tree, with `last` the last cosigned head.
pub(crate) fn fold(leaves: &[TreeHash], last: TreeHead) -> Fold {
    let mut fold = Fold::new(name("example.com/log"), Frontier::new(), last).unwrap();
    leaves.iter().for_each(|leaf| fold.append(*leaf).unwrap());
    fold
}

/// Every resource of a log of `size` entries, by path.
pub(crate) fn resources(world: &str, size: u64) -> BTreeMap<String, Vec<u8>> {
    let mut resources = BTreeMap::new();
    for index in 0.. {
        let Some(bundle) = EntryBundle::of(size, index) else { break };
        let numbers = bundle.start()..bundle.start() + u64::from(bundle.width());
        let bytes = encode_bundle(numbers.map(|number| entry(world, number))).unwrap();
        resources.insert(Resource::Entries(bundle).to_string(), bytes);
    }
    for tile in Tiler::new().extend(leaves(world, size)) {
        resources.insert(Resource::Tile(tile.tile).to_string(), tile.bytes);
    }
    resources
}
