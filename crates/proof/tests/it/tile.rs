//! Tiles: names, which ones a tree has, what stands in them, against the specification's figures and `tlog_tiles`.

use std::{collections::BTreeSet, convert::Infallible};

use kuraban_proof::{
    Resource, Tile, Tiler,
    tile::{BundleError, EntryBundle, Tiles, encode_bundle},
};
use proptest::prelude::*;

use crate::oracle::{head, leaves, mth, narrow, path, resources, subproof, wide};

fn parse(path: &str) -> Option<Resource> {
    path.parse().ok()
}

#[test]
fn names_are_read_and_written_as_specified() {
    let check = |path: &str| assert_eq!(parse(path).unwrap().to_string(), path);
    check("checkpoint");
    check("tile/0/000");
    check("tile/0/x001/x234/067");
    check("tile/63/000.p/1");
    check("tile/7/x018/x446/x744/x073/x709/x551/615.p/255");
    check("tile/entries/x001/000");
    check("tile/entries/999.p/17");
}

#[test]
fn other_spellings_are_refused() {
    for path in [
        "",
        "/",
        "checkpoint/",
        "/checkpoint",
        "tile",
        "tile/",
        "tile/0",
        "tile/0/",
        "tile/0/0",
        "tile/0/00",
        "tile/0/0000",
        "tile/00/000",
        "tile/64/000",
        "tile/-1/000",
        "tile/0/x000/001",
        "tile/0/001/000",
        "tile/0/x001/x000",
        "tile/0/x01/000",
        "tile/0/X001/000",
        "tile/0/x001//000",
        "tile/0/000.p/0",
        "tile/0/000.p/256",
        "tile/0/000.p/01",
        "tile/0/000.p/",
        "tile/0/000.p",
        "tile/0/000.p/1/",
        "tile/0/+00",
        "tile/0/000/",
        "tile/0/../checkpoint",
        "tile/data/000",
        "tile/8/0/000",
        "tile/entries/x1/000",
        "tile/0/x018/x446/x744/x073/x709/x551/616",
        "tile/0/x999/x999/x999/x999/x999/x999/x999/999",
    ] {
        assert_eq!(parse(path), None, "{path}");
    }
}

#[test]
fn a_tree_has_the_tiles_that_the_specification_counts() {
    let check = |size: u64, level: u8, full: u64, partial: u16| {
        let tiles = Resource::grown(0, size).filter_map(|resource| match resource {
            Resource::Tile(tile) if tile.level() == level => Some(tile.width()),
            Resource::Tile(_) | Resource::Entries(_) | Resource::Checkpoint => None,
        });
        let widths: Vec<u16> = tiles.collect();
        let is_full = |width: &&u16| **width == 256;
        assert_eq!(wide(widths.iter().filter(is_full).count()), full, "size {size} level {level}");
        let want: Vec<u16> = (partial > 0).then_some(partial).into_iter().collect();
        let rest: Vec<u16> = widths.into_iter().filter(|width| *width < 256).collect();
        assert_eq!(rest, want, "size {size} level {level}");
    };
    check(70_000, 0, 273, 112);
    check(70_000, 1, 1, 17);
    check(70_000, 2, 0, 1);
    check(70_000, 3, 0, 0);
    check(256, 0, 1, 0);
    check(256, 1, 0, 1);
    check(256, 2, 0, 0);
    check(255, 0, 0, 255);
    check(255, 1, 0, 0);
    check(0, 0, 0, 0);
    assert_eq!(Resource::grown(0, 256).last().unwrap().to_string(), "tile/1/000.p/1");
    let largest = Tile::of(u64::MAX >> 1, 7, 0).unwrap();
    assert_eq!((largest.width(), Tile::of(u64::MAX >> 1, 8, 0)), (127, None));
}

#[test]
fn every_node_of_a_tree_is_read_from_its_tiles() {
    let (size, all) = (70_000, resources("nodes", 70_000));
    let tree = leaves("nodes", size);
    let read = |tile| all.get(&Resource::Tile(tile).to_string()).cloned().ok_or("absent");
    let mut tiles = Tiles::new(size, read);
    for level in 0..17_u8 {
        for index in [0, 1, (size >> level) / 2, (size >> level) - 1] {
            let start = narrow(index << level);
            match tree.get(start..start + (1 << level)) {
                Some(subtree) => assert_eq!(tiles.node(level, index), Ok(mth(subtree)), "{level} {index}"),
                None => assert!(tiles.node(level, index).is_err(), "{level} {index}"),
            }
        }
        assert!(tiles.node(level, size >> level).is_err());
        assert!(tiles.node(level, u64::MAX).is_err());
    }
    assert_eq!(tiles.inclusion(69_999).unwrap(), path(69_999, &tree));
    assert_eq!(tiles.consistency(65_537).unwrap(), subproof(65_537, &tree, true));
    assert_eq!(tiles.root(size).unwrap(), mth(&tree));
    assert_eq!(tiles.root(65_537).unwrap(), mth(&tree[..65_537]));
}

#[test]
fn bundles_have_their_place_in_the_log() {
    for (index, width) in [(0, 256), (1, 256), (2, 256), (3, 232)] {
        let bundle = EntryBundle::of(1000, index).unwrap();
        assert_eq!((bundle.index(), bundle.start(), bundle.width()), (index, 256 * index, width));
    }
    assert_eq!(EntryBundle::of(1000, 4), None);
    assert_eq!(EntryBundle::of(1024, 4), None);
}

