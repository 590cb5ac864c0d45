//! The embedded chain under test: what it mines, relays, replaces and refuses.

use kuraban_chain::btc::{
    ChildKey, Digests, EcdsaSighash, FeeError, Mweb, ScriptKind, TxIn, VerifyError, pow,
};
use zeroize::Zeroizing;

use super::*;

const NOW_S: u32 = 1_700_000_000;
const COIN_SAT: u64 = 100_000_000;

/// One key and the chain's coins on it.
struct Purse {
    key: ChildKey,
    script: Script,
}

impl Purse {
    fn new(secret: u8) -> Self {
        let key = ChildKey::from_bytes(Zeroizing::new([secret; 32])).unwrap();
        let script = Script::witness(0, &key.public().hash160()).unwrap();
        Self { key, script }
    }

    /// A signed transaction that spends these outputs, all of them this purse's.
    fn spend(&self, from: &[(OutPoint, TxOut)], outputs: Vec<TxOut>) -> Tx {
        self.spend_at(from, outputs, 0, 0xffff_fffd)
    }

    fn spend_at(&self, from: &[(OutPoint, TxOut)], outputs: Vec<TxOut>, lock_time: u32, sequence: u32) -> Tx {
        let input = |(prev, _): &(OutPoint, TxOut)| TxIn {
            prev: *prev,
            script_sig: Script::default(),
            sequence,
            witness: Vec::new(),
        };
        let inputs = from.iter().map(input).collect();
        let mut tx = Tx { version: 2, inputs, outputs, lock_time, mweb: Mweb::None };
        let prevouts: Vec<TxOut> = from.iter().map(|(_, output)| output.clone()).collect();
        let unsigned = tx.clone();
        let digests = Digests::new(&unsigned, &prevouts).unwrap();
        let code = Script::p2pkh(&self.key.public().hash160());
        for (index, input) in tx.inputs.iter_mut().enumerate() {
            let digest = digests.witness_v0(index, &code, EcdsaSighash::All).unwrap();
            let signature = self.key.sign(&digest, EcdsaSighash::All).unwrap();
            input.witness = vec![signature.to_bytes(), self.key.public().to_bytes()];
        }
        tx
    }

    fn pay(&self, value_sat: u64) -> TxOut {
        TxOut { value_sat, script: self.script.clone() }
    }
}

/// A chain whose first `coins` coinbases are the purse's and mature.
fn funded(regtest: Regtest, coins: u32) -> (Chain, Purse, Vec<(OutPoint, TxOut)>) {
    let (mut chain, purse) = (Chain::new(regtest), Purse::new(7));
    let mut found = Vec::new();
    for _ in 0..coins {
        let hash = chain.mine(NOW_S, purse.script.clone()).unwrap();
        let coinbase = &chain.block(hash).unwrap().txs[0];
        found.push(coinbase.outpoints().map(|(outpoint, output)| (outpoint, output.clone())).next().unwrap());
    }
    for _ in 0..COINBASE_MATURITY - 1 {
        chain.mine(NOW_S, Purse::new(9).script).unwrap();
    }
    (chain, purse, found)
}

fn output_of(tx: &Tx, vout: usize) -> (OutPoint, TxOut) {
    tx.outpoints().map(|(outpoint, output)| (outpoint, output.clone())).nth(vout).unwrap()
}

fn pool(chain: &Chain) -> Vec<Txid> {
    chain.mempool().map(|(txid, _)| *txid).collect()
}

#[test]
fn only_regression_test_networks_are_embedded() {
    for network in Network::ALL {
        match Regtest::try_from(network) {
            Ok(regtest) => assert_eq!(regtest.network(), network),
            Err(error) => assert_eq!(
                error.to_string(),
                format!("{network} cannot be embedded, want bitcoin-regtest or litecoin-regtest")
            ),
        }
    }
    assert_eq!(Regtest::try_from(Network::LtcRegtest), Ok(Regtest::Ltc));
    assert!(Regtest::try_from(Network::BtcTest).is_err());
}

