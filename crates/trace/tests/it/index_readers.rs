//! Everything that reads an index, on one of which any file is damaged: an error that names the file, or the right answer.

use core::{fmt::Debug, num::NonZeroUsize};
use std::{fs, path::Path};

use kuraban_base::Height;
use kuraban_chain::btc::{Block, Network};
use kuraban_trace::{
    cluster::{Change, Clusters, Rules, why},
    graph::{AddressNum, Graph as _, OutputNum, TxNum},
    index::{Index, Writer, reading},
    live::{Hubs, Threshold},
    patterns::{Chain, Known, View, classify},
    taint::{
        BackTerms, Case, Method, Reversed, Stops, Terms, interval::intervals, origins, outpoint, seed, trace,
    },
};
use tempfile::tempdir;

use crate::{
    index_bad::text,
    index_chain::{SMALL, chain, files, index_of, prepared},
};

const NETWORK: Network = Network::BtcRegtest;

type Read = fn(&Index) -> Result<String, String>;

/// An answer or why there is none, as text.
fn told<T: Debug>(answer: Result<T, impl ToString>) -> Result<String, String> {
    answer.map(|answer| format!("{answer:?}")).map_err(|error| error.to_string())
}

/// Outputs that are followed: those of one transaction in the middle. Where the index tells none there is no panic either.
fn seeds(index: &Index) -> Result<Vec<OutputNum>, String> {
    let middle = TxNum::new(index.tx_count() / 2);
    let outputs = reading(|| index.outputs(middle)).map_err(|error| error.to_string())?;
    Ok(outputs.take(5).map(OutputNum::new).collect())
}

fn traced(index: &Index) -> Result<String, String> {
    let seeds = seeds(index)?;
    let all = Method::ALL.iter().map(|method| {
        let terms = Terms { follow_fees: true, ..Terms::new(*method) };
        trace(index, &[Case { seeds: seeds.clone() }], &terms)
    });
    told(all.collect::<Result<Vec<_>, _>>())
}

fn bounded(index: &Index) -> Result<String, String> {
    told(intervals(index, &Case { seeds: seeds(index)? }, None, &Stops::default()))
}

fn traced_back(index: &Index) -> Result<String, String> {
    let terms = BackTerms { method: Reversed::Haircut, hops_max: None, since: None };
    let all = seeds(index)?.into_iter().map(|output| origins(index, output, &terms));
    told(all.collect::<Result<Vec<_>, _>>())
}

fn named(index: &Index) -> Result<String, String> {
    let found = reading(|| {
        let outpoints =
            (0..index.counts().outputs).step_by(7).map(|output| outpoint(index, OutputNum::new(output)));
        outpoints.collect::<Vec<_>>()
    });
    let outpoints = found.map_err(|error| error.to_string())?;
    told(outpoints.into_iter().map(|outpoint| seed(index, outpoint)).collect::<Result<Vec<_>, _>>())
}

fn clustered(index: &Index) -> Result<String, String> {
    let rules = Rules { change: vec![Change::Fresh], ..Rules::default() };
    let threads = NonZeroUsize::new(3).unwrap();
    let by_both = Clusters::of(index, &rules, threads, &|_| {}).map_err(|error| error.to_string())?;
    let clusters =
        Clusters::of(index, &Rules::default(), threads, &|_| {}).map_err(|error| error.to_string())?;
    let shown = (by_both.largest(9), by_both.refused(), clusters.largest(9));
    let far = clusters.largest(1).first().map_or(AddressNum::new(0), |(address, _)| *address);
    let to = clusters.members(far).last().unwrap_or(far);
    told(why(index, &clusters, far, to).map(|path| (shown, path)))
}

fn counted(index: &Index) -> Result<String, String> {
    let threshold = Threshold { outputs_min: 3, before: OutputNum::new(index.counts().outputs) };
    told(Hubs::count(index, &[threshold]).map(|hubs| {
        let mut hubs: Vec<_> = hubs[0].addresses().collect();
        hubs.sort_unstable();
        hubs
    }))
}

fn classified(index: &Index) -> Result<String, String> {
    let known = Known { chain: Chain::Bitcoin, exchange_spends: false };
    let label = |tx| View::of_graph(index, TxNum::new(tx)).map(|view| classify(&view, known));
    told(reading(|| (0..index.tx_count()).map(label).collect::<Vec<_>>()))
}

/// BlockSci's six questions and what `index stats` says.
fn queried(index: &Index) -> Result<String, String> {
    told(reading(|| {
        let txs = || (0..index.tx_count()).map(TxNum::new);
        let value = |output| index.value(OutputNum::new(output));
        let locked = txs().filter(|tx| index.lock_time(*tx) > 0).count();
        let greatest = txs().flat_map(|tx| index.outputs(tx)).map(value).max();
        let taken = |tx| index.inputs(tx).map(|output| index.value(output)).sum::<u64>();
        let given = |tx| index.outputs(tx).map(value).sum::<u64>();
        let fees: u64 = txs().map(|tx| taken(tx).saturating_sub(given(tx))).sum();
        let addresses =
            txs().flat_map(|tx| index.outputs(tx)).filter_map(|output| index.address(OutputNum::new(output)));
        let scripts: Vec<_> = addresses.map(|address| index.script(address)).collect();
        let found: Vec<_> = scripts.iter().map(|script| index.find_script(script)).collect();
        let soon = txs().filter(|tx| {
            index.inputs(*tx).any(|output| index.height(index.creator(output)) == index.height(*tx))
        });
        let headers: Vec<_> = index.headers().collect();
        (
            index.counts(),
            locked,
            greatest,
            fees,
            scripts,
            found,
            soon.count(),
            headers,
            index.locator(),
            index.tip(),
        )
    }))
}

