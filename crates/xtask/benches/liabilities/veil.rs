//! One batch proved in zero knowledge, verified, and its size. A proof runs on one thread, so its processor time is what it costs
//! whatever else the machine does; of verification, which is short, the median counts.

use std::hint::black_box;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use kuraban_veil::{Batch, BatchFile, Leaf, Plan, Salt, Totals, prove, security, verify};
use rustix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};

use crate::{ASSETS, median, scope, us};

/// Customers of whom the whole is reckoned.
const MILLION: u64 = 1_000_000;
/// How often the proof is verified.
const VERIFIED: usize = 9;

/// A batch of so many rows, as a power of two, of which all leaves are customers.
pub(crate) fn measure(log_rows: u8) -> Result<Value> {
    let plan = Plan::new(scope(20, ASSETS)?, log_rows, 1)?;
    let shape = plan.shape();
    let leaves = shape.leaves();
    let batch = Batch {
        before: Totals::zero(ASSETS),
        leaves: (0..leaves).map(leaf).collect::<Result<_>>()?,
        after: Salt::new(&[7; 32]),
    };
    let (begun, before) = (Instant::now(), processor_us()?);
    let (_, public, file) = prove(shape, &batch, plan.context(0), &[9; 32])?;
    let (proved_us, processor_us) = (us(begun)?, processor_us()?.saturating_sub(before));
    let mut rounds = Vec::new();
    for _ in 0..VERIFIED {
        let begun = Instant::now();
        verify(shape, black_box(&public), black_box(&file.proof))?;
        rounds.push(us(begun)?);
    }
    let (leaves, bytes) = (u64::try_from(leaves)?, u64::try_from(file.encode().len())?);
    ensure!(
        BatchFile::decode(shape, &file.encode())? == file,
        "the file is read otherwise than it was written"
    );
    let (batches, verify_us) = (MILLION.div_ceil(leaves), median(rounds)?);
    Ok(json!({
        "customers": leaves,
        "prove_us": proved_us,
        "prove_processor_us": processor_us,
        "prove_processor_us_each": processor_us / leaves,
        "verify_us": verify_us,
        "proof_bytes": file.proof.len(),
        "batch_bytes": bytes,
        "million_processor_s": processor_us.saturating_mul(batches) / 1_000_000,
        "million_verify_ms": verify_us.saturating_mul(batches) / 1_000,
        "million_bytes": bytes.saturating_mul(batches),
        "proven_bits": security(shape).proven_bits,
        "conjectured_bits": security(shape).conjectured_bits,
    }))
}

/// Up to 2^80 base units of each asset.
fn leaf(number: usize) -> Result<Leaf> {
    let mut state = u128::try_from(number)?;
    let mut amount = || {
        state = state.wrapping_mul(0x2360_ed05_1fc6_5da4_4385_df64_9fcc_f645).wrapping_add(0x9e37_79b9);
        state >> 48
    };
    let amounts = (0..ASSETS).map(|_| amount()).collect();
    let salt = Salt::new(&[number.to_le_bytes(); 4].concat().try_into().ok().context("32 bytes")?);
    Ok(Leaf { name: format!("customer-{number:08}"), salt, amounts })
}

/// What this thread has used of a processor.
fn processor_us() -> Result<u64> {
    let used = clock_gettime(ClockId::ThreadCPUTime);
    let (seconds, nanoseconds) = (u64::try_from(used.tv_sec)?, u64::try_from(used.tv_nsec)?);
    Ok(seconds.saturating_mul(1_000_000).saturating_add(nanoseconds / 1_000))
}
