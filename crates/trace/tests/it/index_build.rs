//! Indexes from files: every form in which blocks come, and which chain is taken.

use kuraban_base::{Height, hex};
use kuraban_chain::btc::{Block, Network};
use kuraban_sim::{chain::Regtest, economy::Shape};
use kuraban_trace::{
    graph::{Fate, Graph as _, OutputNum, TxNum},
    index::{
        Index, Start, Writer,
        build::{self, Begin, COMMIT_BYTES, FillError, Outcome, Pace},
        source::Source,
    },
};
use tempfile::tempdir;

use crate::index_chain::{
    SMALL, block_after, chain, coinbase, compare, files, index_of, prepared, spend, unspent_in, unspent_of,
    write_records,
};

const NETWORK: Network = Network::BtcRegtest;

fn encoded(blocks: &[Block]) -> Vec<Vec<u8>> {
    blocks.iter().map(Block::encode).collect()
}

fn built(source: &std::path::Path, out: &std::path::Path) -> Result<(Index, Outcome), FillError> {
    let source = Source::scan(NETWORK, &[source.to_owned()], |_, _| {})?;
    build::build(out, &source, Begin::Genesis, Pace { commit_bytes: COMMIT_BYTES, progress: &mut |_| {} })
}

#[test]
fn an_index_answers_as_the_blocks_do() {
    for regtest in [Regtest::Btc, Regtest::Ltc] {
        let blocks = chain(Shape { regtest, ..SMALL }, 11, 150);
        let folder = tempdir().unwrap();
        let index = index_of(folder.path(), regtest.network(), &blocks);
        compare(&index, &blocks);
        assert_eq!(unspent_in(&index), unspent_of(&blocks));
        assert!(index.counts().inputs > 500, "{:?}", index.counts());
    }
}

#[test]
fn a_nodes_files_are_read_in_any_order_under_any_key_with_branches_and_room_left() {
    let blocks = chain(SMALL, 12, 130);
    let folder = tempdir().unwrap();
    let whole = index_of(&folder.path().join("whole"), NETWORK, &blocks);
    // A branch of one block that came before the chain's own, and one of two from further back.
    let side = |at: usize, mark| {
        block_after(NETWORK, blocks[at].hash(), blocks[at].header.time_s + 1, vec![coinbase(mark, 1)])
    };
    let (stale, older) = (side(127, 1), side(60, 2));
    let older_child = block_after(NETWORK, older.hash(), older.header.time_s + 1, vec![coinbase(3, 1)]);
    for (key, name) in [([0; 8], "plain"), ([0x5a, 1, 2, 3, 4, 5, 6, 0xff], "keyed")] {
        let node = folder.path().join(name);
        std::fs::create_dir_all(&node).unwrap();
        if key != [0; 8] {
            std::fs::write(node.join("xor.dat"), key).unwrap();
        }
        let mut shuffled = encoded(&blocks);
        shuffled.swap(1, 100);
        shuffled.swap(3, 64);
        shuffled.insert(5, older_child.encode());
        shuffled.insert(70, older.encode());
        shuffled.insert(2, stale.encode());
        let again = shuffled[9].clone();
        shuffled.push(again);
        let (first, second) = shuffled.split_at(71);
        write_records(&node.join("blk00000.dat"), NETWORK, first, 1_000, key);
        write_records(&node.join("blk00001.dat"), NETWORK, second, 0, key);
        write_records(&node.join("blk00002.dat"), NETWORK, &[], 0, key);
        std::fs::write(node.join("rev00000.dat"), b"undo").unwrap();
        let (index, outcome) = built(&node, &folder.path().join(format!("{name}.index"))).unwrap();
        assert_eq!(outcome, Outcome { appended: 130, taken_off: 0, aside: 3, unconnected: 0 }, "{name}");
        compare(&index, &blocks);
        drop(index);
        let same = files(whole.folder()) == files(&folder.path().join(format!("{name}.index")));
        assert!(same, "{name}: one chain has one index");
    }
}

