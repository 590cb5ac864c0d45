//! Chains with thefts against the decoder and a checker that keeps its own books.

use std::collections::{BTreeMap, BTreeSet};

use kuraban_base::Height;
use kuraban_chain::btc::{BlockHash, OutPoint, Script, Tx};

use super::*;
use crate::chain::{COINBASE_MATURITY, Regtest, subsidy_sat};

/// Value and owner, and from which height on it may be spent.
type Books = BTreeMap<OutPoint, (u64, Script, u32)>;

/// Applies a block to the books; every rule that a node has for amounts and places.
fn apply(books: &mut Books, block: &Block, height: u32) {
    let mut fees = 0;
    for tx in block.txs.iter().skip(1) {
        let mut sum = 0;
        for input in &tx.inputs {
            let (value, _, from) = books.remove(&input.prev).expect("an input is unspent");
            assert!(from <= height, "immature at {height}");
            sum += value;
        }
        fees += sum.checked_sub(tx.output_sum_sat()).expect("no transaction makes money");
        insert(books, tx, height);
    }
    assert_eq!(block.txs[0].output_sum_sat(), subsidy_sat(Height::new(height)) + fees, "height {height}");
    insert(books, &block.txs[0], height + COINBASE_MATURITY);
}

fn insert(books: &mut Books, tx: &Tx, from: u32) {
    books.extend(tx.outpoints().map(|(at, output)| (at, (output.value_sat, output.script.clone(), from))));
}

fn all(plan: Plan) -> (Vec<Made>, Tally) {
    let mut story = Story::new(plan);
    let mut made = Vec::new();
    while let Some(next) = story.next_block().unwrap() {
        made.push(next);
    }
    (made, story.tally())
}

#[test]
fn blocks_are_whole_and_no_coin_is_made_or_spent_twice_on_any_branch() {
    for regtest in [Regtest::Btc, Regtest::Ltc] {
        let plan = Plan::new(regtest, 7, 12_000, 20);
        let (made, tally) = all(plan);
        let (mut books, mut prev) = (Books::new(), BlockHash::ZERO);
        for Made { block, height, stale, .. } in &made {
            let network = regtest.network();
            let (mut side, mut parent) = (books.clone(), prev);
            for (rival, at) in stale.iter().zip(*height..) {
                assert_eq!(Block::decode(network, &rival.encode()).as_ref(), Ok(rival));
                assert_eq!(rival.header.prev, parent);
                rival.matched().unwrap();
                apply(&mut side, rival, at);
                parent = rival.hash();
            }
            assert_eq!(Block::decode(network, &block.encode()).as_ref(), Ok(block));
            assert_eq!(block.header.prev, prev);
            assert_eq!(block.header.merkle_root, block.merkle().root);
            kuraban_chain::btc::pow::judge(network, &block.header).unwrap();
            apply(&mut books, block, *height);
            prev = block.hash();
        }
        assert_eq!((tally.thefts, tally.finished, tally.stale_blocks), (20, 20, 4));
        let transactions: usize = made.iter().map(|made| made.block.txs.len()).sum();
        assert_eq!(tally.transactions, u64::try_from(transactions).unwrap());
        assert!((12_000..12_500).contains(&transactions), "{transactions}");
    }
}

/// Every label names a transaction of its block, and every address has one owner who is the same wherever it occurs.
#[test]
fn labels_say_whose_every_output_is_and_never_contradict_each_other() {
    let (made, tally) = all(Plan::new(Regtest::Btc, 3, 12_000, 20));
    let mut owners: BTreeMap<(OutPoint, bool), (u32, Owner)> = BTreeMap::new();
    let mut people: BTreeMap<Script, (u32, Owner)> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    let mut count = 0;
    for Made { block, stale, labels, .. } in &made {
        for label in labels {
            let mut there = stale.iter().flat_map(|block| &block.txs);
            let mut here = block.txs.iter();
            let find = |tx: &&Tx| tx.txid() == label.txid;
            let tx = if label.stale { there.find(find) } else { here.find(find) }.unwrap();
            assert_eq!((tx.inputs.len(), tx.outputs.len()), (label.inputs.len(), label.outputs.len()));
            for (input, owner) in tx.inputs.iter().zip(&label.inputs) {
                if let Some(known) = owners.get(&(input.prev, label.stale)) {
                    assert_eq!(*known, (label.theft, *owner), "{} {:?}", label.txid, label.what);
                }
            }
            for ((at, output), owner) in tx.outpoints().zip(&label.outputs) {
                let dust = label.what == What::Dust && *owner != Owner::Thief;
                if *owner != Owner::Nobody && !dust {
                    owners.insert((at, label.stale), (label.theft, *owner));
                    let known = people.insert(output.script.clone(), (label.theft, *owner));
                    assert!(known.is_none(), "{} pays an address again", label.txid);
                }
            }
            seen.insert(label.what);
            count += 1;
        }
    }
    assert_eq!(count, tally.labelled);
    assert_eq!(seen.len(), 16, "{seen:?}");
}

#[test]
fn everything_that_thieves_keep_moving_ends_at_the_exchange() {
    let (made, _) = all(Plan::new(Regtest::Btc, 11, 12_000, 20));
    let mut of_thieves: BTreeMap<OutPoint, u32> = BTreeMap::new();
    for Made { labels, block, .. } in &made {
        for label in labels.iter().filter(|label| !label.stale) {
            let tx = block.txs.iter().find(|tx| tx.txid() == label.txid).unwrap();
            for input in &tx.inputs {
                of_thieves.remove(&input.prev);
            }
            let mine = tx
                .outpoints()
                .zip(&label.outputs)
                .filter(|(_, owner)| matches!(owner, Owner::Thief | Owner::ThiefDeposit));
            of_thieves.extend(mine.map(|((at, _), _)| (at, label.theft)));
        }
    }
    assert!(of_thieves.is_empty(), "{} coins are left", of_thieves.len());
}

#[test]
fn a_plan_makes_one_chain() {
    let hash = |seed| {
        let (made, _) = all(Plan::new(Regtest::Btc, seed, 4_000, 10));
        (made.last().unwrap().block.hash(), made.iter().map(|made| made.labels.len()).sum::<usize>())
    };
    assert_eq!(hash(5), hash(5));
    assert_ne!(hash(5), hash(6));
    // Pinned: files that people made from a seed can be made again.
    assert_eq!(hash(1).0.to_string(), "0621e7d9bedb789beeaf2c37e19116b6c1b504bd93a611dd4fa780ee59bcc4b7");
}

#[test]
fn a_chain_has_the_length_that_was_asked_for() {
    let check = |transactions, thefts| {
        let plan = Plan::new(Regtest::Btc, 1, transactions, thefts);
        let (_, tally) = all(plan);
        let over = tally.transactions - transactions;
        assert!(over <= u64::from(plan.shape.block_txs) + 200, "{tally:?}");
        assert_eq!(tally.thefts, u64::from(thefts), "{tally:?}");
    };
    check(1_000, 0);
    check(1_000, 1);
    check(3_000, 10);
    check(0, 0);
}