const READERS: [(&str, Read); 9] = [
    ("trace", traced),
    ("intervals", bounded),
    ("origins", traced_back),
    ("seeds", named),
    ("clusters", clustered),
    ("hubs", counted),
    ("patterns", classified),
    ("queries", queried),
    ("verify", |index| told(index.verify())),
];

/// What each reader says; the same error for all where the index cannot be opened.
fn read(folder: &Path) -> Vec<Result<String, String>> {
    match Index::open(folder) {
        Ok(index) => READERS.iter().map(|(_, read)| read(&index)).collect(),
        Err(error) => vec![Err(text(&error)); READERS.len()],
    }
}

/// Damages each file in turn, by one change after the other, and reads the index by every reader.
#[track_caller]
fn damaged(blocks: &[Block], changes: impl Fn(&[u8]) -> Vec<Option<Vec<u8>>>) -> [u32; READERS.len()] {
    let folder = tempdir().unwrap();
    drop(index_of(folder.path(), NETWORK, blocks));
    let right = read(folder.path());
    assert!(right.iter().all(Result::is_ok), "{right:?}");
    let mut errors = [0; READERS.len()];
    for (name, bytes) in files(folder.path()) {
        let path = folder.path().join(&name);
        let name = name.to_string_lossy().into_owned();
        for (number, change) in changes(&bytes).into_iter().enumerate() {
            match change {
                Some(changed) => fs::write(&path, changed).unwrap(),
                None => fs::remove_file(&path).unwrap(),
            }
            let found = read(folder.path());
            for (((reader, _), (found, right)), errors) in
                READERS.iter().zip(found.iter().zip(&right)).zip(&mut errors)
            {
                match found {
                    Ok(found) => {
                        assert_eq!(Some(found), right.as_ref().ok(), "{reader}, change {number} of {name}")
                    }
                    Err(error) => {
                        // Without its head a folder holds no index.
                        let names = error.contains(&name) || error.contains("holds no index");
                        assert!(names, "{reader}, change {number} of {name}: {error}");
                        *errors += 1;
                    }
                }
            }
        }
        fs::write(&path, bytes).unwrap();
    }
    assert_eq!(read(folder.path()), right);
    errors
}

#[test]
fn with_a_flipped_bit_every_reader_is_right_or_names_the_file() {
    let blocks = chain(SMALL, 31, 112);
    let flipped = |bytes: &[u8]| {
        let flip = |at: usize| {
            let mut changed = bytes.to_vec();
            changed[at] ^= 0x10;
            Some(changed)
        };
        (0..12).map(|part| bytes.len() * part / 12).filter(|at| *at < bytes.len()).map(flip).collect()
    };
    let errors = damaged(&blocks, flipped);
    assert!(errors.iter().all(|errors| *errors > 20), "{errors:?}");
}

#[test]
fn with_a_file_cut_short_emptied_or_missing_every_reader_names_it() {
    let blocks = chain(SMALL, 32, 106);
    let cut = |bytes: &[u8]| {
        // The files of locks are empty, and made again.
        let lengths = [0, 1, 63, 64, bytes.len() / 2, bytes.len().saturating_sub(9)];
        let shorter = lengths.into_iter().filter(|length| *length < bytes.len());
        let mut cut: Vec<_> = shorter.map(|length| Some(bytes[..length].to_vec())).collect();
        cut.extend((!bytes.is_empty()).then_some(None));
        cut
    };
    let errors = damaged(&blocks, cut);
    assert!(errors.iter().all(|errors| *errors > 60), "{errors:?}");
}

#[test]
fn a_missing_file_says_what_to_do() {
    let folder = tempdir().unwrap();
    drop(index_of(folder.path(), NETWORK, &chain(SMALL, 33, 3)));
    fs::remove_file(folder.path().join("owners")).unwrap();
    let error = Index::open(folder.path()).unwrap_err().to_string();
    assert!(error.contains("owners: is missing, expected a file of the index with 92 bytes"), "{error}");
    assert!(error.ends_with("build the index again"), "{error}");
}

/// The block before is what a block and what is taken off rest on.
#[test]
fn a_writer_neither_appends_to_what_is_corrupted_nor_takes_it_off() {
    let blocks = chain(SMALL, 34, 120);
    let check = |name: &str, write: fn(&mut Writer, &Block) -> Result<(), String>| {
        let folder = tempdir().unwrap();
        drop(index_of(folder.path(), NETWORK, &blocks[..119]));
        let path = folder.path().join(name);
        let mut bytes = fs::read(&path).unwrap();
        let last = bytes.len() - 12;
        bytes[last] ^= 1;
        fs::write(&path, bytes).unwrap();
        let written = |mut writer: Writer| write(&mut writer, &blocks[119]);
        let error =
            Writer::open(folder.path()).map_err(|error| error.to_string()).and_then(written).unwrap_err();
        assert!(error.contains(name) && error.contains("is corrupted: piece 0 sums to"), "{name}: {error}");
        // Not whole by having been written around.
        let verified = Index::open(folder.path()).and_then(|index| index.verify());
        assert!(verified.unwrap_err().to_string().contains(name));
    };
    let append = |writer: &mut Writer, block: &Block| {
        writer.append(&prepared(NETWORK, block)).map_err(|error| error.to_string())
    };
    let roll_back =
        |writer: &mut Writer, _: &Block| writer.rollback(Height::new(60)).map_err(|error| error.to_string());
    check("headers", append);
    let names = [
        "headers",
        "txids",
        "tx-outputs",
        "values",
        "owners",
        "spenders",
        "scripts",
        "script-starts",
        "lock-times",
    ];
    names.iter().for_each(|name| check(name, roll_back));
}
