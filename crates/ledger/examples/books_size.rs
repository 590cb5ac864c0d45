//! Measures books: accounts × 20 assets, one entry for each account. Prints time and the process's memory after the journals are gone.
//!
//! `cargo run --release -p kuraban-ledger --example books_size -- 1000000`

use std::{fs, io::Write as _, time};

use kuraban_base::Instant;
use kuraban_ledger::{
    Assets,
    books::{Books, Builder, Journal, JournalError, Kind, RawPost, Side},
    holdings::Written,
};

const ASSETS: u32 = 20;
const AT_ONCE: u32 = 100_000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let accounts: u32 = std::env::args().nth(1).ok_or("want a number of accounts")?.parse()?;
    let mut assets = Assets::default();
    let codes: Vec<String> = (0..ASSETS).map(|asset| format!("T{asset}")).collect();
    for code in &codes {
        assets.add(code, 8)?;
    }
    let before = memory_kib()?;
    let mut books = Books::default();
    let (mut read, mut posted, mut bytes) = (time::Duration::ZERO, time::Duration::ZERO, 0);
    let mut from = 0;
    while from < accounts {
        let to = from.saturating_add(AT_ONCE).min(accounts);
        let begun = time::Instant::now();
        let journal = opening(&assets, &codes, from..to)?;
        read += begun.elapsed();
        let begun = time::Instant::now();
        let taken = books.post(&journal)?;
        posted += begun.elapsed();
        bytes += journal.to_bytes(&taken).len();
        from = to;
    }
    let after = memory_kib()?;
    let begun = time::Instant::now();
    let held = books.holdings()?.rows();
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "accounts {accounts}, balances {held}, entries {}, bytes of the file {bytes}",
        books.entries()
    )?;
    writeln!(out, "journals read in {read:?}, posted in {posted:?}, holdings in {:?}", begun.elapsed())?;
    let kib = after.saturating_sub(before);
    let bytes = kib.saturating_mul(1024);
    let each = bytes.checked_div(u64::from(accounts).saturating_mul(u64::from(ASSETS))).unwrap_or_default();
    Ok(writeln!(
        out,
        "memory of the books {kib} KiB, {each} bytes for each balance, entries and names included"
    )?)
}

/// An entry for each account, with every asset.
fn opening(
    assets: &Assets,
    codes: &[String],
    accounts: core::ops::Range<u32>,
) -> Result<Journal, JournalError> {
    let mut builder = Builder::new(assets.clone());
    for number in accounts {
        let (account, entry) = (format!("customer-{number:07}"), format!("opening-{number:07}"));
        let (line, at) = (u64::from(number), Instant::from_ms(u64::from(number)));
        let amount = Written::Units(u128::from(number).saturating_add(1));
        for asset in codes {
            for (account, kind, side) in
                [("own:hot", Kind::Own, Side::Debit), (account.as_str(), Kind::Customer, Side::Credit)]
            {
                let (entry, memo, reverses) = (entry.as_str(), "", "");
                builder.push(RawPost {
                    line,
                    entry,
                    at,
                    account,
                    kind,
                    asset,
                    side,
                    amount,
                    memo,
                    reverses,
                })?;
            }
        }
    }
    builder.finish()
}

/// What the process has in memory, after what is free was given back as far as it was.
fn memory_kib() -> Result<u64, Box<dyn std::error::Error>> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").trim().parse()?)
}
