//! Coins against a recomputation from nothing, through reorganisations and the mempool.

use std::collections::{BTreeMap, BTreeSet};

use kuraban_base::{Height, Txid, VaultId};
use kuraban_chain::btc::{Block, BlockHash, Header, MerkleRoot, Mweb, OutPoint, Script, Tx, TxIn, TxOut};
use kuraban_watch::coins::{Change, ChangeError, Coins};
use proptest::prelude::*;

/// Scripts 0 and 1 are the vaults' "a" and "b"; all others are strangers'.
fn own(script: &Script) -> Option<VaultId> {
    match script.as_bytes() {
        [0] => Some("a".parse().unwrap()),
        [1] => Some("b".parse().unwrap()),
        _ => None,
    }
}

fn tx(inputs: &[OutPoint], scripts: &[u8], salt: u32) -> Tx {
    let input = |prev: &OutPoint| TxIn {
        prev: *prev,
        script_sig: Script::default(),
        sequence: u32::MAX,
        witness: Vec::new(),
    };
    let output = |byte: &u8| TxOut { value_sat: u64::from(salt), script: Script::new(vec![*byte]) };
    let (inputs, outputs) = (inputs.iter().map(input).collect(), scripts.iter().map(output).collect());
    Tx { version: 2, inputs, outputs, lock_time: salt, mweb: Mweb::None }
}

fn block(height: u32, salt: u32, txs: Vec<Tx>) -> Block {
    let header = Header {
        version: 2,
        prev: BlockHash::ZERO,
        merkle_root: MerkleRoot::from_bytes([0; 32]),
        time_s: height,
        bits: 0,
        nonce: salt,
    };
    Block { header, txs, extension: None }
}

fn outpoint(tx: &Tx, vout: u32) -> OutPoint {
    OutPoint { txid: tx.txid(), vout }
}

/// What the vaults hold after these blocks, from nothing.
fn oracle(blocks: &[Block]) -> BTreeMap<OutPoint, (VaultId, u64)> {
    let spent: BTreeSet<OutPoint> = blocks
        .iter()
        .flat_map(|block| &block.txs)
        .flat_map(|tx| &tx.inputs)
        .map(|input| input.prev)
        .collect();
    let all = blocks.iter().flat_map(|block| &block.txs).flat_map(|tx| {
        let txid = tx.txid();
        (0..).zip(&tx.outputs).map(move |(vout, output)| (OutPoint { txid, vout }, output.clone()))
    });
    all.filter(|(at, _)| !spent.contains(at))
        .filter_map(|(at, output)| Some((at, (own(&output.script)?, output.value_sat))))
        .collect()
}

fn held(coins: &Coins) -> BTreeMap<OutPoint, (VaultId, u64)> {
    coins.live().map(|coin| (coin.outpoint, (coin.vault.clone(), coin.output.value_sat))).collect()
}

/// A block that spends some outputs of the chain so far and of its own earlier transactions.
#[derive(Clone, Debug)]
struct Plan {
    undo: usize,
    txs: Vec<(Vec<prop::sample::Index>, Vec<u8>)>,
}

fn plan() -> impl Strategy<Value = Plan> {
    let tx =
        (prop::collection::vec(any::<prop::sample::Index>(), 0..3), prop::collection::vec(0_u8..4, 1..4));
    let undo = prop_oneof![3 => Just(0_usize), 1 => 1_usize..4];
    (undo, prop::collection::vec(tx, 0..5)).prop_map(|(undo, txs)| Plan { undo, txs })
}

/// Unspent outputs, own and strangers', after these blocks.
fn unspent(txs: &[Tx]) -> Vec<OutPoint> {
    let spent: BTreeSet<OutPoint> = txs.iter().flat_map(|tx| &tx.inputs).map(|input| input.prev).collect();
    let all = txs.iter().flat_map(|tx| {
        let txid = tx.txid();
        (0..).zip(&tx.outputs).map(move |(vout, _)| OutPoint { txid, vout })
    });
    all.filter(|at| !spent.contains(at)).collect()
}

