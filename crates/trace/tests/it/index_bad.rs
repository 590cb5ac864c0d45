//! What is wrong is said, and nothing is half written.

use std::{fs, path::Path};

use kuraban_base::Height;
use kuraban_chain::btc::{Block, Network, OutPoint, Script, TxOut};
use kuraban_trace::{
    graph::Graph as _,
    index::{
        Index, Prepared, Start, Writer,
        build::{self, Begin, COMMIT_BYTES, Pace},
        reading,
        source::Source,
    },
};
use tempfile::tempdir;

use crate::index_chain::{
    SMALL, block_after, chain, coinbase, compare, files, index_of, prepared, spend, unspent_in, unspent_of,
    write_records,
};

const NETWORK: Network = Network::BtcRegtest;

/// The whole text of an error.
pub(crate) fn text(error: &dyn core::error::Error) -> String {
    let causes = core::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

/// What is wrong with an index by opening it, or else by comparing all of it.
fn wrong(folder: &Path) -> String {
    match Index::open(folder) {
        Err(error) => text(&error),
        Ok(index) => index.verify().map_or_else(|error| text(&error), |()| "nothing".to_owned()),
    }
}

/// Reads all of an index: why that came to no end, if it did not. What it answers is right.
fn read_all(folder: &Path, blocks: &[Block]) -> Option<String> {
    let index = Index::open(folder).ok()?;
    reading(|| compare(&index, blocks)).err().map(|corrupted| corrupted.to_string())
}

#[test]
fn every_changed_byte_of_every_file_is_seen_and_no_answer_rests_on_one() {
    let blocks = chain(SMALL, 21, 112);
    let folder = tempdir().unwrap();
    drop(index_of(folder.path(), NETWORK, &blocks));
    let whole = files(folder.path());
    assert_eq!(whole.len(), 21, "{:?}", whole.keys());
    let mut stopped = 0;
    for (name, bytes) in &whole {
        let path = folder.path().join(name);
        // Beyond the header, the first item, one in the middle and the last; eight bytes follow it.
        let items = bytes.len().saturating_sub(8);
        let places = [0, 9, 13, 30, 45, 60, 64, items / 2, items - items.min(1)];
        for at in places.into_iter().filter(|at| *at < items) {
            let mut changed = bytes.clone();
            changed[at] ^= 0x10;
            // Empty slots of a table are zero and one that is not is seen too.
            fs::write(&path, &changed).unwrap();
            let error = wrong(folder.path());
            assert!(error.contains(&*name.to_string_lossy()), "{name:?} at {at}: {error}");
            assert!(error.contains("build") && error.ends_with("again"), "{name:?} at {at}: {error}");
            if let Some(said) = read_all(folder.path(), &blocks) {
                assert!(said.contains("is corrupted: piece 0 sums to"), "{name:?} at {at}: {said}");
                stopped += 1;
            }
        }
        for length in [0, 30, 64, items] {
            if length < bytes.len() && !bytes.is_empty() {
                fs::write(&path, &bytes[..length]).unwrap();
                let error = text(&Index::open(folder.path()).map(drop).unwrap_err());
                assert!(error.contains(&*name.to_string_lossy()), "{name:?} cut to {length}: {error}");
            }
        }
        fs::write(&path, bytes).unwrap();
    }
    assert!(stopped > 30, "{stopped} changes were met by reading");
    let index = Index::open(folder.path()).unwrap();
    compare(&index, &blocks);
    index.verify().unwrap();
}

#[test]
fn what_is_appended_to_a_corrupted_piece_does_not_make_it_whole() {
    let blocks = chain(SMALL, 21, 114);
    let folder = tempdir().unwrap();
    drop(index_of(folder.path(), NETWORK, &blocks[..112]));
    let path = folder.path().join("txids");
    let mut bytes = fs::read(&path).unwrap();
    // An id that nothing looks for any more: the chain's second.
    bytes[64 + 32] ^= 1;
    fs::write(&path, bytes).unwrap();
    let mut writer = Writer::open(folder.path()).unwrap();
    let append = |block| drop(writer.append(&prepared(NETWORK, block)));
    blocks[112..].iter().for_each(append);
    drop(writer);
    let error = text(&Index::open(folder.path()).unwrap().verify().unwrap_err());
    assert!(error.contains("txids: is corrupted"), "{error}");
}

#[test]
fn an_index_has_one_writer_and_any_number_of_readers() {
    let folder = tempdir().unwrap();
    let blocks = chain(SMALL, 1, 3);
    let reader = index_of(folder.path(), NETWORK, &blocks[..2]);
    let other = Index::open(folder.path()).unwrap();
    assert_eq!(reader.tip(), other.tip());
    let mut writer = Writer::open(folder.path()).unwrap();
    let error = text(&Writer::open(folder.path()).unwrap_err());
    assert!(error.ends_with("index is being written by another process; wait for its end"), "{error}");
    writer.append(&prepared(NETWORK, &blocks[2])).unwrap();
    let error = text(&writer.rollback(Height::new(0)).unwrap_err());
    assert!(error.ends_with("and blocks are to be taken off; wait for its end"), "{error}");
    assert_eq!(writer.index().counts().blocks, 3, "nothing was taken off");
    drop((reader, other));
    writer.rollback(Height::new(0)).unwrap();
    writer.close().unwrap();
    assert_eq!(Index::open(folder.path()).unwrap().counts().blocks, 1);
}

/// Readers open before and while a writer appends; each answers as of the commit before, through tables that grow, and as
/// soon as a block was committed a new one knows it.
#[test]
fn a_reader_answers_as_of_its_opening_whatever_is_appended() {
    let blocks = chain(SMALL, 26, 240);
    let folder = tempdir().unwrap();
    let first = index_of(folder.path(), NETWORK, &blocks[..105]);
    let committed = std::sync::atomic::AtomicUsize::new(105);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut writer = Writer::open(folder.path()).unwrap();
            for (count, block) in blocks.iter().enumerate().skip(105) {
                writer.append(&prepared(NETWORK, block)).unwrap();
                if count % 5 == 4 {
                    writer.commit().unwrap();
                    committed.store(count + 1, std::sync::atomic::Ordering::Release);
                }
            }
            writer.close().unwrap();
        });
        let mut opened = 0;
        while committed.load(std::sync::atomic::Ordering::Acquire) < blocks.len() {
            let least = committed.load(std::sync::atomic::Ordering::Acquire);
            let reader = Index::open(folder.path()).unwrap();
            let found = usize::try_from(reader.counts().blocks).unwrap();
            assert!(found >= least, "{found} of {least} blocks");
            compare(&reader, &blocks[..found]);
            compare(&first, &blocks[..105]);
            opened += 1;
        }
        assert!(opened > 0);
    });
    first.verify().unwrap();
    compare(&first, &blocks[..105]);
    assert_eq!(unspent_in(&first), unspent_of(&blocks[..105]));
    let last = Index::open(folder.path()).unwrap();
    compare(&last, &blocks);
    last.verify().unwrap();
}

