//! What needs a graph, on a small one that is written out here.

use core::ops::Range;

use kuraban_base::{Height, Txid};
use kuraban_chain::btc::Network;
use kuraban_trace::{
    cluster::looks_like_coinjoin,
    graph::{AddressNum, Fate, Graph, OutputNum, Tip, TxNum},
    patterns::{
        Chain, Deposit, Form, Kind, Known, View, classify, deposit_address, peel_chain, tx0_confirmed,
    },
};

/// One transaction: the outputs that it spends, and its outputs as value and address; address 0 is nobody's.
type Entry = (Vec<u64>, Vec<(u64, u64)>);

/// Transactions in order, all in one block.
struct Small {
    txs: Vec<Entry>,
}

impl Small {
    fn first_output(&self, tx: usize) -> u64 {
        self.txs[..tx].iter().map(|(_, outputs)| u64::try_from(outputs.len()).unwrap()).sum()
    }

    fn output(&self, output: OutputNum) -> (u64, u64) {
        let all = self.txs.iter().flat_map(|(_, outputs)| outputs);
        *all.clone().nth(usize::try_from(output.number()).unwrap()).unwrap()
    }
}

fn place(tx: TxNum) -> usize {
    usize::try_from(tx.number()).unwrap()
}

impl Graph for Small {
    fn network(&self) -> Network {
        Network::BtcRegtest
    }

    fn tip(&self) -> Option<Tip> {
        None
    }

    fn tx_count(&self) -> u64 {
        u64::try_from(self.txs.len()).unwrap()
    }

    fn address_count(&self) -> u64 {
        let all = (0..self.tx_count()).flat_map(|tx| self.outputs(TxNum::new(tx)));
        all.filter_map(|output| self.address(OutputNum::new(output)))
            .map(|address| address.number() + 1)
            .max()
            .unwrap_or(0)
    }

    fn txid(&self, tx: TxNum) -> Txid {
        Txid::from_bytes([u8::try_from(tx.number()).unwrap(); 32])
    }

    fn find(&self, txid: &Txid) -> Option<TxNum> {
        (0..self.tx_count()).map(TxNum::new).find(|tx| self.txid(*tx) == *txid)
    }

    fn height(&self, _: TxNum) -> Height {
        Height::new(0)
    }

    fn block(&self, height: Height) -> Option<Range<u64>> {
        (height == Height::new(0)).then(|| 0..self.tx_count())
    }

    fn inputs(&self, tx: TxNum) -> impl Iterator<Item = OutputNum> + '_ {
        self.txs[place(tx)].0.iter().copied().map(OutputNum::new)
    }

    fn outputs(&self, tx: TxNum) -> Range<u64> {
        let from = self.first_output(place(tx));
        from..from + u64::try_from(self.txs[place(tx)].1.len()).unwrap()
    }

    fn creator(&self, output: OutputNum) -> TxNum {
        (0..self.tx_count()).map(TxNum::new).find(|tx| self.outputs(*tx).contains(&output.number())).unwrap()
    }

    fn spender(&self, output: OutputNum) -> Option<TxNum> {
        (0..self.tx_count()).map(TxNum::new).find(|tx| self.inputs(*tx).any(|input| input == output))
    }

    fn value(&self, output: OutputNum) -> u64 {
        self.output(output).0
    }

    fn fate(&self, output: OutputNum) -> Fate {
        if self.output(output).1 == 0 { Fate::Unspendable } else { Fate::Spendable }
    }

    fn address(&self, output: OutputNum) -> Option<AddressNum> {
        Some(self.output(output).1).filter(|address| *address != 0).map(AddressNum::new)
    }
}

