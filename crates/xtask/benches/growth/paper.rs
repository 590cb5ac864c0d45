//! The figures of growth as a page: table, curve, exponents, and what they come to for all of Bitcoin.
//!
//! Decides how figures are shown. Measures nothing.

use core::fmt::Write as _;

use serde_json::{Value, json};

use crate::Point;

/// Transactions of all of Bitcoin, about, in 2026.
const BITCOIN: u64 = 1_300_000_000;

/// A row of the bench's table.
pub(crate) fn row(point: &Point) -> Value {
    json!({
        "transactions": point.transactions,
        "block bytes": point.block_bytes,
        "index bytes": point.index_bytes,
        "build us": point.build_us,
        "build CPU us": point.build_cpu_us,
        "open us": point.open_us,
        "FIFO us": point.fifo_us,
        "FIFO touches": point.touched,
        "FIFO parts": point.parts,
        "FIFO ps for a part": ps_for_part(point),
        "clusters us": point.clusters_us,
        "lookup ns": point.lookup_ns,
        "tag bytes": point.tag_bytes,
        "own KiB": point.own_kib,
    })
}

/// Picoseconds for a part that comes into an output.
fn ps_for_part(point: &Point) -> u64 {
    point.fifo_us.saturating_mul(1_000_000).checked_div(point.parts).unwrap_or(0)
}

/// What is followed through all lengths.
struct Series {
    name: &'static str,
    unit: &'static str,
    of: fn(&Point) -> u64,
}

const SERIES: [Series; 10] = [
    Series { name: "index", unit: "bytes", of: |point| point.index_bytes },
    Series { name: "build, wall", unit: "µs", of: |point| point.build_us },
    Series { name: "build, processor", unit: "µs", of: |point| point.build_cpu_us },
    Series { name: "open", unit: "µs", of: |point| point.open_us },
    Series { name: "FIFO trace of nearly everything", unit: "µs", of: |point| point.fifo_us },
    Series { name: "parts of outputs in that trace", unit: "parts", of: |point| point.parts },
    Series { name: "time for one of them", unit: "ps", of: ps_for_part },
    Series { name: "clusters", unit: "µs", of: |point| point.clusters_us },
    Series { name: "lookup among as many tags", unit: "ns", of: |point| point.lookup_ns },
    Series { name: "memory beside mapped files", unit: "KiB", of: |point| point.own_kib },
];

/// The page.
pub(crate) fn write(points: &[Point]) -> String {
    let mut page = String::new();
    let line = |page: &mut String, text: &str| {
        page.push_str(text);
        page.push('\n');
    };
    let heads: String = points.iter().fold(String::new(), |mut heads, point| {
        // A string takes all text.
        write!(heads, " 10^{} |", point.transactions.ilog10()).unwrap_or_default();
        heads
    });
    line(&mut page, &format!("| transactions |{heads} exponent | all of Bitcoin |"));
    line(&mut page, &format!("|---|{}", "---|".repeat(points.len() + 2)));
    for Series { name, unit, of } in &SERIES {
        let cells: String = points.iter().map(|point| format!(" {} |", grouped(of(point)))).collect();
        let (exponent, all) = extrapolated(points, *of);
        line(&mut page, &format!("| {name}, {unit} |{cells} {exponent} | {all} |"));
    }
    line(&mut page, "\n```text");
    for Series { name, unit, of } in &SERIES {
        line(&mut page, &format!("{name}, {unit}; a # for each doubling"));
        for point in points {
            let found = of(point);
            let bar = "#".repeat(usize::try_from(found.max(1).ilog2()).unwrap_or(0));
            line(&mut page, &format!("  10^{} {bar} {}", point.transactions.ilog10(), grouped(found)));
        }
    }
    line(&mut page, "```");
    page
}

/// The exponent of the last step, in hundredths, and the figure for all of Bitcoin by it.
#[expect(
    clippy::as_conversions,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::float_arithmetic,
    reason = "a slope and an extrapolation, shown with two digits"
)]
fn extrapolated(points: &[Point], of: fn(&Point) -> u64) -> (String, String) {
    let [.., before, last] = points else { return ("".to_owned(), "".to_owned()) };
    let log = |ratio: f64| ratio.max(f64::MIN_POSITIVE).ln();
    let grown = of(last).max(1) as f64 / of(before).max(1) as f64;
    let longer = last.transactions as f64 / before.transactions.max(1) as f64;
    let exponent = log(grown) / log(longer);
    let all = of(last) as f64 * (BITCOIN as f64 / last.transactions.max(1) as f64).powf(exponent);
    (format!("{exponent:.2}"), grouped(all as u64))
}

/// `1234567` as `1,234,567`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