proptest! {
    #[test]
    fn coins_are_what_a_recomputation_gives_and_every_change_replays(plans in prop::collection::vec(plan(), 1..25)) {
        let mut coins = Coins::default();
        let mut blocks: Vec<Block> = Vec::new();
        let mut changes: Vec<Change> = Vec::new();
        let mut salt = 0;
        for plan in plans {
            for _ in 0..plan.undo.min(blocks.len()) {
                blocks.pop();
                prop_assert_eq!(coins.disconnect(), changes.pop());
                prop_assert_eq!(held(&coins), oracle(&blocks));
            }
            let before: Vec<Tx> = blocks.iter().flat_map(|block| block.txs.clone()).collect();
            let mut txs = Vec::new();
            for (picks, scripts) in plan.txs {
                salt += 1;
                let free = unspent(&[before.clone(), txs.clone()].concat());
                let inputs: BTreeSet<OutPoint> =
                    picks.iter().filter(|_| !free.is_empty()).map(|pick| *pick.get(&free)).collect();
                let inputs: Vec<OutPoint> = inputs.into_iter().collect();
                let foreign = OutPoint { txid: Txid::from_bytes([0xee; 32]), vout: salt };
                txs.push(tx(if inputs.is_empty() { std::slice::from_ref(&foreign) } else { &inputs }, &scripts, salt));
            }
            let height = u32::try_from(blocks.len() + 1).unwrap();
            // Half of a block's transactions were seen before.
            for tx in txs.iter().step_by(2) {
                coins.seen(tx, own);
            }
            let block = block(height, salt, txs);
            changes.push(coins.connect(Height::new(height), &block, own));
            blocks.push(block);
            prop_assert_eq!(held(&coins), oracle(&blocks));
        }
        let mut replayed = Coins::default();
        for change in &changes {
            replayed.apply(change).unwrap();
        }
        prop_assert_eq!(held(&replayed), held(&coins));
        prop_assert!(replayed.history().eq(coins.history()));
        // And back to nothing.
        while replayed.disconnect().is_some() {}
        prop_assert_eq!(held(&replayed), BTreeMap::new());
    }
}

fn foreign(number: u32) -> OutPoint {
    OutPoint { txid: Txid::from_bytes([0xee; 32]), vout: number }
}

fn vault(name: &str) -> VaultId {
    name.parse().unwrap()
}

fn spendable(coins: &Coins, tip: u32, depth_min: u32) -> Vec<OutPoint> {
    coins.spendable(&vault("a"), Height::new(tip), depth_min).map(|coin| coin.outpoint).collect()
}

#[test]
fn a_coin_is_spendable_at_its_depth_and_until_something_claims_it() {
    let mut coins = Coins::default();
    let deposit = tx(&[foreign(1)], &[9, 0], 1);
    coins.connect(Height::new(5), &block(5, 1, vec![deposit.clone()]), own);
    let coin = outpoint(&deposit, 1);
    assert_eq!(spendable(&coins, 6, 3), []);
    assert_eq!(spendable(&coins, 7, 3), [coin]);
    let claim = tx(&[coin], &[9, 0], 2);
    assert!(coins.seen(&claim, own));
    assert_eq!(spendable(&coins, 7, 3), []);
    let change: Vec<OutPoint> = coins.unconfirmed(&vault("a")).map(|coin| coin.outpoint).collect();
    assert_eq!(change, [outpoint(&claim, 1)]);
    // A replacement without change takes the place of the first, and a block takes the place of both.
    let replacement = tx(&[coin], &[9], 3);
    assert!(coins.seen(&replacement, own));
    assert_eq!(coins.unconfirmed(&vault("a")).count(), 0);
    coins.connect(Height::new(6), &block(6, 2, vec![claim.clone()]), own);
    assert_eq!(coins.place(&claim.txid()), Some(Height::new(6)));
    assert_eq!(spendable(&coins, 6, 1), [outpoint(&claim, 1)]);
    // Undone, the transaction claims the coin again.
    coins.disconnect().unwrap();
    assert_eq!(coins.place(&claim.txid()), None);
    assert_eq!(spendable(&coins, 7, 1), []);
    assert_eq!(coins.unconfirmed(&vault("a")).count(), 1);
}

#[test]
fn new_coins_of_a_coinbase_ripen_for_100_blocks() {
    let mut coins = Coins::default();
    let coinbase = tx(&[OutPoint::NULL], &[0], 1);
    coins.connect(Height::new(1), &block(1, 1, vec![coinbase.clone()]), own);
    assert_eq!(spendable(&coins, 99, 1), []);
    assert_eq!(spendable(&coins, 100, 1), [outpoint(&coinbase, 0)]);
}

