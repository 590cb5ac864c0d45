//! Tree hashes and proofs: RFC 6962 test tree, the definition, and the crate `tlog_tiles`.

use kuraban_base::TreeHash;
use kuraban_proof::{
    Frontier, TreeHead, prove,
    tree::{ProofError, empty_root, leaf_hash},
};
use proptest::prelude::*;

use crate::oracle::{frontier, head, leaves, mth, narrow, path, subproof, wide};

/// The entries of the tree on which Certificate Transparency's own tests agree.
const ENTRIES: [&str; 8] =
    ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"];

const ROOTS: [&str; 9] = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
];

const LEAF_1: &str = "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7";
const LEAF_4: &str = "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b";
const LEAF_4_AND_5: &str = "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a";
const LEAVES_2_3: &str = "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e";
const LEAVES_4_7: &str = "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4";
const LEAVES_6_7: &str = "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0";

fn published(size: usize) -> Vec<TreeHash> {
    ENTRIES[..size].iter().map(|entry| leaf_hash(&kuraban_base::hex::decode(entry).unwrap())).collect()
}

fn hashes(texts: &[&str]) -> Vec<TreeHash> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

/// Nodes by the definition, as a reader.
fn nodes(leaves: &[TreeHash]) -> impl FnMut(u8, u64) -> Result<TreeHash, String> + '_ {
    |level, index| {
        let start = narrow(index << level);
        let range = leaves.get(start..start + (1 << level));
        range.map(mth).ok_or_else(|| format!("no node {index} at level {level}"))
    }
}

#[test]
fn roots_are_those_published_for_the_test_tree() {
    for (size, want) in ROOTS.iter().enumerate() {
        assert_eq!(frontier(&published(size)).root().to_string(), *want, "size {size}");
    }
    assert_eq!(empty_root().to_string(), ROOTS[0]);
}

#[test]
fn inclusion_paths_are_those_published_for_the_test_tree() {
    let check = |index: u64, size: usize, want: &[&str]| {
        let leaves = published(size);
        let path = prove::inclusion(index, wide(size), nodes(&leaves)).unwrap();
        assert_eq!(path, hashes(want), "leaf {index} of {size}");
        assert_eq!(head(&leaves).includes(leaves[narrow(index)], index, &path), Ok(()));
    };
    check(0, 1, &[]);
    check(0, 8, &[LEAF_1, LEAVES_2_3, LEAVES_4_7]);
    check(5, 8, &[LEAF_4, LEAVES_6_7, ROOTS[4]]);
    check(2, 3, &[ROOTS[2]]);
    check(1, 5, &[ROOTS[1], LEAVES_2_3, LEAF_4]);
}

#[test]
fn consistency_proofs_are_those_published_for_the_test_tree() {
    let check = |earlier: usize, size: usize, want: &[&str]| {
        let leaves = published(size);
        let proof = prove::consistency(wide(earlier), wide(size), nodes(&leaves)).unwrap();
        assert_eq!(proof, hashes(want), "{earlier} in {size}");
        assert_eq!(head(&leaves).extends(&head(&published(earlier)), &proof), Ok(()));
    };
    check(1, 1, &[]);
    check(1, 8, &[LEAF_1, LEAVES_2_3, LEAVES_4_7]);
    check(6, 8, &[LEAF_4_AND_5, LEAVES_6_7, ROOTS[4]]);
    check(2, 5, &[LEAVES_2_3, LEAF_4]);
    check(0, 8, &[]);
}

#[test]
fn every_proof_of_small_trees_is_that_of_the_definition_and_no_other_passes() {
    let all = leaves("small", 34);
    for size in 1..=all.len() {
        let (tree, whole) = (&all[..size], head(&all[..size]));
        for index in 0..size {
            let proof = prove::inclusion(wide(index), wide(size), nodes(tree)).unwrap();
            assert_eq!(proof, path(index, tree));
            for (claimed, leaf) in tree.iter().enumerate() {
                let shown = whole.includes(*leaf, wide(index), &proof).is_ok();
                assert_eq!(shown, claimed == index, "leaf {claimed} as {index} of {size}");
            }
        }
        for earlier in 1..=size {
            let proof = prove::consistency(wide(earlier), wide(size), nodes(tree)).unwrap();
            assert_eq!(proof, subproof(earlier, tree, true));
            for claimed in 1..=size {
                let shown = whole.extends(&head(&all[..claimed]), &proof).is_ok();
                let same = claimed == earlier || subproof(claimed, tree, true) == proof;
                assert_eq!(shown, same, "{claimed} with the proof of {earlier} in {size}");
            }
        }
    }
}

