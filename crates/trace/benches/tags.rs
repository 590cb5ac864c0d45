//! A store of many tags: how long it takes to make and to open, how much memory it takes, how fast addresses are looked up.
//! Beside it a hash map of the standard library, from the same addresses to one number each. Prints one JSON object.
#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

#[path = "made/tags.rs"]
mod made;

use std::{collections::HashMap, error::Error, hint::black_box, path::PathBuf, time::Instant};

use kuraban_trace::tags::{
    Store,
    store::{Builder, subject},
};
use made::{address, tag};
use serde_json::json;

const COUNT: u64 = 10_000_000;
const LOOKUPS: u64 = 1_000_000;

fn main() -> Result<(), Box<dyn Error>> {
    let given = std::env::args().skip_while(|arg| arg != "--count").nth(1);
    let count = given.map_or(Ok(COUNT), |count| count.parse())?;
    let parent = std::env::var_os("KURABAN_BENCH_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
    let folder = tempfile::tempdir_in(parent)?;
    let begun = Instant::now();
    let mut builder = Builder::new();
    for number in 0..count {
        builder.add(&tag(number), "Made up", "Bench")?;
    }
    let rows = builder.save(folder.path())?;
    let make_ms = ms(begun);
    let before_kib = resident_kib();
    let begun = Instant::now();
    let store = Store::open(folder.path())?;
    let open_ms = ms(begun);
    let resident_kib = resident_kib().saturating_sub(before_kib);
    let asked: Vec<String> =
        (0..LOOKUPS).map(|number| address(number.wrapping_mul(2_654_435_761) % (2 * count))).collect();
    let begun = Instant::now();
    let mut hits = 0_usize;
    for address in &asked {
        let (kind, checked) = subject("ETH", address)?;
        hits += store.find(kind, "ETH", &checked.normal).len();
    }
    let lookup_ns = ns_each(begun);
    let map: HashMap<&str, usize> =
        asked.iter().enumerate().map(|(place, address)| (address.as_str(), place)).collect();
    let begun = Instant::now();
    for address in &asked {
        black_box(map.get(address.as_str()));
    }
    let figures = json!({
        "tags": rows,
        "make_ms": make_ms,
        "open_ms": open_ms,
        "store_bytes": store.bytes(),
        "bytes_per_tag": store.bytes() / rows.max(1),
        "resident_kib": resident_kib,
        "lookups": LOOKUPS,
        "hits": hits,
        "lookup_ns": lookup_ns,
        "hash_map_of_the_asked_ns": ns_each(begun),
    });
    println!("{figures}");
    Ok(())
}

fn ms(begun: Instant) -> u64 {
    u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX)
}

fn ns_each(begun: Instant) -> u64 {
    u64::try_from(begun.elapsed().as_nanos() / u128::from(LOOKUPS)).unwrap_or(u64::MAX)
}

/// Memory of this process, as the system counts it; 0 where it does not say.
fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()).and_then(|kib| kib.parse().ok()).unwrap_or(0)
}