#[test]
fn blocks_have_work_and_name_their_transactions_and_witnesses() {
    for regtest in [Regtest::Btc, Regtest::Ltc] {
        let network = regtest.network();
        let (mut chain, purse, coins) = funded(regtest, 1);
        let tx = purse.spend(&coins, vec![purse.pay(coins[0].1.value_sat - 1_000)]);
        chain.submit(&tx).unwrap();
        let hash = chain.mine(NOW_S, purse.script.clone()).unwrap();
        let block = chain.block(hash).unwrap();
        assert_eq!(Block::decode(network, &block.encode()).as_ref(), Ok(block.as_ref()));
        assert!(block.matched().is_ok());
        assert_eq!(block.witness_commitment(), kuraban_chain::btc::block::Commitment::Holds);
        assert!(pow::judge(network, &block.header).is_ok());
        assert_eq!(block.stated_height(), Some(Height::new(101)));
        assert_eq!(block.txs[0].outputs[0].value_sat, 5_000_000_000 + 1_000);
        assert_eq!(block.txs[1], tx);
        assert_eq!(chain.tip(), (Height::new(101), hash));
        assert!(pool(&chain).is_empty());
        assert_eq!(chain.tx(&tx.txid()).unwrap().block, Some((Height::new(101), hash)));
        assert_eq!(chain.coin(&coins[0].0), None);
        assert_eq!(chain.coin(&output_of(&tx, 0).0).unwrap().height, Height::new(101));
    }
}

#[test]
fn bitcoins_blocks_hold_for_the_peer_crate() {
    let (mut chain, purse, coins) = funded(Regtest::Btc, 1);
    chain.submit(&purse.spend(&coins, vec![purse.pay(COIN_SAT)])).unwrap();
    let hash = chain.mine(NOW_S, purse.script.clone()).unwrap();
    let bytes = chain.block(hash).unwrap().encode();
    let theirs: bitcoin::Block = bitcoin::consensus::encode::deserialize(&bytes).unwrap();
    assert!(theirs.check_merkle_root());
    assert!(theirs.check_witness_commitment());
    assert_eq!(theirs.bip34_block_height(), Ok(101));
    assert_eq!(theirs.block_hash().to_string(), hash.to_string());
    theirs.header.validate_pow(theirs.header.target()).unwrap();
}

#[test]
fn the_same_calls_make_the_same_chain_and_no_two_blocks_are_equal() {
    let make = || {
        let mut chain = Chain::new(Regtest::Btc);
        let first = chain.mine(NOW_S, Script::default()).unwrap();
        chain.invalidate(first).unwrap();
        let second = chain.mine(NOW_S, Script::default()).unwrap();
        (first, second)
    };
    let (first, second) = make();
    assert_ne!(first, second);
    assert_eq!(make(), (first, second));
}

#[test]
fn block_times_stay_above_the_median() {
    let mut chain = Chain::new(Regtest::Btc);
    let mut mine = |now_s| {
        let hash = chain.mine(now_s, Script::default()).unwrap();
        chain.block(hash).unwrap().header.time_s - NOW_S
    };
    // The first block lies years before; an even number of blocks has its upper median.
    let times: Vec<u32> = (0..8).map(|_| mine(NOW_S)).collect();
    assert_eq!(times, [0, 1, 1, 2, 2, 2, 2, 3]);
    assert_eq!(mine(NOW_S - 1_000), 3);
    assert_eq!(mine(NOW_S + 5), 5);
}

#[test]
fn a_coinbase_can_be_spent_in_the_hundredth_block_after_it() {
    let (mut chain, purse, coins) = funded(Regtest::Btc, 2);
    let tx = |coin: usize| purse.spend(&coins[coin..=coin], vec![purse.pay(COIN_SAT)]);
    let (born, height) = (Height::new(2), Height::new(102));
    assert!(chain.would_take(&tx(0)).is_ok());
    chain.invalidate(chain.tip().1).unwrap();
    assert!(chain.would_take(&tx(0)).is_ok());
    let refusal = chain.submit(&tx(1)).unwrap_err();
    assert_eq!(refusal, Refusal::Immature { outpoint: coins[1].0, born, height: Height::new(101) });
    chain.mine(NOW_S, Script::default()).unwrap();
    assert_eq!(chain.next_height(), height);
    assert!(chain.submit(&tx(1)).is_ok());
}