#[test]
fn what_lies_beyond_the_tree_is_refused() {
    let tree = leaves("beyond", 5);
    let whole = head(&tree);
    let beyond = |found| ProofError::Beyond { found, size: 5 };
    assert_eq!(whole.includes(tree[4], 5, &path(4, &tree)), Err(beyond(5)));
    assert_eq!(TreeHead::empty().includes(tree[0], 0, &[]), Err(ProofError::Beyond { found: 0, size: 0 }));
    assert_eq!(whole.extends(&head(&leaves("beyond", 6)), &[]), Err(beyond(6)));
    assert!(prove::inclusion(5, 5, nodes(&tree)).is_err());
    assert!(prove::consistency(6, 5, nodes(&tree)).is_err());
    let missing = prove::inclusion(0, 6, nodes(&tree)).unwrap_err();
    assert_eq!(missing.to_string(), "node 2 of level 1 could not be read");
}

#[test]
fn empty_and_equal_trees_need_an_empty_proof_and_the_right_root() {
    let tree = leaves("equal", 5);
    let (whole, other) = (head(&tree), head(&leaves("other", 5)));
    assert_eq!(whole.extends(&TreeHead::empty(), &[]), Ok(()));
    assert_eq!(whole.extends(&whole, &[]), Ok(()));
    assert!(matches!(whole.extends(&other, &[]), Err(ProofError::Root { size: 5, .. })));
    let forged = TreeHead { size: 0, root: whole.root };
    assert!(matches!(whole.extends(&forged, &[]), Err(ProofError::Root { size: 0, .. })));
    assert_eq!(whole.extends(&TreeHead::empty(), &tree[..1]), Err(ProofError::Length { got: 1 }));
    assert_eq!(whole.extends(&whole, &tree[..1]), Err(ProofError::Length { got: 1 }));
}

#[test]
fn frontiers_are_refused_at_every_truncation_and_with_other_node_counts() {
    let bytes = frontier(&leaves("frontier", 11)).encode();
    assert_eq!(Frontier::decode(&bytes), Ok(frontier(&leaves("frontier", 11))));
    for end in 0..bytes.len() {
        assert!(Frontier::decode(&bytes[..end]).is_err(), "{end} bytes");
    }
    assert_eq!(Frontier::from_nodes(3, leaves("frontier", 1)), None);
    assert_eq!(Frontier::from_nodes(u64::MAX, leaves("frontier", 64)), None);
    assert!(Frontier::from_nodes(u64::MAX >> 1, leaves("frontier", 63)).is_some());
}

#[test]
fn heads_are_kept_as_bytes_and_refused_at_every_truncation() {
    let kept = head(&leaves("kept", 11));
    let bytes = kept.encode();
    assert_eq!(TreeHead::decode(&bytes), Ok(kept));
    for end in 0..bytes.len() {
        assert!(TreeHead::decode(&bytes[..end]).is_err(), "{end} bytes");
    }
    let decode = |size: u64| TreeHead::decode(&TreeHead { size, ..kept }.encode()).is_ok();
    assert_eq!((decode(u64::MAX >> 1), decode(1 << 63)), (true, false));
}

/// Stored hashes in the order of `tlog_tiles`.
struct Stored(Vec<tlog_tiles::Hash>);

impl tlog_tiles::HashReader for Stored {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<tlog_tiles::Hash>, tlog_tiles::Error> {
        Ok(indexes.iter().map(|index| self.0[narrow(*index)]).collect())
    }
}

fn stored(leaves: &[TreeHash]) -> Stored {
    let mut stored = Stored(vec![]);
    for (index, leaf) in (0..).zip(leaves) {
        let hash = tlog_tiles::Hash(*leaf.as_bytes());
        let more = tlog_tiles::stored_hashes_for_record_hash(index, hash, &stored).unwrap();
        stored.0.extend(more);
    }
    stored
}