#[test]
fn a_view_of_a_graph_knows_no_forms_and_is_classified_all_the_same() {
    // Five coins, then a mix of them.
    let coins = (1..=5).map(|address| (100_000 + if address <= 2 { 302 } else { 0 }, address)).collect();
    let mix = (11..=15).map(|address| (100_000, address)).collect();
    let graph = Small { txs: vec![(vec![], coins), (vec![0, 1, 2, 3, 4], mix)] };
    let view = View::of_graph(&graph, TxNum::new(1)).unwrap();
    assert_eq!((view.fee(), view.input_owners()), (604, 5));
    assert!(view.outputs().iter().all(|coin| coin.form == Form::Unknown));
    let known = Known { chain: Chain::Bitcoin, exchange_spends: false };
    assert_eq!(classify(&view, known)[0].kind, Kind::Whirlpool);
    assert!(looks_like_coinjoin(&graph, TxNum::new(1)));
    assert!(View::of_graph(&graph, TxNum::new(0)).unwrap().is_coinbase());
}

#[test]
fn an_address_whose_coins_go_to_one_service_is_its_deposit_address() {
    // Addresses 8 and 9 are services; 1 receives 100 and sends it on.
    let check = |forwards: Vec<(u64, u64)>, want: Option<(u64, u64)>| {
        let graph = Small { txs: vec![(vec![], vec![(100, 1)]), (vec![0], forwards.clone())] };
        let service = |address: AddressNum| (address.number() >= 8).then(|| address.number());
        let found = deposit_address(&graph, [OutputNum::new(0)], service);
        let want = want.map(|(service, forwarded)| Deposit { service, spent: 100, forwarded });
        assert_eq!(found, want, "{forwards:?}");
    };
    check(vec![(99, 8)], Some((8, 100)));
    check(vec![(90, 8), (10, 2)], Some((8, 90)));
    check(vec![(89, 8), (11, 2)], None);
    check(vec![(50, 8), (50, 9)], None);
    check(vec![(99, 2)], None);
    // Not spent; and the service's own.
    let service = |address: AddressNum| (address.number() >= 8).then(|| address.number());
    let idle = Small { txs: vec![(vec![], vec![(100, 1)])] };
    assert_eq!(deposit_address(&idle, [OutputNum::new(0)], service), None);
    let own = Small { txs: vec![(vec![], vec![(100, 8)]), (vec![0], vec![(99, 8)])] };
    assert_eq!(deposit_address(&own, [OutputNum::new(0)], service), None);
}

#[test]
fn a_peel_chain_is_followed_along_the_larger_output() {
    let graph = Small {
        txs: vec![
            (vec![], vec![(1_000, 1)]),
            (vec![0], vec![(10, 2), (990, 3)]),
            (vec![2], vec![(980, 4), (10, 5)]),
            (vec![3], vec![(970, 6), (10, 7)]),
            (vec![5], vec![(960, 8)]),
        ],
    };
    let check = |from: u64, hops_max: usize, want: &[u64]| {
        let found: Vec<u64> =
            peel_chain(&graph, TxNum::new(from), hops_max).iter().map(|tx| tx.number()).collect();
        assert_eq!(found, want, "from {from}");
    };
    check(1, 20, &[1, 2, 3]);
    check(1, 2, &[1, 2]);
    check(1, 1, &[]);
    check(3, 20, &[]);
    check(0, 20, &[]);
}

#[test]
fn a_tx0_is_sure_once_its_coins_are_mixed() {
    let others: Vec<(u64, u64)> = (1..=4).map(|address| (100_000, address)).collect();
    let tx0 = vec![(0, 0), (100_302, 21), (100_302, 22), (5_000, 23)];
    let mix: Vec<(u64, u64)> = (11..=15).map(|address| (100_000, address)).collect();
    let whole = Small { txs: vec![(vec![], others), (vec![], tx0), (vec![0, 1, 2, 3, 5], mix)] };
    let known = Known { chain: Chain::Bitcoin, exchange_spends: false };
    assert!(tx0_confirmed(&whole, TxNum::new(1), known));
    let unmixed = Small { txs: whole.txs[..2].to_vec() };
    assert!(!tx0_confirmed(&unmixed, TxNum::new(1), known));
}