#[test]
fn other_indexes_and_other_folders_are_refused() {
    let folder = tempdir().unwrap();
    let error = text(&Index::open(folder.path()).map(drop).unwrap_err());
    assert!(error.contains("holds no index, want a folder that"), "{error}");
    fs::write(folder.path().join("letter.txt"), "dear").unwrap();
    let error = text(&Writer::create(folder.path(), NETWORK, Start::GENESIS).unwrap_err());
    assert!(error.contains("holds \"letter.txt\", which is no part of an index"), "{error}");
    assert_eq!(files(folder.path()).len(), 1, "nothing is written beside it");
    fs::remove_file(folder.path().join("letter.txt")).unwrap();
    drop(index_of(folder.path(), NETWORK, &chain(SMALL, 1, 2)));
    let error = text(&Writer::create(folder.path(), Network::LtcRegtest, Start::GENESIS).unwrap_err());
    assert!(error.ends_with("index of bitcoin-regtest, expected litecoin-regtest"), "{error}");
}

/// Tries to index what a file holds; nothing may be written.
fn refused(network: Network, name: &str, bytes: &[u8]) -> String {
    let folder = tempdir().unwrap();
    let file = folder.path().join(name);
    fs::write(&file, bytes).unwrap();
    let out = folder.path().join("index");
    let error = match Source::scan(network, &[file], |_, _| {}) {
        Err(error) => text(&error),
        Ok(source) => text(
            &build::build(
                &out,
                &source,
                Begin::Genesis,
                Pace { commit_bytes: COMMIT_BYTES, progress: &mut |_| {} },
            )
            .map(drop)
            .unwrap_err(),
        ),
    };
    assert!(!out.exists(), "{error}: something was written");
    error.replace(&*folder.path().to_string_lossy(), "")
}

fn records(network: Network, blocks: &[Block]) -> Vec<u8> {
    let folder = tempdir().unwrap();
    let path = folder.path().join("x");
    write_records(&path, network, &blocks.iter().map(Block::encode).collect::<Vec<_>>(), 0, [0; 8]);
    fs::read(path).unwrap()
}

