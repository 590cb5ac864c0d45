//! What people give: files, hexadecimal, JSON, points in time. Decides whether it can be read, within limits; never
//! what it means.

use std::{
    fs::File,
    io::{BufRead, BufReader, Read},
    path::Path,
    time::SystemTime,
};

use anyhow::Context as _;
use kuraban_base::{Instant, hex};
use kuraban_chain::btc::{Network, Tx, tx::TX_BYTES_MAX};
use serde::de::DeserializeOwned;

pub(crate) use kuraban_ledger::time::shown_utc;

use crate::fail::{Failure, OrFail as _};

/// Longest file in hexadecimal: the largest transaction with room for two characters of line end after every 64.
const HEX_FILE_MAX: usize = 2 * TX_BYTES_MAX + TX_BYTES_MAX / 16 + 1024;
/// Longest configuration, payout or approvals file.
pub(crate) const FILE_MAX: usize = 4 * 1024 * 1024;

/// A file's bytes; `-` is standard input.
pub(crate) fn bytes(path: &Path, max: usize) -> Result<Vec<u8>, Failure> {
    read(path, max).or_input(path.display())
}

fn read(path: &Path, max: usize) -> anyhow::Result<Vec<u8>> {
    let limit = u64::try_from(max)?.saturating_add(1);
    let mut bytes = Vec::new();
    if path == Path::new("-") {
        std::io::stdin().lock().take(limit).read_to_end(&mut bytes)?;
    } else {
        let file = File::open(path).context("could not be opened")?;
        file.take(limit).read_to_end(&mut bytes).context("could not be read")?;
    }
    anyhow::ensure!(bytes.len() <= max, "is longer than the {max} bytes that it may have");
    Ok(bytes)
}

/// A line of a file, without its end.
pub(crate) struct Line {
    /// Its number, from 1.
    pub(crate) number: u64,
    /// Bytes up to its end.
    pub(crate) end: u64,
    /// What it holds, unless it is too long.
    pub(crate) bytes: Result<Vec<u8>, LineTooLong>,
}

/// A line that is not read to its end.
#[derive(Debug, thiserror::Error)]
#[error("is longer than the {max} bytes that it may have")]
pub(crate) struct LineTooLong {
    max: usize,
}

/// Bytes of a file, for a bar alone; 0 where nobody knows.
pub(crate) fn length(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |about| about.len())
}

/// A file's lines that are not blank, one at a time; `-` is standard input.
pub(crate) fn lines(
    path: &Path,
    max: usize,
) -> Result<impl Iterator<Item = Result<Line, Failure>> + use<>, Failure> {
    let mut reader: Box<dyn BufRead> = if path == Path::new("-") {
        Box::new(std::io::stdin().lock())
    } else {
        let file = File::open(path).context("could not be opened").or_input(path.display())?;
        Box::new(BufReader::new(file))
    };
    let name = path.display().to_string();
    let (mut number, mut end) = (0_u64, 0_u64);
    Ok(std::iter::from_fn(move || {
        loop {
            number = number.saturating_add(1);
            match line(&mut reader, max, &mut end) {
                Ok(Some(Ok(bytes))) if bytes.trim_ascii().is_empty() => {}
                Ok(Some(bytes)) => return Some(Ok(Line { number, end, bytes })),
                Ok(None) => return None,
                Err(error) => return Some(Err(error).context("could not be read").or_input(&name)),
            }
        }
    }))
}

/// The next line, whose bytes are added to `at`; nothing at the end. What is too long is passed over to the end of the line.
fn line(
    reader: &mut impl BufRead,
    max: usize,
    at: &mut u64,
) -> std::io::Result<Option<Result<Vec<u8>, LineTooLong>>> {
    let mut bytes = Vec::new();
    let (mut any, mut long) = (false, false);
    loop {
        let buffer = reader.fill_buf()?;
        if buffer.is_empty() {
            break;
        }
        any = true;
        let end = buffer.iter().position(|byte| *byte == b'\n');
        let part = buffer.get(..end.unwrap_or(buffer.len())).unwrap_or(buffer);
        long |= bytes.len().saturating_add(part.len()) > max;
        if long {
            bytes = Vec::new();
        } else {
            bytes.extend_from_slice(part);
        }
        let read = part.len().saturating_add(usize::from(end.is_some()));
        reader.consume(read);
        *at = at.saturating_add(u64::try_from(read).unwrap_or(u64::MAX));
        if end.is_some() {
            break;
        }
    }
    Ok(any.then_some(if long { Err(LineTooLong { max }) } else { Ok(bytes) }))
}

/// A file's text.
pub(crate) fn text(path: &Path, max: usize) -> Result<String, Failure> {
    String::from_utf8(bytes(path, max)?).or_input(path.display())
}