#[test]
fn plain_files_hold_one_or_several_blocks_raw_or_in_hexadecimal() {
    let blocks = chain(SMALL, 13, 8);
    let whole: Vec<u8> = encoded(&blocks).concat();
    let lines: Vec<String> = encoded(&blocks).iter().map(|block| hex::encode(block)).collect();
    let folder = tempdir().unwrap();
    let check = |name: &str, files: &[(&str, Vec<u8>)]| {
        let node = folder.path().join(name);
        std::fs::create_dir_all(&node).unwrap();
        for (file, bytes) in files {
            std::fs::write(node.join(file), bytes).unwrap();
        }
        let (index, outcome) = built(&node, &folder.path().join(format!("{name}.index"))).unwrap();
        assert_eq!(outcome.appended, 8, "{name}");
        compare(&index, &blocks);
    };
    check("raw", &[("blocks.raw", whole.clone())]);
    check("hex lines", &[("blocks.hex", lines.join("\n").into_bytes())]);
    check("hex of all", &[("blocks.hex", lines.concat().into_bytes())]);
    let folded: Vec<String> =
        lines.concat().as_bytes().chunks(64).map(|line| String::from_utf8_lossy(line).into_owned()).collect();
    check("hex folded", &[("blocks.hex", folded.join("\n").into_bytes())]);
    let each: Vec<(String, Vec<u8>)> =
        blocks.iter().map(|block| (format!("{}.raw", block.hash()), block.encode())).collect();
    let each: Vec<(&str, Vec<u8>)> =
        each.iter().map(|(name, bytes)| (name.as_str(), bytes.clone())).collect();
    check("a file each", &each);
}

#[test]
fn what_is_added_extends_and_a_heavier_branch_replaces() {
    let blocks = chain(SMALL, 14, 120);
    let mut branch = blocks[..110].to_vec();
    let mut economy_prev = branch[109].clone();
    for mark in 0..12 {
        let next = block_after(
            NETWORK,
            economy_prev.hash(),
            economy_prev.header.time_s + 600,
            vec![coinbase(mark, 50)],
        );
        branch.push(next.clone());
        economy_prev = next;
    }
    let folder = tempdir().unwrap();
    let out = folder.path().join("index");
    let step = |name: &str, blocks: &[Block], want: Outcome, then: &[Block]| {
        let node = folder.path().join(name);
        std::fs::create_dir_all(&node).unwrap();
        write_records(&node.join("blk00000.dat"), NETWORK, &encoded(blocks), 0, [0; 8]);
        let (index, outcome) = built(&node, &out).unwrap();
        assert_eq!(outcome, want, "{name}");
        compare(&index, then);
        assert_eq!(unspent_in(&index), unspent_of(then), "{name}");
    };
    let nothing = Outcome { appended: 0, taken_off: 0, aside: 0, unconnected: 0 };
    step("begin", &blocks[..100], Outcome { appended: 100, ..nothing }, &blocks[..100]);
    step("all again", &blocks, Outcome { appended: 20, ..nothing }, &blocks);
    step("nothing new", &blocks, nothing, &blocks);
    step("equal work", &branch[110..120], Outcome { aside: 10, ..nothing }, &blocks);
    step("more work", &branch[110..], Outcome { appended: 12, taken_off: 10, ..nothing }, &branch);
    step("the first branch", &blocks, Outcome { aside: 10, ..nothing }, &branch);
    let straight = index_of(&folder.path().join("straight"), NETWORK, &branch);
    assert_eq!(files(&out), files(straight.folder()), "the way to a chain leaves no trace");
}

