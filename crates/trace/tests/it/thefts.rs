//! Made-up thefts of which the truth is known: how many of their mixes the detectors find, how many ordinary payments they
//! take for one, whether the index takes the chain and leaves the branches aside, and whether all stolen units arrive.

use std::collections::{BTreeMap, BTreeSet};

use kuraban_base::Txid;
use kuraban_chain::btc::{OutPoint, TxOut};
use kuraban_sim::{
    chain::Regtest,
    economy::{
        records::Records,
        theft::{Labelled, Made, Owner, Plan, Story, Tally, Way, What},
    },
};
use kuraban_trace::{
    graph::{Graph as _, OutputNum},
    index::{
        Index,
        build::{self, Begin, COMMIT_BYTES, Pace},
        source::Source,
    },
    patterns::{Chain, FIRM, Kind, Known, View, classify},
    taint::{Case, Method, Terms, trace},
};
use tempfile::tempdir;

fn told(plan: Plan) -> (Vec<Made>, Tally) {
    let mut story = Story::new(plan);
    let mut made = Vec::new();
    while let Some(next) = story.next_block().unwrap() {
        made.push(next);
    }
    (made, story.tally())
}

/// The kind that a detector should see in a transaction of the truth; nothing where it is no shape of its own.
fn kind_of(what: What) -> Option<Kind> {
    match what {
        What::Tx0 => Some(Kind::WhirlpoolTx0),
        What::Whirlpool => Some(Kind::Whirlpool),
        What::Wasabi1 => Some(Kind::Wasabi1),
        What::Wasabi2 => Some(Kind::Wasabi2),
        What::JoinMarket => Some(Kind::JoinMarket),
        What::Dispersal => Some(Kind::Dispersal),
        What::Theft
        | What::Peel
        | What::HubPayment
        | What::HubSweep
        | What::HubPayout
        | What::Dust
        | What::Lot
        | What::Deposit
        | What::Sweep
        | What::Payout => None,
    }
}

#[test]
fn detectors_find_the_mixes_of_thieves_and_few_among_ordinary_payments() {
    let (made, _) = told(Plan::new(Regtest::Btc, 9, 30_000, 40));
    let truth: BTreeMap<Txid, &Labelled> =
        made.iter().flat_map(|made| &made.labels).map(|label| (label.txid, label)).collect();
    let mut coins: BTreeMap<OutPoint, TxOut> = BTreeMap::new();
    let mut found: BTreeMap<What, (u32, u32)> = BTreeMap::new();
    let (mut ordinary, mut taken) = (0, 0);
    for tx in made.iter().flat_map(|made| &made.block.txs) {
        let spent: Vec<TxOut> = tx.inputs.iter().filter_map(|input| coins.remove(&input.prev)).collect();
        coins.extend(tx.outpoints().map(|(at, output)| (at, output.clone())));
        if tx.is_coinbase() {
            continue;
        }
        let pairs = |outputs: &[TxOut]| -> Vec<(u64, Vec<u8>)> {
            outputs.iter().map(|output| (output.value_sat, output.script.as_bytes().to_vec())).collect()
        };
        let (spent, paid) = (pairs(&spent), pairs(&tx.outputs));
        let view = View::of_scripts(
            spent.iter().map(|(value, script)| (*value, &script[..])),
            paid.iter().map(|(value, script)| (*value, &script[..])),
        );
        let labels = classify(&view.unwrap(), Known { chain: Chain::Bitcoin, exchange_spends: false });
        let firm = |kind| labels.iter().any(|label| label.kind == kind && label.confidence >= FIRM);
        match truth.get(&tx.txid()).map(|label| label.what) {
            Some(what) => {
                if let Some(kind) = kind_of(what) {
                    let (all, hits) = found.entry(what).or_default();
                    *all += 1;
                    *hits += u32::from(firm(kind));
                }
            }
            None => {
                ordinary += 1;
                taken += u32::from(Kind::ALL.into_iter().any(|kind| kind.is_mix() && firm(kind)));
            }
        }
    }
    println!("{found:?}; of {ordinary} ordinary payments {taken} are taken for a mix");
    for (what, (all, hits)) in &found {
        assert!(*all >= 4, "{what:?}: {all}");
        assert!(hits * 10 >= all * 9, "{what:?}: {hits} of {all}");
    }
    assert_eq!(found.len(), 6);
    assert!(taken * 200 <= ordinary, "{taken} of {ordinary}");
}

#[test]
fn an_index_of_the_files_takes_the_chain_and_leaves_the_branches_aside() {
    let (made, tally) = told(Plan::new(Regtest::Btc, 4, 8_000, 10));
    let folder = tempdir().unwrap();
    let network = Regtest::Btc.network();
    let mut records = Records::new(network);
    let mut file = Vec::new();
    for made in &made {
        for block in made.stale.iter().chain([&made.block]) {
            let record = records.next(&block.encode());
            assert_eq!(record.file, 0);
            file.extend_from_slice(&record.bytes);
        }
    }
    let blocks = folder.path().join("blk00000.dat");
    std::fs::write(&blocks, file).unwrap();
    let source = Source::scan(network, &[blocks], |_, _| {}).unwrap();
    let pace = Pace { commit_bytes: COMMIT_BYTES, progress: &mut |_| {} };
    let (index, outcome) = build::build(&folder.path().join("index"), &source, Begin::Genesis, pace).unwrap();
    assert_eq!((outcome.appended, outcome.aside), (tally.blocks, tally.stale_blocks));
    assert_eq!(tally.stale_blocks, 2);
    assert_eq!(index.tx_count(), tally.transactions);
    assert_eq!(index.tip().unwrap().hash, made.last().unwrap().block.hash());
    stolen_units_arrive(&index, &made);
}

/// Every unit that was stolen in ways that mix with nobody is at a deposit address, or was paid as a fee.
fn stolen_units_arrive(index: &Index, made: &[Made]) {
    let labels: Vec<&Labelled> =
        made.iter().flat_map(|made| &made.labels).filter(|label| !label.stale).collect();
    let outputs_of = |label: &Labelled| index.outputs(index.find(&label.txid).unwrap()).map(OutputNum::new);
    for way in [Way::Peel, Way::Dispersal, Way::Lots, Way::Reorganisation] {
        let of_way = || labels.iter().filter(|label| label.way == way);
        let seeds = of_way().filter(|label| label.what == What::Theft).flat_map(|label| outputs_of(label));
        let cases = [Case { seeds: seeds.collect() }];
        let deposits: BTreeSet<OutputNum> = of_way()
            .flat_map(|label| outputs_of(label).zip(&label.outputs))
            .filter(|(_, owner)| **owner == Owner::ThiefDeposit)
            .map(|(output, _)| output)
            .collect();
        let mut terms = Terms::new(Method::Fifo);
        terms.stops.outputs = deposits;
        let found = trace(index, &cases, &terms).unwrap();
        let totals = found.totals();
        assert!(totals.stolen_sat > 0 && found.unspent.is_empty(), "{way:?}: {totals:?}");
        assert_eq!(totals.stopped_sat + totals.fees_sat.unwrap(), totals.stolen_sat, "{way:?}");
    }
}