#[test]
fn what_is_spent_or_unknown_cannot_be_spent() {
    let (mut chain, purse, coins) = funded(Regtest::Btc, 1);
    let value = coins[0].1.value_sat;
    let first = purse.spend(&coins, vec![purse.pay(value - 10_000)]);
    let txid = first.txid();
    assert_eq!(chain.submit(&first), Ok(Accepted { txid, replaced: Vec::new() }));
    assert_eq!(chain.submit(&first), Err(Refusal::Pooled { txid }));
    // The same coin for the same fee: first seen stays.
    let rival = purse.spend(&coins, vec![purse.pay(value - 10_000 - COIN_SAT), purse.pay(COIN_SAT)]);
    assert_eq!(chain.submit(&rival), Err(Refusal::ReplacementRate { txid }));
    assert_eq!(pool(&chain), [txid]);
    let height = chain.next_height();
    chain.mine(NOW_S, Script::default()).unwrap();
    assert_eq!(chain.submit(&first), Err(Refusal::Confirmed { txid, height }));
    assert_eq!(chain.submit(&rival), Err(Refusal::Missing { outpoint: coins[0].0 }));
    let beyond = OutPoint { txid, vout: 1 };
    let tx = purse.spend(&[(beyond, purse.pay(value))], vec![purse.pay(COIN_SAT)]);
    assert_eq!(chain.submit(&tx), Err(Refusal::Missing { outpoint: beyond }));
}

#[test]
fn one_transaction_alone_is_held_to_the_relay_rules() {
    let (mut chain, purse, coins) = funded(Regtest::Btc, 1);
    let value = coins[0].1.value_sat;
    let data = |bytes: usize| TxOut { value_sat: 0, script: Script::new(vec![0x6a; bytes]) };
    let rest = || purse.pay(value - 100_000);
    let of = |outputs: Vec<TxOut>| purse.spend(&coins, outputs);
    let check = |tx: Tx, want: Result<(), Refusal>| {
        assert_eq!(chain.would_take(&tx).map(|_| ()), want);
        let mut copy = chain.clone();
        assert_eq!(copy.submit(&tx).map(|_| ()), want);
    };
    check(of(vec![rest(), purse.pay(294)]), Ok(()));
    let (output, least_sat) = (1, 294);
    check(of(vec![rest(), purse.pay(293)]), Err(Refusal::Dust { output, value_sat: 293, least_sat }));
    check(of(vec![rest(), data(83)]), Ok(()));
    check(of(vec![rest(), data(84)]), Err(Refusal::Data { output, limit: 83 }));
    check(of(vec![data(9), data(9)]), Err(Refusal::Data { output, limit: 83 }));
    let odd = TxOut { value_sat: COIN_SAT, script: Script::new(vec![0x51]) };
    check(of(vec![rest(), odd]), Err(Refusal::Output { output, kind: ScriptKind::NonStandard }));
    let of_version = |version| {
        let mut tx = of(vec![rest()]);
        tx.version = version;
        tx
    };
    check(of_version(3), Err(Refusal::Version { found: 3 }));
    check(of_version(0), Err(Refusal::Version { found: 0 }));
    let (inputs_sat, outputs_sat) = (value, value + 1);
    let negative = FeeError::Negative { inputs_sat, outputs_sat };
    check(of(vec![purse.pay(value + 1)]), Err(Refusal::Value(negative)));
    let vsize = u64::try_from(of(vec![rest()]).vsize()).unwrap();
    check(of(vec![purse.pay(value - vsize)]), Ok(()));
    let (fee_sat, least_sat) = (vsize - 1, vsize);
    check(of(vec![purse.pay(value - vsize + 1)]), Err(Refusal::Fee { fee_sat, least_sat }));
    let mut tampered = of(vec![rest()]);
    tampered.outputs[0].value_sat -= 1;
    let source = VerifyError::Forged { position: 0 };
    check(tampered, Err(Refusal::Signature { input: 0, source }));
    let coinbase = chain.block(chain.tip().1).unwrap().txs[0].clone();
    assert_eq!(chain.submit(&coinbase), Err(Refusal::Coinbase));
}

