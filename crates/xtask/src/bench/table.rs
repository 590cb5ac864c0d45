//! Sets figures as a table for people: a row per measurement, a column per figure, thousands apart.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

/// Widest line of a table with columns.
const WIDTH_MAX: usize = 120;

/// The table of one benchmark. Figures that are not whole numbers are shown as they are. Where rows have so different
/// figures that their columns do not fit a screen, each row names its own.
pub(crate) fn print(name: &str, figures: &Value) -> String {
    let rows = rows(name, figures);
    let table = in_columns(&rows);
    if table.lines().all(|line| line.chars().count() <= WIDTH_MAX) { table } else { in_words(&rows) }
}

fn in_words(rows: &[(&str, &Map<String, Value>)]) -> String {
    let width = rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    let line = |(name, row): &(&str, &Map<String, Value>)| {
        let figures: Vec<String> =
            row.iter().map(|(word, value)| format!("{word} {}", figure(value))).collect();
        format!("{name:<width$}  {}", figures.join("; "))
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn in_columns(rows: &[(&str, &Map<String, Value>)]) -> String {
    let columns: BTreeSet<&str> = rows.iter().flat_map(|(_, row)| row.keys().map(String::as_str)).collect();
    let mut cells =
        vec![[""].into_iter().chain(columns.iter().copied()).map(str::to_owned).collect::<Vec<_>>()];
    cells.extend(rows.iter().map(|(name, row)| {
        let figures = columns.iter().map(|column| row.get(*column).map_or_else(String::new, figure));
        [(*name).to_owned()].into_iter().chain(figures).collect()
    }));
    let widths: Vec<usize> = (0..=columns.len())
        .map(|column| {
            cells.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
        })
        .collect();
    let lines = cells.iter().map(|row| {
        let cells = row.iter().zip(&widths).enumerate().map(|(at, (cell, width))| match at {
            0 => format!("{cell:<width$}"),
            _ => format!("{cell:>width$}"),
        });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// The rows that the figures hold: one per object among them, or the figures themselves under the benchmark's name.
fn rows<'a>(name: &'a str, figures: &'a Value) -> Vec<(&'a str, &'a Map<String, Value>)> {
    let Some(all) = figures.as_object() else { return Vec::new() };
    let rows: Vec<_> =
        all.iter().filter_map(|(row, value)| Some((row.as_str(), value.as_object()?))).collect();
    if rows.is_empty() { vec![(name, all)] } else { rows }
}

/// `1234567` as `1,234,567`.
fn figure(value: &Value) -> String {
    let Some(number) = value.as_u64() else { return value.to_string() };
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn figures_are_set_in_columns() {
        let figures = json!({ "alone": { "p50_us": 7, "per_s": 1_234_567 }, "crowd": { "p50_us": 1000 } });
        assert_eq!(
            print("payouts", &figures),
            "       p50_us      per_s\nalone       7  1,234,567\ncrowd   1,000"
        );
        assert_eq!(print("stop", &json!({ "count": 3 })), "      count\nstop      3");
        assert_eq!(print("stop", &json!(3)), "");
    }

    #[test]
    fn rows_whose_columns_do_not_fit_name_their_figures() {
        let long = "microseconds that the slowest of one hundred of them took";
        let figures = json!({ "a": { (long): 1, "count": 2 }, "bc": { format!("{long} and one"): 3000 } });
        assert_eq!(print("stop", &figures), format!("a   count 2; {long} 1\nbc  {long} and one 3,000"));
        let fitting = "x".repeat(WIDTH_MAX - "stop  ".len());
        assert!(print("stop", &json!({ &fitting: 3 })).starts_with("      x"));
        assert!(print("stop", &json!({ format!("{fitting}x"): 3 })).starts_with("stop  x"));
    }

    #[test]
    fn thousands_stand_apart() {
        let check = |number: u64, want: &str| assert_eq!(figure(&json!(number)), want);
        check(0, "0");
        check(999, "999");
        check(1000, "1,000");
        check(100_000, "100,000");
        check(u64::MAX, "18,446,744,073,709,551,615");
        assert_eq!(figure(&json!("n/a")), "\"n/a\"");
    }
}
