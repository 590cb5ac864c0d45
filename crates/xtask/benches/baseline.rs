//! What the machine can do at best: bare durable writes, bare signatures. Nothing of Kuraban runs here, so that its
//! own figures can be compared with these. Prints one JSON object on standard output; times are whole microseconds.

use std::env;
use std::fs::{File, remove_file};
use std::io::{Write, stdout};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use bitcoin::secp256k1::{Message, Secp256k1, SecretKey};
use ed25519_dalek::{Signer, SigningKey, Verifier};
use serde_json::{Map, Value, json};

/// How long each row is measured.
const MEASURE: Duration = Duration::from_secs(1);

/// One durable write: a page, as databases write it.
const PAGE_BYTES: usize = 4096;

fn main() -> Result<()> {
    // Cargo adds a flag of its own.
    let name = env::args().skip(1).find(|arg| !arg.starts_with('-'));
    let figures = match name.as_deref() {
        Some("fsync") => fsync()?,
        Some("signatures") => signatures()?,
        other => bail!("expected `fsync` or `signatures`, found {other:?}"),
    };
    writeln!(stdout(), "{}", Value::Object(figures)).context("could not print")
}

/// Appends pages to a file and makes each durable before the next.
fn fsync() -> Result<Map<String, Value>> {
    let folder = env::var_os("KURABAN_BENCH_DIR").map_or_else(env::temp_dir, PathBuf::from);
    let path = folder.join(format!("fsync-{}", std::process::id()));
    let mut file = File::create(&path).with_context(|| format!("could not make {}", path.display()))?;
    let mut page = [0_u8; PAGE_BYTES];
    let row = measure(|turn| {
        // No page is like the one before, so that nothing can be saved.
        page.fill(turn.to_le_bytes()[0]);
        file.write_all(&page)?;
        Ok(file.sync_data()?)
    });
    remove_file(&path).with_context(|| format!("could not remove {}", path.display()))?;
    Ok(Map::from_iter([("append 4 KiB, fdatasync".to_owned(), row?)]))
}

/// Signs and verifies 32-byte digests, each another one.
fn signatures() -> Result<Map<String, Value>> {
    let seed = [7; 32];
    let key = SigningKey::from_bytes(&seed);
    let public = key.verifying_key();
    let signature = key.sign(&digest(0));

    let curve = Secp256k1::new();
    let secret = SecretKey::from_slice(&seed)?;
    let point = secret.public_key(&curve);
    let ecdsa = curve.sign_ecdsa(&Message::from_digest(digest(0)), &secret);

    let rows = [
        (
            "Ed25519 sign",
            measure(|turn| {
                std::hint::black_box(key.sign(&digest(turn)));
                Ok(())
            })?,
        ),
        (
            "Ed25519 verify",
            measure(|_| public.verify(&digest(0), &signature).ok().context("own signature refused"))?,
        ),
        (
            "ECDSA secp256k1 sign",
            measure(|turn| {
                std::hint::black_box(curve.sign_ecdsa(&Message::from_digest(digest(turn)), &secret));
                Ok(())
            })?,
        ),
        (
            "ECDSA secp256k1 verify",
            measure(|_| Ok(curve.verify_ecdsa(&Message::from_digest(digest(0)), &ecdsa, &point)?))?,
        ),
    ];
    Ok(rows.into_iter().map(|(name, row)| (name.to_owned(), row)).collect())
}

fn digest(turn: u64) -> [u8; 32] {
    let mut digest = [0x5a; 32];
    digest.iter_mut().zip(turn.to_le_bytes()).for_each(|(byte, part)| *byte = part);
    digest
}

/// Repeats one act for the set time and says how often per second it was done and how long single ones took.
fn measure(mut act: impl FnMut(u64) -> Result<()>) -> Result<Value> {
    let mut took_us = Vec::new();
    let begun = Instant::now();
    while begun.elapsed() < MEASURE {
        let turn = u64::try_from(took_us.len())?;
        let since = Instant::now();
        act(turn)?;
        took_us.push(u64::try_from(since.elapsed().as_micros())?);
    }
    let all_us = u64::try_from(begun.elapsed().as_micros())?.max(1);
    took_us.sort_unstable();
    let count = u64::try_from(took_us.len())?;
    Ok(json!({
        "count": count,
        "per_s": count.saturating_mul(1_000_000) / all_us,
        "p50_us": percentile(&took_us, 50),
        "p99_us": percentile(&took_us, 99),
        "max_us": took_us.last(),
    }))
}

/// The smallest value that at least so many percent do not exceed.
fn percentile(sorted: &[u64], percent: usize) -> Option<u64> {
    sorted.get((sorted.len() * percent).div_ceil(100).saturating_sub(1)).copied()
}