fn ours(proof: &[tlog_tiles::Hash]) -> Vec<TreeHash> {
    proof.iter().map(|hash| TreeHash::from_bytes(hash.0)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn proofs_agree_with_the_definition_and_with_another_crate(size in 1_u64..3000, a in any::<u64>(), b in any::<u64>()) {
        let (index, earlier) = (a % size, b % size + 1);
        let tree = leaves("random", size);
        let (theirs, whole) = (stored(&tree), frontier(&tree).head());
        prop_assert_eq!(whole.root, mth(&tree));
        prop_assert_eq!(*whole.root.as_bytes(), tlog_tiles::tree_hash(size, &theirs).unwrap().0);

        let proof = prove::inclusion(index, size, nodes(&tree)).unwrap();
        prop_assert_eq!(&proof, &path(narrow(index), &tree));
        prop_assert_eq!(&proof, &ours(&tlog_tiles::prove_record(size, index, &theirs).unwrap()));
        prop_assert_eq!(whole.includes(tree[narrow(index)], index, &proof), Ok(()));

        let before = frontier(&tree[..narrow(earlier)]).head();
        let proof = prove::consistency(earlier, size, nodes(&tree)).unwrap();
        prop_assert_eq!(&proof, &subproof(narrow(earlier), &tree, true));
        prop_assert_eq!(&proof, &ours(&tlog_tiles::prove_tree(size, earlier, &theirs).unwrap()));
        prop_assert_eq!(whole.extends(&before, &proof), Ok(()));
    }

    #[test]
    fn a_flipped_bit_anywhere_in_a_proof_is_refused(size in 2_u64..600, a in any::<u64>(), b in any::<u64>(), bit in 0_u8..8) {
        let (index, earlier) = (a % size, b % (size - 1) + 1);
        let tree = leaves("flipped", size);
        let whole = head(&tree);
        let leaf = tree[narrow(index)];
        let before = head(&tree[..narrow(earlier)]);
        let inclusion = prove::inclusion(index, size, nodes(&tree)).unwrap();
        let consistency = prove::consistency(earlier, size, nodes(&tree)).unwrap();
        let flip = |hash: TreeHash| {
            let mut bytes = *hash.as_bytes();
            bytes[narrow(b % 32)] ^= 1 << bit;
            TreeHash::from_bytes(bytes)
        };
        for at in 0..inclusion.len() {
            let mut wrong = inclusion.clone();
            wrong[at] = flip(wrong[at]);
            prop_assert!(whole.includes(leaf, index, &wrong).is_err());
        }
        for at in 0..consistency.len() {
            let mut wrong = consistency.clone();
            wrong[at] = flip(wrong[at]);
            prop_assert!(whole.extends(&before, &wrong).is_err());
        }
        prop_assert!(whole.includes(flip(leaf), index, &inclusion).is_err());
        let other_before = TreeHead { root: flip(before.root), ..before };
        prop_assert!(whole.extends(&other_before, &consistency).is_err());
        let other_whole = TreeHead { root: flip(whole.root), ..whole };
        prop_assert!(other_whole.extends(&before, &consistency).is_err());
        for (proof, longer) in [(&inclusion, leaf), (&consistency, before.root)] {
            let shorter = &proof[..proof.len() - 1];
            let longer = [proof.as_slice(), &[longer]].concat();
            prop_assert!(whole.includes(leaf, index, shorter).is_err());
            prop_assert!(whole.includes(leaf, index, &longer).is_err());
            prop_assert!(whole.extends(&before, shorter).is_err());
            prop_assert!(whole.extends(&before, &longer).is_err());
        }
    }

    #[test]
    fn a_frontier_kept_as_bytes_goes_on_where_it_stopped(size in 0_u64..900, more in 0_u64..300) {
        let tree = leaves("kept", size + more);
        let (before, after) = tree.split_at(narrow(size));
        let mut kept = Frontier::decode(&frontier(before).encode()).unwrap();
        after.iter().for_each(|leaf| kept.append(*leaf));
        prop_assert_eq!(kept.head(), head(&tree));
    }
}
