//! Makes the chain that is measured, writes it as a node would, and hashes it in passing.
//!
//! Decides nothing about what is on it: `kuraban_sim` does.

use std::fs::{self, File};
use std::hint::black_box;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use kuraban_chain::btc::{Block, Tx};
use kuraban_sim::chain::Regtest;
use kuraban_sim::economy::records::Records;
use kuraban_sim::economy::theft::{Plan, Story};
use sha2::{Digest, Sha256};

/// The chain's network.
pub(crate) const REGTEST: Regtest = Regtest::Btc;
/// Thefts on the chain.
const THEFTS: u32 = 20;
/// Transactions whose bytes are kept until they are hashed.
const HASHED_AT_ONCE: usize = 300_000;

/// What was made, and how long it took to hash every transaction twice.
pub(crate) struct Made {
    pub(crate) bytes: u64,
    pub(crate) transactions: u64,
    pub(crate) hashed: Duration,
    pub(crate) hash_busy_ns: u64,
}

/// Makes a chain and writes it as a node would.
pub(crate) fn make(folder: &Path, wanted: u64) -> Result<Made> {
    fs::create_dir_all(folder)?;
    let mut story = Story::new(Plan::new(REGTEST, 1, wanted, THEFTS));
    let mut made = Made { bytes: 0, transactions: 0, hashed: Duration::ZERO, hash_busy_ns: 0 };
    let mut records = Records::new(REGTEST.network());
    let mut file: Option<(u32, BufWriter<File>)> = None;
    let mut txs = Vec::new();
    while let Some(next) = story.next_block()? {
        for block in next.stale.iter().chain([&next.block]) {
            let record = records.next(&block.encode());
            if file.as_ref().is_none_or(|(number, _)| *number != record.file) {
                finish(file.take())?;
                let path = folder.join(record.file_name());
                file = Some((record.file, BufWriter::new(File::create(path)?)));
            }
            if let Some((_, file)) = &mut file {
                file.write_all(&record.bytes)?;
            }
        }
        made.bytes += length(&next.block)?;
        txs.extend(next.block.txs.iter().map(Tx::encode));
        if txs.len() >= HASHED_AT_ONCE {
            hash(&mut txs, &mut made);
        }
    }
    hash(&mut txs, &mut made);
    made.transactions = story.tally().transactions;
    finish(file)?;
    Ok(made)
}

fn finish(file: Option<(u32, BufWriter<File>)>) -> Result<()> {
    let Some((_, mut file)) = file else { return Ok(()) };
    file.flush().context("a block file could not be written")
}

fn length(block: &Block) -> Result<u64> {
    Ok(u64::try_from(block.encode().len())?)
}

/// Hashes every transaction twice, as it stands in its block.
fn hash(txs: &mut Vec<Vec<u8>>, made: &mut Made) {
    let (start, busy) = (Instant::now(), thread_busy_ns());
    for tx in &*txs {
        black_box(Sha256::digest(Sha256::digest(tx)));
    }
    made.hashed += start.elapsed();
    made.hash_busy_ns += thread_busy_ns().saturating_sub(busy);
    txs.clear();
}

/// How long the processor was busy with this thread so far (Linux, `proc_pid_schedstat(5)`); 0 where nobody says.
fn thread_busy_ns() -> u64 {
    let said = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    said.split(' ').next().and_then(|busy| busy.parse().ok()).unwrap_or(0)
}
