//! The economy against the decoder and the rules it says its blocks keep.

use std::collections::BTreeMap;

use kuraban_chain::btc::{Network, pow};

use super::*;
use crate::chain::subsidy_sat;

const SMALL: Shape = Shape { block_txs: 40, ..Shape::BTC };

#[test]
fn every_block_is_whole_and_no_coin_is_made_or_spent_twice() {
    for regtest in [Regtest::Btc, Regtest::Ltc] {
        let network = regtest.network();
        let mut economy = Economy::new(Shape { regtest, ..SMALL }, 7);
        let mut unspent: BTreeMap<OutPoint, (u32, u64)> = BTreeMap::new();
        let (mut prev, mut spent) = (BlockHash::ZERO, 0);
        for height in 0..160 {
            let made = economy.next_block(Vec::new(), 0).unwrap();
            let block = Block::decode(network, &made.encode()).unwrap();
            assert_eq!(block.header.prev, prev);
            prev = block.hash();
            block.matched().unwrap();
            pow::judge(network, &block.header).unwrap();
            let mut fees = 0;
            for tx in &block.txs[1..] {
                let mut sum = 0;
                for input in &tx.inputs {
                    let (made, value) = unspent.remove(&input.prev).expect("input is unspent");
                    assert!(made == u32::MAX || made + COINBASE_MATURITY <= height, "immature at {height}");
                    sum += value;
                    spent += 1;
                }
                fees += sum - tx.output_sum_sat();
                unspent.extend(tx.outpoints().map(|(at, output)| (at, (u32::MAX, output.value_sat))));
            }
            let coinbase = &block.txs[0];
            assert_eq!(coinbase.output_sum_sat(), subsidy_sat(Height::new(height)) + fees);
            unspent.extend(coinbase.outpoints().map(|(at, output)| (at, (height, output.value_sat))));
        }
        assert!(spent > 1_500, "{spent} inputs");
    }
}

#[test]
fn the_first_block_is_the_networks() {
    let block = Economy::new(SMALL, 1).next_block(Vec::new(), 0).unwrap();
    assert_eq!(block.hash(), Network::BtcRegtest.genesis_hash());
}

#[test]
fn a_seed_makes_one_chain() {
    let chain = |seed| {
        let mut economy = Economy::new(SMALL, seed);
        let blocks = (0..110).map(|_| economy.next_block(Vec::new(), 0).unwrap());
        blocks.last().unwrap().hash()
    };
    assert_eq!(chain(3), chain(3));
    assert_ne!(chain(3), chain(4));
}

#[test]
fn callers_spend_coins_that_they_took() {
    let mut economy = Economy::new(SMALL, 5);
    for _ in 0..110 {
        economy.next_block(Vec::new(), 0).unwrap();
    }
    let coin = economy.take(10_000).unwrap();
    let script = economy.address();
    let output = TxOut { value_sat: coin.output.value_sat - 500, script };
    let inputs = vec![Economy::spend(&coin)];
    let theft = Tx { version: 2, inputs, outputs: vec![output], lock_time: 0, mweb: Mweb::None };
    let block = economy.next_block(vec![theft.clone()], 500).unwrap();
    assert_eq!(block.txs.last(), Some(&theft));
    for _ in 0..20 {
        let block = economy.next_block(Vec::new(), 0).unwrap();
        assert!(block.txs.iter().flat_map(|tx| &tx.inputs).all(|input| input.prev != coin.outpoint));
    }
}

#[test]
fn every_kind_of_script_appears_and_has_the_size_of_its_witness() {
    let kinds: BTreeMap<&str, u32> = (0..20_000).fold(BTreeMap::new(), |mut kinds, number| {
        let name = script(number, false).1.kind().name();
        *kinds.entry(name).or_default() += 1;
        kinds
    });
    for name in ["p2wpkh", "p2sh", "p2pkh", "p2wsh", "op_return", "p2tr", "p2pk", "multisig"] {
        assert!(kinds.get(name).is_some_and(|count| *count > 5), "{name}: {kinds:?}");
    }
    assert!(!kinds.contains_key("nonstandard"), "{kinds:?}");
}

/// The block that the tables were counted in; nothing where it is not at hand.
fn counted_block() -> Option<Block> {
    const NAME: &str =
        "rustbitcoin_mainnet_000000000000000000000c835b2adcaedc20fdf6ee440009c249452c726dafae.raw";
    let beside = std::path::PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared"));
    let folder = std::env::var_os("KURABAN_SHARED").map_or(beside, std::path::PathBuf::from);
    let Ok(bytes) = std::fs::read(folder.join("data/btc_blocks").join(NAME)) else {
        println!("skipped: the shared data are not here");
        return None;
    };
    Some(Block::decode(Network::BtcMain, &bytes).unwrap())
}

/// Counts in thousandths, within what the tables round and the kinds they add.
#[test]
fn the_tables_are_those_of_the_block_they_name() {
    let Some(block) = counted_block() else { return };
    let txs = &block.txs[1..];
    let check = |table: &Table, count: &dyn Fn(&Tx) -> usize| {
        for (share, low, high) in table {
            let within = |tx: &&Tx| (*low..=*high).contains(&u64::try_from(count(tx)).unwrap());
            let found = txs.iter().filter(within).count() * 1_000;
            let found = u64::try_from(found / txs.len()).unwrap();
            assert!(found.abs_diff(*share) <= 2, "{low} to {high}: {found}, the table says {share}");
        }
    };
    check(INPUTS, &|tx| tx.inputs.len());
    check(OUTPUTS, &|tx| tx.outputs.len());
    let outputs: Vec<&TxOut> = txs.iter().flat_map(|tx| &tx.outputs).collect();
    for (share, kind) in KINDS {
        let name = match kind {
            Kind::P2wpkh => "p2wpkh",
            Kind::P2sh => "p2sh",
            Kind::P2pkh => "p2pkh",
            Kind::P2wsh => "p2wsh",
            Kind::OpReturn => "op_return",
            Kind::P2tr => "p2tr",
            Kind::P2pk => "p2pk",
            Kind::Multisig => "multisig",
        };
        let found = outputs.iter().filter(|output| output.script.kind().name() == name).count() * 1_000;
        let found = u64::try_from(found / outputs.len()).unwrap();
        assert!(found.abs_diff(*share) <= 4, "{name}: {found}, the table says {share}");
    }
    let locked = u64::try_from(txs.iter().filter(|tx| tx.lock_time > 0).count() * 1_000 / txs.len()).unwrap();
    assert_eq!(locked, LOCKED_PER_MILLE);
    // What the block's miner took: 6.25 coins were new at that height.
    let fees = block.txs[0].output_sum_sat() - 625_000_000;
    let bytes = u64::try_from(txs.iter().map(Tx::vsize).sum::<usize>()).unwrap();
    assert_eq!((fees * 100 / bytes, fees.div_ceil(bytes)), (495, FEE_RATE_MAX.div_ceil(2)));
}