#[test]
fn transactions_have_a_least_size() {
    let check = |regtest: Regtest, script_bytes: u8, found: usize, want: Option<usize>| {
        let (chain, purse, coins) = funded(regtest, 1);
        let filler = vec![0; usize::from(script_bytes) - 2];
        let script = Script::new([&[0x6a, script_bytes - 2][..], &filler].concat());
        let tx = purse.spend(&coins, vec![TxOut { value_sat: 0, script }]);
        assert_eq!(tx.size_stripped(), found);
        let refusal = want.map(|limit| Refusal::Small { found, limit });
        assert_eq!(chain.would_take(&tx).err(), refusal, "{regtest:?}");
    };
    check(Regtest::Btc, 5, 65, None);
    check(Regtest::Btc, 4, 64, Some(65));
    check(Regtest::Ltc, 22, 82, None);
    check(Regtest::Ltc, 21, 81, Some(82));
}

#[test]
fn transactions_put_together_by_hand_are_held_to_the_decoders_rules() {
    let (mut chain, purse, coins) = funded(Regtest::Btc, 1);
    let twice = [coins[0].clone(), coins[0].clone()];
    let tx = purse.spend(&twice, vec![purse.pay(COIN_SAT)]);
    let source = kuraban_chain::btc::DecodeError::DuplicateInput { outpoint: coins[0].0 };
    assert_eq!(chain.submit(&tx), Err(Refusal::Malformed(source)));
}

#[test]
fn lock_times_hold_back_until_they_come() {
    let (chain, purse, coins) = funded(Regtest::Btc, 1);
    let next = chain.next_height();
    let check = |lock_time: u32, sequence: u32, want: Result<(), Refusal>| {
        let tx = purse.spend_at(&coins, vec![purse.pay(COIN_SAT)], lock_time, sequence);
        assert_eq!(chain.would_take(&tx).map(|_| ()), want, "{lock_time} {sequence:#x}");
    };
    let locked = |lock_time| Err(Refusal::Locked { lock_time, height: next });
    let median_s = chain.median_s();
    check(next.blocks() - 1, 0xffff_fffd, Ok(()));
    check(next.blocks(), 0xffff_fffd, locked(next.blocks()));
    check(next.blocks(), u32::MAX, Ok(()));
    check(median_s - 1, 0xffff_fffd, Ok(()));
    check(median_s, 0xffff_fffd, locked(median_s));
    check(0, 0, Ok(()));
    check(0, 0x8000_0001, Ok(()));
    check(0, 1, Err(Refusal::RelativeLock { input: 0 }));
}

#[test]
fn a_replacement_pays_for_what_it_evicts_and_for_itself() {
    let (mut chain, purse, coins) = funded(Regtest::Btc, 2);
    let value = coins[0].1.value_sat;
    let first = purse.spend(&coins[..1], vec![purse.pay(value - 1_000)]);
    let child = purse.spend(&[output_of(&first, 0)], vec![purse.pay(value - 3_000)]);
    chain.submit(&first).unwrap();
    chain.submit(&child).unwrap();
    let of_fee = |fee_sat: u64| purse.spend(&coins[..1], vec![purse.pay(value - fee_sat)]);
    let vsize = u64::try_from(first.vsize()).unwrap();
    // Both fees, 1,000 and 2,000, and one base unit for each of its own virtual bytes.
    let least_sat = 3_000 + vsize;
    assert_eq!(chain.submit(&of_fee(1_000 - 1)), Err(Refusal::ReplacementRate { txid: first.txid() }));
    let fee_sat = least_sat - 1;
    assert_eq!(chain.submit(&of_fee(fee_sat)), Err(Refusal::ReplacementFee { fee_sat, least_sat }));
    assert_eq!(pool(&chain), [first.txid(), child.txid()]);

    // Neither may it live off what it evicts, nor bring in other unconfirmed coins.
    let both = [coins[0].clone(), output_of(&child, 0)];
    let own = purse.spend(&both, vec![purse.pay(COIN_SAT)]);
    assert_eq!(chain.submit(&own), Err(Refusal::OwnConflict { txid: child.txid() }));
    let other = purse.spend(&coins[1..], vec![purse.pay(value - 1_000)]);
    chain.submit(&other).unwrap();
    let fresh = output_of(&other, 0);
    let new = purse.spend(&[coins[0].clone(), fresh.clone()], vec![purse.pay(COIN_SAT)]);
    assert_eq!(chain.submit(&new), Err(Refusal::NewUnconfirmed { outpoint: fresh.0 }));

    let winner = of_fee(least_sat);
    let mut replaced = vec![first.txid(), child.txid()];
    replaced.sort_unstable();
    assert_eq!(chain.submit(&winner), Ok(Accepted { txid: winner.txid(), replaced }));
    assert_eq!(pool(&chain), [other.txid(), winner.txid()]);
    let refusal = chain.submit(&child).unwrap_err();
    assert_eq!(refusal, Refusal::Missing { outpoint: output_of(&first, 0).0 });
}