#[test]
fn files_that_are_wrong_are_refused_before_anything_is_written() {
    let blocks = chain(SMALL, 22, 20);
    let good = records(NETWORK, &blocks);
    let check = |name: &str, bytes: &[u8], want: &str| {
        let found = refused(NETWORK, name, bytes);
        assert!(found.starts_with(want), "{found:?}, want {want:?}");
    };
    check(
        "blk00000.dat",
        &records(Network::LtcMain, &blocks),
        "/blk00000.dat at 0: begins with fbc0b6db of litecoin-main, expected fabfb5da of bitcoin-regtest",
    );
    let last = blocks[19].encode().len();
    let start = good.len() - last;
    check(
        "blk00000.dat",
        &good[..good.len() - 1],
        &format!("/blk00000.dat at {}: block of {last} bytes, only {} are left", start - 8, last - 1),
    );
    let mut more = good.clone();
    more.extend_from_slice(&[0, 0, 7]);
    check(
        "blk00000.dat",
        &more,
        &format!("/blk00000.dat at {}: block of 8 bytes, only 3 are left", good.len()),
    );
    let mut garbled = good.clone();
    garbled[start - 8] ^= 1;
    check(
        "blk00000.dat",
        &garbled,
        &format!("/blk00000.dat at {}: begins with fbbfb5da, expected", start - 8),
    );
    let mut long = good.clone();
    long[start - 1] = 0xff;
    check("blk00000.dat", &long, &format!("/blk00000.dat at {}: block of 4278", start - 8));
}

#[test]
fn missing_blocks_and_what_is_no_block_are_named() {
    let blocks = chain(SMALL, 22, 20);
    let check = |name: &str, bytes: &[u8], want: &str| {
        let found = refused(NETWORK, name, bytes);
        assert!(found.starts_with(want), "{found:?}, want {want:?}");
    };
    let without = |at: usize| {
        let mut blocks = blocks.clone();
        blocks.remove(at);
        records(NETWORK, &blocks)
    };
    check("blk00000.dat", &without(0), "the first block of bitcoin-regtest, 0f9188f13cb7b2c7");
    let missing = format!(
        "block {} is missing: block {} follows it, and 14 blocks cannot",
        blocks[5].hash(),
        blocks[6].hash()
    );
    check("blk00000.dat", &without(5), &missing);
    check(
        "blocks.raw",
        &blocks[0].encode()[..200],
        "/blocks.raw at 0: holds no block: block cannot be decoded: ",
    );
    check(
        "letter.txt",
        b"dear somebody, here are no blocks but many words",
        "/letter.txt at 0: holds no block",
    );
    check("empty.raw", b"", "/empty.raw at 0: block of 80 bytes, only 0 are left");
    let litecoins =
        chain(kuraban_sim::economy::Shape { regtest: kuraban_sim::chain::Regtest::Ltc, ..SMALL }, 1, 2);
    let found = refused(NETWORK, "blk00000.dat", &records(NETWORK, &litecoins));
    assert!(found.contains("is not among the 2 blocks, but that of litecoin-regtest is;"), "{found}");
}

#[test]
fn blocks_that_are_not_whole_are_not_prepared() {
    let blocks = chain(SMALL, 23, 104);
    let good = blocks[103].encode();
    assert!(blocks[103].txs.len() > 2);
    let check = |bytes: Vec<u8>, want: &str| {
        let error = text(&Prepared::read(NETWORK, bytes).map(drop).unwrap_err());
        assert!(error.contains(want), "{error:?}, want {want:?}");
    };
    for at in (0..good.len()).step_by(97) {
        check(good[..at].to_vec(), "");
    }
    check([&good[..], &[0]].concat(), "1 bytes follow the end of block");
    let mut other = blocks[103].clone();
    other.txs[1].lock_time ^= 1;
    check(other.encode(), "transactions have the Merkle root");
    let mut other = blocks[103].clone();
    other.header.nonce += 1;
    while kuraban_chain::btc::pow::judge(NETWORK, &other.header).is_ok() {
        other.header.nonce += 1;
    }
    check(other.encode(), "has no proof of work: header hash is above the target");
    let last = &blocks[103];
    let no_coinbase = block_after(NETWORK, last.header.prev, 1, last.txs[1..].to_vec());
    check(no_coinbase.encode(), "does not begin with a coinbase");
    // Of an odd number of transactions the last can stand twice without another root (CVE-2012-2459).
    let mut txs = last.txs[..3].to_vec();
    txs.push(txs[2].clone());
    check(block_after(NETWORK, last.header.prev, 1, txs).encode(), "transactions repeat");
}

