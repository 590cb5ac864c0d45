//! Whole numbers for tables: times, and what the system says of this process. Decides nothing.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};

/// How long processors were busy with this process so far (Linux, `proc_pid_stat(5)`: ticks of 10 ms).
pub(crate) fn cpu_ms() -> Result<u64> {
    let said = fs::read_to_string("/proc/self/stat").context("the system does not count processor time")?;
    let (_, after) = said.rsplit_once(')').context("processor time is not where it should be")?;
    let ticks = after.split_whitespace().skip(11).take(2).map(str::parse::<u64>);
    Ok(ticks.sum::<Result<u64, _>>()? * 10)
}

pub(crate) fn ns(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

pub(crate) fn us(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