#[test]
fn only_so_many_unconfirmed_transactions_hang_together() {
    let (mut chain, purse, coins) = funded(Regtest::Btc, 1);
    let mut tip = coins[0].clone();
    for _ in 0..LINKED_MAX {
        let tx = purse.spend(&[tip.clone()], vec![purse.pay(tip.1.value_sat - 1_000)]);
        chain.submit(&tx).unwrap();
        tip = output_of(&tx, 0);
    }
    let beyond = purse.spend(&[tip.clone()], vec![purse.pay(COIN_SAT)]);
    let (count, limit) = (LINKED_MAX + 1, LINKED_MAX);
    assert_eq!(chain.submit(&beyond), Err(Refusal::Linked { count, limit }));
    let hash = chain.mine(NOW_S, Script::default()).unwrap();
    assert_eq!(chain.block(hash).unwrap().txs.len(), LINKED_MAX + 1);
    assert!(chain.submit(&beyond).is_ok());

    // Many children of one parent count too.
    let (mut chain, purse, coins) = funded(Regtest::Btc, 1);
    let parent = purse.spend(&coins, (0..LINKED_MAX).map(|_| purse.pay(COIN_SAT)).collect());
    chain.submit(&parent).unwrap();
    let child = |vout| purse.spend(&[output_of(&parent, vout)], vec![purse.pay(COIN_SAT - 1_000)]);
    for vout in 0..LINKED_MAX - 1 {
        chain.submit(&child(vout)).unwrap();
    }
    assert_eq!(chain.submit(&child(LINKED_MAX - 1)), Err(Refusal::Linked { count, limit }));
}

#[test]
fn a_reorganisation_returns_transactions_and_drops_what_has_no_coin_left() {
    let (mut chain, purse, coins) = funded(Regtest::Btc, 1);
    let value = coins[0].1.value_sat;
    let first = purse.spend(&coins, vec![purse.pay(value - 1_000)]);
    chain.submit(&first).unwrap();
    let before = chain.tip();
    let stale = chain.mine(NOW_S, purse.script.clone()).unwrap();
    let child = purse.spend(&[output_of(&first, 0)], vec![purse.pay(value - 2_000)]);
    chain.submit(&child).unwrap();
    for _ in 0..COINBASE_MATURITY - 1 {
        chain.mine_empty(NOW_S, Script::default()).unwrap();
    }
    let coinbase = output_of(&chain.block(stale).unwrap().txs[0], 0);
    let grown = purse.spend(core::slice::from_ref(&coinbase), vec![purse.pay(COIN_SAT)]);
    chain.submit(&grown).unwrap();
    assert_eq!(pool(&chain), [child.txid(), grown.txid()]);

    let reorg = chain.invalidate(stale).unwrap();
    assert_eq!(reorg.gone.len(), 100);
    assert_eq!(reorg.gone.last(), Some(&stale));
    assert_eq!(reorg.returned, [first.txid()]);
    assert_eq!(reorg.dropped, [(grown.txid(), Refusal::Missing { outpoint: coinbase.0 })]);
    assert_eq!(pool(&chain), [first.txid(), child.txid()]);
    assert_eq!(chain.tip(), before);
    assert_eq!(chain.coin(&coins[0].0).map(|coin| &coin.output), Some(&coins[0].1));
    assert_eq!(chain.tx(&first.txid()).unwrap().block, None);
    assert_eq!(chain.height_of(stale), None);
    assert!(chain.block(stale).is_some());

    let other = chain.mine(NOW_S, purse.script.clone()).unwrap();
    assert_eq!(chain.block(other).unwrap().txs.len(), 3);
    assert_eq!(chain.invalidate(stale), Err(ReorgError::Unknown { found: stale }));
    let genesis = Network::BtcRegtest.genesis_hash();
    assert_eq!(chain.invalidate(genesis), Err(ReorgError::Genesis));
}