#[test]
fn a_later_coinbase_with_the_same_id_replaces_the_earlier_one() {
    let genesis = chain(SMALL, 1, 1).remove(0);
    let mut blocks = vec![genesis];
    let mut push = |txs: Vec<kuraban_chain::btc::Tx>| {
        let prev = blocks.last().unwrap();
        blocks.push(block_after(NETWORK, prev.hash(), prev.header.time_s + 600, txs));
    };
    let twice = coinbase(7, 5_000);
    push(vec![twice.clone()]);
    push(vec![coinbase(8, 1)]);
    push(vec![twice.clone()]);
    let (outpoint, output) = twice.outpoints().next().unwrap();
    push(vec![coinbase(9, 1), spend(&[outpoint], vec![output.clone()])]);
    let folder = tempdir().unwrap();
    let index = index_of(&folder.path().join("a"), NETWORK, &blocks[..4]);
    let (earlier, later) = (TxNum::new(1), TxNum::new(3));
    assert_eq!(index.txid(earlier), index.txid(later));
    assert_eq!(index.find(&twice.txid()), Some(later));
    let fate = |index: &Index, tx| index.fate(OutputNum::new(index.outputs(tx).start));
    assert_eq!((fate(&index, earlier), fate(&index, later)), (Fate::Unspendable, Fate::Spendable));
    assert_eq!(unspent_in(&index), unspent_of(&blocks[..4]));
    drop(index);
    // Spent, taken off, and taken off once more: what was replaced is there again.
    let mut writer = Writer::open(&folder.path().join("a")).unwrap();
    writer.append(&prepared(NETWORK, &blocks[4])).unwrap();
    let spent = writer.index().spender(OutputNum::new(writer.index().outputs(later).start));
    assert_eq!(spent, Some(TxNum::new(5)));
    assert_eq!(writer.index().spender(OutputNum::new(writer.index().outputs(earlier).start)), None);
    writer.rollback(Height::new(2)).unwrap();
    assert_eq!(writer.index().find(&twice.txid()), Some(earlier));
    assert_eq!(fate(writer.index(), earlier), Fate::Spendable);
    writer.close().unwrap();
    let short = index_of(&folder.path().join("b"), NETWORK, &blocks[..3]);
    assert_eq!(files(&folder.path().join("a")), files(short.folder()));
}

#[test]
fn a_partial_index_counts_what_it_does_not_know() {
    let blocks = chain(SMALL, 15, 125);
    let folder = tempdir().unwrap();
    let node = folder.path().join("blk00000.dat");
    write_records(&node, NETWORK, &encoded(&blocks[115..]), 0, [0; 8]);
    let source = Source::scan(NETWORK, &[node], |_, _| {}).unwrap();
    let out = folder.path().join("index");
    let error = build::build(
        &out,
        &source,
        Begin::Genesis,
        Pace { commit_bytes: COMMIT_BYTES, progress: &mut |_| {} },
    )
    .unwrap_err()
    .to_string();
    assert!(error.starts_with("the first block of bitcoin-regtest, 0f9188f1"), "{error}");
    assert!(!out.exists(), "nothing is written");
    let (index, outcome) = build::build(
        &out,
        &source,
        Begin::Partial(None),
        Pace { commit_bytes: COMMIT_BYTES, progress: &mut |_| {} },
    )
    .unwrap();
    assert_eq!(outcome.appended, 10);
    assert_eq!(index.start(), Start { height: Height::new(115), before: blocks[114].hash() });
    let (mut inside, mut outside) = (0, 0);
    for (tx, number) in blocks[115..].iter().flat_map(|block| &block.txs).zip(0..) {
        let number = TxNum::new(number);
        assert_eq!(index.txid(number), tx.txid());
        let here = index.inputs(number).count();
        let there = usize::try_from(index.outside_inputs(number)).unwrap();
        assert_eq!(here + there, if tx.is_coinbase() { 0 } else { tx.inputs.len() });
        inside += here;
        outside += there;
    }
    assert!(inside > 50 && outside > 50, "{inside} inside, {outside} outside");
}