/// A JSON file of a known shape.
pub(crate) fn json<T: DeserializeOwned>(path: &Path, max: usize) -> Result<T, Failure> {
    serde_json::from_slice(&bytes(path, max)?).or_input(path.display())
}

/// Hexadecimal on the command line, or `@` and the name of a file that has it. Blanks around it are taken away.
fn hexadecimal(what: &str, given: &str) -> Result<Vec<u8>, Failure> {
    match given.strip_prefix('@') {
        Some(path) => hexadecimal_file(Path::new(path)),
        None => hex::decode(given.trim()).or_input(what),
    }
}

fn hexadecimal_file(path: &Path) -> Result<Vec<u8>, Failure> {
    let text: String = text(path, HEX_FILE_MAX)?.split_ascii_whitespace().collect();
    hex::decode(&text).or_input(path.display())
}

/// A transaction in hexadecimal, or `@` and a file that has it.
pub(crate) fn tx(what: &str, network: Network, given: &str) -> Result<Tx, Failure> {
    Tx::decode(network, &hexadecimal(what, given)?).or_input(what)
}

/// A transaction in a file of hexadecimal.
pub(crate) fn tx_file(network: Network, path: &Path) -> Result<Tx, Failure> {
    Tx::decode(network, &hexadecimal_file(path)?).or_input(path.display())
}

/// Previous transactions, each in hexadecimal or as `@` and a file.
pub(crate) fn prevs(network: Network, given: &[String]) -> Result<Vec<Tx>, Failure> {
    let one = |(index, text): (usize, &String)| tx(&format!("--prev {index}"), network, text);
    (1..).zip(given).map(one).collect()
}

/// Text that is no point in time.
#[derive(Debug, thiserror::Error)]
#[error(
    "{found:?} is no point in time, want RFC 3339 such as 2024-05-31T04:12:00Z, or milliseconds since 1970"
)]
pub(crate) struct NotInstant {
    found: String,
}

/// RFC 3339, or milliseconds since 1970-01-01 00:00:00 UTC.
pub(crate) fn instant(text: &str) -> Result<Instant, NotInstant> {
    let wrong = || NotInstant { found: text.chars().take(64).collect() };
    if let Ok(ms) = text.parse() {
        return Ok(Instant::from_ms(ms));
    }
    kuraban_ledger::time::instant(text).map_err(|_| wrong())
}

/// An asset that is not well known, by its code, and its decimals.
pub(crate) fn asset(text: &str) -> Result<(String, u8), String> {
    let pair =
        text.split_once('=').and_then(|(code, decimals)| Some((code.to_owned(), decimals.parse().ok()?)));
    pair.ok_or_else(|| "want a code and its decimals, such as QASH=6".to_owned())
}

/// This machine's clock.
pub(crate) fn now() -> Result<Instant, Failure> {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).or_undone("the clock")?;
    u64::try_from(since.as_millis()).map(Instant::from_ms).or_undone("the clock")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_rfc_3339_or_milliseconds() {
        let check = |text: &str, want: Option<u64>| {
            assert_eq!(instant(text).ok().map(Instant::ms), want, "{text}");
        };
        check("0", Some(0));
        check("1717128720000", Some(1_717_128_720_000));
        check("2024-05-31T04:12:00Z", Some(1_717_128_720_000));
        check("2024-05-31T13:12:00+09:00", Some(1_717_128_720_000));
        check("2024-05-31T04:12:00.5Z", Some(1_717_128_720_500));
        check("2024-05-31T04:12:00", None);
        check("1969-12-31T23:59:59Z", None);
        check("-1", None);
        check("18446744073709551616", None);
        check("soon", None);
        check("", None);
    }

    #[test]
    fn lines_are_read_up_to_their_limit() {
        let check = |text: &str, want: &[Option<&str>]| {
            // A small buffer, so that lines cross its bounds.
            let mut reader = BufReader::with_capacity(2, text.as_bytes());
            let mut at = 0;
            let lines = std::iter::from_fn(|| line(&mut reader, 4, &mut at).unwrap());
            let found: Vec<_> =
                lines.map(|line| line.ok().map(|line| String::from_utf8(line).unwrap())).collect();
            assert_eq!(at, u64::try_from(text.len()).unwrap());
            let want: Vec<_> = want.iter().map(|line| line.map(str::to_owned)).collect();
            assert_eq!(found, want, "{text:?}");
        };
        check("", &[]);
        check("\n", &[Some("")]);
        check("a\nbc", &[Some("a"), Some("bc")]);
        check("abcd\nabcde\nx\n", &[Some("abcd"), None, Some("x")]);
        check("abcdefgh", &[None]);
    }
}