#[test]
fn a_block_that_does_not_fit_leaves_the_index_as_it_was() {
    let blocks = chain(SMALL, 24, 106);
    let folder = tempdir().unwrap();
    drop(index_of(folder.path(), NETWORK, &blocks));
    let before = files(folder.path());
    let tip = blocks[105].clone();
    let coin = tip.txs[1].outpoints().find(|(_, output)| !output.script.is_unspendable()).unwrap();
    let (coin, worth) = (coin.0, coin.1.value_sat);
    let pay = |value_sat| vec![TxOut { value_sat, script: Script::p2pkh(&[9; 20]) }];
    let next = |txs| block_after(NETWORK, tip.hash(), tip.header.time_s + 600, txs);
    let spent = blocks[105].txs[2].inputs[0].prev;
    let nowhere = OutPoint { txid: kuraban_base::Txid::from_bytes([9; 32]), vout: 0 };
    let good = spend(&[coin], pay(worth));
    let check = |block: &Block, want: &str| {
        let mut writer = Writer::open(folder.path()).unwrap();
        let error = text(&writer.append(&prepared(NETWORK, block)).unwrap_err());
        assert!(error.contains(want), "{error:?}, want {want:?}");
        compare(writer.index(), &blocks);
        writer.close().unwrap();
        assert_eq!(files(folder.path()), before, "{want}");
    };
    let coinbase = || coinbase(5, 0);
    check(&next(vec![coinbase(), good.clone(), spend(&[coin], pay(1))]), "which was spent before");
    check(&next(vec![coinbase(), good.clone(), spend(&[spent], pay(1))]), "which was spent before");
    check(&next(vec![coinbase(), good.clone(), spend(&[nowhere], pay(1))]), "which does not exist");
    let beyond = OutPoint { vout: 9_999, ..coin };
    check(&next(vec![coinbase(), spend(&[beyond], pay(1))]), "which does not exist");
    let later = good.outpoints().next().unwrap().0;
    check(&next(vec![coinbase(), spend(&[later], pay(1)), good.clone()]), "which does not exist");
    check(
        &next(vec![coinbase(), spend(&[coin], pay(worth + 1))]),
        &format!("pays {} and spends {worth}", worth + 1),
    );
    check(&blocks[100], &format!("the last block of the index is {}", tip.hash()));
    let mut writer = Writer::open(folder.path()).unwrap();
    writer.append(&prepared(NETWORK, &next(vec![coinbase(), good]))).unwrap();
}

#[test]
fn a_whole_index_begins_with_its_chains_first_block() {
    let blocks = chain(SMALL, 25, 2);
    let folder = tempdir().unwrap();
    let mut writer = Writer::create(folder.path(), NETWORK, Start::GENESIS).unwrap();
    let error = text(&writer.append(&prepared(NETWORK, &blocks[1])).unwrap_err());
    assert!(error.contains("is not the first block of bitcoin-regtest, which is 0f9188f1"), "{error}");
    writer.append(&prepared(NETWORK, &blocks[0])).unwrap();
    assert!(Path::new(folder.path()).join("head").exists());
}

/// The inputs of the fuzz target, whole and cut anywhere.
#[test]
fn kept_changes_to_an_index_are_named_or_do_not_matter() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/index");
    let whole = crate::index_bytes::Whole::new();
    let (mut read, mut refused) = (0, 0);
    for entry in fs::read_dir(folder).unwrap() {
        let bytes = fs::read(entry.unwrap().path()).unwrap();
        for length in 4..=bytes.len() {
            if whole.check(&bytes[..length]) { read += 1 } else { refused += 1 }
        }
    }
    assert!(read > 5 && refused > 20, "{read} and {refused}");
}

/// The inputs of the fuzz target, whole, cut anywhere, and with any byte changed.
#[test]
fn what_is_taken_as_a_block_is_what_the_strict_decoder_takes() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/prepared");
    let check = |bytes: &[u8]| {
        let Ok(block) = Prepared::read(NETWORK, bytes.to_vec()) else { return 0 };
        let decoded = Block::decode(NETWORK, bytes).unwrap();
        // Witnesses are not the index's affair.
        let merkle = decoded.merkle();
        assert!(merkle.root == decoded.header.merkle_root && !merkle.duplicated);
        assert_eq!(decoded.hash(), block.hash());
        1
    };
    for entry in fs::read_dir(folder).unwrap() {
        let bytes = fs::read(entry.unwrap().path()).unwrap();
        let whole: u32 = (0..=bytes.len()).map(|length| check(&bytes[..length])).sum();
        assert_eq!(whole, 1);
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            check(&changed);
        }
    }
}
