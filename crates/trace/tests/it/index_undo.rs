//! What is appended and taken off, or left behind by a process that was ended, leaves no trace.

use kuraban_base::Height;
use kuraban_chain::btc::Network;
use kuraban_trace::{
    graph::Graph as _,
    index::{Index, Writer},
};
use proptest::prelude::*;
use tempfile::tempdir;

use crate::index_chain::{SMALL, chain, compare, files, index_of, prepared};

const NETWORK: Network = Network::BtcRegtest;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn append_then_rollback_is_the_shorter_index_byte_for_byte(
        seed in any::<u64>(),
        kept in 102_usize..112,
        more in 1_usize..10,
        committed in any::<bool>(),
    ) {
        let blocks = chain(SMALL, seed, kept + more);
        let folder = tempdir().unwrap();
        let (long, short) = (folder.path().join("long"), folder.path().join("short"));
        drop(index_of(&short, NETWORK, &blocks[..kept]));
        drop(index_of(&long, NETWORK, &blocks[..kept]));
        let mut writer = Writer::open(&long).unwrap();
        for block in &blocks[kept..] {
            writer.append(&prepared(NETWORK, block)).unwrap();
            if committed {
                writer.commit().unwrap();
            }
        }
        compare(writer.index(), &blocks);
        let height = Height::new(u32::try_from(kept - 1).unwrap());
        writer.rollback(height).unwrap();
        prop_assert_eq!(writer.index().tip().unwrap().height, height);
        compare(writer.index(), &blocks[..kept]);
        writer.close().unwrap();
        prop_assert_eq!(files(&long), files(&short));
    }

    #[test]
    fn a_writer_that_ends_without_a_word_leaves_what_it_committed(
        seed in any::<u64>(),
        kept in 102_usize..110,
        more in 1_usize..10,
        undone in 0_usize..3,
    ) {
        let blocks = chain(SMALL, seed, kept + more);
        let folder = tempdir().unwrap();
        let (ended, straight) = (folder.path().join("ended"), folder.path().join("straight"));
        drop(index_of(&straight, NETWORK, &blocks[..kept - undone]));
        drop(index_of(&ended, NETWORK, &blocks[..102]));
        let mut writer = Writer::open(&ended).unwrap();
        for block in &blocks[102..kept] {
            writer.append(&prepared(NETWORK, block)).unwrap();
        }
        writer.commit().unwrap();
        if undone > 0 {
            writer.rollback(Height::new(u32::try_from(kept - undone - 1).unwrap())).unwrap();
        }
        for block in &blocks[kept - undone..] {
            writer.append(&prepared(NETWORK, block)).unwrap();
        }
        drop(writer);
        let index = Index::open(&ended).unwrap();
        compare(&index, &blocks[..kept - undone]);
        drop(index);
        prop_assert_eq!(files(&ended), files(&straight));
    }
}

#[test]
fn tables_that_grew_are_the_tables_of_their_size() {
    let shape = kuraban_sim::economy::Shape { block_txs: 400, ..SMALL };
    let blocks = chain(shape, 4, 118);
    let folder = tempdir().unwrap();
    let index = index_of(folder.path(), NETWORK, &blocks);
    assert!(index.tx_count() > 5_000, "{} transactions: the table of 4,096 slots grew", index.tx_count());
    compare(&index, &blocks);
    let names: Vec<_> = files(folder.path()).into_keys().collect();
    let tables = names.iter().filter(|name| name.to_string_lossy().contains("-table.")).count();
    assert_eq!(tables, 2, "smaller ones are gone: {names:?}");
}

#[test]
fn there_is_no_way_back_beyond_the_first_block() {
    let blocks = chain(SMALL, 2, 3);
    let folder = tempdir().unwrap();
    drop(index_of(folder.path(), NETWORK, &blocks));
    let mut writer = Writer::open(folder.path()).unwrap();
    let error = writer.rollback(Height::new(3)).unwrap_err();
    assert_eq!(error.to_string(), "index has no block at height 3");
    writer.rollback(Height::new(2)).unwrap();
    compare(writer.index(), &blocks);
    writer.rollback(Height::new(0)).unwrap();
    compare(writer.index(), &blocks[..1]);
}
