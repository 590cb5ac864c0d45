//! Whole logs: verified from any size, and refused when any byte of any resource is changed.

use std::collections::BTreeMap;

use kuraban_proof::{
    Resource, TreeHead, verify_log,
    verify_log::{Counts, VerifyError},
};

use crate::oracle::{entry, head, leaves, narrow, resources, wide};

#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("absent")]
struct Absent;

fn verify(
    head: TreeHead,
    from: u64,
    served: &BTreeMap<String, Vec<u8>>,
) -> Result<Counts, VerifyError<Absent>> {
    let read = |resource: Resource| served.get(&resource.to_string()).cloned().ok_or(Absent);
    verify_log(head, from, read, |_, _| {})
}

#[test]
fn logs_of_all_shapes_verify_and_every_resource_is_looked_at_once() {
    for size in [0, 1, 2, 255, 256, 257, 511, 512, 700, 65_535, 65_536, 65_537, 70_000] {
        let (served, tree) = (resources("log", size), leaves("log", size));
        let (mut reads, mut entries) = (BTreeMap::new(), 0);
        let read = |resource: Resource| {
            *reads.entry(resource.to_string()).or_insert(0) += 1;
            served.get(&resource.to_string()).cloned().ok_or(Absent)
        };
        let seen = |index: u64, bytes: &[u8]| {
            assert_eq!((index, bytes), (entries, entry("log", entries).as_slice()));
            entries += 1;
        };
        let counts = verify_log(head(&tree), 0, read, seen).unwrap();
        assert_eq!((counts.entries, entries), (size, size));
        assert_eq!(counts.bundles + counts.tiles, wide(served.len()));
        assert_eq!(counts.bytes, served.values().map(|bytes| wide(bytes.len())).sum::<u64>());
        assert_eq!(counts.from, TreeHead::empty());
        assert_eq!(reads, served.keys().map(|path| (path.clone(), 1)).collect());
    }
}

#[test]
fn a_log_verifies_from_a_size_without_the_entries_before_it() {
    let (size, tree) = (66_000_u64, leaves("from", 66_000));
    let (served, other) = (resources("from", size), head(&leaves("other", size)));
    for from in [0, 1, 255, 256, 257, 40_000, 65_536, 65_537, 65_791, 65_792, 65_999, 66_000] {
        let start = from - from % 256;
        let mut pruned = served.clone();
        for index in 0..start / 256 {
            let bundle = kuraban_proof::EntryBundle::of(size, index).unwrap();
            assert!(pruned.remove(&Resource::Entries(bundle).to_string()).is_some());
        }
        let counts = verify(head(&tree), from, &pruned).unwrap();
        assert_eq!(counts.entries, size - start, "from {from}");
        assert_eq!(counts.from, head(&tree[..narrow(from)]));
        assert!(verify(other, from, &pruned).is_err(), "from {from}");
    }
    let beyond = verify(head(&tree), size + 1, &served).unwrap_err();
    assert_eq!(beyond, VerifyError::Beyond { from: size + 1, size });
}

#[test]
fn any_byte_changed_in_any_resource_is_found() {
    let (served, tree) = (resources("changed", 300), leaves("changed", 300));
    for (path, bytes) in &served {
        // Every byte of the small ones; a spread over the large ones that meets every place in a hash.
        let step = if bytes.len() < 2000 { 1 } else { 37 };
        for at in (0..bytes.len()).step_by(step) {
            let mut changed = served.clone();
            changed.get_mut(path).unwrap()[at] ^= 0x10;
            assert!(verify(head(&tree), 0, &changed).is_err(), "byte {at} of {path}");
        }
    }
}

#[test]
fn what_is_wrong_is_named() {
    let (served, tree) = (resources("named", 300), leaves("named", 300));
    let check = |path: &str, change: fn(&mut Vec<u8>), want: &str| {
        let mut changed = served.clone();
        change(changed.get_mut(path).unwrap());
        assert_eq!(verify(head(&tree), 0, &changed).unwrap_err().to_string(), want);
    };
    check("tile/0/000", |bytes| bytes[64] ^= 1, "tile/0/000 differs from the entries at its hash 2");
    check("tile/1/000.p/1", |bytes| bytes[0] ^= 1, "tile/1/000.p/1 differs from the entries at its hash 0");
    check("tile/0/001.p/44", |bytes| bytes.truncate(1407), "tile/0/001.p/44 has 1407 bytes, want 1408");
    check("tile/0/000", |bytes| bytes.push(0), "tile/0/000 has 8193 bytes, want 8192");
    check("tile/entries/000", |bytes| bytes[2] ^= 1, "tile/0/000 differs from the entries at its hash 0");
    check("tile/entries/000", |bytes| bytes.push(0), "tile/entries/000 has 1 bytes after its 256 entries");
    let error = verify(TreeHead { size: 300, ..head(&leaves("other", 300)) }, 0, &served).unwrap_err();
    assert!(matches!(error, VerifyError::Root { size: 300, .. }));
    for path in served.keys() {
        let mut without = served.clone();
        without.remove(path);
        let error = verify(head(&tree), 0, &without).unwrap_err();
        assert_eq!(error, VerifyError::Read { path: path.clone(), cause: Absent });
    }
}

#[test]
fn an_entry_exchanged_along_with_all_tiles_is_found_by_the_root() {
    let (tree, other) = (leaves("ours", 300), resources("theirs", 300));
    let error = verify(head(&tree), 0, &other).unwrap_err();
    assert_eq!(
        error,
        VerifyError::Root { size: 300, found: head(&leaves("theirs", 300)).root, want: head(&tree).root }
    );
}

#[test]
fn full_resources_serve_where_partial_ones_were_deleted() {
    let (later, tree) = (resources("deleted", 1024), leaves("deleted", 1024));
    for size in [1, 255, 300, 511] {
        let earlier = head(&tree[..size]);
        // The upper level's partial tile has no full one yet, and so the log still serves it.
        let mut served: BTreeMap<_, _> = later.clone();
        let upper =
            resources("deleted", wide(size)).into_iter().filter(|(path, _)| path.starts_with("tile/1/"));
        served.extend(upper);
        let counts = verify(earlier, 0, &served).unwrap();
        assert_eq!(counts.entries, wide(size));
    }
}
