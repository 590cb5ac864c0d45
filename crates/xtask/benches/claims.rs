//! `kuraban claims compute` for Coincheck's customers, from Parquet: 523,000,000 XEM at 88.549 yen among 260,000 holders and
//! among 10,000,000. Prints one JSON object of whole numbers.
//!
//! Beside it DuckDB reads the same file, rounds each claim and writes them; it makes no statements, no hashes and no tables
//! but that one. The two sums are compared before a time is shown. `KURABAN_BENCH_KURABAN` names the program,
//! `KURABAN_BENCH_PYTHON` a Python that has DuckDB.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io::{Write as _, stdout};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Map, Value, json};

/// Customers, where nobody says how many.
const CUSTOMERS: [u64; 2] = [260_000, 10_000_000];
/// What was stolen, in millionths of an XEM.
const UNITS: u64 = 523_000_000_000_000;
/// The scheme as it was published.
const SCHEME: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/schemes/coincheck-2018.toml");
const PEER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/peers/duckdb_claims.py");
/// How often the program's memory is looked at.
const LOOK: Duration = Duration::from_millis(5);

fn main() -> Result<()> {
    let wanted = env::args().skip_while(|arg| arg != "--count").nth(1);
    let wanted = wanted.map(|text| text.parse()).transpose().context("want a number of customers")?;
    let sizes = wanted.map_or_else(|| CUSTOMERS.to_vec(), |count| vec![count]);
    let program = env::var_os("KURABAN_BENCH_KURABAN").context("KURABAN_BENCH_KURABAN names no program")?;
    let python = env::var_os("KURABAN_BENCH_PYTHON").context("KURABAN_BENCH_PYTHON names no Python")?;
    let parent = env::var_os("KURABAN_BENCH_DIR").map_or_else(env::temp_dir, PathBuf::from);
    let mut figures = Map::new();
    for customers in sizes {
        let folder = tempfile::tempdir_in(&parent)?;
        let row = measure(&program, &python, folder.path(), customers)?;
        figures.insert(format!("{customers} customers"), row);
    }
    writeln!(stdout(), "{}", Value::Object(figures)).context("could not print")
}

fn measure(program: &OsString, python: &OsString, folder: &Path, customers: u64) -> Result<Value> {
    let mut peer = Command::new(python);
    peer.arg(PEER).arg(folder).args([customers.to_string(), UNITS.to_string()]);
    let (theirs, _) = run(&mut peer)?;
    let mut own = Command::new(program);
    own.args(["claims", "compute", "--json", "--holdings"]).arg(folder.join("holdings.parquet"));
    own.args(["--scheme", SCHEME, "--out"]).arg(folder.join("claims"));
    let begun = Instant::now();
    let (ours, kib) = run(&mut own)?;
    let took = u64::try_from(begun.elapsed().as_micros())?;
    let number = |said: &Value, name: &str| {
        said.get(name).and_then(Value::as_u64).with_context(|| format!("{name} is missing in {said}"))
    };
    for (own, other) in [("customers", "customers"), ("total", "yen")] {
        let (found, want) = (number(&ours, own)?, number(&theirs, other)?);
        ensure!(found == want, "{own}: {found}, DuckDB says {want}");
    }
    Ok(json!({
        "customers": customers,
        "yen": number(&ours, "total")?,
        "us": took,
        "most_kib": kib,
        "duckdb_us": number(&theirs, "us")?,
        "parquet_bytes": number(&theirs, "parquet_bytes")?,
    }))
}

/// What a program printed, and the most memory that it had in KiB (Linux, `proc_pid_status(5)`: VmHWM), as far as it was seen.
fn run(command: &mut Command) -> Result<(Value, u64)> {
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = child.with_context(|| format!("{command:?} could not be started"))?;
    let status = PathBuf::from(format!("/proc/{}/status", child.id()));
    let mut most = 0;
    while child.try_wait()?.is_none() {
        let said = fs::read_to_string(&status).unwrap_or_default();
        let line = said.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok());
        most = most.max(kib.unwrap_or(0));
        sleep(LOOK);
    }
    let Output { status, stdout, stderr } = child.wait_with_output()?;
    ensure!(status.success(), "{command:?}: {}", String::from_utf8_lossy(&stderr));
    Ok((serde_json::from_slice(&stdout).with_context(|| format!("{command:?} did not print JSON"))?, most))
}