#[test]
fn spends_are_found_in_blocks_in_the_mempool_and_after_the_fact() {
    let mut coins = Coins::default();
    let deposit = tx(&[foreign(1)], &[0, 1], 1);
    coins.connect(Height::new(1), &block(1, 1, vec![deposit.clone()]), own);
    let found = |coins: &Coins, tx: &Tx| -> Vec<String> {
        coins.spends(tx).iter().map(|coin| coin.vault.to_string()).collect()
    };
    let both = tx(&[outpoint(&deposit, 1), foreign(7), outpoint(&deposit, 0)], &[0], 2);
    assert_eq!(found(&coins, &both), ["b", "a"]);
    assert_eq!(found(&coins, &tx(&[foreign(8)], &[0], 3)), Vec::<String>::new());
    // Change that is in no block yet can be stolen too.
    coins.seen(&both, own);
    assert_eq!(found(&coins, &tx(&[outpoint(&both, 0)], &[9], 4)), ["a"]);
    // A rival of what a block has confirmed is still a spend.
    coins.connect(Height::new(2), &block(2, 2, vec![both.clone()]), own);
    assert_eq!(found(&coins, &tx(&[outpoint(&deposit, 0)], &[9], 5)), ["a"]);
}

#[test]
fn a_replaced_transactions_children_go_with_it() {
    let mut coins = Coins::default();
    let first = tx(&[foreign(1)], &[0], 1);
    let child = tx(&[outpoint(&first, 0)], &[0], 2);
    let grandchild = tx(&[outpoint(&child, 0)], &[0, 0], 3);
    for tx in [&first, &child, &grandchild] {
        assert!(coins.seen(tx, own));
    }
    assert_eq!(coins.unconfirmed(&vault("a")).count(), 4);
    assert!(!coins.seen(&tx(&[foreign(2)], &[9], 4), own));
    coins.connect(Height::new(1), &block(1, 1, vec![tx(&[foreign(1)], &[9], 5)]), own);
    assert_eq!(coins.unconfirmed(&vault("a")).count(), 0);
}

#[test]
fn stored_changes_that_do_not_fit_are_refused_and_change_nothing() {
    let mut coins = Coins::default();
    let deposit = tx(&[foreign(1)], &[0], 1);
    let change = coins.change(Height::new(1), &block(1, 1, vec![deposit.clone()]), own);
    let height = Height::new(1);
    let lost = Change { spent: vec![foreign(3)], ..change.clone() };
    assert_eq!(coins.apply(&lost), Err(ChangeError::Spent { height, outpoint: foreign(3) }));
    let twice = Change { spent: vec![outpoint(&deposit, 0); 2], ..change.clone() };
    let again = outpoint(&deposit, 0);
    assert_eq!(coins.apply(&twice), Err(ChangeError::Spent { height, outpoint: again }));
    let beyond = outpoint(&deposit, 1);
    let invented = Change { created: vec![(beyond, vault("a"))], ..change.clone() };
    assert_eq!(coins.apply(&invented), Err(ChangeError::Created { height, outpoint: beyond }));
    assert_eq!((held(&coins), coins.history().count()), (BTreeMap::new(), 0));
    assert_eq!(coins.apply(&change), Ok(()));
    assert_eq!(held(&coins).len(), 1);
}

/// No honest block does so, but work alone makes a lying node's block believed: the coin is gone once, and comes back once.
#[test]
fn a_block_that_spends_one_coin_twice_spends_it_once() {
    let deposit = tx(&[foreign(1)], &[0], 1);
    let coin = outpoint(&deposit, 0);
    let check = |txs: Vec<Tx>, kept: &[usize], spent: &[OutPoint]| {
        let mut coins = Coins::default();
        coins.connect(Height::new(1), &block(1, 1, vec![deposit.clone()]), own);
        let before = held(&coins);
        let txids: Vec<Txid> = txs.iter().map(Tx::txid).collect();
        let change = coins.connect(Height::new(2), &block(2, 2, txs), own);
        assert_eq!(change.spent, spent);
        let want: Vec<Txid> = kept.iter().map(|at| txids[*at]).collect();
        assert_eq!(change.txs.iter().map(|tx| tx.txid()).collect::<Vec<_>>(), want);
        assert!(spent.iter().all(|at| !held(&coins).contains_key(at)));
        let mut replayed = Coins::default();
        coins.history().for_each(|change| replayed.apply(change).unwrap());
        assert_eq!(held(&replayed), held(&coins));
        assert_eq!(coins.disconnect(), Some(change));
        assert_eq!(held(&coins), before);
    };
    // Two transactions, of which the second makes nothing of the vaults', one transaction twice, and a coin of the same block.
    check(vec![tx(&[coin], &[2], 2), tx(&[coin], &[3], 3)], &[0], &[coin]);
    check(vec![tx(&[coin], &[2], 2), tx(&[coin], &[1], 3)], &[0, 1], &[coin]);
    check(vec![tx(&[coin, coin], &[2], 2)], &[0], &[coin]);
    let made = tx(&[foreign(2)], &[1], 4);
    let fresh = outpoint(&made, 0);
    check(vec![made, tx(&[fresh], &[2], 5), tx(&[coin, fresh], &[2], 6)], &[0, 1, 2], &[fresh, coin]);
}
