//! What holds of any change to the files of an index; of the corpus here, of all others in the fuzz target, which includes
//! this file.

use std::{collections::BTreeMap, fmt::Write as _, fs, num::NonZeroUsize, path::PathBuf};

use kuraban_chain::btc::Network;
use kuraban_sim::{
    chain::Regtest,
    economy::{Economy, Shape},
};
use kuraban_trace::{
    cluster::{Clusters, Rules},
    graph::{Graph as _, OutputNum, TxNum},
    index::{Index, Prepared, Start, Writer, reading},
    taint::{Case, Method, Terms, trace},
};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

/// An index of 110 blocks, and its files as they were written.
pub(crate) struct Whole {
    folder: TempDir,
    files: BTreeMap<PathBuf, Vec<u8>>,
    told: String,
}

impl Whole {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = Writer::create(folder.path(), Network::BtcRegtest, Start::GENESIS).unwrap();
        let mut economy = Economy::new(Shape { regtest: Regtest::Btc, block_txs: 12, ..Shape::BTC }, 7);
        for _ in 0..110 {
            let block = economy.next_block(Vec::new(), 0).unwrap();
            writer.append(&Prepared::read(Network::BtcRegtest, block.encode()).unwrap()).unwrap();
        }
        writer.close().unwrap();
        let paths = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path());
        let files = paths.map(|path| (path.clone(), fs::read(path).unwrap())).collect();
        let mut whole = Self { folder, files, told: String::new() };
        whole.told = whole.read().unwrap();
        whole
    }

    /// The bytes name a file (one), a place in it (two), how many bytes are cut off its end (one) and what stands at the place.
    /// A head gets the checksum that it should have: then its numbers are judged. Gives whether the index can still be read;
    /// it says what it said before then.
    pub(crate) fn check(&self, bytes: &[u8]) -> bool {
        let Some(([file, place @ .., cut], with)) = bytes.split_first_chunk::<4>() else { return false };
        let Some((path, whole)) = self.files.iter().nth(usize::from(*file) % self.files.len()) else {
            return false;
        };
        let mut changed = whole[..whole.len().saturating_sub(usize::from(*cut))].to_vec();
        let place = usize::from(u16::from_le_bytes(*place)) % (changed.len() + 1);
        changed.iter_mut().skip(place).zip(with).for_each(|(to, from)| *to = *from);
        if path.ends_with("head") {
            changed = with_checksum(changed);
        }
        fs::write(path, changed).unwrap();
        let read = self.read();
        for (path, bytes) in &self.files {
            fs::write(path, bytes).unwrap();
        }
        match &read {
            // Another head with the right checksum is that of another index.
            Ok(told) => assert!(*told == self.told || path.ends_with("head"), "{}", path.display()),
            Err(problem) => assert!(!problem.is_empty()),
        }
        read.is_ok()
    }

    /// A little of all that an index is asked.
    fn read(&self) -> Result<String, String> {
        let index = Index::open(self.folder.path()).map_err(|error| error.to_string())?;
        let told = reading(|| {
            let mut text = format!("{:?} {:?}", index.counts(), index.tip());
            for tx in (0..index.tx_count()).map(TxNum::new) {
                let inputs: Vec<OutputNum> = index.inputs(tx).collect();
                let outputs = index.outputs(tx).map(OutputNum::new);
                let outputs =
                    outputs.map(|output| (index.value(output), index.address(output), index.spender(output)));
                let outputs: Vec<_> = outputs.collect();
                let found = index.find(&index.txid(tx));
                write!(text, "{found:?} {inputs:?} {outputs:?} {:?}", index.height(tx)).unwrap();
            }
            text
        });
        let told = told.map_err(|error| error.to_string())?;
        let middle = index.tx_count() / 2;
        let seeds = reading(|| index.outputs(TxNum::new(middle)).map(OutputNum::new).collect());
        let case = Case { seeds: seeds.map_err(|error| error.to_string())? };
        let traced = trace(&index, &[case], &Terms::new(Method::Fifo)).map_err(|error| error.to_string())?;
        let clusters = Clusters::of(&index, &Rules::default(), NonZeroUsize::MIN, &|_| {});
        let clusters = clusters.map_err(|error| error.to_string())?.count();
        Ok(format!("{told} {traced:?} {clusters}"))
    }
}

fn with_checksum(head: Vec<u8>) -> Vec<u8> {
    let Ok(text) = String::from_utf8(head) else { return Vec::new() };
    let body = text.rsplit_once("check ").map_or(&*text, |(body, _)| body);
    let mut check = String::new();
    for byte in Sha256::digest(body) {
        write!(check, "{byte:02x}").unwrap();
    }
    format!("{body}check {check}\n").into_bytes()
}