#[test]
fn a_child_confirmed_with_its_parent_comes_back_with_it() {
    let (mut chain, purse, coins) = funded(Regtest::Btc, 1);
    let first = purse.spend(&coins, vec![purse.pay(COIN_SAT)]);
    let child = purse.spend(&[output_of(&first, 0)], vec![purse.pay(COIN_SAT - 1_000)]);
    chain.submit(&first).unwrap();
    chain.submit(&child).unwrap();
    let coins_before = chain.coins.clone();
    let hash = chain.mine(NOW_S, Script::default()).unwrap();
    let reorg = chain.invalidate(hash).unwrap();
    assert_eq!(reorg.returned, [first.txid(), child.txid()]);
    assert_eq!(chain.coins, coins_before);
}

#[test]
fn headers_follow_the_first_known_block_of_the_locator() {
    let mut chain = Chain::new(Regtest::Btc);
    let hashes: Vec<BlockHash> =
        (0..HEADERS_MAX + 2).map(|_| chain.mine(NOW_S, Script::default()).unwrap()).collect();
    let got = |chain: &Chain, locator: &[BlockHash], stop| -> Vec<BlockHash> {
        chain.headers_after(locator, stop).iter().map(Header::hash).collect()
    };
    let genesis = Network::BtcRegtest.genesis_hash();
    let (unknown, all) = (BlockHash::from_bytes([1; 32]), BlockHash::ZERO);
    assert_eq!(got(&chain, &[genesis], all), hashes[..HEADERS_MAX]);
    assert_eq!(got(&chain, &[unknown], all), hashes[..HEADERS_MAX]);
    assert_eq!(got(&chain, &[unknown, hashes[4], hashes[1]], all), hashes[5..]);
    assert_eq!(got(&chain, &[hashes[4]], hashes[6]), hashes[5..=6]);
    assert_eq!(got(&chain, &[hashes[HEADERS_MAX + 1]], all), []);
    assert_eq!(got(&chain, &[], hashes[3]), hashes[3..=3]);
    assert_eq!(got(&chain, &[], unknown), []);
    let stale = hashes[HEADERS_MAX + 1];
    chain.invalidate(stale).unwrap();
    assert_eq!(got(&chain, &[stale, hashes[HEADERS_MAX - 1]], all), [hashes[HEADERS_MAX]]);
    assert_eq!(got(&chain, &[], stale), []);
}

#[test]
fn blocks_stay_within_their_weight() {
    let (mut chain, purse, coins) = funded(Regtest::Btc, 8);
    // Outputs of 43 bytes: 2,300 of them weigh just under what is relayed.
    let many = |coin: usize| {
        let each = TxOut { value_sat: 1_000, script: Script::witness(1, &[2; 32]).unwrap() };
        purse.spend(&coins[coin..=coin], vec![each; 2_300])
    };
    let txs: Vec<Tx> = (0..8).map(many).collect();
    for tx in &txs {
        chain.submit(tx).unwrap();
    }
    let first = chain.mine(NOW_S, Script::default()).unwrap();
    let weight = |hash| chain.block(hash).unwrap().txs.iter().map(Tx::weight).sum::<usize>();
    assert!(weight(first) <= BLOCK_WEIGHT_MAX - 320, "{}", weight(first));
    assert_eq!(chain.block(first).unwrap().txs.len(), 1 + 5);
    let second = chain.mine(NOW_S, Script::default()).unwrap();
    assert_eq!(chain.block(second).unwrap().txs.len(), 1 + 3);
}