/// The largest tree has one leaf less than 2⁶³, so that no sum of sizes wraps.
#[test]
fn a_tiler_resumes_up_to_the_largest_tree_and_no_further() {
    let zeroes = |tile: Tile| Ok::<_, Infallible>(vec![0; 32 * usize::from(tile.width())]);
    assert_eq!(Tiler::resume(u64::MAX >> 1, zeroes).unwrap().size(), u64::MAX >> 1);
    assert!(Tiler::resume((u64::MAX >> 1) + 1, zeroes).is_err());
}

#[test]
fn bundles_are_refused_at_every_truncation_and_with_bytes_left_over() {
    let entries: Vec<Vec<u8>> = vec![vec![], vec![1], vec![2; 300]];
    let bytes = encode_bundle(&entries).unwrap();
    let bundle = EntryBundle::of(3, 0).unwrap();
    assert_eq!(bundle.decode(&bytes).unwrap(), entries);
    for end in 0..bytes.len() {
        assert!(bundle.decode(&bytes[..end]).is_err(), "{end} bytes");
    }
    let error = bundle.decode(&[bytes.as_slice(), &[0]].concat()).unwrap_err();
    assert_eq!(error.to_string(), "tile/entries/000.p/3 has 1 bytes after its 3 entries");
    let error = EntryBundle::of(4, 0).unwrap().decode(&bytes).unwrap_err();
    assert_eq!(error.to_string(), "tile/entries/000.p/4 ends inside entry 3 of 4");
}

#[test]
fn an_entry_has_at_most_65535_bytes() {
    let longest = vec![0; 65_535];
    let bytes = encode_bundle([&longest]).unwrap();
    assert_eq!(EntryBundle::of(1, 0).unwrap().decode(&bytes).unwrap(), vec![longest.as_slice()]);
    assert_eq!(encode_bundle([vec![0; 65_536]]), Err(BundleError::Entry { got: 65_536 }));
}

#[test]
fn full_resources_are_cut_down_to_partial_ones() {
    let (full, part) = (resources("cut", 256), resources("cut", 100));
    for (path, bytes) in &part {
        let resource = parse(path).unwrap();
        let fallback = resource.fallback().unwrap();
        assert_eq!(&resource.cut(full[&fallback.to_string()].clone()).unwrap(), bytes, "{path}");
        assert!(resource.cut(bytes[..bytes.len() - 1].to_vec()).is_err(), "{path}");
        assert_eq!(fallback.fallback(), None);
        assert!(bytes.len() <= resource.length_max());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn whatever_path_is_read_is_written_back(path in "(tile/)?(entries|[0-9]{1,2})(/x[0-9]{3}){0,7}/[0-9]{2,4}(\\.p/[0-9]{1,3})?") {
        if let Some(resource) = parse(&path) {
            prop_assert_eq!(resource.to_string(), path);
        }
    }

    #[test]
    fn grown_tiles_are_those_of_another_crate(old in 0_u64..200_000, more in 0_u64..2_000) {
        let theirs: BTreeSet<String> = tlog_tiles::Tile::new_tiles(8, old, old + more)
            .iter()
            .map(|tile| tile.path().replacen("tile/8/", "tile/", 1))
            .collect();
        let ours: BTreeSet<String> = Resource::grown(old, old + more)
            .map(|resource| resource.to_string())
            .filter(|path| !path.starts_with("tile/entries/"))
            .collect();
        prop_assert_eq!(ours, theirs);
    }

    #[test]
    fn a_log_grown_in_groups_has_the_tiles_of_one_grown_at_once(sizes in proptest::collection::vec(0_u64..700, 1..6)) {
        let total: u64 = sizes.iter().sum();
        let all = leaves("groups", total);
        let mut tiler = Tiler::new();
        let mut put_out = std::collections::BTreeMap::new();
        for size in sizes {
            let before = tiler.size();
            let group = &all[narrow(before)..narrow(before + size)];
            let tiles = tiler.extend(group.iter().copied());
            let paths: BTreeSet<String> = tiles.iter().map(|tile| Resource::Tile(tile.tile).to_string()).collect();
            let want = Resource::grown(before, before + size).map(|resource| resource.to_string());
            prop_assert_eq!(paths, want.filter(|path| !path.starts_with("tile/entries/")).collect::<BTreeSet<_>>());
            put_out.extend(tiles.into_iter().map(|tile| (tile.tile, tile.bytes)));
            prop_assert_eq!(tiler.head(), head(&all[..narrow(before + size)]));
            // A restart from what was put out goes on the same.
            let read = |tile: Tile| put_out.get(&tile).cloned().ok_or("absent");
            prop_assert_eq!(&Tiler::resume(tiler.size(), read).unwrap(), &tiler);
        }
        for (path, bytes) in resources("groups", total) {
            if let Resource::Tile(tile) = parse(&path).unwrap() {
                prop_assert_eq!(put_out.get(&tile), Some(&bytes));
            }
        }
    }
}

#[test]
fn a_partial_resource_that_is_gone_is_read_from_the_full_one() {
    let partial: Resource = "tile/0/000.p/2".parse().unwrap();
    let check = |partial_bytes: Option<usize>, full_bytes: Option<usize>, want: Result<usize, &str>| {
        let found = partial.read(|resource| {
            let bytes = if resource == partial { partial_bytes } else { full_bytes };
            bytes.map(|count| vec![7; count]).ok_or(if resource == partial {
                "no partial one"
            } else {
                "no full one"
            })
        });
        assert_eq!(found.map(|bytes| bytes.len()), want);
    };
    check(Some(64), None, Ok(64));
    check(None, Some(256 * 32), Ok(64));
    check(None, Some(63), Err("no partial one"));
    check(None, None, Err("no partial one"));
}
